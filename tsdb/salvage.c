/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage: a new store of what a damaged one still has. Whole partitions are copied as they are. Of
 * a damaged file every value whose checksum is right is put into an environment of its own, whose
 * samples are then appended to the new store as if they were received; the same is done with the
 * log, last, so that what was written later wins.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/hash.h"
#include "tsdb/buckets.h"
#include "tsdb/catalog.h"
#include "tsdb/db.h"
#include "tsdb/exemplar_store.h"
#include "tsdb/log.h"
#include "tsdb/pages.h"
#include "tsdb/partition_int.h"
#include "tsdb/state.h"
#include "tsdb/verify_int.h"

#define BATCH_SAMPLES 50000
#define FLUSH_SAMPLES 5000000
#define TXN_BYTES ((size_t)32 << 20)
#define COPY_BYTES ((size_t)1 << 20)
#define SCRATCH_FOLDER "salvage.tmp"

const struct tsdb_env_format *const tsdb_verify_formats[] = {
    &tsdb_segment_format, &tsdb_partition_format, &tsdb_catalog_format, &tsdb_state_format,
    &tsdb_exemplars_format};

/* The tables of a kind: what a value without its leaf's tree is tried for. */
static const char *const segment_tables[] = {"groups", NULL};
static const char *const partition_tables[] = {
    TSDB_TABLE_META,     TSDB_TABLE_RUNS,    TSDB_TABLE_STRINGS, TSDB_TABLE_SERIES,
    TSDB_TABLE_POSTINGS, TSDB_TABLE_COLUMNS, TSDB_TABLE_BLOCKS,  NULL};
/* Keys are removed from these, and must not come back from old pages: no scan. */
static const char *const no_tables[] = {NULL};
static const char *const *const tables_of[] = {segment_tables, partition_tables, no_tables,
                                               no_tables, no_tables};

/* ---- the good values of a file ---- */

struct copy {
    struct tsdb_env *env;
    struct tsdb_env_txn *txn;
    size_t txn_bytes;
    const char *const *tables;
    uint64_t *scanned; /* hashes of the keys that came from the scan */
    size_t scanned_count, scanned_capacity;
    enum tw_code code;
    struct tw_err err;
};

static void put_value(struct copy *copy, const char *table, struct tw_str key, struct tw_str value)
{
    if (copy->code == TW_OK && copy->txn_bytes > TXN_BYTES) {
        copy->code = tsdb_env_commit(copy->txn, &copy->err);
        copy->txn = NULL;
        copy->txn_bytes = 0;
        if (copy->code == TW_OK)
            copy->code = tsdb_env_begin(copy->env, true, &copy->txn, &copy->err);
    }
    if (copy->code != TW_OK)
        return;
    copy->txn_bytes += value.size + key.size;
    copy->code = tsdb_env_put(copy->txn, table, key, value, &copy->err);
}

static bool is_own(const char *table, struct tw_str key)
{
    return strcmp(table, TSDB_TABLE_META) == 0 &&
           (tw_str_is(key, "header") || tw_str_is(key, "keys"));
}

static void take_reached(void *user, struct tw_str table, struct tw_str key, struct tw_str framed)
{
    struct copy *copy = user;
    struct tw_str value;
    const char *wrong;
    char name[TSDB_ENV_TABLE_BYTES];
    if (table.size >= sizeof name)
        return;
    snprintf(name, sizeof name, "%.*s", TW_STR_ARG(table));
    if (!is_own(name, key) && tsdb_env_unframe(name, key, framed, &value, &wrong))
        put_value(copy, name, key, value);
}

static bool was_scanned(struct copy *copy, uint64_t hash)
{
    for (size_t i = 0; i < copy->scanned_count; i++)
        if (copy->scanned[i] == hash)
            return true;
    return false;
}

/* What the tree leads to is there already and newer. Of several old versions the longest: pages of
 * strings and series only grow. */
static void take_found(struct copy *copy, const char *table, struct tw_str key, struct tw_str value)
{
    struct tw_str there;
    struct tw_err ignored;
    if (copy->code != TW_OK || is_own(table, key))
        return;
    uint64_t hash = tw_hash64_seeded(key.data, key.size, tw_hash64(table, strlen(table)));
    bool known = tsdb_env_get(copy->txn, table, key, &there, &ignored) == TW_OK;
    if (known && (there.size >= value.size || !was_scanned(copy, hash)))
        return;
    if (!known) {
        if (copy->scanned_count == copy->scanned_capacity) {
            copy->scanned_capacity = copy->scanned_capacity ? copy->scanned_capacity * 2 : 256;
            copy->scanned = realloc(copy->scanned, copy->scanned_capacity * sizeof *copy->scanned);
            TW_ASSERT(copy->scanned != NULL);
        }
        copy->scanned[copy->scanned_count++] = hash;
    }
    put_value(copy, table, key, value);
}

static void take_scanned(void *user, struct tw_str table, struct tw_str key, struct tw_str framed)
{
    (void)table;
    struct copy *copy = user;
    struct tw_str value, named_key, named;
    const char *wrong;
    char name[TSDB_ENV_TABLE_BYTES];
    if (key.size == 0) { /* pages of their own: they say themselves what they are */
        if (tsdb_env_frame_name(framed, name, &named_key, &named) &&
            tsdb_env_unframe(name, named_key, named, &value, &wrong))
            for (size_t i = 0; copy->tables[i]; i++)
                if (strcmp(copy->tables[i], name) == 0)
                    take_found(copy, name, named_key, value);
        return;
    }
    for (size_t i = 0; copy->tables[i]; i++)
        if (tsdb_env_unframe(copy->tables[i], key, framed, &value, &wrong)) {
            take_found(copy, copy->tables[i], key, value);
            return;
        }
}

/* How many items a table can have at most: those before its last page, and that one full. */
static enum tw_code most_items(struct copy *copy, const char *table, uint32_t page_max,
                               uint32_t *ret, struct tw_err *err)
{
    struct tsdb_env_cursor *cursor;
    struct tw_str key = {0};
    *ret = 0;
    enum tw_code code = tsdb_env_cursor_open(copy->txn, table, &cursor, err);
    if (code != TW_OK)
        return code;
    if (tsdb_env_cursor_move(cursor, TSDB_ENV_LAST, &key, NULL, err) == TW_OK && key.size == 4)
        *ret = tsdb_env_key_get_u32(key.data) + page_max;
    tsdb_env_cursor_close(cursor);
    return TW_OK;
}

/* Without its counts a partition would read as empty: they are taken as what its pages could hold.
 */
static void mend_counts(struct copy *copy)
{
    struct tw_str there;
    struct tw_err err;
    uint32_t strings = 0, series = 0;
    if (copy->code != TW_OK ||
        tsdb_env_get(copy->txn, TSDB_TABLE_META, TW_STR(TSDB_COUNTS_KEY), &there, &err) == TW_OK)
        return;
    if (most_items(copy, TSDB_TABLE_STRINGS, TSDB_PAGE_STRINGS_MAX, &strings, &err) != TW_OK ||
        most_items(copy, TSDB_TABLE_SERIES, TSDB_PAGE_SERIES_MAX, &series, &err) != TW_OK)
        return;
    const struct tsdb_partition_counts counts = {
        .strings = strings, .series = series, .first_series = series, .repeated = true};
    copy->code = tsdb_partition_put_counts(copy->txn, &counts, &copy->err);
}

enum tw_code tsdb_salvage_copy(const char *path, enum tsdb_verify_kind kind, const char *to,
                               struct tw_err *err)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return tw_err_errno(err, errno, "cannot read '%s'", path);
    struct tsdb_env_format format = *tsdb_verify_formats[kind];
    while (format.map_bytes < (size_t)status.st_size * 3)
        format.map_bytes *= 2;
    struct copy copy = {.tables = tables_of[kind]};
    enum tw_code code = tsdb_env_open(to, &format, TSDB_ENV_CREATE, &copy.env, err);
    if (code != TW_OK)
        return code;
    copy.code = tsdb_env_begin(copy.env, true, &copy.txn, &copy.err);
    struct tsdb_pages_counts counts;
    struct tsdb_pages_visitor reached = {.user = &copy, .value = take_reached};
    struct tsdb_pages_visitor scanned = {.user = &copy, .value = take_scanned};
    if (copy.code == TW_OK)
        (void)(tsdb_pages_walk(path, &reached, &counts, &copy.err) == TW_OK);
    if (copy.code == TW_OK && copy.tables[0])
        copy.code = tsdb_pages_scan(path, &scanned, &counts, &copy.err);
    if (kind == TSDB_VERIFY_PARTITION)
        mend_counts(&copy);
    if (copy.code == TW_OK)
        copy.code = tsdb_env_commit(copy.txn, &copy.err);
    else
        tsdb_env_abort(copy.txn);
    tsdb_env_close(copy.env);
    free(copy.scanned);
    if (copy.code != TW_OK && err)
        *err = copy.err;
    return copy.code;
}

/* ---- into the new store ---- */

struct target {
    struct tsdb_db *db;
    struct tw_arena *arena; /* labels of the samples that wait */
    struct wire_labels labels;
    struct tsdb_sample *samples;
    size_t count;
    uint64_t since_flush;
};

static enum tw_code append_waiting(struct target *target, struct tw_err *err)
{
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    enum tw_code code = target->count ? tsdb_append(tsdb_db_storage(target->db), &context,
                                                    target->samples, target->count, err)
                                      : TW_OK;
    target->since_flush += target->count;
    target->count = 0;
    target->labels = (struct wire_labels){0};
    tw_arena_reset(target->arena);
    if (code == TW_OK && target->since_flush > FLUSH_SAMPLES) {
        target->since_flush = 0;
        code = tsdb_db_flush(target->db, err);
    }
    return code;
}

static enum tw_code take_histograms(struct target *target, struct wire_labels labels,
                                    const struct tsdb_column *column, struct tw_err *err)
{
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    struct tsdb_histogram_sample *samples = malloc(column->count * sizeof *samples);
    TW_ASSERT(samples != NULL);
    for (size_t i = 0; i < column->count; i++)
        samples[i] = (struct tsdb_histogram_sample){labels, column->histograms[i]};
    target->since_flush += column->count;
    enum tw_code code =
        tsdb_append_histograms(tsdb_db_storage(target->db), &context, samples, column->count, err);
    free(samples);
    return code;
}

static enum tw_code take_samples(void *user, struct wire_labels labels,
                                 const struct tsdb_column *column, struct tw_err *err);

/* Of downsampled samples the last ones: there is no way to append a bucket. */
static enum tw_code take_buckets(struct target *target, struct wire_labels labels,
                                 const struct tsdb_column *column, struct tw_err *err)
{
    int64_t *times = malloc(column->count * sizeof *times);
    double *values = malloc(column->count * sizeof *values);
    TW_ASSERT(times != NULL && values != NULL);
    for (size_t i = 0; i < column->count; i++) {
        times[i] = column->buckets[i].time_ms;
        values[i] = column->buckets[i].last;
    }
    const struct tsdb_column last = {
        .kind = TSDB_KIND_FLOAT, .count = column->count, .times_ms = times, .values = values};
    enum tw_code code = take_samples(target, labels, &last, err);
    free(times);
    free(values);
    return code;
}

static enum tw_code take_samples(void *user, struct wire_labels labels,
                                 const struct tsdb_column *column, struct tw_err *err)
{
    struct target *target = user;
    enum tw_code code = TW_OK;
    if (column->kind == TSDB_KIND_BUCKETS)
        return take_buckets(target, labels, column, err);
    if (column->kind != TSDB_KIND_FLOAT)
        return take_histograms(target, labels, column, err);
    for (size_t i = 0; i < column->count && code == TW_OK; i++) {
        if (target->count == BATCH_SAMPLES)
            code = append_waiting(target, err);
        if (!target->labels.items || !wire_labels_equal(target->labels, labels))
            target->labels = wire_labels_copy(target->arena, labels);
        target->samples[target->count++] =
            (struct tsdb_sample){target->labels, column->times_ms[i], column->values[i]};
    }
    return code;
}

static enum tw_code take_exemplar(void *user, struct wire_labels labels,
                                  const struct wire_exemplar *exemplar, struct tw_err *err)
{
    struct target *target = user;
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    const struct tsdb_exemplar_sample sample = {labels, *exemplar};
    target->since_flush++;
    return tsdb_append_exemplars(tsdb_db_storage(target->db), &context, &sample, 1, err);
}

static enum tw_code copy_file(const char *from, const char *to, struct tw_err *err)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return tw_err_errno(err, errno, "cannot open '%s'", from);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    enum tw_code code = out < 0 ? tw_err_errno(err, errno, "cannot make '%s'", to) : TW_OK;
    char *bytes = malloc(COPY_BYTES);
    TW_ASSERT(bytes != NULL);
    ssize_t got = 0;
    while (code == TW_OK && (got = read(in, bytes, COPY_BYTES)) > 0)
        code = tw_file_write_all(out, bytes, (size_t)got, to, err);
    if (code == TW_OK && got < 0)
        code = tw_err_errno(err, errno, "cannot read '%s'", from);
    if (code == TW_OK && fsync(out) != 0)
        code = tw_err_errno(err, errno, "cannot sync '%s'", to);
    free(bytes);
    if (out >= 0)
        close(out);
    close(in);
    return code;
}

struct salvage {
    const struct tsdb_verify_options *options;
    const char *to;
    struct tsdb_verify_report *report;
    struct target target;
};

static enum tw_code make_target(const char *to, struct tw_err *err)
{
    static const char *const folders[] = {"default/log", "default/partitions", "state",
                                          SCRATCH_FOLDER};
    char **names;
    size_t count = 0;
    if (tw_file_exists(to)) {
        enum tw_code code = tw_file_list(to, &names, &count, err);
        if (code != TW_OK)
            return code;
        tw_file_list_free(names, count);
        if (count > 0)
            return tw_err_set(err, TW_CONFLICT, "'%s' is not empty; name a new folder", to);
    }
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && code == TW_OK; i++) {
        char *path = tw_file_join(to, folders[i]);
        code = tw_file_make_folder(path, 0750, err);
        free(path);
    }
    return code;
}

static bool is_whole(const struct tsdb_verify_file *file)
{
    return file->finding_count == 0;
}

static void verify_job(void *user, struct tsdb_verify_file *file)
{
    tsdb_verify_file(user, file);
}

struct copy_job {
    const char *from, *to;
};

static void copy_job(void *user, struct tsdb_verify_file *file)
{
    const struct copy_job *job = user;
    struct tw_err err;
    if (tsdb_salvage_copy(job->from, file->kind, job->to, &err) != TW_OK)
        tsdb_verify_find(file, "%s", err.message);
}

/* Files that can be taken as they are, and the small ones of which single records count. */
static enum tw_code copy_files(struct salvage *salvage, struct tw_err *err)
{
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < salvage->report->count && code == TW_OK; i++) {
        struct tsdb_verify_file *file = &salvage->report->files[i];
        char *from = tw_file_join(salvage->options->folder, file->path);
        char *to = tw_file_join(salvage->to, file->path);
        bool samples = file->kind == TSDB_VERIFY_PARTITION || file->kind == TSDB_VERIFY_SEGMENT;
        if (file->kind != TSDB_VERIFY_SEGMENT && is_whole(file)) {
            code = copy_file(from, to, err);
        } else if (!samples) {
            struct copy_job job = {from, to};
            tsdb_verify_in_child(salvage->options->in_process, file, copy_job, &job);
        }
        free(from);
        free(to);
    }
    return code;
}

/* Its samples, one by one, into the new store. What they are was counted by the verification. */
static enum tw_code append_file(struct salvage *salvage, struct tsdb_verify_file *file,
                                struct tw_err *err)
{
    struct tsdb_verify_sink sink = {
        .take = take_samples, .take_exemplar = take_exemplar, .user = &salvage->target};
    struct tsdb_verify_file read = {.kind = file->kind};
    char *from = tw_file_join(salvage->options->folder, file->path);
    char *scratch = tw_file_join(salvage->to, SCRATCH_FOLDER);
    const char *name = strrchr(file->path, '/');
    char *copy = tw_file_join(scratch, name ? name + 1 : file->path);
    const char *source = from;
    bool readable = true;
    if (!is_whole(file)) {
        struct copy_job job = {from, copy};
        tsdb_verify_in_child(salvage->options->in_process, file, copy_job, &job);
        source = copy;
        readable = tw_file_exists(copy);
    }
    if (readable && file->kind == TSDB_VERIFY_PARTITION)
        tsdb_verify_read_partition(source, &read, &sink);
    else if (readable)
        tsdb_verify_read_segment(source, &read, &sink);
    struct tw_err ignored;
    (void)(tsdb_env_remove(copy, &ignored) == TW_OK);
    free(copy);
    free(scratch);
    free(from);
    if (sink.code == TW_OK)
        return append_waiting(&salvage->target, err);
    if (err)
        *err = sink.err;
    return sink.code;
}

static enum tw_code append_files(struct salvage *salvage, struct tw_err *err)
{
    /* No sample is too far in the future here. */
    struct tw_clock *clock = tw_clock_manual_new(INT64_MAX / 4);
    struct tsdb_db_options options = {
        .folder = salvage->to, .clock = clock, .exemplars_max = SIZE_MAX, .manual = true};
    enum tw_code code = tsdb_db_open(&options, &salvage->target.db, err);
    salvage->target.samples = malloc(BATCH_SAMPLES * sizeof *salvage->target.samples);
    salvage->target.arena = tw_arena_new(1 << 16);
    TW_ASSERT(salvage->target.samples != NULL);
    for (int round = 0; round < 2; round++) /* the log after all partitions */
        for (size_t i = 0; i < salvage->report->count && code == TW_OK; i++) {
            struct tsdb_verify_file *file = &salvage->report->files[i];
            if (round ? file->kind == TSDB_VERIFY_SEGMENT
                      : file->kind == TSDB_VERIFY_PARTITION && !is_whole(file))
                code = append_file(salvage, file, err);
        }
    if (code == TW_OK)
        code = tsdb_db_flush(salvage->target.db, err);
    tsdb_db_close(salvage->target.db);
    tw_clock_manual_free(clock);
    tw_arena_free(salvage->target.arena);
    free(salvage->target.samples);
    return code;
}

enum tw_code tsdb_salvage_run(const struct tsdb_verify_options *options, const char *to,
                              struct tsdb_verify_report *ret, struct tw_err *err)
{
    struct tsdb_verify_store store;
    enum tw_code code = tsdb_verify_open(options->folder, &store, ret, err);
    if (code != TW_OK)
        return code;
    struct salvage salvage = {.options = options, .to = to, .report = ret};
    code = make_target(to, err);
    for (size_t i = 0; i < ret->count && code == TW_OK; i++) {
        if (options->progress)
            options->progress(options->user, ret->files[i].path, i, ret->count);
        tsdb_verify_in_child(options->in_process, &ret->files[i], verify_job,
                             (void *)(uintptr_t)options->folder);
    }
    if (code == TW_OK)
        code = copy_files(&salvage, err);
    if (code == TW_OK)
        code = append_files(&salvage, err);
    if (code == TW_OK) {
        char *scratch = tw_file_join(to, SCRATCH_FOLDER);
        code = tw_file_remove_folder(scratch, err);
        free(scratch);
    }
    if (code == TW_OK)
        code = tw_file_sync_folder(to, err);
    tsdb_verify_sum(ret);
    tsdb_verify_close(&store);
    if (code != TW_OK)
        tsdb_verify_report_fini(ret);
    return code;
}
