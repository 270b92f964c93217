/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

/* Enough for all of ours, and small enough that idle threads cost little address space. */
#define STACK_BYTES ((size_t)1 << 20)

struct start {
    void (*body)(void *argument);
    void *argument;
    char name[16];
};

static _Thread_local char thread_name[16] = "main";

const char *tw_thread_name(void)
{
    return thread_name;
}

static void *run(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    snprintf(thread_name, sizeof thread_name, "%s", start.name);
    pthread_setname_np(pthread_self(), thread_name);
    start.body(start.argument);
    return NULL;
}

enum tw_code tw_thread_start(struct tw_thread *thread, const char *name,
                             void (*body)(void *argument), void *argument, struct tw_err *err)
{
    TW_ASSERT(!thread->running);
    struct start *start = malloc(sizeof *start);
    TW_ASSERT(start != NULL);
    start->body = body;
    start->argument = argument;
    snprintf(start->name, sizeof start->name, "%s", name);

    /* The main thread alone takes signals; a new thread inherits this mask. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
#if !TW_SANITIZED
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
#endif
    int failed = pthread_create(&thread->thread, &attributes, run, start);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        free(start);
        return tw_err_errno(err, failed, "starting thread '%s'", name);
    }
    thread->running = true;
    return TW_OK;
}

void tw_thread_join(struct tw_thread *thread)
{
    if (!thread->running)
        return;
    int failed = pthread_join(thread->thread, NULL);
    TW_ASSERT(!failed);
    thread->running = false;
}
