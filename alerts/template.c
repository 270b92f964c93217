/* SPDX-License-Identifier: Apache-2.0
 *
 * template: the execution of a parsed template. Each node and each call counts as a step; blocks
 * and templates that call templates share one depth, so that the C stack is bounded as well.
 */
#include "config.h"

#include "alerts/template.h"

#include <stdio.h>
#include <string.h>

#include "alerts/template_tree.h"
#include "base/assert.h"
#include "base/buf.h"

#define VARIABLES_MAX 256
#define DEPTH_MAX (2 * ALERT_TEMPLATE_DEPTH_MAX)

struct variable {
    struct tw_str name;
    struct alert_value value;
};

struct execution {
    const struct alert_template *template;
    const struct alert_template_data *data;
    struct tw_arena *arena;
    struct tw_buf out;
    struct variable variables[VARIABLES_MAX];
    size_t variable_count, variable_first; /* those of the running template start at first */
    unsigned steps, depth;
    enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;
    struct tw_err *err;
};

#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum tw_code try_code_ = (expression);                                                     \
        if (try_code_ != TW_OK)                                                                    \
            return try_code_;                                                                      \
    } while (0)

static enum tw_code run_list(struct execution *x, const struct alert_node *node,
                             const struct alert_value *dot);
static enum tw_code run_pipe(struct execution *x, const struct alert_pipe *pipe,
                             const struct alert_value *dot, struct alert_value *ret);

/* Wraps a failure with what was being executed and where it stands. */
static enum tw_code at_place(struct execution *x, struct tw_str source, enum tw_code code)
{
    struct tw_err *err = x->err;
    if (code == TW_OK || err->line != 0)
        return code;
    size_t offset = (size_t)(source.data - x->template->text.data);
    uint32_t line = 1, column = 1;
    for (size_t i = 0; i < offset && i < x->template->text.size; i++) {
        bool feed = x->template->text.data[i] == '\n';
        column = feed ? 1 : column + 1;
        line += feed;
    }
    tw_err_wrap(err, "template:%u:%u: executing <%.*s>", line, column, TW_STR_ARG(source));
    err->line = line;
    err->column = column;
    return code;
}

static enum tw_code step(struct execution *x)
{
    if (++x->steps > ALERT_TEMPLATE_STEPS_MAX)
        return tw_err_set(x->err, TW_LIMIT, "template takes more than %d steps",
                          ALERT_TEMPLATE_STEPS_MAX);
    if (x->out.overflow)
        return tw_err_set(x->err, TW_LIMIT, "template makes more than %d bytes",
                          ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    if (tw_arena_over_limit(x->arena))
        return tw_err_set(x->err, TW_LIMIT, "template takes more than %d bytes of memory",
                          ALERT_TEMPLATE_MEMORY_BYTES_MAX);
    return TW_OK;
}

/* ---- variables and fields ---- */

static enum tw_code push(struct execution *x, struct tw_str name, const struct alert_value *value)
{
    if (x->variable_count >= VARIABLES_MAX)
        return tw_err_set(x->err, TW_LIMIT, "template has more than %d variables", VARIABLES_MAX);
    x->variables[x->variable_count++] = (struct variable){name, *value};
    return TW_OK;
}

static struct alert_value *find(struct execution *x, struct tw_str name)
{
    for (size_t i = x->variable_count; i > x->variable_first; i--)
        if (tw_str_equal(x->variables[i - 1].name, name))
            return &x->variables[i - 1].value;
    TW_UNREACHABLE("the parser knows which variables there are");
}

static struct alert_value value_of(const struct alert_template_data *data)
{
    return data->histogram.size > 0 ? alert_value_string(data->histogram)
                                    : alert_value_float(data->value);
}

static bool root_field(const struct alert_template_data *root, struct tw_str name,
                       struct alert_value *ret)
{
    if (tw_str_is(name, "Labels"))
        *ret = (struct alert_value){.kind = ALERT_VALUE_LABELS, .labels = root->labels};
    else if (tw_str_is(name, "ExternalLabels"))
        *ret = (struct alert_value){.kind = ALERT_VALUE_LABELS, .labels = root->external_labels};
    else if (tw_str_is(name, "ExternalURL"))
        *ret = alert_value_string(root->external_url);
    else if (tw_str_is(name, "Value"))
        *ret = value_of(root);
    else
        return false;
    return true;
}

static bool sample_field(const struct alert_sample *sample, struct tw_str name,
                         struct alert_value *ret)
{
    if (tw_str_is(name, "Labels"))
        *ret = (struct alert_value){.kind = ALERT_VALUE_LABELS, .labels = sample->labels};
    else if (tw_str_is(name, "Value"))
        *ret = alert_value_float(sample->value);
    else
        return false;
    return true;
}

static struct alert_value args_field(const struct alert_value *args, struct tw_str name)
{
    for (size_t i = 0; i < args->args.count; i++) {
        char key[32];
        snprintf(key, sizeof key, "arg%zu", i);
        if (tw_str_is(name, key))
            return args->args.items[i];
    }
    return (struct alert_value){.kind = ALERT_VALUE_NIL};
}

/* arguments: those behind the last field, for methods; [0] is overwritten with the value. */
static enum tw_code get_field(struct execution *x, const struct alert_value *from,
                              struct tw_str name, const struct alert_call *method,
                              struct alert_value *ret)
{
    bool found = false;
    switch (from->kind) {
    case ALERT_VALUE_ROOT:
        found = root_field(from->root, name, ret);
        break;
    case ALERT_VALUE_SAMPLE:
        found = sample_field(from->sample, name, ret);
        break;
    case ALERT_VALUE_LABELS: /* a label that is absent is empty (missingkey=zero) */
        *ret = alert_value_string(wire_labels_get(from->labels, name));
        found = true;
        break;
    case ALERT_VALUE_ARGS:
        *ret = args_field(from, name);
        found = true;
        break;
    case ALERT_VALUE_TIME:
    case ALERT_VALUE_DURATION:
        found = alert_time_field(method, name, ret);
        break;
    default:
        break;
    }
    if (found)
        return TW_OK;
    return tw_err_set(x->err, TW_EXECUTION, "can't evaluate field %.*s in type %s",
                      TW_STR_ARG(name), alert_value_type(from));
}

/* ---- operands and calls ---- */

static enum tw_code eval_operand(struct execution *x, const struct alert_operand *operand,
                                 const struct alert_value *dot, const struct alert_value *final,
                                 bool is_command, struct alert_value *ret);

static bool is_lazy(const struct alert_function *function)
{
    return function->body == NULL;
}

/* `and` gives the first argument that is false, or the last; `or` the first that is true. */
static enum tw_code call_lazy(struct execution *x, const struct alert_operand *function,
                              const struct alert_value *dot, const struct alert_value *final,
                              struct alert_value *ret)
{
    bool stops_at = strcmp(function->function->name, "or") == 0;
    struct alert_value value = {.kind = ALERT_VALUE_NIL};
    for (const struct alert_operand *a = function->next; a != NULL; a = a->next) {
        TRY(eval_operand(x, a, dot, NULL, false, &value));
        if (alert_value_truth(&value) == stops_at) {
            *ret = value;
            return TW_OK;
        }
    }
    *ret = final != NULL ? *final : value;
    return TW_OK;
}

static size_t argument_count(const struct alert_operand *function, const struct alert_value *final)
{
    size_t count = final != NULL;
    for (const struct alert_operand *a = function->next; a != NULL; a = a->next)
        count++;
    return count;
}

static enum tw_code check_count(struct execution *x, const struct alert_function *function,
                                size_t count)
{
    if (count < function->count_min && function->count_max == SIZE_MAX)
        return tw_err_set(x->err, TW_EXECUTION,
                          "wrong number of args for %s: want at least %zu got %zu", function->name,
                          function->count_min, count);
    if (count < function->count_min || count > function->count_max)
        return tw_err_set(x->err, TW_EXECUTION, "wrong number of args for %s: want %zu got %zu",
                          function->name, function->count_min, count);
    return TW_OK;
}

static enum tw_code eval_arguments(struct execution *x, const struct alert_operand *function,
                                   const struct alert_value *dot, const struct alert_value *final,
                                   struct alert_value *arguments)
{
    size_t count = 0;
    for (const struct alert_operand *a = function->next; a != NULL; a = a->next)
        TRY(eval_operand(x, a, dot, NULL, false, &arguments[count++]));
    if (final != NULL)
        arguments[count] = *final;
    return TW_OK;
}

static enum tw_code call_function(struct execution *x, const struct alert_operand *operand,
                                  const struct alert_value *dot, const struct alert_value *final,
                                  struct alert_value *ret)
{
    size_t count = argument_count(operand, final);
    TRY(check_count(x, operand->function, count));
    if (is_lazy(operand->function))
        return call_lazy(x, operand, dot, final, ret);
    struct alert_value *arguments = TW_ARENA_ARRAY(x->arena, struct alert_value, count + 1);
    TRY(eval_arguments(x, operand, dot, final, arguments));
    struct alert_call call = {x->data, x->arena, arguments, count};
    enum tw_code code = operand->function->body(&call, ret, x->err);
    if (code != TW_OK)
        tw_err_wrap(x->err, "error calling %s", operand->function->name);
    return code;
}

static enum tw_code eval_base(struct execution *x, const struct alert_operand *operand,
                              const struct alert_value *dot, struct alert_value *ret)
{
    switch (operand->kind) {
    case ALERT_OPERAND_LITERAL:
        *ret = operand->literal;
        return TW_OK;
    case ALERT_OPERAND_DOT:
        *ret = *dot;
        return TW_OK;
    case ALERT_OPERAND_VARIABLE:
        *ret = *find(x, operand->name);
        return TW_OK;
    case ALERT_OPERAND_PIPE:
        return run_pipe(x, operand->pipe, dot, ret);
    case ALERT_OPERAND_FUNCTION:
        break;
    }
    TW_UNREACHABLE("functions are called, not evaluated");
}

/* A command's first operand with what follows it, or (is_command false) an argument by itself. */
static enum tw_code eval_operand(struct execution *x, const struct alert_operand *operand,
                                 const struct alert_value *dot, const struct alert_value *final,
                                 bool is_command, struct alert_value *ret)
{
    TRY(step(x));
    if (operand->kind == ALERT_OPERAND_FUNCTION) {
        struct alert_operand alone = *operand;
        alone.next = is_command ? operand->next : NULL;
        return at_place(x, operand->source, call_function(x, &alone, dot, final, ret));
    }
    struct alert_value value;
    TRY(eval_base(x, operand, dot, &value));
    size_t count = is_command ? argument_count(operand, final) : 0;
    bool method = value.kind == ALERT_VALUE_TIME || value.kind == ALERT_VALUE_DURATION;
    struct alert_value *arguments = NULL;
    if (operand->field_count > 0) {
        arguments = TW_ARENA_ARRAY(x->arena, struct alert_value, count + 2);
        if (is_command)
            TRY(eval_arguments(x, operand, dot, final, arguments + 1));
    }
    for (size_t i = 0; i < operand->field_count; i++) {
        bool last = i + 1 == operand->field_count;
        arguments[0] = value;
        struct alert_call call = {x->data, x->arena, arguments, 1 + (last ? count : 0)};
        method = value.kind == ALERT_VALUE_TIME || value.kind == ALERT_VALUE_DURATION;
        struct alert_value next;
        enum tw_code code = get_field(x, &value, operand->fields[i], &call, &next);
        if (code != TW_OK)
            return at_place(x, operand->source, code);
        value = next;
    }
    if (count > 0 && !(method && operand->field_count > 0))
        return at_place(x, operand->source,
                        tw_err_set(x->err, TW_EXECUTION, "can't give argument to non-function %.*s",
                                   TW_STR_ARG(operand->source)));
    *ret = value;
    return TW_OK;
}

static enum tw_code run_pipe(struct execution *x, const struct alert_pipe *pipe,
                             const struct alert_value *dot, struct alert_value *ret)
{
    struct alert_value value = {.kind = ALERT_VALUE_NIL};
    for (const struct alert_command *c = pipe->commands; c != NULL; c = c->next) {
        const struct alert_operand *first = c->operands;
        bool bare_nil = first->kind == ALERT_OPERAND_LITERAL &&
                        first->literal.kind == ALERT_VALUE_NIL && c->count == 1;
        if (bare_nil)
            return at_place(x, c->source, tw_err_set(x->err, TW_EXECUTION, "nil is not a command"));
        struct alert_value result;
        enum tw_code code =
            eval_operand(x, first, dot, c == pipe->commands ? NULL : &value, true, &result);
        if (code != TW_OK)
            return at_place(x, c->source, code);
        value = result;
    }
    for (size_t i = 0; i < pipe->variable_count; i++) {
        if (pipe->assigns)
            *find(x, pipe->variables[i]) = value;
        else
            TRY(push(x, pipe->variables[i], &value));
    }
    *ret = value;
    return TW_OK;
}

/* ---- blocks ---- */

static enum tw_code run_branch(struct execution *x, const struct alert_node *node,
                               const struct alert_value *dot)
{
    struct alert_value value;
    TRY(run_pipe(x, node->pipe, dot, &value));
    bool truth = alert_value_truth(&value);
    const struct alert_value *inner = node->kind == ALERT_NODE_WITH && truth ? &value : dot;
    return run_list(x, truth ? node->body : node->otherwise, inner);
}

/* Element i of what a range goes over, in Go's order (maps by key). */
static void range_element(struct execution *x, const struct alert_value *over, size_t i,
                          struct alert_value *ret_key, struct alert_value *ret_value)
{
    *ret_key = alert_value_int((int64_t)i);
    switch (over->kind) {
    case ALERT_VALUE_SAMPLES:
        *ret_value =
            (struct alert_value){.kind = ALERT_VALUE_SAMPLE, .sample = &over->samples.items[i]};
        return;
    case ALERT_VALUE_LABELS:
        *ret_key = alert_value_string(over->labels.items[i].name);
        *ret_value = alert_value_string(over->labels.items[i].value);
        return;
    case ALERT_VALUE_ARGS:
        *ret_key = alert_value_string(tw_arena_format(x->arena, "arg%zu", i));
        *ret_value = over->args.items[i];
        return;
    default:
        *ret_value = *ret_key;
    }
}

static enum tw_code range_count(struct execution *x, const struct alert_node *node,
                                const struct alert_value *over, size_t *ret)
{
    switch (over->kind) {
    case ALERT_VALUE_SAMPLES:
        *ret = over->samples.count;
        return TW_OK;
    case ALERT_VALUE_LABELS:
        *ret = over->labels.count;
        return TW_OK;
    case ALERT_VALUE_ARGS:
        *ret = over->args.count;
        return TW_OK;
    case ALERT_VALUE_INT:
        *ret = over->integer > 0 ? (size_t)over->integer : 0;
        return TW_OK;
    case ALERT_VALUE_NIL:
        *ret = 0;
        return TW_OK;
    default:
        return at_place(x, node->pipe->commands->source,
                        tw_err_set(x->err, TW_EXECUTION, "range can't iterate over a %s",
                                   alert_value_type(over)));
    }
}

static enum tw_code run_range(struct execution *x, const struct alert_node *node,
                              const struct alert_value *dot)
{
    /* The variables are set for each element, not to the whole. */
    struct alert_pipe pipe = *node->pipe;
    pipe.variable_count = 0;
    struct alert_value over;
    TRY(run_pipe(x, &pipe, dot, &over));
    size_t count = 0;
    TRY(range_count(x, node, &over, &count));
    if (count == 0)
        return run_list(x, node->otherwise, dot);
    size_t variable_count = x->variable_count;
    for (size_t i = 0; i < count; i++) {
        struct alert_value key, value;
        TRY(step(x));
        range_element(x, &over, i, &key, &value);
        const struct alert_value *values[2] = {&value, &value};
        if (node->pipe->variable_count == 2)
            values[0] = &key;
        for (size_t v = 0; v < node->pipe->variable_count; v++) {
            if (node->pipe->assigns)
                *find(x, node->pipe->variables[v]) = *values[v];
            else
                TRY(push(x, node->pipe->variables[v], values[v]));
        }
        TRY(run_list(x, node->body, &value));
        x->variable_count = variable_count;
        bool stop = x->flow == FLOW_BREAK;
        x->flow = FLOW_ON;
        if (stop)
            break;
    }
    return TW_OK;
}

static enum tw_code run_template(struct execution *x, const struct alert_node *node,
                                 const struct alert_value *dot)
{
    const struct alert_definition *definition = x->template->definitions;
    while (definition != NULL && !tw_str_equal(definition->name, node->text))
        definition = definition->next;
    if (definition == NULL)
        return tw_err_set(x->err, TW_EXECUTION, "template \"%.*s\" not defined",
                          TW_STR_ARG(node->text));
    struct alert_value argument = {.kind = ALERT_VALUE_NIL};
    if (node->pipe != NULL)
        TRY(run_pipe(x, node->pipe, dot, &argument));
    size_t first = x->variable_first, count = x->variable_count;
    x->variable_first = count;
    TRY(push(x, TW_STR("$"), &argument));
    TRY(run_list(x, definition->body, &argument));
    x->variable_first = first;
    x->variable_count = count;
    return TW_OK;
}

static enum tw_code run_node(struct execution *x, const struct alert_node *node,
                             const struct alert_value *dot)
{
    struct alert_value value;
    size_t variable_count = x->variable_count;
    switch (node->kind) {
    case ALERT_NODE_TEXT:
        tw_buf_append_str(&x->out, node->text);
        return TW_OK;
    case ALERT_NODE_ACTION: /* its variables live on to the end of the list */
        TRY(run_pipe(x, node->pipe, dot, &value));
        if (node->pipe->variable_count == 0)
            alert_value_print(&value, &x->out);
        return TW_OK;
    case ALERT_NODE_IF:
    case ALERT_NODE_WITH:
        TRY(run_branch(x, node, dot));
        break;
    case ALERT_NODE_RANGE:
        TRY(run_range(x, node, dot));
        break;
    case ALERT_NODE_TEMPLATE:
        return run_template(x, node, dot);
    case ALERT_NODE_BREAK:
        x->flow = FLOW_BREAK;
        return TW_OK;
    case ALERT_NODE_CONTINUE:
        x->flow = FLOW_CONTINUE;
        return TW_OK;
    }
    x->variable_count = variable_count;
    return TW_OK;
}

static enum tw_code run_list(struct execution *x, const struct alert_node *node,
                             const struct alert_value *dot)
{
    size_t variable_count = x->variable_count;
    if (++x->depth > DEPTH_MAX)
        return tw_err_set(x->err, TW_LIMIT, "templates call each other more than %d levels deep",
                          DEPTH_MAX);
    for (; node != NULL && x->flow == FLOW_ON; node = node->next) {
        TRY(step(x));
        TRY(run_node(x, node, dot));
    }
    x->depth--;
    x->variable_count = variable_count;
    return TW_OK;
}

enum tw_code alert_template_expand(const struct alert_template *template,
                                   const struct alert_template_data *data, struct tw_arena *arena,
                                   struct tw_str *ret_text, struct tw_err *err)
{
    struct tw_err own = {0}; /* failures are wrapped, so there must be one */
    struct tw_arena *scratch = tw_arena_new(32 * 1024);
    tw_arena_set_limit(scratch, ALERT_TEMPLATE_MEMORY_BYTES_MAX);
    struct execution *x = TW_ARENA_NEW(scratch, struct execution);
    x->template = template;
    x->data = data;
    x->arena = scratch;
    x->err = &own;
    tw_buf_init(&x->out, ALERT_TEMPLATE_OUTPUT_BYTES_MAX);
    const struct alert_value root = {.kind = ALERT_VALUE_ROOT, .root = data};
    const struct variable predefined[] = {
        {TW_STR("$"), root},
        {TW_STR("$labels"), {.kind = ALERT_VALUE_LABELS, .labels = data->labels}},
        {TW_STR("$externalLabels"), {.kind = ALERT_VALUE_LABELS, .labels = data->external_labels}},
        {TW_STR("$externalURL"), alert_value_string(data->external_url)},
        {TW_STR("$value"), value_of(data)}};
    memcpy(x->variables, predefined, sizeof predefined);
    x->variable_count = sizeof predefined / sizeof *predefined;
    enum tw_code code = run_list(x, template->body, &root);
    if (code == TW_OK)
        code = step(x); /* the last append may have been the one too much */
    if (code == TW_OK)
        *ret_text = tw_arena_str(arena, tw_buf_str(&x->out));
    else if (err != NULL)
        *err = own;
    tw_buf_fini(&x->out);
    tw_arena_free(scratch);
    return code;
}
