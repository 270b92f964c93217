/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "base/number.h"
#include "tests/lib/unit.h"

START_TEST(formats_as_go_does)
{
    static const struct {
        double value;
        const char *fixed, *general;
    } cases[] = {
        {0, "0", "0"},
        {-0.0, "-0", "-0"},
        {1, "1", "1"},
        {0.1, "0.1", "0.1"},
        {1e21, "1000000000000000000000", "1e+21"},
        {1e23, "100000000000000000000000", "1e+23"},
        {-123456789012345678901.0, "-123456789012345680000", NULL},
        {9007199254740993.0, "9007199254740992", NULL},
        {1e-5, "0.00001", "1e-05"},
        {1.5e300, NULL, "1.5e+300"},
        {INFINITY, "+Inf", "+Inf"},
        {-INFINITY, "-Inf", "-Inf"},
        {NAN, "NaN", "NaN"},
        {12.34, "12.34", "12.34"},
        {-2.5, "-2.5", "-2.5"},
        {0.001, "0.001", "0.001"},
        {100.05, "100.05", "100.05"},
        {0.0005, "0.0005", "0.0005"},
        {1.0005, "1.0005", "1.0005"},
        {999999999999.999, "999999999999.999", "999999999999.999"},
        {1000000000000.0005, "1000000000000.0005", NULL},
        {1e15, "1000000000000000", "1000000000000000"},
        {0.30000000000000004, "0.30000000000000004", "0.30000000000000004"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[TW_DOUBLE_BYTES];
        if (cases[i].fixed) {
            ck_assert_uint_eq(tw_double_format_fixed(cases[i].value, text), strlen(cases[i].fixed));
            ck_assert_str_eq(text, cases[i].fixed);
        }
        if (cases[i].general) {
            tw_double_format_general(cases[i].value, text);
            ck_assert_str_eq(text, cases[i].general);
        }
    }
    char text[TW_DOUBLE_BYTES];
    ck_assert_uint_lt(tw_double_format_fixed(5e-324, text), TW_DOUBLE_BYTES);
    ck_assert_uint_lt(tw_double_format_fixed(-1.7976931348623157e308, text), TW_DOUBLE_BYTES);
}
END_TEST

START_TEST(parses_as_go_does)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"1", 1},
        {"+1", 1},
        {"-2.5e3", -2500},
        {".5", 0.5},
        {"5.", 5},
        {"0x1p-2", 0.25},
        {"0x1F", 31},
        {"inf", INFINITY},
        {"-Inf", -INFINITY},
        {"+Infinity", INFINITY},
        {"1e400", INFINITY},
        {"-1e400", -INFINITY},
        {"1e-400", 0},
        {"1E5", 1e5},
    };
    double value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(tw_double_parse(tw_str(good[i].text), &value), "%s", good[i].text);
        ck_assert_msg(value == good[i].value, "%s gave %g", good[i].text, value);
    }
    ck_assert(tw_double_parse(TW_STR("nan"), &value) && isnan(value));
    static const char *const bad[] = {"",  "x",  "1x", "--1", "+-1", "1e",  "e5",
                                      ".", "0x", "1 ", " 1",  "1_0", "-nan"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!tw_double_parse(tw_str(bad[i]), &value), "'%s'", bad[i]);
}
END_TEST

START_TEST(every_format_reads_back)
{
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        double value = tw_double_from_bits(state), back;
        if (!isfinite(value))
            continue;
        char text[TW_DOUBLE_BYTES];
        size_t size = tw_double_format_fixed(value, text);
        ck_assert(tw_double_parse((struct tw_str){text, size}, &back));
        ck_assert_uint_eq(tw_double_bits(back), state);
        size = tw_double_format_general(value, text);
        ck_assert(tw_double_parse((struct tw_str){text, size}, &back));
        ck_assert_uint_eq(tw_double_bits(back), state);
    }
}
END_TEST

/* Decimals of few digits are given back as they are written. */
START_TEST(short_decimals)
{
    for (unsigned i = 0; i < 100000; i++) {
        char wanted[40], text[TW_DOUBLE_BYTES];
        double value;
        unsigned whole = i * 7919u % 1000003u, digits = i % 4;
        static const unsigned units[] = {1, 10, 100, 1000};
        unsigned rest = i * 104729u % units[digits];
        int size = snprintf(wanted, sizeof wanted, digits ? "%s%u.%0*u" : "%s%u", i % 5 ? "" : "-",
                            whole, (int)digits, rest);
        while (digits > 0 && (wanted[size - 1] == '0' || wanted[size - 1] == '.'))
            if (wanted[--size] == '.')
                break;
        wanted[size] = 0;
        ck_assert(tw_double_parse(tw_str(wanted), &value));
        ck_assert_uint_eq(tw_double_format_fixed(value, text), (size_t)size);
        ck_assert_str_eq(text, wanted);
    }
}
END_TEST

START_TEST(integers)
{
    char text[TW_UINT64_BYTES];
    ck_assert_uint_eq(tw_uint64_format(0, text), 1);
    ck_assert_uint_eq(tw_uint64_format(UINT64_MAX, text), 20);
    ck_assert_mem_eq(text, "18446744073709551615", 20);
    int64_t value;
    uint64_t natural;
    ck_assert(tw_int64_parse(TW_STR("-9223372036854775808"), &value) && value == INT64_MIN);
    ck_assert(!tw_int64_parse(TW_STR("9223372036854775808"), &value));
    ck_assert(!tw_int64_parse(TW_STR(""), &value));
    ck_assert(!tw_int64_parse(TW_STR("1 "), &value));
    ck_assert(tw_uint64_parse(TW_STR("18446744073709551615"), &natural) && natural == UINT64_MAX);
    ck_assert(!tw_uint64_parse(TW_STR("-1"), &natural));
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(formats_as_go_does),
        UNIT_CASE(parses_as_go_does),
        UNIT_CASE(every_format_reads_back),
        UNIT_CASE(short_decimals),
        UNIT_CASE(integers),
        {0},
    };
    return unit_run("base/number", cases);
}
