/* SPDX-License-Identifier: Apache-2.0
 *
 * One curl easy handle a client, reset before each call; its connections, DNS answers and TLS
 * sessions outlive the reset. Messages name scheme and host only: paths and user parts of a URL
 * often hold secrets.
 *
 * libcurl brings some twenty libraries with it, whose loading takes longer than a whole forecast of
 * the command line. So the programs are not linked with it: it is loaded when it is first called
 * (docs/adr/0009-libcurl-when-called.md).
 */
#include "config.h"

#include "base/http_client.h"

#include <curl/curl.h>
#include <dlfcn.h>
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
    CURL *curl; /* NULL: not called yet */
    char *user_agent;
    char error[CURL_ERROR_SIZE];
};

/* What is called of libcurl: under these names, each with "curl_" before it. */
#define LIBCURL_CALLS(CALL)                                                                        \
    CALL(global_init)                                                                              \
    CALL(easy_init)                                                                                \
    CALL(easy_cleanup)                                                                             \
    CALL(easy_reset)                                                                               \
    CALL(easy_setopt)                                                                              \
    CALL(easy_perform)                                                                             \
    CALL(easy_getinfo)                                                                             \
    CALL(easy_strerror)                                                                            \
    CALL(slist_append)                                                                             \
    CALL(slist_free_all)

static struct {
    pthread_mutex_t lock; /* of loading */
    bool is_loaded;
#define LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
    LIBCURL_CALLS(LIBCURL_MEMBER)
#undef LIBCURL_MEMBER
} libcurl = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct answer {
    struct tw_buf *buf; /* NULL: only counted */
    size_t bytes, bytes_max;
    bool cut;
};

/* ---- the library ---- */

/* False: the library has no such function. */
static bool find_call(void *library, const char *name, void *ret_call)
{
    void *symbol = dlsym(library, name);
    memcpy(ret_call, &symbol, sizeof symbol); /* POSIX: of the same size as a function's pointer */
    return symbol != NULL;
}

static enum tw_code load_locked(struct tw_err *err)
{
    void *library = dlopen(TW_CURL_SONAME, RTLD_NOW | RTLD_LOCAL);
    bool complete = library != NULL;
#define LIBCURL_FIND(name) complete = complete && find_call(library, "curl_" #name, &libcurl.name);
    LIBCURL_CALLS(LIBCURL_FIND)
#undef LIBCURL_FIND
    if (!complete) {
        const char *reason = dlerror();
        enum tw_code code = tw_err_set(
            err, TW_UNAVAILABLE, "no HTTP client: cannot load " TW_CURL_SONAME " (%s): install it",
            reason ? reason : "reason not known");
        if (library)
            dlclose(library);
        return code;
    }
    if (libcurl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return tw_err_set(err, TW_UNAVAILABLE, "no HTTP client: libcurl cannot start");
    libcurl.is_loaded = true; /* for good: libcurl does not like to be unloaded */
    return TW_OK;
}

enum tw_code tw_http_client_load(struct tw_err *err)
{
    pthread_mutex_lock(&libcurl.lock);
    enum tw_code code = libcurl.is_loaded ? TW_OK : load_locked(err);
    pthread_mutex_unlock(&libcurl.lock);
    return code;
}

/* ---- clients ---- */

struct tw_http_client *tw_http_client_new(const char *user_agent)
{
    struct tw_http_client *client = calloc(1, sizeof *client);
    TW_ASSERT(client != NULL);
    client->magic = CLIENT_MAGIC;
    client->user_agent = tw_str_dup(tw_str(user_agent));
    return client;
}

struct tw_http_client *tw_http_client_free(struct tw_http_client *client)
{
    if (!client)
        return NULL;
    TW_CHECK_MAGIC(client, CLIENT_MAGIC);
    client->magic = 0;
    if (client->curl)
        libcurl.easy_cleanup(client->curl);
    free(client->user_agent);
    free(client);
    return NULL;
}

static enum tw_code start(struct tw_http_client *client, struct tw_err *err)
{
    enum tw_code code = client->curl ? TW_OK : tw_http_client_load(err);
    if (code != TW_OK || client->curl)
        return code;
    client->curl = libcurl.easy_init();
    TW_ASSERT(client->curl != NULL);
    return TW_OK;
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
    struct curl_slist *list = libcurl.slist_append(NULL, "Expect:");
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
            list = libcurl.slist_append(list, text);
    }
    tw_buf_fini(&line);
    if (code != TW_OK)
        libcurl.slist_free_all(list);
    else
        *ret_list = list;
    return code;
}

static void set_body(CURL *curl, const struct tw_http_call *call)
{
    bool sends = call->body.size > 0 || (call->method & (TW_HTTP_POST | TW_HTTP_PUT));
    if (call->method == TW_HTTP_HEAD) {
        libcurl.easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (sends) {
        libcurl.easy_setopt(curl, CURLOPT_POST, 1L);
        libcurl.easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.data ? call->body.data : "");
        libcurl.easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
        libcurl.easy_setopt(curl, CURLOPT_POSTREDIR, (long)CURL_REDIR_POST_ALL);
    }
    if (call->method != TW_HTTP_HEAD && call->method != (sends ? TW_HTTP_POST : TW_HTTP_GET))
        libcurl.easy_setopt(curl, CURLOPT_CUSTOMREQUEST, tw_http_method_name(call->method));
}

/* Only http and https; a redirect never leads from https back to plain text. */
static void set_schemes(CURL *curl, bool secure)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    libcurl.easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    libcurl.easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
#else
    libcurl.easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    libcurl.easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS,
                        (long)(secure ? CURLPROTO_HTTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    libcurl.easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    libcurl.easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
}

static void set_options(struct tw_http_client *client, const struct tw_http_call *call,
                        struct curl_slist *headers, struct answer *answer, bool secure)
{
    CURL *curl = client->curl;
    int64_t timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : TIMEOUT_MS_DEFAULT;
    libcurl.easy_reset(curl);
    client->error[0] = '\0';
    libcurl.easy_setopt(curl, CURLOPT_ERRORBUFFER, client->error);
    libcurl.easy_setopt(curl, CURLOPT_URL, call->url);
    libcurl.easy_setopt(curl, CURLOPT_USERAGENT, client->user_agent);
    libcurl.easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    libcurl.easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* no SIGALRM in a program with threads */
    libcurl.easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    libcurl.easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                        (long)(timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS));
    libcurl.easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    libcurl.easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    libcurl.easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (call->ca_file)
        libcurl.easy_setopt(curl, CURLOPT_CAINFO, call->ca_file);
    if (call->cert_file)
        libcurl.easy_setopt(curl, CURLOPT_SSLCERT, call->cert_file);
    if (call->key_file)
        libcurl.easy_setopt(curl, CURLOPT_SSLKEY, call->key_file);
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
    struct curl_slist *headers = NULL;
    enum tw_code code = start(client, err);
    if (code == TW_OK)
        code = make_headers(call, &headers, err);
    if (code != TW_OK)
        return code;
    struct answer answer = {.buf = call->ret_answer,
                            .bytes_max = call->answer_bytes_max ? call->answer_bytes_max
                                                                : ANSWER_BYTES_MAX_DEFAULT};
    set_options(client, call, headers, &answer, secure);
    CURLcode result = libcurl.easy_perform(client->curl);
    libcurl.easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    libcurl.slist_free_all(headers);
    if (result != CURLE_OK && !(result == CURLE_WRITE_ERROR && answer.cut))
        return tw_err_set(err, code_of(result), "%.*s%.*s: %s", TW_STR_ARG(scheme),
                          TW_STR_ARG(host),
                          client->error[0] ? client->error : libcurl.easy_strerror(result));
    long status = 0;
    curl_off_t retry_after_s = 0;
    libcurl.easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    libcurl.easy_getinfo(client->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    if (retry_after_s > INT32_MAX)
        retry_after_s = INT32_MAX;
    *ret_status = (int)status;
    if (ret_retry_after_ms)
        *ret_retry_after_ms = retry_after_s > 0 ? (int64_t)retry_after_s * 1000 : -1;
    return TW_OK;
}
