/* SPDX-License-Identifier: Apache-2.0
 *
 * pace_test: senders, commits and waits in simulated time. A sender is ready again some time after
 * it was answered (in a loop), or comes at times of its own. A commit takes all requests that are
 * there when it begins, after it waited as the pace says.
 */
#include "config.h"

#include "tests/lib/unit.h"
#include "tsdb/pace.h"

#define SENDERS_MAX 8
#define NEVER INT64_MAX
#define US INT64_C(1000)

struct sender {
    int64_t next_ns;   /* when it sends; NEVER while it waits for its answer */
    int64_t pause_ns;  /* until it sends again after an answer */
    int64_t period_ns; /* or at times of its own, answered or not; 0 = it has none */
};

struct world {
    struct sender senders[SENDERS_MAX];
    int count;
    int64_t now_ns, commit_ns;
    struct tsdb_pace pace;
    /* What happened. */
    unsigned commits, requests, waits;
    int64_t waited_ns, longest_wait_ns;
};

static int64_t next_arrival(const struct world *world)
{
    int64_t next_ns = NEVER;
    for (int i = 0; i < world->count; i++)
        next_ns = world->senders[i].next_ns < next_ns ? world->senders[i].next_ns : next_ns;
    return next_ns;
}

/* Those who have sent by now; in a loop, they then wait. */
static size_t take_arrivals(struct world *world, bool *in_group)
{
    size_t taken = 0;
    for (int i = 0; i < world->count; i++) {
        struct sender *sender = &world->senders[i];
        if (sender->next_ns > world->now_ns)
            continue;
        sender->next_ns = sender->period_ns ? sender->next_ns + sender->period_ns : NEVER;
        in_group[i] = true;
        taken++;
    }
    return taken;
}

static size_t count_arrived(const struct world *world)
{
    size_t count = 0;
    for (int i = 0; i < world->count; i++)
        count += world->senders[i].next_ns <= world->now_ns;
    return count;
}

/* Waits until enough are there or the time is up. */
static size_t gather(struct world *world, size_t requests, int64_t wait_ns, bool *in_group)
{
    int64_t start_ns = world->now_ns, until_ns = start_ns + wait_ns;
    while (requests < world->pace.under_way && next_arrival(world) <= until_ns) {
        int64_t next_ns = next_arrival(world);
        world->now_ns = next_ns > world->now_ns ? next_ns : world->now_ns;
        requests += take_arrivals(world, in_group);
    }
    if (requests < world->pace.under_way)
        world->now_ns = until_ns;
    world->waits++;
    world->waited_ns += world->now_ns - start_ns;
    if (world->now_ns - start_ns > world->longest_wait_ns)
        world->longest_wait_ns = world->now_ns - start_ns;
    tsdb_pace_waited(&world->pace, requests);
    return requests;
}

static void commit_once(struct world *world)
{
    bool in_group[SENDERS_MAX] = {false};
    int64_t next_ns = next_arrival(world);
    world->now_ns = next_ns > world->now_ns ? next_ns : world->now_ns;
    size_t requests = take_arrivals(world, in_group);
    int64_t wait_ns = tsdb_pace_wait_ns(&world->pace, requests);
    if (wait_ns > 0)
        requests = gather(world, requests, wait_ns, in_group);
    world->now_ns += world->commit_ns;
    tsdb_pace_learn(&world->pace, requests, count_arrived(world), world->commit_ns);
    for (int i = 0; i < world->count; i++)
        if (in_group[i] && !world->senders[i].period_ns)
            world->senders[i].next_ns = world->now_ns + world->senders[i].pause_ns;
    world->commits++;
    world->requests += (unsigned)requests;
}

static void run(struct world *world, unsigned commits)
{
    world->commits = world->requests = world->waits = 0;
    world->waited_ns = world->longest_wait_ns = 0;
    while (world->commits < commits)
        commit_once(world);
}

static struct world loops(int count, int64_t commit_ns, int64_t pause_ns)
{
    struct world world = {.count = count, .commit_ns = commit_ns};
    for (int i = 0; i < count; i++)
        world.senders[i] =
            (struct sender){.next_ns = i * 7 * US, .pause_ns = pause_ns + i * 11 * US};
    return world;
}

START_TEST(one_sender_never_waits)
{
    struct world world = loops(1, 1000 * US, 50 * US);
    run(&world, 500);
    ck_assert_uint_eq(world.waits, 0);
    ck_assert_uint_eq(world.requests, 500);
}
END_TEST

/* Without the pace two go with one commit and two with the next, for ever. */
START_TEST(senders_without_a_pause_share_a_commit)
{
    struct world world = loops(4, 1000 * US, 50 * US);
    run(&world, 20);
    run(&world, 500);
    ck_assert_uint_eq(world.requests, 4 * 500);
    ck_assert_int_le(world.longest_wait_ns, 100 * US);
}
END_TEST

/* They come at times of their own, less often than a commit takes: what a wait would bring is as
 * good as nothing. */
START_TEST(those_who_come_when_they_like_are_not_held_up)
{
    struct world world = {.count = 3, .commit_ns = 400 * US};
    static const int64_t periods_us[] = {4001, 5003, 7013};
    for (int i = 0; i < 3; i++)
        world.senders[i] =
            (struct sender){.next_ns = i * 900 * US, .period_ns = periods_us[i] * US};
    run(&world, 100);
    run(&world, 1000);
    ck_assert_int_le(world.longest_wait_ns, world.commit_ns);
    ck_assert_msg(world.waits <= 1000 / TSDB_PACE_AGAIN + 1, "%u waits", world.waits);
}
END_TEST

/* A wait ends with what a commit takes, and at most with the limit, however slow the disk is. */
START_TEST(waits_are_bounded)
{
    struct tsdb_pace pace = {0};
    ck_assert_int_eq(tsdb_pace_wait_ns(&pace, 1), 0);
    for (int i = 0; i < 100; i++)
        tsdb_pace_learn(&pace, 1, 3, 300 * US);
    int64_t wait_ns = tsdb_pace_wait_ns(&pace, 1);
    ck_assert(wait_ns > 290 * US && wait_ns <= 300 * US);
    ck_assert_int_eq(tsdb_pace_wait_ns(&pace, 4), 0);
    for (int i = 0; i < 100; i++)
        tsdb_pace_learn(&pace, 1, 3, INT64_C(50000000));
    ck_assert_int_eq(tsdb_pace_wait_ns(&pace, 1), TSDB_PACE_WAIT_NS_MAX);
}
END_TEST

/* In vain again and again, waiting stops, is tried now and then, and comes back when it helps. */
START_TEST(waiting_is_given_up_and_tried_again)
{
    struct tsdb_pace pace = {0};
    tsdb_pace_learn(&pace, 2, 2, 1000 * US);
    unsigned waits = 0;
    for (int i = 0; i < 10 * TSDB_PACE_AGAIN; i++)
        if (tsdb_pace_wait_ns(&pace, 1) > 0) {
            waits++;
            tsdb_pace_waited(&pace, 1);
        }
    ck_assert_uint_ge(waits, 9);
    ck_assert_uint_le(waits, 12);
    unsigned until = 0; /* commits until all wait again */
    for (int good = 0; good < 20 && until < 100 * TSDB_PACE_AGAIN; until++) {
        if (tsdb_pace_wait_ns(&pace, 1) > 0) {
            tsdb_pace_waited(&pace, 4);
            good++;
        }
    }
    ck_assert_uint_le(until, 10 * TSDB_PACE_AGAIN);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(one_sender_never_waits),
                                      UNIT_CASE(senders_without_a_pause_share_a_commit),
                                      UNIT_CASE(those_who_come_when_they_like_are_not_held_up),
                                      UNIT_CASE(waits_are_bounded),
                                      UNIT_CASE(waiting_is_given_up_and_tried_again),
                                      {0}};
    return unit_run("tsdb/pace", cases);
}
