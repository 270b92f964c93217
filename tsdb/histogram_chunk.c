/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/histogram_chunk.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define CHUNK_BYTES_MAX ((size_t)1 << 30)
#define FLOAT_LAYOUT 0 /* layout number of plain numbers; histograms' begin at 1 */

enum tsdb_kind tsdb_histogram_chunk_kind(const struct tsdb_mixed_point *points, size_t count)
{
    enum tsdb_kind kind = TSDB_KIND_FLOAT;
    for (size_t i = 0; i < count; i++) {
        if (points[i].histogram && !points[i].histogram->is_float)
            return TSDB_KIND_HISTOGRAM;
        if (points[i].histogram)
            kind = TSDB_KIND_FLOAT_HISTOGRAM;
    }
    return kind;
}

/* The points of each layout, in order of time: items[starts[l]] ... items[starts[l + 1]]. */
struct members {
    size_t *items, *starts;
};

static void members_fini(struct members *members)
{
    free(members->items);
    free(members->starts);
}

/* layout_of is below layout_count + 1 for each point. */
static void members_init(struct members *members, const uint64_t *layout_of, size_t count,
                         size_t layout_count)
{
    members->items = malloc((count + 1) * sizeof *members->items);
    members->starts = calloc(layout_count + 3, sizeof *members->starts);
    TW_ASSERT(members->items != NULL && members->starts != NULL);
    for (size_t i = 0; i < count; i++)
        members->starts[layout_of[i] + 2]++;
    for (size_t i = 2; i < layout_count + 3; i++)
        members->starts[i] += members->starts[i - 1];
    for (size_t i = 0; i < count; i++)
        members->items[members->starts[layout_of[i] + 1]++] = i;
}

/* ---- encoding ---- */

struct encoder {
    const struct tsdb_mixed_point *points;
    size_t count;
    struct tw_buf *ret;
    struct tw_buf column;
    uint64_t *layout_of;                   /* each point's layout number */
    const struct wire_histogram **layouts; /* first histogram of each */
    uint32_t layout_count;                 /* without FLOAT_LAYOUT */
    struct members members;
    uint64_t *numbers; /* one column before it is encoded */
};

static void find_layouts(struct encoder *encoder)
{
    for (size_t i = 0; i < encoder->count; i++) {
        const struct wire_histogram *histogram = encoder->points[i].histogram;
        encoder->layout_of[i] = FLOAT_LAYOUT;
        if (!histogram)
            continue;
        /* Mostly the one before. */
        uint64_t before = i > 0 ? encoder->layout_of[i - 1] : FLOAT_LAYOUT;
        uint32_t at = before != FLOAT_LAYOUT ? (uint32_t)before - 1 : 0;
        if (at >= encoder->layout_count ||
            !wire_histogram_same_layout(encoder->layouts[at], histogram))
            for (at = 0; at < encoder->layout_count; at++)
                if (wire_histogram_same_layout(encoder->layouts[at], histogram))
                    break;
        if (at == encoder->layout_count)
            encoder->layouts[encoder->layout_count++] = histogram;
        encoder->layout_of[i] = at + 1;
    }
}

/* A column with its size in front. */
static void put_column(struct encoder *encoder, size_t count, bool integers)
{
    tw_buf_clear(&encoder->column);
    if (integers)
        tsdb_codec_encode_times((const int64_t *)(const void *)encoder->numbers, count,
                                &encoder->column);
    else
        tsdb_codec_encode_values(encoder->numbers, count, &encoder->column);
    TW_ASSERT(!encoder->column.overflow);
    tsdb_varint_append(encoder->ret, encoder->column.size);
    tw_buf_append_str(encoder->ret, tw_buf_str(&encoder->column));
}

/* numbers as (number, how many) until all are covered. */
static void put_lengths(struct encoder *encoder, size_t count)
{
    for (size_t i = 0; i < count;) {
        size_t limit = i + 1;
        while (limit < count && encoder->numbers[limit] == encoder->numbers[i])
            limit++;
        tsdb_varint_append(encoder->ret, encoder->numbers[i]);
        tsdb_varint_append(encoder->ret, limit - i);
        i = limit;
    }
}

static void put_common(struct encoder *encoder)
{
    for (size_t i = 0; i < encoder->count; i++)
        encoder->numbers[i] = encoder->layout_of[i];
    put_lengths(encoder, encoder->count);
    for (size_t i = 0; i < encoder->count; i++) {
        const struct tsdb_mixed_point *point = &encoder->points[i];
        encoder->numbers[i] =
            point->histogram ? tw_double_bits(point->histogram->sum) : point->bits;
    }
    put_column(encoder, encoder->count, false);
    size_t count = 0;
    for (size_t i = 0; i < encoder->count; i++)
        if (encoder->points[i].histogram)
            encoder->numbers[count++] = encoder->points[i].histogram->reset_hint;
    put_lengths(encoder, count);
    count = 0;
    for (size_t i = 0; i < encoder->count; i++)
        if (encoder->points[i].histogram)
            encoder->numbers[count++] = (uint64_t)encoder->points[i].histogram->start_ms;
    put_column(encoder, count, true);
}

static uint64_t number_of(const struct wire_histogram *h, uint32_t column)
{
    if (column == 0)
        return h->count.integer;
    if (column == 1)
        return h->zero_count.integer;
    column -= 2;
    return column < h->positive.count ? h->positive.counts[column].integer
                                      : h->negative.counts[column - h->positive.count].integer;
}

static uint32_t columns_of(const struct wire_histogram *h)
{
    return 2 + h->positive.count + h->negative.count;
}

static void put_counts(struct encoder *encoder, uint32_t layout)
{
    const struct wire_histogram *first = encoder->layouts[layout];
    const size_t *starts = encoder->members.starts + layout + 1;
    const size_t *items = encoder->members.items + starts[0];
    size_t count = starts[1] - starts[0];
    for (uint32_t column = 0; column < columns_of(first); column++) {
        for (size_t i = 0; i < count; i++)
            encoder->numbers[i] = number_of(encoder->points[items[i]].histogram, column);
        put_column(encoder, count, !first->is_float);
    }
}

void tsdb_histogram_chunk_encode(const struct tsdb_mixed_point *points, size_t count,
                                 struct tw_buf *ret)
{
    struct encoder encoder = {.points = points, .count = count, .ret = ret};
    encoder.layout_of = malloc((count + 1) * sizeof *encoder.layout_of);
    encoder.layouts = malloc((count + 1) * sizeof *encoder.layouts);
    encoder.numbers = malloc((count + 1) * sizeof *encoder.numbers);
    TW_ASSERT(encoder.layout_of != NULL && encoder.layouts != NULL && encoder.numbers != NULL);
    tw_buf_init(&encoder.column, CHUNK_BYTES_MAX);
    find_layouts(&encoder);
    members_init(&encoder.members, encoder.layout_of, count, encoder.layout_count);
    tsdb_varint_append(ret, encoder.layout_count);
    for (uint32_t i = 0; i < encoder.layout_count; i++)
        tsdb_histogram_layout_append(encoder.layouts[i], ret);
    put_common(&encoder);
    for (uint32_t i = 0; i < encoder.layout_count; i++)
        put_counts(&encoder, i);
    tw_buf_fini(&encoder.column);
    members_fini(&encoder.members);
    free(encoder.layout_of);
    free(encoder.layouts);
    free(encoder.numbers);
}

/* ---- decoding ---- */

struct decoder {
    struct tsdb_reader reader;
    struct tw_arena *arena;
    size_t count;
    struct wire_histogram *layouts;
    uint64_t layout_count;
    struct wire_histogram **histograms; /* by point; NULL for numbers */
    uint64_t *layout_of, *numbers;
    struct members members;
    struct tsdb_mixed_point *points;
};

static bool take_column(struct decoder *decoder, size_t count, bool integers)
{
    struct tw_str bytes = tsdb_read_bytes(&decoder->reader, tsdb_read_varint(&decoder->reader));
    if (!decoder->reader.ok)
        return false;
    return integers ? tsdb_codec_decode_times(bytes, (int64_t *)(void *)decoder->numbers, count)
                    : tsdb_codec_decode_values(bytes, decoder->numbers, count);
}

static bool take_lengths(struct decoder *decoder, uint64_t *ret, size_t count, uint64_t limit)
{
    for (size_t i = 0; i < count;) {
        uint64_t number = tsdb_read_varint(&decoder->reader);
        uint64_t length = tsdb_read_varint(&decoder->reader);
        if (!decoder->reader.ok || number > limit || length == 0 || length > count - i)
            return false;
        for (uint64_t j = 0; j < length; j++)
            ret[i++] = number;
    }
    return true;
}

static bool take_layouts(struct decoder *decoder)
{
    decoder->layout_count = tsdb_read_varint(&decoder->reader);
    if (!decoder->reader.ok || decoder->layout_count > decoder->count ||
        decoder->layout_count > tsdb_reader_left(&decoder->reader))
        return false;
    decoder->layouts =
        TW_ARENA_ARRAY(decoder->arena, struct wire_histogram, decoder->layout_count + 1);
    for (uint64_t i = 0; i < decoder->layout_count; i++)
        if (!tsdb_histogram_layout_read(&decoder->reader, decoder->arena, &decoder->layouts[i]))
            return false;
    return true;
}

/* What all points have: layout, sum; and all histograms: hint, start. */
static bool take_common(struct decoder *decoder, const int64_t *times_ms)
{
    size_t count = decoder->count, histogram_count = 0;
    if (!take_lengths(decoder, decoder->layout_of, count, decoder->layout_count) ||
        !take_column(decoder, count, false))
        return false;
    for (size_t i = 0; i < count; i++)
        histogram_count += decoder->layout_of[i] != FLOAT_LAYOUT;
    struct wire_histogram *histograms =
        TW_ARENA_ARRAY(decoder->arena, struct wire_histogram, histogram_count + 1);
    for (size_t i = 0, at = 0; i < count; i++) {
        decoder->points[i] = (struct tsdb_mixed_point){times_ms[i], decoder->numbers[i], NULL};
        decoder->histograms[i] = NULL;
        if (decoder->layout_of[i] == FLOAT_LAYOUT)
            continue;
        struct wire_histogram *histogram = &histograms[at++];
        *histogram = decoder->layouts[decoder->layout_of[i] - 1];
        histogram->time_ms = times_ms[i];
        histogram->sum = tw_double_from_bits(decoder->numbers[i]);
        decoder->histograms[i] = histogram;
        decoder->points[i].bits = 0;
        decoder->points[i].histogram = histogram;
    }
    if (!take_lengths(decoder, decoder->numbers, histogram_count, WIRE_RESET_GAUGE))
        return false;
    for (size_t i = 0; i < histogram_count; i++)
        histograms[i].reset_hint = (enum wire_reset_hint)decoder->numbers[i];
    if (!take_column(decoder, histogram_count, true))
        return false;
    for (size_t i = 0; i < histogram_count; i++)
        histograms[i].start_ms = (int64_t)decoder->numbers[i];
    return true;
}

static void put_number(struct wire_histogram *h, uint32_t column, uint64_t number)
{
    if (column == 0) {
        h->count.integer = number;
        return;
    }
    if (column == 1) {
        h->zero_count.integer = number;
        return;
    }
    column -= 2;
    const union wire_count *count = column < h->positive.count
                                        ? &h->positive.counts[column]
                                        : &h->negative.counts[column - h->positive.count];
    ((union wire_count *)(uintptr_t)count)->integer = number; /* ours, made below */
}

static bool take_counts(struct decoder *decoder, uint64_t layout)
{
    const struct wire_histogram *first = &decoder->layouts[layout];
    uint32_t columns = columns_of(first);
    /* Each column has its size byte and at least a codec byte when there are samples. */
    if (columns > tsdb_reader_left(&decoder->reader))
        return false;
    const size_t *starts = decoder->members.starts + layout + 1;
    const size_t *items = decoder->members.items + starts[0];
    size_t count = starts[1] - starts[0];
    for (size_t i = 0; i < count; i++) {
        struct wire_histogram *h = decoder->histograms[items[i]];
        if (h->positive.count)
            h->positive.counts =
                TW_ARENA_ARRAY(decoder->arena, union wire_count, h->positive.count);
        if (h->negative.count)
            h->negative.counts =
                TW_ARENA_ARRAY(decoder->arena, union wire_count, h->negative.count);
    }
    for (uint32_t column = 0; column < columns; column++) {
        if (!take_column(decoder, count, !first->is_float))
            return false;
        for (size_t i = 0; i < count; i++)
            put_number(decoder->histograms[items[i]], column, decoder->numbers[i]);
    }
    return true;
}

static bool decode(struct decoder *decoder, const int64_t *times_ms)
{
    if (!take_layouts(decoder) || !take_common(decoder, times_ms))
        return false;
    members_init(&decoder->members, decoder->layout_of, decoder->count, decoder->layout_count);
    for (uint64_t i = 0; i < decoder->layout_count; i++)
        if (!take_counts(decoder, i))
            return false;
    return tsdb_reader_left(&decoder->reader) == 0;
}

bool tsdb_histogram_chunk_decode(struct tw_str bytes, const int64_t *times_ms, size_t count,
                                 struct tw_arena *arena, struct tsdb_mixed *ret)
{
    struct decoder decoder = {.reader = tsdb_reader(bytes), .arena = arena, .count = count};
    decoder.histograms = malloc((count + 1) * sizeof *decoder.histograms);
    decoder.layout_of = malloc((count + 1) * sizeof *decoder.layout_of);
    decoder.numbers = malloc((count + 1) * sizeof *decoder.numbers);
    TW_ASSERT(decoder.histograms != NULL && decoder.layout_of != NULL && decoder.numbers != NULL);
    decoder.points = tsdb_mixed_reserve(ret, count);
    bool good = decode(&decoder, times_ms);
    members_fini(&decoder.members);
    free(decoder.histograms);
    free(decoder.layout_of);
    free(decoder.numbers);
    ret->count += good ? count : 0;
    return good;
}
