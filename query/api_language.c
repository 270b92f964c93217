/* SPDX-License-Identifier: Apache-2.0
 *
 * What editors ask of a query without running it: format_query and parse_query.
 */
#include "config.h"

#include "query/api.h"

#include "base/json.h"
#include "query/parser.h"
#include "query/printer.h"

/* The query of the request; NULL: the exchange is answered. */
static struct query_ast *parse(struct query_engine *engine, struct tw_http_exchange *exchange)
{
    struct tw_str text = {0};
    struct query_ast *ast;
    struct tw_err err;
    (void)tw_http_parameter(&exchange->request, "query", &text);
    if (query_parse(text, query_engine_options(engine)->features, &ast, &err) == TW_OK)
        return ast;
    query_api_refuse(exchange, "query", &err);
    return NULL;
}

static enum tw_http_verdict handle_format(void *user, struct tw_http_exchange *exchange)
{
    struct query_ast *ast = parse(user, exchange);
    if (!ast)
        return TW_HTTP_DONE;
    struct tw_json_writer writer;
    struct tw_buf text;
    tw_buf_init(&text, QUERY_API_LANGUAGE_BYTES_MAX);
    query_print_pretty(ast->root, &text);
    query_ast_free(ast);
    if (text.overflow) {
        struct tw_err err;
        (void)tw_err_set(&err, TW_LIMIT, "the formatted query needs more than %zu bytes",
                         QUERY_API_LANGUAGE_BYTES_MAX);
        tw_http_error_api(exchange, &err);
    } else {
        tw_http_begin_success(exchange, &writer);
        tw_json_write_str(&writer, tw_buf_str(&text));
        tw_json_end_object(&writer);
    }
    tw_buf_fini(&text);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict handle_parse(void *user, struct tw_http_exchange *exchange)
{
    struct query_ast *ast = parse(user, exchange);
    if (!ast)
        return TW_HTTP_DONE;
    struct tw_json_writer writer;
    struct tw_buf tree;
    tw_buf_init(&tree, QUERY_API_LANGUAGE_BYTES_MAX);
    query_print_json(ast->root, &tree);
    query_ast_free(ast);
    if (tree.overflow) {
        struct tw_err err;
        (void)tw_err_set(&err, TW_LIMIT, "the parsed query needs more than %zu bytes",
                         QUERY_API_LANGUAGE_BYTES_MAX);
        tw_http_error_api(exchange, &err);
    } else {
        tw_http_begin_success(exchange, &writer);
        tw_json_write_raw(&writer, tw_buf_str(&tree));
        tw_json_end_object(&writer);
    }
    tw_buf_fini(&tree);
    return TW_HTTP_DONE;
}

void query_api_language_route(struct tw_http_router *router, struct query_engine *engine)
{
    unsigned both = TW_HTTP_GET | TW_HTTP_POST;
    tw_http_route(router, both, "/api/v1/format_query", TW_HTTP_WORKER, handle_format, engine);
    tw_http_route(router, both, "/api/v1/parse_query", TW_HTTP_WORKER, handle_parse, engine);
}
