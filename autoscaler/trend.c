/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/trend.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define WINDOW_MS 75000       /* that a steady rise is measured over */
#define SWING_RATE 0.03       /* of the usual change between observations */
#define SWING_CAPPED 4.0      /* a rush does not count as usual */
#define SWING_FIRST 0.02      /* until observations told */
#define SUDDEN_SWINGS 5.0     /* a change of two ticks beyond so many usual ones is a rise */
#define STEADY_DEVIATIONS 4.0 /* of the slope from the noise around it */
#define FORESEEN_MS_MIN 60000 /* age of a forecast that has not seen the rise yet */
#define RISE_SHARE_MIN 0.1    /* smaller ones are left to the forecast */
#define AHEAD_SHARE 0.1       /* of a rise that has to be foreseen for it to be no surprise */
#define AVERAGED_MS 15000     /* an average speaks of a time before its moment */
#define SETTLED_COUNT 4       /* observations whose mean a single one may exceed */
#define SETTLED_SHARE 0.03    /* by so much */
#define OUTCOMES_MIN 16       /* below, those of smaller rises count as well */
#define PRIOR_COUNT 4         /* outcomes that are assumed before any was seen: all came true */
#define SHARE_MAX 1.5         /* of a projected rise that may be learned */
#define SHARE_QUANTILE 0.8    /* of the outcomes: as sure as that it is enough */

static const double size_limits[SCALE_TREND_SIZES - 1] = {0.25, 0.6, 1.5};

void scale_trend_init(struct scale_trend *trend)
{
    memset(trend, 0, sizeof *trend);
    trend->swing = -1;
}

void scale_trend_forget(struct scale_trend *trend)
{
    trend->recent_count = 0;
    trend->pending_count = 0;
    trend->pressed.load = 0;
}

size_t scale_trend_count(const struct scale_trend *trend)
{
    return trend->recent_count;
}

/* ---- what came of it ---- */

static void learn(struct scale_trend *trend, size_t size, double share)
{
    size_t *next = &trend->sizes[size].next;
    trend->sizes[size].shares[*next] = (float)fmin(fmax(share, 0), SHARE_MAX);
    *next = (*next + 1) % SCALE_TREND_KEPT;
    if (trend->sizes[size].count < SCALE_TREND_KEPT)
        trend->sizes[size].count++;
}

static void judge_pending(struct scale_trend *trend, int64_t time_ms, double load)
{
    size_t over = 0;
    for (size_t i = 0; i < trend->pending_count; i++) {
        trend->pending[i].highest = fmax(trend->pending[i].highest, load);
        if (trend->pending[i].due_ms > time_ms)
            continue;
        learn(trend, trend->pending[i].size,
              (trend->pending[i].highest - trend->pending[i].level) / trend->pending[i].rise);
        over = i + 1;
    }
    trend->pending_count -= over;
    memmove(trend->pending, trend->pending + over, trend->pending_count * sizeof *trend->pending);
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The newest outcomes of a size, at most so many. */
static size_t outcomes(const struct scale_trend *trend, size_t size, size_t most, float *ret)
{
    size_t count = trend->sizes[size].count < most ? trend->sizes[size].count : most;
    for (size_t i = 0; i < count; i++)
        ret[i] =
            trend->sizes[size]
                .shares[(trend->sizes[size].next + SCALE_TREND_KEPT - 1 - i) % SCALE_TREND_KEPT];
    return count;
}

/* The share of such rises that is enough for most of them. */
static double share_of(const struct scale_trend *trend, size_t size)
{
    float sorted[SCALE_TREND_KEPT + PRIOR_COUNT];
    size_t count = outcomes(trend, size, SCALE_TREND_KEPT, sorted);
    while (count < OUTCOMES_MIN && size > 0)
        count += outcomes(trend, --size, OUTCOMES_MIN - count, sorted + count);
    for (size_t i = 0; i < PRIOR_COUNT; i++)
        sorted[count++] = 1;
    qsort(sorted, count, sizeof *sorted, compare);
    return (double)sorted[(size_t)(SHARE_QUANTILE * (double)(count - 1) + 0.5)];
}

/* ---- the rise ---- */

void scale_trend_observe(struct scale_trend *trend, int64_t time_ms, double load)
{
    size_t *count = &trend->recent_count;
    if (*count && trend->recent[*count - 1].time_ms >= time_ms)
        return;
    judge_pending(trend, time_ms, load);
    if (*count) {
        double before = trend->recent[*count - 1].load, level = fmax(before, load);
        double change = level > 0 ? fabs(load - before) / level : 0;
        if (trend->swing < 0)
            trend->swing = SWING_FIRST;
        change = fmin(change, SWING_CAPPED * trend->swing);
        trend->swing += SWING_RATE * (change - trend->swing);
    }
    if (*count == SCALE_TREND_RECENT) {
        memmove(trend->recent, trend->recent + 1, (SCALE_TREND_RECENT - 1) * sizeof *trend->recent);
        (*count)--;
    }
    trend->recent[*count].time_ms = time_ms;
    trend->recent[(*count)++].load = load;
}

/* Slope of the last observations when it is beyond doubt, else 0; *ret_now: the load it is at. */
static double steady_slope(const struct scale_trend *trend, double *ret_now)
{
    size_t first = 0, n = trend->recent_count;
    int64_t last_ms = trend->recent[n - 1].time_ms;
    while (trend->recent[first].time_ms < last_ms - WINDOW_MS)
        first++;
    n -= first;
    if (n < 3)
        return 0;
    double mean_t = 0, mean_x = 0, tt = 0, tx = 0, rest = 0;
    for (size_t i = first; i < first + n; i++) {
        mean_t += (double)(trend->recent[i].time_ms - last_ms) / (double)n;
        mean_x += trend->recent[i].load / (double)n;
    }
    for (size_t i = first; i < first + n; i++) {
        double t = (double)(trend->recent[i].time_ms - last_ms) - mean_t;
        tt += t * t;
        tx += t * (trend->recent[i].load - mean_x);
    }
    if (!(tt > 0) || tx <= 0)
        return 0;
    double slope = tx / tt;
    for (size_t i = first; i < first + n; i++) {
        double t = (double)(trend->recent[i].time_ms - last_ms) - mean_t;
        double e = trend->recent[i].load - mean_x - slope * t;
        rest += e * e;
    }
    double deviation = sqrt(rest / (double)(n - 2) / tt);
    *ret_now = mean_x - slope * mean_t;
    return slope < STEADY_DEVIATIONS * deviation ||
                   slope * (double)WINDOW_MS < RISE_SHARE_MIN * *ret_now
               ? 0
               : slope;
}

/* The same from the last two changes alone, for a rush that has just begun. */
static double sudden_slope(const struct scale_trend *trend, double *ret_now)
{
    size_t n = trend->recent_count;
    if (n < 3 || trend->swing < 0)
        return 0;
    double before = trend->recent[n - 3].load, now = trend->recent[n - 1].load;
    int64_t took = trend->recent[n - 1].time_ms - trend->recent[n - 3].time_ms;
    double rise = now - before;
    *ret_now = now;
    if (took > WINDOW_MS || rise < RISE_SHARE_MIN * before ||
        rise < SUDDEN_SWINGS * trend->swing * before || now < trend->recent[n - 2].load)
        return 0;
    /* Loads are averages over a while: where the newest change is the steepest, the averages still
     * hold some of the time before, and the true slope is as much steeper again. */
    double middle = trend->recent[n - 2].load;
    double newest =
        (now - middle) / (double)(trend->recent[n - 1].time_ms - trend->recent[n - 2].time_ms);
    double before_that =
        (middle - before) / (double)(trend->recent[n - 2].time_ms - trend->recent[n - 3].time_ms);
    double steeper = newest > before_that ? newest - fmax(before_that, 0) : 0;
    return fmax(rise / (double)took, newest + steeper);
}

void scale_trend_press(struct scale_trend *trend, int64_t time_ms, double load)
{
    trend->pressed.time_ms = time_ms;
    trend->pressed.load = load;
}

/* The slope from the newest average to what the present moment tells. */
static double pressed_slope(const struct scale_trend *trend, double *ret_now)
{
    int64_t last_ms = trend->recent[trend->recent_count - 1].time_ms;
    double last = trend->recent[trend->recent_count - 1].load;
    *ret_now = trend->pressed.load;
    if (trend->pressed.time_ms <= last_ms || trend->pressed.time_ms > last_ms + WINDOW_MS ||
        !(trend->pressed.load > (1 + RISE_SHARE_MIN) * last))
        return 0;
    return (trend->pressed.load - last) / (double)(trend->pressed.time_ms - last_ms + AVERAGED_MS);
}

double scale_trend_settled(const struct scale_trend *trend, double load)
{
    if (trend->recent_count < SETTLED_COUNT)
        return load;
    double mean = 0;
    for (size_t i = trend->recent_count - SETTLED_COUNT; i < trend->recent_count; i++)
        mean += trend->recent[i].load / SETTLED_COUNT;
    return fmin(load, fmax(mean, (1 - SETTLED_SHARE) * load));
}

void scale_trend_foresee(struct scale_trend *trend, int64_t time_ms, double load)
{
    trend->foreseen[trend->foreseen_next].time_ms = time_ms;
    trend->foreseen[trend->foreseen_next].load = load;
    trend->foreseen_next = (trend->foreseen_next + 1) % SCALE_TREND_FORESEEN;
    if (trend->foreseen_count < SCALE_TREND_FORESEEN)
        trend->foreseen_count++;
}

/* Whether a forecast that was made before the rise began reached this load. */
static bool was_foreseen(const struct scale_trend *trend, double load, int64_t horizon_ms)
{
    int64_t now_ms = trend->recent[trend->recent_count - 1].time_ms;
    for (size_t i = 0; i < trend->foreseen_count; i++)
        if (trend->foreseen[i].time_ms <= now_ms - FORESEEN_MS_MIN &&
            trend->foreseen[i].time_ms >= now_ms - horizon_ms && trend->foreseen[i].load >= load)
            return true;
    return false;
}

/* Takes the line that reaches higher. */
static void take_higher(double *slope, double *level, int64_t *from_ms, double other_slope,
                        double other_level, int64_t other_ms, int64_t until_ms)
{
    if (other_slope > 0 && other_level + other_slope * (double)(until_ms - other_ms) >
                               *level + *slope * (double)(until_ms - *from_ms)) {
        *slope = other_slope;
        *level = other_level;
        *from_ms = other_ms;
    }
}

static void await_outcome(struct scale_trend *trend, int64_t until_ms, double level, double rise,
                          size_t size)
{
    size_t *count = &trend->pending_count;
    if (*count == SCALE_TREND_PENDING || (*count && trend->pending[*count - 1].due_ms > until_ms))
        return;
    trend->pending[*count].due_ms = until_ms;
    trend->pending[*count].level = level;
    trend->pending[*count].rise = rise;
    trend->pending[*count].highest = level;
    trend->pending[(*count)++].size = size;
}

double scale_trend_project(struct scale_trend *trend, int64_t until_ms)
{
    if (trend->recent_count < 3)
        return 0;
    int64_t last_ms = trend->recent[trend->recent_count - 1].time_ms;
    int64_t from_ms = last_ms - AVERAGED_MS;
    double level = 0, sudden_level = 0, pressed_level = 0;
    double slope = steady_slope(trend, &level), sudden = sudden_slope(trend, &sudden_level);
    double pressed = pressed_slope(trend, &pressed_level);
    if (sudden > slope) {
        slope = sudden;
        level = sudden_level;
    }
    take_higher(&slope, &level, &from_ms, pressed, pressed_level, trend->pressed.time_ms, until_ms);
    double rise = slope * (double)(until_ms - from_ms);
    if (!(rise > 0) || !(level > 0) ||
        was_foreseen(trend, level + AHEAD_SHARE * rise, until_ms - last_ms))
        return 0;
    size_t size = 0;
    while (size < SCALE_TREND_SIZES - 1 && rise > size_limits[size] * level)
        size++;
    await_outcome(trend, until_ms, level, rise, size);
    return level + rise * share_of(trend, size);
}
