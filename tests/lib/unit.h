/* SPDX-License-Identifier: Apache-2.0
 *
 * unit: what every unit test program shares. A program is one noun's test:
 *
 *   START_TEST(grows) { ... } END_TEST
 *   int main(void)
 *   {
 *       const struct unit_case cases[] = {UNIT_CASE(grows), UNIT_CASE(...), {0}};
 *       return unit_run("base/buf", cases);
 *   }
 *
 * UNIT_LOOP runs a case once for each _i in [first, limit).
 */
#ifndef TW_TESTS_UNIT_H
#define TW_TESTS_UNIT_H

#include <check.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

struct unit_case {
    const TTest *test;
    int first, limit;
    double timeout_s; /* 0 = 60 s */
};

#define UNIT_CASE(name)                                                                            \
    {                                                                                              \
        (name), 0, 0, 0                                                                            \
    }
#define UNIT_CASE_SLOW(name, seconds)                                                              \
    {                                                                                              \
        (name), 0, 0, (seconds)                                                                    \
    }
#define UNIT_LOOP(name, first_index, limit_index)                                                  \
    {                                                                                              \
        (name), (first_index), (limit_index), 0                                                    \
    }

/* Runs the cases (until one without a test) and returns main's exit status. CK_FORK=no works. */
int unit_run(const char *noun, const struct unit_case *cases);

/* A fresh folder that is removed at exit, valid until the program ends. */
const char *unit_folder(void);

/* Path of a file below tests/, whatever the build folder is. */
const char *unit_data(const char *name);

#define unit_assert_ok(expression, err)                                                            \
    ck_assert_msg((expression) == TW_OK, "%s: %s", #expression, (err)->message)
#define unit_assert_code(expression, wanted)                                                       \
    do {                                                                                           \
        enum tw_code unit_code_ = (expression);                                                    \
        ck_assert_msg(unit_code_ == (wanted), "%s gave %s, not %s", #expression,                   \
                      tw_code_name(unit_code_), tw_code_name(wanted));                             \
    } while (0)
#define unit_assert_str(value, text)                                                               \
    do {                                                                                           \
        struct tw_str unit_value_ = (value);                                                       \
        ck_assert_msg(tw_str_is(unit_value_, (text)), "%s is '%.*s', not '%s'", #value,            \
                      TW_STR_ARG(unit_value_), (text));                                            \
    } while (0)
#define unit_assert_contains(haystack, needle)                                                     \
    ck_assert_msg(strstr((haystack), (needle)) != NULL, "'%s' is not in '%s'", (needle), (haystack))

#endif
