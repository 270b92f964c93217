/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/reset.h"

#include <math.h>

#define RISES_COUNTER 120 /* without a fall, as no measured load has them */
#define RISES_AGAIN 12    /* of a counter that is reset again and again */
#define RISES_SEEN 3      /* after the fall, before it is called a reset */
#define FALL_SHARE 0.15

void scale_reset_init(struct scale_reset *reset)
{
    *reset = (struct scale_reset){.last = NAN, .last_ms = INT64_MIN};
}

bool scale_reset_observe(struct scale_reset *reset, int64_t load_ms, double load)
{
    if (load_ms > reset->last_ms) {
        if (load < reset->last) { /* false for NaN */
            bool counted = reset->rises >= (reset->fallen ? RISES_AGAIN : RISES_COUNTER);
            bool was_fallen = reset->fallen;
            reset->fallen = counted && load < FALL_SHARE * reset->last;
            if (reset->fallen && !was_fallen)
                reset->before = reset->last;
            reset->rises = 0;
        } else if (load > reset->last && reset->rises < RISES_COUNTER) {
            reset->rises++;
        }
        if (reset->fallen && load >= reset->before)
            reset->fallen = false;
        reset->last = load;
        reset->last_ms = load_ms;
    }
    return reset->fallen && reset->rises >= RISES_SEEN;
}
