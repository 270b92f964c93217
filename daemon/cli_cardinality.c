/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch cardinality`: where the series of a server come from.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/number.h"
#include "daemon/cli_client.h"

static const char *server, *top, *match;
static bool as_json;

static const struct cli_option options[] = {
    {.name = "server", .letter = 's', .value = &server, .shown = "URL", .help = CLI_SERVER_HELP},
    {.name = "top",
     .letter = 'n',
     .value = &top,
     .shown = "COUNT",
     .help = "rows of each list (20)"},
    {.name = "match",
     .letter = 'm',
     .value = &match,
     .shown = "SELECTOR",
     .help = "only what it matches"},
    {.name = "json", .flag = &as_json, .help = "the answer as JSON"},
};
static const struct cli_command command = {
    .name = "cardinality",
    .arguments = "",
    .help = "Says where the active series of a server come from, the largest first: by metric (and "
            "how it grew\nsince yesterday), by label name, by label and value, by source (job and "
            "instance), and how many\nseries each day of the last week had.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

static int64_t number(const struct tw_json *object, const char *name)
{
    return tw_json_int(tw_json_member(object, name), 0);
}

static struct tw_str text(const struct tw_json *object, const char *name)
{
    return tw_json_string(tw_json_member(object, name), (struct tw_str){0});
}

static void show_metrics(const struct tw_json *data)
{
    const struct tw_json *list = tw_json_member(data, "metrics");
    printf("\n%12s %12s  METRIC (%" PRId64 ")\n", "SERIES", "GROWTH",
           number(tw_json_member(data, "totals"), "metrics"));
    for (size_t i = 0; i < tw_json_count(list); i++) {
        const struct tw_json *item = tw_json_item(list, i);
        char growth[32] = "-"; /* there is no day before */
        if (tw_json_member(item, "growth"))
            snprintf(growth, sizeof growth, "%+" PRId64, number(item, "growth"));
        printf("%12" PRId64 " %12s  %.*s\n", number(item, "series"), growth,
               TW_STR_ARG(text(item, "name")));
    }
}

static void show_labels(const struct tw_json *data)
{
    const struct tw_json *list = tw_json_member(data, "labels");
    printf("\n%12s %12s  LABEL (%" PRId64 ")\n", "VALUES", "SERIES",
           number(tw_json_member(data, "totals"), "labels"));
    for (size_t i = 0; i < tw_json_count(list); i++) {
        const struct tw_json *item = tw_json_item(list, i);
        printf("%12" PRId64 " %12" PRId64 "  %.*s\n", number(item, "values"),
               number(item, "series"), TW_STR_ARG(text(item, "name")));
    }
}

static void show_sources(const struct tw_json *data)
{
    const struct tw_json *list = tw_json_member(data, "sources");
    printf("\n%12s  SOURCE (%" PRId64 ")\n", "SERIES",
           number(tw_json_member(data, "totals"), "sources"));
    for (size_t i = 0; i < tw_json_count(list); i++) {
        const struct tw_json *item = tw_json_item(list, i);
        printf("%12" PRId64 "  job=\"%.*s\" instance=\"%.*s\"\n", number(item, "series"),
               TW_STR_ARG(text(item, "job")), TW_STR_ARG(text(item, "instance")));
    }
}

static void show_pairs(const struct tw_json *data)
{
    const struct tw_json *list = tw_json_member(data, "pairs");
    printf("\n%12s  LABEL AND VALUE (%" PRId64 ")\n", "SERIES",
           number(tw_json_member(data, "totals"), "pairs"));
    for (size_t i = 0; i < tw_json_count(list); i++) {
        const struct tw_json *item = tw_json_item(list, i);
        printf("%12" PRId64 "  %.*s=\"%.*s\"\n", number(item, "series"),
               TW_STR_ARG(text(item, "name")), TW_STR_ARG(text(item, "value")));
    }
}

static void show_days(const struct tw_json *data)
{
    const struct tw_json *list = tw_json_member(data, "days");
    if (tw_json_count(list) == 0)
        return;
    printf("\n%12s  DAY (UTC)\n", "SERIES");
    for (size_t i = 0; i < tw_json_count(list); i++) {
        const struct tw_json *item = tw_json_item(list, i);
        printf("%12" PRId64 "  %.*s\n", number(item, "series"), TW_STR_ARG(text(item, "day")));
    }
}

static void show(const struct tw_json *data)
{
    printf("%" PRId64 " active series", number(data, "active"));
    if (number(data, "limit") > 0)
        printf(", the limit is %" PRId64, number(data, "limit"));
    if (number(data, "sourceLimit") > 0)
        printf(", of one source %" PRId64, number(data, "sourceLimit"));
    if (match)
        printf("; %" PRId64 " match", number(data, "matched"));
    putchar('\n');
    show_metrics(data);
    show_labels(data);
    show_pairs(data);
    show_sources(data);
    show_days(data);
}

int cli_cardinality(int argc, char **argv)
{
    int count, status;
    int64_t rows;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count != 0)
        return cli_fail(&command, CLI_USAGE, "takes no argument; --match SELECTOR counts a part");
    if (top && (!tw_int64_parse(tw_str(top), &rows) || rows < 1))
        return cli_fail(&command, CLI_USAGE, "--top takes a number above 0, not '%s'", top);
    struct tw_buf form, path;
    tw_buf_init(&form, 65536);
    tw_buf_init(&path, 65536);
    if (top)
        cli_append_encoded(&form, "top", tw_str(top));
    if (match)
        cli_append_encoded(&form, "match[]", tw_str(match));
    tw_buf_appendf(&path, "/api/v1/cardinality%s%.*s", form.size ? "?" : "",
                   TW_STR_ARG(tw_buf_str(&form)));
    status = path.overflow || form.overflow
                 ? cli_fail(&command, CLI_USAGE, "the selector is too long")
                 : cli_ask(&command, server, TW_HTTP_GET, tw_buf_cstr(&path), as_json, show);
    tw_buf_fini(&path);
    tw_buf_fini(&form);
    return status;
}
