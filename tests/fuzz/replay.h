/* SPDX-License-Identifier: Apache-2.0
 *
 * replay: what stands in for libFuzzer in `make check`: the corpus, and changes of it that are the
 * same each time, go to LLVMFuzzerTestOneInput, which each fuzzer defines.
 *
 * Threads: one.
 */
#ifndef TW_TESTS_FUZZ_REPLAY_H
#define TW_TESTS_FUZZ_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy without room behind it, so that a sanitizer sees reads past the end. */
void fuzz_run(struct tw_str input);
uint64_t fuzz_random(uint64_t limit); /* the same numbers in each run */
/* A few bytes changed, cut off, or a piece repeated; the first byte, which chooses what an input is
 * given to, stays. */
void fuzz_change(struct tw_buf *input);
/* $TW_FUZZ_ROUNDS, else 200 000 under TW_LONG=1, else this many. */
int fuzz_rounds(int short_rounds);
/* Runs the files as they are; "Bail out!" and an end when one cannot be read. */
void fuzz_replay_files(int count, char **paths);
/* A whole program: TAP of the files argv names, and of changed ones. Returns the exit status. */
int fuzz_replay(int argc, char **argv);

#endif
