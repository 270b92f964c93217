/* SPDX-License-Identifier: Apache-2.0
 *
 * files: the built pages as bytes in the program. ui/embed.sh writes the list while building;
 * without npm it is empty.
 */
#ifndef TW_UI_FILES_H
#define TW_UI_FILES_H

#include "base/str.h"

struct ui_file {
    const char *path;          /* "/" for the start page, which all addresses of pages give */
    const char *type;          /* Content-Type */
    struct tw_str plain, gzip; /* the same content twice */
};

/* Ends with a path of NULL. */
extern const struct ui_file ui_files[];

#endif
