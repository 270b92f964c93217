/* SPDX-License-Identifier: Apache-2.0
 *
 * pages: an LMDB file (0.9, pages of 64-bit numbers) read without LMDB, page by page.
 *
 * LMDB trusts its file: a damaged page makes it read outside of the map, or end the process with an
 * assertion. So the tree is walked here before a file is given to it, and here alone when the file
 * is damaged: a page that is wrong costs what is below it and nothing else. docs/format/log.md says
 * what our values look like in it.
 *
 *   I1  No bytes of the file, however damaged, make a function here read outside of it, hang or
 *       recurse without end.
 *   I2  A file of which tsdb_pages_walk reports no damage has a tree that LMDB can follow to every
 *       key, and a list of free pages that holds none that are in use.
 *
 * Threads: plain functions. Nobody writes to the file meanwhile.
 */
#ifndef TW_TSDB_PAGES_H
#define TW_TSDB_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* Strings live until the call returns. */
struct tsdb_pages_visitor {
    void *user;
    /* A key and its value as stored (with our frame). table: empty when it is not known. May be
     * NULL. */
    void (*value)(void *user, struct tw_str table, struct tw_str key, struct tw_str framed);
    /* What is wrong, as a sentence without the file's name. May be NULL. */
    void (*damage)(void *user, const char *sentence);
};

struct tsdb_pages_counts {
    uint64_t pages, used, free, values, damaged;
};

/* Every key that the newest tree leads to, table by table in ascending order. TW_CORRUPT when there
 * is no tree at all; damage below that goes to the visitor and is counted. */
TW_MUST_CHECK enum tw_code tsdb_pages_walk(const char *path,
                                           const struct tsdb_pages_visitor *visitor,
                                           struct tsdb_pages_counts *ret, struct tw_err *err);
/* Every leaf page of the file, whether the tree leads there or not, in the order of the file;
 * values of pages that were freed come up too. After them, with an empty key, everything that lies
 * on pages of its own, whether a leaf names it or not: its size is the pages'. */
TW_MUST_CHECK enum tw_code tsdb_pages_scan(const char *path,
                                           const struct tsdb_pages_visitor *visitor,
                                           struct tsdb_pages_counts *ret, struct tw_err *err);

#endif
