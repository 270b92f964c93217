/* SPDX-License-Identifier: Apache-2.0
 *
 * pace: whether a commit waits for more requests to share it, and how long.
 *
 * A sender that was answered comes again soon. So a commit waits for as many requests as were under
 * way at the one before, but no longer than a commit takes, and only while that proves true: four
 * connections that send without a pause share one commit, instead of two by two; those who come
 * when they like are not held up.
 *
 * Threads: plain data of the committer. It asks no clock: who waits says what came of it.
 */
#ifndef TW_TSDB_PACE_H
#define TW_TSDB_PACE_H

#include <stddef.h>
#include <stdint.h>

/* The longest wait for more requests. */
#define TSDB_PACE_WAIT_NS_MAX INT64_C(1000000)
/* After so many commits without a wait, one is tried again. */
#define TSDB_PACE_AGAIN 32

/* What was learned. Zero at the start. */
struct tsdb_pace {
    size_t under_way;  /* requests in the commit before, and that came during it */
    int64_t commit_ns; /* mean */
    int score;         /* of waits: below 0, they were rather in vain of late */
    unsigned commits_without;
};

/* How long the commit of so many requests waits until there are pace->under_way; 0 = not at all. */
int64_t tsdb_pace_wait_ns(struct tsdb_pace *pace, size_t requests);
/* After a wait: so many there are now. */
void tsdb_pace_waited(struct tsdb_pace *pace, size_t requests);
/* After a commit that took so long: the requests in it, and those that came meanwhile. */
void tsdb_pace_learn(struct tsdb_pace *pace, size_t requests, size_t meanwhile, int64_t commit_ns);

#endif
