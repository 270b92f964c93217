/* SPDX-License-Identifier: Apache-2.0
 *
 * verify: whether a store that nobody has open is whole, and what can still be read of it when it
 * is not. Of each file: its tree pages, the checksum of every value, and what its kind promises:
 *
 *   segment    groups without a gap, every record replays
 *   partition  ids dense, label sets valid and unique with the right hash; postings say exactly
 *              what the series say; every block and column decodes, times ascend within their
 *              window; each run has as many samples and blocks as its row says
 *   catalog    every entry is read
 *   exemplars  every one is read, and follows those of its series
 *   state      every record's checksum
 *
 * Each file is looked at by a child process, so that even a disk that fails under a map (SIGBUS)
 * ends no more than that.
 *
 * Nothing is changed but lock files; the folder's locks are held meanwhile.
 */
#ifndef TW_TSDB_VERIFY_H
#define TW_TSDB_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"

#define TSDB_VERIFY_PATH_BYTES 256
#define TSDB_VERIFY_FINDINGS_MAX 16
#define TSDB_VERIFY_FINDING_BYTES 320

enum tsdb_verify_kind {
    TSDB_VERIFY_SEGMENT,
    TSDB_VERIFY_PARTITION,
    TSDB_VERIFY_CATALOG,
    TSDB_VERIFY_STATE,
    TSDB_VERIFY_EXEMPLARS,
};
const char *tsdb_verify_kind_text(enum tsdb_verify_kind kind);

/* One file. Plain data: a child fills it in shared memory. */
struct tsdb_verify_file {
    char path[TSDB_VERIFY_PATH_BYTES]; /* below the folder */
    enum tsdb_verify_kind kind;
    uint64_t bytes, values;
    /* What is readable: all of it, or what is left of a damaged file. */
    uint64_t series, samples, exemplars;
    int64_t first_ms, last_ms; /* when samples > 0 */
    uint64_t finding_count;    /* 0 = whole; the first ones are kept */
    char findings[TSDB_VERIFY_FINDINGS_MAX][TSDB_VERIFY_FINDING_BYTES];
};

struct tsdb_verify_report {
    struct tsdb_verify_file *files;
    size_t count, damaged;
    uint64_t bytes, series, samples,
        exemplars; /* series: of all files, so one of two days counts twice */
};

/* Before each file. May be NULL. */
typedef void tsdb_verify_progress(void *user, const char *path, size_t index, size_t count);

struct tsdb_verify_options {
    const char *folder;
    bool in_process; /* no child processes: tests */
    tsdb_verify_progress *progress;
    void *user;
};

/* TW_OK also when files are damaged: see the report. TW_BUSY when a server has the folder,
 * TW_NOT_FOUND when it is no store. */
TW_MUST_CHECK enum tw_code tsdb_verify_run(const struct tsdb_verify_options *options,
                                           struct tsdb_verify_report *ret, struct tw_err *err);
void tsdb_verify_report_fini(struct tsdb_verify_report *report);
/* As JSON, and back; what is read is made of what another process said, so it is checked. */
void tsdb_verify_report_write(const struct tsdb_verify_report *report, struct tw_json_writer *json);
TW_MUST_CHECK enum tw_code tsdb_verify_report_read(const struct tw_json *json,
                                                   struct tsdb_verify_report *ret,
                                                   struct tw_err *err);

/* Makes the store `to` (missing or empty) of all that is readable in the folder: whole files as
 * they are, samples of damaged ones and of the log sample by sample. The report is of the folder:
 * per file what was taken. */
TW_MUST_CHECK enum tw_code tsdb_salvage_run(const struct tsdb_verify_options *options,
                                            const char *to, struct tsdb_verify_report *ret,
                                            struct tw_err *err);

#endif
