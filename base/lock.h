/* SPDX-License-Identifier: Apache-2.0
 *
 * lock: a mutex that knows its rank and owner. A thread that holds a lock may take only locks of a
 * higher rank; taking one out of order, or twice, is an assertion, so a deadlock shows at the first
 * run rather than at night. Functions that need a lock held end in _locked and assert it.
 *
 * Each mutex of the program is declared with a sentence that says what it guards.
 */
#ifndef TW_BASE_LOCK_H
#define TW_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* The order in which locks nest, outermost first. */
enum tw_lock_rank {
    TW_RANK_DAEMON = 10,  /* configuration, wiring */
    TW_RANK_SCALER = 20,  /* autoscaler */
    TW_RANK_ALERT = 30,   /* alerts: one evaluation at a time */
    TW_RANK_ALERT_VIEW = 34, /* alerts: what is known of rules, what is to be notified */
    TW_RANK_ALERT_WAKE = 36, /* alerts: sleeping threads */
    TW_RANK_QUERY = 40,   /* running queries */
    TW_RANK_STORE = 50,   /* tsdb: partitions, catalog */
    TW_RANK_HEAD = 60,    /* tsdb: head and series */
    TW_RANK_PARTITION = 65, /* tsdb: one writer or exchange of a partition at a time */
    TW_RANK_LOG = 70,     /* tsdb: log and committer */
    TW_RANK_STATE = 80,   /* tsdb: state store */
    TW_RANK_WORKERS = 90, /* base: thread pools */
    TW_RANK_METRICS = 100,
    TW_RANK_LEAF = 110, /* takes no other lock */
};

struct tw_lock {
    pthread_mutex_t mutex;
    pthread_t owner;
    enum tw_lock_rank rank;
    const char *name;
    bool held;
};

void tw_lock_init(struct tw_lock *lock, enum tw_lock_rank rank, const char *name);
void tw_lock_fini(struct tw_lock *lock);
void tw_lock_take(struct tw_lock *lock);
void tw_lock_release(struct tw_lock *lock);
void tw_lock_assert_held(const struct tw_lock *lock);

/* Condition over a tw_lock, on the monotonic clock. */
struct tw_cond {
    pthread_cond_t cond;
};

void tw_cond_init(struct tw_cond *cond);
void tw_cond_fini(struct tw_cond *cond);
void tw_cond_wait(struct tw_cond *cond, struct tw_lock *lock);
/* False when timeout_ns passed without a signal. */
bool tw_cond_wait_ns(struct tw_cond *cond, struct tw_lock *lock, int64_t timeout_ns);
void tw_cond_signal(struct tw_cond *cond);
void tw_cond_broadcast(struct tw_cond *cond);

#endif
