/* SPDX-License-Identifier: Apache-2.0
 *
 * state: what a fitted model keeps of its series, and goes on with value by value: the newest
 * values in 16 bits each, as far back as forecasts look; the averages as they stand; one period of
 * each profile. It answers what `series` answers for the newest moment, within the rounding.
 *
 * I1  No pointer leads out of the model's own memory, and nothing is allocated after the creation.
 * I2  What is kept in halves is rounded when it is stored, never when it is read: so a state that
 *     was written and read again goes on to the same bits.
 */
#ifndef TW_FORECAST_STATE_H
#define TW_FORECAST_STATE_H

#include "forecast/series.h"

struct forecast_state_season {
    uint32_t period;
    bool weekly;
    uint32_t cell_size, cells;
    float residual[FORECAST_RESIDUAL_SPANS];
    float cell_sum; /* of |z - profile| in the cell that is being passed */
    uint32_t cell_count;
    uint16_t *profile;  /* [period] halves, by phase */
    uint16_t *restless; /* [cells] halves */
};

struct forecast_state_winters {
    struct forecast_winters_now now;
    uint16_t *offset[FORECAST_SEASONS_MAX]; /* [period] halves, by phase */
};

struct forecast_state {
    int64_t step_ms;
    double centre, scale;
    uint64_t count; /* values seen */
    uint32_t smooth_half;
    uint32_t ring_size;
    float last; /* z of the newest value */
    float walk;
    float average[FORECAST_SPANS];
    float swing_short, swing_long;
    struct forecast_state_season seasons[FORECAST_SEASONS_MAX];
    uint32_t season_count;
    struct forecast_state_winters winters[FORECAST_WINTERS]; /* if forecast_state_has_winters */
    uint16_t *ring; /* [ring_size] halves: z of value i at i % ring_size */
};

/* Halves that a state of these seasons needs: ring, profiles and cells. */
size_t forecast_state_halves(const struct forecast_state *state);
/* Values that have to be kept for leads up to `horizon`, given the seasons of the series. */
size_t forecast_state_reach(const struct forecast_series *series, size_t horizon);
/* The shape (sizes, no numbers yet) of the state at the end of the series. */
void forecast_state_shape(struct forecast_state *state, const struct forecast_series *series,
                          size_t ring_size);
/* Points the arrays into `halves` (forecast_state_halves of them). */
void forecast_state_place(struct forecast_state *state, uint16_t *halves);
/* Fills a placed state with what the series ended with. */
void forecast_state_load(struct forecast_state *state, const struct forecast_series *series);

/* The next value in the caller's unit; NaN and the like are holes. */
void forecast_state_append(struct forecast_state *state, double value);

/* z of value i, which must be among the newest ring_size. */
float forecast_state_z(const struct forecast_state *state, uint64_t i);
float forecast_state_smooth(const struct forecast_state *state, uint64_t i);
/* Average k as it stood at value i, from as many values as matter and are kept. */
float forecast_state_average(const struct forecast_state *state, size_t k, uint64_t i);
float forecast_state_profile(const struct forecast_state_season *season, uint64_t i);
bool forecast_state_has_winters(const struct forecast_state *state);
/* Level and offsets of value i at one speed. */
float forecast_state_winters(const struct forecast_state *state, size_t speed, uint64_t i);
float forecast_state_restless(const struct forecast_state_season *season, uint64_t i);
/* Highest z among values first to first + count - 1. */
float forecast_state_highest(const struct forecast_state *state, uint64_t first, size_t count);

/* What an append would change, to take it back. */
struct forecast_state_undo {
    struct forecast_state before;
    uint16_t ring, profile[FORECAST_SEASONS_MAX], restless[FORECAST_SEASONS_MAX];
    uint16_t offset[FORECAST_WINTERS][FORECAST_SEASONS_MAX];
};
void forecast_state_try(struct forecast_state *state, double value,
                        struct forecast_state_undo *ret_undo);
void forecast_state_undo(struct forecast_state *state, const struct forecast_state_undo *undo);

#endif
