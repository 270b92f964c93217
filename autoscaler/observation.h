/* SPDX-License-Identifier: Apache-2.0
 *
 * observation: what a scaler's queries say now, and said in the past.
 *
 * Freshness: queries run on an engine whose look-back is the scaler's late_after, so that older
 * samples do not count as present; when nothing is left, a look with the usual look-back tells late
 * data from none.
 *
 * Threads: the caller's; nothing is kept.
 */
#ifndef TW_AUTOSCALER_OBSERVATION_H
#define TW_AUTOSCALER_OBSERVATION_H

#include "autoscaler/controller.h"
#include "autoscaler/sources.h"
#include "base/clock.h"
#include "query/engine.h"

struct scale_source {
    struct query_engine *engine; /* usual look-back */
    struct query_engine *fresh;  /* look-back = late_after */
    struct tw_clock *clock;
};

/* Never fails: a query that does is an observation of its own kind. error_text holds
 * SCALE_ERROR_BYTES and is what ret->error points to. */
void scale_observe(const struct scale_source *source, const struct scale_settings *settings,
                   int64_t now_ms, struct scale_observation *ret, char *error_text);

/* Who is heard of the sources of the load: sets coverage, where no query does, and says in
 * error_text when some are silent. listeners: one for the load, or for each of several. Of these
 * the lowest coverage counts, and each that is a sum is made up for at once. */
void scale_observe_sources(const struct scale_source *source, const struct scale_settings *settings,
                           struct scale_listener *listeners, struct scale_observation *observation,
                           char *error_text);

/* Fills values at first_ms, first_ms + step ... from the past of the load; NaN where there is none.
 * Partial results stay when a part fails; the error of the last failing part is reported. */
TW_MUST_CHECK enum tw_code scale_observe_history(const struct scale_source *source,
                                                 const struct scale_settings *settings,
                                                 int64_t first_ms, size_t count, double *ret_values,
                                                 struct tw_err *err);

#endif
