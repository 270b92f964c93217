/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/parallel.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/lock.h"

/* Values of one slot: a share of the caches of one core. */
#define SLOT_VALUES ((size_t)1 << 15)
#define SLOT_SERIES_MAX 256
/* So many for each lane at least, so that all end at about the same time. */
#define BATCHES_PER_LANE 4
/* A second thread is not worth it for fewer values, unless there are as many series to be read. */
#define VALUES_MIN 8192
#define SERIES_MIN 512
/* Slots of a lane: large ones two, small ones more, so that nobody waits for the other. */
#define SLOTS_PER_LANE_MIN 2
#define SLOTS_PER_LANE_MAX 8
#define SLOT_VALUES_SMALL ((size_t)1 << 12)
#define SLOTS_MAX (SLOTS_PER_LANE_MAX * QUERY_LANES_MAX)

enum slot_state {
    SLOT_FREE,
    SLOT_TAKEN, /* somebody works on it */
    SLOT_DONE,
    SLOT_AGAIN, /* it has histograms: lane 0 is to do it alone */
};

struct slot {
    enum slot_state state;
    double *values;
    uint64_t *present;
    struct query_tile tile;
    uint64_t samples; /* read for it, not yet counted */
    enum tw_code code;
    struct tw_err err;
};

struct lane {
    struct parallel *parallel;
    struct query_op *op;
    /* Of helpers' lanes: the run's, with memory, account and annotations of their own. */
    struct query_exec exec;
    struct query_ticket ticket;
    struct query_annotations annotations;
    struct tw_arena *arena;
};

struct parallel {
    struct query_op op;
    struct query_helpers *helpers;
    struct lane lanes[QUERY_LANES_MAX];
    size_t lane_count;
    bool is_serial;         /* lane 0 works alone */
    struct query_tile tile; /* lane 0's own, for then */
    size_t rows, batch_count;
    uint64_t bytes;         /* of the lanes, as counted in the run */
    size_t next_given;      /* batch */
    bool has_given;         /* the slot of the batch before is in use still */
    struct tw_lock lock;    /* guards what follows and the slots' states */
    struct tw_cond changed; /* a slot's state, active or is_stopping did */
    size_t next_taken;      /* batch */
    size_t active;          /* helpers that are at work or will be */
    bool is_stopping;
    bool is_made; /* lock and changed */
    size_t slot_count;
    struct slot slots[SLOTS_MAX];
};

/* ---- helpers ---- */

enum tw_code query_helpers_new(size_t count, struct query_helpers **ret_helpers, struct tw_err *err)
{
    *ret_helpers = NULL;
    if (count == 0)
        return TW_OK;
    struct query_helpers *helpers = calloc(1, sizeof *helpers);
    TW_ASSERT(helpers != NULL);
    enum tw_code code = tw_workers_new("query-helper", count, count, &helpers->workers, err);
    if (code != TW_OK) {
        free(helpers);
        return code;
    }
    helpers->count = count;
    atomic_init(&helpers->idle, count);
    *ret_helpers = helpers;
    return TW_OK;
}

struct query_helpers *query_helpers_free(struct query_helpers *helpers)
{
    if (!helpers)
        return NULL;
    tw_workers_free(helpers->workers);
    free(helpers);
    return NULL;
}

static bool take_helper(struct query_helpers *helpers)
{
    size_t idle = atomic_load(&helpers->idle);
    while (idle > 0)
        if (atomic_compare_exchange_weak(&helpers->idle, &idle, idle - 1))
            return true;
    return false;
}

bool query_helpers_call(struct query_helpers *helpers, void (*job)(void *argument), void *argument)
{
    struct tw_err err;
    if (!take_helper(helpers))
        return false;
    if (tw_workers_give(helpers->workers, job, argument, &err) == TW_OK)
        return true;
    query_helpers_leave(helpers);
    return false;
}

void query_helpers_leave(struct query_helpers *helpers)
{
    atomic_fetch_add(&helpers->idle, 1);
}

/* ---- batches ---- */

static struct slot *slot_of(struct parallel *parallel, size_t batch)
{
    return &parallel->slots[batch % parallel->slot_count];
}

/* The next batch that nobody has, if its slot is free. */
static struct slot *take_batch_locked(struct parallel *parallel, size_t *ret_batch)
{
    tw_lock_assert_held(&parallel->lock);
    if (parallel->next_taken == parallel->batch_count)
        return NULL;
    struct slot *slot = slot_of(parallel, parallel->next_taken);
    if (slot->state != SLOT_FREE)
        return NULL;
    slot->state = SLOT_TAKEN;
    *ret_batch = parallel->next_taken++;
    return slot;
}

static enum slot_state work_on(struct parallel *parallel, struct query_op *op,
                               struct query_exec *exec, size_t batch, struct slot *slot)
{
    size_t first = batch * parallel->rows, left = parallel->op.series_count - first;
    size_t count = left < parallel->rows ? left : parallel->rows;
    uint64_t before = exec->samples_read;
    op->given = first;
    op->series_count = first + count;
    op->tile.values = slot->values;
    op->tile.present = slot->present;
    op->tile.count = parallel->rows;
    slot->code = query_op_next(op, exec, &slot->tile, &slot->err);
    slot->samples = exec->samples_read - before;
    bool again = slot->code == TW_OK && (slot->tile.histograms || slot->tile.count < count);
    return again ? SLOT_AGAIN : SLOT_DONE;
}

static void help(void *argument)
{
    struct lane *lane = argument;
    struct parallel *parallel = lane->parallel;
    struct query_helpers *helpers = parallel->helpers;
    tw_lock_take(&parallel->lock);
    while (!parallel->is_stopping && parallel->next_taken < parallel->batch_count) {
        size_t batch = 0;
        struct slot *slot = take_batch_locked(parallel, &batch);
        if (!slot) {
            tw_cond_wait(&parallel->changed, &parallel->lock);
            continue;
        }
        tw_lock_release(&parallel->lock);
        enum slot_state state = work_on(parallel, lane->op, &lane->exec, batch, slot);
        tw_lock_take(&parallel->lock);
        slot->state = state;
        tw_cond_broadcast(&parallel->changed);
    }
    parallel->active--;
    query_helpers_leave(helpers);
    tw_cond_broadcast(&parallel->changed);
    tw_lock_release(&parallel->lock); /* parallel may be gone now */
}

static void take_annotations(struct query_exec *exec, struct lane *lane)
{
    query_annotations_join(exec->annotations, &lane->annotations);
    query_annotations_init(&lane->annotations, lane->arena, exec->annotations->text);
}

/* Helpers leave; what they have not finished is forgotten. */
static void stop_helpers(struct parallel *parallel)
{
    if (!parallel->is_made)
        return;
    tw_lock_take(&parallel->lock);
    parallel->is_stopping = true;
    tw_cond_broadcast(&parallel->changed);
    while (parallel->active > 0)
        tw_cond_wait(&parallel->changed, &parallel->lock);
    parallel->is_stopping = false;
    tw_lock_release(&parallel->lock);
}

/* ---- opening ---- */

static enum tw_code make_slots(struct parallel *parallel, struct query_exec *exec,
                               struct tw_err *err)
{
    size_t steps = parallel->op.grid.steps, words = query_words(steps);
    bool is_small = parallel->rows * steps <= SLOT_VALUES_SMALL;
    parallel->slot_count =
        (is_small ? SLOTS_PER_LANE_MAX : SLOTS_PER_LANE_MIN) * parallel->lane_count;
    for (size_t i = 0; i < parallel->slot_count; i++) {
        struct slot *slot = &parallel->slots[i];
        void *values, *present;
        enum tw_code code =
            query_exec_alloc(exec, parallel->rows * steps, sizeof(double), &values, err);
        if (!code)
            code = query_exec_alloc(exec, parallel->rows * words, sizeof(uint64_t), &present, err);
        if (code)
            return code;
        *slot = (struct slot){.state = SLOT_FREE, .values = values, .present = present};
    }
    return TW_OK;
}

/* A lane for a helper, over what lane 0 has opened. */
static enum tw_code open_lane(struct parallel *parallel, struct lane *lane,
                              const struct query_exec *exec, struct tw_err *err)
{
    const struct query_op *from = parallel->lanes[0].op;
    struct query_op *op = lane->op;
    if (lane->arena)
        tw_arena_reset(lane->arena);
    else
        lane->arena = tw_arena_new(65536);
    query_annotations_init(&lane->annotations, lane->arena, exec->annotations->text);
    lane->ticket = (struct query_ticket){.running = NULL};
    lane->exec = *exec;
    lane->exec.arena = lane->arena;
    lane->exec.result_arena = NULL; /* results are the first lane's business */
    lane->exec.annotations = &lane->annotations;
    lane->exec.ticket = &lane->ticket;
    lane->exec.bytes_max = exec->bytes_max / parallel->lane_count;
    lane->exec.side_bytes = 0;
    op->grid = from->grid;
    op->labels = from->labels;
    op->groups = from->groups;
    op->grouped_by = from->grouped_by;
    op->tile = from->tile;
    query_op_side_reset(op);
    return op->share(op, from, &lane->exec, err);
}

static void count_bytes(struct parallel *parallel, struct query_exec *exec)
{
    uint64_t bytes = 0;
    for (size_t i = 1; i < parallel->lane_count; i++)
        bytes += tw_arena_bytes(parallel->lanes[i].arena);
    exec->side_bytes += bytes - parallel->bytes;
    parallel->bytes = bytes;
}

/* Gives each lane but the first its helper. */
static enum tw_code start_helpers(struct parallel *parallel, struct query_exec *exec, size_t taken,
                                  struct tw_err *err)
{
    enum tw_code code = make_slots(parallel, exec, err);
    for (size_t i = 1; !code && i < parallel->lane_count; i++)
        code = open_lane(parallel, &parallel->lanes[i], exec, err);
    size_t given = 0;
    if (!code) {
        count_bytes(parallel, exec);
        parallel->active = taken;
        for (; !code && given < taken; given++) /* there is room: they were taken */
            code =
                tw_workers_give(parallel->helpers->workers, help, &parallel->lanes[given + 1], err);
    }
    if (code) {
        tw_lock_take(&parallel->lock);
        parallel->active -= parallel->active ? taken - given : 0;
        tw_lock_release(&parallel->lock);
        atomic_fetch_add(&parallel->helpers->idle, taken - given);
        stop_helpers(parallel);
    }
    return code;
}

/* Whether there is enough for several threads. */
static bool plan_batches(struct parallel *parallel, size_t lanes)
{
    size_t count = parallel->op.series_count, steps = parallel->op.grid.steps;
    size_t rows = SLOT_VALUES / steps, share = count / (BATCHES_PER_LANE * lanes);
    rows = rows > SLOT_SERIES_MAX ? SLOT_SERIES_MAX : rows;
    rows = rows > share ? share : rows;
    parallel->rows = rows < 1 ? 1 : rows;
    parallel->batch_count = (count + parallel->rows - 1) / parallel->rows;
    parallel->next_taken = parallel->next_given = 0;
    parallel->has_given = false;
    return count > 1 && (count >= SERIES_MIN || count * steps >= VALUES_MIN);
}

static enum tw_code parallel_open(struct query_op *op, struct query_exec *exec,
                                  struct query_grid grid, struct tw_err *err)
{
    struct parallel *parallel = (struct parallel *)op;
    struct query_op *first = parallel->lanes[0].op;
    stop_helpers(parallel);
    first->grouped_by = op->grouped_by;
    enum tw_code code = query_op_open(first, exec, grid, err);
    if (code)
        return code;
    op->labels = first->labels;
    op->groups = first->groups;
    op->series_count = first->series_count;
    parallel->tile = first->tile;
    parallel->is_serial = true;
    if (!plan_batches(parallel, parallel->helpers->count + 1) || exec->tally)
        return TW_OK; /* few values, or to be tallied */
    size_t taken = 0;
    while (taken + 1 < QUERY_LANES_MAX && parallel->lanes[taken + 1].op &&
           take_helper(parallel->helpers))
        taken++;
    if (taken == 0)
        return TW_OK;
    if (!parallel->is_made) {
        tw_lock_init(&parallel->lock, TW_RANK_LEAF, "parallel operator");
        tw_cond_init(&parallel->changed);
        parallel->is_made = true;
    }
    parallel->lane_count = taken + 1;
    parallel->is_serial = false;
    return start_helpers(parallel, exec, taken, err);
}

/* ---- giving ---- */

/* From this batch on lane 0 works alone. */
static void go_serial(struct parallel *parallel, struct query_exec *exec, size_t batch)
{
    struct query_op *first = parallel->lanes[0].op;
    stop_helpers(parallel);
    for (size_t i = 1; i < parallel->lane_count; i++)
        take_annotations(exec, &parallel->lanes[i]);
    first->given = batch * parallel->rows;
    if (first->given > parallel->op.series_count)
        first->given = parallel->op.series_count;
    first->series_count = parallel->op.series_count;
    first->tile = parallel->tile;
    parallel->is_serial = true;
}

/* Waits for the slot of a batch; works on others or on this one meanwhile. */
static enum slot_state await(struct parallel *parallel, struct query_exec *exec, struct slot *slot)
{
    tw_lock_take(&parallel->lock);
    while (slot->state == SLOT_TAKEN || slot->state == SLOT_FREE) {
        size_t batch = 0;
        struct slot *mine = take_batch_locked(parallel, &batch);
        if (!mine) {
            tw_cond_wait(&parallel->changed, &parallel->lock);
            continue;
        }
        tw_lock_release(&parallel->lock);
        enum slot_state state = work_on(parallel, parallel->lanes[0].op, exec, batch, mine);
        exec->samples_read -= mine->samples; /* counted when they are given */
        tw_lock_take(&parallel->lock);
        mine->state = state;
    }
    enum slot_state state = slot->state;
    tw_lock_release(&parallel->lock);
    return state;
}

static void give_back(struct parallel *parallel)
{
    if (!parallel->has_given)
        return;
    tw_lock_take(&parallel->lock);
    slot_of(parallel, parallel->next_given - 1)->state = SLOT_FREE;
    tw_cond_broadcast(&parallel->changed);
    tw_lock_release(&parallel->lock);
    parallel->has_given = false;
}

static enum tw_code parallel_next(struct query_op *op, struct query_exec *exec,
                                  struct query_tile *ret_tile, struct tw_err *err)
{
    struct parallel *parallel = (struct parallel *)op;
    if (!parallel->is_serial && parallel->next_given == parallel->batch_count)
        go_serial(parallel, exec, parallel->batch_count);
    if (parallel->is_serial)
        return parallel->lanes[0].op->ops->next(parallel->lanes[0].op, exec, ret_tile, err);
    give_back(parallel);
    struct slot *slot = slot_of(parallel, parallel->next_given);
    if (await(parallel, exec, slot) == SLOT_AGAIN) {
        go_serial(parallel, exec, parallel->next_given);
        return parallel->lanes[0].op->ops->next(parallel->lanes[0].op, exec, ret_tile, err);
    }
    enum tw_code code = slot->code;
    if (!code && slot->samples)
        code = query_exec_read(exec, slot->samples, err);
    else if (code && err)
        *err = slot->err;
    if (code) {
        stop_helpers(parallel);
        return code;
    }
    *ret_tile = slot->tile;
    parallel->next_given++;
    parallel->has_given = true;
    return TW_OK;
}

static void parallel_stop(struct query_op *op)
{
    stop_helpers((struct parallel *)op);
}

static void parallel_close(struct query_op *op)
{
    struct parallel *parallel = (struct parallel *)op;
    stop_helpers(parallel);
    for (size_t i = QUERY_LANES_MAX; i-- > 0;) { /* lane 0, which has the selection, last */
        struct lane *lane = &parallel->lanes[i];
        if (!lane->op)
            continue;
        lane->op->ops->close(lane->op);
        query_op_side_fini(lane->op);
        tw_arena_free(lane->arena);
    }
    if (parallel->is_made) {
        tw_cond_fini(&parallel->changed);
        tw_lock_fini(&parallel->lock);
    }
}

static const struct query_op_ops parallel_ops = {
    .name = "parallel", .open = parallel_open, .next = parallel_next, .close = parallel_close};

struct query_op *query_parallel_op(struct tw_arena *arena, const struct query_node *node,
                                   struct query_helpers *helpers, struct query_op *const *lanes,
                                   size_t count)
{
    struct parallel *parallel = TW_ARENA_NEW(arena, struct parallel);
    TW_ASSERT(count > 1 && count <= QUERY_LANES_MAX && helpers != NULL);
    parallel->op.ops = &parallel_ops;
    parallel->op.stop = parallel_stop;
    parallel->op.node = node;
    parallel->helpers = helpers;
    for (size_t i = 0; i < count; i++) {
        parallel->lanes[i].parallel = parallel;
        parallel->lanes[i].op = lanes[i];
    }
    return &parallel->op;
}
