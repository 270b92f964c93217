/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/effect.h"

#include <math.h>

#include "autoscaler/journal.h"
#include "autoscaler/record.h"
#include "base/assert.h"

#define TABLE "scaler.outcome"
#define MAGIC 0x4f444331u
#define VERSION_WRITTEN 1
#define RECORD_BYTES_MAX 128
#define OVER_SHARE 1.001 /* less than this above is noise of the numbers */

static const char *const verdict_names[] = {
#define SCALE_VERDICT_NAME(name, text) text,
    SCALE_VERDICT_TABLE(SCALE_VERDICT_NAME)
#undef SCALE_VERDICT_NAME
};

const char *scale_verdict_name(enum scale_verdict verdict)
{
    TW_ASSERT(verdict < SCALE_VERDICTS);
    return verdict_names[verdict];
}

void scale_watch_begin(struct scale_watch *watch, const struct scale_decision *decision,
                       int64_t settle_ms)
{
    bool out = decision->to > decision->from;
    int64_t lead = out ? decision->startup_ms : 0;
    *watch = (struct scale_watch){
        .open = true,
        .acted = decision->key[0] != 0,
        .since_ms = decision->since_ms,
        .to = decision->to,
        .due_ms = decision->time_ms + lead +
                  (settle_ms > decision->horizon_ms ? settle_ms : decision->horizon_ms),
        .outcome = {.from_ms = decision->time_ms + lead,
                    .serving = -1,
                    .load = NAN,
                    .capacity = NAN},
    };
}

bool scale_watch_look(struct scale_watch *watch, const struct scale_decision *decision)
{
    struct scale_effect *outcome = &watch->outcome;
    if (!watch->open || decision->time_ms < outcome->from_ms)
        return false;
    int64_t serving = !watch->acted          ? watch->to
                      : decision->ready >= 0 ? decision->ready
                                             : decision->replicas;
    if (watch->acted && serving >= 0)
        outcome->serving = serving;
    bool usable = decision->data == SCALE_DATA_OK && serving >= 0 && decision->capacity > 0;
    if (usable) {
        double capacity = (double)serving * decision->capacity;
        outcome->looks++;
        outcome->over += decision->load > OVER_SHARE * capacity;
        watch->short_looks += serving < watch->to;
        /* false for NaN: the first one is taken */
        if (!(decision->load - capacity <= outcome->load - outcome->capacity)) {
            outcome->load = decision->load;
            outcome->capacity = capacity;
        }
    }
    return decision->time_ms >= watch->due_ms;
}

bool scale_watch_end(struct scale_watch *watch, int64_t now_ms, struct scale_effect *ret)
{
    if (!watch->open)
        return false;
    struct scale_effect *outcome = &watch->outcome;
    outcome->until_ms = now_ms;
    if (outcome->looks == 0)
        outcome->verdict = SCALE_VERDICT_UNKNOWN;
    else if (2 * watch->short_looks > outcome->looks)
        outcome->verdict = SCALE_VERDICT_MISSING;
    else
        outcome->verdict = outcome->over ? SCALE_VERDICT_OVERLOADED : SCALE_VERDICT_CARRIED;
    *ret = *outcome;
    watch->open = false;
    return true;
}

/* ---- in the store ---- */

enum tw_code scale_effect_write(struct tsdb_state *state, struct tw_str scaler, int64_t since_ms,
                                 const struct scale_effect *outcome, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    struct tw_buf bytes;
    char key[SCALE_DECISION_KEY_BYTES];
    enum tw_code code = tsdb_state_begin(state, true, &txn, err);
    if (code != TW_OK)
        return code;
    tw_buf_init(&bytes, RECORD_BYTES_MAX);
    scale_record_put(&bytes, MAGIC, 4);
    scale_record_put(&bytes, VERSION_WRITTEN, 2);
    scale_record_put(&bytes, outcome->verdict, 1);
    scale_record_put(&bytes, (uint64_t)outcome->from_ms, 8);
    scale_record_put(&bytes, (uint64_t)outcome->until_ms, 8);
    scale_record_put(&bytes, (uint64_t)outcome->looks, 8);
    scale_record_put(&bytes, (uint64_t)outcome->over, 8);
    scale_record_put(&bytes, (uint64_t)outcome->serving, 8);
    scale_record_put_double(&bytes, outcome->load);
    scale_record_put_double(&bytes, outcome->capacity);
    code = tsdb_state_put(txn, TABLE, scale_journal_key(key, scaler, since_ms), tw_buf_str(&bytes),
                          err);
    tw_buf_fini(&bytes);
    if (code == TW_OK)
        return tsdb_state_commit(txn, err);
    tsdb_state_abort(txn);
    return code;
}

enum tw_code scale_effect_read(struct tsdb_state_txn *txn, struct tw_str scaler, int64_t since_ms,
                                struct scale_effect *ret, struct tw_err *err)
{
    char key[SCALE_DECISION_KEY_BYTES];
    struct tw_str value;
    enum tw_code code =
        tsdb_state_get(txn, TABLE, scale_journal_key(key, scaler, since_ms), &value, err);
    if (code != TW_OK)
        return code;
    struct scale_reader reader = scale_reader_of(value);
    bool known =
        scale_record_take(&reader, 4) == MAGIC && scale_record_take(&reader, 2) == VERSION_WRITTEN;
    ret->verdict = (enum scale_verdict)scale_record_take_enum(&reader, SCALE_VERDICTS - 1);
    ret->from_ms = (int64_t)scale_record_take(&reader, 8);
    ret->until_ms = (int64_t)scale_record_take(&reader, 8);
    ret->looks = (int64_t)scale_record_take(&reader, 8);
    ret->over = (int64_t)scale_record_take(&reader, 8);
    ret->serving = (int64_t)scale_record_take(&reader, 8);
    ret->load = scale_record_take_double(&reader);
    ret->capacity = scale_record_take_double(&reader);
    if (!known || !scale_record_ended(&reader))
        return tw_err_set(err, TW_CORRUPT, "an outcome of scaler '%.*s' is damaged",
                          TW_STR_ARG(scaler));
    return TW_OK;
}

enum tw_code scale_effect_delete(struct tsdb_state_txn *txn, struct tw_str key, struct tw_err *err)
{
    return tsdb_state_delete(txn, TABLE, key, err);
}

void scale_effect_write_json(const struct scale_effect *outcome, struct tw_json_writer *writer)
{
    tw_json_key(writer, TW_STR("outcome"));
    if (!outcome) {
        tw_json_write_null(writer);
        return;
    }
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "verdict", scale_verdict_name(outcome->verdict));
    tw_json_member_number(writer, "from", (double)outcome->from_ms / 1000);
    tw_json_member_number(writer, "until", (double)outcome->until_ms / 1000);
    tw_json_member_int(writer, "looks", outcome->looks);
    tw_json_member_int(writer, "overloaded_looks", outcome->over);
    tw_json_key(writer, TW_STR("serving"));
    if (outcome->serving >= 0)
        tw_json_write_int(writer, outcome->serving);
    else
        tw_json_write_null(writer);
    tw_json_member_number(writer, "load", outcome->load);
    tw_json_member_number(writer, "capacity", outcome->capacity);
    tw_json_end_object(writer);
}
