/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch backtest scaler`: what a scaler would have done with the load of the past, and what
 * would have come of it, beside the Kubernetes HPA, a fleet for the peak, and one who knows what
 * comes. The model behind it is autoscaler/plant.h; docs/scaling-backtest.md tells it to users.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "autoscaler/replay.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/number.h"
#include "base/yaml.h"
#include "daemon/cli_client.h"
#include "daemon/cli_series.h"

#define SCORE_MS_DEFAULT (INT64_C(3) * 86400000)
#define CONFIG_BYTES_MAX ((size_t)16 << 20)
#define MAX_FACTOR 2 /* times the need at the peak, where no max is given */
#define VARIANTS_MAX 8

static const char *config_file, *csv_file, *server, *history_text, *score_text, *step_text;
static const char *capacity_text, *utilisation_text, *min_text, *max_text, *tick_text;
static const char *startup_text, *quantile_text, *settle_text, *target_text, *price_text;
static const char *workers_text, *service_text, *objective_text;
static bool sensitivity, json, quiet;

static const struct cli_option options[] = {
    {"config", 0, &config_file, NULL, "FILE",
     "Take the scaler from this configuration instead of the server's."},
    {"csv", 0, &csv_file, NULL, "FILE", "The load as CSV `timestamp,value`; - is standard input."},
    {"server", 's', &server, NULL, "URL", CLI_SERVER_HELP "."},
    {"score", 0, &score_text, NULL, "DURATION", "How much of the end is scored; default 3d."},
    {"history", 0, &history_text, NULL, "DURATION", "How much lies before; default the scaler's."},
    {"step", 0, &step_text, NULL, "DURATION", "Between values; default the scaler's."},
    {"capacity", 0, &capacity_text, NULL, "LOAD",
     "What a replica carries; default the scaler's, or what the server learned."},
    {"min", 0, &min_text, NULL, "REPLICAS", "Default the scaler's, or 1."},
    {"max", 0, &max_text, NULL, "REPLICAS", "Default the scaler's, or twice the peak's need."},
    {"quantile", 0, &quantile_text, NULL, "Q", "Default the scaler's."},
    {"settle", 0, &settle_text, NULL, "DURATION", "Default the scaler's."},
    {"tick", 0, &tick_text, NULL, "DURATION", "Default the scaler's."},
    {"startup", 0, &startup_text, NULL, "DURATION",
     "What a replica takes to start; default what the server learned, or the scaler's."},
    {"utilisation", 0, &utilisation_text, NULL, "SHARE",
     "Busy share of a replica at its capacity; default the scaler's max_utilisation."},
    {"workers", 0, &workers_text, NULL, "COUNT", "That a replica works with at once; default 8."},
    {"service", 0, &service_text, NULL, "DURATION", "A piece of work takes; default 100ms."},
    {"objective", 0, &objective_text, NULL, "DURATION",
     "A piece of work may take with waiting; default 500ms."},
    {"target", 0, &target_text, NULL, "SHARE", "Utilisation that the HPA aims at; default 0.7."},
    {"price", 0, &price_text, NULL, "AMOUNT", "Of a replica and hour: shows what it costs."},
    {"sensitivity", 0, NULL, &sensitivity, "", "Also by quantile and by start-up time."},
    {"json", 0, NULL, &json, "", "The result as JSON."},
    {"quiet", 'q', NULL, &quiet, "", "No progress on standard error."},
};

static const struct cli_command command = {
    .name = "backtest scaler",
    .arguments = "[NAME]",
    .help = "Says what a scaler would have done with the load of the past, and what would have\n"
            "come of it. With NAME, settings and load are those of that scaler on a server;\n"
            "without, the load comes as CSV and --capacity is needed. Beside it: the Kubernetes\n"
            "HPA v2 with its default behaviour on the load per replica and on CPU, a fixed fleet\n"
            "for the peak, and an oracle that knows what comes.\n"
            "Exit status: 0 done, 1 too little history or no answer, 2 wrong use.",
    .options = options,
    .option_count = sizeof options / sizeof options[0]};

/* ---- what is to be run ---- */

struct trial {
    struct scale_settings settings;
    struct scale_plant_settings plant;
    struct cli_series_list list;
    int64_t score_ms, history_ms, step_ms;
    double target, price; /* price NaN: not asked for */
    size_t scored;
};

/* cli_ask shows its answer by a function without an argument of its own. */
static struct {
    struct tw_buf yaml;
    double capacity, startup_s;
} asked;

static void take_yaml(const struct tw_json *data)
{
    tw_buf_append_str(&asked.yaml, tw_json_string(tw_json_member(data, "yaml"), TW_STR("")));
}

static void take_learned(const struct tw_json *data)
{
    asked.capacity = tw_json_number(tw_json_member(data, "capacity_per_replica"), NAN);
    asked.startup_s = tw_json_number(tw_json_member(data, "startup_seconds"), NAN);
}

static int ask_learned(const char *name)
{
    struct tw_buf encoded, path;
    tw_buf_init(&encoded, 4096);
    tw_buf_init(&path, 4096);
    cli_append_encoded(&encoded, "", tw_str(name));
    /* Without the "=" that an unnamed pair begins with. */
    tw_buf_appendf(&path, "/api/v1/scalers/%s", tw_buf_cstr(&encoded) + 1);
    int status = cli_ask(&command, server, TW_HTTP_GET, tw_buf_cstr(&path), false, take_learned);
    tw_buf_fini(&encoded);
    tw_buf_fini(&path);
    return status;
}

/* The settings of one scaler of a configuration; texts live in the arena. */
static int find_settings(struct tw_arena *arena, const char *file, struct tw_str text,
                         const char *name, struct scale_settings *ret)
{
    struct tw_yaml *root = NULL;
    struct scale_settings *items = NULL;
    size_t count = 0;
    struct tw_err err;
    enum tw_code code = tw_yaml_parse(arena, file, text, &root, &err);
    if (code == TW_OK)
        code = scale_settings_parse(arena, file, root ? tw_yaml_member(root, "scalers") : NULL,
                                    &items, &count, &err);
    if (code != TW_OK)
        return cli_fail(&command, CLI_FAILED, "%s", err.message);
    for (size_t i = 0; i < count; i++)
        if (tw_str_is(items[i].name, name)) {
            *ret = items[i];
            return CLI_OK;
        }
    return cli_fail(&command, CLI_FAILED, "%s has no scaler '%s'", file, name);
}

static int read_settings(struct tw_arena *arena, const char *name, struct trial *trial)
{
    struct tw_err err;
    int status = CLI_OK;
    asked.capacity = asked.startup_s = NAN;
    tw_buf_init(&asked.yaml, CONFIG_BYTES_MAX);
    if (config_file) {
        if (tw_file_read(config_file, &asked.yaml, &err) != TW_OK)
            status = cli_fail(&command, CLI_FAILED, "%s", err.message);
    } else {
        status = cli_ask(&command, server, TW_HTTP_GET, "/api/v1/status/config", false, take_yaml);
        if (status == CLI_OK)
            status = ask_learned(name);
    }
    if (status == CLI_OK)
        status = find_settings(arena, config_file ? config_file : "the server's configuration",
                               tw_buf_str(&asked.yaml), name, &trial->settings);
    tw_buf_fini(&asked.yaml);
    return status;
}

static int read_load(struct trial *trial, bool named)
{
    if (csv_file) {
        if (strcmp(csv_file, "-") != 0 && !freopen(csv_file, "r", stdin))
            return cli_fail(&command, CLI_FAILED, "cannot open %s", csv_file);
        return cli_series_read(&command, step_text ? trial->step_ms : 0, &trial->list);
    }
    if (!named)
        return cli_fail(&command, CLI_USAGE, "say which scaler, or give its load by --csv FILE");
    struct tw_buf query;
    tw_buf_init(&query, 1 << 20);
    tw_buf_append_str(&query, trial->settings.load);
    int status =
        cli_series_ask_long(&command, server, tw_buf_cstr(&query),
                            trial->history_ms + trial->score_ms, trial->step_ms, &trial->list);
    tw_buf_fini(&query);
    return status;
}

/* A number of an option; false after telling. */
static bool take_number(const char *option, const char *text, double min, double max, double *ret)
{
    if (!text || (tw_double_parse(tw_str(text), ret) && *ret >= min && *ret <= max))
        return true;
    (void)cli_fail(&command, CLI_USAGE, "--%s '%s': give a number from %g to %g", option, text, min,
                   max);
    return false;
}

static bool take_count(const char *option, const char *text, int64_t min, int64_t max, int64_t *ret)
{
    if (!text || (tw_int64_parse(tw_str(text), ret) && *ret >= min && *ret <= max))
        return true;
    (void)cli_fail(&command, CLI_USAGE, "--%s '%s': give a whole number from %lld to %lld", option,
                   text, (long long)min, (long long)max);
    return false;
}

static bool take_span(const char *option, const char *text, double *ret_ms)
{
    int64_t ms = (int64_t)*ret_ms;
    if (!cli_series_duration(&command, option, text, &ms))
        return false;
    if (text)
        *ret_ms = (double)ms;
    return true;
}

/* What options say of the scaler takes the place of its settings. */
static bool take_policy(struct trial *trial)
{
    struct scale_settings *settings = &trial->settings;
    trial->score_ms = SCORE_MS_DEFAULT;
    if (!take_number("capacity", capacity_text, 1e-300, 1e300, &settings->capacity) ||
        !take_number("quantile", quantile_text, 0.5, 0.999, &settings->quantile) ||
        !take_number("utilisation", utilisation_text, 0.01, 1, &settings->utilisation_max) ||
        !take_count("min", min_text, 0, SCALE_REPLICAS_MAX, &settings->min) ||
        !take_count("max", max_text, 1, SCALE_REPLICAS_MAX, &settings->max) ||
        !cli_series_duration(&command, "tick", tick_text, &settings->tick_ms) ||
        !cli_series_duration(&command, "settle", settle_text, &settings->settle_ms) ||
        !cli_series_duration(&command, "score", score_text, &trial->score_ms))
        return false;
    if (settings->tick_ms < 5000 || settings->tick_ms > 300000) {
        (void)cli_fail(&command, CLI_USAGE, "--tick '%s': give 5s to 5m", tick_text);
        return false;
    }
    trial->history_ms = settings->history_ms;
    trial->step_ms = settings->step_ms;
    return cli_series_duration(&command, "history", history_text, &trial->history_ms) &&
           cli_series_duration(&command, "step", step_text, &trial->step_ms);
}

static bool take_plant(struct trial *trial)
{
    struct scale_settings *settings = &trial->settings;
    struct scale_plant_settings *plant = &trial->plant;
    double workers = 8;
    double capacity = isnan(settings->capacity) ? asked.capacity : settings->capacity;
    scale_plant_settings_init(plant, capacity, settings->utilisation_max);
    plant->startup_ms = asked.startup_s > 0 ? asked.startup_s * 1000 : (double)settings->startup_ms;
    trial->target = 0.7;
    trial->price = NAN;
    if (!take_number("workers", workers_text, 1, 1000, &workers) ||
        !take_number("target", target_text, 0.01, 1, &trial->target) ||
        !take_number("price", price_text, 0, 1e12, &trial->price) ||
        !take_span("startup", startup_text, &plant->startup_ms) ||
        !take_span("service", service_text, &plant->service_ms) ||
        !take_span("objective", objective_text, &plant->objective_ms))
        return false;
    plant->workers = (unsigned)workers;
    if (plant->objective_ms <= plant->service_ms) {
        (void)cli_fail(&command, CLI_USAGE,
                       "--objective has to be longer than --service (%g ms): a piece of work "
                       "takes that long without any waiting",
                       plant->service_ms);
        return false;
    }
    plant->timeout_ms = fmax(plant->timeout_ms, 2 * plant->objective_ms);
    if (!(capacity > 0)) {
        (void)cli_fail(&command, CLI_USAGE,
                       "what a replica carries is not known yet: give --capacity LOAD");
        return false;
    }
    return true;
}

static int bound_trial(struct trial *trial)
{
    struct scale_settings *settings = &trial->settings;
    const struct cli_series *series = &trial->list.items[0];
    trial->scored = (size_t)(trial->score_ms / series->step_ms);
    if (trial->scored >= series->count)
        return cli_fail(&command, CLI_FAILED,
                        "the load reaches %.1f h back, which is no more than is to be scored: "
                        "give a shorter --score",
                        (double)series->count * (double)series->step_ms / 3600000);
    if (settings->max < 0) {
        double highest = 0;
        for (size_t i = 0; i < series->count; i++)
            highest = fmax(highest, series->values[i]); /* NaN is ignored */
        double need = (double)scale_plant_need(&trial->plant, highest);
        settings->max = (int64_t)fmin(MAX_FACTOR * fmax(need, 1), SCALE_REPLICAS_MAX);
    }
    if (settings->min > settings->max)
        return cli_fail(&command, CLI_USAGE, "min (%lld) is more than max (%lld)",
                        (long long)settings->min, (long long)settings->max);
    return CLI_OK;
}

/* ---- running ---- */

struct progress {
    const char *what;
    size_t done, all;
};

static void show_progress(void *user, double share)
{
    const struct progress *progress = user;
    if (quiet)
        return;
    double whole = ((double)progress->done + share) / (double)progress->all;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%3.0f %%  %-32s%s", 100 * whole, progress->what, whole >= 1 ? "\n" : "");
    else if (share >= 1)
        fprintf(stderr, "%3.0f %%  %s\n", 100 * whole, progress->what);
}

/* A run of the trial with another quantile or start-up time. */
struct variant {
    char name[32];
    double quantile, startup_ms;
    struct scale_replay_score score;
};

struct outcome {
    struct scale_replay_score scores[SCALE_CONTENDERS];
    struct variant quantiles[VARIANTS_MAX], startups[VARIANTS_MAX];
    size_t quantile_count, startup_count;
};

static int run_one(const struct trial *trial, enum scale_contender contender,
                   const struct variant *variant, struct progress *progress,
                   struct scale_replay_score *ret)
{
    const struct cli_series *series = &trial->list.items[0];
    struct scale_settings settings = trial->settings;
    struct scale_replay replay = {
        .settings = &settings,
        .plant = trial->plant,
        .load = series->values,
        .count = series->count,
        .scored = trial->scored,
        .last_ms = series->last_ms,
        .step_ms = series->step_ms,
        .hpa_target = trial->target,
        .all_known = !settings.load.size,
        .seed = 1,
        .progress = show_progress,
        .user = progress,
    };
    progress->what = variant ? variant->name : scale_contender_name(contender);
    if (variant) {
        settings.quantile = variant->quantile;
        replay.plant.startup_ms = variant->startup_ms;
    }
    struct tw_err err;
    if (scale_replay_run(&replay, contender, ret, &err) != TW_OK)
        return cli_fail(&command, CLI_FAILED, "%s", err.message);
    progress->done++;
    return CLI_OK;
}

static void plan_variants(const struct trial *trial, struct outcome *outcome)
{
    static const double quantiles[] = {0.5, 0.7, 0.8, 0.9, 0.95, 0.99};
    static const double factors[] = {0.25, 0.5, 1, 2, 4};
    if (!sensitivity)
        return;
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        struct variant *variant = &outcome->quantiles[outcome->quantile_count++];
        variant->quantile = quantiles[i];
        variant->startup_ms = trial->plant.startup_ms;
        snprintf(variant->name, sizeof variant->name, "quantile %g", quantiles[i]);
    }
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        struct variant *variant = &outcome->startups[outcome->startup_count++];
        variant->quantile = trial->settings.quantile;
        variant->startup_ms = trial->plant.startup_ms * factors[i];
        snprintf(variant->name, sizeof variant->name, "start-up %g s", variant->startup_ms / 1000);
    }
}

static int run_all(const struct trial *trial, struct outcome *outcome)
{
    int status = CLI_OK;
    plan_variants(trial, outcome);
    struct progress progress = {.all = SCALE_CONTENDERS + outcome->quantile_count +
                                       outcome->startup_count};
    for (int i = 0; i < SCALE_CONTENDERS && status == CLI_OK; i++)
        status = run_one(trial, (enum scale_contender)i, NULL, &progress, &outcome->scores[i]);
    for (size_t i = 0; i < outcome->quantile_count && status == CLI_OK; i++)
        status = run_one(trial, SCALE_CONTENDER_SCALER, &outcome->quantiles[i], &progress,
                         &outcome->quantiles[i].score);
    for (size_t i = 0; i < outcome->startup_count && status == CLI_OK; i++)
        status = run_one(trial, SCALE_CONTENDER_SCALER, &outcome->startups[i], &progress,
                         &outcome->startups[i].score);
    return status;
}

/* ---- printing ---- */

static double against_oracle(const struct outcome *outcome, const struct scale_replay_score *score)
{
    return score->replica_hours / outcome->scores[SCALE_CONTENDER_ORACLE].replica_hours;
}

static void print_row(const struct trial *trial, const struct outcome *outcome, const char *name,
                      const struct scale_replay_score *score)
{
    printf("%-16s %8.3f%% %7lld %7.1f %10.1f %7.3f", name, score->violated_percent,
           (long long)score->violated_minutes, score->under_minutes, score->replica_hours,
           against_oracle(outcome, score));
    if (!isnan(trial->price))
        printf(" %10.2f", score->replica_hours * trial->price);
    printf(" %8lld %6lld %6lld %9.0f\n", (long long)score->changes, (long long)score->flaps,
           (long long)score->peak, score->recovery_s);
}

static void print_head(const struct trial *trial, const char *first)
{
    printf("\n%-16s %9s %7s %7s %10s %7s", first, "violated", "bad min", "short", "replica-h",
           "/oracle");
    if (!isnan(trial->price))
        printf(" %10s", "cost");
    printf(" %8s %6s %6s %9s\n", "changes", "flaps", "peak", "recovery");
}

static void print_table(const struct trial *trial, const struct outcome *outcome)
{
    const struct cli_series *series = &trial->list.items[0];
    const struct scale_replay_score *own = &outcome->scores[SCALE_CONTENDER_SCALER];
    double step_h = (double)series->step_ms / 3600000;
    printf("%.1f h scored after %.1f h of history; a replica carries %g and starts within %g s; "
           "%lld to %lld replicas, quantile %g\n",
           (double)trial->scored * step_h, (double)(series->count - trial->scored) * step_h,
           trial->plant.capacity, trial->plant.startup_ms / 1000, (long long)trial->settings.min,
           (long long)trial->settings.max, trial->settings.quantile);
    print_head(trial, "");
    for (int i = 0; i < SCALE_CONTENDERS; i++)
        print_row(trial, outcome, scale_contender_name((enum scale_contender)i),
                  &outcome->scores[i]);
    if (outcome->quantile_count)
        print_head(trial, "the scaler with");
    for (size_t i = 0; i < outcome->quantile_count; i++)
        print_row(trial, outcome, outcome->quantiles[i].name, &outcome->quantiles[i].score);
    for (size_t i = 0; i < outcome->startup_count; i++)
        print_row(trial, outcome, outcome->startups[i].name, &outcome->startups[i].score);
    printf("\nviolated: share of the load that waits too long; bad min: minutes with more than "
           "1 %% of that; short: minutes\nwith fewer replicas than the load needs; recovery: the "
           "longest time in s until less than 5 %% wait too long.\n");
    printf("%lld decisions, %.0f us each; %lld without usable data.\n", (long long)own->decisions,
           own->decision_us, (long long)own->held);
}

static void write_score(struct tw_json_writer *writer, const struct trial *trial,
                        const struct outcome *outcome, const struct scale_replay_score *score)
{
    tw_json_member_number(writer, "violated_percent", score->violated_percent);
    tw_json_member_int(writer, "violated_minutes", score->violated_minutes);
    tw_json_member_number(writer, "under_provisioned_minutes", score->under_minutes);
    tw_json_member_number(writer, "over_provisioned_percent", score->over_percent);
    tw_json_member_number(writer, "replica_hours", score->replica_hours);
    tw_json_member_number(writer, "replica_hours_against_oracle", against_oracle(outcome, score));
    if (!isnan(trial->price))
        tw_json_member_number(writer, "cost", score->replica_hours * trial->price);
    tw_json_member_int(writer, "changes", score->changes);
    tw_json_member_int(writer, "flaps", score->flaps);
    tw_json_member_int(writer, "peak_replicas", score->peak);
    tw_json_member_number(writer, "recovery_seconds", score->recovery_s);
}

static void write_variants(struct tw_json_writer *writer, const struct trial *trial,
                           const struct outcome *outcome, const char *key,
                           const struct variant *variants, size_t count)
{
    tw_json_key(writer, tw_str(key));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < count; i++) {
        tw_json_begin_object(writer);
        tw_json_member_number(writer, "quantile", variants[i].quantile);
        tw_json_member_number(writer, "startup_seconds", variants[i].startup_ms / 1000);
        write_score(writer, trial, outcome, &variants[i].score);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

static void print_json(const struct trial *trial, const struct outcome *outcome)
{
    const struct cli_series *series = &trial->list.items[0];
    const struct scale_replay_score *own = &outcome->scores[SCALE_CONTENDER_SCALER];
    struct tw_buf text;
    struct tw_json_writer writer;
    tw_buf_init(&text, 1 << 20);
    tw_json_writer_init(&writer, &text);
    tw_json_begin_object(&writer);
    if (trial->settings.name.size)
        tw_json_member_str(&writer, "scaler", trial->settings.name);
    tw_json_member_number(&writer, "scored_minutes", own->minutes);
    tw_json_member_number(&writer, "end", (double)series->last_ms / 1000);
    tw_json_member_number(&writer, "step_seconds", (double)series->step_ms / 1000);
    tw_json_member_number(&writer, "capacity_per_replica", trial->plant.capacity);
    tw_json_member_number(&writer, "startup_seconds", trial->plant.startup_ms / 1000);
    tw_json_member_number(&writer, "quantile", trial->settings.quantile);
    tw_json_member_int(&writer, "min", trial->settings.min);
    tw_json_member_int(&writer, "max", trial->settings.max);
    tw_json_member_int(&writer, "decisions", own->decisions);
    tw_json_member_int(&writer, "decisions_without_data", own->held);
    tw_json_member_number(&writer, "decision_microseconds", own->decision_us);
    tw_json_key(&writer, TW_STR("contenders"));
    tw_json_begin_object(&writer);
    for (int i = 0; i < SCALE_CONTENDERS; i++) {
        tw_json_key(&writer, tw_str(scale_contender_name((enum scale_contender)i)));
        tw_json_begin_object(&writer);
        write_score(&writer, trial, outcome, &outcome->scores[i]);
        tw_json_end_object(&writer);
    }
    tw_json_end_object(&writer);
    if (outcome->quantile_count) {
        tw_json_key(&writer, TW_STR("sensitivity"));
        tw_json_begin_object(&writer);
        write_variants(&writer, trial, outcome, "quantile", outcome->quantiles,
                       outcome->quantile_count);
        write_variants(&writer, trial, outcome, "startup", outcome->startups,
                       outcome->startup_count);
        tw_json_end_object(&writer);
    }
    tw_json_end_object(&writer);
    printf("%.*s\n", TW_STR_ARG(tw_buf_str(&text)));
    tw_buf_fini(&text);
}

/* ---- the command ---- */

int cli_backtest_scaler(int argc, char **argv)
{
    int count, status;
    struct trial trial = {0};
    struct outcome outcome = {0};
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    if (count > 1)
        return cli_fail(&command, CLI_USAGE, "one scaler at a time, please");
    if (count == 0 && config_file)
        return cli_fail(&command, CLI_USAGE, "which scaler of %s?", config_file);
    struct tw_arena *arena = tw_arena_new(4096);
    status = CLI_OK;
    scale_settings_init(&trial.settings);
    asked.capacity = asked.startup_s = NAN;
    if (count == 1)
        status = read_settings(arena, argv[1], &trial);
    if (status == CLI_OK && (!take_policy(&trial) || !take_plant(&trial)))
        status = CLI_USAGE;
    if (status == CLI_OK)
        status = read_load(&trial, count == 1);
    if (status == CLI_OK)
        status = bound_trial(&trial);
    if (status == CLI_OK)
        status = run_all(&trial, &outcome);
    if (status == CLI_OK) {
        (json ? print_json : print_table)(&trial, &outcome);
        if (fflush(stdout) != 0)
            status = cli_fail(&command, CLI_FAILED, "cannot write to standard output");
    }
    cli_series_free(&trial.list);
    tw_arena_free(arena);
    return status;
}
