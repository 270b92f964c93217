/* SPDX-License-Identifier: Apache-2.0
 *
 * receiver: the HTTP side of writing.
 *
 *   POST /api/v1/write             remote_write 1.0: protobuf prometheus.WriteRequest, in Snappy
 *                                  or (as vmagent sends it) Zstandard
 *                                  remote_write 2.0 (io.prometheus.write.v2.Request, named by the
 *                                  Content-Type): every answer says what was written; where
 *                                  counting began can be kept as a sample of zero
 *   POST /api/v1/admin/tsdb/flush  moves the head into partitions and trims the log
 *
 * A write is answered when it is durable: 204. No thread waits for the disk: small requests are
 * decoded where they arrive, large ones and those with new metadata on a pool of the receiver's
 * own, and the committer finishes the exchange. 400 names the first sample that was refused (the
 * others of the request are stored) or the place where the body is malformed (nothing is stored
 * then); 415 for encodings that are not supported; 429 and 503 with Retry-After.
 *
 * Threads: any.
 */
#ifndef TW_TSDB_RECEIVER_H
#define TW_TSDB_RECEIVER_H

#include "base/http.h"
#include "tsdb/db.h"

/* Largest request, decompressed; declared by the sender, and checked before it is allocated. */
#define TSDB_RECEIVER_PLAIN_BYTES_MAX ((size_t)32 << 20)

struct tsdb_receiver;

struct tsdb_receiver *tsdb_receiver_new(struct tsdb_db *db, struct tw_metrics *metrics);
/* Requests may be so large, decompressed, and no larger than TSDB_RECEIVER_PLAIN_BYTES_MAX. Before
 * the first one. */
void tsdb_receiver_limit(struct tsdb_receiver *receiver, size_t plain_bytes_max);
/* Whether the times at which counting began (2.0) become samples of zero, so that the first value
 * of a counter counts as an increase; as Prometheus does with created-timestamp-zero-ingestion.
 * Before the first request; false unless set. */
void tsdb_receiver_zero_at_start(struct tsdb_receiver *receiver, bool zero_at_start);
/* Threads that read requests, beside those that take them in. */
#define TSDB_RECEIVER_WORKERS 2
/* Memory of a request that is read, as multiples of its plain bytes: these, and what they say. */
#define TSDB_RECEIVER_PLAIN_COST 3
/* No exchange is running any more. Before tsdb_db_close. Returns NULL. */
struct tsdb_receiver *tsdb_receiver_free(struct tsdb_receiver *receiver);
void tsdb_receiver_route(struct tw_http_router *router, struct tsdb_receiver *receiver);

#endif
