/* SPDX-License-Identifier: Apache-2.0
 *
 * yaml_text: a tree of base/yaml written as YAML for people to read, with secrets as <secret>.
 */
#ifndef TW_DAEMON_YAML_TEXT_H
#define TW_DAEMON_YAML_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/yaml.h"

/* Whether a member of this name holds what must not be shown (password, token, ...). */
bool daemon_yaml_is_secret(struct tw_str key);
/* In block style; aliases are written out. What passes the buffer's maximum is cut off. */
void daemon_yaml_write(const struct tw_yaml *node, struct tw_buf *ret_text);

#endif
