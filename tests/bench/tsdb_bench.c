/* SPDX-License-Identifier: Apache-2.0
 *
 * tsdb_bench: what the store costs, from the body of a request to the durable answer, to bytes on
 * disk after a flush, to samples read back.
 *
 *   tsdb_bench                       synthetic hosts: 768 series each, counters, gauges, constants
 *   tsdb_bench FILE.twrw REQUESTS RUNS   the same in so many runs, which are merged then
 *   tsdb_bench FILE.twrw [REQUESTS]  bodies recorded by twload (header 72 bytes; then per request
 *                                    u32 length, u32 samples, 24 bytes, body)
 *
 * The folder is made under TMPDIR and removed. Requests are put in flight in batches of IN_FLIGHT,
 * as that many connections would.
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/http.h"
#include "base/lock.h"
#include "tsdb/db_int.h"
#include "tsdb/partition_int.h"
#include "tsdb/receiver.h"
#include "tsdb/rewriter.h"
#include "wire/remote_write.h"
#include "wire/snappy.h"

#define IN_FLIGHT 4
#define HOSTS 10
#define SERIES_A_HOST 768
#define STEPS 240
#define BATCH 2000

struct body {
    struct tw_str packed;
    uint32_t samples;
};

static struct body *bodies;
static size_t body_count, body_capacity;
static uint64_t sample_total;

/* Guards in_flight. */
static struct tw_lock lock;
static struct tw_cond finished;
static size_t in_flight;
static uint64_t failed;

static _Noreturn void die(const struct tw_err *err)
{
    fprintf(stderr, "tsdb_bench: %s\n", err->message);
    exit(1);
}

static void add_body(struct tw_str packed, uint32_t samples)
{
    if (body_count == body_capacity) {
        body_capacity = body_capacity ? body_capacity * 2 : 1024;
        bodies = realloc(bodies, body_capacity * sizeof *bodies);
        TW_ASSERT(bodies != NULL);
    }
    bodies[body_count++] = (struct body){packed, samples};
    sample_total += samples;
}

static void load(const char *path, size_t limit)
{
    static struct tw_buf content;
    struct tw_err err;
    tw_buf_init(&content, (size_t)1 << 34);
    if (tw_file_read(path, &content, &err) != TW_OK)
        die(&err);
    size_t at = 72;
    while (at + 32 <= content.size && body_count < limit) {
        uint32_t header[2];
        memcpy(header, content.data + at, sizeof header);
        add_body((struct tw_str){content.data + at + 32, header[0]}, header[1]);
        at += 32 + header[0];
    }
}

static double value_of(int host, int series, int step)
{
    uint32_t noise = (uint32_t)(host * 7919 + series * 104729 + step * 1299709) * 2654435761u >> 16;
    if (series % 10 < 5)
        return (double)(series * 4096);
    if (series % 10 < 8)
        return (double)(series * 1000003L + (long)step * (series % 97) + noise % 7);
    return (double)(noise % 10000) / 100;
}

static void synthesize(int64_t start_ms)
{
    struct tw_buf plain, packed;
    uint32_t count = 0;
    tw_buf_init(&plain, (size_t)1 << 26);
    for (int step = 0; step < STEPS; step++)
        for (int host = 0; host < HOSTS; host++)
            for (int series = 0; series < SERIES_A_HOST; series++) {
                char name[32], instance[48], device[16];
                snprintf(name, sizeof name, "node_metric_%d_total", series / 4);
                snprintf(instance, sizeof instance, "host-%03d.example:9100", host);
                snprintf(device, sizeof device, "dev%d", series % 4);
                struct wire_label items[] = {{TW_STR(WIRE_METRIC_NAME), tw_str(name)},
                                             {TW_STR("device"), tw_str(device)},
                                             {TW_STR("instance"), tw_str(instance)},
                                             {TW_STR("job"), TW_STR("node")}};
                struct wire_sample sample = {start_ms + step * 15000 + host * 37,
                                             value_of(host, series, step)};
                wire_write_put_series(&plain, (struct wire_labels){items, 4}, &sample, 1);
                if (++count < BATCH)
                    continue;
                size_t size;
                tw_buf_init(&packed, (size_t)1 << 26);
                wire_snappy_encode(tw_buf_str(&plain), &packed);
                char *bytes = tw_buf_take(&packed, &size);
                add_body((struct tw_str){bytes, size}, count);
                tw_buf_clear(&plain);
                count = 0;
            }
    tw_buf_fini(&plain);
}

static void finish(struct tw_http_exchange *exchange)
{
    int status = exchange->response.status;
    tw_http_exchange_free(exchange);
    tw_lock_take(&lock);
    failed += status != 204;
    in_flight--;
    tw_cond_signal(&finished);
    tw_lock_release(&lock);
}

static void post(struct tw_http_router *router, struct tw_str packed)
{
    static const struct tw_http_pair headers[] = {
        {TW_STR_INIT("Content-Type"), TW_STR_INIT(WIRE_WRITE_CONTENT_TYPE)},
        {TW_STR_INIT("Content-Encoding"), TW_STR_INIT(WIRE_WRITE_ENCODING)}};
    struct tw_http_exchange *exchange;
    struct tw_http_match match;
    struct tw_err err;
    if (tw_http_exchange_new(TW_HTTP_POST, TW_STR("/api/v1/write"), headers, 2, packed,
                             tw_clock_system(), &exchange, &err) != TW_OK ||
        tw_http_router_find(router, exchange, &match, &err) != TW_OK)
        die(&err);
    exchange->finish = finish;
    if (match.handler(match.user, exchange) == TW_HTTP_DONE)
        finish(exchange);
}

static void drain(void)
{
    tw_lock_take(&lock);
    while (in_flight > 0)
        tw_cond_wait(&finished, &lock);
    tw_lock_release(&lock);
}

static void ingest(struct tsdb_db *db, size_t runs)
{
    struct tsdb_receiver *receiver = tsdb_receiver_new(db, NULL);
    struct tw_http_router *router = tw_http_router_new();
    tsdb_receiver_route(router, receiver);
    int64_t cpu_ns = tw_clock_process_cpu_ns(), wall_ns = tw_clock_mono_ns(tw_clock_system());
    for (size_t i = 0; i < body_count; i++) {
        tw_lock_take(&lock);
        while (in_flight >= IN_FLIGHT)
            tw_cond_wait(&finished, &lock);
        in_flight++;
        tw_lock_release(&lock);
        post(router, bodies[i].packed);
        struct tw_err err;
        if (runs > 1 && (i + 1) * runs / body_count != i * runs / body_count) {
            drain();
            if (tsdb_db_flush(db, &err) != TW_OK)
                die(&err);
        }
    }
    drain();
    cpu_ns = tw_clock_process_cpu_ns() - cpu_ns;
    wall_ns = tw_clock_mono_ns(tw_clock_system()) - wall_ns;
    printf("ingest     %.3f CPU s per million samples, %.0f samples/s, %" PRIu64
           " samples, %" PRIu64 " requests not answered 204\n",
           (double)cpu_ns * 1e-3 / (double)sample_total,
           (double)sample_total / ((double)wall_ns * 1e-9), sample_total, failed);
    tw_http_router_free(router);
    tsdb_receiver_free(receiver);
}

static void read_back(struct tsdb_db *db, const char *what)
{
    struct tw_context context;
    struct tsdb_selection *selection;
    struct tsdb_cursor *cursor;
    struct tsdb_column column;
    struct tw_err err;
    uint64_t samples = 0;
    tw_context_init(&context, tw_clock_system());
    int64_t start_ns = tw_clock_thread_cpu_ns(),
            wall_start_ns = tw_clock_mono_ns(tw_clock_system());
    if (tsdb_select(tsdb_db_storage(db), &context, NULL, 0, INT64_MIN, INT64_MAX,
                    &(struct tsdb_hints){0}, &selection, &err) != TW_OK)
        die(&err);
    int64_t select_ns = tw_clock_thread_cpu_ns();
    if (tsdb_cursor_open(selection, &cursor, &err) != TW_OK)
        die(&err);
    for (size_t i = 0; i < tsdb_selection_count(selection); i++) {
        tsdb_cursor_seek(cursor, i, INT64_MIN, INT64_MAX);
        do {
            if (tsdb_cursor_next(cursor, &column, &err) != TW_OK)
                die(&err);
            samples += column.count;
        } while (column.count > 0);
    }
    int64_t end_ns = tw_clock_thread_cpu_ns();
    printf("%-10s select of %zu series %.2f ms, scan %.2f ns per sample (%" PRIu64 " samples)\n",
           what, tsdb_selection_count(selection), (double)(select_ns - start_ns) * 1e-6,
           (double)(end_ns - select_ns) / (double)(samples ? samples : 1), samples);
    printf("%-10s %.1f ms in all by the clock\n", what,
           (double)(tw_clock_mono_ns(tw_clock_system()) - wall_start_ns) * 1e-6);
    tsdb_cursor_close(cursor);
    tsdb_selection_close(selection);
}

static void print_disk(const char *what, const char *folder)
{
    uint64_t bytes;
    struct tw_err err;
    if (tw_file_folder_bytes(folder, &bytes, &err) != TW_OK)
        die(&err);
    printf("%-10s %.3f bytes per sample on disk (%" PRIu64 " bytes)\n", what,
           (double)bytes / (double)sample_total, bytes);
}

static int64_t wall_ns(void)
{
    return tw_clock_mono_ns(tw_clock_system());
}

/* Drops the partitions from the system's cache; reads them through a plain file when asked to.
 * Returns their bytes. */
static uint64_t drop_partitions(const char *folder, bool read_them)
{
    static char room[1 << 20];
    struct tw_err err;
    char **names, path[4096];
    size_t count;
    uint64_t bytes = 0;
    snprintf(path, sizeof path, "%s/default/partitions", folder);
    if (tw_file_list(path, &names, &count, &err) != TW_OK)
        die(&err);
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/default/partitions/%s", folder, names[i]);
        int fd = open(path, O_RDONLY);
        TW_ASSERT(fd >= 0);
        if (read_them)
            for (ssize_t size; (size = read(fd, room, sizeof room)) > 0;)
                bytes += (uint64_t)size;
        fdatasync(fd);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    tw_file_list_free(names, count);
    return bytes;
}

/* A scan of all from the disk, beside what the disk gives a plain reader. */
static void read_cold(const struct tsdb_db_options *options)
{
    struct tsdb_db *db;
    struct tw_err err;
    drop_partitions(options->folder, false);
    int64_t start_ns = wall_ns();
    uint64_t bytes = drop_partitions(options->folder, true);
    double plain_s = (double)(wall_ns() - start_ns) * 1e-9;
    if (tsdb_db_open(options, &db, &err) != TW_OK)
        die(&err);
    drop_partitions(options->folder, false);
    start_ns = wall_ns();
    read_back(db, "cold");
    double scan_s = (double)(wall_ns() - start_ns) * 1e-9;
    printf("cold       scan %.0f MB/s of the file, select included; a plain reader %.0f MB/s\n",
           (double)bytes * 1e-6 / scan_s, (double)bytes * 1e-6 / plain_s);
    tsdb_db_close(db);
}

/* Where the bytes of the partitions lie; the store is closed. */
static void print_tables(const char *folder)
{
    static const char *const tables[] = {"runs",     "strings", "series",
                                         "postings", "columns", "blocks"};
    struct tsdb_env_usage sums[sizeof tables / sizeof *tables] = {0}, usage;
    struct tsdb_env *env;
    struct tsdb_env_txn *txn;
    struct tw_err err;
    char **names, path[4096];
    size_t count;
    uint64_t file_bytes = 0;
    snprintf(path, sizeof path, "%s/default/partitions", folder);
    if (tw_file_list(path, &names, &count, &err) != TW_OK)
        die(&err);
    for (size_t i = 0; i < count; i++) {
        if (!tw_str_ends(tw_str(names[i]), TW_STR(".mdb")))
            continue;
        snprintf(path, sizeof path, "%s/default/partitions/%s", folder, names[i]);
        if (tsdb_env_open(path, &tsdb_partition_format, TSDB_ENV_OPEN, &env, &err) != TW_OK ||
            tsdb_env_begin(env, false, &txn, &err) != TW_OK)
            die(&err);
        file_bytes += tsdb_env_bytes(env);
        for (size_t j = 0; j < sizeof tables / sizeof *tables; j++) {
            if (tsdb_env_measure(txn, tables[j], &usage, &err) != TW_OK)
                die(&err);
            sums[j].entries += usage.entries;
            sums[j].branch_pages += usage.branch_pages;
            sums[j].leaf_pages += usage.leaf_pages;
            sums[j].overflow_pages += usage.overflow_pages;
            sums[j].value_bytes += usage.value_bytes;
        }
        tsdb_env_abort(txn);
        tsdb_env_close(env);
    }
    tw_file_list_free(names, count);
    uint64_t used = 0;
    for (size_t j = 0; j < sizeof tables / sizeof *tables; j++) {
        uint64_t bytes = TSDB_ENV_PAGE_BYTES *
                         (sums[j].branch_pages + sums[j].leaf_pages + sums[j].overflow_pages);
        used += bytes;
        printf("  %-8s %.3f bytes per sample in %" PRIu64 " values, of which %.3f are values\n",
               tables[j], (double)bytes / (double)sample_total, sums[j].entries,
               (double)sums[j].value_bytes / (double)sample_total);
    }
    printf("  %-8s %.3f bytes per sample\n", "free",
           ((double)file_bytes - (double)used) / (double)sample_total);
}

/* Makes one run of those of each day. */
static void merge_runs(struct tsdb_db *db)
{
    int64_t *days;
    size_t count;
    uint64_t before = 0, after = 0;
    int64_t cpu_ns = tw_clock_thread_cpu_ns();
    tsdb_partitions_days(db->partitions, &days, &count);
    for (size_t i = 0; i < count; i++) {
        const struct tsdb_rewrite rewrite = {.day = days[i], .now_ms = 1};
        struct tsdb_rewrite_result result;
        struct tw_err err;
        if (tsdb_rewriter_run(db->partitions, &rewrite, &result, &err) != TW_OK)
            die(&err);
        printf("merge      day %" PRId64 ": %zu runs, %" PRIu64 " samples\n", days[i],
               result.runs_before, result.samples);
        before += result.bytes_before;
        after += result.bytes_after;
    }
    free(days);
    cpu_ns = tw_clock_thread_cpu_ns() - cpu_ns;
    printf("merge      %.3f CPU s per million samples; partitions %.3f -> %.3f bytes per sample\n",
           (double)cpu_ns * 1e-3 / (double)sample_total, (double)before / (double)sample_total,
           (double)after / (double)sample_total);
}

int main(int count, char **arguments)
{
    const char *base = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    char folder[4096];
    struct tw_err err;
    struct tsdb_db *db;
    struct utsname machine;
    uname(&machine);
    snprintf(folder, sizeof folder, "%s/tsdb_bench.%d", base, (int)getpid());
    tw_lock_init(&lock, TW_RANK_LEAF, "bench");
    tw_cond_init(&finished);
    size_t runs = count > 3 ? strtoull(arguments[3], NULL, 10) : 1;
    if (count > 1)
        load(arguments[1], count > 2 ? strtoull(arguments[2], NULL, 10) : SIZE_MAX);
    else
        synthesize(tw_clock_wall_ms(tw_clock_system()) - STEPS * 15000);
    printf("machine    %s %s, %ld processors\n", machine.sysname, machine.machine,
           sysconf(_SC_NPROCESSORS_ONLN));
    struct tsdb_db_options options = {.folder = folder};
    if (tsdb_db_open(&options, &db, &err) != TW_OK)
        die(&err);
    ingest(db, runs);
    print_disk("log", folder);
    struct tsdb_db_status status;
    tsdb_db_status(db, &status);
    printf("head       %.0f bytes per series, %.2f per sample\n",
           (double)status.head_bytes / (double)status.head_series,
           (double)status.head_bytes / (double)status.head_samples);
    read_back(db, "head");
    int64_t cpu_ns = tw_clock_process_cpu_ns();
    if (tsdb_db_flush(db, &err) != TW_OK)
        die(&err);
    printf("flush      %.3f CPU s per million samples\n",
           (double)(tw_clock_process_cpu_ns() - cpu_ns) * 1e-3 / (double)sample_total);
    print_disk("flushed", folder);
    read_back(db, "partitions");
    if (runs > 1) {
        merge_runs(db);
        read_back(db, "merged");
    }
    tsdb_db_close(db);
    print_disk("closed", folder);
    print_tables(folder);
    read_cold(&options);
    if (tw_file_remove_folder(folder, &err) != TW_OK)
        die(&err);
    return failed > 0;
}
