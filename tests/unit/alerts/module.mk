# SPDX-License-Identifier: Apache-2.0
ALERTS_UNIT_LDADD = alerts/libalerts.a $(UNIT_LIBS) tests/lib/libmemory_storage.a query/libquery.a forecast/libforecast.a tsdb/libtsdb.a wire/libwire.a base/libbase.a \
	$(TSDB_LIBS) $(WIRE_LIBS) $(BASE_LIBS)
# The query engine of these answers what a test says.
ALERTS_WORLD = %D%/world.c %D%/world.h

if BUILD_SERVER
UNIT_TESTS += %D%/engine_test %D%/manager_test %D%/record_test %D%/routing_test %D%/rule_test %D%/template_test
%C%_engine_test_SOURCES = %D%/engine_test.c
%C%_engine_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_engine_test_LDADD = alerts/libalerts.a $(UNIT_LIBS) tests/lib/libmemory_storage.a \
	query/libquery.a forecast/libforecast.a tsdb/libtsdb.a wire/libwire.a base/libbase.a \
	$(TSDB_LIBS) $(WIRE_LIBS) $(BASE_LIBS)
%C%_manager_test_SOURCES = %D%/manager_test.c $(ALERTS_WORLD)
%C%_manager_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_manager_test_LDADD = $(ALERTS_UNIT_LDADD)
%C%_record_test_SOURCES = %D%/record_test.c
%C%_record_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_record_test_LDADD = $(ALERTS_UNIT_LDADD)
%C%_routing_test_SOURCES = %D%/routing_test.c
%C%_routing_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_routing_test_LDADD = $(ALERTS_UNIT_LDADD)
%C%_rule_test_SOURCES = %D%/rule_test.c $(ALERTS_WORLD)
%C%_rule_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_rule_test_LDADD = $(ALERTS_UNIT_LDADD)
%C%_template_test_SOURCES = %D%/template_test.c %D%/template_table.h
%C%_template_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_template_test_LDADD = $(ALERTS_UNIT_LDADD)
endif
