/* SPDX-License-Identifier: Apache-2.0
 *
 * extras: what a request has for its series beside plain numbers (native histograms, exemplars),
 * decoded and checked before the store's lock is taken, and handed over under it.
 *
 * Ownership: all in the request's arena, or pointing into its body.
 * Threads: plain data.
 */
#ifndef TW_TSDB_EXTRAS_H
#define TW_TSDB_EXTRAS_H

#include "tsdb/db.h"
#include "wire/remote_write.h"

struct tsdb_extra;

/* Zero but for the arena. */
struct tsdb_extras {
    struct tw_arena *arena;
    struct tsdb_extra *items; /* in the order of the request's series */
    size_t count, capacity;
    size_t next;        /* the first that was not handed over yet */
    bool zero_at_start; /* starts of counting become samples of zero */
};

/* A message of the series with this number in the request; a bad one is kept with its reason. */
void tsdb_extras_histogram(struct tsdb_extras *extras, uint32_t series, struct tw_str message);
/* symbols NULL: of remote_write 1.0. */
void tsdb_extras_exemplar(struct tsdb_extras *extras, uint32_t series, struct tw_str message,
                          const struct tw_str *symbols, size_t symbol_count);
/* All of a 1.0 series. */
void tsdb_extras_series(struct tsdb_extras *extras, const struct wire_write_series *series);

/* All of a 2.0 series. */
void tsdb_extras_series_v2(struct tsdb_extras *extras, const struct wire_write_series *series,
                           const struct tw_str *symbols, size_t symbol_count);

/* Whether there are any of the series, those of numbers below it passed by. */
bool tsdb_extras_has(struct tsdb_extras *extras, uint32_t series);
/* Hands over those of the ingest's current series, which has this number and these labels: stores
 * the good ones, refuses the bad ones. Series come in ascending numbers; those of numbers passed
 * by are dropped (their series was refused, and they with it). */
void tsdb_extras_ingest(struct tsdb_extras *extras, uint32_t series, struct wire_labels labels,
                        struct tsdb_ingest *ingest);

#endif
