/* SPDX-License-Identifier: Apache-2.0
 *
 * pool: how a number of replicas is spread over weighted pools.
 *
 *   share of pool i = replicas * w_i / sum w, cut to [min_i, max_i]; what does not fit goes to the
 *   others by their weights; then whole numbers by largest remainder.
 *
 * I1  Each share lies within its pool's limits, and the shares add up to the replicas wherever the
 *     limits allow it.
 * I2  No share is a whole replica or more away from the exact one.
 * I3  The same input gives the same shares. Equal remainders go to the pool that has a replica to
 *     lose already, then to the one that comes first: nothing moves without need.
 * I4  A pool that is out gets nothing; when all are, none counts as out.
 *
 * Threads: plain data, pure functions.
 */
#ifndef TW_AUTOSCALER_POOL_H
#define TW_AUTOSCALER_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCALE_POOLS_MAX 16 /* pools, or types of instances, of one scaler */

struct scale_pool {
    double weight; /* 0: a spare, used in order when the weighted ones are full */
    int64_t min, max;
    int64_t before; /* replicas that it has now */
    bool out;
};

/* Fills one share for each pool and returns their sum: `replicas`, or as near to it as the limits
 * of the pools that are not out allow. */
int64_t scale_pool_share(const struct scale_pool *pools, size_t count, int64_t replicas,
                         int64_t *ret_shares);

#endif
