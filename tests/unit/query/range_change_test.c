/* SPDX-License-Identifier: Apache-2.0
 *
 * rate, increase and delta beside Prometheus's own algorithm, written down as plainly as can be:
 * the same bits for random series of all kinds.
 */
#include "config.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "query/range_kernel.h"
#include "query/windows.h"
#include "tests/lib/unit.h"

#define SAMPLES_MAX 400
#define STEPS_MAX 300

static uint64_t state = 88172645463325252u;

static uint64_t draw(void) /* xorshift, Marsaglia 2003 */
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static double between(double low, double high)
{
    return low + (high - low) * ((double)(draw() >> 11) / 9007199254740992.0);
}

struct series {
    int64_t times_ms[SAMPLES_MAX];
    double values[SAMPLES_MAX];
    size_t count;
};

/* kind: 0 counter from zero, 1 far counter, 2 with resets, 3 gauge, 4 odd numbers. */
static void make(struct series *series, int kind, int64_t interval_ms)
{
    static const double odd[] = {0, -0.0, NAN, INFINITY, -INFINITY, 5e-324, 1e308, -1e308, 1e-300};
    int64_t time_ms = 0;
    double value = kind == 1 ? 1e9 : 0;
    series->count = 2 + draw() % (SAMPLES_MAX - 2);
    for (size_t i = 0; i < series->count; i++) {
        time_ms += draw() % 20 == 0 ? interval_ms * (int64_t)(1 + draw() % 12) : interval_ms;
        series->times_ms[i] = time_ms + (int64_t)(draw() % 40);
        value += kind == 3 ? between(-5, 5) : between(0, 3);
        if (kind == 2 && draw() % 30 == 0)
            value = between(0, 2);
        series->values[i] = kind == 4 ? odd[draw() % 9] : value;
    }
}

/* extrapolatedRate of Prometheus 3.5 over samples [low, high). */
static bool plain(const struct series *series, size_t low, size_t high, int64_t start_ms,
                  int64_t end_ms, bool counter, bool rate, double *ret)
{
    if (high < low + 2)
        return false;
    double change = series->values[high - 1] - series->values[low];
    for (size_t i = low + 1; counter && i < high; i++)
        if (series->values[i] < series->values[i - 1])
            change += series->values[i - 1];
    double to_start = (double)(series->times_ms[low] - start_ms) / 1000;
    double to_end = (double)(end_ms - series->times_ms[high - 1]) / 1000;
    double sampled = (double)(series->times_ms[high - 1] - series->times_ms[low]) / 1000;
    double average = sampled / (double)(high - 1 - low);
    if (to_start >= average * 1.1)
        to_start = average / 2;
    if (counter && change > 0 && series->values[low] >= 0) {
        double to_zero = sampled * (series->values[low] / change);
        if (to_zero < to_start)
            to_start = to_zero;
    }
    if (to_end >= average * 1.1)
        to_end = average / 2;
    double factor = (sampled + to_start + to_end) / sampled;
    if (rate)
        factor /= (double)(end_ms - start_ms) / 1000;
    *ret = change * factor;
    return true;
}

static void compare(const struct series *series, struct query_windows *windows,
                    query_range_kernel *kernel, bool counter, bool rate)
{
    static double out[STEPS_MAX], sorted[SAMPLES_MAX];
    static uint32_t scratch[SAMPLES_MAX];
    uint64_t present[(STEPS_MAX + 63) / 64] = {0};
    struct query_range_row row = {.times_ms = series->times_ms,
                                  .values = series->values,
                                  .count = series->count,
                                  .low = windows->low,
                                  .high = windows->high,
                                  .windows = windows,
                                  .steps = windows->steps,
                                  .first_end_ms = windows->first_end_ms,
                                  .end_step_ms = windows->end_step_ms,
                                  .range_ms = windows->range_ms,
                                  .scratch = scratch,
                                  .sorted = sorted,
                                  .out = out,
                                  .present = present};
    kernel(&row);
    for (size_t s = 0; s < windows->steps; s++) {
        int64_t end_ms = windows->first_end_ms + (int64_t)s * windows->end_step_ms;
        int64_t start_ms = end_ms - windows->range_ms;
        size_t low = 0, high = 0;
        double wanted;
        while (high < series->count && series->times_ms[high] <= end_ms)
            high++;
        while (low < high && series->times_ms[low] <= start_ms)
            low++;
        bool is = plain(series, low, high, start_ms, end_ms, counter, rate, &wanted);
        ck_assert_int_eq(query_bit(present, s), is);
        ck_assert_msg(!is || out[s] == wanted || (isnan(out[s]) && isnan(wanted)),
                      "step %zu: %.17g, not %.17g", s, out[s], wanted);
    }
}

START_TEST(same_as_the_plain_algorithm)
{
    struct tw_context context;
    struct tw_err err;
    struct tw_arena *arena = tw_arena_new(65536);
    struct query_ticket ticket = {0};
    tw_context_init(&context, tw_clock_system());
    struct query_exec exec = {.arena = arena,
                              .result_arena = arena,
                              .ticket = &ticket,
                              .context = &context,
                              .bytes_max = 1 << 30};
    struct query_windows windows = {0};
    for (int round = 0; round < 2000; round++) {
        struct series series;
        int64_t interval_ms = round % 3 == 0 ? 15000 : 60000;
        int64_t range_ms = interval_ms * (int64_t)(1 + draw() % 9) + (int64_t)(draw() % 1000);
        /* Few steps near the beginning: a zero point that is near is not found by its neighbours.
         */
        bool few = round % 2;
        size_t steps = 1 + draw() % (few ? 2 : STEPS_MAX);
        int64_t first_ms = (int64_t)(draw() % (few ? 600000 : 3000000));
        int64_t step_ms = draw() % 8 == 0 ? 0 : (int64_t)(1 + draw() % 120) * 1000;
        tw_arena_reset(arena);
        unit_assert_ok(
            query_windows_begin(&windows, &exec, first_ms, step_ms, range_ms, steps, true, &err),
            &err);
        make(&series, round % 5, interval_ms);
        for (int again = 0; again < 3; again++) { /* the same times, other values, other times */
            query_windows_fit(&windows, series.times_ms, series.count, 0);
            windows.extrapolates = false; /* rate and increase stretch differently */
            compare(&series, &windows, query_kernel_rate, true, true);
            compare(&series, &windows, query_kernel_rate, true, true);
            windows.extrapolates = false;
            compare(&series, &windows, query_kernel_increase, true, false);
            compare(&series, &windows, query_kernel_delta, false, false);
            if (again == 0)
                for (size_t i = 0; i < series.count; i++)
                    series.values[i] += (double)i;
            else
                series.times_ms[series.count / 2] += 7;
        }
    }
    query_windows_fini(&windows);
    tw_arena_free(arena);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE_SLOW(same_as_the_plain_algorithm, 600), {0}};
    return unit_run("query/range_change", cases);
}
