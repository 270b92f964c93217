/* SPDX-License-Identifier: Apache-2.0
 *
 * pool_health: whether a pool can be relied upon. One whose target fails, or whose replicas do not
 * come up, or come and die again, is taken out after so many tries; it is probed with growing
 * pauses, and comes back when a probe succeeds.
 *
 *            tries used up                    pause over
 *   serving ---------------> out <---------> probing ---> serving
 *                             probe failed             replica serves
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_POOL_HEALTH_H
#define TW_AUTOSCALER_POOL_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#define SCALE_PROBE_MS_MAX (30 * 60000)
#define SCALE_POOL_WHY_BYTES 160

/* SCALE_POOL_STATE(name, text) */
#define SCALE_POOL_STATE_TABLE(SCALE_POOL_STATE)                                                   \
    SCALE_POOL_STATE(SERVING, "serving")                                                           \
    SCALE_POOL_STATE(OUT, "out")                                                                   \
    SCALE_POOL_STATE(PROBING, "probing")
enum scale_pool_state {
#define SCALE_POOL_STATE_ENUM(name, text) SCALE_POOL_##name,
    SCALE_POOL_STATE_TABLE(SCALE_POOL_STATE_ENUM)
#undef SCALE_POOL_STATE_ENUM
};

struct scale_pool_rules {
    unsigned tries;      /* that fail in a row, then it is out */
    int64_t patience_ms; /* for replicas to come up, one try */
    int64_t probe_ms;    /* the first pause; each that fails doubles it */
};

struct scale_pool_health {
    enum scale_pool_state state;
    unsigned failures;                /* in a row */
    int64_t since_ms;                 /* of the state; 0 = from the beginning */
    int64_t probe_ms, pause_ms;       /* when it is probed next; how long that was waited for */
    int64_t short_ms;                 /* since when too few serve; 0 = enough do */
    int64_t short_ready, short_asked; /* so many, of so many */
    int64_t whole_ms;                 /* since when enough serve; 0 = too few do */
    bool tells;                       /* its target says how many serve: then that is what counts */
    char why[SCALE_POOL_WHY_BYTES];   /* of the last failure */
};

const char *scale_pool_state_name(enum scale_pool_state state);
/* An attempt to set or to read its replicas ended. error: why it failed, NULL when it did not. */
void scale_pool_health_attempt(struct scale_pool_health *health,
                               const struct scale_pool_rules *rules, int64_t now_ms,
                               const char *error);
/* A look: `asked` should serve since it was told so at asked_ms, `ready` do (-1: the target does
 * not say; then a delivered probe is a good one). */
void scale_pool_health_look(struct scale_pool_health *health, const struct scale_pool_rules *rules,
                            int64_t now_ms, int64_t asked, int64_t asked_ms, int64_t ready);
/* Begins a probe when its time has come. */
void scale_pool_health_tick(struct scale_pool_health *health, const struct scale_pool_rules *rules,
                            int64_t now_ms);

#endif
