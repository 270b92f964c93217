/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch scaler`: what the scalers of a server do, and why one did what it did.
 */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/number.h"
#include "daemon/cli_client.h"

static const char *server;
static bool as_json;

static const struct cli_option options[] = {
    {.name = "server", .letter = 's', .value = &server, .shown = "URL", .help = CLI_SERVER_HELP},
    {.name = "json", .flag = &as_json, .help = "the answer as JSON"},
};
static const struct cli_command command = {
    .name = "scaler",
    .arguments = "[explain NAME [TIME]]",
    .help = "Lists the scalers of a server, with what each decided last; or explains a decision: "
            "what was known,\nwhat was forecast, which guard changed the number, and what became "
            "of it. TIME is in Unix seconds or\nRFC 3339; without it the last decision is "
            "explained.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

static struct tw_str text_of(const struct tw_json *object, const char *key)
{
    return tw_json_string(tw_json_member(object, key), TW_STR(""));
}

static double number_of(const struct tw_json *object, const char *key)
{
    return tw_json_number(tw_json_member(object, key), NAN);
}

/* "-" for what is not known. */
static const char *shown(double value, char *ret_text, size_t bytes)
{
    if (isnan(value))
        return "-";
    snprintf(ret_text, bytes, "%.6g", value);
    return ret_text;
}

static void show_time(const char *what, double seconds)
{
    char text[TW_CLOCK_RFC3339_BYTES];
    if (isnan(seconds))
        return;
    tw_clock_format_rfc3339((int64_t)llround(seconds * 1000), text);
    printf("%s%s", what, text);
}

static void show_list(const struct tw_json *data)
{
    const struct tw_json *scalers = tw_json_member(data, "scalers");
    printf("%-20s %-8s %-9s %-11s %8s %8s  %s\n", "NAME", "MODE", "HEALTH", "TARGET", "FROM", "TO",
           "REASON");
    for (size_t i = 0; i < tw_json_count(scalers); i++) {
        const struct tw_json *scaler = tw_json_item(scalers, i);
        const struct tw_json *decision = tw_json_member(scaler, "decision");
        struct tw_str target = text_of(tw_json_member(scaler, "target"), "type");
        struct tw_str why = text_of(scaler, "error");
        char from[32], to[32];
        if (why.size == 0)
            why = text_of(decision, "reason");
        printf("%-20.*s %-8.*s %-9.*s %-11.*s %8s %8s  %.*s\n", TW_STR_ARG(text_of(scaler, "name")),
               TW_STR_ARG(text_of(scaler, "mode")), TW_STR_ARG(text_of(scaler, "health")),
               target.size ? (int)target.size : 1, target.size ? target.data : "-",
               shown(number_of(decision, "from"), from, sizeof from),
               shown(number_of(decision, "to"), to, sizeof to), TW_STR_ARG(why));
    }
}

static void show_pair(const char *name, double value, const char *unit)
{
    char text[32];
    printf("  %-22s%s%s%s\n", name, shown(value, text, sizeof text), isnan(value) ? "" : " ", unit);
}

static void show_guards(const struct tw_json *guards)
{
    printf("\nGuards that changed the number\n");
    if (tw_json_count(guards) == 0)
        printf("  none\n");
    for (size_t i = 0; i < tw_json_count(guards); i++) {
        const struct tw_json *guard = tw_json_item(guards, i);
        printf("  %-15.*s %6" PRId64 " -> %-6" PRId64 " %.*s\n",
               TW_STR_ARG(text_of(guard, "guard")), tw_json_int(tw_json_member(guard, "before"), 0),
               tw_json_int(tw_json_member(guard, "after"), 0), TW_STR_ARG(text_of(guard, "text")));
    }
}

static void show_action(const struct tw_json *action)
{
    struct tw_str status = text_of(action, "status"), error = text_of(action, "error");
    int64_t attempts = tw_json_int(tw_json_member(action, "attempts"), 0);
    printf("\nWhat became of it\n  %.*s", TW_STR_ARG(status));
    if (attempts > 0)
        printf(", %" PRId64 " attempt%s", attempts, attempts == 1 ? "" : "s");
    show_time(", last at ", number_of(action, "time"));
    if (error.size > 0)
        printf("\n  %.*s", TW_STR_ARG(error));
    printf("\n");
}

static void show_decision(const struct tw_json *data)
{
    const struct tw_json *decisions = tw_json_member(data, "decisions");
    const struct tw_json *decision = tw_json_item(decisions, 0);
    const struct tw_json *forecast = tw_json_member(decision, "forecast");
    char from[32], to[32], name[48];
    if (decision == NULL) {
        printf("nothing had been decided then\n");
        return;
    }
    double count = number_of(decision, "count");
    printf("%s -> %s replicas", shown(number_of(decision, "from"), from, sizeof from),
           shown(number_of(decision, "to"), to, sizeof to));
    show_time(", decided at ", number_of(decision, "since"));
    if (count > 1) {
        printf(", and the same %.0f times", count - 1);
        show_time(" until ", number_of(decision, "time"));
    }
    printf("\n%.*s\n", TW_STR_ARG(text_of(decision, "reason")));
    printf("\nWhat was known\n  %-22s%.*s\n", "data", TW_STR_ARG(text_of(decision, "data")));
    show_pair("load", number_of(decision, "load"), "");
    show_pair("capacity of a replica", number_of(decision, "capacity_per_replica"), "");
    show_pair("replicas asked for", number_of(decision, "replicas"), "");
    show_pair("replicas that serve", number_of(decision, "ready"), "");
    show_pair("start-up time", number_of(decision, "startup_seconds"), "s");
    printf("\nWhat was forecast (the highest load within %g s)\n",
           tw_json_number(tw_json_member(forecast, "horizon_s"), 0));
    show_pair("median", number_of(forecast, "q50"), "");
    show_pair("95 %", number_of(forecast, "q95"), "");
    snprintf(name, sizeof name, "used (%g %%)",
             100 * tw_json_number(tw_json_member(forecast, "quantile"), 0));
    show_pair(name, number_of(forecast, "used"), "");
    printf("\nWhat follows\n");
    show_pair("the load now needs", number_of(decision, "reactive"), "replicas");
    show_pair("the forecast wants", number_of(decision, "wanted"), "replicas");
    printf("  %-22s%g to %g\n", "allowed", number_of(decision, "min"), number_of(decision, "max"));
    show_guards(tw_json_member(decision, "guards"));
    show_action(tw_json_member(decision, "action"));
}

int cli_scaler(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count == 0)
        return cli_ask(&command, server, TW_HTTP_GET, "/api/v1/scalers", as_json, show_list);
    if (strcmp(argv[1], "explain") != 0 || count < 2 || count > 3)
        return cli_fail(&command, CLI_USAGE,
                        "tidewatch scaler, or tidewatch scaler explain NAME [TIME]");
    struct tw_buf name, query, path;
    tw_buf_init(&name, 4096);
    tw_buf_init(&query, 4096);
    tw_buf_init(&path, 16384);
    cli_append_encoded(&name, "", tw_str(argv[2]));
    cli_append_encoded(&query, "limit", TW_STR("1"));
    if (count == 3)
        cli_append_encoded(&query, "time", tw_str(argv[3]));
    /* The encoded name without the "=" that an unnamed pair begins with. */
    tw_buf_appendf(&path, "/api/v1/scalers/%s/decisions?%.*s", tw_buf_cstr(&name) + 1,
                   TW_STR_ARG(tw_buf_str(&query)));
    if (name.overflow || query.overflow || path.overflow)
        status = cli_fail(&command, CLI_USAGE, "the name or the time is too long");
    else
        status = cli_ask(&command, server, TW_HTTP_GET, tw_buf_cstr(&path), as_json, show_decision);
    tw_buf_fini(&name);
    tw_buf_fini(&query);
    tw_buf_fini(&path);
    return status;
}
