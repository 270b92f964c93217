/* SPDX-License-Identifier: Apache-2.0
 *
 * configuration: tidewatch.yml read and checked as a whole; what belongs to a module is handed to
 * it as the tree.
 *
 *   file -> tree -> ${NAME} from the environment, <key>_file from files -> sections
 *
 * Every mistake is named "file:line:column: ..." with the cure. (The file is not called config.h:
 * that is the build's.)
 *
 * Ownership: a configuration owns its tree and texts. Threads: immutable after reading.
 */
#ifndef TW_DAEMON_CONFIGURATION_H
#define TW_DAEMON_CONFIGURATION_H

#include <stdint.h>

#include "alerts/manager.h"
#include "autoscaler/budget.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/yaml.h"
#include "query/keeper.h"
#include "wire/labels.h"

/* Largest configuration file. */
#define DAEMON_CONFIGURATION_BYTES_MAX ((size_t)16 << 20)

struct daemon_configuration {
    struct tw_arena *arena;
    const char *name;              /* the file's, for messages; "" without one */
    const char *folder;            /* that relative paths are relative to */
    const struct tw_yaml *root;    /* NULL: no file, or an empty one */
    const struct tw_yaml *scalers; /* NULL: none */
    struct scale_shared_budget *budgets;
    size_t budget_count;
    struct query_keeper_settings forecast;
    struct wire_labels external_labels;
    int64_t evaluation_interval_ms, query_offset_ms; /* 0 = the default */
    /* As YAML with secrets hidden, before anything was put in from environment and files. */
    struct tw_str shown;
};

/* path NULL or "": the configuration of no file. */
TW_MUST_CHECK enum tw_code
daemon_configuration_read(const char *path, struct daemon_configuration **ret, struct tw_err *err);
struct daemon_configuration *daemon_configuration_free(struct daemon_configuration *configuration);

/* The settings for the alerts module; borrows from the configuration and external_url. */
struct alert_settings daemon_configuration_alerts(const struct daemon_configuration *configuration,
                                                  const char *external_url);

#endif
