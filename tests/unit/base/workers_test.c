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

struct order {
    struct gate *gate;
    atomic_int next;
    int client_of[16]; /* in the order in which they ran */
};
struct turn {
    struct order *order;
    int client;
};

static void note(void *argument)
{
    struct turn *turn = argument;
    turn->order->client_of[atomic_fetch_add(&turn->order->next, 1)] = turn->client;
}

static void open_gate(struct gate *gate)
{
    tw_lock_take(&gate->lock);
    gate->open = true;
    tw_cond_broadcast(&gate->changed);
    tw_lock_release(&gate->lock);
}

START_TEST(clients_take_turns)
{
    struct gate gate = {.open = false};
    struct order order = {.gate = &gate};
    struct turn a = {&order, 1}, b = {&order, 2};
    struct tw_workers *workers;
    struct tw_err err;
    tw_lock_init(&gate.lock, TW_RANK_LEAF, "gate");
    tw_cond_init(&gate.changed);
    unit_assert_ok(tw_workers_new("test", 1, 8, &workers, &err), &err);
    unit_assert_ok(tw_workers_give(workers, pass, &gate, &err), &err); /* holds the thread */
    while (atomic_load(&gate.entered) < 1)
        ;
    for (int i = 0; i < 4; i++)
        unit_assert_ok(tw_workers_give_from(workers, TW_STR("10.0.0.1"), note, &a, &err), &err);
    unit_assert_code(tw_workers_give_from(workers, TW_STR("10.0.0.1"), note, &a, &err),
                     TW_OVERLOAD);
    unit_assert_contains(err.message, "half");
    for (int i = 0; i < 2; i++)
        unit_assert_ok(tw_workers_give_from(workers, TW_STR("10.0.0.2"), note, &b, &err), &err);
    open_gate(&gate);
    ck_assert_ptr_null(tw_workers_free(workers));
    ck_assert_int_eq(atomic_load(&order.next), 6);
    int seconds = 0; /* b's two came among the first four */
    for (int i = 0; i < 4; i++)
        seconds += order.client_of[i] == 2;
    ck_assert_int_eq(seconds, 2);
    tw_cond_fini(&gate.changed);
    tw_lock_fini(&gate.lock);
}
END_TEST

START_TEST(one_thread_stays_for_others)
{
    struct gate gate = {.open = false};
    struct order order = {.gate = &gate};
    struct turn b = {&order, 2};
    struct tw_workers *workers;
    struct tw_err err;
    tw_lock_init(&gate.lock, TW_RANK_LEAF, "gate");
    tw_cond_init(&gate.changed);
    unit_assert_ok(tw_workers_new("test", 2, 8, &workers, &err), &err);
    for (int i = 0; i < 3; i++)
        unit_assert_ok(tw_workers_give_from(workers, TW_STR("10.0.0.1"), pass, &gate, &err), &err);
    while (atomic_load(&gate.entered) < 1)
        ;
    unit_assert_ok(tw_workers_give_from(workers, TW_STR("10.0.0.2"), note, &b, &err), &err);
    while (atomic_load(&order.next) < 1) /* it runs while the first client waits */
        ;
    ck_assert_int_eq(atomic_load(&gate.entered), 1);
    open_gate(&gate);
    ck_assert_ptr_null(tw_workers_free(workers));
    ck_assert_int_eq(atomic_load(&gate.passed), 3);
    tw_cond_fini(&gate.changed);
    tw_lock_fini(&gate.lock);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(bounds_its_queue_and_finishes_it),
                                      UNIT_CASE(clients_take_turns),
                                      UNIT_CASE(one_thread_stays_for_others),
                                      {0}};
    return unit_run("base/workers", cases);
}
