/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_int: what verify*.c and salvage.c share.
 */
#ifndef TW_TSDB_VERIFY_INT_H
#define TW_TSDB_VERIFY_INT_H

#include "base/file.h"
#include "tsdb/lmdb.h"
#include "tsdb/storage.h"
#include "tsdb/verify.h"

/* Where samples that are read go; also the place for the first error of what takes them. */
struct tsdb_verify_sink {
    enum tw_code (*take)(void *user, struct wire_labels labels, const struct tsdb_column *column,
                         struct tw_err *err);
    enum tw_code (*take_exemplar)(void *user, struct wire_labels labels,
                                  const struct wire_exemplar *exemplar, struct tw_err *err);
    void *user;
    enum tw_code code;
    struct tw_err err;
};

void tsdb_verify_find(struct tsdb_verify_file *file, const char *format, ...) TW_PRINTF(2, 3);
/* Counts samples of the file, and hands them on (sink NULL: does not). */
bool tsdb_verify_give(struct tsdb_verify_file *file, struct tsdb_verify_sink *sink,
                      struct wire_labels labels, const struct tsdb_column *column);

/* ---- by kind; path of the file ---- */
/* The file's pages and frames are whole: everything else. */
void tsdb_verify_partition(const char *path, struct tsdb_verify_file *file);
/* All that can be read, whatever is missing. */
void tsdb_verify_read_partition(const char *path, struct tsdb_verify_file *file,
                                struct tsdb_verify_sink *sink);
/* Reads groups until one is missing or damaged (a finding). */
void tsdb_verify_read_segment(const char *path, struct tsdb_verify_file *file,
                              struct tsdb_verify_sink *sink);

/* The files of a store, ordered: catalog, partitions, segments by number, state; the locks held. */
struct tsdb_verify_store {
    int lock_fd, state_lock_fd;
};
TW_MUST_CHECK enum tw_code tsdb_verify_open(const char *folder, struct tsdb_verify_store *store,
                                            struct tsdb_verify_report *ret, struct tw_err *err);
void tsdb_verify_close(struct tsdb_verify_store *store);
/* One file, in this process. */
void tsdb_verify_file(const char *folder, struct tsdb_verify_file *file);
/* An empty entry behind the others; the path is below/name. */
struct tsdb_verify_file *tsdb_verify_report_add(struct tsdb_verify_report *report,
                                                enum tsdb_verify_kind kind, const char *below,
                                                const char *name);
void tsdb_verify_sum(struct tsdb_verify_report *report);
/* Runs the function on the file in a child (or here), in memory shared with it. A child that dies
 * is a finding. */
typedef void tsdb_verify_job(void *user, struct tsdb_verify_file *file);
void tsdb_verify_in_child(bool in_process, struct tsdb_verify_file *file, tsdb_verify_job *job,
                          void *user);

extern const struct tsdb_env_format *const tsdb_verify_formats[]; /* by kind */

/* A new environment `to` of every good value of the file: those that the tree leads to, then those
 * found by scanning. */
TW_MUST_CHECK enum tw_code tsdb_salvage_copy(const char *path, enum tsdb_verify_kind kind,
                                             const char *to, struct tw_err *err);

#endif
