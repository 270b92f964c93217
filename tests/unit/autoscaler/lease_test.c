/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/lease.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/unit.h"

START_TEST(a_file_is_held_by_one_process)
{
    char path[512], why[256] = "";
    snprintf(path, sizeof path, "%s/web.lock", unit_folder());
    struct scale_leases *leases = scale_leases_new();
    ck_assert(scale_lease_lock(leases, path, why, sizeof why));
    ck_assert(scale_lease_lock(leases, path, why, sizeof why)); /* it is ours already */
    pid_t child = fork();
    if (child == 0) {
        struct scale_leases *others = scale_leases_new();
        bool held = scale_lease_lock(others, path, why, sizeof why);
        _exit(held || !strstr(why, "standing by") ? 1 : 0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    scale_leases_free(leases); /* and given back */
    leases = scale_leases_new();
    ck_assert(scale_lease_lock(leases, path, why, sizeof why));
    ck_assert(!scale_lease_lock(leases, "/no/such/folder/web.lock", why, sizeof why));
    unit_assert_contains(why, "/no/such/folder");
    scale_leases_free(leases);
}
END_TEST

START_TEST(a_version_ages_until_it_changes)
{
    struct scale_leases *leases = scale_leases_new();
    ck_assert_int_eq(scale_lease_age_ms(leases, "a", TW_STR("7"), 1000), 0);
    ck_assert_int_eq(scale_lease_age_ms(leases, "a", TW_STR("7"), 61000), 60000);
    ck_assert_int_eq(scale_lease_age_ms(leases, "b", TW_STR("7"), 61000), 0);
    ck_assert_int_eq(scale_lease_age_ms(leases, "a", TW_STR("8"), 62000), 0);
    ck_assert_int_eq(scale_lease_age_ms(leases, "a", TW_STR("8"), 63000), 1000);
    scale_leases_free(leases);
}
END_TEST

START_TEST(who_we_are_outlives_a_restart)
{
    struct tw_err err = {0};
    struct tsdb_state *state = NULL;
    char first[SCALE_IDENTITY_BYTES], again[SCALE_IDENTITY_BYTES];
    unit_assert_ok(tsdb_state_open(unit_folder(), &state, &err), &err);
    unit_assert_ok(scale_lease_identity(state, tw_clock_system(), first, &err), &err);
    state = tsdb_state_close(state);
    unit_assert_ok(tsdb_state_open(unit_folder(), &state, &err), &err);
    unit_assert_ok(scale_lease_identity(state, tw_clock_system(), again, &err), &err);
    ck_assert_str_eq(first, again);
    ck_assert_uint_gt(strlen(strrchr(first, '_')), 16);
    state = tsdb_state_close(state);
}
END_TEST

static enum tw_code parse(const char *target, const char *lease, struct tw_err *err)
{
    char text[1024];
    struct tw_arena *arena = tw_arena_new(1024);
    struct tw_yaml *root = NULL;
    struct scale_settings *items;
    size_t count;
    snprintf(text, sizeof text,
             "scalers: [{name: web, load: x, capacity_per_replica: 1, max: 9%s, lease: %s}]",
             target, lease);
    enum tw_code code = tw_yaml_parse(arena, "t.yml", tw_str(text), &root, err);
    if (code == TW_OK)
        code = scale_settings_parse(arena, "t.yml", tw_yaml_member(root, "scalers"), &items, &count,
                                    err);
    tw_arena_free(arena);
    return code;
}

START_TEST(mistakes_are_named_with_their_cure)
{
    static const struct {
        const char *target, *lease, *word;
    } cases[] = {
        {"", "web", "needs a target"},
        {", target: {exec: {set: [a]}}", "web", "whole path"},
        {", target: {exec: {set: [a]}}", "/run/", "whole path"},
        {", target: {kubernetes: {name: web}}", "/run/web.lock", "no name that Kubernetes takes"},
        {", target: {kubernetes: {name: web}}", "Web", "no name that Kubernetes takes"},
        {", target: {kubernetes: {name: web}}", "../x", "no name that Kubernetes takes"},
        {", target: {exec: {set: [a]}}", "{}", "lease"},
    };
    struct tw_err err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(parse(cases[i].target, cases[i].lease, &err), TW_CONFIG);
        unit_assert_contains(err.message, cases[i].word);
    }
    unit_assert_ok(parse(", target: {kubernetes: {name: web}}", "web-scaler", &err), &err);
    unit_assert_ok(parse(", target: {exec: {set: [a]}}", "/run/web.lock", &err), &err);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(a_file_is_held_by_one_process),
        UNIT_CASE(a_version_ages_until_it_changes),
        UNIT_CASE(who_we_are_outlives_a_restart),
        UNIT_CASE(mistakes_are_named_with_their_cure),
        {0},
    };
    return unit_run("autoscaler/lease", cases);
}
