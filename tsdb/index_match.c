/* SPDX-License-Identifier: Apache-2.0
 *
 * index_match: which series of an index match. What needs the tables (is there such a string, such
 * a pair) is looked up under the lock, into a plan; walking the chains and looking at series needs
 * no lock, because rows do not move and a chain leads from newer to older series only.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/index_int.h"

enum verdict { UNKNOWN, YES, NO };

/* A matcher against this index: which name it looks at, and what it says of each pair seen. */
struct probe {
    const struct tsdb_matcher *matcher;
    uint32_t name; /* string id; 0 = no series has the label */
    uint32_t pair; /* of an equality; 0 = there is none */
    uint32_t first_pair;
    bool when_absent;
    unsigned char *verdicts; /* by pair id, when it is no equality */
};

struct tsdb_index_plan {
    const struct tsdb_index *index;
    uint32_t series_count, pair_count;
    size_t probe_count;
    struct probe probes[];
};

static bool is_equality(const struct probe *probe)
{
    return probe->matcher->op == TSDB_MATCH_EQUAL;
}

struct tsdb_index_plan *tsdb_index_plan(const struct tsdb_index *index,
                                        const struct tsdb_matcher *matchers, size_t matcher_count)
{
    struct tsdb_index_plan *plan = calloc(1, sizeof *plan + matcher_count * sizeof *plan->probes);
    TW_ASSERT(plan != NULL);
    plan->index = index;
    plan->series_count = (uint32_t)tsdb_index_count(index);
    plan->pair_count = index->pair_count;
    plan->probe_count = matcher_count;
    for (size_t i = 0; i < matcher_count; i++) {
        struct probe *probe = &plan->probes[i];
        uint32_t name, value;
        probe->matcher = &matchers[i];
        probe->when_absent = tsdb_matcher_matches(&matchers[i], TW_STR(""));
        if (!tsdb_index_find_string(index, matchers[i].name, &name) || name == 0)
            continue;
        probe->first_pair = tsdb_index_string_row(index, name)->first_pair;
        if (!probe->first_pair)
            continue;
        probe->name = name;
        if (is_equality(probe) && tsdb_index_find_string(index, matchers[i].value, &value))
            probe->pair = tsdb_index_find_pair(index, name, value);
    }
    return plan;
}

/* ---- one series ---- */

static bool pair_matches(const struct tsdb_index_plan *plan, struct probe *probe, uint32_t pair)
{
    if (is_equality(probe))
        return pair == probe->pair;
    if (!probe->verdicts) {
        probe->verdicts = calloc(plan->pair_count, 1);
        TW_ASSERT(probe->verdicts != NULL);
    }
    if (probe->verdicts[pair] == UNKNOWN) {
        uint32_t value = tsdb_index_pair_row(plan->index, pair)->value;
        probe->verdicts[pair] =
            tsdb_matcher_matches(probe->matcher, tsdb_index_text(plan->index, value)) ? YES : NO;
    }
    return probe->verdicts[pair] == YES;
}

static bool series_matches(const struct tsdb_index_plan *plan, struct probe *probe,
                           const struct tsdb_index_entry *entries)
{
    if (!probe->name)
        return probe->when_absent;
    for (const struct tsdb_index_entry *entry = entries;; entry++) {
        uint32_t pair = tsdb_entry_pair(entry);
        if (probe->pair && pair == probe->pair)
            return true;
        if (tsdb_index_pair_row(plan->index, pair)->name == probe->name)
            return pair_matches(plan, probe, pair);
        if (tsdb_entry_is_last(entry))
            return probe->when_absent;
    }
}

/* ---- candidates: what one probe alone lets through ---- */

static void append_pair(const struct tsdb_index_plan *plan, uint32_t pair, struct tsdb_ids *ret_ids)
{
    const struct tsdb_index *index = plan->index;
    uint32_t series =
        atomic_load_explicit(&tsdb_index_pair_row(index, pair)->newest, memory_order_acquire);
    while (series) {
        uint32_t id = series - 1;
        if (id < plan->series_count)
            tsdb_ids_append(ret_ids, id);
        const struct tsdb_index_entry *entry = tsdb_index_entries(index, id);
        while (tsdb_entry_pair(entry) != pair)
            entry++;
        series = entry->older;
    }
}

static size_t pair_size(const struct tsdb_index_plan *plan, uint32_t pair)
{
    return atomic_load_explicit(&tsdb_index_pair_row(plan->index, pair)->count,
                                memory_order_relaxed);
}

static size_t count_candidates(const struct tsdb_index_plan *plan, struct probe *probe)
{
    if (!probe->name || (is_equality(probe) && !probe->pair))
        return 0;
    if (is_equality(probe))
        return pair_size(plan, probe->pair);
    size_t count = 0;
    for (uint32_t pair = probe->first_pair; pair;
         pair = tsdb_index_pair_row(plan->index, pair)->next_of_name)
        if (pair_matches(plan, probe, pair))
            count += pair_size(plan, pair);
    return count;
}

static void append_candidates(const struct tsdb_index_plan *plan, struct probe *probe,
                              struct tsdb_ids *ret_ids)
{
    if (is_equality(probe))
        append_pair(plan, probe->pair, ret_ids);
    else
        for (uint32_t pair = probe->first_pair; pair;
             pair = tsdb_index_pair_row(plan->index, pair)->next_of_name)
            if (pair_matches(plan, probe, pair))
                append_pair(plan, pair, ret_ids);
    tsdb_ids_sort(ret_ids);
}

/* The probe that leaves fewest candidates. Equality first: its count is at hand; other matchers are
 * evaluated over all values of their name only when no equality narrows. */
static struct probe *choose_probe(struct tsdb_index_plan *plan, size_t *ret_candidates)
{
    struct probe *best = NULL;
    for (int round = 0; round < 2 && !best; round++)
        for (size_t i = 0; i < plan->probe_count; i++) {
            struct probe *probe = &plan->probes[i];
            if (probe->when_absent || is_equality(probe) != !round)
                continue;
            size_t candidates = count_candidates(plan, probe);
            if (!best || candidates < *ret_candidates) {
                best = probe;
                *ret_candidates = candidates;
            }
        }
    return best;
}

static void append_if_matching(struct tsdb_index_plan *plan, uint32_t id,
                               const struct probe *settled, struct tsdb_ids *ret_ids)
{
    const struct tsdb_index_entry *entries = tsdb_index_entries(plan->index, id);
    if (!entries)
        return;
    for (size_t i = 0; i < plan->probe_count; i++)
        if (&plan->probes[i] != settled && !series_matches(plan, &plan->probes[i], entries))
            return;
    tsdb_ids_append(ret_ids, id);
}

void tsdb_index_run(struct tsdb_index_plan *plan, struct tsdb_ids *ret_ids)
{
    size_t candidates = 0;
    struct probe *chosen = choose_probe(plan, &candidates);
    if (!chosen || candidates > plan->series_count / 2) {
        /* Most series come into question: in their order, without chains. */
        for (uint32_t id = 0; id < plan->series_count; id++)
            append_if_matching(plan, id, NULL, ret_ids);
    } else if (candidates > 0) {
        struct tsdb_ids found = {0};
        append_candidates(plan, chosen, &found);
        for (size_t i = 0; i < found.count; i++)
            append_if_matching(plan, found.items[i], chosen, ret_ids);
        tsdb_ids_fini(&found);
    }
    tsdb_index_plan_free(plan);
}

void tsdb_index_plan_free(struct tsdb_index_plan *plan)
{
    for (size_t i = 0; i < plan->probe_count; i++)
        free(plan->probes[i].verdicts);
    free(plan);
}

void tsdb_index_match(const struct tsdb_index *index, const struct tsdb_matcher *matchers,
                      size_t matcher_count, struct tsdb_ids *ret_ids)
{
    tsdb_index_run(tsdb_index_plan(index, matchers, matcher_count), ret_ids);
}
