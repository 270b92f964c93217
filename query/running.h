/* SPDX-License-Identifier: Apache-2.0
 *
 * running: the queries that run now. Each holds a ticket; so they can be listed, cancelled and kept
 * within a budget that they share, and a journal tells after a crash which of them were on their
 * way.
 *
 *   ticket   made when a query starts, given back when it ends
 *   account  what there is to tell of a query: who asked, what, since when, at what cost so far
 *   journal  one file of QUERY_JOURNAL_SLOTS slots; a running query stands in one of them as
 *            "<started, Unix ms> <origin> <text>\n", an ended one is a slot of zeros. It is written
 *            without fsync: it survives the end of the process, not that of the machine
 *
 * Metrics: tidewatch_query_running, tidewatch_query_bytes (held by all together),
 * tidewatch_query_cancelled_total, tidewatch_query_journal_failures_total.
 *
 * Threads: any. A ticket belongs to the thread of its query.
 */
#ifndef TW_QUERY_RUNNING_H
#define TW_QUERY_RUNNING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "base/str.h"

#define QUERY_JOURNAL_SLOTS 512
/* Of one slot; longer texts are cut in the journal. */
#define QUERY_JOURNAL_BYTES 1024

struct query_account {
    uint64_t id;
    struct tw_str text;
    struct tw_str origin; /* the client's address, or the part of the server that asks */
    int64_t start_ms, end_ms;
    int64_t step_ms; /* 0 = an instant query */
    int64_t started_ms;
    int64_t age_ns;
    uint64_t samples; /* read so far */
    uint64_t bytes;   /* held now; of an ended query, the most that it held */
};

struct query_running;

struct query_running_options {
    uint64_t bytes_max;  /* of all queries together; 0 = no limit */
    const char *journal; /* path; NULL = none */
    struct tw_clock *clock;
    struct tw_metrics *metrics; /* may be NULL */
    /* Called at each query's end on its thread; NULL = nobody. The account lives during the call.
     */
    void (*ended)(void *user, const struct query_account *account, enum tw_code code);
    void *user;
};

/* TW_IO when the journal cannot be opened. */
TW_MUST_CHECK enum tw_code query_running_new(const struct query_running_options *options,
                                             struct query_running **ret_running,
                                             struct tw_err *err);
struct query_running *query_running_free(struct query_running *running); /* returns NULL */

typedef void query_running_visit(void *user, const struct query_account *account);
/* Queries that were running when the process before this one broke off, from its journal. Only id,
 * text, origin and started_ms are known. */
void query_running_each_broken_off(struct query_running *running, query_running_visit *visit,
                                   void *user);
/* The queries that run now, the oldest first. visit must not call back. */
void query_running_each(struct query_running *running, query_running_visit *visit, void *user);
/* The query ends soon with TW_CANCELLED. False when no query has this id. */
bool query_running_cancel(struct query_running *running, uint64_t id);

/* ---- the query's side ---- */
struct query_ticket {
    struct query_running *running; /* NULL: nobody keeps account */
    struct query_ticket *next, *previous;
    struct query_account account; /* texts borrowed */
    int64_t started_mono_ns;
    size_t slot; /* QUERY_JOURNAL_SLOTS = none */
    uint64_t bytes_most;
    atomic_uint_fast64_t samples, bytes;
    atomic_bool cancelled;
};

/* account: text, origin, start_ms, end_ms and step_ms; the texts live until the end. running may
 * be NULL. */
void query_ticket_begin(struct query_ticket *ticket, struct query_running *running,
                        const struct query_account *account);
/* Says what the query has read and holds now. TW_LIMIT when all queries together hold too much,
 * TW_CANCELLED when somebody cancelled it. */
TW_MUST_CHECK enum tw_code query_ticket_report(struct query_ticket *ticket, uint64_t samples,
                                               uint64_t bytes, struct tw_err *err);
/* kept_bytes: what the result still holds; to be returned when it is freed. */
void query_ticket_end(struct query_ticket *ticket, enum tw_code code, uint64_t kept_bytes);
void query_running_return(struct query_running *running, uint64_t bytes);

#endif
