/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "query/keeper.h"
#include "query/keeping.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"
#include "tsdb/state.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define NOW (20 * DAY + 7 * HOUR + 13 * MINUTE)
#define SERIES 4

static struct tsdb_storage *storage;
static struct tw_clock *now_clock;
static struct tw_metrics *metrics;
static struct tsdb_state *state;
static struct query_kept *kept;
static struct query_keeper *keeper;
static struct query_engine *engine, *plain; /* plain: nothing is kept */
static struct tw_context within, outside;
static int64_t filled_ms;
static char folder[64];
static struct tw_err err;

static double load_at(int64_t time_ms, int i)
{
    double day = (double)time_ms / DAY;
    return 100 + i + 60 * sin(2 * M_PI * day) + 8 * (fmod(day * 7919.13, 1.0) - 0.5);
}

static void fill_until(int64_t until_ms, int series)
{
    for (; filled_ms <= until_ms; filled_ms += 5 * MINUTE)
        for (int i = 0; i < series; i++) {
            char name[8];
            snprintf(name, sizeof name, "%d", i);
            memory_storage_add(storage, filled_ms, load_at(filled_ms, i), "__name__", "load", "i",
                               name, NULL);
        }
}

static void begin_keeper(size_t models_max)
{
    metrics = tw_metrics_new();
    kept =
        query_kept_new(&(struct query_kept_options){.models_max = models_max, .metrics = metrics});
    const struct query_options options = {.kept = kept};
    engine = query_engine_new(storage, &options);
    const struct query_keeper_options keeping = {
        .kept = kept, .storage = storage, .state = state, .clock = now_clock, .metrics = metrics};
    unit_assert_ok(query_keeper_new(&keeping, &keeper, &err), &err);
}

static void end_keeper(void)
{
    query_keeper_free(keeper);
    query_engine_free(engine);
    query_kept_free(kept);
    tw_metrics_free(metrics);
}

static void begin(size_t models_max)
{
    strcpy(folder, "/tmp/keeper_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    storage = memory_storage_new();
    now_clock = tw_clock_manual_new(NOW);
    tw_context_init(&within, now_clock);
    tw_context_init(&outside, now_clock);
    within.principal = TW_STR("rules");
    outside.origin = TW_STR("127.0.0.1");
    unit_assert_ok(tsdb_state_open(folder, &state, &err), &err);
    plain = query_engine_new(storage, NULL);
    begin_keeper(models_max);
    filled_ms = 0;
    fill_until(NOW, SERIES);
}

static void end(void)
{
    char command[128];
    end_keeper();
    query_engine_free(plain);
    tsdb_state_close(state);
    tw_clock_manual_free(now_clock);
    memory_storage_free(storage);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static struct query_result *ask(struct query_engine *which, struct tw_context *context,
                                const char *text)
{
    struct query_result *result;
    unit_assert_ok(
        query_instant(which, context, tw_str(text), tw_clock_wall_ms(now_clock), &result, &err),
        &err);
    return result;
}

/* What is kept says what is learned now says, but for a share of it. */
static void assert_within(struct tw_context *context, const char *text, size_t count, double share)
{
    struct query_result *a = ask(engine, context, text), *b = ask(plain, context, text);
    ck_assert_uint_eq(a->count, count);
    ck_assert_uint_eq(b->count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert(wire_labels_equal(a->series[i].labels, b->series[i].labels));
        double value = a->series[i].points[0].value, wanted = b->series[i].points[0].value;
        double off = share * fmax(fabs(wanted), 1);
        ck_assert_msg(fabs(value - wanted) <= off, "%s: %g, not %g", text, value, wanted);
    }
    query_result_free(a);
    query_result_free(b);
}

/* The same; but in the five-day ranges, whose epoch begins meanwhile, only about the same. */
static void assert_same(struct tw_context *context, const char *text, size_t count)
{
    assert_within(context, text, count, strstr(text, "[5d") ? 0.02 : 0);
}

static void pass(int64_t ms)
{
    tw_clock_manual_advance(now_clock, ms);
    fill_until(tw_clock_wall_ms(now_clock), SERIES);
}

static size_t models(void)
{
    struct query_kept_totals totals;
    query_kept_totals(kept, &totals);
    ck_assert_uint_le(totals.bytes, totals.models * (FORECAST_MODEL_BYTES_MAX + 1024));
    return totals.models;
}

static const char *const texts[] = {
    "forecast(load[7d], 4h)",
    "forecast_quantile(0.95, load[7d], 4h)",
    "anomaly_score(load[7d])",
    "forecast(avg_over_time(load[10m])[5d:5m], 1h)",
    "forecast(sum by (i) (load)[5d:5m], 1h)",
};
#define TEXTS (sizeof texts / sizeof *texts)

START_TEST(what_is_kept_answers_alike)
{
    begin(0);
    for (int step = 0; step < 40; step++) {
        /* New epochs: what is late is learned by the keeper. */
        for (size_t t = 0; t < TEXTS; t++)
            query_result_free(ask(engine, &within, texts[t]));
        query_keeper_round(keeper);
        for (size_t t = 0; t < TEXTS; t++)
            assert_same(&within, texts[t], SERIES);
        ck_assert_uint_eq(models(), 4 * SERIES); /* forecast and its quantile share theirs */
        pass(step % 3 ? 4 * MINUTE : 17 * MINUTE);
    }
    end();
}
END_TEST

START_TEST(kept_models_read_little)
{
    begin(0);
    for (size_t t = 0; t < TEXTS; t++) {
        query_result_free(ask(engine, &within, texts[t]));
        pass(5 * MINUTE);
        struct query_result *first = ask(plain, &within, texts[t]);
        struct query_result *again = ask(engine, &within, texts[t]);
        ck_assert_uint_lt(again->samples_read * 50, first->samples_read);
        query_result_free(first);
        query_result_free(again);
    }
    end();
}
END_TEST

START_TEST(others_read_and_change_nothing)
{
    begin(0);
    for (size_t t = 0; t < TEXTS; t++)
        assert_same(&outside, texts[t], SERIES);
    ck_assert_uint_eq(models(), 0);
    for (size_t t = 0; t < TEXTS; t++)
        query_result_free(ask(engine, &within, texts[t]));
    pass(13 * MINUTE);
    for (size_t t = 0; t < TEXTS; t++)
        assert_same(&outside, texts[t], SERIES);
    /* Had they told the models what came, an earlier step could not be answered by them. */
    struct query_result *earlier;
    unit_assert_ok(
        query_instant(engine, &outside, tw_str(texts[0]), NOW + 6 * MINUTE, &earlier, &err), &err);
    ck_assert_uint_lt(earlier->samples_read, 100);
    query_result_free(earlier);
    end();
}
END_TEST

START_TEST(new_and_ended_series)
{
    begin(0);
    assert_same(&within, texts[0], SERIES);
    assert_same(&within, texts[3], SERIES);
    for (int64_t t = NOW - 2 * DAY; t <= NOW; t += 5 * MINUTE)
        memory_storage_add(storage, t, load_at(t, 9), "__name__", "load", "i", "9", NULL);
    assert_same(&within, texts[0], SERIES + 1);
    assert_same(&within, texts[3], SERIES + 1);
    tw_clock_manual_advance(now_clock, 3 * HOUR); /* a gap */
    fill_until(NOW + 3 * HOUR, 1);
    assert_same(&within, texts[0], SERIES + 1);
    tw_clock_manual_advance(now_clock, 9 * HOUR); /* the others ended */
    fill_until(NOW + 12 * HOUR, 1);
    query_result_free(ask(engine, &within, texts[0]));
    query_keeper_round(keeper);
    assert_same(&within, texts[0], 1);
    end();
}
END_TEST

START_TEST(keeper_learns_anew_in_time)
{
    begin(0);
    for (int hour = 0; hour < 30; hour++) {
        for (size_t t = 0; t < TEXTS; t++)
            query_result_free(ask(engine, &within, texts[t]));
        query_keeper_round(keeper);
        pass(HOUR);
    }
    for (size_t t = 0; t < TEXTS; t++) {
        struct query_result *again = ask(engine, &within, texts[t]);
        ck_assert_uint_eq(again->count, SERIES);
        ck_assert_uint_lt(again->samples_read, 1000); /* none had to be learned by a query */
        query_result_free(again);
    }
    query_keeper_round(keeper);
    for (size_t t = 0; t < TEXTS; t++)
        /* A model that did badly was learned anew within its epoch. */
        assert_within(&within, texts[t], SERIES, 0.1);
    end();
}
END_TEST

START_TEST(models_survive_a_restart)
{
    begin(0);
    for (size_t t = 0; t < TEXTS; t++)
        query_result_free(ask(engine, &within, texts[t]));
    unit_assert_ok(query_keeper_pin(keeper, tw_str(texts[1]), &err), &err);
    size_t before = models();
    query_keeper_round(keeper);
    end_keeper();
    pass(25 * MINUTE);
    begin_keeper(0);
    ck_assert_uint_eq(models(), before);
    for (size_t t = 0; t < TEXTS; t++) {
        struct query_result *warm = ask(engine, &within, texts[t]);
        ck_assert_uint_lt(warm->samples_read, 1000);
        query_result_free(warm);
        assert_same(&within, texts[t], SERIES);
    }
    unit_assert_ok(query_keeper_unpin(keeper, tw_str(texts[1]), &err), &err);
    unit_assert_code(query_keeper_unpin(keeper, tw_str(texts[1]), &err), TW_NOT_FOUND);
    end();
}
END_TEST

/* A graph of the past shows later what rules were told at the time, by kept models that learned it
 * in batches of any size, over a restart, too. */
START_TEST(graphs_show_what_rules_were_told)
{
    static const int minutes[] = {1, 25, 3, 0, 7, 55, 2, 5, 5, 5, 31, 4};
    enum { ASKED = sizeof minutes / sizeof *minutes, KINDS = 2 };
    static const char *const kinds[KINDS] = {"forecast_quantile(0.9, load[7d], 4h)",
                                             "anomaly_score(load[7d])"};
    double told[ASKED][KINDS][SERIES];
    int64_t asked_ms[ASKED];
    begin(0);
    for (size_t i = 0; i < ASKED; i++) {
        if (i == ASKED / 2) {
            query_keeper_round(keeper);
            end_keeper();
            begin_keeper(0);
            ck_assert_uint_eq(models(), KINDS * SERIES);
        }
        asked_ms[i] = tw_clock_wall_ms(now_clock);
        for (size_t k = 0; k < KINDS; k++) {
            struct query_result *answer = ask(engine, &within, kinds[k]);
            ck_assert_uint_eq(answer->count, SERIES);
            for (size_t n = 0; n < SERIES; n++)
                told[i][k][n] = answer->series[n].points[0].value;
            query_result_free(answer);
        }
        pass(minutes[i] * MINUTE);
    }
    pass(2 * DAY);
    for (size_t i = 0; i < ASKED; i++)
        for (size_t k = 0; k < KINDS; k++) {
            struct query_result *graph;
            unit_assert_ok(query_range(plain, &outside, tw_str(kinds[k]), asked_ms[i], asked_ms[i],
                                       MINUTE, &graph, &err),
                           &err);
            ck_assert_uint_eq(graph->count, SERIES);
            for (size_t n = 0; n < SERIES; n++)
                ck_assert_double_eq(graph->series[n].points[0].value, told[i][k][n]);
            query_result_free(graph);
        }
    end();
}
END_TEST

/* A shop: on Sundays, and when it is closed otherwise, there is a third of the load. */
static double shop_at(int64_t time_ms, bool closed)
{
    double hours = (double)(time_ms % DAY) / HOUR;
    return (100 + 60 * sin(M_PI * hours / 12) + 2 * fmod((double)time_ms / 7919, 1.0)) *
           (closed ? 0.3 : 1);
}

/* A holiday is forecast to be like a Sunday, the week after it as if it had not been; over a
 * restart, too. */
START_TEST(holidays_are_known)
{
    static const char text[] = "forecast(shop[21d], 16h)";
    struct forecast_holidays *holidays;
    unit_assert_ok(forecast_holidays_parse(TW_STR("1970-01-14\n1970-01-22\n"), &holidays, &err),
                   &err);
    begin(0);
    for (int64_t t = 0; t <= NOW + 4 * HOUR; t += 15 * MINUTE) {
        bool closed = (t / DAY + 4) % 7 == 0 || t / DAY == 13;
        memory_storage_add(storage, t, shop_at(t, closed), "__name__", "shop", NULL);
    }
    tw_clock_manual_advance(now_clock, 4 * HOUR); /* day 20, 11:13, a Wednesday */
    const int64_t holiday = 21 * DAY + 3 * HOUR + 13 * MINUTE;
    ck_assert_int_eq(tw_clock_wall_ms(now_clock) + 16 * HOUR, holiday);
    struct query_result *without = ask(engine, &within, text);
    ck_assert_double_gt(without->series[0].points[0].value, 0.8 * shop_at(holiday, false));
    query_result_free(without);
    query_keeper_configure(keeper, &(struct query_keeper_settings){.holidays = holidays});
    query_result_free(ask(engine, &within, text));
    query_keeper_round(keeper);
    struct query_result *with = ask(engine, &within, text);
    double expected = with->series[0].points[0].value;
    query_result_free(with);
    ck_assert_msg(fabs(expected - shop_at(holiday, true)) < 0.15 * shop_at(holiday, true),
                  "%g, not %g", expected, shop_at(holiday, true));
    end_keeper();
    begin_keeper(0);
    query_keeper_configure(keeper, &(struct query_keeper_settings){.holidays = holidays});
    forecast_holidays_unref(holidays);
    struct query_result *again = ask(engine, &within, text);
    ck_assert_double_eq(again->series[0].points[0].value, expected);
    ck_assert_uint_lt(again->samples_read, 100); /* by the model that was stored */
    query_result_free(again);
    end();
}
END_TEST

static void take_pin(void *user, const struct query_pin_view *pin)
{
    *(struct query_pin_view *)user = *pin;
}

START_TEST(pins_keep_models_fresh)
{
    struct query_pin_view pin = {0};
    const struct tw_str configured = TW_STR("forecast(load[7d], 2h)");
    const struct query_keeper_settings settings = {.pins = &configured, .pin_count = 1};
    begin(0);
    query_keeper_configure(keeper, &settings);
    for (int i = 0; i < 5; i++) {
        query_keeper_round(keeper);
        pass(HOUR);
    }
    query_keeper_each_pin(keeper, take_pin, &pin);
    ck_assert(pin.is_configured);
    ck_assert_uint_eq(pin.series, SERIES);
    ck_assert_str_eq(pin.error, "");
    ck_assert_uint_eq(models(), SERIES);
    struct query_result *shown = ask(engine, &outside, "forecast_quantile(0.9, load[7d], 2h)");
    ck_assert_uint_eq(shown->count, SERIES);
    ck_assert_uint_lt(shown->samples_read, 200);
    query_result_free(shown);
    unit_assert_code(query_keeper_unpin(keeper, configured, &err), TW_BAD_DATA);
    query_keeper_configure(keeper, &(struct query_keeper_settings){0});
    pass(2 * HOUR);
    query_keeper_round(keeper);
    ck_assert_uint_eq(models(), 0); /* nobody used them for an hour */
    end();
}
END_TEST

START_TEST(errors_become_series)
{
    begin(0);
    for (int i = 0; i < 60; i++) {
        query_result_free(ask(engine, &within, "forecast(load[7d], 30m)"));
        query_keeper_round(keeper);
        pass(5 * MINUTE);
    }
    query_result_free(ask(engine, &within, "forecast(load[7d], 30m)"));
    query_keeper_round(keeper);
    struct query_result *errors = ask(engine, &outside, QUERY_FORECAST_ERROR_METRIC);
    ck_assert_uint_eq(errors->count, 2 * 3 * SERIES);
    for (size_t i = 0; i < errors->count; i++) {
        ck_assert(isfinite(errors->series[i].points[0].value));
        ck_assert(wire_labels_get(errors->series[i].labels, TW_STR("expression")).size > 0);
        ck_assert(wire_labels_get(errors->series[i].labels, TW_STR("i")).size > 0);
    }
    query_result_free(errors);
    struct query_result *near = ask(
        engine, &outside, "max(tidewatch_forecast_error{measure=\"mase\",horizon=\"300\"}) < 1.5");
    ck_assert_uint_eq(near->count, 1);
    query_result_free(near);
    end();
}
END_TEST

START_TEST(number_is_limited)
{
    begin(3);
    assert_same(&within, texts[0], SERIES); /* the fourth is learned each time */
    assert_same(&within, texts[0], SERIES);
    ck_assert_uint_eq(models(), 3);
    pass(20 * MINUTE);
    assert_same(&within, "forecast(load{i=\"3\"}[7d], 4h)", 1);
    ck_assert_uint_eq(models(), 3);
    end();
}
END_TEST

enum { MANY = QUERY_LEARNS_PER_RUN + 36 };

static void add_many(void)
{
    for (int64_t t = NOW - 8 * DAY; t <= NOW; t += 10 * MINUTE)
        for (int i = 0; i < MANY; i++) {
            char name[8];
            snprintf(name, sizeof name, "%d", i);
            memory_storage_add(storage, t, load_at(t, i), "__name__", "many", "i", name, NULL);
        }
    for (int64_t t = NOW - 8 * DAY; t < NOW - DAY; t += 10 * MINUTE)
        memory_storage_add(storage, t, load_at(t, 0), "__name__", "many", "i", "ended", NULL);
}

/* The first evaluation of a large rule learns some models, and answers for all series; the keeper
 * learns the others. */
static void assert_spread(const char *text, size_t first_models, size_t first_answers)
{
    struct query_result *first = ask(engine, &within, text);
    ck_assert_uint_eq(models(), first_models);
    ck_assert_uint_eq(first->count, first_answers);
    ck_assert_uint_eq(first->info_count, first_answers == MANY);
    for (size_t i = 0; i < first->count; i++)
        ck_assert(isfinite(first->series[i].points[0].value));
    query_result_free(first);
    for (int round = 0; round < 4 && models() < MANY; round++)
        query_keeper_round(keeper);
    ck_assert_uint_eq(models(), MANY);
    assert_within(&within, text, MANY, 0);
    query_keeper_round(keeper);
    ck_assert_uint_eq(models(), MANY); /* nothing is learned of ended series */
}

START_TEST(large_rules_are_learned_in_the_background)
{
    static const struct {
        const char *text;
        size_t first_models, first_answers;
    } cases[] = {
        {"forecast(many[7d], 4h)", QUERY_LEARNS_PER_RUN, MANY},
        {"anomaly_score(many[7d])", QUERY_LEARNS_PER_RUN, QUERY_LEARNS_PER_RUN},
        {"forecast(sum by (i) (avg_over_time(many[10m]))[5d:10m], 1h)", 0, MANY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(0);
        add_many();
        assert_spread(cases[i].text, cases[i].first_models, cases[i].first_answers);
        end();
    }
}
END_TEST

/* Young series are learned again each time, and neither wait for the keeper nor keep it busy. */
START_TEST(young_series_do_not_wait)
{
    static const char text[] = "forecast(young[7d], 4h)", scores[] = "anomaly_score(young[7d])";
    begin(0);
    for (int64_t t = NOW - 3 * HOUR; t <= NOW; t += 10 * MINUTE)
        for (int i = 0; i < MANY; i++) {
            char name[8];
            snprintf(name, sizeof name, "%d", i);
            memory_storage_add(storage, t, load_at(t, i), "__name__", "young", "i", name, NULL);
        }
    query_result_free(ask(engine, &within, scores));
    query_result_free(ask(engine, &within, text));
    for (int round = 0; round < 6; round++)
        query_keeper_round(keeper);
    uint64_t fits = query_kept_fits(kept);
    query_keeper_round(keeper);
    ck_assert_uint_eq(query_kept_fits(kept), fits);
    assert_within(&within, text, MANY, 0);
    assert_within(&within, scores, 0, 0);
    query_keeper_round(keeper);
    tw_clock_manual_advance(now_clock, 2 * MINUTE);
    query_result_free(ask(engine, &within, scores));
    assert_within(&within, text, MANY, 0);
    struct query_result *again = ask(engine, &within, text);
    ck_assert_uint_eq(again->info_count, 0);
    query_result_free(again);
    end();
}
END_TEST

/* Models that are too late to answer (the server was away for long) are wanted as new ones are. */
START_TEST(late_models_are_learned_in_the_background)
{
    begin(0);
    add_many();
    query_result_free(ask(engine, &within, "forecast(many[7d], 4h)"));
    while (models() < MANY)
        query_keeper_round(keeper);
    tw_clock_manual_advance(now_clock, 2 * DAY);
    for (int64_t t = NOW + 10 * MINUTE; t <= NOW + 2 * DAY; t += 10 * MINUTE)
        for (int i = 0; i < MANY; i++) {
            char name[8];
            snprintf(name, sizeof name, "%d", i);
            memory_storage_add(storage, t, load_at(t, i), "__name__", "many", "i", name, NULL);
        }
    uint64_t fits = query_kept_fits(kept);
    struct query_result *late = ask(engine, &within, "forecast(many[7d], 4h)");
    ck_assert_uint_eq(late->count, MANY);
    ck_assert_uint_eq(query_kept_fits(kept), fits + QUERY_LEARNS_PER_RUN);
    query_result_free(late);
    for (int round = 0; round < 4; round++)
        query_keeper_round(keeper);
    ck_assert_uint_eq(query_kept_fits(kept), fits + MANY);
    assert_within(&within, "forecast(many[7d], 4h)", MANY, 0);
    end();
}
END_TEST

START_TEST(bad_pins_are_refused)
{
    begin(0);
    unit_assert_code(query_keeper_pin(keeper, TW_STR("forecast(load[7d]"), &err), TW_SYNTAX);
    unit_assert_code(query_keeper_pin(keeper, TW_STR(""), &err), TW_BAD_DATA);
    unit_assert_code(query_keeper_pin(keeper, TW_STR("sum(load)"), &err), TW_BAD_DATA);
    ck_assert_ptr_nonnull(strstr(err.message, "nothing to keep"));
    unit_assert_ok(query_keeper_pin(keeper, TW_STR("sum(forecast(load[7d], 60)) > 1"), &err), &err);
    end();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE_SLOW(what_is_kept_answers_alike, 600),
        UNIT_CASE(kept_models_read_little),
        UNIT_CASE(others_read_and_change_nothing),
        UNIT_CASE(new_and_ended_series),
        UNIT_CASE_SLOW(keeper_learns_anew_in_time, 600),
        UNIT_CASE(models_survive_a_restart),
        UNIT_CASE(graphs_show_what_rules_were_told),
        UNIT_CASE(holidays_are_known),
        UNIT_CASE(pins_keep_models_fresh),
        UNIT_CASE(errors_become_series),
        UNIT_CASE(number_is_limited),
        UNIT_CASE_SLOW(large_rules_are_learned_in_the_background, 300),
        UNIT_CASE_SLOW(late_models_are_learned_in_the_background, 300),
        UNIT_CASE_SLOW(young_series_do_not_wait, 300),
        UNIT_CASE(bad_pins_are_refused),
        {0}};
    return unit_run("query/keeper", cases);
}
