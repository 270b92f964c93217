/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "autoscaler/actuator.h"
#include "autoscaler/means.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/http_client.h"

#define ANSWER_BYTES_MAX 4096
#define ANSWER_SHOWN 120 /* bytes of an answer that an error quotes */
#define SECRET_BYTES_MAX 4096
#define SIGNATURE_BYTES (32 + 2 * TW_SHA256_BYTES)

/* "t=<seconds>,v1=<hex of HMAC-SHA256 over '<seconds>.<body>'>": the time is signed with the body,
 * so that a receiver can refuse what somebody recorded and sends again later. */
static enum tw_code sign(const struct scale_attempt *attempt, char *ret_text, struct tw_err *err)
{
    struct tw_buf secret, signed_text;
    uint8_t digest[TW_SHA256_BYTES];
    tw_buf_init(&secret, SECRET_BYTES_MAX);
    tw_buf_init(&signed_text, attempt->body.size + 32);
    enum tw_code code = tw_file_read(attempt->target.webhook.secret_file, &secret, err);
    struct tw_str key = tw_str_trim(tw_buf_str(&secret));
    if (code == TW_OK && key.size == 0)
        code = tw_err_set(err, TW_CONFIG, "%s is empty: it has to hold the secret",
                          attempt->target.webhook.secret_file);
    if (code == TW_OK) {
        int64_t now_s = tw_clock_wall_ms(scale_means_clock(attempt->means)) / 1000;
        tw_buf_appendf(&signed_text, "%" PRId64 ".", now_s);
        tw_buf_append_str(&signed_text, tw_buf_str(&attempt->body));
        tw_hmac_sha256(key, tw_buf_str(&signed_text), digest);
        int at = snprintf(ret_text, SIGNATURE_BYTES, "t=%" PRId64 ",v1=", now_s);
        for (size_t i = 0; i < sizeof digest; i++)
            at += snprintf(ret_text + at, (size_t)(SIGNATURE_BYTES - at), "%02x", digest[i]);
    }
    tw_buf_fini(&secret);
    tw_buf_fini(&signed_text);
    return code;
}

static bool is_worth_another(int status)
{
    return status == 408 || status == 429 || status >= 500;
}

void scale_webhook_set(struct scale_attempt *attempt)
{
    struct tw_err err = {0};
    const struct scale_target *target = &attempt->target;
    struct tw_http_pair headers[SCALE_HEADERS_MAX + 3];
    char signature[SIGNATURE_BYTES];
    size_t count = 0;
    headers[count++] = (struct tw_http_pair){TW_STR("Content-Type"), TW_STR("application/json")};
    headers[count++] = (struct tw_http_pair){TW_STR("Idempotency-Key"), tw_str(attempt->key)};
    for (size_t i = 0; i < target->webhook.header_count; i++)
        headers[count++] = target->webhook.headers[i];
    if (target->webhook.secret_file != NULL) {
        if (sign(attempt, signature, &err) != TW_OK) {
            scale_attempt_fail(attempt, SCALE_AGAIN, "%s", err.message);
            return;
        }
        headers[count++] =
            (struct tw_http_pair){TW_STR("X-Tidewatch-Signature"), tw_str(signature)};
    }
    struct tw_buf answer;
    tw_buf_init(&answer, ANSWER_BYTES_MAX + 1);
    struct tw_http_client *client = tw_http_client_new("tidewatchd/" VERSION);
    const struct tw_http_call call = {.method = TW_HTTP_POST,
                                      .url = target->webhook.url,
                                      .headers = headers,
                                      .header_count = count,
                                      .body = tw_buf_str(&attempt->body),
                                      .timeout_ms = target->timeout_ms,
                                      .answer_bytes_max = ANSWER_BYTES_MAX,
                                      .ret_answer = &answer};
    int status = 0;
    if (tw_http_client_call(client, &call, &status, &attempt->retry_after_ms, &err) != TW_OK) {
        scale_attempt_fail(attempt, SCALE_AGAIN, "%s", err.message);
    } else {
        attempt->http_status = status;
        struct tw_str said = tw_str_slice(tw_str_trim(tw_buf_str(&answer)), 0, ANSWER_SHOWN);
        if (status / 100 != 2)
            scale_attempt_fail(attempt, is_worth_another(status) ? SCALE_AGAIN : SCALE_REFUSED,
                               "the target answered %d: %.*s", status, TW_STR_ARG(said));
    }
    tw_http_client_free(client);
    tw_buf_fini(&answer);
}
