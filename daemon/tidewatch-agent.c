/* SPDX-License-Identifier: Apache-2.0
 *
 * tidewatch-agent: samples this host and pushes what it saw. Command line and signals; the work is
 * collector/agent.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/duration.h"
#include "base/http_client.h"
#include "base/log.h"
#include "collector/agent.h"
#include "daemon/agent_config.h"

#define MODULE "daemon.agent"
#define EXIT_USAGE 2

static const char usage[] =
    "Usage: tidewatch-agent --server http://HOST:PORT [--data DIR] [--config FILE]\n"
    "\n"
    "Samples this host every second and pushes what it saw to a Tidewatch server, or to any other\n"
    "that takes Prometheus remote_write.\n"
    "\n"
    "  --server URL       http://HOST:PORT of the server; with a path, the remote_write endpoint\n"
    "                     itself (default http://127.0.0.1:9090)\n"
    "  --data DIR         where undelivered data is kept (default ./tidewatch-agent-data)\n"
    "  --config FILE      settings, see tidewatch-agent(8)\n"
    "  --interval TIME    between two rounds of sampling: 1s, 500ms (default 1s)\n"
    "  --no-capture       no latency from captured packets\n"
    "  --check            read the settings, say whether they are good, and end\n"
    "  --log-level LEVEL  error, warn, info (default) or debug\n"
    "  --help, --version\n"
    "\n"
    "SIGTERM and SIGINT end it cleanly. Exit status: 0 ended as asked, 1 failed, 2 bad usage.\n";

struct options {
    const char *server, *data, *config, *interval, *log_level;
    bool no_capture, check;
};

static int refuse(const char *what, const char *value)
{
    fprintf(stderr, "tidewatch-agent: %s%s%s\nTry: tidewatch-agent --help\n", what,
            value != NULL ? " " : "", value != NULL ? value : "");
    return EXIT_USAGE;
}

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
    enum { SERVER = 256, DATA, CONFIG, INTERVAL, NO_CAPTURE, CHECK, LOG_LEVEL, HELP, VERSION_ };
    static const struct option longs[] = {{"server", required_argument, NULL, SERVER},
                                          {"data", required_argument, NULL, DATA},
                                          {"config", required_argument, NULL, CONFIG},
                                          {"interval", required_argument, NULL, INTERVAL},
                                          {"no-capture", no_argument, NULL, NO_CAPTURE},
                                          {"check", no_argument, NULL, CHECK},
                                          {"log-level", required_argument, NULL, LOG_LEVEL},
                                          {"help", no_argument, NULL, HELP},
                                          {"version", no_argument, NULL, VERSION_},
                                          {NULL, 0, NULL, 0}};
    for (int c = getopt_long(argc, argv, "", longs, NULL); c != -1;
         c = getopt_long(argc, argv, "", longs, NULL)) {
        switch (c) {
        case SERVER:
            options->server = optarg;
            break;
        case DATA:
            options->data = optarg;
            break;
        case CONFIG:
            options->config = optarg;
            break;
        case INTERVAL:
            options->interval = optarg;
            break;
        case NO_CAPTURE:
            options->no_capture = true;
            break;
        case CHECK:
            options->check = true;
            break;
        case LOG_LEVEL:
            options->log_level = optarg;
            break;
        case HELP:
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        case VERSION_:
            puts("tidewatch-agent " PACKAGE_VERSION);
            return EXIT_SUCCESS;
        default: /* getopt has said what */
            fputs("Try: tidewatch-agent --help\n", stderr);
            return EXIT_USAGE;
        }
    }
    return optind < argc ? refuse("unexpected argument", argv[optind]) : -1;
}

static int run(struct agent *agent)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    int stop_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (stop_fd < 0) {
        tw_log(TW_LOG_ERROR, MODULE, "cannot receive signals, ending", "reason=%s",
               tw_log_quote(tw_str(strerror(errno))));
        return EXIT_FAILURE;
    }
    agent_run(agent, stop_fd);
    tw_log(TW_LOG_INFO, MODULE, "stopping", "pid=%d", (int)getpid());
    close(stop_fd);
    return EXIT_SUCCESS;
}

/* Before any thread starts, so that all of them inherit it; a broken connection is an error code,
 * no signal. */
static void block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct tw_err err;
    enum tw_log_level level = TW_LOG_INFO;
    int status = parse_options(argc, argv, &options);
    if (status >= 0)
        return status;
    if (options.log_level != NULL && !tw_log_parse_level(options.log_level, &level))
        return refuse("--log-level takes error, warn, info or debug, not", options.log_level);
    tw_log_set_level(level);
    block_signals();

    struct tw_arena *arena = tw_arena_new(4096);
    struct agent_config config;
    agent_config_init(&config);
    const struct agent_config_flags flags = {.server = options.server,
                                             .data = options.data,
                                             .interval = options.interval,
                                             .no_capture = options.no_capture};
    struct agent *agent = NULL;
    if (agent_config_load(&config, options.config, &flags, arena, &err) != TW_OK) {
        status = refuse(err.message, NULL);
    } else if (options.check) {
        printf("%s is good\n", options.config != NULL ? options.config : "the command line");
        status = EXIT_SUCCESS;
    } else if (tw_http_client_load(&err) != TW_OK ||
               agent_start(&config.setup, &agent, &err) != TW_OK) {
        fprintf(stderr, "tidewatch-agent: %s\n", err.message);
        status = EXIT_FAILURE;
    } else {
        tw_log(TW_LOG_INFO, MODULE, "sampling", "version=%s server=%s interval_ms=%lld data=%s",
               PACKAGE_VERSION, config.origin, (long long)config.setup.interval_ms,
               tw_log_quote(tw_str(config.setup.data_folder)));
        status = run(agent);
        agent = agent_stop(agent);
    }
    tw_arena_free(arena);
    return status;
}
