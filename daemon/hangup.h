/* SPDX-License-Identifier: Apache-2.0
 *
 * hangup: notices clients that go away while their request is being worked on, and cancels its
 * context, so that a query nobody waits for ends. (libmicrohttpd does not look at a connection
 * while it is suspended.) A client that closes only its sending side counts as gone, as in
 * Prometheus.
 *
 * One thread of its own. Threads: watch and forget from any thread.
 */
#ifndef TW_DAEMON_HANGUP_H
#define TW_DAEMON_HANGUP_H

#include <stdint.h>

#include "base/context.h"
#include "base/err.h"

struct daemon_hangup;

TW_MUST_CHECK enum tw_code daemon_hangup_start(struct daemon_hangup **ret, struct tw_err *err);
struct daemon_hangup *
daemon_hangup_stop(struct daemon_hangup *hangup); /* NULL is fine; returns NULL */

/* Cancels context when the other side of fd hangs up. The ticket goes to daemon_hangup_forget
 * before context ends or fd is closed; 0 means that fd cannot be watched, which does no harm. */
uint64_t daemon_hangup_watch(struct daemon_hangup *hangup, int fd, struct tw_context *context);
/* After it returned, context is not touched any more. */
void daemon_hangup_forget(struct daemon_hangup *hangup, uint64_t ticket);

#endif
