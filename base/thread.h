/* SPDX-License-Identifier: Apache-2.0
 *
 * thread: a named thread with an owner. Whoever starts one stops it: it asks the body to end by its
 * own means (a flag, a condition), then joins.
 */
#ifndef TW_BASE_THREAD_H
#define TW_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"

struct tw_thread {
    pthread_t thread;
    bool running;
};

/* name: up to 15 bytes, shown by ps -L and in assertions. Signals are blocked in the new thread. */
TW_MUST_CHECK enum tw_code tw_thread_start(struct tw_thread *thread, const char *name,
                                           void (*body)(void *argument), void *argument,
                                           struct tw_err *err);
void tw_thread_join(struct tw_thread *thread); /* fine on one that never started */
const char *tw_thread_name(void);              /* of the calling thread */

#endif
