/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/buckets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/number.h"
#include "tsdb/codec.h"

#define LOOKBACK_MS (INT64_C(5) * 60 * 1000)
/* Parts into which a counter's range is filled, so that there is something in it wherever it is;
 * and parts of a bucket, because beside samples that are not downsampled PromQL extrapolates by no
 * more than these are apart. */
#define PARTS_OF_A_RANGE 24
#define PARTS_OF_A_BUCKET 12
#define FILL_MS_MIN 1000

static void reserve(struct tsdb_buckets *buckets, size_t more)
{
    if (buckets->items && buckets->count + more <= buckets->capacity)
        return;
    buckets->capacity = (buckets->count + more) * 2 + 8; /* an array even for none */
    buckets->items = realloc(buckets->items, buckets->capacity * sizeof *buckets->items);
    TW_ASSERT(buckets->items != NULL);
}

void tsdb_buckets_fini(struct tsdb_buckets *buckets)
{
    free(buckets->items);
    *buckets = (struct tsdb_buckets){0};
}

void tsdb_buckets_append(struct tsdb_buckets *buckets, const struct tsdb_bucket *items,
                         size_t count)
{
    reserve(buckets, count);
    if (count)
        memcpy(buckets->items + buckets->count, items, count * sizeof *items);
    buckets->count += count;
}

void tsdb_buckets_append_samples(struct tsdb_buckets *buckets, const int64_t *times,
                                 const double *values, size_t count)
{
    reserve(buckets, count);
    for (size_t i = 0; i < count; i++) {
        double value = values[i];
        struct tsdb_bucket *bucket = &buckets->items[buckets->count++];
        if (tw_double_is_stale(value))
            *bucket = (struct tsdb_bucket){.time_ms = times[i], .last = value};
        else
            *bucket = (struct tsdb_bucket){times[i], value, value, value, 1, value, 0};
    }
}

static bool beats(const struct tsdb_bucket *newer, const struct tsdb_bucket *older)
{
    return newer->count >= older->count;
}

void tsdb_buckets_merge(const struct tsdb_buckets *older, const struct tsdb_buckets *newer,
                        struct tsdb_buckets *ret)
{
    size_t i = 0, j = 0;
    ret->count = 0;
    reserve(ret, older->count + newer->count);
    while (i < older->count || j < newer->count) {
        const struct tsdb_bucket *a = i < older->count ? &older->items[i] : NULL;
        const struct tsdb_bucket *b = j < newer->count ? &newer->items[j] : NULL;
        const struct tsdb_bucket *taken = !b || (a && a->time_ms < b->time_ms) ? a : b;
        if (a && b && a->time_ms == b->time_ms)
            taken = beats(b, a) ? b : a;
        i += a && a->time_ms == taken->time_ms;
        j += b && b->time_ms == taken->time_ms;
        ret->items[ret->count++] = *taken;
    }
}

/* ---- folding ---- */

/* Sum with the rounding error of what was added, as the query engine's. */
static void add_sum(double value, double *sum, double *error)
{
    double total = *sum + value;
    if (isinf(total))
        *error = 0;
    else if (fabs(*sum) >= fabs(value))
        *error += (*sum - total) + value;
    else
        *error += (value - total) + *sum;
    *sum = total;
}

int64_t tsdb_bucket_step(int64_t time_ms, int64_t step_ms)
{
    return time_ms == INT64_MIN ? INT64_MIN : tw_floor_div(time_ms - 1, step_ms);
}

size_t tsdb_buckets_leave_open(const struct tsdb_buckets *buckets, struct tsdb_buckets *samples,
                               int64_t step_ms)
{
    size_t kept = 0, at = 0, before = samples->count;
    for (size_t i = 0; i < samples->count; i++) {
        int64_t number = tsdb_bucket_step(samples->items[i].time_ms, step_ms);
        while (at < buckets->count &&
               (buckets->items[at].count == 0 ||
                tsdb_bucket_step(buckets->items[at].time_ms, step_ms) < number))
            at++;
        if (at == buckets->count || tsdb_bucket_step(buckets->items[at].time_ms, step_ms) > number)
            samples->items[kept++] = samples->items[i];
    }
    samples->count = kept;
    return before - kept;
}

struct fold {
    struct tsdb_bucket bucket;
    int64_t number;
    double error;
    bool open;
};

static void close_bucket(struct fold *fold, struct tsdb_buckets *ret)
{
    if (!fold->open)
        return;
    fold->bucket.sum += fold->error;
    tsdb_buckets_append(ret, &fold->bucket, 1);
    fold->open = false;
}

static void add_item(struct fold *fold, const struct tsdb_bucket *item)
{
    struct tsdb_bucket *bucket = &fold->bucket;
    if (item->min < bucket->min || isnan(bucket->min))
        bucket->min = item->min;
    if (item->max > bucket->max || isnan(bucket->max))
        bucket->max = item->max;
    add_sum(item->sum, &bucket->sum, &fold->error);
    bucket->count += item->count;
    bucket->last = item->last;
    bucket->lost += item->lost;
    bucket->time_ms = item->time_ms;
}

void tsdb_buckets_fold(const struct tsdb_bucket *items, size_t count, int64_t step_ms,
                       struct tsdb_bucket_carry *carry, struct tsdb_buckets *ret)
{
    struct fold fold = {.open = false};
    for (size_t i = 0; i < count; i++) {
        struct tsdb_bucket item = items[i];
        int64_t number = tsdb_bucket_step(item.time_ms, step_ms);
        if (item.count == 0) { /* a stale marker */
            close_bucket(&fold, ret);
            tsdb_buckets_append(ret, &item, 1);
            continue;
        }
        if (item.count == 1 && item.lost == 0 && carry->known && item.last < carry->last)
            item.lost = carry->last;
        if (fold.open && number != fold.number)
            close_bucket(&fold, ret);
        if (fold.open)
            add_item(&fold, &item);
        else
            fold = (struct fold){item, number, 0, true};
        if (!carry->known)
            close_bucket(&fold, ret);
        *carry = (struct tsdb_bucket_carry){item.last, true};
    }
    close_bucket(&fold, ret);
}

/* ---- bytes ---- */

#define COLUMN_COUNT 6

static double *column_of(struct tsdb_bucket *bucket, int column)
{
    double *const columns[COLUMN_COUNT] = {&bucket->last, &bucket->min,   &bucket->max,
                                           &bucket->sum,  &bucket->count, &bucket->lost};
    return columns[column];
}

void tsdb_buckets_encode(const struct tsdb_bucket *items, size_t count, struct tw_buf *ret)
{
    uint64_t *bits = malloc((count + 1) * sizeof *bits);
    TW_ASSERT(bits != NULL);
    struct tw_buf bytes;
    tw_buf_init(&bytes, (size_t)1 << 30);
    for (int column = 0; column < COLUMN_COUNT; column++) {
        bool as_last = column > 0;
        for (size_t i = 0; i < count; i++) {
            struct tsdb_bucket bucket = items[i];
            bits[i] = tw_double_bits(*column_of(&bucket, column));
            as_last = as_last && bits[i] == tw_double_bits(bucket.last);
        }
        tw_buf_clear(&bytes);
        if (!as_last)
            tsdb_codec_encode_values(bits, count, &bytes);
        tsdb_varint_append(ret, bytes.size);
        tw_buf_append_str(ret, tw_buf_str(&bytes));
    }
    tw_buf_fini(&bytes);
    free(bits);
}

bool tsdb_buckets_decode(struct tw_str bytes, const int64_t *times, size_t count,
                         struct tsdb_buckets *ret)
{
    struct tsdb_reader reader = tsdb_reader(bytes);
    uint64_t *bits = malloc((count + 1) * sizeof *bits);
    TW_ASSERT(bits != NULL);
    reserve(ret, count);
    struct tsdb_bucket *items = ret->items + ret->count;
    bool ok = true;
    for (int column = 0; column < COLUMN_COUNT && ok; column++) {
        struct tw_str encoded = tsdb_read_bytes(&reader, tsdb_read_varint(&reader));
        ok = reader.ok && (column > 0 || encoded.size > 0) &&
             (encoded.size == 0 || tsdb_codec_decode_values(encoded, bits, count));
        for (size_t i = 0; ok && i < count; i++)
            *column_of(&items[i], column) =
                encoded.size ? tw_double_from_bits(bits[i]) : items[i].last;
    }
    for (size_t i = 0; i < count; i++)
        items[i].time_ms = times[i];
    free(bits);
    if (!ok || tsdb_reader_left(&reader) > 0)
        return false;
    ret->count += count;
    return true;
}

/* ---- as samples ---- */

enum tsdb_want tsdb_want_of(const struct tsdb_hints *hints)
{
    static const struct {
        const char *function;
        enum tsdb_want want;
    } wants[] = {
        {"max_over_time", TSDB_WANT_MAX},   {"ts_of_max_over_time", TSDB_WANT_MAX},
        {"min_over_time", TSDB_WANT_MIN},   {"ts_of_min_over_time", TSDB_WANT_MIN},
        {"sum_over_time", TSDB_WANT_SUM},   {"avg_over_time", TSDB_WANT_SUM},
        {"count_over_time", TSDB_WANT_SUM}, {"rate", TSDB_WANT_COUNTER},
        {"increase", TSDB_WANT_COUNTER},    {"irate", TSDB_WANT_COUNTER},
        {"resets", TSDB_WANT_COUNTER},
    };
    for (size_t i = 0; hints->range_ms > 0 && i < sizeof wants / sizeof *wants; i++)
        if (tw_str_is(hints->function, wants[i].function))
            return wants[i].want;
    return TSDB_WANT_LAST;
}

void tsdb_projection_begin(struct tsdb_projection *projection, const struct tsdb_hints *hints,
                           int64_t step_ms, int64_t start_ms, int64_t end_ms)
{
    projection->want = tsdb_want_of(hints);
    projection->step_ms = step_ms;
    projection->range_ms = hints->range_ms;
    projection->lookback_ms = hints->lookback_ms > 0 ? hints->lookback_ms : LOOKBACK_MS;
    projection->start_ms = start_ms;
    projection->end_ms = end_ms;
    projection->has_before = false;
    projection->count = 0;
}

void tsdb_projection_fini(struct tsdb_projection *projection)
{
    free(projection->times);
    free(projection->values);
    free(projection->weights);
    *projection = (struct tsdb_projection){0};
}

static void emit(struct tsdb_projection *projection, int64_t time_ms, double value, double weight)
{
    if (time_ms < projection->start_ms || time_ms > projection->end_ms)
        return;
    if (projection->count == projection->capacity) {
        size_t capacity = projection->capacity ? projection->capacity * 2 : 256;
        projection->times = realloc(projection->times, capacity * sizeof(int64_t));
        projection->values = realloc(projection->values, capacity * sizeof(double));
        projection->weights = realloc(projection->weights, capacity * sizeof(double));
        TW_ASSERT(projection->times && projection->values && projection->weights);
        projection->capacity = capacity;
    }
    projection->times[projection->count] = time_ms;
    projection->values[projection->count] = value;
    projection->weights[projection->count++] = weight;
}

static int64_t at_least(int64_t ms)
{
    return ms > FILL_MS_MIN ? ms : FILL_MS_MIN;
}

/* The last value again and again, until the next bucket or for as long as the step. */
static void hold(struct tsdb_projection *projection, int64_t until_ms)
{
    const struct tsdb_bucket *before = &projection->before;
    if (!projection->has_before || before->count == 0)
        return;
    int64_t every_ms =
        at_least(projection->range_ms > 0 ? projection->range_ms : projection->lookback_ms);
    int64_t limit_ms = before->time_ms + projection->step_ms;
    if (limit_ms > until_ms)
        limit_ms = until_ms;
    for (int64_t time_ms = before->time_ms + every_ms; time_ms < limit_ms; time_ms += every_ms)
        emit(projection, time_ms, before->last, 1);
}

/* A counter's way from the bucket before, which it went evenly for all that is known. */
static void climb(struct tsdb_projection *projection, const struct tsdb_bucket *bucket)
{
    const struct tsdb_bucket *before = &projection->before;
    int64_t span_ms = bucket->time_ms - before->time_ms;
    if (!projection->has_before || before->count == 0 || span_ms <= 2)
        return;
    int64_t range_part_ms = projection->range_ms / PARTS_OF_A_RANGE;
    int64_t bucket_part_ms = projection->step_ms / PARTS_OF_A_BUCKET;
    int64_t every_ms = at_least(range_part_ms < bucket_part_ms ? range_part_ms : bucket_part_ms);
    double top = bucket->lost > 0 ? bucket->lost : bucket->last;
    if (every_ms < projection->step_ms && span_ms <= 2 * projection->step_ms && top >= before->last)
        for (int64_t gone_ms = every_ms; gone_ms < span_ms - 2; gone_ms += every_ms)
            emit(projection, before->time_ms + gone_ms,
                 before->last + (top - before->last) * (double)gone_ms / (double)span_ms, 1);
    if (bucket->lost <= 0)
        return;
    /* A reset, or several: up to all that was lost, and from nothing to the value. */
    bool seen = bucket->last < bucket->lost;
    emit(projection, bucket->time_ms - (seen ? 1 : 2), bucket->lost, 1);
    if (!seen)
        emit(projection, bucket->time_ms - 1, 0, 1);
}

static double value_of(const struct tsdb_projection *projection, const struct tsdb_bucket *bucket)
{
    switch (projection->want) {
    case TSDB_WANT_MIN:
        return bucket->min;
    case TSDB_WANT_MAX:
        return bucket->max;
    case TSDB_WANT_SUM:
        return bucket->sum;
    case TSDB_WANT_LAST:
    case TSDB_WANT_COUNTER:
        return bucket->last;
    }
    TW_UNREACHABLE("a want that the enum does not name");
}

/* The bucket's value; for a range shorter than the bucket as often as it is seen by it, sums and
 * counts spread. */
static void spread(struct tsdb_projection *projection, const struct tsdb_bucket *bucket)
{
    int64_t every_ms = at_least(projection->range_ms), first_ms = bucket->time_ms;
    int64_t after_ms = bucket->time_ms - projection->step_ms;
    if (projection->has_before && projection->before.time_ms > after_ms)
        after_ms = projection->before.time_ms;
    int64_t copies = bucket->count > 1 && every_ms < projection->step_ms
                         ? (bucket->time_ms - after_ms - 1) / every_ms + 1
                         : 1;
    first_ms -= (copies - 1) * every_ms;
    double part = projection->want == TSDB_WANT_SUM ? (double)copies : 1;
    for (int64_t i = 0; i < copies; i++)
        emit(projection, first_ms + i * every_ms, value_of(projection, bucket) / part,
             bucket->count / part);
}

void tsdb_projection_add(struct tsdb_projection *projection, const struct tsdb_bucket *items,
                         size_t count)
{
    projection->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tsdb_bucket *bucket = &items[i];
        if (projection->want == TSDB_WANT_LAST)
            hold(projection, bucket->time_ms);
        if (projection->want == TSDB_WANT_COUNTER && bucket->count > 0)
            climb(projection, bucket);
        if (projection->want == TSDB_WANT_LAST || projection->want == TSDB_WANT_COUNTER ||
            bucket->count == 0)
            emit(projection, bucket->time_ms, bucket->last, 1);
        else
            spread(projection, bucket);
        projection->before = *bucket;
        projection->has_before = true;
    }
}

void tsdb_projection_end(struct tsdb_projection *projection)
{
    projection->count = 0;
    if (projection->want == TSDB_WANT_LAST)
        hold(projection, INT64_MAX);
    projection->has_before = false;
}
