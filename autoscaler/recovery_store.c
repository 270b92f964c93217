/* SPDX-License-Identifier: Apache-2.0
 *
 * What a recovery goes on with after a restart; drawn in docs/format/state-scaler.md.
 */
#include "config.h"

#include "autoscaler/record.h"
#include "autoscaler/recovery.h"

#define TABLE "scaler.recovery"
#define MAGIC 0x52444331u
#define VERSION_WRITTEN 1
#define RECORD_BYTES_MAX (SCALE_PATIENTS_MAX * 320 + 4096)

static void encode(const struct scale_recovery *recovery, struct tw_buf *out)
{
    scale_record_put(out, MAGIC, 4);
    scale_record_put(out, VERSION_WRITTEN, 2);
    scale_record_put(out, recovery->act_count, 4);
    for (size_t i = 0; i < recovery->act_count; i++)
        scale_record_put(out, (uint64_t)recovery->acts_ms[i], 8);
    scale_record_put(out, recovery->patient_count, 4);
    for (size_t i = 0; i < recovery->patient_count; i++) {
        const struct scale_patient *patient = &recovery->patients[i];
        scale_record_put(out, patient->state, 1);
        scale_record_put(out, patient->observed, 1);
        scale_record_put(out, (uint64_t)patient->since_ms, 8);
        scale_record_put(out, (uint64_t)patient->acted_ms, 8);
        scale_record_put(out, (uint64_t)patient->well_then, 8);
        scale_record_put(out, patient->attempts, 4);
        scale_record_put_text(out, patient->name);
    }
}

static bool decode(struct tw_str value, struct scale_recovery *ret)
{
    struct scale_reader reader = scale_reader_of(value);
    if (scale_record_take(&reader, 4) != MAGIC || scale_record_take(&reader, 2) != VERSION_WRITTEN)
        return false;
    ret->act_count = (size_t)scale_record_take(&reader, 4);
    if (ret->act_count > SCALE_RECOVERY_ACTS_MAX)
        return false;
    for (size_t i = 0; i < ret->act_count; i++)
        ret->acts_ms[i] = (int64_t)scale_record_take(&reader, 8);
    ret->patient_count = (size_t)scale_record_take(&reader, 4);
    if (ret->patient_count > SCALE_PATIENTS_MAX)
        return false;
    for (size_t i = 0; i < ret->patient_count; i++) {
        struct scale_patient *patient = &ret->patients[i];
        patient->state =
            (enum scale_patient_state)scale_record_take_enum(&reader, SCALE_PATIENT_GIVEN_UP);
        patient->observed = scale_record_take_enum(&reader, 1);
        patient->since_ms = (int64_t)scale_record_take(&reader, 8);
        patient->acted_ms = (int64_t)scale_record_take(&reader, 8);
        patient->well_then = (int64_t)scale_record_take(&reader, 8);
        patient->attempts = (unsigned)scale_record_take(&reader, 4);
        scale_record_take_text(&reader, patient->name, sizeof patient->name);
    }
    return scale_record_ended(&reader);
}

enum tw_code scale_recovery_read(struct tsdb_state *state, struct tw_str scaler,
                                 struct scale_recovery *ret, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    struct tw_str value;
    enum tw_code code = tsdb_state_begin(state, false, &txn, err);
    if (code != TW_OK)
        return code;
    *ret = (struct scale_recovery){0};
    code = tsdb_state_get(txn, TABLE, scaler, &value, err);
    if (code == TW_OK && !decode(value, ret)) {
        *ret = (struct scale_recovery){0};
        code = tw_err_set(err, TW_CORRUPT, "the recovery of scaler '%.*s' cannot be read",
                          TW_STR_ARG(scaler));
    }
    tsdb_state_abort(txn);
    return code == TW_NOT_FOUND ? TW_OK : code;
}

enum tw_code scale_recovery_write(struct tsdb_state *state, struct tw_str scaler,
                                  const struct scale_recovery *recovery, struct scale_audit *audits,
                                  size_t audit_count, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    struct tw_buf bytes;
    enum tw_code code = tsdb_state_begin(state, true, &txn, err);
    if (code != TW_OK)
        return code;
    tw_buf_init(&bytes, RECORD_BYTES_MAX);
    encode(recovery, &bytes);
    code = tsdb_state_put(txn, TABLE, scaler, tw_buf_str(&bytes), err);
    tw_buf_fini(&bytes);
    for (size_t i = 0; i < audit_count && code == TW_OK; i++)
        code = scale_audit_append(txn, &audits[i], err);
    if (code == TW_OK)
        return tsdb_state_commit(txn, err);
    tsdb_state_abort(txn);
    return code;
}
