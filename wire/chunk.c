/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/chunk.h"

#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/number.h"
#include "wire/protobuf.h"

/* Of a histogram chunk's third byte: what its first sample says of those before. */
enum { HEADER_UNKNOWN = 0x00, HEADER_NO_RESET = 0x40, HEADER_RESET = 0x80, HEADER_GAUGE = 0xc0 };

#define NO_WINDOW 0xff /* no XOR was written yet whose place the next could share */
#define LEADING_MAX 31 /* what five bits hold */

/* ---- bits, the most significant first ---- */

struct bits {
    struct tw_buf *out;
    uint64_t pending; /* its lowest `count` bits, less than 8 between calls */
    unsigned count;
};

static void put_bits(struct bits *bits, uint64_t value, unsigned count)
{
    TW_ASSERT(count <= 64);
    if (count > 32) {
        put_bits(bits, value >> 32, count - 32);
        count = 32;
    }
    bits->pending = bits->pending << count | (value & ((UINT64_C(1) << count) - 1));
    for (bits->count += count; bits->count >= 8; bits->count -= 8)
        tw_buf_append_char(bits->out, (char)(bits->pending >> (bits->count - 8)));
    bits->pending &= (UINT64_C(1) << bits->count) - 1;
}

static void put_varint(struct bits *bits, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put_bits(bits, (value & 0x7f) | 0x80, 8);
    put_bits(bits, value, 8);
}

static void put_double(struct bits *bits, double value)
{
    put_bits(bits, tw_double_bits(value), 64);
}

static void finish_bits(struct bits *bits)
{
    if (bits->count > 0)
        put_bits(bits, 0, 8 - bits->count);
}

/* Whether count bits hold it in Prometheus's two's complement, which has one more above zero than
 * below. */
static bool fits(int64_t value, unsigned count)
{
    int64_t half = INT64_C(1) << (count - 1);
    return -(half - 1) <= value && value <= half;
}

/* A 0 for zero; else ones, a zero and as many bits as that says. */
static const unsigned var_bits[] = {3, 6, 9, 12, 18, 25, 56};
#define VAR_CLASSES (sizeof var_bits / sizeof *var_bits)

static void put_class(struct bits *bits, unsigned class, uint64_t value)
{
    if (class == VAR_CLASSES) {
        put_bits(bits, 0xff, 8);
        put_bits(bits, value, 64);
        return;
    }
    put_bits(bits, (UINT64_C(2) << (class + 1)) - 2, class + 2);
    put_bits(bits, value, var_bits[class]);
}

static void put_var_signed(struct bits *bits, uint64_t value)
{
    unsigned class = 0;
    while (class < VAR_CLASSES && !fits((int64_t)value, var_bits[class]))
        class ++;
    if (value == 0)
        put_bits(bits, 0, 1);
    else
        put_class(bits, class, value);
}

static void put_var_unsigned(struct bits *bits, uint64_t value)
{
    unsigned class = 0;
    while (class < VAR_CLASSES && value >> var_bits[class] != 0)
        class ++;
    if (value == 0)
        put_bits(bits, 0, 1);
    else
        put_class(bits, class, value);
}

/* ---- doubles as their difference from the one before ---- */

struct xor_state {
    uint64_t before;
    unsigned leading, trailing; /* zeros around the last difference */
};

static void put_xor(struct bits *bits, struct xor_state *state, double value)
{
    uint64_t now = tw_double_bits(value), difference = now ^ state->before;
    state->before = now;
    if (difference == 0) {
        put_bits(bits, 0, 1);
        return;
    }
    unsigned leading = (unsigned)__builtin_clzll(difference);
    unsigned trailing = (unsigned)__builtin_ctzll(difference);
    leading = leading > LEADING_MAX ? LEADING_MAX : leading;
    if (state->leading != NO_WINDOW && leading >= state->leading && trailing >= state->trailing) {
        put_bits(bits, 2, 2);
        put_bits(bits, difference >> state->trailing, 64 - state->leading - state->trailing);
        return;
    }
    state->leading = leading;
    state->trailing = trailing;
    unsigned width = 64 - leading - trailing;
    put_bits(bits, 3, 2);
    put_bits(bits, leading, 5);
    put_bits(bits, width & 63, 6); /* 64 is written as 0 */
    put_bits(bits, difference >> trailing, width);
}

static struct bits begin_chunk(size_t count, struct tw_buf *ret)
{
    TW_ASSERT(count > 0 && count <= UINT16_MAX);
    tw_buf_append_char(ret, (char)(count >> 8));
    tw_buf_append_char(ret, (char)count);
    return (struct bits){.out = ret};
}

/* ---- numbers ---- */

static void put_time(struct bits *bits, int64_t change)
{
    static const unsigned widths[] = {14, 17, 20};
    if (change == 0) {
        put_bits(bits, 0, 1);
        return;
    }
    for (unsigned i = 0; i < 3; i++)
        if (fits(change, widths[i])) {
            put_bits(bits, (UINT64_C(4) << i) - 2, i + 2);
            put_bits(bits, (uint64_t)change, widths[i]);
            return;
        }
    put_bits(bits, 15, 4);
    put_bits(bits, (uint64_t)change, 64);
}

void wire_chunk_put_floats(const int64_t *times, const double *values, size_t count,
                           struct tw_buf *ret)
{
    struct bits bits = begin_chunk(count, ret);
    struct xor_state state = {tw_double_bits(values[0]), NO_WINDOW, 0};
    uint64_t before = 0;
    put_varint(&bits, wire_zigzag(times[0]));
    put_double(&bits, values[0]);
    for (size_t i = 1; i < count; i++) {
        uint64_t step = (uint64_t)times[i] - (uint64_t)times[i - 1];
        if (i == 1)
            put_varint(&bits, step);
        else
            put_time(&bits, (int64_t)(step - before));
        put_xor(&bits, &state, values[i]);
        before = step;
    }
    finish_bits(&bits);
}

/* ---- where a histogram chunk ends ---- */

static bool goes_down(bool is_float, union wire_count before, union wire_count after)
{
    return is_float ? after.real < before.real : after.integer < before.integer;
}

static bool side_goes_down(bool is_float, const struct wire_buckets *before,
                           const struct wire_buckets *after)
{
    for (uint32_t i = 0; i < before->count; i++)
        if (goes_down(is_float, before->counts[i], after->counts[i]))
            return true;
    return false;
}

bool wire_chunk_is_reset(const struct wire_histogram *before, const struct wire_histogram *after)
{
    bool is_float = after->is_float;
    return !wire_histogram_same_layout(before, after) ||
           goes_down(is_float, before->count, after->count) ||
           goes_down(is_float, before->zero_count, after->zero_count) ||
           side_goes_down(is_float, &before->positive, &after->positive) ||
           side_goes_down(is_float, &before->negative, &after->negative);
}

static bool goes_on(const struct wire_histogram *before, const struct wire_histogram *after)
{
    bool gauge = before->reset_hint == WIRE_RESET_GAUGE;
    if (wire_histogram_is_stale(before))
        return wire_histogram_is_stale(after);
    if (wire_histogram_is_stale(after))
        return true;
    if (gauge != (after->reset_hint == WIRE_RESET_GAUGE) || after->reset_hint == WIRE_RESET_YES)
        return false;
    return gauge ? wire_histogram_same_layout(before, after) : !wire_chunk_is_reset(before, after);
}

size_t wire_chunk_fit(const struct wire_histogram *const *items, size_t count)
{
    size_t fit = 1;
    while (fit < count && fit < WIRE_CHUNK_SAMPLES_MAX && goes_on(items[fit - 1], items[fit]))
        fit++;
    return fit;
}

/* ---- layouts ---- */

static void put_zero_threshold(struct bits *bits, double threshold)
{
    int exponent;
    double fraction = frexp(threshold, &exponent);
    if (threshold == 0) {
        put_bits(bits, 0, 8);
    } else if (fraction == 0.5 && exponent >= -242 && exponent <= 11) {
        put_bits(bits, (uint64_t)(exponent + 243), 8);
    } else {
        put_bits(bits, 255, 8);
        put_double(bits, threshold);
    }
}

static void put_spans(struct bits *bits, const struct wire_buckets *buckets)
{
    put_var_unsigned(bits, buckets->span_count);
    for (uint32_t i = 0; i < buckets->span_count; i++) {
        put_var_unsigned(bits, buckets->spans[i].length);
        put_var_signed(bits, (uint64_t)(int64_t)buckets->spans[i].offset);
    }
}

/* Bounds of at most three decimals as whole numbers. */
static void put_bound(struct bits *bits, double bound)
{
    double thousandfold = bound * 1000;
    if (thousandfold >= 0 && thousandfold <= 33554430 && round(thousandfold) / 1000 == bound) {
        put_var_unsigned(bits, (uint64_t)round(thousandfold) + 1);
    } else {
        put_bits(bits, 0, 1);
        put_double(bits, bound);
    }
}

static void put_layout(struct bits *bits, const struct wire_histogram *h)
{
    put_zero_threshold(bits, h->zero_threshold);
    put_var_signed(bits, (uint64_t)(int64_t)h->schema);
    put_spans(bits, &h->positive);
    put_spans(bits, &h->negative);
    if (!wire_histogram_is_custom(h))
        return;
    put_var_unsigned(bits, h->custom_count);
    for (uint32_t i = 0; i < h->custom_count; i++)
        put_bound(bits, h->custom_values[i]);
}

/* ---- histograms ---- */

/* A number of which the second difference is written. */
struct dod_state {
    uint64_t before, step;
};

static void put_dod(struct bits *bits, struct dod_state *state, uint64_t now)
{
    uint64_t step = now - state->before;
    put_var_signed(bits, step - state->step);
    *state = (struct dod_state){now, step};
}

/* Of a count: its place is the same in each sample of the chunk. */
union count_state {
    struct dod_state integer;
    struct xor_state real;
};

struct encoder {
    struct bits bits;
    struct dod_state time;
    struct xor_state sum;
    union count_state count, zero_count;
    union count_state *buckets; /* positive, then negative */
};

static void put_first_side(struct encoder *encoder, bool is_float,
                           const struct wire_buckets *buckets, union count_state *states)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < buckets->count; i++) {
        uint64_t now = buckets->counts[i].integer; /* or the bits of a double */
        if (is_float) {
            put_bits(&encoder->bits, now, 64);
            states[i].real = (struct xor_state){now, NO_WINDOW, 0};
        } else {
            put_var_signed(&encoder->bits, now - before);
            states[i].integer = (struct dod_state){now - before, 0};
            before = now;
        }
    }
}

static void put_first(struct encoder *encoder, const struct wire_histogram *h)
{
    struct bits *bits = &encoder->bits;
    put_layout(bits, h);
    put_var_signed(bits, (uint64_t)h->time_ms);
    if (h->is_float) {
        put_double(bits, h->count.real);
        put_double(bits, h->zero_count.real);
        encoder->count.real = (struct xor_state){h->count.integer, NO_WINDOW, 0};
        encoder->zero_count.real = (struct xor_state){h->zero_count.integer, NO_WINDOW, 0};
    } else {
        put_var_unsigned(bits, h->count.integer);
        put_var_unsigned(bits, h->zero_count.integer);
        encoder->count.integer = (struct dod_state){h->count.integer, 0};
        encoder->zero_count.integer = (struct dod_state){h->zero_count.integer, 0};
    }
    put_double(bits, h->sum);
    encoder->time = (struct dod_state){(uint64_t)h->time_ms, 0};
    encoder->sum = (struct xor_state){tw_double_bits(h->sum), NO_WINDOW, 0};
    put_first_side(encoder, h->is_float, &h->positive, encoder->buckets);
    put_first_side(encoder, h->is_float, &h->negative, encoder->buckets + h->positive.count);
}

static void put_count(struct bits *bits, bool is_float, union count_state *state,
                      union wire_count now)
{
    if (is_float)
        put_xor(bits, &state->real, now.real);
    else
        put_dod(bits, &state->integer, now.integer);
}

static void put_next_side(struct encoder *encoder, bool is_float,
                          const struct wire_buckets *buckets, union count_state *states)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < buckets->count; i++) {
        union wire_count now = buckets->counts[i];
        if (is_float) {
            put_xor(&encoder->bits, &states[i].real, now.real);
        } else {
            put_dod(&encoder->bits, &states[i].integer, now.integer - before);
            before = now.integer;
        }
    }
}

static void put_next(struct encoder *encoder, const struct wire_histogram *h)
{
    struct bits *bits = &encoder->bits;
    put_dod(bits, &encoder->time, (uint64_t)h->time_ms);
    if (wire_histogram_is_stale(h) && !h->is_float) {
        put_var_signed(bits, 0); /* the counts of a stale marker are not looked at */
        put_var_signed(bits, 0);
    } else {
        put_count(bits, h->is_float, &encoder->count, h->count);
        put_count(bits, h->is_float, &encoder->zero_count, h->zero_count);
    }
    put_xor(bits, &encoder->sum, h->sum);
    if (wire_histogram_is_stale(h))
        return;
    put_next_side(encoder, h->is_float, &h->positive, encoder->buckets);
    put_next_side(encoder, h->is_float, &h->negative, encoder->buckets + h->positive.count);
}

static unsigned header_of(const struct wire_histogram *before, const struct wire_histogram *first)
{
    if (first->reset_hint == WIRE_RESET_GAUGE)
        return HEADER_GAUGE;
    if (first->reset_hint == WIRE_RESET_YES)
        return HEADER_RESET;
    if (!before || before->is_float != first->is_float || wire_histogram_is_stale(before) ||
        wire_histogram_is_stale(first) || before->reset_hint == WIRE_RESET_GAUGE ||
        !wire_histogram_same_layout(before, first))
        return first->reset_hint == WIRE_RESET_NO ? HEADER_NO_RESET : HEADER_UNKNOWN;
    return wire_chunk_is_reset(before, first) ? HEADER_RESET : HEADER_NO_RESET;
}

void wire_chunk_put_histograms(const struct wire_histogram *before,
                               const struct wire_histogram *const *items, size_t count,
                               struct tw_buf *ret)
{
    /* A stale marker has no buckets and no layout. */
    const struct wire_histogram marker = {.time_ms = items[0]->time_ms,
                                          .is_float = items[0]->is_float,
                                          .reset_hint = items[0]->reset_hint,
                                          .sum = items[0]->sum};
    const struct wire_histogram *first = wire_histogram_is_stale(items[0]) ? &marker : items[0];
    struct encoder encoder = {.bits = begin_chunk(count, ret)};
    encoder.buckets =
        calloc((size_t)first->positive.count + first->negative.count + 1, sizeof *encoder.buckets);
    TW_ASSERT(encoder.buckets != NULL);
    put_bits(&encoder.bits, header_of(before, first), 8);
    put_first(&encoder, first);
    for (size_t i = 1; i < count; i++)
        put_next(&encoder, items[i]);
    finish_bits(&encoder.bits);
    free(encoder.buckets);
}
