/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/openapi.h"

#include <string.h>

#include "base/assert.h"
#include "daemon/openapi_schema.h"

#define PREFIX "/api/v1/"
#define YAML_BYTES_MAX ((size_t)1 << 20)

struct parameter {
    const char *name, *shape, *sentence;
};

static const struct parameter parameters[] = {
#define PARAMETER(name, shape, sentence) {name, shape, sentence},
#include "daemon/openapi.tbl"
};

static const struct parameter schemas[] = {
#define SCHEMA(name, shape) {#name, shape, NULL},
#include "daemon/openapi.tbl"
};

struct call {
    const char *pattern, *tag, *sentence, *parameters, *shape;
};

static const struct call calls[] = {
#define CALL(pattern, tag, sentence, parameters, shape) {pattern, tag, sentence, parameters, shape},
#include "daemon/openapi.tbl"
};

/* A route that the table does not know yet is better shown than hidden. */
static const struct call unknown = {"", "other", "Not described.", "", "a"};

struct document {
    struct tw_buf *yaml;
    bool streams; /* 3.2, which has words for them */
    const char *pattern;
    const struct call *call;
};

static const struct call *find_call(const char *pattern)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (!strcmp(calls[i].pattern, pattern))
            return &calls[i];
    return &unknown;
}

static const struct parameter *find_parameter(struct tw_str name)
{
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
        if (tw_str_is(name, parameters[i].name))
            return &parameters[i];
    TW_UNREACHABLE("a parameter that the table does not have");
}

static void write_quoted(struct tw_buf *yaml, const char *key, const char *text)
{
    tw_buf_appendf(yaml, "%s: '", key);
    for (; *text; text++)
        tw_buf_appendf(yaml, "%s%c", *text == '\'' ? "'" : "", *text);
    tw_buf_append_cstr(yaml, "'\n");
}

/* ---- paths ---- */

/* "/api/v1/label/:name/values" -> "/label/{name}/values" */
static void write_path(struct tw_buf *yaml, const char *pattern)
{
    struct tw_str rest = tw_str(pattern + strlen(PREFIX)), part;
    tw_buf_append_cstr(yaml, "  ");
    while (tw_str_split(&rest, '/', &part)) {
        if (part.size > 0 && part.data[0] == ':')
            tw_buf_appendf(yaml, "/{%.*s}", TW_STR_ARG(tw_str_slice(part, 1, part.size)));
        else
            tw_buf_appendf(yaml, "/%.*s", TW_STR_ARG(part));
    }
    tw_buf_append_cstr(yaml, ":\n");
}

static void write_operation_id(struct tw_buf *yaml, const char *method, const char *pattern)
{
    tw_buf_appendf(yaml, "      operationId: %s-", method);
    for (const char *at = pattern + strlen(PREFIX); *at; at++)
        if (*at != ':')
            tw_buf_append_char(yaml, *at == '/' || *at == '_' || *at == '.' ? '-' : *at);
    tw_buf_append_char(yaml, '\n');
}

static void write_path_parameters(struct tw_buf *yaml, const char *pattern)
{
    struct tw_str rest = tw_str(pattern), part;
    while (tw_str_split(&rest, '/', &part)) {
        if (part.size == 0 || part.data[0] != ':')
            continue;
        tw_buf_appendf(yaml, "        - name: %.*s\n          in: path\n          required: true\n",
                       TW_STR_ARG(tw_str_slice(part, 1, part.size)));
        tw_buf_append_cstr(yaml, "          schema:\n            type: string\n");
    }
}

static bool next_parameter(struct tw_str *rest, const struct parameter **ret, bool *ret_required)
{
    struct tw_str word;
    if (rest->size == 0 || !tw_str_split(rest, ' ', &word))
        return false;
    *ret_required = tw_str_ends(word, TW_STR("!"));
    *ret = find_parameter(tw_str_slice(word, 0, word.size - *ret_required));
    return true;
}

static void write_parameters(struct tw_buf *yaml, const char *pattern, const struct call *call)
{
    if (!strchr(pattern, ':') && !*call->parameters)
        return;
    const struct parameter *parameter;
    struct tw_str rest = tw_str(call->parameters);
    bool required;
    tw_buf_append_cstr(yaml, "      parameters:\n");
    write_path_parameters(yaml, pattern);
    while (next_parameter(&rest, &parameter, &required)) {
        tw_buf_appendf(yaml, "        - name: '%s'\n          in: query\n          required: %s\n",
                       parameter->name, required ? "true" : "false");
        write_quoted(yaml, "          description", parameter->sentence);
        tw_buf_append_cstr(yaml, "          schema:\n");
        daemon_openapi_write_schema(yaml, 12, parameter->shape);
    }
}

static void write_form(struct tw_buf *yaml, const struct call *call)
{
    const struct parameter *parameter;
    struct tw_str rest = tw_str(call->parameters);
    bool required;
    tw_buf_append_cstr(yaml, "      requestBody:\n        content:\n"
                             "          application/x-www-form-urlencoded:\n"
                             "            schema:\n              type: object\n"
                             "              properties:\n");
    while (next_parameter(&rest, &parameter, &required)) {
        tw_buf_appendf(yaml, "                '%s':\n", parameter->name);
        daemon_openapi_write_schema(yaml, 18, parameter->shape);
    }
}

static void write_body(struct tw_buf *yaml, const struct call *call)
{
    if (!strcmp(call->tag, "samples"))
        tw_buf_append_cstr(yaml, "      requestBody:\n        required: true\n        content:\n"
                                 "          application/x-protobuf:\n"
                                 "            schema:\n              type: string\n"
                                 "              format: binary\n");
    else if (*call->parameters)
        write_form(yaml, call);
}

/* ---- answers ---- */

static void write_envelope(struct tw_buf *yaml, const char *shape)
{
    static const char head[] = "          content:\n"
                               "            application/json:\n"
                               "              schema:\n"
                               "                type: object\n"
                               "                required:\n"
                               "                - status\n"
                               "                - data\n"
                               "                properties:\n"
                               "                  status:\n"
                               "                    const: success\n"
                               "                  warnings:\n"
                               "                    type: array\n"
                               "                    items:\n"
                               "                      type: string\n"
                               "                  infos:\n"
                               "                    type: array\n"
                               "                    items:\n"
                               "                      type: string\n"
                               "                  data:\n";
    tw_buf_append_cstr(yaml, head);
    daemon_openapi_write_schema(yaml, 20, shape);
}

static void write_responses(struct tw_buf *yaml, const struct call *call)
{
    bool media = strchr(call->shape, '/') != NULL;
    tw_buf_append_cstr(yaml, "      responses:\n");
    if (!*call->shape) {
        tw_buf_append_cstr(yaml, "        '204':\n          description: Done.\n");
    } else if (media) {
        bool lines = !strcmp(call->shape, "application/x-ndjson");
        bool events = !strcmp(call->shape, "text/event-stream");
        tw_buf_appendf(yaml,
                       "        '200':\n          description: The answer.\n          content:\n"
                       "            %s:\n              %s:\n                %s\n",
                       call->shape, events ? "itemSchema" : "schema",
                       lines ? "$ref: '#/components/schemas/SearchLine'" : "type: string");
    } else {
        tw_buf_append_cstr(yaml, "        '200':\n          description: The answer.\n");
        write_envelope(yaml, call->shape);
    }
    tw_buf_append_cstr(yaml, "        default:\n"
                             "          $ref: '#/components/responses/Error'\n");
}

static void write_method(struct tw_buf *yaml, const char *method, const char *pattern,
                         const struct call *call)
{
    bool form = !strcmp(method, "post") || !strcmp(method, "put");
    tw_buf_appendf(yaml, "    %s:\n      tags:\n      - %s\n", method, call->tag);
    write_quoted(yaml, "      summary", call->sentence);
    write_operation_id(yaml, method, pattern);
    if (form) {
        write_parameters(yaml, pattern, &unknown);
        write_body(yaml, call);
    } else {
        write_parameters(yaml, pattern, call);
    }
    write_responses(yaml, call);
}

/* Routes of one pattern with other methods follow each other. */
static void write_route(void *user, unsigned methods, const char *pattern)
{
    static const struct {
        enum tw_http_method method;
        const char *name;
    } known[] = {{TW_HTTP_GET, "get"},
                 {TW_HTTP_POST, "post"},
                 {TW_HTTP_PUT, "put"},
                 {TW_HTTP_DELETE, "delete"}};
    struct document *document = user;
    if (strncmp(pattern, PREFIX, strlen(PREFIX)) != 0)
        return;
    const struct call *call = find_call(pattern);
    if (!document->streams && !strcmp(call->shape, "text/event-stream"))
        return;
    if (!document->pattern || strcmp(document->pattern, pattern) != 0)
        write_path(document->yaml, pattern);
    document->pattern = pattern;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (methods & known[i].method)
            write_method(document->yaml, known[i].name, pattern, call);
}

static void write_document(struct tw_buf *yaml, const struct tw_http_router *router, bool streams)
{
    struct document document = {.yaml = yaml, .streams = streams};
    tw_buf_appendf(yaml, "openapi: %s\n", streams ? "3.2.0" : "3.1.0");
    tw_buf_appendf(yaml, "info:\n  title: Tidewatch HTTP API\n  version: %s\n", PACKAGE_VERSION);
    tw_buf_append_cstr(yaml,
                       "  description: 'Prometheus''s HTTP API v1, and what Tidewatch adds.'\n"
                       "servers:\n- url: /api/v1\npaths:\n");
    tw_http_router_each(router, write_route, &document);
    tw_buf_append_cstr(yaml, "components:\n  responses:\n    Error:\n"
                             "      description: 'It did not work; the error says why.'\n"
                             "      content:\n        application/json:\n          schema:\n"
                             "            $ref: '#/components/schemas/Error'\n  schemas:\n");
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {
        tw_buf_appendf(yaml, "    %s:\n", schemas[i].name);
        daemon_openapi_write_schema(yaml, 6, schemas[i].shape);
    }
}

static enum tw_http_verdict handle(void *user, struct tw_http_exchange *exchange)
{
    struct tw_str version = TW_STR("3.1");
    struct tw_err err;
    (void)tw_http_parameter(&exchange->request, "openapi_version", &version);
    bool streams = tw_str_is(version, "3.2");
    if (!streams && !tw_str_is(version, "3.1")) {
        (void)tw_err_set(&err, TW_BAD_DATA,
                         "invalid parameter \"openapi_version\": 3.1 or 3.2, not \"%.*s\"",
                         TW_STR_ARG(version));
        tw_http_error_api(exchange, &err);
        return TW_HTTP_DONE;
    }
    tw_buf_fini(&exchange->response.body);
    tw_buf_init(&exchange->response.body, YAML_BYTES_MAX);
    exchange->response.content_type = "application/yaml; charset=utf-8";
    write_document(&exchange->response.body, user, streams);
    return TW_HTTP_DONE;
}

void daemon_openapi_route(struct tw_http_router *router)
{
    tw_http_route(router, TW_HTTP_GET, "/api/v1/openapi.yaml", TW_HTTP_WORKER, handle, router);
}
