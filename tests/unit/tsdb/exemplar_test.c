/* SPDX-License-Identifier: Apache-2.0
 *
 * Exemplars: the ring's rules, and that what was acknowledged survives flushes, restarts and the
 * end of the process, and what was deleted does not.
 */
#include "config.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/unit/tsdb/store.h"
#include "tsdb/exemplar_store.h"
#include "tsdb/snapshot.h"
#include "tsdb/verify.h"

static struct tw_err err;

/* ---- the ring ---- */

static enum tsdb_exemplar_fate add(struct tsdb_exemplar_ring *ring, const char *series,
                                   int64_t time_ms, double value, const char *trace)
{
    struct wire_label items[8];
    struct wire_label label = {TW_STR("trace"), tw_str(trace)};
    struct wire_exemplar exemplar = {{&label, *trace != '\0'}, value, time_ms};
    return tsdb_exemplar_ring_add(ring, store_labels(series, items), &exemplar, 1);
}

/* "name{labels}: time=value/trace ...\n" of each series. */
static void format(const struct tsdb_exemplars *items, size_t count, struct tw_buf *ret)
{
    for (size_t i = 0; i < count; i++) {
        wire_labels_format(items[i].labels, ret);
        tw_buf_append_cstr(ret, ":");
        for (size_t j = 0; j < items[i].count; j++) {
            const struct wire_exemplar *exemplar = &items[i].items[j];
            struct tw_str trace = wire_labels_get(exemplar->labels, TW_STR("trace"));
            tw_buf_appendf(ret, " %lld=%g/%.*s", (long long)exemplar->time_ms, exemplar->value,
                           TW_STR_ARG(trace));
        }
        tw_buf_append_cstr(ret, "\n");
    }
}

static void assert_ring(struct tsdb_exemplar_ring *ring, int64_t start_ms, int64_t end_ms,
                        const char *wanted)
{
    struct tw_context context = store_context();
    struct tw_arena *arena = tw_arena_new(4096);
    struct tsdb_exemplars *items;
    size_t count;
    struct tw_buf text;
    tw_buf_init(&text, 1 << 20);
    unit_assert_ok(tsdb_exemplar_ring_select(ring, &context, NULL, 0, start_ms, end_ms, arena,
                                             &items, &count, &err),
                   &err);
    format(items, count, &text);
    ck_assert_str_eq(tw_buf_cstr(&text), wanted);
    tw_buf_fini(&text);
    tw_arena_free(arena);
}

START_TEST(keeps_the_order_of_a_series)
{
    struct tsdb_exemplar_ring *ring = tsdb_exemplar_ring_new(10);
    ck_assert_int_eq(add(ring, "m,a=1", 100, 1, "x"), TSDB_EXEMPLAR_KEPT);
    ck_assert_int_eq(add(ring, "m,a=1", 100, 1, "x"), TSDB_EXEMPLAR_DUPLICATE);
    ck_assert_int_eq(add(ring, "m,a=1", 99, 5, "x"), TSDB_EXEMPLAR_OUT_OF_ORDER);
    ck_assert_int_eq(add(ring, "m,a=1", 100, 0.5, "x"), TSDB_EXEMPLAR_OUT_OF_ORDER);
    ck_assert_int_eq(add(ring, "m,a=1", 100, 2, "x"), TSDB_EXEMPLAR_KEPT);
    ck_assert_int_eq(add(ring, "m,a=2", 50, 1, ""), TSDB_EXEMPLAR_KEPT);
    ck_assert_int_eq(add(ring, "m,a=1", 200, -1, "y"), TSDB_EXEMPLAR_KEPT);
    assert_ring(ring, 0, 1000,
                "m{a=\"1\"}: 100=1/x 100=2/x 200=-1/y\n"
                "m{a=\"2\"}: 50=1/\n");
    assert_ring(ring, 100, 199, "m{a=\"1\"}: 100=1/x 100=2/x\n");
    assert_ring(ring, 51, 99, "");
    tsdb_exemplar_ring_free(ring);
}
END_TEST

/* At one time and value the hash of the labels decides: of two orders one is refused. */
START_TEST(orders_equal_times_by_the_labels)
{
    const struct {
        const char *first, *second;
    } orders[] = {{"a", "b"}, {"b", "a"}};
    int kept = 0;
    for (int i = 0; i < 2; i++) {
        struct tsdb_exemplar_ring *ring = tsdb_exemplar_ring_new(10);
        add(ring, "m", 100, 1, orders[i].first);
        kept += add(ring, "m", 100, 1, orders[i].second) == TSDB_EXEMPLAR_KEPT;
        tsdb_exemplar_ring_free(ring);
    }
    ck_assert_int_eq(kept, 1);
}
END_TEST

START_TEST(overwrites_what_came_first)
{
    struct tsdb_exemplar_ring *ring = tsdb_exemplar_ring_new(3);
    struct tsdb_exemplar_counts counts;
    add(ring, "m,a=1", 500, 1, "");
    add(ring, "m,a=2", 100, 1, "");
    add(ring, "m,a=3", 200, 1, "");
    add(ring, "m,a=2", 300, 2, "");
    assert_ring(ring, 0, 1000, "m{a=\"2\"}: 100=1/ 300=2/\nm{a=\"3\"}: 200=1/\n");
    /* The series is forgotten, and its order with it. */
    ck_assert_int_eq(add(ring, "m,a=1", 400, 3, ""), TSDB_EXEMPLAR_KEPT);
    assert_ring(ring, 0, 1000, "m{a=\"1\"}: 400=3/\nm{a=\"2\"}: 300=2/\nm{a=\"3\"}: 200=1/\n");
    tsdb_exemplar_ring_count(ring, &counts);
    ck_assert_uint_eq(counts.exemplars, 3);
    ck_assert_uint_eq(counts.series, 3);
    ck_assert_uint_eq(counts.overwritten, 2);
    ck_assert_int_eq(counts.oldest_ms, 200);
    tsdb_exemplar_ring_resize(ring, 1);
    assert_ring(ring, 0, 1000, "m{a=\"1\"}: 400=3/\n");
    tsdb_exemplar_ring_resize(ring, 0);
    assert_ring(ring, 0, 1000, "");
    ck_assert_int_eq(add(ring, "m", 1, 1, ""), TSDB_EXEMPLAR_OFF);
    tsdb_exemplar_ring_free(ring);
    ring = tsdb_exemplar_ring_new(0);
    ck_assert_int_eq(add(ring, "m", 1, 1, ""), TSDB_EXEMPLAR_OFF);
    tsdb_exemplar_ring_free(ring);
}
END_TEST

static bool is_early(void *user, struct wire_labels series, int64_t time_ms)
{
    (void)user;
    return time_ms < 500 && tw_str_is(wire_labels_get(series, TW_STR("a")), "1");
}

START_TEST(erases_from_the_middle)
{
    struct tsdb_exemplar_ring *ring = tsdb_exemplar_ring_new(100);
    for (int i = 1; i <= 9; i++) {
        add(ring, "m,a=1", i * 100, i, "");
        if (i < 3)
            add(ring, "m,a=2", i * 100, i, "");
    }
    ck_assert_uint_eq(tsdb_exemplar_ring_erase(ring, is_early, NULL), 4);
    assert_ring(ring, 0, 1000,
                "m{a=\"1\"}: 500=5/ 600=6/ 700=7/ 800=8/ 900=9/\n"
                "m{a=\"2\"}: 100=1/ 200=2/\n");
    add(ring, "m,a=1", 1000, 10, "");
    assert_ring(ring, 900, 1000, "m{a=\"1\"}: 900=9/ 1000=10/\n");
    tsdb_exemplar_ring_free(ring);
}
END_TEST

/* Thousands of series through a small ring; the table widens and empties. */
START_TEST(many_series_come_and_go)
{
    struct tsdb_exemplar_ring *ring = tsdb_exemplar_ring_new(2000);
    struct tsdb_exemplar_counts counts;
    char name[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "m,a=%d", i % 5000);
        ck_assert_int_eq(add(ring, name, i, i, "t"), TSDB_EXEMPLAR_KEPT);
    }
    tsdb_exemplar_ring_count(ring, &counts);
    ck_assert_uint_eq(counts.exemplars, 2000);
    ck_assert_uint_eq(counts.series, 2000);
    ck_assert_uint_eq(counts.overwritten, 18000);
    assert_ring(ring, 19999, 30000, "m{a=\"4999\"}: 19999=19999/t\n");
    tsdb_exemplar_ring_free(ring);
}
END_TEST

START_TEST(bytes_come_back)
{
    const struct wire_label labels[] = {{TW_STR("span_id"), TW_STR("1")},
                                        {TW_STR("trace_id"), TW_STR("\xc3\xa9t\xc3\xa9")}};
    const struct wire_exemplar exemplar = {{labels, 2}, -0.25, -7};
    struct wire_label items[WIRE_EXEMPLAR_LABELS_MAX];
    struct wire_exemplar again;
    struct tw_buf blob;
    tw_buf_init(&blob, 4096);
    tsdb_exemplar_append(&exemplar, &blob);
    ck_assert(tsdb_exemplar_read(tw_buf_str(&blob), -7, items, &again));
    ck_assert(wire_exemplar_equal(&exemplar, &again));
    for (size_t size = 0; size < blob.size; size++) {
        char *cut = malloc(size + 1); /* of its own, so that reading beyond is seen */
        memcpy(cut, blob.data, size);
        bool whole = size == 8 || size == 8 + 1 + 7 + 1 + 1;
        ck_assert_int_eq(tsdb_exemplar_read((struct tw_str){cut, size}, 0, items, &again), whole);
        free(cut);
    }
    tw_buf_fini(&blob);
}
END_TEST

/* ---- the store ---- */

static struct tsdb_db *open_store(const char *folder, size_t exemplars_max)
{
    struct tsdb_db_options options = {
        .folder = folder, .manual = true, .exemplars_max = exemplars_max};
    struct tsdb_db *db;
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    return db;
}

static void append(struct tsdb_db *db, const char *series, int64_t time_ms, double value,
                   const char *trace)
{
    struct wire_label items[8], label = {TW_STR("trace"), tw_str(trace)};
    struct tsdb_exemplar_sample sample = {store_labels(series, items),
                                          {{&label, 1}, value, time_ms}};
    struct tw_context context = store_context();
    unit_assert_ok(tsdb_append_exemplars(tsdb_db_storage(db), &context, &sample, 1, &err), &err);
}

/* Of series that the selector name{a="..."} matches; a NULL: all of the name. On the heap. */
static char *read_store(struct tsdb_db *db, const char *name, const char *a)
{
    struct tw_context context = store_context();
    struct tw_arena *arena = tw_arena_new(4096);
    struct tsdb_matcher matchers[2];
    struct tsdb_exemplars *items;
    size_t count;
    struct tw_buf text;
    tw_buf_init(&text, 1 << 26);
    unit_assert_ok(tsdb_matcher_init(&matchers[0], TSDB_MATCH_EQUAL, TW_STR(WIRE_METRIC_NAME),
                                     tw_str(name), &err),
                   &err);
    unit_assert_ok(
        tsdb_matcher_init(&matchers[1], TSDB_MATCH_EQUAL, TW_STR("a"), tw_str(a ? a : ""), &err),
        &err);
    const struct tsdb_selector selector = {matchers, a ? 2 : 1};
    unit_assert_ok(tsdb_exemplars_select(tsdb_db_storage(db), &context, &selector, 1, INT64_MIN,
                                         INT64_MAX, arena, &items, &count, &err),
                   &err);
    format(items, count, &text);
    tw_arena_free(arena);
    tw_buf_append_char(&text, '\0');
    size_t size;
    return tw_buf_take(&text, &size);
}

#define assert_store(db, name, wanted)                                                             \
    do {                                                                                           \
        char *text_ = read_store((db), (name), NULL);                                              \
        ck_assert_str_eq(text_, (wanted));                                                         \
        free(text_);                                                                               \
    } while (0)

START_TEST(survives_flush_and_restart)
{
    char folder[300];
    snprintf(folder, sizeof folder, "%s/restart", unit_folder());
    struct tsdb_db *db = open_store(folder, 0);
    append(db, "m,a=1", 1000, 1, "x");
    assert_store(db, "m", "m{a=\"1\"}: 1000=1/x\n");
    unit_assert_ok(store_append(db, "m,a=1", 1000, 5, &err), &err);
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    append(db, "m,a=2", 500, 2, "y");
    append(db, "m,a=1", 900, 2, "late");
    append(db, "m,a=1", 1000, 1, "x");
    const char *wanted = "m{a=\"1\"}: 1000=1/x\nm{a=\"2\"}: 500=2/y\n";
    assert_store(db, "m", wanted);
    for (int i = 0; i < 3; i++) {
        tsdb_db_close(db);
        db = open_store(folder, 0);
        assert_store(db, "m", wanted);
    }
    append(db, "m,a=1", 1001, 3, "z");
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    tsdb_db_close(db);
    db = open_store(folder, 2); /* a smaller ring keeps the newest */
    assert_store(db, "m", "m{a=\"1\"}: 1001=3/z\nm{a=\"2\"}: 500=2/y\n");
    tsdb_db_close(db);
}
END_TEST

/* What was acknowledged to a process that ends without closing the store. */
static void in_child(const char *folder, size_t max, void (*body)(struct tsdb_db *db, int round),
                     int round)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        body(open_store(folder, max), round);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

static void write_some(struct tsdb_db *db, int round)
{
    char name[32];
    for (int i = 0; i < 50; i++) {
        int n = round * 50 + i;
        snprintf(name, sizeof name, "m,a=%d", n % 7);
        append(db, name, n, n, "t");
        if (n % 33 == 0 && tsdb_db_flush(db, &err) != TW_OK)
            _exit(1);
    }
}

START_TEST(survives_the_end_of_the_process)
{
    char folder[300], wanted[4096], text[64];
    snprintf(folder, sizeof folder, "%s/end", unit_folder());
    const int max = 40;
    for (int round = 0; round < 6; round++) {
        in_child(folder, max, write_some, round);
        int last = round * 50 + 49;
        wanted[0] = '\0';
        for (int a = 0; a < 7; a++) {
            snprintf(text, sizeof text, "m{a=\"%d\"}:", a);
            strcat(wanted, text);
            for (int n = last - max + 1; n <= last; n++)
                if (n % 7 == a) {
                    snprintf(text, sizeof text, " %d=%d/t", n, n);
                    strcat(wanted, text);
                }
            strcat(wanted, "\n");
        }
        /* Opening and ending again changes nothing either. */
        for (int i = 0; i < 2; i++) {
            struct tsdb_db *db = open_store(folder, max);
            assert_store(db, "m", wanted);
            tsdb_db_close(db);
        }
    }
}
END_TEST

static void delete (struct tsdb_db *db, const char *a, int64_t start_ms, int64_t end_ms)
{
    struct tw_context context = store_context();
    struct tsdb_matcher matcher;
    unit_assert_ok(tsdb_matcher_init(&matcher, TSDB_MATCH_EQUAL, TW_STR("a"), tw_str(a), &err),
                   &err);
    const struct tsdb_selector selector = {&matcher, 1};
    unit_assert_ok(tsdb_db_delete(db, &context, &selector, 1, start_ms, end_ms, &err), &err);
}

static void write_and_delete(struct tsdb_db *db, int round)
{
    append(db, "m,a=1", 100, 1, "gone");
    append(db, "m,a=2", 100, 1, "stays");
    if (round == 1 && tsdb_db_flush(db, &err) != TW_OK)
        _exit(1);
    append(db, "m,a=1", 200, 2, "gone");
    append(db, "m,a=1", 300, 3, "stays");
    delete (db, "1", 0, 200);
    append(db, "m,a=1", 400, 4, "later");
}

START_TEST(deleted_ones_do_not_come_back)
{
    const char *wanted = "m{a=\"1\"}: 300=3/stays 400=4/later\nm{a=\"2\"}: 100=1/stays\n";
    char folder[300];
    snprintf(folder, sizeof folder, "%s/delete%d", unit_folder(), _i);
    in_child(folder, 0, write_and_delete, _i);
    struct tsdb_db *db = open_store(folder, 0);
    assert_store(db, "m", wanted);
    unit_assert_ok(tsdb_db_flush(db, &err), &err);
    tsdb_db_close(db);
    db = open_store(folder, 0);
    assert_store(db, "m", wanted);
    tsdb_db_close(db);
}
END_TEST

START_TEST(old_ones_go_with_the_retention)
{
    struct tw_clock *clock = tw_clock_manual_new(10000000);
    char folder[300];
    snprintf(folder, sizeof folder, "%s/retention", unit_folder());
    struct tsdb_matcher matcher;
    unit_assert_ok(tsdb_matcher_init(&matcher, TSDB_MATCH_EQUAL, TW_STR("a"), TW_STR("1"), &err),
                   &err);
    const struct tsdb_retention_rule rule = {&matcher, 1, 1000};
    struct tsdb_db_options options = {.folder = folder,
                                      .manual = true,
                                      .clock = clock,
                                      .retention_ms = 50000,
                                      .retention_rules = &rule,
                                      .retention_rule_count = 1};
    struct tsdb_db *db;
    unit_assert_ok(tsdb_db_open(&options, &db, &err), &err);
    append(db, "m,a=1", 9999500, 1, "x");
    append(db, "m,a=2", 9999500, 1, "x");
    append(db, "m,a=2", 9940000, 1, "too old");
    append(db, "m,a=2", 90000000, 1, "future");
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    assert_store(db, "m", "m{a=\"1\"}: 9999500=1/x\nm{a=\"2\"}: 9999500=1/x\n");
    tw_clock_manual_advance(clock, 2000);
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    assert_store(db, "m", "m{a=\"2\"}: 9999500=1/x\n");
    tw_clock_manual_advance(clock, 60000);
    unit_assert_ok(tsdb_db_keep(db, &err), &err);
    assert_store(db, "m", "");
    tsdb_db_close(db);
    tw_clock_manual_free(clock);
    tsdb_matcher_fini(&matcher);
}
END_TEST

START_TEST(a_snapshot_has_them)
{
    char folder[300], copy[400];
    snprintf(folder, sizeof folder, "%s/snapshot", unit_folder());
    struct tsdb_db *db = open_store(folder, 0);
    struct tsdb_snapshot snapshot;
    append(db, "m,a=1", 1000, 1, "x");
    unit_assert_ok(tsdb_snapshot_take(db, NULL, false, &snapshot, &err), &err);
    append(db, "m,a=1", 2000, 2, "later");
    tsdb_db_close(db);
    snprintf(copy, sizeof copy, "%s/snapshots/%s", folder, snapshot.name);
    snprintf(folder, sizeof folder, "%s/restored", unit_folder());
    unit_assert_ok(tsdb_restore_run(copy, folder, false, NULL, &err), &err);
    db = open_store(folder, 0);
    assert_store(db, "m", "m{a=\"1\"}: 1000=1/x\n");
    append(db, "m,a=1", 3000, 3, "y");
    tsdb_db_close(db);
    db = open_store(folder, 0);
    assert_store(db, "m", "m{a=\"1\"}: 1000=1/x 3000=3/y\n");
    tsdb_db_close(db);
}
END_TEST

static void write_for_verify(struct tsdb_db *db, int round)
{
    (void)round;
    for (int i = 0; i < 30; i++)
        append(db, "saved", i, i, "t");
    if (tsdb_db_flush(db, &err) != TW_OK)
        _exit(1);
    append(db, "logged", 1, 1, "t");
    append(db, "saved", 100, 1, "t");
}

static const struct tsdb_verify_file *find_file(const struct tsdb_verify_report *report,
                                                enum tsdb_verify_kind kind)
{
    for (size_t i = 0; i < report->count; i++)
        if (report->files[i].kind == kind)
            return &report->files[i];
    return NULL;
}

START_TEST(verify_and_salvage_know_them)
{
    char folder[300], path[400], to[300];
    snprintf(folder, sizeof folder, "%s/verify", unit_folder());
    snprintf(to, sizeof to, "%s/salvaged", unit_folder());
    in_child(folder, 0, write_for_verify, 0);
    const struct tsdb_verify_options options = {.folder = folder, .in_process = true};
    struct tsdb_verify_report report;
    unit_assert_ok(tsdb_verify_run(&options, &report, &err), &err);
    ck_assert_uint_eq(report.damaged, 0);
    ck_assert_uint_eq(find_file(&report, TSDB_VERIFY_EXEMPLARS)->exemplars, 30);
    ck_assert_uint_eq(find_file(&report, TSDB_VERIFY_EXEMPLARS)->series, 1);
    ck_assert_uint_eq(find_file(&report, TSDB_VERIFY_SEGMENT)->exemplars, 2);
    tsdb_verify_report_fini(&report);

    /* One value is damaged; the others are kept. */
    snprintf(path, sizeof path, "%s/default/exemplars.mdb", folder);
    struct tw_buf bytes;
    tw_buf_init(&bytes, (size_t)1 << 26);
    unit_assert_ok(tw_file_read(path, &bytes, &err), &err);
    size_t flipped = 0;
    struct tw_str all = tw_buf_str(&bytes);
    for (size_t at;
         (at = tw_str_find(tw_str_slice(all, flipped, all.size), TW_STR("saved"))) != SIZE_MAX;) {
        flipped += at + 5;
        bytes.data[flipped - 5] = 'S';
        break;
    }
    ck_assert_uint_gt(flipped, 0);
    int fd = open(path, O_WRONLY | O_TRUNC);
    unit_assert_ok(tw_file_write_all(fd, bytes.data, bytes.size, path, &err), &err);
    close(fd);
    tw_buf_fini(&bytes);
    unit_assert_ok(tsdb_salvage_run(&options, to, &report, &err), &err);
    ck_assert_uint_ge(report.damaged, 1);
    tsdb_verify_report_fini(&report);
    struct tsdb_db *db = open_store(to, 0);
    assert_store(db, "logged", "logged: 1=1/t\n");
    char *text = read_store(db, "saved", NULL);
    size_t count = 0;
    for (const char *at = text; (at = strchr(at, '=')) != NULL; at++)
        count++;
    ck_assert_uint_ge(count, 30);
    free(text);
    tsdb_db_close(db);
}
END_TEST

START_TEST(refuses_bad_ones_and_keeps_the_rest)
{
    char folder[300], longest[200];
    snprintf(folder, sizeof folder, "%s/bad", unit_folder());
    memset(longest, 'x', sizeof longest);
    struct tsdb_db *db = open_store(folder, 0);
    struct wire_label items[2][8];
    const struct wire_label long_label = {TW_STR("trace"), {longest, sizeof longest}};
    const struct tsdb_exemplar_sample samples[] = {
        {store_labels("m,a=1", items[0]), {{&long_label, 1}, 1, 1}},
        {store_labels("m,a=2", items[1]), {{NULL, 0}, 1, 1}}};
    struct tw_context context = store_context();
    unit_assert_code(tsdb_append_exemplars(tsdb_db_storage(db), &context, samples, 2, &err),
                     TW_BAD_DATA);
    unit_assert_contains(err.message, "exceeds maximum of 128 UTF-8 characters");
    assert_store(db, "m", "m{a=\"2\"}: 1=1/\n");
    tsdb_db_close(db);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(keeps_the_order_of_a_series),
                                      UNIT_CASE(orders_equal_times_by_the_labels),
                                      UNIT_CASE(overwrites_what_came_first),
                                      UNIT_CASE(erases_from_the_middle),
                                      UNIT_CASE(many_series_come_and_go),
                                      UNIT_CASE(bytes_come_back),
                                      UNIT_CASE(survives_flush_and_restart),
                                      UNIT_CASE(survives_the_end_of_the_process),
                                      UNIT_LOOP(deleted_ones_do_not_come_back, 0, 2),
                                      UNIT_CASE(old_ones_go_with_the_retention),
                                      UNIT_CASE(a_snapshot_has_them),
                                      UNIT_CASE(verify_and_salvage_know_them),
                                      UNIT_CASE(refuses_bad_ones_and_keeps_the_rest),
                                      {0}};
    return unit_run("exemplar", cases);
}
