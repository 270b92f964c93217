/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_series: series for commands that work on their past: from CSV on standard input, or from a
 * server. Either way they come out on a regular grid that ends at their newest value.
 *
 * Ownership: the caller frees with cli_series_free.
 */
#ifndef TW_DAEMON_CLI_SERIES_H
#define TW_DAEMON_CLI_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/cli.h"
#include "forecast/holidays.h"

#define CLI_SERIES_MAX 10000

struct cli_series {
    char *name; /* {a="b"}; NULL: from CSV */
    int64_t step_ms, last_ms;
    double *values; /* NaN = missing */
    size_t count;
    double lowest; /* of all that are numbers; INFINITY: there are none */
};

struct cli_series_list {
    struct cli_series *items;
    size_t count;
};

void cli_series_free(struct cli_series_list *list);

/* CSV `timestamp,value` (Unix seconds or RFC 3339, lines in any order, further fields ignored).
 * step_ms 0: the usual distance of the lines. Returns an exit status; what is wrong has been told.
 */
int cli_series_read(const struct cli_command *command, int64_t step_ms,
                    struct cli_series_list *ret);
/* What a server answers to a range query over the last history_ms. step_ms 0: as fine as fits. */
int cli_series_ask(const struct cli_command *command, const char *server, const char *expression,
                   int64_t history_ms, int64_t step_ms, struct cli_series_list *ret);

/* The same of one series, in as many range queries as it takes; step_ms has to be given. */
int cli_series_ask_long(const struct cli_command *command, const char *server,
                        const char *expression, int64_t history_ms, int64_t step_ms,
                        struct cli_series_list *ret);

/* A step or span given as seconds or duration; at least 1 ms. False after telling. */
bool cli_series_duration(const struct cli_command *command, const char *option, const char *text,
                         int64_t *ret_ms);

/* The calendar of --calendar; NULL when path is. False after telling. */
bool cli_series_calendar(const struct cli_command *command, const char *path,
                         struct forecast_holidays **ret);

/* The first count values as they would have been without holidays, in memory to be freed; the shape
 * takes forecasts back. */
double *cli_series_ordinary(const struct cli_series *series, size_t count,
                            const struct forecast_holidays *holidays,
                            struct forecast_shape *ret_shape);

#endif
