/* SPDX-License-Identifier: Apache-2.0
 *
 * listener: the socket that a server listens on, from an address as a person writes it.
 */
#ifndef TW_DAEMON_LISTENER_H
#define TW_DAEMON_LISTENER_H

#include <sys/socket.h>

#include "base/err.h"

/* "[<IPv6 address>%<interface>]:65535" with its NUL. */
#define DAEMON_ADDRESS_BYTES 96

/* listen: "127.0.0.1:9090", "localhost:9090", "[::1]:9090", ":9090" (all addresses), port 0 = any
 * free. ret_address (DAEMON_ADDRESS_BYTES) gets the address with the port that it became. The
 * errors say what --listen should be instead. */
TW_MUST_CHECK enum tw_code daemon_listener_open(const char *listen, int *ret_fd, char *ret_address,
                                                struct tw_err *err);
/* The host of an address as text, "" if it has none; an IPv4 address in IPv6 clothes as IPv4. */
void daemon_listener_host(const struct sockaddr *address, char *ret_text);

#endif
