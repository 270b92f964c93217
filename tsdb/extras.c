/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/extras.h"

#include "wire/protobuf.h"
#include "wire/remote_write_v2.h"

enum { SERIES_EXEMPLARS = 3, SERIES_HISTOGRAMS = 4 }; /* of prometheus.TimeSeries */
/* of io.prometheus.write.v2.TimeSeries */
enum { SERIES_V2_HISTOGRAMS = 3, SERIES_V2_EXEMPLARS = 4 };

struct tsdb_extra {
    uint32_t series;
    enum { HISTOGRAM, EXEMPLAR, START } kind;
    const struct tw_err *why; /* NULL = good */
    union {
        struct wire_write2_start start;
        struct wire_histogram histogram;
        struct wire_exemplar exemplar;
    };
};

static struct tsdb_extra *add(struct tsdb_extras *extras, uint32_t series)
{
    if (extras->count == extras->capacity) {
        size_t wider = extras->capacity ? extras->capacity * 2 : 64;
        extras->items =
            tw_arena_grow(extras->arena, extras->items, extras->capacity * sizeof *extras->items,
                          wider * sizeof *extras->items);
        extras->capacity = wider;
    }
    struct tsdb_extra *extra = &extras->items[extras->count++];
    *extra = (struct tsdb_extra){.series = series};
    return extra;
}

static const struct tw_err *keep_reason(struct tsdb_extras *extras, const struct tw_err *err)
{
    struct tw_err *copy = tw_arena_alloc(extras->arena, sizeof *copy);
    *copy = *err;
    return copy;
}

void tsdb_extras_histogram(struct tsdb_extras *extras, uint32_t series, struct tw_str message)
{
    struct tsdb_extra *extra = add(extras, series);
    struct tw_err err;
    if (wire_histogram_decode(message, extras->arena, &extra->histogram, &err) != TW_OK)
        extra->why = keep_reason(extras, &err);
}

void tsdb_extras_exemplar(struct tsdb_extras *extras, uint32_t series, struct tw_str message,
                          const struct tw_str *symbols, size_t symbol_count)
{
    struct tsdb_extra *extra = add(extras, series);
    extra->kind = EXEMPLAR;
    struct tw_err err;
    enum tw_code code = symbols
                            ? wire_exemplar_decode_v2(message, symbols, symbol_count, extras->arena,
                                                      &extra->exemplar, &err)
                            : wire_exemplar_decode(message, extras->arena, &extra->exemplar, &err);
    if (code != TW_OK)
        extra->why = keep_reason(extras, &err);
}

void tsdb_extras_series(struct tsdb_extras *extras, const struct wire_write_series *series)
{
    if (series->histogram_count + series->exemplar_count == 0)
        return;
    struct wire_scan scan = wire_scan(series->message);
    struct wire_field field;
    while (wire_scan_next(&scan, &field))
        if (field.number == SERIES_HISTOGRAMS)
            tsdb_extras_histogram(extras, series->index, field.bytes);
        else if (field.number == SERIES_EXEMPLARS)
            tsdb_extras_exemplar(extras, series->index, field.bytes, NULL, 0);
}

/* A histogram that does not say itself when counting began, but its series does, as earlier senders
 * wrote it. */
static void say_start(struct tsdb_extras *extras, int64_t created_ms)
{
    struct tsdb_extra *extra = &extras->items[extras->count - 1];
    if (!extra->why && extra->histogram.start_ms == 0)
        extra->histogram.start_ms = created_ms;
}

static void keep_start(struct tsdb_extras *extras, uint32_t series, struct wire_write2_start start)
{
    struct tsdb_extra *extra = add(extras, series);
    extra->kind = START;
    extra->start = start;
}

void tsdb_extras_series_v2(struct tsdb_extras *extras, const struct wire_write_series *series,
                           const struct tw_str *symbols, size_t symbol_count)
{
    struct wire_write2_starts starts = wire_write2_series_starts(series);
    struct wire_write2_start start;
    struct wire_scan scan = wire_scan(series->message);
    struct wire_field field;
    while (wire_scan_next(&scan, &field))
        if (field.number == SERIES_V2_HISTOGRAMS) {
            tsdb_extras_histogram(extras, series->index, field.bytes);
            say_start(extras, starts.created_ms);
        } else if (field.number == SERIES_V2_EXEMPLARS) {
            tsdb_extras_exemplar(extras, series->index, field.bytes, symbols, symbol_count);
        }
    while (extras->zero_at_start && wire_write2_starts_next(&starts, &start))
        keep_start(extras, series->index, start);
}

bool tsdb_extras_has(struct tsdb_extras *extras, uint32_t series)
{
    while (extras->next < extras->count && extras->items[extras->next].series < series)
        extras->next++;
    return extras->next < extras->count && extras->items[extras->next].series == series;
}

static void refuse(const struct tsdb_extra *extra, struct wire_labels labels,
                   struct tsdb_ingest *ingest)
{
    struct tw_err why = *extra->why;
    /* A bad exemplar is counted; it does not make the request a bad one, as with Prometheus. */
    if (extra->kind == EXEMPLAR)
        tsdb_db_refuse_exemplars(ingest->db, TSDB_EXEMPLAR_REFUSED_BAD, 1);
    else
        tsdb_ingest_refuse_of_series(ingest, TSDB_REFUSED_HISTOGRAM, labels, &why);
}

/* Its zero comes first: the store compares both with what it has of the series. */
static void ingest_histogram(const struct tsdb_extras *extras,
                             const struct wire_histogram *histogram, struct tsdb_ingest *ingest)
{
    if (extras->zero_at_start && histogram->start_ms != 0)
        tsdb_ingest_start_of_histogram(ingest, histogram);
    tsdb_ingest_histogram(ingest, histogram);
}

void tsdb_extras_ingest(struct tsdb_extras *extras, uint32_t series, struct wire_labels labels,
                        struct tsdb_ingest *ingest)
{
    for (; extras->next < extras->count && extras->items[extras->next].series <= series;
         extras->next++) {
        const struct tsdb_extra *extra = &extras->items[extras->next];
        if (extra->series < series)
            continue;
        if (extra->why)
            refuse(extra, labels, ingest);
        else if (extra->kind == START)
            tsdb_ingest_start(ingest, extra->start.start_ms, extra->start.sample_ms);
        else if (extra->kind == HISTOGRAM)
            ingest_histogram(extras, &extra->histogram, ingest);
        else
            tsdb_ingest_exemplar(ingest, labels, &extra->exemplar);
    }
}
