/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/buf.h"
#include "tsdb/codec.h"
#include "tsdb/lmdb.h"

#define SEGMENT_MAGIC 0x7e5d5e91u
#define SEGMENT_TABLE "groups"
/* To add to a leaf LMDB reads it through its map, and with it the system maps those around it. What
 * was written is not read again: after so much it is let go. */
#define FORGET_BYTES ((size_t)1 << 20)
/* The file is kept longer than it is used, by this at most: see tsdb_env_lengthen. */
#define ROOM_BYTES ((size_t)512 << 10)
#define ROOM_BYTES_MIN ((size_t)64 << 10)
#define GROUP_BYTES_MAX ((size_t)1 << 32)
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

/* A key: number of the group, of the part in it. */
#define KEY_BYTES 10
/* What LMDB adds to a value in a leaf: header and place of the node, key, frame. */
#define NODE_BYTES (8 + 2 + KEY_BYTES + TSDB_ENV_FRAME_BYTES)
#define LEAF_BYTES (TSDB_ENV_PAGE_BYTES - TSDB_ENV_PAGE_HEADER_BYTES)
/* Parts in leaves are at most so long, two and a bit a page; what is longer has pages of its own,
 * of which the last would be half empty on average. */
#define LEAF_PART_MAX 1880
#define LEAF_PART_MIN 64
#define OWN_PAGES_MIN 3
#define OWN_PAGES_MAX 1024
/* Of such pages: the page's header, the frame, the names behind the value (lmdb_frame.c), the
 * length. */
#define OWN_PAGES_OVERHEAD                                                                         \
    (TSDB_ENV_PAGE_HEADER_BYTES + TSDB_ENV_FRAME_BYTES + 3 + sizeof SEGMENT_TABLE - 1 + KEY_BYTES)

struct tsdb_segment {
    unsigned magic;
    struct tsdb_env *env;
    uint64_t group_count;
    size_t leaf_left;     /* bytes in the newest leaf, as far as we can tell */
    size_t written_bytes; /* since pages were let go */
    struct tw_buf part;
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
    *segment = (struct tsdb_segment){.magic = SEGMENT_MAGIC, .env = env, .leaf_left = LEAF_BYTES};
    tw_buf_init(&segment->part, GROUP_BYTES_MAX);
    *ret_segment = segment;
    return TW_OK;
}

struct tsdb_segment *tsdb_segment_close(struct tsdb_segment *segment)
{
    if (!segment)
        return NULL;
    TW_CHECK_MAGIC(segment, SEGMENT_MAGIC);
    tsdb_env_close(segment->env);
    tw_buf_fini(&segment->part);
    segment->magic = 0;
    free(segment);
    return NULL;
}

static void make_key(unsigned char *ret_key, uint64_t group, unsigned part)
{
    tsdb_env_key_u64(ret_key, group);
    ret_key[8] = (unsigned char)(part >> 8);
    ret_key[9] = (unsigned char)part;
}

/* How much of `size` bytes the next part takes, so that pages are full: whole pages of its own, or
 * what fits into the newest leaf. */
static size_t cut_part(size_t *leaf_left, size_t size)
{
    size_t pages = (size + OWN_PAGES_OVERHEAD) / TSDB_ENV_PAGE_BYTES;
    if (*leaf_left < NODE_BYTES + LEAF_PART_MIN)
        *leaf_left = LEAF_BYTES;
    if (pages >= OWN_PAGES_MIN) {
        *leaf_left -= NODE_BYTES;
        if (pages > OWN_PAGES_MAX)
            pages = OWN_PAGES_MAX;
        return pages * TSDB_ENV_PAGE_BYTES - OWN_PAGES_OVERHEAD;
    }
    size_t room = *leaf_left - NODE_BYTES;
    size = size < LEAF_PART_MAX ? size : LEAF_PART_MAX;
    size = size < room ? size : room;
    *leaf_left -= NODE_BYTES + (size + 1) / 2 * 2;
    return size;
}

static enum tw_code put_parts(struct tsdb_segment *segment, struct tsdb_env_txn *txn,
                              struct tw_str group, size_t *leaf_left, struct tw_err *err)
{
    enum tw_code code = TW_OK;
    unsigned part = 0;
    /* The first part says how long the whole is. */
    tw_buf_clear(&segment->part);
    tsdb_varint_append(&segment->part, group.size);
    size_t length_bytes = segment->part.size;
    for (size_t at = 0; at < group.size && code == TW_OK; part++) {
        if (part > UINT16_MAX)
            return tw_err_set(err, TW_LIMIT, "a group of %zu bytes is too large for the log",
                              group.size);
        unsigned char key[KEY_BYTES];
        make_key(key, segment->group_count + 1, part);
        size_t size = cut_part(leaf_left, group.size - at + (part ? 0 : length_bytes));
        struct tw_str value = {group.data + at, size};
        if (part == 0) {
            size -= length_bytes;
            tw_buf_append_str(&segment->part, (struct tw_str){group.data, size});
            value = tw_buf_str(&segment->part);
        }
        at += size;
        code = tsdb_env_append(txn, SEGMENT_TABLE, (struct tw_str){(const char *)key, sizeof key},
                               value, err);
    }
    return code;
}

static enum tw_code append_once(struct tsdb_segment *segment, struct tw_str group,
                                struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    size_t leaf_left = segment->leaf_left;
    enum tw_code code = tsdb_env_begin(segment->env, true, &txn, err);
    if (code != TW_OK)
        return code;
    code = put_parts(segment, txn, group, &leaf_left, err);
    if (code != TW_OK) {
        tsdb_env_abort(txn);
        return code;
    }
    segment->leaf_left = leaf_left;
    code = tsdb_env_commit(txn, err);
    segment->written_bytes += group.size;
    if (code == TW_OK)
        tsdb_env_lengthen(segment->env, ROOM_BYTES_MIN, ROOM_BYTES);
    if (code == TW_OK && segment->written_bytes > FORGET_BYTES) {
        tsdb_env_forget_pages(segment->env);
        segment->written_bytes = 0;
    }
    return code;
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

uint64_t tsdb_segment_bytes(const struct tsdb_segment *segment)
{
    TW_CHECK_MAGIC(segment, SEGMENT_MAGIC);
    return tsdb_env_bytes(segment->env);
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

/* A group being put together from its parts. */
struct assembly {
    const char *path;
    uint64_t group; /* number of the one that is expected, or in part there */
    unsigned part;
    uint64_t size; /* of the whole */
    struct tw_buf bytes;
};

/* The next part. ret_group is set once the group is complete. */
static enum tw_code add_part(struct assembly *assembly, struct tw_str key, struct tw_str value,
                             struct tw_str *ret_group, struct tw_err *err)
{
    unsigned char wanted[KEY_BYTES];
    make_key(wanted, assembly->group, assembly->part);
    *ret_group = (struct tw_str){0};
    if (!tw_str_equal(key, (struct tw_str){(const char *)wanted, sizeof wanted}))
        return tw_err_set(err, TW_CORRUPT,
                          "'%s': part %u of group %" PRIu64 " of the log is missing",
                          assembly->path, assembly->part, assembly->group);
    if (assembly->part++ == 0) {
        struct tsdb_reader reader = tsdb_reader(value);
        assembly->size = tsdb_read_varint(&reader);
        value = tsdb_read_bytes(&reader, tsdb_reader_left(&reader));
        tw_buf_clear(&assembly->bytes);
        if (assembly->size == value.size && value.size > 0)
            *ret_group = value; /* as most do */
    }
    if (!ret_group->size) {
        if (value.size == 0 || value.size > assembly->size - assembly->bytes.size ||
            assembly->size > GROUP_BYTES_MAX)
            return tw_err_set(err, TW_CORRUPT,
                              "'%s', group %" PRIu64 " of the log: its parts are too long or short",
                              assembly->path, assembly->group);
        tw_buf_append_str(&assembly->bytes, value);
        if (assembly->bytes.size == assembly->size)
            *ret_group = tw_buf_str(&assembly->bytes);
    }
    if (ret_group->size) {
        assembly->group++;
        assembly->part = 0;
    }
    return TW_OK;
}

static enum tw_code replay_groups(struct tsdb_env_cursor *cursor, struct assembly *assembly,
                                  tsdb_log_visit *visit, void *user, struct tw_err *err)
{
    struct tw_str key = {0}, value, group;
    enum tw_code code;
    enum tsdb_env_move move = TSDB_ENV_FIRST;
    while ((code = tsdb_env_cursor_move(cursor, move, &key, &value, err)) == TW_OK) {
        move = TSDB_ENV_NEXT;
        code = add_part(assembly, key, value, &group, err);
        if (code == TW_OK && group.size && (code = visit(user, group, err)) != TW_OK)
            tw_err_wrap(err, "'%s', group %" PRIu64, assembly->path, assembly->group - 1);
        if (code != TW_OK)
            return code;
    }
    if (code != TW_NOT_FOUND)
        return code;
    return assembly->part == 0
               ? TW_OK /* the end of the groups */
               : tw_err_set(err, TW_CORRUPT,
                            "'%s': the last part of group %" PRIu64 " of the log is missing",
                            assembly->path, assembly->group);
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
    struct assembly assembly = {.path = path, .group = 1};
    tw_buf_init(&assembly.bytes, GROUP_BYTES_MAX);
    enum tw_code code = tsdb_env_open(path, &tsdb_segment_format, TSDB_ENV_OPEN, &env, err);
    if (code == TW_OK)
        code = tsdb_env_begin(env, false, &txn, err);
    if (code == TW_OK) {
        code = tsdb_env_cursor_open(txn, SEGMENT_TABLE, &cursor, err);
        if (code == TW_OK)
            code = replay_groups(cursor, &assembly, visit, user, err);
        else if (code == TW_NOT_FOUND)
            code = TW_OK; /* nothing was ever written */
    }
    tsdb_env_cursor_close(cursor);
    tsdb_env_abort(txn);
    tsdb_env_close(env);
    tw_buf_fini(&assembly.bytes);
    free(path);
    return code;
}
