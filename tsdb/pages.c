/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tsdb/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

/* LMDB's page: u64 number, u16 pad, u16 flags, u16 lower, u16 upper (or u32 pages of an overflow),
 * then u16 offsets of nodes. A node: u16 low, u16 high, u16 flags, u16 key size, key, value; low
 * and high are the size of the value, or with the flags the number of a branch's page. */
#define PAGE_HEADER 16
#define NODE_HEADER 8
#define PAGE_BRANCH 0x01
#define PAGE_LEAF 0x02
#define PAGE_OVERFLOW 0x04
#define PAGE_META 0x08
#define PAGE_KINDS 0x6f /* with the bits for duplicates, which we do not use */
#define NODE_BIG 0x01   /* the value lies on pages of its own */
#define NODE_TABLE 0x02 /* the value is a table's record */
#define META_MAGIC 0xBEEFC0DEu
#define META_VERSION 1u
#define TABLE_RECORD 48 /* u32 pad, u16 flags, u16 depth, 4 x u64 counts, u64 root */
#define META_BYTES (24 + 2 * TABLE_RECORD + 16)
#define NO_PAGE UINT64_MAX
#define DEPTH_MAX 32
#define INTEGER_KEY 0x08
#define ORDER_FLAGS 0x7e /* how keys are ordered, and duplicates */
#define SENTENCE_BYTES 256

struct file {
    const unsigned char *bytes;
    uint64_t size, page_bytes, last_page;
    const struct tsdb_pages_visitor *visitor;
    struct tsdb_pages_counts counts;
    uint64_t *used; /* a bit a page */
};

struct tree {
    struct tw_str name;
    bool integers; /* keys of the list of free pages */
    unsigned flags, depth;
    uint64_t root;
    struct tw_str before; /* the key visited last, in the map */
    struct tw_str floor;  /* what the branches above promise: no key is below it */
    bool tables;          /* the main tree: values are records of tables */
};

static uint16_t u16(const unsigned char *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t u32(const unsigned char *at)
{
    return (uint32_t)u16(at) | (uint32_t)u16(at + 2) << 16;
}

static uint64_t u64(const unsigned char *at)
{
    return (uint64_t)u32(at) | (uint64_t)u32(at + 4) << 32;
}

static void damage(struct file *file, const char *format, ...) TW_PRINTF(2, 3);
static void damage(struct file *file, const char *format, ...)
{
    char sentence[SENTENCE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    file->counts.damaged++;
    if (file->visitor->damage)
        file->visitor->damage(file->visitor->user, sentence);
}

/* ---- pages ---- */

static const unsigned char *page_at(const struct file *file, uint64_t number)
{
    return number < file->size / file->page_bytes ? file->bytes + number * file->page_bytes : NULL;
}

/* Marks pages as used; false when one of them is already, or is none. */
static bool claim(struct file *file, uint64_t number, uint64_t count)
{
    uint64_t pages = file->size / file->page_bytes;
    if (number < 2 || number >= pages || count > pages - number || number > file->last_page ||
        count > file->last_page - number + 1)
        return false;
    for (uint64_t i = number; i < number + count; i++) {
        if (file->used[i / 64] >> (i % 64) & 1)
            return false;
        file->used[i / 64] |= UINT64_C(1) << (i % 64);
        file->counts.used++;
    }
    return true;
}

static unsigned node_count(const unsigned char *page)
{
    return (u16(page + 12) - PAGE_HEADER) / 2u;
}

/* A branch or leaf whose header and nodes lie within it; NULL in *ret_wrong when it is fine. */
static bool is_sound(const struct file *file, const unsigned char *page, uint64_t number,
                     const char **ret_wrong)
{
    unsigned lower = u16(page + 12), upper = u16(page + 14), kind = u16(page + 10) & PAGE_KINDS;
    *ret_wrong = NULL;
    if (u64(page) != number)
        *ret_wrong = "has another page's number";
    else if (kind != PAGE_BRANCH && kind != PAGE_LEAF)
        *ret_wrong = "is of another kind";
    else if (lower < PAGE_HEADER || lower % 2 || upper < lower || upper > file->page_bytes)
        *ret_wrong = "has wrong bounds";
    if (*ret_wrong)
        return false;
    for (unsigned i = 0; i < node_count(page); i++) {
        unsigned at = u16(page + PAGE_HEADER + 2 * i);
        if (at < upper || at % 2 || at > file->page_bytes - NODE_HEADER) {
            *ret_wrong = "has a node outside of it";
            return false;
        }
        uint64_t size = NODE_HEADER + u16(page + at + 6);
        if (kind == PAGE_LEAF)
            size += u16(page + at + 4) & NODE_BIG ? 8 : u32(page + at);
        if (size > file->page_bytes - at) {
            *ret_wrong = "has a node outside of it";
            return false;
        }
    }
    return true;
}

static const unsigned char *node_at(const unsigned char *page, unsigned index)
{
    return page + u16(page + PAGE_HEADER + 2 * index);
}

static struct tw_str key_of(const unsigned char *node)
{
    return (struct tw_str){(const char *)node + NODE_HEADER, u16(node + 6)};
}

/* ---- values ---- */

/* The value of a leaf's node; false when its pages are damaged. */
static bool read_value(struct file *file, const unsigned char *node, bool claims,
                       struct tw_str *ret)
{
    uint64_t size = u32(node);
    const unsigned char *at = node + NODE_HEADER + u16(node + 6);
    if (u16(node + 4) & NODE_BIG) {
        uint64_t number = u64(at);
        const unsigned char *page = page_at(file, number);
        uint64_t needed = (PAGE_HEADER + size + file->page_bytes - 1) / file->page_bytes;
        if (!page || u64(page) != number || (u16(page + 10) & PAGE_KINDS) != PAGE_OVERFLOW ||
            u32(page + 12) < needed || needed > file->size / file->page_bytes - number ||
            (claims && !claim(file, number, u32(page + 12))))
            return false;
        at = page + PAGE_HEADER;
    }
    *ret = (struct tw_str){(const char *)at, size};
    return true;
}

static void walk_tree(struct file *file, struct tree *tree);

static bool read_record(const unsigned char *at, struct tree *tree)
{
    tree->flags = u16(at + 4);
    tree->depth = u16(at + 6);
    tree->root = u64(at + 40);
    /* The list of free pages has the environment's flags there too. */
    return (tree->flags & ORDER_FLAGS) == (tree->integers ? INTEGER_KEY : 0);
}

/* The list of free pages: u64 count, then the numbers. */
static void check_free(struct file *file, struct tw_str value)
{
    const unsigned char *at = (const unsigned char *)value.data;
    uint64_t count = value.size >= 8 ? u64(at) : 0;
    if (value.size < 8 || value.size % 8 || count > value.size / 8 - 1) {
        damage(file, "the list of free pages is damaged");
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = u64(at + 8 + 8 * i);
        bool inside = number >= 2 && number <= file->last_page;
        /* LMDB may know free pages that the file never had. */
        if (!inside || (number < file->size / file->page_bytes &&
                        file->used[number / 64] >> (number % 64) & 1)) {
            damage(file, "page %" PRIu64 " is in use and in the list of free pages", number);
            return;
        }
        file->counts.free++;
    }
}

static bool is_ascending(const struct tree *tree, struct tw_str key)
{
    if (!tree->before.data)
        return true;
    if (tree->integers)
        return key.size == 8 && tree->before.size == 8 &&
               u64((const unsigned char *)tree->before.data) < u64((const unsigned char *)key.data);
    return tw_str_compare(tree->before, key) < 0;
}

static void visit_leaf(struct file *file, struct tree *tree, const unsigned char *page,
                       uint64_t number)
{
    for (unsigned i = 0; i < node_count(page); i++) {
        const unsigned char *node = node_at(page, i);
        struct tw_str key = key_of(node), value;
        if (key.size == 0 || !is_ascending(tree, key) ||
            (!tree->integers && tw_str_compare(key, tree->floor) < 0)) {
            damage(file, "table '%.*s': page %" PRIu64 " has keys out of order",
                   TW_STR_ARG(tree->name), number);
            return;
        }
        tree->before = key;
        if (!read_value(file, node, true, &value)) {
            damage(file, "table '%.*s': the pages of a value named on page %" PRIu64 " are damaged",
                   TW_STR_ARG(tree->name), number);
            continue;
        }
        bool is_table = u16(node + 4) & NODE_TABLE;
        if (tree->integers) {
            check_free(file, value);
        } else if (tree->tables) {
            struct tree table = {.name = key};
            if (!is_table || value.size != TABLE_RECORD ||
                !read_record((const unsigned char *)value.data, &table))
                damage(file, "the record of table '%.*s' is damaged", TW_STR_ARG(key));
            else
                walk_tree(file, &table);
        } else if (is_table) {
            damage(file, "table '%.*s': page %" PRIu64 " has a node of another kind",
                   TW_STR_ARG(tree->name), number);
        } else {
            file->counts.values++;
            if (file->visitor->value)
                file->visitor->value(file->visitor->user, tree->name, key, value);
        }
    }
}

static void visit_page(struct file *file, struct tree *tree, uint64_t number, unsigned depth)
{
    const unsigned char *page = page_at(file, number);
    const char *wrong = "lies behind the end of the file";
    if (!page || !is_sound(file, page, number, &wrong)) {
        damage(file, "table '%.*s': page %" PRIu64 " %s", TW_STR_ARG(tree->name), number, wrong);
        return;
    }
    if (!claim(file, number, 1)) {
        damage(file, "table '%.*s': page %" PRIu64 " is used twice", TW_STR_ARG(tree->name),
               number);
        return;
    }
    bool leaf = u16(page + 10) & PAGE_LEAF;
    if (leaf != (depth == tree->depth) || depth > DEPTH_MAX) {
        damage(file, "table '%.*s': page %" PRIu64 " is on the wrong level", TW_STR_ARG(tree->name),
               number);
        return;
    }
    if (leaf) {
        visit_leaf(file, tree, page, number);
        return;
    }
    if (node_count(page) < 2 && !tree->integers)
        damage(file, "table '%.*s': page %" PRIu64 " has too few branches", TW_STR_ARG(tree->name),
               number);
    for (unsigned i = 0; i < node_count(page); i++) {
        const unsigned char *node = node_at(page, i);
        if (i > 0) {
            tree->floor = key_of(node);
            if (!is_ascending(tree, tree->floor))
                damage(file, "table '%.*s': page %" PRIu64 " leads to the wrong keys",
                       TW_STR_ARG(tree->name), number);
        }
        visit_page(file, tree, (uint64_t)u32(node) | (uint64_t)u16(node + 4) << 32, depth + 1);
    }
}

static void walk_tree(struct file *file, struct tree *tree)
{
    if (tree->root != NO_PAGE)
        visit_page(file, tree, tree->root, 1);
}

/* ---- the file ---- */

static bool is_meta(const struct file *file, const unsigned char *page)
{
    return (u16(page + 10) & PAGE_META) && u32(page + 16) == META_MAGIC &&
           u32(page + 20) == META_VERSION && u32(page + 40) == file->page_bytes;
}

static uint64_t txn_of(const unsigned char *meta)
{
    return u64(meta + PAGE_HEADER + 24 + 2 * TABLE_RECORD + 8);
}

/* LMDB reads both, and takes the one of the later transaction. */
static const unsigned char *find_meta(struct file *file)
{
    if (file->size < PAGE_HEADER + META_BYTES)
        return NULL;
    file->page_bytes = u32(file->bytes + 40);
    if (file->page_bytes < 512 || file->page_bytes > 65536 ||
        (file->page_bytes & (file->page_bytes - 1)) || file->size < 2 * file->page_bytes)
        file->page_bytes = 4096; /* the first is damaged: it may be the other one's */
    if (file->size < 2 * file->page_bytes)
        return NULL;
    const unsigned char *newest = NULL, *older = NULL;
    for (unsigned i = 0; i < 2; i++) {
        const unsigned char *page = file->bytes + i * file->page_bytes;
        if (!is_meta(file, page)) {
            damage(file, "root page %u is damaged", i);
            continue;
        }
        /* They are written in turn, so that a changed number would bring back an older tree. */
        if (txn_of(page) != 0 && txn_of(page) % 2 != i)
            damage(file, "root page %u has another's transaction", i);
        if (!newest || txn_of(page) > txn_of(newest))
            older = newest, newest = page;
        else
            older = page;
    }
    if (older && txn_of(newest) != 0 && txn_of(older) != txn_of(newest) - 1)
        damage(file, "the root pages are not of two transactions behind each other");
    return newest;
}

static enum tw_code open_file(struct file *file, const char *path, struct tw_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        enum tw_code code = tw_err_errno(err, errno, "cannot open '%s'", path);
        if (fd >= 0)
            close(fd);
        return code;
    }
    if (status.st_size == 0) {
        close(fd);
        return tw_err_set(err, TW_CORRUPT, "'%s' is empty", path);
    }
    file->size = (uint64_t)status.st_size;
    void *map = mmap(NULL, file->size, PROT_READ, MAP_SHARED, fd, 0);
    int number = errno;
    close(fd);
    if (map == MAP_FAILED)
        return tw_err_errno(err, number, "cannot map '%s'", path);
    file->bytes = map;
    return TW_OK;
}

static void close_file(struct file *file)
{
    free(file->used);
    munmap((void *)(uintptr_t)file->bytes, file->size);
}

enum tw_code tsdb_pages_walk(const char *path, const struct tsdb_pages_visitor *visitor,
                             struct tsdb_pages_counts *ret, struct tw_err *err)
{
    struct file file = {.visitor = visitor};
    enum tw_code code = open_file(&file, path, err);
    if (code != TW_OK)
        return code;
    const unsigned char *meta = find_meta(&file);
    if (!meta) {
        close_file(&file);
        return tw_err_set(err, TW_CORRUPT,
                          "'%s' has no root page: cut off, or no file of the store", path);
    }
    struct tree main_tree = {.name = TW_STR("tables"), .tables = true};
    struct tree free_tree = {.name = TW_STR("free pages"), .integers = true};
    file.counts.pages = file.size / file.page_bytes;
    file.last_page = u64(meta + PAGE_HEADER + 24 + 2 * TABLE_RECORD);
    file.used = calloc(file.counts.pages / 64 + 1, sizeof *file.used);
    TW_ASSERT(file.used != NULL);
    bool free_sound = read_record(meta + PAGE_HEADER + 24, &free_tree);
    bool main_sound = read_record(meta + PAGE_HEADER + 24 + TABLE_RECORD, &main_tree);
    if (!free_sound || !main_sound)
        damage(&file, "the root page has flags that are never set");
    walk_tree(&file, &main_tree);
    walk_tree(&file, &free_tree);
    *ret = file.counts;
    close_file(&file);
    return TW_OK;
}

/* ---- the scan ---- */

static void scan_leaf(struct file *file, const unsigned char *page)
{
    for (unsigned i = 0; i < node_count(page); i++) {
        const unsigned char *node = node_at(page, i);
        struct tw_str value;
        if (u16(node + 4) & NODE_TABLE || u16(node + 6) == 0 ||
            !read_value(file, node, false, &value))
            continue;
        file->counts.values++;
        file->visitor->value(file->visitor->user, (struct tw_str){0}, key_of(node), value);
    }
}

enum tw_code tsdb_pages_scan(const char *path, const struct tsdb_pages_visitor *visitor,
                             struct tsdb_pages_counts *ret, struct tw_err *err)
{
    struct file file = {.visitor = visitor};
    enum tw_code code = open_file(&file, path, err);
    if (code != TW_OK)
        return code;
    (void)find_meta(&file); /* for the size of pages; the usual one without it */
    if (file.page_bytes == 0)
        file.page_bytes = 4096;
    file.counts.pages = file.size / file.page_bytes;
    const char *wrong;
    for (uint64_t number = 2; number < file.counts.pages; number++) {
        const unsigned char *page = page_at(&file, number);
        if ((u16(page + 10) & PAGE_LEAF) && is_sound(&file, page, number, &wrong))
            scan_leaf(&file, page);
    }
    for (uint64_t number = 2; number < file.counts.pages; number++) {
        const unsigned char *page = page_at(&file, number);
        uint64_t pages = u32(page + 12);
        if ((u16(page + 10) & PAGE_KINDS) != PAGE_OVERFLOW || u64(page) != number || pages == 0 ||
            pages > file.counts.pages - number)
            continue;
        visitor->value(visitor->user, (struct tw_str){0}, (struct tw_str){0},
                       (struct tw_str){(const char *)page + PAGE_HEADER,
                                       pages * file.page_bytes - PAGE_HEADER});
    }
    *ret = file.counts;
    close_file(&file);
    return TW_OK;
}
