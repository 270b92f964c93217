/* SPDX-License-Identifier: Apache-2.0
 *
 * keeper: one thread that looks after the store once a second: opens a new segment after the log
 * failed, flushes sealed heads, seals the active one when it is old or large, drops what is older
 * than the retention.
 */
#include "config.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "tsdb/db_int.h"
#include "tsdb/flusher.h"

#define ROUND_NS INT64_C(1000000000)
/* Before the first round: what was replayed is not flushed while everybody asks what became of the
 * store. Until then only the room is looked after. */
#define QUIET_NS (20 * ROUND_NS)
/* After a failure the next try comes later, so that a full disk is not hammered. */
#define RETRY_NS (5 * ROUND_NS)

/* ---- rotation ---- */

enum tw_code tsdb_keeper_rotate(struct tsdb_db *db, struct tw_err *err)
{
    tw_lock_take(&db->lock);
    uint64_t number = db->next_number++;
    tw_lock_release(&db->lock);
    struct tsdb_generation *generation = tsdb_generation_new(db);
    enum tw_code code = tsdb_segment_create(db->log_folder, number, &generation->segment, err);
    if (code != TW_OK) {
        tsdb_generation_free(generation);
        return code;
    }
    tw_lock_take(&db->lock);
    tsdb_db_activate_locked(db, generation, number);
    tw_lock_release(&db->lock);
    return TW_OK;
}

/* ---- flush ---- */

/* The oldest generation once it is sealed and all its groups are settled; NULL when only the active
 * one (or none) is left. */
static struct tsdb_generation *wait_for_sealed(struct tsdb_db *db)
{
    tw_lock_take(&db->lock);
    struct tsdb_generation *generation = db->oldest;
    if (generation && !generation->sealed)
        generation = NULL;
    while (generation && generation->groups_pending > 0)
        tw_cond_wait(&db->drained, &db->lock);
    tw_lock_release(&db->lock);
    return generation;
}

static void add_leftover_locked(struct tsdb_db *db, uint64_t number)
{
    tw_lock_assert_held(&db->lock);
    db->leftovers = realloc(db->leftovers, (db->leftover_count + 1) * sizeof *db->leftovers);
    TW_ASSERT(db->leftovers != NULL);
    db->leftovers[db->leftover_count++] = number;
}

static enum tw_code remove_leftovers(struct tsdb_db *db, struct tw_err *err)
{
    tw_lock_assert_held(&db->keeping);
    enum tw_code code = TW_OK;
    while (db->leftover_count > 0 && code == TW_OK) {
        code = tsdb_segment_remove(db->log_folder, db->leftovers[0], err);
        if (code != TW_OK)
            break;
        tw_lock_take(&db->lock);
        memmove(db->leftovers, db->leftovers + 1, --db->leftover_count * sizeof *db->leftovers);
        tw_lock_release(&db->lock);
    }
    return code;
}

static enum tw_code flush_generation(struct tsdb_db *db, struct tsdb_generation *generation,
                                     struct tw_err *err)
{
    struct tsdb_flush_result result = {0};
    int64_t start_ns = tw_clock_mono_ns(tw_clock_system());
    if (tsdb_head_sample_count(generation->head) > 0) {
        enum tw_code code = tsdb_flusher_run(db->partitions, generation->head, &result, err);
        if (code != TW_OK)
            return code;
        tw_metric_add(db->metrics.flushes, 1);
        tw_metric_add(db->metrics.blocks, result.blocks);
        tw_metric_add(db->metrics.flushed_samples, result.samples);
        tw_metric_add_double(db->metrics.flush_seconds,
                             (double)(tw_clock_mono_ns(tw_clock_system()) - start_ns) * 1e-9);
    }
    enum tw_code saved = tsdb_exemplars_save(db, tsdb_head_number(generation->head), err);
    if (saved != TW_OK)
        return saved;
    tw_lock_take(&db->lock);
    TW_ASSERT(db->oldest == generation);
    db->oldest = generation->newer;
    add_leftover_locked(db, tsdb_head_number(generation->head));
    tw_lock_release(&db->lock);
    tsdb_generation_free(generation);
    malloc_trim(0); /* a head is large and rarely gone: give its memory back to the system */
    return TW_OK;
}

enum tw_code tsdb_keeper_flush(struct tsdb_db *db, struct tw_err *err)
{
    tw_lock_assert_held(&db->keeping);
    struct tsdb_generation *generation;
    enum tw_code code = TW_OK, removed = TW_OK;
    struct tw_err later;
    while (code == TW_OK && (generation = wait_for_sealed(db)) != NULL) {
        code = flush_generation(db, generation, err);
        removed = remove_leftovers(db, &later);
    }
    if (db->leftover_count > 0 && removed == TW_OK) /* of an earlier round */
        removed = remove_leftovers(db, &later);
    if (code == TW_OK && removed != TW_OK) {
        code = removed;
        if (err)
            *err = later;
    }
    return code;
}

enum tw_code tsdb_db_flush(struct tsdb_db *db, struct tw_err *err)
{
    tw_lock_take(&db->keeping);
    tw_lock_take(&db->lock);
    bool empty = db->active && tsdb_db_active_is_empty_locked(db);
    tw_lock_release(&db->lock);
    enum tw_code code = empty ? TW_OK : tsdb_keeper_rotate(db, err);
    if (code == TW_OK)
        code = tsdb_keeper_flush(db, err);
    tw_lock_release(&db->keeping);
    return code;
}

/* ---- rounds ---- */

/* Whether the active generation is to be replaced: there is none, or it is old or large, or the
 * store turned read-only: what the log has takes less room in partitions. */
static bool rotation_is_due(struct tsdb_db *db)
{
    tw_lock_take(&db->lock);
    const struct tsdb_generation *active = db->active;
    bool turned = tsdb_room_is_read_only(db) && !db->room.flushed;
    db->room.flushed = tsdb_room_is_read_only(db);
    bool due = !active;
    if (active && !tsdb_db_active_is_empty_locked(db)) {
        int64_t age_ns = tw_clock_mono_ns(db->clock) - active->born_ns;
        due = turned || age_ns / 1000000 >= db->options.flush_interval_ms ||
              tsdb_db_is_over_budget_locked(db);
    }
    tw_lock_release(&db->lock);
    return due;
}

static enum tw_code enforce_retention(struct tsdb_db *db, struct tw_err *err)
{
    size_t dropped = 0;
    enum tw_code code = TW_OK;
    tsdb_exemplars_age(db);
    tw_lock_take(&db->lock);
    int64_t retention_ms = db->options.retention_ms;
    tw_lock_release(&db->lock);
    if (retention_ms)
        code = tsdb_partitions_drop(db->partitions, tw_clock_wall_ms(db->clock) - retention_ms,
                                    &dropped, err);
    tw_metric_add(db->metrics.partitions_dropped, dropped);
    return code == TW_OK ? tsdb_room_look(db, err) : code;
}

enum tw_code tsdb_db_keep(struct tsdb_db *db, struct tw_err *err)
{
    tw_lock_take(&db->keeping);
    /* Room is made even when none can be found for a new segment, and before a flush needs it. */
    struct tw_err later;
    enum tw_code flushed = tsdb_room_look(db, &later);
    enum tw_code code = rotation_is_due(db) ? tsdb_keeper_rotate(db, err) : TW_OK;
    if (flushed == TW_OK)
        flushed = tsdb_keeper_flush(db, &later);
    if (flushed == TW_OK)
        flushed = enforce_retention(db, &later);
    else
        (void)(enforce_retention(db, NULL) == TW_OK);
    if (code == TW_OK && flushed != TW_OK) {
        code = flushed;
        if (err)
            *err = later;
    }
    tw_lock_release(&db->keeping);
    if (code != TW_OK)
        tw_metric_add(db->metrics.flush_failures, 1);
    if (db->options.manual && code == TW_OK)
        code = tsdb_renewal_round(db, err);
    return code;
}

static enum tw_code look(struct tsdb_db *db, struct tw_err *err)
{
    tw_lock_take(&db->keeping);
    enum tw_code code = tsdb_room_look(db, err);
    tw_lock_release(&db->keeping);
    return code;
}

/* Nothing needs a whole round yet: the log works, and is small. */
static bool may_be_quiet(struct tsdb_db *db, int64_t start_ns)
{
    tw_lock_take(&db->lock);
    bool calm = db->active && !tsdb_db_is_over_budget_locked(db) && !tsdb_room_is_read_only(db) &&
                tw_clock_mono_ns(tw_clock_system()) - start_ns < QUIET_NS;
    tw_lock_release(&db->lock);
    return calm;
}

void tsdb_keeper_body(void *argument)
{
    struct tsdb_db *db = argument;
    int64_t pause_ns = ROUND_NS, start_ns = tw_clock_mono_ns(tw_clock_system());
    bool quiet = true;
    size_t aside = 0;
    tw_lock_take(&db->lock);
    while (!db->keeper_ends) {
        tw_cond_wait_ns(&db->keep, &db->lock, pause_ns);
        if (db->keeper_ends)
            break;
        tw_lock_release(&db->lock);
        struct tw_err err;
        quiet = quiet && may_be_quiet(db, start_ns);
        bool failed = (quiet ? look(db, &err) : tsdb_db_keep(db, &err)) != TW_OK;
        tsdb_room_tell(db);
        if (failed)
            tw_log(TW_LOG_ERROR, "tsdb.keeper", "cannot look after the store, trying again",
                   "err=%s", tw_log_quote(tw_str(err.message)));
        size_t aside_now = tsdb_partitions_aside_count(db->partitions);
        if (aside_now > aside)
            tw_log(TW_LOG_ERROR, "tsdb.keeper",
                   "damaged partitions were set aside; queries over their days fail, 'tidewatch "
                   "verify' says what is readable",
                   "files=%zu folder=%s", aside_now, tw_log_quote(tw_str(db->partition_folder)));
        aside = aside_now;
        tw_lock_take(&db->lock);
        pause_ns = failed && db->active ? RETRY_NS : ROUND_NS;
    }
    tw_lock_release(&db->lock);
}
