/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch verify`: whether the store in a folder is whole, and what can still be read of it;
 * with --salvage, a new store of that.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "daemon/cli.h"
#include "tsdb/verify.h"

static const char *salvage_to;
static bool as_json, quiet, salvage;

static const struct cli_option options[] = {
    {.name = "salvage", .flag = &salvage, .help = "copy all that is readable to a new folder"},
    {.name = "to", .value = &salvage_to, .shown = "FOLDER", .help = "the new folder"},
    {.name = "json", .flag = &as_json, .help = "the report as JSON"},
    {.name = "quiet", .letter = 'q', .flag = &quiet, .help = "no progress, damaged files only"},
};

static const struct cli_command command = {
    .name = "verify",
    .arguments = "FOLDER",
    .help =
        "Checks the store in a data folder that no server has open: every page and checksum of "
        "every\nfile, and that strings, series, postings, blocks, columns and runs agree. Says "
        "what is damaged\nand what can still be read. Nothing is changed.\n\n"
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

static void write_file(struct tw_json_writer *json, const struct tsdb_verify_file *file)
{
    tw_json_begin_object(json);
    tw_json_member_cstr(json, "path", file->path);
    tw_json_member_cstr(json, "kind", tsdb_verify_kind_text(file->kind));
    tw_json_member_bool(json, "damaged", file->finding_count > 0);
    tw_json_member_int(json, "bytes", (int64_t)file->bytes);
    tw_json_member_int(json, "values", (int64_t)file->values);
    tw_json_member_int(json, "series", (int64_t)file->series);
    tw_json_member_int(json, "samples", (int64_t)file->samples);
    tw_json_member_int(json, "exemplars", (int64_t)file->exemplars);
    if (file->samples > 0) {
        tw_json_member_int(json, "firstMs", file->first_ms);
        tw_json_member_int(json, "lastMs", file->last_ms);
    }
    tw_json_member_int(json, "findingCount", (int64_t)file->finding_count);
    tw_json_key(json, TW_STR("findings"));
    tw_json_begin_array(json);
    for (uint64_t i = 0; i < file->finding_count && i < TSDB_VERIFY_FINDINGS_MAX; i++)
        tw_json_write_cstr(json, file->findings[i]);
    tw_json_end_array(json);
    tw_json_end_object(json);
}

static void print_json(const struct tsdb_verify_report *report)
{
    struct tw_buf out;
    struct tw_json_writer json;
    tw_buf_init(&out, OUT_BYTES_MAX);
    tw_json_writer_init(&json, &out);
    tw_json_begin_object(&json);
    tw_json_member_int(&json, "fileCount", (int64_t)report->count);
    tw_json_member_int(&json, "damagedCount", (int64_t)report->damaged);
    tw_json_member_int(&json, "samples", (int64_t)report->samples);
    tw_json_member_int(&json, "exemplars", (int64_t)report->exemplars);
    tw_json_member_int(&json, "bytes", (int64_t)report->bytes);
    tw_json_key(&json, TW_STR("files"));
    tw_json_begin_array(&json);
    for (size_t i = 0; i < report->count; i++)
        write_file(&json, &report->files[i]);
    tw_json_end_array(&json);
    tw_json_end_object(&json);
    tw_buf_append_char(&out, '\n');
    fwrite(out.data, 1, out.size, stdout);
    tw_buf_fini(&out);
}

int cli_verify(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count != 1)
        return cli_fail(&command, CLI_USAGE, "which folder? see tidewatch verify --help");
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
    if (as_json)
        print_json(&report);
    else
        print_text(&report);
    if (salvage && !as_json)
        printf("salvaged into '%s': check it, then start the server with --data %s\n", salvage_to,
               salvage_to);
    status = report.damaged ? CLI_FAILED : CLI_OK;
    tsdb_verify_report_fini(&report);
    return status;
}
