/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/self.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/context.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/thread.h"

#define SELF_MAGIC 0x53454c46u
#define LABELS_MAX 16
#define METADATA_ROUNDS 240 /* types and help texts hardly change: once an hour at 15 s */

struct daemon_self {
    unsigned magic;
    struct tw_metrics *metrics;
    struct tsdb_storage *storage;
    struct tw_clock *clock;
    const char *instance;
    int64_t interval_ms;
    struct tw_lock lock; /* guards ending */
    struct tw_cond changed;
    bool ending;
    struct tw_thread thread;
};

struct round {
    struct tw_arena *arena;
    const char *instance;
    int64_t time_ms;
    struct tsdb_sample *samples;
    size_t count, capacity;
    struct tsdb_metadata *metadata;
    size_t metadata_count, metadata_capacity;
};

static void append_sample(struct round *round, const struct tsdb_sample *sample)
{
    if (round->count == round->capacity) {
        size_t larger = round->capacity ? round->capacity * 2 : 256;
        round->samples = tw_arena_grow(round->arena, round->samples,
                                       round->capacity * sizeof(struct tsdb_sample),
                                       larger * sizeof(struct tsdb_sample));
        round->capacity = larger;
    }
    round->samples[round->count++] = *sample;
}

/* The next name="value" of text, unescaped into the arena; false at the end. */
static bool read_label(struct tw_arena *arena, struct tw_str *text, struct wire_label *ret)
{
    size_t equals = tw_str_find(*text, TW_STR("=\""));
    if (equals == SIZE_MAX)
        return false;
    ret->name = tw_arena_str(arena, tw_str_slice(*text, 0, equals));
    char *value = tw_arena_alloc(arena, text->size + 1);
    size_t size = 0, i = equals + 2;
    for (; i < text->size && text->data[i] != '"'; i++) {
        char c = text->data[i];
        if (c == '\\' && i + 1 < text->size) {
            c = text->data[++i];
            c = c == 'n' ? '\n' : c;
        }
        value[size++] = c;
    }
    ret->value = (struct tw_str){value, size};
    /* Behind the quote and the comma. */
    *text = tw_str_slice(*text, i + 2, text->size);
    return true;
}

static void take_metadata(struct round *round, const char *name, const char *help,
                          enum tw_metric_type type)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    struct tw_str family = tw_str(name);
    if (type == TW_METRIC_HISTOGRAM) {
        if (!tw_str_ends(family, TW_STR("_sum")))
            return;
        family = tw_str_slice(family, 0, family.size - 4);
    }
    if (round->metadata_count > 0 &&
        tw_str_equal(round->metadata[round->metadata_count - 1].metric, family))
        return;
    if (round->metadata_count == round->metadata_capacity) {
        size_t larger = round->metadata_capacity ? round->metadata_capacity * 2 : 64;
        round->metadata = tw_arena_grow(round->arena, round->metadata,
                                        round->metadata_capacity * sizeof(struct tsdb_metadata),
                                        larger * sizeof(struct tsdb_metadata));
        round->metadata_capacity = larger;
    }
    round->metadata[round->metadata_count++] =
        (struct tsdb_metadata){.metric = tw_arena_str(round->arena, family),
                               .type = tw_str(types[type]),
                               .help = tw_arena_str(round->arena, tw_str(help))};
}

static void take_metric(void *user, const char *name, const char *labels, const char *help,
                        enum tw_metric_type type, double value)
{
    struct round *round = user;
    struct wire_label *items = TW_ARENA_ARRAY(round->arena, struct wire_label, LABELS_MAX);
    size_t count = 0;
    items[count++] = (struct wire_label){.name = TW_STR(WIRE_METRIC_NAME),
                                         .value = tw_arena_str(round->arena, tw_str(name))};
    items[count++] =
        (struct wire_label){.name = TW_STR("instance"), .value = tw_str(round->instance)};
    items[count++] = (struct wire_label){.name = TW_STR("job"), .value = TW_STR("tidewatchd")};
    struct tw_str rest = tw_str(labels);
    while (count < LABELS_MAX && read_label(round->arena, &rest, &items[count]))
        count++;
    /* Our own metrics name a label once and never job nor instance; one that did is left out. */
    if (wire_labels_canonical(items, &count, NULL) != TW_OK)
        return;
    append_sample(round, &(struct tsdb_sample){.labels = {.items = items, .count = count},
                                               .time_ms = round->time_ms,
                                               .value = value});
    take_metadata(round, name, help, type);
}

static enum tw_code store_round(struct tw_metrics *metrics, struct tsdb_storage *storage,
                                struct tw_clock *clock, const char *instance, bool with_metadata,
                                struct tw_err *err)
{
    struct tw_context context;
    struct round round = {
        .arena = tw_arena_new(65536), .instance = instance, .time_ms = tw_clock_wall_ms(clock)};
    tw_context_init(&context, clock);
    tw_metrics_each(metrics, take_metric, &round);
    enum tw_code code = tsdb_append(storage, &context, round.samples, round.count, err);
    if (code == TW_OK && with_metadata)
        code = tsdb_append_metadata(storage, &context, round.metadata, round.metadata_count, err);
    tw_arena_free(round.arena);
    return code;
}

enum tw_code daemon_self_store(struct tw_metrics *metrics, struct tsdb_storage *storage,
                               struct tw_clock *clock, const char *instance, struct tw_err *err)
{
    return store_round(metrics, storage, clock, instance, true, err);
}

static void run(void *argument)
{
    struct daemon_self *self = argument;
    unsigned number = 0;
    tw_lock_take(&self->lock);
    while (!self->ending) {
        tw_lock_release(&self->lock);
        struct tw_err err;
        if (store_round(self->metrics, self->storage, self->clock, self->instance,
                        number++ % METADATA_ROUNDS == 0, &err) != TW_OK)
            tw_log(TW_LOG_WARN, "daemon.self", "own metrics of this round are not stored",
                   "error=%s", tw_log_quote(tw_str(err.message)));
        /* On multiples of the interval, so that rounds do not drift. */
        int64_t now_ms = tw_clock_wall_ms(self->clock);
        int64_t wait_ms = self->interval_ms -
                          (now_ms - tw_floor_div(now_ms, self->interval_ms) * self->interval_ms);
        tw_lock_take(&self->lock);
        if (!self->ending)
            tw_cond_wait_ns(&self->changed, &self->lock, wait_ms * 1000000);
    }
    tw_lock_release(&self->lock);
}

enum tw_code daemon_self_start(struct tw_metrics *metrics, struct tsdb_storage *storage,
                               struct tw_clock *clock, const char *instance, int64_t interval_ms,
                               struct daemon_self **ret, struct tw_err *err)
{
    TW_ASSERT(interval_ms > 0);
    struct daemon_self *self = calloc(1, sizeof *self);
    TW_ASSERT(self != NULL);
    *self = (struct daemon_self){.magic = SELF_MAGIC,
                                 .metrics = metrics,
                                 .storage = storage,
                                 .clock = clock,
                                 .instance = instance,
                                 .interval_ms = interval_ms};
    tw_lock_init(&self->lock, TW_RANK_DAEMON, "own metrics");
    tw_cond_init(&self->changed);
    enum tw_code code = tw_thread_start(&self->thread, "self", run, self, err);
    if (code != TW_OK)
        daemon_self_stop(self);
    else
        *ret = self;
    return code;
}

struct daemon_self *daemon_self_stop(struct daemon_self *self)
{
    if (!self)
        return NULL;
    TW_CHECK_MAGIC(self, SELF_MAGIC);
    tw_lock_take(&self->lock);
    self->ending = true;
    tw_cond_signal(&self->changed);
    tw_lock_release(&self->lock);
    tw_thread_join(&self->thread);
    tw_cond_fini(&self->changed);
    tw_lock_fini(&self->lock);
    self->magic = 0;
    free(self);
    return NULL;
}
