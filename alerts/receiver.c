/* SPDX-License-Identifier: Apache-2.0
 *
 * receiver: reads `receivers` (webhook_configs) and `alertmanagers` of the configuration.
 */
#include "config.h"

#include "alerts/routing.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"

#define SECRET_BYTES_MAX (64 * 1024)

#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum tw_code try_code_ = (expression);                                                     \
        if (try_code_ != TW_OK)                                                                    \
            return try_code_;                                                                      \
    } while (0)

static enum tw_code unsupported(struct alert_routing_reader *r, const struct tw_yaml *node,
                                const char *what)
{
    tw_yaml_error(r->file, node, r->err, "%s is not supported yet", what);
    if (r->err != NULL)
        r->err->code = TW_UNSUPPORTED;
    return TW_UNSUPPORTED;
}

static enum tw_code refuse_unsupported(struct alert_routing_reader *r,
                                       const struct tw_yaml *mapping, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        const struct tw_yaml *node = tw_yaml_member(mapping, names[i]);
        if (!tw_yaml_is_null(node))
            return unsupported(r, node, names[i]);
    }
    return TW_OK;
}

/* A secret given directly or as a file; surrounding space of a file does not count. */
static enum tw_code read_secret(struct alert_routing_reader *r, const struct tw_yaml *mapping,
                                const char *key, const char *file_key, struct tw_str *ret)
{
    struct tw_str path = TW_STR("");
    TRY(tw_yaml_get_str(r->file, mapping, key, ret, r->err));
    TRY(tw_yaml_get_str(r->file, mapping, file_key, &path, r->err));
    if (path.size == 0)
        return TW_OK;
    const struct tw_yaml *node = tw_yaml_member(mapping, file_key);
    if (ret->size > 0)
        return tw_yaml_error(r->file, node, r->err, "only one of %s and %s can be set", key,
                             file_key);
    struct tw_buf text;
    struct tw_err inner;
    tw_buf_init(&text, SECRET_BYTES_MAX);
    char *name = tw_arena_cstr(r->routing->arena, path);
    char *joined = name[0] == '/' ? strdup(name) : tw_file_join(r->folder, name);
    enum tw_code code = tw_file_read(joined, &text, &inner);
    if (code == TW_OK)
        *ret = tw_arena_str(r->routing->arena, tw_str_trim(tw_buf_str(&text)));
    else
        code = tw_yaml_error(r->file, node, r->err, "%s", inner.message);
    free(joined);
    tw_buf_fini(&text);
    return code;
}

static struct tw_str base64(struct tw_arena *arena, struct tw_str text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = tw_arena_alloc(arena, (text.size + 2) / 3 * 4 + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i += 3) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < text.size ? (unsigned char)text.data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            out[size++] = i + k > text.size ? '=' : digits[bits >> (18 - 6 * k) & 63];
    }
    return (struct tw_str){out, size};
}

static enum tw_code read_basic(struct alert_routing_reader *r, const struct tw_yaml *node,
                               struct tw_str *ret)
{
    static const char *const known[] = {"username", "username_file", "password", "password_file",
                                        NULL};
    struct tw_str user = TW_STR(""), password = TW_STR("");
    TRY(tw_yaml_check_keys(r->file, node, known, r->err));
    TRY(read_secret(r, node, "username", "username_file", &user));
    TRY(read_secret(r, node, "password", "password_file", &password));
    struct tw_str pair =
        tw_arena_format(r->routing->arena, "%.*s:%.*s", TW_STR_ARG(user), TW_STR_ARG(password));
    *ret = tw_arena_format(r->routing->arena, "Basic %.*s",
                           TW_STR_ARG(base64(r->routing->arena, pair)));
    return TW_OK;
}

static enum tw_code read_authorization(struct alert_routing_reader *r, const struct tw_yaml *node,
                                       struct tw_str *ret)
{
    static const char *const known[] = {"type", "credentials", "credentials_file", NULL};
    struct tw_str type = TW_STR("Bearer"), credentials = TW_STR("");
    TRY(tw_yaml_check_keys(r->file, node, known, r->err));
    TRY(tw_yaml_get_str(r->file, node, "type", &type, r->err));
    TRY(read_secret(r, node, "credentials", "credentials_file", &credentials));
    *ret =
        tw_arena_format(r->routing->arena, "%.*s %.*s", TW_STR_ARG(type), TW_STR_ARG(credentials));
    return TW_OK;
}

/* http_config of a receiver, or the same keys in an entry of alertmanagers. */
static enum tw_code read_http(struct alert_routing_reader *r, const struct tw_yaml *config,
                              struct tw_str *ret_authorization)
{
    static const char *const missing[] = {"tls_config", "oauth2",       "proxy_url",
                                          "no_proxy",   "http_headers", "proxy_from_environment",
                                          NULL};
    const struct tw_yaml *authorization = NULL, *basic = NULL;
    struct tw_str token = TW_STR("");
    TRY(refuse_unsupported(r, config, missing));
    TRY(tw_yaml_get_node(r->file, config, "authorization", TW_YAML_MAPPING, &authorization,
                         r->err));
    TRY(tw_yaml_get_node(r->file, config, "basic_auth", TW_YAML_MAPPING, &basic, r->err));
    TRY(read_secret(r, config, "bearer_token", "bearer_token_file", &token));
    if ((authorization != NULL) + (basic != NULL) + (token.size > 0) > 1)
        return tw_yaml_error(r->file, config, r->err,
                             "only one of authorization, basic_auth and bearer_token can be set");
    if (authorization != NULL)
        return read_authorization(r, authorization, ret_authorization);
    if (basic != NULL)
        return read_basic(r, basic, ret_authorization);
    if (token.size > 0)
        *ret_authorization = tw_arena_format(r->routing->arena, "Bearer %.*s", TW_STR_ARG(token));
    return TW_OK;
}

static enum tw_code check_url(struct alert_routing_reader *r, const struct tw_yaml *node,
                              struct tw_str url)
{
    bool good = tw_str_starts(url, TW_STR("http://")) || tw_str_starts(url, TW_STR("https://"));
    for (size_t i = 0; i < url.size; i++)
        good = good && (unsigned char)url.data[i] > ' ';
    if (!good)
        return tw_yaml_error(r->file, node, r->err,
                             "\"%.*s\" is no URL: it must start with http:// or https://",
                             TW_STR_ARG(url));
    return TW_OK;
}

/* ---- receivers ---- */

static enum tw_code read_webhook(struct alert_routing_reader *r, const struct tw_yaml *node,
                                 struct alert_webhook *webhook)
{
    static const char *const known[] = {"send_resolved", "http_config", "url",     "url_file",
                                        "max_alerts",    "timeout",     "payload", NULL};
    static const char *const missing[] = {"payload", NULL};
    static const char *const http_known[] = {"authorization",
                                             "basic_auth",
                                             "bearer_token",
                                             "bearer_token_file",
                                             "tls_config",
                                             "oauth2",
                                             "proxy_url",
                                             "no_proxy",
                                             "http_headers",
                                             "follow_redirects",
                                             "enable_http2",
                                             "proxy_from_environment",
                                             NULL};
    const struct tw_yaml *http = NULL;
    int64_t alerts_max = 0, timeout_ms = 0;
    if (node->kind != TW_YAML_MAPPING)
        return tw_yaml_error(r->file, node, r->err, "a webhook must be a mapping with url");
    TRY(tw_yaml_check_keys(r->file, node, known, r->err));
    TRY(refuse_unsupported(r, node, missing));
    webhook->send_resolved = true;
    TRY(tw_yaml_get_bool(r->file, node, "send_resolved", &webhook->send_resolved, r->err));
    TRY(tw_yaml_get_int(r->file, node, "max_alerts", 0, INT32_MAX, &alerts_max, r->err));
    TRY(tw_yaml_get_duration(r->file, node, "timeout", &timeout_ms, r->err));
    TRY(read_secret(r, node, "url", "url_file", &webhook->url));
    if (webhook->url.size == 0)
        return tw_yaml_error(r->file, node, r->err, "one of url or url_file must be configured");
    webhook->url = tw_arena_str(r->routing->arena, webhook->url);
    const struct tw_yaml *url = tw_yaml_member(node, "url");
    TRY(check_url(r, url != NULL ? url : node, webhook->url));
    TRY(tw_yaml_get_node(r->file, node, "http_config", TW_YAML_MAPPING, &http, r->err));
    if (http != NULL) {
        TRY(tw_yaml_check_keys(r->file, http, http_known, r->err));
        TRY(read_http(r, http, &webhook->authorization));
    }
    webhook->alerts_max = (uint64_t)alerts_max;
    webhook->timeout_ms = timeout_ms > 0 ? timeout_ms : ALERT_CALL_TIMEOUT_MS;
    return TW_OK;
}

/* Receivers of other kinds are Alertmanager's, and it can be named in `alertmanagers`. */
static enum tw_code check_receiver_keys(struct alert_routing_reader *r, const struct tw_yaml *node)
{
    static const char *const known[] = {"name", "webhook_configs", NULL};
    for (size_t i = 0; i < node->count; i++) {
        struct tw_str key = node->pairs[i].key->text;
        if (tw_str_ends(key, TW_STR("_configs")) && !tw_str_is(key, "webhook_configs") &&
            tw_yaml_nearest(key, known) == NULL)
            return unsupported(r, node->pairs[i].key, tw_arena_cstr(r->routing->arena, key));
    }
    return tw_yaml_check_keys(r->file, node, known, r->err);
}

static enum tw_code read_receiver(struct alert_routing_reader *r, const struct tw_yaml *node)
{
    struct alert_receiver *receiver = &r->routing->receivers[r->routing->receiver_count];
    const struct tw_yaml *webhooks = NULL;
    if (node->kind != TW_YAML_MAPPING)
        return tw_yaml_error(r->file, node, r->err, "a receiver must be a mapping with name");
    TRY(check_receiver_keys(r, node));
    TRY(tw_yaml_get_str(r->file, node, "name", &receiver->name, r->err));
    if (receiver->name.size == 0)
        return tw_yaml_error(r->file, node, r->err, "missing name in receiver");
    receiver->name = tw_arena_str(r->routing->arena, receiver->name);
    for (size_t i = 0; i < r->routing->receiver_count; i++)
        if (tw_str_equal(r->routing->receivers[i].name, receiver->name))
            return tw_yaml_error(r->file, node, r->err, "receiver name \"%.*s\" is not unique",
                                 TW_STR_ARG(receiver->name));
    TRY(tw_yaml_get_node(r->file, node, "webhook_configs", TW_YAML_SEQUENCE, &webhooks, r->err));
    size_t count = webhooks != NULL ? webhooks->count : 0;
    receiver->webhooks = TW_ARENA_ARRAY(r->routing->arena, struct alert_webhook, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(read_webhook(r, webhooks->items[i], &receiver->webhooks[i]));
    receiver->count = count;
    r->routing->receiver_count++;
    return TW_OK;
}

enum tw_code alert_receivers_read(struct alert_routing_reader *reader, const struct tw_yaml *root)
{
    const struct tw_yaml *list = NULL;
    TRY(tw_yaml_get_node(reader->file, root, "receivers", TW_YAML_SEQUENCE, &list, reader->err));
    size_t count = list != NULL ? list->count : 0;
    reader->routing->receivers =
        TW_ARENA_ARRAY(reader->routing->arena, struct alert_receiver, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(read_receiver(reader, list->items[i]));
    return TW_OK;
}

/* ---- other Alertmanagers ---- */

static enum tw_code read_peer(struct alert_routing_reader *r, const struct tw_yaml *node)
{
    static const char *const known[] = {"url",        "authorization",     "basic_auth",
                                        "tls_config", "bearer_token_file", "bearer_token",
                                        NULL};
    struct alert_peer *peer = &r->routing->peers[r->routing->peer_count];
    struct tw_str url = TW_STR("");
    if (node->kind != TW_YAML_MAPPING)
        return tw_yaml_error(r->file, node, r->err,
                             "an entry of alertmanagers must be a mapping with url");
    TRY(tw_yaml_check_keys(r->file, node, known, r->err));
    TRY(tw_yaml_get_str(r->file, node, "url", &url, r->err));
    TRY(check_url(r, node, url));
    TRY(read_http(r, node, &peer->authorization));
    while (url.size > 0 && url.data[url.size - 1] == '/')
        url.size--;
    peer->url = tw_arena_format(r->routing->arena, "%.*s/api/v2/alerts", TW_STR_ARG(url));
    r->routing->peer_count++;
    return TW_OK;
}

enum tw_code alert_peers_read(struct alert_routing_reader *reader, const struct tw_yaml *root)
{
    const struct tw_yaml *list = NULL;
    TRY(tw_yaml_get_node(reader->file, root, "alertmanagers", TW_YAML_SEQUENCE, &list,
                         reader->err));
    size_t count = list != NULL ? list->count : 0;
    reader->routing->peers = TW_ARENA_ARRAY(reader->routing->arena, struct alert_peer, count + 1);
    for (size_t i = 0; i < count; i++)
        TRY(read_peer(reader, list->items[i]));
    return TW_OK;
}
