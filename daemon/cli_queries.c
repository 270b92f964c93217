/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch queries`: what runs on a server now, and ending it.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/number.h"
#include "daemon/cli_client.h"

static const char *server;
static bool as_json;

static const struct cli_option options[] = {
    CLI_CLIENT_OPTIONS(server, as_json),
};
static const struct cli_command command = {
    .name = "queries",
    .arguments = "[cancel ID ...]",
    .help = "Lists the queries that run on a server now, the oldest first, with who asked and what "
            "they have cost\nso far; or cancels those with the given ids.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

static void show_queries(const struct tw_json *data)
{
    printf("%-8s%10s %12s %10s  %-16s%s\n", "ID", "SECONDS", "SAMPLES", "MIB", "CLIENT", "QUERY");
    for (size_t i = 0; i < tw_json_count(data); i++) {
        const struct tw_json *query = tw_json_item(data, i);
        struct tw_str id = tw_json_string(tw_json_member(query, "id"), TW_STR("?"));
        struct tw_str client = tw_json_string(tw_json_member(query, "client"), TW_STR(""));
        struct tw_str text = tw_json_string(tw_json_member(query, "query"), TW_STR(""));
        printf("%-8.*s%10.3f %12" PRId64 " %10.1f  %-16.*s", TW_STR_ARG(id),
               tw_json_number(tw_json_member(query, "age"), 0),
               tw_json_int(tw_json_member(query, "samples"), 0),
               (double)tw_json_int(tw_json_member(query, "bytes"), 0) / (1 << 20),
               TW_STR_ARG(client));
        /* One line a query, whatever the text holds. */
        for (size_t k = 0; k < text.size; k++)
            putchar((unsigned char)text.data[k] < ' ' ? ' ' : text.data[k]);
        putchar('\n');
    }
}

static void show_nothing(const struct tw_json *data)
{
    (void)data;
}

static int cancel(char **ids, int count)
{
    int status = CLI_OK;
    for (int i = 0; i < count; i++) {
        char path[64];
        int64_t id;
        if (!tw_int64_parse(tw_str(ids[i]), &id) || id <= 0)
            return cli_fail(&command, CLI_USAGE, "'%s' is no id of a query", ids[i]);
        snprintf(path, sizeof path, "/api/v1/queries/%" PRId64 "/cancel", id);
        int one = cli_ask(&command, server, TW_HTTP_POST, path, as_json, show_nothing);
        status = one ? one : status;
    }
    return status;
}

int cli_queries(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count == 0)
        return cli_ask(&command, server, TW_HTTP_GET, "/api/v1/queries", as_json, show_queries);
    if (strcmp(argv[1], "cancel") != 0 || count < 2)
        return cli_fail(&command, CLI_USAGE, "tidewatch queries, or tidewatch queries cancel ID");
    return cancel(argv + 2, count - 1);
}
