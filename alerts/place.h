/* SPDX-License-Identifier: Apache-2.0
 *
 * place: from a position inside a YAML scalar back to line and column of the file, for errors in
 * expressions and templates. Follows the text and its source side by side, through quotes, escapes,
 * folding and indentation; where they part, the scalar's own place has to do.
 */
#ifndef TW_ALERTS_PLACE_H
#define TW_ALERTS_PLACE_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "base/yaml.h"

/* offset: into node->text; file_text: the whole file. */
void alert_place_find(struct tw_str file_text, const struct tw_yaml *node, size_t offset,
                      uint32_t *ret_line, uint32_t *ret_column);
/* Turns an error about node->text (start set when it is known) into "name:line:column: what:
 * <message>", code TW_CONFIG (TW_UNSUPPORTED stays). Returns its code. */
enum tw_code alert_place_error(const char *name, struct tw_str file_text,
                               const struct tw_yaml *node, const char *what, struct tw_err *err);

#endif
