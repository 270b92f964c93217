/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/transport.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/http_client.h"

struct http_transport {
    struct alert_transport transport; /* first, so that one is the other */
    struct tw_http_client *client;
};

static enum tw_code post_http(struct alert_transport *transport, const struct alert_post *post,
                              int *ret_status, int64_t *ret_retry_after_ms, struct tw_err *err)
{
    struct http_transport *http = (struct http_transport *)transport;
    const struct tw_http_pair headers[2] = {
        {TW_STR("Content-Type"), TW_STR("application/json")},
        {TW_STR("Authorization"), post->authorization},
    };
    char *url = tw_str_dup(post->url);
    const struct tw_http_call call = {.method = TW_HTTP_POST,
                                      .url = url,
                                      .headers = headers,
                                      .header_count = post->authorization.size > 0 ? 2 : 1,
                                      .body = post->body,
                                      .timeout_ms = post->timeout_ms};
    enum tw_code code =
        tw_http_client_call(http->client, &call, ret_status, ret_retry_after_ms, err);
    free(url);
    return code;
}

static void free_http(struct alert_transport *transport)
{
    struct http_transport *http = (struct http_transport *)transport;
    tw_http_client_free(http->client);
    free(http);
}

struct alert_transport *alert_transport_http_new(void)
{
    struct http_transport *http = calloc(1, sizeof *http);
    TW_ASSERT(http != NULL);
    http->transport.post = post_http;
    http->transport.free = free_http;
    http->client = tw_http_client_new("tidewatch/" PACKAGE_VERSION);
    return &http->transport;
}
