/* SPDX-License-Identifier: Apache-2.0
 *
 * sources: which sources a load comes from, and how many of them are silent.
 *
 *   the load's query -> what it sums up -> who is heard now (by job, instance, host, pod)
 *     -> remembered -> of those heard within the last hour, the share heard now
 *
 * Replicas that were scaled in fall silent as well: where it is known how many there are, no more
 * sources than replicas are missed, and where that is not known, a silent source is missed for five
 * minutes only.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_SOURCES_H
#define TW_AUTOSCALER_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

#define SCALE_SOURCES_MAX 4096 /* remembered; a load of more is not watched */

struct scale_sources {
    struct scale_source_heard {
        uint64_t hash; /* of its labels */
        int64_t heard_ms;
    } * items; /* ascending in hash */
    size_t count;
};

/* Who a load comes from. */
struct scale_listener {
    struct tw_str query; /* that lists them; empty = cannot be told */
    bool sums;           /* the load is a sum over them */
    struct scale_sources sources;
};

/* The query that lists the sources of a load, in the arena; empty when the load sums up
 * nothing. *ret_sums: the load is a sum over them, and shrinks with them. */
struct tw_str scale_sources_query(struct tw_str load, struct tw_arena *arena, bool *ret_sums);

void scale_sources_init(struct scale_sources *sources);
void scale_sources_fini(struct scale_sources *sources);
/* The sources heard now (hashes in any order, which is changed). replicas: that serve, -1 = not
 * known. Returns the share of the sources that is heard, NaN when that cannot be told. */
double scale_sources_hear(struct scale_sources *sources, int64_t now_ms, uint64_t *hashes,
                          size_t count, int64_t replicas, size_t *ret_known);

#endif
