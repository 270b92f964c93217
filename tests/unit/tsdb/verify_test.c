/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_test: a whole store verifies; whatever keeps a store from being read is found; and what is
 * salvaged of a damaged one is a whole store again, without a sample that was not in the old one.
 * TW_FLIPS chooses how many bytes are changed in each file.
 */
#include "config.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/state.h"
#include "tsdb/verify.h"

#define FLIPS 12
#define SERIES_COUNT 40
#define STEPS 120

static char path[4096], copy[4200];
static struct tw_err err;

static double value_of(int series, int step)
{
    return series % 3 ? step * 0.25 + series : (step * 7919 % 1000) / 7.0 + series;
}

static int64_t time_of(int step)
{
    return (step >= STEPS / 2 ? TSDB_DAY_MS : 0) + step * INT64_C(150000);
}

static void write_steps(struct tsdb_db *db, int first, int limit)
{
    struct tw_context context = store_context();
    for (int step = first; step < limit; step++) {
        struct tsdb_sample samples[SERIES_COUNT];
        static struct wire_label items[SERIES_COUNT][8];
        static char names[SERIES_COUNT][96];
        for (int i = 0; i < SERIES_COUNT; i++) {
            snprintf(names[i], sizeof names[i], "m%d,host=h%d-%030d", i % 3, i, i);
            samples[i] = (struct tsdb_sample){store_labels(names[i], items[i]), time_of(step),
                                              value_of(i, step)};
        }
        unit_assert_ok(tsdb_append(tsdb_db_storage(db), &context, samples, SERIES_COUNT, &err),
                       &err);
    }
}

/* Two days in partitions, the second with two runs, a segment that a killed process left, metadata
 * and state. */
static void make_store(void)
{
    struct tsdb_db *db;
    struct tsdb_state *state;
    struct tsdb_state_txn *txn;
    char folder[4200];
    unit_assert_ok(
        tsdb_db_open(&(struct tsdb_db_options){.folder = path, .manual = true}, &db, &err), &err);
    write_steps(db, 0, STEPS / 2 + 10);
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    write_steps(db, STEPS / 2 + 10, STEPS - 20);
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    struct tw_context context = store_context();
    struct tsdb_metadata metadata = {TW_STR("m1"), TW_STR("gauge"), TW_STR("help"), TW_STR("")};
    unit_assert_ok(tsdb_append_metadata(tsdb_db_storage(db), &context, &metadata, 1, &err), &err);
    write_steps(db, STEPS - 20, STEPS);
    snprintf(folder, sizeof folder, "%s/state", path);
    unit_assert_ok(tsdb_state_open(folder, &state, &err), &err);
    unit_assert_ok(tsdb_state_begin(state, true, &txn, &err), &err);
    unit_assert_ok(tsdb_state_put(txn, "alerts", TW_STR("key"), TW_STR("value"), &err), &err);
    unit_assert_ok(tsdb_state_commit(txn, &err), &err);
    tsdb_state_close(state);
    /* Not closed: the log stays. */
}

static void make_in_child(void)
{
    snprintf(path, sizeof path, "%s/store", unit_folder());
    snprintf(copy, sizeof copy, "%s/salvaged", unit_folder());
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        make_store();
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
}

static struct tsdb_verify_report verify(const char *folder)
{
    struct tsdb_verify_report report;
    struct tsdb_verify_options options = {.folder = folder};
    unit_assert_ok(tsdb_verify_run(&options, &report, &err), &err);
    return report;
}

static void assert_whole(const char *folder)
{
    struct tsdb_verify_report report = verify(folder);
    for (size_t i = 0; i < report.count; i++)
        ck_assert_msg(report.files[i].finding_count == 0, "%s: %s", report.files[i].path,
                      report.files[i].findings[0]);
    tsdb_verify_report_fini(&report);
}

START_TEST(a_whole_store_is_whole)
{
    make_in_child();
    struct tsdb_verify_report report = verify(path);
    uint64_t samples = 0;
    size_t kinds[TSDB_VERIFY_EXEMPLARS + 1] = {0};
    for (size_t i = 0; i < report.count; i++) {
        ck_assert_msg(report.files[i].finding_count == 0, "%s: %s", report.files[i].path,
                      report.files[i].findings[0]);
        samples += report.files[i].samples;
        kinds[report.files[i].kind]++;
    }
    ck_assert_uint_eq(samples, SERIES_COUNT * STEPS);
    ck_assert_uint_eq(kinds[TSDB_VERIFY_PARTITION], 2);
    ck_assert_uint_ge(kinds[TSDB_VERIFY_SEGMENT], 1);
    ck_assert_uint_eq(kinds[TSDB_VERIFY_CATALOG], 1);
    ck_assert_uint_eq(kinds[TSDB_VERIFY_STATE], 1);
    ck_assert_uint_eq(report.damaged, 0);
    tsdb_verify_report_fini(&report);
}
END_TEST

START_TEST(refuses_what_it_cannot_check)
{
    struct tsdb_verify_report report;
    struct tsdb_db *db;
    snprintf(path, sizeof path, "%s/store", unit_folder());
    struct tsdb_verify_options options = {.folder = path};
    unit_assert_code(tsdb_verify_run(&options, &report, &err), TW_NOT_FOUND);
    unit_assert_ok(
        tsdb_db_open(&(struct tsdb_db_options){.folder = path, .manual = true}, &db, &err), &err);
    pid_t pid = fork(); /* a lock is the process's */
    if (pid == 0)
        _exit(tsdb_verify_run(&options, &report, &err) == TW_BUSY ? 0 : 1);
    int status;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    tsdb_db_close(db);
    unit_assert_code(tsdb_salvage_run(&options, path, &report, &err), TW_CONFLICT);
}
END_TEST

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

/* How many samples the store has; each is one that was written. SIZE_MAX: it cannot be read. */
static size_t count_samples(const char *folder)
{
    struct tsdb_db *db;
    size_t count = 0;
    struct tw_context context = store_context();
    struct tsdb_selection *selection;
    struct tsdb_cursor *cursor;
    struct tsdb_column column;
    if (tsdb_db_open(&(struct tsdb_db_options){.folder = folder, .manual = true}, &db, &err) !=
        TW_OK)
        return SIZE_MAX;
    if (tsdb_select(tsdb_db_storage(db), &context, NULL, 0, INT64_MIN, INT64_MAX,
                    &(struct tsdb_hints){0}, &selection, &err) != TW_OK) {
        tsdb_db_close(db);
        return SIZE_MAX;
    }
    bool opened = tsdb_cursor_open(selection, &cursor, &err) == TW_OK, readable = opened;
    for (size_t i = 0; readable && i < tsdb_selection_count(selection); i++) {
        struct tw_str host = wire_labels_get(tsdb_selection_labels(selection, i), TW_STR("host"));
        int series = store_number(host);
        tsdb_cursor_seek(cursor, i, INT64_MIN, INT64_MAX);
        while ((readable = tsdb_cursor_next(cursor, &column, &err) == TW_OK) && column.count > 0)
            for (size_t j = 0; j < column.count; j++, count++) {
                int64_t within = column.times_ms[j] % TSDB_DAY_MS;
                int step = (int)(within / 150000);
                ck_assert_int_eq(time_of(step), column.times_ms[j]);
                ck_assert(column.values[j] == value_of(series, step));
            }
    }
    if (opened)
        tsdb_cursor_close(cursor);
    tsdb_selection_close(selection);
    tsdb_db_close(db);
    return readable ? count : SIZE_MAX;
}

/* Reading changes a store (the log is flushed): it is done on a copy. */
static void copy_store(const char *to)
{
    char text[10000];
    snprintf(text, sizeof text, "cp -r '%s' '%s'", path, to);
    ck_assert_int_eq(system(text), 0);
}

static void drop(const char *folder)
{
    unit_assert_ok(tw_file_remove_folder(folder, &err), &err);
}

static size_t salvage(uint64_t *ret_said)
{
    struct tsdb_verify_report report;
    struct tsdb_verify_options options = {.folder = path};
    unit_assert_ok(tsdb_salvage_run(&options, copy, &report, &err), &err);
    *ret_said = report.samples;
    tsdb_verify_report_fini(&report);
    assert_whole(copy);
    size_t count = count_samples(copy);
    ck_assert_msg(count != SIZE_MAX, "what was salvaged cannot be read: %s", err.message);
    drop(copy);
    return count;
}

static void damage_file(const char *name, uint64_t *seed)
{
    char file[4400];
    struct stat status;
    snprintf(file, sizeof file, "%s/%s", path, name);
    ck_assert_int_eq(stat(file, &status), 0);
    int flips = store_rounds("TW_FLIPS", FLIPS, 400), found = 0;
    for (int i = 0; i < flips || (found < 2 && i < 400); i++) {
        *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        long offset = (long)((*seed >> 20) % (uint64_t)status.st_size);
        int mask = 1 << (*seed >> 61);
        flip(file, offset, mask);
        struct tsdb_verify_report report = verify(path);
        copy_store(copy);
        size_t readable = count_samples(copy);
        drop(copy);
        bool damaged = report.damaged > 0;
        tsdb_verify_report_fini(&report);
        ck_assert_msg(damaged || readable == SERIES_COUNT * STEPS,
                      "%s: a flip at %ld was not found, reading gives: %s", name, offset,
                      readable == SIZE_MAX ? err.message : "less");
        if (damaged) {
            uint64_t said;
            size_t count = salvage(&said);
            ck_assert_uint_le(count, SERIES_COUNT * STEPS);
            ck_assert_msg(count >= said, "%s, a flip at %ld: %zu salvaged, %llu said", name, offset,
                          count, (unsigned long long)said);
            found++;
        }
        flip(file, offset, mask);
    }
    ck_assert_int_gt(found, 0);
}

START_TEST(damage_is_found_and_the_rest_salvaged)
{
    make_in_child();
    uint64_t seed = 11;
    struct tsdb_verify_report report = verify(path);
    for (size_t i = 0; i < report.count; i++)
        if (report.files[i].samples > 0)
            damage_file(report.files[i].path, &seed);
    tsdb_verify_report_fini(&report);
    assert_whole(path);
}
END_TEST

/* A file that is cut off, and one whose roots are gone: most is still found. */
START_TEST(lost_pages_cost_what_was_on_them)
{
    make_in_child();
    char file[4400];
    struct stat status;
    uint64_t said;
    snprintf(file, sizeof file, "%s/default/partitions/day-0.mdb", path);
    ck_assert_int_eq(stat(file, &status), 0);
    struct tw_buf content;
    tw_buf_init(&content, (size_t)1 << 26);
    unit_assert_ok(tw_file_read(file, &content, &err), &err);

    ck_assert_int_eq(truncate(file, status.st_size - 4096), 0);
    struct tsdb_verify_report report = verify(path);
    ck_assert_uint_eq(report.damaged, 1);
    tsdb_verify_report_fini(&report);
    ck_assert_uint_ge(salvage(&said), SERIES_COUNT * STEPS / 2);

    char *zeros = calloc(2, 4096);
    FILE *stream = fopen(file, "wb");
    ck_assert(stream != NULL && fwrite(zeros, 4096, 2, stream) == 2 &&
              fwrite(content.data + 8192, 1, content.size - 8192, stream) == content.size - 8192);
    fclose(stream);
    free(zeros);
    report = verify(path);
    ck_assert_uint_eq(report.damaged, 1);
    tsdb_verify_report_fini(&report);
    ck_assert_uint_eq(salvage(&said), SERIES_COUNT * STEPS);
    tw_buf_fini(&content);
}
END_TEST

static enum tw_code select_day(struct tsdb_db *db, int64_t day)
{
    struct tw_context context = store_context();
    struct tsdb_selection *selection;
    enum tw_code code =
        tsdb_select(tsdb_db_storage(db), &context, NULL, 0, day * TSDB_DAY_MS,
                    (day + 1) * TSDB_DAY_MS - 1, &(struct tsdb_hints){0}, &selection, &err);
    if (code == TW_OK)
        tsdb_selection_close(selection);
    return code;
}

/* The server goes on with all other days, and with new samples of that day. */
START_TEST(a_damaged_partition_is_set_aside)
{
    make_in_child();
    char file[4400], other[4500];
    uint64_t said;
    snprintf(file, sizeof file, "%s/default/partitions/day-0.mdb", path);
    snprintf(other, sizeof other, "%s.damaged", file);
    for (long page = 2; page < 5; page++) /* bounds of pages */
        flip(file, page * 4096 + 12, 1);
    struct tsdb_db *db;
    unit_assert_ok(
        tsdb_db_open(&(struct tsdb_db_options){.folder = path, .manual = true}, &db, &err), &err);
    ck_assert(tw_file_exists(other) && !tw_file_exists(file));
    unit_assert_code(select_day(db, 1), TW_OK);
    unit_assert_code(select_day(db, 0), TW_CORRUPT);
    unit_assert_contains(err.message, "day-0.mdb.damaged");
    unit_assert_contains(err.message, "tidewatch verify");
    unit_assert_ok(store_append(db, "m0,host=h0-000000000000000000000000000000", time_of(0),
                                value_of(0, 0), &err),
                   &err);
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    ck_assert(tw_file_exists(file));
    unit_assert_code(select_day(db, 0), TW_CORRUPT);
    tsdb_db_close(db);
    ck_assert_uint_ge(salvage(&said), SERIES_COUNT * STEPS / 2);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(a_whole_store_is_whole),
                                      UNIT_CASE(refuses_what_it_cannot_check),
                                      UNIT_CASE_SLOW(damage_is_found_and_the_rest_salvaged, 3600),
                                      UNIT_CASE_SLOW(a_damaged_partition_is_set_aside, 120),
                                      UNIT_CASE_SLOW(lost_pages_cost_what_was_on_them, 120),
                                      {0}};
    return unit_run("tsdb/verify", cases);
}
