/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/pool_health.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/err.h"

const char *scale_pool_state_name(enum scale_pool_state state)
{
    static const char *const names[] = {
#define SCALE_POOL_STATE_TEXT(name, text) text,
        SCALE_POOL_STATE_TABLE(SCALE_POOL_STATE_TEXT)
#undef SCALE_POOL_STATE_TEXT
    };
    TW_ASSERT((size_t)state < sizeof names / sizeof *names);
    return names[state];
}

static void become(struct scale_pool_health *health, enum scale_pool_state state, int64_t now_ms)
{
    health->state = state;
    health->since_ms = now_ms;
    health->short_ms = health->whole_ms = 0;
}

static void succeed(struct scale_pool_health *health, int64_t now_ms)
{
    health->failures = 0;
    health->pause_ms = 0;
    if (health->state != SCALE_POOL_SERVING)
        become(health, SCALE_POOL_SERVING, now_ms);
}

TW_PRINTF(4, 5)
static void fail(struct scale_pool_health *health, const struct scale_pool_rules *rules,
                 int64_t now_ms, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(health->why, sizeof health->why, format, arguments);
    va_end(arguments);
    if (health->state == SCALE_POOL_OUT)
        return; /* what it does while nobody relies on it does not count */
    if (health->state == SCALE_POOL_SERVING && ++health->failures < rules->tries)
        return;
    int64_t pause = health->pause_ms > 0 ? 2 * health->pause_ms : rules->probe_ms;
    health->pause_ms = pause < SCALE_PROBE_MS_MAX ? pause : SCALE_PROBE_MS_MAX;
    health->probe_ms = now_ms + health->pause_ms;
    become(health, SCALE_POOL_OUT, now_ms);
}

void scale_pool_health_attempt(struct scale_pool_health *health,
                               const struct scale_pool_rules *rules, int64_t now_ms,
                               const char *error)
{
    if (error)
        fail(health, rules, now_ms, "%s", error);
    else if (health->state == SCALE_POOL_SERVING && !health->tells)
        health->failures = 0;
}

void scale_pool_health_look(struct scale_pool_health *health, const struct scale_pool_rules *rules,
                            int64_t now_ms, int64_t asked, int64_t asked_ms, int64_t ready)
{
    if (health->state == SCALE_POOL_OUT || asked < 0)
        return;
    if (health->state == SCALE_POOL_PROBING && asked_ms < health->since_ms)
        return;      /* the probe has not been delivered yet */
    if (ready < 0) { /* it cannot say: what was delivered is there */
        if (health->state == SCALE_POOL_PROBING && asked > 0)
            succeed(health, now_ms);
        return;
    }
    health->tells = true;
    if (ready >= asked) {
        health->short_ms = 0;
        if (!health->whole_ms || health->whole_ms > now_ms)
            health->whole_ms = now_ms;
        /* What comes and dies again is seen to do so. */
        int64_t proof_ms = rules->patience_ms / (health->state == SCALE_POOL_PROBING ? 4 : 1);
        if (asked > 0 && now_ms - health->whole_ms >= proof_ms)
            succeed(health, now_ms);
        return;
    }
    bool died = health->whole_ms >= asked_ms && health->whole_ms && 2 * ready < asked;
    health->whole_ms = 0;
    if (died) {
        fail(health, rules, now_ms, "%lld of %lld replicas are left of those that came up",
             (long long)ready, (long long)asked);
        return;
    }
    if (!health->short_ms || ready > health->short_ready || asked > health->short_asked ||
        now_ms < health->short_ms)
        health->short_ms = now_ms; /* it gets on, or is asked for more */
    health->short_ready = ready;
    health->short_asked = asked;
    if (now_ms - health->short_ms < rules->patience_ms)
        return;
    health->short_ms = now_ms;
    fail(health, rules, now_ms, "%lld of %lld replicas came up within %lld s", (long long)ready,
         (long long)asked, (long long)(rules->patience_ms / 1000));
}

void scale_pool_health_tick(struct scale_pool_health *health, const struct scale_pool_rules *rules,
                            int64_t now_ms)
{
    if (health->probe_ms > now_ms + SCALE_PROBE_MS_MAX)
        health->probe_ms = now_ms; /* the clock was set back */
    if (health->state == SCALE_POOL_OUT && health->probe_ms <= now_ms)
        become(health, SCALE_POOL_PROBING, now_ms);
    else if (health->state == SCALE_POOL_PROBING &&
             now_ms - health->since_ms > 2 * rules->patience_ms + SCALE_PROBE_MS_MAX)
        fail(health, rules, now_ms, "the probe came to no end");
}
