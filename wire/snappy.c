/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/snappy.h"

#include <snappy-c.h>

#include "base/assert.h"

/* A block expands at most so far (copies of 64 bytes from 3-byte elements, rounded up): a body that
 * declares more is a lie, refused before memory is taken for it. */
#define EXPANSION_MAX 32

void wire_snappy_encode(struct tw_str plain, struct tw_buf *ret_packed)
{
    size_t bytes = snappy_max_compressed_length(plain.size);
    char *room = tw_buf_reserve(ret_packed, bytes);
    if (room == NULL)
        return;
    snappy_status status =
        snappy_compress(plain.data != NULL ? plain.data : "", plain.size, room, &bytes);
    TW_ASSERT(status == SNAPPY_OK);
    ret_packed->size += bytes;
}

enum tw_code wire_snappy_plain_bytes(struct tw_str packed, size_t *ret_bytes, struct tw_err *err)
{
    if (packed.size == 0 ||
        snappy_uncompressed_length(packed.data, packed.size, ret_bytes) != SNAPPY_OK)
        return tw_err_set(err, TW_BAD_DATA,
                          "the body (%zu bytes) is not Snappy: it does not begin with a size",
                          packed.size);
    return TW_OK;
}

enum tw_code wire_snappy_decode(struct tw_str packed, size_t bytes_max, struct tw_buf *ret_plain,
                                struct tw_err *err)
{
    size_t bytes;
    enum tw_code code = wire_snappy_plain_bytes(packed, &bytes, err);
    if (code != TW_OK)
        return code;
    if (bytes > bytes_max)
        return tw_err_set(err, TW_TOO_LARGE,
                          "the body declares %zu bytes after decompression, the limit is %zu: send "
                          "fewer series in one request",
                          bytes, bytes_max);
    if (bytes / EXPANSION_MAX > packed.size)
        return tw_err_set(err, TW_BAD_DATA,
                          "the body is not Snappy: %zu bytes cannot hold the %zu that it declares",
                          packed.size, bytes);
    char *room = tw_buf_reserve(ret_plain, bytes > 0 ? bytes : 1);
    if (room == NULL)
        return tw_err_set(err, TW_TOO_LARGE, "no room for %zu bytes after decompression", bytes);
    if (snappy_uncompress(packed.data, packed.size, room, &bytes) != SNAPPY_OK)
        return tw_err_set(err, TW_BAD_DATA, "the body is not Snappy's block format, or is damaged");
    ret_plain->size += bytes;
    return TW_OK;
}
