/* SPDX-License-Identifier: Apache-2.0
 *
 * storage: the narrow interface through which queries, rules and the API read and write samples.
 * Implementations: the local LMDB store (tsdb/db.h) and, later, an external engine.
 *
 *   select(matchers, [start, end]) -> selection (the series, their labels)
 *                                       -> cursor per series -> columns (timestamps, values)
 *
 * Time is int64 milliseconds; ranges here are closed: [start_ms, end_ms].
 *
 * Reading is consistent: a selection sees all that was acknowledged before select() was called, and
 * may or may not see what came later.
 *
 * Threads: a storage may be used by all. A selection is opened and closed by one thread; in
 * between, several threads may read different cursors of it at once.
 *
 * Ownership: a selection owns the labels and strings that it hands out; a column lives until the
 * next call with the same cursor.
 */
#ifndef TW_TSDB_STORAGE_H
#define TW_TSDB_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/context.h"
#include "base/err.h"
#include "base/regex.h"
#include "wire/exemplar.h"
#include "wire/histogram.h"
#include "wire/labels.h"

/* ---- matchers ---- */
enum tsdb_match_op {
    TSDB_MATCH_EQUAL,
    TSDB_MATCH_NOT_EQUAL,
    TSDB_MATCH_REGEX,
    TSDB_MATCH_NOT_REGEX
};

struct tsdb_bucket;
struct tsdb_matcher {
    enum tsdb_match_op op;
    struct tw_str name, value;
    struct tw_regex
        *regex; /* for the two regex forms, else NULL; owned by whoever made the matcher */
};

/* Compiles the regex of a matcher whose op, name and value are set. */
TW_MUST_CHECK enum tw_code tsdb_matcher_init(struct tsdb_matcher *matcher, enum tsdb_match_op op,
                                             struct tw_str name, struct tw_str value,
                                             struct tw_err *err);
void tsdb_matcher_fini(struct tsdb_matcher *matcher);
/* value: the label's, empty when the series lacks it. */
bool tsdb_matcher_matches(const struct tsdb_matcher *matcher, struct tw_str value);

/* ---- samples as columns ---- */
enum tsdb_kind {
    TSDB_KIND_FLOAT = 1,
    TSDB_KIND_HISTOGRAM = 2,
    TSDB_KIND_FLOAT_HISTOGRAM = 3,
    TSDB_KIND_BUCKETS =
        4, /* downsampled; within the store only, cursors give what the hints want */
};

/* A run of samples of one kind in strictly ascending time; runs of one cursor follow each other in
 * time and do not overlap. A series may change its kind from one run to the next. Stale markers are
 * values like any other (base/number.h, wire_histogram_is_stale). */
struct tsdb_column {
    enum tsdb_kind kind;
    size_t count; /* 0 = the end */
    const int64_t *times_ms;
    const double *values; /* TSDB_KIND_FLOAT */
    /* The two other kinds: one per time, all with is_float as the kind says; they live as long as
     * the column. */
    const struct wire_histogram *const *histograms;
    /* How many samples each value stands for, NULL = one. Downsampled data gives sum_over_time,
     * avg_over_time and count_over_time the sum of a bucket as its value. */
    const double *weights;
    const struct tsdb_bucket *buckets; /* TSDB_KIND_BUCKETS (tsdb/buckets.h), times included */
    /* Equal non-zero ids = the same timestamps, within one cursor, so that work on them can be
     * shared. */
    uint64_t times_id;
    bool is_last; /* surely none follows; not said of each last one */
};

/* What the reader will do with the samples: of downsampled data it says which part is wanted.
 * NULL where hints are asked for = nothing is known. */
struct tsdb_hints {
    int64_t step_ms;     /* 0 = instant */
    int64_t range_ms;    /* of a range selector, 0 = instant selector */
    int64_t lookback_ms; /* of an instant selector, 0 = 5 minutes */
    struct tw_str function;
    /* Which labels the series will be grouped by, and nothing else be done with their labels; NULL
     * = they are wanted whole. Such a selection may make groups instead (tsdb_selection_groups). */
    const struct tsdb_grouping *grouping;
};

/* by (names), or without (names), which drops the metric's name as well. */
struct tsdb_grouping {
    const struct tw_str *names;
    size_t count;
    bool without;
};
/* Of a selection, which owns them. */
struct tsdb_groups {
    const uint32_t *group_of;         /* by series */
    const struct wire_labels *labels; /* by group, ordered by wire_labels_compare, each once */
    size_t count;
};

struct tsdb_storage;
struct tsdb_selection;
struct tsdb_cursor;

/* All series that match every matcher and may have samples in the range, each once, ordered by
 * wire_labels_compare. The context's scope matchers are added. TW_LIMIT when there are more than
 * its query_series_max. A series without a sample in the range may be among them. */
TW_MUST_CHECK enum tw_code tsdb_select(struct tsdb_storage *storage,
                                       const struct tw_context *context,
                                       const struct tsdb_matcher *matchers, size_t matcher_count,
                                       int64_t start_ms, int64_t end_ms,
                                       const struct tsdb_hints *hints,
                                       struct tsdb_selection **ret_selection, struct tw_err *err);
struct tsdb_selection *tsdb_selection_close(struct tsdb_selection *selection); /* returns NULL */
size_t tsdb_selection_count(const struct tsdb_selection *selection);
struct wire_labels tsdb_selection_labels(const struct tsdb_selection *selection, size_t index);
/* The groups that the hints asked for. False when the storage made none. A selection with groups
 * has its series in any order, and no labels of theirs: nothing is copied for each of a million
 * series. */
bool tsdb_selection_groups(const struct tsdb_selection *selection, struct tsdb_groups *ret);

/* A cursor is made once and pointed at one series after the other; ascending order is fastest. */
TW_MUST_CHECK enum tw_code tsdb_cursor_open(struct tsdb_selection *selection,
                                            struct tsdb_cursor **ret_cursor, struct tw_err *err);
/* What this cursor's reader does, when that is not what the selection was asked for. */
void tsdb_cursor_hint(struct tsdb_cursor *cursor, const struct tsdb_hints *hints);
struct tsdb_cursor *tsdb_cursor_close(struct tsdb_cursor *cursor); /* returns NULL */
/* The series from first up to limit are sought next, one after the other: they may be prepared
 * together. Never needed; forgotten when others are sought. */
void tsdb_cursor_expect(struct tsdb_cursor *cursor, size_t first, size_t limit);
/* Points the cursor at a series of the selection and at samples in [start_ms, end_ms], which lies
 * within the selection's range. */
void tsdb_cursor_seek(struct tsdb_cursor *cursor, size_t series_index, int64_t start_ms,
                      int64_t end_ms);
/* Next column, trimmed to the range; count 0 at the end. */
TW_MUST_CHECK enum tw_code tsdb_cursor_next(struct tsdb_cursor *cursor,
                                            struct tsdb_column *ret_column, struct tw_err *err);

/* ---- names ---- */
struct tsdb_strings {
    struct tw_str *items; /* sorted by bytes, unique; in the arena given */
    size_t count;
    bool truncated; /* the limit cut it */
};

/* Each of `selector_count` selectors is a list of matchers; a series counts when any selector
 * matches it (all series when there is none). limit 0 = none. */
struct tsdb_selector {
    const struct tsdb_matcher *matchers;
    size_t count;
};
TW_MUST_CHECK enum tw_code tsdb_label_names(struct tsdb_storage *storage,
                                            const struct tw_context *context,
                                            const struct tsdb_selector *selectors,
                                            size_t selector_count, int64_t start_ms, int64_t end_ms,
                                            size_t limit, struct tw_arena *arena,
                                            struct tsdb_strings *ret, struct tw_err *err);
TW_MUST_CHECK enum tw_code tsdb_label_values(struct tsdb_storage *storage,
                                             const struct tw_context *context, struct tw_str name,
                                             const struct tsdb_selector *selectors,
                                             size_t selector_count, int64_t start_ms,
                                             int64_t end_ms, size_t limit, struct tw_arena *arena,
                                             struct tsdb_strings *ret, struct tw_err *err);

/* ---- metadata (type, help, unit of metrics, as pushed) ---- */
struct tsdb_metadata {
    struct tw_str metric, type, help,
        unit; /* type: counter gauge histogram summary ... or unknown */
};
/* All entries, sorted by metric; metric empty = every metric. In the arena. */
TW_MUST_CHECK enum tw_code tsdb_metadata_list(struct tsdb_storage *storage,
                                              const struct tw_context *context,
                                              struct tw_str metric, struct tw_arena *arena,
                                              struct tsdb_metadata **ret_items, size_t *ret_count,
                                              struct tw_err *err);

/* ---- exemplars ---- */
struct tsdb_exemplars {
    struct wire_labels labels;         /* of the series */
    const struct wire_exemplar *items; /* ascending by time */
    size_t count;
};
/* The exemplars in the range of all series that any selector matches, ordered by
 * wire_labels_compare; series without any are left out. In the arena. */
TW_MUST_CHECK enum tw_code
tsdb_exemplars_select(struct tsdb_storage *storage, const struct tw_context *context,
                      const struct tsdb_selector *selectors, size_t selector_count,
                      int64_t start_ms, int64_t end_ms, struct tw_arena *arena,
                      struct tsdb_exemplars **ret_items, size_t *ret_count, struct tw_err *err);

/* ---- writing ---- */
struct tsdb_sample {
    struct wire_labels labels; /* canonical */
    int64_t time_ms;
    double value;
};
/* Returns when the samples are durable and visible to the next select. All or nothing as to
 * durability; a sample that is refused (future, limits) is counted, the rest is kept, and the code
 * is TW_BAD_DATA with the first reason. */
TW_MUST_CHECK enum tw_code tsdb_append(struct tsdb_storage *storage,
                                       const struct tw_context *context,
                                       const struct tsdb_sample *samples, size_t count,
                                       struct tw_err *err);
TW_MUST_CHECK enum tw_code tsdb_append_metadata(struct tsdb_storage *storage,
                                                const struct tw_context *context,
                                                const struct tsdb_metadata *items, size_t count,
                                                struct tw_err *err);

/* A native histogram at its own time_ms. Same contract as tsdb_append; one that breaks the rules
 * (wire_histogram_check) is refused and counted. At one time of a series a histogram beats a number
 * and a number a stale marker, whichever came first; among equals the last write wins. */
struct tsdb_histogram_sample {
    struct wire_labels labels; /* canonical */
    const struct wire_histogram *histogram;
};
TW_MUST_CHECK enum tw_code tsdb_append_histograms(struct tsdb_storage *storage,
                                                  const struct tw_context *context,
                                                  const struct tsdb_histogram_sample *samples,
                                                  size_t count, struct tw_err *err);
/* The series exists already or comes to exist. Same contract as tsdb_append, but that an exemplar
 * is out of order (wire_exemplar_follows), too old or in the future is counted and no error; nor is
 * one that is there already. The oldest of all go when there are too many. */
struct tsdb_exemplar_sample {
    struct wire_labels labels; /* of the series, canonical */
    struct wire_exemplar exemplar;
};
TW_MUST_CHECK enum tw_code tsdb_append_exemplars(struct tsdb_storage *storage,
                                                 const struct tw_context *context,
                                                 const struct tsdb_exemplar_sample *samples,
                                                 size_t count, struct tw_err *err);

/* ---- for implementations ---- */
/* Embedded as the first member of an implementation, its selection and its cursor. */
struct tsdb_storage {
    const struct tsdb_storage_ops *ops;
};
struct tsdb_selection {
    const struct tsdb_storage_ops *ops;
};
struct tsdb_cursor {
    const struct tsdb_storage_ops *ops;
};

struct tsdb_storage_ops {
    enum tw_code (*select)(struct tsdb_storage *, const struct tw_context *,
                           const struct tsdb_matcher *, size_t, int64_t, int64_t,
                           const struct tsdb_hints *, struct tsdb_selection **, struct tw_err *);
    void (*selection_close)(struct tsdb_selection *);
    size_t (*selection_count)(const struct tsdb_selection *);
    struct wire_labels (*selection_labels)(const struct tsdb_selection *, size_t);
    enum tw_code (*cursor_open)(struct tsdb_selection *, struct tsdb_cursor **, struct tw_err *);
    void (*cursor_close)(struct tsdb_cursor *);
    void (*cursor_expect)(struct tsdb_cursor *, size_t, size_t); /* or NULL */
    void (*cursor_seek)(struct tsdb_cursor *, size_t, int64_t, int64_t);
    enum tw_code (*cursor_next)(struct tsdb_cursor *, struct tsdb_column *, struct tw_err *);
    enum tw_code (*label_names)(struct tsdb_storage *, const struct tw_context *,
                                const struct tsdb_selector *, size_t, int64_t, int64_t, size_t,
                                struct tw_arena *, struct tsdb_strings *, struct tw_err *);
    enum tw_code (*label_values)(struct tsdb_storage *, const struct tw_context *, struct tw_str,
                                 const struct tsdb_selector *, size_t, int64_t, int64_t, size_t,
                                 struct tw_arena *, struct tsdb_strings *, struct tw_err *);
    enum tw_code (*metadata_list)(struct tsdb_storage *, const struct tw_context *, struct tw_str,
                                  struct tw_arena *, struct tsdb_metadata **, size_t *,
                                  struct tw_err *);
    enum tw_code (*append)(struct tsdb_storage *, const struct tw_context *,
                           const struct tsdb_sample *, size_t, struct tw_err *);
    enum tw_code (*append_metadata)(struct tsdb_storage *, const struct tw_context *,
                                    const struct tsdb_metadata *, size_t, struct tw_err *);
    /* What follows may be NULL: TW_UNSUPPORTED. */
    enum tw_code (*append_histograms)(struct tsdb_storage *, const struct tw_context *,
                                      const struct tsdb_histogram_sample *, size_t,
                                      struct tw_err *);
    enum tw_code (*append_exemplars)(struct tsdb_storage *, const struct tw_context *,
                                     const struct tsdb_exemplar_sample *, size_t, struct tw_err *);
    enum tw_code (*exemplars_select)(struct tsdb_storage *, const struct tw_context *,
                                     const struct tsdb_selector *, size_t, int64_t, int64_t,
                                     struct tw_arena *, struct tsdb_exemplars **, size_t *,
                                     struct tw_err *);
    /* NULL: never any groups. */
    bool (*selection_groups)(const struct tsdb_selection *, struct tsdb_groups *);
    /* NULL: hints change nothing. */
    void (*cursor_hint)(struct tsdb_cursor *, const struct tsdb_hints *);
};

#endif
