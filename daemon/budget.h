/* SPDX-License-Identifier: Apache-2.0
 *
 * budget: what each part of the server may take at most, of memory (storage.memory_max) and of the
 * disk (storage.retention_size, storage.disk_reserve), settled before anything is opened.
 *
 * What was set stands; what was left to its default becomes smaller where it would not fit. The
 * samples in memory (the head) get what the others leave. A sum that does not fit is refused, with
 * the table of the parts: better no start than the kernel's end in the middle of a night.
 *
 * Each part is held to its share at run time by who owns it; the last two are estimates.
 *
 * Threads: plain data.
 */
#ifndef TW_DAEMON_BUDGET_H
#define TW_DAEMON_BUDGET_H

#include "base/buf.h"
#include "base/metrics.h"
#include "daemon/machine.h"
#include "daemon/params.h"
#include "daemon/storage.h"

/* BUDGET(name, "label `part` of tidewatch_memory_budget_bytes", "what sets it") */
#define DAEMON_BUDGET_TABLE(BUDGET)                                                                \
    BUDGET(HEAD, "head", "series and samples in memory: what the others leave")                    \
    BUDGET(QUERIES, "queries", "--query-memory-total")                                             \
    BUDGET(CACHES, "caches", "what queries keep of partitions: a sixteenth")                       \
    BUDGET(BODIES, "bodies", "--http-bodies-max")                                                  \
    BUDGET(DECODING, "decoding", "writes being read, and waiting for the disk")                    \
    BUDGET(CONNECTIONS, "connections", "--http-connections-max, 128KiB each")                      \
    BUDGET(EXEMPLARS, "exemplars", "storage.exemplars_max, 256 bytes each")                        \
    BUDGET(ALERTING, "alerting", "rules, notifications, forecasts: an estimate")                   \
    BUDGET(BASE, "base", "the program and its threads: an estimate")

enum daemon_budget_part {
#define DAEMON_BUDGET_ENUM(name, text, what) DAEMON_BUDGET_##name,
    DAEMON_BUDGET_TABLE(DAEMON_BUDGET_ENUM)
#undef DAEMON_BUDGET_ENUM
        DAEMON_BUDGET_COUNT
};

/* Memory that an active series takes, with its latest samples. */
#define DAEMON_BUDGET_SERIES_BYTES 320
/* The least that the head works with. */
#define DAEMON_BUDGET_HEAD_MIN ((uint64_t)16 << 20)

struct daemon_budget {
    struct daemon_machine machine;
    uint64_t memory_max;
    bool is_set; /* memory_max is of the configuration; else three quarters of the machine */
    uint64_t parts[DAEMON_BUDGET_COUNT];
    uint64_t sum; /* with the least head where it does not fit */
    size_t plain_bytes_max, pending_samples_max;
    int64_t series_expected; /* about so many find room */
    uint64_t disk_bytes;     /* of the data folder's file system; 0 = not known */
    uint64_t size_max, disk_reserve;
};

/* Fills in what params and storage leave to their defaults. *ret is filled also when the answer is
 * TW_CONFIG: something does not fit. */
TW_MUST_CHECK enum tw_code daemon_budget_settle(const struct daemon_machine *machine,
                                                struct daemon_params *params,
                                                struct daemon_storage *storage,
                                                struct daemon_budget *ret, struct tw_err *err);
/* Into the options of a store. */
void daemon_budget_fill(const struct daemon_budget *budget, struct tsdb_db_options *options);
/* The table, for people. */
void daemon_budget_write(const struct daemon_budget *budget, struct tw_buf *ret_text);
/* The parts as gauges. */
void daemon_budget_register(const struct daemon_budget *budget, struct tw_metrics *metrics);

#endif
