/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/replay.h"

#include <math.h>
#include <stdlib.h>

#include "autoscaler/controller.h"
#include "autoscaler/hpa.h"
#include "base/assert.h"
#include "base/clock.h"

#define SPAN_MS 5000    /* of a step of the plant, at most */
#define SEEN_MS 30000   /* that a measurement is the mean of */
#define AGE_MS 15000    /* of a measurement */
#define WARM_MS 3600000 /* before the scored part */
#define VALUES_MIN 120  /* of the past, in all */
#define BAD_MINUTE 0.01 /* share of a minute's load */
#define BAD_SPAN 0.05   /* share of a span's load, until it counts as recovered */
#define LEAD_SURE 2.33  /* standard deviations: 99 of 100 replicas have started by then */
#define PROGRESS_TICKS 200

static const char *const contender_names[] = {
#define SCALE_CONTENDER_NAME(name, text) text,
    SCALE_CONTENDER_TABLE(SCALE_CONTENDER_NAME)
#undef SCALE_CONTENDER_NAME
};

const char *scale_contender_name(enum scale_contender contender)
{
    TW_ASSERT(contender < SCALE_CONTENDERS);
    return contender_names[contender];
}

/* One run. Arrays have an entry for each span, sums one more. */
struct course {
    const struct scale_replay *replay;
    enum scale_contender contender;
    int64_t span_ms, begin_ms; /* begin: of the first span */
    size_t spans, spans_a_tick, first_scored;
    double *load;  /* without holes */
    int64_t *need; /* replicas; of the oracle: the highest until new ones would serve */
    double *arrived, *busy, *ready; /* sums of load, of busy and of serving replicas, in seconds */
    struct scale_plant *plant;
    struct scale_plant_step last;
    struct scale_controller *controller;
    struct scale_hpa hpa;
    int64_t highest_need; /* of the scored part */
    /* score */
    struct scale_replay_score score;
    double load_sum, violated_sum, need_sum, minute_load, minute_violated;
    int64_t minute, last_change_ms, bad_since_ms, bad_until_ms, cpu_ns;
    int last_sign;
};

/* ---- the load ---- */

static size_t next_known(const struct scale_replay *replay, size_t at)
{
    while (at < replay->count && isnan(replay->load[at]))
        at++;
    return at;
}

/* The middle of what a value speaks of. */
static int64_t middle_ms(const struct scale_replay *replay, size_t at)
{
    return replay->last_ms - (int64_t)(replay->count - 1 - at) * replay->step_ms -
           replay->step_ms / 2;
}

/* Straight lines between the middles of known values. */
static void lay_out_load(struct course *course)
{
    const struct scale_replay *replay = course->replay;
    size_t before = next_known(replay, 0), after = before;
    for (size_t i = 0; i < course->spans; i++) {
        int64_t at = course->begin_ms + (int64_t)i * course->span_ms;
        while (after < replay->count && middle_ms(replay, after) <= at) {
            before = after;
            after = next_known(replay, after + 1);
        }
        double a = replay->load[before], b = after < replay->count ? replay->load[after] : a;
        int64_t from = middle_ms(replay, before);
        double f = after < replay->count && after != before && at > from
                       ? (double)(at - from) / (double)(middle_ms(replay, after) - from)
                       : 0;
        course->load[i] = fmax(0, a + f * (b - a));
    }
}

static int64_t need_of(const struct course *course, double load)
{
    int64_t need = scale_plant_need(&course->replay->plant, load);
    return need > 1 ? need : course->replay->settings->min > 0 ? 1 : need;
}

/* Each entry becomes the highest of those within lead. */
static void look_ahead(int64_t *need, size_t count, size_t lead)
{
    size_t *queue = calloc(count + 1, sizeof *queue), head = 0, tail = 0;
    int64_t *ahead = calloc(count + 1, sizeof *ahead);
    TW_ASSERT(queue && ahead);
    /* Backwards; the queue's entries fall from its head, the farthest and highest, to its tail. */
    for (size_t i = count; i-- > 0;) {
        while (tail > head && need[queue[tail - 1]] <= need[i])
            tail--;
        queue[tail++] = i;
        while (queue[head] > i + lead)
            head++;
        ahead[i] = need[queue[head]];
    }
    for (size_t i = 0; i < count; i++)
        need[i] = ahead[i];
    free(queue);
    free(ahead);
}

/* The value that a look at that time is of is missing. */
static bool is_missing(const struct course *course, int64_t at_ms)
{
    const struct scale_replay *replay = course->replay;
    int64_t back = tw_floor_div(replay->last_ms - at_ms, replay->step_ms);
    return back >= 0 && back < (int64_t)replay->count &&
           isnan(replay->load[replay->count - 1 - (size_t)back]);
}

/* ---- deciders ---- */

struct seen {
    double load, busy; /* NaN = not known */
    int64_t measured;
};

static struct seen see(const struct course *course, size_t at)
{
    int64_t now = course->begin_ms + (int64_t)at * course->span_ms;
    size_t late = (size_t)(AGE_MS / course->span_ms), wide = (size_t)(SEEN_MS / course->span_ms);
    size_t end = at > late ? at - late : 0, start = end > wide ? end - wide : 0;
    struct seen seen = {NAN, NAN, scale_plant_ready_since(course->plant, now - AGE_MS - SEEN_MS)};
    if (end == start || is_missing(course, now - AGE_MS))
        return seen;
    double ready = course->ready[end] - course->ready[start];
    seen.load = (course->arrived[end] - course->arrived[start]) /
                ((double)(end - start) * (double)course->span_ms / 1000);
    if (ready > 0)
        seen.busy = (course->busy[end] - course->busy[start]) / ready;
    return seen;
}

static int64_t ask_scaler(struct course *course, int64_t now, struct seen seen)
{
    const struct scale_settings *settings = course->replay->settings;
    bool all = course->replay->all_known;
    struct scale_observation observation = {
        .now_ms = now,
        .data = isnan(seen.load) ? SCALE_DATA_MISSING : SCALE_DATA_OK,
        .load = seen.load,
        .load_ms = now - AGE_MS,
        .replicas = course->last.asked,
        .ready = course->last.ready,
        .utilisation = all || settings->utilisation.size ? seen.busy : NAN,
        .latency = NAN,
        .queue = all || settings->queue.size ? course->last.queue : NAN,
        .coverage = isnan(seen.load) ? NAN : 1,
    };
    struct scale_decision decision;
    int64_t started = tw_clock_thread_cpu_ns();
    scale_controller_decide(course->controller, &observation, &decision);
    if (now < course->begin_ms + (int64_t)course->first_scored * course->span_ms)
        return decision.to;
    course->cpu_ns += tw_clock_thread_cpu_ns() - started;
    course->score.decisions++;
    course->score.held += decision.data != SCALE_DATA_OK && decision.data != SCALE_DATA_PARTIAL;
    return decision.to;
}

static int64_t ask(struct course *course, size_t at)
{
    const struct scale_replay *replay = course->replay;
    int64_t now = course->begin_ms + (int64_t)at * course->span_ms, asked = course->last.asked;
    struct seen seen = see(course, at);
    double full = replay->plant.capacity / replay->plant.utilisation; /* of one replica */
    switch (course->contender) {
    case SCALE_CONTENDER_SCALER:
        return ask_scaler(course, now, seen);
    case SCALE_CONTENDER_HPA_LOAD:
        return scale_hpa_decide(&course->hpa, now, asked, seen.measured,
                                seen.load / (double)seen.measured, full * replay->hpa_target);
    case SCALE_CONTENDER_HPA_CPU:
        return scale_hpa_decide(&course->hpa, now, asked, seen.measured, seen.busy,
                                replay->hpa_target);
    case SCALE_CONTENDER_FIXED:
        return course->highest_need;
    case SCALE_CONTENDER_ORACLE:
        return course->need[at];
    case SCALE_CONTENDERS:
        break;
    }
    TW_ASSERT(false);
    return asked;
}

/* ---- scoring ---- */

static void end_minute(struct course *course)
{
    course->score.violated_minutes +=
        course->minute_violated > BAD_MINUTE * course->minute_load && course->minute_load > 0;
    course->minute_load = course->minute_violated = 0;
}

static void end_episode(struct course *course)
{
    if (course->bad_since_ms == INT64_MIN)
        return;
    double took = (double)(course->bad_until_ms - course->bad_since_ms) / 1000;
    course->score.recovery_s = fmax(course->score.recovery_s, took);
    course->bad_since_ms = INT64_MIN;
}

static void count_change(struct course *course, int64_t now, int64_t from, int64_t to)
{
    int sign = to > from ? 1 : -1;
    course->score.changes++;
    if (course->last_sign == -sign && now - course->last_change_ms < SCALE_FLAP_MS)
        course->score.flaps++;
    course->last_sign = sign;
    course->last_change_ms = now;
}

static void score_span(struct course *course, size_t at, const struct scale_plant_step *step)
{
    struct scale_replay_score *score = &course->score;
    int64_t now = course->begin_ms + (int64_t)at * course->span_ms, minute = now / 60000;
    double span = (double)course->span_ms / 60000;
    int64_t need = need_of(course, course->load[at]);
    if (minute != course->minute)
        end_minute(course);
    course->minute = minute;
    course->minute_load += step->arrived;
    course->minute_violated += step->violated;
    course->load_sum += step->arrived;
    course->violated_sum += step->violated;
    course->need_sum += (double)(need > 1 ? need : 1) * span;
    score->replica_hours += (double)step->asked * span / 60;
    score->peak = step->asked > score->peak ? step->asked : score->peak;
    score->minutes += span;
    if (step->ready < need)
        score->under_minutes += span;
    else
        score->over_percent += (double)(step->ready - need) * span;
    if (step->violated > BAD_SPAN * step->arrived) {
        if (course->bad_since_ms == INT64_MIN || now > course->bad_until_ms + 60000) {
            end_episode(course);
            course->bad_since_ms = now;
        }
        course->bad_until_ms = now + course->span_ms;
    }
}

static void end_score(struct course *course)
{
    struct scale_replay_score *score = &course->score;
    end_minute(course);
    end_episode(course);
    score->violated_percent =
        course->load_sum > 0 ? 100 * course->violated_sum / course->load_sum : 0;
    score->over_percent = course->need_sum > 0 ? 100 * score->over_percent / course->need_sum : 0;
    if (score->decisions)
        score->decision_us = (double)course->cpu_ns / 1000 / (double)score->decisions;
}

/* ---- the run ---- */

static void free_course(struct course *course)
{
    scale_plant_free(course->plant);
    scale_controller_free(course->controller);
    free(course->load);
    free(course->need);
    free(course->arrived);
    free(course->busy);
    free(course->ready);
}

static double *numbers(size_t count)
{
    double *items = calloc(count + 1, sizeof *items);
    TW_ASSERT(items != NULL);
    return items;
}

/* What the scaler knows when the run begins. */
static void teach(struct course *course)
{
    const struct scale_replay *replay = course->replay;
    const struct scale_settings *settings = replay->settings;
    int64_t first = replay->last_ms - (int64_t)(replay->count - 1) * replay->step_ms;
    int64_t stride = replay->step_ms < settings->step_ms ? replay->step_ms : settings->step_ms;
    size_t points = course->begin_ms > first ? (size_t)((course->begin_ms - first) / stride) : 0;
    double *values = numbers(points);
    for (size_t i = 0; i < points; i++) {
        int64_t at = (int64_t)i * stride;
        size_t before = (size_t)(at / replay->step_ms), after = before + 1;
        double a = replay->load[before], b = after < replay->count ? replay->load[after] : a;
        double f = (double)(at % replay->step_ms) / (double)replay->step_ms;
        values[i] = f > 0 ? a + f * (b - a) : a;
    }
    course->controller = scale_controller_new(settings, 0);
    if (points)
        scale_controller_history(course->controller, first, stride, values, points);
    free(values);
}

static void prepare(struct course *course)
{
    const struct scale_replay *replay = course->replay;
    const struct scale_settings *settings = replay->settings;
    int64_t tick = settings->tick_ms;
    course->spans_a_tick = (size_t)((tick + SPAN_MS - 1) / SPAN_MS);
    course->span_ms = tick / (int64_t)course->spans_a_tick;
    int64_t score_ms = replay->last_ms - (int64_t)replay->scored * replay->step_ms;
    int64_t first = replay->last_ms - (int64_t)replay->count * replay->step_ms;
    course->begin_ms = score_ms - WARM_MS > first ? score_ms - WARM_MS : first;
    course->spans = (size_t)((replay->last_ms - course->begin_ms) / course->span_ms);
    course->first_scored = (size_t)((score_ms - course->begin_ms) / course->span_ms);
    course->load = numbers(course->spans);
    course->arrived = numbers(course->spans);
    course->busy = numbers(course->spans);
    course->ready = numbers(course->spans);
    course->need = calloc(course->spans + 1, sizeof *course->need);
    TW_ASSERT(course->need != NULL);
    lay_out_load(course);
    for (size_t i = 0; i < course->spans; i++) {
        course->need[i] = need_of(course, course->load[i]);
        if (i >= course->first_scored && course->need[i] > course->highest_need)
            course->highest_need = course->need[i];
    }
    int64_t begun = course->need[0] > 1 ? course->need[0] : 1;
    double lead = replay->plant.startup_ms * exp(LEAD_SURE * replay->plant.spread);
    look_ahead(course->need, course->spans, (size_t)ceil(lead / (double)course->span_ms) + 1);
    begun = begun < settings->max ? begun : settings->max;
    course->plant = scale_plant_new(&replay->plant, begun, replay->seed);
    course->last.asked = course->last.ready = begun;
    course->bad_since_ms = INT64_MIN;
    course->minute = INT64_MIN;
    scale_hpa_init(&course->hpa, settings->min > 0 ? settings->min : 1, settings->max);
    if (course->contender == SCALE_CONTENDER_SCALER)
        teach(course);
}

static void run(struct course *course)
{
    const struct scale_replay *replay = course->replay;
    size_t every = course->contender == SCALE_CONTENDER_ORACLE ? 1 : course->spans_a_tick;
    for (size_t i = 0; i < course->spans; i++) {
        int64_t now = course->begin_ms + (int64_t)i * course->span_ms;
        if (i % every == 0 && i > 0) {
            int64_t to = ask(course, i);
            to = to > replay->settings->max ? replay->settings->max : to;
            if (to != course->last.asked && i >= course->first_scored)
                count_change(course, now, course->last.asked, to);
            scale_plant_order(course->plant, now, to);
        }
        struct scale_plant_step step;
        scale_plant_step(course->plant, now, course->span_ms, course->load[i], &step);
        double seconds = (double)course->span_ms / 1000;
        course->arrived[i + 1] = course->arrived[i] + step.arrived;
        course->busy[i + 1] = course->busy[i] + step.busy * (double)step.ready * seconds;
        course->ready[i + 1] = course->ready[i] + (double)step.ready * seconds;
        course->last = step;
        if (i >= course->first_scored)
            score_span(course, i, &step);
        if (replay->progress && i % (PROGRESS_TICKS * course->spans_a_tick) == 0)
            replay->progress(replay->user, (double)i / (double)course->spans);
    }
    if (replay->progress)
        replay->progress(replay->user, 1);
}

enum tw_code scale_replay_run(const struct scale_replay *replay, enum scale_contender contender,
                              struct scale_replay_score *ret, struct tw_err *err)
{
    TW_ASSERT(contender < SCALE_CONTENDERS && replay->step_ms > 0);
    size_t known = 0;
    for (size_t i = 0; i < replay->count; i++)
        known += !isnan(replay->load[i]);
    if (known < VALUES_MIN || replay->count > SCALE_REPLAY_VALUES_MAX)
        return tw_err_set(err, TW_BAD_DATA,
                          "the load has %zu known values in its past: at least %d are needed, at "
                          "most %d are taken",
                          known, VALUES_MIN, SCALE_REPLAY_VALUES_MAX);
    if (!replay->scored || replay->scored >= replay->count)
        return tw_err_set(err, TW_BAD_DATA,
                          "%zu of %zu values are to be scored: some have to lie before them",
                          replay->scored, replay->count);
    if (!(replay->plant.capacity > 0 && isfinite(replay->plant.capacity)))
        return tw_err_set(err, TW_BAD_DATA,
                          "the load that a replica carries is not known: give a capacity");
    struct course course = {.replay = replay, .contender = contender};
    prepare(&course);
    run(&course);
    end_score(&course);
    *ret = course.score;
    free_course(&course);
    return TW_OK;
}
