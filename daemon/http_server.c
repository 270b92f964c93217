/* SPDX-License-Identifier: Apache-2.0
 *
 * A session is one request on its way:
 *
 *   BEGIN  request line and headers are here: limits are checked, a hopeless body is refused unread
 *   BODY   bytes are gathered
 *   RUN    the handler works; the connection is suspended unless the answer is there at once
 *   SENT   the answer is queued
 *
 * I1. `state` settles the race between the event loop that suspends a connection and the thread
 * that finishes its exchange: whoever comes second resumes the connection. I2. While a connection
 * is suspended libmicrohttpd does not touch it, so its session lives. I3. A session ends when
 * libmicrohttpd has completed the request and, for a streamed answer, has dropped the response:
 * `references`.
 */
#include "config.h"

#include "daemon/http_server.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <microhttpd.h>
#include <zlib.h>

#include "base/assert.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/number.h"
#include "base/workers.h"
#include "daemon/encoding.h"
#include "daemon/hangup.h"
#include "daemon/listener.h"

#define SERVER_MAGIC 0x48545450u
#define CONNECTION_BYTES ((size_t)128 << 10) /* headers, and the window in which a body is read */
#define LOOP_STACK_BYTES ((size_t)512 << 10)
#define HEADERS_MAX 100
#define BODY_EARLY_BYTES (64 << 10) /* from here on a body is refused before it is read */
/* Memory for a body as it is announced, without moving it while it grows; who announces more and
 * sends nothing shall not have it. */
#define BODY_AT_ONCE_BYTES ((size_t)1 << 20)
#define GZIP_BYTES_MAX ((size_t)256 << 20)
#define STREAM_BLOCK_BYTES 32768
#define CANCEL_GRACE_MS 5000
#define NS_PER_MS INT64_C(1000000)

enum phase { PHASE_BEGIN, PHASE_BODY, PHASE_RUN, PHASE_SENT };
enum state { STATE_RUNNING, STATE_SUSPENDED, STATE_FINISHED };

struct session {
    struct daemon_http *server;
    struct MHD_Connection *connection;
    struct session *next, *previous; /* guarded by the server's lock */
    atomic_int references;           /* I3 */
    _Atomic enum state state;        /* I1 */
    enum phase phase;
    enum tw_http_method method;
    char *target;
    int64_t start_ns, given_ns; /* given: to the workers */
    struct tw_buf body;
    size_t bodies_bytes;               /* held of the server's budget */
    size_t thrown_away;                /* bytes of a body that is refused */
    struct tw_err refusal;             /* code TW_OK: none */
    struct tw_http_exchange *exchange; /* guarded by the server's lock while others may cancel it */
    struct tw_http_match match;
    uint64_t hangup_ticket;
};

struct daemon_http {
    unsigned magic;
    struct daemon_http_options options;
    struct tw_http_router *router;
    struct MHD_Daemon *mhd;
    struct tw_workers *workers;
    struct daemon_hangup *hangup;
    char address[DAEMON_ADDRESS_BYTES];
    atomic_bool ending;
    atomic_size_t bodies_bytes;
    struct tw_lock lock; /* guards sessions, session_count */
    struct tw_cond session_ended;
    struct session *sessions;
    size_t session_count;
};

/* ---- metrics ---- */

static const double duration_bounds[] = {.0005, .002, .01, .05, .2, 1, 5, 30};

static void count_request(const struct session *session, int status)
{
    const struct daemon_http_options *options = &session->server->options;
    if (!options->metrics)
        return;
    const char *route = session->match.pattern ? session->match.pattern : "unmatched";
    const char *method = session->method ? tw_http_method_name(session->method) : "other";
    char labels[256];
    snprintf(labels, sizeof labels, "route=\"%s\",method=\"%s\",status=\"%d\"", route, method,
             status);
    tw_metric_add(
        tw_metrics_counter(options->metrics, "tidewatch_http_requests_total", labels,
                           "HTTP requests answered, by route pattern, method and status."),
        1);
    snprintf(labels, sizeof labels, "route=\"%s\"", route);
    struct tw_metric *duration =
        tw_metrics_histogram(options->metrics, "tidewatch_http_request_duration_seconds", labels,
                             "Seconds from a request's first line to its answer.", duration_bounds,
                             sizeof duration_bounds / sizeof duration_bounds[0]);
    tw_metric_observe(duration,
                      (double)(tw_clock_mono_ns(options->clock) - session->start_ns) / 1e9);
}

static void count_refusal(const struct daemon_http *server, const char *reason)
{
    char labels[64];
    if (!server->options.metrics)
        return;
    snprintf(labels, sizeof labels, "reason=\"%s\"", reason);
    tw_metric_add(tw_metrics_counter(server->options.metrics, "tidewatch_http_refused_total",
                                     labels, "HTTP requests refused before a handler saw them."),
                  1);
}

static double read_in_flight(void *user)
{
    struct daemon_http *server = user;
    tw_lock_take(&server->lock);
    double count = (double)server->session_count;
    tw_lock_release(&server->lock);
    return count;
}

static double read_bodies_bytes(void *user)
{
    struct daemon_http *server = user;
    return (double)atomic_load(&server->bodies_bytes);
}

static double read_queued(void *user)
{
    struct daemon_http *server = user;
    return (double)tw_workers_queued(server->workers);
}

/* ---- sessions ---- */

static void *begin_session(void *user, const char *target, struct MHD_Connection *connection)
{
    struct daemon_http *server = user;
    struct session *session = calloc(1, sizeof *session);
    TW_ASSERT(session != NULL);
    session->server = server;
    session->connection = connection;
    session->references = 1;
    session->target = tw_str_dup(tw_str(target));
    session->start_ns = tw_clock_mono_ns(server->options.clock);
    tw_buf_init(&session->body, server->options.body_bytes_max);
    tw_lock_take(&server->lock);
    session->next = server->sessions;
    if (session->next)
        session->next->previous = session;
    server->sessions = session;
    server->session_count++;
    tw_lock_release(&server->lock);
    return session;
}

static void unref_session(struct session *session)
{
    if (atomic_fetch_sub(&session->references, 1) > 1)
        return;
    struct daemon_http *server = session->server;
    tw_lock_take(&server->lock);
    if (session->previous)
        session->previous->next = session->next;
    else
        server->sessions = session->next;
    if (session->next)
        session->next->previous = session->previous;
    server->session_count--;
    tw_cond_signal(&server->session_ended);
    tw_lock_release(&server->lock);
    atomic_fetch_sub(&server->bodies_bytes, session->bodies_bytes);
    tw_http_exchange_free(session->exchange);
    tw_buf_fini(&session->body);
    free(session->target);
    free(session);
}

static void end_session(void *user, struct MHD_Connection *connection, void **session,
                        enum MHD_RequestTerminationCode why)
{
    (void)user;
    (void)connection;
    (void)why;
    if (*session)
        unref_session(*session);
    *session = NULL;
}

/* Counts more bytes of bodies against the common budget. */
static bool reserve_body(struct session *session, size_t more)
{
    struct daemon_http *server = session->server;
    size_t before = atomic_fetch_add(&server->bodies_bytes, more);
    if (before + more > server->options.bodies_bytes_max) {
        atomic_fetch_sub(&server->bodies_bytes, more);
        return false;
    }
    session->bodies_bytes += more;
    return true;
}

static void set_exchange(struct session *session, struct tw_http_exchange *exchange)
{
    tw_lock_take(&session->server->lock);
    session->exchange = exchange;
    tw_lock_release(&session->server->lock);
}

/* ---- answers ---- */

/* Fastest level: query answers shrink tenfold with it already. The thread that finished pays. */
static void compress_body(struct tw_http_exchange *exchange)
{
    struct tw_http_response *response = &exchange->response;
    struct tw_buf *body = &response->body;
    daemon_encoding_pack_stream(exchange);
    if (body->size > GZIP_BYTES_MAX || !daemon_encoding_wants_gzip(exchange))
        return;
    z_stream stream = {0};
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return;
    struct tw_buf packed;
    tw_buf_init(&packed, SIZE_MAX / 2);
    uLong bound = deflateBound(&stream, (uLong)body->size);
    stream.next_out = (Bytef *)tw_buf_reserve(&packed, bound);
    stream.avail_out = (uInt)bound;
    stream.next_in = (Bytef *)body->data;
    stream.avail_in = (uInt)body->size;
    bool fits = stream.next_out && deflate(&stream, Z_FINISH) == Z_STREAM_END;
    packed.size = fits ? bound - stream.avail_out : 0;
    deflateEnd(&stream);
    if (!fits) {
        tw_buf_fini(&packed);
        return;
    }
    tw_buf_fini(body);
    *body = packed;
    tw_http_add_header(response, "Content-Encoding", TW_STR("gzip"));
    if (!daemon_encoding_has_header(response, "Vary"))
        tw_http_add_header(response, "Vary", TW_STR("Accept-Encoding"));
}

static ssize_t produce_bytes(void *user, uint64_t position, char *bytes, size_t capacity)
{
    struct session *session = user;
    struct tw_http_response *response = &session->exchange->response;
    (void)position;
    if (atomic_load(&session->server->ending))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    ssize_t count = response->produce(response->produce_user, bytes, capacity);
    if (count > 0)
        return count;
    return count == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void end_produce(void *user)
{
    struct session *session = user;
    struct tw_http_response *response = &session->exchange->response;
    if (response->produce_end)
        response->produce_end(response->produce_user);
    response->produce = NULL;
    unref_session(session);
}

static struct MHD_Response *make_response(struct session *session)
{
    struct tw_http_response *response = &session->exchange->response;
    static char nothing[1];
    if (response->produce) {
        atomic_fetch_add(&session->references, 1);
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES,
                                                 produce_bytes, session, end_produce);
    }
    if (response->constant.size > 0) {
        char *bytes;
        memcpy(&bytes, &response->constant.data,
               sizeof bytes); /* read only, says MHD_RESPMEM_PERSISTENT */
        return MHD_create_response_from_buffer(response->constant.size, bytes,
                                               MHD_RESPMEM_PERSISTENT);
    }
    size_t size;
    char *bytes = tw_buf_take(&response->body, &size);
    if (size == 0) {
        free(bytes);
        return MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    }
    return MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_FREE);
}

static void add_text_header(struct MHD_Response *response, struct tw_http_pair header)
{
    char *name = tw_str_dup(header.name), *value = tw_str_dup(header.value);
    MHD_add_response_header(response, name, value);
    free(name);
    free(value);
}

static bool is_api(const struct session *session)
{
    return !strncmp(session->target, "/api/", 5);
}

/* Any page may read the API unless it was said which, as with Prometheus: there are no cookies that
 * it could abuse. */
static void add_cors(const struct session *session, struct MHD_Response *response)
{
    struct tw_str origin;
    if (!is_api(session) || !tw_http_header(&session->exchange->request, "Origin", &origin))
        return;
    const struct tw_regex *allowed = session->server->options.cors_origins;
    if (!allowed)
        MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
    else if (tw_regex_match(allowed, origin))
        add_text_header(response,
                        (struct tw_http_pair){TW_STR("Access-Control-Allow-Origin"), origin});
    MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    MHD_add_response_header(response, "Access-Control-Allow-Headers",
                            "Accept, Authorization, Content-Type, Origin");
    MHD_add_response_header(response, "Access-Control-Expose-Headers", "Date");
    MHD_add_response_header(response, "Vary", "Origin");
}

static enum MHD_Result send_answer(struct session *session)
{
    struct tw_http_exchange *exchange = session->exchange;
    struct tw_http_response *response = &exchange->response;
    session->phase = PHASE_SENT;
    if (response->body.overflow) {
        struct tw_err err;
        tw_err_set(&err, TW_LIMIT, "the answer is larger than %zu bytes", response->body.size_max);
        tw_http_error_api(exchange, &err);
    }
    int status = response->status;
    bool has_type = status != 204 && status != 304 && response->content_type;
    struct MHD_Response *answer = make_response(session);
    if (!answer)
        return MHD_NO;
    if (has_type)
        MHD_add_response_header(answer, "Content-Type", response->content_type);
    MHD_add_response_header(answer, "X-Content-Type-Options", "nosniff");
    for (size_t i = 0; i < response->header_count; i++)
        add_text_header(answer, response->headers[i]);
    add_cors(session, answer);
    if (atomic_load(&session->server->ending))
        MHD_add_response_header(answer, "Connection", "close");
    count_request(session, status);
    enum MHD_Result queued = MHD_queue_response(session->connection, (unsigned)status, answer);
    MHD_destroy_response(answer);
    return queued;
}

/* Answers err without a handler: as JSON where API clients expect it, else as text. */
static enum MHD_Result refuse(struct session *session, const struct tw_err *err)
{
    struct tw_http_exchange *exchange = session->exchange;
    struct tw_err ignored;
    if (!exchange) {
        enum tw_code code = tw_http_exchange_new(
            session->method ? session->method : TW_HTTP_GET, TW_STR("/"), NULL, 0,
            (struct tw_str){0}, session->server->options.clock, &exchange, &ignored);
        TW_ASSERT(code == TW_OK);
        set_exchange(session, exchange);
    }
    bool plain = !is_api(session) || err->code == TW_NOT_FOUND || err->code == TW_METHOD ||
                 !strncmp(session->target, "/api/v1/write", 13);
    if (plain)
        tw_http_error_text(exchange, err);
    else
        tw_http_error_api(exchange, err);
    return send_answer(session);
}

/* ---- running ---- */

/* tw_http_finish of an exchange, on any thread. The session may be gone when this returns (I1). */
static void finish_exchange(struct tw_http_exchange *exchange)
{
    struct session *session = exchange->driver;
    struct MHD_Connection *connection = session->connection;
    if (session->hangup_ticket)
        daemon_hangup_forget(session->server->hangup, session->hangup_ticket);
    compress_body(exchange);
    if (atomic_exchange(&session->state, STATE_FINISHED) == STATE_SUSPENDED)
        MHD_resume_connection(connection);
}

static void run_on_worker(void *argument)
{
    struct session *session = argument;
    struct tw_http_exchange *exchange = session->exchange;
    exchange->waited_ns = tw_clock_mono_ns(session->server->options.clock) - session->given_ns;
    if (session->match.handler(session->match.user, exchange) == TW_HTTP_DONE)
        finish_exchange(exchange);
}

static enum MHD_Result suspend(struct session *session)
{
    enum state expected = STATE_RUNNING;
    MHD_suspend_connection(session->connection);
    if (!atomic_compare_exchange_strong(&session->state, &expected, STATE_SUSPENDED))
        MHD_resume_connection(session->connection);
    return MHD_YES;
}

static enum MHD_Result give_to_worker(struct session *session)
{
    struct daemon_http *server = session->server;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(session->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct tw_err err;
    session->given_ns = tw_clock_mono_ns(server->options.clock);
    session->hangup_ticket =
        info ? daemon_hangup_watch(server->hangup, info->connect_fd, &session->exchange->context)
             : 0;
    if (tw_workers_give_from(server->workers, session->exchange->request.client, run_on_worker,
                             session, &err) == TW_OK)
        return suspend(session);
    if (session->hangup_ticket)
        daemon_hangup_forget(server->hangup, session->hangup_ticket);
    count_refusal(server, "queue_full");
    return refuse(session, &err);
}

static enum MHD_Result run_handler(struct session *session)
{
    struct tw_http_exchange *exchange = session->exchange;
    struct tw_err err;
    enum tw_code code =
        tw_http_router_find(session->server->router, exchange, &session->match, &err);
    bool preflight = session->method == TW_HTTP_OPTIONS;
    if (preflight && (code == TW_METHOD || !strcmp(session->target, "*"))) {
        exchange->response.status = 204;
        return send_answer(session);
    }
    if (code != TW_OK)
        return refuse(session, &err);
    exchange->driver = session;
    exchange->finish = finish_exchange;
    session->phase = PHASE_RUN;
    if (session->match.place == TW_HTTP_WORKER)
        return give_to_worker(session);
    if (session->match.handler(session->match.user, exchange) == TW_HTTP_PENDING)
        return suspend(session);
    compress_body(exchange);
    return send_answer(session);
}

struct header_list {
    struct tw_http_pair items[HEADERS_MAX];
    size_t count;
    bool overflow;
};

static enum MHD_Result collect_header(void *user, enum MHD_ValueKind kind, const char *name,
                                      size_t name_size, const char *value, size_t value_size)
{
    struct header_list *list = user;
    (void)kind;
    if (list->count == HEADERS_MAX) {
        list->overflow = true;
        return MHD_NO;
    }
    list->items[list->count++] =
        (struct tw_http_pair){.name = {name, name_size}, .value = {value, value_size}};
    return MHD_YES;
}

static struct tw_str client_address(struct session *session, struct tw_arena *arena)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(session->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char text[DAEMON_ADDRESS_BYTES] = "";
    if (info)
        daemon_listener_host(info->client_addr, text);
    return tw_arena_str(arena, tw_str(text));
}

/* The request is complete. */
static enum MHD_Result run_request(struct session *session)
{
    struct daemon_http *server = session->server;
    if (session->refusal.code != TW_OK)
        return refuse(session, &session->refusal);
    struct header_list headers = {.count = 0};
    MHD_get_connection_values_n(session->connection, MHD_HEADER_KIND, collect_header, &headers);
    struct tw_http_exchange *exchange;
    struct tw_err err;
    enum tw_code code = TW_OK;
    if (headers.overflow)
        code = tw_err_set(&err, TW_BAD_DATA, "more than %d headers", HEADERS_MAX);
    if (code == TW_OK)
        code = tw_http_exchange_new(session->method, tw_str(session->target), headers.items,
                                    headers.count, tw_buf_str(&session->body),
                                    server->options.clock, &exchange, &err);
    if (code != TW_OK)
        return refuse(session, &err);
    exchange->request.client = client_address(session, exchange->arena);
    set_exchange(session, exchange);
    return run_handler(session);
}

/* ---- reading ---- */

static enum tw_http_method parse_method(const char *text)
{
    static const enum tw_http_method methods[] = {TW_HTTP_GET, TW_HTTP_HEAD,   TW_HTTP_POST,
                                                  TW_HTTP_PUT, TW_HTTP_DELETE, TW_HTTP_OPTIONS};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (!strcmp(text, tw_http_method_name(methods[i])))
            return methods[i];
    return 0;
}

/* A large body is not read for a route that does not exist. */
static enum tw_code check_route(struct session *session, struct tw_err *err)
{
    struct tw_http_exchange *exchange;
    struct tw_http_match match;
    enum tw_code code =
        tw_http_exchange_new(session->method, tw_str(session->target), NULL, 0, (struct tw_str){0},
                             session->server->options.clock, &exchange, err);
    if (code != TW_OK)
        return code;
    code = tw_http_router_find(session->server->router, exchange, &match, err);
    tw_http_exchange_free(exchange);
    return code;
}

static enum tw_code check_begin(struct session *session, const char *method, struct tw_err *err)
{
    struct daemon_http *server = session->server;
    const char *length =
        MHD_lookup_connection_value(session->connection, MHD_HEADER_KIND, "Content-Length");
    const char *coding =
        MHD_lookup_connection_value(session->connection, MHD_HEADER_KIND, "Transfer-Encoding");
    uint64_t bytes = 0;
    session->method = parse_method(method);
    if (!session->method)
        return tw_err_set(err, TW_METHOD, "method %.32s is not known here", method);
    if (atomic_load(&server->ending)) {
        count_refusal(server, "stopping");
        return tw_err_set(err, TW_UNAVAILABLE, "the server is stopping");
    }
    if (length && !tw_uint64_parse(tw_str(length), &bytes))
        return tw_err_set(err, TW_BAD_DATA, "Content-Length '%.32s' is no number", length);
    if (bytes > server->options.body_bytes_max) {
        count_refusal(server, "body_too_large");
        return tw_err_set(err, TW_TOO_LARGE, "the body has %llu bytes; at most %zu are taken",
                          (unsigned long long)bytes, server->options.body_bytes_max);
    }
    if (!reserve_body(session, bytes)) {
        count_refusal(server, "bodies_too_large");
        return tw_err_set(err, TW_OVERLOAD,
                          "bodies of %zu bytes are being received already; try again",
                          atomic_load(&server->bodies_bytes));
    }
    return coding || bytes > BODY_EARLY_BYTES ? check_route(session, err) : TW_OK;
}

static enum MHD_Result take_body(struct session *session, const char *bytes, size_t count)
{
    struct daemon_http *server = session->server;
    int64_t elapsed_ms = (tw_clock_mono_ns(server->options.clock) - session->start_ns) / NS_PER_MS;
    if (elapsed_ms > server->options.request_timeout_ms) {
        count_refusal(server, "too_slow");
        return MHD_NO;
    }
    if (session->refusal.code != TW_OK) {
        session->thrown_away += count;
        return session->thrown_away > server->options.body_bytes_max ? MHD_NO : MHD_YES;
    }
    size_t wanted = session->body.size + count;
    if (wanted > server->options.body_bytes_max) {
        count_refusal(server, "body_too_large");
        tw_err_set(&session->refusal, TW_TOO_LARGE, "the body has more than %zu bytes",
                   server->options.body_bytes_max);
    } else if (wanted > session->bodies_bytes &&
               !reserve_body(session, wanted - session->bodies_bytes)) {
        count_refusal(server, "bodies_too_large");
        tw_err_set(&session->refusal, TW_OVERLOAD,
                   "bodies of %zu bytes are being received already; try again",
                   atomic_load(&server->bodies_bytes));
    } else {
        size_t announced = session->bodies_bytes; /* or what came so far */
        if (session->body.size == 0)
            tw_buf_reserve(&session->body,
                           announced < BODY_AT_ONCE_BYTES ? announced : BODY_AT_ONCE_BYTES);
        tw_buf_append(&session->body, bytes, count);
    }
    if (session->refusal.code != TW_OK)
        tw_buf_fini(&session->body);
    return MHD_YES;
}

static enum MHD_Result take_event(void *user, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **session_slot)
{
    struct session *session = *session_slot;
    struct tw_err err;
    (void)user;
    (void)connection;
    (void)url;
    (void)version;
    switch (session->phase) {
    case PHASE_BEGIN:
        if (check_begin(session, method, &err) != TW_OK)
            return refuse(session, &err);
        session->phase = PHASE_BODY;
        return MHD_YES;
    case PHASE_BODY: {
        if (*upload_size == 0)
            return run_request(session);
        size_t count = *upload_size;
        *upload_size = 0;
        return take_body(session, upload, count);
    }
    case PHASE_RUN:
        TW_ASSERT(atomic_load(&session->state) == STATE_FINISHED);
        return send_answer(session);
    case PHASE_SENT:
        break;
    }
    return MHD_NO;
}

/* ---- life ---- */

static void log_library(void *user, const char *format, va_list arguments)
{
    char text[512];
    (void)user;
    if (!tw_log_enabled(TW_LOG_DEBUG))
        return;
    vsnprintf(text, sizeof text, format, arguments);
    tw_log(TW_LOG_DEBUG, "daemon.http", "libmicrohttpd reports", "text=%s",
           tw_log_quote(tw_str_trim(tw_str(text))));
}

static void panic(void *user, const char *file, unsigned line, const char *reason)
{
    (void)user;
    tw_assert_failed(file, (int)line, "libmicrohttpd", reason);
}

static void fill_defaults(struct daemon_http_options *options)
{
    if (!options->loop_threads)
        options->loop_threads = 2;
    if (!options->worker_threads)
        options->worker_threads = 4;
    if (!options->worker_queue_max)
        options->worker_queue_max = 128;
    if (!options->connections_max)
        options->connections_max = 1024;
    if (!options->body_bytes_max)
        options->body_bytes_max = (size_t)64 << 20;
    if (!options->bodies_bytes_max)
        options->bodies_bytes_max = (size_t)512 << 20;
    if (!options->idle_timeout_ms)
        options->idle_timeout_ms = 120000;
    if (!options->request_timeout_ms)
        options->request_timeout_ms = 60000;
}

static enum tw_code start_library(struct daemon_http *server, int fd, struct tw_err *err)
{
    const struct daemon_http_options *options = &server->options;
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)log_library, NULL},
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)begin_session, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)end_session, server},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)CONNECTION_BYTES, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)options->connections_max, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)(options->idle_timeout_ms / 1000), NULL},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL}};
    size_t count = sizeof items / sizeof items[0] - 3;
    if (options->loop_threads > 1)
        items[count++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE,
                                                 (intptr_t)options->loop_threads, NULL};
#if !TW_SANITIZED
    items[count] =
        (struct MHD_OptionItem){MHD_OPTION_THREAD_STACK_SIZE, (intptr_t)LOOP_STACK_BYTES, NULL};
#endif
    MHD_set_panic_func(panic, NULL);
    server->mhd = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        take_event, server, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (!server->mhd)
        return tw_err_set(err, TW_INTERNAL, "libmicrohttpd does not start (%s)", strerror(errno));
    return TW_OK;
}

static void free_server(struct daemon_http *server)
{
    tw_workers_free(server->workers);
    daemon_hangup_stop(server->hangup);
    tw_cond_fini(&server->session_ended);
    tw_lock_fini(&server->lock);
    server->magic = 0;
    free(server);
}

enum tw_code daemon_http_start(const struct daemon_http_options *options,
                               struct tw_http_router *router, struct daemon_http **ret_server,
                               struct tw_err *err)
{
    struct daemon_http *server = calloc(1, sizeof *server);
    TW_ASSERT(server != NULL);
    server->magic = SERVER_MAGIC;
    server->options = *options;
    server->router = router;
    fill_defaults(&server->options);
    tw_lock_init(&server->lock, TW_RANK_LEAF, "http server");
    tw_cond_init(&server->session_ended);
    int fd = -1;
    enum tw_code code = daemon_listener_open(options->listen, &fd, server->address, err);
    if (code == TW_OK)
        code = daemon_hangup_start(&server->hangup, err);
    if (code == TW_OK)
        code = tw_workers_new("http-worker", server->options.worker_threads,
                              server->options.worker_queue_max, &server->workers, err);
    if (code == TW_OK)
        code = start_library(server, fd, err);
    if (code != TW_OK) {
        if (fd >= 0)
            close(fd);
        free_server(server);
        return code;
    }
    /* A process has one server; its metrics read it until the process ends. */
    tw_metrics_callback(options->metrics, TW_METRIC_GAUGE, "tidewatch_http_requests_in_flight", "",
                        "HTTP requests being received, worked on or answered.", read_in_flight,
                        server);
    tw_metrics_callback(options->metrics, TW_METRIC_GAUGE, "tidewatch_http_requests_queued", "",
                        "HTTP requests that wait for a worker.", read_queued, server);
    tw_metrics_callback(options->metrics, TW_METRIC_GAUGE, "tidewatch_http_bodies_bytes", "",
                        "Bytes set aside for request bodies.", read_bodies_bytes, server);
    *ret_server = server;
    return TW_OK;
}

/* True when all sessions ended within the time. */
static bool wait_for_sessions(struct daemon_http *server, int64_t wait_ms)
{
    struct tw_clock *clock = server->options.clock;
    int64_t limit_ns = tw_clock_mono_ns(clock) + wait_ms * NS_PER_MS;
    tw_lock_take(&server->lock);
    int64_t left_ns;
    while (server->session_count > 0 && (left_ns = limit_ns - tw_clock_mono_ns(clock)) > 0)
        tw_cond_wait_ns(&server->session_ended, &server->lock, left_ns);
    bool all_ended = server->session_count == 0;
    tw_lock_release(&server->lock);
    return all_ended;
}

static void cancel_sessions(struct daemon_http *server)
{
    tw_lock_take(&server->lock);
    for (struct session *session = server->sessions; session; session = session->next)
        if (session->exchange)
            tw_context_cancel(&session->exchange->context);
    tw_lock_release(&server->lock);
}

/* Whether a handler still holds an exchange; libmicrohttpd must not be stopped then (I2). */
static bool any_suspended(struct daemon_http *server)
{
    bool any = false;
    tw_lock_take(&server->lock);
    for (struct session *session = server->sessions; session; session = session->next)
        any |= atomic_load(&session->state) == STATE_SUSPENDED;
    tw_lock_release(&server->lock);
    return any;
}

struct daemon_http *daemon_http_stop(struct daemon_http *server, int64_t grace_ms)
{
    if (!server)
        return NULL;
    TW_CHECK_MAGIC(server, SERVER_MAGIC);
    atomic_store(&server->ending, true);
    MHD_socket fd = MHD_quiesce_daemon(server->mhd);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
    if (!wait_for_sessions(server, grace_ms)) {
        cancel_sessions(server);
        wait_for_sessions(server, CANCEL_GRACE_MS);
    }
    if (any_suspended(server))
        return server;
    MHD_stop_daemon(server->mhd);
    free_server(server);
    return NULL;
}

const char *daemon_http_address(const struct daemon_http *server)
{
    TW_CHECK_MAGIC(server, SERVER_MAGIC);
    return server->address;
}
