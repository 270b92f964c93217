/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/utf8.h"

/* Length of the well-formed sequence at s, or 0 (RFC 3629 section 4, as a table of second bytes).
 */
static size_t sequence_bytes(const unsigned char *s, size_t size)
{
    unsigned char first = s[0];
    if (first < 0x80)
        return 1;
    size_t need = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || size < need)
        return 0;
    unsigned char low = 0x80, high = 0xbf;
    if (first == 0xe0)
        low = 0xa0; /* over-long */
    else if (first == 0xed)
        high = 0x9f; /* surrogates */
    else if (first == 0xf0)
        low = 0x90; /* over-long */
    else if (first == 0xf4)
        high = 0x8f; /* above U+10FFFF */
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return need;
}

bool tw_utf8_valid(struct tw_str s)
{
    const unsigned char *bytes = (const unsigned char *)s.data;
    for (size_t i = 0; i < s.size;) {
        size_t step = sequence_bytes(bytes + i, s.size - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

size_t tw_utf8_decode(struct tw_str s, uint32_t *ret_code_point)
{
    if (s.size == 0)
        return 0;
    const unsigned char *bytes = (const unsigned char *)s.data;
    size_t count = sequence_bytes(bytes, s.size);
    if (count == 0) {
        *ret_code_point = 0xfffd;
        return 1;
    }
    static const unsigned char first_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code_point = bytes[0] & first_mask[count];
    for (size_t i = 1; i < count; i++)
        code_point = code_point << 6 | (bytes[i] & 0x3fu);
    *ret_code_point = code_point;
    return count;
}

size_t tw_utf8_encode(uint32_t code_point, char *ret_bytes)
{
    if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff))
        code_point = 0xfffd;
    if (code_point < 0x80) {
        ret_bytes[0] = (char)code_point;
        return 1;
    }
    size_t count = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    static const unsigned char first_mark[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = count - 1; i > 0; i--) {
        ret_bytes[i] = (char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    ret_bytes[0] = (char)(first_mark[count] | code_point);
    return count;
}
