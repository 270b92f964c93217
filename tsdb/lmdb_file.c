/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_file: an environment's file as a whole: its size, what lies in it, a copy of it.
 */
#include "config.h"

#include "tsdb/lmdb_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

/* A page at a time: what is written as one the system may keep as one, and write it whole for each
 * page of it that changes later. */
#define ZEROS_BYTES TSDB_ENV_PAGE_BYTES

uint64_t tsdb_env_bytes(const struct tsdb_env *env)
{
    struct stat status;
    return stat(env->path, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
}

enum tw_code tsdb_env_measure(struct tsdb_env_txn *txn, const char *table,
                              struct tsdb_env_usage *ret, struct tw_err *err)
{
    TW_CHECK_MAGIC(txn, TSDB_ENV_TXN_MAGIC);
    MDB_dbi dbi;
    MDB_stat stat;
    struct tsdb_env_cursor *cursor;
    struct tw_str key, framed;
    int number;
    *ret = (struct tsdb_env_usage){0};
    if (!tsdb_env_find_table(txn, table, false, &dbi, &number))
        return TW_OK;
    number = tsdb_env_guarded_stat(txn->mdb, dbi, &stat);
    if (number)
        return tsdb_env_fail_in(txn, number, "cannot measure", err);
    ret->entries = stat.ms_entries;
    ret->branch_pages = stat.ms_branch_pages;
    ret->leaf_pages = stat.ms_leaf_pages;
    ret->overflow_pages = stat.ms_overflow_pages;
    enum tw_code code = tsdb_env_cursor_open(txn, table, &cursor, err);
    if (code != TW_OK)
        return code;
    enum tsdb_env_move move = TSDB_ENV_FIRST;
    key = (struct tw_str){0};
    while ((code = tsdb_env_cursor_locate(cursor, move, &key, &framed, err)) == TW_OK) {
        ret->key_bytes += key.size;
        ret->value_bytes += framed.size;
        move = TSDB_ENV_NEXT;
    }
    tsdb_env_cursor_close(cursor);
    return code == TW_NOT_FOUND ? TW_OK : code;
}

static enum tw_code copy_to(struct tsdb_env *env, int fd, struct tw_err *err)
{
    tw_lock_take(&env->lock);
    enum tw_code code = tsdb_env_enter_locked(env, err);
    tw_lock_release(&env->lock);
    if (code != TW_OK)
        return code;
    int number = mdb_env_copyfd2(env->mdb, fd, 0);
    tw_lock_take(&env->lock);
    tsdb_env_leave_locked(env);
    tw_lock_release(&env->lock);
    if (number == 0 && fsync(fd) != 0)
        number = errno;
    return number ? tsdb_env_fail(env, number, "cannot be copied", err) : TW_OK;
}

enum tw_code tsdb_env_copy(struct tsdb_env *env, const char *path, struct tw_err *err)
{
    TW_CHECK_MAGIC(env, TSDB_ENV_MAGIC);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return tw_err_errno(err, errno, "'%s' cannot be made", path);
    enum tw_code code = copy_to(env, fd, err);
    close(fd);
    if (code != TW_OK)
        unlink(path);
    return code;
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
    TW_CHECK_MAGIC(env, TSDB_ENV_MAGIC);
    char *start;
    size_t bytes;
    if (find_map(env, &start, &bytes))
        (void)madvise(start, bytes, MADV_DONTNEED);
}

void tsdb_env_lengthen(struct tsdb_env *env, size_t least, size_t ahead)
{
    TW_CHECK_MAGIC(env, TSDB_ENV_MAGIC);
    static const char zeros[ZEROS_BYTES];
    int fd;
    MDB_envinfo info;
    struct stat status;
    if (!env->mdb || mdb_env_info(env->mdb, &info) != 0 || mdb_env_get_fd(env->mdb, &fd) != 0)
        return;
    uint64_t used = ((uint64_t)info.me_last_pgno + 1) * TSDB_ENV_PAGE_BYTES;
    if (used + least <= env->file_bytes || fstat(fd, &status) != 0)
        return;
    env->file_bytes = (uint64_t)status.st_size;
    while (env->file_bytes < used + ahead) {
        uint64_t left = used + ahead - env->file_bytes;
        ssize_t written = pwrite(fd, zeros, left < sizeof zeros ? (size_t)left : sizeof zeros,
                                 (off_t)env->file_bytes);
        if (written <= 0)
            break;
        env->file_bytes += (uint64_t)written;
    }
}
