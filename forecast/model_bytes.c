/* SPDX-License-Identifier: Apache-2.0
 *
 * model_bytes: a model as bytes, drawn in docs/format/forecast-model.md. One walk over the fields
 * describes the layout for both directions, so that they cannot part.
 */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "forecast/model_int.h"

#define BYTES_MAGIC 0x54574643u /* "CFWT" as the bytes stand */
#define BYTES_VERSION 1

enum direction { MEASURE, WRITE, READ };

struct walk {
    enum direction direction;
    uint8_t *bytes; /* only read from when reading */
    size_t at, size;
    bool bad; /* the bytes end too early */
};

/* count bytes of a number, least significant first. */
static uint64_t walk_number(struct walk *walk, uint64_t value, size_t count)
{
    size_t at = walk->at;
    walk->at += count;
    if (walk->direction == MEASURE)
        return value;
    if (walk->at > walk->size) {
        walk->bad = true;
        return 0;
    }
    if (walk->direction == WRITE) {
        for (size_t i = 0; i < count; i++)
            walk->bytes[at + i] = (uint8_t)(value >> (8 * i));
        return value;
    }
    value = 0;
    for (size_t i = 0; i < count; i++)
        value |= (uint64_t)walk->bytes[at + i] << (8 * i);
    return value;
}

static void walk_u64(struct walk *walk, uint64_t *value)
{
    *value = walk_number(walk, *value, 8);
}

static void walk_i64(struct walk *walk, int64_t *value)
{
    *value = (int64_t)walk_number(walk, (uint64_t)*value, 8);
}

static void walk_u32(struct walk *walk, uint32_t *value)
{
    *value = (uint32_t)walk_number(walk, *value, 4);
}

static void walk_size(struct walk *walk, size_t *value)
{
    *value = (size_t)walk_number(walk, *value, 4);
}

static void walk_bool(struct walk *walk, bool *value)
{
    *value = walk_number(walk, *value, 1) != 0;
}

static void walk_double(struct walk *walk, double *value)
{
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    bits = walk_number(walk, bits, 8);
    memcpy(value, &bits, sizeof bits);
}

static void walk_floats(struct walk *walk, float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        walk_u32(walk, &bits);
        memcpy(&values[i], &bits, sizeof bits);
    }
}

static void walk_halves(struct walk *walk, uint16_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        /* Measuring and writing leave the model alone. */
        uint16_t value = walk->direction == READ ? 0 : values[i];
        value = (uint16_t)walk_number(walk, value, 2);
        if (walk->direction == READ)
            values[i] = value;
    }
}

static void walk_node(struct walk *walk, struct forecast_node *node)
{
    struct forecast_calibration *calibration = &node->calibration;
    walk_size(walk, &node->lead);
    walk_size(walk, &node->stack.columns);
    if (node->stack.columns > FORECAST_STACK_COLUMNS_MAX)
        walk->bad = true;
    else
        walk_floats(walk, node->stack.weights, node->stack.columns);
    walk_floats(walk, &node->stack.intercept, 1);
    walk_floats(walk, calibration->size, FORECAST_SIGNS);
    walk_floats(walk, calibration->low, FORECAST_SIGNS);
    walk_floats(walk, calibration->high, FORECAST_SIGNS);
    walk_floats(walk, calibration->points, FORECAST_CALIBRATION_POINTS);
    walk_floats(walk, &calibration->mean, 1);
}

static void walk_season(struct walk *walk, struct forecast_state_season *season)
{
    walk_u32(walk, &season->period);
    walk_bool(walk, &season->weekly);
    walk_u32(walk, &season->cell_size);
    walk_u32(walk, &season->cells);
    walk_floats(walk, season->residual, FORECAST_RESIDUAL_SPANS);
    walk_floats(walk, &season->cell_sum, 1);
    walk_u32(walk, &season->cell_count);
}

/* All that has a fixed place: options, state without its arrays, drift. */
static void walk_head(struct walk *walk, struct forecast_model *model)
{
    struct forecast_options *options = &model->options;
    struct forecast_state *state = &model->state;
    walk_i64(walk, &options->step_ms);
    walk_size(walk, &options->horizon);
    walk_size(walk, &options->peak_horizon);
    walk_double(walk, &options->lower_bound);
    walk_bool(walk, &options->has_upper_bound);
    walk_double(walk, &options->upper_bound);
    walk_size(walk, &model->period_count);
    for (size_t k = 0; k < FORECAST_SEASONS_MAX && k < model->period_count; k++) {
        walk_size(walk, &model->periods[k].period);
        walk_bool(walk, &model->periods[k].weekly);
        walk_double(walk, &model->periods[k].strength);
    }
    walk_double(walk, &model->widen);
    walk_u64(walk, &model->fitted_count);
    walk_double(walk, &model->fitted_loss);
    walk_double(walk, &model->recent_loss);
    walk_double(walk, &model->recent_below);
    walk_u64(walk, &model->recent_count);
    walk_double(walk, &state->centre);
    walk_double(walk, &state->scale);
    walk_u64(walk, &state->count);
    walk_u32(walk, &state->smooth_half);
    walk_u32(walk, &state->ring_size);
    walk_floats(walk, &state->last, 1);
    walk_floats(walk, &state->walk, 1);
    walk_floats(walk, state->average, FORECAST_SPANS);
    walk_floats(walk, &state->swing_short, 1);
    walk_floats(walk, &state->swing_long, 1);
    walk_u32(walk, &state->season_count);
    for (size_t s = 0; s < FORECAST_SEASONS_MAX; s++)
        walk_season(walk, &state->seasons[s]);
    for (size_t speed = 0; speed < FORECAST_WINTERS; speed++) {
        walk_floats(walk, &state->winters[speed].now.level, 1);
        walk_floats(walk, &state->winters[speed].now.error, 1);
        walk_floats(walk, &state->winters[speed].now.usual, 1);
    }
    walk_bool(walk, &model->has_peak);
    walk_size(walk, &model->node_count);
}

static void walk_body(struct walk *walk, struct forecast_model *model)
{
    struct forecast_state *state = &model->state;
    if (model->has_peak)
        walk_node(walk, &model->peak);
    for (size_t k = 0; k < model->node_count; k++)
        walk_node(walk, &model->nodes[k]);
    /* A ring that was never full is stored as far as it was filled. */
    size_t filled = state->count < state->ring_size ? (size_t)state->count : state->ring_size;
    walk_halves(walk, state->ring, filled);
    for (size_t s = 0; s < state->season_count; s++) {
        struct forecast_state_season *season = &state->seasons[s];
        if (season->weekly)
            continue;
        walk_halves(walk, season->profile, season->period);
        walk_halves(walk, season->restless, season->cells);
    }
    for (size_t speed = 0; forecast_state_has_winters(state) && speed < FORECAST_WINTERS; speed++)
        for (size_t s = 0; s < state->season_count; s++)
            walk_halves(walk, state->winters[speed].offset[s], state->seasons[s].period);
}

static size_t walk_out(const struct forecast_model *model, struct walk *walk)
{
    struct forecast_model copy =
        *model; /* of the fixed part; the arrays are shared, and only read */
    uint32_t magic = BYTES_MAGIC, version = BYTES_VERSION;
    walk_u32(walk, &magic);
    walk_u32(walk, &version);
    walk_head(walk, &copy);
    walk_body(walk, &copy);
    return walk->at;
}

size_t forecast_model_size(const struct forecast_model *model)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    struct walk walk = {.direction = MEASURE};
    return walk_out(model, &walk) + sizeof(uint32_t);
}

void forecast_model_write(const struct forecast_model *model, uint8_t *ret_bytes)
{
    TW_CHECK_MAGIC(model, FORECAST_MODEL_MAGIC);
    struct walk walk = {.direction = WRITE, .bytes = ret_bytes, .size = SIZE_MAX};
    size_t size = walk_out(model, &walk);
    uint32_t crc = tw_crc32c(0, ret_bytes, size);
    walk_u32(&walk, &crc);
}

/* ---- read ---- */

/* Sizes from outside are believed only as far as they agree with each other. */
static bool is_sound(const struct forecast_model *head)
{
    const struct forecast_state *state = &head->state;
    const struct forecast_options *options = &head->options;
    if (options->step_ms < 1 || options->horizon < 1 || options->horizon > FORECAST_HORIZON_MAX ||
        options->peak_horizon < 1 || options->peak_horizon > options->horizon ||
        head->period_count > FORECAST_SEASONS_MAX || head->node_count > FORECAST_NODES_MAX ||
        state->season_count > FORECAST_SEASONS_MAX || state->count < 1 || state->ring_size < 1 ||
        state->ring_size > FORECAST_MODEL_BYTES_MAX || state->smooth_half > state->ring_size)
        return false;
    for (size_t s = 0; s < state->season_count; s++) {
        const struct forecast_state_season *season = &state->seasons[s];
        if (season->period < 1 || season->period > state->ring_size ||
            season->period >= state->count || season->period <= state->smooth_half)
            return false;
        if (!season->weekly && (season->cell_size < 1 || season->cells < 1 ||
                                season->cells > season->period / season->cell_size))
            return false;
    }
    struct forecast_series series = {.step_ms = options->step_ms,
                                     .smooth_half = state->smooth_half,
                                     .season_count = state->season_count};
    for (size_t s = 0; s < state->season_count; s++) {
        series.seasons[s].period = state->seasons[s].period;
        series.seasons[s].weekly = state->seasons[s].weekly;
    }
    return forecast_column_count(&series) <= FORECAST_STACK_COLUMNS_MAX &&
           (!state->season_count ||
            forecast_state_reach(&series, options->horizon) <= state->ring_size);
}

static bool nodes_are_sound(const struct forecast_model *model)
{
    const struct forecast_state *state = &model->state;
    struct forecast_series series = {.step_ms = state->step_ms,
                                     .season_count = state->season_count};
    for (size_t s = 0; s < state->season_count; s++)
        series.seasons[s].weekly = state->seasons[s].weekly;
    size_t columns = forecast_column_count(&series), before = 0;
    for (size_t k = 0; k < model->node_count; k++) {
        const struct forecast_node *node = &model->nodes[k];
        if (node->lead <= before || node->lead > model->options.horizon ||
            node->stack.columns != columns)
            return false;
        before = node->lead;
    }
    return !model->has_peak || model->peak.stack.columns == 5 + state->season_count;
}

static enum tw_code damaged(struct tw_err *err, const char *how)
{
    return tw_err_set(err, TW_BAD_DATA, "the stored forecast model is unusable (%s): fit it anew",
                      how);
}

enum tw_code forecast_model_read(const uint8_t *bytes, size_t size,
                                 struct forecast_model **ret_model, struct tw_err *err)
{
    struct walk walk = {.direction = READ, .bytes = (uint8_t *)(uintptr_t)bytes};
    uint32_t magic = 0, version = 0, crc = 0;
    if (size < 3 * sizeof crc || size > FORECAST_MODEL_BYTES_MAX)
        return damaged(err, "its size");
    walk.size = size - sizeof crc;
    walk_u32(&walk, &magic);
    walk_u32(&walk, &version);
    if (magic != BYTES_MAGIC || version != BYTES_VERSION)
        return damaged(err, "it is of another version");
    for (size_t i = 0; i < sizeof crc; i++)
        crc |= (uint32_t)bytes[walk.size + i] << (8 * i);
    if (crc != tw_crc32c(0, bytes, walk.size))
        return damaged(err, "its checksum");
    struct forecast_model head = {0};
    walk_head(&walk, &head);
    if (walk.bad || !is_sound(&head))
        return damaged(err, "its head");
    head.state.step_ms = head.options.step_ms;
    struct forecast_model *model = forecast_model_create(&head.state, head.node_count);
    model->state.step_ms = head.options.step_ms;
    struct forecast_state state = model->state; /* with its arrays in place */
    struct forecast_node *nodes = model->nodes;
    head.magic = FORECAST_MODEL_MAGIC;
    head.nodes = nodes;
    head.state = state;
    *model = head;
    walk_body(&walk, model);
    if (walk.bad || walk.at != walk.size || !nodes_are_sound(model)) {
        forecast_model_free(model);
        return damaged(err, "its body");
    }
    *ret_model = model;
    return TW_OK;
}
