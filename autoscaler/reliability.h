/* SPDX-License-Identifier: Apache-2.0
 *
 * reliability: how dependable services are, from the past of their instances' health (`up`, or any
 * expression that is above 0 while an instance is well).
 *
 *   state of an instance at each step: up (> 0), down (<= 0), unknown (no sample)
 *
 *   failure       a step from up to down, with nothing but unknown ones between
 *   repair        the reverse
 *   availability  up / (up + down), over all instances
 *   served        share of the known steps at which at least one instance was up
 *   MTBF          up time / failures: operating time between failures
 *   MTTR          mean length of the outages that began and ended within the time
 *   failure rate  1 / MTBF, recovery rate 1 / MTTR
 *
 * What is unknown counts for nothing; its time is told.
 *
 * Ownership: label sets are copied. Threads: one at a time.
 */
#ifndef TW_AUTOSCALER_RELIABILITY_H
#define TW_AUTOSCALER_RELIABILITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "query/engine.h"
#include "wire/labels.h"

#define SCALE_RELIABILITY_INSTANCES_MAX 100000
#define SCALE_RELIABILITY_LABELS_MAX 8

struct scale_service {
    struct wire_labels labels; /* those asked for, that it has */
    size_t instances;
    int64_t up_ms, down_ms, unknown_ms;
    int64_t served_ms, known_ms; /* of the service as a whole */
    int64_t failures, repairs;
    int64_t outages, outage_ms; /* that began and ended */
};

struct scale_reliability;

/* by: names of the labels that make a service, at most SCALE_RELIABILITY_LABELS_MAX; texts are
 * copied. */
struct scale_reliability *scale_reliability_new(const struct tw_str *by, size_t by_count,
                                                int64_t step_ms);
struct scale_reliability *scale_reliability_free(struct scale_reliability *reliability); /* NULL */
/* The next part of the past: a range query's answer from start_ms to end_ms at the steps given.
 * Parts come in order, each begins a step after the last one ended. TW_LIMIT. */
TW_MUST_CHECK enum tw_code scale_reliability_add(struct scale_reliability *reliability,
                                                 const struct query_result *result,
                                                 int64_t start_ms, int64_t end_ms,
                                                 struct tw_err *err);
/* In the order of their labels. Once, when all parts were added. */
const struct scale_service *scale_reliability_services(struct scale_reliability *reliability,
                                                       size_t *ret_count);

/* NaN where there is nothing to tell from. */
double scale_service_availability(const struct scale_service *service);
double scale_service_served(const struct scale_service *service);
double scale_service_mtbf_s(const struct scale_service *service);
double scale_service_mttr_s(const struct scale_service *service);

#endif
