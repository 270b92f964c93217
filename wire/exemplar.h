/* SPDX-License-Identifier: Apache-2.0
 *
 * exemplar: one observation picked out of a series, with labels of its own (mostly a trace id) that
 * lead to where it came from.
 *
 * Threads: plain data.
 */
#ifndef TW_WIRE_EXEMPLAR_H
#define TW_WIRE_EXEMPLAR_H

#include "base/arena.h"
#include "base/buf.h"
#include "wire/labels.h"

/* OpenMetrics: names and values of all labels together, in UTF-8 characters. */
#define WIRE_EXEMPLAR_CHARACTERS_MAX 128
#define WIRE_EXEMPLAR_LABELS_MAX 64

struct wire_exemplar {
    struct wire_labels labels; /* sorted by name; may be none */
    double value;
    int64_t time_ms;
};

/* 0 for the same; else the order by time, value, labels. */
int wire_exemplar_compare(const struct wire_exemplar *a, const struct wire_exemplar *b);
bool wire_exemplar_equal(const struct wire_exemplar *a, const struct wire_exemplar *b);
/* Whether it may come behind the newest one of its series: by time, then value, then the hash that
 * Prometheus has of the labels, so that both keep the same ones of a series. */
bool wire_exemplar_follows(const struct wire_exemplar *newest, const struct wire_exemplar *exemplar);
/* OpenMetrics' limit, valid and unique label names; the message says which is broken. */
TW_MUST_CHECK enum tw_code wire_exemplar_check(const struct wire_exemplar *exemplar,
                                               struct tw_err *err);

/* prometheus.Exemplar (remote_write 1.0). Strings point into the message, arrays into the arena;
 * labels are sorted, and checked. */
TW_MUST_CHECK enum tw_code wire_exemplar_decode(struct tw_str message, struct tw_arena *arena,
                                                struct wire_exemplar *ret_exemplar,
                                                struct tw_err *err);
/* io.prometheus.write.v2.Exemplar: labels are pairs of references into the request's symbols. */
TW_MUST_CHECK enum tw_code wire_exemplar_decode_v2(struct tw_str message,
                                                   const struct tw_str *symbols,
                                                   size_t symbol_count, struct tw_arena *arena,
                                                   struct wire_exemplar *ret_exemplar,
                                                   struct tw_err *err);
/* Appends the 1.0 message's bytes, without tag and length around it. */
void wire_exemplar_encode(const struct wire_exemplar *exemplar, struct tw_buf *ret_message);

#endif
