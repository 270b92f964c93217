/* SPDX-License-Identifier: Apache-2.0
 *
 * reset: whether a load is a raw counter that was reset. A load falls now and then, a counter only
 * when what counts is started anew: then it falls to a fraction and rises again from there.
 *
 *   many rises, no fall -> a fall to a fraction -> rises, no fall   = reset
 *                                               -> a fall           = a load after all
 *                                               -> as high as before = over
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_RESET_H
#define TW_AUTOSCALER_RESET_H

#include <stdbool.h>
#include <stdint.h>

struct scale_reset {
    double last, before; /* before: the load ahead of the fall */
    int64_t last_ms;
    unsigned rises; /* since the last fall */
    bool fallen;    /* that one was to a fraction, after many rises */
};

void scale_reset_init(struct scale_reset *reset);
/* Whether the load of this moment is that of a counter after its reset. */
bool scale_reset_observe(struct scale_reset *reset, int64_t load_ms, double load);

#endif
