/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/file.h"
#include "tsdb/lmdb.h"

#define SEGMENT_MAGIC 0x7e5d5e91u
#define SEGMENT_TABLE "groups"
#define SEGMENT_MAP_BYTES ((size_t)64 << 20)
#define SEGMENT_NAME_FORMAT "%016" PRIx64 ".log"
#define SEGMENT_NAME_BYTES 24

const struct tsdb_env_format tsdb_segment_format = {
    .magic = "TWLOG",
    .version = 1,
    .oldest_reader = 1,
    .oldest_version = 1,
    .map_bytes = SEGMENT_MAP_BYTES,
    .tables_max = 2,
    .single_thread = true,
};

struct tsdb_segment {
    unsigned magic;
    struct tsdb_env *env;
    uint64_t group_count;
    bool failed;
};

static char *segment_path(const char *folder, uint64_t number)
{
    char name[SEGMENT_NAME_BYTES];
    snprintf(name, sizeof name, SEGMENT_NAME_FORMAT, number);
    return tw_file_join(folder, name);
}

enum tw_code tsdb_segment_create(const char *folder, uint64_t number,
                                 struct tsdb_segment **ret_segment, struct tw_err *err)
{
    char *path = segment_path(folder, number);
    struct tsdb_env *env;
    enum tw_code code = tsdb_env_open(path, &tsdb_segment_format, TSDB_ENV_CREATE, &env, err);
    free(path);
    if (code != TW_OK)
        return code;
    struct tsdb_segment *segment = calloc(1, sizeof *segment);
    TW_ASSERT(segment != NULL);
    *segment = (struct tsdb_segment){.magic = SEGMENT_MAGIC, .env = env};
    *ret_segment = segment;
    return TW_OK;
}

struct tsdb_segment *tsdb_segment_close(struct tsdb_segment *segment)
{
    if (!segment)
        return NULL;
    TW_CHECK_MAGIC(segment, SEGMENT_MAGIC);
    tsdb_env_close(segment->env);
    segment->magic = 0;
    free(segment);
    return NULL;
}

static enum tw_code append_once(struct tsdb_segment *segment, struct tw_str group,
                                struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    unsigned char key[8];
    tsdb_env_key_u64(key, segment->group_count + 1);
    enum tw_code code = tsdb_env_begin(segment->env, true, &txn, err);
    if (code != TW_OK)
        return code;
    code = tsdb_env_put(txn, SEGMENT_TABLE, (struct tw_str){(const char *)key, sizeof key}, group,
                        err);
    if (code != TW_OK) {
        tsdb_env_abort(txn);
        return code;
    }
    return tsdb_env_commit(txn, err);
}

enum tw_code tsdb_segment_append(struct tsdb_segment *segment, struct tw_str group,
                                 struct tw_err *err)
{
    TW_CHECK_MAGIC(segment, SEGMENT_MAGIC);
    TW_ASSERT(!segment->failed && group.size > 0);
    enum tw_code code;
    while ((code = append_once(segment, group, err)) == TW_BUSY) {
        code = tsdb_env_grow(segment->env, err);
        if (code != TW_OK)
            break;
    }
    if (code != TW_OK) {
        segment->failed = true;
        return code;
    }
    segment->group_count++;
    return TW_OK;
}

enum tw_code tsdb_segment_remove(const char *folder, uint64_t number, struct tw_err *err)
{
    char *path = segment_path(folder, number);
    enum tw_code code = tsdb_env_remove(path, err);
    free(path);
    return code == TW_OK ? tw_file_sync_folder(folder, err) : code;
}

/* False for a name that is none of ours. */
static bool parse_name(const char *name, uint64_t *ret_number)
{
    char *end;
    if (strlen(name) != 20 || strcmp(name + 16, ".log") != 0)
        return false;
    *ret_number = strtoull(name, &end, 16);
    return end == name + 16 && *ret_number > 0;
}

enum tw_code tsdb_log_list(const char *folder, uint64_t **ret_numbers, size_t *ret_count,
                           struct tw_err *err)
{
    char **names;
    size_t name_count, count = 0;
    enum tw_code code = tw_file_list(folder, &names, &name_count, err);
    if (code != TW_OK)
        return code;
    uint64_t *numbers = malloc((name_count + 1) * sizeof *numbers);
    TW_ASSERT(numbers != NULL);
    for (size_t i = 0; i < name_count; i++) {
        struct tw_str name = tw_str(names[i]);
        if (parse_name(names[i], &numbers[count])) {
            count++; /* names are sorted, and all of one length */
        } else if (tw_str_ends(name, TW_STR(".log.tmp"))) {
            char *path = tw_file_join(folder, names[i]);
            code = tsdb_env_remove(path, err);
            free(path);
            if (code != TW_OK)
                break;
        }
    }
    tw_file_list_free(names, name_count);
    if (code != TW_OK) {
        free(numbers);
        return code;
    }
    *ret_numbers = numbers;
    *ret_count = count;
    return TW_OK;
}

enum tw_code tsdb_log_replay(const char *folder, uint64_t number, tsdb_log_visit *visit, void *user,
                             struct tw_err *err)
{
    struct tw_err own;
    err = err ? err : &own; /* wrapped below */
    char *path = segment_path(folder, number);
    struct tsdb_env *env = NULL;
    struct tsdb_env_txn *txn = NULL;
    struct tsdb_env_cursor *cursor = NULL;
    enum tw_code code = tsdb_env_open(path, &tsdb_segment_format, TSDB_ENV_OPEN, &env, err);
    bool opened = code == TW_OK;
    if (code == TW_OK)
        code = tsdb_env_begin(env, false, &txn, err);
    if (code == TW_OK)
        code = tsdb_env_cursor_open(txn, SEGMENT_TABLE, &cursor, err);
    uint64_t expected = 1;
    struct tw_str key = {0}, group;
    while (code == TW_OK) {
        code = tsdb_env_cursor_move(cursor, expected == 1 ? TSDB_ENV_FIRST : TSDB_ENV_NEXT, &key,
                                    &group, err);
        if (code != TW_OK)
            break;
        if (key.size != 8 || tsdb_env_key_get_u64(key.data) != expected)
            code = tw_err_set(err, TW_CORRUPT, "'%s': group %" PRIu64 " of the log is missing",
                              path, expected);
        else if ((code = visit(user, group, err)) != TW_OK)
            tw_err_wrap(err, "'%s', group %" PRIu64, path, expected);
        expected++;
    }
    tsdb_env_cursor_close(cursor);
    tsdb_env_abort(txn);
    tsdb_env_close(env);
    free(path);
    return opened && code == TW_NOT_FOUND ? TW_OK : code; /* the end of the groups */
}
