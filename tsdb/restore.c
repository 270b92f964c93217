/* SPDX-License-Identifier: Apache-2.0
 *
 * restore: a store made of a snapshot. The copy is made and checked beside the place where it is to
 * be, so that a broken-off or damaged one never looks like a store.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "tsdb/snapshot.h"
#include "tsdb/verify.h"

#define COPY_BYTES ((size_t)1 << 20)
/* default, its folders, their files. */
#define DEPTH_MAX 4

static enum tw_code copy_open(int from, int to, const char *path, struct tw_err *err)
{
    char *bytes = malloc(COPY_BYTES);
    TW_ASSERT(bytes != NULL);
    enum tw_code code = TW_OK;
    ssize_t count = 0;
    while (code == TW_OK && (count = read(from, bytes, COPY_BYTES)) > 0)
        code = tw_file_write_all(to, bytes, (size_t)count, path, err);
    if (code == TW_OK && count < 0)
        code = tw_err_errno(err, errno, "'%s': its original cannot be read", path);
    if (code == TW_OK && fsync(to) != 0)
        code = tw_err_errno(err, errno, "'%s'", path);
    free(bytes);
    return code;
}

static enum tw_code copy_file(const char *from, const char *to, struct tw_err *err)
{
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0)
        return tw_err_errno(err, errno, "'%s'", from);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    enum tw_code code =
        out < 0 ? tw_err_errno(err, errno, "'%s'", to) : copy_open(in, out, to, err);
    close(in);
    if (out >= 0)
        close(out);
    return code;
}

static enum tw_code copy_folder(const char *from, const char *to, int depth,
                                tsdb_restore_progress *progress, struct tw_err *err)
{
    char **names;
    size_t count;
    if (depth > DEPTH_MAX)
        return tw_err_set(err, TW_BAD_DATA, "'%s' is no part of a snapshot: too deep", from);
    enum tw_code code = tw_file_make_folder(to, 0750, err);
    if (code == TW_OK)
        code = tw_file_list(from, &names, &count, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < count && code == TW_OK; i++) {
        /* Locks of whoever looked at it are no part of it. */
        if (!strcmp(names[i], "LOCK") || tw_str_ends(tw_str(names[i]), TW_STR("-lock")))
            continue;
        char *source = tw_file_join(from, names[i]), *target = tw_file_join(to, names[i]);
        struct stat status;
        if (lstat(source, &status) != 0)
            code = tw_err_errno(err, errno, "'%s'", source);
        else if (S_ISDIR(status.st_mode))
            code = copy_folder(source, target, depth + 1, progress, err);
        else if (!S_ISREG(status.st_mode))
            code = tw_err_set(err, TW_BAD_DATA, "'%s' is no plain file", source);
        else {
            if (progress)
                progress(source);
            code = copy_file(source, target, err);
        }
        free(target);
        free(source);
    }
    tw_file_list_free(names, count);
    return code == TW_OK ? tw_file_sync_folder(to, err) : code;
}

static enum tw_code check_copy(const char *folder, struct tw_err *err)
{
    const struct tsdb_verify_options verify = {.folder = folder};
    struct tsdb_verify_report report;
    enum tw_code code = tsdb_verify_run(&verify, &report, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < report.count && code == TW_OK; i++)
        if (report.files[i].finding_count > 0)
            code = tw_err_set(err, TW_CORRUPT, "the snapshot is damaged: '%s': %s",
                              report.files[i].path, report.files[i].findings[0]);
    tsdb_verify_report_fini(&report);
    return code;
}

/* The former store stays beside the new one until that is in its place. */
static enum tw_code put_in_place(const char *to, const char *copy, struct tw_err *err)
{
    char *tenant = tw_file_join(to, "default"), *former = tw_file_join(to, "default.former");
    char *source = tw_file_join(copy, "default");
    enum tw_code code = tw_file_remove_folder(former, err);
    if (code == TW_OK && rename(tenant, former) != 0 && errno != ENOENT)
        code = tw_err_errno(err, errno, "'%s' cannot be put aside", tenant);
    if (code == TW_OK && rename(source, tenant) != 0) {
        code = tw_err_errno(err, errno, "'%s' cannot be put in its place", source);
        (void)!rename(former, tenant);
    }
    if (code == TW_OK)
        code = tw_file_sync_folder(to, err);
    if (code == TW_OK)
        code = tw_file_remove_folder(former, err);
    free(source);
    free(former);
    free(tenant);
    return code;
}

static enum tw_code restore_locked(const char *snapshot, const char *to, bool replace,
                                   tsdb_restore_progress *progress, struct tw_err *err)
{
    char *from = tw_file_join(snapshot, "default"), *there = tw_file_join(to, "default");
    char *copy = tw_file_join(to, "restoring"), *target = tw_file_join(copy, "default");
    enum tw_code code = TW_OK;
    if (!replace && tw_file_exists(there))
        code = tw_err_set(err, TW_CONFLICT, "'%s' has a store already; --force replaces it", to);
    if (code == TW_OK)
        code = tw_file_remove_folder(copy, err); /* of a restore that was broken off */
    if (code == TW_OK)
        code = copy_folder(from, target, 0, progress, err);
    if (code == TW_OK)
        code = check_copy(copy, err);
    if (code == TW_OK)
        code = put_in_place(to, copy, err);
    (void)!tw_file_remove_folder(copy, NULL);
    free(target);
    free(copy);
    free(there);
    free(from);
    return code;
}

enum tw_code tsdb_restore_run(const char *snapshot, const char *to, bool replace,
                              tsdb_restore_progress *progress, struct tw_err *err)
{
    char *catalog = tw_file_join(snapshot, "default/catalog.mdb");
    bool there = tw_file_exists(catalog);
    free(catalog);
    if (!there)
        return tw_err_set(err, TW_NOT_FOUND, "'%s' is no snapshot: it has no default/catalog.mdb",
                          snapshot);
    int lock_fd;
    enum tw_code code = tw_file_make_folder(to, 0750, err);
    if (code == TW_OK)
        code = tw_file_lock(to, "LOCK", &lock_fd, err);
    if (code != TW_OK)
        return code;
    code = restore_locked(snapshot, to, replace, progress, err);
    close(lock_fd);
    return code;
}
