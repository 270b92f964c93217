/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "autoscaler/means.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/lock.h"

struct token {
    char *account, *text;
    int64_t until_ms;
};

struct scale_means {
    struct tsdb_state *state;
    struct tw_clock *clock;
    struct scale_leases *leases;
    struct tw_lock lock; /* guards tokens */
    struct token tokens[SCALE_TOKENS_MAX];
    size_t next; /* the one that goes when there is no room */
};

struct scale_means *scale_means_new(struct tsdb_state *state, struct tw_clock *clock)
{
    struct scale_means *means = calloc(1, sizeof *means);
    TW_ASSERT(means != NULL);
    means->state = state;
    means->clock = clock;
    means->leases = scale_leases_new();
    tw_lock_init(&means->lock, TW_RANK_LEAF, "scaler tokens");
    return means;
}

static void empty(struct token *token)
{
    if (token->text != NULL)
        explicit_bzero(token->text, strlen(token->text));
    free(token->account);
    free(token->text);
    *token = (struct token){0};
}

struct scale_means *scale_means_free(struct scale_means *means)
{
    if (means == NULL)
        return NULL;
    for (size_t i = 0; i < SCALE_TOKENS_MAX; i++)
        empty(&means->tokens[i]);
    scale_leases_free(means->leases);
    tw_lock_fini(&means->lock);
    free(means);
    return NULL;
}

struct tw_clock *scale_means_clock(struct scale_means *means)
{
    return means->clock;
}

struct scale_leases *scale_means_leases(struct scale_means *means)
{
    return means->leases;
}

struct tsdb_state *scale_means_state(struct scale_means *means)
{
    return means->state;
}

static struct token *find_locked(struct scale_means *means, struct tw_str account)
{
    tw_lock_assert_held(&means->lock);
    for (size_t i = 0; i < SCALE_TOKENS_MAX; i++)
        if (means->tokens[i].account != NULL && tw_str_is(account, means->tokens[i].account))
            return &means->tokens[i];
    return NULL;
}

char *scale_means_token(struct scale_means *means, struct tw_str account)
{
    tw_lock_take(&means->lock);
    struct token *token = find_locked(means, account);
    char *copy = token != NULL && tw_clock_wall_ms(means->clock) < token->until_ms
                     ? tw_str_dup(tw_str(token->text))
                     : NULL;
    tw_lock_release(&means->lock);
    return copy;
}

void scale_means_keep_token(struct scale_means *means, struct tw_str account, struct tw_str text,
                            int64_t until_ms)
{
    tw_lock_take(&means->lock);
    struct token *token = find_locked(means, account);
    if (token == NULL)
        token = &means->tokens[means->next++ % SCALE_TOKENS_MAX];
    empty(token);
    *token = (struct token){tw_str_dup(account), tw_str_dup(text), until_ms};
    tw_lock_release(&means->lock);
}

void scale_means_drop_token(struct scale_means *means, struct tw_str account)
{
    tw_lock_take(&means->lock);
    struct token *token = find_locked(means, account);
    if (token != NULL)
        empty(token);
    tw_lock_release(&means->lock);
}
