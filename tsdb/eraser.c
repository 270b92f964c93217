/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/eraser.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"

/* One selector; shared by the lists that have it. */
struct eraser {
    atomic_uint references;
    struct tsdb_matcher *matchers;
    size_t matcher_count;
    char **texts; /* of the matchers: name, value, name, value ... */
    uint64_t id;  /* of a tombstone; 0 = a rule */
    struct tsdb_erasure erasure;
    int64_t keep_ms;
};

struct tsdb_erasers {
    atomic_uint references;
    struct eraser **items; /* rules, then tombstones by id */
    size_t count, capacity, rule_count;
};

/* ---- ranges ---- */

void tsdb_erasures_fini(struct tsdb_erasures *erasures)
{
    free(erasures->items);
    *erasures = (struct tsdb_erasures){0};
}

bool tsdb_erasure_touches(const struct tsdb_erasure *items, size_t count, uint64_t run,
                          int64_t first_ms, int64_t last_ms)
{
    for (size_t i = 0; i < count; i++)
        if (run <= items[i].run_max && items[i].start_ms <= last_ms && items[i].end_ms >= first_ms)
            return true;
    return false;
}

bool tsdb_erasure_covers(const struct tsdb_erasure *items, size_t count, uint64_t run,
                         int64_t first_ms, int64_t last_ms)
{
    for (size_t i = 0; i < count; i++)
        if (run <= items[i].run_max && items[i].start_ms <= first_ms && items[i].end_ms >= last_ms)
            return true;
    return false;
}

bool tsdb_erasure_has(const struct tsdb_erasure *items, size_t count, uint64_t run, int64_t time_ms)
{
    return tsdb_erasure_touches(items, count, run, time_ms, time_ms);
}

size_t tsdb_erasure_cut_points(const struct tsdb_erasure *items, size_t count, uint64_t run,
                               struct tsdb_point *points, size_t point_count)
{
    if (point_count == 0 || !tsdb_erasure_touches(items, count, run, points[0].time_ms,
                                                  points[point_count - 1].time_ms))
        return point_count;
    size_t kept = 0;
    for (size_t i = 0; i < point_count; i++)
        if (!tsdb_erasure_has(items, count, run, points[i].time_ms))
            points[kept++] = points[i];
    return kept;
}

/* ---- one selector ---- */

static void release(struct eraser *eraser)
{
    if (atomic_fetch_sub(&eraser->references, 1) > 1)
        return;
    for (size_t i = 0; i < eraser->matcher_count; i++) {
        tsdb_matcher_fini(&eraser->matchers[i]);
        free(eraser->texts[2 * i]);
        free(eraser->texts[2 * i + 1]);
    }
    free(eraser->matchers);
    free(eraser->texts);
    free(eraser);
}

static enum tw_code eraser_new(const struct tsdb_matcher *matchers, size_t count,
                               struct eraser **ret_eraser, struct tw_err *err)
{
    struct eraser *eraser = calloc(1, sizeof *eraser);
    TW_ASSERT(eraser != NULL);
    atomic_init(&eraser->references, 1);
    eraser->matchers = calloc(count + 1, sizeof *eraser->matchers);
    eraser->texts = calloc(2 * count + 1, sizeof *eraser->texts);
    TW_ASSERT(eraser->matchers != NULL && eraser->texts != NULL);
    for (size_t i = 0; i < count; i++) {
        char *name = tw_str_dup(matchers[i].name), *value = tw_str_dup(matchers[i].value);
        enum tw_code code = tsdb_matcher_init(&eraser->matchers[i], matchers[i].op,
                                              (struct tw_str){name, matchers[i].name.size},
                                              (struct tw_str){value, matchers[i].value.size}, err);
        if (code != TW_OK) {
            free(name);
            free(value);
            release(eraser);
            return code;
        }
        eraser->texts[2 * i] = name;
        eraser->texts[2 * i + 1] = value;
        eraser->matcher_count++;
    }
    *ret_eraser = eraser;
    return TW_OK;
}

static bool matches(const struct eraser *eraser, struct wire_labels labels)
{
    for (size_t i = 0; i < eraser->matcher_count; i++) {
        struct tw_str value = TW_STR("");
        for (size_t j = 0; j < labels.count; j++)
            if (tw_str_equal(labels.items[j].name, eraser->matchers[i].name))
                value = labels.items[j].value;
        if (!tsdb_matcher_matches(&eraser->matchers[i], value))
            return false;
    }
    return true;
}

/* ---- lists ---- */

struct tsdb_erasers *tsdb_erasers_new(void)
{
    struct tsdb_erasers *erasers = calloc(1, sizeof *erasers);
    TW_ASSERT(erasers != NULL);
    atomic_init(&erasers->references, 1);
    return erasers;
}

struct tsdb_erasers *tsdb_erasers_ref(struct tsdb_erasers *erasers)
{
    atomic_fetch_add(&erasers->references, 1);
    return erasers;
}

void tsdb_erasers_unref(struct tsdb_erasers *erasers)
{
    if (!erasers || atomic_fetch_sub(&erasers->references, 1) > 1)
        return;
    for (size_t i = 0; i < erasers->count; i++)
        release(erasers->items[i]);
    free(erasers->items);
    free(erasers);
}

static void append(struct tsdb_erasers *erasers, struct eraser *eraser)
{
    if (erasers->count == erasers->capacity) {
        erasers->capacity = erasers->capacity ? erasers->capacity * 2 : 8;
        erasers->items = realloc(erasers->items, erasers->capacity * sizeof *erasers->items);
        TW_ASSERT(erasers->items != NULL);
    }
    erasers->items[erasers->count++] = eraser;
}

enum tw_code tsdb_erasers_add_rule(struct tsdb_erasers *erasers,
                                   const struct tsdb_matcher *matchers, size_t count,
                                   int64_t keep_ms, struct tw_err *err)
{
    TW_ASSERT(keep_ms > 0 && erasers->count == erasers->rule_count);
    struct eraser *eraser;
    enum tw_code code = eraser_new(matchers, count, &eraser, err);
    if (code != TW_OK)
        return code;
    eraser->keep_ms = keep_ms;
    append(erasers, eraser);
    erasers->rule_count++;
    return TW_OK;
}

enum tw_code tsdb_erasers_add_tombstone(struct tsdb_erasers *erasers,
                                        const struct tsdb_tombstone *tombstone, struct tw_err *err)
{
    struct eraser *eraser;
    TW_ASSERT(tombstone->id > 0);
    TW_ASSERT(erasers->count == erasers->rule_count ||
              erasers->items[erasers->count - 1]->id < tombstone->id);
    enum tw_code code = eraser_new(tombstone->matchers, tombstone->matcher_count, &eraser, err);
    if (code != TW_OK)
        return code;
    eraser->id = tombstone->id;
    eraser->erasure = tombstone->erasure;
    append(erasers, eraser);
    return TW_OK;
}

size_t tsdb_erasers_tombstone_count(const struct tsdb_erasers *erasers)
{
    return erasers->count - erasers->rule_count;
}

struct tsdb_tombstone tsdb_erasers_tombstone(const struct tsdb_erasers *erasers, size_t index)
{
    TW_ASSERT(index < tsdb_erasers_tombstone_count(erasers));
    const struct eraser *eraser = erasers->items[erasers->rule_count + index];
    return (struct tsdb_tombstone){eraser->id, eraser->erasure, eraser->matchers,
                                   eraser->matcher_count};
}

size_t tsdb_erasers_rule_count(const struct tsdb_erasers *erasers)
{
    return erasers->rule_count;
}

struct tsdb_rule tsdb_erasers_rule(const struct tsdb_erasers *erasers, size_t index)
{
    TW_ASSERT(index < erasers->rule_count);
    const struct eraser *eraser = erasers->items[index];
    return (struct tsdb_rule){eraser->keep_ms, eraser->matchers, eraser->matcher_count};
}

struct tsdb_erasers *tsdb_erasers_copy(const struct tsdb_erasers *erasers, uint64_t above)
{
    struct tsdb_erasers *copy = tsdb_erasers_new();
    for (size_t i = 0; i < erasers->count; i++) {
        if (i >= erasers->rule_count && erasers->items[i]->id <= above)
            continue;
        atomic_fetch_add(&erasers->items[i]->references, 1);
        append(copy, erasers->items[i]);
    }
    copy->rule_count = erasers->rule_count;
    return copy;
}

/* ---- asking ---- */

/* What the selector's series have lost. */
static struct tsdb_erasure erasure_of(const struct eraser *eraser, int64_t now_ms)
{
    if (eraser->id)
        return eraser->erasure;
    bool forever = eraser->keep_ms == TSDB_KEEP_FOREVER || now_ms < INT64_MIN + eraser->keep_ms;
    /* A sample of exactly the age is still there, as where it is admitted. */
    return (struct tsdb_erasure){INT64_MIN, forever ? INT64_MIN : now_ms - eraser->keep_ms - 1,
                                 UINT64_MAX};
}

static bool overlaps(struct tsdb_erasure erasure, int64_t start_ms, int64_t end_ms)
{
    return erasure.start_ms <= end_ms && erasure.end_ms >= start_ms;
}

bool tsdb_erasers_touch(const struct tsdb_erasers *erasers, int64_t now_ms, int64_t start_ms,
                        int64_t end_ms)
{
    for (size_t i = 0; i < erasers->count; i++)
        if (overlaps(erasure_of(erasers->items[i], now_ms), start_ms, end_ms))
            return true;
    return false;
}

void tsdb_erasers_collect(const struct tsdb_erasers *erasers, struct wire_labels labels,
                          int64_t now_ms, int64_t start_ms, int64_t end_ms,
                          struct tsdb_erasures *ret)
{
    bool ruled = false;
    for (size_t i = 0; i < erasers->count; i++) {
        const struct eraser *eraser = erasers->items[i];
        struct tsdb_erasure erasure = erasure_of(eraser, now_ms);
        if (eraser->id == 0 && ruled)
            continue;
        /* A rule that takes nothing still keeps the ones behind it from doing so. */
        if ((eraser->id && !overlaps(erasure, start_ms, end_ms)) || !matches(eraser, labels))
            continue;
        ruled = ruled || eraser->id == 0;
        if (!overlaps(erasure, start_ms, end_ms))
            continue;
        if (ret->count == ret->capacity) {
            ret->capacity = ret->capacity ? ret->capacity * 2 : 4;
            ret->items = realloc(ret->items, ret->capacity * sizeof *ret->items);
            TW_ASSERT(ret->items != NULL);
        }
        ret->items[ret->count++] = erasure;
    }
}
