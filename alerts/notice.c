/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "alerts/notice.h"

#include <stdlib.h>

#include "alerts/labelset.h"
#include "base/assert.h"

struct alert_notice *alert_notice_new(const struct alert_notice_record *record)
{
    struct alert_notice *notice = calloc(1, sizeof *notice);
    TW_ASSERT(notice != NULL);
    notice->record = *record;
    notice->record.labels = alert_labelset_dup(record->labels);
    notice->record.annotations = alert_labelset_dup(record->annotations);
    notice->record.generator_url =
        (struct tw_str){tw_str_dup(record->generator_url), record->generator_url.size};
    notice->fingerprint = alert_labelset_fingerprint(notice->record.labels);
    return notice;
}

struct alert_notice *alert_notice_free(struct alert_notice *notice)
{
    if (notice == NULL)
        return NULL;
    union {
        const char *shared;
        char *own;
    } url = {.shared = notice->record.generator_url.data};
    alert_labelset_free(notice->record.labels);
    alert_labelset_free(notice->record.annotations);
    free(url.own);
    free(notice);
    return NULL;
}
