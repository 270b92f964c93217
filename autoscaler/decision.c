/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/decision.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "autoscaler/effect.h"
#include "autoscaler/record.h"
#include "base/assert.h"
#include "base/number.h"

#define RECORD_MAGIC 0x53444331u /* "1CDS" on disk */
#define RECORD_VERSION 1

bool scale_decision_is_blind(const struct scale_decision *decision)
{
    return decision->from < 0 && isnan(decision->load);
}

const char *scale_data_name(enum scale_data data)
{
    static const char *const names[] = {
#define SCALE_DATA_TEXT(name, text) text,
        SCALE_DATA_TABLE(SCALE_DATA_TEXT)
#undef SCALE_DATA_TEXT
    };
    TW_ASSERT((size_t)data < sizeof names / sizeof *names);
    return names[data];
}

const char *scale_guard_name(enum scale_guard guard)
{
    static const char *const names[] = {
#define SCALE_GUARD_TEXT(name, text) text,
        SCALE_GUARD_TABLE(SCALE_GUARD_TEXT)
#undef SCALE_GUARD_TEXT
    };
    TW_ASSERT((size_t)guard < sizeof names / sizeof *names);
    return names[guard];
}

const char *scale_action_name(enum scale_action action)
{
    static const char *const names[] = {
#define SCALE_ACTION_TEXT(name, text) text,
        SCALE_ACTION_TABLE(SCALE_ACTION_TEXT)
#undef SCALE_ACTION_TEXT
    };
    TW_ASSERT((size_t)action < sizeof names / sizeof *names);
    return names[action];
}

void scale_decision_note(struct scale_decision *decision, enum scale_guard guard, int64_t before,
                         int64_t after, const char *format, ...)
{
    if (before == after)
        return;
    TW_ASSERT(decision->guard_count < SCALE_GUARDS_MAX);
    struct scale_guard_act *act = &decision->guards[decision->guard_count++];
    act->guard = guard;
    act->before = before;
    act->after = after;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(act->text, sizeof act->text, format, arguments);
    va_end(arguments);
}

bool scale_decision_same(const struct scale_decision *a, const struct scale_decision *b)
{
    if (a->to != b->to || a->from != b->from || a->data != b->data ||
        a->guard_count != b->guard_count || a->key[0] || b->key[0] || a->min != b->min ||
        a->max != b->max)
        return false;
    for (size_t k = 0; k < a->guard_count; k++)
        if (a->guards[k].guard != b->guards[k].guard)
            return false;
    return a->budget.at_cap == b->budget.at_cap &&
           scale_allocation_same(&a->allocation, &b->allocation);
}

/* ---- as JSON ---- */

static void write_replicas(struct tw_json_writer *writer, const char *key, int64_t replicas)
{
    if (replicas >= 0) {
        tw_json_member_int(writer, key, replicas);
        return;
    }
    tw_json_key(writer, tw_str(key));
    tw_json_write_null(writer);
}

static void write_time(struct tw_json_writer *writer, const char *key, int64_t ms, bool known)
{
    tw_json_key(writer, tw_str(key));
    if (known)
        tw_json_write_number(writer, (double)ms / 1000);
    else
        tw_json_write_null(writer);
}

static void write_action(const struct scale_decision *decision, struct tw_json_writer *writer)
{
    tw_json_key(writer, TW_STR("action"));
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "status", scale_action_name(decision->action));
    tw_json_member_int(writer, "attempts", decision->attempts);
    write_replicas(writer, "http_status", decision->http_status ? decision->http_status : -1);
    tw_json_member_cstr(writer, "error", decision->error);
    write_time(writer, "time", decision->action_ms, decision->attempts > 0);
    tw_json_end_object(writer);
}

void scale_decision_write_json(const struct scale_decision *decision,
                               const struct scale_effect *outcome, struct tw_json_writer *writer)
{
    tw_json_begin_object(writer);
    write_time(writer, "time", decision->time_ms, true);
    write_time(writer, "since", decision->since_ms, true);
    tw_json_member_int(writer, "count", decision->count);
    write_replicas(writer, "from", decision->from);
    tw_json_member_int(writer, "to", decision->to);
    tw_json_member_int(writer, "wanted", decision->wanted);
    tw_json_member_int(writer, "reactive", decision->reactive);
    write_replicas(writer, "replicas", decision->replicas);
    write_replicas(writer, "ready", decision->ready);
    tw_json_member_number(writer, "load", decision->load);
    write_time(writer, "load_time", decision->load_ms, !isnan(decision->load));
    tw_json_member_cstr(writer, "data", scale_data_name(decision->data));
    tw_json_member_number(writer, "capacity_per_replica", decision->capacity);
    tw_json_member_number(writer, "startup_seconds", (double)decision->startup_ms / 1000);
    tw_json_key(writer, TW_STR("forecast"));
    tw_json_begin_object(writer);
    tw_json_member_number(writer, "horizon_s", (double)decision->horizon_ms / 1000);
    tw_json_member_number(writer, "quantile", decision->quantile);
    tw_json_member_number(writer, "q50", decision->q50);
    tw_json_member_number(writer, "q95", decision->q95);
    tw_json_member_number(writer, "used", decision->used);
    tw_json_end_object(writer);
    tw_json_member_int(writer, "min", decision->min);
    tw_json_member_int(writer, "max", decision->max);
    tw_json_key(writer, TW_STR("guards"));
    tw_json_begin_array(writer);
    for (size_t k = 0; k < decision->guard_count; k++) {
        const struct scale_guard_act *act = &decision->guards[k];
        tw_json_begin_object(writer);
        tw_json_member_cstr(writer, "guard", scale_guard_name(act->guard));
        tw_json_member_int(writer, "before", act->before);
        tw_json_member_int(writer, "after", act->after);
        tw_json_member_cstr(writer, "text", act->text);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
    tw_json_member_cstr(writer, "reason", decision->reason);
    scale_allocation_write_json(&decision->allocation, writer);
    scale_budget_write_json(&decision->budget, writer);
    write_action(decision, writer);
    tw_json_member_cstr(writer, "idempotency_key", decision->key);
    scale_effect_write_json(outcome, writer);
    tw_json_end_object(writer);
}

/* ---- as a record: little-endian, drawn in docs/format/state-scaler.md ---- */

void scale_decision_encode(const struct scale_decision *decision, struct tw_buf *ret_bytes)
{
    const int64_t ints[] = {decision->time_ms,  decision->since_ms,  decision->load_ms,
                            decision->replicas, decision->ready,     decision->startup_ms,
                            decision->min,      decision->max,       decision->horizon_ms,
                            decision->from,     decision->to,        decision->wanted,
                            decision->reactive, decision->action_ms, decision->http_status};
    const double doubles[] = {decision->load, decision->capacity, decision->quantile,
                              decision->q50,  decision->q95,      decision->used};
    scale_record_put(ret_bytes, RECORD_MAGIC, 4);
    scale_record_put(ret_bytes, RECORD_VERSION, 2);
    scale_record_put(ret_bytes, decision->data, 1);
    scale_record_put(ret_bytes, decision->action, 1);
    scale_record_put(ret_bytes, decision->count, 4);
    scale_record_put(ret_bytes, decision->attempts, 4);
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        scale_record_put(ret_bytes, (uint64_t)ints[i], 8);
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
        scale_record_put_double(ret_bytes, doubles[i]);
    scale_record_put(ret_bytes, decision->guard_count, 1);
    for (size_t k = 0; k < decision->guard_count; k++) {
        scale_record_put(ret_bytes, decision->guards[k].guard, 1);
        scale_record_put(ret_bytes, (uint64_t)decision->guards[k].before, 8);
        scale_record_put(ret_bytes, (uint64_t)decision->guards[k].after, 8);
        scale_record_put_text(ret_bytes, decision->guards[k].text);
    }
    scale_record_put_text(ret_bytes, decision->reason);
    scale_record_put_text(ret_bytes, decision->error);
    scale_record_put_text(ret_bytes, decision->key);
    scale_allocation_encode(&decision->allocation, ret_bytes);
    scale_budget_encode(&decision->budget, ret_bytes);
}

static void take_guards(struct scale_reader *reader, struct scale_decision *decision)
{
    decision->guard_count = (size_t)scale_record_take(reader, 1);
    if (decision->guard_count > SCALE_GUARDS_MAX)
        reader->bad = true;
    for (size_t k = 0; k < decision->guard_count && !reader->bad; k++) {
        struct scale_guard_act *act = &decision->guards[k];
        act->guard = (enum scale_guard)scale_record_take_enum(reader, SCALE_GUARD_KINDS - 1);
        act->before = (int64_t)scale_record_take(reader, 8);
        act->after = (int64_t)scale_record_take(reader, 8);
        scale_record_take_text(reader, act->text, sizeof act->text);
    }
}

enum tw_code scale_decision_decode(struct tw_str bytes, struct scale_decision *ret,
                                   struct tw_err *err)
{
    struct scale_reader reader = scale_reader_of(bytes);
    struct scale_decision decision = {0};
    int64_t http_status = 0;
    uint64_t magic = scale_record_take(&reader, 4), version = scale_record_take(&reader, 2);
    if (reader.bad || magic != RECORD_MAGIC)
        return tw_err_set(err, TW_CORRUPT, "a scaler's decision does not begin as one");
    if (version != RECORD_VERSION)
        return tw_err_set(err, TW_UNSUPPORTED,
                          "a scaler's decision is of format version %u, this program reads %d",
                          (unsigned)version, RECORD_VERSION);
    decision.data = (enum scale_data)scale_record_take_enum(&reader, SCALE_DATA_KINDS - 1);
    decision.action = (enum scale_action)scale_record_take_enum(&reader, SCALE_ACTION_SUPERSEDED);
    decision.count = (uint32_t)scale_record_take(&reader, 4);
    decision.attempts = (uint32_t)scale_record_take(&reader, 4);
    int64_t *const ints[] = {&decision.time_ms,  &decision.since_ms,  &decision.load_ms,
                             &decision.replicas, &decision.ready,     &decision.startup_ms,
                             &decision.min,      &decision.max,       &decision.horizon_ms,
                             &decision.from,     &decision.to,        &decision.wanted,
                             &decision.reactive, &decision.action_ms, &http_status};
    double *const doubles[] = {&decision.load, &decision.capacity, &decision.quantile,
                               &decision.q50,  &decision.q95,      &decision.used};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        *ints[i] = (int64_t)scale_record_take(&reader, 8);
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
        *doubles[i] = scale_record_take_double(&reader);
    decision.http_status = (int)http_status;
    take_guards(&reader, &decision);
    scale_record_take_text(&reader, decision.reason, sizeof decision.reason);
    scale_record_take_text(&reader, decision.error, sizeof decision.error);
    scale_record_take_text(&reader, decision.key, sizeof decision.key);
    struct tw_str rest = {(const char *)reader.at, (size_t)(reader.end - reader.at)};
    reader.bad = reader.bad || !scale_allocation_decode(&rest, &decision.allocation) ||
                 !scale_budget_decode(&rest, &decision.budget);
    reader.at = reader.end - rest.size;
    if (!scale_record_ended(&reader))
        return tw_err_set(err, TW_CORRUPT, "a scaler's decision of %zu bytes is damaged",
                          bytes.size);
    *ret = decision;
    return TW_OK;
}
