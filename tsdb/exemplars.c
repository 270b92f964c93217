/* SPDX-License-Identifier: Apache-2.0
 *
 * exemplars: what a store does with them: request -> group -> (commit) -> ring -> (flush) -> its
 * environment. Acknowledged they are durable, as samples are: in the log, until the ring was saved.
 */
#include "config.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/file.h"
#include "tsdb/db_int.h"

/* Between two looks for exemplars past their retention. */
#define AGE_NS (INT64_C(60) * 1000000000)

/* ---- metrics ---- */

void tsdb_db_count_exemplars(struct tsdb_db *db, struct tsdb_exemplar_counts *ret)
{
    tsdb_exemplar_ring_count(db->exemplars, ret);
}

static double read_exemplars(void *user)
{
    struct tsdb_exemplar_counts counts;
    tsdb_db_count_exemplars(user, &counts);
    return (double)counts.exemplars;
}

static double read_series(void *user)
{
    struct tsdb_exemplar_counts counts;
    tsdb_db_count_exemplars(user, &counts);
    return (double)counts.series;
}

static double read_max(void *user)
{
    struct tsdb_exemplar_counts counts;
    tsdb_db_count_exemplars(user, &counts);
    return (double)counts.exemplars_max;
}

static double read_oldest(void *user)
{
    struct tsdb_exemplar_counts counts;
    tsdb_db_count_exemplars(user, &counts);
    return (double)counts.oldest_ms / 1000;
}

static double read_overwritten(void *user)
{
    struct tsdb_exemplar_counts counts;
    tsdb_db_count_exemplars(user, &counts);
    return (double)counts.overwritten;
}

void tsdb_exemplars_register(struct tsdb_db *db, struct tw_metrics *metrics)
{
    static const char *const reasons[] = {
#define REASON(name, text) "reason=\"" text "\"",
        TSDB_EXEMPLAR_REFUSAL_TABLE(REASON)
#undef REASON
    };
    struct tsdb_db_metrics *to = &db->metrics;
    to->exemplars_appended =
        tw_metrics_counter(metrics, "tidewatch_tsdb_exemplar_exemplars_appended_total", "",
                           "Exemplars made durable and kept.");
    to->exemplars_duplicate =
        tw_metrics_counter(metrics, "tidewatch_tsdb_exemplar_duplicate_exemplars_total", "",
                           "Exemplars that were the newest of their series already.");
    to->exemplars_out_of_order =
        tw_metrics_counter(metrics, "tidewatch_tsdb_exemplar_out_of_order_exemplars_total", "",
                           "Exemplars not kept because their series has a newer one.");
    for (int i = 0; i < TSDB_EXEMPLAR_REFUSAL_COUNT; i++)
        to->exemplars_refused[i] =
            tw_metrics_counter(metrics, "tidewatch_tsdb_exemplar_exemplars_refused_total",
                               reasons[i], "Exemplars that were not kept, by reason.");
    tw_metrics_callback(metrics, TW_METRIC_COUNTER,
                        "tidewatch_tsdb_exemplar_exemplars_overwritten_total", "",
                        "Exemplars that made room for newer ones.", read_overwritten, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_exemplar_exemplars_in_storage",
                        "", "Exemplars that are kept.", read_exemplars, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE,
                        "tidewatch_tsdb_exemplar_series_with_exemplars_in_storage", "",
                        "Series that have exemplars.", read_series, db);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_exemplar_max_exemplars", "",
                        "Exemplars that are kept at most.", read_max, db);
    tw_metrics_callback(
        metrics, TW_METRIC_GAUGE, "tidewatch_tsdb_exemplar_last_exemplars_timestamp_seconds", "",
        "Time of the exemplar that came first of those that are kept.", read_oldest, db);
}

void tsdb_db_refuse_exemplars(struct tsdb_db *db, enum tsdb_exemplar_refusal reason, uint64_t count)
{
    tw_metric_add(db->metrics.exemplars_refused[reason], count);
}

/* ---- life ---- */

enum tw_code tsdb_exemplars_open(struct tsdb_db *db, struct tw_err *err)
{
    char *path = tw_file_join(db->folder, "default/exemplars.mdb");
    db->exemplars =
        tsdb_exemplar_ring_new(db->options.exemplars_off ? 0 : db->options.exemplars_max);
    enum tw_code code = tsdb_exemplar_store_open(path, db->exemplars, &db->exemplar_store, err);
    if (code == TW_CORRUPT)
        tw_err_wrap(err,
                    "'tidewatch verify %s' says what is readable; to start without the "
                    "exemplars, move the file away",
                    db->folder);
    free(path);
    return code;
}

void tsdb_exemplars_close(struct tsdb_db *db)
{
    tsdb_exemplar_store_close(db->exemplar_store);
    tsdb_exemplar_ring_free(db->exemplars);
}

/* ---- writing ---- */

/* Counts what is not kept; true for what is. */
static bool count_fate(struct tsdb_db *db, enum tsdb_exemplar_fate fate)
{
    switch (fate) {
    case TSDB_EXEMPLAR_KEPT:
        return true;
    case TSDB_EXEMPLAR_DUPLICATE:
        tw_metric_add(db->metrics.exemplars_duplicate, 1);
        return false;
    case TSDB_EXEMPLAR_OUT_OF_ORDER:
        tw_metric_add(db->metrics.exemplars_out_of_order, 1);
        return false;
    case TSDB_EXEMPLAR_OFF:
        tsdb_db_refuse_exemplars(db, TSDB_EXEMPLAR_REFUSED_OFF, 1);
        return false;
    }
    TW_ASSERT(false);
}

/* What the ring would not keep does not go into the log. It is asked again after the commit: what
 * comes with this request, or is on its way to the disk, is not in it yet. */
void tsdb_ingest_exemplar(struct tsdb_ingest *ingest, struct wire_labels labels,
                          const struct wire_exemplar *exemplar)
{
    struct tsdb_db *db = ingest->db;
    struct tsdb_blobs *to = &db->filling->exemplars;
    TW_ASSERT(ingest->series != TSDB_NO_SERIES);
    if (exemplar->time_ms < ingest->oldest_ms || exemplar->time_ms > ingest->newest_ms) {
        tsdb_db_refuse_exemplars(db,
                                 exemplar->time_ms > ingest->newest_ms
                                     ? TSDB_EXEMPLAR_REFUSED_FUTURE
                                     : TSDB_EXEMPLAR_REFUSED_TOO_OLD,
                                 1);
        return;
    }
    enum tsdb_exemplar_fate fate = tsdb_exemplar_ring_test(db->exemplars, labels, exemplar);
    ingest->exemplars_stored += fate == TSDB_EXEMPLAR_KEPT || fate == TSDB_EXEMPLAR_DUPLICATE;
    if (!count_fate(db, fate))
        return;
    tsdb_exemplar_append(exemplar, tsdb_blobs_buf(to));
    tsdb_blobs_add(to, ingest->series, exemplar->time_ms);
}

size_t tsdb_exemplars_keep(struct tsdb_db *db, struct tsdb_head *head,
                           const struct tsdb_blobs *exemplars)
{
    struct wire_label series[WIRE_LABELS_COUNT_MAX], items[WIRE_EXEMPLAR_LABELS_MAX];
    size_t kept = 0;
    for (size_t i = 0; i < exemplars->count; i++) {
        const struct tsdb_blob *blob = &exemplars->items[i];
        struct wire_exemplar exemplar;
        bool good =
            tsdb_exemplar_read(tsdb_blobs_bytes(exemplars, i), blob->time_ms, items, &exemplar);
        TW_ASSERT(good); /* written by this process, or checked at the replay */
        struct wire_labels labels = tsdb_index_labels(tsdb_head_index(head), blob->series, series);
        kept += count_fate(
            db, tsdb_exemplar_ring_add(db->exemplars, labels, &exemplar, tsdb_head_number(head)));
    }
    tw_metric_add(db->metrics.exemplars_appended, kept);
    return kept;
}

void tsdb_exemplars_replay(struct tsdb_db *db, struct tsdb_generation *generation)
{
    struct tsdb_blobs *exemplars = &generation->record_state.exemplars;
    if (exemplars->count == 0)
        return;
    if (tsdb_head_number(generation->head) > tsdb_exemplar_store_segment(db->exemplar_store))
        generation->exemplar_count += tsdb_exemplars_keep(db, generation->head, exemplars);
    tsdb_blobs_clear(exemplars);
}

enum tw_code tsdb_exemplars_save(struct tsdb_db *db, uint64_t segment, struct tw_err *err)
{
    tw_lock_assert_held(&db->keeping);
    return tsdb_exemplar_store_save(db->exemplar_store, segment, err);
}

/* ---- going ---- */

struct deletion {
    const struct tsdb_selector *selectors;
    size_t count;
    int64_t start_ms, end_ms;
};

static bool matches(struct wire_labels labels, const struct tsdb_matcher *matchers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!tsdb_matcher_matches(&matchers[i], wire_labels_get(labels, matchers[i].name)))
            return false;
    return true;
}

static bool is_deleted(void *user, struct wire_labels series, int64_t time_ms)
{
    const struct deletion *deletion = user;
    if (time_ms < deletion->start_ms || time_ms > deletion->end_ms)
        return false;
    for (size_t i = 0; i < deletion->count; i++)
        if (matches(series, deletion->selectors[i].matchers, deletion->selectors[i].count))
            return true;
    return false;
}

/* What was taken before the deletion, and is on its way to the disk, is in the ring afterwards. */
static void wait_until_settled(struct tsdb_db *db, uint64_t segment)
{
    tw_lock_take(&db->lock);
    for (struct tsdb_generation *at = db->oldest; at && tsdb_head_number(at->head) <= segment;
         at = at->newer)
        while (at->groups_pending > 0)
            tw_cond_wait(&db->drained, &db->lock);
    tw_lock_release(&db->lock);
}

enum tw_code tsdb_exemplars_delete(struct tsdb_db *db, const struct tsdb_selector *selectors,
                                   size_t count, int64_t start_ms, int64_t end_ms, uint64_t segment,
                                   struct tw_err *err)
{
    tw_lock_assert_held(&db->keeping); /* so that generations stay */
    wait_until_settled(db, segment);
    struct deletion deletion = {selectors, count, start_ms, end_ms};
    if (tsdb_exemplar_ring_erase(db->exemplars, is_deleted, &deletion) == 0)
        return TW_OK;
    return tsdb_exemplars_save(db, segment, err);
}

struct ageing {
    const struct tsdb_erasers *rules;
    int64_t now_ms, retention_ms;
};

static bool is_too_old(void *user, struct wire_labels series, int64_t time_ms)
{
    const struct ageing *ageing = user;
    int64_t keep_ms = ageing->retention_ms ? ageing->retention_ms : TSDB_KEEP_FOREVER;
    for (size_t i = 0; i < tsdb_erasers_rule_count(ageing->rules); i++) {
        struct tsdb_rule rule = tsdb_erasers_rule(ageing->rules, i);
        if (matches(series, rule.matchers, rule.matcher_count)) {
            keep_ms = rule.keep_ms;
            break;
        }
    }
    return keep_ms != TSDB_KEEP_FOREVER && time_ms < ageing->now_ms - keep_ms;
}

void tsdb_exemplars_age(struct tsdb_db *db)
{
    tw_lock_assert_held(&db->keeping);
    struct tsdb_exemplar_counts counts;
    int64_t now_ns = tw_clock_mono_ns(db->clock);
    tsdb_exemplar_ring_count(db->exemplars, &counts);
    if (counts.exemplars == 0 || (now_ns - db->exemplars_aged_ns < AGE_NS && !db->options.manual))
        return;
    db->exemplars_aged_ns = now_ns;
    struct tsdb_erasers *rules = tsdb_tombstones_list(db->tombstones);
    tw_lock_take(&db->lock);
    struct ageing ageing = {rules, tw_clock_wall_ms(db->clock), db->options.retention_ms};
    tw_lock_release(&db->lock);
    if (ageing.retention_ms || tsdb_erasers_rule_count(rules) > 0)
        tsdb_exemplar_ring_erase(db->exemplars, is_too_old, &ageing);
    tsdb_erasers_unref(rules);
}

/* ---- reading ---- */

enum tw_code tsdb_exemplars_read(struct tsdb_storage *storage, const struct tw_context *context,
                                 const struct tsdb_selector *selectors, size_t selector_count,
                                 int64_t start_ms, int64_t end_ms, struct tw_arena *arena,
                                 struct tsdb_exemplars **ret_items, size_t *ret_count,
                                 struct tw_err *err)
{
    struct tsdb_db *db = (struct tsdb_db *)storage;
    enum tw_code code = tsdb_db_check_tenant(context, err);
    return code == TW_OK
               ? tsdb_exemplar_ring_select(db->exemplars, context, selectors, selector_count,
                                           start_ms, end_ms, arena, ret_items, ret_count, err)
               : code;
}
