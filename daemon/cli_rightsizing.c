/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch report rightsizing`: what CPU and memory replicas should request.
 */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "daemon/cli_client.h"

static const char *server, *cpu, *memory, *cpu_request, *memory_request, *by, *history, *margin;
static bool as_json;

static const struct cli_option options[] = {
    {.name = "server", .letter = 's', .value = &server, .shown = "URL", .help = CLI_SERVER_HELP},
    {.name = "cpu", .value = &cpu, .shown = "QUERY", .help = "cores that each instance uses"},
    {.name = "memory", .value = &memory, .shown = "QUERY", .help = "bytes that each uses"},
    {.name = "cpu-request",
     .value = &cpu_request,
     .shown = "QUERY",
     .help = "cores that each requests now"},
    {.name = "memory-request",
     .value = &memory_request,
     .shown = "QUERY",
     .help = "bytes that each requests now"},
    {.name = "by", .value = &by, .shown = "LABEL", .help = "one row for each value of this label"},
    {.name = "history", .value = &history, .shown = "DURATION", .help = "how far back (8d)"},
    {.name = "margin", .value = &margin, .shown = "SHARE", .help = "on top of what is used (0.15)"},
    {.name = "json", .flag = &as_json, .help = "the answer as JSON"},
};
static const struct cli_command command = {
    .name = "report rightsizing",
    .arguments = "[SCALER]",
    .help = "Advises requests of CPU and memory from what instances have used: for the scalers "
            "that have\n`rightsizing` in the configuration, for one of them, or for the queries "
            "that are given.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

static const char *amount(double value, bool bytes, char *text, size_t size)
{
    if (isnan(value))
        snprintf(text, size, "-");
    else if (!bytes)
        snprintf(text, size, "%.0fm", ceil(1000 * value - 1e-6));
    else if (value >= 1 << 30)
        snprintf(text, size, "%.2fGi", value / (1 << 30));
    else
        snprintf(text, size, "%.0fMi", ceil(value / (1 << 20)));
    return text;
}

static void show_row(const struct tw_json *workload, const char *resource)
{
    const struct tw_json *advice = tw_json_member(workload, resource);
    bool bytes = resource[0] == 'm';
    char advised[32], requested[32], lower[32], upper[32], highest[32], change[32] = "-";
    if (tw_json_type(advice) == TW_JSON_NULL)
        return;
    double by_share = tw_json_number(tw_json_member(advice, "change"), NAN);
    if (!isnan(by_share))
        snprintf(change, sizeof change, "%+.0f %%", 100 * by_share);
    printf("%-24.*s %-7s %10s %10s %8s %10s %10s %10s  %.*s\n",
           TW_STR_ARG(tw_json_string(tw_json_member(workload, "name"), TW_STR("?"))), resource,
           amount(tw_json_number(tw_json_member(advice, "requested"), NAN), bytes, requested,
                  sizeof requested),
           amount(tw_json_number(tw_json_member(advice, "advised"), NAN), bytes, advised,
                  sizeof advised),
           change,
           amount(tw_json_number(tw_json_member(advice, "lower"), NAN), bytes, lower, sizeof lower),
           amount(tw_json_number(tw_json_member(advice, "upper"), NAN), bytes, upper, sizeof upper),
           amount(tw_json_number(tw_json_member(advice, "highest"), NAN), bytes, highest,
                  sizeof highest),
           TW_STR_ARG(tw_json_string(tw_json_member(advice, "confidence"), TW_STR(""))));
}

static void show(const struct tw_json *data)
{
    const struct tw_json *workloads = tw_json_member(data, "workloads");
    if (tw_json_count(workloads) == 0) {
        puts("nothing to advise on: no scaler has `rightsizing`, or its queries gave nothing");
        return;
    }
    printf("%-24s %-7s %10s %10s %8s %10s %10s %10s  %s\n", "NAME", "", "REQUESTED", "ADVISED",
           "CHANGE", "LOWER", "UPPER", "HIGHEST", "CONFIDENCE");
    for (size_t i = 0; i < tw_json_count(workloads); i++) {
        show_row(tw_json_item(workloads, i), "cpu");
        show_row(tw_json_item(workloads, i), "memory");
    }
}

int cli_rightsizing(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count > 1 || (count == 1 && (cpu || memory)))
        return cli_fail(&command, CLI_USAGE,
                        "give the name of one scaler, or queries with --cpu and --memory");
    const struct {
        const char *name, *value;
    } parameters[] = {{"scaler", count == 1 ? argv[1] : NULL},
                      {"cpu", cpu},
                      {"memory", memory},
                      {"cpu_request", cpu_request},
                      {"memory_request", memory_request},
                      {"by", by},
                      {"history", history},
                      {"margin", margin}};
    struct tw_buf path, query;
    tw_buf_init(&query, 65536);
    tw_buf_init(&path, 65536);
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (parameters[i].value)
            cli_append_encoded(&query, parameters[i].name, tw_str(parameters[i].value));
    tw_buf_appendf(&path, "/api/v1/rightsizing?%.*s", TW_STR_ARG(tw_buf_str(&query)));
    if (query.overflow || path.overflow)
        status = cli_fail(&command, CLI_USAGE, "the queries are too long");
    else
        status = cli_ask(&command, server, TW_HTTP_GET, tw_buf_cstr(&path), as_json, show);
    tw_buf_fini(&query);
    tw_buf_fini(&path);
    return status;
}
