/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8: RFC 3629, strict (no surrogates, no over-long forms, nothing above U+10FFFF).
 */
#ifndef TW_BASE_UTF8_H
#define TW_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

bool tw_utf8_valid(struct tw_str s);
/* First code point of s and its length in bytes; U+FFFD and 1 for a wrong byte; 0 at the end. */
size_t tw_utf8_decode(struct tw_str s, uint32_t *ret_code_point);
/* Writes 1 to 4 bytes, returns how many. */
size_t tw_utf8_encode(uint32_t code_point, char *ret_bytes);

#endif
