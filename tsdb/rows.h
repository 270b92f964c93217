/* SPDX-License-Identifier: Apache-2.0
 *
 * rows: an array that grows without ever moving what it holds: parts of doubling size, zeroed,
 * taken from the system when they are first needed. So a row's address may be kept, a row that was
 * published may be read without the lock under which others are added, growing copies nothing, and
 * rows that were never written cost no memory, whatever their number.
 *
 * Threads: tsdb_rows_make by one at a time; a row may be read by whoever learned of it under a
 * lock (or another release and acquire) after it was made.
 */
#ifndef TW_TSDB_ROWS_H
#define TW_TSDB_ROWS_H

#include <stddef.h>
#include <stdint.h>

#define TSDB_ROWS_FIRST_BITS 6 /* the first part holds 64 rows */
#define TSDB_ROWS_FIRST ((uint64_t)1 << TSDB_ROWS_FIRST_BITS)
#define TSDB_ROWS_PARTS 27 /* enough for 2^32 rows */

/* Zero is an empty one. */
struct tsdb_rows {
    char *parts[TSDB_ROWS_PARTS];
};

/* Makes the part that holds the row, if it is not there. */
void tsdb_rows_make_part(struct tsdb_rows *rows, unsigned part, size_t row_bytes);
void tsdb_rows_fini(struct tsdb_rows *rows, size_t row_bytes);

static inline unsigned tsdb_rows_part(uint32_t row)
{
    return 63u - TSDB_ROWS_FIRST_BITS - (unsigned)__builtin_clzll(row + TSDB_ROWS_FIRST);
}

/* Rows from this one to the end of its part: they follow each other in memory. */
static inline uint64_t tsdb_rows_left(uint32_t row)
{
    return (TSDB_ROWS_FIRST << (tsdb_rows_part(row) + 1)) - (row + TSDB_ROWS_FIRST);
}

/* A row whose part was made. */
static inline void *tsdb_rows_at(const struct tsdb_rows *rows, uint32_t row, size_t row_bytes)
{
    unsigned part = tsdb_rows_part(row);
    return rows->parts[part] + (row + TSDB_ROWS_FIRST - (TSDB_ROWS_FIRST << part)) * row_bytes;
}

static inline void *tsdb_rows_make(struct tsdb_rows *rows, uint32_t row, size_t row_bytes)
{
    unsigned part = tsdb_rows_part(row);
    if (!rows->parts[part])
        tsdb_rows_make_part(rows, part, row_bytes);
    return tsdb_rows_at(rows, row, row_bytes);
}

/* NULL when its part was never made; else a row that is zero if it was never written. */
static inline void *tsdb_rows_get(const struct tsdb_rows *rows, uint32_t row, size_t row_bytes)
{
    return rows->parts[tsdb_rows_part(row)] ? tsdb_rows_at(rows, row, row_bytes) : NULL;
}

/* ---- bits, one a row ---- */

/* Zero is an empty set. */
struct tsdb_bits {
    uint64_t *words;
    size_t word_count;
    uint32_t count; /* of those that are set */
};

static inline int tsdb_bits_test(const struct tsdb_bits *bits, uint32_t bit)
{
    return bit / 64 < bits->word_count && (bits->words[bit / 64] >> (bit % 64) & 1);
}

/* False when it was set already. */
int tsdb_bits_set(struct tsdb_bits *bits, uint32_t bit);
void tsdb_bits_fini(struct tsdb_bits *bits);

#endif
