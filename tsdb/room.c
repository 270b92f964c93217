/* SPDX-License-Identifier: Apache-2.0
 *
 * room: keeps the data folder within storage.retention_size, and storage.disk_reserve of the disk
 * free. All below the folder counts: log, partitions, catalog, state, snapshots, what a rewrite
 * writes beside the partition.
 *
 * The bound on the folder is kept ahead: room is left for what the log becomes in partitions while
 * its segments are still there, for what comes until the next look, and for one rewrite. The oldest
 * day goes first, in the end the current one too; if even that is not enough, nothing is taken
 * until it is.
 *
 * Of the disk nothing is dropped for; below the reserve the store turns read-only. What may free
 * space (flushes, deletions, retention, rewrites) works on in the reserve, and samples are taken
 * again when an eighth more than the reserve is free.
 *
 * The keeper looks once a second. In between, each commit counts what the log's file grew by
 * against what the last look left, so that no rate of ingest passes a bound.
 */
#include "config.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/log.h"
#include "tsdb/db_int.h"

/* Of the bound, left for what comes until the next look. */
#define MARGIN_PART 16
/* A log may grow to this part of the bound. */
#define LOG_PART 8
/* Room for a rewrite is kept for partitions up to this part of the bound. */
#define REWRITE_PART 4
/* A byte of the log is one in its file, and up to two while it is moved into a partition. */
#define LOG_COST 3
/* Below this part of the bound nothing is taken, though the oldest days were dropped. */
#define LAST_PART 64
/* The default reserve: this part of the disk, and at most so much. */
#define RESERVE_PART 50
#define RESERVE_MAX ((uint64_t)256 << 20)
/* A reserve has room for the flush of the log; so the log is no larger, or of this size. */
#define RESERVED_LOG_MIN ((uint64_t)1 << 20)
/* Above the reserve by this part of it, samples are taken again. */
#define BACK_PART 8
#define SPARE_MAX ((uint64_t)64 << 20)
/* With less room for the log nothing is taken. */
#define LEFT_MIN ((uint64_t)64 << 10)

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

static double read_free_bytes(void *user)
{
    uint64_t bytes;
    return tw_file_free_bytes(((struct tsdb_db *)user)->folder, &bytes, NULL) == TW_OK
               ? (double)bytes
               : 0;
}

static double read_reserve(void *user)
{
    return (double)atomic_load(&((struct tsdb_db *)user)->room.disk_reserve);
}

static double read_size_max(void *user)
{
    return (double)atomic_load(&((struct tsdb_db *)user)->room.size_max);
}

static const char *const reason_texts[TSDB_READ_ONLY_COUNT] = {
    "",
#define TSDB_READ_ONLY_NAME(name, text) text,
    TSDB_READ_ONLY_TABLE(TSDB_READ_ONLY_NAME)
#undef TSDB_READ_ONLY_NAME
};

const char *tsdb_read_only_text(enum tsdb_read_only reason)
{
    return reason_texts[reason];
}

static double is_read_only_for(struct tsdb_db *db, enum tsdb_read_only reason)
{
    struct tsdb_db_status status;
    tsdb_db_status(db, &status);
    return status.read_only == reason;
}

/* A metric has no argument but the store. */
#define TSDB_READ_ONLY_READER(name, text)                                                          \
    static double read_##name(void *user)                                                          \
    {                                                                                              \
        return is_read_only_for(user, TSDB_READ_ONLY_##name);                                      \
    }
TSDB_READ_ONLY_TABLE(TSDB_READ_ONLY_READER)
#undef TSDB_READ_ONLY_READER

static void register_read_only(struct tsdb_db *db, struct tw_metrics *metrics)
{
#define TSDB_READ_ONLY_METRIC(name, text)                                                          \
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_read_only",                      \
                        "reason=\"" text "\"",                                                     \
                        "1 while no samples are taken for this reason; queries and alerts go on.", \
                        read_##name, db);
    TSDB_READ_ONLY_TABLE(TSDB_READ_ONLY_METRIC)
#undef TSDB_READ_ONLY_METRIC
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_disk_free_bytes", "",
                        "Bytes that the disk of the data folder has left.", read_free_bytes, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_disk_reserve_bytes", "",
                        "Bytes of the disk below which no samples are taken.", read_reserve, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_retention_size_bytes", "",
                        "The bound on the data folder; 0 = none.", read_size_max, db);
}

void tsdb_room_register(struct tsdb_db *db, struct tw_metrics *metrics)
{
    register_read_only(db, metrics);
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

/* ---- the options ---- */

uint64_t tsdb_disk_reserve_of(uint64_t disk_bytes)
{
    return disk_bytes / RESERVE_PART < RESERVE_MAX ? disk_bytes / RESERVE_PART : RESERVE_MAX;
}

static enum tw_code settle_reserve(struct tsdb_db_options *options, struct tw_err *err)
{
    uint64_t disk = 0;
    if (options->disk_reserve != TSDB_DISK_RESERVE_AUTO)
        return TW_OK;
    enum tw_code code = tw_file_make_folder(options->folder, 0750, err);
    if (code == TW_OK)
        code = tw_file_disk_bytes(options->folder, &disk, err);
    options->disk_reserve = tsdb_disk_reserve_of(disk);
    return code;
}

static void fit_log(struct tsdb_db_options *options, uint64_t bytes)
{
    if (options->log_bytes_max > bytes)
        options->log_bytes_max = bytes;
}

enum tw_code tsdb_room_check(struct tsdb_db_options *options, struct tw_err *err)
{
    if (options->size_max > 0 && options->size_max < TSDB_SIZE_MIN)
        return tw_err_set(err, TW_CONFIG,
                          "the data folder cannot be kept within %llu bytes; the least is %llu",
                          (unsigned long long)options->size_max, (unsigned long long)TSDB_SIZE_MIN);
    enum tw_code code = settle_reserve(options, err);
    if (code != TW_OK)
        return code;
    if (options->size_max > 0)
        fit_log(options, options->size_max / LOG_PART);
    if (options->disk_reserve > 0)
        fit_log(options, options->disk_reserve > RESERVED_LOG_MIN ? options->disk_reserve
                                                                  : RESERVED_LOG_MIN);
    return TW_OK;
}

/* ---- the bound on the folder ---- */

/* The largest partition, if a rewrite of it is to find room. */
static uint64_t rewrite_bytes(struct tsdb_db *db, uint64_t size_max)
{
    int64_t *days;
    size_t count;
    uint64_t largest = 0;
    tsdb_partitions_days(db->partitions, &days, &count);
    for (size_t i = 0; i < count; i++) {
        struct tsdb_partition_info info;
        if (tsdb_partitions_info(db->partitions, days[i], &info, NULL) == TW_OK &&
            info.bytes > largest && info.bytes <= size_max / REWRITE_PART)
            largest = info.bytes;
    }
    free(days);
    return largest + largest / 8;
}

/* What is used, and what is left of the bound beside it and beside what is to come of it. */
static enum tw_code measure(struct tsdb_db *db, uint64_t size_max, int64_t *ret_left,
                            struct tw_err *err)
{
    uint64_t used, log;
    enum tw_code code = tw_file_folder_bytes(db->folder, &used, err);
    if (code == TW_OK)
        code = tw_file_folder_bytes(db->log_folder, &log, err);
    if (code != TW_OK)
        return code;
    uint64_t rewrite = rewrite_bytes(db, size_max);
    uint64_t rewriting = atomic_load(&db->rewriting_bytes); /* counted as used already, in part */
    atomic_store(&db->room.used, used);
    *ret_left = (int64_t)size_max - (int64_t)used - (int64_t)(LOG_COST - 1) * (int64_t)log -
                (int64_t)(rewrite > rewriting ? rewrite : rewriting);
    return TW_OK;
}

bool tsdb_room_has(struct tsdb_db *db, uint64_t bytes)
{
    uint64_t used, log, size_max = atomic_load(&db->room.size_max);
    if (size_max == 0)
        return true;
    return tw_file_folder_bytes(db->folder, &used, NULL) == TW_OK &&
           tw_file_folder_bytes(db->log_folder, &log, NULL) == TW_OK &&
           used + (LOG_COST - 1) * log + bytes + size_max / MARGIN_PART <= size_max;
}

uint64_t tsdb_room_spare(const struct tsdb_db *db)
{
    uint64_t reserve = atomic_load(&db->room.disk_reserve);
    return reserve && reserve / 2 < SPARE_MAX ? reserve / 2 : SPARE_MAX;
}

/* The oldest days go until there is a margin. */
static enum tw_code make_room(struct tsdb_db *db, uint64_t size_max, int64_t *ret_left,
                              struct tw_err *err)
{
    enum tw_code code;
    while ((code = measure(db, size_max, ret_left, err)) == TW_OK &&
           *ret_left < (int64_t)(size_max / MARGIN_PART)) {
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
    return code;
}

/* ---- looking ---- */

/* What the log may grow by until the next look, and for which bound. */
struct outlook {
    uint64_t left;
    enum tsdb_read_only scarce, reached;
};

static void look_at_disk(struct tsdb_db *db, struct outlook *outlook)
{
    uint64_t free_bytes, reserve = atomic_load(&db->room.disk_reserve);
    if (tw_file_free_bytes(db->folder, &free_bytes, NULL) != TW_OK)
        return; /* a disk that cannot be asked shows in the log's commits */
    atomic_store(&db->room.disk_free, free_bytes);
    if (reserve == 0)
        return;
    bool was = atomic_load(&db->room.read_only) == TSDB_READ_ONLY_DISK_RESERVE;
    if (free_bytes < reserve || (was && free_bytes - reserve < reserve / BACK_PART))
        outlook->reached = TSDB_READ_ONLY_DISK_RESERVE;
    outlook->left = free_bytes > reserve ? free_bytes - reserve : 0;
    outlook->scarce = TSDB_READ_ONLY_DISK_RESERVE;
}

static enum tw_code look_at_folder(struct tsdb_db *db, struct outlook *outlook, struct tw_err *err)
{
    uint64_t size_max = atomic_load(&db->room.size_max);
    int64_t left;
    if (size_max == 0)
        return TW_OK;
    enum tw_code code = make_room(db, size_max, &left, err);
    if (code != TW_OK)
        return code;
    if (left < (int64_t)(size_max / LAST_PART) && outlook->reached == TSDB_WRITABLE)
        outlook->reached = TSDB_READ_ONLY_RETENTION_SIZE;
    uint64_t log_left = left > 0 ? (uint64_t)left / LOG_COST : 0;
    if (log_left < outlook->left) {
        outlook->left = log_left;
        outlook->scarce = TSDB_READ_ONLY_RETENTION_SIZE;
    }
    return TW_OK;
}

enum tw_code tsdb_room_look(struct tsdb_db *db, struct tw_err *err)
{
    tw_lock_assert_held(&db->keeping);
    struct outlook outlook = {UINT64_MAX, TSDB_WRITABLE, TSDB_WRITABLE};
    tw_lock_take(&db->lock);
    uint64_t counted = db->room.spent;
    tw_lock_release(&db->lock);
    look_at_disk(db, &outlook);
    enum tw_code code = look_at_folder(db, &outlook, err);
    tw_lock_take(&db->lock);
    /* What came since then may not have been seen; a second look may have begun anew. */
    db->room.spent -= counted < db->room.spent ? counted : db->room.spent;
    db->room.left = outlook.left;
    db->room.scarce = outlook.scarce;
    db->room.called = false;
    if (code == TW_OK)
        atomic_store(&db->room.read_only, outlook.reached);
    tw_lock_release(&db->lock);
    return code;
}

/* Before anything is refused for the bound on the folder: the keeper may be busy with a flush,
 * which turned log into less. What the log may grow by now, without dropping anything. */
static uint64_t look_again_locked(struct tsdb_db *db)
{
    uint64_t used, log, size_max = atomic_load(&db->room.size_max);
    tw_lock_assert_held(&db->lock);
    if (tw_file_folder_bytes(db->folder, &used, NULL) != TW_OK ||
        tw_file_folder_bytes(db->log_folder, &log, NULL) != TW_OK)
        return 0; /* a file went just now: the keeper looks next */
    atomic_store(&db->room.used, used);
    uint64_t taken =
        used + (LOG_COST - 1) * log + atomic_load(&db->rewriting_bytes) + size_max / LAST_PART;
    return taken < size_max ? (size_max - taken) / LOG_COST : 0;
}

void tsdb_room_spend_locked(struct tsdb_db *db, struct tsdb_generation *generation)
{
    tw_lock_assert_held(&db->lock);
    struct tsdb_room *room = &db->room;
    if (room->left == UINT64_MAX) /* no bound at all */
        return;
    uint64_t bytes = tsdb_segment_bytes(generation->segment);
    if (bytes > generation->room_bytes) {
        room->spent += bytes - generation->room_bytes;
        generation->room_bytes = bytes;
    }
    if (room->spent > room->left && room->scarce == TSDB_READ_ONLY_RETENTION_SIZE) {
        uint64_t left = look_again_locked(db);
        if (left >= LEFT_MIN) {
            room->left = left;
            room->spent = 0;
        }
    }
    if (room->spent > room->left && !tsdb_room_is_read_only(db))
        atomic_store(&room->read_only, room->scarce);
    if (room->spent > room->left / 2 && !room->called) {
        room->called = true;
        tw_cond_signal(&db->keep);
    }
}

/* ---- saying so ---- */

enum tw_code tsdb_room_refuse(const struct tsdb_db *db, struct tw_err *err)
{
    const struct tsdb_room *room = &db->room;
    switch ((enum tsdb_read_only)atomic_load(&room->read_only)) {
    case TSDB_READ_ONLY_DISK_RESERVE:
        return tw_err_set(err, TW_NO_SPACE,
                          "read-only: the disk of '%s' has %llu bytes left, of which "
                          "storage.disk_reserve keeps %llu; samples are taken again when there is "
                          "room",
                          db->folder, (unsigned long long)atomic_load(&room->disk_free),
                          (unsigned long long)atomic_load(&room->disk_reserve));
    case TSDB_READ_ONLY_RETENTION_SIZE:
        return tw_err_set(
            err, TW_NO_SPACE,
            "read-only: '%s' has %llu bytes and, with what its log becomes, has reached "
            "storage.retention_size, %llu; samples are taken again when there is room",
            db->folder, (unsigned long long)atomic_load(&room->used),
            (unsigned long long)atomic_load(&room->size_max));
    default:
        return TW_OK;
    }
}

void tsdb_room_tell(struct tsdb_db *db)
{
    struct tsdb_db_status status;
    tsdb_db_status(db, &status);
    if (status.read_only == db->room.told)
        return;
    if (status.read_only != TSDB_WRITABLE)
        tw_log(TW_LOG_ERROR, "tsdb.room",
               "read-only: samples are refused until there is room; queries and alerts go on",
               "reason=%s err=%s", tsdb_read_only_text(status.read_only),
               tw_log_quote(tw_str(status.message)));
    else
        tw_log(TW_LOG_INFO, "tsdb.room", "samples are taken again", "was=%s",
               tsdb_read_only_text(db->room.told));
    db->room.told = status.read_only;
}
