/* SPDX-License-Identifier: Apache-2.0
 *
 * fingerprints: which series a fingerprint stands for, for requests in which the next series is not
 * the one that is expected: several hosts mixed anew each time, series in no order. Without it
 * their labels would be taken apart and looked up each time.
 *
 * It is filled by expectations that failed, and not before some have: senders that repeat
 * themselves, nearly all, cost no memory. 32 to 64 bytes a series otherwise. Several fingerprints
 * may stand for one series (senders that name it differently).
 *
 * Threads: under the lock that guards the index.
 */
#ifndef TW_TSDB_FINGERPRINTS_H
#define TW_TSDB_FINGERPRINTS_H

#include <stddef.h>
#include <stdint.h>

/* So many failures in a table's life are looked up by labels. */
#define TSDB_FINGERPRINTS_FAILURES_FREE 1000

struct tsdb_fingerprints_slot;

/* Zero is an empty one. */
struct tsdb_fingerprints {
    struct tsdb_fingerprints_slot *slots; /* open addressing; NULL = none yet */
    size_t mask, used, failures;
};

void tsdb_fingerprints_fini(struct tsdb_fingerprints *fingerprints); /* empty afterwards */
/* An expectation failed: the fingerprint (not 0) stands for this series. When more than max are
 * known all are forgotten: those of senders that are gone go with them. */
void tsdb_fingerprints_note(struct tsdb_fingerprints *fingerprints, uint64_t fingerprint,
                            uint32_t series, size_t max);
/* TSDB_NO_SERIES when it is not known. */
uint32_t tsdb_fingerprints_find(const struct tsdb_fingerprints *fingerprints, uint64_t fingerprint);
/* It is looked for soon: the memory is fetched meanwhile. */
void tsdb_fingerprints_fetch(const struct tsdb_fingerprints *fingerprints, uint64_t fingerprint);

#endif
