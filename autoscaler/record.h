/* SPDX-License-Identifier: Apache-2.0
 *
 * record: the bytes of what scalers store: little-endian integers, doubles as their bits, texts
 * after their length (docs/format/state-scaler.md).
 *
 * A reader that was asked for more than there is, or for what cannot be, is bad from then on and
 * gives zeros: it is enough to ask once at the end.
 *
 * Threads: plain data.
 */
#ifndef TW_AUTOSCALER_RECORD_H
#define TW_AUTOSCALER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

void scale_record_put(struct tw_buf *out, uint64_t value, size_t bytes);
void scale_record_put_double(struct tw_buf *out, double value);
void scale_record_put_text(struct tw_buf *out, const char *text); /* at most 65535 bytes */

struct scale_reader {
    const unsigned char *at, *end;
    bool bad;
};

struct scale_reader scale_reader_of(struct tw_str bytes);
uint64_t scale_record_take(struct scale_reader *reader, size_t bytes);
double scale_record_take_double(struct scale_reader *reader);
/* With a terminating zero; bad when it does not fit. */
void scale_record_take_text(struct scale_reader *reader, char *ret, size_t capacity);
/* One byte, 0 to last. */
unsigned scale_record_take_enum(struct scale_reader *reader, unsigned last);
/* All was there and nothing is left. */
bool scale_record_ended(const struct scale_reader *reader);

#endif
