/* SPDX-License-Identifier: Apache-2.0
 *
 * store: helpers of the store's tests: label sets from text, appending, and reading back.
 */
#ifndef TW_TESTS_STORE_H
#define TW_TESTS_STORE_H

#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "tests/lib/unit.h"
#include "tsdb/db.h"

/* "name,a=b,c=d" with labels in order; the text must outlive the labels. items holds 8. */
static inline struct wire_labels store_labels(const char *text, struct wire_label *items)
{
    size_t count = 0;
    struct tw_str rest = tw_str(text), part;
    while (tw_str_split(&rest, ',', &part)) {
        size_t at = tw_str_find(part, TW_STR("="));
        items[count++] = at == SIZE_MAX
                             ? (struct wire_label){TW_STR(WIRE_METRIC_NAME), part}
                             : (struct wire_label){tw_str_slice(part, 0, at),
                                                   tw_str_slice(part, at + 1, part.size)};
    }
    return (struct wire_labels){items, count};
}

/* "s12" and "s12-more" are 12. The text of a label ends where its size says: what lies behind it is
 * another one's. */
static inline int store_number(struct tw_str text)
{
    int number = 0;
    size_t at = 1;
    for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9' && at < 9; at++)
        number = number * 10 + text.data[at] - '0';
    ck_assert_msg(at > 1, "'%.*s' is no letter and a number", TW_STR_ARG(text));
    return number;
}

/* A number from the environment, else the long form's under TW_LONG=1, else the short one's. */
static inline int store_rounds(const char *variable, int short_rounds, int long_rounds)
{
    const char *wanted = getenv(variable), *length = getenv("TW_LONG");
    if (wanted)
        return atoi(wanted);
    return length && strcmp(length, "1") == 0 ? long_rounds : short_rounds;
}

static inline struct tw_context store_context(void)
{
    struct tw_context context;
    tw_context_init(&context, tw_clock_system());
    return context;
}

static inline enum tw_code store_append(struct tsdb_db *db, const char *series, int64_t time_ms,
                                        double value, struct tw_err *err)
{
    struct wire_label items[8];
    struct tsdb_sample sample = {store_labels(series, items), time_ms, value};
    struct tw_context context = store_context();
    return tsdb_append(tsdb_db_storage(db), &context, &sample, 1, err);
}

/* Selects name{label="value"} (label NULL: all of the metric; name NULL: everything) and prints
 * "labels: time=value time=value\n" for each series. The text is on the heap. */
static inline char *store_read(struct tsdb_db *db, const char *name, const char *label,
                               const char *value, int64_t start_ms, int64_t end_ms)
{
    struct tw_err err;
    struct tsdb_matcher matchers[2];
    size_t count = 0;
    if (name)
        unit_assert_ok(tsdb_matcher_init(&matchers[count++], TSDB_MATCH_EQUAL,
                                         TW_STR(WIRE_METRIC_NAME), tw_str(name), &err),
                       &err);
    if (label)
        unit_assert_ok(tsdb_matcher_init(&matchers[count++], TSDB_MATCH_EQUAL, tw_str(label),
                                         tw_str(value), &err),
                       &err);
    struct tw_context context = store_context();
    struct tsdb_selection *selection;
    unit_assert_ok(tsdb_select(tsdb_db_storage(db), &context, matchers, count, start_ms, end_ms,
                               &(struct tsdb_hints){0}, &selection, &err),
                   &err);
    struct tsdb_cursor *cursor;
    unit_assert_ok(tsdb_cursor_open(selection, &cursor, &err), &err);
    struct tw_buf text;
    tw_buf_init(&text, (size_t)1 << 26);
    for (size_t i = 0; i < tsdb_selection_count(selection); i++) {
        size_t at = text.size, samples = 0;
        wire_labels_format(tsdb_selection_labels(selection, i), &text);
        tw_buf_append_cstr(&text, ":");
        tsdb_cursor_seek(cursor, i, start_ms, end_ms);
        struct tsdb_column column;
        for (;;) {
            unit_assert_ok(tsdb_cursor_next(cursor, &column, &err), &err);
            if (column.count == 0)
                break;
            for (size_t j = 0; j < column.count; j++) {
                if (column.kind != TSDB_KIND_FLOAT) {
                    tw_buf_appendf(&text, " %lld=histogram", (long long)column.times_ms[j]);
                    samples++;
                    continue;
                }
                char number[TW_DOUBLE_BYTES];
                tw_double_format_general(column.values[j], number);
                tw_buf_appendf(&text, " %lld=%s", (long long)column.times_ms[j],
                               tw_double_is_stale(column.values[j]) ? "stale" : number);
                samples++;
            }
        }
        tw_buf_append_cstr(&text, "\n");
        if (samples == 0)
            text.size = at;
    }
    tsdb_cursor_close(cursor);
    tsdb_selection_close(selection);
    tw_buf_append_char(&text, '\0');
    size_t size;
    return tw_buf_take(&text, &size);
}

#define store_assert(db, name, start_ms, end_ms, wanted)                                           \
    do {                                                                                           \
        char *store_text_ = store_read((db), (name), NULL, NULL, (start_ms), (end_ms));            \
        ck_assert_str_eq(store_text_, (wanted));                                                   \
        free(store_text_);                                                                         \
    } while (0)

#endif
