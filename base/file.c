/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"

#define READ_BYTES ((size_t)64 << 10)
#define WALK_FDS 16

bool tw_file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

char *tw_file_join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    TW_ASSERT(path != NULL);
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

enum tw_code tw_file_read(const char *path, struct tw_buf *ret, struct tw_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tw_err_errno(err, errno, "cannot open '%s'", path);
    enum tw_code code = TW_OK;
    for (;;) {
        size_t room = ret->size_max - ret->size;
        size_t want = room < READ_BYTES ? room : READ_BYTES;
        char probe;
        char *to = want ? tw_buf_reserve(ret, want) : &probe;
        if (!to) {
            code = tw_err_set(err, TW_MEMORY, "reading '%s': out of memory", path);
            break;
        }
        ssize_t got = read(fd, to, want ? want : 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = tw_err_errno(err, errno, "cannot read '%s'", path);
        else if (got > 0 && !want)
            code =
                tw_err_set(err, TW_TOO_LARGE, "'%s' is larger than %zu bytes", path, ret->size_max);
        if (got <= 0 || code != TW_OK)
            break;
        ret->size += (size_t)got;
    }
    close(fd);
    return code;
}

enum tw_code tw_file_write_all(int fd, const void *bytes, size_t count, const char *path,
                               struct tw_err *err)
{
    const char *from = bytes;
    while (count > 0) {
        ssize_t put = write(fd, from, count);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return tw_err_errno(err, errno, "cannot write '%s'", path);
        from += put;
        count -= (size_t)put;
    }
    return TW_OK;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return tw_str_dup(TW_STR("."));
    size_t size = slash == path ? 1 : (size_t)(slash - path);
    return tw_str_dup((struct tw_str){path, size});
}

enum tw_code tw_file_sync_folder(const char *path, struct tw_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return tw_err_errno(err, errno, "cannot open folder '%s'", path);
    int failed = fsync(fd) ? errno : 0;
    close(fd);
    return failed ? tw_err_errno(err, failed, "cannot sync folder '%s'", path) : TW_OK;
}

enum tw_code tw_file_replace(const char *path, struct tw_str content, unsigned mode,
                             struct tw_err *err)
{
    size_t size = strlen(path) + sizeof ".XXXXXX";
    char *temporary = malloc(size);
    TW_ASSERT(temporary != NULL);
    snprintf(temporary, size, "%s.XXXXXX", path);
    char *parent = parent_of(path);
    enum tw_code code = TW_OK;
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        code = tw_err_errno(err, errno, "cannot create a file beside '%s'", path);
        goto out;
    }
    code = tw_file_write_all(fd, content.data, content.size, temporary, err);
    if (code == TW_OK && (fchmod(fd, mode) || fsync(fd)))
        code = tw_err_errno(err, errno, "cannot sync '%s'", temporary);
    if (close(fd) && code == TW_OK)
        code = tw_err_errno(err, errno, "cannot close '%s'", temporary);
    if (code == TW_OK && rename(temporary, path))
        code = tw_err_errno(err, errno, "cannot rename '%s' to '%s'", temporary, path);
    if (code != TW_OK)
        unlink(temporary);
    else
        code = tw_file_sync_folder(parent, err);
out:
    free(parent);
    free(temporary);
    return code;
}

enum tw_code tw_file_make_folder(const char *path, unsigned mode, struct tw_err *err)
{
    if (mkdir(path, mode) == 0) {
        char *parent = parent_of(path);
        enum tw_code code = tw_file_sync_folder(parent, err);
        free(parent);
        return code;
    }
    int number = errno;
    if (number == ENOENT && strchr(path, '/')) {
        char *parent = parent_of(path);
        /* A parent that is there and still has no room for a name (/proc): asking again is no help.
         */
        enum tw_code code = tw_file_exists(parent)
                                ? tw_err_errno(err, number, "cannot make folder '%s'", path)
                                : tw_file_make_folder(parent, mode, err);
        free(parent);
        return code == TW_OK ? tw_file_make_folder(path, mode, err) : code;
    }
    struct stat status;
    if (number == EEXIST && stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            return TW_OK;
        return tw_err_set(err, TW_IO, "'%s' is there, but it is no folder", path);
    }
    return tw_err_errno(err, number, "cannot make folder '%s'", path);
}

static enum tw_code report_holder(int fd, const char *path, struct tw_err *err)
{
    char pid[32] = "";
    ssize_t got = pread(fd, pid, sizeof pid - 1, 0);
    pid[got > 0 ? got : 0] = 0;
    pid[strcspn(pid, "\n")] = 0;
    return tw_err_set(err, TW_BUSY, "'%s' is locked by process %s", path, *pid ? pid : "(unknown)");
}

enum tw_code tw_file_lock(const char *folder, const char *name, int *ret_fd, struct tw_err *err)
{
    char *path = tw_file_join(folder, name);
    enum tw_code code = TW_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        code = tw_err_errno(err, errno, "cannot open '%s'", path);
    } else if (flock(fd, LOCK_EX | LOCK_NB)) {
        code = errno == EWOULDBLOCK ? report_holder(fd, path, err)
                                    : tw_err_errno(err, errno, "cannot lock '%s'", path);
        close(fd);
    } else {
        /* For people only; that it fails (a full disk) takes nothing from the lock. */
        char pid[32];
        int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) == 0)
            (void)!pwrite(fd, pid, (size_t)size, 0);
        *ret_fd = fd;
    }
    free(path);
    return code;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum tw_code tw_file_list(const char *folder, char ***ret_names, size_t *ret_count,
                          struct tw_err *err)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return tw_err_errno(err, errno, "cannot list folder '%s'", folder);
    char **names = NULL;
    size_t count = 0, capacity = 0;
    int failed = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            failed = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            names = realloc(names, capacity * sizeof *names);
            TW_ASSERT(names != NULL);
        }
        names[count++] = tw_str_dup(tw_str(entry->d_name));
    }
    closedir(dir);
    if (failed) {
        tw_file_list_free(names, count);
        return tw_err_errno(err, failed, "cannot list folder '%s'", folder);
    }
    if (count)
        qsort(names, count, sizeof *names, compare_names);
    *ret_names = names;
    *ret_count = count;
    return TW_OK;
}

void tw_file_list_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* ---- sharing ---- */

static bool is_unsupported(int number)
{
    return number == EOPNOTSUPP || number == ENOTTY || number == EINVAL || number == EXDEV ||
           number == EPERM || number == ENOSYS || number == EMLINK;
}

static enum tw_code sharing_failed(int number, const char *from, const char *to, struct tw_err *err)
{
    if (number == EEXIST)
        return tw_err_set(err, TW_CONFLICT, "'%s' is there already", to);
    if (is_unsupported(number))
        return tw_err_set(err, TW_UNSUPPORTED, "the file system cannot share '%s' with '%s'", from,
                          to);
    return tw_err_errno(err, number, "cannot share '%s' with '%s'", from, to);
}

enum tw_code tw_file_clone(const char *from, const char *to, struct tw_err *err)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return tw_err_errno(err, errno, "cannot open '%s'", from);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    int number = out < 0 ? errno : 0;
    if (out >= 0) {
        if (ioctl(out, FICLONE, in) != 0 || fsync(out) != 0)
            number = errno;
        close(out);
        if (number != 0)
            unlink(to);
    }
    close(in);
    return number ? sharing_failed(number, from, to, err) : TW_OK;
}

enum tw_code tw_file_link(const char *from, const char *to, struct tw_err *err)
{
    return link(from, to) == 0 ? TW_OK : sharing_failed(errno, from, to, err);
}

bool tw_file_is_linked(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_nlink > 1;
}

/* nftw has no argument for its callback. */
static _Thread_local uint64_t walk_bytes;

static int add_bytes(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)path, (void)place;
    if (type == FTW_F)
        walk_bytes += (uint64_t)status->st_blocks * 512;
    return 0;
}

enum tw_code tw_file_free_bytes(const char *path, uint64_t *ret_bytes, struct tw_err *err)
{
    struct statvfs status;
    if (statvfs(path, &status) != 0)
        return tw_err_errno(err, errno, "cannot ask for the space left at '%s'", path);
    *ret_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    return TW_OK;
}

enum tw_code tw_file_disk_bytes(const char *path, uint64_t *ret_bytes, struct tw_err *err)
{
    struct statvfs status;
    if (statvfs(path, &status) != 0)
        return tw_err_errno(err, errno, "cannot ask for the size of the disk of '%s'", path);
    *ret_bytes = (uint64_t)status.f_blocks * status.f_frsize;
    return TW_OK;
}

enum tw_code tw_file_folder_bytes(const char *folder, uint64_t *ret_bytes, struct tw_err *err)
{
    walk_bytes = 0;
    if (nftw(folder, add_bytes, WALK_FDS, FTW_PHYS))
        return tw_err_errno(err, errno, "cannot walk folder '%s'", folder);
    *ret_bytes = walk_bytes;
    return TW_OK;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)place;
    int failed = type == FTW_DP || type == FTW_D ? rmdir(path) : unlink(path);
    return failed && errno != ENOENT ? -1 : 0;
}

enum tw_code tw_file_remove_folder(const char *path, struct tw_err *err)
{
    if (nftw(path, remove_entry, WALK_FDS, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
        return tw_err_errno(err, errno, "cannot remove folder '%s'", path);
    return TW_OK;
}
