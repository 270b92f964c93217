/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/letter.h"

#include <stddef.h>

#include "base/utf8.h"

#define SHARP_S 0xDF /* has no upper case of one letter */

/* Lower-case letters first..last (every step-th) have their upper case at -delta. */
static const struct range {
    uint16_t first, last, step;
    int16_t delta;
} ranges[] = {
    {'a', 'z', 1, 32},       {0x00E0, 0x00F6, 1, 32},
    {0x00F8, 0x00FE, 1, 32}, {0x00FF, 0x00FF, 1, 0x00FF - 0x0178},
    {0x0101, 0x012F, 2, 1},  {0x0133, 0x0137, 2, 1},
    {0x013A, 0x0148, 2, 1},  {0x014B, 0x0177, 2, 1},
    {0x017A, 0x017E, 2, 1},  {0x03AC, 0x03AC, 1, 38},
    {0x03AD, 0x03AF, 1, 37}, {0x03B1, 0x03C1, 1, 32},
    {0x03C3, 0x03CB, 1, 32}, {0x03CC, 0x03CC, 1, 64},
    {0x03CD, 0x03CE, 1, 63}, {0x0430, 0x044F, 1, 32},
    {0x0450, 0x045F, 1, 80}, {0x0461, 0x0481, 2, 1},
    {0x048B, 0x04BF, 2, 1},  {0x04D1, 0x052F, 2, 1},
    {0x0561, 0x0586, 1, 48}, {0x1E01, 0x1E95, 2, 1},
    {0x1EA1, 0x1EFF, 2, 1},
};

uint32_t alert_letter_upper(uint32_t rune)
{
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const struct range *r = &ranges[i];
        if (rune >= r->first && rune <= r->last && (rune - r->first) % r->step == 0)
            return (uint32_t)((int32_t)rune - r->delta);
    }
    return rune;
}

uint32_t alert_letter_lower(uint32_t rune)
{
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const struct range *r = &ranges[i];
        int32_t lower = (int32_t)rune + r->delta;
        if (lower >= r->first && lower <= r->last && ((uint32_t)lower - r->first) % r->step == 0)
            return (uint32_t)lower;
    }
    return rune;
}

void alert_letter_change_case(struct tw_str text, bool upper, struct tw_buf *out)
{
    for (size_t at = 0; at < text.size;) {
        uint32_t rune = 0;
        char bytes[4];
        at += tw_utf8_decode(tw_str_slice(text, at, text.size), &rune);
        rune = upper ? alert_letter_upper(rune) : alert_letter_lower(rune);
        tw_buf_append(out, bytes, tw_utf8_encode(rune, bytes));
    }
}

static bool is_cased(uint32_t rune)
{
    return alert_letter_upper(rune) != rune || alert_letter_lower(rune) != rune || rune == SHARP_S;
}

/* Belongs to a word (Unicode's word boundaries, as far as names and sentences need them). */
static bool in_word(uint32_t rune)
{
    return is_cased(rune) || (rune >= '0' && rune <= '9') || rune == '_' || rune >= 0xAA;
}

/* Joins two letters of one word: it's, e.g. */
static bool joins(uint32_t rune)
{
    return rune == '\'' || rune == '.' || rune == ':' || rune == 0xB7 || rune == 0x2019;
}

static bool is_dash_or_space(uint32_t rune)
{
    return (rune >= 0x2000 && rune <= 0x206F) || rune == 0x3000 || rune == 0xAB || rune == 0xBB;
}

void alert_letter_title(struct tw_str text, struct tw_buf *out)
{
    bool titled = false; /* this word has its upper-case letter */
    uint32_t before = 0;
    for (size_t at = 0; at < text.size;) {
        uint32_t rune = 0, after = 0;
        char bytes[4];
        at += tw_utf8_decode(tw_str_slice(text, at, text.size), &rune);
        tw_utf8_decode(tw_str_slice(text, at, text.size), &after);
        bool joined = joins(rune) && is_cased(before) && at < text.size && is_cased(after);
        if (!joined && (!in_word(rune) || is_dash_or_space(rune)))
            titled = false;
        before = rune;
        if (!titled && rune == SHARP_S) {
            tw_buf_append_cstr(out, "Ss");
            titled = true;
            continue;
        }
        if (!titled && is_cased(rune)) {
            rune = alert_letter_upper(rune);
            titled = true;
        }
        tw_buf_append(out, bytes, tw_utf8_encode(rune, bytes));
    }
}
