/* SPDX-License-Identifier: Apache-2.0
 *
 * partition_int: the inside of a partition, for the files partition_*.c. Tables and keys (all
 * numbers big-endian, so that memcmp orders them; i64 with the sign flipped):
 *
 *   meta      "header", "counts"                     what it is; how many strings and series
 *   runs      run u64                                samples and blocks of a run, series then
 *   strings   string u32                             strings from this one on
 *   series    series u32                             series from this one on
 *   postings  name u32, run u64, hash u32, page u32  of the series that the run brought
 *   columns   window i64, run u64, column u32        timestamps, from this column on
 *   blocks    window i64, run u64, metric u32, series u32   values, from this series on
 */
#ifndef TW_TSDB_PARTITION_INT_H
#define TW_TSDB_PARTITION_INT_H

#include "tsdb/lmdb.h"
#include "tsdb/partition.h"
#include "tsdb/partition_page.h"

#define TSDB_TABLE_META "meta"
#define TSDB_TABLE_RUNS "runs"
#define TSDB_TABLE_STRINGS "strings"
#define TSDB_TABLE_SERIES "series"
#define TSDB_TABLE_POSTINGS "postings"
#define TSDB_TABLE_COLUMNS "columns"
#define TSDB_TABLE_BLOCKS "blocks"
#define TSDB_COUNTS_KEY "counts"
#define TSDB_REWRITE_KEY "rewrite"

#define TSDB_COLUMNS_PER_PAGE 2048
/* Pages of columns are cut beyond this. */
#define TSDB_PAGE_BYTES_MAX                                                                        \
    (4 * TSDB_ENV_PAGE_BYTES - TSDB_ENV_PAGE_HEADER_BYTES - TSDB_ENV_FRAME_BYTES)
/* Pages of strings, series and postings come near to this. */
#define TSDB_INDEX_PAGE_BYTES                                                                      \
    (2 * TSDB_ENV_PAGE_BYTES - TSDB_ENV_PAGE_HEADER_BYTES - TSDB_ENV_FRAME_BYTES)

#define TSDB_POSTING_KEY_BYTES 20
#define TSDB_COLUMN_KEY_BYTES 20
#define TSDB_BLOCK_KEY_BYTES 24

struct tsdb_partition {
    int64_t day;
    uint32_t generation; /* how often it was rewritten; part of the file's name */
    bool info_known;     /* nothing was written since info was read */
    struct tsdb_partition_info info;
    struct tsdb_env *env; /* NULL while it is closed */
    unsigned references;
    uint64_t used_at; /* for closing the least recently used */
    bool doomed;      /* unlinked; closed with the last reference */
};

struct tsdb_partition_counts {
    uint32_t strings, series;
    uint32_t first_series; /* of the segment that is written to (partition_map.h) */
    bool repeated;         /* a label set may have several ids */
};

extern const struct tsdb_env_format tsdb_partition_format;

/* In one transaction; TW_BUSY when the file's map is to be grown first. ids: what is known of the
 * partition, and is after it; NULL when nothing is kept. */
struct tsdb_partition_map;
TW_MUST_CHECK enum tw_code tsdb_partition_write_run(struct tsdb_env *env, struct tsdb_run *run,
                                                    struct tsdb_partition_map *ids,
                                                    size_t *ret_blocks, struct tw_err *err);

/* ---- a partition in pieces (rewriter.c); each piece is a transaction of its own, TW_BUSY as
 * above. Whoever writes it renames the file when all of it is there. ---- */
/* All strings, series and postings, into a partition that has none. */
TW_MUST_CHECK enum tw_code tsdb_partition_write_index(struct tsdb_env *env,
                                                      struct tsdb_index *index, uint64_t run,
                                                      struct tw_err *err);
/* Columns and blocks of a part of one window of the run; chunks name series of the partition.
 * series maps each id to itself, metrics to the string id of its metric. Slices of a window follow
 * each other in the order of (metric, series). */
TW_MUST_CHECK enum tw_code tsdb_partition_write_slice(struct tsdb_env *env, struct tsdb_run *run,
                                                      uint32_t *series, uint32_t *metrics,
                                                      size_t *ret_blocks, struct tw_err *err);

/* ---- runs and what was done to them (partition_runs.c) ---- */
struct tsdb_run_row {
    uint64_t number, samples, blocks; /* both 0: its samples were merged into a later run */
    uint32_t series_limit;            /* ids below were there when it was written */
};
/* All rows, ascending; free() the array. */
TW_MUST_CHECK enum tw_code tsdb_partition_list_runs(struct tsdb_env *env, struct tsdb_env_txn *txn,
                                                    struct tsdb_run_row **ret_rows,
                                                    size_t *ret_count, struct tw_err *err);
TW_MUST_CHECK enum tw_code tsdb_partition_read_step(struct tsdb_env *env, struct tsdb_env_txn *txn,
                                                    int64_t *ret_step_ms, struct tw_err *err);
TW_MUST_CHECK enum tw_code
tsdb_partition_read_info(struct tsdb_env *env, struct tsdb_partition_info *ret, struct tw_err *err);
/* The last piece: the rows, and of info what a rewrite says. */
TW_MUST_CHECK enum tw_code tsdb_partition_write_runs(struct tsdb_env *env,
                                                     const struct tsdb_run_row *rows, size_t count,
                                                     const struct tsdb_partition_info *info,
                                                     struct tw_err *err);

/* ---- the folder, for who rewrites (partition.c) ---- */
/* Opened and held until unref; TW_NOT_FOUND when there is none of the day. */
TW_MUST_CHECK enum tw_code tsdb_partitions_ref(struct tsdb_partitions *partitions, int64_t day,
                                               struct tsdb_partition **ret_partition,
                                               struct tw_err *err);
void tsdb_partitions_unref(struct tsdb_partitions *partitions, struct tsdb_partition *partition);
/* Path of what the partition's next generation is built as; free() it. */
char *tsdb_partitions_next_path(struct tsdb_partitions *partitions,
                                const struct tsdb_partition *partition);
/* A second file with what the partition has now, durable but for its folder: blocks or the file
 * itself are shared where the file system can, so that it costs no room; else TW_UNSUPPORTED.
 * Neither changes the other: a file with two names is copied before it is written to. The partition
 * is referenced. */
TW_MUST_CHECK enum tw_code tsdb_partitions_share(struct tsdb_partitions *partitions,
                                                 struct tsdb_partition *partition, const char *to,
                                                 struct tw_err *err);
/* Between these two no run is written into any partition. */
void tsdb_partitions_hold(struct tsdb_partitions *partitions);
void tsdb_partitions_release(struct tsdb_partitions *partitions);
/* Puts the file at next_path, closed and complete, in the place of the partition, durably. Readers
 * of the old one go on. TW_NOT_FOUND when the partition was dropped meanwhile. hold is taken. */
TW_MUST_CHECK enum tw_code tsdb_partitions_replace(struct tsdb_partitions *partitions,
                                                   struct tsdb_partition *partition,
                                                   struct tw_err *err);

/* ---- reading for a rewrite (partition_reader.c) ---- */
/* Whether the column handed out last is of a window with native histograms: then more columns of
 * the window may follow, of other kinds. */
bool tsdb_partition_reader_is_mixed(const struct tsdb_partition_reader *reader);
/* The transaction of the reader: what is read in it is of the same moment. */
struct tsdb_env_txn *tsdb_partition_reader_txn(struct tsdb_partition_reader *reader);
/* Whether any run has samples in the window. */
bool tsdb_partition_reader_has(const struct tsdb_partition_reader *reader, int64_t window);
/* From now on the reader has this run alone. */
void tsdb_partition_reader_restrict(struct tsdb_partition_reader *reader, uint64_t run);

/* Zero counts for a partition without any run. */
TW_MUST_CHECK enum tw_code tsdb_partition_read_counts(struct tsdb_env_txn *txn,
                                                      struct tsdb_partition_counts *ret,
                                                      struct tw_err *err);
TW_MUST_CHECK enum tw_code tsdb_partition_put_counts(struct tsdb_env_txn *txn,
                                                     const struct tsdb_partition_counts *counts,
                                                     struct tw_err *err);
TW_MUST_CHECK enum tw_code tsdb_partition_corrupt(const struct tsdb_env *env, const char *what,
                                                  struct tw_err *err);

/* ---- strings and series, read page by page within one transaction; texts live in the arena ----
 */
struct tsdb_series_entry {
    uint64_t hash; /* once its labels were read */
    uint32_t label_count;
    uint32_t names[WIRE_LABELS_COUNT_MAX], values[WIRE_LABELS_COUNT_MAX];
};

struct tsdb_strings_page;
struct tsdb_partition_view {
    struct tsdb_env *env;
    struct tsdb_env_txn *txn;
    struct tw_arena *arena;
    struct tsdb_partition_counts counts;
    struct tsdb_strings_page *string_pages; /* ascending; each loaded on first use */
    size_t string_page_count, string_page_at;
    uint32_t *series_pages; /* first ids, ascending */
    size_t series_page_count, series_page_at;
    struct tsdb_series_page *series; /* the page of series read last */
    struct tsdb_posting *postings;   /* room for a page; NULL until one is read */
};

TW_MUST_CHECK enum tw_code tsdb_partition_view_init(struct tsdb_partition_view *view,
                                                    struct tsdb_env *env, struct tsdb_env_txn *txn,
                                                    struct tw_arena *arena, struct tw_err *err);
void tsdb_partition_view_fini(struct tsdb_partition_view *view); /* also when init failed */
TW_MUST_CHECK enum tw_code tsdb_partition_view_string(struct tsdb_partition_view *view, uint32_t id,
                                                      struct tw_str *ret, struct tw_err *err);
TW_MUST_CHECK enum tw_code tsdb_partition_view_series(struct tsdb_partition_view *view, uint32_t id,
                                                      struct tsdb_series_entry *ret,
                                                      struct tw_err *err);
/* items holds WIRE_LABELS_COUNT_MAX. Sets the entry's hash. */
TW_MUST_CHECK enum tw_code tsdb_partition_view_labels(struct tsdb_partition_view *view,
                                                      struct tsdb_series_entry *entry,
                                                      struct wire_label *items, struct tw_err *err);

/* Each posting list (or part of one) of the partition: the series that have this value of this
 * name, both as string ids, with the hash that it is sorted by. */
typedef void tsdb_posting_visit(void *user, uint32_t name, uint32_t hash, uint32_t value,
                                const struct tsdb_ids *ids);
TW_MUST_CHECK enum tw_code tsdb_partition_view_postings(struct tsdb_partition_view *view,
                                                        tsdb_posting_visit *visit, void *user,
                                                        struct tw_err *err);

#endif
