/* SPDX-License-Identifier: Apache-2.0
 *
 * sum_over_time and avg_over_time beside Prometheus's own algorithms, written down as plainly as
 * can be: the same bits for random series of all kinds.
 */
#include "config.h"

#include <math.h>
#include <stdlib.h>

#include "base/number.h"
#include "query/range_kernel.h"
#include "query/sliding.h"
#include "tests/lib/unit.h"

#define SAMPLES_MAX 400
#define STEPS_MAX 300

enum kind { INTEGERS, DECIMALS, HUGE_AND_TINY, CANCELLING, ZEROS, SPECIAL, KINDS };

static double values[SAMPLES_MAX], out[STEPS_MAX];
static uint32_t low[STEPS_MAX], high[STEPS_MAX];
static uint64_t present[(STEPS_MAX + 63) / 64];
static uint64_t state = 88172645463325252u;

static uint64_t draw(void) /* xorshift, Marsaglia 2003 */
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static double draw_value(enum kind kind)
{
    double number = (double)(draw() % 100000);
    switch (kind) {
    case INTEGERS:
        return number - 5000;
    case DECIMALS:
        return number / 1000 - 3;
    case HUGE_AND_TINY:
        return (draw() % 2 ? number : -number) * pow(10, (double)(draw() % 600) - 300);
    case CANCELLING:
        return draw() % 2 ? 1e15 + number / 7 : -1e15 - number / 9;
    case ZEROS:
        return draw() % 3 ? -0.0 : draw() % 2 ? 0 : number;
    case SPECIAL:
        return draw() % 40 == 0 ? INFINITY : draw() % 40 == 0 ? NAN : number * 1e304;
    case KINDS:
        break;
    }
    return 0;
}

static void add(double value, double *sum, double *compensation)
{
    double total = *sum + value;
    if (isinf(total))
        *compensation = 0;
    else if (fabs(*sum) >= fabs(value))
        *compensation += (*sum - total) + value;
    else
        *compensation += (value - total) + *sum;
    *sum = total;
}

static double plain_sum(const double *items, size_t count)
{
    double sum = 0, compensation = 0;
    for (size_t i = 0; i < count; i++)
        add(items[i], &sum, &compensation);
    return isinf(sum) ? sum : sum + compensation;
}

static double plain_average(const double *items, size_t count)
{
    double sum = items[0], compensation = 0, mean = 0;
    bool is_incremental = false;
    for (size_t i = 1; i < count; i++) {
        double n = (double)(i + 1), new_sum = sum, new_compensation = compensation;
        if (!is_incremental) {
            add(items[i], &new_sum, &new_compensation);
            if (!isinf(new_sum)) {
                sum = new_sum;
                compensation = new_compensation;
                continue;
            }
            is_incremental = true;
            mean = sum / (n - 1);
            compensation /= n - 1;
        }
        double share = (n - 1) / n;
        mean *= share;
        compensation *= share;
        add(items[i] / n, &mean, &compensation);
    }
    double n = (double)count;
    return is_incremental ? mean + compensation : sum / n + compensation / n;
}

/* Windows of any width that move on by any number of samples, some of them empty. */
static void draw_windows(size_t steps, size_t count)
{
    size_t width = 1 + draw() % 100, stride = draw() % 3;
    for (size_t s = 0, at = 0; s < steps; s++, at += draw() % 8 ? stride : draw() % 4) {
        size_t end = at + width - (draw() % 16 == 0 && width > 1);
        high[s] = (uint32_t)(end < count ? end : count);
        low[s] = (uint32_t)(at < count ? at : count);
        if (s > 0 && high[s] < high[s - 1])
            high[s] = high[s - 1];
    }
}

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || tw_double_bits(a) == tw_double_bits(b);
}

START_TEST(same_bits_as_one_by_one)
{
    struct query_sliding sliding = {0};
    struct query_exec exec = {0};
    enum tw_code failed = TW_OK;
    for (int round = 0; round < 4000; round++) {
        enum kind kind = (enum kind)(round % KINDS);
        size_t count = 1 + draw() % SAMPLES_MAX, steps = 1 + draw() % STEPS_MAX;
        for (size_t i = 0; i < count; i++)
            values[i] = draw_value(kind);
        draw_windows(steps, count);
        exec.work = 0; /* deadlines are not looked at */
        const struct query_range_row row = {.values = values,
                                            .count = count,
                                            .low = low,
                                            .high = high,
                                            .steps = steps,
                                            .sliding = &sliding,
                                            .out = out,
                                            .present = present,
                                            .exec = &exec,
                                            .failed = &failed};
        for (int average = 0; average < 2; average++) {
            memset(present, 0, sizeof present);
            (average ? query_kernel_avg : query_kernel_sum)(&row);
            for (size_t s = 0; s < steps; s++) {
                size_t size = high[s] > low[s] ? high[s] - low[s] : 0;
                ck_assert_int_eq(query_bit(present, s), size > 0);
                if (size == 0)
                    continue;
                double wanted = (average ? plain_average : plain_sum)(values + low[s], size);
                ck_assert_msg(same(out[s], wanted), "kind %d, step %zu of %zu: %.17g, not %.17g",
                              (int)kind, s, steps, out[s], wanted);
            }
        }
    }
    query_sliding_fini(&sliding);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(same_bits_as_one_by_one), {0}};
    return unit_run("query/range_sums", cases);
}
