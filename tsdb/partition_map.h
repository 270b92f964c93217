/* SPDX-License-Identifier: Apache-2.0
 *
 * partition_map: under which ids a partition has the series and strings of a head's index. It is
 * what a flush keeps for the next one, so that the partition's own index need not be read back.
 *
 * The *segment* of a partition's index is what the map may refer to: series and strings from its
 * first ones on. What lies before is left alone, so that a flush costs what it brings, however
 * much a day has seen; a label set that comes back gets another id (partition.h, I2).
 *
 * Memory: 4 bytes for each series of the index and 4 for each of its strings.
 *
 * Threads: one at a time, as who writes the partition.
 */
#ifndef TW_TSDB_PARTITION_MAP_H
#define TW_TSDB_PARTITION_MAP_H

#include "tsdb/partition_int.h"

/* By id in the index: id in the partition, or TSDB_NO_SERIES. */
struct tsdb_id_table {
    uint32_t *items;
    size_t count, capacity;
};

struct tsdb_partition_map {
    int64_t day; /* of the partition, and its generation */
    uint32_t generation;
    uint64_t index;                      /* identity of the index; 0 = nothing is known */
    struct tsdb_partition_counts counts; /* of the partition when it was written last */
    struct tsdb_id_table series, strings;
    size_t chunk_count; /* of the run that was written last */
};

void tsdb_partition_map_fini(struct tsdb_partition_map *map); /* zero knows nothing */
/* What was known of another partition is forgotten. */
void tsdb_partition_map_aim(struct tsdb_partition_map *map, int64_t day, uint32_t generation);
/* Nothing is known any more, and nothing is kept. */
void tsdb_partition_map_forget(struct tsdb_partition_map *map);
size_t tsdb_partition_map_bytes(const struct tsdb_partition_map *map);

/* Segments of up to so many series always go on. Tests make it small, so that few series are churn.
 */
void tsdb_partition_map_small(uint32_t series);

uint32_t tsdb_id_table_get(const struct tsdb_id_table *table, uint32_t id);
void tsdb_id_table_set(struct tsdb_id_table *table, uint32_t id, uint32_t to);

/* Makes the map one of the run's index and of the partition as the transaction sees it. What it
 * does not know already is read from the segment, a page at a time; when that is not worth it
 * (most of the segment is of other series), a new segment begins. */
TW_MUST_CHECK enum tw_code tsdb_partition_map_load(struct tsdb_partition_map *map,
                                                   struct tsdb_env *env, struct tsdb_env_txn *txn,
                                                   const struct tsdb_run *run, struct tw_err *err);

#endif
