/* SPDX-License-Identifier: Apache-2.0
 *
 * format_test: golden bytes of everything that is stored. What a version of the program wrote, all
 * later ones read: a difference here is a new format version, not a new expectation.
 */
#include "config.h"

#include "base/file.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/block.h"
#include "tsdb/partition_int.h"
#include "tsdb/record.h"
#include "tsdb/state.h"

static struct tw_err err;

static void append_hex(struct tw_buf *text, struct tw_str bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        tw_buf_appendf(text, "%02x", (unsigned char)bytes.data[i]);
}

static void assert_hex(struct tw_str bytes, const char *wanted)
{
    struct tw_buf text;
    tw_buf_init(&text, (size_t)1 << 20);
    append_hex(&text, bytes);
    ck_assert_str_eq(tw_buf_cstr(&text), wanted);
    tw_buf_fini(&text);
}

START_TEST(log_record)
{
    struct tsdb_head *head = tsdb_head_new(1);
    struct wire_label items[8];
    struct wire_labels labels = store_labels("up,job=a", items);
    tsdb_head_add_series(head, labels, UINT64_C(0x1122334455667788));
    labels = store_labels("up,job=b", items);
    tsdb_head_add_series(head, labels, 2);
    const struct tsdb_record_sample samples[] = {
        {0, 1000, tw_double_bits(1)}, {1, 1000, tw_double_bits(0)}, {0, 2000, tw_double_bits(2)}};
    struct tsdb_record_state state = {0};
    struct tw_buf record;
    tw_buf_init(&record, 65536);
    tsdb_record_register(&state, 0);
    tsdb_record_register(&state, 1);
    tsdb_record_encode(head, &state, samples, 3, &record);
    assert_hex(tw_buf_str(&record), "01"                   /* version */
                                    "1001"                 /* of index 1, which has */
                                    "020406"               /* series, pairs, strings */
                                    "0102"                 /* two series */
                                    "00"                   /* id as expected: 0 */
                                    "887766554433221102"   /* hash, two labels */
                                    "05"                   /* a new pair, 1 more than expected */
                                    "05085f5f6e616d655f5f" /* new string 1: __name__ */
                                    "01027570"             /* new string as expected, 2: up */
                                    "01"                   /* a new pair */
                                    "01036a6f62"           /* job */
                                    "010161"               /* a */
                                    "00"                   /* id as expected: 1 */
                                    "020000000000000002"   /* hash, two labels */
                                    "02"                   /* pair 1 */
                                    "01"                   /* a new pair */
                                    "06"                   /* string 3: job */
                                    "010162"               /* b */
                                    "0203"                 /* three floats */
                                    "0002d00f"             /* two from series 0 at 1000 */
                                    "0301d00f"             /* one, back by two, 1000 later */
                                    "05"                   /* the first and the third changed */
                                    "02f03f02f07f"); /* 1 against 0, 2 against 1: two bytes each */
    tsdb_record_state_fini(&state);
    tw_buf_fini(&record);
    tsdb_head_unref(head);
}
END_TEST

START_TEST(log_record_is_replayed)
{
    struct tsdb_head *head = tsdb_head_new(1), *back = tsdb_head_new(1);
    struct wire_label items[8];
    struct tsdb_record_state state = {0}, back_state = {0};
    struct tw_buf record;
    tw_buf_init(&record, 65536);
    for (int round = 0; round < 20; round++) {
        char name[32];
        snprintf(name, sizeof name, "m%d,same=same,z=z%d", round / 3, round);
        struct wire_labels labels = store_labels(name, items);
        tsdb_record_register(&state, tsdb_head_add_series(head, labels, wire_labels_hash(labels)));
        struct tsdb_record_sample samples[40];
        for (uint32_t i = 0; i < 40; i++)
            samples[i] = (struct tsdb_record_sample){i * 7 % (uint32_t)(round + 1),
                                                     1000 * round - (int64_t)i,
                                                     tw_double_bits(i * 0.3 + round)};
        tw_buf_clear(&record);
        tsdb_record_encode(head, &state, samples, 40, &record);
        for (size_t size = 0; size < record.size;
             size++) { /* cut off: an error or a shorter record */
            struct tsdb_head *scratch = tsdb_head_new(1);
            struct tsdb_record_state scratch_state = {.begun = round > 0};
            (void)(tsdb_record_replay(scratch, &scratch_state, (struct tw_str){record.data, size},
                                      &err) == TW_OK);
            tsdb_record_state_fini(&scratch_state);
            tsdb_head_unref(scratch);
        }
        unit_assert_ok(tsdb_record_replay(back, &back_state, tw_buf_str(&record), &err), &err);
        for (uint32_t i = 0; i < 40; i++)
            tsdb_head_append(head, samples[i].series, samples[i].time_ms, samples[i].bits);
    }
    ck_assert_uint_eq(tsdb_index_count(tsdb_head_index(back)), 20);
    ck_assert(tsdb_index_finish_restore(tsdb_head_index(back)));
    for (uint32_t id = 0; id < 20; id++) {
        struct wire_labels labels = tsdb_index_labels(tsdb_head_index(head), id, items);
        ck_assert_uint_eq(tsdb_index_find(tsdb_head_index(back), labels, wire_labels_hash(labels)),
                          id);
    }
    tsdb_record_state_fini(&state);
    tsdb_record_state_fini(&back_state);
    struct tsdb_points a = {0}, b = {0};
    for (uint32_t id = 0; id < 20; id++) {
        unsigned char room[2][TSDB_HEAD_TAIL_BYTES];
        struct tsdb_head_view one = tsdb_head_view(head, id, room[0]);
        struct tsdb_head_view other = tsdb_head_view(back, id, room[1]);
        tsdb_head_view_points(&one, INT64_MIN, INT64_MAX, &a);
        tsdb_head_view_points(&other, INT64_MIN, INT64_MAX, &b);
        ck_assert_uint_eq(a.count, b.count);
        ck_assert(memcmp(a.items, b.items, a.count * sizeof *a.items) == 0);
    }
    tsdb_points_fini(&a);
    tsdb_points_fini(&b);
    tw_buf_fini(&record);
    tsdb_head_unref(head);
    tsdb_head_unref(back);
}
END_TEST

/* Records of a segment that names series 5 with one label, all references from these ids on. */
static enum tw_code replay_ids(uint64_t number, uint64_t base, uint64_t series, uint64_t pair,
                               uint64_t string)
{
    struct tsdb_head *head = tsdb_head_new(1);
    if (number != 1) {
        tsdb_head_unref(head);
        struct tsdb_index *index = tsdb_index_new_numbered(number);
        head = tsdb_head_new_sharing(1, index);
        tsdb_index_free(index);
    }
    struct tsdb_record_state state = {0};
    struct tw_buf record;
    tw_buf_init(&record, 65536);
    tw_buf_append_str(&record, TW_STR("\1\20"));
    tsdb_varint_append(&record, number);
    for (int i = 0; i < 3; i++)
        tsdb_varint_append(&record, base);
    tw_buf_append_str(&record, TW_STR("\1\1"));
    tsdb_varint_append(&record, tsdb_zigzag(series));
    tsdb_append_u64(&record, 77);
    tsdb_varint_append(&record, 1);
    tsdb_varint_append(&record, tsdb_zigzag(pair) << 1 | 1);
    tsdb_varint_append(&record, tsdb_zigzag(string) << 1 | 1);
    tw_buf_append_str(&record, TW_STR("\1a\1\1b"));
    enum tw_code code = tsdb_record_replay(head, &state, tw_buf_str(&record), &err);
    if (code == TW_OK)
        ck_assert(tsdb_index_finish_restore(tsdb_head_index(head)));
    tsdb_record_state_fini(&state);
    tw_buf_fini(&record);
    tsdb_head_unref(head);
    return code;
}

START_TEST(numbers_far_ahead_are_refused)
{
    const uint64_t far = (uint64_t)TSDB_RECORD_AHEAD_MAX + 5;
    ck_assert_int_eq(replay_ids(1, 0, 0, 1, 1), TW_OK);
    ck_assert_int_eq(replay_ids(1, 0, 1000, 1000, 1000), TW_OK);
    ck_assert_int_eq(replay_ids(1, 0, far, 1, 1), TW_CORRUPT);
    ck_assert_int_eq(replay_ids(1, 0, 0, far, 1), TW_CORRUPT);
    ck_assert_int_eq(replay_ids(1, 0, 0, 1, far), TW_CORRUPT);
    /* A new index had nothing, whatever the segment says; one that was there before did. */
    ck_assert_int_eq(replay_ids(1, TSDB_INDEX_ID_MAX - 1, far, 1, 1), TW_CORRUPT);
    ck_assert_int_eq(replay_ids(3, 10, far, far, far), TW_OK);
    ck_assert_int_eq(replay_ids(3, 10, far + 10, 1, 1), TW_CORRUPT);
    ck_assert_int_eq(replay_ids(3, UINT64_MAX, TSDB_INDEX_ID_MAX, 1, 1), TW_CORRUPT);
}
END_TEST

START_TEST(hostile_records_are_refused)
{
    uint64_t seed = 4711;
    for (int round = 0; round < 20000; round++) {
        char bytes[80];
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t size = 2 + (seed >> 33) % (sizeof bytes - 2);
        for (size_t i = 0; i < size; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[i] = (char)((seed >> 40) % (round % 2 ? 256 : 6));
        }
        bytes[0] = 1;
        bytes[1] = (char)(1 + round % 2);
        struct tsdb_head *head = tsdb_head_new(1);
        struct tsdb_record_state state = {.begun = true};
        (void)(tsdb_record_replay(head, &state, (struct tw_str){bytes, size}, &err) == TW_OK);
        tsdb_record_state_fini(&state);
        tsdb_head_unref(head);
    }
}
END_TEST

START_TEST(block_bytes)
{
    struct tsdb_block_writer writer;
    struct tw_buf bytes;
    tsdb_block_writer_init(&writer);
    tw_buf_init(&bytes, 65536);
    const struct tsdb_block_entry entries[] = {{3, 5, 480, 0, TSDB_KIND_FLOAT, TW_STR_INIT("one")},
                                               {3, 9, 480, 0, TSDB_KIND_FLOAT, TW_STR_INIT("two")},
                                               {4, 1, 2, 1, TSDB_KIND_FLOAT, TW_STR_INIT("three")}};
    for (int i = 0; i < 3; i++)
        ck_assert(tsdb_block_writer_add(&writer, &entries[i]));
    tsdb_block_writer_take(&writer, &bytes);
    assert_hex(tw_buf_str(&bytes), "0100"           /* version, not compressed */
                                   "03"             /* entries */
                                   "0401010604"     /* metrics: 3 and up to 1 bit: 3 3 4 */
                                   "050182040209"   /* series: 1 and 2 bits times 4: 5 9 1 */
                                   "03007101"       /* kinds: all float */
                                   "060181de030403" /* samples: 2 and 1 bit times 478: 480 480 2 */
                                   "0401010004"     /* columns: 0 0 1 */
                                   "050181020604"   /* sizes: 3 and 1 bit times 2: 3 3 5 */
                                   "6f6e6574776f7468726565");
    struct tsdb_block block;
    tsdb_block_init(&block);
    ck_assert(tsdb_block_parse(&block, tw_buf_str(&bytes)));
    ck_assert_uint_eq(block.count, 3);
    unit_assert_str(tsdb_block_find(&block, 3, 9)->values, "two");
    ck_assert(tsdb_block_find(&block, 3, 6) == NULL && tsdb_block_find(&block, 9, 9) == NULL);
    for (size_t size = 0; size < bytes.size; size++)
        ck_assert(!tsdb_block_parse(&block, (struct tw_str){bytes.data, size}));
    tsdb_block_fini(&block);
    tsdb_block_writer_fini(&writer);
    tw_buf_fini(&bytes);
}
END_TEST

START_TEST(hostile_blocks_are_refused)
{
    uint64_t seed = 99;
    struct tsdb_block block;
    tsdb_block_init(&block);
    for (int round = 0; round < 50000; round++) {
        char bytes[60];
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t size = 3 + (seed >> 33) % (sizeof bytes - 3);
        for (size_t i = 0; i < size; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[i] = (char)((seed >> 40) % (round % 2 ? 256 : 4));
        }
        bytes[0] = 1;
        bytes[1] = (char)(round % 3 == 0);
        if (!tsdb_block_parse(&block, (struct tw_str){bytes, size}))
            continue;
        for (uint32_t i = 0; i < block.count; i++) /* what is accepted lies within the bytes */
            ck_assert(tsdb_block_find(&block, block.entries[i].metric, block.entries[i].series) ==
                      &block.entries[i]);
    }
    tsdb_block_fini(&block);
}
END_TEST

static void dump_table(struct tsdb_env_txn *txn, const char *table, struct tw_buf *text)
{
    struct tsdb_env_cursor *cursor;
    struct tw_str key = {0}, value;
    unit_assert_ok(tsdb_env_cursor_open(txn, table, &cursor, &err), &err);
    while (tsdb_env_cursor_move(cursor, TSDB_ENV_NEXT, &key, &value, &err) == TW_OK) {
        tw_buf_appendf(text, "%s ", table);
        append_hex(text, key);
        tw_buf_append_cstr(text, " ");
        append_hex(text, value);
        tw_buf_append_cstr(text, "\n");
    }
    tsdb_env_cursor_close(cursor);
}

START_TEST(partition_bytes)
{
    char path[4096], file[4200];
    struct tsdb_db *db;
    snprintf(path, sizeof path, "%s/golden", unit_folder());
    unit_assert_ok(
        tsdb_db_open(&(struct tsdb_db_options){.folder = path, .manual = true}, &db, &err), &err);
    unit_assert_ok(store_append(db, "up,job=a", 1000, 1, &err), &err);
    unit_assert_ok(store_append(db, "up,job=a", 2000, 2, &err), &err);
    unit_assert_ok(store_append(db, "up,job=b", 7200000, 0.5, &err), &err);
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    tsdb_db_close(db);
    snprintf(file, sizeof file, "%s/default/partitions/day-0.mdb", path);
    struct tsdb_env *env;
    struct tsdb_env_txn *txn;
    unit_assert_ok(tsdb_env_open(file, &tsdb_partition_format, TSDB_ENV_OPEN, &env, &err), &err);
    unit_assert_ok(tsdb_env_begin(env, false, &txn, &err), &err);
    struct tw_buf text;
    tw_buf_init(&text, (size_t)1 << 20);
    static const char *const tables[] = {"meta",     "runs",    "strings", "series",
                                         "postings", "columns", "blocks"};
    for (int i = 0; i < 7; i++)
        dump_table(txn, tables[i], &text);
    ck_assert_str_eq(tw_buf_cstr(&text),
                     "meta 636f756e7473 00000006000000020000000000\n"
                     "meta 686561646572 545750415254000001000100\n"
                     "meta 6b657973 683a5b55073f3092\n"
                     "runs 0000000000000001 030202\n"
                     "strings 00000000 0006060104008032115f5f6e616d655f5f75706a6f626162\n"
                     "series 00000000 02030071020300710103007102030071030401010802\n"
                     "postings 0000000100000000000000013252f16400000000 "
                     "0106004464f152320300710203007102020000020000\n"
                     "postings 0000000300000000000000011e964e1f00000000 "
                     "020d0181a0ec88b202beb8b2e90302040101080203007101040101000200\n"
                     "columns 8000000000000000000000000000000100000000 "
                     "0103007102030071070181e807d00f02\n"
                     "columns 8000000000000001000000000000000100000000 0103007101030071040052dd6d\n"
                     "blocks 800000000000000000000000000000010000000200000000 "
                     "01011b2801030071020200000300711d0b100401010202\n"
                     "blocks 800000000000000100000000000000010000000200000001 "
                     "01011c1c01030071020300710108050428020000030071040002e03f\n");
    tw_buf_fini(&text);
    tsdb_env_abort(txn);
    tsdb_env_close(env);
}
END_TEST

/* Frame and header, as they lie in the file. */
START_TEST(environment_bytes)
{
    char path[4096];
    struct tsdb_state *state;
    struct tsdb_state_txn *txn;
    snprintf(path, sizeof path, "%s/state", unit_folder());
    unit_assert_ok(tsdb_state_open(path, &state, &err), &err);
    unit_assert_ok(tsdb_state_begin(state, true, &txn, &err), &err);
    unit_assert_ok(tsdb_state_put(txn, "t", TW_STR("key"), TW_STR("value"), &err), &err);
    unit_assert_ok(tsdb_state_commit(txn, &err), &err);
    tsdb_state_close(state);
    strcat(path, "/state.mdb");
    struct tw_buf content;
    tw_buf_init(&content, (size_t)1 << 24);
    unit_assert_ok(tw_file_read(path, &content, &err), &err);
    struct tw_str all = tw_buf_str(&content);
    size_t at = tw_str_find(all, TW_STR("headerTWv1"));
    ck_assert(at != SIZE_MAX);
    assert_hex(tw_str_slice(all, at + 6, at + 30), "54577631"         /* TWv1 */
                                                   "0c000000"         /* 12 bytes */
                                                   "7a5f6195"         /* CRC32C */
                                                   "5457535441544500" /* TWSTATE */
                                                   "01000100");
    at = tw_str_find(all, (struct tw_str){"t\0keyTWv1", 9});
    ck_assert(at != SIZE_MAX);
    assert_hex(tw_str_slice(all, at + 5, at + 22), "5457763105000000"
                                                   "2243dfae"
                                                   "76616c7565");
    tw_buf_fini(&content);
}
END_TEST

/* A file of another kind, or of a newer format, is refused with a reason. */
START_TEST(versions_are_checked)
{
    char path[4096];
    struct tsdb_env *env;
    static const struct tsdb_env_format ours = {.magic = "TWTEST",
                                                .version = 3,
                                                .oldest_reader = 2,
                                                .oldest_version = 2,
                                                .map_bytes = 1 << 20,
                                                .tables_max = 2};
    struct tsdb_env_format other = ours;
    snprintf(path, sizeof path, "%s/env", unit_folder());
    unit_assert_code(tsdb_env_open(path, &ours, TSDB_ENV_OPEN, &env, &err), TW_NOT_FOUND);
    unit_assert_ok(tsdb_env_open(path, &ours, TSDB_ENV_CREATE, &env, &err), &err);
    tsdb_env_close(env);
    unit_assert_code(tsdb_env_open(path, &ours, TSDB_ENV_CREATE, &env, &err), TW_CONFLICT);
    other.version = 1;
    unit_assert_code(tsdb_env_open(path, &other, TSDB_ENV_OPEN, &env, &err), TW_UNSUPPORTED);
    unit_assert_contains(err.message, "newer Tidewatch");
    other.version = 5;
    other.oldest_version = 4;
    unit_assert_code(tsdb_env_open(path, &other, TSDB_ENV_OPEN, &env, &err), TW_UNSUPPORTED);
    other = ours;
    memcpy(other.magic, "TWOTHER", 8);
    unit_assert_code(tsdb_env_open(path, &other, TSDB_ENV_OPEN, &env, &err), TW_CORRUPT);
    FILE *file = fopen(path, "wb");
    fputs("this is a text, and no store at all", file);
    fclose(file);
    unit_assert_code(tsdb_env_open(path, &ours, TSDB_ENV_OPEN, &env, &err), TW_CORRUPT);
    unit_assert_contains(err.message, path);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(log_record),
                                      UNIT_CASE(log_record_is_replayed),
                                      UNIT_CASE(numbers_far_ahead_are_refused),
                                      UNIT_CASE(hostile_records_are_refused),
                                      UNIT_CASE(block_bytes),
                                      UNIT_CASE(hostile_blocks_are_refused),
                                      UNIT_CASE(partition_bytes),
                                      UNIT_CASE(environment_bytes),
                                      UNIT_CASE(versions_are_checked),
                                      {0}};
    return unit_run("tsdb/format", cases);
}
