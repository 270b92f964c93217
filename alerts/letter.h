/* SPDX-License-Identifier: Apache-2.0
 *
 * letter: upper and lower case of the alphabets that have it (Latin, Greek, Cyrillic, Armenian),
 * the same on every machine whatever its locale.
 */
#ifndef TW_ALERTS_LETTER_H
#define TW_ALERTS_LETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

uint32_t alert_letter_upper(uint32_t rune);
uint32_t alert_letter_lower(uint32_t rune);
void alert_letter_change_case(struct tw_str text, bool upper, struct tw_buf *out);
/* The first letter of each word in upper case, the others as they are. */
void alert_letter_title(struct tw_str text, struct tw_buf *out);

#endif
