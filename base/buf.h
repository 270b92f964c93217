/* SPDX-License-Identifier: Apache-2.0
 *
 * buf: a growing run of bytes with a mandatory maximum. What would pass the maximum is not
 * appended and sets `overflow`, which the owner checks once at the end; so the many appends of an
 * encoder need no check each.
 *
 * Threads: a buf belongs to one thread at a time.
 */
#ifndef TW_BASE_BUF_H
#define TW_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct tw_buf {
    char *data; /* NULL until the first byte; not NUL-terminated (see tw_buf_cstr) */
    size_t size, capacity, size_max;
    bool overflow;
};

void tw_buf_init(struct tw_buf *buf, size_t size_max);
void tw_buf_fini(struct tw_buf *buf);  /* frees; buf may be initialised again */
void tw_buf_clear(struct tw_buf *buf); /* size 0, overflow forgotten, memory kept */
/* Gives the bytes to the caller (free() them); buf is empty afterwards. */
char *tw_buf_take(struct tw_buf *buf, size_t *ret_size);

/* Room for more bytes at data + size, for writers that then add to size; NULL and overflow if past
 * the maximum. */
char *tw_buf_reserve(struct tw_buf *buf, size_t more);
void tw_buf_append(struct tw_buf *buf, const void *bytes, size_t count);
void tw_buf_append_str(struct tw_buf *buf, struct tw_str s);
void tw_buf_append_cstr(struct tw_buf *buf, const char *text);
void tw_buf_append_char(struct tw_buf *buf, char c);
void tw_buf_appendf(struct tw_buf *buf, const char *format, ...) TW_PRINTF(2, 3);
void tw_buf_appendfv(struct tw_buf *buf, const char *format, va_list arguments) TW_PRINTF(2, 0);
struct tw_str tw_buf_str(const struct tw_buf *buf);
const char *tw_buf_cstr(struct tw_buf *buf); /* NUL-terminated; valid until the next append */

#endif
