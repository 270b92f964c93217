/* SPDX-License-Identifier: Apache-2.0
 *
 * scan: walks over kernel text: lines, words, numbers. Never reads past the end, never fails: what
 * is not there is an empty word or the number 0 with false.
 *
 * Threads: plain data.
 */
#ifndef TW_COLLECTOR_SCAN_H
#define TW_COLLECTOR_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct agent_scan {
    const char *at, *limit;
};

static inline struct agent_scan agent_scan_of(struct tw_str text)
{
    const char *start = text.data != NULL ? text.data : "";
    return (struct agent_scan){start, start + text.size};
}

/* The next line without its end; false at the end of the text. */
bool agent_scan_line(struct agent_scan *text, struct agent_scan *ret_line);
/* The next run of bytes that are neither blank nor tab; empty at the end. */
struct tw_str agent_scan_word(struct agent_scan *line);
/* The next word up to a separator byte, which is skipped; blanks before it are not part of it. */
struct tw_str agent_scan_until(struct agent_scan *line, char separator);
/* The next word as a number. 64-bit counters wrap at 2^64; what has a sign or a fraction goes
 * through agent_scan_double. */
bool agent_scan_u64(struct agent_scan *line, uint64_t *ret);
bool agent_scan_double(struct agent_scan *line, double *ret);
bool agent_scan_hex(struct agent_scan *line, uint64_t *ret);
/* The whole word as a decimal number. */
bool agent_parse_u64(struct tw_str word, uint64_t *ret);
/* What is left of the line, without blanks at both ends. */
struct tw_str agent_scan_rest(const struct agent_scan *line);

#endif
