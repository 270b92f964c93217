/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/agent.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "collector/capture.h"
#include "collector/flow.h"
#include "collector/privilege.h"
#include "collector/sampler.h"
#include "collector/shipper.h"
#include "collector/spool.h"

#define AGENT_MAGIC 0x4147454eu
#define MODULE "collector.agent"
/* A tick that wakes this late still has its planned time: round times compress best, and charts
 * line up. */
#define LATE_MS 50

struct agent {
    unsigned magic;
    struct tw_clock *clock;
    int64_t interval_ms;
    int lock_fd;
    struct tw_metrics *metrics;
    struct agent_roster *roster;
    struct agent_sampler *sampler;
    struct agent_spool *spool;
    struct agent_shipper *shipper;
    struct agent_flows *flows;
    struct agent_capture *capture; /* NULL: none, or not any more */
    struct tw_metric *rounds, *samples, *missed, *capturing;
};

/* ---- the agent's own metrics that are read when asked for ---- */

static double spool_bytes(void *user)
{
    struct agent_spool_counts counts;
    agent_spool_get_counts(user, &counts);
    return (double)counts.bytes;
}

static double spool_dropped(void *user)
{
    struct agent_spool_counts counts;
    agent_spool_get_counts(user, &counts);
    return (double)counts.rounds_dropped;
}

static double spool_damaged(void *user)
{
    struct agent_spool_counts counts;
    agent_spool_get_counts(user, &counts);
    return (double)counts.files_damaged;
}

static double series_refused(void *user)
{
    return (double)agent_roster_refused(user);
}

static void init_metrics(struct agent *agent)
{
    struct tw_metrics *m = agent->metrics;
    agent->rounds =
        tw_metrics_counter(m, "tidewatch_agent_rounds_total", "", "Rounds of sampling.");
    agent->samples = tw_metrics_counter(m, "tidewatch_agent_samples_total", "", "Samples taken.");
    agent->capturing = tw_metrics_gauge(m, "tidewatch_capture_running", "",
                                        "1 while packets are captured for latency.");
    agent->missed = tw_metrics_counter(m, "tidewatch_agent_rounds_missed_total", "",
                                       "Rounds left out because the one before took too long.");
    tw_metrics_callback(m, TW_METRIC_COUNTER, "tidewatch_agent_series_refused_total", "",
                        "Series left out because there are too many or their labels are not valid.",
                        series_refused, agent->roster);
    tw_metrics_callback(m, TW_METRIC_GAUGE, "tidewatch_agent_spool_bytes", "",
                        "Undelivered data on disk.", spool_bytes, agent->spool);
    tw_metrics_callback(m, TW_METRIC_COUNTER, "tidewatch_agent_spool_rounds_dropped_total", "",
                        "Undelivered rounds dropped because the spool was full.", spool_dropped,
                        agent->spool);
    tw_metrics_callback(m, TW_METRIC_COUNTER, "tidewatch_agent_spool_files_damaged_total", "",
                        "Files of the spool whose rest could not be read.", spool_damaged,
                        agent->spool);
}

/* ---- capture ---- */

/* Whether a socket of this process has the local port: asked for connections to the server's port
 * only. */
static bool is_own_port(uint16_t port)
{
    enum { DESCRIPTORS = 256 };
    for (int fd = 3; fd < DESCRIPTORS; fd++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        uint16_t bound = 0;
        if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
            continue;
        if (address.ss_family == AF_INET)
            bound = ((struct sockaddr_in *)&address)->sin_port;
        else if (address.ss_family == AF_INET6)
            bound = ((struct sockaddr_in6 *)&address)->sin6_port;
        if (ntohs(bound) == port)
            return true;
    }
    return false;
}

/* Without the privilege, or an interface, the agent goes on without latency, and says so once. */
static void open_capture(struct agent *agent, const struct agent_setup *setup)
{
    const struct agent_flows_setup flows = {.roster = agent->roster,
                                            .ports = setup->capture_ports,
                                            .port_count = setup->capture_port_count,
                                            .own_port = setup->server_port,
                                            .is_own = is_own_port};
    struct tw_err err;
    if (!setup->capture)
        return;
    agent->flows = agent_flows_new(&flows);
    if (agent_capture_open(setup->capture_interface, setup->capture_bytes, agent->roster,
                           agent->flows, &agent->capture, &err) != TW_OK)
        tw_log(TW_LOG_WARN, MODULE, "no latency from captured packets, going on without it",
               "reason=%s", tw_log_quote(tw_str(err.message)));
}

static void read_capture(struct agent *agent)
{
    struct tw_err err;
    if (agent->capture == NULL || agent_capture_read(agent->capture, &err) == TW_OK)
        return;
    tw_log(TW_LOG_WARN, MODULE, "capturing ended, going on without latency", "reason=%s",
           tw_log_quote(tw_str(err.message)));
    agent->capture = agent_capture_close(agent->capture);
}

static void put_capture(void *user, struct agent_round *round)
{
    struct agent *agent = user;
    read_capture(agent);
    tw_metric_set(agent->capturing, agent->capture != NULL);
    if (agent->capture != NULL)
        agent_capture_put(agent->capture, round, tw_clock_wall_ms(agent->clock) * 1000000);
}

static enum tw_code open_parts(struct agent *agent, const struct agent_setup *setup,
                               struct tw_err *err)
{
    enum tw_code code = tw_file_make_folder(setup->data_folder, 0750, err);
    if (code == TW_OK)
        code = tw_file_lock(setup->data_folder, "agent.lock", &agent->lock_fd, err);
    if (code != TW_OK) {
        tw_err_wrap(err, "data folder %s", setup->data_folder);
        return code;
    }
    char *folder = tw_file_join(setup->data_folder, "spool");
    code = agent_spool_open(folder, setup->spool_bytes_max, &agent->spool, err);
    free(folder);
    if (code != TW_OK)
        return code;
    init_metrics(agent);
    open_capture(agent, setup);
    code = agent_privilege_drop(setup->data_folder, err);
    if (code != TW_OK)
        return code;

    const struct agent_sampler_setup sampler = {.clock = agent->clock,
                                                .roster = agent->roster,
                                                .metrics = agent->metrics,
                                                .sources = agent_sources,
                                                .proc = setup->proc,
                                                .sys = setup->sys,
                                                .etc = setup->etc,
                                                .extra = put_capture,
                                                .extra_user = agent,
                                                .disabled = setup->disabled};
    agent->sampler = agent_sampler_new(&sampler);
    char user_agent[64];
    snprintf(user_agent, sizeof user_agent, "tidewatch-agent/%s", setup->version);
    const struct agent_shipper_setup shipper = {.clock = agent->clock,
                                                .url = setup->url,
                                                .user_agent = user_agent,
                                                .headers = setup->headers,
                                                .header_count = setup->header_count,
                                                .spool = agent->spool,
                                                .roster = agent->roster,
                                                .metrics = agent->metrics};
    return agent_shipper_start(&shipper, &agent->shipper, err);
}

static struct agent *free_agent(struct agent *agent)
{
    agent->magic = 0;
    agent_sampler_free(agent->sampler);
    agent_capture_close(agent->capture);
    agent_flows_free(agent->flows);
    agent_spool_close(agent->spool);
    agent_roster_free(agent->roster);
    tw_metrics_free(agent->metrics);
    if (agent->lock_fd >= 0)
        close(agent->lock_fd);
    free(agent);
    return NULL;
}

enum tw_code agent_start(const struct agent_setup *setup, struct agent **ret_agent,
                         struct tw_err *err)
{
    TW_ASSERT(setup->interval_ms >= AGENT_INTERVAL_MS_MIN &&
              setup->interval_ms <= AGENT_INTERVAL_MS_MAX);
    struct agent *agent = calloc(1, sizeof *agent);
    TW_ASSERT(agent != NULL);
    agent->magic = AGENT_MAGIC;
    agent->clock = tw_clock_system();
    agent->interval_ms = setup->interval_ms;
    agent->lock_fd = -1;
    agent->metrics = tw_metrics_new();
    agent->roster = agent_roster_new(setup->labels, setup->label_count);
    enum tw_code code = open_parts(agent, setup, err);
    if (code != TW_OK) {
        free_agent(agent);
        return code;
    }
    *ret_agent = agent;
    return TW_OK;
}

static void tell_changes(struct agent *agent)
{
    const char *source, *message;
    while (agent_sampler_change(agent->sampler, &source, &message)) {
        if (*message != '\0')
            tw_log(TW_LOG_INFO, MODULE, "a source cannot be read, going on without it",
                   "source=%s reason=%s", source, tw_log_quote(tw_str(message)));
        else
            tw_log(TW_LOG_INFO, MODULE, "a source can be read again", "source=%s", source);
    }
}

static void tick(struct agent *agent, int64_t planned_ms)
{
    int64_t now_ms = tw_clock_wall_ms(agent->clock);
    int64_t time_ms = now_ms - planned_ms <= LATE_MS ? planned_ms : now_ms;
    const struct agent_round *round = agent_sampler_run(agent->sampler, time_ms);
    tw_metric_add(agent->rounds, 1);
    tw_metric_add(agent->samples, round->count);
    agent_shipper_give(agent->shipper, round);
    tell_changes(agent);
}

/* Until the wall clock shows planned_ms; true when stop_fd became readable before. */
static bool wait_until(struct agent *agent, int64_t planned_ms, int stop_fd)
{
    for (;;) {
        struct pollfd fds[] = {
            {.fd = stop_fd, .events = POLLIN},
            {.fd = agent->capture != NULL ? agent_capture_fd(agent->capture) : -1,
             .events = POLLIN}};
        int64_t left_ms = planned_ms - tw_clock_wall_ms(agent->clock);
        if (left_ms <= 0)
            left_ms = 0;
        int ready = poll(fds, 2, (int)left_ms);
        if (ready > 0 && fds[0].revents != 0)
            return true;
        if (ready > 0 && fds[1].revents != 0)
            read_capture(agent);
        if (left_ms == 0)
            return false;
    }
}

void agent_run(struct agent *agent, int stop_fd)
{
    TW_CHECK_MAGIC(agent, AGENT_MAGIC);
    int64_t interval_ms = agent->interval_ms;
    /* The first tick comes at once, so that a new host shows up immediately; then whole multiples
     * of the interval. */
    int64_t planned_ms = tw_clock_wall_ms(agent->clock);
    tick(agent, planned_ms);
    planned_ms = (tw_floor_div(planned_ms, interval_ms) + 1) * interval_ms;
    while (!wait_until(agent, planned_ms, stop_fd)) {
        tick(agent, planned_ms);
        int64_t now_ms = tw_clock_wall_ms(agent->clock);
        int64_t next_ms = planned_ms + interval_ms;
        if (now_ms >= next_ms + interval_ms || now_ms < planned_ms - interval_ms) {
            /* Too late, asleep, or the clock was set. */
            int64_t new_ms = (tw_floor_div(now_ms, interval_ms) + 1) * interval_ms;
            if (new_ms > next_ms)
                tw_metric_add(agent->missed, (uint64_t)((new_ms - next_ms) / interval_ms));
            next_ms = new_ms;
        }
        planned_ms = next_ms;
    }
}

struct agent *agent_stop(struct agent *agent)
{
    if (agent == NULL)
        return NULL;
    TW_CHECK_MAGIC(agent, AGENT_MAGIC);
    agent_shipper_give(agent->shipper,
                       agent_sampler_end(agent->sampler, tw_clock_wall_ms(agent->clock)));
    agent->shipper = agent_shipper_stop(agent->shipper);
    return free_agent(agent);
}

size_t agent_source_names(const char **ret_names, size_t count_max)
{
    size_t count = 0;
    for (; agent_sources[count] != NULL && count < count_max; count++)
        ret_names[count] = agent_sources[count]->name;
    return count;
}
