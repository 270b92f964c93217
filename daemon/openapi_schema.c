/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/openapi_schema.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* The end of the shape that begins here, alternatives included. */
static const char *end_of(const char *shape)
{
    int depth = 0;
    for (; *shape; shape++) {
        if (strchr("[({", *shape))
            depth++;
        else if (strchr("])}", *shape) && depth-- == 0)
            break;
        else if (*shape == ',' && depth == 0)
            break;
    }
    return shape;
}

/* The end of the first alternative. */
static const char *end_of_first(const char *shape, const char *end)
{
    int depth = 0;
    for (; shape < end; shape++) {
        if (strchr("[({", *shape))
            depth++;
        else if (strchr("])}", *shape))
            depth--;
        else if (*shape == '|' && depth == 0)
            break;
    }
    return shape;
}

static void write_line(struct tw_buf *yaml, int indent, const char *text)
{
    tw_buf_appendf(yaml, "%*s%s\n", indent, "", text);
}

static void write_shape(struct tw_buf *yaml, int indent, const char *shape, const char *end);

/* Each after a dash; its lines follow it, further in. */
static void write_items(struct tw_buf *yaml, int indent, const char *shape, const char *end,
                        char separator)
{
    while (shape < end) {
        const char *next = separator == '|' ? end_of_first(shape, end) : end_of(shape);
        write_line(yaml, indent, "-");
        write_shape(yaml, indent + 2, shape, next);
        shape = next < end ? next + 1 : next;
    }
}

static const char *write_member(struct tw_buf *yaml, int indent, const char *member, bool rest)
{
    member += *member == '?';
    const char *colon = strchr(member, ':');
    TW_ASSERT(colon != NULL);
    const char *end = end_of(colon + 1);
    if (rest)
        write_line(yaml, indent, "additionalProperties:");
    else
        tw_buf_appendf(yaml, "%*s%.*s:\n", indent, "", (int)(colon - member), member);
    write_shape(yaml, indent + 2, colon + 1, end);
    return *end == ',' ? end + 1 : end;
}

static const char *skip_member(const char *member)
{
    const char *end = end_of(strchr(member, ':') + 1);
    return *end == ',' ? end + 1 : end;
}

static void write_object(struct tw_buf *yaml, int indent, const char *members, const char *end)
{
    size_t required = 0, named = 0;
    write_line(yaml, indent, "type: object");
    for (const char *at = members; at < end; at = skip_member(at)) {
        required += *at != '?' && *at != '*';
        named += *at != '*';
    }
    if (required > 0)
        write_line(yaml, indent, "required:");
    for (const char *at = members; at < end; at = skip_member(at))
        if (*at != '?' && *at != '*')
            tw_buf_appendf(yaml, "%*s- %.*s\n", indent, "", (int)(strchr(at, ':') - at), at);
    if (named > 0)
        write_line(yaml, indent, "properties:");
    for (const char *at = members; at < end;)
        at = *at == '*' ? skip_member(at) : write_member(yaml, indent + 2, at, false);
    for (const char *at = members; at < end;)
        at = *at == '*' ? write_member(yaml, indent, at, true) : skip_member(at);
}

static const char *scalar_name(char c)
{
    switch (c) {
    case 's':
        return "type: string";
    case 'n':
        return "type: number";
    case 'i':
        return "type: integer";
    case 'b':
        return "type: boolean";
    default:
        TW_ASSERT(c == 'a');
        return "description: anything";
    }
}

static void write_shape(struct tw_buf *yaml, int indent, const char *shape, const char *end)
{
    TW_ASSERT(shape < end);
    if (end_of_first(shape, end) != end) {
        write_line(yaml, indent, "anyOf:");
        write_items(yaml, indent, shape, end, '|');
    } else if (*shape == '$') {
        tw_buf_appendf(yaml, "%*s$ref: '#/components/schemas/%.*s'\n", indent, "",
                       (int)(end - shape - 1), shape + 1);
    } else if (*shape == '[') {
        write_line(yaml, indent, "type: array");
        write_line(yaml, indent, "items:");
        write_shape(yaml, indent + 2, shape + 1, end - 1);
    } else if (*shape == '(') {
        write_line(yaml, indent, "type: array");
        write_line(yaml, indent, "prefixItems:");
        write_items(yaml, indent, shape + 1, end - 1, ',');
    } else if (*shape == '{') {
        write_object(yaml, indent, shape + 1, end - 1);
    } else {
        TW_ASSERT(end - shape == 1);
        write_line(yaml, indent, scalar_name(*shape));
    }
}

void daemon_openapi_write_schema(struct tw_buf *yaml, int indent, const char *shape)
{
    const char *end = end_of(shape);
    TW_ASSERT(*end == '\0');
    write_shape(yaml, indent, shape, end);
}
