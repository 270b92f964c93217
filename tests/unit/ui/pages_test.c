/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs with and without embedded pages; the cases that need them pass at once when there are none.
 */
#include "config.h"

#include <stdlib.h>

#include "base/clock.h"
#include "tests/lib/unit.h"
#include "ui/files.h"
#include "ui/pages.h"

static struct tw_http_router *router;

static struct tw_http_exchange *get(const char *target, const struct tw_http_pair *headers,
                                    size_t count)
{
    struct tw_http_exchange *exchange;
    struct tw_err err;
    unit_assert_ok(tw_http_exchange_new(TW_HTTP_GET, tw_str(target), headers, count,
                                        (struct tw_str){NULL, 0}, tw_clock_system(), &exchange,
                                        &err),
                   &err);
    tw_http_exchange_run(router, exchange);
    return exchange;
}

static struct tw_str header(const struct tw_http_exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->response.header_count; i++)
        if (tw_str_is(exchange->response.headers[i].name, name))
            return exchange->response.headers[i].value;
    return (struct tw_str){NULL, 0};
}

static void set_up(void)
{
    router = tw_http_router_new();
    ui_pages_route(router);
}

static void tear_down(void)
{
    router = tw_http_router_free(router);
}

static bool has_pages(void)
{
    return ui_files[0].path != NULL;
}

START_TEST(start_page_or_advice)
{
    set_up();
    struct tw_http_exchange *exchange = get("/", NULL, 0);
    ck_assert_int_eq(exchange->response.status, 200);
    struct tw_str body = exchange->response.constant;
    ck_assert_uint_ne(tw_str_find(body, has_pages() ? TW_STR("<!doctype html>") : TW_STR("npm")),
                      SIZE_MAX);
    tw_http_exchange_free(exchange);
    tear_down();
}
END_TEST

START_TEST(addresses_of_pages_give_the_start_page)
{
    static const char *const targets[] = {"/hosts",       "/hosts/web-1%2Fa", "/graph?g0.expr=up",
                                          "/query?x=1",   "/forecasts",       "/alerts",
                                          "/scalers/a/b", "/status"};
    set_up();
    struct tw_http_exchange *start = get("/", NULL, 0);
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct tw_http_exchange *exchange = get(targets[i], NULL, 0);
        ck_assert_msg(exchange->response.status == 200, "%s", targets[i]);
        ck_assert(tw_str_equal(exchange->response.constant, start->response.constant));
        tw_http_exchange_free(exchange);
    }
    struct tw_http_exchange *exchange = get("/api/v1/nothing", NULL, 0);
    ck_assert_int_eq(exchange->response.status, 404);
    tw_http_exchange_free(exchange);
    tw_http_exchange_free(start);
    tear_down();
}
END_TEST

static const struct {
    const char *accept;
    bool gzip;
} encodings[] = {
    {"gzip", true},
    {"GZIP", true},
    {"deflate, gzip;q=0.5, br", true},
    {"gzip;q=0", false},
    {"gzip; q=0.000, *", false},
    {"*", true},
    {"*;q=0", false},
    {"identity", false},
    {"", false},
    {",;,", false},
};

START_TEST(compresses_when_the_client_can)
{
    if (!has_pages())
        return;
    set_up();
    struct tw_http_pair accept = {TW_STR("accept-encoding"), tw_str(encodings[_i].accept)};
    struct tw_http_exchange *exchange = get("/assets/app.js", &accept, 1);
    bool gzip = tw_str_is(header(exchange, "Content-Encoding"), "gzip");
    ck_assert_msg(gzip == encodings[_i].gzip, "%s", encodings[_i].accept);
    unit_assert_str(header(exchange, "Vary"), "Accept-Encoding");
    bool magic = tw_str_starts(exchange->response.constant, TW_STR("\x1f\x8b"));
    ck_assert_int_eq(magic, gzip);
    tw_http_exchange_free(exchange);
    tear_down();
}
END_TEST

START_TEST(known_content_is_not_sent_again)
{
    if (!has_pages())
        return;
    set_up();
    struct tw_http_exchange *first = get("/", NULL, 0);
    struct tw_str etag = header(first, "ETag");
    ck_assert_uint_gt(etag.size, 2);
    struct tw_http_pair headers[2] = {{TW_STR("If-None-Match"), etag},
                                      {TW_STR("Accept-Encoding"), TW_STR("gzip")}};
    struct tw_http_exchange *again = get("/", headers, 1);
    ck_assert_int_eq(again->response.status, 304);
    ck_assert_uint_eq(again->response.constant.size, 0);
    ck_assert(tw_str_equal(header(again, "ETag"), etag));
    tw_http_exchange_free(again);

    /* The compressed form is another representation, with a tag of its own. */
    again = get("/", headers, 2);
    ck_assert_int_eq(again->response.status, 200);
    tw_http_exchange_free(again);

    headers[0].value = tw_arena_format(first->arena, "\"x\", W/%.*s", TW_STR_ARG(etag));
    again = get("/", headers, 1);
    ck_assert_int_eq(again->response.status, 304);
    tw_http_exchange_free(again);
    tw_http_exchange_free(first);
    tear_down();
}
END_TEST

START_TEST(caching_and_safety_headers)
{
    if (!has_pages())
        return;
    set_up();
    struct tw_http_exchange *page = get("/hosts", NULL, 0);
    unit_assert_str(header(page, "Cache-Control"), "no-cache");
    ck_assert(tw_str_starts(header(page, "Content-Security-Policy"), TW_STR("default-src 'none'")));
    ck_assert_str_eq(page->response.content_type, "text/html;charset=utf-8");
    tw_http_exchange_free(page);
    struct tw_http_exchange *script = get("/assets/app.js?v=1", NULL, 0);
    unit_assert_str(header(script, "Cache-Control"), "public, max-age=31536000, immutable");
    ck_assert_str_eq(script->response.content_type, "text/javascript;charset=utf-8");
    tw_http_exchange_free(script);
    tear_down();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(start_page_or_advice),
        UNIT_CASE(addresses_of_pages_give_the_start_page),
        UNIT_LOOP(compresses_when_the_client_can, 0, sizeof encodings / sizeof encodings[0]),
        UNIT_CASE(known_content_is_not_sent_again),
        UNIT_CASE(caching_and_safety_headers),
        {0},
    };
    return unit_run("ui/pages", cases);
}
