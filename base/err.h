/* SPDX-License-Identifier: Apache-2.0
 *
 * err: the one way in which a function says that it failed.
 *
 * A fallible function returns enum tw_code and takes a struct tw_err * as its last parameter. On
 * TW_OK its results (parameters named ret_...) are set and *err is untouched; else the results are
 * untouched and *err, when not NULL, says what happened: a code for the program, a sentence for
 * the person, and, for text that a person wrote, the place.
 *
 * Three kinds, never mixed: a bug is an assertion (assert.h); a failing environment (disk, memory,
 * peer) and a mistake of the user (query, configuration, payload) are codes. A user's mistake names
 * the place and the cure. Each level that knows more wraps: "opening store 'x': ...".
 *
 * Library code returns errors and never logs; threads, mains and HTTP handlers log them once.
 *
 * Threads: a struct tw_err belongs to its caller; nothing here is shared.
 */
#ifndef TW_BASE_ERR_H
#define TW_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

/* TW_ERR(name, sentence, HTTP status, may the same call succeed later without a change?) */
#define TW_ERR_TABLE(TW_ERR)                                                                       \
    TW_ERR(OK, "no error", 200, false)                                                             \
    /* mistakes of the user */                                                                     \
    TW_ERR(BAD_DATA, "bad data", 400, false)                                                       \
    TW_ERR(SYNTAX, "syntax error", 400, false)                                                     \
    TW_ERR(UNSUPPORTED, "not supported yet", 400, false)                                           \
    TW_ERR(CONFIG, "bad configuration", 400, false)                                                \
    TW_ERR(UNAUTHENTICATED, "authentication required", 401, false)                                 \
    TW_ERR(FORBIDDEN, "not allowed", 403, false)                                                   \
    TW_ERR(NOT_FOUND, "not found", 404, false)                                                     \
    TW_ERR(METHOD, "method not allowed", 405, false)                                               \
    TW_ERR(CONFLICT, "conflict", 409, false)                                                       \
    TW_ERR(TOO_LARGE, "too large", 413, false)                                                     \
    TW_ERR(MEDIA_TYPE, "unsupported encoding", 415, false)                                         \
    TW_ERR(EXECUTION, "cannot be executed", 422, false)                                            \
    TW_ERR(LIMIT, "limit exceeded", 422, false)                                                    \
    /* the environment */                                                                          \
    TW_ERR(OVERLOAD, "overloaded", 429, true)                                                      \
    TW_ERR(MEMORY, "out of memory", 503, true)                                                     \
    TW_ERR(IO, "input/output error", 503, true)                                                    \
    TW_ERR(NO_SPACE, "no space left", 503, true)                                                   \
    TW_ERR(CORRUPT, "corrupt data", 500, false)                                                    \
    TW_ERR(BUSY, "in use", 503, true)                                                              \
    TW_ERR(NETWORK, "network error", 502, true)                                                    \
    TW_ERR(REMOTE, "refused by the other side", 502, false)                                        \
    TW_ERR(TIMEOUT, "timed out", 503, true)                                                        \
    TW_ERR(CANCELLED, "cancelled", 503, false)                                                     \
    TW_ERR(UNAVAILABLE, "not available now", 503, true)                                            \
    TW_ERR(INTERNAL, "internal error", 500, false)

enum tw_code {
#define TW_ERR_ENUM(name, text, status, retryable) TW_##name,
    TW_ERR_TABLE(TW_ERR_ENUM)
#undef TW_ERR_ENUM
        TW_CODE_COUNT
};

/* Longest sentence kept, in bytes with its NUL; longer ones end in "...". */
#define TW_ERR_MESSAGE_BYTES 512

struct tw_err {
    enum tw_code code;
    int sys_errno; /* errno behind it, 0 if none */
    /* Place in a text that a person wrote: 1-based; 0 = not known. */
    uint32_t line, column;
    /* Byte range [start, end) in the query text, for a caret line; end 0 = not known. */
    uint32_t start, end;
    char message[TW_ERR_MESSAGE_BYTES];
};

#define TW_MUST_CHECK __attribute__((warn_unused_result))
#define TW_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Fills *err (if not NULL), forgetting what it held, and returns code: `return tw_err_set(err,
 * TW_BAD_DATA, "...")`. */
enum tw_code tw_err_set(struct tw_err *err, enum tw_code code, const char *format, ...)
    TW_PRINTF(3, 4);
/* As tw_err_set, with ": <strerror(number)>" behind; the code follows from number (ENOSPC ->
 * TW_NO_SPACE, ...). */
enum tw_code tw_err_errno(struct tw_err *err, int number, const char *format, ...) TW_PRINTF(3, 4);
/* Puts "<format>: " before the message that is there; keeps code and place. Returns err's code
 * (TW_INTERNAL when err is NULL: a caller that wraps must own a struct tw_err). */
enum tw_code tw_err_wrap(struct tw_err *err, const char *format, ...) TW_PRINTF(2, 3);

const char *tw_code_name(enum tw_code code); /* "BAD_DATA" */
const char *tw_code_text(enum tw_code code); /* "bad data" */
int tw_code_http_status(enum tw_code code);
bool tw_code_retryable(enum tw_code code);

#endif
