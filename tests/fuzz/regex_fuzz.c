/* SPDX-License-Identifier: Apache-2.0
 *
 * regex_fuzz: any bytes as a regular expression, a text and a replacement (parted by zero bytes):
 * refused with words, or the same from all that ask: a text matches as a whole where its first
 * group is the whole, groups lie within the text, and what is put in their place has an end. Built
 * with libFuzzer (clang -fsanitize=fuzzer -DTW_LIBFUZZER) it searches; else it replays the corpus.
 */
#include "config.h"

#include <string.h>

#include "base/assert.h"
#include "base/regex.h"
#include "tests/fuzz/replay.h"

#define GROUPS_MAX 16
#define OUTPUT_BYTES_MAX ((size_t)1 << 20)

static void check_inside(struct tw_str part, struct tw_str text)
{
    TW_ASSERT(!part.data || (part.data >= text.data && part.size <= text.size &&
                             part.data + part.size <= text.data + text.size));
}

static void check_groups(const struct tw_regex *regex, bool anchored, struct tw_str text)
{
    struct tw_str groups[GROUPS_MAX];
    bool matches = tw_regex_match(regex, text);
    TW_ASSERT(tw_regex_groups(regex, text, groups, GROUPS_MAX) == matches);
    for (size_t i = 0; matches && i < GROUPS_MAX; i++) {
        TW_ASSERT(i <= tw_regex_group_count(regex) || !groups[i].data);
        check_inside(groups[i], text);
    }
    TW_ASSERT(!matches || !anchored || groups[0].size == text.size);
}

static void try(struct tw_str pattern, bool anchored, struct tw_str text, struct tw_str replacement)
{
    struct tw_regex *regex;
    struct tw_err err = {.message = ""};
    enum tw_code code = tw_regex_new(pattern, anchored, &regex, &err);
    if (code) {
        TW_ASSERT(code == TW_BAD_DATA || code == TW_LIMIT);
        TW_ASSERT(err.message[0] != '\0');
        return;
    }
    struct tw_buf output;
    tw_buf_init(&output, OUTPUT_BYTES_MAX);
    check_groups(regex, anchored, text);
    check_groups(regex, anchored, (struct tw_str){"", 0});
    tw_regex_replace_all(regex, text, replacement, &output);
    TW_ASSERT(output.size <= OUTPUT_BYTES_MAX);
    (void)tw_regex_group_index(regex, replacement);
    tw_buf_fini(&output);
    tw_regex_free(regex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tw_str rest = {(const char *)data, size}, parts[3];
    for (size_t i = 0; i < 3; i++) {
        const char *end = i < 2 && rest.size > 0 ? memchr(rest.data, 0, rest.size) : NULL;
        parts[i] = (struct tw_str){rest.data, end ? (size_t)(end - rest.data) : rest.size};
        size_t taken = parts[i].size + (end != NULL);
        rest = (struct tw_str){rest.data + taken, rest.size - taken};
    }
    for (unsigned anchored = 0; anchored < 2; anchored++)
        try(parts[0], anchored, parts[1], parts[2]);
    return 0;
}

#ifndef TW_LIBFUZZER
int main(int argc, char **argv)
{
    return fuzz_replay(argc, argv);
}
#endif
