/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

extern "C" {
#include "base/regex.h"

#include "base/assert.h"
}

#include <memory>
#include <new>
#include <string>

#include <re2/re2.h>

#define GROUPS_MAX 64

struct tw_regex {
    RE2 expression;
    bool anchored;

    tw_regex(const re2::StringPiece &pattern, const RE2::Options &options, bool anchored_)
        : expression(pattern, options), anchored(anchored_)
    {
    }
};

static re2::StringPiece piece(struct tw_str s)
{
    return re2::StringPiece(s.data, s.size);
}

/* In the words of Go's regexp, which users of Prometheus know. */
static enum tw_code fail_syntax(const RE2 &expression, struct tw_err *err)
{
    static const struct {
        RE2::ErrorCode code;
        const char *words;
    } table[] = {
        {RE2::ErrorBadEscape, "invalid escape sequence"},
        {RE2::ErrorBadCharClass, "invalid character class"},
        {RE2::ErrorBadCharRange, "invalid character class range"},
        {RE2::ErrorMissingBracket, "missing closing ]"},
        {RE2::ErrorMissingParen, "missing closing )"},
        {RE2::ErrorUnexpectedParen, "unexpected )"},
        {RE2::ErrorTrailingBackslash, "trailing backslash at end of expression"},
        {RE2::ErrorRepeatArgument, "missing argument to repetition operator"},
        {RE2::ErrorRepeatSize, "invalid repeat count"},
        {RE2::ErrorRepeatOp, "invalid nested repetition operator"},
        {RE2::ErrorBadPerlOp, "invalid or unsupported Perl syntax"},
        {RE2::ErrorBadUTF8, "invalid UTF-8"},
        {RE2::ErrorBadNamedCapture, "invalid named capture"},
    };
    for (const auto &row : table)
        if (row.code == expression.error_code())
            return tw_err_set(err, TW_BAD_DATA, "error parsing regexp: %s: `%s`", row.words,
                              expression.error_arg().c_str());
    return tw_err_set(err, TW_BAD_DATA, "error parsing regexp: %s", expression.error().c_str());
}

enum tw_code tw_regex_new(struct tw_str pattern, bool anchored, struct tw_regex **ret_regex,
                          struct tw_err *err)
{
    if (pattern.size > TW_REGEX_PATTERN_BYTES_MAX)
        return tw_err_set(err, TW_LIMIT, "regular expression of %zu bytes: at most %d are allowed",
                          pattern.size, TW_REGEX_PATTERN_BYTES_MAX);
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(TW_REGEX_MEMORY_BYTES_MAX);
    /* Prometheus compiles matchers as ^(?s:...)$; elsewhere Go's defaults hold. */
    options.set_dot_nl(anchored);
    auto regex = new (std::nothrow) tw_regex(piece(pattern), options, anchored);
    TW_ASSERT(regex != NULL);
    if (!regex->expression.ok()) {
        enum tw_code code = fail_syntax(regex->expression, err);
        delete regex;
        return code;
    }
    *ret_regex = regex;
    return TW_OK;
}

struct tw_regex *tw_regex_free(struct tw_regex *regex)
{
    delete regex;
    return NULL;
}

bool tw_regex_match(const struct tw_regex *regex, struct tw_str text)
{
    return regex->expression.Match(piece(text), 0, text.size,
                                   regex->anchored ? RE2::ANCHOR_BOTH : RE2::UNANCHORED, NULL, 0);
}

/* The leftmost match at or after start; groups as positions in text. */
static bool find(const struct tw_regex *regex, struct tw_str text, size_t start,
                 struct tw_str *ret_groups, size_t capacity)
{
    re2::StringPiece found[GROUPS_MAX];
    size_t count = tw_regex_group_count(regex) + 1;
    if (count > capacity)
        count = capacity;
    if (count > GROUPS_MAX)
        count = GROUPS_MAX;
    if (!regex->expression.Match(piece(text), start, text.size,
                                 regex->anchored ? RE2::ANCHOR_BOTH : RE2::UNANCHORED, found,
                                 (int)count))
        return false;
    for (size_t i = 0; i < capacity; i++)
        ret_groups[i] = i < count ? (struct tw_str){found[i].data(), found[i].size()}
                                  : (struct tw_str){NULL, 0};
    return true;
}

bool tw_regex_groups(const struct tw_regex *regex, struct tw_str text, struct tw_str *ret_groups,
                     size_t capacity)
{
    return find(regex, text, 0, ret_groups, capacity);
}

size_t tw_regex_group_count(const struct tw_regex *regex)
{
    return (size_t)regex->expression.NumberOfCapturingGroups();
}

size_t tw_regex_group_index(const struct tw_regex *regex, struct tw_str name)
{
    const auto &names = regex->expression.NamedCapturingGroups();
    auto entry = names.find(std::string(name.data, name.size));
    return entry == names.end() ? 0 : (size_t)entry->second;
}

static bool is_name_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Go's regexp.extract: the name behind a '$' at text[0], and how many bytes it takes; 0 = none. */
static size_t read_reference(struct tw_str text, struct tw_str *ret_name)
{
    size_t first = 1;
    bool braced = text.size > 1 && text.data[1] == '{';
    if (braced)
        first = 2;
    size_t limit = first;
    while (limit < text.size && is_name_char(text.data[limit]))
        limit++;
    if (limit == first || (braced && (limit >= text.size || text.data[limit] != '}')))
        return 0;
    *ret_name = tw_str_slice(text, first, limit);
    return limit + braced;
}

static struct tw_str resolve(const struct tw_regex *regex, const struct tw_str *groups,
                             size_t group_count, struct tw_str name)
{
    bool numeric = true;
    size_t index = 0;
    for (size_t i = 0; i < name.size && numeric; i++) {
        numeric = name.data[i] >= '0' && name.data[i] <= '9';
        if (numeric && index < 1000000)
            index = index * 10 + (size_t)(name.data[i] - '0');
    }
    if (!numeric) {
        index = tw_regex_group_index(regex, name);
        if (index == 0)
            return {NULL, 0};
    }
    return index < group_count ? groups[index] : (struct tw_str){NULL, 0};
}

void tw_regex_expand(const struct tw_regex *regex, const struct tw_str *groups, size_t group_count,
                     struct tw_str replacement, struct tw_buf *ret)
{
    for (size_t at = 0; at < replacement.size;) {
        if (replacement.data[at] != '$') {
            tw_buf_append_char(ret, replacement.data[at++]);
            continue;
        }
        struct tw_str rest = tw_str_slice(replacement, at, replacement.size), name;
        if (rest.size > 1 && rest.data[1] == '$') {
            tw_buf_append_char(ret, '$');
            at += 2;
            continue;
        }
        size_t used = read_reference(rest, &name);
        if (used == 0) {
            tw_buf_append_char(ret, '$');
            at++;
            continue;
        }
        tw_buf_append_str(ret, resolve(regex, groups, group_count, name));
        at += used;
    }
}

void tw_regex_replace_all(const struct tw_regex *regex, struct tw_str text,
                          struct tw_str replacement, struct tw_buf *ret)
{
    struct tw_str groups[GROUPS_MAX];
    size_t group_count = tw_regex_group_count(regex) + 1;
    size_t copied = 0, at = 0;
    const char *last_end = NULL;
    while (at <= text.size && find(regex, text, at, groups, GROUPS_MAX)) {
        size_t first = (size_t)(groups[0].data - text.data);
        size_t limit = first + groups[0].size;
        /* As in Go, an empty match right behind another match does not count. */
        if (!(groups[0].size == 0 && groups[0].data == last_end)) {
            tw_buf_append(ret, text.data + copied, first - copied);
            tw_regex_expand(regex, groups, group_count, replacement, ret);
            copied = limit;
            last_end = text.data + limit;
        }
        at = limit > at ? limit : at + 1;
        if (groups[0].size == 0 && at == limit)
            at++;
    }
    if (copied < text.size)
        tw_buf_append(ret, text.data + copied, text.size - copied);
}
