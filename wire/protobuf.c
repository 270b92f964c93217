/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/protobuf.h"

#define VARINT_BYTES_MAX 10
#define FIELD_MAX 536870911 /* 2^29 - 1, the largest number that protobuf allows */

/* ---- reading ---- */

struct wire_scan wire_scan(struct tw_str message)
{
    const uint8_t *start = (const uint8_t *)(message.data != NULL ? message.data : "");
    return (struct wire_scan){start, start, start + message.size, NULL};
}

bool wire_scan_fail(struct wire_scan *scan, const char *problem)
{
    if (scan->problem == NULL)
        scan->problem = problem;
    return false;
}

bool wire_scan_varint(struct wire_scan *scan, uint64_t *ret_value)
{
    uint64_t value = 0;
    const uint8_t *at = scan->at;
    for (int i = 0; i < VARINT_BYTES_MAX; i++) {
        if (at == scan->limit)
            return wire_scan_fail(scan, "a number is cut off");
        uint8_t byte = *at++;
        /* The tenth byte holds the last of 64 bits. */
        if (i == VARINT_BYTES_MAX - 1 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << 7 * i;
        if (byte < 0x80) {
            scan->at = at;
            *ret_value = value;
            return true;
        }
    }
    return wire_scan_fail(scan, "a number has more than 64 bits");
}

static bool scan_fixed(struct wire_scan *scan, size_t bytes, uint64_t *ret_value)
{
    if ((size_t)(scan->limit - scan->at) < bytes)
        return wire_scan_fail(scan, "a value is cut off");
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)*scan->at++ << 8 * i;
    *ret_value = value;
    return true;
}

bool wire_scan_fixed64(struct wire_scan *scan, uint64_t *ret_value)
{
    return scan_fixed(scan, 8, ret_value);
}

bool wire_scan_next(struct wire_scan *scan, struct wire_field *ret_field)
{
    uint64_t tag, size;
    if (scan->problem != NULL || scan->at == scan->limit || !wire_scan_varint(scan, &tag))
        return false;
    if (tag >> 3 == 0 || tag >> 3 > FIELD_MAX)
        return wire_scan_fail(scan, "a field number is out of range");
    *ret_field =
        (struct wire_field){(uint32_t)(tag >> 3), (enum wire_field_type)(tag & 7), 0, {NULL, 0}};
    switch (ret_field->type) {
    case WIRE_FIELD_VARINT:
        return wire_scan_varint(scan, &ret_field->value);
    case WIRE_FIELD_FIXED64:
        return scan_fixed(scan, 8, &ret_field->value);
    case WIRE_FIELD_FIXED32:
        return scan_fixed(scan, 4, &ret_field->value);
    case WIRE_FIELD_BYTES:
        if (!wire_scan_varint(scan, &size))
            return false;
        if (size > (uint64_t)(scan->limit - scan->at))
            return wire_scan_fail(scan, "a length goes past the end of its message");
        ret_field->bytes = (struct tw_str){(const char *)scan->at, (size_t)size};
        scan->at += size;
        return true;
    default:
        return wire_scan_fail(scan, "a field is a group or of an unknown wire type");
    }
}

/* ---- writing ---- */

void wire_put_varint(struct tw_buf *ret, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        tw_buf_append_char(ret, (char)(value | 0x80));
    tw_buf_append_char(ret, (char)value);
}

void wire_put_fixed64(struct tw_buf *ret, uint64_t value)
{
    char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(value >> 8 * i);
    tw_buf_append(ret, bytes, sizeof bytes);
}

static void put_tag(struct tw_buf *ret, uint32_t number, enum wire_field_type type)
{
    wire_put_varint(ret, (uint64_t)number << 3 | type);
}

void wire_put_varint_field(struct tw_buf *ret, uint32_t number, uint64_t value)
{
    put_tag(ret, number, WIRE_FIELD_VARINT);
    wire_put_varint(ret, value);
}

void wire_put_fixed64_field(struct tw_buf *ret, uint32_t number, uint64_t value)
{
    put_tag(ret, number, WIRE_FIELD_FIXED64);
    wire_put_fixed64(ret, value);
}

void wire_put_bytes_field(struct tw_buf *ret, uint32_t number, struct tw_str bytes)
{
    put_tag(ret, number, WIRE_FIELD_BYTES);
    wire_put_varint(ret, bytes.size);
    tw_buf_append_str(ret, bytes);
}
