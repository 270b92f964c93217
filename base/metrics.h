/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics: what a program counts about itself. A registry holds families (name, help, type) with
 * series (labels); updating one is a relaxed atomic, so any thread may, on any path.
 *
 * Names are the field's: <what>_total for counters, base units, unit last. A family is registered
 * once, with its meaning; registering the same name again with the same type gives the same family.
 *
 * Threads: any. Pointers live as long as the registry.
 */
#ifndef TW_BASE_METRICS_H
#define TW_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct tw_metrics;
struct tw_metric; /* one counter, gauge or histogram series */

enum tw_metric_type { TW_METRIC_COUNTER, TW_METRIC_GAUGE, TW_METRIC_HISTOGRAM };

struct tw_metrics *tw_metrics_new(void);
struct tw_metrics *tw_metrics_free(struct tw_metrics *metrics); /* returns NULL */

/* labels: "" or `reason="too_old",route="/x"`, already escaped, in the order shown. */
struct tw_metric *tw_metrics_counter(struct tw_metrics *metrics, const char *name,
                                     const char *labels, const char *help);
struct tw_metric *tw_metrics_gauge(struct tw_metrics *metrics, const char *name, const char *labels,
                                   const char *help);
/* bounds: ascending upper bounds without +Inf; copied. */
struct tw_metric *tw_metrics_histogram(struct tw_metrics *metrics, const char *name,
                                       const char *labels, const char *help, const double *bounds,
                                       size_t bound_count);
/* A value computed when it is read; read must be callable from any thread. */
void tw_metrics_callback(struct tw_metrics *metrics, enum tw_metric_type type, const char *name,
                         const char *labels, const char *help, double (*read)(void *user),
                         void *user);

/* All take NULL (counts nothing), so that a module works without a registry. */
void tw_metric_add(struct tw_metric *metric, uint64_t count); /* counter */
void tw_metric_add_double(struct tw_metric *metric, double amount);
void tw_metric_set(struct tw_metric *metric, double value);     /* gauge */
void tw_metric_observe(struct tw_metric *metric, double value); /* histogram */
double tw_metric_value(const struct tw_metric *metric);         /* of a counter or gauge */

/* Text exposition format 0.0.4, families sorted by name. */
void tw_metrics_write(struct tw_metrics *metrics, struct tw_buf *ret_text);

/* Each sample in turn (histograms as their _bucket/_sum/_count), for a program that stores its own
 * metrics. Arguments live during the call only. */
typedef void tw_metrics_visit(void *user, const char *name, const char *labels, const char *help,
                              enum tw_metric_type type, double value);
void tw_metrics_each(struct tw_metrics *metrics, tw_metrics_visit *visit, void *user);

#endif
