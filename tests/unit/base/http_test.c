/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/http.h"

#include <stdlib.h>

#include "base/thread.h"
#include "tests/lib/unit.h"

static enum tw_http_verdict echo(void *user, struct tw_http_exchange *exchange)
{
    const struct tw_http_request *request = &exchange->request;
    tw_buf_appendf(&exchange->response.body, "%s", (const char *)user);
    for (size_t i = 0; i < request->capture_count; i++)
        tw_buf_appendf(&exchange->response.body, " %.*s=%.*s",
                       TW_STR_ARG(request->captures[i].name),
                       TW_STR_ARG(request->captures[i].value));
    return TW_HTTP_DONE;
}

static char names[][16] = {"root", "values", "fixed", "rest", "post", "get", "whole"};

static struct tw_http_router *make_router(void)
{
    struct tw_http_router *router = tw_http_router_new();
    tw_http_route(router, TW_HTTP_GET, "/", TW_HTTP_INLINE, echo, names[0]);
    tw_http_route(router, TW_HTTP_GET, "/api/label/:name/values", TW_HTTP_INLINE, echo, names[1]);
    tw_http_route(router, TW_HTTP_GET, "/api/label/fixed/values", TW_HTTP_INLINE, echo, names[2]);
    tw_http_route(router, TW_HTTP_GET, "/files/*rest", TW_HTTP_INLINE, echo, names[3]);
    tw_http_route(router, TW_HTTP_POST | TW_HTTP_PUT, "/both", TW_HTTP_INLINE, echo, names[4]);
    tw_http_route(router, TW_HTTP_GET, "/both", TW_HTTP_INLINE, echo, names[5]);
    tw_http_route(router, TW_HTTP_DELETE, "/only", TW_HTTP_INLINE, echo, names[6]);
    return router;
}

static struct tw_http_exchange *make(enum tw_http_method method, const char *target,
                                     const struct tw_http_pair *headers, size_t header_count,
                                     const char *body)
{
    struct tw_http_exchange *exchange;
    struct tw_err err;
    unit_assert_ok(tw_http_exchange_new(method, tw_str(target), headers, header_count, tw_str(body),
                                        tw_clock_system(), &exchange, &err),
                   &err);
    return exchange;
}

static const struct {
    enum tw_http_method method;
    const char *target;
    int status;
    const char *body;
} routes[] = {
    {TW_HTTP_GET, "/", 200, "root"},
    {TW_HTTP_HEAD, "/?x=1", 200, "root"},
    {TW_HTTP_GET, "/api/label/job/values?match[]=up", 200, "values name=job"},
    {TW_HTTP_GET, "/api/label/a%2Fb%20c/values", 200, "values name=a/b c"},
    {TW_HTTP_GET, "/api/label/fixed/values", 200, "fixed"},
    {TW_HTTP_GET, "/api/label//values", 404, NULL},
    {TW_HTTP_GET, "/api/label/a/values/", 404, NULL},
    {TW_HTTP_GET, "/files/", 200, "rest rest="},
    {TW_HTTP_GET, "/files/a/b.c", 200, "rest rest=a/b.c"},
    {TW_HTTP_GET, "/files", 404, NULL},
    {TW_HTTP_PUT, "/both", 200, "post"},
    {TW_HTTP_GET, "/both", 200, "get"},
    {TW_HTTP_GET, "/%62oth", 200, "get"},
    {TW_HTTP_DELETE, "/both", 405, "GET, HEAD, POST, PUT"},
    {TW_HTTP_GET, "/only", 405, "DELETE"},
    {TW_HTTP_GET, "http://host:1/both", 200, "get"},
    {TW_HTTP_GET, "*", 404, NULL},
    {TW_HTTP_GET, "", 404, NULL},
    {TW_HTTP_GET, "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", 404, NULL},
    {TW_HTTP_GET, "/files/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", 200,
     "rest rest=a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"},
};

START_TEST(finds_routes)
{
    struct tw_http_router *router = make_router();
    struct tw_http_exchange *exchange = make(routes[_i].method, routes[_i].target, NULL, 0, "");
    tw_http_exchange_run(router, exchange);
    ck_assert_int_eq(exchange->response.status, routes[_i].status);
    if (routes[_i].status == 200)
        unit_assert_str(tw_buf_str(&exchange->response.body), routes[_i].body);
    if (routes[_i].status == 405) {
        unit_assert_str(exchange->response.headers[0].name, "Allow");
        unit_assert_str(exchange->response.headers[0].value, routes[_i].body);
    }
    tw_http_exchange_free(exchange);
    tw_http_router_free(router);
}
END_TEST

START_TEST(reads_parameters_of_form_then_query)
{
    const struct tw_http_pair type = {
        .name = TW_STR_INIT("content-TYPE"),
        .value = TW_STR_INIT("application/x-www-form-urlencoded; charset=utf-8")};
    struct tw_http_exchange *exchange = make(TW_HTTP_POST, "/x?q=query&match[]=c&empty&=v", &type,
                                             1, "q=a%2Bb+c&match%5B%5D=a&match[]=b%00z&&");
    struct tw_str value;
    ck_assert(tw_http_parameter(&exchange->request, "q", &value));
    unit_assert_str(value, "a+b c");
    ck_assert(tw_http_parameter_at(&exchange->request, "q", 1, &value));
    unit_assert_str(value, "query");
    ck_assert(tw_http_parameter_at(&exchange->request, "match[]", 1, &value));
    ck_assert_uint_eq(value.size, 3);
    ck_assert(tw_http_parameter_at(&exchange->request, "match[]", 2, &value));
    unit_assert_str(value, "c");
    ck_assert(!tw_http_parameter_at(&exchange->request, "match[]", 3, &value));
    ck_assert(tw_http_parameter(&exchange->request, "empty", &value));
    ck_assert_uint_eq(value.size, 0);
    ck_assert(tw_http_header(&exchange->request, "Content-Type", &value));
    tw_http_exchange_free(exchange);

    /* A body of another type is no form. */
    exchange = make(TW_HTTP_POST, "/x", NULL, 0, "q=1");
    ck_assert(!tw_http_parameter(&exchange->request, "q", &value));
    unit_assert_str(exchange->request.body, "q=1");
    tw_http_exchange_free(exchange);
}
END_TEST

START_TEST(refuses_broken_escapes)
{
    const char *targets[] = {"/a%zz", "/a%1", "/?x=%", "/?%g1=x"};
    struct tw_http_exchange *exchange;
    struct tw_err err;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        unit_assert_code(tw_http_exchange_new(TW_HTTP_GET, tw_str(targets[i]), NULL, 0, TW_STR(""),
                                              tw_clock_system(), &exchange, &err),
                         TW_BAD_DATA);
        unit_assert_contains(err.message, "percent-escape");
    }
}
END_TEST

START_TEST(bounds_the_parameters)
{
    struct tw_buf target;
    struct tw_http_exchange *exchange;
    struct tw_err err;
    tw_buf_init(&target, 1 << 20);
    tw_buf_append_cstr(&target, "/?");
    for (int i = 0; i <= TW_HTTP_PARAMETERS_MAX; i++)
        tw_buf_append_char(&target, '&');
    unit_assert_code(tw_http_exchange_new(TW_HTTP_GET, tw_buf_str(&target), NULL, 0, TW_STR(""),
                                          tw_clock_system(), &exchange, &err),
                     TW_BAD_DATA);
    tw_buf_fini(&target);
}
END_TEST

START_TEST(errors_replace_what_was_begun)
{
    struct tw_http_exchange *exchange = make(TW_HTTP_GET, "/", NULL, 0, "");
    struct tw_err err;
    tw_buf_append_cstr(&exchange->response.body, "half an answ");
    tw_err_set(&err, TW_OVERLOAD, "too \"many\"");
    tw_http_error_api(exchange, &err);
    ck_assert_int_eq(exchange->response.status, 429);
    unit_assert_str(
        tw_buf_str(&exchange->response.body),
        "{\"status\":\"error\",\"errorType\":\"unavailable\",\"error\":\"too \\\"many\\\"\"}");
    unit_assert_str(exchange->response.headers[0].name, "Retry-After");
    tw_err_set(&err, TW_SYNTAX, "no");
    tw_http_error_text(exchange, &err);
    ck_assert_int_eq(exchange->response.status, 400);
    unit_assert_str(tw_buf_str(&exchange->response.body), "no\n");
    ck_assert_str_eq(tw_http_api_error_type(TW_EXECUTION), "execution");
    ck_assert_str_eq(tw_http_api_error_type(TW_TIMEOUT), "timeout");
    ck_assert_str_eq(tw_http_api_error_type(TW_CANCELLED), "canceled");
    tw_http_exchange_free(exchange);
}
END_TEST

static void finish_later(void *argument)
{
    struct tw_http_exchange *exchange = argument;
    tw_clock_sleep_ns(tw_clock_system(), 20000000);
    tw_buf_append_cstr(&exchange->response.body, "late");
    tw_http_finish(exchange);
}

static enum tw_http_verdict pend(void *user, struct tw_http_exchange *exchange)
{
    struct tw_err err;
    unit_assert_ok(tw_thread_start(user, "later", finish_later, exchange, &err), &err);
    return TW_HTTP_PENDING;
}

START_TEST(waits_for_a_pending_exchange)
{
    struct tw_thread thread = {0};
    struct tw_http_router *router = tw_http_router_new();
    tw_http_route(router, TW_HTTP_GET, "/", TW_HTTP_INLINE, pend, &thread);
    struct tw_http_exchange *exchange = make(TW_HTTP_GET, "/", NULL, 0, "");
    tw_http_exchange_run(router, exchange);
    unit_assert_str(tw_buf_str(&exchange->response.body), "late");
    tw_thread_join(&thread);
    tw_http_exchange_free(exchange);
    tw_http_router_free(router);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_LOOP(finds_routes, 0, sizeof routes / sizeof routes[0]),
                                      UNIT_CASE(reads_parameters_of_form_then_query),
                                      UNIT_CASE(refuses_broken_escapes),
                                      UNIT_CASE(bounds_the_parameters),
                                      UNIT_CASE(errors_replace_what_was_begun),
                                      UNIT_CASE(waits_for_a_pending_exchange),
                                      {0}};
    return unit_run("base/http", cases);
}
