/* SPDX-License-Identifier: Apache-2.0
 *
 * cli: what the commands of `tidewatch` share: options, help, exit statuses.
 *
 * A command is int cli_<name>(int argc, char **argv); argv[0] is its own name; it returns the exit
 * status. Results go to stdout, everything else to stderr.
 */
#ifndef TW_DAEMON_CLI_H
#define TW_DAEMON_CLI_H

#include <stdbool.h>
#include <stddef.h>

/* As promtool's. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_LINT = 3 };

/* Exactly one of value and flag is set. */
struct cli_option {
    const char *name; /* without "--" */
    char letter;      /* 0 = none */
    const char **value;
    bool *flag;
    const char *shown; /* "URL" */
    const char *help;
};

struct cli_command {
    const char *name;      /* "query" */
    const char *arguments; /* "EXPRESSION" */
    const char *help;      /* a paragraph */
    const struct cli_option *options;
    size_t option_count;
};

/* Takes the options out of argv (in any order with the arguments; "--" ends them) and leaves the
 * arguments in argv[1..]; their count in ret_count. Returns false when the command shall end at
 * once with *ret_status: after --help, or after a mistake, which has been told. */
bool cli_parse(const struct cli_command *command, int argc, char **argv, int *ret_count,
               int *ret_status);
/* "tidewatch <command>: <sentence>" on stderr. Returns status. */
int cli_fail(const struct cli_command *command, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int cli_autoscale(int argc, char **argv);
int cli_backtest(int argc, char **argv);
int cli_backtest_scaler(int argc, char **argv);
int cli_forecast(int argc, char **argv);
int cli_queries(int argc, char **argv);
int cli_query(int argc, char **argv);
int cli_cardinality(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_report(int argc, char **argv);
int cli_restore(int argc, char **argv);
int cli_rightsizing(int argc, char **argv);
int cli_scaler(int argc, char **argv);
int cli_snapshot(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_compact(int argc, char **argv);
int cli_verify(int argc, char **argv);

#endif
