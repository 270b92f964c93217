/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdatomic.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/file.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/snapshot.h"

#define MIB ((uint64_t)1 << 20)
/* More than any disk has free. */
#define ALL_OF_IT ((uint64_t)1 << 62)

static char path[4096];
static struct tsdb_db *db;
static struct tsdb_db_options options;
static struct tsdb_db_status status;
static struct tw_err err;

static void open_db(void)
{
    snprintf(path, sizeof path, "%s/room", unit_folder());
    options.folder = path;
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
}

static void reconfigure(void)
{
    unit_assert_ok(tsdb_db_reconfigure(db, &options, &err), &err);
}

static void keep(void)
{
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
}

static char *metrics_text(struct tw_metrics *metrics)
{
    struct tw_buf text;
    size_t size;
    tw_buf_init(&text, 16 * MIB);
    tw_metrics_write(metrics, &text);
    tw_buf_append_char(&text, '\0');
    return tw_buf_take(&text, &size);
}

static void assert_metric(struct tw_metrics *metrics, const char *line)
{
    char *text = metrics_text(metrics);
    unit_assert_contains(text, line);
    free(text);
}

START_TEST(reserve_turns_read_only_and_back)
{
    struct tw_metrics *metrics = tw_metrics_new();
    options = (struct tsdb_db_options){.manual = true, .metrics = metrics};
    open_db();
    unit_assert_ok(store_append(db, "m", 1000, 1, &err), &err);
    options.disk_reserve = ALL_OF_IT;
    reconfigure();
    keep();
    unit_assert_code(store_append(db, "m", 2000, 2, &err), TW_NO_SPACE);
    unit_assert_contains(err.message, "read-only");
    unit_assert_contains(err.message, "storage.disk_reserve");
    tsdb_db_status(db, &status);
    ck_assert_int_eq(status.code, TW_NO_SPACE);
    ck_assert_int_eq(status.read_only, TSDB_READ_ONLY_DISK_RESERVE);
    ck_assert_uint_gt(status.disk_free, 0);
    /* What is in memory was moved into a partition, which takes less room than its log. */
    ck_assert_uint_eq(status.partitions, 1);
    ck_assert_uint_eq(status.head_samples, 0);
    assert_metric(metrics, "tidewatch_tsdb_read_only{reason=\"disk_reserve\"} 1");
    assert_metric(metrics, "tidewatch_tsdb_read_only{reason=\"retention_size\"} 0");
    assert_metric(metrics, "tidewatch_tsdb_writable 0");
    store_assert(db, "m", 0, 5000, "m: 1000=1\n");
    struct tw_context context = store_context();
    const struct tsdb_metadata item = {.metric = TW_STR("m"), .type = TW_STR("gauge")};
    unit_assert_code(tsdb_append_metadata(tsdb_db_storage(db), &context, &item, 1, &err),
                     TW_NO_SPACE);
    options.disk_reserve = 1;
    reconfigure();
    keep();
    unit_assert_ok(store_append(db, "m", 3000, 3, &err), &err);
    assert_metric(metrics, "tidewatch_tsdb_read_only{reason=\"disk_reserve\"} 0");
    store_assert(db, "m", 0, 5000, "m: 1000=1 3000=3\n");
    tsdb_db_close(db);
    tw_metrics_free(metrics);
}
END_TEST

/* A store that is opened without room can be read, and deleted from. */
START_TEST(opens_without_room)
{
    options = (struct tsdb_db_options){.manual = true};
    open_db();
    unit_assert_ok(store_append(db, "m,a=x", 1000, 1, &err), &err);
    unit_assert_ok(store_append(db, "m,a=y", 1000, 2, &err), &err);
    tsdb_db_close(db);
    options.disk_reserve = ALL_OF_IT;
    open_db();
    unit_assert_code(store_append(db, "m", 2000, 2, &err), TW_NO_SPACE);
    struct tsdb_matcher matcher;
    struct tw_context context = store_context();
    unit_assert_ok(tsdb_matcher_init(&matcher, TSDB_MATCH_EQUAL, TW_STR("a"), TW_STR("x"), &err),
                   &err);
    const struct tsdb_selector selector = {&matcher, 1};
    unit_assert_ok(tsdb_db_delete(db, &context, &selector, 1, INT64_MIN, INT64_MAX, &err), &err);
    tsdb_matcher_fini(&matcher);
    keep();
    store_assert(db, "m", 0, 5000, "m{a=\"y\"}: 1000=2\n");
    tsdb_db_close(db);
}
END_TEST

START_TEST(default_reserve_is_a_part_of_the_disk)
{
    uint64_t disk;
    options = (struct tsdb_db_options){.manual = true, .disk_reserve = TSDB_DISK_RESERVE_AUTO};
    open_db();
    unit_assert_ok(tw_file_disk_bytes(path, &disk, &err), &err);
    tsdb_db_status(db, &status);
    ck_assert_uint_eq(status.disk_reserve, disk / 50 < 256 * MIB ? disk / 50 : 256 * MIB);
    tsdb_db_close(db);
}
END_TEST

/* ---- a disk that fills ---- */

#define RANDOM_VALUE(i) ((double)((uint64_t)(i)*0x9e3779b97f4a7c15u >> 12) / 3)

/* One request; its samples have values that do not pack. */
static enum tw_code append_wide(int from, int count, int64_t time_ms)
{
    static char names[2000][200];
    static struct wire_label items[2000][8];
    static struct tsdb_sample samples[2000];
    for (int i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "wide,i=%d,pod=web-%0*x", from + i, from ? 100 : 1,
                 from + i);
        samples[i] = (struct tsdb_sample){store_labels(names[i], items[i]), time_ms,
                                          RANDOM_VALUE((from + i) * INT64_C(1000003) + time_ms)};
    }
    struct tw_context context = store_context();
    return tsdb_append(tsdb_db_storage(db), &context, samples, (size_t)count, &err);
}

static size_t count_samples(void)
{
    struct tsdb_matcher matcher;
    struct tsdb_selection *selection;
    struct tsdb_cursor *cursor;
    struct tsdb_column column;
    struct tw_context context = store_context();
    size_t count = 0;
    unit_assert_ok(tsdb_matcher_init(&matcher, TSDB_MATCH_EQUAL, TW_STR(WIRE_METRIC_NAME),
                                     TW_STR("wide"), &err),
                   &err);
    unit_assert_ok(tsdb_select(tsdb_db_storage(db), &context, &matcher, 1, INT64_MIN / 2,
                               INT64_MAX / 2, &(struct tsdb_hints){0}, &selection, &err),
                   &err);
    unit_assert_ok(tsdb_cursor_open(selection, &cursor, &err), &err);
    for (size_t i = 0; i < tsdb_selection_count(selection); i++) {
        tsdb_cursor_seek(cursor, i, INT64_MIN / 2, INT64_MAX / 2);
        do {
            unit_assert_ok(tsdb_cursor_next(cursor, &column, &err), &err);
            count += column.count;
        } while (column.count > 0);
    }
    tsdb_cursor_close(cursor);
    tsdb_selection_close(selection);
    tsdb_matcher_fini(&matcher);
    return count;
}

static bool mount_small(const char *folder, const char *size)
{
    return geteuid() == 0 && mount("tmpfs", folder, "tmpfs", 0, size) == 0;
}

/* On a real file system: writes end before it is full, the reserve is there for the flush, nothing
 * that was acknowledged is lost, and writes go on when there is room. */
START_TEST(small_disk_is_never_full)
{
    const char *folder = unit_folder();
    if (!mount_small(folder, "size=24m")) {
        puts("# SKIP small_disk_is_never_full: needs leave to mount a tmpfs");
        return;
    }
    options = (struct tsdb_db_options){.disk_reserve = 6 * MIB}; /* with its threads */
    open_db();
    size_t stored = 0;
    uint64_t free_bytes, least = UINT64_MAX;
    enum tw_code code = TW_OK;
    int64_t time_ms = 0;
    for (int tries = 0; tries < 40; tries++) {
        while ((code = append_wide(0, 2000, ++time_ms)) == TW_OK) {
            stored += 2000;
            unit_assert_ok(tw_file_free_bytes(folder, &free_bytes, &err), &err);
            least = free_bytes < least ? free_bytes : least;
        }
        unit_assert_code(code, TW_NO_SPACE);
        unit_assert_contains(err.message, "disk_reserve");
        usleep(100000); /* the keeper flushes, which may make room */
        unit_assert_ok(tw_file_free_bytes(folder, &free_bytes, &err), &err);
        least = free_bytes < least ? free_bytes : least;
        tsdb_db_status(db, &status);
        if (status.read_only && status.head_samples == 0)
            break;
    }
    ck_assert_uint_gt(least, MIB / 2);
    ck_assert_uint_gt(stored, 100000);
    ck_assert_uint_eq(count_samples(), stored);
    tsdb_db_status(db, &status);
    ck_assert_int_eq(status.read_only, TSDB_READ_ONLY_DISK_RESERVE);
    tsdb_db_close(db);
    open_db();
    ck_assert_uint_eq(count_samples(), stored);
    ck_assert_int_eq(mount("tmpfs", folder, "tmpfs", MS_REMOUNT, "size=64m"), 0);
    for (int i = 0; i < 100 && (code = append_wide(0, 10, ++time_ms)) != TW_OK; i++)
        usleep(100000);
    unit_assert_ok(code, &err);
    ck_assert_uint_eq(count_samples(), stored + 10);
    tsdb_db_close(db);
    umount2(folder, MNT_DETACH);
}
END_TEST

/* ---- the bound on the folder ---- */

struct watch {
    atomic_bool ends;
    uint64_t highest;
    unsigned looks;
};

static void watch_folder(void *user)
{
    struct watch *watch = user;
    while (!atomic_load(&watch->ends)) {
        uint64_t bytes;
        if (tw_file_folder_bytes(path, &bytes, NULL) != TW_OK)
            continue; /* a file went while it was looked at */
        watch->highest = bytes > watch->highest ? bytes : watch->highest;
        watch->looks++;
        usleep(200);
    }
}

/* As fast as it goes, into many days, series that go on (0) or that are new in each request (1):
 * the folder is looked at all the time. */
START_TEST(size_holds_at_full_rate)
{
    options = (struct tsdb_db_options){.size_max = 16 * MIB}; /* with its threads */
    open_db();
    struct watch watch = {.highest = 0};
    struct tw_thread watcher = {0};
    unit_assert_ok(tw_thread_start(&watcher, "watch", watch_folder, &watch, &err), &err);
    size_t stored = 0, refused = 0;
    int rounds = store_rounds("TW_ROOM_ROUNDS", _i ? 200 : 600, 3000);
    for (int i = 0; i < rounds; i++) {
        int64_t time_ms = (int64_t)(i / (_i ? 8 : 25)) * TSDB_DAY_MS + i % (_i ? 8 : 25) * 60000;
        enum tw_code code = append_wide(_i ? i * 2000 + 1 : 0, 2000, time_ms);
        if (code == TW_NO_SPACE) { /* a moment, until the oldest day has gone */
            refused++;
            i--;
            usleep(1000);
            continue;
        }
        unit_assert_ok(code, &err);
        stored += 2000;
    }
    atomic_store(&watch.ends, true);
    tw_thread_join(&watcher);
    printf("# %zu samples, %zu requests refused, %u looks, highest %llu of %llu bytes\n", stored,
           refused, watch.looks, (unsigned long long)watch.highest,
           (unsigned long long)options.size_max);
    ck_assert_uint_gt(watch.looks, 100);
    ck_assert_uint_le(watch.highest, options.size_max);
    ck_assert_uint_gt(watch.highest, options.size_max / 2); /* and it is made use of */
    ck_assert_uint_gt(count_samples(), stored / 100);
    tsdb_db_close(db);
}
END_TEST

/* ---- the share of memory ---- */

START_TEST(share_of_memory_refuses_new_series)
{
    struct tw_metrics *metrics = tw_metrics_new();
    char series[64];
    options = (struct tsdb_db_options){
        .manual = true, .metrics = metrics, .head_bytes_limit = MIB, .head_bytes_max = MIB / 2};
    open_db();
    int taken = 0;
    enum tw_code code = TW_OK;
    for (; code == TW_OK && taken < 20000; taken += code == TW_OK) {
        snprintf(series, sizeof series, "m,i=%d", taken);
        code = store_append(db, series, 1000, 1, &err);
    }
    unit_assert_code(code, TW_BAD_DATA);
    unit_assert_contains(err.message, "storage.memory_max");
    ck_assert_int_gt(taken, 500);
    ck_assert_int_lt(taken, 20000);
    assert_metric(metrics, "tidewatch_tsdb_samples_refused_total{reason=\"memory_limit\"} 1");
    tsdb_db_status(db, &status);
    ck_assert_uint_le(status.head_bytes, MIB + MIB / 8);
    /* A series that is active goes on; its samples alone may take an eighth more, then requests
     * are refused until the head was flushed. */
    unit_assert_ok(store_append(db, "m,i=0", 2000, 2, &err), &err);
    for (int i = 0; i < 100000 && code != TW_OVERLOAD; i++) {
        snprintf(series, sizeof series, "m,i=%d", i % taken);
        code = store_append(db, series, 3000 + i, RANDOM_VALUE(i), &err);
    }
    unit_assert_code(code, TW_OVERLOAD);
    unit_assert_contains(err.message, "try again later");
    tsdb_db_status(db, &status);
    ck_assert_uint_le(status.head_bytes, MIB + MIB / 2); /* one step of its arena beyond */
    keep(); /* large as it is, it is flushed */
    unit_assert_ok(store_append(db, "m,i=0", 4000000, 2, &err), &err);
    tsdb_db_close(db);
    tw_metrics_free(metrics);
}
END_TEST

/* ---- settings that change ---- */

START_TEST(settings_change_while_it_is_open)
{
    int64_t day = TSDB_DAY_MS;
    struct tw_clock *clock = tw_clock_manual_new(100 * day + day / 2);
    options = (struct tsdb_db_options){.manual = true, .clock = clock, .series_max_per_source = 0};
    open_db();
    for (int i = 90; i <= 100; i++) {
        unit_assert_ok(store_append(db, "m,job=debug", i * day, i, &err), &err);
        unit_assert_ok(store_append(db, "m,job=web", i * day, i, &err), &err);
    }
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    keep();
    struct tsdb_matcher matcher;
    unit_assert_ok(
        tsdb_matcher_init(&matcher, TSDB_MATCH_EQUAL, TW_STR("job"), TW_STR("debug"), &err), &err);
    const struct tsdb_retention_rule rule = {&matcher, 1, 2 * day};
    options.retention_rules = &rule;
    options.retention_rule_count = 1;
    options.retention_ms = 3 * day;
    options.series_max_per_source = 1;
    reconfigure();
    tsdb_matcher_fini(&matcher); /* it was copied */
    keep();
    store_assert(db, "m", 0, 200 * day,
                 "m{job=\"debug\"}: 8553600000=99 8640000000=100\n"
                 "m{job=\"web\"}: 8380800000=97 8467200000=98 8553600000=99 8640000000=100\n");
    tsdb_db_status(db, &status);
    ck_assert_uint_eq(status.partitions, 4);
    unit_assert_code(store_append(db, "other,job=web", 100 * day, 1, &err), TW_BAD_DATA);
    unit_assert_contains(err.message, "series_max_per_source");
    options.size_max = 1;
    unit_assert_code(tsdb_db_reconfigure(db, &options, &err), TW_CONFIG);
    options.size_max = 0;
    options.series_max_per_source = 0;
    reconfigure();
    unit_assert_ok(store_append(db, "other,job=web", 100 * day, 1, &err), &err);
    options.series_max = 1;
    reconfigure();
    unit_assert_code(store_append(db, "another", 100 * day, 1, &err), TW_BAD_DATA);
    tsdb_db_close(db);
    tw_clock_manual_free(clock);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(reserve_turns_read_only_and_back),
                                      UNIT_CASE(opens_without_room),
                                      UNIT_CASE(default_reserve_is_a_part_of_the_disk),
                                      UNIT_CASE_SLOW(small_disk_is_never_full, 120),
                                      {(size_holds_at_full_rate), 0, 2, 600},
                                      UNIT_CASE_SLOW(share_of_memory_refuses_new_series, 120),
                                      UNIT_CASE(settings_change_while_it_is_open),
                                      {0}};
    return unit_run("tsdb/room", cases);
}
