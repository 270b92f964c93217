/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/unit.h"
#include "tsdb/state.h"

static struct tw_err err;

static struct tsdb_state *open_state(const char *name)
{
    static char path[4096];
    struct tsdb_state *state;
    snprintf(path, sizeof path, "%s/%s", unit_folder(), name);
    unit_assert_ok(tsdb_state_open(path, &state, &err), &err);
    return state;
}

static struct tsdb_state_txn *begin(struct tsdb_state *state, bool write)
{
    struct tsdb_state_txn *txn;
    unit_assert_ok(tsdb_state_begin(state, write, &txn, &err), &err);
    return txn;
}

START_TEST(keeps_what_is_committed)
{
    struct tsdb_state *state = open_state("keeps");
    struct tsdb_state_txn *txn = begin(state, true);
    unit_assert_ok(tsdb_state_put(txn, "a", TW_STR("k1"), TW_STR("v1"), &err), &err);
    unit_assert_ok(tsdb_state_put(txn, "b", TW_STR("k1"), TW_STR(""), &err), &err);
    unit_assert_ok(tsdb_state_commit(txn, &err), &err);
    txn = begin(state, true);
    unit_assert_ok(tsdb_state_put(txn, "a", TW_STR("k1"), TW_STR("other"), &err), &err);
    unit_assert_ok(tsdb_state_delete(txn, "b", TW_STR("k1"), &err), &err);
    tsdb_state_abort(txn);
    tsdb_state_close(state);
    state = open_state("keeps");
    txn = begin(state, false);
    struct tw_str value;
    unit_assert_ok(tsdb_state_get(txn, "a", TW_STR("k1"), &value, &err), &err);
    unit_assert_str(value, "v1");
    unit_assert_ok(tsdb_state_get(txn, "b", TW_STR("k1"), &value, &err), &err);
    ck_assert_uint_eq(value.size, 0);
    unit_assert_code(tsdb_state_get(txn, "c", TW_STR("k1"), &value, &err), TW_NOT_FOUND);
    tsdb_state_abort(txn);
    tsdb_state_close(state);
}
END_TEST

struct seen {
    char text[400];
    int limit;
};

static bool visit(void *user, struct tw_str key, struct tw_str value)
{
    struct seen *seen = user;
    size_t at = strlen(seen->text);
    snprintf(seen->text + at, sizeof seen->text - at, "%.*s=%.*s ", TW_STR_ARG(key),
             TW_STR_ARG(value));
    return --seen->limit != 0;
}

static void check_each(struct tsdb_state_txn *txn, const char *prefix, const char *from,
                       bool reverse, int limit, const char *wanted)
{
    struct seen seen = {.limit = limit};
    unit_assert_ok(
        tsdb_state_each(txn, "t", tw_str(prefix), tw_str(from), reverse, visit, &seen, &err), &err);
    ck_assert_str_eq(seen.text, wanted);
}

START_TEST(visits_in_order)
{
    struct tsdb_state *state = open_state("order");
    struct tsdb_state_txn *txn = begin(state, true);
    check_each(txn, "", "", false, 0, "");
    check_each(txn, "", "", true, 0, "");
    static const char *const keys[] = {"b2", "a1", "c1", "b1", "b3"};
    for (size_t i = 0; i < 5; i++)
        unit_assert_ok(tsdb_state_put(txn, "t", tw_str(keys[i]), tw_str(keys[i] + 1), &err), &err);
    unit_assert_ok(tsdb_state_put(txn, "s", TW_STR("z"), TW_STR(""), &err), &err);
    unit_assert_ok(tsdb_state_put(txn, "u", TW_STR("a"), TW_STR(""), &err), &err);
    check_each(txn, "", "", false, 0, "a1=1 b1=1 b2=2 b3=3 c1=1 ");
    check_each(txn, "", "", true, 0, "c1=1 b3=3 b2=2 b1=1 a1=1 ");
    check_each(txn, "b", "", false, 0, "b1=1 b2=2 b3=3 ");
    check_each(txn, "b", "", true, 2, "b3=3 b2=2 ");
    check_each(txn, "b", "b2", false, 0, "b2=2 b3=3 ");
    check_each(txn, "b", "b2x", true, 0, "b2=2 b1=1 ");
    check_each(txn, "b", "a", false, 0, "b1=1 b2=2 b3=3 ");
    check_each(txn, "b", "a", true, 0, "");
    check_each(txn, "b", "x", true, 0, "b3=3 b2=2 b1=1 ");
    check_each(txn, "b", "x", false, 0, "");
    check_each(txn, "x", "", true, 0, "");
    tsdb_state_abort(txn);
    tsdb_state_close(state);
}
END_TEST

START_TEST(grows_past_its_map)
{
    struct tsdb_state *state = open_state("grows");
    struct tsdb_state_txn *txn = begin(state, true);
    size_t size = TSDB_STATE_VALUE_BYTES_MAX;
    char *bytes = malloc(size);
    for (int i = 0; i < 20; i++) {
        memset(bytes, 'a' + i, size);
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        unit_assert_ok(tsdb_state_put(txn, "t", tw_str(key), (struct tw_str){bytes, size}, &err),
                       &err);
    }
    unit_assert_ok(tsdb_state_commit(txn, &err), &err);
    txn = begin(state, false);
    struct tw_str value;
    unit_assert_ok(tsdb_state_get(txn, "t", TW_STR("k0"), &value, &err), &err);
    ck_assert(value.size == size && value.data[size - 1] == 'a');
    tsdb_state_abort(txn);
    txn = begin(state, true);
    unit_assert_code(tsdb_state_put(txn, "t", TW_STR("k"), (struct tw_str){bytes, size + 1}, &err),
                     TW_TOO_LARGE);
    tsdb_state_abort(txn);
    free(bytes);
    tsdb_state_close(state);
}
END_TEST

START_TEST(opened_once)
{
    struct tsdb_state *state = open_state("once"), *second;
    char path[4096];
    snprintf(path, sizeof path, "%s/once", unit_folder());
    unit_assert_code(tsdb_state_open(path, &second, &err), TW_BUSY);
    tsdb_state_close(state);
}
END_TEST

/* A flipped byte of a value is an error, never another value. */
START_TEST(damage_is_seen)
{
    struct tsdb_state *state = open_state("damage");
    struct tsdb_state_txn *txn = begin(state, true);
    unit_assert_ok(tsdb_state_put(txn, "t", TW_STR("key"), TW_STR("precious value"), &err), &err);
    unit_assert_ok(tsdb_state_commit(txn, &err), &err);
    tsdb_state_close(state);
    char path[4096];
    snprintf(path, sizeof path, "%s/damage/state.mdb", unit_folder());
    FILE *file = fopen(path, "r+b");
    static char content[1 << 20];
    size_t size = fread(content, 1, sizeof content, file);
    size_t at = tw_str_find((struct tw_str){content, size}, TW_STR("precious value"));
    ck_assert(at != SIZE_MAX);
    fseek(file, (long)at + 3, SEEK_SET);
    fputc('X', file);
    fclose(file);
    state = open_state("damage");
    txn = begin(state, false);
    struct tw_str value;
    unit_assert_code(tsdb_state_get(txn, "t", TW_STR("key"), &value, &err), TW_CORRUPT);
    unit_assert_contains(err.message, "checksum");
    tsdb_state_abort(txn);
    tsdb_state_close(state);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(keeps_what_is_committed), UNIT_CASE(visits_in_order),
        UNIT_CASE(grows_past_its_map),      UNIT_CASE(opened_once),
        UNIT_CASE(damage_is_seen),          {0}};
    return unit_run("tsdb/state", cases);
}
