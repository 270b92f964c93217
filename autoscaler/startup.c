/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/startup.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define SHARE_READY 0.9

void scale_startup_init(struct scale_startup *startup)
{
    memset(startup, 0, sizeof *startup);
    startup->asked = -1;
}

void scale_startup_forget(struct scale_startup *startup)
{
    startup->waiting_count = 0;
    startup->asked = -1;
}

static void learn(struct scale_startup *startup, int64_t took_ms)
{
    startup->times_ms[startup->next] = took_ms;
    startup->next = (startup->next + 1) % SCALE_STARTUP_KEPT;
    if (startup->count < SCALE_STARTUP_KEPT)
        startup->count++;
}

static void drop_first(struct scale_startup *startup)
{
    startup->waiting_count--;
    memmove(startup->waiting, startup->waiting + 1,
            startup->waiting_count * sizeof *startup->waiting);
}

void scale_startup_observe(struct scale_startup *startup, int64_t now_ms, int64_t asked,
                           int64_t ready)
{
    if (asked < 0 || ready < 0)
        return;
    while (startup->waiting_count && ready >= startup->waiting[0].replicas) {
        learn(startup, now_ms - startup->waiting[0].asked_ms);
        drop_first(startup);
    }
    while (startup->waiting_count && now_ms - startup->waiting[0].asked_ms > SCALE_STARTUP_MS_MAX)
        drop_first(startup);
    /* What is no longer asked for will not come. */
    while (startup->waiting_count && startup->waiting[startup->waiting_count - 1].replicas > asked)
        startup->waiting_count--;
    if (startup->asked >= 0 && asked > startup->asked && ready < asked &&
        startup->waiting_count < SCALE_STARTUP_KEPT) {
        startup->waiting[startup->waiting_count].asked_ms = now_ms;
        startup->waiting[startup->waiting_count++].replicas = asked;
    }
    startup->asked = asked;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

bool scale_startup_learned(const struct scale_startup *startup, int64_t *ret_ms)
{
    if (!startup->count)
        return false;
    int64_t sorted[SCALE_STARTUP_KEPT];
    memcpy(sorted, startup->times_ms, startup->count * sizeof *sorted);
    qsort(sorted, startup->count, sizeof *sorted, compare);
    *ret_ms = sorted[(size_t)(SHARE_READY * (double)(startup->count - 1) + 0.5)];
    return true;
}
