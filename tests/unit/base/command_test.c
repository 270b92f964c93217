/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/unit.h"

static struct tw_buf output, complaint;

/* A shell's line, with what tests of it want. */
static enum tw_code run_shell(const char *line, struct tw_str input, int64_t timeout_ms,
                              int *ret_status, struct tw_err *err)
{
    const char *words[] = {"sh", "-c", line, NULL};
    const struct tw_http_pair variables[] = {{TW_STR("TIDEWATCH_TO"), TW_STR("7")},
                                             {TW_STR("HOME"), TW_STR("/else where")}};
    const struct tw_command command = {.words = words,
                                       .variables = variables,
                                       .variable_count = 2,
                                       .input = input,
                                       .timeout_ms = timeout_ms,
                                       .ret_output = &output,
                                       .ret_complaint = &complaint};
    tw_buf_fini(&output);
    tw_buf_fini(&complaint);
    tw_buf_init(&output, 100);
    tw_buf_init(&complaint, 100);
    return tw_command_run(&command, ret_status, err);
}

START_TEST(gives_and_takes)
{
    struct tw_err err = {0};
    int status = -1;
    unit_assert_ok(run_shell("cat; echo \"$TIDEWATCH_TO $HOME\"; echo no >&2; exit 3",
                             TW_STR("in "), 10000, &status, &err),
                   &err);
    ck_assert_int_eq(status, 3);
    unit_assert_str(tw_buf_str(&output), "in 7 /else where\n");
    unit_assert_str(tw_buf_str(&complaint), "no\n");
    /* As scripts do it; a socket could not be opened by name. */
    unit_assert_ok(run_shell("cat /dev/stdin >/dev/stderr", TW_STR("again"), 10000, &status, &err),
                   &err);
    unit_assert_str(tw_buf_str(&complaint), "again");
}
END_TEST

START_TEST(cuts_what_is_too_much)
{
    struct tw_err err = {0};
    int status = -1;
    unit_assert_ok(run_shell("i=0; while [ $i -lt 5000 ]; do echo 0123456789 0123456789; "
                             "i=$((i + 1)); done",
                             TW_STR(""), 10000, &status, &err),
                   &err);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(output.size, 100);
}
END_TEST

START_TEST(ends_what_does_not_end)
{
    struct tw_err err = {0};
    int status = -1;
    unit_assert_code(run_shell("sleep 600 & sleep 600; echo late", TW_STR(""), 100, &status, &err),
                     TW_TIMEOUT);
    unit_assert_contains(err.message, "did not end within 100 ms");
    ck_assert_int_eq(status, 128 + SIGTERM);
    unit_assert_code(
        run_shell("trap '' TERM; while :; do sleep 0.1; done", TW_STR(""), 100, &status, &err),
        TW_TIMEOUT);
    ck_assert_int_eq(status, 128 + SIGKILL);
}
END_TEST

START_TEST(does_not_wait_for_the_background)
{
    struct tw_err err = {0};
    int status = -1;
    unit_assert_ok(run_shell("(sleep 2; echo late) & echo now", TW_STR(""), 60000, &status, &err),
                   &err);
    unit_assert_str(tw_buf_str(&output), "now\n");
}
END_TEST

START_TEST(says_what_cannot_start)
{
    struct tw_err err = {0};
    int status = -1;
    const char *words[] = {"/nonexistent/deploy", NULL};
    const struct tw_command command = {.words = words, .timeout_ms = 1000};
    unit_assert_code(tw_command_run(&command, &status, &err), TW_NOT_FOUND);
    unit_assert_contains(err.message, "/nonexistent/deploy");
}
END_TEST

START_TEST(starts_and_leaves)
{
    struct tw_err err = {0};
    int pid = 0, status;
    const char *words[] = {"sh", "-c", "[ $TIDEWATCH_INDEX = 4 ] && exec sleep 600", NULL};
    const struct tw_http_pair variable = {TW_STR("TIDEWATCH_INDEX"), TW_STR("4")};
    unit_assert_ok(tw_command_start(words, &variable, 1, &pid, &err), &err);
    ck_assert_int_eq(getsid(pid), pid);
    ck_assert_int_eq(kill(pid, SIGTERM), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) || WIFEXITED(status));
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(gives_and_takes),
                                      UNIT_CASE(cuts_what_is_too_much),
                                      UNIT_CASE(ends_what_does_not_end),
                                      UNIT_CASE(does_not_wait_for_the_background),
                                      UNIT_CASE(says_what_cannot_start),
                                      UNIT_CASE(starts_and_leaves),
                                      {0}};
    return unit_run("base/command", cases);
}
