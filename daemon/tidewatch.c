/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line program: a table of commands.
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/yaml.h"
#include "daemon/cli.h"

struct entry {
    const char *name, *help;
    int (*run)(int argc, char **argv);
};

static const struct entry commands[] = {
    {"autoscale", "Decide replicas from observations on standard input.", cli_autoscale},
    {"backtest", "Say how well forecasts and scalers would have done.", cli_backtest},
    {"cardinality", "Say where the series of a server come from.", cli_cardinality},
    {"check", "Check configurations and rule files.", cli_check},
    {"compact", "Make the store of a server, or in a folder, as small as it gets.", cli_compact},
    {"forecast", "Forecast series given as CSV or by an expression.", cli_forecast},
    {"queries", "List and cancel the queries that run on a server.", cli_queries},
    {"query", "Evaluate a PromQL expression on a server.", cli_query},
    {"report", "Say how dependable services were.", cli_report},
    {"restore", "Make a store of a snapshot.", cli_restore},
    {"scaler", "List, explain and pause scalers; who did what.", cli_scaler},
    {"snapshot", "Make, list and delete snapshots of a running server's store.", cli_snapshot},
    {"status", "Say how a server and its store are.", cli_status},
    {"verify", "Check, and salvage, the store in a data folder.", cli_verify},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

/* Commands of two words, which come before those of one. */
static const struct {
    const char *first, *second, *help;
    int (*run)(int argc, char **argv);
} pairs[] = {
    {"report", "rightsizing", "Advise requests of CPU and memory.", cli_rightsizing},
};
#define PAIR_COUNT (sizeof pairs / sizeof pairs[0])

static void print_usage(FILE *file)
{
    fputs("usage: tidewatch COMMAND [OPTION ...]\n\ncommands:\n", file);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(file, "  %-12s%s\n", commands[i].name, commands[i].help);
    for (size_t i = 0; i < PAIR_COUNT; i++)
        fprintf(file, "  %-12s%s: %s\n", pairs[i].first, pairs[i].second, pairs[i].help);
    fputs("\ntidewatch COMMAND --help says more; tidewatch --version names the version.\n", file);
}

static const struct entry *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[COMMAND_COUNT + 1] = {NULL};
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    const char *nearest = tw_yaml_nearest(tw_str(name), names);
    if (nearest)
        fprintf(stderr, "tidewatch: unknown command '%s'; did you mean '%s'?\n", name, nearest);
    else
        fprintf(stderr, "tidewatch: unknown command '%s'; tidewatch --help lists all\n", name);
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of the write, not a death */
    if (argc < 2) {
        print_usage(stderr);
        return CLI_USAGE;
    }
    const char *word = argv[1];
    if (!strcmp(word, "--version")) {
        puts("tidewatch " VERSION);
        return CLI_OK;
    }
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || (!strcmp(word, "help") && argc < 3)) {
        print_usage(stdout);
        return CLI_OK;
    }
    if (!strcmp(word, "help")) {
        static char help[] = "--help";
        char *arguments[] = {argv[2], help, NULL};
        const struct entry *entry = find_command(argv[2]);
        return entry ? entry->run(2, arguments) : unknown_command(argv[2]);
    }
    for (size_t i = 0; i < PAIR_COUNT; i++)
        if (argc > 2 && !strcmp(word, pairs[i].first) && !strcmp(argv[2], pairs[i].second))
            return pairs[i].run(argc - 2, argv + 2);
    const struct entry *entry = find_command(word);
    return entry ? entry->run(argc - 1, argv + 1) : unknown_command(word);
}
