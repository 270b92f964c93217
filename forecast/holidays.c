/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "forecast/holidays.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"

#define HOLIDAYS_MAGIC 0x686f6c69u
#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
/* Days that return each year do so in these. */
#define YEAR_FIRST 1970
#define YEAR_LAST 2100
#define OFFSET_HOURS_MAX 14

struct holiday {
    int32_t day; /* since 1970, in the calendar's offset */
    uint8_t like;
};

struct forecast_holidays {
    unsigned magic;
    atomic_size_t holders;
    uint64_t hash;
    int64_t offset_ms;
    struct holiday *items; /* by day; the later line wins */
    size_t count, capacity;
};

/* ---- file ---- */

static enum tw_code fail(struct tw_err *err, uint32_t line, const char *reason, struct tw_str word)
{
    word.size = word.size < 40 ? word.size : 40;
    enum tw_code code =
        tw_err_set(err, TW_BAD_DATA, "line %u: '%.*s' %s", line, TW_STR_ARG(word), reason);
    err->line = line;
    return code;
}

/* The next word; what is behind it stays in *rest. */
static struct tw_str take_word(struct tw_str *rest)
{
    *rest = tw_str_trim(*rest);
    size_t end = 0;
    while (end < rest->size && rest->data[end] != ' ' && rest->data[end] != '\t')
        end++;
    struct tw_str word = tw_str_slice(*rest, 0, end);
    *rest = tw_str_trim(tw_str_slice(*rest, end, rest->size));
    return word;
}

static bool parse_date(struct tw_str text, int32_t *ret_day)
{
    char stamp[32];
    int64_t ms;
    if (text.size != 10)
        return false;
    snprintf(stamp, sizeof stamp, "%.*sT00:00:00Z", TW_STR_ARG(text));
    if (!tw_clock_parse_rfc3339(stamp, &ms))
        return false;
    *ret_day = (int32_t)(ms / DAY_MS - (ms % DAY_MS < 0));
    return true;
}

static bool parse_weekday(struct tw_str text, uint8_t *ret)
{
    static const char *const names[] = {"sunday",   "monday", "tuesday", "wednesday",
                                        "thursday", "friday", "saturday"};
    for (uint8_t i = 0; i < 7; i++)
        if (tw_str_is(text, names[i])) {
            *ret = i;
            return true;
        }
    return false;
}

static bool parse_offset(struct tw_str text, int64_t *ret_ms)
{
    const char *c = text.data;
    if (text.size != 6 || (c[0] != '+' && c[0] != '-') || c[3] != ':')
        return false;
    for (size_t i = 1; i < 6; i++)
        if (i != 3 && (c[i] < '0' || c[i] > '9'))
            return false;
    int hours = (c[1] - '0') * 10 + c[2] - '0', minutes = (c[4] - '0') * 10 + c[5] - '0';
    *ret_ms = (c[0] == '-' ? -1 : 1) * (hours * HOUR_MS + minutes * HOUR_MS / 60);
    return hours <= OFFSET_HOURS_MAX && minutes < 60;
}

static bool add(struct forecast_holidays *holidays, int32_t day, uint8_t like)
{
    if (holidays->count == FORECAST_HOLIDAYS_MAX)
        return false;
    if (holidays->count == holidays->capacity) {
        holidays->capacity = holidays->capacity ? 2 * holidays->capacity : 64;
        holidays->items = realloc(holidays->items, holidays->capacity * sizeof *holidays->items);
        TW_ASSERT(holidays->items != NULL);
    }
    holidays->items[holidays->count++] = (struct holiday){day, like};
    return true;
}

/* "*-12-25": a 29 February only in the years that have one. */
static bool add_yearly(struct forecast_holidays *holidays, struct tw_str month_day, uint8_t like,
                       bool *ret_full)
{
    bool any = false;
    for (int year = YEAR_FIRST; year <= YEAR_LAST && !*ret_full; year++) {
        char text[32];
        int32_t day;
        int size = snprintf(text, sizeof text, "%04d%.*s", year, TW_STR_ARG(month_day));
        if (size != 10 || !parse_date((struct tw_str){text, 10}, &day))
            continue;
        any = true;
        *ret_full = !add(holidays, day, like);
    }
    return any;
}

static enum tw_code take_days(struct forecast_holidays *holidays, struct tw_str days, uint8_t like,
                              uint32_t number, struct tw_err *err)
{
    int32_t first, last;
    bool full = false;
    size_t dots = tw_str_find(days, TW_STR(".."));
    if (tw_str_starts(days, TW_STR("*-"))) {
        if (days.size != 7 || !add_yearly(holidays, tw_str_slice(days, 1, days.size), like, &full))
            return fail(err, number, "is no day of a year: write *-12-25", days);
    } else {
        struct tw_str from = tw_str_slice(days, 0, dots == SIZE_MAX ? days.size : dots);
        struct tw_str to = dots == SIZE_MAX ? from : tw_str_slice(days, dots + 2, days.size);
        if (!parse_date(from, &first) || !parse_date(to, &last))
            return fail(err, number,
                        "is no day: write 2026-12-25, 2026-12-27..2026-12-31 or *-12-25", days);
        if (last < first)
            return fail(err, number, "ends before it begins", days);
        for (int32_t day = first; day <= last && !full; day++)
            full = !add(holidays, day, like);
    }
    return full ? fail(err, number, "is one day too many: 100000 are taken", days) : TW_OK;
}

static enum tw_code take_line(struct forecast_holidays *holidays, struct tw_str line,
                              uint32_t number, struct tw_err *err)
{
    uint8_t like = 0;
    for (size_t i = 0; i < line.size; i++)
        if (line.data[i] == '#')
            line.size = i;
    struct tw_str word = take_word(&line);
    if (word.size == 0)
        return TW_OK;
    if (tw_str_is(word, "offset")) {
        struct tw_str offset = take_word(&line);
        return parse_offset(offset, &holidays->offset_ms)
                   ? TW_OK
                   : fail(err, number, "is no offset from UTC: write +01:00", offset);
    }
    struct tw_str rest = line;
    if (tw_str_is(take_word(&rest), "like")) {
        struct tw_str weekday = take_word(&rest);
        if (!parse_weekday(weekday, &like))
            return fail(err, number, "is no weekday: write sunday, monday ... saturday", weekday);
    }
    return take_days(holidays, word, like, number, err);
}

static int compare_days(const void *a, const void *b)
{
    const struct holiday *x = a, *y = b;
    return (x->day > y->day) - (x->day < y->day);
}

/* By day, of the same one the last in the file. */
static void sort_days(struct forecast_holidays *holidays)
{
    size_t kept = 0;
    if (holidays->count == 0)
        return;
    struct holiday *copy = malloc(holidays->count * sizeof *copy);
    TW_ASSERT(copy != NULL);
    memcpy(copy, holidays->items, holidays->count * sizeof *copy);
    qsort(holidays->items, holidays->count, sizeof *holidays->items, compare_days);
    for (size_t i = 0; i < holidays->count; i++)
        if (kept == 0 || holidays->items[kept - 1].day != holidays->items[i].day)
            holidays->items[kept++] = holidays->items[i];
    for (size_t i = 0; i < holidays->count; i++) {
        struct holiday *at =
            bsearch(&copy[i], holidays->items, kept, sizeof *holidays->items, compare_days);
        at->like = copy[i].like;
    }
    holidays->count = kept;
    free(copy);
}

enum tw_code forecast_holidays_parse(struct tw_str text, struct forecast_holidays **ret,
                                     struct tw_err *err)
{
    struct forecast_holidays *holidays = calloc(1, sizeof *holidays);
    enum tw_code code = TW_OK;
    struct tw_str line, rest = text;
    TW_ASSERT(holidays != NULL);
    holidays->magic = HOLIDAYS_MAGIC;
    atomic_init(&holidays->holders, 1);
    if (text.size > FORECAST_HOLIDAYS_BYTES_MAX)
        code = tw_err_set(err, TW_BAD_DATA, "a calendar has at most %zu bytes",
                          FORECAST_HOLIDAYS_BYTES_MAX);
    for (uint32_t number = 1; code == TW_OK && tw_str_split(&rest, '\n', &line); number++)
        code = take_line(holidays, line, number, err);
    if (code != TW_OK) {
        forecast_holidays_unref(holidays);
        return code;
    }
    sort_days(holidays);
    holidays->hash = tw_hash64(text.data, text.size) | 1; /* not that of none */
    *ret = holidays;
    return TW_OK;
}

enum tw_code forecast_holidays_read(const char *path, struct forecast_holidays **ret,
                                    struct tw_err *err)
{
    struct tw_buf text;
    struct tw_err reason;
    tw_buf_init(&text, FORECAST_HOLIDAYS_BYTES_MAX);
    enum tw_code code = tw_file_read(path, &text, &reason);
    if (code == TW_OK)
        code = forecast_holidays_parse(tw_buf_str(&text), ret, &reason);
    tw_buf_fini(&text);
    return code == TW_OK ? TW_OK : tw_err_set(err, code, "calendar '%s': %s", path, reason.message);
}

struct forecast_holidays *forecast_holidays_ref(struct forecast_holidays *holidays)
{
    if (holidays)
        atomic_fetch_add(&holidays->holders, 1);
    return holidays;
}

struct forecast_holidays *forecast_holidays_unref(struct forecast_holidays *holidays)
{
    if (!holidays)
        return NULL;
    TW_CHECK_MAGIC(holidays, HOLIDAYS_MAGIC);
    if (atomic_fetch_sub(&holidays->holders, 1) == 1) {
        holidays->magic = 0;
        free(holidays->items);
        free(holidays);
    }
    return NULL;
}

uint64_t forecast_holidays_hash(const struct forecast_holidays *holidays)
{
    return holidays ? holidays->hash : 0;
}

size_t forecast_holidays_count(const struct forecast_holidays *holidays)
{
    return holidays ? holidays->count : 0;
}

/* ---- days ---- */

static int32_t day_of(const struct forecast_holidays *holidays, int64_t time_ms)
{
    return (int32_t)tw_floor_div(time_ms + holidays->offset_ms, DAY_MS);
}

static int weekday_of(int32_t day)
{
    return (int)(((int64_t)day % 7 + 11) % 7); /* 1970-01-01 was a Thursday */
}

int forecast_holidays_like(const struct forecast_holidays *holidays, int64_t time_ms)
{
    if (!holidays || holidays->count == 0)
        return FORECAST_ORDINARY_DAY;
    const struct holiday wanted = {.day = day_of(holidays, time_ms)};
    const struct holiday *found =
        bsearch(&wanted, holidays->items, holidays->count, sizeof *holidays->items, compare_days);
    return found ? found->like : FORECAST_ORDINARY_DAY;
}

/* ---- shapes ---- */

struct sighting {
    int slot; /* weekday * 24 + hour */
    double value;
};

static int compare_sightings(const void *a, const void *b)
{
    const struct sighting *x = a, *y = b;
    if (x->slot != y->slot)
        return x->slot - y->slot;
    return (x->value > y->value) - (x->value < y->value);
}

void forecast_shape_learn(struct forecast_shape *shape, const struct forecast_holidays *holidays,
                          const double *values, size_t count, int64_t last_ms, int64_t step_ms)
{
    struct sighting *seen = malloc((count + 1) * sizeof *seen);
    size_t sightings = 0;
    TW_ASSERT(seen != NULL && holidays != NULL);
    for (size_t i = 0; i < 7 * 24; i++)
        shape->level[i / 24][i % 24] = NAN;
    for (size_t i = 0; i < count; i++) {
        int64_t middle_ms = last_ms - (int64_t)(count - 1 - i) * step_ms - step_ms / 2;
        if (!isfinite(values[i]) ||
            forecast_holidays_like(holidays, middle_ms) != FORECAST_ORDINARY_DAY)
            continue;
        int64_t hour = tw_floor_div(middle_ms + holidays->offset_ms, HOUR_MS) -
                       (int64_t)day_of(holidays, middle_ms) * 24;
        seen[sightings++] =
            (struct sighting){weekday_of(day_of(holidays, middle_ms)) * 24 + (int)hour, values[i]};
    }
    qsort(seen, sightings, sizeof *seen, compare_sightings);
    for (size_t i = 0, end; i < sightings; i = end) {
        for (end = i; end < sightings && seen[end].slot == seen[i].slot;)
            end++;
        shape->level[seen[i].slot / 24][seen[i].slot % 24] = (float)seen[i + (end - i) / 2].value;
    }
    free(seen);
}

static double hour_ratio(const struct forecast_shape *shape, int weekday, int like, int hour)
{
    double own = shape->level[weekday][hour], other = shape->level[like][hour];
    if (!(own > 0) || !(other >= 0))
        return 1;
    return fmin(fmax(other / own, 1 / FORECAST_HOLIDAY_RATIO_MAX), FORECAST_HOLIDAY_RATIO_MAX);
}

/* Between the middles of two hours of the day the ratio goes from one to the other. */
double forecast_shape_ratio(const struct forecast_shape *shape,
                            const struct forecast_holidays *holidays, int64_t end_ms,
                            int64_t step_ms)
{
    int64_t middle_ms = end_ms - step_ms / 2;
    int like = forecast_holidays_like(holidays, middle_ms);
    if (like == FORECAST_ORDINARY_DAY)
        return 1;
    int32_t day = day_of(holidays, middle_ms);
    double hours =
        (double)(middle_ms + holidays->offset_ms - (int64_t)day * DAY_MS) / (double)HOUR_MS - 0.5;
    hours = fmin(fmax(hours, 0), 23);
    int hour = hours < 22 ? (int)hours : 22;
    int weekday = weekday_of(day);
    double before = hour_ratio(shape, weekday, like, hour);
    double behind = hour_ratio(shape, weekday, like, hour + 1);
    return before + (behind - before) * (hours - hour);
}
