/* SPDX-License-Identifier: Apache-2.0
 *
 * page_fuzz: the pages and records of a store that store_fuzz does not make, given any bytes: pages
 * of a partition's index (strings, series, postings), buckets, exemplars, tombstones. The first
 * byte of an input chooses, the rest is the page. What is accepted reads the same when it is
 * written and read again.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"
#include "tests/fuzz/replay.h"
#include "tsdb/buckets.h"
#include "tsdb/exemplar_ring.h"
#include "tsdb/partition_page.h"
#include "tsdb/tombstones.h"

#define PAGE_BYTES_MAX ((size_t)1 << 26)

static void fuzz_strings(struct tw_str page)
{
    struct tw_arena *arena = tw_arena_new(4096);
    struct tw_str *items, *again;
    size_t count, count_again;
    if (tsdb_strings_decode(page, arena, &items, &count)) {
        struct tw_buf bytes;
        tw_buf_init(&bytes, PAGE_BYTES_MAX);
        tsdb_strings_encode(items, count, &bytes);
        TW_ASSERT(tsdb_strings_decode(tw_buf_str(&bytes), arena, &again, &count_again));
        TW_ASSERT(count == count_again);
        for (size_t i = 0; i < count; i++)
            TW_ASSERT(tw_str_equal(items[i], again[i]));
        tw_buf_fini(&bytes);
    }
    tw_arena_free(arena);
}

static void fuzz_series(struct tw_str bytes)
{
    static struct tsdb_series_page page, again;
    tsdb_series_page_clear(&page);
    tsdb_series_page_clear(&again);
    if (!tsdb_series_page_decode(bytes, &page))
        return;
    TW_ASSERT(page.count <= TSDB_PAGE_SERIES_MAX);
    struct tw_buf written;
    tw_buf_init(&written, PAGE_BYTES_MAX);
    tsdb_series_page_encode(&page, page.count, &written);
    TW_ASSERT(tsdb_series_page_decode(tw_buf_str(&written), &again));
    TW_ASSERT(again.count == page.count);
    for (size_t i = 0; i < page.offsets[page.count]; i++)
        TW_ASSERT(page.names[i] == again.names[i] && page.values[i] == again.values[i]);
    tw_buf_fini(&written);
}

static void fuzz_postings(struct tw_str page)
{
    static struct tsdb_posting items[TSDB_PAGE_IDS_MAX], again[TSDB_PAGE_IDS_MAX];
    size_t count, count_again;
    if (!tsdb_postings_decode(page, items, &count))
        return;
    TW_ASSERT(count <= TSDB_PAGE_IDS_MAX);
    struct tw_buf written;
    tw_buf_init(&written, PAGE_BYTES_MAX);
    tsdb_postings_encode(items, count, &written);
    TW_ASSERT(tsdb_postings_decode(tw_buf_str(&written), again, &count_again));
    TW_ASSERT(count == count_again && (count == 0 || !memcmp(items, again, count * sizeof *items)));
    tw_buf_fini(&written);
}

static void fuzz_buckets(struct tw_str bytes)
{
    int64_t times[256];
    if (bytes.size == 0)
        return;
    size_t count = (unsigned char)bytes.data[0];
    bytes = tw_str_slice(bytes, 1, bytes.size);
    for (size_t i = 0; i < count; i++)
        times[i] = (int64_t)i * 300000;
    struct tsdb_buckets buckets = {0}, again = {0};
    if (tsdb_buckets_decode(bytes, times, count, &buckets)) {
        struct tw_buf written;
        TW_ASSERT(buckets.count == count);
        tw_buf_init(&written, PAGE_BYTES_MAX);
        tsdb_buckets_encode(buckets.items, count, &written);
        TW_ASSERT(tsdb_buckets_decode(tw_buf_str(&written), times, count, &again));
        TW_ASSERT(count == 0 || !memcmp(buckets.items, again.items, count * sizeof *again.items));
        tw_buf_fini(&written);
        struct tsdb_bucket_carry carry = {0};
        again.count = 0;
        tsdb_buckets_fold(buckets.items, count, 3600000, &carry, &again);
        TW_ASSERT(again.count <= count);
    }
    tsdb_buckets_fini(&buckets);
    tsdb_buckets_fini(&again);
}

static void fuzz_exemplar(struct tw_str blob)
{
    struct wire_label items[WIRE_EXEMPLAR_LABELS_MAX], items_again[WIRE_EXEMPLAR_LABELS_MAX];
    struct wire_exemplar exemplar, again;
    if (!tsdb_exemplar_read(blob, 7, items, &exemplar))
        return;
    struct tw_buf written;
    tw_buf_init(&written, PAGE_BYTES_MAX);
    tsdb_exemplar_append(&exemplar, &written);
    TW_ASSERT(tsdb_exemplar_read(tw_buf_str(&written), 7, items_again, &again));
    TW_ASSERT(wire_exemplar_equal(&exemplar, &again));
    tw_buf_fini(&written);
}

static void fuzz_tombstone(struct tw_str value)
{
    struct tsdb_erasers *list = tsdb_erasers_new();
    struct tw_err err = {.message = ""};
    size_t before = tsdb_erasers_tombstone_count(list);
    enum tw_code code = tsdb_tombstone_read(value, 1, list, &err);
    TW_ASSERT(code == TW_OK || err.message[0] != '\0');
    TW_ASSERT(tsdb_erasers_tombstone_count(list) == before + (code == TW_OK));
    tsdb_erasers_unref(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(struct tw_str) = {fuzz_strings, fuzz_series,   fuzz_postings,
                                                     fuzz_buckets, fuzz_exemplar, fuzz_tombstone};
    if (size > 0)
        targets[data[0] % (sizeof targets / sizeof *targets)](
            (struct tw_str){(const char *)data + 1, size - 1});
    return 0;
}

#ifndef TW_LIBFUZZER
int main(int argc, char **argv)
{
    return fuzz_replay(argc, argv);
}
#endif
