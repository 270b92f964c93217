/* SPDX-License-Identifier: Apache-2.0
 *
 * threads_test: writers, readers, flushes, rewrites and deletions at once. Whatever a reader sees
 * is right, and has no hole: a writer's samples come one after the other, and what was acknowledged
 * before a selection is in it.
 */
#include "config.h"

#include <stdatomic.h>

#include "base/thread.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/db_int.h"
#include "tsdb/rewriter.h"

#define WRITERS 3
#define READERS 2
#define BATCHES 150
#define SERIES 10
#define STEP_MS 40000

static struct tsdb_db *db;
static atomic_llong acknowledged[WRITERS]; /* batches */
static atomic_int writing;

static void write_batches(void *argument)
{
    int writer = (int)(intptr_t)argument;
    struct tw_context context = store_context();
    struct tw_err err;
    for (int batch = 0; batch < BATCHES; batch++) {
        char names[SERIES][40];
        struct wire_label items[SERIES][8];
        struct tsdb_sample samples[SERIES];
        for (int i = 0; i < SERIES; i++) {
            snprintf(names[i], sizeof names[i], "m,series=s%d,writer=w%d", i, writer);
            samples[i] = (struct tsdb_sample){store_labels(names[i], items[i]),
                                              (int64_t)batch * STEP_MS, batch + i * 0.5};
        }
        unit_assert_ok(tsdb_append(tsdb_db_storage(db), &context, samples, SERIES, &err), &err);
        atomic_store(&acknowledged[writer], batch + 1);
    }
    atomic_fetch_sub(&writing, 1);
}

static void check_series(struct tsdb_cursor *cursor, size_t index, struct wire_labels labels,
                         const long long *before)
{
    int series = store_number(wire_labels_get(labels, TW_STR("series")));
    int writer = store_number(wire_labels_get(labels, TW_STR("writer")));
    struct tsdb_column column;
    struct tw_err err;
    long long batch = 0;
    tsdb_cursor_seek(cursor, index, INT64_MIN, INT64_MAX);
    for (;;) {
        unit_assert_ok(tsdb_cursor_next(cursor, &column, &err), &err);
        if (column.count == 0)
            break;
        for (size_t i = 0; i < column.count; i++, batch++) {
            ck_assert_int_eq(column.times_ms[i], batch * STEP_MS);
            ck_assert(column.values[i] == (double)batch + series * 0.5);
        }
    }
    ck_assert_int_ge(batch, before[writer]);
}

static void read_all(void *argument)
{
    (void)argument;
    struct tw_context context = store_context();
    struct tw_err err;
    bool last = false;
    while (!last) {
        last = atomic_load(&writing) == 0;
        long long before[WRITERS];
        for (int i = 0; i < WRITERS; i++)
            before[i] = atomic_load(&acknowledged[i]);
        struct tsdb_selection *selection;
        struct tsdb_cursor *cursor;
        unit_assert_ok(tsdb_select(tsdb_db_storage(db), &context, NULL, 0, INT64_MIN, INT64_MAX,
                                   &(struct tsdb_hints){0}, &selection, &err),
                       &err);
        unit_assert_ok(tsdb_cursor_open(selection, &cursor, &err), &err);
        for (size_t i = 0; i < tsdb_selection_count(selection); i++)
            if (!tw_str_is(
                    wire_labels_get(tsdb_selection_labels(selection, i), TW_STR(WIRE_METRIC_NAME)),
                    "deleted"))
                check_series(cursor, i, tsdb_selection_labels(selection, i), before);
        tsdb_cursor_close(cursor);
        tsdb_selection_close(selection);
    }
}

static struct tsdb_erasers *list_erasers(void *user)
{
    (void)user;
    return tsdb_tombstones_list(db->tombstones);
}

/* Rewrites the day again and again; deletes what is of no other thread. */
static void rewrite_all(void *argument)
{
    (void)argument;
    struct tw_context context = store_context();
    struct tw_err err;
    const struct tsdb_matcher matcher = {
        .op = TSDB_MATCH_EQUAL, .name = TW_STR(WIRE_METRIC_NAME), .value = TW_STR("deleted")};
    const struct tsdb_selector selector = {&matcher, 1};
    while (atomic_load(&writing) > 0) {
        unit_assert_ok(store_append(db, "deleted,series=s0,writer=w0", 1, 1, &err), &err);
        unit_assert_ok(tsdb_db_delete(db, &context, &selector, 1, INT64_MIN, INT64_MAX, &err),
                       &err);
        const struct tsdb_rewrite rewrite = {
            .now_ms = 1, .erasers = list_erasers, .flushed = tsdb_db_flushed(db)};
        struct tsdb_rewrite_result result;
        tw_lock_take(&db->renewing); /* one rewrite at a time */
        enum tw_code code = tsdb_rewriter_run(db->partitions, &rewrite, &result, &err);
        tw_lock_release(&db->renewing);
        ck_assert(code == TW_OK || code == TW_NOT_FOUND);
        tw_clock_sleep_ns(tw_clock_system(), 10000000);
    }
}

START_TEST(readers_see_no_holes)
{
    char path[4096];
    struct tw_err err;
    struct tw_thread threads[WRITERS + READERS + 1] = {{0}};
    struct tw_metrics *metrics = tw_metrics_new();
    snprintf(path, sizeof path, "%s/threads", unit_folder());
    struct tsdb_db_options options = {.folder = path, .head_bytes_max = 60000, .metrics = metrics};
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    atomic_store(&writing, WRITERS);
    for (int i = 0; i < WRITERS; i++)
        unit_assert_ok(
            tw_thread_start(&threads[i], "writer", write_batches, (void *)(intptr_t)i, &err), &err);
    for (int i = 0; i < READERS; i++)
        unit_assert_ok(tw_thread_start(&threads[WRITERS + i], "reader", read_all, NULL, &err),
                       &err);
    unit_assert_ok(
        tw_thread_start(&threads[WRITERS + READERS], "rewriter", rewrite_all, NULL, &err), &err);
    struct tw_buf text;
    tw_buf_init(&text, (size_t)1 << 20);
    while (atomic_load(&writing) > 0) {
        unit_assert_ok(tsdb_db_flush(db, &err), &err);
        tw_buf_clear(&text);
        tw_metrics_write(metrics, &text);
        tw_clock_sleep_ns(tw_clock_system(), 30000000);
    }
    for (int i = 0; i < WRITERS + READERS + 1; i++)
        tw_thread_join(&threads[i]);
    tw_buf_fini(&text);
    tsdb_db_close(db);
    tw_metrics_free(metrics);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE_SLOW(readers_see_no_holes, 600), {0}};
    return unit_run("tsdb/threads", cases);
}
