/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/torture/workload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/number.h"
#include "tests/lib/histograms.h"
#include "tests/torture/disk.h"
#include "tsdb/db.h"
#include "tsdb/partition_map.h"
#include "tsdb/state.h"
#include "tsdb/verify.h"

#define ROUNDS 10
#define SERIES_FIRST 12 /* in the first round, */
#define SERIES_MORE 4   /* new ones in each further one */
#define SERIES_MAX (SERIES_FIRST + ROUNDS * SERIES_MORE)
#define BATCHES 4 /* a round */
#define STEP_MS 15000
#define FIRST_DAY INT64_C(20000)
#define ROUND_MS (INT64_C(9) * 3600 * 1000)
#define RETENTION_MS (2 * TSDB_DAY_MS)
#define STATE_KEYS 4
#define METRICS 5
#define HISTOGRAM_EVERY 6 /* the last of so many series has native histograms */
#define EXEMPLAR_SERIES 0 /* which no deletion takes */
#define EXEMPLARS_MAX (ROUNDS * 2 + 2)
#define NEVER SIZE_MAX

/* One writing of a sample. */
struct version {
    int series;
    int64_t time_ms;
    uint64_t bits;                     /* of a histogram the hash of its bytes */
    size_t order, begun, acknowledged; /* positions of the recording */
};
/* Of the state's transactions and of metadata: the n-th wrote n everywhere. */
struct step {
    size_t begun, acknowledged;
};
/* Times before limit_ms may be gone from this position on. */
struct expiry {
    size_t begun;
    int64_t limit_ms;
};

/* A deletion of all samples of a series: of the versions before `order`. */
struct erasure {
    int series;
    size_t order;
    struct step step;
};

/* The n-th has the value n. */
struct exemplar {
    int64_t time_ms;
    struct step step;
};

static struct version *versions;
static size_t version_count, version_capacity;
static struct step state_steps[ROUNDS + 3], metadata_steps[ROUNDS + 3];
static int state_count, metadata_count;
static struct exemplar exemplars[EXEMPLARS_MAX];
static int exemplar_count;
static struct expiry expiries[4 * ROUNDS];
static int expiry_count;
static struct erasure erasures[ROUNDS];
static int erasure_count;

static struct tw_clock *wall;
static struct tsdb_db *db;
static struct tsdb_state *state;
static char data_path[4096], state_path[4096];

static bool fail(char *why, const char *format, ...) TW_PRINTF(2, 3);
static bool fail(char *why, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, WORKLOAD_WHY_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- what is written ---- */

static struct wire_labels labels_of(int series, struct wire_label *items)
{
    static char texts[SERIES_MAX][3][64];
    snprintf(texts[series][0], 64, "metric_%d", series % METRICS);
    snprintf(texts[series][1], 64, "host-%d.of.a.rather.long.domain.example", series / METRICS);
    snprintf(texts[series][2], 64, "%d", series);
    items[0] = (struct wire_label){TW_STR(WIRE_METRIC_NAME), tw_str(texts[series][0])};
    items[1] = (struct wire_label){TW_STR("host"), tw_str(texts[series][1])};
    items[2] = (struct wire_label){TW_STR("series"), tw_str(texts[series][2])};
    return (struct wire_labels){items, 3};
}

static bool has_histograms(int series)
{
    return series % HISTOGRAM_EVERY == HISTOGRAM_EVERY - 1;
}

/* By turns of one layout, so that steps are short, and of any; none that gives way to another at
 * its time, as stale markers do. */
static const struct wire_histogram *histogram_of(int64_t time_ms, size_t order,
                                                 struct tw_arena *arena)
{
    struct histograms_random random = histograms_random(order);
    const struct wire_histogram *histogram = histograms_next(&random, arena, time_ms);
    return order % 3 > 0 || wire_histogram_is_stale(histogram)
               ? histograms_plain(arena, time_ms, 10 + order, (double)order * 0.5)
               : histogram;
}

static uint64_t histogram_bits(const struct wire_histogram *histogram)
{
    struct tw_buf bytes;
    tw_buf_init(&bytes, (size_t)1 << 20);
    wire_histogram_encode(histogram, &bytes);
    uint64_t hash = tw_hash64(bytes.data, bytes.size);
    tw_buf_fini(&bytes);
    return hash;
}

static uint64_t bits_of(int series, int64_t time_ms, size_t order)
{
    if (has_histograms(series)) {
        struct tw_arena *arena = tw_arena_new(4096);
        uint64_t bits = histogram_bits(histogram_of(time_ms, order, arena));
        tw_arena_free(arena);
        return bits;
    }
    switch ((series + order) % 9) {
    case 0:
        return UINT64_C(0x7ff8000000000000) + order; /* a payload of its own */
    case 1:
        return UINT64_C(1) << 63; /* -0.0 */
    case 2:
        return order * UINT64_C(0x9e3779b97f4a7c15) >> 2;
    default:
        return tw_double_bits((double)(time_ms / STEP_MS % 1000) + series * 0.25 +
                              (double)order * 0.01);
    }
}

static void add_version(int series, int64_t time_ms, uint64_t bits)
{
    if (version_count == version_capacity) {
        version_capacity = version_capacity ? version_capacity * 2 : 1024;
        versions = realloc(versions, version_capacity * sizeof *versions);
        TW_ASSERT(versions != NULL);
    }
    versions[version_count] =
        (struct version){series, time_ms, bits, version_count, disk_position(), NEVER};
    version_count++;
}

/* A stale marker is a number in any series. */
static bool is_number(const struct version *version)
{
    return !has_histograms(version->series) || version->bits == TW_STALE_BITS;
}

static enum tw_code write_numbers(const struct version *items, size_t count, struct tw_err *err)
{
    struct tsdb_sample *samples = calloc(count + 1, sizeof *samples);
    struct wire_label(*labels)[3] = calloc(count + 1, sizeof *labels);
    TW_ASSERT(samples != NULL && labels != NULL);
    size_t taken = 0;
    for (size_t i = 0; i < count; i++)
        if (is_number(&items[i])) {
            samples[taken] =
                (struct tsdb_sample){labels_of(items[i].series, labels[taken]), items[i].time_ms,
                                     tw_double_from_bits(items[i].bits)};
            taken++;
        }
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    enum tw_code code = tsdb_append(tsdb_db_storage(db), &context, samples, taken, err);
    free(samples);
    free(labels);
    return code;
}

static enum tw_code write_histograms(const struct version *items, size_t count, struct tw_err *err)
{
    struct tsdb_histogram_sample *samples = calloc(count + 1, sizeof *samples);
    struct wire_label(*labels)[3] = calloc(count + 1, sizeof *labels);
    struct tw_arena *arena = tw_arena_new(65536);
    TW_ASSERT(samples != NULL && labels != NULL);
    size_t taken = 0;
    for (size_t i = 0; i < count; i++)
        if (!is_number(&items[i])) {
            samples[taken] = (struct tsdb_histogram_sample){
                labels_of(items[i].series, labels[taken]),
                histogram_of(items[i].time_ms, items[i].order, arena)};
            taken++;
        }
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    enum tw_code code =
        taken == 0 ? TW_OK
                   : tsdb_append_histograms(tsdb_db_storage(db), &context, samples, taken, err);
    tw_arena_free(arena);
    free(samples);
    free(labels);
    return code;
}

/* Writes all versions from `first` on: the numbers in one request, the histograms in another. */
static enum tw_code write_versions(size_t first, struct tw_err *err)
{
    size_t count = version_count - first;
    struct tw_err other;
    enum tw_code numbers = write_numbers(versions + first, count, err);
    enum tw_code histograms = write_histograms(versions + first, count, numbers ? &other : err);
    for (size_t i = first; i < version_count; i++)
        if ((is_number(&versions[i]) ? numbers : histograms) == TW_OK)
            versions[i].acknowledged = disk_position();
    return numbers ? numbers : histograms;
}

static enum tw_code write_exemplar(struct tw_err *err)
{
    int number = exemplar_count++;
    TW_ASSERT(number < EXEMPLARS_MAX);
    struct exemplar *exemplar = &exemplars[number];
    *exemplar = (struct exemplar){tw_clock_wall_ms(wall) + number, {disk_position(), NEVER}};
    struct wire_label labels[3], trace = {TW_STR("trace_id"), TW_STR("0af7651916cd43dd8448eb21")};
    struct tsdb_exemplar_sample sample = {labels_of(EXEMPLAR_SERIES, labels),
                                          {{&trace, 1}, number, exemplar->time_ms}};
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    enum tw_code code = tsdb_append_exemplars(tsdb_db_storage(db), &context, &sample, 1, err);
    if (code == TW_OK)
        exemplar->step.acknowledged = disk_position();
    return code;
}

static enum tw_code write_batch(int round, int batch, struct tw_err *err)
{
    size_t first = version_count;
    int series_count = SERIES_FIRST + round * SERIES_MORE;
    int64_t now_ms = tw_clock_wall_ms(wall) + batch * STEP_MS;
    for (int series = 0; series < series_count; series++)
        add_version(series, now_ms, bits_of(series, now_ms, version_count));
    /* Late ones, to the day before too, some of which were written before. */
    for (int series = batch % 3; batch > 0 && series < series_count; series += 3) {
        int64_t late_ms = now_ms - (batch % 2 ? STEP_MS : ROUND_MS);
        add_version(series, late_ms, bits_of(series, late_ms, version_count));
    }
    if (batch == BATCHES - 1) /* a stale marker, where no number will come */
        add_version(round % SERIES_FIRST, now_ms + 1, TW_STALE_BITS);
    return write_versions(first, err);
}

static enum tw_code write_state(struct tw_err *err)
{
    int number = state_count++;
    state_steps[number] = (struct step){disk_position(), NEVER};
    struct tsdb_state_txn *txn;
    enum tw_code code = tsdb_state_begin(state, true, &txn, err);
    if (code != TW_OK)
        return code;
    for (int i = 0; i < STATE_KEYS && code == TW_OK; i++) {
        char key[32], value[600];
        snprintf(key, sizeof key, "key-%d", i);
        memset(value, 'a' + i, sizeof value);
        snprintf(value, 16, "%d", number);
        code = tsdb_state_put(txn, i % 2 ? "alerts" : "scalers", tw_str(key),
                              (struct tw_str){value, sizeof value}, err);
    }
    if (code != TW_OK) {
        tsdb_state_abort(txn);
        return code;
    }
    code = tsdb_state_commit(txn, err);
    if (code == TW_OK)
        state_steps[number].acknowledged = disk_position();
    return code;
}

static enum tw_code write_metadata(struct tw_err *err)
{
    int number = metadata_count++;
    metadata_steps[number] = (struct step){disk_position(), NEVER};
    struct tsdb_metadata items[METRICS];
    char metrics[METRICS][32], help[32];
    snprintf(help, sizeof help, "%d", number);
    for (int i = 0; i < METRICS; i++) {
        snprintf(metrics[i], sizeof metrics[i], "metric_%d", i);
        items[i] =
            (struct tsdb_metadata){tw_str(metrics[i]), TW_STR("gauge"), tw_str(help), TW_STR("")};
    }
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    enum tw_code code = tsdb_append_metadata(tsdb_db_storage(db), &context, items, METRICS, err);
    if (code == TW_OK)
        metadata_steps[number].acknowledged = disk_position();
    return code;
}

/* Also of what is only in memory yet. */
static enum tw_code erase(int round, struct tw_err *err)
{
    struct erasure *erasure = &erasures[erasure_count++];
    *erasure = (struct erasure){.series = round, .order = version_count};
    erasure->step = (struct step){disk_position(), NEVER};
    char text[16];
    snprintf(text, sizeof text, "%d", round);
    struct tsdb_matcher matcher = {
        .op = TSDB_MATCH_EQUAL, .name = TW_STR("series"), .value = tw_str(text)};
    struct tsdb_selector selector = {&matcher, 1};
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    enum tw_code code = tsdb_db_delete(db, &context, &selector, 1, INT64_MIN, INT64_MAX, err);
    if (code == TW_OK)
        erasure->step.acknowledged = disk_position();
    return code;
}

/* ---- the script ---- */

static enum tw_code open_parts(struct tw_err *err)
{
    struct tsdb_db_options options = {
        .folder = data_path, .clock = wall, .retention_ms = RETENTION_MS, .manual = true};
    tsdb_partition_map_small(0); /* label sets that come back are churn at once */
    enum tw_code code = db ? TW_OK : tsdb_db_open(&options, &db, err);
    if (code == TW_OK && !state)
        code = tsdb_state_open(state_path, &state, err);
    return code;
}

static void close_parts(void)
{
    db = tsdb_db_close(db);
    state = tsdb_state_close(state);
}

static enum tw_code keep(struct tw_err *err)
{
    expiries[expiry_count++] =
        (struct expiry){disk_position(), tw_clock_wall_ms(wall) - RETENTION_MS};
    return tsdb_db_keep(db, err);
}

/* Errors are what faults are for; the script goes on behind them. */
static void script(void)
{
    struct tw_err err;
    for (int round = 0; round < ROUNDS; round++) {
        if (open_parts(&err) != TW_OK && open_parts(&err) != TW_OK)
            continue;
        for (int batch = 0; batch < BATCHES; batch++)
            (void)(write_batch(round, batch, &err) == TW_OK);
        (void)(write_state(&err) == TW_OK);
        (void)(write_metadata(&err) == TW_OK);
        (void)(write_exemplar(&err) == TW_OK);
        if (round % 2 == 1)
            (void)(tsdb_db_flush(db, &err) == TW_OK);
        if (round % 3 == 1)
            (void)(erase(round, &err) == TW_OK);
        (void)(write_batch(round, BATCHES, &err) == TW_OK);
        (void)(write_exemplar(&err) == TW_OK);
        tw_clock_manual_advance(wall, ROUND_MS);
        (void)(keep(&err) == TW_OK);
        if (round % 4 == 2)
            close_parts();
    }
}

/* The store works again though it was not reopened: every path of it. */
static bool recovers(char *why)
{
    struct tw_err err;
    if (open_parts(&err) != TW_OK)
        return fail(why, "does not open after the failure is over: %s", err.message);
    if (keep(&err) != TW_OK && keep(&err) != TW_OK)
        return fail(why, "maintenance fails after the failure is over: %s", err.message);
    if (write_batch(ROUNDS - 1, 1, &err) != TW_OK)
        return fail(why, "takes no samples after the failure is over: %s", err.message);
    if (write_state(&err) != TW_OK)
        return fail(why, "takes no state after the failure is over: %s", err.message);
    if (write_metadata(&err) != TW_OK)
        return fail(why, "takes no metadata after the failure is over: %s", err.message);
    if (write_exemplar(&err) != TW_OK)
        return fail(why, "takes no exemplar after the failure is over: %s", err.message);
    if (tsdb_db_flush(db, &err) != TW_OK)
        return fail(why, "cannot flush after the failure is over: %s", err.message);
    return true;
}

static int compare_versions(const void *a, const void *b)
{
    const struct version *x = a, *y = b;
    if (x->series != y->series)
        return x->series < y->series ? -1 : 1;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static void forget(void)
{
    version_count = 0;
    state_count = metadata_count = exemplar_count = expiry_count = erasure_count = 0;
}

static void set_paths(const char *folder)
{
    snprintf(data_path, sizeof data_path, "%s/data", folder);
    snprintf(state_path, sizeof state_path, "%s/data/state", folder);
}

static bool check_parts(size_t position, char *why);

bool workload_run(const char *folder, char *why)
{
    forget();
    set_paths(folder);
    wall = tw_clock_manual_new(FIRST_DAY * TSDB_DAY_MS + 1000);
    script();
    disk_fail(0, 0, DISK_EIO);
    bool fine = recovers(why);
    disk_unwatch();
    if (version_count)
        qsort(versions, version_count, sizeof *versions, compare_versions);
    fine = fine && check_parts(NEVER, why);
    close_parts();
    wall = tw_clock_manual_free(wall);
    return fine && workload_check(folder, NEVER, why);
}

size_t workload_acknowledged(void)
{
    size_t count = 0;
    for (size_t i = 0; i < version_count; i++)
        count += versions[i].acknowledged != NEVER;
    return count;
}

void workload_fini(void)
{
    forget();
    free(versions);
    versions = NULL;
    version_capacity = 0;
}

/* ---- checking ---- */

static int64_t expired_before(size_t position)
{
    int64_t limit_ms = INT64_MIN;
    for (int i = 0; i < expiry_count; i++)
        if (expiries[i].begun < position)
            limit_ms = expiries[i].limit_ms;
    return limit_ms;
}

/* surely: the deletion was acknowledged; else it may be carried out, or not. */
static bool is_erased(const struct version *version, size_t position, bool surely)
{
    for (int i = 0; i < erasure_count; i++)
        if (erasures[i].series == version->series && version->order < erasures[i].order &&
            (surely ? erasures[i].step.acknowledged != NEVER &&
                          erasures[i].step.acknowledged <= position
                    : erasures[i].step.begun < position))
            return true;
    return false;
}

/* All versions of one sample begin at `first`; *ret_limit is behind them. Whether it must be there,
 * and whether these bits are right. */
static void judge(size_t first, size_t position, uint64_t bits, size_t *ret_limit, bool *ret_needed,
                  bool *ret_right)
{
    size_t limit = first, last = NEVER;
    while (limit < version_count && versions[limit].series == versions[first].series &&
           versions[limit].time_ms == versions[first].time_ms)
        limit++;
    for (size_t i = first; i < limit; i++)
        if (versions[i].acknowledged != NEVER && versions[i].acknowledged <= position)
            last = i;
    *ret_right = false;
    for (size_t i = last == NEVER ? first : last; i < limit; i++)
        if (versions[i].bits == bits && versions[i].begun <= position &&
            !is_erased(&versions[i], position, true))
            *ret_right = true;
    *ret_needed = last != NEVER && !is_erased(&versions[last], position, false);
    *ret_limit = limit;
}

static size_t first_version(int series)
{
    size_t first = 0, limit = version_count;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (versions[middle].series < series)
            first = middle + 1;
        else
            limit = middle;
    }
    return first;
}

static bool missing(size_t at, char *why)
{
    return fail(why, "series %d, sample at %lld of %zu: acknowledged and not there",
                versions[at].series, (long long)versions[at].time_ms, versions[at].order);
}

/* Walks what must be there up to a time that is; *at: in and out. */
static bool skip_to(size_t *at, int series, int64_t time_ms, size_t position, char *why)
{
    int64_t expired_ms = expired_before(position);
    while (*at < version_count && versions[*at].series == series &&
           versions[*at].time_ms < time_ms) {
        size_t limit;
        bool needed, right;
        judge(*at, position, 0, &limit, &needed, &right);
        if (needed && versions[*at].time_ms >= expired_ms)
            return missing(*at, why);
        *at = limit;
    }
    return true;
}

static bool check_series(struct tsdb_cursor *cursor, int series, size_t position, char *why)
{
    struct tw_err err;
    struct tsdb_column column;
    size_t at = first_version(series);
    for (;;) {
        if (tsdb_cursor_next(cursor, &column, &err) != TW_OK)
            return fail(why, "series %d cannot be read: %s", series, err.message);
        if (column.count == 0)
            return skip_to(&at, series, INT64_MAX, position, why);
        for (size_t i = 0; i < column.count; i++) {
            int64_t time_ms = column.times_ms[i];
            uint64_t bits = column.kind == TSDB_KIND_FLOAT ? tw_double_bits(column.values[i])
                                                           : histogram_bits(column.histograms[i]);
            if (!skip_to(&at, series, time_ms, position, why))
                return false;
            size_t limit = at;
            bool needed, right = false;
            if (at < version_count && versions[at].series == series &&
                versions[at].time_ms == time_ms)
                judge(at, position, bits, &limit, &needed, &right);
            if (!right)
                return fail(why, "series %d at %lld: %016llx was never written, or is outdated",
                            series, (long long)time_ms, (unsigned long long)bits);
            at = limit;
        }
    }
}

static bool check_selection(struct tsdb_selection *selection, struct tsdb_cursor *cursor,
                            size_t position, char *why)
{
    bool seen[SERIES_MAX] = {false};
    for (size_t i = 0; i < tsdb_selection_count(selection); i++) {
        struct wire_labels labels = tsdb_selection_labels(selection, i);
        int series = 0;
        struct tw_str text = wire_labels_get(labels, TW_STR("series"));
        for (size_t j = 0; j < text.size; j++)
            series = series * 10 + text.data[j] - '0';
        struct wire_label items[3];
        if (text.size == 0 || series < 0 || series >= SERIES_MAX || seen[series] ||
            !wire_labels_equal(labels, labels_of(series, items)))
            return fail(why, "a series that was never written, or is there twice");
        seen[series] = true;
        tsdb_cursor_seek(cursor, i, INT64_MIN, INT64_MAX);
        if (!check_series(cursor, series, position, why))
            return false;
    }
    for (int series = 0; series < SERIES_MAX; series++) {
        size_t at = first_version(series);
        if (!seen[series] && !skip_to(&at, series, INT64_MAX, position, why))
            return false;
    }
    return true;
}

static bool check_samples(size_t position, char *why)
{
    struct tw_err err;
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    struct tsdb_selection *selection;
    struct tsdb_cursor *cursor;
    if (tsdb_select(tsdb_db_storage(db), &context, NULL, 0, INT64_MIN, INT64_MAX,
                    &(struct tsdb_hints){0}, &selection, &err) != TW_OK)
        return fail(why, "cannot select: %s", err.message);
    bool fine = false;
    if (tsdb_cursor_open(selection, &cursor, &err) != TW_OK) {
        fail(why, "cannot read: %s", err.message);
    } else {
        fine = check_selection(selection, cursor, position, why);
        tsdb_cursor_close(cursor);
    }
    tsdb_selection_close(selection);
    return fine;
}

static bool is_allowed(const struct step *steps, int count, int number, size_t position)
{
    int last = -1;
    for (int i = 0; i < count; i++)
        if (steps[i].acknowledged != NEVER && steps[i].acknowledged <= position)
            last = i;
    return number >= last && number < count && (number < 0 || steps[number].begun <= position);
}

static bool check_state(size_t position, char *why)
{
    struct tw_err err;
    struct tsdb_state_txn *txn;
    if (tsdb_state_begin(state, false, &txn, &err) != TW_OK)
        return fail(why, "cannot read the state: %s", err.message);
    int seen[STATE_KEYS];
    for (int i = 0; i < STATE_KEYS; i++) {
        char key[32];
        struct tw_str value;
        snprintf(key, sizeof key, "key-%d", i);
        enum tw_code code =
            tsdb_state_get(txn, i % 2 ? "alerts" : "scalers", tw_str(key), &value, &err);
        if (code != TW_OK && code != TW_NOT_FOUND) {
            tsdb_state_abort(txn);
            return fail(why, "cannot read the state: %s", err.message);
        }
        seen[i] = code == TW_OK ? atoi(value.data) : -1;
    }
    tsdb_state_abort(txn);
    for (int i = 1; i < STATE_KEYS; i++)
        if (seen[i] != seen[0])
            return fail(why, "state: half of a transaction is there (%d, %d)", seen[0], seen[i]);
    if (!is_allowed(state_steps, state_count, seen[0], position))
        return fail(why, "state: transaction %d is there, which is outdated or not begun", seen[0]);
    return true;
}

static bool check_metadata(size_t position, char *why)
{
    struct tw_err err;
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    struct tw_arena *arena = tw_arena_new(4096);
    struct tsdb_metadata *items;
    size_t count;
    bool fine = true;
    if (tsdb_metadata_list(tsdb_db_storage(db), &context, TW_STR("metric_0"), arena, &items, &count,
                           &err) != TW_OK)
        fine = fail(why, "cannot read metadata: %s", err.message);
    int seen = fine && count > 0 ? atoi(tw_arena_cstr(arena, items[0].help)) : -1;
    if (fine && !is_allowed(metadata_steps, metadata_count, seen, position))
        fine = fail(why, "metadata: entry %d is there, which is outdated or not begun", seen);
    tw_arena_free(arena);
    return fine;
}

/* Those that are there, and that none is missing. */
static bool judge_exemplars(const struct tsdb_exemplars *found, size_t position, char *why)
{
    bool seen[EXEMPLARS_MAX] = {false};
    for (size_t i = 0; found && i < found->count; i++) {
        const struct wire_exemplar *item = &found->items[i];
        int number = (int)item->value;
        if (number < 0 || number >= exemplar_count || seen[number] ||
            item->time_ms != exemplars[number].time_ms || item->labels.count != 1 ||
            exemplars[number].step.begun > position)
            return fail(why, "exemplar %g at %lld was never written, or is there twice",
                        item->value, (long long)item->time_ms);
        seen[number] = true;
    }
    for (int i = 0; i < exemplar_count; i++)
        if (!seen[i] && exemplars[i].step.acknowledged != NEVER &&
            exemplars[i].step.acknowledged <= position &&
            exemplars[i].time_ms >= expired_before(position))
            return fail(why, "exemplar %d: acknowledged and not there", i);
    return true;
}

static bool check_exemplars(size_t position, char *why)
{
    struct tw_err err;
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    struct tsdb_matcher matcher = {
        .op = TSDB_MATCH_EQUAL, .name = TW_STR("series"), .value = TW_STR("0")};
    struct tsdb_selector selector = {&matcher, 1};
    struct tw_arena *arena = tw_arena_new(65536);
    struct tsdb_exemplars *found;
    size_t count;
    bool fine;
    if (tsdb_exemplars_select(tsdb_db_storage(db), &context, &selector, 1, INT64_MIN, INT64_MAX,
                              arena, &found, &count, &err) != TW_OK)
        fine = fail(why, "cannot read exemplars: %s", err.message);
    else if (count > 1)
        fine = fail(why, "exemplars of %zu series, where one has some", count);
    else
        fine = judge_exemplars(count ? found : NULL, position, why);
    tw_arena_free(arena);
    return fine;
}

static bool check_parts(size_t position, char *why)
{
    return check_samples(position, why) && check_state(position, why) &&
           check_metadata(position, why) && check_exemplars(position, why);
}

/* A folder that has nothing yet is fine. */
static bool verifies(const char *when, char *why)
{
    struct tw_err err;
    struct tsdb_verify_report report;
    struct tsdb_verify_options options = {.folder = data_path, .in_process = true};
    enum tw_code code = tsdb_verify_run(&options, &report, &err);
    if (code == TW_NOT_FOUND)
        return true;
    if (code != TW_OK)
        return fail(why, "%s: cannot be verified: %s", when, err.message);
    bool fine = true;
    for (size_t i = 0; i < report.count && fine; i++)
        if (report.files[i].finding_count > 0)
            fine = fail(why, "%s: '%s' is damaged: %s", when, report.files[i].path,
                        report.files[i].findings[0]);
    tsdb_verify_report_fini(&report);
    return fine;
}

bool workload_check(const char *folder, size_t position, char *why)
{
    set_paths(folder);
    if (!verifies("as it was left", why))
        return false;
    int64_t limit_ms = expired_before(position);
    wall = tw_clock_manual_new(limit_ms == INT64_MIN ? FIRST_DAY * TSDB_DAY_MS
                                                     : limit_ms + RETENTION_MS);
    struct tw_err err;
    bool fine = true;
    if (open_parts(&err) != TW_OK)
        fine = fail(why, "does not open: %s", err.message);
    fine = fine && check_parts(position, why);
    /* A store that was repaired takes and keeps more. */
    if (fine && position != NEVER && tsdb_db_flush(db, &err) != TW_OK)
        fine = fail(why, "cannot flush: %s", err.message);
    fine = fine && check_parts(position, why);
    close_parts();
    wall = tw_clock_manual_free(wall);
    return fine && verifies("after it was opened and closed", why);
}
