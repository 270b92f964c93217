/* SPDX-License-Identifier: Apache-2.0
 *
 * head_bench: what the head costs alone: nanoseconds to append a sample, bytes of memory a series,
 * nanoseconds to read a sample back.
 *
 *   head_bench FILE.twrw [MAX]  recorded requests in their order (tsdb_bench.c says how they lie),
 *                               at most MAX samples
 *
 * What was read back is compared with what was appended.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/number.h"
#include "tsdb/head.h"
#include "wire/remote_write.h"
#include "wire/snappy.h"

#define ROUNDS 3
#define EXPECTED 8 /* samples ahead, as the committer does */

struct sample {
    uint32_t series;
    int64_t time_ms;
    uint64_t bits;
};

static struct sample *samples;
static size_t sample_count;
static uint64_t *hashes; /* of the series' labels, by series */
static uint32_t series_count;
static uint32_t *slots; /* series + 1 */
static size_t slot_mask;

static _Noreturn void die(const struct tw_err *err)
{
    fprintf(stderr, "head_bench: %s\n", err->message);
    exit(1);
}

static uint32_t find_series(uint64_t hash)
{
    if ((size_t)series_count * 2 >= slot_mask) {
        slot_mask = slot_mask ? slot_mask * 2 + 1 : 4095;
        free(slots);
        slots = calloc(slot_mask + 1, sizeof *slots);
        hashes = realloc(hashes, (slot_mask + 1) / 2 * sizeof *hashes);
        TW_ASSERT(slots != NULL && hashes != NULL);
        for (uint32_t i = 0; i < series_count; i++) {
            size_t at = hashes[i] & slot_mask;
            while (slots[at])
                at = (at + 1) & slot_mask;
            slots[at] = i + 1;
        }
    }
    size_t at = hash & slot_mask;
    for (; slots[at]; at = (at + 1) & slot_mask)
        if (hashes[slots[at] - 1] == hash)
            return slots[at] - 1;
    hashes[series_count] = hash;
    slots[at] = ++series_count;
    return series_count - 1;
}

static void load_body(struct tw_str body, size_t limit)
{
    struct wire_write_reader reader;
    struct wire_write_entry entry;
    struct wire_sample sample;
    struct tw_err err;
    wire_write_reader_init(&reader, body);
    while (sample_count < limit && wire_write_reader_next(&reader, &entry, &err) == TW_OK &&
           entry.kind != WIRE_WRITE_END) {
        if (entry.kind != WIRE_WRITE_SERIES)
            continue;
        struct tw_str labels = entry.series.raw_labels;
        uint32_t id = find_series(tw_hash64(labels.data, labels.size));
        while (sample_count < limit && wire_write_series_sample(&entry.series, &sample))
            samples[sample_count++] =
                (struct sample){id, sample.time_ms, tw_double_bits(sample.value)};
    }
}

static void load(const char *path, size_t limit)
{
    struct tw_buf content, plain;
    struct tw_err err;
    tw_buf_init(&content, (size_t)1 << 34);
    tw_buf_init(&plain, (size_t)1 << 28);
    samples = malloc(limit * sizeof *samples);
    TW_ASSERT(samples != NULL);
    if (tw_file_read(path, &content, &err) != TW_OK)
        die(&err);
    for (size_t at = 72; at + 32 <= content.size && sample_count < limit;) {
        uint32_t size;
        memcpy(&size, content.data + at, sizeof size);
        tw_buf_clear(&plain);
        if (wire_snappy_decode((struct tw_str){content.data + at + 32, size}, (size_t)1 << 28,
                               &plain, &err) != TW_OK)
            die(&err);
        load_body(tw_buf_str(&plain), limit);
        at += 32 + size;
    }
    tw_buf_fini(&content);
    tw_buf_fini(&plain);
}

static struct tsdb_head *make_head(void)
{
    struct tsdb_head *head = tsdb_head_new(1);
    for (uint32_t i = 0; i < series_count; i++) {
        char name[16];
        int size = snprintf(name, sizeof name, "%" PRIu32, i);
        struct wire_label label = {TW_STR(WIRE_METRIC_NAME), {name, (size_t)size}};
        (void)tsdb_head_add_series(head, (struct wire_labels){&label, 1}, i);
    }
    return head;
}

/* Order does not matter: each sample adds its own number. */
static uint64_t check_of(uint32_t series, int64_t time_ms, uint64_t bits)
{
    uint64_t words[3] = {series, (uint64_t)time_ms, bits};
    return tw_hash64(words, sizeof words);
}

static double read_back(const struct tsdb_head *head, uint64_t *ret_check)
{
    struct tsdb_points points = {0};
    unsigned char room[TSDB_HEAD_TAIL_BYTES];
    int64_t cpu_ns = 0;
    for (uint32_t id = 0; id < series_count; id++) {
        int64_t start_ns = tw_clock_thread_cpu_ns();
        struct tsdb_head_view view = tsdb_head_view(head, id, room);
        tsdb_head_view_points(&view, INT64_MIN, INT64_MAX, &points);
        cpu_ns += tw_clock_thread_cpu_ns() - start_ns;
        for (size_t i = 0; i < points.count; i++)
            *ret_check += check_of(id, points.items[i].time_ms, points.items[i].bits);
    }
    tsdb_points_fini(&points);
    return (double)cpu_ns / (double)sample_count;
}

int main(int count, char **arguments)
{
    if (count < 2) {
        fprintf(stderr, "usage: head_bench FILE.twrw [MAX]\n");
        return 2;
    }
    load(arguments[1], count > 2 ? strtoull(arguments[2], NULL, 10) : 5000000);
    uint64_t check = 0, check_read = 0;
    for (size_t i = 0; i < sample_count; i++)
        check += check_of(samples[i].series, samples[i].time_ms, samples[i].bits);
    double best_ns = 1e9, bytes = 0, read_ns = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct tsdb_head *head = make_head();
        int64_t cpu_ns = tw_clock_thread_cpu_ns();
        for (size_t i = 0; i < sample_count; i++) {
            if (i + EXPECTED < sample_count)
                tsdb_head_expect(head, samples[i + EXPECTED].series);
            (void)tsdb_head_append(head, samples[i].series, samples[i].time_ms, samples[i].bits);
        }
        double ns = (double)(tw_clock_thread_cpu_ns() - cpu_ns) / (double)sample_count;
        best_ns = ns < best_ns ? ns : best_ns;
        bytes = (double)tsdb_head_bytes(head);
        check_read = 0;
        read_ns = read_back(head, &check_read);
        TW_ASSERT(check == check_read);
        tsdb_head_unref(head);
    }
    printf("%zu samples of %" PRIu32 " series: append %.1f ns, read %.2f ns a sample; "
           "%.0f bytes a series, %.2f a sample\n",
           sample_count, series_count, best_ns, read_ns, bytes / series_count,
           bytes / (double)sample_count);
    return 0;
}
