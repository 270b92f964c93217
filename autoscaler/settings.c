/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/settings.h"

#include <math.h>

void scale_settings_init(struct scale_settings *settings)
{
    *settings = (struct scale_settings){
        .capacity = NAN,
        .latency_objective = NAN,
        .cost_per_hour = NAN,
        .utilisation_max = 0.8,
        .min = 1,
        .max = -1, /* has to be given */
        .mode = SCALE_OBSERVE,
        .startup_ms = 120000,
        .tick_ms = 15000,
        .step_ms = 60000,
        .history_ms = 14 * INT64_C(86400000),
        .late_ms = 120000,
        .settle_ms = 600000,
        .quantile = 0.75,
        .up = {.tolerance = 0.01,
               .limits = {{false, 4, 15000}, {true, 100, 15000}},
               .limit_count = 2},
        .recovery = {.label = TW_STR_INIT("instance"),
                     .for_ms = 120000,
                     .min_healthy = 1,
                     .max_per_hour = 6,
                     .attempts = 3,
                     .max_share = 0.2,
                     .max_failing = 0.5},
        .down = {.window_ms = 300000, .limits = {{true, 100, 15000}}, .limit_count = 1},
    };
    scale_fleet_settings_init(&settings->fleet);
    scale_budget_settings_init(&settings->budget);
}

bool scale_settings_read(const struct scale_settings *settings)
{
    return settings->fleet.kind != SCALE_FLEET_NONE ? scale_fleet_settings_read(&settings->fleet)
                                                    : scale_target_reads(&settings->target);
}
