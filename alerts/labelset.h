/* SPDX-License-Identifier: Apache-2.0
 *
 * labelset: sets of labels and annotations that outlive an evaluation, and how Alertmanager names
 * and orders alerts by them.
 */
#ifndef TW_ALERTS_LABELSET_H
#define TW_ALERTS_LABELSET_H

#include <stdint.h>

#include "base/buf.h"
#include "wire/labels.h"

/* A deep copy in one heap block, freed by alert_labelset_free; an empty set owns nothing. */
struct wire_labels alert_labelset_dup(struct wire_labels labels);
void alert_labelset_free(struct wire_labels labels);

/* FNV-1a over names and values, as Prometheus and Alertmanager compute fingerprints. */
uint64_t alert_labelset_fingerprint(struct wire_labels labels);
/* {alertname="X", job="y"}, values quoted as Go's %q. */
void alert_labelset_format(struct wire_labels labels, struct tw_buf *out);
/* The order of alerts in a notification: by job, instance, number of labels, then labels. */
int alert_labelset_compare(struct wire_labels a, struct wire_labels b);
/* Text in double quotes, as Go's %q. */
void alert_labelset_quote(struct tw_str text, struct tw_buf *out);

#endif
