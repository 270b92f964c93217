/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/partition_map.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* A segment of so few series is read whole, whatever it has. */
#define SEGMENT_SMALL 16384
static atomic_uint segment_small = SEGMENT_SMALL;

/* A larger one goes on when so large a share of it is in the run: one of SHARE. What is looked at
 * to find out: so many series in a row, in so many places. */
#define SEGMENT_SHARE 2
#define SAMPLE_PLACES 8
#define SAMPLE_SERIES 512
/* Series whose strings are kept at once while a segment is read. */
#define READ_STRIDE 65536

void tsdb_partition_map_small(uint32_t series)
{
    atomic_store(&segment_small, series);
}

/* ---- tables ---- */

uint32_t tsdb_id_table_get(const struct tsdb_id_table *table, uint32_t id)
{
    return id < table->count ? table->items[id] : TSDB_NO_SERIES;
}

void tsdb_id_table_set(struct tsdb_id_table *table, uint32_t id, uint32_t to)
{
    if (id >= table->capacity) {
        table->capacity = (size_t)id + id / 4 + 64;
        table->items = realloc(table->items, table->capacity * sizeof *table->items);
        TW_ASSERT(table->items != NULL);
    }
    for (; table->count <= id; table->count++)
        table->items[table->count] = TSDB_NO_SERIES;
    table->items[id] = to;
}

static void table_fini(struct tsdb_id_table *table)
{
    free(table->items);
    *table = (struct tsdb_id_table){0};
}

/* ---- the map ---- */

void tsdb_partition_map_forget(struct tsdb_partition_map *map)
{
    table_fini(&map->series);
    table_fini(&map->strings);
    map->index = 0;
}

void tsdb_partition_map_fini(struct tsdb_partition_map *map)
{
    tsdb_partition_map_forget(map);
    *map = (struct tsdb_partition_map){0};
}

void tsdb_partition_map_aim(struct tsdb_partition_map *map, int64_t day, uint32_t generation)
{
    if (map->day == day && map->generation == generation)
        return;
    tsdb_partition_map_forget(map);
    map->day = day;
    map->generation = generation;
}

size_t tsdb_partition_map_bytes(const struct tsdb_partition_map *map)
{
    return (map->series.capacity + map->strings.capacity) * sizeof *map->series.items;
}

/* ---- reading a segment ---- */

/* The series of a run, by the hash of their labels: open addressing, ids + 1. */
struct members {
    const struct tsdb_index *index;
    uint32_t *slots;
    size_t mask, count;
};

/* Neighbours in a run are of different series but for the windows, so nothing is there often. */
static void add_member(struct members *members, uint32_t series)
{
    size_t at = tsdb_index_hash(members->index, series) & members->mask;
    for (; members->slots[at]; at = (at + 1) & members->mask)
        if (members->slots[at] == series + 1)
            return;
    members->slots[at] = series + 1;
    members->count++;
}

static void members_init(struct members *members, const struct tsdb_run *run)
{
    size_t width = 64;
    while (width < run->chunk_count * 2)
        width *= 2;
    *members = (struct members){.index = run->index, .mask = width - 1};
    members->slots = calloc(width, sizeof *members->slots);
    TW_ASSERT(members->slots != NULL);
    for (size_t i = 0; i < run->chunk_count; i++)
        add_member(members, run->chunks[i].series);
}

static uint32_t find_member(const struct members *members, struct wire_labels labels, uint64_t hash)
{
    for (size_t at = hash & members->mask; members->slots[at]; at = (at + 1) & members->mask) {
        uint32_t series = members->slots[at] - 1;
        if (tsdb_index_hash(members->index, series) == hash &&
            tsdb_index_equal(members->index, series, labels))
            return series;
    }
    return TSDB_NO_SERIES;
}

/* The member that a series of the partition is, with its entry; TSDB_NO_SERIES when it is none. */
static enum tw_code read_member(const struct members *members, struct tsdb_partition_view *view,
                                uint32_t id, struct tsdb_series_entry *entry, uint32_t *ret,
                                struct tw_err *err)
{
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    enum tw_code code = tsdb_partition_view_series(view, id, entry, err);
    if (code == TW_OK)
        code = tsdb_partition_view_labels(view, entry, items, err);
    if (code == TW_OK)
        *ret = find_member(members, (struct wire_labels){items, entry->label_count}, entry->hash);
    return code;
}

/* Takes the ids of a series and of its strings. Its metric must be the string that the other
 * series of the metric have: blocks are found by it. */
static bool take_series(struct tsdb_partition_map *map, const struct tsdb_index *index,
                        uint32_t series, uint32_t id, const struct tsdb_series_entry *entry)
{
    uint32_t names[WIRE_LABELS_COUNT_MAX], values[WIRE_LABELS_COUNT_MAX];
    size_t count = tsdb_index_label_ids(index, series, names, values);
    TW_ASSERT(count == entry->label_count); /* the label sets are equal */
    for (size_t i = 0; i < count; i++) {
        uint32_t known = tsdb_id_table_get(&map->strings, values[i]);
        if (known != TSDB_NO_SERIES && known != entry->values[i] &&
            tw_str_is(tsdb_index_string(index, names[i]), WIRE_METRIC_NAME)) {
            tsdb_id_table_set(&map->series, series, TSDB_NO_SERIES);
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (tsdb_id_table_get(&map->strings, names[i]) == TSDB_NO_SERIES)
            tsdb_id_table_set(&map->strings, names[i], entry->names[i]);
        if (tsdb_id_table_get(&map->strings, values[i]) == TSDB_NO_SERIES)
            tsdb_id_table_set(&map->strings, values[i], entry->values[i]);
    }
    tsdb_id_table_set(&map->series, series, id);
    return true;
}

/* All of the segment, a stride at a time: what is kept of strings goes with the arena. */
static enum tw_code read_segment(struct tsdb_partition_map *map, struct tsdb_env *env,
                                 struct tsdb_env_txn *txn, const struct members *members,
                                 struct tw_err *err)
{
    struct tsdb_series_entry entry;
    struct tw_arena *arena = tw_arena_new(65536);
    enum tw_code code = TW_OK;
    bool all_taken = true;
    for (uint32_t id = map->counts.first_series; id < map->counts.series && code == TW_OK;) {
        struct tsdb_partition_view view;
        code = tsdb_partition_view_init(&view, env, txn, arena, err);
        for (size_t i = 0; i < READ_STRIDE && id < map->counts.series && code == TW_OK; i++, id++) {
            uint32_t member = TSDB_NO_SERIES;
            code = read_member(members, &view, id, &entry, &member, err);
            if (code == TW_OK)
                all_taken &= member != TSDB_NO_SERIES &&
                             take_series(map, members->index, member, id, &entry);
        }
        tsdb_partition_view_fini(&view);
        tw_arena_reset(arena);
    }
    /* What was left aside may come back, and gets another id then. */
    map->counts.repeated |= !all_taken;
    tw_arena_free(arena);
    return code;
}

/* Whether the segment is worth reading: enough of what was looked at is in the run. */
static enum tw_code judge_segment(const struct tsdb_partition_map *map, struct tsdb_env *env,
                                  struct tsdb_env_txn *txn, const struct members *members,
                                  bool *ret, struct tw_err *err)
{
    uint32_t size = map->counts.series - map->counts.first_series;
    struct tsdb_series_entry entry;
    struct tsdb_partition_view view;
    size_t looked = 0, met = 0;
    uint32_t small = atomic_load(&segment_small);
    if (size <= small || size / SEGMENT_SHARE > members->count) {
        *ret = size <= small;
        return TW_OK;
    }
    uint32_t in_a_row = size < SAMPLE_SERIES ? size : SAMPLE_SERIES;
    struct tw_arena *arena = tw_arena_new(65536);
    enum tw_code code = tsdb_partition_view_init(&view, env, txn, arena, err);
    for (uint32_t place = 0; place < SAMPLE_PLACES && code == TW_OK; place++) {
        uint32_t first = map->counts.first_series +
                         (uint32_t)((uint64_t)(size - in_a_row) * place / (SAMPLE_PLACES - 1));
        for (uint32_t i = 0; i < in_a_row && code == TW_OK; i++) {
            uint32_t member = TSDB_NO_SERIES;
            code = read_member(members, &view, first + i, &entry, &member, err);
            looked++;
            met += member != TSDB_NO_SERIES;
        }
    }
    tsdb_partition_view_fini(&view);
    tw_arena_free(arena);
    *ret = met * SEGMENT_SHARE >= looked;
    return code;
}

static bool is_known(const struct tsdb_partition_map *map, const struct tsdb_partition_counts *now,
                     const struct tsdb_index *index)
{
    return map->index == tsdb_index_identity(index) && map->counts.series == now->series &&
           map->counts.strings == now->strings;
}

enum tw_code tsdb_partition_map_load(struct tsdb_partition_map *map, struct tsdb_env *env,
                                     struct tsdb_env_txn *txn, const struct tsdb_run *run,
                                     struct tw_err *err)
{
    struct tsdb_partition_counts counts;
    enum tw_code code = tsdb_partition_read_counts(txn, &counts, err);
    if (code != TW_OK || is_known(map, &counts, run->index))
        return code;
    tsdb_partition_map_forget(map);
    map->counts = counts;
    struct members members;
    bool goes_on = true;
    members_init(&members, run);
    code = judge_segment(map, env, txn, &members, &goes_on, err);
    if (code == TW_OK && goes_on)
        code = read_segment(map, env, txn, &members, err);
    if (code == TW_OK && !goes_on) {
        map->counts.first_series = counts.series;
        map->counts.repeated = true;
    }
    free(members.slots);
    if (counts.strings > 0)
        tsdb_id_table_set(&map->strings, 0, 0);
    if (code == TW_OK)
        map->index = tsdb_index_identity(run->index);
    return code;
}
