/* SPDX-License-Identifier: Apache-2.0
 *
 * openapi_schema: shapes of JSON in a short notation, and as JSON Schema in YAML.
 *
 *   s n i b a     text, number, whole number, true or false, anything
 *   [X]           list of X
 *   (X,Y)         list of exactly an X and a Y
 *   {key:X,?key:Y,*:Z}  object; "?": may be absent, "*": any other key
 *   X|Y           either
 *   $Name         one of the document's schemas
 */
#ifndef TW_DAEMON_OPENAPI_SCHEMA_H
#define TW_DAEMON_OPENAPI_SCHEMA_H

#include "base/buf.h"

/* Appends the schema's lines, each indented by so many spaces. The shape is one of ours: a mistake
 * in it is an assertion. */
void daemon_openapi_write_schema(struct tw_buf *yaml, int indent, const char *shape);

#endif
