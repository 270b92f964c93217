/* SPDX-License-Identifier: Apache-2.0
 *
 * rewrite_test: partitions are rewritten: runs merged, nothing lost beside it, whatever state of
 * the folder an interrupted rewrite leaves.
 */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/db_int.h"
#include "tsdb/rewriter.h"

#define DAY TSDB_DAY_MS
#define HOUR (TSDB_DAY_MS / 24)

static char path[4096];
static struct tsdb_db *db;
static struct tw_clock *test_clock;
static struct tw_metrics *metrics;
static struct tw_err err;

static void open_db(void)
{
    struct tsdb_db_options options = {
        .folder = path, .clock = test_clock, .metrics = metrics, .manual = true};
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
}

static void setup(int64_t now_ms)
{
    static int number;
    snprintf(path, sizeof path, "%s/rewrite%d", unit_folder(), number++);
    test_clock = tw_clock_manual_new(now_ms);
    metrics = tw_metrics_new();
    open_db();
}

static void teardown(void)
{
    tsdb_db_close(db);
    tw_metrics_free(metrics);
    tw_clock_manual_free(test_clock);
}

/* metrics live as long as a store: a new registry for each. */
static void reopen(void)
{
    tsdb_db_close(db);
    tw_metrics_free(metrics);
    metrics = tw_metrics_new();
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

static char *read_all(void)
{
    return store_read(db, NULL, NULL, NULL, INT64_MIN / 2, INT64_MAX / 2);
}

static void assert_reads(const char *wanted)
{
    char *text = read_all();
    ck_assert_str_eq(text, wanted);
    free(text);
}

static struct tsdb_partition_info info_of(int64_t day)
{
    struct tsdb_partition_info info;
    unit_assert_ok(tsdb_partitions_info(db->partitions, day, &info, &err), &err);
    return info;
}

static char *file(const char *name)
{
    char *folder = tw_file_join(path, "default/partitions");
    char *ret = tw_file_join(folder, name);
    free(folder);
    return ret;
}

static bool is_there(const char *name)
{
    char *at = file(name);
    bool ret = tw_file_exists(at);
    free(at);
    return ret;
}

static void copy(const char *from, const char *to)
{
    struct tw_buf bytes;
    tw_buf_init(&bytes, (size_t)1 << 30);
    char *source = file(from), *target = file(to);
    unit_assert_ok(tw_file_read(source, &bytes, &err), &err);
    unit_assert_ok(tw_file_replace(target, tw_buf_str(&bytes), 0600, &err), &err);
    tw_buf_fini(&bytes);
    free(source);
    free(target);
}

/* Six runs in day 10 and three in day 11: interleaved series, overwritten and late samples, stale
 * markers, series that come and go. */
static void write_days(void)
{
    for (int run = 0; run < 6; run++) {
        for (int i = 0; i < 300; i++) {
            char series[64];
            int64_t time_ms = 10 * DAY + run * 3 * HOUR + i * 15000;
            snprintf(series, sizeof series, "metric_%d,host=h%d", i % 3, i % 7);
            append(series, time_ms, run * 1000 + i * 0.25);
            snprintf(series, sizeof series, "late,run=r%d", run);
            if (i % 20 == 0)
                append(series, time_ms - 2 * HOUR, i);
        }
        append("again", 10 * DAY + 1000, run);
        append("again", 10 * DAY + 2000, run == 5 ? tw_double_from_bits(TW_STALE_BITS) : run);
        if (run % 2)
            append("metric_0,host=h0", 11 * DAY + run, run);
        flush();
    }
}

static void rewrite(int64_t day)
{
    struct tsdb_rewrite rewrite = {.day = day, .now_ms = 5};
    struct tsdb_rewrite_result result;
    unit_assert_ok(tsdb_rewriter_run(db->partitions, &rewrite, &result, &err), &err);
}

START_TEST(runs_become_one)
{
    setup(100 * DAY);
    write_days();
    char *before = read_all();
    ck_assert_uint_eq(info_of(10).run_count, 6);
    struct tsdb_partition_info old = info_of(10);
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    assert_reads(before);
    struct tsdb_partition_info info = info_of(10);
    ck_assert_uint_eq(info.run_count, 1);
    ck_assert_uint_eq(info.first_run, old.first_run);
    ck_assert_uint_eq(info.last_run, old.last_run);
    ck_assert_uint_eq(info.base_run, old.last_run);
    ck_assert_int_eq(info.rewritten_ms, 100 * DAY);
    ck_assert_uint_lt(info.samples, old.samples); /* the overwritten ones are gone */
    ck_assert(is_there("day-10.1.mdb") && !is_there("day-10.mdb"));
    ck_assert(is_there("day-11.1.mdb") && !is_there("day-11.mdb"));
    ck_assert(tw_metric_value(db->metrics.rewrites[TSDB_REWRITE_MERGE]) == 2);
    unit_assert_ok(tsdb_db_keep(db, &err), &err); /* there is nothing more to do */
    ck_assert(tw_metric_value(db->metrics.rewrites[TSDB_REWRITE_MERGE]) == 2);
    reopen();
    assert_reads(before);
    ck_assert_uint_eq(info_of(10).run_count, 1);
    /* and it goes on as any partition: new and known series, then the next generation */
    append("again", 10 * DAY + 1000, 77);
    append("new,host=h9", 10 * DAY + 1000, 78);
    flush();
    char *after = read_all();
    unit_assert_contains(after, "again: 864001000=77 ");
    unit_assert_contains(after, "new{host=\"h9\"}: 864001000=78\n");
    rewrite(10);
    assert_reads(after);
    ck_assert(is_there("day-10.2.mdb") && !is_there("day-10.1.mdb"));
    free(before);
    free(after);
    teardown();
}
END_TEST

START_TEST(churn_is_not_merged)
{
    setup(100 * DAY);
    for (int run = 0; run < 3; run++) {
        for (int i = 0; i < 8; i++) {
            char series[32];
            snprintf(series, sizeof series, "m,pod=p%d", run * 8 + i);
            append(series, 10 * DAY + run, i);
        }
        flush();
    }
    struct tsdb_db_options options = {
        .folder = path, .clock = test_clock, .manual = true, .head_bytes_max = 20 * 300};
    tsdb_db_close(db);
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    ck_assert_uint_eq(info_of(10).run_count, 3); /* 24 series would not fit */
    ck_assert_uint_eq(info_of(10).series, 24);
    reopen();
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    ck_assert_uint_eq(info_of(10).run_count, 1);
    teardown();
}
END_TEST

START_TEST(open_day_waits)
{
    setup(10 * DAY + 20 * HOUR);
    for (int i = 0; i < 20; i++) {
        append("m", 10 * DAY + i * 1000, i);
        flush();
    }
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    ck_assert_uint_eq(info_of(10).run_count, 20);
    for (int i = 20; i < 30; i++) {
        append("m", 10 * DAY + i * 1000, i);
        flush();
    }
    unit_assert_ok(tsdb_db_keep(db, &err), &err); /* many runs, all of them small */
    ck_assert_uint_eq(info_of(10).run_count, 1);
    append("m", 10 * DAY + 31 * 1000, 31);
    flush();
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    ck_assert_uint_eq(info_of(10).run_count, 2);
    tw_clock_manual_advance(test_clock, 6 * HOUR); /* the day is over */
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    ck_assert_uint_eq(info_of(10).run_count, 1);
    append("m", 10 * DAY + 32 * 1000, 32); /* late */
    flush();
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    ck_assert_uint_eq(info_of(10).run_count, 2);
    tw_clock_manual_advance(test_clock, 24 * HOUR);
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    ck_assert_uint_eq(info_of(10).run_count, 1);
    teardown();
}
END_TEST

/* What a start finds after a crash at any step of a rewrite. */
START_TEST(interrupted_rewrites_leave_one)
{
    setup(100 * DAY);
    write_days();
    char *wanted = read_all();
    copy("day-10.mdb", "old"); /* between flushes nothing is written into it */
    rewrite(10);
    copy("day-10.1.mdb", "new");
    static const struct state {
        bool old, new, unfinished;
    } states[] = {{true, false, true}, {true, true, false},  {true, true, true},
                  {false, true, true}, {false, true, false}, {true, false, false}};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        tsdb_db_close(db);
        char *old = file("day-10.mdb"), *new = file("day-10.1.mdb");
        unlink(old);
        unlink(new);
        if (states[i].old)
            copy("old", "day-10.mdb");
        if (states[i].new)
            copy("new", "day-10.1.mdb");
        if (states[i].unfinished) {
            copy("new", states[i].new ? "day-10.2.mdb.tmp" : "day-10.1.mdb.tmp");
            copy("new", "day-10.1.mdb.tmp.tmp");
            copy("new", "day-10.1.mdb.tmp-lock");
        }
        tw_metrics_free(metrics);
        metrics = tw_metrics_new();
        open_db();
        assert_reads(wanted);
        ck_assert(is_there("day-10.1.mdb") == states[i].new);
        ck_assert(is_there("day-10.mdb") == !states[i].new);
        ck_assert(!is_there("day-10.1.mdb.tmp") && !is_there("day-10.2.mdb.tmp") &&
                  !is_there("day-10.1.mdb.tmp.tmp") && !is_there("day-10.1.mdb.tmp-lock"));
        rewrite(10);
        assert_reads(wanted);
        ck_assert(is_there(states[i].new ? "day-10.2.mdb" : "day-10.1.mdb"));
        char *second = file("day-10.2.mdb");
        tsdb_db_close(db);
        unlink(second);
        free(second);
        free(old);
        free(new);
        copy("new", "day-10.1.mdb");
        tw_metrics_free(metrics);
        metrics = tw_metrics_new();
        open_db();
    }
    free(wanted);
    teardown();
}
END_TEST

static int flushes_meanwhile;

static bool flush_meanwhile(void *user)
{
    (void)user;
    if (flushes_meanwhile < 3) {
        append("meanwhile", 10 * DAY + flushes_meanwhile, flushes_meanwhile);
        append("again", 10 * DAY + 1000, 100 + flushes_meanwhile);
        append("other_day", 11 * DAY, 1);
        flush();
        flushes_meanwhile++;
    }
    return false;
}

START_TEST(flushed_meanwhile_is_carried_over)
{
    setup(100 * DAY);
    write_days();
    flushes_meanwhile = 0;
    struct tsdb_rewrite rewrite = {.day = 10, .now_ms = 5, .cancelled = flush_meanwhile};
    struct tsdb_rewrite_result result;
    unit_assert_ok(tsdb_rewriter_run(db->partitions, &rewrite, &result, &err), &err);
    ck_assert_int_eq(flushes_meanwhile, 3);
    ck_assert_uint_eq(result.runs_before, 6);
    char *text = read_all();
    unit_assert_contains(text, "meanwhile: 864000000=0 864000001=1 864000002=2\n");
    unit_assert_contains(text, "again: 864001000=102 864002000=4\n");
    ck_assert_uint_eq(info_of(10).run_count, 4);
    reopen();
    assert_reads(text);
    ck_assert(tsdb_db_keep(db, &err) == TW_OK);
    assert_reads(text);
    free(text);
    teardown();
}
END_TEST

static bool yes(void *user)
{
    int *asked = user;
    return ++*asked > 3;
}

START_TEST(ended_rewrite_changes_nothing)
{
    setup(100 * DAY);
    write_days();
    char *wanted = read_all();
    int asked = 0;
    struct tsdb_rewrite rewrite = {.day = 10, .cancelled = yes, .user = &asked};
    struct tsdb_rewrite_result result;
    unit_assert_code(tsdb_rewriter_run(db->partitions, &rewrite, &result, &err), TW_CANCELLED);
    ck_assert(is_there("day-10.mdb") && !is_there("day-10.1.mdb") &&
              !is_there("day-10.1.mdb.tmp") && !is_there("day-10.1.mdb.tmp-lock"));
    assert_reads(wanted);
    rewrite.day = 999;
    unit_assert_code(tsdb_rewriter_run(db->partitions, &rewrite, &result, &err), TW_NOT_FOUND);
    free(wanted);
    teardown();
}
END_TEST

START_TEST(readers_go_on)
{
    setup(100 * DAY);
    write_days();
    struct tw_context context = store_context();
    struct tsdb_selection *selection;
    struct tsdb_cursor *cursor;
    struct tsdb_column column;
    struct tsdb_matcher matcher;
    unit_assert_ok(tsdb_matcher_init(&matcher, TSDB_MATCH_EQUAL, TW_STR(WIRE_METRIC_NAME),
                                     TW_STR("again"), &err),
                   &err);
    unit_assert_ok(tsdb_select(tsdb_db_storage(db), &context, &matcher, 1, 10 * DAY, 12 * DAY,
                               &(struct tsdb_hints){0}, &selection, &err),
                   &err);
    rewrite(10);
    rewrite(10);
    ck_assert(is_there("day-10.2.mdb"));
    unit_assert_ok(tsdb_cursor_open(selection, &cursor, &err), &err);
    tsdb_cursor_seek(cursor, 0, 10 * DAY, 12 * DAY);
    unit_assert_ok(tsdb_cursor_next(cursor, &column, &err), &err);
    ck_assert_uint_eq(column.count, 2);
    ck_assert(column.values[0] == 5);
    tsdb_cursor_close(cursor);
    size_t dropped;
    unit_assert_ok(tsdb_partitions_drop(db->partitions, 11 * DAY, &dropped, &err), &err);
    ck_assert_uint_eq(dropped, 2); /* day 9 too */
    tsdb_selection_close(selection);
    ck_assert(!is_there("day-10.2.mdb") && is_there("day-11.mdb"));
    teardown();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(runs_become_one),
                                      UNIT_CASE(open_day_waits),
                                      UNIT_CASE(churn_is_not_merged),
                                      UNIT_CASE(interrupted_rewrites_leave_one),
                                      UNIT_CASE(flushed_meanwhile_is_carried_over),
                                      UNIT_CASE(ended_rewrite_changes_nothing),
                                      UNIT_CASE(readers_go_on),
                                      {0}};
    return unit_run("tsdb/rewrite", cases);
}
