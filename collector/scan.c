/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/scan.h"

#include <string.h>

#include "base/number.h"

bool agent_scan_line(struct agent_scan *text, struct agent_scan *ret_line)
{
    if (text->at == text->limit)
        return false;
    size_t size = (size_t)(text->limit - text->at);
    const char *end = memchr(text->at, '\n', size);
    *ret_line = (struct agent_scan){text->at, end != NULL ? end : text->limit};
    text->at = end != NULL ? end + 1 : text->limit;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct agent_scan *line)
{
    while (line->at != line->limit && is_blank(*line->at))
        line->at++;
}

struct tw_str agent_scan_word(struct agent_scan *line)
{
    skip_blanks(line);
    const char *start = line->at;
    while (line->at != line->limit && !is_blank(*line->at))
        line->at++;
    return (struct tw_str){start, (size_t)(line->at - start)};
}

struct tw_str agent_scan_until(struct agent_scan *line, char separator)
{
    skip_blanks(line);
    const char *start = line->at;
    while (line->at != line->limit && *line->at != separator)
        line->at++;
    struct tw_str word = {start, (size_t)(line->at - start)};
    if (line->at != line->limit)
        line->at++;
    return word;
}

bool agent_parse_u64(struct tw_str word, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < word.size; i++) {
        unsigned digit = (unsigned)(unsigned char)word.data[i] - '0';
        if (digit > 9)
            return false;
        value = value * 10 + digit;
    }
    if (word.size > 0)
        *ret = value;
    return word.size > 0;
}

bool agent_scan_u64(struct agent_scan *line, uint64_t *ret)
{
    *ret = 0;
    return agent_parse_u64(agent_scan_word(line), ret);
}

bool agent_scan_double(struct agent_scan *line, double *ret)
{
    *ret = 0;
    return tw_double_parse(agent_scan_word(line), ret);
}

bool agent_scan_hex(struct agent_scan *line, uint64_t *ret)
{
    struct tw_str word = agent_scan_word(line);
    uint64_t value = 0;
    *ret = 0;
    for (size_t i = 0; i < word.size; i++) {
        char c = word.data[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            value = value << 4 | (uint64_t)(c - 'A' + 10);
        else
            return false;
    }
    *ret = value;
    return word.size > 0;
}

struct tw_str agent_scan_rest(const struct agent_scan *line)
{
    return tw_str_trim((struct tw_str){line->at, (size_t)(line->limit - line->at)});
}
