/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_segment: a segment of the log is replayed as the start of a server does. Records refer to
 * what came before them, so what follows the first damaged group cannot be read.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/codec.h"
#include "tsdb/exemplar_ring.h"
#include "tsdb/head.h"
#include "tsdb/log.h"
#include "tsdb/record.h"
#include "tsdb/verify_int.h"

struct replay {
    uint64_t number;
    struct tsdb_head *head; /* NULL before the first record */
    struct tsdb_record_state state;
};

/* The first record says to which index the segment's ids belong. A segment names all that it uses,
 * so each is read with an index of its own. */
static enum tw_code begin_replay(struct replay *replay, struct tw_str record, struct tw_err *err)
{
    uint64_t number;
    enum tw_code code = tsdb_record_index_number(record, &number, err);
    if (code != TW_OK)
        return code;
    struct tsdb_index *index = tsdb_index_new_numbered(number);
    replay->head = tsdb_head_new_sharing(replay->number, index);
    tsdb_index_free(index); /* the head has it */
    return TW_OK;
}

static enum tw_code replay_group(void *user, struct tw_str group, struct tw_err *err)
{
    struct replay *replay = user;
    struct tsdb_reader reader = tsdb_reader(group);
    while (tsdb_reader_left(&reader) > 0) {
        struct tw_str record = tsdb_read_bytes(&reader, tsdb_read_varint(&reader));
        if (!reader.ok)
            return tw_err_set(err, TW_CORRUPT, "log: a record is cut off");
        enum tw_code code = replay->head ? TW_OK : begin_replay(replay, record, err);
        if (code == TW_OK)
            code = tsdb_record_replay(replay->head, &replay->state, record, err);
        if (code != TW_OK)
            return code;
    }
    return TW_OK;
}

static void give_histograms(const struct tsdb_histogram_view *view, struct wire_labels labels,
                            struct tsdb_verify_file *file, struct tsdb_verify_sink *sink)
{
    struct tw_arena *arena = tw_arena_new(1 << 16);
    struct tsdb_mixed mixed = {0};
    struct tsdb_mixed_columns columns = {0};
    struct tsdb_column column;
    tsdb_histogram_view_read(view, INT64_MIN, INT64_MAX, arena, &mixed);
    for (size_t at = 0; at < mixed.count;) {
        at += tsdb_mixed_columns_take(&columns, mixed.items + at, mixed.count - at, &column);
        tsdb_verify_give(file, sink, labels, &column);
    }
    tsdb_mixed_columns_fini(&columns);
    tsdb_mixed_fini(&mixed);
    tw_arena_free(arena);
}

static void give_series(struct tsdb_head *head, uint32_t id, struct tsdb_points *points,
                        struct tsdb_verify_file *file, struct tsdb_verify_sink *sink)
{
    unsigned char room[TSDB_HEAD_TAIL_BYTES];
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    struct tsdb_head_view view = tsdb_head_view(head, id, room);
    struct wire_labels labels = {0};
    if (view.last_ms != INT64_MIN || view.histograms.newest)
        labels = tsdb_index_labels(tsdb_head_index(head), id, items);
    if (view.histograms.newest)
        give_histograms(&view.histograms, labels, file, sink);
    tsdb_head_view_points(&view, INT64_MIN, INT64_MAX, points);
    if (points->count == 0)
        return;
    int64_t *times = malloc(points->count * sizeof *times);
    double *values = malloc(points->count * sizeof *values);
    TW_ASSERT(times != NULL && values != NULL);
    for (size_t i = 0; i < points->count; i++) {
        times[i] = points->items[i].time_ms;
        memcpy(&values[i], &points->items[i].bits, sizeof values[i]);
    }
    struct tsdb_column column = {
        .kind = TSDB_KIND_FLOAT, .count = points->count, .times_ms = times, .values = values};
    tsdb_verify_give(file, sink, labels, &column);
    free(times);
    free(values);
}

static void give_head(struct tsdb_head *head, struct tsdb_verify_file *file,
                      struct tsdb_verify_sink *sink)
{
    file->series += tsdb_head_series_count(head);
    struct tsdb_points points = {0};
    for (uint32_t id = 0; id < tsdb_head_series_limit(head); id++)
        give_series(head, id, &points, file, sink);
    tsdb_points_fini(&points);
}

static void give_exemplars(const struct replay *replay, struct tsdb_verify_file *file,
                           struct tsdb_verify_sink *sink)
{
    const struct tsdb_blobs *exemplars = &replay->state.exemplars;
    struct wire_label series[WIRE_LABELS_COUNT_MAX], items[WIRE_EXEMPLAR_LABELS_MAX];
    file->exemplars = exemplars->count;
    for (size_t i = 0; sink && i < exemplars->count && sink->code == TW_OK; i++) {
        const struct tsdb_blob *blob = &exemplars->items[i];
        struct wire_exemplar exemplar;
        bool good =
            tsdb_exemplar_read(tsdb_blobs_bytes(exemplars, i), blob->time_ms, items, &exemplar);
        TW_ASSERT(good); /* checked at the replay */
        sink->code = sink->take_exemplar(
            sink->user, tsdb_index_labels(tsdb_head_index(replay->head), blob->series, series),
            &exemplar, &sink->err);
    }
}

void tsdb_verify_read_segment(const char *path, struct tsdb_verify_file *file,
                              struct tsdb_verify_sink *sink)
{
    struct tw_err err;
    char *folder = tw_str_dup(tw_str(path));
    char *slash = strrchr(folder, '/');
    TW_ASSERT(slash != NULL);
    *slash = '\0';
    struct replay replay = {.number = strtoull(slash + 1, NULL, 16)};
    if (tsdb_log_replay(folder, replay.number, replay_group, &replay, &err) != TW_OK)
        tsdb_verify_find(file, "%s", err.message);
    if (replay.head && !tsdb_index_finish_restore(tsdb_head_index(replay.head)))
        tsdb_verify_find(file, "a series is registered twice");
    else if (replay.head)
        give_head(replay.head, file, sink);
    if (replay.head)
        give_exemplars(&replay, file, sink);
    tsdb_record_state_fini(&replay.state);
    if (replay.head)
        tsdb_head_unref(replay.head);
    free(folder);
}
