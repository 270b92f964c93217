/* SPDX-License-Identifier: Apache-2.0
 *
 * keeper_bench: what it costs to keep the forecasts of many series fresh, in a virtual clock:
 * SERIES series with a week of history, of which fresh samples come each 15 s; a rule with
 * forecast() over all of them each minute, and the keeper beside it, which takes its rest as its
 * thread does. It prints the first evaluations of the rule, then a line for each half hour: CPU
 * seconds per second by who spent them, the slowest evaluation, and how many models are how late;
 * at the end, memory.
 *
 *   keeper_bench [SERIES [MINUTES [RANGE]]]     10000, 720 and 7d
 *
 * Storing the samples is not counted. The folder is made under TMPDIR and removed.
 */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/file.h"
#include "query/engine.h"
#include "query/keeper.h"
#include "query/kept.h"
#include "tsdb/db.h"
#include "tsdb/state.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define FRESH_MS (15 * SECOND_MS)
#define RULE_MS MINUTE_MS
#define LINE_MS (30 * MINUTE_MS)
#define BATCH 5000
#define REST_PARTS 10 /* a tenth of a core: the keeper's own share */
#define FIRST_EVALUATIONS 8
#define FIRST_MS (INT64_C(20000) * TSDB_DAY_MS)

static size_t series_count;
static struct tsdb_db *db;
static struct tw_clock *wall;
static struct query_kept *kept;
static struct query_keeper *keeper;
static struct query_engine *engine;

static void check(enum tw_code code, const struct tw_err *err)
{
    if (code == TW_OK)
        return;
    fprintf(stderr, "keeper_bench: %s\n", err->message);
    exit(1);
}

/* ---- samples ---- */

static double noise(size_t i, int64_t time_ms)
{
    uint64_t x =
        (uint64_t)time_ms * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 31)) * UINT64_C(0x94d049bb133111eb);
    return (double)(x >> 40) / (double)(1 << 24) - 0.5;
}

static double load_of(size_t i, int64_t time_ms)
{
    double day = (double)time_ms / (double)TSDB_DAY_MS + (double)i / 97;
    double load =
        100 + 40 * sin(2 * M_PI * day) + 10 * cos(14 * M_PI * day) + 8 * noise(i, time_ms);
    return round(load * 100) / 100;
}

static void write_all(int64_t time_ms)
{
    static struct tsdb_sample batch[BATCH];
    static struct wire_label labels[BATCH][2];
    static char names[BATCH][24];
    struct tw_context context;
    struct tw_err err;
    tw_context_init(&context, wall);
    for (size_t first = 0; first < series_count; first += BATCH) {
        size_t count = series_count - first < BATCH ? series_count - first : BATCH;
        for (size_t k = 0; k < count; k++) {
            snprintf(names[k], sizeof names[k], "host-%zu", first + k);
            labels[k][0] = (struct wire_label){TW_STR(WIRE_METRIC_NAME), TW_STR("load")};
            labels[k][1] = (struct wire_label){TW_STR("instance"), tw_str(names[k])};
            batch[k] = (struct tsdb_sample){{labels[k], 2}, time_ms, load_of(first + k, time_ms)};
        }
        check(tsdb_append(tsdb_db_storage(db), &context, batch, count, &err), &err);
    }
}

static void write_history(int64_t range_ms)
{
    /* As far apart as the buckets of the range, so that there is no more than is learned from. */
    int64_t step_ms = (range_ms / QUERY_BUCKETS_PER_RANGE / FRESH_MS + 1) * FRESH_MS;
    struct tw_err err;
    for (int64_t ms = FIRST_MS - range_ms - range_ms / 8; ms < FIRST_MS; ms += step_ms) {
        tw_clock_manual_advance(wall, ms - tw_clock_wall_ms(wall));
        write_all(ms);
        check(tsdb_db_keep(db, &err), &err);
    }
    tw_clock_manual_advance(wall, FIRST_MS - tw_clock_wall_ms(wall));
}

/* ---- the rule and the keeper ---- */

static double evaluate(const char *rule, size_t *ret_answers)
{
    struct tw_context context;
    struct query_result *result;
    struct tw_err err;
    tw_context_init(&context, wall);
    context.principal = TW_STR("rules");
    int64_t started_ns = tw_clock_thread_cpu_ns();
    check(query_instant(engine, &context, tw_str(rule), tw_clock_wall_ms(wall), &result, &err),
          &err);
    *ret_answers = result->count;
    query_result_free(result);
    return (double)(tw_clock_thread_cpu_ns() - started_ns) / 1e9;
}

static void say_first(const char *rule)
{
    for (int i = 0; i < FIRST_EVALUATIONS; i++) {
        size_t answers;
        struct query_kept_totals totals;
        double seconds = evaluate(rule, &answers);
        query_kept_totals(kept, &totals);
        printf("evaluation %d: %6.3f s, %zu answers, %zu models\n", i + 1, seconds, answers,
               totals.models);
        /* What the keeper does until the next one. */
        double used = 0;
        while (used < (double)RULE_MS / 1000 / REST_PARTS) {
            double round = (double)query_keeper_round(keeper) / 1e9;
            used += round > 0.1 ? round : 0.1;
        }
    }
}

static void run(const char *rule, int64_t minutes)
{
    double rules = 0, rounds = 0, slowest = 0;
    int64_t keeper_at_ms = FIRST_MS;
    uint64_t fits = query_kept_fits(kept);
    struct tw_err err;
    for (int64_t ms = FRESH_MS; ms <= minutes * MINUTE_MS; ms += FRESH_MS) {
        size_t answers;
        tw_clock_manual_advance(wall, FRESH_MS);
        write_all(FIRST_MS + ms);
        check(tsdb_db_keep(db, &err), &err);
        if (ms % RULE_MS == 0) {
            double seconds = evaluate(rule, &answers);
            TW_ASSERT(answers == series_count);
            rules += seconds;
            slowest = seconds > slowest ? seconds : slowest;
        }
        while (keeper_at_ms < FIRST_MS + ms) {
            double seconds = (double)query_keeper_round(keeper) / 1e9;
            rounds += seconds;
            int64_t rest_ms = (int64_t)(seconds * 1000 * REST_PARTS);
            keeper_at_ms += rest_ms < SECOND_MS ? SECOND_MS : rest_ms;
        }
        if (ms % LINE_MS)
            continue;
        double span = (double)LINE_MS / 1000;
        printf("%5" PRId64 " min: rule %.4f, keeper %.4f, together %.4f CPU s/s; slowest "
               "evaluation %.3f s; %" PRIu64 " models learned\n",
               ms / MINUTE_MS, rules / span, rounds / span, (rules + rounds) / span, slowest,
               query_kept_fits(kept) - fits);
        fflush(stdout);
        rules = rounds = slowest = 0;
        fits = query_kept_fits(kept);
    }
}

static double memory_mb(void)
{
    char line[256];
    double kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "RssAnon:", 8) == 0)
            kilobytes = strtod(line + 8, NULL);
    if (status)
        fclose(status);
    return kilobytes / 1024;
}

int main(int argc, char **argv)
{
    series_count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
    int64_t minutes = argc > 2 ? strtol(argv[2], NULL, 10) : 720, range_ms = 0;
    const char *range = argc > 3 ? argv[3] : "7d", *parent = getenv("TMPDIR");
    char folder[4096], state_folder[4200], rule[128];
    struct tw_err err;
    snprintf(folder, sizeof folder, "%s/tidewatch-keeper.XXXXXX", parent ? parent : "/tmp");
    if (series_count == 0 || minutes <= 0 ||
        tw_duration_parse(tw_str(range), &range_ms, &err) != TW_OK || !mkdtemp(folder)) {
        fprintf(stderr, "usage: keeper_bench [SERIES [MINUTES [RANGE]]], with room under TMPDIR\n");
        return 2;
    }
    wall = tw_clock_manual_new(FIRST_MS - 2 * range_ms);
    check(tsdb_db_open(&(struct tsdb_db_options){.folder = folder, .clock = wall, .manual = true},
                       &db, &err),
          &err);
    write_history(range_ms);
    snprintf(state_folder, sizeof state_folder, "%s/state", folder);
    struct tsdb_state *state;
    check(tsdb_state_open(state_folder, &state, &err), &err);
    double before_mb = memory_mb();
    kept = query_kept_new(&(struct query_kept_options){.models_max = series_count});
    engine = query_engine_new(tsdb_db_storage(db), &(struct query_options){.kept = kept});
    const struct query_keeper_options options = {
        .kept = kept, .storage = tsdb_db_storage(db), .state = state, .clock = wall};
    check(query_keeper_new(&options, &keeper, &err), &err);
    snprintf(rule, sizeof rule, "forecast(load[%s], %" PRId64 ")", range, range_ms / 42000);
    printf("%zu series: %s\n", series_count, rule);
    say_first(rule);
    run(rule, minutes);
    struct query_kept_totals totals;
    query_kept_totals(kept, &totals);
    printf("%zu models of %.1f KiB; the process has %.1f MB more than before, %.1f KiB a model\n",
           totals.models, (double)totals.bytes / (double)totals.models / 1024,
           memory_mb() - before_mb, (memory_mb() - before_mb) * 1024 / (double)totals.models);
    query_keeper_free(keeper);
    query_engine_free(engine);
    query_kept_free(kept);
    tsdb_state_close(state);
    tsdb_db_close(db);
    tw_clock_manual_free(wall);
    check(tw_file_remove_folder(folder, &err), &err);
    return 0;
}
