/* SPDX-License-Identifier: Apache-2.0
 *
 * encoding: whether an answer is to be compressed, and how streams are.
 */
#ifndef TW_DAEMON_ENCODING_H
#define TW_DAEMON_ENCODING_H

#include <stdbool.h>

#include "base/http.h"

/* A body of text that is worth it, not encoded yet, for a client that accepts gzip. */
bool daemon_encoding_wants_gzip(const struct tw_http_exchange *exchange);
/* A streamed answer of text, for a client that accepts gzip: what it produces is compressed piece
 * by piece from now on. Streams of events are left alone, since they must arrive at once. */
void daemon_encoding_pack_stream(struct tw_http_exchange *exchange);
bool daemon_encoding_has_header(const struct tw_http_response *response, const char *name);

#endif
