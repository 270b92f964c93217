/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/state.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "forecast/half.h"

#define DAY_MS 86400000
#define CONSTANT_LEAST 16 /* equal values that make a constant; of fewer one waits for a fit */
#define AVERAGE_REACH 4   /* spans after which an average has forgotten: e^-8 is left */

/* ---- shape ---- */

bool forecast_state_has_winters(const struct forecast_state *state)
{
    return forecast_winters_wanted(state->step_ms, state->season_count);
}

size_t forecast_state_halves(const struct forecast_state *state)
{
    size_t halves = state->ring_size;
    for (size_t s = 0; s < state->season_count; s++)
        if (!state->seasons[s].weekly)
            halves += state->seasons[s].period + state->seasons[s].cells;
    if (forecast_state_has_winters(state))
        for (size_t s = 0; s < state->season_count; s++)
            halves += FORECAST_WINTERS * (size_t)state->seasons[s].period;
    return halves;
}

size_t forecast_state_reach(const struct forecast_series *series, size_t horizon)
{
    size_t reach = 0, tail = AVERAGE_REACH * (size_t)forecast_spans[FORECAST_SPANS - 1];
    for (size_t s = 0; s < series->season_count; s++) {
        size_t period = series->seasons[s].period;
        size_t lag = (horizon + series->smooth_half + period - 1) / period * period;
        reach = lag > reach ? lag : reach;
    }
    reach += tail;
    return horizon + 3 > reach ? horizon + 3 : reach;
}

void forecast_state_shape(struct forecast_state *state, const struct forecast_series *series,
                          size_t ring_size)
{
    memset(state, 0, sizeof *state);
    state->step_ms = series->step_ms;
    state->smooth_half = (uint32_t)series->smooth_half;
    state->ring_size = (uint32_t)ring_size;
    state->season_count = (uint32_t)series->season_count;
    for (size_t s = 0; s < series->season_count; s++) {
        const struct forecast_season *from = &series->seasons[s];
        struct forecast_state_season *season = &state->seasons[s];
        season->period = (uint32_t)from->period;
        season->weekly = from->weekly;
        season->cell_size = (uint32_t)from->cell_size;
        season->cells = (uint32_t)from->cells;
    }
}

void forecast_state_place(struct forecast_state *state, uint16_t *halves)
{
    state->ring = halves;
    halves += state->ring_size;
    for (size_t s = 0; s < state->season_count; s++) {
        struct forecast_state_season *season = &state->seasons[s];
        if (season->weekly)
            continue;
        season->profile = halves;
        season->restless = halves + season->period;
        halves += season->period + season->cells;
    }
    if (!forecast_state_has_winters(state))
        return;
    for (size_t speed = 0; speed < FORECAST_WINTERS; speed++)
        for (size_t s = 0; s < state->season_count; s++) {
            state->winters[speed].offset[s] = halves;
            halves += state->seasons[s].period;
        }
}

static size_t cell_end(const struct forecast_state_season *season, size_t cell)
{
    return cell + 1 < season->cells ? (cell + 1) * season->cell_size : season->period;
}

static size_t cell_of(const struct forecast_state_season *season, uint64_t i)
{
    size_t cell = (size_t)(i % season->period) / season->cell_size;
    return cell < season->cells ? cell : season->cells - 1;
}

static void load_season(struct forecast_state_season *season, const struct forecast_series *series,
                        const struct forecast_season *from)
{
    size_t count = series->count, period = from->period;
    TW_ASSERT(count > period + series->smooth_half);
    /* The newest profile value of each phase: the last one laid was for count - half + period. */
    size_t end = count - series->smooth_half + period;
    for (size_t i = end - period; i < end; i++)
        season->profile[i % period] = forecast_to_half(from->profile[i]);
    for (size_t k = 0; k < FORECAST_RESIDUAL_SPANS; k++)
        season->residual[k] = from->residual[k][count - 1];
    for (size_t c = 0; c < from->cells; c++) {
        size_t cell_last = cell_end(season, c);
        size_t passed = count >= cell_last ? (count - cell_last) / period + 1 : 0;
        season->restless[c] = forecast_to_half(from->restless[passed * from->cells + c]);
    }
    size_t cell = cell_of(season, count);
    for (size_t i = count - count % period + cell * season->cell_size; i < count; i++) {
        season->cell_sum += fabsf(series->z[i] - from->profile[i]);
        season->cell_count++;
    }
}

static void load_winters(struct forecast_state *state, const struct forecast_series *series)
{
    size_t count = series->count;
    for (size_t speed = 0; speed < FORECAST_WINTERS; speed++) {
        const struct forecast_winters *from = &series->winters[speed];
        struct forecast_state_winters *winters = &state->winters[speed];
        winters->now = (struct forecast_winters_now){from->level[count - 1], from->error[count - 1],
                                                     from->usual};
        for (size_t s = 0; s < state->season_count; s++) {
            size_t period = state->seasons[s].period;
            for (size_t i = count; i < count + period; i++)
                winters->offset[s][i % period] = forecast_to_half(from->offset[s][i]);
        }
    }
}

void forecast_state_load(struct forecast_state *state, const struct forecast_series *series)
{
    size_t count = series->count, last = count - 1;
    state->centre = series->centre;
    state->scale = series->scale;
    state->count = count;
    state->last = series->z[last];
    state->walk = (float)series->walk;
    for (size_t k = 0; k < FORECAST_SPANS; k++)
        state->average[k] = series->average[k][last];
    state->swing_short = series->swing_short[last];
    state->swing_long = series->swing_long[last];
    for (size_t i = count > state->ring_size ? count - state->ring_size : 0; i < count; i++)
        state->ring[i % state->ring_size] = forecast_to_half(series->z[i]);
    for (size_t s = 0; s < state->season_count; s++)
        if (!state->seasons[s].weekly)
            load_season(&state->seasons[s], series, &series->seasons[s]);
    if (forecast_state_has_winters(state))
        load_winters(state, series);
}

/* ---- look ---- */

float forecast_state_z(const struct forecast_state *state, uint64_t i)
{
    TW_ASSERT_SLOW(i < state->count && state->count - i <= state->ring_size);
    return i + 1 == state->count ? state->last
                                 : forecast_from_half(state->ring[i % state->ring_size]);
}

float forecast_state_smooth(const struct forecast_state *state, uint64_t i)
{
    uint64_t half = state->smooth_half, first = i >= half ? i - half : 0;
    if (state->count - first > state->ring_size)
        first = state->count - state->ring_size;
    float sum = 0;
    for (uint64_t j = first; j <= i + half; j++)
        sum += forecast_state_z(state, j);
    return sum / (float)(i + half - first + 1);
}

float forecast_state_average(const struct forecast_state *state, size_t k, uint64_t i)
{
    size_t oldest = state->count > state->ring_size ? (size_t)(state->count - state->ring_size) : 0;
    size_t reach = (size_t)(AVERAGE_REACH * forecast_spans[k]);
    size_t first = i - oldest >= reach ? (size_t)i - reach + 1 : oldest;
    float keep = (float)(1 - 2 / (forecast_spans[k] + 1)), sum = 0, weight = 0;
    size_t place = first % state->ring_size;
    for (size_t j = first; j <= i; j++) {
        sum = sum * keep + forecast_from_half(state->ring[place]);
        weight = weight * keep + 1;
        if (++place == state->ring_size)
            place = 0;
    }
    return sum / weight;
}

float forecast_state_profile(const struct forecast_state_season *season, uint64_t i)
{
    return forecast_from_half(season->profile[i % season->period]);
}

float forecast_state_winters(const struct forecast_state *state, size_t speed, uint64_t i)
{
    const struct forecast_state_winters *winters = &state->winters[speed];
    float sum = winters->now.level;
    for (size_t s = 0; s < state->season_count; s++)
        sum += forecast_from_half(winters->offset[s][i % state->seasons[s].period]);
    return sum;
}

float forecast_state_restless(const struct forecast_state_season *season, uint64_t i)
{
    size_t cell = cell_of(season, i), cells = season->cells;
    float sum = 0;
    for (size_t k = 0; k <= 2 * FORECAST_CELLS_AROUND; k++)
        sum += forecast_from_half(
            season->restless[(cell + cells + k - FORECAST_CELLS_AROUND) % cells]);
    return sum / (2 * FORECAST_CELLS_AROUND + 1);
}

float forecast_state_highest(const struct forecast_state *state, uint64_t first, size_t count)
{
    float high = forecast_state_z(state, first);
    for (uint64_t i = first + 1; i < first + count; i++)
        high = fmaxf(high, forecast_state_z(state, i));
    return high;
}

/* ---- go on ---- */

static float fill_in(const struct forecast_state *state)
{
    uint64_t day = (uint64_t)(DAY_MS / state->step_ms), i = state->count;
    float level = state->average[1];
    if (day >= 4 && i > day && day + 1 < state->ring_size)
        return forecast_state_z(state, i - day) + level -
               forecast_state_average(state, 1, i - 1 - day);
    return level;
}

static void move(float *average, double span, uint64_t nth, float value)
{
    *average += (float)forecast_rate(span, nth) * (value - *average);
}

/* Value i stands in the ring already. */
static void append_season(struct forecast_state *state, struct forecast_state_season *season,
                          uint64_t i)
{
    uint64_t period = season->period, half = state->smooth_half;
    float deviation = state->last - forecast_state_profile(season, i);
    for (size_t k = 0; k < FORECAST_RESIDUAL_SPANS; k++)
        move(&season->residual[k], forecast_residual_spans[k], i - period + 1, deviation);
    season->cell_sum += fabsf(deviation);
    season->cell_count++;
    size_t cell = cell_of(season, i);
    if (i % period + 1 == cell_end(season, cell)) {
        float mean = season->cell_sum / (float)season->cell_count;
        float before = forecast_from_half(season->restless[cell]);
        season->restless[cell] = forecast_to_half(
            i < 2 * period ? mean : before + (float)FORECAST_PROFILE_RATE * (mean - before));
        season->cell_sum = 0;
        season->cell_count = 0;
    }
    uint64_t middle = i - half;
    uint16_t *phase = &season->profile[middle % period];
    float rate = (float)fmax(FORECAST_PROFILE_RATE, 1.0 / (double)(middle / period + 1));
    float before = forecast_from_half(*phase);
    *phase = forecast_to_half(before + rate * (forecast_state_smooth(state, middle) - before));
}

static void append_winters(struct forecast_state *state, uint64_t i, bool known)
{
    for (size_t speed = 0; speed < FORECAST_WINTERS; speed++) {
        struct forecast_state_winters *winters = &state->winters[speed];
        float offset = forecast_state_winters(state, speed, i) - winters->now.level;
        float error =
            forecast_winters_take(&winters->now, speed, offset, state->last, known, false);
        for (size_t s = 0; s < state->season_count; s++) {
            size_t period = state->seasons[s].period;
            uint16_t *phase = &winters->offset[s][i % period];
            *phase = forecast_to_half(forecast_from_half(*phase) +
                                      forecast_winters_rate(speed, s, i, period) * error);
        }
    }
}

void forecast_state_append(struct forecast_state *state, double value)
{
    uint64_t i = state->count;
    float z;
    /* A constant that moves for the first time sets its own scale: all before it are 0 in any. */
    if (state->scale <= 0 && i >= CONSTANT_LEAST && forecast_usable(value) &&
        fabs(value - state->centre) > 1e-12 * fabs(state->centre))
        state->scale = fabs(value - state->centre);
    if (!forecast_usable(value))
        z = fill_in(state);
    else
        z = state->scale > 0 ? (float)((value - state->centre) / state->scale) : 0;
    z = fminf(fmaxf(z, -FORECAST_HALF_MAX), FORECAST_HALF_MAX);
    float swing = fabsf(z - state->average[0]);
    state->walk += (fabsf(z - state->last) - state->walk) / (float)i;
    for (size_t k = 0; k < FORECAST_SPANS; k++)
        move(&state->average[k], forecast_spans[k], i + 1, z);
    move(&state->swing_short, FORECAST_SWING_SPAN_SHORT, i + 1, swing);
    move(&state->swing_long, FORECAST_SWING_SPAN_LONG, i + 1, swing);
    state->ring[i % state->ring_size] = forecast_to_half(z);
    state->last = z;
    state->count = i + 1;
    for (size_t s = 0; s < state->season_count; s++)
        if (!state->seasons[s].weekly)
            append_season(state, &state->seasons[s], i);
    if (forecast_state_has_winters(state))
        append_winters(state, i, forecast_usable(value));
}

void forecast_state_try(struct forecast_state *state, double value,
                        struct forecast_state_undo *ret_undo)
{
    uint64_t i = state->count;
    ret_undo->before = *state;
    ret_undo->ring = state->ring[i % state->ring_size];
    for (size_t s = 0; s < state->season_count; s++) {
        const struct forecast_state_season *season = &state->seasons[s];
        if (season->weekly)
            continue;
        ret_undo->profile[s] = season->profile[(i - state->smooth_half) % season->period];
        ret_undo->restless[s] = season->restless[cell_of(season, i)];
    }
    for (size_t speed = 0; forecast_state_has_winters(state) && speed < FORECAST_WINTERS; speed++)
        for (size_t s = 0; s < state->season_count; s++)
            ret_undo->offset[speed][s] =
                state->winters[speed].offset[s][i % state->seasons[s].period];
    forecast_state_append(state, value);
}

void forecast_state_undo(struct forecast_state *state, const struct forecast_state_undo *undo)
{
    uint64_t i = undo->before.count;
    *state = undo->before;
    state->ring[i % state->ring_size] = undo->ring;
    for (size_t s = 0; s < state->season_count; s++) {
        const struct forecast_state_season *season = &state->seasons[s];
        if (season->weekly)
            continue;
        season->profile[(i - state->smooth_half) % season->period] = undo->profile[s];
        season->restless[cell_of(season, i)] = undo->restless[s];
    }
    for (size_t speed = 0; forecast_state_has_winters(state) && speed < FORECAST_WINTERS; speed++)
        for (size_t s = 0; s < state->season_count; s++)
            state->winters[speed].offset[s][i % state->seasons[s].period] = undo->offset[speed][s];
}
