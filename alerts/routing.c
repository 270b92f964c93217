/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/routing.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define GROUP_BY_MAX 128

#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum tw_code try_code_ = (expression);                                                     \
        if (try_code_ != TW_OK)                                                                    \
            return try_code_;                                                                      \
    } while (0)

static enum tw_code refuse(struct alert_routing_reader *r, const struct tw_yaml *mapping,
                           const char *key)
{
    const struct tw_yaml *node = tw_yaml_member(mapping, key);
    if (tw_yaml_is_null(node) || (node->kind != TW_YAML_SCALAR && node->count == 0))
        return TW_OK;
    tw_yaml_error(r->file, node, r->err, "%s is not supported yet", key);
    if (r->err != NULL)
        r->err->code = TW_UNSUPPORTED;
    return TW_UNSUPPORTED;
}

/* ---- the tree ---- */

static enum tw_code find_receiver(struct alert_routing_reader *r, const struct tw_yaml *node,
                                  struct alert_route *route)
{
    struct tw_str name = TW_STR("");
    TRY(tw_yaml_get_str(r->file, node, "receiver", &name, r->err));
    if (name.size == 0)
        return TW_OK;
    for (size_t i = 0; i < r->routing->receiver_count; i++) {
        if (!tw_str_equal(r->routing->receivers[i].name, name))
            continue;
        route->receiver = &r->routing->receivers[i];
        return TW_OK;
    }
    return tw_yaml_error(r->file, tw_yaml_member(node, "receiver"), r->err,
                         "undefined receiver \"%.*s\" used in route", TW_STR_ARG(name));
}

static enum tw_code read_group_by(struct alert_routing_reader *r, const struct tw_yaml *node,
                                  struct alert_route *route)
{
    const struct tw_yaml *list = NULL;
    TRY(tw_yaml_get_node(r->file, node, "group_by", TW_YAML_SEQUENCE, &list, r->err));
    if (list == NULL)
        return TW_OK;
    if (list->count > GROUP_BY_MAX)
        return tw_yaml_error(r->file, list, r->err, "more than %d labels in group_by",
                             GROUP_BY_MAX);
    route->group_by = TW_ARENA_ARRAY(r->routing->arena, struct tw_str, list->count + 1);
    route->group_by_count = 0;
    route->group_by_all = false;
    for (size_t i = 0; i < list->count; i++) {
        const struct tw_yaml *item = list->items[i];
        if (item->kind != TW_YAML_SCALAR || item->text.size == 0)
            return tw_yaml_error(r->file, item, r->err, "group_by wants names of labels");
        if (tw_str_is(item->text, "...")) {
            route->group_by_all = true;
            continue;
        }
        for (size_t k = 0; k < route->group_by_count; k++)
            if (tw_str_equal(route->group_by[k], item->text))
                return tw_yaml_error(r->file, item, r->err, "duplicated label \"%.*s\" in group_by",
                                     TW_STR_ARG(item->text));
        route->group_by[route->group_by_count++] = tw_arena_str(r->routing->arena, item->text);
    }
    if (route->group_by_all && route->group_by_count > 0)
        return tw_yaml_error(r->file, list, r->err,
                             "cannot have wildcard group_by ('...') and other labels at once");
    return TW_OK;
}

static enum tw_code read_times(struct alert_routing_reader *r, const struct tw_yaml *node,
                               struct alert_route *route)
{
    TRY(tw_yaml_get_duration(r->file, node, "group_wait", &route->group_wait_ms, r->err));
    TRY(tw_yaml_get_duration(r->file, node, "group_interval", &route->group_interval_ms, r->err));
    TRY(tw_yaml_get_duration(r->file, node, "repeat_interval", &route->repeat_interval_ms, r->err));
    if (route->group_interval_ms <= 0)
        return tw_yaml_error(r->file, node, r->err, "group_interval cannot be zero");
    if (route->repeat_interval_ms <= 0)
        return tw_yaml_error(r->file, node, r->err, "repeat_interval cannot be zero");
    return TW_OK;
}

static void set_key(struct alert_routing_reader *r, const struct alert_route *parent,
                    struct alert_route *route)
{
    struct tw_buf key;
    tw_buf_init(&key, 1 << 20);
    if (parent != NULL) {
        tw_buf_append_str(&key, parent->key);
        tw_buf_append_char(&key, '/');
    }
    alert_matchers_format(&route->matchers, &key);
    route->key = tw_arena_str(r->routing->arena, tw_buf_str(&key));
    tw_buf_fini(&key);
}

static enum tw_code read_route(struct alert_routing_reader *r, const struct tw_yaml *node,
                               const struct alert_route *parent, struct alert_route *route,
                               size_t *total)
{
    static const char *const known[] = {"receiver",
                                        "group_by",
                                        "group_wait",
                                        "group_interval",
                                        "repeat_interval",
                                        "matchers",
                                        "match",
                                        "match_re",
                                        "continue",
                                        "routes",
                                        "mute_time_intervals",
                                        "active_time_intervals",
                                        NULL};
    if (node->kind != TW_YAML_MAPPING)
        return tw_yaml_error(r->file, node, r->err, "a route must be a mapping");
    if (++*total > ALERT_ROUTES_MAX)
        return tw_yaml_error(r->file, node, r->err, "more than %d routes", ALERT_ROUTES_MAX);
    TRY(tw_yaml_check_keys(r->file, node, known, r->err));
    TRY(refuse(r, node, "mute_time_intervals"));
    TRY(refuse(r, node, "active_time_intervals"));
    if (parent != NULL) {
        *route = *parent;
        route->children = NULL;
        route->child_count = 0;
        route->continues = false;
        route->matchers = (struct alert_matchers){0};
    }
    TRY(find_receiver(r, node, route));
    TRY(read_group_by(r, node, route));
    TRY(read_times(r, node, route));
    TRY(tw_yaml_get_bool(r->file, node, "continue", &route->continues, r->err));
    TRY(alert_matchers_read(r->file, node, "matchers", "match", "match_re", r->routing->arena,
                            &route->matchers, r->err));
    set_key(r, parent, route);
    const struct tw_yaml *routes = NULL;
    TRY(tw_yaml_get_node(r->file, node, "routes", TW_YAML_SEQUENCE, &routes, r->err));
    size_t count = routes != NULL ? routes->count : 0;
    route->children = TW_ARENA_ARRAY(r->routing->arena, struct alert_route, count + 1);
    for (size_t i = 0; i < count; i++) {
        /* Counted first, so that a half-read child is freed with the others. */
        route->child_count++;
        TRY(read_route(r, routes->items[i], route, &route->children[i], total));
    }
    return TW_OK;
}

static enum tw_code read_root(struct alert_routing_reader *r, const struct tw_yaml *root)
{
    const struct tw_yaml *node = NULL;
    size_t total = 0;
    TRY(tw_yaml_get_node(r->file, root, "route", TW_YAML_MAPPING, &node, r->err));
    if (node == NULL) {
        if (r->routing->receiver_count > 0)
            return tw_yaml_error(r->file, tw_yaml_member(root, "receivers"), r->err,
                                 "receivers without a route: nothing would be sent; add route");
        return TW_OK;
    }
    struct alert_route *route = TW_ARENA_NEW(r->routing->arena, struct alert_route);
    route->group_wait_ms = ALERT_GROUP_WAIT_MS;
    route->group_interval_ms = ALERT_GROUP_INTERVAL_MS;
    route->repeat_interval_ms = ALERT_REPEAT_INTERVAL_MS;
    r->routing->root = route;
    TRY(read_route(r, node, NULL, route, &total));
    if (route->receiver == NULL)
        return tw_yaml_error(r->file, node, r->err, "root route must specify a default receiver");
    if (route->matchers.count > 0)
        return tw_yaml_error(r->file, node, r->err, "root route must not have any matchers");
    if (route->continues)
        return tw_yaml_error(r->file, node, r->err, "cannot have continue in root route");
    return TW_OK;
}

/* ---- inhibition ---- */

static enum tw_code read_inhibition(struct alert_routing_reader *r, const struct tw_yaml *node)
{
    static const char *const known[] = {"source_matchers", "source_match", "source_match_re",
                                        "target_matchers", "target_match", "target_match_re",
                                        "equal",           "name",         NULL};
    struct alert_inhibition *rule = &r->routing->inhibitions[r->routing->inhibition_count++];
    const struct tw_yaml *equal = NULL;
    if (node->kind != TW_YAML_MAPPING)
        return tw_yaml_error(r->file, node, r->err, "an inhibition rule must be a mapping");
    TRY(tw_yaml_check_keys(r->file, node, known, r->err));
    TRY(alert_matchers_read(r->file, node, "source_matchers", "source_match", "source_match_re",
                            r->routing->arena, &rule->source, r->err));
    TRY(alert_matchers_read(r->file, node, "target_matchers", "target_match", "target_match_re",
                            r->routing->arena, &rule->target, r->err));
    TRY(tw_yaml_get_node(r->file, node, "equal", TW_YAML_SEQUENCE, &equal, r->err));
    size_t count = equal != NULL ? equal->count : 0;
    rule->equal = TW_ARENA_ARRAY(r->routing->arena, struct tw_str, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (equal->items[i]->kind != TW_YAML_SCALAR || equal->items[i]->text.size == 0)
            return tw_yaml_error(r->file, equal->items[i], r->err, "equal wants names of labels");
        rule->equal[rule->equal_count++] = tw_arena_str(r->routing->arena, equal->items[i]->text);
    }
    return TW_OK;
}

static enum tw_code read_inhibitions(struct alert_routing_reader *r, const struct tw_yaml *root)
{
    const struct tw_yaml *list = NULL;
    TRY(tw_yaml_get_node(r->file, root, "inhibit_rules", TW_YAML_SEQUENCE, &list, r->err));
    size_t count = list != NULL ? list->count : 0;
    r->routing->inhibitions = TW_ARENA_ARRAY(r->routing->arena, struct alert_inhibition, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(read_inhibition(r, list->items[i]));
    return TW_OK;
}

/* ---- all ---- */

static enum tw_code read_all(struct alert_routing_reader *r, const struct tw_yaml *root)
{
    static const char *const missing[] = {"time_intervals", "mute_time_intervals", "templates",
                                          NULL};
    if (root == NULL)
        return TW_OK;
    for (size_t i = 0; missing[i] != NULL; i++)
        TRY(refuse(r, root, missing[i]));
    TRY(alert_receivers_read(r, root));
    TRY(alert_peers_read(r, root));
    TRY(read_inhibitions(r, root));
    return read_root(r, root);
}

enum tw_code alert_routing_read(const char *file, const char *folder, const struct tw_yaml *root,
                                struct alert_routing **ret_routing, struct tw_err *err)
{
    struct alert_routing *routing = calloc(1, sizeof *routing);
    TW_ASSERT(routing != NULL);
    routing->arena = tw_arena_new(4096);
    /* The document may be dropped after reading: texts are copied where they are kept. */
    struct alert_routing_reader r = {file, folder != NULL ? folder : ".", routing, err};
    enum tw_code code = read_all(&r, root);
    if (code != TW_OK) {
        alert_routing_free(routing);
        return code;
    }
    *ret_routing = routing;
    return TW_OK;
}

static void free_matchers(struct alert_route *route)
{
    alert_matchers_fini(&route->matchers);
    for (size_t i = 0; i < route->child_count; i++)
        free_matchers(&route->children[i]);
}

struct alert_routing *alert_routing_free(struct alert_routing *routing)
{
    if (routing == NULL)
        return NULL;
    if (routing->root != NULL)
        free_matchers(routing->root);
    for (size_t i = 0; i < routing->inhibition_count; i++) {
        alert_matchers_fini(&routing->inhibitions[i].source);
        alert_matchers_fini(&routing->inhibitions[i].target);
    }
    tw_arena_free(routing->arena);
    free(routing);
    return NULL;
}

static bool match_within(const struct alert_route *route, struct wire_labels labels,
                         alert_route_visit *visit, void *user)
{
    if (!alert_matchers_match(&route->matchers, labels))
        return false;
    bool taken = false;
    for (size_t i = 0; i < route->child_count; i++) {
        bool matched = match_within(&route->children[i], labels, visit, user);
        taken = taken || matched;
        if (matched && !route->children[i].continues)
            break;
    }
    if (!taken)
        visit(user, route);
    return true;
}

void alert_route_match(const struct alert_route *root, struct wire_labels labels,
                       alert_route_visit *visit, void *user)
{
    if (root != NULL)
        (void)match_within(root, labels, visit, user);
}
