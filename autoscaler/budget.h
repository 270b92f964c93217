/* SPDX-License-Identifier: Apache-2.0
 *
 * budget: what a scaler may cost, alone or with others, and what is done when that is reached.
 *
 *   scalers:
 *     - name: web
 *       cost_per_hour: 0.12                       # of a replica; pools and types have their own
 *       budget: {per_day: 40, per_month: 900, at_cap: hold, utc_offset: "+01:00"}
 *     - name: batch
 *       cost_per_hour: 0.12
 *       budget: {shared: shop, priority: 5}
 *   budgets:                                      # beside scalers
 *     - {name: shop, per_hour: 6, per_month: 3000, at_cap: minimum}
 *
 * I1  Nothing is cut silently: each change is a guard of the decision, with the numbers; with
 * `alert` nothing is cut at all, and the series and the record say that the cap is reached. I2  No
 * budget takes a scaler below its min, and a budget never adds replicas. I3  Of a shared budget
 * each scaler has its min first; then the higher priority gets all that it needs before the lower
 * one gets anything, and those of one priority share in proportion.
 *
 * Threads: plain data, pure functions.
 */
#ifndef TW_AUTOSCALER_BUDGET_H
#define TW_AUTOSCALER_BUDGET_H

#include "autoscaler/ledger.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/yaml.h"

#define SCALE_BUDGETS_MAX 100
#define SCALE_BUDGET_SHARERS_MAX 100 /* scalers of one budget: it is divided at each decision */
#define SCALE_BUDGET_NAME_BYTES_MAX 64
#define SCALE_BUDGET_TEXT_BYTES 200

/* SCALE_AT_CAP(name, text): the stricter comes later. */
#define SCALE_AT_CAP_TABLE(SCALE_AT_CAP)                                                           \
    SCALE_AT_CAP(NONE, "none")       /* there is no cap */                                         \
    SCALE_AT_CAP(ALERT, "alert")     /* nothing changes; it is said */                             \
    SCALE_AT_CAP(HOLD, "hold")       /* no scale-out; scale-in goes on */                          \
    SCALE_AT_CAP(MINIMUM, "minimum") /* down to min */
enum scale_at_cap {
#define SCALE_AT_CAP_ENUM(name, text) SCALE_AT_CAP_##name,
    SCALE_AT_CAP_TABLE(SCALE_AT_CAP_ENUM)
#undef SCALE_AT_CAP_ENUM
};
const char *scale_at_cap_name(enum scale_at_cap at_cap);

struct scale_budget_settings {
    bool given;
    double caps[SCALE_PERIODS]; /* infinite = none */
    enum scale_at_cap at_cap;
    int64_t offset_ms;
    struct tw_str shared; /* name of a shared budget; empty = none */
    int64_t priority;     /* in it: higher first */
};

/* A budget that scalers share. */
struct scale_shared_budget {
    struct tw_str name;
    double per_hour;  /* cost of all together at any time; infinite = no limit */
    int64_t replicas; /* of all together; INT64_MAX = no limit */
    struct scale_budget_settings caps;
};

void scale_budget_settings_init(struct scale_budget_settings *settings);
/* The scaler's `budget:`; costs: whether what it costs is known. */
TW_MUST_CHECK enum tw_code scale_budget_parse(struct tw_arena *arena, const char *file,
                                              const struct tw_yaml *map, bool costs,
                                              struct scale_budget_settings *ret,
                                              struct tw_err *err);
/* The list `budgets:` (NULL gives none); every one that a scaler of `scalers` names has to be
 * there. */
TW_MUST_CHECK enum tw_code scale_shared_budgets_parse(struct tw_arena *arena, const char *file,
                                                      const struct tw_yaml *budgets,
                                                      const struct tw_yaml *scalers,
                                                      struct scale_shared_budget **ret_items,
                                                      size_t *ret_count, struct tw_err *err);

/* ---- sharing ---- */

struct scale_claim {
    int64_t need, min, priority; /* replicas */
    double unit_cost;            /* of a replica for an hour */
    int64_t granted;             /* answer */
};

/* Divides what there is by I3. Either limit may be infinite. */
void scale_budget_divide(struct scale_claim *claims, size_t count, double per_hour,
                         int64_t replicas);

/* ---- what is said of it, in a decision ---- */

struct scale_budget_state {
    bool known;               /* the scaler's costs are; else nothing here counts */
    enum scale_at_cap at_cap; /* in force now: NONE while no cap is reached */
    double cost_per_hour;     /* of what there is */
    double spent[SCALE_PERIODS], forecast[SCALE_PERIODS], caps[SCALE_PERIODS];
    char text[SCALE_BUDGET_TEXT_BYTES]; /* which cap is reached, or whose share was cut */
};

/* Sets at_cap and text when one of the caps is reached. */
void scale_budget_judge(const struct scale_budget_settings *settings, const double *spent,
                        const char *whose, struct scale_budget_state *state);
/* Replicas when a cap is reached. */
int64_t scale_budget_cut(enum scale_at_cap at_cap, int64_t from, int64_t to, int64_t min);

/* The member "budget": null when costs are not known. */
void scale_budget_write_json(const struct scale_budget_state *state, struct tw_json_writer *writer);
/* Part of a decision's bytes (docs/format/state-scaler.md). */
void scale_budget_encode(const struct scale_budget_state *state, struct tw_buf *ret_bytes);
bool scale_budget_decode(struct tw_str *rest, struct scale_budget_state *ret);

#endif
