/* SPDX-License-Identifier: Apache-2.0
 *
 * spool_codec: a round as a record of a spool file, against what the file's earlier records held:
 * labels once, only values that changed, and of those the bytes that changed. docs/format/spool.md
 * draws it. Encoder and decoder keep the same state and meet after each record.
 *
 * Threads: one for each of the two.
 */
#ifndef TW_COLLECTOR_SPOOL_CODEC_H
#define TW_COLLECTOR_SPOOL_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "collector/round.h"

/* ---- writing ---- */
struct agent_spool_encoder {
    uint32_t *epochs; /* of the holder that the file knows, 0 = none */
    uint64_t *bits;   /* last values */
    uint8_t *present; /* bitmap: was in the last round */
    uint32_t capacity;
};

void agent_spool_encoder_init(struct agent_spool_encoder *encoder);
void agent_spool_encoder_fini(struct agent_spool_encoder *encoder);
void agent_spool_encoder_restart(struct agent_spool_encoder *encoder); /* a new file */
/* Appends the record's payload. */
void agent_spool_encode(struct agent_spool_encoder *encoder, const struct agent_round *round,
                        struct tw_buf *ret_payload);

/* ---- reading ---- */
struct agent_spool_decoder {
    struct tw_str *fields; /* by number; data on the heap, size 0 = not known */
    uint64_t *bits;
    uint8_t *present;
    uint32_t capacity;
    uint32_t limit;  /* numbers of the last record are below */
    int64_t time_ms; /* of the last record */
};

void agent_spool_decoder_init(struct agent_spool_decoder *decoder);
void agent_spool_decoder_fini(struct agent_spool_decoder *decoder);
void agent_spool_decoder_restart(struct agent_spool_decoder *decoder);
/* Whether the record gives a number that is known to another series: batches end before it.
 * False for a malformed payload. */
bool agent_spool_redefines(const struct agent_spool_decoder *decoder, struct tw_str payload);
/* TW_CORRUPT when the payload is malformed; the decoder is of no use then until its restart. */
TW_MUST_CHECK enum tw_code agent_spool_decode(struct agent_spool_decoder *decoder,
                                              struct tw_str payload, struct tw_err *err);

static inline bool agent_bit_get(const uint8_t *bitmap, uint32_t i)
{
    return bitmap[i / 8] >> (i % 8) & 1;
}

#endif
