/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch scaler`: what the scalers of a server do, why one did what it did, and pauses.
 */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/number.h"
#include "daemon/cli_client.h"

static const char *server, *direction, *span, *reason, *limit;
static bool as_json;

static const struct cli_option options[] = {
    CLI_CLIENT_OPTIONS(server, as_json),
    {.name = "direction",
     .value = &direction,
     .shown = "WORD",
     .help = "of pause and resume: in, out or both (default)"},
    {.name = "for",
     .value = &span,
     .shown = "DURATION",
     .help = "of pause and set: how long; without it until it is taken back"},
    {.name = "reason",
     .value = &reason,
     .shown = "TEXT",
     .help = "of pause and set: why; stands in the audit log"},
    {.name = "limit", .value = &limit, .shown = "COUNT", .help = "of audit: entries, default 100"},
};
static const struct cli_command command = {
    .name = "scaler",
    .arguments =
        "[explain NAME [TIME] | pause NAME | resume NAME | set NAME REPLICAS | audit [NAME]]",
    .help =
        "Lists the scalers of a server, with what each decided last.\n"
        "explain: what was known, what was forecast, which guard changed the number, and what\n"
        "became of it. TIME is in Unix seconds or RFC 3339; without it the last decision is\n"
        "explained, with what holds the scaler now.\n"
        "pause: no scale-in, no scale-out, or neither, whatever the load says; resume: it goes\n"
        "on. set: there shall be so many replicas. All three outlive restarts.\n"
        "audit: who changed what, and what was done to targets, the newest first.",
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

static const char *paused_of(const struct tw_json *scaler)
{
    const struct tw_json *paused = tw_json_member(scaler, "paused");
    bool in = tw_json_type(tw_json_member(paused, "in")) == TW_JSON_OBJECT;
    bool out = tw_json_type(tw_json_member(paused, "out")) == TW_JSON_OBJECT;
    if (tw_json_type(tw_json_member(scaler, "set")) == TW_JSON_OBJECT)
        return "[set by hand] ";
    return in && out ? "[paused] " : in ? "[scale-in paused] " : out ? "[scale-out paused] " : "";
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
        printf("%-20.*s %-8.*s %-9.*s %-11.*s %8s %8s  %s%.*s\n",
               TW_STR_ARG(text_of(scaler, "name")), TW_STR_ARG(text_of(scaler, "mode")),
               TW_STR_ARG(text_of(scaler, "health")), target.size ? (int)target.size : 1,
               target.size ? target.data : "-",
               shown(number_of(decision, "from"), from, sizeof from),
               shown(number_of(decision, "to"), to, sizeof to), paused_of(scaler), TW_STR_ARG(why));
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

static void show_allocation(const struct tw_json *allocation)
{
    const struct tw_json *shares = tw_json_member(allocation, "shares");
    char before[32], after[32];
    if (tw_json_count(shares) == 0)
        return;
    printf("\nWhere they go");
    double cost = number_of(allocation, "cost_per_hour");
    if (!isnan(cost))
        printf(", at %.4g an hour", cost);
    struct tw_str text = text_of(allocation, "text");
    printf("\n");
    if (text.size > 0)
        printf("  %.*s\n", TW_STR_ARG(text));
    for (size_t i = 0; i < tw_json_count(shares); i++) {
        const struct tw_json *share = tw_json_item(shares, i);
        printf("  %-15.*s %6s -> %-6s %.*s\n", TW_STR_ARG(text_of(share, "name")),
               shown(number_of(share, "before"), before, sizeof before),
               shown(number_of(share, "after"), after, sizeof after),
               TW_STR_ARG(text_of(share, "why")));
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

static void show_effect(const struct tw_json *outcome)
{
    if (tw_json_type(outcome) != TW_JSON_OBJECT)
        return;
    double serving = number_of(outcome, "serving");
    printf("\nWhat came of it\n  %.*s", TW_STR_ARG(text_of(outcome, "verdict")));
    show_time(": from ", number_of(outcome, "from"));
    show_time(" to ", number_of(outcome, "until"));
    printf("\n  %" PRId64 " of %" PRId64 " looks with more load than the replicas carry",
           tw_json_int(tw_json_member(outcome, "overloaded_looks"), 0),
           tw_json_int(tw_json_member(outcome, "looks"), 0));
    if (!isnan(number_of(outcome, "load")))
        printf("; at the narrowest %g of %g", number_of(outcome, "load"),
               number_of(outcome, "capacity"));
    if (!isnan(serving))
        printf("; %g served in the end", serving);
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
    show_allocation(tw_json_member(decision, "allocation"));
    show_action(tw_json_member(decision, "action"));
    show_effect(tw_json_member(decision, "outcome"));
}

/* ---- what holds it now ---- */

static void show_pause(const char *what, const struct tw_json *pause)
{
    if (tw_json_type(pause) != TW_JSON_OBJECT)
        return;
    double replicas = number_of(pause, "replicas");
    printf("  %s", what);
    if (!isnan(replicas))
        printf(" to %g", replicas);
    show_time(" since ", number_of(pause, "since"));
    show_time(" until ", number_of(pause, "until"));
    printf(" by %.*s: %.*s\n", TW_STR_ARG(text_of(pause, "who")),
           TW_STR_ARG(text_of(pause, "reason")));
}

static void show_pauses(const struct tw_json *data)
{
    const struct tw_json *paused = tw_json_member(data, "paused");
    show_pause("scale-in is paused", tw_json_member(paused, "in"));
    show_pause("scale-out is paused", tw_json_member(paused, "out"));
    show_pause("set", tw_json_member(data, "set"));
}

static void show_recovery(const struct tw_json *recovery)
{
    const struct tw_json *patients = tw_json_member(recovery, "patients");
    struct tw_str held = text_of(recovery, "held");
    if (tw_json_type(recovery) != TW_JSON_OBJECT)
        return;
    printf("  recovery (%.*s): %" PRId64 " of %" PRId64 " instances fail%s%.*s\n",
           TW_STR_ARG(text_of(recovery, "mode")),
           tw_json_int(tw_json_member(recovery, "failing"), 0),
           tw_json_int(tw_json_member(recovery, "instances"), 0), held.size ? "; " : "",
           TW_STR_ARG(held));
    for (size_t i = 0; i < tw_json_count(patients); i++) {
        const struct tw_json *patient = tw_json_item(patients, i);
        printf("    %.*s: %.*s", TW_STR_ARG(text_of(patient, "instance")),
               TW_STR_ARG(text_of(patient, "state")));
        show_time(" since ", number_of(patient, "since"));
        printf("\n");
    }
}

static void show_now(const struct tw_json *data)
{
    const struct tw_json *verification = tw_json_member(data, "verification");
    struct tw_str error = text_of(verification, "error");
    printf("\nNow\n  mode %.*s, health %.*s", TW_STR_ARG(text_of(data, "mode")),
           TW_STR_ARG(text_of(data, "health")));
    if (!tw_str_is(text_of(verification, "status"), "none"))
        printf(", the last order is %.*s%s%.*s", TW_STR_ARG(text_of(verification, "status")),
               error.size ? ": " : "", TW_STR_ARG(error));
    printf("\n");
    show_pauses(data);
    show_recovery(tw_json_member(data, "recovery"));
}

static void show_changed(const struct tw_json *data)
{
    printf("%.*s\n", TW_STR_ARG(text_of(data, "name")));
    show_pauses(data);
    if (tw_json_type(tw_json_member(tw_json_member(data, "paused"), "in")) != TW_JSON_OBJECT &&
        tw_json_type(tw_json_member(tw_json_member(data, "paused"), "out")) != TW_JSON_OBJECT &&
        tw_json_type(tw_json_member(data, "set")) != TW_JSON_OBJECT)
        printf("  nothing is paused\n");
}

/* One line, whatever the text holds. */
static void print_line(struct tw_str text)
{
    for (size_t i = 0; i < text.size; i++)
        putchar((unsigned char)text.data[i] < ' ' ? ' ' : text.data[i]);
    putchar('\n');
}

static void show_audit(const struct tw_json *data)
{
    const struct tw_json *entries = tw_json_member(data, "entries");
    for (size_t i = 0; i < tw_json_count(entries); i++) {
        const struct tw_json *entry = tw_json_item(entries, i);
        struct tw_str scaler = text_of(entry, "scaler");
        show_time("", number_of(entry, "time"));
        printf("  %-10.*s %-16.*s %-24.*s ", TW_STR_ARG(text_of(entry, "kind")),
               scaler.size ? (int)scaler.size : 1, scaler.size ? scaler.data : "-",
               TW_STR_ARG(text_of(entry, "who")));
        print_line(text_of(entry, "text"));
    }
}

static void show_recent(const struct tw_json *data)
{
    if (tw_json_count(tw_json_member(data, "entries")) == 0)
        return;
    printf("\nWhat was done lately\n");
    show_audit(data);
}

/* ---- the commands ---- */

/* A path of a scaler, and parameters, built up. */
struct request {
    struct tw_buf path, parameters;
};

static void begin_request(struct request *request, const char *scaler, const char *tail)
{
    tw_buf_init(&request->path, 16384);
    tw_buf_init(&request->parameters, 8192);
    tw_buf_append_cstr(&request->path, "/api/v1/");
    if (scaler) {
        struct tw_buf name;
        tw_buf_init(&name, 4096);
        cli_append_encoded(&name, "", tw_str(scaler));
        /* Without the "=" that an unnamed pair begins with. */
        tw_buf_appendf(&request->path, "scalers/%s", tw_buf_cstr(&name) + 1);
        request->path.overflow |= name.overflow;
        tw_buf_fini(&name);
    }
    tw_buf_append_cstr(&request->path, tail);
}

static void add_parameter(struct request *request, const char *name, const char *value)
{
    if (value)
        cli_append_encoded(&request->parameters, name, tw_str(value));
}

static int end_request(struct request *request, enum tw_http_method method,
                       void (*show)(const struct tw_json *data))
{
    int status;
    if (request->parameters.size)
        tw_buf_appendf(&request->path, "?%.*s", TW_STR_ARG(tw_buf_str(&request->parameters)));
    if (request->path.overflow || request->parameters.overflow)
        status = cli_fail(&command, CLI_USAGE, "that is too long");
    else
        status = cli_ask(&command, server, method, tw_buf_cstr(&request->path), as_json, show);
    tw_buf_fini(&request->path);
    tw_buf_fini(&request->parameters);
    return status;
}

static int explain(const char *name, const char *time)
{
    struct request request;
    begin_request(&request, name, "/decisions");
    add_parameter(&request, "limit", "1");
    add_parameter(&request, "time", time);
    int status = end_request(&request, TW_HTTP_GET, show_decision);
    if (status != CLI_OK || as_json)
        return status;
    if (!time) {
        begin_request(&request, name, "");
        status = end_request(&request, TW_HTTP_GET, show_now);
    }
    begin_request(&request, NULL, "scaler_audit");
    add_parameter(&request, "scaler", name);
    add_parameter(&request, "limit", "5");
    add_parameter(&request, "time", time);
    int recent = end_request(&request, TW_HTTP_GET, show_recent);
    return status ? status : recent;
}

/* pause, resume, set */
static int say(const char *verb, const char *name, const char *replicas)
{
    struct request request;
    char tail[16];
    const char *user = getenv("USER");
    snprintf(tail, sizeof tail, "/%s", verb);
    begin_request(&request, name, tail);
    add_parameter(&request, "replicas", replicas);
    add_parameter(&request, "direction", direction);
    add_parameter(&request, "for", span);
    add_parameter(&request, "reason", reason);
    add_parameter(&request, "by", user && *user ? user : NULL);
    return end_request(&request, TW_HTTP_POST, show_changed);
}

static int audit(const char *name)
{
    struct request request;
    begin_request(&request, NULL, "scaler_audit");
    add_parameter(&request, "scaler", name);
    add_parameter(&request, "limit", limit);
    return end_request(&request, TW_HTTP_GET, show_audit);
}

int cli_scaler(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count == 0)
        return cli_ask(&command, server, TW_HTTP_GET, "/api/v1/scalers", as_json, show_list);
    const char *verb = argv[1];
    if (!strcmp(verb, "explain") && (count == 2 || count == 3))
        return explain(argv[2], count == 3 ? argv[3] : NULL);
    if (!strcmp(verb, "audit") && count <= 2)
        return audit(count == 2 ? argv[2] : NULL);
    if (!strcmp(verb, "set") && count == 3)
        return say(verb, argv[2], argv[3]);
    if ((!strcmp(verb, "pause") || !strcmp(verb, "resume")) && count == 2)
        return say(verb, argv[2], NULL);
    return cli_fail(&command, CLI_USAGE,
                    "tidewatch scaler, or scaler explain NAME [TIME], pause NAME, resume NAME, "
                    "set NAME REPLICAS, audit [NAME]");
}
