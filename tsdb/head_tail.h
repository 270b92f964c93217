/* SPDX-License-Identifier: Apache-2.0
 *
 * head_tail: the newest samples of a series, as they come, before they are packed: each as its
 * difference from the one before, byte by byte. The times are the tail's own or those that the
 * scrape shares (head_times.h); then a sample has none.
 *
 *   16 bytes: of what the first sample is the difference from: the newest time (its own times) or
 *             the part (shared times); the bits of the last value
 *   samples:  control byte: bit 7: the time is not one step after the newest; bits 4 to 6: leading
 *             zero bytes of the value's XOR; bits 0 to 3: bytes of it that follow
 *             then the time's difference from what was expected, a zigzag varint
 *             then the value's bytes, least significant first
 *   runs:     control byte with no bytes kept and the time as expected: bits 4 to 6: 1 to 8 samples
 *             with the value before; with 9 bytes kept: the byte that follows: 1 to 256 of them
 *
 * The run at the end is counted only (`run`), so a value that stays costs no memory and no touch.
 *
 * Threads: plain data; the bytes may be copied, and read with the counts that held then.
 */
#ifndef TW_TSDB_HEAD_TAIL_H
#define TW_TSDB_HEAD_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tsdb/head_times.h"

#define TSDB_HEAD_TAIL_BYTES_MAX 240
#define TSDB_HEAD_TAIL_SAMPLES_MAX 255

/* Zero: of a series without samples. */
struct tsdb_head_tail {
    unsigned char *bytes;
    union {
        struct tsdb_head_times *part; /* shared: that of the next time */
        int64_t step_ms; /* else: between the two newest times: the guess for the next */
    };
    int64_t last_ms;     /* the newest time of the series, also when the tail is empty */
    uint64_t last_bits;  /* of the value that came last */
    uint8_t size, count; /* bytes in use; samples; count 0 = nothing in it */
    uint8_t run;         /* of the samples: at the end, not among the bytes */
    uint8_t place;       /* shared: of the next time */
    uint8_t first_place; /* shared: of the first time */
    uint8_t class : 3;   /* of its memory; 0 = none */
    bool shared : 1;
    uint8_t strikes : 2;  /* how often it ceased to share */
    bool used, unordered; /* the head's own (head.c), here where there is room for them */
};

/* An empty tail gets its first sample; own times, or those of which (part, place) is the next. */
void tsdb_head_tail_begin(struct tsdb_head_tail *tail, struct tsdb_head_memory *memory,
                          int64_t time_ms, uint64_t bits);
void tsdb_head_tail_begin_shared(struct tsdb_head_tail *tail, struct tsdb_head_memory *memory,
                                 struct tsdb_head_times *part, uint8_t place, int64_t time_ms,
                                 uint64_t bits);
/* One more; when it shares, time_ms is the one before its place. False if there is no room. */
bool tsdb_head_tail_add(struct tsdb_head_tail *tail, struct tsdb_head_memory *memory,
                        int64_t time_ms, uint64_t bits);
/* Forgets the samples. */
void tsdb_head_tail_clear(struct tsdb_head_tail *tail);

/* Its bytes, into room for TSDB_HEAD_TAIL_BYTES_MAX; some behind them are touched, too, within the
 * next multiple of TSDB_HEAD_TAIL_GRAIN. */
#define TSDB_HEAD_TAIL_GRAIN 16
void tsdb_head_tail_copy(const struct tsdb_head_tail *tail, unsigned char *room);

/* What a tail is to a reader; bytes may be a copy. */
struct tsdb_head_tail_view {
    const unsigned char *bytes;
    uint8_t size, count, first_place;
    bool shared;
};

struct tsdb_head_tail_view tsdb_head_tail_view(const struct tsdb_head_tail *tail,
                                               const unsigned char *bytes);
/* All count of them, in the order in which they came. */
void tsdb_head_tail_read(const struct tsdb_head_tail_view *view, int64_t *ret_times,
                         uint64_t *ret_values);
/* Of one that shares its times, which the caller has: the values. */
void tsdb_head_tail_read_values(const struct tsdb_head_tail_view *view, uint64_t *ret_values);
/* The part of the first time; only of one that shares. */
struct tsdb_head_times *tsdb_head_tail_part(const struct tsdb_head_tail_view *view);

#endif
