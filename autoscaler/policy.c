/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/policy.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

/* A scale-in to this share of the replicas or less is worth doing before the window is over; small
 * steps wait, so that replicas do not come and go with the noise. */
#define SHORTCUT_SHARE 0.85

void scale_policy_init(struct scale_policy *policy)
{
    memset(policy, 0, sizeof *policy);
}

static void remember(struct scale_moment *moments, size_t *count, int64_t time_ms, int64_t replicas,
                     int64_t keep_ms)
{
    size_t old = 0;
    while (old < *count && moments[old].time_ms <= time_ms - keep_ms)
        old++;
    if (*count - old == SCALE_WINDOW_ENTRIES_MAX)
        old++;
    *count -= old;
    memmove(moments, moments + old, *count * sizeof *moments);
    moments[(*count)++] = (struct scale_moment){time_ms, replicas};
}

/* ---- guards ---- */

static int64_t guard_trend(struct scale_decision *decision, int64_t trend, int64_t n)
{
    if (trend <= n)
        return n;
    scale_decision_note(decision, SCALE_GUARD_TREND, n, trend,
                        "the load rises faster than was forecast; carried on it needs %lld",
                        (long long)trend);
    return trend;
}

static int64_t guard_season(struct scale_decision *decision, int64_t n)
{
    if (decision->recalled <= n)
        return n;
    scale_decision_note(decision, SCALE_GUARD_SEASON, n, decision->recalled,
                        "at this time of the last periods it rose to what needs %lld",
                        (long long)decision->recalled);
    return decision->recalled;
}

static int64_t guard_floor(struct scale_decision *decision, int64_t n)
{
    if (decision->reactive <= n)
        return n;
    scale_decision_note(decision, SCALE_GUARD_FLOOR, n, decision->reactive,
                        "the present load alone needs %lld", (long long)decision->reactive);
    return decision->reactive;
}

static int64_t guard_data(struct scale_decision *decision, int64_t n)
{
    if (decision->data == SCALE_DATA_OK || decision->from < 0 || n >= decision->from)
        return n;
    scale_decision_note(decision, SCALE_GUARD_DATA, n, decision->from,
                        "the data is %s: no scale-in until it is good again",
                        scale_data_name(decision->data));
    return decision->from;
}

/* I3, and the same upwards when a window is set there. */
static int64_t guard_stabilisation(const struct scale_policy *policy,
                                   const struct scale_settings *settings,
                                   struct scale_decision *decision, int64_t n)
{
    int64_t now = decision->time_ms, current = decision->from, highest = n, lowest = n, since = now;
    if (current < 0)
        return n;
    for (size_t i = 0; i < policy->wanted_count; i++) {
        const struct scale_moment *moment = &policy->wanted[i];
        if (moment->time_ms > now - settings->down.window_ms && moment->replicas >= highest) {
            highest = moment->replicas;
            since = moment->time_ms;
        }
        if (moment->time_ms > now - settings->up.window_ms && moment->replicas < lowest)
            lowest = moment->replicas;
    }
    int64_t result = n;
    /* The window looks back to see whether a fall lasts; where the forecast can be trusted to look
     * forward over the same span, what it sees is enough. */
    int64_t ahead = decision->later > n ? decision->later : n;
    if (decision->later >= 0 && (double)ahead <= SHORTCUT_SHARE * (double)current &&
        ahead < highest)
        highest = ahead;
    if (n < current)
        result = highest < current ? highest : current;
    else if (n > current && settings->up.window_ms > 0)
        result = lowest > current ? lowest : current;
    if (result > n)
        scale_decision_note(
            decision, SCALE_GUARD_STABILISATION, n, result,
            "%lld were needed %lld s ago; scale-in waits until %lld s passed without",
            (long long)highest, (long long)((now - since) / 1000),
            (long long)(settings->down.window_ms / 1000));
    else
        scale_decision_note(decision, SCALE_GUARD_STABILISATION, n, result,
                            "scale-out waits until %lld s agree on it",
                            (long long)(settings->up.window_ms / 1000));
    return result;
}

/* Sum of the changes in one direction within the period. */
static int64_t changed(const struct scale_policy *policy, int64_t since_ms, int sign)
{
    int64_t sum = 0;
    for (size_t i = 0; i < policy->change_count; i++)
        if (policy->changes[i].time_ms > since_ms && policy->changes[i].replicas * sign > 0)
            sum += policy->changes[i].replicas * sign;
    return sum;
}

/* As the HPA reckons: from the replicas at the start of each limit's period. */
static int64_t guard_rate(const struct scale_policy *policy, const struct scale_settings *settings,
                          struct scale_decision *decision, int64_t n)
{
    int64_t current = decision->from, now = decision->time_ms;
    if (current < 0 || n == current)
        return n;
    int sign = n > current ? 1 : -1;
    const struct scale_direction *direction = sign > 0 ? &settings->up : &settings->down;
    if (direction->disabled) {
        scale_decision_note(decision, SCALE_GUARD_RATE, n, current, "scale-%s is disabled",
                            sign > 0 ? "out" : "in");
        return current;
    }
    if (!direction->limit_count)
        return n;
    int64_t bound = 0;
    for (size_t k = 0; k < direction->limit_count; k++) {
        const struct scale_limit *limit = &direction->limits[k];
        int64_t since = now - limit->period_ms;
        int64_t base = current - changed(policy, since, 1) + changed(policy, since, -1);
        double step =
            limit->percent ? (double)base * (double)limit->value / 100 : (double)limit->value;
        int64_t reach = sign > 0 ? (int64_t)ceil((double)base + step - 1e-9)
                                 : (int64_t)floor((double)base - step + 1e-9);
        bool wider = k == 0 || (sign > 0 ? reach > bound : reach < bound);
        if (k == 0 || wider != direction->select_min)
            bound = reach;
    }
    /* Doubling zero replicas gives none: a start is always allowed. */
    if (sign > 0 && bound < 1)
        bound = 1;
    int64_t result = sign > 0 ? (n < bound         ? n
                                 : bound > current ? bound
                                                   : current)
                              : (n > bound         ? n
                                 : bound < current ? bound
                                                   : current);
    scale_decision_note(decision, SCALE_GUARD_RATE, n, result,
                        "no more than that may change at once (behavior.%s.policies)",
                        sign > 0 ? "scaleUp" : "scaleDown");
    return result;
}

static int64_t guard_limits(const struct scale_settings *settings, struct scale_decision *decision,
                            int64_t n)
{
    int64_t result = n < settings->min ? settings->min : n;
    scale_decision_note(decision, SCALE_GUARD_MIN, n, result, "min is %lld",
                        (long long)settings->min);
    n = result;
    result = n > settings->max ? settings->max : n;
    scale_decision_note(decision, SCALE_GUARD_MAX, n, result, "max is %lld",
                        (long long)settings->max);
    return result;
}

void scale_policy_decide(struct scale_policy *policy, const struct scale_settings *settings,
                         int64_t trend, struct scale_decision *decision)
{
    int64_t now = decision->time_ms, keep = settings->down.window_ms;
    if (keep < settings->up.window_ms)
        keep = settings->up.window_ms;
    int64_t n = decision->wanted;
    n = guard_trend(decision, trend, n);
    n = guard_season(decision, n);
    n = guard_floor(decision, n);
    n = guard_data(decision, n);
    remember(policy->wanted, &policy->wanted_count, now, n, keep);
    n = guard_stabilisation(policy, settings, decision, n);
    n = guard_rate(policy, settings, decision, n);
    n = guard_limits(settings, decision, n);
    decision->to = n;
    if (decision->from >= 0 && n != decision->from)
        remember(policy->changes, &policy->change_count, now, n - decision->from,
                 SCALE_PERIOD_MS_MAX);
    TW_ASSERT(n >= settings->min && n <= settings->max);
}
