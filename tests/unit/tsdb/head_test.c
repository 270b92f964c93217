/* SPDX-License-Identifier: Apache-2.0
 *
 * What a head and its index promise: samples come back as the rule of points.h says, whatever was
 * packed meanwhile; views stay right; ids, matching and restoring.
 */
#include "config.h"

#include <stdio.h>

#include "tests/unit/tsdb/store.h"
#include "tsdb/head.h"
#include "tsdb/head_columns.h"
#include "tsdb/label_order.h"
#include "tsdb/record.h"

static struct tw_err err;
static uint64_t seed;

static uint32_t draw(uint32_t limit)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % limit;
}

/* ---- samples ---- */

static int64_t draw_time(int kind, int64_t before)
{
    switch (kind) {
    case 0:
        return before + 15000;
    case 1:
        return before + 14990 + draw(20);
    case 2:
        return before + (int64_t)draw(60000) - 20000; /* late ones among them */
    default:
        return (int64_t)draw(50) * 1000; /* again and again */
    }
}

static uint64_t draw_bits(int kind, uint64_t before)
{
    if (draw(40) == 0)
        return TW_STALE_BITS;
    switch (kind) {
    case 0:
        return before;
    case 1:
        return tw_double_bits((double)draw(1000));
    default:
        return seed * UINT64_C(0x9e3779b97f4a7c15);
    }
}

static void assert_same(const struct tsdb_points *a, const struct tsdb_points *b)
{
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        ck_assert_int_eq(a->items[i].time_ms, b->items[i].time_ms);
        ck_assert_uint_eq(a->items[i].bits, b->items[i].bits);
    }
}

static void copy_settled(const struct tsdb_points *all, struct tsdb_points *ret)
{
    ret->count = 0;
    struct tsdb_point *to = tsdb_points_reserve(ret, all->count);
    memcpy(to, all->items, all->count * sizeof *to);
    ret->count = all->count;
    tsdb_points_settle(ret);
}

/* The columns of a view, whole and cut on both sides, are the points; or there are none, which is
 * so only out of order. */
static void check_columns(struct tsdb_head_columns *columns, const struct tsdb_head_view *view,
                          const struct tsdb_points *wanted)
{
    for (int cut = 0; cut < 3; cut++) {
        size_t first = cut ? wanted->count / 2 : 0;
        size_t limit = cut == 2 ? wanted->count * 3 / 4 + 1 : wanted->count;
        tsdb_head_columns_begin(columns, cut ? wanted->items[first].time_ms : INT64_MIN,
                                cut == 2 ? wanted->items[limit - 1].time_ms : INT64_MAX);
        bool fine = tsdb_head_columns_add(columns, view);
        ck_assert_int_eq(fine, view->ordered);
        if (!fine)
            return;
        tsdb_head_columns_end(columns);
        ck_assert_uint_eq(columns->limit - columns->first, limit - first);
        for (size_t i = first, at = columns->first; i < limit; i++, at++) {
            ck_assert_int_eq(columns->times_ms[at], wanted->items[i].time_ms);
            ck_assert_uint_eq(columns->values[at], wanted->items[i].bits);
        }
    }
}

START_TEST(samples_come_back)
{
    struct tsdb_head_columns columns = {0};
    struct wire_label items[8];
    struct tsdb_points all = {0}, wanted = {0}, wanted_before = {0}, got = {0};
    unsigned char room[2][TSDB_HEAD_TAIL_BYTES];
    for (int round = 0; round < 48; round++) {
        seed = (uint64_t)round + 1;
        struct tsdb_head *head = tsdb_head_new(1);
        struct wire_labels labels = store_labels("m,a=b", items);
        uint32_t id = tsdb_head_add_series(head, labels, wire_labels_hash(labels));
        int64_t time_ms = round % 5 == 4 ? INT64_MIN / 2 : 1700000000000;
        uint64_t bits = 0;
        all.count = 0;
        struct tsdb_head_view before = {0};
        bool has_before = false;
        for (int i = 0; i < 1500; i++) {
            time_ms = draw_time(round % 4, time_ms);
            bits = draw_bits(round / 4 % 3, bits);
            *tsdb_points_reserve(&all, 1) = (struct tsdb_point){time_ms, bits};
            all.count++;
            tsdb_head_append(head, id, time_ms, bits);
            if (draw(100) == 0 || i == 1499) {
                struct tsdb_head_view view = tsdb_head_view(head, id, room[0]);
                copy_settled(&all, &wanted);
                tsdb_head_view_points(&view, INT64_MIN, INT64_MAX, &got);
                assert_same(&got, &wanted);
                check_columns(&columns, &view, &wanted);
                int64_t middle = wanted.items[wanted.count / 2].time_ms;
                tsdb_head_view_points(&view, middle, INT64_MAX, &got);
                ck_assert_uint_eq(got.count, wanted.count - wanted.count / 2);
                ck_assert_int_eq(got.items[0].time_ms, middle);
            }
            if (draw(150) == 0 && !has_before) {
                tsdb_head_ref(head); /* a selection: its view must outlive packing and merging */
                has_before = true;
                before = tsdb_head_view(head, id, room[1]);
                copy_settled(&all, &wanted_before);
            } else if (has_before && draw(150) == 0) {
                tsdb_head_view_points(&before, INT64_MIN, INT64_MAX, &got);
                assert_same(&got, &wanted_before);
                tsdb_head_unref(head);
                has_before = false;
            }
        }
        ck_assert_uint_eq(tsdb_head_sample_count(head), 1500);
        if (has_before)
            tsdb_head_unref(head);
        tsdb_head_unref(head);
    }
    tsdb_head_columns_fini(&columns);
    tsdb_points_fini(&all);
    tsdb_points_fini(&wanted);
    tsdb_points_fini(&wanted_before);
    tsdb_points_fini(&got);
}
END_TEST

/* Series that are scraped together: times that are the same have the same id, others another. */
START_TEST(times_are_shared)
{
    enum { SERIES = 5, SAMPLES = 700 };
    struct wire_label items[8];
    struct tsdb_head *head = tsdb_head_new(1);
    struct tsdb_head_columns columns = {0};
    uint32_t ids[SERIES];
    unsigned char room[TSDB_HEAD_TAIL_BYTES];
    for (uint32_t s = 0; s < SERIES; s++) {
        char text[16];
        snprintf(text, sizeof text, "m,a=%u", s);
        struct wire_labels labels = store_labels(text, items);
        ids[s] = tsdb_head_add_series(head, labels, wire_labels_hash(labels));
    }
    for (int64_t i = 0; i < SAMPLES; i++)
        for (uint32_t s = 0; s < SERIES; s++)
            tsdb_head_append(head, ids[s], i * 15000 + (s == 3 && i > 400),
                             (uint64_t)i * 1000003 * s);
    for (int64_t start_ms = 0; start_ms < SAMPLES * 15000; start_ms += 500 * 15000) {
        uint64_t shared_id = 0;
        for (uint32_t s = 0; s < SERIES; s++) {
            struct tsdb_head_view view = tsdb_head_view(head, ids[s], room);
            tsdb_head_columns_begin(&columns, start_ms, INT64_MAX);
            ck_assert(tsdb_head_columns_add(&columns, &view));
            tsdb_head_columns_end(&columns);
            ck_assert_uint_eq(columns.limit - columns.first, SAMPLES - start_ms / 15000);
            for (size_t at = columns.first; at < columns.limit; at++) {
                int64_t i = columns.times_ms[at] / 15000;
                ck_assert_int_eq(columns.times_ms[at], i * 15000 + (s == 3 && i > 400));
                ck_assert_uint_eq(columns.values[at], (uint64_t)i * 1000003 * s);
            }
            if (s == 1)
                shared_id = columns.times_id;
            if (s == 2 && start_ms == 0) /* else chunks of their own begin before it */
                ck_assert_uint_eq(columns.times_id, shared_id);
            if (s == 3)
                ck_assert_uint_ne(columns.times_id, shared_id);
        }
    }
    tsdb_head_columns_fini(&columns);
    tsdb_head_unref(head);
}
END_TEST

START_TEST(arrivals_are_told_apart)
{
    struct wire_label items[8];
    struct tsdb_head *head = tsdb_head_new(1);
    struct wire_labels labels = store_labels("m", items);
    uint32_t id = tsdb_head_add_series(head, labels, 1);
    for (int i = 1; i <= 200; i++)
        ck_assert_int_eq(tsdb_head_append(head, id, i * 1000, 7), TSDB_ARRIVED_NEWEST);
    ck_assert_int_eq(tsdb_head_append(head, id, 200000, 7), TSDB_ARRIVED_DUPLICATE);
    ck_assert_int_eq(tsdb_head_append(head, id, 200000, 8), TSDB_ARRIVED_OVERWRITING);
    ck_assert_int_eq(tsdb_head_append(head, id, 199000, 7), TSDB_ARRIVED_DUPLICATE);
    ck_assert_int_eq(tsdb_head_append(head, id, 100000, 7), TSDB_ARRIVED_DUPLICATE); /* packed */
    ck_assert_int_eq(tsdb_head_append(head, id, 100000, 9), TSDB_ARRIVED_OVERWRITING);
    ck_assert_int_eq(tsdb_head_append(head, id, 100500, 7), TSDB_ARRIVED_LATE);
    ck_assert_int_eq(tsdb_head_append(head, id, -1, 7), TSDB_ARRIVED_LATE);
    ck_assert_int_eq(tsdb_head_append(head, id, 200001, 7), TSDB_ARRIVED_NEWEST);
    tsdb_head_unref(head);
}
END_TEST

/* ---- times of a scrape ---- */

#define SCRAPED 60
#define TARGETS 3

static void add_numbered(struct tsdb_head *head, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char text[16];
        struct wire_label items[8];
        snprintf(text, sizeof text, "m,i=%u", i);
        struct wire_labels labels = store_labels(text, items);
        ck_assert_uint_eq(tsdb_head_add_series(head, labels, wire_labels_hash(labels)), i);
    }
}

static void put(struct tsdb_head *head, struct tsdb_points *all, uint32_t id, int64_t time_ms,
                uint64_t bits)
{
    *tsdb_points_reserve(&all[id], 1) = (struct tsdb_point){time_ms, bits};
    all[id].count++;
    tsdb_head_append(head, id, time_ms, bits);
}

static void assert_all_there(const struct tsdb_head *head, const struct tsdb_points *all)
{
    struct tsdb_points wanted = {0}, got = {0};
    unsigned char room[TSDB_HEAD_TAIL_BYTES];
    for (uint32_t id = 0; id < SCRAPED; id++) {
        struct tsdb_head_view view = tsdb_head_view(head, id, room);
        copy_settled(&all[id], &wanted);
        tsdb_head_view_points(&view, INT64_MIN, INT64_MAX, &got);
        assert_same(&got, &wanted);
    }
    tsdb_points_fini(&wanted);
    tsdb_points_fini(&got);
}

/* Targets whose series come together, as scrapes do, but for some that are missing, twice there,
 * late, or scraped on their own; the more of these, the higher the round. */
START_TEST(scrapes_come_back)
{
    for (uint32_t round = 0; round < 24; round++) {
        struct tsdb_points all[SCRAPED] = {0};
        struct tsdb_head *head = tsdb_head_new(1);
        int64_t times[TARGETS] = {1000, 1000, round % 2 ? 1000 : 2000};
        uint64_t bits[SCRAPED] = {0};
        uint32_t odd = round < 4 ? 0 : 2000u >> round / 3;
        seed = round + 1;
        add_numbered(head, SCRAPED);
        for (int step = 0; step < 700; step++)
            for (uint32_t target = 0; target < TARGETS; target++) {
                times[target] += round % 4 == 3 && target < 2 ? 15000 : 14990 + draw(20);
                for (uint32_t i = 0; i < SCRAPED / TARGETS; i++) {
                    uint32_t id = target * (SCRAPED / TARGETS) + i;
                    bits[id] = draw_bits(i % 4 < 2 ? 0 : (int)(i % 4) - 1, bits[id]);
                    uint32_t what = odd ? draw(odd) : 9;
                    if (what == 0) /* missing */
                        continue;
                    put(head, all, id, times[target] - (what == 1 ? draw(99999) : 0), bits[id]);
                    if (what == 2)
                        put(head, all, id, times[target], bits[id]);
                    if (what == 3)
                        put(head, all, id, times[target] + draw(5), bits[id]);
                }
            }
        assert_all_there(head, all);
        tsdb_head_unref(head);
        for (uint32_t id = 0; id < SCRAPED; id++)
            tsdb_points_fini(&all[id]);
    }
}
END_TEST

static size_t bytes_of_scrapes(bool alike)
{
    enum { SERIES_COUNT = 1000, STEPS = 100 };
    struct tsdb_head *head = tsdb_head_new(1);
    seed = 7;
    add_numbered(head, SERIES_COUNT);
    int64_t time_ms = 1700000000000;
    for (int step = 0; step < STEPS; step++) {
        time_ms += 14900 + draw(200);
        for (uint32_t id = 0; id < SERIES_COUNT; id++)
            tsdb_head_append(head, id, time_ms + (alike ? 0 : draw(50)), 7);
    }
    size_t bytes = tsdb_head_bytes(head) / SERIES_COUNT;
    tsdb_head_unref(head);
    return bytes;
}

/* Values that stay cost a series its row and the least tail, however uneven the times are. */
START_TEST(times_of_a_scrape_are_kept_once)
{
    size_t alike = bytes_of_scrapes(true), apart = bytes_of_scrapes(false);
    ck_assert_uint_lt(alike, 128);
    ck_assert_uint_gt(apart, 2 * alike);
}
END_TEST

/* ---- the index ---- */

#define SERIES 600

static void describe(uint32_t i, char text[64])
{
    snprintf(text, 64, "m%u,%s=%u,even=%s,zone=%c", i % 7, i % 3 ? "host" : "pod", i,
             i % 2 ? "no" : "yes", (char)('a' + i % 5));
}

static void fill_index(struct tsdb_index *index)
{
    for (uint32_t i = 0; i < SERIES; i++) {
        char text[64];
        struct wire_label items[8];
        describe(i, text);
        struct wire_labels labels = store_labels(text, items);
        uint64_t hash = wire_labels_hash(labels);
        ck_assert_uint_eq(tsdb_index_find(index, labels, hash), TSDB_NO_SERIES);
        ck_assert_uint_eq(tsdb_index_append(index, labels, hash), i);
    }
}

static bool naively(const struct tsdb_matcher *matchers, size_t count, struct wire_labels labels)
{
    for (size_t i = 0; i < count; i++) {
        struct tw_str value = TW_STR("");
        for (size_t j = 0; j < labels.count; j++)
            if (tw_str_equal(labels.items[j].name, matchers[i].name))
                value = labels.items[j].value;
        if (!tsdb_matcher_matches(&matchers[i], value))
            return false;
    }
    return true;
}

static void assert_matches(struct tsdb_index *index)
{
    static const struct {
        enum tsdb_match_op op;
        const char *name, *value;
    } pool[] = {{TSDB_MATCH_EQUAL, WIRE_METRIC_NAME, "m3"},
                {TSDB_MATCH_EQUAL, "even", "yes"},
                {TSDB_MATCH_EQUAL, "host", "17"},
                {TSDB_MATCH_EQUAL, "host", ""},
                {TSDB_MATCH_EQUAL, "nothing", "x"},
                {TSDB_MATCH_NOT_EQUAL, "zone", "a"},
                {TSDB_MATCH_NOT_EQUAL, "pod", ""},
                {TSDB_MATCH_REGEX, "host", "1.*"},
                {TSDB_MATCH_REGEX, WIRE_METRIC_NAME, "m[12]"},
                {TSDB_MATCH_REGEX, "nothing", ".*"},
                {TSDB_MATCH_NOT_REGEX, "zone", "[b-d]"}};
    struct tsdb_ids ids = {0};
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    for (int round = 0; round < 400; round++) {
        struct tsdb_matcher matchers[3];
        size_t count = draw(4);
        for (size_t i = 0; i < count; i++) {
            size_t pick = draw(sizeof pool / sizeof *pool);
            unit_assert_ok(tsdb_matcher_init(&matchers[i], pool[pick].op, tw_str(pool[pick].name),
                                             tw_str(pool[pick].value), &err),
                           &err);
        }
        ids.count = 0;
        tsdb_index_match(index, matchers, count, &ids);
        size_t at = 0;
        for (uint32_t id = 0; id < tsdb_index_count(index); id++)
            if (tsdb_index_has(index, id) &&
                naively(matchers, count, tsdb_index_labels(index, id, items))) {
                ck_assert_uint_lt(at, ids.count);
                ck_assert_uint_eq(ids.items[at++], id);
            }
        ck_assert_uint_eq(at, ids.count);
        for (size_t i = 0; i < count; i++)
            tsdb_matcher_fini(&matchers[i]);
    }
    tsdb_ids_fini(&ids);
}

START_TEST(index_matches_as_a_scan_does)
{
    seed = 3;
    struct tsdb_index *index = tsdb_index_new();
    fill_index(index);
    assert_matches(index);
    tsdb_index_free(index);
}
END_TEST

START_TEST(plan_sees_what_was_there)
{
    struct wire_label items[8];
    struct tsdb_index *index = tsdb_index_new();
    fill_index(index);
    struct tsdb_matcher matcher;
    unit_assert_ok(
        tsdb_matcher_init(&matcher, TSDB_MATCH_EQUAL, TW_STR("even"), TW_STR("yes"), &err), &err);
    struct tsdb_index_plan *plan = tsdb_index_plan(index, &matcher, 1);
    struct wire_labels labels = store_labels("later,even=yes", items);
    tsdb_index_append(index, labels, wire_labels_hash(labels));
    struct tsdb_ids ids = {0};
    tsdb_index_run(plan, &ids);
    ck_assert_uint_eq(ids.count, SERIES / 2);
    ids.count = 0;
    tsdb_index_match(index, &matcher, 1, &ids);
    ck_assert_uint_eq(ids.count, SERIES / 2 + 1);
    tsdb_ids_fini(&ids);
    tsdb_matcher_fini(&matcher);
    tsdb_index_free(index);
}
END_TEST

/* Every third series, last first, as a later segment would name them: the rest are holes. */
START_TEST(index_is_restored_with_holes)
{
    seed = 5;
    struct tsdb_head *head = tsdb_head_new(9), *back = tsdb_head_new(9);
    struct tsdb_record_state state = {0}, back_state = {0};
    struct tw_buf record;
    tw_buf_init(&record, (size_t)1 << 20);
    fill_index(tsdb_head_index(head));
    struct tsdb_record_sample samples[SERIES];
    size_t count = 0;
    for (uint32_t id = SERIES; id-- > 0;)
        if (id % 3 == 2) {
            ck_assert(tsdb_record_register(&state, id));
            ck_assert(!tsdb_record_register(&state, id));
            samples[count++] = (struct tsdb_record_sample){.series = id, .time_ms = 5, .bits = id};
        }
    tsdb_record_encode(head, &state, samples, count, &record);
    unit_assert_ok(tsdb_record_replay(back, &back_state, tw_buf_str(&record), &err), &err);
    struct tsdb_index *index = tsdb_head_index(back);
    ck_assert(tsdb_index_finish_restore(index));
    ck_assert_uint_eq(tsdb_head_series_count(back), SERIES / 3);
    ck_assert_uint_eq(tsdb_index_count(index), SERIES);
    for (uint32_t id = 0; id < SERIES; id++) {
        char text[64];
        struct wire_label items[8];
        describe(id, text);
        struct wire_labels labels = store_labels(text, items);
        ck_assert_int_eq(tsdb_index_has(index, id), id % 3 == 2);
        ck_assert_uint_eq(tsdb_index_find(index, labels, wire_labels_hash(labels)),
                          id % 3 == 2 ? id : TSDB_NO_SERIES);
    }
    assert_matches(index);
    /* It goes on where it ended. */
    struct wire_label items[8];
    struct wire_labels labels = store_labels("later,even=yes,new=new", items);
    ck_assert_uint_eq(tsdb_index_append(index, labels, wire_labels_hash(labels)), SERIES);
    assert_matches(index);
    /* Nothing may be something else than before. */
    uint32_t pairs[WIRE_LABELS_COUNT_MAX];
    size_t pair_count = tsdb_index_pair_ids(index, 2, pairs);
    ck_assert(tsdb_index_restore_series(index, 2, tsdb_index_hash(index, 2), pairs, pair_count));
    ck_assert(!tsdb_index_restore_series(index, 2, 1, pairs, pair_count));
    ck_assert(!tsdb_index_restore_series(index, 2, tsdb_index_hash(index, 2), pairs, 2));
    ck_assert(!tsdb_index_restore_string(index, 1, TW_STR("other")));
    ck_assert(!tsdb_index_restore_string(index, TSDB_INDEX_ID_MAX, TW_STR("other")));
    tsdb_record_state_fini(&state);
    tsdb_record_state_fini(&back_state);
    tw_buf_fini(&record);
    tsdb_head_unref(head);
    tsdb_head_unref(back);
}
END_TEST

START_TEST(what_is_there_twice_is_found)
{
    struct tsdb_index *index = tsdb_index_new();
    const uint32_t pairs[] = {1};
    ck_assert(tsdb_index_restore_string(index, 1, TW_STR("a")));
    ck_assert(tsdb_index_restore_string(index, 2, TW_STR("b")));
    ck_assert(tsdb_index_restore_pair(index, 1, 1, 2));
    ck_assert(tsdb_index_restore_series(index, 0, 77, pairs, 1));
    ck_assert(tsdb_index_restore_series(index, 5, 77, pairs, 1));
    ck_assert(!tsdb_index_finish_restore(index));
    tsdb_index_free(index);
}
END_TEST

START_TEST(labels_are_ordered_by_ranks_as_by_texts)
{
    enum { SETS = 6000 };
    static struct wire_label items[SETS][4];
    static char texts[SETS][4][16];
    static struct wire_labels sets[SETS];
    static uint32_t order[SETS];
    seed = 11;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < SETS; i++) {
            size_t count = 1 + draw(4);
            for (size_t j = 0; j < count; j++) {
                bool shared = draw(3) && i > 0 && sets[i - 1].count > j;
                snprintf(texts[i][j], sizeof texts[i][j], "%x",
                         draw(j == 2 && round % 2 ? 1000000 : 20));
                items[i][j] =
                    shared ? items[i - 1][j]
                           : (struct wire_label){tw_str(&"abcdefgh"[draw(8)]), tw_str(texts[i][j])};
            }
            sets[i] = (struct wire_labels){items[i], count};
        }
        uint32_t count = round == 3 ? 100 : SETS;
        tsdb_label_order(sets, count, order);
        for (uint32_t i = 1; i < count; i++) {
            int compared = wire_labels_compare(sets[order[i - 1]], sets[order[i]]);
            ck_assert(compared < 0 || (compared == 0 && order[i - 1] < order[i]));
        }
    }
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(samples_come_back),
                                      UNIT_CASE(times_are_shared),
                                      UNIT_CASE(arrivals_are_told_apart),
                                      UNIT_CASE(scrapes_come_back),
                                      UNIT_CASE(times_of_a_scrape_are_kept_once),
                                      UNIT_CASE(index_matches_as_a_scan_does),
                                      UNIT_CASE(plan_sees_what_was_there),
                                      UNIT_CASE(index_is_restored_with_holes),
                                      UNIT_CASE(what_is_there_twice_is_found),
                                      UNIT_CASE(labels_are_ordered_by_ranks_as_by_texts),
                                      {0}};
    return unit_run("tsdb/head", cases);
}
