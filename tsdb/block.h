/* SPDX-License-Identifier: Apache-2.0
 *
 * block: the values of neighbouring series of one run in one window, as one value of a partition.
 * Series stand ordered by (metric, series); each entry says how many samples it has, which column
 * holds their times, and of what kind they are. docs/format/block.md draws the bytes.
 *
 * Threads: plain data.
 */
#ifndef TW_TSDB_BLOCK_H
#define TW_TSDB_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "tsdb/lmdb.h"
#include "tsdb/storage.h"

/* A block is cut before it passes this: sixteen of LMDB's pages, filled to the brim. */
#define TSDB_BLOCK_BYTES_MAX                                                                       \
    (16 * TSDB_ENV_PAGE_BYTES - TSDB_ENV_PAGE_HEADER_BYTES - TSDB_ENV_FRAME_BYTES)
#define TSDB_BLOCK_ENTRIES_MAX 2048

struct tsdb_block_entry {
    uint32_t metric, series;
    uint32_t count, column;
    enum tsdb_kind kind;
    struct tw_str values; /* FLOAT: encoded by the codec; else by histogram_chunk */
};

/* ---- writing ---- */
enum tsdb_block_column { /* of the directory */
                         TSDB_BLOCK_METRIC,
                         TSDB_BLOCK_SERIES,
                         TSDB_BLOCK_KIND,
                         TSDB_BLOCK_COUNT,
                         TSDB_BLOCK_TIMES, /* the column that holds them */
                         TSDB_BLOCK_SIZE,
                         TSDB_BLOCK_COLUMNS
};

struct tsdb_block_writer {
    int64_t (*columns)[TSDB_BLOCK_ENTRIES_MAX]; /* of the directory */
    struct tw_buf directory, values, packed;
    uint32_t count;
    size_t directory_bytes; /* about; when it was last encoded */
    uint32_t directory_count;
};

void tsdb_block_writer_init(struct tsdb_block_writer *writer);
void tsdb_block_writer_fini(struct tsdb_block_writer *writer);
/* False when the entry does not fit any more: take the block first. The first one always fits. */
bool tsdb_block_writer_add(struct tsdb_block_writer *writer, const struct tsdb_block_entry *entry);
/* When the next entry does not fit: gives back the last ones, to be added to the next block, if the
 * block leaves less of its pages empty without them. Returns how many. */
uint32_t tsdb_block_writer_settle(struct tsdb_block_writer *writer);
/* Appends the block's bytes and starts the next one. At least one entry was added. */
void tsdb_block_writer_take(struct tsdb_block_writer *writer, struct tw_buf *ret);

/* ---- reading ---- */
struct tsdb_block {
    struct tsdb_block_entry *entries; /* ascending by (metric, series) */
    uint32_t count, capacity;
    struct tw_buf plain; /* when the block was compressed */
};

void tsdb_block_init(struct tsdb_block *block);
void tsdb_block_fini(struct tsdb_block *block);
/* The entries point into bytes, or into the block. False for what no writer makes. */
bool tsdb_block_parse(struct tsdb_block *block, struct tw_str bytes);
/* NULL if the series is not in it. */
const struct tsdb_block_entry *tsdb_block_find(const struct tsdb_block *block, uint32_t metric,
                                               uint32_t series);

#endif
