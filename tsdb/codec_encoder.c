/* SPDX-License-Identifier: Apache-2.0
 *
 * codec_encoder: the ways to write a chunk, and which of them is the shortest.
 */
#include "config.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"
#include "tsdb/codec_int.h"
#include "tsdb/pack.h"

#define DICTIONARY_SLOTS 128
#define SHORT_ITEMS 48
#define PATCH_BYTES 10 /* about what one costs */
/* Decimals that take so much an item may be patterns by chance. */
#define HARDLY_DECIMAL_BYTES 5
/* A chunk that takes fewer bytes than this is not worth another try. */
#define SMALL_BYTES 24
#define DECIMAL_LIMIT 9007199254740992.0 /* 2^53: integers below are exact doubles */

static size_t varint_bytes(uint64_t number)
{
    size_t size = 1;
    while (number > 0x7f) {
        number >>= 7;
        size++;
    }
    return size;
}

/* ---- xor ---- */

/* A control byte with low nibble 0 stands for 1 to 16 items equal to the one before. */
static void encode_xor(const uint64_t *values, size_t count, struct tw_buf *ret)
{
    tw_buf_append_char(ret, (char)TSDB_CODEC_XOR);
    uint64_t before = 0;
    for (size_t i = 0; i < count;) {
        if (values[i] != before) {
            tsdb_xor_append(ret, values[i] ^ before);
            before = values[i++];
            continue;
        }
        size_t run = 1;
        while (run < 16 && i + run < count && values[i + run] == before)
            run++;
        tw_buf_append_char(ret, (char)((run - 1) << 4));
        i += run;
    }
}

/* ---- bit packing ---- */

static void pack(const uint64_t *items, size_t count, unsigned width, struct tw_buf *ret)
{
    if (width == 0 || count == 0)
        return;
    size_t size = (count * width + 7) / 8;
    unsigned char *to = (unsigned char *)tw_buf_reserve(ret, size);
    if (!to)
        return;
    uint64_t mask = UINT64_MAX >> (64 - width), hold = 0;
    unsigned held = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t item = items[i] & mask;
        hold |= item << held;
        held += width;
        if (held < 64)
            continue;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        hold = __builtin_bswap64(hold);
#endif
        memcpy(to, &hold, sizeof hold);
        to += sizeof hold;
        held -= 64;
        hold = held ? item >> (width - held) : 0;
    }
    for (; held > 0; held = held > 8 ? held - 8 : 0) {
        *to++ = (unsigned char)hold;
        hold >>= 8;
    }
    ret->size += size;
}

static unsigned widest(const uint64_t *items, size_t count)
{
    return tsdb_codec_bits(tsdb_pack_union(items, count));
}

/* Cheapest width for the items when wider ones become exceptions: two bytes at least, and one more
 * for each seven bits above the width and the next seven. So many items have more bits than the
 * width, than seven more, and so on: their sum is that of the bytes. */
static unsigned choose_width(const uint64_t *items, size_t count, size_t *ret_bytes)
{
    uint16_t histogram[65];
    uint32_t bytes_above[64 + 8] = {0};
    unsigned most = widest(items, count), best_width = most;
    size_t best = (count * most + 7) / 8, exceptions = 0;
    *ret_bytes = best;
    if (best <= 2) /* less than one exception takes */
        return most;
    tsdb_pack_widths(items, count, histogram);
    for (unsigned width = most; width-- > 0;) {
        exceptions += histogram[width + 1];
        if (exceptions * 2 >= best)
            break;
        bytes_above[width] = (uint32_t)exceptions + bytes_above[width + 7];
        size_t bytes = 1 + (count * width + 7) / 8 + exceptions + bytes_above[width];
        if (bytes < best) {
            best = bytes;
            best_width = width;
        }
    }
    *ret_bytes = best;
    return best_width;
}

static size_t count_exceptions(const uint64_t *items, size_t count, unsigned width)
{
    size_t exceptions = 0;
    for (size_t i = 0; i < count; i++)
        exceptions += items[i] >> width != 0;
    return exceptions;
}

static void append_exceptions(const uint64_t *items, size_t count, unsigned width,
                              size_t exceptions, struct tw_buf *ret)
{
    tsdb_varint_append(ret, exceptions);
    for (size_t i = 0, before = 0; i < count; i++)
        if (items[i] >> width != 0) {
            tsdb_varint_append(ret, i - before);
            tsdb_varint_append(ret, items[i] >> width);
            before = i;
        }
}

/* ---- integers ---- */

/* One way to write a chunk: items of some bits, and what makes integers of them. */
struct plan {
    enum tsdb_codec codec;
    unsigned width;
    uint64_t base, extra; /* extra: step or slope, where the codec has one */
    uint64_t items[TSDB_CODEC_CHUNK_MAX];
    size_t count; /* of items */
    size_t bytes; /* all, but for the first byte and the divisor */
    bool hasty;
};

/* Few items, or little time: exceptions are looked for in the plan that wins without them. */
static bool is_short(const struct plan *plan)
{
    return plan->hasty || plan->count < SHORT_ITEMS;
}

static void measure(struct plan *plan)
{
    if (is_short(plan)) {
        plan->width = widest(plan->items, plan->count);
        plan->bytes = (plan->count * plan->width + 7) / 8;
    } else {
        plan->width = choose_width(plan->items, plan->count, &plan->bytes);
    }
    plan->bytes += 1 + varint_bytes(tsdb_zigzag(plan->base));
    if (plan->codec == TSDB_CODEC_RISE || plan->codec == TSDB_CODEC_LINE ||
        plan->codec == TSDB_CODEC_DELTA2)
        plan->bytes += varint_bytes(tsdb_zigzag(plan->extra));
}

/* So many of the least items may become wide ones, when that makes the others small. */
#define OUTLIERS 3
#define OUTLIER_BITS 96 /* about what one costs */

/* What to subtract so that signed items become small: the least one, or the one above a few that
 * lie far below the others (counters that began anew). */
static uint64_t choose_base(const uint64_t *items, size_t count)
{
    const struct tsdb_pack_range range = tsdb_pack_range(items, count);
    unsigned widest_bits = tsdb_codec_bits((uint64_t)range.most - (uint64_t)range.least);
    /* Where more than that need the last bit, nothing is won. */
    if (count <= OUTLIERS || widest_bits < 2 ||
        tsdb_pack_count_below(items, count, range.most, UINT64_MAX >> (65 - widest_bits)) >
            OUTLIERS)
        return (uint64_t)range.least;
    int64_t least[OUTLIERS + 1], most = range.most;
    for (int i = 0; i <= OUTLIERS; i++)
        least[i] = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        int64_t item = (int64_t)items[i];
        if (item >= least[OUTLIERS])
            continue;
        least[OUTLIERS] = item;
        for (int j = OUTLIERS; j > 0 && least[j] < least[j - 1]; j--) {
            int64_t swapped = least[j];
            least[j] = least[j - 1];
            least[j - 1] = swapped;
        }
    }
    int best = 0;
    size_t best_bits = widest_bits * count;
    for (int i = 1; i <= OUTLIERS; i++) {
        unsigned fewer = tsdb_codec_bits((uint64_t)most - (uint64_t)least[i]);
        if (fewer * count + (size_t)i * OUTLIER_BITS >= best_bits)
            continue;
        best = i;
        best_bits = fewer * count + (size_t)i * OUTLIER_BITS;
    }
    return (uint64_t)least[best];
}

static void plan_plain(struct plan *plan, const uint64_t *scaled, size_t count)
{
    plan->codec = TSDB_CODEC_PLAIN;
    plan->count = count;
    plan->base = choose_base(scaled, count);
    tsdb_pack_level(scaled, count, 0, plan->base, plan->items);
    measure(plan);
}

static void plan_line(struct plan *plan, const uint64_t *scaled, size_t count)
{
    int64_t rise = (int64_t)(scaled[count - 1] - scaled[0]), steps = (int64_t)count - 1;
    plan->codec = TSDB_CODEC_LINE;
    plan->count = count;
    plan->extra = (uint64_t)(rise / steps + (rise % steps * 2 >= steps));
    tsdb_pack_level(scaled, count, plan->extra, 0, plan->items);
    plan->base = choose_base(plan->items, count);
    tsdb_pack_level(plan->items, count, 0, plan->base, plan->items);
    measure(plan);
}

static void plan_rise(struct plan *plan, const uint64_t *deltas, size_t count)
{
    plan->codec = TSDB_CODEC_RISE;
    plan->count = count;
    plan->base = 0;
    plan->extra = choose_base(deltas, count);
    tsdb_pack_level(deltas, count, 0, plan->extra, plan->items);
    measure(plan);
}

static void plan_delta(struct plan *plan, const uint64_t *deltas, size_t count)
{
    plan->codec = TSDB_CODEC_DELTA;
    plan->count = count;
    plan->base = 0;
    tsdb_pack_zigzags(deltas, count, plan->items);
    measure(plan);
}

static void plan_delta2(struct plan *plan, const uint64_t *deltas, size_t count)
{
    plan->codec = TSDB_CODEC_DELTA2;
    plan->count = count - 1;
    plan->base = 0;
    plan->extra = deltas[0];
    tsdb_pack_deltas(deltas, count, plan->items);
    tsdb_pack_zigzags(plan->items, count - 1, plan->items);
    measure(plan);
}

struct encoder {
    uint64_t items[TSDB_CODEC_CHUNK_MAX], scaled[TSDB_CODEC_CHUNK_MAX];
    uint64_t deltas[TSDB_CODEC_CHUNK_MAX];
    struct plan plans[2];
    uint16_t patches[TSDB_CODEC_CHUNK_MAX];
    size_t patch_count;
};

static void keep_better(struct plan **best, struct plan **other)
{
    if ((*other)->bytes < (*best)->bytes) {
        struct plan *swapped = *best;
        *best = *other;
        *other = swapped;
    }
}

/* Which of the ways that few items are written in takes the fewest bytes, by their ranges. */
static void plan_shortly(struct plan *plan, const struct encoder *encoder, size_t count)
{
    const struct tsdb_pack_range plain = tsdb_pack_range(encoder->scaled, count);
    const struct tsdb_pack_range rise = tsdb_pack_range(encoder->deltas, count - 1);
    unsigned plain_width = tsdb_codec_bits((uint64_t)plain.most - (uint64_t)plain.least);
    unsigned rise_width = tsdb_codec_bits((uint64_t)rise.most - (uint64_t)rise.least);
    unsigned delta_width = tsdb_codec_bits(tsdb_pack_zigzag_union(encoder->deltas, count - 1));
    size_t plain_bytes =
        (count * plain_width + 7) / 8 + varint_bytes(tsdb_zigzag((uint64_t)plain.least));
    size_t rise_bytes =
        ((count - 1) * rise_width + 7) / 8 + 1 + varint_bytes(tsdb_zigzag((uint64_t)rise.least));
    size_t delta_bytes = ((count - 1) * delta_width + 7) / 8 + 1;
    if (plain_bytes <= rise_bytes && plain_bytes <= delta_bytes)
        plan_plain(plan, encoder->scaled, count);
    else if (rise_bytes <= delta_bytes)
        plan_rise(plan, encoder->deltas, count - 1);
    else
        plan_delta(plan, encoder->deltas, count - 1);
}

/* Bit patterns have no common divisor but the zero bits at their ends. */
static uint64_t choose_divisor(const uint64_t *items, size_t count, bool are_patterns)
{
    uint64_t divisor;
    if (are_patterns) {
        uint64_t all = tsdb_pack_union(items, count);
        divisor = all & (0 - all);
    } else {
        divisor = tsdb_pack_divisor(items, count);
    }
    return divisor ? divisor : 1;
}

static struct plan *plan_integers(struct encoder *encoder, const uint64_t *items, size_t count,
                                  bool are_patterns, uint64_t *ret_divisor)
{
    struct plan *best = &encoder->plans[0], *other = &encoder->plans[1];
    tsdb_pack_level(items, count, 0, items[0], encoder->scaled);
    uint64_t divisor = choose_divisor(encoder->scaled, count, are_patterns);
    if (divisor > 1)
        tsdb_pack_divide(encoder->scaled, count, divisor);
    tsdb_pack_deltas(encoder->scaled, count, encoder->deltas);
    if (count < SHORT_ITEMS) { /* of few items the others are as good or nearly so */
        plan_shortly(best, encoder, count);
    } else {
        plan_plain(best, encoder->scaled, count);
        plan_rise(other, encoder->deltas, count - 1);
        keep_better(&best, &other);
        plan_delta(other, encoder->deltas, count - 1);
        keep_better(&best, &other);
        plan_delta2(other, encoder->deltas, count - 1);
        keep_better(&best, &other);
        plan_line(other, encoder->scaled, count);
        keep_better(&best, &other);
    }
    size_t before = (best->count * best->width + 7) / 8, after;
    if (is_short(best) && (!best->hasty || before > SMALL_BYTES)) {
        best->width = choose_width(best->items, best->count, &after);
        best->bytes -= before - after;
    }
    best->base = best->base * divisor + items[0];
    *ret_divisor = divisor;
    return best;
}

static size_t plan_bytes(const struct plan *plan, uint64_t divisor)
{
    return plan->bytes + (divisor > 1 ? varint_bytes(divisor) : 0);
}

static void append_plan(const struct plan *plan, uint64_t divisor, unsigned control,
                        struct tw_buf *ret)
{
    size_t exceptions = count_exceptions(plan->items, plan->count, plan->width);
    tw_buf_append_char(ret, (char)(control | (unsigned)plan->codec));
    tw_buf_append_char(ret, (char)(plan->width | (exceptions ? WIDTH_EXCEPTIONS : 0) |
                                   (divisor > 1 ? WIDTH_DIVISOR : 0)));
    if (divisor > 1)
        tsdb_varint_append(ret, divisor);
    tsdb_varint_append(ret, tsdb_zigzag(plan->base));
    if (plan->codec == TSDB_CODEC_RISE || plan->codec == TSDB_CODEC_LINE ||
        plan->codec == TSDB_CODEC_DELTA2)
        tsdb_varint_append(ret, tsdb_zigzag(plan->extra));
    pack(plan->items, plan->count, plan->width, ret);
    if (exceptions)
        append_exceptions(plan->items, plan->count, plan->width, exceptions, ret);
}

/* ---- patterns ---- */

static bool is_constant(const uint64_t *items, size_t count)
{
    return count < 2 || memcmp(items, items + 1, (count - 1) * sizeof *items) == 0;
}

/* A pattern as its difference to the one before, which may be the same. */
static void append_pattern(uint64_t difference, struct tw_buf *ret)
{
    if (difference)
        tsdb_xor_append(ret, difference);
    else
        tw_buf_append_char(ret, 0);
}

static size_t pattern_bytes(uint64_t difference)
{
    return difference ? 9 - (unsigned)__builtin_clzll(difference) / 8 -
                            (unsigned)__builtin_ctzll(difference) / 8
                      : 1;
}

static size_t xor_bytes(const uint64_t *values, size_t count)
{
    size_t bytes = 0;
    uint64_t before = 0;
    for (size_t i = 0; i < count; i++) {
        if (values[i] != before)
            bytes += pattern_bytes(values[i] ^ before);
        else if (i == 0 || i % 16 == 0 || values[i - 1] != (i > 1 ? values[i - 2] : 0))
            bytes++; /* about: runs of up to 16 */
        before = values[i];
    }
    return bytes;
}

/* A few patterns, and which of them each item is. */
struct dictionary {
    uint64_t entries[DICTIONARY_MAX];
    uint64_t places[TSDB_CODEC_CHUNK_MAX];
    size_t count;
    unsigned width;
    size_t bytes;
};

static bool find_patterns(struct dictionary *dictionary, const uint64_t *values, size_t count)
{
    uint8_t slots[DICTIONARY_SLOTS] = {0}; /* place + 1 */
    dictionary->count = 0;
    dictionary->bytes = 1;
    for (size_t i = 0; i < count; i++) {
        size_t at = (values[i] * UINT64_C(0x9e3779b97f4a7c15)) >> 57;
        while (slots[at] && dictionary->entries[slots[at] - 1] != values[i])
            at = (at + 1) % DICTIONARY_SLOTS;
        if (!slots[at]) {
            if (dictionary->count == DICTIONARY_MAX)
                return false;
            uint64_t before = dictionary->count ? dictionary->entries[dictionary->count - 1] : 0;
            dictionary->bytes += pattern_bytes(values[i] ^ before);
            dictionary->entries[dictionary->count++] = values[i];
            slots[at] = (uint8_t)dictionary->count;
        }
        dictionary->places[i] = slots[at] - 1u;
    }
    dictionary->width = tsdb_codec_bits(dictionary->count - 1);
    dictionary->bytes += (count * dictionary->width + 7) / 8;
    return true;
}

static void append_dictionary(const struct dictionary *dictionary, size_t count, struct tw_buf *ret)
{
    tw_buf_append_char(ret, (char)TSDB_CODEC_DICTIONARY);
    tw_buf_append_char(ret, (char)dictionary->count);
    for (size_t i = 0; i < dictionary->count; i++)
        append_pattern(dictionary->entries[i] ^ (i ? dictionary->entries[i - 1] : 0), ret);
    pack(dictionary->places, count, dictionary->width, ret);
}

/* ---- decimals ---- */

/* False unless value is exactly *ret / 10^exponent, by the division that the decoder does. */
static bool to_decimal(double value, unsigned exponent, int64_t *ret)
{
    double scaled = value * tsdb_unpack_powers[exponent];
    if (!(fabs(scaled) < DECIMAL_LIMIT))
        return false;
    int64_t number = (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    if (tw_double_bits((double)number / tsdb_unpack_powers[exponent]) != tw_double_bits(value))
        return false;
    *ret = number;
    return true;
}

/* The smallest exponent that serves all but a few, which are listed in encoder->patches (stale
 * markers, the odd sum of decimals); false if there is none. */
static bool to_decimals(struct encoder *encoder, const uint64_t *values, size_t count,
                        unsigned *ret_exponent)
{
    unsigned exponent = 0;
    size_t patches_max = 1 + count / 32, proven = 0; /* items [0, proven) hold at this exponent */
    uint64_t *ret = encoder->items;
    encoder->patch_count = 0;
    while (proven < count) {
        int64_t number;
        proven += tsdb_pack_decimals(values + proven, count - proven, exponent, ret + proven);
        if (proven == count)
            break;
        double value = tw_double_from_bits(values[proven]);
        if (to_decimal(value, exponent, &number)) {
            ret[proven++] = (uint64_t)number;
            continue;
        }
        unsigned needed = exponent;
        while (++needed <= EXPONENT_MAX && !to_decimal(value, needed, &number))
            ;
        if (needed <= EXPONENT_MAX) {
            exponent = needed;
            proven = encoder->patch_count = 0; /* what came before is to be scaled anew */
            continue;
        }
        if (encoder->patch_count == patches_max)
            return false;
        encoder->patches[encoder->patch_count++] = (uint16_t)proven;
        ret[proven] = proven ? ret[proven - 1] : 0;
        proven++;
    }
    /* What stands in for a patched value costs least when it is like its neighbour. */
    size_t good = 0;
    while (good < encoder->patch_count && encoder->patches[good] == good)
        good++;
    for (size_t i = 0; i < good && good < count; i++)
        ret[i] = ret[good];
    *ret_exponent = exponent;
    return encoder->patch_count < count;
}

static void append_patches(const struct encoder *encoder, const uint64_t *values,
                           struct tw_buf *ret)
{
    if (encoder->patch_count == 0)
        return;
    tsdb_varint_append(ret, encoder->patch_count);
    for (size_t i = 0, before = 0; i < encoder->patch_count; i++) {
        tsdb_varint_append(ret, encoder->patches[i] - before);
        tsdb_append_u64(ret, values[encoder->patches[i]]);
        before = encoder->patches[i];
    }
}

/* ---- chunks ---- */

static void append_constant(uint64_t bits, struct tw_buf *ret)
{
    tw_buf_append_char(ret, (char)TSDB_CODEC_CONSTANT);
    append_pattern(bits, ret);
}

static void append_xor_or_plan(const struct plan *plan, uint64_t divisor, unsigned control,
                               const uint64_t *values, size_t count, struct tw_buf *ret)
{
    if (plan->width > WIDTH_BITS || xor_bytes(values, count) < plan_bytes(plan, divisor))
        encode_xor(values, count, ret);
    else
        append_plan(plan, divisor, control, ret);
}

/* Patterns that are no decimals: integers of their bits, or the XOR of neighbours. */
static void encode_patterns(struct encoder *encoder, const uint64_t *values, size_t count,
                            struct tw_buf *ret)
{
    uint64_t divisor;
    const struct plan *plan = plan_integers(encoder, values, count, true, &divisor);
    struct dictionary dictionary;
    if (count >= SHORT_ITEMS && find_patterns(&dictionary, values, count) &&
        dictionary.bytes < plan_bytes(plan, divisor) && dictionary.bytes < xor_bytes(values, count))
        append_dictionary(&dictionary, count, ret);
    else
        append_xor_or_plan(plan, divisor, EXPONENT_BITS << CONTROL_EXPONENT_SHIFT, values, count,
                           ret);
}

static void encode_values_chunk(struct encoder *encoder, const uint64_t *values, size_t count,
                                struct tw_buf *ret)
{
    unsigned exponent;
    uint64_t divisor;
    if (is_constant(values, count)) {
        append_constant(values[0], ret);
        return;
    }
    if (!to_decimals(encoder, values, count, &exponent)) {
        encode_patterns(encoder, values, count, ret);
        return;
    }
    const struct plan *plan = plan_integers(encoder, encoder->items, count, false, &divisor);
    size_t bytes = plan_bytes(plan, divisor) + encoder->patch_count * PATCH_BYTES;
    if (bytes > count * HARDLY_DECIMAL_BYTES) {
        plan = plan_integers(encoder, values, count, true, &divisor);
        if (plan_bytes(plan, divisor) <= bytes) {
            encode_patterns(encoder, values, count, ret);
            return;
        }
        plan = plan_integers(encoder, encoder->items, count, false, &divisor);
    }
    struct dictionary dictionary;
    if (count >= SHORT_ITEMS && bytes > SMALL_BYTES && find_patterns(&dictionary, values, count) &&
        dictionary.bytes < bytes) {
        append_dictionary(&dictionary, count, ret);
        return;
    }
    append_plan(plan, divisor,
                exponent << CONTROL_EXPONENT_SHIFT | (encoder->patch_count ? CONTROL_PATCHED : 0),
                ret);
    append_patches(encoder, values, ret);
}

/* ---- columns ---- */

static void set_haste(struct encoder *encoder, bool hasty)
{
    encoder->plans[0].hasty = encoder->plans[1].hasty = hasty;
}

void tsdb_codec_encode_times(const int64_t *times, size_t count, struct tw_buf *ret)
{
    struct encoder encoder;
    set_haste(&encoder, false);
    uint64_t divisor;
    for (size_t done = 0, chunk; done < count; done += chunk) {
        const uint64_t *items = (const uint64_t *)times + done;
        chunk = tsdb_codec_chunk(count - done);
        if (is_constant(items, chunk)) {
            append_constant(items[0], ret);
            continue;
        }
        const struct plan *plan = plan_integers(&encoder, items, chunk, false, &divisor);
        append_xor_or_plan(plan, divisor, 0, items, chunk, ret);
    }
}

static void encode_values(const uint64_t *values, size_t count, bool hasty, struct tw_buf *ret)
{
    struct encoder encoder;
    set_haste(&encoder, hasty);
    for (size_t done = 0, chunk; done < count; done += chunk) {
        chunk = tsdb_codec_chunk(count - done);
        encode_values_chunk(&encoder, values + done, chunk, ret);
    }
}

void tsdb_codec_encode_values(const uint64_t *values, size_t count, struct tw_buf *ret)
{
    encode_values(values, count, false, ret);
}

void tsdb_codec_encode_values_hastily(const uint64_t *values, size_t count, struct tw_buf *ret)
{
    encode_values(values, count, true, ret);
}
