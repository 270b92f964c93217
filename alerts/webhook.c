/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/webhook.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"

/* How Go writes a time that is not set. */
#define TIME_ZERO "0001-01-01T00:00:00Z"

static void member_time(struct tw_json_writer *w, const char *key, int64_t time_ms)
{
    char text[TW_CLOCK_RFC3339_BYTES];
    tw_clock_format_rfc3339(time_ms, text);
    tw_json_member_cstr(w, key, text);
}

static void member_labels(struct tw_json_writer *w, const char *key, struct wire_labels labels)
{
    tw_json_key(w, tw_str(key));
    tw_json_begin_object(w);
    for (size_t i = 0; i < labels.count; i++) {
        tw_json_key(w, labels.items[i].name);
        tw_json_write_str(w, labels.items[i].value);
    }
    tw_json_end_object(w);
}

static void write_notice(struct tw_json_writer *w, const struct alert_notice *notice,
                         int64_t now_ms)
{
    bool resolved = alert_notice_resolved(notice, now_ms);
    char fingerprint[20];
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, notice->fingerprint);
    tw_json_begin_object(w);
    tw_json_member_cstr(w, "status", resolved ? "resolved" : "firing");
    member_labels(w, "labels", notice->record.labels);
    member_labels(w, "annotations", notice->record.annotations);
    member_time(w, "startsAt", notice->record.starts_ms);
    if (resolved)
        member_time(w, "endsAt", notice->record.ends_ms);
    else
        tw_json_member_cstr(w, "endsAt", TIME_ZERO);
    tw_json_member_str(w, "generatorURL", notice->record.generator_url);
    tw_json_member_cstr(w, "fingerprint", fingerprint);
    tw_json_end_object(w);
}

/* Labels, or annotations, that all have with the same value. */
static void member_common(struct tw_json_writer *w, const char *key,
                          const struct alert_message *message, bool annotations)
{
    tw_json_key(w, tw_str(key));
    tw_json_begin_object(w);
    const struct alert_notice_record *first =
        message->count > 0 ? &message->notices[0]->record : NULL;
    struct wire_labels all = {NULL, 0};
    if (first != NULL)
        all = annotations ? first->annotations : first->labels;
    for (size_t i = 0; i < all.count; i++) {
        bool common = true;
        for (size_t k = 1; common && k < message->count; k++) {
            const struct alert_notice_record *other = &message->notices[k]->record;
            struct wire_labels set = annotations ? other->annotations : other->labels;
            common = tw_str_equal(wire_labels_get(set, all.items[i].name), all.items[i].value);
        }
        if (!common)
            continue;
        tw_json_key(w, all.items[i].name);
        tw_json_write_str(w, all.items[i].value);
    }
    tw_json_end_object(w);
}

void alert_webhook_encode(const struct alert_message *message, struct tw_buf *out)
{
    struct tw_json_writer w;
    bool firing = false;
    size_t shown = message->count - message->truncated;
    /* Common labels and the status are those of all alerts, also of those cut off. */
    for (size_t i = 0; i < message->count; i++)
        firing = firing || !alert_notice_resolved(message->notices[i], message->now_ms);
    tw_json_writer_init(&w, out);
    tw_json_begin_object(&w);
    tw_json_member_str(&w, "receiver", message->receiver);
    tw_json_member_cstr(&w, "status", firing ? "firing" : "resolved");
    tw_json_key(&w, TW_STR("alerts"));
    tw_json_begin_array(&w);
    for (size_t i = 0; i < shown; i++)
        write_notice(&w, message->notices[i], message->now_ms);
    tw_json_end_array(&w);
    tw_json_member_str(&w, "notification_reason", message->reason);
    member_labels(&w, "groupLabels", message->group_labels);
    member_common(&w, "commonLabels", message, false);
    member_common(&w, "commonAnnotations", message, true);
    tw_json_member_str(&w, "externalURL", message->external_url);
    tw_json_member_cstr(&w, "version", "4");
    tw_json_member_str(&w, "groupKey", message->group_key);
    tw_json_member_int(&w, "truncatedAlerts", (int64_t)message->truncated);
    tw_json_end_object(&w);
}

void alert_peer_encode(const struct alert_notice *const *notices, size_t count, int64_t now_ms,
                       struct tw_buf *out)
{
    struct tw_json_writer w;
    tw_json_writer_init(&w, out);
    tw_json_begin_array(&w);
    for (size_t i = 0; i < count; i++) {
        const struct alert_notice_record *record = &notices[i]->record;
        bool resolved = alert_notice_resolved(notices[i], now_ms);
        tw_json_begin_object(&w);
        member_labels(&w, "annotations", record->annotations);
        member_time(&w, "endsAt", resolved ? record->ends_ms : now_ms + record->valid_ms);
        member_time(&w, "startsAt", record->starts_ms);
        tw_json_member_str(&w, "generatorURL", record->generator_url);
        member_labels(&w, "labels", record->labels);
        tw_json_end_object(&w);
    }
    tw_json_end_array(&w);
}
