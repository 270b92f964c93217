/* SPDX-License-Identifier: Apache-2.0
 *
 * crypto: what is needed of GnuTLS beside TLS itself; the one file that knows it.
 *
 * Threads: any.
 */
#ifndef TW_BASE_CRYPTO_H
#define TW_BASE_CRYPTO_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define TW_SHA256_BYTES 32

/* HMAC-SHA256 (RFC 2104). ret_digest holds TW_SHA256_BYTES. */
void tw_hmac_sha256(struct tw_str key, struct tw_str text, uint8_t *ret_digest);
/* Appends what base64 text (RFC 4648, white space between allowed) stands for; TW_BAD_DATA. */
TW_MUST_CHECK enum tw_code tw_base64_decode(struct tw_str text, struct tw_buf *ret,
                                            struct tw_err *err);

#endif
