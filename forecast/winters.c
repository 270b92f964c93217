/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/winters.h"

#include <math.h>

#define STEP_MS_MIN (15 * 60000)
#define CLIP 3.0f       /* usual errors beyond which one counts no further */
#define USUAL_CLIP 5.0f /* and for the usual error itself */
#define USUAL_RATE 0.03f

static const struct {
    float level, season;
} speeds[FORECAST_WINTERS] = {{0.3f, 0.2f}, {0.02f, 0.1f}, {0.004f, 0.03f}};

bool forecast_winters_wanted(int64_t step_ms, size_t season_count)
{
    return season_count > 0 && step_ms >= STEP_MS_MIN;
}

struct forecast_winters_now forecast_winters_start(float level)
{
    return (struct forecast_winters_now){.level = level, .usual = 1};
}

float forecast_winters_take(struct forecast_winters_now *now, size_t speed, float offset, float z,
                            bool known, bool hold_level)
{
    float error = z - now->level - offset, usual = now->usual;
    now->error = error;
    if (!known)
        return 0;
    float clipped = fminf(fmaxf(error, -CLIP * usual), CLIP * usual);
    now->usual += USUAL_RATE * (fminf(fabsf(error), USUAL_CLIP * usual) - usual);
    if (!hold_level)
        now->level += speeds[speed].level * clipped;
    return clipped;
}

float forecast_winters_rate(size_t speed, size_t season, uint64_t i, size_t period)
{
    float seen = (float)(i / period) + (season > 0 ? 2.0f : 1.0f);
    return fmaxf(speeds[speed].season, 1 / seen);
}
