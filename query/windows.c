/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/windows.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/vector.h"

static enum tw_code alloc_extrapolation(struct query_windows *windows, struct query_exec *exec,
                                        struct tw_err *err)
{
    double **const doubles[] = {&windows->sampled, &windows->to_start, &windows->to_end,
                                &windows->factor};
    void *memory;
    enum tw_code code =
        query_exec_alloc(exec, query_words(windows->steps), sizeof(uint64_t), &memory, err);
    if (code)
        return code;
    windows->pair = memory;
    size_t blocks = (windows->steps + QUERY_WINDOWS_BLOCK - 1) / QUERY_WINDOWS_BLOCK;
    code = query_exec_alloc(exec, query_words(blocks), 2 * sizeof(uint64_t), &memory, err);
    if (code)
        return code;
    windows->adjacent = memory;
    windows->uniform = windows->adjacent + query_words(blocks);
    code = query_exec_alloc(exec, windows->steps, 2 * sizeof(uint32_t), &memory, err);
    if (code)
        return code;
    windows->first = memory;
    windows->last = windows->first + windows->steps;
    for (size_t i = 0; i < 4; i++) {
        code = query_exec_alloc(exec, windows->steps, sizeof(double), &memory, err);
        if (code)
            return code;
        *doubles[i] = memory;
    }
    return TW_OK;
}

enum tw_code query_windows_begin(struct query_windows *windows, struct query_exec *exec,
                                 int64_t first_end_ms, int64_t end_step_ms, int64_t range_ms,
                                 size_t steps, bool extrapolated, struct tw_err *err)
{
    void *memory;
    windows->first_end_ms = first_end_ms;
    windows->end_step_ms = end_step_ms;
    windows->range_ms = range_ms;
    windows->steps = steps;
    windows->fits = windows->extrapolates = false;
    enum tw_code code = query_exec_alloc(exec, steps, 2 * sizeof(uint32_t), &memory, err);
    if (code)
        return code;
    windows->low = memory;
    windows->high = windows->low + steps;
    return extrapolated ? alloc_extrapolation(windows, exec, err) : TW_OK;
}

void query_windows_fini(struct query_windows *windows)
{
    free(windows->times_ms);
    *windows = (struct query_windows){0};
}

/* An anchor, if there is one, is the first sample of a window that has any. */
static void extend_anchored(struct query_windows *windows, size_t step, int64_t start_ms)
{
    uint32_t low = windows->low[step];
    if (low < windows->high[step] && low > 0 &&
        windows->times_ms[low - 1] > start_ms - windows->reach_ms)
        windows->low[step]--;
}

/* The samples around both edges, unless all lie on one side of the window. */
static void extend_smoothed(struct query_windows *windows, size_t step, int64_t start_ms,
                            int64_t end_ms)
{
    const int64_t *times_ms = windows->times_ms;
    size_t low = windows->low[step], high = windows->high[step];
    if (low > 0 && times_ms[low - 1] > start_ms - windows->reach_ms)
        low--;
    if (high < windows->count && times_ms[high] <= end_ms + windows->reach_ms &&
        (high == 0 || times_ms[high - 1] != end_ms))
        high++;
    if (high > low && (times_ms[high - 1] <= start_ms || times_ms[low] > end_ms))
        high = low;
    windows->low[step] = (uint32_t)low;
    windows->high[step] = (uint32_t)high;
}

void query_windows_fit(struct query_windows *windows, const int64_t *times_ms, size_t count,
                       uint64_t times_id)
{
    bool is_known = times_id && times_id == windows->times_id;
    windows->times_id = times_id;
    if (windows->fits && windows->count == count &&
        (is_known || memcmp(windows->times_ms, times_ms, count * sizeof *times_ms) == 0))
        return;
    if (count > windows->capacity) {
        windows->capacity = count * 2;
        windows->times_ms = realloc(windows->times_ms, windows->capacity * sizeof *times_ms);
        TW_ASSERT(windows->times_ms != NULL); /* bounded by the limit on samples */
    }
    memcpy(windows->times_ms, times_ms, count * sizeof *times_ms);
    windows->count = count;
    windows->fits = true;
    windows->extrapolates = false;
    size_t low = 0, high = 0;
    int64_t end_ms = windows->first_end_ms;
    for (size_t s = 0; s < windows->steps; s++, end_ms += windows->end_step_ms) {
        while (high < count && times_ms[high] <= end_ms)
            high++;
        while (low < high && times_ms[low] <= end_ms - windows->range_ms)
            low++;
        windows->low[s] = (uint32_t)low;
        windows->high[s] = (uint32_t)high;
        if (windows->extension == QUERY_ANCHORED)
            extend_anchored(windows, s, end_ms - windows->range_ms);
        else if (windows->extension == QUERY_SMOOTHED)
            extend_smoothed(windows, s, end_ms - windows->range_ms, end_ms);
    }
}

/* Positions that are safe to look at, whatever the window. */
TW_VECTOR static void find_ends(const struct query_windows *windows, uint32_t *restrict first,
                                uint32_t *restrict last)
{
    uint32_t newest = (uint32_t)(windows->count - 1);
    const uint32_t *low = windows->low, *high = windows->high;
    for (size_t s = 0; s < windows->steps; s++) {
        first[s] = low[s] < newest ? low[s] : newest;
        last[s] = high[s] > 0 ? high[s] - 1 : 0;
    }
}

/* Prometheus's extrapolation: the change between first and last sample is stretched to the borders
 * of the window when samples come close to them, else by half a sample distance. */
TW_VECTOR static void extrapolate(const struct query_windows *windows, double *restrict sampled,
                                  double *restrict to_start, double *restrict to_end,
                                  double *restrict factor, double seconds)
{
    const uint32_t *first = windows->first, *last = windows->last;
    const int64_t *times_ms = windows->times_ms;
    for (size_t s = 0; s < windows->steps; s++) {
        int64_t end_ms = windows->first_end_ms + (int64_t)s * windows->end_step_ms;
        int64_t first_ms = times_ms[first[s]], last_ms = times_ms[last[s]];
        double left = (double)(first_ms - (end_ms - windows->range_ms)) / 1000;
        double right = (double)(end_ms - last_ms) / 1000;
        double between = (double)(last_ms - first_ms) / 1000;
        double average = between / (double)(int32_t)(last[s] - first[s]);
        double threshold = average * 1.1;
        left = left >= threshold ? average / 2 : left;
        right = right >= threshold ? average / 2 : right;
        sampled[s] = between;
        to_start[s] = left;
        to_end[s] = right;
        factor[s] = (between + left + right) / between / seconds;
    }
}

static bool is_adjacent(const uint32_t *positions, size_t count)
{
    uint32_t differences = 0;
    for (size_t i = 0; i < count; i++)
        differences |= positions[i] ^ (positions[0] + (uint32_t)i);
    return differences == 0;
}

static bool is_uniform(const double *numbers, size_t count)
{
    return memcmp(numbers, numbers + 1, (count - 1) * sizeof *numbers) == 0;
}

static void set_bit(uint64_t *bits, size_t at, bool is_set)
{
    query_bit_clear(bits, at);
    if (is_set)
        query_bit_set(bits, at);
}

static void find_blocks(struct query_windows *windows)
{
    for (size_t s = 0; s < windows->steps; s += QUERY_WINDOWS_BLOCK) {
        size_t left = windows->steps - s, block = s / QUERY_WINDOWS_BLOCK;
        size_t count = left < QUERY_WINDOWS_BLOCK ? left : QUERY_WINDOWS_BLOCK;
        set_bit(windows->adjacent, block,
                is_adjacent(windows->first + s, count) && is_adjacent(windows->last + s, count));
        set_bit(windows->uniform, block,
                is_uniform(windows->sampled + s, count) &&
                    is_uniform(windows->to_start + s, count) &&
                    is_uniform(windows->factor + s, count));
    }
}

void query_windows_extrapolate(struct query_windows *windows, bool is_rate)
{
    TW_ASSERT(windows->fits && windows->count > 0);
    if (windows->extrapolates)
        return;
    windows->extrapolates = true;
    find_ends(windows, windows->first, windows->last);
    /* Dividing by 1 changes nothing. */
    extrapolate(windows, windows->sampled, windows->to_start, windows->to_end, windows->factor,
                is_rate ? (double)windows->range_ms / 1000 : 1);
    find_blocks(windows);
    memset(windows->pair, 0, query_words(windows->steps) * sizeof *windows->pair);
    for (size_t s = 0; s < windows->steps; s++)
        windows->pair[s / 64] |= (uint64_t)(windows->high[s] >= windows->low[s] + 2u) << (s % 64);
}
