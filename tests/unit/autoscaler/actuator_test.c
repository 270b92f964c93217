/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/actuator.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/file.h"
#include "tests/lib/unit.h"
#include "tests/unit/autoscaler/sink.h"

static struct tsdb_state *state;
static struct tw_clock *clock_now;
static struct scale_means *means;
static struct tw_arena *arena;
static struct scale_settings settings;

static void begin(const char *target)
{
    struct tw_err err = {0};
    struct tw_yaml *root = NULL;
    arena = tw_arena_new(1024);
    clock_now = tw_clock_manual_new(1767571200000);
    unit_assert_ok(tsdb_state_open(unit_folder(), &state, &err), &err);
    means = scale_means_new(state, clock_now);
    scale_settings_init(&settings);
    settings.name = TW_STR("web");
    unit_assert_ok(tw_yaml_parse(arena, "t.yml", tw_str(target), &root, &err), &err);
    unit_assert_ok(scale_target_parse(arena, "t.yml", root, &settings.target, &err), &err);
}

static void end(void)
{
    scale_means_free(means);
    tsdb_state_close(state);
    tw_clock_manual_free(clock_now);
    tw_arena_free(arena);
}

/* Replicas are set, or looked at with to -1. */
static struct scale_attempt *attempt(int64_t from, int64_t to)
{
    struct scale_decision decision = {
        .time_ms = 1767571200000, .from = from, .to = to, .reason = "Load is 9."};
    scale_order_key(settings.name, &decision);
    struct scale_attempt *made = to < 0 ? scale_attempt_new_look(means, &settings)
                                        : scale_attempt_new(means, &settings, &decision);
    scale_attempt_run(made);
    return made;
}

/* A program of the test, made of shell lines. */
static const char *script(const char *name, const char *lines)
{
    static char paths[2][256]; /* a test has two at most */
    static size_t next;
    char *path = paths[next++ % 2];
    struct tw_buf text;
    struct tw_err err = {0};
    tw_buf_init(&text, 1 << 16);
    tw_buf_appendf(&text, "#!/bin/sh\ncd %s\n%s", unit_folder(), lines);
    snprintf(path, sizeof paths[0], "%s/%s", unit_folder(), name);
    unit_assert_ok(tw_file_replace(path, tw_buf_str(&text), 0755, &err), &err);
    tw_buf_fini(&text);
    return path;
}

static void expect_file(const char *name, const char *wanted)
{
    struct tw_buf text;
    struct tw_err err = {0};
    tw_buf_init(&text, 1 << 16);
    char *path = tw_file_join(unit_folder(), name);
    unit_assert_ok(tw_file_read(path, &text, &err), &err);
    ck_assert_str_eq(tw_buf_cstr(&text), wanted);
    tw_buf_fini(&text);
    free(path);
}

START_TEST(exec_sets_and_gets)
{
    char target[512];
    const char *set = script(
        "set",
        "echo \"$@ $TIDEWATCH_SCALER $TIDEWATCH_FROM $TIDEWATCH_TO $TIDEWATCH_REASON\" >told\n"
        "grep -q '\"to\":7' && echo \"$3\" >count\n");
    const char *get = script("get", "echo \"$(cat count) 5\"\n");
    snprintf(target, sizeof target, "exec: {set: [%s, '{scaler}', 'n={to}', '{to}'], get: [%s]}",
             set, get);
    begin(target);
    struct scale_attempt *done = attempt(4, 7);
    ck_assert_msg(done->outcome == SCALE_DONE, "%s", done->error);
    scale_attempt_free(done);
    expect_file("told", "web n=7 7 web 4 7 Load is 9.\n");
    done = attempt(4, -1);
    ck_assert_msg(done->outcome == SCALE_DONE, "%s", done->error);
    ck_assert_int_eq(done->replicas, 7);
    ck_assert_int_eq(done->ready, 5);
    scale_attempt_free(done);
    end();
}
END_TEST

static const struct failing {
    const char *lines, *error;
    enum scale_outcome outcome;
} failing[] = {
    {"echo no such group >&2; exit 1", "exited with 1: no such group", SCALE_AGAIN},
    {"echo usage: x >&2; exit 64", "exited with 64: usage: x", SCALE_REFUSED},
    {"exit 75", "exited with 75", SCALE_AGAIN},
    {"sleep 60", "did not end within 200 ms", SCALE_AGAIN},
};

START_TEST(exec_fails)
{
    char target[512];
    snprintf(target, sizeof target, "exec: {set: [%s], timeout: 200ms}",
             script("set", failing[_i].lines));
    begin(target);
    struct scale_attempt *done = attempt(4, 7);
    ck_assert_int_eq(done->outcome, failing[_i].outcome);
    unit_assert_contains(done->error, failing[_i].error);
    scale_attempt_free(done);
    end();
}
END_TEST

START_TEST(exec_reads_only_numbers)
{
    char target[512];
    snprintf(target, sizeof target, "exec: {set: [true], get: [%s]}",
             script("get", "echo None; exit 0"));
    begin(target);
    struct scale_attempt *done = attempt(4, -1);
    ck_assert_int_eq(done->outcome, SCALE_AGAIN);
    unit_assert_contains(done->error, "has to print \"replicas ready\", but printed \"None\"");
    ck_assert_int_eq(done->replicas, -1);
    scale_attempt_free(done);
    end();
}
END_TEST

/* A systemctl that keeps its units as files in a folder. */
static const char fake_systemctl[] =
    "mkdir -p units; echo \"$*\" >>calls; shift; [ \"$1\" = --no-block ] && shift\n"
    "verb=$1; shift\n"
    "case $verb in\n"
    "list-units) for u in units/*; do [ -f \"$u\" ] && echo \"${u#units/} loaded $(cat \"$u\") x "
    "A\"; "
    "done;;\n"
    "start) for u; do echo activating >\"units/$u\"; done;;\n"
    "stop) for u; do rm \"units/$u\"; done;;\n"
    "esac; exit 0\n";

START_TEST(systemd_starts_and_stops)
{
    char target[512], line[512];
    snprintf(target, sizeof target, "systemd: {unit: 'worker@.service', systemctl: %s}",
             script("systemctl", fake_systemctl));
    begin(target);
    snprintf(line, sizeof line,
             "cd %s && rm -rf units calls && mkdir units && echo active >units/worker@2.service && "
             "echo failed >units/worker@3.service && echo active >units/worker@blue.service && "
             "echo active >units/worker@9.service",
             unit_folder());
    ck_assert_int_eq(system(line), 0);
    struct scale_attempt *done = attempt(-1, -1);
    ck_assert_msg(done->outcome == SCALE_DONE, "%s", done->error);
    ck_assert_int_eq(done->replicas, 2); /* 2 and 9 */
    scale_attempt_free(done);
    done = attempt(2, 4);
    ck_assert_msg(done->outcome == SCALE_DONE, "%s", done->error);
    scale_attempt_free(done);
    expect_file("calls",
                "--system list-units --all --plain --full --no-legend --no-pager worker@*.service\n"
                "--system list-units --all --plain --full --no-legend --no-pager worker@*.service\n"
                "--system --no-block start worker@1.service worker@3.service worker@4.service\n"
                "--system --no-block stop worker@9.service\n");
    done = attempt(-1, -1);
    ck_assert_int_eq(done->replicas, 4);
    ck_assert_int_eq(done->ready, 1);
    scale_attempt_free(done);
    end();
}
END_TEST

static int64_t look(int64_t *ret_ready)
{
    struct scale_attempt *done = attempt(-1, -1);
    ck_assert_msg(done->outcome == SCALE_DONE, "%s", done->error);
    int64_t replicas = done->replicas;
    *ret_ready = done->ready;
    scale_attempt_free(done);
    return replicas;
}

static void set(int64_t from, int64_t to)
{
    struct scale_attempt *done = attempt(from, to);
    ck_assert_msg(done->outcome == SCALE_DONE, "%s", done->error);
    scale_attempt_free(done);
}

START_TEST(processes_come_go_and_outlive_us)
{
    int64_t ready = 0;
    char target[512];
    snprintf(target, sizeof target,
             "process: {command: [sh, -c, 'echo $$ >%s/pid$0; exec sleep 60', '{index}'], "
             "stop_after: 1s}",
             unit_folder());
    begin(target);
    ck_assert_int_eq(look(&ready), 0);
    set(0, 3);
    ck_assert_int_eq(look(&ready), 3);
    ck_assert_int_eq(ready, 3);
    end();
    begin(target); /* after a restart */
    ck_assert_int_eq(look(&ready), 3);
    char line[512];
    snprintf(line, sizeof line, "until [ -s %s/pid2 ]; do sleep 0.02; done; kill $(cat %s/pid2)",
             unit_folder(), unit_folder());
    ck_assert_int_eq(system(line), 0);
    for (int i = 0; i < 100 && look(&ready) != 2; i++)
        usleep(20000);
    ck_assert_int_eq(look(&ready), 2);
    set(2, 3); /* the one that died comes again */
    ck_assert_int_eq(look(&ready), 3);
    set(3, 1);
    ck_assert_int_eq(look(&ready), 1);
    set(1, 0);
    ck_assert_int_eq(look(&ready), 0);
    end();
}
END_TEST

START_TEST(a_stubborn_process_is_made_to_end)
{
    int64_t ready = 0;
    begin("process: {command: [sh, -c, 'trap \"\" TERM; while :; do sleep 1; done'], stop_after: "
          "200ms}");
    set(0, 2);
    ck_assert_int_eq(look(&ready), 2);
    set(2, 0);
    ck_assert_int_eq(look(&ready), 0);
    end();
}
END_TEST

START_TEST(a_program_that_is_not_there)
{
    begin("process: {command: [/nonexistent/worker]}");
    struct scale_attempt *done = attempt(0, 1);
    ck_assert_int_eq(done->outcome, SCALE_AGAIN);
    unit_assert_contains(done->error, "cannot start '/nonexistent/worker'");
    scale_attempt_free(done);
    end();
}
END_TEST

START_TEST(webhooks_are_signed)
{
    char target[512], wanted[160] = "X-Tidewatch-Signature: t=1767571200,v1=";
    struct tw_err err = {0};
    struct sink *sink = sink_new();
    char *secret = tw_file_join(unit_folder(), "secret");
    unit_assert_ok(tw_file_replace(secret, TW_STR("key of ours\n"), 0600, &err), &err);
    snprintf(target, sizeof target, "webhook: {url: 'http://127.0.0.1:%d/scale', secret_file: %s}",
             sink_port(sink), secret);
    begin(target);
    set(1, 2);
    ck_assert_uint_eq(sink_count(sink), 1);
    const char *request = sink_request(sink, 0), *body = strstr(request, "\r\n\r\n") + 4;
    uint8_t digest[TW_SHA256_BYTES];
    struct tw_str text = tw_arena_format(arena, "1767571200.%s", body);
    tw_hmac_sha256(TW_STR("key of ours"), text, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(wanted + strlen(wanted), 3, "%02x", digest[i]);
    unit_assert_contains(request, wanted);
    ck_assert_int_eq(unlink(secret), 0);
    struct scale_attempt *done = attempt(2, 3);
    ck_assert_int_eq(done->outcome, SCALE_AGAIN);
    unit_assert_contains(done->error, "secret");
    ck_assert_uint_eq(sink_count(sink), 1); /* never without a signature */
    scale_attempt_free(done);
    free(secret);
    sink_free(sink);
    end();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(exec_sets_and_gets),
                                      UNIT_LOOP(exec_fails, 0, sizeof failing / sizeof *failing),
                                      UNIT_CASE(exec_reads_only_numbers),
                                      UNIT_CASE(systemd_starts_and_stops),
                                      UNIT_CASE(processes_come_go_and_outlive_us),
                                      UNIT_CASE(a_stubborn_process_is_made_to_end),
                                      UNIT_CASE(a_program_that_is_not_there),
                                      UNIT_CASE(webhooks_are_signed),
                                      {0}};
    return unit_run("autoscaler/actuator", cases);
}
