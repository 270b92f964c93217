/* SPDX-License-Identifier: Apache-2.0
 *
 * lease: of several servers that are told to act on one target, one does; the others stand by, and
 * one of them takes over when it is gone. The key `lease:` of a scaler:
 *
 *   target kubernetes   the name of a Lease (coordination.k8s.io/v1) in the target's namespace
 *   all others          the path of a file that is locked while the server runs
 *
 * It is taken and renewed at each look at the target, and again right before each act. A Lease is
 * over when its holder has not changed it for its duration, by our own clock that cannot be set:
 * what time it says there does not matter.
 *
 * Threads: any.
 */
#ifndef TW_AUTOSCALER_LEASE_H
#define TW_AUTOSCALER_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "autoscaler/settings.h"
#include "base/clock.h"
#include "tsdb/state.h"

#define SCALE_LEASE_MS_MIN 60000
#define SCALE_LEASE_TICKS 3 /* or so many ticks, if that is longer */
#define SCALE_IDENTITY_BYTES 128

struct scale_leases;
struct scale_leases *scale_leases_new(void);
/* Gives files back; returns NULL. */
struct scale_leases *scale_leases_free(struct scale_leases *leases);

/* Whether the file is locked by us, now or already; else ret_error says by whom or why not. */
bool scale_lease_lock(struct scale_leases *leases, const char *path, char *ret_error,
                      size_t error_bytes);
/* How long a Lease has had this version, as far as we saw. */
int64_t scale_lease_age_ms(struct scale_leases *leases, const char *name, struct tw_str version,
                           int64_t now_mono_ms);
/* Who we are to others: the host's name and a number of this data folder; the same after a
 * restart. */
TW_MUST_CHECK enum tw_code scale_lease_identity(struct tsdb_state *state, struct tw_clock *clock,
                                                char *ret_identity, struct tw_err *err);

/* The key `lease` of a scaler; its target and mode are known. */
TW_MUST_CHECK enum tw_code scale_lease_parse(struct tw_arena *arena, const char *file,
                                             const struct tw_yaml *map,
                                             struct scale_settings *settings, struct tw_err *err);

#endif
