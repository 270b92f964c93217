/* SPDX-License-Identifier: Apache-2.0
 *
 * log: logfmt lines on stderr, one event each:
 *   t=2026-11-21T03:45:07.123Z level=warn mod=tsdb.compactor msg="checksum mismatch, skipping"
 * file=...
 *
 * The message is constant and can be grepped; what varies goes into fields. Levels: error = someone
 * must act; warn = the program goes on, and the line says how; info = a change of state that an
 * operator wants to see once; debug = for a developer. Only mains, thread loops and HTTP handlers
 * log. One call site prints at most TW_LOG_BURST lines a second; what it held back is counted in
 * the next one (suppressed=N).
 *
 *   tw_log(TW_LOG_WARN, "alerts.notifier", "cannot deliver, trying again", "receiver=%s
 * retry_s=%d", name, s);
 *
 * Field values that may hold spaces or quotes are written with tw_log_quote.
 *
 * Threads: any.
 */
#ifndef TW_BASE_LOG_H
#define TW_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum tw_log_level { TW_LOG_ERROR, TW_LOG_WARN, TW_LOG_INFO, TW_LOG_DEBUG };

#define TW_LOG_BURST 20

struct tw_log_site {
    int64_t second;
    uint32_t printed, suppressed;
};

void tw_log_set_level(enum tw_log_level level);
bool tw_log_parse_level(const char *text, enum tw_log_level *ret_level); /* error warn info debug */
bool tw_log_enabled(enum tw_log_level level);
/* Lines go to fd instead of stderr (tests). */
void tw_log_set_fd(int fd);

#define tw_log(level, module, message, ...)                                                        \
    do {                                                                                           \
        static struct tw_log_site tw_log_site_;                                                    \
        if (tw_log_enabled(level))                                                                 \
            tw_log_at(&tw_log_site_, level, module, message, "" __VA_ARGS__);                      \
    } while (0)

void tw_log_at(struct tw_log_site *site, enum tw_log_level level, const char *module,
               const char *message, const char *format, ...) TW_PRINTF(5, 6);
/* text in quotes with escapes, in one of a few per-thread buffers: use it within one tw_log call.
 */
const char *tw_log_quote(struct tw_str text);

#endif
