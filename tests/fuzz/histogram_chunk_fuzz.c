/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/fuzz/histogram_chunk_fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/histogram_chunk.h"

static bool same_point(const struct tsdb_mixed_point *a, const struct tsdb_mixed_point *b)
{
    if (!a->histogram || !b->histogram)
        return !a->histogram && !b->histogram && a->bits == b->bits;
    return wire_histogram_equal(a->histogram, b->histogram);
}

static void check_chunk(struct tw_str bytes, size_t count, struct tw_arena *arena)
{
    int64_t times[256];
    for (size_t i = 0; i < count; i++)
        times[i] = (int64_t)i * 1000;
    struct tsdb_mixed points = {0}, again = {0};
    struct tw_buf encoded;
    tw_buf_init(&encoded, (size_t)1 << 28);
    if (tsdb_histogram_chunk_decode(bytes, times, count, arena, &points)) {
        TW_ASSERT(points.count == count);
        tsdb_histogram_chunk_encode(points.items, count, &encoded);
        TW_ASSERT(tsdb_histogram_chunk_decode(tw_buf_str(&encoded), times, count, arena, &again));
        for (size_t i = 0; i < count; i++)
            TW_ASSERT(same_point(&points.items[i], &again.items[i]));
    }
    tw_buf_fini(&encoded);
    tsdb_mixed_fini(&points);
    tsdb_mixed_fini(&again);
}

static void check_step(struct tw_str bytes, struct tw_arena *arena)
{
    const struct wire_histogram *histogram = tsdb_histogram_step_read(bytes, NULL, 7, arena);
    if (!histogram)
        return;
    struct tw_buf encoded;
    tw_buf_init(&encoded, (size_t)1 << 28);
    tsdb_histogram_step_append(NULL, histogram, &encoded);
    const struct wire_histogram *again =
        tsdb_histogram_step_read(tw_buf_str(&encoded), NULL, 7, arena);
    TW_ASSERT(again != NULL && wire_histogram_equal(histogram, again));
    tw_buf_fini(&encoded);
}

void histogram_chunk_fuzz(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return;
    /* A copy of exactly this size, so that the sanitizer sees a read past the end. */
    char *copy = malloc(size);
    TW_ASSERT(copy != NULL);
    memcpy(copy, bytes + 1, size - 1);
    struct tw_arena *arena = tw_arena_new(4096);
    check_chunk((struct tw_str){copy, size - 1}, bytes[0], arena);
    check_step((struct tw_str){copy, size - 1}, arena);
    tw_arena_free(arena);
    free(copy);
}
