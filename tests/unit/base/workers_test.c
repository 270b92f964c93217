/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/workers.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/lock.h"
#include "tests/lib/unit.h"

struct gate {
    struct tw_lock lock;
    struct tw_cond changed;
    bool open;
    atomic_int entered, passed;
};

static void pass(void *argument)
{
    struct gate *gate = argument;
    atomic_fetch_add(&gate->entered, 1);
    tw_lock_take(&gate->lock);
    while (!gate->open)
        tw_cond_wait(&gate->changed, &gate->lock);
    tw_lock_release(&gate->lock);
    atomic_fetch_add(&gate->passed, 1);
}

START_TEST(bounds_its_queue_and_finishes_it)
{
    struct gate gate = {.open = false};
    struct tw_workers *workers;
    struct tw_err err;
    tw_lock_init(&gate.lock, TW_RANK_LEAF, "gate");
    tw_cond_init(&gate.changed);
    unit_assert_ok(tw_workers_new("test", 2, 3, &workers, &err), &err);
    /* Two run; wait until they are off the queue, then three fit. */
    for (int i = 0; i < 2; i++)
        unit_assert_ok(tw_workers_give(workers, pass, &gate, &err), &err);
    while (atomic_load(&gate.entered) < 2)
        ;
    for (int i = 0; i < 3; i++)
        unit_assert_ok(tw_workers_give(workers, pass, &gate, &err), &err);
    ck_assert_uint_eq(tw_workers_queued(workers), 3);
    unit_assert_code(tw_workers_give(workers, pass, &gate, &err), TW_OVERLOAD);
    tw_lock_take(&gate.lock);
    gate.open = true;
    tw_cond_broadcast(&gate.changed);
    tw_lock_release(&gate.lock);
    ck_assert_ptr_null(tw_workers_free(workers));
    ck_assert_int_eq(atomic_load(&gate.passed), 5);
    tw_cond_fini(&gate.changed);
    tw_lock_fini(&gate.lock);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(bounds_its_queue_and_finishes_it), {0}};
    return unit_run("base/workers", cases);
}
