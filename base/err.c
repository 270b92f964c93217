/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

struct code_entry {
    const char *name, *text;
    int http_status;
    bool retryable;
};

static const struct code_entry code_table[TW_CODE_COUNT] = {
#define TW_ERR_ENTRY(name, text, status, retryable) {#name, text, status, retryable},
    TW_ERR_TABLE(TW_ERR_ENTRY)
#undef TW_ERR_ENTRY
};

static const struct code_entry *entry_of(enum tw_code code)
{
    TW_ASSERT((unsigned)code < TW_CODE_COUNT);
    return &code_table[code];
}

const char *tw_code_name(enum tw_code code)
{
    return entry_of(code)->name;
}

const char *tw_code_text(enum tw_code code)
{
    return entry_of(code)->text;
}

int tw_code_http_status(enum tw_code code)
{
    return entry_of(code)->http_status;
}

bool tw_code_retryable(enum tw_code code)
{
    return entry_of(code)->retryable;
}

/* Ends a message that did not fit in "...", on a UTF-8 boundary, so that JSON stays valid. */
static void mark_truncated(char *message, int wanted)
{
    if (wanted < TW_ERR_MESSAGE_BYTES)
        return;
    size_t end = TW_ERR_MESSAGE_BYTES - 4;
    while (end > 0 && ((unsigned char)message[end] & 0xc0) == 0x80)
        end--;
    memcpy(message + end, "...", 4);
}

static void format_message(struct tw_err *err, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static void format_message(struct tw_err *err, const char *format, va_list arguments)
{
    int wanted = vsnprintf(err->message, sizeof err->message, format, arguments);
    TW_ASSERT(wanted >= 0);
    mark_truncated(err->message, wanted);
}

enum tw_code tw_err_set(struct tw_err *err, enum tw_code code, const char *format, ...)
{
    TW_ASSERT(code != TW_OK);
    if (!err)
        return code;
    /* Format first: the arguments may point into the old message. */
    struct tw_err fresh = {.code = code};
    va_list arguments;
    va_start(arguments, format);
    format_message(&fresh, format, arguments);
    va_end(arguments);
    *err = fresh;
    return code;
}

static enum tw_code code_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return TW_NO_SPACE;
    case ENOMEM:
        return TW_MEMORY;
    case ENOENT:
        return TW_NOT_FOUND;
    case EACCES:
    case EPERM:
        return TW_FORBIDDEN;
    case EBUSY:
    case EADDRINUSE:
    case EWOULDBLOCK:
        return TW_BUSY;
    case ETIMEDOUT:
        return TW_TIMEOUT;
    default:
        return TW_IO;
    }
}

enum tw_code tw_err_errno(struct tw_err *err, int number, const char *format, ...)
{
    enum tw_code code = code_of_errno(number);
    if (!err)
        return code;
    struct tw_err fresh = {.code = code, .sys_errno = number};
    va_list arguments;
    va_start(arguments, format);
    format_message(&fresh, format, arguments);
    va_end(arguments);
    size_t used = strlen(fresh.message);
    char reason[128];
    int wanted = snprintf(fresh.message + used, sizeof fresh.message - used, ": %s",
                          strerror_r(number, reason, sizeof reason));
    mark_truncated(fresh.message, (int)used + wanted);
    *err = fresh;
    return code;
}

enum tw_code tw_err_wrap(struct tw_err *err, const char *format, ...)
{
    if (!err)
        return TW_INTERNAL;
    TW_ASSERT(err->code != TW_OK);
    struct tw_err outer = *err;
    va_list arguments;
    va_start(arguments, format);
    format_message(&outer, format, arguments);
    va_end(arguments);
    size_t used = strlen(outer.message);
    int wanted = snprintf(outer.message + used, sizeof outer.message - used, ": %s", err->message);
    mark_truncated(outer.message, (int)used + wanted);
    *err = outer;
    return err->code;
}
