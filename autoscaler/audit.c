/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "autoscaler/record.h"
#include "base/assert.h"
#include "base/utf8.h"

#define TABLE "scaler.audit"
#define MAGIC 0x41444331u
#define VERSION_WRITTEN 1
#define KEY_BYTES 8
#define RECORD_BYTES_MAX 4096

static const char *const kind_names[] = {
#define SCALE_AUDIT_NAME(name, text) text,
    SCALE_AUDIT_TABLE(SCALE_AUDIT_NAME)
#undef SCALE_AUDIT_NAME
};

const char *scale_audit_name(enum scale_audit_kind kind)
{
    TW_ASSERT(kind < SCALE_AUDIT_KINDS);
    return kind_names[kind];
}

/* A text that was cut, cut again before a character that is not whole. */
static void mend(char *text)
{
    size_t size = strlen(text);
    while (size > 0 && !tw_utf8_valid((struct tw_str){text, size}))
        text[--size] = 0;
}

void scale_audit_make(struct scale_audit *audit, int64_t time_ms, enum scale_audit_kind kind,
                      const char *who, struct tw_str scaler, const char *format, ...)
{
    *audit = (struct scale_audit){.time_ms = time_ms, .kind = kind};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(audit->text, sizeof audit->text, format, arguments);
    va_end(arguments);
    snprintf(audit->who, sizeof audit->who, "%s", who);
    snprintf(audit->scaler, sizeof audit->scaler, "%.*s", TW_STR_ARG(scaler));
    mend(audit->text);
    mend(audit->who);
    mend(audit->scaler);
}

/* Big-endian, so that keys sort by number. */
static struct tw_str key_of(char *bytes, uint64_t number)
{
    for (size_t i = 0; i < KEY_BYTES; i++)
        bytes[i] = (char)(number >> (56 - 8 * i));
    return (struct tw_str){bytes, KEY_BYTES};
}

static bool take_number(void *user, struct tw_str key, struct tw_str value)
{
    uint64_t *number = user;
    (void)value;
    *number = 0;
    for (size_t i = 0; i < key.size && i < KEY_BYTES; i++)
        *number = *number << 8 | (unsigned char)key.data[i];
    return false;
}

enum tw_code scale_audit_append(struct tsdb_state_txn *txn, struct scale_audit *audit,
                                struct tw_err *err)
{
    uint64_t last = 0;
    char key[KEY_BYTES];
    const struct tw_str all = {0};
    enum tw_code code = tsdb_state_each(txn, TABLE, all, all, true, take_number, &last, err);
    if (code != TW_OK)
        return code;
    audit->number = last + 1;
    struct tw_buf bytes;
    tw_buf_init(&bytes, RECORD_BYTES_MAX);
    scale_record_put(&bytes, MAGIC, 4);
    scale_record_put(&bytes, VERSION_WRITTEN, 2);
    scale_record_put(&bytes, audit->kind, 1);
    scale_record_put(&bytes, (uint64_t)audit->time_ms, 8);
    scale_record_put_text(&bytes, audit->who);
    scale_record_put_text(&bytes, audit->scaler);
    scale_record_put_text(&bytes, audit->text);
    code = tsdb_state_put(txn, TABLE, key_of(key, audit->number), tw_buf_str(&bytes), err);
    tw_buf_fini(&bytes);
    if (code == TW_OK && audit->number > SCALE_AUDIT_KEPT)
        code = tsdb_state_delete(txn, TABLE, key_of(key, audit->number - SCALE_AUDIT_KEPT), err);
    return code;
}

enum tw_code scale_audit_write(struct tsdb_state *state, struct scale_audit *audits, size_t count,
                               struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    if (!count)
        return TW_OK;
    enum tw_code code = tsdb_state_begin(state, true, &txn, err);
    if (code != TW_OK)
        return code;
    for (size_t i = 0; i < count && code == TW_OK; i++)
        code = scale_audit_append(txn, &audits[i], err);
    if (code == TW_OK)
        return tsdb_state_commit(txn, err);
    tsdb_state_abort(txn);
    return code;
}

static enum tw_code decode(struct tw_str key, struct tw_str value, struct scale_audit *ret,
                           struct tw_err *err)
{
    struct scale_reader reader = scale_reader_of(value);
    bool known =
        scale_record_take(&reader, 4) == MAGIC && scale_record_take(&reader, 2) == VERSION_WRITTEN;
    *ret = (struct scale_audit){0};
    (void)take_number(&ret->number, key, value);
    ret->kind = (enum scale_audit_kind)scale_record_take_enum(&reader, SCALE_AUDIT_KINDS - 1);
    ret->time_ms = (int64_t)scale_record_take(&reader, 8);
    scale_record_take_text(&reader, ret->who, sizeof ret->who);
    scale_record_take_text(&reader, ret->scaler, sizeof ret->scaler);
    scale_record_take_text(&reader, ret->text, sizeof ret->text);
    if (!known || !scale_record_ended(&reader))
        return tw_err_set(err, TW_CORRUPT, "entry %llu of the scalers' audit log is damaged",
                          (unsigned long long)ret->number);
    return TW_OK;
}

struct walk {
    scale_audit_visit *visit;
    void *user;
    enum tw_code code;
    struct tw_err *err;
};

static bool walk_one(void *user, struct tw_str key, struct tw_str value)
{
    struct walk *walk = user;
    struct scale_audit audit;
    walk->code = decode(key, value, &audit, walk->err);
    return walk->code == TW_OK && walk->visit(walk->user, &audit);
}

enum tw_code scale_audit_each(struct tsdb_state *state, scale_audit_visit *visit, void *user,
                              struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    enum tw_code code = tsdb_state_begin(state, false, &txn, err);
    if (code != TW_OK)
        return code;
    struct walk walk = {visit, user, TW_OK, err};
    const struct tw_str all = {0};
    code = tsdb_state_each(txn, TABLE, all, all, true, walk_one, &walk, err);
    tsdb_state_abort(txn);
    return code == TW_OK ? walk.code : code;
}

void scale_audit_write_json(const struct scale_audit *audit, struct tw_json_writer *writer)
{
    tw_json_begin_object(writer);
    tw_json_member_int(writer, "number", (int64_t)audit->number);
    tw_json_member_number(writer, "time", (double)audit->time_ms / 1000);
    tw_json_member_cstr(writer, "kind", scale_audit_name(audit->kind));
    tw_json_member_cstr(writer, "who", audit->who);
    tw_json_member_cstr(writer, "scaler", audit->scaler);
    tw_json_member_cstr(writer, "text", audit->text);
    tw_json_end_object(writer);
}
