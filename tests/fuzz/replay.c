/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/fuzz/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/file.h"

#define INPUT_BYTES_MAX ((size_t)1 << 22)
#define ROUNDS 20000

static uint64_t state = 20261121;

uint64_t fuzz_random(uint64_t limit)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (state >> 33) % limit;
}

void fuzz_run(struct tw_str input)
{
    uint8_t *copy = malloc(input.size ? input.size : 1);
    TW_ASSERT(copy != NULL);
    if (input.size)
        memcpy(copy, input.data, input.size);
    LLVMFuzzerTestOneInput(copy, input.size);
    free(copy);
}

void fuzz_change(struct tw_buf *input)
{
    for (uint64_t edits = 1 + fuzz_random(4); edits > 0 && input->size >= 2; edits--) {
        size_t at = 1 + fuzz_random(input->size - 1);
        switch (fuzz_random(5)) {
        case 0:
            input->data[at] = (char)fuzz_random(256);
            break;
        case 1:
            input->data[at] ^= (char)(1 << fuzz_random(8));
            break;
        case 2:
            input->data[at] = (char)(fuzz_random(2) ? 0xff : 0);
            break;
        case 3:
            memmove(input->data + at, input->data + 1 + fuzz_random(at),
                    fuzz_random(input->size - at));
            break;
        default:
            if (fuzz_random(8) == 0)
                input->size = at + 1;
        }
    }
}

int fuzz_rounds(int short_rounds)
{
    const char *rounds = getenv("TW_FUZZ_ROUNDS"), *length = getenv("TW_LONG");
    return rounds ? atoi(rounds) : length && strcmp(length, "1") == 0 ? 200000 : short_rounds;
}

static void read_input(const char *path, struct tw_buf *ret)
{
    struct tw_err err;
    tw_buf_init(ret, INPUT_BYTES_MAX);
    if (tw_file_read(path, ret, &err) != TW_OK) {
        printf("Bail out! %s\n", err.message);
        exit(1);
    }
}

void fuzz_replay_files(int count, char **paths)
{
    for (int i = 0; i < count; i++) {
        struct tw_buf input;
        read_input(paths[i], &input);
        fuzz_run(tw_buf_str(&input));
        tw_buf_fini(&input);
    }
}

/* Changed copies of each file, as many of each. */
static void replay_changed(int count, char **paths, int rounds)
{
    struct tw_buf input, changed;
    tw_buf_init(&changed, INPUT_BYTES_MAX);
    for (int i = 0; i < count; i++) {
        read_input(paths[i], &input);
        for (int round = 0; round < rounds / count; round++) {
            tw_buf_clear(&changed);
            tw_buf_append_str(&changed, tw_buf_str(&input));
            fuzz_change(&changed);
            fuzz_run(tw_buf_str(&changed));
        }
        tw_buf_fini(&input);
    }
    tw_buf_fini(&changed);
}

int fuzz_replay(int argc, char **argv)
{
    int count = argc - 1;
    printf("1..3\n");
    printf("%s 1 - there is a corpus\n", count > 0 ? "ok" : "not ok");
    fuzz_replay_files(count, argv + 1);
    printf("ok 2 - %d corpus files\n", count);
    fflush(stdout);
    replay_changed(count, argv + 1, fuzz_rounds(ROUNDS));
    printf("ok 3 - and changes of them\n");
    return count > 0 ? 0 : 1;
}
