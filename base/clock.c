/* SPDX-License-Identifier: Apache-2.0
 *
 * The system clock reads the kernel's; a manual clock holds a number. Its sleepers wait on a
 * condition until an advance has carried the number past their time.
 */
#include "config.h"

#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/lock.h"

#define CLOCK_MAGIC 0x5457434cu
#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

struct tw_clock {
    unsigned magic;
    bool manual;
    struct tw_lock lock; /* guards the wait of sleepers for now_ns to move */
    struct tw_cond advanced;
    int64_t start_ms;       /* manual: wall time at now_ns 0 */
    _Atomic int64_t now_ns; /* manual: monotonic time */
};

static struct tw_clock system_clock = {.magic = CLOCK_MAGIC};

static int64_t read_kernel(clockid_t id)
{
    struct timespec now;
    int failed = clock_gettime(id, &now);
    TW_ASSERT(!failed);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

struct tw_clock *tw_clock_system(void)
{
    return &system_clock;
}

struct tw_clock *tw_clock_manual_new(int64_t wall_ms)
{
    struct tw_clock *clock = calloc(1, sizeof *clock);
    TW_ASSERT(clock != NULL);
    clock->magic = CLOCK_MAGIC;
    clock->manual = true;
    clock->start_ms = wall_ms;
    tw_lock_init(&clock->lock, TW_RANK_LEAF, "manual clock");
    tw_cond_init(&clock->advanced);
    return clock;
}

struct tw_clock *tw_clock_manual_free(struct tw_clock *clock)
{
    if (!clock)
        return NULL;
    TW_CHECK_MAGIC(clock, CLOCK_MAGIC);
    TW_ASSERT(clock->manual);
    tw_cond_fini(&clock->advanced);
    tw_lock_fini(&clock->lock);
    clock->magic = 0;
    free(clock);
    return NULL;
}

void tw_clock_manual_advance(struct tw_clock *clock, int64_t ms)
{
    TW_CHECK_MAGIC(clock, CLOCK_MAGIC);
    TW_ASSERT(clock->manual && ms >= 0);
    tw_lock_take(&clock->lock);
    clock->now_ns += ms * NS_PER_MS;
    tw_cond_broadcast(&clock->advanced);
    tw_lock_release(&clock->lock);
}

int64_t tw_clock_wall_ms(struct tw_clock *clock)
{
    TW_CHECK_MAGIC(clock, CLOCK_MAGIC);
    if (clock->manual)
        return clock->start_ms + clock->now_ns / NS_PER_MS;
    return tw_floor_div(read_kernel(CLOCK_REALTIME), NS_PER_MS);
}

int64_t tw_clock_mono_ns(struct tw_clock *clock)
{
    TW_CHECK_MAGIC(clock, CLOCK_MAGIC);
    return clock->manual ? clock->now_ns : read_kernel(CLOCK_MONOTONIC);
}

void tw_clock_sleep_ns(struct tw_clock *clock, int64_t ns)
{
    TW_CHECK_MAGIC(clock, CLOCK_MAGIC);
    if (ns <= 0)
        return;
    if (clock->manual) {
        int64_t until = clock->now_ns + ns;
        tw_lock_take(&clock->lock);
        while (clock->now_ns < until)
            tw_cond_wait(&clock->advanced, &clock->lock);
        tw_lock_release(&clock->lock);
        return;
    }
    struct timespec left = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

int64_t tw_clock_process_cpu_ns(void)
{
    return read_kernel(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t tw_clock_thread_cpu_ns(void)
{
    return read_kernel(CLOCK_THREAD_CPUTIME_ID);
}

void tw_clock_utc(int64_t wall_ms, struct tm *ret_tm, int *ret_ms)
{
    time_t seconds = (time_t)tw_floor_div(wall_ms, 1000);
    *ret_ms = (int)(wall_ms - (int64_t)seconds * 1000);
    if (!gmtime_r(&seconds, ret_tm))
        *ret_tm = (struct tm){.tm_mday = 1, .tm_year = 70};
}

void tw_clock_format_rfc3339(int64_t wall_ms, char *ret_text)
{
    struct tm tm;
    int ms;
    tw_clock_utc(wall_ms, &tm, &ms);
    snprintf(ret_text, TW_CLOCK_RFC3339_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
             tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ms);
}

/* Exactly `digits` decimal digits within [low, high], or -1. */
static int read_digits(const char **text, int digits, int low, int high)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        char c = (*text)[i];
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    *text += digits;
    return value >= low && value <= high ? value : -1;
}

static bool read_char(const char **text, char wanted)
{
    if (**text != wanted)
        return false;
    (*text)++;
    return true;
}

/* Milliseconds of ".123456"; further digits are cut off. */
static bool read_fraction(const char **text, int *ret_ms)
{
    *ret_ms = 0;
    if (!read_char(text, '.'))
        return true;
    int weight = 100, digits = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++, digits++) {
        *ret_ms += (**text - '0') * weight;
        weight /= 10;
    }
    return digits > 0;
}

static bool read_offset(const char **text, int *ret_minutes)
{
    *ret_minutes = 0;
    if (read_char(text, 'Z') || read_char(text, 'z'))
        return true;
    int sign = **text == '-' ? -1 : 1;
    if (!read_char(text, '+') && !read_char(text, '-'))
        return false;
    int hours = read_digits(text, 2, 0, 23);
    if (hours < 0 || !read_char(text, ':'))
        return false;
    int minutes = read_digits(text, 2, 0, 59);
    *ret_minutes = sign * (hours * 60 + minutes);
    return minutes >= 0;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

bool tw_clock_parse_rfc3339(const char *text, int64_t *ret_wall_ms)
{
    int year = read_digits(&text, 4, 0, 9999);
    if (year < 0 || !read_char(&text, '-'))
        return false;
    int month = read_digits(&text, 2, 1, 12);
    if (month < 0 || !read_char(&text, '-'))
        return false;
    int day = read_digits(&text, 2, 1, days_in_month(year, month));
    if (day < 0 || (!read_char(&text, 'T') && !read_char(&text, 't')))
        return false;
    int hour = read_digits(&text, 2, 0, 23);
    if (hour < 0 || !read_char(&text, ':'))
        return false;
    int minute = read_digits(&text, 2, 0, 59);
    if (minute < 0 || !read_char(&text, ':'))
        return false;
    int second = read_digits(&text, 2, 0, 59);
    int ms, offset_minutes;
    if (second < 0 || !read_fraction(&text, &ms) || !read_offset(&text, &offset_minutes) || *text)
        return false;
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    *ret_wall_ms = ((int64_t)timegm(&tm) - offset_minutes * 60) * 1000 + ms;
    return true;
}
