/* SPDX-License-Identifier: Apache-2.0
 *
 * forecast_settings: the section `forecast` of tidewatch.yml: which forecasts are kept up to date
 * though no rule or scaler asks for them, and how many models there may be (docs/forecasting.md).
 *
 *   forecast:
 *     pins: ["forecast(node_filesystem_avail_bytes[7d], 4h)"]
 *     interval: 1m         # between evaluations of a pin
 *     models_max: 10000    # of at most 32 KiB each
 *     keep_unused: 1h      # after which a model that nobody uses goes
 *     errors: true         # write tidewatch_forecast_error
 *     calendar: days.txt   # holidays; beside this file
 *
 * Ownership: the settings borrow from the tree and the arena; holidays are held, to be let go of by
 * the caller. Threads: plain data.
 */
#ifndef TW_DAEMON_FORECAST_SETTINGS_H
#define TW_DAEMON_FORECAST_SETTINGS_H

#include "base/arena.h"
#include "base/yaml.h"
#include "query/keeper.h"

#define DAEMON_FORECAST_MODELS_MAX 1000000

/* section: NULL when there is none. name: the file's, in folder. features: of expressions. */
TW_MUST_CHECK enum tw_code daemon_forecast_read(const char *name, const char *folder,
                                                const struct tw_yaml *section, unsigned features,
                                                struct tw_arena *arena,
                                                struct query_keeper_settings *ret,
                                                struct tw_err *err);

#endif
