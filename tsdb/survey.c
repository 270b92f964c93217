/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/survey.h"

#include <stdlib.h>

#include "base/assert.h"

static void survey_free(struct tsdb_survey *survey)
{
    tw_buf_fini(&survey->plain);
    wire_samples_fini(&survey->samples);
    free(survey->items);
    free(survey);
}

void tsdb_surveys_init(struct tsdb_surveys *surveys)
{
    *surveys = (struct tsdb_surveys){0};
    tw_lock_init(&surveys->lock, TW_RANK_LEAF, "tsdb.surveys");
}

void tsdb_surveys_fini(struct tsdb_surveys *surveys)
{
    while (surveys->waiting) {
        struct tsdb_survey *survey = surveys->waiting;
        surveys->waiting = survey->next;
        survey_free(survey);
    }
    tw_lock_fini(&surveys->lock);
}

struct tsdb_survey *tsdb_surveys_take(struct tsdb_surveys *surveys, size_t plain_bytes_max)
{
    tw_lock_take(&surveys->lock);
    struct tsdb_survey *survey = surveys->waiting;
    if (survey) {
        surveys->waiting = survey->next;
        surveys->waiting_count--;
    }
    tw_lock_release(&surveys->lock);
    if (!survey) {
        survey = calloc(1, sizeof *survey);
        TW_ASSERT(survey != NULL);
        tw_buf_init(&survey->plain, plain_bytes_max);
    }
    TW_ASSERT(survey->plain.size_max == plain_bytes_max);
    return survey;
}

static size_t survey_bytes(const struct tsdb_survey *survey)
{
    return survey->plain.capacity + survey->samples.capacity * sizeof survey->samples.items[0] +
           survey->capacity * sizeof survey->items[0];
}

void tsdb_surveys_give(struct tsdb_surveys *surveys, struct tsdb_survey *survey)
{
    tw_buf_clear(&survey->plain);
    survey->samples.count = survey->count = 0;
    bool kept = survey_bytes(survey) <= TSDB_SURVEY_BYTES_KEPT;
    if (kept) {
        tw_lock_take(&surveys->lock);
        kept = surveys->waiting_count < TSDB_SURVEYS_KEPT;
        if (kept) {
            survey->next = surveys->waiting;
            surveys->waiting = survey;
            surveys->waiting_count++;
        }
        tw_lock_release(&surveys->lock);
    }
    if (!kept)
        survey_free(survey);
}

static void grow(struct tsdb_survey *survey)
{
    survey->capacity = survey->capacity ? survey->capacity * 2 : 256;
    survey->items = realloc(survey->items, survey->capacity * sizeof *survey->items);
    TW_ASSERT(survey->items != NULL);
}

void tsdb_survey_add(struct tsdb_survey *survey, const struct wire_write_series *series,
                     uint64_t fingerprint)
{
    if (survey->count == survey->capacity)
        grow(survey);
    survey->items[survey->count++] =
        (struct tsdb_survey_series){.fingerprint = fingerprint,
                                    .message = series->message,
                                    .index = series->index,
                                    .label_count = series->label_count,
                                    .sample_count = series->sample_count,
                                    .histogram_count = series->histogram_count,
                                    .exemplar_count = series->exemplar_count};
}

struct wire_write_series tsdb_survey_wire(const struct tsdb_survey *survey,
                                          const struct tsdb_survey_series *series)
{
    return (struct wire_write_series){.message = series->message,
                                      .message_offset =
                                          (size_t)(series->message.data - survey->plain.data),
                                      .index = series->index,
                                      .label_count = series->label_count};
}
