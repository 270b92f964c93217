/* SPDX-License-Identifier: Apache-2.0
 *
 * model_int: what model.c, outlook.c and model_bytes.c share: the model itself.
 */
#ifndef TW_FORECAST_MODEL_INT_H
#define TW_FORECAST_MODEL_INT_H

#include "forecast/fit.h"
#include "forecast/model.h"
#include "forecast/season.h"
#include "forecast/state.h"

#define FORECAST_MODEL_MAGIC 0x66636d31u

/* One allocation: the struct, the nodes, the halves of the state. */
struct forecast_model {
    unsigned magic;
    struct forecast_options options;
    struct forecast_state state;
    struct forecast_period periods[FORECAST_SEASONS_MAX]; /* found, in the state or not */
    size_t period_count;
    double widen;
    bool has_peak;
    struct forecast_node peak;
    /* drift, in the series' scale */
    uint64_t fitted_count;
    double fitted_loss, recent_loss, recent_below;
    uint64_t recent_count; /* known values since the fit */
    size_t node_count;
    struct forecast_node *nodes;
};

/* An empty model with room for this much; state is shaped, not placed. */
struct forecast_model *forecast_model_create(const struct forecast_state *shape, size_t node_count);
size_t forecast_model_memory(const struct forecast_state *shape, size_t node_count);

/* The distribution at one lead, in the series' own unit. */
struct forecast_outlook {
    float middle, size;
    const struct forecast_calibration *calibration;
};

struct forecast_outlook forecast_outlook_at(const struct forecast_model *model,
                                            const struct forecast_node *node, size_t lead,
                                            struct forecast_column_reach *reach);

#endif
