/* SPDX-License-Identifier: Apache-2.0
 *
 * remote_read_fuzz: any bytes are read as the body of a remote read, packed and plain, and refused
 * with a place or give a request within its limits. Bytes are also taken for a histogram, which is
 * then encoded as a chunk. Built with libFuzzer (clang -fsanitize=fuzzer -DTW_LIBFUZZER) it
 * searches; else it replays the corpus given, its prefixes and its mutations of one byte, and
 * speaks TAP.
 */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/file.h"
#include "wire/remote_read.h"
#include "wire/snappy.h"

#define PLAIN_BYTES_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(struct tw_str text, struct tw_str body)
{
    return text.size == 0 ||
           (text.data >= body.data && text.data + text.size <= body.data + body.size);
}

static void read_request(struct tw_str body, struct tw_arena *arena)
{
    struct tw_err err = {.message = ""};
    struct wire_read_request request;
    enum wire_read_type type;
    enum tw_code code = wire_read_request_decode(body, arena, &request, &err);
    TW_ASSERT(code == TW_OK || (code == TW_BAD_DATA && err.message[0] != '\0'));
    if (code != TW_OK)
        return;
    TW_ASSERT(request.query_count <= WIRE_READ_QUERIES_MAX);
    TW_ASSERT(request.type_count <= WIRE_READ_TYPES_MAX);
    for (size_t i = 0; i < request.query_count; i++) {
        const struct wire_read_query *query = &request.queries[i];
        TW_ASSERT(query->matcher_count <= WIRE_READ_MATCHERS_MAX);
        TW_ASSERT(is_inside(query->function, body));
        for (size_t j = 0; j < query->matcher_count; j++) {
            TW_ASSERT(query->matchers[j].op <= WIRE_READ_NOT_REGEX);
            TW_ASSERT(is_inside(query->matchers[j].name, body));
            TW_ASSERT(is_inside(query->matchers[j].value, body));
        }
    }
    (void)(wire_read_choose_type(&request, &type, &err) == TW_OK);
}

static void encode_histogram(struct tw_str message, struct tw_arena *arena)
{
    struct wire_histogram first, second;
    if (wire_histogram_decode(message, arena, &first, NULL) != TW_OK)
        return;
    second = first;
    second.time_ms = first.time_ms < INT64_MAX ? first.time_ms + 1 : INT64_MAX;
    const struct wire_histogram *const items[] = {&first, &second};
    struct tw_buf chunk;
    tw_buf_init(&chunk, (size_t)64 << 20);
    wire_chunk_put_histograms(&second, items, wire_chunk_fit(items, 2), &chunk);
    TW_ASSERT(chunk.size > 3);
    tw_buf_fini(&chunk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tw_arena *arena = tw_arena_new(4096);
    struct tw_str bytes = {(const char *)data, size};
    struct tw_buf plain;
    tw_buf_init(&plain, PLAIN_BYTES_MAX);
    read_request(bytes, arena);
    if (wire_snappy_decode(bytes, PLAIN_BYTES_MAX, &plain, NULL) == TW_OK)
        read_request(tw_buf_str(&plain), arena);
    encode_histogram(bytes, arena);
    tw_buf_fini(&plain);
    tw_arena_free(arena);
    return 0;
}

#ifndef TW_LIBFUZZER
static void run(const char *bytes, size_t size)
{
    /* A copy without room behind it, so that a sanitizer sees reads past the end. */
    uint8_t *copy = malloc(size ? size : 1);
    TW_ASSERT(copy != NULL);
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void replay(const char *path)
{
    static const unsigned char others[] = {0, 1, 2, 8, 0x0a, 0x12, 0x1a, 0x7f, 0x80, 0xff};
    struct tw_buf bytes;
    struct tw_err err;
    tw_buf_init(&bytes, 1 << 20);
    if (tw_file_read(path, &bytes, &err)) {
        printf("Bail out! %s\n", err.message);
        exit(1);
    }
    run(bytes.data, bytes.size);
    for (size_t i = 0; i < bytes.size; i++) {
        char saved = bytes.data[i];
        run(bytes.data, i);
        for (size_t k = 0; k < sizeof others; k++) {
            bytes.data[i] = (char)others[k];
            run(bytes.data, bytes.size);
        }
        bytes.data[i] = saved;
    }
    tw_buf_fini(&bytes);
}

int main(int argc, char **argv)
{
    printf("1..%d\n", argc > 1 ? argc - 1 : 1);
    for (int i = 1; i < argc; i++) {
        replay(argv[i]);
        printf("ok %d - %s\n", i, strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i]);
    }
    return argc > 1 ? 0 : 1;
}
#endif
