/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/histogram.h"

#include "tests/fuzz/histogram_chunk_fuzz.h"
#include "tests/lib/histograms.h"
#include "tests/lib/unit.h"
#include "tsdb/histogram_chunk.h"
#include "tsdb/histogram_head.h"

#define COUNT_MAX 700

/* Points of a series: histograms of all kinds, now and then numbers. */
static size_t make_points(struct histograms_random *random, struct tw_arena *arena,
                          struct tsdb_mixed_point *ret, size_t count, unsigned number_share)
{
    int64_t time_ms = 1000;
    for (size_t i = 0; i < count; i++) {
        time_ms += 1 + (int64_t)histograms_below(random, 20000);
        ret[i] = (struct tsdb_mixed_point){time_ms, 0, NULL};
        if (number_share && histograms_below(random, number_share) == 0)
            ret[i].bits = histograms_below(random, 9) ? tw_double_bits((double)i) : TW_STALE_BITS;
        else
            ret[i].histogram = histograms_next(random, arena, time_ms);
    }
    return count;
}

static bool same_point(const struct tsdb_mixed_point *a, const struct tsdb_mixed_point *b)
{
    if (a->time_ms != b->time_ms || !a->histogram != !b->histogram)
        return false;
    return a->histogram ? wire_histogram_equal(a->histogram, b->histogram) : a->bits == b->bits;
}

START_TEST(chunk_comes_back)
{
    struct histograms_random random = histograms_random((uint64_t)_i);
    struct tw_arena *arena = tw_arena_new(4096);
    static struct tsdb_mixed_point points[COUNT_MAX];
    static int64_t times[COUNT_MAX];
    struct tw_buf bytes;
    struct tsdb_mixed again = {0};
    tw_buf_init(&bytes, (size_t)1 << 26);
    for (int round = 0; round < 20; round++) {
        size_t count = make_points(&random, arena, points, 1 + histograms_below(&random, COUNT_MAX),
                                   (unsigned)histograms_below(&random, 4) * 3);
        for (size_t i = 0; i < count; i++)
            times[i] = points[i].time_ms;
        tw_buf_clear(&bytes);
        tsdb_histogram_chunk_encode(points, count, &bytes);
        again.count = 0;
        ck_assert(tsdb_histogram_chunk_decode(tw_buf_str(&bytes), times, count, arena, &again));
        ck_assert_uint_eq(again.count, count);
        for (size_t i = 0; i < count; i++)
            ck_assert(same_point(&points[i], &again.items[i]));
        /* A byte too few, and another count. */
        ck_assert(!tsdb_histogram_chunk_decode(tw_str_slice(tw_buf_str(&bytes), 0, bytes.size - 1),
                                               times, count, arena, &again));
        ck_assert(
            !tsdb_histogram_chunk_decode(tw_buf_str(&bytes), times, count - 1, arena, &again));
        ck_assert_uint_eq(again.count, count);
        tw_arena_reset(arena);
    }
    tsdb_mixed_fini(&again);
    tw_buf_fini(&bytes);
    tw_arena_free(arena);
}
END_TEST

START_TEST(chunk_survives_changed_bytes)
{
    struct histograms_random random = histograms_random(5);
    struct tw_arena *arena = tw_arena_new(4096);
    struct tsdb_mixed_point points[40];
    struct tw_buf bytes;
    tw_buf_init(&bytes, (size_t)1 << 26);
    for (int round = 0; round < 2000; round++) {
        size_t count = make_points(&random, arena, points, 1 + histograms_below(&random, 40), 5);
        tw_buf_clear(&bytes);
        tw_buf_append_char(&bytes, (char)count);
        tsdb_histogram_chunk_encode(points, count, &bytes);
        for (uint64_t changes = 1 + histograms_below(&random, 3); changes > 0; changes--)
            bytes.data[histograms_below(&random, bytes.size)] =
                (char)histograms_below(&random, 256);
        histogram_chunk_fuzz((const uint8_t *)bytes.data, bytes.size);
        tw_arena_reset(arena);
    }
    tw_buf_fini(&bytes);
    tw_arena_free(arena);
}
END_TEST

START_TEST(head_gives_back_any_range)
{
    struct histograms_random random = histograms_random((uint64_t)_i + 100);
    struct tw_arena *arena = tw_arena_new(4096), *read = tw_arena_new(4096);
    struct tsdb_histogram_head *head = tsdb_histogram_head_new();
    struct tsdb_histogram_head *replayed = tsdb_histogram_head_new();
    static struct tsdb_mixed_point points[COUNT_MAX];
    size_t count = make_points(&random, arena, points, COUNT_MAX, 0);
    struct tw_buf step;
    tw_buf_init(&step, (size_t)1 << 20);
    for (size_t i = 0; i < count; i++)
        for (uint32_t series = 3; series < 400; series += 200) {
            tw_buf_clear(&step);
            tsdb_histogram_head_log(head, series, points[i].histogram, &step);
            tsdb_histogram_head_append(head, series, points[i].time_ms, tw_buf_str(&step));
            ck_assert(
                tsdb_histogram_head_replay(replayed, series, points[i].time_ms, tw_buf_str(&step)));
            tsdb_histogram_head_append(replayed, series, points[i].time_ms, tw_buf_str(&step));
        }
    ck_assert_uint_gt(tsdb_histogram_head_bytes(head), 0);
    struct tsdb_mixed got = {0};
    for (int round = 0; round < 50; round++) {
        size_t first = histograms_below(&random, count), limit = first;
        limit += histograms_below(&random, count - first) + 1;
        struct tsdb_histogram_view view =
            tsdb_histogram_head_view(round % 2 ? head : replayed, 203);
        got.count = 0;
        tw_arena_reset(read);
        tsdb_histogram_view_read(&view, points[first].time_ms, points[limit - 1].time_ms, read,
                                 &got);
        ck_assert_uint_eq(got.count, limit - first);
        for (size_t i = 0; i < got.count; i++)
            ck_assert(same_point(&points[first + i], &got.items[i]));
    }
    struct tsdb_histogram_view none = tsdb_histogram_head_view(head, 4);
    ck_assert(none.newest == NULL && none.last_ms == INT64_MIN);
    tsdb_mixed_fini(&got);
    tw_buf_fini(&step);
    tsdb_histogram_head_free(head);
    tsdb_histogram_head_free(replayed);
    tw_arena_free(arena);
    tw_arena_free(read);
}
END_TEST

/* Steps that did not come from a writer are refused at replay, whatever they are. */
START_TEST(replay_survives_changed_steps)
{
    struct histograms_random random = histograms_random(9);
    struct tw_arena *arena = tw_arena_new(4096);
    struct tsdb_histogram_head *head = tsdb_histogram_head_new();
    struct tw_buf step;
    tw_buf_init(&step, (size_t)1 << 20);
    const struct wire_histogram *before = NULL;
    for (int round = 0; round < 5000; round++) {
        const struct wire_histogram *histogram = histograms_next(&random, arena, round);
        tw_buf_clear(&step);
        tsdb_histogram_step_append(before, histogram, &step);
        step.data[histograms_below(&random, step.size)] = (char)histograms_below(&random, 256);
        (void)tsdb_histogram_head_replay(head, 1, round,
                                         tw_str_slice(tw_buf_str(&step), 0,
                                                      histograms_below(&random, 3)
                                                          ? step.size
                                                          : histograms_below(&random, step.size)));
        before = histogram;
        if (round % 100 == 0) {
            before = NULL;
            tw_arena_reset(arena);
        }
    }
    tw_buf_fini(&step);
    tsdb_histogram_head_free(head);
    tw_arena_free(arena);
}
END_TEST

/* Of samples at one time: histogram, number, stale marker; then the newest. */
START_TEST(rule_at_one_time)
{
    struct tw_arena *arena = tw_arena_new(4096);
    struct wire_histogram stale = {.time_ms = 5, .sum = tw_double_from_bits(TW_STALE_BITS)};
    const struct tsdb_mixed_point ranked[] = {
        {5, TW_STALE_BITS, NULL},
        {5, 0, &stale},
        {5, 1, NULL},
        {5, 2, NULL},
        {5, 0, histograms_plain(arena, 5, 10, 1)},
        {5, 0, histograms_plain(arena, 5, 12, 1)},
    };
    struct tsdb_mixed settled = {0}, merged = {0};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++) {
            bool same_rank = (i | 1) == (j | 1) && i >= 2;
            const struct tsdb_mixed_point *wanted = &ranked[same_rank ? j : i > j ? i : j];
            settled.count = 0;
            tsdb_mixed_append(&settled, ranked[i]);
            tsdb_mixed_append(&settled, ranked[j]);
            tsdb_mixed_settle(&settled);
            tsdb_mixed_merge(&ranked[i], 1, &ranked[j], 1, &merged);
            ck_assert_uint_eq(settled.count, 1);
            ck_assert_uint_eq(merged.count, 1);
            ck_assert(same_point(&settled.items[0], wanted));
            ck_assert(same_point(&merged.items[0], wanted));
        }
    tsdb_mixed_fini(&settled);
    tsdb_mixed_fini(&merged);
    tw_arena_free(arena);
}
END_TEST

START_TEST(columns_are_of_one_kind)
{
    struct tw_arena *arena = tw_arena_new(4096);
    const struct wire_histogram *plain = histograms_plain(arena, 3, 10, 1);
    const struct tsdb_mixed_point points[] = {
        {1, tw_double_bits(1.5), NULL},
        {2, tw_double_bits(2.5), NULL},
        {3, 0, plain},
        {4, 0, wire_histogram_to_float(arena, plain)},
        {5, 0, wire_histogram_to_float(arena, plain)},
        {6, tw_double_bits(3.5), NULL},
    };
    static const struct {
        enum tsdb_kind kind;
        size_t count;
    } wanted[] = {{TSDB_KIND_FLOAT, 2},
                  {TSDB_KIND_HISTOGRAM, 1},
                  {TSDB_KIND_FLOAT_HISTOGRAM, 2},
                  {TSDB_KIND_FLOAT, 1},
                  {TSDB_KIND_FLOAT, 0}};
    ck_assert_int_eq(tsdb_histogram_chunk_kind(points, 6), TSDB_KIND_HISTOGRAM);
    ck_assert_int_eq(tsdb_histogram_chunk_kind(points + 3, 3), TSDB_KIND_FLOAT_HISTOGRAM);
    ck_assert_int_eq(tsdb_histogram_chunk_kind(points, 2), TSDB_KIND_FLOAT);
    struct tsdb_mixed_columns columns = {0};
    struct tsdb_column column;
    for (size_t i = 0, at = 0; i < 5; i++) {
        ck_assert_uint_eq(tsdb_mixed_columns_take(&columns, points + at, 6 - at, &column),
                          wanted[i].count);
        ck_assert_int_eq(column.kind, wanted[i].kind);
        ck_assert_uint_eq(column.count, wanted[i].count);
        if (column.count)
            ck_assert_int_eq(column.times_ms[0], points[at].time_ms);
        at += wanted[i].count;
    }
    ck_assert_uint_eq(tsdb_mixed_find(points, 6, 4), 3);
    tsdb_mixed_columns_fini(&columns);
    tw_arena_free(arena);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_LOOP(chunk_comes_back, 0, 6),
                                      UNIT_CASE(chunk_survives_changed_bytes),
                                      UNIT_LOOP(head_gives_back_any_range, 0, 4),
                                      UNIT_CASE(replay_survives_changed_steps),
                                      UNIT_CASE(rule_at_one_time),
                                      UNIT_CASE(columns_are_of_one_kind),
                                      {0}};
    return unit_run("tsdb/histogram", cases);
}
