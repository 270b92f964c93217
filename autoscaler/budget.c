/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/budget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "autoscaler/record.h"
#include "base/assert.h"

const char *scale_at_cap_name(enum scale_at_cap at_cap)
{
    static const char *const names[] = {
#define SCALE_AT_CAP_TEXT(name, text) text,
        SCALE_AT_CAP_TABLE(SCALE_AT_CAP_TEXT)
#undef SCALE_AT_CAP_TEXT
    };
    TW_ASSERT((size_t)at_cap < sizeof names / sizeof *names);
    return names[at_cap];
}

/* ---- sharing ---- */

/* Replicas that still fit. */
static int64_t room(double money, int64_t replicas, double unit_cost)
{
    double affordable = unit_cost > 0 ? floor(money / unit_cost + 1e-9) : INFINITY;
    return affordable < 0                  ? 0
           : affordable < (double)replicas ? (int64_t)affordable
                                           : (replicas > 0 ? replicas : 0);
}

struct rest {
    double money;
    int64_t replicas;
};

static void grant(struct scale_claim *claim, int64_t more, struct rest *rest)
{
    claim->granted += more;
    rest->money -= (double)more * claim->unit_cost;
    if (rest->replicas != INT64_MAX)
        rest->replicas -= more;
}

/* Whether one more can be paid. */
static bool is_open(const struct scale_claim *claim, int64_t priority, const struct rest *rest)
{
    return claim->priority == priority && claim->granted < claim->need &&
           room(rest->money, rest->replicas, claim->unit_cost) > 0;
}

/* Those of one priority: each the same part of what it lacks, then one more each, the largest
 * remainders first. Returns whether anything was granted: what the dear ones cannot take is then
 * divided again. */
static bool divide_once(struct scale_claim *claims, size_t count, int64_t priority,
                        double *remainders, struct rest *rest)
{
    double lack = 0, cost = 0, part = 1;
    bool granted = false;
    for (size_t i = 0; i < count; i++)
        if (is_open(&claims[i], priority, rest)) {
            double more = (double)(claims[i].need - claims[i].granted);
            lack += more;
            cost += more * claims[i].unit_cost;
        }
    if (cost > 0 && cost > rest->money)
        part = fmax(rest->money, 0) / cost;
    if (rest->replicas != INT64_MAX && lack > 0)
        part = fmin(part, fmax((double)rest->replicas, 0) / lack);
    const struct rest before = *rest;
    for (size_t i = 0; i < count; i++) {
        remainders[i] = -1;
        if (!is_open(&claims[i], priority, &before))
            continue;
        double quota = part * (double)(claims[i].need - claims[i].granted);
        int64_t whole = (int64_t)floor(quota + 1e-9);
        remainders[i] = fmax(quota - (double)whole, 0);
        grant(&claims[i], whole, rest);
        granted = granted || whole > 0;
    }
    for (;;) {
        size_t best = count;
        for (size_t i = 0; i < count; i++)
            if (remainders[i] >= 0 && is_open(&claims[i], priority, rest) &&
                (best == count || remainders[i] > remainders[best] + 1e-9))
                best = i;
        if (best == count)
            return granted;
        grant(&claims[best], 1, rest);
        remainders[best] = -1;
        granted = true;
    }
}

static void divide_class(struct scale_claim *claims, size_t count, int64_t priority,
                         struct rest *rest)
{
    double *remainders = calloc(count + 1, sizeof *remainders);
    TW_ASSERT(remainders != NULL);
    while (divide_once(claims, count, priority, remainders, rest))
        ;
    free(remainders);
}

void scale_budget_divide(struct scale_claim *claims, size_t count, double per_hour,
                         int64_t replicas)
{
    struct rest rest = {per_hour, replicas};
    for (size_t i = 0; i < count; i++) {
        claims[i].granted = 0;
        grant(&claims[i], claims[i].min < claims[i].need ? claims[i].min : claims[i].need, &rest);
    }
    int64_t below = INT64_MAX;
    for (;;) { /* from the highest priority down */
        int64_t priority = INT64_MIN;
        for (size_t i = 0; i < count; i++)
            if (claims[i].priority < below && claims[i].priority > priority)
                priority = claims[i].priority;
        if (priority == INT64_MIN)
            return;
        divide_class(claims, count, priority, &rest);
        below = priority;
    }
}

/* ---- caps ---- */

void scale_budget_judge(const struct scale_budget_settings *settings, const double *spent,
                        const char *whose, struct scale_budget_state *state)
{
    for (int p = 0; p < SCALE_PERIODS; p++)
        if (settings->at_cap != SCALE_AT_CAP_NONE && spent[p] >= settings->caps[p] &&
            state->at_cap < settings->at_cap) {
            state->at_cap = settings->at_cap;
            snprintf(state->text, sizeof state->text,
                     "%s %.6g of the %s are spent (%.6g); at_cap: %s", whose, settings->caps[p],
                     scale_period_names[p], spent[p], scale_at_cap_name(settings->at_cap));
        }
}

int64_t scale_budget_cut(enum scale_at_cap at_cap, int64_t from, int64_t to, int64_t min)
{
    int64_t cut = to;
    if (at_cap == SCALE_AT_CAP_HOLD && from >= 0 && to > from)
        cut = from;
    if (at_cap == SCALE_AT_CAP_MINIMUM)
        cut = min;
    return cut < min ? (min < to ? min : to) : cut < to ? cut : to;
}

/* ---- as JSON and bytes ---- */

void scale_budget_write_json(const struct scale_budget_state *state, struct tw_json_writer *writer)
{
    tw_json_key(writer, TW_STR("budget"));
    if (!state->known) {
        tw_json_write_null(writer);
        return;
    }
    tw_json_begin_object(writer);
    tw_json_member_number(writer, "cost_per_hour", state->cost_per_hour);
    for (int p = 0; p < SCALE_PERIODS; p++) {
        tw_json_key(writer, tw_str(scale_period_names[p]));
        tw_json_begin_object(writer);
        tw_json_member_number(writer, "spent", state->spent[p]);
        tw_json_member_number(writer, "forecast", state->forecast[p]);
        tw_json_member_number(writer, "cap", state->caps[p]); /* null: none */
        tw_json_end_object(writer);
    }
    tw_json_member_cstr(writer, "at_cap", scale_at_cap_name(state->at_cap));
    tw_json_member_cstr(writer, "text", state->text);
    tw_json_end_object(writer);
}

void scale_budget_encode(const struct scale_budget_state *state, struct tw_buf *ret_bytes)
{
    scale_record_put(ret_bytes, state->known, 1);
    if (!state->known)
        return;
    scale_record_put(ret_bytes, state->at_cap, 1);
    scale_record_put_double(ret_bytes, state->cost_per_hour);
    for (int p = 0; p < SCALE_PERIODS; p++) {
        scale_record_put_double(ret_bytes, state->spent[p]);
        scale_record_put_double(ret_bytes, state->forecast[p]);
        scale_record_put_double(ret_bytes, state->caps[p]);
    }
    scale_record_put_text(ret_bytes, state->text);
}

bool scale_budget_decode(struct tw_str *rest, struct scale_budget_state *ret)
{
    struct scale_reader reader = scale_reader_of(*rest);
    *ret = (struct scale_budget_state){0};
    ret->known = scale_record_take_enum(&reader, 1);
    if (ret->known) {
        ret->at_cap = (enum scale_at_cap)scale_record_take_enum(&reader, SCALE_AT_CAP_MINIMUM);
        ret->cost_per_hour = scale_record_take_double(&reader);
        for (int p = 0; p < SCALE_PERIODS; p++) {
            ret->spent[p] = scale_record_take_double(&reader);
            ret->forecast[p] = scale_record_take_double(&reader);
            ret->caps[p] = scale_record_take_double(&reader);
        }
        scale_record_take_text(&reader, ret->text, sizeof ret->text);
    }
    *rest = (struct tw_str){(const char *)reader.at, (size_t)(reader.end - reader.at)};
    return !reader.bad;
}
