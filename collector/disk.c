/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/disk.h"

#include <stdio.h>

#include "collector/scan.h"

enum { DISK_COLUMNS = 17 };

/* The kernel counts sectors of 512 bytes whatever the device's are, and time in milliseconds. */
static const struct {
    struct agent_column column;
    double scale;
} disk_columns[DISK_COLUMNS] = {
    {{{"node_disk_reads_completed_total", WIRE_TYPE_COUNTER, "Reads completed."}, 0, 0}, 1},
    {{{"node_disk_reads_merged_total", WIRE_TYPE_COUNTER, "Reads merged into others."}, 0, 0}, 1},
    {{{"node_disk_read_bytes_total", WIRE_TYPE_COUNTER, "Bytes read."}, 0, 0}, 512},
    {{{"node_disk_read_time_seconds_total", WIRE_TYPE_COUNTER, "Time of all reads together."},
      0,
      0},
     1e3},
    {{{"node_disk_writes_completed_total", WIRE_TYPE_COUNTER, "Writes completed."}, 0, 0}, 1},
    {{{"node_disk_writes_merged_total", WIRE_TYPE_COUNTER, "Writes merged into others."}, 0, 0}, 1},
    {{{"node_disk_written_bytes_total", WIRE_TYPE_COUNTER, "Bytes written."}, 0, 0}, 512},
    {{{"node_disk_write_time_seconds_total", WIRE_TYPE_COUNTER, "Time of all writes together."},
      0,
      0},
     1e3},
    {{{"node_disk_io_now", WIRE_TYPE_GAUGE, "Requests in progress."}, 0, 0}, 1},
    {{{"node_disk_io_time_seconds_total", WIRE_TYPE_COUNTER,
       "Time during which the disk had something to do."},
      0,
      0},
     1e3},
    {{{"node_disk_io_time_weighted_seconds_total", WIRE_TYPE_COUNTER,
       "Time of all requests together, those in progress included."},
      0,
      0},
     1e3},
    {{{"node_disk_discards_completed_total", WIRE_TYPE_COUNTER, "Discards completed."}, 0, 0}, 1},
    {{{"node_disk_discards_merged_total", WIRE_TYPE_COUNTER, "Discards merged into others."}, 0, 0},
     1},
    {{{"node_disk_discarded_sectors_total", WIRE_TYPE_COUNTER, "Sectors discarded."}, 0, 0}, 1},
    {{{"node_disk_discard_time_seconds_total", WIRE_TYPE_COUNTER, "Time of all discards together."},
      0,
      0},
     1e3},
    {{{"node_disk_flush_requests_total", WIRE_TYPE_COUNTER, "Flushes completed."}, 0, 0}, 1},
    {{{"node_disk_flush_requests_time_seconds_total", WIRE_TYPE_COUNTER,
       "Time of all flushes together."},
      0,
      0},
     1e3}};

/* The 18th series of a row: node_disk_info, whose labels are read when the disk first appears. */
enum { DISK_INFO = DISK_COLUMNS, DISK_WIDTH };

struct disk {
    struct agent_procfile file;
    struct agent_table table;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes of s in front of the digits at its end. */
static size_t stem_size(struct tw_str s)
{
    while (s.size > 0 && is_digit(s.data[s.size - 1]))
        s.size--;
    return s.size;
}

/* "nvme0n1p" before a partition's number. */
static bool is_nvme_partition(struct tw_str stem)
{
    if (!tw_str_starts(stem, TW_STR("nvme")) || stem.data[stem.size - 1] != 'p')
        return false;
    struct tw_str rest = tw_str_slice(stem, 4, stem.size - 1);
    size_t space = stem_size(rest); /* "0n" of "0n1" */
    if (space == rest.size || space == 0 || rest.data[space - 1] != 'n')
        return false;
    struct tw_str controller = tw_str_slice(rest, 0, space - 1);
    return controller.size > 0 && stem_size(controller) == 0;
}

bool agent_disk_ignored(struct tw_str device)
{
    struct tw_str stem = tw_str_slice(device, 0, stem_size(device));
    if (stem.size == device.size || stem.size == 0)
        return false;
    if (tw_str_is(stem, "ram") || tw_str_is(stem, "zram") || tw_str_is(stem, "loop") ||
        tw_str_is(stem, "fd") || is_nvme_partition(stem))
        return true;
    char last = stem.data[stem.size - 1];
    struct tw_str bus = tw_str_slice(stem, 0, stem.size - 1);
    return last >= 'a' && last <= 'z' &&
           (tw_str_is(bus, "hd") || tw_str_is(bus, "sd") || tw_str_is(bus, "vd") ||
            tw_str_is(bus, "xvd"));
}

static void disk_init(void *state, struct agent_env *env)
{
    struct disk *disk = state;
    agent_procfile_init(&disk->file);
    agent_table_init(&disk->table, env->roster, DISK_WIDTH);
}

static uint32_t add_info(struct agent_env *env, struct tw_str device, struct tw_str major,
                         struct tw_str minor)
{
    static const struct agent_family family = {"node_disk_info", WIRE_TYPE_GAUGE,
                                               "Numbers and kind of a block device, always 1."};
    char path[256], rotational[8] = "";
    struct agent_procfile file;
    struct tw_buf text;
    struct tw_str value;
    snprintf(path, sizeof path, "block/%.*s/queue/rotational",
             TW_STR_ARG(tw_str_slice(device, 0, 128)));
    agent_procfile_init(&file);
    tw_buf_init(&text, AGENT_TEXT_BYTES_MAX);
    if (agent_procfile_read(&file, env->sys, path, &text, &value, NULL) == TW_OK)
        snprintf(rotational, sizeof rotational, "%.*s",
                 TW_STR_ARG(tw_str_slice(tw_str_trim(value), 0, 7)));
    agent_procfile_fini(&file);
    tw_buf_fini(&text);
    const struct wire_label labels[] = {{TW_STR("device"), device},
                                        {TW_STR("major"), major},
                                        {TW_STR("minor"), minor},
                                        {TW_STR("rotational"), tw_str(rotational)}};
    return agent_roster_add(env->roster, &family, labels, 4);
}

static struct agent_row *add_disk(struct disk *disk, struct agent_env *env, uint32_t tick,
                                  struct tw_str device, struct tw_str major, struct tw_str minor)
{
    struct agent_row *row = agent_table_add(&disk->table, device, tick);
    if (row == NULL || agent_disk_ignored(device))
        return row;
    const struct wire_label label = {TW_STR("device"), device};
    for (int i = 0; i < DISK_COLUMNS; i++)
        row->series[i] = agent_roster_add(env->roster, &disk_columns[i].column.family, &label, 1);
    row->series[DISK_INFO] = add_info(env, device, major, minor);
    return row;
}

static enum tw_code disk_collect(void *state, struct agent_env *env, struct agent_round *round,
                                 struct tw_err *err)
{
    struct disk *disk = state;
    struct tw_str text;
    enum tw_code code =
        agent_procfile_read(&disk->file, env->proc, "diskstats", &env->text, &text, err);
    if (code != TW_OK)
        return code;
    struct agent_scan scan = agent_scan_of(text), line;
    while (agent_scan_line(&scan, &line)) {
        struct tw_str major = agent_scan_word(&line), minor = agent_scan_word(&line);
        struct tw_str device = agent_scan_word(&line);
        if (device.size == 0)
            continue;
        struct agent_row *row = agent_table_find(&disk->table, device, round->tick);
        if (row == NULL)
            row = add_disk(disk, env, round->tick, device, major, minor);
        if (row == NULL || row->series[0] == AGENT_SERIES_NONE)
            continue;
        agent_round_put(round, row->series[DISK_INFO], 1);
        uint64_t value;
        /* Kernels before 5.5 give fewer columns. */
        for (int i = 0; i < DISK_COLUMNS && agent_scan_u64(&line, &value); i++) {
            double scale = disk_columns[i].scale;
            agent_round_put(round, row->series[i],
                            scale == 1e3 ? (double)value / 1e3 : (double)value * scale);
        }
    }
    return TW_OK;
}

static void disk_sweep(void *state, uint32_t tick)
{
    struct disk *disk = state;
    agent_table_sweep(&disk->table, tick);
}

static void disk_fini(void *state)
{
    struct disk *disk = state;
    agent_procfile_fini(&disk->file);
    agent_table_fini(&disk->table);
}

const struct agent_source agent_source_diskstats = {
    "diskstats", sizeof(struct disk), 0, disk_init, disk_collect, disk_sweep, disk_fini};
