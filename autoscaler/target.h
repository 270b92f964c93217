/* SPDX-License-Identifier: Apache-2.0
 *
 * target: where a scaler's replicas are set, read from the `target:` member of its configuration:
 *
 *   target: {webhook: {url: "http://deployer/scale", timeout: 5s, headers: {...},
 *                      secret_file: /etc/tidewatch/scale.key}}
 *   target: {exec: {set: [/usr/local/bin/scale, "{scaler}", "{to}"], get: [...],
 *                   replace: [...], timeout: 1m}}
 *   target: {systemd: {unit: "worker@.service", user: false, timeout: 1m}}
 *   target: {process: {command: [./worker, "--port", "900{index}"], stop_after: 10s}}
 *   target: {kubernetes: {kind: Deployment, name: web, namespace: shop, kubeconfig: ..., ...}}
 *
 * Ownership: texts live in the arena given. Threads: plain data.
 */
#ifndef TW_AUTOSCALER_TARGET_H
#define TW_AUTOSCALER_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/http.h"
#include "base/json.h"
#include "base/yaml.h"

#define SCALE_HEADERS_MAX 8 /* extra headers of a webhook */
#define SCALE_WORDS_MAX 64  /* of a command */
#define SCALE_PROCESSES_MAX 1000

/* SCALE_TARGET(name, text) */
#define SCALE_TARGET_TABLE(SCALE_TARGET)                                                           \
    SCALE_TARGET(NONE, "none")                                                                     \
    SCALE_TARGET(WEBHOOK, "webhook")                                                               \
    SCALE_TARGET(EXEC, "exec")                                                                     \
    SCALE_TARGET(SYSTEMD, "systemd")                                                               \
    SCALE_TARGET(PROCESS, "process")                                                               \
    SCALE_TARGET(KUBERNETES, "kubernetes")
enum scale_target_kind {
#define SCALE_TARGET_ENUM(name, text) SCALE_TARGET_##name,
    SCALE_TARGET_TABLE(SCALE_TARGET_ENUM)
#undef SCALE_TARGET_ENUM
};

struct scale_target {
    enum scale_target_kind kind;
    int64_t timeout_ms; /* of one attempt */
    const char *lease;  /* that whoever acts holds (lease.h); NULL: none */
    /* What is not of the kind is empty; texts not given are NULL. Lists of words end with NULL. */
    struct {
        const char *url, *secret_file;
        struct tw_http_pair headers[SCALE_HEADERS_MAX];
        size_t header_count;
    } webhook;
    struct {
        const char *const *set;
        const char *const *replace; /* replaces an instance; NULL: cannot */
        const char *const *get;     /* prints "replicas ready"; NULL: replicas cannot be read */
    } exec;
    struct {
        const char *unit; /* with '@' before the dot: "worker@.service" */
        const char *systemctl;
        bool user; /* of the user's manager rather than the system's */
    } systemd;
    struct {
        const char *const *command;
        int64_t stop_ms; /* from SIGTERM to SIGKILL */
    } process;
    struct {
        const char *kind, *api_version, *resource; /* Deployment, apps/v1, deployments */
        const char *name, *space;                  /* space: the namespace; NULL: the account's */
        const char *kubeconfig, *context; /* NULL: the service account of the pod we run in */
    } kubernetes;
};

/* Whether it can replace one instance. */
bool scale_target_replaces(const struct scale_target *target);
const char *scale_target_name(enum scale_target_kind kind);
/* Whether the target itself can say how many replicas there are and serve. */
bool scale_target_reads(const struct scale_target *target);
/* A copy whose texts live in the arena. */
struct scale_target scale_target_copy(const struct scale_target *target, struct tw_arena *arena);
/* The member "target" of the API: null, or an object with type and place; no secrets. */
void scale_target_write_json(const struct scale_target *target, struct tw_json_writer *writer);

/* node: the `target:` mapping, NULL for none. Mistakes are TW_CONFIG with file, line, column and
 * cure. */
TW_MUST_CHECK enum tw_code scale_target_parse(struct tw_arena *arena, const char *file,
                                              const struct tw_yaml *node, struct scale_target *ret,
                                              struct tw_err *err);

#endif
