/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/procfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* A first read of this size takes most files whole, and so at one moment. */
#define READ_BYTES 16384

void agent_procfile_init(struct agent_procfile *file)
{
    file->fd = -1;
}

void agent_procfile_fini(struct agent_procfile *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

static enum tw_code open_file(struct agent_procfile *file, const char *root, const char *name,
                              struct tw_err *err)
{
    char path[512];
    int size = snprintf(path, sizeof path, "%s/%s", root, name);
    if (size < 0 || (size_t)size >= sizeof path)
        return tw_err_set(err, TW_BAD_DATA, "the path %s/%s is too long", root, name);
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0)
        return tw_err_errno(err, errno, "cannot open %s", path);
    return TW_OK;
}

enum tw_code agent_procfile_read(struct agent_procfile *file, const char *root, const char *name,
                                 struct tw_buf *text, struct tw_str *ret_text, struct tw_err *err)
{
    tw_buf_clear(text);
    if (file->fd < 0) {
        enum tw_code code = open_file(file, root, name, err);
        if (code != TW_OK)
            return code;
    }
    for (;;) {
        char *room = tw_buf_reserve(text, READ_BYTES);
        if (room == NULL) {
            agent_procfile_fini(file);
            return tw_err_set(err, TW_TOO_LARGE, "%s/%s has more than %zu bytes", root, name,
                              text->size_max);
        }
        ssize_t got = pread(file->fd, room, READ_BYTES, (off_t)text->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int number = errno;
            /* The thing behind it may be gone and come back (an interface): open anew next time. */
            agent_procfile_fini(file);
            return tw_err_errno(err, number, "cannot read %s/%s", root, name);
        }
        text->size += (size_t)got;
        /* A short read is no end for seq files, but an empty one is. One-line files of a few
         * bytes need no second read to know. */
        if (got == 0 || (text->size == (size_t)got && got < 256 && text->data[got - 1] == '\n'))
            break;
    }
    *ret_text = tw_buf_str(text);
    return TW_OK;
}
