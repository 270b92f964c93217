/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/head_times.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"

/* The first part of a row is small: most times that two series have in common by chance end it. */
#define FIRST_MAX 4

static_assert(TSDB_HEAD_TIMES_MAX <= UINT8_MAX, "a place is a byte");

static struct tsdb_head_times *make_part(struct tsdb_head_memory *memory, uint16_t capacity,
                                         int64_t time_ms)
{
    struct tsdb_head_times *part =
        tsdb_head_memory_take(memory, sizeof *part + capacity * sizeof *part->items);
    part->next = NULL;
    part->capacity = capacity;
    part->count = 1;
    part->items[0] = time_ms;
    return part;
}

bool tsdb_head_times_follow(struct tsdb_head_memory *memory, struct tsdb_head_times **part,
                            uint8_t *place, int64_t time_ms)
{
    struct tsdb_head_times *at = *part;
    if (*place < at->count) {
        if (at->items[*place] != time_ms)
            return false;
        ++*place;
        return true;
    }
    if (*place < at->capacity) {
        if (time_ms <= at->items[*place - 1])
            return false;
        at->items[at->count++] = time_ms;
        ++*place;
        return true;
    }
    if (at->next ? at->next->items[0] != time_ms : time_ms <= at->items[*place - 1])
        return false;
    if (!at->next) {
        unsigned capacity = at->capacity * 2u;
        at->next = make_part(
            memory, (uint16_t)(capacity < TSDB_HEAD_TIMES_MAX ? capacity : TSDB_HEAD_TIMES_MAX),
            time_ms);
    }
    *part = at->next;
    *place = 1;
    return true;
}

bool tsdb_head_times_join(struct tsdb_head_memory *memory, struct tsdb_head_times_hint *hint,
                          uint32_t series, int64_t time_ms, struct tsdb_head_times **ret_part,
                          uint8_t *ret_place)
{
    if (!hint->any || hint->time_ms != time_ms || hint->series == series)
        return false;
    struct tsdb_head_times *part = hint->shared;
    if (!part || part->items[part->count - 1] != time_ms)
        hint->shared = part = make_part(memory, FIRST_MAX, time_ms);
    *ret_part = part;
    *ret_place = (uint8_t)part->count;
    return true;
}

void tsdb_head_times_read(const struct tsdb_head_times *part, uint8_t place, int64_t *ret_times,
                          size_t count)
{
    for (size_t done = 0, here; done < count; done += here) {
        if (place == part->capacity) {
            part = part->next;
            place = 0;
        }
        here = (size_t)(part->capacity - place);
        here = here < count - done ? here : count - done;
        memcpy(ret_times + done, part->items + place, here * sizeof *ret_times);
        place = (uint8_t)(place + here);
    }
}
