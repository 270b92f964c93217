/* SPDX-License-Identifier: Apache-2.0
 *
 * model_test: random writes, overwrites, deletions, flushes, rewrites and reopenings, against a
 * reference that is an array of samples. TW_MODEL_SEED and TW_MODEL_ROUNDS choose another or a
 * longer run, TW_LONG=1 the long one.
 */
#include "config.h"

#include "base/file.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/partition_map.h"

#define SERIES_COUNT 24
#define ROUNDS 250
#define LONG_ROUNDS 1500
#define DAY TSDB_DAY_MS

struct sample {
    int series;
    int64_t time_ms;
    uint64_t bits;
};

static struct sample *model; /* in the order of writing */
static size_t model_count, model_capacity;
static uint64_t seed = 20261121;
static char path[4096];
static struct tsdb_db *db;
static struct tw_err err;

static uint64_t next_random(uint64_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % limit;
}

static struct wire_labels labels_of(int series, struct wire_label *items)
{
    static char names[SERIES_COUNT][16], hosts[SERIES_COUNT][16], zones[SERIES_COUNT][16];
    snprintf(names[series], sizeof names[series], "metric_%d", series % 4);
    snprintf(hosts[series], sizeof hosts[series], "host-%d", series / 4);
    snprintf(zones[series], sizeof zones[series], "z%d", series % 3);
    items[0] = (struct wire_label){TW_STR(WIRE_METRIC_NAME), tw_str(names[series])};
    items[1] = (struct wire_label){TW_STR("host"), tw_str(hosts[series])};
    items[2] = (struct wire_label){TW_STR("zone"), tw_str(zones[series])};
    return (struct wire_labels){items, series % 3 ? 3 : 2};
}

static void open_db(void)
{
    struct tsdb_db_options options = {.folder = path, .manual = true};
    /* Label sets come back under other ids, as they do under churn, or keep theirs. */
    tsdb_partition_map_small(next_random(3) ? 0 : 100);
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
}

/* Times cluster on a few days, before 1970 too, and repeat. */
static int64_t random_time(void)
{
    static const int64_t bases[] = {0, -DAY, 3 * DAY, 1700000000000, 1700000000000 + DAY};
    int64_t base = bases[next_random(5)];
    return next_random(3) ? base + (int64_t)next_random(400) * 15000
                          : base + (int64_t)next_random(20000000);
}

static uint64_t random_bits(void)
{
    switch (next_random(6)) {
    case 0:
        return TW_STALE_BITS;
    case 1:
        return tw_double_bits((double)next_random(1000) / 10);
    case 2:
        return next_random(UINT64_MAX >> 11) * 2654435761u;
    default:
        return tw_double_bits((double)next_random(100));
    }
}

static void write_some(void)
{
    struct tsdb_sample samples[300];
    static struct wire_label items[300][3];
    size_t count = 1 + next_random(300);
    int series = (int)next_random(SERIES_COUNT);
    int64_t time_ms = random_time();
    bool in_order = next_random(2);
    for (size_t i = 0; i < count; i++) {
        if (!in_order) {
            series = (int)next_random(SERIES_COUNT);
            time_ms = random_time();
        } else if (i % SERIES_COUNT == 0) {
            time_ms += 15000;
            series = 0;
        } else {
            series = (series + 1) % SERIES_COUNT;
        }
        uint64_t bits = random_bits();
        samples[i] =
            (struct tsdb_sample){labels_of(series, items[i]), time_ms, tw_double_from_bits(bits)};
        if (model_count == model_capacity) {
            model_capacity = model_capacity ? model_capacity * 2 : 1024;
            model = realloc(model, model_capacity * sizeof *model);
        }
        model[model_count++] = (struct sample){series, time_ms, bits};
    }
    struct tw_context context = store_context();
    unit_assert_ok(tsdb_append(tsdb_db_storage(db), &context, samples, count, &err), &err);
}

/* What the reference has of a series in a range, by time; returns the count. */
static size_t reference(int series, int64_t start_ms, int64_t end_ms, struct sample *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < model_count; i++) {
        if (model[i].series != series || model[i].time_ms < start_ms || model[i].time_ms > end_ms)
            continue;
        size_t at = 0;
        while (at < count && ret[at].time_ms < model[i].time_ms)
            at++;
        if (at < count && ret[at].time_ms == model[i].time_ms) {
            if (model[i].bits != TW_STALE_BITS)
                ret[at] = model[i];
            continue;
        }
        memmove(ret + at + 1, ret + at, (count++ - at) * sizeof *ret);
        ret[at] = model[i];
    }
    return count;
}

static void check_series(struct tsdb_cursor *cursor, size_t index, int series, int64_t start_ms,
                         int64_t end_ms)
{
    struct sample *wanted = malloc((model_count + 1) * sizeof *wanted);
    size_t count = reference(series, start_ms, end_ms, wanted), at = 0;
    struct tsdb_column column;
    tsdb_cursor_seek(cursor, index, start_ms, end_ms);
    for (;;) {
        unit_assert_ok(tsdb_cursor_next(cursor, &column, &err), &err);
        if (column.count == 0)
            break;
        for (size_t i = 0; i < column.count; i++, at++) {
            ck_assert_msg(at < count, "series %d has more than %zu samples", series, count);
            ck_assert_int_eq(column.times_ms[i], wanted[at].time_ms);
            ck_assert_msg(tw_double_bits(column.values[i]) == wanted[at].bits,
                          "series %d at %lld: %llx, not %llx", series,
                          (long long)wanted[at].time_ms,
                          (unsigned long long)tw_double_bits(column.values[i]),
                          (unsigned long long)wanted[at].bits);
        }
    }
    ck_assert_msg(at == count, "series %d has %zu samples, not %zu", series, at, count);
    free(wanted);
}

static bool is_written(int series, int64_t start_ms, int64_t end_ms)
{
    for (size_t i = 0; i < model_count; i++)
        if (model[i].series == series && model[i].time_ms >= start_ms && model[i].time_ms <= end_ms)
            return true;
    return false;
}

/* Of the samples of a series, in any order of series. */
static uint64_t digest(struct tsdb_cursor *cursor, size_t index, int64_t start_ms, int64_t end_ms)
{
    struct tsdb_column column;
    uint64_t sum = 1; /* a series without samples counts, too */
    tsdb_cursor_seek(cursor, index, start_ms, end_ms);
    for (;;) {
        unit_assert_ok(tsdb_cursor_next(cursor, &column, &err), &err);
        if (column.count == 0)
            return sum;
        for (size_t i = 0; i < column.count; i++)
            sum += ((uint64_t)column.times_ms[i] ^ tw_double_bits(column.values[i]) * 31) *
                   UINT64_C(0x9e3779b97f4a7c15);
    }
}

static struct wire_labels group_labels(struct wire_labels labels,
                                       const struct tsdb_grouping *grouping,
                                       struct wire_label *items)
{
    size_t count = 0;
    for (size_t i = 0; i < labels.count; i++) {
        struct tw_str name = labels.items[i].name;
        bool named = grouping->without && tw_str_is(name, WIRE_METRIC_NAME);
        for (size_t j = 0; j < grouping->count; j++)
            named |= tw_str_equal(name, grouping->names[j]);
        if (named != grouping->without)
            items[count++] = labels.items[i];
    }
    return (struct wire_labels){items, count};
}

/* The same selection in groups: those of its labels, with the samples of their series. */
static void check_groups(struct tsdb_selection *whole, const struct tsdb_matcher *matchers,
                         size_t matcher_count, int64_t start_ms, int64_t end_ms)
{
    const struct tw_str names[] = {TW_STR("zone"), TW_STR("nothing"), TW_STR("host"),
                                   TW_STR(WIRE_METRIC_NAME)};
    size_t first = next_random(4);
    struct tsdb_grouping grouping = {names + first, next_random(5 - first), next_random(2)};
    struct tsdb_hints hints = {.grouping = &grouping};
    struct tw_context context = store_context();
    struct tsdb_selection *selection;
    unit_assert_ok(tsdb_select(tsdb_db_storage(db), &context, matchers, matcher_count, start_ms,
                               end_ms, &hints, &selection, &err),
                   &err);
    struct tsdb_groups groups;
    ck_assert(tsdb_selection_groups(selection, &groups));
    ck_assert(groups.count <= SERIES_COUNT);
    size_t count = tsdb_selection_count(selection);
    ck_assert_uint_eq(count, tsdb_selection_count(whole));
    uint64_t wanted[SERIES_COUNT] = {0}, found[SERIES_COUNT] = {0};
    struct tsdb_cursor *cursor, *whole_cursor;
    unit_assert_ok(tsdb_cursor_open(selection, &cursor, &err), &err);
    unit_assert_ok(tsdb_cursor_open(whole, &whole_cursor, &err), &err);
    for (size_t g = 1; g < groups.count; g++)
        ck_assert(wire_labels_compare(groups.labels[g - 1], groups.labels[g]) < 0);
    for (size_t i = 0; i < count; i++) {
        struct wire_label items[3];
        struct wire_labels labels = group_labels(tsdb_selection_labels(whole, i), &grouping, items);
        size_t group = 0;
        while (group < groups.count && !wire_labels_equal(groups.labels[group], labels))
            group++;
        ck_assert_uint_lt(group, groups.count);
        ck_assert_uint_lt(groups.group_of[i], groups.count);
        wanted[group] += digest(whole_cursor, i, start_ms, end_ms);
        found[groups.group_of[i]] += digest(cursor, i, start_ms, end_ms);
    }
    for (size_t g = 0; g < groups.count; g++) {
        ck_assert_uint_ne(wanted[g], 0);
        ck_assert_uint_eq(wanted[g], found[g]);
    }
    tsdb_cursor_close(cursor);
    tsdb_cursor_close(whole_cursor);
    tsdb_selection_close(selection);
}

static void read_some(void)
{
    int64_t start_ms = random_time(), end_ms = random_time();
    if (next_random(4) == 0)
        start_ms = INT64_MIN, end_ms = INT64_MAX;
    if (start_ms > end_ms) {
        int64_t swapped = start_ms;
        start_ms = end_ms;
        end_ms = swapped;
    }
    static const struct {
        enum tsdb_match_op op;
        const char *name, *value;
    } choices[] = {{TSDB_MATCH_EQUAL, "__name__", "metric_1"},
                   {TSDB_MATCH_EQUAL, "zone", ""},
                   {TSDB_MATCH_EQUAL, "zone", "z2"},
                   {TSDB_MATCH_NOT_EQUAL, "host", "host-2"},
                   {TSDB_MATCH_REGEX, "host", "host-[135]"},
                   {TSDB_MATCH_REGEX, "zone", "z1|"},
                   {TSDB_MATCH_NOT_REGEX, "__name__", ".*_[02]"},
                   {TSDB_MATCH_NOT_EQUAL, "zone", ""},
                   {TSDB_MATCH_EQUAL, "nothing", "x"},
                   {TSDB_MATCH_NOT_EQUAL, "nothing", "x"}};
    struct tsdb_matcher matchers[3];
    size_t matcher_count = next_random(4);
    for (size_t i = 0; i < matcher_count; i++) {
        size_t choice = next_random(sizeof choices / sizeof *choices);
        unit_assert_ok(tsdb_matcher_init(&matchers[i], choices[choice].op,
                                         tw_str(choices[choice].name),
                                         tw_str(choices[choice].value), &err),
                       &err);
    }
    struct tw_context context = store_context();
    struct tsdb_selection *selection;
    unit_assert_ok(tsdb_select(tsdb_db_storage(db), &context, matchers, matcher_count, start_ms,
                               end_ms, &(struct tsdb_hints){0}, &selection, &err),
                   &err);
    struct tsdb_cursor *cursor;
    unit_assert_ok(tsdb_cursor_open(selection, &cursor, &err), &err);
    bool seen[SERIES_COUNT] = {false};
    for (size_t i = 0; i < tsdb_selection_count(selection); i++) {
        struct wire_labels labels = tsdb_selection_labels(selection, i);
        if (i > 0)
            ck_assert(wire_labels_compare(tsdb_selection_labels(selection, i - 1), labels) < 0);
        for (int series = 0; series < SERIES_COUNT; series++) {
            struct wire_label items[3];
            if (!wire_labels_equal(labels, labels_of(series, items)))
                continue;
            seen[series] = true;
            check_series(cursor, i, series, start_ms, end_ms);
        }
    }
    for (int series = 0; series < SERIES_COUNT; series++) {
        struct wire_label items[3];
        bool match = true;
        for (size_t i = 0; i < matcher_count; i++)
            match &= tsdb_matcher_matches(
                &matchers[i], wire_labels_get(labels_of(series, items), matchers[i].name));
        if (match && is_written(series, start_ms, end_ms))
            ck_assert_msg(seen[series], "series %d is missing", series);
        if (!match)
            ck_assert_msg(!seen[series], "series %d does not match", series);
    }
    tsdb_cursor_close(cursor);
    check_groups(selection, matchers, matcher_count, start_ms, end_ms);
    tsdb_selection_close(selection);
    for (size_t i = 0; i < matcher_count; i++)
        tsdb_matcher_fini(&matchers[i]);
}

/* One of the metrics, perhaps on one host, in a range; the reference forgets it at once. */
static void delete_some(void)
{
    char name[16], host[16];
    int metric = (int)next_random(4), number = next_random(2) ? (int)next_random(6) : -1;
    int64_t start_ms = random_time(), end_ms = start_ms + (int64_t)next_random(20000000);
    if (next_random(3) == 0)
        start_ms = INT64_MIN;
    if (next_random(4) == 0)
        end_ms = INT64_MAX;
    snprintf(name, sizeof name, "metric_%d", metric);
    snprintf(host, sizeof host, "host-%d", number);
    const struct tsdb_matcher matchers[] = {
        {.op = TSDB_MATCH_EQUAL, .name = TW_STR(WIRE_METRIC_NAME), .value = tw_str(name)},
        {.op = TSDB_MATCH_EQUAL, .name = TW_STR("host"), .value = tw_str(host)}};
    struct tsdb_selector selector = {matchers, number < 0 ? 1 : 2};
    struct tw_context context = store_context();
    unit_assert_ok(tsdb_db_delete(db, &context, &selector, 1, start_ms, end_ms, &err), &err);
    size_t kept = 0;
    for (size_t i = 0; i < model_count; i++)
        if (model[i].series % 4 != metric || (number >= 0 && model[i].series / 4 != number) ||
            model[i].time_ms < start_ms || model[i].time_ms > end_ms)
            model[kept++] = model[i];
    model_count = kept;
}

START_TEST(agrees_with_the_reference)
{
    if (getenv("TW_MODEL_SEED"))
        seed = strtoull(getenv("TW_MODEL_SEED"), NULL, 10);
    int rounds = store_rounds("TW_MODEL_ROUNDS", ROUNDS, LONG_ROUNDS);
    snprintf(path, sizeof path, "%s/model", unit_folder());
    open_db();
    for (int i = 0; i < rounds; i++) {
        switch (next_random(13)) {
        case 0:
        case 1:
            unit_assert_ok(tsdb_db_flush(db, &err), &err);
            break;
        case 2:
            tsdb_db_close(db);
            open_db();
            break;
        case 3:
            unit_assert_ok(tsdb_db_keep(db, &err), &err);
            break;
        case 4:
            delete_some();
            break;
        default:
            write_some();
        }
        read_some();
    }
    tsdb_db_close(db);
    free(model);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE_SLOW(agrees_with_the_reference, 3600), {0}};
    return unit_run("tsdb/model", cases);
}
