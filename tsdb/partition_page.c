/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/partition_page.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/labels.h"
#include "wire/zstd.h"

#define PAGE_BYTES_MAX ((size_t)1 << 28)
#define STRINGS_PLAIN 0
#define STRINGS_ZSTD 1
#define ZSTD_LEVEL 1
/* Compression must save this share to be worth the time of every reader. */
#define ZSTD_GAIN_PERCENT 5

/* ---- numbers ---- */

void tsdb_numbers_append(struct tw_buf *ret, const int64_t *numbers, size_t count)
{
    struct tw_buf encoded;
    tw_buf_init(&encoded, PAGE_BYTES_MAX);
    tsdb_codec_encode_times(numbers, count, &encoded);
    tsdb_varint_append(ret, encoded.size);
    tw_buf_append_str(ret, tw_buf_str(&encoded));
    tw_buf_fini(&encoded);
}

bool tsdb_numbers_read(struct tsdb_reader *reader, int64_t *ret_numbers, size_t count)
{
    struct tw_str bytes = tsdb_read_bytes(reader, tsdb_read_varint(reader));
    return reader->ok && tsdb_codec_decode_times(bytes, ret_numbers, count);
}

static bool are_ids(const int64_t *numbers, size_t count)
{
    bool fine = true;
    for (size_t i = 0; i < count; i++)
        fine &= numbers[i] >= 0 && numbers[i] <= UINT32_MAX;
    return fine;
}

/* ---- strings ---- */

void tsdb_strings_encode(const struct tw_str *items, size_t count, struct tw_buf *ret)
{
    TW_ASSERT(count <= TSDB_PAGE_STRINGS_MAX);
    int64_t sizes[TSDB_PAGE_STRINGS_MAX];
    struct tw_buf plain, packed;
    tw_buf_init(&plain, PAGE_BYTES_MAX);
    tw_buf_init(&packed, 2 * PAGE_BYTES_MAX);
    tsdb_varint_append(&plain, count);
    for (size_t i = 0; i < count; i++)
        sizes[i] = (int64_t)items[i].size;
    tsdb_numbers_append(&plain, sizes, count);
    for (size_t i = 0; i < count; i++)
        tw_buf_append_str(&plain, items[i]);
    wire_zstd_encode(tw_buf_str(&plain), ZSTD_LEVEL, &packed);
    bool smaller = !packed.overflow && packed.size * 100 <= plain.size * (100 - ZSTD_GAIN_PERCENT);
    tw_buf_append_char(ret, smaller ? STRINGS_ZSTD : STRINGS_PLAIN);
    tw_buf_append_str(ret, tw_buf_str(smaller ? &packed : &plain));
    tw_buf_fini(&plain);
    tw_buf_fini(&packed);
}

static bool split_strings(struct tw_str plain, struct tw_arena *arena, struct tw_str **ret_items,
                          size_t *ret_count)
{
    struct tsdb_reader reader = tsdb_reader(plain);
    int64_t sizes[TSDB_PAGE_STRINGS_MAX];
    uint64_t count = tsdb_read_varint(&reader);
    if (!reader.ok || count > TSDB_PAGE_STRINGS_MAX || !tsdb_numbers_read(&reader, sizes, count))
        return false;
    struct tw_str text = tw_arena_str(arena, tsdb_read_bytes(&reader, tsdb_reader_left(&reader)));
    struct tw_str *items = TW_ARENA_ARRAY(arena, struct tw_str, count ? count : 1);
    size_t at = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (sizes[i] < 0 || (uint64_t)sizes[i] > text.size - at)
            return false;
        items[i] = (struct tw_str){text.data + at, (size_t)sizes[i]};
        at += (size_t)sizes[i];
    }
    *ret_items = items;
    *ret_count = (size_t)count;
    return at == text.size;
}

bool tsdb_strings_decode(struct tw_str page, struct tw_arena *arena, struct tw_str **ret_items,
                         size_t *ret_count)
{
    if (page.size == 0)
        return false;
    struct tw_str rest = tw_str_slice(page, 1, page.size);
    if (page.data[0] == STRINGS_PLAIN)
        return split_strings(rest, arena, ret_items, ret_count);
    if (page.data[0] != STRINGS_ZSTD)
        return false;
    struct tw_buf plain;
    struct tw_err err;
    tw_buf_init(&plain, PAGE_BYTES_MAX);
    bool fine = wire_zstd_decode(rest, PAGE_BYTES_MAX, &plain, &err) == TW_OK &&
                split_strings(tw_buf_str(&plain), arena, ret_items, ret_count);
    tw_buf_fini(&plain);
    return fine;
}

/* ---- series ---- */

void tsdb_series_page_fini(struct tsdb_series_page *page)
{
    free(page->names);
    free(page->values);
    *page = (struct tsdb_series_page){0};
}

void tsdb_series_page_clear(struct tsdb_series_page *page)
{
    page->count = 0;
    page->offsets[0] = 0;
}

static void reserve(struct tsdb_series_page *page, size_t count)
{
    if (count <= page->capacity)
        return;
    page->capacity = count * 2;
    page->names = realloc(page->names, page->capacity * sizeof *page->names);
    page->values = realloc(page->values, page->capacity * sizeof *page->values);
    TW_ASSERT(page->names != NULL && page->values != NULL);
}

void tsdb_series_page_add(struct tsdb_series_page *page, const uint32_t *names,
                          const uint32_t *values, size_t label_count)
{
    TW_ASSERT(page->count < TSDB_PAGE_SERIES_MAX);
    uint32_t at = page->offsets[page->count];
    reserve(page, at + label_count);
    if (label_count) {
        memcpy(page->names + at, names, label_count * sizeof *names);
        memcpy(page->values + at, values, label_count * sizeof *values);
    }
    page->offsets[++page->count] = at + (uint32_t)label_count;
}

static size_t label_count(const struct tsdb_series_page *page, size_t i)
{
    return page->offsets[i + 1] - page->offsets[i];
}

static size_t most_labels(const struct tsdb_series_page *page, size_t count)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++)
        most = label_count(page, i) > most ? label_count(page, i) : most;
    return most;
}

/* The ids at one place of all label sets that are so long. */
static void append_place(const struct tsdb_series_page *page, size_t count, const uint32_t *ids,
                         size_t place, struct tw_buf *ret)
{
    int64_t numbers[TSDB_PAGE_SERIES_MAX];
    size_t number_count = 0;
    for (size_t i = 0; i < count; i++)
        if (label_count(page, i) > place)
            numbers[number_count++] = ids[page->offsets[i] + place];
    tsdb_numbers_append(ret, numbers, number_count);
}

void tsdb_series_page_encode(const struct tsdb_series_page *page, size_t count, struct tw_buf *ret)
{
    TW_ASSERT(count <= page->count);
    int64_t numbers[TSDB_PAGE_SERIES_MAX];
    tsdb_varint_append(ret, count);
    for (size_t i = 0; i < count; i++)
        numbers[i] = (int64_t)label_count(page, i);
    tsdb_numbers_append(ret, numbers, count);
    for (size_t place = 0, most = most_labels(page, count); place < most; place++) {
        append_place(page, count, page->names, place, ret);
        append_place(page, count, page->values, place, ret);
    }
}

static bool read_place(struct tsdb_reader *reader, struct tsdb_series_page *page, uint32_t *ids,
                       size_t place)
{
    int64_t numbers[TSDB_PAGE_SERIES_MAX];
    size_t number_count = 0;
    for (size_t i = 0; i < page->count; i++)
        number_count += label_count(page, i) > place;
    if (!tsdb_numbers_read(reader, numbers, number_count) || !are_ids(numbers, number_count))
        return false;
    for (size_t i = 0, at = 0; i < page->count; i++)
        if (label_count(page, i) > place)
            ids[page->offsets[i] + place] = (uint32_t)numbers[at++];
    return true;
}

bool tsdb_series_page_decode(struct tw_str bytes, struct tsdb_series_page *ret)
{
    struct tsdb_reader reader = tsdb_reader(bytes);
    int64_t numbers[TSDB_PAGE_SERIES_MAX];
    uint64_t count = tsdb_read_varint(&reader);
    tsdb_series_page_clear(ret);
    if (!reader.ok || count > TSDB_PAGE_SERIES_MAX || !tsdb_numbers_read(&reader, numbers, count))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (numbers[i] < 0 || numbers[i] > WIRE_LABELS_COUNT_MAX)
            return false;
        ret->offsets[i + 1] = ret->offsets[i] + (uint32_t)numbers[i];
    }
    ret->count = (size_t)count;
    reserve(ret, ret->offsets[count]);
    for (size_t place = 0, most = most_labels(ret, count); place < most; place++)
        if (!read_place(&reader, ret, ret->names, place) ||
            !read_place(&reader, ret, ret->values, place))
            return false;
    return reader.ok && tsdb_reader_left(&reader) == 0;
}

/* ---- postings ---- */

/* Values of a page: how many series each has, and which; the ids of a list after its first are
 * differences, less one. */
struct lists {
    int64_t *hashes, *values, *counts, *firsts; /* one array */
    int64_t *steps;
    size_t count, step_count;
};

/* Room for so many lists; a page has few or many, and the room for most would be pages of memory
 * to be mapped for each. */
static void lists_init(struct lists *lists, size_t count)
{
    *lists = (struct lists){.hashes = malloc((4 * count + 1) * sizeof(int64_t))};
    TW_ASSERT(lists->hashes != NULL);
    lists->values = lists->hashes + count;
    lists->counts = lists->values + count;
    lists->firsts = lists->counts + count;
}

static void lists_reserve_steps(struct lists *lists, size_t count)
{
    lists->steps = malloc((count + 1) * sizeof(int64_t));
    TW_ASSERT(lists->steps != NULL);
}

static void lists_fini(struct lists *lists)
{
    free(lists->hashes);
    free(lists->steps);
}

void tsdb_postings_encode(const struct tsdb_posting *items, size_t count, struct tw_buf *ret)
{
    TW_ASSERT(count <= TSDB_PAGE_IDS_MAX);
    struct lists lists;
    lists_init(&lists, count);
    lists_reserve_steps(&lists, count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && items[i].value == items[i - 1].value) {
            lists.steps[lists.step_count++] = items[i].series - items[i - 1].series - 1;
            lists.counts[lists.count - 1]++;
            continue;
        }
        lists.hashes[lists.count] = items[i].hash;
        lists.values[lists.count] = items[i].value;
        lists.firsts[lists.count] = items[i].series;
        lists.counts[lists.count++] = 1;
    }
    tsdb_varint_append(ret, lists.count);
    tsdb_numbers_append(ret, lists.hashes, lists.count);
    tsdb_numbers_append(ret, lists.values, lists.count);
    tsdb_numbers_append(ret, lists.counts, lists.count);
    tsdb_numbers_append(ret, lists.firsts, lists.count);
    tsdb_numbers_append(ret, lists.steps, lists.step_count);
    lists_fini(&lists);
}

static bool read_lists(struct tsdb_reader *reader, struct lists *lists)
{
    uint64_t count = tsdb_read_varint(reader);
    if (!reader->ok || count == 0 || count > TSDB_PAGE_IDS_MAX)
        return false;
    lists_init(lists, (size_t)count);
    if (!tsdb_numbers_read(reader, lists->hashes, count) ||
        !tsdb_numbers_read(reader, lists->values, count) ||
        !tsdb_numbers_read(reader, lists->counts, count) ||
        !tsdb_numbers_read(reader, lists->firsts, count) || !are_ids(lists->hashes, count) ||
        !are_ids(lists->values, count) || !are_ids(lists->firsts, count))
        return false;
    lists->count = (size_t)count;
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (lists->counts[i] < 1 || lists->counts[i] > TSDB_PAGE_IDS_MAX)
            return false;
        if (i > 0 &&
            (lists->hashes[i] < lists->hashes[i - 1] || lists->values[i] == lists->values[i - 1] ||
             (lists->hashes[i] == lists->hashes[i - 1] && lists->values[i] < lists->values[i - 1])))
            return false;
        total += (size_t)lists->counts[i];
    }
    if (total > TSDB_PAGE_IDS_MAX)
        return false;
    lists->step_count = total - lists->count;
    lists_reserve_steps(lists, lists->step_count);
    return tsdb_numbers_read(reader, lists->steps, lists->step_count) &&
           are_ids(lists->steps, lists->step_count) && tsdb_reader_left(reader) == 0;
}

bool tsdb_postings_decode(struct tw_str page, struct tsdb_posting *ret_items, size_t *ret_count)
{
    struct tsdb_reader reader = tsdb_reader(page);
    struct lists lists = {0};
    bool fine = read_lists(&reader, &lists);
    size_t count = 0, step = 0;
    for (size_t i = 0; fine && i < lists.count; i++) {
        uint64_t series = (uint64_t)lists.firsts[i];
        for (int64_t j = 0; fine && j < lists.counts[i]; j++) {
            series += j ? (uint64_t)lists.steps[step++] + 1 : 0;
            fine = series <= UINT32_MAX;
            ret_items[count++] = (struct tsdb_posting){(uint32_t)lists.hashes[i],
                                                       (uint32_t)lists.values[i], (uint32_t)series};
        }
    }
    *ret_count = count;
    lists_fini(&lists);
    return fine;
}
