/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog: what a store knows about itself beside samples: the metadata of metrics (type, help,
 * unit), as pushed, and what is to be deleted (tombstones.h). A small LMDB environment, and the
 * same in memory, for reading.
 *
 * Threads: any; it has a lock of its own.
 */
#ifndef TW_TSDB_CATALOG_H
#define TW_TSDB_CATALOG_H

#include "tsdb/storage.h"

/* Metrics with metadata, and the longest help text that is kept (longer ones are cut). */
#define TSDB_METADATA_COUNT_MAX 100000
#define TSDB_METADATA_HELP_BYTES_MAX 4096
#define TSDB_METADATA_NAME_BYTES_MAX 400

struct tsdb_env_format;
struct tsdb_catalog;

extern const struct tsdb_env_format tsdb_catalog_format;

TW_MUST_CHECK enum tw_code tsdb_catalog_open(const char *path, struct tsdb_catalog **ret_catalog,
                                             struct tw_err *err);
struct tsdb_catalog *tsdb_catalog_close(struct tsdb_catalog *catalog); /* returns NULL */
struct tsdb_env;
struct tsdb_env *
tsdb_catalog_env(struct tsdb_catalog *catalog); /* its environment, for tombstones */
/* Keeps what is new or changed, durably; cheap when nothing is. */
TW_MUST_CHECK enum tw_code tsdb_catalog_put_metadata(struct tsdb_catalog *catalog,
                                                     const struct tsdb_metadata *items,
                                                     size_t count, struct tw_err *err);
/* Whether that would write nothing. Does not wait for the disk. */
bool tsdb_catalog_knows_metadata(struct tsdb_catalog *catalog, const struct tsdb_metadata *items,
                                 size_t count);
/* Copies into the arena, sorted by metric; metric empty = all. */
void tsdb_catalog_list_metadata(struct tsdb_catalog *catalog, struct tw_str metric,
                                struct tw_arena *arena, struct tsdb_metadata **ret_items,
                                size_t *ret_count);

#endif
