# SPDX-License-Identifier: Apache-2.0
FORECAST_UNIT_LDADD = $(UNIT_LIBS) forecast/libforecast.a base/libbase.a $(BASE_LIBS)
UNIT_TESTS += %D%/holidays_test
%C%_holidays_test_SOURCES = %D%/holidays_test.c
%C%_holidays_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_holidays_test_LDADD = $(FORECAST_UNIT_LDADD)

UNIT_TESTS += %D%/model_test %D%/stack_test %D%/winters_test
%C%_model_test_SOURCES = %D%/model_test.c
%C%_model_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_model_test_LDADD = $(FORECAST_UNIT_LDADD)
%C%_stack_test_SOURCES = %D%/stack_test.c
%C%_stack_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_stack_test_LDADD = $(FORECAST_UNIT_LDADD)
%C%_winters_test_SOURCES = %D%/winters_test.c
%C%_winters_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_winters_test_LDADD = $(FORECAST_UNIT_LDADD)
