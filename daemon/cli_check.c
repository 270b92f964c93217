/* SPDX-License-Identifier: Apache-2.0
 *
 * `tidewatch check`: configurations and rule files read as the server would, without one. Its words
 * are promtool's, for the scripts that look for them.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "alerts/manager.h"
#include "autoscaler/manager.h"
#include "daemon/cli.h"
#include "daemon/configuration.h"

static const struct cli_command command = {
    .name = "check",
    .arguments = "config FILE ... | rules FILE ...",
    .help = "check config   reads a server's configuration and every rule file that it names\n"
            "check rules    reads Prometheus rule files\n\n"
            "Exit status: 0 all are right, 1 one has a mistake, 2 wrong use."};

static int report(const struct tw_err *err)
{
    fflush(stdout);
    fprintf(stderr, "  FAILED:\n%s\n", err->message);
    return CLI_FAILED;
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static int check_rules(const char *path)
{
    struct alert_check check = {0};
    struct tw_err err;
    printf("Checking %s\n", path);
    if (alert_check_rules(path, &check, &err) != TW_OK)
        return report(&err);
    printf("  SUCCESS: %zu rules found\n\n", check.alert_count + check.record_count);
    return CLI_OK;
}

static int check_config(const char *path)
{
    struct daemon_configuration *configuration;
    struct alert_check check = {0};
    struct tw_err err;
    printf("Checking %s\n", path);
    if (daemon_configuration_read(path, &configuration, &err) != TW_OK)
        return report(&err);
    struct alert_settings settings = daemon_configuration_alerts(configuration, "http://localhost");
    enum tw_code code = alert_check_settings(&settings, &check, &err);
    if (code == TW_OK)
        code = scale_manager_check(configuration->name, configuration->scalers, &err);
    size_t scalers = configuration->scalers ? configuration->scalers->count : 0;
    daemon_configuration_free(configuration);
    if (code != TW_OK)
        return report(&err);
    printf("  SUCCESS: %zu group%s, %zu alerting rule%s, %zu recording rule%s, %zu scaler%s\n"
           " SUCCESS: %s is valid\n\n",
           check.group_count, plural(check.group_count), check.alert_count,
           plural(check.alert_count), check.record_count, plural(check.record_count), scalers,
           plural(scalers), path);
    return CLI_OK;
}

int cli_check(int argc, char **argv)
{
    int count, status;
    if (!cli_parse(&command, argc, argv, &count, &status))
        return status;
    bool rules = count > 0 && !strcmp(argv[1], "rules");
    if (count == 0 || (!rules && strcmp(argv[1], "config") != 0))
        return cli_fail(&command, CLI_USAGE,
                        "check what? config or rules; see tidewatch check --help");
    if (count == 1)
        return cli_fail(&command, CLI_USAGE, "check %s: which file?", argv[1]);
    int worst = CLI_OK;
    for (int i = 2; i <= count; i++) {
        status = rules ? check_rules(argv[i]) : check_config(argv[i]);
        worst = status > worst ? status : worst;
    }
    return worst;
}
