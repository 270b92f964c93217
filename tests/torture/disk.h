/* SPDX-License-Identifier: Apache-2.0
 *
 * disk: a disk that fails when it is told to, remembers all that was written to it, and can be
 * looked at as a power cut would have left it.
 *
 * The program that links this file has open, write, fsync and their kin defined here, so that the
 * store's own code and LMDB's shared library both end up in it (the program must be linked with
 * -rdynamic). Calls on files below the watched folder are counted, may fail, and are recorded;
 * everything goes on to the real file as well, which therefore belongs on a fast (tmpfs) folder.
 *
 * What a power cut may do is what POSIX allows, not what one file system does:
 *   - data written and not yet synced is there, is not, or is there in part: any set of sectors of
 *     512 bytes, whatever the order of the writes. A write through a descriptor with O_DSYNC is
 *     there when the call has returned;
 *   - a name made, renamed or removed is as before until the folder is synced; each such change may
 *     have become durable without the others;
 *   - the length of a file may be durable without its data (zeros then).
 *
 * Threads: any may call the functions of the C library; the functions here belong to one.
 */
#ifndef TW_TESTS_TORTURE_DISK_H
#define TW_TESTS_TORTURE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Records what happens below the folder (absolute path; empty or missing) from now on. Forgets what
 * was recorded before. */
void disk_watch(const char *folder);
void disk_unwatch(void); /* the recording stays */

/* ---- failures ---- */
enum disk_fault {
    DISK_EIO,
    DISK_NO_SPACE, /* for calls that need room; those that need none get through */
    DISK_SHORT,    /* half of a write; nothing for other calls */
};
/* Of the calls that change something, from now on: the first-th (1 = the next) and the count - 1
 * behind it fail. */
void disk_fail(unsigned long first, unsigned long count, enum disk_fault fault);
unsigned long disk_calls(void);  /* since disk_watch, those that may fail */
unsigned long disk_faults(void); /* that were injected since disk_watch */
/* The call of the last failure, for messages: "fdatasync of 'NAME'". */
const char *disk_fault_text(void);

/* A disk that lies: this kind of sync does nothing though it says so. What the tests must find. */
enum disk_lie {
    DISK_HONEST,
    DISK_LIES_ABOUT_DATA,   /* fdatasync, fsync of a file */
    DISK_LIES_ABOUT_META,   /* O_DSYNC */
    DISK_LIES_ABOUT_FOLDER, /* fsync of a folder */
};
void disk_lie(enum disk_lie lie);

/* ---- power cuts ---- */

/* Number of things that happened: a place in the recording. */
size_t disk_position(void);
enum disk_cut {
    DISK_CUT_NOTHING_MORE, /* only what is certain */
    DISK_CUT_ALL,          /* everything, synced or not */
    DISK_CUT_RANDOM,       /* of each uncertain change: all or nothing */
    DISK_CUT_TORN,         /* of each uncertain write: some sectors */
    DISK_CUT_LENGTH, /* certain data, but files as long as they would be, names as in random */
    DISK_CUT_KINDS,
};
/* Makes the folder `to` (missing) as the watched one is after a power cut at the position. */
void disk_cut(size_t position, enum disk_cut kind, uint64_t seed, const char *to);
/* What happened just before the position, for messages. */
const char *disk_position_text(size_t position);

#endif
