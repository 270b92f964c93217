# SPDX-License-Identifier: Apache-2.0
# Proof of trust: kill -9, failing disks, power cuts. Short in `make check`, long under TW_LONG=1.
# -rdynamic: LMDB's shared library is to find the test's open, write, fsync ... before libc's.
TORTURE_LDADD = $(UNIT_LIBS) tsdb/libtsdb.a wire/libwire.a $(WIRE_LIBS) base/libbase.a \
	$(TSDB_LIBS) $(BASE_LIBS)
TORTURE_DISK = %D%/disk.c %D%/disk.h %D%/workload.c %D%/workload.h \
	tests/lib/histograms.c tests/lib/histograms.h

if BUILD_SERVER
UNIT_TESTS += %D%/kill_test %D%/fault_test %D%/power_cut_test
endif
%C%_kill_test_SOURCES = %D%/kill_test.c tests/unit/tsdb/store.h
%C%_kill_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_kill_test_LDADD = $(TORTURE_LDADD)
%C%_fault_test_SOURCES = %D%/fault_test.c $(TORTURE_DISK)
%C%_fault_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_fault_test_LDFLAGS = $(AM_LDFLAGS) -rdynamic
%C%_fault_test_LDADD = $(TORTURE_LDADD)
%C%_power_cut_test_SOURCES = %D%/power_cut_test.c $(TORTURE_DISK)
%C%_power_cut_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_power_cut_test_LDFLAGS = $(AM_LDFLAGS) -rdynamic
%C%_power_cut_test_LDADD = $(TORTURE_LDADD)
