/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher: Alertmanager's matchers in routes and inhibition rules: a="b", a!="b", a=~"b.*",
 * a!~"b.*", also as match: {a: b} and match_re: {a: b.*}. A label that is absent has the empty
 * value.
 */
#ifndef TW_ALERTS_MATCHER_H
#define TW_ALERTS_MATCHER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/yaml.h"
#include "wire/labels.h"
#include "tsdb/storage.h"

struct alert_matchers {
    struct tsdb_matcher *items; /* by name, value, kind */
    size_t count;
};

/* Reads the members of a mapping named by the three keys (any may be absent), all in the arena. */
TW_MUST_CHECK enum tw_code alert_matchers_read(const char *file, const struct tw_yaml *mapping,
                                               const char *matchers_key, const char *match_key,
                                               const char *match_re_key, struct tw_arena *arena,
                                               struct alert_matchers *ret, struct tw_err *err);
void alert_matchers_fini(struct alert_matchers *matchers);
bool alert_matchers_match(const struct alert_matchers *matchers, struct wire_labels labels);
/* {a="b",c=~"d"} as Alertmanager writes it in group keys. */
void alert_matchers_format(const struct alert_matchers *matchers, struct tw_buf *out);

#endif
