/* SPDX-License-Identifier: Apache-2.0
 *
 * api: rules and alerts in the JSON of Prometheus's HTTP API.
 */
#include "config.h"

#include "alerts/manager.h"

#include <math.h>
#include <stdlib.h>

#include "alerts/manager_int.h"
#include "alerts/template_value.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/number.h"

#define MATCH_MAX 64 /* match[] parameters of one request */

/* ---- what both answers share ---- */

static void begin_answer(struct tw_http_exchange *exchange, struct tw_json_writer *w)
{
    tw_json_writer_init(w, &exchange->response.body);
    tw_json_begin_object(w);
    tw_json_member_cstr(w, "status", "success");
    tw_json_key(w, TW_STR("data"));
}

static enum tw_http_verdict end_answer(struct tw_http_exchange *exchange, struct tw_json_writer *w)
{
    tw_json_end_object(w);
    if (exchange->response.body.overflow) {
        struct tw_err err;
        tw_err_set(&err, TW_LIMIT, "the answer is too large; ask for one group or rule");
        tw_buf_clear(&exchange->response.body);
        tw_http_error_api(exchange, &err);
    }
    return TW_HTTP_DONE;
}

static void member_time(struct tw_json_writer *w, const char *key, int64_t time_ms)
{
    char text[TW_CLOCK_RFC3339_BYTES];
    if (time_ms == ALERT_TIME_NONE) {
        tw_json_member_cstr(w, key, "0001-01-01T00:00:00Z");
        return;
    }
    tw_clock_format_rfc3339(time_ms, text);
    tw_json_member_cstr(w, key, text);
}

static void write_alert(struct tw_json_writer *w, const struct alert_active_record *record)
{
    const struct wire_labels sets[2] = {record->labels, record->annotations};
    struct tw_buf value;
    tw_buf_init(&value, 64);
    alert_float_format(record->value, 'e', -1, &value);
    tw_json_begin_object(w);
    for (size_t s = 0; s < 2; s++) {
        tw_json_key(w, s == 0 ? TW_STR("labels") : TW_STR("annotations"));
        tw_json_begin_object(w);
        for (size_t i = 0; i < sets[s].count; i++) {
            tw_json_key(w, sets[s].items[i].name);
            tw_json_write_str(w, sets[s].items[i].value);
        }
        tw_json_end_object(w);
    }
    tw_json_member_cstr(w, "state", record->state == ALERT_FIRING ? "firing" : "pending");
    member_time(w, "activeAt", record->active_ms);
    if (record->keep_firing_ms != ALERT_TIME_NONE)
        member_time(w, "keepFiringSince", record->keep_firing_ms);
    tw_json_member_str(w, "value", tw_buf_str(&value));
    tw_json_end_object(w);
    tw_buf_fini(&value);
}

static void write_alerts(struct tw_json_writer *w, const struct alert_rule_run *run)
{
    for (size_t i = 0; i < run->actives.count; i++) {
        const struct alert_active *active = &run->actives.items[i];
        if (active->record.state != ALERT_INACTIVE && (active->changes & ALERT_CHANGE_REMOVE) == 0)
            write_alert(w, &active->record);
    }
}

/* ---- /api/v1/rules ---- */

/* What the parameters of a request let through. */
struct filter {
    const struct tw_http_request *request;
    bool alerts, records, exclude_alerts;
    struct tsdb_selector selectors[MATCH_MAX];
    size_t selector_count;
    size_t group_limit;  /* 0: all groups */
    struct tw_str token; /* of the first group; empty: from the beginning */
};

/* No parameter of the name, or one with this value. */
static bool is_wanted(const struct tw_http_request *request, const char *name, struct tw_str value)
{
    struct tw_str wanted;
    for (size_t i = 0; tw_http_parameter_at(request, name, i, &wanted); i++)
        if (tw_str_equal(wanted, value))
            return true;
    return !tw_http_parameter_at(request, name, 0, &wanted);
}

static struct tw_str rule_label(const struct alert_rule *rule, struct tw_str name)
{
    for (size_t i = 0; i < rule->label_count; i++)
        if (tw_str_equal(rule->labels[i].name, name))
            return rule->labels[i].text;
    return TW_STR("");
}

static bool selectors_match(const struct filter *filter, const struct alert_rule *rule)
{
    for (size_t s = 0; s < filter->selector_count; s++) {
        bool all = true;
        for (size_t i = 0; all && i < filter->selectors[s].count; i++) {
            const struct tsdb_matcher *matcher = &filter->selectors[s].matchers[i];
            all = tsdb_matcher_matches(matcher, rule_label(rule, matcher->name));
        }
        if (all)
            return true;
    }
    return filter->selector_count == 0;
}

static bool rule_wanted(const struct filter *filter, const struct alert_rule *rule)
{
    bool is_alert = rule->kind == ALERT_RULE_ALERT;
    return (is_alert ? filter->alerts : filter->records) &&
           is_wanted(filter->request, "rule_name[]", rule->name) && selectors_match(filter, rule);
}

static void write_texts(struct tw_json_writer *w, const char *key, const struct alert_text *texts,
                        size_t count)
{
    tw_json_key(w, tw_str(key));
    tw_json_begin_object(w);
    for (size_t i = 0; i < count; i++) {
        tw_json_key(w, texts[i].name);
        tw_json_write_str(w, texts[i].text);
    }
    tw_json_end_object(w);
}

static const char *rule_state(const struct alert_rule_run *run)
{
    const char *state = "inactive";
    for (size_t i = 0; i < run->actives.count; i++) {
        if (run->actives.items[i].record.state == ALERT_FIRING)
            return "firing";
        if (run->actives.items[i].record.state == ALERT_PENDING)
            state = "pending";
    }
    return state;
}

static void write_alert_members(struct tw_json_writer *w, const struct filter *filter,
                                const struct alert_rule_run *run)
{
    const struct alert_rule *rule = run->rule;
    tw_json_member_number(w, "duration", (double)rule->for_ms / 1000);
    tw_json_member_number(w, "keepFiringFor", (double)rule->keep_firing_ms / 1000);
    write_texts(w, "labels", rule->labels, rule->label_count);
    write_texts(w, "annotations", rule->annotations, rule->annotation_count);
    tw_json_key(w, TW_STR("alerts"));
    tw_json_begin_array(w);
    if (!filter->exclude_alerts)
        write_alerts(w, run);
    tw_json_end_array(w);
}

static void write_rule(struct tw_json_writer *w, const struct filter *filter,
                       const struct alert_rule_run *run)
{
    static const char *const health[] = {"unknown", "ok", "err"};
    bool is_alert = run->rule->kind == ALERT_RULE_ALERT;
    tw_json_begin_object(w);
    if (is_alert)
        tw_json_member_cstr(w, "state", rule_state(run));
    tw_json_member_str(w, "name", run->rule->name);
    tw_json_member_str(w, "query", run->rule->expr);
    if (is_alert)
        write_alert_members(w, filter, run);
    else if (run->rule->label_count > 0)
        write_texts(w, "labels", run->rule->labels, run->rule->label_count);
    tw_json_member_cstr(w, "health", health[run->health]);
    if (run->error != NULL)
        tw_json_member_cstr(w, "lastError", run->error);
    tw_json_member_number(w, "evaluationTime", run->seconds);
    member_time(w, "lastEvaluation", run->evaluated_ms);
    tw_json_member_cstr(w, "type", is_alert ? "alerting" : "recording");
    tw_json_end_object(w);
}

static bool group_wanted(const struct filter *filter, const struct alert_group_run *run)
{
    if (!is_wanted(filter->request, "rule_group[]", run->group->name) ||
        !is_wanted(filter->request, "file[]", run->group->file))
        return false;
    for (size_t i = 0; i < run->group->count; i++)
        if (rule_wanted(filter, run->rules[i].rule))
            return true;
    return false;
}

static void write_group(struct tw_json_writer *w, const struct filter *filter,
                        const struct alert_group_run *run)
{
    tw_json_begin_object(w);
    tw_json_member_str(w, "name", run->group->name);
    tw_json_member_str(w, "file", run->group->file);
    tw_json_key(w, TW_STR("rules"));
    tw_json_begin_array(w);
    for (size_t i = 0; i < run->group->count; i++)
        if (rule_wanted(filter, run->rules[i].rule))
            write_rule(w, filter, &run->rules[i]);
    tw_json_end_array(w);
    tw_json_member_number(w, "interval", (double)run->interval_ms / 1000);
    tw_json_member_int(w, "limit", run->group->limit);
    tw_json_member_number(w, "evaluationTime", run->seconds);
    member_time(w, "lastEvaluation", run->evaluated_ms);
    tw_json_end_object(w);
}

/* What an answer of some groups only says of the next one; clients give it back as it is. */
static struct tw_str group_token(struct tw_arena *arena, const struct alert_rule_group *group)
{
    uint64_t hash = tw_hash64_seeded(group->name.data, group->name.size,
                                     tw_hash64(group->file.data, group->file.size));
    return tw_arena_format(arena, "%016llx", (unsigned long long)hash);
}

static enum tw_code read_page(const struct tw_http_request *request, struct filter *filter,
                              struct tw_err *err)
{
    struct tw_str limit = TW_STR("");
    int64_t count = 0;
    tw_http_parameter(request, "group_limit", &limit);
    tw_http_parameter(request, "group_next_token", &filter->token);
    if (limit.size == 0 && filter->token.size > 0)
        return tw_err_set(err, TW_BAD_DATA,
                          "invalid parameter \"group_next_token\": group_limit needs to be present "
                          "in order to paginate over the groups");
    if (limit.size == 0)
        return TW_OK;
    if (!tw_int64_parse(limit, &count))
        return tw_err_set(err, TW_BAD_DATA,
                          "invalid parameter \"group_limit\": group_limit needs to be a valid "
                          "number, not \"%.*s\"",
                          TW_STR_ARG(limit));
    if (count <= 0)
        return tw_err_set(
            err, TW_BAD_DATA,
            "invalid parameter \"group_limit\": group_limit needs to be greater than 0");
    filter->group_limit = (size_t)count;
    return TW_OK;
}

/* Where the page begins. */
static enum tw_code find_page(struct tw_arena *arena, const struct filter *filter,
                              const struct alert_rule_set *set, size_t *ret_first,
                              struct tw_err *err)
{
    *ret_first = 0;
    if (filter->token.size == 0)
        return TW_OK;
    for (; set && *ret_first < set->group_count; ++*ret_first)
        if (tw_str_equal(group_token(arena, set->groups[*ret_first].group), filter->token))
            return TW_OK;
    return tw_err_set(
        err, TW_BAD_DATA,
        "invalid parameter \"group_next_token\": invalid group_next_token '%.*s'. were "
        "rule groups changed?",
        TW_STR_ARG(filter->token));
}

static enum tw_code read_match(struct tw_http_exchange *exchange, struct filter *filter,
                               struct tw_err *err)
{
    struct tw_str text;
    for (size_t i = 0; tw_http_parameter_at(&exchange->request, "match[]", i, &text); i++) {
        struct tsdb_matcher *matchers = NULL;
        size_t count = 0;
        if (i >= MATCH_MAX)
            return tw_err_set(err, TW_BAD_DATA, "more than %d match[] parameters", MATCH_MAX);
        enum tw_code code = query_parse_match(text, exchange->arena, &matchers, &count, err);
        if (code != TW_OK)
            return code;
        filter->selectors[filter->selector_count++] = (struct tsdb_selector){matchers, count};
    }
    return TW_OK;
}

static void free_match(struct filter *filter)
{
    for (size_t s = 0; s < filter->selector_count; s++) {
        union {
            const struct tsdb_matcher *shared;
            struct tsdb_matcher *own;
        } matchers = {.shared = filter->selectors[s].matchers};
        for (size_t i = 0; i < filter->selectors[s].count; i++)
            tsdb_matcher_fini(&matchers.own[i]);
    }
}

/* What Go's ParseBool takes. */
static bool parse_switch(struct tw_str text, bool *ret)
{
    static const char *const words[] = {"0", "f", "F", "FALSE", "false", "False",
                                        "1", "t", "T", "TRUE",  "true",  "True"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!tw_str_is(text, words[i]))
            continue;
        *ret = i >= 6;
        return true;
    }
    return false;
}

static enum tw_code read_filter(struct tw_http_exchange *exchange, struct filter *filter,
                                struct tw_err *err)
{
    struct tw_str type = TW_STR(""), exclude = TW_STR("");
    tw_http_parameter(&exchange->request, "type", &type);
    tw_http_parameter(&exchange->request, "exclude_alerts", &exclude);
    filter->request = &exchange->request;
    filter->alerts = type.size == 0 || tw_str_is(type, "alert");
    filter->records = type.size == 0 || tw_str_is(type, "record");
    if (!filter->alerts && !filter->records)
        return tw_err_set(err, TW_BAD_DATA,
                          "invalid parameter \"type\": not supported value \"%.*s\"",
                          TW_STR_ARG(type));
    if (exclude.size > 0 && !parse_switch(exclude, &filter->exclude_alerts))
        return tw_err_set(err, TW_BAD_DATA,
                          "invalid parameter \"exclude_alerts\": error converting exclude_alerts: "
                          "strconv.ParseBool: parsing \"%.*s\": invalid syntax",
                          TW_STR_ARG(exclude));
    if (read_page(&exchange->request, filter, err) != TW_OK)
        return err->code;
    return read_match(exchange, filter, err);
}

static void write_groups(struct tw_http_exchange *exchange, const struct filter *filter,
                         const struct alert_rule_set *set, size_t first, struct tw_json_writer *w)
{
    struct tw_str next = {0};
    size_t written = 0;
    tw_json_begin_object(w);
    tw_json_key(w, TW_STR("groups"));
    tw_json_begin_array(w);
    for (size_t i = first; set && i < set->group_count && next.size == 0; i++) {
        if (!group_wanted(filter, &set->groups[i]))
            continue;
        if (filter->group_limit && written++ == filter->group_limit)
            next = group_token(exchange->arena, set->groups[i].group);
        else
            write_group(w, filter, &set->groups[i]);
    }
    tw_json_end_array(w);
    if (next.size > 0)
        tw_json_member_str(w, "groupNextToken", next);
    tw_json_end_object(w);
}

static enum tw_http_verdict answer_rules(void *user, struct tw_http_exchange *exchange)
{
    struct alert_manager *manager = user;
    struct filter *filter = TW_ARENA_NEW(exchange->arena, struct filter);
    struct tw_json_writer w;
    struct tw_err err;
    if (read_filter(exchange, filter, &err) != TW_OK) {
        free_match(filter);
        tw_http_error_api(exchange, &err);
        return TW_HTTP_DONE;
    }
    struct alert_evaluator *evaluator = alert_manager_evaluator(manager);
    const struct alert_rule_set *set = alert_evaluator_view(evaluator);
    size_t first;
    enum tw_code code = find_page(exchange->arena, filter, set, &first, &err);
    if (code == TW_OK) {
        begin_answer(exchange, &w);
        write_groups(exchange, filter, set, first, &w);
    }
    alert_evaluator_unview(evaluator);
    free_match(filter);
    if (code == TW_OK)
        return end_answer(exchange, &w);
    tw_http_error_api(exchange, &err);
    return TW_HTTP_DONE;
}

/* ---- /api/v1/alerts, /api/v1/alertmanagers ---- */

static enum tw_http_verdict answer_alerts(void *user, struct tw_http_exchange *exchange)
{
    struct alert_manager *manager = user;
    struct tw_json_writer w;
    begin_answer(exchange, &w);
    tw_json_begin_object(&w);
    tw_json_key(&w, TW_STR("alerts"));
    tw_json_begin_array(&w);
    struct alert_evaluator *evaluator = alert_manager_evaluator(manager);
    const struct alert_rule_set *set = alert_evaluator_view(evaluator);
    for (size_t i = 0; set != NULL && i < set->group_count; i++)
        for (size_t k = 0; k < set->groups[i].group->count; k++)
            write_alerts(&w, &set->groups[i].rules[k]);
    alert_evaluator_unview(evaluator);
    tw_json_end_array(&w);
    tw_json_end_object(&w);
    return end_answer(exchange, &w);
}

static void write_peer(void *user, const char *url)
{
    struct tw_json_writer *w = user;
    tw_json_begin_object(w);
    tw_json_member_cstr(w, "url", url);
    tw_json_end_object(w);
}

static enum tw_http_verdict answer_peers(void *user, struct tw_http_exchange *exchange)
{
    struct alert_manager *manager = user;
    struct tw_json_writer w;
    begin_answer(exchange, &w);
    tw_json_begin_object(&w);
    tw_json_key(&w, TW_STR("activeAlertmanagers"));
    tw_json_begin_array(&w);
    alert_manager_each_peer(manager, write_peer, &w);
    tw_json_end_array(&w);
    tw_json_key(&w, TW_STR("droppedAlertmanagers"));
    tw_json_begin_array(&w);
    tw_json_end_array(&w);
    tw_json_end_object(&w);
    return end_answer(exchange, &w);
}

void alert_api_route(struct tw_http_router *router, struct alert_manager *manager)
{
    tw_http_route(router, TW_HTTP_GET, "/api/v1/rules", TW_HTTP_WORKER, answer_rules, manager);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/alerts", TW_HTTP_WORKER, answer_alerts, manager);
    tw_http_route(router, TW_HTTP_GET, "/api/v1/alertmanagers", TW_HTTP_INLINE, answer_peers,
                  manager);
}
