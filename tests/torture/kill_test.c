/* SPDX-License-Identifier: Apache-2.0
 *
 * kill_test: a process that ingests, flushes and reads is killed with SIGKILL at a random moment,
 * over and over on the same folder. What it had acknowledged must be there, unchanged; nothing may
 * be there that was never sent.
 *
 * The victim writes batch after batch, each with one sample of every series at the batch's time,
 * and after each acknowledgement says the batch's number through a pipe. The value follows from
 * series and batch, so that the parent knows what every sample must be. Late batches rewrite old
 * times with the same rule, so that overwriting is part of it.
 *
 * TW_KILL_ROUNDS chooses how many rounds; 12 without it, 1000 under TW_LONG=1.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tsdb/store.h"

#define ROUNDS 12
#define LONG_ROUNDS 1000
#define SERIES_COUNT 50
#define STEP_MS 60000

/* Of a victim's life at most: killed while it opens the store, at its first batches, or later. */
static const unsigned delays_us[] = {4000, 15000, 60000, 250000};
#define DELAY_COUNT (sizeof delays_us / sizeof *delays_us)
/* Between two batches at most: from many in a segment to few. */
static const unsigned pauses_us[] = {0, 0, 2000, 20000};
#define PAUSE_COUNT (sizeof pauses_us / sizeof *pauses_us)
/* After so many rounds another store begins: a young one, of which all is soon read. */
#define ROUNDS_A_STORE 60

static char folder[4096];
static struct tw_err err;

static struct wire_labels labels_of(int series, struct wire_label *items)
{
    static char names[SERIES_COUNT][24];
    snprintf(names[series], sizeof names[series], "s%d", series);
    items[0] = (struct wire_label){TW_STR(WIRE_METRIC_NAME), TW_STR("kill")};
    items[1] = (struct wire_label){TW_STR("series"), tw_str(names[series])};
    return (struct wire_labels){items, 2};
}

static double value_of(int series, int64_t batch)
{
    return (double)batch * 1.25 + series;
}

static struct tsdb_db *open_db(bool manual)
{
    struct tsdb_db *db;
    struct tsdb_db_options options = {.folder = folder, .head_bytes_max = 100000, .manual = manual};
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    return db;
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *seed >> 33;
}

/* Runs until it is killed. Between batches it pauses for up to pause_us. */
static _Noreturn void victim(int pipe_fd, int64_t batch, uint64_t seed, unsigned pause_us)
{
    struct tsdb_db *db = open_db(false);
    struct tw_context context = store_context();
    for (;; batch++) {
        struct tsdb_sample samples[2 * SERIES_COUNT];
        static struct wire_label items[2 * SERIES_COUNT][2];
        size_t count = 0;
        for (int i = 0; i < SERIES_COUNT; i++, count++)
            samples[count] = (struct tsdb_sample){labels_of(i, items[count]), batch * STEP_MS,
                                                  value_of(i, batch)};
        if (batch % 7 == 0) /* an old batch again */
            for (int i = 0; i < SERIES_COUNT; i++, count++)
                samples[count] = (struct tsdb_sample){labels_of(i, items[count]),
                                                      batch / 2 * STEP_MS, value_of(i, batch / 2)};
        if (tsdb_append(tsdb_db_storage(db), &context, samples, count, &err) != TW_OK ||
            write(pipe_fd, &batch, sizeof batch) != sizeof batch)
            _exit(1);
        if (pause_us > 0)
            usleep((useconds_t)next_random(&seed) % pause_us);
        if (batch % 97 == 0)
            free(store_read(db, "kill", "series", "s1", 0, batch * STEP_MS));
    }
}

/* Every acknowledged batch is whole, and whatever else is there is right. Returns the last batch
 * that is there, acknowledged or not. */
static int64_t check_all(int64_t acknowledged)
{
    struct tsdb_db *db = open_db(true);
    struct tw_context context = store_context();
    struct tsdb_selection *selection;
    struct tsdb_cursor *cursor;
    struct tsdb_column column;
    unit_assert_ok(tsdb_select(tsdb_db_storage(db), &context, NULL, 0, INT64_MIN, INT64_MAX,
                               &(struct tsdb_hints){0}, &selection, &err),
                   &err);
    if (acknowledged >= 0)
        ck_assert_uint_eq(tsdb_selection_count(selection), SERIES_COUNT);
    unit_assert_ok(tsdb_cursor_open(selection, &cursor, &err), &err);
    int64_t last = acknowledged;
    for (size_t i = 0; i < tsdb_selection_count(selection); i++) {
        struct tw_str name = wire_labels_get(tsdb_selection_labels(selection, i), TW_STR("series"));
        int series = store_number(name);
        ck_assert_int_lt(series, SERIES_COUNT);
        int64_t batch = 0;
        tsdb_cursor_seek(cursor, i, INT64_MIN, INT64_MAX);
        for (;;) {
            unit_assert_ok(tsdb_cursor_next(cursor, &column, &err), &err);
            if (column.count == 0)
                break;
            for (size_t j = 0; j < column.count; j++, batch++) {
                ck_assert_msg(column.times_ms[j] == batch * STEP_MS,
                              "series %d has a sample at %lld where batch %lld is expected; %lld "
                              "was acknowledged",
                              series, (long long)column.times_ms[j], (long long)batch,
                              (long long)acknowledged);
                ck_assert_msg(column.values[j] == value_of(series, batch),
                              "series %d has %.17g of batch %lld, where %.17g was sent; %lld was "
                              "acknowledged",
                              series, column.values[j], (long long)batch, value_of(series, batch),
                              (long long)acknowledged);
            }
        }
        ck_assert_msg(batch > acknowledged, "series %d ends at batch %lld, %lld was acknowledged",
                      series, (long long)batch - 1, (long long)acknowledged);
        last = batch - 1 > last ? batch - 1 : last;
    }
    tsdb_cursor_close(cursor);
    tsdb_selection_close(selection);
    tsdb_db_close(db);
    return last;
}

START_TEST(nothing_acknowledged_is_lost)
{
    int rounds = store_rounds("TW_KILL_ROUNDS", ROUNDS, LONG_ROUNDS);
    uint64_t seed = (uint64_t)getpid() * 2654435761u;
    int64_t acknowledged = -1, next = 0, in_all = 0;
    for (int round = 0; round < rounds; round++) {
        int ends[2];
        if (round % ROUNDS_A_STORE == 0) {
            snprintf(folder, sizeof folder, "%s/kill-%d", unit_folder(), round);
            acknowledged = -1, next = 0;
        }
        ck_assert_int_eq(pipe(ends), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            close(ends[0]);
            victim(ends[1], next, seed, pauses_us[(seed >> 24) % PAUSE_COUNT]);
        }
        close(ends[1]);
        usleep((useconds_t)next_random(&seed) % delays_us[(seed >> 20) % DELAY_COUNT]);
        kill(pid, SIGKILL);
        int64_t batch;
        for (; read(ends[0], &batch, sizeof batch) == sizeof batch; in_all++)
            acknowledged = batch;
        close(ends[0]);
        int status;
        waitpid(pid, &status, 0);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
                      "the victim ended by itself");
        /* Every third time the next victim takes over without a clean stop in between. */
        if (round % 3 == 2 || round == rounds - 1)
            next = check_all(acknowledged) + 1;
        else
            next = acknowledged + 1;
    }
    ck_assert_int_gt(in_all, 0);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE_SLOW(nothing_acknowledged_is_lost, 36000), {0}};
    return unit_run("torture/kill", cases);
}
