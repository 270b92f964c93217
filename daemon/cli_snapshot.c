/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch snapshot`: making, listing and deleting the snapshots of a running server.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "daemon/cli_client.h"

#define ADMIN "/api/v1/admin/tsdb/"

static const char *server;
static bool skip_head, as_json;

static const struct cli_option options[] = {
    {.name = "server", .letter = 's', .value = &server, .shown = "URL", .help = CLI_SERVER_HELP},
    {.name = "json", .flag = &as_json, .help = "the answer as JSON"},
    {.name = "skip-head", .flag = &skip_head, .help = "create: what is in partitions already"},
};
static const struct cli_command command = {
    .name = "snapshot",
    .arguments = "[create | list | delete NAME ...]",
    .help = "create   makes a snapshot of a running server's store below its data folder, in "
            "snapshots/NAME,\n         and prints NAME; without a word too. Everything "
            "acknowledged before is in it; nothing is\n         paused. Partitions are shared "
            "with the store where the file system can.\n"
            "list     those that are there, the oldest first, with the bytes of their files\n"
            "delete   removes them\n\n"
            "The server runs with --enable-admin-api.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

static void show_name(const struct tw_json *data)
{
    struct tw_str name = tw_json_string(tw_json_member(data, "name"), (struct tw_str){0});
    printf("%.*s\n", TW_STR_ARG(name));
}

static void show_list(const struct tw_json *data)
{
    printf("%16s  %s\n", "BYTES", "NAME");
    for (size_t i = 0; i < tw_json_count(data); i++) {
        const struct tw_json *snapshot = tw_json_item(data, i);
        struct tw_str name = tw_json_string(tw_json_member(snapshot, "name"), TW_STR("?"));
        printf("%16" PRId64 "  %.*s\n", tw_json_int(tw_json_member(snapshot, "bytes"), 0),
               TW_STR_ARG(name));
    }
}

static int delete_all(char **names, int count)
{
    int worst = CLI_OK;
    for (int i = 0; i < count; i++) {
        struct tw_buf path;
        tw_buf_init(&path, 4096);
        /* A name has no byte that a path would take for something else; others are refused here. */
        for (const char *at = names[i]; *at; at++)
            tw_buf_append_char(
                &path,
                *at == '/' || *at == '?' || *at == '%' || *at == '#' || *at == ' ' ? '_' : *at);
        struct tw_str name = tw_buf_str(&path);
        if (name.size == 0 || !tw_str_is(name, names[i])) {
            worst = cli_fail(&command, CLI_USAGE, "'%s' is no name of a snapshot", names[i]);
        } else {
            char target[4096 + sizeof ADMIN + 16];
            snprintf(target, sizeof target, ADMIN "snapshots/%.*s", TW_STR_ARG(name));
            int one = cli_ask(&command, server, TW_HTTP_DELETE, target, as_json, show_name);
            worst = one > worst ? one : worst;
        }
        tw_buf_fini(&path);
    }
    return worst;
}

int cli_snapshot(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    const char *word = count > 0 ? argv[1] : "create";
    if (skip_head && strcmp(word, "create") != 0)
        return cli_fail(&command, CLI_USAGE, "--skip-head goes with create");
    if (!strcmp(word, "create") && count <= 1)
        return cli_ask(&command, server, TW_HTTP_POST,
                       skip_head ? ADMIN "snapshot?skip_head=true" : ADMIN "snapshot", as_json,
                       show_name);
    if (!strcmp(word, "list") && count == 1)
        return cli_ask(&command, server, TW_HTTP_GET, ADMIN "snapshots", as_json, show_list);
    if (!strcmp(word, "delete") && count > 1)
        return delete_all(argv + 2, count - 1);
    return cli_fail(&command, CLI_USAGE,
                    "tidewatch snapshot, snapshot list, or snapshot delete NAME");
}
