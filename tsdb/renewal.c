/* SPDX-License-Identifier: Apache-2.0
 *
 * renewal: decides which partitions are to be rewritten, and has it done, one at a time, on a
 * thread of low priority; in a manual store as part of tsdb_db_keep.
 *
 * Merging runs: a day that is over becomes one run. What comes later is merged at most once a day,
 * or when it is many runs and half as large again as what is merged already, so that a sample is
 * rewritten a number of times that grows with the logarithm of the partition's size. A day of so
 * many series that a rewrite would take more memory than the head may is left as it is: these are
 * series that came and went, each of them in a run or two.
 *
 * Deletions: as soon as all that a tombstone covers is in partitions. Rules of the retention: when
 * a whole day is past one of them; so each of them costs a partition one rewrite.
 */
#include "config.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/log.h"
#include "tsdb/db_int.h"
#include "tsdb/partition_int.h"
#include "tsdb/rewriter.h"

#define ROUND_NS (INT64_C(10) * 1000000000)
/* After a failure nothing is rewritten for a while. */
#define RETRY_NS (INT64_C(600) * 1000000000)
#define NICENESS 10
/* How long after its end and the last flush of it a day is over. */
#define SETTLE_MS (INT64_C(10) * 60 * 1000)
/* Runs that readers may have to merge; with so few samples in them, that they do not pay for a
 * rewrite: the second. */
#define RUNS_MAX 24
#define SMALL_RUNS_MAX 256
/* Memory of a rewrite for each series: its labels, its places, its postings. */
#define SERIES_BYTES 300

static const char *const cause_labels[] = {
#define TSDB_REWRITE_LABEL(name, text) "cause=\"" text "\"",
    TSDB_REWRITE_TABLE(TSDB_REWRITE_LABEL)
#undef TSDB_REWRITE_LABEL
};

void tsdb_renewal_register(struct tsdb_db *db, struct tw_metrics *metrics)
{
    struct tsdb_db_metrics *to = &db->metrics;
    for (int i = 0; i < TSDB_REWRITE_COUNT; i++)
        to->rewrites[i] = tw_metrics_counter(metrics, "tidewatch_tsdb_rewrites_total",
                                             cause_labels[i], "Partitions rewritten, by cause.");
    to->rewrite_failures =
        tw_metrics_counter(metrics, "tidewatch_tsdb_rewrite_failures_total", "",
                           "Rewrites that failed; the partition stayed as it was.");
    to->rewrite_seconds = tw_metrics_counter(metrics, "tidewatch_tsdb_rewrite_seconds_total", "",
                                             "Time spent on rewriting partitions.");
    to->rewrite_read = tw_metrics_counter(metrics, "tidewatch_tsdb_rewrite_read_bytes_total", "",
                                          "Bytes of partitions before they were rewritten.");
    to->rewrite_written = tw_metrics_counter(metrics, "tidewatch_tsdb_rewrite_written_bytes_total",
                                             "", "Bytes of partitions after they were rewritten.");
    to->rewrite_samples = tw_metrics_counter(metrics, "tidewatch_tsdb_rewrite_samples_total", "",
                                             "Samples that rewritten partitions have.");
    to->rewrite_closed = tw_metrics_counter(
        metrics, "tidewatch_tsdb_samples_dropped_total", "reason=\"downsampled\"",
        "Samples that were taken, but left out of partitions: downsampled = they came for a step "
        "that had a bucket already.");
    to->rewriting = tw_metrics_gauge(metrics, "tidewatch_tsdb_rewrite_running", "",
                                     "1 while a partition is being rewritten.");
}

/* ---- what is due ---- */

static size_t series_at_most(struct tsdb_db *db)
{
    tw_lock_take(&db->lock);
    size_t bytes = db->options.head_bytes_max;
    tw_lock_release(&db->lock);
    return bytes / SERIES_BYTES;
}

static bool is_merge_due(struct tsdb_db *db, int64_t day, const struct tsdb_partition_info *info,
                         int64_t now_ms)
{
    if (info->run_count < 2 || info->series > series_at_most(db))
        return false;
    int64_t over_ms = (day + 1) * TSDB_DAY_MS + db->options.flush_interval_ms + SETTLE_MS;
    if (now_ms >= over_ms &&
        (info->rewritten_ms < over_ms || now_ms - info->rewritten_ms >= TSDB_DAY_MS))
        return true;
    uint64_t added = info->samples > info->base_samples ? info->samples - info->base_samples : 0;
    return info->run_count > SMALL_RUNS_MAX ||
           (info->run_count > RUNS_MAX && added >= info->base_samples / 2);
}

static bool has_match(struct tsdb_db *db, int64_t day, const struct tsdb_matcher *matchers,
                      size_t count)
{
    struct tsdb_partition *partition;
    struct tsdb_partition_match *found;
    size_t found_count = 0;
    if (tsdb_partitions_ref(db->partitions, day, &partition, NULL) != TW_OK)
        return false;
    struct tw_arena *arena = tw_arena_new(4096);
    /* What cannot be asked is said by the rewrite. */
    bool ret = tsdb_partition_match(partition, matchers, count, arena, &found, &found_count,
                                    NULL) != TW_OK ||
               found_count > 0;
    tw_arena_free(arena);
    tsdb_partitions_unref(db->partitions, partition);
    return ret;
}

/* Whether a tombstone has something to do in the partition. Only those count whose samples are all
 * in partitions by now. */
static bool is_delete_due(struct tsdb_db *db, const struct tsdb_erasers *erasers, uint64_t flushed,
                          int64_t day, const struct tsdb_partition_info *info)
{
    int64_t start_ms = day * TSDB_DAY_MS, end_ms = start_ms + TSDB_DAY_MS - 1;
    uint64_t applied = info->erased;
    for (size_t i = 0; i < tsdb_erasers_tombstone_count(erasers); i++) {
        struct tsdb_tombstone tombstone = tsdb_erasers_tombstone(erasers, i);
        if (tombstone.id <= info->erased)
            continue;
        if (tombstone.erasure.run_max > flushed)
            break;
        if (info->first_run <= tombstone.erasure.run_max && tombstone.erasure.start_ms <= end_ms &&
            tombstone.erasure.end_ms >= start_ms &&
            has_match(db, day, tombstone.matchers, tombstone.matcher_count))
            return true;
        applied = tombstone.id;
    }
    if (applied > info->erased)
        tsdb_partitions_note_erased(db->partitions, day, applied);
    return false;
}

/* Whether the whole day has passed out of a rule's time since the partition was last looked at. */
static bool is_retention_due(struct tsdb_db *db, const struct tsdb_erasers *erasers, int64_t day,
                             const struct tsdb_partition_info *info, int64_t now_ms)
{
    int64_t end_ms = (day + 1) * TSDB_DAY_MS;
    bool passed = false;
    for (size_t i = 0; i < tsdb_erasers_rule_count(erasers); i++) {
        struct tsdb_rule rule = tsdb_erasers_rule(erasers, i);
        if (rule.keep_ms == TSDB_KEEP_FOREVER || now_ms - rule.keep_ms < end_ms ||
            info->ruled_ms - rule.keep_ms >= end_ms)
            continue;
        passed = true;
        if (has_match(db, day, rule.matchers, rule.matcher_count))
            return true;
    }
    if (passed)
        tsdb_partitions_note_ruled(db->partitions, day, now_ms);
    return false;
}

/* ---- downsampling ---- */

static bool has_come(const struct tsdb_rule *rule, int64_t day, int64_t now_ms)
{
    return now_ms - rule->keep_ms >= (day + 1) * TSDB_DAY_MS;
}

static int64_t step_of(void *user, int64_t day, int64_t now_ms, struct wire_labels labels)
{
    const struct tsdb_steps *steps = ((const struct tsdb_db *)user)->steps;
    int64_t step_ms = 0;
    for (size_t i = 0; i < tsdb_erasers_rule_count(steps->rules); i++) {
        struct tsdb_rule rule = tsdb_erasers_rule(steps->rules, i);
        if (steps->step_ms[i] <= step_ms || !has_come(&rule, day, now_ms))
            continue;
        bool match = true;
        for (size_t j = 0; j < rule.matcher_count && match; j++)
            match = tsdb_matcher_matches(&rule.matchers[j],
                                         wire_labels_get(labels, rule.matchers[j].name));
        if (match)
            step_ms = steps->step_ms[i];
    }
    return step_ms;
}

/* The largest step that any series of the day has come to. */
static int64_t largest_step(const struct tsdb_db *db, int64_t day, int64_t now_ms)
{
    const struct tsdb_steps *steps = db->steps;
    int64_t step_ms = 0;
    for (size_t i = 0; i < tsdb_erasers_rule_count(steps->rules); i++) {
        struct tsdb_rule rule = tsdb_erasers_rule(steps->rules, i);
        if (steps->step_ms[i] > step_ms && has_come(&rule, day, now_ms))
            step_ms = steps->step_ms[i];
    }
    return step_ms;
}

/* ---- one partition ---- */

static struct tsdb_erasers *list_erasers(void *user)
{
    return tsdb_tombstones_list(((struct tsdb_db *)user)->tombstones);
}

static bool is_ending(void *user)
{
    struct tsdb_db *db = user;
    return atomic_load_explicit(&db->renewal_ends, memory_order_relaxed);
}

static uint64_t free_bytes(const struct tsdb_db *db)
{
    uint64_t bytes;
    return tw_file_free_bytes(db->partition_folder, &bytes, NULL) == TW_OK ? bytes : UINT64_MAX;
}

/* The disk has become too small for the rewrite, whatever it was expected to take. */
static bool is_short(const struct tsdb_db *db)
{
    return free_bytes(db) < tsdb_room_spare(db);
}

static bool is_to_stop(void *user)
{
    return is_ending(user) || is_short(user);
}

static enum tw_code say_short(const struct tsdb_db *db, uint64_t wanted, struct tw_err *err)
{
    return tw_err_set(
        err, TW_NO_SPACE, "a rewrite needs %llu bytes for a while, '%s' has %llu left",
        (unsigned long long)wanted, db->partition_folder, (unsigned long long)free_bytes(db));
}

/* The new file is seldom larger than the old one, and never by more than its index. Where something
 * goes it is smaller: that is tried as long as there is room, for it is what makes some. */
static enum tw_code check_space(const struct tsdb_db *db, uint64_t bytes,
                                enum tsdb_rewrite_cause cause, struct tw_err *err)
{
    uint64_t spare = tsdb_room_spare(db);
    uint64_t wanted = cause == TSDB_REWRITE_MERGE ? bytes + bytes / 8 + spare : 2 * spare;
    return free_bytes(db) < wanted ? say_short(db, wanted, err) : TW_OK;
}

static enum tw_code renew(struct tsdb_db *db, int64_t day, const struct tsdb_partition_info *info,
                          enum tsdb_rewrite_cause cause, int64_t now_ms, struct tw_err *err)
{
    enum tw_code code = check_space(db, info->bytes, cause, err);
    if (code != TW_OK)
        return code;
    if (!tsdb_room_has(db, info->bytes + info->bytes / 8))
        return TW_OK; /* the bound on the folder comes first; a later round may find room */
    struct tsdb_rewrite rewrite = {.day = day,
                                   .now_ms = now_ms,
                                   .erasers = list_erasers,
                                   .flushed = tsdb_db_flushed(db),
                                   .step = step_of,
                                   .step_ms = largest_step(db, day, now_ms),
                                   .cancelled = is_to_stop,
                                   .user = db};
    struct tsdb_rewrite_result result;
    int64_t start_ns = tw_clock_mono_ns(tw_clock_system());
    tw_metric_set(db->metrics.rewriting, 1);
    atomic_store(&db->rewriting_bytes, info->bytes + info->bytes / 8);
    code = tsdb_rewriter_run(db->partitions, &rewrite, &result, err);
    atomic_store(&db->rewriting_bytes, 0);
    tw_metric_set(db->metrics.rewriting, 0);
    tw_metric_add_double(db->metrics.rewrite_seconds,
                         (double)(tw_clock_mono_ns(tw_clock_system()) - start_ns) * 1e-9);
    if (code == TW_NOT_FOUND)
        return TW_OK; /* retention took it */
    if (code == TW_CANCELLED && !is_ending(db))
        return say_short(db, info->bytes, err);
    if (code != TW_OK)
        return code;
    tw_metric_add(db->metrics.rewrites[cause], 1);
    tw_metric_add(db->metrics.rewrite_read, result.bytes_before);
    tw_metric_add(db->metrics.rewrite_written, result.bytes_after);
    tw_metric_add(db->metrics.rewrite_samples, result.samples);
    tw_metric_add(db->metrics.rewrite_closed, result.closed);
    return TW_OK;
}

/* merge: also what need not be merged yet. */
static enum tw_code renew_if_due(struct tsdb_db *db, int64_t day, int64_t now_ms, bool merge,
                                 struct tw_err *err)
{
    struct tsdb_partition_info info;
    enum tw_code code = tsdb_partitions_info(db->partitions, day, &info, err);
    if (code != TW_OK)
        return code == TW_NOT_FOUND ? TW_OK : code;
    uint64_t flushed = tsdb_db_flushed(db);
    struct tsdb_erasers *erasers = tsdb_tombstones_list(db->tombstones);
    enum tsdb_rewrite_cause cause = TSDB_REWRITE_COUNT;
    if (is_delete_due(db, erasers, flushed, day, &info))
        cause = TSDB_REWRITE_DELETE;
    else if (is_retention_due(db, erasers, day, &info, now_ms))
        cause = TSDB_REWRITE_RETENTION;
    else if (largest_step(db, day, now_ms) > info.step_ms)
        cause = TSDB_REWRITE_DOWNSAMPLING;
    else if (merge ? info.run_count > 1 : is_merge_due(db, day, &info, now_ms))
        cause = TSDB_REWRITE_MERGE;
    tsdb_erasers_unref(erasers);
    return cause == TSDB_REWRITE_COUNT ? TW_OK : renew(db, day, &info, cause, now_ms, err);
}

/* ---- tombstones that are carried out ---- */

static bool is_applied(struct tsdb_db *db, const struct tsdb_tombstone *tombstone,
                       const int64_t *days, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t start_ms = days[i] * TSDB_DAY_MS;
        struct tsdb_partition_info info;
        if (tombstone->erasure.start_ms > start_ms + TSDB_DAY_MS - 1 ||
            tombstone->erasure.end_ms < start_ms)
            continue;
        enum tw_code code = tsdb_partitions_info(db->partitions, days[i], &info, NULL);
        if (code == TW_NOT_FOUND)
            continue;
        if (code != TW_OK ||
            (info.first_run <= tombstone->erasure.run_max && info.erased < tombstone->id))
            return false;
    }
    return true;
}

/* In their order: a partition says up to which one it has applied them. */
static enum tw_code retire_tombstones(struct tsdb_db *db, uint64_t flushed, struct tw_err *err)
{
    struct tsdb_erasers *erasers = tsdb_tombstones_list(db->tombstones);
    int64_t *days;
    size_t count;
    uint64_t retired = 0;
    tsdb_partitions_days(db->partitions, &days, &count);
    for (size_t i = 0; i < tsdb_erasers_tombstone_count(erasers); i++) {
        struct tsdb_tombstone tombstone = tsdb_erasers_tombstone(erasers, i);
        if (tombstone.erasure.run_max > flushed || !is_applied(db, &tombstone, days, count))
            break;
        retired = tombstone.id;
    }
    free(days);
    tsdb_erasers_unref(erasers);
    return retired ? tsdb_tombstones_retire(db->tombstones, retired, err) : TW_OK;
}

/* ---- rounds ---- */

static enum tw_code run_round(struct tsdb_db *db, bool merge, struct tw_err *err)
{
    int64_t *days;
    size_t count;
    enum tw_code code = TW_OK;
    tw_lock_take(&db->renewing);
    tsdb_steps_turn(db);
    /* Before the partitions are listed: what is flushed by now is in the list. */
    uint64_t flushed = tsdb_db_flushed(db);
    int64_t now_ms = tw_clock_wall_ms(db->clock);
    tsdb_partitions_days(db->partitions, &days, &count);
    for (size_t i = 0; i < count && !is_ending(db); i++) {
        struct tw_err own;
        enum tw_code day_code = renew_if_due(db, days[i], now_ms, merge, &own);
        if (day_code == TW_OK || day_code == TW_CANCELLED)
            continue;
        tw_metric_add(db->metrics.rewrite_failures, 1);
        if (code == TW_OK) {
            code = day_code;
            if (err)
                *err = own;
        }
    }
    free(days);
    if (code == TW_OK)
        code = retire_tombstones(db, flushed, err);
    tw_lock_release(&db->renewing);
    return code;
}

enum tw_code tsdb_renewal_round(struct tsdb_db *db, struct tw_err *err)
{
    return run_round(db, false, err);
}

enum tw_code tsdb_db_compact(struct tsdb_db *db, uint64_t *ret_before, uint64_t *ret_after,
                             struct tw_err *err)
{
    uint64_t before, after;
    enum tw_code code = tw_file_folder_bytes(db->folder, &before, err);
    if (code == TW_OK)
        code = tsdb_db_flush(db, err);
    if (code == TW_OK)
        code = run_round(db, true, err);
    if (code == TW_OK)
        code = tw_file_folder_bytes(db->folder, &after, err);
    if (code != TW_OK)
        return code;
    *ret_before = before;
    *ret_after = after;
    return TW_OK;
}

void tsdb_renewal_body(void *argument)
{
    struct tsdb_db *db = argument;
    int64_t pause_ns = ROUND_NS;
    (void)setpriority(PRIO_PROCESS, 0, NICENESS); /* of this thread alone, on Linux */
    tw_lock_take(&db->lock);
    while (!is_ending(db)) {
        tw_cond_wait_ns(&db->renew, &db->lock, pause_ns);
        if (is_ending(db))
            break;
        tw_lock_release(&db->lock);
        struct tw_err err;
        bool failed = tsdb_renewal_round(db, &err) != TW_OK;
        if (failed)
            tw_log(TW_LOG_ERROR, "tsdb.renewal", "cannot rewrite a partition, trying again later",
                   "err=%s", tw_log_quote(tw_str(err.message)));
        pause_ns = failed ? RETRY_NS : ROUND_NS;
        tw_lock_take(&db->lock);
    }
    tw_lock_release(&db->lock);
}
