/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/keeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/thread.h"
#include "query/kept_record.h"
#include "query/parser.h"
#include "query/range_kernel.h"

#define KEEPER_MAGIC 0x6b656570u
#define MODEL_TABLE "forecast.model"
#define PIN_TABLE "forecast.pin"
#define NICENESS 10
/* Of one core, the thread takes one part in so many. */
#define REST_PARTS 9
#define ROUND_NS INT64_C(1000000000)
#define REST_NS_MAX (INT64_C(600) * 1000000000)
/* A round that has used so much goes on with what is left in the next. */
#define ROUND_CPU_NS (INT64_C(200) * 1000000)
#define RENEWALS_PER_ROUND 64
#define SUBJECTS_PER_ROUND 16
/* A subject of which nothing could be learned is left alone for a while. */
#define DELAY_MS (INT64_C(60) * 1000)
/* A subquery is worked out for all of its series at once: for a few that do badly it is not. */
#define SUBQUERY_SHARE 8
#define RECORDS_PER_ROUND 64
#define EXPIRE_MS (INT64_C(60) * 1000)
#define ERRORS_MS (INT64_C(120) * 1000)
#define ERRORS_PER_APPEND 500

struct pin {
    char *text;
    size_t size;
    bool is_configured, is_stored; /* one is set, or both */
    int64_t evaluated_ms;
    double seconds;
    size_t series;
    char error[TW_ERR_MESSAGE_BYTES];
};

enum work { WORK_PINS, WORK_RENEWALS, WORK_RECORDS, WORK_ERRORS, WORK_COUNT };

struct query_keeper {
    unsigned magic;
    struct query_keeper_options options;
    struct query_engine *engine;
    struct tw_thread thread;
    struct tw_lock lock; /* guards what follows */
    struct tw_cond wake;
    bool is_stopping;
    struct pin *pins; /* as texts order them */
    size_t pin_count;
    int64_t interval_ms;
    bool hides_errors;
    /* Of rounds alone. */
    size_t next_pin;
    int64_t expired_ms, errors_ms;
    struct tw_metric *seconds[WORK_COUNT], *failures[WORK_COUNT];
    struct tw_metric *pins_shown;
};

/* ---- pins ---- */

static bool has_forecast(const struct query_node *node)
{
    const struct query_node *child;
    bool has = node->type == QUERY_NODE_CALL && node->call.function->kind == QUERY_KIND_RANGE &&
               query_range_forecasts(node->call.function->id);
    for (size_t i = 0; !has && (child = query_node_child(node, i)); i++)
        has = has_forecast(child);
    return has;
}

enum tw_code query_pin_check(struct tw_str text, unsigned features, struct tw_err *err)
{
    struct query_ast *ast;
    if (text.size == 0 || text.size > QUERY_PIN_BYTES_MAX)
        return tw_err_set(err, TW_BAD_DATA, "a pin is an expression of 1 to %d bytes",
                          QUERY_PIN_BYTES_MAX);
    enum tw_code code = query_parse(text, features, &ast, err);
    if (code != TW_OK)
        return code;
    if (!has_forecast(ast->root))
        code = tw_err_set(err, TW_BAD_DATA,
                          "there is no forecast(), forecast_quantile() or anomaly_score() in the "
                          "expression, so nothing to keep");
    query_ast_free(ast);
    return code;
}

static size_t find_pin_locked(const struct query_keeper *keeper, struct tw_str text,
                              bool *ret_there)
{
    size_t at = 0;
    int order = 1;
    for (; at < keeper->pin_count; at++) {
        struct tw_str here = {keeper->pins[at].text, keeper->pins[at].size};
        order = tw_str_compare(here, text);
        if (order >= 0)
            break;
    }
    *ret_there = at < keeper->pin_count && order == 0;
    return at;
}

/* NULL: there are too many. */
static struct pin *add_pin_locked(struct query_keeper *keeper, struct tw_str text)
{
    bool there;
    size_t at = find_pin_locked(keeper, text, &there);
    if (there)
        return &keeper->pins[at];
    if (keeper->pin_count == QUERY_PINS_MAX)
        return NULL;
    struct pin *pin = &keeper->pins[at];
    memmove(pin + 1, pin, (keeper->pin_count - at) * sizeof *pin);
    *pin = (struct pin){.text = malloc(text.size + 1), .size = text.size};
    TW_ASSERT(pin->text != NULL);
    memcpy(pin->text, text.data, text.size);
    pin->text[text.size] = 0;
    keeper->pin_count++;
    tw_metric_set(keeper->pins_shown, (double)keeper->pin_count);
    return pin;
}

static void remove_pin_locked(struct query_keeper *keeper, size_t at)
{
    struct pin *pin = &keeper->pins[at];
    free(pin->text);
    memmove(pin, pin + 1, (keeper->pin_count - at - 1) * sizeof *pin);
    keeper->pin_count--;
    tw_metric_set(keeper->pins_shown, (double)keeper->pin_count);
}

static struct tw_str pin_key(struct tw_str text, struct tw_hash128 *ret_hash)
{
    *ret_hash = tw_hash128(text.data, text.size);
    return (struct tw_str){(const char *)ret_hash, sizeof *ret_hash};
}

/* present false: the record goes. */
static enum tw_code store_pin(struct query_keeper *keeper, struct tw_str text, bool present,
                              struct tw_err *err)
{
    struct tsdb_state_txn *txn;
    struct tw_hash128 hash;
    struct tw_str key = pin_key(text, &hash);
    if (!keeper->options.state)
        return TW_OK;
    enum tw_code code = tsdb_state_begin(keeper->options.state, true, &txn, err);
    if (code != TW_OK)
        return code;
    code = present ? tsdb_state_put(txn, PIN_TABLE, key, text, err)
                   : tsdb_state_delete(txn, PIN_TABLE, key, err);
    if (code == TW_OK)
        return tsdb_state_commit(txn, err);
    tsdb_state_abort(txn);
    return code;
}

enum tw_code query_keeper_pin(struct query_keeper *keeper, struct tw_str text, struct tw_err *err)
{
    TW_CHECK_MAGIC(keeper, KEEPER_MAGIC);
    enum tw_code code = query_pin_check(text, keeper->options.query.features, err);
    if (code != TW_OK)
        return code;
    tw_lock_take(&keeper->lock);
    struct pin *pin = add_pin_locked(keeper, text);
    if (!pin)
        code = tw_err_set(err, TW_LIMIT, "there are %d pins already; remove one first",
                          QUERY_PINS_MAX);
    else
        pin->is_stored = true;
    tw_lock_release(&keeper->lock);
    return code == TW_OK ? store_pin(keeper, text, true, err) : code;
}

enum tw_code query_keeper_unpin(struct query_keeper *keeper, struct tw_str text, struct tw_err *err)
{
    bool there;
    enum tw_code code = TW_OK;
    TW_CHECK_MAGIC(keeper, KEEPER_MAGIC);
    tw_lock_take(&keeper->lock);
    size_t at = find_pin_locked(keeper, text, &there);
    if (!there)
        code = tw_err_set(err, TW_NOT_FOUND, "no such pin; GET /api/v1/forecast/pins lists them");
    else if (!keeper->pins[at].is_stored)
        code = tw_err_set(err, TW_BAD_DATA,
                          "this pin stands in the configuration file: remove it there");
    else if (keeper->pins[at].is_configured)
        keeper->pins[at].is_stored = false;
    else
        remove_pin_locked(keeper, at);
    tw_lock_release(&keeper->lock);
    return code == TW_OK ? store_pin(keeper, text, false, err) : code;
}

void query_keeper_each_pin(struct query_keeper *keeper,
                           void (*visit)(void *user, const struct query_pin_view *pin), void *user)
{
    TW_CHECK_MAGIC(keeper, KEEPER_MAGIC);
    tw_lock_take(&keeper->lock);
    for (size_t i = 0; i < keeper->pin_count; i++) {
        const struct pin *pin = &keeper->pins[i];
        const struct query_pin_view view = {
            {pin->text, pin->size}, pin->is_configured, pin->evaluated_ms,
            pin->seconds,           pin->series,        pin->error};
        visit(user, &view);
    }
    tw_lock_release(&keeper->lock);
}

void query_keeper_configure(struct query_keeper *keeper,
                            const struct query_keeper_settings *settings)
{
    TW_CHECK_MAGIC(keeper, KEEPER_MAGIC);
    tw_lock_take(&keeper->lock);
    for (size_t i = 0; i < keeper->pin_count; i++)
        keeper->pins[i].is_configured = false;
    for (size_t i = 0; i < settings->pin_count; i++) {
        struct pin *pin = add_pin_locked(keeper, settings->pins[i]);
        if (pin)
            pin->is_configured = true;
    }
    for (size_t i = keeper->pin_count; i-- > 0;)
        if (!keeper->pins[i].is_configured && !keeper->pins[i].is_stored)
            remove_pin_locked(keeper, i);
    keeper->interval_ms = settings->interval_ms ? settings->interval_ms : QUERY_KEEPER_INTERVAL_MS;
    keeper->hides_errors = settings->hides_errors;
    tw_lock_release(&keeper->lock);
    query_kept_set_holidays(keeper->options.kept, settings->holidays);
    query_kept_limit(keeper->options.kept, settings->models_max, settings->unused_ms);
}

/* ---- evaluating ---- */

static void begin_context(struct query_keeper *keeper, struct tw_context *ret)
{
    tw_context_init(ret, keeper->options.clock);
    ret->principal = TW_STR("forecast");
}

static void note_work(struct query_keeper *keeper, enum work work, int64_t started_ns, bool failed)
{
    tw_metric_add_double(keeper->seconds[work],
                         (double)(tw_clock_thread_cpu_ns() - started_ns) / 1e9);
    if (failed)
        tw_metric_add(keeper->failures[work], 1);
}

/* The text of the next pin that is due; NULL: none is. To be freed. */
static char *take_due_pin(struct query_keeper *keeper, int64_t now_ms)
{
    char *text = NULL;
    tw_lock_take(&keeper->lock);
    for (size_t i = 0; !text && i < keeper->pin_count; i++) {
        struct pin *pin = &keeper->pins[(keeper->next_pin + i) % keeper->pin_count];
        if (pin->evaluated_ms && now_ms - pin->evaluated_ms < keeper->interval_ms &&
            now_ms >= pin->evaluated_ms)
            continue;
        pin->evaluated_ms = now_ms;
        keeper->next_pin = (keeper->next_pin + i + 1) % keeper->pin_count;
        text = strdup(pin->text);
        TW_ASSERT(text != NULL);
    }
    tw_lock_release(&keeper->lock);
    return text;
}

static void evaluate_pin(struct query_keeper *keeper, const char *text, int64_t now_ms)
{
    struct tw_context context;
    struct query_result *result = NULL;
    struct tw_err err = {0};
    bool there;
    int64_t started_ns = tw_clock_thread_cpu_ns();
    begin_context(keeper, &context);
    enum tw_code code =
        query_instant(keeper->engine, &context, tw_str(text), now_ms, &result, &err);
    note_work(keeper, WORK_PINS, started_ns, code != TW_OK);
    tw_lock_take(&keeper->lock);
    size_t at = find_pin_locked(keeper, tw_str(text), &there);
    if (there) {
        struct pin *pin = &keeper->pins[at];
        pin->seconds = (double)(tw_clock_thread_cpu_ns() - started_ns) / 1e9;
        pin->series = code == TW_OK ? result->count : 0;
        snprintf(pin->error, sizeof pin->error, "%s", code == TW_OK ? "" : err.message);
    }
    tw_lock_release(&keeper->lock);
    if (code == TW_OK)
        query_result_free(result);
}

/* Of another calendar than there is now nobody asks any more. */
static bool is_outdated(struct query_keeper *keeper, const struct query_subject_key *key)
{
    struct forecast_holidays *holidays = query_kept_holidays(keeper->options.kept);
    bool outdated = key->holidays != forecast_holidays_hash(holidays);
    forecast_holidays_unref(holidays);
    return outdated;
}

/* Learns models of a subject that are due; all of the series' past is read for that. */
static void renew(struct query_keeper *keeper, const struct query_subject_due *due, int64_t now_ms)
{
    const struct query_subject_key *key = query_subject_key(due->subject);
    struct query_kept *kept = keeper->options.kept;
    struct tw_context context;
    struct query_result *result = NULL;
    struct tw_err err;
    struct tw_buf text;
    int64_t started_ns = tw_clock_thread_cpu_ns();
    uint64_t fits = query_kept_fits(kept);
    bool waits = key->is_subquery && due->wanted == 0 && due->due * SUBQUERY_SHARE < due->models;
    if (waits || is_outdated(keeper, key)) {
        query_kept_delay(kept, due->subject, now_ms + DELAY_MS);
        return;
    }
    tw_buf_init(&text, QUERY_SUBJECT_BYTES_MAX + 64);
    tw_buf_append_cstr(&text, key->scores ? "anomaly_score(" : "forecast(");
    tw_buf_append_str(&text, key->text);
    if (key->scores)
        tw_buf_append_cstr(&text, ")");
    else
        tw_buf_appendf(&text, ", %.3f)", (double)key->horizon_ms / 1000);
    struct query_options options = keeper->options.query;
    options.kept = kept;
    options.renews_max = key->is_subquery ? SIZE_MAX : RENEWALS_PER_ROUND;
    struct query_engine *engine = query_engine_new(keeper->options.storage, &options);
    begin_context(keeper, &context);
    enum tw_code code = query_instant(engine, &context, tw_buf_str(&text), now_ms, &result, &err);
    if (code == TW_OK)
        query_result_free(result);
    query_engine_free(engine);
    tw_buf_fini(&text);
    if (query_kept_fits(kept) == fits)
        query_kept_delay(kept, due->subject, now_ms + DELAY_MS);
    note_work(keeper, WORK_RENEWALS, started_ns, code != TW_OK);
}

/* ---- records ---- */

struct batch {
    struct tsdb_state_txn *txn;
    struct tw_buf record;
    uint64_t serials[RECORDS_PER_ROUND];
    size_t count;
    enum tw_code code;
    struct tw_err err;
};

static bool collect_record(void *user, const struct query_kept_model *model)
{
    struct batch *batch = user;
    uint8_t key[QUERY_KEPT_KEY_BYTES];
    if (model->is_saved || !model->learned->model)
        return true;
    batch->record.size = 0;
    query_kept_key(model->subject, model->labels, key);
    if (query_kept_record_write(model, &batch->record))
        batch->code =
            tsdb_state_put(batch->txn, MODEL_TABLE, (struct tw_str){(const char *)key, sizeof key},
                           tw_buf_str(&batch->record), &batch->err);
    batch->serials[batch->count++] = model->serial;
    return batch->code == TW_OK && batch->count < RECORDS_PER_ROUND;
}

static bool any_unsaved(void *user, const struct query_kept_model *model)
{
    *(bool *)user = !model->is_saved && model->learned->model;
    return !*(bool *)user;
}

static enum tw_code delete_records(struct tsdb_state_txn *txn, const uint8_t *keys, size_t count,
                                   struct tw_err *err)
{
    enum tw_code code = TW_OK;
    for (size_t i = 0; code == TW_OK && i < count; i++)
        code = tsdb_state_delete(
            txn, MODEL_TABLE,
            (struct tw_str){(const char *)keys + i * QUERY_KEPT_KEY_BYTES, QUERY_KEPT_KEY_BYTES},
            err);
    return code;
}

/* True: there are more. */
static bool store_models(struct query_keeper *keeper)
{
    size_t gone_count;
    bool unsaved = false;
    struct batch batch = {.code = TW_OK};
    if (!keeper->options.state)
        return false;
    int64_t started_ns = tw_clock_thread_cpu_ns();
    uint8_t *gone = query_kept_gone(keeper->options.kept, &gone_count);
    query_kept_each(keeper->options.kept, any_unsaved, &unsaved);
    if (!unsaved && gone_count == 0)
        return false;
    enum tw_code code = tsdb_state_begin(keeper->options.state, true, &batch.txn, &batch.err);
    if (code == TW_OK) {
        tw_buf_init(&batch.record, QUERY_KEPT_RECORD_BYTES_MAX);
        /* What is gone first: it may have come back since. */
        code = delete_records(batch.txn, gone, gone_count, &batch.err);
        if (code == TW_OK) {
            query_kept_each(keeper->options.kept, collect_record, &batch);
            code = batch.code;
        }
        if (code == TW_OK)
            code = tsdb_state_commit(batch.txn, &batch.err);
        else
            tsdb_state_abort(batch.txn);
        tw_buf_fini(&batch.record);
    }
    free(gone);
    if (code == TW_OK)
        query_kept_saved(keeper->options.kept, batch.serials, batch.count);
    note_work(keeper, WORK_RECORDS, started_ns, code != TW_OK);
    return code == TW_OK && batch.count == RECORDS_PER_ROUND;
}

struct load {
    struct query_keeper *keeper;
    int64_t now_ms;
    size_t bad;
};

static bool load_model(void *user, struct tw_str key, struct tw_str value)
{
    struct load *load = user;
    struct tw_err err;
    (void)key;
    if (query_kept_record_read(value, load->keeper->options.kept, load->now_ms, &err) != TW_OK)
        load->bad++; /* it is learned anew when it is asked for */
    return true;
}

static bool load_pin(void *user, struct tw_str key, struct tw_str value)
{
    struct load *load = user;
    (void)key;
    struct pin *pin = add_pin_locked(load->keeper, value);
    if (pin)
        pin->is_stored = true;
    return true;
}

static enum tw_code load_state(struct query_keeper *keeper, struct tw_err *err)
{
    struct load load = {keeper, tw_clock_wall_ms(keeper->options.clock), 0};
    struct tsdb_state_txn *txn;
    enum tw_code code = tsdb_state_begin(keeper->options.state, false, &txn, err);
    if (code != TW_OK)
        return code;
    struct tw_str all = {"", 0};
    code = tsdb_state_each(txn, PIN_TABLE, all, all, false, load_pin, &load, err);
    if (code == TW_OK)
        code = tsdb_state_each(txn, MODEL_TABLE, all, all, false, load_model, &load, err);
    tsdb_state_abort(txn);
    tw_metric_add(keeper->failures[WORK_RECORDS], load.bad);
    return code;
}

/* ---- errors as series ---- */

struct errors {
    struct tw_arena *arena;
    struct tsdb_sample *samples;
    size_t count, skip;
    size_t seen; /* models */
    int64_t now_ms;
};

static bool is_ours(struct tw_str name)
{
    return tw_str_is(name, WIRE_METRIC_NAME) || tw_str_is(name, "expression") ||
           tw_str_is(name, "function") || tw_str_is(name, "horizon") || tw_str_is(name, "measure");
}

static void add_error(struct errors *errors, const struct query_kept_model *model, int64_t ahead_ms,
                      const char *measure, double value)
{
    struct wire_labels labels = model->labels;
    struct wire_label *items = TW_ARENA_ARRAY(errors->arena, struct wire_label, labels.count + 5);
    size_t count = 0;
    struct tw_err err;
    items[count++] =
        (struct wire_label){TW_STR(WIRE_METRIC_NAME), TW_STR(QUERY_FORECAST_ERROR_METRIC)};
    struct tw_str text = model->subject->text;
    if (text.size > WIRE_LABEL_VALUE_BYTES_MAX)
        text.size = WIRE_LABEL_VALUE_BYTES_MAX / 2;
    items[count++] = (struct wire_label){TW_STR("expression"), tw_arena_str(errors->arena, text)};
    items[count++] = (struct wire_label){
        TW_STR("function"), model->subject->scores ? TW_STR("anomaly_score") : TW_STR("forecast")};
    items[count++] = (struct wire_label){
        TW_STR("horizon"), tw_arena_format(errors->arena, "%.10g", (double)ahead_ms / 1000)};
    items[count++] = (struct wire_label){TW_STR("measure"), tw_str(measure)};
    for (size_t i = 0; i < labels.count; i++)
        if (!is_ours(labels.items[i].name))
            items[count++] =
                (struct wire_label){tw_arena_str(errors->arena, labels.items[i].name),
                                    tw_arena_str(errors->arena, labels.items[i].value)};
    if (wire_labels_canonical(items, &count, &err) != TW_OK)
        return;
    errors->samples[errors->count++] = (struct tsdb_sample){{items, count}, errors->now_ms, value};
}

static bool collect_errors(void *user, const struct query_kept_model *model)
{
    struct errors *errors = user;
    struct query_trial_error error;
    if (errors->seen++ < errors->skip)
        return true;
    for (size_t k = 0; k < QUERY_TRIAL_HORIZONS; k++) {
        if (!query_trial_error(&model->trial->horizons[k], &error))
            continue;
        add_error(errors, model, error.ahead_ms, "mase", error.mase);
        add_error(errors, model, error.ahead_ms, "pinball", error.pinball);
        add_error(errors, model, error.ahead_ms, "coverage", error.coverage);
    }
    return errors->count + 3 * QUERY_TRIAL_HORIZONS <= ERRORS_PER_APPEND;
}

static void write_errors(struct query_keeper *keeper, int64_t now_ms)
{
    struct errors errors = {.now_ms = now_ms};
    struct query_kept_totals totals;
    bool failed = false;
    int64_t started_ns = tw_clock_thread_cpu_ns();
    query_kept_totals(keeper->options.kept, &totals);
    for (bool more = true; more && !failed;) {
        errors.arena = tw_arena_new(65536);
        errors.samples = TW_ARENA_ARRAY(errors.arena, struct tsdb_sample, ERRORS_PER_APPEND);
        errors.count = errors.seen = 0;
        query_kept_each(keeper->options.kept, collect_errors, &errors);
        more = errors.seen > errors.skip && errors.seen < totals.models;
        errors.skip = errors.seen;
        struct tw_context context;
        struct tw_err err;
        begin_context(keeper, &context);
        failed = errors.count > 0 && tsdb_append(keeper->options.storage, &context, errors.samples,
                                                 errors.count, &err) != TW_OK;
        tw_arena_free(errors.arena);
    }
    note_work(keeper, WORK_ERRORS, started_ns, failed);
}

/* ---- rounds ---- */

static bool is_due(int64_t *last_ms, int64_t now_ms, int64_t interval_ms)
{
    bool due = now_ms - *last_ms >= interval_ms || now_ms < *last_ms;
    if (due)
        *last_ms = now_ms;
    return due;
}

int64_t query_keeper_round(struct query_keeper *keeper)
{
    struct query_subject_due due[SUBJECTS_PER_ROUND];
    char *text;
    TW_CHECK_MAGIC(keeper, KEEPER_MAGIC);
    int64_t started_ns = tw_clock_thread_cpu_ns();
    int64_t now_ms = tw_clock_wall_ms(keeper->options.clock);
    while (tw_clock_thread_cpu_ns() - started_ns < ROUND_CPU_NS &&
           (text = take_due_pin(keeper, now_ms)) != NULL) {
        evaluate_pin(keeper, text, now_ms);
        free(text);
    }
    size_t count = query_kept_list_due(keeper->options.kept, now_ms, due, SUBJECTS_PER_ROUND);
    for (size_t i = 0; i < count; i++) {
        if (tw_clock_thread_cpu_ns() - started_ns < ROUND_CPU_NS)
            renew(keeper, &due[i], now_ms);
        query_kept_drop(keeper->options.kept, due[i].subject);
    }
    if (is_due(&keeper->expired_ms, now_ms, EXPIRE_MS))
        query_kept_expire(keeper->options.kept, now_ms);
    while (store_models(keeper) && tw_clock_thread_cpu_ns() - started_ns < ROUND_CPU_NS) {
    }
    if (is_due(&keeper->errors_ms, now_ms, ERRORS_MS) && !keeper->hides_errors)
        write_errors(keeper, now_ms);
    return tw_clock_thread_cpu_ns() - started_ns;
}

static void run(void *argument)
{
    struct query_keeper *keeper = argument;
    (void)setpriority(PRIO_PROCESS, 0, NICENESS); /* of this thread alone, on Linux */
    tw_lock_take(&keeper->lock);
    while (!keeper->is_stopping) {
        tw_lock_release(&keeper->lock);
        int64_t rest_ns = query_keeper_round(keeper) * REST_PARTS;
        rest_ns = rest_ns < ROUND_NS ? ROUND_NS : rest_ns > REST_NS_MAX ? REST_NS_MAX : rest_ns;
        tw_lock_take(&keeper->lock);
        if (!keeper->is_stopping)
            (void)tw_cond_wait_ns(&keeper->wake, &keeper->lock, rest_ns);
    }
    tw_lock_release(&keeper->lock);
}

/* ---- life ---- */

static void register_metrics(struct query_keeper *keeper, struct tw_metrics *metrics)
{
    static const char *const works[WORK_COUNT] = {"work=\"pins\"", "work=\"renewals\"",
                                                  "work=\"records\"", "work=\"errors\""};
    for (size_t i = 0; i < WORK_COUNT; i++) {
        keeper->seconds[i] = tw_metrics_counter(
            metrics, "tidewatch_forecast_keeper_seconds_total", works[i],
            "CPU time spent on models that are kept, beside the queries that use them.");
        keeper->failures[i] =
            tw_metrics_counter(metrics, "tidewatch_forecast_keeper_failures_total", works[i],
                               "Evaluations, renewals, records and writes that failed.");
    }
    keeper->pins_shown =
        tw_metrics_gauge(metrics, "tidewatch_forecast_pins", "", "Pinned expressions.");
}

enum tw_code query_keeper_new(const struct query_keeper_options *options,
                              struct query_keeper **ret_keeper, struct tw_err *err)
{
    struct query_keeper *keeper = calloc(1, sizeof *keeper);
    TW_ASSERT(keeper != NULL && options->kept && options->storage && options->clock);
    keeper->magic = KEEPER_MAGIC;
    keeper->options = *options;
    keeper->options.query.kept = options->kept;
    keeper->options.query.parallelism = 1;
    keeper->pins = calloc(QUERY_PINS_MAX, sizeof *keeper->pins);
    TW_ASSERT(keeper->pins != NULL);
    keeper->interval_ms = QUERY_KEEPER_INTERVAL_MS;
    keeper->expired_ms = keeper->errors_ms = tw_clock_wall_ms(options->clock);
    tw_lock_init(&keeper->lock, TW_RANK_QUERY, "forecast keeper");
    tw_cond_init(&keeper->wake);
    keeper->engine = query_engine_new(options->storage, &keeper->options.query);
    if (options->metrics)
        register_metrics(keeper, options->metrics);
    enum tw_code code = options->state ? load_state(keeper, err) : TW_OK;
    if (code != TW_OK)
        query_keeper_free(keeper);
    else
        *ret_keeper = keeper;
    return code;
}

enum tw_code query_keeper_start(struct query_keeper *keeper, struct tw_err *err)
{
    TW_CHECK_MAGIC(keeper, KEEPER_MAGIC);
    return tw_thread_start(&keeper->thread, "forecast-keeper", run, keeper, err);
}

struct query_keeper *query_keeper_free(struct query_keeper *keeper)
{
    if (!keeper)
        return NULL;
    TW_CHECK_MAGIC(keeper, KEEPER_MAGIC);
    tw_lock_take(&keeper->lock);
    keeper->is_stopping = true;
    tw_cond_broadcast(&keeper->wake);
    tw_lock_release(&keeper->lock);
    tw_thread_join(&keeper->thread);
    query_engine_free(keeper->engine);
    for (size_t i = 0; i < keeper->pin_count; i++)
        free(keeper->pins[i].text);
    free(keeper->pins);
    tw_lock_fini(&keeper->lock);
    tw_cond_fini(&keeper->wake);
    keeper->magic = 0;
    free(keeper);
    return NULL;
}

struct query_kept *query_keeper_kept(struct query_keeper *keeper)
{
    return keeper->options.kept;
}
