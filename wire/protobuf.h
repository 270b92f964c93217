/* SPDX-License-Identifier: Apache-2.0
 *
 * protobuf: fields of a message, read and written by hand, for the messages that are read one field
 * at a time (histograms, exemplars). Reading checks every length, copies nothing, and refuses
 * groups; a problem is a constant sentence and the place, turned into an error once, by the owner.
 *
 *   struct wire_scan scan = wire_scan(message);
 *   struct wire_field field;
 *   while (wire_scan_next(&scan, &field))
 *       switch (field.number) { ... }
 *   if (scan.problem != NULL) ...
 *
 * Threads: plain data.
 */
#ifndef TW_WIRE_PROTOBUF_H
#define TW_WIRE_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum wire_field_type {
    WIRE_FIELD_VARINT = 0,
    WIRE_FIELD_FIXED64 = 1,
    WIRE_FIELD_BYTES = 2,
    WIRE_FIELD_FIXED32 = 5
};

struct wire_scan {
    const uint8_t *start, *at, *limit;
    const char *problem; /* NULL = none; then `at` is the place */
};

struct wire_field {
    uint32_t number;
    enum wire_field_type type;
    uint64_t value;      /* the number of VARINT, FIXED64, FIXED32 */
    struct tw_str bytes; /* of BYTES, pointing into the message */
};

struct wire_scan wire_scan(struct tw_str message);
/* False at the end, and when something is wrong: then problem is set. */
bool wire_scan_next(struct wire_scan *scan, struct wire_field *ret_field);
/* A varint that stands alone, as in a packed field. */
bool wire_scan_varint(struct wire_scan *scan, uint64_t *ret_value);
bool wire_scan_fixed64(struct wire_scan *scan, uint64_t *ret_value);
/* Sets the problem at the last field read; returns false. */
bool wire_scan_fail(struct wire_scan *scan, const char *problem);

/* sint32, sint64. */
static inline int64_t wire_unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}
static inline uint64_t wire_zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

void wire_put_varint(struct tw_buf *ret, uint64_t value);
void wire_put_fixed64(struct tw_buf *ret, uint64_t value); /* without a tag, as in a packed field */
void wire_put_varint_field(struct tw_buf *ret, uint32_t number, uint64_t value);
void wire_put_fixed64_field(struct tw_buf *ret, uint32_t number, uint64_t value);
void wire_put_bytes_field(struct tw_buf *ret, uint32_t number, struct tw_str bytes);

#endif
