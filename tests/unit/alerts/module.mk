# SPDX-License-Identifier: Apache-2.0
ALERTS_UNIT_LDADD = $(UNIT_LIBS) alerts/libalerts.a wire/libwire.a base/libbase.a \
	$(WIRE_LIBS) $(BASE_LIBS)

UNIT_TESTS += %D%/template_test
%C%_template_test_SOURCES = %D%/template_test.c %D%/template_table.h
%C%_template_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_template_test_LDADD = $(ALERTS_UNIT_LDADD)
