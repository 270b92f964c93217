# SPDX-License-Identifier: Apache-2.0
BASE_UNIT_LDADD = $(UNIT_LIBS) base/libbase.a $(BASE_LIBS)

UNIT_TESTS += %D%/core_test %D%/number_test %D%/regex_test %D%/file_test
%C%_core_test_SOURCES = %D%/core_test.c
%C%_core_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_core_test_LDADD = $(BASE_UNIT_LDADD)
%C%_number_test_SOURCES = %D%/number_test.c
%C%_number_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_number_test_LDADD = $(BASE_UNIT_LDADD)
%C%_regex_test_SOURCES = %D%/regex_test.c
%C%_regex_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_regex_test_LDADD = $(BASE_UNIT_LDADD)
%C%_file_test_SOURCES = %D%/file_test.c
%C%_file_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_file_test_LDADD = $(BASE_UNIT_LDADD)

UNIT_TESTS += %D%/http_test %D%/command_test %D%/http_client_test %D%/json_test %D%/metrics_test %D%/workers_test \
	%D%/yaml_test
%C%_http_test_SOURCES = %D%/http_test.c
%C%_http_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_http_test_LDADD = $(BASE_UNIT_LDADD)
%C%_command_test_SOURCES = %D%/command_test.c
%C%_command_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_command_test_LDADD = $(BASE_UNIT_LDADD)
%C%_http_client_test_SOURCES = %D%/http_client_test.c
%C%_http_client_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_http_client_test_LDADD = $(BASE_UNIT_LDADD)
%C%_json_test_SOURCES = %D%/json_test.c
%C%_json_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_json_test_LDADD = $(BASE_UNIT_LDADD)
%C%_metrics_test_SOURCES = %D%/metrics_test.c
%C%_metrics_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_metrics_test_LDADD = $(BASE_UNIT_LDADD)
%C%_workers_test_SOURCES = %D%/workers_test.c
%C%_workers_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_workers_test_LDADD = $(BASE_UNIT_LDADD)
%C%_yaml_test_SOURCES = %D%/yaml_test.c
%C%_yaml_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_yaml_test_LDADD = $(BASE_UNIT_LDADD)
