/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/storage.h"

#include "base/assert.h"

/* ---- matchers ---- */

enum tw_code tsdb_matcher_init(struct tsdb_matcher *matcher, enum tsdb_match_op op,
                               struct tw_str name, struct tw_str value, struct tw_err *err)
{
    struct tw_regex *regex = NULL;
    if (op == TSDB_MATCH_REGEX || op == TSDB_MATCH_NOT_REGEX) {
        enum tw_code code = tw_regex_new(value, true, &regex, err);
        if (code != TW_OK)
            return code;
    }
    *matcher = (struct tsdb_matcher){.op = op, .name = name, .value = value, .regex = regex};
    return TW_OK;
}

void tsdb_matcher_fini(struct tsdb_matcher *matcher)
{
    matcher->regex = tw_regex_free(matcher->regex);
}

bool tsdb_matcher_matches(const struct tsdb_matcher *matcher, struct tw_str value)
{
    switch (matcher->op) {
    case TSDB_MATCH_EQUAL:
        return tw_str_equal(matcher->value, value);
    case TSDB_MATCH_NOT_EQUAL:
        return !tw_str_equal(matcher->value, value);
    case TSDB_MATCH_REGEX:
        return tw_regex_match(matcher->regex, value);
    case TSDB_MATCH_NOT_REGEX:
        return !tw_regex_match(matcher->regex, value);
    }
    TW_UNREACHABLE("all match operators are listed");
}

/* ---- dispatch ---- */

enum tw_code tsdb_select(struct tsdb_storage *storage, const struct tw_context *context,
                         const struct tsdb_matcher *matchers, size_t matcher_count,
                         int64_t start_ms, int64_t end_ms, const struct tsdb_hints *hints,
                         struct tsdb_selection **ret_selection, struct tw_err *err)
{
    static const struct tsdb_hints none = {0};
    return storage->ops->select(storage, context, matchers, matcher_count, start_ms, end_ms,
                                hints ? hints : &none, ret_selection, err);
}

struct tsdb_selection *tsdb_selection_close(struct tsdb_selection *selection)
{
    if (selection)
        selection->ops->selection_close(selection);
    return NULL;
}

size_t tsdb_selection_count(const struct tsdb_selection *selection)
{
    return selection->ops->selection_count(selection);
}

struct wire_labels tsdb_selection_labels(const struct tsdb_selection *selection, size_t index)
{
    return selection->ops->selection_labels(selection, index);
}

bool tsdb_selection_groups(const struct tsdb_selection *selection, struct tsdb_groups *ret)
{
    return selection->ops->selection_groups && selection->ops->selection_groups(selection, ret);
}

enum tw_code tsdb_cursor_open(struct tsdb_selection *selection, struct tsdb_cursor **ret_cursor,
                              struct tw_err *err)
{
    return selection->ops->cursor_open(selection, ret_cursor, err);
}

void tsdb_cursor_hint(struct tsdb_cursor *cursor, const struct tsdb_hints *hints)
{
    if (cursor->ops->cursor_hint)
        cursor->ops->cursor_hint(cursor, hints);
}

struct tsdb_cursor *tsdb_cursor_close(struct tsdb_cursor *cursor)
{
    if (cursor)
        cursor->ops->cursor_close(cursor);
    return NULL;
}

void tsdb_cursor_expect(struct tsdb_cursor *cursor, size_t first, size_t limit)
{
    if (cursor->ops->cursor_expect)
        cursor->ops->cursor_expect(cursor, first, limit);
}

void tsdb_cursor_seek(struct tsdb_cursor *cursor, size_t series_index, int64_t start_ms,
                      int64_t end_ms)
{
    cursor->ops->cursor_seek(cursor, series_index, start_ms, end_ms);
}

enum tw_code tsdb_cursor_next(struct tsdb_cursor *cursor, struct tsdb_column *ret_column,
                              struct tw_err *err)
{
    return cursor->ops->cursor_next(cursor, ret_column, err);
}

enum tw_code tsdb_label_names(struct tsdb_storage *storage, const struct tw_context *context,
                              const struct tsdb_selector *selectors, size_t selector_count,
                              int64_t start_ms, int64_t end_ms, size_t limit,
                              struct tw_arena *arena, struct tsdb_strings *ret, struct tw_err *err)
{
    return storage->ops->label_names(storage, context, selectors, selector_count, start_ms, end_ms,
                                     limit, arena, ret, err);
}

enum tw_code tsdb_label_values(struct tsdb_storage *storage, const struct tw_context *context,
                               struct tw_str name, const struct tsdb_selector *selectors,
                               size_t selector_count, int64_t start_ms, int64_t end_ms,
                               size_t limit, struct tw_arena *arena, struct tsdb_strings *ret,
                               struct tw_err *err)
{
    return storage->ops->label_values(storage, context, name, selectors, selector_count, start_ms,
                                      end_ms, limit, arena, ret, err);
}

enum tw_code tsdb_metadata_list(struct tsdb_storage *storage, const struct tw_context *context,
                                struct tw_str metric, struct tw_arena *arena,
                                struct tsdb_metadata **ret_items, size_t *ret_count,
                                struct tw_err *err)
{
    return storage->ops->metadata_list(storage, context, metric, arena, ret_items, ret_count, err);
}

enum tw_code tsdb_append(struct tsdb_storage *storage, const struct tw_context *context,
                         const struct tsdb_sample *samples, size_t count, struct tw_err *err)
{
    return storage->ops->append(storage, context, samples, count, err);
}

enum tw_code tsdb_append_metadata(struct tsdb_storage *storage, const struct tw_context *context,
                                  const struct tsdb_metadata *items, size_t count,
                                  struct tw_err *err)
{
    return storage->ops->append_metadata(storage, context, items, count, err);
}

enum tw_code tsdb_append_histograms(struct tsdb_storage *storage, const struct tw_context *context,
                                    const struct tsdb_histogram_sample *samples, size_t count,
                                    struct tw_err *err)
{
    if (!storage->ops->append_histograms)
        return tw_err_set(err, TW_UNSUPPORTED, "this storage does not keep native histograms");
    return storage->ops->append_histograms(storage, context, samples, count, err);
}

enum tw_code tsdb_append_exemplars(struct tsdb_storage *storage, const struct tw_context *context,
                                   const struct tsdb_exemplar_sample *samples, size_t count,
                                   struct tw_err *err)
{
    if (!storage->ops->append_exemplars)
        return tw_err_set(err, TW_UNSUPPORTED, "this storage does not keep exemplars");
    return storage->ops->append_exemplars(storage, context, samples, count, err);
}

enum tw_code tsdb_exemplars_select(struct tsdb_storage *storage, const struct tw_context *context,
                                   const struct tsdb_selector *selectors, size_t selector_count,
                                   int64_t start_ms, int64_t end_ms, struct tw_arena *arena,
                                   struct tsdb_exemplars **ret_items, size_t *ret_count,
                                   struct tw_err *err)
{
    if (!storage->ops->exemplars_select)
        return tw_err_set(err, TW_UNSUPPORTED, "this storage does not keep exemplars");
    return storage->ops->exemplars_select(storage, context, selectors, selector_count, start_ms,
                                          end_ms, arena, ret_items, ret_count, err);
}
