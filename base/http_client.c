/* SPDX-License-Identifier: Apache-2.0
 *
 * One curl easy handle a client, reset before each call; its connections, DNS answers and TLS
 * sessions outlive the reset. Messages name scheme and host only: paths and user parts of a URL
 * often hold secrets.
 */
#include "config.h"

#include "base/http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define CLIENT_MAGIC 0x48435449u
#define TIMEOUT_MS_DEFAULT 30000
#define CONNECT_TIMEOUT_MS 10000
#define ANSWER_BYTES_MAX_DEFAULT ((size_t)1 << 20)
#define REDIRECTS_MAX 5L

struct tw_http_client {
    unsigned magic;
    CURL *curl;
    char *user_agent;
    char error[CURL_ERROR_SIZE];
};

struct answer {
    struct tw_buf *buf; /* NULL: only counted */
    size_t bytes, bytes_max;
    bool cut;
};

static void start_library(void)
{
    TW_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

struct tw_http_client *tw_http_client_new(const char *user_agent)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    struct tw_http_client *client = calloc(1, sizeof *client);
    TW_ASSERT(client != NULL);
    client->magic = CLIENT_MAGIC;
    client->user_agent = tw_str_dup(tw_str(user_agent));
    client->curl = curl_easy_init();
    TW_ASSERT(client->curl != NULL);
    return client;
}

struct tw_http_client *tw_http_client_free(struct tw_http_client *client)
{
    if (!client)
        return NULL;
    TW_CHECK_MAGIC(client, CLIENT_MAGIC);
    client->magic = 0;
    curl_easy_cleanup(client->curl);
    free(client->user_agent);
    free(client);
    return NULL;
}

static size_t take_answer(char *bytes, size_t size, size_t count, void *user)
{
    struct answer *answer = user;
    size_t given = size * count;
    size_t room = answer->bytes_max - answer->bytes;
    size_t taken = given < room ? given : room;
    if (answer->buf)
        tw_buf_append(answer->buf, bytes, taken);
    answer->bytes += taken;
    /* Less than given makes curl end the transfer: an answer without end must not hold us. */
    answer->cut = taken < given;
    return taken;
}

/* "http://host:port" of a URL, without user and path. */
static struct tw_str url_origin(struct tw_str url, struct tw_str *ret_scheme)
{
    size_t scheme = tw_str_find(url, TW_STR("://"));
    *ret_scheme = tw_str_slice(url, 0, scheme == SIZE_MAX ? 0 : scheme + 3);
    struct tw_str host = tw_str_slice(url, ret_scheme->size, url.size);
    for (size_t i = 0; i < host.size; i++)
        if (strchr("/?#", host.data[i]))
            host.size = i;
    size_t at;
    while ((at = tw_str_find(host, TW_STR("@"))) != SIZE_MAX)
        host = tw_str_slice(host, at + 1, host.size);
    return host;
}

static bool has_line_break(struct tw_str s)
{
    return s.size > 0 && (memchr(s.data, '\r', s.size) || memchr(s.data, '\n', s.size) ||
                          memchr(s.data, '\0', s.size));
}

static enum tw_code make_headers(const struct tw_http_call *call, struct curl_slist **ret_list,
                                 struct tw_err *err)
{
    /* No "Expect: 100-continue": it costs a round trip, and many servers never answer it. */
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    struct tw_buf line;
    tw_buf_init(&line, 1 << 16);
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < call->header_count && code == TW_OK; i++) {
        const struct tw_http_pair *header = &call->headers[i];
        tw_buf_clear(&line);
        tw_buf_appendf(&line, "%.*s", TW_STR_ARG(header->name));
        /* curl drops a header that ends in ':' and sends an empty one that ends in ';'. */
        if (header->value.size > 0)
            tw_buf_appendf(&line, ": %.*s", TW_STR_ARG(header->value));
        else
            tw_buf_append_char(&line, ';');
        const char *text = tw_buf_cstr(&line);
        if (line.overflow || has_line_break(header->name) || has_line_break(header->value))
            code = tw_err_set(err, TW_BAD_DATA, "header '%.*s' is too long or holds a line break",
                              TW_STR_ARG(tw_str_slice(header->name, 0, 64)));
        else
            list = curl_slist_append(list, text);
    }
    tw_buf_fini(&line);
    if (code != TW_OK)
        curl_slist_free_all(list);
    else
        *ret_list = list;
    return code;
}

static void set_body(CURL *curl, const struct tw_http_call *call)
{
    bool sends = call->body.size > 0 || (call->method & (TW_HTTP_POST | TW_HTTP_PUT));
    if (call->method == TW_HTTP_HEAD) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (sends) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.data ? call->body.data : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
        curl_easy_setopt(curl, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
    }
    if (call->method != TW_HTTP_HEAD && call->method != (sends ? TW_HTTP_POST : TW_HTTP_GET))
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, tw_http_method_name(call->method));
}

/* Only http and https; a redirect never leads from https back to plain text. */
static void set_schemes(CURL *curl, bool secure)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS,
                     (long)(secure ? CURLPROTO_HTTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
}

static void set_options(struct tw_http_client *client, const struct tw_http_call *call,
                        struct curl_slist *headers, struct answer *answer, bool secure)
{
    CURL *curl = client->curl;
    int64_t timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : TIMEOUT_MS_DEFAULT;
    curl_easy_reset(curl);
    client->error[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->error);
    curl_easy_setopt(curl, CURLOPT_URL, call->url);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, client->user_agent);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* no SIGALRM in a program with threads */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS));
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (call->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, call->ca_file);
    if (call->cert_file)
        curl_easy_setopt(curl, CURLOPT_SSLCERT, call->cert_file);
    if (call->key_file)
        curl_easy_setopt(curl, CURLOPT_SSLKEY, call->key_file);
    set_schemes(curl, secure);
    set_body(curl, call);
}

static enum tw_code code_of(CURLcode result)
{
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
        return TW_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return TW_BAD_DATA;
    case CURLE_OUT_OF_MEMORY:
        return TW_MEMORY;
    default:
        return TW_NETWORK;
    }
}

enum tw_code tw_http_client_call(struct tw_http_client *client, const struct tw_http_call *call,
                                 int *ret_status, int64_t *ret_retry_after_ms, struct tw_err *err)
{
    TW_CHECK_MAGIC(client, CLIENT_MAGIC);
    struct tw_str scheme, host = url_origin(tw_str(call->url), &scheme);
    bool secure = scheme.size == 8 && !strncasecmp(scheme.data, "https://", 8);
    if (!secure && !(scheme.size == 7 && !strncasecmp(scheme.data, "http://", 7)))
        return tw_err_set(err, TW_BAD_DATA, "the URL must start with http:// or https://");
    struct curl_slist *headers;
    enum tw_code code = make_headers(call, &headers, err);
    if (code != TW_OK)
        return code;
    struct answer answer = {.buf = call->ret_answer,
                            .bytes_max = call->answer_bytes_max ? call->answer_bytes_max
                                                                : ANSWER_BYTES_MAX_DEFAULT};
    set_options(client, call, headers, &answer, secure);
    CURLcode result = curl_easy_perform(client->curl);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (result != CURLE_OK && !(result == CURLE_WRITE_ERROR && answer.cut))
        return tw_err_set(err, code_of(result), "%.*s%.*s: %s", TW_STR_ARG(scheme),
                          TW_STR_ARG(host),
                          client->error[0] ? client->error : curl_easy_strerror(result));
    long status = 0;
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(client->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    if (retry_after_s > INT32_MAX)
        retry_after_s = INT32_MAX;
    *ret_status = (int)status;
    if (ret_retry_after_ms)
        *ret_retry_after_ms = retry_after_s > 0 ? (int64_t)retry_after_s * 1000 : -1;
    return TW_OK;
}
