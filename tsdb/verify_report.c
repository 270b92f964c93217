/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_report: what a verification found, as plain data and as JSON.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "tsdb/verify_int.h"

const char *tsdb_verify_kind_text(enum tsdb_verify_kind kind)
{
    static const char *const texts[] = {"segment", "partition", "catalog", "state", "exemplars"};
    return texts[kind];
}

struct tsdb_verify_file *tsdb_verify_report_add(struct tsdb_verify_report *report,
                                                enum tsdb_verify_kind kind, const char *below,
                                                const char *name)
{
    report->files = realloc(report->files, (report->count + 1) * sizeof *report->files);
    TW_ASSERT(report->files != NULL);
    struct tsdb_verify_file *file = &report->files[report->count++];
    *file = (struct tsdb_verify_file){.kind = kind};
    snprintf(file->path, sizeof file->path, "%s/%s", below, name);
    return file;
}

void tsdb_verify_sum(struct tsdb_verify_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        report->damaged += report->files[i].finding_count > 0;
        report->bytes += report->files[i].bytes;
        report->series += report->files[i].series;
        report->samples += report->files[i].samples;
        report->exemplars += report->files[i].exemplars;
    }
}

void tsdb_verify_report_fini(struct tsdb_verify_report *report)
{
    free(report->files);
    *report = (struct tsdb_verify_report){.files = NULL};
}

/* ---- as JSON ---- */

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

void tsdb_verify_report_write(const struct tsdb_verify_report *report, struct tw_json_writer *json)
{
    tw_json_begin_object(json);
    tw_json_member_int(json, "fileCount", (int64_t)report->count);
    tw_json_member_int(json, "damagedCount", (int64_t)report->damaged);
    tw_json_member_int(json, "samples", (int64_t)report->samples);
    tw_json_member_int(json, "exemplars", (int64_t)report->exemplars);
    tw_json_member_int(json, "bytes", (int64_t)report->bytes);
    tw_json_key(json, TW_STR("files"));
    tw_json_begin_array(json);
    for (size_t i = 0; i < report->count; i++)
        write_file(json, &report->files[i]);
    tw_json_end_array(json);
    tw_json_end_object(json);
}

static uint64_t read_count(const struct tw_json *object, const char *key)
{
    return (uint64_t)tw_json_int(tw_json_member(object, key), 0);
}

static enum tw_code read_file(const struct tw_json *object, struct tsdb_verify_report *report,
                              struct tw_err *err)
{
    struct tw_str path = tw_json_string(tw_json_member(object, "path"), (struct tw_str){0});
    struct tw_str kind = tw_json_string(tw_json_member(object, "kind"), (struct tw_str){0});
    int number = 0;
    while (number <= TSDB_VERIFY_EXEMPLARS &&
           !tw_str_is(kind, tsdb_verify_kind_text((enum tsdb_verify_kind)number)))
        number++;
    if (path.size == 0 || number > TSDB_VERIFY_EXEMPLARS)
        return tw_err_set(err, TW_BAD_DATA,
                          "the report has a file without a path or of kind '%.*s'",
                          TW_STR_ARG(kind));
    struct tsdb_verify_file *file =
        tsdb_verify_report_add(report, (enum tsdb_verify_kind)number, "", "");
    snprintf(file->path, sizeof file->path, "%.*s", TW_STR_ARG(path));
    file->bytes = read_count(object, "bytes");
    file->values = read_count(object, "values");
    file->series = read_count(object, "series");
    file->samples = read_count(object, "samples");
    file->exemplars = read_count(object, "exemplars");
    file->first_ms = tw_json_int(tw_json_member(object, "firstMs"), 0);
    file->last_ms = tw_json_int(tw_json_member(object, "lastMs"), 0);
    const struct tw_json *findings = tw_json_member(object, "findings");
    for (size_t i = 0; i < tw_json_count(findings); i++)
        tsdb_verify_find(file, "%.*s",
                         TW_STR_ARG(tw_json_string(tw_json_item(findings, i), TW_STR("?"))));
    file->finding_count = read_count(object, "findingCount");
    return TW_OK;
}

enum tw_code tsdb_verify_report_read(const struct tw_json *json, struct tsdb_verify_report *ret,
                                     struct tw_err *err)
{
    const struct tw_json *files = tw_json_member(json, "files");
    struct tsdb_verify_report report = {.files = NULL};
    enum tw_code code = TW_OK;
    if (tw_json_type(files) != TW_JSON_ARRAY)
        return tw_err_set(err, TW_BAD_DATA, "the report has no files");
    for (size_t i = 0; i < tw_json_count(files) && code == TW_OK; i++)
        code = read_file(tw_json_item(files, i), &report, err);
    if (code != TW_OK) {
        tsdb_verify_report_fini(&report);
        return code;
    }
    tsdb_verify_sum(&report);
    *ret = report;
    return TW_OK;
}
