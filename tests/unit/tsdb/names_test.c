/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and values of labels over heads and partitions, beside what the series themselves say; and
 * the order of texts.
 */
#include "config.h"

#include "tests/unit/tsdb/store.h"
#include "tsdb/db_int.h"
#include "tsdb/text_order.h"

#define DAY_MS INT64_C(86400000)
#define START_MS (INT64_C(19000) * DAY_MS)
#define SERIES 400

static struct tw_err err;

static struct tsdb_db *open_store(void)
{
    static char path[4096];
    static int number;
    snprintf(path, sizeof path, "%s/db%d", unit_folder(), number++);
    struct tsdb_db_options options = {.folder = path, .manual = true};
    struct tsdb_db *db;
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    return db;
}

/* ---- the order of texts ---- */

static int compare_texts(const void *a, const void *b)
{
    return tw_str_compare(*(const struct tw_str *)a, *(const struct tw_str *)b);
}

static void assert_order(struct tw_str *items, size_t count, size_t wanted)
{
    struct tw_str *sorted = malloc((count + 1) * sizeof *sorted);
    ck_assert_ptr_nonnull(sorted);
    memcpy(sorted, items, count * sizeof *items);
    qsort(sorted, count, sizeof *sorted, compare_texts);
    tsdb_text_order(items, count, wanted);
    for (size_t i = 0; i < wanted; i++)
        ck_assert_msg(tw_str_equal(items[i], sorted[i]), "place %zu of %zu", i, count);
    for (size_t i = wanted; i < count; i++)
        ck_assert_int_ge(tw_str_compare(items[i], sorted[wanted]), 0);
    free(sorted);
}

/* Long common beginnings, zeros at the end, and bytes above 127. */
START_TEST(texts_are_ordered)
{
    enum { COUNT = 3000 };
    static char room[COUNT][64];
    static struct tw_str items[COUNT];
    srand((unsigned)_i + 1);
    for (int round = 0; round < 40; round++) {
        size_t count = (size_t)(rand() % COUNT), common = (size_t)(rand() % 40);
        int letters = 1 + rand() % 4;
        for (size_t i = 0; i < count; i++) {
            size_t size = common + (size_t)(rand() % 24);
            memset(room[i], 'a', common);
            for (size_t j = common; j < size; j++)
                room[i][j] = "\0\xf0"
                             "ab"[rand() % letters];
            items[i] = (struct tw_str){room[i], size};
        }
        assert_order(items, count, count ? (size_t)rand() % (count + 1) : 0);
        assert_order(items, count, count);
    }
}
END_TEST

START_TEST(hostile_orders_end)
{
    enum { COUNT = 20000 };
    static char texts[COUNT][1100];
    static struct tw_str items[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        memset(texts[i], 'x', sizeof texts[i]);
        snprintf(texts[i] + sizeof texts[i] - 8, 8, "%zu", i % 700);
        items[i] = (struct tw_str){texts[i], sizeof texts[i] - (i % 3 ? 0 : 9)};
    }
    assert_order(items, COUNT, COUNT);
    for (size_t i = 0; i < COUNT; i++) /* an organ pipe */
        snprintf(texts[i], 16, "%08zu", i < COUNT / 2 ? i : COUNT - i);
    assert_order(items, COUNT, COUNT / 2);
}
END_TEST

/* ---- beside the series ---- */

/* Days 0 to 2 in partitions, some of day 2 and day 3 in two heads. Values are shared and not. */
static void fill(struct tsdb_db *db)
{
    srand(7);
    for (int day = 0; day < 4; day++) {
        for (int i = 0; i < SERIES; i++) {
            char series[160];
            if (rand() % 3 == 0)
                continue;
            snprintf(series, sizeof series, "m%d,a=v%d,b=w%d%s", i % 7, i % 40,
                     i % 5 + (i % 11 == 0 ? day * 10 : 0), i % 3 ? "" : ",c=x");
            unit_assert_ok(store_append(db, series, START_MS + day * DAY_MS + i * 1000, i, &err),
                           &err);
        }
        if (day == 0 || day == 1)
            unit_assert_ok(tsdb_db_flush(db, &err), &err);
        else if (day == 2)
            unit_assert_ok(tsdb_keeper_rotate(db, &err), &err);
    }
}

struct texts {
    struct tw_str items[SERIES * 16];
    size_t count;
};

static void add_text(struct texts *texts, struct tw_arena *arena, struct tw_str text)
{
    for (size_t i = 0; i < texts->count; i++)
        if (tw_str_equal(texts->items[i], text))
            return;
    texts->items[texts->count++] = tw_arena_str(arena, text);
}

/* What the series of a selection have. */
static void expect(struct tsdb_db *db, const struct tsdb_selector *selector, struct tw_str name,
                   int64_t start_ms, int64_t end_ms, struct tw_arena *arena, struct texts *ret)
{
    struct tw_context context = store_context();
    struct tsdb_selection *selection;
    unit_assert_ok(tsdb_select(tsdb_db_storage(db), &context, selector->matchers, selector->count,
                               start_ms, end_ms, NULL, &selection, &err),
                   &err);
    for (size_t i = 0; i < tsdb_selection_count(selection); i++) {
        struct wire_labels labels = tsdb_selection_labels(selection, i);
        for (size_t j = 0; j < labels.count; j++)
            if (name.size == 0)
                add_text(ret, arena, labels.items[j].name);
            else if (tw_str_equal(labels.items[j].name, name))
                add_text(ret, arena, labels.items[j].value);
    }
    tsdb_selection_close(selection);
}

static void assert_listed(struct tsdb_db *db, const struct tsdb_selector *selectors, size_t count,
                          struct tw_str name, int64_t start_ms, int64_t end_ms, size_t limit)
{
    static struct texts wanted;
    struct tw_arena *arena = tw_arena_new(4096);
    struct tw_context context = store_context();
    struct tsdb_strings found;
    wanted.count = 0;
    static const struct tsdb_selector everything = {0};
    if (count == 0)
        expect(db, &everything, name, start_ms, end_ms, arena, &wanted);
    for (size_t i = 0; i < count; i++)
        expect(db, &selectors[i], name, start_ms, end_ms, arena, &wanted);
    qsort(wanted.items, wanted.count, sizeof *wanted.items, compare_texts);
    struct tsdb_storage *storage = tsdb_db_storage(db);
    unit_assert_ok(name.size ? tsdb_label_values(storage, &context, name, selectors, count,
                                                 start_ms, end_ms, limit, arena, &found, &err)
                             : tsdb_label_names(storage, &context, selectors, count, start_ms,
                                                end_ms, limit, arena, &found, &err),
                   &err);
    size_t kept = limit && limit < wanted.count ? limit : wanted.count;
    ck_assert_uint_eq(found.count, kept);
    ck_assert(found.truncated == (kept < wanted.count));
    for (size_t i = 0; i < kept; i++)
        ck_assert_msg(tw_str_equal(found.items[i], wanted.items[i]), "%.*s is not %.*s",
                      TW_STR_ARG(found.items[i]), TW_STR_ARG(wanted.items[i]));
    tw_arena_free(arena);
}

static const struct {
    enum tsdb_match_op op;
    const char *name, *value;
} matcher_table[] = {
    {TSDB_MATCH_EQUAL, "__name__", "m3"},
    {TSDB_MATCH_EQUAL, "a", "v7"},
    {TSDB_MATCH_EQUAL, "c", ""},
    {TSDB_MATCH_REGEX, "__name__", "m[1-4]"},
    {TSDB_MATCH_NOT_EQUAL, "b", "w1"},
    {TSDB_MATCH_NOT_REGEX, "c", "x|y"},
    {TSDB_MATCH_EQUAL, "nothing", "there"},
    {TSDB_MATCH_REGEX, "b", "w1.*"},
};
enum { MATCHERS = sizeof matcher_table / sizeof *matcher_table };

static struct tsdb_matcher make_matcher(int index)
{
    struct tsdb_matcher matcher;
    unit_assert_ok(tsdb_matcher_init(&matcher, matcher_table[index].op,
                                     tw_str(matcher_table[index].name),
                                     tw_str(matcher_table[index].value), &err),
                   &err);
    return matcher;
}

/* All pairs of matchers, all names, ranges of days: what the series say. */
START_TEST(names_are_those_of_the_series)
{
    static const char *const names[] = {"", "__name__", "a", "b", "c", "nothing"};
    static const int64_t ranges[][2] = {{-1000, 4 * DAY_MS},
                                        {0, DAY_MS - 1},
                                        {DAY_MS, 2 * DAY_MS - 1},
                                        {3 * DAY_MS, 4 * DAY_MS},
                                        {9 * DAY_MS, 10 * DAY_MS}};
    struct tsdb_db *db = open_store();
    fill(db);
    for (int i = 0; i < MATCHERS; i++)
        for (int j = i; j < MATCHERS; j++) {
            struct tsdb_matcher matchers[2] = {make_matcher(i), make_matcher(j)};
            struct tsdb_selector both = {matchers, 2}, each[2] = {{matchers, 1}, {matchers + 1, 1}};
            for (size_t n = 0; n < sizeof names / sizeof *names; n++)
                for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
                    int64_t start_ms = START_MS + ranges[r][0], end_ms = START_MS + ranges[r][1];
                    size_t limit = (n + r) % 3 * 2;
                    assert_listed(db, &both, 1, tw_str(names[n]), start_ms, end_ms, limit);
                    assert_listed(db, NULL, 0, tw_str(names[n]), start_ms, end_ms, limit);
                    assert_listed(db, each, 2, tw_str(names[n]), start_ms, end_ms, limit);
                }
            tsdb_matcher_fini(&matchers[0]);
            tsdb_matcher_fini(&matchers[1]);
        }
    tsdb_db_close(db);
}
END_TEST

/* A deleted series leaves its names; a scope hides what is outside it. */
START_TEST(deleted_and_hidden_series_have_no_names)
{
    struct tsdb_db *db = open_store();
    unit_assert_ok(store_append(db, "up,a=x", START_MS, 1, &err), &err);
    unit_assert_ok(store_append(db, "up,a=y", START_MS, 1, &err), &err);
    struct tsdb_matcher metric, hidden;
    unit_assert_ok(
        tsdb_matcher_init(&metric, TSDB_MATCH_EQUAL, TW_STR("__name__"), TW_STR("up"), &err), &err);
    unit_assert_ok(tsdb_matcher_init(&hidden, TSDB_MATCH_EQUAL, TW_STR("a"), TW_STR("x"), &err),
                   &err);
    struct tsdb_selector selector = {&metric, 1};
    struct tw_context context = store_context();
    context.scope = &hidden;
    context.scope_count = 1;
    struct tw_arena *arena = tw_arena_new(4096);
    struct tsdb_strings found;
    for (size_t count = 0; count < 2; count++) {
        unit_assert_ok(tsdb_label_values(tsdb_db_storage(db), &context, TW_STR("a"), &selector,
                                         count, START_MS, START_MS, 0, arena, &found, &err),
                       &err);
        ck_assert_uint_eq(found.count, 1);
        ck_assert(tw_str_is(found.items[0], "x"));
    }
    context = store_context();
    unit_assert_ok(tsdb_db_delete(db, &context, &(struct tsdb_selector){&hidden, 1}, 1, START_MS,
                                  START_MS, &err),
                   &err);
    unit_assert_ok(tsdb_label_values(tsdb_db_storage(db), &context, TW_STR("a"), &selector, 1,
                                     START_MS, START_MS, 0, arena, &found, &err),
                   &err);
    ck_assert_uint_eq(found.count, 1);
    ck_assert(tw_str_is(found.items[0], "y"));
    tw_arena_free(arena);
    tsdb_matcher_fini(&metric);
    tsdb_matcher_fini(&hidden);
    tsdb_db_close(db);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_LOOP(texts_are_ordered, 0, 4),
                                      UNIT_CASE(hostile_orders_end),
                                      UNIT_CASE(names_are_those_of_the_series),
                                      UNIT_CASE(deleted_and_hidden_series_have_no_names),
                                      {0}};
    return unit_run("tsdb/names", cases);
}
