/* SPDX-License-Identifier: Apache-2.0
 *
 * sources: how many active series each source has. A source is what pushes or is scraped: the
 * labels job and instance of a series. Active is what was written to in this generation or in the
 * one before it, as db_int.h says.
 *
 * Threads: guarded by the owner's lock.
 */
#ifndef TW_TSDB_SOURCES_H
#define TW_TSDB_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/labels.h"

struct tsdb_source {
    uint64_t key; /* 0 = an empty slot */
    uint32_t active;
    uint32_t current; /* of these, in this generation */
};

/* Zero is an empty one. */
struct tsdb_sources {
    struct tsdb_source *slots;
    size_t mask, used;
};

uint64_t tsdb_source_key(struct wire_labels labels); /* never 0 */
uint32_t tsdb_sources_active(const struct tsdb_sources *sources, uint64_t key);
/* A series of the source is written to for the first time in this generation; added: it was not
 * active before. */
void tsdb_sources_count(struct tsdb_sources *sources, uint64_t key, bool added);
/* A generation ends. forget: what was not written to in it is active no more. */
void tsdb_sources_turn(struct tsdb_sources *sources, bool forget);
void tsdb_sources_fini(struct tsdb_sources *sources);

#endif
