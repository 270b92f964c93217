/* SPDX-License-Identifier: Apache-2.0
 *
 * checkup: what `tidewatchd --check-config` does: everything that a start would refuse, without
 * one.
 */
#ifndef TW_DAEMON_CHECKUP_H
#define TW_DAEMON_CHECKUP_H

#include "base/buf.h"
#include "base/err.h"
#include "daemon/params.h"

/* Reads the configuration with the rule files that it names, and settles the budget, whose table is
 * appended also when something does not fit. */
TW_MUST_CHECK enum tw_code daemon_checkup_run(const struct daemon_params *params,
                                              struct tw_buf *ret_text, struct tw_err *err);

#endif
