/* SPDX-License-Identifier: Apache-2.0
 *
 * partition_runs: the rows that say which runs a partition has, and what its last rewrite did.
 */
#include "config.h"

#include <stdlib.h>

#include "base/assert.h"
#include "tsdb/codec.h"
#include "tsdb/partition_int.h"

static bool parse_row(struct tw_str value, struct tsdb_run_row *row)
{
    struct tsdb_reader reader = tsdb_reader(value);
    row->samples = tsdb_read_varint(&reader);
    row->blocks = tsdb_read_varint(&reader);
    uint64_t series_limit = tsdb_read_varint(&reader);
    row->series_limit = (uint32_t)series_limit;
    return reader.ok && tsdb_reader_left(&reader) == 0 && series_limit <= UINT32_MAX;
}

enum tw_code tsdb_partition_list_runs(struct tsdb_env *env, struct tsdb_env_txn *txn,
                                      struct tsdb_run_row **ret_rows, size_t *ret_count,
                                      struct tw_err *err)
{
    struct tsdb_env_cursor *cursor;
    enum tw_code code = tsdb_env_cursor_open(txn, TSDB_TABLE_RUNS, &cursor, err);
    if (code != TW_OK)
        return code;
    struct tsdb_run_row *rows = NULL;
    size_t count = 0, capacity = 0;
    struct tw_str key = {0}, value;
    while ((code = tsdb_env_cursor_move(cursor, TSDB_ENV_NEXT, &key, &value, err)) == TW_OK) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            rows = realloc(rows, capacity * sizeof *rows);
            TW_ASSERT(rows != NULL);
        }
        if (key.size != 8 || !parse_row(value, &rows[count])) {
            code = tsdb_partition_corrupt(env, "row of a run", err);
            break;
        }
        rows[count++].number = tsdb_env_key_get_u64(key.data);
    }
    tsdb_env_cursor_close(cursor);
    if (code != TW_NOT_FOUND) {
        free(rows);
        return code;
    }
    *ret_rows = rows;
    *ret_count = count;
    return TW_OK;
}

static enum tw_code read_rewrite(struct tsdb_env *env, struct tsdb_env_txn *txn,
                                 struct tsdb_partition_info *info, struct tw_err *err)
{
    struct tw_str value;
    enum tw_code code = tsdb_env_get(txn, TSDB_TABLE_META, TW_STR(TSDB_REWRITE_KEY), &value, err);
    if (code == TW_NOT_FOUND)
        return TW_OK;
    if (code != TW_OK)
        return code;
    struct tsdb_reader reader = tsdb_reader(value);
    info->rewritten_ms = info->ruled_ms = (int64_t)tsdb_unzigzag(tsdb_read_varint(&reader));
    info->base_run = tsdb_read_varint(&reader);
    info->base_samples = tsdb_read_varint(&reader);
    info->erased = tsdb_read_varint(&reader);
    info->step_ms = (int64_t)tsdb_read_varint(&reader);
    return reader.ok && info->step_ms >= 0
               ? TW_OK
               : tsdb_partition_corrupt(env, "record of a rewrite", err);
}

enum tw_code tsdb_partition_read_step(struct tsdb_env *env, struct tsdb_env_txn *txn,
                                      int64_t *ret_step_ms, struct tw_err *err)
{
    struct tsdb_partition_info info = {.step_ms = 0};
    enum tw_code code = read_rewrite(env, txn, &info, err);
    *ret_step_ms = info.step_ms;
    return code;
}

enum tw_code tsdb_partition_read_info(struct tsdb_env *env, struct tsdb_partition_info *ret,
                                      struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    struct tsdb_run_row *rows = NULL;
    size_t count = 0;
    struct tsdb_partition_info info = {.bytes = tsdb_env_bytes(env)};
    enum tw_code code = tsdb_env_begin(env, false, &txn, err);
    if (code != TW_OK)
        return code;
    code = tsdb_partition_list_runs(env, txn, &rows, &count, err);
    if (code == TW_OK)
        code = read_rewrite(env, txn, &info, err);
    struct tsdb_partition_counts counts = {0};
    if (code == TW_OK)
        code = tsdb_partition_read_counts(txn, &counts, err);
    info.series = counts.series;
    tsdb_env_abort(txn);
    for (size_t i = 0; code == TW_OK && i < count; i++) {
        info.samples += rows[i].samples;
        info.run_count += rows[i].blocks > 0;
    }
    if (code == TW_OK && count > 0) {
        info.first_run = rows[0].number;
        info.last_run = rows[count - 1].number;
    }
    free(rows);
    if (code == TW_OK)
        *ret = info;
    return code;
}

static enum tw_code put_rows(struct tsdb_env_txn *txn, const struct tsdb_run_row *rows,
                             size_t count, struct tw_buf *value, struct tw_err *err)
{
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < count && code == TW_OK; i++) {
        unsigned char key[8];
        tsdb_env_key_u64(key, rows[i].number);
        tw_buf_clear(value);
        tsdb_varint_append(value, rows[i].samples);
        tsdb_varint_append(value, rows[i].blocks);
        tsdb_varint_append(value, rows[i].series_limit);
        code = tsdb_env_put(txn, TSDB_TABLE_RUNS, (struct tw_str){(const char *)key, sizeof key},
                            tw_buf_str(value), err);
    }
    return code;
}

enum tw_code tsdb_partition_write_runs(struct tsdb_env *env, const struct tsdb_run_row *rows,
                                       size_t count, const struct tsdb_partition_info *info,
                                       struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    enum tw_code code = tsdb_env_begin(env, true, &txn, err);
    if (code != TW_OK)
        return code;
    struct tw_buf value;
    tw_buf_init(&value, 256);
    code = put_rows(txn, rows, count, &value, err);
    tw_buf_clear(&value);
    tsdb_varint_append(&value, tsdb_zigzag((uint64_t)info->rewritten_ms));
    tsdb_varint_append(&value, info->base_run);
    tsdb_varint_append(&value, info->base_samples);
    tsdb_varint_append(&value, info->erased);
    tsdb_varint_append(&value, (uint64_t)info->step_ms);
    if (code == TW_OK)
        code =
            tsdb_env_put(txn, TSDB_TABLE_META, TW_STR(TSDB_REWRITE_KEY), tw_buf_str(&value), err);
    tw_buf_fini(&value);
    if (code == TW_OK)
        return tsdb_env_commit(txn, err);
    tsdb_env_abort(txn);
    return code;
}
