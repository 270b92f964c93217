/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lmdb.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/lock.h"
#include "tsdb/pages.h"

#define ENV_MAGIC 0x7e5db001u
#define TXN_MAGIC 0x7e5db002u
#define CURSOR_MAGIC 0x7e5db003u

#define FRAME_MAGIC UINT32_C(0x31765754) /* "TWv1" */
#define FRAME_HEADER 12
#define FRAME_NAME_HEADER 3
/* LMDB keeps a value with its leaf up to about this size; beyond it has pages of its own. */
#define FRAME_NAMED_FROM 1900
#define TABLES_MAX 16
#define META_TABLE "meta"
#define HEADER_KEY "header"
#define SUM_KEY "keys"
#define SUM_BYTES 8
#define HEADER_BYTES (TSDB_ENV_MAGIC_BYTES + 4)
#define MAP_BYTES_MAX ((size_t)1 << 44)
#define READERS_MAX_DEFAULT 126
#define READER_BYTES 64 /* a slot of LMDB's reader table, one cache line; its head takes two */
/* How long a new transaction waits for one that wants the environment for itself (which waits for
 * those that are open). Then it passes: its thread may be the one that is waited for. */
#define GATE_WAIT_NS INT64_C(200000000)
/* How long that one waits for the others, when it need not succeed. */
#define REOPEN_WAIT_NS INT64_C(2000000000)

struct table {
    char name[TSDB_ENV_TABLE_BYTES];
    MDB_dbi dbi;
};

struct tsdb_env {
    unsigned magic;
    MDB_env *mdb;
    char *path;
    const struct tsdb_env_format *format;
    size_t map_bytes;
    bool single_thread;
    /* Guards what follows: the table of tables, and the gate that keeps transactions out while the
     * map is moved or the file is opened again. */
    struct tw_lock lock;
    struct tw_cond idle;
    unsigned readers;  /* open transactions */
    bool closing_gate; /* somebody waits for readers to become 0 */
    bool broken; /* a commit failed: LMDB gives no transaction any more until it is opened again */
    struct table tables[TABLES_MAX]; /* committed ones; only ever added to */
    unsigned table_count;
};

struct tsdb_env_txn {
    unsigned magic;
    struct tsdb_env *env;
    MDB_txn *mdb;
    bool write;
    unsigned table_count;           /* committed tables that this snapshot knows for sure */
    struct table fresh[TABLES_MAX]; /* tables made in this transaction */
    unsigned fresh_count;
    uint64_t sum; /* of the keys added, less those removed */
};

struct tsdb_env_cursor {
    unsigned magic;
    struct tsdb_env_txn *txn;
    const char *table;
    MDB_cursor *mdb; /* NULL when the table is not there */
};

static enum tw_code fail(const struct tsdb_env *env, int number, const char *what,
                         struct tw_err *err)
{
    const char *path = env->path;
    switch (number) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return tw_err_set(err, TW_BUSY, "'%s': %s: the map is full", path, what);
    case MDB_READERS_FULL:
        return tw_err_set(err, TW_OVERLOAD, "'%s': %s: too many readers at once", path, what);
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return tw_err_set(err, TW_CORRUPT, "'%s': %s: not an LMDB file of a version that is known",
                          path, what);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
        return tw_err_set(err, TW_CORRUPT, "'%s': %s: %s", path, what, mdb_strerror(number));
    case EFBIG:
    case EDQUOT:
    case ENOSPC:
        return tw_err_errno(err, ENOSPC, "'%s': %s", path, what);
    default:
        if (number < 0)
            return tw_err_set(err, TW_IO, "'%s': %s: %s", path, what, mdb_strerror(number));
        return tw_err_errno(err, number, "'%s': %s", path, what);
    }
}

/* ---- LMDB's assertions ---- */

/* Its pages are checked when a file is opened; what is damaged later and trips an assertion of
 * LMDB's is not to end the process where that can be avoided: the call is left, the transaction
 * aborted. */
static _Thread_local jmp_buf *assert_exit;

static void leave_call(MDB_env *mdb, const char *text)
{
    (void)mdb, (void)text;
    if (assert_exit)
        longjmp(*assert_exit, 1);
}

static int guarded_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value)
{
    jmp_buf jump;
    int number = MDB_CORRUPTED;
    if (setjmp(jump) == 0) {
        assert_exit = &jump;
        number = mdb_get(txn, dbi, key, value);
    }
    assert_exit = NULL;
    return number;
}

static int guarded_move(MDB_cursor *cursor, MDB_val *key, MDB_val *value, MDB_cursor_op op)
{
    jmp_buf jump;
    int number = MDB_CORRUPTED;
    if (setjmp(jump) == 0) {
        assert_exit = &jump;
        number = mdb_cursor_get(cursor, key, value, op);
    }
    assert_exit = NULL;
    return number;
}

static int guarded_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags)
{
    jmp_buf jump;
    int number = MDB_CORRUPTED;
    if (setjmp(jump) == 0) {
        assert_exit = &jump;
        number = mdb_put(txn, dbi, key, value, flags);
    }
    assert_exit = NULL;
    return number;
}

/* ---- frames ---- */

static void put_le32(unsigned char *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(number >> (8 * i));
}

static uint32_t get_le32(const unsigned char *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

static uint32_t frame_crc(const char *table, struct tw_str key, const void *payload, size_t size)
{
    uint32_t crc = tw_crc32c(0, table, strlen(table) + 1);
    return tw_crc32c(tw_crc32c(crc, key.data, key.size), payload, size);
}

/* Bytes behind the value: for one that lies on pages of its own, what it is. */
static size_t name_bytes(const char *table, struct tw_str key, size_t size)
{
    return size < FRAME_NAMED_FROM ? 0 : FRAME_NAME_HEADER + strlen(table) + key.size;
}

static void write_frame(unsigned char *to, const char *table, struct tw_str key,
                        struct tw_str value)
{
    put_le32(to, FRAME_MAGIC);
    put_le32(to + 4, (uint32_t)value.size);
    put_le32(to + 8, frame_crc(table, key, value.data, value.size));
    to += FRAME_HEADER;
    if (value.size)
        memcpy(to, value.data, value.size);
    if (value.size < FRAME_NAMED_FROM)
        return;
    to += value.size;
    *to++ = (unsigned char)strlen(table);
    *to++ = (unsigned char)key.size;
    *to++ = (unsigned char)(key.size >> 8);
    memcpy(to, table, strlen(table));
    memcpy(to + strlen(table), key.data, key.size);
}

bool tsdb_env_unframe(const char *table, struct tw_str key, struct tw_str framed,
                      struct tw_str *ret_value, const char **ret_wrong)
{
    const unsigned char *bytes = (const unsigned char *)framed.data;
    *ret_wrong = NULL;
    uint32_t size = framed.size >= FRAME_HEADER ? get_le32(bytes + 4) : 0;
    if (framed.size < FRAME_HEADER)
        *ret_wrong = "too short for its frame";
    else if (get_le32(bytes) != FRAME_MAGIC)
        *ret_wrong = "wrong magic";
    else if (size > framed.size ||
             framed.size != FRAME_HEADER + size + name_bytes(table, key, size))
        *ret_wrong = "wrong length";
    else if (get_le32(bytes + 8) != frame_crc(table, key, bytes + FRAME_HEADER, size))
        *ret_wrong = "checksum mismatch";
    if (*ret_wrong)
        return false;
    *ret_value = (struct tw_str){framed.data + FRAME_HEADER, size};
    return true;
}

bool tsdb_env_frame_name(struct tw_str pages, char *ret_table, struct tw_str *ret_key,
                         struct tw_str *ret_framed)
{
    const unsigned char *bytes = (const unsigned char *)pages.data;
    if (pages.size < FRAME_HEADER + FRAME_NAME_HEADER || get_le32(bytes) != FRAME_MAGIC)
        return false;
    size_t size = get_le32(bytes + 4), at = FRAME_HEADER + size;
    if (size < FRAME_NAMED_FROM || at + FRAME_NAME_HEADER > pages.size)
        return false;
    size_t table_size = bytes[at], key_size = bytes[at + 1] | (size_t)bytes[at + 2] << 8;
    at += FRAME_NAME_HEADER;
    if (table_size == 0 || table_size >= TSDB_ENV_TABLE_BYTES || key_size == 0 ||
        key_size > TSDB_ENV_KEY_BYTES_MAX || table_size + key_size > pages.size - at)
        return false;
    memcpy(ret_table, pages.data + at, table_size);
    ret_table[table_size] = '\0';
    *ret_key = (struct tw_str){pages.data + at + table_size, key_size};
    *ret_framed = (struct tw_str){pages.data, at + table_size + key_size};
    return strlen(ret_table) == table_size;
}

static enum tw_code unframe(const struct tsdb_env *env, const char *table, MDB_val key,
                            MDB_val framed, struct tw_str *ret_value, struct tw_err *err)
{
    const char *wrong;
    if (!tsdb_env_unframe(table, (struct tw_str){key.mv_data, key.mv_size},
                          (struct tw_str){framed.mv_data, framed.mv_size}, ret_value, &wrong)) {
        char hex[2 * 24 + 1] = "";
        for (size_t i = 0; i < key.mv_size && i < 24; i++)
            snprintf(hex + 2 * i, 3, "%02x", ((const unsigned char *)key.mv_data)[i]);
        return tw_err_set(err, TW_CORRUPT, "'%s': damaged value in table '%s', key %s: %s",
                          env->path, table, hex, wrong);
    }
    return TW_OK;
}

/* What a key adds to the sum of all keys. The sum's own is not in it. */
static uint64_t key_sum(struct tw_str table, struct tw_str key)
{
    if (tw_str_is(table, META_TABLE) && tw_str_is(key, SUM_KEY))
        return 0;
    return tw_hash64_seeded(key.data, key.size, tw_hash64(table.data, table.size));
}

/* ---- life ---- */

/* LMDB writes its reader table through a shared map of "<path>-lock". On a full disk the file's
 * holes cannot be filled, and the write is a SIGBUS; so its space is taken before, where it can
 * fail. */
static enum tw_code reserve_readers(const char *path, unsigned readers_max, struct tw_err *err)
{
    char *lock_path = malloc(strlen(path) + sizeof "-lock");
    TW_ASSERT(lock_path != NULL);
    strcpy(stpcpy(lock_path, path), "-lock");
    enum tw_code code = TW_OK;
    int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    int number = fd < 0 ? errno : posix_fallocate(fd, 0, (off_t)(readers_max + 2) * READER_BYTES);
    if (number)
        code = tw_err_errno(err, number, "'%s': cannot reserve its space", lock_path);
    if (fd >= 0)
        close(fd); /* before LMDB opens it: closing drops the process's locks on the file */
    free(lock_path);
    return code;
}

static enum tw_code open_mdb(struct tsdb_env *env, const char *path,
                             const struct tsdb_env_format *format, struct tw_err *err)
{
    unsigned readers_max = format->readers_max ? format->readers_max : READERS_MAX_DEFAULT;
    env->mdb = NULL;
    if (!format->single_thread) {
        enum tw_code code = reserve_readers(path, readers_max, err);
        if (code != TW_OK)
            return code;
    }
    int number = mdb_env_create(&env->mdb);
    if (number) {
        env->mdb = NULL;
        return fail(env, number, "cannot make an environment", err);
    }
    mdb_env_set_assert(env->mdb, leave_call);
    mdb_env_set_maxdbs(env->mdb, format->tables_max + 1);
    mdb_env_set_maxreaders(env->mdb, readers_max);
    struct stat status;
    size_t map = format->map_bytes;
    if (stat(path, &status) == 0)
        while (map < (size_t)status.st_size * 2 && map < MAP_BYTES_MAX)
            map *= 2;
    env->map_bytes = map;
    mdb_env_set_mapsize(env->mdb, map);
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | (format->single_thread ? MDB_NOLOCK : 0) |
                     (format->random_reads ? MDB_NORDAHEAD : 0);
    number = mdb_env_open(env->mdb, path, flags, 0640);
    if (number) {
        mdb_env_close(env->mdb);
        env->mdb = NULL;
        return fail(env, number, "cannot open", err);
    }
    return TW_OK;
}

/* Opens the handles of all tables that are there. */
static enum tw_code load_tables(struct tsdb_env *env, struct tw_err *err)
{
    MDB_txn *txn;
    MDB_dbi root;
    MDB_cursor *cursor = NULL;
    env->table_count = 0;
    int number = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    if (number)
        return fail(env, number, "cannot begin", err);
    number = mdb_dbi_open(txn, NULL, 0, &root);
    if (!number)
        number = mdb_cursor_open(txn, root, &cursor);
    MDB_val key, value;
    while (!number && !(number = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
        struct table *table = &env->tables[env->table_count];
        if (env->table_count == TABLES_MAX || key.mv_size >= sizeof table->name) {
            number = MDB_CORRUPTED;
            break;
        }
        memcpy(table->name, key.mv_data, key.mv_size);
        table->name[key.mv_size] = '\0';
        number = mdb_dbi_open(txn, table->name, 0, &table->dbi);
        if (!number)
            env->table_count++;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    if (number == MDB_NOTFOUND)
        number = mdb_txn_commit(txn); /* keeps the handles */
    else
        mdb_txn_abort(txn);
    return number ? fail(env, number, "cannot read the tables", err) : TW_OK;
}

static enum tw_code check_header(struct tsdb_env *env, const struct tsdb_env_format *format,
                                 struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    struct tw_str header;
    enum tw_code code = tsdb_env_begin(env, false, &txn, err);
    if (code != TW_OK)
        return code;
    code = tsdb_env_get(txn, META_TABLE, TW_STR(HEADER_KEY), &header, err);
    if (code == TW_NOT_FOUND)
        code = tw_err_set(err, TW_CORRUPT, "'%s' has no header: not made by Tidewatch", env->path);
    if (code == TW_OK && header.size < HEADER_BYTES)
        code = tw_err_set(err, TW_CORRUPT, "'%s': the header is too short", env->path);
    if (code == TW_OK && memcmp(header.data, format->magic, TSDB_ENV_MAGIC_BYTES) != 0)
        code = tw_err_set(err, TW_CORRUPT, "'%s' is of kind '%.8s', not '%.8s'", env->path,
                          header.data, format->magic);
    if (code == TW_OK) {
        const unsigned char *bytes = (const unsigned char *)header.data + TSDB_ENV_MAGIC_BYTES;
        unsigned version = bytes[0] | (unsigned)bytes[1] << 8;
        unsigned reader = bytes[2] | (unsigned)bytes[3] << 8;
        if (reader > format->version)
            code =
                tw_err_set(err, TW_UNSUPPORTED,
                           "'%s' has format %u, which needs a reader of version %u; this program "
                           "is version %u: install a newer Tidewatch",
                           env->path, version, reader, format->version);
        else if (version < format->oldest_version)
            code = tw_err_set(err, TW_UNSUPPORTED,
                              "'%s' has format %u; this program reads %u and later", env->path,
                              version, format->oldest_version);
    }
    tsdb_env_abort(txn);
    return code;
}

static enum tw_code write_header(struct tsdb_env *env, const struct tsdb_env_format *format,
                                 struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    unsigned char header[HEADER_BYTES];
    memcpy(header, format->magic, TSDB_ENV_MAGIC_BYTES);
    header[8] = (unsigned char)format->version;
    header[9] = (unsigned char)(format->version >> 8);
    header[10] = (unsigned char)format->oldest_reader;
    header[11] = (unsigned char)(format->oldest_reader >> 8);
    enum tw_code code = tsdb_env_begin(env, true, &txn, err);
    if (code != TW_OK)
        return code;
    code = tsdb_env_put(txn, META_TABLE, TW_STR(HEADER_KEY),
                        (struct tw_str){(const char *)header, sizeof header}, err);
    if (code != TW_OK) {
        tsdb_env_abort(txn);
        return code;
    }
    return tsdb_env_commit(txn, err);
}

static struct tsdb_env *env_new(const char *path, const struct tsdb_env_format *format)
{
    struct tsdb_env *env = calloc(1, sizeof *env);
    TW_ASSERT(env != NULL);
    env->magic = ENV_MAGIC;
    env->path = tw_str_dup(tw_str(path));
    env->format = format;
    env->single_thread = format->single_thread;
    tw_lock_init(&env->lock, TW_RANK_LEAF, "tsdb.env");
    tw_cond_init(&env->idle);
    return env;
}

static enum tw_code sync_parent(const char *path, struct tw_err *err)
{
    char *folder = tw_str_dup(tw_str(path));
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    enum tw_code code = tw_file_sync_folder(slash ? folder : ".", err);
    free(folder);
    return code;
}

enum tw_code tsdb_env_rename(const char *from, const char *to, struct tw_err *err)
{
    size_t size = strlen(from) + sizeof "-lock";
    char *lock_path = malloc(size);
    TW_ASSERT(lock_path != NULL);
    snprintf(lock_path, size, "%s-lock", from);
    unlink(lock_path);
    free(lock_path);
    if (rename(from, to) != 0)
        return tw_err_errno(err, errno, "cannot rename '%s' to '%s'", from, to);
    return sync_parent(to, err);
}

/* I1: the file appears under its name when it is complete. */
static enum tw_code create(const char *path, const struct tsdb_env_format *format,
                           struct tw_err *err)
{
    size_t size = strlen(path) + 5;
    char *temporary = malloc(size);
    TW_ASSERT(temporary != NULL);
    snprintf(temporary, size, "%s.tmp", path);
    enum tw_code code = tsdb_env_remove(temporary, err);
    if (code == TW_OK) {
        struct tsdb_env *env = env_new(temporary, format);
        code = open_mdb(env, temporary, format, err);
        if (code == TW_OK)
            code = write_header(env, format, err);
        tsdb_env_close(env);
    }
    if (code == TW_OK)
        code = tsdb_env_rename(temporary, path, err);
    if (code != TW_OK) {
        struct tw_err ignored; /* the first failure is the one to tell */
        (void)(tsdb_env_remove(temporary, &ignored) == TW_OK);
    }
    free(temporary);
    return code;
}

struct page_check {
    uint64_t sum, wanted;
    bool sum_found;
    char sentence[TW_ERR_MESSAGE_BYTES / 2];
};

static void check_key(void *user, struct tw_str table, struct tw_str key, struct tw_str framed)
{
    struct page_check *check = user;
    struct tw_str value;
    const char *wrong;
    check->sum += key_sum(table, key);
    if (tw_str_is(table, META_TABLE) && tw_str_is(key, SUM_KEY) &&
        tsdb_env_unframe(META_TABLE, key, framed, &value, &wrong) && value.size == SUM_BYTES) {
        check->wanted = tsdb_env_key_get_u64(value.data);
        check->sum_found = true;
    }
}

static void keep_damage(void *user, const char *sentence)
{
    struct page_check *check = user;
    if (!check->sentence[0])
        snprintf(check->sentence, sizeof check->sentence, "%s", sentence);
}

/* LMDB trusts its pages: one that is damaged would end the process, or hide keys. */
static enum tw_code check_pages(const char *path, const struct tsdb_env_format *format,
                                struct tw_err *err)
{
    struct page_check check = {.sum = 0};
    struct tsdb_pages_visitor visitor = {.user = &check, .damage = keep_damage};
    struct tsdb_pages_counts counts;
    if (format->key_sum)
        visitor.value = check_key;
    enum tw_code code = tsdb_pages_walk(path, &visitor, &counts, err);
    if (code != TW_OK)
        return code;
    if (counts.damaged > 0)
        return tw_err_set(err, TW_CORRUPT, "'%s' is damaged: %s", path, check.sentence);
    if (format->key_sum && (!check.sum_found || check.sum != check.wanted))
        return tw_err_set(err, TW_CORRUPT, "'%s' is damaged: its keys are not those written", path);
    return TW_OK;
}

enum tw_code tsdb_env_open(const char *path, const struct tsdb_env_format *format,
                           enum tsdb_env_mode mode, struct tsdb_env **ret_env, struct tw_err *err)
{
    bool there = tw_file_exists(path);
    if (there && mode == TSDB_ENV_CREATE)
        return tw_err_set(err, TW_CONFLICT, "'%s' is there already", path);
    if (!there && mode == TSDB_ENV_OPEN)
        return tw_err_set(err, TW_NOT_FOUND, "'%s' does not exist", path);
    enum tw_code code;
    if (!there) {
        code = create(path, format, err);
    } else {
        code = check_pages(path, format, err);
        /* Its name may be left from a creation that failed at the very end. */
        if (code == TW_OK && mode == TSDB_ENV_OPEN_OR_CREATE)
            code = sync_parent(path, err);
    }
    if (code != TW_OK)
        return code;
    struct tsdb_env *env = env_new(path, format);
    code = open_mdb(env, path, format, err);
    if (code == TW_OK) {
        tsdb_env_check_readers(env);
        code = load_tables(env, err);
    }
    if (code == TW_OK)
        code = check_header(env, format, err);
    if (code != TW_OK) {
        tsdb_env_close(env);
        return code;
    }
    *ret_env = env;
    return TW_OK;
}

struct tsdb_env *tsdb_env_close(struct tsdb_env *env)
{
    if (!env)
        return NULL;
    TW_CHECK_MAGIC(env, ENV_MAGIC);
    TW_ASSERT(env->readers == 0);
    if (env->mdb)
        mdb_env_close(env->mdb);
    tw_cond_fini(&env->idle);
    tw_lock_fini(&env->lock);
    free(env->path);
    env->magic = 0;
    free(env);
    return NULL;
}

enum tw_code tsdb_env_remove(const char *path, struct tw_err *err)
{
    char *lock_path = malloc(strlen(path) + 6);
    TW_ASSERT(lock_path != NULL);
    sprintf(lock_path, "%s-lock", path);
    enum tw_code code = TW_OK;
    if (unlink(path) != 0 && errno != ENOENT)
        code = tw_err_errno(err, errno, "cannot remove '%s'", path);
    else if (unlink(lock_path) != 0 && errno != ENOENT)
        code = tw_err_errno(err, errno, "cannot remove '%s'", lock_path);
    free(lock_path);
    return code;
}

const char *tsdb_env_path(const struct tsdb_env *env)
{
    return env->path;
}

uint64_t tsdb_env_bytes(const struct tsdb_env *env)
{
    struct stat status;
    return stat(env->path, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
}

/* Waits until no transaction is open, keeping new ones out meanwhile. False when the time is up;
 * else the gate is to be opened again, the lock held in between. */
static bool close_gate_locked(struct tsdb_env *env, int64_t wait_ns)
{
    tw_lock_assert_held(&env->lock);
    int64_t start_ns = tw_clock_mono_ns(tw_clock_system());
    while (env->closing_gate || env->readers > 0) {
        bool mine = !env->closing_gate;
        env->closing_gate = true;
        tw_cond_wait_ns(&env->idle, &env->lock, GATE_WAIT_NS);
        if (mine)
            env->closing_gate = false;
        if (tw_clock_mono_ns(tw_clock_system()) - start_ns > wait_ns)
            return false;
    }
    return true;
}

static void open_gate_locked(struct tsdb_env *env)
{
    tw_lock_assert_held(&env->lock);
    tw_cond_broadcast(&env->idle);
}

enum tw_code tsdb_env_grow(struct tsdb_env *env, struct tw_err *err)
{
    TW_CHECK_MAGIC(env, ENV_MAGIC);
    if (env->map_bytes > MAP_BYTES_MAX / 2)
        return tw_err_set(err, TW_TOO_LARGE, "'%s' reached its largest size", env->path);
    tw_lock_take(&env->lock);
    close_gate_locked(env, INT64_MAX);
    int number = env->mdb ? mdb_env_set_mapsize(env->mdb, env->map_bytes * 2) : MDB_PANIC;
    if (!number)
        env->map_bytes *= 2;
    open_gate_locked(env);
    tw_lock_release(&env->lock);
    return number ? fail(env, number, "cannot grow the map", err) : TW_OK;
}

/* LMDB does not tell where its map is; the system does: the line of the file that has its inode. */
static bool find_map(const struct tsdb_env *env, char **ret_start, size_t *ret_bytes)
{
    int fd;
    struct stat status;
    char line[512];
    bool found = false;
    if (mdb_env_get_fd(env->mdb, &fd) != 0 || fstat(fd, &status) != 0)
        return false;
    const char *slash = strrchr(env->path, '/'), *name = slash ? slash + 1 : env->path;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && !found && fgets(line, sizeof line, maps)) {
        unsigned long start, end, inode;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &start, &end, &inode) != 3 ||
            inode != status.st_ino || !strstr(line, name))
            continue;
        *ret_start = (char *)start; /* NOLINT: an address that the system gave as text */
        *ret_bytes = end - start;
        found = true;
    }
    if (maps)
        fclose(maps);
    return found;
}

void tsdb_env_forget_pages(struct tsdb_env *env)
{
    TW_CHECK_MAGIC(env, ENV_MAGIC);
    char *start;
    size_t bytes;
    if (find_map(env, &start, &bytes))
        (void)madvise(start, bytes, MADV_DONTNEED);
}

void tsdb_env_check_readers(struct tsdb_env *env)
{
    int dead;
    tw_lock_take(&env->lock);
    if (!env->single_thread && env->mdb)
        mdb_reader_check(env->mdb, &dead);
    tw_lock_release(&env->lock);
}

/* ---- transactions ---- */

/* After a commit that failed LMDB refuses all transactions ("environment had fatal error"), though
 * what was committed before is whole: the file is closed and opened again. */
static enum tw_code reopen_locked(struct tsdb_env *env, struct tw_err *err)
{
    if (!close_gate_locked(env, REOPEN_WAIT_NS))
        return tw_err_set(err, TW_UNAVAILABLE,
                          "'%s': a write failed, and readers keep the file from being opened again",
                          env->path);
    enum tw_code code = TW_OK;
    if (env->broken) { /* nobody else has done it meanwhile */
        if (env->mdb)
            mdb_env_close(env->mdb);
        env->mdb = NULL;
        code = check_pages(env->path, env->format, err);
        if (code == TW_OK)
            code = open_mdb(env, env->path, env->format, err);
        if (code == TW_OK)
            code = load_tables(env, err);
        env->broken = code != TW_OK;
    }
    open_gate_locked(env);
    return code;
}

/* Counts the transaction in; those that want the environment for themselves go first. */
static enum tw_code enter_locked(struct tsdb_env *env, struct tw_err *err)
{
    tw_lock_assert_held(&env->lock);
    if (env->broken) {
        enum tw_code code = reopen_locked(env, err);
        if (code != TW_OK)
            return code;
    }
    if (env->closing_gate)
        tw_cond_wait_ns(&env->idle, &env->lock, GATE_WAIT_NS);
    if (env->broken)
        return tw_err_set(err, TW_UNAVAILABLE, "'%s': a write to it failed just now", env->path);
    env->readers++;
    return TW_OK;
}

static void leave_locked(struct tsdb_env *env)
{
    tw_lock_assert_held(&env->lock);
    TW_ASSERT(env->readers > 0);
    if (--env->readers == 0)
        tw_cond_broadcast(&env->idle);
}

enum tw_code tsdb_env_begin(struct tsdb_env *env, bool write, struct tsdb_env_txn **ret_txn,
                            struct tw_err *err)
{
    TW_CHECK_MAGIC(env, ENV_MAGIC);
    struct tsdb_env_txn *txn = calloc(1, sizeof *txn);
    TW_ASSERT(txn != NULL);
    *txn = (struct tsdb_env_txn){.magic = TXN_MAGIC, .env = env, .write = write};
    tw_lock_take(&env->lock);
    enum tw_code code = enter_locked(env, err);
    if (code != TW_OK) {
        tw_lock_release(&env->lock);
        free(txn);
        return code;
    }
    int number;
    if (write) {
        /* Waits for the other writer outside the gate's lock; tables cannot change meanwhile, as
         * only writers add them. */
        tw_lock_release(&env->lock);
        number = mdb_txn_begin(env->mdb, NULL, 0, &txn->mdb);
        tw_lock_take(&env->lock);
        txn->table_count = env->table_count;
    } else {
        txn->table_count = env->table_count; /* before the snapshot: it knows all of these */
        number = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn->mdb);
    }
    if (number) {
        env->broken |= number == MDB_PANIC;
        leave_locked(env);
    }
    tw_lock_release(&env->lock);
    if (number) {
        free(txn);
        return fail(env, number, "cannot begin a transaction", err);
    }
    *ret_txn = txn;
    return TW_OK;
}

static enum tw_code copy_to(struct tsdb_env *env, int fd, struct tw_err *err)
{
    tw_lock_take(&env->lock);
    enum tw_code code = enter_locked(env, err);
    tw_lock_release(&env->lock);
    if (code != TW_OK)
        return code;
    int number = mdb_env_copyfd2(env->mdb, fd, 0);
    tw_lock_take(&env->lock);
    leave_locked(env);
    tw_lock_release(&env->lock);
    if (number == 0 && fsync(fd) != 0)
        number = errno;
    return number ? fail(env, number, "cannot be copied", err) : TW_OK;
}

enum tw_code tsdb_env_copy(struct tsdb_env *env, const char *path, struct tw_err *err)
{
    TW_CHECK_MAGIC(env, ENV_MAGIC);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return tw_err_errno(err, errno, "'%s' cannot be made", path);
    enum tw_code code = copy_to(env, fd, err);
    close(fd);
    if (code != TW_OK)
        unlink(path);
    return code;
}

static void end(struct tsdb_env_txn *txn)
{
    struct tsdb_env *env = txn->env;
    tw_lock_take(&env->lock);
    leave_locked(env);
    tw_lock_release(&env->lock);
    txn->magic = 0;
    free(txn);
}

/* The sum of all keys goes with every transaction that changes it. */
static enum tw_code write_sum(struct tsdb_env_txn *txn, struct tw_err *err)
{
    struct tw_str before;
    enum tw_code code = tsdb_env_get(txn, META_TABLE, TW_STR(SUM_KEY), &before, err);
    if (code != TW_OK && code != TW_NOT_FOUND)
        return code;
    uint64_t sum = txn->sum;
    unsigned char bytes[SUM_BYTES];
    if (code == TW_OK && before.size == SUM_BYTES)
        sum += tsdb_env_key_get_u64(before.data);
    tsdb_env_key_u64(bytes, sum);
    return tsdb_env_put(txn, META_TABLE, TW_STR(SUM_KEY),
                        (struct tw_str){(const char *)bytes, sizeof bytes}, err);
}

enum tw_code tsdb_env_commit(struct tsdb_env_txn *txn, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    struct tsdb_env *env = txn->env;
    if (txn->write && txn->sum != 0 && env->format->key_sum) {
        enum tw_code code = write_sum(txn, err);
        if (code != TW_OK) {
            tsdb_env_abort(txn);
            return code;
        }
    }
    /* New tables are known at the very moment in which a snapshot may have them: a reader that
     * begins takes the lock for both. */
    bool fresh = txn->fresh_count > 0;
    if (fresh)
        tw_lock_take(&env->lock);
    int number = mdb_txn_commit(txn->mdb);
    if (!fresh)
        tw_lock_take(&env->lock);
    for (unsigned i = 0; i < txn->fresh_count && number == 0; i++) {
        TW_ASSERT(env->table_count < TABLES_MAX);
        env->tables[env->table_count++] = txn->fresh[i];
    }
    if (number && number != MDB_MAP_FULL && number != MDB_TXN_FULL)
        env->broken = true;
    tw_lock_release(&env->lock);
    end(txn);
    return number ? fail(env, number, "cannot commit", err) : TW_OK;
}

void tsdb_env_abort(struct tsdb_env_txn *txn)
{
    if (!txn)
        return;
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    mdb_txn_abort(txn->mdb);
    end(txn);
}

/* False if the table is not there (and create is not asked for); *ret_number an LMDB code. */
static bool find_table(struct tsdb_env_txn *txn, const char *name, bool make, MDB_dbi *ret_dbi,
                       int *ret_number)
{
    struct tsdb_env *env = txn->env;
    *ret_number = 0;
    for (unsigned i = 0; i < txn->table_count; i++)
        if (strcmp(env->tables[i].name, name) == 0) {
            *ret_dbi = env->tables[i].dbi;
            return true;
        }
    for (unsigned i = 0; i < txn->fresh_count; i++)
        if (strcmp(txn->fresh[i].name, name) == 0) {
            *ret_dbi = txn->fresh[i].dbi;
            return true;
        }
    if (!make)
        return false;
    TW_ASSERT(txn->write && txn->fresh_count + txn->table_count < TABLES_MAX);
    struct table *table = &txn->fresh[txn->fresh_count];
    TW_ASSERT(strlen(name) < sizeof table->name);
    *ret_number = mdb_dbi_open(txn->mdb, name, MDB_CREATE, &table->dbi);
    if (*ret_number)
        return false;
    strcpy(table->name, name);
    *ret_dbi = table->dbi;
    txn->fresh_count++;
    return true;
}

static MDB_val key_val(struct tw_str key)
{
    return (MDB_val){key.size, (void *)(uintptr_t)key.data};
}

/* Damage that was not there when the file was opened: the next transaction opens it again, and what
 * is found then is told. */
static enum tw_code fail_in(struct tsdb_env_txn *txn, int number, const char *what,
                            struct tw_err *err)
{
    if (number == MDB_CORRUPTED || number == MDB_PAGE_NOTFOUND) {
        tw_lock_take(&txn->env->lock);
        txn->env->broken = true;
        tw_lock_release(&txn->env->lock);
    }
    return fail(txn->env, number, what, err);
}

enum tw_code tsdb_env_put(struct tsdb_env_txn *txn, const char *table, struct tw_str key,
                          struct tw_str value, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    TW_ASSERT(key.size > 0 && key.size <= TSDB_ENV_KEY_BYTES_MAX && value.size < UINT32_MAX / 2);
    MDB_dbi dbi;
    int number;
    if (!find_table(txn, table, true, &dbi, &number))
        return fail(txn->env, number, "cannot make a table", err);
    MDB_val mdb_key = key_val(key);
    MDB_val framed = {FRAME_HEADER + value.size + name_bytes(table, key, value.size), NULL};
    MDB_val reserved = framed;
    number = guarded_put(txn->mdb, dbi, &mdb_key, &reserved, MDB_RESERVE | MDB_NOOVERWRITE);
    if (number == 0)
        txn->sum += key_sum(tw_str(table), key);
    if (number == MDB_KEYEXIST)
        number = guarded_put(txn->mdb, dbi, &mdb_key, &framed, MDB_RESERVE);
    else
        framed = reserved;
    if (number)
        return fail_in(txn, number, "cannot write", err);
    write_frame(framed.mv_data, table, key, value);
    return TW_OK;
}

enum tw_code tsdb_env_append(struct tsdb_env_txn *txn, const char *table, struct tw_str key,
                             struct tw_str value, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    TW_ASSERT(key.size > 0 && key.size <= TSDB_ENV_KEY_BYTES_MAX && value.size < UINT32_MAX / 2);
    MDB_dbi dbi;
    int number;
    if (!find_table(txn, table, true, &dbi, &number))
        return fail(txn->env, number, "cannot make a table", err);
    MDB_val mdb_key = key_val(key);
    MDB_val framed = {FRAME_HEADER + value.size + name_bytes(table, key, value.size), NULL};
    number = guarded_put(txn->mdb, dbi, &mdb_key, &framed, MDB_RESERVE | MDB_APPEND);
    if (number)
        return fail_in(txn, number, "cannot append", err);
    txn->sum += key_sum(tw_str(table), key);
    write_frame(framed.mv_data, table, key, value);
    return TW_OK;
}

enum tw_code tsdb_env_get(struct tsdb_env_txn *txn, const char *table, struct tw_str key,
                          struct tw_str *ret_value, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    MDB_dbi dbi;
    MDB_val mdb_key = key_val(key), framed;
    int number = MDB_NOTFOUND;
    if (find_table(txn, table, false, &dbi, &number))
        number = guarded_get(txn->mdb, dbi, &mdb_key, &framed);
    else
        number = MDB_NOTFOUND;
    if (number == MDB_NOTFOUND)
        return tw_err_set(err, TW_NOT_FOUND, "'%s': no such key in table '%s'", txn->env->path,
                          table);
    if (number)
        return fail_in(txn, number, "cannot read", err);
    return unframe(txn->env, table, key_val(key), framed, ret_value, err);
}

enum tw_code tsdb_env_delete(struct tsdb_env_txn *txn, const char *table, struct tw_str key,
                             struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    MDB_dbi dbi;
    int number;
    if (!find_table(txn, table, false, &dbi, &number))
        return TW_OK;
    MDB_val mdb_key = key_val(key);
    number = mdb_del(txn->mdb, dbi, &mdb_key, NULL);
    if (number == 0)
        txn->sum -= key_sum(tw_str(table), key);
    return number && number != MDB_NOTFOUND ? fail(txn->env, number, "cannot delete", err) : TW_OK;
}

/* ---- cursors ---- */

enum tw_code tsdb_env_cursor_open(struct tsdb_env_txn *txn, const char *table,
                                  struct tsdb_env_cursor **ret_cursor, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    struct tsdb_env_cursor *cursor = calloc(1, sizeof *cursor);
    TW_ASSERT(cursor != NULL);
    *cursor = (struct tsdb_env_cursor){.magic = CURSOR_MAGIC, .txn = txn, .table = table};
    MDB_dbi dbi;
    int number;
    if (find_table(txn, table, false, &dbi, &number)) {
        number = mdb_cursor_open(txn->mdb, dbi, &cursor->mdb);
        if (number) {
            free(cursor);
            return fail(txn->env, number, "cannot open a cursor", err);
        }
    }
    *ret_cursor = cursor;
    return TW_OK;
}

struct tsdb_env_cursor *tsdb_env_cursor_close(struct tsdb_env_cursor *cursor)
{
    if (!cursor)
        return NULL;
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    if (cursor->mdb)
        mdb_cursor_close(cursor->mdb);
    cursor->magic = 0;
    free(cursor);
    return NULL;
}

static int move_cursor(struct tsdb_env_cursor *cursor, enum tsdb_env_move move, MDB_val *key,
                       MDB_val *value)
{
    switch (move) {
    case TSDB_ENV_FIRST:
        return guarded_move(cursor->mdb, key, value, MDB_FIRST);
    case TSDB_ENV_LAST:
        return guarded_move(cursor->mdb, key, value, MDB_LAST);
    case TSDB_ENV_NEXT:
        return guarded_move(cursor->mdb, key, value, MDB_NEXT);
    case TSDB_ENV_PREVIOUS:
        return guarded_move(cursor->mdb, key, value, MDB_PREV);
    case TSDB_ENV_AT_OR_AFTER:
        return guarded_move(cursor->mdb, key, value, MDB_SET_RANGE);
    case TSDB_ENV_AT_OR_BEFORE: {
        MDB_val wanted = *key;
        int number = guarded_move(cursor->mdb, key, value, MDB_SET_RANGE);
        if (number == MDB_NOTFOUND)
            return guarded_move(cursor->mdb, key, value, MDB_LAST);
        if (number == 0 && (key->mv_size != wanted.mv_size ||
                            memcmp(key->mv_data, wanted.mv_data, wanted.mv_size) != 0))
            return guarded_move(cursor->mdb, key, value, MDB_PREV);
        return number;
    }
    }
    TW_UNREACHABLE("all moves are listed");
}

enum tw_code tsdb_env_cursor_move(struct tsdb_env_cursor *cursor, enum tsdb_env_move move,
                                  struct tw_str *key, struct tw_str *ret_value, struct tw_err *err)
{
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    MDB_val mdb_key = key_val(*key), framed;
    int number = cursor->mdb ? move_cursor(cursor, move, &mdb_key, &framed) : MDB_NOTFOUND;
    if (number == MDB_NOTFOUND)
        return TW_NOT_FOUND; /* the usual end of a scan: no sentence is made for it */
    if (number)
        return fail_in(cursor->txn, number, "cannot read", err);
    if (ret_value) {
        enum tw_code code =
            unframe(cursor->txn->env, cursor->table, mdb_key, framed, ret_value, err);
        if (code != TW_OK)
            return code;
    }
    *key = (struct tw_str){mdb_key.mv_data, mdb_key.mv_size};
    return TW_OK;
}

enum tw_code tsdb_env_cursor_locate(struct tsdb_env_cursor *cursor, enum tsdb_env_move move,
                                    struct tw_str *key, struct tw_str *ret_framed,
                                    struct tw_err *err)
{
    TW_CHECK_MAGIC(cursor, CURSOR_MAGIC);
    MDB_val mdb_key = key_val(*key), framed;
    int number = cursor->mdb ? move_cursor(cursor, move, &mdb_key, &framed) : MDB_NOTFOUND;
    if (number == MDB_NOTFOUND)
        return TW_NOT_FOUND;
    if (number)
        return fail_in(cursor->txn, number, "cannot read", err);
    *key = (struct tw_str){mdb_key.mv_data, mdb_key.mv_size};
    *ret_framed = (struct tw_str){framed.mv_data, framed.mv_size};
    return TW_OK;
}

void tsdb_env_fetch(struct tw_str framed)
{
    uintptr_t start = (uintptr_t)framed.data & ~(uintptr_t)(TSDB_ENV_PAGE_BYTES - 1);
    uintptr_t end = (uintptr_t)framed.data + framed.size;
    posix_madvise((void *)start, end - start, POSIX_MADV_WILLNEED); /* advice: may fail */
}

enum tw_code tsdb_env_read_located(const struct tsdb_env *env, const char *table, struct tw_str key,
                                   struct tw_str framed, struct tw_str *ret_value,
                                   struct tw_err *err)
{
    return unframe(env, table, key_val(key), (MDB_val){framed.size, (void *)(uintptr_t)framed.data},
                   ret_value, err);
}

enum tw_code tsdb_env_measure(struct tsdb_env_txn *txn, const char *table,
                              struct tsdb_env_usage *ret, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TXN_MAGIC);
    MDB_dbi dbi;
    MDB_stat stat;
    MDB_cursor *cursor;
    MDB_val key, value;
    int number;
    *ret = (struct tsdb_env_usage){0};
    if (!find_table(txn, table, false, &dbi, &number))
        return TW_OK;
    number = mdb_stat(txn->mdb, dbi, &stat);
    if (!number)
        number = mdb_cursor_open(txn->mdb, dbi, &cursor);
    if (number)
        return fail(txn->env, number, "cannot measure", err);
    ret->entries = stat.ms_entries;
    ret->branch_pages = stat.ms_branch_pages;
    ret->leaf_pages = stat.ms_leaf_pages;
    ret->overflow_pages = stat.ms_overflow_pages;
    while (!(number = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
        ret->key_bytes += key.mv_size;
        ret->value_bytes += value.mv_size;
    }
    mdb_cursor_close(cursor);
    return number == MDB_NOTFOUND ? TW_OK : fail(txn->env, number, "cannot measure", err);
}

/* ---- keys ---- */

void tsdb_env_key_u32(unsigned char *ret_bytes, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        ret_bytes[i] = (unsigned char)(number >> (24 - 8 * i));
}

void tsdb_env_key_u64(unsigned char *ret_bytes, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        ret_bytes[i] = (unsigned char)(number >> (56 - 8 * i));
}

void tsdb_env_key_i64(unsigned char *ret_bytes, int64_t number)
{
    tsdb_env_key_u64(ret_bytes, (uint64_t)number ^ (UINT64_C(1) << 63));
}

uint32_t tsdb_env_key_get_u32(const void *bytes)
{
    const unsigned char *from = bytes;
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

uint64_t tsdb_env_key_get_u64(const void *bytes)
{
    const unsigned char *from = bytes;
    return (uint64_t)tsdb_env_key_get_u32(from) << 32 | tsdb_env_key_get_u32(from + 4);
}

int64_t tsdb_env_key_get_i64(const void *bytes)
{
    return (int64_t)(tsdb_env_key_get_u64(bytes) ^ (UINT64_C(1) << 63));
}
