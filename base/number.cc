/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

extern "C" {
#include "base/number.h"
}

#include <charconv>
#include <cmath>
#include <cstring>

static size_t give(char *ret_text, const char *text)
{
    size_t size = strlen(text);
    memcpy(ret_text, text, size + 1);
    return size;
}

static size_t format_special(double value, char *ret_text)
{
    if (std::isnan(value))
        return give(ret_text, "NaN");
    return give(ret_text, value > 0 ? "+Inf" : "-Inf");
}

/* From 2^53 on to_chars writes out the exact integer, Go the shortest digits and then zeros:
 * 1e23 is 100000000000000000000000, not 99999999999999991611392. */
static size_t format_large(double value, char *ret_text)
{
    char text[40];
    auto result = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific);
    char *out = ret_text, *at = text;
    if (*at == '-')
        *out++ = *at++;
    const char *digits = out;
    for (; at < result.ptr && *at != 'e'; at++)
        if (*at != '.')
            *out++ = *at;
    int exponent = 0;
    std::from_chars(at + 2, result.ptr, exponent); /* behind "e+" */
    while (out - digits <= exponent)
        *out++ = '0';
    *out = 0;
    return (size_t)(out - ret_text);
}

size_t tw_uint64_format(uint64_t value, char *ret_text)
{
    return (size_t)(std::to_chars(ret_text, ret_text + TW_UINT64_BYTES, value).ptr - ret_text);
}

/* Numbers of at most three decimals and fifteen digits in all, as most of what is measured: 0 for
 * any other. Decimals of so few digits are doubles of their own, so that the one which gives the
 * value is the shortest that does; the division is rounded as reading the text would be. */
static size_t format_short(double value, char *ret_text)
{
    double magnitude = std::fabs(value), scaled = magnitude * 1000;
    if (!(scaled < 1e15))
        return 0;
    uint64_t thousandths = (uint64_t)(scaled + 0.5);
    if ((double)thousandths / 1000 != magnitude)
        return 0;
    char *out = ret_text;
    if (std::signbit(value))
        *out++ = '-';
    out += tw_uint64_format(thousandths / 1000, out);
    unsigned rest = (unsigned)(thousandths % 1000);
    if (rest > 0) {
        *out++ = '.';
        for (unsigned unit = 100; rest > 0; rest %= unit, unit /= 10)
            *out++ = (char)('0' + rest / unit);
    }
    *out = 0;
    return (size_t)(out - ret_text);
}

size_t tw_double_format_fixed(double value, char *ret_text)
{
    if (!std::isfinite(value))
        return format_special(value, ret_text);
    size_t size = format_short(value, ret_text);
    if (size > 0)
        return size;
    if (std::fabs(value) >= 9007199254740992.0)
        return format_large(value, ret_text);
    auto result =
        std::to_chars(ret_text, ret_text + TW_DOUBLE_BYTES - 1, value, std::chars_format::fixed);
    *result.ptr = 0;
    return (size_t)(result.ptr - ret_text);
}

size_t tw_double_format_general(double value, char *ret_text)
{
    if (!std::isfinite(value))
        return format_special(value, ret_text);
    double magnitude = std::fabs(value);
    if (magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e21))
        return tw_double_format_fixed(value, ret_text);
    auto result = std::to_chars(ret_text, ret_text + TW_DOUBLE_BYTES - 1, value,
                                std::chars_format::scientific);
    *result.ptr = 0;
    return (size_t)(result.ptr - ret_text);
}

static bool is_word(const char *text, size_t size, const char *word)
{
    if (strlen(word) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((text[i] | 0x20) != word[i])
            return false;
    return true;
}

/* Out of range: <charconv> leaves the value alone; Go's ParseFloat rounds to 0 or infinity. A
 * number too small differs from one too large by the sign of its decimal exponent. */
static double out_of_range(const char *first, const char *last, bool hexadecimal)
{
    double exponent = 0;
    const char *digits_end = first;
    char marker = hexadecimal ? 'p' : 'e';
    while (digits_end < last && (*digits_end | 0x20) != marker)
        digits_end++;
    if (digits_end < last) {
        const char *p = digits_end + 1;
        bool negative = p < last && *p == '-';
        if (p < last && (*p == '-' || *p == '+'))
            p++;
        for (; p < last && exponent < 1e9; p++)
            exponent = exponent * 10 + (*p - '0');
        if (negative)
            exponent = -exponent;
    }
    /* Digits before the point raise, zeros behind it lower the magnitude. */
    double weight = hexadecimal ? 4 : 1;
    const char *p = first;
    while (p < digits_end && *p == '0')
        p++;
    if (p < digits_end && *p == '.') {
        for (p++; p < digits_end && *p == '0'; p++)
            exponent -= weight;
    } else {
        for (; p < digits_end && *p != '.'; p++)
            exponent += weight;
    }
    return exponent > 0 ? HUGE_VAL : 0;
}

bool tw_double_parse(struct tw_str text, double *ret_value)
{
    const char *first = text.data, *last = text.data + text.size;
    if (text.size == 0)
        return false;
    bool negative = *first == '-';
    if (*first == '-' || *first == '+')
        first++;
    size_t size = (size_t)(last - first);
    double value;
    if (is_word(first, size, "inf") || is_word(first, size, "infinity")) {
        value = HUGE_VAL;
    } else if (is_word(first, size, "nan")) {
        if (first != text.data)
            return false; /* Go knows no signed NaN */
        value = tw_double_from_bits(TW_NAN_BITS);
    } else {
        bool hexadecimal = size > 2 && first[0] == '0' && (first[1] | 0x20) == 'x';
        if (hexadecimal)
            first += 2;
        /* A digit or a point must follow: <charconv> would take a sign or "inf" here. */
        if (first == last || !((*first >= '0' && *first <= '9') || *first == '.' ||
                               (hexadecimal && (*first | 0x20) >= 'a' && (*first | 0x20) <= 'f')))
            return false;
        auto format = hexadecimal ? std::chars_format::hex : std::chars_format::general;
        auto result = std::from_chars(first, last, value, format);
        if (result.ptr != last)
            return false;
        if (result.ec == std::errc::result_out_of_range)
            value = out_of_range(first, last, hexadecimal);
        else if (result.ec != std::errc())
            return false;
    }
    *ret_value = negative ? -value : value;
    return true;
}

template <typename Integer> static bool parse_integer(struct tw_str text, Integer *ret_value)
{
    if (text.size == 0)
        return false;
    Integer value;
    auto result = std::from_chars(text.data, text.data + text.size, value);
    if (result.ec != std::errc() || result.ptr != text.data + text.size)
        return false;
    *ret_value = value;
    return true;
}

bool tw_int64_parse(struct tw_str text, int64_t *ret_value)
{
    return parse_integer(text, ret_value);
}

bool tw_uint64_parse(struct tw_str text, uint64_t *ret_value)
{
    return parse_integer(text, ret_value);
}
