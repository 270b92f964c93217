/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/plant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define CURVE_POINTS 2000 /* of the share that waits too long, by utilisation */

struct scale_plant {
    struct scale_plant_settings settings;
    double curve[CURVE_POINTS + 1];
    int64_t *starting; /* when each serves; ascending */
    size_t starting_count, starting_capacity;
    int64_t *serving; /* since when each serves; ascending */
    size_t serving_count, serving_capacity;
    double queue;
    uint64_t random;
};

void scale_plant_settings_init(struct scale_plant_settings *settings, double capacity,
                               double utilisation)
{
    *settings = (struct scale_plant_settings){.capacity = capacity,
                                              .utilisation = utilisation,
                                              .workers = 8,
                                              .service_ms = 100,
                                              .objective_ms = 500,
                                              .timeout_ms = 5000,
                                              .startup_ms = 120000,
                                              .spread = 0.12};
}

int64_t scale_plant_need(const struct scale_plant_settings *settings, double load)
{
    return load > 0 ? (int64_t)ceil(load / settings->capacity - 1e-9) : 0;
}

/* Probability that one has to wait at all: Erlang's C of so many workers with `offered` work. */
static double waits(unsigned workers, double offered)
{
    double b = 1;
    if (offered >= workers)
        return 1;
    for (unsigned k = 1; k <= workers; k++)
        b = offered * b / (k + offered * b);
    return b / (1 - offered / workers * (1 - b));
}

static void make_curve(struct scale_plant *plant)
{
    const struct scale_plant_settings *settings = &plant->settings;
    double rate = settings->workers / settings->service_ms;
    double patience = settings->objective_ms - settings->service_ms;
    for (size_t i = 0; i <= CURVE_POINTS; i++) {
        double busy = (double)i / CURVE_POINTS;
        plant->curve[i] =
            waits(settings->workers, busy * settings->workers) * exp(-rate * (1 - busy) * patience);
    }
}

static void push(int64_t **items, size_t *count, size_t *capacity, int64_t time_ms)
{
    if (*count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        *items = realloc(*items, *capacity * sizeof **items);
        TW_ASSERT(*items != NULL);
    }
    size_t at = (*count)++;
    for (; at > 0 && (*items)[at - 1] > time_ms; at--)
        (*items)[at] = (*items)[at - 1];
    (*items)[at] = time_ms;
}

struct scale_plant *scale_plant_new(const struct scale_plant_settings *settings, int64_t replicas,
                                    uint64_t seed)
{
    TW_ASSERT(settings->capacity > 0 && settings->utilisation > 0 && settings->utilisation <= 1);
    TW_ASSERT(settings->workers > 0 && settings->service_ms > 0 &&
              settings->objective_ms > settings->service_ms);
    struct scale_plant *plant = calloc(1, sizeof *plant);
    TW_ASSERT(plant != NULL);
    plant->settings = *settings;
    plant->random = seed;
    make_curve(plant);
    for (int64_t i = 0; i < replicas; i++)
        push(&plant->serving, &plant->serving_count, &plant->serving_capacity, INT64_MIN);
    return plant;
}

struct scale_plant *scale_plant_free(struct scale_plant *plant)
{
    if (!plant)
        return NULL;
    free(plant->starting);
    free(plant->serving);
    free(plant);
    return NULL;
}

/* splitmix64 (Steele, Lea, Flood 2014), as a share in (0, 1]. */
static double draw(struct scale_plant *plant)
{
    uint64_t z = plant->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return ((double)((z ^ (z >> 31)) >> 11) + 1) * 0x1p-53;
}

/* Box and Muller. */
static double draw_normal(struct scale_plant *plant)
{
    double radius = sqrt(-2 * log(draw(plant)));
    return radius * cos(2 * M_PI * draw(plant));
}

void scale_plant_order(struct scale_plant *plant, int64_t now_ms, int64_t replicas)
{
    TW_ASSERT(replicas >= 0);
    const struct scale_plant_settings *settings = &plant->settings;
    while ((int64_t)(plant->starting_count + plant->serving_count) > replicas) {
        if (plant->starting_count)
            plant->starting_count--;
        else
            plant->serving_count--; /* the youngest */
    }
    while ((int64_t)(plant->starting_count + plant->serving_count) < replicas) {
        double took = settings->startup_ms * exp(settings->spread * draw_normal(plant));
        push(&plant->starting, &plant->starting_count, &plant->starting_capacity,
             now_ms + (int64_t)took);
    }
}

static void let_serve(struct scale_plant *plant, int64_t now_ms)
{
    size_t done = 0;
    while (done < plant->starting_count && plant->starting[done] <= now_ms)
        push(&plant->serving, &plant->serving_count, &plant->serving_capacity,
             plant->starting[done++]);
    plant->starting_count -= done;
    if (done)
        memmove(plant->starting, plant->starting + done,
                plant->starting_count * sizeof *plant->starting);
}

/* Share of a step in which the queue is longer than patience allows, as it goes from one length to
 * another; in milliseconds. */
static double impatient(double before, double after, double patience)
{
    if (before > patience && after > patience)
        return 1;
    if (before <= patience && after <= patience)
        return 0;
    return (fmax(before, after) - patience) / fabs(after - before);
}

void scale_plant_step(struct scale_plant *plant, int64_t now_ms, int64_t span_ms, double load,
                      struct scale_plant_step *ret)
{
    const struct scale_plant_settings *settings = &plant->settings;
    let_serve(plant, now_ms);
    double seconds = (double)span_ms / 1000;
    double rate = (double)plant->serving_count * settings->capacity / settings->utilisation;
    double arrived = load * seconds, able = rate * seconds;
    double before = plant->queue, work = before + arrived;
    double served = fmin(work, able), left = work - served;
    double gone = fmax(0, left - rate * settings->timeout_ms / 1000);
    left -= gone;
    double share = 1;
    if (rate > 0) {
        double busy = arrived / able;
        share = busy < 1 ? plant->curve[(size_t)(busy * CURVE_POINTS)] : 0;
        share = fmax(share, impatient(1000 * before / rate, 1000 * left / rate,
                                      settings->objective_ms - settings->service_ms));
    }
    plant->queue = left;
    *ret = (struct scale_plant_step){
        .arrived = arrived,
        .violated = fmin(arrived, gone + share * fmax(0, arrived - gone)),
        .busy = able > 0 ? served / able : 1,
        .queue = left,
        .waiting_ms = rate > 0 ? 1000 * left / rate : settings->timeout_ms,
        .asked = (int64_t)(plant->starting_count + plant->serving_count),
        .ready = (int64_t)plant->serving_count,
    };
}

int64_t scale_plant_ready_since(const struct scale_plant *plant, int64_t since_ms)
{
    size_t count = plant->serving_count;
    while (count > 0 && plant->serving[count - 1] > since_ms)
        count--;
    return (int64_t)count;
}
