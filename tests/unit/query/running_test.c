/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/http.h"
#include "query/api.h"
#include "query/cost.h"
#include "query/engine.h"
#include "query/running.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

#define SERIES 200
#define MINUTES 120

static struct tw_err err;

struct seen {
    struct query_account accounts[8];
    char texts[8][QUERY_JOURNAL_BYTES], origins[8][64];
    enum tw_code codes[8];
    size_t count;
};

static void see(void *user, const struct query_account *account)
{
    struct seen *seen = user;
    ck_assert_uint_lt(seen->count, 8);
    seen->accounts[seen->count] = *account;
    snprintf(seen->texts[seen->count], sizeof seen->texts[0], "%.*s", TW_STR_ARG(account->text));
    snprintf(seen->origins[seen->count], sizeof seen->origins[0], "%.*s",
             TW_STR_ARG(account->origin));
    seen->count++;
}

static void see_end(void *user, const struct query_account *account, enum tw_code code)
{
    struct seen *seen = user;
    seen->codes[seen->count] = code;
    see(user, account);
}

static struct query_running *make(const char *journal, uint64_t bytes_max, struct seen *ended)
{
    const struct query_running_options options = {.bytes_max = bytes_max,
                                                  .journal = journal,
                                                  .clock = tw_clock_system(),
                                                  .ended = ended ? see_end : NULL,
                                                  .user = ended};
    struct query_running *running = NULL;
    unit_assert_ok(query_running_new(&options, &running, &err), &err);
    return running;
}

START_TEST(lists_in_order_of_age)
{
    struct seen seen = {0}, ended = {0};
    struct query_running *running = make(NULL, 0, &ended);
    struct query_ticket tickets[3];
    const char *const texts[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++)
        query_ticket_begin(&tickets[i], running,
                           &(struct query_account){.text = tw_str(texts[i]),
                                                   .origin = TW_STR("10.0.0.1"),
                                                   .step_ms = (int64_t)i});
    unit_assert_ok(query_ticket_report(&tickets[2], 70, 4096, &err), &err);
    query_ticket_end(&tickets[1], TW_OK, 0);
    query_running_each(running, see, &seen);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_str_eq(seen.texts[0], "a");
    ck_assert_str_eq(seen.texts[1], "c");
    ck_assert_str_eq(seen.origins[1], "10.0.0.1");
    ck_assert_uint_eq(seen.accounts[1].samples, 70);
    ck_assert_uint_eq(seen.accounts[1].bytes, 4096);
    ck_assert_uint_gt(seen.accounts[1].id, seen.accounts[0].id);
    query_ticket_end(&tickets[0], TW_OK, 0);
    query_ticket_end(&tickets[2], TW_TIMEOUT, 0);
    ck_assert_uint_eq(ended.count, 3);
    ck_assert_int_eq(ended.codes[2], TW_TIMEOUT);
    ck_assert_uint_eq(ended.accounts[2].bytes, 4096); /* the most that it held */
    seen.count = 0;
    query_running_each(running, see, &seen);
    ck_assert_uint_eq(seen.count, 0);
    query_running_free(running);
}
END_TEST

START_TEST(cancels_one_only)
{
    struct query_running *running = make(NULL, 0, NULL);
    struct query_ticket first, second;
    query_ticket_begin(&first, running, &(struct query_account){.text = TW_STR("a")});
    query_ticket_begin(&second, running, &(struct query_account){.text = TW_STR("b")});
    ck_assert(query_running_cancel(running, first.account.id));
    ck_assert(!query_running_cancel(running, 99));
    unit_assert_code(query_ticket_report(&first, 0, 0, &err), TW_CANCELLED);
    unit_assert_ok(query_ticket_report(&second, 0, 0, &err), &err);
    query_ticket_end(&first, TW_CANCELLED, 0);
    ck_assert(!query_running_cancel(running, first.account.id));
    query_ticket_end(&second, TW_OK, 0);
    query_running_free(running);
}
END_TEST

START_TEST(shares_one_budget)
{
    struct query_running *running = make(NULL, 1000, NULL);
    struct query_ticket first, second;
    query_ticket_begin(&first, running, &(struct query_account){.text = TW_STR("a")});
    query_ticket_begin(&second, running, &(struct query_account){.text = TW_STR("b")});
    unit_assert_ok(query_ticket_report(&first, 0, 700, &err), &err);
    unit_assert_code(query_ticket_report(&second, 0, 400, &err), TW_OVERLOAD);
    unit_assert_contains(err.message, "1000 bytes");
    query_ticket_end(&second, TW_OVERLOAD, 0);
    query_ticket_end(&first, TW_OK, 600); /* the result is still to be sent */
    query_ticket_begin(&second, running, &(struct query_account){.text = TW_STR("b")});
    unit_assert_code(query_ticket_report(&second, 0, 500, &err), TW_OVERLOAD);
    unit_assert_ok(query_ticket_report(&second, 0, 300, &err), &err); /* it gave some back */
    query_running_return(running, 600);
    unit_assert_ok(query_ticket_report(&second, 0, 900, &err), &err);
    query_ticket_end(&second, TW_OK, 0);
    query_running_free(running);
}
END_TEST

/* The file is copied while a query runs: what a process that broke off would leave. */
START_TEST(journal_tells_what_broke_off)
{
    char *path = tw_file_join(unit_folder(), "queries.active");
    struct query_running *running = make(path, 0, NULL);
    struct query_ticket done, broken, long_one;
    char text[3000];
    memset(text, 'x', sizeof text);
    query_ticket_begin(&done, running, &(struct query_account){.text = TW_STR("up")});
    query_ticket_begin(
        &broken, running,
        &(struct query_account){.text = TW_STR("sum(up) +\n1"), .origin = TW_STR("10.1.2.3")});
    query_ticket_begin(&long_one, running, &(struct query_account){.text = {text, sizeof text}});
    query_ticket_end(&done, TW_OK, 0);
    struct tw_buf left;
    tw_buf_init(&left, 1 << 20);
    unit_assert_ok(tw_file_read(path, &left, &err), &err);
    query_ticket_end(&broken, TW_OK, 0);
    query_ticket_end(&long_one, TW_OK, 0);
    query_running_free(running);

    struct seen seen = {0};
    running = make(path, 0, NULL);
    query_running_each_broken_off(running, see, &seen);
    ck_assert_uint_eq(seen.count, 0); /* all had ended */
    query_running_free(running);

    unit_assert_ok(tw_file_replace(path, tw_buf_str(&left), 0644, &err), &err);
    running = make(path, 0, NULL);
    query_running_each_broken_off(running, see, &seen);
    ck_assert_uint_eq(seen.count, 2);
    ck_assert_str_eq(seen.texts[0], "sum(up) +\n1");
    ck_assert_str_eq(seen.origins[0], "10.1.2.3");
    ck_assert_int_gt(seen.accounts[0].started_ms, 0);
    ck_assert_uint_gt(strlen(seen.texts[1]), 900);
    query_running_free(running);

    unit_assert_ok(tw_file_replace(path, TW_STR("nonsense"), 0644, &err), &err);
    running = make(path, 0, NULL);
    seen.count = 0;
    query_running_each_broken_off(running, see, &seen);
    ck_assert_uint_eq(seen.count, 0);
    query_running_free(running);
    tw_buf_fini(&left);
    free(path);
}
END_TEST

/* ---- with an engine ---- */

static struct tsdb_storage *filled(void)
{
    struct tsdb_storage *storage = memory_storage_new();
    for (int i = 0; i < SERIES; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        for (int m = 0; m < MINUTES; m++)
            memory_storage_add(storage, m * 60000, m, "__name__", "m", "i", name, NULL);
    }
    return storage;
}

START_TEST(engine_keeps_account)
{
    struct seen ended = {0};
    struct query_running *running = make(NULL, 0, &ended);
    struct tsdb_storage *storage = filled();
    struct query_engine *engine =
        query_engine_new(storage, &(struct query_options){.running = running});
    struct tw_context context;
    struct query_result *result;
    tw_context_init(&context, tw_clock_system());
    context.principal = TW_STR("rules");
    unit_assert_ok(
        query_range(engine, &context, TW_STR("rate(m[5m])"), 600000, 1200000, 60000, &result, &err),
        &err);
    ck_assert_uint_eq(ended.count, 1);
    ck_assert_str_eq(ended.texts[0], "rate(m[5m])");
    ck_assert_str_eq(ended.origins[0], "rules");
    ck_assert_int_eq(ended.accounts[0].step_ms, 60000);
    ck_assert_uint_gt(ended.accounts[0].bytes, SERIES * 11 * sizeof(double));
    ck_assert_uint_eq(ended.accounts[0].samples, result->samples_read);
    query_result_free(result);
    query_engine_free(engine);
    query_running_free(running);

    running = make(NULL, 100000, NULL); /* hardly enough for the labels */
    engine = query_engine_new(storage, &(struct query_options){.running = running});
    unit_assert_code(query_range(engine, &context, TW_STR("sort(m) + m + m"), 600000, 6000000,
                                 60000, &result, &err),
                     TW_OVERLOAD);
    query_engine_free(engine);
    query_running_free(running);
    memory_storage_free(storage);
}
END_TEST

static void estimate(struct query_engine *engine, const char *text, int64_t start_ms,
                     int64_t end_ms, int64_t step_ms, struct tw_arena *arena,
                     struct query_cost *ret)
{
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    unit_assert_ok(query_cost_estimate(engine, &context, tw_str(text), start_ms, end_ms, step_ms,
                                       arena, ret, &err),
                   &err);
}

START_TEST(cost_is_told_before)
{
    struct tsdb_storage *storage = filled();
    struct query_engine *engine = query_engine_new(storage, NULL);
    struct tw_arena *arena = tw_arena_new(4096);
    struct query_cost cost;
    estimate(engine, "rate(m[10m]) / on (i) m{i=~\"1.\"} offset 5m", 3600000, 7200000, 60000, arena,
             &cost);
    ck_assert_uint_eq(cost.steps, 61);
    ck_assert_uint_eq(cost.selector_count, 2);
    unit_assert_str(cost.selectors[0].text, "m[10m]");
    ck_assert_uint_eq(cost.selectors[0].series, SERIES);
    ck_assert_uint_eq(cost.selectors[0].samples, SERIES * 69);
    ck_assert_int_eq(cost.selectors[0].start_ms, 3000000);
    ck_assert_uint_eq(cost.selectors[1].series, 10);
    ck_assert_int_eq(cost.selectors[1].end_ms, 6900000);
    ck_assert_uint_eq(cost.series, SERIES + 10);
    ck_assert_uint_gt(cost.bytes, SERIES * 61 * sizeof(double));
    estimate(engine, "max_over_time(sum(m)[30m:1m])", 3600000, 3600000, 0, arena, &cost);
    ck_assert_uint_eq(cost.steps, 1);
    ck_assert_int_eq(cost.selectors[0].start_ms, 3600000 - 30 * 60000 - 300000);
    estimate(engine,
             "sum(m{i=\"1\"}) / on (i) sum by (i) (m) + sum(rate(m[5m])) / sum(rate(m[5m]))",
             3600000, 3600000, 0, arena, &cost);
    ck_assert_uint_eq(cost.shared_count, 1);
    unit_assert_str(cost.shared[0].text, "sum(rate(m[5m]))");
    ck_assert_uint_eq(cost.shared[0].places, 2);
    estimate(engine, "m{i=\"1\"} / on (i) sum by (i) (m offset 1m)", 3600000, 3600000, 0, arena,
             &cost);
    ck_assert_uint_eq(cost.selectors[1].series, 1);
    unit_assert_str(cost.selectors[1].text, "m offset 1m");
    unit_assert_str(cost.selectors[1].read_as, "m{i=\"1\"} offset 1m");
    estimate(engine, "1 + vector(2)", 0, 0, 0, arena, &cost);
    ck_assert_uint_eq(cost.samples, 0);
    estimate(engine, "nothing", 0, 0, 0, arena, &cost);
    ck_assert_uint_eq(cost.series, 0);
    tw_arena_free(arena);
    query_engine_free(engine);
    memory_storage_free(storage);
}
END_TEST

static struct tw_http_exchange *call(struct tw_http_router *router, enum tw_http_method method,
                                     const char *target)
{
    struct tw_http_exchange *exchange;
    unit_assert_ok(tw_http_exchange_new(method, tw_str(target), NULL, 0, (struct tw_str){"", 0},
                                        tw_clock_system(), &exchange, &err),
                   &err);
    tw_http_exchange_run(router, exchange);
    tw_buf_append_char(&exchange->response.body, '\0');
    return exchange;
}

static void expect(struct tw_http_router *router, enum tw_http_method method, const char *target,
                   int status, const char *part)
{
    struct tw_http_exchange *exchange = call(router, method, target);
    ck_assert_int_eq(exchange->response.status, status);
    unit_assert_contains(exchange->response.body.data, part);
    tw_http_exchange_free(exchange);
}

START_TEST(api_lists_and_cancels)
{
    struct query_running *running = make(NULL, 0, NULL);
    struct tsdb_storage *storage = filled();
    struct query_engine *engine =
        query_engine_new(storage, &(struct query_options){.running = running});
    struct tw_http_router *router = tw_http_router_new();
    struct query_ticket ticket;
    char target[64];
    query_api_route(router, engine);
    expect(router, TW_HTTP_GET, "/api/v1/queries", 200, "\"data\":[]");
    query_ticket_begin(&ticket, running,
                       &(struct query_account){.text = TW_STR("sum(\"x\")"),
                                               .origin = TW_STR("10.0.0.9"),
                                               .start_ms = 1500,
                                               .end_ms = 2000,
                                               .step_ms = 250});
    expect(router, TW_HTTP_GET, "/api/v1/queries", 200,
           "\"query\":\"sum(\\\"x\\\")\",\"client\":\"10.0.0.9\",\"start\":1.500,\"end\":2,"
           "\"step\":0.25");
    expect(router, TW_HTTP_DELETE, "/api/v1/queries/77", 404, "no query with the id");
    expect(router, TW_HTTP_DELETE, "/api/v1/queries/x", 404, "/api/v1/queries lists them");
    snprintf(target, sizeof target, "/api/v1/queries/%d/cancel", (int)ticket.account.id);
    expect(router, TW_HTTP_POST, target, 200, "success");
    unit_assert_code(query_ticket_report(&ticket, 0, 0, &err), TW_CANCELLED);
    query_ticket_end(&ticket, TW_CANCELLED, 0);
    expect(router, TW_HTTP_GET, "/api/v1/query_cost?query=m&start=0&end=600&step=60", 200,
           "\"series\":200,\"samples\":2200,");
    expect(router, TW_HTTP_GET, "/api/v1/query_cost?query=m%5B&time=0", 400, "parse error");
    expect(router, TW_HTTP_GET, "/api/v1/query_cost?query=m&start=9&end=0&step=60", 400, "end");
    expect(router, TW_HTTP_GET, "/api/v1/features", 200, "\"promql_functions\":{\"abs\":true");
    expect(router, TW_HTTP_GET, "/api/v1/features", 200, "\"mad_over_time\":false");
    tw_http_router_free(router);
    query_engine_free(engine);
    query_running_free(running);
    memory_storage_free(storage);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(lists_in_order_of_age), UNIT_CASE(cancels_one_only),
        UNIT_CASE(shares_one_budget),     UNIT_CASE(journal_tells_what_broke_off),
        UNIT_CASE(engine_keeps_account),  UNIT_CASE(cost_is_told_before),
        UNIT_CASE(api_lists_and_cancels), {0}};
    return unit_run("query/running", cases);
}
