/* SPDX-License-Identifier: Apache-2.0
 *
 * notifier: takes notices, groups them by route, and tells webhooks and other Alertmanagers.
 *
 * I1  A notice stands in the outbox table until every group that holds it has been told that it
 *     resolved; so nothing undelivered is lost by a restart.
 * I2  What a webhook was told is stored (alerts.sent) as soon as it answered; so a restart sends
 *     nothing twice. Only a crash between the answer and the commit can.
 * I3  A receiver that is away is tried again with growing pauses, each time with what is true then.
 *     One that refuses (4xx) is tried again with the next group_interval.
 *
 * Threads: give and set_routing from any thread; step, and with it all groups, from one.
 */
#ifndef TW_ALERTS_NOTIFIER_H
#define TW_ALERTS_NOTIFIER_H

#include "alerts/notice.h"
#include "alerts/routing.h"
#include "alerts/transport.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "tsdb/state.h"

/* A resolved alert that nobody could be told of for so long is dropped, and counted. */
#define ALERT_UNDELIVERED_MS_MAX (5 * 24 * 3600 * INT64_C(1000))
/* What a webhook was told of a group is forgotten at a start after so long. */
#define ALERT_SENT_KEPT_MS (30 * 24 * 3600 * INT64_C(1000))
#define ALERT_NOTICES_MAX 100000 /* alerts held at once; more are refused, and counted */

struct alert_notifier;

struct alert_notifier_options {
    struct tsdb_state *state; /* may be NULL */
    struct tw_clock *clock;
    struct tw_metrics *metrics;        /* may be NULL */
    struct alert_transport *transport; /* borrowed */
};

struct alert_notifier *alert_notifier_new(const struct alert_notifier_options *options);
struct alert_notifier *alert_notifier_free(struct alert_notifier *notifier); /* returns NULL */
/* Reads the outbox; before the first step. */
TW_MUST_CHECK enum tw_code alert_notifier_restore(struct alert_notifier *notifier,
                                                  struct tw_err *err);
/* Takes the routing over; the next step goes by it. external_url is copied. */
void alert_notifier_set_routing(struct alert_notifier *notifier, struct alert_routing *routing,
                                struct tw_str external_url);
/* Takes the list over. complete: what else is held as firing has ended. */
void alert_notifier_give(struct alert_notifier *notifier, struct alert_notice *notices,
                         bool complete);
/* Does what is due; returns when something is due next, INT64_MAX: nothing. */
int64_t alert_notifier_step(struct alert_notifier *notifier);
/* Makes a running step return after the delivery it is at. */
void alert_notifier_cancel(struct alert_notifier *notifier);

#endif
