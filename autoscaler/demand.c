/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/demand.h"

#include <math.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "query/engine.h"
#include "query/parser.h"

#define QUERY_BYTES_MAX 65536

/* ---- the expression ---- */

/* The loads side by side, told apart by a label. The line ends after a query, as it may itself end
 * with a comment. */
static void put_parts(const struct scale_demand *demand, const bool *scalar, struct tw_buf *text)
{
    for (size_t i = 0; i < demand->count; i++) {
        const struct scale_part *part = &demand->parts[i];
        tw_buf_appendf(text, "%slabel_replace(%s(%.*s\n) * %.17g%s, \"part\", \"%zu\", \"\", \"\")",
                       i ? " or " : "", scalar[i] ? "vector(" : "", TW_STR_ARG(part->query),
                       scale_demand_convert(demand, i, 1), scalar[i] ? ")" : "", i + 1);
    }
}

/* Whatever is negative, not a number or infinite is not a load, and counts as missing. */
static struct tw_str expression(const struct scale_demand *demand, const bool *scalar,
                                struct tw_arena *arena)
{
    struct tw_str result = {0};
    struct tw_buf text;
    tw_buf_init(&text, QUERY_BYTES_MAX);
    tw_buf_append_cstr(&text, "max(");
    put_parts(demand, scalar, &text);
    tw_buf_append_cstr(&text, ") and count(count by (part) ((");
    put_parts(demand, scalar, &text);
    tw_buf_appendf(&text, ") >= 0 < Inf) == 1) == %zu", demand->count);
    if (!text.overflow)
        result = tw_arena_str(arena, (struct tw_str){(const char *)text.data, text.size});
    tw_buf_fini(&text);
    return result;
}

/* ---- the list ---- */

struct reading {
    struct tw_arena *arena;
    const char *file;
    struct tw_err *err;
};

static enum tw_code parse_name(const struct reading *in, const struct tw_yaml *node,
                               const struct scale_demand *demand, struct scale_part *part)
{
    struct tw_str name = {0};
    enum tw_code code = tw_yaml_get_str(in->file, node, "name", &name, in->err);
    if (code != TW_OK)
        return code;
    if (!name.size || name.size > SCALE_PART_NAME_BYTES_MAX || !tw_utf8_valid(name))
        return tw_yaml_error(in->file, name.size ? tw_yaml_member(node, "name") : node, in->err,
                             "a load needs a name of 1 to %d bytes", SCALE_PART_NAME_BYTES_MAX);
    for (size_t i = 0; i < demand->count; i++)
        if (tw_str_equal(demand->parts[i].name, name))
            return tw_yaml_error(in->file, tw_yaml_member(node, "name"), in->err,
                                 "there are two loads of the name '%.*s'", TW_STR_ARG(name));
    part->name = tw_arena_str(in->arena, name);
    return TW_OK;
}

static enum tw_code parse_query(const struct reading *in, const struct tw_yaml *node,
                                struct scale_part *part, bool *ret_scalar)
{
    struct tw_str text = {0};
    enum tw_code code = tw_yaml_get_str(in->file, node, "query", &text, in->err);
    if (code != TW_OK)
        return code;
    if (!text.size)
        return tw_yaml_error(in->file, node, in->err, "load '%.*s' has no query: PromQL, as in %s",
                             TW_STR_ARG(part->name), "{name: jobs, query: sum(...), capacity: 4}");
    struct query_ast *ast = NULL;
    struct tw_err query_err = {0};
    if (query_parse(text, QUERY_FEATURES_ALL, &ast, &query_err) != TW_OK)
        return tw_yaml_error(in->file, tw_yaml_member(node, "query"), in->err, "query: %s",
                             query_err.message);
    enum query_value_type type = ast->root->value_type;
    query_ast_free(ast);
    *ret_scalar = type == QUERY_TYPE_SCALAR;
    if (type != QUERY_TYPE_SCALAR && type != QUERY_TYPE_VECTOR)
        return tw_yaml_error(in->file, tw_yaml_member(node, "query"), in->err,
                             "query: a load is one number, and this gives a range or a text: put "
                             "rate(...) or another function around it");
    part->query = tw_arena_str(in->arena, text);
    return TW_OK;
}

static enum tw_code parse_part(const struct reading *in, const struct tw_yaml *node,
                               struct scale_demand *demand, bool *ret_scalar)
{
    static const char *const known[] = {"name", "query", "capacity", NULL};
    struct scale_part part = {.capacity = NAN};
    if (node->kind != TW_YAML_MAPPING)
        return tw_yaml_error(in->file, node, in->err,
                             "a load of several is {name: NAME, query: PROMQL, capacity: N}");
    enum tw_code code = tw_yaml_check_keys(in->file, node, known, in->err);
    if (code == TW_OK)
        code = parse_name(in, node, demand, &part);
    if (code == TW_OK)
        code = parse_query(in, node, &part, ret_scalar);
    const struct tw_yaml *capacity = tw_yaml_member(node, "capacity");
    if (code == TW_OK && tw_yaml_is_null(capacity))
        code = tw_yaml_error(in->file, node, in->err,
                             "load '%.*s' has no capacity: say how much of it one replica carries",
                             TW_STR_ARG(part.name));
    if (code == TW_OK && capacity->kind == TW_YAML_SCALAR && tw_str_is(capacity->text, "learn"))
        code = tw_yaml_error(in->file, capacity, in->err,
                             "of several loads no capacity can be learned, for it is not known "
                             "which of them a replica is busy with: give a number");
    if (code == TW_OK)
        code = tw_yaml_get_double(in->file, node, "capacity", &part.capacity, in->err);
    if (code == TW_OK && !(part.capacity > 0 && isfinite(part.capacity)))
        code = tw_yaml_error(in->file, capacity, in->err, "capacity has to be more than 0");
    if (code == TW_OK)
        demand->parts[demand->count++] = part;
    return code;
}

/* What says the same in another way, or has no meaning beside several loads. */
static enum tw_code refuse_others(const struct reading *in, const struct tw_yaml *map)
{
    static const struct {
        const char *key, *why;
    } others[] = {
        {"load", "load and loads are both given: leave out one of them"},
        {"capacity_per_replica", "each of the loads has its own capacity: leave this out"},
        {"utilisation", "utilisation teaches the capacity, and of several loads none can be "
                        "learned: leave it out"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!tw_yaml_is_null(tw_yaml_member(map, others[i].key)))
            return tw_yaml_error(in->file, tw_yaml_member(map, others[i].key), in->err, "%s",
                                 others[i].why);
    return TW_OK;
}

enum tw_code scale_demand_parse(struct tw_arena *arena, const char *file, const struct tw_yaml *map,
                                struct scale_demand *ret, struct tw_str *ret_load,
                                struct tw_err *err)
{
    const struct reading in = {arena, file, err};
    const struct tw_yaml *list = NULL;
    struct scale_demand demand = {.count = 0};
    bool scalar[SCALE_PARTS_MAX] = {false};
    ret->count = 0;
    enum tw_code code = tw_yaml_get_node(file, map, "loads", TW_YAML_SEQUENCE, &list, err);
    if (code != TW_OK || !list)
        return code;
    if (!list->count || list->count > SCALE_PARTS_MAX)
        return tw_yaml_error(file, list, err,
                             "%zu loads are given: give 1 to %d, or add some up in one query",
                             list->count, SCALE_PARTS_MAX);
    code = refuse_others(&in, map);
    for (size_t i = 0; i < list->count && code == TW_OK; i++)
        code = parse_part(&in, list->items[i], &demand, &scalar[i]);
    if (code != TW_OK)
        return code;
    *ret_load = expression(&demand, scalar, arena);
    if (!ret_load->size)
        return tw_yaml_error(file, list, err,
                             "the queries of all loads are too long: keep some of them as "
                             "recording rules, and name those here");
    *ret = demand;
    return TW_OK;
}

struct scale_demand scale_demand_copy(const struct scale_demand *demand, struct tw_arena *arena)
{
    struct scale_demand copy = *demand;
    for (size_t i = 0; i < copy.count; i++) {
        copy.parts[i].name = tw_arena_str(arena, demand->parts[i].name);
        copy.parts[i].query = tw_arena_str(arena, demand->parts[i].query);
    }
    return copy;
}

/* ---- numbers ---- */

double scale_demand_convert(const struct scale_demand *demand, size_t part, double load)
{
    return load * (demand->parts[0].capacity / demand->parts[part].capacity);
}

size_t scale_demand_leader(const struct scale_demand *demand, const double *loads)
{
    size_t leader = demand->count;
    for (size_t i = 0; i < demand->count; i++)
        if (!isnan(loads[i]) && (leader == demand->count || loads[i] > loads[leader]))
            leader = i;
    return leader;
}
