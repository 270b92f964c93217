/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/selections.h"

#include "tsdb/db.h"

/* One look-up in the store; readers may want different groups. */
struct opened {
    struct opened *next;
    struct tsdb_selection *selection;
    struct tsdb_grouping grouping; /* names NULL and count 0 with is_grouped false: labels */
    bool is_grouped;
};

/* Readers of selectors that match alike. */
struct reading {
    struct reading *next;
    const struct query_node *selector; /* the first of them */
    size_t places;
    int64_t start_ms, end_ms; /* all that they read: (start, end] */
    struct opened *opened;
    bool is_apart; /* too many series together */
};

struct reader {
    struct reader *next;
    const struct query_node *selector;
    struct reading *reading;
};

struct query_selections {
    struct tw_arena *arena;
    struct reading *first, **end;
    struct reader *readers;
};

struct query_selections *query_selections_new(struct tw_arena *arena)
{
    struct query_selections *selections = TW_ARENA_NEW(arena, struct query_selections);
    selections->arena = arena;
    selections->end = &selections->first;
    return selections;
}

/* ---- which go together ---- */

static bool same_matchers(const struct query_node *a, const struct query_node *b)
{
    if (a->selector.matcher_count != b->selector.matcher_count)
        return false;
    for (size_t i = 0; i < a->selector.matcher_count; i++) {
        const struct tsdb_matcher *x = &a->selector.matchers[i], *y = &b->selector.matchers[i];
        if (x->op != y->op || !tw_str_equal(x->name, y->name) || !tw_str_equal(x->value, y->value))
            return false;
    }
    return true;
}

static int64_t day_of(int64_t time_ms)
{
    return time_ms / TSDB_DAY_MS - (time_ms % TSDB_DAY_MS < 0);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greatest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Whether one look-up serves a reading's span and another one (I1). */
static bool goes_with(const struct reading *reading, int64_t start_ms, int64_t end_ms)
{
    if (day_of(reading->start_ms) == day_of(start_ms) && day_of(reading->end_ms) == day_of(end_ms))
        return true;
    double whole =
        (double)greatest(reading->end_ms, end_ms) - (double)least(reading->start_ms, start_ms);
    double narrow = (double)end_ms - (double)start_ms;
    double wide = (double)reading->end_ms - (double)reading->start_ms;
    return whole <= 1.25 * (narrow < wide ? narrow : wide);
}

static bool covers(const struct reading *reading, int64_t start_ms, int64_t end_ms)
{
    return reading->start_ms <= start_ms && reading->end_ms >= end_ms;
}

void query_selections_add(struct query_selections *selections, const struct query_node *selector,
                          int64_t start_ms, int64_t end_ms)
{
    struct reading *reading = selections->first;
    while (reading &&
           !(same_matchers(reading->selector, selector) && goes_with(reading, start_ms, end_ms)))
        reading = reading->next;
    if (!reading) {
        reading = TW_ARENA_NEW(selections->arena, struct reading);
        *reading = (struct reading){.selector = selector, .start_ms = start_ms, .end_ms = end_ms};
        *selections->end = reading;
        selections->end = &reading->next;
    }
    struct reader *reader = TW_ARENA_NEW(selections->arena, struct reader);
    *reader = (struct reader){selections->readers, selector, reading};
    selections->readers = reader;
    reading->places++;
    reading->start_ms = least(reading->start_ms, start_ms);
    reading->end_ms = greatest(reading->end_ms, end_ms);
}

/* ---- running ---- */

static bool same_grouping(const struct opened *opened, const struct tsdb_grouping *grouping)
{
    if (!grouping || !opened->is_grouped)
        return !grouping && !opened->is_grouped;
    if (opened->grouping.without != grouping->without || opened->grouping.count != grouping->count)
        return false;
    for (size_t i = 0; i < grouping->count; i++)
        if (!tw_str_equal(opened->grouping.names[i], grouping->names[i]))
            return false;
    return true;
}

/* The hints' own may lie in memory of the slice. */
static void keep_grouping(struct query_selections *selections, struct opened *opened,
                          const struct tsdb_grouping *grouping)
{
    struct tw_str *names = TW_ARENA_ARRAY(selections->arena, struct tw_str, grouping->count + 1);
    for (size_t i = 0; i < grouping->count; i++)
        names[i] = tw_arena_str(selections->arena, grouping->names[i]);
    opened->is_grouped = true;
    opened->grouping = (struct tsdb_grouping){names, grouping->count, grouping->without};
}

static enum tw_code look_up(struct query_selections *selections, struct reading *reading,
                            struct query_exec *exec, const struct tsdb_hints *hints,
                            struct tsdb_selection **ret, struct tw_err *err)
{
    struct tsdb_selection *selection;
    enum tw_code code =
        tsdb_select(exec->storage, exec->context, reading->selector->selector.matchers,
                    reading->selector->selector.matcher_count, reading->start_ms + 1,
                    reading->end_ms, hints, &selection, err);
    if (code == TW_LIMIT) {
        reading->is_apart = true;
        return TW_OK;
    }
    if (code)
        return code;
    struct opened *opened = TW_ARENA_NEW(selections->arena, struct opened);
    opened->selection = selection;
    if (hints->grouping)
        keep_grouping(selections, opened, hints->grouping);
    opened->next = reading->opened;
    reading->opened = opened;
    *ret = selection;
    return TW_OK;
}

enum tw_code query_selections_open(struct query_selections *selections, struct query_exec *exec,
                                   const struct query_node *selector, int64_t start_ms,
                                   int64_t end_ms, const struct tsdb_hints *hints,
                                   struct tsdb_selection **ret_selection, struct tw_err *err)
{
    *ret_selection = NULL;
    const struct reader *reader = selections->readers;
    while (reader && reader->selector != selector)
        reader = reader->next;
    struct reading *reading = reader ? reader->reading : NULL;
    if (!reading || reading->places < 2 || reading->is_apart || !covers(reading, start_ms, end_ms))
        return TW_OK;
    for (struct opened *at = reading->opened; at; at = at->next)
        if (same_grouping(at, hints->grouping)) {
            *ret_selection = at->selection;
            return TW_OK;
        }
    return look_up(selections, reading, exec, hints, ret_selection, err);
}

void query_selections_close(struct query_selections *selections)
{
    for (struct reading *reading = selections->first; reading; reading = reading->next) {
        for (struct opened *at = reading->opened; at; at = at->next)
            tsdb_selection_close(at->selection);
        reading->opened = NULL;
    }
}

size_t query_selections_describe(const struct query_selections *selections, size_t index,
                                 struct query_selections_shared *ret)
{
    size_t count = 0;
    for (const struct reading *at = selections->first; at; at = at->next)
        if (at->places > 1 && count++ == index)
            *ret = (struct query_selections_shared){at->selector, at->places, at->start_ms,
                                                    at->end_ms};
    return count;
}
