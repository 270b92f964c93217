/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/target.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

#define PATH_BYTES_MAX 4096

struct reading {
    struct tw_arena *arena;
    const char *file;
    struct tw_err *err;
};

/* ---- pieces ---- */

/* A member that is one line of text; *ret stays when it is not given. */
static enum tw_code parse_text(struct reading *in, const struct tw_yaml *map, const char *key,
                               const char **ret)
{
    struct tw_str text = {0};
    enum tw_code code = tw_yaml_get_str(in->file, map, key, &text, in->err);
    if (code != TW_OK || text.size == 0)
        return code;
    if (memchr(text.data, '\n', text.size) || memchr(text.data, '\0', text.size) ||
        text.size > PATH_BYTES_MAX)
        return tw_yaml_error(in->file, tw_yaml_member(map, key), in->err,
                             "%s needs one line of text, at most %d bytes", key, PATH_BYTES_MAX);
    *ret = tw_arena_cstr(in->arena, text);
    return TW_OK;
}

static enum tw_code parse_timeout(struct reading *in, const struct tw_yaml *map, int64_t max_ms,
                                  const char *range, int64_t *ret_ms)
{
    enum tw_code code = tw_yaml_get_duration(in->file, map, "timeout", ret_ms, in->err);
    if (code == TW_OK && (*ret_ms < 100 || *ret_ms > max_ms))
        code = tw_yaml_error(in->file, tw_yaml_member(map, "timeout"), in->err,
                             "timeout has to be from %s", range);
    return code;
}

/* A list of words; required unless optional. */
static enum tw_code parse_words(struct reading *in, const struct tw_yaml *map, const char *key,
                                bool optional, const char *const **ret)
{
    const struct tw_yaml *node = tw_yaml_member(map, key);
    if (tw_yaml_is_null(node)) {
        if (optional)
            return TW_OK;
        return tw_yaml_error(in->file, map, in->err,
                             "%s is missing: give the program and its words as a list, [a, b]",
                             key);
    }
    if (node->kind != TW_YAML_SEQUENCE || node->count == 0 || node->count > SCALE_WORDS_MAX)
        return tw_yaml_error(in->file, node, in->err,
                             "%s is a list of 1 to %d words, [program, word, ...]: no shell is "
                             "between",
                             key, SCALE_WORDS_MAX);
    const char **words = TW_ARENA_ARRAY(in->arena, const char *, node->count + 1);
    for (size_t i = 0; i < node->count; i++) {
        const struct tw_yaml *item = node->items[i];
        if (item->kind != TW_YAML_SCALAR || item->text.size > PATH_BYTES_MAX ||
            (item->text.size > 0 && memchr(item->text.data, '\0', item->text.size)) ||
            (i == 0 && item->text.size == 0))
            return tw_yaml_error(in->file, item, in->err, "%s: each word is a text", key);
        words[i] = tw_arena_cstr(in->arena, item->text);
    }
    *ret = words;
    return TW_OK;
}

static enum tw_code parse_headers(struct reading *in, const struct tw_yaml *webhook,
                                  struct scale_target *target)
{
    const struct tw_yaml *node = NULL;
    enum tw_code code =
        tw_yaml_get_node(in->file, webhook, "headers", TW_YAML_MAPPING, &node, in->err);
    if (code != TW_OK || !node)
        return code;
    if (node->count > SCALE_HEADERS_MAX)
        return tw_yaml_error(in->file, node, in->err, "%zu headers are given, at most %d are taken",
                             node->count, SCALE_HEADERS_MAX);
    for (size_t k = 0; k < node->count; k++) {
        const struct tw_yaml *key = node->pairs[k].key, *value = node->pairs[k].value;
        if (value->kind != TW_YAML_SCALAR || tw_str_find(value->text, TW_STR("\n")) != SIZE_MAX ||
            tw_str_find(value->text, TW_STR("\r")) != SIZE_MAX)
            return tw_yaml_error(in->file, value, in->err, "header %.*s needs one line of text",
                                 TW_STR_ARG(key->text));
        target->webhook.headers[k] = (struct tw_http_pair){tw_arena_str(in->arena, key->text),
                                                           tw_arena_str(in->arena, value->text)};
    }
    target->webhook.header_count = node->count;
    return TW_OK;
}

/* ---- the kinds ---- */

static enum tw_code parse_webhook(struct reading *in, const struct tw_yaml *node,
                                  struct scale_target *target)
{
    static const char *const known[] = {"url", "timeout", "headers", "secret_file", NULL};
    struct tw_str url = {0};
    enum tw_code code = tw_yaml_check_keys(in->file, node, known, in->err);
    if (code == TW_OK)
        code = tw_yaml_get_str(in->file, node, "url", &url, in->err);
    if (code != TW_OK)
        return code;
    if (!tw_str_starts(url, TW_STR("http://")) && !tw_str_starts(url, TW_STR("https://")))
        return tw_yaml_error(in->file, url.size ? tw_yaml_member(node, "url") : node, in->err,
                             "the webhook needs a url that begins with http:// or https://");
    target->webhook.url = tw_arena_cstr(in->arena, url);
    code = parse_timeout(in, node, 30000, "100ms to 30s", &target->timeout_ms);
    if (code == TW_OK)
        code = parse_text(in, node, "secret_file", &target->webhook.secret_file);
    return code == TW_OK ? parse_headers(in, node, target) : code;
}

static enum tw_code parse_exec(struct reading *in, const struct tw_yaml *node,
                               struct scale_target *target)
{
    static const char *const known[] = {"set", "get", "replace", "timeout", NULL};
    target->timeout_ms = 60000;
    enum tw_code code = tw_yaml_check_keys(in->file, node, known, in->err);
    if (code == TW_OK)
        code = parse_words(in, node, "set", false, &target->exec.set);
    if (code == TW_OK)
        code = parse_words(in, node, "get", true, &target->exec.get);
    if (code == TW_OK)
        code = parse_words(in, node, "replace", true, &target->exec.replace);
    return code == TW_OK ? parse_timeout(in, node, 600000, "100ms to 10m", &target->timeout_ms)
                         : code;
}

static enum tw_code parse_systemd(struct reading *in, const struct tw_yaml *node,
                                  struct scale_target *target)
{
    static const char *const known[] = {"unit", "user", "systemctl", "timeout", NULL};
    target->timeout_ms = 60000;
    target->systemd.systemctl = "systemctl";
    enum tw_code code = tw_yaml_check_keys(in->file, node, known, in->err);
    if (code == TW_OK)
        code = parse_text(in, node, "unit", &target->systemd.unit);
    if (code == TW_OK) {
        struct tw_str unit = tw_str(target->systemd.unit);
        size_t at = tw_str_find(unit, TW_STR("@."));
        if (at == SIZE_MAX || at == 0 || unit.data[0] == '-' ||
            tw_str_find(unit, TW_STR("/")) != SIZE_MAX ||
            tw_str_find(unit, TW_STR("*")) != SIZE_MAX)
            code = tw_yaml_error(in->file, unit.size ? tw_yaml_member(node, "unit") : node, in->err,
                                 "unit has to be a template, as in \"worker@.service\"");
    }
    if (code == TW_OK)
        code = tw_yaml_get_bool(in->file, node, "user", &target->systemd.user, in->err);
    if (code == TW_OK)
        code = parse_text(in, node, "systemctl", &target->systemd.systemctl);
    return code == TW_OK ? parse_timeout(in, node, 600000, "100ms to 10m", &target->timeout_ms)
                         : code;
}

static enum tw_code parse_process(struct reading *in, const struct tw_yaml *node,
                                  struct scale_target *target)
{
    static const char *const known[] = {"command", "stop_after", NULL};
    target->timeout_ms = 60000;
    target->process.stop_ms = 10000;
    enum tw_code code = tw_yaml_check_keys(in->file, node, known, in->err);
    if (code == TW_OK)
        code = parse_words(in, node, "command", false, &target->process.command);
    if (code == TW_OK)
        code =
            tw_yaml_get_duration(in->file, node, "stop_after", &target->process.stop_ms, in->err);
    if (code == TW_OK && (target->process.stop_ms < 0 || target->process.stop_ms > 600000))
        code = tw_yaml_error(in->file, tw_yaml_member(node, "stop_after"), in->err,
                             "stop_after has to be from 0s to 10m");
    return code;
}

/* The plural of the kinds that Kubernetes itself can scale. */
static bool find_kind(const char *kind, const char **ret_resource)
{
    static const char *const kinds[][2] = {{"Deployment", "deployments"},
                                           {"StatefulSet", "statefulsets"},
                                           {"ReplicaSet", "replicasets"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i][0], kind) == 0) {
            *ret_resource = kinds[i][1];
            return true;
        }
    return false;
}

/* Names go into a path: what the API server would refuse is refused here, with its place. */
static enum tw_code check_name(struct reading *in, const struct tw_yaml *node, const char *key,
                               const char *name, const char *extra)
{
    for (const char *c = name; c != NULL && *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-' || *c == '.' ||
              strchr(extra, *c)))
            return tw_yaml_error(in->file, tw_yaml_member(node, key), in->err,
                                 "%s '%s' is no name that Kubernetes takes: lower-case letters, "
                                 "digits, '-' and '.'",
                                 key, name);
    return TW_OK;
}

static enum tw_code parse_kubernetes(struct reading *in, const struct tw_yaml *node,
                                     struct scale_target *target)
{
    static const char *const known[] = {"kind",        "name",       "namespace",
                                        "api_version", "resource",   "context",
                                        "timeout",     "kubeconfig", NULL};
    target->timeout_ms = 10000;
    target->kubernetes.kind = "Deployment";
    target->kubernetes.api_version = "apps/v1";
    enum tw_code code = tw_yaml_check_keys(in->file, node, known, in->err);
    const struct {
        const char *key;
        const char **value;
    } texts[] = {{"kind", &target->kubernetes.kind},
                 {"name", &target->kubernetes.name},
                 {"namespace", &target->kubernetes.space},
                 {"api_version", &target->kubernetes.api_version},
                 {"resource", &target->kubernetes.resource},
                 {"kubeconfig", &target->kubernetes.kubeconfig},
                 {"context", &target->kubernetes.context}};
    for (size_t i = 0; code == TW_OK && i < sizeof texts / sizeof *texts; i++)
        code = parse_text(in, node, texts[i].key, texts[i].value);
    if (code == TW_OK && target->kubernetes.name == NULL)
        code = tw_yaml_error(in->file, node, in->err, "name is missing: of which %s?",
                             target->kubernetes.kind);
    if (code == TW_OK && target->kubernetes.resource == NULL &&
        !find_kind(target->kubernetes.kind, &target->kubernetes.resource))
        code = tw_yaml_error(in->file, tw_yaml_member(node, "kind"), in->err,
                             "for a %s give api_version (\"example.com/v1\") and resource, its "
                             "plural in lower case, too",
                             target->kubernetes.kind);
    if (code == TW_OK && target->kubernetes.context && !target->kubernetes.kubeconfig)
        code = tw_yaml_error(in->file, tw_yaml_member(node, "context"), in->err,
                             "a context is one of a kubeconfig: give kubeconfig, too");
    if (code == TW_OK)
        code = check_name(in, node, "name", target->kubernetes.name, "");
    if (code == TW_OK)
        code = check_name(in, node, "namespace", target->kubernetes.space, "");
    if (code == TW_OK)
        code = check_name(in, node, "resource", target->kubernetes.resource, "");
    if (code == TW_OK)
        code = check_name(in, node, "api_version", target->kubernetes.api_version, "/");
    return code == TW_OK ? parse_timeout(in, node, 60000, "100ms to 1m", &target->timeout_ms)
                         : code;
}

enum tw_code scale_target_parse(struct tw_arena *arena, const char *file,
                                const struct tw_yaml *node, struct scale_target *ret,
                                struct tw_err *err)
{
    static const char *const known[] = {"webhook", "exec",       "systemd",
                                        "process", "kubernetes", NULL};
    static enum tw_code (*const readers[])(struct reading *, const struct tw_yaml *,
                                           struct scale_target *) = {
        parse_webhook, parse_exec, parse_systemd, parse_process, parse_kubernetes};
    struct tw_err own = {0};
    struct reading in = {arena, file, err ? err : &own};
    struct scale_target target = {.kind = SCALE_TARGET_NONE, .timeout_ms = 5000};
    enum tw_code code = TW_OK;
    if (node != NULL) {
        code = tw_yaml_check_keys(file, node, known, in.err);
        if (code == TW_OK && node->count != 1)
            code = tw_yaml_error(file, node, in.err,
                                 node->count == 0 ? "the target is empty: give webhook: {url: ...}"
                                                  : "a scaler has one target: several are given");
    }
    for (size_t i = 0; code == TW_OK && node != NULL && known[i] != NULL; i++) {
        const struct tw_yaml *member = tw_yaml_member(node, known[i]);
        if (member == NULL)
            continue;
        if (member->kind != TW_YAML_MAPPING)
            return tw_yaml_error(file, member, in.err, "%s is a mapping, {...}", known[i]);
        target.kind = (enum scale_target_kind)(SCALE_TARGET_WEBHOOK + i);
        code = readers[i](&in, member, &target);
    }
    if (code == TW_OK)
        *ret = target;
    return code;
}
