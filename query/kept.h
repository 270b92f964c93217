/* SPDX-License-Identifier: Apache-2.0
 *
 * kept: models that stay between queries, so that a rule over thousands of series does not learn
 * them anew, nor read their past again, at each evaluation.
 *
 *   subject  what is forecast: the range argument's text, forecast or score, class of the horizon
 *   model    of one series of a subject: what was learned, its trial, when it was last used. Of a
 *            young series (query/learner.h) only that it is one: it is learned again at each use
 *
 * Who asks decides what is done (enum query_keeping): rules, scalers and pins keep their models,
 * other queries read copies of what is there, and the keeper's own runs learn what is due.
 *
 *   I1  A model that is out (taken) is used by one thread; others wait for it, briefly.
 *   I2  There are never more than models_max; a model of at most FORECAST_MODEL_BYTES_MAX each. The
 *       one unused for longest goes when another needs the place, if it was not used lately.
 *
 * Threads: any.
 */
#ifndef TW_QUERY_KEPT_H
#define TW_QUERY_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metrics.h"
#include "query/learner.h"
#include "query/trial.h"
#include "wire/labels.h"

#define QUERY_KEPT_MODELS_MAX 10000
#define QUERY_KEPT_UNUSED_MS (INT64_C(3600) * 1000)
#define QUERY_SUBJECT_BYTES_MAX 65536

enum query_keeping {
    QUERY_KEEPING_READS,  /* uses what is kept, changes nothing */
    QUERY_KEEPING_KEEPS,  /* brings models up to date, learns some and keeps them */
    QUERY_KEEPING_RENEWS, /* learns those that are due or missing, and nothing else */
};

struct query_kept;
struct query_subject; /* lives while somebody holds it or models of it are kept */

struct query_kept_options {
    size_t models_max;          /* 0 = QUERY_KEPT_MODELS_MAX */
    int64_t unused_ms;          /* after which a model goes; 0 = QUERY_KEPT_UNUSED_MS */
    struct tw_metrics *metrics; /* may be NULL */
};

struct query_kept *query_kept_new(const struct query_kept_options *options);
struct query_kept *query_kept_free(struct query_kept *kept); /* returns NULL */

/* The calendar that forecasts count with, held for the caller; NULL: none. Another one makes other
 * subjects: the models of before go unused. */
struct forecast_holidays *query_kept_holidays(struct query_kept *kept);
/* Holds it; NULL: none. */
void query_kept_set_holidays(struct query_kept *kept, struct forecast_holidays *holidays);

/* ---- subjects ---- */
struct query_subject_key {
    struct tw_str text; /* of the argument, canonical */
    bool scores;
    bool is_subquery;
    int64_t range_ms;
    int64_t horizon_ms; /* a class, see query_horizon_class; 0 for scores */
    uint64_t holidays;  /* hash of the calendar, 0 = none */
};
/* NULL when it is not known and makes is false. To be dropped. */
struct query_subject *query_kept_hold(struct query_kept *kept, const struct query_subject_key *key,
                                      bool makes, int64_t now_ms);
void query_kept_drop(struct query_kept *kept, struct query_subject *subject); /* NULL is fine */
const struct query_subject_key *query_subject_key(const struct query_subject *subject);
/* From when on samples are needed for all models of a subject that may still answer at a basis;
 * false: there is none. */
bool query_kept_since(struct query_kept *kept, const struct query_subject *subject,
                      int64_t basis_ms, int64_t *ret_since_ms);

/* ---- models ---- */
enum query_due { QUERY_DUE_NOT, QUERY_DUE_EPOCH, QUERY_DUE_DRIFT };
/* Whether a series' model is missing (and there is room for it) or late for a basis (EPOCH), or
 * does badly (DRIFT). As long as models are wanted no other is due. */
enum query_due query_kept_due(struct query_kept *kept, const struct query_subject *subject,
                              struct wire_labels labels, int64_t basis_ms);
bool query_kept_has(struct query_kept *kept, const struct query_subject *subject,
                    struct wire_labels labels, int64_t basis_ms);
/* Takes the model of a series out, or, to read, a copy of it; false: there is none that may answer
 * at the basis. */
bool query_kept_take(struct query_kept *kept, const struct query_subject *subject,
                     struct wire_labels labels, int64_t basis_ms, bool copies,
                     struct query_learned *ret_learned, struct query_trial *ret_trial);
/* Gives a model back, or a new one that was learned (then learned_anew); takes it. What is older
 * than what is there is freed. */
void query_kept_give(struct query_kept *kept, struct query_subject *subject,
                     struct wire_labels labels, struct query_learned *learned,
                     const struct query_trial *trial, bool learned_anew, int64_t now_ms);
/* Is a series too young for a model to be kept, until the next epoch begins? */
bool query_kept_is_young(struct query_kept *kept, const struct query_subject *subject,
                         struct wire_labels labels, int64_t basis_ms);
/* A model was missing or late, and whoever wanted it does without: the subject is due until such
 * models are learned, or until its next run that keeps models. */
void query_kept_want(struct query_kept *kept, struct query_subject *subject,
                     struct wire_labels labels, int64_t basis_ms);
/* Lets go of models unused for too long, and of subjects without any. */
void query_kept_expire(struct query_kept *kept, int64_t now_ms);

/* ---- looking through ---- */
struct query_kept_model {
    const struct query_subject_key *subject;
    struct wire_labels labels;
    const struct query_learned *learned; /* model NULL: it is out */
    const struct query_trial *trial;
    int64_t used_ms;
    uint64_t serial; /* of the kept model, for query_kept_saved; changes with each fit */
    bool is_saved;
};
/* Calls visit for every model, under the lock, until it returns false. */
void query_kept_each(struct query_kept *kept,
                     bool (*visit)(void *user, const struct query_kept_model *model), void *user);
/* Subjects that have models due. */
struct query_subject_due {
    struct query_subject *subject; /* to be dropped */
    size_t models, due;            /* due: of the models that are kept */
    size_t wanted;                 /* that are not kept, or too late to answer */
};
size_t query_kept_list_due(struct query_kept *kept, int64_t now_ms,
                           struct query_subject_due *ret_items, size_t capacity);
/* Until then query_kept_list_due leaves the subject out. */
void query_kept_delay(struct query_kept *kept, struct query_subject *subject, int64_t until_ms);
/* For models yet to come; 0 = the default. */
void query_kept_limit(struct query_kept *kept, size_t models_max, int64_t unused_ms);
void query_kept_saved(struct query_kept *kept, const uint64_t *serials, size_t count);

/* The keys (query_kept_key) of models that went since the last call, in an array to be freed. */
uint8_t *query_kept_gone(struct query_kept *kept, size_t *ret_count);

struct query_kept_totals {
    size_t subjects, models;
    uint64_t bytes;
};
/* Models learned so far. */
uint64_t query_kept_fits(struct query_kept *kept);
void query_kept_totals(struct query_kept *kept, struct query_kept_totals *ret);
/* Stable over restarts: what a record of the model is stored under. */
#define QUERY_KEPT_KEY_BYTES 16
void query_kept_key(const struct query_subject_key *subject, struct wire_labels labels,
                    uint8_t ret_key[QUERY_KEPT_KEY_BYTES]);

#endif
