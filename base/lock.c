/* SPDX-License-Identifier: Apache-2.0
 *
 * Each thread keeps the locks that it holds on a small stack, so that the rank of the newest one is
 * known without asking anybody. Locks need not be released in the order of taking.
 */
#include "config.h"

#include "base/lock.h"

#include <errno.h>
#include <time.h>

#include "base/assert.h"

#define HELD_MAX 16
#define NS_PER_S INT64_C(1000000000)

static _Thread_local struct tw_lock *held[HELD_MAX];
static _Thread_local unsigned held_count;

void tw_lock_init(struct tw_lock *lock, enum tw_lock_rank rank, const char *name)
{
    *lock = (struct tw_lock){.rank = rank, .name = name};
    pthread_mutex_init(&lock->mutex, NULL);
}

void tw_lock_fini(struct tw_lock *lock)
{
    TW_ASSERT(!lock->held);
    pthread_mutex_destroy(&lock->mutex);
}

static void note_taken(struct tw_lock *lock)
{
    lock->owner = pthread_self();
    lock->held = true;
    TW_ASSERT(held_count < HELD_MAX);
    held[held_count++] = lock;
}

static void note_released(struct tw_lock *lock)
{
    tw_lock_assert_held(lock);
    lock->held = false;
    unsigned at = held_count;
    while (at > 0 && held[at - 1] != lock)
        at--;
    TW_ASSERT(at > 0);
    for (; at < held_count; at++)
        held[at - 1] = held[at];
    held_count--;
}

void tw_lock_take(struct tw_lock *lock)
{
    for (unsigned i = 0; i < held_count; i++)
        TW_ASSERT(held[i]->rank < lock->rank);
    int failed = pthread_mutex_lock(&lock->mutex);
    TW_ASSERT(!failed);
    note_taken(lock);
}

void tw_lock_release(struct tw_lock *lock)
{
    note_released(lock);
    int failed = pthread_mutex_unlock(&lock->mutex);
    TW_ASSERT(!failed);
}

void tw_lock_assert_held(const struct tw_lock *lock)
{
    TW_ASSERT(lock->held && pthread_equal(lock->owner, pthread_self()));
}

void tw_cond_init(struct tw_cond *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cond->cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

void tw_cond_fini(struct tw_cond *cond)
{
    pthread_cond_destroy(&cond->cond);
}

void tw_cond_wait(struct tw_cond *cond, struct tw_lock *lock)
{
    note_released(lock);
    int failed = pthread_cond_wait(&cond->cond, &lock->mutex);
    TW_ASSERT(!failed);
    note_taken(lock);
}

bool tw_cond_wait_ns(struct tw_cond *cond, struct tw_lock *lock, int64_t timeout_ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (timeout_ns < 0)
        timeout_ns = 0;
    until.tv_sec += timeout_ns / NS_PER_S;
    until.tv_nsec += timeout_ns % NS_PER_S;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_nsec -= NS_PER_S;
        until.tv_sec++;
    }
    note_released(lock);
    int failed = pthread_cond_timedwait(&cond->cond, &lock->mutex, &until);
    TW_ASSERT(failed == 0 || failed == ETIMEDOUT);
    note_taken(lock);
    return failed == 0;
}

void tw_cond_signal(struct tw_cond *cond)
{
    pthread_cond_signal(&cond->cond);
}

void tw_cond_broadcast(struct tw_cond *cond)
{
    pthread_cond_broadcast(&cond->cond);
}
