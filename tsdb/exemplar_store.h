/* SPDX-License-Identifier: Apache-2.0
 *
 * exemplar_store: the exemplar ring on disk, a small environment beside the catalog, as of a
 * segment of the log. What came later is in later segments; so it is saved before a segment goes.
 * docs/format/exemplars.md draws it.
 *
 * Threads: one at a time, apart from tsdb_exemplar_store_env.
 */
#ifndef TW_TSDB_EXEMPLAR_STORE_H
#define TW_TSDB_EXEMPLAR_STORE_H

#include "tsdb/exemplar_ring.h"
#include "tsdb/lmdb.h"

struct tsdb_exemplar_store;
extern const struct tsdb_env_format tsdb_exemplars_format;

/* Opens or makes it, and fills the ring, which is empty, with what it has. */
TW_MUST_CHECK enum tw_code tsdb_exemplar_store_open(const char *path,
                                                    struct tsdb_exemplar_ring *ring,
                                                    struct tsdb_exemplar_store **ret_store,
                                                    struct tw_err *err);
struct tsdb_exemplar_store *tsdb_exemplar_store_close(struct tsdb_exemplar_store *store); /* NULL */
/* Exemplars of segments up to this one are not to be replayed: they are in it, or were overwritten
 * or deleted. */
uint64_t tsdb_exemplar_store_segment(const struct tsdb_exemplar_store *store);
/* Makes it what the ring has of segments up to this one, durably; cheap when nothing changed. */
TW_MUST_CHECK enum tw_code tsdb_exemplar_store_save(struct tsdb_exemplar_store *store,
                                                    uint64_t segment, struct tw_err *err);
/* For copying. */
struct tsdb_env *tsdb_exemplar_store_env(struct tsdb_exemplar_store *store);

#endif
