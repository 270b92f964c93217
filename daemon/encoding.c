/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/encoding.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

#include "base/assert.h"
#include "base/number.h"

#define GZIP_BYTES_MIN 1400 /* below, the answer fits one packet anyway */

static bool is_text(const char *content_type)
{
    static const char *const kinds[] = {
        "text/",           "application/json", "application/javascript",
        "application/xml", "image/svg",        "application/openmetrics"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strncmp(content_type, kinds[i], strlen(kinds[i])))
            return true;
    return false;
}

/* "gzip" or "*" in Accept-Encoding, unless with q=0. */
static bool accepts_gzip(const struct tw_http_request *request)
{
    struct tw_str list, item;
    if (!tw_http_header(request, "Accept-Encoding", &list))
        return false;
    while (tw_str_split(&list, ',', &item)) {
        struct tw_str name;
        if (!tw_str_split(&item, ';', &name))
            continue;
        name = tw_str_trim(name);
        if (!tw_str_is(name, "gzip") && !tw_str_is(name, "*"))
            continue;
        item = tw_str_trim(item);
        double quality;
        return !(tw_str_starts(item, TW_STR("q=")) &&
                 tw_double_parse(tw_str_slice(item, 2, item.size), &quality) && quality <= 0);
    }
    return false;
}

bool daemon_encoding_has_header(const struct tw_http_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (response->headers[i].name.size == strlen(name) &&
            !strncasecmp(response->headers[i].name.data, name, strlen(name)))
            return true;
    return false;
}

bool daemon_encoding_wants_gzip(const struct tw_http_exchange *exchange)
{
    const struct tw_http_response *response = &exchange->response;
    return !response->body.overflow && response->body.size >= GZIP_BYTES_MIN &&
           !response->produce && response->constant.size == 0 && is_text(response->content_type) &&
           !daemon_encoding_has_header(response, "Content-Encoding") &&
           accepts_gzip(&exchange->request);
}

/* ---- streams ---- */

#define PIECE_BYTES ((size_t)64 << 10)
/* After so many bytes something must come out: the sender's thread has others to serve, and only by
 * sending it learns that the client is gone. */
#define SILENT_BYTES_MAX ((size_t)512 << 10)

/* Stands between the one who produces and the one who sends. */
struct packer {
    ssize_t (*produce)(void *user, char *ret_bytes, size_t capacity);
    void (*produce_end)(void *user);
    void *produce_user;
    z_stream stream;
    bool has_ended, is_finished;
    char piece[PIECE_BYTES];
};

static ssize_t produce_packed(void *user, char *ret_bytes, size_t capacity)
{
    struct packer *packer = user;
    z_stream *stream = &packer->stream;
    stream->next_out = (Bytef *)ret_bytes;
    stream->avail_out = (uInt)(capacity < PIECE_BYTES ? capacity : PIECE_BYTES);
    uInt room = stream->avail_out;
    size_t taken = 0;
    while (stream->avail_out == room && !packer->is_finished) {
        if (stream->avail_in == 0 && !packer->has_ended) {
            ssize_t count = packer->produce(packer->produce_user, packer->piece, PIECE_BYTES);
            if (count < 0)
                return -1;
            packer->has_ended = count == 0;
            stream->next_in = (Bytef *)packer->piece;
            stream->avail_in = (uInt)count;
            taken += (size_t)count;
        }
        int flush = packer->has_ended           ? Z_FINISH
                    : taken >= SILENT_BYTES_MAX ? Z_SYNC_FLUSH
                                                : Z_NO_FLUSH;
        int state = deflate(stream, flush);
        if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR)
            return -1;
        packer->is_finished = state == Z_STREAM_END;
    }
    return (ssize_t)(room - stream->avail_out);
}

static void end_packed(void *user)
{
    struct packer *packer = user;
    if (packer->produce_end)
        packer->produce_end(packer->produce_user);
    deflateEnd(&packer->stream);
    free(packer);
}

void daemon_encoding_pack_stream(struct tw_http_exchange *exchange)
{
    struct tw_http_response *response = &exchange->response;
    if (!response->produce || !is_text(response->content_type) ||
        !strncmp(response->content_type, "text/event-stream", 17) ||
        daemon_encoding_has_header(response, "Content-Encoding") ||
        !accepts_gzip(&exchange->request))
        return;
    struct packer *packer = malloc(sizeof *packer);
    TW_ASSERT(packer != NULL);
    packer->stream = (z_stream){0};
    packer->has_ended = packer->is_finished = false;
    if (deflateInit2(&packer->stream, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + 16, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        free(packer);
        return; /* as it is, then */
    }
    packer->produce = response->produce;
    packer->produce_end = response->produce_end;
    packer->produce_user = response->produce_user;
    response->produce = produce_packed;
    response->produce_end = end_packed;
    response->produce_user = packer;
    tw_http_add_header(response, "Content-Encoding", TW_STR("gzip"));
    if (!daemon_encoding_has_header(response, "Vary"))
        tw_http_add_header(response, "Vary", TW_STR("Accept-Encoding"));
}
