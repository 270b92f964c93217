/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/number.h"
#include "collector/scan.h"

/* A series whose labels may change (a kernel's name does not, a host's does): a table keyed by
 * them. */
struct facts {
    struct agent_procfile files[2];
    struct agent_table table;
};

static void facts_init(void *state, struct agent_env *env)
{
    struct facts *facts = state;
    agent_procfile_init(&facts->files[0]);
    agent_procfile_init(&facts->files[1]);
    agent_table_init(&facts->table, env->roster, 1);
}

static void facts_sweep(void *state, uint32_t tick)
{
    struct facts *facts = state;
    agent_table_sweep(&facts->table, tick);
}

static void facts_fini(void *state)
{
    struct facts *facts = state;
    agent_procfile_fini(&facts->files[0]);
    agent_procfile_fini(&facts->files[1]);
    agent_table_fini(&facts->table);
}

static void put_fact(struct facts *facts, struct agent_env *env, struct agent_round *round,
                     const struct agent_family *family, const struct wire_label *labels,
                     size_t count, double value)
{
    char key[2048];
    int size = snprintf(key, sizeof key, "%s", family->name);
    for (size_t i = 0; i < count && size < (int)sizeof key; i++)
        size +=
            snprintf(key + size, sizeof key - (size_t)size, "\n%.*s", TW_STR_ARG(labels[i].value));
    if (size >= (int)sizeof key)
        return;
    struct tw_str row_key = {key, (size_t)size};
    struct agent_row *row = agent_table_find(&facts->table, row_key, round->tick);
    if (row == NULL && (row = agent_table_add(&facts->table, row_key, round->tick)) != NULL)
        row->series[0] = agent_roster_add(env->roster, family, labels, count);
    if (row != NULL)
        agent_round_put(round, row->series[0], value);
}

/* ---- uname ---- */

static enum tw_code uname_collect(void *state, struct agent_env *env, struct agent_round *round,
                                  struct tw_err *err)
{
    static const struct agent_family family = {"node_uname_info", WIRE_TYPE_GAUGE,
                                               "What uname() tells, always 1."};
    struct utsname names;
    if (uname(&names) != 0)
        return tw_err_errno(err, errno, "uname");
    const struct wire_label labels[] = {{TW_STR("domainname"), tw_str(names.domainname)},
                                        {TW_STR("machine"), tw_str(names.machine)},
                                        {TW_STR("nodename"), tw_str(names.nodename)},
                                        {TW_STR("release"), tw_str(names.release)},
                                        {TW_STR("sysname"), tw_str(names.sysname)},
                                        {TW_STR("version"), tw_str(names.version)}};
    put_fact(state, env, round, &family, labels, 6, 1);
    return TW_OK;
}

const struct agent_source agent_source_uname = {
    "uname", sizeof(struct facts), 15, facts_init, uname_collect, facts_sweep, facts_fini};

/* ---- os ---- */

enum { OS_LABELS = 12, OS_ID = 1, OS_ID_LIKE = 2, OS_NAME = 5, OS_VERSION_ID = 11 };
static const struct {
    const char *key, *label;
} os_labels[OS_LABELS] = {{"BUILD_ID", "build_id"},
                          {"ID", "id"},
                          {"ID_LIKE", "id_like"},
                          {"IMAGE_ID", "image_id"},
                          {"IMAGE_VERSION", "image_version"},
                          {"NAME", "name"},
                          {"PRETTY_NAME", "pretty_name"},
                          {"VARIANT", "variant"},
                          {"VARIANT_ID", "variant_id"},
                          {"VERSION", "version"},
                          {"VERSION_CODENAME", "version_codename"},
                          {"VERSION_ID", "version_id"}};

static struct tw_str unquote(struct tw_str s)
{
    if (s.size >= 2 && (s.data[0] == '"' || s.data[0] == '\'') && s.data[s.size - 1] == s.data[0])
        return tw_str_slice(s, 1, s.size - 1);
    return s;
}

/* "12", "22.04" of "22.04.3". */
static bool parse_version(struct tw_str text, double *ret)
{
    size_t size = 0, dots = 0;
    for (; size < text.size; size++) {
        char c = text.data[size];
        if (c == '.' && ++dots > 1)
            break;
        if (c != '.' && (c < '0' || c > '9'))
            break;
    }
    return tw_double_parse(tw_str_slice(text, 0, size), ret);
}

static enum tw_code os_collect(void *state, struct agent_env *env, struct agent_round *round,
                               struct tw_err *err)
{
    static const struct agent_family info = {"node_os_info", WIRE_TYPE_GAUGE,
                                             "What /etc/os-release tells, always 1."};
    static const struct agent_family version = {"node_os_version", WIRE_TYPE_GAUGE,
                                                "Major and minor version of the operating system."};
    struct facts *facts = state;
    struct tw_str text;
    enum tw_code code =
        agent_procfile_read(&facts->files[0], env->etc, "os-release", &env->text, &text, err);
    /* An upgrade replaces the file. */
    agent_procfile_fini(&facts->files[0]);
    if (code != TW_OK)
        return code;
    struct wire_label labels[OS_LABELS];
    for (int i = 0; i < OS_LABELS; i++)
        labels[i] = (struct wire_label){tw_str(os_labels[i].label), TW_STR("")};
    struct agent_scan scan = agent_scan_of(text), line;
    while (agent_scan_line(&scan, &line)) {
        struct tw_str key = agent_scan_until(&line, '=');
        for (int i = 0; i < OS_LABELS; i++)
            if (tw_str_is(key, os_labels[i].key))
                labels[i].value = unquote(agent_scan_rest(&line));
    }
    put_fact(facts, env, round, &info, labels, OS_LABELS, 1);
    double number;
    if (parse_version(labels[OS_VERSION_ID].value, &number)) {
        const struct wire_label short_labels[] = {labels[OS_ID], labels[OS_ID_LIKE],
                                                  labels[OS_NAME]};
        put_fact(facts, env, round, &version, short_labels, 3, number);
    }
    return TW_OK;
}

const struct agent_source agent_source_os = {
    "os", sizeof(struct facts), 60, facts_init, os_collect, facts_sweep, facts_fini};

/* ---- selinux ---- */

static enum tw_code selinux_collect(void *state, struct agent_env *env, struct agent_round *round,
                                    struct tw_err *err)
{
    static const struct agent_family enabled = {"node_selinux_enabled", WIRE_TYPE_GAUGE,
                                                "1 if SELinux is there."};
    static const struct agent_family mode = {"node_selinux_current_mode", WIRE_TYPE_GAUGE,
                                             "1 if SELinux enforces, 0 if it only tells."};
    struct facts *facts = state;
    struct tw_str text;
    (void)err;
    bool there = agent_procfile_read(&facts->files[0], env->sys, "fs/selinux/enforce", &env->text,
                                     &text, NULL) == TW_OK;
    put_fact(facts, env, round, &enabled, NULL, 0, there);
    if (there)
        put_fact(facts, env, round, &mode, NULL, 0, tw_str_starts(text, TW_STR("1")));
    return TW_OK;
}

const struct agent_source agent_source_selinux = {
    "selinux", sizeof(struct facts), 60, facts_init, selinux_collect, facts_sweep, facts_fini};

/* ---- time ---- */

static void put_clocksources(struct facts *facts, struct agent_env *env, struct agent_round *round)
{
    static const struct agent_family available = {"node_time_clocksource_available_info",
                                                  WIRE_TYPE_GAUGE, "Clock sources, always 1."};
    static const struct agent_family current = {"node_time_clocksource_current_info",
                                                WIRE_TYPE_GAUGE, "Clock source in use, always 1."};
    static const char *const files[] = {
        "devices/system/clocksource/clocksource0/available_clocksource",
        "devices/system/clocksource/clocksource0/current_clocksource"};
    for (int i = 0; i < 2; i++) {
        struct tw_str text;
        if (agent_procfile_read(&facts->files[i], env->sys, files[i], &env->text, &text, NULL) !=
            TW_OK)
            continue;
        struct agent_scan scan = agent_scan_of(tw_str_trim(text));
        for (struct tw_str word = agent_scan_word(&scan); word.size > 0;
             word = agent_scan_word(&scan)) {
            const struct wire_label labels[] = {{TW_STR("clocksource"), word},
                                                {TW_STR("device"), TW_STR("0")}};
            put_fact(facts, env, round, i == 0 ? &available : &current, labels, 2, 1);
        }
    }
}

static enum tw_code time_collect(void *state, struct agent_env *env, struct agent_round *round,
                                 struct tw_err *err)
{
    static const struct agent_family now = {"node_time_seconds", WIRE_TYPE_GAUGE,
                                            "The host's time, seconds since 1970."};
    static const struct agent_family zone = {"node_time_zone_offset_seconds", WIRE_TYPE_GAUGE,
                                             "The host's time less UTC."};
    struct facts *facts = state;
    (void)err;
    int64_t wall_ms = tw_clock_wall_ms(env->clock);
    put_fact(facts, env, round, &now, NULL, 0, (double)wall_ms / 1e3);
    time_t seconds = (time_t)tw_floor_div(wall_ms, 1000);
    struct tm local;
    if (localtime_r(&seconds, &local) != NULL) {
        const struct wire_label label = {TW_STR("time_zone"), tw_str(local.tm_zone)};
        put_fact(facts, env, round, &zone, &label, 1, (double)local.tm_gmtoff);
    }
    put_clocksources(facts, env, round);
    return TW_OK;
}

const struct agent_source agent_source_time = {
    "time", sizeof(struct facts), 0, facts_init, time_collect, facts_sweep, facts_fini};

/* ---- timex ---- */

#define TIMEX(name, type, help)                                                                    \
    {                                                                                              \
        {"node_timex_" name, type, help}, NULL, NULL                                               \
    }
enum { TIMEX_COLUMNS = 17 };
static const struct agent_column timex_columns[TIMEX_COLUMNS] = {
    TIMEX("offset_seconds", WIRE_TYPE_GAUGE, "The clock less its reference."),
    TIMEX("frequency_adjustment_ratio", WIRE_TYPE_GAUGE, "Correction of the clock's frequency."),
    TIMEX("maxerror_seconds", WIRE_TYPE_GAUGE, "Largest error of the clock."),
    TIMEX("estimated_error_seconds", WIRE_TYPE_GAUGE, "Estimated error of the clock."),
    TIMEX("status", WIRE_TYPE_GAUGE, "The kernel's status bits of the clock."),
    TIMEX("loop_time_constant", WIRE_TYPE_GAUGE, "Time constant of the phase-locked loop."),
    TIMEX("tick_seconds", WIRE_TYPE_GAUGE, "Time between two ticks of the clock."),
    TIMEX("pps_frequency_hertz", WIRE_TYPE_GAUGE, "Frequency of the pulse per second."),
    TIMEX("pps_jitter_seconds", WIRE_TYPE_GAUGE, "Jitter of the pulse per second."),
    TIMEX("pps_shift_seconds", WIRE_TYPE_GAUGE, "Length of the calibration interval."),
    TIMEX("pps_stability_hertz", WIRE_TYPE_GAUGE, "Stability of the pulse per second."),
    TIMEX("pps_jitter_total", WIRE_TYPE_COUNTER, "Times that the jitter was too large."),
    TIMEX("pps_calibration_total", WIRE_TYPE_COUNTER, "Calibrations."),
    TIMEX("pps_error_total", WIRE_TYPE_COUNTER, "Calibrations that failed."),
    TIMEX("pps_stability_exceeded_total", WIRE_TYPE_COUNTER, "Times that it was not stable."),
    TIMEX("tai_offset_seconds", WIRE_TYPE_GAUGE, "International atomic time less UTC."),
    TIMEX("sync_status", WIRE_TYPE_GAUGE, "1 if the clock is synchronised.")};

struct timex_state {
    struct agent_table table;
};

static void timex_init(void *state, struct agent_env *env)
{
    struct timex_state *timex = state;
    agent_table_init(&timex->table, env->roster, TIMEX_COLUMNS);
}

static enum tw_code timex_collect(void *state, struct agent_env *env, struct agent_round *round,
                                  struct tw_err *err)
{
    struct timex_state *timex = state;
    (void)env;
    struct timex t = {.modes = 0};
    int verdict = adjtimex(&t);
    if (verdict < 0)
        return tw_err_errno(err, errno, "adjtimex");
    /* Microseconds, unless the clock counts in nanoseconds; frequencies in 2^-16 parts in a
     * million. */
    double divisor = t.status & STA_NANO ? 1e9 : 1e6;
    const double parts = 1000000.0 * 65536.0;
    const double values[TIMEX_COLUMNS] = {(double)t.offset / divisor,
                                          1 + (double)t.freq / parts,
                                          (double)t.maxerror / 1e6,
                                          (double)t.esterror / 1e6,
                                          t.status,
                                          (double)t.constant,
                                          (double)t.tick / 1e6,
                                          (double)t.ppsfreq / parts,
                                          (double)t.jitter / divisor,
                                          t.shift,
                                          (double)t.stabil / parts,
                                          (double)t.jitcnt,
                                          (double)t.calcnt,
                                          (double)t.errcnt,
                                          (double)t.stbcnt,
                                          t.tai,
                                          verdict != TIME_ERROR};
    struct agent_row *row =
        agent_table_row(&timex->table, TW_STR("clock"), round->tick, timex_columns, NULL);
    for (int i = 0; row != NULL && i < TIMEX_COLUMNS; i++)
        agent_round_put(round, row->series[i], values[i]);
    return TW_OK;
}

static void timex_fini(void *state)
{
    struct timex_state *timex = state;
    agent_table_fini(&timex->table);
}

const struct agent_source agent_source_timex = {
    "timex", sizeof(struct timex_state), 0, timex_init, timex_collect, NULL, timex_fini};
