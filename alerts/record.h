/* SPDX-License-Identifier: Apache-2.0
 *
 * record: the bytes of what alerts keep in the state store (docs/format/state-alerts.md). Encode
 * and decode side by side; tsdb_state guards them with length and checksum.
 *
 *   table             key                                 value
 *   alerts.active     rule id (16), fingerprint (8)       state of one alert of one rule
 *   alerts.seen       group id (16)                       time of the last evaluation
 *   alerts.outbox     fingerprint (8)                     an alert as its receivers shall see it
 *   alerts.sent       hash of group and receiver (16)     what was delivered last, and when
 */
#ifndef TW_ALERTS_RECORD_H
#define TW_ALERTS_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "wire/labels.h"

#define ALERT_TABLE_ACTIVE "alerts.active"
#define ALERT_TABLE_SEEN "alerts.seen"
#define ALERT_TABLE_OUTBOX "alerts.outbox"
#define ALERT_TABLE_SENT "alerts.sent"

#define ALERT_RECORD_VERSION 1
#define ALERT_RECORD_BYTES_MAX (1 << 20)
#define ALERT_TIME_NONE INT64_MIN /* not (yet) */

enum alert_state { ALERT_INACTIVE = 0, ALERT_PENDING = 1, ALERT_FIRING = 2 };

/* alerts.active */
struct alert_active_record {
    enum alert_state state;
    int64_t active_ms, fired_ms, resolved_ms, keep_firing_ms;
    double value;
    struct wire_labels labels, annotations;
};

/* alerts.outbox */
struct alert_notice_record {
    int64_t starts_ms, ends_ms; /* ends_ms ALERT_TIME_NONE: firing */
    int64_t valid_ms;           /* how long a firing alert stays valid for others without news */
    struct wire_labels labels, annotations;
    struct tw_str generator_url;
};

/* alerts.sent */
struct alert_sent_record {
    int64_t time_ms;
    struct tw_str group_key, receiver;
    const uint64_t *firing, *resolved; /* fingerprints, ascending */
    size_t firing_count, resolved_count;
};

void alert_active_encode(const struct alert_active_record *record, struct tw_buf *out);
void alert_notice_encode(const struct alert_notice_record *record, struct tw_buf *out);
void alert_sent_encode(const struct alert_sent_record *record, struct tw_buf *out);
void alert_seen_encode(int64_t time_ms, struct tw_buf *out);

/* What is decoded is copied to the arena. TW_CORRUPT for bytes that are none of ours,
 * TW_UNSUPPORTED for those of a later version. */
TW_MUST_CHECK enum tw_code alert_active_decode(struct tw_str bytes, struct tw_arena *arena,
                                               struct alert_active_record *ret, struct tw_err *err);
TW_MUST_CHECK enum tw_code alert_notice_decode(struct tw_str bytes, struct tw_arena *arena,
                                               struct alert_notice_record *ret, struct tw_err *err);
TW_MUST_CHECK enum tw_code alert_sent_decode(struct tw_str bytes, struct tw_arena *arena,
                                             struct alert_sent_record *ret, struct tw_err *err);
TW_MUST_CHECK enum tw_code alert_seen_decode(struct tw_str bytes, int64_t *ret_time_ms,
                                             struct tw_err *err);

/* Keys: big-endian, so that one rule's alerts stand together. ret_key holds 24, 16 and 8 bytes. */
#define ALERT_ACTIVE_KEY_BYTES 24
#define ALERT_HASH_KEY_BYTES 16
#define ALERT_FINGERPRINT_KEY_BYTES 8
void alert_hash_key(struct tw_hash128 hash, char *ret_key);
void alert_fingerprint_key(uint64_t fingerprint, char *ret_key);
void alert_active_key(struct tw_hash128 rule, uint64_t fingerprint, char *ret_key);
struct tw_hash128 alert_key_hash(const char *key);
uint64_t alert_key_fingerprint(const char *key);

#endif
