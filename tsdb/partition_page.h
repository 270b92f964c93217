/* SPDX-License-Identifier: Apache-2.0
 *
 * partition_page: the pages of a partition's index as bytes, encode and decode side by side:
 * strings, series, postings (docs/format/partition.md). All are columns of numbers, one kind of
 * thing after the other, so that what is alike in neighbours costs next to nothing; strings are
 * compressed.
 *
 * Decoding takes any bytes: false for what no encoder makes.
 *
 * Threads: plain data.
 */
#ifndef TW_TSDB_PARTITION_PAGE_H
#define TW_TSDB_PARTITION_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "tsdb/codec.h"

#define TSDB_PAGE_STRINGS_MAX 4096
#define TSDB_PAGE_SERIES_MAX 1024
#define TSDB_PAGE_IDS_MAX 16384

/* Columns of numbers, as times, with their size in front. */
void tsdb_numbers_append(struct tw_buf *ret, const int64_t *numbers, size_t count);
bool tsdb_numbers_read(struct tsdb_reader *reader, int64_t *ret_numbers, size_t count);

/* ---- strings ---- */
void tsdb_strings_encode(const struct tw_str *items, size_t count, struct tw_buf *ret);
/* In the arena. */
bool tsdb_strings_decode(struct tw_str page, struct tw_arena *arena, struct tw_str **ret_items,
                         size_t *ret_count);

/* ---- series ---- */
/* Series i has the labels [offsets[i], offsets[i + 1]) of names and values: ids of strings. */
struct tsdb_series_page {
    size_t count;
    uint32_t offsets[TSDB_PAGE_SERIES_MAX + 1];
    uint32_t *names, *values;
    size_t capacity;
};
void tsdb_series_page_fini(struct tsdb_series_page *page); /* zero is an empty page */
void tsdb_series_page_clear(struct tsdb_series_page *page);
void tsdb_series_page_add(struct tsdb_series_page *page, const uint32_t *names,
                          const uint32_t *values, size_t label_count);
void tsdb_series_page_encode(const struct tsdb_series_page *page, size_t count,
                             struct tw_buf *ret); /* the first count of it */
bool tsdb_series_page_decode(struct tw_str bytes, struct tsdb_series_page *ret);

/* ---- postings of one name ---- */
/* One value, and a series that has it. */
struct tsdb_posting {
    uint32_t hash, value, series;
};
/* Sorted by hash, value, series. */
void tsdb_postings_encode(const struct tsdb_posting *items, size_t count, struct tw_buf *ret);
/* ret_items holds TSDB_PAGE_IDS_MAX. */
bool tsdb_postings_decode(struct tw_str page, struct tsdb_posting *ret_items, size_t *ret_count);

#endif
