/* SPDX-License-Identifier: Apache-2.0
 *
 * partition_map_test: a flush knows under which ids the partition has its series, and what of the
 * partition is of other series it leaves alone; label sets that come back have several ids and are
 * one series to everybody who reads, deletes, rewrites and verifies.
 */
#include "config.h"

#include "tests/unit/tsdb/store.h"
#include "tsdb/db_int.h"
#include "tsdb/partition_map.h"
#include "tsdb/rewriter.h"
#include "tsdb/verify.h"

#define DAY TSDB_DAY_MS
#define HOUR (TSDB_DAY_MS / 24)
#define MANY 40

static char path[4096];
static struct tsdb_db *db;
static struct tw_clock *test_clock;
static struct tw_err err;

static void open_db(void)
{
    struct tsdb_db_options options = {.folder = path, .clock = test_clock, .manual = true};
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
}

static void setup(void)
{
    static int number;
    snprintf(path, sizeof path, "%s/map%d", unit_folder(), number++);
    test_clock = tw_clock_manual_new(100 * DAY);
    tsdb_partition_map_small(0);
    open_db();
}

static void teardown(void)
{
    tsdb_db_close(db);
    tw_clock_manual_free(test_clock);
}

/* The head's index is another one behind it. */
static void reopen(void)
{
    tsdb_db_close(db);
    open_db();
}

static void append(const char *series, int64_t time_ms, double value)
{
    unit_assert_ok(store_append(db, series, time_ms, value, &err), &err);
}

static void append_many(int first, int limit, int64_t time_ms, double value)
{
    for (int i = first; i < limit; i++) {
        char series[64];
        snprintf(series, sizeof series, "m_%d,pod=p%d", i % 3, i);
        append(series, time_ms, value + i);
    }
}

static void flush(void)
{
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
}

static struct tsdb_partition_counts counts_of(int64_t day)
{
    struct tsdb_partition *partition;
    struct tsdb_env_txn *txn;
    struct tsdb_partition_counts counts;
    unit_assert_ok(tsdb_partitions_ref(db->partitions, day, &partition, &err), &err);
    unit_assert_ok(tsdb_env_begin(partition->env, false, &txn, &err), &err);
    unit_assert_ok(tsdb_partition_read_counts(txn, &counts, &err), &err);
    tsdb_env_abort(txn);
    tsdb_partitions_unref(db->partitions, partition);
    return counts;
}

static void assert_counts(uint32_t series, uint32_t first_series, bool repeated)
{
    struct tsdb_partition_counts counts = counts_of(10);
    ck_assert_uint_eq(counts.series, series);
    ck_assert_uint_eq(counts.first_series, first_series);
    ck_assert(counts.repeated == repeated);
}

static char *read_all(void)
{
    return store_read(db, NULL, NULL, NULL, INT64_MIN / 2, INT64_MAX / 2);
}

static void assert_pod(const char *pod, const char *wanted)
{
    char *text = store_read(db, NULL, "pod", pod, INT64_MIN / 2, INT64_MAX / 2);
    char *of_metric = store_read(db, "m_2", "pod", pod, INT64_MIN / 2, INT64_MAX / 2);
    ck_assert_str_eq(text, wanted);
    ck_assert_str_eq(of_metric, wanted);
    free(text);
    free(of_metric);
}

/* The store is closed for it. */
static void assert_whole(void)
{
    struct tsdb_verify_report report;
    struct tsdb_verify_options options = {.folder = path};
    tsdb_db_close(db);
    unit_assert_ok(tsdb_verify_run(&options, &report, &err), &err);
    for (size_t i = 0; i < report.count; i++)
        ck_assert_msg(report.files[i].finding_count == 0, "%s: %s", report.files[i].path,
                      report.files[i].findings[0]);
    tsdb_verify_report_fini(&report);
    open_db();
}

static void rewrite(void)
{
    struct tsdb_rewrite rewrite = {.day = 10, .now_ms = 5};
    struct tsdb_rewrite_result result;
    unit_assert_ok(tsdb_rewriter_run(db->partitions, &rewrite, &result, &err), &err);
}

START_TEST(ids_are_kept_between_flushes)
{
    setup();
    append_many(0, MANY, 10 * DAY, 1);
    flush();
    ck_assert_uint_gt(tsdb_partitions_ids_bytes(db->partitions), 0);
    append_many(0, MANY, 10 * DAY + 1000, 2);
    append("new", 10 * DAY + 1000, 3);
    append_many(3, 4, 11 * DAY, 4); /* another day: a small run, which is read back */
    flush();
    assert_counts(MANY + 1, 0, false);
    append_many(3, 5, 10 * DAY + 2000, 5); /* few of those that there are, and known */
    append_many(3, 4, 11 * DAY + 1000, 4);
    flush();
    assert_counts(MANY + 1, 0, false);
    assert_whole();
    teardown();
}
END_TEST

START_TEST(a_start_reads_them_back)
{
    setup();
    append_many(0, MANY, 10 * DAY, 1);
    flush();
    reopen();
    append_many(10, MANY + 5, 10 * DAY + 1000, 2);
    flush();
    assert_counts(MANY + 5, 0, true); /* ten were not met: they might come back */
    append_many(0, 10, 10 * DAY + 2000, 3);
    flush();
    assert_counts(MANY + 15, 0, true);
    assert_pod("p5", "m_2{pod=\"p5\"}: 864000000=6 864002000=8\n");
    assert_pod("p20", "m_2{pod=\"p20\"}: 864000000=21 864001000=22\n");
    assert_whole();
    teardown();
}
END_TEST

/* Three lives of p5, in segments of their own; the second overwrites a sample of the first. */
static void write_lives(void)
{
    append_many(0, MANY, 10 * DAY, 1);
    flush();
    reopen();
    append_many(MANY, 2 * MANY, 10 * DAY + HOUR, 1);
    append_many(5, 6, 10 * DAY, 100);
    append_many(5, 6, 10 * DAY + 3 * HOUR, 200);
    flush();
    assert_counts(2 * MANY + 1, MANY, true);
    reopen();
    append_many(5, 6, 10 * DAY + 3 * HOUR + 1000, 300);
    append_many(3 * MANY, 3 * MANY + 2, 10 * DAY + 3 * HOUR, 1);
    flush();
    assert_counts(2 * MANY + 4, 2 * MANY + 1, true);
}

static const char lives[] = "m_2{pod=\"p5\"}: 864000000=105 874800000=205 874801000=305\n";

START_TEST(label_sets_come_back)
{
    setup();
    write_lives();
    assert_pod("p5", lives);
    char *before = read_all();
    assert_whole();
    struct tw_arena *arena = tw_arena_new(4096);
    struct tsdb_strings names;
    struct tw_context context = store_context();
    unit_assert_ok(tsdb_label_names(tsdb_db_storage(db), &context, NULL, 0, 0, 100 * DAY, 0, arena,
                                    &names, &err),
                   &err);
    ck_assert_uint_eq(names.count, 2);
    tw_arena_free(arena);
    rewrite();
    assert_counts(2 * MANY + 2, 0, false);
    char *after = read_all();
    ck_assert_str_eq(after, before);
    assert_pod("p5", lives);
    assert_whole();
    /* and on it goes */
    append_many(5, 6, 10 * DAY + 4 * HOUR, 400);
    flush();
    assert_counts(2 * MANY + 3, 2 * MANY + 2, true);
    assert_pod("p5", "m_2{pod=\"p5\"}: 864000000=105 874800000=205 874801000=305 878400000=405\n");
    free(before);
    free(after);
    teardown();
}
END_TEST

static void delete_pod(const char *pod, int64_t start_ms, int64_t end_ms)
{
    struct tsdb_matcher matcher;
    struct tw_context context = store_context();
    unit_assert_ok(tsdb_matcher_init(&matcher, TSDB_MATCH_EQUAL, TW_STR("pod"), tw_str(pod), &err),
                   &err);
    struct tsdb_selector selector = {.matchers = &matcher, .count = 1};
    unit_assert_ok(tsdb_db_delete(db, &context, &selector, 1, start_ms, end_ms, &err), &err);
}

START_TEST(deleted_in_all_lives)
{
    static const char wanted[] = "m_2{pod=\"p5\"}: 874801000=305\n";
    setup();
    write_lives();
    delete_pod("p5", 10 * DAY, 10 * DAY + 3 * HOUR);
    assert_pod("p5", wanted);
    unit_assert_ok(tsdb_db_clean_tombstones(db, &err), &err);
    assert_pod("p5", wanted);
    assert_counts(2 * MANY + 2, 0, false);
    delete_pod("p5", 0, 100 * DAY);
    unit_assert_ok(tsdb_db_clean_tombstones(db, &err), &err);
    assert_pod("p5", "");
    assert_counts(2 * MANY + 1, 0, false);
    assert_whole();
    teardown();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(ids_are_kept_between_flushes),
                                      UNIT_CASE(a_start_reads_them_back),
                                      UNIT_CASE(label_sets_come_back),
                                      UNIT_CASE(deleted_in_all_lives),
                                      {0}};
    return unit_run("tsdb/partition_map", cases);
}
