/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/params.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/number.h"
#include "base/str.h"
#include "base/yaml.h"

enum type { TEXT, LIST, COUNT, DURATION, BYTES, SWITCH };

struct param {
    const char *flag;
    enum type type;
    const char *value; /* default, as it would be given */
    int64_t min, max;
    const char *shown, *help;
    size_t offset;
};

static const struct param table[] = {
#define PARAM(field, flag, type, value, min, max, shown, help)                                     \
    {flag, type, value, min, max, shown, help, offsetof(struct daemon_params, field)},
#include "daemon/params.tbl"
#undef PARAM
};
#define PARAM_COUNT (sizeof table / sizeof table[0])
static_assert(PARAM_COUNT <= 64, "daemon_params.given has a bit for each");

/* What stands for a feature in --enable-feature: ours, and Prometheus's names of what we know. Some
 * are always on here: exemplars, native histograms, duration expressions. */
static const char *const features[] = {"all-promql",
                                       "promql-experimental-functions",
                                       "promql-binop-fill-modifiers",
                                       "promql-delayed-name-removal",
                                       "promql-duration-expr",
                                       "promql-extended-range-selectors",
                                       "promql-per-step-stats",
                                       "type-and-unit-labels",
                                       "use-start-timestamps",
                                       "concurrent-rule-eval",
                                       "created-timestamp-zero-ingestion",
                                       "exemplar-storage",
                                       "native-histograms",
                                       "search-api",
                                       NULL};

static void *field_of(struct daemon_params *params, const struct param *param)
{
    return (char *)params + param->offset;
}

static enum tw_code set_bytes(const struct param *param, const char *text, uint64_t *field,
                              struct tw_err *err)
{
    /* The configuration's reader of sizes, on a mapping of one: the spelling is the same
     * everywhere. */
    struct tw_yaml key = {.kind = TW_YAML_SCALAR, .text = tw_str(param->flag)};
    struct tw_yaml value = {.kind = TW_YAML_SCALAR, .text = tw_str(text), .quoted = true};
    struct tw_yaml_pair pair = {.key = &key, .value = &value};
    struct tw_yaml mapping = {.kind = TW_YAML_MAPPING, .count = 1, .pairs = &pair};
    uint64_t bytes = 0;
    if (tw_yaml_get_bytes("", &mapping, param->flag, &bytes, NULL) != TW_OK)
        return tw_err_set(err, TW_CONFIG, "--%s takes a size such as 512MB or 2GiB, not '%s'",
                          param->flag, text);
    if (bytes < (uint64_t)param->min || bytes > (uint64_t)param->max)
        return tw_err_set(err, TW_CONFIG, "--%s must lie between %" PRId64 " and %" PRId64 " bytes",
                          param->flag, param->min, param->max);
    *field = bytes;
    return TW_OK;
}

static enum tw_code set_duration(const struct param *param, const char *text, int64_t *field,
                                 struct tw_err *err)
{
    struct tw_err reason;
    int64_t ms = 0;
    if (param->min == 0 && !strcmp(text, "off")) {
        *field = 0;
        return TW_OK;
    }
    if (tw_duration_parse(tw_str(text), &ms, &reason) != TW_OK)
        return tw_err_set(err, TW_CONFIG, "--%s takes a duration such as 30s or 15d%s: %s",
                          param->flag, param->min == 0 ? ", or off" : "", reason.message);
    if (ms < param->min || ms > param->max) {
        char min[TW_DURATION_BYTES], max[TW_DURATION_BYTES];
        tw_duration_format(param->min, min);
        tw_duration_format(param->max, max);
        return tw_err_set(err, TW_CONFIG, "--%s must lie between %s and %s, not %s", param->flag,
                          min, max, text);
    }
    *field = ms;
    return TW_OK;
}

static enum tw_code set_count(const struct param *param, const char *text, int64_t *field,
                              struct tw_err *err)
{
    int64_t count;
    if (!tw_int64_parse(tw_str(text), &count) || count < param->min || count > param->max)
        return tw_err_set(err, TW_CONFIG,
                          "--%s takes a whole number between %" PRId64 " and %" PRId64 ", not '%s'",
                          param->flag, param->min, param->max, text);
    *field = count;
    return TW_OK;
}

static enum tw_code set_switch(const struct param *param, const char *text, bool *field,
                               struct tw_err *err)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return tw_err_set(err, TW_CONFIG, "--%s takes true, false or nothing, not '%s'",
                          param->flag, text);
    *field = !strcmp(text, "true");
    return TW_OK;
}

static enum tw_code check_list(const struct param *param, const char *text, struct tw_err *err)
{
    struct tw_str rest = tw_str(text), name;
    while (tw_str_split(&rest, ',', &name)) {
        size_t i = 0;
        while (features[i] && !tw_str_is(name, features[i]))
            i++;
        if (features[i] || name.size == 0)
            continue;
        const char *nearest = tw_yaml_nearest(name, features);
        return tw_err_set(err, TW_CONFIG, "--%s: unknown feature '%.*s'%s%s%s", param->flag,
                          TW_STR_ARG(name), nearest ? "; did you mean '" : "",
                          nearest ? nearest : "", nearest ? "'?" : "");
    }
    return TW_OK;
}

static enum tw_code set_value(struct daemon_params *params, const struct param *param,
                              const char *text, struct tw_err *err)
{
    void *field = field_of(params, param);
    enum tw_log_level level;
    switch (param->type) {
    case LIST:
        *(const char **)field = text;
        return check_list(param, text, err);
    case TEXT:
        *(const char **)field = text;
        if (!strcmp(param->flag, "log-level") && !tw_log_parse_level(text, &level))
            return tw_err_set(err, TW_CONFIG,
                              "--log-level takes error, warn, info or debug, not '%s'", text);
        return TW_OK;
    case COUNT:
        return set_count(param, text, field, err);
    case DURATION:
        return set_duration(param, text, field, err);
    case BYTES:
        return set_bytes(param, text, field, err);
    case SWITCH:
        return set_switch(param, text, field, err);
    }
    TW_UNREACHABLE("a type that params.tbl does not name");
}

static enum tw_code unknown_flag(struct tw_str name, struct tw_err *err)
{
    const char *flags[PARAM_COUNT + 3] = {"help", "version"};
    for (size_t i = 0; i < PARAM_COUNT; i++)
        flags[i + 2] = table[i].flag;
    const char *nearest = tw_yaml_nearest(name, flags);
    if (nearest)
        return tw_err_set(err, TW_CONFIG, "unknown option --%.*s; did you mean --%s?",
                          TW_STR_ARG(name), nearest);
    return tw_err_set(err, TW_CONFIG, "unknown option --%.*s; --help lists all", TW_STR_ARG(name));
}

static enum tw_code parse_flag(int argc, const char *const *argv, int *at,
                               struct daemon_params *params, struct tw_err *err)
{
    const char *word = argv[*at];
    if (strncmp(word, "--", 2) != 0 || !word[2])
        return tw_err_set(err, TW_CONFIG, "unexpected argument '%s'; --help lists the options",
                          word);
    const char *equals = strchr(word, '=');
    struct tw_str name = {word + 2, equals ? (size_t)(equals - word) - 2 : strlen(word) - 2};
    size_t i = 0;
    while (i < PARAM_COUNT && !tw_str_is(name, table[i].flag))
        i++;
    if (i == PARAM_COUNT)
        return unknown_flag(name, err);
    const char *value = equals ? equals + 1 : "true";
    if (!equals && table[i].type != SWITCH) {
        if (*at + 1 >= argc)
            return tw_err_set(err, TW_CONFIG, "--%s needs a value: --%s %s", table[i].flag,
                              table[i].flag, table[i].shown);
        value = argv[++*at];
    }
    params->given |= (uint64_t)1 << i;
    return set_value(params, &table[i], value, err);
}

enum tw_code daemon_params_parse(int argc, const char *const *argv,
                                 struct daemon_params *ret_params,
                                 enum daemon_params_wish *ret_wish, struct tw_err *err)
{
    struct daemon_params params = {0};
    for (size_t i = 0; i < PARAM_COUNT; i++) {
        enum tw_code code = set_value(&params, &table[i], table[i].value, err);
        TW_ASSERT(code == TW_OK); /* the table's defaults are right */
    }
    for (int i = 1; i < argc; i++) {
        bool help = !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");
        if (help || !strcmp(argv[i], "--version")) {
            *ret_wish = help ? DAEMON_PARAMS_HELP : DAEMON_PARAMS_VERSION;
            return TW_OK;
        }
    }
    for (int i = 1; i < argc; i++) {
        enum tw_code code = parse_flag(argc, argv, &i, &params, err);
        if (code != TW_OK)
            return code;
    }
    *ret_params = params;
    *ret_wish = DAEMON_PARAMS_RUN;
    return TW_OK;
}

/* Words of text, wrapped to 78 columns behind an indent. */
static void append_wrapped(struct tw_buf *ret_text, const char *text, unsigned indent)
{
    struct tw_str rest = tw_str(text), word;
    unsigned column = 0;
    while (tw_str_split(&rest, ' ', &word)) {
        if (column == 0 || column + 1 + word.size > 78) {
            tw_buf_appendf(ret_text, "%s%*s", column ? "\n" : "", (int)indent, "");
            column = indent;
        } else {
            tw_buf_append_char(ret_text, ' ');
            column++;
        }
        tw_buf_append_str(ret_text, word);
        column += (unsigned)word.size;
    }
    tw_buf_append_char(ret_text, '\n');
}

void daemon_params_help(struct tw_buf *ret_text)
{
    tw_buf_append_cstr(
        ret_text, "usage: tidewatchd [OPTION ...]\n"
                  "Receives, stores and answers metrics; evaluates rules, notifies, forecasts, "
                  "scales.\nIt starts without any option or file.\n\n");
    for (size_t i = 0; i < PARAM_COUNT; i++) {
        const struct param *param = &table[i];
        tw_buf_appendf(ret_text, "  --%s%s%s", param->flag, *param->shown ? " " : "", param->shown);
        if (*param->value && param->type != SWITCH)
            tw_buf_appendf(ret_text, "  (default %s)", param->value);
        tw_buf_append_char(ret_text, '\n');
        append_wrapped(ret_text, param->help, 8);
    }
    tw_buf_append_cstr(ret_text,
                       "  --help\n        This text.\n  --version\n        The version.\n\n"
                       "SIGHUP or POST /-/reload reads the configuration again; SIGTERM "
                       "stops. Manual: tidewatchd(8).\n");
}

void daemon_params_each(const struct daemon_params *params,
                        void (*visit)(void *user, const char *flag, const char *value), void *user)
{
    for (size_t i = 0; i < PARAM_COUNT; i++) {
        const void *field = (const char *)params + table[i].offset;
        char text[TW_DURATION_BYTES] = "";
        const char *value = text;
        switch (table[i].type) {
        case TEXT:
        case LIST:
            value = *(const char *const *)field;
            break;
        case COUNT:
            snprintf(text, sizeof text, "%" PRId64, *(const int64_t *)field);
            break;
        case BYTES:
            snprintf(text, sizeof text, "%" PRIu64, *(const uint64_t *)field);
            break;
        case DURATION:
            tw_duration_format(*(const int64_t *)field, text);
            if (*(const int64_t *)field == 0 && table[i].min == 0)
                value = "off";
            break;
        case SWITCH:
            value = *(const bool *)field ? "true" : "false";
            break;
        }
        visit(user, table[i].flag, value);
    }
}

bool daemon_params_is_given(const struct daemon_params *params, const char *flag)
{
    size_t i = 0;
    while (i < PARAM_COUNT && strcmp(table[i].flag, flag) != 0)
        i++;
    TW_ASSERT(i < PARAM_COUNT);
    return params->given >> i & 1;
}

bool daemon_params_has(const char *list, const char *name)
{
    struct tw_str rest = tw_str(list), item;
    while (tw_str_split(&rest, ',', &item))
        if (tw_str_is(item, name))
            return true;
    return false;
}
