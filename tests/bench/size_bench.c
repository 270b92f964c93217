/* SPDX-License-Identifier: Apache-2.0
 *
 * size_bench: whether the bound on the data folder holds while as much is written as the store
 * takes. WRITERS threads send without a pause: half of the series are steady, half live for ten
 * samples; each round is half an hour after the one before, so that days pass, and the oldest are
 * to go. Another thread adds up the folder all the time.
 *
 * What was the most is printed each few seconds beside the bound, at the end what was refused;
 * ends with 1 when the bound was passed.
 *
 *   size_bench [MEGABYTES [SECONDS [SERIES]]]     96, 60 and 20000
 *
 * The folder is made under TMPDIR and removed.
 */
#include "config.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "tsdb/db.h"

#define WRITERS 4
#define BATCH 2000
#define LIFE 10
#define STEP_MINUTES 30
#define STEP_MS (STEP_MINUTES * INT64_C(60000))
#define LINE_SECONDS 5
#define PAUSE_NS 2000000

static struct tsdb_db *db;
static char folder[4096];
static size_t series_count;
static int64_t first_ms;
static atomic_bool ended;
static atomic_uint_fast64_t written, refused, most, newest_step;

static void check(enum tw_code code, const struct tw_err *err)
{
    if (code == TW_OK)
        return;
    fprintf(stderr, "size_bench: %s\n", err->message);
    exit(1);
}

static void pause_for(long nanoseconds)
{
    nanosleep(&(struct timespec){nanoseconds / 1000000000, nanoseconds % 1000000000}, NULL);
}

/* ---- writing ---- */

struct writer {
    size_t number;
    struct tw_thread thread;
    struct tsdb_sample samples[BATCH];
    struct wire_label labels[BATCH][3];
    char pods[BATCH][48];
    uint64_t random;
};

static double next_value(struct writer *writer)
{
    writer->random = writer->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (double)(writer->random >> 11) / (double)(UINT64_C(1) << 53) * 100;
}

/* Waits and sends again, as a sender does, when there is no room. */
static void send(struct writer *writer, size_t count)
{
    struct tw_err err;
    struct tw_context context;
    enum tw_code code = TW_OVERLOAD;
    while (!atomic_load(&ended) && code != TW_OK) {
        tw_context_init(&context, tw_clock_system());
        code = tsdb_append(tsdb_db_storage(db), &context, writer->samples, count, &err);
        if (code != TW_OK) {
            atomic_fetch_add(&refused, 1);
            pause_for(PAUSE_NS * 10);
        }
    }
    if (code == TW_OK)
        atomic_fetch_add(&written, count);
}

/* The writer's share of the series at one step. */
static void write_step(struct writer *writer, int64_t step)
{
    size_t count = 0;
    for (size_t i = writer->number; i < series_count && !atomic_load(&ended); i += WRITERS) {
        bool steady = i % 8 < 4;
        struct wire_label *items = writer->labels[count];
        snprintf(writer->pods[count], sizeof writer->pods[count], "pod-%zu-%" PRId64, i,
                 steady ? 0 : (step + (int64_t)i) / LIFE);
        items[0] = (struct wire_label){TW_STR(WIRE_METRIC_NAME),
                                       steady ? TW_STR("steady") : TW_STR("short")};
        items[1] = (struct wire_label){TW_STR("job"), TW_STR("bench")};
        items[2] = (struct wire_label){TW_STR("pod"), tw_str(writer->pods[count])};
        writer->samples[count] =
            (struct tsdb_sample){{items, 3}, first_ms + step * STEP_MS, next_value(writer)};
        if (++count == BATCH || i + WRITERS >= series_count) {
            send(writer, count);
            count = 0;
        }
    }
}

static void write_all(void *user)
{
    struct writer *writer = user;
    for (int64_t step = 0; !atomic_load(&ended); step++) {
        write_step(writer, step);
        if (writer->number == 0)
            atomic_store(&newest_step, (uint64_t)step);
    }
}

/* ---- watching ---- */

static void watch(void *user)
{
    (void)user;
    while (!atomic_load(&ended)) {
        uint64_t bytes = 0;
        struct tw_err ignored; /* files come and go */
        if (tw_file_folder_bytes(folder, &bytes, &ignored) == TW_OK && bytes > atomic_load(&most))
            atomic_store(&most, bytes);
        pause_for(PAUSE_NS);
    }
}

static void say(int seconds, uint64_t bound)
{
    printf("%4d s  most %7.2f MB of %7.2f MB  %6.1f M samples  %8" PRIu64 " tries refused"
           "  day %5.1f\n",
           seconds, (double)atomic_load(&most) / 1e6, (double)bound / 1e6,
           (double)atomic_load(&written) / 1e6, (uint64_t)atomic_load(&refused),
           (double)atomic_load(&newest_step) * STEP_MINUTES / 1440);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint64_t bound = (argc > 1 ? strtoull(argv[1], NULL, 10) : 96) << 20;
    int seconds = argc > 2 ? atoi(argv[2]) : 60;
    series_count = argc > 3 ? strtoul(argv[3], NULL, 10) : 20000;
    const char *parent = getenv("TMPDIR");
    struct tw_err err;
    snprintf(folder, sizeof folder, "%s/tidewatch-size.XXXXXX", parent ? parent : "/tmp");
    if (bound < TSDB_SIZE_MIN || seconds <= 0 || series_count == 0 || !mkdtemp(folder)) {
        fprintf(stderr, "usage: size_bench [MEGABYTES [SECONDS [SERIES]]], from 64 megabytes on\n");
        return 2;
    }
    first_ms = tw_clock_wall_ms(tw_clock_system()) - 365 * TSDB_DAY_MS;
    struct tsdb_db_options options = {.folder = folder, .size_max = bound};
    check(tsdb_db_open(&options, &db, &err), &err);
    struct writer *writers = calloc(WRITERS, sizeof *writers);
    struct tw_thread watcher = {.running = false};
    TW_ASSERT(writers != NULL);
    check(tw_thread_start(&watcher, "watcher", watch, NULL, &err), &err);
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i].number = writers[i].random = i;
        check(tw_thread_start(&writers[i].thread, "writer", write_all, &writers[i], &err), &err);
    }
    for (int second = 1; second <= seconds; second++) {
        pause_for(999999999);
        if (second % LINE_SECONDS == 0)
            say(second, bound);
    }
    atomic_store(&ended, true);
    for (size_t i = 0; i < WRITERS; i++)
        tw_thread_join(&writers[i].thread);
    tw_thread_join(&watcher);
    free(writers);
    tsdb_db_close(db);
    uint64_t left = 0;
    check(tw_file_folder_bytes(folder, &left, &err), &err);
    printf("closed: %.2f MB\n", (double)left / 1e6);
    check(tw_file_remove_folder(folder, &err), &err);
    return atomic_load(&most) > bound || left > bound;
}
