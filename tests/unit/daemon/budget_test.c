/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "daemon/budget.h"
#include "tests/lib/unit.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static struct daemon_params params;
static struct daemon_storage storage;
static struct daemon_budget budget;
static struct tw_err err;

static void parse(int count, const char *const *words)
{
    enum daemon_params_wish wish;
    unit_assert_ok(daemon_params_parse(count, words, &params, &wish, &err), &err);
}

static enum tw_code settle(uint64_t memory)
{
    const struct daemon_machine machine = {memory, "the machine"};
    return daemon_budget_settle(&machine, &params, &storage, &budget, &err);
}

static void begin(const char *flag, const char *value)
{
    const char *const words[] = {"tidewatchd", flag, value};
    parse(flag ? 3 : 1, words);
    storage = (struct daemon_storage){.disk_reserve = TSDB_DISK_RESERVE_AUTO,
                                      .exemplars_max = TSDB_EXEMPLARS_MAX};
}

static void assert_sum(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < DAEMON_BUDGET_COUNT; i++)
        sum += budget.parts[i];
    ck_assert_uint_eq(sum, budget.sum);
    ck_assert_uint_le(sum, budget.memory_max);
}

/* Whatever the machine, a start without any setting fits. */
START_TEST(defaults_fit_any_machine)
{
    static const uint64_t machines[] = {192 * MIB, 256 * MIB, 512 * MIB, GIB,
                                        4 * GIB,   16 * GIB,  512 * GIB};
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        begin(NULL, NULL);
        unit_assert_ok(settle(machines[i]), &err);
        ck_assert_uint_eq(budget.memory_max, machines[i] / 4 * 3);
        assert_sum();
        ck_assert_int_ge(budget.series_expected, 1000);
        ck_assert_uint_le((uint64_t)budget.series_expected * DAEMON_BUDGET_SERIES_BYTES,
                          budget.parts[DAEMON_BUDGET_HEAD]);
        ck_assert_uint_le(params.query_memory_max, params.query_memory_total);
        ck_assert_uint_le(params.http_body_max, params.http_bodies_max);
    }
    ck_assert_int_gt(budget.series_expected, 10000000);
    ck_assert_uint_eq(params.query_memory_total, 4 * GIB); /* the defaults are there as well */
    ck_assert_int_eq(params.http_connections_max, 1024);
}
END_TEST

START_TEST(what_was_set_stands)
{
    begin("--query-memory-total", "900MiB");
    storage.memory_max = 2 * GIB;
    storage.series_max = 100000;
    unit_assert_ok(settle(4 * GIB), &err);
    assert_sum();
    ck_assert_uint_eq(budget.memory_max, 2 * GIB);
    ck_assert_uint_eq(budget.parts[DAEMON_BUDGET_QUERIES], 900 * MIB);
    ck_assert_uint_eq(params.query_memory_max, 900 * MIB);
    struct tsdb_db_options options = {0};
    daemon_budget_fill(&budget, &options);
    ck_assert_uint_lt(options.head_bytes_max, options.head_bytes_limit);
    ck_assert_uint_le(options.head_bytes_limit + options.head_bytes_limit / 8,
                      budget.parts[DAEMON_BUDGET_HEAD]);
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
    struct tw_buf table;
    begin("--query-memory-total", "4GiB");
    unit_assert_code(settle(2 * GIB), TW_CONFIG);
    unit_assert_contains(err.message, "storage.memory_max is 1.5GiB");
    ck_assert_uint_gt(budget.sum, 4 * GIB);
    tw_buf_init(&table, 65536);
    daemon_budget_write(&budget, &table);
    unit_assert_contains(tw_buf_cstr(&table), "queries           4.0GiB   --query-memory-total\n");
    unit_assert_contains(tw_buf_cstr(&table), "sum ");
    tw_buf_fini(&table);
    begin(NULL, NULL);
    storage.memory_max = 2 * GIB;
    unit_assert_code(settle(GIB), TW_CONFIG);
    unit_assert_contains(err.message, "storage.memory_max is 2.0GiB, and the machine has 1.0GiB");
    storage.series_max = 50000000;
    unit_assert_code(settle(8 * GIB), TW_CONFIG);
    unit_assert_contains(err.message, "storage.series_max of 50000000 takes 15GiB");
    begin(NULL, NULL);
    unit_assert_code(settle(64 * MIB), TW_CONFIG);
}
END_TEST

START_TEST(disk_is_settled_too)
{
    uint64_t disk;
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/not/there/yet", unit_folder());
    unit_assert_ok(tw_file_disk_bytes(unit_folder(), &disk, &err), &err);
    begin("--data", folder);
    unit_assert_ok(settle(4 * GIB), &err);
    ck_assert_uint_eq(budget.disk_bytes, disk);
    ck_assert_uint_gt(budget.disk_reserve, 0);
    storage.size_max = disk - budget.disk_reserve;
    unit_assert_ok(settle(4 * GIB), &err);
    storage.size_max += 1;
    unit_assert_code(settle(4 * GIB), TW_CONFIG);
    unit_assert_contains(err.message, "lower retention_size");
    storage.disk_reserve = 0;
    unit_assert_ok(settle(4 * GIB), &err);
}
END_TEST

/* ---- the machine ---- */

static void put(const char *root, const char *folder, const char *name, const char *text)
{
    char *path = tw_file_join(root, folder);
    char *file = tw_file_join(path, name);
    unit_assert_ok(tw_file_make_folder(path, 0700, &err), &err);
    unit_assert_ok(tw_file_replace(file, tw_str(text), 0600, &err), &err);
    free(file);
    free(path);
}

static uint64_t memory_of(const char *root, const char *source)
{
    struct daemon_machine machine;
    daemon_machine_read(root, &machine);
    ck_assert_str_eq(machine.source, source);
    return machine.memory_bytes;
}

START_TEST(groups_limit_the_machine)
{
    const char *root = unit_folder();
    ck_assert_uint_eq(memory_of(root, "the machine"), UINT64_MAX);
    put(root, "proc", "meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");
    ck_assert_uint_eq(memory_of(root, "the machine"), 8 * GIB);
    put(root, "proc/self", "cgroup", "0::/system.slice/tidewatchd.service\n");
    put(root, "sys/fs/cgroup/system.slice/tidewatchd.service", "memory.max", "max\n");
    ck_assert_uint_eq(memory_of(root, "the machine"), 8 * GIB);
    put(root, "sys/fs/cgroup/system.slice", "memory.max", "2147483648\n");
    ck_assert_uint_eq(memory_of(root, "its control group"), 2 * GIB);
    put(root, "sys/fs/cgroup", "memory.max", "1073741824\n"); /* as a container sees its own */
    ck_assert_uint_eq(memory_of(root, "its control group"), GIB);
    put(root, "proc/self", "cgroup", "9:cpu,cpuacct:/x\n4:memory:/docker/abc\n");
    put(root, "sys/fs/cgroup/memory", "memory.limit_in_bytes", "9223372036854771712\n");
    ck_assert_uint_eq(memory_of(root, "the machine"), 8 * GIB);
    put(root, "sys/fs/cgroup/memory/docker/abc", "memory.limit_in_bytes", "536870912\n");
    ck_assert_uint_eq(memory_of(root, "its control group"), 512 * MIB);
    put(root, "proc/self", "cgroup", "nonsense\n::::\n");
    ck_assert_uint_eq(memory_of(root, "the machine"), 8 * GIB);
    ck_assert_uint_lt(memory_of("", "the machine") >> 10, UINT64_MAX >> 10);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(defaults_fit_any_machine),     UNIT_CASE(what_was_set_stands),
        UNIT_CASE(what_does_not_fit_is_refused), UNIT_CASE(disk_is_settled_too),
        UNIT_CASE(groups_limit_the_machine),     {0}};
    return unit_run("daemon/budget", cases);
}
