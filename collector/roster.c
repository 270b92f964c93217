/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/roster.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"

#define ROSTER_MAGIC 0x41525354u
#define FIELDS_BYTES_MAX (2 * WIRE_LABELS_BYTES_MAX)

struct agent_roster {
    unsigned magic;
    struct tw_arena *arena; /* common labels, families */
    struct wire_label *common;
    size_t common_count;
    struct agent_series *series;
    uint32_t series_limit, series_capacity;
    uint32_t *released; /* a stack of numbers to give out again; as large as series */
    uint32_t released_count;
    struct agent_family *families;
    size_t family_count, family_capacity;
    uint64_t refused;
    struct tw_buf fields;
};

struct agent_roster *agent_roster_new(const struct wire_label *common, size_t count)
{
    struct agent_roster *roster = calloc(1, sizeof *roster);
    TW_ASSERT(roster != NULL && count < WIRE_LABELS_COUNT_MAX);
    roster->magic = ROSTER_MAGIC;
    roster->arena = tw_arena_new(8192);
    struct wire_labels copy = wire_labels_copy(roster->arena, (struct wire_labels){common, count});
    roster->common = TW_ARENA_ARRAY(roster->arena, struct wire_label, count);
    if (count > 0)
        memcpy(roster->common, copy.items, count * sizeof *common);
    roster->common_count = count;
    tw_buf_init(&roster->fields, FIELDS_BYTES_MAX);
    return roster;
}

struct agent_roster *agent_roster_free(struct agent_roster *roster)
{
    if (roster == NULL)
        return NULL;
    TW_CHECK_MAGIC(roster, ROSTER_MAGIC);
    roster->magic = 0;
    for (uint32_t i = 0; i < roster->series_limit; i++)
        free((char *)(uintptr_t)roster->series[i].fields.data);
    free(roster->series);
    free(roster->released);
    free(roster->families);
    tw_buf_fini(&roster->fields);
    tw_arena_free(roster->arena);
    free(roster);
    return NULL;
}

/* Metadata speaks of a histogram as a whole, its series of "..._bucket", "..._sum", "..._count". */
static struct tw_str family_name(const struct agent_family *family)
{
    static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
    struct tw_str name = tw_str(family->name);
    for (size_t i = 0; family->type == WIRE_TYPE_HISTOGRAM && i < 3; i++)
        if (tw_str_ends(name, tw_str(suffixes[i])))
            return tw_str_slice(name, 0, name.size - strlen(suffixes[i]));
    return name;
}

static void note_family(struct agent_roster *roster, const struct agent_family *family)
{
    struct tw_str name = family_name(family);
    /* Newest first: the series of one family come together. */
    for (size_t i = roster->family_count; i-- > 0;)
        if (tw_str_is(name, roster->families[i].name))
            return;
    if (roster->family_count == roster->family_capacity) {
        roster->family_capacity = roster->family_capacity * 2 + 64;
        roster->families =
            realloc(roster->families, roster->family_capacity * sizeof *roster->families);
        TW_ASSERT(roster->families != NULL);
    }
    roster->families[roster->family_count++] =
        (struct agent_family){tw_arena_cstr(roster->arena, tw_str(family->name)), family->type,
                              tw_arena_cstr(roster->arena, tw_str(family->help))};
}

static uint32_t take_number(struct agent_roster *roster)
{
    if (roster->released_count > 0)
        return roster->released[--roster->released_count];
    if (roster->series_limit == AGENT_SERIES_MAX)
        return AGENT_SERIES_NONE;
    if (roster->series_limit == roster->series_capacity) {
        uint32_t capacity = roster->series_capacity * 2 + 512;
        roster->series = realloc(roster->series, capacity * sizeof *roster->series);
        roster->released = realloc(roster->released, capacity * sizeof *roster->released);
        TW_ASSERT(roster->series != NULL && roster->released != NULL);
        memset(roster->series + roster->series_capacity, 0,
               (capacity - roster->series_capacity) * sizeof *roster->series);
        roster->series_capacity = capacity;
    }
    return roster->series_limit++;
}

static bool has_name(const struct wire_label *labels, size_t count, struct tw_str name)
{
    for (size_t i = 0; i < count; i++)
        if (tw_str_equal(labels[i].name, name))
            return true;
    return false;
}

uint32_t agent_roster_add(struct agent_roster *roster, const struct agent_family *family,
                          const struct wire_label *labels, size_t count)
{
    TW_CHECK_MAGIC(roster, ROSTER_MAGIC);
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    size_t total = 0;
    TW_ASSERT(count + roster->common_count + 1 <= WIRE_LABELS_COUNT_MAX);
    items[total++] = (struct wire_label){TW_STR(WIRE_METRIC_NAME), tw_str(family->name)};
    for (size_t i = 0; i < count; i++)
        items[total++] = labels[i];
    for (size_t i = 0; i < roster->common_count; i++)
        if (!has_name(labels, count, roster->common[i].name))
            items[total++] = roster->common[i];
    if (wire_labels_canonical(items, &total, NULL) != TW_OK ||
        wire_labels_check((struct wire_labels){items, total}, NULL) != TW_OK) {
        roster->refused++;
        return AGENT_SERIES_NONE;
    }
    uint32_t number = take_number(roster);
    if (number == AGENT_SERIES_NONE) {
        roster->refused++;
        return AGENT_SERIES_NONE;
    }
    note_family(roster, family);
    tw_buf_clear(&roster->fields);
    wire_write_put_labels(&roster->fields, (struct wire_labels){items, total});
    TW_ASSERT(!roster->fields.overflow);
    struct agent_series *series = &roster->series[number];
    series->fields = (struct tw_str){tw_str_dup(tw_buf_str(&roster->fields)), roster->fields.size};
    series->epoch++;
    series->mark = 0;
    return number;
}

void agent_roster_release(struct agent_roster *roster, uint32_t series)
{
    if (series == AGENT_SERIES_NONE)
        return;
    struct agent_series *gone = agent_roster_get(roster, series);
    free((char *)(uintptr_t)gone->fields.data);
    gone->fields = (struct tw_str){NULL, 0};
    roster->released[roster->released_count++] = series;
}

struct agent_series *agent_roster_get(struct agent_roster *roster, uint32_t series)
{
    TW_ASSERT(series < roster->series_limit && roster->series[series].fields.size > 0);
    return &roster->series[series];
}

uint32_t agent_roster_limit(const struct agent_roster *roster)
{
    return roster->series_limit;
}

uint64_t agent_roster_refused(const struct agent_roster *roster)
{
    return roster->refused;
}

size_t agent_roster_family_count(const struct agent_roster *roster)
{
    return roster->family_count;
}

const struct agent_family *agent_roster_family(const struct agent_roster *roster, size_t index)
{
    TW_ASSERT(index < roster->family_count);
    return &roster->families[index];
}
