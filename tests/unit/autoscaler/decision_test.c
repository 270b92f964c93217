/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/decision.h"

#include <math.h>
#include <math.h>
#include <stdio.h>

#include "autoscaler/actuator.h"
#include "autoscaler/journal.h"
#include "tests/lib/unit.h"

static struct scale_decision sample(void)
{
    struct scale_decision decision = {.time_ms = 1795233735000,
                                      .since_ms = 1795233600000,
                                      .count = 10,
                                      .data = SCALE_DATA_OK,
                                      .load = 830.25,
                                      .capacity = 80,
                                      .load_ms = 1795233720000,
                                      .replicas = 12,
                                      .ready = -1,
                                      .startup_ms = 118000,
                                      .min = 2,
                                      .max = 60,
                                      .horizon_ms = 193000,
                                      .quantile = 0.95,
                                      .q50 = 853.1,
                                      .q95 = 905.4,
                                      .used = 905.4,
                                      .from = 12,
                                      .to = 12,
                                      .wanted = 11,
                                      .reactive = 10,
                                      .action = SCALE_ACTION_NONE};
    scale_decision_note(&decision, SCALE_GUARD_STABILISATION, 11, 12, "12 were needed %d s ago",
                        140);
    snprintf(decision.reason, sizeof decision.reason, "Load is 830.25.");
    return decision;
}

static struct tw_buf encoded(const struct scale_decision *decision)
{
    struct tw_buf bytes;
    tw_buf_init(&bytes, 1 << 16);
    scale_decision_encode(decision, &bytes);
    return bytes;
}

START_TEST(round_trip)
{
    struct scale_decision decision = sample(), back;
    struct tw_err err = {0};
    decision.q95 = NAN;
    snprintf(decision.key, sizeof decision.key, "web-1-2");
    struct tw_buf bytes = encoded(&decision);
    unit_assert_ok(scale_decision_decode(tw_buf_str(&bytes), &back, &err), &err);
    ck_assert(isnan(back.q95));
    back.q95 = decision.q95 = 0;
    ck_assert_int_eq(back.time_ms, decision.time_ms);
    ck_assert_int_eq(back.since_ms, decision.since_ms);
    ck_assert_uint_eq(back.count, 10);
    ck_assert_int_eq(back.ready, -1);
    ck_assert_double_eq(back.load, 830.25);
    ck_assert_uint_eq(back.guard_count, 1);
    ck_assert_str_eq(back.guards[0].text, "12 were needed 140 s ago");
    ck_assert_str_eq(back.reason, decision.reason);
    ck_assert_str_eq(back.key, "web-1-2");
    struct tw_buf again;
    tw_buf_init(&again, 1 << 16);
    back.q95 = NAN;
    scale_decision_encode(&back, &again);
    ck_assert_uint_eq(again.size, bytes.size);
    tw_buf_fini(&bytes);
    tw_buf_fini(&again);
}
END_TEST

START_TEST(an_allocation_goes_with_it)
{
    struct scale_decision decision = sample(), back;
    struct scale_allocation *allocation = &decision.allocation;
    *allocation = (struct scale_allocation){.kind = SCALE_FLEET_POOLS,
                                            .count = 2,
                                            .placed = 12,
                                            .cost_per_hour = 1.5,
                                            .text = "as told",
                                            .shares = {{"east", 8, 9, 8, -1, "weight 3 of 4"},
                                                       {"west", -1, 3, -1, -1, "out: it burns"}}};
    struct tw_buf bytes = encoded(&decision);
    struct tw_err err = {0};
    unit_assert_ok(scale_decision_decode(tw_buf_str(&bytes), &back, &err), &err);
    ck_assert(scale_allocation_same(allocation, &back.allocation));
    ck_assert_int_eq(back.allocation.shares[0].replicas, 8);
    ck_assert_double_eq(back.allocation.cost_per_hour, 1.5);
    ck_assert_str_eq(back.allocation.text, "as told");
    for (size_t size = 0; size < bytes.size; size++)
        unit_assert_code(scale_decision_decode((struct tw_str){bytes.data, size}, &back, &err),
                         TW_CORRUPT);
    decision.budget = (struct scale_budget_state){.known = true,
                                                  .at_cap = SCALE_AT_CAP_HOLD,
                                                  .cost_per_hour = 3,
                                                  .spent = {4, 5},
                                                  .forecast = {6, 7},
                                                  .caps = {4, INFINITY},
                                                  .text = "reached"};
    tw_buf_fini(&bytes);
    bytes = encoded(&decision);
    unit_assert_ok(scale_decision_decode(tw_buf_str(&bytes), &back, &err), &err);
    ck_assert_int_eq(back.budget.at_cap, SCALE_AT_CAP_HOLD);
    ck_assert_double_eq(back.budget.forecast[1], 7);
    ck_assert(isinf(back.budget.caps[1]));
    ck_assert_str_eq(back.budget.text, "reached");
    for (size_t size = 0; size < bytes.size; size++)
        unit_assert_code(scale_decision_decode((struct tw_str){bytes.data, size}, &back, &err),
                         TW_CORRUPT);
    back = decision;
    back.budget.at_cap = SCALE_AT_CAP_NONE;
    ck_assert(!scale_decision_same(&decision, &back));
    decision.budget.known = false;
    tw_buf_fini(&bytes);
    bytes = encoded(&decision);
    /* kind, count, placed, cost, text; per share: name, four numbers, why */
    struct tw_buf plain = {0};
    struct scale_decision without = sample();
    plain = encoded(&without);
    ck_assert_uint_eq(bytes.size, plain.size + 1 + 8 + 8 + (2 + 7) + (2 + 4 + 32 + 2 + 13) * 2);
    tw_buf_clear(&plain);
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, &plain);
    tw_json_begin_object(&writer);
    scale_allocation_write_json(allocation, &writer);
    tw_json_end_object(&writer);
    unit_assert_contains(tw_buf_cstr(&plain),
                         "{\"name\":\"west\",\"before\":null,\"after\":3,\"replicas\":null,"
                         "\"ready\":null,\"why\":\"out: it burns\"}");
    back = decision;
    back.allocation.shares[1].after = 4;
    ck_assert(!scale_decision_same(&decision, &back));
    tw_buf_fini(&plain);
    tw_buf_fini(&bytes);
}
END_TEST

START_TEST(golden_head)
{
    /* docs/format/state-scaler.md */
    static const unsigned char head[] = {0x31, 0x43, 0x44, 0x53, 1,    0,    0, 0,
                                         10,   0,    0,    0,    0,    0,    0, 0,
                                         0x18, 0x5e, 0x41, 0xfd, 0xa1, 0x01, 0, 0};
    struct scale_decision decision = sample();
    struct tw_buf bytes = encoded(&decision);
    ck_assert_mem_eq(bytes.data, head, 16);
    ck_assert_int_eq((int64_t)sizeof head, 24);
    /* 16 head, 15 integers, 6 numbers, guard count, guard, three texts, no allocation, no
     * budget */
    ck_assert_uint_eq(bytes.size,
                      16 + 15 * 8 + 6 * 8 + 1 + (1 + 16 + 2 + 24) + (2 + 15) + 2 + 2 + 1 + 1);
    tw_buf_fini(&bytes);
}
END_TEST

START_TEST(damage_is_seen)
{
    struct scale_decision decision = sample(), back;
    struct tw_buf bytes = encoded(&decision);
    struct tw_err err = {0};
    for (size_t size = 0; size < bytes.size; size++)
        unit_assert_code(scale_decision_decode((struct tw_str){bytes.data, size}, &back, &err),
                         TW_CORRUPT);
    tw_buf_append_char(&bytes, 'x');
    unit_assert_code(scale_decision_decode(tw_buf_str(&bytes), &back, &err), TW_CORRUPT);
    bytes.size--;
    bytes.data[6] = 99; /* no such data */
    unit_assert_code(scale_decision_decode(tw_buf_str(&bytes), &back, &err), TW_CORRUPT);
    bytes.data[6] = 0;
    bytes.data[4] = 2; /* of the future */
    unit_assert_code(scale_decision_decode(tw_buf_str(&bytes), &back, &err), TW_UNSUPPORTED);
    /* Whatever stands there: an answer, no crash. */
    for (size_t i = 0; i < bytes.size; i++)
        for (int value = 0; value < 256; value += 51) {
            struct scale_decision original = sample();
            struct tw_buf broken = encoded(&original);
            broken.data[i] = (char)value;
            enum tw_code code = scale_decision_decode(tw_buf_str(&broken), &back, &err);
            (void)code;
            tw_buf_fini(&broken);
        }
    tw_buf_fini(&bytes);
}
END_TEST

START_TEST(same_outcome)
{
    struct scale_decision a = sample(), b = sample();
    b.load = 900;
    b.time_ms += 15000;
    ck_assert(scale_decision_same(&a, &b));
    b.to = 13;
    ck_assert(!scale_decision_same(&a, &b));
    b = sample();
    b.data = SCALE_DATA_LATE;
    ck_assert(!scale_decision_same(&a, &b));
    b = sample();
    b.guard_count = 0;
    ck_assert(!scale_decision_same(&a, &b));
    b = sample();
    snprintf(b.key, sizeof b.key, "k");
    ck_assert(!scale_decision_same(&a, &b));
}
END_TEST

START_TEST(order_as_designed)
{
    struct scale_decision decision = sample();
    decision.from = 10;
    scale_order_key(TW_STR("web"), &decision);
    struct tw_buf body;
    tw_buf_init(&body, 1 << 16);
    scale_order_write(TW_STR("web"), &decision, &body);
    unit_assert_str(
        tw_buf_str(&body),
        "{\"scaler\":\"web\",\"from\":10,\"to\":12,\"reason\":\"Load is 830.25.\",\"forecast\":"
        "{\"horizon_s\":193,\"q50\":853.1,\"q95\":905.4},\"decided_at\":\"2026-11-21T04:02:15."
        "000Z\","
        "\"idempotency_key\":\"web-1795233735000-12\"}");
    tw_buf_fini(&body);
}
END_TEST

START_TEST(every_kind_of_data_is_read_again)
{
    for (int data = 0; data < SCALE_DATA_KINDS; data++) {
        struct scale_decision decision = {.count = 1, .data = (enum scale_data)data}, again;
        struct tw_err err = {0};
        struct tw_buf bytes;
        tw_buf_init(&bytes, 4096);
        scale_decision_encode(&decision, &bytes);
        unit_assert_ok(scale_decision_decode(tw_buf_str(&bytes), &again, &err), &err);
        ck_assert_int_eq(again.data, data);
        tw_buf_fini(&bytes);
    }
}
END_TEST

START_TEST(every_guard_is_read_again)
{
    for (int guard = 0; guard < SCALE_GUARD_KINDS; guard++) {
        struct scale_decision decision = {.count = 1}, again;
        struct tw_err err = {0};
        struct tw_buf bytes;
        tw_buf_init(&bytes, 4096);
        scale_decision_note(&decision, (enum scale_guard)guard, 1, 2, "why");
        scale_decision_encode(&decision, &bytes);
        unit_assert_ok(scale_decision_decode(tw_buf_str(&bytes), &again, &err), &err);
        ck_assert_int_eq(again.guards[0].guard, guard);
        tw_buf_fini(&bytes);
    }
}
END_TEST

static bool count_all(void *user, const struct scale_decision *decision,
                      const struct scale_effect *effect)
{
    size_t *count = user;
    (void)effect;
    ck_assert_int_ge(decision->time_ms, 0);
    return ++*count > 0;
}

START_TEST(journal_keeps_and_forgets)
{
    struct tsdb_state *state = NULL;
    struct tw_err err = {0};
    unit_assert_ok(tsdb_state_open(unit_folder(), &state, &err), &err);
    struct scale_decision decision = sample(), back;
    unit_assert_code(scale_journal_last(state, TW_STR("web"), &back, &err), TW_NOT_FOUND);
    struct scale_policy policy = {.wanted = {{1000, 5}, {2000, 7}},
                                  .wanted_count = 2,
                                  .changes = {{1500, -2}},
                                  .change_count = 1};
    struct scale_startup startup;
    scale_startup_init(&startup);
    scale_startup_observe(&startup, 0, 1, 1);
    scale_startup_observe(&startup, 1000, 3, 1);
    scale_startup_observe(&startup, 91000, 3, 3);
    enum { WRITTEN = SCALE_DECISIONS_KEPT + 25 };
    static struct scale_decision decisions[WRITTEN];
    static struct scale_entry entries[WRITTEN];
    for (size_t i = 0; i < WRITTEN; i++) {
        decisions[i] = decision;
        decisions[i].time_ms = decisions[i].since_ms = (int64_t)i;
        if (i == WRITTEN - 3)
            snprintf(decisions[i].key, sizeof decisions[i].key, "order");
        entries[i] = (struct scale_entry){.name = TW_STR("web"), .decision = &decisions[i]};
    }
    entries[WRITTEN - 1].policy = &policy;
    entries[WRITTEN - 1].startup = &startup;
    entries[WRITTEN - 1].capacity = 55.5;
    for (size_t i = 0; i < WRITTEN; i += 25)
        unit_assert_ok(scale_journal_write(state, entries + i, 25, &err), &err);
    struct scale_entry other = {.name = TW_STR("we"),
                                .decision = &decision}; /* a prefix of the name */
    unit_assert_ok(scale_journal_write(state, &other, 1, &err), &err);
    state = tsdb_state_close(state);

    unit_assert_ok(tsdb_state_open(unit_folder(), &state, &err), &err);
    unit_assert_ok(scale_journal_last(state, TW_STR("web"), &back, &err), &err);
    ck_assert_int_eq(back.time_ms, WRITTEN - 1);
    unit_assert_ok(scale_journal_last_order(state, TW_STR("web"), &back, &err), &err);
    ck_assert_int_eq(back.time_ms, WRITTEN - 3);
    size_t kept = 0;
    unit_assert_ok(scale_journal_each(state, TW_STR("web"), count_all, &kept, &err), &err);
    ck_assert_uint_eq(kept, SCALE_DECISIONS_KEPT);
    /* The same since: the record is replaced. */
    decision.since_ms = WRITTEN - 1;
    decision.time_ms = WRITTEN + 100;
    struct scale_entry again = {.name = TW_STR("web"), .decision = &decision};
    unit_assert_ok(scale_journal_write(state, &again, 1, &err), &err);
    kept = 0;
    unit_assert_ok(scale_journal_each(state, TW_STR("web"), count_all, &kept, &err), &err);
    ck_assert_uint_eq(kept, SCALE_DECISIONS_KEPT);
    struct scale_policy policy_back;
    struct scale_startup startup_back;
    double capacity;
    unit_assert_ok(
        scale_journal_memory(state, TW_STR("web"), &policy_back, &startup_back, &capacity, &err),
        &err);
    ck_assert_uint_eq(policy_back.wanted_count, 2);
    ck_assert_int_eq(policy_back.wanted[1].replicas, 7);
    ck_assert_int_eq(policy_back.changes[0].replicas, -2);
    ck_assert_double_eq(capacity, 55.5);
    int64_t ms = 0;
    ck_assert(scale_startup_learned(&startup_back, &ms));
    ck_assert_int_eq(ms, 90000);
    tsdb_state_close(state);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(every_kind_of_data_is_read_again),
        UNIT_CASE(every_guard_is_read_again),
        UNIT_CASE(round_trip),
        UNIT_CASE(an_allocation_goes_with_it),
        UNIT_CASE(golden_head),
        UNIT_CASE(damage_is_seen),
        UNIT_CASE(same_outcome),
        UNIT_CASE(order_as_designed),
        UNIT_CASE_SLOW(journal_keeps_and_forgets, 120),
        {0},
    };
    return unit_run("autoscaler/decision", cases);
}
