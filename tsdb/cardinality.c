/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/cardinality.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/db_int.h"
#include "tsdb/partition_int.h"

/* Series between two looks at the deadline. */
#define CHECK_EVERY 65536

/* Series counted by (pair of job, pair of instance). */
struct source {
    uint32_t job, instance, series;
};

struct count {
    const struct tw_context *context;
    struct tw_arena *arena;
    struct tsdb_index *index; /* a reference */
    struct tsdb_index_plan *plan;
    struct tsdb_bits active;
    size_t pair_count;
    uint32_t *series; /* by pair */
    struct source *sources;
    size_t source_mask, source_count;
};

/* ---- counting ---- */

static void join_bits(struct tsdb_bits *bits, const struct tsdb_bits *more)
{
    for (size_t i = 0; i < more->word_count; i++)
        for (uint64_t word = more->words[i]; word; word &= word - 1)
            tsdb_bits_set(bits, (uint32_t)(i * 64) + (uint32_t)__builtin_ctzll(word));
}

static void begin_count(struct count *count, struct tsdb_db *db,
                        const struct tsdb_matcher *matchers, size_t matcher_count,
                        struct tsdb_cardinality *ret)
{
    tw_lock_take(&db->lock);
    ret->active = db->active_series;
    ret->limit = db->options.series_max;
    ret->source_limit = db->options.series_max_per_source;
    count->index = db->index;
    tsdb_index_ref(count->index);
    count->plan = tsdb_index_plan(count->index, matchers, matcher_count);
    count->pair_count = tsdb_index_pair_count(count->index);
    join_bits(&count->active, &db->previous);
    if (db->active)
        join_bits(&count->active, &db->active->record_state.series);
    tw_lock_release(&db->lock);
    count->series = calloc(count->pair_count, sizeof *count->series);
    TW_ASSERT(count->series != NULL);
}

static struct source *find_source(const struct count *count, uint32_t job, uint32_t instance)
{
    uint64_t mixed = ((uint64_t)job << 32 | instance) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (mixed ^ mixed >> 32) & count->source_mask;
    while (count->sources[at].series &&
           (count->sources[at].job != job || count->sources[at].instance != instance))
        at = (at + 1) & count->source_mask;
    return &count->sources[at];
}

static void widen_sources(struct count *count)
{
    struct source *old = count->sources;
    size_t width = old ? count->source_mask + 1 : 0;
    count->source_mask = old ? width * 2 - 1 : 255;
    count->sources = calloc(count->source_mask + 1, sizeof *count->sources);
    TW_ASSERT(count->sources != NULL);
    for (size_t i = 0; i < width; i++)
        if (old[i].series)
            *find_source(count, old[i].job, old[i].instance) = old[i];
    free(old);
}

static void count_source(struct count *count, uint32_t job, uint32_t instance)
{
    if (!count->sources || count->source_count * 2 > count->source_mask)
        widen_sources(count);
    struct source *source = find_source(count, job, instance);
    if (!source->series) {
        *source = (struct source){.job = job, .instance = instance};
        count->source_count++;
    }
    source->series++;
}

static struct tw_str name_of(const struct count *count, uint32_t pair)
{
    uint32_t name, value;
    tsdb_index_pair(count->index, pair, &name, &value);
    return tsdb_index_string(count->index, name);
}

static struct tw_str value_of(const struct count *count, uint32_t pair)
{
    uint32_t name, value;
    tsdb_index_pair(count->index, pair, &name, &value);
    return tsdb_index_string(count->index, value);
}

static enum tw_code count_all(struct count *count, uint64_t *ret_matched, struct tw_err *err)
{
    struct tsdb_ids ids = {0};
    uint32_t pairs[WIRE_LABELS_COUNT_MAX];
    enum tw_code code = TW_OK;
    tsdb_index_run(count->plan, &ids);
    count->plan = NULL;
    for (size_t i = 0; i < ids.count && code == TW_OK; i++) {
        if (i % CHECK_EVERY == 0)
            code = tw_context_check(count->context, err);
        if (!tsdb_bits_test(&count->active, ids.items[i]))
            continue;
        uint32_t job = 0, instance = 0;
        size_t label_count = tsdb_index_pair_ids(count->index, ids.items[i], pairs);
        for (size_t j = 0; j < label_count; j++) {
            struct tw_str name = name_of(count, pairs[j]);
            count->series[pairs[j]]++;
            if (tw_str_is(name, "job"))
                job = pairs[j];
            else if (tw_str_is(name, "instance"))
                instance = pairs[j];
        }
        count_source(count, job, instance);
        ++*ret_matched;
    }
    tsdb_ids_fini(&ids);
    return code;
}

static void end_count(struct count *count)
{
    tsdb_index_free(count->index);
    tsdb_bits_fini(&count->active);
    free(count->series);
    free(count->sources);
}

/* ---- lists ---- */

static int compare_items(const void *a, const void *b)
{
    const struct tsdb_cardinality_item *x = a, *y = b;
    if (x->series != y->series)
        return x->series < y->series ? 1 : -1;
    int order = tw_str_compare(x->name, y->name);
    return order ? order : tw_str_compare(x->value, y->value);
}

static int compare_names(const void *a, const void *b)
{
    const struct tsdb_cardinality_item *x = a, *y = b;
    if (x->values != y->values)
        return x->values < y->values ? 1 : -1;
    return tw_str_compare(x->name, y->name);
}

/* Sorts and copies the first `top` of them; items is freed. */
static void keep_top(struct count *count, struct tsdb_cardinality_item *items, size_t total,
                     int (*compare)(const void *, const void *), size_t top,
                     struct tsdb_cardinality_top *ret)
{
    if (total > 1)
        qsort(items, total, sizeof *items, compare);
    ret->total = total;
    ret->count = total < top ? total : top;
    ret->items = TW_ARENA_ARRAY(count->arena, struct tsdb_cardinality_item, ret->count + 1);
    for (size_t i = 0; i < ret->count; i++) {
        ret->items[i] = items[i];
        ret->items[i].name = tw_arena_str(count->arena, items[i].name);
        ret->items[i].value = tw_arena_str(count->arena, items[i].value);
    }
    free(items);
}

static struct tsdb_cardinality_item *new_items(size_t count)
{
    struct tsdb_cardinality_item *items = calloc(count + 1, sizeof *items);
    TW_ASSERT(items != NULL);
    return items;
}

static void list_pairs(struct count *count, size_t top, struct tsdb_cardinality *ret)
{
    struct tsdb_cardinality_item *pairs = new_items(count->pair_count),
                                 *metrics = new_items(count->pair_count);
    size_t pair_total = 0, metric_total = 0;
    for (uint32_t pair = 1; pair < count->pair_count; pair++) {
        if (!count->series[pair])
            continue;
        struct tsdb_cardinality_item item = {.name = name_of(count, pair),
                                             .value = value_of(count, pair),
                                             .series = count->series[pair]};
        pairs[pair_total++] = item;
        if (tw_str_is(item.name, WIRE_METRIC_NAME))
            metrics[metric_total++] =
                (struct tsdb_cardinality_item){.name = item.value, .series = item.series};
    }
    keep_top(count, pairs, pair_total, compare_items, top, &ret->pairs);
    keep_top(count, metrics, metric_total, compare_items, top, &ret->metrics);
}

/* Pairs of one name follow each other nowhere: counted by the id of the name's string. */
static void list_names(struct count *count, size_t top, struct tsdb_cardinality *ret)
{
    struct tsdb_rows counts = {0};
    uint32_t name, value, limit = 0;
    size_t total = 0;
    for (uint32_t pair = 1; pair < count->pair_count; pair++) {
        if (!count->series[pair])
            continue;
        tsdb_index_pair(count->index, pair, &name, &value);
        struct tsdb_cardinality_item *item =
            tsdb_rows_make(&counts, name, sizeof(struct tsdb_cardinality_item));
        total += item->values == 0;
        item->name = tsdb_index_string(count->index, name);
        item->values++;
        item->series += count->series[pair];
        limit = name >= limit ? name + 1 : limit;
    }
    struct tsdb_cardinality_item *items = new_items(total);
    total = 0;
    for (uint32_t id = 0; id < limit; id++) {
        const struct tsdb_cardinality_item *item = tsdb_rows_get(&counts, id, sizeof *item);
        if (item && item->values)
            items[total++] = *item;
    }
    tsdb_rows_fini(&counts, sizeof(struct tsdb_cardinality_item));
    keep_top(count, items, total, compare_names, top, &ret->names);
}

static void list_sources(struct count *count, size_t top, struct tsdb_cardinality *ret)
{
    struct tsdb_cardinality_item *items = new_items(count->source_count);
    size_t total = 0;
    for (size_t i = 0; count->sources && i <= count->source_mask; i++) {
        const struct source *source = &count->sources[i];
        if (source->series)
            items[total++] = (struct tsdb_cardinality_item){
                .name = source->job ? value_of(count, source->job) : TW_STR(""),
                .value = source->instance ? value_of(count, source->instance) : TW_STR(""),
                .series = source->series};
    }
    keep_top(count, items, total, compare_items, top, &ret->sources);
}

/* ---- days ---- */

static enum tw_code count_stored(struct tsdb_partition *partition, uint64_t *ret,
                                 struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    struct tsdb_partition_counts counts = {0};
    enum tw_code code = tsdb_env_begin(partition->env, false, &txn, err);
    if (code != TW_OK)
        return code;
    code = tsdb_partition_read_counts(txn, &counts, err);
    tsdb_env_abort(txn);
    *ret = counts.series;
    return code;
}

/* How many series of each metric the matchers find in the partition of the day before. */
static enum tw_code count_yesterday(const struct tw_context *context,
                                    struct tsdb_partition *partition,
                                    const struct tsdb_matcher *matchers, size_t matcher_count,
                                    struct tsdb_cardinality *ret, struct tw_err *err)
{
    struct tsdb_matcher *all = calloc(matcher_count + 1, sizeof *all);
    TW_ASSERT(all != NULL);
    if (matcher_count)
        memcpy(all + 1, matchers, matcher_count * sizeof *all);
    struct tw_arena *arena = tw_arena_new(65536);
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < ret->metrics.count && code == TW_OK; i++) {
        struct tsdb_partition_match *found;
        size_t count = 0;
        all[0] = (struct tsdb_matcher){.op = TSDB_MATCH_EQUAL,
                                       .name = TW_STR(WIRE_METRIC_NAME),
                                       .value = ret->metrics.items[i].name};
        code = tw_context_check(context, err);
        if (code == TW_OK)
            code =
                tsdb_partition_match(partition, all, matcher_count + 1, arena, &found, &count, err);
        ret->metrics.items[i].yesterday = count;
        tw_arena_reset(arena);
    }
    tw_arena_free(arena);
    free(all);
    return code;
}

static enum tw_code list_days(struct tsdb_db *db, const struct tw_context *context,
                              const struct tsdb_matcher *matchers, size_t matcher_count,
                              struct tsdb_cardinality *ret, struct tw_err *err)
{
    int64_t today = tw_floor_div(tw_clock_wall_ms(db->clock), TSDB_DAY_MS);
    struct tsdb_partition **partitions;
    size_t count;
    enum tw_code code =
        tsdb_partitions_list(db->partitions, (today - TSDB_CARDINALITY_DAYS + 1) * TSDB_DAY_MS,
                             (today + 1) * TSDB_DAY_MS - 1, &partitions, &count, err);
    if (code != TW_OK)
        return code;
    for (size_t i = count; i-- > 0 && code == TW_OK && ret->day_count < TSDB_CARDINALITY_DAYS;) {
        struct tsdb_cardinality_day *day = &ret->days[ret->day_count++];
        day->start_ms = partitions[i]->day * TSDB_DAY_MS;
        code = count_stored(partitions[i], &day->series, err);
        if (code == TW_OK && partitions[i]->day == today - 1) {
            ret->has_yesterday = true;
            code = count_yesterday(context, partitions[i], matchers, matcher_count, ret, err);
        }
    }
    tsdb_partitions_unlist(db->partitions, partitions, count);
    return code;
}

enum tw_code tsdb_db_cardinality(struct tsdb_db *db, const struct tw_context *context,
                                 const struct tsdb_matcher *matchers, size_t matcher_count,
                                 size_t top, struct tw_arena *arena, struct tsdb_cardinality *ret,
                                 struct tw_err *err)
{
    enum tw_code code = tsdb_db_check_tenant(context, err);
    if (code != TW_OK)
        return code;
    *ret = (struct tsdb_cardinality){0};
    struct count count = {.context = context, .arena = arena};
    size_t total = matcher_count + context->scope_count;
    struct tsdb_matcher *all = TW_ARENA_ARRAY(arena, struct tsdb_matcher, total + 1);
    if (matcher_count)
        memcpy(all, matchers, matcher_count * sizeof *all);
    if (context->scope_count)
        memcpy(all + matcher_count, context->scope, context->scope_count * sizeof *all);
    begin_count(&count, db, all, total, ret);
    code = count_all(&count, &ret->matched, err);
    if (code == TW_OK) {
        list_pairs(&count, top, ret);
        list_names(&count, top, ret);
        list_sources(&count, top, ret);
        code = list_days(db, context, all, total, ret, err);
    }
    end_count(&count);
    return code;
}
