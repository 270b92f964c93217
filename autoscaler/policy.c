/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/policy.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"

/* Soon after a scale-out, a scale-in to more than this share of the replicas is not worth a
 * reversal. */
#define SURPLUS_SHARE 0.55
/* Soon after a scale-in, a forecast that is exceeded by less than this is not worth one either; the
 * present load always is. */
#define REVERSAL_TOLERANCE 0.03
/* A surplus below this share of the doubt that is left in the forecast is not worth a change. */
#define DOUBT_SHARE 0.8
#define DOUBT_TOLERANCE_MAX 0.3
/* A rise that asks for less than this on top of what there is, is left to forecast and floor. */
#define RUSH_SHARE_MIN 0.1

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

static size_t until(const struct scale_moment *moments, size_t count, int64_t now_ms)
{
    while (count && moments[count - 1].time_ms > now_ms)
        count--;
    return count;
}

void scale_policy_rewind(struct scale_policy *policy, int64_t now_ms)
{
    policy->wanted_count = until(policy->wanted, policy->wanted_count, now_ms);
    policy->change_count = until(policy->changes, policy->change_count, now_ms);
}

/* Time of the last change in one direction. */
static int64_t last_change(const struct scale_policy *policy, int sign)
{
    for (size_t i = policy->change_count; i > 0; i--)
        if (policy->changes[i - 1].replicas * sign > 0)
            return policy->changes[i - 1].time_ms;
    return INT64_MIN / 2;
}

/* ---- guards ---- */

/* A rise of the forecast that the replicas there are almost carry. */
static int64_t guard_tolerance(const struct scale_policy *policy,
                               const struct scale_settings *settings,
                               struct scale_decision *decision, int64_t n)
{
    int64_t current = decision->from;
    if (n <= current || current <= 0 || isnan(decision->used) || !(decision->capacity > 0))
        return n;
    bool reversal = decision->time_ms - last_change(policy, -1) < settings->settle_ms;
    double tolerance = settings->up.tolerance;
    if (reversal)
        tolerance = fmax(tolerance, REVERSAL_TOLERANCE);
    if (decision->used > (double)current * decision->capacity * (1 + tolerance))
        return n;
    scale_decision_note(decision, SCALE_GUARD_TOLERANCE, n, current,
                        "%lld carry the forecast to within %g %%", (long long)current,
                        100 * tolerance);
    return current;
}

static int64_t guard_trend(struct scale_decision *decision, int64_t trend, int64_t n)
{
    int64_t current = decision->from;
    if (current > 0 && trend > current && (double)trend < (1 + RUSH_SHARE_MIN) * (double)current)
        trend = current; /* it may hold what there is */
    if (trend <= n)
        return n;
    scale_decision_note(decision, SCALE_GUARD_TREND, n, trend,
                        "the load rises faster than was forecast; carried on it needs %lld",
                        (long long)trend);
    return trend;
}

static int64_t guard_season(struct scale_decision *decision, int64_t n)
{
    int64_t current = decision->from, recalled = decision->recalled, result = recalled;
    if (current > 0 && recalled > current &&
        (double)recalled < (1 + RUSH_SHARE_MIN) * (double)current)
        result = current; /* no sharp rise: it may hold what there is */
    if (result <= n)
        return n;
    scale_decision_note(decision, SCALE_GUARD_SEASON, n, result,
                        "at this time of the last periods it rose to what needs %lld",
                        (long long)recalled);
    return result;
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

/* What a scale-in may go down to: the forecast says how far, where there is one; the window looks
 * back, where there is none or where it was asked for. */
static int64_t kept(const struct scale_policy *policy, const struct scale_settings *settings,
                    struct scale_decision *decision, int64_t n)
{
    int64_t now = decision->time_ms, keep = n, since = now;
    if (decision->later >= 0 && decision->later > keep)
        keep = decision->later;
    bool ahead = keep > n;
    if (decision->later < 0 || settings->down.window_given)
        for (size_t i = 0; i < policy->wanted_count; i++) {
            const struct scale_moment *moment = &policy->wanted[i];
            if (moment->time_ms > now - settings->down.window_ms && moment->replicas >= keep) {
                ahead = ahead && moment->replicas == keep;
                keep = moment->replicas;
                since = moment->time_ms;
            }
        }
    if (keep > decision->from)
        keep = decision->from;
    if (ahead)
        scale_decision_note(decision, SCALE_GUARD_FORECAST, n, keep,
                            "%lld may be needed within the next %lld s", (long long)keep,
                            (long long)(settings->settle_ms / 1000));
    else
        scale_decision_note(
            decision, SCALE_GUARD_STABILISATION, n, keep,
            "%lld were needed %lld s ago; scale-in waits until %lld s passed without",
            (long long)keep, (long long)((now - since) / 1000),
            (long long)(settings->down.window_ms / 1000));
    return keep;
}

/* How small a surplus is not worth a change: what was set, or what the next look may well take
 * back, as the forecast is that much in doubt. */
static double tolerance_in(const struct scale_settings *settings,
                           const struct scale_decision *decision)
{
    if (decision->later <= 0 || !(decision->q50 > 0))
        return settings->down.tolerance;
    double doubt = (double)decision->later * decision->capacity / decision->q50 - 1;
    return fmax(settings->down.tolerance, fmin(DOUBT_SHARE * doubt, DOUBT_TOLERANCE_MAX));
}

/* A scale-in that is worth the change: not right after a scale-out, unless much is too much, and
 * not within the tolerance. */
static int64_t guard_reversal(const struct scale_policy *policy,
                              const struct scale_settings *settings,
                              struct scale_decision *decision, int64_t n)
{
    int64_t current = decision->from, ago = decision->time_ms - last_change(policy, 1);
    double tolerance = tolerance_in(settings, decision);
    int64_t result = n;
    if (n >= current)
        return n;
    if (decision->later >= 0 && ago < settings->settle_ms &&
        (double)n > SURPLUS_SHARE * (double)current) {
        result = current;
        scale_decision_note(decision, SCALE_GUARD_REVERSAL, n, result,
                            "it scaled out %lld s ago; small surpluses wait %lld s (settle)",
                            (long long)(ago / 1000), (long long)(settings->settle_ms / 1000));
    } else if ((double)n > (1 - tolerance) * (double)current) {
        result = current;
        scale_decision_note(decision, SCALE_GUARD_TOLERANCE, n, result,
                            "the surplus is within %.3g %%, which the forecast may be wrong by",
                            100 * tolerance);
    }
    return result;
}

/* I3, and the same upwards when a window is set there. */
static int64_t guard_stabilisation(const struct scale_policy *policy,
                                   const struct scale_settings *settings,
                                   struct scale_decision *decision, int64_t n)
{
    int64_t now = decision->time_ms, current = decision->from, lowest = n;
    if (current < 0 || n == current)
        return n;
    if (n < current)
        return guard_reversal(policy, settings, decision, kept(policy, settings, decision, n));
    for (size_t i = 0; i < policy->wanted_count; i++)
        if (policy->wanted[i].time_ms > now - settings->up.window_ms &&
            policy->wanted[i].replicas < lowest)
            lowest = policy->wanted[i].replicas;
    int64_t result = settings->up.window_ms == 0 ? n : lowest > current ? lowest : current;
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
    int64_t min = decision->min, max = decision->max;
    int64_t result = n < min ? min : n;
    scale_decision_note(decision, SCALE_GUARD_MIN, n, result, "min is %lld%s", (long long)min,
                        min == settings->min ? "" : " by schedule");
    n = result;
    result = n > max ? max : n;
    scale_decision_note(decision, SCALE_GUARD_MAX, n, result, "max is %lld%s", (long long)max,
                        max == settings->max ? "" : " by schedule");
    return result;
}

/* I4 */
static int64_t guard_pause(const struct scale_policy *policy, struct scale_decision *decision,
                           int64_t n)
{
    int64_t current = decision->from, result = n;
    if (policy->is_set) {
        scale_decision_note(decision, SCALE_GUARD_PAUSE, n, policy->set_replicas,
                            "somebody said that there shall be %lld",
                            (long long)policy->set_replicas);
        return policy->set_replicas;
    }
    if (current >= 0 && ((policy->hold_in && n < current) || (policy->hold_out && n > current)))
        result = current;
    scale_decision_note(decision, SCALE_GUARD_PAUSE, n, result, "scale-%s is paused",
                        n < current ? "in" : "out");
    return result;
}

void scale_policy_decide(struct scale_policy *policy, const struct scale_settings *settings,
                         int64_t trend, struct scale_decision *decision)
{
    int64_t now = decision->time_ms, keep = settings->down.window_ms;
    if (keep < settings->up.window_ms)
        keep = settings->up.window_ms;
    int64_t n = decision->wanted;
    n = guard_tolerance(policy, settings, decision, n);
    n = guard_trend(decision, trend, n);
    n = guard_season(decision, n);
    n = guard_floor(decision, n);
    n = guard_data(decision, n);
    remember(policy->wanted, &policy->wanted_count, now, n, keep);
    n = guard_stabilisation(policy, settings, decision, n);
    n = guard_rate(policy, settings, decision, n);
    n = guard_limits(settings, decision, n);
    TW_ASSERT(n >= decision->min && n <= decision->max);
    n = guard_pause(policy, decision, n);
    decision->to = n;
    if (decision->from >= 0 && n != decision->from)
        remember(policy->changes, &policy->change_count, now, n - decision->from,
                 SCALE_PERIOD_MS_MAX);
}
