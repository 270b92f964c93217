/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

#define SAMPLER_MAGIC 0x41534d50u
/* Every so many rounds the tables drop what is long gone. */
#define SWEEP_TICKS 60

struct slot {
    const struct agent_source *source;
    void *state;
    struct agent_presence presence;
    int64_t due_ms;
    uint32_t success_series, duration_series;
    double success, duration_s; /* of the last run */
    bool told_failing, failing;
    char message[160];
};

/* The agent's own metrics: a series for each that tw_metrics_each visits, in the same order each
 * time but for new ones. */
struct own {
    uint64_t key;
    uint32_t series;
};

struct agent_sampler {
    unsigned magic;
    struct agent_env env;
    struct tw_metrics *metrics;
    void (*extra)(void *user, struct agent_round *round);
    void *extra_user;
    struct slot *slots;
    size_t slot_count;
    struct agent_round round;
    struct agent_presence own_presence;
    struct own *own;
    size_t own_count, own_capacity, own_next;
    uint32_t up_series;
};

static bool is_disabled(const char *const *disabled, const char *name)
{
    for (; disabled != NULL && *disabled != NULL; disabled++)
        if (strcmp(*disabled, name) == 0)
            return true;
    return false;
}

static void init_slot(struct agent_sampler *sampler, struct slot *slot,
                      const struct agent_source *source)
{
    static const struct agent_family success = {"node_scrape_collector_success", WIRE_TYPE_GAUGE,
                                                "1 if the source could be read."};
    static const struct agent_family duration = {"node_scrape_collector_duration_seconds",
                                                 WIRE_TYPE_GAUGE,
                                                 "How long reading the source took."};
    const struct wire_label label = {TW_STR("collector"), tw_str(source->name)};
    slot->source = source;
    slot->state = calloc(1, source->state_bytes);
    TW_ASSERT(slot->state != NULL);
    slot->due_ms = INT64_MIN;
    slot->success_series = agent_roster_add(sampler->env.roster, &success, &label, 1);
    slot->duration_series = agent_roster_add(sampler->env.roster, &duration, &label, 1);
    source->init(slot->state, &sampler->env);
}

struct agent_sampler *agent_sampler_new(const struct agent_sampler_setup *setup)
{
    static const struct agent_family up = {"up", WIRE_TYPE_GAUGE, "1 while the agent runs."};
    struct agent_sampler *sampler = calloc(1, sizeof *sampler);
    TW_ASSERT(sampler != NULL);
    sampler->magic = SAMPLER_MAGIC;
    sampler->metrics = setup->metrics;
    sampler->extra = setup->extra;
    sampler->extra_user = setup->extra_user;
    sampler->env = (struct agent_env){.roster = setup->roster,
                                      .clock = setup->clock,
                                      .proc = setup->proc != NULL ? setup->proc : "/proc",
                                      .sys = setup->sys != NULL ? setup->sys : "/sys",
                                      .etc = setup->etc != NULL ? setup->etc : "/etc"};
    tw_buf_init(&sampler->env.text, AGENT_TEXT_BYTES_MAX);
    agent_round_init(&sampler->round, setup->roster);
    sampler->up_series = agent_roster_add(setup->roster, &up, NULL, 0);
    size_t count = 0;
    while (setup->sources[count] != NULL)
        count++;
    sampler->slots = calloc(count + 1, sizeof *sampler->slots);
    TW_ASSERT(sampler->slots != NULL);
    for (size_t i = 0; i < count; i++)
        if (!is_disabled(setup->disabled, setup->sources[i]->name))
            init_slot(sampler, &sampler->slots[sampler->slot_count++], setup->sources[i]);
    return sampler;
}

struct agent_sampler *agent_sampler_free(struct agent_sampler *sampler)
{
    if (sampler == NULL)
        return NULL;
    TW_CHECK_MAGIC(sampler, SAMPLER_MAGIC);
    sampler->magic = 0;
    for (size_t i = 0; i < sampler->slot_count; i++) {
        struct slot *slot = &sampler->slots[i];
        slot->source->fini(slot->state);
        free(slot->state);
        agent_presence_fini(&slot->presence);
    }
    free(sampler->slots);
    free(sampler->own);
    agent_presence_fini(&sampler->own_presence);
    agent_round_fini(&sampler->round);
    tw_buf_fini(&sampler->env.text);
    free(sampler);
    return NULL;
}

static void run_slot(struct agent_sampler *sampler, struct slot *slot)
{
    struct tw_err err;
    uint32_t first = sampler->round.count;
    int64_t start_ns = tw_clock_mono_ns(sampler->env.clock);
    enum tw_code code = slot->source->collect(slot->state, &sampler->env, &sampler->round, &err);
    slot->duration_s = (double)(tw_clock_mono_ns(sampler->env.clock) - start_ns) / 1e9;
    slot->success = code == TW_OK;
    slot->failing = code != TW_OK;
    if (code != TW_OK)
        snprintf(slot->message, sizeof slot->message, "%s", err.message);
    agent_presence_update(&slot->presence, &sampler->round, first);
}

/* ---- the agent's own metrics ---- */

/* `a="b",c="d"` into labels that point into text, which is changed. */
static size_t split_labels(char *text, struct wire_label *ret_labels, size_t count_max)
{
    size_t count = 0;
    for (char *at = text; *at != '\0' && count < count_max;) {
        char *equals = strstr(at, "=\"");
        if (equals == NULL)
            break;
        char *value = equals + 2, *end = value, *to = value;
        for (; *end != '\0' && *end != '"'; end++) {
            if (*end == '\\' && end[1] != '\0')
                end++;
            *to++ = *end;
        }
        ret_labels[count++] =
            (struct wire_label){{at, (size_t)(equals - at)}, {value, (size_t)(to - value)}};
        at = *end == '"' ? end + 1 : end;
        if (*at == ',')
            at++;
    }
    return count;
}

static uint32_t own_series(struct agent_sampler *sampler, const char *name, const char *labels,
                           const char *help, enum tw_metric_type type)
{
    static const enum wire_metric_type types[] = {[TW_METRIC_COUNTER] = WIRE_TYPE_COUNTER,
                                                  [TW_METRIC_GAUGE] = WIRE_TYPE_GAUGE,
                                                  [TW_METRIC_HISTOGRAM] = WIRE_TYPE_HISTOGRAM};
    uint64_t key = tw_hash64_seeded(labels, strlen(labels), tw_hash64(name, strlen(name)));
    for (size_t tried = 0; tried < sampler->own_count; tried++) {
        size_t at = (sampler->own_next + tried) % sampler->own_count;
        if (sampler->own[at].key == key) {
            sampler->own_next = at + 1;
            return sampler->own[at].series;
        }
    }
    if (sampler->own_count == sampler->own_capacity) {
        sampler->own_capacity = sampler->own_capacity * 2 + 32;
        sampler->own = realloc(sampler->own, sampler->own_capacity * sizeof *sampler->own);
        TW_ASSERT(sampler->own != NULL);
    }
    char *text = tw_str_dup(tw_str(labels));
    struct wire_label items[8];
    const struct agent_family family = {name, types[type], help};
    uint32_t series =
        agent_roster_add(sampler->env.roster, &family, items, split_labels(text, items, 8));
    free(text);
    sampler->own[sampler->own_count++] = (struct own){key, series};
    return series;
}

static void put_own(void *user, const char *name, const char *labels, const char *help,
                    enum tw_metric_type type, double value)
{
    struct agent_sampler *sampler = user;
    agent_round_put(&sampler->round, own_series(sampler, name, labels, help, type), value);
}

/* ---- rounds ---- */

static void sweep(struct agent_sampler *sampler)
{
    if (sampler->round.tick % SWEEP_TICKS != 0)
        return;
    for (size_t i = 0; i < sampler->slot_count; i++)
        if (sampler->slots[i].source->sweep != NULL)
            sampler->slots[i].source->sweep(sampler->slots[i].state, sampler->round.tick);
}

const struct agent_round *agent_sampler_run(struct agent_sampler *sampler, int64_t time_ms)
{
    TW_CHECK_MAGIC(sampler, SAMPLER_MAGIC);
    agent_round_begin(&sampler->round, time_ms);
    sweep(sampler);
    for (size_t i = 0; i < sampler->slot_count; i++) {
        struct slot *slot = &sampler->slots[i];
        /* A clock that was set back must not silence a source for long. */
        if (time_ms >= slot->due_ms || slot->due_ms - time_ms > slot->source->period_s * 1000) {
            run_slot(sampler, slot);
            slot->due_ms = time_ms + (int64_t)slot->source->period_s * 1000;
        }
    }
    uint32_t first = sampler->round.count;
    agent_round_put(&sampler->round, sampler->up_series, 1);
    for (size_t i = 0; i < sampler->slot_count; i++) {
        struct slot *slot = &sampler->slots[i];
        agent_round_put(&sampler->round, slot->success_series, slot->success);
        agent_round_put(&sampler->round, slot->duration_series, slot->duration_s);
    }
    if (sampler->extra != NULL)
        sampler->extra(sampler->extra_user, &sampler->round);
    sampler->own_next = 0;
    if (sampler->metrics != NULL)
        tw_metrics_each(sampler->metrics, put_own, sampler);
    agent_presence_update(&sampler->own_presence, &sampler->round, first);
    return &sampler->round;
}

const struct agent_round *agent_sampler_end(struct agent_sampler *sampler, int64_t time_ms)
{
    TW_CHECK_MAGIC(sampler, SAMPLER_MAGIC);
    agent_round_begin(&sampler->round, time_ms);
    for (size_t i = 0; i < sampler->slot_count; i++)
        agent_presence_end(&sampler->slots[i].presence, &sampler->round);
    agent_presence_end(&sampler->own_presence, &sampler->round);
    return &sampler->round;
}

bool agent_sampler_change(struct agent_sampler *sampler, const char **ret_source,
                          const char **ret_message)
{
    for (size_t i = 0; i < sampler->slot_count; i++) {
        struct slot *slot = &sampler->slots[i];
        if (slot->failing == slot->told_failing)
            continue;
        slot->told_failing = slot->failing;
        *ret_source = slot->source->name;
        *ret_message = slot->failing ? slot->message : "";
        return true;
    }
    return false;
}
