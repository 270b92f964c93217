/* SPDX-License-Identifier: Apache-2.0
 *
 * roster: the series that this agent has, each under a small number. Its labels are encoded once,
 * when it is first seen; a tick only names numbers. Families (name, type, help) are kept beside,
 * for the metadata.
 *
 * A series whose owner released it (a disk that is long gone) gives its number back; `epoch` tells
 * a number's holders apart. A full roster refuses and counts.
 *
 * Threads: one (the sampler's).
 */
#ifndef TW_COLLECTOR_ROSTER_H
#define TW_COLLECTOR_ROSTER_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "wire/labels.h"
#include "wire/remote_write.h"

/* Series of one agent at most; at about 150 bytes each, 3 MB. */
#define AGENT_SERIES_MAX 20000
#define AGENT_SERIES_NONE UINT32_MAX

struct agent_family {
    const char *name;
    enum wire_metric_type type;
    const char *help;
};

struct agent_series {
    struct tw_str fields; /* labels as remote_write has them; size 0 = the number is free */
    uint32_t epoch;       /* grows when the number gets a new holder */
    uint32_t mark;        /* tick that put it last (round.c) */
};

struct agent_roster;

/* common: labels of every series (job, instance, configured ones); copied. */
struct agent_roster *agent_roster_new(const struct wire_label *common, size_t count);
struct agent_roster *agent_roster_free(struct agent_roster *roster); /* returns NULL */

/* A new series; labels are its own, without __name__, in any order; empty values are left out. Its
 * own win over common ones. AGENT_SERIES_NONE when the roster is full or the labels are not valid.
 */
uint32_t agent_roster_add(struct agent_roster *roster, const struct agent_family *family,
                          const struct wire_label *labels, size_t count);
void agent_roster_release(struct agent_roster *roster, uint32_t series);

/* Borrowed, until the next add. series is not NONE. */
struct agent_series *agent_roster_get(struct agent_roster *roster, uint32_t series);
uint32_t agent_roster_limit(const struct agent_roster *roster); /* numbers are below */
uint64_t agent_roster_refused(const struct agent_roster *roster);

/* Families in the order of their first series; borrowed, until the next add. */
size_t agent_roster_family_count(const struct agent_roster *roster);
const struct agent_family *agent_roster_family(const struct agent_roster *roster, size_t index);

#endif
