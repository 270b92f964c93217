/* SPDX-License-Identifier: Apache-2.0
 *
 * rule: Prometheus rule files, read and checked as a whole.
 *
 *   groups: [{name, interval, limit, query_offset, labels, rules: [{record | alert, expr, for,
 *             keep_firing_for, labels, annotations}]}]
 *
 * Whatever is wrong is refused when the file is read, with file, line and column: unknown keys with
 * the nearest known one, expressions and templates with the place inside them.
 *
 * A rule's identity (id) survives restarts and edits of expr, for and annotations: it is made of
 * file, group, name, labels, and the position among rules equal in all of these.
 *
 * Ownership: a file owns everything below it. Threads: immutable after reading.
 */
#ifndef TW_ALERTS_RULE_H
#define TW_ALERTS_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alerts/template.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "wire/labels.h"

#define ALERT_RULE_FILE_BYTES_MAX (16 << 20)
#define ALERT_RULES_MAX 50000     /* of all files together */
#define ALERT_INTERVAL_MS_MIN 100 /* shorter ones would only count as late */

/* A label or annotation of a rule, with what stands in it as a template. */
struct alert_text {
    struct tw_str name, text;
    struct alert_template *template; /* NULL: labels of recording rules are plain */
};

enum alert_rule_kind { ALERT_RULE_RECORD, ALERT_RULE_ALERT };

struct alert_rule {
    enum alert_rule_kind kind;
    struct tw_hash128 id;
    struct tw_str name, expr;
    int64_t for_ms, keep_firing_ms;
    struct alert_text *labels; /* the group's and its own, by name */
    size_t label_count;
    struct alert_text *annotations; /* by name */
    size_t annotation_count;
};

struct alert_rule_group {
    struct tw_str file, name;
    int64_t interval_ms;     /* 0: the default */
    int64_t query_offset_ms; /* -1: the default */
    int64_t limit;           /* 0: none */
    struct alert_rule *rules;
    size_t count;
};

struct alert_rule_file {
    struct tw_arena *arena;
    struct tw_str name;
    struct alert_rule_group *groups;
    size_t count;
};

/* text: the file's content; copied. */
TW_MUST_CHECK enum tw_code alert_rule_file_parse(const char *name, struct tw_str text,
                                                 struct alert_rule_file **ret_file,
                                                 struct tw_err *err);
TW_MUST_CHECK enum tw_code alert_rule_file_read(const char *path, struct alert_rule_file **ret_file,
                                                struct tw_err *err);
struct alert_rule_file *alert_rule_file_free(struct alert_rule_file *file); /* returns NULL */

#endif
