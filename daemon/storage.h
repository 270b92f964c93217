/* SPDX-License-Identifier: Apache-2.0
 *
 * storage: the section `storage` of tidewatch.yml: how long which samples are kept, and how
 * many series are taken.
 *
 *   storage:
 *     retention_size: 50GiB        # of all below --data, the oldest days go first
 *     disk_reserve: 256MiB         # below so much free space no samples are taken; 0 = no reserve
 *     downsampling: [{after: 30d, step: 5m}, {after: 180d, step: 1h, match: '{job!="slo"}'}]
 *     memory_max: 6GiB             # of the whole server; three quarters of the machine's
 *     retention_rules:
 *       - {match: '{job="debug"}', keep: 3d}
 *       - {match: '{__name__=~"slo:.*"}', keep: off}    # for ever
 *     series_max: 10000000         # active ones; beyond, new ones are refused
 *     series_max_per_source: 0     # of one job and instance; 0 = no limit
 *     exemplars_max: 100000        # of all series together, the oldest go first; 0 = none are kept
 *
 * Threads: plain data.
 */
#ifndef TW_DAEMON_STORAGE_H
#define TW_DAEMON_STORAGE_H

#include "base/yaml.h"
#include "tsdb/db.h"

#define DAEMON_RETENTION_RULES_MAX 64
#define DAEMON_DOWNSAMPLINGS_MAX 16
/* The least retention_size: a day of a small host, with room to work in. */
#define DAEMON_RETENTION_SIZE_MIN ((uint64_t)64 << 20)

/* The least memory_max: all parts at their smallest. */
#define DAEMON_MEMORY_MIN ((uint64_t)128 << 20)

/* Above, the ids of series do not go. */
#define DAEMON_SERIES_MAX 100000000

#define DAEMON_EXEMPLARS_MAX 10000000

struct daemon_storage {
    struct tw_arena *arena;
    uint64_t size_max, disk_reserve;
    uint64_t memory_max;                       /* 0 = not set */
    int64_t series_max, series_max_per_source; /* 0 = the store's default, no limit */
    int64_t exemplars_max;                     /* 0 = none */
    struct tsdb_retention_rule *rules;
    size_t rule_count;
    struct tsdb_downsampling *downsamplings;
    size_t downsampling_count;
};

/* The section's keys, for who checks them; NULL at the end. */
extern const char *const daemon_storage_keys[];

/* section: NULL when there is none. name: the file's. */
TW_MUST_CHECK enum tw_code daemon_storage_read(const char *name, const struct tw_yaml *section,
                                               struct daemon_storage *ret, struct tw_err *err);
void daemon_storage_fini(struct daemon_storage *storage);
/* Into the options of a store, which copies what it keeps. */
void daemon_storage_fill(const struct daemon_storage *storage, struct tsdb_db_options *options);

#endif
