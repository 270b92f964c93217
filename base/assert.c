/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/assert.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/thread.h"

void tw_assert_failed(const char *file, int line, const char *function, const char *expression)
{
    char text[512];
    int size = snprintf(text, sizeof text,
                        "tidewatch: assertion failed at %s:%d in %s, thread %s: %s\n"
                        "This is a bug; the program stops before it can do harm. Backtrace:\n",
                        file, line, function, tw_thread_name(), expression);
    if (size > (int)sizeof text)
        size = (int)sizeof text;
    (void)!write(STDERR_FILENO, text, (size_t)size);
    void *frames[64];
    backtrace_symbols_fd(frames, backtrace(frames, 64), STDERR_FILENO);
    abort();
}
