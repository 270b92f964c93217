/* SPDX-License-Identifier: Apache-2.0
 *
 * deletion: what is there and matches is not there any more. The active head is sealed first if it
 * has any of it, so that "what is there" is a number: all runs up to that of the newest sealed
 * head. A tombstone says so, durably, before the answer; rewrites carry it out.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/db_int.h"

static double read_tombstones(void *user)
{
    struct tsdb_erasers *list = tsdb_tombstones_list(((struct tsdb_db *)user)->tombstones);
    size_t count = tsdb_erasers_tombstone_count(list);
    tsdb_erasers_unref(list);
    return (double)count;
}

void tsdb_deletion_register(struct tsdb_db *db, struct tw_metrics *metrics)
{
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_tombstones", "",
                        "Deletions whose space is not freed yet.", read_tombstones, db);
    db->metrics.deletions = tw_metrics_counter(metrics, "tidewatch_tsdb_deletions_total", "",
                                               "Selectors whose samples were deleted.");
}

uint64_t tsdb_db_flushed(struct tsdb_db *db)
{
    tw_lock_take(&db->lock);
    uint64_t next = db->oldest ? tsdb_head_number(db->oldest->head) : db->next_number;
    if (db->leftover_count && db->leftovers[0] < next)
        next = db->leftovers[0];
    tw_lock_release(&db->lock);
    return next - 1;
}

/* ---- rules ---- */

enum tw_code tsdb_db_make_rules(const struct tsdb_db_options *options,
                                struct tsdb_erasers **ret_rules, int64_t *ret_longest_ms,
                                struct tw_err *err)
{
    struct tsdb_erasers *rules = tsdb_erasers_new();
    int64_t longest_ms = options->retention_ms;
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < options->retention_rule_count && code == TW_OK; i++) {
        const struct tsdb_retention_rule *rule = &options->retention_rules[i];
        code = tsdb_erasers_add_rule(rules, rule->matchers, rule->matcher_count,
                                     rule->keep_ms ? rule->keep_ms : TSDB_KEEP_FOREVER, err);
        if (rule->keep_ms == 0)
            longest_ms = 0;
        else if (longest_ms && rule->keep_ms > longest_ms)
            longest_ms = rule->keep_ms;
    }
    /* Partitions stay as long as any of their series; then the others are to go by a rule too. */
    if (code == TW_OK && options->retention_ms && longest_ms != options->retention_ms)
        code = tsdb_erasers_add_rule(rules, NULL, 0, options->retention_ms, err);
    if (code != TW_OK) {
        tsdb_erasers_unref(rules);
        return code;
    }
    *ret_rules = rules;
    *ret_longest_ms = longest_ms;
    return TW_OK;
}

/* ---- what a deletion covers ---- */

static bool matches_any(struct tsdb_index *index, const struct tsdb_selector *selectors,
                        size_t count)
{
    struct tsdb_ids ids = {0};
    for (size_t i = 0; i < count && ids.count == 0; i++)
        tsdb_index_match(index, selectors[i].matchers, selectors[i].count, &ids);
    bool ret = ids.count > 0;
    tsdb_ids_fini(&ids);
    return ret;
}

/* Whether the active head has any of it; samples on their way into it are of series that it has. */
static bool is_in_active(struct tsdb_db *db, const struct tsdb_selector *selectors, size_t count)
{
    tw_lock_take(&db->lock);
    bool ret = db->active && !tsdb_db_active_is_empty_locked(db) &&
               matches_any(tsdb_head_index(db->active->head), selectors, count);
    tw_lock_release(&db->lock);
    return ret;
}

/* The newest number that no sample gets any more that is taken from now on. */
static uint64_t newest_sealed(struct tsdb_db *db)
{
    tw_lock_take(&db->lock);
    uint64_t next = db->active ? tsdb_head_number(db->active->head) : db->next_number;
    tw_lock_release(&db->lock);
    return next - 1;
}

/* Ids of tombstones go on above all that a partition knows, even if the catalog was lost. */
static enum tw_code highest_erased(struct tsdb_db *db, uint64_t *ret, struct tw_err *err)
{
    int64_t *days;
    size_t count;
    enum tw_code code = TW_OK;
    uint64_t highest = 0;
    tsdb_partitions_days(db->partitions, &days, &count);
    for (size_t i = 0; i < count && code == TW_OK; i++) {
        struct tsdb_partition_info info;
        code = tsdb_partitions_info(db->partitions, days[i], &info, err);
        if (code == TW_NOT_FOUND)
            code = TW_OK;
        else if (code == TW_OK && info.erased > highest)
            highest = info.erased;
    }
    free(days);
    *ret = highest;
    return code;
}

static enum tw_code delete_held(struct tsdb_db *db, const struct tsdb_selector *selectors,
                                size_t count, int64_t start_ms, int64_t end_ms, struct tw_err *err)
{
    tw_lock_assert_held(&db->keeping); /* no run of a later head is written before the tombstone */
    uint64_t erased = 0;
    enum tw_code code = is_in_active(db, selectors, count) ? tsdb_keeper_rotate(db, err) : TW_OK;
    if (code == TW_OK)
        code = highest_erased(db, &erased, err);
    if (code == TW_OK)
        code = tsdb_tombstones_add(db->tombstones, selectors, count,
                                   (struct tsdb_erasure){start_ms, end_ms, newest_sealed(db)},
                                   erased, err);
    if (code == TW_OK)
        code =
            tsdb_exemplars_delete(db, selectors, count, start_ms, end_ms, newest_sealed(db), err);
    return code;
}

/* ---- asking for it ---- */

/* The selectors with the context's scope, in the arena. */
static const struct tsdb_selector *add_scope(const struct tw_context *context,
                                             const struct tsdb_selector *selectors, size_t count,
                                             struct tw_arena *arena)
{
    if (context->scope_count == 0)
        return selectors;
    struct tsdb_selector *scoped = TW_ARENA_ARRAY(arena, struct tsdb_selector, count);
    for (size_t i = 0; i < count; i++) {
        size_t total = selectors[i].count + context->scope_count;
        struct tsdb_matcher *matchers = TW_ARENA_ARRAY(arena, struct tsdb_matcher, total);
        memcpy(matchers, selectors[i].matchers, selectors[i].count * sizeof *matchers);
        memcpy(matchers + selectors[i].count, context->scope,
               context->scope_count * sizeof *matchers);
        scoped[i] = (struct tsdb_selector){matchers, total};
    }
    return scoped;
}

enum tw_code tsdb_db_delete(struct tsdb_db *db, const struct tw_context *context,
                            const struct tsdb_selector *selectors, size_t count, int64_t start_ms,
                            int64_t end_ms, struct tw_err *err)
{
    enum tw_code code = tsdb_db_check_tenant(context, err);
    if (code == TW_OK && (count == 0 || count > TSDB_DELETE_SELECTORS_MAX))
        code = tw_err_set(err, TW_BAD_DATA, "a deletion takes 1 to %d selectors, these are %zu",
                          TSDB_DELETE_SELECTORS_MAX, count);
    for (size_t i = 0; i < count && code == TW_OK; i++)
        if (selectors[i].count == 0)
            code = tw_err_set(err, TW_BAD_DATA, "a selector to delete by has no matcher");
    if (code != TW_OK || end_ms < start_ms)
        return code;
    struct tw_arena *arena = tw_arena_new(4096);
    selectors = add_scope(context, selectors, count, arena);
    tw_lock_take(&db->keeping);
    code = delete_held(db, selectors, count, start_ms, end_ms, err);
    tw_lock_release(&db->keeping);
    tw_arena_free(arena);
    if (code != TW_OK)
        return code;
    tw_metric_add(db->metrics.deletions, count);
    tw_lock_take(&db->lock);
    tw_cond_signal(&db->keep);
    tw_cond_signal(&db->renew);
    tw_lock_release(&db->lock);
    return TW_OK;
}

enum tw_code tsdb_db_clean_tombstones(struct tsdb_db *db, struct tw_err *err)
{
    enum tw_code code = tsdb_db_flush(db, err);
    return code == TW_OK ? tsdb_renewal_round(db, err) : code;
}
