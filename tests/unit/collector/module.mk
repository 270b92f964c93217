# SPDX-License-Identifier: Apache-2.0
if BUILD_AGENT
COLLECTOR_UNIT_LDADD = $(UNIT_LIBS) collector/libcollector.a wire/libwire.a base/libbase.a \
	$(PCAP_LIBS) $(WIRE_LIBS) $(BASE_LIBS)

UNIT_TESTS += %D%/sampler_test %D%/spool_test %D%/flow_test
%C%_sampler_test_SOURCES = %D%/sampler_test.c
%C%_sampler_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_sampler_test_LDADD = $(COLLECTOR_UNIT_LDADD)
%C%_spool_test_SOURCES = %D%/spool_test.c
%C%_spool_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_spool_test_LDADD = $(COLLECTOR_UNIT_LDADD)
%C%_flow_test_SOURCES = %D%/flow_test.c
%C%_flow_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_flow_test_LDADD = $(COLLECTOR_UNIT_LDADD)
endif
