/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/fingerprints.h"

#include <stdlib.h>

#include "base/assert.h"
#include "tsdb/index.h"

#define SLOTS_FIRST 4096

struct tsdb_fingerprints_slot {
    uint64_t fingerprint; /* 0 = free */
    uint32_t series;
};

void tsdb_fingerprints_fini(struct tsdb_fingerprints *fingerprints)
{
    free(fingerprints->slots);
    *fingerprints = (struct tsdb_fingerprints){0};
}

/* The slot of the fingerprint, or the free one where it belongs. Fingerprints are hashes. */
static struct tsdb_fingerprints_slot *find_slot(const struct tsdb_fingerprints *fingerprints,
                                                uint64_t fingerprint)
{
    size_t at = fingerprint & fingerprints->mask;
    while (fingerprints->slots[at].fingerprint != 0 &&
           fingerprints->slots[at].fingerprint != fingerprint)
        at = (at + 1) & fingerprints->mask;
    return &fingerprints->slots[at];
}

static void make_slots(struct tsdb_fingerprints *fingerprints, size_t count)
{
    fingerprints->slots = calloc(count, sizeof *fingerprints->slots);
    TW_ASSERT(fingerprints->slots != NULL);
    fingerprints->mask = count - 1;
}

/* At most half of the slots are used. */
static void make_room(struct tsdb_fingerprints *fingerprints)
{
    if (!fingerprints->slots)
        make_slots(fingerprints, SLOTS_FIRST);
    if (fingerprints->used * 2 <= fingerprints->mask)
        return;
    struct tsdb_fingerprints_slot *old = fingerprints->slots;
    size_t count = fingerprints->mask + 1;
    make_slots(fingerprints, count * 2);
    for (size_t i = 0; i < count; i++)
        if (old[i].fingerprint != 0)
            *find_slot(fingerprints, old[i].fingerprint) = old[i];
    free(old);
}

void tsdb_fingerprints_note(struct tsdb_fingerprints *fingerprints, uint64_t fingerprint,
                            uint32_t series, size_t max)
{
    TW_ASSERT(fingerprint != 0);
    if (++fingerprints->failures <= TSDB_FINGERPRINTS_FAILURES_FREE)
        return;
    if (fingerprints->used >= max)
        tsdb_fingerprints_fini(fingerprints);
    make_room(fingerprints);
    struct tsdb_fingerprints_slot *slot = find_slot(fingerprints, fingerprint);
    fingerprints->used += slot->fingerprint == 0;
    *slot = (struct tsdb_fingerprints_slot){fingerprint, series};
}

uint32_t tsdb_fingerprints_find(const struct tsdb_fingerprints *fingerprints, uint64_t fingerprint)
{
    if (!fingerprints->slots)
        return TSDB_NO_SERIES;
    const struct tsdb_fingerprints_slot *slot = find_slot(fingerprints, fingerprint);
    return slot->fingerprint ? slot->series : TSDB_NO_SERIES;
}

void tsdb_fingerprints_fetch(const struct tsdb_fingerprints *fingerprints, uint64_t fingerprint)
{
    if (fingerprints->slots)
        __builtin_prefetch(&fingerprints->slots[fingerprint & fingerprints->mask]);
}
