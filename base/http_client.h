/* SPDX-License-Identifier: Apache-2.0
 *
 * http_client: requests to other servers, over libcurl (GnuTLS build); the one file that knows it.
 *
 * A client keeps its connections alive between calls. libcurl is loaded by the first call of the
 * program, so that commands which call nobody start without it. Threads: one client, one thread.
 */
#ifndef TW_BASE_HTTP_CLIENT_H
#define TW_BASE_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/http.h"
#include "base/str.h"

struct tw_http_client;

struct tw_http_call {
    enum tw_http_method method;
    const char *url;                    /* http:// or https:// */
    const struct tw_http_pair *headers; /* Content-Type and the like */
    size_t header_count;
    struct tw_str body;
    int64_t timeout_ms;        /* whole call; 0 = 30 s */
    size_t answer_bytes_max;   /* 0 = 1 MiB; more is cut off */
    struct tw_buf *ret_answer; /* may be NULL */
    /* PEM files; NULL: the system's authorities, no certificate of ours. */
    const char *ca_file, *cert_file, *key_file;
};

/* Loads libcurl now. TW_UNAVAILABLE, with the library's name, when it is not there: for programs
 * that cannot do their work without it and say so at their start. Calls fail in the same way.
 * Threads: any. */
TW_MUST_CHECK enum tw_code tw_http_client_load(struct tw_err *err);

/* user_agent: "tidewatch-agent/0.1.0". */
struct tw_http_client *tw_http_client_new(const char *user_agent);
struct tw_http_client *tw_http_client_free(struct tw_http_client *client); /* returns NULL */
/* TW_OK when an answer came, of whatever status. ret_retry_after_ms (may be NULL): from
 * Retry-After, -1 if absent. TW_NETWORK, TW_TIMEOUT or TW_UNAVAILABLE with
 * the reason otherwise. */
TW_MUST_CHECK enum tw_code tw_http_client_call(struct tw_http_client *client,
                                               const struct tw_http_call *call, int *ret_status,
                                               int64_t *ret_retry_after_ms, struct tw_err *err);

#endif
