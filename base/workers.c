/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring of jobs under one lock; threads sleep on one condition.
 */
#include "config.h"

#include "base/workers.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/lock.h"
#include "base/thread.h"

#define WORKERS_MAGIC 0x574f524bu

struct job {
    void (*body)(void *argument);
    void *argument;
};

struct tw_workers {
    unsigned magic;
    const char *name;
    struct tw_lock lock;  /* guards ring, first, count, ending */
    struct tw_cond given; /* a job came, or the pool ends */
    bool ending;
    size_t first, count, capacity;
    struct job *ring;
    size_t thread_count;
    struct tw_thread threads[];
};

static void run_jobs(void *argument)
{
    struct tw_workers *workers = argument;
    tw_lock_take(&workers->lock);
    for (;;) {
        while (workers->count == 0 && !workers->ending)
            tw_cond_wait(&workers->given, &workers->lock);
        if (workers->count == 0)
            break;
        struct job job = workers->ring[workers->first];
        workers->first = (workers->first + 1) % workers->capacity;
        workers->count--;
        tw_lock_release(&workers->lock);
        job.body(job.argument);
        tw_lock_take(&workers->lock);
    }
    tw_lock_release(&workers->lock);
}

enum tw_code tw_workers_new(const char *name, size_t thread_count, size_t queue_max,
                            struct tw_workers **ret_workers, struct tw_err *err)
{
    TW_ASSERT(thread_count > 0 && queue_max > 0);
    struct tw_workers *workers =
        calloc(1, sizeof *workers + thread_count * sizeof workers->threads[0]);
    struct job *ring = calloc(queue_max, sizeof *ring);
    if (!workers || !ring) {
        free(workers);
        free(ring);
        return tw_err_set(err, TW_MEMORY, "no memory for the thread pool '%s'", name);
    }
    workers->magic = WORKERS_MAGIC;
    workers->name = name;
    workers->ring = ring;
    workers->capacity = queue_max;
    tw_lock_init(&workers->lock, TW_RANK_WORKERS, name);
    tw_cond_init(&workers->given);
    for (; workers->thread_count < thread_count; workers->thread_count++) {
        enum tw_code code =
            tw_thread_start(&workers->threads[workers->thread_count], name, run_jobs, workers, err);
        if (code != TW_OK) {
            tw_workers_free(workers);
            return code;
        }
    }
    *ret_workers = workers;
    return TW_OK;
}

struct tw_workers *tw_workers_free(struct tw_workers *workers)
{
    if (!workers)
        return NULL;
    TW_CHECK_MAGIC(workers, WORKERS_MAGIC);
    tw_lock_take(&workers->lock);
    workers->ending = true;
    tw_cond_broadcast(&workers->given);
    tw_lock_release(&workers->lock);
    for (size_t i = 0; i < workers->thread_count; i++)
        tw_thread_join(&workers->threads[i]);
    TW_ASSERT(workers->count == 0);
    tw_cond_fini(&workers->given);
    tw_lock_fini(&workers->lock);
    free(workers->ring);
    workers->magic = 0;
    free(workers);
    return NULL;
}

enum tw_code tw_workers_give(struct tw_workers *workers, void (*body)(void *argument),
                             void *argument, struct tw_err *err)
{
    TW_CHECK_MAGIC(workers, WORKERS_MAGIC);
    enum tw_code code = TW_OK;
    tw_lock_take(&workers->lock);
    if (workers->ending)
        code = TW_UNAVAILABLE;
    else if (workers->count == workers->capacity)
        code = TW_OVERLOAD;
    else {
        size_t index = (workers->first + workers->count) % workers->capacity;
        workers->ring[index] = (struct job){.body = body, .argument = argument};
        workers->count++;
        tw_cond_signal(&workers->given);
    }
    tw_lock_release(&workers->lock);
    if (code == TW_UNAVAILABLE)
        return tw_err_set(err, code, "the thread pool '%s' is ending", workers->name);
    if (code == TW_OVERLOAD)
        return tw_err_set(err, code, "%zu requests wait for the thread pool '%s' already",
                          workers->capacity, workers->name);
    return TW_OK;
}

size_t tw_workers_queued(struct tw_workers *workers)
{
    TW_CHECK_MAGIC(workers, WORKERS_MAGIC);
    tw_lock_take(&workers->lock);
    size_t count = workers->count;
    tw_lock_release(&workers->lock);
    return count;
}
