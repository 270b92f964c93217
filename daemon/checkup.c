/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/checkup.h"

#include "alerts/manager.h"
#include "autoscaler/manager.h"
#include "daemon/budget.h"
#include "daemon/configuration.h"
#include "daemon/storage.h"

static enum tw_code check_budget(const struct daemon_params *given,
                                 const struct daemon_configuration *configuration,
                                 struct tw_buf *ret_text, struct tw_err *err)
{
    struct daemon_params params = *given;
    struct daemon_storage storage;
    struct daemon_machine machine;
    struct daemon_budget budget;
    enum tw_code code = daemon_storage_read(
        configuration->name, tw_yaml_member(configuration->root, "storage"), &storage, err);
    if (code != TW_OK)
        return code;
    daemon_machine_read("", &machine);
    code = daemon_budget_settle(&machine, &params, &storage, &budget, err);
    daemon_budget_write(&budget, ret_text);
    daemon_storage_fini(&storage);
    return code;
}

enum tw_code daemon_checkup_run(const struct daemon_params *params, struct tw_buf *ret_text,
                                struct tw_err *err)
{
    struct daemon_configuration *configuration;
    struct alert_check check = {0};
    enum tw_code code = daemon_configuration_read(params->config, &configuration, err);
    if (code != TW_OK)
        return code;
    struct alert_settings settings = daemon_configuration_alerts(configuration, "http://localhost");
    code = alert_check_settings(&settings, &check, err);
    if (code == TW_OK)
        code = scale_manager_check(configuration->name, configuration->scalers, err);
    if (code == TW_OK)
        code = check_budget(params, configuration, ret_text, err);
    if (code == TW_OK && *configuration->name)
        tw_buf_appendf(ret_text, "%s is valid\n", configuration->name);
    daemon_configuration_free(configuration);
    return code;
}
