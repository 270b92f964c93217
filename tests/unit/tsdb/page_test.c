/* SPDX-License-Identifier: Apache-2.0
 *
 * page_test: pages of a partition's index there and back, and bytes that no encoder makes.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"
#include "tsdb/partition_page.h"

static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

START_TEST(strings_come_back)
{
    static char text[TSDB_PAGE_STRINGS_MAX][80];
    static struct tw_str items[TSDB_PAGE_STRINGS_MAX];
    struct tw_arena *arena = tw_arena_new(4096);
    struct tw_buf page;
    tw_buf_init(&page, (size_t)1 << 24);
    for (size_t count = 0; count <= TSDB_PAGE_STRINGS_MAX; count = count * 4 + 1) {
        size_t plain = 0, back_count;
        struct tw_str *back;
        for (size_t i = 0; i < count; i++) {
            snprintf(text[i], sizeof text[i], "/kubepods/pod%016llx/%zu",
                     (unsigned long long)next_random(), i);
            items[i] = i ? tw_str(text[i]) : TW_STR("");
            plain += items[i].size;
        }
        tw_buf_clear(&page);
        tsdb_strings_encode(items, count, &page);
        ck_assert(count < 100 || page.size < plain / 2);
        ck_assert(tsdb_strings_decode(tw_buf_str(&page), arena, &back, &back_count));
        ck_assert_uint_eq(back_count, count);
        for (size_t i = 0; i < count; i++)
            ck_assert(tw_str_equal(back[i], items[i]));
        for (size_t size = 0; size < page.size; size += 1 + page.size / 40)
            ck_assert(
                !tsdb_strings_decode((struct tw_str){page.data, size}, arena, &back, &back_count));
    }
    tw_buf_fini(&page);
    tw_arena_free(arena);
}
END_TEST

START_TEST(series_come_back)
{
    struct tsdb_series_page page = {0}, back = {0};
    struct tw_buf bytes;
    tw_buf_init(&bytes, (size_t)1 << 24);
    for (int round = 0; round < 100; round++) {
        size_t count = next_random() % TSDB_PAGE_SERIES_MAX;
        tsdb_series_page_clear(&page);
        for (size_t i = 0; i < count; i++) {
            uint32_t names[20], values[20];
            size_t labels = next_random() % 8 ? 8 : next_random() % 20;
            for (size_t j = 0; j < labels; j++) {
                names[j] = (uint32_t)(j * 3);
                values[j] = (uint32_t)(j % 3 ? i * 2 + j : next_random());
            }
            tsdb_series_page_add(&page, names, values, labels);
        }
        tw_buf_clear(&bytes);
        tsdb_series_page_encode(&page, count, &bytes);
        ck_assert(tsdb_series_page_decode(tw_buf_str(&bytes), &back));
        ck_assert_uint_eq(back.count, count);
        size_t labels = page.offsets[count];
        ck_assert(memcmp(back.offsets, page.offsets, (count + 1) * sizeof *page.offsets) == 0);
        ck_assert(!labels || memcmp(back.names, page.names, labels * sizeof *page.names) == 0);
        ck_assert(!labels || memcmp(back.values, page.values, labels * sizeof *page.values) == 0);
        for (size_t size = 0; size < bytes.size; size += 1 + bytes.size / 40)
            ck_assert(!tsdb_series_page_decode((struct tw_str){bytes.data, size}, &back));
    }
    tsdb_series_page_fini(&page);
    tsdb_series_page_fini(&back);
    tw_buf_fini(&bytes);
}
END_TEST

START_TEST(postings_come_back)
{
    static struct tsdb_posting items[TSDB_PAGE_IDS_MAX], back[TSDB_PAGE_IDS_MAX];
    struct tw_buf bytes;
    tw_buf_init(&bytes, (size_t)1 << 24);
    for (int round = 0; round < 60; round++) {
        size_t count = 1 + next_random() % TSDB_PAGE_IDS_MAX, back_count;
        uint32_t hash = 0, value = 0, series = 0;
        for (size_t i = 0; i < count; i++) {
            if (i == 0 || next_random() % 100 < (unsigned)round) {
                hash += (uint32_t)(next_random() % 100000);
                value = (uint32_t)(value + 1 + next_random() % 7);
                series = (uint32_t)(next_random() % 1000);
            }
            series += (uint32_t)(1 + (round % 3 ? 0 : next_random() % 9));
            items[i] = (struct tsdb_posting){hash, value, series};
        }
        tw_buf_clear(&bytes);
        tsdb_postings_encode(items, count, &bytes);
        ck_assert(tsdb_postings_decode(tw_buf_str(&bytes), back, &back_count));
        ck_assert_uint_eq(back_count, count);
        ck_assert(memcmp(back, items, count * sizeof *items) == 0);
        for (size_t size = 0; size < bytes.size; size += 1 + bytes.size / 40)
            ck_assert(!tsdb_postings_decode((struct tw_str){bytes.data, size}, back, &back_count));
    }
    /* All series: next to nothing. */
    for (uint32_t i = 0; i < TSDB_PAGE_IDS_MAX; i++)
        items[i] = (struct tsdb_posting){7, 9, i * 10};
    tw_buf_clear(&bytes);
    tsdb_postings_encode(items, TSDB_PAGE_IDS_MAX, &bytes);
    ck_assert_uint_lt(bytes.size, 256);
    tw_buf_fini(&bytes);
}
END_TEST

/* Whatever the answer: no read or write outside, which the sanitizers watch. */
START_TEST(hostile_pages_are_refused)
{
    static struct tsdb_posting postings[TSDB_PAGE_IDS_MAX];
    struct tsdb_series_page series = {0};
    struct tw_arena *arena = tw_arena_new(4096);
    for (int round = 0; round < 20000; round++) {
        char bytes[64];
        struct tw_str *strings;
        size_t size = next_random() % sizeof bytes, count;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)(next_random() % (round % 2 ? 256 : 8));
        struct tw_str page = {bytes, size};
        (void)tsdb_strings_decode(page, arena, &strings, &count);
        (void)tsdb_series_page_decode(page, &series);
        if (tsdb_postings_decode(page, postings, &count))
            ck_assert_uint_le(count, TSDB_PAGE_IDS_MAX);
        tw_arena_reset(arena);
    }
    tsdb_series_page_fini(&series);
    tw_arena_free(arena);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(strings_come_back),
                                      UNIT_CASE(series_come_back),
                                      UNIT_CASE(postings_come_back),
                                      UNIT_CASE(hostile_pages_are_refused),
                                      {0}};
    return unit_run("tsdb/page", cases);
}
