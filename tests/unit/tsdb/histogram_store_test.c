/* SPDX-License-Identifier: Apache-2.0
 *
 * Native histograms through the store, beside numbers of the same series, against a naive model:
 * any order, overwrites, several flushes into one window, restarts, rewriting.
 */
#include "config.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/histograms.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/histogram.h"

#define SERIES 4
#define SLOTS 600
#define STEP_MS 60000
#define DAY_MS INT64_C(86400000)

static const char *const names[SERIES] = {"h,a=1", "h,a=2", "only_numbers,a=1", "h,b=1"};

struct model {
    struct tw_arena *arena;
    struct tsdb_mixed_point points[SERIES][SLOTS]; /* time_ms INT64_MIN: none */
};

static struct model *model_new(void)
{
    struct model *model = calloc(1, sizeof *model);
    model->arena = tw_arena_new(1 << 20);
    for (int i = 0; i < SERIES; i++)
        for (int j = 0; j < SLOTS; j++)
            model->points[i][j].time_ms = INT64_MIN;
    return model;
}

static void model_free(struct model *model)
{
    tw_arena_free(model->arena);
    free(model);
}

static void model_set(struct model *model, int series, int slot, struct tsdb_mixed_point point)
{
    struct tsdb_mixed_point *at = &model->points[series][slot];
    struct tsdb_mixed both = {0};
    if (at->time_ms != INT64_MIN)
        tsdb_mixed_append(&both, *at);
    tsdb_mixed_append(&both, point);
    tsdb_mixed_settle(&both);
    *at = both.items[0];
    tsdb_mixed_fini(&both);
}

static struct tsdb_db *open_store(const char *folder)
{
    struct tsdb_db_options options = {.folder = folder, .manual = true};
    struct tsdb_db *db;
    struct tw_err err;
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    return db;
}

/* A request of histograms, or of numbers. */
static void append_some(struct tsdb_db *db, struct model *model, struct histograms_random *random)
{
    struct wire_label items[40][8];
    struct tsdb_histogram_sample histograms[40];
    struct tsdb_sample numbers[40];
    bool is_number = histograms_below(random, 3) == 0;
    size_t count = 1 + histograms_below(random, 40);
    int slot = (int)histograms_below(random, SLOTS);
    for (size_t i = 0; i < count; i++) {
        int series = is_number ? (int)histograms_below(random, SERIES)
                               : (int)histograms_below(random, 3) * 3 / 2;
        if (!is_number && series == 2)
            series = 3;
        slot = histograms_below(random, 10) ? (slot + 1) % SLOTS
                                            : (int)histograms_below(random, SLOTS);
        int64_t time_ms = slot * (int64_t)STEP_MS + DAY_MS - SLOTS / 2 * (int64_t)STEP_MS;
        struct wire_labels labels = store_labels(names[series], items[i]);
        if (is_number) {
            double value = histograms_below(random, 9) ? (double)histograms_below(random, 1000)
                                                       : tw_double_from_bits(TW_STALE_BITS);
            numbers[i] = (struct tsdb_sample){labels, time_ms, value};
            model_set(model, series, slot,
                      (struct tsdb_mixed_point){time_ms, tw_double_bits(value), NULL});
        } else {
            histograms[i].labels = labels;
            histograms[i].histogram = histograms_next(random, model->arena, time_ms);
            model_set(model, series, slot,
                      (struct tsdb_mixed_point){time_ms, 0, histograms[i].histogram});
        }
    }
    struct tw_context context = store_context();
    struct tw_err err;
    if (is_number)
        unit_assert_ok(tsdb_append(tsdb_db_storage(db), &context, numbers, count, &err), &err);
    else
        unit_assert_ok(
            tsdb_append_histograms(tsdb_db_storage(db), &context, histograms, count, &err), &err);
}

static void check_column(const struct tsdb_column *column,
                         const struct tsdb_mixed_point *const *wanted)
{
    for (size_t i = 0; i < column->count; i++) {
        ck_assert_int_eq(column->times_ms[i], wanted[i]->time_ms);
        ck_assert_int_eq(column->kind, tsdb_mixed_kind(wanted[i]));
        if (wanted[i]->histogram)
            ck_assert(wire_histogram_equal(column->histograms[i], wanted[i]->histogram));
        else
            ck_assert_uint_eq(tw_double_bits(column->values[i]), wanted[i]->bits);
    }
}

static void check_series(struct tsdb_cursor *cursor, size_t index, const struct model *model,
                         int series, int64_t start_ms, int64_t end_ms)
{
    const struct tsdb_mixed_point *wanted[SLOTS];
    size_t count = 0, seen = 0;
    for (int i = 0; i < SLOTS; i++)
        if (model->points[series][i].time_ms != INT64_MIN &&
            model->points[series][i].time_ms >= start_ms &&
            model->points[series][i].time_ms <= end_ms)
            wanted[count++] = &model->points[series][i];
    tsdb_cursor_seek(cursor, index, start_ms, end_ms);
    for (;;) {
        struct tsdb_column column;
        struct tw_err err;
        unit_assert_ok(tsdb_cursor_next(cursor, &column, &err), &err);
        if (column.count == 0)
            break;
        ck_assert_uint_le(seen + column.count, count);
        check_column(&column, wanted + seen);
        seen += column.count;
    }
    ck_assert_uint_eq(seen, count);
}

static void check_store(struct tsdb_db *db, const struct model *model, int64_t start_ms,
                        int64_t end_ms)
{
    struct tw_context context = store_context();
    struct tsdb_selection *selection;
    struct tsdb_cursor *cursor;
    struct tw_err err;
    unit_assert_ok(tsdb_select(tsdb_db_storage(db), &context, NULL, 0, start_ms, end_ms,
                               &(struct tsdb_hints){0}, &selection, &err),
                   &err);
    unit_assert_ok(tsdb_cursor_open(selection, &cursor, &err), &err);
    bool found[SERIES] = {0};
    for (size_t i = 0; i < tsdb_selection_count(selection); i++)
        for (int j = 0; j < SERIES; j++) {
            struct wire_label items[8];
            if (!wire_labels_equal(store_labels(names[j], items),
                                   tsdb_selection_labels(selection, i)))
                continue;
            found[j] = true;
            check_series(cursor, i, model, j, start_ms, end_ms);
        }
    for (int j = 0; j < SERIES; j++)
        for (int i = 0; i < SLOTS; i++)
            ck_assert(found[j] || model->points[j][i].time_ms == INT64_MIN ||
                      model->points[j][i].time_ms < start_ms ||
                      model->points[j][i].time_ms > end_ms);
    tsdb_cursor_close(cursor);
    tsdb_selection_close(selection);
}

static void check_ranges(struct tsdb_db *db, const struct model *model,
                         struct histograms_random *random)
{
    check_store(db, model, INT64_MIN, INT64_MAX);
    for (int i = 0; i < 5; i++) {
        int64_t start_ms = (int64_t)histograms_below(random, (uint64_t)(2 * DAY_MS));
        check_store(db, model, start_ms, start_ms + (int64_t)histograms_below(random, 20000000));
    }
}

START_TEST(agrees_with_the_model)
{
    char folder[300];
    snprintf(folder, sizeof folder, "%s/model%d", unit_folder(), _i);
    struct histograms_random random = histograms_random((uint64_t)_i * 13 + 3);
    struct model *model = model_new();
    struct tsdb_db *db = open_store(folder);
    struct tw_err err;
    for (int round = 0; round < 60; round++) {
        append_some(db, model, &random);
        switch (histograms_below(&random, 12)) {
        case 0:
            unit_assert_ok(tsdb_db_flush(db, &err), &err);
            break;
        case 1:
            tsdb_db_close(db);
            db = open_store(folder);
            break;
        case 2:
            unit_assert_ok(tsdb_db_keep(db, &err), &err);
            break;
        default:
            break;
        }
        if (round % 6 == 0)
            check_ranges(db, model, &random);
    }
    check_ranges(db, model, &random);
    tsdb_db_close(db);
    db = open_store(folder);
    check_ranges(db, model, &random);
    tsdb_db_close(db);
    model_free(model);
}
END_TEST

/* A process that ends without closing the store: all that was acknowledged is replayed. */
START_TEST(survives_the_end_of_the_process)
{
    char folder[300];
    snprintf(folder, sizeof folder, "%s/end", unit_folder());
    for (int round = 1; round <= 4; round++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        struct histograms_random random = histograms_random(99);
        struct model *model = model_new();
        struct tsdb_db *db = child == 0 ? open_store(folder) : NULL;
        for (int i = 0; i < round * 10; i++) {
            if (child == 0) {
                append_some(db, model, &random);
                continue;
            }
        }
        if (child == 0)
            _exit(0);
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        /* The same random requests again into a store of its own, which is closed well. */
        char other[320];
        snprintf(other, sizeof other, "%s-%d", folder, round);
        struct tsdb_db *twin = open_store(other);
        for (int i = 0; i < round * 10; i++)
            append_some(twin, model, &random);
        tsdb_db_close(twin);
        db = open_store(folder);
        check_store(db, model, INT64_MIN, INT64_MAX);
        tsdb_db_close(db);
        model_free(model);
    }
}
END_TEST

START_TEST(refuses_bad_ones_and_keeps_the_rest)
{
    struct tsdb_db *db = open_store(unit_folder());
    struct tw_arena *arena = tw_arena_new(4096);
    struct wire_label items[8];
    struct wire_histogram bad = *histograms_plain(arena, 1000, 10, 1);
    bad.count.integer = 3;
    const struct tsdb_histogram_sample samples[] = {
        {store_labels("h,a=1", items), &bad},
        {store_labels("h,a=1", items), histograms_plain(arena, 2000, 10, 1)},
    };
    struct tw_context context = store_context();
    struct tw_err err;
    unit_assert_code(tsdb_append_histograms(tsdb_db_storage(db), &context, samples, 2, &err),
                     TW_BAD_DATA);
    unit_assert_contains(err.message, "series h{a=\"1\"}: 10 observations found in buckets, but "
                                      "the Count field is 3");
    struct model *model = model_new();
    model_set(model, 0, 0, (struct tsdb_mixed_point){2000, 0, samples[1].histogram});
    check_store(db, model, INT64_MIN, INT64_MAX);
    model_free(model);
    tw_arena_free(arena);
    tsdb_db_close(db);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_LOOP(agrees_with_the_model, 0, 4),
                                      UNIT_CASE(survives_the_end_of_the_process),
                                      UNIT_CASE(refuses_bad_ones_and_keeps_the_rest),
                                      {0}};
    return unit_run("tsdb/histogram_store", cases);
}
