/* SPDX-License-Identifier: Apache-2.0
 *
 * link: the address under which an expression can be looked at, the generatorURL of an alert.
 */
#ifndef TW_ALERTS_LINK_H
#define TW_ALERTS_LINK_H

#include "base/buf.h"
#include "base/str.h"

/* <external_url>/graph?g0.expr=...&g0.tab=1 */
void alert_link_format(struct tw_str external_url, struct tw_str expr, struct tw_buf *out);

#endif
