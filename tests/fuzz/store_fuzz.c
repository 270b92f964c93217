/* SPDX-License-Identifier: Apache-2.0
 *
 * store_fuzz: what the store reads from its files, given any bytes: columns, blocks, records of the
 * log, whole files. What is accepted must be what an encoder could have made; nothing reads outside
 * or hangs. The first byte of an input chooses what it is given to, the rest is the input.
 *
 * Built with libFuzzer (tests/fuzz/libfuzzer.sh) it searches. Else it makes good inputs itself,
 * changes them (TW_FUZZ_ROUNDS times each), replays the corpus that is named, and speaks TAP. With
 * TW_FUZZ_SEEDS=FOLDER it writes the good inputs there instead, for libFuzzer to begin with.
 */
#include "config.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/number.h"
#include "tests/fuzz/replay.h"
#include "tsdb/block.h"
#include "tsdb/codec.h"
#include "tsdb/head.h"
#include "tsdb/lmdb.h"
#include "tsdb/pages.h"
#include "tsdb/record.h"

#define ITEMS_MAX 4096
#define FILE_BYTES_MAX ((size_t)1 << 20)

/* ---- columns ---- */

static uint16_t take_u16(struct tw_str *bytes)
{
    if (bytes->size < 2)
        return 0;
    uint16_t number =
        (uint16_t)((unsigned char)bytes->data[0] | (unsigned char)bytes->data[1] << 8);
    *bytes = tw_str_slice(*bytes, 2, bytes->size);
    return number;
}

/* What was decoded is encoded and decoded again. */
static void fuzz_decode_values(struct tw_str bytes)
{
    static uint64_t items[ITEMS_MAX], again[ITEMS_MAX], part[ITEMS_MAX];
    size_t count = take_u16(&bytes) % ITEMS_MAX;
    if (!tsdb_codec_decode_values(bytes, items, count))
        return;
    struct tw_buf encoded;
    tw_buf_init(&encoded, (size_t)1 << 20);
    tsdb_codec_encode_values(items, count, &encoded);
    TW_ASSERT(tsdb_codec_decode_values(tw_buf_str(&encoded), again, count));
    TW_ASSERT(count == 0 || memcmp(items, again, count * sizeof *items) == 0);
    if (count > 0) {
        size_t first = count / 3, limit = count - count / 4;
        TW_ASSERT(tsdb_codec_decode_part(bytes, part, count, first, limit));
        TW_ASSERT(memcmp(part + first, items + first, (limit - first) * sizeof *items) == 0);
    }
    tw_buf_fini(&encoded);
}

static void fuzz_decode_times(struct tw_str bytes)
{
    static int64_t items[ITEMS_MAX], again[ITEMS_MAX];
    size_t count = take_u16(&bytes) % ITEMS_MAX;
    if (!tsdb_codec_decode_times(bytes, items, count))
        return;
    struct tw_buf encoded;
    tw_buf_init(&encoded, (size_t)1 << 20);
    tsdb_codec_encode_times(items, count, &encoded);
    TW_ASSERT(tsdb_codec_decode_times(tw_buf_str(&encoded), again, count));
    TW_ASSERT(count == 0 || memcmp(items, again, count * sizeof *items) == 0);
    tw_buf_fini(&encoded);
}

/* Any bits come back. */
static void fuzz_round_trip(struct tw_str bytes)
{
    static uint64_t items[ITEMS_MAX], again[ITEMS_MAX];
    static int64_t times[ITEMS_MAX], times_again[ITEMS_MAX];
    size_t count = bytes.size / 8 < ITEMS_MAX ? bytes.size / 8 : ITEMS_MAX;
    if (count == 0)
        return;
    memcpy(items, bytes.data, count * sizeof *items);
    memcpy(times, bytes.data, count * sizeof *times);
    struct tw_buf encoded;
    tw_buf_init(&encoded, (size_t)1 << 20);
    tsdb_codec_encode_values(items, count, &encoded);
    TW_ASSERT(!encoded.overflow && tsdb_codec_decode_values(tw_buf_str(&encoded), again, count));
    TW_ASSERT(memcmp(items, again, count * sizeof *items) == 0);
    tw_buf_clear(&encoded);
    tsdb_codec_encode_times(times, count, &encoded);
    TW_ASSERT(!encoded.overflow &&
              tsdb_codec_decode_times(tw_buf_str(&encoded), times_again, count));
    TW_ASSERT(memcmp(times, times_again, count * sizeof *times) == 0);
    tw_buf_fini(&encoded);
}

/* ---- blocks ---- */

static void fuzz_block(struct tw_str bytes)
{
    static uint64_t values[ITEMS_MAX];
    struct tsdb_block block;
    tsdb_block_init(&block);
    if (tsdb_block_parse(&block, bytes)) {
        TW_ASSERT(block.count > 0);
        for (uint32_t i = 0; i < block.count; i++) {
            const struct tsdb_block_entry *entry = &block.entries[i];
            TW_ASSERT(tsdb_block_find(&block, entry->metric, entry->series) != NULL);
            if (entry->kind == TSDB_KIND_FLOAT && entry->count <= ITEMS_MAX)
                (void)tsdb_codec_decode_values(entry->values, values, entry->count);
        }
    }
    tsdb_block_fini(&block);
}

/* ---- records ---- */

/* As many as there are: u16 size, record. */
static void fuzz_records(struct tw_str bytes)
{
    struct tw_err err;
    uint64_t number = 1;
    struct tsdb_head *head = NULL;
    struct tsdb_record_state state = {0};
    while (bytes.size > 2) {
        size_t size = take_u16(&bytes);
        struct tw_str record = tw_str_slice(bytes, 0, size < bytes.size ? size : bytes.size);
        bytes = tw_str_slice(bytes, record.size, bytes.size);
        if (!head) {
            if (tsdb_record_index_number(record, &number, &err) != TW_OK)
                break;
            struct tsdb_index *index = tsdb_index_new_numbered(number);
            head = tsdb_head_new_sharing(1, index);
            tsdb_index_free(index); /* the head has it */
        }
        enum tw_code code = tsdb_record_replay(head, &state, record, &err);
        TW_ASSERT(code == TW_OK || code == TW_CORRUPT || code == TW_UNSUPPORTED);
        if (code != TW_OK)
            break;
    }
    if (head && tsdb_index_finish_restore(tsdb_head_index(head))) {
        struct tsdb_points points = {0};
        struct wire_label items[WIRE_LABELS_COUNT_MAX];
        for (uint32_t id = 0; id < tsdb_head_series_limit(head) && id < ITEMS_MAX; id++) {
            unsigned char room[TSDB_HEAD_TAIL_BYTES];
            struct tsdb_head_view view = tsdb_head_view(head, id, room);
            tsdb_head_view_points(&view, INT64_MIN, INT64_MAX, &points);
            for (size_t i = 1; i < points.count; i++)
                TW_ASSERT(points.items[i - 1].time_ms < points.items[i].time_ms);
            if (points.count > 0)
                (void)tsdb_index_labels(tsdb_head_index(head), id, items);
        }
        tsdb_points_fini(&points);
    }
    tsdb_record_state_fini(&state);
    if (head)
        tsdb_head_unref(head);
}

/* ---- files ---- */

static void take_value(void *user, struct tw_str table, struct tw_str key, struct tw_str framed)
{
    (void)table;
    uint64_t *sum = user;
    char name[TSDB_ENV_TABLE_BYTES];
    struct tw_str named_key, named, value;
    const char *wrong;
    for (size_t i = 0; i < framed.size; i += 512)
        *sum += (unsigned char)framed.data[i];
    if (tsdb_env_frame_name(framed, name, &named_key, &named))
        (void)tsdb_env_unframe(name, named_key, named, &value, &wrong);
    (void)tsdb_env_unframe("groups", key, framed, &value, &wrong);
}

/* A file that passes the check is opened: LMDB must get along with it. */
static void open_passed(const char *path)
{
    static const struct tsdb_env_format format = {.magic = "TWFUZZ",
                                                  .version = 1,
                                                  .oldest_reader = 1,
                                                  .oldest_version = 1,
                                                  .map_bytes = (size_t)1 << 20,
                                                  .tables_max = 4,
                                                  .single_thread = true,
                                                  .key_sum = true};
    struct tsdb_env *env;
    struct tsdb_env_txn *txn;
    struct tsdb_env_cursor *cursor;
    struct tw_err err;
    if (tsdb_env_open(path, &format, TSDB_ENV_OPEN, &env, &err) != TW_OK)
        return;
    if (tsdb_env_begin(env, false, &txn, &err) == TW_OK) {
        static const char *const tables[] = {"meta", "small", "large"};
        for (int i = 0; i < 3; i++) {
            struct tw_str key = {0}, value;
            if (tsdb_env_cursor_open(txn, tables[i], &cursor, &err) != TW_OK)
                continue;
            enum tw_code code;
            do
                code = tsdb_env_cursor_move(cursor, TSDB_ENV_NEXT, &key, &value, &err);
            while (code == TW_OK);
            TW_ASSERT(code == TW_NOT_FOUND || code == TW_CORRUPT);
            tsdb_env_cursor_close(cursor);
        }
        tsdb_env_abort(txn);
    }
    tsdb_env_close(env);
}

static void fuzz_file(struct tw_str bytes)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    TW_ASSERT(fd >= 0);
    struct tw_err err;
    uint64_t sum = 0;
    char path[64];
    struct tsdb_pages_counts counts;
    struct tsdb_pages_visitor visitor = {.user = &sum, .value = take_value};
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (bytes.size <= FILE_BYTES_MAX &&
        tw_file_write_all(fd, bytes.data, bytes.size, path, &err) == TW_OK) {
        bool sound = tsdb_pages_walk(path, &visitor, &counts, &err) == TW_OK && counts.damaged == 0;
        (void)(tsdb_pages_scan(path, &visitor, &counts, &err) == TW_OK);
        if (sound)
            open_passed(path);
    }
    close(fd);
}

/* ---- all of it ---- */

static void (*const targets[])(struct tw_str) = {
    fuzz_decode_values, fuzz_decode_times, fuzz_round_trip, fuzz_block, fuzz_records, fuzz_file};
#define TARGET_COUNT (sizeof targets / sizeof *targets)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        targets[data[0] % TARGET_COUNT]((struct tw_str){(const char *)data + 1, size - 1});
    return 0;
}

#ifndef TW_LIBFUZZER
static void fill_values(uint64_t *values, size_t count)
{
    uint64_t form = fuzz_random(5);
    for (size_t i = 0; i < count; i++)
        values[i] = form == 0   ? tw_double_bits((double)i * 0.25)
                    : form == 1 ? tw_double_bits((double)fuzz_random(50))
                    : form == 2 ? fuzz_random(UINT64_C(1) << 31) * UINT64_C(0x9e3779b97f4a7c15)
                    : form == 3 ? UINT64_C(0x7ff8000000000000) + fuzz_random(3)
                                : tw_double_bits((double)(i / 9) * 3 + (double)fuzz_random(2));
}

static void append_u16(struct tw_buf *ret, size_t number)
{
    tw_buf_append_char(ret, (char)number);
    tw_buf_append_char(ret, (char)(number >> 8));
}

static void seed_column(struct tw_buf *ret, bool times)
{
    uint64_t values[700];
    size_t count = 1 + fuzz_random(700);
    append_u16(ret, count);
    if (times) {
        int64_t moments[700];
        for (size_t i = 0; i < count; i++)
            moments[i] = (i ? moments[i - 1] : 1700000000000) + 15000 + (int64_t)fuzz_random(4);
        tsdb_codec_encode_times(moments, count, ret);
    } else {
        fill_values(values, count);
        tsdb_codec_encode_values(values, count, ret);
    }
}

static void seed_block(struct tw_buf *ret)
{
    struct tsdb_block_writer writer;
    struct tw_buf encoded;
    tsdb_block_writer_init(&writer);
    tw_buf_init(&encoded, 1 << 20);
    uint32_t entries = 1 + (uint32_t)fuzz_random(40);
    for (uint32_t i = 0; i < entries; i++) {
        uint64_t values[60];
        uint32_t count = 1 + (uint32_t)fuzz_random(60);
        fill_values(values, count);
        tw_buf_clear(&encoded);
        tsdb_codec_encode_values(values, count, &encoded);
        struct tsdb_block_entry entry = {1 + i / 7, i * 3,           count,
                                         i % 4,     TSDB_KIND_FLOAT, tw_buf_str(&encoded)};
        TW_ASSERT(tsdb_block_writer_add(&writer, &entry));
    }
    tsdb_block_writer_take(&writer, ret);
    tw_buf_fini(&encoded);
    tsdb_block_writer_fini(&writer);
}

static void seed_records(struct tw_buf *ret)
{
    struct tsdb_index *index = tsdb_index_new_numbered(1);
    struct tsdb_head *head = tsdb_head_new_sharing(1, index);
    struct tsdb_record_state record_state = {0};
    struct tw_buf record;
    tw_buf_init(&record, 1 << 20);
    uint32_t series = 0;
    for (int round = 0; round < 5; round++) {
        struct tsdb_record_sample samples[40];
        for (uint64_t more = fuzz_random(5); more > 0 || series == 0; more -= more > 0, series++) {
            char host[16];
            snprintf(host, sizeof host, "h%u", series);
            struct wire_label items[] = {{TW_STR(WIRE_METRIC_NAME), TW_STR("m")},
                                         {TW_STR("host"), tw_str(host)}};
            struct wire_labels labels = {items, 2};
            tsdb_record_register(&record_state,
                                 tsdb_head_add_series(head, labels, wire_labels_hash(labels)));
        }
        size_t count = 1 + fuzz_random(40);
        for (size_t i = 0; i < count; i++)
            samples[i] = (struct tsdb_record_sample){(uint32_t)fuzz_random(series),
                                                     1000 * (int64_t)fuzz_random(1000),
                                                     tw_double_bits((double)fuzz_random(9))};
        tw_buf_clear(&record);
        tsdb_record_encode(head, &record_state, samples, count, &record);
        append_u16(ret, record.size);
        tw_buf_append_str(ret, tw_buf_str(&record));
    }
    tw_buf_fini(&record);
    tsdb_record_state_fini(&record_state);
    tsdb_head_unref(head);
    tsdb_index_free(index);
}

static void seed_file(struct tw_buf *ret)
{
    static const struct tsdb_env_format format = {.magic = "TWFUZZ",
                                                  .version = 1,
                                                  .oldest_reader = 1,
                                                  .oldest_version = 1,
                                                  .map_bytes = (size_t)1 << 20,
                                                  .tables_max = 4,
                                                  .single_thread = true,
                                                  .key_sum = true};
    char folder[] = "/tmp/tidewatch-fuzz.XXXXXX", value[6000];
    struct tw_err err;
    TW_ASSERT(mkdtemp(folder) != NULL);
    char *path = tw_file_join(folder, "file");
    struct tsdb_env *env;
    TW_ASSERT(tsdb_env_open(path, &format, TSDB_ENV_CREATE, &env, &err) == TW_OK);
    memset(value, 'v', sizeof value);
    for (int round = 0; round < 2; round++) { /* the second leaves free pages */
        struct tsdb_env_txn *txn;
        TW_ASSERT(tsdb_env_begin(env, true, &txn, &err) == TW_OK);
        for (int i = 0; i < 120; i++) {
            unsigned char key[8];
            tsdb_env_key_u64(key, (uint64_t)i);
            struct tw_str name = {(const char *)key, sizeof key};
            TW_ASSERT(tsdb_env_put(txn, i % 30 ? "small" : "large", name,
                                   (struct tw_str){value, i % 30 ? 60 : 5000}, &err) == TW_OK);
        }
        TW_ASSERT(tsdb_env_commit(txn, &err) == TW_OK);
    }
    tsdb_env_close(env);
    TW_ASSERT(tw_file_read(path, ret, &err) == TW_OK);
    TW_ASSERT(tw_file_remove_folder(folder, &err) == TW_OK);
    free(path);
}

static void make_seed(size_t target, struct tw_buf *ret)
{
    tw_buf_append_char(ret, (char)target);
    switch (target) {
    case 0:
        seed_column(ret, false);
        break;
    case 1:
        seed_column(ret, true);
        break;
    case 2: {
        uint64_t values[200];
        fill_values(values, 200);
        tw_buf_append(ret, values, 8 * (1 + fuzz_random(200)));
        break;
    }
    case 3:
        seed_block(ret);
        break;
    case 4:
        seed_records(ret);
        break;
    default:
        seed_file(ret);
    }
}

static void search(size_t target, int rounds)
{
    struct tw_buf seed, input;
    tw_buf_init(&seed, 1 << 22);
    tw_buf_init(&input, 1 << 22);
    for (int i = 0; i < rounds; i++) {
        if (i % 50 == 0) {
            tw_buf_clear(&seed);
            make_seed(target, &seed);
            fuzz_run(tw_buf_str(&seed));
        }
        tw_buf_clear(&input);
        tw_buf_append_str(&input, tw_buf_str(&seed));
        fuzz_change(&input);
        fuzz_run(tw_buf_str(&input));
    }
    tw_buf_fini(&seed);
    tw_buf_fini(&input);
}

static int write_seeds(const char *folder)
{
    struct tw_buf seed;
    struct tw_err err;
    tw_buf_init(&seed, 1 << 22);
    for (size_t target = 0; target < TARGET_COUNT; target++)
        for (int i = 0; i < 5; i++) {
            char name[64];
            snprintf(name, sizeof name, "%zu-%d", target, i);
            char *path = tw_file_join(folder, name);
            tw_buf_clear(&seed);
            make_seed(target, &seed);
            TW_ASSERT(tw_file_replace(path, tw_buf_str(&seed), 0644, &err) == TW_OK);
            free(path);
        }
    tw_buf_fini(&seed);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"values", "times",   "round trip",
                                        "blocks", "records", "files"};
    int count = fuzz_rounds(3000);
    if (getenv("TW_FUZZ_SEEDS"))
        return write_seeds(getenv("TW_FUZZ_SEEDS"));
    printf("1..%zu\n", TARGET_COUNT + 1);
    for (size_t i = 0; i < TARGET_COUNT; i++) {
        search(i, i == TARGET_COUNT - 1 ? count / 4 : count);
        printf("ok %zu - %s\n", i + 1, names[i]);
        fflush(stdout);
    }
    fuzz_replay_files(argc - 1, argv + 1);
    printf("ok %zu - %d corpus files\n", TARGET_COUNT + 1, argc - 1);
    return 0;
}
#endif
