/* SPDX-License-Identifier: Apache-2.0
 *
 * partition_cache: what a reader of a partition keeps of a lane (one run in one window): where its
 * blocks and columns lie, those that were read, and the columns of timestamps that were decoded. So
 * a value is checked and parsed once, and finding a series costs no look into the tree.
 *
 * Threads: one at a time, as its reader.
 */
#ifndef TW_TSDB_PARTITION_CACHE_H
#define TW_TSDB_PARTITION_CACHE_H

#include "tsdb/block.h"
#include "tsdb/lmdb.h"

/* What all lanes of a reader have in common. */
struct tsdb_cache_source {
    struct tsdb_env *env;
    struct tsdb_env_cursor *blocks, *columns;
    size_t bytes;             /* kept now */
    bool in_order;            /* a lane's blocks are read one after the other, each once */
    struct tsdb_block *spare; /* of one that is not needed any more, for the next; NULL = none */
};
/* The reader drops what it keeps beyond this, when nobody holds it; earlier, when all readers of
 * the process together keep more than their limit. */
#define TSDB_CACHE_BYTES_MAX ((size_t)32 << 20)

/* Of all readers of the process together; 0 = none. Any thread. */
void tsdb_cache_limit(size_t bytes);
/* What they keep now. */
size_t tsdb_cache_total(void);
/* Whether the reader is to drop what it keeps. */
bool tsdb_cache_is_large(const struct tsdb_cache_source *source);

struct tsdb_cache {
    int64_t window;
    uint64_t run;
    bool listed;
    struct tsdb_cached_block *blocks; /* ascending by first series */
    size_t block_count, block_capacity;
    struct tsdb_cached_page *pages; /* of columns, ascending */
    size_t page_count, page_capacity;
    size_t block_at, page_at; /* found last */
    size_t ahead;             /* blocks that are fetched around the next one that is read */
};

/* Timestamps of a column, decoded; valid until tsdb_cache_forget. */
struct tsdb_cached_times {
    const int64_t *items;
    uint32_t count;
};

void tsdb_cache_init(struct tsdb_cache *cache, int64_t window, uint64_t run);
void tsdb_cache_fini(struct tsdb_cache *cache);
/* Once all caches of the source are gone. */
void tsdb_cache_source_fini(struct tsdb_cache_source *source);
/* Drops what was read; places stay known. Of all caches of a source, one after the other. */
void tsdb_cache_forget(struct tsdb_cache *cache, struct tsdb_cache_source *source);

/* The series' entry, or NULL when the lane has none. It lives until tsdb_cache_forget. */
TW_MUST_CHECK enum tw_code
tsdb_cache_find(struct tsdb_cache *cache, struct tsdb_cache_source *source, uint32_t metric,
                uint32_t series, const struct tsdb_block_entry **ret_entry, struct tw_err *err);
/* Asks the disk for all of the lane, up to *left bytes, which are deducted. */
TW_MUST_CHECK enum tw_code tsdb_cache_fetch(struct tsdb_cache *cache,
                                            struct tsdb_cache_source *source, size_t *left,
                                            struct tw_err *err);
/* Ascending times within the window, or TW_CORRUPT. */
TW_MUST_CHECK enum tw_code tsdb_cache_times(struct tsdb_cache *cache,
                                            struct tsdb_cache_source *source, uint32_t column,
                                            struct tsdb_cached_times *ret, struct tw_err *err);

#endif
