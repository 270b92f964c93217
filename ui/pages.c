/* SPDX-License-Identifier: Apache-2.0
 *
 * A file's ETag is the hash of the bytes sent, so the plain and the compressed form have different
 * ones, as caches between us and the browser need. Addresses with a version (?v=..., written by
 * ui/build.mjs) never change their content and are kept for ever; the start page is asked for anew.
 */
#include "config.h"

#include "ui/pages.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "ui/files.h"

#define NO_PAGES                                                                                   \
    "This tidewatchd was built without its web pages: node and npm were not there.\n"              \
    "Install them (Debian: apt-get install nodejs npm), run ./configure and make again,\n"         \
    "or build from a release tarball, which carries the pages.\n"                                  \
    "The HTTP API under /api/v1 is complete without them.\n"

/* Scripts, styles and data come from this server alone; nobody may frame the pages. */
#define CONTENT_SECURITY_POLICY                                                                    \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/* Addresses of pages: the script reads the rest. /graph is where Prometheus's links lead. */
static const char *const page_patterns[] = {
    "/hosts",   "/hosts/*rest",   "/query",     "/graph",  "/alerts",
    "/scalers", "/scalers/*rest", "/forecasts", "/status",
};

static bool is_word(struct tw_str text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

/* "q=0", "q=0.0", ...: the client says that it does not want it. */
static bool is_refusal(struct tw_str parameter)
{
    parameter = tw_str_trim(parameter);
    if (parameter.size < 3 || strncasecmp(parameter.data, "q=", 2) != 0)
        return false;
    for (size_t i = 2; i < parameter.size; i++)
        if (parameter.data[i] != '0' && parameter.data[i] != '.')
            return false;
    return true;
}

static bool accepts_gzip(const struct tw_http_request *request)
{
    struct tw_str rest, entry;
    if (!tw_http_header(request, "Accept-Encoding", &rest))
        return false;
    bool any = false;
    while (tw_str_split(&rest, ',', &entry)) {
        struct tw_str name, parameter;
        if (!tw_str_split(&entry, ';', &name))
            continue;
        name = tw_str_trim(name);
        bool refused = false;
        while (tw_str_split(&entry, ';', &parameter))
            refused = refused || is_refusal(parameter);
        if (is_word(name, "gzip"))
            return !refused;
        if (tw_str_is(name, "*"))
            any = !refused;
    }
    return any;
}

static bool is_known(const struct tw_http_request *request, struct tw_str etag)
{
    struct tw_str rest, entry;
    if (!tw_http_header(request, "If-None-Match", &rest))
        return false;
    while (tw_str_split(&rest, ',', &entry)) {
        entry = tw_str_trim(entry);
        /* A proxy may have weakened it: "W/" before the same tag. */
        if (tw_str_starts(entry, TW_STR("W/")))
            entry = tw_str_slice(entry, 2, entry.size);
        if (tw_str_equal(entry, etag) || tw_str_is(entry, "*"))
            return true;
    }
    return false;
}

static enum tw_http_verdict send_file(void *user, struct tw_http_exchange *exchange)
{
    const struct ui_file *file = user;
    struct tw_http_response *response = &exchange->response;
    bool gzip = accepts_gzip(&exchange->request);
    struct tw_str content = gzip ? file->gzip : file->plain;
    struct tw_str etag = tw_arena_format(exchange->arena, "\"%016" PRIx64 "\"",
                                         tw_hash64(content.data, content.size));
    struct tw_str version;
    bool versioned = tw_http_parameter(&exchange->request, "v", &version);

    response->content_type = file->type;
    tw_http_add_header(response, "ETag", etag);
    tw_http_add_header(response, "Vary", TW_STR("Accept-Encoding"));
    tw_http_add_header(response, "Cache-Control",
                       versioned ? TW_STR("public, max-age=31536000, immutable")
                                 : TW_STR("no-cache"));
    tw_http_add_header(response, "Content-Security-Policy", TW_STR(CONTENT_SECURITY_POLICY));
    tw_http_add_header(response, "Referrer-Policy", TW_STR("same-origin"));
    if (is_known(&exchange->request, etag)) {
        response->status = 304;
        return TW_HTTP_DONE;
    }
    if (gzip)
        tw_http_add_header(response, "Content-Encoding", TW_STR("gzip"));
    response->constant = content;
    return TW_HTTP_DONE;
}

static enum tw_http_verdict send_advice(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    exchange->response.content_type = "text/plain; charset=utf-8";
    exchange->response.constant = TW_STR(NO_PAGES);
    return TW_HTTP_DONE;
}

static void route(struct tw_http_router *router, const char *pattern, tw_http_handler *handler,
                  const struct ui_file *file)
{
    tw_http_route(router, TW_HTTP_GET, pattern, TW_HTTP_INLINE, handler, (void *)(uintptr_t)file);
}

void ui_pages_route(struct tw_http_router *router)
{
    const struct ui_file *start = NULL;
    for (const struct ui_file *file = ui_files; file->path; file++) {
        route(router, file->path, send_file, file);
        if (tw_str_is(tw_str(file->path), "/"))
            start = file;
    }
    if (!start)
        route(router, "/", send_advice, NULL);
    for (size_t i = 0; i < sizeof page_patterns / sizeof page_patterns[0]; i++)
        route(router, page_patterns[i], start ? send_file : send_advice, start);
}
