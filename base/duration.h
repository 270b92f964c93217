/* SPDX-License-Identifier: Apache-2.0
 *
 * duration: Prometheus's spelling of durations ("1h30m", units y w d h m s ms, in this order, each
 * at most once) and of times in query parameters (decimal Unix seconds or RFC 3339).
 */
#ifndef TW_BASE_DURATION_H
#define TW_BASE_DURATION_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* "0", "5m", "1h30m"; no sign, not empty. */
TW_MUST_CHECK enum tw_code tw_duration_parse(struct tw_str text, int64_t *ret_ms,
                                             struct tw_err *err);
/* As Prometheus's model.Duration prints: "1h30m", "0s", "1d"; weeks and years only when exact. */
#define TW_DURATION_BYTES 64
void tw_duration_format(int64_t ms, char *ret_text);
/* A `step` or `timeout` parameter: decimal seconds ("0.5", "15") or a duration. */
TW_MUST_CHECK enum tw_code tw_duration_parse_parameter(struct tw_str text, int64_t *ret_ms,
                                                       struct tw_err *err);
/* A `time`, `start` or `end` parameter: decimal Unix seconds, may be negative, or RFC 3339. */
TW_MUST_CHECK enum tw_code tw_time_parse_parameter(struct tw_str text, int64_t *ret_ms,
                                                   struct tw_err *err);

#endif
