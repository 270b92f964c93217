/* SPDX-License-Identifier: Apache-2.0
 *
 * What people say to scalers over HTTP, and what was noted about it.
 */
#include "config.h"

#include "autoscaler/trust.h"

#include <stdio.h>
#include <string.h>

#include "autoscaler/manager_int.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/utf8.h"

#define AUDIT_DEFAULT 100
#define AUDIT_MAX 10000
#define BY_BYTES_MAX 100

static enum tw_http_verdict fail(struct tw_http_exchange *exchange, const struct tw_err *err)
{
    tw_http_error_api(exchange, err);
    return TW_HTTP_DONE;
}

/* What a request says; texts live in the exchange. */
struct request {
    unsigned kinds; /* a bit for each scale_pause_kind */
    bool ends;      /* rather than begins */
    int64_t for_ms, replicas;
    struct tw_str reason;
    char who[SCALE_WHO_BYTES];
};

static enum tw_code take_who(const struct tw_http_request *http, struct request *ret,
                             struct tw_err *err)
{
    struct tw_str by = {0};
    (void)tw_http_parameter(http, "by", &by);
    if (by.size > BY_BYTES_MAX || !tw_utf8_valid(by) || memchr(by.data ? by.data : "", 0, by.size))
        return tw_err_set(err, TW_BAD_DATA, "by is a name of at most %d bytes", BY_BYTES_MAX);
    struct tw_str client = http->client.size ? http->client : TW_STR("an unknown address");
    if (by.size)
        snprintf(ret->who, sizeof ret->who, "%.*s (%.*s)", TW_STR_ARG(by), TW_STR_ARG(client));
    else
        snprintf(ret->who, sizeof ret->who, "%.*s", TW_STR_ARG(client));
    return TW_OK;
}

static enum tw_code take_direction(const struct tw_http_request *http, struct request *ret,
                                   struct tw_err *err)
{
    struct tw_str direction = TW_STR_INIT("both");
    (void)tw_http_parameter(http, "direction", &direction);
    if (tw_str_is(direction, "in"))
        ret->kinds = 1u << SCALE_PAUSE_IN;
    else if (tw_str_is(direction, "out"))
        ret->kinds = 1u << SCALE_PAUSE_OUT;
    else if (tw_str_is(direction, "both"))
        ret->kinds = 1u << SCALE_PAUSE_IN | 1u << SCALE_PAUSE_OUT;
    else
        return tw_err_set(err, TW_BAD_DATA, "direction is '%.*s': use in, out or both",
                          TW_STR_ARG(direction));
    return TW_OK;
}

/* A browser sends the origin of the page that asks: another server's page is not to move replicas,
 * whatever it may read (--cors-origin), for a form needs nobody's leave to be sent. */
static enum tw_code refuse_foreign_page(const struct tw_http_request *http, struct tw_err *err)
{
    struct tw_str origin, host = TW_STR_INIT("");
    if (!tw_http_header(http, "Origin", &origin))
        return TW_OK;
    (void)tw_http_header(http, "Host", &host);
    size_t scheme = tw_str_find(origin, TW_STR("://"));
    if (scheme < origin.size && tw_str_equal(tw_str_slice(origin, scheme + 3, origin.size), host))
        return TW_OK;
    return tw_err_set(err, TW_FORBIDDEN,
                      "a page of '%.*s' may not change scalers: use the server's own pages, or the "
                      "command line",
                      TW_STR_ARG(tw_str_slice(origin, 0, origin.size < 200 ? origin.size : 200)));
}

static enum tw_code take_common(const struct tw_http_request *http, struct request *ret,
                                struct tw_err *err)
{
    struct tw_str text;
    enum tw_code code = refuse_foreign_page(http, err);
    if (code == TW_OK)
        code = take_who(http, ret, err);
    if (code != TW_OK)
        return code;
    ret->for_ms = INT64_MAX;
    if (tw_http_parameter(http, "for", &text) && text.size) {
        if (tw_duration_parse_parameter(text, &ret->for_ms, err) != TW_OK || ret->for_ms <= 0 ||
            ret->for_ms > SCALE_PAUSE_MS_MAX)
            return tw_err_set(err, TW_BAD_DATA,
                              "for is '%.*s': give a duration of more than 0s, at most 366d",
                              TW_STR_ARG(text));
    }
    ret->reason = TW_STR("");
    (void)tw_http_parameter(http, "reason", &ret->reason);
    ret->reason = tw_str_trim(ret->reason);
    if (ret->reason.size >= SCALE_PAUSE_REASON_BYTES || !tw_utf8_valid(ret->reason) ||
        (ret->reason.size && memchr(ret->reason.data, 0, ret->reason.size)))
        return tw_err_set(err, TW_BAD_DATA, "reason is a text of at most %d bytes",
                          SCALE_PAUSE_REASON_BYTES - 1);
    if (!ret->reason.size && !ret->ends)
        return tw_err_set(err, TW_BAD_DATA,
                          "reason is missing: say why, for those who will wonder");
    return TW_OK;
}

/* "until 2026-11-21T18:00:00Z" */
static void write_until(int64_t until_ms, char *ret, size_t bytes)
{
    char text[TW_CLOCK_RFC3339_BYTES];
    if (until_ms == INT64_MAX) {
        snprintf(ret, bytes, "until it is taken back");
        return;
    }
    tw_clock_format_rfc3339(until_ms, text);
    snprintf(ret, bytes, "until %s", text);
}

/* Changes the pauses; an entry for each that did change. Returns how many. */
static size_t change(const struct request *request, int64_t now_ms, struct tw_str scaler,
                     struct scale_pauses *pauses, struct scale_audit *audits)
{
    size_t count = 0;
    for (unsigned k = 0; k < SCALE_PAUSE_KINDS; k++) {
        struct scale_pause *pause = &pauses->items[k];
        const char *name = scale_pause_name((enum scale_pause_kind)k);
        char until[64];
        if (!(request->kinds & 1u << k) || (request->ends && !pause->holds))
            continue;
        if (request->ends) {
            pause->holds = false;
            scale_audit_make(&audits[count++], now_ms, SCALE_AUDIT_RESUME, request->who, scaler,
                             "%s goes on%s%.*s", name, request->reason.size ? ": " : "",
                             TW_STR_ARG(request->reason));
            continue;
        }
        *pause = (struct scale_pause){
            .holds = true,
            .since_ms = now_ms,
            .until_ms = request->for_ms == INT64_MAX ? INT64_MAX : now_ms + request->for_ms,
            .replicas = request->replicas};
        snprintf(pause->who, sizeof pause->who, "%s", request->who);
        snprintf(pause->reason, sizeof pause->reason, "%.*s", TW_STR_ARG(request->reason));
        write_until(pause->until_ms, until, sizeof until);
        if (k == SCALE_PAUSE_SET)
            scale_audit_make(&audits[count++], now_ms, SCALE_AUDIT_SET, request->who, scaler,
                             "there shall be %lld replicas %s: %s", (long long)request->replicas,
                             until, pause->reason);
        else
            scale_audit_make(&audits[count++], now_ms, SCALE_AUDIT_PAUSE, request->who, scaler,
                             "%s is paused %s: %s", name, until, pause->reason);
    }
    return count;
}

static struct scaler *find_locked(struct scale_manager *manager, struct tw_str name)
{
    tw_lock_assert_held(&manager->lock);
    for (size_t i = 0; i < manager->scaler_count; i++)
        if (tw_str_equal(manager->scalers[i]->settings.name, name))
            return manager->scalers[i];
    return NULL;
}

/* First durable, then in force; `round` is held, so that nothing comes between. */
static enum tw_code apply_in_round(struct scale_manager *manager, struct tw_str name,
                                   const struct request *request, struct scale_pauses *ret,
                                   struct tw_err *err)
{
    struct scale_audit audits[SCALE_PAUSE_KINDS];
    int64_t now = tw_clock_wall_ms(manager->options.clock);
    tw_lock_take(&manager->lock);
    struct scaler *scaler = find_locked(manager, name);
    int64_t max = scaler ? scaler->settings.max : 0;
    tw_lock_release(&manager->lock);
    if (!scaler)
        return tw_err_set(err, TW_NOT_FOUND, "there is no scaler '%.*s'", TW_STR_ARG(name));
    if (!request->ends && request->replicas > max)
        return tw_err_set(err, TW_BAD_DATA, "replicas is %lld, and max is %lld",
                          (long long)request->replicas, (long long)max);
    enum tw_code code = scale_pauses_read(manager->options.state, name, ret, err);
    if (code != TW_OK && code != TW_CORRUPT)
        return code;
    (void)scale_pauses_expire(ret, now);
    size_t count = change(request, now, name, ret, audits);
    code = scale_pauses_write(manager->options.state, name, ret, audits, count, err);
    if (code != TW_OK)
        return code;
    tw_lock_take(&manager->lock);
    scaler->pauses = *ret;
    scaler->due_ms = now; /* it counts at once */
    manager->nudged = true;
    tw_cond_broadcast(&manager->wake);
    tw_lock_release(&manager->lock);
    return TW_OK;
}

static enum tw_http_verdict apply(struct scale_manager *manager, struct tw_http_exchange *exchange,
                                  const struct request *request)
{
    struct tw_str name = tw_http_capture(&exchange->request, "name");
    struct scale_pauses pauses;
    struct tw_err err;
    tw_lock_take(&manager->round);
    enum tw_code code = apply_in_round(manager, name, request, &pauses, &err);
    tw_lock_release(&manager->round);
    if (code != TW_OK)
        return fail(exchange, &err);
    struct tw_json_writer writer;
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_object(&writer);
    tw_json_member_str(&writer, "name", name);
    scale_pauses_write_json(&pauses, &writer);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

static enum tw_http_verdict answer_pause(void *user, struct tw_http_exchange *exchange)
{
    struct request request = {0};
    struct tw_err err;
    enum tw_code code = take_direction(&exchange->request, &request, &err);
    if (code == TW_OK)
        code = take_common(&exchange->request, &request, &err);
    return code == TW_OK ? apply(user, exchange, &request) : fail(exchange, &err);
}

static enum tw_http_verdict answer_resume(void *user, struct tw_http_exchange *exchange)
{
    struct request request = {.ends = true};
    struct tw_err err;
    struct tw_str direction;
    enum tw_code code = take_direction(&exchange->request, &request, &err);
    if (!tw_http_parameter(&exchange->request, "direction", &direction) ||
        tw_str_is(direction, "both"))
        request.kinds |= 1u << SCALE_PAUSE_SET;
    if (code == TW_OK)
        code = take_common(&exchange->request, &request, &err);
    return code == TW_OK ? apply(user, exchange, &request) : fail(exchange, &err);
}

static enum tw_http_verdict answer_set(void *user, struct tw_http_exchange *exchange)
{
    struct request request = {.kinds = 1u << SCALE_PAUSE_SET, .replicas = -1};
    struct tw_err err;
    struct tw_str text = TW_STR_INIT("");
    (void)tw_http_parameter(&exchange->request, "replicas", &text);
    if (!tw_int64_parse(text, &request.replicas) || request.replicas < 0 ||
        request.replicas > SCALE_REPLICAS_MAX) {
        tw_err_set(&err, TW_BAD_DATA, "replicas is '%.*s': give a whole number from 0 on",
                   TW_STR_ARG(text));
        return fail(exchange, &err);
    }
    enum tw_code code = take_common(&exchange->request, &request, &err);
    return code == TW_OK ? apply(user, exchange, &request) : fail(exchange, &err);
}

/* ---- the audit log ---- */

struct listing {
    struct tw_json_writer writer;
    struct tw_str scaler; /* empty: of all */
    int64_t until_ms;
    size_t left;
};

static bool list_audit(void *user, const struct scale_audit *audit)
{
    struct listing *listing = user;
    if ((listing->scaler.size && !tw_str_is(listing->scaler, audit->scaler)) ||
        audit->time_ms > listing->until_ms)
        return true;
    scale_audit_write_json(audit, &listing->writer);
    return --listing->left > 0;
}

static enum tw_http_verdict answer_audit(void *user, struct tw_http_exchange *exchange)
{
    struct scale_manager *manager = user;
    struct listing listing = {.until_ms = INT64_MAX};
    struct tw_str text;
    struct tw_err err;
    int64_t limit = AUDIT_DEFAULT;
    (void)tw_http_parameter(&exchange->request, "scaler", &listing.scaler);
    if (tw_http_parameter(&exchange->request, "limit", &text) &&
        (!tw_int64_parse(text, &limit) || limit < 1 || limit > AUDIT_MAX)) {
        tw_err_set(&err, TW_BAD_DATA, "limit is '%.*s': give a whole number from 1 to %d",
                   TW_STR_ARG(text), AUDIT_MAX);
        return fail(exchange, &err);
    }
    if (tw_http_parameter(&exchange->request, "time", &text) &&
        tw_time_parse_parameter(text, &listing.until_ms, &err) != TW_OK)
        return fail(exchange, &err);
    listing.left = (size_t)limit;
    tw_http_begin_success(exchange, &listing.writer);
    tw_json_begin_object(&listing.writer);
    tw_json_key(&listing.writer, TW_STR("entries"));
    tw_json_begin_array(&listing.writer);
    if (scale_audit_each(manager->options.state, list_audit, &listing, &err) != TW_OK) {
        tw_buf_clear(&exchange->response.body);
        return fail(exchange, &err);
    }
    tw_json_end_array(&listing.writer);
    tw_json_end_object(&listing.writer);
    tw_json_end_object(&listing.writer);
    return TW_HTTP_DONE;
}

void scale_trust_route(struct tw_http_router *router, struct scale_manager *manager)
{
    tw_http_route(router, TW_HTTP_POST, "/api/v1/scalers/:name/pause", TW_HTTP_WORKER, answer_pause,
                  manager);
    tw_http_route(router, TW_HTTP_POST, "/api/v1/scalers/:name/resume", TW_HTTP_WORKER,
                  answer_resume, manager);
    tw_http_route(router, TW_HTTP_POST, "/api/v1/scalers/:name/set", TW_HTTP_WORKER, answer_set,
                  manager);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/scaler_audit", TW_HTTP_WORKER, answer_audit,
                  manager);
}
