/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/pool.h"

#include <math.h>

#include "base/assert.h"

#define SAME 1e-9 /* remainders nearer to each other than that are equal */

/* Pools that take part, and the sums of their limits. */
struct field {
    const struct scale_pool *of[SCALE_POOLS_MAX];
    size_t index[SCALE_POOLS_MAX]; /* in the caller's arrays */
    size_t count;
    int64_t min, max;
};

static void add(struct field *field, const struct scale_pool *pool, size_t index)
{
    field->of[field->count] = pool;
    field->index[field->count++] = index;
    field->min += pool->min;
    field->max += pool->max;
}

static double cut(const struct scale_pool *pool, double level)
{
    return fmin(fmax(level * pool->weight, (double)pool->min), (double)pool->max);
}

static double fill(const struct field *field, double level)
{
    double sum = 0;
    for (size_t i = 0; i < field->count; i++)
        sum += cut(field->of[i], level);
    return sum;
}

/* The level at which all pools together hold so many. Their sum rises with the level in straight
 * pieces, which end where a pool leaves its min or reaches its max. */
static double find_level(const struct field *field, double replicas)
{
    double low = 0, high = INFINITY;
    for (size_t i = 0; i < field->count; i++) {
        const double bends[] = {(double)field->of[i]->min / field->of[i]->weight,
                                (double)field->of[i]->max / field->of[i]->weight};
        for (size_t k = 0; k < 2; k++) {
            double sum = fill(field, bends[k]);
            if (sum <= replicas && bends[k] > low)
                low = bends[k];
            if (sum >= replicas && bends[k] < high)
                high = bends[k];
        }
    }
    if (!(high > low) || isinf(high))
        return low;
    double below = fill(field, low), above = fill(field, high);
    return above > below ? low + (high - low) * (replicas - below) / (above - below) : low;
}

/* Whether a's remainder comes before b's: -1, else 1. */
static bool goes_before(const struct field *field, const double *rests, const int64_t *shares,
                        size_t a, size_t b)
{
    if (fabs(rests[a] - rests[b]) > SAME)
        return rests[a] > rests[b];
    bool a_has = field->of[a]->before > shares[a], b_has = field->of[b]->before > shares[b];
    return a_has != b_has ? a_has : a < b;
}

static void share_weighted(const struct field *field, int64_t replicas, int64_t *ret_shares)
{
    double level = find_level(field, (double)replicas), rests[SCALE_POOLS_MAX];
    int64_t shares[SCALE_POOLS_MAX], left = replicas;
    for (size_t i = 0; i < field->count; i++) {
        double quota = cut(field->of[i], level);
        shares[i] = (int64_t)floor(quota + SAME);
        rests[i] = fmax(quota - (double)shares[i], 0);
        left -= shares[i];
    }
    for (; left > 0; left--) {
        size_t best = field->count;
        for (size_t i = 0; i < field->count; i++)
            if (rests[i] >= 0 && shares[i] < field->of[i]->max &&
                (best == field->count || goes_before(field, rests, shares, i, best)))
                best = i;
        TW_ASSERT(best < field->count);
        shares[best]++;
        rests[best] = -1;
    }
    for (size_t i = 0; i < field->count; i++)
        ret_shares[field->index[i]] = shares[i];
}

int64_t scale_pool_share(const struct scale_pool *pools, size_t count, int64_t replicas,
                         int64_t *ret_shares)
{
    TW_ASSERT(count <= SCALE_POOLS_MAX && replicas >= 0);
    struct field weighted = {.count = 0}, spare = {.count = 0};
    bool all_out = true;
    for (size_t i = 0; i < count; i++)
        all_out = all_out && pools[i].out;
    for (size_t i = 0; i < count; i++) {
        TW_ASSERT(pools[i].weight >= 0 && 0 <= pools[i].min && pools[i].min <= pools[i].max);
        ret_shares[i] = 0;
        if (all_out || !pools[i].out)
            add(pools[i].weight > 0 ? &weighted : &spare, &pools[i], i);
    }
    int64_t least = weighted.min + spare.min, most = weighted.max + spare.max;
    replicas = replicas < least ? least : replicas > most ? most : replicas;
    int64_t main = replicas - spare.min;
    if (main > weighted.max)
        main = weighted.max;
    if (weighted.count > 0)
        share_weighted(&weighted, main, ret_shares);
    int64_t left = replicas - main - spare.min;
    for (size_t i = 0; i < spare.count; i++) {
        const struct scale_pool *pool = spare.of[i];
        int64_t more = pool->max - pool->min < left ? pool->max - pool->min : left;
        ret_shares[spare.index[i]] = pool->min + more;
        left -= more;
    }
    TW_ASSERT(left == 0);
    return replicas;
}
