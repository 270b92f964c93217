/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/sources.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"

#define SLOTS_MIN 64

uint64_t tsdb_source_key(struct wire_labels labels)
{
    uint64_t key = 1;
    for (size_t i = 0; i < labels.count; i++)
        if (tw_str_is(labels.items[i].name, "job") || tw_str_is(labels.items[i].name, "instance"))
            key = tw_hash64_seeded(labels.items[i].value.data, labels.items[i].value.size,
                                   key * 31 + (unsigned char)labels.items[i].name.data[0]);
    return key ? key : 1;
}

static struct tsdb_source *find(const struct tsdb_sources *sources, uint64_t key)
{
    size_t at = key & sources->mask;
    while (sources->slots[at].key && sources->slots[at].key != key)
        at = (at + 1) & sources->mask;
    return &sources->slots[at];
}

/* Into a table of this width; sources without series are left behind. */
static void rebuild(struct tsdb_sources *sources, size_t width)
{
    struct tsdb_sources wider = {.slots = calloc(width, sizeof *wider.slots), .mask = width - 1};
    TW_ASSERT(wider.slots != NULL);
    for (size_t i = 0; sources->slots && i <= sources->mask; i++)
        if (sources->slots[i].key && (sources->slots[i].active || sources->slots[i].current)) {
            *find(&wider, sources->slots[i].key) = sources->slots[i];
            wider.used++;
        }
    free(sources->slots);
    *sources = wider;
}

uint32_t tsdb_sources_active(const struct tsdb_sources *sources, uint64_t key)
{
    return sources->slots ? find(sources, key)->active : 0;
}

void tsdb_sources_count(struct tsdb_sources *sources, uint64_t key, bool added)
{
    if (!sources->slots || sources->used * 2 > sources->mask)
        rebuild(sources, sources->slots ? (sources->mask + 1) * 2 : SLOTS_MIN);
    struct tsdb_source *source = find(sources, key);
    if (!source->key) {
        source->key = key;
        sources->used++;
    }
    source->current++;
    source->active += added;
}

void tsdb_sources_turn(struct tsdb_sources *sources, bool forget)
{
    if (!sources->slots)
        return;
    for (size_t i = 0; i <= sources->mask; i++) {
        if (forget)
            sources->slots[i].active = sources->slots[i].current;
        sources->slots[i].current = 0;
    }
    rebuild(sources, sources->mask + 1);
}

void tsdb_sources_fini(struct tsdb_sources *sources)
{
    free(sources->slots);
    *sources = (struct tsdb_sources){0};
}
