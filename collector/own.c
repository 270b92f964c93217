/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/own.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "collector/scan.h"

#define PROCESS(name, type, help)                                                                  \
    {                                                                                              \
        {name, type, help}, NULL, NULL                                                             \
    }
enum {
    OWN_CPU,
    OWN_RESIDENT,
    OWN_VIRTUAL,
    OWN_START,
    OWN_MAX_FDS,
    OWN_OPEN_FDS,
    OWN_ANONYMOUS,
    OWN_COLUMNS
};
static const struct agent_column columns[OWN_COLUMNS] = {
    PROCESS("process_cpu_seconds_total", WIRE_TYPE_COUNTER, "CPU time of this process."),
    PROCESS("process_resident_memory_bytes", WIRE_TYPE_GAUGE, "Memory that is in RAM."),
    PROCESS("process_virtual_memory_bytes", WIRE_TYPE_GAUGE, "Address space."),
    PROCESS("process_start_time_seconds", WIRE_TYPE_GAUGE, "When it started, since 1970."),
    PROCESS("process_max_fds", WIRE_TYPE_GAUGE, "Most files that it may have open."),
    PROCESS("process_open_fds", WIRE_TYPE_GAUGE, "Files that it has open."),
    PROCESS("tidewatch_agent_anonymous_memory_bytes", WIRE_TYPE_GAUGE,
            "Memory in RAM that belongs to no file: the agent's own, without libraries.")};

/* Opening a folder and reading a long file: not at every tick. */
#define RARE_TICKS 15

struct own {
    struct agent_procfile stat, statm, status;
    struct agent_table table;
    double start_time_s, open_fds, anonymous_bytes;
    uint32_t rare_ticks_left;
};

static void own_init(void *state, struct agent_env *env)
{
    struct own *own = state;
    agent_procfile_init(&own->stat);
    agent_procfile_init(&own->statm);
    agent_procfile_init(&own->status);
    agent_table_init(&own->table, env->roster, OWN_COLUMNS);
}

/* Field 22 of /proc/self/stat is in ticks since the host's start. The name, field 2, may hold
 * anything, so count from its closing bracket. */
static double read_start(struct own *own, struct agent_env *env)
{
    struct tw_str text;
    struct timespec since_boot, now;
    if (agent_procfile_read(&own->stat, env->proc, "self/stat", &env->text, &text, NULL) != TW_OK)
        return 0;
    agent_procfile_fini(&own->stat);
    size_t end = text.size;
    while (end > 0 && text.data[end - 1] != ')')
        end--;
    struct agent_scan line = agent_scan_of(tw_str_slice(text, end, text.size));
    for (int field = 3; field < 22; field++)
        (void)agent_scan_word(&line);
    uint64_t ticks;
    if (!agent_scan_u64(&line, &ticks))
        return 0;
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    clock_gettime(CLOCK_REALTIME, &now);
    double boot_s =
        (double)(now.tv_sec - since_boot.tv_sec) + (double)(now.tv_nsec - since_boot.tv_nsec) / 1e9;
    return boot_s + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static double count_fds(struct agent_env *env)
{
    char path[512];
    double count = 0;
    snprintf(path, sizeof path, "%s/self/fd", env->proc);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* the folder's own */
}

static double read_anonymous(struct own *own, struct agent_env *env)
{
    struct tw_str text;
    if (agent_procfile_read(&own->status, env->proc, "self/status", &env->text, &text, NULL) !=
        TW_OK)
        return 0;
    struct agent_scan scan = agent_scan_of(text), line;
    while (agent_scan_line(&scan, &line)) {
        uint64_t kilobytes;
        if (tw_str_is(agent_scan_until(&line, ':'), "RssAnon") && agent_scan_u64(&line, &kilobytes))
            return (double)kilobytes * 1024;
    }
    return 0;
}

static enum tw_code own_collect(void *state, struct agent_env *env, struct agent_round *round,
                                struct tw_err *err)
{
    struct own *own = state;
    struct tw_str text;
    struct rlimit files;
    uint64_t virtual_pages, resident_pages;
    if (own->rare_ticks_left-- == 0) {
        own->rare_ticks_left = RARE_TICKS - 1;
        if (own->start_time_s == 0)
            own->start_time_s = read_start(own, env);
        own->open_fds = count_fds(env);
        own->anonymous_bytes = read_anonymous(own, env);
    }
    enum tw_code code =
        agent_procfile_read(&own->statm, env->proc, "self/statm", &env->text, &text, err);
    if (code != TW_OK)
        return code;
    struct agent_row *row = agent_table_row(&own->table, TW_STR("own"), round->tick, columns, NULL);
    struct agent_scan line = agent_scan_of(text);
    if (row == NULL || !agent_scan_u64(&line, &virtual_pages) ||
        !agent_scan_u64(&line, &resident_pages))
        return tw_err_set(err, TW_BAD_DATA, "%s/self/statm is malformed", env->proc);
    double page_bytes = (double)sysconf(_SC_PAGESIZE);
    agent_round_put(round, row->series[OWN_CPU], (double)tw_clock_process_cpu_ns() / 1e9);
    agent_round_put(round, row->series[OWN_RESIDENT], (double)resident_pages * page_bytes);
    agent_round_put(round, row->series[OWN_VIRTUAL], (double)virtual_pages * page_bytes);
    agent_round_put(round, row->series[OWN_START], own->start_time_s);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        agent_round_put(round, row->series[OWN_MAX_FDS], (double)files.rlim_cur);
    agent_round_put(round, row->series[OWN_OPEN_FDS], own->open_fds);
    agent_round_put(round, row->series[OWN_ANONYMOUS], own->anonymous_bytes);
    return TW_OK;
}

static void own_fini(void *state)
{
    struct own *own = state;
    agent_procfile_fini(&own->stat);
    agent_procfile_fini(&own->statm);
    agent_procfile_fini(&own->status);
    agent_table_fini(&own->table);
}

const struct agent_source agent_source_process = {
    "process", sizeof(struct own), 0, own_init, own_collect, NULL, own_fini};
