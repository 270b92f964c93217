/* SPDX-License-Identifier: Apache-2.0
 *
 * scaler_bench: what the mind of a scaler costs, without its queries. Run by hand: `make
 * tests/bench/scaler_bench` and start it. Scalers with fourteen days of history decide every 15 s
 * for two hours; prints the time of a decision, of a fit, and the share of a core for a thousand.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "autoscaler/controller.h"
#include "base/clock.h"

enum { SCALERS = 50, TICKS = 480, HISTORY = 14 * 1440, TICK_MS = 15000, STEP_MS = 60000 };
static const int64_t begin_ms = 1767571200000;

static double noise(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / (double)(UINT64_C(1) << 53) * 2 - 1;
}

static double load_at(int64_t time_ms, unsigned scaler, uint64_t *seed)
{
    double day = 2 * M_PI * (double)time_ms / 86400000.0 + scaler;
    return (2000 + 1000 * sin(day)) * (1 + 0.03 * noise(seed));
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print(const char *what, int64_t *took, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)took[i];
    qsort(took, count, sizeof *took, compare);
    printf("%-9s %6zu: mean %8.1f us, p50 %8.1f us, p99 %8.1f us, max %8.1f us\n", what, count,
           sum / (double)count / 1e3, (double)took[count / 2] / 1e3,
           (double)took[count * 99 / 100] / 1e3, (double)took[count - 1] / 1e3);
}

static void observe(struct scale_observation *ret, int64_t now_ms, double load, int64_t replicas)
{
    *ret = (struct scale_observation){.now_ms = now_ms,
                                      .data = SCALE_DATA_OK,
                                      .load = load,
                                      .load_ms = now_ms - TICK_MS,
                                      .replicas = replicas,
                                      .ready = replicas,
                                      .utilisation = 0.7,
                                      .latency = NAN,
                                      .queue = NAN,
                                      .coverage = 1};
}

int main(void)
{
    struct scale_settings settings;
    scale_settings_init(&settings);
    settings.name = TW_STR("bench");
    settings.capacity = 64;
    settings.max = 1000;
    static int64_t decisions[SCALERS * TICKS], fits[SCALERS * TICKS];
    size_t decided = 0, fitted = 0;
    int64_t all = 0;
    double *values = calloc(HISTORY, sizeof *values);
    if (!values)
        abort();
    for (unsigned s = 0; s < SCALERS; s++) {
        uint64_t seed = s + 1;
        struct scale_controller *controller = scale_controller_new(&settings, 60);
        scale_controller_learn_apart(controller);
        for (size_t i = 0; i < HISTORY; i++)
            values[i] = load_at(begin_ms + ((int64_t)i - HISTORY) * STEP_MS, s, &seed);
        scale_controller_history(controller, begin_ms - (int64_t)HISTORY * STEP_MS, STEP_MS, values,
                                 HISTORY);
        int64_t replicas = 40;
        for (size_t i = 0; i < TICKS; i++) {
            int64_t now = begin_ms + (int64_t)i * TICK_MS;
            struct scale_observation observation;
            struct scale_decision decision;
            observe(&observation, now, load_at(now, s, &seed), replicas);
            int64_t started = tw_clock_thread_cpu_ns();
            scale_controller_decide(controller, &observation, &decision);
            int64_t took = tw_clock_thread_cpu_ns() - started;
            decisions[decided++] = took;
            all += took;
            replicas = decision.to;
            if (!scale_controller_fit_due(controller))
                continue;
            started = tw_clock_thread_cpu_ns();
            scale_controller_learn(controller);
            took = tw_clock_thread_cpu_ns() - started;
            fits[fitted++] = took;
            all += took;
        }
        scale_controller_free(controller);
    }
    print("decisions", decisions, decided);
    print("fits", fits, fitted);
    /* CPU of a scaler and tick, times the ticks of a thousand in a second. */
    printf("1000 scalers at 15 s: %.2f %% of a core\n",
           (double)all / (SCALERS * TICKS) * 1000 / 15 / 1e9 * 100);
    free(values);
    return 0;
}
