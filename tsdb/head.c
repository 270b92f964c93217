/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/head.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "tsdb/codec.h"
#include "tsdb/rows.h"

#define HEAD_MAGIC 0x7e5d4eadu
#define TAIL_CLASSES 3 /* 32, 64, 128 bytes */
#define TAIL_FIRST_BYTES 32
/* A tail of so many samples is packed though there is room: chunks then become full. */
#define TAIL_SAMPLES_MAX 32
/* A tail begins with what its first sample is the difference from. */
#define TAIL_HEADER_BYTES (sizeof(int64_t) + sizeof(uint64_t))
/* Control, time, value. */
#define TAIL_SAMPLE_BYTES_MAX (1 + 10 + 8)
/* A tail is packed together with the newest chunk until that has so many samples; then a new chunk
 * is begun, and so many full ones become one. A sample is packed four times at most, and what is
 * left of a series are few chunks at any time. */
#define OPEN_SAMPLES_MAX 128
#define MERGED_CHUNKS 4
static_assert(OPEN_SAMPLES_MAX * MERGED_CHUNKS <= TSDB_HEAD_CHUNK_MAX, "full ones can be merged");
/* Memory for tails and chunks is given in multiples of this; what is given back waits in a list of
 * its size for the next that needs it. */
#define GRAIN 16
#define GRAINS_MAX 640 /* above a full chunk of values that do not pack */
/* Chunks that a late sample is looked for in. */
#define LATE_CHUNKS_MAX 4

static_assert(TSDB_HEAD_TAIL_BYTES - TAIL_HEADER_BYTES <= OPEN_SAMPLES_MAX,
              "a tail alone fits in a chunk");
static_assert(TAIL_FIRST_BYTES << (TAIL_CLASSES - 1) == TSDB_HEAD_TAIL_BYTES,
              "the last class is the limit");

struct tsdb_head_chunk {
    const struct tsdb_head_chunk *older;
    int64_t first_ms, last_ms;
    uint16_t count;
    uint16_t time_bytes; /* 0 = at equal distances, from the first to the last */
    uint16_t value_bytes;
    char bytes[];
};
#define CHUNK_HEADER_BYTES offsetof(struct tsdb_head_chunk, bytes)

/* Zero: no sample yet. */
struct series {
    const struct tsdb_head_chunk *newest;
    unsigned char *tail;
    int64_t last_ms;    /* the newest time */
    uint64_t last_bits; /* of the value that came last */
    int32_t step_ms;    /* between the two newest times of the tail: the guess for the next */
    uint8_t tail_bytes, tail_count; /* bytes 0 = nothing in it */
    uint8_t tail_class;             /* 0 = no tail yet */
    bool used : 1, unordered : 1;
};

struct tsdb_head {
    unsigned magic;
    atomic_uint references;
    uint64_t number;
    struct tsdb_index *index;
    struct tw_arena *arena;                   /* tails and chunks */
    void *free_memory[GRAINS_MAX + 1];        /* by grains; linked through the first 8 bytes */
    uint64_t free_sizes[GRAINS_MAX / 64 + 1]; /* where there is any */
    struct tsdb_rows series;
    uint32_t series_limit;
    size_t series_count;
    struct tsdb_histogram_head *histograms; /* NULL until the first one comes */
    struct tw_buf scratch;
    struct tsdb_points gathered; /* of chunks that are merged */
    uint64_t sample_count;
    int64_t first_ms, last_ms;
};

/* ---- life ---- */

static struct tsdb_head *new_with(uint64_t number, struct tsdb_index *index)
{
    struct tsdb_head *head = calloc(1, sizeof *head);
    TW_ASSERT(head != NULL);
    head->magic = HEAD_MAGIC;
    head->number = number;
    atomic_init(&head->references, 1);
    head->index = index;
    head->arena = tw_arena_new(4096);
    head->first_ms = INT64_MAX;
    head->last_ms = INT64_MIN;
    tw_buf_init(&head->scratch, (size_t)1 << 20);
    return head;
}

struct tsdb_head *tsdb_head_new(uint64_t number)
{
    return new_with(number, tsdb_index_new_numbered(number));
}

struct tsdb_head *tsdb_head_new_sharing(uint64_t number, struct tsdb_index *index)
{
    tsdb_index_ref(index);
    return new_with(number, index);
}

void tsdb_head_ref(struct tsdb_head *head)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    atomic_fetch_add_explicit(&head->references, 1, memory_order_relaxed);
}

void tsdb_head_unref(struct tsdb_head *head)
{
    if (!head)
        return;
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    if (atomic_fetch_sub_explicit(&head->references, 1, memory_order_acq_rel) != 1)
        return;
    tsdb_histogram_head_free(head->histograms);
    tsdb_index_free(head->index);
    tw_arena_free(head->arena);
    tsdb_rows_fini(&head->series, sizeof(struct series));
    tw_buf_fini(&head->scratch);
    tsdb_points_fini(&head->gathered);
    head->magic = 0;
    free(head);
}

uint64_t tsdb_head_number(const struct tsdb_head *head)
{
    return head->number;
}

struct tsdb_index *tsdb_head_index(struct tsdb_head *head)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    return head->index;
}

uint64_t tsdb_head_sample_count(const struct tsdb_head *head)
{
    return head->sample_count;
}

size_t tsdb_head_bytes(const struct tsdb_head *head)
{
    return tw_arena_bytes(head->arena) + head->series_count * sizeof(struct series) +
           tsdb_histogram_head_bytes(head->histograms);
}

size_t tsdb_head_series_count(const struct tsdb_head *head)
{
    return head->series_count;
}

uint32_t tsdb_head_series_limit(const struct tsdb_head *head)
{
    return head->series_limit;
}

bool tsdb_head_range(const struct tsdb_head *head, int64_t *ret_first_ms, int64_t *ret_last_ms)
{
    if (head->sample_count == 0)
        return false;
    *ret_first_ms = head->first_ms;
    *ret_last_ms = head->last_ms;
    return true;
}

/* ---- series ---- */

uint32_t tsdb_head_add_series(struct tsdb_head *head, struct wire_labels labels, uint64_t hash)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    return tsdb_index_append(head->index, labels, hash);
}

/* NULL without samples. */
static const struct series *find_series(const struct tsdb_head *head, uint32_t id)
{
    const struct series *series = tsdb_rows_get(&head->series, id, sizeof *series);
    return series && series->used ? series : NULL;
}

static struct series *make_series(struct tsdb_head *head, uint32_t id)
{
    struct series *series = tsdb_rows_make(&head->series, id, sizeof *series);
    if (!series->used) {
        TW_ASSERT(tsdb_index_has(head->index, id));
        series->used = true;
        series->last_ms = INT64_MIN;
        head->series_count++;
        if (id >= head->series_limit)
            head->series_limit = id + 1;
    }
    return series;
}

/* ---- memory ---- */

static void *pop_memory(struct tsdb_head *head, size_t grains)
{
    void *memory = head->free_memory[grains];
    memcpy(&head->free_memory[grains], memory, sizeof(void *));
    if (!head->free_memory[grains])
        head->free_sizes[grains / 64] &= ~(UINT64_C(1) << (grains % 64));
    return memory;
}

static void push_memory(struct tsdb_head *head, void *memory, size_t grains)
{
    memcpy(memory, &head->free_memory[grains], sizeof(void *));
    head->free_memory[grains] = memory;
    head->free_sizes[grains / 64] |= UINT64_C(1) << (grains % 64);
}

/* The smallest size of at least so many grains that is there; 0 = none. */
static size_t find_size(const struct tsdb_head *head, size_t grains)
{
    uint64_t word = head->free_sizes[grains / 64] >> (grains % 64);
    if (word)
        return grains + (size_t)__builtin_ctzll(word);
    for (size_t i = grains / 64 + 1; i <= GRAINS_MAX / 64; i++)
        if (head->free_sizes[i])
            return i * 64 + (size_t)__builtin_ctzll(head->free_sizes[i]);
    return 0;
}

/* What was given back comes first, cut to size: series do the same at the same time, so that what
 * they give back together is another size than what they take. */
static void *take_memory(struct tsdb_head *head, size_t bytes)
{
    size_t grains = (bytes + GRAIN - 1) / GRAIN;
    size_t there = grains <= GRAINS_MAX ? find_size(head, grains) : 0;
    if (!there)
        return tw_arena_alloc(head->arena, grains * GRAIN);
    char *memory = pop_memory(head, there);
    if (there > grains)
        push_memory(head, memory + grains * GRAIN, there - grains);
    return memory;
}

static void give_memory(struct tsdb_head *head, void *memory, size_t bytes)
{
    size_t grains = (bytes + GRAIN - 1) / GRAIN;
    if (grains <= GRAINS_MAX) /* else it goes with the head */
        push_memory(head, memory, grains);
}

/* ---- tails ---- */

/* One sample: control byte (bit 7: the time is not one step after the newest; bits 4 to 6: leading
 * zero bytes of the value's difference; bits 0 to 3: bytes of it that follow), then the time's
 * difference from what was expected as zigzag varint, then the value's bytes. */
#define CONTROL_TIME 0x80

static size_t tail_capacity(unsigned class)
{
    return class ? (size_t)TAIL_FIRST_BYTES << (class - 1) : 0;
}

static size_t put_sample(unsigned char *to, uint64_t unexpected, uint64_t difference)
{
    unsigned char *at = to + 1;
    unsigned lead = 0, kept = 0;
    if (difference) {
        lead = (unsigned)__builtin_clzll(difference) / 8;
        unsigned trail = (unsigned)__builtin_ctzll(difference) / 8;
        kept = 8 - lead - trail;
        difference >>= trail * 8;
    }
    *to = (unsigned char)(lead << 4 | kept);
    if (unexpected) {
        *to |= CONTROL_TIME;
        uint64_t rest = tsdb_zigzag(unexpected);
        for (; rest >= 0x80; rest >>= 7)
            *at++ = (unsigned char)(rest | 0x80);
        *at++ = (unsigned char)rest;
    }
    for (unsigned i = 0; i < kept; i++, difference >>= 8)
        *at++ = (unsigned char)difference;
    return (size_t)(at - to);
}

/* What both sides keep up: the newest time, the last value, the step. */
struct tail_state {
    int64_t last_ms;
    uint64_t bits;
    int32_t step_ms;
};

static void note_time(int64_t *last_ms, int32_t *step_ms, int64_t time_ms)
{
    if (time_ms <= *last_ms)
        return;
    uint64_t step = (uint64_t)time_ms - (uint64_t)*last_ms;
    *step_ms = step <= INT32_MAX ? (int32_t)step : 0;
    *last_ms = time_ms;
}

static void append_tail(const unsigned char *tail, size_t bytes, struct tsdb_points *ret)
{
    struct tail_state state = {0};
    if (bytes == 0)
        return;
    memcpy(&state.last_ms, tail, sizeof state.last_ms);
    memcpy(&state.bits, tail + sizeof state.last_ms, sizeof state.bits);
    struct tsdb_point *to = tsdb_points_reserve(ret, bytes - TAIL_HEADER_BYTES);
    for (const unsigned char *at = tail + TAIL_HEADER_BYTES, *end = tail + bytes; at < end;) {
        unsigned char control = *at++;
        uint64_t unexpected = 0, difference = 0;
        if (control & CONTROL_TIME) {
            for (unsigned shift = 0;; shift += 7) {
                unexpected |= (uint64_t)(*at & 0x7f) << shift;
                if (!(*at++ & 0x80))
                    break;
            }
            unexpected = tsdb_unzigzag(unexpected);
        }
        unsigned lead = control >> 4 & 7, kept = control & 15;
        for (unsigned i = 0; i < kept; i++)
            difference |= (uint64_t)*at++ << (8 * i);
        if (kept)
            state.bits ^= difference << (8 * (8 - lead - kept));
        int64_t time_ms =
            (int64_t)((uint64_t)state.last_ms + (uint64_t)(int64_t)state.step_ms + unexpected);
        *to++ = (struct tsdb_point){time_ms, state.bits};
        ret->count++;
        note_time(&state.last_ms, &state.step_ms, time_ms);
    }
}

static void grow_tail(struct tsdb_head *head, struct series *series)
{
    unsigned class = series->tail_class + 1u;
    TW_ASSERT(class <= TAIL_CLASSES);
    unsigned char *tail = take_memory(head, tail_capacity(class));
    if (series->tail) {
        memcpy(tail, series->tail, series->tail_bytes);
        give_memory(head, series->tail, tail_capacity(series->tail_class));
    }
    series->tail = tail;
    series->tail_class = (uint8_t) class;
}

/* ---- chunks ---- */

static size_t chunk_bytes(const struct tsdb_head_chunk *chunk)
{
    return CHUNK_HEADER_BYTES + chunk->time_bytes + chunk->value_bytes;
}

/* Scrapes at a fixed interval need no times but the first and the last. */
static bool are_regular(const int64_t *times, size_t count)
{
    uint64_t step = count > 1 ? (uint64_t)times[1] - (uint64_t)times[0] : 0;
    bool regular = true;
    for (size_t i = 2; i < count; i++)
        regular &= (uint64_t)times[i] - (uint64_t)times[i - 1] == step;
    return regular;
}

static bool decode_times(const struct tsdb_head_chunk *chunk, int64_t *ret_times)
{
    if (chunk->time_bytes)
        return tsdb_codec_decode_times((struct tw_str){chunk->bytes, chunk->time_bytes}, ret_times,
                                       chunk->count);
    uint64_t span = (uint64_t)chunk->last_ms - (uint64_t)chunk->first_ms;
    uint64_t step = chunk->count > 1 ? span / (chunk->count - 1u) : 0;
    for (uint64_t i = 0; i < chunk->count; i++)
        ret_times[i] = (int64_t)((uint64_t)chunk->first_ms + i * step);
    return true;
}

/* points: settled, at most TSDB_HEAD_CHUNK_MAX. */
static struct tsdb_head_chunk *make_chunk(struct tsdb_head *head, const struct tsdb_points *points,
                                          const struct tsdb_head_chunk *older)
{
    int64_t times[TSDB_HEAD_CHUNK_MAX];
    uint64_t values[TSDB_HEAD_CHUNK_MAX];
    TW_ASSERT(points->count <= TSDB_HEAD_CHUNK_MAX);
    for (size_t i = 0; i < points->count; i++) {
        times[i] = points->items[i].time_ms;
        values[i] = points->items[i].bits;
    }
    tw_buf_clear(&head->scratch);
    if (!are_regular(times, points->count))
        tsdb_codec_encode_times(times, points->count, &head->scratch);
    size_t time_bytes = head->scratch.size;
    tsdb_codec_encode_values_hastily(values, points->count, &head->scratch);
    TW_ASSERT(!head->scratch.overflow && head->scratch.size < UINT16_MAX);
    struct tsdb_head_chunk *chunk = take_memory(head, CHUNK_HEADER_BYTES + head->scratch.size);
    chunk->older = older;
    chunk->first_ms = times[0];
    chunk->last_ms = times[points->count - 1];
    chunk->count = (uint16_t)points->count;
    chunk->time_bytes = (uint16_t)time_bytes;
    chunk->value_bytes = (uint16_t)(head->scratch.size - time_bytes);
    memcpy(chunk->bytes, head->scratch.data, head->scratch.size);
    return chunk;
}

static void append_chunk(const struct tsdb_head_chunk *chunk, struct tsdb_points *ret)
{
    int64_t times[TSDB_HEAD_CHUNK_MAX];
    uint64_t values[TSDB_HEAD_CHUNK_MAX];
    struct tw_str value_bytes = {chunk->bytes + chunk->time_bytes, chunk->value_bytes};
    /* Written by this process into its own memory: anything else is a bug. */
    TW_ASSERT(chunk->count <= TSDB_HEAD_CHUNK_MAX && decode_times(chunk, times) &&
              tsdb_codec_decode_values(value_bytes, values, chunk->count));
    struct tsdb_point *to = tsdb_points_reserve(ret, chunk->count);
    for (size_t i = 0; i < chunk->count; i++)
        to[i] = (struct tsdb_point){times[i], values[i]};
    ret->count += chunk->count;
}

/* A view may still read chunks that were replaced; then their memory goes with the head. Views are
 * taken under the lock that we are under, by those who have a reference. */
static void drop_chunk(struct tsdb_head *head, const struct tsdb_head_chunk *chunk)
{
    if (atomic_load_explicit(&head->references, memory_order_acquire) == 1)
        give_memory(head, (void *)(uintptr_t)chunk, chunk_bytes(chunk));
}

/* Whether the newest chunks are full ones that become one. */
static bool merge_is_due(const struct series *series)
{
    const struct tsdb_head_chunk *chunk = series->newest;
    if (chunk->count + TAIL_SAMPLES_MAX <= OPEN_SAMPLES_MAX)
        return false;
    for (int i = 0; i < MERGED_CHUNKS; i++, chunk = chunk->older)
        if (!chunk || chunk->count > OPEN_SAMPLES_MAX)
            return false;
    return true;
}

static void merge_chunks(struct tsdb_head *head, struct series *series)
{
    const struct tsdb_head_chunk *merged[MERGED_CHUNKS], *chunk = series->newest;
    for (int i = 0; i < MERGED_CHUNKS; i++, chunk = chunk->older)
        merged[i] = chunk;
    head->gathered.count = 0;
    for (int i = MERGED_CHUNKS; i-- > 0;)
        append_chunk(merged[i], &head->gathered);
    tsdb_points_settle(&head->gathered);
    for (int i = 0; i < MERGED_CHUNKS; i++)
        drop_chunk(head, merged[i]);
    series->newest = make_chunk(head, &head->gathered, chunk);
}

/* Packs the tail, into the newest chunk if that has room. */
static void pack_tail(struct tsdb_head *head, struct series *series)
{
    const struct tsdb_head_chunk *newest = series->newest, *older = newest;
    head->gathered.count = 0;
    if (newest && newest->count + series->tail_count <= OPEN_SAMPLES_MAX) {
        append_chunk(newest, &head->gathered);
        older = newest->older;
    }
    append_tail(series->tail, series->tail_bytes, &head->gathered);
    tsdb_points_settle(&head->gathered);
    if (older != newest)
        drop_chunk(head, newest);
    series->newest = make_chunk(head, &head->gathered, older);
    series->tail_bytes = 0;
    series->tail_count = 0;
    if (merge_is_due(series))
        merge_chunks(head, series);
}

/* Makes room for one more sample of this size. */
static void make_room(struct tsdb_head *head, struct series *series, size_t bytes)
{
    while (series->tail_bytes + bytes > tail_capacity(series->tail_class))
        if (series->tail_class == TAIL_CLASSES)
            pack_tail(head, series);
        else
            grow_tail(head, series);
}

/* ---- appending ---- */

static enum tsdb_head_arrival judge(uint64_t there, uint64_t bits)
{
    return there == bits ? TSDB_ARRIVED_DUPLICATE : TSDB_ARRIVED_OVERWRITING;
}

/* What a sample that is not newer than the newest is. */
static enum tsdb_head_arrival judge_late(struct tsdb_head *head, const struct series *series,
                                         int64_t time_ms, uint64_t bits)
{
    head->gathered.count = 0;
    append_tail(series->tail, series->tail_bytes, &head->gathered);
    for (size_t i = head->gathered.count; i-- > 0;)
        if (head->gathered.items[i].time_ms == time_ms)
            return judge(head->gathered.items[i].bits, bits);
    int looked = 0;
    for (const struct tsdb_head_chunk *chunk = series->newest; chunk && looked < LATE_CHUNKS_MAX;
         chunk = chunk->older, looked++) {
        if (time_ms < chunk->first_ms || time_ms > chunk->last_ms)
            continue;
        head->gathered.count = 0;
        append_chunk(chunk, &head->gathered);
        size_t at = tsdb_points_find(head->gathered.items, head->gathered.count, time_ms);
        if (head->gathered.items[at].time_ms == time_ms)
            return judge(head->gathered.items[at].bits, bits);
    }
    return TSDB_ARRIVED_LATE;
}

static void put(struct tsdb_head *head, struct series *series, int64_t time_ms, uint64_t bits)
{
    unsigned char sample[TAIL_SAMPLE_BYTES_MAX];
    size_t size = 0;
    if (series->tail_count == TAIL_SAMPLES_MAX)
        pack_tail(head, series);
    if (series->tail_bytes) {
        uint64_t expected = (uint64_t)series->last_ms + (uint64_t)(int64_t)series->step_ms;
        size = put_sample(sample, (uint64_t)time_ms - expected, bits ^ series->last_bits);
        make_room(head, series, size);
    }
    if (!series->tail_bytes) { /* a new one, also after packing: it can be read alone */
        series->step_ms = 0;
        size = put_sample(sample, (uint64_t)time_ms - (uint64_t)series->last_ms,
                          bits ^ series->last_bits);
        make_room(head, series, TAIL_HEADER_BYTES + size);
        memcpy(series->tail, &series->last_ms, sizeof series->last_ms);
        memcpy(series->tail + sizeof series->last_ms, &series->last_bits, sizeof series->last_bits);
        series->tail_bytes = TAIL_HEADER_BYTES;
    }
    memcpy(series->tail + series->tail_bytes, sample, size);
    series->tail_bytes = (uint8_t)(series->tail_bytes + size);
    series->tail_count++;
}

void tsdb_head_expect(const struct tsdb_head *head, uint32_t id)
{
    const struct series *series = tsdb_rows_get(&head->series, id, sizeof *series);
    if (series && series->tail)
        __builtin_prefetch(series->tail + series->tail_bytes, 1);
}

enum tsdb_head_arrival tsdb_head_append(struct tsdb_head *head, uint32_t id, int64_t time_ms,
                                        uint64_t bits)
{
    struct series *series = make_series(head, id);
    enum tsdb_head_arrival arrival = TSDB_ARRIVED_NEWEST;
    if (series->tail_class == 0) {
        series->last_ms = time_ms;
    } else if (time_ms <= series->last_ms) {
        arrival = judge_late(head, series, time_ms, bits);
        series->unordered = true;
    }
    put(head, series, time_ms, bits);
    note_time(&series->last_ms, &series->step_ms, time_ms);
    series->last_bits = bits;
    head->first_ms = time_ms < head->first_ms ? time_ms : head->first_ms;
    head->last_ms = time_ms > head->last_ms ? time_ms : head->last_ms;
    head->sample_count++;
    return arrival;
}

/* ---- histograms ---- */

static struct tsdb_histogram_head *histograms_of(struct tsdb_head *head)
{
    if (!head->histograms)
        head->histograms = tsdb_histogram_head_new();
    return head->histograms;
}

void tsdb_head_log_histogram(struct tsdb_head *head, uint32_t series,
                             const struct wire_histogram *histogram, struct tw_buf *ret_step)
{
    tsdb_histogram_head_log(histograms_of(head), series, histogram, ret_step);
}

void tsdb_head_append_histogram(struct tsdb_head *head, uint32_t series, int64_t time_ms,
                                struct tw_str step)
{
    (void)make_series(head, series); /* it is one of the head's */
    tsdb_histogram_head_append(histograms_of(head), series, time_ms, step);
    head->first_ms = time_ms < head->first_ms ? time_ms : head->first_ms;
    head->last_ms = time_ms > head->last_ms ? time_ms : head->last_ms;
    head->sample_count++;
}

bool tsdb_head_replay_histogram(struct tsdb_head *head, uint32_t series, int64_t time_ms,
                                struct tw_str step)
{
    if (!tsdb_histogram_head_replay(histograms_of(head), series, time_ms, step))
        return false;
    tsdb_head_append_histogram(head, series, time_ms, step);
    return true;
}

/* ---- views ---- */

int64_t tsdb_head_last_ms(const struct tsdb_head *head, uint32_t id)
{
    const struct series *series = find_series(head, id);
    if (!series)
        return INT64_MIN;
    if (!head->histograms)
        return series->last_ms;
    int64_t histograms_ms = tsdb_histogram_head_view(head->histograms, id).last_ms;
    return series->last_ms > histograms_ms ? series->last_ms : histograms_ms;
}

struct tsdb_head_view tsdb_head_view(const struct tsdb_head *head, uint32_t id, void *room)
{
    TW_CHECK_MAGIC(head, HEAD_MAGIC);
    const struct series *series = find_series(head, id);
    if (!series)
        return (struct tsdb_head_view){.tail = room, .ordered = true, .last_ms = INT64_MIN};
    if (series->tail_bytes)
        memcpy(room, series->tail, series->tail_bytes);
    struct tsdb_histogram_view histograms = tsdb_histogram_head_view(head->histograms, id);
    return (struct tsdb_head_view){
        .newest = series->newest,
        .tail = room,
        .tail_bytes = series->tail_bytes,
        .ordered = !series->unordered,
        .last_ms = series->last_ms > histograms.last_ms ? series->last_ms : histograms.last_ms,
        .histograms = histograms};
}

/* Those that overlap the range, oldest first; free() the array. */
static const struct tsdb_head_chunk **
list_chunks(const struct tsdb_head_view *view, int64_t start_ms, int64_t end_ms, size_t *ret_count)
{
    size_t count = 0, capacity = 0;
    const struct tsdb_head_chunk **chunks = NULL;
    for (const struct tsdb_head_chunk *chunk = view->newest; chunk; chunk = chunk->older) {
        if (view->ordered && chunk->last_ms < start_ms)
            break;
        if (chunk->last_ms < start_ms || chunk->first_ms > end_ms)
            continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            chunks = realloc(chunks, capacity * sizeof *chunks);
            TW_ASSERT(chunks != NULL);
        }
        chunks[count++] = chunk;
    }
    *ret_count = count;
    return chunks;
}

void tsdb_head_view_points(const struct tsdb_head_view *view, int64_t start_ms, int64_t end_ms,
                           struct tsdb_points *ret)
{
    ret->count = 0;
    size_t chunk_count;
    const struct tsdb_head_chunk **chunks = list_chunks(view, start_ms, end_ms, &chunk_count);
    while (chunk_count-- > 0)
        append_chunk(chunks[chunk_count], ret);
    free(chunks);
    append_tail(view->tail, view->tail_bytes, ret);
    if (!view->ordered)
        tsdb_points_settle(ret);
    size_t first = tsdb_points_find(ret->items, ret->count, start_ms);
    size_t limit =
        end_ms == INT64_MAX ? ret->count : tsdb_points_find(ret->items, ret->count, end_ms + 1);
    if (first > 0 && limit > first)
        memmove(ret->items, ret->items + first, (limit - first) * sizeof *ret->items);
    ret->count = limit > first ? limit - first : 0;
}
