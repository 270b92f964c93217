# SPDX-License-Identifier: Apache-2.0
WIRE_UNIT_LDADD = $(UNIT_LIBS) wire/libwire.a base/libbase.a $(WIRE_LIBS) $(BASE_LIBS)

UNIT_TESTS += %D%/remote_read_test
%C%_remote_read_test_SOURCES = %D%/remote_read_test.c tests/lib/histograms.c tests/lib/histograms.h
%C%_remote_read_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_remote_read_test_LDADD = $(WIRE_UNIT_LDADD)
UNIT_TESTS += %D%/histogram_test %D%/labels_test %D%/snappy_test %D%/remote_write_test %D%/zstd_test
%C%_labels_test_SOURCES = %D%/labels_test.c
%C%_labels_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_labels_test_LDADD = $(WIRE_UNIT_LDADD)
%C%_snappy_test_SOURCES = %D%/snappy_test.c
%C%_snappy_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_snappy_test_LDADD = $(WIRE_UNIT_LDADD)
%C%_zstd_test_SOURCES = %D%/zstd_test.c
%C%_zstd_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_zstd_test_LDADD = $(WIRE_UNIT_LDADD)
%C%_remote_write_test_SOURCES = %D%/remote_write_test.c \
	tests/fuzz/remote_write_fuzz.c tests/fuzz/remote_write_fuzz.h
%C%_remote_write_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_remote_write_test_LDADD = $(WIRE_UNIT_LDADD)
%C%_histogram_test_SOURCES = %D%/histogram_test.c tests/lib/histograms.c tests/lib/histograms.h \
	tests/fuzz/histogram_fuzz.c tests/fuzz/histogram_fuzz.h
%C%_histogram_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_histogram_test_LDADD = $(WIRE_UNIT_LDADD)

# Benchmark: built by hand (make tests/bench/wire_bench), run by hand.
EXTRA_PROGRAMS += tests/bench/wire_bench
tests_bench_wire_bench_SOURCES = tests/bench/wire_bench.c
tests_bench_wire_bench_LDADD = wire/libwire.a $(WIRE_LIBS) base/libbase.a $(BASE_LIBS)
