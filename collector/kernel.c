/* SPDX-License-Identifier: Apache-2.0
 *
 * kernel: /proc/stat (CPU time by mode; interrupts, context switches, processes), the load,
 * pressure stall, and single numbers of the kernel (open files, entropy, hung tasks).
 */
#include "config.h"

#include "collector/kernel.h"

#include <string.h>

#include "base/assert.h"
#include "collector/scan.h"

/* /proc/stat counts in USER_HZ, which is 100 on every architecture that Linux still builds for. */
#define USER_HZ 100.0

/* ---- cpu ---- */

enum { CPU_MODES = 8, CPU_COLUMNS = 10, CPU_MAX = 1024 };

/* In the order of /proc/stat's columns. */
#define CPU_FAMILY                                                                                 \
    {                                                                                              \
        "node_cpu_seconds_total", WIRE_TYPE_COUNTER, "Time that each CPU spent in each mode."      \
    }
#define GUEST_FAMILY                                                                               \
    {                                                                                              \
        "node_cpu_guest_seconds_total", WIRE_TYPE_COUNTER,                                         \
            "Time that each CPU spent running virtual machines, also counted in user and nice."    \
    }
static const struct agent_column cpu_columns[CPU_COLUMNS] = {
    {CPU_FAMILY, "mode", "user"},    {CPU_FAMILY, "mode", "nice"},   {CPU_FAMILY, "mode", "system"},
    {CPU_FAMILY, "mode", "idle"},    {CPU_FAMILY, "mode", "iowait"}, {CPU_FAMILY, "mode", "irq"},
    {CPU_FAMILY, "mode", "softirq"}, {CPU_FAMILY, "mode", "steal"},  {GUEST_FAMILY, "mode", "user"},
    {GUEST_FAMILY, "mode", "nice"}};

struct cpu {
    struct agent_procfile file;
    struct agent_table table;
    uint64_t last[CPU_MAX][CPU_MODES];
};

static void cpu_init(void *state, struct agent_env *env)
{
    struct cpu *cpu = state;
    agent_procfile_init(&cpu->file);
    agent_table_init(&cpu->table, env->roster, CPU_COLUMNS);
}

/* The kernel's idle and iowait counters step back a little now and then, which would look like a
 * restart of the counter: hold the value then. A step of more than three seconds is a CPU that came
 * back. */
static uint64_t hold_back(uint64_t now, uint64_t *last)
{
    if (now < *last && *last - now < (uint64_t)(3 * USER_HZ))
        return *last;
    *last = now;
    return now;
}

static void put_cpu(struct cpu *cpu, struct agent_round *round, const struct agent_row *row,
                    struct agent_scan *line)
{
    for (int i = 0; i < CPU_COLUMNS; i++) {
        uint64_t ticks;
        if (!agent_scan_u64(line, &ticks))
            return;
        if (i < CPU_MODES && row->index < CPU_MAX)
            ticks = hold_back(ticks, &cpu->last[row->index][i]);
        agent_round_put(round, row->series[i], (double)ticks / USER_HZ);
    }
}

static enum tw_code cpu_collect(void *state, struct agent_env *env, struct agent_round *round,
                                struct tw_err *err)
{
    struct cpu *cpu = state;
    struct tw_str text;
    enum tw_code code = agent_procfile_read(&cpu->file, env->proc, "stat", &env->text, &text, err);
    if (code != TW_OK)
        return code;
    struct agent_scan scan = agent_scan_of(text), line;
    while (agent_scan_line(&scan, &line)) {
        struct tw_str word = agent_scan_word(&line);
        if (!tw_str_starts(word, TW_STR("cpu")))
            break; /* the CPUs come first */
        struct tw_str number = tw_str_slice(word, 3, word.size);
        if (number.size == 0)
            continue; /* the sum of all */
        struct agent_row *row =
            agent_table_row(&cpu->table, number, round->tick, cpu_columns, "cpu");
        if (row != NULL)
            put_cpu(cpu, round, row, &line);
    }
    return TW_OK;
}

static void cpu_sweep(void *state, uint32_t tick)
{
    struct cpu *cpu = state;
    agent_table_sweep(&cpu->table, tick);
}

static void cpu_fini(void *state)
{
    struct cpu *cpu = state;
    agent_procfile_fini(&cpu->file);
    agent_table_fini(&cpu->table);
}

const struct agent_source agent_source_cpu = {"cpu",       sizeof(struct cpu), 0,       cpu_init,
                                              cpu_collect, cpu_sweep,          cpu_fini};

/* ---- stat ---- */

static const struct {
    struct tw_str word;
    struct agent_family family;
} stat_fields[] = {
    {TW_STR_INIT("intr"),
     {"node_intr_total", WIRE_TYPE_COUNTER, "Interrupts serviced since the start."}},
    {TW_STR_INIT("ctxt"),
     {"node_context_switches_total", WIRE_TYPE_COUNTER, "Context switches since the start."}},
    {TW_STR_INIT("btime"),
     {"node_boot_time_seconds", WIRE_TYPE_GAUGE, "When the host started, seconds since 1970."}},
    {TW_STR_INIT("processes"),
     {"node_forks_total", WIRE_TYPE_COUNTER, "Processes and threads made since the start."}},
    {TW_STR_INIT("procs_running"),
     {"node_procs_running", WIRE_TYPE_GAUGE, "Processes that run or wait for a CPU."}},
    {TW_STR_INIT("procs_blocked"),
     {"node_procs_blocked", WIRE_TYPE_GAUGE, "Processes that wait for input or output."}}};
#define STAT_FIELDS (sizeof stat_fields / sizeof stat_fields[0])

struct stat_state {
    struct agent_procfile file;
    uint32_t series[STAT_FIELDS];
};

static void stat_init(void *state, struct agent_env *env)
{
    struct stat_state *stat = state;
    (void)env;
    agent_procfile_init(&stat->file);
    memset(stat->series, 0xff, sizeof stat->series);
}

/* Registers a series without labels of its own at first use, so that what a host lacks is never
 * there. */
static void put_single(struct agent_env *env, struct agent_round *round, uint32_t *series,
                       const struct agent_family *family, double value)
{
    if (*series == AGENT_SERIES_NONE)
        *series = agent_roster_add(env->roster, family, NULL, 0);
    agent_round_put(round, *series, value);
}

static enum tw_code stat_collect(void *state, struct agent_env *env, struct agent_round *round,
                                 struct tw_err *err)
{
    struct stat_state *stat = state;
    struct tw_str text;
    enum tw_code code = agent_procfile_read(&stat->file, env->proc, "stat", &env->text, &text, err);
    if (code != TW_OK)
        return code;
    struct agent_scan scan = agent_scan_of(text), line;
    while (agent_scan_line(&scan, &line)) {
        struct tw_str word = agent_scan_word(&line);
        uint64_t value;
        for (size_t i = 0; i < STAT_FIELDS; i++)
            if (tw_str_equal(word, stat_fields[i].word) && agent_scan_u64(&line, &value))
                put_single(env, round, &stat->series[i], &stat_fields[i].family, (double)value);
    }
    return TW_OK;
}

static void stat_fini(void *state)
{
    struct stat_state *stat = state;
    agent_procfile_fini(&stat->file);
}

const struct agent_source agent_source_stat = {
    "stat", sizeof(struct stat_state), 0, stat_init, stat_collect, NULL, stat_fini};

/* ---- files of a few numbers, by their place ---- */

struct spot {
    const char *file;
    int word; /* 0-based */
    struct agent_family family;
};

static const struct spot load_spots[] = {
    {"loadavg", 0, {"node_load1", WIRE_TYPE_GAUGE, "Load average over 1 minute."}},
    {"loadavg", 1, {"node_load5", WIRE_TYPE_GAUGE, "Load average over 5 minutes."}},
    {"loadavg", 2, {"node_load15", WIRE_TYPE_GAUGE, "Load average over 15 minutes."}},
    {NULL, 0, {NULL, 0, NULL}}};
static const struct spot filefd_spots[] = {
    {"sys/fs/file-nr",
     0,
     {"node_filefd_allocated", WIRE_TYPE_GAUGE, "Open files of all processes."}},
    {"sys/fs/file-nr", 2, {"node_filefd_maximum", WIRE_TYPE_GAUGE, "Most files that may be open."}},
    {NULL, 0, {NULL, 0, NULL}}};
static const struct spot entropy_spots[] = {
    {"sys/kernel/random/entropy_avail",
     0,
     {"node_entropy_available_bits", WIRE_TYPE_GAUGE, "Entropy at hand for random numbers."}},
    {"sys/kernel/random/poolsize",
     0,
     {"node_entropy_pool_size_bits", WIRE_TYPE_GAUGE, "Most entropy that the pool holds."}},
    {NULL, 0, {NULL, 0, NULL}}};
static const struct spot hung_spots[] = {
    {"sys/kernel/hung_task_detect_count",
     0,
     {"node_kernel_hung_tasks_total", WIRE_TYPE_COUNTER, "Tasks found hanging since the start."}},
    {NULL, 0, {NULL, 0, NULL}}};

enum { SPOTS_MAX = 3 };

struct spots {
    const struct spot *spots;
    struct agent_procfile files[SPOTS_MAX];
    uint32_t series[SPOTS_MAX];
};

static void spots_init(struct spots *spots, const struct spot *list)
{
    spots->spots = list;
    for (int i = 0; i < SPOTS_MAX; i++) {
        agent_procfile_init(&spots->files[i]);
        spots->series[i] = AGENT_SERIES_NONE;
    }
}

static enum tw_code spots_collect(void *state, struct agent_env *env, struct agent_round *round,
                                  struct tw_err *err)
{
    struct spots *spots = state;
    struct tw_str text = {NULL, 0};
    for (int i = 0; spots->spots[i].file != NULL; i++) {
        const struct spot *spot = &spots->spots[i];
        /* Neighbours of one file share its reading. */
        if (i == 0 || strcmp(spot->file, spot[-1].file) != 0) {
            enum tw_code code = agent_procfile_read(&spots->files[i], env->proc, spot->file,
                                                    &env->text, &text, err);
            if (code != TW_OK)
                return code;
        }
        struct agent_scan line, scan = agent_scan_of(text);
        double value = 0;
        if (!agent_scan_line(&scan, &line))
            return tw_err_set(err, TW_BAD_DATA, "%s/%s is empty", env->proc, spot->file);
        for (int word = 0; word < spot->word; word++)
            (void)agent_scan_word(&line);
        if (!agent_scan_double(&line, &value))
            return tw_err_set(err, TW_BAD_DATA, "%s/%s: word %d is no number", env->proc,
                              spot->file, spot->word + 1);
        put_single(env, round, &spots->series[i], &spot->family, value);
    }
    return TW_OK;
}

static void spots_fini(void *state)
{
    struct spots *spots = state;
    for (int i = 0; i < SPOTS_MAX; i++)
        agent_procfile_fini(&spots->files[i]);
}

#define SPOTS_SOURCE(noun, list)                                                                   \
    static void noun##_init(void *state, struct agent_env *env)                                    \
    {                                                                                              \
        (void)env;                                                                                 \
        spots_init(state, list);                                                                   \
    }                                                                                              \
    const struct agent_source agent_source_##noun = {                                              \
        #noun, sizeof(struct spots), 0, noun##_init, spots_collect, NULL, spots_fini}

SPOTS_SOURCE(loadavg, load_spots);
SPOTS_SOURCE(filefd, filefd_spots);
SPOTS_SOURCE(entropy, entropy_spots);
SPOTS_SOURCE(kernel_hung, hung_spots);

/* ---- pressure ---- */

/* "some": at least one task waited; "full": all of them did, nothing ran. */
static const struct {
    const char *file;
    struct tw_str word;
    struct agent_family family;
} pressures[] = {{"pressure/cpu",
                  TW_STR_INIT("some"),
                  {"node_pressure_cpu_waiting_seconds_total", WIRE_TYPE_COUNTER,
                   "Time during which some task waited for a CPU."}},
                 {"pressure/io",
                  TW_STR_INIT("some"),
                  {"node_pressure_io_waiting_seconds_total", WIRE_TYPE_COUNTER,
                   "Time during which some task waited for input or output."}},
                 {"pressure/io",
                  TW_STR_INIT("full"),
                  {"node_pressure_io_stalled_seconds_total", WIRE_TYPE_COUNTER,
                   "Time during which nothing ran because of input or output."}},
                 {"pressure/memory",
                  TW_STR_INIT("some"),
                  {"node_pressure_memory_waiting_seconds_total", WIRE_TYPE_COUNTER,
                   "Time during which some task waited for memory."}},
                 {"pressure/memory",
                  TW_STR_INIT("full"),
                  {"node_pressure_memory_stalled_seconds_total", WIRE_TYPE_COUNTER,
                   "Time during which nothing ran because of memory."}},
                 {"pressure/irq",
                  TW_STR_INIT("full"),
                  {"node_pressure_irq_stalled_seconds_total", WIRE_TYPE_COUNTER,
                   "Time during which nothing ran because of interrupts."}}};
#define PRESSURES (sizeof pressures / sizeof pressures[0])

struct pressure {
    struct agent_procfile files[PRESSURES];
    uint32_t series[PRESSURES];
};

static void pressure_init(void *state, struct agent_env *env)
{
    struct pressure *pressure = state;
    (void)env;
    for (size_t i = 0; i < PRESSURES; i++)
        agent_procfile_init(&pressure->files[i]);
    memset(pressure->series, 0xff, sizeof pressure->series);
}

static void put_pressure(struct pressure *pressure, struct agent_env *env,
                         struct agent_round *round, size_t which, struct tw_str text)
{
    struct agent_scan scan = agent_scan_of(text), line;
    while (agent_scan_line(&scan, &line)) {
        if (!tw_str_equal(agent_scan_word(&line), pressures[which].word))
            continue;
        for (struct tw_str word = agent_scan_word(&line); word.size > 0;
             word = agent_scan_word(&line)) {
            uint64_t micros;
            if (tw_str_starts(word, TW_STR("total=")) &&
                agent_parse_u64(tw_str_slice(word, 6, word.size), &micros))
                put_single(env, round, &pressure->series[which], &pressures[which].family,
                           (double)micros / 1e6);
        }
    }
}

static enum tw_code pressure_collect(void *state, struct agent_env *env, struct agent_round *round,
                                     struct tw_err *err)
{
    struct pressure *pressure = state;
    enum tw_code first = TW_OK;
    for (size_t i = 0; i < PRESSURES; i++) {
        struct tw_str text;
        struct tw_err failed;
        enum tw_code code = agent_procfile_read(&pressure->files[i], env->proc, pressures[i].file,
                                                &env->text, &text, &failed);
        if (code == TW_OK)
            put_pressure(pressure, env, round, i, text);
        /* Kernels before 6.1 have no irq file, and many are built without it. */
        else if (first == TW_OK && strcmp(pressures[i].file, "pressure/irq") != 0)
            first = tw_err_set(err, failed.code, "%s", failed.message);
    }
    return first;
}

static void pressure_fini(void *state)
{
    struct pressure *pressure = state;
    for (size_t i = 0; i < PRESSURES; i++)
        agent_procfile_fini(&pressure->files[i]);
}

const struct agent_source agent_source_pressure = {
    "pressure", sizeof(struct pressure), 0, pressure_init, pressure_collect, NULL, pressure_fini};
