/* SPDX-License-Identifier: Apache-2.0
 *
 * demand: several loads as one. The replicas that are needed are the most that any of them needs:
 *
 *   load = max over i of  load_i * capacity_1 / capacity_i        # in the first one's unit
 *
 * so that whoever takes a load (controller, forecast, replay, journal) takes one series. As PromQL
 * it is one expression, which gives nothing where one of the loads does not give exactly one
 * number, for a load that is missing must not fall out of a maximum.
 *
 * Ownership: texts live in the arena given.
 */
#ifndef TW_AUTOSCALER_DEMAND_H
#define TW_AUTOSCALER_DEMAND_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/yaml.h"

#define SCALE_PARTS_MAX 8 /* loads of a scaler */
#define SCALE_PART_NAME_BYTES_MAX 64

struct scale_part {
    struct tw_str name, query;
    double capacity; /* of a replica, in this load's unit */
};

struct scale_demand {
    struct scale_part parts[SCALE_PARTS_MAX];
    size_t count; /* 0: there is one load, and no list of them */
};

/* The `loads:` list of a scaler, which stands in place of `load` and `capacity_per_replica`: count
 * stays 0 without it. *ret_load: the expression over all of them. */
TW_MUST_CHECK enum tw_code scale_demand_parse(struct tw_arena *arena, const char *file,
                                              const struct tw_yaml *map, struct scale_demand *ret,
                                              struct tw_str *ret_load, struct tw_err *err);
struct scale_demand scale_demand_copy(const struct scale_demand *demand, struct tw_arena *arena);
/* What the load of a part is in the unit of the first. */
double scale_demand_convert(const struct scale_demand *demand, size_t part, double load);
/* Which of the parts' loads (converted, NaN = not known) is the highest; count when none is. */
size_t scale_demand_leader(const struct scale_demand *demand, const double *loads);

#endif
