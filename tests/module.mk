# SPDX-License-Identifier: Apache-2.0
# Unit tests are Check programs that speak TAP, so that each case is a line of its own in `make check`.
# A module's list is in tests/unit/<module>/module.mk: it adds its programs to UNIT_TESTS and
# gives each its _SOURCES and _LDADD; scripts go to TESTS.
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' CK_TAP_LOG_FILE_NAME=- CK_VERBOSITY=silent \
	$(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_COMPILER = $(SHELL)
TEST_EXTENSIONS = .sh
# srcdir for scripts; sanitizers that stop at the first fault.
AM_TESTS_ENVIRONMENT = TW_SRCDIR='$(abs_top_srcdir)'; export TW_SRCDIR; \
	TW_BUILD='$(abs_top_builddir)'; export TW_BUILD; \
	ASAN_OPTIONS="abort_on_error=1:detect_leaks=1:$$ASAN_OPTIONS"; export ASAN_OPTIONS; \
	TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:$$TSAN_OPTIONS"; export TSAN_OPTIONS;

check_LIBRARIES += %D%/lib/libunit.a
%C%_lib_libunit_a_SOURCES = %D%/lib/unit.c %D%/lib/unit.h
%C%_lib_libunit_a_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)

# A store in memory; programs that use it link tsdb/libtsdb.a and wire/libwire.a behind it.
check_LIBRARIES += %D%/lib/libmemory_storage.a
%C%_lib_libmemory_storage_a_SOURCES = %D%/lib/memory_storage.c %D%/lib/memory_storage.h
UNIT_LIBS = %D%/lib/libunit.a $(CHECK_LIBS)

include tests/unit/base/module.mk
include tests/unit/wire/module.mk
include tests/unit/forecast/module.mk
include tests/unit/collector/module.mk
include tests/unit/tsdb/module.mk
include tests/unit/query/module.mk
include tests/unit/alerts/module.mk
include tests/unit/autoscaler/module.mk
include tests/unit/ui/module.mk
include tests/unit/daemon/module.mk
include tests/torture/module.mk

if HAVE_CHECK
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif

# Query scripts, over a store in memory.
if BUILD_SERVER
check_PROGRAMS += %D%/script/script_runner
TESTS += %D%/script/run.sh
endif
%C%_script_script_runner_SOURCES = %D%/script/script_runner.c %D%/lib/histogram_text.c \
	%D%/lib/histogram_text.h
%C%_script_script_runner_LDADD = query/libquery.a forecast/libforecast.a %D%/lib/libmemory_storage.a tsdb/libtsdb.a \
	wire/libwire.a base/libbase.a $(TSDB_LIBS) $(WIRE_LIBS) $(BASE_LIBS)
dist_check_SCRIPTS += %D%/script/run.sh
EXTRA_DIST += %D%/script/aggregation.test %D%/script/durations.test \
	%D%/script/each_aggregation.test %D%/script/each_function.test %D%/script/each_operator.test %D%/script/errors.test \
	%D%/script/extended.test %D%/script/fill.test %D%/script/forecast.test \
	%D%/script/functions.test %D%/script/histograms.test %D%/script/info.test %D%/script/names.test \
	%D%/script/operators.test %D%/script/planner.test %D%/script/selectors.test \
	%D%/script/sliding.test %D%/script/types.test %D%/script/values.test \
	%D%/script/versions.test

# What fuzzers run instead of libFuzzer.
FUZZ_REPLAY = %D%/fuzz/replay.c %D%/fuzz/replay.h

# The query parser's fuzzer, as a replayer of its corpus.
if BUILD_SERVER
check_PROGRAMS += %D%/fuzz/query_parser_fuzz
TESTS += %D%/fuzz/query_parser.sh
endif
%C%_fuzz_query_parser_fuzz_SOURCES = %D%/fuzz/query_parser_fuzz.c $(FUZZ_REPLAY)
%C%_fuzz_query_parser_fuzz_LDADD = query/libquery.a forecast/libforecast.a tsdb/libtsdb.a wire/libwire.a base/libbase.a \
	$(TSDB_LIBS) $(WIRE_LIBS) $(BASE_LIBS)
dist_check_SCRIPTS += %D%/fuzz/query_parser.sh
EXTRA_DIST += %D%/fuzz/corpus/query_parser

# Requests of remote read.
check_PROGRAMS += %D%/fuzz/remote_read_fuzz
TESTS += %D%/fuzz/remote_read.sh
%C%_fuzz_remote_read_fuzz_SOURCES = %D%/fuzz/remote_read_fuzz.c
%C%_fuzz_remote_read_fuzz_LDADD = wire/libwire.a base/libbase.a $(WIRE_LIBS) $(BASE_LIBS)
dist_check_SCRIPTS += %D%/fuzz/remote_read.sh
EXTRA_DIST += %D%/fuzz/corpus/remote_read

# Regular expressions.
check_PROGRAMS += %D%/fuzz/regex_fuzz
TESTS += %D%/fuzz/regex.sh
%C%_fuzz_regex_fuzz_SOURCES = %D%/fuzz/regex_fuzz.c $(FUZZ_REPLAY)
%C%_fuzz_regex_fuzz_LDADD = base/libbase.a $(BASE_LIBS)
dist_check_SCRIPTS += %D%/fuzz/regex.sh
EXTRA_DIST += %D%/fuzz/corpus/regex

# What the store reads from its files.
if BUILD_SERVER
check_PROGRAMS += %D%/fuzz/store_fuzz
TESTS += %D%/fuzz/store.sh
endif
%C%_fuzz_store_fuzz_SOURCES = %D%/fuzz/store_fuzz.c $(FUZZ_REPLAY)
%C%_fuzz_store_fuzz_LDADD = tsdb/libtsdb.a wire/libwire.a base/libbase.a $(TSDB_LIBS) $(WIRE_LIBS) \
	$(BASE_LIBS)
dist_check_SCRIPTS += %D%/fuzz/store.sh
dist_noinst_SCRIPTS = %D%/fuzz/libfuzzer.sh
EXTRA_DIST += %D%/fuzz/corpus/store

# Request bodies, pages of the store, texts: each a program that replays its corpus.
if BUILD_SERVER
check_PROGRAMS += %D%/fuzz/body_fuzz %D%/fuzz/page_fuzz %D%/fuzz/text_fuzz
TESTS += %D%/fuzz/corpora.sh
endif
%C%_fuzz_body_fuzz_SOURCES = %D%/fuzz/body_fuzz.c $(FUZZ_REPLAY) \
	%D%/fuzz/histogram_chunk_fuzz.c %D%/fuzz/histogram_chunk_fuzz.h %D%/fuzz/histogram_fuzz.c \
	%D%/fuzz/histogram_fuzz.h %D%/fuzz/remote_write_fuzz.c %D%/fuzz/remote_write_fuzz.h
%C%_fuzz_body_fuzz_LDADD = $(%C%_fuzz_store_fuzz_LDADD)
%C%_fuzz_page_fuzz_SOURCES = %D%/fuzz/page_fuzz.c $(FUZZ_REPLAY)
%C%_fuzz_page_fuzz_LDADD = $(%C%_fuzz_store_fuzz_LDADD)
%C%_fuzz_text_fuzz_SOURCES = %D%/fuzz/text_fuzz.c $(FUZZ_REPLAY)
%C%_fuzz_text_fuzz_LDADD = base/libbase.a $(BASE_LIBS)
dist_check_SCRIPTS += %D%/fuzz/corpora.sh
EXTRA_DIST += %D%/fuzz/corpus/body %D%/fuzz/corpus/page %D%/fuzz/corpus/text

# The order of the layers, and each outside library in its one place.
TESTS += %D%/lint/layers.sh %D%/lint/words.sh
dist_check_SCRIPTS += %D%/lint/layers.sh %D%/lint/words.sh

# End-to-end scripts; tests/run calls them.
dist_noinst_DATA += %D%/e2e/command_line.py %D%/e2e/forecast.py %D%/e2e/forecast_rules.py %D%/e2e/snapshot_restore.py
dist_noinst_DATA += %D%/e2e/messages.py %D%/e2e/prometheus_exemplars.py
dist_noinst_DATA += %D%/e2e/prometheus_reads.py
dist_noinst_DATA += %D%/e2e/lib.py %D%/e2e/server_bad_input.py %D%/e2e/kill9.py \
	%D%/e2e/prometheus_sends.py %D%/e2e/alertmanager_webhook.py %D%/e2e/ui.py \
	%D%/e2e/ui_pages.mjs %D%/e2e/promql_diff.py %D%/e2e/query_stats.py %D%/e2e/api_surface.py
