/* SPDX-License-Identifier: Apache-2.0
 *
 * yaml: configuration and rule files as a tree of nodes that know their line and column, so that
 * every mistake can be named with its place. libyaml behind it; the one file that knows it.
 *
 * Readers take a mapping apart with tw_yaml_member and tell the reader of each key they know;
 * tw_yaml_check_keys then refuses what nobody asked for, with the nearest known name.
 *
 * Aliases are expanded within TW_YAML_NODES_MAX, so that no small file grows without bound.
 */
#ifndef TW_BASE_YAML_H
#define TW_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define TW_YAML_DEPTH_MAX 64
#define TW_YAML_NODES_MAX 1000000

enum tw_yaml_kind { TW_YAML_SCALAR, TW_YAML_SEQUENCE, TW_YAML_MAPPING };

struct tw_yaml_pair;

struct tw_yaml {
    enum tw_yaml_kind kind;
    bool quoted;           /* scalar written in quotes or as a block: never null, never a number */
    uint32_t line, column; /* 1-based */
    struct tw_str text;    /* scalar */
    size_t count;          /* items or pairs */
    struct tw_yaml **items;
    struct tw_yaml_pair *pairs; /* in file order; keys are unique scalars */
};

struct tw_yaml_pair {
    struct tw_yaml *key, *value;
};

/* The first document of text, in the arena; *ret_root is NULL for an empty one. name is the file's,
 * for messages: "rules.yml:3:7: ...". */
TW_MUST_CHECK enum tw_code tw_yaml_parse(struct tw_arena *arena, const char *name,
                                         struct tw_str text, struct tw_yaml **ret_root,
                                         struct tw_err *err);
/* Fills err with TW_CONFIG, "name:line:column: <format>" and the place. */
enum tw_code tw_yaml_error(const char *name, const struct tw_yaml *node, struct tw_err *err,
                           const char *format, ...) TW_PRINTF(4, 5);
const struct tw_yaml *tw_yaml_member(const struct tw_yaml *mapping,
                                     const char *key); /* NULL if absent */
/* known: NULL-terminated. Refuses the first key that is not among them and names the nearest one.
 */
TW_MUST_CHECK enum tw_code tw_yaml_check_keys(const char *name, const struct tw_yaml *mapping,
                                              const char *const *known, struct tw_err *err);
bool tw_yaml_is_null(const struct tw_yaml *node); /* NULL, or an unquoted empty, ~ or null */

/* Typed reads of a member: *ret keeps its value (the default) when the key is absent or null. */
TW_MUST_CHECK enum tw_code tw_yaml_get_str(const char *name, const struct tw_yaml *mapping,
                                           const char *key, struct tw_str *ret, struct tw_err *err);
TW_MUST_CHECK enum tw_code tw_yaml_get_bool(const char *name, const struct tw_yaml *mapping,
                                            const char *key, bool *ret, struct tw_err *err);
TW_MUST_CHECK enum tw_code tw_yaml_get_int(const char *name, const struct tw_yaml *mapping,
                                           const char *key, int64_t min, int64_t max, int64_t *ret,
                                           struct tw_err *err);
TW_MUST_CHECK enum tw_code tw_yaml_get_double(const char *name, const struct tw_yaml *mapping,
                                              const char *key, double *ret, struct tw_err *err);
/* Prometheus duration ("30s", "1h30m", "0"). */
TW_MUST_CHECK enum tw_code tw_yaml_get_duration(const char *name, const struct tw_yaml *mapping,
                                                const char *key, int64_t *ret_ms,
                                                struct tw_err *err);
/* "64MB", "1GiB", "512": bytes. */
TW_MUST_CHECK enum tw_code tw_yaml_get_bytes(const char *name, const struct tw_yaml *mapping,
                                             const char *key, uint64_t *ret_bytes,
                                             struct tw_err *err);
/* The member as a node of one kind, NULL if absent or null. */
TW_MUST_CHECK enum tw_code tw_yaml_get_node(const char *name, const struct tw_yaml *mapping,
                                            const char *key, enum tw_yaml_kind kind,
                                            const struct tw_yaml **ret, struct tw_err *err);

/* Nearest of a NULL-terminated list to a misspelt word (edit distance <= 2), or NULL. */
const char *tw_yaml_nearest(struct tw_str word, const char *const *known);

#endif
