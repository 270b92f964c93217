/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/yaml.h"

#define OPTIONS_MAX 32

int cli_fail(const struct cli_command *command, int status, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "tidewatch %s: ", command->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return status;
}

static void print_help(const struct cli_command *command)
{
    printf("usage: tidewatch %s [OPTION ...] %s\n\n%s\n", command->name, command->arguments,
           command->help);
    if (command->option_count > 0)
        puts("\noptions:");
    for (size_t i = 0; i < command->option_count; i++) {
        const struct cli_option *option = &command->options[i];
        char head[64];
        int length = option->letter ? snprintf(head, sizeof head, "-%c, ", option->letter) : 0;
        snprintf(head + length, sizeof head - (size_t)length, "--%s%s%s", option->name,
                 option->value ? " " : "", option->value ? option->shown : "");
        printf("  %-26s%s%s\n", head, strlen(head) > 25 ? "\n                            " : "",
               option->help);
    }
    puts("  --help                    This text.");
}

static const struct cli_option *find_option(const struct cli_command *command, struct tw_str name,
                                            bool is_letter)
{
    for (size_t i = 0; i < command->option_count; i++) {
        const struct cli_option *option = &command->options[i];
        if (is_letter ? name.size == 1 && name.data[0] == option->letter
                      : tw_str_is(name, option->name))
            return option;
    }
    return NULL;
}

static int unknown_option(const struct cli_command *command, const char *word, struct tw_str name)
{
    const char *names[OPTIONS_MAX + 2] = {"help"};
    for (size_t i = 0; i < command->option_count && i < OPTIONS_MAX; i++)
        names[i + 1] = command->options[i].name;
    const char *nearest = tw_yaml_nearest(name, names);
    if (nearest)
        return cli_fail(command, CLI_USAGE, "unknown option %s; did you mean --%s?", word, nearest);
    return cli_fail(command, CLI_USAGE, "unknown option %s; see tidewatch %s --help", word,
                    command->name);
}

/* Takes argv[*at], an option, and its value if that is the next word. */
static bool take_option(const struct cli_command *command, int argc, char **argv, int *at,
                        int *ret_status)
{
    const char *word = argv[*at];
    bool is_letter = word[1] != '-';
    const char *equals = is_letter ? NULL : strchr(word, '=');
    struct tw_str name = tw_str(word + (is_letter ? 1 : 2));
    if (equals)
        name.size = (size_t)(equals - word) - 2;
    if (tw_str_is(name, "help") || (is_letter && tw_str_is(name, "h"))) {
        print_help(command);
        *ret_status = CLI_OK;
        return false;
    }
    *ret_status = CLI_USAGE;
    const struct cli_option *option = find_option(command, name, is_letter);
    if (!option) {
        unknown_option(command, word, name);
        return false;
    }
    if (option->flag) {
        *option->flag = true;
        if (equals)
            cli_fail(command, CLI_USAGE, "--%s takes no value", option->name);
        return !equals;
    }
    if (!equals && *at + 1 >= argc) {
        cli_fail(command, CLI_USAGE, "--%s needs a value: --%s %s", option->name, option->name,
                 option->shown);
        return false;
    }
    *option->value = equals ? equals + 1 : argv[++*at];
    return true;
}

bool cli_parse(const struct cli_command *command, int argc, char **argv, int *ret_count,
               int *ret_status)
{
    int count = 0;
    bool options_end = false;
    for (int i = 1; i < argc; i++) {
        if (!options_end && !strcmp(argv[i], "--"))
            options_end = true;
        /* "-" and "-1" are arguments. */
        else if (options_end || argv[i][0] != '-' || !argv[i][1] ||
                 (argv[i][1] >= '0' && argv[i][1] <= '9'))
            argv[1 + count++] = argv[i];
        else if (!take_option(command, argc, argv, &i, ret_status))
            return false;
    }
    *ret_count = count;
    return true;
}
