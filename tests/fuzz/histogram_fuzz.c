/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/fuzz/histogram_fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/exemplar.h"
#include "wire/histogram.h"

static void check_side(const struct wire_buckets *buckets)
{
    struct wire_walk walk = wire_buckets_walk(buckets);
    uint32_t seen = 0;
    for (int64_t before = INT64_MIN; wire_walk_next(&walk); before = walk.bucket, seen++)
        TW_ASSERT(walk.bucket > before);
    TW_ASSERT(seen == buckets->count);
}

static void check_histogram(struct tw_str message, struct tw_arena *arena)
{
    struct tw_err err = {.message = ""};
    struct wire_histogram histogram, again;
    if (wire_histogram_decode(message, arena, &histogram, &err) != TW_OK) {
        TW_ASSERT(err.message[0] != '\0');
        return;
    }
    TW_ASSERT(wire_histogram_check(&histogram, &err) == TW_OK);
    check_side(&histogram.positive);
    check_side(&histogram.negative);
    struct tw_buf bytes;
    tw_buf_init(&bytes, (size_t)1 << 24);
    wire_histogram_encode(&histogram, &bytes);
    TW_ASSERT(wire_histogram_decode(tw_buf_str(&bytes), arena, &again, &err) == TW_OK);
    TW_ASSERT(wire_histogram_equal(&histogram, &again));
    tw_buf_fini(&bytes);
}

static void check_exemplar(struct tw_str message, struct tw_arena *arena)
{
    struct tw_err err = {.message = ""};
    struct wire_exemplar exemplar, again;
    const struct tw_str symbols[] = {TW_STR_INIT(""), TW_STR_INIT("a"), TW_STR_INIT("b")};
    (void)(wire_exemplar_decode_v2(message, symbols, 3, arena, &exemplar, &err) == TW_OK);
    if (wire_exemplar_decode(message, arena, &exemplar, &err) != TW_OK) {
        TW_ASSERT(err.message[0] != '\0');
        return;
    }
    struct tw_buf bytes;
    tw_buf_init(&bytes, (size_t)1 << 24);
    wire_exemplar_encode(&exemplar, &bytes);
    TW_ASSERT(wire_exemplar_decode(tw_buf_str(&bytes), arena, &again, &err) == TW_OK);
    TW_ASSERT(wire_exemplar_equal(&exemplar, &again));
    tw_buf_fini(&bytes);
}

void histogram_fuzz(const uint8_t *bytes, size_t size)
{
    /* A copy of exactly this size, so that the sanitizer sees a read past the end. */
    char *copy = malloc(size > 0 ? size : 1);
    TW_ASSERT(copy != NULL);
    memcpy(copy, bytes, size);
    struct tw_arena *arena = tw_arena_new(4096);
    check_histogram((struct tw_str){copy, size}, arena);
    check_exemplar((struct tw_str){copy, size}, arena);
    tw_arena_free(arena);
    free(copy);
}
