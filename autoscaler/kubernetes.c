/* SPDX-License-Identifier: Apache-2.0
 *
 * kubernetes: the scale subresource (autoscaling/v1) of whatever can be scaled. It is read, changed
 * and put back with the resourceVersion that was read, so that a change of somebody else in between
 * is a conflict (409), after which it is read anew; as the Kubernetes HPA does it.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autoscaler/kubernetes_account.h"
#include "base/http_client.h"

#define ANSWER_BYTES_MAX (4 << 20) /* an object may hold 1.5 MiB, and its managed fields */
#define CONFLICTS_MAX 3

/* A call's way to one API server. */
struct session {
    struct scale_attempt *attempt;
    struct scale_account account;
    struct tw_http_client *client;
    const char *path; /* of the object, from the server on */
};

struct scale_object {
    int64_t wanted, replicas; /* spec.replicas, status.replicas */
    struct tw_str version;    /* metadata.resourceVersion */
};

static const char *make_path(const struct session *session)
{
    const struct scale_target *target = &session->attempt->target;
    bool core = strchr(target->kubernetes.api_version, '/') == NULL; /* "v1" */
    return tw_arena_format(session->attempt->arena, "%s/%s/namespaces/%s/%s/%s",
                           core ? "/api" : "/apis", target->kubernetes.api_version,
                           session->account.space, target->kubernetes.resource,
                           target->kubernetes.name)
        .data;
}

/* What an answer that is no success means, in words that name the cure. */
static void explain(struct session *session, int status, const char *what, struct tw_str message)
{
    struct scale_attempt *attempt = session->attempt;
    const struct scale_target *target = &attempt->target;
    message = tw_str_slice(message, 0, 120);
    if (status == 401) {
        scale_means_drop_token(attempt->means, tw_str(session->account.name));
        scale_attempt_fail(attempt, SCALE_AGAIN,
                           "the API server does not know us (401): look at the token or "
                           "certificate. %.*s",
                           TW_STR_ARG(message));
    } else if (status == 403) {
        scale_attempt_fail(
            attempt, SCALE_AGAIN,
            "not allowed (403): a role has to allow get of %s, and get and update of "
            "%s/scale, in namespace %s. %.*s",
            target->kubernetes.resource, target->kubernetes.resource, session->account.space,
            TW_STR_ARG(message));
    } else if (status == 404) {
        scale_attempt_fail(attempt, SCALE_REFUSED, "there is no %s %s in namespace %s (404)",
                           target->kubernetes.kind, target->kubernetes.name,
                           session->account.space);
    } else {
        bool again = status == 408 || status == 409 || status == 429 || status >= 500;
        scale_attempt_fail(attempt, again ? SCALE_AGAIN : SCALE_REFUSED, "%s answered %d: %.*s",
                           what, status, TW_STR_ARG(message));
    }
}

/* One call; *ret_root is the JSON of a 2xx answer, to be freed. Returns the status, 0 for none. */
static int call(struct session *session, enum tw_http_method method, const char *suffix,
                struct tw_str body, struct tw_json **ret_root)
{
    struct scale_attempt *attempt = session->attempt;
    const struct scale_account *account = &session->account;
    struct tw_http_pair headers[3] = {{TW_STR("Accept"), TW_STR("application/json")}};
    size_t count = 1;
    struct tw_err err = {0};
    struct tw_buf answer;
    if (body.size > 0)
        headers[count++] =
            (struct tw_http_pair){TW_STR("Content-Type"), TW_STR("application/json")};
    if (account->authorization != NULL)
        headers[count++] =
            (struct tw_http_pair){TW_STR("Authorization"), tw_str(account->authorization)};
    tw_buf_init(&answer, ANSWER_BYTES_MAX + 1);
    const char *url =
        tw_arena_format(attempt->arena, "%s%s%s", account->server, session->path, suffix).data;
    const struct tw_http_call request = {.method = method,
                                         .url = url,
                                         .headers = headers,
                                         .header_count = count,
                                         .body = body,
                                         .timeout_ms = attempt->target.timeout_ms,
                                         .answer_bytes_max = ANSWER_BYTES_MAX,
                                         .ret_answer = &answer,
                                         .ca_file = account->ca_file,
                                         .cert_file = account->cert_file,
                                         .key_file = account->key_file};
    int status = 0;
    *ret_root = NULL;
    if (tw_http_client_call(session->client, &request, &status, &attempt->retry_after_ms, &err) !=
        TW_OK) {
        scale_attempt_fail(attempt, SCALE_AGAIN, "%s", err.message);
    } else {
        attempt->http_status = status;
        struct tw_json *root = NULL;
        enum tw_code code = tw_json_parse(tw_buf_str(&answer), &root, &err);
        if (status / 100 == 2 && code == TW_OK) {
            *ret_root = root;
            root = NULL;
        } else if (status / 100 == 2) {
            scale_attempt_fail(attempt, SCALE_AGAIN, "the API server's answer is no JSON: %s",
                               err.message);
            status = 0;
        } else {
            struct tw_str plain = tw_str_trim(tw_buf_str(&answer));
            explain(session, status, "the API server",
                    tw_json_string(code == TW_OK ? tw_json_member(root, "message") : NULL, plain));
        }
        tw_json_free(root);
    }
    tw_buf_fini(&answer);
    return status;
}

/* ---- who leads ---- */

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/%s/leases"

struct lease {
    struct tw_str holder, version, acquired; /* acquired: as it stands there */
    int64_t duration_ms, transitions;
};

/* A metav1.MicroTime. */
static const char *micro_time(struct scale_attempt *attempt)
{
    char text[TW_CLOCK_RFC3339_BYTES];
    tw_clock_format_rfc3339(tw_clock_wall_ms(scale_means_clock(attempt->means)), text);
    size_t size = strlen(text); /* ends with "Z", three digits before */
    return tw_arena_format(attempt->arena, "%.*s000Z", (int)(size - 1), text).data;
}

static void take_lease(struct scale_attempt *attempt, const struct tw_json *root, struct lease *ret)
{
    const struct tw_json *spec = tw_json_member(root, "spec");
    const struct tw_json *metadata = tw_json_member(root, "metadata");
    const struct tw_str none = TW_STR_INIT("");
    ret->holder =
        tw_arena_str(attempt->arena, tw_json_string(tw_json_member(spec, "holderIdentity"), none));
    ret->version = tw_arena_str(attempt->arena,
                                tw_json_string(tw_json_member(metadata, "resourceVersion"), none));
    ret->acquired =
        tw_arena_str(attempt->arena, tw_json_string(tw_json_member(spec, "acquireTime"), none));
    int64_t seconds = tw_json_int(tw_json_member(spec, "leaseDurationSeconds"), 60);
    ret->duration_ms = 1000 * (seconds < 1 ? 1 : seconds > 86400 ? 86400 : seconds);
    ret->transitions = tw_json_int(tw_json_member(spec, "leaseTransitions"), 0);
}

/* Puts it as ours; old NULL: it is new. Returns the status. */
static int write_lease(struct session *session, const char *identity, const struct lease *old)
{
    struct scale_attempt *attempt = session->attempt;
    bool ours = old && tw_str_is(old->holder, identity);
    const char *now = micro_time(attempt);
    struct tw_buf body;
    struct tw_json_writer writer;
    struct tw_json *root = NULL;
    tw_buf_init(&body, 4096);
    tw_json_writer_init(&writer, &body);
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "kind", "Lease");
    tw_json_member_cstr(&writer, "apiVersion", "coordination.k8s.io/v1");
    tw_json_key(&writer, TW_STR("metadata"));
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "name", attempt->target.lease);
    tw_json_member_cstr(&writer, "namespace", session->account.space);
    if (old)
        tw_json_member_str(&writer, "resourceVersion", old->version);
    tw_json_end_object(&writer);
    tw_json_key(&writer, TW_STR("spec"));
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "holderIdentity", identity);
    tw_json_member_int(&writer, "leaseDurationSeconds", attempt->lease_ms / 1000);
    if (ours && old->acquired.size)
        tw_json_member_str(&writer, "acquireTime", old->acquired);
    else
        tw_json_member_cstr(&writer, "acquireTime", now);
    tw_json_member_cstr(&writer, "renewTime", now);
    tw_json_member_int(&writer, "leaseTransitions", old ? old->transitions + !ours : 0);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    int status = call(session, old ? TW_HTTP_PUT : TW_HTTP_POST, "", tw_buf_str(&body), &root);
    tw_json_free(root);
    tw_buf_fini(&body);
    return status;
}

/* Takes or renews the target's Lease. Whether to go on: we lead, or only look. */
static bool lead(struct session *session)
{
    struct scale_attempt *attempt = session->attempt;
    struct tw_clock *clock = scale_means_clock(attempt->means);
    char identity[SCALE_IDENTITY_BYTES], why[SCALE_ERROR_BYTES];
    struct tw_json *root = NULL;
    struct tw_err err;
    struct lease lease;
    if (!attempt->target.lease)
        return true;
    if (scale_lease_identity(scale_means_state(attempt->means), clock, identity, &err) != TW_OK)
        return scale_attempt_stand_by(attempt, err.message);
    const char *object = session->path;
    const char *all = tw_arena_format(attempt->arena, LEASES, session->account.space).data;
    const char *one = tw_arena_format(attempt->arena, "%s/%s", all, attempt->target.lease).data;
    session->path = one;
    int status = call(session, TW_HTTP_GET, "", (struct tw_str){0}, &root);
    bool there = status / 100 == 2;
    bool free = status == 404;
    if (there) {
        take_lease(attempt, root, &lease);
        int64_t now = tw_clock_mono_ns(clock) / 1000000;
        const char *name =
            tw_arena_format(attempt->arena, "%s%s", session->account.server, one).data;
        int64_t age =
            scale_lease_age_ms(scale_means_leases(attempt->means), name, lease.version, now);
        free = !lease.holder.size || tw_str_is(lease.holder, identity) || age >= lease.duration_ms;
        snprintf(why, sizeof why, "standing by: %.*s holds the lease %s",
                 (int)(lease.holder.size < 100 ? lease.holder.size : 100), lease.holder.data,
                 attempt->target.lease);
    } else if (status == 403) {
        scale_attempt_fail(attempt, SCALE_AGAIN,
                           "not allowed (403): a role has to allow get, create and update of "
                           "leases (coordination.k8s.io) in namespace %s",
                           session->account.space);
    }
    tw_json_free(root);
    if (free) {
        session->path = there ? one : all;
        status = write_lease(session, identity, there ? &lease : NULL);
        snprintf(why, sizeof why, "standing by: another server was faster to take the lease %s",
                 attempt->target.lease);
    }
    session->path = object;
    if (there && !free)
        return scale_attempt_stand_by(attempt, why);
    if (free && status == 409) /* another one was faster */
        return scale_attempt_stand_by(attempt, why);
    if (!free || status / 100 != 2)
        return false; /* nobody knows who leads: nothing is done, and the call has said why */
    attempt->lease_known = true;
    attempt->outcome = SCALE_DONE;
    attempt->error[0] = '\0';
    return true;
}

/* ---- the scale ---- */

/* Takes a Scale object apart; a stranger's answer is refused, not guessed at. */
static bool take_scale(struct session *session, const struct tw_json *root,
                       struct scale_object *ret)
{
    struct scale_attempt *attempt = session->attempt;
    const struct tw_json *metadata = tw_json_member(root, "metadata");
    struct tw_str kind = tw_json_string(tw_json_member(root, "kind"), (struct tw_str){0});
    struct tw_str name = tw_json_string(tw_json_member(metadata, "name"), (struct tw_str){0});
    /* spec.replicas of 0 is left out. */
    ret->wanted = tw_json_int(tw_json_member(tw_json_member(root, "spec"), "replicas"), 0);
    ret->replicas = tw_json_int(tw_json_member(tw_json_member(root, "status"), "replicas"), 0);
    ret->version =
        tw_arena_str(attempt->arena, tw_json_string(tw_json_member(metadata, "resourceVersion"),
                                                    (struct tw_str){0}));
    if (!tw_str_is(kind, "Scale") || !tw_str_is(name, attempt->target.kubernetes.name) ||
        ret->wanted < 0 || ret->wanted > SCALE_REPLICAS_MAX || ret->replicas < 0 ||
        ret->replicas > SCALE_REPLICAS_MAX) {
        scale_attempt_fail(attempt, SCALE_REFUSED,
                           "the API server answered no Scale of %s: nothing is changed",
                           attempt->target.kubernetes.name);
        return false;
    }
    return true;
}

static bool get_scale(struct session *session, struct scale_object *ret)
{
    struct tw_json *root = NULL;
    bool took = call(session, TW_HTTP_GET, "/scale", (struct tw_str){0}, &root) / 100 == 2 &&
                take_scale(session, root, ret);
    tw_json_free(root);
    return took;
}

static int put_scale(struct session *session, const struct scale_object *scale)
{
    struct scale_attempt *attempt = session->attempt;
    struct tw_buf body;
    struct tw_json_writer writer;
    struct tw_json *root = NULL;
    tw_buf_init(&body, 4096);
    tw_json_writer_init(&writer, &body);
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "kind", "Scale");
    tw_json_member_cstr(&writer, "apiVersion", "autoscaling/v1");
    tw_json_key(&writer, TW_STR("metadata"));
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "name", attempt->target.kubernetes.name);
    tw_json_member_cstr(&writer, "namespace", session->account.space);
    if (scale->version.size > 0)
        tw_json_member_str(&writer, "resourceVersion", scale->version);
    tw_json_end_object(&writer);
    tw_json_key(&writer, TW_STR("spec"));
    tw_json_begin_object(&writer);
    tw_json_member_int(&writer, "replicas", attempt->to);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    int status =
        call(session, TW_HTTP_PUT, "/scale?fieldManager=tidewatch", tw_buf_str(&body), &root);
    tw_json_free(root);
    tw_buf_fini(&body);
    return status;
}

/* Who serves, where the kind says so (apps/v1); during a rollout old and new count alike. */
static void look_at_object(struct session *session, const struct scale_object *scale)
{
    struct scale_attempt *attempt = session->attempt;
    attempt->replicas = scale->wanted;
    attempt->ready = scale->replicas;
    if (strcmp(attempt->target.kubernetes.api_version, "apps/v1") != 0)
        return;
    struct tw_json *root = NULL;
    attempt->ready = -1;
    if (call(session, TW_HTTP_GET, "", (struct tw_str){0}, &root) / 100 == 2)
        attempt->ready =
            tw_json_int(tw_json_member(tw_json_member(root, "status"), "readyReplicas"), 0);
    if (attempt->ready < 0 || attempt->ready > SCALE_REPLICAS_MAX)
        attempt->ready = -1;
    tw_json_free(root);
}

static void set(struct session *session)
{
    struct scale_attempt *attempt = session->attempt;
    for (int tries = 0; tries <= CONFLICTS_MAX; tries++) {
        struct scale_object scale;
        attempt->outcome = SCALE_DONE;
        attempt->error[0] = '\0';
        if (!get_scale(session, &scale) || scale.wanted == attempt->to)
            return; /* as wanted already: the first answer was lost, or somebody else did it */
        int status = put_scale(session, &scale);
        if (status / 100 == 2 || status != 409)
            return;
    }
}

void scale_kubernetes_run(struct scale_attempt *attempt)
{
    struct session session = {.attempt = attempt};
    struct scale_object scale;
    struct tw_err err = {0};
    if (scale_account_open(attempt->means, &attempt->target, &session.account, &err) != TW_OK) {
        scale_attempt_fail(attempt, SCALE_AGAIN, "%s", err.message);
        return;
    }
    session.client = tw_http_client_new("tidewatchd/" VERSION);
    session.path = make_path(&session);
    bool goes_on = lead(&session);
    if (goes_on && attempt->to >= 0)
        set(&session);
    else if (goes_on && get_scale(&session, &scale))
        look_at_object(&session, &scale);
    tw_http_client_free(session.client);
    scale_account_close(&session.account);
}

/* Names of objects: a-z, 0-9, '-' and '.', and so nothing that means something in a path. */
static bool is_object_name(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size <= 253 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == size && name[0] != '.';
}

/* An eviction rather than a deletion: the API server heeds PodDisruptionBudgets, and answers 429
 * while one forbids it. */
static void evict(struct session *session)
{
    struct scale_attempt *attempt = session->attempt;
    struct tw_buf body;
    struct tw_json_writer writer;
    struct tw_json *root = NULL;
    session->path = tw_arena_format(attempt->arena, "/api/v1/namespaces/%s/pods/%s",
                                    session->account.space, attempt->instance)
                        .data;
    tw_buf_init(&body, 4096);
    tw_json_writer_init(&writer, &body);
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "kind", "Eviction");
    tw_json_member_cstr(&writer, "apiVersion", "policy/v1");
    tw_json_key(&writer, TW_STR("metadata"));
    tw_json_begin_object(&writer);
    tw_json_member_cstr(&writer, "name", attempt->instance);
    tw_json_member_cstr(&writer, "namespace", session->account.space);
    tw_json_end_object(&writer);
    tw_json_end_object(&writer);
    int status = call(session, TW_HTTP_POST, "/eviction", tw_buf_str(&body), &root);
    if (status == 404) { /* it is gone: as wanted */
        attempt->outcome = SCALE_DONE;
        attempt->error[0] = '\0';
    } else if (status == 403) {
        scale_attempt_fail(attempt, SCALE_AGAIN,
                           "not allowed (403): a role has to allow create of pods/eviction in "
                           "namespace %s",
                           session->account.space);
    } else if (status == 429) {
        scale_attempt_fail(attempt, SCALE_AGAIN, "a PodDisruptionBudget forbids it now (429)");
    }
    tw_json_free(root);
    tw_buf_fini(&body);
}

void scale_kubernetes_replace(struct scale_attempt *attempt)
{
    struct session session = {.attempt = attempt};
    struct tw_err err = {0};
    if (!is_object_name(attempt->instance)) {
        scale_attempt_fail(attempt, SCALE_REFUSED,
                           "'%.100s' is no name of a pod: recovery.label has to name the pods",
                           attempt->instance);
        return;
    }
    if (scale_account_open(attempt->means, &attempt->target, &session.account, &err) != TW_OK) {
        scale_attempt_fail(attempt, SCALE_AGAIN, "%s", err.message);
        return;
    }
    session.client = tw_http_client_new("tidewatchd/" VERSION);
    if (lead(&session))
        evict(&session);
    tw_http_client_free(session.client);
    scale_account_close(&session.account);
}
