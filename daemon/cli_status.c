/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch status`: how a server and its store are, for people and for scripts.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "daemon/cli_client.h"

static const char *server;
static bool as_json;
static int result;

static const struct cli_option options[] = {
    {.name = "server", .letter = 's', .value = &server, .shown = "URL", .help = CLI_SERVER_HELP},
    {.name = "json", .flag = &as_json, .help = "the answer as JSON; 0 when there is one"},
};
static const struct cli_command command = {
    .name = "status",
    .arguments = "",
    .help = "Says how a server and its store are.\n\n"
            "Exit status: 0 it takes samples, 1 its store is read-only or its last reload failed, "
            "or it does not answer.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

static void show_text(const char *title, struct tw_str text)
{
    if (text.size > 0)
        printf("%-20s%.*s\n", title, TW_STR_ARG(text));
}

static struct tw_str text(const struct tw_json *object, const char *name)
{
    return tw_json_string(tw_json_member(object, name), (struct tw_str){0});
}

static void show_number(const char *title, const struct tw_json *object, const char *name)
{
    printf("%-20s%" PRId64 "\n", title, tw_json_int(tw_json_member(object, name), 0));
}

static void show_mib(const char *title, const struct tw_json *object, const char *name)
{
    printf("%-20s%.1f MiB\n", title,
           tw_json_number(tw_json_member(object, name), 0) / (1024 * 1024));
}

static void show(const struct tw_json *data)
{
    const struct tw_json *store = tw_json_member(data, "store");
    struct tw_str state = text(store, "state");
    bool reloaded = tw_json_bool(tw_json_member(data, "reloadConfigSuccess"), true);
    show_text("store", state);
    show_text("reason", text(store, "reason"));
    show_text("message", text(store, "message"));
    show_text("configuration",
              reloaded ? TW_STR("in force") : TW_STR("the last reload failed, the old one stays"));
    show_text("since", text(data, "startTime"));
    show_text("retention", text(data, "storageRetention"));
    if (tw_json_int(tw_json_member(store, "retentionSizeBytes"), 0) > 0)
        show_mib("retention size", store, "retentionSizeBytes");
    show_mib("disk free", store, "diskFreeBytes");
    show_mib("disk reserve", store, "diskReserveBytes");
    show_number("partitions", store, "partitions");
    show_number("active series", store, "headSeries");
    show_number("samples in memory", store, "headSamples");
    show_mib("head", store, "headBytes");
    if (!tw_str_is(state, "writable") || !reloaded)
        result = CLI_FAILED;
}

int cli_status(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count != 0)
        return cli_fail(&command, CLI_USAGE, "takes no argument");
    result = CLI_OK;
    status = cli_ask(&command, server, TW_HTTP_GET, "/api/v1/status/runtimeinfo", as_json, show);
    return status == CLI_OK ? result : status;
}
