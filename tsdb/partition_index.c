/* SPDX-License-Identifier: Apache-2.0
 *
 * partition_index: the series of a partition: strings, label sets, postings, and matching.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "tsdb/codec.h"
#include "tsdb/partition_int.h"

#define COUNTS_BYTES 13 /* in the row */

enum tw_code tsdb_partition_corrupt(const struct tsdb_env *env, const char *what,
                                    struct tw_err *err)
{
    return tw_err_set(err, TW_CORRUPT, "'%s': damaged %s", tsdb_env_path(env), what);
}

enum tw_code tsdb_partition_read_counts(struct tsdb_env_txn *txn, struct tsdb_partition_counts *ret,
                                        struct tw_err *err)
{
    struct tw_str value;
    enum tw_code code = tsdb_env_get(txn, TSDB_TABLE_META, TW_STR(TSDB_COUNTS_KEY), &value, err);
    if (code == TW_NOT_FOUND) {
        *ret = (struct tsdb_partition_counts){0};
        return TW_OK;
    }
    if (code != TW_OK)
        return code;
    if (value.size != COUNTS_BYTES)
        return tw_err_set(err, TW_CORRUPT, "a partition's counts have %zu bytes", value.size);
    ret->strings = tsdb_env_key_get_u32(value.data);
    ret->series = tsdb_env_key_get_u32(value.data + 4);
    ret->first_series = tsdb_env_key_get_u32(value.data + 8);
    ret->repeated = value.data[12] != 0;
    if (ret->first_series > ret->series)
        return tw_err_set(err, TW_CORRUPT, "a partition's counts do not agree");
    return TW_OK;
}

enum tw_code tsdb_partition_put_counts(struct tsdb_env_txn *txn,
                                       const struct tsdb_partition_counts *counts,
                                       struct tw_err *err)
{
    unsigned char value[COUNTS_BYTES];
    tsdb_env_key_u32(value, counts->strings);
    tsdb_env_key_u32(value + 4, counts->series);
    tsdb_env_key_u32(value + 8, counts->first_series);
    value[12] = counts->repeated;
    return tsdb_env_put(txn, TSDB_TABLE_META, TW_STR(TSDB_COUNTS_KEY),
                        (struct tw_str){(const char *)value, sizeof value}, err);
}

/* ---- pages ---- */

struct tsdb_strings_page {
    uint32_t first;
    size_t count;
    struct tw_str *items; /* NULL until it is read */
};

/* Calls add for the first id of each page of a table; the pages are not read. */
typedef void add_first(struct tsdb_partition_view *view, uint32_t first);
static enum tw_code list_pages(struct tsdb_partition_view *view, const char *table, add_first *add,
                               struct tw_err *err)
{
    struct tsdb_env_cursor *cursor;
    enum tw_code code = tsdb_env_cursor_open(view->txn, table, &cursor, err);
    if (code != TW_OK)
        return code;
    struct tw_str key = {0};
    code = tsdb_env_cursor_move(cursor, TSDB_ENV_FIRST, &key, NULL, err);
    while (code == TW_OK) {
        if (key.size != 4) {
            code = tsdb_partition_corrupt(view->env, "index: key of a page", err);
            break;
        }
        add(view, tsdb_env_key_get_u32(key.data));
        code = tsdb_env_cursor_move(cursor, TSDB_ENV_NEXT, &key, NULL, err);
    }
    tsdb_env_cursor_close(cursor);
    return code == TW_NOT_FOUND ? TW_OK : code;
}

/* Whether an array that doubles is full at count. */
static bool is_full(size_t count)
{
    return (count & (count - 1)) == 0;
}

static void add_strings(struct tsdb_partition_view *view, uint32_t first)
{
    size_t count = view->string_page_count++;
    if (is_full(count)) {
        view->string_pages =
            realloc(view->string_pages, (count ? 2 * count : 1) * sizeof *view->string_pages);
        TW_ASSERT(view->string_pages != NULL);
    }
    view->string_pages[count] = (struct tsdb_strings_page){.first = first};
}

static void add_series(struct tsdb_partition_view *view, uint32_t first)
{
    size_t count = view->series_page_count++;
    if (is_full(count)) {
        view->series_pages =
            realloc(view->series_pages, (count ? 2 * count : 1) * sizeof *view->series_pages);
        TW_ASSERT(view->series_pages != NULL);
    }
    view->series_pages[count] = first;
}

static enum tw_code get_page(struct tsdb_partition_view *view, const char *table, uint32_t first,
                             struct tw_str *ret, struct tw_err *err)
{
    unsigned char key[4];
    tsdb_env_key_u32(key, first);
    enum tw_code code =
        tsdb_env_get(view->txn, table, (struct tw_str){(const char *)key, sizeof key}, ret, err);
    return code == TW_NOT_FOUND ? tsdb_partition_corrupt(view->env, "index: a page is missing", err)
                                : code;
}

enum tw_code tsdb_partition_view_init(struct tsdb_partition_view *view, struct tsdb_env *env,
                                      struct tsdb_env_txn *txn, struct tw_arena *arena,
                                      struct tw_err *err)
{
    *view = (struct tsdb_partition_view){
        .env = env, .txn = txn, .arena = arena, .series_page_at = SIZE_MAX};
    enum tw_code code = tsdb_partition_read_counts(txn, &view->counts, err);
    if (code == TW_OK)
        code = list_pages(view, TSDB_TABLE_STRINGS, add_strings, err);
    if (code == TW_OK)
        code = list_pages(view, TSDB_TABLE_SERIES, add_series, err);
    return code;
}

void tsdb_partition_view_fini(struct tsdb_partition_view *view)
{
    free(view->string_pages);
    free(view->series_pages);
    if (view->series)
        tsdb_series_page_fini(view->series);
    free(view->series);
    free(view->postings);
    *view = (struct tsdb_partition_view){0};
}

static enum tw_code find_strings(struct tsdb_partition_view *view, uint32_t id, struct tw_err *err)
{
    size_t first = 0, limit = view->string_page_count;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (view->string_pages[middle].first > id)
            limit = middle;
        else
            first = middle + 1;
    }
    if (first == 0)
        return tsdb_partition_corrupt(view->env, "index: a string is missing", err);
    struct tsdb_strings_page *page = &view->string_pages[first - 1];
    view->string_page_at = first - 1;
    if (page->items)
        return TW_OK;
    struct tw_str bytes;
    enum tw_code code = get_page(view, TSDB_TABLE_STRINGS, page->first, &bytes, err);
    if (code == TW_OK && !tsdb_strings_decode(bytes, view->arena, &page->items, &page->count)) {
        page->items = NULL;
        code = tsdb_partition_corrupt(view->env, "index: a page of strings", err);
    }
    return code;
}

enum tw_code tsdb_partition_view_string(struct tsdb_partition_view *view, uint32_t id,
                                        struct tw_str *ret, struct tw_err *err)
{
    if (id >= view->counts.strings)
        return tsdb_partition_corrupt(view->env, "index: a string is out of range", err);
    const struct tsdb_strings_page *page =
        view->string_page_count ? &view->string_pages[view->string_page_at] : NULL;
    if (!page || !page->items || id - page->first >= page->count) {
        enum tw_code code = find_strings(view, id, err);
        if (code != TW_OK)
            return code;
        page = &view->string_pages[view->string_page_at];
    }
    if (id - page->first >= page->count)
        return tsdb_partition_corrupt(view->env, "index: a string is missing", err);
    *ret = page->items[id - page->first];
    if (id != 0 && ret->size == 0)
        return tsdb_partition_corrupt(view->env, "index: a string is missing", err);
    return TW_OK;
}

/* The page that has the series, into view->series. */
static enum tw_code find_series(struct tsdb_partition_view *view, uint32_t id, struct tw_err *err)
{
    size_t first = 0, limit = view->series_page_count;
    while (first < limit) {
        size_t middle = first + (limit - first) / 2;
        if (view->series_pages[middle] > id)
            limit = middle;
        else
            first = middle + 1;
    }
    if (first == 0)
        return tsdb_partition_corrupt(view->env, "index: a series is missing", err);
    if (!view->series) {
        view->series = calloc(1, sizeof *view->series);
        TW_ASSERT(view->series != NULL);
    }
    struct tw_str bytes;
    view->series_page_at = SIZE_MAX;
    enum tw_code code =
        get_page(view, TSDB_TABLE_SERIES, view->series_pages[first - 1], &bytes, err);
    if (code == TW_OK && !tsdb_series_page_decode(bytes, view->series))
        code = tsdb_partition_corrupt(view->env, "index: a page of series", err);
    if (code == TW_OK)
        view->series_page_at = first - 1;
    return code;
}

enum tw_code tsdb_partition_view_series(struct tsdb_partition_view *view, uint32_t id,
                                        struct tsdb_series_entry *ret, struct tw_err *err)
{
    if (id >= view->counts.series)
        return tsdb_partition_corrupt(view->env, "index: a series is out of range", err);
    if (view->series_page_at == SIZE_MAX || id < view->series_pages[view->series_page_at] ||
        id - view->series_pages[view->series_page_at] >= view->series->count) {
        enum tw_code code = find_series(view, id, err);
        if (code != TW_OK)
            return code;
    }
    const struct tsdb_series_page *page = view->series;
    uint32_t place = id - view->series_pages[view->series_page_at];
    if (place >= page->count)
        return tsdb_partition_corrupt(view->env, "index: a series is missing", err);
    uint32_t at = page->offsets[place];
    ret->hash = 0;
    ret->label_count = page->offsets[place + 1] - at;
    if (ret->label_count) {
        memcpy(ret->names, page->names + at, ret->label_count * sizeof *ret->names);
        memcpy(ret->values, page->values + at, ret->label_count * sizeof *ret->values);
    }
    return TW_OK;
}

enum tw_code tsdb_partition_view_labels(struct tsdb_partition_view *view,
                                        struct tsdb_series_entry *entry, struct wire_label *items,
                                        struct tw_err *err)
{
    enum tw_code code = TW_OK;
    for (uint32_t i = 0; i < entry->label_count && code == TW_OK; i++) {
        code = tsdb_partition_view_string(view, entry->names[i], &items[i].name, err);
        if (code == TW_OK)
            code = tsdb_partition_view_string(view, entry->values[i], &items[i].value, err);
    }
    if (code == TW_OK)
        entry->hash = wire_labels_hash((struct wire_labels){items, entry->label_count});
    return code;
}

/* ---- postings ---- */

/* One value of a name on one page: the series that have it. */
typedef enum tw_code posting_visit(void *user, const struct tsdb_posting *items, size_t count,
                                   struct tw_err *err);

/* Ascending and within range, or false. */
static bool take_ids(const struct tsdb_posting *items, size_t count, uint32_t series_count,
                     struct tsdb_ids *ret)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].series >= series_count || (i > 0 && items[i].series <= items[i - 1].series))
            return false;
        tsdb_ids_append(ret, items[i].series);
    }
    return true;
}

static enum tw_code visit_page(struct tsdb_partition_view *view, struct tw_str page,
                               posting_visit *visit, void *user, struct tw_err *err)
{
    size_t count;
    if (!view->postings) {
        view->postings = malloc(TSDB_PAGE_IDS_MAX * sizeof *view->postings);
        TW_ASSERT(view->postings != NULL);
    }
    if (!tsdb_postings_decode(page, view->postings, &count))
        return tsdb_partition_corrupt(view->env, "index: a page of postings", err);
    enum tw_code code = TW_OK;
    for (size_t first = 0, limit; first < count && code == TW_OK; first = limit) {
        const struct tsdb_posting *items = view->postings + first;
        for (limit = first + 1; limit < count && view->postings[limit].value == items->value;)
            limit++;
        code = visit(user, items, limit - first, err);
    }
    return code;
}

static bool is_posting_of(struct tw_str key, const unsigned char *prefix, size_t prefix_bytes)
{
    return key.size == TSDB_POSTING_KEY_BYTES && memcmp(key.data, prefix, prefix_bytes) == 0;
}

/* All postings of a name. */
static enum tw_code visit_postings(struct tsdb_partition_view *view, uint32_t name,
                                   posting_visit *visit, void *user, struct tw_err *err)
{
    struct tsdb_env_cursor *cursor;
    enum tw_code code = tsdb_env_cursor_open(view->txn, TSDB_TABLE_POSTINGS, &cursor, err);
    if (code != TW_OK)
        return code;
    unsigned char prefix[4];
    tsdb_env_key_u32(prefix, name);
    struct tw_str key = {(const char *)prefix, sizeof prefix}, page;
    code = tsdb_env_cursor_move(cursor, TSDB_ENV_AT_OR_AFTER, &key, &page, err);
    while (code == TW_OK && is_posting_of(key, prefix, sizeof prefix)) {
        code = visit_page(view, page, visit, user, err);
        if (code == TW_OK)
            code = tsdb_env_cursor_move(cursor, TSDB_ENV_NEXT, &key, &page, err);
    }
    tsdb_env_cursor_close(cursor);
    return code == TW_NOT_FOUND ? TW_OK : code;
}

/* The pages of one run that may have the hash: from the last that starts below it, to the last that
 * starts with it. wanted: key with name and run. */
static enum tw_code visit_hash_in_run(struct tsdb_partition_view *view,
                                      struct tsdb_env_cursor *cursor, unsigned char *wanted,
                                      uint32_t hash, posting_visit *visit, void *user,
                                      struct tw_err *err)
{
    tsdb_env_key_u32(wanted + 12, hash);
    tsdb_env_key_u32(wanted + 16, 0);
    struct tw_str key = {(const char *)wanted, TSDB_POSTING_KEY_BYTES}, page;
    enum tw_code code = tsdb_env_cursor_move(cursor, TSDB_ENV_AT_OR_BEFORE, &key, &page, err);
    if (code == TW_NOT_FOUND)
        code = tsdb_env_cursor_move(cursor, TSDB_ENV_FIRST, &key, &page, err);
    else if (code == TW_OK && !is_posting_of(key, wanted, 12))
        code = tsdb_env_cursor_move(cursor, TSDB_ENV_NEXT, &key, &page, err);
    while (code == TW_OK && is_posting_of(key, wanted, 12) &&
           tsdb_env_key_get_u32(key.data + 12) <= hash) {
        code = visit_page(view, page, visit, user, err);
        if (code == TW_OK)
            code = tsdb_env_cursor_move(cursor, TSDB_ENV_NEXT, &key, &page, err);
    }
    return code == TW_NOT_FOUND ? TW_OK : code;
}

/* The postings of a name that may have the hash, and some beside them. */
static enum tw_code visit_hash(struct tsdb_partition_view *view, uint32_t name, uint32_t hash,
                               posting_visit *visit, void *user, struct tw_err *err)
{
    struct tsdb_env_cursor *cursor;
    enum tw_code code = tsdb_env_cursor_open(view->txn, TSDB_TABLE_POSTINGS, &cursor, err);
    if (code != TW_OK)
        return code;
    unsigned char wanted[TSDB_POSTING_KEY_BYTES] = {0};
    tsdb_env_key_u32(wanted, name);
    for (;;) {
        struct tw_str key = {(const char *)wanted, sizeof wanted};
        code = tsdb_env_cursor_move(cursor, TSDB_ENV_AT_OR_AFTER, &key, NULL, err);
        if (code != TW_OK || !is_posting_of(key, wanted, 4))
            break;
        uint64_t run = tsdb_env_key_get_u64(key.data + 4);
        tsdb_env_key_u64(wanted + 4, run);
        code = visit_hash_in_run(view, cursor, wanted, hash, visit, user, err);
        if (code != TW_OK || run == UINT64_MAX)
            break;
        tsdb_env_key_u64(wanted + 4, run + 1);
        memset(wanted + 12, 0, 8);
    }
    tsdb_env_cursor_close(cursor);
    return code == TW_NOT_FOUND ? TW_OK : code;
}

/* ---- names ---- */

typedef enum tw_code name_visit(void *user, uint32_t name, struct tw_str text, struct tw_err *err);

static enum tw_code visit_names(struct tsdb_partition_view *view, name_visit *visit, void *user,
                                struct tw_err *err)
{
    struct tsdb_env_cursor *cursor;
    enum tw_code code = tsdb_env_cursor_open(view->txn, TSDB_TABLE_POSTINGS, &cursor, err);
    if (code != TW_OK)
        return code;
    unsigned char wanted[4] = {0};
    struct tw_str key = {(const char *)wanted, sizeof wanted};
    while ((code = tsdb_env_cursor_move(cursor, TSDB_ENV_AT_OR_AFTER, &key, NULL, err)) == TW_OK) {
        if (key.size != TSDB_POSTING_KEY_BYTES) {
            code = tsdb_partition_corrupt(view->env, "index: a posting's key", err);
            break;
        }
        uint32_t name = tsdb_env_key_get_u32(key.data);
        struct tw_str text;
        code = tsdb_partition_view_string(view, name, &text, err);
        if (code == TW_OK)
            code = visit(user, name, text, err);
        if (code != TW_OK || name == UINT32_MAX)
            break;
        tsdb_env_key_u32(wanted, name + 1);
        key = (struct tw_str){(const char *)wanted, sizeof wanted};
    }
    tsdb_env_cursor_close(cursor);
    return code == TW_NOT_FOUND ? TW_OK : code;
}

/* A text may be there under several ids, as label sets may. */
struct find_name {
    struct tw_str text;
    struct tsdb_ids names;
};

static enum tw_code compare_name(void *user, uint32_t name, struct tw_str text, struct tw_err *err)
{
    (void)err;
    struct find_name *find = user;
    if (tw_str_equal(find->text, text))
        tsdb_ids_append(&find->names, name);
    return TW_OK;
}

/* ---- all postings ---- */

struct all_postings {
    struct tsdb_partition_view *view;
    tsdb_posting_visit *visit;
    void *user;
    uint32_t name;
    struct tsdb_ids ids;
};

static enum tw_code give_posting(void *user, const struct tsdb_posting *items, size_t count,
                                 struct tw_err *err)
{
    struct all_postings *all = user;
    all->ids.count = 0;
    if (!take_ids(items, count, all->view->counts.series, &all->ids))
        return tsdb_partition_corrupt(all->view->env, "index: a posting list", err);
    all->visit(all->user, all->name, items->hash, items->value, &all->ids);
    return TW_OK;
}

static enum tw_code give_name(void *user, uint32_t name, struct tw_str text, struct tw_err *err)
{
    (void)text;
    struct all_postings *all = user;
    all->name = name;
    return visit_postings(all->view, name, give_posting, all, err);
}

enum tw_code tsdb_partition_view_postings(struct tsdb_partition_view *view,
                                          tsdb_posting_visit *visit, void *user, struct tw_err *err)
{
    struct all_postings all = {.view = view, .visit = visit, .user = user};
    enum tw_code code = visit_names(view, give_name, &all, err);
    tsdb_ids_fini(&all.ids);
    return code;
}

/* ---- matching ---- */

enum verdict { UNKNOWN, YES, NO };
#define IS_NAME 4u

struct probe {
    const struct tsdb_matcher *matcher;
    struct tsdb_partition_view *view;
    bool when_absent, applied;
    uint32_t hash;           /* of the value of an equality */
    struct tsdb_ids names;   /* ids of the label's name */
    unsigned char *verdicts; /* by string id; of names IS_NAME is set too */
    struct tsdb_ids *ids;    /* to collect into */
};

static enum tw_code value_matches(struct probe *probe, uint32_t value, bool *ret,
                                  struct tw_err *err)
{
    struct tw_str text;
    enum tw_code code = tsdb_partition_view_string(probe->view, value, &text, err);
    if (code != TW_OK)
        return code;
    unsigned char *verdict = &probe->verdicts[value];
    if ((*verdict & ~IS_NAME) == UNKNOWN)
        *verdict |= tsdb_matcher_matches(probe->matcher, text) ? YES : NO;
    *ret = (*verdict & ~IS_NAME) == YES;
    return TW_OK;
}

static enum tw_code collect_posting(void *user, const struct tsdb_posting *items, size_t count,
                                    struct tw_err *err)
{
    struct probe *probe = user;
    bool match;
    if (probe->matcher->op == TSDB_MATCH_EQUAL && items->hash != probe->hash)
        return TW_OK;
    enum tw_code code = value_matches(probe, items->value, &match, err);
    if (code == TW_OK && match && !take_ids(items, count, probe->view->counts.series, probe->ids))
        code = tsdb_partition_corrupt(probe->view->env, "index: a posting list", err);
    return code;
}

/* All series that the probe lets through by their postings; ascending. */
static enum tw_code collect(struct probe *probe, struct tsdb_ids *ret, struct tw_err *err)
{
    probe->ids = ret;
    probe->applied = true;
    probe->hash = (uint32_t)tw_hash64(probe->matcher->value.data, probe->matcher->value.size);
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < probe->names.count && code == TW_OK; i++) {
        uint32_t name = probe->names.items[i];
        code = probe->matcher->op == TSDB_MATCH_EQUAL
                   ? visit_hash(probe->view, name, probe->hash, collect_posting, probe, err)
                   : visit_postings(probe->view, name, collect_posting, probe, err);
    }
    tsdb_ids_sort(ret);
    return code;
}

static void intersect(struct tsdb_ids *ids, const struct tsdb_ids *other)
{
    size_t kept = 0;
    for (size_t i = 0, j = 0; i < ids->count; i++) {
        while (j < other->count && other->items[j] < ids->items[i])
            j++;
        if (j < other->count && other->items[j] == ids->items[i])
            ids->items[kept++] = ids->items[i];
    }
    ids->count = kept;
}

/* Candidates by postings: all equalities; without any, one matcher that needs its label; without
 * that, every series. */
static enum tw_code find_candidates(struct tsdb_partition_view *view, struct probe *probes,
                                    size_t probe_count, struct tsdb_ids *ret, struct tw_err *err)
{
    bool narrowed = false;
    enum tw_code code = TW_OK;
    for (int round = 0; round < 2 && !narrowed; round++)
        for (size_t i = 0; i < probe_count && code == TW_OK; i++) {
            struct probe *probe = &probes[i];
            if (probe->when_absent || (probe->matcher->op == TSDB_MATCH_EQUAL) != !round ||
                (round && narrowed))
                continue;
            struct tsdb_ids found = {0};
            code = collect(probe, narrowed ? &found : ret, err);
            if (narrowed)
                intersect(ret, &found);
            tsdb_ids_fini(&found);
            narrowed = true;
        }
    for (uint32_t id = 0; !narrowed && id < view->counts.series; id++)
        tsdb_ids_append(ret, id);
    return code;
}

static enum tw_code series_matches(struct probe *probe, const struct tsdb_series_entry *entry,
                                   bool *ret, struct tw_err *err)
{
    for (uint32_t i = 0; probe->names.count > 0 && i < entry->label_count; i++) {
        if (entry->names[i] >= probe->view->counts.strings)
            return tsdb_partition_corrupt(probe->view->env, "index: a name is out of range", err);
        if (probe->verdicts[entry->names[i]] & IS_NAME)
            return value_matches(probe, entry->values[i], ret, err);
    }
    *ret = probe->when_absent;
    return TW_OK;
}

static enum tw_code init_probes(struct tsdb_partition_view *view,
                                const struct tsdb_matcher *matchers, size_t count,
                                struct probe *probes, struct tw_err *err)
{
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < count && code == TW_OK; i++) {
        struct find_name find = {.text = matchers[i].name};
        code = visit_names(view, compare_name, &find, err);
        probes[i] = (struct probe){.matcher = &matchers[i],
                                   .view = view,
                                   .names = find.names,
                                   .when_absent = tsdb_matcher_matches(&matchers[i], TW_STR("")),
                                   .verdicts = calloc(view->counts.strings + 1, 1)};
        TW_ASSERT(probes[i].verdicts != NULL);
        for (size_t j = 0; j < find.names.count; j++)
            probes[i].verdicts[find.names.items[j]] = IS_NAME;
    }
    return code;
}

static uint32_t metric_of(const struct wire_label *items, const struct tsdb_series_entry *entry)
{
    for (uint32_t i = 0; i < entry->label_count; i++)
        if (tw_str_is(items[i].name, WIRE_METRIC_NAME))
            return entry->values[i];
    return 0;
}

/* Those of the candidates that match all probes, with their labels. */
static enum tw_code filter(struct tsdb_partition_view *view, struct probe *probes,
                           size_t probe_count, const struct tsdb_ids *candidates,
                           struct tsdb_partition_match *ret, size_t *ret_count, struct tw_err *err)
{
    struct tsdb_series_entry entry;
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    size_t count = 0;
    for (size_t i = 0; i < candidates->count; i++) {
        enum tw_code code = tsdb_partition_view_series(view, candidates->items[i], &entry, err);
        bool match = true;
        for (size_t j = 0; j < probe_count && code == TW_OK && match; j++)
            if (!probes[j].applied)
                code = series_matches(&probes[j], &entry, &match, err);
        if (code == TW_OK && match)
            code = tsdb_partition_view_labels(view, &entry, items, err);
        if (code != TW_OK)
            return code;
        if (!match)
            continue;
        struct wire_label *labels = tw_arena_alloc(view->arena, entry.label_count * sizeof *labels);
        memcpy(labels, items, entry.label_count * sizeof *labels);
        ret[count++] = (struct tsdb_partition_match){
            .place = {.series = candidates->items[i], .metric = metric_of(items, &entry)},
            .hash = entry.hash,
            .labels = {labels, entry.label_count}};
    }
    *ret_count = count;
    return TW_OK;
}

/* Label sets that were found under several ids become one match, at the place of the newest. */
static void join_repeated(struct tsdb_partition_match *matches, size_t *count,
                          struct tw_arena *arena)
{
    size_t width = 64, kept = *count;
    while (width < *count * 2)
        width *= 2;
    uint32_t *slots = calloc(width, sizeof *slots); /* matches + 1 */
    TW_ASSERT(slots != NULL);
    for (size_t i = *count; i-- > 0;) {
        struct tsdb_partition_match *match = &matches[i], *newer = NULL;
        size_t at = match->hash & (width - 1);
        for (; slots[at] && !newer; at = (at + 1) & (width - 1)) {
            struct tsdb_partition_match *other = &matches[slots[at] - 1];
            if (other->hash == match->hash && wire_labels_equal(other->labels, match->labels))
                newer = other;
        }
        if (newer) {
            struct tsdb_partition_place *older = tw_arena_alloc(arena, sizeof *older);
            struct tsdb_partition_place *last = &newer->place;
            *older = match->place;
            while (last->older)
                last = last->older;
            last->older = older;
            continue;
        }
        /* It moves up, to the others that are kept; slots name where it is then. */
        matches[--kept] = *match;
        slots[at] = (uint32_t)kept + 1;
    }
    free(slots);
    memmove(matches, matches + kept, (*count - kept) * sizeof *matches);
    *count -= kept;
}

enum tw_code tsdb_partition_match(struct tsdb_partition *partition,
                                  const struct tsdb_matcher *matchers, size_t matcher_count,
                                  struct tw_arena *arena, struct tsdb_partition_match **ret_items,
                                  size_t *ret_count, struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    enum tw_code code = tsdb_env_begin(partition->env, false, &txn, err);
    if (code != TW_OK)
        return code;
    struct tsdb_partition_view view;
    struct probe *probes = calloc(matcher_count + 1, sizeof *probes);
    TW_ASSERT(probes != NULL);
    struct tsdb_ids candidates = {0};
    code = tsdb_partition_view_init(&view, partition->env, txn, arena, err);
    if (code == TW_OK)
        code = init_probes(&view, matchers, matcher_count, probes, err);
    if (code == TW_OK)
        code = find_candidates(&view, probes, matcher_count, &candidates, err);
    if (code == TW_OK) {
        *ret_items = TW_ARENA_ARRAY(arena, struct tsdb_partition_match,
                                    candidates.count ? candidates.count : 1);
        code = filter(&view, probes, matcher_count, &candidates, *ret_items, ret_count, err);
        if (code == TW_OK && view.counts.repeated)
            join_repeated(*ret_items, ret_count, arena);
    }
    for (size_t i = 0; i < matcher_count; i++) {
        free(probes[i].verdicts);
        tsdb_ids_fini(&probes[i].names);
    }
    free(probes);
    tsdb_partition_view_fini(&view);
    tsdb_ids_fini(&candidates);
    tsdb_env_abort(txn);
    return code;
}

/* ---- names and values for the API ---- */

/* Of fewer series than one in so many their rows are read; of more, the postings of the name. */
#define LISTED_BY_ROWS 8

struct listing {
    struct tsdb_partition_view *view;
    tsdb_index_visit *visit;
    void *user;
    const unsigned char *wanted; /* bits by series; NULL = all of them */
    unsigned char *seen;         /* by string id */
};

static enum tw_code list_name(void *user, uint32_t name, struct tw_str text, struct tw_err *err)
{
    (void)name;
    (void)err;
    struct listing *listing = user;
    listing->visit(listing->user, text);
    return TW_OK;
}

static enum tw_code list_string(struct listing *listing, uint32_t string, struct tw_err *err)
{
    if (listing->seen && string < listing->view->counts.strings) {
        if (listing->seen[string])
            return TW_OK;
        listing->seen[string] = 1;
    }
    struct tw_str text;
    enum tw_code code = tsdb_partition_view_string(listing->view, string, &text, err);
    if (code == TW_OK)
        listing->visit(listing->user, text);
    return code;
}

static enum tw_code list_value(void *user, const struct tsdb_posting *items, size_t count,
                               struct tw_err *err)
{
    struct listing *listing = user;
    for (size_t i = 0; i < count; i++) {
        uint32_t series = items[i].series;
        if (series >= listing->view->counts.series)
            return tsdb_partition_corrupt(listing->view->env, "index: a posting list", err);
        if (!listing->wanted || listing->wanted[series / 8] >> series % 8 & 1)
            return list_string(listing, items->value, err);
    }
    return TW_OK;
}

static enum tw_code list_all(struct listing *listing, struct tw_str name, struct tw_err *err)
{
    struct find_name find = {.text = name};
    if (!name.size)
        return visit_names(listing->view, list_name, listing, err);
    enum tw_code code = visit_names(listing->view, compare_name, &find, err);
    for (size_t i = 0; i < find.names.count && code == TW_OK; i++)
        code = visit_postings(listing->view, find.names.items[i], list_value, listing, err);
    tsdb_ids_fini(&find.names);
    return code;
}

/* Values by the postings of their name, when the candidates are what matches. */
static enum tw_code list_by_postings(struct listing *listing, const struct tsdb_ids *candidates,
                                     const struct tsdb_ids *names, struct tw_err *err)
{
    unsigned char *wanted = calloc(listing->view->counts.series / 8 + 1, 1);
    TW_ASSERT(wanted != NULL);
    for (size_t i = 0; i < candidates->count; i++)
        wanted[candidates->items[i] / 8] |= (unsigned char)(1 << candidates->items[i] % 8);
    listing->wanted = wanted;
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < names->count && code == TW_OK; i++)
        code = visit_postings(listing->view, names->items[i], list_value, listing, err);
    listing->wanted = NULL;
    free(wanted);
    return code;
}

static bool is_one_of(const struct tsdb_ids *ids, uint32_t id)
{
    for (size_t i = 0; i < ids->count; i++)
        if (ids->items[i] == id)
            return true;
    return false;
}

/* names: string ids of the one whose values are listed; NULL = names are. */
static enum tw_code list_by_rows(struct listing *listing, const struct tsdb_ids *candidates,
                                 struct probe *probes, size_t probe_count,
                                 const struct tsdb_ids *names, struct tw_err *err)
{
    struct tsdb_series_entry entry;
    enum tw_code code = TW_OK;
    for (size_t i = 0; i < candidates->count && code == TW_OK; i++) {
        code = tsdb_partition_view_series(listing->view, candidates->items[i], &entry, err);
        bool match = true;
        for (size_t j = 0; j < probe_count && code == TW_OK && match; j++)
            if (!probes[j].applied)
                code = series_matches(&probes[j], &entry, &match, err);
        for (uint32_t j = 0; j < entry.label_count && code == TW_OK && match; j++)
            if (!names)
                code = list_string(listing, entry.names[j], err);
            else if (is_one_of(names, entry.names[j]))
                code = list_string(listing, entry.values[j], err);
    }
    return code;
}

static enum tw_code list_matching(struct listing *listing, struct tw_str name,
                                  const struct tsdb_matcher *matchers, size_t matcher_count,
                                  struct tw_err *err)
{
    struct tsdb_partition_view *view = listing->view;
    struct find_name find = {.text = name};
    enum tw_code code = name.size ? visit_names(view, compare_name, &find, err) : TW_OK;
    if (code != TW_OK || (name.size && find.names.count == 0)) {
        tsdb_ids_fini(&find.names);
        return code;
    }
    struct probe *probes = calloc(matcher_count, sizeof *probes);
    TW_ASSERT(probes != NULL);
    struct tsdb_ids candidates = {0};
    code = init_probes(view, matchers, matcher_count, probes, err);
    if (code == TW_OK)
        code = find_candidates(view, probes, matcher_count, &candidates, err);
    bool settled = name.size && candidates.count > view->counts.series / LISTED_BY_ROWS;
    for (size_t i = 0; i < matcher_count; i++)
        settled = settled && probes[i].applied;
    if (code == TW_OK)
        code = settled ? list_by_postings(listing, &candidates, &find.names, err)
                       : list_by_rows(listing, &candidates, probes, matcher_count,
                                      name.size ? &find.names : NULL, err);
    tsdb_ids_fini(&find.names);
    for (size_t i = 0; i < matcher_count; i++) {
        free(probes[i].verdicts);
        tsdb_ids_fini(&probes[i].names);
    }
    free(probes);
    tsdb_ids_fini(&candidates);
    return code;
}

enum tw_code tsdb_partition_list(struct tsdb_partition *partition, struct tw_str name,
                                 const struct tsdb_matcher *matchers, size_t matcher_count,
                                 struct tw_arena *arena, tsdb_index_visit *visit, void *user,
                                 struct tw_err *err)
{
    struct tsdb_env_txn *txn;
    enum tw_code code = tsdb_env_begin(partition->env, false, &txn, err);
    if (code != TW_OK)
        return code;
    struct tsdb_partition_view view;
    struct listing listing = {.view = &view, .visit = visit, .user = user};
    code = tsdb_partition_view_init(&view, partition->env, txn, arena, err);
    if (code == TW_OK) {
        listing.seen = calloc(view.counts.strings + 1, 1);
        TW_ASSERT(listing.seen != NULL);
        code = matcher_count ? list_matching(&listing, name, matchers, matcher_count, err)
                             : list_all(&listing, name, err);
    }
    free(listing.seen);
    tsdb_partition_view_fini(&view);
    tsdb_env_abort(txn);
    return code;
}
