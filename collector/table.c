/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void agent_table_init(struct agent_table *table, struct agent_roster *roster, size_t width)
{
    *table = (struct agent_table){.roster = roster, .width = width};
}

static void free_row(struct agent_row *row)
{
    free((char *)(uintptr_t)row->key.data);
    free(row->series);
}

void agent_table_fini(struct agent_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free_row(&table->rows[i]);
    free(table->rows);
    *table = (struct agent_table){0};
}

struct agent_row *agent_table_find(struct agent_table *table, struct tw_str key, uint32_t tick)
{
    for (size_t tried = 0; tried < table->count; tried++) {
        size_t at = table->next + tried;
        if (at >= table->count)
            at -= table->count;
        struct agent_row *row = &table->rows[at];
        if (tw_str_equal(row->key, key)) {
            table->next = at + 1 == table->count ? 0 : at + 1;
            row->tick = tick;
            return row;
        }
    }
    return NULL;
}

/* The smallest number that no row has: rows are few and new ones rare. */
static uint32_t free_index(const struct agent_table *table)
{
    uint32_t index = 0;
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].index == index) {
            index++;
            i = SIZE_MAX; /* from the start again */
        }
    return index;
}

struct agent_row *agent_table_add(struct agent_table *table, struct tw_str key, uint32_t tick)
{
    if (table->count == AGENT_ROWS_MAX)
        return NULL;
    if (table->count == table->capacity) {
        table->capacity = table->capacity * 2 + 8;
        table->rows = realloc(table->rows, table->capacity * sizeof *table->rows);
        TW_ASSERT(table->rows != NULL);
    }
    uint32_t index = table->count == 0 || table->rows[table->count - 1].index == table->count - 1
                         ? (uint32_t)table->count
                         : free_index(table);
    struct agent_row *row = &table->rows[table->count];
    *row = (struct agent_row){.key = {tw_str_dup(key), key.size}, .tick = tick, .index = index};
    row->series = malloc(table->width * sizeof *row->series);
    TW_ASSERT(row->series != NULL);
    for (size_t i = 0; i < table->width; i++)
        row->series[i] = AGENT_SERIES_NONE;
    table->count++;
    table->next = 0;
    return row;
}

void agent_table_fill(struct agent_table *table, struct agent_row *row,
                      const struct agent_column *columns, const struct wire_label *labels,
                      size_t label_count)
{
    struct wire_label items[16];
    TW_ASSERT(label_count < sizeof items / sizeof items[0]);
    if (label_count > 0)
        memcpy(items, labels, label_count * sizeof *labels);
    for (size_t i = 0; i < table->width; i++) {
        size_t count = label_count;
        if (columns[i].label_name != NULL)
            items[count++] =
                (struct wire_label){tw_str(columns[i].label_name), tw_str(columns[i].label_value)};
        row->series[i] = agent_roster_add(table->roster, &columns[i].family, items, count);
    }
}

struct agent_row *agent_table_row(struct agent_table *table, struct tw_str key, uint32_t tick,
                                  const struct agent_column *columns, const char *key_label)
{
    struct agent_row *row = agent_table_find(table, key, tick);
    if (row == NULL && (row = agent_table_add(table, key, tick)) != NULL) {
        const struct wire_label label = {tw_str(key_label), key};
        agent_table_fill(table, row, columns, &label, key_label != NULL ? 1 : 0);
    }
    return row;
}

void agent_table_sweep(struct agent_table *table, uint32_t tick)
{
    size_t kept = 0;
    for (size_t i = 0; i < table->count; i++) {
        struct agent_row *row = &table->rows[i];
        if (tick - row->tick <= AGENT_ROW_AGE_TICKS) {
            table->rows[kept++] = *row;
            continue;
        }
        for (size_t c = 0; c < table->width; c++)
            agent_roster_release(table->roster, row->series[c]);
        free_row(row);
    }
    table->count = kept;
    table->next = 0;
}
