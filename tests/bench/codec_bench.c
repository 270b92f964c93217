/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_bench: what the codec costs and saves: bytes a sample, nanoseconds a sample to encode and
 * to decode, on shapes that are made here and on recorded requests.
 *
 *   codec_bench                  made shapes
 *   codec_bench FILE.twrw [MAX]  the series of recorded requests (tsdb_bench.c says how they lie),
 * at most MAX samples
 *
 * Each series is cut into chunks as a window of two hours cuts it, and also as the head does.
 */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/number.h"
#include "tsdb/codec.h"
#include "wire/remote_write.h"
#include "wire/snappy.h"

#define ROUNDS 5
#define HEAD_CHUNK 16
#define WINDOW_CHUNK 480

struct series {
    uint64_t hash;
    uint64_t *values;
    size_t count, capacity;
};

static struct series *series;
static size_t series_count, series_capacity;
static uint32_t *slots;
static size_t slot_mask;

static void add(struct series *to, double value)
{
    if (to->count == to->capacity) {
        to->capacity = to->capacity ? to->capacity * 2 : 64;
        to->values = realloc(to->values, to->capacity * sizeof *to->values);
        TW_ASSERT(to->values != NULL);
    }
    to->values[to->count++] = tw_double_bits(value);
}

static struct series *add_series(uint64_t hash)
{
    if (series_count == series_capacity) {
        series_capacity = series_capacity ? series_capacity * 2 : 1024;
        series = realloc(series, series_capacity * sizeof *series);
        TW_ASSERT(series != NULL);
    }
    series[series_count] = (struct series){.hash = hash};
    return &series[series_count++];
}

static struct series *find_series(uint64_t hash)
{
    if (series_count * 2 >= slot_mask) {
        slot_mask = slot_mask ? slot_mask * 2 + 1 : 4095;
        free(slots);
        slots = calloc(slot_mask + 1, sizeof *slots);
        TW_ASSERT(slots != NULL);
        for (size_t i = 0; i < series_count; i++) {
            size_t at = series[i].hash & slot_mask;
            while (slots[at])
                at = (at + 1) & slot_mask;
            slots[at] = (uint32_t)i + 1;
        }
    }
    size_t at = hash & slot_mask;
    for (; slots[at]; at = (at + 1) & slot_mask)
        if (series[slots[at] - 1].hash == hash)
            return &series[slots[at] - 1];
    slots[at] = (uint32_t)series_count + 1;
    return add_series(hash);
}

static _Noreturn void die(const struct tw_err *err)
{
    fprintf(stderr, "codec_bench: %s\n", err->message);
    exit(1);
}

static void load(const char *path, size_t samples_max)
{
    struct tw_buf content, plain;
    struct tw_err err;
    size_t samples = 0;
    tw_buf_init(&content, (size_t)1 << 34);
    tw_buf_init(&plain, (size_t)1 << 28);
    if (tw_file_read(path, &content, &err) != TW_OK)
        die(&err);
    for (size_t at = 72; at + 32 <= content.size && samples < samples_max;) {
        uint32_t size;
        memcpy(&size, content.data + at, sizeof size);
        tw_buf_clear(&plain);
        if (wire_snappy_decode((struct tw_str){content.data + at + 32, size}, (size_t)1 << 28,
                               &plain, &err) != TW_OK)
            die(&err);
        struct wire_write_reader reader;
        struct wire_write_entry entry;
        struct wire_sample sample;
        wire_write_reader_init(&reader, tw_buf_str(&plain));
        while (wire_write_reader_next(&reader, &entry, &err) == TW_OK &&
               entry.kind != WIRE_WRITE_END) {
            struct tw_str labels = entry.series.raw_labels;
            if (entry.kind != WIRE_WRITE_SERIES)
                continue;
            struct series *to = find_series(tw_hash64(labels.data, labels.size));
            for (; wire_write_series_sample(&entry.series, &sample); samples++)
                add(to, sample.value);
        }
        at += 32 + size;
    }
    tw_buf_fini(&content);
    tw_buf_fini(&plain);
}

static uint64_t seed = 88172645463325252u;

static double next_random(void) /* 0 to 1 */
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) * 0x1p-53;
}

static const char *const shapes[] = {"constant", "counter", "idle seconds", "gauge, 2 decimals",
                                     "bytes",    "doubles", "few values"};

static double shape_value(size_t shape, size_t i, double *state)
{
    switch (shape) {
    case 0:
        return 42.5;
    case 1:
        return *state += floor(next_random() * 1000);
    case 2:
        return (*state += 1490 + floor(next_random() * 11)) / 100;
    case 3:
        return floor(next_random() * 10000) / 100;
    case 4:
        return *state += (floor(next_random() * 100) - 50) * 4096;
    case 5:
        return *state += next_random() - 0.5;
    default:
        return i / 30 % 3 ? 1 : 0;
    }
}

static void make_shape(size_t shape)
{
    for (uint64_t i = 0; i < 1000; i++) {
        struct series *to = add_series(i);
        double state = shape == 5 ? 50 : 1e9;
        for (size_t j = 0; j < 2 * WINDOW_CHUNK; j++)
            add(to, shape_value(shape, j, &state));
    }
}

static void clear(void)
{
    for (size_t i = 0; i < series_count; i++)
        free(series[i].values);
    series_count = 0;
}

struct chunk {
    const uint64_t *values;
    size_t count, at, bytes;
};

static void measure(const char *what, size_t chunk_max)
{
    struct chunk *chunks = NULL;
    size_t count = 0, capacity = 0;
    uint64_t samples = 0;
    for (size_t i = 0; i < series_count; i++)
        for (size_t j = 0; j < series[i].count; j += chunk_max) {
            if (count == capacity) {
                capacity = capacity ? capacity * 2 : 1024;
                chunks = realloc(chunks, capacity * sizeof *chunks);
                TW_ASSERT(chunks != NULL);
            }
            size_t left = series[i].count - j;
            chunks[count++] =
                (struct chunk){series[i].values + j, left < chunk_max ? left : chunk_max, 0, 0};
            samples += chunks[count - 1].count;
        }
    struct tw_buf encoded;
    tw_buf_init(&encoded, (size_t)1 << 34);
    int64_t encode_ns = INT64_MAX, decode_ns = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        tw_buf_clear(&encoded);
        int64_t start_ns = tw_clock_thread_cpu_ns();
        for (size_t i = 0; i < count; i++) {
            chunks[i].at = encoded.size;
            tsdb_codec_encode_values(chunks[i].values, chunks[i].count, &encoded);
            chunks[i].bytes = encoded.size - chunks[i].at;
        }
        int64_t ns = tw_clock_thread_cpu_ns() - start_ns;
        encode_ns = ns < encode_ns ? ns : encode_ns;
    }
    uint64_t *values = malloc(chunk_max * sizeof *values);
    TW_ASSERT(values != NULL);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start_ns = tw_clock_thread_cpu_ns();
        for (size_t i = 0; i < count; i++) {
            struct tw_str bytes = {encoded.data + chunks[i].at, chunks[i].bytes};
            TW_ASSERT(tsdb_codec_decode_values(bytes, values, chunks[i].count));
        }
        int64_t ns = tw_clock_thread_cpu_ns() - start_ns;
        decode_ns = ns < decode_ns ? ns : decode_ns;
    }
    for (size_t i = 0; i < count; i++) {
        struct tw_str bytes = {encoded.data + chunks[i].at, chunks[i].bytes};
        TW_ASSERT(tsdb_codec_decode_values(bytes, values, chunks[i].count));
        TW_ASSERT(memcmp(values, chunks[i].values, chunks[i].count * sizeof *values) == 0);
    }
    printf("%-18s %4zu a chunk: %6.3f bytes, encode %6.2f ns, decode %5.2f ns a sample (%" PRIu64
           " samples, %.0f MB/s of encoded bytes)\n",
           what, chunk_max, (double)encoded.size / (double)samples,
           (double)encode_ns / (double)samples, (double)decode_ns / (double)samples, samples,
           (double)encoded.size * 1e3 / (double)decode_ns);
    free(values);
    free(chunks);
    tw_buf_fini(&encoded);
}

int main(int count, char **arguments)
{
    if (count > 1) {
        load(arguments[1], count > 2 ? strtoull(arguments[2], NULL, 10) : 5000000);
        measure("recorded", WINDOW_CHUNK);
        measure("recorded", HEAD_CHUNK);
        return 0;
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        make_shape(i);
        measure(shapes[i], WINDOW_CHUNK);
        measure(shapes[i], HEAD_CHUNK);
        clear();
    }
    return 0;
}
