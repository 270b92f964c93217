/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/configuration.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "tests/lib/unit.h"

static char path[512];

static enum tw_code read_text(const char *text, struct daemon_configuration **ret,
                              struct tw_err *err)
{
    snprintf(path, sizeof path, "%s/tidewatch.yml", unit_folder());
    unit_assert_ok(tw_file_replace(path, tw_str(text), 0600, err), err);
    return daemon_configuration_read(path, ret, err);
}

START_TEST(needs_no_file)
{
    struct daemon_configuration *configuration;
    struct tw_err err;
    unit_assert_ok(daemon_configuration_read("", &configuration, &err), &err);
    ck_assert_ptr_null(configuration->root);
    ck_assert_ptr_null(configuration->scalers);
    daemon_configuration_free(configuration);
    unit_assert_ok(read_text("# only a remark\n", &configuration, &err), &err);
    daemon_configuration_free(configuration);
    unit_assert_code(daemon_configuration_read("/nowhere/t.yml", &configuration, &err),
                     TW_NOT_FOUND);
    unit_assert_contains(err.message, "/nowhere/t.yml");
}
END_TEST

START_TEST(reads_its_sections)
{
    struct daemon_configuration *configuration;
    struct tw_err err;
    unit_assert_ok(read_text("global:\n  evaluation_interval: 30s\n"
                             "  external_labels: {zone: b, cluster: a}\n"
                             "rule_files: ['rules/*.yml']\n"
                             "scalers: [{name: web}]\n",
                             &configuration, &err),
                   &err);
    ck_assert_int_eq(configuration->evaluation_interval_ms, 30000);
    ck_assert_uint_eq(configuration->external_labels.count, 2);
    unit_assert_str(configuration->external_labels.items[0].name, "cluster");
    ck_assert_uint_eq(configuration->scalers->count, 1);
    struct alert_settings settings = daemon_configuration_alerts(configuration, "http://x");
    ck_assert_str_eq(settings.config_folder, unit_folder());
    ck_assert_ptr_eq(settings.config, configuration->root);
    daemon_configuration_free(configuration);
}
END_TEST

START_TEST(fills_in_environment_and_files)
{
    struct daemon_configuration *configuration;
    struct tw_err err;
    char secret[600];
    setenv("TW_TEST_HOST", "example", 1);
    snprintf(secret, sizeof secret, "%s/secret", unit_folder());
    unit_assert_ok(tw_file_replace(secret, TW_STR("  s3cret\n"), 0600, &err), &err);
    unit_assert_ok(read_text("receivers:\n  - name: ${TW_TEST_HOST}-$${TW_TEST_HOST}-${1}-$x\n"
                             "    webhook_configs:\n      - url: &u http://${TW_TEST_HOST}/\n"
                             "        http_config: {password_file: secret, bearer_token: abc}\n"
                             "      - url: *u\n",
                             &configuration, &err),
                   &err);
    const struct tw_yaml *receiver = tw_yaml_member(configuration->root, "receivers")->items[0];
    unit_assert_str(tw_yaml_member(receiver, "name")->text, "example-${TW_TEST_HOST}-${1}-$x");
    const struct tw_yaml *hooks = tw_yaml_member(receiver, "webhook_configs");
    unit_assert_str(tw_yaml_member(hooks->items[1], "url")->text, "http://example/");
    const struct tw_yaml *http = tw_yaml_member(hooks->items[0], "http_config");
    unit_assert_str(tw_yaml_member(http, "password")->text, "s3cret");
    ck_assert_ptr_null(tw_yaml_member(http, "password_file"));
    /* What is shown has no secret in it, nor what the environment holds. */
    const char *shown = configuration->shown.data;
    ck_assert_ptr_null(strstr(shown, "abc"));
    ck_assert_ptr_null(strstr(shown, "s3cret"));
    unit_assert_contains(shown, "bearer_token: <secret>");
    unit_assert_contains(shown, "url: http://${TW_TEST_HOST}/");
    daemon_configuration_free(configuration);
}
END_TEST

static const struct {
    const char *text, *message;
} bad[] = {
    {"rule_file: []\n", "tidewatch.yml:1:1: unknown key 'rule_file'; did you mean 'rule_files'?"},
    {"a: [\n", "tidewatch.yml:2:1: "},
    {"- x\n", "tidewatch.yml:1:1: a mapping"},
    {"route: {receiver: \"${TW_NOT_SET}\"}\n",
     "tidewatch.yml:1:19: environment variable 'TW_NOT_SET' is not set"},
    {"global:\n  scrape_interval: 15s\n", "tidewatch.yml:2:3: unknown key 'scrape_interval'"},
    {"global:\n  evaluation_interval: soon\n", "tidewatch.yml:2:24: 'evaluation_interval'"},
    {"global: {external_labels: {__name__: x}}\n", "tidewatch.yml:1:28: '__name__' is no name"},
    {"scrape_configs: []\n", "tidewatch.yml:1:1: 'scrape_configs': the agent scrapes"},
    {"alerting: {}\n", "tidewatch.yml:1:1: 'alerting': name Alertmanagers under alertmanagers"},
    {"forward:\n  - url: http://x/\n", "tidewatch.yml:2:3: 'forward' (passing"},
    {"storage:\n  external: {write_url: x}\n", "tidewatch.yml:2:13: 'storage.external'"},
    {"storage: {extrenal: {}}\n", "tidewatch.yml:1:11: unknown key 'extrenal'; did you mean"},
    {"storage: {disk_reserve: some}\n", "tidewatch.yml:1:25: 'disk_reserve'"},
    {"receivers: [{password: a, password_file: b}]\n",
     "tidewatch.yml:1:27: either 'password' or 'password_file', not both"},
    {"receivers: [{password_file: /nowhere/x}]\n", "tidewatch.yml:1:29: "},
};

START_TEST(names_the_place_and_the_cure)
{
    struct daemon_configuration *configuration;
    struct tw_err err = {0};
    unsetenv("TW_NOT_SET");
    unit_assert_code(read_text(bad[_i].text, &configuration, &err), TW_CONFIG);
    unit_assert_contains(err.message, bad[_i].message);
    ck_assert_uint_gt(err.line, 0);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(needs_no_file),
        UNIT_CASE(reads_its_sections),
        UNIT_CASE(fills_in_environment_and_files),
        UNIT_LOOP(names_the_place_and_the_cure, 0, sizeof bad / sizeof bad[0]),
        {0}};
    return unit_run("daemon/configuration", cases);
}
