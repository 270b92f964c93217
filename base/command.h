/* SPDX-License-Identifier: Apache-2.0
 *
 * command: runs another program to its end: bytes in, bytes out, a time limit. No shell is between:
 * words are given as they are.
 *
 * The program gets a process group of its own, an empty signal mask, and only the three usual
 * files. When its time is over, or its caller asks, the group is told to end (SIGTERM), and two
 * seconds later made to (SIGKILL). What it leaves running in the background is left alone; output
 * that comes after its end is not waited for.
 *
 * Threads: any; each call blocks its thread.
 */
#ifndef TW_BASE_COMMAND_H
#define TW_BASE_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/http.h"
#include "base/str.h"

struct tw_command {
    const char *const
        *words; /* NULL-terminated; the first is searched in PATH unless it has a '/' */
    const struct tw_http_pair *variables; /* added to our own environment, or replacing in it */
    size_t variable_count;
    struct tw_str input;       /* its standard input */
    int64_t timeout_ms;        /* > 0 */
    struct tw_buf *ret_output; /* standard output, NULL: thrown away; more than fits is cut off */
    struct tw_buf *ret_complaint; /* standard error, the same */
};

/* TW_OK when the program ended by itself, whatever its status: ret_status is what it exited with,
 * or 128 + the signal that ended it, as a shell says it. TW_TIMEOUT when its time was over;
 * TW_NOT_FOUND, TW_IO when it could not be started. */
TW_MUST_CHECK enum tw_code tw_command_run(const struct tw_command *command, int *ret_status,
                                          struct tw_err *err);

/* Starts a program in a session of its own and leaves it running: input from /dev/null, output to
 * ours. The caller reaps it (waitpid). */
TW_MUST_CHECK enum tw_code tw_command_start(const char *const *words,
                                            const struct tw_http_pair *variables,
                                            size_t variable_count, int *ret_pid,
                                            struct tw_err *err);

#endif
