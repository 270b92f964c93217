/* SPDX-License-Identifier: Apache-2.0
 *
 * rightsizing: what CPU and memory a replica should request, from what its like have used, as the
 * recommender of the Kubernetes Vertical Pod Autoscaler does:
 *
 *   cpu     each sample into a decaying histogram of cores; the 90 % quantile and a margin
 *   memory  the peak of each day and instance into one of bytes; the 95 % quantile and a margin
 *
 * The samples are read from the store at each question, as far back as it is told: so nothing has
 * to be kept, a restart forgets nothing, and what came late counts.
 *
 *   series of the query (one an instance) -> groups by a label -> histograms -> advice
 *
 * Threads: any; nothing is kept.
 */
#ifndef TW_AUTOSCALER_RIGHTSIZING_H
#define TW_AUTOSCALER_RIGHTSIZING_H

#include "base/context.h"
#include "base/json.h"
#include "base/yaml.h"
#include "query/engine.h"

#define SCALE_SIZING_GROUPS_MAX 10000
#define SCALE_SIZING_HISTORY_MS (8 * INT64_C(86400000))
#define SCALE_SIZING_STEP_MS 300000

/* Texts are borrowed. */
struct scale_sizing_question {
    struct tw_str name;
    struct tw_str cpu, memory;                 /* queries: cores, bytes, a series each instance */
    struct tw_str cpu_request, memory_request; /* queries of what is requested now; may be empty */
    struct tw_str by;                          /* label; empty: all series are one workload */
    double margin;                             /* 0.15 */
    double cpu_quantile, memory_quantile;
    int64_t history_ms, step_ms;
};

void scale_sizing_question_init(struct scale_sizing_question *question);
/* Writes objects into the open array, one a group, in the order of their names. context: who asks,
 * within which limits. */
TW_MUST_CHECK enum tw_code scale_sizing_answer(struct query_engine *engine,
                                               const struct tw_context *context,
                                               const struct scale_sizing_question *question,
                                               struct tw_json_writer *writer, struct tw_err *err);

/* A scaler's `rightsizing:`; *ret_given: there is one. Mistakes are TW_CONFIG with their place. */
TW_MUST_CHECK enum tw_code scale_sizing_parse(struct tw_arena *arena, const char *file,
                                              const struct tw_yaml *map, struct tw_str name,
                                              struct scale_sizing_question *ret, bool *ret_given,
                                              struct tw_err *err);
struct scale_sizing_question scale_sizing_copy(const struct scale_sizing_question *question,
                                               struct tw_arena *arena);

#endif
