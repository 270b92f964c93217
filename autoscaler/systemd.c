/* SPDX-License-Identifier: Apache-2.0
 *
 * systemd: replicas are the units worker@1.service ... worker@N.service of a template. Other
 * instances of it (worker@blue.service) are left alone.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/actuator.h"
#include "base/assert.h"

#define OUTPUT_BYTES_MAX (1 << 20)

enum unit_state { UNIT_GONE, UNIT_COMING, UNIT_SERVES };

struct units {
    struct tw_str before, behind;            /* "worker@", ".service" */
    uint8_t states[SCALE_PROCESSES_MAX + 1]; /* by instance, from 1 on */
};

static enum scale_outcome always_again(int status)
{
    (void)status;
    return SCALE_AGAIN;
}

static bool run(struct scale_attempt *attempt, const char *const *words, struct tw_buf *output)
{
    static const struct tw_http_pair plain[] = {{TW_STR_INIT("SYSTEMD_COLORS"), TW_STR_INIT("0")},
                                                {TW_STR_INIT("LC_ALL"), TW_STR_INIT("C")}};
    return scale_attempt_command(attempt, words, plain, 2, output, always_again);
}

/* The next word of a line; empty at its end. */
static struct tw_str next_word(struct tw_str *line)
{
    struct tw_str word = {0};
    while (tw_str_split(line, ' ', &word) && word.size == 0)
        continue;
    return word;
}

/* The instance of a unit's name, 0 when it is none of ours. */
static size_t instance_of(const struct units *units, struct tw_str name)
{
    size_t instance = 0;
    if (!tw_str_starts(name, units->before) || !tw_str_ends(name, units->behind) ||
        name.size <= units->before.size + units->behind.size)
        return 0;
    struct tw_str digits = tw_str_slice(name, units->before.size, name.size - units->behind.size);
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9' || (i == 0 && digits.data[i] == '0'))
            return 0;
        instance = 10 * instance + (size_t)(digits.data[i] - '0');
        if (instance > SCALE_PROCESSES_MAX)
            return 0;
    }
    return instance;
}

/* "worker@1.service loaded active running Text" for each line. */
static bool look(struct scale_attempt *attempt, struct units *units)
{
    const char *unit = attempt->target.systemd.unit;
    size_t at = tw_str_find(tw_str(unit), TW_STR("@.")) + 1;
    units->before = tw_str_slice(tw_str(unit), 0, at);
    units->behind = tw_str_slice(tw_str(unit), at, strlen(unit));
    const char *pattern = tw_arena_format(attempt->arena, "%.*s*%.*s", TW_STR_ARG(units->before),
                                          TW_STR_ARG(units->behind))
                              .data;
    const char *const words[] = {attempt->target.systemd.systemctl,
                                 attempt->target.systemd.user ? "--user" : "--system",
                                 "list-units",
                                 "--all",
                                 "--plain",
                                 "--full",
                                 "--no-legend",
                                 "--no-pager",
                                 pattern,
                                 NULL};
    struct tw_buf output;
    tw_buf_init(&output, OUTPUT_BYTES_MAX);
    memset(units->states, UNIT_GONE, sizeof units->states);
    if (run(attempt, words, &output)) {
        struct tw_str text = tw_buf_str(&output), line;
        attempt->replicas = attempt->ready = 0;
        while (tw_str_split(&text, '\n', &line)) {
            size_t instance = instance_of(units, next_word(&line));
            (void)next_word(&line); /* whether it is loaded */
            struct tw_str state = next_word(&line);
            bool serves = tw_str_is(state, "active") || tw_str_is(state, "reloading");
            if (instance == 0 || (!serves && !tw_str_is(state, "activating")))
                continue;
            units->states[instance] = serves ? UNIT_SERVES : UNIT_COMING;
            attempt->replicas++;
            attempt->ready += serves;
        }
    }
    tw_buf_fini(&output);
    return attempt->outcome == SCALE_DONE;
}

/* verb: "start" or "stop"; of all units that are not as they should be. */
static void change(struct scale_attempt *attempt, const struct units *units, const char *verb,
                   bool start)
{
    const char **words = TW_ARENA_ARRAY(attempt->arena, const char *, SCALE_PROCESSES_MAX + 5);
    size_t count = 0;
    words[count++] = attempt->target.systemd.systemctl;
    words[count++] = attempt->target.systemd.user ? "--user" : "--system";
    words[count++] = "--no-block";
    words[count++] = verb;
    size_t fixed = count;
    for (size_t i = 1; i <= SCALE_PROCESSES_MAX; i++)
        if (start ? (int64_t)i <= attempt->to && units->states[i] == UNIT_GONE
                  : (int64_t)i > attempt->to && units->states[i] != UNIT_GONE)
            words[count++] =
                tw_arena_format(attempt->arena, "%.*s%zu%.*s", TW_STR_ARG(units->before), i,
                                TW_STR_ARG(units->behind))
                    .data;
    if (count > fixed)
        (void)run(attempt, words, NULL);
}

void scale_systemd_run(struct scale_attempt *attempt)
{
    struct units units;
    if (attempt->to > SCALE_PROCESSES_MAX) {
        scale_attempt_fail(attempt, SCALE_REFUSED, "at most %d units are started on one host",
                           SCALE_PROCESSES_MAX);
        return;
    }
    if (!look(attempt, &units) || attempt->to < 0)
        return;
    change(attempt, &units, "start", true);
    if (attempt->outcome == SCALE_DONE)
        change(attempt, &units, "stop", false);
}

/* A unit that hangs is killed by systemd itself after its TimeoutStopSec. */
void scale_systemd_replace(struct scale_attempt *attempt)
{
    struct units units;
    if (!look(attempt, &units))
        return;
    if (!instance_of(&units, tw_str(attempt->instance))) {
        scale_attempt_fail(attempt, SCALE_REFUSED,
                           "'%s' is no unit of %s: recovery.label has to name the units",
                           attempt->instance, attempt->target.systemd.unit);
        return;
    }
    const char *const words[] = {attempt->target.systemd.systemctl,
                                 attempt->target.systemd.user ? "--user" : "--system",
                                 "--no-block",
                                 "restart",
                                 attempt->instance,
                                 NULL};
    (void)run(attempt, words, NULL);
}
