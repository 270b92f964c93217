/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/lib/histogram_text.h"

#include <math.h>
#include <string.h>

#include "base/number.h"
#include "query/histogram_sum.h"

#define LIST_MAX 256

/* name:value or name:[value value]; values are numbers or, of a hint, a word. */
struct field {
    struct tw_str name, word;
    double values[LIST_MAX];
    size_t count;
};

static bool take_field(struct tw_str *rest, struct field *ret)
{
    *rest = tw_str_trim(*rest);
    ret->count = 0;
    const char *colon = rest->size ? memchr(rest->data, ':', rest->size) : NULL;
    if (!colon)
        return false;
    ret->name = tw_str_slice(*rest, 0, (size_t)(colon - rest->data));
    struct tw_str value = tw_str_slice(*rest, ret->name.size + 1, rest->size);
    bool list = value.size > 0 && value.data[0] == '[';
    size_t end = 0;
    while (end < value.size && value.data[end] != (list ? ']' : ' '))
        end++;
    *rest = tw_str_slice(value, end + list, value.size);
    ret->word = tw_str_slice(value, list, end);
    for (struct tw_str words = ret->word, word; tw_str_split(&words, ' ', &word);)
        if (word.size > 0 && ret->count < LIST_MAX &&
            tw_double_parse(word, &ret->values[ret->count]))
            ret->count++;
    return true;
}

static struct query_buckets make_side(struct tw_arena *arena, const struct field *counts,
                                      double offset)
{
    int32_t *numbers = TW_ARENA_ARRAY(arena, int32_t, counts->count + 1);
    double *copy = TW_ARENA_ARRAY(arena, double, counts->count + 1);
    for (size_t i = 0; i < counts->count; i++) {
        numbers[i] = (int32_t)offset + (int32_t)i;
        copy[i] = counts->values[i];
    }
    return (struct query_buckets){numbers, copy, (uint32_t)counts->count};
}

static enum wire_reset_hint hint_of(struct tw_str word)
{
    return tw_str_is(word, "gauge")       ? WIRE_RESET_GAUGE
           : tw_str_is(word, "reset")     ? WIRE_RESET_YES
           : tw_str_is(word, "not_reset") ? WIRE_RESET_NO
                                          : WIRE_RESET_UNKNOWN;
}

/* The text between the braces. */
static struct query_histogram *parse(struct tw_arena *arena, struct tw_str body)
{
    static struct field field, positive, negative;
    struct query_histogram *histogram = TW_ARENA_NEW(arena, struct query_histogram);
    double offset = 0, negative_offset = 0;
    positive.count = negative.count = 0;
    while (take_field(&body, &field)) {
        double first = field.count ? field.values[0] : 0;
        if (tw_str_is(field.name, "schema"))
            histogram->schema = (int32_t)first;
        else if (tw_str_is(field.name, "sum"))
            histogram->sum =
                tw_str_is(field.word, "stale") ? tw_double_from_bits(TW_STALE_BITS) : first;
        else if (tw_str_is(field.name, "count"))
            histogram->count = first;
        else if (tw_str_is(field.name, "z_bucket"))
            histogram->zero_count = first;
        else if (tw_str_is(field.name, "z_bucket_w"))
            histogram->zero_threshold = first;
        else if (tw_str_is(field.name, "offset"))
            offset = first;
        else if (tw_str_is(field.name, "n_offset"))
            negative_offset = first;
        else if (tw_str_is(field.name, "buckets"))
            positive = field;
        else if (tw_str_is(field.name, "n_buckets"))
            negative = field;
        else if (tw_str_is(field.name, "counter_reset_hint"))
            histogram->hint = hint_of(field.word);
        else if (tw_str_is(field.name, "custom_values")) {
            histogram->custom_values = make_side(arena, &field, 0).counts;
            histogram->custom_count = (uint32_t)field.count;
        } else {
            return NULL;
        }
    }
    histogram->positive = make_side(arena, &positive, offset);
    histogram->negative = make_side(arena, &negative, negative_offset);
    return histogram;
}

/* {{...}} at the start. */
static struct query_histogram *take_one(struct tw_arena *arena, struct tw_str *text)
{
    size_t end = 2;
    if (!tw_str_starts(*text, TW_STR("{{")))
        return NULL;
    while (end + 1 < text->size && !(text->data[end] == '}' && text->data[end + 1] == '}'))
        end++;
    if (end + 1 >= text->size)
        return NULL;
    struct query_histogram *histogram = parse(arena, tw_str_slice(*text, 2, end));
    *text = tw_str_slice(*text, end + 2, text->size);
    return histogram;
}

bool histogram_text_take(struct tw_arena *arena, struct tw_str *text,
                         const struct query_histogram ***ret_items, size_t *ret_count)
{
    uint64_t times = 0;
    double sign = 0;
    struct tw_str rest = *text;
    struct query_histogram *histogram = take_one(arena, &rest), *delta = NULL;
    if (!histogram)
        return false;
    if (rest.size > 0 && (rest.data[0] == '+' || rest.data[0] == '-')) {
        sign = rest.data[0] == '+' ? 1 : -1;
        rest = tw_str_slice(rest, 1, rest.size);
        delta = take_one(arena, &rest);
        if (!delta)
            return false;
    }
    size_t end = 0;
    while (end < rest.size && rest.data[end] != ' ')
        end++;
    if (end > 0 && (rest.data[0] != 'x' || !tw_uint64_parse(tw_str_slice(rest, 1, end), &times)))
        return false;
    const struct query_histogram **items =
        TW_ARENA_ARRAY(arena, const struct query_histogram *, times + 1);
    for (size_t i = 0; i <= times; i++) {
        struct query_histogram_sum sum;
        items[i] = histogram;
        if (!delta || i == 0)
            continue;
        query_histogram_sum_begin(&sum, arena, histogram, 1);
        if (!query_histogram_sum_add(&sum, delta, sign * (double)i))
            return false;
        items[i] = query_histogram_sum_take(&sum, arena, 1, false);
    }
    *text = tw_str_trim(tw_str_slice(rest, end, rest.size));
    *ret_items = items;
    *ret_count = times + 1;
    return true;
}

static bool is_close(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= 1e-6 * (fabs(a) + fabs(b));
}

/* The next bucket that counts something. */
static bool next_view(const struct query_histogram *histogram, size_t *at,
                      struct query_bucket_view *ret)
{
    while (*at < query_histogram_positions(histogram))
        if (query_histogram_view(histogram, (*at)++, ret) && ret->count != 0)
            return true;
    return false;
}

bool histogram_text_same(const struct query_histogram *a, const struct query_histogram *b)
{
    size_t a_at = 0, b_at = 0;
    struct query_bucket_view a_view, b_view;
    if (!is_close(a->count, b->count) || !is_close(a->sum, b->sum))
        return false;
    for (;;) {
        bool a_any = next_view(a, &a_at, &a_view), b_any = next_view(b, &b_at, &b_view);
        if (a_any != b_any)
            return false;
        if (!a_any)
            return true;
        if (!is_close(a_view.lower, b_view.lower) || !is_close(a_view.upper, b_view.upper) ||
            !is_close(a_view.count, b_view.count))
            return false;
    }
}
