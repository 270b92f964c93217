/* SPDX-License-Identifier: Apache-2.0
 *
 * wire_bench: what reading remote_write bodies costs before the store sees them.
 *
 *   wire_bench FILE.twrw [REQUESTS]  bodies recorded by twload (header 72 bytes; then per request
 *                                    u32 length, u32 samples, 24 bytes, body)
 *
 * CPU time of the thread, the best of ROUNDS, in nanoseconds a sample: `snappy` decompresses,
 * `read` goes over the series and decodes their samples, `print` hashes the labels.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/hash.h"
#include "wire/remote_write.h"
#include "wire/snappy.h"

#define ROUNDS 15
#define REQUESTS_DEFAULT 200
#define PLAIN_BYTES_MAX ((size_t)1 << 28)

enum stage { SNAPPY, READ, PRINT, STAGE_COUNT };

static const char *const names[STAGE_COUNT] = {"snappy", "read", "print"};
static double best_ns[STAGE_COUNT];
static struct tw_buf plain;
static struct wire_samples samples;
static uint64_t check; /* so that nothing is left out */

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static _Noreturn void die(const struct tw_err *err)
{
    fprintf(stderr, "wire_bench: %s\n", err->message);
    exit(1);
}

static void read_plain(bool prints)
{
    struct tw_err err;
    struct wire_write_reader reader;
    struct wire_write_entry entry;
    wire_write_reader_init(&reader, tw_buf_str(&plain));
    samples.count = 0;
    reader.samples = &samples;
    for (;;) {
        if (wire_write_reader_next(&reader, &entry, &err) != TW_OK)
            die(&err);
        if (entry.kind == WIRE_WRITE_END)
            break;
        struct tw_str raw = entry.series.raw_labels;
        check += prints ? tw_hash64_private(raw.data, raw.size) : raw.size;
    }
}

/* Returns the samples of all requests. */
static size_t run(struct tw_str content, size_t request_max)
{
    double spent_ns[STAGE_COUNT] = {0};
    size_t total = 0, at = 72;
    for (size_t i = 0; i < request_max && at + 32 <= content.size; i++) {
        uint32_t size;
        struct tw_err err;
        memcpy(&size, content.data + at, sizeof size);
        double start_ns = now_ns();
        tw_buf_clear(&plain);
        if (wire_snappy_decode((struct tw_str){content.data + at + 32, size}, PLAIN_BYTES_MAX,
                               &plain, &err) != TW_OK)
            die(&err);
        double plain_ns = now_ns();
        read_plain(false);
        double read_ns = now_ns();
        read_plain(true);
        spent_ns[SNAPPY] += plain_ns - start_ns;
        spent_ns[READ] += read_ns - plain_ns;
        spent_ns[PRINT] += now_ns() - read_ns - (read_ns - plain_ns);
        total += samples.count;
        at += 32 + size;
    }
    for (int i = 0; i < STAGE_COUNT; i++)
        if (best_ns[i] == 0 || spent_ns[i] < best_ns[i])
            best_ns[i] = spent_ns[i];
    return total;
}

int main(int argc, char **argv)
{
    struct tw_buf content;
    struct tw_err err;
    if (argc < 2) {
        fprintf(stderr, "usage: wire_bench FILE.twrw [REQUESTS]\n");
        return 2;
    }
    size_t request_max = argc > 2 ? (size_t)atol(argv[2]) : REQUESTS_DEFAULT, total = 0;
    tw_buf_init(&content, (size_t)1 << 34);
    tw_buf_init(&plain, PLAIN_BYTES_MAX);
    if (tw_file_read(argv[1], &content, &err) != TW_OK)
        die(&err);
    for (int i = 0; i < ROUNDS; i++)
        total = run(tw_buf_str(&content), request_max);
    printf("%zu samples (%llx)\n", total, (unsigned long long)check);
    for (int i = 0; i < STAGE_COUNT && total > 0; i++)
        printf("%-8s %6.1f ns a sample\n", names[i], best_ns[i] / (double)total);
    wire_samples_fini(&samples);
    tw_buf_fini(&plain);
    tw_buf_fini(&content);
    return 0;
}
