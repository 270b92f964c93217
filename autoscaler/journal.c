/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/journal.h"

#include <math.h>
#include <string.h>

#include "autoscaler/record.h"
#include "autoscaler/settings.h"
#include "base/assert.h"
#include "base/number.h"

#define DECISION_TABLE "scaler.decision"
#define MEMORY_TABLE "scaler.memory"
#define FLEET_TABLE "scaler.fleet"
#define LEDGER_TABLE "scaler.ledger"
#define KEY_BYTES_MAX SCALE_DECISION_KEY_BYTES
#define MEMORY_MAGIC 0x4d444331u
#define MEMORY_VERSION 1
#define MEMORY_BYTES_MAX (1 << 20)

/* name, a zero byte (names have none), and, big-endian so that keys sort by time, since_ms. */
struct tw_str scale_journal_key(char *bytes, struct tw_str name, int64_t since_ms)
{
    TW_ASSERT(name.size <= SCALE_NAME_BYTES_MAX);
    memcpy(bytes, name.data, name.size);
    bytes[name.size] = 0;
    uint64_t sorted = (uint64_t)since_ms ^ (UINT64_C(1) << 63);
    for (size_t i = 0; i < 8; i++)
        bytes[name.size + 1 + i] = (char)(sorted >> (56 - 8 * i));
    return (struct tw_str){bytes, name.size + 9};
}

static struct tw_str prefix_of(char *bytes, struct tw_str name)
{
    struct tw_str key = scale_journal_key(bytes, name, 0);
    return (struct tw_str){key.data, name.size + 1};
}

/* ---- memory ---- */

static void put_moments(struct tw_buf *out, const struct scale_moment *moments, size_t count)
{
    scale_record_put(out, count, 4);
    for (size_t i = 0; i < count; i++) {
        scale_record_put(out, (uint64_t)moments[i].time_ms, 8);
        scale_record_put(out, (uint64_t)moments[i].replicas, 8);
    }
}

static void encode_memory(const struct scale_entry *entry, struct tw_buf *out)
{
    const struct scale_startup *startup = entry->startup;
    scale_record_put(out, MEMORY_MAGIC, 4);
    scale_record_put(out, MEMORY_VERSION, 2);
    scale_record_put_double(out, entry->capacity);
    put_moments(out, entry->policy->wanted, entry->policy->wanted_count);
    put_moments(out, entry->policy->changes, entry->policy->change_count);
    scale_record_put(out, startup->count, 4);
    for (size_t i = 0; i < startup->count; i++) /* the oldest first */
        scale_record_put(
            out,
            (uint64_t)startup->times_ms[(startup->next + SCALE_STARTUP_KEPT - startup->count + i) %
                                        SCALE_STARTUP_KEPT],
            8);
}

static size_t take_count(struct scale_reader *reader, size_t max)
{
    size_t count = (size_t)scale_record_take(reader, 4);
    if (count > max)
        reader->bad = true;
    return reader->bad ? 0 : count;
}

static size_t take_moments(struct scale_reader *reader, struct scale_moment *moments)
{
    size_t count = take_count(reader, SCALE_WINDOW_ENTRIES_MAX);
    for (size_t i = 0; i < count; i++) {
        moments[i].time_ms = (int64_t)scale_record_take(reader, 8);
        moments[i].replicas = (int64_t)scale_record_take(reader, 8);
    }
    return count;
}

enum tw_code scale_journal_memory(struct tsdb_state *state, struct tw_str name,
                                  struct scale_policy *ret_policy,
                                  struct scale_startup *ret_startup, double *ret_capacity,
                                  struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    enum tw_code code = tsdb_state_begin(state, false, &txn, err);
    if (code != TW_OK)
        return code;
    struct tw_str value;
    code = tsdb_state_get(txn, MEMORY_TABLE, name, &value, err);
    if (code == TW_OK) {
        struct scale_reader reader = scale_reader_of(value);
        static const struct scale_policy no_policy;
        struct scale_startup startup;
        bool known = scale_record_take(&reader, 4) == MEMORY_MAGIC &&
                     scale_record_take(&reader, 2) == MEMORY_VERSION;
        double capacity = scale_record_take_double(&reader);
        *ret_policy = no_policy;
        ret_policy->wanted_count = take_moments(&reader, ret_policy->wanted);
        ret_policy->change_count = take_moments(&reader, ret_policy->changes);
        scale_startup_init(&startup);
        startup.count = take_count(&reader, SCALE_STARTUP_KEPT);
        startup.next = startup.count % SCALE_STARTUP_KEPT;
        for (size_t i = 0; i < startup.count; i++)
            startup.times_ms[i] = (int64_t)scale_record_take(&reader, 8);
        if (!known || !scale_record_ended(&reader)) {
            *ret_policy = no_policy;
            code = tw_err_set(err, TW_CORRUPT, "what scaler '%.*s' remembered cannot be read",
                              TW_STR_ARG(name));
        } else {
            *ret_startup = startup;
            *ret_capacity = capacity;
        }
    }
    tsdb_state_abort(txn);
    return code;
}

static enum tw_code read_bytes(struct tsdb_state *state, const char *table, struct tw_str name,
                               struct tw_buf *ret_bytes, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    enum tw_code code = tsdb_state_begin(state, false, &txn, err);
    if (code != TW_OK)
        return code;
    struct tw_str value;
    code = tsdb_state_get(txn, table, name, &value, err);
    if (code == TW_OK)
        tw_buf_append_str(ret_bytes, value);
    tsdb_state_abort(txn);
    return code;
}

enum tw_code scale_journal_fleet(struct tsdb_state *state, struct tw_str name,
                                 struct tw_buf *ret_bytes, struct tw_err *err)
{
    return read_bytes(state, FLEET_TABLE, name, ret_bytes, err);
}

enum tw_code scale_journal_ledger(struct tsdb_state *state, struct tw_str name,
                                  struct tw_buf *ret_bytes, struct tw_err *err)
{
    return read_bytes(state, LEDGER_TABLE, name, ret_bytes, err);
}

/* ---- decisions ---- */

struct pruning {
    size_t seen;
    char oldest[KEY_BYTES_MAX];
    size_t oldest_bytes;
};

static bool count_key(void *user, struct tw_str key, struct tw_str value)
{
    struct pruning *pruning = user;
    (void)value;
    if (!pruning->seen++) {
        memcpy(pruning->oldest, key.data, key.size);
        pruning->oldest_bytes = key.size;
    }
    return true;
}

/* Drops the oldest record when there are too many; one new record, at most one too many. */
static enum tw_code prune(struct tsdb_state_txn *txn, struct tw_str name, struct tw_err *err)
{
    char bytes[KEY_BYTES_MAX];
    struct pruning pruning = {0};
    enum tw_code code = tsdb_state_each(txn, DECISION_TABLE, prefix_of(bytes, name),
                                        (struct tw_str){0}, false, count_key, &pruning, err);
    struct tw_str oldest = {pruning.oldest, pruning.oldest_bytes};
    if (code == TW_OK && pruning.seen > SCALE_DECISIONS_KEPT) {
        code = tsdb_state_delete(txn, DECISION_TABLE, oldest, err);
        if (code == TW_OK)
            code = scale_effect_delete(txn, oldest, err);
    }
    return code;
}

static enum tw_code write_entry(struct tsdb_state_txn *txn, const struct scale_entry *entry,
                                struct tw_buf *bytes, struct tw_err *err)
{
    char key_bytes[KEY_BYTES_MAX];
    struct tw_str key = scale_journal_key(key_bytes, entry->name, entry->decision->since_ms), old;
    enum tw_code code = tsdb_state_get(txn, DECISION_TABLE, key, &old, NULL);
    bool fresh = code == TW_NOT_FOUND;
    tw_buf_clear(bytes);
    scale_decision_encode(entry->decision, bytes);
    code = tsdb_state_put(txn, DECISION_TABLE, key, tw_buf_str(bytes), err);
    if (code == TW_OK && fresh)
        code = prune(txn, entry->name, err);
    if (code == TW_OK && entry->fleet.size)
        code = tsdb_state_put(txn, FLEET_TABLE, entry->name, entry->fleet, err);
    if (code == TW_OK && entry->ledger.size)
        code = tsdb_state_put(txn, LEDGER_TABLE, entry->name, entry->ledger, err);
    if (code != TW_OK || !entry->policy)
        return code;
    tw_buf_clear(bytes);
    encode_memory(entry, bytes);
    return tsdb_state_put(txn, MEMORY_TABLE, entry->name, tw_buf_str(bytes), err);
}

enum tw_code scale_journal_write(struct tsdb_state *state, const struct scale_entry *entries,
                                 size_t count, struct tw_err *err)
{
    if (!count)
        return TW_OK;
    struct tsdb_state_txn *txn = NULL;
    enum tw_code code = tsdb_state_begin(state, true, &txn, err);
    if (code != TW_OK)
        return code;
    struct tw_buf bytes;
    tw_buf_init(&bytes, MEMORY_BYTES_MAX);
    for (size_t i = 0; i < count && code == TW_OK; i++)
        code = write_entry(txn, &entries[i], &bytes, err);
    tw_buf_fini(&bytes);
    if (code != TW_OK) {
        tsdb_state_abort(txn);
        return code;
    }
    return tsdb_state_commit(txn, err);
}

struct walk {
    struct tsdb_state_txn *txn;
    struct tw_str name;
    scale_journal_visit *visit;
    void *user;
    enum tw_code code;
    struct tw_err *err;
};

static bool walk_one(void *user, struct tw_str key, struct tw_str value)
{
    struct walk *walk = user;
    struct scale_decision decision;
    struct scale_effect outcome;
    (void)key;
    walk->code = scale_decision_decode(value, &decision, walk->err);
    if (walk->code != TW_OK)
        return false;
    enum tw_code found =
        scale_effect_read(walk->txn, walk->name, decision.since_ms, &outcome, walk->err);
    if (found != TW_OK && found != TW_NOT_FOUND) {
        walk->code = found;
        return false;
    }
    return walk->visit(walk->user, &decision, found == TW_OK ? &outcome : NULL);
}

enum tw_code scale_journal_each(struct tsdb_state *state, struct tw_str name,
                                scale_journal_visit *visit, void *user, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    enum tw_code code = tsdb_state_begin(state, false, &txn, err);
    if (code != TW_OK)
        return code;
    char bytes[KEY_BYTES_MAX];
    struct walk walk = {txn, name, visit, user, TW_OK, err};
    code = tsdb_state_each(txn, DECISION_TABLE, prefix_of(bytes, name), (struct tw_str){0}, true,
                           walk_one, &walk, err);
    tsdb_state_abort(txn);
    return code == TW_OK ? walk.code : code;
}

struct search {
    bool order, found;
    struct scale_decision *ret;
};

static bool take_first(void *user, const struct scale_decision *decision,
                       const struct scale_effect *outcome)
{
    struct search *search = user;
    (void)outcome;
    if (search->order && !decision->key[0])
        return true;
    *search->ret = *decision;
    search->found = true;
    return false;
}

static enum tw_code find_first(struct tsdb_state *state, struct tw_str name, bool order,
                               struct scale_decision *ret, struct tw_err *err)
{
    struct search search = {order, false, ret};
    enum tw_code code = scale_journal_each(state, name, take_first, &search, err);
    if (code == TW_OK && !search.found)
        code = tw_err_set(err, TW_NOT_FOUND, "scaler '%.*s' has decided nothing yet",
                          TW_STR_ARG(name));
    return code;
}

enum tw_code scale_journal_last(struct tsdb_state *state, struct tw_str name,
                                struct scale_decision *ret, struct tw_err *err)
{
    return find_first(state, name, false, ret, err);
}

enum tw_code scale_journal_last_order(struct tsdb_state *state, struct tw_str name,
                                      struct scale_decision *ret, struct tw_err *err)
{
    return find_first(state, name, true, ret, err);
}
