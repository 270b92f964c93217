/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/listener.h"

#include <unistd.h>

#include "tests/lib/unit.h"

static const char *const good[] = {"127.0.0.1:0", "localhost:0", ":0"};

START_TEST(opens_what_people_write)
{
    char address[DAEMON_ADDRESS_BYTES];
    struct tw_err err;
    int fd;
    unit_assert_ok(daemon_listener_open(good[_i], &fd, address, &err), &err);
    ck_assert_ptr_nonnull(strrchr(address, ':'));
    ck_assert_str_ne(strrchr(address, ':'), ":0");
    close(fd);
}
END_TEST

START_TEST(says_that_a_port_is_in_use)
{
    char address[DAEMON_ADDRESS_BYTES], second_address[DAEMON_ADDRESS_BYTES];
    struct tw_err err;
    int first, second;
    unit_assert_ok(daemon_listener_open("127.0.0.1:0", &first, address, &err), &err);
    unit_assert_code(daemon_listener_open(address, &second, second_address, &err), TW_BUSY);
    unit_assert_contains(err.message, address);
    unit_assert_contains(err.message, "choose another address with --listen");
    close(first);
}
END_TEST

static const struct {
    const char *listen, *message;
} bad[] = {
    {"", "takes HOST:PORT"},
    {"localhost", "takes HOST:PORT"},
    {"127.0.0.1:http", "takes HOST:PORT"},
    {"127.0.0.1:65536", "takes HOST:PORT"},
    {"::1:9090", "in brackets: [::1]:9090"},
    {"192.0.2.1:0", "--listen"},
    {"no such host:0", "--listen"},
};

START_TEST(names_the_cure)
{
    char address[DAEMON_ADDRESS_BYTES];
    struct tw_err err = {0};
    int fd;
    ck_assert_int_ne(daemon_listener_open(bad[_i].listen, &fd, address, &err), TW_OK);
    unit_assert_contains(err.message, bad[_i].message);
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {
        UNIT_LOOP(opens_what_people_write, 0, sizeof good / sizeof good[0]),
        UNIT_CASE(says_that_a_port_is_in_use),
        UNIT_LOOP(names_the_cure, 0, sizeof bad / sizeof bad[0]),
        {0}};
    return unit_run("daemon/listener", cases);
}
