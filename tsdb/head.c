/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/head.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/rows.h"

#define HEAD_MAGIC 0x7e5d4eadu
/* Chunks that a late sample is looked for in. */
#define LATE_CHUNKS_MAX 4
/* Late samples are packed anew with the newest chunk while that has no more than these. */
#define LATE_SAMPLES_MAX 128
/* A series whose times were not those of the others so often has its own from then on. */
#define STRIKES_MAX 3

/* Zero: no sample yet. tail.used: it has been written to; tail.unordered: not always in ascending
 * time. */
struct series {
    struct tsdb_head_chunk *newest;
    struct tsdb_head_tail tail;
};

struct tsdb_head {
    unsigned magic;
    atomic_uint references;
    uint64_t number;
    struct tsdb_index *index;
    struct tsdb_head_memory memory; /* tails, times and chunks */
    struct tsdb_head_times_hint hint;
    struct tsdb_rows series;
    uint32_t series_limit;
    size_t series_count;
    struct tsdb_histogram_head *histograms; /* NULL until the first one comes */
    struct tw_buf scratch;
    struct tsdb_head_column column, room; /* what is packed; what was packed before */
    struct tsdb_points gathered;          /* what is sorted */
    uint64_t sample_count;
    int64_t first_ms, last_ms;
};

/* ---- life ---- */

static struct tsdb_head *new_with(uint64_t number, struct tsdb_index *index)
{
    struct tsdb_head *head = calloc(1, sizeof *head);
    TW_ASSERT(head != NULL);
    head->magic = HEAD_MAGIC;
    head->number = number;
    atomic_init(&head->references, 1);
    head->index = index;
    tsdb_head_memory_init(&head->memory);
    head->first_ms = INT64_MAX;
    head->last_ms = INT64_MIN;
    tw_buf_init(&head->scratch, (size_t)1 << 20);
    return head;
}

struct tsdb_head *tsdb_head_new(uint64_t number)
{
    return new_with(number, tsdb_index_new_numbered(number));
}

struct tsdb_head *tsdb_head_new_sharing(uint64_t number, struct tsdb_index *index)
{
    tsdb_index_ref(index);
    return new_with(number, index);
}

void tsdb_head_ref(struct tsdb_head *head)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    atomic_fetch_add_explicit(&head->references, 1, memory_order_relaxed);
}

void tsdb_head_unref(struct tsdb_head *head)
{
    if (!head)
        return;
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    if (atomic_fetch_sub_explicit(&head->references, 1, memory_order_acq_rel) != 1)
        return;
    tsdb_histogram_head_free(head->histograms);
    tsdb_index_free(head->index);
    tsdb_head_memory_fini(&head->memory);
    tsdb_rows_fini(&head->series, sizeof(struct series));
    tw_buf_fini(&head->scratch);
    tsdb_points_fini(&head->gathered);
    head->magic = 0;
    free(head);
}

uint64_t tsdb_head_number(const struct tsdb_head *head)
{
    return head->number;
}

struct tsdb_index *tsdb_head_index(struct tsdb_head *head)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    return head->index;
}

uint64_t tsdb_head_sample_count(const struct tsdb_head *head)
{
    return head->sample_count;
}

size_t tsdb_head_bytes(const struct tsdb_head *head)
{
    return tw_arena_bytes(head->memory.arena) + head->series_count * sizeof(struct series) +
           tsdb_histogram_head_bytes(head->histograms);
}

size_t tsdb_head_series_count(const struct tsdb_head *head)
{
    return head->series_count;
}

uint32_t tsdb_head_series_limit(const struct tsdb_head *head)
{
    return head->series_limit;
}

bool tsdb_head_range(const struct tsdb_head *head, int64_t *ret_first_ms, int64_t *ret_last_ms)
{
    if (head->sample_count == 0)
        return false;
    *ret_first_ms = head->first_ms;
    *ret_last_ms = head->last_ms;
    return true;
}

/* ---- series ---- */

uint32_t tsdb_head_add_series(struct tsdb_head *head, struct wire_labels labels, uint64_t hash)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    return tsdb_index_append(head->index, labels, hash);
}

/* NULL without samples. */
static const struct series *find_series(const struct tsdb_head *head, uint32_t id)
{
    const struct series *series = tsdb_rows_get(&head->series, id, sizeof *series);
    return series && series->tail.used ? series : NULL;
}

static struct series *make_series(struct tsdb_head *head, uint32_t id)
{
    struct series *series = tsdb_rows_make(&head->series, id, sizeof *series);
    if (!series->tail.used) {
        TW_ASSERT(tsdb_index_has(head->index, id));
        series->tail.used = true;
        series->tail.last_ms = INT64_MIN;
        head->series_count++;
        if (id >= head->series_limit)
            head->series_limit = id + 1;
    }
    return series;
}

/* ---- packing ---- */

/* A view may still read a chunk that was replaced; then its memory goes with the head. Views are
 * taken under the lock that we are under, by those who have a reference. */
static void drop_chunk(struct tsdb_head *head, const struct tsdb_head_chunk *chunk)
{
    if (atomic_load_explicit(&head->references, memory_order_acquire) == 1)
        tsdb_head_chunk_drop(&head->memory, chunk);
}

static void close_newest(struct tsdb_head *head, struct series *series)
{
    struct tsdb_head_chunk *open = series->newest;
    series->newest = tsdb_head_chunk_close(&head->memory, open, &head->room, &head->scratch);
    drop_chunk(head, open);
}

/* head->column, into the newest chunk or a new one. */
static void pack_column(struct tsdb_head *head, struct series *series)
{
    struct tsdb_head_chunk *newest = series->newest, *same = NULL;
    if (newest && newest->open) {
        if (newest->shared == head->column.shared)
            same = tsdb_head_chunk_add(&head->memory, newest, &head->column, &head->room,
                                       &head->scratch);
        if (!same)
            close_newest(head, series);
        else if (same != newest)
            drop_chunk(head, newest);
    }
    series->newest =
        same ? same
             : tsdb_head_chunk_new(&head->memory, &head->column, series->newest, &head->scratch);
}

static void read_tail(struct tsdb_head *head, const struct series *series)
{
    const struct tsdb_head_tail_view view = tsdb_head_tail_view(&series->tail, series->tail.bytes);
    struct tsdb_head_column *column = &head->column;
    tsdb_head_tail_read(&view, column->times, column->values);
    column->count = view.count;
    column->shared = view.shared;
    if (!view.shared)
        return;
    column->part = tsdb_head_tail_part(&view);
    column->place = view.first_place;
}

static void append_points(struct tsdb_points *ret, const int64_t *times, const uint64_t *values,
                          size_t count)
{
    struct tsdb_point *to = tsdb_points_reserve(ret, count);
    for (size_t i = 0; i < count; i++)
        to[i] = (struct tsdb_point){times[i], values[i]};
    ret->count += count;
}

/* Whether head->column goes behind what is packed already as it is. */
static bool is_in_order(const struct tsdb_head *head, const struct series *series)
{
    const struct tsdb_head_column *column = &head->column;
    bool ascends = !series->newest || series->newest->extent.last_ms < column->times[0];
    for (size_t i = 1; i < column->count; i++)
        ascends &= column->times[i - 1] < column->times[i];
    return ascends;
}

/* head->column with late samples in it: settled, together with the newest chunk while that is
 * small. */
static void pack_late(struct tsdb_head *head, struct series *series)
{
    struct tsdb_head_column *column = &head->column, *room = &head->room;
    struct tsdb_head_chunk *newest = series->newest;
    bool together = newest && newest->extent.count <= LATE_SAMPLES_MAX;
    head->gathered.count = 0;
    if (together) {
        tsdb_head_chunk_read(newest, newest->extent, room->times, room->values);
        append_points(&head->gathered, room->times, room->values, newest->extent.count);
        series->newest = (struct tsdb_head_chunk *)(uintptr_t)newest->older;
    } else if (newest && newest->open) {
        close_newest(head, series);
    }
    append_points(&head->gathered, column->times, column->values, column->count);
    tsdb_points_settle(&head->gathered);
    column->count = head->gathered.count;
    column->shared = false;
    for (size_t i = 0; i < column->count; i++) {
        column->times[i] = head->gathered.items[i].time_ms;
        column->values[i] = head->gathered.items[i].bits;
    }
    series->newest = tsdb_head_chunk_new(&head->memory, column, series->newest, &head->scratch);
    if (together)
        drop_chunk(head, newest);
}

static void pack_tail(struct tsdb_head *head, struct series *series)
{
    read_tail(head, series);
    if (!series->tail.unordered || is_in_order(head, series))
        pack_column(head, series);
    else
        pack_late(head, series);
    tsdb_head_tail_clear(&series->tail);
}

/* ---- appending ---- */

static enum tsdb_head_arrival judge(uint64_t there, uint64_t bits)
{
    return there == bits ? TSDB_ARRIVED_DUPLICATE : TSDB_ARRIVED_OVERWRITING;
}

/* What a sample that is not newer than the newest is. */
static enum tsdb_head_arrival judge_late(struct tsdb_head *head, const struct series *series,
                                         int64_t time_ms, uint64_t bits)
{
    struct tsdb_head_column *column = &head->column;
    read_tail(head, series);
    for (size_t i = column->count; i-- > 0;)
        if (column->times[i] == time_ms)
            return judge(column->values[i], bits);
    int looked = 0;
    for (const struct tsdb_head_chunk *chunk = series->newest; chunk && looked < LATE_CHUNKS_MAX;
         chunk = chunk->older, looked++) {
        if (time_ms > chunk->extent.last_ms || time_ms < tsdb_head_chunk_first_ms(chunk))
            continue;
        tsdb_head_chunk_read(chunk, chunk->extent, column->times, column->values);
        for (size_t i = chunk->extent.count; i-- > 0 && column->times[i] >= time_ms;)
            if (column->times[i] == time_ms)
                return judge(column->values[i], bits);
    }
    return TSDB_ARRIVED_LATE;
}

/* With times of its own from now on, or from the next tail on. */
static void put(struct tsdb_head *head, struct series *series, int64_t time_ms, uint64_t bits)
{
    struct tsdb_head_tail *tail = &series->tail;
    if (tail->count > 0) {
        if (tsdb_head_tail_add(tail, &head->memory, time_ms, bits))
            return;
        pack_tail(head, series);
    }
    tsdb_head_tail_begin(tail, &head->memory, time_ms, bits);
}

/* What is in a tail that shares its times gets its own. */
static void unshare(struct tsdb_head *head, struct series *series)
{
    int64_t times[TSDB_HEAD_TAIL_SAMPLES_MAX];
    uint64_t values[TSDB_HEAD_TAIL_SAMPLES_MAX];
    struct tsdb_head_tail *tail = &series->tail;
    const struct tsdb_head_tail_view view = tsdb_head_tail_view(tail, tail->bytes);
    tsdb_head_tail_read(&view, times, values);
    tsdb_head_tail_clear(tail);
    tail->last_ms = times[0];
    tail->last_bits = values[0];
    for (size_t i = 0; i < view.count; i++)
        put(head, series, times[i], values[i]);
    if (tail->strikes < STRIKES_MAX)
        tail->strikes++;
}

static void begin_tail(struct tsdb_head *head, struct series *series, uint32_t id, int64_t time_ms,
                       uint64_t bits)
{
    struct tsdb_head_tail *tail = &series->tail;
    struct tsdb_head_times *part;
    uint8_t place;
    if (time_ms < tail->last_ms || tail->strikes == STRIKES_MAX ||
        !tsdb_head_times_join(&head->memory, &head->hint, id, time_ms, &part, &place)) {
        tsdb_head_tail_begin(tail, &head->memory, time_ms, bits);
        return;
    }
    if (series->newest && series->newest->open) /* these times do not follow what it has */
        close_newest(head, series);
    tsdb_head_tail_begin_shared(tail, &head->memory, part, place, time_ms, bits);
}

static void put_anyhow(struct tsdb_head *head, struct series *series, uint32_t id, int64_t time_ms,
                       uint64_t bits)
{
    struct tsdb_head_tail *tail = &series->tail;
    if (tail->count == 0) {
        begin_tail(head, series, id, time_ms, bits);
        return;
    }
    if (!tail->shared) {
        if (tsdb_head_tail_add(tail, &head->memory, time_ms, bits))
            return;
        pack_tail(head, series);
        begin_tail(head, series, id, time_ms, bits);
        return;
    }
    if (!tsdb_head_times_follow(&head->memory, &tail->part, &tail->place, time_ms)) {
        unshare(head, series);
        put(head, series, time_ms, bits);
        return;
    }
    if (tsdb_head_tail_add(tail, &head->memory, time_ms, bits))
        return;
    pack_tail(head, series);
    tsdb_head_tail_begin_shared(tail, &head->memory, tail->part, tail->place, time_ms, bits);
}

void tsdb_head_expect(const struct tsdb_head *head, uint32_t id, uint32_t later)
{
    __builtin_prefetch(tsdb_rows_get(&head->series, later, sizeof(struct series)), 1);
    const struct series *series = tsdb_rows_get(&head->series, id, sizeof *series);
    if (series && series->tail.bytes)
        __builtin_prefetch(series->tail.bytes + series->tail.size, 1);
}

enum tsdb_head_arrival tsdb_head_append(struct tsdb_head *head, uint32_t id, int64_t time_ms,
                                        uint64_t bits)
{
    struct series *series = make_series(head, id);
    struct tsdb_head_tail *tail = &series->tail;
    enum tsdb_head_arrival arrival = TSDB_ARRIVED_NEWEST;
    head->sample_count++;
    if (tail->class == 0) {
        tail->last_ms = time_ms;
    } else if (time_ms <= tail->last_ms) {
        arrival = judge_late(head, series, time_ms, bits);
        if (arrival == TSDB_ARRIVED_DUPLICATE)
            return arrival; /* it is there */
        tail->unordered = true;
    }
    put_anyhow(head, series, id, time_ms, bits);
    if (tail->shared)
        head->hint.shared = tail->part;
    head->hint.time_ms = time_ms;
    head->hint.series = id;
    head->hint.any = true;
    head->first_ms = time_ms < head->first_ms ? time_ms : head->first_ms;
    head->last_ms = time_ms > head->last_ms ? time_ms : head->last_ms;
    return arrival;
}

/* ---- histograms ---- */

static struct tsdb_histogram_head *histograms_of(struct tsdb_head *head)
{
    if (!head->histograms)
        head->histograms = tsdb_histogram_head_new();
    return head->histograms;
}

void tsdb_head_log_histogram(struct tsdb_head *head, uint32_t series,
                             const struct wire_histogram *histogram, struct tw_buf *ret_step)
{
    tsdb_histogram_head_log(histograms_of(head), series, histogram, ret_step);
}

void tsdb_head_append_histogram(struct tsdb_head *head, uint32_t series, int64_t time_ms,
                                struct tw_str step)
{
    (void)make_series(head, series); /* it is one of the head's */
    tsdb_histogram_head_append(histograms_of(head), series, time_ms, step);
    head->first_ms = time_ms < head->first_ms ? time_ms : head->first_ms;
    head->last_ms = time_ms > head->last_ms ? time_ms : head->last_ms;
    head->sample_count++;
}

bool tsdb_head_replay_histogram(struct tsdb_head *head, uint32_t series, int64_t time_ms,
                                struct tw_str step)
{
    if (!tsdb_histogram_head_replay(histograms_of(head), series, time_ms, step))
        return false;
    tsdb_head_append_histogram(head, series, time_ms, step);
    return true;
}

/* ---- views ---- */

int64_t tsdb_head_last_ms(const struct tsdb_head *head, uint32_t id)
{
    const struct series *series = find_series(head, id);
    if (!series)
        return INT64_MIN;
    if (!head->histograms)
        return series->tail.last_ms;
    int64_t histograms_ms = tsdb_histogram_head_view(head->histograms, id).last_ms;
    return series->tail.last_ms > histograms_ms ? series->tail.last_ms : histograms_ms;
}

void tsdb_head_fetch(const struct tsdb_head *head, uint32_t id, uint32_t later)
{
    __builtin_prefetch(tsdb_rows_get(&head->series, later, sizeof(struct series)));
    const struct series *series = tsdb_rows_get(&head->series, id, sizeof *series);
    if (!series)
        return;
    for (size_t at = 0; at < series->tail.size; at += 64)
        __builtin_prefetch(series->tail.bytes + at);
    if (series->newest)
        __builtin_prefetch(series->newest);
}

struct tsdb_head_view tsdb_head_view(const struct tsdb_head *head, uint32_t id, void *room)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    const struct series *series = find_series(head, id);
    if (!series)
        return (struct tsdb_head_view){.ordered = true, .last_ms = INT64_MIN};
    const struct tsdb_head_tail *tail = &series->tail;
    tsdb_head_tail_copy(tail, room);
    struct tsdb_histogram_view histograms = tsdb_histogram_head_view(head->histograms, id);
    struct tsdb_head_view view = {
        .newest = series->newest,
        .tail = tsdb_head_tail_view(tail, room),
        .ordered = !tail->unordered,
        .last_ms = tail->last_ms > histograms.last_ms ? tail->last_ms : histograms.last_ms,
        .histograms = histograms};
    if (series->newest)
        view.extent = series->newest->extent;
    return view;
}

/* Those that overlap the range, oldest first; free() the array. */
static const struct tsdb_head_chunk **
list_chunks(const struct tsdb_head_view *view, int64_t start_ms, int64_t end_ms, size_t *ret_count)
{
    size_t count = 0, capacity = 0;
    const struct tsdb_head_chunk **chunks = NULL;
    for (const struct tsdb_head_chunk *chunk = view->newest; chunk; chunk = chunk->older) {
        bool is_before = tsdb_head_view_extent(view, chunk).last_ms < start_ms;
        if (is_before && view->ordered)
            break;
        if (is_before || tsdb_head_chunk_first_ms(chunk) > end_ms)
            continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            chunks = realloc(chunks, capacity * sizeof *chunks);
            TW_ASSERT(chunks != NULL);
        }
        chunks[count++] = chunk;
    }
    *ret_count = count;
    return chunks;
}

void tsdb_head_view_points(const struct tsdb_head_view *view, int64_t start_ms, int64_t end_ms,
                           struct tsdb_points *ret)
{
    int64_t times[TSDB_HEAD_CHUNK_MAX];
    uint64_t values[TSDB_HEAD_CHUNK_MAX];
    ret->count = 0;
    size_t chunk_count;
    const struct tsdb_head_chunk **chunks = list_chunks(view, start_ms, end_ms, &chunk_count);
    while (chunk_count-- > 0) {
        struct tsdb_head_extent extent = tsdb_head_view_extent(view, chunks[chunk_count]);
        tsdb_head_chunk_read(chunks[chunk_count], extent, times, values);
        append_points(ret, times, values, extent.count);
    }
    free(chunks);
    tsdb_head_tail_read(&view->tail, times, values);
    append_points(ret, times, values, view->tail.count);
    if (!view->ordered)
        tsdb_points_settle(ret);
    size_t first = tsdb_points_find(ret->items, ret->count, start_ms);
    size_t limit =
        end_ms == INT64_MAX ? ret->count : tsdb_points_find(ret->items, ret->count, end_ms + 1);
    if (first > 0 && limit > first)
        memmove(ret->items, ret->items + first, (limit - first) * sizeof *ret->items);
    ret->count = limit > first ? limit - first : 0;
}
