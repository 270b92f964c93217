/* SPDX-License-Identifier: Apache-2.0
 *
 * Over real sockets on loopback, byte by byte, since clients in libraries hide what goes wrong.
 */
#include "config.h"

#include "daemon/http_server.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zlib.h>

#include "base/lock.h"
#include "base/thread.h"
#include "tests/lib/unit.h"

static struct {
    struct tw_lock lock; /* guards open */
    struct tw_cond changed;
    bool open;
    atomic_int waiting;
    atomic_bool cancelled;
} gate;

static struct tw_http_router *router;
static struct daemon_http *server;
static struct tw_metrics *metrics;
static struct tw_thread later;

static enum tw_http_verdict echo(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    exchange->response.content_type = "text/plain";
    tw_buf_appendf(&exchange->response.body, "%s %.*s from %.*s: %zu bytes",
                   tw_http_method_name(exchange->request.method),
                   TW_STR_ARG(exchange->request.path), TW_STR_ARG(exchange->request.client),
                   exchange->request.body.size);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict large(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    for (int i = 0; i < 10000; i++)
        tw_buf_append_cstr(&exchange->response.body, "0123456789");
    return TW_HTTP_DONE;
}

/* Waits for the gate, or until its client is gone. */
static enum tw_http_verdict wait_at_gate(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    tw_lock_take(&gate.lock);
    atomic_fetch_add(&gate.waiting, 1);
    while (!gate.open && tw_context_check(&exchange->context, NULL) == TW_OK)
        tw_cond_wait_ns(&gate.changed, &gate.lock, 5000000);
    tw_lock_release(&gate.lock);
    if (tw_context_check(&exchange->context, NULL) != TW_OK)
        atomic_store(&gate.cancelled, true);
    tw_buf_append_cstr(&exchange->response.body, "waited");
    return TW_HTTP_DONE;
}

static void finish_later(void *argument)
{
    struct tw_http_exchange *exchange = argument;
    tw_clock_sleep_ns(tw_clock_system(), 30000000);
    tw_buf_append_cstr(&exchange->response.body, "late");
    tw_http_finish(exchange);
}

static enum tw_http_verdict pend(void *user, struct tw_http_exchange *exchange)
{
    (void)user;
    ck_assert_int_eq(tw_thread_start(&later, "later", finish_later, exchange, NULL), TW_OK);
    return TW_HTTP_PENDING;
}

struct stream {
    int left;
    atomic_bool ended;
};

static ssize_t produce(void *user, char *bytes, size_t capacity)
{
    struct stream *stream = user;
    ck_assert_uint_ge(capacity, 5);
    if (stream->left-- == 0)
        return 0;
    memcpy(bytes, "chunk", 5);
    return 5;
}

static void end_stream(void *user)
{
    ((struct stream *)user)->ended = true;
}

static enum tw_http_verdict stream_out(void *user, struct tw_http_exchange *exchange)
{
    exchange->response.produce = produce;
    exchange->response.produce_end = end_stream;
    exchange->response.produce_user = user;
    return TW_HTTP_DONE;
}

static struct stream stream;

static void start_server(void)
{
    struct daemon_http_options options = {.listen = "127.0.0.1:0",
                                          .worker_threads = 1,
                                          .worker_queue_max = 1,
                                          .body_bytes_max = 100000,
                                          .bodies_bytes_max = 150000,
                                          .clock = tw_clock_system()};
    struct tw_err err;
    metrics = options.metrics = tw_metrics_new();
    tw_lock_init(&gate.lock, TW_RANK_LEAF, "gate");
    tw_cond_init(&gate.changed);
    gate.open = false;
    atomic_store(&gate.waiting, 0);
    atomic_store(&gate.cancelled, false);
    stream = (struct stream){.left = 3};
    router = tw_http_router_new();
    tw_http_route(router, TW_HTTP_GET | TW_HTTP_POST, "/api/echo", TW_HTTP_INLINE, echo, NULL);
    tw_http_route(router, TW_HTTP_GET, "/large", TW_HTTP_WORKER, large, NULL);
    tw_http_route(router, TW_HTTP_GET, "/api/wait", TW_HTTP_WORKER, wait_at_gate, NULL);
    tw_http_route(router, TW_HTTP_GET, "/pend", TW_HTTP_INLINE, pend, NULL);
    tw_http_route(router, TW_HTTP_GET, "/stream", TW_HTTP_INLINE, stream_out, &stream);
    unit_assert_ok(daemon_http_start(&options, router, &server, &err), &err);
}

static void stop_within(int64_t grace_ms)
{
    ck_assert_ptr_null(daemon_http_stop(server, grace_ms));
    tw_thread_join(&later);
    tw_http_router_free(router);
    tw_metrics_free(metrics);
    tw_cond_fini(&gate.changed);
    tw_lock_fini(&gate.lock);
}

static void stop_server(void)
{
    stop_within(2000);
}

/* The machine may be busy, and sanitizers slow: nothing is given a time, but the whole case. */
static void pause_shortly(void)
{
    tw_clock_sleep_ns(tw_clock_system(), 1000000);
}

static void wait_for_metric(const char *name, double value)
{
    struct tw_buf text;
    tw_buf_init(&text, 1 << 20);
    for (double found = -1; found != value; pause_shortly()) {
        tw_buf_clear(&text);
        tw_metrics_write(metrics, &text);
        const char *line = strstr(tw_buf_cstr(&text), name);
        ck_assert_ptr_nonnull(line);
        found = strtod(line + strlen(name), NULL);
    }
    tw_buf_fini(&text);
}

static void wait_at_the_gate(int count)
{
    while (atomic_load(&gate.waiting) < count)
        pause_shortly();
}

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *port = strrchr(daemon_http_address(server), ':') + 1;
    struct timeval limit = {.tv_sec = 10};
    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static char answer[300000];
static size_t answer_size;

/* One answer, by its Content-Length or, without one, to the end of the connection; 204 has no body.
 */
static const char *hear(int fd)
{
    size_t size = 0, wanted = SIZE_MAX;
    answer[0] = '\0';
    while (size < wanted && size + 1 < sizeof answer) {
        ssize_t count = recv(fd, answer + size, wanted == SIZE_MAX ? 1 : wanted - size, 0);
        if (count <= 0)
            break;
        size += (size_t)count;
        answer[size] = '\0';
        const char *end = strstr(answer, "\r\n\r\n"), *length;
        if (end && !strncmp(answer, "HTTP/1.1 204 ", 13))
            break;
        if (wanted == SIZE_MAX && end && (length = strstr(answer, "Content-Length: ")))
            wanted = (size_t)(end - answer) + 4 + strtoul(length + 16, NULL, 10);
    }
    answer_size = size;
    return answer;
}

static const char *ask(const char *text)
{
    int fd = dial();
    say(fd, text);
    hear(fd);
    close(fd);
    return answer;
}

START_TEST(answers_inline_and_keeps_the_connection)
{
    start_server();
    int fd = dial();
    say(fd, "GET /api/echo?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    unit_assert_contains(hear(fd), "HTTP/1.1 200 OK\r\n");
    unit_assert_contains(answer, "GET /api/echo from 127.0.0.1: 0 bytes");
    say(fd, "POST /api/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
    say(fd, "llo");
    unit_assert_contains(hear(fd), "POST /api/echo from 127.0.0.1: 5 bytes");
    say(fd, "POST /api/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    unit_assert_contains(hear(fd), ": 7 bytes");
    say(fd, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    unit_assert_contains(hear(fd), "HTTP/1.1 404 ");
    say(fd, "PUT /api/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    unit_assert_contains(hear(fd), "HTTP/1.1 405 ");
    unit_assert_contains(answer, "Allow: GET, HEAD, POST\r\n");
    say(fd, "GET /api/echo?%zz HTTP/1.1\r\nHost: a\r\n\r\n");
    unit_assert_contains(hear(fd), "\"errorType\":\"bad_data\"");
    close(fd);
    stop_server();
}
END_TEST

START_TEST(answers_later)
{
    start_server();
    unit_assert_contains(ask("GET /pend HTTP/1.1\r\nHost: a\r\n\r\n"), "\r\n\r\nlate");
    unit_assert_contains(ask("GET /stream HTTP/1.0\r\nHost: a\r\n\r\n"), "chunkchunkchunk");
    stop_server();
    ck_assert(stream.ended);
}
END_TEST

START_TEST(refuses_large_bodies)
{
    start_server();
    /* By its announced size, before a byte of it. */
    unit_assert_contains(
        ask("POST /api/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n"),
        "HTTP/1.1 413 ");
    unit_assert_contains(answer, "at most 100000 are taken");
    /* By what came, when the size was not announced. */
    int fd = dial();
    char block[1008];
    snprintf(block, sizeof block, "3e8\r\n%01000d\r\n", 0);
    say(fd, "POST /api/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 120; i++)
        say(fd, block);
    say(fd, "0\r\n\r\n");
    unit_assert_contains(hear(fd), "HTTP/1.1 413 ");
    close(fd);
    /* Two bodies that are too much together: the second is asked to come again. */
    wait_for_metric("\ntidewatch_http_bodies_bytes ", 0);
    fd = dial();
    say(fd, "POST /api/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\nx");
    wait_for_metric("\ntidewatch_http_bodies_bytes ", 90000);
    unit_assert_contains(ask("POST /api/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n"),
                         "HTTP/1.1 429 ");
    unit_assert_contains(answer, "Retry-After: 1\r\n");
    close(fd);
    stop_server();
}
END_TEST

START_TEST(bounds_what_waits_for_workers)
{
    const char *request = "GET /api/wait HTTP/1.1\r\nHost: a\r\n\r\n";
    start_server();
    int first = dial(), second = dial();
    say(first, request);
    wait_at_the_gate(1);
    say(second, request);
    wait_for_metric("\ntidewatch_http_requests_queued ", 1);
    unit_assert_contains(ask(request), "HTTP/1.1 429 ");
    unit_assert_contains(answer, "Retry-After: 1\r\n");
    /* The event loop is not held by any of it. */
    unit_assert_contains(ask("GET /api/echo HTTP/1.1\r\nHost: a\r\n\r\n"), "200 OK");
    tw_lock_take(&gate.lock);
    gate.open = true;
    tw_lock_release(&gate.lock);
    unit_assert_contains(hear(first), "waited");
    unit_assert_contains(hear(second), "waited");
    close(first);
    close(second);
    stop_server();
}
END_TEST

START_TEST(cancels_when_the_client_hangs_up)
{
    start_server();
    int fd = dial();
    say(fd, "GET /api/wait HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_at_the_gate(1);
    close(fd);
    while (!atomic_load(&gate.cancelled))
        pause_shortly();
    stop_server();
}
END_TEST

START_TEST(compresses_when_asked)
{
    start_server();
    unit_assert_contains(ask("GET /large HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br, gzip\r\n\r\n"),
                         "Content-Encoding: gzip\r\n");
    ck_assert_uint_lt(strlen(answer), 2000);
    ask("GET /large HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=0\r\n\r\n");
    ck_assert_ptr_null(strstr(answer, "Content-Encoding"));
    unit_assert_contains(answer, "Content-Length: 100000\r\n");
    stop_server();
}
END_TEST

/* 200 000 bytes that are never there at once. */
START_TEST(compresses_streams)
{
    static char plain[300000];
    start_server();
    stream = (struct stream){.left = 40000};
    unit_assert_contains(ask("GET /stream HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"),
                         "Content-Encoding: gzip\r\n");
    const char *body = strstr(answer, "\r\n\r\n") + 4;
    ck_assert_uint_lt(answer_size, 20000);
    z_stream unpacked = {.next_in = (Bytef *)answer + (body - answer),
                         .avail_in = (uInt)(answer_size - (size_t)(body - answer)),
                         .next_out = (Bytef *)plain,
                         .avail_out = sizeof plain};
    ck_assert_int_eq(inflateInit2(&unpacked, MAX_WBITS + 16), Z_OK);
    ck_assert_int_eq(inflate(&unpacked, Z_FINISH), Z_STREAM_END);
    ck_assert_uint_eq(unpacked.total_out, 200000);
    for (size_t i = 0; i < 200000; i++)
        ck_assert_int_eq(plain[i], "chunk"[i % 5]);
    inflateEnd(&unpacked);
    stop_server();
    ck_assert(stream.ended);
}
END_TEST

/* Who hangs up in the middle ends what is produced. */
START_TEST(hangup_ends_a_packed_stream)
{
    start_server();
    stream = (struct stream){.left = INT_MAX};
    int fd = dial();
    say(fd, "GET /stream HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    char bytes[1000];
    ck_assert_int_gt(recv(fd, bytes, sizeof bytes, 0), 0);
    close(fd);
    for (int i = 0; i < 1000 && !stream.ended; i++)
        usleep(10000);
    ck_assert(stream.ended);
    stop_server();
}
END_TEST

START_TEST(answers_preflights)
{
    start_server();
    unit_assert_contains(ask("OPTIONS /api/echo HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n"),
                         "HTTP/1.1 204 ");
    unit_assert_contains(answer, "Access-Control-Allow-Origin: *\r\n");
    unit_assert_contains(answer, "Allow: GET, HEAD, POST\r\n");
    ask("GET /large HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n");
    ck_assert_ptr_null(strstr(answer, "Access-Control"));
    unit_assert_contains(ask("BREW /api/echo HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 405 ");
    stop_server();
}
END_TEST

START_TEST(stops_with_requests_under_way)
{
    start_server();
    int idle = dial(), waiting = dial();
    say(waiting, "GET /api/wait HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_at_the_gate(1);
    stop_within(50); /* then it is cancelled */
    ck_assert(atomic_load(&gate.cancelled));
    close(idle);
    close(waiting);
}
END_TEST

START_TEST(counts_by_route)
{
    struct tw_buf text;
    start_server();
    ask("GET /api/echo?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    ask("GET /no/such/path HTTP/1.1\r\nHost: a\r\n\r\n");
    tw_buf_init(&text, 1 << 20);
    tw_metrics_write(metrics, &text);
    const char *written = tw_buf_cstr(&text);
    unit_assert_contains(
        written,
        "tidewatch_http_requests_total{route=\"/api/echo\",method=\"GET\",status=\"200\"} 1\n");
    unit_assert_contains(
        written,
        "tidewatch_http_requests_total{route=\"unmatched\",method=\"GET\",status=\"404\"} 1\n");
    tw_buf_fini(&text);
    stop_server();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(answers_inline_and_keeps_the_connection),
                                      UNIT_CASE(answers_later),
                                      UNIT_CASE(refuses_large_bodies),
                                      UNIT_CASE(bounds_what_waits_for_workers),
                                      UNIT_CASE(cancels_when_the_client_hangs_up),
                                      UNIT_CASE(compresses_when_asked),
                                      UNIT_CASE(compresses_streams),
                                      UNIT_CASE(hangup_ends_a_packed_stream),
                                      UNIT_CASE(answers_preflights),
                                      UNIT_CASE(stops_with_requests_under_way),
                                      UNIT_CASE(counts_by_route),
                                      {0}};
    return unit_run("daemon/http_server", cases);
}
