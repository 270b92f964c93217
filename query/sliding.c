/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/sliding.h"

#include <stdlib.h>

void query_sliding_begin(struct query_sliding *sliding, size_t count)
{
    if (count > sliding->capacity) {
        free(sliding->sums);
        sliding->capacity = count + count / 2;
        /* Bounded by the limit on samples. */
        sliding->sums = malloc(sliding->capacity * sizeof *sliding->sums);
        TW_ASSERT(sliding->sums != NULL);
    }
    sliding->border = sliding->limit = 0;
}

void query_sliding_fini(struct query_sliding *sliding)
{
    free(sliding->sums);
    *sliding = (struct query_sliding){0};
}
