/* SPDX-License-Identifier: Apache-2.0
 *
 * winters: exponential smoothing with several seasons at once (Holt 1957, Winters 1960; Taylor
 * 2003, Short-term electricity demand forecasting using double seasonal exponential smoothing):
 *
 *   value = level + one offset for the phase of each season + error
 *
 * Each part follows the error that is left: the offset of the day says what is usual at this hour,
 * that of the week by how much this weekday departs from it. Errors beyond some times the usual one
 * count no further (Gelper, Fried, Croux 2010, Robust forecasting with exponential and Holt-Winters
 * smoothing). Offsets start as plain means and are learned more slowly the more periods were seen;
 * those of longer seasons are drawn towards 0 while few were.
 *
 * Only for values that lie far apart: there days and weeks are few values long and have to be told
 * apart by few of them. The columns of `column` are made from it at three speeds.
 */
#ifndef TW_FORECAST_WINTERS_H
#define TW_FORECAST_WINTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FORECAST_WINTERS = 3 }; /* speeds: fast, slow, very slow */

/* What goes on from value to value beside the offsets. */
struct forecast_winters_now {
    float level, error; /* error: of the newest value, before it was learned from */
    float usual;        /* size of an error */
};

/* Whether there is a smoothing at this step and with so many seasons. */
bool forecast_winters_wanted(int64_t step_ms, size_t season_count);
/* Before the first value, given the mean of the first period. */
struct forecast_winters_now forecast_winters_start(float level);
/* Takes the value; offset: the sum of those of its phases. Returns the error that the offsets are
 * to follow: 0 when the value is not known. The level stands still while `hold_level`. */
float forecast_winters_take(struct forecast_winters_now *now, size_t speed, float offset, float z,
                            bool known, bool hold_level);
/* The share of that error by which the offset of value i in season number `season` moves. */
float forecast_winters_rate(size_t speed, size_t season, uint64_t i, size_t period);

#endif
