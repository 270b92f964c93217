/* SPDX-License-Identifier: Apache-2.0
 *
 * sink: the other end of a webhook: takes requests on a loopback port, one after the other, answers
 * with the status that it was told, and keeps the bodies.
 *
 * Threads: it has one of its own; all functions may be called from any other.
 */
#ifndef TW_TESTS_SINK_H
#define TW_TESTS_SINK_H

#include <stddef.h>

struct sink;

struct sink *sink_new(void);
struct sink *sink_free(struct sink *sink); /* returns NULL */
int sink_port(const struct sink *sink);
/* Status of all answers from now on, until set anew. */
void sink_set_status(struct sink *sink, int status);
size_t sink_count(struct sink *sink);
/* The n-th request as it came, headers and body, NUL-terminated; lives as long as the sink. */
const char *sink_request(struct sink *sink, size_t n);

#endif
