/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/fleet.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/record.h"
#include "base/assert.h"

#define FAILED_PAUSE_MS 60000   /* after a final answer, before something new is sent */
#define FOLLOW_MS 120000        /* beyond the start-up time: by then replicas should have come */
#define STATE_MAGIC 0x46444331u /* "1CDF" on disk */
#define STATE_VERSION 1

/* ---- life ---- */

struct scale_fleet *scale_fleet_new(const struct scale_settings *settings)
{
    if (settings->fleet.kind == SCALE_FLEET_NONE)
        return NULL;
    struct scale_fleet *fleet = calloc(1, sizeof *fleet);
    TW_ASSERT(fleet != NULL && settings->fleet.count <= SCALE_POOLS_MAX);
    fleet->settings = settings;
    fleet->count = settings->fleet.count;
    fleet->asked = -1;
    fleet->mix.replicas = -1;
    for (size_t i = 0; i < fleet->count; i++)
        fleet->members[i] = (struct scale_fleet_member){.settings = &settings->fleet.members[i],
                                                        .to = -1,
                                                        .planned = -1,
                                                        .attempt_ms = INT64_MAX,
                                                        .seen = {.replicas = -1, .ready = -1},
                                                        .served = -1};
    return fleet;
}

struct scale_fleet *scale_fleet_free(struct scale_fleet *fleet)
{
    free(fleet);
    return NULL;
}

static struct scale_fleet_member *find(struct scale_fleet *fleet, struct tw_str name)
{
    for (size_t i = 0; i < fleet->count; i++)
        if (tw_str_equal(fleet->members[i].settings->name, name))
            return &fleet->members[i];
    return NULL;
}

void scale_fleet_take_over(struct scale_fleet *fleet, const struct scale_fleet *old)
{
    if (!fleet || !old)
        return;
    for (size_t i = 0; i < old->count; i++) {
        struct scale_fleet_member *member = find(fleet, old->members[i].settings->name);
        const struct scale_member *settings = member ? member->settings : NULL;
        if (!member)
            continue;
        *member = old->members[i];
        member->settings = settings;
    }
    fleet->asked = old->asked;
    fleet->changed = true;
}

size_t scale_fleet_find(const struct scale_fleet *fleet, struct tw_str name)
{
    size_t slash = tw_str_find(name, TW_STR("/")), i = 0;
    struct tw_str own = slash == SIZE_MAX ? name : tw_str_slice(name, slash + 1, name.size);
    while (i < fleet->count && !tw_str_equal(fleet->members[i].settings->name, own))
        i++;
    return i;
}

static struct scale_pool_rules rules_of(const struct scale_fleet *fleet)
{
    struct scale_pool_rules rules = fleet->settings->fleet.rules;
    if (!rules.patience_ms)
        rules.patience_ms = fleet->settings->startup_ms + FOLLOW_MS;
    return rules;
}

/* ---- what the targets say ---- */

static bool is_fresh(const struct scale_fleet *fleet, const struct scale_fleet_member *member,
                     int64_t now_ms)
{
    return member->seen.replicas >= 0 && now_ms >= member->seen.time_ms &&
           now_ms - member->seen.time_ms <=
               2 * fleet->settings->tick_ms + member->settings->target.timeout_ms;
}

static int64_t present(const struct scale_fleet_member *member)
{
    return member->to >= 0              ? member->to
           : member->seen.replicas >= 0 ? member->seen.replicas
                                        : member->planned;
}

/* What serves there as far as anybody knows. A target that fails cannot say it: then what served at
 * the last look counts, for replicas do not end because their target cannot be reached. */
static int64_t still_there(const struct scale_fleet *fleet, const struct scale_fleet_member *member,
                           int64_t now_ms)
{
    bool fresh = is_fresh(fleet, member, now_ms);
    int64_t told = present(member), ready = fresh ? member->seen.ready : member->served;
    if (!fresh && !scale_target_reads(&member->settings->target))
        return 0;
    if (!fresh && member->action != SCALE_ACTION_DELIVERED && member->from < told)
        told = member->from; /* it did not take the last order */
    if (!fresh && ready < 0)
        ready = told; /* as after a restart */
    if (told >= 0 && told < ready)
        ready = told;
    return ready > 0 ? ready : 0;
}

void scale_fleet_fill(const struct scale_fleet *fleet, struct scale_observation *observation)
{
    int64_t replicas = 0, ready = 0;
    bool settled = fleet->settings->mode == SCALE_ACT;
    for (size_t i = 0; i < fleet->count; i++) {
        const struct scale_fleet_member *member = &fleet->members[i];
        if (!is_fresh(fleet, member, observation->now_ms)) {
            if (member->health.state == SCALE_POOL_SERVING)
                return; /* the sum is not known */
            int64_t there = still_there(fleet, member, observation->now_ms);
            replicas += there * member->settings->carries;
            ready += there * member->settings->carries;
            settled = false;
            continue;
        }
        replicas += member->seen.replicas * member->settings->carries;
        ready += (member->seen.ready > 0 ? member->seen.ready : 0) * member->settings->carries;
        settled = settled && member->seen.replicas == member->to;
    }
    /* What instances carry beyond the need, and what is probed, was not asked for. */
    if (settled && fleet->asked >= 0 && fleet->asked < replicas)
        replicas = fleet->asked;
    if (!fleet->settings->replicas.size)
        observation->replicas = replicas;
    if (!fleet->settings->ready.size)
        observation->ready = ready < replicas ? ready : replicas;
}

/* ---- shares ---- */

static void explain(const struct scale_fleet_member *member, double weights, bool all_out,
                    struct scale_share *share)
{
    const struct scale_member *settings = member->settings;
    if (member->health.state != SCALE_POOL_SERVING)
        snprintf(share->why, sizeof share->why, "%s: %s",
                 all_out ? "all are out" : scale_pool_state_name(member->health.state),
                 member->health.why);
    else if (settings->weight == 0)
        snprintf(share->why, sizeof share->why, "a spare: used when the others are full");
    else
        snprintf(share->why, sizeof share->why, "weight %g of %g%s", settings->weight, weights,
                 share->after >= settings->max   ? ", at its max"
                 : share->after <= settings->min ? ", at its min"
                                                 : "");
}

static void share_pools(struct scale_fleet *fleet, struct scale_decision *decision, bool all_out)
{
    struct scale_allocation *allocation = &decision->allocation;
    struct scale_pool pools[SCALE_POOLS_MAX];
    int64_t shares[SCALE_POOLS_MAX];
    double weights = 0;
    for (size_t i = 0; i < fleet->count; i++) {
        const struct scale_fleet_member *member = &fleet->members[i];
        int64_t before = present(member);
        bool out = member->health.state != SCALE_POOL_SERVING;
        pools[i] = (struct scale_pool){member->settings->weight, member->settings->min,
                                       member->settings->max, before > 0 ? before : 0, out};
        weights += out && !all_out ? 0 : member->settings->weight;
    }
    allocation->placed = scale_pool_share(pools, fleet->count, decision->to, shares);
    for (size_t i = 0; i < fleet->count; i++) {
        allocation->shares[i].after = shares[i];
        explain(&fleet->members[i], weights, all_out, &allocation->shares[i]);
    }
    if (all_out)
        snprintf(allocation->text, sizeof allocation->text,
                 "every pool is out: all are tried, each with its share");
    else if (allocation->placed < decision->to)
        snprintf(allocation->text, sizeof allocation->text,
                 "the pools that are not out hold %lld of %lld replicas",
                 (long long)allocation->placed, (long long)decision->to);
    else if (allocation->placed > decision->to)
        snprintf(allocation->text, sizeof allocation->text,
                 "the pools' min come to %lld, %lld were needed", (long long)allocation->placed,
                 (long long)decision->to);
}

static void pose_mix(const struct scale_fleet *fleet, struct scale_mix_type *types)
{
    const struct scale_fleet_settings *settings = &fleet->settings->fleet;
    memset(types, 0, SCALE_POOLS_MAX * sizeof *types); /* they are compared as bytes */
    for (size_t i = 0; i < fleet->count; i++) {
        const struct scale_fleet_member *member = &fleet->members[i];
        const struct scale_member *type = member->settings;
        int64_t before = present(member);
        types[i].cost = type->cost_per_hour;
        types[i].switch_cost =
            isnan(settings->switch_cost) ? type->cost_per_hour / 10 : settings->switch_cost;
        types[i].cpu = isnan(type->cpu) ? 0 : type->cpu;
        types[i].memory = isnan(type->memory) ? 0 : type->memory;
        types[i].carries = type->carries;
        types[i].min = type->min;
        types[i].max = type->max;
        types[i].before = before > 0 ? before : 0;
        types[i].out = member->health.state != SCALE_POOL_SERVING;
    }
}

static void share_types(struct scale_fleet *fleet, struct scale_decision *decision, bool all_out)
{
    struct scale_allocation *allocation = &decision->allocation;
    const struct scale_fleet_settings *settings = &fleet->settings->fleet;
    const struct scale_mix_limits limits = {settings->cpu_max, settings->memory_max,
                                            settings->count_max};
    struct scale_mix_type types[SCALE_POOLS_MAX];
    pose_mix(fleet, types);
    if (fleet->mix.replicas != decision->to || memcmp(types, fleet->mix.types, sizeof types) != 0) {
        scale_mix_choose(types, fleet->count, &limits, decision->to, &fleet->mix.answer);
        fleet->mix.replicas = decision->to;
        memcpy(fleet->mix.types, types, sizeof types);
    }
    const struct scale_mix *mix = &fleet->mix.answer;
    allocation->placed = mix->carried;
    for (size_t i = 0; i < fleet->count; i++) {
        const struct scale_fleet_member *member = &fleet->members[i];
        struct scale_share *share = &allocation->shares[i];
        share->after = mix->counts[i];
        if (member->health.state != SCALE_POOL_SERVING)
            snprintf(share->why, sizeof share->why, "%s: %s",
                     all_out ? "all are out" : scale_pool_state_name(member->health.state),
                     member->health.why);
        else
            snprintf(share->why, sizeof share->why,
                     "%lld replica%s each, %.4g per replica and hour%s",
                     (long long)types[i].carries, types[i].carries == 1 ? "" : "s",
                     types[i].cost / (double)types[i].carries,
                     share->after > 0 && share->after >= types[i].max   ? ", at its max"
                     : share->after > 0 && share->after <= types[i].min ? ", at its min"
                                                                        : "");
    }
    if (mix->text[0])
        snprintf(allocation->text, sizeof allocation->text, "%s", mix->text);
    else
        snprintf(allocation->text, sizeof allocation->text,
                 "no cheaper mix carries %lld replicas%s", (long long)decision->to,
                 all_out ? "; every type is out: all are tried" : "");
}

/* What a member that is out keeps: a replica as a probe; or what still serves there, until the
 * others' replicas have come up (I2, I3). */
static int64_t keep_out(const struct scale_fleet *fleet, struct scale_fleet_member *member,
                        int64_t needed, int64_t now_ms)
{
    const struct scale_member *settings = member->settings;
    int64_t probe = member->health.state != SCALE_POOL_PROBING ? 0
                    : settings->min > 1                        ? settings->min
                    : settings->max < 1                        ? settings->max
                                                               : 1;
    int64_t there = still_there(fleet, member, now_ms);
    if (there <= probe)
        return probe;
    if (!member->drain_ms || member->drain_ms > now_ms)
        member->drain_ms = now_ms;
    int64_t ready = 0;
    for (size_t i = 0; i < fleet->count; i++)
        if (fleet->members[i].health.state == SCALE_POOL_SERVING &&
            is_fresh(fleet, &fleet->members[i], now_ms) && fleet->members[i].seen.ready > 0)
            ready += fleet->members[i].seen.ready * fleet->members[i].settings->carries;
    bool over = ready >= needed || now_ms - member->drain_ms > rules_of(fleet).patience_ms;
    return over ? probe : there;
}

static void allocate(struct scale_fleet *fleet, struct scale_decision *decision)
{
    struct scale_allocation *allocation = &decision->allocation;
    struct scale_pool_rules rules = rules_of(fleet);
    int64_t now = decision->time_ms;
    bool all_out = true;
    for (size_t i = 0; i < fleet->count; i++) {
        struct scale_fleet_member *member = &fleet->members[i];
        struct scale_share *share = &allocation->shares[i];
        enum scale_pool_state before = member->health.state;
        scale_pool_health_tick(&member->health, &rules, now);
        fleet->changed = fleet->changed || before != member->health.state;
        all_out = all_out && member->health.state != SCALE_POOL_SERVING;
        snprintf(share->name, sizeof share->name, "%.*s", TW_STR_ARG(member->settings->name));
        bool fresh = is_fresh(fleet, member, now);
        share->before = present(member);
        share->replicas = fresh ? member->seen.replicas : -1;
        share->ready = fresh ? member->seen.ready : -1;
    }
    allocation->kind = fleet->settings->fleet.kind;
    allocation->count = fleet->count;
    if (allocation->kind == SCALE_FLEET_TYPES)
        share_types(fleet, decision, all_out);
    else
        share_pools(fleet, decision, all_out);
    allocation->cost_per_hour = 0;
    for (size_t i = 0; i < fleet->count; i++) {
        struct scale_fleet_member *member = &fleet->members[i];
        struct scale_share *share = &allocation->shares[i];
        if (member->health.state == SCALE_POOL_SERVING)
            member->drain_ms = 0;
        else if (!all_out)
            share->after = keep_out(fleet, member, decision->to, now);
        if (share->after > 0)
            allocation->cost_per_hour += (double)share->after * member->settings->cost_per_hour;
    }
}

/* ---- orders ---- */

/* Whether the member has to be told, and its order is made. */
static bool order(struct scale_fleet *fleet, struct scale_fleet_member *member, int64_t after,
                  const struct scale_decision *decision)
{
    int64_t now = decision->time_ms;
    bool standing = member->to == after && member->action != SCALE_ACTION_NONE;
    int64_t seen = is_fresh(fleet, member, now) && member->seen.time_ms >= member->action_ms
                       ? member->seen.replicas
                       : -1;
    if (standing && member->action == SCALE_ACTION_PENDING)
        return false;    /* on its way already */
    if (seen == after) { /* so it is, by whomever */
        member->followed = true;
        fleet->changed = fleet->changed || member->to != after;
        member->to = after;
        member->action = SCALE_ACTION_DELIVERED;
        member->attempt_ms = INT64_MAX;
        return false;
    }
    if (standing && member->action == SCALE_ACTION_DELIVERED &&
        (seen < 0 || (!member->followed && now - member->action_ms < rules_of(fleet).patience_ms)))
        return false; /* it has been told, and may still be at it */
    if (member->action == SCALE_ACTION_FAILED && now - member->action_ms < FAILED_PAUSE_MS)
        return false;
    member->from = seen >= 0 ? seen : member->to;
    member->to = after;
    member->action = SCALE_ACTION_PENDING;
    member->decided_ms = member->attempt_ms = now;
    member->attempts = 0;
    member->http_status = 0;
    member->error[0] = 0;
    member->followed = false;
    snprintf(member->key, sizeof member->key, "%.*s/%.*s-%" PRId64 "-%" PRId64,
             TW_STR_ARG(fleet->settings->name), TW_STR_ARG(member->settings->name), now, after);
    fleet->changed = true;
    return true;
}

void scale_fleet_order(struct scale_fleet *fleet, struct scale_decision *decision)
{
    decision->action = SCALE_ACTION_NONE;
    if (scale_decision_is_blind(decision))
        return;
    allocate(fleet, decision);
    bool changes = false, ordered = false, acts = fleet->settings->mode == SCALE_ACT;
    fleet->asked = decision->to;
    for (size_t i = 0; i < fleet->count; i++) {
        struct scale_fleet_member *member = &fleet->members[i];
        const struct scale_share *share = &decision->allocation.shares[i];
        member->planned = share->after;
        changes = changes || share->before != share->after;
        if (acts && member->settings->target.kind != SCALE_TARGET_NONE &&
            order(fleet, member, share->after, decision)) {
            if (!ordered)
                scale_order_key(fleet->settings->name, decision);
            ordered = true;
            memcpy(member->decision_key, decision->key, sizeof member->decision_key);
        } else if (!acts) {
            member->attempt_ms = INT64_MAX;
            member->to = -1;
            member->action = SCALE_ACTION_NONE;
        }
    }
    if (ordered)
        decision->action = SCALE_ACTION_PENDING;
    else if (changes && !acts)
        decision->action = SCALE_ACTION_OBSERVED;
}

void scale_fleet_forget(struct scale_fleet *fleet, int64_t decided_ms)
{
    for (size_t i = 0; i < fleet->count; i++) {
        struct scale_fleet_member *member = &fleet->members[i];
        if (member->action != SCALE_ACTION_PENDING || member->decided_ms != decided_ms ||
            member->attempts)
            continue;
        member->action = SCALE_ACTION_NONE;
        member->to = member->from;
        member->attempt_ms = INT64_MAX;
    }
    fleet->changed = true;
}

struct scale_attempt *scale_fleet_attempt(struct scale_fleet *fleet, size_t index,
                                          struct scale_means *means,
                                          const struct scale_decision *order_of, int64_t now_ms)
{
    TW_ASSERT(index < fleet->count);
    struct scale_fleet_member *member = &fleet->members[index];
    bool sets = member->action == SCALE_ACTION_PENDING && member->attempt_ms <= now_ms &&
                fleet->settings->mode == SCALE_ACT;
    if (member->seen.look_ms > now_ms + fleet->settings->tick_ms)
        member->seen.look_ms = now_ms; /* the clock was set back */
    bool looks = scale_target_reads(&member->settings->target) && member->seen.look_ms <= now_ms;
    if (member->under_way || member->settings->target.kind == SCALE_TARGET_NONE ||
        (!sets && !looks))
        return NULL;
    char name[SCALE_NAME_BYTES_MAX + SCALE_POOL_NAME_BYTES_MAX + 2];
    struct scale_settings settings = *fleet->settings;
    snprintf(name, sizeof name, "%.*s/%.*s", TW_STR_ARG(settings.name),
             TW_STR_ARG(member->settings->name));
    settings.name = tw_str(name);
    settings.target = member->settings->target;
    member->under_way = true;
    if (!sets) {
        member->seen.look_ms = now_ms + settings.tick_ms;
        return scale_attempt_new_look(means, &settings);
    }
    struct scale_decision decision = *order_of;
    if (strcmp(decision.key, member->decision_key) != 0)
        snprintf(decision.reason, sizeof decision.reason, "as decided before");
    decision.time_ms = member->decided_ms;
    decision.from = member->from;
    decision.to = member->to;
    memcpy(decision.key, member->key, sizeof decision.key);
    member->attempt_ms = INT64_MAX;
    member->seen.look_ms = now_ms; /* and look soon what became of it */
    return scale_attempt_new(means, &settings, &decision);
}

/* The decision's state is that of all the orders that it gave. */
static void sum_up(const struct scale_fleet *fleet, struct scale_decision *decision)
{
    bool pending = false, failed = false;
    uint32_t attempts = 0;
    decision->error[0] = 0;
    for (size_t i = 0; i < fleet->count; i++) {
        const struct scale_fleet_member *member = &fleet->members[i];
        if (strcmp(member->decision_key, decision->key) != 0)
            continue;
        pending = pending || member->action == SCALE_ACTION_PENDING;
        failed = failed || member->action == SCALE_ACTION_FAILED;
        attempts += member->attempts;
        if (member->error[0] && !decision->error[0]) {
            decision->http_status = member->http_status;
            snprintf(decision->error, sizeof decision->error, "%.*s: %s",
                     TW_STR_ARG(member->settings->name), member->error);
        } else if (!decision->error[0]) {
            decision->http_status = member->http_status;
        }
        if (member->action_ms > decision->action_ms)
            decision->action_ms = member->action_ms;
    }
    decision->attempts = attempts;
    decision->action = pending  ? SCALE_ACTION_PENDING
                       : failed ? SCALE_ACTION_FAILED
                                : SCALE_ACTION_DELIVERED;
}

static void settle_look(const struct scale_fleet *fleet, struct scale_fleet_member *member,
                        const struct scale_attempt *attempt, int64_t now_ms)
{
    struct scale_pool_rules rules = rules_of(fleet);
    bool done = attempt->outcome == SCALE_DONE;
    member->seen.time_ms = now_ms;
    member->seen.replicas = done ? attempt->replicas : -1;
    member->seen.ready = done ? attempt->ready : -1;
    if (done)
        member->served = attempt->ready;
    memcpy(member->seen.error, attempt->error, sizeof member->seen.error);
    if (!done)
        scale_pool_health_attempt(&member->health, &rules, now_ms, attempt->error);
    else if (member->action == SCALE_ACTION_DELIVERED)
        scale_pool_health_look(&member->health, &rules, now_ms, member->to, member->action_ms,
                               attempt->ready);
}

void scale_fleet_settle(struct scale_fleet *fleet, size_t index,
                        const struct scale_attempt *attempt, int64_t now_ms,
                        struct scale_decision *order_of)
{
    TW_ASSERT(index < fleet->count);
    struct scale_fleet_member *member = &fleet->members[index];
    struct scale_pool_rules rules = rules_of(fleet);
    enum scale_pool_state before = member->health.state;
    member->under_way = false;
    if (attempt->to < 0) {
        settle_look(fleet, member, attempt, now_ms);
    } else if (strcmp(attempt->key, member->key) == 0 && member->action == SCALE_ACTION_PENDING) {
        struct scale_decision state = {.time_ms = member->decided_ms, .attempts = member->attempts};
        member->attempt_ms = scale_attempt_settle(attempt, now_ms, &state);
        member->action = state.action;
        member->attempts = state.attempts;
        member->action_ms = now_ms;
        member->http_status = state.http_status;
        memcpy(member->error, state.error, sizeof member->error);
        bool done = attempt->outcome == SCALE_DONE;
        scale_pool_health_attempt(&member->health, &rules, now_ms, done ? NULL : attempt->error);
        if (done && !scale_target_reads(&member->settings->target))
            scale_pool_health_look(&member->health, &rules, now_ms, member->to, now_ms, -1);
        if (order_of->key[0] && strcmp(order_of->key, member->decision_key) == 0)
            sum_up(fleet, order_of);
        fleet->changed = true;
    }
    fleet->changed = fleet->changed || before != member->health.state;
}

int64_t scale_fleet_due(const struct scale_fleet *fleet)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < fleet->count; i++)
        if (!fleet->members[i].under_way && fleet->members[i].attempt_ms < due)
            due = fleet->members[i].attempt_ms;
    return due;
}

double scale_fleet_cost(const struct scale_fleet *fleet, int64_t now_ms)
{
    double cost = 0;
    for (size_t i = 0; i < fleet->count; i++) {
        const struct scale_fleet_member *member = &fleet->members[i];
        int64_t there = is_fresh(fleet, member, now_ms) ? member->seen.replicas : present(member);
        cost += (there > 0 ? (double)there : 0) * member->settings->cost_per_hour;
    }
    return cost;
}

const char *scale_fleet_error(const struct scale_fleet *fleet)
{
    for (size_t i = 0; i < fleet->count; i++)
        if (fleet->members[i].health.state != SCALE_POOL_SERVING)
            return fleet->members[i].health.why;
    for (size_t i = 0; i < fleet->count; i++)
        if (fleet->members[i].error[0] && fleet->members[i].action != SCALE_ACTION_DELIVERED)
            return fleet->members[i].error;
    return "";
}

/* ---- over a restart ---- */

void scale_fleet_encode(struct scale_fleet *fleet, struct tw_buf *ret_bytes)
{
    scale_record_put(ret_bytes, STATE_MAGIC, 4);
    scale_record_put(ret_bytes, STATE_VERSION, 2);
    scale_record_put(ret_bytes, fleet->count, 2);
    for (size_t i = 0; i < fleet->count; i++) {
        const struct scale_fleet_member *member = &fleet->members[i];
        const struct scale_pool_health *health = &member->health;
        const int64_t ints[] = {member->to,        member->from,     member->decided_ms,
                                member->action_ms, member->attempts, health->since_ms,
                                health->probe_ms,  health->pause_ms, health->failures};
        scale_record_put_text(ret_bytes, member->settings->name.data);
        scale_record_put(ret_bytes, member->action, 1);
        scale_record_put(ret_bytes, health->state, 1);
        for (size_t k = 0; k < sizeof ints / sizeof *ints; k++)
            scale_record_put(ret_bytes, (uint64_t)ints[k], 8);
        scale_record_put_text(ret_bytes, member->key);
        scale_record_put_text(ret_bytes, member->decision_key);
        scale_record_put_text(ret_bytes, health->why);
    }
    fleet->changed = false;
}

bool scale_fleet_decode(struct scale_fleet *fleet, struct tw_str bytes, int64_t now_ms)
{
    struct scale_reader reader = scale_reader_of(bytes);
    if (scale_record_take(&reader, 4) != STATE_MAGIC ||
        scale_record_take(&reader, 2) != STATE_VERSION)
        return false;
    size_t count = (size_t)scale_record_take(&reader, 2);
    for (size_t i = 0; i < count && !reader.bad; i++) {
        char name[SCALE_POOL_NAME_BYTES_MAX + 1];
        struct scale_fleet_member read = {.attempt_ms = INT64_MAX};
        struct scale_pool_health *health = &read.health;
        int64_t attempts = 0, failures = 0;
        int64_t *const ints[] = {&read.to,          &read.from,        &read.decided_ms,
                                 &read.action_ms,   &attempts,         &health->since_ms,
                                 &health->probe_ms, &health->pause_ms, &failures};
        scale_record_take_text(&reader, name, sizeof name);
        read.action = (enum scale_action)scale_record_take_enum(&reader, SCALE_ACTION_SUPERSEDED);
        health->state = (enum scale_pool_state)scale_record_take_enum(&reader, SCALE_POOL_PROBING);
        for (size_t k = 0; k < sizeof ints / sizeof *ints; k++)
            *ints[k] = (int64_t)scale_record_take(&reader, 8);
        scale_record_take_text(&reader, read.key, sizeof read.key);
        scale_record_take_text(&reader, read.decision_key, sizeof read.decision_key);
        scale_record_take_text(&reader, health->why, sizeof health->why);
        struct scale_fleet_member *member = find(fleet, tw_str(name));
        if (reader.bad || !member)
            continue;
        read.settings = member->settings;
        read.attempts = (uint32_t)attempts;
        health->failures = (unsigned)failures;
        read.planned = read.to;
        read.seen = member->seen;
        read.served = member->served;
        if (read.action == SCALE_ACTION_PENDING)
            read.attempt_ms = now_ms;
        *member = read;
    }
    return !reader.bad && reader.at == reader.end;
}

/* ---- showing ---- */

static void write_known(struct tw_json_writer *writer, const char *key, int64_t replicas)
{
    tw_json_key(writer, tw_str(key));
    if (replicas >= 0)
        tw_json_write_int(writer, replicas);
    else
        tw_json_write_null(writer);
}

void scale_fleet_write_json(const struct scale_fleet *fleet, struct tw_json_writer *writer)
{
    bool types = fleet->settings->fleet.kind == SCALE_FLEET_TYPES;
    tw_json_key(writer, types ? TW_STR("types") : TW_STR("pools"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < fleet->count; i++) {
        const struct scale_fleet_member *member = &fleet->members[i];
        const struct scale_member *settings = member->settings;
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "name", settings->name);
        if (types) {
            tw_json_member_int(writer, "carries", settings->carries);
            tw_json_member_number(writer, "cpu", settings->cpu);
            tw_json_member_number(writer, "memory", settings->memory);
        } else {
            tw_json_member_number(writer, "weight", settings->weight);
        }
        tw_json_member_int(writer, "min", settings->min);
        tw_json_member_int(writer, "max", settings->max);
        tw_json_member_number(writer, "cost_per_hour", settings->cost_per_hour);
        scale_target_write_json(&settings->target, writer);
        write_known(writer, "share", member->planned);
        write_known(writer, "replicas", member->seen.replicas);
        write_known(writer, "ready", member->seen.ready);
        tw_json_member_cstr(writer, "state", scale_pool_state_name(member->health.state));
        tw_json_member_cstr(writer, "action", scale_action_name(member->action));
        tw_json_member_cstr(writer, "error",
                            member->error[0]                             ? member->error
                            : member->seen.error[0]                      ? member->seen.error
                            : member->health.state != SCALE_POOL_SERVING ? member->health.why
                                                                         : "");
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}
