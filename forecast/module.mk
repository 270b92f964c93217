# SPDX-License-Identifier: Apache-2.0
# forecast: L1, pure numbers in, quantiles out.
noinst_LIBRARIES += %D%/libforecast.a
%C%_libforecast_a_SOURCES = \
	%D%/calibration.c %D%/calibration.h \
	%D%/column.c %D%/column.h \
	%D%/fit.c %D%/fit.h \
	%D%/half.h \
	%D%/holidays.c %D%/holidays.h \
	%D%/lanes.c %D%/lanes.h \
	%D%/model.c %D%/model.h %D%/model_int.h \
	%D%/model_bytes.c \
	%D%/outlook.c \
	%D%/season.c %D%/season.h \
	%D%/series.c %D%/series.h \
	%D%/sort.c %D%/sort.h \
	%D%/stack.c %D%/stack.h \
	%D%/state.c %D%/state.h \
	%D%/winters.c %D%/winters.h

# Run by hand; prints what a fit, an update and a prediction cost.
EXTRA_PROGRAMS += tests/bench/forecast_bench
tests_bench_forecast_bench_SOURCES = tests/bench/forecast_bench.c
tests_bench_forecast_bench_LDADD = %D%/libforecast.a base/libbase.a $(BASE_LIBS)
CLEANFILES += tests/bench/forecast_bench$(EXEEXT)
