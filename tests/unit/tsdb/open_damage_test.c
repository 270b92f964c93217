/* SPDX-License-Identifier: Apache-2.0
 *
 * open_damage_test: a file is damaged or cut off while it is open, where nothing checks its pages
 * before LMDB reads them. Reading then gives what was written or an error; it never hangs, never
 * gives another value, and never ends the process. Each damage is done in a child, so that a death
 * is seen. TW_FLIPS chooses how many.
 */
#include "config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/lmdb.h"

#define FLIPS 60
#define LONG_FLIPS 5000
#define KEYS 3000
#define KEY_BYTES 24
#define PAGE_BYTES 4096
#define HEADER_BYTES 16
#define SECONDS_MAX 20
#define MASK_ZERO 256 /* not a flip: the byte becomes 0 */

static struct tw_err err;
static char file[4200];
static const struct tsdb_env_format format = {.magic = "damage",
                                              .version = 1,
                                              .oldest_reader = 1,
                                              .oldest_version = 1,
                                              .map_bytes = (size_t)1 << 26,
                                              .tables_max = 2};

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *seed >> 33;
}

/* ---- keys and values that follow from a number ---- */

static struct tw_str make_key(uint32_t number, unsigned char *room)
{
    memset(room, 'k', KEY_BYTES);
    tsdb_env_key_u32(room, number);
    return (struct tw_str){(const char *)room, KEY_BYTES};
}

/* Every 50th has pages of its own. */
static size_t value_bytes(uint32_t number)
{
    return number % 50 == 0 ? 9000 : 20 + number % 150;
}

static struct tw_str make_value(uint32_t number, char *room)
{
    memset(room, 'a' + (int)(number % 26), value_bytes(number));
    return (struct tw_str){room, value_bytes(number)};
}

static bool is_right(struct tw_str key, struct tw_str value)
{
    unsigned char key_room[KEY_BYTES];
    char value_room[9000];
    uint32_t number = key.size == KEY_BYTES ? tsdb_env_key_get_u32(key.data) : KEYS;
    return number < KEYS && tw_str_equal(key, make_key(number, key_room)) &&
           tw_str_equal(value, make_value(number, value_room));
}

static enum tw_code write_keys(struct tsdb_env *env, uint32_t first, uint32_t step)
{
    struct tsdb_env_txn *txn;
    enum tw_code code = tsdb_env_begin(env, true, &txn, &err);
    if (code != TW_OK)
        return code;
    for (uint32_t i = first; i < KEYS && code == TW_OK; i += step) {
        unsigned char key[KEY_BYTES];
        char value[9000];
        code = tsdb_env_put(txn, "t", make_key(i, key), make_value(i, value), &err);
    }
    if (code == TW_OK)
        return tsdb_env_commit(txn, &err);
    tsdb_env_abort(txn);
    return code;
}

static void make_file(void)
{
    struct tsdb_env *env;
    snprintf(file, sizeof file, "%s/open.mdb", unit_folder());
    unit_assert_ok(tsdb_env_open(file, &format, TSDB_ENV_CREATE, &env, &err), &err);
    for (uint32_t i = 0; i < 7; i++) /* in no order: half empty pages, several levels */
        unit_assert_ok(write_keys(env, i * 3 % 7, 7), &err);
    tsdb_env_close(env);
}

/* ---- in the child ---- */

enum verdict { SAME, ERROR, FEWER, WRONG };

static enum verdict worse(enum verdict a, enum verdict b)
{
    return a > b ? a : b;
}

static enum verdict judge(enum tw_code code, struct tw_str key, struct tw_str value)
{
    if (code == TW_OK)
        return is_right(key, value) ? SAME : WRONG;
    return code == TW_NOT_FOUND ? FEWER : ERROR;
}

static enum verdict scan(struct tsdb_env_txn *txn, enum tsdb_env_move first,
                         enum tsdb_env_move then)
{
    struct tsdb_env_cursor *cursor;
    if (tsdb_env_cursor_open(txn, "t", &cursor, &err) != TW_OK)
        return ERROR;
    struct tw_str key = {0}, value;
    enum tw_code code;
    enum verdict verdict = SAME;
    size_t count = 0;
    for (enum tsdb_env_move move = first;
         (code = tsdb_env_cursor_move(cursor, move, &key, &value, &err)) == TW_OK; move = then) {
        verdict = worse(verdict, is_right(key, value) ? SAME : WRONG);
        count++;
    }
    tsdb_env_cursor_close(cursor);
    if (code != TW_NOT_FOUND)
        return worse(verdict, ERROR);
    return worse(verdict, count == KEYS ? SAME : count < KEYS ? FEWER : WRONG);
}

/* From a key to the first behind it, as readers go from lane to lane. */
static enum verdict jump(struct tsdb_env_txn *txn)
{
    struct tsdb_env_cursor *cursor;
    if (tsdb_env_cursor_open(txn, "t", &cursor, &err) != TW_OK)
        return ERROR;
    unsigned char room[KEY_BYTES + 1] = {0};
    struct tw_str key = {(const char *)room, 1}, value;
    enum verdict verdict = SAME;
    enum tw_code code;
    while ((code = tsdb_env_cursor_move(cursor, TSDB_ENV_AT_OR_AFTER, &key, &value, &err)) ==
           TW_OK) {
        verdict = worse(verdict, judge(code, key, value));
        memcpy(room, key.data, key.size < KEY_BYTES ? key.size : KEY_BYTES);
        room[KEY_BYTES] = 0; /* the next one possible */
        key = (struct tw_str){(const char *)room, sizeof room};
    }
    tsdb_env_cursor_close(cursor);
    return code == TW_NOT_FOUND ? verdict : worse(verdict, ERROR);
}

static enum verdict read_all(struct tsdb_env *env)
{
    struct tsdb_env_txn *txn;
    if (tsdb_env_begin(env, false, &txn, &err) != TW_OK)
        return ERROR;
    enum verdict verdict = scan(txn, TSDB_ENV_FIRST, TSDB_ENV_NEXT);
    verdict = worse(verdict, scan(txn, TSDB_ENV_LAST, TSDB_ENV_PREVIOUS));
    verdict = worse(verdict, jump(txn));
    for (uint32_t i = 0; i < KEYS; i += 3) {
        unsigned char room[KEY_BYTES];
        struct tw_str key = make_key(i, room), value = {0};
        enum tw_code code = tsdb_env_get(txn, "t", key, &value, &err);
        verdict = worse(verdict, judge(code, key, value));
    }
    tsdb_env_abort(txn);
    return verdict;
}

struct damage {
    size_t offset;
    int mask;
    bool cut; /* the file ends there, instead */
    bool write;
};

static void do_damage(const struct damage *damage)
{
    unsigned char byte;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    bool done = fd >= 0;
    if (damage->cut) {
        done = done && ftruncate(fd, (off_t)damage->offset) == 0;
    } else {
        done = done && pread(fd, &byte, 1, (off_t)damage->offset) == 1;
        byte = damage->mask == MASK_ZERO ? 0 : (unsigned char)(byte ^ damage->mask);
        done = done && pwrite(fd, &byte, 1, (off_t)damage->offset) == 1;
    }
    close(fd);
    if (!done)
        _exit(99);
}

static enum verdict suffer(const struct damage *damage)
{
    struct tsdb_env *env;
    if (tsdb_env_open(file, &format, TSDB_ENV_OPEN, &env, &err) != TW_OK || read_all(env) != SAME)
        _exit(98);
    do_damage(damage);
    enum verdict verdict = read_all(env);
    if (damage->write) {
        if (write_keys(env, 1, 5) != TW_OK)
            verdict = worse(verdict, ERROR);
        verdict = worse(verdict, read_all(env));
    }
    tsdb_env_close(env);
    return verdict;
}

static void assert_bounded(const struct damage *damage, unsigned *counts)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(97);
        alarm(SECONDS_MAX);
        _exit((int)suffer(damage));
    }
    int status;
    waitpid(pid, &status, 0);
    /* LMDB changes copies of pages in memory, and a damaged one has it write anywhere: the process
     * may end then, as at any kill, but goes on in no case. */
    if (damage->write && WIFSIGNALED(status) && WTERMSIG(status) != SIGALRM) {
        counts[WRONG]++;
        return;
    }
    const char *what = damage->cut ? "cut off" : "a flip";
    ck_assert_msg(WIFEXITED(status), "%s at %zu (%d): signal %d%s", what, damage->offset,
                  damage->mask, WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ", it hangs" : "");
    ck_assert_msg(WEXITSTATUS(status) < WRONG, "%s at %zu (%d): %s", what, damage->offset,
                  damage->mask, WEXITSTATUS(status) == WRONG ? "another value" : "not tried");
    counts[WEXITSTATUS(status)]++;
}

/* ---- in the parent ---- */

/* Headers, places of nodes and nodes themselves of pages that make the tree: those behind the two
 * meta pages whose header says so. */
static bool is_tree_page(const char *page)
{
    unsigned char flags = (unsigned char)page[10];
    return (flags & 3) != 0 && (flags & 4) == 0;
}

static size_t choose_offset(struct tw_str content, uint64_t *seed)
{
    size_t pages = content.size / PAGE_BYTES;
    for (;;) {
        size_t page = next_random(seed) % pages;
        const char *at = content.data + page * PAGE_BYTES;
        bool is_meta = page < 2, is_branch = at[10] & 1;
        if ((!is_meta && !is_tree_page(at)) || (!is_branch && next_random(seed) % 4 > 0))
            continue;
        size_t within = next_random(seed) % 3 == 0   ? next_random(seed) % HEADER_BYTES
                        : next_random(seed) % 2 == 0 ? next_random(seed) % 160
                                                     : next_random(seed) % PAGE_BYTES;
        return page * PAGE_BYTES + within;
    }
}

static void run(bool cut, bool writes)
{
    make_file();
    struct tw_buf content;
    tw_buf_init(&content, (size_t)1 << 28);
    unit_assert_ok(tw_file_read(file, &content, &err), &err);
    uint64_t seed = cut ? 11 : 7;
    unsigned counts[WRONG + 1] = {0}; /* the last: ended */
    int rounds = store_rounds("TW_FLIPS", FLIPS, LONG_FLIPS);
    for (int i = 0; i < rounds; i++) {
        struct damage damage = {.cut = cut, .write = writes};
        damage.offset =
            cut ? next_random(&seed) % content.size : choose_offset(tw_buf_str(&content), &seed);
        damage.mask = next_random(&seed) % 4 == 0 ? MASK_ZERO : 1 << next_random(&seed) % 8;
        assert_bounded(&damage, counts);
        unit_assert_ok(tw_file_replace(file, tw_buf_str(&content), 0600, &err), &err);
    }
    tw_buf_fini(&content);
    if (getenv("TW_FLIPS"))
        printf("# same %u, error %u, fewer %u, ended %u\n", counts[SAME], counts[ERROR],
               counts[FEWER], counts[WRONG]);
}

START_TEST(flips_are_survived)
{
    run(false, false);
}
END_TEST

START_TEST(cuts_are_survived)
{
    run(true, false);
}
END_TEST

START_TEST(writes_after_flips_end)
{
    run(false, true);
}
END_TEST

int main(void)
{
#ifdef __SANITIZE_THREAD__
    printf("1..0 # SKIP ThreadSanitizer cannot follow a jump out of a signal's handler\n");
    return 0;
#endif
    const struct unit_case cases[] = {UNIT_CASE_SLOW(flips_are_survived, 3600),
                                      UNIT_CASE_SLOW(cuts_are_survived, 3600),
                                      UNIT_CASE_SLOW(writes_after_flips_end, 3600),
                                      {0}};
    return unit_run("tsdb/open_damage", cases);
}
