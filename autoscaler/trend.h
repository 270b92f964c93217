/* SPDX-License-Identifier: Apache-2.0
 *
 * trend: what a rise that is under way will come to, for loads that leave the forecast behind.
 *
 *   the last observations -> rise that noise does not explain -> carried on to when new replicas
 *      would serve -> times the share of such rises that came true
 *
 * A crowd that rushes in goes on rising; a restless load falls back. Which of the two a load is,
 * its own past tells: each projection is remembered until its time is over, and the share of it
 * that came true is kept per size of the rise; where few of a size were seen, smaller ones stand
 * in. Before anything was seen, a rise is believed whole.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_TREND_H
#define TW_AUTOSCALER_TREND_H

#include <stddef.h>
#include <stdint.h>

#define SCALE_TREND_RECENT 8    /* observations that a rise is taken from */
#define SCALE_TREND_SIZES 4     /* classes of rises, by their share of the load */
#define SCALE_TREND_KEPT 64     /* outcomes kept per class */
#define SCALE_TREND_FORESEEN 32 /* forecasts that tell whether a rise was expected */
#define SCALE_TREND_PENDING 64  /* projections whose time is not over */

struct scale_trend {
    struct {
        int64_t time_ms;
        double load;
    } recent[SCALE_TREND_RECENT]; /* oldest first */
    size_t recent_count;
    struct {
        int64_t time_ms;
        double load;
    } pressed; /* newer than all averages, see scale_trend_press */
    struct {
        int64_t time_ms;
        double load;
    } foreseen[SCALE_TREND_FORESEEN]; /* ring */
    size_t foreseen_next, foreseen_count;
    double swing; /* usual change between observations, as a share of the load; < 0 = not known */
    struct {
        float shares[SCALE_TREND_KEPT]; /* ring: what came true of a projected rise */
        size_t count, next;
    } sizes[SCALE_TREND_SIZES];
    struct {
        int64_t due_ms;
        double level, rise, highest;
        size_t size;
    } pending[SCALE_TREND_PENDING]; /* ascending in due_ms */
    size_t pending_count;
};

void scale_trend_init(struct scale_trend *trend);
/* A good observation, in ascending time; others are ignored. */
void scale_trend_observe(struct scale_trend *trend, int64_t time_ms, double load);
/* What the present moment tells of the load, beyond the averages that were observed. */
void scale_trend_press(struct scale_trend *trend, int64_t time_ms, double load);
/* The load that there have to be replicas for now: the newest one, but for a hair by which a single
 * observation rises above the mean of the last ones. */
double scale_trend_settled(const struct scale_trend *trend, double load);
/* A new regime: what was seen before says nothing about how it goes on. */
void scale_trend_forget(struct scale_trend *trend);
/* What was forecast at time_ms as the highest load within the horizon. */
void scale_trend_foresee(struct scale_trend *trend, int64_t time_ms, double load);
/* The load to be ready for at until_ms; 0 when it does not clearly rise, or no further than was
 * forecast a minute ago or more: then replicas are on their way already. The projection is
 * remembered, to be judged when its time is over. */
double scale_trend_project(struct scale_trend *trend, int64_t until_ms);
/* Observations that count as the recent past. */
size_t scale_trend_count(const struct scale_trend *trend);

#endif
