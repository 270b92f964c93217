/* SPDX-License-Identifier: Apache-2.0
 *
 * Against a server of a few lines that plays back one canned answer a connection.
 */
#include "config.h"

#include "base/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"
#include "tests/lib/unit.h"

struct stage {
    int listener;
    int port;
    const char *answer; /* sent as soon as the header of the request is here */
    char request[4096];
    bool silent; /* never answers */
    struct tw_thread thread;
};

static void play(void *argument)
{
    struct stage *stage = argument;
    int fd = accept(stage->listener, NULL, NULL);
    size_t size = 0;
    while (size + 1 < sizeof stage->request && !strstr(stage->request, "\r\n\r\n")) {
        ssize_t count = read(fd, stage->request + size, sizeof stage->request - size - 1);
        if (count <= 0)
            break;
        size += (size_t)count;
        stage->request[size] = '\0';
    }
    if (stage->silent)
        (void)!read(fd, stage->request + size, 1); /* until the client gives up */
    else
        (void)!send(fd, stage->answer, strlen(stage->answer), MSG_NOSIGNAL);
    close(fd);
}

static void start_stage(struct stage *stage)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct tw_err err;
    stage->listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(stage->listener, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(stage->listener, 5), 0);
    getsockname(stage->listener, (struct sockaddr *)&address, &size);
    stage->port = ntohs(address.sin_port);
    unit_assert_ok(tw_thread_start(&stage->thread, "stage", play, stage, &err), &err);
}

static void end_stage(struct stage *stage)
{
    tw_thread_join(&stage->thread);
    close(stage->listener);
}

START_TEST(sends_and_receives)
{
    struct stage stage = {.answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n"
                                    "Content-Length: 4\r\n\r\nbusy"};
    char url[64];
    struct tw_http_client *client = tw_http_client_new("test/1");
    struct tw_http_pair header = {.name = TW_STR_INIT("X-Test"), .value = TW_STR_INIT("yes")};
    struct tw_buf answer;
    struct tw_err err;
    int status;
    int64_t retry_ms;
    start_stage(&stage);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/path?a=1", stage.port);
    tw_buf_init(&answer, 1024);
    struct tw_http_call call = {.method = TW_HTTP_POST,
                                .url = url,
                                .headers = &header,
                                .header_count = 1,
                                .body = TW_STR_INIT("hello"),
                                .ret_answer = &answer};
    unit_assert_ok(tw_http_client_call(client, &call, &status, &retry_ms, &err), &err);
    end_stage(&stage);
    ck_assert_int_eq(status, 429);
    ck_assert_int_eq(retry_ms, 7000);
    unit_assert_str(tw_buf_str(&answer), "busy");
    unit_assert_contains(stage.request, "POST /path?a=1 HTTP/1.1\r\n");
    unit_assert_contains(stage.request, "X-Test: yes\r\n");
    unit_assert_contains(stage.request, "User-Agent: test/1\r\n");
    unit_assert_contains(stage.request, "Content-Length: 5\r\n");
    tw_buf_fini(&answer);
    tw_http_client_free(client);
}
END_TEST

START_TEST(cuts_an_answer_without_end)
{
    struct stage stage = {.answer =
                              "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n0123456789"};
    char url[64];
    struct tw_http_client *client = tw_http_client_new("test/1");
    struct tw_buf answer;
    struct tw_err err;
    int status;
    start_stage(&stage);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", stage.port);
    tw_buf_init(&answer, 1024);
    struct tw_http_call call = {
        .method = TW_HTTP_GET, .url = url, .answer_bytes_max = 4, .ret_answer = &answer};
    unit_assert_ok(tw_http_client_call(client, &call, &status, NULL, &err), &err);
    end_stage(&stage);
    ck_assert_int_eq(status, 200);
    unit_assert_str(tw_buf_str(&answer), "0123");
    tw_buf_fini(&answer);
    tw_http_client_free(client);
}
END_TEST

START_TEST(does_not_follow_to_other_schemes)
{
    struct stage stage = {.answer = "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n"
                                    "Content-Length: 0\r\n\r\n"};
    char url[64];
    struct tw_http_client *client = tw_http_client_new("test/1");
    struct tw_err err;
    int status;
    start_stage(&stage);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", stage.port);
    struct tw_http_call call = {.method = TW_HTTP_GET, .url = url};
    ck_assert_int_ne(tw_http_client_call(client, &call, &status, NULL, &err), TW_OK);
    end_stage(&stage);
    tw_http_client_free(client);
}
END_TEST

START_TEST(gives_up_in_time_and_hides_secrets)
{
    struct stage stage = {.silent = true};
    char url[128];
    struct tw_http_client *client = tw_http_client_new("test/1");
    struct tw_err err;
    int status;
    start_stage(&stage);
    snprintf(url, sizeof url, "http://user:pass@127.0.0.1:%d/token/abc", stage.port);
    struct tw_http_call call = {.method = TW_HTTP_GET, .url = url, .timeout_ms = 100};
    unit_assert_code(tw_http_client_call(client, &call, &status, NULL, &err), TW_TIMEOUT);
    end_stage(&stage);
    ck_assert_ptr_null(strstr(err.message, "pass"));
    ck_assert_ptr_null(strstr(err.message, "abc"));
    unit_assert_contains(err.message, "http://127.0.0.1:");
    tw_http_client_free(client);
}
END_TEST

START_TEST(refuses_what_it_cannot_send)
{
    struct tw_http_client *client = tw_http_client_new("test/1");
    struct tw_http_pair header = {.name = TW_STR_INIT("A"),
                                  .value = TW_STR_INIT("x\r\nHost: evil")};
    struct tw_err err;
    int status;
    struct tw_http_call call = {.method = TW_HTTP_GET, .url = "ftp://127.0.0.1/"};
    unit_assert_code(tw_http_client_call(client, &call, &status, NULL, &err), TW_BAD_DATA);
    call.url = "http://127.0.0.1:1/";
    unit_assert_code(tw_http_client_call(client, &call, &status, NULL, &err), TW_NETWORK);
    call.headers = &header;
    call.header_count = 1;
    unit_assert_code(tw_http_client_call(client, &call, &status, NULL, &err), TW_BAD_DATA);
    tw_http_client_free(client);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(sends_and_receives),
                                      UNIT_CASE(cuts_an_answer_without_end),
                                      UNIT_CASE(does_not_follow_to_other_schemes),
                                      UNIT_CASE(gives_up_in_time_and_hides_secrets),
                                      UNIT_CASE(refuses_what_it_cannot_send),
                                      {0}};
    return unit_run("base/http_client", cases);
}
