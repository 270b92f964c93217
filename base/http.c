/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes are matched part by part on the path as sent, each part decoded by itself, so that an
 * encoded slash stays inside its part. Where several patterns match, a literal part wins over a
 * capture and a capture over "*rest", from left to right.
 */
#include "config.h"

#include "base/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/lock.h"

#define ROUTER_MAGIC 0x524f5554u
#define PARTS_MAX 16 /* of a pattern */

enum part_kind { PART_REST = 1, PART_CAPTURE = 2, PART_LITERAL = 3 };

struct part {
    enum part_kind kind;
    struct tw_str text; /* literal, or the capture's name */
};

struct route {
    unsigned methods;
    const char *pattern;
    struct part parts[PARTS_MAX];
    size_t part_count;
    enum tw_http_place place;
    tw_http_handler *handler;
    void *user;
};

struct tw_http_router {
    unsigned magic;
    struct route *routes;
    size_t count, capacity;
};

static const struct {
    enum tw_http_method method;
    const char *name;
} method_names[] = {
    {TW_HTTP_GET, "GET"},   {TW_HTTP_HEAD, "HEAD"}, {TW_HTTP_OPTIONS, "OPTIONS"},
    {TW_HTTP_POST, "POST"}, {TW_HTTP_PUT, "PUT"},   {TW_HTTP_DELETE, "DELETE"},
};
#define METHOD_COUNT (sizeof method_names / sizeof method_names[0])

const char *tw_http_method_name(enum tw_http_method method)
{
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (method_names[i].method == method)
            return method_names[i].name;
    return "?";
}

/* ---- what handlers use ---- */

void tw_http_finish(struct tw_http_exchange *exchange)
{
    TW_ASSERT(exchange->finish != NULL);
    exchange->finish(exchange);
}

bool tw_http_parameter_at(const struct tw_http_request *request, const char *name, size_t n,
                          struct tw_str *ret)
{
    for (size_t i = 0; i < request->parameter_count; i++) {
        if (!tw_str_is(request->parameters[i].name, name))
            continue;
        if (n-- == 0) {
            *ret = request->parameters[i].value;
            return true;
        }
    }
    return false;
}

bool tw_http_parameter(const struct tw_http_request *request, const char *name, struct tw_str *ret)
{
    return tw_http_parameter_at(request, name, 0, ret);
}

static bool equal_without_case(struct tw_str a, struct tw_str b)
{
    return a.size == b.size && (a.size == 0 || !strncasecmp(a.data, b.data, a.size));
}

bool tw_http_header(const struct tw_http_request *request, const char *name, struct tw_str *ret)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (equal_without_case(request->headers[i].name, tw_str(name))) {
            *ret = request->headers[i].value;
            return true;
        }
    }
    return false;
}

struct tw_str tw_http_capture(const struct tw_http_request *request, const char *name)
{
    for (size_t i = 0; i < request->capture_count; i++)
        if (tw_str_is(request->captures[i].name, name))
            return request->captures[i].value;
    return (struct tw_str){0};
}

void tw_http_add_header(struct tw_http_response *response, const char *name, struct tw_str value)
{
    TW_ASSERT(response->header_count < sizeof response->headers / sizeof response->headers[0]);
    response->headers[response->header_count++] =
        (struct tw_http_pair){.name = tw_str(name), .value = value};
}

/* An error takes the place of whatever was begun; one that passes by itself says when to try again.
 */
static void begin_error(struct tw_http_exchange *exchange, const struct tw_err *err,
                        const char *content_type)
{
    struct tw_http_response *response = &exchange->response;
    TW_ASSERT(!response->produce);
    tw_buf_clear(&response->body);
    response->constant = (struct tw_str){0};
    response->status = tw_code_http_status(err->code);
    response->content_type = content_type;
    if (err->code != TW_OVERLOAD)
        return;
    for (size_t i = 0; i < response->header_count; i++)
        if (equal_without_case(response->headers[i].name, TW_STR("Retry-After")))
            return;
    tw_http_add_header(response, "Retry-After", TW_STR("1"));
}

void tw_http_error_text(struct tw_http_exchange *exchange, const struct tw_err *err)
{
    begin_error(exchange, err, "text/plain; charset=utf-8");
    tw_buf_append_cstr(&exchange->response.body, err->message);
    tw_buf_append_char(&exchange->response.body, '\n');
}

void tw_http_error_api(struct tw_http_exchange *exchange, const struct tw_err *err)
{
    begin_error(exchange, err, "application/json");
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, &exchange->response.body);
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "status", "error");
    tw_json_member_cstr(&writer, "errorType", tw_http_api_error_type(err->code));
    tw_json_member_cstr(&writer, "error", err->message);
    tw_json_end_object(&writer);
}

void tw_http_begin_success(struct tw_http_exchange *exchange, struct tw_json_writer *ret_writer)
{
    tw_json_writer_init(ret_writer, &exchange->response.body);
    tw_json_begin_object(ret_writer);
    tw_json_member_cstr(ret_writer, "status", "success");
    tw_json_key(ret_writer, TW_STR("data"));
}

const char *tw_http_api_error_type(enum tw_code code)
{
    switch (code) {
    case TW_BAD_DATA:
    case TW_SYNTAX:
    case TW_UNSUPPORTED:
    case TW_CONFIG:
    case TW_TOO_LARGE:
    case TW_MEDIA_TYPE:
        return "bad_data";
    case TW_UNAUTHENTICATED:
        return "unauthorized";
    case TW_FORBIDDEN:
        return "forbidden";
    case TW_NOT_FOUND:
        return "not_found";
    case TW_METHOD:
        return "method_not_allowed";
    case TW_CONFLICT:
        return "conflict";
    case TW_EXECUTION:
    case TW_LIMIT:
        return "execution";
    case TW_TIMEOUT:
        return "timeout";
    case TW_CANCELLED:
        return "canceled";
    case TW_OVERLOAD:
    case TW_MEMORY:
    case TW_IO:
    case TW_NO_SPACE:
    case TW_BUSY:
    case TW_NETWORK:
    case TW_REMOTE:
    case TW_UNAVAILABLE:
        return "unavailable";
    case TW_OK:
    case TW_CORRUPT:
    case TW_INTERNAL:
    case TW_CODE_COUNT:
        break;
    }
    return "internal";
}

/* ---- routing ---- */

struct tw_http_router *tw_http_router_new(void)
{
    struct tw_http_router *router = calloc(1, sizeof *router);
    TW_ASSERT(router != NULL);
    router->magic = ROUTER_MAGIC;
    return router;
}

struct tw_http_router *tw_http_router_free(struct tw_http_router *router)
{
    if (!router)
        return NULL;
    TW_CHECK_MAGIC(router, ROUTER_MAGIC);
    router->magic = 0;
    free(router->routes);
    free(router);
    return NULL;
}

static void parse_pattern(struct route *route)
{
    struct tw_str rest = tw_str(route->pattern), text;
    size_t captures = 0;
    TW_ASSERT(rest.size > 0 && rest.data[0] == '/');
    rest = tw_str_slice(rest, 1, rest.size);
    bool more = true;
    while (more) {
        TW_ASSERT(route->part_count < PARTS_MAX);
        struct part *part = &route->parts[route->part_count++];
        size_t slash = tw_str_find(rest, TW_STR("/"));
        more = slash != SIZE_MAX;
        text = tw_str_slice(rest, 0, more ? slash : rest.size);
        rest = tw_str_slice(rest, more ? slash + 1 : rest.size, rest.size);
        part->kind = PART_LITERAL;
        if (text.size > 0 && (text.data[0] == ':' || text.data[0] == '*')) {
            part->kind = text.data[0] == ':' ? PART_CAPTURE : PART_REST;
            TW_ASSERT(part->kind == PART_CAPTURE || !more);
            text = tw_str_slice(text, 1, text.size);
            captures++;
        }
        part->text = text;
    }
    TW_ASSERT(captures <=
              sizeof((struct tw_http_request *)0)->captures / sizeof(struct tw_http_pair));
}

void tw_http_route(struct tw_http_router *router, unsigned methods, const char *pattern,
                   enum tw_http_place place, tw_http_handler *handler, void *user)
{
    TW_CHECK_MAGIC(router, ROUTER_MAGIC);
    if (methods & TW_HTTP_GET)
        methods |= TW_HTTP_HEAD;
    for (size_t i = 0; i < router->count; i++)
        TW_ASSERT(strcmp(router->routes[i].pattern, pattern) != 0 ||
                  !(router->routes[i].methods & methods));
    if (router->count == router->capacity) {
        router->capacity = router->capacity ? router->capacity * 2 : 32;
        router->routes = realloc(router->routes, router->capacity * sizeof *router->routes);
        TW_ASSERT(router->routes != NULL);
    }
    struct route *route = &router->routes[router->count++];
    *route = (struct route){
        .methods = methods, .pattern = pattern, .place = place, .handler = handler, .user = user};
    parse_pattern(route);
}

static int compare_patterns(const void *a, const void *b)
{
    const struct route *const *one = a, *const *other = b;
    int order = strcmp((*one)->pattern, (*other)->pattern);
    return order ? order : (int)(*one)->methods - (int)(*other)->methods;
}

void tw_http_router_each(const struct tw_http_router *router, tw_http_route_visit *visit,
                         void *user)
{
    TW_CHECK_MAGIC(router, ROUTER_MAGIC);
    const struct route **routes = calloc(router->count + 1, sizeof(const struct route *));
    TW_ASSERT(routes != NULL);
    for (size_t i = 0; i < router->count; i++)
        routes[i] = &router->routes[i];
    qsort(routes, router->count, sizeof(const struct route *), compare_patterns);
    for (size_t i = 0; i < router->count; i++)
        visit(user, routes[i]->methods, routes[i]->pattern);
    free(routes);
}

/* The path's parts, decoded; what lies beyond PARTS_MAX parts stays together in the last. */
struct path {
    struct tw_str parts[PARTS_MAX];
    struct tw_str rests[PARTS_MAX]; /* from part i to the end, decoded as a whole */
    size_t count;
    bool longer; /* the last part holds slashes that separate */
};

static struct tw_str target_path(struct tw_str target)
{
    size_t end = tw_str_find(target, TW_STR("?"));
    return end == SIZE_MAX ? target : tw_str_slice(target, 0, end);
}

static bool split_path(struct tw_arena *arena, struct tw_str path, struct path *ret)
{
    *ret = (struct path){0};
    if (path.size == 0 || path.data[0] != '/')
        return false;
    struct tw_str rest = tw_str_slice(path, 1, path.size);
    for (bool more = true; more;) {
        size_t slash = tw_str_find(rest, TW_STR("/"));
        more = slash != SIZE_MAX && ret->count + 1 < PARTS_MAX;
        ret->longer = slash != SIZE_MAX && !more;
        struct tw_str part = more ? tw_str_slice(rest, 0, slash) : rest;
        if (!tw_http_decode(arena, part, false, &ret->parts[ret->count]) ||
            !tw_http_decode(arena, rest, false, &ret->rests[ret->count]))
            return false;
        ret->count++;
        if (more)
            rest = tw_str_slice(rest, slash + 1, rest.size);
    }
    return true;
}

static bool matches(const struct route *route, const struct path *path)
{
    for (size_t i = 0; i < route->part_count; i++) {
        const struct part *part = &route->parts[i];
        if (i >= path->count)
            return false;
        if (part->kind == PART_REST)
            return true;
        if (part->kind == PART_CAPTURE ? path->parts[i].size == 0
                                       : !tw_str_equal(part->text, path->parts[i]))
            return false;
    }
    return route->part_count == path->count && !path->longer;
}

static bool more_specific(const struct route *a, const struct route *b)
{
    for (size_t i = 0; i < a->part_count && i < b->part_count; i++)
        if (a->parts[i].kind != b->parts[i].kind)
            return a->parts[i].kind > b->parts[i].kind;
    return a->part_count > b->part_count;
}

static void set_captures(struct tw_http_request *request, const struct route *route,
                         const struct path *path)
{
    request->capture_count = 0;
    for (size_t i = 0; i < route->part_count; i++) {
        const struct part *part = &route->parts[i];
        if (part->kind == PART_LITERAL)
            continue;
        request->captures[request->capture_count++] = (struct tw_http_pair){
            .name = part->text, .value = part->kind == PART_REST ? path->rests[i] : path->parts[i]};
    }
}

static enum tw_code refuse_method(struct tw_http_exchange *exchange, unsigned methods,
                                  struct tw_err *err)
{
    struct tw_str allow = {0};
    for (size_t i = 0; i < METHOD_COUNT; i++)
        if (methods & method_names[i].method)
            allow = tw_arena_format(exchange->arena, "%.*s%s%s", TW_STR_ARG(allow),
                                    allow.size ? ", " : "", method_names[i].name);
    tw_http_add_header(&exchange->response, "Allow", allow);
    return tw_err_set(err, TW_METHOD, "method %s is not allowed for %.*s; allowed: %.*s",
                      tw_http_method_name(exchange->request.method),
                      TW_STR_ARG(exchange->request.path), TW_STR_ARG(allow));
}

enum tw_code tw_http_router_find(struct tw_http_router *router, struct tw_http_exchange *exchange,
                                 struct tw_http_match *ret_match, struct tw_err *err)
{
    TW_CHECK_MAGIC(router, ROUTER_MAGIC);
    struct tw_http_request *request = &exchange->request;
    struct path path;
    const struct route *found = NULL;
    unsigned methods = 0;
    if (split_path(exchange->arena, target_path(request->target), &path)) {
        for (size_t i = 0; i < router->count; i++) {
            const struct route *route = &router->routes[i];
            if (!matches(route, &path))
                continue;
            methods |= route->methods;
            if ((route->methods & request->method) && (!found || more_specific(route, found)))
                found = route;
        }
    }
    if (!found && methods)
        return refuse_method(exchange, methods, err);
    if (!found)
        return tw_err_set(err, TW_NOT_FOUND, "nothing is served at %.*s",
                          TW_STR_ARG(tw_str_slice(request->path, 0, 200)));
    set_captures(request, found, &path);
    *ret_match = (struct tw_http_match){.handler = found->handler,
                                        .user = found->user,
                                        .place = found->place,
                                        .pattern = found->pattern};
    return TW_OK;
}

/* ---- building exchanges ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool tw_http_decode(struct tw_arena *arena, struct tw_str text, bool form, struct tw_str *ret)
{
    char *decoded = tw_arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '+' && form) {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        decoded[size++] = c;
    }
    decoded[size] = '\0';
    *ret = (struct tw_str){decoded, size};
    return true;
}

static size_t count_parameters(struct tw_str text)
{
    size_t count = text.size > 0;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '&';
    return count;
}

static enum tw_code read_parameters(struct tw_arena *arena, struct tw_str text, const char *where,
                                    struct tw_http_pair *pairs, size_t *count, struct tw_err *err)
{
    struct tw_str part;
    while (tw_str_split(&text, '&', &part)) {
        if (part.size == 0)
            continue;
        size_t equals = tw_str_find(part, TW_STR("="));
        struct tw_str name = tw_str_slice(part, 0, equals == SIZE_MAX ? part.size : equals);
        struct tw_str value =
            tw_str_slice(part, equals == SIZE_MAX ? part.size : equals + 1, part.size);
        struct tw_http_pair *pair = &pairs[*count];
        if (!tw_http_decode(arena, name, true, &pair->name) ||
            !tw_http_decode(arena, value, true, &pair->value))
            return tw_err_set(err, TW_BAD_DATA, "%s: invalid percent-escape in '%.*s'", where,
                              TW_STR_ARG(tw_str_slice(part, 0, 100)));
        ++*count;
    }
    return TW_OK;
}

static bool has_form_body(const struct tw_http_request *request)
{
    struct tw_str type;
    if (!(request->method & (TW_HTTP_POST | TW_HTTP_PUT)) ||
        !tw_http_header(request, "Content-Type", &type))
        return false;
    size_t end = tw_str_find(type, TW_STR(";"));
    type = tw_str_trim(tw_str_slice(type, 0, end == SIZE_MAX ? type.size : end));
    return equal_without_case(type, TW_STR("application/x-www-form-urlencoded"));
}

static enum tw_code fill_parameters(struct tw_http_exchange *exchange, struct tw_str query,
                                    struct tw_err *err)
{
    struct tw_http_request *request = &exchange->request;
    struct tw_str form = has_form_body(request) ? request->body : (struct tw_str){0};
    size_t most = count_parameters(form) + count_parameters(query);
    if (most > TW_HTTP_PARAMETERS_MAX)
        return tw_err_set(err, TW_BAD_DATA, "%zu parameters; at most %d are taken", most,
                          TW_HTTP_PARAMETERS_MAX);
    struct tw_http_pair *pairs = TW_ARENA_ARRAY(exchange->arena, struct tw_http_pair, most);
    size_t count = 0;
    enum tw_code code = read_parameters(exchange->arena, form, "form body", pairs, &count, err);
    if (code == TW_OK)
        code = read_parameters(exchange->arena, query, "query string", pairs, &count, err);
    request->parameters = pairs;
    request->parameter_count = count;
    return code;
}

static enum tw_code fill_target(struct tw_http_exchange *exchange, struct tw_str target,
                                struct tw_str *ret_query, struct tw_err *err)
{
    struct tw_http_request *request = &exchange->request;
    /* The absolute form, which proxies send: scheme and host are of no interest. */
    size_t scheme = tw_str_find(target, TW_STR("://"));
    if (target.size > 0 && target.data[0] != '/' && scheme != SIZE_MAX) {
        struct tw_str rest = tw_str_slice(target, scheme + 3, target.size);
        size_t slash = tw_str_find(rest, TW_STR("/"));
        target = slash == SIZE_MAX ? TW_STR("/") : tw_str_slice(rest, slash, rest.size);
    }
    size_t fragment = tw_str_find(target, TW_STR("#"));
    if (fragment != SIZE_MAX)
        target = tw_str_slice(target, 0, fragment);
    request->target = tw_arena_str(exchange->arena, target);
    struct tw_str path = target_path(request->target);
    *ret_query = tw_str_slice(request->target, path.size + 1, request->target.size);
    if (!tw_http_decode(exchange->arena, path, false, &request->path)) {
        request->path = path;
        return tw_err_set(err, TW_BAD_DATA, "invalid percent-escape in the path '%.*s'",
                          TW_STR_ARG(tw_str_slice(path, 0, 200)));
    }
    return TW_OK;
}

enum tw_code tw_http_exchange_new(enum tw_http_method method, struct tw_str target,
                                  const struct tw_http_pair *headers, size_t header_count,
                                  struct tw_str body, struct tw_clock *clock,
                                  struct tw_http_exchange **ret, struct tw_err *err)
{
    struct tw_arena *arena = tw_arena_new(4096);
    struct tw_http_exchange *exchange = TW_ARENA_NEW(arena, struct tw_http_exchange);
    struct tw_http_request *request = &exchange->request;
    exchange->arena = arena;
    request->method = method;
    request->body = body;
    struct tw_http_pair *copies = TW_ARENA_ARRAY(arena, struct tw_http_pair, header_count);
    for (size_t i = 0; i < header_count; i++)
        copies[i] = (struct tw_http_pair){.name = tw_arena_str(arena, headers[i].name),
                                          .value = tw_arena_str(arena, headers[i].value)};
    request->headers = copies;
    request->header_count = header_count;
    exchange->response.status = 200;
    exchange->response.content_type = "application/json";
    tw_buf_init(&exchange->response.body, TW_HTTP_BODY_MAX);
    tw_context_init(&exchange->context, clock);
    struct tw_str query;
    enum tw_code code = fill_target(exchange, target, &query, err);
    if (code == TW_OK)
        code = fill_parameters(exchange, query, err);
    if (code != TW_OK) {
        tw_http_exchange_free(exchange);
        return code;
    }
    *ret = exchange;
    return TW_OK;
}

struct tw_http_exchange *tw_http_exchange_free(struct tw_http_exchange *exchange)
{
    if (!exchange)
        return NULL;
    struct tw_http_response *response = &exchange->response;
    if (response->produce && response->produce_end)
        response->produce_end(response->produce_user);
    tw_buf_fini(&response->body);
    tw_arena_free(exchange->arena);
    return NULL;
}

struct waiter {
    struct tw_lock lock; /* guards finished */
    struct tw_cond changed;
    bool finished;
};

static void finish_waiter(struct tw_http_exchange *exchange)
{
    struct waiter *waiter = exchange->driver;
    tw_lock_take(&waiter->lock);
    waiter->finished = true;
    tw_cond_signal(&waiter->changed);
    tw_lock_release(&waiter->lock);
}

void tw_http_exchange_run(struct tw_http_router *router, struct tw_http_exchange *exchange)
{
    struct tw_http_match match;
    struct tw_err err = {0};
    if (tw_http_router_find(router, exchange, &match, &err) != TW_OK) {
        tw_http_error_text(exchange, &err);
        return;
    }
    struct waiter waiter = {0};
    tw_lock_init(&waiter.lock, TW_RANK_LEAF, "http exchange");
    tw_cond_init(&waiter.changed);
    exchange->finish = finish_waiter;
    exchange->driver = &waiter;
    if (match.handler(match.user, exchange) == TW_HTTP_PENDING) {
        tw_lock_take(&waiter.lock);
        while (!waiter.finished)
            tw_cond_wait(&waiter.changed, &waiter.lock);
        tw_lock_release(&waiter.lock);
    }
    tw_cond_fini(&waiter.changed);
    tw_lock_fini(&waiter.lock);
}
