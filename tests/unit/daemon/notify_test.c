/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lib/unit.h"

START_TEST(sends_to_the_socket)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = 5};
    char got[64] = "";
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", unit_folder());
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    daemon_notify("READY=1");
    ck_assert_int_eq(recv(fd, got, sizeof got - 1, 0), 7);
    ck_assert_str_eq(got, "READY=1");
    close(fd);
    daemon_notify("STOPPING=1"); /* nobody listens any more */
    unsetenv("NOTIFY_SOCKET");
    daemon_notify("READY=1");
}
END_TEST

START_TEST(knows_the_watchdog)
{
    char pid[32];
    unsetenv("WATCHDOG_USEC");
    ck_assert_int_eq(daemon_notify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "60000000", 1);
    unsetenv("WATCHDOG_PID");
    ck_assert_int_eq(daemon_notify_watchdog_ms(), 30000);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    ck_assert_int_eq(daemon_notify_watchdog_ms(), 30000);
    setenv("WATCHDOG_PID", "1", 1); /* meant for another process */
    ck_assert_int_eq(daemon_notify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "soon", 1);
    ck_assert_int_eq(daemon_notify_watchdog_ms(), 0);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_CASE(sends_to_the_socket), UNIT_CASE(knows_the_watchdog), {0}};
    return unit_run("daemon/notify", cases);
}
