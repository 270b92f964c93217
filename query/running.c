/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/running.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/number.h"

#define RUNNING_MAGIC 0x72756e71u
#define JOURNAL_BYTES ((size_t)QUERY_JOURNAL_SLOTS * QUERY_JOURNAL_BYTES)
/* So many slots are there from the start; the file grows when more queries run at once. */
#define JOURNAL_AHEAD_BYTES ((size_t)16 * QUERY_JOURNAL_BYTES)

struct query_running {
    unsigned magic;
    struct query_running_options options;
    struct tw_lock lock; /* guards the list, next_id and the slots in use */
    struct query_ticket *oldest, *newest;
    uint64_t next_id;
    bool slot_used[QUERY_JOURNAL_SLOTS];
    int journal;      /* -1 = none */
    char *broken_off; /* the journal as it was found, NULL = none */
    atomic_uint_fast64_t bytes;
    atomic_uint_fast64_t count;
    struct tw_metric *cancelled, *journal_failures;
};

/* ---- journal ---- */

static enum tw_code open_journal(struct query_running *running, struct tw_err *err)
{
    const char *path = running->options.journal;
    struct tw_buf found;
    struct tw_err ignored;
    tw_buf_init(&found, JOURNAL_BYTES);
    if (tw_file_exists(path) && tw_file_read(path, &found, &ignored) == TW_OK && found.size > 0) {
        running->broken_off = calloc(1, JOURNAL_BYTES);
        TW_ASSERT(running->broken_off != NULL);
        memcpy(running->broken_off, found.data, found.size);
    }
    tw_buf_fini(&found);
    running->journal = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_TRUNC, 0644);
    if (running->journal < 0)
        return tw_err_errno(err, errno, "opening the journal of queries '%s'", path);
    /* The usual slots are written now, so that a full disk hardly matters later. */
    char *zeros = calloc(1, JOURNAL_AHEAD_BYTES);
    TW_ASSERT(zeros != NULL);
    enum tw_code code = tw_file_write_all(running->journal, zeros, JOURNAL_AHEAD_BYTES, path, err);
    free(zeros);
    return code;
}

static void write_slot(struct query_running *running, size_t slot, const char *bytes)
{
    if (pwrite(running->journal, bytes, QUERY_JOURNAL_BYTES, (off_t)(slot * QUERY_JOURNAL_BYTES)) !=
        QUERY_JOURNAL_BYTES)
        tw_metric_add(running->journal_failures, 1);
}

static void take_slot_locked(struct query_running *running, struct query_ticket *ticket)
{
    tw_lock_assert_held(&running->lock);
    ticket->slot = QUERY_JOURNAL_SLOTS;
    if (running->journal < 0)
        return;
    for (size_t i = 0; i < QUERY_JOURNAL_SLOTS; i++)
        if (!running->slot_used[i]) {
            running->slot_used[i] = true;
            ticket->slot = i;
            return;
        }
    tw_metric_add(running->journal_failures, 1);
}

static void write_down(struct query_running *running, const struct query_ticket *ticket)
{
    const struct query_account *account = &ticket->account;
    char bytes[QUERY_JOURNAL_BYTES] = {0};
    struct tw_str origin = account->origin.size ? account->origin : TW_STR("-");
    int size = snprintf(bytes, sizeof bytes - 1, "%" PRId64 " %.*s ", account->started_ms,
                        (int)(origin.size < 128 ? origin.size : 128), origin.data);
    size_t room = sizeof bytes - (size_t)size - 1;
    size_t length = account->text.size < room ? account->text.size : room;
    memcpy(bytes + size, account->text.data, length);
    bytes[(size_t)size + length] = '\n';
    write_slot(running, ticket->slot, bytes);
}

/* False: not a slot that this program wrote. */
static bool read_slot(const char *bytes, struct query_account *ret)
{
    struct tw_str rest = {bytes, strnlen(bytes, QUERY_JOURNAL_BYTES)};
    struct tw_str started, origin;
    if (!tw_str_ends(rest, TW_STR("\n")))
        return false;
    rest.size--;
    *ret = (struct query_account){0};
    if (!tw_str_split(&rest, ' ', &started) || !tw_int64_parse(started, &ret->started_ms) ||
        !tw_str_split(&rest, ' ', &origin))
        return false;
    ret->origin = tw_str_is(origin, "-") ? (struct tw_str){"", 0} : origin;
    ret->text = rest;
    return true;
}

void query_running_each_broken_off(struct query_running *running, query_running_visit *visit,
                                   void *user)
{
    TW_CHECK_MAGIC(running, RUNNING_MAGIC);
    for (size_t i = 0; running->broken_off && i < QUERY_JOURNAL_SLOTS; i++) {
        struct query_account account;
        if (read_slot(running->broken_off + i * QUERY_JOURNAL_BYTES, &account))
            visit(user, &account);
    }
}

/* ---- life ---- */

static double read_count(void *user)
{
    struct query_running *running = user;
    return (double)atomic_load_explicit(&running->count, memory_order_relaxed);
}

static double read_bytes(void *user)
{
    struct query_running *running = user;
    return (double)atomic_load_explicit(&running->bytes, memory_order_relaxed);
}

static void register_metrics(struct query_running *running)
{
    struct tw_metrics *metrics = running->options.metrics;
    if (!metrics)
        return;
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_query_running", "",
                        "Queries that run now.", read_count, running);
    tw_metrics_callback(metrics, TW_METRIC_GAUGE, "tidewatch_query_bytes", "",
                        "Memory that running queries and unsent results hold.", read_bytes,
                        running);
    running->cancelled = tw_metrics_counter(metrics, "tidewatch_query_cancelled_total", "",
                                            "Queries that somebody cancelled through the API.");
    running->journal_failures =
        tw_metrics_counter(metrics, "tidewatch_query_journal_failures_total", "",
                           "Queries that could not be written to the journal.");
}

enum tw_code query_running_new(const struct query_running_options *options,
                               struct query_running **ret_running, struct tw_err *err)
{
    struct query_running *running = calloc(1, sizeof *running);
    TW_ASSERT(running != NULL && options->clock != NULL);
    running->magic = RUNNING_MAGIC;
    running->options = *options;
    running->next_id = 1;
    running->journal = -1;
    tw_lock_init(&running->lock, TW_RANK_QUERY, "running queries");
    if (options->journal) {
        enum tw_code code = open_journal(running, err);
        if (code != TW_OK) {
            query_running_free(running);
            return code;
        }
    }
    register_metrics(running);
    *ret_running = running;
    return TW_OK;
}

struct query_running *query_running_free(struct query_running *running)
{
    if (!running)
        return NULL;
    TW_CHECK_MAGIC(running, RUNNING_MAGIC);
    TW_ASSERT(running->oldest == NULL);
    if (running->journal >= 0)
        close(running->journal);
    free(running->broken_off);
    tw_lock_fini(&running->lock);
    running->magic = 0;
    free(running);
    return NULL;
}

void query_running_each(struct query_running *running, query_running_visit *visit, void *user)
{
    TW_CHECK_MAGIC(running, RUNNING_MAGIC);
    int64_t now_ns = tw_clock_mono_ns(running->options.clock);
    tw_lock_take(&running->lock);
    for (struct query_ticket *ticket = running->oldest; ticket; ticket = ticket->next) {
        struct query_account account = ticket->account;
        account.age_ns = now_ns - ticket->started_mono_ns;
        account.samples = atomic_load_explicit(&ticket->samples, memory_order_relaxed);
        account.bytes = atomic_load_explicit(&ticket->bytes, memory_order_relaxed);
        visit(user, &account);
    }
    tw_lock_release(&running->lock);
}

bool query_running_cancel(struct query_running *running, uint64_t id)
{
    TW_CHECK_MAGIC(running, RUNNING_MAGIC);
    bool found = false;
    tw_lock_take(&running->lock);
    for (struct query_ticket *ticket = running->oldest; ticket && !found; ticket = ticket->next)
        if (ticket->account.id == id) {
            atomic_store(&ticket->cancelled, true);
            found = true;
        }
    tw_lock_release(&running->lock);
    if (found)
        tw_metric_add(running->cancelled, 1);
    return found;
}

/* ---- the query's side ---- */

void query_ticket_begin(struct query_ticket *ticket, struct query_running *running,
                        const struct query_account *account)
{
    *ticket = (struct query_ticket){.running = running, .slot = QUERY_JOURNAL_SLOTS};
    if (!running)
        return;
    TW_CHECK_MAGIC(running, RUNNING_MAGIC);
    ticket->account = *account;
    ticket->account.started_ms = tw_clock_wall_ms(running->options.clock);
    ticket->started_mono_ns = tw_clock_mono_ns(running->options.clock);
    tw_lock_take(&running->lock);
    ticket->account.id = running->next_id++;
    ticket->previous = running->newest;
    *(running->newest ? &running->newest->next : &running->oldest) = ticket;
    running->newest = ticket;
    take_slot_locked(running, ticket);
    tw_lock_release(&running->lock);
    atomic_fetch_add_explicit(&running->count, 1, memory_order_relaxed);
    if (ticket->slot < QUERY_JOURNAL_SLOTS)
        write_down(running, ticket);
}

/* The sum of all follows the change of one. */
static uint64_t hold(struct query_ticket *ticket, uint64_t bytes)
{
    uint64_t before = atomic_load_explicit(&ticket->bytes, memory_order_relaxed);
    if (bytes > ticket->bytes_most)
        ticket->bytes_most = bytes;
    if (bytes == before)
        return atomic_load_explicit(&ticket->running->bytes, memory_order_relaxed);
    atomic_store_explicit(&ticket->bytes, bytes, memory_order_relaxed);
    return atomic_fetch_add_explicit(&ticket->running->bytes, bytes - before,
                                     memory_order_relaxed) +
           (bytes - before);
}

enum tw_code query_ticket_report(struct query_ticket *ticket, uint64_t samples, uint64_t bytes,
                                 struct tw_err *err)
{
    struct query_running *running = ticket->running;
    if (!running)
        return TW_OK;
    uint64_t before = atomic_load_explicit(&ticket->bytes, memory_order_relaxed);
    uint64_t total = hold(ticket, bytes), limit = running->options.bytes_max;
    atomic_store_explicit(&ticket->samples, samples, memory_order_relaxed);
    if (atomic_load_explicit(&ticket->cancelled, memory_order_relaxed))
        return tw_err_set(err, TW_CANCELLED, "query was canceled in expression evaluation");
    if (limit && total > limit && bytes > before)
        return tw_err_set(err, TW_OVERLOAD,
                          "all running queries together need more than their limit of %" PRIu64
                          " bytes of memory; ask again when fewer run, or for less",
                          limit);
    return TW_OK;
}

void query_ticket_end(struct query_ticket *ticket, enum tw_code code, uint64_t kept_bytes)
{
    static const char empty[QUERY_JOURNAL_BYTES];
    struct query_running *running = ticket->running;
    if (!running)
        return;
    hold(ticket, kept_bytes);
    if (ticket->slot < QUERY_JOURNAL_SLOTS)
        write_slot(running, ticket->slot, empty);
    tw_lock_take(&running->lock);
    *(ticket->previous ? &ticket->previous->next : &running->oldest) = ticket->next;
    *(ticket->next ? &ticket->next->previous : &running->newest) = ticket->previous;
    if (ticket->slot < QUERY_JOURNAL_SLOTS)
        running->slot_used[ticket->slot] = false;
    tw_lock_release(&running->lock);
    atomic_fetch_sub_explicit(&running->count, 1, memory_order_relaxed);
    ticket->running = NULL;
    if (running->options.ended) {
        ticket->account.age_ns = tw_clock_mono_ns(running->options.clock) - ticket->started_mono_ns;
        ticket->account.samples = atomic_load_explicit(&ticket->samples, memory_order_relaxed);
        ticket->account.bytes = ticket->bytes_most;
        running->options.ended(running->options.user, &ticket->account, code);
    }
}

void query_running_return(struct query_running *running, uint64_t bytes)
{
    if (running)
        atomic_fetch_sub_explicit(&running->bytes, bytes, memory_order_relaxed);
}
