/* SPDX-License-Identifier: Apache-2.0
 *
 * partition: the samples of one day (UTC), in one LMDB environment that needs nothing outside:
 * strings, series, postings, columns of timestamps, blocks of values. docs/format/partition.md and
 * block.md draw the bytes.
 *
 * A flush writes one run: all that a head has of the day, in one transaction. Runs are numbered as
 * the heads are, a higher one is newer. Nothing is changed in place; a reader merges the runs. A
 * rewrite (rewriter.h) makes a new file of the next generation, with one run, that takes the place
 * of the old one.
 *
 *   I1  A run is in a partition as a whole or not at all, and at most once: writing one that is
 *       there already (a crash came between flush and trimming the log) does nothing.
 *   I2  Series ids are dense and local to the partition. A label set has one, or several when it
 *       was away in between (partition_map.h); a run has it under the highest that there was.
 *   I3  Of a day's files the one of the highest generation counts; it has under its final name all
 *       that the lower ones had and was to stay, so that these are leftovers.
 *
 * Threads: any, except that one thread at a time writes.
 */
#ifndef TW_TSDB_PARTITION_H
#define TW_TSDB_PARTITION_H

#include "tsdb/eraser.h"
#include "tsdb/index.h"
#include "tsdb/storage.h"

/* ---- the partitions of a folder ---- */
struct tsdb_partition;
struct tsdb_partitions;

TW_MUST_CHECK enum tw_code tsdb_partitions_open(const char *folder,
                                                struct tsdb_partitions **ret_partitions,
                                                struct tw_err *err);
struct tsdb_partitions *tsdb_partitions_close(struct tsdb_partitions *partitions); /* NULL */
size_t tsdb_partitions_count(struct tsdb_partitions *partitions);
/* Damaged files, set aside as NAME.damaged: at the start, or when one had to be written to (a new
 * file took its place). Listing a time that one of them has is TW_CORRUPT. */
size_t tsdb_partitions_aside_count(struct tsdb_partitions *partitions);
/* The highest run in any of them; 0 without any. */
TW_MUST_CHECK enum tw_code tsdb_partitions_newest_run(struct tsdb_partitions *partitions,
                                                      uint64_t *ret_run, struct tw_err *err);
/* Those that overlap the closed range, ascending, each opened and held until unlist; free()d there.
 */
TW_MUST_CHECK enum tw_code tsdb_partitions_list(struct tsdb_partitions *partitions,
                                                int64_t start_ms, int64_t end_ms,
                                                struct tsdb_partition ***ret_items,
                                                size_t *ret_count, struct tw_err *err);
void tsdb_partitions_unlist(struct tsdb_partitions *partitions, struct tsdb_partition **items,
                            size_t count);

/* Unlinks the partitions whose day ended before the time. Selections that have them go on reading.
 */
TW_MUST_CHECK enum tw_code tsdb_partitions_drop(struct tsdb_partitions *partitions,
                                                int64_t before_ms, size_t *ret_dropped,
                                                struct tw_err *err);

/* ---- what is known of a partition beside its samples ---- */
struct tsdb_partition_info {
    uint64_t first_run, last_run; /* 0 without any */
    uint32_t run_count;           /* those with blocks of their own, which readers merge */
    uint64_t samples;             /* of all runs, overwritten ones too */
    uint32_t series;              /* ids of series; a label set may have several */
    uint64_t bytes;               /* of the file, on disk */
    /* Of the last rewrite: when, into which run; 0 when there was none. */
    int64_t rewritten_ms;
    uint64_t base_run, base_samples;
    uint64_t erased;  /* all tombstones up to this one were applied */
    int64_t step_ms;  /* of its downsampled samples, 0 = raw */
    int64_t ruled_ms; /* when the rules of the retention were last applied, or had nothing to do */
};
TW_MUST_CHECK enum tw_code tsdb_partitions_info(struct tsdb_partitions *partitions, int64_t day,
                                                struct tsdb_partition_info *ret,
                                                struct tw_err *err);
/* Takes all tombstones up to this one as applied, though nothing was written: they had nothing to
 * do. Until the next write or start. */
void tsdb_partitions_note_erased(struct tsdb_partitions *partitions, int64_t day, uint64_t erased);
void tsdb_partitions_note_ruled(struct tsdb_partitions *partitions, int64_t day, int64_t now_ms);
/* The days that have a partition, ascending; free() the array. */
void tsdb_partitions_days(struct tsdb_partitions *partitions, int64_t **ret_days,
                          size_t *ret_count);

/* ---- writing ---- */

/* The samples of one series in one window, as a flush hands them over. */
struct tsdb_run_chunk {
    int64_t window;  /* time / TSDB_WINDOW_MS, floor */
    uint32_t series; /* id in the run's index */
    uint32_t column; /* of the window's columns, from 0 */
    uint32_t count;
    enum tsdb_kind kind;
    struct tw_str values; /* encoded */
};
/* A column of timestamps that chunks of one window share. */
struct tsdb_run_column {
    int64_t window;
    uint32_t column;
    uint32_t count;
    struct tw_str times; /* encoded */
};
struct tsdb_run {
    uint64_t number;
    const struct tsdb_index *index; /* of the head: the labels */
    struct tsdb_run_chunk *chunks;  /* of one day, in any order; sorted here */
    size_t chunk_count;
    const struct tsdb_run_column *columns; /* by (window, column) */
    size_t column_count;
};
/* Durable on TW_OK. Does nothing when the partition has a run of this number already. */
TW_MUST_CHECK enum tw_code tsdb_partitions_write(struct tsdb_partitions *partitions, int64_t day,
                                                 struct tsdb_run *run, size_t *ret_blocks,
                                                 struct tw_err *err);

/* Memory that is kept between two of them (partition_map.h). */
size_t tsdb_partitions_ids_bytes(struct tsdb_partitions *partitions);

int64_t tsdb_partition_day(const struct tsdb_partition *partition);
/* 0 without any. */
TW_MUST_CHECK enum tw_code tsdb_partition_newest_run(struct tsdb_partition *partition,
                                                     uint64_t *ret_run, struct tw_err *err);

/* ---- matching ---- */
/* Where the samples of a label set are. */
struct tsdb_partition_place {
    uint32_t series, metric;
    struct tsdb_partition_place *older; /* under a lower id, in older runs; NULL = none */
};
struct tsdb_partition_match {
    struct tsdb_partition_place place;
    uint64_t hash;
    struct wire_labels labels; /* in the arena */
};
/* The series that match all matchers, each once, in the arena, ascending by (their newest) id. */
TW_MUST_CHECK enum tw_code tsdb_partition_match(struct tsdb_partition *partition,
                                                const struct tsdb_matcher *matchers,
                                                size_t matcher_count, struct tw_arena *arena,
                                                struct tsdb_partition_match **ret_items,
                                                size_t *ret_count, struct tw_err *err);
/* The names of labels (name empty) or the values of a name that the series have which match all
 * matchers; each once. The texts live as long as the arena. */
TW_MUST_CHECK enum tw_code tsdb_partition_list(struct tsdb_partition *partition, struct tw_str name,
                                               const struct tsdb_matcher *matchers,
                                               size_t matcher_count, struct tw_arena *arena,
                                               tsdb_index_visit *visit, void *user,
                                               struct tw_err *err);

/* ---- reading samples ---- */
struct tsdb_partition_reader;
TW_MUST_CHECK enum tw_code tsdb_partition_reader_open(struct tsdb_partition *partition,
                                                      struct tsdb_partition_reader **ret_reader,
                                                      struct tw_err *err);
/* So many of the partition's series will be read. When they are a large share, what it has of the
 * range of the first seek is asked from the disk at once, instead of block after block. in_order:
 * ascending by (metric, series), so that a block that was read is not needed again. */
TW_MUST_CHECK enum tw_code tsdb_partition_reader_expect(struct tsdb_partition_reader *reader,
                                                        size_t series, bool in_order,
                                                        struct tw_err *err);
struct tsdb_partition_reader *tsdb_partition_reader_close(struct tsdb_partition_reader *reader);
/* What the place leads to is borrowed until the next seek. */
TW_MUST_CHECK enum tw_code tsdb_partition_reader_seek(struct tsdb_partition_reader *reader,
                                                      const struct tsdb_partition_place *place,
                                                      int64_t start_ms, int64_t end_ms,
                                                      struct tw_err *err);
/* Of downsampled samples in it, 0 = there are none. Columns with some are of TSDB_KIND_BUCKETS. */
/* How many samples were left out since the last call: they came for a step, or histograms for a
 * window, that was downsampled before. */
uint64_t tsdb_partition_reader_take_closed(struct tsdb_partition_reader *reader);
int64_t tsdb_partition_reader_step(const struct tsdb_partition_reader *reader);
/* What is gone of the series sought from now on; the items are borrowed. */
void tsdb_partition_reader_erase(struct tsdb_partition_reader *reader,
                                 const struct tsdb_erasure *items, size_t count);
/* The next window's samples in the range; count 0 at the end. Lives until the next call. */
TW_MUST_CHECK enum tw_code tsdb_partition_reader_next(struct tsdb_partition_reader *reader,
                                                      struct tsdb_column *ret_column,
                                                      struct tw_err *err);

#endif
