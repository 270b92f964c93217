/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram_chunk_fuzz: reads any bytes (the first says how many samples) as a histogram chunk and
 * as a step of the log; what is accepted is encoded again and must come back the same. Called by
 * the unit test; with -DTW_LIBFUZZER the file is a libFuzzer target:
 *   clang -fsanitize=fuzzer,address -DTW_LIBFUZZER ... tests/fuzz/histogram_chunk_fuzz.c
 */
#ifndef TW_TESTS_FUZZ_HISTOGRAM_CHUNK_FUZZ_H
#define TW_TESTS_FUZZ_HISTOGRAM_CHUNK_FUZZ_H

#include <stddef.h>
#include <stdint.h>

void histogram_chunk_fuzz(const uint8_t *bytes, size_t size);

#endif
