/* SPDX-License-Identifier: Apache-2.0
 *
 * transport: how notifications leave the process: HTTP, or whatever a test puts in its place.
 *
 * Threads: used by the notifier's thread alone.
 */
#ifndef TW_ALERTS_TRANSPORT_H
#define TW_ALERTS_TRANSPORT_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct alert_post {
    struct tw_str url, authorization; /* authorization: the header's value, empty = none */
    struct tw_str body;               /* JSON */
    int64_t timeout_ms;
};

struct alert_transport {
    /* TW_OK with the status when an answer came; TW_NETWORK or TW_TIMEOUT otherwise.
     */
    enum tw_code (*post)(struct alert_transport *transport, const struct alert_post *post,
                         int *ret_status, int64_t *ret_retry_after_ms, struct tw_err *err);
    void (*free)(struct alert_transport *transport); /* may be NULL: not ours */
};

/* Over HTTP, with the program's name as User-Agent. */
struct alert_transport *alert_transport_http_new(void);

#endif
