/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/yaml_text.h"

#include <string.h>

/* A URL names its receiver's secret in its path or user part (Slack's, any with a token). */
static const char *const secret_keys[] = {"password", "bearer_token", "credentials",
                                          "token",    "secret",       "api_url",
                                          "api_key",  "routing_key",  "service_key"};

bool daemon_yaml_is_secret(struct tw_str key)
{
    for (size_t i = 0; i < sizeof secret_keys / sizeof secret_keys[0]; i++)
        if (tw_str_is(key, secret_keys[i]) ||
            (tw_str_ends(key, tw_str(secret_keys[i])) &&
             key.data[key.size - strlen(secret_keys[i]) - 1] == '_'))
            return true;
    return false;
}

static void indent(struct tw_buf *text, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        tw_buf_append_cstr(text, "  ");
}

/* Text that YAML reads back as the same unquoted text. */
static bool is_plain(struct tw_str s)
{
    if (s.size == 0 || strchr("-?:,[]{}#&*!|>'\"%@` ", s.data[0]) || s.data[s.size - 1] == ' ' ||
        s.data[s.size - 1] == ':')
        return false;
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c < 0x20 || c >= 0x7f || (c == ':' && i + 1 < s.size && s.data[i + 1] == ' ') ||
            (c == '#' && s.data[i - 1] == ' '))
            return false;
    }
    return true;
}

static void write_scalar(struct tw_str s, bool quoted, struct tw_buf *text)
{
    if (is_plain(s) && !quoted) {
        tw_buf_append_str(text, s);
        return;
    }
    tw_buf_append_char(text, '"');
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c == '"' || c == '\\')
            tw_buf_appendf(text, "\\%c", c);
        else if (c == '\n')
            tw_buf_append_cstr(text, "\\n");
        else if (c < 0x20 || c == 0x7f)
            tw_buf_appendf(text, "\\x%02x", c);
        else
            tw_buf_append_char(text, (char)c);
    }
    tw_buf_append_char(text, '"');
}

/* in_item: the first line stands behind "- " already. */
static void write_node(const struct tw_yaml *node, unsigned depth, bool in_item,
                       struct tw_buf *text)
{
    if (text->overflow)
        return;
    for (size_t i = 0; i < node->count; i++) {
        if (!in_item || i > 0)
            indent(text, depth);
        const struct tw_yaml *value;
        if (node->kind == TW_YAML_SEQUENCE) {
            value = node->items[i];
            tw_buf_append_cstr(text, "- ");
        } else {
            value = node->pairs[i].value;
            write_scalar(node->pairs[i].key->text, node->pairs[i].key->quoted, text);
            tw_buf_append_cstr(text, ":");
        }
        bool in_mapping = node->kind == TW_YAML_MAPPING;
        if (in_mapping && !tw_yaml_is_null(value) &&
            daemon_yaml_is_secret(node->pairs[i].key->text)) {
            tw_buf_append_cstr(text, " <secret>\n");
        } else if (value->kind == TW_YAML_SCALAR || value->count == 0) {
            if (in_mapping)
                tw_buf_append_char(text, ' ');
            if (value->kind == TW_YAML_SCALAR && (value->text.size > 0 || value->quoted))
                write_scalar(value->text, value->quoted, text);
            else
                tw_buf_append_cstr(text, value->kind == TW_YAML_SEQUENCE  ? "[]"
                                         : value->kind == TW_YAML_MAPPING ? "{}"
                                                                          : "null");
            tw_buf_append_char(text, '\n');
        } else {
            if (in_mapping)
                tw_buf_append_char(text, '\n');
            write_node(value, depth + 1, !in_mapping, text);
        }
    }
}

void daemon_yaml_write(const struct tw_yaml *node, struct tw_buf *ret_text)
{
    if (node->kind == TW_YAML_SCALAR) {
        write_scalar(node->text, node->quoted, ret_text);
        tw_buf_append_char(ret_text, '\n');
        return;
    }
    write_node(node, 0, false, ret_text);
}
