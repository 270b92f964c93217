/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/db.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "tsdb/codec.h"
#include "tsdb/db_int.h"
#include "tsdb/partition_cache.h"
#include "tsdb/verify_live.h"

#define DB_MAGIC 0x7e5ddb01u
#define FLUSH_INTERVAL_MS (INT64_C(30) * 60 * 1000)
#define SERIES_MAX 10000000
/* A quarter of the machine's memory, within these. */
#define HEAD_BYTES_SHARE 4
#define HEAD_BYTES_LOW ((size_t)128 << 20)
#define HEAD_BYTES_HIGH ((size_t)4 << 30)
/* Samples a series that a head has on average before its size alone makes it be flushed. */
#define FLUSHED_SAMPLES_MIN 8
#define LOG_BYTES_MAX ((size_t)256 << 20)
#define PENDING_SAMPLES_MAX 2000000
#define RECORD_BYTES_MAX ((size_t)1 << 30)

/* ---- metrics ---- */

static double read_head_series(void *user)
{
    struct tsdb_db_status status;
    tsdb_db_status(user, &status);
    return (double)status.head_series;
}

static double read_head_bytes(void *user)
{
    struct tsdb_db_status status;
    tsdb_db_status(user, &status);
    return (double)status.head_bytes;
}

static double read_cache_bytes(void *user)
{
    (void)user;
    return (double)tsdb_cache_total();
}

static double read_disk_bytes(void *user)
{
    struct tsdb_db *db = user;
    uint64_t bytes;
    return tw_file_folder_bytes(db->folder, &bytes, NULL) == TW_OK ? (double)bytes : 0;
}

static double read_partitions(void *user)
{
    return (double)tsdb_partitions_count(((struct tsdb_db *)user)->partitions);
}

static double read_damaged(void *user)
{
    return (double)tsdb_partitions_aside_count(((struct tsdb_db *)user)->partitions);
}

static double read_writable(void *user)
{
    struct tsdb_db_status status;
    tsdb_db_status(user, &status);
    return status.code == TW_OK;
}

static void register_metrics(struct tsdb_db *db)
{
    struct tw_metrics *metrics = db->options.metrics;
    if (!metrics)
        return;
    struct tsdb_db_metrics *to = &db->metrics;
    static const char *const reasons[] = {
#define TSDB_REFUSAL_LABEL(name, text) "reason=\"" text "\"",
        TSDB_REFUSAL_TABLE(TSDB_REFUSAL_LABEL)
#undef TSDB_REFUSAL_LABEL
    };
    to->appended = tw_metrics_counter(metrics, "tidewatch_tsdb_samples_appended_total", "",
                                      "Samples made durable in the log.");
    to->histograms_appended =
        tw_metrics_counter(metrics, "tidewatch_tsdb_histograms_appended_total", "",
                           "Native histogram samples made durable in the log.");
    to->zeroed =
        tw_metrics_counter(metrics, "tidewatch_tsdb_start_zeros_added_total", "",
                           "Samples of zero added where a sender says that counting began.");
    tsdb_exemplars_register(db, metrics);
    for (int i = 0; i < TSDB_REFUSAL_COUNT; i++)
        to->refused[i] = tw_metrics_counter(metrics, "tidewatch_tsdb_samples_refused_total",
                                            reasons[i], "Samples that were not kept, by reason.");
    to->series_created = tw_metrics_counter(metrics, "tidewatch_tsdb_head_series_created_total", "",
                                            "Series that were new to the head.");
    to->commits = tw_metrics_counter(metrics, "tidewatch_tsdb_log_commits_total", "",
                                     "Durable commits of the log.");
    to->commit_failures = tw_metrics_counter(metrics, "tidewatch_tsdb_log_commit_failures_total",
                                             "", "Commits of the log that failed.");
    static const double bounds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02,
                                    0.05,   0.1,   0.2,   0.5,   1,    5};
    to->commit_seconds =
        tw_metrics_histogram(metrics, "tidewatch_tsdb_log_commit_seconds", "",
                             "Time of a durable commit of the log, its fsync included.", bounds,
                             sizeof bounds / sizeof *bounds);
    to->log_bytes = tw_metrics_counter(metrics, "tidewatch_tsdb_log_written_bytes_total", "",
                                       "Bytes of records written to the log.");
    to->flushes = tw_metrics_counter(metrics, "tidewatch_tsdb_flushes_total", "",
                                     "Heads moved into partitions.");
    to->flush_failures = tw_metrics_counter(metrics, "tidewatch_tsdb_flush_failures_total", "",
                                            "Flushes and retention rounds that failed.");
    to->flush_seconds = tw_metrics_counter(metrics, "tidewatch_tsdb_flush_seconds_total", "",
                                           "Time spent on flushes.");
    to->blocks = tw_metrics_counter(metrics, "tidewatch_tsdb_blocks_written_total", "",
                                    "Blocks written into partitions.");
    to->flushed_samples = tw_metrics_counter(metrics, "tidewatch_tsdb_samples_flushed_total", "",
                                             "Samples written into partitions.");
    tsdb_room_register(db, metrics);
    tsdb_renewal_register(db, metrics);
    to->late = tw_metrics_counter(metrics, "tidewatch_tsdb_out_of_order_samples_total", "",
                                  "Samples kept that are older than their series' newest one.");
    to->duplicates = tw_metrics_counter(metrics, "tidewatch_tsdb_duplicate_samples_total", "",
                                        "Samples that the head had already, value included.");
    to->overwritten =
        tw_metrics_counter(metrics, "tidewatch_tsdb_overwritten_samples_total", "",
                           "Samples with another value than the head had for their time.");
    tsdb_deletion_register(db, metrics);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_head_series", "",
                        "Active series: written to in this generation of the head or the last.",
                        read_head_series, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_head_bytes", "",
                        "Memory of the heads and their index.", read_head_bytes, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_disk_bytes", "",
                        "Bytes that the data folder occupies.", read_disk_bytes, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_partitions", "",
                        "Partitions (days) on disk.", read_partitions, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_cache_bytes", "",
                        "Memory in which queries keep what they read of partitions.",
                        read_cache_bytes, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_partitions_damaged", "",
                        "Partitions that are damaged and were set aside; queries over their days "
                        "fail until they are salvaged or removed.",
                        read_damaged, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_writable", "",
                        "1 while samples are taken, 0 while the store is read-only.", read_writable,
                        db);
}

/* ---- generations ---- */

struct tsdb_generation *tsdb_generation_new(struct tsdb_db *db)
{
    struct tsdb_generation *generation = calloc(1, sizeof *generation);
    TW_ASSERT(generation != NULL);
    generation->born_ns = tw_clock_mono_ns(db->clock);
    return generation;
}

struct tsdb_generation *tsdb_generation_free(struct tsdb_generation *generation)
{
    if (!generation)
        return NULL;
    tsdb_segment_close(generation->segment);
    tsdb_record_state_fini(&generation->record_state);
    tsdb_head_unref(generation->head);
    free(generation);
    return NULL;
}

void tsdb_db_append_generation_locked(struct tsdb_db *db, struct tsdb_generation *generation)
{
    tw_lock_assert_held(&db->lock);
    struct tsdb_generation **link = &db->oldest;
    while (*link)
        link = &(*link)->newer;
    *link = generation;
}

/* What was written to in a generation that ends is what is active now (I5), and nothing is encoded
 * for it any more. After a short one (flushed by hand, or failed) the series before it stay active:
 * they had no time to come again. */
static void remember_active_locked(struct tsdb_db *db, struct tsdb_generation *generation)
{
    struct tsdb_bits *current = &generation->record_state.series;
    bool forget = (tw_clock_mono_ns(db->clock) - generation->born_ns) / 500000 >=
                  db->options.flush_interval_ms;
    if (forget)
        tsdb_bits_fini(&db->previous);
    for (size_t i = 0; i < current->word_count; i++)
        for (uint64_t word = current->words[i]; word; word &= word - 1)
            tsdb_bits_set(&db->previous, (uint32_t)(i * 64) + (uint32_t)__builtin_ctzll(word));
    db->active_series = db->previous.count;
    tsdb_sources_turn(&db->sources, forget);
    tsdb_record_state_fini(&generation->record_state);
}

static void use_index_locked(struct tsdb_db *db, struct tsdb_index *index)
{
    tsdb_index_free(db->index);
    db->index = index;
    tsdb_bits_fini(&db->previous);
    tsdb_rows_fini(&db->starts, sizeof(int64_t));
    db->active_series = 0;
    tsdb_sources_fini(&db->sources);
}

void tsdb_db_activate_locked(struct tsdb_db *db, struct tsdb_generation *generation,
                             uint64_t number)
{
    tw_lock_assert_held(&db->lock);
    tsdb_db_retire_active_locked(db);
    tsdb_fingerprints_fini(&db->fingerprints);
    size_t known = db->index ? tsdb_index_count(db->index) : 0;
    if (!db->index || db->previous.count * 2 < known || tsdb_index_is_full(db->index))
        use_index_locked(db, tsdb_index_new_numbered(number)); /* I4 */
    generation->head = tsdb_head_new_sharing(number, db->index);
    tsdb_db_append_generation_locked(db, generation);
    db->active = generation;
    db->state = TW_OK;
}

bool tsdb_db_is_over_budget_locked(const struct tsdb_db *db)
{
    const struct tsdb_generation *active = db->active;
    if (active->log_bytes > db->options.log_bytes_max)
        return true;
    /* The index stays when a generation goes. So however many series there are, samples have a
     * quarter of the budget, and some each series, before a flush is worth its while. */
    size_t samples = tsdb_head_bytes(active->head);
    size_t index = tsdb_index_bytes(db->index), budget = db->options.head_bytes_max;
    size_t limit = db->options.head_bytes_limit;
    if (limit && samples > limit / 8 && tsdb_db_head_bytes_locked(db) > limit)
        return true; /* or samples would be refused until the flush that is due by time */
    return samples > budget / 4 && samples + index > budget &&
           tsdb_head_sample_count(active->head) / FLUSHED_SAMPLES_MIN >=
               tsdb_head_series_count(active->head);
}

size_t tsdb_db_head_bytes_locked(const struct tsdb_db *db)
{
    tw_lock_assert_held(&db->lock);
    size_t bytes = db->index ? tsdb_index_bytes(db->index) : 0;
    const struct tsdb_index *before = db->index;
    for (const struct tsdb_generation *at = db->oldest; at; at = at->newer) {
        const struct tsdb_index *index = tsdb_head_index(at->head);
        if (index != db->index && index != before)
            bytes += tsdb_index_bytes(index);
        before = index;
        bytes += tsdb_head_bytes(at->head);
    }
    return bytes;
}

bool tsdb_db_active_is_empty_locked(const struct tsdb_db *db)
{
    return !db->active || db->active->record_state.series.count == 0;
}

void tsdb_db_retire_active_locked(struct tsdb_db *db)
{
    tw_lock_assert_held(&db->lock);
    if (db->active) {
        db->active->sealed = true;
        remember_active_locked(db, db->active);
    }
    db->active = NULL;
    if (db->filling && db->filling->waiter_count == 0)
        tsdb_group_free(db->filling); /* begun, but nothing came: it is in no queue */
    db->filling = NULL;
}

/* ---- opening ---- */

struct replay {
    struct tsdb_db *db;
    uint64_t number;
    struct tsdb_generation *generation;
};

/* Once no more segment belongs to the index. */
static enum tw_code finish_index(struct tsdb_db *db, struct tw_err *err)
{
    if (db->index && !tsdb_index_finish_restore(db->index))
        return tw_err_set(err, TW_CORRUPT,
                          "log: the segments that belong to index %llu register a series twice",
                          (unsigned long long)tsdb_index_number(db->index));
    return TW_OK;
}

/* The first record says which index the segment uses: the one of the segment before, or another. */
static enum tw_code begin_replay(struct replay *replay, struct tw_str record, struct tw_err *err)
{
    struct tsdb_db *db = replay->db;
    uint64_t number;
    enum tw_code code = tsdb_record_index_number(record, &number, err);
    if (code == TW_OK && (!db->index || tsdb_index_number(db->index) != number)) {
        code = finish_index(db, err);
        tw_lock_take(&db->lock);
        use_index_locked(db, tsdb_index_new_numbered(number));
        tw_lock_release(&db->lock);
    }
    replay->generation->head = tsdb_head_new_sharing(replay->number, db->index);
    return code;
}

static enum tw_code replay_group(void *user, struct tw_str group, struct tw_err *err)
{
    struct replay *replay = user;
    struct tsdb_db *db = replay->db;
    struct tsdb_generation *generation = replay->generation;
    struct tsdb_reader reader = tsdb_reader(group);
    while (tsdb_reader_left(&reader) > 0) {
        struct tw_str record = tsdb_read_bytes(&reader, tsdb_read_varint(&reader));
        if (!reader.ok)
            return tw_err_set(err, TW_CORRUPT, "log: a record is cut off");
        enum tw_code code = generation->head ? TW_OK : begin_replay(replay, record, err);
        if (code == TW_OK)
            code = tsdb_record_replay(generation->head, &generation->record_state, record, err);
        if (code != TW_OK)
            return code;
        tsdb_exemplars_replay(db, generation);
    }
    return TW_OK;
}

static enum tw_code replay_segment(struct tsdb_db *db, uint64_t number, struct tw_err *err)
{
    struct tsdb_generation *generation = tsdb_generation_new(db);
    struct replay replay = {db, number, generation};
    generation->sealed = true;
    enum tw_code code = tsdb_log_replay(db->log_folder, number, replay_group, &replay, err);
    if (code != TW_OK) {
        tsdb_generation_free(generation);
        if (code == TW_CORRUPT)
            tw_err_wrap(err,
                        "the log is damaged; 'tidewatch verify %s' says what is readable, and with "
                        "--salvage --to NEWFOLDER saves it; to start without this segment "
                        "and what only it holds, move its file away",
                        db->folder);
        return code;
    }
    if (!generation->head ||
        (tsdb_head_sample_count(generation->head) == 0 && generation->exemplar_count == 0)) {
        tsdb_generation_free(generation);
        return tsdb_segment_remove(db->log_folder, number, err);
    }
    tw_lock_take(&db->lock);
    tsdb_bits_fini(&db->previous);
    db->previous = generation->record_state.series;
    generation->record_state.series = (struct tsdb_bits){0};
    db->active_series = db->previous.count;
    tsdb_record_state_fini(&generation->record_state);
    tsdb_db_append_generation_locked(db, generation);
    tw_lock_release(&db->lock);
    return TW_OK;
}

static enum tw_code replay_log(struct tsdb_db *db, struct tw_err *err)
{
    uint64_t *numbers, flushed = 0;
    size_t count;
    enum tw_code code = tsdb_partitions_newest_run(db->partitions, &flushed, err);
    if (code == TW_OK)
        code = tsdb_log_list(db->log_folder, &numbers, &count, err);
    if (code != TW_OK)
        return code;
    /* Heads are flushed in order, so what is older than the newest run is in partitions as a whole:
     * only its segment could not be removed. Replayed, it would hide what was written after it. */
    for (size_t i = 0; i < count && code == TW_OK; i++)
        code = numbers[i] < flushed ? tsdb_segment_remove(db->log_folder, numbers[i], err)
                                    : replay_segment(db, numbers[i], err);
    if (code == TW_OK)
        code = finish_index(db, err);
    if (code == TW_OK && db->options.series_max_per_source) {
        tw_lock_take(&db->lock);
        tsdb_db_count_sources_locked(db);
        tw_lock_release(&db->lock);
    }
    db->next_number = count ? numbers[count - 1] + 1 : 1;
    if (db->next_number <= flushed)
        db->next_number = flushed + 1;
    if (db->next_number <= tsdb_exemplar_store_segment(db->exemplar_store))
        db->next_number = tsdb_exemplar_store_segment(db->exemplar_store) + 1;
    free(numbers);
    return code;
}

static enum tw_code make_folders(struct tsdb_db *db, struct tw_err *err)
{
    char *tenant = tw_file_join(db->folder, "default");
    db->log_folder = tw_file_join(tenant, "log");
    db->partition_folder = tw_file_join(tenant, "partitions");
    enum tw_code code = tw_file_make_folder(db->log_folder, 0750, err);
    if (code == TW_OK)
        code = tw_file_make_folder(db->partition_folder, 0750, err);
    if (code == TW_OK)
        code = tw_file_sync_folder(tenant, err);
    if (code == TW_OK)
        code = tw_file_sync_folder(db->folder, err);
    free(tenant);
    return code;
}

static enum tw_code open_tombstones(struct tsdb_db *db, struct tw_err *err)
{
    struct tsdb_erasers *rules;
    enum tw_code code = tsdb_db_make_rules(&db->options, &rules, &db->options.retention_ms, err);
    if (code != TW_OK)
        return code;
    code = tsdb_tombstones_open(db->catalog, rules, &db->tombstones, err);
    tsdb_erasers_unref(rules);
    if (code == TW_OK)
        code = tsdb_steps_make(&db->options, &db->steps, err);
    return code;
}

/* On a full disk the store starts all the same, to be read, and to become smaller. */
static enum tw_code begin_log(struct tsdb_db *db, struct tw_err *err)
{
    struct tw_err ignored; /* the next look says it again */
    tw_lock_take(&db->keeping);
    enum tw_code code = tsdb_keeper_rotate(db, err);
    if (code == TW_NO_SPACE) {
        tw_lock_take(&db->lock);
        tsdb_db_fail_log_locked(db, code, err);
        tw_lock_release(&db->lock);
        code = TW_OK;
    }
    (void)(tsdb_room_look(db, &ignored) == TW_OK);
    tw_lock_release(&db->keeping);
    return code;
}

static enum tw_code open_parts(struct tsdb_db *db, struct tw_err *err)
{
    enum tw_code code = tw_file_make_folder(db->folder, 0750, err);
    if (code == TW_OK)
        code = tw_file_lock(db->folder, "LOCK", &db->lock_fd, err);
    if (code == TW_OK)
        code = make_folders(db, err);
    if (code == TW_OK)
        code = tsdb_verify_live_clean(db, err);
    if (code == TW_OK) {
        char *path = tw_file_join(db->folder, "default/catalog.mdb");
        code = tsdb_catalog_open(path, &db->catalog, err);
        free(path);
    }
    if (code == TW_OK)
        code = open_tombstones(db, err);
    if (code == TW_OK)
        code = tsdb_exemplars_open(db, err);
    if (code == TW_OK)
        code = tsdb_partitions_open(db->partition_folder, &db->partitions, err);
    if (code == TW_OK)
        code = replay_log(db, err);
    if (code == TW_OK)
        code = begin_log(db, err);
    if (code == TW_OK)
        code = tw_thread_start(&db->committer, "tsdb-commit", tsdb_committer_body, db, err);
    if (code == TW_OK && !db->options.manual)
        code = tw_thread_start(&db->keeper, "tsdb-keep", tsdb_keeper_body, db, err);
    if (code == TW_OK && !db->options.manual)
        code = tw_thread_start(&db->renewal, "tsdb-renew", tsdb_renewal_body, db, err);
    return code;
}

static size_t default_head_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    size_t bytes =
        pages > 0 && page_bytes > 0 ? (size_t)pages * (size_t)page_bytes / HEAD_BYTES_SHARE : 0;
    return bytes < HEAD_BYTES_LOW    ? HEAD_BYTES_LOW
           : bytes > HEAD_BYTES_HIGH ? HEAD_BYTES_HIGH
                                     : bytes;
}

#define OR_DEFAULT(option, value) ((option) = (option) ? (option) : (value))

void tsdb_db_default_options(struct tsdb_db_options *options)
{
    OR_DEFAULT(options->flush_interval_ms, FLUSH_INTERVAL_MS);
    OR_DEFAULT(options->series_max, SERIES_MAX);
    OR_DEFAULT(options->head_bytes_max, default_head_bytes());
    OR_DEFAULT(options->log_bytes_max, LOG_BYTES_MAX);
    OR_DEFAULT(options->exemplars_max, TSDB_EXEMPLARS_MAX);
    OR_DEFAULT(options->pending_samples_max, PENDING_SAMPLES_MAX);
}

enum tw_code tsdb_db_open(const struct tsdb_db_options *options, struct tsdb_db **ret_db,
                          struct tw_err *err)
{
    struct tw_err own;
    err = err ? err : &own; /* wrapped below */
    enum tw_code code;
    struct tsdb_db *db = calloc(1, sizeof *db);
    TW_ASSERT(db != NULL);
    db->magic = DB_MAGIC;
    db->storage.ops = &tsdb_db_ops;
    db->options = *options;
    tsdb_db_default_options(&db->options);
    code = tsdb_room_check(&db->options, err);
    atomic_store(&db->room.size_max, db->options.size_max);
    atomic_store(&db->room.disk_reserve, db->options.disk_reserve);
    db->clock = options->clock ? options->clock : tw_clock_system();
    db->folder = tw_str_dup(tw_str(options->folder));
    db->options.folder = db->folder;
    db->lock_fd = -1;
    tw_lock_init(&db->keeping, TW_RANK_STORE, "tsdb.keeping");
    tw_lock_init(&db->renewing, TW_RANK_STORE, "tsdb.renewing");
    tw_lock_init(&db->lock, TW_RANK_HEAD, "tsdb.db");
    tw_cond_init(&db->work);
    tw_cond_init(&db->drained);
    tw_cond_init(&db->keep);
    tw_cond_init(&db->renew);
    tw_buf_init(&db->scratch, RECORD_BYTES_MAX);
    if (code == TW_OK)
        code = open_parts(db, err);
    if (code != TW_OK) {
        tw_err_wrap(err, "opening the store in '%s'", options->folder);
        tsdb_db_close(db);
        return code;
    }
    tsdb_cache_limit(options->cache_bytes_max);
    register_metrics(db);
    *ret_db = db;
    return TW_OK;
}

struct tsdb_storage *tsdb_db_storage(struct tsdb_db *db)
{
    TW_CHECK_MAGIC(db, DB_MAGIC);
    return &db->storage;
}

/* ---- closing ---- */

static void stop_threads(struct tsdb_db *db)
{
    tw_lock_take(&db->lock);
    db->closing = true;
    db->keeper_ends = true;
    tw_cond_signal(&db->keep);
    atomic_store(&db->renewal_ends, true);
    tw_cond_signal(&db->renew);
    tw_lock_release(&db->lock);
    tw_thread_join(&db->renewal);
    tw_thread_join(&db->keeper);
    if (db->committer.running) {
        struct tw_err ignored; /* what cannot be flushed stays in the log */
        tw_lock_take(&db->keeping);
        tw_lock_take(&db->lock);
        tsdb_db_retire_active_locked(db);
        tw_lock_release(&db->lock);
        (void)(tsdb_keeper_flush(db, &ignored) == TW_OK);
        tw_lock_release(&db->keeping);
    }
    tw_lock_take(&db->lock);
    db->committer_ends = true;
    tw_cond_signal(&db->work);
    tw_lock_release(&db->lock);
    tw_thread_join(&db->committer);
}

struct tsdb_db *tsdb_db_close(struct tsdb_db *db)
{
    if (!db)
        return NULL;
    TW_CHECK_MAGIC(db, DB_MAGIC);
    stop_threads(db);
    TW_ASSERT(db->queue_first == NULL);
    tw_lock_take(&db->lock);
    tsdb_db_retire_active_locked(db);
    tw_lock_release(&db->lock);
    for (struct tsdb_generation *at = db->oldest, *newer; at; at = newer) {
        newer = at->newer;
        bool empty = tsdb_head_sample_count(at->head) == 0 && at->exemplar_count == 0;
        uint64_t number = tsdb_head_number(at->head);
        tsdb_generation_free(at);
        struct tw_err ignored; /* an empty segment that stays is harmless */
        if (empty)
            (void)(tsdb_segment_remove(db->log_folder, number, &ignored) == TW_OK);
    }
    tsdb_group_free(db->spare);
    tsdb_index_free(db->index);
    tsdb_bits_fini(&db->previous);
    tsdb_fingerprints_fini(&db->fingerprints);
    tsdb_sources_fini(&db->sources);
    tsdb_partitions_close(db->partitions);
    tsdb_tombstones_close(db->tombstones);
    tsdb_steps_free(db->steps);
    tsdb_steps_free(db->steps_next);
    tsdb_catalog_close(db->catalog);
    tsdb_exemplars_close(db);
    tsdb_rows_fini(&db->starts, sizeof(int64_t));
    tw_buf_fini(&db->scratch);
    if (db->lock_fd >= 0)
        close(db->lock_fd);
    tw_cond_fini(&db->renew);
    tw_cond_fini(&db->keep);
    tw_cond_fini(&db->drained);
    tw_cond_fini(&db->work);
    tw_lock_fini(&db->lock);
    tw_lock_fini(&db->renewing);
    tw_lock_fini(&db->keeping);
    free(db->leftovers);
    free(db->partition_folder);
    free(db->log_folder);
    free(db->folder);
    db->magic = 0;
    free(db);
    return NULL;
}

static void read_state_locked(struct tsdb_db *db, struct tsdb_db_status *ret)
{
    struct tw_err why;
    if (!db->active && db->state != TW_OK) {
        ret->code = db->state;
        ret->read_only =
            db->state == TW_NO_SPACE ? TSDB_READ_ONLY_DISK_FULL : TSDB_READ_ONLY_LOG_FAILED;
        memcpy(ret->message, db->state_err.message, sizeof ret->message);
    } else if ((ret->code = tsdb_room_refuse(db, &why)) != TW_OK) {
        ret->read_only = (enum tsdb_read_only)atomic_load(&db->room.read_only);
        memcpy(ret->message, why.message, sizeof ret->message);
    }
    ret->disk_free = atomic_load(&db->room.disk_free);
    ret->disk_reserve = atomic_load(&db->room.disk_reserve);
    ret->size_max = atomic_load(&db->room.size_max);
}

void tsdb_db_status(struct tsdb_db *db, struct tsdb_db_status *ret)
{
    TW_CHECK_MAGIC(db, DB_MAGIC);
    memset(ret, 0, sizeof *ret);
    tw_lock_take(&db->lock);
    read_state_locked(db, ret);
    ret->head_series = db->active_series;
    ret->head_bytes = tsdb_db_head_bytes_locked(db);
    ret->head_first_ms = INT64_MAX;
    ret->head_last_ms = INT64_MIN;
    for (const struct tsdb_generation *at = db->oldest; at; at = at->newer) {
        int64_t first_ms, last_ms;
        if (tsdb_head_range(at->head, &first_ms, &last_ms)) {
            ret->head_first_ms = first_ms < ret->head_first_ms ? first_ms : ret->head_first_ms;
            ret->head_last_ms = last_ms > ret->head_last_ms ? last_ms : ret->head_last_ms;
        }
        if (tsdb_head_index(at->head) != db->index)
            ret->head_series += tsdb_head_series_count(at->head);
        ret->head_samples += tsdb_head_sample_count(at->head);
    }
    tw_lock_release(&db->lock);
    ret->partitions = tsdb_partitions_count(db->partitions);
}

enum tw_code tsdb_db_days(struct tsdb_db *db, struct tw_arena *arena, struct tsdb_day **ret_days,
                          size_t *ret_count, struct tw_err *err)
{
    TW_CHECK_MAGIC(db, DB_MAGIC);
    int64_t *days;
    size_t count;
    enum tw_code code = TW_OK;
    tsdb_partitions_days(db->partitions, &days, &count);
    *ret_days = TW_ARENA_ARRAY(arena, struct tsdb_day, count);
    *ret_count = 0;
    for (size_t i = 0; i < count && code == TW_OK; i++) {
        struct tsdb_partition_info info;
        code = tsdb_partitions_info(db->partitions, days[i], &info, err);
        if (code == TW_NOT_FOUND) { /* dropped since */
            code = TW_OK;
            continue;
        }
        if (code == TW_OK)
            (*ret_days)[(*ret_count)++] = (struct tsdb_day){.day = days[i],
                                                            .samples = info.samples,
                                                            .bytes = info.bytes,
                                                            .series = info.series,
                                                            .runs = info.run_count,
                                                            .last_run = info.last_run,
                                                            .rewritten_ms = info.rewritten_ms,
                                                            .step_ms = info.step_ms};
    }
    free(days);
    return code;
}
