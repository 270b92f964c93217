/* SPDX-License-Identifier: Apache-2.0
 *
 * /api/v1/search/metric_names, label_names, label_values: names that are like what somebody typed,
 * for completion. The answer is NDJSON: batches of results, then one line that says how it ended.
 *
 *   {"results":[{"name":"go_goroutines","score":0.97}]}
 *   {"status":"success","has_more":false}
 */
#include "config.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/number.h"
#include "base/utf8.h"
#include "query/api.h"
#include "query/fuzzy.h"

#define TERMS_MAX 32
#define TERM_BYTES_MAX 1024
/* Names between two looks at the clock: likeness of all texts to so many takes milliseconds. */
#define NAMES_PER_LOOK 64
/* A search is asked while somebody types; what takes longer is of no use to them. */
#define SEARCH_NS_MAX INT64_C(10000000000)
#define LIMIT_DEFAULT 100
#define LIMIT_MAX 10000
#define BATCH_DEFAULT 100

enum target { TARGET_METRICS, TARGET_NAMES, TARGET_VALUES };
enum order { ORDER_NONE, ORDER_ALPHA, ORDER_SCORE };

struct hit {
    struct tw_str name;
    double score;
};

struct search {
    enum target target;
    struct tw_str label;
    struct query_names_query *names;
    struct tw_str terms[TERMS_MAX];
    size_t term_count;
    double threshold; /* 0: what contains a term, nothing else */
    enum query_fuzzy_way way;
    bool fold, descending, show_score, show_metadata;
    enum order order;
    size_t limit, batch; /* limit 0 = none */
    struct hit *hits;
    size_t hit_count;
};

/* ---- parameters ---- */

static enum tw_code read_number(const struct tw_http_request *request, const char *name,
                                int64_t min, int64_t max, int64_t otherwise, int64_t *ret,
                                struct tw_err *err)
{
    struct tw_str text;
    *ret = otherwise;
    if (!tw_http_parameter(request, name, &text) || text.size == 0)
        return TW_OK;
    if (tw_int64_parse(text, ret) && *ret >= min && *ret <= max)
        return TW_OK;
    return tw_err_set(err, TW_BAD_DATA,
                      "invalid parameter \"%s\": a whole number from %lld to %lld, not \"%.*s\"",
                      name, (long long)min, (long long)max, TW_STR_ARG(text));
}

static enum tw_code read_switch(const struct tw_http_request *request, const char *name,
                                bool otherwise, bool *ret, struct tw_err *err)
{
    struct tw_str text;
    *ret = otherwise;
    if (!tw_http_parameter(request, name, &text) || text.size == 0)
        return TW_OK;
    *ret = tw_str_is(text, "true") || tw_str_is(text, "1");
    if (*ret || tw_str_is(text, "false") || tw_str_is(text, "0"))
        return TW_OK;
    return tw_err_set(err, TW_BAD_DATA, "invalid parameter \"%s\": true or false, not \"%.*s\"",
                      name, TW_STR_ARG(text));
}

/* One of the words, its place in *ret; *ret keeps its default when the parameter is absent. */
static enum tw_code read_word(const struct tw_http_request *request, const char *name,
                              const char *const *words, size_t count, size_t *ret,
                              struct tw_err *err)
{
    struct tw_str text;
    if (!tw_http_parameter(request, name, &text) || text.size == 0)
        return TW_OK;
    for (size_t i = 0; i < count; i++) {
        if (tw_str_is(text, words[i])) {
            *ret = i;
            return TW_OK;
        }
    }
    return tw_err_set(err, TW_BAD_DATA, "invalid parameter \"%s\": \"%s\" or \"%s\", not \"%.*s\"",
                      name, words[0], words[1], TW_STR_ARG(text));
}

static enum tw_code read_terms(struct tw_http_exchange *exchange, struct search *search,
                               struct tw_err *err)
{
    struct tw_str text;
    for (size_t i = 0; tw_http_parameter_at(&exchange->request, "search[]", i, &text); i++) {
        if (text.size == 0)
            continue;
        if (search->term_count == TERMS_MAX)
            return tw_err_set(err, TW_BAD_DATA,
                              "invalid parameter \"search[]\": more than %d of them", TERMS_MAX);
        if (text.size > TERM_BYTES_MAX)
            return tw_err_set(err, TW_BAD_DATA,
                              "invalid parameter \"search[]\": longer than %d bytes",
                              TERM_BYTES_MAX);
        search->terms[search->term_count++] =
            search->fold ? query_fuzzy_fold(exchange->arena, text) : text;
    }
    return TW_OK;
}

static enum tw_code read_order(const struct tw_http_request *request, struct search *search,
                               struct tw_err *err)
{
    static const char *const orders[] = {"alpha", "score"}, *const ways[] = {"asc", "dsc"};
    size_t order = SIZE_MAX, way = SIZE_MAX;
    if (read_word(request, "sort_by", orders, 2, &order, err) != TW_OK ||
        read_word(request, "sort_dir", ways, 2, &way, err) != TW_OK)
        return err->code;
    if (way != SIZE_MAX && order == SIZE_MAX)
        return tw_err_set(err, TW_BAD_DATA, "invalid parameter \"sort_dir\": it goes with sort_by");
    search->order = order == SIZE_MAX ? ORDER_NONE : order == 0 ? ORDER_ALPHA : ORDER_SCORE;
    if (search->order == ORDER_SCORE && search->term_count == 0)
        return tw_err_set(err, TW_BAD_DATA,
                          "invalid parameter \"sort_by\": scores are those of search[]");
    /* What is most alike is wanted first, unless it is said otherwise. */
    search->descending = way == SIZE_MAX ? search->order == ORDER_SCORE : way == 1;
    return TW_OK;
}

static enum tw_code read_search(struct tw_http_exchange *exchange, struct search *search,
                                struct tw_err *err)
{
    static const char *const ways[] = {"jarowinkler", "subsequence"};
    const struct tw_http_request *request = &exchange->request;
    int64_t threshold, limit, batch;
    bool exact;
    size_t way = 0;
    if (read_number(request, "fuzz_threshold", 0, 100, 0, &threshold, err) != TW_OK ||
        read_number(request, "limit", 0, LIMIT_MAX, LIMIT_DEFAULT, &limit, err) != TW_OK ||
        read_number(request, "batch_size", 1, LIMIT_MAX, BATCH_DEFAULT, &batch, err) != TW_OK ||
        read_word(request, "fuzz_alg", ways, 2, &way, err) != TW_OK ||
        read_switch(request, "case_sensitive", true, &exact, err) != TW_OK ||
        read_switch(request, "include_score", false, &search->show_score, err) != TW_OK ||
        read_switch(request, "include_metadata", false, &search->show_metadata, err) != TW_OK)
        return err->code;
    search->fold = !exact;
    search->threshold = (double)threshold / 100;
    if (threshold > 0)
        search->way = way == 0 ? QUERY_FUZZY_JARO_WINKLER : QUERY_FUZZY_SUBSEQUENCE;
    search->limit = (size_t)limit;
    search->batch = (size_t)batch;
    if (read_terms(exchange, search, err) != TW_OK || read_order(request, search, err) != TW_OK)
        return err->code;
    if (search->target != TARGET_VALUES)
        return TW_OK;
    if (!tw_http_parameter(request, "label", &search->label) || search->label.size == 0)
        return tw_err_set(err, TW_BAD_DATA, "invalid parameter \"label\": it is required");
    if (!tw_utf8_valid(search->label))
        return tw_err_set(err, TW_BAD_DATA, "invalid parameter \"label\": it is not UTF-8");
    return TW_OK;
}

/* ---- finding ---- */

/* The best score of any term, or a negative number: it is not wanted. */
static double score_of(struct tw_arena *arena, const struct search *search, struct tw_str name)
{
    double best = search->term_count == 0 ? 1 : -1;
    struct tw_str folded = search->fold ? query_fuzzy_fold(arena, name) : name;
    for (size_t i = 0; i < search->term_count; i++) {
        double score = query_fuzzy_score(search->way, folded, search->terms[i]);
        if (score > best && (score == 1 || (search->threshold > 0 && score >= search->threshold)))
            best = score;
    }
    return best;
}

static int compare_hits(const void *a, const void *b)
{
    const struct hit *one = a, *other = b;
    if (one->score != other->score)
        return one->score < other->score ? 1 : -1;
    return tw_str_compare(one->name, other->name);
}

/* Names come in their order. */
static void sort_hits(struct search *search)
{
    if (search->hit_count == 0)
        return;
    if (search->order == ORDER_SCORE)
        qsort(search->hits, search->hit_count, sizeof *search->hits, compare_hits);
    bool reversed = search->order == ORDER_SCORE
                        ? !search->descending
                        : search->order == ORDER_ALPHA && search->descending;
    for (size_t i = 0, k = search->hit_count - 1; reversed && i < k; i++, k--) {
        struct hit hit = search->hits[i];
        search->hits[i] = search->hits[k];
        search->hits[k] = hit;
    }
}

static enum tw_code find(struct tw_http_exchange *exchange, struct tsdb_storage *storage,
                         struct search *search, struct tw_err *err)
{
    struct query_names_query *names = search->names;
    struct tsdb_strings strings = {0};
    /* One more than is wanted says whether there is more; what is sorted or searched is read whole.
     */
    size_t most =
        search->term_count == 0 && !search->descending && search->limit ? search->limit + 1 : 0;
    enum tw_code code =
        search->target == TARGET_NAMES
            ? tsdb_label_names(storage, &exchange->context, names->selectors, names->selector_count,
                               names->start_ms, names->end_ms, most, exchange->arena, &strings, err)
            : tsdb_label_values(storage, &exchange->context, search->label, names->selectors,
                                names->selector_count, names->start_ms, names->end_ms, most,
                                exchange->arena, &strings, err);
    if (code != TW_OK)
        return code;
    search->hits = TW_ARENA_ARRAY(exchange->arena, struct hit, strings.count);
    for (size_t i = 0; i < strings.count; i++) {
        if (i % NAMES_PER_LOOK == 0 && tw_context_check(&exchange->context, err) != TW_OK)
            return err->code;
        double score = score_of(exchange->arena, search, strings.items[i]);
        if (score >= 0)
            search->hits[search->hit_count++] = (struct hit){strings.items[i], score};
    }
    sort_hits(search);
    return TW_OK;
}

/* ---- answering ---- */

/* The first of a metric, or NULL. Items are in the order of their metrics. */
static const struct tsdb_metadata *metadata_of(const struct tsdb_metadata *items, size_t count,
                                               struct tw_str metric)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tw_str_compare(items[middle].metric, metric) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && tw_str_equal(items[low].metric, metric) ? &items[low] : NULL;
}

static void write_batch(struct tw_buf *body, const struct search *search, size_t first,
                        const struct tsdb_metadata *items, size_t item_count, size_t count)
{
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, body);
    tw_json_begin_object(&writer);
    tw_json_key(&writer, TW_STR("results"));
    tw_json_begin_array(&writer);
    for (size_t i = first; i < first + count; i++) {
        const struct hit *hit = &search->hits[i];
        const struct tsdb_metadata *metadata =
            item_count ? metadata_of(items, item_count, hit->name) : NULL;
        tw_json_begin_object(&writer);
        tw_json_member_str(&writer, "name", hit->name);
        if (search->show_score)
            tw_json_member_number(&writer, "score", hit->score);
        if (metadata) {
            tw_json_member_str(&writer, "type", metadata->type);
            tw_json_member_str(&writer, "help", metadata->help);
            tw_json_member_str(&writer, "unit", metadata->unit);
        }
        tw_json_end_object(&writer);
    }
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    tw_buf_append_char(body, '\n');
}

static enum tw_code answer(struct tw_http_exchange *exchange, struct tsdb_storage *storage,
                           const struct search *search, struct tw_err *err)
{
    struct tsdb_metadata *items = NULL;
    size_t item_count = 0, count = search->hit_count;
    if (search->target == TARGET_METRICS && search->show_metadata) {
        enum tw_code code =
            tsdb_metadata_list(storage, &exchange->context, (struct tw_str){NULL, 0},
                               exchange->arena, &items, &item_count, err);
        if (code != TW_OK)
            return code;
    }
    bool more = search->limit && count > search->limit;
    if (more)
        count = search->limit;
    struct tw_buf *body = &exchange->response.body;
    exchange->response.content_type = "application/x-ndjson; charset=utf-8";
    for (size_t i = 0; i == 0 || i < count; i += search->batch)
        write_batch(body, search, i, items, item_count,
                    count - i < search->batch ? count - i : search->batch);
    tw_buf_appendf(body, "{\"status\":\"success\",\"has_more\":%s}\n", more ? "true" : "false");
    return TW_OK;
}

static enum tw_http_verdict handle(struct tw_http_exchange *exchange, struct query_engine *engine,
                                   enum target target)
{
    struct search *search = TW_ARENA_NEW(exchange->arena, struct search);
    struct tsdb_storage *storage = query_engine_storage(engine);
    struct tw_err err;
    int64_t latest_ns = tw_clock_mono_ns(exchange->context.clock) + SEARCH_NS_MAX;
    if (exchange->context.deadline_mono_ns > latest_ns)
        exchange->context.deadline_mono_ns = latest_ns;
    search->target = target;
    search->label = TW_STR(WIRE_METRIC_NAME);
    if (read_search(exchange, search, &err) != TW_OK) {
        tw_http_error_api(exchange, &err);
        return TW_HTTP_DONE;
    }
    search->names = query_api_names_begin(exchange, false, "match[]");
    if (!search->names)
        return TW_HTTP_DONE;
    enum tw_code code = TW_OK;
    if (search->names->end_ms < search->names->start_ms)
        code = tw_err_set(&err, TW_BAD_DATA,
                          "invalid parameter \"end\": end timestamp must not be before start time");
    if (code == TW_OK)
        code = find(exchange, storage, search, &err);
    if (code == TW_OK)
        code = answer(exchange, storage, search, &err);
    if (code != TW_OK)
        tw_http_error_api(exchange, &err);
    query_api_names_end(search->names);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict search_metrics(void *user, struct tw_http_exchange *exchange)
{
    return handle(exchange, user, TARGET_METRICS);
}

static enum tw_http_verdict search_names(void *user, struct tw_http_exchange *exchange)
{
    return handle(exchange, user, TARGET_NAMES);
}

static enum tw_http_verdict search_values(void *user, struct tw_http_exchange *exchange)
{
    return handle(exchange, user, TARGET_VALUES);
}

void query_api_search_route(struct tw_http_router *router, struct query_engine *engine)
{
    unsigned both = TW_HTTP_GET | TW_HTTP_POST;
    tw_http_route(router, both, "/api/v1/search/metric_names", TW_HTTP_WORKER, search_metrics,
                  engine);
    tw_http_route(router, both, "/api/v1/search/label_names", TW_HTTP_WORKER, search_names, engine);
    tw_http_route(router, both, "/api/v1/search/label_values", TW_HTTP_WORKER, search_values,
                  engine);
}
