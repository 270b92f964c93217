/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb: environments on disk. The files lmdb*.c alone know LMDB.
 *
 * An environment is one file (and a lock file beside it) with a few tables of ordered keys. Its
 * header, in the table "meta", says what it is: a magic of its kind, the format's version and the
 * oldest version of the reader that understands it. Every value carries length and CRC32C (LMDB has
 * no checksums), computed over table, key and value, so that a damaged or misplaced one reads as
 * TW_CORRUPT and never as something else. The tree itself is checked when a file is opened
 * (pages.h); what is found there is TW_CORRUPT too.
 *
 *   I1  A file under its final name is complete: it is made as NAME.tmp, committed, renamed, and
 *       the folder is synced.
 *   I2  A commit that returned TW_OK survives a power cut.
 *   I3  A write transaction stays on its thread; an environment has at most one at a time (others
 *       wait). A read transaction may move between threads, but is used by one at a time.
 *   I4  The map grows between transactions only: a full map fails the write transaction with
 *       TW_BUSY, the owner calls tsdb_env_grow and repeats it.
 *   I5  After a commit that failed the environment works on: the next transaction opens the file
 *       again when no other is open (TW_UNAVAILABLE when readers do not leave in time).
 *   I6  Damage that came while the file was open is TW_CORRUPT where it trips an assertion of LMDB's,
 *       leads it out of the file or out of the order of keys, and not the end of the process or a way
 *       without end; what follows is as after a commit that failed. For this SIGBUS and SIGSEGV
 *       have a handler, which passes on what does not come from here.
 *
 * Borrowed values live until their transaction ends (or, in a write transaction, the next write).
 */
#ifndef TW_TSDB_LMDB_H
#define TW_TSDB_LMDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* LMDB's own limit on keys is 511. */
#define TSDB_ENV_KEY_BYTES_MAX 500
/* Most that the frame adds to a value, with a key of up to 24 bytes in a table of up to 9. */
#define TSDB_ENV_FRAME_BYTES 48
#define TSDB_ENV_TABLE_BYTES 32 /* of a table's name, with its NUL */
/* LMDB's page; a value beyond half of it occupies whole pages, of which 16 bytes are a header. */
#define TSDB_ENV_PAGE_BYTES 4096
#define TSDB_ENV_PAGE_HEADER_BYTES 16
#define TSDB_ENV_MAGIC_BYTES 8

struct tsdb_env;
struct tsdb_env_txn;
struct tsdb_env_cursor;

/* What kind of environment: constant data of whoever owns the format. */
struct tsdb_env_format {
    char magic[TSDB_ENV_MAGIC_BYTES]; /* padded with NUL */
    uint16_t version;                 /* written by this program */
    uint16_t oldest_reader;  /* the oldest program version that reads what this one writes */
    uint16_t oldest_version; /* the oldest format version that this program reads */
    size_t map_bytes;        /* address space to start with */
    unsigned tables_max;
    unsigned readers_max;
    bool single_thread; /* no lock file: the owner lets one transaction at a time be open */
    bool random_reads;  /* no read-ahead by the kernel */
    /* A sum over all keys is kept, and compared when the file is opened: a changed key cannot hide
     * what is under it. For tables whose keys do not tell by themselves that one is missing. */
    bool key_sum;
};

enum tsdb_env_mode {
    TSDB_ENV_OPEN,   /* TW_NOT_FOUND if it is not there */
    TSDB_ENV_CREATE, /* TW_CONFLICT if it is there */
    TSDB_ENV_OPEN_OR_CREATE,
};

/* path: of the file; its folder exists. The process must not have it open already. */
TW_MUST_CHECK enum tw_code tsdb_env_open(const char *path, const struct tsdb_env_format *format,
                                         enum tsdb_env_mode mode, struct tsdb_env **ret_env,
                                         struct tw_err *err);
struct tsdb_env *tsdb_env_close(struct tsdb_env *env); /* no transaction is open; returns NULL */
/* Unlinks a closed environment and its lock file; fine if it is not there. The folder is not
 * synced. */
TW_MUST_CHECK enum tw_code tsdb_env_remove(const char *path, struct tw_err *err);
/* Gives a closed environment its final name, durably: what was committed into it shows under that
 * name at once or not at all. Something of that name is replaced. */
TW_MUST_CHECK enum tw_code tsdb_env_rename(const char *from, const char *to, struct tw_err *err);
const char *tsdb_env_path(const struct tsdb_env *env);
/* Bytes that the file occupies on disk. */
uint64_t tsdb_env_bytes(const struct tsdb_env *env);
/* Pages of the file: how many a table has, and what lies in them. */
struct tsdb_env_usage {
    uint64_t entries, branch_pages, leaf_pages, overflow_pages;
    uint64_t key_bytes, value_bytes; /* values with their frames */
};
/* All zero for a table that is not there. Reads every key. */
TW_MUST_CHECK enum tw_code tsdb_env_measure(struct tsdb_env_txn *txn, const char *table,
                                            struct tsdb_env_usage *ret, struct tw_err *err);
/* Doubles the map; waits until the readers of this environment are gone. No write transaction of
 * this thread is open. */
TW_MUST_CHECK enum tw_code tsdb_env_grow(struct tsdb_env *env, struct tw_err *err);
/* Writes what is committed at this moment into a new file (TW_CONFLICT if it is there), durably;
 * the folder is not synced. Others may read and write meanwhile, unless the format is
 * single_thread. */
TW_MUST_CHECK enum tw_code tsdb_env_copy(struct tsdb_env *env, const char *path,
                                         struct tw_err *err);
/* Lengthens the file with zeros when less than `least` bytes follow what is in use, to `ahead`
 * bytes behind it: until they are used, commits write data and no size of the file, which is what
 * the system needs most time for. What cannot be written now is not missed: commits then lengthen
 * the file themselves. No transaction of this thread is open. */
void tsdb_env_lengthen(struct tsdb_env *env, size_t least, size_t ahead);
/* Lets go of the pages of the map: they stay in the system's cache, and are no memory of the
 * process until they are looked at again. */
void tsdb_env_forget_pages(struct tsdb_env *env);
/* Frees the reader slots of processes that died. */
void tsdb_env_check_readers(struct tsdb_env *env);

TW_MUST_CHECK enum tw_code tsdb_env_begin(struct tsdb_env *env, bool write,
                                          struct tsdb_env_txn **ret_txn, struct tw_err *err);
/* Durable on TW_OK; the transaction is over either way. */
TW_MUST_CHECK enum tw_code tsdb_env_commit(struct tsdb_env_txn *txn, struct tw_err *err);
void tsdb_env_abort(struct tsdb_env_txn *txn); /* NULL is fine */

/* A table is made when it is first written to; reading a missing one finds nothing. */
TW_MUST_CHECK enum tw_code tsdb_env_put(struct tsdb_env_txn *txn, const char *table,
                                        struct tw_str key, struct tw_str value, struct tw_err *err);
/* The same for a key above all others of the table: pages become full, where tsdb_env_put leaves
 * room for keys in between. */
TW_MUST_CHECK enum tw_code tsdb_env_append(struct tsdb_env_txn *txn, const char *table,
                                           struct tw_str key, struct tw_str value,
                                           struct tw_err *err);
TW_MUST_CHECK enum tw_code tsdb_env_get(struct tsdb_env_txn *txn, const char *table,
                                        struct tw_str key, struct tw_str *ret_value,
                                        struct tw_err *err);
/* Fine if the key is not there. */
TW_MUST_CHECK enum tw_code tsdb_env_delete(struct tsdb_env_txn *txn, const char *table,
                                           struct tw_str key, struct tw_err *err);

/* ---- iteration in key order ---- */
TW_MUST_CHECK enum tw_code tsdb_env_cursor_open(struct tsdb_env_txn *txn, const char *table,
                                                struct tsdb_env_cursor **ret_cursor,
                                                struct tw_err *err);
struct tsdb_env_cursor *tsdb_env_cursor_close(struct tsdb_env_cursor *cursor); /* returns NULL */
enum tsdb_env_move {
    TSDB_ENV_FIRST,
    TSDB_ENV_LAST,
    TSDB_ENV_NEXT,
    TSDB_ENV_PREVIOUS,
    TSDB_ENV_AT_OR_AFTER, /* *key */
    TSDB_ENV_AT_OR_BEFORE,
};
/* Moves and reads; TW_NOT_FOUND at the end. *key: in for the last two, out for all. ret_value NULL
 * reads the key alone and does not look at the value. */
TW_MUST_CHECK enum tw_code tsdb_env_cursor_move(struct tsdb_env_cursor *cursor,
                                                enum tsdb_env_move move, struct tw_str *key,
                                                struct tw_str *ret_value, struct tw_err *err);

/* ---- frames, for who reads a damaged file without LMDB (pages.h) ---- */
/* False with what is wrong. */
bool tsdb_env_unframe(const char *table, struct tw_str key, struct tw_str framed,
                      struct tw_str *ret_value, const char **ret_wrong);
/* Of a value on pages of its own: the table (TSDB_ENV_TABLE_BYTES) and key that it names; false
 * when it is none of ours. Nothing is checked yet: unframe does. */
bool tsdb_env_frame_name(struct tw_str pages, char *ret_table, struct tw_str *ret_key,
                         struct tw_str *ret_framed);

/* The same, but the value is neither read nor checked: where it lies, for as long as the
 * transaction does, with its frame. */
TW_MUST_CHECK enum tw_code tsdb_env_cursor_locate(struct tsdb_env_cursor *cursor,
                                                  enum tsdb_env_move move, struct tw_str *key,
                                                  struct tw_str *ret_framed, struct tw_err *err);
/* What lies there will be read soon: the system may fetch it from the disk meanwhile. */
void tsdb_env_fetch(struct tw_str framed);
/* What is within the frame, once it was checked. */
TW_MUST_CHECK enum tw_code tsdb_env_read_located(const struct tsdb_env *env, const char *table,
                                                 struct tw_str key, struct tw_str framed,
                                                 struct tw_str *ret_value, struct tw_err *err);

/* ---- keys: big-endian, so that memcmp orders them as numbers ---- */
void tsdb_env_key_u32(unsigned char *ret_bytes, uint32_t number);
void tsdb_env_key_u64(unsigned char *ret_bytes, uint64_t number);
void tsdb_env_key_i64(unsigned char *ret_bytes, int64_t number); /* negative before positive */
uint32_t tsdb_env_key_get_u32(const void *bytes);
uint64_t tsdb_env_key_get_u64(const void *bytes);
int64_t tsdb_env_key_get_i64(const void *bytes);

#endif
