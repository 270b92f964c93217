/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "wire/zstd.h"

#include <zstd.h>

#include "base/assert.h"

/* Windows beyond this are for archives; a sender's frame has no use for them. */
#define WINDOW_LOG_MAX 23
/* What is taken at a time when a frame does not say how much it holds. */
#define STEP_BYTES ((size_t)1 << 16)

void wire_zstd_encode(struct tw_str plain, int level, struct tw_buf *ret_packed)
{
    size_t bytes = ZSTD_compressBound(plain.size);
    char *room = tw_buf_reserve(ret_packed, bytes);
    if (room == NULL)
        return;
    bytes = ZSTD_compress(room, bytes, plain.data ? plain.data : "", plain.size, level);
    TW_ASSERT(!ZSTD_isError(bytes));
    ret_packed->size += bytes;
}

static enum tw_code too_large(size_t bytes_max, struct tw_err *err)
{
    return tw_err_set(err, TW_TOO_LARGE,
                      "the body has more than %zu bytes after decompression, the limit: send fewer "
                      "series in one request",
                      bytes_max);
}

static enum tw_code decode_frames(ZSTD_DCtx *context, struct tw_str packed, size_t bytes_max,
                                  struct tw_buf *ret_plain, struct tw_err *err)
{
    ZSTD_inBuffer in = {packed.data, packed.size, 0};
    size_t start = ret_plain->size, left = 1; /* of the frame; 0 at its end */
    while (in.pos < in.size || left != 0) {
        size_t done = ret_plain->size - start, step = bytes_max - done;
        step = step < STEP_BYTES ? step + 1 : STEP_BYTES; /* one more shows that it is too much */
        char *room = tw_buf_reserve(ret_plain, step);
        if (room == NULL)
            return too_large(bytes_max, err);
        ZSTD_outBuffer out = {room, step, 0};
        size_t before = in.pos;
        left = ZSTD_decompressStream(context, &out, &in);
        if (ZSTD_isError(left))
            return tw_err_set(err, TW_BAD_DATA, "the body is not Zstandard, or is damaged: %s",
                              ZSTD_getErrorName(left));
        if (done + out.pos > bytes_max)
            return too_large(bytes_max, err);
        ret_plain->size += out.pos;
        if (left != 0 && out.pos == 0 && in.pos == before)
            return tw_err_set(err, TW_BAD_DATA, "the body ends within a frame of Zstandard");
    }
    return TW_OK;
}

enum tw_code wire_zstd_decode(struct tw_str packed, size_t bytes_max, struct tw_buf *ret_plain,
                              struct tw_err *err)
{
    unsigned long long declared = ZSTD_getFrameContentSize(packed.data, packed.size);
    if (packed.size == 0 || declared == ZSTD_CONTENTSIZE_ERROR)
        return tw_err_set(err, TW_BAD_DATA,
                          "the body (%zu bytes) is not Zstandard: it does not begin with a frame",
                          packed.size);
    if (declared != ZSTD_CONTENTSIZE_UNKNOWN && declared > bytes_max)
        return too_large(bytes_max, err);
    size_t frame = ZSTD_findFrameCompressedSize(packed.data, packed.size);
    if (declared != ZSTD_CONTENTSIZE_UNKNOWN && frame == packed.size) { /* the usual way */
        char *room = tw_buf_reserve(ret_plain, declared ? (size_t)declared : 1);
        if (room == NULL)
            return too_large(bytes_max, err);
        size_t bytes = ZSTD_decompress(room, (size_t)declared, packed.data, packed.size);
        if (ZSTD_isError(bytes) || bytes != declared)
            return tw_err_set(err, TW_BAD_DATA, "the body is not Zstandard, or is damaged");
        ret_plain->size += bytes;
        return TW_OK;
    }
    ZSTD_DCtx *context = ZSTD_createDCtx();
    TW_ASSERT(context != NULL);
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    enum tw_code code = decode_frames(context, packed, bytes_max, ret_plain, err);
    ZSTD_freeDCtx(context);
    return code;
}
