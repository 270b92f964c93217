/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/recovery.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static struct scale_patient *find_patient(struct scale_recovery *recovery, struct tw_str name)
{
    for (size_t i = 0; i < recovery->patient_count; i++)
        if (tw_str_is(name, recovery->patients[i].name))
            return &recovery->patients[i];
    return NULL;
}

static void drop_patient(struct scale_recovery *recovery, size_t at)
{
    recovery->patient_count--;
    memmove(&recovery->patients[at], &recovery->patients[at + 1],
            (recovery->patient_count - at) * sizeof *recovery->patients);
}

static bool is_full(const struct scale_recovery_news *news)
{
    return news->audit_count == SCALE_RECOVERY_NOTES_MAX;
}

static void note(struct scale_recovery_news *news, const struct scale_settings *settings,
                 int64_t now_ms, enum scale_audit_kind kind, const struct scale_patient *patient,
                 const char *text)
{
    long long failing = (long long)((now_ms - patient->since_ms) / 1000);
    TW_ASSERT(!is_full(news));
    scale_audit_make(&news->audits[news->audit_count++], now_ms, kind, SCALE_SELF, settings->name,
                     "%s: %s; it failed for %lld s, attempt %u", patient->name, text, failing,
                     patient->attempts);
}

/* ---- what there is ---- */

static void take_in(struct scale_recovery *recovery, int64_t now_ms,
                    const struct scale_instance *instances, size_t count)
{
    recovery->known = (int64_t)count;
    recovery->well = recovery->failing = 0;
    for (size_t i = 0; i < recovery->patient_count; i++)
        recovery->patients[i].seen = false;
    for (size_t i = 0; i < count; i++) {
        recovery->well += instances[i].well;
        recovery->failing += !instances[i].well;
        if (instances[i].well || instances[i].name.size >= SCALE_PATIENT_NAME_BYTES ||
            !instances[i].name.size)
            continue;
        struct scale_patient *patient = find_patient(recovery, instances[i].name);
        if (!patient && recovery->patient_count < SCALE_PATIENTS_MAX) {
            patient = &recovery->patients[recovery->patient_count++];
            *patient = (struct scale_patient){.since_ms = now_ms};
            memcpy(patient->name, instances[i].name.data, instances[i].name.size);
        }
        if (patient) {
            patient->seen = true;
            if (patient->since_ms > now_ms) /* the clock was set back */
                patient->since_ms = now_ms;
            if (patient->acted_ms > now_ms)
                patient->acted_ms = now_ms;
        }
    }
}

static bool is_well(const struct scale_instance *instances, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (instances[i].well && tw_str_is(instances[i].name, name))
            return true;
    return false;
}

/* Whose replacement serves, who is well by itself, and whose time is over. */
static void follow(struct scale_recovery *recovery, const struct scale_settings *settings,
                   int64_t now_ms, const struct scale_instance *instances, size_t count,
                   int64_t wanted, int64_t allowed_ms, struct scale_recovery_news *news)
{
    for (size_t i = recovery->patient_count; i-- > 0 && !is_full(news);) {
        struct scale_patient *patient = &recovery->patients[i];
        bool well = is_well(instances, count, patient->name);
        bool come = !patient->seen && (recovery->well > patient->well_then ||
                                       (wanted >= 0 && recovery->well >= wanted));
        if (patient->state == SCALE_PATIENT_UNDER_WAY && (well || come)) {
            news->replaced++;
            note(news, settings, now_ms, SCALE_AUDIT_REPLACED, patient,
                 well ? "it is well again" : "another one serves in its place");
        } else if (patient->state == SCALE_PATIENT_UNDER_WAY &&
                   now_ms - patient->acted_ms >= allowed_ms) {
            bool last = patient->attempts >= settings->recovery.attempts;
            news->overdue++;
            news->given_up += last;
            patient->state = last ? SCALE_PATIENT_GIVEN_UP : SCALE_PATIENT_FAILING;
            note(news, settings, now_ms, SCALE_AUDIT_OVERDUE, patient,
                 last ? "its replacement does not serve; given up, somebody has to look"
                      : "its replacement does not serve in its time");
            news->changed = true;
            continue;
        } else if (patient->seen || (patient->state == SCALE_PATIENT_UNDER_WAY && !well)) {
            continue;
        }
        news->changed |= patient->acted_ms > 0;
        drop_patient(recovery, i); /* replaced, well by itself, or not heard of any more */
    }
}

/* ---- what may be done ---- */

static int64_t count_under_way(const struct scale_recovery *recovery)
{
    int64_t count = 0;
    for (size_t i = 0; i < recovery->patient_count; i++)
        count += recovery->patients[i].state == SCALE_PATIENT_UNDER_WAY;
    return count;
}

static void forget_acts(struct scale_recovery *recovery, int64_t now_ms)
{
    size_t old = 0;
    while (old < recovery->act_count &&
           (recovery->acts_ms[old] <= now_ms - SCALE_RECOVERY_HOUR_MS ||
            recovery->acts_ms[old] > now_ms))
        old++;
    recovery->act_count -= old;
    memmove(recovery->acts_ms, recovery->acts_ms + old,
            recovery->act_count * sizeof *recovery->acts_ms);
}

/* Whether one more may be taken out; else says why not. */
static bool may_act(struct scale_recovery *recovery, const struct scale_recovery_settings *limits)
{
    long long known = recovery->known, well = recovery->well, failing = recovery->failing;
    long long under_way = count_under_way(recovery);
    double at_once = fmax(1, floor(limits->max_share * (double)recovery->known));
    char *held = recovery->held;
    size_t room = sizeof recovery->held;
    if (failing > 1 && (double)failing > limits->max_failing * (double)known)
        snprintf(held, room,
                 "%lld of %lld instances fail at once (max_failing %g): it is hardly them", failing,
                 known, limits->max_failing);
    else if (failing > SCALE_PATIENTS_MAX)
        snprintf(held, room, "%lld instances fail at once, at most %d are looked after", failing,
                 SCALE_PATIENTS_MAX);
    else if (well < limits->min_healthy)
        snprintf(held, room, "%lld instances are well, min_healthy is %lld", well,
                 (long long)limits->min_healthy);
    else if ((double)under_way >= at_once)
        snprintf(held, room, "%lld are being replaced (max_share %g of %lld)", under_way,
                 limits->max_share, known);
    else if ((int64_t)recovery->act_count >= limits->max_per_hour)
        snprintf(held, room, "%zu were replaced within the hour (max_per_hour)",
                 recovery->act_count);
    else
        return true;
    return false;
}

static void act(struct scale_recovery *recovery, const struct scale_settings *settings,
                int64_t now_ms, struct scale_recovery_news *news)
{
    const struct scale_recovery_settings *limits = &settings->recovery;
    for (size_t i = 0; i < recovery->patient_count && !is_full(news); i++) {
        struct scale_patient *patient = &recovery->patients[i];
        if (patient->state != SCALE_PATIENT_FAILING || !patient->seen ||
            now_ms - patient->since_ms < limits->for_ms || patient->observed ||
            (patient->acted_ms && now_ms - patient->acted_ms < SCALE_RECOVERY_PAUSE_MS))
            continue;
        if (patient->attempts >= limits->attempts) {
            patient->state = SCALE_PATIENT_GIVEN_UP;
            news->given_up++;
            news->changed = true;
            note(news, settings, now_ms, SCALE_AUDIT_OVERDUE, patient,
                 "given up, somebody has to look");
            continue;
        }
        if (!may_act(recovery, limits))
            return;
        if (limits->mode == SCALE_OBSERVE) {
            patient->observed = true;
            news->observed++;
            note(news, settings, now_ms, SCALE_AUDIT_ISOLATED, patient,
                 "would be replaced (mode: observe)");
            continue;
        }
        patient->state = SCALE_PATIENT_UNDER_WAY;
        patient->acted_ms = now_ms;
        patient->well_then = recovery->well;
        patient->attempts++;
        TW_ASSERT(recovery->act_count < SCALE_RECOVERY_ACTS_MAX);
        recovery->acts_ms[recovery->act_count++] = now_ms;
        note(news, settings, now_ms, SCALE_AUDIT_ISOLATED, patient, "is taken out and replaced");
        news->changed = true;
        news->act = (int64_t)i;
        return; /* one at a look: what is known changes with it */
    }
}

void scale_recovery_look(struct scale_recovery *recovery, const struct scale_settings *settings,
                         int64_t now_ms, const struct scale_instance *instances, size_t count,
                         int64_t wanted, int64_t allowed_ms, struct scale_recovery_news *ret)
{
    *ret = (struct scale_recovery_news){.act = -1};
    recovery->held[0] = 0;
    if (!count) {
        snprintf(recovery->held, sizeof recovery->held,
                 "nobody says how the instances are: nothing is taken out");
        return;
    }
    take_in(recovery, now_ms, instances, count);
    follow(recovery, settings, now_ms, instances, count, wanted, allowed_ms, ret);
    forget_acts(recovery, now_ms);
    act(recovery, settings, now_ms, ret);
}

void scale_recovery_fail(struct scale_recovery *recovery, const char *name)
{
    struct scale_patient *patient = find_patient(recovery, tw_str(name));
    if (patient && patient->state == SCALE_PATIENT_UNDER_WAY)
        patient->state = SCALE_PATIENT_FAILING;
}

/* ---- for people ---- */

void scale_recovery_write_json(const struct scale_recovery *recovery,
                               const struct scale_settings *settings, struct tw_json_writer *writer)
{
    static const char *const states[] = {"failing", "under way", "given up"};
    tw_json_key(writer, TW_STR("recovery"));
    if (!recovery || !settings->recovery.instances.size) {
        tw_json_write_null(writer);
        return;
    }
    tw_json_begin_object(writer);
    tw_json_member_cstr(writer, "mode", settings->recovery.mode == SCALE_ACT ? "act" : "observe");
    tw_json_member_str(writer, "query", settings->recovery.instances);
    tw_json_member_int(writer, "instances", recovery->known);
    tw_json_member_int(writer, "well", recovery->well);
    tw_json_member_int(writer, "failing", recovery->failing);
    tw_json_member_int(writer, "acts_last_hour", (int64_t)recovery->act_count);
    tw_json_member_cstr(writer, "held", recovery->held);
    tw_json_key(writer, TW_STR("patients"));
    tw_json_begin_array(writer);
    for (size_t i = 0; i < recovery->patient_count; i++) {
        const struct scale_patient *patient = &recovery->patients[i];
        tw_json_begin_object(writer);
        tw_json_member_cstr(writer, "instance", patient->name);
        tw_json_member_cstr(writer, "state", states[patient->state]);
        tw_json_member_number(writer, "since", (double)patient->since_ms / 1000);
        tw_json_member_int(writer, "attempts", patient->attempts);
        tw_json_end_object(writer);
    }
    tw_json_end_array(writer);
    tw_json_end_object(writer);
}
