/* SPDX-License-Identifier: Apache-2.0
 *
 * survey: what a request says of its series, read before the store sees any of it: the body
 * decompressed, its series with fingerprints, their samples decoded. Not part of the request, which
 * may be answered and gone as soon as the store has it.
 *
 * Surveys are given back and taken again, so that their memory stays warm: that of a request is
 * several times its body, and pages that come fresh from the system for each request would cost
 * as much as reading it. Few are kept, and none that a huge request has widened.
 *
 * Threads: tsdb_surveys any; a survey belongs to one thread at a time.
 */
#ifndef TW_TSDB_SURVEY_H
#define TW_TSDB_SURVEY_H

#include "base/buf.h"
#include "base/lock.h"
#include "wire/remote_write.h"

/* At most so many are kept, each of so much memory. */
#define TSDB_SURVEYS_KEPT 4
#define TSDB_SURVEY_BYTES_KEPT ((size_t)3 << 20)

/* A series with the fingerprint of the bytes that name it, so that one which the store expects next
 * is recognised without taking its labels apart. */
struct tsdb_survey_series {
    uint64_t fingerprint;  /* 0 = its labels do not stand together */
    struct tw_str message; /* in plain */
    uint32_t index;        /* among the request's series */
    uint32_t label_count, sample_count, histogram_count, exemplar_count;
};

struct tsdb_survey {
    struct tsdb_survey *next;         /* of those that wait */
    struct tw_buf plain;              /* the body, decompressed */
    struct wire_samples samples;      /* of all series, in their order */
    struct tsdb_survey_series *items; /* in the order of the body; malloc()ed */
    size_t count, capacity;
};

struct tsdb_surveys {
    struct tw_lock lock; /* guards what follows */
    struct tsdb_survey *waiting;
    size_t waiting_count;
};

void tsdb_surveys_init(struct tsdb_surveys *surveys);
void tsdb_surveys_fini(struct tsdb_surveys *surveys); /* all were given back */
/* An empty one, whose plain takes at most so many bytes. */
struct tsdb_survey *tsdb_surveys_take(struct tsdb_surveys *surveys, size_t plain_bytes_max);
void tsdb_surveys_give(struct tsdb_surveys *surveys, struct tsdb_survey *survey);

/* series: read from plain, with its samples in `samples`. */
void tsdb_survey_add(struct tsdb_survey *survey, const struct wire_write_series *series,
                     uint64_t fingerprint);
/* The series again as the reader gave it, as far as its labels are concerned. */
struct wire_write_series tsdb_survey_wire(const struct tsdb_survey *survey,
                                          const struct tsdb_survey_series *series);

#endif
