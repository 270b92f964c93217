/* SPDX-License-Identifier: Apache-2.0
 *
 * tombstones: the deletions that are not yet carried out in all partitions, durable in the catalog,
 * together with the retention's rules as the list that reads go by (eraser.h).
 *
 * Threads: any; it has a lock of its own.
 */
#ifndef TW_TSDB_TOMBSTONES_H
#define TW_TSDB_TOMBSTONES_H

#include "tsdb/catalog.h"
#include "tsdb/eraser.h"

/* Deletions that wait for their rewrites; more are refused, because each is asked at each read. */
#define TSDB_TOMBSTONES_MAX 1024

struct tsdb_tombstones;

/* rules: a list of rules alone, or NULL; the reference stays the caller's. */
TW_MUST_CHECK enum tw_code tsdb_tombstones_open(struct tsdb_catalog *catalog,
                                                const struct tsdb_erasers *rules,
                                                struct tsdb_tombstones **ret_tombstones,
                                                struct tw_err *err);
struct tsdb_tombstones *tsdb_tombstones_close(struct tsdb_tombstones *tombstones); /* NULL */
/* The current list, with a reference for the caller. */
struct tsdb_erasers *tsdb_tombstones_list(struct tsdb_tombstones *tombstones);
/* Puts other rules in the place of those of the list; the reference stays the caller's. */
void tsdb_tombstones_take_rules(struct tsdb_tombstones *tombstones,
                                const struct tsdb_erasers *rules);
/* One for each selector, durable and in the list on TW_OK; all or none. Ids are above id_above.
 * TW_OVERLOAD when there are too many. */
TW_MUST_CHECK enum tw_code tsdb_tombstones_add(struct tsdb_tombstones *tombstones,
                                               const struct tsdb_selector *selectors, size_t count,
                                               struct tsdb_erasure erasure, uint64_t id_above,
                                               struct tw_err *err);
/* Forgets those up to id: they are carried out. */
TW_MUST_CHECK enum tw_code tsdb_tombstones_retire(struct tsdb_tombstones *tombstones, uint64_t id,
                                                  struct tw_err *err);

/* A tombstone's record in the catalog, added to the list; TW_CORRUPT for what no writer makes. */
TW_MUST_CHECK enum tw_code tsdb_tombstone_read(struct tw_str value, uint64_t id,
                                               struct tsdb_erasers *list, struct tw_err *err);

#endif
