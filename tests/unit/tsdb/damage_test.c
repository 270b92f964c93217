/* SPDX-License-Identifier: Apache-2.0
 *
 * damage_test: bytes of the store's files are flipped, one at a time. Reading everything then gives
 * what it gave before, or a clear error; never other samples, and never the end of the process:
 * bytes of our own values are covered by a checksum, LMDB's pages are checked before it is given
 * them. Reading is done in a child, so that a death is seen. TW_FLIPS chooses how many.
 */
#include "config.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/lmdb.h"

#define FLIPS_A_FILE 16

static char path[4096];
static struct tw_err err;

static struct tsdb_db *open_db(void)
{
    struct tsdb_db *db;
    unit_assert_ok(
        tsdb_db_open(&(struct tsdb_db_options){.folder = path, .manual = true}, &db, &err), &err);
    return db;
}

/* Two days in partitions, the second with two runs, and a segment of the log. */
static char *make_store(void)
{
    struct tsdb_db *db = open_db();
    struct tw_context context = store_context();
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 60; i++) {
            struct tsdb_sample samples[10];
            struct wire_label items[10][8];
            char names[10][32];
            for (int j = 0; j < 10; j++) {
                snprintf(names[j], sizeof names[j], "m%d,host=h%d", j % 3, j);
                samples[j] =
                    (struct tsdb_sample){store_labels(names[j], items[j]),
                                         (round ? TSDB_DAY_MS : 0) + round * 1000000 + i * 15000,
                                         j % 2 ? i * 0.1 + round : (i * j + round) / 3.0};
            }
            unit_assert_ok(tsdb_append(tsdb_db_storage(db), &context, samples, 10, &err), &err);
        }
        if (round < 3)
            unit_assert_ok(tsdb_db_flush(db, &err), &err);
    }
    /* Not closed: the log stays, as a killed process leaves it. */
    return store_read(db, NULL, NULL, NULL, INT64_MIN, INT64_MAX);
}

enum { SAME, ERROR, WRONG };

static bool append_series(struct tsdb_selection *selection, struct tsdb_cursor *cursor,
                          size_t index, struct tw_buf *text)
{
    size_t at = text->size, samples = 0;
    struct tsdb_column column;
    wire_labels_format(tsdb_selection_labels(selection, index), text);
    tw_buf_append_cstr(text, ":");
    tsdb_cursor_seek(cursor, index, INT64_MIN, INT64_MAX);
    for (;;) {
        if (tsdb_cursor_next(cursor, &column, &err) != TW_OK)
            return false;
        if (column.count == 0)
            break;
        for (size_t j = 0; j < column.count; j++, samples++) {
            char number[TW_DOUBLE_BYTES];
            tw_double_format_general(column.values[j], number);
            tw_buf_appendf(text, " %lld=%s", (long long)column.times_ms[j], number);
        }
    }
    tw_buf_append_cstr(text, "\n");
    if (samples == 0)
        text->size = at;
    return true;
}

/* In a child: its verdict as exit status. */
static int read_all(const char *wanted)
{
    struct tsdb_db *db;
    struct tw_context context = store_context();
    struct tsdb_selection *selection;
    struct tsdb_cursor *cursor;
    struct tsdb_db_options options = {.folder = path, .manual = true};
    if (tsdb_db_open(&options, &db, &err) != TW_OK ||
        tsdb_select(tsdb_db_storage(db), &context, NULL, 0, INT64_MIN, INT64_MAX,
                    &(struct tsdb_hints){0}, &selection, &err) != TW_OK ||
        tsdb_cursor_open(selection, &cursor, &err) != TW_OK)
        return ERROR;
    struct tw_buf text;
    tw_buf_init(&text, (size_t)1 << 26);
    for (size_t i = 0; i < tsdb_selection_count(selection); i++)
        if (!append_series(selection, cursor, i, &text))
            return ERROR;
    return strcmp(tw_buf_cstr(&text), wanted) == 0 ? SAME : WRONG;
}

static void flip(const char *file, long offset, int mask)
{
    FILE *stream = fopen(file, "r+b");
    ck_assert(stream != NULL);
    fseek(stream, offset, SEEK_SET);
    int byte = fgetc(stream);
    fseek(stream, offset, SEEK_SET);
    fputc(byte ^ mask, stream);
    fclose(stream);
}

/* Whether the offset is inside of a framed value. */
static bool is_framed(struct tw_str content, size_t offset)
{
    for (size_t back = 0; back <= offset && back < 40000; back++) {
        const char *at = content.data + (offset - back);
        if (offset - back + 12 > content.size || memcmp(at, "TWv1", 4) != 0)
            continue;
        uint32_t size;
        memcpy(&size, at + 4, sizeof size);
        return back < size + 12;
    }
    return false;
}

static int child_verdict(const char *wanted)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        /* An assertion of the library is not to fill the test's output. */
        if (!freopen("/dev/null", "w", stderr))
            _exit(ERROR);
        alarm(20);
        _exit(read_all(wanted));
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The store sets a damaged partition aside. */
static void take_back(const char *file)
{
    char aside[4400];
    snprintf(aside, sizeof aside, "%s.damaged", file);
    if (tw_file_exists(aside))
        ck_assert_int_eq(rename(aside, file), 0);
}

static void damage_file(const char *file, const char *wanted, uint64_t *seed)
{
    struct tw_buf content;
    tw_buf_init(&content, (size_t)1 << 28);
    unit_assert_ok(tw_file_read(file, &content, &err), &err);
    size_t framed = 0;
    int flips = store_rounds("TW_FLIPS", FLIPS_A_FILE, 2000);
    for (int i = 0; i < flips || (framed < 8 && i < 4000); i++) {
        *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t offset = (size_t)((*seed >> 20) % content.size);
        bool ours = is_framed(tw_buf_str(&content), offset);
        if (!ours && i >= flips)
            continue;
        framed += ours;
        int mask = 1 << (*seed >> 61);
        flip(file, (long)offset, mask);
        int verdict = child_verdict(wanted);
        take_back(file);
        flip(file, (long)offset, mask);
        ck_assert_msg(verdict != WRONG, "%s: a flip at %zu gave other samples", file, offset);
        ck_assert_msg(verdict == SAME || verdict == ERROR, "%s: a flip at %zu gave signal %d", file,
                      offset, -verdict);
    }
    tw_buf_fini(&content);
}

START_TEST(never_other_samples)
{
    /* The store is made in a child that is not closed, so that its log is left. */
    static char text_path[4200];
    snprintf(path, sizeof path, "%s/damage", unit_folder());
    snprintf(text_path, sizeof text_path, "%s.txt", path);
    pid_t pid = fork();
    if (pid == 0) {
        char *text = make_store();
        _exit(tw_file_replace(text_path, tw_str(text), 0600, &err) == TW_OK ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    struct tw_buf wanted;
    tw_buf_init(&wanted, (size_t)1 << 26);
    unit_assert_ok(tw_file_read(text_path, &wanted, &err), &err);
    ck_assert_int_eq(child_verdict(tw_buf_cstr(&wanted)), SAME);
    uint64_t seed = 7;
    static const char *const folders[] = {"default/log", "default/partitions"};
    for (int i = 0; i < 2; i++) {
        char *below = tw_file_join(path, folders[i]);
        char **names;
        size_t count;
        unit_assert_ok(tw_file_list(below, &names, &count, &err), &err);
        for (size_t j = 0; j < count; j++) {
            char *file = tw_file_join(below, names[j]);
            /* Empty segments of earlier children hold nothing. */
            if (!strstr(names[j], "-lock") && tw_file_exists(file) && (i == 1 || j == 0))
                damage_file(file, tw_buf_cstr(&wanted), &seed);
            free(file);
        }
        tw_file_list_free(names, count);
        free(below);
    }
    tw_buf_fini(&wanted);
}
END_TEST

/* ---- damage while a file is open: nothing checks it before LMDB does ---- */

static const struct tsdb_env_format open_format = {.magic = "damage",
                                                   .version = 1,
                                                   .oldest_reader = 1,
                                                   .oldest_version = 1,
                                                   .map_bytes = (size_t)1 << 24,
                                                   .tables_max = 2};

/* Writes half of the keys and deletes a quarter, so that pages become free. */
static enum tw_code write_round(struct tsdb_env *env, unsigned round)
{
    struct tsdb_env_txn *txn;
    char text[600];
    memset(text, 'a' + (int)round, sizeof text);
    enum tw_code code = tsdb_env_begin(env, true, &txn, &err);
    if (code != TW_OK)
        return code;
    for (uint32_t i = 0; i < 400 && code == TW_OK; i++) {
        unsigned char bytes[4];
        tsdb_env_key_u32(bytes, i);
        struct tw_str key = {(const char *)bytes, sizeof bytes};
        if (i % 4 == round % 4)
            code = tsdb_env_delete(txn, "t", key, &err);
        else if (i % 2 == round % 2)
            code = tsdb_env_put(txn, "t", key, (struct tw_str){text, 100 + round * 90}, &err);
    }
    if (code == TW_OK)
        return tsdb_env_commit(txn, &err);
    tsdb_env_abort(txn);
    return code;
}

/* Empties the root page of the list of free pages, behind LMDB's back. docs/format/log.md and
 * pages.c say where its number is. */
static void empty_free_list(const char *file)
{
    unsigned char metas[2][4096], page[4096];
    uint64_t txns[2], root;
    FILE *stream = fopen(file, "r+b");
    ck_assert(stream != NULL);
    ck_assert_uint_eq(fread(metas, sizeof metas[0], 2, stream), 2);
    for (int i = 0; i < 2; i++)
        memcpy(&txns[i], metas[i] + 144, sizeof txns[i]);
    memcpy(&root, metas[txns[1] > txns[0]] + 80, sizeof root);
    ck_assert_uint_lt(root, 10000);
    fseek(stream, (long)root * 4096, SEEK_SET);
    ck_assert_uint_eq(fread(page, sizeof page, 1, stream), 1);
    const unsigned char bounds[] = {16, 0, 0, 16}; /* free from behind the header to the end */
    memcpy(page + 12, bounds, sizeof bounds);
    fseek(stream, (long)root * 4096, SEEK_SET);
    ck_assert_uint_eq(fwrite(page, sizeof page, 1, stream), 1);
    fclose(stream);
}

/* In a child. */
static int commit_damaged(const char *file)
{
    struct tsdb_env *env;
    struct tsdb_env_txn *txn;
    if (tsdb_env_open(file, &open_format, TSDB_ENV_CREATE, &env, &err) != TW_OK)
        return 1;
    for (unsigned round = 0; round < 5; round++)
        if (write_round(env, round) != TW_OK)
            return 2;
    empty_free_list(file);
    if (write_round(env, 5) != TW_CORRUPT || !strstr(err.message, "what LMDB reads in it"))
        return 3;
    /* The file is opened again; what was committed before is all there. */
    if (tsdb_env_begin(env, false, &txn, &err) != TW_OK)
        return 4;
    for (uint32_t i = 0; i < 400; i++) {
        unsigned char bytes[4];
        struct tw_str value;
        tsdb_env_key_u32(bytes, i);
        enum tw_code code = tsdb_env_get(
            txn, "t", (struct tw_str){(const char *)bytes, sizeof bytes}, &value, &err);
        bool deleted = i % 4 == 0 || i % 4 == 3; /* by the last rounds that had to do with it */
        if (code != (deleted ? TW_NOT_FOUND : TW_OK) ||
            (!deleted && (value.size != (i % 2 ? 370u : 460u) || value.data[0] == 'f')))
            return 5;
    }
    tsdb_env_abort(txn);
    tsdb_env_close(env);
    return 0;
}

START_TEST(assertion_in_a_commit_is_an_error)
{
    static char file[4200];
    snprintf(file, sizeof file, "%s/open.mdb", unit_folder());
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        alarm(100);
        _exit(commit_damaged(file));
    }
    int status;
    waitpid(pid, &status, 0);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE_SLOW(never_other_samples, 600),
                                      UNIT_CASE_SLOW(assertion_in_a_commit_is_an_error, 120),
                                      {0}};
    return unit_run("tsdb/damage", cases);
}
