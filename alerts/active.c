/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/active.h"

#include <stdlib.h>
#include <string.h>

#include "alerts/labelset.h"
#include "base/assert.h"

static void mark(struct alert_active *active, unsigned changes)
{
    active->changes |= changes;
}

static void forget(struct alert_active *active)
{
    active->changes = ALERT_CHANGE_REMOVE;
}

static void resolve(struct alert_active *active, int64_t now_ms)
{
    active->record.state = ALERT_INACTIVE;
    active->record.resolved_ms = now_ms;
    mark(active, ALERT_CHANGE_SAVE | ALERT_CHANGE_NOTIFY);
}

static void begin(struct alert_active *active, const struct alert_candidate *candidate,
                  int64_t now_ms)
{
    active->fingerprint = candidate->fingerprint;
    active->record = (struct alert_active_record){
        .state = ALERT_PENDING,
        .active_ms = now_ms,
        .fired_ms = ALERT_TIME_NONE,
        .resolved_ms = ALERT_TIME_NONE,
        .keep_firing_ms = ALERT_TIME_NONE,
        .value = candidate->value,
        .labels = alert_labelset_dup(candidate->labels),
        .annotations = alert_labelset_dup(candidate->annotations),
    };
    active->changes = ALERT_CHANGE_SAVE;
}

/* The expression is true for an alert that is there already. */
static void go_on(struct alert_active *active, const struct alert_candidate *candidate,
                  int64_t now_ms)
{
    struct alert_active_record *record = &active->record;
    /* Marked to be forgotten, but that could not be stored yet: it begins anew as well. */
    if (record->state == ALERT_INACTIVE || (active->changes & ALERT_CHANGE_REMOVE) != 0) {
        alert_labelset_free(record->labels);
        alert_labelset_free(record->annotations);
        begin(active, candidate, now_ms);
        return;
    }
    record->value = candidate->value;
    if (!wire_labels_equal(record->annotations, candidate->annotations)) {
        alert_labelset_free(record->annotations);
        record->annotations = alert_labelset_dup(candidate->annotations);
        if (record->state == ALERT_FIRING)
            mark(active, ALERT_CHANGE_TEXT);
    }
    if (record->keep_firing_ms != ALERT_TIME_NONE) {
        record->keep_firing_ms = ALERT_TIME_NONE;
        mark(active, ALERT_CHANGE_SAVE);
    }
}

/* The expression is no longer true. */
static void fade(struct alert_active *active, int64_t keep_firing_ms, int64_t now_ms)
{
    struct alert_active_record *record = &active->record;
    switch (record->state) {
    case ALERT_PENDING:
        forget(active);
        return;
    case ALERT_INACTIVE:
        if (now_ms - record->resolved_ms > ALERT_RESOLVED_KEPT_MS)
            forget(active);
        return;
    case ALERT_FIRING:
        if (keep_firing_ms > 0 && record->keep_firing_ms == ALERT_TIME_NONE) {
            record->keep_firing_ms = now_ms;
            mark(active, ALERT_CHANGE_SAVE);
        }
        if (keep_firing_ms <= 0 || now_ms - record->keep_firing_ms >= keep_firing_ms)
            resolve(active, now_ms);
        return;
    }
}

static void ripen(struct alert_active *active, int64_t for_ms, int64_t now_ms)
{
    struct alert_active_record *record = &active->record;
    if (record->state != ALERT_PENDING || (active->changes & ALERT_CHANGE_REMOVE) != 0 ||
        now_ms - record->active_ms < for_ms)
        return;
    record->state = ALERT_FIRING;
    record->fired_ms = now_ms;
    mark(active, ALERT_CHANGE_SAVE | ALERT_CHANGE_NOTIFY);
}

void alert_actives_update(struct alert_actives *actives, int64_t for_ms, int64_t keep_firing_ms,
                          const struct alert_candidate *candidates, size_t count, int64_t now_ms)
{
    struct alert_active *merged = calloc(actives->count + count + 1, sizeof *merged);
    TW_ASSERT(merged != NULL);
    size_t total = 0, a = 0, c = 0;
    while (a < actives->count || c < count) {
        struct alert_active *next = &merged[total++];
        bool has_both = a < actives->count && c < count;
        if (has_both && actives->items[a].fingerprint == candidates[c].fingerprint) {
            *next = actives->items[a++];
            go_on(next, &candidates[c++], now_ms);
        } else if (c >= count ||
                   (has_both && actives->items[a].fingerprint < candidates[c].fingerprint)) {
            *next = actives->items[a++];
            fade(next, keep_firing_ms, now_ms);
        } else {
            begin(next, &candidates[c++], now_ms);
        }
        ripen(next, for_ms, now_ms);
        TW_ASSERT(total < 2 || merged[total - 2].fingerprint < next->fingerprint);
    }
    free(actives->items);
    actives->items = merged;
    actives->count = total;
}

size_t alert_actives_live(const struct alert_actives *actives)
{
    size_t live = 0;
    for (size_t i = 0; i < actives->count; i++)
        live += actives->items[i].record.state != ALERT_INACTIVE &&
                (actives->items[i].changes & ALERT_CHANGE_REMOVE) == 0;
    return live;
}

static void free_texts(struct alert_active *active)
{
    alert_labelset_free(active->record.labels);
    alert_labelset_free(active->record.annotations);
}

void alert_actives_settle(struct alert_actives *actives)
{
    size_t kept = 0;
    for (size_t i = 0; i < actives->count; i++) {
        struct alert_active *active = &actives->items[i];
        if ((active->changes & ALERT_CHANGE_REMOVE) != 0) {
            free_texts(active);
            continue;
        }
        active->changes = 0;
        actives->items[kept++] = *active;
    }
    actives->count = kept;
}

void alert_actives_clear(struct alert_actives *actives, int64_t now_ms)
{
    for (size_t i = 0; i < actives->count; i++) {
        struct alert_active *active = &actives->items[i];
        if (active->record.state == ALERT_FIRING)
            resolve(active, now_ms);
        else if (active->record.state == ALERT_PENDING)
            forget(active);
    }
}

void alert_actives_restore(struct alert_actives *actives, const struct alert_active_record *record)
{
    uint64_t fingerprint = alert_labelset_fingerprint(record->labels);
    size_t at = 0;
    while (at < actives->count && actives->items[at].fingerprint < fingerprint)
        at++;
    if (at < actives->count && actives->items[at].fingerprint == fingerprint)
        return;
    actives->items = realloc(actives->items, (actives->count + 1) * sizeof *actives->items);
    TW_ASSERT(actives->items != NULL);
    memmove(&actives->items[at + 1], &actives->items[at],
            (actives->count - at) * sizeof *actives->items);
    actives->items[at] = (struct alert_active){.fingerprint = fingerprint, .record = *record};
    actives->items[at].record.labels = alert_labelset_dup(record->labels);
    actives->items[at].record.annotations = alert_labelset_dup(record->annotations);
    actives->count++;
}

void alert_actives_fini(struct alert_actives *actives)
{
    for (size_t i = 0; i < actives->count; i++)
        free_texts(&actives->items[i]);
    free(actives->items);
    *actives = (struct alert_actives){0};
}
