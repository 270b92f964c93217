/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb: an environment's life: made, checked, opened, grown, opened again after a failure.
 */
#include "config.h"

#include "tsdb/lmdb_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "tsdb/pages.h"

#define HEADER_KEY "header"
#define HEADER_BYTES (TSDB_ENV_MAGIC_BYTES + 4)
#define MAP_BYTES_MAX ((size_t)1 << 44)
#define READERS_MAX_DEFAULT 126
#define READER_BYTES 64 /* a slot of LMDB's reader table, one cache line; its head takes two */
/* How long a new transaction waits for one that wants the environment for itself (which waits for
 * those that are open). Then it passes: its thread may be the one that is waited for. */
#define GATE_WAIT_NS INT64_C(200000000)
/* How long that one waits for the others, when it need not succeed. */
#define REOPEN_WAIT_NS INT64_C(2000000000)

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
        return tsdb_env_fail(env, number, "cannot make an environment", err);
    }
    tsdb_env_guard_process();
    mdb_env_set_assert(env->mdb, tsdb_env_leave_call);
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
        return tsdb_env_fail(env, number, "cannot open", err);
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
        return tsdb_env_fail(env, number, "cannot begin", err);
    number = mdb_dbi_open(txn, NULL, 0, &root);
    if (!number)
        number = mdb_cursor_open(txn, root, &cursor);
    MDB_val key, value;
    while (!number && !(number = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) {
        struct tsdb_env_table *table = &env->tables[env->table_count];
        if (env->table_count == TSDB_ENV_TABLES_MAX || key.mv_size >= sizeof table->name) {
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
    return number ? tsdb_env_fail(env, number, "cannot read the tables", err) : TW_OK;
}

static enum tw_code check_header(struct tsdb_env *env, const struct tsdb_env_format *format,
                                 struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    struct tw_str header;
    enum tw_code code = tsdb_env_begin(env, false, &txn, err);
    if (code != TW_OK)
        return code;
    code = tsdb_env_get(txn, TSDB_ENV_META_TABLE, TW_STR(HEADER_KEY), &header, err);
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
    code = tsdb_env_put(txn, TSDB_ENV_META_TABLE, TW_STR(HEADER_KEY),
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
    env->magic = TSDB_ENV_MAGIC;
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
    check->sum += tsdb_env_key_sum(table, key);
    if (tw_str_is(table, TSDB_ENV_META_TABLE) && tw_str_is(key, TSDB_ENV_SUM_KEY) &&
        tsdb_env_unframe(TSDB_ENV_META_TABLE, key, framed, &value, &wrong) &&
        value.size == TSDB_ENV_SUM_BYTES) {
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
    TW_CHECK_MAGIC(env, TSDB_ENV_MAGIC);
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
    TW_CHECK_MAGIC(env, TSDB_ENV_MAGIC);
    if (env->map_bytes > MAP_BYTES_MAX / 2)
        return tw_err_set(err, TW_TOO_LARGE, "'%s' reached its largest size", env->path);
    tw_lock_take(&env->lock);
    close_gate_locked(env, INT64_MAX);
    int number = env->mdb ? mdb_env_set_mapsize(env->mdb, env->map_bytes * 2) : MDB_PANIC;
    if (!number)
        env->map_bytes *= 2;
    open_gate_locked(env);
    tw_lock_release(&env->lock);
    return number ? tsdb_env_fail(env, number, "cannot grow the map", err) : TW_OK;
}

void tsdb_env_check_readers(struct tsdb_env *env)
{
    int dead;
    tw_lock_take(&env->lock);
    if (!env->single_thread && env->mdb)
        mdb_reader_check(env->mdb, &dead);
    tw_lock_release(&env->lock);
}

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
enum tw_code tsdb_env_enter_locked(struct tsdb_env *env, struct tw_err *err)
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

void tsdb_env_leave_locked(struct tsdb_env *env)
{
    tw_lock_assert_held(&env->lock);
    TW_ASSERT(env->readers > 0);
    if (--env->readers == 0)
        tw_cond_broadcast(&env->idle);
}
