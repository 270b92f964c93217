/* SPDX-License-Identifier: Apache-2.0
 *
 * annotation: warnings and infos of one run, each text once, with its place, in Prometheus's words.
 *
 * Threads: one run, one thread. Everything lives in the arena given.
 */
#ifndef TW_QUERY_ANNOTATION_H
#define TW_QUERY_ANNOTATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "query/ast.h"

/* More are counted, not kept. */
#define QUERY_ANNOTATIONS_MAX 10

#define QUERY_ANNOTATION_PLACES 16

enum query_annotation_level { QUERY_WARNING, QUERY_INFO };

struct query_annotation_list {
    struct tw_str *items;
    size_t count, capacity, dropped;
};

struct query_annotations {
    struct tw_arena *arena;
    struct tw_str text;                    /* of the query */
    struct query_annotation_list lists[2]; /* by level */
    uint64_t said;                         /* how many times anything was, known or not */
    /* Places in a text that may be a mebibyte, of those that said something last. */
    struct {
        uint32_t start, line, column; /* line 0: none */
    } places[QUERY_ANNOTATION_PLACES];
};

void query_annotations_init(struct query_annotations *annotations, struct tw_arena *arena,
                            struct tw_str text);
/* Adds those of another run's part. */
void query_annotations_join(struct query_annotations *annotations,
                            const struct query_annotations *more);
/* "PromQL warning: <sentence> (line:column)" with the place of node. */
void query_annotate(struct query_annotations *annotations, enum query_annotation_level level,
                    const struct query_node *node, const char *format, ...) TW_PRINTF(4, 5);

#endif
