/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/fuzz/remote_write_fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/remote_write.h"
#include "wire/remote_write_v2.h"
#include "wire/snappy.h"
#include "wire/zstd.h"

/* gathered: as the reader did, the series' samples last. */
static void check_samples(struct wire_write_series *series, const struct wire_samples *gathered)
{
    struct wire_sample sample;
    uint32_t count = 0;
    TW_ASSERT(gathered->count >= series->sample_count);
    const struct wire_sample *same =
        series->sample_count == 0 ? NULL : gathered->items + gathered->count - series->sample_count;
    while (wire_write_series_sample(series, &sample)) {
        TW_ASSERT(same[count].time_ms == sample.time_ms &&
                  !memcmp(&same[count].value, &sample.value, sizeof sample.value));
        count++;
    }
    TW_ASSERT(count == series->sample_count);
}

static void check_series(struct wire_write_series *series, struct tw_str body,
                         const struct wire_samples *gathered)
{
    struct tw_err err = {.message = ""};
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    size_t count = 0;
    enum tw_code code = wire_write_series_labels(series, items, &count, &err);
    TW_ASSERT(code == TW_OK ? count == series->label_count : err.message[0] != '\0');
    for (size_t i = 0; code == TW_OK && i < count; i++) {
        struct tw_str value = items[i].value;
        TW_ASSERT(value.size == 0 ||
                  (value.data >= body.data && value.data + value.size <= body.data + body.size));
    }
    if (code == TW_OK && wire_labels_canonical(items, &count, &err) == TW_OK &&
        wire_labels_check((struct wire_labels){items, count}, &err) == TW_OK)
        (void)wire_labels_hash((struct wire_labels){items, count});
    check_samples(series, gathered);
    struct wire_sample sample;
    wire_write_series_rewind(series);
    TW_ASSERT(wire_write_series_sample(series, &sample) == (series->sample_count > 0));
}

static void check_v2(struct tw_str body)
{
    struct tw_err err;
    struct wire_write2_reader reader;
    struct wire_write2_entry entry;
    struct tw_arena *arena = tw_arena_new(4096);
    struct wire_samples gathered = {0};
    enum tw_code code = wire_write2_reader_init(&reader, body, arena, &err);
    reader.samples = &gathered;
    while (code == TW_OK) {
        code = wire_write2_reader_next(&reader, &entry, &err);
        if (code != TW_OK || entry.is_end)
            break;
        struct wire_label items[WIRE_LABELS_COUNT_MAX];
        size_t count;
        if (wire_write2_series_labels(&entry.series, &reader.symbols, items, &count, &err) == TW_OK)
            TW_ASSERT(count == entry.series.label_count);
        check_samples(&entry.series, &gathered);
    }
    wire_samples_fini(&gathered);
    tw_arena_free(arena);
}

void remote_write_fuzz(const uint8_t *bytes, size_t size)
{
    /* A copy of exactly this size, so that the sanitizer sees a read past the end. */
    char *copy = malloc(size > 0 ? size : 1);
    TW_ASSERT(copy != NULL);
    memcpy(copy, bytes, size);
    struct tw_str body = {copy, size};
    struct tw_err err;
    struct wire_write_reader reader;
    struct wire_write_entry entry = {0};
    struct wire_samples gathered = {0};
    wire_write_reader_init(&reader, body);
    reader.samples = &gathered;
    while (wire_write_reader_next(&reader, &entry, &err) == TW_OK && entry.kind != WIRE_WRITE_END)
        if (entry.kind == WIRE_WRITE_SERIES)
            check_series(&entry.series, body, &gathered);
    wire_samples_fini(&gathered);
    struct tw_buf plain;
    tw_buf_init(&plain, 1 << 20);
    if (wire_snappy_decode(body, 1 << 20, &plain, &err) != TW_OK)
        TW_ASSERT(plain.size == 0);
    tw_buf_clear(&plain);
    if (wire_zstd_decode(body, 1 << 20, &plain, &err) == TW_OK)
        TW_ASSERT(plain.size <= 1 << 20);
    tw_buf_fini(&plain);
    check_v2(body);
    free(copy);
}
