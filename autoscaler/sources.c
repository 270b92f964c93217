/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/sources.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "query/parser.h"

#define MEMORY_MS 3600000      /* a silent source is missed for so long, */
#define MEMORY_BLIND_MS 300000 /* or so long, when it may have been scaled in */
#define QUERY_BYTES_MAX 65536

/* ---- the query ---- */

struct search {
    struct tw_str load;
    struct tw_buf *text;
    size_t found;
};

static void add(struct search *search, const struct query_node *node)
{
    tw_buf_append_cstr(search->text, search->found++ ? " or " : "");
    tw_buf_append_cstr(search->text, "group by (job, instance, host, pod) (");
    tw_buf_append(search->text, search->load.data + node->start, node->end - node->start);
    tw_buf_append_cstr(search->text, ")");
}

/* What an innermost aggregation sums up has a row for each source that counts in it. */
static void search_aggregates(struct search *search, const struct query_node *node)
{
    size_t before = search->found;
    switch (node->type) {
    case QUERY_NODE_PAREN:
        search_aggregates(search, node->paren);
        break;
    case QUERY_NODE_UNARY:
        search_aggregates(search, node->unary.inner);
        break;
    case QUERY_NODE_BINARY:
        search_aggregates(search, node->binary.left);
        search_aggregates(search, node->binary.right);
        break;
    case QUERY_NODE_SUBQUERY:
        search_aggregates(search, node->subquery.inner);
        break;
    case QUERY_NODE_CALL:
        for (size_t i = 0; i < node->call.count; i++)
            search_aggregates(search, node->call.arguments[i]);
        break;
    case QUERY_NODE_AGGREGATE:
        search_aggregates(search, node->aggregate.inner);
        if (search->found == before)
            add(search, node->aggregate.inner);
        break;
    case QUERY_NODE_NUMBER:
    case QUERY_NODE_STRING:
    case QUERY_NODE_SELECTOR:
    case QUERY_NODE_MATRIX:
        break;
    }
}

struct tw_str scale_sources_query(struct tw_str load, struct tw_arena *arena, bool *ret_sums)
{
    struct query_ast *ast = NULL;
    struct tw_err err;
    struct tw_str result = {0};
    struct tw_buf text;
    *ret_sums = false;
    if (query_parse(load, 0, &ast, &err) != TW_OK)
        return result; /* said by whoever runs it */
    tw_buf_init(&text, QUERY_BYTES_MAX);
    struct search search = {ast->text, &text, 0};
    search_aggregates(&search, ast->root);
    if (search.found && !text.overflow)
        result = tw_arena_str(arena, (struct tw_str){(const char *)text.data, text.size});
    const struct query_node *root = query_node_unwrap(ast->root);
    *ret_sums = root->type == QUERY_NODE_AGGREGATE &&
                (root->aggregate.op == QUERY_TOKEN_SUM || root->aggregate.op == QUERY_TOKEN_COUNT);
    tw_buf_fini(&text);
    query_ast_free(ast);
    return result;
}

/* ---- who is heard ---- */

void scale_sources_init(struct scale_sources *sources)
{
    *sources = (struct scale_sources){0};
}

void scale_sources_fini(struct scale_sources *sources)
{
    free(sources->items);
    *sources = (struct scale_sources){0};
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Merges those that are heard into those that are remembered; forgets who is silent too long. */
static void merge(struct scale_sources *sources, int64_t now_ms, const uint64_t *hashes,
                  size_t count, int64_t memory_ms)
{
    size_t most = sources->count + count, used = 0, i = 0, j = 0;
    struct scale_source_heard *merged = calloc(most + 1, sizeof *merged);
    TW_ASSERT(merged != NULL);
    while (i < sources->count || j < count) {
        struct scale_source_heard next;
        if (j == count || (i < sources->count && sources->items[i].hash < hashes[j])) {
            next = sources->items[i++];
            if (next.heard_ms > now_ms)
                next.heard_ms = now_ms - 1; /* the clock was set back */
            if (next.heard_ms <= now_ms - memory_ms)
                continue;
        } else {
            next = (struct scale_source_heard){hashes[j], now_ms};
            i += i < sources->count && sources->items[i].hash == hashes[j];
            while (j < count && hashes[j] == next.hash)
                j++;
        }
        merged[used++] = next;
    }
    free(sources->items);
    sources->items = merged;
    sources->count = used;
}

double scale_sources_hear(struct scale_sources *sources, int64_t now_ms, uint64_t *hashes,
                          size_t count, int64_t replicas, size_t *ret_known)
{
    *ret_known = 0;
    if (count > SCALE_SOURCES_MAX)
        return NAN;
    if (count > 1)
        qsort(hashes, count, sizeof *hashes, compare);
    merge(sources, now_ms, hashes, count, replicas >= 0 ? MEMORY_MS : MEMORY_BLIND_MS);
    if (sources->count > SCALE_SOURCES_MAX) {
        scale_sources_fini(sources); /* turnover at this rate tells nothing */
        return NAN;
    }
    size_t known = sources->count, heard = 0;
    for (size_t i = 0; i < known; i++)
        heard += sources->items[i].heard_ms == now_ms;
    if (replicas >= 0 && known > (size_t)replicas)
        known = (size_t)replicas > heard ? (size_t)replicas : heard;
    *ret_known = known;
    return known ? (double)heard / (double)known : NAN;
}
