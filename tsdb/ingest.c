/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest: admission. A request's samples are checked, their series found or made, and the whole is
 * encoded as one record into the group that the committer commits next.
 */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/codec.h"
#include "tsdb/db_int.h"
#include "wire/remote_write.h"

/* A group's buffers above this are not kept for the next one. */
#define SPARE_BYTES_MAX ((size_t)1 << 20)
/* A series may be named in several ways; more are leftovers. */
#define FINGERPRINTS_A_SERIES 2
#define RECORDS_BYTES_MAX ((size_t)1 << 31)

enum tw_code tsdb_db_check_tenant(const struct tw_context *context, struct tw_err *err)
{
    if (tw_str_is(context->tenant, "default"))
        return TW_OK;
    return tw_err_set(err, TW_UNSUPPORTED, "tenant '%.*s': only the tenant 'default' exists",
                      TW_STR_ARG(context->tenant));
}

/* ---- groups ---- */

static struct tsdb_group *group_new(struct tsdb_db *db, struct tsdb_generation *generation)
{
    struct tsdb_group *group = db->spare;
    db->spare = NULL;
    if (!group) {
        group = calloc(1, sizeof *group);
        TW_ASSERT(group != NULL);
        tw_buf_init(&group->records, RECORDS_BYTES_MAX);
    }
    group->generation = generation;
    return group;
}

/* The first request of a group puts it into the queue; more may join until the committer takes it.
 */
static void enqueue(struct tsdb_db *db, struct tsdb_group *group)
{
    group->generation->groups_pending++;
    if (db->queue_last)
        db->queue_last->next = group;
    else
        db->queue_first = group;
    db->queue_last = group;
}

struct tsdb_group *tsdb_group_free(struct tsdb_group *group)
{
    if (!group)
        return NULL;
    tsdb_blobs_fini(&group->histograms);
    tsdb_blobs_fini(&group->exemplars);
    tw_buf_fini(&group->records);
    free(group->samples);
    free(group->waiters);
    free(group);
    return NULL;
}

static void group_reserve_samples(struct tsdb_group *group, size_t more)
{
    if (more <= group->sample_capacity - group->sample_count)
        return;
    size_t capacity = group->sample_capacity ? group->sample_capacity : 256;
    while (more > capacity - group->sample_count)
        capacity *= 2;
    group->samples = realloc(group->samples, capacity * sizeof *group->samples);
    TW_ASSERT(group->samples != NULL);
    group->sample_capacity = capacity;
}

static void group_add_waiter(struct tsdb_group *group, tsdb_done *done, void *user)
{
    if (group->waiter_count == group->waiter_capacity) {
        group->waiter_capacity = group->waiter_capacity ? group->waiter_capacity * 2 : 8;
        group->waiters = realloc(group->waiters, group->waiter_capacity * sizeof *group->waiters);
        TW_ASSERT(group->waiters != NULL);
    }
    group->waiters[group->waiter_count++] = (struct tsdb_waiter){done, user};
}

/* ---- a request ---- */

enum tw_code tsdb_ingest_begin(struct tsdb_db *db, const struct tw_context *context,
                               struct tsdb_ingest *ingest, struct tw_err *err)
{
    enum tw_code code = tsdb_db_check_tenant(context, err);
    if (code != TW_OK)
        return code;
    int64_t now_ms = tw_clock_wall_ms(db->clock);
    tw_lock_take(&db->lock);
    int64_t oldest_ms = db->options.retention_ms ? now_ms - db->options.retention_ms : INT64_MIN;
    if (db->closing)
        code = tw_err_set(err, TW_UNAVAILABLE, "the store is closing");
    else if (!db->active) {
        if (err)
            *err = db->state_err;
        code = db->state;
    } else if (tsdb_room_is_read_only(db))
        code = tsdb_room_refuse(db, err);
    else if (db->options.head_bytes_limit &&
             tsdb_db_head_bytes_locked(db) >
                 db->options.head_bytes_limit + db->options.head_bytes_limit / 8)
        code = tw_err_set(err, TW_OVERLOAD,
                          "the samples in memory have used more than their share of "
                          "storage.memory_max, %zu bytes, and are being moved into partitions: try "
                          "again later",
                          db->options.head_bytes_limit);
    else if (db->pending_samples > db->options.pending_samples_max)
        code = tw_err_set(err, TW_OVERLOAD,
                          "%zu samples wait for the disk, the limit is %zu: try again later",
                          db->pending_samples, db->options.pending_samples_max);
    if (code != TW_OK) {
        tw_lock_release(&db->lock);
        return code;
    }
    if (!db->filling)
        db->filling = group_new(db, db->active);
    *ingest = (struct tsdb_ingest){.db = db,
                                   .oldest_ms = oldest_ms,
                                   .newest_ms = now_ms + TSDB_FUTURE_MS_MAX,
                                   .series = TSDB_NO_SERIES,
                                   .before = TSDB_NO_SERIES,
                                   .group_samples = db->filling->sample_count,
                                   .group_histograms = db->filling->histograms.count,
                                   .group_exemplars = db->filling->exemplars.count};
    return TW_OK;
}

void tsdb_db_count_refused(struct tsdb_db *db, enum tsdb_refusal reason, uint64_t count)
{
    tw_metric_add(db->metrics.refused[reason], count);
}

void tsdb_ingest_refuse(struct tsdb_ingest *ingest, enum tsdb_refusal reason, size_t count,
                        const struct tw_err *why)
{
    tsdb_db_count_refused(ingest->db, reason, count);
    ingest->refused += count;
    if (ingest->first_refusal.code == TW_OK)
        ingest->first_refusal = *why;
}

/* Wraps the reason with the series that it is about. */
static void name_series(struct tw_err *why, struct wire_labels labels)
{
    struct tw_buf text;
    tw_buf_init(&text, 300);
    wire_labels_format(labels, &text);
    tw_err_wrap(why, "series %.*s%s", TW_STR_ARG(tw_buf_str(&text)), text.overflow ? "..." : "");
    tw_buf_fini(&text);
}

static void refuse_series(struct tsdb_ingest *ingest, struct wire_labels labels,
                          enum tsdb_refusal reason, size_t sample_count, struct tw_err *why)
{
    name_series(why, labels);
    tsdb_ingest_refuse(ingest, reason, sample_count, why);
}

/* Whether one more series may be active. */
static bool has_room(struct tsdb_ingest *ingest, struct wire_labels labels, size_t sample_count)
{
    struct tsdb_db *db = ingest->db;
    struct tw_err why;
    if (db->active_series >= db->options.series_max || tsdb_index_is_full(db->index)) {
        tw_err_set(&why, TW_BAD_DATA,
                   "a new series, and the limit of %zu active ones is reached: see "
                   "storage.series_max and /api/v1/cardinality",
                   db->options.series_max);
        refuse_series(ingest, labels, TSDB_REFUSED_SERIES_LIMIT, sample_count, &why);
        return false;
    }
    size_t limit = db->options.head_bytes_limit;
    if (limit && tsdb_db_head_bytes_locked(db) > limit) {
        tw_err_set(&why, TW_OVERLOAD,
                   "a new series, and the samples in memory have used their share of "
                   "storage.memory_max, %zu bytes: see /api/v1/cardinality",
                   limit);
        refuse_series(ingest, labels, TSDB_REFUSED_MEMORY_LIMIT, sample_count, &why);
        return false;
    }
    limit = db->options.series_max_per_source;
    if (limit && tsdb_sources_active(&db->sources, tsdb_source_key(labels)) >= limit) {
        tw_err_set(&why, TW_BAD_DATA,
                   "a new series, and its source (job and instance) has reached the limit of %zu "
                   "active ones: see storage.series_max_per_source and /api/v1/cardinality",
                   limit);
        refuse_series(ingest, labels, TSDB_REFUSED_SOURCE_SERIES_LIMIT, sample_count, &why);
        return false;
    }
    return true;
}

/* A series of the index is written to for the first time in this generation. False when a limit
 * refuses it. */
static bool activate(struct tsdb_ingest *ingest, uint32_t id, struct wire_labels labels,
                     size_t sample_count)
{
    struct tsdb_db *db = ingest->db;
    bool added = !tsdb_bits_test(&db->previous, id);
    if (added && !has_room(ingest, labels, sample_count))
        return false;
    tsdb_record_register(&db->active->record_state, id);
    db->active_series += added;
    if (db->options.series_max_per_source)
        tsdb_sources_count(&db->sources, tsdb_source_key(labels), added);
    return true;
}

/* Finds or makes the series; TSDB_NO_SERIES when it is refused. */
static uint32_t resolve(struct tsdb_ingest *ingest, struct wire_labels labels, size_t sample_count)
{
    struct tsdb_db *db = ingest->db;
    struct tsdb_head *head = db->active->head;
    struct tsdb_index *index = tsdb_head_index(head);
    uint64_t hash = wire_labels_hash(labels);
    uint32_t id = tsdb_index_find(index, labels, hash);
    if (id != TSDB_NO_SERIES)
        return id;
    struct tw_err why;
    if (wire_labels_check(labels, &why) != TW_OK) {
        refuse_series(ingest, labels, TSDB_REFUSED_BAD_LABELS, sample_count, &why);
        return TSDB_NO_SERIES;
    }
    if (!has_room(ingest, labels, sample_count))
        return TSDB_NO_SERIES;
    tw_metric_add(db->metrics.series_created, 1);
    return tsdb_head_add_series(head, labels, hash);
}

/* What follows the series before is this one from now on, and its bytes are these. */
static void expect_again(struct tsdb_ingest *ingest, struct tsdb_index *index, uint32_t id,
                         uint64_t fingerprint)
{
    if (ingest->before != TSDB_NO_SERIES)
        *tsdb_index_next(index, ingest->before) = id;
    *tsdb_index_fingerprint(index, id) = fingerprint;
}

bool tsdb_ingest_known(struct tsdb_ingest *ingest, uint64_t fingerprint)
{
    struct tsdb_db *db = ingest->db;
    tw_lock_assert_held(&db->lock);
    if (fingerprint == 0)
        return false;
    struct tsdb_index *index = tsdb_head_index(db->active->head);
    uint32_t id = ingest->before == TSDB_NO_SERIES
                      ? TSDB_NO_SERIES
                      : tsdb_index_foresee(index, ingest->before, fingerprint);
    bool foreseen = id != TSDB_NO_SERIES;
    if (!foreseen)
        id = tsdb_fingerprints_find(&db->fingerprints, fingerprint);
    if (id == TSDB_NO_SERIES || !tsdb_record_knows(&db->active->record_state, id))
        return false;
    if (!foreseen)
        expect_again(ingest, index, id, fingerprint);
    ingest->series = ingest->before = id;
    return true;
}

void tsdb_ingest_expect(const struct tsdb_ingest *ingest, uint64_t fingerprint)
{
    tsdb_fingerprints_fetch(&ingest->db->fingerprints, fingerprint);
}

/* Keeps the fingerprint of a series that was not foreseen, though it could have been. (The first
 * one of a request has none before it: one label set a request to look up is no loss.) */
static void note_surprise(struct tsdb_ingest *ingest, const struct tsdb_index *index,
                          uint64_t fingerprint)
{
    struct tsdb_db *db = ingest->db;
    if (fingerprint == 0 || ingest->before == TSDB_NO_SERIES ||
        !tsdb_record_knows(&db->active->record_state, ingest->series) ||
        tsdb_index_foresee(index, ingest->before, fingerprint) == ingest->series)
        return;
    tsdb_fingerprints_note(&db->fingerprints, fingerprint, ingest->series,
                           FINGERPRINTS_A_SERIES * tsdb_index_count(index));
}

bool tsdb_ingest_series(struct tsdb_ingest *ingest, struct wire_labels labels, uint64_t fingerprint,
                        size_t sample_count)
{
    tw_lock_assert_held(&ingest->db->lock);
    struct tsdb_db *db = ingest->db;
    struct tsdb_index *index = tsdb_head_index(db->active->head);
    ingest->series = resolve(ingest, labels, sample_count);
    if (ingest->series == TSDB_NO_SERIES)
        return false;
    note_surprise(ingest, index, fingerprint);
    expect_again(ingest, index, ingest->series, fingerprint);
    if (!tsdb_record_knows(&db->active->record_state, ingest->series) &&
        !activate(ingest, ingest->series, labels, sample_count)) {
        ingest->series = TSDB_NO_SERIES;
        return false;
    }
    ingest->before = ingest->series;
    return true;
}

static void refuse_time(struct tsdb_ingest *ingest, int64_t time_ms)
{
    struct tw_err why;
    char at[TW_CLOCK_RFC3339_BYTES];
    tw_clock_format_rfc3339(time_ms, at);
    enum tsdb_refusal reason;
    if (time_ms > ingest->newest_ms) {
        reason = TSDB_REFUSED_FUTURE;
        tw_err_set(&why, TW_BAD_DATA,
                   "a sample at %s (%" PRId64 ") is more than %d minutes in the future: check the "
                   "sender's clock",
                   at, time_ms, (int)(TSDB_FUTURE_MS_MAX / 60000));
    } else {
        reason = TSDB_REFUSED_TOO_OLD;
        tw_err_set(&why, TW_BAD_DATA,
                   "a sample at %s (%" PRId64 ") is older than the retention: see --retention", at,
                   time_ms);
    }
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    name_series(
        &why, tsdb_index_labels(tsdb_head_index(ingest->db->active->head), ingest->series, items));
    tsdb_ingest_refuse(ingest, reason, 1, &why);
}

void tsdb_ingest_samples(struct tsdb_ingest *ingest, const struct wire_sample *samples,
                         size_t count)
{
    TW_ASSERT(ingest->series != TSDB_NO_SERIES);
    struct tsdb_group *group = ingest->db->filling;
    group_reserve_samples(group, count);
    for (size_t i = 0; i < count; i++) {
        int64_t time_ms = samples[i].time_ms;
        if (time_ms < ingest->oldest_ms || time_ms > ingest->newest_ms) {
            refuse_time(ingest, time_ms);
            continue;
        }
        group->samples[group->sample_count++] =
            (struct tsdb_record_sample){ingest->series, time_ms, tw_double_bits(samples[i].value)};
        ingest->stored++;
    }
}

void tsdb_ingest_histogram(struct tsdb_ingest *ingest, const struct wire_histogram *histogram)
{
    struct tsdb_db *db = ingest->db;
    struct tsdb_blobs *to = &db->filling->histograms;
    TW_ASSERT(ingest->series != TSDB_NO_SERIES);
    if (histogram->time_ms < ingest->oldest_ms || histogram->time_ms > ingest->newest_ms) {
        refuse_time(ingest, histogram->time_ms);
        return;
    }
    tsdb_head_log_histogram(db->active->head, ingest->series, histogram, tsdb_blobs_buf(to));
    tsdb_blobs_add(to, ingest->series, histogram->time_ms);
    ingest->histograms_stored++;
}

/* The newest time that the heads have of the current series. */
static int64_t newest_known(const struct tsdb_ingest *ingest)
{
    const struct tsdb_db *db = ingest->db;
    int64_t newest_ms = INT64_MIN;
    for (const struct tsdb_generation *at = db->oldest; at; at = at->newer) {
        if (tsdb_head_index(at->head) != db->index)
            continue;
        int64_t last_ms = tsdb_head_last_ms(at->head, ingest->series);
        newest_ms = last_ms > newest_ms ? last_ms : newest_ms;
    }
    return newest_ms;
}

/* Each start is tried once: a series names the same one with each of its samples. */
static bool is_new_start(struct tsdb_ingest *ingest, int64_t start_ms, int64_t sample_ms)
{
    struct tsdb_db *db = ingest->db;
    TW_ASSERT(ingest->series != TSDB_NO_SERIES);
    if (start_ms <= 0 || start_ms >= sample_ms || start_ms < ingest->oldest_ms ||
        sample_ms > ingest->newest_ms)
        return false;
    int64_t *told_ms = tsdb_rows_make(&db->starts, ingest->series, sizeof *told_ms);
    if (start_ms <= *told_ms)
        return false;
    *told_ms = start_ms;
    if (newest_known(ingest) >= start_ms)
        return false;
    tw_metric_add(db->metrics.zeroed, 1);
    return true;
}

void tsdb_ingest_start(struct tsdb_ingest *ingest, int64_t start_ms, int64_t sample_ms)
{
    struct tsdb_group *group = ingest->db->filling;
    if (!is_new_start(ingest, start_ms, sample_ms))
        return;
    group_reserve_samples(group, 1);
    group->samples[group->sample_count++] =
        (struct tsdb_record_sample){ingest->series, start_ms, 0};
}

void tsdb_ingest_start_of_histogram(struct tsdb_ingest *ingest,
                                    const struct wire_histogram *histogram)
{
    const struct wire_histogram zero = {.time_ms = histogram->start_ms,
                                        .is_float = histogram->is_float,
                                        .reset_hint = WIRE_RESET_YES,
                                        .schema = histogram->schema,
                                        .zero_threshold = histogram->zero_threshold,
                                        .custom_values = histogram->custom_values,
                                        .custom_count = histogram->custom_count};
    struct tsdb_blobs *to = &ingest->db->filling->histograms;
    if (histogram->reset_hint == WIRE_RESET_GAUGE || wire_histogram_is_stale(histogram) ||
        !is_new_start(ingest, histogram->start_ms, histogram->time_ms))
        return;
    tsdb_head_log_histogram(ingest->db->active->head, ingest->series, &zero, tsdb_blobs_buf(to));
    tsdb_blobs_add(to, ingest->series, zero.time_ms);
}

void tsdb_ingest_end(struct tsdb_ingest *ingest, tsdb_done *done, void *user)
{
    struct tsdb_db *db = ingest->db;
    tw_lock_assert_held(&db->lock);
    struct tsdb_group *group = db->filling;
    size_t pending = group->sample_count - ingest->group_samples + group->histograms.count -
                     ingest->group_histograms + group->exemplars.count - ingest->group_exemplars;
    if (pending > 0) {
        tw_buf_clear(&db->scratch);
        tsdb_record_encode(db->active->head, &db->active->record_state,
                           group->samples + ingest->group_samples,
                           group->sample_count - ingest->group_samples, &db->scratch);
        tsdb_record_encode_histograms(&group->histograms, ingest->group_histograms, &db->scratch);
        tsdb_record_encode_exemplars(&group->exemplars, ingest->group_exemplars, &db->scratch);
        tsdb_varint_append(&group->records, db->scratch.size);
        tw_buf_append_str(&group->records, tw_buf_str(&db->scratch));
        TW_ASSERT(!db->scratch.overflow && !group->records.overflow);
        if (db->scratch.capacity > SPARE_BYTES_MAX)
            tw_buf_fini(&db->scratch);
        db->pending_samples += pending;
        if (group->waiter_count == 0)
            enqueue(db, group);
        group_add_waiter(group, done, user);
        if (group->waiter_count == 1 || group->waiter_count == db->requests_wanted)
            tw_cond_signal(&db->work);
    }
    tw_lock_release(&db->lock);
    if (pending == 0)
        done(user, TW_OK, NULL);
}

/* ---- waiting ---- */

struct wait {
    /* Guards done and code between the committer and the caller. */
    struct tw_lock lock;
    struct tw_cond changed;
    bool done;
    enum tw_code code;
    struct tw_err err;
};

static void finish_wait(void *user, enum tw_code code, const struct tw_err *err)
{
    struct wait *wait = user;
    tw_lock_take(&wait->lock);
    wait->done = true;
    wait->code = code;
    if (code != TW_OK)
        wait->err = *err;
    tw_cond_signal(&wait->changed);
    tw_lock_release(&wait->lock);
}

/* Ends the ingest and waits until it is durable. */
static enum tw_code end_and_wait(struct tsdb_ingest *ingest, struct tw_err *err)
{
    struct wait wait = {.code = TW_OK};
    tw_lock_init(&wait.lock, TW_RANK_LEAF, "tsdb.append");
    tw_cond_init(&wait.changed);
    tsdb_ingest_end(ingest, finish_wait, &wait);
    tw_lock_take(&wait.lock);
    while (!wait.done)
        tw_cond_wait(&wait.changed, &wait.lock);
    tw_lock_release(&wait.lock);
    tw_cond_fini(&wait.changed);
    tw_lock_fini(&wait.lock);
    if (wait.code != TW_OK) {
        if (err)
            *err = wait.err;
        return wait.code;
    }
    if (ingest->refused > 0) {
        if (err)
            *err = ingest->first_refusal;
        return TW_BAD_DATA;
    }
    return TW_OK;
}

enum tw_code tsdb_db_append(struct tsdb_storage *storage, const struct tw_context *context,
                            const struct tsdb_sample *samples, size_t count, struct tw_err *err)
{
    struct tsdb_ingest ingest;
    enum tw_code code = tsdb_ingest_begin((struct tsdb_db *)storage, context, &ingest, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < count; i++)
        if (tsdb_ingest_series(&ingest, samples[i].labels, 0, 1))
            tsdb_ingest_samples(&ingest,
                                &(struct wire_sample){samples[i].time_ms, samples[i].value}, 1);
    return end_and_wait(&ingest, err);
}

void tsdb_ingest_refuse_of_series(struct tsdb_ingest *ingest, enum tsdb_refusal reason,
                                  struct wire_labels labels, struct tw_err *why)
{
    name_series(why, labels);
    tsdb_ingest_refuse(ingest, reason, 1, why);
}

enum tw_code tsdb_db_append_histograms(struct tsdb_storage *storage,
                                       const struct tw_context *context,
                                       const struct tsdb_histogram_sample *samples, size_t count,
                                       struct tw_err *err)
{
    struct tsdb_ingest ingest;
    enum tw_code code = tsdb_ingest_begin((struct tsdb_db *)storage, context, &ingest, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < count; i++) {
        struct tw_err why;
        if (wire_histogram_check(samples[i].histogram, &why) != TW_OK)
            tsdb_ingest_refuse_of_series(&ingest, TSDB_REFUSED_HISTOGRAM, samples[i].labels, &why);
        else if (tsdb_ingest_series(&ingest, samples[i].labels, 0, 1))
            tsdb_ingest_histogram(&ingest, samples[i].histogram);
    }
    return end_and_wait(&ingest, err);
}

enum tw_code tsdb_db_append_exemplars(struct tsdb_storage *storage,
                                      const struct tw_context *context,
                                      const struct tsdb_exemplar_sample *samples, size_t count,
                                      struct tw_err *err)
{
    struct tsdb_ingest ingest;
    enum tw_code code = tsdb_ingest_begin((struct tsdb_db *)storage, context, &ingest, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < count; i++) {
        struct tw_err why;
        struct wire_labels labels = samples[i].labels;
        if (wire_exemplar_check(&samples[i].exemplar, &why) != TW_OK) {
            name_series(&why, labels);
            tsdb_db_refuse_exemplars(ingest.db, TSDB_EXEMPLAR_REFUSED_BAD, 1);
            ingest.refused++;
            if (ingest.first_refusal.code == TW_OK)
                ingest.first_refusal = why;
        } else if (tsdb_ingest_series(&ingest, labels, 0, 1)) {
            tsdb_ingest_exemplar(&ingest, labels, &samples[i].exemplar);
        }
    }
    return end_and_wait(&ingest, err);
}

enum tw_code tsdb_db_append_metadata(struct tsdb_storage *storage, const struct tw_context *context,
                                     const struct tsdb_metadata *items, size_t count,
                                     struct tw_err *err)
{
    struct tsdb_db *db = (struct tsdb_db *)storage;
    enum tw_code code = tsdb_db_check_tenant(context, err);
    if (code == TW_OK && tsdb_room_is_read_only(db))
        code = tsdb_room_refuse(db, err);
    return code == TW_OK ? tsdb_catalog_put_metadata(db->catalog, items, count, err) : code;
}

bool tsdb_db_knows_metadata(struct tsdb_db *db, const struct tsdb_metadata *items, size_t count)
{
    return tsdb_catalog_knows_metadata(db->catalog, items, count);
}

enum tw_code tsdb_db_metadata_list(struct tsdb_storage *storage, const struct tw_context *context,
                                   struct tw_str metric, struct tw_arena *arena,
                                   struct tsdb_metadata **ret_items, size_t *ret_count,
                                   struct tw_err *err)
{
    struct tsdb_db *db = (struct tsdb_db *)storage;
    enum tw_code code = tsdb_db_check_tenant(context, err);
    if (code == TW_OK)
        tsdb_catalog_list_metadata(db->catalog, metric, arena, ret_items, ret_count);
    return code;
}
