/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_frame: what a value is wrapped in, and how numbers are written as keys. Knows no LMDB.
 */
#include "config.h"

#include "tsdb/lmdb_int.h"

#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/hash.h"

#define FRAME_MAGIC UINT32_C(0x31765754) /* "TWv1" */
#define FRAME_HEADER 12
#define FRAME_NAME_HEADER 3
/* LMDB keeps a value with its leaf up to about this size; beyond it has pages of its own. */
#define FRAME_NAMED_FROM 1900

static void put_le32(unsigned char *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(number >> (8 * i));
}

static uint32_t get_le32(const unsigned char *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

static uint32_t frame_crc(const char *table, struct tw_str key, const void *payload, size_t size)
{
    uint32_t crc = tw_crc32c(0, table, strlen(table) + 1);
    return tw_crc32c(tw_crc32c(crc, key.data, key.size), payload, size);
}

/* Bytes behind the value: for one that lies on pages of its own, what it is. */
static size_t name_bytes(const char *table, struct tw_str key, size_t size)
{
    return size < FRAME_NAMED_FROM ? 0 : FRAME_NAME_HEADER + strlen(table) + key.size;
}

size_t tsdb_env_framed_bytes(const char *table, struct tw_str key, size_t size)
{
    return FRAME_HEADER + size + name_bytes(table, key, size);
}

void tsdb_env_write_frame(unsigned char *to, const char *table, struct tw_str key,
                          struct tw_str value)
{
    put_le32(to, FRAME_MAGIC);
    put_le32(to + 4, (uint32_t)value.size);
    put_le32(to + 8, frame_crc(table, key, value.data, value.size));
    to += FRAME_HEADER;
    if (value.size)
        memcpy(to, value.data, value.size);
    if (value.size < FRAME_NAMED_FROM)
        return;
    to += value.size;
    *to++ = (unsigned char)strlen(table);
    *to++ = (unsigned char)key.size;
    *to++ = (unsigned char)(key.size >> 8);
    memcpy(to, table, strlen(table));
    memcpy(to + strlen(table), key.data, key.size);
}

bool tsdb_env_unframe(const char *table, struct tw_str key, struct tw_str framed,
                      struct tw_str *ret_value, const char **ret_wrong)
{
    const unsigned char *bytes = (const unsigned char *)framed.data;
    *ret_wrong = NULL;
    uint32_t size = framed.size >= FRAME_HEADER ? get_le32(bytes + 4) : 0;
    if (framed.size < FRAME_HEADER)
        *ret_wrong = "too short for its frame";
    else if (get_le32(bytes) != FRAME_MAGIC)
        *ret_wrong = "wrong magic";
    else if (size > framed.size ||
             framed.size != FRAME_HEADER + size + name_bytes(table, key, size))
        *ret_wrong = "wrong length";
    else if (get_le32(bytes + 8) != frame_crc(table, key, bytes + FRAME_HEADER, size))
        *ret_wrong = "checksum mismatch";
    if (*ret_wrong)
        return false;
    *ret_value = (struct tw_str){framed.data + FRAME_HEADER, size};
    return true;
}

bool tsdb_env_frame_name(struct tw_str pages, char *ret_table, struct tw_str *ret_key,
                         struct tw_str *ret_framed)
{
    const unsigned char *bytes = (const unsigned char *)pages.data;
    if (pages.size < FRAME_HEADER + FRAME_NAME_HEADER || get_le32(bytes) != FRAME_MAGIC)
        return false;
    size_t size = get_le32(bytes + 4), at = FRAME_HEADER + size;
    if (size < FRAME_NAMED_FROM || at + FRAME_NAME_HEADER > pages.size)
        return false;
    size_t table_size = bytes[at], key_size = bytes[at + 1] | (size_t)bytes[at + 2] << 8;
    at += FRAME_NAME_HEADER;
    if (table_size == 0 || table_size >= TSDB_ENV_TABLE_BYTES || key_size == 0 ||
        key_size > TSDB_ENV_KEY_BYTES_MAX || table_size + key_size > pages.size - at)
        return false;
    memcpy(ret_table, pages.data + at, table_size);
    ret_table[table_size] = '\0';
    *ret_key = (struct tw_str){pages.data + at + table_size, key_size};
    *ret_framed = (struct tw_str){pages.data, at + table_size + key_size};
    return strlen(ret_table) == table_size;
}

struct unframing {
    const char *table;
    struct tw_str key, framed, *ret_value;
    const char **ret_wrong;
};

static int run_unframe(void *user)
{
    const struct unframing *it = user;
    return tsdb_env_unframe(it->table, it->key, it->framed, it->ret_value, it->ret_wrong) ? 0 : 1;
}

enum tw_code tsdb_env_unframe_value(const struct tsdb_env *env, const char *table,
                                    struct tw_str key, struct tw_str framed,
                                    struct tw_str *ret_value, struct tw_err *err)
{
    const char *wrong = NULL;
    int number =
        tsdb_env_guarded(run_unframe, &(struct unframing){table, key, framed, ret_value, &wrong});
    if (number == TSDB_ENV_ASSERTED)
        return tsdb_env_fail(env, number, "cannot read", err);
    if (number) {
        char hex[2 * 24 + 1] = "";
        for (size_t i = 0; i < key.size && i < 24; i++)
            snprintf(hex + 2 * i, 3, "%02x", ((const unsigned char *)key.data)[i]);
        return tw_err_set(err, TW_CORRUPT, "'%s': damaged value in table '%s', key %s: %s",
                          tsdb_env_path(env), table, hex, wrong);
    }
    return TW_OK;
}

/* What a key adds to the sum of all keys. The sum's own is not in it. */
uint64_t tsdb_env_key_sum(struct tw_str table, struct tw_str key)
{
    if (tw_str_is(table, TSDB_ENV_META_TABLE) && tw_str_is(key, TSDB_ENV_SUM_KEY))
        return 0;
    return tw_hash64_seeded(key.data, key.size, tw_hash64(table.data, table.size));
}

/* ---- keys ---- */

void tsdb_env_key_u32(unsigned char *ret_bytes, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        ret_bytes[i] = (unsigned char)(number >> (24 - 8 * i));
}

void tsdb_env_key_u64(unsigned char *ret_bytes, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        ret_bytes[i] = (unsigned char)(number >> (56 - 8 * i));
}

void tsdb_env_key_i64(unsigned char *ret_bytes, int64_t number)
{
    tsdb_env_key_u64(ret_bytes, (uint64_t)number ^ (UINT64_C(1) << 63));
}

uint32_t tsdb_env_key_get_u32(const void *bytes)
{
    const unsigned char *from = bytes;
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

uint64_t tsdb_env_key_get_u64(const void *bytes)
{
    const unsigned char *from = bytes;
    return (uint64_t)tsdb_env_key_get_u32(from) << 32 | tsdb_env_key_get_u32(from + 4);
}

int64_t tsdb_env_key_get_i64(const void *bytes)
{
    return (int64_t)(tsdb_env_key_get_u64(bytes) ^ (UINT64_C(1) << 63));
}
