/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/kubernetes_account.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/command.h"
#include "base/crypto.h"
#include "base/file.h"

#define POD_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"
#define FILE_BYTES_MAX (1 << 20)
#define TOKEN_BYTES_MAX 65536
#define TOKEN_MS 600000      /* a made token that says no end */
#define TOKEN_EARLY_MS 30000 /* made anew before its end */
#define PROGRAM_TIMEOUT_MS 30000

/* A kubeconfig while it is read. */
struct config {
    struct scale_means *means;
    struct scale_account *account;
    const char *path;
    struct tw_err *err;
};

static enum tw_code read_text(struct tw_arena *arena, const char *path, size_t bytes_max,
                              struct tw_str *ret, struct tw_err *err)
{
    struct tw_buf text;
    tw_buf_init(&text, bytes_max);
    enum tw_code code = tw_file_read(path, &text, err);
    if (code == TW_OK)
        *ret = tw_arena_str(arena, tw_str_trim(tw_buf_str(&text)));
    tw_buf_fini(&text);
    return code;
}

static void set_token(struct scale_account *account, struct tw_str token)
{
    size_t bytes = token.size + 8;
    free(account->authorization);
    account->authorization = malloc(bytes);
    TW_ASSERT(account->authorization != NULL);
    snprintf(account->authorization, bytes, "Bearer %.*s", TW_STR_ARG(token));
}

/* ---- in a pod ---- */

static enum tw_code open_pod(struct scale_account *account, struct tw_err *err)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    const char *folder = getenv("TIDEWATCH_SERVICE_ACCOUNT");
    struct tw_str token = {0}, space = {0};
    if (host == NULL || port == NULL)
        return tw_err_set(err, TW_CONFIG,
                          "this is no pod of Kubernetes (KUBERNETES_SERVICE_HOST is not set): name "
                          "a kubeconfig in the target");
    folder = folder != NULL ? folder : POD_FOLDER;
    bool six = strchr(host, ':') != NULL; /* an IPv6 address */
    account->server = tw_arena_format(account->arena, "https://%s%s%s:%s", six ? "[" : "", host,
                                      six ? "]" : "", port)
                          .data;
    account->ca_file = tw_arena_format(account->arena, "%s/ca.crt", folder).data;
    const char *token_file = tw_arena_format(account->arena, "%s/token", folder).data;
    const char *space_file = tw_arena_format(account->arena, "%s/namespace", folder).data;
    enum tw_code code = read_text(account->arena, token_file, TOKEN_BYTES_MAX, &token, err);
    if (code == TW_OK)
        set_token(account, token);
    if (code == TW_OK && read_text(account->arena, space_file, 4096, &space, NULL) == TW_OK)
        account->space = space.data;
    return code;
}

/* ---- a kubeconfig ---- */

/* The member `inner` of the item called `name` in the list `list` of the root. */
static enum tw_code find_named(struct config *in, const struct tw_yaml *root, const char *list,
                               struct tw_str name, const char *inner, const struct tw_yaml **ret)
{
    const struct tw_yaml *items = NULL;
    enum tw_code code = tw_yaml_get_node(in->path, root, list, TW_YAML_SEQUENCE, &items, in->err);
    for (size_t i = 0; code == TW_OK && items != NULL && i < items->count; i++) {
        struct tw_str own = {0};
        if (items->items[i]->kind != TW_YAML_MAPPING)
            continue;
        code = tw_yaml_get_str(in->path, items->items[i], "name", &own, in->err);
        if (code == TW_OK && tw_str_equal(own, name)) {
            code =
                tw_yaml_get_node(in->path, items->items[i], inner, TW_YAML_MAPPING, ret, in->err);
            if (code == TW_OK && *ret != NULL)
                return TW_OK;
        }
    }
    return code != TW_OK
               ? code
               : tw_yaml_error(in->path, items != NULL ? items : root, in->err,
                               "there is nothing called '%.*s' among %s", TW_STR_ARG(name), list);
}

/* A path of the file `key`, or of a file in memory with what stands in `key`-data. */
static enum tw_code find_file(struct config *in, const struct tw_yaml *map, const char *key,
                              int *fd, const char **ret)
{
    char inline_key[64];
    struct tw_str path = {0}, encoded = {0};
    snprintf(inline_key, sizeof inline_key, "%s-data", key);
    enum tw_code code = tw_yaml_get_str(in->path, map, key, &path, in->err);
    if (code == TW_OK)
        code = tw_yaml_get_str(in->path, map, inline_key, &encoded, in->err);
    if (code != TW_OK)
        return code;
    if (path.size > 0) { /* relative to the kubeconfig, as kubectl takes it */
        const char *slash = path.data[0] == '/' ? NULL : strrchr(in->path, '/');
        *ret = tw_arena_format(in->account->arena, "%.*s%.*s",
                               slash != NULL ? (int)(slash - in->path + 1) : 0, in->path,
                               TW_STR_ARG(path))
                   .data;
    }
    if (encoded.size == 0)
        return TW_OK;
    struct tw_buf bytes;
    struct tw_err own = {0};
    tw_buf_init(&bytes, FILE_BYTES_MAX);
    if (tw_base64_decode(encoded, &bytes, &own) != TW_OK)
        code = tw_yaml_error(in->path, tw_yaml_member(map, inline_key), in->err, "%s: %s",
                             inline_key, own.message);
    if (code == TW_OK && (*fd = memfd_create(key, MFD_CLOEXEC)) < 0)
        code = tw_err_set(in->err, TW_IO, "cannot make a file in memory");
    if (code == TW_OK)
        code = tw_file_write_all(*fd, bytes.data, bytes.size, inline_key, in->err);
    if (code == TW_OK)
        *ret = tw_arena_format(in->account->arena, "/proc/self/fd/%d", *fd).data;
    tw_buf_fini(&bytes);
    return code;
}

static enum tw_code read_cluster(struct config *in, const struct tw_yaml *cluster)
{
    struct scale_account *account = in->account;
    struct tw_str server = {0};
    bool insecure = false;
    enum tw_code code = tw_yaml_get_str(in->path, cluster, "server", &server, in->err);
    if (code == TW_OK)
        code = tw_yaml_get_bool(in->path, cluster, "insecure-skip-tls-verify", &insecure, in->err);
    if (code == TW_OK && insecure)
        code =
            tw_yaml_error(in->path, tw_yaml_member(cluster, "insecure-skip-tls-verify"), in->err,
                          "a server is not scaled without knowing that it is the right one: give "
                          "certificate-authority instead");
    if (code == TW_OK && !tw_str_starts(server, TW_STR("https://")) &&
        !tw_str_starts(server, TW_STR("http://")))
        code = tw_yaml_error(in->path, cluster, in->err, "the cluster has no server, https://...");
    if (code != TW_OK)
        return code;
    while (server.size > 0 && server.data[server.size - 1] == '/')
        server.size--;
    account->server = tw_arena_cstr(account->arena, server);
    return find_file(in, cluster, "certificate-authority", &account->files[0], &account->ca_file);
}

/* ---- credential programs (client.authentication.k8s.io) ---- */

static enum tw_code take_credential(struct config *in, struct tw_str output)
{
    struct tw_json *root = NULL;
    struct tw_err own = {0};
    if (tw_json_parse(output, &root, &own) != TW_OK)
        return tw_err_set(in->err, TW_REMOTE, "the credential program printed no JSON: %s",
                          own.message);
    const struct tw_json *status = tw_json_member(root, "status");
    struct tw_str token = tw_json_string(tw_json_member(status, "token"), (struct tw_str){0});
    struct tw_str end =
        tw_json_string(tw_json_member(status, "expirationTimestamp"), (struct tw_str){0});
    int64_t until_ms = tw_clock_wall_ms(scale_means_clock(in->means)) + TOKEN_MS;
    char *end_text = tw_str_dup(end);
    if (end.size > 0 && tw_clock_parse_rfc3339(end_text, &until_ms))
        until_ms -= TOKEN_EARLY_MS;
    free(end_text);
    enum tw_code code = TW_OK;
    if (token.size == 0) {
        code = tw_err_set(in->err, TW_REMOTE, "the credential program printed no status.token");
    } else {
        set_token(in->account, token);
        scale_means_keep_token(in->means, tw_str(in->account->name), token, until_ms);
    }
    tw_json_free(root);
    return code;
}

static enum tw_code read_program(struct config *in, const struct tw_yaml *exec, const char **words,
                                 struct tw_http_pair *variables, size_t *variable_count)
{
    const struct tw_yaml *args = NULL, *env = NULL;
    struct tw_str command = {0};
    size_t count = 0;
    enum tw_code code = tw_yaml_get_str(in->path, exec, "command", &command, in->err);
    if (code == TW_OK)
        code = tw_yaml_get_node(in->path, exec, "args", TW_YAML_SEQUENCE, &args, in->err);
    if (code == TW_OK)
        code = tw_yaml_get_node(in->path, exec, "env", TW_YAML_SEQUENCE, &env, in->err);
    if (code == TW_OK && (command.size == 0 || (args && args->count >= SCALE_WORDS_MAX) ||
                          (env && env->count >= SCALE_WORDS_MAX)))
        code =
            tw_yaml_error(in->path, exec, in->err,
                          "exec needs a command, and at most %d args and env", SCALE_WORDS_MAX - 1);
    if (code != TW_OK)
        return code;
    words[count++] = tw_arena_cstr(in->account->arena, command);
    for (size_t i = 0; args != NULL && i < args->count; i++)
        words[count++] = tw_arena_cstr(in->account->arena, args->items[i]->text);
    words[count] = NULL;
    for (size_t i = 0; code == TW_OK && env != NULL && i < env->count; i++) {
        struct tw_http_pair *variable = &variables[(*variable_count)++];
        if (env->items[i]->kind != TW_YAML_MAPPING)
            return tw_yaml_error(in->path, env->items[i], in->err, "env: {name: ..., value: ...}");
        code = tw_yaml_get_str(in->path, env->items[i], "name", &variable->name, in->err);
        if (code == TW_OK)
            code = tw_yaml_get_str(in->path, env->items[i], "value", &variable->value, in->err);
    }
    return code;
}

static enum tw_code run_program(struct config *in, const struct tw_yaml *exec)
{
    char *kept = scale_means_token(in->means, tw_str(in->account->name));
    in->account->made = true;
    if (kept != NULL) {
        set_token(in->account, tw_str(kept));
        free(kept);
        return TW_OK;
    }
    const char *words[SCALE_WORDS_MAX + 1];
    struct tw_http_pair variables[SCALE_WORDS_MAX + 1];
    struct tw_str version = TW_STR_INIT("client.authentication.k8s.io/v1");
    size_t variable_count = 1;
    enum tw_code code = read_program(in, exec, words, variables, &variable_count);
    if (code == TW_OK)
        code = tw_yaml_get_str(in->path, exec, "apiVersion", &version, in->err);
    if (code != TW_OK)
        return code;
    variables[0] = (struct tw_http_pair){
        TW_STR("KUBERNETES_EXEC_INFO"),
        tw_arena_format(in->account->arena,
                        "{\"apiVersion\":\"%.*s\",\"kind\":\"ExecCredential\","
                        "\"spec\":{\"interactive\":false}}",
                        TW_STR_ARG(version))};
    struct tw_buf output, complaint;
    tw_buf_init(&output, TOKEN_BYTES_MAX);
    tw_buf_init(&complaint, 4096);
    const struct tw_command command = {.words = words,
                                       .variables = variables,
                                       .variable_count = variable_count,
                                       .timeout_ms = PROGRAM_TIMEOUT_MS,
                                       .ret_output = &output,
                                       .ret_complaint = &complaint};
    int status = 0;
    code = tw_command_run(&command, &status, in->err);
    if (code == TW_OK && status != 0)
        code = tw_err_set(in->err, TW_REMOTE, "'%s' exited with %d: %.*s", words[0], status,
                          TW_STR_ARG(tw_str_slice(tw_str_trim(tw_buf_str(&complaint)), 0, 160)));
    if (code == TW_OK)
        code = take_credential(in, tw_buf_str(&output));
    tw_buf_fini(&output);
    tw_buf_fini(&complaint);
    return code;
}

static enum tw_code read_user(struct config *in, const struct tw_yaml *user)
{
    struct scale_account *account = in->account;
    struct tw_str token = {0}, token_file = {0};
    const struct tw_yaml *exec = NULL;
    enum tw_code code =
        find_file(in, user, "client-certificate", &account->files[1], &account->cert_file);
    if (code == TW_OK)
        code = find_file(in, user, "client-key", &account->files[2], &account->key_file);
    if (code == TW_OK)
        code = tw_yaml_get_str(in->path, user, "token", &token, in->err);
    if (code == TW_OK)
        code = tw_yaml_get_str(in->path, user, "tokenFile", &token_file, in->err);
    if (code == TW_OK && token_file.size > 0)
        code = read_text(account->arena, tw_arena_cstr(account->arena, token_file), TOKEN_BYTES_MAX,
                         &token, in->err);
    if (code == TW_OK && token.size > 0)
        set_token(account, token);
    if (code == TW_OK)
        code = tw_yaml_get_node(in->path, user, "exec", TW_YAML_MAPPING, &exec, in->err);
    return code == TW_OK && exec != NULL ? run_program(in, exec) : code;
}

static enum tw_code read_config(struct config *in, const char *wanted)
{
    struct tw_yaml *root = NULL;
    struct tw_str text = {0}, current = tw_str(wanted), cluster = {0}, user = {0}, space = {0};
    const struct tw_yaml *context = NULL, *node = NULL;
    struct tw_arena *arena = in->account->arena;
    enum tw_code code = read_text(arena, in->path, FILE_BYTES_MAX, &text, in->err);
    if (code == TW_OK)
        code = tw_yaml_parse(arena, in->path, text, &root, in->err);
    if (code == TW_OK && (root == NULL || root->kind != TW_YAML_MAPPING))
        code = tw_err_set(in->err, TW_CONFIG, "%s is no kubeconfig", in->path);
    if (code == TW_OK && wanted == NULL)
        code = tw_yaml_get_str(in->path, root, "current-context", &current, in->err);
    if (code == TW_OK)
        code = find_named(in, root, "contexts", current, "context", &context);
    if (code == TW_OK)
        code = tw_yaml_get_str(in->path, context, "cluster", &cluster, in->err);
    if (code == TW_OK)
        code = tw_yaml_get_str(in->path, context, "user", &user, in->err);
    if (code == TW_OK)
        code = tw_yaml_get_str(in->path, context, "namespace", &space, in->err);
    if (code == TW_OK && space.size > 0)
        in->account->space = tw_arena_cstr(arena, space);
    if (code == TW_OK)
        code = find_named(in, root, "clusters", cluster, "cluster", &node);
    if (code == TW_OK)
        code = read_cluster(in, node);
    if (code == TW_OK && user.size > 0)
        code = find_named(in, root, "users", user, "user", &node);
    return code == TW_OK && user.size > 0 ? read_user(in, node) : code;
}

enum tw_code scale_account_open(struct scale_means *means, const struct scale_target *target,
                                struct scale_account *ret, struct tw_err *err)
{
    *ret = (struct scale_account){.space = "default", .files = {-1, -1, -1}};
    ret->arena = tw_arena_new(16384);
    enum tw_code code;
    if (target->kubernetes.kubeconfig == NULL) {
        code = open_pod(ret, err);
    } else {
        struct config in = {means, ret, target->kubernetes.kubeconfig, err};
        snprintf(ret->name, sizeof ret->name, "%s#%s", in.path,
                 target->kubernetes.context ? target->kubernetes.context : "");
        code = read_config(&in, target->kubernetes.context);
    }
    if (code == TW_OK && target->kubernetes.space != NULL)
        ret->space = tw_arena_cstr(ret->arena, tw_str(target->kubernetes.space));
    if (code != TW_OK)
        scale_account_close(ret);
    return code;
}

void scale_account_close(struct scale_account *account)
{
    for (size_t i = 0; i < sizeof account->files / sizeof *account->files; i++)
        if (account->files[i] >= 0)
            close(account->files[i]);
    if (account->authorization != NULL)
        explicit_bzero(account->authorization, strlen(account->authorization));
    free(account->authorization);
    account->authorization = NULL;
    account->arena = tw_arena_free(account->arena);
}
