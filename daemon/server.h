/* SPDX-License-Identifier: Apache-2.0
 *
 * server: tidewatchd as one thing that starts, reloads and stops: it opens the store, wires the
 * modules to each other and to the HTTP server.
 *
 *   store -> query engine -> alerts -> autoscaler -> routes -> HTTP        (stops in reverse)
 *
 * Threads: start, stop from the main thread; reload from any.
 */
#ifndef TW_DAEMON_SERVER_H
#define TW_DAEMON_SERVER_H

#include "base/err.h"
#include "daemon/params.h"

struct daemon_server;

/* params are borrowed. */
TW_MUST_CHECK enum tw_code daemon_server_start(const struct daemon_params *params,
                                               struct daemon_server **ret, struct tw_err *err);
/* Reads the configuration again and puts it in force; all or nothing. */
TW_MUST_CHECK enum tw_code daemon_server_reload(struct daemon_server *server, struct tw_err *err);
/* False when some request did not end and the store could not be closed in order (it is safe all
 * the same: what was acknowledged is on disk). Returns with everything freed, or nothing of it. */
bool daemon_server_stop(struct daemon_server *server);
const char *daemon_server_address(const struct daemon_server *server);

#endif
