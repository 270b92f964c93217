/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/partition.h"

#include <stdlib.h>

#include "base/assert.h"

struct tsdb_partitions {
    size_t count;
};

enum tw_code tsdb_partitions_open(const char *folder, struct tsdb_partitions **ret_partitions,
                                  struct tw_err *err)
{
    (void)folder;
    (void)err;
    *ret_partitions = calloc(1, sizeof **ret_partitions);
    TW_ASSERT(*ret_partitions != NULL);
    return TW_OK;
}

struct tsdb_partitions *tsdb_partitions_close(struct tsdb_partitions *partitions)
{
    free(partitions);
    return NULL;
}

size_t tsdb_partitions_count(struct tsdb_partitions *partitions)
{
    return partitions->count;
}

uint64_t tsdb_partitions_newest_run(struct tsdb_partitions *partitions)
{
    return partitions->count;
}

enum tw_code tsdb_partitions_list(struct tsdb_partitions *partitions, int64_t start_ms,
                                  int64_t end_ms, struct tsdb_partition ***ret_items,
                                  size_t *ret_count, struct tw_err *err)
{
    (void)partitions, (void)start_ms, (void)end_ms;
    (void)err;
    *ret_items = NULL;
    *ret_count = 0;
    return TW_OK;
}

void tsdb_partitions_unlist(struct tsdb_partitions *partitions, struct tsdb_partition **items,
                            size_t count)
{
    (void)partitions, (void)items, (void)count;
}

#define NO_PARTITION return tw_err_set(err, TW_INTERNAL, "there is no partition")

enum tw_code tsdb_partition_match(struct tsdb_partition *partition,
                                  const struct tsdb_matcher *matchers, size_t matcher_count,
                                  struct tw_arena *arena, struct tsdb_partition_match **ret_items,
                                  size_t *ret_count, struct tw_err *err)
{
    (void)partition, (void)matchers, (void)matcher_count, (void)arena, (void)ret_items;
    (void)ret_count;
    NO_PARTITION;
}

enum tw_code tsdb_partition_names(struct tsdb_partition *partition, tsdb_index_visit *visit,
                                  void *user, struct tw_err *err)
{
    (void)partition, (void)visit, (void)user;
    NO_PARTITION;
}

enum tw_code tsdb_partition_values(struct tsdb_partition *partition, struct tw_str name,
                                   tsdb_index_visit *visit, void *user, struct tw_err *err)
{
    (void)partition, (void)name, (void)visit, (void)user;
    NO_PARTITION;
}

enum tw_code tsdb_partition_reader_open(struct tsdb_partition *partition,
                                        struct tsdb_partition_reader **ret_reader,
                                        struct tw_err *err)
{
    (void)partition, (void)ret_reader;
    NO_PARTITION;
}

struct tsdb_partition_reader *tsdb_partition_reader_close(struct tsdb_partition_reader *reader)
{
    TW_ASSERT(reader == NULL);
    return NULL;
}

enum tw_code tsdb_partition_reader_seek(struct tsdb_partition_reader *reader, uint32_t series,
                                        int64_t start_ms, int64_t end_ms, struct tw_err *err)
{
    (void)reader, (void)series, (void)start_ms, (void)end_ms;
    NO_PARTITION;
}

enum tw_code tsdb_partition_reader_next(struct tsdb_partition_reader *reader,
                                        struct tsdb_column *ret_column, struct tw_err *err)
{
    (void)reader, (void)ret_column;
    NO_PARTITION;
}
