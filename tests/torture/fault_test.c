/* SPDX-License-Identifier: Apache-2.0
 *
 * fault_test: every write, every sync and every change of a folder fails in turn, while the store
 * does everything that it can do (workload.h). Afterwards it works again without a restart, and
 * everything acknowledged is there, before and after one; a power cut at the end changes nothing.
 *
 * Short: each kind of failure at every 31st call (TW_FAULT_STRIDE chooses another); TW_LONG=1: at
 * each.
 */
#include "config.h"

#include <unistd.h>

#include "base/file.h"
#include "tests/torture/disk.h"
#include "tests/torture/workload.h"
#include "tests/unit/tsdb/store.h"

#define STRIDE 31

static char folder[4096], why[WORKLOAD_WHY_BYTES];

static void fresh_folder(void)
{
    /* In memory: the real disk is not what is tested. */
    snprintf(folder, sizeof folder, "%s/tidewatch-fault.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ck_assert(mkdtemp(folder) != NULL);
    disk_watch(folder);
}

static void drop_folder(void)
{
    struct tw_err err;
    disk_unwatch();
    unit_assert_ok(tw_file_remove_folder(folder, &err), &err);
}

static unsigned long count_calls(void)
{
    fresh_folder();
    bool fine = workload_run(folder, why);
    unsigned long calls = disk_calls();
    ck_assert_msg(fine, "without any failure: %s", why);
    ck_assert_uint_gt(workload_acknowledged(), 1000);
    drop_folder();
    return calls;
}

static void check_failure(unsigned long first, unsigned long count, enum disk_fault fault)
{
    fresh_folder();
    disk_fail(first, count, fault);
    bool fine = workload_run(folder, why);
    ck_assert_msg(fine, "%lu from call %lu on, last %s: %s", count, first, disk_fault_text(), why);
    if (disk_faults() > 0) {
        char image[4200];
        snprintf(image, sizeof image, "%s/image", folder);
        disk_cut(disk_position(), DISK_CUT_TORN, first, image);
        fine = workload_check(image, SIZE_MAX - 1, why);
        ck_assert_msg(fine, "%lu from call %lu on, last %s, then a power cut: %s", count, first,
                      disk_fault_text(), why);
    }
    drop_folder();
}

START_TEST(everything_acknowledged_survives)
{
    static const struct {
        enum disk_fault fault;
        unsigned long count;
    } kinds[] = {
        {DISK_EIO, 1}, {DISK_NO_SPACE, 1}, {DISK_SHORT, 1}, {DISK_NO_SPACE, 25}, {DISK_EIO, 7}};
    unsigned long calls = count_calls();
    unsigned long stride = (unsigned long)store_rounds("TW_FAULT_STRIDE", STRIDE, 1);
    for (unsigned long first = 1 + (unsigned long)_i % stride; first <= calls; first += stride)
        check_failure(first, kinds[_i].count, kinds[_i].fault);
    workload_fini();
}
END_TEST

int main(void)
{
    struct unit_case cases[] = {UNIT_LOOP(everything_acknowledged_survives, 0, 5), {0}};
    cases[0].timeout_s = 36000;
    return unit_run("torture/fault", cases);
}
