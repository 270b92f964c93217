/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/self.h"

#include "base/arena.h"
#include "base/context.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

START_TEST(stores_samples_and_metadata)
{
    static const double bounds[] = {1};
    struct tw_clock *clock = tw_clock_manual_new(1000000);
    struct tw_metrics *metrics = tw_metrics_new();
    struct tsdb_storage *storage = memory_storage_new();
    struct tw_context context;
    struct tw_err err;
    tw_context_init(&context, clock);
    tw_metric_add(tw_metrics_counter(metrics, "a_total", "path=\"q\\\"\\\\\\n\",z=\"1\"", "Help."),
                  4);
    tw_metric_observe(tw_metrics_histogram(metrics, "h_seconds", "", "Time.", bounds, 1), 0.5);
    unit_assert_ok(daemon_self_store(metrics, storage, clock, "host:1", &err), &err);
    ck_assert_uint_eq(memory_storage_sample_count(storage), 5);

    struct tsdb_selection *selection;
    struct tsdb_matcher matcher;
    unit_assert_ok(
        tsdb_matcher_init(&matcher, TSDB_MATCH_EQUAL, TW_STR("__name__"), TW_STR("a_total"), &err),
        &err);
    unit_assert_ok(tsdb_select(storage, &context, &matcher, 1, 0, 2000000, NULL, &selection, &err),
                   &err);
    ck_assert_uint_eq(tsdb_selection_count(selection), 1);
    struct wire_labels labels = tsdb_selection_labels(selection, 0);
    unit_assert_str(wire_labels_get(labels, TW_STR("job")), "tidewatchd");
    unit_assert_str(wire_labels_get(labels, TW_STR("instance")), "host:1");
    unit_assert_str(wire_labels_get(labels, TW_STR("path")), "q\"\\\n");
    unit_assert_str(wire_labels_get(labels, TW_STR("z")), "1");
    tsdb_selection_close(selection);
    tsdb_matcher_fini(&matcher);

    struct tw_arena *arena = tw_arena_new(1024);
    struct tsdb_metadata *items;
    size_t count;
    unit_assert_ok(tsdb_metadata_list(storage, &context, TW_STR(""), arena, &items, &count, &err),
                   &err);
    ck_assert_uint_eq(count, 2);
    unit_assert_str(items[0].metric, "a_total");
    unit_assert_str(items[0].type, "counter");
    unit_assert_str(items[1].metric, "h_seconds");
    unit_assert_str(items[1].help, "Time.");
    tw_arena_free(arena);
    memory_storage_free(storage);
    tw_metrics_free(metrics);
    tw_clock_manual_free(clock);
}
END_TEST

START_TEST(goes_on_after_a_failure)
{
    struct tw_metrics *metrics = tw_metrics_new();
    struct tsdb_storage *storage = memory_storage_new();
    struct daemon_self *self;
    struct tw_err err;
    tw_metric_add(tw_metrics_counter(metrics, "a_total", "", "Help."), 1);
    memory_storage_fail(storage, TW_OK, TW_NO_SPACE);
    unit_assert_ok(daemon_self_start(metrics, storage, tw_clock_system(), "h", 20, &self, &err),
                   &err);
    tw_clock_sleep_ns(tw_clock_system(), 60000000);
    ck_assert_uint_eq(memory_storage_sample_count(storage), 0);
    memory_storage_fail(storage, TW_OK, TW_OK);
    for (int i = 0; i < 200 && memory_storage_sample_count(storage) == 0; i++)
        tw_clock_sleep_ns(tw_clock_system(), 10000000);
    ck_assert_uint_gt(memory_storage_sample_count(storage), 0);
    ck_assert_ptr_null(daemon_self_stop(self));
    memory_storage_free(storage);
    tw_metrics_free(metrics);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(stores_samples_and_metadata), UNIT_CASE(goes_on_after_a_failure), {0}};
    return unit_run("daemon/self", cases);
}
