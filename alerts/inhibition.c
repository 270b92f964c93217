/* SPDX-License-Identifier: Apache-2.0
 *
 * inhibition: an alert is not told while another one fires that says more.
 */
#include "config.h"

#include <stdlib.h>

#include "alerts/notifier_int.h"
#include "base/assert.h"

void alert_inhibition_reset(struct alert_notifier *n)
{
    for (size_t i = 0; n->sources != NULL && i < n->routing->inhibition_count; i++)
        free(n->sources[i].notices);
    free(n->sources);
    n->sources = NULL;
}

/* The sources of each rule, made anew when an alert has come, changed or gone: most rules have
 * none, so that asking for each of many alerts costs little. */
static void find_sources(struct alert_notifier *n, int64_t now_ms)
{
    if (n->sources != NULL && !n->sources_stale)
        return;
    alert_inhibition_reset(n);
    size_t count = n->routing->inhibition_count;
    n->sources = calloc(count + 1, sizeof *n->sources);
    TW_ASSERT(n->sources != NULL);
    for (size_t r = 0; r < count; r++) {
        struct alert_sources *sources = &n->sources[r];
        sources->notices = calloc(n->count + 1, sizeof *sources->notices);
        TW_ASSERT(sources->notices != NULL);
        for (size_t i = 0; i < n->count; i++) {
            const struct alert_notice *notice = n->entries[i]->notice;
            if (!alert_notice_resolved(notice, now_ms) &&
                alert_matchers_match(&n->routing->inhibitions[r].source, notice->record.labels))
                sources->notices[sources->count++] = notice;
        }
    }
    n->sources_stale = false;
}

static bool labels_equal(const struct alert_inhibition *rule, struct wire_labels a,
                         struct wire_labels b)
{
    for (size_t i = 0; i < rule->equal_count; i++)
        if (!tw_str_equal(wire_labels_get(a, rule->equal[i]), wire_labels_get(b, rule->equal[i])))
            return false;
    return true;
}

bool alert_notice_inhibited(struct alert_notifier *n, const struct alert_notice *notice,
                            int64_t now_ms)
{
    if (n->routing->inhibition_count == 0)
        return false;
    find_sources(n, now_ms);
    struct wire_labels labels = notice->record.labels;
    for (size_t r = 0; r < n->routing->inhibition_count; r++) {
        const struct alert_inhibition *rule = &n->routing->inhibitions[r];
        if (n->sources[r].count == 0 || !alert_matchers_match(&rule->target, labels))
            continue;
        /* What matches both sides cannot be muted by another that does: none would be left. */
        bool both = alert_matchers_match(&rule->source, labels);
        for (size_t i = 0; i < n->sources[r].count; i++) {
            struct wire_labels source = n->sources[r].notices[i]->record.labels;
            if (labels_equal(rule, source, labels) &&
                !(both && alert_matchers_match(&rule->target, source)))
                return true;
        }
    }
    return false;
}
