/* SPDX-License-Identifier: Apache-2.0
 *
 * /proc/meminfo says what the machine has. /proc/self/cgroup names the groups of the process; in
 * version 2 ("0::/path") each folder on the way from there to the root may have a memory.max, in
 * version 1 ("9:memory:/path") a memory.limit_in_bytes. In a container the path is often that of
 * the host, while the root that is seen is the container's own; so the root is asked always.
 */
#include "config.h"

#include "daemon/machine.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"

#define FILE_BYTES_MAX 65536

static bool read_file(const char *root, const char *path, struct tw_buf *ret)
{
    char full[PATH_MAX];
    tw_buf_clear(ret);
    return snprintf(full, sizeof full, "%s%s", root, path) < (int)sizeof full &&
           tw_file_read(full, ret, NULL) == TW_OK;
}

static uint64_t read_total(const char *root, struct tw_buf *text)
{
    int64_t kilobytes;
    struct tw_str rest, line, name = TW_STR("MemTotal:");
    if (!read_file(root, "/proc/meminfo", text))
        return UINT64_MAX;
    rest = tw_buf_str(text);
    while (tw_str_split(&rest, '\n', &line)) {
        if (!tw_str_starts(line, name))
            continue;
        line = tw_str_trim(tw_str_slice(line, name.size, line.size));
        if (tw_str_ends(line, TW_STR(" kB")) &&
            tw_int64_parse(tw_str_slice(line, 0, line.size - 3), &kilobytes) && kilobytes > 0)
            return (uint64_t)kilobytes << 10;
    }
    return UINT64_MAX;
}

/* "max", or version 1's number beyond all memory, is none. */
static uint64_t read_limit(const char *root, const char *path, struct tw_buf *text)
{
    int64_t bytes;
    if (!read_file(root, path, text) || !tw_int64_parse(tw_str_trim(tw_buf_str(text)), &bytes) ||
        bytes <= 0)
        return UINT64_MAX;
    return (uint64_t)bytes;
}

/* The least limit of a group and those above it. */
static uint64_t read_groups(const char *root, const char *mount, struct tw_str group,
                            const char *name, struct tw_buf *text)
{
    uint64_t least = UINT64_MAX;
    for (int depth = 0; depth < DAEMON_MACHINE_DEPTH_MAX; depth++) {
        char path[PATH_MAX];
        while (tw_str_ends(group, TW_STR("/")))
            group.size--;
        if (snprintf(path, sizeof path, "%s%.*s/%s", mount, TW_STR_ARG(group), name) <
            (int)sizeof path) {
            uint64_t limit = read_limit(root, path, text);
            least = limit < least ? limit : least;
        }
        if (group.size == 0)
            break;
        while (group.size > 0 && group.data[group.size - 1] != '/')
            group.size--;
    }
    return least;
}

/* Whether a comma-separated list of controllers has "memory". */
static bool has_memory(struct tw_str controllers)
{
    struct tw_str name;
    while (tw_str_split(&controllers, ',', &name))
        if (tw_str_is(name, "memory"))
            return true;
    return false;
}

static uint64_t read_group_limit(const char *root, struct tw_buf *groups, struct tw_buf *text)
{
    uint64_t least = UINT64_MAX;
    if (!read_file(root, "/proc/self/cgroup", groups))
        return least;
    struct tw_str rest = tw_buf_str(groups), line, id, controllers;
    while (tw_str_split(&rest, '\n', &line)) {
        uint64_t limit = UINT64_MAX;
        if (!tw_str_split(&line, ':', &id) || !tw_str_split(&line, ':', &controllers))
            continue;
        if (tw_str_is(id, "0") && controllers.size == 0)
            limit = read_groups(root, "/sys/fs/cgroup", line, "memory.max", text);
        else if (has_memory(controllers))
            limit = read_groups(root, "/sys/fs/cgroup/memory", line, "memory.limit_in_bytes", text);
        least = limit < least ? limit : least;
    }
    return least;
}

void daemon_machine_read(const char *root, struct daemon_machine *ret)
{
    struct tw_buf text, groups;
    tw_buf_init(&text, FILE_BYTES_MAX);
    tw_buf_init(&groups, FILE_BYTES_MAX);
    uint64_t total = read_total(root, &text), limit = read_group_limit(root, &groups, &text);
    bool grouped = limit < total;
    *ret = (struct daemon_machine){grouped ? limit : total,
                                   grouped ? "its control group" : "the machine"};
    tw_buf_fini(&groups);
    tw_buf_fini(&text);
}
