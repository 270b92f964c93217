/* SPDX-License-Identifier: Apache-2.0
 *
 * forecast, forecast_quantile, anomaly_score: a model of each series (forecast/model.h), learned
 * from a range of samples.
 *
 * At time t a model is used that was learned from the range before the newest *epoch* (multiples of
 * range / 16) that is not behind the newest sample, and was told what came since. So nothing behind
 * t counts, the answer does not depend on the query's step or start, and a graph needs a new model
 * only every sixteenth of the range. Behind the last sample the forecast goes on, as far as the
 * range.
 *
 *   ... samples .............................e.......L     t                t + horizon
 *       |<------------ range ---------------->| told  |<--------- lead --------->|
 *
 * Samples become values of equal distance: the means of buckets, which are counted from the epoch;
 * a bucket counts once it is over. They are no finer than range / 2048, nor than the samples are.
 */
#include "config.h"

#include "query/range_kernel.h"

#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "forecast/model.h"

#define EPOCHS_PER_RANGE 16
#define BUCKETS_PER_RANGE 2048
#define ANOMALY_LEAD_MAX 16
/* With fewer values before an epoch the series is young: it is learned anew with each sample. */
#define VALUES_OLD 32
/* Of the values' spread: what is usual is never taken to be less, lest a flat night be all alarms.
 */
#define USUAL_LEAST 0.01
/* Quantiles nearer to 0 and 1 than this are not known from so few errors. */
#define QUANTILE_EDGE 0.001
/* What learning one value costs, in values of other functions. */
#define WORK_PER_VALUE 2000

struct learner {
    const struct query_range_row *row;
    bool scores;      /* anomaly_score */
    int64_t refit_ms; /* from epoch to epoch */
    struct forecast_model *model;
    int64_t epoch_ms, step_ms;
    int64_t held;   /* number of the newest bucket told; 0 = the one that ends at the epoch */
    size_t at;      /* the first sample not told */
    size_t leads;   /* that the model was learned for */
    double score;   /* of the newest bucket; NaN: none */
    double spread;  /* standard deviation of the values learned */
    double *values; /* room for a range of buckets */
};

int64_t query_range_reach(enum query_function_id function, int64_t range_ms)
{
    int64_t refit_ms = range_ms / EPOCHS_PER_RANGE + 1;
    switch (function) {
    case QUERY_FN_FORECAST:
    case QUERY_FN_FORECAST_QUANTILE:
        return range_ms + refit_ms;
    case QUERY_FN_ANOMALY_SCORE:
        return range_ms + 2 * refit_ms;
    default:
        return 0;
    }
}

/* ---- learning ---- */
static int64_t choose_step(const struct query_range_row *row, size_t first, size_t limit)
{
    static const int64_t seconds[] = {1,   5,    10,   15,   30,    60,    120,   300,  600,
                                      900, 1800, 3600, 7200, 14400, 21600, 43200, 86400};
    int64_t distance_ms = limit - first < 2 ? 0
                                            : (row->times_ms[limit - 1] - row->times_ms[first]) /
                                                  (int64_t)(limit - first - 1);
    int64_t least_ms = (row->range_ms + BUCKETS_PER_RANGE - 1) / BUCKETS_PER_RANGE;
    least_ms = distance_ms > least_ms ? distance_ms : least_ms;
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        if (seconds[i] * 1000 >= least_ms)
            return seconds[i] * 1000;
    return 7 * INT64_C(86400000);
}

/* Number of the bucket of a time, counted from the epoch: 1 is the first behind it. */
static int64_t bucket_of(const struct learner *learner, int64_t time_ms)
{
    return -tw_floor_div(learner->epoch_ms - time_ms, learner->step_ms);
}

static size_t find_behind(const struct query_range_row *row, int64_t time_ms)
{
    size_t low = 0, high = row->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (row->times_ms[middle] <= time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The mean of the bucket that sample *at lies in; steps behind its samples. */
static double take_bucket(const struct learner *learner, size_t *at)
{
    const struct query_range_row *row = learner->row;
    int64_t bucket = bucket_of(learner, row->times_ms[*at]);
    double sum = 0;
    size_t count = 0;
    for (; *at < row->count && bucket_of(learner, row->times_ms[*at]) == bucket; (*at)++) {
        sum += row->values[*at];
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

/* Values of the range before the epoch; false: too few. */
static bool gather(struct learner *learner, bool young, size_t *ret_count)
{
    const struct query_range_row *row = learner->row;
    size_t first = find_behind(row, learner->epoch_ms - row->range_ms);
    size_t limit = find_behind(row, learner->epoch_ms);
    if (limit == first)
        return false;
    learner->step_ms = choose_step(row, first, limit);
    int64_t oldest = bucket_of(learner, row->times_ms[first]);
    size_t count = (size_t)(1 - oldest), known = 0;
    if (count > BUCKETS_PER_RANGE + 1)
        count = BUCKETS_PER_RANGE + 1;
    for (size_t i = 0; i < count; i++)
        learner->values[i] = NAN;
    for (size_t at = first; at < limit;) {
        int64_t bucket = bucket_of(learner, row->times_ms[at]);
        double mean = take_bucket(learner, &at);
        if (bucket <= 0 && (size_t)-bucket < count) {
            learner->values[count - 1 - (size_t)-bucket] = mean;
            known += isfinite(mean);
        }
    }
    learner->at = limit;
    learner->held = 0;
    learner->score = NAN;
    learner->spread = find_spread(learner->values, count);
    *ret_count = count;
    return known >= (young ? 1 : VALUES_OLD);
}

static void forget(struct learner *learner)
{
    learner->model = forecast_model_free(learner->model);
}

static bool learn_at(struct learner *learner, int64_t epoch_ms, bool young, size_t leads)
{
    size_t count;
    struct tw_err err;
    forget(learner);
    learner->epoch_ms = epoch_ms;
    if (!gather(learner, young, &count))
        return false;
    const struct forecast_options options = {
        .step_ms = learner->step_ms, .horizon = leads, .peak_horizon = 1, .lower_bound = -INFINITY};
    enum tw_code code = forecast_model_new(learner->values, count, &options, &learner->model, &err);
    learner->leads = leads;
    if (code)
        learner->model = NULL;
    return code == TW_OK;
}

/* ---- what came since ---- */
/* 0: as expected; 1: at the edge of what is expected nine times out of ten. */
static double score_of(struct learner *learner, size_t lead, double value)
{
    static const double probabilities[3] = {0.05, 0.5, 0.95};
    double quantiles[ANOMALY_LEAD_MAX][3];
    struct forecast_band band = {.quantiles = quantiles[0]};
    struct tw_err err;
    if (lead > ANOMALY_LEAD_MAX ||
        forecast_model_predict(learner->model, lead, probabilities, 3, &band, &err))
        return NAN;
    const double *expected = quantiles[lead - 1];
    double off = value - expected[1];
    double usual = off < 0 ? expected[1] - expected[0] : expected[2] - expected[1];
    usual = fmax(usual, USUAL_LEAST * learner->spread);
    return off == 0 ? 0 : fabs(off) / usual;
}

/* Buckets that are over at time_ms. */
static bool tell(struct learner *learner, int64_t time_ms)
{
    const struct query_range_row *row = learner->row;
    struct tw_err err;
    while (learner->at < row->count) {
        int64_t bucket = bucket_of(learner, row->times_ms[learner->at]);
        if (learner->epoch_ms + bucket * learner->step_ms > time_ms)
            break;
        double mean = take_bucket(learner, &learner->at);
        if (learner->scores)
            learner->score = score_of(learner, (size_t)(bucket - learner->held), mean);
        for (; learner->held < bucket; learner->held++)
            if (forecast_model_append(learner->model, learner->held + 1 < bucket ? NAN : mean,
                                      &err))
                return false;
    }
    return true;
}

static size_t find_lead(const struct learner *learner, int64_t time_ms)
{
    int64_t ahead_ms = time_ms - (learner->epoch_ms + learner->held * learner->step_ms);
    int64_t lead = -tw_floor_div(-ahead_ms, learner->step_ms);
    return lead < 1 ? 1 : lead > FORECAST_HORIZON_MAX ? 0 : (size_t)lead;
}

/* Leads are learned by powers of two, so that a model does not depend on the query's other steps.
 */
static size_t round_leads(size_t lead)
{
    size_t leads = 16;
    while (leads < lead)
        leads *= 2;
    return leads < FORECAST_HORIZON_MAX ? leads : FORECAST_HORIZON_MAX;
}

/* A model that knows what is known at time_ms; newest: the position of the newest sample. */
static bool bring_up(struct learner *learner, size_t newest, int64_t time_ms, size_t leads)
{
    int64_t newest_ms = learner->row->times_ms[newest];
    int64_t epoch_ms = tw_floor_div(newest_ms, learner->refit_ms) * learner->refit_ms;
    if (learner->scores)
        epoch_ms -= learner->refit_ms;
    bool same = learner->model && learner->epoch_ms == epoch_ms && learner->leads == leads;
    bool ready = same || learn_at(learner, epoch_ms, false, leads);
    if (!ready && learner->scores) /* too little to expect anything of */
        return false;
    if (!ready && !learn_at(learner, newest_ms, true, leads))
        return false;
    if (!same)
        *learner->row->failed = query_exec_worked(
            learner->row->exec, forecast_model_count(learner->model) * WORK_PER_VALUE,
            learner->row->err);
    return !*learner->row->failed && tell(learner, time_ms);
}

/* ---- kernels ---- */
static void begin(struct learner *learner, const struct query_range_row *row, bool scores)
{
    *learner = (struct learner){.row = row, .scores = scores, .score = NAN};
    learner->refit_ms = row->range_ms / EPOCHS_PER_RANGE;
    learner->refit_ms = learner->refit_ms < 1 ? 1 : learner->refit_ms;
    learner->values = malloc((BUCKETS_PER_RANGE + 2) * sizeof *learner->values);
    TW_ASSERT(learner->values != NULL);
}

static void end(struct learner *learner)
{
    forget(learner);
    free(learner->values);
}

static double predict(struct learner *learner, size_t lead, double q)
{
    double probability = q < QUANTILE_EDGE       ? QUANTILE_EDGE
                         : q > 1 - QUANTILE_EDGE ? 1 - QUANTILE_EDGE
                                                 : q;
    double quantiles[FORECAST_HORIZON_MAX];
    struct forecast_band band = {.quantiles = quantiles};
    struct tw_err err;
    if (!(q >= 0 && q <= 1))
        return isnan(q) ? NAN : q < 0 ? -INFINITY : INFINITY;
    if (forecast_model_predict(learner->model, lead, &probability, 1, &band, &err))
        return NAN;
    return quantiles[lead - 1];
}

/* quantile NULL: the median. */
static void forecast(const struct query_range_row *row, const double *quantile,
                     const double *horizon)
{
    struct learner learner;
    begin(&learner, row, false);
    for (size_t s = 0; s < row->steps && !*row->failed; s++) {
        int64_t now_ms = row->first_end_ms + (int64_t)s * row->end_step_ms;
        if (row->high[s] <= row->low[s])
            continue;
        int64_t target_ms = now_ms + (int64_t)(horizon[s] * 1000);
        /* The lead decides for how many leads to learn, and is known once a model has steps. */
        if (!bring_up(&learner, row->high[s] - 1, now_ms,
                      learner.leads ? learner.leads : round_leads(1)))
            continue;
        size_t lead = find_lead(&learner, target_ms);
        if (lead == 0)
            continue;
        if (round_leads(lead) != learner.leads) {
            if (!bring_up(&learner, row->high[s] - 1, now_ms, round_leads(lead)))
                continue;
            lead = find_lead(&learner, target_ms);
        }
        row->out[s] = predict(&learner, lead, quantile ? quantile[s] : 0.5);
        query_bit_set(row->present, s);
    }
    end(&learner);
}

void query_kernel_forecast(const struct query_range_row *row)
{
    forecast(row, NULL, row->first);
}

void query_kernel_forecast_quantile(const struct query_range_row *row)
{
    forecast(row, row->first, row->second);
}

void query_kernel_anomaly_score(const struct query_range_row *row)
{
    struct learner learner;
    begin(&learner, row, true);
    for (size_t s = 0; s < row->steps && !*row->failed; s++) {
        int64_t now_ms = row->first_end_ms + (int64_t)s * row->end_step_ms;
        if (row->high[s] <= row->low[s] ||
            !bring_up(&learner, row->high[s] - 1, now_ms, ANOMALY_LEAD_MAX) || isnan(learner.score))
            continue;
        row->out[s] = learner.score;
        query_bit_set(row->present, s);
    }
    end(&learner);
}
