/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_engine: the query engine's functions, answered by a test. A query's text is a name; each
 * name has a function of time. Link it instead of the query module.
 */
#ifndef TW_TESTS_FAKE_ENGINE_H
#define TW_TESTS_FAKE_ENGINE_H

#include <stdint.h>

#include "query/engine.h"

/* TW_OK with *ret_value; TW_NOT_FOUND for "no series"; any other code is the query's failure.
 * lookback_ms: of the engine that was asked. */
typedef enum tw_code fake_answer(void *user, struct tw_str text, int64_t time_ms,
                                 int64_t lookback_ms, double *ret_value);
/* The one that answers all, for the whole program. */
void fake_engine_set(fake_answer *answer, void *user);
/* Query texts that begin with this are refused by query_check. */
#define FAKE_ENGINE_BAD "!"

#endif
