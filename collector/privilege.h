/* SPDX-License-Identifier: Apache-2.0
 *
 * privilege: gives away what the process needs no more once it has opened its capture.
 *
 * Threads: before any other thread starts: capabilities belong to a thread.
 */
#ifndef TW_COLLECTOR_PRIVILEGE_H
#define TW_COLLECTOR_PRIVILEGE_H

#include "base/err.h"

/* Drops every capability of this thread and those that it starts, and the way to gain any by
 * executing a program. folder: where files will be made; when it is another user's, what root needs
 * to write there is kept. */
TW_MUST_CHECK enum tw_code agent_privilege_drop(const char *folder, struct tw_err *err);

#endif
