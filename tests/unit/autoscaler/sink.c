/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/unit/autoscaler/sink.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"

enum { REQUESTS_MAX = 4096, REQUEST_BYTES_MAX = 16384 };

struct sink {
    int listener, port;
    pthread_t thread;
    pthread_mutex_t mutex;
    int status;
    size_t count;
    char *requests[REQUESTS_MAX];
};

/* Reads a request up to the end of its body; false when the connection ended before. */
static bool read_request(int fd, char *text)
{
    size_t size = 0;
    for (;;) {
        text[size] = 0;
        char *end = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "Content-Length: ");
        if (end && length &&
            size >=
                (size_t)(end + 4 - text) + strtoul(length + strlen("Content-Length: "), NULL, 10))
            return true;
        ssize_t got =
            size + 1 < REQUEST_BYTES_MAX ? read(fd, text + size, REQUEST_BYTES_MAX - 1 - size) : 0;
        if (got <= 0)
            return false;
        size += (size_t)got;
    }
}

static void *serve(void *argument)
{
    struct sink *sink = argument;
    for (;;) {
        int fd = accept(sink->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        char *text = calloc(1, REQUEST_BYTES_MAX);
        TW_ASSERT(text != NULL);
        if (!read_request(fd, text)) {
            free(text);
            close(fd);
            continue;
        }
        pthread_mutex_lock(&sink->mutex);
        int status = sink->status;
        TW_ASSERT(sink->count < REQUESTS_MAX);
        sink->requests[sink->count++] = text;
        pthread_mutex_unlock(&sink->mutex);
        char answer[128];
        int size =
            snprintf(answer, sizeof answer,
                     "HTTP/1.1 %d X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", status);
        ssize_t written = write(fd, answer, (size_t)size);
        (void)written;
        close(fd);
    }
}

struct sink *sink_new(void)
{
    struct sink *sink = calloc(1, sizeof *sink);
    TW_ASSERT(sink != NULL);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    sink->listener = socket(AF_INET, SOCK_STREAM, 0);
    TW_ASSERT(bind(sink->listener, (struct sockaddr *)&address, sizeof address) == 0);
    TW_ASSERT(listen(sink->listener, 16) == 0);
    TW_ASSERT(getsockname(sink->listener, (struct sockaddr *)&address, &size) == 0);
    sink->port = ntohs(address.sin_port);
    sink->status = 200;
    pthread_mutex_init(&sink->mutex, NULL);
    TW_ASSERT(pthread_create(&sink->thread, NULL, serve, sink) == 0);
    return sink;
}

struct sink *sink_free(struct sink *sink)
{
    shutdown(sink->listener, SHUT_RDWR); /* ends accept() */
    pthread_join(sink->thread, NULL);
    close(sink->listener);
    for (size_t i = 0; i < sink->count; i++)
        free(sink->requests[i]);
    pthread_mutex_destroy(&sink->mutex);
    free(sink);
    return NULL;
}

int sink_port(const struct sink *sink)
{
    return sink->port;
}

void sink_set_status(struct sink *sink, int status)
{
    pthread_mutex_lock(&sink->mutex);
    sink->status = status;
    pthread_mutex_unlock(&sink->mutex);
}

size_t sink_count(struct sink *sink)
{
    pthread_mutex_lock(&sink->mutex);
    size_t count = sink->count;
    pthread_mutex_unlock(&sink->mutex);
    return count;
}

const char *sink_request(struct sink *sink, size_t n)
{
    pthread_mutex_lock(&sink->mutex);
    TW_ASSERT(n < sink->count);
    const char *request = sink->requests[n];
    pthread_mutex_unlock(&sink->mutex);
    return request;
}
