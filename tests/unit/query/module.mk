# SPDX-License-Identifier: Apache-2.0
if BUILD_SERVER
QUERY_UNIT_LDADD = query/libquery.a forecast/libforecast.a $(UNIT_LIBS) tests/lib/libmemory_storage.a tsdb/libtsdb.a \
	wire/libwire.a base/libbase.a $(TSDB_LIBS) $(WIRE_LIBS) $(BASE_LIBS)

UNIT_TESTS += %D%/downsampling_test %D%/engine_test %D%/forecast_test %D%/hostile_test %D%/keeper_test \
	%D%/parser_test %D%/fuzzy_test %D%/batch_test \
	%D%/parallel_test %D%/printer_test %D%/range_change_test %D%/running_test
%C%_batch_test_SOURCES = %D%/batch_test.c
%C%_batch_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_batch_test_LDADD = $(QUERY_UNIT_LDADD)
UNIT_TESTS += %D%/answer_test %D%/range_sums_test
%C%_range_sums_test_SOURCES = %D%/range_sums_test.c
%C%_range_sums_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_range_sums_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_answer_test_SOURCES = %D%/answer_test.c
%C%_answer_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_answer_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_downsampling_test_SOURCES = %D%/downsampling_test.c
%C%_downsampling_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_downsampling_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_engine_test_SOURCES = %D%/engine_test.c
%C%_engine_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_engine_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_forecast_test_SOURCES = %D%/forecast_test.c
%C%_forecast_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_forecast_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_hostile_test_SOURCES = %D%/hostile_test.c
%C%_hostile_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_hostile_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_fuzzy_test_SOURCES = %D%/fuzzy_test.c
%C%_fuzzy_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_fuzzy_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_keeper_test_SOURCES = %D%/keeper_test.c
%C%_keeper_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_keeper_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_parser_test_SOURCES = %D%/parser_test.c
%C%_parser_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_parser_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_parallel_test_SOURCES = %D%/parallel_test.c
%C%_parallel_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_parallel_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_printer_test_SOURCES = %D%/printer_test.c
%C%_printer_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_printer_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_range_change_test_SOURCES = %D%/range_change_test.c
%C%_range_change_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_range_change_test_LDADD = $(QUERY_UNIT_LDADD)
%C%_running_test_SOURCES = %D%/running_test.c
%C%_running_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_running_test_LDADD = $(QUERY_UNIT_LDADD)

# Benchmarks: built by hand (make tests/bench/query_bench), run by hand.
EXTRA_PROGRAMS += tests/bench/query_bench tests/bench/keeper_bench
tests_bench_query_bench_SOURCES = tests/bench/query_bench.c
tests_bench_query_bench_LDADD = query/libquery.a forecast/libforecast.a tests/lib/libmemory_storage.a tsdb/libtsdb.a \
	wire/libwire.a base/libbase.a $(TSDB_LIBS) $(WIRE_LIBS) $(BASE_LIBS)
tests_bench_keeper_bench_SOURCES = tests/bench/keeper_bench.c
tests_bench_keeper_bench_LDADD = query/libquery.a forecast/libforecast.a tsdb/libtsdb.a \
	wire/libwire.a base/libbase.a $(TSDB_LIBS) $(WIRE_LIBS) $(BASE_LIBS)
CLEANFILES += tests/bench/query_bench$(EXEEXT) tests/bench/keeper_bench$(EXEEXT)
endif
