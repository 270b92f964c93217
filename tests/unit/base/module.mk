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
