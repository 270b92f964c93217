/* SPDX-License-Identifier: Apache-2.0
 *
 * delete_test: what is deleted, or past its retention, is not seen any more at once, and its bytes
 * go; everything else stays.
 */
#include "config.h"

#include "base/file.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/db_int.h"
#include "tsdb/rewriter.h"

#define DAY TSDB_DAY_MS
#define HOUR (TSDB_DAY_MS / 24)

static char path[4096];
static struct tsdb_db *db;
static struct tw_clock *test_clock;
static struct tw_err err;
static struct tsdb_db_options options;

static void open_db(void)
{
    options.folder = path;
    options.clock = test_clock;
    options.manual = true;
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
}

static void setup(void)
{
    static int number;
    snprintf(path, sizeof path, "%s/delete%d", unit_folder(), number++);
    test_clock = tw_clock_manual_new(100 * DAY);
    options = (struct tsdb_db_options){0};
    open_db();
}

static void teardown(void)
{
    tsdb_db_close(db);
    tw_clock_manual_free(test_clock);
}

static void reopen(void)
{
    tsdb_db_close(db);
    open_db();
}

static void append(const char *series, int64_t time_ms, double value)
{
    unit_assert_ok(store_append(db, series, time_ms, value, &err), &err);
}

static void flush(void)
{
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
}

static void keep(void)
{
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
}

static enum tw_code try_delete(const char *name, const char *value, int64_t start_ms,
                               int64_t end_ms)
{
    const struct tsdb_matcher matcher = {
        .op = TSDB_MATCH_REGEX, .name = tw_str(name), .value = tw_str(value)};
    struct tsdb_matcher compiled;
    unit_assert_ok(
        tsdb_matcher_init(&compiled, TSDB_MATCH_REGEX, matcher.name, matcher.value, &err), &err);
    struct tsdb_selector selector = {&compiled, 1};
    struct tw_context context = store_context();
    enum tw_code code = tsdb_db_delete(db, &context, &selector, 1, start_ms, end_ms, &err);
    tsdb_matcher_fini(&compiled);
    return code;
}

static void delete (const char *name, const char *value, int64_t start_ms, int64_t end_ms)
{
    unit_assert_ok(try_delete(name, value, start_ms, end_ms), &err);
}

static void assert_reads(const char *wanted)
{
    char *text = store_read(db, NULL, NULL, NULL, INT64_MIN, INT64_MAX);
    ck_assert_str_eq(text, wanted);
    free(text);
}

static size_t tombstone_count(void)
{
    struct tsdb_erasers *list = tsdb_tombstones_list(db->tombstones);
    size_t count = tsdb_erasers_tombstone_count(list);
    tsdb_erasers_unref(list);
    return count;
}

static void assert_values(const char *name, const char *wanted)
{
    struct tw_arena *arena = tw_arena_new(1024);
    struct tw_context context = store_context();
    struct tsdb_strings values;
    unit_assert_ok(tsdb_label_values(tsdb_db_storage(db), &context, tw_str(name), NULL, 0,
                                     INT64_MIN, INT64_MAX, 0, arena, &values, &err),
                   &err);
    char text[256] = "";
    for (size_t i = 0; i < values.count; i++) {
        strncat(text, values.items[i].data, values.items[i].size);
        strcat(text, " ");
    }
    ck_assert_str_eq(text, wanted);
    tw_arena_free(arena);
}

START_TEST(deleted_is_gone_and_may_come_back)
{
    setup();
    append("m,host=a", 10 * DAY + 1, 1); /* in a partition */
    append("m,host=b", 10 * DAY + 1, 2);
    flush();
    append("m,host=a", 10 * DAY + 2, 3); /* in the head */
    append("m,host=b", 10 * DAY + 2, 4);
    append("m,host=a", 50 * DAY, 5);
    delete ("host", "a|c", 10 * DAY, 11 * DAY);
    const char *gone = "m{host=\"a\"}: 4320000000=5\nm{host=\"b\"}: 864000001=2 864000002=4\n";
    assert_reads(gone);
    append("m,host=a", 10 * DAY + 2, 6);
    const char *again = "m{host=\"a\"}: 864000002=6 4320000000=5\n"
                        "m{host=\"b\"}: 864000001=2 864000002=4\n";
    assert_reads(again);
    ck_assert_uint_eq(tombstone_count(), 1);
    reopen();
    assert_reads(again);
    flush();
    assert_reads(again);
    keep(); /* the old run and the newer one become one */
    assert_reads(again);
    ck_assert_uint_eq(tombstone_count(), 0);
    reopen();
    assert_reads(again);
    delete ("host", "a", INT64_MIN, INT64_MAX);
    assert_reads("m{host=\"b\"}: 864000001=2 864000002=4\n");
    unit_assert_ok(tsdb_db_clean_tombstones(db, &err), &err);
    ck_assert_uint_eq(tombstone_count(), 0);
    assert_reads("m{host=\"b\"}: 864000001=2 864000002=4\n");
    assert_values("host", "b ");
    append("m,host=a", 10 * DAY + 1, 7);
    append("m,host=a", 50 * DAY, 7);
    flush();
    assert_reads("m{host=\"a\"}: 864000001=7 4320000000=7\n"
                 "m{host=\"b\"}: 864000001=2 864000002=4\n");
    teardown();
}
END_TEST

/* m{host="h..."}, one request. */
static void append_many(int host, int day, int count)
{
    char series[64];
    struct wire_label items[8];
    struct tsdb_sample samples[200];
    snprintf(series, sizeof series, "m,host=h%d", host);
    for (int i = 0; i < count; i++)
        samples[i] = (struct tsdb_sample){store_labels(series, items), day * DAY + i * 15000,
                                          (double)(host + i) * i * 0.1234567};
    struct tw_context context = store_context();
    enum tw_code code = tsdb_append(tsdb_db_storage(db), &context, samples, (size_t)count, &err);
    if (code == TW_NO_SPACE) { /* the keeper's thread would look at once */
        keep();
        code = tsdb_append(tsdb_db_storage(db), &context, samples, (size_t)count, &err);
    }
    unit_assert_ok(code, &err);
}

START_TEST(space_is_freed)
{
    setup();
    for (int i = 0; i < 300; i++)
        append_many(i, 10, 200);
    append("kept", 10 * DAY, 1);
    flush();
    struct tsdb_partition_info before, after;
    unit_assert_ok(tsdb_partitions_info(db->partitions, 10, &before, &err), &err);
    delete ("__name__", "m", INT64_MIN, INT64_MAX);
    assert_reads("kept: 864000000=1\n");
    keep();
    assert_reads("kept: 864000000=1\n");
    unit_assert_ok(tsdb_partitions_info(db->partitions, 10, &after, &err), &err);
    ck_assert_uint_lt(after.bytes * 2, before.bytes);
    ck_assert_uint_eq(after.samples, 1);
    assert_values("host", "");
    delete ("__name__", "kept", INT64_MIN, INT64_MAX); /* nothing at all is left */
    keep();
    assert_reads("");
    reopen();
    assert_reads("");
    append("m,host=h1", 10 * DAY, 5);
    flush();
    keep();
    assert_reads("m{host=\"h1\"}: 864000000=5\n");
    teardown();
}
END_TEST

/* A deletion, then a newer sample at the same time, while a rewrite is under way that has looked at
 * the partition already. */
static bool delete_meanwhile(void *user)
{
    int *step = user;
    if (++*step == 2) {
        delete ("host", "a", INT64_MIN, INT64_MAX);
        append("m,host=a", 10 * DAY + 1, 9);
        flush();
    }
    return false;
}

static struct tsdb_erasers *list(void *user)
{
    (void)user;
    return tsdb_tombstones_list(db->tombstones);
}

START_TEST(deleted_while_it_is_rewritten)
{
    setup();
    for (int i = 0; i < 3; i++) {
        append("m,host=a", 10 * DAY + 1 + i, i);
        append("m,host=b", 10 * DAY + 1 + i, i);
        flush();
    }
    int step = 0;
    struct tsdb_rewrite rewrite = {.day = 10,
                                   .now_ms = 1,
                                   .erasers = list,
                                   .flushed = tsdb_db_flushed(db),
                                   .cancelled = delete_meanwhile,
                                   .user = &step};
    struct tsdb_rewrite_result result;
    unit_assert_ok(tsdb_rewriter_run(db->partitions, &rewrite, &result, &err), &err);
    ck_assert_int_ge(step, 2);
    const char *wanted = "m{host=\"a\"}: 864000001=9\n"
                         "m{host=\"b\"}: 864000001=0 864000002=1 864000003=2\n";
    assert_reads(wanted);
    ck_assert_uint_eq(tombstone_count(), 1);
    reopen();
    assert_reads(wanted);
    keep();
    assert_reads(wanted);
    ck_assert_uint_eq(tombstone_count(), 0);
    teardown();
}
END_TEST

/* A segment that outlived its head brings nothing back. */
START_TEST(replay_brings_nothing_back)
{
    setup();
    append("m,host=a", 10 * DAY, 1);
    append("m,host=b", 10 * DAY, 1);
    char *log = tw_file_join(path, "default/log"), **names;
    size_t count;
    struct tw_buf segment;
    tw_buf_init(&segment, (size_t)1 << 30);
    unit_assert_ok(tw_file_list(log, &names, &count, &err), &err);
    ck_assert_uint_eq(count, 1);
    char *file = tw_file_join(log, names[0]);
    unit_assert_ok(tw_file_read(file, &segment, &err), &err);
    flush();
    delete ("host", "a", INT64_MIN, INT64_MAX);
    append("m,host=a", 20 * DAY, 2);
    flush();
    keep();
    ck_assert_uint_eq(tombstone_count(), 0);
    const char *wanted = "m{host=\"a\"}: 1728000000=2\nm{host=\"b\"}: 864000000=1\n";
    assert_reads(wanted);
    tsdb_db_close(db);
    unit_assert_ok(tw_file_replace(file, tw_buf_str(&segment), 0600, &err), &err);
    open_db();
    assert_reads(wanted);
    tw_buf_fini(&segment);
    tw_file_list_free(names, count);
    free(file);
    free(log);
    teardown();
}
END_TEST

START_TEST(limits_and_mistakes)
{
    setup();
    struct tw_context context = store_context();
    struct tsdb_selector none = {NULL, 0};
    unit_assert_code(tsdb_db_delete(db, &context, &none, 1, 0, 1, &err), TW_BAD_DATA);
    unit_assert_code(tsdb_db_delete(db, &context, &none, 0, 0, 1, &err), TW_BAD_DATA);
    for (int i = 0; i < TSDB_TOMBSTONES_MAX; i++)
        delete ("a", "b", i, i);
    unit_assert_code(try_delete("a", "b", 0, 0), TW_OVERLOAD);
    unit_assert_contains(err.message, "clean_tombstones");
    reopen();
    ck_assert_uint_eq(tombstone_count(), TSDB_TOMBSTONES_MAX);
    unit_assert_ok(tsdb_db_clean_tombstones(db, &err), &err);
    ck_assert_uint_eq(tombstone_count(), 0);
    delete ("a", "b", 0, 0);
    teardown();
}
END_TEST

/* debug: three days, slo: for ever, all else: ten days. */
START_TEST(rules_of_retention)
{
    setup();
    tsdb_db_close(db);
    struct tsdb_matcher debug = {
        .op = TSDB_MATCH_EQUAL, .name = TW_STR("job"), .value = TW_STR("debug")};
    struct tsdb_matcher slo = {
        .op = TSDB_MATCH_EQUAL, .name = TW_STR("job"), .value = TW_STR("slo")};
    const struct tsdb_retention_rule rules[] = {
        {.matchers = &debug, .matcher_count = 1, .keep_ms = 3 * DAY},
        {.matchers = &slo, .matcher_count = 1}};
    options.retention_ms = 10 * DAY;
    options.retention_rules = rules;
    options.retention_rule_count = 2;
    open_db();
    static const char *const series[] = {"m,job=debug", "m,job=slo", "m,job=web"};
    for (int i = 0; i < 3; i++)
        for (int day = 80; day < 100; day += 4)
            append(series[i], day * DAY, day);
    append("m,job=debug", 97 * DAY, 97);
    append("m,job=debug", 97 * DAY - 1, 96);
    const char *wanted =
        "m{job=\"debug\"}: 8380800000=97\n"
        "m{job=\"slo\"}: 6912000000=80 7257600000=84 7603200000=88 7948800000=92 8294400000=96\n"
        "m{job=\"web\"}: 7948800000=92 8294400000=96\n";
    assert_reads(wanted);
    flush();
    assert_reads(wanted);
    keep();
    assert_reads(wanted);
    for (int day = 80; day < 100; day += 4) {
        struct tsdb_partition_info info;
        unit_assert_ok(tsdb_partitions_info(db->partitions, day, &info, &err), &err);
        ck_assert_uint_eq(info.samples, day < 90 ? 1 : 2);
    }
    tw_clock_manual_advance(test_clock, DAY / 2); /* of a day partly past its time all is there */
    keep();
    struct tsdb_partition_info info;
    unit_assert_ok(tsdb_partitions_info(db->partitions, 97, &info, &err), &err);
    ck_assert_uint_eq(info.samples, 1);
    tw_clock_manual_advance(test_clock, DAY / 2);
    keep();
    unit_assert_ok(tsdb_partitions_info(db->partitions, 97, &info, &err), &err);
    ck_assert_uint_eq(info.samples, 0);
    reopen();
    assert_reads("m{job=\"slo\"}: 6912000000=80 7257600000=84 7603200000=88 7948800000=92 "
                 "8294400000=96\n"
                 "m{job=\"web\"}: 7948800000=92 8294400000=96\n");
    teardown();
}
END_TEST

/* Forty days of random values in a folder that has room for a few. */
START_TEST(size_is_a_hard_bound)
{
    setup();
    tsdb_db_close(db);
    options.size_max = TSDB_SIZE_MIN - 1;
    unit_assert_code(tsdb_db_open(&options, &db, &err), TW_CONFIG);
    options.size_max = TSDB_SIZE_MIN;
    open_db();
    uint64_t highest = 0;
    for (int day = 50; day < 90; day++) {
        for (int part = 0; part < 4; part++) {
            uint64_t bytes;
            for (int i = 0; i < 60; i++)
                append_many(day * 100 + part * 60 + i, day, 200);
            keep();
            flush();
            unit_assert_ok(tw_file_folder_bytes(path, &bytes, &err), &err);
            highest = bytes > highest ? bytes : highest;
            ck_assert_uint_le(bytes, options.size_max);
        }
    }
    ck_assert_uint_gt(highest, options.size_max / 2); /* and it is made use of */
    int64_t *days;
    size_t count;
    tsdb_partitions_days(db->partitions, &days, &count);
    ck_assert_uint_ge(count, 2);
    ck_assert_uint_lt(count, 30);
    for (size_t i = 0; i < count; i++) /* the newest ones, without a gap */
        ck_assert_int_eq(days[i], 90 - (int64_t)count + (int64_t)i);
    free(days);
    teardown();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(deleted_is_gone_and_may_come_back),
                                      UNIT_CASE(space_is_freed),
                                      UNIT_CASE(deleted_while_it_is_rewritten),
                                      UNIT_CASE(replay_brings_nothing_back),
                                      UNIT_CASE(limits_and_mistakes),
                                      UNIT_CASE(rules_of_retention),
                                      UNIT_CASE_SLOW(size_is_a_hard_bound, 300),
                                      {0}};
    return unit_run("tsdb/delete", cases);
}
