/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch restore` and `compact`: what an operator does with a whole store.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "daemon/cli_client.h"
#include "tsdb/snapshot.h"

#define ADMIN "/api/v1/admin/tsdb/"

static const char *server, *data;
static bool as_json, quiet, force;

#define SERVER_OPTION                                                                              \
    {                                                                                              \
        .name = "server", .letter = 's', .value = &server, .shown = "URL", .help = CLI_SERVER_HELP \
    }
#define JSON_OPTION                                                                                \
    {                                                                                              \
        .name = "json", .flag = &as_json, .help = "the answer as JSON"                             \
    }

static const struct cli_option restore_options[] = {
    {.name = "data", .value = &data, .shown = "FOLDER", .help = "the data folder to make"},
    {.name = "force", .flag = &force, .help = "replace the store that is there"},
    {.name = "quiet", .letter = 'q', .flag = &quiet, .help = "no progress"},
};
static const struct cli_command restore_command = {
    .name = "restore",
    .arguments = "SNAPSHOT",
    .help = "Copies a snapshot (its folder) into a data folder, checks every page and checksum "
            "of the copy, and\nputs it in place. The snapshot is not changed.",
    .options = restore_options,
    .option_count = sizeof restore_options / sizeof *restore_options,
};

static const struct cli_option compact_options[] = {SERVER_OPTION, JSON_OPTION};
static const struct cli_command compact_command = {
    .name = "compact",
    .arguments = "[FOLDER]",
    .help = "Moves the head into partitions, carries out deletions and rewrites each day into one "
            "run: of a\nrunning server (with --enable-admin-api), or of a data folder that none "
            "has open.",
    .options = compact_options,
    .option_count = sizeof compact_options / sizeof *compact_options,
};

static int ask(const struct cli_command *command, const char *path,
               void (*show)(const struct tw_json *answer))
{
    return cli_ask(command, server, TW_HTTP_POST, path, as_json, show);
}

static void show_progress(const char *path)
{
    fprintf(stderr, "%s\n", path);
}

int cli_restore(int argc, char **argv)
{
    int count, status;
    struct tw_err err;
    if (!cli_parse(&restore_command, argc, argv, &count, &status))
        return status;
    if (count != 1 || !data)
        return cli_fail(&restore_command, CLI_USAGE,
                        "which snapshot, and where to? tidewatch restore SNAPSHOT --data FOLDER");
    if (tsdb_restore_run(argv[1], data, force, quiet ? NULL : show_progress, &err) != TW_OK)
        return cli_fail(&restore_command, CLI_FAILED, "%s", err.message);
    printf("restored and verified: start the server with --data %s\n", data);
    return CLI_OK;
}

static void show_sizes(int64_t before, int64_t after)
{
    printf("%" PRId64 " bytes before, %" PRId64 " after\n", before, after);
}

static void show_compaction(const struct tw_json *answer)
{
    show_sizes(tw_json_int(tw_json_member(answer, "bytesBefore"), 0),
               tw_json_int(tw_json_member(answer, "bytesAfter"), 0));
}

static int compact_folder(const char *folder)
{
    struct tsdb_db *db;
    struct tw_err err;
    uint64_t before, after;
    char *catalog = tw_file_join(folder, "default/catalog.mdb");
    bool there = tw_file_exists(catalog);
    free(catalog);
    if (!there)
        return cli_fail(&compact_command, CLI_FAILED, "'%s' is no data folder", folder);
    const struct tsdb_db_options options = {.folder = folder, .manual = true};
    if (tsdb_db_open(&options, &db, &err) != TW_OK)
        return cli_fail(&compact_command, CLI_FAILED, "%s", err.message);
    enum tw_code code = tsdb_db_compact(db, &before, &after, &err);
    tsdb_db_close(db);
    if (code != TW_OK)
        return cli_fail(&compact_command, CLI_FAILED, "%s", err.message);
    if (as_json)
        printf("{\"bytesBefore\":%" PRIu64 ",\"bytesAfter\":%" PRIu64 "}\n", before, after);
    else
        show_sizes((int64_t)before, (int64_t)after);
    return CLI_OK;
}

int cli_compact(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&compact_command, argc, argv, &count, &status))
        return status;
    if (count > 1 || (count == 1 && server))
        return cli_fail(&compact_command, CLI_USAGE, "one folder, or a server");
    return count == 1 ? compact_folder(argv[1])
                      : ask(&compact_command, ADMIN "compact", show_compaction);
}
