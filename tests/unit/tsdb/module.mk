# SPDX-License-Identifier: Apache-2.0
TSDB_UNIT_LDADD = $(UNIT_LIBS) tsdb/libtsdb.a wire/libwire.a $(WIRE_LIBS) base/libbase.a \
	$(TSDB_LIBS) $(BASE_LIBS)

if BUILD_SERVER
UNIT_TESTS += %D%/codec_test %D%/damage_test %D%/db_test %D%/delete_test %D%/format_test %D%/generation_test %D%/head_test %D%/model_test %D%/receiver_test %D%/rewrite_test %D%/state_test %D%/threads_test
UNIT_TESTS += %D%/names_test
UNIT_TESTS += %D%/page_test
UNIT_TESTS += %D%/exemplar_test
UNIT_TESTS += %D%/histogram_test %D%/histogram_store_test
UNIT_TESTS += %D%/verify_test
UNIT_TESTS += %D%/partition_map_test
UNIT_TESTS += %D%/room_test %D%/snapshot_test %D%/open_damage_test %D%/pace_test
endif
%C%_codec_test_SOURCES = %D%/codec_test.c
%C%_codec_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_codec_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_damage_test_SOURCES = %D%/damage_test.c %D%/store.h
%C%_damage_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_damage_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_db_test_SOURCES = %D%/db_test.c %D%/store.h
%C%_db_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_db_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_delete_test_SOURCES = %D%/delete_test.c %D%/store.h
%C%_delete_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_delete_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_exemplar_test_SOURCES = %D%/exemplar_test.c %D%/store.h
%C%_exemplar_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_exemplar_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_format_test_SOURCES = %D%/format_test.c %D%/store.h
%C%_format_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_format_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_histogram_test_SOURCES = %D%/histogram_test.c tests/lib/histograms.c tests/lib/histograms.h \
	tests/fuzz/histogram_chunk_fuzz.c tests/fuzz/histogram_chunk_fuzz.h
%C%_histogram_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_histogram_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_histogram_store_test_SOURCES = %D%/histogram_store_test.c %D%/store.h \
	tests/lib/histograms.c tests/lib/histograms.h
%C%_histogram_store_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_histogram_store_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_model_test_SOURCES = %D%/model_test.c %D%/store.h
%C%_model_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_model_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_names_test_SOURCES = %D%/names_test.c %D%/store.h
%C%_names_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_names_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_page_test_SOURCES = %D%/page_test.c
%C%_page_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_page_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_partition_map_test_SOURCES = %D%/partition_map_test.c %D%/store.h
%C%_partition_map_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_partition_map_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_receiver_test_SOURCES = %D%/receiver_test.c %D%/store.h
%C%_receiver_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_receiver_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_rewrite_test_SOURCES = %D%/rewrite_test.c %D%/store.h
%C%_rewrite_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_rewrite_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_state_test_SOURCES = %D%/state_test.c
%C%_state_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_state_test_LDADD = $(TSDB_UNIT_LDADD)

%C%_threads_test_SOURCES = %D%/threads_test.c %D%/store.h
%C%_threads_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_threads_test_LDADD = $(TSDB_UNIT_LDADD)

%C%_verify_test_SOURCES = %D%/verify_test.c %D%/store.h
%C%_verify_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_verify_test_LDADD = $(TSDB_UNIT_LDADD)

# Benchmarks: built by hand (make tests/bench/tsdb_bench), run by hand.
if BUILD_SERVER
EXTRA_PROGRAMS += tests/bench/tsdb_bench tests/bench/codec_bench tests/bench/head_bench \
	tests/bench/churn_bench tests/bench/size_bench
endif
tests_bench_churn_bench_SOURCES = tests/bench/churn_bench.c
tests_bench_churn_bench_LDADD = tsdb/libtsdb.a wire/libwire.a $(WIRE_LIBS) base/libbase.a \
	$(TSDB_LIBS) $(BASE_LIBS)
tests_bench_size_bench_SOURCES = tests/bench/size_bench.c
tests_bench_size_bench_LDADD = tsdb/libtsdb.a wire/libwire.a $(WIRE_LIBS) base/libbase.a \
	$(TSDB_LIBS) $(BASE_LIBS)
tests_bench_codec_bench_SOURCES = tests/bench/codec_bench.c
tests_bench_codec_bench_LDADD = tsdb/libtsdb.a wire/libwire.a $(WIRE_LIBS) base/libbase.a \
	$(TSDB_LIBS) $(BASE_LIBS)
tests_bench_head_bench_SOURCES = tests/bench/head_bench.c
tests_bench_head_bench_LDADD = tsdb/libtsdb.a wire/libwire.a $(WIRE_LIBS) base/libbase.a \
	$(TSDB_LIBS) $(BASE_LIBS)
tests_bench_tsdb_bench_SOURCES = tests/bench/tsdb_bench.c
tests_bench_tsdb_bench_LDADD = tsdb/libtsdb.a wire/libwire.a $(WIRE_LIBS) base/libbase.a \
	$(TSDB_LIBS) $(BASE_LIBS)

%C%_generation_test_SOURCES = %D%/generation_test.c %D%/store.h
%C%_generation_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_generation_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_head_test_SOURCES = %D%/head_test.c %D%/store.h
%C%_head_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_head_test_LDADD = $(TSDB_UNIT_LDADD)

%C%_room_test_SOURCES = %D%/room_test.c %D%/store.h
%C%_room_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_room_test_LDADD = $(TSDB_UNIT_LDADD)

%C%_open_damage_test_SOURCES = %D%/open_damage_test.c %D%/store.h
%C%_open_damage_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_open_damage_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_pace_test_SOURCES = %D%/pace_test.c
%C%_pace_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_pace_test_LDADD = $(TSDB_UNIT_LDADD)
%C%_snapshot_test_SOURCES = %D%/snapshot_test.c %D%/store.h
%C%_snapshot_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_snapshot_test_LDADD = $(TSDB_UNIT_LDADD)
