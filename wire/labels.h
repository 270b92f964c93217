/* SPDX-License-Identifier: Apache-2.0
 *
 * labels: a set of labels, the identity of a series. `__name__` is the metric's name.
 *
 * A canonical set is sorted by the bytes of the names, has each name once and no empty value (an
 * empty value means that the label is absent). All functions below take canonical sets unless they
 * say otherwise.
 *
 * Ownership: a struct wire_labels borrows everything; copies live in an arena. Threads: plain data.
 */
#ifndef TW_WIRE_LABELS_H
#define TW_WIRE_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define WIRE_METRIC_NAME "__name__"
/* What a metric is, as Prometheus's type-and-unit-labels say it; they go where its name goes. */
#define WIRE_METRIC_TYPE "__type__"
#define WIRE_METRIC_UNIT "__unit__"

/* Limits on one set; what passes them is refused with the reason. */
#define WIRE_LABELS_COUNT_MAX 128
#define WIRE_LABEL_NAME_BYTES_MAX 1024
#define WIRE_LABEL_VALUE_BYTES_MAX 4096
#define WIRE_LABELS_BYTES_MAX 16384 /* names and values together */

struct wire_label {
    struct tw_str name, value;
};

struct wire_labels {
    const struct wire_label *items;
    size_t count;
};

/* Value of a label, or the empty string. */
struct tw_str wire_labels_get(struct wire_labels labels, struct tw_str name);
bool wire_labels_equal(struct wire_labels a, struct wire_labels b);
/* Prometheus's order: by name, value, name, value ...; a prefix comes first. */
int wire_labels_compare(struct wire_labels a, struct wire_labels b);
/* Stable 64-bit hash (may be stored). */
uint64_t wire_labels_hash(struct wire_labels labels);
/* Deep copy. */
struct wire_labels wire_labels_copy(struct tw_arena *arena, struct wire_labels labels);
/* Sorts in place, drops empty values; TW_BAD_DATA for a name given twice. */
TW_MUST_CHECK enum tw_code wire_labels_canonical(struct wire_label *items, size_t *count,
                                                 struct tw_err *err);
/* What a server accepts: a valid metric name, UTF-8 throughout, non-empty names, within the limits
 * above, sorted and unique. The message names the label. */
TW_MUST_CHECK enum tw_code wire_labels_check(struct wire_labels labels, struct tw_err *err);
/* {a="b", c="d"} with the metric's name in front, as Prometheus prints a series. */
void wire_labels_format(struct wire_labels labels, struct tw_buf *ret_text);
/* [a-zA-Z_][a-zA-Z0-9_]*, and with colons for metric names. */
bool wire_label_name_is_legacy(struct tw_str name);
bool wire_metric_name_is_legacy(struct tw_str name);

#endif
