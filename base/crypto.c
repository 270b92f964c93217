/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/crypto.h"

#include <ctype.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "base/assert.h"

void tw_hmac_sha256(struct tw_str key, struct tw_str text, uint8_t *ret_digest)
{
    int failed =
        gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.data, key.size, text.data, text.size, ret_digest);
    TW_ASSERT(failed == 0);
}

enum tw_code tw_base64_decode(struct tw_str text, struct tw_buf *ret, struct tw_err *err)
{
    struct tw_buf dense;
    gnutls_datum_t decoded = {NULL, 0};
    tw_buf_init(&dense, text.size + 1);
    for (size_t i = 0; i < text.size; i++)
        if (!isspace((unsigned char)text.data[i]))
            tw_buf_append_char(&dense, text.data[i]);
    const gnutls_datum_t encoded = {(unsigned char *)dense.data, (unsigned)dense.size};
    enum tw_code code = TW_OK;
    if (dense.size > UINT32_MAX || (dense.size > 0 && gnutls_base64_decode2(&encoded, &decoded)))
        code = tw_err_set(err, TW_BAD_DATA, "this is no base64");
    else
        tw_buf_append(ret, decoded.data, decoded.size);
    if (code == TW_OK && ret->overflow)
        code = tw_err_set(err, TW_TOO_LARGE, "the decoded text is too large");
    gnutls_free(decoded.data);
    tw_buf_fini(&dense);
    return code;
}
