/* SPDX-License-Identifier: Apache-2.0
 *
 * notify: tells systemd how the service is (sd_notify's protocol: a datagram to $NOTIFY_SOCKET).
 * Does nothing when the variable is not set.
 */
#ifndef TW_DAEMON_NOTIFY_H
#define TW_DAEMON_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=...", lines joined by '\n'. */
void daemon_notify(const char *state);
/* How often WATCHDOG=1 is due, half of what systemd allows; 0 when it does not watch. */
int64_t daemon_notify_watchdog_ms(void);

#endif
