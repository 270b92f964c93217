/* SPDX-License-Identifier: Apache-2.0
 *
 * Queries that want to take the server down: each gets an answer or a clear error, within its time
 * and its memory.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "query/engine.h"
#include "tests/lib/memory_storage.h"
#include "tests/lib/unit.h"

#define SERIES 300
#define SAMPLES 40
#define DENSE_SAMPLES 20000
#define END_MS 600000

#define BYTES_MAX (UINT64_C(48) << 20)
#define TIMEOUT_MS 300
/* Between two looks at the clock little is done: much less than this, in time of the processor. */
#define CPU_SECONDS_MAX 5

static struct tsdb_storage *storage;
static struct query_engine *hasty, *patient; /* whose queries may meet the deadline, or not */
static struct query_running *running;
static struct tw_context context;
static struct tw_buf text;
static uint64_t bytes_most;

static void note_bytes(void *user, const struct query_account *account, enum tw_code code)
{
    (void)user;
    (void)code;
    bytes_most = account->bytes;
}

static void begin(void)
{
    struct tw_err err;
    const struct query_running_options options = {.clock = tw_clock_system(), .ended = note_bytes};
    unit_assert_ok(query_running_new(&options, &running, &err), &err);
    storage = memory_storage_new();
    tw_context_init(&context, tw_clock_system());
    tw_buf_init(&text, (size_t)16 << 20);
    for (int i = 0; i < SERIES; i++) {
        char series[16], group[16];
        snprintf(series, sizeof series, "%d", i);
        snprintf(group, sizeof group, "%d", i % 10);
        for (int s = 0; s < SAMPLES; s++)
            memory_storage_add(storage, s * 15000, s * (i + 1) + 0.123456789 * i, "__name__", "m",
                               "i", series, "g", group, NULL);
    }
    for (int s = 0; s < DENSE_SAMPLES; s++)
        memory_storage_add(storage, s * 30, s % 7 ? s : (double)INFINITY, "__name__", "dense",
                           NULL);
    struct query_options limits = {.timeout_ms = TIMEOUT_MS,
                                   .bytes_max = BYTES_MAX,
                                   .features = QUERY_FEATURES_ALL,
                                   .running = running};
    hasty = query_engine_new(storage, &limits);
    limits.timeout_ms = 0;
    patient = query_engine_new(storage, &limits);
}

static void end(void)
{
    query_engine_free(hasty);
    query_engine_free(patient);
    query_running_free(running);
    memory_storage_free(storage);
    tw_buf_fini(&text);
}

/* step_ms 0: an instant query. The code of its end, after time and memory were looked at. */
static enum tw_code ask(struct query_engine *engine, struct tw_str query, int64_t step_ms,
                        struct tw_err *err)
{
    struct query_result *result = NULL;
    clock_t begun = clock();
    bytes_most = 0;
    enum tw_code code = step_ms
                            ? query_range(engine, &context, query, 0, END_MS, step_ms, &result, err)
                            : query_instant(engine, &context, query, END_MS, &result, err);
    double seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
    const char *shown = query.size < 200 ? query.data : "a long query";
    ck_assert_msg(seconds < CPU_SECONDS_MAX, "%.3f s: %s", seconds, shown);
    ck_assert_msg(bytes_most < BYTES_MAX * 5 / 4, "%.1f MiB: %s", (double)bytes_most / 1048576,
                  shown);
    query_result_free(result);
    return code;
}

static struct tw_str repeat(const char *head, const char *item, size_t count, const char *middle,
                            const char *last, const char *tail)
{
    tw_buf_clear(&text);
    tw_buf_append_cstr(&text, head);
    for (size_t i = 0; i < count; i++)
        tw_buf_append_cstr(&text, item);
    tw_buf_append_cstr(&text, middle);
    for (size_t i = 0; i < count; i++)
        tw_buf_append_cstr(&text, last);
    tw_buf_append_cstr(&text, tail);
    return (struct tw_str){tw_buf_cstr(&text), text.size};
}

/* head item item ... middle last last ... tail */
struct repeated {
    const char *head, *item;
    size_t count;
    const char *middle, *last, *tail;
    int64_t step_ms;
    enum tw_code code;    /* TW_CODE_COUNT: whatever comes first of an answer and the limits */
    const char *sentence; /* of the error; NULL: whatever it is */
};

static void check(struct tw_str query, int64_t step_ms, enum tw_code wanted, const char *sentence)
{
    struct tw_err err = {0};
    enum tw_code code = ask(wanted == TW_CODE_COUNT ? hasty : patient, query, step_ms, &err);
    const char *shown = query.size < 200 ? query.data : "a long query";
    bool is_fine = wanted == TW_CODE_COUNT ? code == TW_OK || code == TW_LIMIT || code == TW_TIMEOUT
                                           : code == wanted;
    ck_assert_msg(is_fine, "%s (%s): %s", tw_code_name(code), err.message, shown);
    if (code && sentence)
        unit_assert_contains(err.message, sentence);
    if (code == TW_SYNTAX && query.size <= ((size_t)1 << 20))
        unit_assert_contains(err.message, "1:"); /* the place */
}

static void check_repeated(const struct repeated *cases, size_t count)
{
    begin();
    for (size_t i = 0; i < count; i++) {
        const struct repeated *one = &cases[i];
        check(repeat(one->head, one->item, one->count, one->middle, one->last, one->tail),
              one->step_ms, one->code, one->sentence);
    }
    end();
}

START_TEST(deep_and_long_chains)
{
    static const struct repeated cases[] = {
        {"m", " or m", 299, "", "", "", 0, TW_OK, NULL},
        {"m", " or m", 299, "", "", "", 15000, TW_OK, NULL},
        {"m", " or on (i) (m)", 299, "", "", "", 15000, TW_OK, NULL},
        {"", "m or (", 240, "m", ")", "", 15000, TW_OK, NULL},
        {"m", " and m", 900, "", "", "", 15000, TW_CODE_COUNT, NULL},
        {"m", " unless on () m", 900, "", "", "", 15000, TW_CODE_COUNT, NULL},
        {"m", " + m", 900, "", "", "", 15000, TW_CODE_COUNT, NULL},
        {"", "(m + ", 240, "m", ")", "", 15000, TW_CODE_COUNT, NULL},
        {"m", " + on (i) group_left () m", 900, "", "", "", 15000, TW_CODE_COUNT, NULL},
        {"", "sum by (i, g) (", 490, "m", ")", "", 1000, TW_CODE_COUNT, NULL},
        {"", "abs(", 490, "m", ")", "", 1000, TW_CODE_COUNT, NULL},
        {"", "sort(", 490, "m", ")", "", 0, TW_OK, NULL},
        {"", "topk(1e6, ", 490, "m", ")", "", 1000, TW_CODE_COUNT, NULL},
        {"", "quantile by (i) (0.5, ", 490, "m", ")", "", 1000, TW_CODE_COUNT, NULL},
        {"", "count_values by (i) (\"v\", ", 490, "m", ")", "", 1000, TW_CODE_COUNT, NULL},
        {"", "histogram_quantile(0.5, ", 490, "m", ")", "", 1000, TW_CODE_COUNT, NULL},
        {"", "info(", 490, "m", ")", "", 15000, TW_CODE_COUNT, NULL},
        {"", "absent(", 490, "m", ")", "", 1000, TW_CODE_COUNT, NULL},
    };
    check_repeated(cases, sizeof cases / sizeof *cases);
}
END_TEST

START_TEST(labels_that_grow)
{
    static const struct repeated cases[] = {
        {"", "label_replace(", 25, "m", ", \"a\", \"$1x\", \"a\", \"(.*)\")", "", 0, TW_OK, NULL},
        {"", "label_replace(", 25, "m", ", \"i\", \"$1$1\", \"i\", \"(.*)\")", "", 0, TW_EXECUTION,
         "longer than the limit of 16384 bytes"},
        {"", "label_join(", 25, "m", ", \"i\", \"-\", \"i\", \"i\", \"i\", \"i\")", "", 15000,
         TW_EXECUTION, "longer than the limit of 16384 bytes"},
        {"", "label_replace(", 400, "m", ", \"x\", \"$1\", \"i\", \"((a*)*)*b|(.*)(.*)(.*)\")", "",
         0, TW_CODE_COUNT, NULL},
        {"label_join(m, \"x\", \"", "0123456789abcdef", 1000, "\", \"i\", \"g\")", "", "", 15000,
         TW_OK, NULL},
        {"label_join(m, \"x\", \"", "0123456789abcdef", 1025, "\", \"i\", \"g\")", "", "", 15000,
         TW_EXECUTION, "longer than the limit"},
    };
    check_repeated(cases, sizeof cases / sizeof *cases);
}
END_TEST

START_TEST(texts_without_end)
{
    static const struct repeated cases[] = {
        {"", "9", 900000, "", "", "", 0, TW_SYNTAX, "error parsing number"},
        {"", "(", 500000, "", "", "", 0, TW_SYNTAX, "nested deeper than 1000 levels"},
        {"", "-", 500000, "m", "", "", 0, TW_SYNTAX, "nested deeper than 1000 levels"},
        {"", "(", 900, "m", ")", "", 0, TW_OK, NULL},
        {"m", "[1m:1s]", 5000, "", "", "", 0, TW_SYNTAX, NULL},
        {"", "max_over_time(", 1200, "m", "[1m:1s])", "", 0, TW_SYNTAX, "nested deeper"},
        {"m", " + m", 2000, "", "", "", 0, TW_SYNTAX, "nested deeper"},
        {"", "m + ", 2500000, "m", "", "", 0, TW_SYNTAX, "more than the limit of 1048576"},
        {"m{i=~\"", "(a|b)?", 20000, "\"}", "", "", 0, TW_SYNTAX, "at most 32768 are allowed"},
        {"m{i=~\"", "1|2|", 8000, "x\"}", "", "", 0, TW_OK, NULL},
        {"m{", "i=~\".*1.*\",", 100, "}", "", "", 15000, TW_OK, NULL},
        {"m{", "i!=\"7\",", 101, "}", "", "", 15000, TW_SYNTAX, "more than 100 matchers"},
        {"m{", "g=\"1\",", 900, "}", "", "", 15000, TW_OK, NULL},
        {"m{", "i!~\".*7.*\",", 2000, "}", "", "", 15000, TW_SYNTAX, NULL},
        {"", "  \n", 340000, "rate(m[5m]) > 0", "", "", 15000, TW_OK, NULL},
        {"", "  \n", 340000, "quantile(2, m) or topk(1, m)", "", "", 100, TW_OK, NULL},
        {"sum by (", "a,", 5000, "a) (m)", "", "", 0, TW_SYNTAX, NULL},
        {"", "\\", 100000, "", "", "", 0, TW_SYNTAX, NULL},
        {"\"", "\\x41", 100000, "\"", "", "", 0, TW_OK, NULL},
        {"m offset ", "1y", 100000, "", "", "", 0, TW_SYNTAX, NULL},
        {"m[", "(1s + ", 100000, "1s", ")", "]", 0, TW_SYNTAX, NULL},
    };
    check_repeated(cases, sizeof cases / sizeof *cases);
}
END_TEST

START_TEST(too_much_of_everything)
{
    static const struct {
        const char *query;
        int64_t step_ms;
        enum tw_code code;
        const char *sentence;
    } cases[] = {
        /* joins */
        {"m + on (g) group_left () m", 1000, TW_EXECUTION, "many-to-many matching not allowed"},
        {"m + on (g) m", 15000, TW_EXECUTION, "many-to-many matching not allowed"},
        {"label_replace(m, \"j\", \"$1\", \"i\", \"(.*)\") + on (g) group_left (j) "
         "label_replace(m, \"j\", \"$1\", \"i\", \"(.*)\")",
         1000, TW_EXECUTION, "many-to-many matching not allowed"},
        {"m + on () group_left () (m == on (i) m)", 1000, TW_EXECUTION, "many-to-many"},
        {"m + on () group_left () topk(1, -abs(m - 4000))", 1000, TW_OK, NULL},
        {"m + on () group_left () topk(1, -abs(m - 4000))", 60, TW_CODE_COUNT, NULL},
        {"m + on (g) group_left () fill (0) m", 1000, TW_EXECUTION, "many-to-many"},
        {"m unless on () m or on () m", 1000, TW_OK, NULL},
        /* values that become labels, ranks without end, numbers that are none */
        {"count_values without () (\"v\", m * time())", 100, TW_CODE_COUNT, NULL},
        {"count_values(\"v\", m * 1e300)", 100, TW_CODE_COUNT, NULL},
        {"topk(1e18, m)", 1000, TW_OK, NULL},
        {"topk by (i) (1e18, m)", 1000, TW_OK, NULL},
        {"limitk by (i) (1e18, m)", 1000, TW_OK, NULL},
        {"topk(NaN, m)", 0, TW_EXECUTION, "overflows int64"},
        {"topk(Inf, m)", 0, TW_EXECUTION, "overflows int64"},
        {"quantile(NaN, m)", 15000, TW_OK, NULL},
        {"limit_ratio(NaN, m)", 15000, TW_EXECUTION, "NaN"},
        {"round(m, NaN)", 15000, TW_OK, NULL},
        {"clamp(m, NaN, NaN)", 15000, TW_OK, NULL},
        {"histogram_quantile(NaN, m)", 15000, TW_OK, NULL},
        {"predict_linear(dense[10m], NaN)", 1000, TW_CODE_COUNT, NULL},
        {"double_exponential_smoothing(dense[10m], NaN, 0.5)", 1000, TW_EXECUTION,
         "invalid smoothing factor"},
        {"forecast(dense[10m], NaN)", 1000, TW_EXECUTION, "invalid forecast horizon"},
        {"forecast(dense[10m], 1e300)", 1000, TW_EXECUTION, "invalid forecast horizon"},
        /* windows of many samples at many steps */
        {"quantile_over_time(0.5, dense[10m])", 60, TW_CODE_COUNT, NULL},
        {"mad_over_time(dense[10m:10ms])", 60, TW_CODE_COUNT, NULL},
        {"stddev_over_time(dense[10m])", 60, TW_CODE_COUNT, NULL},
        {"double_exponential_smoothing(dense[10m], 0.5, 0.5)", 60, TW_CODE_COUNT, NULL},
        {"sum_over_time(dense[10m])", 60, TW_CODE_COUNT, NULL},
        {"avg_over_time(dense[10m])", 60, TW_CODE_COUNT, NULL},
        {"deriv(dense[10m])", 60, TW_CODE_COUNT, NULL},
        {"max_over_time(max_over_time(max_over_time(m[10m:1ms])[10m:1ms])[10m:1ms])", 15000,
         TW_CODE_COUNT, NULL},
        {"forecast(dense[10m:1ms], 60)", 15000, TW_CODE_COUNT, NULL},
        {"anomaly_score(m[10m:1s])", 60, TW_CODE_COUNT, NULL},
        {"forecast_quantile(0.9, m[10m:1s], 60)", 60, TW_CODE_COUNT, NULL},
        {"absent_over_time(m[10m:1ms])", 15000, TW_CODE_COUNT, NULL},
        /* times beyond all bounds */
        {"count_over_time(vector(1)[100y:1ms])", 15000, TW_LIMIT, "memory"},
        {"count_over_time(m[290y:1ms])", 15000, TW_LIMIT, "memory"},
        {"rate(m[1000000000y])", 0, TW_SYNTAX, "duration out of range"},
        {"rate(m[290y])", 15000, TW_OK, NULL},
        {"m offset 292277024y", 0, TW_SYNTAX, "duration out of range"},
        {"m offset -290y", 15000, TW_OK, NULL},
        {"m @ 9223372036854775807", 0, TW_SYNTAX, "out of bounds"},
        {"m @ -9.2e15", 0, TW_SYNTAX, "out of bounds"},
        {"m @ NaN", 0, TW_SYNTAX, NULL},
        {"time()", 1, TW_CODE_COUNT, NULL},
        {"m", 1, TW_CODE_COUNT, NULL},
        {"sum(m)", 1, TW_CODE_COUNT, NULL},
        /* regular expressions */
        {"m{i=~\"((((x{1,100}){1,100}){1,100}){1,100}){1,100}\"}", 0, TW_SYNTAX, "1:3"},
        {"m{i=~\".{1,1000}.{1,1000}.{1,1000}\"}", 0, TW_OK, NULL},
        {"m{i=~\"(((a*)*)*)*b\"}", 0, TW_OK, NULL},
        {"label_replace(m, \"a\", \"$1\", \"i\", \"(\")", 0, TW_EXECUTION, "regular expression"},
        /* bytes that are no text */
        {"m{i=\"\xff\xfe\"}", 0, TW_SYNTAX, "invalid UTF-8"},
        {"{\"\xff\xfe\"}", 0, TW_SYNTAX, "invalid UTF-8"},
        {"\xf0\x28\x8c\x28", 0, TW_SYNTAX, NULL},
        {"label_replace(m, \"\\xff\", \"$1\", \"i\", \"(.*)\")", 0, TW_EXECUTION, "label name"},
        {"count_values(\"\\xff\", m)", 0, TW_EXECUTION, "label name"},
        /* everything there is */
        {"absent({__name__=~\".+\"})", 15000, TW_OK, NULL},
        {"sort_by_label({__name__=~\".+\"}, \"i\", \"g\")", 0, TW_OK, NULL},
        {"info({__name__=~\".+\"}, {__name__=~\".+\"})", 15000, TW_EXECUTION,
         "found duplicate series for info metric"},
    };
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(tw_str(cases[i].query), cases[i].step_ms, cases[i].code, cases[i].sentence);
    end();
}
END_TEST

/* A tree that doubles with each level: not as deep as any limit, but wide. */
START_TEST(wide_trees)
{
    static const char *const operators[] = {"+", "or", "and", "unless", "== bool"};
    begin();
    for (size_t o = 0; o < sizeof operators / sizeof *operators; o++) {
        struct tw_buf inner;
        tw_buf_init(&inner, (size_t)1 << 20);
        tw_buf_append_cstr(&inner, "m");
        for (int level = 0; level < 12; level++) {
            tw_buf_clear(&text);
            tw_buf_appendf(&text, "(%s) %s ", tw_buf_cstr(&inner), operators[o]);
            tw_buf_appendf(&text, "(%s)", tw_buf_cstr(&inner));
            tw_buf_clear(&inner);
            tw_buf_append_str(&inner, tw_buf_str(&text));
        }
        check((struct tw_str){tw_buf_cstr(&inner), inner.size}, 0, TW_CODE_COUNT, NULL);
        tw_buf_fini(&inner);
    }
    end();
}
END_TEST

/* So many selectors, each of other series, in a tree that is as flat as can be. */
static void append_selectors(const char *operator, size_t first, size_t count)
{
    if (count == 1) {
        tw_buf_appendf(&text, "absent(m{i!=\"%zu\"})", first);
        return;
    }
    tw_buf_append_char(&text, '(');
    append_selectors(operator, first, count / 2);
    tw_buf_appendf(&text, ") %s (", operator);
    append_selectors(operator, first + count / 2, count - count / 2);
    tw_buf_append_char(&text, ')');
}

/* What they find takes memory of the store's, which counts as the query's. */
START_TEST(many_selectors)
{
    static const char *const operators[] = {"or", "and", "+"};
    begin();
    for (size_t o = 0; o < sizeof operators / sizeof *operators; o++) {
        tw_buf_clear(&text);
        append_selectors(operators[o], 0, 1000);
        check((struct tw_str){tw_buf_cstr(&text), text.size}, 0, TW_LIMIT, "memory");
        tw_buf_clear(&text);
        append_selectors(operators[o], 0, 32);
        check((struct tw_str){tw_buf_cstr(&text), text.size}, 0, TW_OK, NULL);
    }
    end();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE_SLOW(deep_and_long_chains, 240),
                                      UNIT_CASE_SLOW(labels_that_grow, 240),
                                      UNIT_CASE_SLOW(texts_without_end, 240),
                                      UNIT_CASE_SLOW(too_much_of_everything, 240),
                                      UNIT_CASE_SLOW(wide_trees, 240),
                                      UNIT_CASE_SLOW(many_selectors, 240),
                                      {0}};
    return unit_run("query/hostile", cases);
}
