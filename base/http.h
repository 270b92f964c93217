/* SPDX-License-Identifier: Apache-2.0
 *
 * http: requests and responses as plain data, and a router, so that each module's handlers run in
 * tests and in simulation without a socket. daemon/http_server binds them to libmicrohttpd.
 *
 * An exchange is one request with its response. The handler fills the response and returns
 * TW_HTTP_DONE; or it returns TW_HTTP_PENDING, keeps the exchange, and calls tw_http_finish exactly
 * once later, from any thread (the ingest path waits for the disk this way without holding a
 * thread).
 *
 * Where a handler runs: TW_HTTP_INLINE on the event loop (must not block nor take longer than about
 * a millisecond), TW_HTTP_WORKER on a pool thread (queries).
 *
 * Ownership: everything in the request lives as long as the exchange; what the response points to
 * must, and may be in the exchange's arena. Threads: an exchange belongs to one thread at a time.
 */
#ifndef TW_BASE_HTTP_H
#define TW_BASE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/context.h"
#include "base/err.h"
#include "base/str.h"

enum tw_http_method {
    TW_HTTP_GET = 1,
    TW_HTTP_HEAD = 2,
    TW_HTTP_POST = 4,
    TW_HTTP_PUT = 8,
    TW_HTTP_DELETE = 16,
    TW_HTTP_OPTIONS = 32,
};
const char *tw_http_method_name(enum tw_http_method method);

struct tw_http_pair {
    struct tw_str name, value;
};

struct tw_http_request {
    enum tw_http_method method;
    struct tw_str path;                 /* percent-decoded, without the query string */
    struct tw_str target;               /* as sent */
    struct tw_str client;               /* address, for logs and fairness */
    const struct tw_http_pair *headers; /* names as sent; looked up without case */
    size_t header_count;
    /* Query string and, for a POST or PUT of application/x-www-form-urlencoded, the body: decoded,
     * in order (the body's first, as Go's r.Form has them). */
    const struct tw_http_pair *parameters;
    size_t parameter_count;
    struct tw_str body;
    /* Filled by the router from ":name" parts of the pattern. */
    struct tw_http_pair captures[4];
    size_t capture_count;
};

struct tw_http_response {
    int status;               /* 200 unless set */
    const char *content_type; /* "application/json" unless set */
    struct tw_http_pair headers[16];
    size_t header_count;
    struct tw_buf body; /* maximum TW_HTTP_BODY_MAX unless the handler starts it anew */
    /* Instead of body: called until it returns 0 (end) or -1 (broken off), on a server thread. */
    ssize_t (*produce)(void *user, char *ret_bytes, size_t capacity);
    void (*produce_end)(void *user); /* always called once when produce was set */
    void *produce_user;
    /* Instead of body: bytes that outlive the exchange (embedded pages). */
    struct tw_str constant;
};

#define TW_HTTP_BODY_MAX ((size_t)1 << 30)
/* Of one request, query string and form body together. */
#define TW_HTTP_PARAMETERS_MAX 10000

struct tw_http_exchange {
    struct tw_http_request request;
    struct tw_http_response response;
    struct tw_context context;
    struct tw_arena *arena;
    int64_t waited_ns; /* in its client's line, until a worker was free */
    /* Set by whoever drives the exchange (server, test); called by tw_http_finish. */
    void (*finish)(struct tw_http_exchange *exchange);
    void *driver;
};

enum tw_http_verdict { TW_HTTP_DONE, TW_HTTP_PENDING };
typedef enum tw_http_verdict tw_http_handler(void *user, struct tw_http_exchange *exchange);
enum tw_http_place { TW_HTTP_INLINE, TW_HTTP_WORKER };

/* ---- what handlers use ---- */
void tw_http_finish(struct tw_http_exchange *exchange);
/* First value of a parameter; *ret untouched if it is absent. */
bool tw_http_parameter(const struct tw_http_request *request, const char *name, struct tw_str *ret);
/* The n-th (0-based) value of a repeated parameter such as match[]. */
bool tw_http_parameter_at(const struct tw_http_request *request, const char *name, size_t n,
                          struct tw_str *ret);
bool tw_http_header(const struct tw_http_request *request, const char *name, struct tw_str *ret);
struct tw_str tw_http_capture(const struct tw_http_request *request, const char *name);
/* value must outlive the exchange or be in its arena. */
void tw_http_add_header(struct tw_http_response *response, const char *name, struct tw_str value);
/* Answers with a plain text sentence and the status of err's code. */
void tw_http_error_text(struct tw_http_exchange *exchange, const struct tw_err *err);
/* Answers in the Prometheus API's error envelope {"status":"error","errorType":...,"error":...}. */
void tw_http_error_api(struct tw_http_exchange *exchange, const struct tw_err *err);
/* Begins the Prometheus API's envelope, {"status":"success","data":; what follows is the data, then
 * tw_json_end_object. */
struct tw_json_writer;
void tw_http_begin_success(struct tw_http_exchange *exchange, struct tw_json_writer *ret_writer);
const char *tw_http_api_error_type(enum tw_code code); /* "bad_data", "execution", ... */

/* ---- routing ---- */
struct tw_http_router;

struct tw_http_router *tw_http_router_new(void);
struct tw_http_router *tw_http_router_free(struct tw_http_router *router); /* returns NULL */
/* pattern: "/api/v1/label/:name/values"; a last part "*rest" takes all that follows. methods: a sum
 * of tw_http_method; GET implies HEAD. Two routes must not overlap. All are added before serving.
 */
void tw_http_route(struct tw_http_router *router, unsigned methods, const char *pattern,
                   enum tw_http_place place, tw_http_handler *handler, void *user);

/* Each route in the order of its pattern; methods as the caller of tw_http_route gave them, HEAD
 * included. */
typedef void tw_http_route_visit(void *user, unsigned methods, const char *pattern);
void tw_http_router_each(const struct tw_http_router *router, tw_http_route_visit *visit,
                         void *user);

struct tw_http_match {
    tw_http_handler *handler;
    void *user;
    enum tw_http_place place;
    const char *pattern; /* for metrics: few values, unlike the path */
};
/* Finds the route and fills the captures. TW_NOT_FOUND, or TW_METHOD with the Allow header added.
 */
TW_MUST_CHECK enum tw_code tw_http_router_find(struct tw_http_router *router,
                                               struct tw_http_exchange *exchange,
                                               struct tw_http_match *ret_match, struct tw_err *err);

/* ---- building exchanges (servers and tests) ---- */
/* Copies and decodes target, headers and form body into a new exchange's arena; body itself is
 * borrowed and must outlive the exchange. TW_BAD_DATA for a broken percent-escape. */
TW_MUST_CHECK enum tw_code tw_http_exchange_new(enum tw_http_method method, struct tw_str target,
                                                const struct tw_http_pair *headers,
                                                size_t header_count, struct tw_str body,
                                                struct tw_clock *clock,
                                                struct tw_http_exchange **ret, struct tw_err *err);
struct tw_http_exchange *
tw_http_exchange_free(struct tw_http_exchange *exchange); /* returns NULL */
/* Routes and runs the exchange here and now; waits if the handler stays pending. For tests and
 * for calls inside the process. */
void tw_http_exchange_run(struct tw_http_router *router, struct tw_http_exchange *exchange);
/* Percent-decoding, '+' as space if form. In the arena. False for a broken escape. */
bool tw_http_decode(struct tw_arena *arena, struct tw_str text, bool form, struct tw_str *ret);

#endif
