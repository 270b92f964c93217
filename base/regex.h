/* SPDX-License-Identifier: Apache-2.0
 *
 * regex: regular expressions in linear time with RE2's syntax (Go's, so Prometheus's). The one file
 * that knows RE2.
 *
 * Threads: a compiled expression is immutable and may be used by all.
 */
#ifndef TW_BASE_REGEX_H
#define TW_BASE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct tw_regex;

/* Longest pattern in bytes, and the memory a compiled one may take. */
#define TW_REGEX_PATTERN_BYTES_MAX 32768
#define TW_REGEX_MEMORY_BYTES_MAX (8 << 20)

/* anchored: must match the whole text (as matchers do); dot matches newline then, as in Prometheus.
 */
TW_MUST_CHECK enum tw_code tw_regex_new(struct tw_str pattern, bool anchored,
                                        struct tw_regex **ret_regex, struct tw_err *err);
struct tw_regex *tw_regex_free(struct tw_regex *regex); /* returns NULL */
bool tw_regex_match(const struct tw_regex *regex, struct tw_str text);
/* Capture groups; [0] is the whole match. Groups that took no part have data NULL. Returns whether
 * it matched; sets at most capacity entries and zeroes the rest. */
bool tw_regex_groups(const struct tw_regex *regex, struct tw_str text, struct tw_str *ret_groups,
                     size_t capacity);
size_t tw_regex_group_count(const struct tw_regex *regex); /* without group 0 */
/* Group number of a named group, or 0. */
size_t tw_regex_group_index(const struct tw_regex *regex, struct tw_str name);
/* Go's ReplaceAllString and Expand: replacement has $1, ${1}, $name, ${name}, $$. Appends to ret.
 */
void tw_regex_replace_all(const struct tw_regex *regex, struct tw_str text,
                          struct tw_str replacement, struct tw_buf *ret);
/* Go's Expand of replacement with the groups of one match. */
void tw_regex_expand(const struct tw_regex *regex, const struct tw_str *groups, size_t group_count,
                     struct tw_str replacement, struct tw_buf *ret);

#endif
