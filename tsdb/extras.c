/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/extras.h"

#include "wire/protobuf.h"

enum { SERIES_EXEMPLARS = 3, SERIES_HISTOGRAMS = 4 }; /* of prometheus.TimeSeries */
/* of io.prometheus.write.v2.TimeSeries */
enum { SERIES_V2_HISTOGRAMS = 3, SERIES_V2_EXEMPLARS = 4 };

struct tsdb_extra {
    uint32_t series;
    bool is_exemplar;
    const struct tw_err *why; /* NULL = good */
    union {
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
    extra->is_exemplar = true;
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

void tsdb_extras_series_v2(struct tsdb_extras *extras, const struct wire_write_series *series,
                           const struct tw_str *symbols, size_t symbol_count)
{
    struct wire_scan scan = wire_scan(series->message);
    struct wire_field field;
    while (wire_scan_next(&scan, &field))
        if (field.number == SERIES_V2_HISTOGRAMS)
            tsdb_extras_histogram(extras, series->index, field.bytes);
        else if (field.number == SERIES_V2_EXEMPLARS)
            tsdb_extras_exemplar(extras, series->index, field.bytes, symbols, symbol_count);
}

static void refuse(const struct tsdb_extra *extra, struct wire_labels labels,
                   struct tsdb_ingest *ingest)
{
    struct tw_err why = *extra->why;
    /* A bad exemplar is counted; it does not make the request a bad one, as with Prometheus. */
    if (extra->is_exemplar)
        tsdb_db_refuse_exemplars(ingest->db, TSDB_EXEMPLAR_REFUSED_BAD, 1);
    else
        tsdb_ingest_refuse_of_series(ingest, TSDB_REFUSED_HISTOGRAM, labels, &why);
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
        else if (!extra->is_exemplar)
            tsdb_ingest_histogram(ingest, &extra->histogram);
        else
            tsdb_ingest_exemplar(ingest, labels, &extra->exemplar);
    }
}
