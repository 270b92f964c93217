/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/pace.h"

/* Waiting goes on while waits were rather good than in vain of late. */
#define SCORE_MAX 8
#define SCORE_LOST 2
#define COMMIT_NS_SHARE 8 /* the newest commit's in the mean of their times */

int64_t tsdb_pace_wait_ns(struct tsdb_pace *pace, size_t requests)
{
    if (requests >= pace->under_way ||
        (pace->score < 0 && ++pace->commits_without < TSDB_PACE_AGAIN))
        return 0;
    pace->commits_without = 0;
    return pace->commit_ns < TSDB_PACE_WAIT_NS_MAX ? pace->commit_ns : TSDB_PACE_WAIT_NS_MAX;
}

void tsdb_pace_waited(struct tsdb_pace *pace, size_t requests)
{
    if (requests < pace->under_way)
        pace->score -= pace->score > -SCORE_MAX ? SCORE_LOST : 0;
    else if (pace->score < SCORE_MAX)
        pace->score++;
}

void tsdb_pace_learn(struct tsdb_pace *pace, size_t requests, size_t meanwhile, int64_t commit_ns)
{
    pace->under_way = requests + meanwhile;
    pace->commit_ns += (commit_ns - pace->commit_ns) / COMMIT_NS_SHARE;
}
