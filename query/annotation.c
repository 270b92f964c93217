/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "query/annotation.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void query_annotations_init(struct query_annotations *annotations, struct tw_arena *arena,
                            struct tw_str text)
{
    *annotations = (struct query_annotations){.arena = arena, .text = text};
}

/* What stands before the place. */
static struct tw_str sentence_of(struct tw_str text)
{
    size_t size = text.size;
    while (size > 0 && text.data[size - 1] != '(')
        size--;
    return tw_str_slice(text, 0, size);
}

/* Whether the place of one lies behind that of the other, of equal sentences. */
static bool is_later(struct tw_str text, struct tw_str than)
{
    uint32_t line[2] = {0}, column[2] = {0};
    const struct tw_str both[2] = {text, than};
    for (size_t i = 0; i < 2; i++) {
        struct tw_str place = tw_str_slice(both[i], sentence_of(both[i]).size, both[i].size);
        char number[32];
        snprintf(number, sizeof number, "%.*s", TW_STR_ARG(place));
        (void)sscanf(number, "%" SCNu32 ":%" SCNu32, &line[i], &column[i]);
    }
    return line[0] != line[1] ? line[0] > line[1] : column[0] > column[1];
}

/* As in Prometheus, a sentence is there once, with the last place that said it. */
static void add(struct query_annotations *annotations, struct query_annotation_list *list,
                struct tw_str text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!tw_str_equal(sentence_of(list->items[i]), sentence_of(text)))
            continue;
        if (is_later(text, list->items[i]))
            list->items[i] = tw_arena_str(annotations->arena, text);
        return;
    }
    if (list->count == QUERY_ANNOTATIONS_MAX) {
        list->dropped++;
        return;
    }
    if (list->count == list->capacity) {
        size_t old = list->capacity;
        list->capacity = QUERY_ANNOTATIONS_MAX;
        list->items = tw_arena_grow(annotations->arena, list->items, old * sizeof *list->items,
                                    list->capacity * sizeof *list->items);
    }
    list->items[list->count++] = tw_arena_str(annotations->arena, text);
}

static void find_place(struct query_annotations *annotations, uint32_t start, uint32_t *ret_line,
                       uint32_t *ret_column)
{
    size_t slot = start % QUERY_ANNOTATION_PLACES;
    if (annotations->places[slot].line == 0 || annotations->places[slot].start != start) {
        uint32_t line, column;
        query_position(annotations->text, start, &line, &column);
        annotations->places[slot].start = start;
        annotations->places[slot].line = line;
        annotations->places[slot].column = column;
    }
    *ret_line = annotations->places[slot].line;
    *ret_column = annotations->places[slot].column;
}

void query_annotate(struct query_annotations *annotations, enum query_annotation_level level,
                    const struct query_node *node, const char *format, ...)
{
    struct query_annotation_list *list = &annotations->lists[level];
    char sentence[512], whole[640];
    uint32_t line, column;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    find_place(annotations, node->start, &line, &column);
    snprintf(whole, sizeof whole, "PromQL %s: %s (%u:%u)",
             level == QUERY_WARNING ? "warning" : "info", sentence, (unsigned)line,
             (unsigned)column);
    annotations->said++;
    add(annotations, list, tw_str(whole));
}

void query_annotations_join(struct query_annotations *annotations,
                            const struct query_annotations *more)
{
    annotations->said += more->said;
    for (size_t level = 0; level < 2; level++) {
        const struct query_annotation_list *from = &more->lists[level];
        for (size_t i = 0; i < from->count; i++)
            add(annotations, &annotations->lists[level], from->items[i]);
        annotations->lists[level].dropped += from->dropped;
    }
}
