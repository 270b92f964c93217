/* SPDX-License-Identifier: Apache-2.0
 *
 * procfile: a file of /proc or /sys that is read again and again through a kept descriptor.
 *
 * Threads: one (the sampler's).
 */
#ifndef TW_COLLECTOR_PROCFILE_H
#define TW_COLLECTOR_PROCFILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct agent_procfile {
    int fd; /* -1 = not open */
};

void agent_procfile_init(struct agent_procfile *file);
void agent_procfile_fini(struct agent_procfile *file);
/* The content as it is now, in `text`, which is cleared first; ret_text lives as long as the buffer
 * is left alone. Opens "<root>/<name>" when needed, also anew after an error. */
TW_MUST_CHECK enum tw_code agent_procfile_read(struct agent_procfile *file, const char *root,
                                               const char *name, struct tw_buf *text,
                                               struct tw_str *ret_text, struct tw_err *err);

#endif
