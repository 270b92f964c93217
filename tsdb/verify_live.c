/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/verify_live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tsdb/db_int.h"
#include "tsdb/exemplar_store.h"
#include "tsdb/partition_int.h"
#include "tsdb/verify_int.h"

#define COPIES "verify.tmp"
#define PARTITIONS "default/partitions"
/* Of the disk, that a copy leaves free. */
#define SPARE_BYTES ((uint64_t)64 << 20)

struct live {
    struct tsdb_db *db;
    const struct tw_context *context;
    char *folder; /* of the copies */
    struct tsdb_verify_report report;
};

enum tw_code tsdb_verify_live_clean(struct tsdb_db *db, struct tw_err *err)
{
    char *folder = tw_file_join(db->folder, COPIES);
    enum tw_code code = tw_file_exists(folder) ? tw_file_remove_folder(folder, err) : TW_OK;
    free(folder);
    return code;
}

static enum tw_code check_space(struct tsdb_db *db, const char *path, uint64_t bytes,
                                struct tw_err *err)
{
    uint64_t free_bytes;
    enum tw_code code = tw_file_free_bytes(db->folder, &free_bytes, err);
    if (code == TW_OK && (free_bytes < bytes + SPARE_BYTES || !tsdb_room_has(db, bytes)))
        return tw_err_set(err, TW_NO_SPACE,
                          "there is no room to look at a copy of '%s', %llu bytes: free some, or "
                          "stop the server and verify the folder",
                          path, (unsigned long long)bytes);
    return code;
}

static void verify_job(void *folder, struct tsdb_verify_file *file)
{
    tsdb_verify_file(folder, file);
}

static struct tsdb_verify_file *add(struct live *live, enum tsdb_verify_kind kind,
                                    const char *below, const char *name, uint64_t bytes)
{
    struct tsdb_verify_file *file = tsdb_verify_report_add(&live->report, kind, below, name);
    file->bytes = bytes;
    return file;
}

static enum tw_code check_cancelled(const struct live *live, struct tw_err *err)
{
    return tw_context_check(live->context, err);
}

/* Looks at what of the environment is committed now. A copy that cannot be made is a finding: it
 * is what a disk that fails looks like. */
static enum tw_code look_at(struct live *live, struct tsdb_env *env, enum tsdb_verify_kind kind,
                            const char *below, struct tw_err *err)
{
    const char *path = tsdb_env_path(env), *slash = strrchr(path, '/');
    uint64_t bytes = tsdb_env_bytes(env);
    enum tw_code code = check_cancelled(live, err);
    if (code == TW_OK)
        code = check_space(live->db, path, bytes, err);
    if (code != TW_OK)
        return code;
    struct tsdb_verify_file *file = add(live, kind, below, slash ? slash + 1 : path, bytes);
    char *folder = tw_file_join(live->folder, below),
         *copy = tw_file_join(live->folder, file->path);
    code = tw_file_make_folder(folder, 0750, err);
    if (code == TW_OK) {
        struct tw_err wrong;
        if (tsdb_env_copy(env, copy, &wrong) == TW_OK)
            tsdb_verify_in_child(false, file, verify_job, live->folder);
        else
            tsdb_verify_find(file, "%s", wrong.message);
        code = tw_file_remove_folder(folder, err);
    }
    free(copy);
    free(folder);
    return code;
}

static enum tw_code look_at_days(struct live *live, struct tw_err *err)
{
    struct tsdb_partitions *partitions = live->db->partitions;
    int64_t *days;
    size_t count;
    enum tw_code code = TW_OK;
    tsdb_partitions_days(partitions, &days, &count);
    for (size_t i = 0; i < count && code == TW_OK; i++) {
        struct tsdb_partition *partition;
        code = tsdb_partitions_ref(partitions, days[i], &partition, err);
        if (code == TW_NOT_FOUND) { /* the retention took it */
            code = TW_OK;
            continue;
        }
        if (code != TW_OK)
            break;
        code = look_at(live, partition->env, TSDB_VERIFY_PARTITION, PARTITIONS, err);
        tsdb_partitions_unref(partitions, partition);
    }
    free(days);
    return code;
}

/* Files that nobody has open any more. */
static enum tw_code look_at_damaged(struct live *live, struct tw_err *err)
{
    char **names;
    size_t count;
    enum tw_code code = tw_file_list(live->db->partition_folder, &names, &count, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < count && code == TW_OK; i++) {
        if (!tw_str_ends(tw_str(names[i]), TW_STR(".damaged")))
            continue;
        code = check_cancelled(live, err);
        if (code == TW_OK)
            tsdb_verify_in_child(false, add(live, TSDB_VERIFY_PARTITION, PARTITIONS, names[i], 0),
                                 verify_job, live->db->folder);
    }
    tw_file_list_free(names, count);
    return code;
}

static enum tw_code look_at_all(struct live *live, struct tsdb_state *state, struct tw_err *err)
{
    struct tsdb_db *db = live->db;
    enum tw_code code = tw_file_make_folder(live->folder, 0750, err);
    if (code == TW_OK)
        code = look_at(live, tsdb_catalog_env(db->catalog), TSDB_VERIFY_CATALOG, "default", err);
    if (code == TW_OK)
        code = look_at(live, tsdb_exemplar_store_env(db->exemplar_store), TSDB_VERIFY_EXEMPLARS,
                       "default", err);
    if (code == TW_OK)
        code = look_at_days(live, err);
    if (code == TW_OK)
        code = look_at_damaged(live, err);
    if (code == TW_OK && state)
        code = look_at(live, tsdb_state_env(state), TSDB_VERIFY_STATE, "state", err);
    return code;
}

enum tw_code tsdb_verify_live_run(struct tsdb_db *db, struct tsdb_state *state,
                                  const struct tw_context *context, struct tsdb_verify_report *ret,
                                  struct tw_err *err)
{
    if (atomic_exchange(&db->verifying, true))
        return tw_err_set(err, TW_CONFLICT, "a verification is under way already");
    struct live live = {.db = db, .context = context};
    live.folder = tw_file_join(db->folder, COPIES);
    enum tw_code code = tsdb_verify_live_clean(db, err);
    if (code == TW_OK)
        code = tsdb_db_flush(db, err);
    if (code == TW_OK)
        code = look_at_all(&live, state, err);
    struct tw_err ignored; /* the next one, or the next start, removes it */
    (void)(tsdb_verify_live_clean(db, &ignored) == TW_OK);
    free(live.folder);
    atomic_store(&db->verifying, false);
    if (code != TW_OK) {
        tsdb_verify_report_fini(&live.report);
        return code;
    }
    tsdb_verify_sum(&live.report);
    *ret = live.report;
    return TW_OK;
}
