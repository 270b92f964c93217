/* SPDX-License-Identifier: Apache-2.0
 *
 * kept_record: a kept model as bytes, so that it survives a restart
 * (docs/format/state-forecast.md).
 *
 * Threads: plain data; reading puts the model into a query_kept, which any thread may.
 */
#ifndef TW_QUERY_KEPT_RECORD_H
#define TW_QUERY_KEPT_RECORD_H

#include "base/buf.h"
#include "query/kept.h"

#define QUERY_KEPT_RECORD_BYTES_MAX (256 << 10)

/* The model is there (not out). False: it does not fit, and is not to be stored. */
bool query_kept_record_write(const struct query_kept_model *model, struct tw_buf *out);
/* Puts the model that the record holds back. TW_BAD_DATA: damaged, or of another version. */
TW_MUST_CHECK enum tw_code query_kept_record_read(struct tw_str record, struct query_kept *kept,
                                                  int64_t now_ms, struct tw_err *err);

#endif
