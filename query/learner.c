/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/learner.h"

#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "query/trial.h"

/* With fewer values before an epoch the series is young: it is learned anew with each sample. */
#define VALUES_OLD 32
/* Quantiles nearer to 0 and 1 than this are not known from so few errors. */
#define QUANTILE_EDGE 0.001
/* Buckets between the last one told and the basis, without a gap in the samples. */
#define LEADS_SPARE 2
#define CLASSES_PER_RANGE 128
/* Of the values' spread: less is no deviation. */
#define USUAL_LEAST 0.01

int64_t query_refit_ms(int64_t range_ms)
{
    int64_t refit_ms = range_ms / QUERY_EPOCHS_PER_RANGE;
    return refit_ms < 1 ? 1 : refit_ms;
}

int64_t query_learner_alive_ms(int64_t range_ms, int64_t lookback_ms)
{
    int64_t refit_ms = query_refit_ms(range_ms);
    int64_t alive_ms = refit_ms > lookback_ms ? refit_ms : lookback_ms;
    return alive_ms < range_ms ? alive_ms : range_ms;
}

void query_learner_init(struct query_learner *learner, int64_t range_ms, int64_t lookback_ms,
                        bool scores)
{
    *learner = (struct query_learner){.range_ms = range_ms, .scores = scores};
    learner->refit_ms = query_refit_ms(range_ms);
    learner->alive_ms = query_learner_alive_ms(range_ms, lookback_ms);
    learner->room = malloc((QUERY_BUCKETS_PER_RANGE + 2) * sizeof *learner->room);
    TW_ASSERT(learner->room != NULL);
}

static void forget(struct query_learner *learner)
{
    learner->learned.model = forecast_model_free(learner->learned.model);
}

void query_learner_fini(struct query_learner *learner)
{
    forget(learner);
    free(learner->room);
}

void query_learner_begin(struct query_learner *learner, const int64_t *times_ms,
                         const double *values, size_t count)
{
    forget(learner);
    learner->learned = (struct query_learned){.score = NAN};
    learner->times_ms = times_ms;
    learner->values = values;
    learner->count = count;
    learner->at = 0;
    learner->fixed = learner->at_newest = learner->sketches = false;
    learner->trial = NULL;
}

int64_t query_learner_reach(int64_t range_ms, bool scores)
{
    int64_t refit_ms = range_ms / QUERY_EPOCHS_PER_RANGE + 1;
    return scores ? 2 * refit_ms : refit_ms;
}

int64_t query_sketch_reach(int64_t range_ms, int64_t lookback_ms)
{
    int64_t reach_ms = QUERY_SKETCH_BUCKETS * (range_ms / QUERY_BUCKETS_PER_RANGE);
    reach_ms = reach_ms > 2 * lookback_ms ? reach_ms : 2 * lookback_ms;
    return reach_ms < range_ms ? reach_ms : range_ms;
}

int64_t query_learned_end_ms(const struct query_learned *learned)
{
    return learned->epoch_ms + learned->held * learned->step_ms;
}

int64_t query_learner_epoch(const struct query_learner *learner, int64_t newest_ms)
{
    int64_t epoch_ms = tw_floor_div(newest_ms, learner->refit_ms) * learner->refit_ms;
    return learner->scores ? epoch_ms - learner->refit_ms : epoch_ms;
}

/* ---- learning ---- */

static int64_t choose_step(const struct query_learner *learner, size_t first, size_t limit)
{
    static const int64_t seconds[] = {1,   5,    10,   15,   30,    60,    120,   300,  600,
                                      900, 1800, 3600, 7200, 14400, 21600, 43200, 86400};
    int64_t distance_ms = limit - first < 2
                              ? 0
                              : (learner->times_ms[limit - 1] - learner->times_ms[first]) /
                                    (int64_t)(limit - first - 1);
    int64_t least_ms = (learner->range_ms + QUERY_BUCKETS_PER_RANGE - 1) / QUERY_BUCKETS_PER_RANGE;
    least_ms = distance_ms > least_ms ? distance_ms : least_ms;
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        if (seconds[i] * 1000 >= least_ms)
            return seconds[i] * 1000;
    return 7 * INT64_C(86400000);
}

/* Number of the bucket of a time, counted from the epoch: 1 is the first behind it. */
static int64_t bucket_of(const struct query_learner *learner, int64_t time_ms)
{
    return -tw_floor_div(learner->learned.epoch_ms - time_ms, learner->learned.step_ms);
}

size_t query_learner_find(const struct query_learner *learner, int64_t time_ms)
{
    size_t low = 0, high = learner->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (learner->times_ms[middle] <= time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The mean of the bucket that sample *at lies in; steps behind its samples. */
static double take_bucket(const struct query_learner *learner, size_t *at)
{
    int64_t bucket = bucket_of(learner, learner->times_ms[*at]);
    double sum = 0;
    size_t count = 0;
    for (; *at < learner->count && bucket_of(learner, learner->times_ms[*at]) == bucket; (*at)++) {
        sum += learner->values[*at];
        count++;
    }
    return sum / (double)count;
}

static double find_spread(const double *values, size_t count)
{
    double mean = 0, squares = 0, known = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        double off = values[i] - mean;
        mean += off / ++known;
        squares += off * (values[i] - mean);
    }
    return known > 0 ? sqrt(squares / known) : 0;
}

/* Of a holiday's bucket to that of an ordinary day. */
static double find_ratio(const struct query_learner *learner, int64_t end_ms)
{
    const struct query_learned *learned = &learner->learned;
    return learner->holidays
               ? forecast_shape_ratio(&learned->shape, learner->holidays, end_ms, learned->step_ms)
               : 1;
}

static void make_ordinary(struct query_learner *learner, size_t count)
{
    struct query_learned *learned = &learner->learned;
    if (!learner->holidays)
        return;
    forecast_shape_learn(&learned->shape, learner->holidays, learner->room, count,
                         learned->epoch_ms, learned->step_ms);
    for (size_t i = 0; i < count; i++)
        learner->room[i] /=
            find_ratio(learner, learned->epoch_ms - (int64_t)(count - 1 - i) * learned->step_ms);
}

/* Values of the range before the epoch; false: too few. */
static bool gather(struct query_learner *learner, bool young, size_t *ret_count)
{
    struct query_learned *learned = &learner->learned;
    size_t first = query_learner_find(learner, learned->epoch_ms - learner->range_ms);
    size_t limit = query_learner_find(learner, learned->epoch_ms);
    if (limit == first)
        return false;
    learned->step_ms = choose_step(learner, first, limit);
    int64_t oldest = bucket_of(learner, learner->times_ms[first]);
    size_t count = (size_t)(1 - oldest), known = 0;
    const size_t most = learner->sketches ? QUERY_SKETCH_BUCKETS : QUERY_BUCKETS_PER_RANGE + 1;
    count = count < most ? count : most;
    for (size_t i = 0; i < count; i++)
        learner->room[i] = NAN;
    for (size_t at = first; at < limit;) {
        int64_t bucket = bucket_of(learner, learner->times_ms[at]);
        double mean = take_bucket(learner, &at);
        if (bucket <= 0 && (size_t)-bucket < count) {
            learner->room[count - 1 - (size_t)-bucket] = mean;
            known += isfinite(mean);
        }
    }
    learner->at = limit;
    learned->held = 0;
    learned->newest_ms = learner->times_ms[limit - 1];
    learned->score = NAN;
    make_ordinary(learner, count);
    learned->spread = find_spread(learner->room, count);
    *ret_count = count;
    return known >= (young ? 1 : VALUES_OLD);
}

int64_t query_horizon_class(int64_t range_ms, int64_t widest_ms)
{
    int64_t horizon_ms = range_ms / CLASSES_PER_RANGE;
    for (horizon_ms = horizon_ms < 1 ? 1 : horizon_ms; horizon_ms < widest_ms;)
        horizon_ms *= 2; /* both are within centuries */
    return horizon_ms;
}

static size_t leads_for(const struct query_learner *learner, int64_t widest_ms)
{
    int64_t class_ms = query_horizon_class(learner->range_ms, widest_ms);
    int64_t leads = -tw_floor_div(-class_ms, learner->learned.step_ms) + LEADS_SPARE;
    return leads < FORECAST_HORIZON_MAX ? (size_t)leads : FORECAST_HORIZON_MAX;
}

static bool learn_at(struct query_learner *learner, int64_t epoch_ms, bool young, int64_t widest_ms)
{
    struct query_learned *learned = &learner->learned;
    size_t count;
    struct tw_err err;
    forget(learner);
    learned->epoch_ms = epoch_ms;
    learned->young = young;
    if (!gather(learner, young, &count))
        return false;
    learned->leads = leads_for(learner, widest_ms);
    const struct forecast_options options = {.step_ms = learned->step_ms,
                                             .horizon = learned->leads,
                                             .peak_horizon = 1,
                                             .lower_bound = -INFINITY};
    learner->fits += !learner->sketches;
    learner->learns += count;
    if (forecast_model_new(learner->room, count, &options, &learned->model, &err) != TW_OK)
        learned->model = NULL;
    return learned->model != NULL;
}

/* ---- what came since ---- */

/* A deviation that is small beside how the series moves in general is not strange, lest a flat
 * night be all alarms. */
static double score_of(const struct query_learned *learned, double value)
{
    static const double middle = 0.5;
    double median, least = USUAL_LEAST * learned->spread;
    double score = forecast_model_score(learned->model, value);
    struct tw_err err;
    if (!(score > 0) ||
        forecast_model_predict_lead(learned->model, 1, &middle, 1, NULL, &median, &err) != TW_OK)
        return score;
    double off = fabs(value - median);
    return off < least ? score * off / least : score;
}

static void tell_value(struct query_learner *learner, double value, bool told)
{
    struct query_learned *learned = &learner->learned;
    int64_t end_ms = query_learned_end_ms(learned) + learned->step_ms;
    value /= find_ratio(learner, end_ms);
    if (learner->scores)
        learned->score = score_of(learned, value);
    if (learner->trial && told)
        query_trial_judge(learner->trial, end_ms, learned->step_ms, value);
    forecast_model_append(learned->model, value);
    learned->held++;
    if (learner->trial && told)
        query_trial_ask(learner->trial, learned, value);
}

/* Buckets that are over at the basis. newest: position of the newest sample that counts. */
static void tell(struct query_learner *learner, size_t newest, int64_t basis_ms)
{
    struct query_learned *learned = &learner->learned;
    while (learner->at <= newest) {
        int64_t bucket = bucket_of(learner, learner->times_ms[learner->at]);
        int64_t end_ms = learned->epoch_ms + bucket * learned->step_ms;
        if (learner->times_ms[newest] < end_ms && basis_ms - learned->step_ms < end_ms)
            break;
        double mean = take_bucket(learner, &learner->at);
        if (bucket <= learned->held)
            continue; /* known already to a model that was kept, or late */
        while (learned->held + 1 < bucket)
            tell_value(learner, NAN, false);
        tell_value(learner, mean, true);
        learned->newest_ms = learner->times_ms[learner->at - 1];
    }
}

/* The epoch is that of the newest sample, or a bit later when a model was learned anew between
 * epochs, or one earlier when it has not been yet. */
static bool is_current(const struct query_learned *learned, const struct query_learner *learner,
                       int64_t newest_ms)
{
    int64_t epoch_ms = query_learner_epoch(learner, newest_ms);
    if (learned->young)
        return learned->epoch_ms == newest_ms;
    if (!learner->fixed)
        return learned->epoch_ms == epoch_ms;
    return learned->epoch_ms <= newest_ms && epoch_ms - learned->epoch_ms <= learner->refit_ms;
}

/* A model that knows what is known at the basis. */
static enum query_outlook bring_up(struct query_learner *learner, size_t newest, int64_t basis_ms,
                                   int64_t widest_ms)
{
    struct query_learned *learned = &learner->learned;
    int64_t newest_ms = learner->times_ms[newest];
    bool same = learned->model && is_current(learned, learner, newest_ms) &&
                learned->leads == leads_for(learner, widest_ms);
    if (!same && learner->fixed)
        return QUERY_OUTLOOK_UNREADY;
    int64_t epoch_ms = learner->at_newest ? newest_ms : query_learner_epoch(learner, newest_ms);
    bool ready = same || (!learner->sketches && learn_at(learner, epoch_ms, false, widest_ms));
    if (!ready && learner->scores) { /* too little to expect anything of */
        learned->young = true;
        learned->epoch_ms = newest_ms;
        return QUERY_OUTLOOK_NONE;
    }
    if (!ready && !learn_at(learner, newest_ms, true, widest_ms))
        return QUERY_OUTLOOK_NONE;
    tell(learner, newest, basis_ms);
    return QUERY_OUTLOOK_THERE;
}

/* The newest sample that counts; false when there is none that is young enough. */
static bool find_newest(const struct query_learner *learner, int64_t basis_ms, size_t *ret_newest)
{
    size_t limit = query_learner_find(learner, basis_ms);
    if (limit == 0 || learner->times_ms[limit - 1] <= basis_ms - learner->alive_ms)
        return false;
    *ret_newest = limit - 1;
    return true;
}

static int64_t find_lead(const struct query_learned *learned, int64_t target_ms)
{
    int64_t ahead_ms = target_ms - query_learned_end_ms(learned);
    int64_t lead = -tw_floor_div(-ahead_ms, learned->step_ms);
    return lead < 1 ? 1 : lead;
}

static enum query_outlook predict(const struct query_learned *learned, size_t lead, double q,
                                  double *ret)
{
    double probability = q < QUANTILE_EDGE       ? QUANTILE_EDGE
                         : q > 1 - QUANTILE_EDGE ? 1 - QUANTILE_EDGE
                                                 : q;
    struct tw_err err;
    if (!(q >= 0 && q <= 1)) {
        *ret = isnan(q) ? NAN : q < 0 ? -INFINITY : INFINITY;
        return QUERY_OUTLOOK_THERE;
    }
    if (forecast_model_predict_lead(learned->model, lead, &probability, 1, NULL, ret, &err) !=
            TW_OK ||
        !isfinite(*ret))
        return QUERY_OUTLOOK_NONE;
    return QUERY_OUTLOOK_THERE;
}

struct forecast_model *query_model_copy(const struct forecast_model *model)
{
    uint8_t bytes[FORECAST_MODEL_BYTES_MAX];
    size_t size = forecast_model_size(model);
    struct forecast_model *copy;
    struct tw_err err;
    TW_ASSERT(size <= sizeof bytes);
    forecast_model_write(model, bytes);
    TW_ASSERT(forecast_model_read(bytes, size, &copy, &err) == TW_OK);
    return copy;
}

/* Behind a gap in the samples the way is longer than the horizon. What is missing is told to a
 * copy: it may still come. */
static enum query_outlook predict_behind(const struct query_learned *learned, size_t gap, double q,
                                         double *ret)
{
    struct query_learned copy = *learned;
    copy.model = query_model_copy(learned->model);
    for (size_t i = 0; i < gap; i++)
        forecast_model_append(copy.model, NAN);
    enum query_outlook outlook = predict(&copy, copy.leads, q, ret);
    forecast_model_free(copy.model);
    return outlook;
}

enum query_outlook query_learner_forecast(struct query_learner *learner, int64_t basis_ms,
                                          int64_t target_ms, int64_t widest_ms, double q,
                                          double *ret)
{
    size_t newest;
    struct query_learned *learned = &learner->learned;
    if (!find_newest(learner, basis_ms, &newest))
        return QUERY_OUTLOOK_NONE;
    enum query_outlook outlook = bring_up(learner, newest, basis_ms, widest_ms);
    if (outlook != QUERY_OUTLOOK_THERE)
        return outlook;
    if (-tw_floor_div(basis_ms - target_ms, learned->step_ms) > FORECAST_HORIZON_MAX)
        return QUERY_OUTLOOK_TOO_FAR;
    size_t lead = (size_t)find_lead(learned, target_ms);
    outlook = lead <= learned->leads ? predict(learned, lead, q, ret)
                                     : predict_behind(learned, lead - learned->leads, q, ret);
    if (outlook == QUERY_OUTLOOK_THERE)
        *ret *=
            find_ratio(learner, query_learned_end_ms(learned) + (int64_t)lead * learned->step_ms);
    return outlook;
}

enum query_outlook query_learner_score(struct query_learner *learner, int64_t basis_ms, double *ret)
{
    size_t newest;
    if (!find_newest(learner, basis_ms, &newest))
        return QUERY_OUTLOOK_NONE;
    enum query_outlook outlook = bring_up(learner, newest, basis_ms, 0);
    if (outlook != QUERY_OUTLOOK_THERE)
        return outlook;
    if (isnan(learner->learned.score))
        return QUERY_OUTLOOK_NONE;
    *ret = learner->learned.score;
    return QUERY_OUTLOOK_THERE;
}

/* ---- models that were kept ---- */

void query_learner_give(struct query_learner *learner, struct query_learned *learned,
                        struct query_trial *trial)
{
    forget(learner);
    learner->learned = *learned;
    learned->model = NULL;
    learner->fixed = learner->learned.model != NULL;
    learner->trial = trial;
}

void query_learner_take(struct query_learner *learner, struct query_learned *ret)
{
    *ret = learner->learned;
    learner->learned.model = NULL;
}

bool query_learned_usable(const struct query_learned *learned, int64_t range_ms, bool scores,
                          int64_t basis_ms)
{
    int64_t refit_ms = query_refit_ms(range_ms);
    int64_t epoch_ms = tw_floor_div(basis_ms, refit_ms) * refit_ms - (scores ? refit_ms : 0);
    return !learned->young && query_learned_end_ms(learned) <= basis_ms &&
           epoch_ms - learned->epoch_ms <= refit_ms;
}
