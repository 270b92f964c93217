/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/kept_record.h"

#include <string.h>

#include "base/arena.h"
#include "base/number.h"

#define MAGIC 0x4d464454u /* "TDFM" */
#define RECORD_VERSION 1
enum { FLAG_SCORES = 1, FLAG_SUBQUERY = 2, FLAG_HOLIDAYS = 4 };

static void put(struct tw_buf *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        tw_buf_append_char(out, (char)(value >> (8 * i)));
}

static void put_double(struct tw_buf *out, double value)
{
    put(out, tw_double_bits(value), 8);
}

static void put_text(struct tw_buf *out, struct tw_str text)
{
    put(out, text.size, 4);
    tw_buf_append_str(out, text);
}

static void put_trial(struct tw_buf *out, const struct query_trial *trial)
{
    for (size_t k = 0; k < QUERY_TRIAL_HORIZONS; k++) {
        const struct query_trial_horizon *horizon = &trial->horizons[k];
        put(out, (uint64_t)horizon->ahead_ms, 8);
        put(out, (uint64_t)horizon->target_ms, 8);
        const double numbers[9] = {horizon->low,   horizon->middle, horizon->high,
                                   horizon->last,  horizon->weight, horizon->miss,
                                   horizon->naive, horizon->loss,   horizon->covered};
        for (size_t i = 0; i < 9; i++)
            put_double(out, numbers[i]);
    }
}

static void put_shape(struct tw_buf *out, uint64_t holidays, const struct forecast_shape *shape)
{
    put(out, holidays, 8);
    for (size_t i = 0; i < 7 * 24; i++)
        put_double(out, (double)shape->level[i / 24][i % 24]);
}

bool query_kept_record_write(const struct query_kept_model *model, struct tw_buf *out)
{
    uint8_t bytes[FORECAST_MODEL_BYTES_MAX];
    const struct query_subject_key *key = model->subject;
    const struct query_learned *learned = model->learned;
    size_t size = forecast_model_size(learned->model);
    put(out, MAGIC, 4);
    put(out, RECORD_VERSION, 2);
    put(out,
        (key->scores ? FLAG_SCORES : 0) | (key->is_subquery ? FLAG_SUBQUERY : 0) |
            (key->holidays ? FLAG_HOLIDAYS : 0),
        2);
    const int64_t times[] = {key->range_ms,    key->horizon_ms, learned->epoch_ms,
                             learned->step_ms, learned->held,   learned->newest_ms};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        put(out, (uint64_t)times[i], 8);
    put(out, learned->leads, 4);
    put_double(out, learned->spread);
    put_double(out, learned->score);
    put_trial(out, model->trial);
    put_text(out, key->text);
    put(out, model->labels.count, 4);
    for (size_t i = 0; i < model->labels.count; i++) {
        put_text(out, model->labels.items[i].name);
        put_text(out, model->labels.items[i].value);
    }
    forecast_model_write(learned->model, bytes);
    put_text(out, (struct tw_str){(const char *)bytes, size});
    if (key->holidays)
        put_shape(out, key->holidays, &learned->shape);
    return !out->overflow;
}

/* ---- reading ---- */

struct reader {
    struct tw_str rest;
    bool bad;
};

static uint64_t take(struct reader *reader, size_t bytes)
{
    uint64_t value = 0;
    if (reader->bad || reader->rest.size < bytes) {
        reader->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)(uint8_t)reader->rest.data[i] << (8 * i);
    reader->rest = tw_str_slice(reader->rest, bytes, reader->rest.size);
    return value;
}

static double take_double(struct reader *reader)
{
    return tw_double_from_bits(take(reader, 8));
}

static struct tw_str take_text(struct reader *reader)
{
    size_t size = (size_t)take(reader, 4);
    if (reader->bad || reader->rest.size < size) {
        reader->bad = true;
        return (struct tw_str){"", 0};
    }
    struct tw_str text = tw_str_slice(reader->rest, 0, size);
    reader->rest = tw_str_slice(reader->rest, size, reader->rest.size);
    return text;
}

static void take_trial(struct reader *reader, struct query_trial *ret)
{
    for (size_t k = 0; k < QUERY_TRIAL_HORIZONS; k++) {
        struct query_trial_horizon *horizon = &ret->horizons[k];
        horizon->ahead_ms = (int64_t)take(reader, 8);
        horizon->target_ms = (int64_t)take(reader, 8);
        double *const numbers[9] = {&horizon->low,   &horizon->middle, &horizon->high,
                                    &horizon->last,  &horizon->weight, &horizon->miss,
                                    &horizon->naive, &horizon->loss,   &horizon->covered};
        for (size_t i = 0; i < 9; i++)
            *numbers[i] = take_double(reader);
    }
}

static void take_shape(struct reader *reader, uint64_t *ret_holidays, struct forecast_shape *ret)
{
    *ret_holidays = take(reader, 8);
    for (size_t i = 0; i < 7 * 24; i++)
        ret->level[i / 24][i % 24] = (float)take_double(reader);
}

static struct wire_labels take_labels(struct reader *reader, struct wire_label *items)
{
    size_t count = (size_t)take(reader, 4);
    if (count > WIRE_LABELS_COUNT_MAX)
        reader->bad = true;
    for (size_t i = 0; !reader->bad && i < count; i++) {
        items[i].name = take_text(reader);
        items[i].value = take_text(reader);
    }
    return (struct wire_labels){items, reader->bad ? 0 : count};
}

enum tw_code query_kept_record_read(struct tw_str record, struct query_kept *kept, int64_t now_ms,
                                    struct tw_err *err)
{
    struct reader reader = {record, false};
    struct query_subject_key key = {0};
    struct query_learned learned = {0};
    struct query_trial trial = {0};
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    if (take(&reader, 4) != MAGIC || take(&reader, 2) != RECORD_VERSION)
        return tw_err_set(err, TW_BAD_DATA, "no record of a model, or one of another version");
    uint64_t flags = take(&reader, 2);
    key.scores = flags & FLAG_SCORES;
    key.is_subquery = flags & FLAG_SUBQUERY;
    int64_t *const times[] = {&key.range_ms,    &key.horizon_ms, &learned.epoch_ms,
                              &learned.step_ms, &learned.held,   &learned.newest_ms};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        *times[i] = (int64_t)take(&reader, 8);
    learned.leads = (size_t)take(&reader, 4);
    learned.spread = take_double(&reader);
    learned.score = take_double(&reader);
    take_trial(&reader, &trial);
    key.text = take_text(&reader);
    struct wire_labels labels = take_labels(&reader, items);
    struct tw_str bytes = take_text(&reader);
    if (flags & FLAG_HOLIDAYS)
        take_shape(&reader, &key.holidays, &learned.shape);
    if (reader.bad || key.range_ms < 1 || learned.step_ms < 1 || learned.held < 0 ||
        learned.leads < 1 || learned.leads > FORECAST_HORIZON_MAX)
        return tw_err_set(err, TW_BAD_DATA, "the record of a model is damaged");
    enum tw_code code =
        forecast_model_read((const uint8_t *)bytes.data, bytes.size, &learned.model, err);
    if (code != TW_OK)
        return code;
    struct query_subject *subject = query_kept_hold(kept, &key, true, now_ms);
    if (subject)
        query_kept_give(kept, subject, labels, &learned, &trial, false, now_ms);
    query_kept_drop(kept, subject);
    learned.model = forecast_model_free(learned.model);
    return TW_OK;
}
