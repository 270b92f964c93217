/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/confidence.h"

#include <math.h>
#include <string.h>

#define LOSS_RATE 0.003  /* some three hundred outcomes count */
#define OUTCOMES_MIN 240 /* before it can be told */
#define POOR_TIMES 2.0   /* the loss of plain ones */
#define GOOD_TIMES 1.3
#define LOSS_SHARE_MIN 0.05 /* of the load: smaller losses are no matter */

void scale_confidence_init(struct scale_confidence *confidence)
{
    memset(confidence, 0, sizeof *confidence);
}

void scale_confidence_forget(struct scale_confidence *confidence)
{
    confidence->pending_count = 0;
}

static double loss(double forecast, double came, double quantile)
{
    return came > forecast ? quantile * (came - forecast) : (1 - quantile) * (forecast - came);
}

static void learn(struct scale_confidence *confidence, double forecast, double plain, double came,
                  double quantile)
{
    double level = fmax(came, fmax(forecast, plain));
    if (!(level > 0))
        return;
    /* As shares of the load, so that one peak does not outweigh a day. */
    confidence->forecast_loss +=
        LOSS_RATE * (loss(forecast, came, quantile) / level - confidence->forecast_loss);
    confidence->plain_loss +=
        LOSS_RATE * (loss(plain, came, quantile) / level - confidence->plain_loss);
    confidence->outcomes += confidence->outcomes < OUTCOMES_MIN;
    double times = 0;
    (void)scale_confidence_is_poor(confidence, &times);
    if (confidence->outcomes < OUTCOMES_MIN)
        return;
    if (times > POOR_TIMES && confidence->forecast_loss > LOSS_SHARE_MIN)
        confidence->poor = true;
    else if (times < GOOD_TIMES || confidence->forecast_loss < LOSS_SHARE_MIN / 2)
        confidence->poor = false;
}

void scale_confidence_observe(struct scale_confidence *confidence, int64_t time_ms, double load,
                              double quantile, double forecast, int64_t due_ms)
{
    size_t over = 0, *count = &confidence->pending_count;
    for (size_t i = 0; i < *count; i++) {
        confidence->pending[i].highest = fmax(confidence->pending[i].highest, load);
        if (confidence->pending[i].due_ms > time_ms)
            continue;
        learn(confidence, confidence->pending[i].forecast, confidence->pending[i].plain,
              confidence->pending[i].highest, quantile);
        over = i + 1;
    }
    *count -= over;
    memmove(confidence->pending, confidence->pending + over, *count * sizeof *confidence->pending);
    if (!isfinite(forecast) || *count == SCALE_CONFIDENCE_PENDING ||
        (*count && confidence->pending[*count - 1].due_ms >= due_ms))
        return;
    confidence->pending[*count].due_ms = due_ms;
    confidence->pending[*count].forecast = forecast;
    confidence->pending[*count].plain = SCALE_CONFIDENCE_HEADROOM * load;
    confidence->pending[(*count)++].highest = load;
}

bool scale_confidence_is_poor(const struct scale_confidence *confidence, double *ret_times)
{
    *ret_times =
        confidence->plain_loss > 0 ? confidence->forecast_loss / confidence->plain_loss : 0;
    return confidence->poor;
}
