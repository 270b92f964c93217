/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/params.h"

#include "tests/lib/unit.h"

#define PARSE(params, wish, err, ...)                                                              \
    parse((const char *[]){"tidewatchd", __VA_ARGS__, NULL}, (params), (wish), (err))

static enum tw_code parse(const char *const *argv, struct daemon_params *params,
                          enum daemon_params_wish *wish, struct tw_err *err)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    return daemon_params_parse(argc, argv, params, wish, err);
}

START_TEST(has_defaults)
{
    struct daemon_params params;
    enum daemon_params_wish wish;
    struct tw_err err;
    const char *argv[] = {"tidewatchd", NULL};
    unit_assert_ok(parse(argv, &params, &wish, &err), &err);
    ck_assert_int_eq(wish, DAEMON_PARAMS_RUN);
    ck_assert_str_eq(params.listen, "127.0.0.1:9090");
    ck_assert_int_eq(params.retention, INT64_C(30) * 86400000);
    ck_assert_uint_eq(params.http_body_max, 64 << 20);
    ck_assert(!params.enable_lifecycle);
    ck_assert_str_eq(params.enable_feature, "");
}
END_TEST

START_TEST(takes_values_in_both_forms)
{
    struct daemon_params params;
    enum daemon_params_wish wish;
    struct tw_err err;
    unit_assert_ok(PARSE(&params, &wish, &err, "--listen", ":1", "--retention=off",
                         "--enable-lifecycle", "--http-body-max=2MB", "--query-threads", "7",
                         "--enable-feature=all-promql,promql-delayed-name-removal"),
                   &err);
    ck_assert_str_eq(params.listen, ":1");
    ck_assert_int_eq(params.retention, 0);
    ck_assert(params.enable_lifecycle);
    ck_assert_uint_eq(params.http_body_max, 2 << 20);
    ck_assert_int_eq(params.query_threads, 7);
    ck_assert(daemon_params_has(params.enable_feature, "all-promql"));
    ck_assert(!daemon_params_has(params.enable_feature, "all"));
}
END_TEST

static const struct {
    const char *word, *value, *message;
} bad[] = {
    {"--lisen", "x", "unknown option --lisen; did you mean --listen?"},
    {"--frobnicate", NULL, "unknown option --frobnicate; --help lists all"},
    {"--data", NULL, "--data needs a value: --data FOLDER"},
    {"data", NULL, "unexpected argument 'data'"},
    {"--retention=soon", NULL, "--retention takes a duration such as 30s or 15d, or off"},
    {"--query-timeout=off", NULL, "--query-timeout takes a duration"},
    {"--query-threads=0", NULL, "--query-threads takes a whole number between 1 and 256, not '0'"},
    {"--http-body-max=1", NULL, "--http-body-max must lie between 1024 and"},
    {"--http-body-max=much", NULL, "--http-body-max takes a size such as 512MB or 2GiB"},
    {"--log-level=loud", NULL, "--log-level takes error, warn, info or debug, not 'loud'"},
    {"--enable-feature=all-promqI", NULL,
     "unknown feature 'all-promqI'; did you mean 'all-promql'?"},
    {"--enable-lifecycle=maybe", NULL, "--enable-lifecycle takes true, false or nothing"},
};

START_TEST(names_the_mistake_and_the_cure)
{
    struct daemon_params params;
    enum daemon_params_wish wish;
    struct tw_err err;
    const char *argv[] = {"tidewatchd", bad[_i].word, bad[_i].value, NULL};
    unit_assert_code(parse(argv, &params, &wish, &err), TW_CONFIG);
    unit_assert_contains(err.message, bad[_i].message);
}
END_TEST

START_TEST(help_wins_and_names_all)
{
    struct daemon_params params;
    enum daemon_params_wish wish;
    struct tw_err err;
    unit_assert_ok(PARSE(&params, &wish, &err, "--nonsense", "--help"), &err);
    ck_assert_int_eq(wish, DAEMON_PARAMS_HELP);
    unit_assert_ok(PARSE(&params, &wish, &err, "--version"), &err);
    ck_assert_int_eq(wish, DAEMON_PARAMS_VERSION);
    struct tw_buf text;
    tw_buf_init(&text, 1 << 16);
    daemon_params_help(&text);
    const char *help = tw_buf_cstr(&text);
#define PARAM(field, flag, type, value, min, max, shown, help_text)                                \
    unit_assert_contains(help, "  --" flag);
#include "daemon/params.tbl"
#undef PARAM
    tw_buf_fini(&text);
}
END_TEST

static void find_retention(void *user, const char *flag, const char *value)
{
    if (!strcmp(flag, "retention"))
        ck_assert_str_eq(value, "off");
    if (!strcmp(flag, "query-timeout"))
        ck_assert_str_eq(value, "1m30s");
    ++*(int *)user;
}

START_TEST(shows_what_is_in_force)
{
    struct daemon_params params;
    enum daemon_params_wish wish;
    struct tw_err err;
    int count = 0;
    unit_assert_ok(PARSE(&params, &wish, &err, "--retention=off", "--query-timeout=90s"), &err);
    daemon_params_each(&params, find_retention, &count);
    ck_assert_int_gt(count, 20);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(has_defaults),
        UNIT_CASE(takes_values_in_both_forms),
        UNIT_LOOP(names_the_mistake_and_the_cure, 0, sizeof bad / sizeof bad[0]),
        UNIT_CASE(help_wins_and_names_all),
        UNIT_CASE(shows_what_is_in_force),
        {0}};
    return unit_run("daemon/params", cases);
}
