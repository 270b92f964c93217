/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/tsdb/store.h"

static const char *folder(void)
{
    static char path[4096];
    static int number;
    snprintf(path, sizeof path, "%s/db%d", unit_folder(), number++);
    return path;
}

static struct tsdb_db *open_db(const char *path)
{
    struct tsdb_db *db;
    struct tw_err err;
    unit_assert_ok(
        tsdb_db_open(&(struct tsdb_db_options){.folder = path, .manual = true}, &db, &err), &err);
    return db;
}

START_TEST(appended_is_selected)
{
    struct tsdb_db *db = open_db(folder());
    struct tw_err err;
    unit_assert_ok(store_append(db, "up,job=a", 1000, 1, &err), &err);
    unit_assert_ok(store_append(db, "up,job=b", 1000, 0, &err), &err);
    unit_assert_ok(store_append(db, "up,job=a", 2000, 2.5, &err), &err);
    unit_assert_ok(store_append(db, "down,job=a", 2000, 3, &err), &err);
    store_assert(db, "up", 0, 5000, "up{job=\"a\"}: 1000=1 2000=2.5\nup{job=\"b\"}: 1000=0\n");
    store_assert(db, "up", 2000, 2000, "up{job=\"a\"}: 2000=2.5\n");
    store_assert(db, "up", 2001, 9000, "");
    store_assert(db, "none", 0, 5000, "");
    char *text = store_read(db, NULL, "job", "a", 0, 5000);
    ck_assert_str_eq(text, "down{job=\"a\"}: 2000=3\nup{job=\"a\"}: 1000=1 2000=2.5\n");
    free(text);
    tsdb_db_close(db);
}
END_TEST

START_TEST(any_order_last_write_wins)
{
    struct tsdb_db *db = open_db(folder());
    struct tw_err err;
    double stale = tw_double_from_bits(TW_STALE_BITS);
    unit_assert_ok(store_append(db, "m", 3000, 3, &err), &err);
    unit_assert_ok(store_append(db, "m", 1000, 1, &err), &err);
    unit_assert_ok(store_append(db, "m", -5000, -5, &err), &err);
    unit_assert_ok(store_append(db, "m", 1000, 11, &err), &err);
    unit_assert_ok(store_append(db, "m", 3000, stale, &err), &err);
    unit_assert_ok(store_append(db, "m", 4000, stale, &err), &err);
    unit_assert_ok(store_append(db, "m", 4000, 4, &err), &err);
    unit_assert_ok(store_append(db, "m", 5000, stale, &err), &err);
    store_assert(db, "m", -9000, 9000, "m: -5000=-5 1000=11 3000=3 4000=4 5000=stale\n");
    tsdb_db_close(db);
}
END_TEST

START_TEST(survives_reopening)
{
    char path[4096];
    strcpy(path, folder());
    struct tsdb_db *db = open_db(path);
    struct tw_err err;
    for (int i = 0; i < 100; i++) {
        unit_assert_ok(store_append(db, "m,a=x", 1000 * i, i, &err), &err);
        unit_assert_ok(store_append(db, "m,a=y", 1000 * i, i * 0.1, &err), &err);
    }
    char *before = store_read(db, "m", NULL, NULL, 0, 200000);
    for (int i = 0; i < 3; i++) {
        tsdb_db_close(db);
        db = open_db(path);
        char *after = store_read(db, "m", NULL, NULL, 0, 200000);
        ck_assert_str_eq(after, before);
        free(after);
    }
    free(before);
    tsdb_db_close(db);
}
END_TEST

START_TEST(bad_samples_are_refused)
{
    struct tw_clock *clock = tw_clock_manual_new(1000000000);
    struct tw_metrics *metrics = tw_metrics_new();
    struct tsdb_db *db;
    struct tw_err err;
    struct tsdb_db_options options = {.folder = folder(),
                                      .clock = clock,
                                      .metrics = metrics,
                                      .retention_ms = 1000000,
                                      .series_max = 2,
                                      .manual = true};
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    unit_assert_ok(store_append(db, "m", 1000000000 + TSDB_FUTURE_MS_MAX, 1, &err), &err);
    unit_assert_code(store_append(db, "m", 1000000001 + TSDB_FUTURE_MS_MAX, 1, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "in the future");
    unit_assert_ok(store_append(db, "m", 999000000, 1, &err), &err);
    unit_assert_code(store_append(db, "m", 998999999, 1, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "retention");
    unit_assert_code(store_append(db, "m,=x", 1000000000, 1, &err), TW_BAD_DATA);
    unit_assert_ok(store_append(db, "m,a=x", 1000000000, 1, &err), &err);
    unit_assert_code(store_append(db, "m,a=y", 1000000000, 1, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "limit");
    unit_assert_ok(store_append(db, "m,a=x", 1000000001, 1, &err), &err);
    struct tw_buf text;
    tw_buf_init(&text, (size_t)1 << 20);
    tw_metrics_write(metrics, &text);
    unit_assert_contains(tw_buf_cstr(&text),
                         "tidewatch_tsdb_samples_refused_total{reason=\"future\"} 1\n");
    unit_assert_contains(tw_buf_cstr(&text),
                         "tidewatch_tsdb_samples_refused_total{reason=\"series_limit\"} 1\n");
    unit_assert_contains(tw_buf_cstr(&text), "tidewatch_tsdb_head_series 2\n");
    tw_buf_fini(&text);
    tsdb_db_close(db);
    tw_metrics_free(metrics);
    tw_clock_manual_free(clock);
}
END_TEST

START_TEST(one_process_at_a_time)
{
    char path[4096];
    strcpy(path, folder());
    struct tsdb_db *db = open_db(path), *second;
    struct tw_err err;
    unit_assert_code(
        tsdb_db_open(&(struct tsdb_db_options){.folder = path, .manual = true}, &second, &err),
        TW_BUSY);
    char pid[32];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    unit_assert_contains(err.message, pid);
    unit_assert_contains(err.message, path);
    tsdb_db_close(db);
    db = open_db(path);
    tsdb_db_close(db);
}
END_TEST

START_TEST(names_and_values)
{
    struct tsdb_db *db = open_db(folder());
    struct tw_err err;
    unit_assert_ok(store_append(db, "up,job=a,zone=z", 1000, 1, &err), &err);
    unit_assert_ok(store_append(db, "up,job=b", 1000, 0, &err), &err);
    unit_assert_ok(store_append(db, "down,job=c", 1000, 0, &err), &err);
    struct tw_arena *arena = tw_arena_new(4096);
    struct tw_context context = store_context();
    struct tsdb_strings strings;
    unit_assert_ok(
        tsdb_label_names(tsdb_db_storage(db), &context, NULL, 0, 0, 5000, 0, arena, &strings, &err),
        &err);
    ck_assert_uint_eq(strings.count, 3);
    unit_assert_str(strings.items[0], "__name__");
    unit_assert_str(strings.items[1], "job");
    unit_assert_str(strings.items[2], "zone");
    struct tsdb_matcher matcher;
    unit_assert_ok(tsdb_matcher_init(&matcher, TSDB_MATCH_REGEX, TW_STR(WIRE_METRIC_NAME),
                                     TW_STR("u.*"), &err),
                   &err);
    struct tsdb_selector selector = {&matcher, 1};
    unit_assert_ok(tsdb_label_values(tsdb_db_storage(db), &context, TW_STR("job"), &selector, 1, 0,
                                     5000, 1, arena, &strings, &err),
                   &err);
    ck_assert_uint_eq(strings.count, 1);
    ck_assert(strings.truncated);
    unit_assert_str(strings.items[0], "a");
    tsdb_matcher_fini(&matcher);
    tw_arena_free(arena);
    tsdb_db_close(db);
}
END_TEST

START_TEST(metadata_is_kept)
{
    char path[4096];
    strcpy(path, folder());
    struct tsdb_db *db = open_db(path);
    struct tw_err err;
    struct tw_context context = store_context();
    struct tsdb_metadata items[] = {
        {TW_STR("b"), TW_STR("counter"), TW_STR("help of b"), TW_STR("seconds")},
        {TW_STR("a"), TW_STR("gauge"), TW_STR("help of a"), TW_STR("")}};
    unit_assert_ok(tsdb_append_metadata(tsdb_db_storage(db), &context, items, 2, &err), &err);
    items[1].type = TW_STR("counter");
    unit_assert_ok(tsdb_append_metadata(tsdb_db_storage(db), &context, items, 2, &err), &err);
    tsdb_db_close(db);
    db = open_db(path);
    struct tw_arena *arena = tw_arena_new(4096);
    struct tsdb_metadata *back;
    size_t count;
    unit_assert_ok(
        tsdb_metadata_list(tsdb_db_storage(db), &context, TW_STR(""), arena, &back, &count, &err),
        &err);
    ck_assert_uint_eq(count, 2);
    unit_assert_str(back[0].metric, "a");
    unit_assert_str(back[0].type, "counter");
    unit_assert_str(back[1].unit, "seconds");
    unit_assert_ok(
        tsdb_metadata_list(tsdb_db_storage(db), &context, TW_STR("b"), arena, &back, &count, &err),
        &err);
    ck_assert_uint_eq(count, 1);
    tw_arena_free(arena);
    tsdb_db_close(db);
}
END_TEST

static size_t count_files(const char *path, const char *below)
{
    char name[4200];
    char **names;
    size_t count;
    struct tw_err err;
    snprintf(name, sizeof name, "%s/default/%s", path, below);
    unit_assert_ok(tw_file_list(name, &names, &count, &err), &err);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        kept += strstr(names[i], "-lock") == NULL;
    tw_file_list_free(names, count);
    return kept;
}

START_TEST(flush_moves_into_partitions)
{
    char path[4096];
    strcpy(path, folder());
    struct tsdb_db *db = open_db(path);
    struct tw_err err;
    int64_t day = TSDB_DAY_MS;
    for (int i = -2; i <= 2; i++)
        unit_assert_ok(store_append(db, "m,a=x", i * day + 5, i, &err), &err);
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    struct tsdb_db_status status;
    tsdb_db_status(db, &status);
    ck_assert_uint_eq(status.head_samples, 0);
    ck_assert_uint_eq(status.partitions, 5);
    ck_assert_uint_eq(count_files(path, "partitions"), 5);
    ck_assert_uint_eq(count_files(path, "log"), 1);
    unit_assert_ok(store_append(db, "m,a=x", 5, 100, &err), &err);
    unit_assert_ok(store_append(db, "m,a=x", 6, 6, &err), &err);
    static const char *const wanted =
        "m{a=\"x\"}: -172799995=-2 -86399995=-1 5=100 6=6 86400005=1 172800005=2\n";
    store_assert(db, "m", -3 * day, 3 * day, wanted);
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    store_assert(db, "m", -3 * day, 3 * day, wanted);
    store_assert(db, "m", 6, day + 4, "m{a=\"x\"}: 6=6\n");
    tsdb_db_close(db);
    ck_assert_uint_eq(count_files(path, "log"), 0); /* a clean stop leaves nothing to replay */
    db = open_db(path);
    store_assert(db, "m", -3 * day, 3 * day, wanted);
    tsdb_db_close(db);
}
END_TEST

START_TEST(retention_drops_whole_days)
{
    int64_t day = TSDB_DAY_MS;
    struct tw_clock *clock = tw_clock_manual_new(100 * day);
    struct tsdb_db_options options = {
        .folder = folder(), .clock = clock, .retention_ms = 3 * day, .manual = true};
    struct tsdb_db *db;
    struct tw_err err;
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    for (int i = 97; i <= 100; i++)
        unit_assert_ok(store_append(db, "m", i * day, i, &err), &err);
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    struct tsdb_db_status status;
    tsdb_db_status(db, &status);
    ck_assert_uint_eq(status.partitions, 4);
    tw_clock_manual_advance(clock, day + day / 2);
    /* A selection that has the old day goes on reading it. */
    struct tw_context context = store_context();
    struct tsdb_selection *selection;
    struct tsdb_cursor *cursor;
    struct tsdb_column column;
    unit_assert_ok(
        tsdb_select(tsdb_db_storage(db), &context, NULL, 0, 0, 200 * day, NULL, &selection, &err),
        &err);
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    tsdb_db_status(db, &status);
    ck_assert_uint_eq(status.partitions, 3);
    unit_assert_ok(tsdb_cursor_open(selection, &cursor, &err), &err);
    tsdb_cursor_seek(cursor, 0, 0, 200 * day);
    unit_assert_ok(tsdb_cursor_next(cursor, &column, &err), &err);
    ck_assert_int_eq(column.times_ms[0], 97 * day);
    tsdb_cursor_close(cursor);
    tsdb_selection_close(selection);
    store_assert(db, "m", 0, 200 * day, "m: 8467200000=98 8553600000=99 8640000000=100\n");
    tsdb_db_close(db);
    tw_clock_manual_free(clock);
}
END_TEST

START_TEST(large_head_is_flushed)
{
    struct tsdb_db *db;
    struct tw_err err;
    struct tsdb_db_options options = {.folder = folder(), .head_bytes_max = 1, .manual = true};
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    struct tsdb_db_status status;
    for (int i = 1; i <= 8; i++) { /* series alone, with hardly a sample each, are no reason */
        tsdb_db_status(db, &status);
        ck_assert_uint_eq(status.partitions, 0);
        unit_assert_ok(store_append(db, "m", i, i, &err), &err);
        unit_assert_ok(tsdb_db_keep(db, &err), &err);
    }
    tsdb_db_status(db, &status);
    ck_assert_uint_eq(status.partitions, 1);
    ck_assert_uint_eq(status.head_samples, 0);
    tsdb_db_close(db);
}
END_TEST

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A limit on the size of files stands for a full disk: writes fail, reads go on. */
START_TEST(full_disk_is_survived)
{
    char path[4096];
    strcpy(path, folder());
    signal(SIGXFSZ, SIG_IGN);
    struct tsdb_db *db = open_db(path);
    struct tw_err err;
    unit_assert_ok(store_append(db, "m", 1000, 1, &err), &err);
    limit_files(4096);
    unit_assert_code(store_append(db, "m", 2000, 2, &err), TW_NO_SPACE);
    unit_assert_code(store_append(db, "m", 2000, 2, &err), TW_NO_SPACE);
    unit_assert_contains(err.message, "takes no samples");
    ck_assert(tsdb_db_keep(db, &err) != TW_OK);
    struct tsdb_db_status status;
    tsdb_db_status(db, &status);
    ck_assert_int_eq(status.code, TW_NO_SPACE);
    store_assert(db, "m", 0, 5000, "m: 1000=1\n");
    ck_assert(tsdb_db_flush(db, &err) != TW_OK);
    store_assert(db, "m", 0, 5000, "m: 1000=1\n");
    limit_files(RLIM_INFINITY);
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    tsdb_db_status(db, &status);
    ck_assert_int_eq(status.code, TW_OK);
    unit_assert_ok(store_append(db, "m", 3000, 3, &err), &err);
    store_assert(db, "m", 0, 5000, "m: 1000=1 3000=3\n");
    /* A flush that finds no room leaves everything in the log. */
    limit_files(12000);
    ck_assert(tsdb_db_flush(db, &err) != TW_OK);
    store_assert(db, "m", 0, 5000, "m: 1000=1 3000=3\n");
    limit_files(RLIM_INFINITY);
    tsdb_db_close(db);
    db = open_db(path);
    store_assert(db, "m", 0, 5000, "m: 1000=1 3000=3\n");
    tsdb_db_close(db);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(appended_is_selected),       UNIT_CASE(any_order_last_write_wins),
        UNIT_CASE(survives_reopening),         UNIT_CASE(bad_samples_are_refused),
        UNIT_CASE(one_process_at_a_time),      UNIT_CASE(names_and_values),
        UNIT_CASE(metadata_is_kept),           UNIT_CASE(flush_moves_into_partitions),
        UNIT_CASE(retention_drops_whole_days), UNIT_CASE(large_head_is_flushed),
        UNIT_CASE(full_disk_is_survived),      {0}};
    return unit_run("tsdb/db", cases);
}
