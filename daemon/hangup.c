/* SPDX-License-Identifier: Apache-2.0
 *
 * An epoll set of the sockets watched. An event carries a ticket, slot number and generation,
 * rather than an address: by the time it is read, its request may be over and the slot another's.
 */
#include "config.h"

#include "daemon/hangup.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/lock.h"
#include "base/thread.h"

#define HANGUP_MAGIC 0x48414e47u
#define EVENTS_MAX 16
#define STOP_TICKET 0 /* no slot has it: generations start at 1 */

struct slot {
    uint32_t generation;
    uint32_t next_free; /* index + 1; 0 ends the list */
    int fd;
    struct tw_context *context; /* NULL while free */
};

struct daemon_hangup {
    unsigned magic;
    int epoll_fd, stop_fd;
    struct tw_thread thread;
    struct tw_lock lock; /* guards slots and what their contexts point to */
    struct slot *slots;
    size_t count, capacity;
    uint32_t first_free; /* index + 1 */
};

static struct slot *find_slot_locked(struct daemon_hangup *hangup, uint64_t ticket)
{
    size_t index = (size_t)(ticket & UINT32_MAX);
    tw_lock_assert_held(&hangup->lock);
    if (index >= hangup->count)
        return NULL;
    struct slot *slot = &hangup->slots[index];
    return slot->context && slot->generation == ticket >> 32 ? slot : NULL;
}

static void watch_sockets(void *argument)
{
    struct daemon_hangup *hangup = argument;
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(hangup->epoll_fd, events, EVENTS_MAX, -1);
        if (count < 0) {
            TW_ASSERT(errno == EINTR);
            continue;
        }
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == STOP_TICKET)
                return;
            tw_lock_take(&hangup->lock);
            struct slot *slot = find_slot_locked(hangup, events[i].data.u64);
            if (slot)
                tw_context_cancel(slot->context);
            tw_lock_release(&hangup->lock);
        }
    }
}

enum tw_code daemon_hangup_start(struct daemon_hangup **ret, struct tw_err *err)
{
    struct daemon_hangup *hangup = calloc(1, sizeof *hangup);
    TW_ASSERT(hangup != NULL);
    hangup->magic = HANGUP_MAGIC;
    tw_lock_init(&hangup->lock, TW_RANK_LEAF, "hangup");
    hangup->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    hangup->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = STOP_TICKET};
    enum tw_code code = TW_OK;
    if (hangup->epoll_fd < 0 || hangup->stop_fd < 0 ||
        epoll_ctl(hangup->epoll_fd, EPOLL_CTL_ADD, hangup->stop_fd, &event) < 0)
        code = tw_err_errno(err, errno, "watching for clients that hang up");
    if (code == TW_OK)
        code = tw_thread_start(&hangup->thread, "hangup", watch_sockets, hangup, err);
    if (code != TW_OK)
        daemon_hangup_stop(hangup);
    else
        *ret = hangup;
    return code;
}

struct daemon_hangup *daemon_hangup_stop(struct daemon_hangup *hangup)
{
    if (!hangup)
        return NULL;
    TW_CHECK_MAGIC(hangup, HANGUP_MAGIC);
    if (hangup->thread.running) {
        uint64_t one = 1;
        ssize_t written = write(hangup->stop_fd, &one, sizeof one);
        TW_ASSERT(written == sizeof one);
        tw_thread_join(&hangup->thread);
    }
    if (hangup->epoll_fd >= 0)
        close(hangup->epoll_fd);
    if (hangup->stop_fd >= 0)
        close(hangup->stop_fd);
    tw_lock_fini(&hangup->lock);
    free(hangup->slots);
    hangup->magic = 0;
    free(hangup);
    return NULL;
}

static size_t take_slot_locked(struct daemon_hangup *hangup)
{
    if (hangup->first_free) {
        size_t index = hangup->first_free - 1;
        hangup->first_free = hangup->slots[index].next_free;
        return index;
    }
    if (hangup->count == hangup->capacity) {
        hangup->capacity = hangup->capacity ? hangup->capacity * 2 : 16;
        hangup->slots = realloc(hangup->slots, hangup->capacity * sizeof *hangup->slots);
        TW_ASSERT(hangup->slots != NULL);
    }
    hangup->slots[hangup->count] = (struct slot){0};
    return hangup->count++;
}

uint64_t daemon_hangup_watch(struct daemon_hangup *hangup, int fd, struct tw_context *context)
{
    TW_CHECK_MAGIC(hangup, HANGUP_MAGIC);
    tw_lock_take(&hangup->lock);
    size_t index = take_slot_locked(hangup);
    struct slot *slot = &hangup->slots[index];
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->fd = fd;
    slot->context = context;
    uint64_t ticket = (uint64_t)slot->generation << 32 | index;
    /* Edge-triggered: one word when the peer goes, none for what it sends meanwhile. */
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.u64 = ticket};
    if (epoll_ctl(hangup->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        slot->context = NULL;
        slot->next_free = hangup->first_free;
        hangup->first_free = (uint32_t)index + 1;
        ticket = 0;
    }
    tw_lock_release(&hangup->lock);
    return ticket;
}

void daemon_hangup_forget(struct daemon_hangup *hangup, uint64_t ticket)
{
    TW_CHECK_MAGIC(hangup, HANGUP_MAGIC);
    if (!ticket)
        return;
    tw_lock_take(&hangup->lock);
    struct slot *slot = find_slot_locked(hangup, ticket);
    TW_ASSERT(slot != NULL);
    epoll_ctl(hangup->epoll_fd, EPOLL_CTL_DEL, slot->fd, NULL);
    slot->context = NULL;
    slot->next_free = hangup->first_free;
    hangup->first_free = (uint32_t)(ticket & UINT32_MAX) + 1;
    tw_lock_release(&hangup->lock);
}
