/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct tw_str tw_str(const char *text)
{
    return (struct tw_str){text, text ? strlen(text) : 0};
}

bool tw_str_equal(struct tw_str a, struct tw_str b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool tw_str_is(struct tw_str a, const char *text)
{
    return tw_str_equal(a, tw_str(text));
}

int tw_str_compare(struct tw_str a, struct tw_str b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool tw_str_starts(struct tw_str s, struct tw_str prefix)
{
    return s.size >= prefix.size &&
           (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}

bool tw_str_ends(struct tw_str s, struct tw_str suffix)
{
    return s.size >= suffix.size && (suffix.size == 0 || memcmp(s.data + s.size - suffix.size,
                                                                suffix.data, suffix.size) == 0);
}

size_t tw_str_find(struct tw_str s, struct tw_str needle)
{
    if (needle.size == 0)
        return 0;
    if (s.size < needle.size)
        return SIZE_MAX;
    const char *found = memmem(s.data, s.size, needle.data, needle.size);
    return found ? (size_t)(found - s.data) : SIZE_MAX;
}

struct tw_str tw_str_slice(struct tw_str s, size_t first, size_t limit)
{
    if (limit > s.size)
        limit = s.size;
    if (first > limit)
        first = limit;
    return (struct tw_str){s.data ? s.data + first : NULL, limit - first};
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct tw_str tw_str_trim(struct tw_str s)
{
    size_t first = 0, limit = s.size;
    while (first < limit && is_space(s.data[first]))
        first++;
    while (limit > first && is_space(s.data[limit - 1]))
        limit--;
    return tw_str_slice(s, first, limit);
}

bool tw_str_split(struct tw_str *rest, char separator, struct tw_str *ret_part)
{
    if (!rest->data)
        return false;
    const char *found = rest->size ? memchr(rest->data, separator, rest->size) : NULL;
    if (!found) {
        *ret_part = *rest;
        *rest = (struct tw_str){NULL, 0};
        return true;
    }
    size_t at = (size_t)(found - rest->data);
    *ret_part = (struct tw_str){rest->data, at};
    *rest = (struct tw_str){found + 1, rest->size - at - 1};
    return true;
}

char *tw_str_dup(struct tw_str s)
{
    char *copy = malloc(s.size + 1);
    TW_ASSERT(copy != NULL);
    if (s.size)
        memcpy(copy, s.data, s.size);
    copy[s.size] = 0;
    return copy;
}
