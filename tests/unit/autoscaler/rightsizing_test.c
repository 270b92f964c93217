/* SPDX-License-Identifier: Apache-2.0
 *
 * Decaying histograms, and the advice through the real query engine over a store in memory.
 */
#include "config.h"

#include "autoscaler/rightsizing.h"

#include <math.h>
#include <stdlib.h>

#include "autoscaler/decaying.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define GB 1e9
static const int64_t now = 1767571200000;

static uint64_t seed = 5;

static double chance(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(seed >> 11) / 9007199254740992.0;
}

/* ---- the histogram ---- */

START_TEST(buckets_grow)
{
    struct scale_decaying histogram;
    scale_decaying_init(&histogram, 0.01, 1.05, DAY_MS);
    ck_assert_double_eq_tol(scale_decaying_end(&histogram, 0), 0.01, 1e-12);
    ck_assert_double_eq_tol(scale_decaying_end(&histogram, 0.01), 0.0205, 1e-12);
    for (int k = 0; k < 10000; k++) {
        double value = 100 * chance(), end = scale_decaying_end(&histogram, value);
        ck_assert_double_gt(end, value);
        ck_assert_double_le(end, value * 1.05 + 0.0101);
    }
    ck_assert(isnan(scale_decaying_quantile(&histogram, 0.9)));
    scale_decaying_add(&histogram, now, -1, 1);
    scale_decaying_add(&histogram, now, NAN, 1);
    scale_decaying_add(&histogram, now, 1, 0);
    ck_assert_uint_eq(histogram.samples, 0);
    scale_decaying_add(&histogram, now, 1e12, 1); /* beyond the last: its beginning */
    ck_assert(scale_decaying_quantile(&histogram, 1) > 1000);
    ck_assert_double_eq(histogram.highest, 1e12);
}
END_TEST

START_TEST(old_samples_weigh_less)
{
    struct scale_decaying histogram;
    scale_decaying_init(&histogram, 0.01, 1.05, DAY_MS);
    /* Eight of 1 core, four half-lives ago, weigh half of what one of 2 cores does now. */
    for (int k = 0; k < 8; k++)
        scale_decaying_add(&histogram, now - 4 * DAY_MS, 1, 1);
    scale_decaying_add(&histogram, now, 2, 1);
    ck_assert_double_eq_tol(scale_decaying_quantile(&histogram, 0.3),
                            scale_decaying_end(&histogram, 1), 1e-9);
    ck_assert_double_eq_tol(scale_decaying_quantile(&histogram, 0.35),
                            scale_decaying_end(&histogram, 2), 1e-9);
    /* Years later what was then is gone, and nothing overflows. */
    scale_decaying_add(&histogram, now + 4000 * DAY_MS, 3, 1);
    ck_assert_double_eq_tol(scale_decaying_quantile(&histogram, 0.001),
                            scale_decaying_end(&histogram, 3), 1e-9);
    ck_assert(isfinite(histogram.total));
}
END_TEST

struct weighed {
    double value, weight;
};

static int by_value(const void *a, const void *b)
{
    double x = ((const struct weighed *)a)->value, y = ((const struct weighed *)b)->value;
    return (x > y) - (x < y);
}

START_TEST(against_weighing_each_sample)
{
    for (int round = 0; round < 50; round++) {
        struct scale_decaying histogram;
        struct weighed samples[500];
        double total = 0;
        scale_decaying_init(&histogram, 1e7, 1.05, DAY_MS);
        for (int k = 0; k < 500; k++) {
            int64_t at = now - (int64_t)(chance() * 10 * (double)DAY_MS);
            samples[k].value = 1e7 * exp(6 * chance());
            samples[k].weight = exp2((double)(at - now) / (double)DAY_MS);
            total += samples[k].weight;
            scale_decaying_add(&histogram, at, samples[k].value, 1);
        }
        qsort(samples, 500, sizeof *samples, by_value);
        static const double quantiles[] = {0.05, 0.5, 0.9, 0.95, 1};
        for (size_t q = 0; q < 5; q++) {
            double sum = 0;
            size_t k = 0;
            while (k < 499 && (sum += samples[k].weight) < quantiles[q] * total * (1 - 1e-9))
                k++;
            double found = scale_decaying_quantile(&histogram, quantiles[q]);
            ck_assert_double_ge(found, samples[k].value);
            ck_assert_double_le(found, samples[k].value * 1.05 + 1.05e7);
        }
    }
}
END_TEST

/* ---- the advice ---- */

static struct tsdb_storage *storage;
static struct query_engine *engine;
static struct tw_clock *wall;
static struct tw_context context;
static struct tw_buf text;
static struct tw_json *answer;

static void begin(void)
{
    storage = memory_storage_new();
    engine = query_engine_new(storage, NULL);
    wall = tw_clock_manual_new(now);
    tw_context_init(&context, wall);
    tw_buf_init(&text, 1 << 20);
}

static void end(void)
{
    tw_json_free(answer);
    answer = NULL;
    tw_buf_fini(&text);
    engine = query_engine_free(engine);
    storage = memory_storage_free(storage);
    wall = tw_clock_manual_free(wall);
}

static enum tw_code ask(const struct scale_sizing_question *question, struct tw_err *err)
{
    struct tw_json_writer writer;
    tw_buf_clear(&text);
    tw_json_writer_init(&writer, &text);
    tw_json_begin_array(&writer);
    enum tw_code code = scale_sizing_answer(engine, &context, question, &writer, err);
    if (code != TW_OK)
        return code;
    tw_json_end_array(&writer);
    tw_json_free(answer);
    return tw_json_parse(tw_buf_str(&text), &answer, err);
}

static double number(size_t group, const char *resource, const char *key)
{
    return tw_json_number(
        tw_json_member(tw_json_member(tw_json_item(answer, group), resource), key), NAN);
}

START_TEST(advises)
{
    struct tw_err err = {0};
    struct scale_sizing_question question;
    begin();
    scale_sizing_question_init(&question);
    question.name = TW_STR("shop");
    question.cpu = TW_STR("cpu");
    question.memory = TW_STR("memory");
    question.cpu_request = TW_STR("cpu_request");
    question.by = TW_STR("app");
    /* web: half a core, two for an hour a day; memory peaks at 3 GB each day. api: one core. */
    for (int64_t t = now - 8 * DAY_MS; t <= now; t += 300000) {
        int64_t hour = t / HOUR_MS % 24;
        for (int pod = 0; pod < 2; pod++) {
            const char *name = pod ? "web-1" : "web-0";
            memory_storage_add(storage, t, hour == 9 ? 2 : 0.5, "__name__", "cpu", "app", "web",
                               "pod", name, NULL);
            memory_storage_add(storage, t, hour == 13 ? 3 * GB : GB, "__name__", "memory", "app",
                               "web", "pod", name, NULL);
        }
        memory_storage_add(storage, t, 1, "__name__", "cpu", "app", "api", "pod", "api-0", NULL);
    }
    memory_storage_add(storage, now, 4, "__name__", "cpu_request", "app", "web", NULL);
    unit_assert_ok(ask(&question, &err), &err);
    ck_assert_uint_eq(tw_json_count(answer), 2);
    unit_assert_str(tw_json_string(tw_json_member(tw_json_item(answer, 1), "name"), TW_STR("")),
                    "web");
    unit_assert_str(tw_json_string(tw_json_member(tw_json_item(answer, 1), "workload"), TW_STR("")),
                    "shop");
    ck_assert_int_eq(tw_json_int(tw_json_member(tw_json_item(answer, 1), "instances"), 0), 2);
    /* An hour of 24 is less than a tenth: half a core and the margin. */
    double web = number(1, "cpu", "advised");
    ck_assert_double_ge(web, 0.5 * 1.15);
    ck_assert_double_le(web, 0.5 * 1.15 * 1.05 + 0.02);
    ck_assert_double_ge(number(1, "cpu", "upper"), 0.5 * 1.15);
    ck_assert_double_eq(number(1, "cpu", "highest"), 2);
    ck_assert_double_eq(number(1, "cpu", "requested"), 4);
    ck_assert_double_eq_tol(number(1, "cpu", "change"), web / 4 - 1, 1e-9);
    /* Of memory the peaks count. */
    ck_assert_double_ge(number(1, "memory", "advised"), 3 * GB * 1.15);
    ck_assert_double_le(number(1, "memory", "advised"), 3 * GB * 1.15 * 1.06 + 2e7);
    ck_assert(isnan(number(1, "memory", "requested")));
    ck_assert_double_le(number(1, "memory", "samples"), 2 * 9);
    ck_assert_double_ge(number(0, "cpu", "advised"), 1.15);
    ck_assert_int_eq(tw_json_type(tw_json_member(tw_json_item(answer, 0), "memory")), TW_JSON_NULL);
    /* All in one, with another quantile. */
    question.by = (struct tw_str){0};
    question.cpu_quantile = 0.99;
    unit_assert_ok(ask(&question, &err), &err);
    ck_assert_uint_eq(tw_json_count(answer), 1);
    ck_assert_double_ge(number(0, "cpu", "advised"), 2 * 1.15);
    end();
}
END_TEST

START_TEST(the_newest_days_count_most)
{
    struct tw_err err = {0};
    struct scale_sizing_question question;
    begin();
    scale_sizing_question_init(&question);
    question.name = TW_STR("shop");
    question.cpu = TW_STR("cpu");
    for (int64_t t = now - 8 * DAY_MS; t <= now; t += 300000) /* a release, four days ago */
        memory_storage_add(storage, t, t < now - 4 * DAY_MS ? 4 : 1, "__name__", "cpu", NULL);
    unit_assert_ok(ask(&question, &err), &err);
    ck_assert_double_le(number(0, "cpu", "advised"), 1.15 * 1.06 + 0.02);
    question.cpu = TW_STR("cpu +");
    ck_assert_int_ne(ask(&question, &err), TW_OK);
    question.cpu = TW_STR("nothing_there");
    unit_assert_ok(ask(&question, &err), &err);
    ck_assert_uint_eq(tw_json_count(answer), 0);
    end();
}
END_TEST

START_TEST(is_read)
{
    static const char *const wrong[][2] = {
        {"a: {rightsizing: {by: pod}}", "cpu or memory"},
        {"a: {rightsizing: {cpu: 'rate('}}", "cpu:"},
        {"a: {rightsizing: {cpu: x, margin: -1}}", "margin"},
        {"a: {rightsizing: {cpu: x, history: 1m}}", "1h to 90d"},
        {"a: {rightsizing: {cpus: x}}", "cpus"},
    };
    struct tw_arena *arena = tw_arena_new(1024);
    struct tw_yaml *root = NULL;
    struct tw_err err = {0};
    struct scale_sizing_question question;
    bool given;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        unit_assert_ok(tw_yaml_parse(arena, "t.yml", tw_str(wrong[i][0]), &root, &err), &err);
        unit_assert_code(scale_sizing_parse(arena, "t.yml", tw_yaml_member(root, "a"), TW_STR("a"),
                                            &question, &given, &err),
                         TW_CONFIG);
        unit_assert_contains(err.message, wrong[i][1]);
    }
    unit_assert_ok(
        tw_yaml_parse(arena, "t.yml",
                      TW_STR("a: {rightsizing: {cpu: x, by: pod, margin: 0.3, history: 4d}}"),
                      &root, &err),
        &err);
    unit_assert_ok(scale_sizing_parse(arena, "t.yml", tw_yaml_member(root, "a"), TW_STR("a"),
                                      &question, &given, &err),
                   &err);
    ck_assert(given);
    unit_assert_str(question.by, "pod");
    ck_assert_double_eq(question.margin, 0.3);
    ck_assert_int_eq(question.history_ms, 4 * DAY_MS);
    tw_arena_free(arena);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(buckets_grow),
                                      UNIT_CASE(old_samples_weigh_less),
                                      UNIT_CASE(against_weighing_each_sample),
                                      UNIT_CASE(advises),
                                      UNIT_CASE(the_newest_days_count_most),
                                      UNIT_CASE(is_read),
                                      {0}};
    return unit_run("autoscaler/rightsizing", cases);
}
