/* SPDX-License-Identifier: Apache-2.0
 *
 * db_int: the inside of a store, for the files of this folder that make it up: db (life), ingest
 * (admission), committer, keeper (flush, retention), renewal (rewriting), selection (reading).
 *
 * A generation is a head with its segment of the log. The newest takes samples (`active`); older
 * ones are sealed and wait for their flush, oldest first. Each request is encoded into the group
 * that is being filled for the active generation; the committer takes groups in order. So samples
 * pass: request -> group -> (commit) -> head -> (flush) -> partition.
 *
 *   I1  Groups are committed in the order in which they were filled, and all groups of a
 *       generation before those of the next.
 *   I2  Samples enter a head only after their group is durable.
 *   I3  A generation leaves the list only after its samples are durable in partitions.
 *   I4  Generations share one index, reference counted, so that a change of generation costs the
 *       series that go on no memory and hardly time. Each segment has the registrations that it
 *       needs and can be replayed alone. When less than half of the index is active at a change,
 *       the new generation begins an empty one, and the old goes with the last head that has it.
 *   I5  A series is active when it was written to in the active generation or the one before. A
 *       limit refuses series that are not active, never one that is. (An index that begins knows
 *       of none: for one generation, only what comes in it is counted.)
 *   I6  A segment leaves the log only after the exemplar ring was saved as of it.
 */
#ifndef TW_TSDB_DB_INT_H
#define TW_TSDB_DB_INT_H

#include <stdatomic.h>

#include "base/lock.h"
#include "base/thread.h"
#include "tsdb/catalog.h"
#include "tsdb/fingerprints.h"
#include "tsdb/db.h"
#include "tsdb/exemplar_store.h"
#include "tsdb/head.h"
#include "tsdb/log.h"
#include "tsdb/partition.h"
#include "tsdb/record.h"
#include "tsdb/sources.h"
#include "tsdb/tombstones.h"

struct tsdb_generation {
    struct tsdb_generation *newer;
    struct tsdb_head *head;
    struct tsdb_segment *segment; /* NULL when it was replayed: nothing is appended any more */
    struct tsdb_record_state record_state;
    int64_t born_ns;
    unsigned groups_pending;
    uint64_t log_bytes;      /* committed */
    uint64_t room_bytes;     /* of the segment's file, as the room has counted them */
    uint64_t exemplar_count; /* committed, and not saved yet */
    bool sealed, failed;
};

struct tsdb_waiter {
    tsdb_done *done;
    void *user;
};

struct tsdb_group {
    struct tsdb_group *next;
    struct tsdb_generation *generation;
    struct tsdb_record_sample *samples;
    size_t sample_count, sample_capacity;
    struct tsdb_blobs histograms; /* steps */
    struct tsdb_blobs exemplars;
    struct tw_buf records;
    struct tsdb_waiter *waiters;
    size_t waiter_count, waiter_capacity;
};

/* Why a partition is rewritten; the label `cause` of tidewatch_tsdb_rewrites_total. */
#define TSDB_REWRITE_TABLE(CAUSE)                                                                  \
    CAUSE(MERGE, "merge")                                                                          \
    CAUSE(DELETE, "delete")                                                                        \
    CAUSE(RETENTION, "retention")                                                                  \
    CAUSE(DOWNSAMPLING, "downsampling")
enum tsdb_rewrite_cause {
#define TSDB_REWRITE_ENUM(name, text) TSDB_REWRITE_##name,
    TSDB_REWRITE_TABLE(TSDB_REWRITE_ENUM)
#undef TSDB_REWRITE_ENUM
        TSDB_REWRITE_COUNT
};

struct tsdb_db_metrics {
    struct tw_metric *histograms_appended, *zeroed;
    struct tw_metric *exemplars_appended, *exemplars_duplicate, *exemplars_out_of_order,
        *exemplars_refused[TSDB_EXEMPLAR_REFUSAL_COUNT];
    struct tw_metric *appended, *refused[TSDB_REFUSAL_COUNT], *commits, *commit_failures,
        *commit_seconds, *log_bytes, *flushes, *flush_failures, *flush_seconds, *blocks,
        *flushed_samples, *partitions_dropped, *series_created, *late, *duplicates, *overwritten;
    struct tw_metric *rewrites[TSDB_REWRITE_COUNT], *rewrite_failures, *rewrite_seconds,
        *rewrite_read, *rewrite_written, *rewrite_samples, *rewrite_closed, *rewriting, *deletions,
        *dropped_for_size;
};

/* The store's bounds on the disk, and what is left within them; room.c. */
struct tsdb_room {
    atomic_ullong size_max, disk_reserve; /* 0 = none */
    atomic_int read_only;                 /* enum tsdb_read_only: of the bounds, not of the log */
    atomic_ullong disk_free, used;        /* as last looked at */
    /* Guarded by the store's lock: bytes that the log has grown by since the last look, and by how
     * many it may. */
    uint64_t spent, left;
    enum tsdb_read_only scarce; /* which bound is the nearer one */
    bool called;                /* the keeper was woken for the next look */
    /* Of the keeper alone. */
    enum tsdb_read_only told; /* what was logged last */
    bool flushed;             /* since it turned read-only */
};

/* What is downsampled: rules (keep_ms is the age from which on), each with its step. */
struct tsdb_steps {
    struct tsdb_erasers *rules;
    int64_t step_ms[];
};

struct tsdb_db {
    struct tsdb_storage storage;
    unsigned magic;
    struct tsdb_db_options options;
    struct tw_clock *clock;
    char *folder, *log_folder, *partition_folder;
    int lock_fd;
    struct tsdb_catalog *catalog;
    struct tsdb_partitions *partitions;         /* has a lock of its own */
    struct tsdb_tombstones *tombstones;         /* likewise */
    struct tsdb_exemplar_ring *exemplars;       /* likewise */
    struct tsdb_exemplar_store *exemplar_store; /* by who holds `keeping` */
    int64_t exemplars_aged_ns; /* when those past their retention were dropped last; likewise */
    struct tsdb_db_metrics metrics;

    /* Guards what follows: generations with their heads, the queue of groups, the state. */
    struct tw_lock lock;
    struct tw_cond work;                     /* for the committer: a group, or the end */
    struct tw_cond drained;                  /* a group was committed or failed */
    struct tw_cond keep;                     /* for the keeper: something is due, or the end */
    struct tsdb_generation *oldest, *active; /* active NULL: nothing is taken, see state */
    struct tsdb_index *index;                /* the newest generation's; a reference of its own */
    struct tsdb_bits previous;               /* series of the index that were active before it */
    size_t active_series;
    struct tsdb_rows starts;     /* i64 by series of the index: the start of counting told last */
    struct tsdb_sources sources; /* counted when there is a limit */
    struct tsdb_fingerprints fingerprints; /* of series in the active generation's segment */
    uint64_t next_number;
    struct tsdb_group *queue_first, *queue_last, *filling, *spare;
    size_t pending_samples;
    /* In the group that is filled, for the committer to be woken, beside the first one. */
    size_t requests_wanted;
    /* Heads in partitions whose segments could not be removed: replayed after a crash, they would
     * bring back what was deleted since. Ascending; changed by who holds `keeping`. */
    uint64_t *leftovers;
    size_t leftover_count;
    enum tw_code state; /* TW_OK, or why there is no active generation */
    struct tw_err state_err;
    bool closing, committer_ends, keeper_ends;
    struct tw_buf scratch; /* one record */

    /* Held for a whole flush or retention round, so that there is one at a time. Taken before
     * `lock`. */
    struct tw_lock keeping;
    /* Held for a round of rewrites; the same order. */
    struct tw_lock renewing;
    struct tsdb_steps *steps;      /* guarded by renewing */
    struct tsdb_steps *steps_next; /* guarded by lock: for the next round, or NULL */
    struct tw_cond renew;          /* with lock: something is due, or the end */
    atomic_bool renewal_ends;
    struct tsdb_room room;
    atomic_bool verifying;         /* verify_live.c */
    atomic_ullong rewriting_bytes; /* that the rewrite under way may write */
    struct tw_thread committer, keeper, renewal;
};

/* ---- ingest.c ---- */
struct tsdb_group *tsdb_group_free(struct tsdb_group *group); /* returns NULL */
enum tw_code tsdb_db_append(struct tsdb_storage *storage, const struct tw_context *context,
                            const struct tsdb_sample *samples, size_t count, struct tw_err *err);
enum tw_code tsdb_db_append_metadata(struct tsdb_storage *storage, const struct tw_context *context,
                                     const struct tsdb_metadata *items, size_t count,
                                     struct tw_err *err);
enum tw_code tsdb_db_metadata_list(struct tsdb_storage *storage, const struct tw_context *context,
                                   struct tw_str metric, struct tw_arena *arena,
                                   struct tsdb_metadata **ret_items, size_t *ret_count,
                                   struct tw_err *err);
enum tw_code tsdb_db_check_tenant(const struct tw_context *context, struct tw_err *err);

enum tw_code tsdb_db_append_histograms(struct tsdb_storage *storage,
                                       const struct tw_context *context,
                                       const struct tsdb_histogram_sample *samples, size_t count,
                                       struct tw_err *err);
enum tw_code tsdb_db_append_exemplars(struct tsdb_storage *storage,
                                      const struct tw_context *context,
                                      const struct tsdb_exemplar_sample *samples, size_t count,
                                      struct tw_err *err);
/* What the group counts against the limit of pending samples. */
static inline size_t tsdb_group_weight(const struct tsdb_group *group)
{
    return group->sample_count + group->histograms.count + group->exemplars.count;
}

/* ---- settings.c ---- */
TW_MUST_CHECK enum tw_code tsdb_steps_make(const struct tsdb_db_options *options,
                                           struct tsdb_steps **ret_steps, struct tw_err *err);
struct tsdb_steps *tsdb_steps_free(struct tsdb_steps *steps); /* NULL is fine; returns NULL */
/* A round of rewrites begins: it goes by what was configured last. renewing is held. */
void tsdb_steps_turn(struct tsdb_db *db);
/* Of all active series; what was counted is forgotten. */
void tsdb_db_count_sources_locked(struct tsdb_db *db);
/* db.c: puts the defaults in place of zeros. */
void tsdb_db_default_options(struct tsdb_db_options *options);

/* ---- exemplars.c ---- */
void tsdb_exemplars_register(struct tsdb_db *db, struct tw_metrics *metrics);
enum tw_code tsdb_exemplars_open(struct tsdb_db *db, struct tw_err *err);
void tsdb_exemplars_close(struct tsdb_db *db);
/* Puts durable exemplars of the head's series into the ring; returns how many were kept. */
size_t tsdb_exemplars_keep(struct tsdb_db *db, struct tsdb_head *head,
                           const struct tsdb_blobs *exemplars);
/* Those of a segment that is replayed, unless the ring was saved after it. */
void tsdb_exemplars_replay(struct tsdb_db *db, struct tsdb_generation *generation);
/* Before the segment goes; its groups, and those before it, are settled. keeping is held. */
enum tw_code tsdb_exemplars_save(struct tsdb_db *db, uint64_t segment, struct tw_err *err);
/* Durably; those of groups of segments up to this one. keeping is held. */
enum tw_code tsdb_exemplars_delete(struct tsdb_db *db, const struct tsdb_selector *selectors,
                                   size_t count, int64_t start_ms, int64_t end_ms, uint64_t segment,
                                   struct tw_err *err);
/* Drops those past their retention, now and then; keeping is held. */
void tsdb_exemplars_age(struct tsdb_db *db);
enum tw_code tsdb_exemplars_read(struct tsdb_storage *storage, const struct tw_context *context,
                                 const struct tsdb_selector *selectors, size_t selector_count,
                                 int64_t start_ms, int64_t end_ms, struct tw_arena *arena,
                                 struct tsdb_exemplars **ret_items, size_t *ret_count,
                                 struct tw_err *err);

/* ---- committer.c ---- */
void tsdb_committer_body(void *db);
/* There is no active generation, and this is why. */
void tsdb_db_fail_log_locked(struct tsdb_db *db, enum tw_code code, const struct tw_err *err);

/* ---- keeper.c ---- */
void tsdb_keeper_body(void *db);
/* Flushes the oldest generations until only the active one is left. keeping is held. */
enum tw_code tsdb_keeper_flush(struct tsdb_db *db, struct tw_err *err);
/* Makes a new generation with its segment the active one; a former one is sealed. */
enum tw_code tsdb_keeper_rotate(struct tsdb_db *db, struct tw_err *err);
struct tsdb_generation *tsdb_generation_new(struct tsdb_db *db);
struct tsdb_generation *tsdb_generation_free(struct tsdb_generation *generation);
void tsdb_db_append_generation_locked(struct tsdb_db *db, struct tsdb_generation *generation);
/* Seals the active generation; there is none until a new one is put in its place. */
void tsdb_db_retire_active_locked(struct tsdb_db *db);
/* Puts a generation with its segment in the place of the active one, which is sealed. */
void tsdb_db_activate_locked(struct tsdb_db *db, struct tsdb_generation *generation,
                             uint64_t number);
/* Whether the active generation is so large that it is to be flushed. */
bool tsdb_db_is_over_budget_locked(const struct tsdb_db *db);
/* What all generations and their indexes take. */
size_t tsdb_db_head_bytes_locked(const struct tsdb_db *db);
/* Whether nothing was taken for the active generation. */
bool tsdb_db_active_is_empty_locked(const struct tsdb_db *db);

/* ---- deletion.c ---- */
/* The highest number up to which all heads are in partitions, and not in the log any more. */
uint64_t tsdb_db_flushed(struct tsdb_db *db);
/* The rules of the options as a list, the general retention as the last one; the reference is the
 * caller's. *ret_longest_ms: what is older is in no case kept, 0 = there is no such time. */
enum tw_code tsdb_db_make_rules(const struct tsdb_db_options *options,
                                struct tsdb_erasers **ret_rules, int64_t *ret_longest_ms,
                                struct tw_err *err);
void tsdb_deletion_register(struct tsdb_db *db, struct tw_metrics *metrics);

/* ---- room.c ---- */
/* Checks options.size_max, settles disk_reserve and fits the log's limit to both. */
enum tw_code tsdb_room_check(struct tsdb_db_options *options, struct tw_err *err);
/* Looks at disk and folder, drops the oldest partitions until the folder is within its bound, and
 * decides whether samples are taken. keeping is held. */
enum tw_code tsdb_room_look(struct tsdb_db *db, struct tw_err *err);
/* After a commit: what the segment has grown by is counted; a bound that is reached turns the store
 * read-only at once. */
void tsdb_room_spend_locked(struct tsdb_db *db, struct tsdb_generation *generation);
/* Why nothing is taken; TW_OK when something is. */
enum tw_code tsdb_room_refuse(const struct tsdb_db *db, struct tw_err *err);
static inline bool tsdb_room_is_read_only(const struct tsdb_db *db)
{
    return atomic_load_explicit(&db->room.read_only, memory_order_relaxed) != TSDB_WRITABLE;
}
/* Whether so many bytes more are within the bound on the folder. */
bool tsdb_room_has(struct tsdb_db *db, uint64_t bytes);
/* Of the disk, what a rewrite or a snapshot leaves free. */
uint64_t tsdb_room_spare(const struct tsdb_db *db);
/* Says once in the log that the store turned read-only, or back. */
void tsdb_room_tell(struct tsdb_db *db);
void tsdb_room_register(struct tsdb_db *db, struct tw_metrics *metrics);

/* ---- renewal.c ---- */
void tsdb_renewal_body(void *db);
/* Rewrites all that is due; says the first failure, after which others were still tried. */
enum tw_code tsdb_renewal_round(struct tsdb_db *db, struct tw_err *err);
void tsdb_renewal_register(struct tsdb_db *db, struct tw_metrics *metrics);

/* ---- selection.c ---- */
enum tw_code tsdb_db_select(struct tsdb_storage *storage, const struct tw_context *context,
                            const struct tsdb_matcher *matchers, size_t matcher_count,
                            int64_t start_ms, int64_t end_ms, const struct tsdb_hints *hints,
                            struct tsdb_selection **ret_selection, struct tw_err *err);
/* The store as an implementation of storage.h. */
extern const struct tsdb_storage_ops tsdb_db_ops;

/* ---- names.c ---- */
enum tw_code tsdb_db_label_names(struct tsdb_storage *storage, const struct tw_context *context,
                                 const struct tsdb_selector *selectors, size_t selector_count,
                                 int64_t start_ms, int64_t end_ms, size_t limit,
                                 struct tw_arena *arena, struct tsdb_strings *ret,
                                 struct tw_err *err);
enum tw_code tsdb_db_label_values(struct tsdb_storage *storage, const struct tw_context *context,
                                  struct tw_str name, const struct tsdb_selector *selectors,
                                  size_t selector_count, int64_t start_ms, int64_t end_ms,
                                  size_t limit, struct tw_arena *arena, struct tsdb_strings *ret,
                                  struct tw_err *err);

#endif
