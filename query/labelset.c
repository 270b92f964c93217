/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/labelset.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "wire/labels.h"

#define DOOM "\xff"

static bool is_among(struct tw_str name, const struct query_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (tw_str_equal(name, names->items[i]))
            return true;
    return false;
}

static bool is_metric_name(struct tw_str name)
{
    return name.size == sizeof WIRE_METRIC_NAME - 1 &&
           memcmp(name.data, WIRE_METRIC_NAME, name.size) == 0;
}

bool query_label_is_reserved(struct tw_str name)
{
    static_assert(sizeof WIRE_METRIC_TYPE == sizeof WIRE_METRIC_NAME, "one look at the size");
    static_assert(sizeof WIRE_METRIC_UNIT == sizeof WIRE_METRIC_NAME, "one look at the size");
    return name.size == sizeof WIRE_METRIC_NAME - 1 && name.data[0] == '_' &&
           (memcmp(name.data, WIRE_METRIC_NAME, name.size) == 0 ||
            memcmp(name.data, WIRE_METRIC_TYPE, name.size) == 0 ||
            memcmp(name.data, WIRE_METRIC_UNIT, name.size) == 0);
}

static bool has_reserved(struct wire_labels labels)
{
    for (size_t i = 0; i < labels.count; i++)
        if (query_label_is_reserved(labels.items[i].name))
            return true;
    return false;
}

/* All but the reserved ones and those named. */
static struct wire_labels drop_reserved(struct tw_arena *arena, struct wire_labels labels,
                                        const struct query_names *names)
{
    struct wire_label *items = TW_ARENA_ARRAY(arena, struct wire_label, labels.count);
    size_t count = 0;
    for (size_t i = 0; i < labels.count; i++)
        if (!query_label_is_reserved(labels.items[i].name) &&
            !tw_str_is(labels.items[i].name, DOOM) && !is_among(labels.items[i].name, names))
            items[count++] = labels.items[i];
    return (struct wire_labels){items, count};
}

struct wire_labels query_labels_without_name(struct tw_arena *arena, struct wire_labels labels)
{
    static const struct query_names none = {0};
    while (labels.count > 0 && query_label_is_reserved(labels.items[0].name))
        labels = (struct wire_labels){labels.items + 1, labels.count - 1};
    return has_reserved(labels) ? drop_reserved(arena, labels, &none) : labels;
}

bool query_labels_doomed(struct wire_labels labels)
{
    return labels.count > 0 && tw_str_is(labels.items[labels.count - 1].name, DOOM);
}

static struct wire_labels doom(struct tw_arena *arena, struct wire_labels labels)
{
    struct wire_label *items = TW_ARENA_ARRAY(arena, struct wire_label, labels.count + 1);
    memcpy(items, labels.items, labels.count * sizeof *items);
    items[labels.count] = (struct wire_label){TW_STR(DOOM), TW_STR("1")};
    return (struct wire_labels){items, labels.count + 1};
}

struct wire_labels query_labels_lose_name(struct query_exec *exec, struct wire_labels labels)
{
    if (!exec->delays_names)
        return query_labels_without_name(exec->arena, labels);
    return has_reserved(labels) && !query_labels_doomed(labels) ? doom(exec->arena, labels)
                                                                : labels;
}

struct wire_labels query_labels_save_name(struct wire_labels labels)
{
    labels.count -= query_labels_doomed(labels);
    return labels;
}

struct wire_labels query_labels_settle(struct tw_arena *arena, struct wire_labels labels)
{
    if (!query_labels_doomed(labels))
        return labels;
    labels.count--;
    return query_labels_without_name(arena, labels);
}

struct wire_labels query_labels_keep(struct tw_arena *arena, struct wire_labels labels,
                                     const struct query_names *names)
{
    struct wire_label *items = TW_ARENA_ARRAY(
        arena, struct wire_label, labels.count < names->count ? labels.count : names->count);
    size_t count = 0;
    if (names->count == 0)
        return (struct wire_labels){items, 0};
    for (size_t i = 0; i < labels.count; i++)
        if (is_among(labels.items[i].name, names))
            items[count++] = labels.items[i];
    return (struct wire_labels){items, count};
}

struct wire_labels query_labels_drop(struct tw_arena *arena, struct wire_labels labels,
                                     const struct query_names *names, bool keep_name)
{
    struct wire_label *items = TW_ARENA_ARRAY(arena, struct wire_label, labels.count);
    size_t count = 0;
    for (size_t i = 0; i < labels.count; i++)
        if ((keep_name ||
             !(is_metric_name(labels.items[i].name) || tw_str_is(labels.items[i].name, DOOM))) &&
            !is_among(labels.items[i].name, names))
            items[count++] = labels.items[i];
    return (struct wire_labels){items, count};
}

struct wire_labels query_labels_set(struct tw_arena *arena, struct wire_labels labels,
                                    struct tw_str name, struct tw_str value)
{
    struct wire_label *items = TW_ARENA_ARRAY(arena, struct wire_label, labels.count + 1);
    size_t count = 0, at = 0;
    if (is_metric_name(name))
        labels = query_labels_save_name(labels);
    while (at < labels.count && tw_str_compare(labels.items[at].name, name) < 0)
        items[count++] = labels.items[at++];
    if (value.size > 0)
        items[count++] = (struct wire_label){name, value};
    if (at < labels.count && tw_str_equal(labels.items[at].name, name))
        at++;
    while (at < labels.count)
        items[count++] = labels.items[at++];
    return (struct wire_labels){items, count};
}

struct tw_str query_labels_text(struct tw_arena *arena, struct wire_labels labels)
{
    struct tw_buf text;
    tw_buf_init(&text, TW_ERR_MESSAGE_BYTES * 2);
    tw_buf_append_char(&text, '{');
    labels = query_labels_save_name(labels);
    for (size_t i = 0; i < labels.count; i++) {
        char value[256];
        query_quote(labels.items[i].value, 128, value, sizeof value);
        tw_buf_appendf(&text, "%s%.*s=%s", i ? ", " : "", TW_STR_ARG(labels.items[i].name), value);
    }
    tw_buf_append_char(&text, '}');
    struct tw_str copy = tw_arena_str(arena, tw_buf_str(&text));
    tw_buf_fini(&text);
    return copy;
}

struct wire_labels query_labels_signature(struct tw_arena *arena, struct wire_labels labels,
                                          const struct query_matching *matching)
{
    if (matching->on)
        return query_labels_keep(arena, labels, &matching->labels);
    return matching->labels.count == 0 && !query_labels_doomed(labels)
               ? query_labels_without_name(arena, labels)
               : drop_reserved(arena, labels, &matching->labels);
}

enum tw_code query_label_index_init(struct query_label_index *index, struct query_exec *exec,
                                    size_t capacity, struct tw_err *err)
{
    size_t slot_count = 16;
    while (slot_count < capacity * 2)
        slot_count *= 2;
    void *slots, *labels, *hashes;
    enum tw_code code = query_exec_alloc(exec, slot_count, sizeof *index->slots, &slots, err);
    if (!code)
        code = query_exec_alloc(exec, capacity, sizeof *index->labels, &labels, err);
    if (!code)
        code = query_exec_alloc(exec, capacity, sizeof *index->hashes, &hashes, err);
    if (!code)
        *index = (struct query_label_index){.exec = exec,
                                            .slots = slots,
                                            .slot_count = slot_count,
                                            .labels = labels,
                                            .hashes = hashes,
                                            .capacity = capacity};
    return code;
}

/* The slot where the set is, or the free one where it belongs. */
static size_t find_slot(const struct query_label_index *index, struct wire_labels labels,
                        uint64_t hash)
{
    size_t mask = index->slot_count - 1, slot = hash & mask;
    while (index->slots[slot]) {
        size_t number = index->slots[slot] - 1;
        if (index->hashes[number] == hash && wire_labels_equal(index->labels[number], labels))
            break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

size_t query_label_index_add(struct query_label_index *index, struct wire_labels labels)
{
    uint64_t hash = wire_labels_hash(labels);
    size_t slot = find_slot(index, labels, hash);
    if (!index->slots[slot]) {
        TW_ASSERT(index->count < index->capacity);
        index->labels[index->count] = labels;
        index->hashes[index->count] = hash;
        index->slots[slot] = (uint32_t)++index->count;
    }
    return index->slots[slot] - 1;
}

size_t query_label_index_find(const struct query_label_index *index, struct wire_labels labels)
{
    size_t slot = find_slot(index, labels, wire_labels_hash(labels));
    return index->slots[slot] ? index->slots[slot] - 1 : SIZE_MAX;
}
