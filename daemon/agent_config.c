/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/agent_config.h"

#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/file.h"
#include "base/yaml.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define TOKEN_BYTES_MAX 8192
#define LABELS_MAX 32
#define HEADERS_MAX 8
#define SOURCES_MAX 64
#define PORTS_MAX 32
#define CAPTURE_BYTES_MIN ((uint64_t)256 << 10)
#define CAPTURE_BYTES_MAX ((uint64_t)256 << 20)
#define WRITE_PATH "/api/v1/write"

/* What is being read. */
struct reader {
    const char *name; /* of the file */
    struct tw_arena *arena;
    struct agent_setup *setup;
    struct tw_str server, data, job, instance;
    int64_t interval_ms;
    struct wire_label labels[LABELS_MAX + 2];
    size_t label_count;
    struct tw_http_pair headers[HEADERS_MAX];
    size_t header_count;
};

void agent_config_init(struct agent_config *config)
{
    *config = (struct agent_config){.setup = {.version = PACKAGE_VERSION,
                                              .interval_ms = AGENT_INTERVAL_MS_DEFAULT,
                                              .spool_bytes_max = AGENT_SPOOL_BYTES_DEFAULT,
                                              .data_folder = "./tidewatch-agent-data",
                                              .capture = true,
                                              .capture_interface = "any",
                                              .capture_bytes = AGENT_CAPTURE_BYTES_DEFAULT}};
}

/* ---- parts of the file ---- */

static enum tw_code read_labels(struct reader *reader, const struct tw_yaml *root,
                                struct tw_err *err)
{
    const struct tw_yaml *labels = NULL;
    enum tw_code code =
        tw_yaml_get_node(reader->name, root, "labels", TW_YAML_MAPPING, &labels, err);
    if (code != TW_OK || labels == NULL)
        return code;
    for (size_t i = 0; i < labels->count; i++) {
        const struct tw_yaml *key = labels->pairs[i].key, *value = labels->pairs[i].value;
        if (reader->label_count == LABELS_MAX)
            return tw_yaml_error(reader->name, key, err, "more than %d labels", LABELS_MAX);
        if (!wire_label_name_is_legacy(key->text) || tw_str_starts(key->text, TW_STR("__")))
            return tw_yaml_error(reader->name, key, err,
                                 "'%.*s' cannot be a label's name: use letters, digits and '_', "
                                 "and no '__' in front",
                                 TW_STR_ARG(key->text));
        if (tw_str_is(key->text, "job") || tw_str_is(key->text, "instance"))
            return tw_yaml_error(reader->name, key, err, "set '%.*s' at the top level, not here",
                                 TW_STR_ARG(key->text));
        if (value->kind != TW_YAML_SCALAR || value->text.size == 0 ||
            value->text.size > WIRE_LABEL_VALUE_BYTES_MAX)
            return tw_yaml_error(reader->name, value, err, "a label's value is a text");
        reader->labels[reader->label_count++] = (struct wire_label){key->text, value->text};
    }
    return TW_OK;
}

static bool is_token(struct tw_str s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] <= ' ' || s.data[i] > '~' || s.data[i] == ':')
            return false;
    return s.size > 0;
}

static bool is_header_value(struct tw_str s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
            return false;
    return true;
}

static enum tw_code read_headers(struct reader *reader, const struct tw_yaml *root,
                                 struct tw_err *err)
{
    const struct tw_yaml *headers = NULL;
    enum tw_code code =
        tw_yaml_get_node(reader->name, root, "headers", TW_YAML_MAPPING, &headers, err);
    if (code != TW_OK || headers == NULL)
        return code;
    for (size_t i = 0; i < headers->count; i++) {
        const struct tw_yaml *key = headers->pairs[i].key, *value = headers->pairs[i].value;
        if (reader->header_count == HEADERS_MAX - 1)
            return tw_yaml_error(reader->name, key, err, "more than %d headers", HEADERS_MAX - 1);
        if (!is_token(key->text) || value->kind != TW_YAML_SCALAR || !is_header_value(value->text))
            return tw_yaml_error(reader->name, key, err,
                                 "not a header: a name without blanks and ':', and a text without "
                                 "line breaks");
        reader->headers[reader->header_count++] = (struct tw_http_pair){key->text, value->text};
    }
    return TW_OK;
}

static enum tw_code read_token(struct reader *reader, const struct tw_yaml *root,
                               struct tw_err *err)
{
    struct tw_str path = {NULL, 0};
    enum tw_code code = tw_yaml_get_str(reader->name, root, "bearer_token_file", &path, err);
    if (code != TW_OK || path.size == 0)
        return code;
    struct tw_buf text;
    struct tw_err cause;
    tw_buf_init(&text, TOKEN_BYTES_MAX);
    code = tw_file_read(tw_arena_cstr(reader->arena, path), &text, &cause);
    struct tw_str token = tw_str_trim(tw_buf_str(&text));
    if (code != TW_OK)
        code = tw_yaml_error(reader->name, tw_yaml_member(root, "bearer_token_file"), err, "%s",
                             cause.message);
    else if (token.size == 0 || !is_header_value(token))
        code = tw_yaml_error(reader->name, tw_yaml_member(root, "bearer_token_file"), err,
                             "%.*s holds no token: one line is expected", TW_STR_ARG(path));
    else
        reader->headers[reader->header_count++] =
            (struct tw_http_pair){TW_STR("Authorization"),
                                  tw_arena_format(reader->arena, "Bearer %.*s", TW_STR_ARG(token))};
    tw_buf_fini(&text);
    return code;
}

static enum tw_code read_sources(struct reader *reader, const struct tw_yaml *root,
                                 struct tw_err *err)
{
    static const char *const known[] = {"disable", NULL};
    const struct tw_yaml *sources = NULL, *disable = NULL;
    enum tw_code code =
        tw_yaml_get_node(reader->name, root, "sources", TW_YAML_MAPPING, &sources, err);
    if (code == TW_OK && sources != NULL)
        code = tw_yaml_check_keys(reader->name, sources, known, err);
    if (code == TW_OK && sources != NULL)
        code = tw_yaml_get_node(reader->name, sources, "disable", TW_YAML_SEQUENCE, &disable, err);
    if (code != TW_OK || disable == NULL)
        return code;
    const char *names[SOURCES_MAX + 1] = {NULL};
    size_t name_count = agent_source_names(names, SOURCES_MAX);
    names[name_count] = NULL;
    const char **chosen = TW_ARENA_ARRAY(reader->arena, const char *, disable->count + 1);
    for (size_t i = 0; i < disable->count; i++) {
        const struct tw_yaml *item = disable->items[i];
        for (size_t n = 0; n < name_count; n++)
            if (tw_str_is(item->text, names[n]))
                chosen[i] = names[n];
        const char *nearest = tw_yaml_nearest(item->text, names);
        if (chosen[i] == NULL)
            return tw_yaml_error(reader->name, item, err, "there is no source '%.*s'%s%s%s",
                                 TW_STR_ARG(item->text), nearest != NULL ? ", did you mean '" : "",
                                 nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    }
    reader->setup->disabled = chosen;
    return TW_OK;
}

static enum tw_code read_ports(struct reader *reader, const struct tw_yaml *capture,
                               struct tw_err *err)
{
    const struct tw_yaml *ports = NULL;
    enum tw_code code =
        tw_yaml_get_node(reader->name, capture, "ports", TW_YAML_SEQUENCE, &ports, err);
    if (code != TW_OK || ports == NULL)
        return code;
    if (ports->count > PORTS_MAX)
        return tw_yaml_error(reader->name, ports, err, "more than %d ports", PORTS_MAX);
    uint16_t *numbers = TW_ARENA_ARRAY(reader->arena, uint16_t, ports->count);
    for (size_t i = 0; i < ports->count; i++) {
        uint64_t number = 0;
        struct tw_str text = ports->items[i]->text;
        for (size_t c = 0; c < text.size && number <= 65535; c++)
            number = text.data[c] >= '0' && text.data[c] <= '9'
                         ? number * 10 + (uint64_t)(text.data[c] - '0')
                         : 65536;
        if (ports->items[i]->kind != TW_YAML_SCALAR || number == 0 || number > 65535)
            return tw_yaml_error(reader->name, ports->items[i], err,
                                 "a port is a number from 1 to 65535");
        numbers[i] = (uint16_t)number;
    }
    reader->setup->capture_ports = numbers;
    reader->setup->capture_port_count = ports->count;
    return TW_OK;
}

static enum tw_code read_capture(struct reader *reader, const struct tw_yaml *root,
                                 struct tw_err *err)
{
    static const char *const known[] = {"enabled", "interface", "ring", "ports", NULL};
    const struct tw_yaml *capture = NULL;
    struct agent_setup *setup = reader->setup;
    struct tw_str interface = {NULL, 0};
    enum tw_code code =
        tw_yaml_get_node(reader->name, root, "capture", TW_YAML_MAPPING, &capture, err);
    if (code != TW_OK || capture == NULL)
        return code;
    code = tw_yaml_check_keys(reader->name, capture, known, err);
    if (code == TW_OK)
        code = tw_yaml_get_bool(reader->name, capture, "enabled", &setup->capture, err);
    if (code == TW_OK)
        code = tw_yaml_get_str(reader->name, capture, "interface", &interface, err);
    if (code == TW_OK)
        code = tw_yaml_get_bytes(reader->name, capture, "ring", &setup->capture_bytes, err);
    if (code == TW_OK &&
        (setup->capture_bytes < CAPTURE_BYTES_MIN || setup->capture_bytes > CAPTURE_BYTES_MAX))
        return tw_yaml_error(reader->name, tw_yaml_member(capture, "ring"), err,
                             "a ring has 256KiB to 256MiB");
    if (code == TW_OK && interface.size > 0)
        setup->capture_interface = tw_arena_cstr(reader->arena, interface);
    return code == TW_OK ? read_ports(reader, capture, err) : code;
}

static enum tw_code read_spool(struct reader *reader, const struct tw_yaml *root,
                               struct tw_err *err)
{
    static const char *const known[] = {"max_bytes", NULL};
    const struct tw_yaml *spool = NULL;
    enum tw_code code = tw_yaml_get_node(reader->name, root, "spool", TW_YAML_MAPPING, &spool, err);
    if (code != TW_OK || spool == NULL)
        return code;
    code = tw_yaml_check_keys(reader->name, spool, known, err);
    if (code == TW_OK)
        code = tw_yaml_get_bytes(reader->name, spool, "max_bytes", &reader->setup->spool_bytes_max,
                                 err);
    if (code == TW_OK && reader->setup->spool_bytes_max < (uint64_t)4 << 20)
        return tw_yaml_error(reader->name, tw_yaml_member(spool, "max_bytes"), err,
                             "a spool has 4MiB at least");
    return code;
}

static enum tw_code read_root(struct reader *reader, const struct tw_yaml *root, struct tw_err *err)
{
    static const char *const known[] = {"server",   "data",    "interval", "job",
                                        "instance", "labels",  "headers",  "bearer_token_file",
                                        "spool",    "sources", "capture",  NULL};
    if (root->kind != TW_YAML_MAPPING)
        return tw_yaml_error(reader->name, root, err, "settings are expected: 'name: value' lines");
    enum tw_code code = tw_yaml_check_keys(reader->name, root, known, err);
    if (code == TW_OK)
        code = tw_yaml_get_str(reader->name, root, "server", &reader->server, err);
    if (code == TW_OK)
        code = tw_yaml_get_str(reader->name, root, "data", &reader->data, err);
    if (code == TW_OK)
        code = tw_yaml_get_duration(reader->name, root, "interval", &reader->interval_ms, err);
    if (code == TW_OK && (reader->interval_ms < AGENT_INTERVAL_MS_MIN ||
                          reader->interval_ms > AGENT_INTERVAL_MS_MAX))
        return tw_yaml_error(reader->name, tw_yaml_member(root, "interval"), err,
                             "the interval is 100ms to 5m");
    if (code == TW_OK)
        code = tw_yaml_get_str(reader->name, root, "job", &reader->job, err);
    if (code == TW_OK)
        code = tw_yaml_get_str(reader->name, root, "instance", &reader->instance, err);
    if (code == TW_OK)
        code = read_labels(reader, root, err);
    if (code == TW_OK)
        code = read_headers(reader, root, err);
    if (code == TW_OK)
        code = read_token(reader, root, err);
    if (code == TW_OK)
        code = read_spool(reader, root, err);
    if (code == TW_OK)
        code = read_sources(reader, root, err);
    return code == TW_OK ? read_capture(reader, root, err) : code;
}

static enum tw_code read_file(struct reader *reader, struct tw_err *err)
{
    struct tw_buf text;
    struct tw_yaml *root = NULL;
    tw_buf_init(&text, FILE_BYTES_MAX);
    enum tw_code code = tw_file_read(reader->name, &text, err);
    if (code == TW_OK)
        code = tw_yaml_parse(reader->arena, reader->name,
                             tw_arena_str(reader->arena, tw_buf_str(&text)), &root, err);
    tw_buf_fini(&text);
    return code == TW_OK && root != NULL ? read_root(reader, root, err) : code;
}

/* ---- the server's URL ---- */

/* Of "host:port" or "[address]:port". */
static uint16_t url_port(struct tw_str authority, uint16_t fallback)
{
    size_t at = authority.size, factor = 1, port = 0;
    while (at > 0 && authority.data[at - 1] >= '0' && authority.data[at - 1] <= '9' &&
           authority.size - at < 5) {
        port += (size_t)(authority.data[--at] - '0') * factor;
        factor *= 10;
    }
    bool given = at > 0 && authority.data[at - 1] == ':' && at < authority.size && port <= 65535;
    return given ? (uint16_t)port : fallback;
}

static enum tw_code read_url(struct agent_config *config, struct tw_arena *arena, struct tw_str url,
                             struct tw_err *err)
{
    size_t scheme = tw_str_starts(url, TW_STR("http://"))    ? 7
                    : tw_str_starts(url, TW_STR("https://")) ? 8
                                                             : 0;
    size_t host = scheme, end = scheme;
    while (end < url.size && url.data[end] != '/' && url.data[end] != '?')
        end++;
    for (size_t i = scheme; i < end; i++)
        if (url.data[i] == '@')
            host = i + 1;
    bool printable = true;
    for (size_t i = 0; i < url.size; i++)
        printable = printable && url.data[i] > ' ' && url.data[i] <= '~';
    if (scheme == 0 || end == host || !printable)
        return tw_err_set(
            err, TW_CONFIG,
            "the server '%.*s' is no URL: write http://HOST:PORT or https://HOST:PORT",
            TW_STR_ARG(tw_str_slice(url, 0, 200)));
    bool whole = end + 1 < url.size;
    config->setup.server_port = url_port(tw_str_slice(url, host, end), scheme == 8 ? 443 : 80);
    config->setup.url =
        tw_arena_format(arena, "%.*s%s", TW_STR_ARG(tw_str_slice(url, 0, whole ? url.size : end)),
                        whole ? "" : WRITE_PATH)
            .data;
    config->origin = tw_arena_format(arena, "%.*s%.*s", TW_STR_ARG(tw_str_slice(url, 0, scheme)),
                                     TW_STR_ARG(tw_str_slice(url, host, end)))
                         .data;
    return TW_OK;
}

static enum tw_code apply_flags(struct reader *reader, const struct agent_config_flags *flags,
                                struct tw_err *err)
{
    if (flags->server != NULL)
        reader->server = tw_str(flags->server);
    if (flags->data != NULL)
        reader->data = tw_str(flags->data);
    if (flags->no_capture)
        reader->setup->capture = false;
    if (flags->interval == NULL)
        return TW_OK;
    struct tw_err cause;
    if (tw_duration_parse(tw_str(flags->interval), &reader->interval_ms, &cause) != TW_OK ||
        reader->interval_ms < AGENT_INTERVAL_MS_MIN || reader->interval_ms > AGENT_INTERVAL_MS_MAX)
        return tw_err_set(err, TW_CONFIG,
                          "--interval takes a time from 100ms to 5m, such as 1s, not '%s'",
                          flags->interval);
    return TW_OK;
}

static void finish_labels(struct reader *reader)
{
    char host[256] = "localhost";
    if (reader->instance.size == 0) {
        if (gethostname(host, sizeof host) != 0 || host[0] == '\0')
            strcpy(host, "localhost");
        host[sizeof host - 1] = '\0';
        reader->instance = tw_arena_str(reader->arena, tw_str(host));
    }
    reader->labels[reader->label_count++] = (struct wire_label){TW_STR("job"), reader->job};
    reader->labels[reader->label_count++] =
        (struct wire_label){TW_STR("instance"), reader->instance};
}

enum tw_code agent_config_load(struct agent_config *config, const char *file,
                               const struct agent_config_flags *flags, struct tw_arena *arena,
                               struct tw_err *err)
{
    struct agent_setup *setup = &config->setup;
    struct reader reader = {.name = file,
                            .arena = arena,
                            .setup = setup,
                            .server = TW_STR("http://127.0.0.1:9090"),
                            .data = tw_str(setup->data_folder),
                            .job = TW_STR("node"),
                            .interval_ms = setup->interval_ms};
    enum tw_code code = file != NULL ? read_file(&reader, err) : TW_OK;
    if (code == TW_OK)
        code = apply_flags(&reader, flags, err);
    if (code == TW_OK)
        code = read_url(config, arena, reader.server, err);
    if (code != TW_OK)
        return code;
    finish_labels(&reader);
    setup->interval_ms = reader.interval_ms;
    setup->data_folder = tw_arena_cstr(arena, reader.data);
    struct wire_label *labels = TW_ARENA_ARRAY(arena, struct wire_label, reader.label_count);
    memcpy(labels, reader.labels, reader.label_count * sizeof *labels);
    setup->labels = labels;
    setup->label_count = reader.label_count;
    struct tw_http_pair *headers =
        TW_ARENA_ARRAY(arena, struct tw_http_pair, reader.header_count + 1);
    memcpy(headers, reader.headers, reader.header_count * sizeof *headers);
    setup->headers = headers;
    setup->header_count = reader.header_count;
    return TW_OK;
}
