/* SPDX-License-Identifier: Apache-2.0
 *
 * A line is formatted in a buffer of the thread and leaves in one write, so lines of several
 * threads do not mix.
 */
#include "config.h"

#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_BYTES 4096
#define QUOTE_BUFFERS 4
#define QUOTE_BYTES 1024

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static _Atomic int level_max = TW_LOG_INFO;
static _Atomic int log_fd = STDERR_FILENO;
/* Guards the struct tw_log_site of every call site; held for a few instructions. */
static pthread_mutex_t site_mutex = PTHREAD_MUTEX_INITIALIZER;

void tw_log_set_level(enum tw_log_level level)
{
    atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

bool tw_log_parse_level(const char *text, enum tw_log_level *ret_level)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum tw_log_level)i;
            return true;
        }
    return false;
}

bool tw_log_enabled(enum tw_log_level level)
{
    return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

void tw_log_set_fd(int fd)
{
    atomic_store_explicit(&log_fd, fd, memory_order_relaxed);
}

/* May this site print now? Says how many lines it held back since the last one. */
static bool site_admits(struct tw_log_site *site, uint32_t *ret_suppressed)
{
    int64_t second = tw_clock_mono_ns(tw_clock_system()) / INT64_C(1000000000);
    pthread_mutex_lock(&site_mutex);
    if (site->second != second) {
        site->second = second;
        site->printed = 0;
    }
    bool admitted = site->printed < TW_LOG_BURST;
    if (admitted) {
        site->printed++;
        *ret_suppressed = site->suppressed;
        site->suppressed = 0;
    } else {
        site->suppressed++;
    }
    pthread_mutex_unlock(&site_mutex);
    return admitted;
}

void tw_log_at(struct tw_log_site *site, enum tw_log_level level, const char *module,
               const char *message, const char *format, ...)
{
    uint32_t suppressed = 0;
    if (!site_admits(site, &suppressed))
        return;
    char time_text[TW_CLOCK_RFC3339_BYTES];
    tw_clock_format_rfc3339(tw_clock_wall_ms(tw_clock_system()), time_text);
    char line[LINE_BYTES];
    /* One byte stays free for the newline, whatever is cut off. */
    size_t room = sizeof line - 1;
    int size = snprintf(line, room, "t=%s level=%s mod=%s msg=\"%s\"", time_text,
                        level_names[level], module, message);
    size_t used = size < 0 ? 0 : (size_t)size < room ? (size_t)size : room - 1;
    if (suppressed) {
        size = snprintf(line + used, room - used, " suppressed=%u", suppressed);
        used += size < 0 ? 0 : (size_t)size < room - used ? (size_t)size : room - used - 1;
    }
    if (*format && used + 1 < room) {
        line[used++] = ' ';
        va_list arguments;
        va_start(arguments, format);
        size = vsnprintf(line + used, room - used, format, arguments);
        va_end(arguments);
        used += size < 0 ? 0 : (size_t)size < room - used ? (size_t)size : room - used - 1;
    }
    line[used++] = '\n';
    (void)!write(atomic_load_explicit(&log_fd, memory_order_relaxed), line, used);
}

const char *tw_log_quote(struct tw_str text)
{
    static _Thread_local char buffers[QUOTE_BUFFERS][QUOTE_BYTES];
    static _Thread_local unsigned next;
    char *out = buffers[next++ % QUOTE_BUFFERS];
    size_t used = 0;
    out[used++] = '"';
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (used + 8 > QUOTE_BYTES) {
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        if (c == '"' || c == '\\') {
            out[used++] = '\\';
            out[used++] = (char)c;
        } else if (c == '\n') {
            out[used++] = '\\';
            out[used++] = 'n';
        } else if (c < 0x20 || c == 0x7f) {
            used += (size_t)snprintf(out + used, 5, "\\x%02x", c);
        } else {
            out[used++] = (char)c;
        }
    }
    out[used++] = '"';
    out[used] = 0;
    return out;
}
