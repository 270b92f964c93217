/* SPDX-License-Identifier: Apache-2.0
 *
 * number: doubles and integers as text, as Go's strconv writes and reads them, for that is what
 * the Prometheus API speaks. A C++ shim over <charconv>, the only shortest-round-trip formatter at
 * hand.
 */
#ifndef TW_BASE_NUMBER_H
#define TW_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Longest text that tw_double_format_fixed makes, with NUL: 5e-324 written out. */
#define TW_DOUBLE_BYTES 400

/* Go's FormatFloat(v, 'f', -1, 64): shortest digits, never an exponent; "NaN", "+Inf", "-Inf".
 * Returns the length; a NUL follows. */
size_t tw_double_format_fixed(double value, char *ret_text);
/* Go's FormatFloat(v, 'g', -1, 64) ("%v"): exponent below 1e-4 and from 1e21 on. */
size_t tw_double_format_general(double value, char *ret_text);
/* Go's ParseFloat and PromQL's numbers: decimal, exponent, hexadecimal 0x1p-2, inf, Inf, NaN in any
 * case, sign; the whole text. False if it is none. Out of range gives +-Inf with true. */
bool tw_double_parse(struct tw_str text, double *ret_value);
/* Decimal; returns the length, no NUL follows. ret_text has TW_UINT64_BYTES. */
#define TW_UINT64_BYTES 20
size_t tw_uint64_format(uint64_t value, char *ret_text);
/* Decimal, whole text, in range. */
bool tw_int64_parse(struct tw_str text, int64_t *ret_value);
bool tw_uint64_parse(struct tw_str text, uint64_t *ret_value);

/* The bits of the NaN that marks a series as stale (Prometheus), and the canonical NaN. */
#define TW_STALE_BITS UINT64_C(0x7ff0000000000002)
#define TW_NAN_BITS UINT64_C(0x7ff8000000000001)

static inline uint64_t tw_double_bits(double value)
{
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double tw_double_from_bits(uint64_t bits)
{
    double value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

static inline bool tw_double_is_stale(double value)
{
    return tw_double_bits(value) == TW_STALE_BITS;
}

#endif
