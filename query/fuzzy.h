/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzzy: how much alike a name is to what somebody typed, 0 (not at all) to 1 (it contains it).
 */
#ifndef TW_QUERY_FUZZY_H
#define TW_QUERY_FUZZY_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

enum query_fuzzy_way {
    QUERY_FUZZY_NONE,         /* what contains the term is alike, nothing else */
    QUERY_FUZZY_JARO_WINKLER, /* typing errors, transposed letters */
    QUERY_FUZZY_SUBSEQUENCE,  /* the term's letters in their order, others in between */
};

/* Longer names are compared by so many of their first bytes. */
#define QUERY_FUZZY_BYTES_MAX 128

/* ASCII letters alike in both cases; the copy is in the arena. */
struct tw_str query_fuzzy_fold(struct tw_arena *arena, struct tw_str text);
double query_fuzzy_jaro_winkler(struct tw_str a, struct tw_str b);
/* 0: not all of the term's bytes are there in order; else the more, the closer together. */
double query_fuzzy_subsequence(struct tw_str name, struct tw_str term);
double query_fuzzy_score(enum query_fuzzy_way way, struct tw_str name, struct tw_str term);

#endif
