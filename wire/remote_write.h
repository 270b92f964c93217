/* SPDX-License-Identifier: Apache-2.0
 *
 * remote_write: the body of a remote_write 1.0 request (protobuf prometheus.WriteRequest), written
 * and read by hand: docs/format/wire.md draws it.
 *
 * Writing appends to a tw_buf, series after series; a series' label fields may be encoded once and
 * put many times. A request that outgrew the buffer's maximum has its `overflow` set.
 *
 * Reading pulls one entry after the other out of the decompressed body, copies nothing and
 * allocates nothing; what it hands out points into the body. A body may hold anything: every
 * length is checked, unknown fields are skipped, groups are refused. An error names the byte offset
 * and the number of the series, and ends the reading: what came before it was well-formed.
 *
 *   struct wire_write_reader reader;
 *   struct wire_write_entry entry;
 *   wire_write_reader_init(&reader, body);
 *   while ((code = wire_write_reader_next(&reader, &entry, err)) == TW_OK &&
 *          entry.kind != WIRE_WRITE_END)
 *       if (entry.kind == WIRE_WRITE_SERIES) {
 *           ... known(entry.series.raw_labels) or wire_write_series_labels(...)
 *           while (wire_write_series_sample(&entry.series, &sample)) ...
 *       }
 *
 * Threads: any; a reader belongs to one thread.
 */
#ifndef TW_WIRE_REMOTE_WRITE_H
#define TW_WIRE_REMOTE_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "wire/labels.h"

/* Headers of a request. */
#define WIRE_WRITE_CONTENT_TYPE "application/x-protobuf"
#define WIRE_WRITE_MESSAGE "prometheus.WriteRequest"
#define WIRE_WRITE_ENCODING "snappy"
#define WIRE_WRITE_ENCODING_ZSTD "zstd" /* as vmagent sends, until it is refused */
#define WIRE_WRITE_VERSION_HEADER "X-Prometheus-Remote-Write-Version"
#define WIRE_WRITE_VERSION "0.1.0"

struct wire_sample {
    int64_t time_ms;
    double value;
};

/* Samples of many series, one after the other. Zero is an empty list. */
struct wire_samples {
    struct wire_sample *items; /* malloc()ed */
    size_t count, capacity;
};
void wire_samples_fini(struct wire_samples *samples);
void wire_samples_grow(struct wire_samples *samples);
static inline void wire_samples_add(struct wire_samples *samples, struct wire_sample sample)
{
    if (samples->count == samples->capacity)
        wire_samples_grow(samples);
    samples->items[samples->count++] = sample;
}

/* As numbered in prometheus.MetricMetadata.MetricType. */
enum wire_metric_type {
    WIRE_TYPE_UNKNOWN,
    WIRE_TYPE_COUNTER,
    WIRE_TYPE_GAUGE,
    WIRE_TYPE_HISTOGRAM,
    WIRE_TYPE_GAUGEHISTOGRAM,
    WIRE_TYPE_SUMMARY,
    WIRE_TYPE_INFO,
    WIRE_TYPE_STATESET,
    WIRE_TYPE_COUNT
};

/* "unknown", "counter", "gauge" ...: as the metadata API spells it. */
const char *wire_metric_type_name(enum wire_metric_type type);

struct wire_metadata {
    struct tw_str family, help, unit;
    enum wire_metric_type type;
};

/* ---- writing ---- */

/* Appends the label fields of a series, for wire_write_put_series_raw. */
void wire_write_put_labels(struct tw_buf *ret_fields, struct wire_labels labels);
/* Appends one series of a request. labels are canonical; samples ascend in time. */
void wire_write_put_series(struct tw_buf *ret_body, struct wire_labels labels,
                           const struct wire_sample *samples, size_t count);
void wire_write_put_series_raw(struct tw_buf *ret_body, struct tw_str label_fields,
                               const struct wire_sample *samples, size_t count);
void wire_write_put_metadata(struct tw_buf *ret_body, const struct wire_metadata *metadata);

/* ---- reading ---- */

struct wire_write_series {
    /* The label fields as sent: equal bytes = equal labels, to be hashed and compared without
     * taking them apart. Empty when other fields stand between them. */
    struct tw_str raw_labels;
    struct tw_str message; /* the whole TimeSeries */
    size_t message_offset; /* of message in the body */
    uint32_t index;        /* 0-based among the request's series */
    uint32_t label_count, sample_count, histogram_count, exemplar_count;
    /* Position of wire_write_series_sample. */
    const uint8_t *sample_at;
    uint32_t samples_left;
};

enum wire_write_kind { WIRE_WRITE_END, WIRE_WRITE_SERIES, WIRE_WRITE_METADATA };

struct wire_write_entry {
    enum wire_write_kind kind;
    struct wire_write_series series; /* WIRE_WRITE_SERIES */
    struct wire_metadata metadata;   /* WIRE_WRITE_METADATA; type UNKNOWN for numbers not known */
};

struct wire_write_reader {
    const uint8_t *start, *at, *limit;
    uint32_t series_count, metadata_count; /* handed out so far */
    /* Where the samples of each series that is read are added too, so that they are decoded once;
     * NULL after wire_write_reader_init. */
    struct wire_samples *samples;
};

void wire_write_reader_init(struct wire_write_reader *reader, struct tw_str body);
/* The next entry. TW_BAD_DATA for a malformed body, then nothing more can be read and *ret_entry is
 * not of use. */
TW_MUST_CHECK enum tw_code wire_write_reader_next(struct wire_write_reader *reader,
                                                  struct wire_write_entry *ret_entry,
                                                  struct tw_err *err);
/* The labels as sent (neither sorted nor checked), pointing into the body; items holds
 * WIRE_LABELS_COUNT_MAX. TW_BAD_DATA when there are more or one is malformed. Needed only when
 * raw_labels is not known already. */
TW_MUST_CHECK enum tw_code wire_write_series_labels(const struct wire_write_series *series,
                                                    struct wire_label *items, size_t *ret_count,
                                                    struct tw_err *err);
/* A sample's message as every sender in use writes it: the value, then the time. False for others,
 * which may be good ones. */
bool wire_write_common_sample(struct tw_str message, struct wire_sample *ret_sample);
/* The next float sample in the order sent; false after the last. Cannot fail: the samples were
 * checked when the series was read. */
bool wire_write_series_sample(struct wire_write_series *series, struct wire_sample *ret_sample);
/* Position of the first sample again. */
void wire_write_series_rewind(struct wire_write_series *series);

#endif
