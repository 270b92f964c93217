/* SPDX-License-Identifier: Apache-2.0
 *
 * assert: what must be true by reasoning. On in production: a monitoring store that knows that it
 * is wrong stops rather than answers. Never for input; input gets a struct tw_err.
 */
#ifndef TW_BASE_ASSERT_H
#define TW_BASE_ASSERT_H

/* Cheap, always on. */
#define TW_ASSERT(expression)                                                                      \
    ((expression) ? (void)0 : tw_assert_failed(__FILE__, __LINE__, __func__, #expression))

/* Expensive checks, only in builds with a sanitizer. */
#if TW_SANITIZED
#define TW_ASSERT_SLOW(expression) TW_ASSERT(expression)
#else
#define TW_ASSERT_SLOW(expression) ((void)0)
#endif

#define TW_UNREACHABLE(why) tw_assert_failed(__FILE__, __LINE__, __func__, why)

/* Every long-lived struct starts with `unsigned magic`; entry points of a module check it. */
#define TW_CHECK_MAGIC(pointer, expected)                                                          \
    TW_ASSERT((pointer) != NULL && (pointer)->magic == (expected))

/* Prints file, line, function, expression, thread name and a backtrace to stderr, then aborts. */
void tw_assert_failed(const char *file, int line, const char *function, const char *expression)
    __attribute__((noreturn));

#endif
