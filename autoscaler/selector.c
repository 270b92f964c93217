/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/selector.h"

struct cursor {
    struct tw_str text;
    size_t at;
    struct tw_err *err;
};

static char next(const struct cursor *cursor)
{
    return cursor->at < cursor->text.size ? cursor->text.data[cursor->at] : '\0';
}

static void skip_space(struct cursor *cursor)
{
    while (next(cursor) == ' ' || next(cursor) == '\t')
        cursor->at++;
}

static enum tw_code fail(const struct cursor *cursor, const char *what)
{
    return tw_err_set(cursor->err, TW_BAD_DATA, "labelSelector '%.*s': %s at byte %zu",
                      (int)(cursor->text.size < 120 ? cursor->text.size : 120), cursor->text.data,
                      what, cursor->at + 1);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '/';
}

static struct tw_str take_word(struct cursor *cursor)
{
    skip_space(cursor);
    size_t start = cursor->at;
    while (is_word(next(cursor)))
        cursor->at++;
    struct tw_str word = {cursor->text.data + start, cursor->at - start};
    skip_space(cursor);
    return word;
}

static enum tw_code take_values(struct cursor *cursor, struct tw_str *values, size_t *ret_count)
{
    if (next(cursor) != '(')
        return fail(cursor, "a '(' is missing");
    do {
        cursor->at++;
        if (*ret_count == SCALE_SELECTOR_VALUES_MAX)
            return fail(cursor, "there are too many values");
        values[(*ret_count)++] = take_word(cursor);
    } while (next(cursor) == ',');
    if (next(cursor) != ')')
        return fail(cursor, "a ')' is missing");
    cursor->at++;
    skip_space(cursor);
    return TW_OK;
}

/* What follows the label: "=web", "in (a, b)", nothing. */
static enum tw_code take_relation(struct cursor *cursor, enum scale_selector_relation *ret,
                                  struct tw_str *values, size_t *ret_count)
{
    char c = next(cursor);
    if (c == '=' || c == '!') {
        cursor->at++;
        *ret = c == '=' ? SCALE_SELECTOR_IN : SCALE_SELECTOR_NOT_IN;
        if (next(cursor) == '=')
            cursor->at++;
        else if (c == '!')
            return fail(cursor, "a '=' is missing");
        values[(*ret_count)++] = take_word(cursor);
        return TW_OK;
    }
    if (!is_word(c)) {
        *ret = SCALE_SELECTOR_THERE;
        return TW_OK;
    }
    struct tw_str word = take_word(cursor);
    if (!tw_str_is(word, "in") && !tw_str_is(word, "notin"))
        return fail(cursor, "after a label comes =, ==, !=, in or notin, before this");
    *ret = tw_str_is(word, "in") ? SCALE_SELECTOR_IN : SCALE_SELECTOR_NOT_IN;
    return take_values(cursor, values, ret_count);
}

enum tw_code scale_selector_parse(struct tw_str text, struct scale_selector *ret,
                                  struct tw_err *err)
{
    struct cursor cursor = {text, 0, err};
    ret->term_count = 0;
    skip_space(&cursor);
    while (cursor.at < text.size) {
        if (ret->term_count == SCALE_SELECTOR_TERMS_MAX)
            return fail(&cursor, "there are too many terms");
        size_t k = ret->term_count++;
        enum tw_code code = TW_OK;
        bool negated = next(&cursor) == '!';
        cursor.at += negated;
        ret->terms[k].value_count = 0;
        ret->terms[k].label = take_word(&cursor);
        if (!ret->terms[k].label.size)
            return fail(&cursor, "a label is missing");
        if (negated)
            ret->terms[k].relation = SCALE_SELECTOR_NOT_THERE;
        else
            code = take_relation(&cursor, &ret->terms[k].relation, ret->terms[k].values,
                                 &ret->terms[k].value_count);
        if (code != TW_OK)
            return code;
        if (cursor.at == text.size)
            break;
        if (next(&cursor) != ',')
            return fail(&cursor, "a comma is missing");
        cursor.at++;
        skip_space(&cursor);
        if (cursor.at == text.size)
            return fail(&cursor, "a label is missing");
    }
    return TW_OK;
}

static const struct tw_str *find_label(const struct tw_http_pair *labels, size_t count,
                                       struct tw_str name)
{
    for (size_t i = 0; i < count; i++)
        if (tw_str_equal(labels[i].name, name))
            return &labels[i].value;
    return NULL;
}

bool scale_selector_holds(const struct scale_selector *selector, const struct tw_http_pair *labels,
                          size_t count)
{
    for (size_t k = 0; k < selector->term_count; k++) {
        const struct tw_str *value = find_label(labels, count, selector->terms[k].label);
        enum scale_selector_relation relation = selector->terms[k].relation;
        bool among = false;
        for (size_t i = 0; value && i < selector->terms[k].value_count; i++)
            among = among || tw_str_equal(selector->terms[k].values[i], *value);
        if ((relation == SCALE_SELECTOR_IN && !among) ||
            (relation == SCALE_SELECTOR_NOT_IN && among) ||
            (relation == SCALE_SELECTOR_THERE && !value) ||
            (relation == SCALE_SELECTOR_NOT_THERE && value))
            return false;
    }
    return true;
}
