/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/file.h"
#include "tsdb/db_int.h"
#include "tsdb/lmdb.h"
#include "tsdb/partition_int.h"

#define SNAPSHOTS "snapshots"
#define UNFINISHED ".tmp"

/* ---- names ---- */

static bool is_name(struct tw_str name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == 'T' || c == 'Z' || c == '-'))
            return false;
    }
    return name.size > 0 && name.size < TSDB_SNAPSHOT_NAME_BYTES;
}

/* The time of day, for people and for their order, and the milliseconds. */
static void make_name(struct tsdb_db *db, const char *folder, char *ret_name)
{
    int64_t now_ms = tw_clock_wall_ms(db->clock);
    bool taken = true;
    while (taken) {
        struct tm tm;
        int ms;
        tw_clock_utc(now_ms, &tm, &ms);
        snprintf(ret_name, TSDB_SNAPSHOT_NAME_BYTES, "%04u%02u%02uT%02u%02u%02uZ-%012llx",
                 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
                 (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
                 (unsigned)tm.tm_sec % 100,
                 (unsigned long long)now_ms & (((unsigned long long)1 << 48) - 1));
        char *path = tw_file_join(folder, ret_name);
        taken = tw_file_exists(path);
        free(path);
        now_ms++;
    }
}

/* ---- copying ---- */

static enum tw_code check_disk(struct tsdb_db *db, uint64_t bytes, struct tw_err *err)
{
    uint64_t free_bytes, spare = tsdb_room_spare(db);
    enum tw_code code = tw_file_free_bytes(db->folder, &free_bytes, err);
    if (code == TW_OK && free_bytes < bytes + spare)
        code = tw_err_set(err, TW_NO_SPACE,
                          "a partition of %llu bytes is to be copied and %llu to stay free, the "
                          "disk of '%s' has %llu left",
                          (unsigned long long)bytes, (unsigned long long)spare, db->folder,
                          (unsigned long long)free_bytes);
    return code;
}

/* Shared where the file system can, and while the partition has a name; else copied. */
static enum tw_code share_or_copy(struct tsdb_db *db, struct tsdb_partition *partition,
                                  const char *to, struct tw_err *err)
{
    struct tw_err ignored;
    if (tsdb_partitions_share(db->partitions, partition, to, &ignored) == TW_OK)
        return TW_OK;
    enum tw_code code = check_disk(db, tsdb_env_bytes(partition->env), err);
    return code == TW_OK ? tsdb_env_copy(partition->env, to, err) : code;
}

static enum tw_code copy_day(struct tsdb_db *db, int64_t day, const char *folder,
                             struct tw_err *err)
{
    struct tsdb_partition *partition;
    enum tw_code code = tsdb_partitions_ref(db->partitions, day, &partition, err);
    if (code == TW_NOT_FOUND)
        return TW_OK; /* the retention took it */
    if (code != TW_OK)
        return code;
    const char *path = tsdb_env_path(partition->env);
    const char *slash = strrchr(path, '/');
    char *to = tw_file_join(folder, slash ? slash + 1 : path);
    code = share_or_copy(db, partition, to, err);
    free(to);
    tsdb_partitions_unref(db->partitions, partition);
    return code;
}

static enum tw_code copy_days(struct tsdb_db *db, const char *folder, struct tw_err *err)
{
    int64_t *days;
    size_t count;
    enum tw_code code = tw_file_make_folder(folder, 0750, err);
    tsdb_partitions_days(db->partitions, &days, &count);
    for (size_t i = 0; i < count && code == TW_OK; i++)
        code = copy_day(db, days[i], folder, err);
    free(days);
    return code == TW_OK ? tw_file_sync_folder(folder, err) : code;
}

/* The catalog before the partitions: a deletion that is carried out in between is then in both, and
 * never in neither. */
static enum tw_code fill(struct tsdb_db *db, struct tsdb_state *state, const char *folder,
                         struct tw_err *err)
{
    char *tenant = tw_file_join(folder, "default");
    char *catalog = tw_file_join(tenant, "catalog.mdb");
    char *exemplars = tw_file_join(tenant, "exemplars.mdb");
    char *partitions = tw_file_join(tenant, "partitions");
    char *states = tw_file_join(tenant, "state");
    enum tw_code code = tw_file_make_folder(tenant, 0750, err);
    if (code == TW_OK)
        code = tsdb_env_copy(tsdb_catalog_env(db->catalog), catalog, err);
    if (code == TW_OK)
        code = tsdb_env_copy(tsdb_exemplar_store_env(db->exemplar_store), exemplars, err);
    if (code == TW_OK)
        code = copy_days(db, partitions, err);
    if (code == TW_OK && state)
        code = tsdb_state_copy(state, states, err);
    if (code == TW_OK)
        code = tw_file_sync_folder(tenant, err);
    if (code == TW_OK)
        code = tw_file_sync_folder(folder, err);
    free(states);
    free(partitions);
    free(exemplars);
    free(catalog);
    free(tenant);
    return code;
}

/* Shared or not, it counts as much against the bound on the folder as it would alone: what is
 * shared today becomes two when the partition changes. */
static enum tw_code check_bound(struct tsdb_db *db, struct tw_err *err)
{
    uint64_t bytes;
    enum tw_code code = tw_file_folder_bytes(db->partition_folder, &bytes, err);
    if (code == TW_OK && !tsdb_room_has(db, bytes))
        return tw_err_set(err, TW_NO_SPACE,
                          "a snapshot of %llu bytes is beyond storage.retention_size, %llu: raise "
                          "it, or delete older snapshots",
                          (unsigned long long)bytes,
                          (unsigned long long)atomic_load(&db->room.size_max));
    return code;
}

/* ---- the folder of snapshots ---- */

static enum tw_code list_names(const char *folder, char ***ret_names, size_t *ret_count,
                               struct tw_err *err)
{
    *ret_names = NULL;
    *ret_count = 0;
    return tw_file_exists(folder) ? tw_file_list(folder, ret_names, ret_count, err) : TW_OK;
}

/* Removes what a crash left unfinished, and counts the others. */
static enum tw_code clean(const char *folder, size_t *ret_count, struct tw_err *err)
{
    char **names;
    size_t count, finished = 0;
    enum tw_code code = list_names(folder, &names, &count, err);
    for (size_t i = 0; i < count && code == TW_OK; i++) {
        char *path = tw_file_join(folder, names[i]);
        if (tw_str_ends(tw_str(names[i]), TW_STR(UNFINISHED)))
            code = tw_file_remove_folder(path, err);
        else
            finished += is_name(tw_str(names[i]));
        free(path);
    }
    tw_file_list_free(names, count);
    *ret_count = finished;
    return code;
}

static enum tw_code make(struct tsdb_db *db, struct tsdb_state *state, const char *folder,
                         struct tsdb_snapshot *ret, struct tw_err *err)
{
    char unfinished[TSDB_SNAPSHOT_NAME_BYTES + sizeof UNFINISHED];
    struct tsdb_snapshot made = {.bytes = 0};
    make_name(db, folder, made.name);
    snprintf(unfinished, sizeof unfinished, "%s%s", made.name, UNFINISHED);
    char *from = tw_file_join(folder, unfinished), *to = tw_file_join(folder, made.name);
    enum tw_code code = tw_file_make_folder(from, 0750, err);
    if (code == TW_OK)
        code = fill(db, state, from, err);
    if (code == TW_OK)
        code = tw_file_folder_bytes(from, &made.bytes, err);
    if (code == TW_OK && rename(from, to) != 0)
        code = tw_err_errno(err, errno, "'%s' cannot be renamed", from);
    if (code == TW_OK)
        code = tw_file_sync_folder(folder, err);
    if (code == TW_OK)
        *ret = made;
    else
        (void)!tw_file_remove_folder(from, NULL);
    free(to);
    free(from);
    return code;
}

enum tw_code tsdb_snapshot_take(struct tsdb_db *db, struct tsdb_state *state, bool skip_head,
                                struct tsdb_snapshot *ret, struct tw_err *err)
{
    enum tw_code code = skip_head ? TW_OK : tsdb_db_flush(db, err);
    if (code != TW_OK)
        return code;
    char *folder = tw_file_join(db->folder, SNAPSHOTS);
    size_t count = 0;
    tw_lock_take(&db->renewing); /* a rewrite would need the same space */
    code = tw_file_make_folder(folder, 0750, err);
    if (code == TW_OK)
        code = tw_file_sync_folder(db->folder, err);
    if (code == TW_OK)
        code = clean(folder, &count, err);
    if (code == TW_OK && count >= TSDB_SNAPSHOTS_MAX)
        code = tw_err_set(err, TW_LIMIT, "there are %zu snapshots, the most: delete some first",
                          count);
    if (code == TW_OK)
        code = check_bound(db, err);
    if (code == TW_OK)
        code = make(db, state, folder, ret, err);
    tw_lock_release(&db->renewing);
    free(folder);
    return code;
}

enum tw_code tsdb_snapshot_list(struct tsdb_db *db, struct tsdb_snapshot *ret, size_t *ret_count,
                                struct tw_err *err)
{
    char **names, *folder = tw_file_join(db->folder, SNAPSHOTS);
    size_t count, kept = 0;
    enum tw_code code = list_names(folder, &names, &count, err);
    for (size_t i = 0; i < count && code == TW_OK && kept < TSDB_SNAPSHOTS_MAX; i++) {
        if (!is_name(tw_str(names[i])))
            continue;
        char *path = tw_file_join(folder, names[i]);
        snprintf(ret[kept].name, sizeof ret[kept].name, "%s", names[i]);
        code = tw_file_folder_bytes(path, &ret[kept].bytes, err);
        free(path);
        kept++;
    }
    tw_file_list_free(names, count);
    free(folder);
    if (code == TW_OK)
        *ret_count = kept;
    return code;
}

enum tw_code tsdb_snapshot_remove(struct tsdb_db *db, struct tw_str name, struct tw_err *err)
{
    if (!is_name(name))
        return tw_err_set(err, TW_BAD_DATA, "'%.*s' is no name of a snapshot", TW_STR_ARG(name));
    char *text = tw_str_dup(name), *folder = tw_file_join(db->folder, SNAPSHOTS);
    char *path = tw_file_join(folder, text);
    enum tw_code code = TW_OK;
    tw_lock_take(&db->renewing);
    if (!tw_file_exists(path))
        code = tw_err_set(err, TW_NOT_FOUND, "there is no snapshot '%s'", text);
    else
        code = tw_file_remove_folder(path, err);
    tw_lock_release(&db->renewing);
    free(path);
    free(folder);
    free(text);
    return code;
}
