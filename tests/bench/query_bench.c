/* SPDX-License-Identifier: Apache-2.0
 *
 * query_bench: time of typical range queries over a store in memory: SERIES counters (default 1000)
 * with a sample a minute for 24 h, queried at a step of 60 s. The store's own copying is measured
 * by the first line and part of all others. Run by hand:
 *
 *   tests/bench/query_bench [SERIES]
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/context.h"
#include "query/engine.h"
#include "tests/lib/memory_storage.h"

#define SAMPLES_PER_SERIES 1440
#define ROUNDS 5

static void fill(struct tsdb_storage *storage, size_t series_count)
{
    for (size_t i = 0; i < series_count; i++) {
        char instance[32], group[32];
        double value = 0;
        snprintf(instance, sizeof instance, "host-%zu", i);
        snprintf(group, sizeof group, "g%zu", i % 100);
        for (int64_t m = 0; m < SAMPLES_PER_SERIES; m++) {
            value += (double)((i * 31 + (size_t)m * 17) % 97);
            memory_storage_add(storage, m * 60000 + (int64_t)(i % 1000), value, "__name__",
                               "requests_total", "instance", instance, "group", group, NULL);
        }
    }
}

static double run(struct query_engine *engine, const char *text)
{
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        struct tw_context context;
        struct query_result *result;
        struct tw_err err;
        tw_context_init(&context, tw_clock_system());
        int64_t started = tw_clock_thread_cpu_ns();
        if (query_range(engine, &context, tw_str(text), 600000, SAMPLES_PER_SERIES * 60000, 60000,
                        &result, &err)) {
            fprintf(stderr, "%s: %s\n", text, err.message);
            exit(1);
        }
        double ms = (double)(tw_clock_thread_cpu_ns() - started) / 1e6;
        best = ms < best ? ms : best;
        query_result_free(result);
    }
    return best;
}

int main(int argc, char **argv)
{
    static const char *const queries[] = {
        "count(requests_total offset 10y)",
        "count(requests_total)",
        "sum by (group) (requests_total)",
        "sum by (group) (rate(requests_total[5m]))",
        "max by (group) (max_over_time(requests_total[1h]))",
        "sum by (group) (avg_over_time(requests_total[1h]))",
        "topk(5, rate(requests_total[5m]))",
        "quantile(0.9, rate(requests_total[5m]))",
        "rate(requests_total[5m]) / on (instance) requests_total",
        "requests_total - requests_total offset 5m",
        "sum by (group) (rate(requests_total[5m])) / sum by (group) (rate(requests_total[1h]))",
        "requests_total and on (instance) (rate(requests_total[5m]) > 0.5)",
        "sum(rate(requests_total[5m]) > bool 0.5)",
    };
    size_t series_count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    struct tsdb_storage *storage = memory_storage_new();
    const struct query_options options = {.samples_max = UINT64_MAX,
                                          .bytes_max = UINT64_C(4) << 30};
    struct query_engine *engine = query_engine_new(storage, &options);
    fill(storage, series_count);
    printf("%zu series x %d samples, %d steps, one thread; best CPU time of %d\n", series_count,
           SAMPLES_PER_SERIES, SAMPLES_PER_SERIES - 9, ROUNDS);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        printf("%9.1f ms  %s\n", run(engine, queries[i]), queries[i]);
    query_engine_free(engine);
    memory_storage_free(storage);
    return 0;
}
