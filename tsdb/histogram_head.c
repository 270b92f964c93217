/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/histogram_head.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

#define SLOTS_MIN 64
/* A full step at least this often: what reading one sample may have to go through. */
#define FULL_EVERY 64

struct tsdb_histogram_step {
    const struct tsdb_histogram_step *older;
    int64_t time_ms;
    uint32_t size;
    char bytes[];
};

struct series {
    uint32_t series;
    uint32_t since_full; /* logged since the last full step */
    struct tsdb_histogram_last last;
    const struct tsdb_histogram_step *newest;
    int64_t last_ms;
    bool unordered;
};

struct tsdb_histogram_head {
    struct tw_arena *steps, *scratch;
    struct series *series;
    size_t count, capacity;
    uint32_t *slots; /* index in series + 1, by hash of the id */
    size_t slot_mask;
    size_t last_bytes;
};

struct tsdb_histogram_head *tsdb_histogram_head_new(void)
{
    struct tsdb_histogram_head *head = calloc(1, sizeof *head);
    TW_ASSERT(head != NULL);
    head->steps = tw_arena_new(4096);
    head->scratch = tw_arena_new(4096);
    return head;
}

struct tsdb_histogram_head *tsdb_histogram_head_free(struct tsdb_histogram_head *head)
{
    if (!head)
        return NULL;
    for (size_t i = 0; i < head->count; i++)
        tsdb_histogram_last_fini(&head->series[i].last);
    tw_arena_free(head->steps);
    tw_arena_free(head->scratch);
    free(head->series);
    free(head->slots);
    free(head);
    return NULL;
}

size_t tsdb_histogram_head_bytes(const struct tsdb_histogram_head *head)
{
    return head ? tw_arena_bytes(head->steps) + tw_arena_bytes(head->scratch) +
                      head->capacity * sizeof *head->series + head->last_bytes +
                      (head->slots ? (head->slot_mask + 1) * sizeof *head->slots : 0)
                : 0;
}

static size_t slot_of(const struct tsdb_histogram_head *head, uint32_t series)
{
    size_t at = tw_hash64(&series, sizeof series) & head->slot_mask;
    while (head->slots[at] && head->series[head->slots[at] - 1].series != series)
        at = (at + 1) & head->slot_mask;
    return at;
}

static void rehash(struct tsdb_histogram_head *head)
{
    size_t slots = head->slots ? (head->slot_mask + 1) * 2 : SLOTS_MIN;
    free(head->slots);
    head->slots = calloc(slots, sizeof *head->slots);
    TW_ASSERT(head->slots != NULL);
    head->slot_mask = slots - 1;
    for (size_t i = 0; i < head->count; i++)
        head->slots[slot_of(head, head->series[i].series)] = (uint32_t)i + 1;
}

static struct series *find(const struct tsdb_histogram_head *head, uint32_t series)
{
    uint32_t index = head->slots ? head->slots[slot_of(head, series)] : 0;
    return index ? &head->series[index - 1] : NULL;
}

static struct series *find_or_add(struct tsdb_histogram_head *head, uint32_t id)
{
    struct series *series = find(head, id);
    if (series)
        return series;
    if (head->count == head->capacity) {
        head->capacity = head->capacity ? head->capacity * 2 : SLOTS_MIN / 2;
        head->series = realloc(head->series, head->capacity * sizeof *head->series);
        TW_ASSERT(head->series != NULL);
        rehash(head);
    }
    head->series[head->count] = (struct series){.series = id, .last_ms = INT64_MIN};
    head->slots[slot_of(head, id)] = (uint32_t)head->count + 1;
    return &head->series[head->count++];
}

static void remember(struct tsdb_histogram_head *head, struct series *series,
                     const struct wire_histogram *histogram, bool full)
{
    size_t before = series->last.bytes;
    tsdb_histogram_last_set(&series->last, histogram);
    head->last_bytes += series->last.bytes - before;
    series->since_full = full ? 0 : series->since_full + 1;
}

void tsdb_histogram_head_log(struct tsdb_histogram_head *head, uint32_t id,
                             const struct wire_histogram *histogram, struct tw_buf *ret)
{
    struct series *series = find_or_add(head, id);
    size_t at = ret->size;
    tsdb_histogram_step_append(series->since_full + 1 < FULL_EVERY ? series->last.histogram : NULL,
                               histogram, ret);
    remember(head, series, histogram,
             tsdb_histogram_step_is_full(tw_str_slice(tw_buf_str(ret), at, ret->size)));
}

bool tsdb_histogram_head_replay(struct tsdb_histogram_head *head, uint32_t id, int64_t time_ms,
                                struct tw_str step)
{
    struct series *series = find_or_add(head, id);
    const struct wire_histogram *histogram =
        tsdb_histogram_step_read(step, series->last.histogram, time_ms, head->scratch);
    if (histogram)
        remember(head, series, histogram, tsdb_histogram_step_is_full(step));
    tw_arena_reset(head->scratch);
    return histogram != NULL;
}

void tsdb_histogram_head_append(struct tsdb_histogram_head *head, uint32_t id, int64_t time_ms,
                                struct tw_str step)
{
    struct series *series = find_or_add(head, id);
    struct tsdb_histogram_step *to = tw_arena_alloc(head->steps, sizeof *to + step.size);
    *to = (struct tsdb_histogram_step){series->newest, time_ms, (uint32_t)step.size};
    memcpy(to->bytes, step.data, step.size);
    series->newest = to;
    if (time_ms > series->last_ms)
        series->last_ms = time_ms;
    else
        series->unordered = true;
}

/* ---- reading ---- */

struct tsdb_histogram_view tsdb_histogram_head_view(const struct tsdb_histogram_head *head,
                                                    uint32_t id)
{
    const struct series *series = head ? find(head, id) : NULL;
    if (!series)
        return (struct tsdb_histogram_view){.last_ms = INT64_MIN, .ordered = true};
    return (struct tsdb_histogram_view){series->newest, series->last_ms, !series->unordered};
}

static struct tw_str bytes_of(const struct tsdb_histogram_step *step)
{
    return (struct tw_str){step->bytes, step->size};
}

void tsdb_histogram_view_read(const struct tsdb_histogram_view *view, int64_t start_ms,
                              int64_t end_ms, struct tw_arena *arena, struct tsdb_mixed *ret)
{
    if (!view->newest || view->last_ms < start_ms)
        return;
    const struct tsdb_histogram_step **steps = NULL;
    size_t count = 0, capacity = 0;
    for (const struct tsdb_histogram_step *step = view->newest; step; step = step->older) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            steps = realloc(steps, capacity * sizeof *steps);
            TW_ASSERT(steps != NULL);
        }
        steps[count++] = step;
        /* In order of time nothing before a full step below the range is of use. */
        if (view->ordered && step->time_ms <= start_ms &&
            tsdb_histogram_step_is_full(bytes_of(step)))
            break;
    }
    const struct wire_histogram *histogram = NULL;
    while (count-- > 0) {
        const struct tsdb_histogram_step *step = steps[count];
        histogram = tsdb_histogram_step_read(bytes_of(step), histogram, step->time_ms, arena);
        TW_ASSERT(histogram != NULL); /* written by this process, or checked at replay */
        if (step->time_ms >= start_ms && step->time_ms <= end_ms)
            tsdb_mixed_append(ret, (struct tsdb_mixed_point){step->time_ms, 0, histogram});
    }
    free(steps);
    tsdb_mixed_settle(ret);
}
