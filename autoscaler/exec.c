/* SPDX-License-Identifier: Apache-2.0
 *
 * exec: programs of the operator's set and read the replicas: any cloud's command line tool.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "autoscaler/actuator.h"
#include "base/assert.h"
#include "base/number.h"

#define OUTPUT_BYTES_MAX 4096
#define OUTPUT_SHOWN 160
#define WORD_BYTES_MAX 65536

struct place {
    const char *name;
    char value[256];
};

/* One word with its places filled in. */
static const char *fill_word(struct scale_attempt *attempt, const char *word,
                             const struct place *places, size_t count)
{
    struct tw_buf text;
    tw_buf_init(&text, WORD_BYTES_MAX);
    while (*word != '\0') {
        size_t k = 0;
        while (k < count && strncmp(word, places[k].name, strlen(places[k].name)) != 0)
            k++;
        if (k < count) {
            tw_buf_append_cstr(&text, places[k].value);
            word += strlen(places[k].name);
        } else {
            tw_buf_append_char(&text, *word++);
        }
    }
    const char *filled = tw_arena_cstr(attempt->arena, tw_buf_str(&text));
    tw_buf_fini(&text);
    return filled;
}

static const char *const *fill_words(struct scale_attempt *attempt, const char *const *words)
{
    struct place places[] = {
        {"{scaler}", ""}, {"{from}", ""}, {"{to}", ""}, {"{key}", ""}, {"{instance}", ""}};
    snprintf(places[0].value, sizeof places[0].value, "%.*s", TW_STR_ARG(attempt->scaler));
    snprintf(places[1].value, sizeof places[1].value, "%" PRId64, attempt->from);
    snprintf(places[2].value, sizeof places[2].value, "%" PRId64, attempt->to);
    memcpy(places[3].value, attempt->key, sizeof attempt->key);
    snprintf(places[4].value, sizeof places[4].value, "%s",
             attempt->instance ? attempt->instance : "");
    const char **filled = TW_ARENA_ARRAY(attempt->arena, const char *, SCALE_WORDS_MAX + 1);
    for (size_t i = 0; words[i] != NULL; i++)
        filled[i] =
            fill_word(attempt, words[i], places, i == 0 ? 0 : sizeof places / sizeof *places);
    return filled;
}

/* sysexits(3): 64 to 78 are mistakes that another try does not cure, except 75, "try again". */
static enum scale_outcome outcome_of(int status)
{
    return status >= EX_USAGE && status <= EX_CONFIG && status != EX_TEMPFAIL ? SCALE_REFUSED
                                                                              : SCALE_AGAIN;
}

static bool run(struct scale_attempt *attempt, const char *const *words, struct tw_buf *output)
{
    char from[24], to[24];
    snprintf(from, sizeof from, "%" PRId64, attempt->from);
    snprintf(to, sizeof to, "%" PRId64, attempt->to);
    const struct tw_http_pair variables[] = {
        {TW_STR("TIDEWATCH_SCALER"), attempt->scaler},
        {TW_STR("TIDEWATCH_FROM"), tw_str(attempt->from >= 0 ? from : "")},
        {TW_STR("TIDEWATCH_TO"), tw_str(attempt->to >= 0 ? to : "")},
        {TW_STR("TIDEWATCH_INSTANCE"), tw_str(attempt->instance ? attempt->instance : "")},
        {TW_STR("TIDEWATCH_REASON"), tw_str(attempt->reason)},
        {TW_STR("TIDEWATCH_IDEMPOTENCY_KEY"), tw_str(attempt->key)}};
    return scale_attempt_command(attempt, fill_words(attempt, words), variables,
                                 sizeof variables / sizeof *variables, output, outcome_of);
}

/* "replicas ready" or "replicas". */
static bool parse_count(struct tw_str *rest, int64_t *ret)
{
    double value;
    struct tw_str word;
    while (tw_str_split(rest, ' ', &word) && word.size == 0)
        continue;
    if (word.size == 0 || !tw_double_parse(word, &value) || !(value >= 0) ||
        value > SCALE_REPLICAS_MAX)
        return false;
    *ret = (int64_t)value;
    return true;
}

void scale_exec_run(struct scale_attempt *attempt)
{
    struct tw_buf output;
    tw_buf_init(&output, OUTPUT_BYTES_MAX);
    bool ran = attempt->to < 0 || run(attempt, attempt->target.exec.set, &output);
    tw_buf_clear(&output);
    /* What was set stays set, also when it cannot be read. */
    if (ran && attempt->to < 0 && run(attempt, attempt->target.exec.get, &output)) {
        struct tw_str text = tw_str_trim(tw_buf_str(&output)), line = {0};
        (void)tw_str_split(&text, '\n', &line);
        for (size_t i = 0; i < output.size; i++)
            if (output.data[i] == '\t' || output.data[i] == '\r')
                output.data[i] = ' ';
        struct tw_str shown = tw_str_slice(line, 0, OUTPUT_SHOWN);
        if (!parse_count(&line, &attempt->replicas))
            scale_attempt_fail(attempt, SCALE_AGAIN,
                               "'%s' has to print \"replicas ready\", but printed \"%.*s\"",
                               attempt->target.exec.get[0], TW_STR_ARG(shown));
        else if (!parse_count(&line, &attempt->ready))
            attempt->ready = -1;
    }
    tw_buf_fini(&output);
}

void scale_exec_replace(struct scale_attempt *attempt)
{
    struct tw_buf output;
    tw_buf_init(&output, OUTPUT_BYTES_MAX);
    (void)run(attempt, attempt->target.exec.replace, &output);
    tw_buf_fini(&output);
}
