/* SPDX-License-Identifier: Apache-2.0
 *
 * workers: a fixed pool of threads behind a bounded queue, for work that may take long (queries)
 * and must not hold an event loop.
 *
 * Clients take turns: jobs wait in lanes, one for each client (by a hash of its name, so that a few
 * may share one), and a free thread takes the next lane's first job. A client fills at most half of
 * the queue, and all threads but one, so that one is always soon free for the others. Jobs of
 * nobody have a lane of their own without these two bounds.
 */
#ifndef TW_BASE_WORKERS_H
#define TW_BASE_WORKERS_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct tw_workers;

TW_MUST_CHECK enum tw_code tw_workers_new(const char *name, size_t thread_count, size_t queue_max,
                                          struct tw_workers **ret_workers, struct tw_err *err);
/* Finishes what is queued, then joins. Returns NULL. */
struct tw_workers *tw_workers_free(struct tw_workers *workers);
/* TW_OVERLOAD when the queue is full, TW_UNAVAILABLE while the pool ends. Any thread. */
TW_MUST_CHECK enum tw_code tw_workers_give(struct tw_workers *workers, void (*body)(void *argument),
                                           void *argument, struct tw_err *err);
/* The same for a client's job; TW_OVERLOAD also when the client's half of the queue is full. client
 * is read during the call only. */
TW_MUST_CHECK enum tw_code tw_workers_give_from(struct tw_workers *workers, struct tw_str client,
                                                void (*body)(void *argument), void *argument,
                                                struct tw_err *err);
size_t tw_workers_queued(struct tw_workers *workers);

#endif
