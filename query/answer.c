/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/lock.h"
#include "base/number.h"
#include "query/answer_text.h"
#include "query/parallel.h"

/* What is written in one go before the sender gets its turn, about. */
#define PIECE_BYTES ((size_t)64 << 10)
/* Pieces of an answer that are in memory. */
#define SLOTS 4
/* A helper is called for no fewer. */
#define PIECES_FOR_HELPER 2
/* A piece may be larger than reckoned: by the text of one series' labels, the largest set, each
 * byte escaped as \u00XX; or by a native histogram of as many buckets as one may have. */
#define HISTOGRAM_BYTES_MAX ((size_t)2 * WIRE_HISTOGRAM_BUCKETS_MAX * 96)
#define SLOT_BYTES_MAX                                                                             \
    (HISTOGRAM_BYTES_MAX + 16 * PIECE_BYTES + 8 * (size_t)WIRE_LABELS_BYTES_MAX + (1 << 20))

enum slot_state { SLOT_FREE, SLOT_TAKEN, SLOT_DONE };

struct slot {
    enum slot_state state;
    struct query_answer_place from, to;
    struct tw_buf text;
};

/* An answer that is written while it is sent: pieces, in slots one behind the other, by the thread
 * that sends and, while one is idle, by a helper. */
struct answer {
    struct query_result *result;
    struct query_answer_text text;
    struct query_helpers *helpers; /* NULL: none */
    size_t sent;                   /* bytes of the current piece */
    struct slot *current;          /* being sent; NULL: none */
    struct tw_lock lock;           /* guards what follows and the slots' states */
    struct tw_cond changed;        /* a slot's state or is_helped did */
    struct query_answer_place next;
    size_t taken, given; /* pieces */
    bool is_planned;     /* no piece is left to be taken */
    bool is_helped;      /* a helper is at work or will be */
    bool is_ending;
    struct slot slots[SLOTS];
};

size_t query_answer_time(int64_t time_ms, char *ret_text)
{
    uint64_t magnitude = time_ms < 0 ? -(uint64_t)time_ms : (uint64_t)time_ms;
    unsigned fraction = (unsigned)(magnitude % 1000);
    char *out = ret_text;
    if (time_ms < 0)
        *out++ = '-';
    out += tw_uint64_format(magnitude / 1000, out);
    if (fraction) {
        *out++ = '.';
        for (unsigned unit = 100; unit > 0; fraction %= unit, unit /= 10)
            *out++ = (char)('0' + fraction / unit);
    }
    *out = 0;
    return (size_t)(out - ret_text);
}

void query_answer_labels(struct tw_json_writer *writer, struct wire_labels labels)
{
    tw_json_begin_object(writer);
    for (size_t i = 0; i < labels.count; i++) {
        tw_json_key(writer, labels.items[i].name);
        tw_json_write_str(writer, labels.items[i].value);
    }
    tw_json_end_object(writer);
}

size_t query_answer_value(double value, char *ret_text)
{
    double magnitude = fabs(value);
    bool exponent = magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21);
    return exponent ? tw_double_format_general(value, ret_text)
                    : tw_double_format_fixed(value, ret_text);
}

/* ---- pieces ---- */

/* The next piece that nobody has, if there is a slot for it. */
static struct slot *take_piece_locked(struct answer *answer)
{
    struct slot *slot = &answer->slots[answer->taken % SLOTS];
    tw_lock_assert_held(&answer->lock);
    if (answer->is_planned || slot->state != SLOT_FREE)
        return NULL;
    slot->state = SLOT_TAKEN;
    slot->from = answer->next;
    slot->to = answer->next = query_answer_next(&answer->text, answer->next, PIECE_BYTES);
    answer->is_planned = query_answer_is_end(&answer->text, answer->next);
    answer->taken++;
    return slot;
}

/* Without the lock while it is written. */
static void write_piece_locked(struct answer *answer, struct slot *slot)
{
    tw_lock_release(&answer->lock);
    tw_buf_clear(&slot->text);
    query_answer_write(&answer->text, slot->from, slot->to, &slot->text);
    tw_lock_take(&answer->lock);
    slot->state = SLOT_DONE;
    tw_cond_broadcast(&answer->changed);
}

/* As long as there are slots; it does not wait for the sender. */
static void help(void *argument)
{
    struct answer *answer = argument;
    struct query_helpers *helpers = answer->helpers;
    struct slot *slot;
    tw_lock_take(&answer->lock);
    while (!answer->is_ending && (slot = take_piece_locked(answer)))
        write_piece_locked(answer, slot);
    answer->is_helped = false;
    query_helpers_leave(helpers);
    tw_cond_broadcast(&answer->changed);
    tw_lock_release(&answer->lock); /* the answer may be gone now */
}

static void call_helper_locked(struct answer *answer)
{
    size_t free_slots = SLOTS - (answer->taken - answer->given);
    if (answer->helpers && !answer->is_helped && !answer->is_planned &&
        free_slots >= PIECES_FOR_HELPER)
        answer->is_helped = query_helpers_call(answer->helpers, help, answer);
}

/* The next piece in order, written by whomever; NULL at the end. */
static struct slot *await_piece(struct answer *answer)
{
    tw_lock_take(&answer->lock);
    struct slot *slot = &answer->slots[answer->given % SLOTS];
    while (slot->state != SLOT_DONE && !(answer->is_planned && answer->given == answer->taken)) {
        struct slot *mine = take_piece_locked(answer);
        if (mine)
            write_piece_locked(answer, mine);
        else
            tw_cond_wait(&answer->changed, &answer->lock);
    }
    bool is_there = slot->state == SLOT_DONE;
    tw_lock_release(&answer->lock);
    return is_there ? slot : NULL;
}

static void give_back(struct answer *answer)
{
    tw_lock_take(&answer->lock);
    answer->current->state = SLOT_FREE;
    answer->current = NULL;
    answer->given++;
    call_helper_locked(answer);
    tw_lock_release(&answer->lock);
}

/* ---- sending ---- */

static ssize_t produce(void *user, char *ret_bytes, size_t capacity)
{
    struct answer *answer = user;
    if (!answer->current) {
        answer->current = await_piece(answer);
        answer->sent = 0;
    }
    if (!answer->current)
        return 0;
    const struct tw_buf *text = &answer->current->text;
    if (text->overflow)
        return -1;
    size_t left = text->size - answer->sent, count = left < capacity ? left : capacity;
    memcpy(ret_bytes, text->data + answer->sent, count);
    answer->sent += count;
    if (answer->sent == text->size)
        give_back(answer);
    return (ssize_t)count;
}

static void end(void *user)
{
    struct answer *answer = user;
    tw_lock_take(&answer->lock);
    answer->is_ending = true;
    while (answer->is_helped)
        tw_cond_wait(&answer->changed, &answer->lock);
    tw_lock_release(&answer->lock);
    for (size_t i = 0; i < SLOTS; i++)
        tw_buf_fini(&answer->slots[i].text);
    tw_cond_fini(&answer->changed);
    tw_lock_fini(&answer->lock);
    query_result_free(answer->result);
    free(answer);
}

static void stream(struct tw_http_response *response, struct query_result *result,
                   const struct query_answer_text *text, struct query_helpers *helpers)
{
    struct answer *answer = calloc(1, sizeof *answer);
    TW_ASSERT(answer != NULL);
    answer->result = result;
    answer->text = *text;
    answer->helpers = helpers;
    tw_lock_init(&answer->lock, TW_RANK_QUERY, "answer");
    tw_cond_init(&answer->changed);
    for (size_t i = 0; i < SLOTS; i++)
        tw_buf_init(&answer->slots[i].text, SLOT_BYTES_MAX);
    response->produce = produce;
    response->produce_end = end;
    response->produce_user = answer;
    /* The first piece is written here, those behind it by the helper, before anything is sent. */
    tw_lock_take(&answer->lock);
    struct slot *first = take_piece_locked(answer);
    call_helper_locked(answer);
    write_piece_locked(answer, first);
    tw_lock_release(&answer->lock);
}

void query_answer_give(struct tw_http_exchange *exchange, struct query_result *result,
                       const struct query_answer_options *options)
{
    const struct query_answer_place begin = {0};
    const struct query_answer_text text = query_answer_text(result, options);
    struct query_answer_place place = query_answer_next(&text, begin, QUERY_ANSWER_INLINE_BYTES);
    if (!query_answer_is_end(&text, place)) {
        stream(&exchange->response, result, &text, options->helpers);
        return;
    }
    query_answer_write(&text, begin, place, &exchange->response.body);
    query_result_free(result);
}
