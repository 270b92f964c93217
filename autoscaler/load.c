/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

void scale_load_init(struct scale_load *load, int64_t step_ms, size_t steps_max)
{
    TW_ASSERT(step_ms > 0 && steps_max > 0);
    *load = (struct scale_load){.step_ms = step_ms, .count_max = steps_max};
    load->start_ms = INT64_MIN;
    /* Twice the room, so that forgetting moves memory once in a while, not at each step. */
    load->values = calloc(2 * steps_max, sizeof *load->values);
    TW_ASSERT(load->values != NULL);
}

void scale_load_fini(struct scale_load *load)
{
    free(load->values);
    *load = (struct scale_load){0};
}

static void close_step(struct scale_load *load, double value)
{
    if (load->count == 2 * load->count_max) {
        size_t drop = load->count - load->count_max;
        memmove(load->values, load->values + drop, load->count_max * sizeof *load->values);
        load->count = load->count_max;
        load->start_ms += (int64_t)drop * load->step_ms;
    }
    load->values[load->count++] = value;
}

/* The step that time lies in: (start, start + step]. */
static int64_t step_start(const struct scale_load *load, int64_t time_ms)
{
    return tw_floor_div(time_ms - 1, load->step_ms) * load->step_ms;
}

size_t scale_load_observe(struct scale_load *load, int64_t time_ms, double value)
{
    int64_t at = step_start(load, time_ms);
    if (load->start_ms == INT64_MIN)
        load->start_ms = at;
    int64_t index = (at - load->start_ms) / load->step_ms;
    if (at < load->start_ms)
        return 0;
    if ((size_t)index < load->count) {
        if (isnan(load->values[index]) && isfinite(value))
            load->values[index] = value;
        return 0;
    }
    size_t closed = 0;
    /* After a gap longer than all that is remembered, the past is of no use. */
    if ((uint64_t)index - load->count > load->count_max) {
        load->count = 0;
        load->open_count = 0;
        load->open_sum = 0;
        load->start_ms = at;
        closed = load->count_max;
        index = 0;
    }
    while (load->count < (size_t)index) {
        close_step(load, load->open_count ? load->open_sum / (double)load->open_count : NAN);
        load->open_sum = 0;
        load->open_count = 0;
        closed++;
        index = (at - load->start_ms) / load->step_ms; /* start_ms moves when steps are forgotten */
    }
    if (isfinite(value)) {
        load->open_sum += value;
        load->open_count++;
    }
    return closed;
}

int64_t scale_load_end_ms(const struct scale_load *load)
{
    return load->count ? load->start_ms + (int64_t)load->count * load->step_ms : INT64_MIN;
}

size_t scale_load_known(const struct scale_load *load)
{
    size_t known = 0;
    for (size_t i = 0; i < load->count; i++)
        known += !isnan(load->values[i]);
    return known;
}
