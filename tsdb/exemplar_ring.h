/* SPDX-License-Identifier: Apache-2.0
 *
 * exemplar_ring: the newest exemplars of a store, in memory, a bounded number of all series
 * together: the one that came first makes room for a new one, whatever its time.
 *
 *   I1  Numbers ascend in the order of arrival and are never given twice. After an erasure there
 *       are gaps.
 *   I2  Within a series arrival is Prometheus's order (wire_exemplar_follows): one that comes late
 *       is refused, one that is the newest already changes nothing. So what is sent again, or
 *       replayed, leaves the ring as it is.
 *   I3  Each exemplar knows the segment of the log that has it, until the ring was saved
 *       (exemplar_store.h); segments ascend as numbers do.
 *
 * Memory: about 130 bytes and its labels' an exemplar, and once its series' labels.
 *
 * Threads: any; it has a lock of its own, held for moments.
 */
#ifndef TW_TSDB_EXEMPLAR_RING_H
#define TW_TSDB_EXEMPLAR_RING_H

#include "tsdb/storage.h"

struct tsdb_exemplar_ring;

/* count_max 0: none is kept. */
struct tsdb_exemplar_ring *tsdb_exemplar_ring_new(size_t count_max);
struct tsdb_exemplar_ring *tsdb_exemplar_ring_free(struct tsdb_exemplar_ring *ring); /* NULL */
/* A smaller one keeps the newest. */
void tsdb_exemplar_ring_resize(struct tsdb_exemplar_ring *ring, size_t count_max);

struct tsdb_exemplar_counts {
    size_t exemplars, series, exemplars_max;
    uint64_t overwritten; /* made room, since the ring was made */
    int64_t oldest_ms;    /* time of the one that came first, 0 = there is none */
    uint64_t changes;     /* differs when the ring does */
};
void tsdb_exemplar_ring_count(struct tsdb_exemplar_ring *ring, struct tsdb_exemplar_counts *ret);

enum tsdb_exemplar_fate {
    TSDB_EXEMPLAR_KEPT,
    TSDB_EXEMPLAR_DUPLICATE,
    TSDB_EXEMPLAR_OUT_OF_ORDER,
    TSDB_EXEMPLAR_OFF, /* none is kept */
};
/* What adding it would come to; labels canonical. */
enum tsdb_exemplar_fate tsdb_exemplar_ring_test(struct tsdb_exemplar_ring *ring,
                                                struct wire_labels series,
                                                const struct wire_exemplar *exemplar);
/* Copies. segment: of the log, not below the one before. */
enum tsdb_exemplar_fate tsdb_exemplar_ring_add(struct tsdb_exemplar_ring *ring,
                                               struct wire_labels series,
                                               const struct wire_exemplar *exemplar,
                                               uint64_t segment);
/* Puts back one that was saved, under its number. False when numbers do not ascend, or it does not
 * follow those of its series. */
bool tsdb_exemplar_ring_restore(struct tsdb_exemplar_ring *ring, uint64_t number,
                                struct wire_labels series, const struct wire_exemplar *exemplar);
/* As tsdb_exemplars_select. */
TW_MUST_CHECK enum tw_code
tsdb_exemplar_ring_select(struct tsdb_exemplar_ring *ring, const struct tw_context *context,
                          const struct tsdb_selector *selectors, size_t selector_count,
                          int64_t start_ms, int64_t end_ms, struct tw_arena *arena,
                          struct tsdb_exemplars **ret_items, size_t *ret_count, struct tw_err *err);

/* Removes those for which it returns true; it must not call the ring. Returns how many. */
typedef bool tsdb_exemplar_judge(void *user, struct wire_labels series, int64_t time_ms);
size_t tsdb_exemplar_ring_erase(struct tsdb_exemplar_ring *ring, tsdb_exemplar_judge *judge,
                                void *user);

/* Calls visit for each in segments up to this one, in order of their numbers; it must not call the
 * ring. */
typedef void tsdb_exemplar_visit(void *user, uint64_t number, struct wire_labels series,
                                 int64_t time_ms, struct tw_str blob);
void tsdb_exemplar_ring_visit(struct tsdb_exemplar_ring *ring, uint64_t segment_max,
                              tsdb_exemplar_visit *visit, void *user);

/* ---- bytes: value and labels as the log, the ring and the store have them ---- */
void tsdb_exemplar_append(const struct wire_exemplar *exemplar, struct tw_buf *ret_blob);
/* items holds WIRE_EXEMPLAR_LABELS_MAX; strings point into the blob. False for what no writer
 * makes. */
bool tsdb_exemplar_read(struct tw_str blob, int64_t time_ms, struct wire_label *items,
                        struct wire_exemplar *ret);

#endif
