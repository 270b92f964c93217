/* SPDX-License-Identifier: Apache-2.0
 *
 * Generations over a shared index, seen through the store: restarts, churn, limits, counters.
 */
#include "config.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tsdb/store.h"
#include "tsdb/cardinality.h"
#include "tsdb/db_int.h"

#define START_MS INT64_C(1700000000000)

static struct tw_err err;

static const char *folder(void)
{
    static char path[4096];
    static int number;
    snprintf(path, sizeof path, "%s/db%d", unit_folder(), number++);
    return path;
}

static struct tsdb_db *open_with(struct tsdb_db_options options)
{
    struct tsdb_db *db;
    options.manual = true;
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    return db;
}

static enum tw_code write_one(struct tsdb_db *db, int i, int64_t time_ms)
{
    char series[64];
    snprintf(series, sizeof series, "m,instance=i%d,job=j%d", i, i % 2);
    return store_append(db, series, time_ms, i, &err);
}

static void write_range(struct tsdb_db *db, int first, int limit, int64_t time_ms)
{
    for (int i = first; i < limit; i++)
        unit_assert_ok(write_one(db, i, time_ms), &err);
}

/* A new generation takes over; the old one stays in memory and in the log. */
static void rotate(struct tsdb_db *db)
{
    unit_assert_ok(tsdb_keeper_rotate(db, &err), &err);
}

/* times: of the samples from START_MS on, space-separated digits; nothing else is there. */
static void assert_range(struct tsdb_db *db, int first, int limit, const char *times)
{
    for (int i = first; i < limit; i++) {
        char instance[16], wanted[256];
        snprintf(instance, sizeof instance, "i%d", i);
        size_t size = 0;
        for (const char *at = times; *at; at++)
            if (*at != ' ')
                size += (size_t)snprintf(wanted + size, sizeof wanted - size, " %lld=%d",
                                         (long long)START_MS + *at - '0', i);
        snprintf(wanted + size, sizeof wanted - size, "\n");
        char *text = store_read(db, "m", "instance", instance, 0, INT64_MAX - 1);
        ck_assert_msg(strstr(text, wanted), "'%s' lacks '%s'", text, wanted);
        free(text);
    }
}

/* ---- restarts ---- */

static void crash_with(const char *path, void (*body)(struct tsdb_db *db))
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        body(open_with((struct tsdb_db_options){.folder = path}));
        _exit(0); /* nothing is closed */
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void write_three_generations(struct tsdb_db *db)
{
    write_range(db, 0, 20, START_MS);
    rotate(db);
    write_range(db, 5, 20, START_MS + 1); /* five have ended */
    rotate(db);
    write_range(db, 5, 25, START_MS + 2); /* five are new */
}

static void write_one_more(struct tsdb_db *db)
{
    write_range(db, 0, 25, START_MS + 3);
}

START_TEST(segments_share_their_index_after_a_crash)
{
    char path[4096];
    strcpy(path, folder());
    crash_with(path, write_three_generations);
    struct tsdb_db *db = open_with((struct tsdb_db_options){.folder = path});
    tw_lock_take(&db->lock);
    for (struct tsdb_generation *at = db->oldest; at; at = at->newer)
        ck_assert_ptr_eq(tsdb_head_index(at->head), db->index);
    ck_assert_uint_eq(tsdb_index_count(db->index), 25);
    ck_assert_uint_eq(db->active_series, 20);
    tw_lock_release(&db->lock);
    assert_range(db, 0, 5, "0");
    assert_range(db, 5, 20, "0 1 2");
    assert_range(db, 20, 25, "2");
    tsdb_db_close(db);
}
END_TEST

/* The first segments are flushed and gone: the last one has to be enough, holes and all. */
START_TEST(segment_is_enough_alone)
{
    char path[4096], segment[8192];
    strcpy(path, folder());
    crash_with(path, write_three_generations);
    for (int i = 1; i <= 2; i++) {
        snprintf(segment, sizeof segment, "%s/default/log/%016x.log", path, (unsigned)i);
        ck_assert_int_eq(unlink(segment), 0);
    }
    crash_with(path, write_one_more);
    struct tsdb_db *db = open_with((struct tsdb_db_options){.folder = path});
    assert_range(db, 5, 25, "2 3");
    assert_range(db, 0, 5, "3");
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    assert_range(db, 5, 25, "2 3");
    tsdb_db_close(db);
}
END_TEST

/* ---- churn ---- */

START_TEST(ended_series_leave)
{
    struct tw_clock *clock = tw_clock_manual_new(START_MS);
    struct tsdb_db *db = open_with((struct tsdb_db_options){.folder = folder(), .clock = clock});
    size_t highest = 0;
    for (int round = 0; round < 20; round++) {
        write_range(db, round * 50, round * 50 + 100, START_MS + round); /* half of them new */
        struct tsdb_db_status status;
        tsdb_db_status(db, &status);
        ck_assert_uint_ge(status.head_series, 100);
        highest = tsdb_index_count(db->index) > highest ? tsdb_index_count(db->index) : highest;
        tw_clock_manual_advance(clock, 30 * 60 * 1000);
        unit_assert_ok(tsdb_db_keep(db, &err), &err);
        ck_assert(db->active_series == 100 || tsdb_index_count(db->index) == 0);
    }
    ck_assert_uint_le(highest, 300);
    tsdb_db_close(db);
    tw_clock_manual_free(clock);
}
END_TEST

START_TEST(steady_series_keep_their_index)
{
    struct tw_clock *clock = tw_clock_manual_new(START_MS);
    struct tsdb_db *db = open_with((struct tsdb_db_options){.folder = folder(), .clock = clock});
    const struct tsdb_index *index = NULL;
    for (int round = 0; round < 5; round++) {
        write_range(db, 0, 100, START_MS + round);
        ck_assert(round == 0 || db->index == index);
        index = db->index;
        ck_assert_uint_eq(tsdb_index_count(index), 100);
        tw_clock_manual_advance(clock, 30 * 60 * 1000);
        unit_assert_ok(tsdb_db_keep(db, &err), &err);
    }
    assert_range(db, 0, 100, "0 1 2 3 4");
    tsdb_db_close(db);
    tw_clock_manual_free(clock);
}
END_TEST

/* ---- limits ---- */

START_TEST(limits_refuse_only_new_series)
{
    char path[4096];
    strcpy(path, folder());
    struct tw_clock *clock = tw_clock_manual_new(START_MS);
    struct tsdb_db_options options = {.folder = path, .clock = clock, .series_max = 10};
    struct tsdb_db *db = open_with(options);
    write_range(db, 0, 10, START_MS);
    unit_assert_code(write_one(db, 10, START_MS), TW_BAD_DATA);
    unit_assert_contains(err.message, "limit of 10");
    unit_assert_contains(err.message, "storage.series_max");
    unit_assert_contains(err.message, "instance=\"i10\"");
    ck_assert_uint_eq(tsdb_index_count(db->index), 10); /* what is refused costs no memory */
    rotate(db);
    write_range(db, 0, 10, START_MS + 1); /* those that are active go on */
    unit_assert_code(write_one(db, 10, START_MS + 1), TW_BAD_DATA);
    /* When two have not been written to for a whole generation, two others may come. */
    tw_clock_manual_advance(clock, 30 * 60 * 1000);
    rotate(db);
    write_range(db, 2, 10, START_MS + 2);
    unit_assert_code(write_one(db, 10, START_MS + 2), TW_BAD_DATA);
    tw_clock_manual_advance(clock, 30 * 60 * 1000);
    rotate(db);
    write_range(db, 2, 12, START_MS + 3);
    unit_assert_code(write_one(db, 0, START_MS + 3), TW_BAD_DATA); /* it is a new one now */
    tsdb_db_close(db);
    tw_clock_manual_free(clock);
}
END_TEST

static enum tw_code write_of_source(struct tsdb_db *db, const char *job, int i)
{
    char series[64];
    snprintf(series, sizeof series, "m,i=%d,instance=a,job=%s", i, job);
    return store_append(db, series, START_MS, i, &err);
}

static void write_five_of_one(struct tsdb_db *db)
{
    for (int i = 0; i < 5; i++)
        unit_assert_ok(write_of_source(db, "one", i), &err);
}

START_TEST(source_has_a_limit_of_its_own)
{
    char path[4096];
    strcpy(path, folder());
    crash_with(path, write_five_of_one);
    struct tsdb_db *db =
        open_with((struct tsdb_db_options){.folder = path, .series_max_per_source = 5});
    unit_assert_ok(write_of_source(db, "one", 4), &err); /* known from before the restart */
    unit_assert_code(write_of_source(db, "one", 5), TW_BAD_DATA);
    unit_assert_contains(err.message, "storage.series_max_per_source");
    for (int i = 0; i < 5; i++)
        unit_assert_ok(write_of_source(db, "two", i), &err);
    unit_assert_code(write_of_source(db, "two", 5), TW_BAD_DATA);
    rotate(db);
    unit_assert_ok(write_of_source(db, "two", 4), &err);
    unit_assert_code(write_of_source(db, "two", 5), TW_BAD_DATA);
    tsdb_db_close(db);
}
END_TEST

START_TEST(late_and_repeated_samples_are_counted)
{
    struct tw_metrics *metrics = tw_metrics_new();
    struct tsdb_db *db =
        open_with((struct tsdb_db_options){.folder = folder(), .metrics = metrics});
    unit_assert_ok(store_append(db, "m", START_MS, 1, &err), &err);
    unit_assert_ok(store_append(db, "m", START_MS, 1, &err), &err);
    unit_assert_ok(store_append(db, "m", START_MS, 2, &err), &err);
    unit_assert_ok(store_append(db, "m", START_MS - 5, 3, &err), &err);
    unit_assert_ok(store_append(db, "m", START_MS - 4, 3, &err), &err);
    struct tw_buf text;
    tw_buf_init(&text, (size_t)1 << 20);
    tw_metrics_write(metrics, &text);
    unit_assert_contains(tw_buf_cstr(&text), "tidewatch_tsdb_duplicate_samples_total 1\n");
    unit_assert_contains(tw_buf_cstr(&text), "tidewatch_tsdb_overwritten_samples_total 1\n");
    unit_assert_contains(tw_buf_cstr(&text), "tidewatch_tsdb_out_of_order_samples_total 2\n");
    tw_buf_fini(&text);
    tsdb_db_close(db);
    tw_metrics_free(metrics);
}
END_TEST

START_TEST(cardinality_is_told)
{
    struct tw_clock *clock = tw_clock_manual_new(START_MS);
    struct tsdb_db *db =
        open_with((struct tsdb_db_options){.folder = folder(), .clock = clock, .series_max = 1000});
    struct tw_arena *arena = tw_arena_new(4096);
    struct tw_context context = store_context();
    struct tsdb_cardinality found;
    write_range(db, 0, 40, START_MS);
    unit_assert_ok(store_append(db, "gone,instance=i0,job=j0", START_MS, 1, &err), &err);
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    tw_clock_manual_advance(clock, TSDB_DAY_MS);
    for (int i = 0; i < 2; i++) { /* what is not written to any more is not active */
        write_range(db, 0, 60, START_MS + TSDB_DAY_MS + i);
        rotate(db);
        tw_clock_manual_advance(clock, 30 * 60 * 1000);
    }
    unit_assert_ok(store_append(db, "n,pod=x", START_MS, 1, &err), &err);
    unit_assert_ok(tsdb_db_cardinality(db, &context, NULL, 0, 3, arena, &found, &err), &err);
    ck_assert_uint_eq(found.active, 61);
    ck_assert_uint_eq(found.matched, 61);
    ck_assert_uint_eq(found.limit, 1000);
    ck_assert_uint_eq(found.metrics.total, 2);
    ck_assert(tw_str_is(found.metrics.items[0].name, "m"));
    ck_assert_uint_eq(found.metrics.items[0].series, 60);
    ck_assert(found.has_yesterday);
    ck_assert_uint_eq(found.metrics.items[0].yesterday, 40);
    ck_assert_uint_eq(found.metrics.items[1].yesterday, 0);
    ck_assert_uint_eq(found.names.total, 4);
    ck_assert(tw_str_is(found.names.items[0].name, "instance"));
    ck_assert_uint_eq(found.names.items[0].values, 60);
    ck_assert_uint_eq(found.names.items[0].series, 60);
    ck_assert_uint_eq(found.pairs.total, 2 + 60 + 2 + 1);
    ck_assert_uint_eq(found.pairs.count, 3);
    ck_assert(tw_str_is(found.pairs.items[1].value, "j0"));
    ck_assert_uint_eq(found.pairs.items[1].series, 30);
    ck_assert_uint_eq(found.sources.total, 61);
    ck_assert_uint_eq(found.days[found.day_count - 1].series, 41);
    struct tsdb_matcher matcher;
    unit_assert_ok(tsdb_matcher_init(&matcher, TSDB_MATCH_EQUAL, TW_STR("job"), TW_STR("j1"), &err),
                   &err);
    unit_assert_ok(tsdb_db_cardinality(db, &context, &matcher, 1, 3, arena, &found, &err), &err);
    ck_assert_uint_eq(found.active, 61);
    ck_assert_uint_eq(found.matched, 30);
    ck_assert_uint_eq(found.metrics.items[0].yesterday, 20);
    tsdb_matcher_fini(&matcher);
    tw_arena_free(arena);
    tsdb_db_close(db);
    tw_clock_manual_free(clock);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(segments_share_their_index_after_a_crash),
                                      UNIT_CASE(segment_is_enough_alone),
                                      UNIT_CASE(ended_series_leave),
                                      UNIT_CASE(steady_series_keep_their_index),
                                      UNIT_CASE(limits_refuse_only_new_series),
                                      UNIT_CASE(source_has_a_limit_of_its_own),
                                      UNIT_CASE(late_and_repeated_samples_are_counted),
                                      UNIT_CASE(cardinality_is_told),
                                      {0}};
    return unit_run("tsdb/generation", cases);
}
