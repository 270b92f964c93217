/* SPDX-License-Identifier: Apache-2.0
 *
 * template_value: what an expression of a template may be, and how Go's fmt prints it.
 *
 * Values borrow; all they point to lives in the arena of the expansion or in its data.
 */
#ifndef TW_ALERTS_TEMPLATE_VALUE_H
#define TW_ALERTS_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alerts/template.h"
#include "base/buf.h"

enum alert_value_kind {
    ALERT_VALUE_NIL,
    ALERT_VALUE_BOOL,
    ALERT_VALUE_INT,
    ALERT_VALUE_FLOAT,
    ALERT_VALUE_STRING,
    ALERT_VALUE_LABELS,  /* map[string]string */
    ALERT_VALUE_ARGS,    /* map[string]any, from `args`: arg0, arg1 ... */
    ALERT_VALUE_SAMPLES, /* what `query` gives */
    ALERT_VALUE_SAMPLE,
    ALERT_VALUE_ROOT,     /* "." of the outermost template */
    ALERT_VALUE_TIME,     /* nanoseconds since 1970 */
    ALERT_VALUE_DURATION, /* nanoseconds */
};

struct alert_value {
    enum alert_value_kind kind;
    union {
        bool boolean;
        int64_t integer; /* also time and duration */
        double number;
        struct tw_str string;
        struct wire_labels labels;
        struct {
            const struct alert_value *items;
            size_t count;
        } args;
        struct {
            const struct alert_sample *items;
            size_t count;
        } samples;
        const struct alert_sample *sample;
        const struct alert_template_data *root;
    };
};

static inline struct alert_value alert_value_string(struct tw_str string)
{
    return (struct alert_value){.kind = ALERT_VALUE_STRING, .string = string};
}

static inline struct alert_value alert_value_int(int64_t integer)
{
    return (struct alert_value){.kind = ALERT_VALUE_INT, .integer = integer};
}

static inline struct alert_value alert_value_float(double number)
{
    return (struct alert_value){.kind = ALERT_VALUE_FLOAT, .number = number};
}

static inline struct alert_value alert_value_bool(bool boolean)
{
    return (struct alert_value){.kind = ALERT_VALUE_BOOL, .boolean = boolean};
}

/* What `if` makes of it: false, 0, "", nil and empty collections are false. */
bool alert_value_truth(const struct alert_value *value);
/* Go's name of the type, for messages and %T. */
const char *alert_value_type(const struct alert_value *value);
/* As %v prints it. */
void alert_value_print(const struct alert_value *value, struct tw_buf *out);
/* fmt.Sprint: a space between two operands when neither is a string. */
void alert_value_sprint(const struct alert_value *values, size_t count, struct tw_buf *out);
/* fmt.Sprintln without its line feed: a space between all. */
void alert_value_sprintln(const struct alert_value *values, size_t count, struct tw_buf *out);
/* fmt.Sprintf, mistakes in the format printed as Go prints them (%!d(string=x)). */
void alert_value_printf(struct tw_str format, const struct alert_value *values, size_t count,
                        struct tw_buf *out);

/* Go's float text: format 'e', 'f' or 'g', precision -1 = the fewest digits that read back exactly.
 */
void alert_float_format(double number, char format, int precision, struct tw_buf *out);
/* time.Time.String in UTC, and time.Duration.String. */
void alert_time_print(int64_t ns, struct tw_buf *out);
void alert_duration_print(int64_t ns, struct tw_buf *out);

#endif
