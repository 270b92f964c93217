/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/kept.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/lock.h"

#define KEPT_MAGIC 0x6b707431u
#define SLOTS 16384
/* A model that is out comes back within microseconds, unless its query was descheduled. */
#define WAIT_NS (INT64_C(50) * 1000000)
/* Used within this time it is not pushed out by another. */
#define FRESH_MS (INT64_C(10) * 60 * 1000)
/* A model that does badly is learned anew, but not more often than this share of an epoch. */
#define DRIFTS_PER_EPOCH 4

struct model {
    struct model *next;    /* of its slot */
    struct model *sibling; /* of its subject */
    struct model **sibling_at;
    struct query_subject *subject;
    uint64_t hash;
    struct wire_labels labels; /* one allocation */
    struct query_learned learned;
    struct query_trial trial;
    int64_t used_ms;
    uint64_t serial;
    size_t bytes;
    bool is_out, is_saved;
};

struct query_subject {
    struct query_subject *next;
    struct query_subject_key key; /* owns its text */
    uint64_t hash;
    size_t holders, models;
    size_t wanted;            /* models that its last run did without */
    int64_t delayed_until_ms; /* it could not be renewed: the keeper waits so long */
    struct model *first;
    int64_t used_ms;
};

struct query_kept {
    unsigned magic;
    struct query_kept_options options;
    struct tw_lock lock; /* guards all that follows */
    struct tw_cond back; /* a model was given back */
    struct query_subject *subjects;
    struct model *slots[SLOTS];
    size_t models, subject_count;
    uint64_t bytes, serial, fit_count;
    uint8_t *gone; /* keys */
    size_t gone_count, gone_capacity;
    struct tw_metric *fits, *updates, *answers, *sketches, *refused, *expired, *evicted;
    struct tw_metric *model_count, *model_bytes;
    struct forecast_holidays *holidays;
    int64_t stale_after_ms; /* until then no model is old enough to be pushed out */
};

static void register_metrics(struct query_kept *kept, struct tw_metrics *metrics)
{
    kept->fits = tw_metrics_counter(metrics, "tidewatch_forecast_fits_total", "",
                                    "Models learned that were then kept.");
    kept->updates = tw_metrics_counter(metrics, "tidewatch_forecast_updates_total", "",
                                       "Times that a kept model was brought up to date.");
    kept->answers = tw_metrics_counter(metrics, "tidewatch_forecast_answers_total", "",
                                       "Series forecast by a copy of a kept model.");
    kept->sketches = tw_metrics_counter(
        metrics, "tidewatch_forecast_provisional_total", "",
        "Answers to rules, scalers and pins that a model was not learned for yet: forecast() made "
        "them from the newest values alone, anomaly_score() gave none.");
    kept->refused = tw_metrics_counter(
        metrics, "tidewatch_forecast_refused_total", "reason=\"full\"",
        "Models that were not kept: full = there are forecast.models_max, all in use.");
    kept->expired = tw_metrics_counter(metrics, "tidewatch_forecast_dropped_total",
                                       "reason=\"unused\"", "Kept models that were let go.");
    kept->evicted = tw_metrics_counter(metrics, "tidewatch_forecast_dropped_total",
                                       "reason=\"full\"", "Kept models that were let go.");
    kept->model_count =
        tw_metrics_gauge(metrics, "tidewatch_forecast_models", "", "Models that are kept.");
    kept->model_bytes = tw_metrics_gauge(metrics, "tidewatch_forecast_models_bytes", "",
                                         "Memory of the models that are kept.");
}

struct query_kept *query_kept_new(const struct query_kept_options *options)
{
    struct query_kept *kept = calloc(1, sizeof *kept);
    TW_ASSERT(kept != NULL);
    kept->magic = KEPT_MAGIC;
    kept->options = *options;
    if (!kept->options.models_max)
        kept->options.models_max = QUERY_KEPT_MODELS_MAX;
    if (!kept->options.unused_ms)
        kept->options.unused_ms = QUERY_KEPT_UNUSED_MS;
    tw_lock_init(&kept->lock, TW_RANK_QUERY, "kept models");
    tw_cond_init(&kept->back);
    if (options->metrics)
        register_metrics(kept, options->metrics);
    return kept;
}

struct forecast_holidays *query_kept_holidays(struct query_kept *kept)
{
    tw_lock_take(&kept->lock);
    struct forecast_holidays *holidays = forecast_holidays_ref(kept->holidays);
    tw_lock_release(&kept->lock);
    return holidays;
}

void query_kept_set_holidays(struct query_kept *kept, struct forecast_holidays *holidays)
{
    tw_lock_take(&kept->lock);
    struct forecast_holidays *before = kept->holidays;
    kept->holidays = forecast_holidays_ref(holidays);
    tw_lock_release(&kept->lock);
    forecast_holidays_unref(before);
}

/* ---- models of the table ---- */

static void note_gone_locked(struct query_kept *kept, const struct model *model)
{
    if (kept->gone_count == kept->gone_capacity) {
        kept->gone_capacity = kept->gone_capacity ? 2 * kept->gone_capacity : 64;
        kept->gone = realloc(kept->gone, kept->gone_capacity * QUERY_KEPT_KEY_BYTES);
        TW_ASSERT(kept->gone != NULL);
    }
    query_kept_key(&model->subject->key, model->labels,
                   kept->gone + kept->gone_count++ * QUERY_KEPT_KEY_BYTES);
}

static void show_totals_locked(struct query_kept *kept)
{
    tw_metric_set(kept->model_count, (double)kept->models);
    tw_metric_set(kept->model_bytes, (double)kept->bytes);
}

static void remove_locked(struct query_kept *kept, struct model *model)
{
    struct model **at = &kept->slots[model->hash % SLOTS];
    TW_ASSERT(!model->is_out);
    while (*at != model)
        at = &(*at)->next;
    *at = model->next;
    *model->sibling_at = model->sibling;
    if (model->sibling)
        model->sibling->sibling_at = model->sibling_at;
    note_gone_locked(kept, model);
    model->subject->models--;
    kept->models--;
    kept->bytes -= model->bytes;
    show_totals_locked(kept);
    forecast_model_free(model->learned.model);
    free((void *)(uintptr_t)model->labels.items);
    free(model);
}

static void remove_subject_locked(struct query_kept *kept, struct query_subject **at)
{
    struct query_subject *subject = *at;
    *at = subject->next;
    kept->subject_count--;
    free((void *)(uintptr_t)subject->key.text.data);
    free(subject);
}

struct query_kept *query_kept_free(struct query_kept *kept)
{
    if (!kept)
        return NULL;
    TW_CHECK_MAGIC(kept, KEPT_MAGIC);
    tw_lock_take(&kept->lock);
    while (kept->subjects) {
        while (kept->subjects->first)
            remove_locked(kept, kept->subjects->first);
        remove_subject_locked(kept, &kept->subjects);
    }
    tw_lock_release(&kept->lock);
    forecast_holidays_unref(kept->holidays);
    tw_lock_fini(&kept->lock);
    tw_cond_fini(&kept->back);
    free(kept->gone);
    kept->magic = 0;
    free(kept);
    return NULL;
}

static uint64_t hash_of(const struct query_subject *subject, struct wire_labels labels)
{
    return wire_labels_hash(labels) ^ subject->hash;
}

static struct model *find_locked(struct query_kept *kept, const struct query_subject *subject,
                                 struct wire_labels labels)
{
    uint64_t hash = hash_of(subject, labels);
    struct model *model = kept->slots[hash % SLOTS];
    while (model && (model->hash != hash || model->subject != subject ||
                     !wire_labels_equal(model->labels, labels)))
        model = model->next;
    return model;
}

static struct wire_labels copy_labels(struct wire_labels labels)
{
    size_t bytes = 0;
    for (size_t i = 0; i < labels.count; i++)
        bytes += labels.items[i].name.size + labels.items[i].value.size;
    struct wire_label *items = malloc(labels.count * sizeof *items + bytes + 1);
    TW_ASSERT(items != NULL);
    char *text = (char *)(items + labels.count);
    for (size_t i = 0; i < labels.count; i++) {
        struct wire_label label = labels.items[i];
        memcpy(text, label.name.data, label.name.size);
        items[i].name = (struct tw_str){text, label.name.size};
        text += label.name.size;
        memcpy(text, label.value.data, label.value.size);
        items[i].value = (struct tw_str){text, label.value.size};
        text += label.value.size;
    }
    return (struct wire_labels){items, labels.count};
}

/* The model unused for longest, if it may go. */
static struct model *find_stale_locked(struct query_kept *kept, int64_t now_ms)
{
    struct model *oldest = NULL;
    if (now_ms < kept->stale_after_ms)
        return NULL;
    for (size_t i = 0; i < SLOTS; i++)
        for (struct model *model = kept->slots[i]; model; model = model->next)
            if (!model->is_out && (!oldest || model->used_ms < oldest->used_ms))
                oldest = model;
    if (!oldest)
        return NULL;
    kept->stale_after_ms = oldest->used_ms + FRESH_MS;
    return now_ms < kept->stale_after_ms ? NULL : oldest;
}

/* NULL: there is no room. */
static struct model *add_locked(struct query_kept *kept, struct query_subject *subject,
                                struct wire_labels labels, int64_t now_ms)
{
    if (kept->models >= kept->options.models_max) {
        struct model *stale = find_stale_locked(kept, now_ms);
        if (!stale) {
            tw_metric_add(kept->refused, 1);
            return NULL;
        }
        remove_locked(kept, stale);
        tw_metric_add(kept->evicted, 1);
    }
    struct model *model = calloc(1, sizeof *model);
    TW_ASSERT(model != NULL);
    model->subject = subject;
    model->hash = hash_of(subject, labels);
    model->labels = copy_labels(labels);
    model->next = kept->slots[model->hash % SLOTS];
    kept->slots[model->hash % SLOTS] = model;
    model->sibling = subject->first;
    model->sibling_at = &subject->first;
    if (subject->first)
        subject->first->sibling_at = &model->sibling;
    subject->first = model;
    subject->models++;
    kept->models++;
    return model;
}

/* ---- subjects ---- */

static uint64_t hash_key(const struct query_subject_key *key)
{
    uint64_t numbers[4] = {(uint64_t)key->range_ms, (uint64_t)key->horizon_ms, key->scores,
                           key->holidays};
    return tw_hash64_seeded(numbers, sizeof numbers, tw_hash64(key->text.data, key->text.size));
}

void query_kept_key(const struct query_subject_key *subject, struct wire_labels labels,
                    uint8_t ret_key[QUERY_KEPT_KEY_BYTES])
{
    uint64_t halves[2] = {hash_key(subject), wire_labels_hash(labels)};
    for (size_t i = 0; i < QUERY_KEPT_KEY_BYTES; i++)
        ret_key[i] = (uint8_t)(halves[i / 8] >> (56 - 8 * (i % 8)));
}

struct query_subject *query_kept_hold(struct query_kept *kept, const struct query_subject_key *key,
                                      bool makes, int64_t now_ms)
{
    uint64_t hash = hash_key(key);
    TW_CHECK_MAGIC(kept, KEPT_MAGIC);
    tw_lock_take(&kept->lock);
    struct query_subject *subject = kept->subjects;
    while (subject && (subject->hash != hash || !tw_str_equal(subject->key.text, key->text)))
        subject = subject->next;
    if (!subject && makes && key->text.size <= QUERY_SUBJECT_BYTES_MAX) {
        char *text = malloc(key->text.size + 1);
        subject = calloc(1, sizeof *subject);
        TW_ASSERT(subject != NULL && text != NULL);
        memcpy(text, key->text.data, key->text.size);
        subject->key = *key;
        subject->key.text = (struct tw_str){text, key->text.size};
        subject->hash = hash;
        subject->next = kept->subjects;
        kept->subjects = subject;
        kept->subject_count++;
    }
    if (subject) {
        subject->holders++;
        if (makes) {
            subject->used_ms = now_ms;
            subject->wanted = 0;
        }
    }
    tw_lock_release(&kept->lock);
    return subject;
}

void query_kept_drop(struct query_kept *kept, struct query_subject *subject)
{
    if (!subject)
        return;
    tw_lock_take(&kept->lock);
    TW_ASSERT(subject->holders > 0);
    subject->holders--;
    tw_lock_release(&kept->lock);
}

const struct query_subject_key *query_subject_key(const struct query_subject *subject)
{
    return &subject->key;
}

bool query_kept_since(struct query_kept *kept, const struct query_subject *subject,
                      int64_t basis_ms, int64_t *ret_since_ms)
{
    bool any = false;
    const struct query_subject_key *key = &subject->key;
    tw_lock_take(&kept->lock);
    for (const struct model *model = subject->first; model; model = model->sibling) {
        if (model->is_out ||
            !query_learned_usable(&model->learned, key->range_ms, key->scores, basis_ms))
            continue;
        /* What ended long ago is not waited for. */
        if (model->learned.newest_ms < basis_ms - key->range_ms / QUERY_EPOCHS_PER_RANGE)
            continue;
        int64_t since_ms = query_learned_end_ms(&model->learned) - model->learned.step_ms;
        if (!any || since_ms < *ret_since_ms)
            *ret_since_ms = since_ms;
        any = true;
    }
    tw_lock_release(&kept->lock);
    return any;
}

/* ---- models ---- */

static enum query_due due_locked(const struct model *model, int64_t basis_ms)
{
    const struct query_subject_key *key = &model->subject->key;
    int64_t refit_ms = query_refit_ms(key->range_ms);
    struct forecast_drift drift;
    if (model->is_out || !model->learned.model)
        return QUERY_DUE_NOT;
    /* The epoch of the newest sample known: a series that ended is not learned again. */
    int64_t epoch_ms = tw_floor_div(model->learned.newest_ms, refit_ms) * refit_ms;
    epoch_ms -= key->scores ? refit_ms : 0;
    if (model->learned.epoch_ms < epoch_ms)
        return QUERY_DUE_EPOCH;
    if (basis_ms - model->learned.epoch_ms < refit_ms / DRIFTS_PER_EPOCH)
        return QUERY_DUE_NOT;
    forecast_model_drift(model->learned.model, &drift);
    return drift.refit ? QUERY_DUE_DRIFT : QUERY_DUE_NOT;
}

static bool usable_locked(const struct model *model, int64_t basis_ms)
{
    const struct query_subject_key *key = &model->subject->key;
    return model->learned.model &&
           query_learned_usable(&model->learned, key->range_ms, key->scores, basis_ms);
}

static bool is_young_locked(const struct model *model, int64_t basis_ms)
{
    /* As many values as make a series grown up have to be there before an epoch. */
    int64_t refit_ms = query_refit_ms(model->subject->key.range_ms);
    return model->learned.young &&
           tw_floor_div(basis_ms, refit_ms) == tw_floor_div(model->learned.epoch_ms, refit_ms);
}

bool query_kept_is_young(struct query_kept *kept, const struct query_subject *subject,
                         struct wire_labels labels, int64_t basis_ms)
{
    tw_lock_take(&kept->lock);
    const struct model *model = find_locked(kept, subject, labels);
    bool young = model && is_young_locked(model, basis_ms);
    tw_lock_release(&kept->lock);
    return young;
}

/* Missing, or its series was away for too long. */
static bool is_wanting_locked(const struct query_kept *kept, const struct model *model,
                              int64_t basis_ms)
{
    if (!model)
        return kept->models < kept->options.models_max;
    return !model->is_out && !usable_locked(model, basis_ms) && !is_young_locked(model, basis_ms);
}

enum query_due query_kept_due(struct query_kept *kept, const struct query_subject *subject,
                              struct wire_labels labels, int64_t basis_ms)
{
    enum query_due due = QUERY_DUE_NOT;
    tw_lock_take(&kept->lock);
    const struct model *model = find_locked(kept, subject, labels);
    if (is_wanting_locked(kept, model, basis_ms))
        due = QUERY_DUE_EPOCH;
    else if (model && subject->wanted == 0)
        due = due_locked(model, basis_ms);
    tw_lock_release(&kept->lock);
    return due;
}

void query_kept_want(struct query_kept *kept, struct query_subject *subject,
                     struct wire_labels labels, int64_t basis_ms)
{
    tw_lock_take(&kept->lock);
    const struct model *model = find_locked(kept, subject, labels);
    subject->wanted += is_wanting_locked(kept, model, basis_ms);
    if (!model && kept->models >= kept->options.models_max)
        tw_metric_add(kept->refused, 1);
    tw_metric_add(kept->sketches, 1);
    tw_lock_release(&kept->lock);
}

bool query_kept_has(struct query_kept *kept, const struct query_subject *subject,
                    struct wire_labels labels, int64_t basis_ms)
{
    tw_lock_take(&kept->lock);
    const struct model *model = find_locked(kept, subject, labels);
    bool has = model && !model->is_out && usable_locked(model, basis_ms);
    tw_lock_release(&kept->lock);
    return has;
}

bool query_kept_take(struct query_kept *kept, const struct query_subject *subject,
                     struct wire_labels labels, int64_t basis_ms, bool copies,
                     struct query_learned *ret_learned, struct query_trial *ret_trial)
{
    tw_lock_take(&kept->lock);
    struct model *model = find_locked(kept, subject, labels);
    while (model && model->is_out) {
        if (!tw_cond_wait_ns(&kept->back, &kept->lock, WAIT_NS))
            break;
        model = find_locked(kept, subject, labels);
    }
    bool takes = model && !model->is_out && usable_locked(model, basis_ms);
    if (takes) {
        *ret_learned = model->learned;
        *ret_trial = model->trial;
        if (copies)
            ret_learned->model = query_model_copy(model->learned.model);
        else
            model->is_out = true;
        tw_metric_add(copies ? kept->answers : kept->updates, 1);
    }
    tw_lock_release(&kept->lock);
    return takes;
}

/* Is b to replace a? What knows more, or as much and was learned later. */
static bool is_newer(const struct query_learned *b, const struct query_learned *a)
{
    return b->epoch_ms > a->epoch_ms ||
           (b->epoch_ms == a->epoch_ms && query_learned_end_ms(b) >= query_learned_end_ms(a));
}

static void put_locked(struct query_kept *kept, struct model *model, struct query_learned *learned,
                       const struct query_trial *trial, bool learned_anew, int64_t now_ms)
{
    if (!learned_anew)
        model->trial = *trial;
    if (model->learned.model != learned->model)
        forecast_model_free(model->learned.model);
    kept->bytes -= model->bytes;
    model->learned = *learned;
    if (learned->young)
        model->learned.model = forecast_model_free(learned->model);
    model->bytes = sizeof *model;
    model->bytes += model->learned.model ? forecast_model_size(model->learned.model) : 0;
    kept->bytes += model->bytes;
    show_totals_locked(kept);
    learned->model = NULL;
    model->used_ms = now_ms > model->used_ms ? now_ms : model->used_ms;
    if (!learned_anew && model->serial == 0) { /* from its record */
        model->serial = ++kept->serial;
        model->is_saved = true;
    }
    if (learned_anew) {
        model->serial = ++kept->serial;
        model->is_saved = false;
        kept->fit_count++;
        tw_metric_add(kept->fits, 1);
    }
}

void query_kept_give(struct query_kept *kept, struct query_subject *subject,
                     struct wire_labels labels, struct query_learned *learned,
                     const struct query_trial *trial, bool learned_anew, int64_t now_ms)
{
    tw_lock_take(&kept->lock);
    struct model *model = find_locked(kept, subject, labels);
    bool there = learned->model || learned->young;
    if (!model && there)
        model = add_locked(kept, subject, labels, now_ms);
    if (model && model->is_out && !learned_anew) {
        model->is_out = false; /* the same model, which was taken */
        model->learned.model = NULL;
        put_locked(kept, model, learned, trial, false, now_ms);
        tw_cond_broadcast(&kept->back);
    } else if (model && !model->is_out && there &&
               (!model->learned.model || is_newer(learned, &model->learned))) {
        put_locked(kept, model, learned, trial, learned_anew, now_ms);
        subject->wanted -= learned_anew && subject->wanted > 0;
    }
    tw_lock_release(&kept->lock);
    learned->model = forecast_model_free(learned->model);
}

void query_kept_expire(struct query_kept *kept, int64_t now_ms)
{
    tw_lock_take(&kept->lock);
    for (struct query_subject **at = &kept->subjects; *at;) {
        struct query_subject *subject = *at;
        for (struct model *model = subject->first, *next; model; model = next) {
            next = model->sibling;
            if (model->is_out || now_ms - model->used_ms < kept->options.unused_ms)
                continue;
            remove_locked(kept, model);
            tw_metric_add(kept->expired, 1);
        }
        if (!subject->first && !subject->holders &&
            now_ms - subject->used_ms >= kept->options.unused_ms)
            remove_subject_locked(kept, at);
        else
            at = &subject->next;
    }
    tw_lock_release(&kept->lock);
}

/* ---- looking through ---- */

void query_kept_each(struct query_kept *kept,
                     bool (*visit)(void *user, const struct query_kept_model *model), void *user)
{
    bool goes_on = true;
    tw_lock_take(&kept->lock);
    for (const struct query_subject *subject = kept->subjects; goes_on && subject;
         subject = subject->next)
        for (const struct model *model = subject->first; goes_on && model; model = model->sibling) {
            struct query_learned learned = model->learned;
            if (learned.young)
                continue;
            if (model->is_out)
                learned.model = NULL;
            const struct query_kept_model shown = {&subject->key,  model->labels,  &learned,
                                                   &model->trial,  model->used_ms, model->serial,
                                                   model->is_saved};
            goes_on = visit(user, &shown);
        }
    tw_lock_release(&kept->lock);
}

size_t query_kept_list_due(struct query_kept *kept, int64_t now_ms,
                           struct query_subject_due *ret_items, size_t capacity)
{
    size_t count = 0;
    tw_lock_take(&kept->lock);
    for (struct query_subject *subject = kept->subjects; subject && count < capacity;
         subject = subject->next) {
        size_t due = 0;
        if (now_ms < subject->delayed_until_ms)
            continue;
        for (const struct model *model = subject->first; model; model = model->sibling)
            due += due_locked(model, now_ms) != QUERY_DUE_NOT;
        if (due + subject->wanted == 0)
            continue;
        subject->holders++;
        ret_items[count++] =
            (struct query_subject_due){subject, subject->models, due, subject->wanted};
    }
    tw_lock_release(&kept->lock);
    return count;
}

void query_kept_delay(struct query_kept *kept, struct query_subject *subject, int64_t until_ms)
{
    tw_lock_take(&kept->lock);
    subject->delayed_until_ms = until_ms;
    tw_lock_release(&kept->lock);
}

void query_kept_limit(struct query_kept *kept, size_t models_max, int64_t unused_ms)
{
    tw_lock_take(&kept->lock);
    kept->options.models_max = models_max ? models_max : QUERY_KEPT_MODELS_MAX;
    kept->options.unused_ms = unused_ms ? unused_ms : QUERY_KEPT_UNUSED_MS;
    tw_lock_release(&kept->lock);
}

void query_kept_saved(struct query_kept *kept, const uint64_t *serials, size_t count)
{
    tw_lock_take(&kept->lock);
    for (struct query_subject *subject = kept->subjects; subject; subject = subject->next)
        for (struct model *model = subject->first; model; model = model->sibling)
            for (size_t i = 0; !model->is_saved && i < count; i++)
                model->is_saved = model->serial == serials[i];
    tw_lock_release(&kept->lock);
}

uint8_t *query_kept_gone(struct query_kept *kept, size_t *ret_count)
{
    tw_lock_take(&kept->lock);
    uint8_t *keys = kept->gone;
    *ret_count = kept->gone_count;
    kept->gone = NULL;
    kept->gone_count = kept->gone_capacity = 0;
    tw_lock_release(&kept->lock);
    return keys;
}

uint64_t query_kept_fits(struct query_kept *kept)
{
    tw_lock_take(&kept->lock);
    uint64_t fits = kept->fit_count;
    tw_lock_release(&kept->lock);
    return fits;
}

void query_kept_totals(struct query_kept *kept, struct query_kept_totals *ret)
{
    tw_lock_take(&kept->lock);
    *ret = (struct query_kept_totals){kept->subject_count, kept->models, kept->bytes};
    tw_lock_release(&kept->lock);
}
