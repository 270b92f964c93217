/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define CAPACITY_MIN ((size_t)64)

void tw_buf_init(struct tw_buf *buf, size_t size_max)
{
    TW_ASSERT(size_max > 0);
    *buf = (struct tw_buf){.size_max = size_max};
}

void tw_buf_fini(struct tw_buf *buf)
{
    free(buf->data);
    *buf = (struct tw_buf){.size_max = buf->size_max};
}

void tw_buf_clear(struct tw_buf *buf)
{
    buf->size = 0;
    buf->overflow = false;
}

char *tw_buf_take(struct tw_buf *buf, size_t *ret_size)
{
    char *data = buf->data;
    *ret_size = buf->size;
    *buf = (struct tw_buf){.size_max = buf->size_max};
    return data;
}

char *tw_buf_reserve(struct tw_buf *buf, size_t more)
{
    TW_ASSERT(buf->size_max > 0);
    if (buf->overflow || more > buf->size_max - buf->size) {
        buf->overflow = true;
        return NULL;
    }
    size_t need = buf->size + more;
    if (need <= buf->capacity && buf->data)
        return buf->data + buf->size;
    size_t capacity = buf->capacity < CAPACITY_MIN ? CAPACITY_MIN : buf->capacity;
    while (capacity < need)
        capacity *= 2;
    char *data = realloc(buf->data, capacity);
    if (!data) {
        buf->overflow = true;
        return NULL;
    }
    buf->data = data;
    buf->capacity = capacity;
    return data + buf->size;
}

void tw_buf_append(struct tw_buf *buf, const void *bytes, size_t count)
{
    if (count == 0)
        return;
    char *to = tw_buf_reserve(buf, count);
    if (!to)
        return;
    memcpy(to, bytes, count);
    buf->size += count;
}

void tw_buf_append_str(struct tw_buf *buf, struct tw_str s)
{
    tw_buf_append(buf, s.data, s.size);
}

void tw_buf_append_cstr(struct tw_buf *buf, const char *text)
{
    tw_buf_append(buf, text, strlen(text));
}

void tw_buf_append_char(struct tw_buf *buf, char c)
{
    tw_buf_append(buf, &c, 1);
}

void tw_buf_appendf(struct tw_buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tw_buf_appendfv(buf, format, arguments);
    va_end(arguments);
}

void tw_buf_appendfv(struct tw_buf *buf, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    TW_ASSERT(size >= 0);
    /* One more for vsnprintf's NUL, which size does not count; a full buffer writes aside. */
    size_t room = (size_t)size + 1;
    if (buf->size + room > buf->size_max && buf->size + (size_t)size <= buf->size_max) {
        char *aside = malloc(room);
        TW_ASSERT(aside != NULL);
        vsnprintf(aside, room, format, again);
        tw_buf_append(buf, aside, (size_t)size);
        free(aside);
    } else {
        char *to = tw_buf_reserve(buf, room);
        if (to) {
            vsnprintf(to, room, format, again);
            buf->size += (size_t)size;
        }
    }
    va_end(again);
}

struct tw_str tw_buf_str(const struct tw_buf *buf)
{
    return (struct tw_str){buf->data, buf->size};
}

const char *tw_buf_cstr(struct tw_buf *buf)
{
    /* The NUL may stand one byte past the maximum: it is not content. */
    if (buf->size + 1 > buf->capacity) {
        char *data = realloc(buf->data, buf->size + 1);
        TW_ASSERT(data != NULL);
        buf->data = data;
        buf->capacity = buf->size + 1;
    }
    buf->data[buf->size] = 0;
    return buf->data;
}
