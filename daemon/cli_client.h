/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_client: how commands of `tidewatch` ask a running server.
 */
#ifndef TW_DAEMON_CLI_CLIENT_H
#define TW_DAEMON_CLI_CLIENT_H

#include <stdbool.h>

#include "base/http.h"
#include "base/json.h"
#include "daemon/cli.h"

#define CLI_SERVER_DEFAULT "http://127.0.0.1:9090"
#define CLI_SERVER_HELP "the server, by default $TIDEWATCH_URL or " CLI_SERVER_DEFAULT

/* The options that every command has which asks a server and shows what it answers. */
#define CLI_CLIENT_OPTIONS(server, as_json)                                                        \
    {.name = "server",                                                                             \
     .letter = 's',                                                                                \
     .value = &(server),                                                                           \
     .shown = "URL",                                                                               \
     .help = CLI_SERVER_HELP},                                                                     \
    {                                                                                              \
        .name = "json", .flag = &(as_json), .help = "the answer as JSON"                           \
    }

/* The server of --server, of the environment, or the usual one. */
const char *cli_server(const char *given);
/* Appends name=value, percent-encoded, after "&" unless the text is empty. */
void cli_append_encoded(struct tw_buf *form, const char *name, struct tw_str value);
/* Calls path ("/api/v1/...", with its query string) on cli_server(given). A success is printed as
 * it came (as_json) or shown by show, which gets the answer's "data"; what went wrong is told.
 * Returns the exit status. */
int cli_ask(const struct cli_command *command, const char *given, enum tw_http_method method,
            const char *path, bool as_json, void (*show)(const struct tw_json *data));

#endif
