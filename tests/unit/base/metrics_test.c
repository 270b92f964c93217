/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/metrics.h"

#include "base/thread.h"
#include "tests/lib/unit.h"

static double seven(void *user)
{
    (void)user;
    return 7;
}

START_TEST(writes_the_text_format)
{
    static const double bounds[] = {0.1, 1};
    struct tw_metrics *metrics = tw_metrics_new();
    struct tw_metric *histogram =
        tw_metrics_histogram(metrics, "h_seconds", "route=\"/x\"", "Time.", bounds, 2);
    struct tw_metric *counter =
        tw_metrics_counter(metrics, "b_total", "k=\"2\"", "Back\\slash\nline");
    tw_metric_add(tw_metrics_counter(metrics, "b_total", "k=\"1\"", "unused"), 5);
    tw_metric_add(counter, 1);
    tw_metric_add_double(counter, 0.5);
    tw_metric_set(tw_metrics_gauge(metrics, "a", "", "First."), -1.25);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "c", "", "Asked.", seven, NULL);
    tw_metric_observe(histogram, 0.1);
    tw_metric_observe(histogram, 0.5);
    tw_metric_observe(histogram, 30);
    struct tw_buf text;
    tw_buf_init(&text, 1 << 16);
    tw_metrics_write(metrics, &text);
    unit_assert_str(tw_buf_str(&text),
                    "# HELP a First.\n# TYPE a gauge\na -1.25\n"
                    "# HELP b_total Back\\\\slash\\nline\n# TYPE b_total counter\n"
                    "b_total{k=\"2\"} 1.5\nb_total{k=\"1\"} 5\n"
                    "# HELP c Asked.\n# TYPE c gauge\nc 7\n"
                    "# HELP h_seconds Time.\n# TYPE h_seconds histogram\n"
                    "h_seconds_bucket{route=\"/x\",le=\"0.1\"} 1\n"
                    "h_seconds_bucket{route=\"/x\",le=\"1\"} 2\n"
                    "h_seconds_bucket{route=\"/x\",le=\"+Inf\"} 3\n"
                    "h_seconds_sum{route=\"/x\"} 30.6\n"
                    "h_seconds_count{route=\"/x\"} 3\n");
    tw_buf_fini(&text);
    tw_metrics_free(metrics);
}
END_TEST

START_TEST(registering_again_gives_the_same)
{
    struct tw_metrics *metrics = tw_metrics_new();
    struct tw_metric *first = tw_metrics_counter(metrics, "x_total", "", "X.");
    ck_assert_ptr_eq(first, tw_metrics_counter(metrics, "x_total", "", "X."));
    ck_assert_ptr_ne(first, tw_metrics_counter(metrics, "x_total", "a=\"1\"", "X."));
    tw_metrics_free(metrics);
}
END_TEST

START_TEST(works_without_a_registry)
{
    struct tw_metric *none = tw_metrics_counter(NULL, "x_total", "", "X.");
    ck_assert_ptr_null(none);
    tw_metric_add(none, 1);
    tw_metric_set(none, 1);
    tw_metric_observe(none, 1);
    tw_metrics_callback(NULL, TW_METRIC_GAUGE, "x", "", "X.", seven, NULL);
    ck_assert(tw_metric_value(none) == 0);
}
END_TEST

static void add_many(void *argument)
{
    for (int i = 0; i < 20000; i++) {
        tw_metric_add(argument, 1);
        tw_metric_add_double(argument, 0.25);
    }
}

START_TEST(counts_from_many_threads)
{
    struct tw_metrics *metrics = tw_metrics_new();
    struct tw_metric *counter = tw_metrics_counter(metrics, "x_total", "", "X.");
    struct tw_thread threads[4] = {{0}};
    struct tw_err err;
    for (int i = 0; i < 4; i++)
        unit_assert_ok(tw_thread_start(&threads[i], "adder", add_many, counter, &err), &err);
    for (int i = 0; i < 4; i++)
        tw_thread_join(&threads[i]);
    ck_assert(tw_metric_value(counter) == 100000);
    tw_metrics_free(metrics);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(writes_the_text_format),
                                      UNIT_CASE(registering_again_gives_the_same),
                                      UNIT_CASE(works_without_a_registry),
                                      UNIT_CASE(counts_from_many_threads),
                                      {0}};
    return unit_run("base/metrics", cases);
}
