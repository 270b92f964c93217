/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/record.h"

#include <string.h>

#include "base/assert.h"
#include "base/number.h"

void scale_record_put(struct tw_buf *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        tw_buf_append_char(out, (char)(value >> (8 * i)));
}

void scale_record_put_double(struct tw_buf *out, double value)
{
    scale_record_put(out, tw_double_bits(value), 8);
}

void scale_record_put_text(struct tw_buf *out, const char *text)
{
    size_t size = strlen(text);
    TW_ASSERT(size <= UINT16_MAX);
    scale_record_put(out, size, 2);
    tw_buf_append(out, text, size);
}

struct scale_reader scale_reader_of(struct tw_str bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    return (struct scale_reader){at, at + bytes.size, false};
}

uint64_t scale_record_take(struct scale_reader *reader, size_t bytes)
{
    uint64_t value = 0;
    if (reader->bad || (size_t)(reader->end - reader->at) < bytes) {
        reader->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)reader->at[i] << (8 * i);
    reader->at += bytes;
    return value;
}

double scale_record_take_double(struct scale_reader *reader)
{
    return tw_double_from_bits(scale_record_take(reader, 8));
}

void scale_record_take_text(struct scale_reader *reader, char *ret, size_t capacity)
{
    size_t size = (size_t)scale_record_take(reader, 2);
    ret[0] = 0;
    if (reader->bad || size >= capacity || (size_t)(reader->end - reader->at) < size) {
        reader->bad = true;
        return;
    }
    memcpy(ret, reader->at, size);
    ret[size] = 0;
    reader->at += size;
}

unsigned scale_record_take_enum(struct scale_reader *reader, unsigned last)
{
    unsigned value = (unsigned)scale_record_take(reader, 1);
    if (value > last)
        reader->bad = true;
    return reader->bad ? 0 : value;
}

bool scale_record_ended(const struct scale_reader *reader)
{
    return !reader->bad && reader->at == reader->end;
}
