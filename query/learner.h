/* SPDX-License-Identifier: Apache-2.0
 *
 * learner: the forecast of one series of samples, as it was to be made at a given time.
 *
 *   ... samples .............................e.......L     b          target
 *       |<------------ range ---------------->| told  |<------ lead ------>|
 *
 * The basis b is the time up to which samples count. The model used at b was learned from the range
 * before the newest *epoch* e (multiples of range / 16) that is not behind the newest sample L, and
 * was told what came since.
 *
 *   I1  Nothing behind the basis counts.
 *   I2  What is forecast depends on samples, basis, horizon and range alone: not on which other
 *       bases were asked for, nor on whether the model was learned a moment ago or taken from where
 *       it was kept.
 *
 * Samples become values of equal distance: the means of buckets, which are counted from the epoch.
 * They are no finer than range / 2048, nor than the samples are. A bucket counts once it is over: a
 * sample at its end or behind it is there, or a whole bucket has passed since; so a sample that is
 * late by less than that is not missed.
 *
 * On holidays values are taken to what an ordinary day would have brought, and forecasts taken back
 * (forecast/holidays.h): models, trials and scores know ordinary days alone.
 *
 * A series that has no sample for a sixteenth of the range (but at least the look-back) has ended:
 * nothing is forecast of it.
 *
 * Threads: plain data.
 */
#ifndef TW_QUERY_LEARNER_H
#define TW_QUERY_LEARNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "forecast/holidays.h"
#include "forecast/model.h"

#define QUERY_EPOCHS_PER_RANGE 16
#define QUERY_BUCKETS_PER_RANGE 2048
#define QUERY_SKETCH_BUCKETS 32

/* What there is to keep of a series. */
struct query_learned {
    struct forecast_model *model; /* NULL: nothing was learned */
    int64_t epoch_ms, step_ms;
    int64_t held;      /* number of the newest bucket told; 0 = the one that ends at the epoch */
    size_t leads;      /* that the model was learned for */
    double score;      /* of the newest bucket; NaN: none */
    double spread;     /* standard deviation of the values learned */
    int64_t newest_ms; /* time of the newest sample told */
    struct forecast_shape shape; /* when there are holidays */
    bool young; /* learned from the few samples before the newest one, which is its epoch;
                   for scores nothing is then */
};

struct query_trial;
struct query_learner {
    int64_t range_ms, refit_ms, alive_ms;
    bool scores;
    struct query_learned learned;
    const int64_t *times_ms;
    const double *values;
    size_t count;
    size_t at;      /* the first sample not told */
    bool fixed;     /* the model was kept: samples begin at its end, nothing can be learned */
    bool at_newest; /* the newest sample is the epoch: what was learned before does badly */
    bool sketches;  /* learns from the newest QUERY_SKETCH_BUCKETS alone, whatever the range is */
    struct query_trial *trial;                /* NULL: none */
    const struct forecast_holidays *holidays; /* NULL: none; borrowed, of all series */
    double *room;                             /* for a range of buckets */
    uint64_t fits;                            /* made so far */
    uint64_t learns;                          /* values learned from, in all */
};

/* scores: for anomaly_score, whose model is an epoch older, so that there is always something that
 * it had not seen. */
void query_learner_init(struct query_learner *learner, int64_t range_ms, int64_t lookback_ms,
                        bool scores);
void query_learner_fini(struct query_learner *learner);
/* Borrows the next series' samples, ascending in time; forgets the model before. They begin no
 * later than query_learner_reach before the first basis. */
void query_learner_begin(struct query_learner *learner, const int64_t *times_ms,
                         const double *values, size_t count);
int64_t query_refit_ms(int64_t range_ms); /* from one epoch to the next */
int64_t query_learner_reach(int64_t range_ms, bool scores);
/* A series whose newest sample is older than this has ended. */
int64_t query_learner_alive_ms(int64_t range_ms, int64_t lookback_ms);
/* How far before the basis the samples of a sketch are wanted. */
int64_t query_sketch_reach(int64_t range_ms, int64_t lookback_ms);
/* The end of what a model was told. */
int64_t query_learned_end_ms(const struct query_learned *learned);
/* The epoch that a model is to have for a newest sample. */
int64_t query_learner_epoch(const struct query_learner *learner, int64_t newest_ms);
/* Instead of learning a model, go on with one that was kept; takes it. The samples begin a bucket
 * before its end, or earlier. */
void query_learner_give(struct query_learner *learner, struct query_learned *learned,
                        struct query_trial *trial);
struct forecast_model *query_model_copy(const struct forecast_model *model);
/* Takes the model out. */
void query_learner_take(struct query_learner *learner, struct query_learned *ret);
/* May a kept model answer at a basis, whatever samples came until then? It may not know what is
 * behind the basis, nor be too old: a model that is one epoch late is good enough. */
bool query_learned_usable(const struct query_learned *learned, int64_t range_ms, bool scores,
                          int64_t basis_ms);
/* Horizons are learned in classes, so that a model serves all of about its length: the least
 * range / 128 * 2^k that is not less. */
int64_t query_horizon_class(int64_t range_ms, int64_t widest_ms);
/* Position behind the last sample that is not behind time_ms. */
size_t query_learner_find(const struct query_learner *learner, int64_t time_ms);

enum query_outlook {
    QUERY_OUTLOOK_NONE,    /* no samples, or no number among them */
    QUERY_OUTLOOK_THERE,   /* *ret is set, and finite (or infinite for a q outside [0, 1]) */
    QUERY_OUTLOOK_UNREADY, /* a fixed model cannot answer: learn from all of the samples */
    QUERY_OUTLOOK_TOO_FAR, /* the target is more than FORECAST_HORIZON_MAX buckets away */
};
/* The q-quantile of the value at target_ms, as known at basis_ms. widest_ms: the longest way from a
 * basis to a target that will be asked for of this basis; targets are at most this far. */
enum query_outlook query_learner_forecast(struct query_learner *learner, int64_t basis_ms,
                                          int64_t target_ms, int64_t widest_ms, double q,
                                          double *ret);
/* How strange the newest bucket is: 0 as expected, 1 at and outside the ends of the 99.9 % band. */
enum query_outlook query_learner_score(struct query_learner *learner, int64_t basis_ms,
                                       double *ret);

#endif
