/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/round.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"

void agent_round_init(struct agent_round *round, struct agent_roster *roster)
{
    *round = (struct agent_round){.roster = roster};
}

void agent_round_fini(struct agent_round *round)
{
    free(round->items);
    round->items = NULL;
}

void agent_round_begin(struct agent_round *round, int64_t time_ms)
{
    round->time_ms = time_ms;
    round->count = 0;
    if (++round->tick == 0)
        round->tick = 1;
}

static void reserve(struct agent_round *round, uint32_t count)
{
    if (count <= round->capacity)
        return;
    round->capacity = count + count / 2 + 64;
    round->items = realloc(round->items, round->capacity * sizeof *round->items);
    TW_ASSERT(round->items != NULL);
}

void agent_round_put(struct agent_round *round, uint32_t series, double value)
{
    if (series == AGENT_SERIES_NONE)
        return;
    struct agent_series *entry = agent_roster_get(round->roster, series);
    if (entry->mark == round->tick) {
        round->repeated++;
        return;
    }
    entry->mark = round->tick;
    reserve(round, round->count + 1);
    round->items[round->count++] = (struct agent_item){series, value};
}

void agent_round_copy(const struct agent_round *round, struct agent_round *copy)
{
    TW_ASSERT(copy->roster == round->roster);
    reserve(copy, round->count);
    if (round->count > 0)
        memcpy(copy->items, round->items, round->count * sizeof *round->items);
    copy->count = round->count;
    copy->time_ms = round->time_ms;
    copy->tick = round->tick;
}

void agent_round_encode(const struct agent_round *round, struct tw_buf *ret_body)
{
    for (uint32_t i = 0; i < round->count; i++) {
        const struct agent_item *item = &round->items[i];
        const struct wire_sample sample = {round->time_ms, item->value};
        wire_write_put_series_raw(ret_body, agent_roster_get(round->roster, item->series)->fields,
                                  &sample, 1);
    }
}

void agent_presence_fini(struct agent_presence *presence)
{
    free(presence->series);
    *presence = (struct agent_presence){0};
}

void agent_presence_update(struct agent_presence *presence, struct agent_round *round,
                           uint32_t first)
{
    uint32_t limit = round->count;
    for (uint32_t i = 0; i < presence->count; i++)
        if (agent_roster_get(round->roster, presence->series[i])->mark != round->tick)
            agent_round_put(round, presence->series[i], tw_double_from_bits(TW_STALE_BITS));
    if (limit - first > presence->capacity) {
        presence->capacity = (limit - first) * 3 / 2;
        presence->series = realloc(presence->series, presence->capacity * sizeof *presence->series);
        TW_ASSERT(presence->series != NULL);
    }
    presence->count = limit - first;
    for (uint32_t i = first; i < limit; i++)
        presence->series[i - first] = round->items[i].series;
}

void agent_presence_end(struct agent_presence *presence, struct agent_round *round)
{
    for (uint32_t i = 0; i < presence->count; i++)
        agent_round_put(round, presence->series[i], tw_double_from_bits(TW_STALE_BITS));
    presence->count = 0;
}
