/* SPDX-License-Identifier: Apache-2.0
 *
 * params: the settings of tidewatchd's command line, from the table in params.tbl.
 *
 * Every mistake is named with the flag and what it takes; an unknown flag with its nearest known
 * one.
 */
#ifndef TW_DAEMON_PARAMS_H
#define TW_DAEMON_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

typedef const char *daemon_param_TEXT;
typedef const char *daemon_param_LIST; /* comma-separated, as given */
typedef int64_t daemon_param_COUNT;
typedef int64_t daemon_param_DURATION; /* ms; 0 = off */
typedef uint64_t daemon_param_BYTES;
typedef bool daemon_param_SWITCH;

/* Texts live as long as argv. */
struct daemon_params {
#define PARAM(field, flag, type, value, min, max, shown, help) daemon_param_##type field;
#include "daemon/params.tbl"
#undef PARAM
    uint64_t given; /* bit i: the table's entry i was on the command line */
};

enum daemon_params_wish { DAEMON_PARAMS_RUN, DAEMON_PARAMS_HELP, DAEMON_PARAMS_VERSION };

/* "--flag value" or "--flag=value". TW_CONFIG for a mistake. With --help or --version nothing else
 * is looked at. */
TW_MUST_CHECK enum tw_code daemon_params_parse(int argc, const char *const *argv,
                                               struct daemon_params *ret_params,
                                               enum daemon_params_wish *ret_wish,
                                               struct tw_err *err);
/* The text of --help. */
void daemon_params_help(struct tw_buf *ret_text);
/* Each flag with its value in force, as text, in the order of the table. */
void daemon_params_each(const struct daemon_params *params,
                        void (*visit)(void *user, const char *flag, const char *value), void *user);
/* Whether the flag, one of the table's, was on the command line. */
bool daemon_params_is_given(const struct daemon_params *params, const char *flag);
/* Whether a comma-separated list holds a name. */
bool daemon_params_has(const char *list, const char *name);

#endif
