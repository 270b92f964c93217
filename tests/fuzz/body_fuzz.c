/* SPDX-License-Identifier: Apache-2.0
 *
 * body_fuzz: what senders put into request bodies, given any bytes: remote_write 1.0 and 2.0,
 * remote read, Snappy, Zstandard, native histograms and exemplars on the way, and their chunk in a
 * block. The first byte of an input chooses, the rest is the body.
 */
#include "config.h"

#include <string.h>

#include "base/assert.h"
#include "tests/fuzz/histogram_chunk_fuzz.h"
#include "tests/fuzz/histogram_fuzz.h"
#include "tests/fuzz/remote_write_fuzz.h"
#include "tests/fuzz/replay.h"
#include "wire/snappy.h"
#include "wire/zstd.h"

#define BODY_BYTES_MAX ((size_t)1 << 22)

/* Any bytes come back, and packed ones that are changed in one place are refused or are others of
 * no more than the size allowed. */
static void compressions_fuzz(const uint8_t *bytes, size_t size)
{
    struct tw_str plain = {(const char *)bytes, size};
    struct tw_err err;
    for (int zstd = 0; zstd < 2; zstd++) {
        struct tw_buf packed, back;
        tw_buf_init(&packed, BODY_BYTES_MAX);
        tw_buf_init(&back, BODY_BYTES_MAX);
        if (zstd)
            wire_zstd_encode(plain, 1, &packed);
        else
            wire_snappy_encode(plain, &packed);
        enum tw_code code = zstd ? wire_zstd_decode(tw_buf_str(&packed), size, &back, &err)
                                 : wire_snappy_decode(tw_buf_str(&packed), size, &back, &err);
        TW_ASSERT(code == TW_OK && tw_str_equal(tw_buf_str(&back), plain));
        if (size > 0 && packed.size > 0) {
            packed.data[bytes[size - 1] % packed.size] ^= (char)(1 << (bytes[0] % 8));
            tw_buf_clear(&back);
            code = zstd ? wire_zstd_decode(tw_buf_str(&packed), size, &back, &err)
                        : wire_snappy_decode(tw_buf_str(&packed), size, &back, &err);
            TW_ASSERT(code != TW_OK || back.size <= size);
        }
        tw_buf_fini(&packed);
        tw_buf_fini(&back);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const uint8_t *, size_t) = {
        remote_write_fuzz, histogram_fuzz, histogram_chunk_fuzz, compressions_fuzz};
    if (size > 0)
        targets[data[0] % (sizeof targets / sizeof *targets)](data + 1, size - 1);
    return 0;
}

#ifndef TW_LIBFUZZER
int main(int argc, char **argv)
{
    return fuzz_replay(argc, argv);
}
#endif
