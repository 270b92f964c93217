/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch verify`: whether the store in a folder, or of a running server, is whole, and what can
 * still be read of it; with --salvage, a new store of that.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "daemon/cli_client.h"
#include "tsdb/verify.h"

static const char *salvage_to, *server;
static bool as_json, quiet, salvage;
static int answered = CLI_OK; /* what a server's report says */

static const struct cli_option options[] = {
    {.name = "salvage", .flag = &salvage, .help = "copy all that is readable to a new folder"},
    {.name = "to", .value = &salvage_to, .shown = "FOLDER", .help = "the new folder"},
    {.name = "server",
     .letter = 's',
     .value = &server,
     .shown = "URL",
     .help = "the store of a running server, with --enable-admin-api; no FOLDER then"},
    {.name = "json", .flag = &as_json, .help = "the report as JSON"},
    {.name = "quiet", .letter = 'q', .flag = &quiet, .help = "no progress, damaged files only"},
};

static const struct cli_command command = {
    .name = "verify",
    .arguments = "[FOLDER]",
    .help =
        "Checks the store in a data folder that no server has open: every page and checksum of "
        "every\nfile, and that strings, series, postings, blocks, columns and runs agree. Says "
        "what is damaged\nand what can still be read. Nothing is changed.\n\n"
        "With --server URL, asks a running server to look at its own store; writes and queries go "
        "on.\n\n"
        "With --salvage --to NEWFOLDER, makes a new store of everything that can be read.\n\n"
        "Exit status: 0 all is whole, 1 something is damaged, 2 wrong use, no store, or in use.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

#define OUT_BYTES_MAX ((size_t)1 << 30)

static void show_progress(void *user, const char *path, size_t index, size_t count)
{
    (void)user;
    fprintf(stderr, "%zu/%zu %s\n", index + 1, count, path);
}

static void describe(const struct tsdb_verify_file *file, char *ret_text, size_t size)
{
    char first[TW_CLOCK_RFC3339_BYTES], last[TW_CLOCK_RFC3339_BYTES];
    if (file->kind == TSDB_VERIFY_CATALOG || file->kind == TSDB_VERIFY_STATE) {
        snprintf(ret_text, size, "%" PRIu64 " records", file->values);
        return;
    }
    if (file->kind == TSDB_VERIFY_EXEMPLARS) {
        snprintf(ret_text, size, "%" PRIu64 " exemplars of %" PRIu64 " series", file->exemplars,
                 file->series);
        return;
    }
    int used = snprintf(ret_text, size, "%" PRIu64 " series, %" PRIu64 " samples", file->series,
                        file->samples);
    if (file->exemplars > 0 && used >= 0 && (size_t)used < size)
        used += snprintf(ret_text + used, size - (size_t)used, ", %" PRIu64 " exemplars",
                         file->exemplars);
    if (file->samples == 0 || used < 0 || (size_t)used >= size)
        return;
    tw_clock_format_rfc3339(file->first_ms, first);
    tw_clock_format_rfc3339(file->last_ms, last);
    snprintf(ret_text + used, size - (size_t)used, ", %s to %s", first, last);
}

static void print_text(const struct tsdb_verify_report *report)
{
    char text[256];
    for (size_t i = 0; i < report->count; i++) {
        const struct tsdb_verify_file *file = &report->files[i];
        if (file->finding_count == 0 && quiet)
            continue;
        describe(file, text, sizeof text);
        printf("%-8s %s (%s, %" PRIu64 " bytes): %s%s\n", file->finding_count ? "DAMAGED" : "ok",
               file->path, tsdb_verify_kind_text(file->kind), file->bytes,
               file->finding_count ? "readable: " : "", text);
        for (uint64_t j = 0; j < file->finding_count && j < TSDB_VERIFY_FINDINGS_MAX; j++)
            printf("           %s\n", file->findings[j]);
        if (file->finding_count > TSDB_VERIFY_FINDINGS_MAX)
            printf("           and %" PRIu64 " more\n",
                   file->finding_count - TSDB_VERIFY_FINDINGS_MAX);
    }
    printf("%zu files, %zu damaged, %" PRIu64 " samples, %" PRIu64 " exemplars, %" PRIu64
           " bytes\n",
           report->count, report->damaged, report->samples, report->exemplars, report->bytes);
}

static void print_json(const struct tsdb_verify_report *report)
{
    struct tw_buf out;
    struct tw_json_writer json;
    tw_buf_init(&out, OUT_BYTES_MAX);
    tw_json_writer_init(&json, &out);
    tsdb_verify_report_write(report, &json);
    tw_buf_append_char(&out, '\n');
    fwrite(out.data, 1, out.size, stdout);
    tw_buf_fini(&out);
}

static void print_report(const struct tsdb_verify_report *report)
{
    if (as_json)
        print_json(report);
    else
        print_text(report);
}

static void show_answer(const struct tw_json *data)
{
    struct tsdb_verify_report report;
    struct tw_err err;
    if (tsdb_verify_report_read(data, &report, &err) != TW_OK) {
        answered = cli_fail(&command, CLI_USAGE, "%s", err.message);
        return;
    }
    print_report(&report);
    answered = report.damaged ? CLI_FAILED : CLI_OK;
    tsdb_verify_report_fini(&report);
}

/* What could not be looked at is not said to be damaged: another status. */
static int verify_server(void)
{
    return cli_ask(&command, server, TW_HTTP_POST, "/api/v1/admin/tsdb/verify", false,
                   show_answer) == CLI_OK
               ? answered
               : CLI_USAGE;
}

int cli_verify(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (server && (count != 0 || salvage || salvage_to))
        return cli_fail(&command, CLI_USAGE,
                        "a server looks at its own store: no FOLDER, no --salvage");
    if (server)
        return verify_server();
    if (count != 1)
        return cli_fail(&command, CLI_USAGE,
                        "which folder, or which --server? see tidewatch verify --help");
    if (salvage != (salvage_to != NULL))
        return cli_fail(&command, CLI_USAGE, "--salvage and --to FOLDER belong together");
    struct tsdb_verify_options verify = {.folder = argv[1],
                                         .progress = quiet ? NULL : show_progress};
    struct tsdb_verify_report report;
    struct tw_err err;
    enum tw_code code = salvage ? tsdb_salvage_run(&verify, salvage_to, &report, &err)
                                : tsdb_verify_run(&verify, &report, &err);
    if (code != TW_OK)
        return cli_fail(&command, CLI_USAGE, "%s", err.message);
    print_report(&report);
    if (salvage && !as_json)
        printf("salvaged into '%s': check it, then start the server with --data %s\n", salvage_to,
               salvage_to);
    status = report.damaged ? CLI_FAILED : CLI_OK;
    tsdb_verify_report_fini(&report);
    return status;
}
