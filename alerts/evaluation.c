/* SPDX-License-Identifier: Apache-2.0
 *
 * evaluation: one rule at one timestamp: query, results, samples.
 */
#include "config.h"

#include "alerts/evaluator_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alerts/labelset.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/number.h"
#include "base/utf8.h"
#include "query/histogram_value.h"

#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum tw_code try_code_ = (expression);                                                     \
        if (try_code_ != TW_OK)                                                                    \
            return try_code_;                                                                      \
    } while (0)

/* What the steps of one evaluation share. */
struct evaluation {
    struct alert_evaluator *evaluator;
    const struct alert_group_run *group;
    struct alert_rule_run *run;
    int64_t time_ms; /* the group's timestamp */
    int64_t data_ms; /* time_ms - query_offset: of the query and of the samples written */
    struct tw_arena *arena;
    struct tsdb_sample *samples;
    size_t count;
    struct tsdb_histogram_sample *histograms; /* of a recording rule */
    size_t histogram_count;
    struct tw_err *err;
};

/* ---- queries ---- */

/* A vector, or a scalar as a vector of one without labels. */
static enum tw_code run_query(struct alert_evaluator *evaluator, struct query_batch *batch,
                              struct tw_str text, int64_t time_ms, struct query_result **ret,
                              struct tw_err *err)
{
    struct query_result *result = NULL;
    const struct query_request request = {
        .text = text, .start_ms = time_ms, .end_ms = time_ms, .batch = batch};
    TRY(query_run(evaluator->options.engine, &evaluator->context, &request, &result, err));
    if (result->type != QUERY_VECTOR && result->type != QUERY_SCALAR) {
        query_result_free(result);
        return tw_err_set(err, TW_EXECUTION, "rule result is not a vector or scalar");
    }
    *ret = result;
    return TW_OK;
}

/* Of a native histogram 0, as in Prometheus. */
static double number_of(const struct query_series *series)
{
    return series->count > 0 ? series->points[0].value : 0;
}

static enum tw_code template_query(void *user, struct tw_str text, struct tw_arena *arena,
                                   const struct alert_sample **ret_samples, size_t *ret_count,
                                   struct tw_err *err)
{
    const struct evaluation *x = user;
    struct query_result *result = NULL;
    TRY(run_query(x->evaluator, NULL, text, x->data_ms, &result, err));
    struct alert_sample *samples = TW_ARENA_ARRAY(arena, struct alert_sample, result->count + 1);
    for (size_t i = 0; i < result->count; i++)
        samples[i] = (struct alert_sample){wire_labels_copy(arena, result->series[i].labels),
                                           number_of(&result->series[i])};
    *ret_samples = samples;
    *ret_count = result->count;
    query_result_free(result);
    return TW_OK;
}

/* ---- labels ---- */

/* A set being put together: setting a name again replaces it, an empty value removes it. */
struct builder {
    struct wire_label *items;
    size_t count;
};

static struct builder builder_new(struct tw_arena *arena, struct wire_labels base, size_t more)
{
    struct builder b = {TW_ARENA_ARRAY(arena, struct wire_label, base.count + more + 1), 0};
    for (size_t i = 0; i < base.count; i++)
        if (!tw_str_is(base.items[i].name, WIRE_METRIC_NAME))
            b.items[b.count++] = base.items[i];
    return b;
}

static void builder_set(struct builder *b, struct tw_str name, struct tw_str value)
{
    for (size_t i = 0; i < b->count; i++) {
        if (!tw_str_equal(b->items[i].name, name))
            continue;
        b->items[i].value = value;
        return;
    }
    b->items[b->count++] = (struct wire_label){name, value};
}

static struct wire_labels builder_take(struct builder *b)
{
    /* Names are unique by construction, so this only sorts and drops what is empty. */
    if (wire_labels_canonical(b->items, &b->count, NULL) != TW_OK)
        TW_UNREACHABLE("a builder holds each name once");
    return (struct wire_labels){b->items, b->count};
}

/* ---- series ---- */

static int compare_labels(const void *a, const void *b)
{
    return wire_labels_compare(*(const struct wire_labels *)a, *(const struct wire_labels *)b);
}

static void add_sample(struct evaluation *x, struct wire_labels labels, double value)
{
    x->samples[x->count++] = (struct tsdb_sample){labels, x->data_ms, value};
}

/* Labels of what is written: the numbers, then the histograms. */
static struct wire_labels written_labels(const struct evaluation *x, size_t index)
{
    return index < x->count ? x->samples[index].labels : x->histograms[index - x->count].labels;
}

/* Ends the series of the last evaluation that this one did not write; remembers this one's. Both
 * lists are sorted. x->samples has room for all of the last. */
static void end_vanished(struct evaluation *x)
{
    struct alert_rule_run *run = x->run;
    size_t written = x->count + x->histogram_count, old = 0;
    struct wire_labels *now = calloc(written + 1, sizeof *now);
    TW_ASSERT(now != NULL);
    for (size_t i = 0; i < written; i++)
        now[i] = alert_labelset_dup(written_labels(x, i));
    qsort(now, written, sizeof *now, compare_labels);
    double stale = tw_double_from_bits(TW_STALE_BITS);
    for (size_t i = 0; i < written || old < run->written_count;) {
        int order = i >= written                ? 1
                    : old >= run->written_count ? -1
                                                : wire_labels_compare(now[i], run->written[old]);
        if (order > 0)
            add_sample(x, wire_labels_copy(x->arena, run->written[old]), stale);
        i += order <= 0;
        old += order >= 0;
    }
    for (size_t i = 0; i < run->written_count; i++)
        alert_labelset_free(run->written[i]);
    free(run->written);
    run->written = now;
    run->written_count = written;
}

enum tw_code alert_evaluation_append(struct alert_evaluator *evaluator,
                                     const struct tsdb_sample *samples, size_t count,
                                     struct tw_err *err)
{
    if (count == 0)
        return TW_OK;
    return tsdb_append(evaluator->options.storage, &evaluator->context, samples, count, err);
}

void alert_evaluation_end_series(struct alert_evaluator *evaluator, struct alert_rule_run *run,
                                 int64_t time_ms)
{
    struct tw_err err = {0};
    struct tsdb_sample *samples = calloc(run->written_count + 1, sizeof *samples);
    TW_ASSERT(samples != NULL);
    for (size_t i = 0; i < run->written_count; i++)
        samples[i] =
            (struct tsdb_sample){run->written[i], time_ms, tw_double_from_bits(TW_STALE_BITS)};
    if (alert_evaluation_append(evaluator, samples, run->written_count, &err) != TW_OK) {
        tw_metric_add(evaluator->metrics.failures, 1);
        tw_log(TW_LOG_WARN, "alerts.evaluator", "cannot end the series of a rule that is gone",
               "error=%s", tw_log_quote(tw_str(err.message)));
    }
    for (size_t i = 0; i < run->written_count; i++)
        alert_labelset_free(run->written[i]);
    run->written_count = 0;
    free(samples);
}

/* ---- recording rules ---- */

static enum tw_code check_limit(const struct evaluation *x, size_t count, const char *what)
{
    int64_t limit = x->group->group->limit;
    if (limit <= 0 || count <= (size_t)limit)
        return TW_OK;
    return tw_err_set(x->err, TW_LIMIT, "exceeded limit of %" PRId64 " with %zu %s", limit, count,
                      what);
}

static enum tw_code check_distinct(const struct evaluation *x)
{
    size_t count = x->count + x->histogram_count;
    struct wire_labels *all = TW_ARENA_ARRAY(x->arena, struct wire_labels, count + 1);
    for (size_t i = 0; i < count; i++)
        all[i] = written_labels(x, i);
    qsort(all, count, sizeof *all, compare_labels);
    for (size_t i = 1; i < count; i++)
        if (wire_labels_equal(all[i - 1], all[i]))
            return tw_err_set(
                x->err, TW_EXECUTION,
                "vector contains metrics with the same labelset after applying rule labels");
    return TW_OK;
}

static enum tw_code record(struct evaluation *x, const struct query_result *result)
{
    const struct alert_rule *rule = x->run->rule;
    TRY(check_limit(x, result->count, "series"));
    x->samples =
        TW_ARENA_ARRAY(x->arena, struct tsdb_sample, result->count + x->run->written_count + 1);
    x->histograms = TW_ARENA_ARRAY(x->arena, struct tsdb_histogram_sample, result->count + 1);
    for (size_t i = 0; i < result->count; i++) {
        struct builder b = builder_new(x->arena, result->series[i].labels, rule->label_count + 1);
        builder_set(&b, TW_STR(WIRE_METRIC_NAME), rule->name);
        for (size_t k = 0; k < rule->label_count; k++)
            builder_set(&b, rule->labels[k].name, rule->labels[k].text);
        struct wire_labels labels = builder_take(&b);
        if (result->series[i].count > 0)
            add_sample(x, labels, result->series[i].points[0].value);
        else
            x->histograms[x->histogram_count++] = (struct tsdb_histogram_sample){
                labels, query_histogram_to_wire(x->arena, result->series[i].histograms[0].histogram,
                                                x->data_ms)};
    }
    TRY(check_distinct(x));
    end_vanished(x);
    TRY(alert_evaluation_append(x->evaluator, x->samples, x->count, x->err));
    if (x->histogram_count == 0)
        return TW_OK;
    return tsdb_append_histograms(x->evaluator->options.storage, &x->evaluator->context,
                                  x->histograms, x->histogram_count, x->err);
}

/* ---- alerting rules ---- */

/* The text of a label or annotation; a failure stands in its place, as in Prometheus. */
static struct tw_str expand(struct evaluation *x, const struct alert_text *text,
                            const struct alert_template_data *data)
{
    struct tw_str made;
    struct tw_err err = {0};
    if (alert_template_expand(text->template, data, x->arena, &made, &err) == TW_OK)
        return made;
    tw_metric_add(x->evaluator->metrics.template_failures, 1);
    return tw_arena_format(x->arena, "<error expanding template: %s>", err.message);
}

static struct wire_labels expand_annotations(struct evaluation *x,
                                             const struct alert_template_data *data)
{
    const struct alert_rule *rule = x->run->rule;
    struct wire_label *items =
        TW_ARENA_ARRAY(x->arena, struct wire_label, rule->annotation_count + 1);
    for (size_t i = 0; i < rule->annotation_count; i++)
        items[i] =
            (struct wire_label){rule->annotations[i].name, expand(x, &rule->annotations[i], data)};
    return (struct wire_labels){items, rule->annotation_count};
}

/* Whether the series of the alert's state, which has two labels more, can be stored. */
static enum tw_code check_labels(struct wire_labels labels, struct tw_err *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < labels.count; i++) {
        struct tw_str value = labels.items[i].value;
        bytes += labels.items[i].name.size + value.size;
        if (value.size > WIRE_LABEL_VALUE_BYTES_MAX || !tw_utf8_valid(value))
            return tw_err_set(err, TW_EXECUTION, "the value of label %.*s is %s",
                              TW_STR_ARG(labels.items[i].name),
                              tw_utf8_valid(value) ? "too long" : "not valid UTF-8");
    }
    if (labels.count + 2 > WIRE_LABELS_COUNT_MAX || bytes + 64 > WIRE_LABELS_BYTES_MAX)
        return tw_err_set(err, TW_LIMIT, "the alert has too many labels, or too large ones");
    return TW_OK;
}

/* A native histogram as $value prints it; empty for a number. */
static struct tw_str histogram_text(struct evaluation *x, const struct query_series *series)
{
    struct tw_buf text;
    if (series->count > 0)
        return (struct tw_str){0};
    tw_buf_init(&text, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    query_histogram_print(series->histograms[0].histogram, &text);
    struct tw_str copy = tw_arena_str(x->arena, tw_buf_str(&text));
    tw_buf_fini(&text);
    return copy;
}

static enum tw_code find_candidate(struct evaluation *x, const struct query_series *series,
                                   struct alert_candidate *ret)
{
    const struct alert_rule *rule = x->run->rule;
    const struct alert_rule_set *set = x->evaluator->set;
    const struct alert_template_data data = {
        .labels = series->labels,
        .value = number_of(series),
        .histogram = histogram_text(x, series),
        .external_labels = set->external_labels,
        .external_url = set->external_url,
        .time_ms = x->time_ms,
        .query = template_query,
        .query_user = x,
    };
    struct builder b = builder_new(x->arena, series->labels, rule->label_count + 1);
    for (size_t i = 0; i < rule->label_count; i++)
        builder_set(&b, rule->labels[i].name, expand(x, &rule->labels[i], &data));
    builder_set(&b, TW_STR("alertname"), rule->name);
    ret->labels = builder_take(&b);
    TRY(check_labels(ret->labels, x->err));
    ret->annotations = expand_annotations(x, &data);
    ret->value = number_of(series);
    ret->fingerprint = alert_labelset_fingerprint(ret->labels);
    return TW_OK;
}

static int compare_candidates(const void *a, const void *b)
{
    const struct alert_candidate *left = a, *right = b;
    return (left->fingerprint > right->fingerprint) - (left->fingerprint < right->fingerprint);
}

static enum tw_code find_candidates(struct evaluation *x, const struct query_result *result,
                                    struct alert_candidate **ret)
{
    struct alert_candidate *candidates =
        TW_ARENA_ARRAY(x->arena, struct alert_candidate, result->count + 1);
    for (size_t i = 0; i < result->count; i++)
        TRY(find_candidate(x, &result->series[i], &candidates[i]));
    qsort(candidates, result->count, sizeof *candidates, compare_candidates);
    for (size_t i = 1; i < result->count; i++)
        if (candidates[i - 1].fingerprint == candidates[i].fingerprint)
            return tw_err_set(
                x->err, TW_EXECUTION,
                "vector contains metrics with the same labelset after applying alert labels");
    *ret = candidates;
    return TW_OK;
}

static void add_state_samples(struct evaluation *x, const struct alert_active *active)
{
    bool firing = active->record.state == ALERT_FIRING;
    struct builder b = builder_new(x->arena, active->record.labels, 2);
    builder_set(&b, TW_STR(WIRE_METRIC_NAME), TW_STR("ALERTS_FOR_STATE"));
    struct builder alerts = {TW_ARENA_ARRAY(x->arena, struct wire_label, b.count + 2), b.count};
    memcpy(alerts.items, b.items, b.count * sizeof *b.items);
    builder_set(&alerts, TW_STR(WIRE_METRIC_NAME), TW_STR("ALERTS"));
    builder_set(&alerts, TW_STR("alertstate"), firing ? TW_STR("firing") : TW_STR("pending"));
    add_sample(x, builder_take(&alerts), 1);
    add_sample(x, builder_take(&b), (double)tw_floor_div(active->record.active_ms, 1000));
}

static enum tw_code alert(struct evaluation *x, const struct query_result *result)
{
    struct alert_rule_run *run = x->run;
    struct alert_candidate *candidates = NULL;
    TRY(find_candidates(x, result, &candidates));
    tw_lock_take(&x->evaluator->view);
    alert_actives_update(&run->actives, run->rule->for_ms, run->rule->keep_firing_ms, candidates,
                         result->count, x->time_ms);
    enum tw_code over = check_limit(x, alert_actives_live(&run->actives), "alerts");
    if (over != TW_OK)
        alert_actives_clear(&run->actives, x->time_ms);
    x->samples = TW_ARENA_ARRAY(x->arena, struct tsdb_sample,
                                2 * run->actives.count + run->written_count + 1);
    for (size_t i = 0; i < run->actives.count; i++) {
        const struct alert_active *active = &run->actives.items[i];
        if (active->record.state != ALERT_INACTIVE && (active->changes & ALERT_CHANGE_REMOVE) == 0)
            add_state_samples(x, active);
    }
    tw_lock_release(&x->evaluator->view);
    alert_evaluator_publish(x->evaluator, x->group, run);
    if (over != TW_OK)
        return over;
    end_vanished(x);
    return alert_evaluation_append(x->evaluator, x->samples, x->count, x->err);
}

/* ---- all ---- */

static enum tw_code evaluate(struct evaluation *x)
{
    struct query_result *result = NULL;
    TRY(run_query(x->evaluator, x->group->batch, x->run->rule->expr, x->data_ms, &result, x->err));
    enum tw_code code =
        x->run->rule->kind == ALERT_RULE_ALERT ? alert(x, result) : record(x, result);
    query_result_free(result);
    return code;
}

static void report(struct evaluation *x, enum tw_code code, double seconds)
{
    struct alert_rule_run *run = x->run;
    struct alert_evaluator *evaluator = x->evaluator;
    if (code == TW_CANCELLED && atomic_load(&evaluator->context.cancelled))
        return; /* the program ends */
    tw_metric_add(evaluator->metrics.evaluations, 1);
    if (code != TW_OK) {
        tw_metric_add(evaluator->metrics.failures, 1);
        tw_log(TW_LOG_WARN, "alerts.evaluator", "rule failed, its alerts stay as they are",
               "rule=%s group=%s error=%s", tw_log_quote(run->rule->name),
               tw_log_quote(x->group->group->name), tw_log_quote(tw_str(x->err->message)));
    }
    tw_lock_take(&evaluator->view);
    free(run->error);
    run->error = code == TW_OK ? NULL : tw_str_dup(tw_str(x->err->message));
    run->health = code == TW_OK ? ALERT_HEALTH_OK : ALERT_HEALTH_ERROR;
    run->evaluated_ms = tw_clock_wall_ms(evaluator->options.clock);
    run->seconds = seconds;
    tw_lock_release(&evaluator->view);
}

void alert_evaluation_run(struct alert_evaluator *evaluator, struct alert_group_run *group,
                          struct alert_rule_run *run, int64_t time_ms)
{
    tw_lock_assert_held(&evaluator->running);
    struct tw_err err = {0};
    struct evaluation x = {.evaluator = evaluator,
                           .group = group,
                           .run = run,
                           .time_ms = time_ms,
                           .data_ms = time_ms - group->query_offset_ms,
                           .arena = evaluator->arena,
                           .err = &err};
    int64_t start_ns = tw_clock_mono_ns(evaluator->options.clock);
    enum tw_code code = evaluate(&x);
    report(&x, code, (double)(tw_clock_mono_ns(evaluator->options.clock) - start_ns) / 1e9);
    tw_arena_reset(evaluator->arena);
}
