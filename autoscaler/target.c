/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/target.h"

#include <string.h>

const char *scale_target_name(enum scale_target_kind kind)
{
    static const char *const names[] = {
#define SCALE_TARGET_NAME(name, text) text,
        SCALE_TARGET_TABLE(SCALE_TARGET_NAME)
#undef SCALE_TARGET_NAME
    };
    return names[kind];
}

bool scale_target_reads(const struct scale_target *target)
{
    return target->kind == SCALE_TARGET_SYSTEMD || target->kind == SCALE_TARGET_PROCESS ||
           target->kind == SCALE_TARGET_KUBERNETES ||
           (target->kind == SCALE_TARGET_EXEC && target->exec.get != NULL);
}

bool scale_target_replaces(const struct scale_target *target)
{
    return target->kind != SCALE_TARGET_NONE &&
           (target->kind != SCALE_TARGET_EXEC || target->exec.replace != NULL);
}

/* ---- copying ---- */

static const char *copy_text(const char *text, struct tw_arena *arena)
{
    return text != NULL ? tw_arena_cstr(arena, tw_str(text)) : NULL;
}

static const char *const *copy_words(const char *const *words, struct tw_arena *arena)
{
    size_t count = 0;
    if (words == NULL)
        return NULL;
    while (words[count] != NULL)
        count++;
    const char **copies = TW_ARENA_ARRAY(arena, const char *, count + 1);
    for (size_t i = 0; i < count; i++)
        copies[i] = copy_text(words[i], arena);
    return copies;
}

struct scale_target scale_target_copy(const struct scale_target *target, struct tw_arena *arena)
{
    struct scale_target copy = *target;
    copy.lease = copy_text(target->lease, arena);
    copy.webhook.url = copy_text(target->webhook.url, arena);
    copy.webhook.secret_file = copy_text(target->webhook.secret_file, arena);
    for (size_t i = 0; i < target->webhook.header_count; i++)
        copy.webhook.headers[i] =
            (struct tw_http_pair){tw_arena_str(arena, target->webhook.headers[i].name),
                                  tw_arena_str(arena, target->webhook.headers[i].value)};
    copy.exec.set = copy_words(target->exec.set, arena);
    copy.exec.get = copy_words(target->exec.get, arena);
    copy.exec.replace = copy_words(target->exec.replace, arena);
    copy.systemd.unit = copy_text(target->systemd.unit, arena);
    copy.systemd.systemctl = copy_text(target->systemd.systemctl, arena);
    copy.process.command = copy_words(target->process.command, arena);
    copy.kubernetes.kind = copy_text(target->kubernetes.kind, arena);
    copy.kubernetes.api_version = copy_text(target->kubernetes.api_version, arena);
    copy.kubernetes.resource = copy_text(target->kubernetes.resource, arena);
    copy.kubernetes.name = copy_text(target->kubernetes.name, arena);
    copy.kubernetes.space = copy_text(target->kubernetes.space, arena);
    copy.kubernetes.kubeconfig = copy_text(target->kubernetes.kubeconfig, arena);
    copy.kubernetes.context = copy_text(target->kubernetes.context, arena);
    return copy;
}

/* ---- showing ---- */

static void write_words(struct tw_json_writer *writer, const char *key, const char *const *words)
{
    tw_json_key(writer, tw_str(key));
    tw_json_begin_array(writer);
    for (; *words != NULL; words++)
        tw_json_write_cstr(writer, *words);
    tw_json_end_array(writer);
}

void scale_target_write_json(const struct scale_target *target, struct tw_json_writer *writer)
{
    tw_json_key(writer, TW_STR("target"));
    if (target->kind == SCALE_TARGET_NONE) {
        tw_json_write_null(writer);
        return;
    }
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "type", scale_target_name(target->kind));
    switch (target->kind) {
    case SCALE_TARGET_WEBHOOK:
        tw_json_member_cstr(writer, "url", target->webhook.url);
        tw_json_member_bool(writer, "signed", target->webhook.secret_file != NULL);
        break;
    case SCALE_TARGET_EXEC:
        write_words(writer, "command", target->exec.set);
        break;
    case SCALE_TARGET_SYSTEMD:
        tw_json_member_cstr(writer, "unit", target->systemd.unit);
        break;
    case SCALE_TARGET_PROCESS:
        write_words(writer, "command", target->process.command);
        break;
    case SCALE_TARGET_KUBERNETES:
        tw_json_member_cstr(writer, "kind", target->kubernetes.kind);
        tw_json_member_cstr(writer, "namespace",
                            target->kubernetes.space ? target->kubernetes.space : "");
        tw_json_member_cstr(writer, "name", target->kubernetes.name);
        break;
    case SCALE_TARGET_NONE:
        break;
    }
    tw_json_end_object(writer);
}
