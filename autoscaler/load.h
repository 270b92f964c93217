/* SPDX-License-Identifier: Apache-2.0
 *
 * load: the recent past of one load as a regular series, made of what is observed at each tick.
 *
 *   step i covers (start + i * step, start + (i + 1) * step]; its value is the mean of what was
 *   observed inside it, NaN when nothing was; the newest step is still open.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_LOAD_H
#define TW_AUTOSCALER_LOAD_H

#include <stddef.h>
#include <stdint.h>

struct scale_load {
    int64_t step_ms, start_ms; /* of values[0]; a multiple of step_ms */
    size_t count, count_max;   /* closed steps kept */
    double *values;
    double open_sum;
    size_t open_count;
};

/* steps_max: closed steps that are remembered; older ones are forgotten. */
void scale_load_init(struct scale_load *load, int64_t step_ms, size_t steps_max);
void scale_load_fini(struct scale_load *load);
/* An observation that speaks of time_ms; what lies before the open step fills a closed step that is
 * still empty (history), and is ignored otherwise. NaN only moves the time on. Returns how many
 * steps were closed by it. */
size_t scale_load_observe(struct scale_load *load, int64_t time_ms, double value);
/* End of the newest closed step; INT64_MIN when there is none. */
int64_t scale_load_end_ms(const struct scale_load *load);
/* Known values among the closed steps. */
size_t scale_load_known(const struct scale_load *load);

#endif
