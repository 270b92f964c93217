/* SPDX-License-Identifier: Apache-2.0
 *
 * holidays: days of a calendar file that are not like their weekday, and what that does to a
 * series.
 *
 * A holiday is expected to be like another weekday, mostly a Sunday (as is usual in forecasts of
 * load: Hyde and Hodnett 1997). From a series' past follows for each weekday and hour how the one
 * day is to the other: the shape. By this ratio values of holidays are taken to what an ordinary
 * day would have brought, before a model learns them: so the week after is not forecast to be a
 * holiday, and on a holiday the newest values say how high it is for a holiday. Forecasts for a
 * holiday are taken back by it.
 *
 *   I1  On ordinary days, and where the past does not tell (less than a week, values below zero),
 *       the ratio is 1: nothing changes.
 *   I2  A ratio lies within [1 / FORECAST_HOLIDAY_RATIO_MAX, FORECAST_HOLIDAY_RATIO_MAX].
 *
 * Threads: a calendar never changes, any may read it; shapes are plain data.
 */
#ifndef TW_FORECAST_HOLIDAYS_H
#define TW_FORECAST_HOLIDAYS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define FORECAST_HOLIDAYS_MAX 100000 /* days, repeated ones counted each year */
#define FORECAST_HOLIDAYS_BYTES_MAX ((size_t)1 << 20)
#define FORECAST_HOLIDAY_RATIO_MAX 20.0

struct forecast_holidays;

/* Lines (docs/forecasting.md): "2026-12-25 [like saturday] [name]", "2026-12-27..2026-12-31 ...",
 * "*-12-25 ..." each year, "offset +01:00"; '#' begins a comment. TW_BAD_DATA with the line. */
TW_MUST_CHECK enum tw_code
forecast_holidays_parse(struct tw_str text, struct forecast_holidays **ret, struct tw_err *err);
/* The same of a file; the error names it. */
TW_MUST_CHECK enum tw_code forecast_holidays_read(const char *path, struct forecast_holidays **ret,
                                                  struct tw_err *err);
/* One more or one less who holds it; NULL is fine. */
struct forecast_holidays *forecast_holidays_ref(struct forecast_holidays *holidays);
struct forecast_holidays *forecast_holidays_unref(struct forecast_holidays *holidays); /* NULL */
uint64_t forecast_holidays_hash(const struct forecast_holidays *holidays); /* of NULL: 0 */
size_t forecast_holidays_count(const struct forecast_holidays *holidays);

enum { FORECAST_ORDINARY_DAY = -1 };
/* What weekday (0 = Sunday) the day of a time is like. NULL: there are no holidays. */
int forecast_holidays_like(const struct forecast_holidays *holidays, int64_t time_ms);

struct forecast_shape {
    float level[7][24]; /* median of ordinary days; NaN: not known */
};
/* Of values that end at last_ms, a step apart: each stands for the step before its time. Missing
 * ones are NaN. */
void forecast_shape_learn(struct forecast_shape *shape, const struct forecast_holidays *holidays,
                          const double *values, size_t count, int64_t last_ms, int64_t step_ms);
/* Of a holiday to an ordinary day, for the step that ends at a time. */
double forecast_shape_ratio(const struct forecast_shape *shape,
                            const struct forecast_holidays *holidays, int64_t end_ms,
                            int64_t step_ms);

#endif
