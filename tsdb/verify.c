/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/verify.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "tsdb/catalog.h"
#include "tsdb/exemplar_store.h"
#include "tsdb/log.h"
#include "tsdb/pages.h"
#include "tsdb/partition_int.h"
#include "tsdb/state.h"
#include "tsdb/verify_int.h"

#define STATE_FOLDER "state"
#define FILES_MAX 100000

void tsdb_verify_find(struct tsdb_verify_file *file, const char *format, ...)
{
    if (file->finding_count < TSDB_VERIFY_FINDINGS_MAX) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(file->findings[file->finding_count], TSDB_VERIFY_FINDING_BYTES, format,
                  arguments);
        va_end(arguments);
    }
    file->finding_count++;
}

bool tsdb_verify_give(struct tsdb_verify_file *file, struct tsdb_verify_sink *sink,
                      struct wire_labels labels, const struct tsdb_column *column)
{
    int64_t first_ms = column->times_ms[0], last_ms = column->times_ms[column->count - 1];
    if (file->samples == 0 || first_ms < file->first_ms)
        file->first_ms = first_ms;
    if (file->samples == 0 || last_ms > file->last_ms)
        file->last_ms = last_ms;
    file->samples += column->count;
    if (!sink || sink->code != TW_OK)
        return !sink;
    sink->code = sink->take(sink->user, labels, column, &sink->err);
    return sink->code == TW_OK;
}

/* ---- one file ---- */

static void find_damage(void *user, const char *sentence)
{
    tsdb_verify_find(user, "%s", sentence);
}

static void check_value(void *user, struct tw_str table, struct tw_str key, struct tw_str framed)
{
    struct tsdb_verify_file *file = user;
    struct tw_str value;
    const char *wrong;
    char name[TSDB_ENV_TABLE_BYTES], hex[2 * 24 + 1] = "";
    file->values++;
    snprintf(name, sizeof name, "%.*s", TW_STR_ARG(table));
    if (tsdb_env_unframe(name, key, framed, &value, &wrong))
        return;
    for (size_t i = 0; i < key.size && i < 24; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)key.data[i]);
    tsdb_verify_find(file, "table '%s', key %s: %s", name, hex, wrong);
}

static void check_catalog(const char *path, struct tsdb_verify_file *file)
{
    struct tsdb_catalog *catalog;
    struct tw_err err;
    if (tsdb_catalog_open(path, &catalog, &err) != TW_OK) {
        tsdb_verify_find(file, "%s", err.message);
        return;
    }
    tsdb_catalog_close(catalog);
}

static void check_exemplars(const char *path, struct tsdb_verify_file *file)
{
    struct tsdb_exemplar_ring *ring = tsdb_exemplar_ring_new(SIZE_MAX);
    struct tsdb_exemplar_store *store = NULL;
    struct tsdb_exemplar_counts counts;
    struct tw_err err;
    if (tsdb_exemplar_store_open(path, ring, &store, &err) != TW_OK)
        tsdb_verify_find(file, "%s", err.message);
    tsdb_exemplar_ring_count(ring, &counts);
    file->exemplars = counts.exemplars;
    file->series = counts.series;
    tsdb_exemplar_store_close(store);
    tsdb_exemplar_ring_free(ring);
}

/* The header, and what the sum of the keys says. */
static bool opens(const char *path, const struct tsdb_env_format *format,
                  struct tsdb_verify_file *file)
{
    struct tsdb_env *env;
    struct tw_err err;
    if (tsdb_env_open(path, format, TSDB_ENV_OPEN, &env, &err) != TW_OK) {
        tsdb_verify_find(file, "%s", err.message);
        return false;
    }
    tsdb_env_close(env);
    return true;
}

/* What a damaged file still has: of a copy of its good values. */
static void read_rest(const char *path, struct tsdb_verify_file *file)
{
    struct tw_err err;
    char folder[] = "/tmp/tidewatch-verify.XXXXXX", name[64];
    const char *base = strrchr(path, '/');
    if (!mkdtemp(folder))
        return;
    snprintf(name, sizeof name, "%.60s", base ? base + 1 : path);
    char *copy = tw_file_join(folder, name);
    struct tsdb_verify_file rest = {.kind = file->kind};
    if (tsdb_salvage_copy(path, file->kind, copy, &err) == TW_OK) {
        if (file->kind == TSDB_VERIFY_PARTITION)
            tsdb_verify_read_partition(copy, &rest, NULL);
        else if (file->kind == TSDB_VERIFY_EXEMPLARS)
            check_exemplars(copy, &rest);
        else
            tsdb_verify_read_segment(copy, &rest, NULL);
    }
    file->series = rest.series;
    file->samples = rest.samples;
    file->exemplars = rest.exemplars;
    file->first_ms = rest.first_ms;
    file->last_ms = rest.last_ms;
    free(copy);
    (void)(tw_file_remove_folder(folder, &err) == TW_OK);
}

void tsdb_verify_file(const char *folder, struct tsdb_verify_file *file)
{
    struct tw_err err;
    struct tsdb_pages_counts counts;
    struct tsdb_pages_visitor visitor = {file, check_value, find_damage};
    char *path = tw_file_join(folder, file->path);
    if (tsdb_pages_walk(path, &visitor, &counts, &err) != TW_OK)
        tsdb_verify_find(file, "%s", err.message);
    if (tw_str_ends(tw_str(path), TW_STR(".damaged")))
        tsdb_verify_find(file, "it was set aside by the server as damaged");
    bool whole = file->finding_count == 0 && opens(path, tsdb_verify_formats[file->kind], file);
    if (file->kind == TSDB_VERIFY_CATALOG && whole) {
        check_catalog(path, file);
    } else if (file->kind == TSDB_VERIFY_EXEMPLARS && whole) {
        check_exemplars(path, file);
    } else if (file->kind == TSDB_VERIFY_PARTITION && whole) {
        tsdb_verify_partition(path, file);
    } else if (file->kind == TSDB_VERIFY_SEGMENT && whole) {
        tsdb_verify_read_segment(path, file, NULL);
    } else if (file->kind != TSDB_VERIFY_CATALOG && file->kind != TSDB_VERIFY_STATE) {
        read_rest(path, file);
    }
    free(path);
}

void tsdb_verify_in_child(bool in_process, struct tsdb_verify_file *file, tsdb_verify_job *job,
                          void *user)
{
    if (in_process) {
        job(user, file);
        return;
    }
    struct tsdb_verify_file *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    TW_ASSERT(shared != MAP_FAILED);
    *shared = *file;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)!prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing of it outlives a server that ends */
        (void)!nice(10);
        job(user, shared);
        _exit(0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        tsdb_verify_find(shared, "cannot be checked: no child process");
    else if (WIFSIGNALED(status))
        tsdb_verify_find(shared, "reading it ended with signal %d (%s)", WTERMSIG(status),
                         strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        tsdb_verify_find(shared, "reading it ended with status %d", WEXITSTATUS(status));
    *file = *shared;
    munmap(shared, sizeof *shared);
}

/* ---- the store ---- */

static void add_file(struct tsdb_verify_report *report, const char *folder, const char *below,
                     const char *name, enum tsdb_verify_kind kind)
{
    struct tsdb_verify_file *file = tsdb_verify_report_add(report, kind, below, name);
    char *path = tw_file_join(folder, file->path);
    struct stat status;
    if (stat(path, &status) == 0)
        file->bytes = (uint64_t)status.st_blocks * 512;
    free(path);
}

static enum tw_code add_folder(struct tsdb_verify_report *report, const char *folder,
                               const char *below, const char *ending, enum tsdb_verify_kind kind,
                               struct tw_err *err)
{
    char *path = tw_file_join(folder, below);
    char **names;
    size_t count;
    if (!tw_file_exists(path)) {
        free(path);
        return TW_OK;
    }
    enum tw_code code = tw_file_list(path, &names, &count, err);
    free(path);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < count && report->count < FILES_MAX; i++)
        if (tw_str_ends(tw_str(names[i]), tw_str(ending)))
            add_file(report, folder, below, names[i], kind);
    tw_file_list_free(names, count);
    return TW_OK;
}

static enum tw_code list_files(const char *folder, struct tsdb_verify_report *report,
                               struct tw_err *err)
{
    static const char *const single[] = {"default/catalog.mdb", STATE_FOLDER "/state.mdb",
                                         "default/exemplars.mdb"};
    char *catalog = tw_file_join(folder, single[0]), *state = tw_file_join(folder, single[1]);
    char *exemplars = tw_file_join(folder, single[2]);
    if (tw_file_exists(catalog))
        add_file(report, folder, "default", "catalog.mdb", TSDB_VERIFY_CATALOG);
    if (tw_file_exists(exemplars))
        add_file(report, folder, "default", "exemplars.mdb", TSDB_VERIFY_EXEMPLARS);
    enum tw_code code =
        add_folder(report, folder, "default/partitions", ".mdb", TSDB_VERIFY_PARTITION, err);
    if (code == TW_OK)
        code = add_folder(report, folder, "default/partitions", ".damaged", TSDB_VERIFY_PARTITION,
                          err);
    if (code == TW_OK)
        code = add_folder(report, folder, "default/log", ".log", TSDB_VERIFY_SEGMENT, err);
    if (tw_file_exists(state))
        add_file(report, folder, STATE_FOLDER, "state.mdb", TSDB_VERIFY_STATE);
    free(exemplars);
    free(catalog);
    free(state);
    return code;
}

enum tw_code tsdb_verify_open(const char *folder, struct tsdb_verify_store *store,
                              struct tsdb_verify_report *ret, struct tw_err *err)
{
    *ret = (struct tsdb_verify_report){.files = NULL};
    *store = (struct tsdb_verify_store){-1, -1};
    char *inside = tw_file_join(folder, "default"), *state = tw_file_join(folder, STATE_FOLDER);
    enum tw_code code = TW_OK;
    if (!tw_file_exists(inside))
        code = tw_err_set(err, TW_NOT_FOUND,
                          "'%s' is no store: it has no folder 'default' (name what --data names)",
                          folder);
    if (code == TW_OK)
        code = tw_file_lock(folder, "LOCK", &store->lock_fd, err);
    if (code == TW_OK && tw_file_exists(state))
        code = tw_file_lock(state, "LOCK", &store->state_lock_fd, err);
    if (code == TW_BUSY)
        tw_err_wrap(err, "stop the server first");
    if (code == TW_OK)
        code = list_files(folder, ret, err);
    free(inside);
    free(state);
    if (code != TW_OK) {
        tsdb_verify_close(store);
        tsdb_verify_report_fini(ret);
    }
    return code;
}

void tsdb_verify_close(struct tsdb_verify_store *store)
{
    if (store->state_lock_fd >= 0)
        close(store->state_lock_fd);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    *store = (struct tsdb_verify_store){-1, -1};
}

static void verify_job(void *folder, struct tsdb_verify_file *file)
{
    tsdb_verify_file(folder, file);
}

enum tw_code tsdb_verify_run(const struct tsdb_verify_options *options,
                             struct tsdb_verify_report *ret, struct tw_err *err)
{
    struct tsdb_verify_store store;
    enum tw_code code = tsdb_verify_open(options->folder, &store, ret, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < ret->count; i++) {
        if (options->progress)
            options->progress(options->user, ret->files[i].path, i, ret->count);
        tsdb_verify_in_child(options->in_process, &ret->files[i], verify_job,
                             (void *)(uintptr_t)options->folder);
    }
    tsdb_verify_sum(ret);
    tsdb_verify_close(&store);
    return TW_OK;
}
