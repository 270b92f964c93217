/* SPDX-License-Identifier: Apache-2.0
 *
 * query_parser_fuzz: any bytes are parsed or refused with a place. Built with libFuzzer (clang
 * -fsanitize=fuzzer -DTW_LIBFUZZER) it searches; else it replays the corpus given, its prefixes and
 * its mutations of one byte, and hostile texts made here, and speaks TAP.
 */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/file.h"
#include "query/parser.h"
#include "query/printer.h"
#include "tests/fuzz/replay.h"

/* What is printed parses again and prints the same; as JSON it prints at all. */
static void print(const struct query_ast *ast)
{
    struct tw_buf text, again;
    struct query_ast *parsed;
    struct tw_err err;
    tw_buf_init(&text, QUERY_TEXT_BYTES_MAX);
    tw_buf_init(&again, QUERY_TEXT_BYTES_MAX);
    query_print_json(ast->root, &again);
    tw_buf_clear(&again);
    query_print_pretty(ast->root, &text);
    if (!text.overflow) {
        enum tw_code code = query_parse(tw_buf_str(&text), QUERY_FEATURES_ALL, &parsed, &err);
        if (code) {
            printf("Bail out! %.*s: %s\n", (int)text.size, text.data, err.message);
            abort();
        }
        query_print_pretty(parsed->root, &again);
        TW_ASSERT(tw_str_equal(tw_buf_str(&text), tw_buf_str(&again)));
        query_ast_free(parsed);
    }
    tw_buf_fini(&text);
    tw_buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct query_ast *ast;
    struct tw_err err = {0};
    struct tw_str text = {(const char *)data, size};
    enum tw_code code = query_parse(text, QUERY_FEATURES_ALL, &ast, &err);
    if (code == TW_OK) {
        TW_ASSERT(ast->root != NULL && ast->root->start < ast->root->end);
        TW_ASSERT(ast->root->end <= size);
        if (size <= 4096) /* breaking into lines looks at each expression for each level of it */
            print(ast);
        query_ast_free(ast);
        return 0;
    }
    TW_ASSERT(code == TW_SYNTAX || code == TW_UNSUPPORTED);
    TW_ASSERT(err.message[0] != '\0');
    TW_ASSERT(size > QUERY_TEXT_BYTES_MAX || (err.line > 0 && err.column > 0));
    return 0;
}

#ifndef TW_LIBFUZZER
static void run(const char *text, size_t size)
{
    fuzz_run((struct tw_str){text, size});
}

static void replay(const char *path)
{
    struct tw_buf text;
    struct tw_err err;
    tw_buf_init(&text, 1 << 20);
    if (tw_file_read(path, &text, &err)) {
        printf("Bail out! %s\n", err.message);
        exit(1);
    }
    run(text.data, text.size);
    for (size_t i = 0; i < text.size && text.size < 4096; i++) {
        static const char others[] = "\0(){}[],:@\"'`\\#xe9~=!<-\xff\xc3";
        char saved = text.data[i];
        run(text.data, i);
        for (size_t k = 0; k < sizeof others - 1; k++) {
            text.data[i] = others[k];
            run(text.data, text.size);
        }
        text.data[i] = saved;
    }
    tw_buf_fini(&text);
}

/* piece, repeated to about `bytes`. */
static void repeat(const char *piece, size_t bytes)
{
    struct tw_buf text;
    tw_buf_init(&text, 32 << 20);
    while (text.size < bytes)
        tw_buf_append_cstr(&text, piece);
    run(text.data, text.size);
    tw_buf_fini(&text);
}

/* A list of a million bytes. */
static void list(const char *head, const char *item)
{
    struct tw_buf text;
    tw_buf_init(&text, 32 << 20);
    tw_buf_append_cstr(&text, head);
    while (text.size < 1000000)
        tw_buf_append_cstr(&text, item);
    run(text.data, text.size);
    tw_buf_fini(&text);
}

int main(int argc, char **argv)
{
    static const char *const pieces[] = {
        "(",  "-",    "sum(", "a[1m:",        "{a=\"", "1+",      "a or ",
        "\"", "up{}", "9",    "{a=~\"(((\"}", "[",     "a^",      "\xff",
        "#",  "1h",   "@",    "a offset 1m ", "by(",   "abs(-(-", "!"};
    size_t count = sizeof pieces / sizeof *pieces;
    printf("1..%zu\n", count + 1);
    for (size_t i = 0; i < count; i++) {
        static const size_t sizes[] = {100, 5000, 100000, 1000000, 10000000};
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            repeat(pieces[i], sizes[k]);
        printf("ok %zu - hostile repetition %zu\n", i + 1, i + 1);
    }
    list("sum by(", "\"a\",");
    list("x{", "a=~\"b.*\",");
    list("label_join(x,\"a\",\"b\",", "\"c\",");
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("ok %zu - %d corpus files\n", count + 1, argc - 1);
    return 0;
}
#endif
