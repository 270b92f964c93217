/* SPDX-License-Identifier: Apache-2.0
 *
 * remote_write_v2: reads the body of a remote_write 2.0 request (protobuf
 * io.prometheus.write.v2.Request), whose series name their labels by references into one table of
 * strings, the symbols: docs/format/wire.md draws it. Series come out in the form of 1.0, so that
 * wire_write_series_sample reads their samples.
 *
 * First the symbols, then one series after the other; what is handed out points into the body or
 * the arena. A body may hold anything: every length and reference is checked.
 *
 *   struct wire_write2_reader reader;
 *   code = wire_write2_reader_init(&reader, body, arena, &err);
 *   while ((code = wire_write2_reader_next(&reader, &entry, &err)) == TW_OK && !entry.is_end)
 *       ...
 *
 * Threads: any; a reader belongs to one thread.
 */
#ifndef TW_WIRE_REMOTE_WRITE_V2_H
#define TW_WIRE_REMOTE_WRITE_V2_H

#include "base/arena.h"
#include "wire/protobuf.h"
#include "wire/remote_write.h"

/* Headers of a request and of its answer. */
#define WIRE_WRITE2_MESSAGE "io.prometheus.write.v2.Request"
#define WIRE_WRITE2_SAMPLES_HEADER "X-Prometheus-Remote-Write-Samples-Written"
#define WIRE_WRITE2_HISTOGRAMS_HEADER "X-Prometheus-Remote-Write-Histograms-Written"
#define WIRE_WRITE2_EXEMPLARS_HEADER "X-Prometheus-Remote-Write-Exemplars-Written"

/* A symbol of two bytes takes 32 of memory: a body of nothing else must not take all there is. */
#define WIRE_WRITE2_SYMBOLS_MAX ((size_t)1 << 20)

struct wire_write2_symbols {
    struct tw_str *items;
    uint64_t *hashes; /* keyed by a secret of the process */
    bool *described;  /* metadata of the metric of this name were handed out */
    size_t count;
};

struct wire_write2_entry {
    bool is_end;
    struct wire_write_series series; /* raw_labels is empty: references say nothing by themselves */
    /* Of the referenced strings in their order: equal = equal labels, in any request of this
     * process. 0 when there are too many. */
    uint64_t fingerprint;
    /* Of its metric; family is empty when nothing is said that was not said in this body before. */
    struct wire_metadata metadata;
};

struct wire_write2_reader {
    struct wire_scan scan;
    struct wire_write2_symbols symbols;
    uint32_t series_count;
    struct wire_samples *samples; /* as in wire_write_reader */
};

/* Collects the symbols. TW_BAD_DATA for a malformed body; TW_TOO_LARGE for too many of them. */
TW_MUST_CHECK enum tw_code wire_write2_reader_init(struct wire_write2_reader *reader,
                                                   struct tw_str body, struct tw_arena *arena,
                                                   struct tw_err *err);
/* The next series. TW_BAD_DATA for a malformed body, then nothing more can be read. */
TW_MUST_CHECK enum tw_code wire_write2_reader_next(struct wire_write2_reader *reader,
                                                   struct wire_write2_entry *ret_entry,
                                                   struct tw_err *err);
/* The labels as sent (neither sorted nor checked); items holds WIRE_LABELS_COUNT_MAX. TW_BAD_DATA
 * when there are more. */
TW_MUST_CHECK enum tw_code wire_write2_series_labels(const struct wire_write_series *series,
                                                     const struct wire_write2_symbols *symbols,
                                                     struct wire_label *items, size_t *ret_count,
                                                     struct tw_err *err);

/* When counting began of what the samples count, as far as the sender says it: each time once, in
 * the order of the samples, with the first sample that names it. A series says it with its samples
 * or, as earlier senders, once for all of them. */
struct wire_write2_start {
    int64_t start_ms, sample_ms;
};
struct wire_write2_starts {
    struct wire_scan scan;
    int64_t created_ms; /* of the series; 0 = not said */
    int64_t last_ms;    /* handed out last */
};
struct wire_write2_starts wire_write2_series_starts(const struct wire_write_series *series);
bool wire_write2_starts_next(struct wire_write2_starts *starts, struct wire_write2_start *ret);

#endif
