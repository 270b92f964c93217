/* SPDX-License-Identifier: Apache-2.0
 *
 * self: stores the server's own metrics in its store, as if it were scraped: job="tidewatchd",
 * instance=<the address it listens on>. One thread.
 */
#ifndef TW_DAEMON_SELF_H
#define TW_DAEMON_SELF_H

#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "tsdb/storage.h"

struct daemon_self;

/* Borrows all; instance too. */
TW_MUST_CHECK enum tw_code daemon_self_start(struct tw_metrics *metrics,
                                             struct tsdb_storage *storage, struct tw_clock *clock,
                                             const char *instance, int64_t interval_ms,
                                             struct daemon_self **ret, struct tw_err *err);
struct daemon_self *daemon_self_stop(struct daemon_self *self); /* NULL is fine; returns NULL */
/* One round now; what the thread does each interval. */
TW_MUST_CHECK enum tw_code daemon_self_store(struct tw_metrics *metrics,
                                             struct tsdb_storage *storage, struct tw_clock *clock,
                                             const char *instance, struct tw_err *err);

#endif
