/* SPDX-License-Identifier: Apache-2.0
 *
 * A pool of slots for jobs, chained into lanes, under one lock; threads sleep on one condition.
 */
#include "config.h"

#include "base/workers.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/thread.h"

#define WORKERS_MAGIC 0x574f524bu
/* The first is nobody's. */
#define LANES 65

struct job {
    struct job *next; /* of its lane, or of the free ones */
    void (*body)(void *argument);
    void *argument;
};

struct lane {
    struct job *first, *last;
    size_t waiting, running;
};

struct tw_workers {
    unsigned magic;
    const char *name;
    struct tw_lock lock;  /* guards the jobs, the lanes, turn, count, ending */
    struct tw_cond given; /* a job came or may run now, or the pool ends */
    bool ending;
    size_t count, capacity;
    struct job *jobs, *free;
    struct lane lanes[LANES];
    size_t turn;             /* the lane that was served last */
    size_t capacity_threads; /* that there will be */
    size_t thread_count;     /* that were started */
    struct tw_thread threads[];
};

/* A job of the lane may begin: nobody's always, a client's while a thread stays for others. */
static bool may_run(const struct tw_workers *workers, size_t index)
{
    const struct lane *lane = &workers->lanes[index];
    size_t most = workers->capacity_threads > 1 ? workers->capacity_threads - 1 : 1;
    return lane->first && (index == 0 || lane->running < most);
}

/* The next lane after the one served last; LANES when none may run. */
static size_t next_lane_locked(const struct tw_workers *workers)
{
    tw_lock_assert_held(&workers->lock);
    for (size_t i = 1; i <= LANES; i++) {
        size_t index = (workers->turn + i) % LANES;
        if (may_run(workers, index))
            return index;
    }
    return LANES;
}

static struct job take_locked(struct tw_workers *workers, struct lane *lane)
{
    struct job *job = lane->first, copy = *job;
    lane->first = job->next;
    if (!lane->first)
        lane->last = NULL;
    lane->waiting--;
    lane->running++;
    workers->count--;
    job->next = workers->free;
    workers->free = job;
    return copy;
}

static void run_jobs(void *argument)
{
    struct tw_workers *workers = argument;
    tw_lock_take(&workers->lock);
    for (;;) {
        size_t index = next_lane_locked(workers);
        if (index == LANES) {
            if (workers->ending && workers->count == 0)
                break;
            tw_cond_wait(&workers->given, &workers->lock);
            continue;
        }
        struct lane *lane = &workers->lanes[index];
        struct job job = take_locked(workers, lane);
        workers->turn = index;
        tw_lock_release(&workers->lock);
        job.body(job.argument);
        tw_lock_take(&workers->lock);
        lane->running--;
        /* What waited for this one's place, and at the end all who sleep. */
        if (workers->ending)
            tw_cond_broadcast(&workers->given);
    }
    tw_lock_release(&workers->lock);
}

enum tw_code tw_workers_new(const char *name, size_t thread_count, size_t queue_max,
                            struct tw_workers **ret_workers, struct tw_err *err)
{
    TW_ASSERT(thread_count > 0 && queue_max > 0);
    struct tw_workers *workers =
        calloc(1, sizeof *workers + thread_count * sizeof workers->threads[0]);
    struct job *jobs = calloc(queue_max, sizeof *jobs);
    if (!workers || !jobs) {
        free(workers);
        free(jobs);
        return tw_err_set(err, TW_MEMORY, "no memory for the thread pool '%s'", name);
    }
    workers->magic = WORKERS_MAGIC;
    workers->name = name;
    workers->jobs = jobs;
    workers->capacity = queue_max;
    workers->capacity_threads = thread_count;
    for (size_t i = 0; i < queue_max; i++) {
        jobs[i].next = workers->free;
        workers->free = &jobs[i];
    }
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
    free(workers->jobs);
    workers->magic = 0;
    free(workers);
    return NULL;
}

static void append_locked(struct tw_workers *workers, struct lane *lane,
                          void (*body)(void *argument), void *argument)
{
    tw_lock_assert_held(&workers->lock);
    struct job *job = workers->free;
    workers->free = job->next;
    *job = (struct job){.body = body, .argument = argument};
    *(lane->last ? &lane->last->next : &lane->first) = job;
    lane->last = job;
    lane->waiting++;
    workers->count++;
    tw_cond_signal(&workers->given);
}

enum tw_code tw_workers_give_from(struct tw_workers *workers, struct tw_str client,
                                  void (*body)(void *argument), void *argument, struct tw_err *err)
{
    TW_CHECK_MAGIC(workers, WORKERS_MAGIC);
    enum tw_code code = TW_OK;
    struct lane *lane =
        &workers->lanes[client.size ? 1 + tw_hash64(client.data, client.size) % (LANES - 1) : 0];
    tw_lock_take(&workers->lock);
    bool half_full = client.size && lane->waiting >= (workers->capacity + 1) / 2;
    if (workers->ending)
        code = TW_UNAVAILABLE;
    else if (half_full || workers->count == workers->capacity)
        code = TW_OVERLOAD;
    else
        append_locked(workers, lane, body, argument);
    tw_lock_release(&workers->lock);
    if (code == TW_UNAVAILABLE)
        return tw_err_set(err, code, "the thread pool '%s' is ending", workers->name);
    if (code == TW_OVERLOAD && half_full)
        return tw_err_set(err, code,
                          "%zu requests of this client wait for the thread pool '%s' already, half "
                          "of what may wait in all",
                          (workers->capacity + 1) / 2, workers->name);
    if (code == TW_OVERLOAD)
        return tw_err_set(err, code, "%zu requests wait for the thread pool '%s' already",
                          workers->capacity, workers->name);
    return TW_OK;
}

enum tw_code tw_workers_give(struct tw_workers *workers, void (*body)(void *argument),
                             void *argument, struct tw_err *err)
{
    return tw_workers_give_from(workers, (struct tw_str){NULL, 0}, body, argument, err);
}

size_t tw_workers_queued(struct tw_workers *workers)
{
    TW_CHECK_MAGIC(workers, WORKERS_MAGIC);
    tw_lock_take(&workers->lock);
    size_t count = workers->count;
    tw_lock_release(&workers->lock);
    return count;
}
