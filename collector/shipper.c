/* SPDX-License-Identifier: Apache-2.0
 *
 * Invariants:
 *   I1  The slot goes EMPTY -> FULL (give) -> SENDING (thread) -> EMPTY, or -> FAILED (thread) ->
 * EMPTY (give, which spools the copy first). So a round is in memory, on its way or in the spool,
 * never nowhere. I2  Rounds go into the slot only while the spool is empty: order is kept. I3  The
 * copy belongs to the giving thread; the packed body to the thread while SENDING.
 */
#include "config.h"

#include "collector/shipper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/http_client.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/thread.h"
#include "wire/snappy.h"

#define SHIPPER_MAGIC 0x41534850u
#define BODY_BYTES_MAX ((size_t)32 << 20)
/* Of memory for bodies that is kept between batches; a backlog may need more for a while. */
#define BODY_BYTES_KEPT ((size_t)256 << 10)
#define HEADERS_MAX 16
#define MODULE "collector.shipper"

enum slot_state { SLOT_EMPTY, SLOT_FULL, SLOT_SENDING, SLOT_FAILED };
enum outcome { OUTCOME_DELIVERED, OUTCOME_RETRY, OUTCOME_TOO_LARGE, OUTCOME_REFUSED };

struct counters {
    struct tw_metric *requests, *samples_sent, *rounds_sent, *bytes_sent;
    struct tw_metric *retried, *dropped_refused, *dropped_spool, *refused_requests;
    struct tw_metric *rounds_spooled;
};

struct agent_shipper {
    unsigned magic;
    struct tw_clock *clock;
    struct agent_spool *spool;
    struct agent_roster *roster;
    struct counters counters;
    char *url, *user_agent;
    struct tw_http_pair headers[HEADERS_MAX];
    size_t header_count;

    /* The giving thread's. */
    struct agent_round copy; /* what is in the slot */
    bool copy_spooled;       /* it is in the spool as well: sending took longer than a tick */
    struct tw_buf body;
    int64_t metadata_due_ns;
    size_t metadata_families;

    struct tw_lock lock; /* guards what follows */
    struct tw_cond wake, answered;
    enum slot_state slot;
    struct tw_buf packed; /* I3 */
    uint64_t packed_samples;
    bool packed_metadata, metadata_failed;
    bool spool_written, stopping;
    struct tw_thread thread;

    /* The thread's. */
    struct tw_http_client *client;
    int64_t retry_at_ns, retry_delay_ms, sync_due_ns;
    uint64_t random;
    uint32_t batch_rounds;
    bool told_down;
};

static void init_counters(struct agent_shipper *shipper, struct tw_metrics *metrics)
{
    struct counters *c = &shipper->counters;
    if (metrics == NULL)
        return;
    c->requests = tw_metrics_counter(metrics, "tidewatch_agent_requests_total", "",
                                     "Requests sent to the server.");
    c->samples_sent = tw_metrics_counter(metrics, "tidewatch_agent_samples_sent_total", "",
                                         "Samples that the server took.");
    c->rounds_sent = tw_metrics_counter(metrics, "tidewatch_agent_rounds_sent_total", "",
                                        "Rounds that the server took.");
    c->bytes_sent = tw_metrics_counter(metrics, "tidewatch_agent_sent_bytes_total", "",
                                       "Bytes of request bodies that the server took.");
    c->rounds_spooled = tw_metrics_counter(metrics, "tidewatch_agent_rounds_spooled_total", "",
                                           "Rounds written to the spool.");
    c->retried = tw_metrics_counter(metrics, "tidewatch_agent_requests_failed_total",
                                    "reason=\"unavailable\"",
                                    "Requests that were not taken, by reason; unavailable ones are "
                                    "sent again.");
    c->refused_requests = tw_metrics_counter(metrics, "tidewatch_agent_requests_failed_total",
                                             "reason=\"refused\"", "");
    c->dropped_refused = tw_metrics_counter(
        metrics, "tidewatch_agent_samples_dropped_total", "reason=\"refused\"",
        "Samples given up, by reason: the server refused their request (it may have kept the good "
        "ones), or there was no room in the spool.");
    c->dropped_spool = tw_metrics_counter(metrics, "tidewatch_agent_samples_dropped_total",
                                          "reason=\"spool\"", "");
}

/* ---- sending (the thread) ---- */

/* Half to one and a half of the delay, so that a thousand agents do not come back at once. */
static int64_t jittered(struct agent_shipper *shipper, int64_t delay_ms)
{
    shipper->random = tw_hash64(&shipper->random, sizeof shipper->random);
    return delay_ms / 2 + (int64_t)(shipper->random % (uint64_t)(delay_ms + 1));
}

static void schedule_retry(struct agent_shipper *shipper, int64_t retry_after_ms)
{
    shipper->retry_delay_ms =
        shipper->retry_delay_ms == 0 ? AGENT_RETRY_FIRST_MS : shipper->retry_delay_ms * 2;
    if (shipper->retry_delay_ms > AGENT_RETRY_MAX_MS)
        shipper->retry_delay_ms = AGENT_RETRY_MAX_MS;
    int64_t delay_ms = jittered(shipper, shipper->retry_delay_ms);
    if (retry_after_ms > AGENT_RETRY_AFTER_MAX_MS)
        retry_after_ms = AGENT_RETRY_AFTER_MAX_MS;
    if (retry_after_ms > delay_ms)
        delay_ms = retry_after_ms;
    shipper->retry_at_ns = tw_clock_mono_ns(shipper->clock) + delay_ms * 1000000;
}

static enum outcome judge(int status)
{
    if (status >= 200 && status < 300)
        return OUTCOME_DELIVERED;
    if (status == 429 || status >= 500)
        return OUTCOME_RETRY;
    return status == 413 ? OUTCOME_TOO_LARGE : OUTCOME_REFUSED;
}

/* The server's words, as far as they fit a log line. */
#define ANSWER_BYTES 300

static void tell_down(struct agent_shipper *shipper, const char *reason)
{
    if (!shipper->told_down)
        tw_log(TW_LOG_WARN, MODULE,
               "the server does not take samples, keeping them on disk and trying again",
               "reason=%s", tw_log_quote(tw_str(reason)));
    shipper->told_down = true;
}

static enum outcome post(struct agent_shipper *shipper, struct tw_str body)
{
    struct tw_buf answer;
    tw_buf_init(&answer, 4096);
    const struct tw_http_call call = {.method = TW_HTTP_POST,
                                      .url = shipper->url,
                                      .headers = shipper->headers,
                                      .header_count = shipper->header_count,
                                      .body = body,
                                      .timeout_ms = AGENT_SEND_TIMEOUT_MS,
                                      .answer_bytes_max = ANSWER_BYTES,
                                      .ret_answer = &answer};
    struct tw_err err;
    int status = 0;
    int64_t retry_after_ms = -1;
    enum outcome outcome = OUTCOME_RETRY;
    tw_metric_add(shipper->counters.requests, 1);
    enum tw_code code = tw_http_client_call(shipper->client, &call, &status, &retry_after_ms, &err);
    if (code == TW_OK) {
        outcome = judge(status);
        tw_err_set(&err, TW_REMOTE, "HTTP status %d: %.*s", status,
                   TW_STR_ARG(tw_str_trim(tw_buf_str(&answer))));
    }
    if (outcome == OUTCOME_DELIVERED) {
        shipper->retry_delay_ms = 0;
        shipper->retry_at_ns = INT64_MIN;
        tw_metric_add(shipper->counters.bytes_sent, body.size);
        if (shipper->told_down)
            tw_log(TW_LOG_INFO, MODULE, "the server takes samples again", "status=%d", status);
        shipper->told_down = false;
    } else if (outcome == OUTCOME_RETRY) {
        tw_metric_add(shipper->counters.retried, 1);
        schedule_retry(shipper, retry_after_ms);
        tell_down(shipper, err.message);
    } else {
        tw_metric_add(shipper->counters.refused_requests, 1);
        if (outcome == OUTCOME_REFUSED)
            tw_log(TW_LOG_WARN, MODULE, "the server refused samples, dropping what it did not keep",
                   "answer=%s", tw_log_quote(tw_str(err.message)));
    }
    tw_buf_fini(&answer);
    return outcome;
}

static void count_sent(struct agent_shipper *shipper, uint64_t rounds, uint64_t samples)
{
    tw_metric_add(shipper->counters.rounds_sent, rounds);
    tw_metric_add(shipper->counters.samples_sent, samples);
}

static void send_slot_locked(struct agent_shipper *shipper)
{
    shipper->slot = SLOT_SENDING;
    uint64_t samples = shipper->packed_samples;
    tw_lock_release(&shipper->lock);
    enum outcome outcome = post(shipper, tw_buf_str(&shipper->packed));
    if (outcome == OUTCOME_DELIVERED)
        count_sent(shipper, 1, samples);
    else if (outcome != OUTCOME_RETRY)
        tw_metric_add(shipper->counters.dropped_refused, samples);
    tw_lock_take(&shipper->lock);
    shipper->slot = outcome == OUTCOME_RETRY ? SLOT_FAILED : SLOT_EMPTY;
    if (outcome != OUTCOME_DELIVERED && shipper->packed_metadata)
        shipper->metadata_failed = true;
    tw_cond_signal(&shipper->answered);
}

/* Bodies of a backlog are large; their memory goes back once it is over. */
static void trim(struct tw_buf *buf)
{
    if (buf->capacity <= BODY_BYTES_KEPT)
        return;
    size_t size_max = buf->size_max;
    tw_buf_fini(buf);
    tw_buf_init(buf, size_max);
}

/* One batch of the spool. */
static void send_backlog(struct agent_shipper *shipper, struct tw_buf *body, struct tw_buf *packed)
{
    struct agent_spool_batch batch;
    struct tw_err err;
    tw_buf_clear(body);
    tw_buf_clear(packed);
    if (agent_spool_read(shipper->spool, shipper->batch_rounds, body, &batch, &err) != TW_OK) {
        tw_log(TW_LOG_WARN, MODULE, "cannot read the spool, trying again", "reason=%s",
               tw_log_quote(tw_str(err.message)));
        schedule_retry(shipper, -1);
        return;
    }
    if (batch.rounds == 0)
        return;
    wire_snappy_encode(tw_buf_str(body), packed);
    TW_ASSERT(!packed->overflow);
    enum outcome outcome = post(shipper, tw_buf_str(packed));
    if (outcome == OUTCOME_RETRY)
        return;
    if (outcome == OUTCOME_TOO_LARGE && batch.rounds > 1) {
        shipper->batch_rounds = batch.rounds / 2;
        return;
    }
    if (outcome == OUTCOME_DELIVERED) {
        count_sent(shipper, batch.rounds, batch.samples);
        if (shipper->batch_rounds < AGENT_BATCH_ROUNDS_MAX)
            shipper->batch_rounds++;
    } else {
        tw_metric_add(shipper->counters.dropped_refused, batch.samples);
    }
    agent_spool_done(shipper->spool);
}

static void sync_spool(struct agent_shipper *shipper)
{
    struct tw_err err;
    if (agent_spool_sync(shipper->spool, &err) != TW_OK)
        tw_log(TW_LOG_WARN, MODULE, "cannot sync the spool, going on", "reason=%s",
               tw_log_quote(tw_str(err.message)));
    shipper->sync_due_ns =
        tw_clock_mono_ns(shipper->clock) + AGENT_SPOOL_SYNC_MS * INT64_C(1000000);
}

/* Until there is something to do, or a retry is due. True when there is nothing but waiting. */
static void wait_locked(struct agent_shipper *shipper, bool backlog)
{
    if (!backlog) {
        tw_cond_wait(&shipper->wake, &shipper->lock);
        return;
    }
    int64_t now_ns = tw_clock_mono_ns(shipper->clock);
    int64_t until_ns = shipper->retry_at_ns;
    if (shipper->spool_written && shipper->sync_due_ns < until_ns)
        until_ns = shipper->sync_due_ns;
    if (until_ns > now_ns)
        (void)tw_cond_wait_ns(&shipper->wake, &shipper->lock, until_ns - now_ns);
}

static void run(void *argument)
{
    struct agent_shipper *shipper = argument;
    struct tw_buf body, packed;
    tw_buf_init(&body, BODY_BYTES_MAX);
    tw_buf_init(&packed, BODY_BYTES_MAX * 2);
    tw_lock_take(&shipper->lock);
    while (!shipper->stopping || shipper->slot == SLOT_FULL) {
        if (shipper->slot == SLOT_FULL) {
            send_slot_locked(shipper);
            continue;
        }
        bool backlog = shipper->spool != NULL && !agent_spool_is_empty(shipper->spool);
        int64_t now_ns = tw_clock_mono_ns(shipper->clock);
        bool sync = shipper->spool_written && now_ns >= shipper->sync_due_ns;
        if (sync)
            shipper->spool_written = false;
        if (backlog && (sync || now_ns >= shipper->retry_at_ns)) {
            tw_lock_release(&shipper->lock);
            if (sync)
                sync_spool(shipper);
            else
                send_backlog(shipper, &body, &packed);
            tw_lock_take(&shipper->lock);
            continue;
        }
        if (!backlog) {
            trim(&body);
            trim(&packed);
        }
        wait_locked(shipper, backlog);
    }
    tw_lock_release(&shipper->lock);
    tw_buf_fini(&body);
    tw_buf_fini(&packed);
}

/* ---- giving (the sampler's thread) ---- */

static void put_metadata(struct agent_shipper *shipper)
{
    size_t count = agent_roster_family_count(shipper->roster);
    for (size_t i = 0; i < count; i++) {
        const struct agent_family *family = agent_roster_family(shipper->roster, i);
        const struct wire_metadata metadata = {
            .family = tw_str(family->name), .help = tw_str(family->help), .type = family->type};
        wire_write_put_metadata(&shipper->body, &metadata);
    }
}

static void spool_round(struct agent_shipper *shipper, const struct agent_round *round)
{
    struct tw_err err;
    if (shipper->spool == NULL) {
        tw_metric_add(shipper->counters.dropped_spool, round->count);
    } else if (agent_spool_append(shipper->spool, round, &err) != TW_OK) {
        tw_metric_add(shipper->counters.dropped_spool, round->count);
        tw_log(TW_LOG_WARN, MODULE, "cannot write to the spool, dropping a round", "reason=%s",
               tw_log_quote(tw_str(err.message)));
    } else {
        tw_metric_add(shipper->counters.rounds_spooled, 1);
        shipper->spool_written = true;
    }
}

static void fill_slot_locked(struct agent_shipper *shipper, const struct agent_round *round)
{
    int64_t now_ns = tw_clock_mono_ns(shipper->clock);
    if (shipper->metadata_failed)
        shipper->metadata_due_ns = INT64_MIN;
    bool metadata = now_ns >= shipper->metadata_due_ns ||
                    agent_roster_family_count(shipper->roster) != shipper->metadata_families;
    tw_buf_clear(&shipper->body);
    agent_round_encode(round, &shipper->body);
    if (metadata) {
        put_metadata(shipper);
        shipper->metadata_families = agent_roster_family_count(shipper->roster);
        shipper->metadata_due_ns = now_ns + AGENT_METADATA_MS * INT64_C(1000000);
    }
    shipper->metadata_failed = false;
    shipper->packed_metadata = metadata;
    TW_ASSERT(!shipper->body.overflow);
    tw_buf_clear(&shipper->packed);
    wire_snappy_encode(tw_buf_str(&shipper->body), &shipper->packed);
    shipper->packed_samples = round->count;
    agent_round_copy(round, &shipper->copy);
    shipper->copy_spooled = false;
    shipper->slot = SLOT_FULL;
}

/* What is still in the slot goes to the spool, before anything newer does. */
static void spool_slot_locked(struct agent_shipper *shipper)
{
    if (shipper->slot == SLOT_EMPTY)
        return;
    if (!shipper->copy_spooled)
        spool_round(shipper, &shipper->copy);
    shipper->copy_spooled = true;
    if (shipper->slot != SLOT_SENDING)
        shipper->slot = SLOT_EMPTY;
}

void agent_shipper_give(struct agent_shipper *shipper, const struct agent_round *round)
{
    TW_CHECK_MAGIC(shipper, SHIPPER_MAGIC);
    tw_lock_take(&shipper->lock);
    bool backlog = shipper->spool != NULL && !agent_spool_is_empty(shipper->spool);
    if (shipper->slot == SLOT_EMPTY && !backlog) {
        fill_slot_locked(shipper, round);
    } else {
        spool_slot_locked(shipper);
        spool_round(shipper, round);
    }
    tw_cond_signal(&shipper->wake);
    tw_lock_release(&shipper->lock);
}

static void add_header(struct agent_shipper *shipper, struct tw_str name, struct tw_str value)
{
    TW_ASSERT(shipper->header_count < HEADERS_MAX);
    shipper->headers[shipper->header_count++] =
        (struct tw_http_pair){{tw_str_dup(name), name.size}, {tw_str_dup(value), value.size}};
}

static void free_shipper(struct agent_shipper *shipper)
{
    shipper->magic = 0;
    for (size_t i = 0; i < shipper->header_count; i++) {
        free((char *)(uintptr_t)shipper->headers[i].name.data);
        free((char *)(uintptr_t)shipper->headers[i].value.data);
    }
    tw_http_client_free(shipper->client);
    agent_round_fini(&shipper->copy);
    tw_buf_fini(&shipper->body);
    tw_buf_fini(&shipper->packed);
    tw_cond_fini(&shipper->wake);
    tw_cond_fini(&shipper->answered);
    tw_lock_fini(&shipper->lock);
    free(shipper->url);
    free(shipper->user_agent);
    free(shipper);
}

enum tw_code agent_shipper_start(const struct agent_shipper_setup *setup,
                                 struct agent_shipper **ret_shipper, struct tw_err *err)
{
    if (setup->header_count > HEADERS_MAX - 3)
        return tw_err_set(err, TW_CONFIG, "more than %d headers", HEADERS_MAX - 3);
    struct agent_shipper *shipper = calloc(1, sizeof *shipper);
    TW_ASSERT(shipper != NULL);
    shipper->magic = SHIPPER_MAGIC;
    shipper->clock = setup->clock;
    shipper->spool = setup->spool;
    shipper->roster = setup->roster;
    shipper->url = tw_str_dup(tw_str(setup->url));
    shipper->user_agent = tw_str_dup(tw_str(setup->user_agent));
    add_header(shipper, TW_STR("Content-Type"), TW_STR(WIRE_WRITE_CONTENT_TYPE));
    add_header(shipper, TW_STR("Content-Encoding"), TW_STR(WIRE_WRITE_ENCODING));
    add_header(shipper, TW_STR(WIRE_WRITE_VERSION_HEADER), TW_STR(WIRE_WRITE_VERSION));
    for (size_t i = 0; i < setup->header_count; i++)
        add_header(shipper, setup->headers[i].name, setup->headers[i].value);
    agent_round_init(&shipper->copy, setup->roster);
    tw_buf_init(&shipper->body, BODY_BYTES_MAX);
    tw_buf_init(&shipper->packed, BODY_BYTES_MAX * 2);
    tw_lock_init(&shipper->lock, TW_RANK_LOG, "agent shipper");
    tw_cond_init(&shipper->wake);
    tw_cond_init(&shipper->answered);
    shipper->metadata_due_ns = INT64_MIN;
    shipper->retry_at_ns = INT64_MIN;
    shipper->batch_rounds = AGENT_BATCH_ROUNDS_MAX;
    const int64_t seed[2] = {tw_clock_mono_ns(setup->clock), tw_clock_wall_ms(setup->clock)};
    shipper->random = tw_hash64(seed, sizeof seed);
    init_counters(shipper, setup->metrics);
    shipper->client = tw_http_client_new(shipper->user_agent);
    enum tw_code code = tw_thread_start(&shipper->thread, "shipper", run, shipper, err);
    if (code != TW_OK) {
        free_shipper(shipper);
        return code;
    }
    *ret_shipper = shipper;
    return TW_OK;
}

struct agent_shipper *agent_shipper_stop(struct agent_shipper *shipper)
{
    if (shipper == NULL)
        return NULL;
    TW_CHECK_MAGIC(shipper, SHIPPER_MAGIC);
    tw_lock_take(&shipper->lock);
    shipper->stopping = true;
    tw_cond_signal(&shipper->wake);
    tw_lock_release(&shipper->lock);
    tw_thread_join(&shipper->thread);
    tw_lock_take(&shipper->lock);
    spool_slot_locked(shipper);
    tw_lock_release(&shipper->lock);
    if (shipper->spool != NULL)
        sync_spool(shipper);
    free_shipper(shipper);
    return NULL;
}
