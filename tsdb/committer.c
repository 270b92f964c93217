/* SPDX-License-Identifier: Apache-2.0
 *
 * committer: one thread that makes groups durable, in order, and says so. While it waits for the
 * disk the next group fills, so that the number of commits follows the disk, not the requests.
 * Whether a commit waits for more requests, pace.h decides.
 */
#include "config.h"

#include <stdlib.h>

#include "base/assert.h"
#include "tsdb/db_int.h"
#include "tsdb/pace.h"

/* Tails lie all over the memory: so many samples ahead they are fetched. */
#define EXPECTED_AHEAD 12
#define SPARE_SAMPLES_MAX 65536
#define SPARE_RECORDS_MAX ((size_t)1 << 20)

/* Waits until the requests that are to be expected have joined the first group, or time is up. */
static void gather_locked(struct tsdb_db *db, struct tsdb_pace *pace)
{
    tw_lock_assert_held(&db->lock);
    const struct tsdb_group *group = db->queue_first;
    int64_t wait_ns = group == db->filling ? tsdb_pace_wait_ns(pace, group->waiter_count) : 0;
    if (wait_ns == 0)
        return;
    struct tw_clock *clock = tw_clock_system();
    int64_t until_ns = tw_clock_mono_ns(clock) + wait_ns, left_ns;
    db->requests_wanted = pace->under_way;
    while (group == db->filling && group->waiter_count < pace->under_way && !db->closing &&
           (left_ns = until_ns - tw_clock_mono_ns(clock)) > 0)
        tw_cond_wait_ns(&db->work, &db->lock, left_ns);
    db->requests_wanted = 1;
    tsdb_pace_waited(pace, group->waiter_count);
}

static struct tsdb_group *take_group_locked(struct tsdb_db *db, struct tsdb_pace *pace)
{
    tw_lock_assert_held(&db->lock);
    while (!db->queue_first) {
        if (db->committer_ends)
            return NULL;
        tw_cond_wait(&db->work, &db->lock);
    }
    gather_locked(db, pace);
    struct tsdb_group *group = db->queue_first;
    db->queue_first = group->next;
    if (!db->queue_first)
        db->queue_last = NULL;
    group->next = NULL;
    if (db->filling == group)
        db->filling = NULL;
    return group;
}

void tsdb_db_fail_log_locked(struct tsdb_db *db, enum tw_code code, const struct tw_err *err)
{
    tw_lock_assert_held(&db->lock);
    TW_ASSERT(!db->active);
    db->state = code;
    db->state_err = *err;
    tw_err_wrap(&db->state_err, "the store takes no samples until its log can be written");
}

/* The generation's segment takes nothing more: what is committed stays readable, the keeper is
 * woken to open a new one. */
static void fail_generation_locked(struct tsdb_db *db, struct tsdb_generation *generation,
                                   enum tw_code code, const struct tw_err *err)
{
    tw_lock_assert_held(&db->lock);
    generation->failed = true;
    generation->sealed = true;
    /* Zeros at starts may be lost with it: senders tell them again. */
    tsdb_rows_fini(&db->starts, sizeof(int64_t));
    if (generation != db->active)
        return;
    tsdb_db_retire_active_locked(db);
    tsdb_db_fail_log_locked(db, code, err);
    tw_cond_signal(&db->keep);
}

static void append_samples(struct tsdb_db *db, const struct tsdb_group *group)
{
    struct tsdb_head *head = group->generation->head;
    uint64_t counts[TSDB_ARRIVED_COUNT] = {0};
    size_t count = group->sample_count;
    for (size_t i = 0; i < count; i++) {
        if (i + 2 * EXPECTED_AHEAD < count)
            tsdb_head_expect(head, group->samples[i + EXPECTED_AHEAD].series,
                             group->samples[i + 2 * EXPECTED_AHEAD].series);
        counts[tsdb_head_append(head, group->samples[i].series, group->samples[i].time_ms,
                                group->samples[i].bits)]++;
    }
    if (counts[TSDB_ARRIVED_NEWEST] == group->sample_count)
        return;
    tw_metric_add(db->metrics.late, counts[TSDB_ARRIVED_LATE]);
    tw_metric_add(db->metrics.duplicates, counts[TSDB_ARRIVED_DUPLICATE]);
    tw_metric_add(db->metrics.overwritten, counts[TSDB_ARRIVED_OVERWRITING]);
}

static void settle_locked(struct tsdb_db *db, struct tsdb_group *group, enum tw_code code,
                          const struct tw_err *err)
{
    tw_lock_assert_held(&db->lock);
    struct tsdb_generation *generation = group->generation;
    if (code == TW_OK) {
        generation->log_bytes += group->records.size;
        tsdb_room_spend_locked(db, generation);
        append_samples(db, group);
        for (size_t i = 0; i < group->histograms.count; i++)
            tsdb_head_append_histogram(generation->head, group->histograms.items[i].series,
                                       group->histograms.items[i].time_ms,
                                       tsdb_blobs_bytes(&group->histograms, i));
        generation->exemplar_count += tsdb_exemplars_keep(db, generation->head, &group->exemplars);
    } else if (!generation->failed) {
        fail_generation_locked(db, generation, code, err);
    }
    TW_ASSERT(generation->groups_pending > 0 && db->pending_samples >= tsdb_group_weight(group));
    generation->groups_pending--;
    db->pending_samples -= tsdb_group_weight(group);
    if (code == TW_OK && generation == db->active && tsdb_db_is_over_budget_locked(db))
        tw_cond_signal(&db->keep);
    tw_cond_broadcast(&db->drained);
}

static enum tw_code commit(struct tsdb_db *db, struct tsdb_group *group, struct tw_err *err)
{
    struct tsdb_generation *generation = group->generation;
    if (generation->failed)
        return tw_err_set(err, TW_IO, "a write to the log just before this one failed");
    int64_t start_ns = tw_clock_mono_ns(tw_clock_system());
    enum tw_code code = tsdb_segment_append(generation->segment, tw_buf_str(&group->records), err);
    tw_metric_observe(db->metrics.commit_seconds,
                      (double)(tw_clock_mono_ns(tw_clock_system()) - start_ns) * 1e-9);
    if (code == TW_OK) {
        tw_metric_add(db->metrics.commits, 1);
        tw_metric_add(db->metrics.appended, group->sample_count);
        tw_metric_add(db->metrics.histograms_appended, group->histograms.count);
        tw_metric_add(db->metrics.log_bytes, group->records.size);
    } else {
        tw_metric_add(db->metrics.commit_failures, 1);
    }
    return code;
}

static void recycle_locked(struct tsdb_db *db, struct tsdb_group *group)
{
    if (db->spare || group->sample_capacity > SPARE_SAMPLES_MAX ||
        group->records.capacity > SPARE_RECORDS_MAX) {
        tsdb_group_free(group);
        return;
    }
    group->sample_count = 0;
    group->waiter_count = 0;
    tsdb_blobs_clear(&group->histograms);
    tsdb_blobs_clear(&group->exemplars);
    tw_buf_clear(&group->records);
    db->spare = group;
}

void tsdb_committer_body(void *argument)
{
    struct tsdb_db *db = argument;
    tw_lock_take(&db->lock);
    struct tsdb_group *group;
    struct tsdb_pace pace = {0};
    while ((group = take_group_locked(db, &pace)) != NULL) {
        tw_lock_release(&db->lock);
        struct tw_err err;
        int64_t start_ns = tw_clock_mono_ns(tw_clock_system());
        enum tw_code code = commit(db, group, &err);
        tw_lock_take(&db->lock);
        tsdb_pace_learn(&pace, group->waiter_count, db->filling ? db->filling->waiter_count : 0,
                        tw_clock_mono_ns(tw_clock_system()) - start_ns);
        settle_locked(db, group, code, &err);
        tw_lock_release(&db->lock);
        for (size_t i = 0; i < group->waiter_count; i++)
            group->waiters[i].done(group->waiters[i].user, code, code == TW_OK ? NULL : &err);
        tw_lock_take(&db->lock);
        recycle_locked(db, group);
    }
    tw_lock_release(&db->lock);
}
