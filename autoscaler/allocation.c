/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/allocation.h"

#include <string.h>

#include "autoscaler/record.h"

static const char *const kinds[] = {"none", "pools", "types"};

bool scale_allocation_same(const struct scale_allocation *a, const struct scale_allocation *b)
{
    if (a->kind != b->kind || a->count != b->count || a->placed != b->placed)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->shares[i].after != b->shares[i].after ||
            a->shares[i].before != b->shares[i].before ||
            strcmp(a->shares[i].name, b->shares[i].name) != 0 ||
            strcmp(a->shares[i].why, b->shares[i].why) != 0)
            return false;
    return true;
}

static void write_replicas(struct tw_json_writer *writer, const char *key, int64_t replicas)
{
    tw_json_key(writer, tw_str(key));
    if (replicas >= 0)
        tw_json_write_int(writer, replicas);
    else
        tw_json_write_null(writer);
}

void scale_allocation_write_json(const struct scale_allocation *allocation,
                                 struct tw_json_writer *writer)
{
    tw_json_key(writer, TW_STR("allocation"));
    if (allocation->kind == SCALE_FLEET_NONE) {
        tw_json_write_null(writer);
        return;
    }
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "kind", kinds[allocation->kind]);
    tw_json_member_int(writer, "placed", allocation->placed);
    tw_json_member_number(writer, "cost_per_hour", allocation->cost_per_hour);
    tw_json_member_cstr(writer, "text", allocation->text);
    tw_json_key(writer, TW_STR("shares"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < allocation->count; i++) {
        const struct scale_share *share = &allocation->shares[i];
        tw_json_begin_object(writer);
        tw_json_member_cstr(writer, "name", share->name);
        write_replicas(writer, "before", share->before);
        write_replicas(writer, "after", share->after);
        write_replicas(writer, "replicas", share->replicas);
        write_replicas(writer, "ready", share->ready);
        tw_json_member_cstr(writer, "why", share->why);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
    tw_json_end_object(writer);
}

void scale_allocation_encode(const struct scale_allocation *allocation, struct tw_buf *ret_bytes)
{
    scale_record_put(ret_bytes, allocation->kind, 1);
    if (allocation->kind == SCALE_FLEET_NONE)
        return;
    scale_record_put(ret_bytes, allocation->count, 1);
    scale_record_put(ret_bytes, (uint64_t)allocation->placed, 8);
    scale_record_put_double(ret_bytes, allocation->cost_per_hour);
    scale_record_put_text(ret_bytes, allocation->text);
    for (size_t i = 0; i < allocation->count; i++) {
        const struct scale_share *share = &allocation->shares[i];
        const int64_t ints[] = {share->before, share->after, share->replicas, share->ready};
        scale_record_put_text(ret_bytes, share->name);
        for (size_t k = 0; k < sizeof ints / sizeof *ints; k++)
            scale_record_put(ret_bytes, (uint64_t)ints[k], 8);
        scale_record_put_text(ret_bytes, share->why);
    }
}

bool scale_allocation_decode(struct tw_str *rest, struct scale_allocation *ret)
{
    struct scale_reader reader = scale_reader_of(*rest);
    *ret = (struct scale_allocation){0};
    ret->kind = (enum scale_fleet_kind)scale_record_take_enum(&reader, SCALE_FLEET_TYPES);
    if (ret->kind != SCALE_FLEET_NONE) {
        ret->count = scale_record_take_enum(&reader, SCALE_POOLS_MAX);
        ret->placed = (int64_t)scale_record_take(&reader, 8);
        ret->cost_per_hour = scale_record_take_double(&reader);
        scale_record_take_text(&reader, ret->text, sizeof ret->text);
    }
    for (size_t i = 0; i < ret->count && !reader.bad; i++) {
        struct scale_share *share = &ret->shares[i];
        int64_t *const ints[] = {&share->before, &share->after, &share->replicas, &share->ready};
        scale_record_take_text(&reader, share->name, sizeof share->name);
        for (size_t k = 0; k < sizeof ints / sizeof *ints; k++)
            *ints[k] = (int64_t)scale_record_take(&reader, 8);
        scale_record_take_text(&reader, share->why, sizeof share->why);
    }
    *rest = (struct tw_str){(const char *)reader.at, (size_t)(reader.end - reader.at)};
    return !reader.bad;
}
