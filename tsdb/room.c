/* SPDX-License-Identifier: Apache-2.0
 *
 * room: keeps the data folder within storage.retention_size. All below the folder counts: log,
 * partitions, catalog, state, what a rewrite writes beside the partition.
 *
 * The bound is kept ahead: room is left for what the log becomes in partitions while its segments
 * are still there, for what comes until the next look, and for one rewrite. The oldest day goes
 * first, in the end the current one too; if even that is not enough, nothing is taken until it is.
 */
#include "config.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/file.h"
#include "tsdb/db_int.h"

/* Of the bound, left for what comes until the next look. */
#define MARGIN_PART 16
/* A log may grow to this part of the bound. */
#define LOG_PART 8
/* Room for a rewrite is kept for partitions up to this part of the bound. */
#define REWRITE_PART 4

/* ---- metrics ---- */

static double bytes_below(const struct tsdb_db *db, const char *name)
{
    char *path = tw_file_join(db->folder, name);
    uint64_t bytes = 0;
    bool ok = tw_file_exists(path) && tw_file_folder_bytes(path, &bytes, NULL) == TW_OK;
    free(path);
    return ok ? (double)bytes : 0;
}

static double read_log_bytes(void *user)
{
    return bytes_below(user, "default/log");
}

static double read_partition_bytes(void *user)
{
    return bytes_below(user, "default/partitions");
}

static double read_other_bytes(void *user)
{
    struct tsdb_db *db = user;
    double other = bytes_below(db, "") - read_log_bytes(db) - read_partition_bytes(db);
    return other > 0 ? other : 0; /* files come and go between the looks */
}

void tsdb_room_register(struct tsdb_db *db, struct tw_metrics *metrics)
{
    static const char *const help = "Bytes that the data folder occupies, by what they are.";
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_folder_bytes", "kind=\"log\"",
                        help, read_log_bytes, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_folder_bytes",
                        "kind=\"partitions\"", help, read_partition_bytes, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_folder_bytes", "kind=\"other\"",
                        help, read_other_bytes, db);
    static const char *const dropped = "Partitions (days) deleted by the retention, by its cause.";
    db->metrics.partitions_dropped = tw_metrics_counter(
        metrics, "tidewatch_tsdb_partitions_dropped_total", "cause=\"time\"", dropped);
    db->metrics.dropped_for_size = tw_metrics_counter(
        metrics, "tidewatch_tsdb_partitions_dropped_total", "cause=\"size\"", dropped);
}

/* ---- the bound ---- */

enum tw_code tsdb_room_check(struct tsdb_db_options *options, struct tw_err *err)
{
    if (options->size_max == 0)
        return TW_OK;
    if (options->size_max < TSDB_SIZE_MIN)
        return tw_err_set(err, TW_CONFIG,
                          "the data folder cannot be kept within %llu bytes; the least is %llu",
                          (unsigned long long)options->size_max, (unsigned long long)TSDB_SIZE_MIN);
    if (options->log_bytes_max > options->size_max / LOG_PART)
        options->log_bytes_max = options->size_max / LOG_PART;
    return TW_OK;
}

/* The largest partition, if a rewrite of it is to find room. */
static uint64_t rewrite_bytes(struct tsdb_db *db)
{
    int64_t *days;
    size_t count;
    uint64_t largest = 0;
    tsdb_partitions_days(db->partitions, &days, &count);
    for (size_t i = 0; i < count; i++) {
        struct tsdb_partition_info info;
        if (tsdb_partitions_info(db->partitions, days[i], &info, NULL) == TW_OK &&
            info.bytes > largest && info.bytes <= db->options.size_max / REWRITE_PART)
            largest = info.bytes;
    }
    free(days);
    return largest + largest / 8;
}

/* What is used, and what is to be left free beside it. */
static enum tw_code measure(struct tsdb_db *db, uint64_t *ret_used, uint64_t *ret_reserve,
                            struct tw_err *err)
{
    uint64_t log;
    enum tw_code code = tw_file_folder_bytes(db->folder, ret_used, err);
    if (code == TW_OK)
        code = tw_file_folder_bytes(db->log_folder, &log, err);
    if (code != TW_OK)
        return code;
    uint64_t rewrite = rewrite_bytes(db);
    uint64_t rewriting = atomic_load(&db->rewriting_bytes); /* counted as used already, in part */
    *ret_reserve =
        2 * log + (rewrite > rewriting ? rewrite : 0) + db->options.size_max / MARGIN_PART;
    return TW_OK;
}

bool tsdb_room_has(struct tsdb_db *db, uint64_t bytes)
{
    uint64_t used, log;
    if (db->options.size_max == 0)
        return true;
    return tw_file_folder_bytes(db->folder, &used, NULL) == TW_OK &&
           tw_file_folder_bytes(db->log_folder, &log, NULL) == TW_OK &&
           used + 2 * log + bytes <= db->options.size_max;
}

enum tw_code tsdb_room_make(struct tsdb_db *db, struct tw_err *err)
{
    tw_lock_assert_held(&db->keeping);
    uint64_t used = 0, reserve = 0;
    enum tw_code code = TW_OK;
    if (db->options.size_max == 0)
        return TW_OK;
    while ((code = measure(db, &used, &reserve, err)) == TW_OK &&
           used + reserve > db->options.size_max) {
        int64_t *days;
        size_t count, dropped = 0;
        tsdb_partitions_days(db->partitions, &days, &count);
        if (count > 0)
            code = tsdb_partitions_drop(db->partitions, (days[0] + 1) * TSDB_DAY_MS, &dropped, err);
        free(days);
        tw_metric_add(db->metrics.dropped_for_size, dropped);
        if (code != TW_OK || dropped == 0)
            break;
    }
    if (code == TW_OK)
        atomic_store(&db->full, used + db->options.size_max / MARGIN_PART > db->options.size_max);
    return code;
}
