/* SPDX-License-Identifier: Apache-2.0
 *
 * template: the texts of labels and annotations, in Go's text/template language with Prometheus's
 * functions and variables ($labels, $value, $externalLabels, $externalURL).
 *
 *   text -> lexer -> parser -> tree (template_tree.h) -> execution -> text
 *
 * What the language has and this interpreter does not (call, tmpl, complex numbers) is refused when
 * the template is parsed, with its place, never when an alert fires. An expansion that fails says
 * why; the caller puts that in the text's place, as Prometheus does.
 *
 * An expansion ends within the limits below, whatever the template does.
 *
 * Threads: a parsed template is immutable and may be expanded by all at once.
 */
#ifndef TW_ALERTS_TEMPLATE_H
#define TW_ALERTS_TEMPLATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "wire/labels.h"

#define ALERT_TEMPLATE_BYTES_MAX (64 * 1024)        /* of one template's text */
#define ALERT_TEMPLATE_OUTPUT_BYTES_MAX (64 * 1024) /* of one expansion */
#define ALERT_TEMPLATE_MEMORY_BYTES_MAX (8 << 20)   /* while expanding */
#define ALERT_TEMPLATE_STEPS_MAX 100000             /* nodes executed */
#define ALERT_TEMPLATE_DEPTH_MAX                                                                   \
    100 /* of parentheses and blocks, and of templates calling templates */

struct alert_template;

/* One element of a vector. */
struct alert_sample {
    struct wire_labels labels;
    double value;
};

/* Runs an instant query at the time of the expansion; the samples are in the arena. */
typedef enum tw_code alert_template_query(void *user, struct tw_str text, struct tw_arena *arena,
                                          const struct alert_sample **ret_samples,
                                          size_t *ret_count, struct tw_err *err);

/* What a template may see. */
struct alert_template_data {
    struct wire_labels labels; /* of the sample, before the rule's own labels */
    double value;
    struct tw_str histogram; /* what $value prints when it is a native histogram; empty: a number */
    struct wire_labels external_labels;
    struct tw_str external_url;
    int64_t time_ms;             /* what `now` says */
    alert_template_query *query; /* NULL: query fails */
    void *query_user;
};

/* The tree is in the arena and borrows text, which must live as long. Errors: TW_SYNTAX or
 * TW_UNSUPPORTED with line and column within text (1-based), and the byte range. */
TW_MUST_CHECK enum tw_code alert_template_parse(struct tw_arena *arena, struct tw_str text,
                                                struct alert_template **ret_template,
                                                struct tw_err *err);
/* The text is in the arena. TW_EXECUTION for a mistake in the template that shows only now,
 * TW_LIMIT for one that takes too long or makes too much; or what a query failed with. */
TW_MUST_CHECK enum tw_code alert_template_expand(const struct alert_template *template,
                                                 const struct alert_template_data *data,
                                                 struct tw_arena *arena, struct tw_str *ret_text,
                                                 struct tw_err *err);

#endif
