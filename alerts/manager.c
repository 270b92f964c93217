/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/manager.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "alerts/evaluator.h"
#include "alerts/manager_int.h"
#include "alerts/notifier.h"
#include "base/assert.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/thread.h"

#define MANAGER_MAGIC 0xA1E27A4Eu
/* Threads look at the clock at least so often, so that a clock that was set is noticed. */
#define IDLE_MS_MAX 1000

#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum tw_code try_code_ = (expression);                                                     \
        if (try_code_ != TW_OK)                                                                    \
            return try_code_;                                                                      \
    } while (0)

struct alert_manager {
    unsigned magic;
    struct alert_manager_options options;
    struct alert_evaluator *evaluator;
    struct alert_notifier *notifier;
    struct alert_transport *own_transport; /* when the options name none */
    struct tw_thread scheduler, sender;
    struct tw_lock lock; /* guards what follows; wakes the threads */
    struct tw_cond wake_scheduler, wake_sender;
    bool stopping, scheduler_called, sender_called;
    struct alert_peer_list peers;
};

const char *const alert_config_keys[] = {
    "rule_files",          "route",     "receivers",     "inhibit_rules",       "time_intervals",
    "mute_time_intervals", "templates", "alertmanagers", "alertmanager_config", NULL};

/* ---- waking ---- */

static void call_sender(struct alert_manager *manager)
{
    tw_lock_take(&manager->lock);
    manager->sender_called = true;
    tw_cond_signal(&manager->wake_sender);
    tw_lock_release(&manager->lock);
}

static void notify(void *user, struct alert_notice *notices, bool complete)
{
    struct alert_manager *manager = user;
    alert_notifier_give(manager->notifier, notices, complete);
    call_sender(manager);
}

/* ---- life cycle ---- */

enum tw_code alert_manager_new(const struct alert_manager_options *options,
                               struct alert_manager **ret_manager, struct tw_err *err)
{
    struct alert_manager *manager = calloc(1, sizeof *manager);
    TW_ASSERT(manager != NULL);
    manager->magic = MANAGER_MAGIC;
    manager->options = *options;
    tw_lock_init(&manager->lock, TW_RANK_ALERT_WAKE, "alert manager");
    tw_cond_init(&manager->wake_scheduler);
    tw_cond_init(&manager->wake_sender);
    if (options->transport == NULL)
        manager->own_transport = alert_transport_http_new();
    const struct alert_notifier_options notifier = {
        .state = options->state,
        .clock = options->clock,
        .metrics = options->metrics,
        .transport = options->transport != NULL ? options->transport : manager->own_transport};
    manager->notifier = alert_notifier_new(&notifier);
    const struct alert_evaluator_options evaluator = {.engine = options->engine,
                                                      .storage = options->storage,
                                                      .state = options->state,
                                                      .clock = options->clock,
                                                      .metrics = options->metrics,
                                                      .notify = notify,
                                                      .notify_user = manager};
    manager->evaluator = alert_evaluator_new(&evaluator);
    enum tw_code code = alert_notifier_restore(manager->notifier, err);
    if (code != TW_OK) {
        if (err != NULL)
            tw_err_wrap(err, "reading stored alerts");
        alert_manager_free(manager);
        return code;
    }
    *ret_manager = manager;
    return TW_OK;
}

struct alert_manager *alert_manager_free(struct alert_manager *manager)
{
    if (manager == NULL)
        return NULL;
    TW_CHECK_MAGIC(manager, MANAGER_MAGIC);
    alert_manager_stop(manager);
    alert_evaluator_free(manager->evaluator);
    alert_notifier_free(manager->notifier);
    if (manager->own_transport != NULL)
        manager->own_transport->free(manager->own_transport);
    alert_peer_list_fini(&manager->peers);
    tw_cond_fini(&manager->wake_scheduler);
    tw_cond_fini(&manager->wake_sender);
    tw_lock_fini(&manager->lock);
    manager->magic = 0;
    free(manager);
    return NULL;
}

/* ---- threads ---- */

/* Waits until due or called; false: the manager stops. */
static bool wait_until(struct alert_manager *manager, struct tw_cond *wake, bool *called,
                       int64_t due_ms)
{
    tw_lock_take(&manager->lock);
    int64_t now_ms = tw_clock_wall_ms(manager->options.clock);
    int64_t wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    wait_ms = wait_ms > IDLE_MS_MAX ? IDLE_MS_MAX : wait_ms;
    if (!manager->stopping && !*called && wait_ms > 0)
        (void)tw_cond_wait_ns(wake, &manager->lock, wait_ms * 1000000);
    *called = false;
    bool going = !manager->stopping;
    tw_lock_release(&manager->lock);
    return going;
}

static void schedule(void *argument)
{
    struct alert_manager *manager = argument;
    int64_t due_ms = 0;
    do
        due_ms = alert_evaluator_step(manager->evaluator);
    while (wait_until(manager, &manager->wake_scheduler, &manager->scheduler_called, due_ms));
}

static void send(void *argument)
{
    struct alert_manager *manager = argument;
    int64_t due_ms = 0;
    do
        due_ms = alert_notifier_step(manager->notifier);
    while (wait_until(manager, &manager->wake_sender, &manager->sender_called, due_ms));
}

enum tw_code alert_manager_start(struct alert_manager *manager, struct tw_err *err)
{
    TW_CHECK_MAGIC(manager, MANAGER_MAGIC);
    TRY(tw_thread_start(&manager->scheduler, "alert-rules", schedule, manager, err));
    enum tw_code code = tw_thread_start(&manager->sender, "alert-notify", send, manager, err);
    if (code != TW_OK)
        alert_manager_stop(manager);
    return code;
}

void alert_manager_stop(struct alert_manager *manager)
{
    TW_CHECK_MAGIC(manager, MANAGER_MAGIC);
    tw_lock_take(&manager->lock);
    manager->stopping = true;
    tw_cond_signal(&manager->wake_scheduler);
    tw_cond_signal(&manager->wake_sender);
    tw_lock_release(&manager->lock);
    alert_evaluator_cancel(manager->evaluator);
    alert_notifier_cancel(manager->notifier);
    tw_thread_join(&manager->scheduler);
    tw_thread_join(&manager->sender);
}

int64_t alert_manager_step(struct alert_manager *manager)
{
    TW_CHECK_MAGIC(manager, MANAGER_MAGIC);
    int64_t now_ms = tw_clock_wall_ms(manager->options.clock), rules_ms = 0;
    do
        rules_ms = alert_evaluator_step(manager->evaluator);
    while (rules_ms <= now_ms);
    int64_t notify_ms = alert_notifier_step(manager->notifier);
    return rules_ms < notify_ms ? rules_ms : notify_ms;
}

/* ---- settings ---- */

/* alertmanager_config: FILE has route, receivers and so on in a file of its own. */
static enum tw_code read_other(const struct alert_settings *settings, const struct tw_yaml *node,
                               struct tw_arena *arena, struct alert_routing **ret,
                               struct tw_err *err)
{
    static const char *const known[] = {"global",         "route",     "receivers",
                                        "inhibit_rules",  "templates", "mute_time_intervals",
                                        "time_intervals", NULL};
    static const char *const global_known[] = {"resolve_timeout", NULL};
    static const char *const inline_keys[] = {"route", "receivers", "inhibit_rules", NULL};
    for (size_t i = 0; inline_keys[i] != NULL; i++)
        if (!tw_yaml_is_null(tw_yaml_member(settings->config, inline_keys[i])))
            return tw_yaml_error(settings->config_name, node, err,
                                 "alertmanager_config and %s cannot both be set", inline_keys[i]);
    char *name = tw_arena_cstr(arena, node->text);
    char *path = name[0] == '/' || settings->config_folder == NULL
                     ? tw_str_dup(tw_str(name))
                     : tw_file_join(settings->config_folder, name);
    struct tw_buf text;
    tw_buf_init(&text, ALERT_RULE_FILE_BYTES_MAX);
    struct tw_yaml *root = NULL;
    const struct tw_yaml *global = NULL;
    enum tw_code code = tw_file_read(path, &text, err);
    if (code == TW_OK)
        code = tw_yaml_parse(arena, path, tw_buf_str(&text), &root, err);
    if (code == TW_OK && root != NULL)
        code = tw_yaml_check_keys(path, root, known, err);
    if (code == TW_OK && root != NULL)
        code = tw_yaml_get_node(path, root, "global", TW_YAML_MAPPING, &global, err);
    if (code == TW_OK && global != NULL)
        code = tw_yaml_check_keys(path, global, global_known, err);
    if (code == TW_OK)
        code = alert_routing_read(path, settings->config_folder, root, ret, err);
    tw_buf_fini(&text);
    free(path);
    return code;
}

static enum tw_code read_routing(const struct alert_settings *settings, struct alert_routing **ret,
                                 struct tw_err *err)
{
    const struct tw_yaml *other = NULL;
    if (settings->config != NULL)
        TRY(tw_yaml_get_node(settings->config_name, settings->config, "alertmanager_config",
                             TW_YAML_SCALAR, &other, err));
    if (other == NULL)
        return alert_routing_read(settings->config_name, settings->config_folder, settings->config,
                                  ret, err);
    struct tw_arena *arena = tw_arena_new(16 * 1024);
    struct alert_routing *routing = NULL;
    enum tw_code code = read_other(settings, other, arena, &routing, err);
    tw_arena_free(arena);
    if (code != TW_OK)
        return code;
    /* The peers stand in our own file. */
    struct alert_routing_reader reader = {
        settings->config_name, settings->config_folder != NULL ? settings->config_folder : ".",
        routing, err};
    code = alert_peers_read(&reader, settings->config);
    if (code != TW_OK) {
        alert_routing_free(routing);
        return code;
    }
    *ret = routing;
    return TW_OK;
}

enum tw_code alert_manager_reload(struct alert_manager *manager,
                                  const struct alert_settings *settings, struct tw_err *err)
{
    TW_CHECK_MAGIC(manager, MANAGER_MAGIC);
    struct alert_routing *routing = NULL;
    struct alert_rule_set *set = NULL;
    TRY(read_routing(settings, &routing, err));
    enum tw_code code = alert_rule_set_read(settings, &set, err);
    if (code != TW_OK) {
        alert_routing_free(routing);
        return code;
    }
    struct alert_peer_list peers = alert_peer_list_new(routing);
    code = alert_evaluator_replace(manager->evaluator, set, err);
    if (code != TW_OK) {
        alert_peer_list_fini(&peers);
        alert_routing_free(routing);
        return code;
    }
    alert_notifier_set_routing(manager->notifier, routing, settings->external_url);
    tw_lock_take(&manager->lock);
    struct alert_peer_list old = manager->peers;
    manager->peers = peers;
    manager->scheduler_called = true;
    tw_cond_signal(&manager->wake_scheduler);
    tw_lock_release(&manager->lock);
    alert_peer_list_fini(&old);
    call_sender(manager);
    return TW_OK;
}

static void count_rules(const struct alert_rule_file *file, struct alert_check *check)
{
    check->group_count += file->count;
    for (size_t i = 0; i < file->count; i++)
        for (size_t k = 0; k < file->groups[i].count; k++) {
            bool is_alert = file->groups[i].rules[k].kind == ALERT_RULE_ALERT;
            check->alert_count += is_alert;
            check->record_count += !is_alert;
        }
}

enum tw_code alert_check_rules(const char *path, struct alert_check *ret, struct tw_err *err)
{
    struct alert_rule_file *file = NULL;
    TRY(alert_rule_file_read(path, &file, err));
    *ret = (struct alert_check){0};
    count_rules(file, ret);
    alert_rule_file_free(file);
    return TW_OK;
}

enum tw_code alert_check_settings(const struct alert_settings *settings, struct alert_check *ret,
                                  struct tw_err *err)
{
    struct alert_routing *routing = NULL;
    struct alert_rule_set *set = NULL;
    TRY(read_routing(settings, &routing, err));
    alert_routing_free(routing);
    TRY(alert_rule_set_read(settings, &set, err));
    *ret = (struct alert_check){0};
    for (size_t i = 0; i < set->file_count; i++)
        count_rules(set->files[i], ret);
    alert_rule_set_free(set);
    return TW_OK;
}

/* ---- for the API ---- */

struct alert_evaluator *alert_manager_evaluator(struct alert_manager *manager)
{
    TW_CHECK_MAGIC(manager, MANAGER_MAGIC);
    return manager->evaluator;
}

void alert_manager_each_peer(struct alert_manager *manager,
                             void (*visit)(void *user, const char *url), void *user)
{
    tw_lock_take(&manager->lock);
    for (size_t i = 0; i < manager->peers.count; i++)
        visit(user, manager->peers.urls[i]);
    tw_lock_release(&manager->lock);
}

struct alert_peer_list alert_peer_list_new(const struct alert_routing *routing)
{
    struct alert_peer_list list = {calloc(routing->peer_count + 1, sizeof(char *)),
                                   routing->peer_count};
    TW_ASSERT(list.urls != NULL);
    for (size_t i = 0; i < list.count; i++)
        list.urls[i] = tw_str_dup(routing->peers[i].url);
    return list;
}

void alert_peer_list_fini(struct alert_peer_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->urls[i]);
    free(list->urls);
    *list = (struct alert_peer_list){0};
}
