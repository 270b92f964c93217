/* SPDX-License-Identifier: Apache-2.0
 *
 * settings: what of the options changes while the store is open. Each part is handed to who uses
 * it: the rules of the retention to the tombstones' list, which readers take whole; the
 * downsampling to the next round of rewrites; limits and bounds to the store's lock and the room.
 */
#include "config.h"

#include <stdlib.h>

#include "base/assert.h"
#include "tsdb/db_int.h"
#include "tsdb/partition_cache.h"

/* ---- downsampling ---- */

struct tsdb_steps *tsdb_steps_free(struct tsdb_steps *steps)
{
    if (steps)
        tsdb_erasers_unref(steps->rules);
    free(steps);
    return NULL;
}

enum tw_code tsdb_steps_make(const struct tsdb_db_options *options, struct tsdb_steps **ret_steps,
                             struct tw_err *err)
{
    struct tsdb_steps *steps =
        calloc(1, sizeof *steps + options->downsampling_count * sizeof *steps->step_ms);
    TW_ASSERT(steps != NULL);
    enum tw_code code = TW_OK;
    steps->rules = tsdb_erasers_new();
    for (size_t i = 0; i < options->downsampling_count && code == TW_OK; i++) {
        const struct tsdb_downsampling *from = &options->downsamplings[i];
        steps->step_ms[i] = from->step_ms;
        code = tsdb_erasers_add_rule(steps->rules, from->matchers, from->matcher_count,
                                     from->after_ms, err);
    }
    if (code == TW_OK)
        *ret_steps = steps;
    else
        tsdb_steps_free(steps);
    return code;
}

void tsdb_steps_turn(struct tsdb_db *db)
{
    tw_lock_assert_held(&db->renewing);
    tw_lock_take(&db->lock);
    struct tsdb_steps *next = db->steps_next;
    db->steps_next = NULL;
    tw_lock_release(&db->lock);
    if (next) {
        tsdb_steps_free(db->steps);
        db->steps = next;
    }
}

/* ---- sources ---- */

static void count_locked(struct tsdb_db *db, const struct tsdb_bits *bits,
                         const struct tsdb_bits *known)
{
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    for (uint32_t id = 0; db->index && id < tsdb_index_count(db->index); id++)
        if (tsdb_bits_test(bits, id))
            tsdb_sources_count(&db->sources,
                               tsdb_source_key(tsdb_index_labels(db->index, id, items)),
                               !known || !tsdb_bits_test(known, id));
}

void tsdb_db_count_sources_locked(struct tsdb_db *db)
{
    tw_lock_assert_held(&db->lock);
    tsdb_sources_fini(&db->sources);
    count_locked(db, &db->previous, NULL);
    tsdb_sources_turn(&db->sources, false);
    if (db->active)
        count_locked(db, &db->active->record_state.series, &db->previous);
}

/* ---- taking over ---- */

/* What the rules had nothing to do with may be to do for other rules. */
static void forget_ruled(struct tsdb_db *db)
{
    int64_t *days;
    size_t count;
    tsdb_partitions_days(db->partitions, &days, &count);
    for (size_t i = 0; i < count; i++)
        tsdb_partitions_note_ruled(db->partitions, days[i], 0);
    free(days);
}

static void take_limits_locked(struct tsdb_db *db, const struct tsdb_db_options *from)
{
    tw_lock_assert_held(&db->lock);
    struct tsdb_db_options *to = &db->options;
    bool counted = to->series_max_per_source > 0;
    to->series_max = from->series_max;
    to->series_max_per_source = from->series_max_per_source;
    to->retention_ms = from->retention_ms;
    to->head_bytes_max = from->head_bytes_max;
    to->head_bytes_limit = from->head_bytes_limit;
    to->log_bytes_max = from->log_bytes_max;
    to->size_max = from->size_max;
    to->disk_reserve = from->disk_reserve;
    to->exemplars_max = from->exemplars_max;
    to->exemplars_off = from->exemplars_off;
    tsdb_exemplar_ring_resize(db->exemplars, to->exemplars_off ? 0 : to->exemplars_max);
    if (to->series_max_per_source > 0 && !counted)
        tsdb_db_count_sources_locked(db);
}

enum tw_code tsdb_db_reconfigure(struct tsdb_db *db, const struct tsdb_db_options *options,
                                 struct tw_err *err)
{
    struct tsdb_db_options checked = *options;
    struct tsdb_erasers *rules = NULL;
    struct tsdb_steps *steps = NULL;
    checked.folder = db->folder;
    tsdb_db_default_options(&checked);
    enum tw_code code = tsdb_room_check(&checked, err);
    if (code == TW_OK)
        code = tsdb_db_make_rules(&checked, &rules, &checked.retention_ms, err);
    if (code == TW_OK)
        code = tsdb_steps_make(&checked, &steps, err);
    if (code == TW_OK) {
        tsdb_tombstones_take_rules(db->tombstones, rules);
        forget_ruled(db);
        tw_lock_take(&db->lock);
        take_limits_locked(db, &checked);
        struct tsdb_steps *unused = db->steps_next;
        db->steps_next = steps;
        tw_cond_signal(&db->keep);
        tw_lock_release(&db->lock);
        tsdb_steps_free(unused);
        tsdb_cache_limit(checked.cache_bytes_max);
        atomic_store(&db->room.size_max, checked.size_max);
        atomic_store(&db->room.disk_reserve, checked.disk_reserve);
    }
    tsdb_erasers_unref(rules);
    return code;
}
