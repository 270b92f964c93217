/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/str.h"

#define BACKLOG 511
#define HOST_BYTES_MAX 255

struct endpoint {
    char host[HOST_BYTES_MAX + 1]; /* empty: all addresses */
    char port[8];
};

static enum tw_code parse_listen(const char *listen, struct endpoint *ret, struct tw_err *err)
{
    struct tw_str text = tw_str(listen);
    const char *colon = strrchr(listen, ':');
    uint64_t port;
    if (!colon || !tw_uint64_parse(tw_str(colon + 1), &port) || port > 65535)
        return tw_err_set(err, TW_CONFIG,
                          "--listen takes HOST:PORT such as 127.0.0.1:9090 or :9090, not '%s'",
                          listen);
    struct tw_str host = tw_str_slice(text, 0, (size_t)(colon - listen));
    if (tw_str_starts(host, TW_STR("[")) && tw_str_ends(host, TW_STR("]")))
        host = tw_str_slice(host, 1, host.size - 1);
    else if (tw_str_find(host, TW_STR(":")) != SIZE_MAX)
        return tw_err_set(err, TW_CONFIG, "--listen wants an IPv6 address in brackets: [%.*s]%s",
                          TW_STR_ARG(host), colon);
    if (host.size > HOST_BYTES_MAX)
        return tw_err_set(err, TW_CONFIG, "--listen: the host name is too long");
    *ret = (struct endpoint){0};
    snprintf(ret->host, sizeof ret->host, "%.*s", TW_STR_ARG(host));
    snprintf(ret->port, sizeof ret->port, "%u", (unsigned)port);
    return TW_OK;
}

static enum tw_code bind_error(int number, const char *listen, struct tw_err *err)
{
    switch (number) {
    case EADDRINUSE:
        return tw_err_set(err, TW_BUSY,
                          "cannot listen on %s: another program (a Prometheus, perhaps) listens "
                          "there; choose another address with --listen HOST:PORT",
                          listen);
    case EACCES:
        return tw_err_set(
            err, TW_FORBIDDEN,
            "cannot listen on %s: ports below 1024 need root or CAP_NET_BIND_SERVICE; "
            "choose another with --listen HOST:PORT",
            listen);
    case EADDRNOTAVAIL:
        return tw_err_set(err, TW_CONFIG,
                          "cannot listen on %s: this host has no such address; choose another with "
                          "--listen HOST:PORT",
                          listen);
    default:
        return tw_err_errno(err, number, "cannot listen on %s (set by --listen)", listen);
    }
}

static int open_socket(const struct addrinfo *address)
{
    int one = 1, zero = 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int number = errno;
    close(fd);
    errno = number;
    return -1;
}

static void format_address(int fd, char *ret_address)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    char host[DAEMON_ADDRESS_BYTES];
    getsockname(fd, (struct sockaddr *)&bound, &size);
    daemon_listener_host((const struct sockaddr *)&bound, host);
    in_port_t port = bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                 : ((struct sockaddr_in *)&bound)->sin_port;
    snprintf(ret_address, DAEMON_ADDRESS_BYTES, strchr(host, ':') ? "[%.85s]:%u" : "%.87s:%u", host,
             (unsigned)ntohs(port));
}

enum tw_code daemon_listener_open(const char *listen, int *ret_fd, char *ret_address,
                                  struct tw_err *err)
{
    struct endpoint endpoint;
    enum tw_code code = parse_listen(listen, &endpoint, err);
    if (code != TW_OK)
        return code;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    /* All addresses: the IPv6 wildcard takes IPv4 as well, where the host knows IPv6. */
    const char *host = endpoint.host[0] ? endpoint.host : "::";
    int failed = getaddrinfo(host, endpoint.port, &hints, &found);
    if (failed)
        return tw_err_set(err, TW_CONFIG, "cannot listen on %s: %s; set another with --listen",
                          listen, gai_strerror(failed));
    int fd = -1;
    for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next)
        fd = open_socket(at);
    int number = errno;
    freeaddrinfo(found);
    if (fd < 0 && !endpoint.host[0]) {
        struct sockaddr_in any = {.sin_family = AF_INET,
                                  .sin_port = htons((in_port_t)strtoul(endpoint.port, NULL, 10))};
        struct addrinfo address = {
            .ai_family = AF_INET, .ai_addr = (struct sockaddr *)&any, .ai_addrlen = sizeof any};
        if (number != EADDRINUSE && (fd = open_socket(&address)) < 0)
            number = errno;
    }
    if (fd < 0)
        return bind_error(number, listen, err);
    format_address(fd, ret_address);
    *ret_fd = fd;
    return TW_OK;
}

void daemon_listener_host(const struct sockaddr *address, char *ret_text)
{
    ret_text[0] = '\0';
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        inet_ntop(AF_INET, &v4->sin_addr, ret_text, DAEMON_ADDRESS_BYTES);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
            inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], ret_text, DAEMON_ADDRESS_BYTES);
        else
            inet_ntop(AF_INET6, &v6->sin6_addr, ret_text, DAEMON_ADDRESS_BYTES);
    }
}
