/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/link.h"

#include "alerts/template_tree.h"

void alert_link_format(struct tw_str external_url, struct tw_str expr, struct tw_buf *out)
{
    tw_buf_append_str(out, external_url);
    tw_buf_append_cstr(out, "/graph?g0.expr=");
    alert_query_escape(expr, out);
    tw_buf_append_cstr(out, "&g0.tab=1");
}
