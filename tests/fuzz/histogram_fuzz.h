/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_fuzz: reads any bytes as a histogram message and as an exemplar message; what is
 * accepted is encoded again and must come back the same. Called by the unit test with changed good
 * messages; with -DTW_LIBFUZZER the file is a libFuzzer target:
 *   clang -fsanitize=fuzzer,address -DTW_LIBFUZZER ... tests/fuzz/histogram_fuzz.c
 */
#ifndef TW_TESTS_FUZZ_HISTOGRAM_FUZZ_H
#define TW_TESTS_FUZZ_HISTOGRAM_FUZZ_H

#include <stddef.h>
#include <stdint.h>

void histogram_fuzz(const uint8_t *bytes, size_t size);

#endif
