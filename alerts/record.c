/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/record.h"

#include <string.h>

#include "base/number.h"

/* ---- little-endian numbers and length-prefixed texts ---- */

static void put(struct tw_buf *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        tw_buf_append_char(out, (char)(value >> 8 * i & 0xFF));
}

static void put_str(struct tw_buf *out, struct tw_str text)
{
    put(out, text.size, 4);
    tw_buf_append_str(out, text);
}

static void put_labels(struct tw_buf *out, struct wire_labels labels)
{
    put(out, labels.count, 4);
    for (size_t i = 0; i < labels.count; i++) {
        put_str(out, labels.items[i].name);
        put_str(out, labels.items[i].value);
    }
}

struct cursor {
    struct tw_str rest;
    bool failed; /* sticky: checked once at the end */
};

static uint64_t get(struct cursor *c, size_t bytes)
{
    if (c->rest.size < bytes) {
        c->failed = true;
        return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)(unsigned char)c->rest.data[i] << 8 * i;
    c->rest = tw_str_slice(c->rest, bytes, c->rest.size);
    return value;
}

static int64_t get_time(struct cursor *c)
{
    return (int64_t)get(c, 8);
}

static struct tw_str get_str(struct cursor *c, struct tw_arena *arena)
{
    size_t size = get(c, 4);
    if (size > c->rest.size) {
        c->failed = true;
        return TW_STR("");
    }
    struct tw_str text = tw_arena_str(arena, tw_str_slice(c->rest, 0, size));
    c->rest = tw_str_slice(c->rest, size, c->rest.size);
    return text;
}

static struct wire_labels get_labels(struct cursor *c, struct tw_arena *arena)
{
    size_t count = get(c, 4);
    /* Each takes at least its two lengths, so that no count can ask for more than is there. */
    if (count > c->rest.size / 8) {
        c->failed = true;
        count = 0;
    }
    struct wire_label *items = TW_ARENA_ARRAY(arena, struct wire_label, count + 1);
    for (size_t i = 0; i < count && !c->failed; i++) {
        items[i].name = get_str(c, arena);
        items[i].value = get_str(c, arena);
    }
    return (struct wire_labels){items, count};
}

static const uint64_t *get_hashes(struct cursor *c, struct tw_arena *arena, size_t *ret_count)
{
    size_t count = get(c, 4);
    if (count > c->rest.size / 8) {
        c->failed = true;
        count = 0;
    }
    uint64_t *items = TW_ARENA_ARRAY(arena, uint64_t, count + 1);
    for (size_t i = 0; i < count; i++)
        items[i] = get(c, 8);
    *ret_count = count;
    return items;
}

static enum tw_code open_record(struct tw_str bytes, struct cursor *ret, struct tw_err *err)
{
    *ret = (struct cursor){.rest = bytes};
    uint64_t version = get(ret, 1);
    if (ret->failed)
        return tw_err_set(err, TW_CORRUPT, "empty record");
    if (version != ALERT_RECORD_VERSION)
        return tw_err_set(err, TW_UNSUPPORTED, "record of version %u, this program knows %d",
                          (unsigned)version, ALERT_RECORD_VERSION);
    return TW_OK;
}

static enum tw_code close_record(const struct cursor *c, struct tw_err *err)
{
    if (c->failed || c->rest.size > 0)
        return tw_err_set(err, TW_CORRUPT, "record is %s", c->failed ? "cut off" : "too long");
    return TW_OK;
}

/* ---- records ---- */

void alert_active_encode(const struct alert_active_record *record, struct tw_buf *out)
{
    put(out, ALERT_RECORD_VERSION, 1);
    put(out, record->state, 1);
    put(out, (uint64_t)record->active_ms, 8);
    put(out, (uint64_t)record->fired_ms, 8);
    put(out, (uint64_t)record->resolved_ms, 8);
    put(out, (uint64_t)record->keep_firing_ms, 8);
    put(out, tw_double_bits(record->value), 8);
    put_labels(out, record->labels);
    put_labels(out, record->annotations);
}

enum tw_code alert_active_decode(struct tw_str bytes, struct tw_arena *arena,
                                 struct alert_active_record *ret, struct tw_err *err)
{
    struct cursor c;
    enum tw_code code = open_record(bytes, &c, err);
    if (code != TW_OK)
        return code;
    struct alert_active_record record = {.state = (enum alert_state)get(&c, 1)};
    record.active_ms = get_time(&c);
    record.fired_ms = get_time(&c);
    record.resolved_ms = get_time(&c);
    record.keep_firing_ms = get_time(&c);
    record.value = tw_double_from_bits(get(&c, 8));
    record.labels = get_labels(&c, arena);
    record.annotations = get_labels(&c, arena);
    code = close_record(&c, err);
    if (code == TW_OK && record.state > ALERT_FIRING)
        code = tw_err_set(err, TW_CORRUPT, "no such alert state: %d", (int)record.state);
    if (code == TW_OK)
        *ret = record;
    return code;
}

void alert_notice_encode(const struct alert_notice_record *record, struct tw_buf *out)
{
    put(out, ALERT_RECORD_VERSION, 1);
    put(out, (uint64_t)record->starts_ms, 8);
    put(out, (uint64_t)record->ends_ms, 8);
    put(out, (uint64_t)record->valid_ms, 8);
    put_labels(out, record->labels);
    put_labels(out, record->annotations);
    put_str(out, record->generator_url);
}

enum tw_code alert_notice_decode(struct tw_str bytes, struct tw_arena *arena,
                                 struct alert_notice_record *ret, struct tw_err *err)
{
    struct cursor c;
    enum tw_code code = open_record(bytes, &c, err);
    if (code != TW_OK)
        return code;
    struct alert_notice_record record = {.starts_ms = get_time(&c)};
    record.ends_ms = get_time(&c);
    record.valid_ms = get_time(&c);
    record.labels = get_labels(&c, arena);
    record.annotations = get_labels(&c, arena);
    record.generator_url = get_str(&c, arena);
    code = close_record(&c, err);
    if (code == TW_OK)
        *ret = record;
    return code;
}

static void put_hashes(struct tw_buf *out, const uint64_t *items, size_t count)
{
    put(out, count, 4);
    for (size_t i = 0; i < count; i++)
        put(out, items[i], 8);
}

void alert_sent_encode(const struct alert_sent_record *record, struct tw_buf *out)
{
    put(out, ALERT_RECORD_VERSION, 1);
    put(out, (uint64_t)record->time_ms, 8);
    put_str(out, record->group_key);
    put_str(out, record->receiver);
    put_hashes(out, record->firing, record->firing_count);
    put_hashes(out, record->resolved, record->resolved_count);
}

enum tw_code alert_sent_decode(struct tw_str bytes, struct tw_arena *arena,
                               struct alert_sent_record *ret, struct tw_err *err)
{
    struct cursor c;
    enum tw_code code = open_record(bytes, &c, err);
    if (code != TW_OK)
        return code;
    struct alert_sent_record record = {.time_ms = get_time(&c)};
    record.group_key = get_str(&c, arena);
    record.receiver = get_str(&c, arena);
    record.firing = get_hashes(&c, arena, &record.firing_count);
    record.resolved = get_hashes(&c, arena, &record.resolved_count);
    code = close_record(&c, err);
    if (code == TW_OK)
        *ret = record;
    return code;
}

void alert_seen_encode(int64_t time_ms, struct tw_buf *out)
{
    put(out, ALERT_RECORD_VERSION, 1);
    put(out, (uint64_t)time_ms, 8);
}

enum tw_code alert_seen_decode(struct tw_str bytes, int64_t *ret_time_ms, struct tw_err *err)
{
    struct cursor c;
    enum tw_code code = open_record(bytes, &c, err);
    if (code != TW_OK)
        return code;
    int64_t time_ms = get_time(&c);
    code = close_record(&c, err);
    if (code == TW_OK)
        *ret_time_ms = time_ms;
    return code;
}

/* ---- keys ---- */

void alert_fingerprint_key(uint64_t fingerprint, char *ret_key)
{
    for (int i = 0; i < 8; i++)
        ret_key[i] = (char)(fingerprint >> (56 - 8 * i) & 0xFF);
}

void alert_hash_key(struct tw_hash128 hash, char *ret_key)
{
    alert_fingerprint_key(hash.high, ret_key);
    alert_fingerprint_key(hash.low, ret_key + 8);
}

void alert_active_key(struct tw_hash128 rule, uint64_t fingerprint, char *ret_key)
{
    alert_hash_key(rule, ret_key);
    alert_fingerprint_key(fingerprint, ret_key + 16);
}

uint64_t alert_key_fingerprint(const char *key)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | (unsigned char)key[i];
    return value;
}

struct tw_hash128 alert_key_hash(const char *key)
{
    return (struct tw_hash128){.high = alert_key_fingerprint(key),
                               .low = alert_key_fingerprint(key + 8)};
}
