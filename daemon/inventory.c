/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/number.h"
#include "tsdb/exemplar_ring.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define HOSTS_MAX 200000 /* series looked at */
#define TOP_DEFAULT 10
#define TOP_MAX 10000

/* ---- hosts ---- */

struct host {
    struct tw_str job, instance;
    struct wire_labels info; /* of node_uname_info; empty if there is none */
    int64_t last_ms;
};

/* Time of the newest sample that is no stale marker; INT64_MIN if there is none. Most series have
 * one in the last minutes, so that a day is seldom read. */
static enum tw_code find_last(struct tsdb_cursor *cursor, size_t index, int64_t now_ms,
                              int64_t *ret_ms, struct tw_err *err)
{
    static const int64_t spans_ms[] = {5 * MINUTE_MS, HOUR_MS, 24 * HOUR_MS};
    *ret_ms = INT64_MIN;
    for (size_t i = 0; i < sizeof spans_ms / sizeof spans_ms[0] && *ret_ms == INT64_MIN; i++) {
        struct tsdb_column column;
        tsdb_cursor_seek(cursor, index, now_ms - spans_ms[i], now_ms);
        do {
            enum tw_code code = tsdb_cursor_next(cursor, &column, err);
            if (code != TW_OK)
                return code;
            for (size_t k = column.count; k > 0; k--) {
                if (column.kind == TSDB_KIND_FLOAT && tw_double_is_stale(column.values[k - 1]))
                    continue;
                *ret_ms = column.times_ms[k - 1];
                break;
            }
        } while (column.count > 0);
    }
    return TW_OK;
}

/* Hosts in the order they come, found again through open addressing: index + 1, 0 = empty. */
struct host_list {
    struct host *items;
    size_t count;
    uint32_t *slots;
    size_t slot_count; /* a power of two, at least twice the number of hosts there can be */
};

static struct host *find_host(struct host_list *list, struct tw_str job, struct tw_str instance)
{
    uint64_t hash = tw_hash64_seeded(instance.data, instance.size, tw_hash64(job.data, job.size));
    size_t slot = hash & (list->slot_count - 1);
    for (; list->slots[slot]; slot = (slot + 1) & (list->slot_count - 1)) {
        struct host *host = &list->items[list->slots[slot] - 1];
        if (tw_str_equal(host->job, job) && tw_str_equal(host->instance, instance))
            return host;
    }
    struct host *host = &list->items[list->count++];
    *host = (struct host){.job = job, .instance = instance, .last_ms = INT64_MIN};
    list->slots[slot] = (uint32_t)list->count;
    return host;
}

static enum tw_code collect_hosts(struct tsdb_selection *selection, int64_t now_ms,
                                  struct host_list *list, struct tw_err *err)
{
    struct tsdb_cursor *cursor;
    enum tw_code code = tsdb_cursor_open(selection, &cursor, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < tsdb_selection_count(selection) && code == TW_OK; i++) {
        struct wire_labels labels = tsdb_selection_labels(selection, i);
        struct host *host = find_host(list, wire_labels_get(labels, TW_STR("job")),
                                      wire_labels_get(labels, TW_STR("instance")));
        if (tw_str_is(wire_labels_get(labels, TW_STR(WIRE_METRIC_NAME)), "node_uname_info"))
            host->info = labels;
        int64_t last_ms;
        code = find_last(cursor, i, now_ms, &last_ms, err);
        if (code == TW_OK && last_ms > host->last_ms)
            host->last_ms = last_ms;
    }
    tsdb_cursor_close(cursor);
    return code;
}

static void write_hosts(struct tw_http_exchange *exchange, const struct host_list *list)
{
    const struct host *hosts = list->items;
    static const char *const names[] = {"nodename", "sysname", "release", "version", "machine"};
    struct tw_json_writer writer;
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_array(&writer);
    for (size_t i = 0; i < list->count; i++) {
        if (hosts[i].last_ms == INT64_MIN)
            continue;
        tw_json_begin_object(&writer);
        tw_json_member_str(&writer, "instance", hosts[i].instance);
        tw_json_member_str(&writer, "job", hosts[i].job);
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            tw_json_member_str(&writer, names[k], wire_labels_get(hosts[i].info, tw_str(names[k])));
        tw_json_member_number(&writer, "lastSeen", (double)hosts[i].last_ms / 1000);
        tw_json_end_object(&writer);
    }
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
}

static enum tw_http_verdict hosts(void *user, struct tw_http_exchange *exchange)
{
    struct tsdb_db *db = user;
    struct tsdb_matcher matcher;
    struct tsdb_selection *selection = NULL;
    struct tw_err err;
    int64_t now_ms = tw_clock_wall_ms(exchange->context.clock);
    exchange->context.limits.query_series_max = HOSTS_MAX;
    enum tw_code code = tsdb_matcher_init(&matcher, TSDB_MATCH_REGEX, TW_STR(WIRE_METRIC_NAME),
                                          TW_STR("node_uname_info|node_load1"), &err);
    if (code == TW_OK) {
        code = tsdb_select(tsdb_db_storage(db), &exchange->context, &matcher, 1,
                           now_ms - 24 * HOUR_MS, now_ms, NULL, &selection, &err);
        tsdb_matcher_fini(&matcher);
    }
    struct host_list list = {.slot_count = 16};
    if (code == TW_OK) {
        size_t most = tsdb_selection_count(selection);
        while (list.slot_count < 2 * most)
            list.slot_count *= 2;
        list.items = TW_ARENA_ARRAY(exchange->arena, struct host, most);
        list.slots = TW_ARENA_ARRAY(exchange->arena, uint32_t, list.slot_count);
        code = collect_hosts(selection, now_ms, &list, &err);
    }
    if (code == TW_OK)
        write_hosts(exchange, &list);
    else
        tw_http_error_api(exchange, &err);
    if (selection)
        tsdb_selection_close(selection);
    return TW_HTTP_DONE;
}

/* ---- cardinality ---- */

struct tally {
    struct tw_str name, value; /* value: empty in a tally of names */
    uint64_t count, bytes;
};

/* Open addressing, grown at half full; hash 0 of an empty slot is count 0. */
struct table {
    struct tally *slots;
    size_t count, capacity;
};

static struct tally *find_slot(const struct table *table, struct tw_str name, struct tw_str value)
{
    uint64_t hash = tw_hash64_seeded(value.data, value.size, tw_hash64(name.data, name.size));
    size_t i = hash & (table->capacity - 1);
    while (table->slots[i].count > 0 && !(tw_str_equal(table->slots[i].name, name) &&
                                          tw_str_equal(table->slots[i].value, value)))
        i = (i + 1) & (table->capacity - 1);
    return &table->slots[i];
}

static struct tally *count_in(struct table *table, struct tw_arena *arena, struct tw_str name,
                              struct tw_str value, uint64_t bytes)
{
    if (table->count * 2 >= table->capacity) {
        struct table larger = {.capacity = table->capacity ? table->capacity * 2 : 1024};
        larger.slots = TW_ARENA_ARRAY(arena, struct tally, larger.capacity);
        for (size_t i = 0; i < table->capacity; i++)
            if (table->slots[i].count > 0)
                *find_slot(&larger, table->slots[i].name, table->slots[i].value) = table->slots[i];
        larger.count = table->count;
        *table = larger;
    }
    struct tally *slot = find_slot(table, name, value);
    if (slot->count == 0) {
        table->count++;
        slot->name = name;
        slot->value = value;
    }
    slot->count++;
    slot->bytes += bytes;
    return slot;
}

static int compare_counts(const void *a, const void *b)
{
    const struct tally *one = a, *other = b;
    if (one->count != other->count)
        return one->count < other->count ? 1 : -1;
    int order = tw_str_compare(one->name, other->name);
    return order ? order : tw_str_compare(one->value, other->value);
}

static int compare_bytes(const void *a, const void *b)
{
    const struct tally *one = a, *other = b;
    if (one->bytes != other->bytes)
        return one->bytes < other->bytes ? 1 : -1;
    return tw_str_compare(one->name, other->name);
}

/* The filled slots, packed to the front of an array of their own and sorted. */
static struct tally *sort_table(const struct table *table, struct tw_arena *arena,
                                int (*compare)(const void *, const void *))
{
    struct tally *items = TW_ARENA_ARRAY(arena, struct tally, table->count);
    size_t count = 0;
    for (size_t i = 0; i < table->capacity; i++)
        if (table->slots[i].count > 0)
            items[count++] = table->slots[i];
    if (count > 1)
        qsort(items, count, sizeof *items, compare);
    return items;
}

static void write_top(struct tw_json_writer *writer, const char *key, const struct tally *items,
                      size_t count, size_t limit, struct tw_arena *arena, bool by_bytes)
{
    tw_json_key(writer, tw_str(key));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < count && i < limit; i++) {
        struct tw_str name = items[i].name;
        if (items[i].value.data)
            name =
                tw_arena_format(arena, "%.*s=%.*s", TW_STR_ARG(name), TW_STR_ARG(items[i].value));
        tw_json_begin_object(writer);
        tw_json_member_str(writer, "name", name);
        tw_json_member_int(writer, "value", (int64_t)(by_bytes ? items[i].bytes : items[i].count));
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
}

struct cardinality {
    struct table metrics, pairs, names;
};

static enum tw_code count_series(struct tw_http_exchange *exchange,
                                 struct tsdb_selection *selection, struct cardinality *ret,
                                 struct tw_err *err)
{
    struct tw_arena *arena = exchange->arena;
    struct tw_str none = {0};
    for (size_t i = 0; i < tsdb_selection_count(selection); i++) {
        struct wire_labels labels = tsdb_selection_labels(selection, i);
        if (i % 4096 == 0 && tw_context_check(&exchange->context, err) != TW_OK)
            return err->code;
        for (size_t k = 0; k < labels.count; k++) {
            struct wire_label label = labels.items[k];
            if (tw_str_is(label.name, WIRE_METRIC_NAME))
                count_in(&ret->metrics, arena, label.value, none, 0);
            if (count_in(&ret->pairs, arena, label.name, label.value, 0)->count == 1)
                count_in(&ret->names, arena, label.name, none, label.value.size);
        }
    }
    return TW_OK;
}

static void write_cardinality(struct tw_http_exchange *exchange, struct tsdb_db *db,
                              const struct cardinality *cardinality, size_t limit)
{
    struct tw_arena *arena = exchange->arena;
    struct tsdb_db_status status;
    struct tw_json_writer writer;
    tsdb_db_status(db, &status);
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_object(&writer);
    tw_json_key(&writer, TW_STR("headStats"));
    tw_json_begin_object(&writer);
    tw_json_member_int(&writer, "numSeries", (int64_t)status.head_series);
    tw_json_member_int(&writer, "numLabelPairs", (int64_t)cardinality->pairs.count);
    tw_json_member_int(&writer, "chunkCount", (int64_t)status.head_series);
    tw_json_member_int(&writer, "minTime", status.head_first_ms);
    tw_json_member_int(&writer, "maxTime", status.head_last_ms);
    tw_json_member_int(&writer, "numSamples", (int64_t)status.head_samples);
    tw_json_member_int(&writer, "bytes", (int64_t)status.head_bytes);
    tw_json_end_object(&writer);
    struct tsdb_exemplar_counts exemplars;
    tsdb_db_count_exemplars(db, &exemplars);
    tw_json_key(&writer, TW_STR("exemplarStats"));
    tw_json_begin_object(&writer);
    tw_json_member_int(&writer, "numExemplars", (int64_t)exemplars.exemplars);
    tw_json_member_int(&writer, "numSeries", (int64_t)exemplars.series);
    tw_json_member_int(&writer, "maxExemplars", (int64_t)exemplars.exemplars_max);
    tw_json_end_object(&writer);
    tw_json_member_int(&writer, "partitions", (int64_t)status.partitions);
    write_top(&writer, "seriesCountByMetricName",
              sort_table(&cardinality->metrics, arena, compare_counts), cardinality->metrics.count,
              limit, arena, false);
    write_top(&writer, "labelValueCountByLabelName",
              sort_table(&cardinality->names, arena, compare_counts), cardinality->names.count,
              limit, arena, false);
    write_top(&writer, "memoryInBytesByLabelName",
              sort_table(&cardinality->names, arena, compare_bytes), cardinality->names.count,
              limit, arena, true);
    write_top(&writer, "seriesCountByLabelValuePair",
              sort_table(&cardinality->pairs, arena, compare_counts), cardinality->pairs.count,
              limit, arena, false);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
}

static enum tw_http_verdict cardinality(void *user, struct tw_http_exchange *exchange)
{
    struct tsdb_db *db = user;
    struct tsdb_selection *selection = NULL;
    struct cardinality counted = {0};
    struct tw_str text;
    struct tw_err err;
    int64_t limit = TOP_DEFAULT, now_ms = tw_clock_wall_ms(exchange->context.clock);
    enum tw_code code = TW_OK;
    if (tw_http_parameter(&exchange->request, "limit", &text) && text.size > 0 &&
        (!tw_int64_parse(text, &limit) || limit < 1))
        code = tw_err_set(&err, TW_BAD_DATA, "limit must be a positive number");
    else if (limit > TOP_MAX)
        code = tw_err_set(&err, TW_BAD_DATA, "limit must not exceed %d", TOP_MAX);
    exchange->context.limits.query_series_max = DAEMON_INVENTORY_SERIES_MAX;
    if (code == TW_OK)
        code = tsdb_select(tsdb_db_storage(db), &exchange->context, NULL, 0, now_ms - 2 * HOUR_MS,
                           now_ms, NULL, &selection, &err);
    if (code == TW_OK)
        code = count_series(exchange, selection, &counted, &err);
    if (code == TW_OK)
        write_cardinality(exchange, db, &counted, (size_t)limit);
    else
        tw_http_error_api(exchange, &err);
    if (selection)
        tsdb_selection_close(selection);
    return TW_HTTP_DONE;
}

/* ---- days on disk ---- */

/* A name in the form that Prometheus's blocks have, a ULID: 48 bits of time and 80 that tell it
 * from others; it changes when the day is written again. */
static void format_ulid(const struct tsdb_day *day, char *ret_text)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    const uint64_t seed[] = {(uint64_t)day->day, day->last_run, (uint64_t)day->rewritten_ms};
    uint64_t time = day->day < 0 ? 0 : (uint64_t)day->day * TSDB_DAY_MS;
    uint64_t low = tw_hash64(seed, sizeof seed), high = tw_hash64_seeded(seed, sizeof seed, low);
    for (int i = 9; i >= 0; i--, time >>= 5)
        ret_text[i] = digits[time & 31];
    for (int i = 25; i >= 18; i--, low >>= 5)
        ret_text[i] = digits[low & 31];
    for (int i = 17; i >= 10; i--, high >>= 5)
        ret_text[i] = digits[high & 31];
    ret_text[26] = '\0';
}

static void write_day(struct tw_json_writer *writer, const struct tsdb_day *day)
{
    char ulid[27];
    format_ulid(day, ulid);
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "ulid", ulid);
    tw_json_member_int(writer, "minTime", day->day * TSDB_DAY_MS);
    tw_json_member_int(writer, "maxTime", (day->day + 1) * TSDB_DAY_MS);
    tw_json_key(writer, TW_STR("stats"));
    tw_json_begin_object(writer);
    tw_json_member_int(writer, "numSamples", (int64_t)day->samples);
    tw_json_member_int(writer, "numSeries", day->series);
    tw_json_member_int(writer, "numChunks", day->series); /* as for the head: each has its own */
    tw_json_member_int(writer, "numBytes", (int64_t)day->bytes);
    tw_json_end_object(writer);
    tw_json_key(writer, TW_STR("compaction"));
    tw_json_begin_object(writer);
    tw_json_member_int(writer, "level", day->rewritten_ms ? 2 : 1);
    tw_json_key(writer, TW_STR("sources"));
    tw_json_begin_array(writer);
    tw_json_write_cstr(writer, ulid);
    tw_json_end_array(writer);
    tw_json_member_int(writer, "runs", day->runs);
    tw_json_end_object(writer);
    tw_json_member_number(writer, "downsampledStep", (double)day->step_ms / 1000);
    tw_json_member_int(writer, "version", 1);
    tw_json_end_object(writer);
}

static enum tw_http_verdict blocks(void *user, struct tw_http_exchange *exchange)
{
    struct tsdb_day *days;
    struct tw_json_writer writer;
    struct tw_err err;
    size_t count;
    if (tsdb_db_days(user, exchange->arena, &days, &count, &err) != TW_OK) {
        tw_http_error_api(exchange, &err);
        return TW_HTTP_DONE;
    }
    tw_http_begin_success(exchange, &writer);
    tw_json_begin_object(&writer);
    tw_json_key(&writer, TW_STR("blocks"));
    tw_json_begin_array(&writer);
    for (size_t i = 0; i < count; i++)
        write_day(&writer, &days[i]);
    tw_json_end_array(&writer);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    return TW_HTTP_DONE;
}

void daemon_inventory_route(struct tw_http_router *router, struct tsdb_db *db)
{
    tw_http_route(router, TW_HTTP_GET, "/api/v1/hosts", TW_HTTP_WORKER, hosts, db);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/status/tsdb", TW_HTTP_WORKER, cardinality, db);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/status/tsdb/blocks", TW_HTTP_WORKER, blocks, db);
}
