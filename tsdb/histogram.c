/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/histogram.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* ---- mixed points ---- */

void tsdb_mixed_fini(struct tsdb_mixed *mixed)
{
    free(mixed->items);
    *mixed = (struct tsdb_mixed){0};
}

struct tsdb_mixed_point *tsdb_mixed_reserve(struct tsdb_mixed *mixed, size_t more)
{
    if (!mixed->items || mixed->count + more > mixed->capacity) {
        size_t capacity = mixed->capacity ? mixed->capacity * 2 : 64;
        while (capacity < mixed->count + more)
            capacity *= 2;
        mixed->items = realloc(mixed->items, capacity * sizeof *mixed->items);
        TW_ASSERT(mixed->items != NULL);
        mixed->capacity = capacity;
    }
    return mixed->items + mixed->count;
}

void tsdb_mixed_append(struct tsdb_mixed *mixed, struct tsdb_mixed_point point)
{
    *tsdb_mixed_reserve(mixed, 1) = point;
    mixed->count++;
}

void tsdb_mixed_append_floats(struct tsdb_mixed *mixed, const struct tsdb_point *points,
                              size_t count)
{
    struct tsdb_mixed_point *to = tsdb_mixed_reserve(mixed, count);
    for (size_t i = 0; i < count; i++)
        to[i] = (struct tsdb_mixed_point){points[i].time_ms, points[i].bits, NULL};
    mixed->count += count;
}

void tsdb_mixed_append_column(struct tsdb_mixed *mixed, const struct tsdb_column *column)
{
    struct tsdb_mixed_point *to = tsdb_mixed_reserve(mixed, column->count);
    for (size_t i = 0; i < column->count; i++)
        to[i] = column->kind == TSDB_KIND_FLOAT
                    ? (struct tsdb_mixed_point){column->times_ms[i],
                                                tw_double_bits(column->values[i]), NULL}
                    : (struct tsdb_mixed_point){column->times_ms[i], 0, column->histograms[i]};
    mixed->count += column->count;
}

static unsigned rank(const struct tsdb_mixed_point *point)
{
    return point->histogram ? (wire_histogram_is_stale(point->histogram) ? 1 : 3)
                            : (point->bits == TW_STALE_BITS ? 0 : 2);
}

static const struct tsdb_mixed_point *winner(const struct tsdb_mixed_point *older,
                                             const struct tsdb_mixed_point *newer)
{
    return rank(newer) >= rank(older) ? newer : older;
}

/* Stable merge sort of items; room has half as many. */
static void sort(struct tsdb_mixed_point *items, size_t count, struct tsdb_mixed_point *room)
{
    if (count < 2)
        return;
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

void tsdb_mixed_settle(struct tsdb_mixed *mixed)
{
    bool settled = true;
    for (size_t i = 1; i < mixed->count && settled; i++)
        settled = mixed->items[i - 1].time_ms < mixed->items[i].time_ms;
    if (settled)
        return;
    struct tsdb_mixed_point *room = malloc((mixed->count / 2 + 1) * sizeof *room);
    TW_ASSERT(room != NULL);
    sort(mixed->items, mixed->count, room);
    free(room);
    size_t kept = 0;
    for (size_t i = 0; i < mixed->count; i++) {
        struct tsdb_mixed_point *last = mixed->items + kept - 1;
        if (kept > 0 && last->time_ms == mixed->items[i].time_ms)
            *last = *winner(last, &mixed->items[i]);
        else
            mixed->items[kept++] = mixed->items[i];
    }
    mixed->count = kept;
}

void tsdb_mixed_merge(const struct tsdb_mixed_point *older, size_t older_count,
                      const struct tsdb_mixed_point *newer, size_t newer_count,
                      struct tsdb_mixed *ret)
{
    ret->count = 0;
    struct tsdb_mixed_point *to = tsdb_mixed_reserve(ret, older_count + newer_count);
    size_t i = 0, j = 0, count = 0;
    while (i < older_count || j < newer_count) {
        if (j == newer_count || (i < older_count && older[i].time_ms < newer[j].time_ms))
            to[count++] = older[i++];
        else if (i == older_count || newer[j].time_ms < older[i].time_ms)
            to[count++] = newer[j++];
        else
            to[count++] = *winner(&older[i++], &newer[j++]);
    }
    ret->count = count;
}

size_t tsdb_mixed_find(const struct tsdb_mixed_point *items, size_t count, int64_t time_ms)
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

void tsdb_mixed_erase(struct tsdb_mixed *mixed, const struct tsdb_erasure *erasures,
                      size_t erasure_count, uint64_t run)
{
    if (mixed->count == 0 ||
        !tsdb_erasure_touches(erasures, erasure_count, run, mixed->items[0].time_ms,
                              mixed->items[mixed->count - 1].time_ms))
        return;
    size_t kept = 0;
    for (size_t i = 0; i < mixed->count; i++)
        if (!tsdb_erasure_has(erasures, erasure_count, run, mixed->items[i].time_ms))
            mixed->items[kept++] = mixed->items[i];
    mixed->count = kept;
}

void tsdb_mixed_columns_fini(struct tsdb_mixed_columns *columns)
{
    free(columns->times_ms);
    free(columns->values);
    free(columns->histograms);
    *columns = (struct tsdb_mixed_columns){0};
}

static void reserve_columns(struct tsdb_mixed_columns *columns, size_t count)
{
    if (count <= columns->capacity)
        return;
    tsdb_mixed_columns_fini(columns);
    columns->times_ms = malloc(count * sizeof *columns->times_ms);
    columns->values = malloc(count * sizeof *columns->values);
    columns->histograms = malloc(count * sizeof *columns->histograms);
    TW_ASSERT(columns->times_ms != NULL && columns->values != NULL && columns->histograms != NULL);
    columns->capacity = count;
}

size_t tsdb_mixed_columns_take(struct tsdb_mixed_columns *columns,
                               const struct tsdb_mixed_point *items, size_t count,
                               struct tsdb_column *ret_column)
{
    *ret_column = (struct tsdb_column){.kind = TSDB_KIND_FLOAT};
    if (count == 0)
        return 0;
    enum tsdb_kind kind = tsdb_mixed_kind(&items[0]);
    size_t taken = 1;
    while (taken < count && tsdb_mixed_kind(&items[taken]) == kind)
        taken++;
    reserve_columns(columns, count);
    for (size_t i = 0; i < taken; i++) {
        columns->times_ms[i] = items[i].time_ms;
        if (kind == TSDB_KIND_FLOAT)
            columns->values[i] = tw_double_from_bits(items[i].bits);
        else
            columns->histograms[i] = items[i].histogram;
    }
    ret_column->kind = kind;
    ret_column->count = taken;
    ret_column->times_ms = columns->times_ms;
    if (kind == TSDB_KIND_FLOAT)
        ret_column->values = columns->values;
    else
        ret_column->histograms = columns->histograms;
    return taken;
}

/* ---- the last one ---- */

void tsdb_histogram_last_fini(struct tsdb_histogram_last *last)
{
    free(last->histogram);
    *last = (struct tsdb_histogram_last){0};
}

static void *place(char **at, const void *items, size_t bytes)
{
    if (bytes == 0)
        return NULL;
    memcpy(*at, items, bytes);
    void *placed = *at;
    *at += bytes;
    return placed;
}

static size_t side_bytes(const struct wire_buckets *buckets)
{
    return buckets->span_count * sizeof *buckets->spans + buckets->count * sizeof *buckets->counts;
}

static void place_side(char **at, struct wire_buckets *buckets)
{
    buckets->counts = place(at, buckets->counts, buckets->count * sizeof *buckets->counts);
    buckets->spans = place(at, buckets->spans, buckets->span_count * sizeof *buckets->spans);
}

void tsdb_histogram_last_set(struct tsdb_histogram_last *last,
                             const struct wire_histogram *histogram)
{
    size_t bytes = sizeof *histogram + side_bytes(&histogram->positive) +
                   side_bytes(&histogram->negative) + histogram->custom_count * sizeof(double);
    if (bytes > last->bytes) {
        free(last->histogram);
        last->histogram = malloc(bytes);
        TW_ASSERT(last->histogram != NULL);
        last->bytes = bytes;
    }
    /* All parts are of 8 bytes each, so that what follows is aligned. */
    char *at = (char *)(last->histogram + 1);
    *last->histogram = *histogram;
    place_side(&at, &last->histogram->positive);
    place_side(&at, &last->histogram->negative);
    last->histogram->custom_values =
        place(&at, histogram->custom_values, histogram->custom_count * sizeof(double));
}

/* ---- layouts ---- */

static void append_spans(const struct wire_buckets *buckets, struct tw_buf *ret)
{
    tsdb_varint_append(ret, buckets->span_count);
    for (uint32_t i = 0; i < buckets->span_count; i++) {
        tsdb_varint_append(ret, tsdb_zigzag((uint64_t)(int64_t)buckets->spans[i].offset));
        tsdb_varint_append(ret, buckets->spans[i].length);
    }
}

void tsdb_histogram_layout_append(const struct wire_histogram *histogram, struct tw_buf *ret)
{
    tw_buf_append_char(ret, histogram->is_float ? 1 : 0);
    tsdb_varint_append(ret, tsdb_zigzag((uint64_t)(int64_t)histogram->schema));
    tsdb_append_u64(ret, tw_double_bits(histogram->zero_threshold));
    append_spans(&histogram->positive, ret);
    append_spans(&histogram->negative, ret);
    tsdb_varint_append(ret, histogram->custom_count);
    for (uint32_t i = 0; i < histogram->custom_count; i++)
        tsdb_append_u64(ret, tw_double_bits(histogram->custom_values[i]));
}

static bool read_spans(struct tsdb_reader *reader, struct tw_arena *arena, struct wire_buckets *ret)
{
    uint64_t span_count = tsdb_read_varint(reader), total = 0;
    if (!reader->ok || span_count > WIRE_HISTOGRAM_SPANS_MAX ||
        span_count > tsdb_reader_left(reader))
        return false;
    struct wire_span *spans = span_count ? tw_arena_alloc(arena, span_count * sizeof *spans) : NULL;
    for (uint64_t i = 0; i < span_count; i++) {
        int64_t offset = (int64_t)tsdb_unzigzag(tsdb_read_varint(reader));
        uint64_t length = tsdb_read_varint(reader);
        total += length;
        if (!reader->ok || offset < INT32_MIN || offset > INT32_MAX || (i > 0 && offset < 0) ||
            length > WIRE_HISTOGRAM_BUCKETS_MAX || total > WIRE_HISTOGRAM_BUCKETS_MAX)
            return false;
        spans[i] = (struct wire_span){(int32_t)offset, (uint32_t)length};
    }
    *ret = (struct wire_buckets){
        .spans = spans, .span_count = (uint32_t)span_count, .count = (uint32_t)total};
    return true;
}

bool tsdb_histogram_layout_read(struct tsdb_reader *reader, struct tw_arena *arena,
                                struct wire_histogram *ret)
{
    unsigned kind = tsdb_read_u8(reader);
    int64_t schema = (int64_t)tsdb_unzigzag(tsdb_read_varint(reader));
    *ret = (struct wire_histogram){.is_float = kind == 1,
                                   .schema = (int32_t)schema,
                                   .zero_threshold = tw_double_from_bits(tsdb_read_u64(reader))};
    bool known = schema == WIRE_HISTOGRAM_SCHEMA_CUSTOM ||
                 (schema >= WIRE_HISTOGRAM_SCHEMA_MIN && schema <= WIRE_HISTOGRAM_SCHEMA_MAX);
    if (!reader->ok || kind > 1 || !known || !read_spans(reader, arena, &ret->positive) ||
        !read_spans(reader, arena, &ret->negative))
        return false;
    uint64_t custom_count = tsdb_read_varint(reader);
    if (!reader->ok || custom_count > WIRE_HISTOGRAM_CUSTOM_MAX ||
        custom_count * sizeof(double) > tsdb_reader_left(reader))
        return false;
    double *values = custom_count ? tw_arena_alloc(arena, custom_count * sizeof *values) : NULL;
    for (uint64_t i = 0; i < custom_count; i++)
        values[i] = tw_double_from_bits(tsdb_read_u64(reader));
    ret->custom_values = values;
    ret->custom_count = (uint32_t)custom_count;
    return reader->ok;
}

/* ---- steps ---- */

enum {
    STEP_FULL = 1,
    STEP_HINT = 2,
    STEP_HINT_MASK = 6,
    STEP_START = 8,
    STEP_SUM = 16,
    STEP_ALL = 31
};

/* All counts of a histogram in one order: count, zero count, positive, negative. */
static union wire_count *count_at(struct wire_histogram *h, uint32_t at)
{
    if (at == 0)
        return &h->count;
    if (at == 1)
        return &h->zero_count;
    at -= 2;
    const struct wire_buckets *side = at < h->positive.count ? &h->positive : &h->negative;
    if (at >= h->positive.count)
        at -= h->positive.count;
    return (union wire_count *)(uintptr_t)&side->counts[at];
}

static uint64_t number_at(const struct wire_histogram *h, uint32_t at)
{
    return count_at((struct wire_histogram *)(uintptr_t)h, at)->integer;
}

static uint32_t total_counts(const struct wire_histogram *h)
{
    return 2 + h->positive.count + h->negative.count;
}

/* Those that changed, each behind the number of those before it that did not. */
static void append_counts(const struct wire_histogram *before, const struct wire_histogram *h,
                          struct tw_buf *ret)
{
    uint32_t total = total_counts(h), same = 0;
    for (uint32_t i = 0; i < total; i++) {
        uint64_t was = before ? number_at(before, i) : 0, is = number_at(h, i);
        if (was == is) {
            same++;
            continue;
        }
        tsdb_varint_append(ret, same);
        same = 0;
        if (h->is_float)
            tsdb_xor_append(ret, was ^ is);
        else
            tsdb_varint_append(ret, tsdb_zigzag(is - was));
    }
    if (same > 0)
        tsdb_varint_append(ret, same);
}

void tsdb_histogram_step_append(const struct wire_histogram *before, const struct wire_histogram *h,
                                struct tw_buf *ret)
{
    if (before && !wire_histogram_same_layout(before, h))
        before = NULL;
    uint64_t sum = tw_double_bits(h->sum) ^ (before ? tw_double_bits(before->sum) : 0);
    uint64_t start = (uint64_t)h->start_ms - (before ? (uint64_t)before->start_ms : 0);
    tw_buf_append_char(ret, (char)((before ? 0 : STEP_FULL) | h->reset_hint * STEP_HINT |
                                   (start ? STEP_START : 0) | (sum ? STEP_SUM : 0)));
    if (!before)
        tsdb_histogram_layout_append(h, ret);
    if (start)
        tsdb_varint_append(ret, tsdb_zigzag(start));
    if (sum)
        tsdb_xor_append(ret, sum);
    append_counts(before, h, ret);
}

bool tsdb_histogram_step_is_full(struct tw_str step)
{
    return step.size > 0 && (step.data[0] & STEP_FULL);
}

static bool read_counts(struct tsdb_reader *reader, struct wire_histogram *h)
{
    uint32_t total = total_counts(h);
    for (uint32_t at = 0; at < total;) {
        uint64_t same = tsdb_read_varint(reader);
        if (!reader->ok || same > total - at)
            return false;
        at += (uint32_t)same;
        if (at == total)
            return same > 0;
        union wire_count *count = count_at(h, at++);
        if (h->is_float)
            count->integer ^= tsdb_read_xor(reader);
        else
            count->integer += tsdb_unzigzag(tsdb_read_varint(reader));
    }
    return reader->ok;
}

static void own_counts(struct tw_arena *arena, struct wire_buckets *buckets)
{
    const union wire_count *from = buckets->counts;
    if (buckets->count == 0)
        return;
    union wire_count *counts = TW_ARENA_ARRAY(arena, union wire_count, buckets->count);
    if (from)
        memcpy(counts, from, buckets->count * sizeof *counts);
    buckets->counts = counts;
}

struct wire_histogram *tsdb_histogram_step_read(struct tw_str step,
                                                const struct wire_histogram *before,
                                                int64_t time_ms, struct tw_arena *arena)
{
    struct tsdb_reader reader = tsdb_reader(step);
    unsigned flags = tsdb_read_u8(&reader);
    struct wire_histogram h;
    if (!reader.ok || (flags & ~(unsigned)STEP_ALL) != 0)
        return NULL;
    if (flags & STEP_FULL) {
        if (!tsdb_histogram_layout_read(&reader, arena, &h))
            return NULL;
    } else if (before) {
        h = *before;
    } else {
        return NULL;
    }
    h.time_ms = time_ms;
    h.reset_hint = (enum wire_reset_hint)((flags & STEP_HINT_MASK) / STEP_HINT);
    if (flags & STEP_START)
        h.start_ms = (int64_t)((uint64_t)h.start_ms + tsdb_unzigzag(tsdb_read_varint(&reader)));
    if (flags & STEP_SUM)
        h.sum = tw_double_from_bits(tw_double_bits(h.sum) ^ tsdb_read_xor(&reader));
    own_counts(arena, &h.positive);
    own_counts(arena, &h.negative);
    if (!read_counts(&reader, &h) || !reader.ok || tsdb_reader_left(&reader) > 0)
        return NULL;
    struct wire_histogram *ret = tw_arena_alloc(arena, sizeof *ret);
    *ret = h;
    return ret;
}
