/* SPDX-License-Identifier: Apache-2.0
 *
 * printer_int: what the printer's files share.
 */
#ifndef TW_QUERY_PRINTER_INT_H
#define TW_QUERY_PRINTER_INT_H

#include "tsdb/storage.h"

/* "=", "!=", "=~", "!~" */
const char *query_match_op_text(enum tsdb_match_op op);

#endif
