/* SPDX-License-Identifier: Apache-2.0
 *
 * process: replicas are processes of this host, numbered from 1 on. Each is written down in the
 * state store as "pid start boot" (the table scaler.processes, docs/format/state-scaler.md), so
 * that a restarted server finds the ones that live on and never takes a stranger, to whom the
 * kernel gave the number anew, for one of them.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "autoscaler/means.h"
#include "base/assert.h"
#include "base/command.h"
#include "base/file.h"
#include "base/number.h"

#define TABLE "scaler.processes"
#define KEY_BYTES (SCALE_NAME_BYTES_MAX + 64) /* a pool's name may follow the scaler's */
#define RECORD_BYTES 128
#define LOOK_NS 20000000 /* how often a process that is to end is looked at */

struct child {
    int pid;
    uint64_t start; /* clock ticks since boot, field 22 of /proc/<pid>/stat */
    bool lives;
};

struct children {
    struct child of[SCALE_PROCESSES_MAX + 1]; /* by number, from 1 on */
    char boot[64];
};

/* ---- /proc ---- */

static void read_boot(char *ret, size_t bytes)
{
    struct tw_buf text;
    tw_buf_init(&text, 256);
    ret[0] = '\0';
    if (tw_file_read("/proc/sys/kernel/random/boot_id", &text, NULL) == TW_OK)
        snprintf(ret, bytes, "%.*s", TW_STR_ARG(tw_str_trim(tw_buf_str(&text))));
    tw_buf_fini(&text);
}

/* False when there is no such process, or it has ended and nobody has asked after it. */
static bool read_start(int pid, uint64_t *ret_start)
{
    char path[64];
    struct tw_buf text;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    tw_buf_init(&text, 4096);
    bool found = false;
    if (tw_file_read(path, &text, NULL) == TW_OK) {
        /* The name, in parentheses, may hold anything: fields are counted from its end. */
        const char *stat = tw_buf_cstr(&text), *end = strrchr(stat, ')');
        char state = 'Z';
        found = end != NULL &&
                sscanf(end + 1,
                       " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                       "%*d %" SCNu64,
                       &state, ret_start) == 2 &&
                state != 'Z' && state != 'X';
    }
    tw_buf_fini(&text);
    return found;
}

static bool lives(const struct child *child)
{
    uint64_t start = 0;
    if (child->pid <= 0)
        return false;
    (void)waitpid(child->pid, NULL, WNOHANG); /* reaps it, when it is ours and has ended */
    return read_start(child->pid, &start) && start == child->start;
}

/* ---- the table ---- */

struct reader {
    struct children *children;
    size_t prefix;
};

static bool take_record(void *user, struct tw_str key, struct tw_str value)
{
    struct reader *reader = user;
    char text[RECORD_BYTES], boot[64];
    double number;
    struct child child = {0};
    struct tw_str digits = tw_str_slice(key, reader->prefix, key.size);
    snprintf(text, sizeof text, "%.*s", TW_STR_ARG(value));
    if (!tw_double_parse(digits, &number) || number < 1 || number > SCALE_PROCESSES_MAX ||
        sscanf(text, "%d %" SCNu64 " %63s", &child.pid, &child.start, boot) != 3)
        return true;
    if (strcmp(boot, reader->children->boot) == 0)
        reader->children->of[(size_t)number] = child;
    return true;
}

static enum tw_code load(struct scale_attempt *attempt, struct children *children,
                         struct tw_err *err)
{
    char prefix[KEY_BYTES];
    struct tsdb_state_txn *txn = NULL;
    memset(children, 0, sizeof *children);
    read_boot(children->boot, sizeof children->boot);
    snprintf(prefix, sizeof prefix, "%.*s/", TW_STR_ARG(attempt->scaler));
    struct reader reader = {children, strlen(prefix)};
    enum tw_code code = tsdb_state_begin(scale_means_state(attempt->means), false, &txn, err);
    if (code != TW_OK)
        return code;
    code = tsdb_state_each(txn, TABLE, tw_str(prefix), (struct tw_str){0}, false, take_record,
                           &reader, err);
    tsdb_state_abort(txn);
    for (size_t i = 1; i <= SCALE_PROCESSES_MAX; i++)
        children->of[i].lives = lives(&children->of[i]);
    return code;
}

/* What lives is written, what does not is deleted. */
static enum tw_code save(struct scale_attempt *attempt, const struct children *children,
                         struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    enum tw_code code = tsdb_state_begin(scale_means_state(attempt->means), true, &txn, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 1; code == TW_OK && i <= SCALE_PROCESSES_MAX; i++) {
        char key[KEY_BYTES], record[RECORD_BYTES];
        const struct child *child = &children->of[i];
        if (child->pid == 0)
            continue;
        snprintf(key, sizeof key, "%.*s/%06zu", TW_STR_ARG(attempt->scaler), i);
        snprintf(record, sizeof record, "%d %" PRIu64 " %s", child->pid, child->start,
                 children->boot);
        code = child->lives ? tsdb_state_put(txn, TABLE, tw_str(key), tw_str(record), err)
                            : tsdb_state_delete(txn, TABLE, tw_str(key), err);
    }
    if (code == TW_OK)
        return tsdb_state_commit(txn, err);
    tsdb_state_abort(txn);
    return code;
}

/* ---- starting and stopping ---- */

/* A word with "{index}" filled in. */
static const char *fill_word(struct scale_attempt *attempt, const char *word, size_t index)
{
    const char *at = strstr(word, "{index}");
    if (at == NULL)
        return word;
    return tw_arena_format(attempt->arena, "%.*s%zu%s", (int)(at - word), word, index,
                           at + strlen("{index}"))
        .data;
}

static enum tw_code start_child(struct scale_attempt *attempt, size_t index, struct child *ret,
                                struct tw_err *err)
{
    const char *words[SCALE_WORDS_MAX + 1] = {NULL};
    const char *const *command = attempt->target.process.command;
    char number[24];
    for (size_t i = 0; command[i] != NULL; i++)
        words[i] = fill_word(attempt, command[i], index);
    snprintf(number, sizeof number, "%zu", index);
    const struct tw_http_pair variables[] = {{TW_STR("TIDEWATCH_SCALER"), attempt->scaler},
                                             {TW_STR("TIDEWATCH_INDEX"), tw_str(number)}};
    struct child child = {0};
    enum tw_code code = tw_command_start(words, variables, 2, &child.pid, err);
    if (code != TW_OK)
        return code;
    child.lives = read_start(child.pid, &child.start);
    if (!child.lives) {
        (void)waitpid(child.pid, NULL, WNOHANG);
        code = tw_err_set(err, TW_EXECUTION, "'%s' ended as soon as it was started", words[0]);
    }
    *ret = child;
    return code;
}

/* Tells those from first to last to end, all at once, and makes them after stop_after. */
static void stop_children(struct scale_attempt *attempt, struct children *children, size_t first,
                          size_t last)
{
    struct tw_clock *clock = tw_clock_system(); /* processes live in real time */
    int64_t until_ns = tw_clock_mono_ns(clock) + attempt->target.process.stop_ms * INT64_C(1000000);
    size_t left;
    for (size_t i = first; i <= last; i++)
        if (children->of[i].lives)
            (void)kill(-children->of[i].pid, SIGTERM);
    do {
        left = 0;
        bool over = tw_clock_mono_ns(clock) >= until_ns;
        for (size_t i = first; i <= last; i++) {
            struct child *child = &children->of[i];
            if (child->lives && over)
                (void)kill(-child->pid, SIGKILL);
            child->lives = child->lives && lives(child);
            left += child->lives;
        }
        if (left > 0)
            tw_clock_sleep_ns(clock, LOOK_NS);
    } while (left > 0);
}

void scale_process_run(struct scale_attempt *attempt)
{
    struct tw_err err = {0};
    struct children *children = calloc(1, sizeof *children);
    TW_ASSERT(children != NULL);
    enum tw_code code =
        attempt->to > SCALE_PROCESSES_MAX
            ? tw_err_set(&err, TW_LIMIT, "at most %d processes are started on one host",
                         SCALE_PROCESSES_MAX)
            : load(attempt, children, &err);
    bool known = code == TW_OK;
    for (size_t i = 1; code == TW_OK && (int64_t)i <= attempt->to; i++)
        if (!children->of[i].lives)
            code = start_child(attempt, i, &children->of[i], &err);
    if (code == TW_OK && attempt->to >= 0)
        stop_children(attempt, children, (size_t)attempt->to + 1, SCALE_PROCESSES_MAX);
    struct tw_err save_err = {0};
    if (known && attempt->to >= 0 && save(attempt, children, &save_err) != TW_OK && code == TW_OK) {
        code = save_err.code;
        err = save_err;
    }
    if (known) {
        attempt->replicas = 0;
        for (size_t i = 1; i <= SCALE_PROCESSES_MAX; i++)
            attempt->replicas += children->of[i].lives;
        attempt->ready = attempt->replicas;
    }
    if (code != TW_OK)
        scale_attempt_fail(attempt, code == TW_LIMIT ? SCALE_REFUSED : SCALE_AGAIN, "%s",
                           err.message);
    free(children);
}

void scale_process_replace(struct scale_attempt *attempt)
{
    int64_t index;
    struct tw_err err = {0};
    struct children *children = calloc(1, sizeof *children);
    TW_ASSERT(children != NULL);
    enum tw_code code;
    if (!tw_int64_parse(tw_str(attempt->instance), &index) || index < 1 ||
        index > SCALE_PROCESSES_MAX)
        code = tw_err_set(&err, TW_BAD_DATA,
                          "'%s' is no number of a process: recovery.label has to give {index}",
                          attempt->instance);
    else
        code = load(attempt, children, &err);
    if (code == TW_OK) {
        struct child *child = &children->of[index];
        stop_children(attempt, children, (size_t)index, (size_t)index);
        code = start_child(attempt, (size_t)index, child, &err);
        struct tw_err save_err = {0};
        if (save(attempt, children, &save_err) != TW_OK && code == TW_OK) {
            code = save_err.code;
            err = save_err;
        }
    }
    if (code != TW_OK)
        scale_attempt_fail(attempt, code == TW_BAD_DATA ? SCALE_REFUSED : SCALE_AGAIN, "%s",
                           err.message);
    free(children);
}
