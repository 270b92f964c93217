/* SPDX-License-Identifier: Apache-2.0
 *
 * engine: PromQL in, results out. What rules, scalers and the HTTP API call.
 *
 * Semantics are those of Prometheus 3.x: left-open ranges and look-back, stale markers, UTF-8
 * names.
 *
 * Threads: an engine may be used by all; each call runs on its caller's thread and owns its memory.
 */
#ifndef TW_QUERY_ENGINE_H
#define TW_QUERY_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/context.h"
#include "base/err.h"
#include "base/metrics.h"
#include "base/str.h"
#include "query/running.h"
#include "tsdb/storage.h"
#include "wire/labels.h"

/* What Prometheus has behind --enable-feature=; off unless asked for. */
enum query_feature {
    QUERY_FEATURE_EXPERIMENTAL_FUNCTIONS = 1, /* promql-experimental-functions */
    QUERY_FEATURE_FILL = 2,                   /* promql-binop-fill-modifiers */
    QUERY_FEATURE_EXTENDED_RANGES = 4,        /* promql-extended-range-selectors */
    QUERY_FEATURE_DELAYED_NAME_REMOVAL = 8,   /* promql-delayed-name-removal */
    QUERY_FEATURE_TYPE_LABELS = 16,           /* type-and-unit-labels */
    QUERY_FEATURE_START_TIMESTAMPS = 32,      /* use-start-timestamps */
    QUERY_FEATURE_STEP_STATS = 64,            /* promql-per-step-stats: it changes no query */
};
#define QUERY_FEATURES_ALL 63u
/* What changes no query that is valid without it. */
#define QUERY_FEATURES_SYNTAX                                                                      \
    (QUERY_FEATURE_EXPERIMENTAL_FUNCTIONS | QUERY_FEATURE_FILL | QUERY_FEATURE_EXTENDED_RANGES)
/* "a,b": the features among the comma-separated names; "all-promql" is all of them but
 * type-and-unit-labels, which would tell of every counter that comes without a type. Other names
 * are not the query engine's and left to others. */
unsigned query_features_parse(struct tw_str names);

/* Of a subquery that names none. */
#define QUERY_SUBQUERY_STEP_MS (60 * 1000)

struct query_engine;
struct query_histogram;
struct query_kept;
struct query_batch;
struct query_tally;

struct query_options {
    int64_t lookback_ms;           /* 0 = 5 min */
    int64_t timeout_ms;            /* 0 = 2 min; a context's earlier deadline wins */
    uint64_t samples_max;          /* per query; 0 = 50 M */
    uint64_t bytes_max;            /* memory of one query; 0 = 1 GiB */
    unsigned features;             /* sum of enum query_feature */
    size_t parallelism;            /* threads that may work on one query; 0 = 1 */
    struct query_running *running; /* keeps account of all queries; may be NULL, outlives results */
    struct tw_metrics *metrics;    /* may be NULL */
    struct query_kept *kept;       /* models that stay between queries; may be NULL */
    /* For the keeper: how many models a query may learn anew, and forecast() does nothing else. */
    size_t renews_max;
};

struct query_engine *query_engine_new(struct tsdb_storage *storage,
                                      const struct query_options *options);
/* The same engine with another look-back; freed on its own, before the engine. */
struct query_engine *query_engine_with_lookback(struct query_engine *engine, int64_t lookback_ms);
struct query_engine *query_engine_free(struct query_engine *engine); /* returns NULL */
struct tsdb_storage *query_engine_storage(struct query_engine *engine);
struct query_running *query_engine_running(struct query_engine *engine); /* may be NULL */
/* As given, with the defaults filled in. */
const struct query_options *query_engine_options(const struct query_engine *engine);

enum query_result_type { QUERY_SCALAR, QUERY_VECTOR, QUERY_MATRIX, QUERY_STRING };

struct query_point {
    int64_t time_ms;
    double value;
};

struct query_histogram_point {
    int64_t time_ms;
    const struct query_histogram *histogram; /* query/histogram_value.h */
};

/* A series has numbers, or native histograms, or first the one and then the other. In a vector it
 * has exactly one point of either kind. */
struct query_series {
    struct wire_labels labels; /* with __name__ where the expression keeps it */
    const struct query_point *points;
    size_t count;
    const struct query_histogram_point *histograms;
    size_t histogram_count;
};

/* Where the time went. */
struct query_timings {
    int64_t prepare_ns;  /* parsing, planning */
    int64_t evaluate_ns; /* reading and computing */
    int64_t sort_ns;
};

struct query_result {
    enum query_result_type type;
    /* Vector: in the order the query gives. Matrix: by labels. Scalar: one series without labels.
     */
    const struct query_series *series;
    size_t count;
    struct tw_str string; /* QUERY_STRING; its time is that of the one series' one point */
    const struct tw_str *warnings;
    size_t warning_count;
    const struct tw_str *infos;
    size_t info_count;
    uint64_t samples_read;
    const struct query_tally *tally; /* when it was asked for (query/tally.h) */
    uint64_t peak_samples;           /* with the tally: points and samples held at once */
    struct query_timings timings;
    size_t truncated; /* annotations beyond the limit that are not listed */
};

/* text: the query. Errors carry the byte range in text; TW_SYNTAX and TW_BAD_DATA come from
 * parsing, TW_EXECUTION, TW_LIMIT, TW_TIMEOUT, TW_CANCELLED from running, TW_UNSUPPORTED from
 * either. */
TW_MUST_CHECK enum tw_code query_instant(struct query_engine *engine,
                                         const struct tw_context *context, struct tw_str text,
                                         int64_t time_ms, struct query_result **ret_result,
                                         struct tw_err *err);
/* Steps start_ms, start_ms + step_ms, ... <= end_ms. step_ms > 0, end_ms >= start_ms. */
TW_MUST_CHECK enum tw_code query_range(struct query_engine *engine,
                                       const struct tw_context *context, struct tw_str text,
                                       int64_t start_ms, int64_t end_ms, int64_t step_ms,
                                       struct query_result **ret_result, struct tw_err *err);
/* All that can be said of a query. */
struct query_request {
    struct tw_str text;
    int64_t start_ms, end_ms;  /* the same for an instant query */
    int64_t step_ms;           /* 0 = instant */
    struct query_batch *batch; /* that it is one of, whose time has begun; NULL = of none */
    bool is_tallied;           /* the result is to tell of its samples */
};
/* query_instant and query_range, with all their contracts. */
TW_MUST_CHECK enum tw_code query_run(struct query_engine *engine, const struct tw_context *context,
                                     const struct query_request *request,
                                     struct query_result **ret_result, struct tw_err *err);
/* Threads that its queries share, for what is done with their results; NULL: there are none. */
struct query_helpers *query_engine_helpers(const struct query_engine *engine);
struct query_result *query_result_free(struct query_result *result); /* returns NULL */

/* Parses and type-checks without running; for `tidewatch check` and rule loading. */
TW_MUST_CHECK enum tw_code query_check(struct tw_str text, struct tw_err *err);
/* A series selector such as {a="b"} or up{job=~"x.*"}: its matchers, in the arena; the regexes are
 * freed by tsdb_matcher_fini on each. One of them must not match what lacks the label. */
TW_MUST_CHECK enum tw_code query_parse_selector(struct tw_str text, struct tw_arena *arena,
                                                struct tsdb_matcher **ret_matchers,
                                                size_t *ret_count, struct tw_err *err);
/* The same of a match[] parameter, in Prometheus's words. */
TW_MUST_CHECK enum tw_code query_parse_match(struct tw_str text, struct tw_arena *arena,
                                             struct tsdb_matcher **ret_matchers, size_t *ret_count,
                                             struct tw_err *err);
/* One that may match every series. */
TW_MUST_CHECK enum tw_code query_parse_any_selector(struct tw_str text, struct tw_arena *arena,
                                                    struct tsdb_matcher **ret_matchers,
                                                    size_t *ret_count, struct tw_err *err);

#endif
