/* SPDX-License-Identifier: Apache-2.0
 *
 * clock: the only place that asks for the time or sleeps. Code that depends on time takes a
 * struct tw_clock *, so that tests run weeks in seconds.
 *
 * Wall time is int64 milliseconds since 1970 UTC (negative before); durations between two events
 * of this process use the monotonic clock in nanoseconds.
 *
 * Threads: the system clock may be used by all; a manual clock too (atomic).
 */
#ifndef TW_BASE_CLOCK_H
#define TW_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct tw_clock;

struct tw_clock *tw_clock_system(void); /* never freed */
/* A clock that stands still until it is advanced; sleepers are woken when their time has come. */
struct tw_clock *tw_clock_manual_new(int64_t wall_ms);
struct tw_clock *tw_clock_manual_free(struct tw_clock *clock); /* returns NULL */
void tw_clock_manual_advance(struct tw_clock *clock, int64_t ms);

int64_t tw_clock_wall_ms(struct tw_clock *clock);
int64_t tw_clock_mono_ns(struct tw_clock *clock);
void tw_clock_sleep_ns(struct tw_clock *clock, int64_t ns);

/* CPU time used by this process / thread, in nanoseconds. */
int64_t tw_clock_process_cpu_ns(void);
int64_t tw_clock_thread_cpu_ns(void);

/* RFC 3339 in UTC with milliseconds: "2026-11-21T03:45:07.123Z". ret_text holds
 * TW_CLOCK_RFC3339_BYTES. */
#define TW_CLOCK_RFC3339_BYTES 40
void tw_clock_format_rfc3339(int64_t wall_ms, char *ret_text);
/* Accepts any offset and fraction; false if text is no RFC 3339 time. */
bool tw_clock_parse_rfc3339(const char *text, int64_t *ret_wall_ms);
/* Broken-down UTC of any int64 time, also before 1970; milliseconds in [0, 999]. */
void tw_clock_utc(int64_t wall_ms, struct tm *ret_tm, int *ret_ms);

/* Floor division, so that times before 1970 fall into the right window. divisor > 0. */
static inline int64_t tw_floor_div(int64_t dividend, int64_t divisor)
{
    int64_t quotient = dividend / divisor;
    return quotient - (dividend % divisor < 0);
}

#endif
