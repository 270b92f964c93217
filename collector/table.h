/* SPDX-License-Identifier: Apache-2.0
 *
 * table: rows by key (a disk, an interface, a field of a file), each with the series of its
 * columns. The kernel lists things in the same order from tick to tick, so the next row is guessed
 * and the guess compared; only a change of order searches. Rows not seen for AGENT_ROW_AGE_TICKS
 * are dropped and their series released.
 *
 * Threads: one (the sampler's).
 */
#ifndef TW_COLLECTOR_TABLE_H
#define TW_COLLECTOR_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "collector/roster.h"
#include "collector/round.h"

#define AGENT_ROW_AGE_TICKS 600
#define AGENT_ROWS_MAX 4096

/* One column of a table whose rows are told apart by a label: a family, and a further label when
 * several columns share it. */
struct agent_column {
    struct agent_family family;
    const char *label_name, *label_value; /* NULL = none */
};

struct agent_row {
    struct tw_str key;
    uint32_t tick;  /* last seen */
    uint32_t index; /* small, stable while the row lives: for a source's own arrays */
    uint32_t *series;
};

struct agent_table {
    struct agent_roster *roster;
    size_t width;
    struct agent_row *rows;
    size_t count, capacity, next;
};

void agent_table_init(struct agent_table *table, struct agent_roster *roster, size_t width);
void agent_table_fini(struct agent_table *table); /* the series stay with the roster */
/* The row of a key, NULL if there is none; borrowed until the next call with the table. */
struct agent_row *agent_table_find(struct agent_table *table, struct tw_str key, uint32_t tick);
/* A new row with series NONE. NULL when there are AGENT_ROWS_MAX. */
struct agent_row *agent_table_add(struct agent_table *table, struct tw_str key, uint32_t tick);
/* Registers the row's series: one for each column, with the labels given. */
void agent_table_fill(struct agent_table *table, struct agent_row *row,
                      const struct agent_column *columns, const struct wire_label *labels,
                      size_t label_count);
/* Finds, or adds and fills with the label key_label = key (none if key_label is NULL). */
struct agent_row *agent_table_row(struct agent_table *table, struct tw_str key, uint32_t tick,
                                  const struct agent_column *columns, const char *key_label);
/* Drops rows not seen for long. */
void agent_table_sweep(struct agent_table *table, uint32_t tick);

#endif
