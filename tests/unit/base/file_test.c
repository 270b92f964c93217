/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/lib/unit.h"

START_TEST(replaces_and_reads)
{
    char *path = tw_file_join(unit_folder(), "x");
    struct tw_err err;
    unit_assert_ok(tw_file_replace(path, TW_STR("one"), 0640, &err), &err);
    unit_assert_ok(tw_file_replace(path, TW_STR("second"), 0640, &err), &err);
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0640);
    struct tw_buf buf;
    tw_buf_init(&buf, 6);
    unit_assert_ok(tw_file_read(path, &buf, &err), &err);
    unit_assert_str(tw_buf_str(&buf), "second");
    tw_buf_fini(&buf);
    tw_buf_init(&buf, 5);
    unit_assert_code(tw_file_read(path, &buf, &err), TW_TOO_LARGE);
    tw_buf_fini(&buf);
    unit_assert_code(tw_file_read("/nonexistent/x", &buf, &err), TW_NOT_FOUND);
    unit_assert_contains(err.message, "/nonexistent/x");
    char **names;
    size_t count;
    unit_assert_ok(tw_file_list(unit_folder(), &names, &count, &err), &err);
    ck_assert_uint_eq(count, 1); /* no temporary file is left */
    tw_file_list_free(names, count);
    free(path);
}
END_TEST

START_TEST(makes_and_removes_folders)
{
    char *deep = tw_file_join(unit_folder(), "a/b/c");
    struct tw_err err;
    unit_assert_ok(tw_file_make_folder(deep, 0755, &err), &err);
    unit_assert_ok(tw_file_make_folder(deep, 0755, &err), &err);
    char *file = tw_file_join(deep, "f");
    unit_assert_ok(tw_file_replace(file, TW_STR("x"), 0644, &err), &err);
    unit_assert_code(tw_file_make_folder(file, 0755, &err), TW_IO);
    unit_assert_contains(err.message, "no folder");
    ck_assert_int_ne(tw_file_make_folder("/proc/tidewatch/x", 0755, &err), TW_OK);
    unit_assert_contains(err.message, "/proc/tidewatch");
    uint64_t bytes = 0;
    unit_assert_ok(tw_file_folder_bytes(unit_folder(), &bytes, &err), &err);
    ck_assert_uint_ge(bytes, 512);
    char *top = tw_file_join(unit_folder(), "a");
    unit_assert_ok(tw_file_remove_folder(top, &err), &err);
    ck_assert(!tw_file_exists(top));
    unit_assert_ok(tw_file_remove_folder(top, &err), &err);
    free(top);
    free(file);
    free(deep);
}
END_TEST

START_TEST(lock_names_its_holder)
{
    int fd = -1, second = -1;
    struct tw_err err;
    unit_assert_ok(tw_file_lock(unit_folder(), "lock", &fd, &err), &err);
    unit_assert_code(tw_file_lock(unit_folder(), "lock", &second, &err), TW_BUSY);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    unit_assert_contains(err.message, pid);
    close(fd);
    unit_assert_ok(tw_file_lock(unit_folder(), "lock", &second, &err), &err);
    close(second);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(replaces_and_reads),
        UNIT_CASE(makes_and_removes_folders),
        UNIT_CASE(lock_names_its_holder),
        {0},
    };
    return unit_run("base/file", cases);
}
