/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/db_int.h"
#include "tsdb/snapshot.h"
#include "tsdb/verify.h"

#define DAY TSDB_DAY_MS
#define WIDE_COUNT 15000

static char path[4096];
static struct tsdb_db *db;
static struct tsdb_db_options options;
static struct tsdb_snapshot snapshot;
static struct tw_err err;

/* ---- a file system that shares blocks, wherever the test runs ---- */

static enum { AS_IT_IS, CLONES, CANNOT_CLONE, IS_FULL } file_system;
static unsigned clones;

static int clone_file(int out, int in)
{
    char bytes[65536];
    off_t at = 0;
    ssize_t size;
    while ((size = pread(in, bytes, sizeof bytes, at)) > 0) {
        if (pwrite(out, bytes, (size_t)size, at) != size)
            return -1;
        at += size;
    }
    clones++;
    return size < 0 ? -1 : 0;
}

/* In the place of libc's. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    if (request == FICLONE && file_system == CLONES)
        return clone_file(fd, (int)argument);
    if (request == FICLONE && file_system != AS_IT_IS) {
        errno = file_system == IS_FULL ? ENOSPC : EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

static void open_db(void)
{
    snprintf(path, sizeof path, "%s/store", unit_folder());
    options.folder = path;
    options.manual = true;
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
}

static void append(const char *series, int64_t time_ms, double value)
{
    unit_assert_ok(store_append(db, series, time_ms, value, &err), &err);
}

static void take(void)
{
    unit_assert_ok(tsdb_snapshot_take(db, NULL, false, &snapshot, &err), &err);
}

static const char *snapshot_path(const char *below)
{
    static char full[8192];
    snprintf(full, sizeof full, "%s/snapshots/%s%s", path, snapshot.name, below);
    return full;
}

/* What a store made of the snapshot reads. */
static void assert_snapshot(const char *wanted)
{
    char to[4096];
    struct tsdb_db *copy;
    snprintf(to, sizeof to, "%s/restored", unit_folder());
    unit_assert_ok(tw_file_remove_folder(to, &err), &err);
    unit_assert_ok(tsdb_restore_run(snapshot_path(""), to, false, NULL, &err), &err);
    const struct tsdb_db_options other = {.folder = to, .manual = true};
    unit_assert_ok(tsdb_db_open(&other, &copy, &err), &err);
    store_assert(copy, "m", INT64_MIN / 2, INT64_MAX / 2, wanted);
    tsdb_db_close(copy);
}

static void flush(void)
{
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
}

static ino_t inode(const char *file)
{
    struct stat status;
    ck_assert_msg(stat(file, &status) == 0, "'%s'", file);
    return status.st_ino;
}

/* Late samples, overwrites, deletes and rewrites change the store, and never the snapshot. */
START_TEST(snapshot_never_changes)
{
    options = (struct tsdb_db_options){0};
    open_db();
    for (int i = 0; i < 3; i++)
        append("m", i * DAY + 5, i);
    take();
    static const char *const then = "m: 5=0 86400005=1 172800005=2\n";
    append("m", DAY + 6, 10);
    append("m", DAY + 5, 11);
    flush();
    append("m", 2 * DAY + 6, 12);
    flush();
    uint64_t before, after;
    unit_assert_ok(tsdb_db_compact(db, &before, &after, &err), &err);
    static const char *const now = "m: 5=0 86400005=11 86400006=10 172800005=2 172800006=12\n";
    store_assert(db, "m", 0, 9 * DAY, now);
    assert_snapshot(then);
    struct tsdb_matcher matcher;
    struct tw_context context = store_context();
    unit_assert_ok(
        tsdb_matcher_init(&matcher, TSDB_MATCH_EQUAL, TW_STR(WIRE_METRIC_NAME), TW_STR("m"), &err),
        &err);
    const struct tsdb_selector selector = {&matcher, 1};
    unit_assert_ok(tsdb_db_delete(db, &context, &selector, 1, INT64_MIN, INT64_MAX, &err), &err);
    unit_assert_ok(tsdb_db_clean_tombstones(db, &err), &err);
    tsdb_matcher_fini(&matcher);
    store_assert(db, "m", 0, 9 * DAY, "");
    assert_snapshot(then);
    tsdb_db_close(db);
    open_db();
    store_assert(db, "m", 0, 9 * DAY, "");
    assert_snapshot(then);
    tsdb_db_close(db);
}
END_TEST

/* Returns whether the partitions were linked. */
static bool share_and_write(void)
{
    char day[8192], kept[8192];
    options = (struct tsdb_db_options){0};
    open_db();
    append("m", 5, 1);
    append("m", DAY + 5, 2);
    take();
    snprintf(day, sizeof day, "%s/default/partitions/day-0.mdb", path);
    snprintf(kept, sizeof kept, "%s", snapshot_path("/default/partitions/day-0.mdb"));
    bool linked = inode(day) == inode(kept);
    struct stat status;
    ck_assert_int_eq(stat(kept, &status), 0);
    ck_assert_uint_eq(status.st_nlink, linked ? 2 : 1);
    ino_t first = inode(kept);
    append("m", 6, 3);
    flush();
    ck_assert(first == inode(kept));
    ck_assert_int_eq(stat(kept, &status), 0);
    ck_assert_uint_eq(status.st_nlink, 1); /* the store's is another one now */
    ck_assert(tw_file_exists(day) != linked);
    store_assert(db, "m", 0, 2 * DAY, "m: 5=1 6=3 86400005=2\n");
    /* A second snapshot shares what the first one has, and outlives it. */
    struct tsdb_snapshot old = snapshot;
    take();
    unit_assert_ok(tsdb_snapshot_remove(db, tw_str(old.name), &err), &err);
    append("m", DAY + 6, 4);
    flush();
    assert_snapshot("m: 5=1 6=3 86400005=2\n");
    store_assert(db, "m", 0, 2 * DAY, "m: 5=1 6=3 86400005=2 86400006=4\n");
    tsdb_db_close(db);
    return linked;
}

/* Where the file system shares blocks or links files, a snapshot takes no room, until a partition
 * is written to. */
START_TEST(partitions_are_shared)
{
    file_system = AS_IT_IS;
    (void)share_and_write();
}
END_TEST

START_TEST(blocks_are_shared)
{
    file_system = CLONES;
    ck_assert(!share_and_write());
    ck_assert_uint_ge(clones, 4); /* two days, twice */
}
END_TEST

START_TEST(files_are_linked)
{
    file_system = CANNOT_CLONE;
    ck_assert(share_and_write());
}
END_TEST

/* Sharing fails for another reason: it is copied, which may do. */
START_TEST(else_they_are_copied)
{
    file_system = IS_FULL;
    ck_assert(!share_and_write());
    ck_assert_uint_eq(clones, 0);
}
END_TEST

/* Even a server that somebody starts on the snapshot itself does not change the store. */
START_TEST(snapshot_is_a_store_of_its_own)
{
    char copy_path[8192];
    options = (struct tsdb_db_options){0};
    open_db();
    append("m", 5, 1);
    take();
    tsdb_db_close(db);
    snprintf(copy_path, sizeof copy_path, "%s", snapshot_path(""));
    const struct tsdb_db_options other = {.folder = copy_path, .manual = true};
    unit_assert_ok(tsdb_db_open(&other, &db, &err), &err);
    append("m", 6, 2);
    flush();
    store_assert(db, "m", 0, 99, "m: 5=1 6=2\n");
    tsdb_db_close(db);
    open_db();
    store_assert(db, "m", 0, 99, "m: 5=1\n");
    append("m", 7, 3);
    flush();
    store_assert(db, "m", 0, 99, "m: 5=1 7=3\n");
    tsdb_db_close(db);
    assert_snapshot("m: 5=1 6=2\n");
}
END_TEST

START_TEST(listed_and_removed)
{
    struct tsdb_snapshot list[TSDB_SNAPSHOTS_MAX];
    size_t count;
    options = (struct tsdb_db_options){0};
    open_db();
    unit_assert_ok(tsdb_snapshot_list(db, list, &count, &err), &err);
    ck_assert_uint_eq(count, 0);
    append("m", 5, 1);
    for (int i = 0; i < TSDB_SNAPSHOTS_MAX; i++)
        take();
    unit_assert_code(tsdb_snapshot_take(db, NULL, false, &snapshot, &err), TW_LIMIT);
    unit_assert_ok(tsdb_snapshot_list(db, list, &count, &err), &err);
    ck_assert_uint_eq(count, TSDB_SNAPSHOTS_MAX);
    for (size_t i = 1; i < count; i++)
        ck_assert_int_lt(strcmp(list[i - 1].name, list[i].name), 0);
    ck_assert_uint_gt(list[0].bytes, 0);
    unit_assert_code(tsdb_snapshot_remove(db, TW_STR("../store"), &err), TW_BAD_DATA);
    unit_assert_code(tsdb_snapshot_remove(db, TW_STR("20000101T000000Z-0"), &err), TW_NOT_FOUND);
    unit_assert_ok(tsdb_snapshot_remove(db, tw_str(list[3].name), &err), &err);
    take();
    /* What a crash left half made is no snapshot, and makes room for the next one. */
    char *half = tw_file_join(path, "snapshots/20000101T000000Z-0.tmp");
    unit_assert_ok(tw_file_make_folder(half, 0700, &err), &err);
    unit_assert_ok(tsdb_snapshot_list(db, list, &count, &err), &err);
    ck_assert_uint_eq(count, TSDB_SNAPSHOTS_MAX);
    unit_assert_ok(tsdb_snapshot_remove(db, tw_str(list[0].name), &err), &err);
    take();
    ck_assert(!tw_file_exists(half));
    free(half);
    tsdb_db_close(db);
}
END_TEST

START_TEST(head_may_be_left_out)
{
    options = (struct tsdb_db_options){0};
    open_db();
    append("m", 5, 1);
    flush();
    append("m", 6, 2);
    unit_assert_ok(tsdb_snapshot_take(db, NULL, true, &snapshot, &err), &err);
    assert_snapshot("m: 5=1\n");
    tsdb_db_close(db);
}
END_TEST

START_TEST(bound_on_the_folder_holds)
{
    options = (struct tsdb_db_options){.size_max = TSDB_SIZE_MIN};
    open_db();
    static char names[WIDE_COUNT][64];
    static struct wire_label items[WIDE_COUNT][8];
    static struct tsdb_sample samples[WIDE_COUNT];
    for (int i = 0; i < WIDE_COUNT; i++) {
        snprintf(names[i], sizeof names[i], "m,i=%d,x=%x", i, (unsigned)i * 2654435761u);
        samples[i] = (struct tsdb_sample){store_labels(names[i], items[i]), 5, 1.0 / (i + 1)};
    }
    struct tw_context context = store_context();
    unit_assert_ok(tsdb_append(tsdb_db_storage(db), &context, samples, WIDE_COUNT, &err), &err);
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    int taken = 0;
    while (taken < TSDB_SNAPSHOTS_MAX &&
           tsdb_snapshot_take(db, NULL, false, &snapshot, &err) == TW_OK)
        taken++;
    ck_assert_int_gt(taken, 0);
    ck_assert_int_lt(taken, TSDB_SNAPSHOTS_MAX);
    unit_assert_contains(err.message, "storage.retention_size");
    tsdb_db_close(db);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(snapshot_never_changes),    UNIT_CASE(partitions_are_shared),
        UNIT_CASE(blocks_are_shared),         UNIT_CASE(files_are_linked),
        UNIT_CASE(else_they_are_copied),      UNIT_CASE(snapshot_is_a_store_of_its_own),
        UNIT_CASE(listed_and_removed),        UNIT_CASE(head_may_be_left_out),
        UNIT_CASE(bound_on_the_folder_holds), {0}};
    return unit_run("tsdb/snapshot", cases);
}
