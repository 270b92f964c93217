/* SPDX-License-Identifier: Apache-2.0
 *
 * zstd: Zstandard frames, in which some senders compress remote_write bodies, and in which the
 * store keeps its strings; the one file that knows the library.
 *
 * Threads: any.
 */
#ifndef TW_WIRE_ZSTD_H
#define TW_WIRE_ZSTD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Appends one frame, made at the library's level of that number (1 is quick); when it might pass
 * the buffer's maximum, its overflow is set. */
void wire_zstd_encode(struct tw_str plain, int level, struct tw_buf *ret_packed);
/* Appends the plain bytes of one or more frames. TW_TOO_LARGE when there are more than bytes_max
 * (a frame that declares more is refused before memory is taken for it), TW_BAD_DATA when packed is
 * not Zstandard, is damaged, or ends within a frame. */
TW_MUST_CHECK enum tw_code wire_zstd_decode(struct tw_str packed, size_t bytes_max,
                                            struct tw_buf *ret_plain, struct tw_err *err);

#endif
