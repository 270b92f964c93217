/* SPDX-License-Identifier: Apache-2.0
 *
 * fleet: the pools or types of instances of one scaler while it runs: spreads each decision over
 * them, and keeps for each one what it was told, what it says, and whether it can be relied upon.
 *
 *   decision -> shares (pool.h, mix.h) -> an order for each member whose number changes
 *      -> attempts -> looks -> health (pool_health.h) -> the next decision's shares
 *
 * I1  A member's order carries a key of its own. What was delivered is not sent again, unless the
 *     target says that it is not so.
 * I2  The share of a member that is out goes to the others at once; what still serves there stays
 *     until theirs has come up.
 * I3  A probe comes on top of what is needed: nothing depends on it.
 *
 * Threads: whoever holds the manager's lock.
 */
#ifndef TW_AUTOSCALER_FLEET_H
#define TW_AUTOSCALER_FLEET_H

#include "autoscaler/actuator.h"
#include "autoscaler/controller.h"
#include "autoscaler/decision.h"
#include "autoscaler/mix.h"

struct scale_fleet_member {
    const struct scale_member *settings;
    int64_t to;      /* what it was told last, or is to be; -1 = nothing yet */
    int64_t planned; /* its last share; -1 = none yet */
    enum scale_action action;
    char key[SCALE_KEY_BYTES], decision_key[SCALE_KEY_BYTES];
    int64_t from, decided_ms, action_ms, attempt_ms; /* attempt: when the next is due */
    uint32_t attempts;
    int http_status;
    char error[SCALE_ERROR_BYTES];
    bool followed;    /* the target was seen to have done it */
    bool under_way;   /* an attempt or a look is running */
    int64_t drain_ms; /* since when it is out, with replicas that still serve */
    struct {
        int64_t time_ms, look_ms, replicas, ready; /* look: when it may be looked at next */
        char error[SCALE_ERROR_BYTES];
    } seen;
    int64_t served; /* as the last look that was answered said; -1 = nobody knows */
    struct scale_pool_health health;
};

struct scale_fleet {
    const struct scale_settings *settings; /* borrowed */
    struct scale_fleet_member members[SCALE_POOLS_MAX];
    size_t count;
    /* The last mix and what it was chosen for: the same question is not solved twice. */
    struct {
        struct scale_mix_type types[SCALE_POOLS_MAX];
        int64_t replicas; /* -1 = none yet */
        struct scale_mix answer;
    } mix;
    int64_t asked; /* replicas that the last decision wanted; -1 = none yet */
    bool changed;  /* since scale_fleet_encode: what has to survive a restart */
};

/* NULL when the settings know no fleet. settings are borrowed, members live with them. */
struct scale_fleet *scale_fleet_new(const struct scale_settings *settings);
struct scale_fleet *scale_fleet_free(struct scale_fleet *fleet); /* returns NULL */
/* After a reload: members of the same name go on. Either may be NULL. */
void scale_fleet_take_over(struct scale_fleet *fleet, const struct scale_fleet *old);

/* Replicas and ready ones by what the targets say, where no query tells. */
void scale_fleet_fill(const struct scale_fleet *fleet, struct scale_observation *observation);
/* Sets the decision's allocation, action and key, and the members' orders. */
void scale_fleet_order(struct scale_fleet *fleet, struct scale_decision *decision);
/* The decision could not be stored: its orders are forgotten. */
void scale_fleet_forget(struct scale_fleet *fleet, int64_t decided_ms);

/* What is to be done at a member's target now, NULL for nothing; the member is under way then. */
/* order: the scaler's last one, which says why. */
struct scale_attempt *scale_fleet_attempt(struct scale_fleet *fleet, size_t member,
                                          struct scale_means *means,
                                          const struct scale_decision *order, int64_t now_ms);
/* Notes the outcome; `order` is the decision that the attempt belongs to when it is the scaler's
 * last one, and gets the state of all its members. */
void scale_fleet_settle(struct scale_fleet *fleet, size_t member,
                        const struct scale_attempt *attempt, int64_t now_ms,
                        struct scale_decision *order);
/* Of a name as in the attempt's scaler, "web/east"; count when there is none. */
size_t scale_fleet_find(const struct scale_fleet *fleet, struct tw_str name);
int64_t scale_fleet_due(const struct scale_fleet *fleet); /* INT64_MAX = nothing */
/* Per hour, of what there is; NaN when a cost is not told. */
double scale_fleet_cost(const struct scale_fleet *fleet, int64_t now_ms);
/* A sentence on what is wrong with it, "" for nothing; in the fleet's memory. */
const char *scale_fleet_error(const struct scale_fleet *fleet);

void scale_fleet_encode(struct scale_fleet *fleet, struct tw_buf *ret_bytes);
/* What was stored before a restart; false when it cannot be read. Members that are not there any
 * more are left out. */
bool scale_fleet_decode(struct scale_fleet *fleet, struct tw_str bytes, int64_t now_ms);
/* The members "pools" or "types" of the API. */
void scale_fleet_write_json(const struct scale_fleet *fleet, struct tw_json_writer *writer);

#endif
