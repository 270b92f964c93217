/* SPDX-License-Identifier: Apache-2.0
 *
 * info(v, {matchers}): each series of v with the data labels of the info series that have the same
 * instance and job.
 *
 * The info side is materialised: where it has points, and how old they are. At each step a group of
 * info series (those of one instance and job) gives one *choice*: of each info metric the newest
 * series. A series of v has one row for each different choice of its group, which is present where
 * that choice holds; its labels are known before any sample of v is read.
 *
 *   I1  choice 0 of a group is "none"; groups share no choices
 *   I2  the rows of one series of v are disjoint
 */
#include "config.h"

#include "query/operators.h"

#include <string.h>

#include "query/labelset.h"
#include "wire/labels.h"

#define NONE UINT32_MAX

struct choice {
    const uint32_t *series; /* of the info side, one of each metric, ascending by metric */
    size_t count;
};

struct group {
    uint32_t first;         /* its newest member, or NONE */
    struct choice *choices; /* [0] = none */
    size_t choice_count, capacity;
    uint32_t *choice_of_step;
};

struct row {
    uint32_t base, group, choice; /* group NONE: unchanged at all steps */
    struct tw_str conflict;       /* a label that two info metrics tell differently */
};

struct info {
    struct query_op op;
    struct query_op *base, *side;
    struct query_matrix times; /* of the info side's samples */
    uint32_t *metric, *next; /* by series of the info side: number of its name; next of its group */
    size_t metric_count;
    struct group *groups;
    uint32_t *newest; /* by metric, while a step is looked at */
    struct row *rows;
    size_t row_count, row_capacity;
    struct query_tile tile; /* of the base */
};

static const struct query_node *selector_of(const struct info *info)
{
    return info->op.node->call.info;
}

/* ---- choices ---- */
/* The newest series of each metric at a step, in info->newest; how many there are. */
static enum tw_code find_newest(struct info *info, struct query_exec *exec,
                                const struct group *group, size_t step, size_t *ret_count,
                                struct tw_err *err)
{
    const struct query_matrix *times = &info->times;
    *ret_count = 0;
    memset(info->newest, 0xff, info->metric_count * sizeof *info->newest);
    for (uint32_t i = group->first; i != NONE; i = info->next[i]) {
        uint32_t *newest = &info->newest[info->metric[i]];
        if (!query_bit(times->present + i * times->words, step))
            continue;
        double time = times->values[i * times->stride + step];
        double other = *newest == NONE ? 0 : times->values[*newest * times->stride + step];
        if (*newest != NONE && time == other) {
            struct tw_str a = query_labels_text(exec->arena, info->side->labels[*newest]);
            struct tw_str b = query_labels_text(exec->arena, info->side->labels[i]);
            return query_exec_fail(exec, info->op.node, err,
                                   "found duplicate series for info metric: existing %.*s @ %.0f, "
                                   "new %.*s @ %.0f",
                                   TW_STR_ARG(a), other * 1000, TW_STR_ARG(b), time * 1000);
        }
        *ret_count += *newest == NONE;
        if (*newest == NONE || time > other)
            *newest = i;
    }
    return TW_OK;
}

static bool is_choice(const struct info *info, const struct choice *choice, size_t count)
{
    if (choice->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (info->newest[info->metric[choice->series[i]]] != choice->series[i])
            return false;
    return true;
}

/* The number of what info->newest holds; before: the choice of the step before, likely the same. */
static enum tw_code number_choice(struct info *info, struct query_exec *exec, struct group *group,
                                  size_t count, uint32_t before, uint32_t *ret, struct tw_err *err)
{
    void *memory;
    if (is_choice(info, &group->choices[before], count)) {
        *ret = before;
        return TW_OK;
    }
    for (uint32_t i = 0; i < group->choice_count; i++) {
        if (is_choice(info, &group->choices[i], count)) {
            *ret = i;
            return query_exec_worked(exec, i, err);
        }
    }
    enum tw_code code;
    if (group->choice_count == group->capacity) {
        code = query_exec_alloc(exec, group->capacity * 2, sizeof *group->choices, &memory, err);
        if (code)
            return code;
        memcpy(memory, group->choices, group->capacity * sizeof *group->choices);
        group->choices = memory;
        group->capacity *= 2;
    }
    code = query_exec_alloc(exec, count, sizeof(uint32_t), &memory, err);
    if (code)
        return code;
    uint32_t *series = memory;
    size_t at = 0;
    for (size_t m = 0; m < info->metric_count; m++)
        if (info->newest[m] != NONE)
            series[at++] = info->newest[m];
    *ret = (uint32_t)group->choice_count;
    group->choices[group->choice_count++] = (struct choice){series, count};
    return query_exec_worked(exec, group->choice_count, err);
}

static enum tw_code choose(struct info *info, struct query_exec *exec, struct group *group,
                           struct tw_err *err)
{
    void *memory;
    enum tw_code code = query_exec_alloc(exec, 4, sizeof *group->choices, &memory, err);
    group->choices = memory;
    group->capacity = 4;
    group->choice_count = 1;
    if (!code)
        code = query_exec_alloc(exec, info->op.grid.steps, sizeof(uint32_t), &memory, err);
    if (code)
        return code;
    group->choice_of_step = memory;
    for (size_t s = 0; !code && s < info->op.grid.steps; s++) {
        size_t count;
        code = find_newest(info, exec, group, s, &count, err);
        if (!code)
            code = number_choice(info, exec, group, count, s ? group->choice_of_step[s - 1] : 0,
                                 &group->choice_of_step[s], err);
    }
    return code;
}

/* ---- groups ---- */
static const struct query_names *identifying(void)
{
    static struct tw_str items[] = {{"instance", 8}, {"job", 3}};
    static const struct query_names names = {.items = items, .count = 2};
    return &names;
}

static enum tw_code index_side(struct info *info, struct query_exec *exec,
                               struct query_label_index *index, struct tw_err *err)
{
    static struct tw_str name_items[] = {{WIRE_METRIC_NAME, sizeof WIRE_METRIC_NAME - 1}};
    static const struct query_names name = {.items = name_items, .count = 1};
    size_t count = info->side->series_count;
    struct query_label_index metrics;
    void *memory[4];
    enum tw_code code = query_label_index_init(index, exec, count, err);
    if (!code)
        code = query_label_index_init(&metrics, exec, count, err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof(uint32_t), &memory[0], err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof(uint32_t), &memory[1], err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof(uint32_t), &memory[2], err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof *info->groups, &memory[3], err);
    if (code)
        return code;
    info->metric = memory[0];
    info->next = memory[1];
    info->newest = memory[2];
    info->groups = memory[3];
    for (size_t i = 0; i < count; i++)
        info->groups[i].first = NONE;
    for (uint32_t i = 0; i < count; i++) {
        struct wire_labels labels = info->side->labels[i];
        struct group *group = &info->groups[query_label_index_add(
            index, query_labels_keep(exec->arena, labels, identifying()))];
        info->metric[i] = (uint32_t)query_label_index_add(
            &metrics, query_labels_keep(exec->arena, labels, &name));
        info->next[i] = group->first;
        group->first = i;
    }
    info->metric_count = metrics.count;
    for (size_t g = 0; !code && g < index->count; g++)
        code = choose(info, exec, &info->groups[g], err);
    return code;
}

/* ---- rows ---- */
/* Whether a series of v is itself an info series, which stays as it is. */
static bool is_info(const struct info *info, struct wire_labels labels)
{
    struct tw_str name = wire_labels_get(labels, TW_STR(WIRE_METRIC_NAME));
    const struct query_node *selector = selector_of(info);
    for (size_t i = 0; i < selector->selector.matcher_count; i++) {
        const struct tsdb_matcher *matcher = &selector->selector.matchers[i];
        if (tw_str_is(matcher->name, WIRE_METRIC_NAME) && !tsdb_matcher_matches(matcher, name))
            return false;
    }
    return true;
}

/* Data labels asked for by matchers; all when there are none. */
static bool is_wanted(const struct info *info, struct tw_str label)
{
    const struct query_node *selector = selector_of(info);
    bool any = false;
    for (size_t i = 0; i < selector->selector.matcher_count; i++) {
        struct tw_str name = selector->selector.matchers[i].name;
        if (tw_str_is(name, WIRE_METRIC_NAME))
            continue;
        if (tw_str_equal(name, label))
            return true;
        any = true;
    }
    return !any;
}

/* Some matcher of a data label does not take an empty one: without info a series is dropped. */
static bool is_required(const struct info *info)
{
    const struct query_node *selector = selector_of(info);
    for (size_t i = 0; i < selector->selector.matcher_count; i++) {
        const struct tsdb_matcher *matcher = &selector->selector.matchers[i];
        if (!tw_str_is(matcher->name, WIRE_METRIC_NAME) &&
            !tsdb_matcher_matches(matcher, (struct tw_str){0}))
            return true;
    }
    return false;
}

static struct wire_labels enrich(const struct info *info, struct query_exec *exec,
                                 struct wire_labels base, const struct choice *choice,
                                 struct tw_str *ret_conflict)
{
    struct wire_labels labels = base;
    for (size_t c = 0; c < choice->count; c++) {
        struct wire_labels data = info->side->labels[choice->series[c]];
        for (size_t i = 0; i < data.count; i++) {
            struct tw_str name = data.items[i].name, value = data.items[i].value;
            if (tw_str_is(name, WIRE_METRIC_NAME) || !is_wanted(info, name) ||
                wire_labels_get(base, name).size > 0)
                continue;
            struct tw_str other = wire_labels_get(labels, name);
            if (other.size == 0)
                labels = query_labels_set(exec->arena, labels, name, value);
            else if (!tw_str_equal(other, value))
                *ret_conflict = name;
        }
    }
    return labels;
}

static enum tw_code count_rows(struct info *info, struct query_exec *exec,
                               const struct query_label_index *index, uint32_t *groups,
                               size_t *ret_count, struct tw_err *err)
{
    *ret_count = 0;
    for (size_t b = 0; b < info->base->series_count; b++) {
        struct wire_labels labels = info->base->labels[b];
        struct wire_labels identity = query_labels_keep(exec->arena, labels, identifying());
        size_t group = identity.count == 0 ? SIZE_MAX : query_label_index_find(index, identity);
        groups[b] = group == SIZE_MAX || is_info(info, labels) ? NONE : (uint32_t)group;
        *ret_count += groups[b] == NONE ? 1 : info->groups[group].choice_count;
    }
    return query_exec_worked(exec, *ret_count, err);
}

static enum tw_code make_rows(struct info *info, struct query_exec *exec,
                              const struct query_label_index *index, struct tw_err *err)
{
    bool required = is_required(info);
    size_t count;
    void *memory;
    enum tw_code code =
        query_exec_alloc(exec, info->base->series_count, sizeof(uint32_t), &memory, err);
    uint32_t *groups = memory;
    if (!code)
        code = count_rows(info, exec, index, groups, &count, err);
    if (!code)
        code = query_exec_alloc(exec, count, sizeof *info->rows, &memory, err);
    info->rows = memory;
    if (!code)
        code = query_op_begin(&info->op, exec, count, true, err);
    if (code)
        return code;
    info->row_count = 0;
    for (uint32_t b = 0; !code && b < info->base->series_count; b++) {
        struct wire_labels labels = info->base->labels[b];
        if (groups[b] == NONE) {
            if (required && !is_info(info, labels))
                continue;
            info->op.labels[info->row_count] = labels;
            info->rows[info->row_count++] = (struct row){.base = b, .group = NONE};
            continue;
        }
        const struct group *group = &info->groups[groups[b]];
        for (uint32_t c = required ? 1 : 0; c < group->choice_count; c++) {
            struct row *row = &info->rows[info->row_count];
            *row = (struct row){.base = b, .group = groups[b], .choice = c};
            info->op.labels[info->row_count++] =
                enrich(info, exec, labels, &group->choices[c], &row->conflict);
        }
        code = query_exec_worked(exec, group->choice_count, err);
    }
    info->op.series_count = info->row_count;
    return code;
}

static enum tw_code info_open(struct query_op *op, struct query_exec *exec, struct query_grid grid,
                              struct tw_err *err)
{
    struct info *info = (struct info *)op;
    struct query_label_index index;
    info->tile = (struct query_tile){0};
    enum tw_code code = query_op_open(info->base, exec, grid, err);
    if (!code)
        code = query_op_open(info->side, exec, grid, err);
    if (!code)
        code = query_op_materialise(info->side, exec, &info->times, err);
    if (!code)
        code = index_side(info, exec, &index, err);
    return code ? code : make_rows(info, exec, &index, err);
}

static enum tw_code fill_row(const struct info *info, struct query_exec *exec,
                             const struct row *row, double *values, uint64_t *present,
                             struct tw_err *err)
{
    size_t at = row->base - info->tile.first;
    const uint64_t *base = info->tile.present + at * info->tile.words;
    memcpy(values, info->tile.values + at * info->tile.stride, info->tile.stride * sizeof *values);
    memcpy(present, base, info->tile.words * sizeof *present);
    if (row->group == NONE)
        return TW_OK;
    const uint32_t *choice_of_step = info->groups[row->group].choice_of_step;
    QUERY_EACH_STEP(s, base, info->tile.stride)
    {
        if (choice_of_step[s] != row->choice)
            query_bit_clear(present, s);
        else if (row->conflict.size > 0)
            return query_exec_fail(exec, info->op.node, err, "conflicting label: %.*s",
                                   TW_STR_ARG(row->conflict));
    }
    return TW_OK;
}

/* The base's native histograms, copied: its tile may be gone before this one. */
static enum tw_code fill_histograms(struct info *info, struct query_exec *exec,
                                    const struct row *row, struct query_tile *tile, size_t r,
                                    struct tw_err *err)
{
    struct query_op *op = &info->op;
    size_t at = row->base - info->tile.first;
    enum tw_code code = tile->histograms ? TW_OK : query_op_add_histograms(op, exec, tile, err);
    for (size_t s = 0; !code && s < tile->stride; s++) {
        const struct query_histogram *histogram = query_tile_histogram(&info->tile, at, s);
        if (!histogram ||
            (row->group != NONE && info->groups[row->group].choice_of_step[s] != row->choice))
            continue;
        if (row->group != NONE && row->conflict.size > 0)
            return query_exec_fail(exec, op->node, err, "conflicting label: %.*s",
                                   TW_STR_ARG(row->conflict));
        tile->histograms[r * tile->stride + s] =
            query_histogram_copy(query_op_side(op), histogram, NULL, NULL);
        code = query_op_side_check(op, exec, err);
    }
    return code;
}

static enum tw_code info_next(struct query_op *op, struct query_exec *exec,
                              struct query_tile *ret_tile, struct tw_err *err)
{
    struct info *info = (struct info *)op;
    *ret_tile = query_op_batch(op);
    for (size_t r = 0; r < ret_tile->count; r++) {
        const struct row *row = &info->rows[ret_tile->first + r];
        enum tw_code code = TW_OK;
        while (!code && row->base >= info->tile.first + info->tile.count)
            code = query_op_next(info->base, exec, &info->tile, err);
        if (!code)
            code = fill_row(info, exec, row, ret_tile->values + r * ret_tile->stride,
                            ret_tile->present + r * ret_tile->words, err);
        if (!code && info->tile.histograms)
            code = fill_histograms(info, exec, row, ret_tile, r, err);
        if (code)
            return code;
    }
    return TW_OK;
}

static const struct query_op_ops info_ops = {"info", info_open, info_next, NULL};

struct query_op *query_info_op(struct tw_arena *arena, const struct query_node *node,
                               struct query_op *base, struct query_op *side)
{
    struct info *info = TW_ARENA_NEW(arena, struct info);
    info->op.ops = &info_ops;
    info->op.node = node;
    info->base = base;
    info->side = side;
    return &info->op;
}
