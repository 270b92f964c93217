/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/head_tail.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/codec.h"

#define HEADER_BYTES 16
#define CONTROL_TIME 0x80u
#define CONTROL_KEPT 15u
#define CONTROL_LEAD_SHIFT 4
/* In place of the bytes kept: a run whose length follows. */
#define KEPT_RUN 9u
#define SHORT_RUN_MAX 8u
/* Control, time, value. */
#define SAMPLE_BYTES_MAX (1 + 10 + 8)
#define RUN_BYTES_MAX 2
/* What is written at once: a run, a sample, and what an 8-byte store writes behind them. */
#define ROOM_BYTES (RUN_BYTES_MAX + SAMPLE_BYTES_MAX + 8)

static const uint8_t capacities[] = {0, 32, 64, 128, TSDB_HEAD_TAIL_BYTES_MAX};
#define CLASS_LAST (sizeof capacities / sizeof *capacities - 1)
/* A tail that holds more samples than this is packed when its class is full: so it gets a larger
 * one only if its samples are so large that few of them would be packed together. */
static const uint8_t samples_max[] = {UINT8_MAX, UINT8_MAX, 12, 24, 0};

static_assert(CLASS_LAST < 8, "a class is three bits");
static_assert(sizeof(struct tsdb_head_tail) == 40, "a series is small");

/* ---- writing ---- */

static void note_time(struct tsdb_head_tail *tail, int64_t time_ms)
{
    if (time_ms <= tail->last_ms)
        return;
    uint64_t step = (uint64_t)time_ms - (uint64_t)tail->last_ms;
    if (!tail->shared)
        tail->step_ms = step <= INT32_MAX ? (int64_t)step : 0;
    tail->last_ms = time_ms;
}

static size_t put_run(unsigned char *to, unsigned run)
{
    if (run == 0)
        return 0;
    if (run <= SHORT_RUN_MAX) {
        to[0] = (unsigned char)((run - 1) << CONTROL_LEAD_SHIFT);
        return 1;
    }
    to[0] = KEPT_RUN;
    to[1] = (unsigned char)(run - 1);
    return 2;
}

/* to has ROOM_BYTES. */
static size_t put_sample(unsigned char *to, uint64_t unexpected, uint64_t difference)
{
    unsigned char *at = to + 1;
    unsigned lead = 0, kept = 0;
    if (difference) {
        lead = (unsigned)__builtin_clzll(difference) / 8;
        unsigned trail = (unsigned)__builtin_ctzll(difference) / 8;
        kept = 8 - lead - trail;
        difference >>= trail * 8;
    }
    *to = (unsigned char)(lead << CONTROL_LEAD_SHIFT | kept);
    if (unexpected) {
        *to |= CONTROL_TIME;
        uint64_t rest = tsdb_zigzag(unexpected);
        for (; rest >= 0x80; rest >>= 7)
            *at++ = (unsigned char)(rest | 0x80);
        *at++ = (unsigned char)rest;
    }
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    difference = __builtin_bswap64(difference);
#endif
    memcpy(at, &difference, sizeof difference);
    return (size_t)(at - to) + kept;
}

static void grow(struct tsdb_head_tail *tail, struct tsdb_head_memory *memory)
{
    unsigned class = tail->class + 1u;
    unsigned char *bytes = tsdb_head_memory_take(memory, capacities[class]);
    if (tail->bytes) {
        memcpy(bytes, tail->bytes, tail->size);
        tsdb_head_memory_give(memory, tail->bytes, capacities[tail->class]);
    }
    tail->bytes = bytes;
    tail->class = (uint8_t)(class & 7);
}

static bool make_room(struct tsdb_head_tail *tail, struct tsdb_head_memory *memory, size_t size)
{
    while (tail->size + size > capacities[tail->class]) {
        if (tail->count > samples_max[tail->class])
            return false;
        grow(tail, memory);
    }
    return true;
}

static bool put(struct tsdb_head_tail *tail, struct tsdb_head_memory *memory, uint64_t unexpected,
                uint64_t bits)
{
    unsigned char room[ROOM_BYTES];
    size_t size = put_run(room, tail->run);
    size += put_sample(room + size, unexpected, bits ^ tail->last_bits);
    if (!make_room(tail, memory, size))
        return false;
    if (capacities[tail->class] - tail->size >= ROOM_BYTES)
        memcpy(tail->bytes + tail->size, room, ROOM_BYTES); /* of known size: no call */
    else
        memcpy(tail->bytes + tail->size, room, size);
    tail->size = (uint8_t)(tail->size + size);
    tail->run = 0;
    tail->last_bits = bits;
    return true;
}

static void begin(struct tsdb_head_tail *tail, struct tsdb_head_memory *memory, uint64_t from,
                  uint64_t unexpected, uint64_t bits)
{
    TW_ASSERT(tail->count == 0);
    if (tail->class == 0)
        grow(tail, memory);
    memcpy(tail->bytes, &from, sizeof from);
    memcpy(tail->bytes + sizeof from, &tail->last_bits, sizeof tail->last_bits);
    tail->size = HEADER_BYTES;
    tail->count = 1;
    tail->run = 0;
    bool has_room = put(tail, memory, unexpected, bits);
    TW_ASSERT(has_room);
}

void tsdb_head_tail_begin(struct tsdb_head_tail *tail, struct tsdb_head_memory *memory,
                          int64_t time_ms, uint64_t bits)
{
    tail->shared = false;
    tail->step_ms = 0;
    begin(tail, memory, (uint64_t)tail->last_ms, (uint64_t)time_ms - (uint64_t)tail->last_ms, bits);
    note_time(tail, time_ms);
}

void tsdb_head_tail_begin_shared(struct tsdb_head_tail *tail, struct tsdb_head_memory *memory,
                                 struct tsdb_head_times *part, uint8_t place, int64_t time_ms,
                                 uint64_t bits)
{
    tail->shared = true;
    tail->part = part;
    tail->first_place = (uint8_t)(place - 1);
    tail->place = place;
    begin(tail, memory, (uint64_t)(uintptr_t)part, 0, bits);
    note_time(tail, time_ms);
}

bool tsdb_head_tail_add(struct tsdb_head_tail *tail, struct tsdb_head_memory *memory,
                        int64_t time_ms, uint64_t bits)
{
    uint64_t unexpected = 0;
    if (tail->count == TSDB_HEAD_TAIL_SAMPLES_MAX)
        return false;
    if (!tail->shared)
        unexpected = (uint64_t)time_ms - (uint64_t)tail->last_ms - (uint64_t)tail->step_ms;
    if (unexpected == 0 && bits == tail->last_bits)
        tail->run++;
    else if (!put(tail, memory, unexpected, bits))
        return false;
    tail->count++;
    note_time(tail, time_ms);
    return true;
}

void tsdb_head_tail_clear(struct tsdb_head_tail *tail)
{
    tail->size = tail->count = tail->run = 0;
}

/* ---- reading ---- */

static_assert(TSDB_HEAD_TAIL_BYTES_MAX % TSDB_HEAD_TAIL_GRAIN == 0, "all of a class can be copied");

void tsdb_head_tail_copy(const struct tsdb_head_tail *tail, unsigned char *room)
{
    for (size_t at = 0; at < tail->size; at += TSDB_HEAD_TAIL_GRAIN) /* of known size: no call */
        memcpy(room + at, tail->bytes + at, TSDB_HEAD_TAIL_GRAIN);
}

struct tsdb_head_tail_view tsdb_head_tail_view(const struct tsdb_head_tail *tail,
                                               const unsigned char *bytes)
{
    return (struct tsdb_head_tail_view){.bytes = bytes,
                                        .size = tail->size,
                                        .count = tail->count,
                                        .first_place = tail->first_place,
                                        .shared = tail->shared};
}

struct tsdb_head_times *tsdb_head_tail_part(const struct tsdb_head_tail_view *view)
{
    uint64_t part;
    TW_ASSERT(view->shared && view->count > 0);
    memcpy(&part, view->bytes, sizeof part);
    return (struct tsdb_head_times *)(uintptr_t)part;
}

static const unsigned char *read_time(const unsigned char *at, uint64_t *ret_unexpected)
{
    uint64_t number = 0;
    for (unsigned shift = 0;; shift += 7) {
        number |= (uint64_t)(*at & 0x7f) << shift;
        if (!(*at++ & 0x80))
            break;
    }
    *ret_unexpected = tsdb_unzigzag(number);
    return at;
}

/* Eight bytes from `at`, zeros behind the end; the header's sixteen stand in front. */
static inline uint64_t load(const unsigned char *at, const unsigned char *end)
{
    uint64_t word;
    const unsigned char *from = end - at >= 8 ? at : end - 8;
    memcpy(&word, from, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word >> (8 * (unsigned)(at - from));
}

/* kept > 0: bytes of it that are there. */
static inline const unsigned char *read_value(const unsigned char *at, const unsigned char *end,
                                              unsigned control, uint64_t *bits)
{
    unsigned lead = control >> CONTROL_LEAD_SHIFT & 7, kept = control & CONTROL_KEPT;
    TW_ASSERT(lead + kept <= 8 && (size_t)(end - at) >= kept);
    uint64_t difference = load(at, end) & UINT64_MAX >> (64 - 8 * kept);
    *bits ^= difference << (8 * (8 - lead - kept));
    return at + kept;
}

/* The times' side of reading: of those that are the tail's own. */
struct clock {
    int64_t last_ms, step_ms;
};

static int64_t advance(struct clock *clock, uint64_t unexpected)
{
    int64_t time_ms = (int64_t)((uint64_t)clock->last_ms + (uint64_t)clock->step_ms + unexpected);
    if (time_ms > clock->last_ms) {
        uint64_t step = (uint64_t)time_ms - (uint64_t)clock->last_ms;
        clock->step_ms = step <= INT32_MAX ? (int64_t)step : 0;
        clock->last_ms = time_ms;
    }
    return time_ms;
}

/* Of samples like the one before; 0: it is no run. */
static inline unsigned run_length(unsigned control, const unsigned char **at)
{
    if (control & CONTROL_TIME)
        return 0;
    if ((control & CONTROL_KEPT) == 0)
        return (control >> CONTROL_LEAD_SHIFT) + 1;
    if ((control & CONTROL_KEPT) == KEPT_RUN)
        return *(*at)++ + 1u;
    return 0;
}

void tsdb_head_tail_read_values(const struct tsdb_head_tail_view *view, uint64_t *ret_values)
{
    size_t count = 0;
    uint64_t bits;
    if (view->count == 0)
        return;
    memcpy(&bits, view->bytes + sizeof(uint64_t), sizeof bits);
    const unsigned char *at = view->bytes + HEADER_BYTES, *end = view->bytes + view->size;
    while (at < end) {
        unsigned control = *at++, run = run_length(control, &at);
        TW_ASSERT(count + (run ? run : 1) <= view->count);
        if (run == 0) {
            at = read_value(at, end, control, &bits);
            ret_values[count++] = bits;
        }
        for (; run > 0; run--)
            ret_values[count++] = bits;
    }
    while (count < view->count) /* the run at the end */
        ret_values[count++] = bits;
}

static void read_own(const struct tsdb_head_tail_view *view, int64_t *ret_times,
                     uint64_t *ret_values)
{
    struct clock clock = {0};
    uint64_t bits;
    size_t count = 0;
    memcpy(&clock.last_ms, view->bytes, sizeof clock.last_ms);
    memcpy(&bits, view->bytes + sizeof clock.last_ms, sizeof bits);
    const unsigned char *at = view->bytes + HEADER_BYTES, *end = view->bytes + view->size;
    while (at < end) {
        unsigned control = *at++, run = run_length(control, &at);
        uint64_t unexpected = 0;
        TW_ASSERT(count + (run ? run : 1) <= view->count);
        if (run == 0) {
            if (control & CONTROL_TIME)
                at = read_time(at, &unexpected);
            if (control & CONTROL_KEPT)
                at = read_value(at, end, control, &bits);
            run = 1;
        }
        for (; run > 0; run--) {
            ret_times[count] = advance(&clock, unexpected);
            ret_values[count++] = bits;
        }
    }
    for (; count < view->count; count++) { /* the run at the end */
        ret_times[count] = advance(&clock, 0);
        ret_values[count] = bits;
    }
}

void tsdb_head_tail_read(const struct tsdb_head_tail_view *view, int64_t *ret_times,
                         uint64_t *ret_values)
{
    if (view->count == 0)
        return;
    if (!view->shared) {
        read_own(view, ret_times, ret_values);
        return;
    }
    tsdb_head_tail_read_values(view, ret_values);
    tsdb_head_times_read(tsdb_head_tail_part(view), view->first_place, ret_times, view->count);
}
