/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alerts/manager.h"
#include "autoscaler/manager.h"
#include "base/assert.h"
#include "base/file.h"
#include "base/http_client.h"
#include "base/lock.h"
#include "base/log.h"
#include "daemon/budget.h"
#include "daemon/cardinality.h"
#include "daemon/configuration.h"
#include "daemon/families.h"
#include "daemon/http_server.h"
#include "daemon/inventory.h"
#include "daemon/openapi.h"
#include "daemon/process.h"
#include "daemon/self.h"
#include "daemon/status.h"
#include "daemon/storage.h"
#include "query/api.h"
#include "query/engine.h"
#include "query/keeper.h"
#include "query/kept.h"
#include "tsdb/admin.h"
#include "tsdb/db.h"
#include "tsdb/receiver.h"
#include "tsdb/state.h"
#include "ui/pages.h"

#define SERVER_MAGIC 0x53525652u
/* Below --data; "default" is the tenant. */
#define STATE_FOLDER "default/state"
#define QUERY_JOURNAL "queries.active"

struct daemon_server {
    unsigned magic;
    const struct daemon_params *given;
    const struct daemon_params *params; /* settled */
    struct daemon_params settled;       /* with defaults that fit the budget */
    struct daemon_budget budget;
    int64_t exemplars_set; /* storage.exemplars_max as it was configured */
    struct tw_clock *clock;
    struct tw_metrics *metrics;
    struct tsdb_db *db;
    struct tsdb_state *state;
    struct tsdb_receiver *receiver;
    struct tsdb_admin admin;
    struct daemon_storage storage;
    struct query_running *running;
    struct query_kept *kept;
    struct query_keeper *keeper;
    struct query_engine *engine;
    struct alert_manager *alerts;
    struct scale_manager *scalers;
    struct daemon_self *self;
    struct daemon_status status;
    struct tw_http_router *router;
    struct daemon_http *http;
    struct tw_regex *cors_origins; /* NULL: any */
    struct tw_metric *reload_ok, *reload_time;
    struct tw_buf external_url;
    struct tw_lock lock; /* guards configuration, and one reload at a time */
    struct daemon_configuration *configuration;
};

static struct tsdb_db_options store_options(struct daemon_server *server,
                                            const struct daemon_storage *storage,
                                            const struct daemon_budget *budget)
{
    struct tsdb_db_options options = {.folder = server->params->data,
                                      .clock = server->clock,
                                      .metrics = server->metrics,
                                      .retention_ms = server->params->retention};
    daemon_storage_fill(storage, &options);
    daemon_budget_fill(budget, &options);
    return options;
}

/* Memory is given out once, at the start: queries and connections have theirs. */
static void note_restart(struct daemon_server *server, const struct daemon_storage *storage)
{
    if (storage->memory_max != server->storage.memory_max)
        tw_log(TW_LOG_WARN, "daemon", "a changed setting needs a restart, the old one stays",
               "setting=storage.memory_max");
    if (storage->exemplars_max != server->exemplars_set)
        tw_log(TW_LOG_WARN, "daemon", "a changed setting needs a restart, the old one stays",
               "setting=storage.exemplars_max");
}

/* ---- configuration ---- */

static void show_config(void *owner, struct tw_buf *ret_yaml)
{
    struct daemon_server *server = owner;
    tw_lock_take(&server->lock);
    if (server->configuration)
        tw_buf_append_str(ret_yaml, server->configuration->shown);
    tw_lock_release(&server->lock);
}

/* Gives the store what the file says of it, and keeps it in *ret, which is the caller's. */
static enum tw_code apply_storage(struct daemon_server *server,
                                  const struct daemon_configuration *configuration,
                                  struct daemon_storage *ret, struct tw_err *err)
{
    enum tw_code code = daemon_storage_read(
        configuration->name, tw_yaml_member(configuration->root, "storage"), ret, err);
    if (code != TW_OK)
        return code;
    struct daemon_params params = *server->given;
    struct daemon_budget budget;
    note_restart(server, ret);
    ret->memory_max = server->storage.memory_max;
    ret->exemplars_max = server->storage.exemplars_max;
    code = daemon_budget_settle(&server->budget.machine, &params, ret, &budget, err);
    if (code == TW_OK) {
        struct tsdb_db_options options = store_options(server, ret, &budget);
        code = tsdb_db_reconfigure(server->db, &options, err);
    }
    if (code == TW_OK)
        server->budget = budget;
    else
        daemon_storage_fini(ret);
    return code;
}

static enum tw_code apply_alerts(struct daemon_server *server,
                                 const struct daemon_configuration *configuration,
                                 struct tw_err *err)
{
    struct alert_settings settings =
        daemon_configuration_alerts(configuration, tw_buf_cstr(&server->external_url));
    return alert_manager_reload(server->alerts, &settings, err);
}

/* What a file that failed half-way had changed. */
static void revert_locked(struct daemon_server *server, const struct daemon_budget *budget,
                          bool alerts)
{
    struct tw_err ignored;
    server->budget = *budget;
    struct tsdb_db_options options = store_options(server, &server->storage, &server->budget);
    (void)!tsdb_db_reconfigure(server->db, &options, &ignored);
    if (alerts && server->configuration)
        (void)!apply_alerts(server, server->configuration, &ignored);
}

/* The scalers are checked before anything changes; so their load fails only where the environment
 * does, and then store and alerts get back what they had. */
static enum tw_code apply_locked(struct daemon_server *server,
                                 const struct daemon_configuration *configuration,
                                 struct tw_err *err)
{
    struct daemon_storage storage;
    const struct daemon_budget budget = server->budget;
    enum tw_code code = scale_manager_check(configuration->name, configuration->scalers, err);
    if (code == TW_OK)
        code = apply_storage(server, configuration, &storage, err);
    if (code != TW_OK)
        return code;
    code = apply_alerts(server, configuration, err);
    bool alerts = code == TW_OK;
    if (code == TW_OK)
        code =
            scale_manager_load(server->scalers, configuration->name, configuration->scalers, err);
    if (code != TW_OK) {
        revert_locked(server, &budget, alerts);
        daemon_storage_fini(&storage);
        return code;
    }
    scale_manager_set_budgets(server->scalers, configuration->budgets, configuration->budget_count);
    query_keeper_configure(server->keeper, &configuration->forecast);
    daemon_storage_fini(&server->storage);
    server->storage = storage;
    return TW_OK;
}

static enum tw_code load_locked(struct daemon_server *server, struct tw_err *err)
{
    struct daemon_configuration *configuration;
    tw_lock_assert_held(&server->lock);
    enum tw_code code = daemon_configuration_read(server->params->config, &configuration, err);
    if (code != TW_OK)
        return code;
    code = apply_locked(server, configuration, err);
    if (code != TW_OK) {
        daemon_configuration_free(configuration);
        return code;
    }
    daemon_configuration_free(server->configuration);
    server->configuration = configuration;
    return TW_OK;
}

enum tw_code daemon_server_reload(struct daemon_server *server, struct tw_err *err)
{
    TW_CHECK_MAGIC(server, SERVER_MAGIC);
    tw_lock_take(&server->lock);
    enum tw_code code = load_locked(server, err);
    tw_lock_release(&server->lock);
    atomic_store(&server->status.reload_ok, code == TW_OK);
    tw_metric_set(server->reload_ok, code == TW_OK);
    if (code == TW_OK) {
        int64_t now_ms = tw_clock_wall_ms(server->clock);
        atomic_store(&server->status.reload_ms, now_ms);
        tw_metric_set(server->reload_time, (double)now_ms / 1000);
    }
    return code;
}

static enum tw_code reload(void *owner, struct tw_err *err)
{
    enum tw_code code = daemon_server_reload(owner, err);
    if (code == TW_OK)
        tw_log(TW_LOG_INFO, "daemon", "configuration reloaded");
    else
        tw_log(TW_LOG_ERROR, "daemon", "configuration refused, the old one stays", "error=%s",
               tw_log_quote(tw_str(err->message)));
    return code;
}

static void quit(void *owner)
{
    (void)owner;
    kill(getpid(), SIGTERM);
}

/* ---- life ---- */

static enum tw_code settle_budget(struct daemon_server *server, struct tw_err *err)
{
    struct daemon_machine machine;
    const struct daemon_budget *budget = &server->budget;
    server->settled = *server->given;
    server->exemplars_set = server->storage.exemplars_max;
    daemon_machine_read("", &machine);
    enum tw_code code =
        daemon_budget_settle(&machine, &server->settled, &server->storage, &server->budget, err);
    if (code != TW_OK) {
        struct tw_buf table;
        tw_buf_init(&table, 65536);
        daemon_budget_write(budget, &table);
        fwrite(table.data, 1, table.size, stderr);
        tw_buf_fini(&table);
        return code;
    }
    server->params = &server->settled;
    daemon_budget_register(budget, server->metrics);
    tw_log(TW_LOG_INFO, "daemon", "budget settled",
           "memory_max=%llu sum=%llu head=%llu series=%lld queries=%llu disk_reserve=%llu",
           (unsigned long long)budget->memory_max, (unsigned long long)budget->sum,
           (unsigned long long)budget->parts[DAEMON_BUDGET_HEAD],
           (long long)budget->series_expected,
           (unsigned long long)budget->parts[DAEMON_BUDGET_QUERIES],
           (unsigned long long)budget->disk_reserve);
    return TW_OK;
}

static enum tw_code open_store(struct daemon_server *server,
                               const struct daemon_configuration *configuration, struct tw_err *err)
{
    struct daemon_storage *storage = &server->storage;
    enum tw_code code = daemon_storage_read(
        configuration->name, tw_yaml_member(configuration->root, "storage"), storage, err);
    if (code == TW_OK)
        code = settle_budget(server, err);
    if (code != TW_OK)
        return code;
    struct tsdb_db_options options = store_options(server, storage, &server->budget);
    code = tsdb_db_open(&options, &server->db, err);
    if (code != TW_OK)
        return tw_err_wrap(err, "--data");
    char *folder = tw_file_join(server->params->data, STATE_FOLDER);
    code = tsdb_state_open(folder, &server->state, err);
    if (code != TW_OK)
        tw_err_wrap(err, "opening the state in '%s'", folder);
    free(folder);
    return code;
}

static void log_broken_off(void *user, const struct query_account *account)
{
    (void)user;
    char started[TW_CLOCK_RFC3339_BYTES];
    tw_clock_format_rfc3339(account->started_ms, started);
    tw_log(TW_LOG_WARN, "query", "was running when the server broke off",
           "query=%s started=%s client=%s", tw_log_quote(account->text), started,
           tw_log_quote(account->origin));
}

static void log_slow(void *user, const struct query_account *account, enum tw_code code)
{
    const struct daemon_server *server = user;
    int64_t limit_ms = server->params->query_log_slow;
    if (limit_ms == 0 || account->age_ns < limit_ms * 1000000)
        return;
    tw_log(TW_LOG_INFO, "query", "slow query",
           "query=%s client=%s seconds=%.3f samples=%llu bytes=%llu start=%.3f end=%.3f step=%.3f "
           "result=%s",
           tw_log_quote(account->text), tw_log_quote(account->origin),
           (double)account->age_ns / 1e9, (unsigned long long)account->samples,
           (unsigned long long)account->bytes, (double)account->start_ms / 1000,
           (double)account->end_ms / 1000, (double)account->step_ms / 1000, tw_code_name(code));
}

static enum tw_code make_running(struct daemon_server *server, struct tw_err *err)
{
    char *journal = tw_file_join(server->params->data, QUERY_JOURNAL);
    const struct query_running_options options = {.bytes_max = server->params->query_memory_total,
                                                  .journal = journal,
                                                  .clock = server->clock,
                                                  .metrics = server->metrics,
                                                  .ended = log_slow,
                                                  .user = server};
    enum tw_code code = query_running_new(&options, &server->running, err);
    free(journal);
    if (code == TW_OK)
        query_running_each_broken_off(server->running, log_broken_off, NULL);
    return code;
}

/* Threads that one query may use. */
static size_t parallelism(const struct daemon_params *params)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (params->query_parallelism > 0)
        return (size_t)params->query_parallelism;
    return cores > 0 ? (size_t)cores : 1;
}

static bool names_feature(struct tw_str names, const char *feature)
{
    struct tw_str name;
    while (tw_str_split(&names, ',', &name))
        if (tw_str_is(tw_str_trim(name), feature))
            return true;
    return false;
}

static enum tw_code make_modules(struct daemon_server *server, struct tw_err *err)
{
    const struct daemon_params *params = server->params;
    enum tw_code code = make_running(server, err);
    if (code != TW_OK)
        return code;
    struct tsdb_storage *storage = tsdb_db_storage(server->db);
    server->kept = query_kept_new(&(struct query_kept_options){.metrics = server->metrics});
    const struct query_options query = {.lookback_ms = params->query_lookback,
                                        .timeout_ms = params->query_timeout,
                                        .samples_max = (uint64_t)params->query_samples_max,
                                        .bytes_max = params->query_memory_max,
                                        .features =
                                            query_features_parse(tw_str(params->enable_feature)),
                                        .parallelism = parallelism(params),
                                        .running = server->running,
                                        .kept = server->kept,
                                        .metrics = server->metrics};
    server->engine = query_engine_new(storage, &query);
    const struct query_keeper_options keeper = {.kept = server->kept,
                                                .storage = storage,
                                                .state = server->state,
                                                .clock = server->clock,
                                                .metrics = server->metrics,
                                                .query = query};
    code = query_keeper_new(&keeper, &server->keeper, err);
    if (code != TW_OK)
        return code;
    server->receiver = tsdb_receiver_new(server->db, server->metrics);
    tsdb_receiver_limit(server->receiver, server->budget.plain_bytes_max);
    tsdb_receiver_zero_at_start(
        server->receiver,
        names_feature(tw_str(params->enable_feature), "created-timestamp-zero-ingestion"));
    const struct alert_manager_options alerts = {.engine = server->engine,
                                                 .storage = storage,
                                                 .state = server->state,
                                                 .clock = server->clock,
                                                 .metrics = server->metrics};
    const struct scale_options scalers = {.engine = server->engine,
                                          .storage = storage,
                                          .state = server->state,
                                          .clock = server->clock,
                                          .metrics = server->metrics};
    server->scalers = scale_manager_new(&scalers);
    return alert_manager_new(&alerts, &server->alerts, err);
}

static void add_routes(struct daemon_server *server)
{
    server->status.params = server->params;
    server->status.metrics = server->metrics;
    server->status.clock = server->clock;
    server->status.db = server->db;
    server->status.show_config = show_config;
    server->status.reload = reload;
    server->status.quit = quit;
    server->status.owner = server;
    server->router = tw_http_router_new();
    daemon_status_route(server->router, &server->status);
    daemon_families_route(server->router, server->metrics);
    daemon_openapi_route(server->router);
    daemon_inventory_route(server->router, server->db);
    daemon_cardinality_route(server->router, server->db);
    tsdb_receiver_route(server->router, server->receiver);
    server->admin = (struct tsdb_admin){server->db, server->state, query_parse_selector,
                                        server->params->enable_admin_api};
    tsdb_admin_route(server->router, &server->admin);
    query_api_route(server->router, server->engine);
    query_api_forecast_route(server->router, server->keeper);
    alert_api_route(server->router, server->alerts);
    scale_api_route(server->router, server->scalers);
    ui_pages_route(server->router);
}

/* NULL: any. */
static enum tw_code read_origins(const char *pattern, struct tw_regex **ret, struct tw_err *err)
{
    *ret = NULL;
    if (!strcmp(pattern, ".*"))
        return TW_OK;
    enum tw_code code = tw_regex_new(tw_str(pattern), true, ret, err);
    if (code != TW_OK)
        err->code = code = TW_CONFIG;
    return code == TW_OK ? TW_OK : tw_err_wrap(err, "--cors-origin");
}

static enum tw_code start_http(struct daemon_server *server, struct tw_err *err)
{
    const struct daemon_params *params = server->params;
    enum tw_code code = read_origins(params->cors_origin, &server->cors_origins, err);
    if (code != TW_OK)
        return code;
    struct daemon_http_options options = {.listen = params->listen,
                                          .loop_threads = (size_t)params->http_threads,
                                          .worker_threads = (size_t)params->query_threads,
                                          .worker_queue_max = (size_t)params->query_queue_max,
                                          .connections_max = (size_t)params->http_connections_max,
                                          .body_bytes_max = params->http_body_max,
                                          .bodies_bytes_max = params->http_bodies_max,
                                          .idle_timeout_ms = params->http_idle_timeout,
                                          .request_timeout_ms = params->http_request_timeout,
                                          .cors_origins = server->cors_origins,
                                          .clock = server->clock,
                                          .metrics = server->metrics};
    return daemon_http_start(&options, server->router, &server->http, err);
}

static void set_external_url(struct daemon_server *server)
{
    struct tw_str url = tw_str(server->params->external_url);
    while (tw_str_ends(url, TW_STR("/")))
        url.size--;
    tw_buf_init(&server->external_url, 4096);
    if (url.size > 0)
        tw_buf_append_str(&server->external_url, url);
    else
        tw_buf_appendf(&server->external_url, "http://%s", daemon_http_address(server->http));
}

static enum tw_code start(struct daemon_server *server, struct tw_err *err)
{
    struct daemon_configuration *configuration;
    /* A mistake in the file is told before anything is opened. */
    enum tw_code code = daemon_configuration_read(server->params->config, &configuration, err);
    if (code != TW_OK)
        return code;
    /* Alerts and scalers would find out too late that they can reach nobody. */
    code = tw_http_client_load(err);
    if (code == TW_OK)
        code = open_store(server, configuration, err);
    const struct daemon_params *params = server->params;
    daemon_configuration_free(configuration);
    if (code == TW_OK)
        code = make_modules(server, err);
    if (code != TW_OK)
        return code;
    add_routes(server);
    code = start_http(server, err);
    if (code != TW_OK)
        return code;
    set_external_url(server);
    code = daemon_server_reload(server, err);
    if (code == TW_OK)
        code = alert_manager_start(server->alerts, err);
    if (code == TW_OK)
        code = scale_manager_start(server->scalers, err);
    if (code == TW_OK)
        code = query_keeper_start(server->keeper, err);
    if (code == TW_OK && params->self_interval > 0)
        code = daemon_self_start(server->metrics, tsdb_db_storage(server->db), server->clock,
                                 daemon_http_address(server->http), params->self_interval,
                                 &server->self, err);
    return code;
}

enum tw_code daemon_server_start(const struct daemon_params *params, struct daemon_server **ret,
                                 struct tw_err *err)
{
    struct daemon_server *server = calloc(1, sizeof *server);
    TW_ASSERT(server != NULL);
    server->magic = SERVER_MAGIC;
    server->params = server->given = params;
    server->clock = tw_clock_system();
    server->metrics = tw_metrics_new();
    server->status.start_ms = tw_clock_wall_ms(server->clock);
    tw_lock_init(&server->lock, TW_RANK_DAEMON, "configuration");
    daemon_process_register(server->metrics, server->clock);
    server->reload_ok =
        tw_metrics_gauge(server->metrics, "tidewatch_config_last_reload_successful", "",
                         "1 when the last reading of the configuration succeeded.");
    server->reload_time =
        tw_metrics_gauge(server->metrics, "tidewatch_config_last_reload_success_timestamp_seconds",
                         "", "When a configuration was last taken, Unix time.");
    enum tw_code code = start(server, err);
    if (code != TW_OK) {
        daemon_server_stop(server);
        return code;
    }
    atomic_store(&server->status.ready, true);
    *ret = server;
    return TW_OK;
}

bool daemon_server_stop(struct daemon_server *server)
{
    TW_CHECK_MAGIC(server, SERVER_MAGIC);
    atomic_store(&server->status.ready, false);
    server->self = daemon_self_stop(server->self);
    if (daemon_http_stop(server->http, server->params->stop_grace))
        return false;
    scale_manager_free(server->scalers);
    alert_manager_free(server->alerts);
    tw_http_router_free(server->router);
    tw_regex_free(server->cors_origins);
    tsdb_receiver_free(server->receiver);
    query_keeper_free(server->keeper);
    query_engine_free(server->engine);
    query_kept_free(server->kept);
    query_running_free(server->running);
    tsdb_state_close(server->state);
    tsdb_db_close(server->db);
    daemon_storage_fini(&server->storage);
    daemon_configuration_free(server->configuration);
    tw_buf_fini(&server->external_url);
    tw_metrics_free(server->metrics);
    tw_lock_fini(&server->lock);
    server->magic = 0;
    free(server);
    return true;
}

const char *daemon_server_address(const struct daemon_server *server)
{
    TW_CHECK_MAGIC(server, SERVER_MAGIC);
    return daemon_http_address(server->http);
}
