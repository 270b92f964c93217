/* SPDX-License-Identifier: Apache-2.0
 *
 * file: files and folders. Reads into caller's buffers, durable replacement, locks.
 */
#ifndef TW_BASE_FILE_H
#define TW_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends the whole file; TW_TOO_LARGE past the buffer's maximum. */
TW_MUST_CHECK enum tw_code tw_file_read(const char *path, struct tw_buf *ret, struct tw_err *err);
/* Replaces the file as a whole: temporary file, fsync, rename, fsync of the folder. After TW_OK the
 * new content survives a power cut; after an error the old one is there. mode as for open(). */
TW_MUST_CHECK enum tw_code tw_file_replace(const char *path, struct tw_str content, unsigned mode,
                                           struct tw_err *err);
/* Writes all bytes, going on after short writes and EINTR. */
TW_MUST_CHECK enum tw_code tw_file_write_all(int fd, const void *bytes, size_t count,
                                             const char *path, struct tw_err *err);
/* Makes the folder and its missing parents; fine if it is there. */
TW_MUST_CHECK enum tw_code tw_file_make_folder(const char *path, unsigned mode, struct tw_err *err);
TW_MUST_CHECK enum tw_code tw_file_sync_folder(const char *path, struct tw_err *err);
/* Exclusive flock on <folder>/<name> (made if missing), held until ret_fd is closed. TW_BUSY with
 * the holder's pid in the message when another process has it. */
TW_MUST_CHECK enum tw_code tw_file_lock(const char *folder, const char *name, int *ret_fd,
                                        struct tw_err *err);
/* Names in a folder without "." and "..", sorted; free each with free(), then the array. */
TW_MUST_CHECK enum tw_code tw_file_list(const char *folder, char ***ret_names, size_t *ret_count,
                                        struct tw_err *err);
void tw_file_list_free(char **names, size_t count);
/* A second file with the same content, without copying it: its blocks are shared until either is
 * written to (reflink), where the file system can. TW_UNSUPPORTED where it cannot; then there is no
 * file. TW_CONFLICT when the target is there. Durable, but for the folder. */
TW_MUST_CHECK enum tw_code tw_file_clone(const char *from, const char *to, struct tw_err *err);
/* A second name of the same file; TW_UNSUPPORTED where the file system has none. */
TW_MUST_CHECK enum tw_code tw_file_link(const char *from, const char *to, struct tw_err *err);
/* Whether the file has more names than this one. */
bool tw_file_is_linked(const char *path);
/* Bytes of all files below, as they occupy the disk (st_blocks). */
TW_MUST_CHECK enum tw_code tw_file_folder_bytes(const char *folder, uint64_t *ret_bytes,
                                                struct tw_err *err);
/* Bytes that the file system of path has left for this process. */
TW_MUST_CHECK enum tw_code tw_file_free_bytes(const char *path, uint64_t *ret_bytes,
                                              struct tw_err *err);
/* All bytes of the file system of path, used or not. */
TW_MUST_CHECK enum tw_code tw_file_disk_bytes(const char *path, uint64_t *ret_bytes,
                                              struct tw_err *err);
/* Removes a folder and all below it; fine if it is not there. */
TW_MUST_CHECK enum tw_code tw_file_remove_folder(const char *path, struct tw_err *err);
bool tw_file_exists(const char *path);
/* "a/b" on the heap; free() it. */
char *tw_file_join(const char *folder, const char *name);

#endif
