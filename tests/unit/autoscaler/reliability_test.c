/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/reliability.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/unit.h"

#define STEP_MS 60000

/* "uud-u": up, up, down, unknown, up; of an instance of a job. */
struct past {
    const char *job, *instance, *states;
};

static struct tw_err err;

static void add(struct scale_reliability *reliability, const struct past *pasts, size_t count,
                int64_t start_ms, size_t from, size_t steps)
{
    static struct query_series series[64];
    static struct wire_label labels[64][2];
    static struct query_point points[64][256];
    ck_assert_uint_le(count, 64);
    for (size_t i = 0; i < count; i++) {
        labels[i][0] = (struct wire_label){TW_STR("instance"), tw_str(pasts[i].instance)};
        labels[i][1] = (struct wire_label){TW_STR("job"), tw_str(pasts[i].job)};
        size_t known = 0;
        for (size_t k = from; k < from + steps; k++) {
            char state = pasts[i].states[k];
            if (state == '-')
                continue;
            points[i][known++] =
                (struct query_point){start_ms + (int64_t)k * STEP_MS, state == 'n'   ? NAN
                                                                      : state == 'u' ? 1
                                                                                     : 0};
        }
        series[i] =
            (struct query_series){.labels = {labels[i], 2}, .points = points[i], .count = known};
    }
    const struct query_result result = {.type = QUERY_MATRIX, .series = series, .count = count};
    unit_assert_ok(scale_reliability_add(reliability, &result, start_ms + (int64_t)from * STEP_MS,
                                         start_ms + (int64_t)(from + steps - 1) * STEP_MS, &err),
                   &err);
}

static struct scale_service service_of(const struct past *pasts, size_t count)
{
    struct tw_str by = TW_STR("job");
    struct scale_reliability *reliability = scale_reliability_new(&by, 1, STEP_MS);
    size_t services;
    add(reliability, pasts, count, (int64_t)1000 * STEP_MS, 0, strlen(pasts[0].states));
    const struct scale_service *found = scale_reliability_services(reliability, &services);
    ck_assert_uint_eq(services, 1);
    struct scale_service service = found[0];
    scale_reliability_free(reliability);
    return service;
}

START_TEST(one_outage)
{
    const struct past past = {"web", "a", "uuuuddduuu"};
    struct scale_service service = service_of(&past, 1);
    ck_assert_int_eq(service.failures, 1);
    ck_assert_int_eq(service.repairs, 1);
    ck_assert_double_eq_tol(scale_service_availability(&service), 0.7, 1e-12);
    ck_assert_double_eq_tol(scale_service_mtbf_s(&service), 7 * 60, 1e-9);
    ck_assert_double_eq_tol(scale_service_mttr_s(&service), 3 * 60, 1e-9);
}
END_TEST

START_TEST(what_began_before_or_lasts_has_no_length)
{
    const struct past past = {"web", "a", "dduuduuudd"};
    struct scale_service service = service_of(&past, 1);
    ck_assert_int_eq(service.failures, 2);
    ck_assert_int_eq(service.repairs, 2);
    ck_assert_int_eq(service.outages, 1);
    ck_assert_double_eq_tol(scale_service_mttr_s(&service), 60, 1e-9);
    ck_assert_double_eq_tol(scale_service_availability(&service), 0.5, 1e-12);
}
END_TEST

START_TEST(unknown_counts_for_nothing)
{
    const struct past past = {"web", "a", "u--un-d-du"};
    struct scale_service service = service_of(&past, 1);
    ck_assert_int_eq(service.failures, 1);
    ck_assert_int_eq(service.up_ms, 3 * STEP_MS);
    ck_assert_int_eq(service.down_ms, 2 * STEP_MS);
    ck_assert_int_eq(service.unknown_ms, 5 * STEP_MS);
    ck_assert_int_eq(service.outage_ms, 3 * STEP_MS); /* from the first down to the next up */
}
END_TEST

START_TEST(nothing_to_tell_from_is_not_a_number)
{
    const struct past well = {"web", "a", "uuuu"}, gone = {"web", "a", "----"};
    struct scale_service service = service_of(&well, 1);
    ck_assert_double_eq(scale_service_availability(&service), 1);
    ck_assert(isnan(scale_service_mtbf_s(&service)));
    ck_assert(isnan(scale_service_mttr_s(&service)));
    service = service_of(&gone, 1);
    ck_assert(isnan(scale_service_availability(&service)));
    ck_assert(isnan(scale_service_served(&service)));
    ck_assert_uint_eq(service.instances, 0);
}
END_TEST

START_TEST(a_service_serves_while_one_is_up)
{
    const struct past pasts[] = {{"web", "a", "uudduuudd-"}, {"web", "b", "ddduuuudu-"}};
    struct scale_service service = service_of(pasts, 2);
    ck_assert_uint_eq(service.instances, 2);
    ck_assert_int_eq(service.known_ms, 9 * STEP_MS);
    ck_assert_int_eq(service.served_ms, 7 * STEP_MS);
    ck_assert_double_eq_tol(scale_service_availability(&service), 10.0 / 18, 1e-12);
    ck_assert_int_eq(service.failures, 3);
}
END_TEST

/* However the past is cut, the same comes out; with many instances and services. */
START_TEST(parts_give_what_the_whole_gives)
{
    static const char *const jobs[] = {"a", "b", "c", "d", "e"};
    static char names[60][8], states[60][121];
    struct past pasts[60];
    unsigned random = 1;
    for (size_t i = 0; i < 60; i++) {
        bool up = true;
        snprintf(names[i], sizeof names[i], "i%zu", i);
        for (size_t k = 0; k < 120; k++) {
            random = random * 1103515245 + 12345;
            up = (random >> 16) % 10 ? up : !up;
            states[i][k] = (random >> 16) % 23 == 0 ? '-' : up ? 'u' : 'd';
        }
        pasts[i] = (struct past){jobs[i % 5], names[i], states[i]};
    }
    struct tw_str by = TW_STR("job");
    struct scale_reliability *whole = scale_reliability_new(&by, 1, STEP_MS);
    struct scale_reliability *parts = scale_reliability_new(&by, 1, STEP_MS);
    add(whole, pasts, 60, 0, 0, 120);
    for (size_t from = 0; from < 120; from += 30)
        add(parts, pasts, 60, 0, from, 30);
    size_t a_count, b_count;
    const struct scale_service *a = scale_reliability_services(whole, &a_count);
    const struct scale_service *b = scale_reliability_services(parts, &b_count);
    ck_assert_uint_eq(a_count, 5);
    ck_assert_uint_eq(b_count, 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert(wire_labels_equal(a[i].labels, b[i].labels));
        unit_assert_str(a[i].labels.items[0].value, jobs[i]);
        ck_assert_uint_eq(a[i].instances, 12);
        ck_assert_int_eq(a[i].up_ms, b[i].up_ms);
        ck_assert_int_eq(a[i].down_ms, b[i].down_ms);
        ck_assert_int_eq(a[i].unknown_ms, b[i].unknown_ms);
        ck_assert_int_eq(a[i].served_ms, b[i].served_ms);
        ck_assert_int_eq(a[i].failures, b[i].failures);
        ck_assert_int_eq(a[i].repairs, b[i].repairs);
        ck_assert_int_eq(a[i].outage_ms, b[i].outage_ms);
        ck_assert_int_gt(a[i].failures, 10);
    }
    scale_reliability_free(whole);
    scale_reliability_free(parts);
}
END_TEST

START_TEST(many_instances_are_found_again)
{
    struct scale_reliability *reliability = scale_reliability_new(NULL, 0, STEP_MS);
    static char names[3000][8];
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < 3000; i++) {
            snprintf(names[i], sizeof names[i], "i%zu", i);
            const struct past past = {"web", names[i], "ud"};
            add(reliability, &past, 1, 0, (size_t)round, 1);
        }
    size_t count;
    const struct scale_service *services = scale_reliability_services(reliability, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(services[0].labels.count, 0);
    ck_assert_uint_eq(services[0].instances, 3000);
    ck_assert_int_eq(services[0].failures, 3000);
    scale_reliability_free(reliability);
}
END_TEST

START_TEST(a_number_is_no_series)
{
    struct scale_reliability *reliability = scale_reliability_new(NULL, 0, STEP_MS);
    const struct query_result result = {.type = QUERY_SCALAR};
    ck_assert_int_eq(scale_reliability_add(reliability, &result, 0, STEP_MS, &err), TW_BAD_DATA);
    scale_reliability_free(reliability);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(one_outage),
        UNIT_CASE(what_began_before_or_lasts_has_no_length),
        UNIT_CASE(unknown_counts_for_nothing),
        UNIT_CASE(nothing_to_tell_from_is_not_a_number),
        UNIT_CASE(a_service_serves_while_one_is_up),
        UNIT_CASE(parts_give_what_the_whole_gives),
        UNIT_CASE(many_instances_are_found_again),
        UNIT_CASE(a_number_is_no_series),
        {0},
    };
    return unit_run("autoscaler/reliability", cases);
}
