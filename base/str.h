/* SPDX-License-Identifier: Apache-2.0
 *
 * str: a borrowed run of bytes. Not NUL-terminated, not owned; whoever hands one out says how long
 * it lives. Text from outside (labels, queries, bodies) may hold any byte, NUL included.
 */
#ifndef TW_BASE_STR_H
#define TW_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tw_str {
    const char *data; /* may be NULL when size is 0 */
    size_t size;
};

/* For a string literal, also in initialisers of static tables. */
#define TW_STR(literal) ((struct tw_str){"" literal, sizeof(literal) - 1})
#define TW_STR_INIT(literal)                                                                       \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }
/* For printf's "%.*s". */
#define TW_STR_ARG(s) (int)(s).size, (s).data ? (s).data : ""

struct tw_str tw_str(const char *text); /* of a NUL-terminated text; NULL gives the empty one */
bool tw_str_equal(struct tw_str a, struct tw_str b);
bool tw_str_is(struct tw_str a, const char *text);
/* Byte order, shorter first when one is a prefix of the other; < 0, 0, > 0. */
int tw_str_compare(struct tw_str a, struct tw_str b);
bool tw_str_starts(struct tw_str s, struct tw_str prefix);
bool tw_str_ends(struct tw_str s, struct tw_str suffix);
/* Position of the first needle, or SIZE_MAX. */
size_t tw_str_find(struct tw_str s, struct tw_str needle);
/* [first, limit), both clipped to s. */
struct tw_str tw_str_slice(struct tw_str s, size_t first, size_t limit);
struct tw_str tw_str_trim(struct tw_str s); /* without ASCII space at both ends */
/* Cuts off and returns what stands before the next separator (or all); false at the end of *rest.
 */
bool tw_str_split(struct tw_str *rest, char separator, struct tw_str *ret_part);
/* NUL-terminated heap copy; the caller frees it with free(). Never NULL (aborts out of memory). */
char *tw_str_dup(struct tw_str s);

#endif
