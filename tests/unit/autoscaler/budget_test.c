/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/budget.h"

#include <math.h>
#include <stdio.h>

#include "autoscaler/settings.h"
#include "tests/lib/unit.h"

static uint64_t seed = 3;

static uint64_t chance(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

START_TEST(the_higher_priority_first)
{
    struct scale_claim claims[] = {
        {.need = 10, .min = 2, .priority = 1, .unit_cost = 1},
        {.need = 12, .min = 1, .priority = 9, .unit_cost = 1},
        {.need = 3, .min = 3, .priority = 1, .unit_cost = 1},
    };
    scale_budget_divide(claims, 3, 20, INT64_MAX);
    ck_assert_int_eq(claims[1].granted, 12);
    ck_assert_int_eq(claims[0].granted, 5);
    ck_assert_int_eq(claims[2].granted, 3);
    /* Nobody starves. */
    scale_budget_divide(claims, 3, INFINITY, 6);
    ck_assert_int_eq(claims[0].granted, 2);
    ck_assert_int_eq(claims[1].granted, 1);
    ck_assert_int_eq(claims[2].granted, 3);
    scale_budget_divide(claims, 3, 1, 1);
    ck_assert_int_eq(claims[0].granted + claims[1].granted + claims[2].granted, 6);
    scale_budget_divide(claims, 3, INFINITY, INT64_MAX);
    ck_assert_int_eq(claims[0].granted + claims[1].granted + claims[2].granted, 25);
}
END_TEST

START_TEST(ties_in_proportion)
{
    struct scale_claim claims[] = {
        {.need = 30, .priority = 1, .unit_cost = 2},
        {.need = 10, .priority = 1, .unit_cost = 2},
        {.need = 20, .priority = 0, .unit_cost = 1},
    };
    scale_budget_divide(claims, 3, 40, INT64_MAX);
    ck_assert_int_eq(claims[0].granted, 15);
    ck_assert_int_eq(claims[1].granted, 5);
    ck_assert_int_eq(claims[2].granted, 0);
    scale_budget_divide(claims, 3, INFINITY, 7);
    ck_assert_int_eq(claims[0].granted, 5); /* 5.25 and 1.75 */
    ck_assert_int_eq(claims[1].granted, 2);
    /* What is too little for one of the dear ones is enough for a cheap one. */
    scale_budget_divide(claims, 3, 41, INT64_MAX);
    ck_assert_int_eq(claims[2].granted, 1);
}
END_TEST

START_TEST(properties)
{
    for (int round = 0; round < 20000; round++) {
        struct scale_claim claims[8];
        size_t count = 1 + chance(8);
        double mins = 0, cost = 0, needs = 0;
        int64_t least = 0, granted = 0;
        for (size_t i = 0; i < count; i++) {
            claims[i] = (struct scale_claim){.need = (int64_t)chance(50),
                                             .min = (int64_t)chance(4),
                                             .priority = (int64_t)chance(3),
                                             .unit_cost = 0.25 * (double)chance(9)};
            int64_t base = claims[i].min < claims[i].need ? claims[i].min : claims[i].need;
            mins += (double)base * claims[i].unit_cost;
            needs += (double)claims[i].need * claims[i].unit_cost;
            least += base;
        }
        double per_hour = chance(4) ? 0.5 * (double)chance(300) : INFINITY;
        int64_t replicas = chance(3) ? (int64_t)chance(200) : INT64_MAX;
        scale_budget_divide(claims, count, per_hour, replicas);
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_ge(claims[i].granted,
                             claims[i].min < claims[i].need ? claims[i].min : claims[i].need);
            ck_assert_int_le(claims[i].granted, claims[i].need);
            cost += (double)claims[i].granted * claims[i].unit_cost;
            granted += claims[i].granted;
        }
        ck_assert(cost <= fmax(per_hour, mins) + 1e-6);
        ck_assert(replicas == INT64_MAX || granted <= (replicas > least ? replicas : least));
        /* While one of a higher priority lacks something that could be paid, a lower one has its
         * min only. */
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < count; j++)
                if (claims[i].priority > claims[j].priority && claims[i].granted < claims[i].need &&
                    claims[j].granted > claims[j].min)
                    ck_assert_msg(per_hour - cost < claims[i].unit_cost + 1e-6 &&
                                      claims[j].unit_cost < claims[i].unit_cost,
                                  "round %d", round);
        if (needs <= per_hour && replicas == INT64_MAX)
            ck_assert_double_eq_tol(cost, needs, 1e-6);
    }
}
END_TEST

START_TEST(what_is_done_at_the_cap)
{
    ck_assert_int_eq(scale_budget_cut(SCALE_AT_CAP_NONE, 4, 9, 2), 9);
    ck_assert_int_eq(scale_budget_cut(SCALE_AT_CAP_ALERT, 4, 9, 2), 9);
    ck_assert_int_eq(scale_budget_cut(SCALE_AT_CAP_HOLD, 4, 9, 2), 4);
    ck_assert_int_eq(scale_budget_cut(SCALE_AT_CAP_HOLD, 4, 3, 2), 3);
    ck_assert_int_eq(scale_budget_cut(SCALE_AT_CAP_HOLD, 1, 9, 2), 2); /* never below min */
    ck_assert_int_eq(scale_budget_cut(SCALE_AT_CAP_HOLD, -1, 9, 2), 9);
    ck_assert_int_eq(scale_budget_cut(SCALE_AT_CAP_MINIMUM, 4, 9, 2), 2);
    ck_assert_int_eq(scale_budget_cut(SCALE_AT_CAP_MINIMUM, 4, 1, 2), 1); /* it adds nothing */
    struct scale_budget_settings settings;
    scale_budget_settings_init(&settings);
    settings.caps[SCALE_PERIOD_MONTH] = 100;
    settings.at_cap = SCALE_AT_CAP_MINIMUM;
    struct scale_budget_state state = {0};
    scale_budget_judge(&settings, (const double[]){99, 99.9}, "its", &state);
    ck_assert_int_eq(state.at_cap, SCALE_AT_CAP_NONE);
    scale_budget_judge(&settings, (const double[]){99, 100.5}, "its", &state);
    ck_assert_int_eq(state.at_cap, SCALE_AT_CAP_MINIMUM);
    ck_assert_str_eq(state.text, "its 100 of the month are spent (100.5); at_cap: minimum");
    settings.at_cap = SCALE_AT_CAP_ALERT; /* another's, which is less strict */
    scale_budget_judge(&settings, (const double[]){99, 100.5}, "budget x:", &state);
    ck_assert_int_eq(state.at_cap, SCALE_AT_CAP_MINIMUM);
}
END_TEST

/* ---- reading ---- */

static struct tw_arena *arena;
static struct tw_err err;
static struct scale_shared_budget *budgets;
static struct scale_settings *settings;
static size_t budget_count, count;

static enum tw_code parse(const char *scaler, const char *shared)
{
    char text[1024];
    struct tw_yaml *root = NULL;
    tw_arena_free(arena);
    arena = tw_arena_new(4096);
    snprintf(
        text, sizeof text,
        "scalers: [{name: web, load: x, capacity_per_replica: 1, max: 9, %s}]\nbudgets: [%s]\n",
        scaler, shared);
    unit_assert_ok(tw_yaml_parse(arena, "t.yml", tw_str(text), &root, &err), &err);
    enum tw_code code = scale_settings_parse(arena, "t.yml", tw_yaml_member(root, "scalers"),
                                             &settings, &count, &err);
    return code == TW_OK
               ? scale_shared_budgets_parse(arena, "t.yml", tw_yaml_member(root, "budgets"),
                                            tw_yaml_member(root, "scalers"), &budgets,
                                            &budget_count, &err)
               : code;
}

START_TEST(is_read)
{
    unit_assert_ok(parse("cost_per_hour: 0.12, budget: {per_day: 40, at_cap: hold, shared: shop, "
                         "priority: 5, utc_offset: '+01:00'}",
                         "{name: shop, per_hour: 6, replicas: 30, per_month: 900, at_cap: alert}"),
                   &err);
    const struct scale_budget_settings *budget = &settings[0].budget;
    ck_assert_double_eq(settings[0].cost_per_hour, 0.12);
    ck_assert_double_eq(budget->caps[SCALE_PERIOD_DAY], 40);
    ck_assert(isinf(budget->caps[SCALE_PERIOD_MONTH]));
    ck_assert_int_eq(budget->at_cap, SCALE_AT_CAP_HOLD);
    ck_assert_int_eq(budget->offset_ms, 3600000);
    ck_assert_int_eq(budget->priority, 5);
    unit_assert_str(budget->shared, "shop");
    ck_assert_uint_eq(budget_count, 1);
    ck_assert_double_eq(budgets[0].per_hour, 6);
    ck_assert_int_eq(budgets[0].replicas, 30);
    ck_assert_int_eq(budgets[0].caps.at_cap, SCALE_AT_CAP_ALERT);
    unit_assert_ok(parse("min: 1", ""), &err);
    ck_assert_uint_eq(budget_count, 0);
}
END_TEST

START_TEST(mistakes)
{
    static const char *const wrong[][3] = {
        {"budget: {per_day: 4, at_cap: hold}", "", "what does it cost"},
        {"cost_per_hour: 1, budget: {per_day: 4}", "", "say what happens when the cap is reached"},
        {"cost_per_hour: 1, budget: {at_cap: hold}", "", "at_cap goes with per_day"},
        {"cost_per_hour: 1, budget: {per_day: 4, at_cap: stop}", "", "use hold, minimum or alert"},
        {"cost_per_hour: 1, budget: {per_day: -4, at_cap: hold}", "", "more than 0"},
        {"cost_per_hour: 1, budget: {}", "", "the budget is empty"},
        {"cost_per_hour: 1, budget: {per_day: 4, at_cap: hold, priority: 3}", "",
         "priority goes with shared"},
        {"cost_per_hour: 1, budget: {shared: shop}", "", "there is no budget 'shop'"},
        {"cost_per_hour: -1", "", "0 or more"},
        {"cost_per_hour: 1, pools: [{name: a, cost_per_hour: 1}]", "", "its own cost_per_hour"},
        {"pools: [{name: a}], budget: {per_day: 4, at_cap: hold}", "", "what does it cost"},
        {"min: 1", "{name: shop}", "limits nothing"},
        {"min: 1", "{name: a, replicas: 3}, {name: a, replicas: 3}", "two budgets of the name 'a'"},
        {"min: 1", "{replicas: 3}", "needs a name"},
        {"min: 1", "{name: a, replicas: 3, per_week: 2}", "per_week"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        unit_assert_code(parse(wrong[i][0], wrong[i][1]), TW_CONFIG);
        unit_assert_contains(err.message, wrong[i][2]);
        unit_assert_contains(err.message, "t.yml:");
    }
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(the_higher_priority_first),
                                      UNIT_CASE(ties_in_proportion),
                                      UNIT_CASE(properties),
                                      UNIT_CASE(what_is_done_at_the_cap),
                                      UNIT_CASE(is_read),
                                      UNIT_CASE(mistakes),
                                      {0}};
    return unit_run("autoscaler/budget", cases);
}
