/* SPDX-License-Identifier: Apache-2.0
 *
 * selector: label selectors as the Kubernetes API has them:
 *
 *   scaler=web, scaler==web, scaler!=web, scaler in (web, shop), scaler notin (web), scaler,
 * !scaler
 *
 * joined by commas; all have to hold. A label that is not there fulfils != and notin.
 *
 * Ownership: texts point into what was parsed. Threads: plain data.
 */
#ifndef TW_AUTOSCALER_SELECTOR_H
#define TW_AUTOSCALER_SELECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/http.h"
#include "base/str.h"

#define SCALE_SELECTOR_TERMS_MAX 16
#define SCALE_SELECTOR_VALUES_MAX 64 /* of one term */

enum scale_selector_relation {
    SCALE_SELECTOR_IN,
    SCALE_SELECTOR_NOT_IN,
    SCALE_SELECTOR_THERE,
    SCALE_SELECTOR_NOT_THERE
};

struct scale_selector {
    struct {
        struct tw_str label;
        enum scale_selector_relation relation;
        struct tw_str values[SCALE_SELECTOR_VALUES_MAX];
        size_t value_count;
    } terms[SCALE_SELECTOR_TERMS_MAX];
    size_t term_count;
};

/* TW_BAD_DATA with the place. An empty text selects all. */
TW_MUST_CHECK enum tw_code scale_selector_parse(struct tw_str text, struct scale_selector *ret,
                                                struct tw_err *err);
bool scale_selector_holds(const struct scale_selector *selector, const struct tw_http_pair *labels,
                          size_t count);

#endif
