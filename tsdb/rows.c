/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/rows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"

/* Parts of this size and more come straight from the system: pages that are never touched are never
 * there, and all of it goes back at once. */
#define MAPPED_BYTES_MIN ((size_t)256 << 10)

static size_t part_bytes(unsigned part, size_t row_bytes)
{
    return (size_t)(TSDB_ROWS_FIRST << part) * row_bytes;
}

void tsdb_rows_make_part(struct tsdb_rows *rows, unsigned part, size_t row_bytes)
{
    TW_ASSERT(part < TSDB_ROWS_PARTS && !rows->parts[part]);
    size_t bytes = part_bytes(part, row_bytes);
    void *made = bytes < MAPPED_BYTES_MIN
                     ? calloc(1, bytes)
                     : mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    TW_ASSERT(made != NULL && made != MAP_FAILED);
    rows->parts[part] = made;
}

void tsdb_rows_fini(struct tsdb_rows *rows, size_t row_bytes)
{
    for (unsigned part = 0; part < TSDB_ROWS_PARTS; part++) {
        size_t bytes = part_bytes(part, row_bytes);
        if (rows->parts[part] && bytes >= MAPPED_BYTES_MIN)
            munmap(rows->parts[part], bytes);
        else
            free(rows->parts[part]);
    }
    memset(rows, 0, sizeof *rows);
}

int tsdb_bits_set(struct tsdb_bits *bits, uint32_t bit)
{
    size_t word = bit / 64;
    if (word >= bits->word_count) {
        size_t wider = bits->word_count ? bits->word_count * 2 : 16;
        while (wider <= word)
            wider *= 2;
        bits->words = realloc(bits->words, wider * sizeof *bits->words);
        TW_ASSERT(bits->words != NULL);
        memset(bits->words + bits->word_count, 0, (wider - bits->word_count) * sizeof *bits->words);
        bits->word_count = wider;
    }
    uint64_t mask = UINT64_C(1) << (bit % 64);
    if (bits->words[word] & mask)
        return 0;
    bits->words[word] |= mask;
    bits->count++;
    return 1;
}

void tsdb_bits_fini(struct tsdb_bits *bits)
{
    free(bits->words);
    *bits = (struct tsdb_bits){0};
}
