/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/actuator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/http_client.h"

#define BODY_BYTES_MAX 65536
#define ANSWER_BYTES_MAX 4096
#define ANSWER_SHOWN 120 /* bytes of an answer that an error quotes */

void scale_order_key(struct tw_str scaler, struct scale_decision *decision)
{
    snprintf(decision->key, sizeof decision->key, "%.*s-%" PRId64 "-%" PRId64, TW_STR_ARG(scaler),
             decision->time_ms, decision->to);
}

void scale_order_write(struct tw_str scaler, const struct scale_decision *decision,
                       struct tw_buf *ret)
{
    char decided_at[TW_CLOCK_RFC3339_BYTES];
    tw_clock_format_rfc3339(decision->time_ms, decided_at);
    struct tw_json_writer writer;
    tw_json_writer_init(&writer, ret);
    tw_json_begin_object(&writer);
    tw_json_member_str(&writer, "scaler", scaler);
    tw_json_key(&writer, TW_STR("from"));
    if (decision->from >= 0)
        tw_json_write_int(&writer, decision->from);
    else
        tw_json_write_null(&writer);
    tw_json_member_int(&writer, "to", decision->to);
    tw_json_member_cstr(&writer, "reason", decision->reason);
    tw_json_key(&writer, TW_STR("forecast"));
    tw_json_begin_object(&writer);
    tw_json_member_number(&writer, "horizon_s", (double)decision->horizon_ms / 1000);
    tw_json_member_number(&writer, "q50", decision->q50);
    tw_json_member_number(&writer, "q95", decision->q95);
    tw_json_end_object(&writer);
    tw_json_member_cstr(&writer, "decided_at", decided_at);
    tw_json_member_cstr(&writer, "idempotency_key", decision->key);
    tw_json_end_object(&writer);
}

static void add_header(struct scale_attempt *attempt, const char *name, const char *value)
{
    attempt->headers[attempt->header_count++] = (struct tw_http_pair){tw_str(name), tw_str(value)};
}

struct scale_attempt *scale_attempt_new(const struct scale_settings *settings,
                                        const struct scale_decision *decision)
{
    TW_ASSERT(settings->url != NULL && decision->key[0]);
    struct scale_attempt *attempt = calloc(1, sizeof *attempt);
    TW_ASSERT(attempt != NULL);
    attempt->url = tw_str_dup(tw_str(settings->url));
    attempt->timeout_ms = settings->url_timeout_ms;
    memcpy(attempt->key, decision->key, sizeof attempt->key);
    add_header(attempt, "Content-Type", "application/json");
    add_header(attempt, "Idempotency-Key", attempt->key);
    for (size_t i = 0; i < settings->header_count; i++) {
        attempt->texts[2 * i] = tw_str_dup(settings->headers[i].name);
        attempt->texts[2 * i + 1] = tw_str_dup(settings->headers[i].value);
        add_header(attempt, attempt->texts[2 * i], attempt->texts[2 * i + 1]);
    }
    tw_buf_init(&attempt->body, BODY_BYTES_MAX);
    scale_order_write(settings->name, decision, &attempt->body);
    TW_ASSERT(!attempt->body.overflow);
    return attempt;
}

struct scale_attempt *scale_attempt_free(struct scale_attempt *attempt)
{
    if (!attempt)
        return NULL;
    for (size_t i = 0; i < sizeof attempt->texts / sizeof *attempt->texts; i++)
        free(attempt->texts[i]);
    tw_buf_fini(&attempt->body);
    free(attempt->url);
    free(attempt);
    return NULL;
}

void scale_attempt_run(struct scale_attempt *attempt)
{
    struct tw_err err = {0};
    struct tw_buf answer;
    tw_buf_init(&answer, ANSWER_BYTES_MAX + 1);
    struct tw_http_client *client = tw_http_client_new("tidewatchd/" VERSION);
    struct tw_http_call call = {
        .method = TW_HTTP_POST,
        .url = attempt->url,
        .headers = attempt->headers,
        .header_count = attempt->header_count,
        .body = tw_buf_str(&attempt->body),
        .timeout_ms = attempt->timeout_ms,
        .answer_bytes_max = ANSWER_BYTES_MAX,
        .ret_answer = &answer,
    };
    attempt->retry_after_ms = -1;
    attempt->code =
        tw_http_client_call(client, &call, &attempt->http_status, &attempt->retry_after_ms, &err);
    if (attempt->code != TW_OK) {
        attempt->http_status = 0;
        snprintf(attempt->error, sizeof attempt->error, "%.*s", SCALE_ERROR_BYTES - 1, err.message);
    } else if (attempt->http_status / 100 != 2) {
        struct tw_str said = tw_str_slice(tw_str_trim(tw_buf_str(&answer)), 0, ANSWER_SHOWN);
        snprintf(attempt->error, sizeof attempt->error, "the target answered %d: %.*s",
                 attempt->http_status, TW_STR_ARG(said));
    }
    tw_http_client_free(client);
    tw_buf_fini(&answer);
}

static bool worth_another(const struct scale_attempt *attempt)
{
    return attempt->code != TW_OK || attempt->http_status == 408 || attempt->http_status == 429 ||
           attempt->http_status >= 500;
}

int64_t scale_attempt_settle(const struct scale_attempt *attempt, int64_t now_ms,
                             struct scale_decision *decision)
{
    decision->attempts++;
    decision->action_ms = now_ms;
    decision->http_status = attempt->http_status;
    memcpy(decision->error, attempt->error, sizeof decision->error);
    if (attempt->code == TW_OK && attempt->http_status / 100 == 2) {
        decision->action = SCALE_ACTION_DELIVERED;
        return INT64_MAX;
    }
    if (!worth_another(attempt) || now_ms - decision->time_ms >= SCALE_ORDER_MS_MAX) {
        decision->action = SCALE_ACTION_FAILED;
        return INT64_MAX;
    }
    decision->action = SCALE_ACTION_PENDING;
    unsigned doublings = decision->attempts - 1 < 10 ? decision->attempts - 1 : 10;
    int64_t pause = (int64_t)SCALE_RETRY_MS_FIRST << doublings;
    if (pause > SCALE_RETRY_MS_MAX)
        pause = SCALE_RETRY_MS_MAX;
    if (attempt->retry_after_ms > pause)
        pause = attempt->retry_after_ms < SCALE_ORDER_MS_MAX ? attempt->retry_after_ms
                                                             : SCALE_ORDER_MS_MAX;
    return now_ms + pause;
}
