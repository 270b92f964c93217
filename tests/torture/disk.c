/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/torture/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"

#define FDS_MAX 4096
#define SECTOR 512
#define NO_FILE UINT32_MAX
#define NEVER SIZE_MAX

enum op_kind {
    OP_MAKE,
    OP_FOLDER,
    OP_WRITE,
    OP_LENGTH,
    OP_RENAME,
    OP_UNLINK,
    OP_SYNC,
    OP_SYNC_FOLDER
};

struct op {
    enum op_kind kind;
    bool at_once;    /* durable when the call returned */
    uint32_t file;   /* of MAKE, WRITE, LENGTH, SYNC */
    off_t offset;    /* of WRITE; of LENGTH the length */
    size_t size;     /* of WRITE */
    char *bytes;     /* of WRITE */
    char *path, *to; /* below the folder, of what has names */
    size_t certain;  /* position from which it is durable, or NEVER */
};

struct descriptor {
    uint32_t file; /* NO_FILE: not ours, or a folder */
    bool dsync;
    char *folder; /* of a folder, else NULL */
};

struct name {
    char *path;
    uint32_t file;
};

/* Guards all below: the store writes from several threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *root;
static size_t root_size;
static bool watching;
static struct descriptor descriptors[FDS_MAX];
static struct op *ops;
static size_t op_count, op_capacity;
static bool certain_known;
static struct name *names; /* as they are now */
static size_t name_count, name_capacity;
static uint32_t file_count;
static unsigned long call_count, fault_count, fail_first, fail_limit;
static enum disk_fault fail_how;
static enum disk_lie lying;
static char fault_text[256], position_text[256];

/* ---- the recording ---- */

static void *grow(void *items, size_t *capacity, size_t count, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 256;
    items = realloc(items, *capacity * item_bytes);
    TW_ASSERT(items != NULL);
    return items;
}

static char *copy_of(const char *text)
{
    char *copy = strdup(text);
    TW_ASSERT(copy != NULL);
    return copy;
}

static struct op *add_op(enum op_kind kind)
{
    ops = grow(ops, &op_capacity, op_count, sizeof *ops);
    struct op *op = &ops[op_count++];
    *op = (struct op){.kind = kind, .file = NO_FILE, .certain = NEVER};
    certain_known = false;
    return op;
}

/* The path below the watched folder, or NULL. */
static const char *below(const char *path)
{
    if (!watching || strncmp(path, root, root_size) != 0 || path[root_size] != '/')
        return NULL;
    return path + root_size + 1;
}

static struct name *find_name(const char *path)
{
    for (size_t i = 0; i < name_count; i++)
        if (strcmp(names[i].path, path) == 0)
            return &names[i];
    return NULL;
}

static void drop_name(const char *path)
{
    struct name *name = find_name(path);
    if (!name)
        return;
    free(name->path);
    *name = names[--name_count];
}

static void set_name(const char *path, uint32_t file)
{
    drop_name(path);
    names = grow(names, &name_capacity, name_count, sizeof *names);
    names[name_count++] = (struct name){copy_of(path), file};
}

void disk_watch(const char *folder)
{
    for (size_t i = 0; i < op_count; i++) {
        free(ops[i].bytes);
        free(ops[i].path);
        free(ops[i].to);
    }
    while (name_count > 0)
        drop_name(names[0].path);
    for (int fd = 0; fd < FDS_MAX; fd++) {
        free(descriptors[fd].folder);
        descriptors[fd] = (struct descriptor){.file = NO_FILE};
    }
    op_count = 0;
    file_count = 0;
    call_count = fault_count = fail_first = fail_limit = 0;
    fault_text[0] = 0;
    free(root);
    root = copy_of(folder);
    root_size = strlen(root);
    lying = DISK_HONEST;
    watching = true;
}

void disk_unwatch(void)
{
    watching = false;
}

void disk_fail(unsigned long first, unsigned long count, enum disk_fault fault)
{
    pthread_mutex_lock(&lock);
    fail_first = first ? call_count + first : 0;
    fail_limit = fail_first + count;
    fail_how = fault;
    pthread_mutex_unlock(&lock);
}

unsigned long disk_calls(void)
{
    return call_count;
}

unsigned long disk_faults(void)
{
    return fault_count;
}

const char *disk_fault_text(void)
{
    return fault_text;
}

void disk_lie(enum disk_lie lie)
{
    lying = lie;
}

size_t disk_position(void)
{
    pthread_mutex_lock(&lock);
    size_t position = op_count;
    pthread_mutex_unlock(&lock);
    return position;
}

/* Counts a call; -1 with errno when it is to fail, 1 when a write is to be short, else 0. */
static int enter(const char *call, const char *what, bool needs_room)
{
    call_count++;
    if (call_count < fail_first || call_count >= fail_limit || fail_first == 0)
        return 0;
    if ((fail_how == DISK_NO_SPACE && !needs_room) ||
        (fail_how == DISK_SHORT && strstr(call, "write") == NULL))
        return 0;
    fault_count++;
    snprintf(fault_text, sizeof fault_text, "%s of '%s' (call %lu, %s)", call, what, call_count,
             fail_how == DISK_EIO        ? "EIO"
             : fail_how == DISK_NO_SPACE ? "ENOSPC"
                                         : "short");
    if (fail_how == DISK_SHORT)
        return 1;
    errno = fail_how == DISK_EIO ? EIO : ENOSPC;
    return -1;
}

static struct descriptor *descriptor_of(int fd)
{
    if (!watching || fd < 0 || fd >= FDS_MAX)
        return NULL;
    struct descriptor *descriptor = &descriptors[fd];
    return descriptor->file != NO_FILE || descriptor->folder ? descriptor : NULL;
}

static const char *text_of(uint32_t file)
{
    for (size_t i = 0; i < name_count; i++)
        if (names[i].file == file)
            return names[i].path;
    return "a file without a name";
}

/* ---- the C library's functions ---- */

/* Headers declare some of these with attributes that a definition need not repeat. */
int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    pthread_mutex_lock(&lock);
    const char *inside = below(path);
    bool was_there = !inside || syscall(SYS_access, path, F_OK) == 0;
    int fd = -1;
    if (was_there || !(flags & O_CREAT) || enter("open", inside, true) == 0)
        fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < FDS_MAX && inside) {
        struct descriptor *descriptor = &descriptors[fd];
        free(descriptor->folder);
        *descriptor = (struct descriptor){.file = NO_FILE};
        if (flags & O_DIRECTORY) {
            descriptor->folder = copy_of(inside);
        } else {
            struct name *name = find_name(inside);
            if (!name) {
                set_name(inside, file_count++);
                name = find_name(inside);
                struct op *op = add_op(OP_MAKE);
                op->file = name->file;
                op->path = copy_of(inside);
            }
            descriptor->file = name->file;
            descriptor->dsync = (flags & O_DSYNC) != 0;
            if (flags & O_TRUNC) {
                struct op *op = add_op(OP_LENGTH);
                op->file = name->file;
            }
        }
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

int close(int fd)
{
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS_MAX) {
        free(descriptors[fd].folder);
        descriptors[fd] = (struct descriptor){.file = NO_FILE};
    }
    int result = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return result;
}

static void record_write(const struct descriptor *descriptor, off_t offset,
                         const struct iovec *parts, int part_count, size_t size)
{
    struct op *op = add_op(OP_WRITE);
    op->file = descriptor->file;
    op->at_once = descriptor->dsync && lying != DISK_LIES_ABOUT_META;
    op->offset = offset;
    op->bytes = malloc(size ? size : 1);
    TW_ASSERT(op->bytes != NULL);
    for (int i = 0; i < part_count && op->size < size; i++) {
        size_t take = parts[i].iov_len < size - op->size ? parts[i].iov_len : size - op->size;
        memcpy(op->bytes + op->size, parts[i].iov_base, take);
        op->size += take;
    }
}

/* offset -1: where the descriptor is. */
static ssize_t write_parts(int fd, const struct iovec *parts, int part_count, off_t offset)
{
    pthread_mutex_lock(&lock);
    struct descriptor *descriptor = descriptor_of(fd);
    int verdict = descriptor ? enter("write", text_of(descriptor->file), true) : 0;
    ssize_t result = -1;
    struct iovec half;
    if (verdict == 1) { /* the first part, cut */
        half = (struct iovec){parts[0].iov_base, (parts[0].iov_len + 1) / 2};
        parts = &half;
        part_count = 1;
    }
    if (verdict >= 0) {
        off_t at = offset;
        if (offset < 0 && descriptor)
            at = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
        result = offset < 0 ? syscall(SYS_writev, fd, parts, part_count)
                            : syscall(SYS_pwritev, fd, parts, part_count, offset, 0);
        if (result > 0 && descriptor)
            record_write(descriptor, at, parts, part_count, (size_t)result);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static struct iovec part_of(const void *bytes, size_t size)
{
    return (struct iovec){(void *)(uintptr_t)bytes, size};
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    if (!descriptor_of(fd))
        return syscall(SYS_write, fd, bytes, size);
    struct iovec part = part_of(bytes, size);
    return write_parts(fd, &part, 1, -1);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    struct iovec part = part_of(bytes, size);
    return write_parts(fd, &part, 1, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (!descriptor_of(fd))
        return syscall(SYS_writev, fd, parts, count);
    return write_parts(fd, parts, count, -1);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return write_parts(fd, parts, count, offset);
}

static int sync_descriptor(int fd, const char *call)
{
    pthread_mutex_lock(&lock);
    struct descriptor *descriptor = descriptor_of(fd);
    int result = 0;
    if (descriptor) {
        const char *what = descriptor->folder ? descriptor->folder : text_of(descriptor->file);
        result = enter(call, what, false);
    }
    if (descriptor && result == 0) {
        if (descriptor->folder && lying != DISK_LIES_ABOUT_FOLDER)
            add_op(OP_SYNC_FOLDER)->path = copy_of(descriptor->folder);
        else if (!descriptor->folder && lying != DISK_LIES_ABOUT_DATA)
            add_op(OP_SYNC)->file = descriptor->file;
    }
    pthread_mutex_unlock(&lock);
    return result; /* nothing to wait for: the real file is in memory */
}

int fsync(int fd)
{
    return sync_descriptor(fd, "fsync");
}

int fdatasync(int fd)
{
    return sync_descriptor(fd, "fdatasync");
}

/* Promises nothing about durability, so nothing is recorded. */
int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags)
{
    (void)fd, (void)offset, (void)size, (void)flags;
    return 0;
}

static int set_length(int fd, off_t length, bool shrinks, const char *call)
{
    pthread_mutex_lock(&lock);
    struct descriptor *descriptor = descriptor_of(fd);
    int result = descriptor ? enter(call, text_of(descriptor->file), !shrinks) : 0;
    struct stat status = {0};
    if (result == 0)
        result = (int)syscall(SYS_newfstatat, fd, "", &status, AT_EMPTY_PATH);
    if (result == 0 && (shrinks || length > status.st_size)) {
        result = (int)syscall(SYS_ftruncate, fd, length);
        if (result == 0 && descriptor) {
            struct op *op = add_op(OP_LENGTH);
            op->file = descriptor->file;
            op->offset = length;
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t length)
{
    return set_length(fd, length, true, "ftruncate");
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
    int saved = errno;
    int number = set_length(fd, offset + size, false, "posix_fallocate") ? errno : 0;
    errno = saved;
    return number;
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    if (mode != 0) /* keeps the length: nothing that a reader could see */
        return 0;
    return set_length(fd, offset + size, false, "fallocate");
}

int rename(const char *from, const char *to)
{
    pthread_mutex_lock(&lock);
    const char *inside = below(from), *inside_to = below(to);
    int result = inside ? enter("rename", inside, true) : 0;
    if (result == 0)
        result = (int)syscall(SYS_rename, from, to);
    if (result == 0 && inside && inside_to) {
        struct name *name = find_name(inside);
        TW_ASSERT(name != NULL); /* folders are not renamed */
        struct op *op = add_op(OP_RENAME);
        op->file = name->file;
        op->path = copy_of(inside);
        op->to = copy_of(inside_to);
        set_name(inside_to, op->file);
        drop_name(inside);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *path)
{
    pthread_mutex_lock(&lock);
    const char *inside = below(path);
    bool there = inside && find_name(inside) != NULL;
    int result = there ? enter("unlink", inside, false) : 0;
    if (result == 0)
        result = (int)syscall(SYS_unlink, path);
    if (result == 0 && there) {
        struct op *op = add_op(OP_UNLINK);
        op->path = copy_of(inside);
        op->file = find_name(inside)->file;
        drop_name(inside);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    pthread_mutex_lock(&lock);
    const char *inside = below(path);
    bool fresh = inside && syscall(SYS_access, path, F_OK) != 0;
    int result = fresh ? enter("mkdir", inside, true) : 0;
    if (result == 0)
        result = (int)syscall(SYS_mkdir, path, mode);
    if (result == 0 && inside)
        add_op(OP_FOLDER)->path = copy_of(inside);
    pthread_mutex_unlock(&lock);
    return result;
}

/* ---- power cuts ---- */

static size_t parent_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static bool syncs_parent(const struct op *sync, const char *path)
{
    size_t size = parent_size(path);
    return strlen(sync->path) == size && strncmp(sync->path, path, size) == 0;
}

static bool makes_certain(const struct op *op, const struct op *sync)
{
    switch (op->kind) {
    case OP_WRITE:
    case OP_LENGTH:
        return sync->kind == OP_SYNC && sync->file == op->file;
    case OP_MAKE:
    case OP_FOLDER:
    case OP_UNLINK:
    case OP_RENAME:
        return sync->kind == OP_SYNC_FOLDER && syncs_parent(sync, op->path);
    case OP_SYNC:
    case OP_SYNC_FOLDER:
        return false;
    }
    return false;
}

static void find_certain(void)
{
    for (size_t i = 0; i < op_count; i++) {
        struct op *op = &ops[i];
        op->certain = NEVER;
        /* The folder above the watched one is not watched: names directly in it are durable. */
        if (op->at_once || (op->path && op->kind != OP_SYNC_FOLDER && parent_size(op->path) == 0)) {
            op->certain = i + 1;
            continue;
        }
        for (size_t j = i + 1; j < op_count; j++)
            if (makes_certain(op, &ops[j])) {
                op->certain = j + 1;
                break;
            }
    }
    certain_known = true;
}

static uint64_t random_state;

static bool coin(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return random_state >> 63;
}

struct content {
    char *bytes;
    size_t size, capacity;
};

static void lengthen(struct content *content, size_t size)
{
    if (size > content->capacity) {
        content->capacity = size * 2;
        content->bytes = realloc(content->bytes, content->capacity);
        TW_ASSERT(content->bytes != NULL);
    }
    if (size > content->size) {
        memset(content->bytes + content->size, 0, size - content->size);
        content->size = size;
    }
}

static void put(struct content *content, off_t offset, const char *bytes, size_t size)
{
    lengthen(content, (size_t)offset + size);
    memcpy(content->bytes + offset, bytes, size);
}

/* Each sector that the write touches, or not. */
static void put_torn(struct content *content, const struct op *op)
{
    for (size_t done = 0; done < op->size;) {
        size_t left = SECTOR - ((size_t)op->offset + done) % SECTOR;
        size_t size = left < op->size - done ? left : op->size - done;
        if (coin())
            put(content, op->offset + (off_t)done, op->bytes + done, size);
        done += size;
    }
}

static void replay_content(struct content *content, const struct op *op, bool certain,
                           enum disk_cut kind)
{
    if (op->kind == OP_LENGTH) {
        if (certain || kind == DISK_CUT_ALL || kind == DISK_CUT_LENGTH || coin()) {
            if ((size_t)op->offset < content->size)
                content->size = (size_t)op->offset;
            lengthen(content, (size_t)op->offset);
        }
        return;
    }
    if (certain || kind == DISK_CUT_ALL || (kind == DISK_CUT_RANDOM && coin()))
        put(content, op->offset, op->bytes, op->size);
    else if (kind == DISK_CUT_TORN)
        put_torn(content, op);
    else if (kind == DISK_CUT_LENGTH)
        lengthen(content, (size_t)op->offset + op->size);
}

static void replay_name(const struct op *op)
{
    switch (op->kind) {
    case OP_MAKE:
        set_name(op->path, op->file);
        break;
    case OP_UNLINK: {
        struct name *name = find_name(op->path);
        if (name && name->file == op->file) /* not one that took its place */
            drop_name(op->path);
        break;
    }
    case OP_RENAME: {
        struct name *name = find_name(op->path);
        if (name && name->file == op->file)
            drop_name(op->path);
        set_name(op->to, op->file);
        break;
    }
    default:
        break;
    }
}

static void make_file(const char *to, const struct name *name, const struct content *content)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", to, name->path);
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    if (fd < 0)
        return; /* its folder is lost, and it with it */
    size_t done = 0;
    while (done < content->size) {
        long put_bytes = syscall(SYS_write, (int)fd, content->bytes + done, content->size - done);
        TW_ASSERT(put_bytes > 0);
        done += (size_t)put_bytes;
    }
    syscall(SYS_close, (int)fd);
}

void disk_cut(size_t position, enum disk_cut kind, uint64_t seed, const char *to)
{
    TW_ASSERT(!watching && position <= op_count);
    if (!certain_known)
        find_certain();
    while (name_count > 0)
        drop_name(names[0].path);
    random_state = seed * 2 + 1;
    coin();
    struct content *contents = calloc(file_count + 1, sizeof *contents);
    TW_ASSERT(contents != NULL);
    TW_ASSERT(syscall(SYS_mkdir, to, 0750) == 0);
    for (size_t i = 0; i < position; i++) {
        const struct op *op = &ops[i];
        bool certain = op->certain <= position;
        if (op->kind == OP_WRITE || op->kind == OP_LENGTH) {
            replay_content(&contents[op->file], op, certain, kind);
            continue;
        }
        if (op->kind == OP_SYNC || op->kind == OP_SYNC_FOLDER)
            continue;
        if (!certain && kind != DISK_CUT_ALL && (kind == DISK_CUT_NOTHING_MORE || !coin()))
            continue;
        if (op->kind == OP_FOLDER) {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", to, op->path);
            syscall(SYS_mkdir, path, 0750);
        } else {
            replay_name(op);
        }
    }
    for (size_t i = 0; i < name_count; i++)
        make_file(to, &names[i], &contents[names[i].file]);
    for (uint32_t i = 0; i < file_count; i++)
        free(contents[i].bytes);
    free(contents);
}

const char *disk_position_text(size_t position)
{
    static const char *const kinds[] = {"made",    "folder made", "written", "length set",
                                        "renamed", "removed",     "synced",  "folder synced"};
    if (position == 0 || position > op_count)
        return "the start";
    const struct op *op = &ops[position - 1];
    const char *path = op->path;
    for (size_t i = position; !path && i > 0; i--)
        if ((ops[i - 1].kind == OP_MAKE || ops[i - 1].kind == OP_RENAME) &&
            ops[i - 1].file == op->file)
            path = ops[i - 1].to ? ops[i - 1].to : ops[i - 1].path;
    snprintf(position_text, sizeof position_text, "'%s' %s (%zu bytes at %lld)%s",
             path ? path : "?", kinds[op->kind], op->size, (long long)op->offset,
             op->at_once ? ", through O_DSYNC" : "");
    return position_text;
}
