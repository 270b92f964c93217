/* SPDX-License-Identifier: Apache-2.0
 *
 * member: what a scaler's fleet is made of, when its replicas are not all in one target: weighted
 * pools, or types of instances of which the cheapest mix is taken. Read from its configuration:
 *
 *   pools:
 *     - {name: east, weight: 3, min: 1, max: 20, target: {...}, cost_per_hour: 0.12}
 *     - {name: west, weight: 1, max: 10, target: {...}}
 *   types:
 *     - {name: small, cpu: 4, memory: 16GiB, cost_per_hour: 0.17, replicas: 2, target: {...}}
 *     - {name: large, cpu: 16, memory: 64GiB, cost_per_hour: 0.61, min: 0, max: 5, target: {...}}
 *   requests: {cpu: 1.5, memory: 6GiB}        # of a replica: how many a type carries
 *   limits: {cpu: 64, memory: 256GiB, count: 20}
 *   switching: {cost: 0.02}
 *   drain: {tries: 3, patience: 4m, probe: 2m}
 *
 * Ownership: texts live in the arena given. Threads: plain data.
 */
#ifndef TW_AUTOSCALER_MEMBER_H
#define TW_AUTOSCALER_MEMBER_H

#include "autoscaler/pool.h"
#include "autoscaler/pool_health.h"
#include "autoscaler/target.h"

#define SCALE_POOL_NAME_BYTES_MAX 32
#define SCALE_COST_MAX 1e9 /* per hour; in whatever currency */

enum scale_fleet_kind { SCALE_FLEET_NONE, SCALE_FLEET_POOLS, SCALE_FLEET_TYPES };

struct scale_member {
    struct tw_str name;
    double weight;        /* of a pool */
    int64_t min, max;     /* replicas of a pool, instances of a type */
    double cost_per_hour; /* of one of them; NaN = not told */
    double cpu, memory;   /* of an instance: cores and bytes; NaN = not told */
    int64_t carries;      /* replicas that one holds; 1 in a pool */
    struct scale_target target;
};

struct scale_fleet_settings {
    enum scale_fleet_kind kind;
    struct scale_member *members; /* at most SCALE_POOLS_MAX */
    size_t count;
    double cpu_max, memory_max; /* of all instances; infinite = no limit */
    int64_t count_max;
    double switch_cost; /* of starting one instance; NaN = a tenth of what it costs an hour */
    struct scale_pool_rules rules; /* patience 0: the time to start and two minutes */
};

void scale_fleet_settings_init(struct scale_fleet_settings *settings);
struct scale_fleet_settings scale_fleet_settings_copy(const struct scale_fleet_settings *settings,
                                                      struct tw_arena *arena);
/* Whether all targets say how many replicas there are. */
bool scale_fleet_settings_read(const struct scale_fleet_settings *settings);

/* map: the scaler's, whose keys of the above are read; max is the scaler's. Mistakes are TW_CONFIG
 * with file, line, column and cure. */
TW_MUST_CHECK enum tw_code scale_fleet_parse(struct tw_arena *arena, const char *file,
                                             const struct tw_yaml *map, int64_t max,
                                             struct scale_fleet_settings *ret, struct tw_err *err);

#endif
