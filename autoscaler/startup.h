/* SPDX-License-Identifier: Apache-2.0
 *
 * startup: how long a replica takes from being asked for to serving, learned from scale-outs that
 * were seen: the replicas asked for rise at one moment, those that serve reach them at a later one.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_STARTUP_H
#define TW_AUTOSCALER_STARTUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCALE_STARTUP_KEPT 32             /* scale-outs remembered */
#define SCALE_STARTUP_MS_MAX (30 * 60000) /* longer ones did not come, they failed */

struct scale_startup {
    int64_t times_ms[SCALE_STARTUP_KEPT]; /* ring */
    size_t count, next;
    struct {
        int64_t asked_ms, replicas;
    } waiting[SCALE_STARTUP_KEPT]; /* ascending in both */
    size_t waiting_count;
    int64_t asked; /* replicas asked for at the last look; -1 = not known yet */
};

void scale_startup_init(struct scale_startup *startup);
/* What is under way is not waited for (the clock was set); what was learned stays. */
void scale_startup_forget(struct scale_startup *startup);
/* asked: replicas that the target is to have; ready: that serve (-1: not known, nothing is
 * learned). */
void scale_startup_observe(struct scale_startup *startup, int64_t now_ms, int64_t asked,
                           int64_t ready);
/* Nine of ten were ready within this time; false until something was seen. */
bool scale_startup_learned(const struct scale_startup *startup, int64_t *ret_ms);

#endif
