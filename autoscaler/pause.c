/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/pause.h"

#include <string.h>

#include "autoscaler/record.h"
#include "base/assert.h"

#define TABLE "scaler.pause"
#define MAGIC 0x50444331u
#define VERSION_WRITTEN 1
#define RECORD_BYTES_MAX 4096

static const char *const names[SCALE_PAUSE_KINDS] = {"scale-in", "scale-out",
                                                     "the number of replicas"};

const char *scale_pause_name(enum scale_pause_kind kind)
{
    TW_ASSERT(kind < SCALE_PAUSE_KINDS);
    return names[kind];
}

unsigned scale_pauses_expire(struct scale_pauses *pauses, int64_t now_ms)
{
    unsigned ended = 0;
    for (unsigned k = 0; k < SCALE_PAUSE_KINDS; k++)
        if (pauses->items[k].holds && pauses->items[k].until_ms <= now_ms) {
            pauses->items[k].holds = false;
            ended |= 1u << k;
        }
    return ended;
}

void scale_pauses_apply(const struct scale_pauses *pauses, struct scale_policy *policy)
{
    const struct scale_pause *set = &pauses->items[SCALE_PAUSE_SET];
    policy->hold_in = pauses->items[SCALE_PAUSE_IN].holds;
    policy->hold_out = pauses->items[SCALE_PAUSE_OUT].holds;
    policy->is_set = set->holds;
    policy->set_replicas = set->holds ? set->replicas : 0;
}

static void write_one(const struct scale_pause *pause, const char *key, bool with_replicas,
                      struct tw_json_writer *writer)
{
    tw_json_key(writer, tw_str(key));
    if (!pause->holds) {
        tw_json_write_null(writer);
        return;
    }
    tw_json_begin_object(writer);
    if (with_replicas)
        tw_json_member_int(writer, "replicas", pause->replicas);
    tw_json_member_number(writer, "since", (double)pause->since_ms / 1000);
    tw_json_key(writer, TW_STR("until"));
    if (pause->until_ms == INT64_MAX)
        tw_json_write_null(writer);
    else
        tw_json_write_number(writer, (double)pause->until_ms / 1000);
    tw_json_member_cstr(writer, "who", pause->who);
    tw_json_member_cstr(writer, "reason", pause->reason);
    tw_json_end_object(writer);
}

void scale_pauses_write_json(const struct scale_pauses *pauses, struct tw_json_writer *writer)
{
    tw_json_key(writer, TW_STR("paused"));
    tw_json_begin_object(writer);
    write_one(&pauses->items[SCALE_PAUSE_IN], "in", false, writer);
    write_one(&pauses->items[SCALE_PAUSE_OUT], "out", false, writer);
    tw_json_end_object(writer);
    write_one(&pauses->items[SCALE_PAUSE_SET], "set", true, writer);
}

/* ---- in the store ---- */

static void encode(const struct scale_pauses *pauses, struct tw_buf *out)
{
    scale_record_put(out, MAGIC, 4);
    scale_record_put(out, VERSION_WRITTEN, 2);
    for (unsigned k = 0; k < SCALE_PAUSE_KINDS; k++) {
        const struct scale_pause *pause = &pauses->items[k];
        scale_record_put(out, pause->holds, 1);
        scale_record_put(out, (uint64_t)pause->since_ms, 8);
        scale_record_put(out, (uint64_t)pause->until_ms, 8);
        scale_record_put(out, (uint64_t)pause->replicas, 8);
        scale_record_put_text(out, pause->who);
        scale_record_put_text(out, pause->reason);
    }
}

static bool decode(struct tw_str value, struct scale_pauses *ret)
{
    struct scale_reader reader = scale_reader_of(value);
    if (scale_record_take(&reader, 4) != MAGIC || scale_record_take(&reader, 2) != VERSION_WRITTEN)
        return false;
    for (unsigned k = 0; k < SCALE_PAUSE_KINDS; k++) {
        struct scale_pause *pause = &ret->items[k];
        pause->holds = scale_record_take_enum(&reader, 1);
        pause->since_ms = (int64_t)scale_record_take(&reader, 8);
        pause->until_ms = (int64_t)scale_record_take(&reader, 8);
        pause->replicas = (int64_t)scale_record_take(&reader, 8);
        scale_record_take_text(&reader, pause->who, sizeof pause->who);
        scale_record_take_text(&reader, pause->reason, sizeof pause->reason);
    }
    return scale_record_ended(&reader);
}

enum tw_code scale_pauses_read(struct tsdb_state *state, struct tw_str scaler,
                               struct scale_pauses *ret, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    struct tw_str value;
    enum tw_code code = tsdb_state_begin(state, false, &txn, err);
    if (code != TW_OK)
        return code;
    *ret = (struct scale_pauses){0};
    code = tsdb_state_get(txn, TABLE, scaler, &value, err);
    if (code == TW_OK && !decode(value, ret)) {
        *ret = (struct scale_pauses){0};
        code = tw_err_set(err, TW_CORRUPT, "the pauses of scaler '%.*s' cannot be read",
                          TW_STR_ARG(scaler));
    }
    tsdb_state_abort(txn);
    return code == TW_NOT_FOUND ? TW_OK : code;
}

enum tw_code scale_pauses_write(struct tsdb_state *state, struct tw_str scaler,
                                const struct scale_pauses *pauses, struct scale_audit *audits,
                                size_t audit_count, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    struct tw_buf bytes;
    enum tw_code code = tsdb_state_begin(state, true, &txn, err);
    if (code != TW_OK)
        return code;
    tw_buf_init(&bytes, RECORD_BYTES_MAX);
    encode(pauses, &bytes);
    code = tsdb_state_put(txn, TABLE, scaler, tw_buf_str(&bytes), err);
    tw_buf_fini(&bytes);
    for (size_t i = 0; i < audit_count && code == TW_OK; i++)
        code = scale_audit_append(txn, &audits[i], err);
    if (code == TW_OK)
        return tsdb_state_commit(txn, err);
    tsdb_state_abort(txn);
    return code;
}
