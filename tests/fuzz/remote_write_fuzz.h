/* SPDX-License-Identifier: Apache-2.0
 *
 * remote_write_fuzz: reads any bytes as a remote_write body, checks what the reader promises about
 * whatever it accepts. Called by the unit test with changed good bodies; with -DTW_LIBFUZZER the
 * file is a libFuzzer target:
 *   clang -fsanitize=fuzzer,address -DTW_LIBFUZZER ... tests/fuzz/remote_write_fuzz.c
 */
#ifndef TW_TESTS_FUZZ_REMOTE_WRITE_FUZZ_H
#define TW_TESTS_FUZZ_REMOTE_WRITE_FUZZ_H

#include <stddef.h>
#include <stdint.h>

void remote_write_fuzz(const uint8_t *bytes, size_t size);

#endif
