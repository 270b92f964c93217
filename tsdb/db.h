/* SPDX-License-Identifier: Apache-2.0
 *
 * db: the local store, an implementation of storage.h under one folder.
 *
 *   FOLDER/LOCK                     flock: one process at a time
 *   FOLDER/default/log/NUMBER.log        segments: acknowledged, not yet in partitions
 *   FOLDER/default/partitions/day-N.mdb one environment a day (UTC)
 *   FOLDER/default/catalog.mdb      metadata of metrics, deletions that are not yet carried out
 *   FOLDER/default/exemplars.mdb    exemplars, as of the last flush
 *
 * Ways in: tsdb_append (waits), or tsdb_ingest_* for whoever must not wait (the HTTP receiver):
 * samples go into the group that the committer commits next; a callback says how it went.
 *
 *   I1  A callback with TW_OK means durable, and visible to the next select.
 *   I2  A request is kept as a whole or not at all, apart from the samples that were refused with
 *       a reason.
 *   I3  When the log cannot be written, everything waiting gets the error, nothing more is taken
 *       (the state says why), and a new segment is tried every second until it works.
 *
 * Threads: any. Three of its own: the committer (group commit, callbacks), the keeper (flush,
 * retention, recovery), and the renewal (rewriting partitions, at low priority).
 */
#ifndef TW_TSDB_DB_H
#define TW_TSDB_DB_H

#include "base/clock.h"
#include "base/metrics.h"
#include "tsdb/storage.h"

/* A sample further ahead than this is a broken clock. */
#define TSDB_FUTURE_MS_MAX (INT64_C(10) * 60 * 1000)
/* Windows of blocks and partitions; all start at multiples since 1970. */
#define TSDB_WINDOW_MS (INT64_C(2) * 3600 * 1000)
#define TSDB_DAY_MS (INT64_C(24) * 3600 * 1000)

/* How long samples of the series are kept that no rule before it matches. A rule may keep them
 * longer than retention_ms. */
struct tsdb_retention_rule {
    const struct tsdb_matcher *matchers;
    size_t matcher_count;
    int64_t keep_ms; /* 0 = for ever */
};

/* Days that are so old are downsampled. The step is a part of TSDB_WINDOW_MS. */
struct tsdb_downsampling {
    const struct tsdb_matcher *matchers; /* none = all series */
    size_t matcher_count;
    int64_t after_ms, step_ms;
};

/* Of the disk, a fiftieth, 256 MiB at most. */
#define TSDB_DISK_RESERVE_AUTO UINT64_MAX
uint64_t tsdb_disk_reserve_of(uint64_t disk_bytes);
/* The least that tsdb_db_options.size_max may be. */
#define TSDB_SIZE_MIN ((uint64_t)8 << 20)

struct tsdb_db_options {
    const char *folder;         /* made if missing */
    struct tw_clock *clock;     /* NULL = the system's */
    struct tw_metrics *metrics; /* NULL = none; not read any more once the store is closed */
    int64_t retention_ms;       /* 0 = off: everything is kept, 1970 included */
    const struct tsdb_retention_rule *retention_rules; /* copied */
    size_t retention_rule_count;
    /* Of those that match a series and have come, the largest step counts. Copied. */
    const struct tsdb_downsampling *downsamplings;
    size_t downsampling_count;
    uint64_t size_max; /* of all below the folder, hard; the oldest days go first; 0 = none */
    /* Below so many free bytes of the disk no samples are taken any more, so that flushes,
     * deletions and rewrites find room. 0 = none, TSDB_DISK_RESERVE_AUTO. */
    uint64_t disk_reserve;
    int64_t flush_interval_ms; /* 0 = 30 min */
    /* Limits, each 0 = the default named. */
    size_t series_max;            /* active ones: 10 million */
    size_t series_max_per_source; /* of one job and instance: none */
    size_t head_bytes_max;        /* the head is flushed when it and the index are larger: a
                                     quarter of the machine's memory */
    size_t head_bytes_limit;      /* beyond, new series are refused, and beyond an eighth more all
                                     requests, as overload: none */
    size_t cache_bytes_max;       /* of all readers of partitions in the process: none */
    size_t log_bytes_max;         /* or its segment: 256 MiB */
    size_t exemplars_max;         /* of all series together: 100 000 (storage.exemplars_max) */
    bool exemplars_off;           /* none are kept */
    size_t pending_samples_max;   /* not yet committed; beyond: TW_OVERLOAD: 2 million */
    bool manual; /* no keeper thread: the owner calls tsdb_db_keep (tests, tools) */
};

struct tsdb_db;

/* TW_BUSY with the pid when another process has the folder. */
TW_MUST_CHECK enum tw_code tsdb_db_open(const struct tsdb_db_options *options,
                                        struct tsdb_db **ret_db, struct tw_err *err);
/* Commits and flushes what is there; no selection is open. Returns NULL. */
struct tsdb_db *tsdb_db_close(struct tsdb_db *db);
struct tsdb_storage *tsdb_db_storage(struct tsdb_db *db);
/* Takes over what of the options may change while the store is open, or nothing: retention,
 * downsampling, size_max, disk_reserve, limits of series and bytes. The next round of the keeper,
 * and of rewrites, goes by them. */
TW_MUST_CHECK enum tw_code
tsdb_db_reconfigure(struct tsdb_db *db, const struct tsdb_db_options *options, struct tw_err *err);

/* Seals the head, moves it into partitions, trims the log. Waits. */
TW_MUST_CHECK enum tw_code tsdb_db_flush(struct tsdb_db *db, struct tw_err *err);
/* One round of what the keeper thread does every second: recovery, flush when due, retention. */
TW_MUST_CHECK enum tw_code tsdb_db_keep(struct tsdb_db *db, struct tw_err *err);

/* ---- deleting ---- */
#define TSDB_DELETE_SELECTORS_MAX 64
/* Deletes the samples in the closed range that are there now, of all series that match any of the
 * selectors (each has a matcher). Durable, and not seen any more, on TW_OK; what is written later
 * is there, at the same times too. The space is freed in the background. The context's scope
 * matchers are added. TW_OVERLOAD when too many deletions wait to be carried out. Waits. */
TW_MUST_CHECK enum tw_code tsdb_db_delete(struct tsdb_db *db, const struct tw_context *context,
                                          const struct tsdb_selector *selectors, size_t count,
                                          int64_t start_ms, int64_t end_ms, struct tw_err *err);
/* Carries out all deletions: returns when their space is freed. Waits, minutes perhaps. */
TW_MUST_CHECK enum tw_code tsdb_db_clean_tombstones(struct tsdb_db *db, struct tw_err *err);

/* Moves the head into partitions, carries out what is to be deleted, and makes each day one run
 * without gaps. Says the bytes of the folder before and after. Waits, minutes perhaps. */
TW_MUST_CHECK enum tw_code tsdb_db_compact(struct tsdb_db *db, uint64_t *ret_before,
                                           uint64_t *ret_after, struct tw_err *err);

/* Why the store only reads; the label `reason` of tidewatch_tsdb_read_only. */
#define TSDB_READ_ONLY_TABLE(READ_ONLY)                                                            \
    READ_ONLY(DISK_RESERVE, "disk_reserve")     /* less than disk_reserve is left */               \
    READ_ONLY(RETENTION_SIZE, "retention_size") /* size_max is used, with nothing to drop */       \
    READ_ONLY(DISK_FULL, "disk_full")           /* the log found no room */                        \
    READ_ONLY(LOG_FAILED, "log_failed")         /* the log cannot be written */

enum tsdb_read_only {
    TSDB_WRITABLE,
#define TSDB_READ_ONLY_ENUM(name, text) TSDB_READ_ONLY_##name,
    TSDB_READ_ONLY_TABLE(TSDB_READ_ONLY_ENUM)
#undef TSDB_READ_ONLY_ENUM
        TSDB_READ_ONLY_COUNT
};
const char *tsdb_read_only_text(enum tsdb_read_only reason); /* "disk_reserve"; "" when writable */

struct tsdb_db_status {
    enum tw_code code; /* TW_OK, or why nothing is taken */
    enum tsdb_read_only read_only;
    char message[TW_ERR_MESSAGE_BYTES];
    uint64_t head_series, head_samples, head_bytes, partitions;
    int64_t head_first_ms, head_last_ms;        /* INT64_MAX, INT64_MIN without samples */
    uint64_t disk_free, disk_reserve, size_max; /* of the last look at the disk */
};
void tsdb_db_status(struct tsdb_db *db, struct tsdb_db_status *ret);

/* What a day has on disk. */
struct tsdb_day {
    int64_t day; /* since 1970 */
    uint64_t samples, bytes;
    uint32_t series, runs;         /* parts that readers merge */
    uint64_t last_run;             /* goes up with each flush */
    int64_t rewritten_ms, step_ms; /* 0: never; 0: not downsampled */
};
/* Those that have a partition, ascending, in the arena. */
TW_MUST_CHECK enum tw_code tsdb_db_days(struct tsdb_db *db, struct tw_arena *arena,
                                        struct tsdb_day **ret_days, size_t *ret_count,
                                        struct tw_err *err);

/* ---- appending without waiting ---- */

/* Why a sample was not taken; the label `reason` of tidewatch_tsdb_samples_refused_total. */
#define TSDB_REFUSAL_TABLE(REFUSAL)                                                                \
    REFUSAL(FUTURE, "future")                                                                      \
    REFUSAL(TOO_OLD, "too_old")                                                                    \
    REFUSAL(BAD_LABELS, "bad_labels")                                                              \
    REFUSAL(SERIES_LIMIT, "series_limit")                                                          \
    REFUSAL(SOURCE_SERIES_LIMIT, "source_series_limit")                                            \
    REFUSAL(MEMORY_LIMIT, "memory_limit")                                                          \
    REFUSAL(HISTOGRAM, "bad_histogram")

enum tsdb_refusal {
#define TSDB_REFUSAL_ENUM(name, text) TSDB_REFUSED_##name,
    TSDB_REFUSAL_TABLE(TSDB_REFUSAL_ENUM)
#undef TSDB_REFUSAL_ENUM
        TSDB_REFUSAL_COUNT
};

/* Called once, on the committer's thread or (when there was nothing to commit) the caller's; must
 * be quick. err says more when code is not TW_OK. */
typedef void tsdb_done(void *user, enum tw_code code, const struct tw_err *err);

struct wire_sample;

struct tsdb_ingest {
    struct tsdb_db *db;
    int64_t oldest_ms, newest_ms; /* what is taken */
    uint32_t series, before;      /* current one, and the one before it */
    uint64_t stored, histograms_stored, refused;
    uint64_t exemplars_stored;   /* those that were there already included */
    struct tw_err first_refusal; /* code TW_OK when there was none */
    /* In the group before this request. */
    size_t group_samples, group_histograms, group_exemplars;
};

/* Takes the store's lock until tsdb_ingest_end: no waiting in between. */
TW_MUST_CHECK enum tw_code tsdb_ingest_begin(struct tsdb_db *db, const struct tw_context *context,
                                             struct tsdb_ingest *ingest, struct tw_err *err);
/* Says of which series the next samples are. labels: canonical, checked here when they are new.
 * fingerprint: tw_hash64_private of the bytes that name the series in the request, or 0.
 * False when they are refused (once for each of its sample_count samples). */
bool tsdb_ingest_series(struct tsdb_ingest *ingest, struct wire_labels labels, uint64_t fingerprint,
                        size_t sample_count);
/* The same for a series that was named by these bytes before: requests repeat themselves, so each
 * series remembers which followed it, and by what bytes it was named; and where that does not help
 * the store learns them all. False when it is not known, or 0; then the labels are needed. */
bool tsdb_ingest_known(struct tsdb_ingest *ingest, uint64_t fingerprint);
/* A series with this fingerprint comes soon. */
void tsdb_ingest_expect(const struct tsdb_ingest *ingest, uint64_t fingerprint);
/* Of the current series. */
void tsdb_ingest_samples(struct tsdb_ingest *ingest, const struct wire_sample *samples,
                         size_t count);
/* A native histogram of the current series that wire_histogram_check accepts. */
void tsdb_ingest_histogram(struct tsdb_ingest *ingest, const struct wire_histogram *histogram);
/* Counting of the current series' samples began at start_ms, as its sample of sample_ms says: a
 * sample of zero goes in front of them, unless it is told late (the series has a sample as new) or
 * was told before. */
void tsdb_ingest_start(struct tsdb_ingest *ingest, int64_t start_ms, int64_t sample_ms);
/* The same of a native histogram with a start; the zero has its buckets' layout. */
void tsdb_ingest_start_of_histogram(struct tsdb_ingest *ingest,
                                    const struct wire_histogram *histogram);
/* An exemplar of the current series, which has these labels, that wire_exemplar_check accepts. One
 * that is not taken is counted; it does not make the request a bad one, as with Prometheus. */
void tsdb_ingest_exemplar(struct tsdb_ingest *ingest, struct wire_labels labels,
                          const struct wire_exemplar *exemplar);
/* Counts samples that the caller could not even hand over. */
void tsdb_ingest_refuse(struct tsdb_ingest *ingest, enum tsdb_refusal reason, size_t count,
                        const struct tw_err *why);
/* One of a series that is named in the reason. */
void tsdb_ingest_refuse_of_series(struct tsdb_ingest *ingest, enum tsdb_refusal reason,
                                  struct wire_labels labels, struct tw_err *why);
/* Whether nothing of this is new; else tsdb_append_metadata waits for the disk. */
bool tsdb_db_knows_metadata(struct tsdb_db *db, const struct tsdb_metadata *items, size_t count);
/* Releases the lock; done is called when the request is durable or failed. */
void tsdb_ingest_end(struct tsdb_ingest *ingest, tsdb_done *done, void *user);
void tsdb_db_count_refused(struct tsdb_db *db, enum tsdb_refusal reason, uint64_t count);

/* ---- exemplars ---- */

#define TSDB_EXEMPLARS_MAX 100000 /* the default */

/* Why an exemplar was not taken; the label `reason` of
 * tidewatch_tsdb_exemplar_exemplars_refused_total. Those out of order have a counter of their own.
 */
#define TSDB_EXEMPLAR_REFUSAL_TABLE(REFUSAL)                                                       \
    REFUSAL(BAD, "bad_exemplar")                                                                   \
    REFUSAL(SERIES, "series_refused")                                                              \
    REFUSAL(FUTURE, "future")                                                                      \
    REFUSAL(TOO_OLD, "too_old")                                                                    \
    REFUSAL(OFF, "off")
enum tsdb_exemplar_refusal {
#define TSDB_EXEMPLAR_REFUSAL_ENUM(name, text) TSDB_EXEMPLAR_REFUSED_##name,
    TSDB_EXEMPLAR_REFUSAL_TABLE(TSDB_EXEMPLAR_REFUSAL_ENUM)
#undef TSDB_EXEMPLAR_REFUSAL_ENUM
        TSDB_EXEMPLAR_REFUSAL_COUNT
};
void tsdb_db_refuse_exemplars(struct tsdb_db *db, enum tsdb_exemplar_refusal reason,
                              uint64_t count);
struct tsdb_exemplar_counts;
void tsdb_db_count_exemplars(struct tsdb_db *db, struct tsdb_exemplar_counts *ret);

#endif
