# SPDX-License-Identifier: Apache-2.0
if BUILD_SERVER
UNIT_TESTS += %D%/budget_test %D%/configuration_test %D%/http_server_test %D%/listener_test \
	%D%/notify_test %D%/params_test %D%/self_test
%C%_budget_test_SOURCES = %D%/budget_test.c
%C%_budget_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_budget_test_LDADD = $(UNIT_LIBS) $(DAEMON_LIBS)
%C%_configuration_test_SOURCES = %D%/configuration_test.c
%C%_configuration_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_configuration_test_LDADD = $(UNIT_LIBS) $(DAEMON_LIBS)
%C%_http_server_test_SOURCES = %D%/http_server_test.c
%C%_http_server_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_http_server_test_LDADD = $(UNIT_LIBS) $(DAEMON_LIBS)
%C%_listener_test_SOURCES = %D%/listener_test.c
%C%_listener_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_listener_test_LDADD = $(UNIT_LIBS) $(DAEMON_LIBS)
%C%_params_test_SOURCES = %D%/params_test.c
%C%_params_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_params_test_LDADD = $(UNIT_LIBS) $(DAEMON_LIBS)
%C%_notify_test_SOURCES = %D%/notify_test.c
%C%_notify_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_notify_test_LDADD = $(UNIT_LIBS) $(DAEMON_LIBS)
%C%_self_test_SOURCES = %D%/self_test.c
%C%_self_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_self_test_LDADD = $(UNIT_LIBS) daemon/libdaemon.a tests/lib/libmemory_storage.a $(DAEMON_LIBS)
endif
