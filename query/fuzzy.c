/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/fuzzy.h"

/* Winkler's: a common beginning of up to so many bytes counts, each for so much of what lacks. */
#define PREFIX_MAX 4
#define PREFIX_WEIGHT 0.1

struct tw_str query_fuzzy_fold(struct tw_arena *arena, struct tw_str text)
{
    char *folded = tw_arena_alloc(arena, text.size + 1);
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        folded[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return (struct tw_str){folded, text.size};
}

/* Marks which bytes have their like in the other text, near enough; returns how many. */
static size_t pair_up(struct tw_str a, struct tw_str b, bool *a_paired, bool *b_paired)
{
    size_t longest = a.size > b.size ? a.size : b.size;
    size_t reach = longest / 2 > 0 ? longest / 2 - 1 : 0, pairs = 0;
    for (size_t i = 0; i < a.size; i++) {
        size_t first = i > reach ? i - reach : 0;
        for (size_t k = first; k < b.size && k <= i + reach; k++) {
            if (b_paired[k] || a.data[i] != b.data[k])
                continue;
            a_paired[i] = b_paired[k] = true;
            pairs++;
            break;
        }
    }
    return pairs;
}

double query_fuzzy_jaro_winkler(struct tw_str a, struct tw_str b)
{
    bool a_paired[QUERY_FUZZY_BYTES_MAX] = {false}, b_paired[QUERY_FUZZY_BYTES_MAX] = {false};
    if (a.size > QUERY_FUZZY_BYTES_MAX)
        a.size = QUERY_FUZZY_BYTES_MAX;
    if (b.size > QUERY_FUZZY_BYTES_MAX)
        b.size = QUERY_FUZZY_BYTES_MAX;
    size_t pairs = pair_up(a, b, a_paired, b_paired);
    if (pairs == 0)
        return a.size == 0 && b.size == 0 ? 1 : 0;
    size_t crossed = 0, k = 0;
    for (size_t i = 0; i < a.size; i++) {
        if (!a_paired[i])
            continue;
        while (!b_paired[k])
            k++;
        crossed += a.data[i] != b.data[k++];
    }
    double m = (double)pairs;
    double jaro = (m / (double)a.size + m / (double)b.size + (m - (double)crossed / 2) / m) / 3;
    size_t prefix = 0;
    while (prefix < PREFIX_MAX && prefix < a.size && prefix < b.size &&
           a.data[prefix] == b.data[prefix])
        prefix++;
    return jaro + (double)prefix * PREFIX_WEIGHT * (1 - jaro);
}

double query_fuzzy_subsequence(struct tw_str name, struct tw_str term)
{
    size_t at = 0, first = 0, last = 0;
    if (term.size == 0)
        return 1;
    for (size_t i = 0; i < name.size && at < term.size; i++) {
        if (name.data[i] != term.data[at])
            continue;
        if (at == 0)
            first = i;
        last = i;
        at++;
    }
    if (at < term.size)
        return 0;
    return (double)term.size / (double)(last - first + 1);
}

double query_fuzzy_score(enum query_fuzzy_way way, struct tw_str name, struct tw_str term)
{
    if (tw_str_find(name, term) != SIZE_MAX)
        return 1;
    switch (way) {
    case QUERY_FUZZY_JARO_WINKLER:
        return query_fuzzy_jaro_winkler(name, term);
    case QUERY_FUZZY_SUBSEQUENCE:
        return query_fuzzy_subsequence(name, term);
    case QUERY_FUZZY_NONE:
        break;
    }
    return 0;
}
