/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_storage: a tsdb_storage in memory, for tests of what reads and writes samples (queries,
 * rules, scalers). Same contract as the real store: any order of time, last write wins.
 *
 * Threads: any; a selection is a snapshot of the columns.
 */
#ifndef TW_TESTS_MEMORY_STORAGE_H
#define TW_TESTS_MEMORY_STORAGE_H

#include <stdint.h>

#include "tsdb/storage.h"

struct tsdb_storage *memory_storage_new(void);
struct tsdb_storage *memory_storage_free(struct tsdb_storage *storage); /* returns NULL */
/* Forgets all samples and metadata. */
void memory_storage_clear(struct tsdb_storage *storage);
/* Columns handed out hold at most this many samples (0 = all in one), to test their seams. */
void memory_storage_set_column_max(struct tsdb_storage *storage, size_t samples);
/* The next calls of the kind fail with this code (TW_OK: work again). */
void memory_storage_fail(struct tsdb_storage *storage, enum tw_code select, enum tw_code append);
uint64_t memory_storage_sample_count(struct tsdb_storage *storage);

/* Adds one sample; labels as pairs name, value, ..., NULL. Aborts on an error. */
void memory_storage_add(struct tsdb_storage *storage, int64_t time_ms, double value, ...)
    __attribute__((sentinel));

#endif
