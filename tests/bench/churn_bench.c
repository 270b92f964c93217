/* SPDX-License-Identifier: Apache-2.0
 *
 * churn_bench: what hours of high churn leave behind, in a virtual clock: ACTIVE series at any
 * time, each of which lives ten minutes with a sample a minute. After each half hour one line: what
 * the process had of memory beyond the bench's own, between flushes (anonymous) and at most (all
 * that is resident; a flush reads the index of its day back), how many series the store calls
 * active, the folder, the CPU time since the line before, and what reading the day before costs,
 * when nothing churned. Memory and that day are to stay as they are.
 *
 *   churn_bench [ACTIVE [MINUTES]]     500000 and 180
 *
 * The folder is made under TMPDIR and removed.
 */
#include "config.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "tsdb/db.h"

#define LIFE_MINUTES 10
#define MINUTE_MS INT64_C(60000)
#define LINE_MINUTES 30
#define BATCH 5000
#define OLD_SERIES 10000 /* of the day before, */
#define OLD_SAMPLES 60   /* a sample a minute */
#define FIRST_MS (INT64_C(20000) * TSDB_DAY_MS)

static struct tsdb_db *db;
static struct tw_clock *wall;

static void check(enum tw_code code, const struct tw_err *err)
{
    if (code == TW_OK)
        return;
    fprintf(stderr, "churn_bench: %s\n", err->message);
    exit(1);
}

static double cpu_seconds(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

/* A line of what the system says of the process: "RssAnon:" what it has, "VmHWM:" at most. */
static double memory_mb(const char *name)
{
    char line[256];
    double kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, name, strlen(name)) == 0)
            kilobytes = strtod(line + strlen(name), NULL);
    if (status)
        fclose(status);
    return kilobytes / 1024;
}

/* What there was at most begins anew. */
static void forget_peak(void)
{
    FILE *refs = fopen("/proc/self/clear_refs", "we");
    if (refs) {
        fputs("5", refs);
        fclose(refs);
    }
}

/* ---- writing ---- */

static struct tsdb_sample batch[BATCH];
static struct wire_label labels[BATCH][4];
static char pods[BATCH][32];
static size_t batched;
static uint64_t written;

static void send(void)
{
    struct tw_context context;
    struct tw_err err;
    tw_context_init(&context, tw_clock_system());
    check(tsdb_append(tsdb_db_storage(db), &context, batch, batched, &err), &err);
    written += batched;
    batched = 0;
}

static void add(const char *metric, size_t slot, int64_t generation, int64_t time_ms, double value)
{
    struct wire_label *items = labels[batched];
    char *pod = pods[batched];
    snprintf(pod, sizeof pods[0], "web-%" PRId64 "-%zu", generation, slot);
    items[0] = (struct wire_label){TW_STR(WIRE_METRIC_NAME), tw_str(metric)};
    items[1] = (struct wire_label){TW_STR("container"), TW_STR("main")};
    items[2] = (struct wire_label){TW_STR("namespace"), TW_STR("shop")};
    items[3] = (struct wire_label){TW_STR("pod"), tw_str(pod)};
    batch[batched] = (struct tsdb_sample){{items, 4}, time_ms, value};
    if (++batched == BATCH)
        send();
}

/* A tenth of the slots gets new series each minute. */
static void write_minute(size_t active, int64_t minute)
{
    int64_t time_ms = tw_clock_wall_ms(wall);
    for (size_t slot = 0; slot < active; slot++) {
        int64_t part = (int64_t)(slot * LIFE_MINUTES / active);
        int64_t generation = (minute + part) / LIFE_MINUTES;
        add(slot % 2 ? "requests_total" : "memory_bytes", slot, generation, time_ms,
            (double)(slot % 97) + (double)minute * 3);
    }
    if (batched > 0)
        send();
}

static void write_old_day(void)
{
    for (int64_t minute = 0; minute < OLD_SAMPLES; minute++) {
        for (size_t slot = 0; slot < OLD_SERIES; slot++)
            add("old", slot, 0, tw_clock_wall_ms(wall), (double)(slot + (size_t)minute));
        send();
        tw_clock_manual_advance(wall, MINUTE_MS);
    }
}

/* ---- reading ---- */

/* CPU seconds that all samples of the day before cost. */
static double read_old_day(void)
{
    struct tw_err err;
    struct tw_context context;
    struct tsdb_selection *selection;
    struct tsdb_cursor *cursor;
    struct tsdb_column column;
    struct tsdb_matcher matcher = {
        .op = TSDB_MATCH_EQUAL, .name = TW_STR(WIRE_METRIC_NAME), .value = TW_STR("old")};
    size_t samples = 0;
    double begun = cpu_seconds();
    tw_context_init(&context, tw_clock_system());
    check(tsdb_select(tsdb_db_storage(db), &context, &matcher, 1, FIRST_MS - TSDB_DAY_MS,
                      FIRST_MS - 1, &(struct tsdb_hints){0}, &selection, &err),
          &err);
    check(tsdb_cursor_open(selection, &cursor, &err), &err);
    for (size_t i = 0; i < tsdb_selection_count(selection); i++) {
        tsdb_cursor_seek(cursor, i, FIRST_MS - TSDB_DAY_MS, FIRST_MS - 1);
        do {
            check(tsdb_cursor_next(cursor, &column, &err), &err);
            samples += column.count;
        } while (column.count > 0);
    }
    tsdb_cursor_close(cursor);
    tsdb_selection_close(selection);
    TW_ASSERT(samples == (size_t)OLD_SERIES * OLD_SAMPLES);
    return cpu_seconds() - begun;
}

static void say(int64_t minute, double most_mb, double peak_mb, double cpu_s, const char *folder)
{
    struct tsdb_db_status status;
    struct tw_err err;
    uint64_t bytes = 0;
    double old_s = read_old_day();
    tsdb_db_status(db, &status);
    check(tw_file_folder_bytes(folder, &bytes, &err), &err);
    printf("%5" PRId64 " min  %7.1f MB between flushes, %7.1f MB at most  head %6.1f MB, %8" PRIu64
           " series active  folder %7.1f MB, %5.2f B/sample  CPU %6.3f s/M  old day %6.1f ms\n",
           minute, most_mb, peak_mb, (double)status.head_bytes / 1e6, status.head_series,
           (double)bytes / 1e6, (double)bytes / (double)written, cpu_s, old_s * 1000);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    size_t active = argc > 1 ? strtoul(argv[1], NULL, 10) : 500000;
    int64_t minutes = argc > 2 ? strtol(argv[2], NULL, 10) : 180;
    const char *parent = getenv("TMPDIR");
    char folder[4096];
    struct tw_err err;
    snprintf(folder, sizeof folder, "%s/tidewatch-churn.XXXXXX", parent ? parent : "/tmp");
    if (active == 0 || minutes <= 0 || !mkdtemp(folder)) {
        fprintf(stderr, "usage: churn_bench [ACTIVE [MINUTES]], with room under TMPDIR\n");
        return 2;
    }
    memset(pods, 'x', sizeof pods);
    double own_mb = memory_mb("RssAnon:");
    wall = tw_clock_manual_new(FIRST_MS - OLD_SAMPLES * MINUTE_MS);
    struct tsdb_db_options options = {.folder = folder, .clock = wall, .manual = true};
    check(tsdb_db_open(&options, &db, &err), &err);
    write_old_day();
    check(tsdb_db_flush(db, &err), &err);
    double cpu = cpu_seconds();
    uint64_t before = written;
    double most_mb = 0;
    for (int64_t minute = 1; minute <= minutes; minute++) {
        tw_clock_manual_advance(wall, MINUTE_MS);
        write_minute(active, minute);
        malloc_trim(0); /* what was freed is nobody's */
        double now_mb = memory_mb("RssAnon:") - own_mb;
        most_mb = now_mb > most_mb ? now_mb : most_mb;
        check(tsdb_db_keep(db, &err), &err);
        if (minute % LINE_MINUTES)
            continue;
        say(minute, most_mb, memory_mb("VmHWM:") - own_mb,
            (cpu_seconds() - cpu) / (double)(written - before) * 1e6, folder);
        cpu = cpu_seconds();
        before = written;
        most_mb = 0;
        forget_peak();
    }
    tsdb_db_close(db);
    tw_clock_manual_free(wall);
    check(tw_file_remove_folder(folder, &err), &err);
    return 0;
}
