/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/budget.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tsdb/receiver.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define CONNECTION_BYTES (128 * KIB)
#define CONNECTIONS_MIN 64
/* A sample that waits for the disk, and its part of the record. */
#define PENDING_BYTES 40
#define PENDING_MIN 50000
#define PENDING_MAX 2000000
#define BASE_BYTES (12 * MIB)
#define THREAD_BYTES (256 * KIB)
#define OWN_THREADS 12 /* committer, keeper, rules, notifications, ... */
/* Of the head's share: where a flush begins, and where new series are refused; requests are refused
 * an eighth above that. */
#define FLUSH_EIGHTHS 5
#define LIMIT_EIGHTHS 7
/* Of memory_max, shares that defaults are made to fit. */
#define QUERIES_PERCENT 30
#define BODIES_PART 8
#define CACHES_PART 16
#define DECODING_PART 16
#define PENDING_PART 64
#define CONNECTIONS_PART 16
#define ALERTING_PART 16
#define EXEMPLARS_PART 64
/* An exemplar with its labels, in the ring. */
#define EXEMPLAR_BYTES 256
#define EXEMPLARS_MIN 1000

static const struct {
    const char *name, *what;
} parts[DAEMON_BUDGET_COUNT] = {
#define DAEMON_BUDGET_TEXT(name, text, what) {text, what},
    DAEMON_BUDGET_TABLE(DAEMON_BUDGET_TEXT)
#undef DAEMON_BUDGET_TEXT
};

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* ---- memory ---- */

static void settle_queries(struct daemon_params *params, struct daemon_budget *budget)
{
    bool total = daemon_params_is_given(params, "query-memory-total");
    bool each = daemon_params_is_given(params, "query-memory-max");
    if (!total)
        params->query_memory_total =
            clamp(budget->memory_max / 100 * QUERIES_PERCENT, 4 * MIB, params->query_memory_total);
    if (!total && each && params->query_memory_total < params->query_memory_max)
        params->query_memory_total = params->query_memory_max;
    if (!each && params->query_memory_max > params->query_memory_total)
        params->query_memory_max = params->query_memory_total;
    budget->parts[DAEMON_BUDGET_QUERIES] = params->query_memory_total;
}

static void settle_requests(struct daemon_params *params, struct daemon_budget *budget)
{
    uint64_t memory = budget->memory_max;
    uint64_t readers = (uint64_t)params->http_threads + TSDB_RECEIVER_WORKERS;
    if (!daemon_params_is_given(params, "http-bodies-max")) {
        uint64_t least =
            daemon_params_is_given(params, "http-body-max") ? params->http_body_max : 4 * MIB;
        params->http_bodies_max =
            clamp(memory / BODIES_PART, least,
                  least > params->http_bodies_max ? least : params->http_bodies_max);
    }
    if (!daemon_params_is_given(params, "http-body-max") &&
        params->http_body_max > params->http_bodies_max)
        params->http_body_max = params->http_bodies_max;
    if (!daemon_params_is_given(params, "http-connections-max"))
        params->http_connections_max =
            (int64_t)clamp(memory / CONNECTIONS_PART / CONNECTION_BYTES, CONNECTIONS_MIN,
                           (uint64_t)params->http_connections_max);
    budget->plain_bytes_max = clamp(memory / DECODING_PART / readers / TSDB_RECEIVER_PLAIN_COST,
                                    MIB, TSDB_RECEIVER_PLAIN_BYTES_MAX);
    budget->pending_samples_max =
        clamp(memory / PENDING_PART / PENDING_BYTES, PENDING_MIN, PENDING_MAX);
    budget->parts[DAEMON_BUDGET_BODIES] = params->http_bodies_max;
    budget->parts[DAEMON_BUDGET_DECODING] =
        readers * budget->plain_bytes_max * TSDB_RECEIVER_PLAIN_COST +
        budget->pending_samples_max * PENDING_BYTES;
    budget->parts[DAEMON_BUDGET_CONNECTIONS] =
        (uint64_t)params->http_connections_max * CONNECTION_BYTES;
}

static void settle_exemplars(struct daemon_storage *storage, struct daemon_budget *budget)
{
    if (storage->exemplars_max == TSDB_EXEMPLARS_MAX) /* the default */
        storage->exemplars_max =
            (int64_t)clamp(budget->memory_max / EXEMPLARS_PART / EXEMPLAR_BYTES, EXEMPLARS_MIN,
                           TSDB_EXEMPLARS_MAX);
    budget->parts[DAEMON_BUDGET_EXEMPLARS] = (uint64_t)storage->exemplars_max * EXEMPLAR_BYTES;
}

static void settle_rest(const struct daemon_params *params, struct daemon_budget *budget)
{
    uint64_t threads =
        (uint64_t)params->http_threads + (uint64_t)params->query_threads + OWN_THREADS;
    budget->parts[DAEMON_BUDGET_CACHES] =
        clamp(budget->memory_max / CACHES_PART, 4 * MIB, 512 * MIB);
    budget->parts[DAEMON_BUDGET_ALERTING] =
        clamp(budget->memory_max / ALERTING_PART, 4 * MIB, 128 * MIB);
    budget->parts[DAEMON_BUDGET_BASE] = BASE_BYTES + threads * THREAD_BYTES;
}

static void format_bytes(uint64_t bytes, char *ret_text)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    snprintf(ret_text, 32, value < 10 && unit > 0 ? "%.1f%s" : "%.0f%s", value, units[unit]);
}

static enum tw_code settle_head(const struct daemon_storage *storage, struct daemon_budget *budget,
                                struct tw_err *err)
{
    char needed[32], left[32];
    uint64_t others = 0;
    for (int i = 0; i < DAEMON_BUDGET_COUNT; i++)
        others += i == DAEMON_BUDGET_HEAD ? 0 : budget->parts[i];
    bool fits = others + DAEMON_BUDGET_HEAD_MIN <= budget->memory_max;
    uint64_t head = fits ? budget->memory_max - others : DAEMON_BUDGET_HEAD_MIN;
    budget->parts[DAEMON_BUDGET_HEAD] = head;
    budget->sum = others + head;
    budget->series_expected = (int64_t)(head / DAEMON_BUDGET_SERIES_BYTES / 1000 * 1000);
    if (!fits) {
        format_bytes(budget->sum, needed);
        format_bytes(budget->memory_max, left);
        return tw_err_set(err, TW_CONFIG,
                          "memory: the parts take %s at most, storage.memory_max is %s: raise it, "
                          "or lower what is set beyond its default",
                          needed, left);
    }
    uint64_t series = (uint64_t)storage->series_max * DAEMON_BUDGET_SERIES_BYTES;
    format_bytes(series, needed);
    format_bytes(head, left);
    if (series > head)
        return tw_err_set(err, TW_CONFIG,
                          "memory: storage.series_max of %" PRId64 " takes %s, and the head has %s "
                          "of storage.memory_max: lower it, or raise storage.memory_max",
                          storage->series_max, needed, left);
    return TW_OK;
}

static enum tw_code settle_memory(struct daemon_params *params, struct daemon_storage *storage,
                                  struct daemon_budget *budget, struct tw_err *err)
{
    char wanted[32], most[32];
    uint64_t machine = budget->machine.memory_bytes;
    budget->is_set = storage->memory_max > 0;
    budget->memory_max = budget->is_set ? storage->memory_max : machine / 4 * 3;
    settle_queries(params, budget);
    settle_requests(params, budget);
    settle_exemplars(storage, budget);
    settle_rest(params, budget);
    enum tw_code code = settle_head(storage, budget, err);
    if (code != TW_OK || budget->memory_max <= machine)
        return code;
    format_bytes(budget->memory_max, wanted);
    format_bytes(machine, most);
    return tw_err_set(err, TW_CONFIG, "memory: storage.memory_max is %s, and %s has %s", wanted,
                      budget->machine.source, most);
}

/* ---- disk ---- */

/* Of the folder, or of the nearest one above it that is there. */
static uint64_t disk_bytes(const char *folder)
{
    char *path = tw_str_dup(tw_str(folder)), *slash;
    uint64_t bytes = 0;
    while (!tw_file_exists(path) && (slash = strrchr(path, '/')) != NULL && slash > path)
        *slash = '\0';
    if (tw_file_disk_bytes(tw_file_exists(path) ? path
                           : *path == '/'       ? "/"
                                                : ".",
                           &bytes, NULL) != TW_OK)
        bytes = 0;
    free(path);
    return bytes;
}

static enum tw_code settle_disk(const struct daemon_params *params,
                                const struct daemon_storage *storage, struct daemon_budget *budget,
                                struct tw_err *err)
{
    char bound[32], reserve[32], disk[32];
    budget->disk_bytes = disk_bytes(params->data);
    budget->size_max = storage->size_max;
    budget->disk_reserve = storage->disk_reserve == TSDB_DISK_RESERVE_AUTO
                               ? tsdb_disk_reserve_of(budget->disk_bytes)
                               : storage->disk_reserve;
    if (budget->size_max == 0 || budget->disk_bytes == 0 ||
        budget->size_max + budget->disk_reserve <= budget->disk_bytes)
        return TW_OK;
    format_bytes(budget->size_max, bound);
    format_bytes(budget->disk_reserve, reserve);
    format_bytes(budget->disk_bytes, disk);
    return tw_err_set(
        err, TW_CONFIG,
        "disk: storage.retention_size of %s and storage.disk_reserve of %s do not fit "
        "the file system of '%s', which has %s: lower retention_size",
        bound, reserve, params->data, disk);
}

enum tw_code daemon_budget_settle(const struct daemon_machine *machine,
                                  struct daemon_params *params, struct daemon_storage *storage,
                                  struct daemon_budget *ret, struct tw_err *err)
{
    struct tw_err disk;
    *ret = (struct daemon_budget){.machine = *machine};
    enum tw_code code = settle_memory(params, storage, ret, err);
    enum tw_code disk_code = settle_disk(params, storage, ret, &disk);
    if (code == TW_OK && disk_code != TW_OK) {
        code = disk_code;
        if (err)
            *err = disk;
    }
    return code;
}

/* ---- what becomes of it ---- */

void daemon_budget_fill(const struct daemon_budget *budget, struct tsdb_db_options *options)
{
    size_t head = budget->parts[DAEMON_BUDGET_HEAD];
    options->head_bytes_max = head / 8 * FLUSH_EIGHTHS;
    options->head_bytes_limit = head / 8 * LIMIT_EIGHTHS;
    options->cache_bytes_max = budget->parts[DAEMON_BUDGET_CACHES];
    options->pending_samples_max = budget->pending_samples_max;
}

static void write_row(struct tw_buf *text, const char *name, uint64_t bytes, const char *what)
{
    char size[32];
    format_bytes(bytes, size);
    tw_buf_appendf(text, "  %-15s%9s%s%s\n", name, size, *what ? "   " : "", what);
}

void daemon_budget_write(const struct daemon_budget *budget, struct tw_buf *ret_text)
{
    char machine[32];
    format_bytes(budget->machine.memory_bytes, machine);
    tw_buf_appendf(ret_text, "memory (%s has %s)\n", budget->machine.source, machine);
    for (int i = 0; i < DAEMON_BUDGET_COUNT; i++)
        write_row(ret_text, parts[i].name, budget->parts[i], parts[i].what);
    write_row(ret_text, "sum", budget->sum, "");
    write_row(ret_text, "memory_max", budget->memory_max,
              budget->is_set ? "storage.memory_max" : "three quarters of what there is");
    tw_buf_appendf(ret_text,
                   "  series         %9" PRId64 "   that the head has room for, at %d bytes each\n",
                   budget->series_expected, DAEMON_BUDGET_SERIES_BYTES);
    tw_buf_append_cstr(ret_text, "disk\n");
    if (budget->size_max > 0)
        write_row(ret_text, "retention_size", budget->size_max, "storage.retention_size");
    else
        tw_buf_append_cstr(ret_text, "  retention_size      none   storage.retention_size\n");
    write_row(ret_text, "disk_reserve", budget->disk_reserve, "storage.disk_reserve");
    write_row(ret_text, "file system", budget->disk_bytes, "");
}

void daemon_budget_register(const struct daemon_budget *budget, struct tw_metrics *metrics)
{
    for (int i = 0; i < DAEMON_BUDGET_COUNT; i++) {
        char label[64];
        snprintf(label, sizeof label, "part=\"%s\"", parts[i].name);
        tw_metric_set(tw_metrics_gauge(metrics, "tidewatch_memory_budget_bytes", label,
                                       "Memory that a part of the server may take at most."),
                      (double)budget->parts[i]);
    }
    tw_metric_set(tw_metrics_gauge(metrics, "tidewatch_memory_max_bytes", "",
                                   "Memory that the server may take at most: the sum of its parts "
                                   "is not above it."),
                  (double)budget->memory_max);
}
