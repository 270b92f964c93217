/* SPDX-License-Identifier: Apache-2.0
 *
 * record: one request as the log keeps it: the series that are new to the segment, with their
 * labels, and the samples, each value as its difference from what the segment last had for the
 * series. docs/format/log.md draws the bytes.
 *
 * A record is read in the context of all records before it in its segment, by replaying it into
 * the head that belongs to the segment. Nothing of an earlier segment is needed: a series, a pair
 * and a string are written out in each segment that names them.
 *
 * Threads: under the lock that guards the head.
 */
#ifndef TW_TSDB_RECORD_H
#define TW_TSDB_RECORD_H

#include "base/buf.h"
#include "tsdb/blobs.h"
#include "tsdb/head.h"
#include "tsdb/rows.h"

struct tsdb_record_sample {
    uint32_t series;
    int64_t time_ms;
    uint64_t bits;
};

/* What the segment knows already. Zero for a new one. */
struct tsdb_record_state {
    bool begun;
    struct tsdb_bits series, pairs, strings;      /* written out in it */
    uint32_t next_series, next_pair, next_string; /* behind the last written out: the next guess */
    struct tsdb_rows values; /* u64 by series: bits that the segment had last */
    struct tsdb_ids fresh;   /* registered, and not yet written out */
    /* Of the records replayed so far: whoever replays takes them from here. */
    struct tsdb_blobs exemplars;
    /* At replay: how many the index had when the segment began. */
    uint32_t series_base, pair_base, string_base;
};
/* How far an id may be above what the index had when the segment began and what the segment brought
 * since. Ids are given one after the other: one that is higher is none of ours, and to take it
 * would cost time and memory for all below. */
#define TSDB_RECORD_AHEAD_MAX ((uint32_t)1 << 20)
void tsdb_record_state_fini(struct tsdb_record_state *state);

/* A series of the head's index is to be in the segment, before samples of it are encoded. False
 * when it is already. */
bool tsdb_record_register(struct tsdb_record_state *state, uint32_t series);
static inline bool tsdb_record_knows(const struct tsdb_record_state *state, uint32_t series)
{
    return tsdb_bits_test(&state->series, series);
}

/* Appends a record: the series that were registered since the last one, then the samples. */
void tsdb_record_encode(struct tsdb_head *head, struct tsdb_record_state *state,
                        const struct tsdb_record_sample *samples, size_t count, struct tw_buf *ret);
/* Appends the histograms from index `first` on to a record: their steps (head.h). */
void tsdb_record_encode_histograms(const struct tsdb_blobs *histograms, size_t first,
                                   struct tw_buf *ret);
/* The same for exemplars (exemplar_ring.h). */
void tsdb_record_encode_exemplars(const struct tsdb_blobs *exemplars, size_t first,
                                  struct tw_buf *ret);
/* Applies a record to the head; TW_CORRUPT for what no encoder makes. Once all is replayed into the
 * heads of an index, tsdb_index_finish_restore makes it usable. */
TW_MUST_CHECK enum tw_code tsdb_record_replay(struct tsdb_head *head,
                                              struct tsdb_record_state *state, struct tw_str record,
                                              struct tw_err *err);
/* The number of the index that a segment uses, from its first record. */
TW_MUST_CHECK enum tw_code tsdb_record_index_number(struct tw_str record, uint64_t *ret_number,
                                                    struct tw_err *err);

#endif
