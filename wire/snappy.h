/* SPDX-License-Identifier: Apache-2.0
 *
 * snappy: the block format of Snappy, in which remote_write bodies travel; the one file that knows
 * the library.
 *
 * Threads: any.
 */
#ifndef TW_WIRE_SNAPPY_H
#define TW_WIRE_SNAPPY_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Appends the compressed bytes; when they might pass the buffer's maximum, its overflow is set. */
void wire_snappy_encode(struct tw_str plain, struct tw_buf *ret_packed);
/* What the sender says the plain bytes are, read before anything is allocated. TW_BAD_DATA when
 * packed does not begin with a size. */
TW_MUST_CHECK enum tw_code wire_snappy_plain_bytes(struct tw_str packed, size_t *ret_bytes,
                                                   struct tw_err *err);
/* Appends the plain bytes. TW_TOO_LARGE when more than bytes_max are declared (nothing was
 * allocated then), TW_BAD_DATA when packed is not Snappy's block format. */
TW_MUST_CHECK enum tw_code wire_snappy_decode(struct tw_str packed, size_t bytes_max,
                                              struct tw_buf *ret_plain, struct tw_err *err);

#endif
