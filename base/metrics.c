/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry is an array of series sorted by family name, then by registration; series are never
 * removed. The lock guards the array and the callbacks, never the values, and is not held while
 * values are read: a callback may take any lock of its module.
 */
#include "config.h"

#include "base/metrics.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/lock.h"
#include "base/number.h"
#include "base/str.h"

#define METRICS_MAGIC 0x4d455452u

struct family {
    char *name, *help;
    enum tw_metric_type type;
};

struct callback {
    double (*read)(void *user); /* NULL for a series that keeps its own value */
    void *user;
};

struct tw_metric {
    struct family *family;
    char *labels;
    struct callback callback;
    atomic_uint_fast64_t count;    /* counter: whole events */
    atomic_uint_fast64_t sum_bits; /* double: fractions of a counter, a gauge, a histogram's sum */
    size_t bound_count;
    double *bounds;
    atomic_uint_fast64_t *buckets; /* bound_count + 1, not cumulative */
};

struct tw_metrics {
    unsigned magic;
    struct tw_lock lock; /* guards series, count, capacity and every callback */
    struct tw_metric **series;
    size_t count, capacity;
};

/* What a reader works on after the lock is released. */
struct view {
    struct tw_metric *metric;
    struct callback callback;
};

static void *allocate(size_t count, size_t bytes)
{
    void *memory = calloc(count ? count : 1, bytes);
    TW_ASSERT(memory != NULL);
    return memory;
}

struct tw_metrics *tw_metrics_new(void)
{
    struct tw_metrics *metrics = allocate(1, sizeof *metrics);
    metrics->magic = METRICS_MAGIC;
    tw_lock_init(&metrics->lock, TW_RANK_METRICS, "metrics");
    return metrics;
}

struct tw_metrics *tw_metrics_free(struct tw_metrics *metrics)
{
    if (!metrics)
        return NULL;
    TW_CHECK_MAGIC(metrics, METRICS_MAGIC);
    for (size_t i = 0; i < metrics->count; i++) {
        struct tw_metric *metric = metrics->series[i];
        /* The family goes with the last of its series; they stand together. */
        if (i + 1 == metrics->count || metrics->series[i + 1]->family != metric->family) {
            free(metric->family->name);
            free(metric->family->help);
            free(metric->family);
        }
        free(metric->labels);
        free(metric->bounds);
        free(metric->buckets);
        free(metric);
    }
    free(metrics->series);
    tw_lock_fini(&metrics->lock);
    metrics->magic = 0;
    free(metrics);
    return NULL;
}

/* First series whose family's name is not less than name. */
static size_t find_first_locked(const struct tw_metrics *metrics, const char *name)
{
    size_t first = 0, limit = metrics->count;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (strcmp(metrics->series[middle]->family->name, name) < 0)
            first = middle + 1;
        else
            limit = middle;
    }
    return first;
}

static void insert_locked(struct tw_metrics *metrics, size_t index, struct tw_metric *metric)
{
    if (metrics->count == metrics->capacity) {
        metrics->capacity = metrics->capacity ? metrics->capacity * 2 : 64;
        metrics->series = realloc(metrics->series, metrics->capacity * sizeof(struct tw_metric *));
        TW_ASSERT(metrics->series != NULL);
    }
    memmove(metrics->series + index + 1, metrics->series + index,
            (metrics->count - index) * sizeof(struct tw_metric *));
    metrics->series[index] = metric;
    metrics->count++;
}

static struct tw_metric *find_or_insert_locked(struct tw_metrics *metrics, enum tw_metric_type type,
                                               const char *name, const char *labels,
                                               const char *help)
{
    size_t index = find_first_locked(metrics, name);
    struct family *family = NULL;
    for (; index < metrics->count && !strcmp(metrics->series[index]->family->name, name); index++) {
        family = metrics->series[index]->family;
        TW_ASSERT(family->type == type);
        if (!strcmp(metrics->series[index]->labels, labels))
            return metrics->series[index];
    }
    if (!family) {
        family = allocate(1, sizeof *family);
        family->name = tw_str_dup(tw_str(name));
        family->help = tw_str_dup(tw_str(help));
        family->type = type;
    }
    struct tw_metric *metric = allocate(1, sizeof *metric);
    metric->family = family;
    metric->labels = tw_str_dup(tw_str(labels));
    insert_locked(metrics, index, metric);
    return metric;
}

static struct tw_metric *register_simple(struct tw_metrics *metrics, enum tw_metric_type type,
                                         const char *name, const char *labels, const char *help)
{
    if (!metrics)
        return NULL;
    TW_CHECK_MAGIC(metrics, METRICS_MAGIC);
    tw_lock_take(&metrics->lock);
    struct tw_metric *metric = find_or_insert_locked(metrics, type, name, labels, help);
    tw_lock_release(&metrics->lock);
    return metric;
}

struct tw_metric *tw_metrics_counter(struct tw_metrics *metrics, const char *name,
                                     const char *labels, const char *help)
{
    return register_simple(metrics, TW_METRIC_COUNTER, name, labels, help);
}

struct tw_metric *tw_metrics_gauge(struct tw_metrics *metrics, const char *name, const char *labels,
                                   const char *help)
{
    return register_simple(metrics, TW_METRIC_GAUGE, name, labels, help);
}

struct tw_metric *tw_metrics_histogram(struct tw_metrics *metrics, const char *name,
                                       const char *labels, const char *help, const double *bounds,
                                       size_t bound_count)
{
    if (!metrics)
        return NULL;
    TW_CHECK_MAGIC(metrics, METRICS_MAGIC);
    tw_lock_take(&metrics->lock);
    struct tw_metric *metric =
        find_or_insert_locked(metrics, TW_METRIC_HISTOGRAM, name, labels, help);
    if (!metric->buckets) {
        metric->bounds = allocate(bound_count, sizeof *metric->bounds);
        for (size_t i = 0; i < bound_count; i++) {
            TW_ASSERT(i == 0 || bounds[i - 1] < bounds[i]);
            metric->bounds[i] = bounds[i];
        }
        metric->bound_count = bound_count;
        metric->buckets = allocate(bound_count + 1, sizeof *metric->buckets);
    }
    TW_ASSERT(metric->bound_count == bound_count);
    tw_lock_release(&metrics->lock);
    return metric;
}

void tw_metrics_callback(struct tw_metrics *metrics, enum tw_metric_type type, const char *name,
                         const char *labels, const char *help, double (*read)(void *user),
                         void *user)
{
    if (!metrics)
        return;
    TW_CHECK_MAGIC(metrics, METRICS_MAGIC);
    TW_ASSERT(type != TW_METRIC_HISTOGRAM);
    tw_lock_take(&metrics->lock);
    struct tw_metric *metric = find_or_insert_locked(metrics, type, name, labels, help);
    metric->callback = (struct callback){.read = read, .user = user};
    tw_lock_release(&metrics->lock);
}

static void add_bits(atomic_uint_fast64_t *bits, double amount)
{
    uint_fast64_t old = atomic_load_explicit(bits, memory_order_relaxed);
    uint_fast64_t new;
    do
        new = tw_double_bits(tw_double_from_bits(old) + amount);
    while (!atomic_compare_exchange_weak_explicit(bits, &old, new, memory_order_relaxed,
                                                  memory_order_relaxed));
}

void tw_metric_add(struct tw_metric *metric, uint64_t count)
{
    if (metric)
        atomic_fetch_add_explicit(&metric->count, count, memory_order_relaxed);
}

void tw_metric_add_double(struct tw_metric *metric, double amount)
{
    if (metric)
        add_bits(&metric->sum_bits, amount);
}

void tw_metric_set(struct tw_metric *metric, double value)
{
    if (metric)
        atomic_store_explicit(&metric->sum_bits, tw_double_bits(value), memory_order_relaxed);
}

void tw_metric_observe(struct tw_metric *metric, double value)
{
    if (!metric)
        return;
    TW_ASSERT(metric->buckets != NULL);
    size_t bucket = 0;
    while (bucket < metric->bound_count && !(value <= metric->bounds[bucket]))
        bucket++;
    atomic_fetch_add_explicit(&metric->buckets[bucket], 1, memory_order_relaxed);
    add_bits(&metric->sum_bits, value);
}

static double own_value(const struct tw_metric *metric)
{
    return (double)atomic_load_explicit(&metric->count, memory_order_relaxed) +
           tw_double_from_bits(atomic_load_explicit(&metric->sum_bits, memory_order_relaxed));
}

double tw_metric_value(const struct tw_metric *metric)
{
    return metric ? own_value(metric) : 0;
}

static struct view *take_views(struct tw_metrics *metrics, size_t *ret_count)
{
    TW_CHECK_MAGIC(metrics, METRICS_MAGIC);
    tw_lock_take(&metrics->lock);
    size_t count = metrics->count;
    struct view *views = allocate(count, sizeof *views);
    for (size_t i = 0; i < count; i++)
        views[i] =
            (struct view){.metric = metrics->series[i], .callback = metrics->series[i]->callback};
    tw_lock_release(&metrics->lock);
    *ret_count = count;
    return views;
}

static void visit_histogram(const struct tw_metric *metric, tw_metrics_visit *visit, void *user)
{
    const struct family *family = metric->family;
    struct tw_buf name, labels;
    tw_buf_init(&name, SIZE_MAX / 2);
    tw_buf_init(&labels, SIZE_MAX / 2);
    uint64_t count = 0;
    for (size_t i = 0; i <= metric->bound_count; i++) {
        char bound[TW_DOUBLE_BYTES];
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        tw_double_format_general(i < metric->bound_count ? metric->bounds[i] : INFINITY, bound);
        tw_buf_clear(&labels);
        tw_buf_appendf(&labels, "%s%sle=\"%s\"", metric->labels, *metric->labels ? "," : "", bound);
        tw_buf_clear(&name);
        tw_buf_appendf(&name, "%s_bucket", family->name);
        visit(user, tw_buf_cstr(&name), tw_buf_cstr(&labels), family->help, family->type,
              (double)count);
    }
    tw_buf_clear(&name);
    tw_buf_appendf(&name, "%s_sum", family->name);
    visit(user, tw_buf_cstr(&name), metric->labels, family->help, family->type, own_value(metric));
    tw_buf_clear(&name);
    tw_buf_appendf(&name, "%s_count", family->name);
    visit(user, tw_buf_cstr(&name), metric->labels, family->help, family->type, (double)count);
    tw_buf_fini(&name);
    tw_buf_fini(&labels);
}

static void visit_view(const struct view *view, tw_metrics_visit *visit, void *user)
{
    const struct tw_metric *metric = view->metric;
    const struct family *family = metric->family;
    if (family->type == TW_METRIC_HISTOGRAM) {
        visit_histogram(metric, visit, user);
        return;
    }
    double value =
        view->callback.read ? view->callback.read(view->callback.user) : own_value(metric);
    visit(user, family->name, metric->labels, family->help, family->type, value);
}

void tw_metrics_each(struct tw_metrics *metrics, tw_metrics_visit *visit, void *user)
{
    size_t count;
    struct view *views = take_views(metrics, &count);
    for (size_t i = 0; i < count; i++)
        visit_view(&views[i], visit, user);
    free(views);
}

static void write_help(struct tw_buf *text, const char *help)
{
    for (; *help; help++) {
        if (*help == '\\' || *help == '\n')
            tw_buf_appendf(text, "\\%c", *help == '\n' ? 'n' : '\\');
        else
            tw_buf_append_char(text, *help);
    }
}

static void write_sample(void *user, const char *name, const char *labels, const char *help,
                         enum tw_metric_type type, double value)
{
    struct tw_buf *text = user;
    char number[TW_DOUBLE_BYTES];
    (void)help;
    (void)type;
    tw_double_format_general(value, number);
    if (*labels)
        tw_buf_appendf(text, "%s{%s} %s\n", name, labels, number);
    else
        tw_buf_appendf(text, "%s %s\n", name, number);
}

void tw_metrics_write(struct tw_metrics *metrics, struct tw_buf *ret_text)
{
    static const char *const type_names[] = {"counter", "gauge", "histogram"};
    size_t count;
    struct view *views = take_views(metrics, &count);
    for (size_t i = 0; i < count; i++) {
        const struct family *family = views[i].metric->family;
        if (i == 0 || views[i - 1].metric->family != family) {
            tw_buf_appendf(ret_text, "# HELP %s ", family->name);
            write_help(ret_text, family->help);
            tw_buf_appendf(ret_text, "\n# TYPE %s %s\n", family->name, type_names[family->type]);
        }
        visit_view(&views[i], write_sample, ret_text);
    }
    free(views);
}
