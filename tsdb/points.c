/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/points.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct tsdb_point *tsdb_points_reserve(struct tsdb_points *points, size_t more)
{
    if (!points->items || points->count + more > points->capacity) {
        size_t capacity = points->capacity ? points->capacity * 2 : 64;
        while (capacity < points->count + more)
            capacity *= 2;
        points->items = realloc(points->items, capacity * sizeof *points->items);
        TW_ASSERT(points->items != NULL);
        points->capacity = capacity;
    }
    return points->items + points->count;
}

void tsdb_points_fini(struct tsdb_points *points)
{
    free(points->items);
    *points = (struct tsdb_points){0};
}

/* Stable merge sort of items; room has as many. */
static void sort(struct tsdb_point *items, size_t count, struct tsdb_point *room)
{
    if (count < 2)
        return;
    if (count <= 16) {
        for (size_t i = 1; i < count; i++) {
            struct tsdb_point point = items[i];
            size_t at = i;
            for (; at > 0 && items[at - 1].time_ms > point.time_ms; at--)
                items[at] = items[at - 1];
            items[at] = point;
        }
        return;
    }
    size_t half = count / 2;
    sort(items, half, room);
    sort(items + half, count - half, room);
    if (items[half - 1].time_ms <= items[half].time_ms)
        return;
    memcpy(room, items, half * sizeof *items);
    for (size_t left = 0, right = half, to = 0; left < half;)
        if (right < count && items[right].time_ms < room[left].time_ms)
            items[to++] = items[right++];
        else
            items[to++] = room[left++];
}

void tsdb_points_settle(struct tsdb_points *points)
{
    bool settled = true;
    for (size_t i = 1; i < points->count && settled; i++)
        settled = points->items[i - 1].time_ms < points->items[i].time_ms;
    if (settled)
        return;
    struct tsdb_point *room = malloc((points->count / 2 + 1) * sizeof *room);
    TW_ASSERT(room != NULL);
    sort(points->items, points->count, room);
    free(room);
    size_t kept = 0;
    for (size_t i = 0; i < points->count; i++) {
        struct tsdb_point *last = points->items + kept - 1;
        if (kept > 0 && last->time_ms == points->items[i].time_ms)
            last->bits = tsdb_point_winner(last->bits, points->items[i].bits);
        else
            points->items[kept++] = points->items[i];
    }
    points->count = kept;
}

void tsdb_points_merge(const struct tsdb_point *older, size_t older_count,
                       const struct tsdb_point *newer, size_t newer_count, struct tsdb_points *ret)
{
    ret->count = 0;
    struct tsdb_point *to = tsdb_points_reserve(ret, older_count + newer_count);
    size_t i = 0, j = 0, count = 0;
    while (i < older_count || j < newer_count) {
        if (j == newer_count || (i < older_count && older[i].time_ms < newer[j].time_ms)) {
            to[count++] = older[i++];
        } else if (i == older_count || newer[j].time_ms < older[i].time_ms) {
            to[count++] = newer[j++];
        } else {
            to[count] = newer[j];
            to[count++].bits = tsdb_point_winner(older[i++].bits, newer[j++].bits);
        }
    }
    ret->count = count;
}

size_t tsdb_points_find(const struct tsdb_point *items, size_t count, int64_t time_ms)
{
    size_t first = 0, limit = count;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (items[middle].time_ms < time_ms)
            first = middle + 1;
        else
            limit = middle;
    }
    return first;
}
