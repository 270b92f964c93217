/* SPDX-License-Identifier: Apache-2.0
 *
 * context: who asks, for what tenant, within which limits and until when. Travels through every
 * call of a request, from the HTTP edge to the store.
 *
 * Threads: read by any thread that works for the request; only `cancelled` is written after the
 * start, atomically.
 */
#ifndef TW_BASE_CONTEXT_H
#define TW_BASE_CONTEXT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

/* What one request may use; 0 = no limit. */
struct tw_limits {
    uint64_t query_samples_max; /* samples read */
    uint64_t query_series_max;  /* series selected */
    uint64_t query_bytes_max;   /* memory of one query */
    uint64_t query_points_max;  /* steps of a range query, per series */
};

struct tsdb_matcher;

struct tw_context {
    struct tw_str tenant;    /* folder under --data; "default" */
    struct tw_str principal; /* who, for logs and the audit log; empty = anonymous */
    struct tw_str origin;    /* from where: a client's address; empty = this process itself */
    /* Matchers that every selection of this request gets on top (label-scoped tokens). */
    const struct tsdb_matcher *scope;
    size_t scope_count;
    struct tw_limits limits;
    struct tw_clock *clock;
    int64_t deadline_mono_ns; /* INT64_MAX = none */
    atomic_bool cancelled;
};

/* The default tenant, nobody's limits, no deadline. */
void tw_context_init(struct tw_context *context, struct tw_clock *clock);
void tw_context_cancel(struct tw_context *context);
/* TW_CANCELLED, TW_TIMEOUT or TW_OK; long loops ask every few thousand samples. */
TW_MUST_CHECK enum tw_code tw_context_check(const struct tw_context *context, struct tw_err *err);

#endif
