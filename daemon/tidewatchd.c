/* SPDX-License-Identifier: Apache-2.0
 *
 * The server program: takes its settings, starts, waits for signals, stops.
 *
 * Exit status: 0 stopped as asked, 1 cannot start or go on, 2 wrong use.
 */
#include "config.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "daemon/checkup.h"
#include "daemon/notify.h"
#include "daemon/params.h"
#include "daemon/server.h"

enum { EXIT_USAGE = 2 };
#define ARENA_BYTES_KEPT ((size_t)8 << 20)

/* glibc gives each thread an arena of its own that it seldom returns to the system. Two do for our
 * few threads, and large bodies go back as soon as they are freed, but for what queries need again
 * and again. */
static void limit_allocator(void)
{
    tw_arena_keep_blocks(ARENA_BYTES_KEPT);
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 512 << 10);
}

/* Blocked in all threads; the main thread takes them one by one. */
static void block_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret_set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void reload(struct daemon_server *server)
{
    struct tw_err err;
    if (daemon_server_reload(server, &err) == TW_OK)
        tw_log(TW_LOG_INFO, "daemon", "configuration reloaded");
    else
        tw_log(TW_LOG_ERROR, "daemon", "configuration refused, the old one stays", "error=%s",
               tw_log_quote(tw_str(err.message)));
}

static int serve(struct daemon_server *server, const sigset_t *signals)
{
    int64_t watchdog_ms = daemon_notify_watchdog_ms();
    struct timespec wait = {.tv_sec = watchdog_ms / 1000,
                            .tv_nsec = (watchdog_ms % 1000) * 1000000};
    for (;;) {
        int number = watchdog_ms ? sigtimedwait(signals, NULL, &wait) : sigwaitinfo(signals, NULL);
        if (number < 0 && errno == EAGAIN)
            daemon_notify("WATCHDOG=1");
        else if (number == SIGHUP)
            reload(server);
        else if (number == SIGTERM || number == SIGINT)
            return number;
    }
}

static int print_and_exit(enum daemon_params_wish wish)
{
    struct tw_buf text;
    tw_buf_init(&text, 1 << 20);
    if (wish == DAEMON_PARAMS_HELP)
        daemon_params_help(&text);
    else
        tw_buf_append_cstr(&text, "tidewatchd " VERSION "\n");
    fwrite(text.data, 1, text.size, stdout);
    tw_buf_fini(&text);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int check_and_exit(const struct daemon_params *params)
{
    struct tw_buf text;
    struct tw_err err;
    tw_buf_init(&text, 1 << 20);
    enum tw_code code = daemon_checkup_run(params, &text, &err);
    fputs(tw_buf_cstr(&text), stdout);
    tw_buf_fini(&text);
    bool written = fflush(stdout) == 0;
    if (code != TW_OK)
        fprintf(stderr, "tidewatchd: %s\n", err.message);
    return code == TW_OK && written ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct daemon_params params;
    enum daemon_params_wish wish;
    struct tw_err err;
    if (daemon_params_parse(argc, (const char *const *)argv, &params, &wish, &err) != TW_OK) {
        fprintf(stderr, "tidewatchd: %s\n", err.message);
        return EXIT_USAGE;
    }
    if (wish != DAEMON_PARAMS_RUN)
        return print_and_exit(wish);
    if (params.check_config)
        return check_and_exit(&params);
    enum tw_log_level level = TW_LOG_INFO;
    if (tw_log_parse_level(params.log_level, &level))
        tw_log_set_level(level);
    limit_allocator();
    sigset_t signals;
    block_signals(&signals);
    struct daemon_server *server;
    if (daemon_server_start(&params, &server, &err) != TW_OK) {
        tw_log(TW_LOG_ERROR, "daemon", "cannot start", "error=%s",
               tw_log_quote(tw_str(err.message)));
        return EXIT_FAILURE;
    }
    tw_log(TW_LOG_INFO, "daemon", "ready", "url=http://%s/ data=%s version=%s",
           daemon_server_address(server), tw_log_quote(tw_str(params.data)), VERSION);
    daemon_notify("READY=1");
    int number = serve(server, &signals);
    daemon_notify("STOPPING=1");
    tw_log(TW_LOG_INFO, "daemon", "stopping", "signal=%d", number);
    if (!daemon_server_stop(server)) {
        tw_log(TW_LOG_WARN, "daemon", "a request did not end, leaving without it");
        /* Its thread still uses what exit handlers would tear down. */
        _exit(EXIT_SUCCESS);
    }
    tw_log(TW_LOG_INFO, "daemon", "stopped");
    return EXIT_SUCCESS;
}
