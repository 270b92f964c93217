/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/reliability.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

#define TABLE_FIRST 256

enum state { UNKNOWN, UP, DOWN };

struct instance {
    struct wire_labels labels;
    size_t service;
    enum state known;          /* the last that was known */
    bool began;                /* the outage that lasts was seen to begin */
    int64_t down_since_ms;     /* of it */
    int64_t first_ms, seen_ms; /* first and last step with a sample */
    int64_t up_steps, down_steps;
};

/* Steps of the part at hand, for a service: some instance is up, or known at all. */
struct steps {
    uint8_t *up, *known;
};

struct scale_reliability {
    struct tw_arena *arena;
    struct tw_str by[SCALE_RELIABILITY_LABELS_MAX];
    size_t by_count;
    int64_t step_ms, first_ms, last_ms; /* of all parts; first INT64_MIN = none yet */
    struct instance *instances;
    size_t instance_count, instance_capacity;
    uint32_t *table; /* index + 1 by hash of labels; open addressing */
    size_t table_size;
    struct scale_service *services;
    struct steps *steps; /* as services */
    size_t service_count, service_capacity;
};

struct scale_reliability *scale_reliability_new(const struct tw_str *by, size_t by_count,
                                                int64_t step_ms)
{
    TW_ASSERT(by_count <= SCALE_RELIABILITY_LABELS_MAX && step_ms > 0);
    struct scale_reliability *reliability = calloc(1, sizeof *reliability);
    TW_ASSERT(reliability != NULL);
    reliability->arena = tw_arena_new(4096);
    for (size_t i = 0; i < by_count; i++)
        reliability->by[i] = tw_arena_str(reliability->arena, by[i]);
    reliability->by_count = by_count;
    reliability->step_ms = step_ms;
    reliability->first_ms = INT64_MIN;
    reliability->table_size = TABLE_FIRST;
    reliability->table = calloc(TABLE_FIRST, sizeof *reliability->table);
    TW_ASSERT(reliability->table != NULL);
    return reliability;
}

static void free_steps(struct scale_reliability *reliability)
{
    for (size_t i = 0; i < reliability->service_count; i++) {
        free(reliability->steps[i].up);
        free(reliability->steps[i].known);
        reliability->steps[i] = (struct steps){0};
    }
}

struct scale_reliability *scale_reliability_free(struct scale_reliability *reliability)
{
    if (!reliability)
        return NULL;
    free_steps(reliability);
    free(reliability->steps);
    free(reliability->services);
    free(reliability->instances);
    free(reliability->table);
    tw_arena_free(reliability->arena);
    free(reliability);
    return NULL;
}

/* ---- who is who ---- */

static size_t slot_of(const struct scale_reliability *reliability, struct wire_labels labels)
{
    size_t mask = reliability->table_size - 1, slot = (size_t)wire_labels_hash(labels) & mask;
    while (reliability->table[slot] &&
           !wire_labels_equal(reliability->instances[reliability->table[slot] - 1].labels, labels))
        slot = (slot + 1) & mask;
    return slot;
}

static void grow_table(struct scale_reliability *reliability)
{
    free(reliability->table);
    reliability->table_size *= 2;
    reliability->table = calloc(reliability->table_size, sizeof *reliability->table);
    TW_ASSERT(reliability->table != NULL);
    for (size_t i = 0; i < reliability->instance_count; i++)
        reliability->table[slot_of(reliability, reliability->instances[i].labels)] =
            (uint32_t)(i + 1);
}

static size_t find_service(struct scale_reliability *reliability, struct wire_labels labels)
{
    struct wire_label items[SCALE_RELIABILITY_LABELS_MAX];
    size_t count = 0;
    struct tw_err err;
    for (size_t i = 0; i < reliability->by_count; i++) {
        struct tw_str value = wire_labels_get(labels, reliability->by[i]);
        if (value.size)
            items[count++] = (struct wire_label){reliability->by[i], value};
    }
    enum tw_code code = wire_labels_canonical(items, &count, &err);
    TW_ASSERT(code == TW_OK); /* names were made unique by whoever gave them */
    struct wire_labels service = {items, count};
    for (size_t i = 0; i < reliability->service_count; i++)
        if (wire_labels_equal(reliability->services[i].labels, service))
            return i;
    if (reliability->service_count == reliability->service_capacity) {
        size_t capacity = reliability->service_capacity ? 2 * reliability->service_capacity : 16;
        reliability->services =
            realloc(reliability->services, capacity * sizeof *reliability->services);
        reliability->steps = realloc(reliability->steps, capacity * sizeof *reliability->steps);
        TW_ASSERT(reliability->services && reliability->steps);
        reliability->service_capacity = capacity;
    }
    size_t at = reliability->service_count++;
    reliability->services[at] =
        (struct scale_service){.labels = wire_labels_copy(reliability->arena, service)};
    reliability->steps[at] = (struct steps){0};
    return at;
}

/* NULL when there are too many. */
static struct instance *find_instance(struct scale_reliability *reliability,
                                      struct wire_labels labels)
{
    size_t slot = slot_of(reliability, labels);
    if (reliability->table[slot])
        return &reliability->instances[reliability->table[slot] - 1];
    if (reliability->instance_count == SCALE_RELIABILITY_INSTANCES_MAX)
        return NULL;
    if (reliability->instance_count == reliability->instance_capacity) {
        reliability->instance_capacity =
            reliability->instance_capacity ? 2 * reliability->instance_capacity : 64;
        reliability->instances =
            realloc(reliability->instances,
                    reliability->instance_capacity * sizeof *reliability->instances);
        TW_ASSERT(reliability->instances != NULL);
    }
    size_t at = reliability->instance_count++;
    reliability->instances[at] =
        (struct instance){.labels = wire_labels_copy(reliability->arena, labels),
                          .service = find_service(reliability, labels),
                          .first_ms = INT64_MIN};
    reliability->table[slot] = (uint32_t)(at + 1);
    if (2 * reliability->instance_count > reliability->table_size)
        grow_table(reliability);
    return &reliability->instances[at];
}

/* ---- what happened ---- */

static void see(const struct scale_reliability *reliability, struct instance *instance,
                struct scale_service *service, int64_t at_ms, bool up)
{
    if (instance->first_ms == INT64_MIN)
        instance->first_ms = at_ms;
    instance->seen_ms = at_ms;
    instance->up_steps += up;
    instance->down_steps += !up;
    service->up_ms += up ? reliability->step_ms : 0;
    service->down_ms += up ? 0 : reliability->step_ms;
    if (up && instance->known == DOWN) {
        service->repairs++;
        if (instance->began) {
            service->outages++;
            service->outage_ms += at_ms - instance->down_since_ms;
        }
    }
    if (!up && instance->known != DOWN) {
        instance->began = instance->known == UP;
        instance->down_since_ms = at_ms;
        service->failures += instance->began;
    }
    instance->known = up ? UP : DOWN;
}

static void add_series(struct scale_reliability *reliability, struct instance *instance,
                       const struct query_series *series, int64_t start_ms, size_t steps)
{
    struct scale_service *service = &reliability->services[instance->service];
    struct steps *part = &reliability->steps[instance->service];
    if (!part->up) {
        part->up = calloc(steps, 1);
        part->known = calloc(steps, 1);
        TW_ASSERT(part->up && part->known);
    }
    for (size_t i = 0; i < series->count; i++) {
        const struct query_point *point = &series->points[i];
        size_t step = (size_t)((point->time_ms - start_ms) / reliability->step_ms);
        if (isnan(point->value) || point->time_ms < start_ms || step >= steps)
            continue;
        bool up = point->value > 0;
        see(reliability, instance, service, point->time_ms, up);
        part->known[step] = 1;
        part->up[step] |= up;
    }
}

enum tw_code scale_reliability_add(struct scale_reliability *reliability,
                                   const struct query_result *result, int64_t start_ms,
                                   int64_t end_ms, struct tw_err *err)
{
    size_t steps = (size_t)((end_ms - start_ms) / reliability->step_ms) + 1;
    if (result->type != QUERY_MATRIX)
        return tw_err_set(err, TW_BAD_DATA,
                          "the expression has to give series: one for each instance");
    if (reliability->first_ms == INT64_MIN)
        reliability->first_ms = start_ms;
    reliability->last_ms = end_ms;
    for (size_t i = 0; i < result->count; i++) {
        struct instance *instance = find_instance(reliability, result->series[i].labels);
        if (!instance)
            return tw_err_set(err, TW_LIMIT, "there are more than %d instances: select fewer",
                              SCALE_RELIABILITY_INSTANCES_MAX);
        add_series(reliability, instance, &result->series[i], start_ms, steps);
    }
    for (size_t i = 0; i < reliability->service_count; i++)
        for (size_t k = 0; reliability->steps[i].up && k < steps; k++) {
            reliability->services[i].known_ms +=
                reliability->steps[i].known[k] ? reliability->step_ms : 0;
            reliability->services[i].served_ms +=
                reliability->steps[i].up[k] ? reliability->step_ms : 0;
        }
    free_steps(reliability);
    return TW_OK;
}

static int compare_services(const void *a, const void *b)
{
    return wire_labels_compare(((const struct scale_service *)a)->labels,
                               ((const struct scale_service *)b)->labels);
}

const struct scale_service *scale_reliability_services(struct scale_reliability *reliability,
                                                       size_t *ret_count)
{
    struct scale_service *services = reliability->services;
    for (size_t i = 0; i < reliability->service_count; i++) {
        services[i].instances = 0;
        services[i].unknown_ms = 0;
    }
    for (size_t i = 0; i < reliability->instance_count; i++) {
        const struct instance *instance = &reliability->instances[i];
        struct scale_service *service = &services[instance->service];
        if (instance->first_ms == INT64_MIN)
            continue;
        int64_t steps = (instance->seen_ms - instance->first_ms) / reliability->step_ms + 1;
        service->instances++;
        /* Between its first and last sample: before and after there was no such instance. */
        service->unknown_ms +=
            (steps - instance->up_steps - instance->down_steps) * reliability->step_ms;
    }
    /* Instances know their service by its place: no more can be added after this. */
    if (reliability->service_count > 1)
        qsort(services, reliability->service_count, sizeof *services, compare_services);
    *ret_count = reliability->service_count;
    return services;
}

/* ---- numbers ---- */

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : NAN;
}

double scale_service_availability(const struct scale_service *service)
{
    return share(service->up_ms, service->up_ms + service->down_ms);
}

double scale_service_served(const struct scale_service *service)
{
    return share(service->served_ms, service->known_ms);
}

double scale_service_mtbf_s(const struct scale_service *service)
{
    return share(service->up_ms, 1000 * service->failures);
}

double scale_service_mttr_s(const struct scale_service *service)
{
    return share(service->outage_ms, 1000 * service->outages);
}
