/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/lock.h"

#define TABLE "scaler.lease"
#define VERSION_BYTES 64
#define PATH_BYTES_MAX 4000

struct lease {
    char *name;
    int fd; /* of a file that we hold; -1 = none */
    char version[VERSION_BYTES];
    int64_t seen_mono_ms; /* when the version was first seen */
};

struct scale_leases {
    struct tw_lock lock;
    struct lease *items;
    size_t count;
};

struct scale_leases *scale_leases_new(void)
{
    struct scale_leases *leases = calloc(1, sizeof *leases);
    TW_ASSERT(leases != NULL);
    tw_lock_init(&leases->lock, TW_RANK_LEAF, "scaler leases");
    return leases;
}

struct scale_leases *scale_leases_free(struct scale_leases *leases)
{
    if (!leases)
        return NULL;
    for (size_t i = 0; i < leases->count; i++) {
        if (leases->items[i].fd >= 0)
            close(leases->items[i].fd);
        free(leases->items[i].name);
    }
    free(leases->items);
    tw_lock_fini(&leases->lock);
    free(leases);
    return NULL;
}

static struct lease *find_locked(struct scale_leases *leases, const char *name)
{
    tw_lock_assert_held(&leases->lock);
    for (size_t i = 0; i < leases->count; i++)
        if (!strcmp(leases->items[i].name, name))
            return &leases->items[i];
    leases->items = realloc(leases->items, (leases->count + 1) * sizeof *leases->items);
    TW_ASSERT(leases->items != NULL);
    leases->items[leases->count] = (struct lease){.name = tw_str_dup(tw_str(name)), .fd = -1};
    return &leases->items[leases->count++];
}

bool scale_lease_lock(struct scale_leases *leases, const char *path, char *ret_error,
                      size_t error_bytes)
{
    const char *slash = strrchr(path, '/');
    struct tw_err err;
    TW_ASSERT(slash != NULL);
    struct tw_str folder = {path, slash == path ? 1 : (size_t)(slash - path)};
    tw_lock_take(&leases->lock);
    struct lease *lease = find_locked(leases, path);
    if (lease->fd < 0) {
        char *text = tw_str_dup(folder);
        if (tw_file_lock(text, slash + 1, &lease->fd, &err) != TW_OK) {
            lease->fd = -1;
            snprintf(ret_error, error_bytes, "standing by: %s", err.message);
        }
        free(text);
    }
    bool held = lease->fd >= 0;
    tw_lock_release(&leases->lock);
    return held;
}

int64_t scale_lease_age_ms(struct scale_leases *leases, const char *name, struct tw_str version,
                           int64_t now_mono_ms)
{
    tw_lock_take(&leases->lock);
    struct lease *lease = find_locked(leases, name);
    if (!tw_str_is(version, lease->version) || !lease->seen_mono_ms) {
        snprintf(lease->version, sizeof lease->version, "%.*s", TW_STR_ARG(version));
        lease->seen_mono_ms = now_mono_ms;
    }
    int64_t age = now_mono_ms - lease->seen_mono_ms;
    tw_lock_release(&leases->lock);
    return age;
}

enum tw_code scale_lease_identity(struct tsdb_state *state, struct tw_clock *clock,
                                  char *ret_identity, struct tw_err *err)
{
    struct tsdb_state_txn *txn = NULL;
    struct tw_str value;
    char host[SCALE_IDENTITY_BYTES - 24] = "", number[20];
    if (gethostname(host, sizeof host - 1) != 0)
        snprintf(host, sizeof host, "host");
    enum tw_code code = tsdb_state_begin(state, true, &txn, err);
    if (code != TW_OK)
        return code;
    code = tsdb_state_get(txn, TABLE, TW_STR("number"), &value, err);
    if (code == TW_OK) {
        snprintf(number, sizeof number, "%.*s", TW_STR_ARG(value));
        tsdb_state_abort(txn);
    } else if (code == TW_NOT_FOUND) {
        /* The hash's key is a random secret of this process. */
        int64_t seed[2] = {tw_clock_wall_ms(clock), tw_clock_mono_ns(clock)};
        snprintf(number, sizeof number, "%016llx",
                 (unsigned long long)tw_hash64_private(seed, sizeof seed));
        code = tsdb_state_put(txn, TABLE, TW_STR("number"), tw_str(number), err);
        if (code == TW_OK)
            code = tsdb_state_commit(txn, err);
        else
            tsdb_state_abort(txn);
    } else {
        tsdb_state_abort(txn);
    }
    if (code == TW_OK)
        snprintf(ret_identity, SCALE_IDENTITY_BYTES, "%s_%s", host, number);
    return code;
}

static bool is_object_name(struct tw_str name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return name.size <= 253 && name.data[0] != '.';
}

enum tw_code scale_lease_parse(struct tw_arena *arena, const char *file, const struct tw_yaml *map,
                               struct scale_settings *settings, struct tw_err *err)
{
    struct tw_str lease = {0};
    enum tw_code code = tw_yaml_get_str(file, map, "lease", &lease, err);
    const struct tw_yaml *node = tw_yaml_member(map, "lease");
    if (code != TW_OK || !lease.size)
        return code;
    if (memchr(lease.data, 0, lease.size))
        return tw_yaml_error(file, node, err, "lease is a text");
    if (settings->target.kind == SCALE_TARGET_NONE)
        return tw_yaml_error(file, node, err, "a lease is one of acting: it needs a target");
    if (settings->target.kind == SCALE_TARGET_KUBERNETES && !is_object_name(lease))
        return tw_yaml_error(file, node, err,
                             "lease '%.*s' is no name that Kubernetes takes: lower-case letters, "
                             "digits, '-' and '.'",
                             TW_STR_ARG(lease));
    if (settings->target.kind != SCALE_TARGET_KUBERNETES &&
        (lease.data[0] != '/' || lease.data[lease.size - 1] == '/' || lease.size > PATH_BYTES_MAX))
        return tw_yaml_error(file, node, err,
                             "lease is the whole path of a file to lock, as in "
                             "/run/tidewatch/web.lock");
    settings->target.lease = tw_arena_cstr(arena, lease);
    return TW_OK;
}
