/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/lib/histograms.h"

#include <math.h>

const struct wire_histogram *histograms_plain(struct tw_arena *arena, int64_t time_ms,
                                              uint64_t count, double sum)
{
    struct wire_histogram *histogram = TW_ARENA_NEW(arena, struct wire_histogram);
    struct wire_span *spans = TW_ARENA_ARRAY(arena, struct wire_span, 2);
    spans[0] = (struct wire_span){-1, 2};
    spans[1] = (struct wire_span){2, 1};
    union wire_count *counts = TW_ARENA_ARRAY(arena, union wire_count, 3);
    counts[0].integer = 1;
    counts[1].integer = count - 4;
    counts[2].integer = 2;
    *histogram = (struct wire_histogram){.time_ms = time_ms,
                                         .zero_threshold = 1e-128,
                                         .zero_count.integer = 1,
                                         .count.integer = count,
                                         .sum = sum,
                                         .positive = {spans, counts, 2, 3}};
    return histogram;
}

static uint64_t step(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct histograms_random histograms_random(uint64_t seed)
{
    struct histograms_random random = {.state = seed * 77 + 1};
    random.layout_state = step(&random.state);
    return random;
}

uint64_t histograms_below(struct histograms_random *random, uint64_t limit)
{
    return step(&random->state) % limit;
}

/* Spans from the layout's seed, counts from the level: what was there before grows. */
static struct wire_buckets make_side(struct histograms_random *random, struct tw_arena *arena,
                                     uint64_t *layout, bool first_negative, uint64_t *sum)
{
    uint32_t span_count = (uint32_t)(step(layout) % 6);
    struct wire_span *spans = TW_ARENA_ARRAY(arena, struct wire_span, span_count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < span_count; i++) {
        int32_t offset = (int32_t)(step(layout) % 20);
        spans[i] = (struct wire_span){i == 0 && first_negative ? offset - 10 : offset,
                                      (uint32_t)(step(layout) % 9)};
        count += spans[i].length;
    }
    union wire_count *counts = TW_ARENA_ARRAY(arena, union wire_count, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t weight = step(layout) % 5;
        uint64_t value = weight == 4 ? 0 : weight * random->level + step(layout) % 3;
        if (random->is_float) {
            counts[i].real = (double)value / 3;
        } else {
            counts[i].integer = value;
            *sum += value;
        }
    }
    return (struct wire_buckets){spans, counts, span_count, count};
}

static void make_custom(struct wire_histogram *histogram, struct tw_arena *arena, uint64_t *layout)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < histogram->positive.span_count; i++)
        total +=
            histogram->positive.spans[i].length + (uint64_t)histogram->positive.spans[i].offset;
    histogram->custom_count = (uint32_t)(total + step(layout) % 3);
    double *values = TW_ARENA_ARRAY(arena, double, histogram->custom_count + 1);
    double bound = -1.5;
    for (uint32_t i = 0; i < histogram->custom_count; i++)
        values[i] = bound += 0.1 + (double)(step(layout) % 100) / 7;
    histogram->custom_values = values;
}

static double make_sum(struct histograms_random *random)
{
    switch (histograms_below(random, 20)) {
    case 0:
        return NAN;
    case 1:
        return tw_double_from_bits(UINT64_C(0x7ff8dead0000beef));
    case 2:
        return -0.0;
    case 3:
        return INFINITY;
    default:
        return (double)random->level * 1.5 + (double)histograms_below(random, 1000) / 10;
    }
}

const struct wire_histogram *histograms_next(struct histograms_random *random,
                                             struct tw_arena *arena, int64_t time_ms)
{
    struct wire_histogram *histogram = TW_ARENA_NEW(arena, struct wire_histogram);
    uint64_t chance = histograms_below(random, 40);
    if (chance == 0) {
        *histogram = (struct wire_histogram){.time_ms = time_ms,
                                             .is_float = random->is_float,
                                             .sum = tw_double_from_bits(TW_STALE_BITS)};
        return histogram;
    }
    if (chance < 3) { /* another layout, perhaps another kind */
        random->layout_state = step(&random->state);
        random->is_float = histograms_below(random, 3) == 0;
        random->custom = histograms_below(random, 3) == 0;
    }
    bool reset = chance < 5;
    random->level = reset ? 0 : random->level + histograms_below(random, 50);
    uint64_t layout = random->layout_state, sum = 0;
    histogram->time_ms = time_ms;
    histogram->start_ms = histograms_below(random, 4) ? 0 : time_ms - 1000;
    histogram->is_float = random->is_float;
    histogram->reset_hint = reset ? WIRE_RESET_YES : (enum wire_reset_hint)(chance % 4);
    histogram->sum = make_sum(random);
    histogram->positive = make_side(random, arena, &layout, !random->custom, &sum);
    if (random->custom) {
        histogram->schema = WIRE_HISTOGRAM_SCHEMA_CUSTOM;
        make_custom(histogram, arena, &layout);
    } else {
        histogram->schema = (int32_t)(step(&layout) % 13) + WIRE_HISTOGRAM_SCHEMA_MIN;
        histogram->zero_threshold = step(&layout) % 2 ? 2.938735877055719e-39 : 0.001;
        histogram->negative = make_side(random, arena, &layout, true, &sum);
        if (random->is_float)
            histogram->zero_count.real = (double)random->level / 7;
        else
            histogram->zero_count.integer = random->level / 7;
    }
    if (random->is_float)
        histogram->count.real = (double)random->level * 1.25;
    else
        histogram->count.integer = sum + histogram->zero_count.integer;
    return histogram;
}
