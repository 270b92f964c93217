/* SPDX-License-Identifier: Apache-2.0
 *
 * filesystem: a remote mount has a probe, held by its row's slot and by the thread that asks;
 * whoever lets go last frees it. So a thread that hangs forever harms nobody.
 */
#include "config.h"

#include "collector/filesystem.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/assert.h"
#include "base/thread.h"
#include "collector/scan.h"

#define PATH_BYTES_MAX 1024
#define PROBES_MAX 64

enum { FS_SIZE, FS_FREE, FS_AVAIL, FS_FILES, FS_FILES_FREE, FS_READONLY, FS_ERROR, FS_COLUMNS };
#define FILESYSTEM(name, help)                                                                     \
    {                                                                                              \
        {"node_filesystem_" name, WIRE_TYPE_GAUGE, help}, NULL, NULL                               \
    }
static const struct agent_column columns[FS_COLUMNS] = {
    FILESYSTEM("size_bytes", "Size of the file system."),
    FILESYSTEM("free_bytes", "Room left for the superuser."),
    FILESYSTEM("avail_bytes", "Room left for everybody."),
    FILESYSTEM("files", "Most files."),
    FILESYSTEM("files_free", "Files that can still be made."),
    FILESYSTEM("readonly", "1 if it is mounted for reading only."),
    FILESYSTEM("device_error", "1 if its state could not be read: device_error says why.")};
static const struct agent_family info_family = {"node_filesystem_mount_info", WIRE_TYPE_GAUGE,
                                                "Device numbers of a mount, always 1."};

struct probe {
    atomic_int holders;
    atomic_bool done;
    int error; /* errno, 0 = fine; valid once done */
    struct statvfs answer;
    int64_t asked_ns;
    char path[PATH_BYTES_MAX];
    /* The slot's alone: the last answer. */
    bool answered;
    int last_error;
    struct statvfs last;
    uint32_t tick;
};

struct filesystem {
    struct agent_procfile file;
    struct agent_table table, infos;
    struct probe *probes[PROBES_MAX];
    size_t probe_count;
};

struct mount {
    struct tw_str major, minor, device, type;
    char path[PATH_BYTES_MAX];
    bool readonly;
};

/* One of the folders, or below it. */
static bool is_below(struct tw_str path, const char *folder)
{
    struct tw_str prefix = tw_str(folder);
    return tw_str_starts(path, prefix) &&
           (path.size == prefix.size || path.data[prefix.size] == '/');
}

static bool is_among(struct tw_str word, const char *const *words)
{
    for (; *words != NULL; words++)
        if (tw_str_is(word, *words))
            return true;
    return false;
}

bool agent_mount_ignored(struct tw_str mount_point, struct tw_str type)
{
    static const char *const folders[] = {"/dev", "/proc", "/run", "/sys", "/mnt", "/media"};
    static const char *const below[] = {"/var/lib/docker/", "/var/lib/containers/storage/"};
    static const char *const types[] = {
        "autofs",   "binfmt_misc", "bpf",     "cgroup",    "cgroup2",    "configfs",   "debugfs",
        "devpts",   "devtmpfs",    "fusectl", "hugetlbfs", "iso9660",    "mqueue",     "nsfs",
        "overlay",  "proc",        "procfs",  "pstore",    "rpc_pipefs", "securityfs", "selinuxfs",
        "squashfs", "erofs",       "sysfs",   "tracefs",   NULL};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (is_below(mount_point, folders[i]))
            return true;
    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++)
        if (tw_str_starts(mount_point, tw_str(below[i])) && mount_point.size > strlen(below[i]))
            return true;
    return is_among(type, types);
}

bool agent_mount_is_remote(struct tw_str type)
{
    static const char *const types[] = {"nfs",      "nfs4", "cifs",  "smb3",   "smbfs",
                                        "9p",       "ceph", "afs",   "lustre", "glusterfs",
                                        "virtiofs", "gfs2", "ocfs2", "ncpfs",  "coda",
                                        "beegfs",   "gpfs", "fuse",  NULL};
    return is_among(type, types) || tw_str_starts(type, TW_STR("fuse."));
}

static void filesystem_init(void *state, struct agent_env *env)
{
    struct filesystem *filesystem = state;
    agent_procfile_init(&filesystem->file);
    agent_table_init(&filesystem->table, env->roster, FS_COLUMNS);
    agent_table_init(&filesystem->infos, env->roster, 1);
}

/* ---- probes ---- */

static void let_go(struct probe *probe)
{
    if (atomic_fetch_sub(&probe->holders, 1) == 1)
        free(probe);
}

static void ask(void *argument)
{
    struct probe *probe = argument;
    probe->error = statvfs(probe->path, &probe->answer) == 0 ? 0 : errno;
    atomic_store(&probe->done, true);
    let_go(probe);
}

static void start_asking(struct probe *probe, struct tw_clock *clock)
{
    struct tw_thread thread;
    atomic_store(&probe->done, false);
    atomic_fetch_add(&probe->holders, 1);
    probe->asked_ns = tw_clock_mono_ns(clock);
    if (tw_thread_start(&thread, "statvfs", ask, probe, NULL) == TW_OK)
        pthread_detach(thread.thread);
    else {
        atomic_store(&probe->done, true);
        probe->error = EAGAIN;
        let_go(probe);
    }
}

static struct probe *find_probe(struct filesystem *filesystem, const char *path)
{
    for (size_t i = 0; i < filesystem->probe_count; i++)
        if (strcmp(filesystem->probes[i]->path, path) == 0)
            return filesystem->probes[i];
    if (filesystem->probe_count == PROBES_MAX)
        return NULL;
    struct probe *probe = calloc(1, sizeof *probe);
    TW_ASSERT(probe != NULL);
    atomic_init(&probe->holders, 1);
    atomic_init(&probe->done, true);
    snprintf(probe->path, sizeof probe->path, "%s", path);
    filesystem->probes[filesystem->probe_count++] = probe;
    return probe;
}

/* The newest answer to the question of an earlier tick, and the next question. */
static const char *ask_remote(struct filesystem *filesystem, struct agent_env *env,
                              const char *path, uint32_t tick, struct statvfs *ret_answer)
{
    struct probe *probe = find_probe(filesystem, path);
    if (probe == NULL)
        return "too many remote mounts";
    probe->tick = tick;
    bool first = probe->asked_ns == 0;
    if (atomic_load(&probe->done)) {
        if (!first) {
            probe->answered = true;
            probe->last_error = probe->error;
            probe->last = probe->answer;
        }
        start_asking(probe, env->clock);
    } else if (tw_clock_mono_ns(env->clock) - probe->asked_ns >
               AGENT_MOUNT_PATIENCE_MS * INT64_C(1000000)) {
        return "mountpoint timeout";
    }
    if (!probe->answered)
        return NULL;
    *ret_answer = probe->last;
    return probe->last_error == 0 ? "" : strerror(probe->last_error);
}

/* ---- mountinfo ---- */

/* \040 and the like, as the kernel writes blanks. */
static void unescape(struct tw_str text, char *ret_path)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size && size < PATH_BYTES_MAX - 1; i++) {
        char c = text.data[i];
        if (c == '\\' && i + 3 < text.size) {
            c = (char)((text.data[i + 1] - '0') << 6 | (text.data[i + 2] - '0') << 3 |
                       (text.data[i + 3] - '0'));
            i += 3;
        }
        ret_path[size++] = c;
    }
    ret_path[size] = '\0';
}

static bool has_option(struct tw_str options, const char *option)
{
    struct tw_str part;
    while (tw_str_split(&options, ',', &part))
        if (tw_str_is(part, option))
            return true;
    return false;
}

/* "36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue". */
static bool parse_mount(struct agent_scan *line, struct mount *ret)
{
    (void)agent_scan_word(line);
    (void)agent_scan_word(line);
    struct tw_str device_number = agent_scan_word(line), number = device_number;
    (void)agent_scan_word(line);
    struct tw_str point = agent_scan_word(line), options = agent_scan_word(line);
    struct tw_str word;
    do
        word = agent_scan_word(line);
    while (word.size > 0 && !tw_str_is(word, "-"));
    ret->type = agent_scan_word(line);
    ret->device = agent_scan_word(line);
    struct tw_str super_options = agent_scan_word(line);
    if (word.size == 0 || ret->type.size == 0 || !tw_str_split(&number, ':', &ret->major))
        return false;
    ret->minor = number;
    ret->readonly = has_option(options, "ro") || has_option(super_options, "ro");
    unescape(point, ret->path);
    return true;
}

static struct agent_row *mount_row(struct filesystem *filesystem, const struct mount *mount,
                                   const char *error, uint32_t tick)
{
    char key[PATH_BYTES_MAX + 512];
    int size =
        snprintf(key, sizeof key, "%s\n%.*s\n%.*s\n%s", mount->path,
                 TW_STR_ARG(tw_str_slice(mount->device, 0, 256)), TW_STR_ARG(mount->type), error);
    if (size < 0 || (size_t)size >= sizeof key)
        return NULL;
    struct tw_str row_key = {key, (size_t)size};
    struct agent_row *row = agent_table_find(&filesystem->table, row_key, tick);
    if (row == NULL && (row = agent_table_add(&filesystem->table, row_key, tick)) != NULL) {
        const struct wire_label labels[] = {{TW_STR("device"), mount->device},
                                            {TW_STR("device_error"), tw_str(error)},
                                            {TW_STR("fstype"), mount->type},
                                            {TW_STR("mountpoint"), tw_str(mount->path)}};
        agent_table_fill(&filesystem->table, row, columns, labels, 4);
    }
    return row;
}

static void put_info(struct filesystem *filesystem, struct agent_env *env,
                     struct agent_round *round, const struct mount *mount)
{
    char key[PATH_BYTES_MAX + 512];
    int size = snprintf(key, sizeof key, "%s\n%.*s\n%.*s:%.*s", mount->path,
                        TW_STR_ARG(tw_str_slice(mount->device, 0, 256)), TW_STR_ARG(mount->major),
                        TW_STR_ARG(mount->minor));
    if (size < 0 || (size_t)size >= sizeof key)
        return;
    struct tw_str row_key = {key, (size_t)size};
    struct agent_row *row = agent_table_find(&filesystem->infos, row_key, round->tick);
    if (row == NULL && (row = agent_table_add(&filesystem->infos, row_key, round->tick)) != NULL) {
        const struct wire_label labels[] = {{TW_STR("device"), mount->device},
                                            {TW_STR("major"), mount->major},
                                            {TW_STR("minor"), mount->minor},
                                            {TW_STR("mountpoint"), tw_str(mount->path)}};
        row->series[0] = agent_roster_add(env->roster, &info_family, labels, 4);
    }
    if (row != NULL)
        agent_round_put(round, row->series[0], 1);
}

static void put_mount(struct filesystem *filesystem, struct agent_env *env,
                      struct agent_round *round, const struct mount *mount)
{
    struct statvfs answer;
    const char *error = "";
    if (agent_mount_is_remote(mount->type))
        error = ask_remote(filesystem, env, mount->path, round->tick, &answer);
    else if (statvfs(mount->path, &answer) != 0)
        error = strerror(errno);
    if (error == NULL)
        return; /* the first answer is on its way */
    struct agent_row *row = mount_row(filesystem, mount, error, round->tick);
    if (row == NULL)
        return;
    put_info(filesystem, env, round, mount);
    agent_round_put(round, row->series[FS_ERROR], *error != '\0');
    agent_round_put(round, row->series[FS_READONLY], mount->readonly);
    if (*error != '\0')
        return;
    double block = (double)answer.f_frsize;
    agent_round_put(round, row->series[FS_SIZE], (double)answer.f_blocks * block);
    agent_round_put(round, row->series[FS_FREE], (double)answer.f_bfree * block);
    agent_round_put(round, row->series[FS_AVAIL], (double)answer.f_bavail * block);
    agent_round_put(round, row->series[FS_FILES], (double)answer.f_files);
    agent_round_put(round, row->series[FS_FILES_FREE], (double)answer.f_ffree);
}

static enum tw_code filesystem_collect(void *state, struct agent_env *env,
                                       struct agent_round *round, struct tw_err *err)
{
    struct filesystem *filesystem = state;
    struct tw_str text;
    enum tw_code code =
        agent_procfile_read(&filesystem->file, env->proc, "self/mountinfo", &env->text, &text, err);
    if (code != TW_OK)
        return code;
    struct agent_scan scan = agent_scan_of(text), line;
    size_t count = 0;
    while (agent_scan_line(&scan, &line)) {
        struct mount mount;
        if (!parse_mount(&line, &mount) || agent_mount_ignored(tw_str(mount.path), mount.type))
            continue;
        if (++count > AGENT_MOUNTS_MAX)
            return tw_err_set(err, TW_LIMIT, "more than %d mounts: the rest is left out",
                              AGENT_MOUNTS_MAX);
        put_mount(filesystem, env, round, &mount);
    }
    return TW_OK;
}

static void filesystem_sweep(void *state, uint32_t tick)
{
    struct filesystem *filesystem = state;
    agent_table_sweep(&filesystem->table, tick);
    agent_table_sweep(&filesystem->infos, tick);
    size_t kept = 0;
    for (size_t i = 0; i < filesystem->probe_count; i++) {
        struct probe *probe = filesystem->probes[i];
        if (tick - probe->tick <= AGENT_ROW_AGE_TICKS)
            filesystem->probes[kept++] = probe;
        else
            let_go(probe);
    }
    filesystem->probe_count = kept;
}

static void filesystem_fini(void *state)
{
    struct filesystem *filesystem = state;
    agent_procfile_fini(&filesystem->file);
    agent_table_fini(&filesystem->table);
    agent_table_fini(&filesystem->infos);
    for (size_t i = 0; i < filesystem->probe_count; i++)
        let_go(filesystem->probes[i]);
}

const struct agent_source agent_source_filesystem = {
    "filesystem",    sizeof(struct filesystem), 5,
    filesystem_init, filesystem_collect,        filesystem_sweep,
    filesystem_fini};
