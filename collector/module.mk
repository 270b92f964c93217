# SPDX-License-Identifier: Apache-2.0
# collector: L2, sources -> sampler -> batch -> spool -> shipper.
if BUILD_AGENT
noinst_LIBRARIES += %D%/libcollector.a
endif
%C%_libcollector_a_SOURCES = \
	%D%/agent.c %D%/agent.h \
	%D%/capture.c %D%/capture.h \
	%D%/disk.c %D%/disk.h \
	%D%/fields.c %D%/fields.h \
	%D%/filesystem.c %D%/filesystem.h \
	%D%/flow.c %D%/flow.h \
	%D%/host.c %D%/host.h \
	%D%/kernel.c %D%/kernel.h \
	%D%/network.c %D%/network.h \
	%D%/own.c %D%/own.h \
	%D%/privilege.c %D%/privilege.h \
	%D%/procfile.c %D%/procfile.h \
	%D%/roster.c %D%/roster.h \
	%D%/round.c %D%/round.h \
	%D%/sampler.c %D%/sampler.h \
	%D%/scan.c %D%/scan.h \
	%D%/shipper.c %D%/shipper.h \
	%D%/source.h %D%/sources.c \
	%D%/spool.c %D%/spool.h \
	%D%/spool_codec.c %D%/spool_codec.h \
	%D%/table.c %D%/table.h
%C%_libcollector_a_CPPFLAGS = $(AM_CPPFLAGS) $(PCAP_CFLAGS)
