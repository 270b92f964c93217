/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/labelset.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/utf8.h"

struct wire_labels alert_labelset_dup(struct wire_labels labels)
{
    if (labels.count == 0)
        return (struct wire_labels){NULL, 0};
    size_t bytes = labels.count * sizeof(struct wire_label);
    for (size_t i = 0; i < labels.count; i++)
        bytes += labels.items[i].name.size + labels.items[i].value.size;
    struct wire_label *items = malloc(bytes);
    TW_ASSERT(items != NULL);
    char *at = (char *)(items + labels.count);
    for (size_t i = 0; i < labels.count; i++) {
        const struct tw_str parts[2] = {labels.items[i].name, labels.items[i].value};
        struct tw_str copies[2];
        for (size_t k = 0; k < 2; k++) {
            if (parts[k].size > 0)
                memcpy(at, parts[k].data, parts[k].size);
            copies[k] = (struct tw_str){at, parts[k].size};
            at += parts[k].size;
        }
        items[i] = (struct wire_label){copies[0], copies[1]};
    }
    return (struct wire_labels){items, labels.count};
}

void alert_labelset_free(struct wire_labels labels)
{
    union {
        const struct wire_label *shared;
        struct wire_label *own;
    } items = {.shared = labels.items};
    if (labels.count > 0)
        free(items.own);
}

uint64_t alert_labelset_fingerprint(struct wire_labels labels)
{
    static const unsigned char separator = 0xFF;
    uint64_t hash = TW_FNV1A_START;
    for (size_t i = 0; i < labels.count; i++) {
        hash = tw_fnv1a(hash, labels.items[i].name.data, labels.items[i].name.size);
        hash = tw_fnv1a(hash, &separator, 1);
        hash = tw_fnv1a(hash, labels.items[i].value.data, labels.items[i].value.size);
        hash = tw_fnv1a(hash, &separator, 1);
    }
    return hash;
}

void alert_labelset_quote(struct tw_str text, struct tw_buf *out)
{
    tw_buf_append_char(out, '"');
    for (size_t at = 0; at < text.size;) {
        uint32_t rune = 0;
        size_t size = tw_utf8_decode(tw_str_slice(text, at, text.size), &rune);
        if (rune == '"' || rune == '\\')
            tw_buf_appendf(out, "\\%c", (char)rune);
        else if (rune == '\n')
            tw_buf_append_cstr(out, "\\n");
        else if (rune == '\r')
            tw_buf_append_cstr(out, "\\r");
        else if (rune == '\t')
            tw_buf_append_cstr(out, "\\t");
        else if (rune < 0x20 || rune == 0x7F)
            tw_buf_appendf(out, "\\x%02x", rune);
        else
            tw_buf_append(out, text.data + at, size);
        at += size;
    }
    tw_buf_append_char(out, '"');
}

void alert_labelset_format(struct wire_labels labels, struct tw_buf *out)
{
    tw_buf_append_char(out, '{');
    for (size_t i = 0; i < labels.count; i++) {
        if (i > 0)
            tw_buf_append_cstr(out, ", ");
        tw_buf_append_str(out, labels.items[i].name);
        tw_buf_append_char(out, '=');
        alert_labelset_quote(labels.items[i].value, out);
    }
    tw_buf_append_char(out, '}');
}

/* Alertmanager's order of two sets of equal size: the first name that only one has, or value. */
static int compare_members(struct wire_labels a, struct wire_labels b)
{
    for (size_t i = 0; i < a.count; i++) {
        int names = tw_str_compare(a.items[i].name, b.items[i].name);
        if (names != 0) /* the smaller name is missing in the other set, which then comes first */
            return -names;
        int values = tw_str_compare(a.items[i].value, b.items[i].value);
        if (values != 0)
            return values;
    }
    return 0;
}

int alert_labelset_compare(struct wire_labels a, struct wire_labels b)
{
    static const struct tw_str first[] = {TW_STR_INIT("job"), TW_STR_INIT("instance")};
    for (size_t i = 0; i < 2; i++) {
        struct tw_str left = wire_labels_get(a, first[i]), right = wire_labels_get(b, first[i]);
        if (left.size == 0 || right.size == 0) {
            if (left.size != right.size)
                return left.size == 0 ? 1 : -1;
            continue;
        }
        int order = tw_str_compare(left, right);
        if (order != 0)
            return order;
    }
    if (a.count != b.count)
        return a.count < b.count ? -1 : 1;
    return compare_members(a, b);
}
