/* SPDX-License-Identifier: Apache-2.0
 *
 * partition: the folder of partitions. Environments are opened when they are needed, and the least
 * recently used ones closed again.
 */
#include "config.h"

#include "tsdb/partition.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/lock.h"
#include "tsdb/db.h"
#include "tsdb/partition_map.h"

#define PARTITIONS_MAGIC 0x7e5d9a57u
/* Environments kept open though nobody reads them. */
#define OPEN_MAX 64
#if TW_SANITIZED
#define MAP_BYTES ((size_t)1 << 28)
#else
#define MAP_BYTES ((size_t)1 << 34) /* of address space, not of memory */
#endif

const struct tsdb_env_format tsdb_partition_format = {
    .magic = "TWPART",
    .version = 1,
    .oldest_reader = 1,
    .oldest_version = 1,
    .map_bytes = MAP_BYTES,
    .tables_max = 12,
    .readers_max = 1024,
    .random_reads = true,
    .key_sum = true,
};

/* A file that was found to be damaged when it had to be written to or at the start: it got the name
 * with ASIDE_SUFFIX, nobody opens it, and samples of its day go into a new file. */
struct aside {
    int64_t day;
    char *name;
};
#define ASIDE_SUFFIX ".damaged"

struct tsdb_partitions {
    unsigned magic;
    char *folder;
    /* Guards the list, references and which environments are open. */
    struct tw_lock lock;
    /* Held while a run is written, and while a rewritten partition takes its place, so that no run
     * gets lost between the two. */
    struct tw_lock writing;
    struct tsdb_partition_map
        ids;       /* of the partition that most is written to; guarded by writing */
    bool unsynced; /* a new name may not be durable: sync the folder before writing behind it */
    struct tsdb_partition **items; /* ascending by day */
    size_t count, capacity;
    size_t open_count;
    uint64_t tick;
    struct aside *aside; /* damaged files; guarded by lock */
    size_t aside_count;
};

/* day-N.mdb, once it was rewritten day-N.GENERATION.mdb. */
static char *file_path(const struct tsdb_partitions *partitions, int64_t day, uint32_t generation,
                       const char *suffix)
{
    char name[80];
    if (generation)
        snprintf(name, sizeof name, "day-%" PRId64 ".%" PRIu32 ".mdb%s", day, generation, suffix);
    else
        snprintf(name, sizeof name, "day-%" PRId64 ".mdb%s", day, suffix);
    return tw_file_join(partitions->folder, name);
}

static char *path_of(const struct tsdb_partitions *partitions,
                     const struct tsdb_partition *partition)
{
    return file_path(partitions, partition->day, partition->generation, "");
}

/* Position of the day, or where it belongs. */
static size_t find_day(const struct tsdb_partitions *partitions, int64_t day)
{
    size_t first = 0, limit = partitions->count;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (partitions->items[middle]->day < day)
            first = middle + 1;
        else
            limit = middle;
    }
    return first;
}

static struct tsdb_partition *insert(struct tsdb_partitions *partitions, int64_t day)
{
    size_t at = find_day(partitions, day);
    if (at < partitions->count && partitions->items[at]->day == day)
        return partitions->items[at];
    if (partitions->count == partitions->capacity) {
        partitions->capacity = partitions->capacity ? partitions->capacity * 2 : 16;
        partitions->items =
            realloc(partitions->items, partitions->capacity * sizeof *partitions->items);
        TW_ASSERT(partitions->items != NULL);
    }
    struct tsdb_partition *partition = calloc(1, sizeof *partition);
    TW_ASSERT(partition != NULL);
    partition->day = day;
    memmove(partitions->items + at + 1, partitions->items + at,
            (partitions->count - at) * sizeof *partitions->items);
    partitions->items[at] = partition;
    partitions->count++;
    return partition;
}

static bool parse_name(const char *name, int64_t *ret_day, uint32_t *ret_generation)
{
    char *end;
    if (strncmp(name, "day-", 4) != 0)
        return false;
    *ret_day = strtoll(name + 4, &end, 10);
    if (end == name + 4)
        return false;
    *ret_generation = 0;
    if (end[0] == '.' && end[1] >= '1' && end[1] <= '9') {
        unsigned long generation = strtoul(end + 1, &end, 10);
        if (generation > UINT32_MAX)
            return false;
        *ret_generation = (uint32_t)generation;
    }
    return strcmp(end, ".mdb") == 0;
}

/* I3: of two files of a day the lower generation is what a rewrite did not come to remove. */
static enum tw_code add_file(struct tsdb_partitions *partitions, int64_t day, uint32_t generation,
                             struct tw_err *err)
{
    size_t count = partitions->count;
    struct tsdb_partition *partition = insert(partitions, day);
    if (partitions->count > count) {
        partition->generation = generation;
        return TW_OK;
    }
    uint32_t leftover = partition->generation < generation ? partition->generation : generation;
    if (partition->generation < generation)
        partition->generation = generation;
    char *path = file_path(partitions, day, leftover, "");
    enum tw_code code = tsdb_env_remove(path, err);
    free(path);
    return code;
}

static void add_aside(struct tsdb_partitions *partitions, int64_t day, const char *name)
{
    partitions->aside =
        realloc(partitions->aside, (partitions->aside_count + 1) * sizeof *partitions->aside);
    TW_ASSERT(partitions->aside != NULL);
    partitions->aside[partitions->aside_count++] = (struct aside){day, tw_str_dup(tw_str(name))};
}

static bool meet_aside(struct tsdb_partitions *partitions, const char *name)
{
    if (!tw_str_ends(tw_str(name), TW_STR(ASIDE_SUFFIX)) || strncmp(name, "day-", 4) != 0)
        return false;
    add_aside(partitions, strtoll(name + 4, NULL, 10), name);
    return true;
}

/* Takes up a partition's file; removes what an interrupted step left. */
static enum tw_code meet_file(struct tsdb_partitions *partitions, const char *name,
                              struct tw_err *err)
{
    int64_t day;
    uint32_t generation;
    if (parse_name(name, &day, &generation))
        return add_file(partitions, day, generation, err);
    if (meet_aside(partitions, name))
        return TW_OK;
    if (!tw_str_ends(tw_str(name), TW_STR(".tmp")) &&
        !tw_str_ends(tw_str(name), TW_STR(".tmp-lock")))
        return TW_OK;
    char *path = tw_file_join(partitions->folder, name);
    enum tw_code code = tsdb_env_remove(path, err);
    free(path);
    return code;
}

enum tw_code tsdb_partitions_open(const char *folder, struct tsdb_partitions **ret_partitions,
                                  struct tw_err *err)
{
    char **names;
    size_t count;
    enum tw_code code = tw_file_list(folder, &names, &count, err);
    if (code != TW_OK)
        return code;
    struct tsdb_partitions *partitions = calloc(1, sizeof *partitions);
    TW_ASSERT(partitions != NULL);
    partitions->magic = PARTITIONS_MAGIC;
    partitions->folder = tw_str_dup(tw_str(folder));
    tw_lock_init(&partitions->lock, TW_RANK_LOG, "tsdb.partitions");
    tw_lock_init(&partitions->writing, TW_RANK_PARTITION, "tsdb.writing");
    for (size_t i = 0; i < count && code == TW_OK; i++)
        code = meet_file(partitions, names[i], err);
    tw_file_list_free(names, count);
    if (code != TW_OK) {
        tsdb_partitions_close(partitions);
        return code;
    }
    *ret_partitions = partitions;
    return TW_OK;
}

struct tsdb_partitions *tsdb_partitions_close(struct tsdb_partitions *partitions)
{
    if (!partitions)
        return NULL;
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    for (size_t i = 0; i < partitions->count; i++) {
        TW_ASSERT(partitions->items[i]->references == 0);
        tsdb_env_close(partitions->items[i]->env);
        free(partitions->items[i]);
    }
    for (size_t i = 0; i < partitions->aside_count; i++)
        free(partitions->aside[i].name);
    free(partitions->aside);
    tsdb_partition_map_fini(&partitions->ids);
    free(partitions->items);
    free(partitions->folder);
    tw_lock_fini(&partitions->lock);
    tw_lock_fini(&partitions->writing);
    partitions->magic = 0;
    free(partitions);
    return NULL;
}

size_t tsdb_partitions_count(struct tsdb_partitions *partitions)
{
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    tw_lock_take(&partitions->lock);
    size_t count = partitions->count;
    tw_lock_release(&partitions->lock);
    return count;
}

size_t tsdb_partitions_aside_count(struct tsdb_partitions *partitions)
{
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    tw_lock_take(&partitions->lock);
    size_t count = partitions->aside_count;
    tw_lock_release(&partitions->lock);
    return count;
}

static struct tsdb_partition *get_locked(struct tsdb_partitions *partitions, int64_t day)
{
    tw_lock_assert_held(&partitions->lock);
    size_t at = find_day(partitions, day);
    return at < partitions->count && partitions->items[at]->day == day ? partitions->items[at]
                                                                       : NULL;
}

/* ---- opening and closing environments ---- */

static void close_idle_locked(struct tsdb_partitions *partitions)
{
    while (partitions->open_count > OPEN_MAX) {
        struct tsdb_partition *oldest = NULL;
        for (size_t i = 0; i < partitions->count; i++) {
            struct tsdb_partition *partition = partitions->items[i];
            if (partition->env && partition->references == 0 &&
                (!oldest || partition->used_at < oldest->used_at))
                oldest = partition;
        }
        if (!oldest)
            return;
        oldest->env = tsdb_env_close(oldest->env);
        partitions->open_count--;
    }
}

static enum tw_code ref_locked(struct tsdb_partitions *partitions, struct tsdb_partition *partition,
                               enum tsdb_env_mode mode, struct tw_err *err)
{
    tw_lock_assert_held(&partitions->lock);
    if (!partition->env) {
        char *path = path_of(partitions, partition);
        enum tw_code code = tsdb_env_open(path, &tsdb_partition_format, mode, &partition->env, err);
        free(path);
        if (code != TW_OK)
            return code;
        partitions->open_count++;
    }
    partition->references++;
    partition->used_at = ++partitions->tick;
    return TW_OK;
}

static void unref_locked(struct tsdb_partitions *partitions, struct tsdb_partition *partition)
{
    tw_lock_assert_held(&partitions->lock);
    TW_ASSERT(partition->references > 0);
    if (--partition->references > 0)
        return;
    if (partition->doomed) {
        tsdb_env_close(partition->env);
        partitions->open_count--;
        free(partition);
    } else {
        close_idle_locked(partitions);
    }
}

/* The damaged partition gets out of the way, its bytes stay for whoever saves what is left. */
static enum tw_code set_aside_locked(struct tsdb_partitions *partitions,
                                     struct tsdb_partition *partition, struct tw_err *err)
{
    tw_lock_assert_held(&partitions->lock);
    char *from = path_of(partitions, partition);
    size_t size = strlen(from) + sizeof ASIDE_SUFFIX;
    char *to = malloc(size);
    TW_ASSERT(to != NULL);
    snprintf(to, size, "%s" ASIDE_SUFFIX, from);
    enum tw_code code = tsdb_env_rename(from, to, err);
    if (code == TW_OK) {
        size_t at = find_day(partitions, partition->day);
        add_aside(partitions, partition->day, strrchr(to, '/') + 1);
        memmove(partitions->items + at, partitions->items + at + 1,
                (--partitions->count - at) * sizeof *partitions->items);
        partition->doomed = true;
        if (partition->references == 0) {
            if (partition->env)
                partitions->open_count--;
            tsdb_env_close(partition->env);
            free(partition);
        }
    }
    free(from);
    free(to);
    return code;
}

/* Samples of these times are in a file that nobody can read: an answer without them would be
 * wrong without a word. */
static enum tw_code check_aside_locked(struct tsdb_partitions *partitions, int64_t start_ms,
                                       int64_t end_ms, struct tw_err *err)
{
    for (size_t i = 0; i < partitions->aside_count; i++)
        if (partitions->aside[i].day >= tw_floor_div(start_ms, TSDB_DAY_MS) &&
            partitions->aside[i].day <= tw_floor_div(end_ms, TSDB_DAY_MS))
            return tw_err_set(err, TW_CORRUPT,
                              "'%s/%s' is damaged and has samples of the time asked for; "
                              "'tidewatch verify' says what is readable, with --salvage it saves "
                              "that; to go on without its samples, remove the file and restart",
                              partitions->folder, partitions->aside[i].name);
    return TW_OK;
}

enum tw_code tsdb_partitions_list(struct tsdb_partitions *partitions, int64_t start_ms,
                                  int64_t end_ms, struct tsdb_partition ***ret_items,
                                  size_t *ret_count, struct tw_err *err)
{
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    int64_t last_day = tw_floor_div(end_ms, TSDB_DAY_MS);
    tw_lock_take(&partitions->lock);
    enum tw_code code = check_aside_locked(partitions, start_ms, end_ms, err);
    if (code != TW_OK) {
        tw_lock_release(&partitions->lock);
        return code;
    }
    size_t first = find_day(partitions, tw_floor_div(start_ms, TSDB_DAY_MS)), limit = first;
    while (limit < partitions->count && partitions->items[limit]->day <= last_day)
        limit++;
    struct tsdb_partition **items = calloc(limit - first + 1, sizeof *items);
    TW_ASSERT(items != NULL);
    size_t count = 0;
    for (size_t i = first; i < limit && code == TW_OK; i++) {
        code = ref_locked(partitions, partitions->items[i], TSDB_ENV_OPEN, err);
        if (code == TW_OK)
            items[count++] = partitions->items[i];
    }
    tw_lock_release(&partitions->lock);
    if (code != TW_OK) {
        tsdb_partitions_unlist(partitions, items, count);
        return code;
    }
    *ret_items = items;
    *ret_count = count;
    return TW_OK;
}

void tsdb_partitions_unlist(struct tsdb_partitions *partitions, struct tsdb_partition **items,
                            size_t count)
{
    if (count > 0) {
        tw_lock_take(&partitions->lock);
        for (size_t i = 0; i < count; i++)
            unref_locked(partitions, items[i]);
        tw_lock_release(&partitions->lock);
    }
    free(items);
}

/* ---- runs ---- */

static enum tw_code newest_run(struct tsdb_env *env, uint64_t *ret_run, struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    struct tsdb_env_cursor *cursor = NULL;
    enum tw_code code = tsdb_env_begin(env, false, &txn, err);
    if (code != TW_OK)
        return code;
    struct tw_str key = {0};
    code = tsdb_env_cursor_open(txn, TSDB_TABLE_RUNS, &cursor, err);
    if (code == TW_OK)
        code = tsdb_env_cursor_move(cursor, TSDB_ENV_LAST, &key, NULL, err);
    if (code == TW_OK && key.size != 8)
        code = tsdb_partition_corrupt(env, "a run's key", err);
    if (code == TW_OK)
        *ret_run = tsdb_env_key_get_u64(key.data);
    else if (code == TW_NOT_FOUND)
        *ret_run = 0, code = TW_OK;
    tsdb_env_cursor_close(cursor);
    tsdb_env_abort(txn);
    return code;
}

int64_t tsdb_partition_day(const struct tsdb_partition *partition)
{
    return partition->day;
}

enum tw_code tsdb_partition_newest_run(struct tsdb_partition *partition, uint64_t *ret_run,
                                       struct tw_err *err)
{
    return newest_run(partition->env, ret_run, err);
}

enum tw_code tsdb_partitions_newest_run(struct tsdb_partitions *partitions, uint64_t *ret_run,
                                        struct tw_err *err)
{
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    uint64_t newest = 0;
    enum tw_code code = TW_OK;
    tw_lock_take(&partitions->lock);
    for (size_t i = 0; i < partitions->count && code == TW_OK;) {
        struct tsdb_partition *partition = partitions->items[i];
        uint64_t run = 0;
        code = ref_locked(partitions, partition, TSDB_ENV_OPEN, err);
        if (code == TW_OK) {
            code = newest_run(partition->env, &run, err);
            newest = run > newest ? run : newest;
            unref_locked(partitions, partition);
        }
        if (code == TW_CORRUPT) /* the other days go on */
            code = set_aside_locked(partitions, partition, err);
        else
            i++;
    }
    tw_lock_release(&partitions->lock);
    if (code == TW_OK)
        *ret_run = newest;
    return code;
}

/* ---- taking the place of another file ---- */

char *tsdb_partitions_next_path(struct tsdb_partitions *partitions,
                                const struct tsdb_partition *partition)
{
    return file_path(partitions, partition->day, partition->generation + 1, ".tmp");
}

/* The new one in the old one's place in the list; the old one goes with its last reader. */
static void exchange_locked(struct tsdb_partitions *partitions, size_t at)
{
    struct tsdb_partition *old = partitions->items[at];
    struct tsdb_partition *partition = calloc(1, sizeof *partition);
    TW_ASSERT(partition != NULL && old->references > 0); /* whoever rewrote it has one */
    partition->day = old->day;
    partition->generation = old->generation + 1;
    partitions->items[at] = partition;
    old->doomed = true;
}

static enum tw_code replace_by(struct tsdb_partitions *partitions, struct tsdb_partition *partition,
                               const char *from, struct tw_err *err)
{
    tw_lock_assert_held(&partitions->writing);
    char *to = file_path(partitions, partition->day, partition->generation + 1, "");
    char *old = path_of(partitions, partition);
    tw_lock_take(&partitions->lock);
    enum tw_code code = partition->doomed
                            ? tw_err_set(err, TW_NOT_FOUND, "'%s' was dropped meanwhile", old)
                            : TW_OK;
    if (code == TW_OK)
        code = tsdb_env_rename(from, to, err);
    /* When only the sync of the folder failed, the name is there, and may be gone after a power
     * cut; then the old file counts again, so nothing may be written into the new one before. */
    if (code == TW_OK || (!partition->doomed && tw_file_exists(to))) {
        partitions->unsynced = code != TW_OK;
        exchange_locked(partitions, find_day(partitions, partition->day));
        struct tw_err ignored; /* the next start removes it */
        if (code == TW_OK)
            (void)(tsdb_env_remove(old, &ignored) == TW_OK);
    }
    tw_lock_release(&partitions->lock);
    free(to);
    free(old);
    return code;
}

enum tw_code tsdb_partitions_replace(struct tsdb_partitions *partitions,
                                     struct tsdb_partition *partition, struct tw_err *err)
{
    char *from = tsdb_partitions_next_path(partitions, partition);
    enum tw_code code = replace_by(partitions, partition, from, err);
    free(from);
    return code;
}

enum tw_code tsdb_partitions_share(struct tsdb_partitions *partitions,
                                   struct tsdb_partition *partition, const char *to,
                                   struct tw_err *err)
{
    /* Nothing is written while it is shared: the file is as the last commit left it. */
    tsdb_partitions_hold(partitions);
    const char *from = tsdb_env_path(partition->env);
    enum tw_code code = tw_file_clone(from, to, err);
    if (code == TW_UNSUPPORTED)
        code = tw_file_link(from, to, err);
    tsdb_partitions_release(partitions);
    return code;
}

/* ---- writing ---- */

static void forget_locked(struct tsdb_partitions *partitions, struct tsdb_partition *partition)
{
    char *path = path_of(partitions, partition);
    if (!tw_file_exists(path)) { /* it could not be made: forget it */
        size_t at = find_day(partitions, partition->day);
        memmove(partitions->items + at, partitions->items + at + 1,
                (--partitions->count - at) * sizeof *partitions->items);
        free(partition);
    }
    free(path);
}

static enum tw_code ref_day(struct tsdb_partitions *partitions, int64_t day,
                            struct tsdb_partition **ret_partition, struct tw_err *err)
{
    tw_lock_take(&partitions->lock);
    struct tsdb_partition *partition = insert(partitions, day);
    enum tw_code code = ref_locked(partitions, partition, TSDB_ENV_OPEN_OR_CREATE, err);
    if (code != TW_OK && !partition->env)
        forget_locked(partitions, partition);
    tw_lock_release(&partitions->lock);
    if (code == TW_OK)
        *ret_partition = partition;
    return code;
}

static bool is_shared(struct tsdb_partitions *partitions, const struct tsdb_partition *partition)
{
    char *path = path_of(partitions, partition);
    bool ret = tw_file_is_linked(path);
    free(path);
    return ret;
}

/* A copy takes the place of a file that a snapshot has too. It is of the next generation, as if it
 * were rewritten: whoever is rewriting it at this moment finds it gone, and begins again. */
static enum tw_code make_own(struct tsdb_partitions *partitions, struct tsdb_partition *partition,
                             struct tw_err *err)
{
    tw_lock_assert_held(&partitions->writing);
    struct tw_err own;
    char *copy = file_path(partitions, partition->day, partition->generation + 1, ".shared.tmp");
    enum tw_code code = tsdb_env_remove(copy, &own);
    if (code == TW_OK)
        code = tsdb_env_copy(partition->env, copy, &own);
    if (code == TW_OK)
        code = replace_by(partitions, partition, copy, &own);
    if (code != TW_OK) {
        (void)(tsdb_env_remove(copy, NULL) == TW_OK); /* the next start removes it */
        tw_err_wrap(&own, "a partition that a snapshot shares is copied before it is written to");
        if (err)
            *err = own;
    }
    free(copy);
    return code;
}

/* The day's partition, held, in a file that is nobody else's. */
static enum tw_code ref_writable(struct tsdb_partitions *partitions, int64_t day,
                                 struct tsdb_partition **ret_partition, struct tw_err *err)
{
    enum tw_code code = ref_day(partitions, day, ret_partition, err);
    if (code != TW_OK || !is_shared(partitions, *ret_partition))
        return code;
    code = make_own(partitions, *ret_partition, err);
    tsdb_partitions_unref(partitions, *ret_partition);
    return code == TW_OK || code == TW_NOT_FOUND ? ref_day(partitions, day, ret_partition, err)
                                                 : code;
}

/* What is kept of the partition's ids from one flush to the next, or NULL. It is kept for one: that
 * with the larger runs, which is today's; late samples of other days leave it alone. */
static struct tsdb_partition_map *ids_of(struct tsdb_partitions *partitions,
                                         const struct tsdb_partition *partition,
                                         const struct tsdb_run *run)
{
    struct tsdb_partition_map *ids = &partitions->ids;
    if (ids->index != 0 && ids->day != partition->day && run->chunk_count * 2 < ids->chunk_count)
        return NULL;
    tsdb_partition_map_aim(ids, partition->day, partition->generation);
    return ids;
}

static enum tw_code write_once(struct tsdb_partitions *partitions, int64_t day,
                               struct tsdb_run *run, size_t *ret_blocks, struct tw_err *err)
{
    tw_lock_assert_held(&partitions->writing);
    struct tsdb_partition *partition;
    enum tw_code code = partitions->unsynced ? tw_file_sync_folder(partitions->folder, err) : TW_OK;
    if (code != TW_OK)
        return code;
    partitions->unsynced = false;
    code = ref_writable(partitions, day, &partition, err);
    if (code != TW_OK)
        return code;
    struct tsdb_partition_map *ids = ids_of(partitions, partition, run);
    while ((code = tsdb_partition_write_run(partition->env, run, ids, ret_blocks, err)) == TW_BUSY)
        if ((code = tsdb_env_grow(partition->env, err)) != TW_OK)
            break;
    tsdb_env_check_readers(partition->env);
    tw_lock_take(&partitions->lock);
    partition->info_known = false;
    unref_locked(partitions, partition);
    tw_lock_release(&partitions->lock);
    return code;
}

static enum tw_code write_held(struct tsdb_partitions *partitions, int64_t day,
                               struct tsdb_run *run, size_t *ret_blocks, struct tw_err *err)
{
    enum tw_code code = write_once(partitions, day, run, ret_blocks, err);
    if (code != TW_CORRUPT)
        return code;
    /* The run is to be durable somewhere, and all days behind this one too. */
    tw_lock_take(&partitions->lock);
    struct tsdb_partition *partition = get_locked(partitions, day);
    code = partition ? set_aside_locked(partitions, partition, err) : TW_OK;
    tw_lock_release(&partitions->lock);
    return code == TW_OK ? write_once(partitions, day, run, ret_blocks, err) : code;
}

enum tw_code tsdb_partitions_write(struct tsdb_partitions *partitions, int64_t day,
                                   struct tsdb_run *run, size_t *ret_blocks, struct tw_err *err)
{
    tsdb_partitions_hold(partitions);
    enum tw_code code = write_held(partitions, day, run, ret_blocks, err);
    tsdb_partitions_release(partitions);
    return code;
}

size_t tsdb_partitions_ids_bytes(struct tsdb_partitions *partitions)
{
    tsdb_partitions_hold(partitions);
    size_t bytes = tsdb_partition_map_bytes(&partitions->ids);
    tsdb_partitions_release(partitions);
    return bytes;
}

/* ---- one partition ---- */

void tsdb_partitions_hold(struct tsdb_partitions *partitions)
{
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    tw_lock_take(&partitions->writing);
}

void tsdb_partitions_release(struct tsdb_partitions *partitions)
{
    tw_lock_release(&partitions->writing);
}

enum tw_code tsdb_partitions_ref(struct tsdb_partitions *partitions, int64_t day,
                                 struct tsdb_partition **ret_partition, struct tw_err *err)
{
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    tw_lock_take(&partitions->lock);
    struct tsdb_partition *partition = get_locked(partitions, day);
    enum tw_code code =
        partition ? ref_locked(partitions, partition, TSDB_ENV_OPEN, err)
                  : tw_err_set(err, TW_NOT_FOUND, "there is no partition of day %" PRId64, day);
    if (code == TW_OK)
        *ret_partition = partition;
    tw_lock_release(&partitions->lock);
    return code;
}

void tsdb_partitions_unref(struct tsdb_partitions *partitions, struct tsdb_partition *partition)
{
    tw_lock_take(&partitions->lock);
    unref_locked(partitions, partition);
    tw_lock_release(&partitions->lock);
}

enum tw_code tsdb_partitions_info(struct tsdb_partitions *partitions, int64_t day,
                                  struct tsdb_partition_info *ret, struct tw_err *err)
{
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    tw_lock_take(&partitions->lock);
    struct tsdb_partition *partition = get_locked(partitions, day);
    enum tw_code code =
        partition ? TW_OK
                  : tw_err_set(err, TW_NOT_FOUND, "there is no partition of day %" PRId64, day);
    if (code == TW_OK && !partition->info_known) {
        code = ref_locked(partitions, partition, TSDB_ENV_OPEN, err);
        if (code == TW_OK) {
            code = tsdb_partition_read_info(partition->env, &partition->info, err);
            partition->info_known = code == TW_OK;
            unref_locked(partitions, partition);
        }
    }
    if (code == TW_OK)
        *ret = partition->info;
    tw_lock_release(&partitions->lock);
    return code;
}

void tsdb_partitions_note_erased(struct tsdb_partitions *partitions, int64_t day, uint64_t erased)
{
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    tw_lock_take(&partitions->lock);
    struct tsdb_partition *partition = get_locked(partitions, day);
    if (partition && partition->info.erased < erased)
        partition->info.erased = erased;
    tw_lock_release(&partitions->lock);
}

void tsdb_partitions_note_ruled(struct tsdb_partitions *partitions, int64_t day, int64_t now_ms)
{
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    tw_lock_take(&partitions->lock);
    struct tsdb_partition *partition = get_locked(partitions, day);
    if (partition)
        partition->info.ruled_ms = now_ms;
    tw_lock_release(&partitions->lock);
}

void tsdb_partitions_days(struct tsdb_partitions *partitions, int64_t **ret_days, size_t *ret_count)
{
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    tw_lock_take(&partitions->lock);
    int64_t *days = malloc((partitions->count + 1) * sizeof *days);
    TW_ASSERT(days != NULL);
    for (size_t i = 0; i < partitions->count; i++)
        days[i] = partitions->items[i]->day;
    *ret_days = days;
    *ret_count = partitions->count;
    tw_lock_release(&partitions->lock);
}

enum tw_code tsdb_partitions_drop(struct tsdb_partitions *partitions, int64_t before_ms,
                                  size_t *ret_dropped, struct tw_err *err)
{
    TW_CHECK_MAGIC(partitions, PARTITIONS_MAGIC);
    int64_t first_kept = tw_floor_div(before_ms, TSDB_DAY_MS);
    size_t dropped = 0;
    enum tw_code code = TW_OK;
    tw_lock_take(&partitions->lock);
    while (code == TW_OK && dropped < partitions->count &&
           partitions->items[dropped]->day < first_kept) {
        struct tsdb_partition *partition = partitions->items[dropped];
        char *path = path_of(partitions, partition);
        code = tsdb_env_remove(path, err);
        free(path);
        if (code != TW_OK)
            break;
        dropped++;
        partition->doomed = true;
        if (partition->references > 0)
            continue;
        if (partition->env)
            partitions->open_count--;
        tsdb_env_close(partition->env);
        free(partition);
    }
    for (size_t i = 0; i < partitions->aside_count && code == TW_OK;) {
        if (partitions->aside[i].day >= first_kept) {
            i++;
            continue;
        }
        char *path = tw_file_join(partitions->folder, partitions->aside[i].name);
        code = tsdb_env_remove(path, err);
        free(path);
        if (code == TW_OK) {
            free(partitions->aside[i].name);
            partitions->aside[i] = partitions->aside[--partitions->aside_count];
        }
    }
    if (dropped > 0) /* there may be no array at all */
        memmove(partitions->items, partitions->items + dropped,
                (partitions->count - dropped) * sizeof *partitions->items);
    partitions->count -= dropped;
    tw_lock_release(&partitions->lock);
    if (dropped > 0 && code == TW_OK)
        code = tw_file_sync_folder(partitions->folder, err);
    *ret_dropped = dropped;
    return code;
}
