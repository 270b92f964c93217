/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch report reliability`: availability, MTBF, MTTR and rates of services on a server.
 */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/duration.h"
#include "daemon/cli_client.h"
#include "daemon/cli_series.h"

#define OVER_MS_DEFAULT (INT64_C(7) * 86400000)
#define SERVICE_BYTES 512

static const char *server, *by, *over_text, *step_text, *end_text;
static bool as_json;

static const struct cli_option options[] = {
    CLI_CLIENT_OPTIONS(server, as_json),
    {.name = "by",
     .value = &by,
     .shown = "LABELS",
     .help = "labels that make a service, joined by commas; default job"},
    {.name = "over", .value = &over_text, .shown = "DURATION", .help = "how much time; default 7d"},
    {.name = "step",
     .value = &step_text,
     .shown = "DURATION",
     .help = "outages shorter than this may be missed; default 1m"},
    {.name = "end",
     .value = &end_text,
     .shown = "TIME",
     .help = "Unix seconds or RFC 3339; default now"},
};
static const struct cli_command command = {
    .name = "report",
    .arguments = "reliability [EXPRESSION]",
    .help =
        "Says how dependable services were, from the past of their instances' health: EXPRESSION\n"
        "gives a series for each instance that is above 0 while it is well; default up.\n"
        "AVAILABLE: share of the known time that instances were up; SERVED: that at least one\n"
        "was; MTBF: up time between failures; MTTR: mean length of the outages that began and\n"
        "ended; rates: of failures per hour up, of repairs per hour down.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

static double number_of(const struct tw_json *object, const char *key)
{
    return tw_json_number(tw_json_member(object, key), NAN);
}

/* A time as people say it; "-" for what is not known. */
static const char *shown_span(double seconds, char *ret, size_t bytes)
{
    if (isnan(seconds))
        snprintf(ret, bytes, "-");
    else if (seconds < 120)
        snprintf(ret, bytes, "%.1fs", seconds);
    else if (seconds < 7200)
        snprintf(ret, bytes, "%.1fm", seconds / 60);
    else if (seconds < 172800)
        snprintf(ret, bytes, "%.1fh", seconds / 3600);
    else
        snprintf(ret, bytes, "%.1fd", seconds / 86400);
    return ret;
}

static const char *shown(double value, const char *format, char *ret, size_t bytes)
{
    if (isnan(value))
        snprintf(ret, bytes, "-");
    else
        snprintf(ret, bytes, format[0] == '%' ? "%.4f%%" : "%.4g", value);
    return ret;
}

/* "web, eu" */
static void write_name(const struct tw_json *service, char *ret, size_t bytes)
{
    struct tw_str key;
    const struct tw_json *value;
    size_t used = 0;
    snprintf(ret, bytes, "-");
    for (size_t i = 0; tw_json_member_at(service, i, &key, &value) && used < bytes; i++)
        used += (size_t)snprintf(ret + used, bytes - used, "%s%.*s", i ? ", " : "",
                                 TW_STR_ARG(tw_json_string(value, TW_STR(""))));
}

static void show_report(const struct tw_json *data)
{
    const struct tw_json *services = tw_json_member(data, "services");
    printf("%-24s %9s %11s %11s %8s %8s %8s %11s %11s\n", "SERVICE", "INSTANCES", "AVAILABLE",
           "SERVED", "FAILURES", "MTBF", "MTTR", "FAILURES/H", "REPAIRS/H");
    for (size_t i = 0; i < tw_json_count(services); i++) {
        const struct tw_json *service = tw_json_item(services, i);
        char name[SERVICE_BYTES], available[32], served[32], mtbf[32], mttr[32], lambda[32], mu[32];
        write_name(tw_json_member(service, "service"), name, sizeof name);
        printf("%-24s %9" PRId64 " %11s %11s %8" PRId64 " %8s %8s %11s %11s\n", name,
               tw_json_int(tw_json_member(service, "instances"), 0),
               shown(100 * number_of(service, "availability"), "%", available, sizeof available),
               shown(100 * number_of(service, "served"), "%", served, sizeof served),
               tw_json_int(tw_json_member(service, "failures"), 0),
               shown_span(number_of(service, "mtbf_seconds"), mtbf, sizeof mtbf),
               shown_span(number_of(service, "mttr_seconds"), mttr, sizeof mttr),
               shown(number_of(service, "failure_rate_per_hour"), "", lambda, sizeof lambda),
               shown(number_of(service, "recovery_rate_per_hour"), "", mu, sizeof mu));
    }
    if (tw_json_count(services) == 0)
        fprintf(stderr, "tidewatch report: there are no samples in that time\n");
}

int cli_report(int argc, char **argv)
{
    int count, status;
    int64_t over_ms = OVER_MS_DEFAULT, end_ms = tw_clock_wall_ms(tw_clock_system()), step_ms = 0;
    struct tw_err err;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count < 1 || count > 2 || strcmp(argv[1], "reliability") != 0)
        return cli_fail(&command, CLI_USAGE,
                        "say what to report: tidewatch report reliability [EXPRESSION]");
    if (!cli_series_duration(&command, "over", over_text, &over_ms) ||
        !cli_series_duration(&command, "step", step_text, &step_ms))
        return CLI_USAGE;
    if (end_text && tw_time_parse_parameter(tw_str(end_text), &end_ms, &err) != TW_OK)
        return cli_fail(&command, CLI_USAGE, "--end: %s", err.message);
    struct tw_buf parameters, path;
    tw_buf_init(&parameters, 1 << 20);
    tw_buf_init(&path, 1 << 20);
    if (count == 2)
        cli_append_encoded(&parameters, "query", tw_str(argv[2]));
    if (by)
        cli_append_encoded(&parameters, "by", tw_str(by));
    if (step_ms)
        tw_buf_appendf(&parameters, "%sstep=%.3f", parameters.size ? "&" : "",
                       (double)step_ms / 1000);
    tw_buf_appendf(&parameters, "%sstart=%.3f&end=%.3f", parameters.size ? "&" : "",
                   (double)(end_ms - over_ms) / 1000, (double)end_ms / 1000);
    tw_buf_appendf(&path, "/api/v1/reliability?%s", tw_buf_cstr(&parameters));
    if (path.overflow || parameters.overflow)
        status = cli_fail(&command, CLI_USAGE, "the expression is too long");
    else
        status = cli_ask(&command, server, TW_HTTP_GET, tw_buf_cstr(&path), as_json, show_report);
    tw_buf_fini(&parameters);
    tw_buf_fini(&path);
    return status;
}
