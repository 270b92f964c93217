# SPDX-License-Identifier: Apache-2.0
# query: L3, lexer -> parser -> ast -> plan -> operators -> result -> api.
noinst_LIBRARIES += %D%/libquery.a
%C%_libquery_a_SOURCES = \
	%D%/absence.c \
	%D%/aggregation.c \
	%D%/aggregation_rank.c \
	%D%/aggregation_ratio.c \
	%D%/aggregation_values.c \
	%D%/annotation.c %D%/annotation.h \
	%D%/answer.c %D%/answer.h \
	%D%/answer_text.c %D%/answer_text.h \
	%D%/api.c %D%/api.h \
	%D%/api_exemplars.c \
	%D%/api_features.c \
	%D%/api_forecast.c \
	%D%/api_federate.c \
	%D%/api_language.c \
	%D%/api_names.c \
	%D%/api_read.c \
	%D%/api_running.c \
	%D%/api_search.c \
	%D%/arithmetic.c %D%/arithmetic.h \
	%D%/ast.c %D%/ast.h \
	%D%/binary.c \
	%D%/batch.c %D%/batch.h \
	%D%/bucket.c %D%/bucket.h \
	%D%/calendar.c %D%/calendar.h \
	%D%/checker.c \
	%D%/cost.c %D%/cost.h \
	%D%/duration.c %D%/duration.h \
	%D%/engine.c %D%/engine.h \
	%D%/function.c %D%/function.h \
	%D%/fuzzy.c %D%/fuzzy.h \
	%D%/grouping.c %D%/grouping.h \
	%D%/histogram.c \
	%D%/histogram_aggregation.c %D%/histogram_aggregation.h \
	%D%/histogram_annotation.c %D%/histogram_annotation.h \
	%D%/histogram_binary.c %D%/histogram_binary.h \
	%D%/histogram_bound.c \
	%D%/histogram_change.c %D%/histogram_change.h \
	%D%/histogram_function.c \
	%D%/histogram_json.c %D%/histogram_json.h \
	%D%/histogram_range.c %D%/histogram_range.h \
	%D%/histogram_statistics.c %D%/histogram_statistics.h \
	%D%/histogram_sum.c %D%/histogram_sum.h \
	%D%/histogram_trim.c %D%/histogram_trim.h \
	%D%/histogram_value.c %D%/histogram_value.h \
	%D%/info.c \
	%D%/join.c \
	%D%/kept.c %D%/kept.h \
	%D%/keeper.c %D%/keeper.h \
	%D%/keeping.c %D%/keeping.h \
	%D%/kept_record.c %D%/kept_record.h \
	%D%/labelling.c \
	%D%/labelset.c %D%/labelset.h \
	%D%/leaf.c \
	%D%/learner.c %D%/learner.h \
	%D%/lexer.c %D%/lexer.h \
	%D%/mapping.c \
	%D%/merge.c \
	%D%/naming.c \
	%D%/operator.c %D%/operator.h \
	%D%/operators.h \
	%D%/ordering.c \
	%D%/parallel.c %D%/parallel.h \
	%D%/parser.c %D%/parser.h \
	%D%/parser_duration.c \
	%D%/parser_info.c \
	%D%/parser_int.h \
	%D%/parser_literal.c \
	%D%/parser_selector.c \
	%D%/plan.c %D%/plan.h \
	%D%/printer.c %D%/printer.h \
	%D%/printer_int.h \
	%D%/printer_json.c \
	%D%/propagation.c %D%/propagation.h \
	%D%/range.c \
	%D%/range_change.c \
	%D%/range_extended.c \
	%D%/range_forecast.c \
	%D%/range_kernel.c %D%/range_kernel.h \
	%D%/range_regression.c \
	%D%/range_statistics.c \
	%D%/running.c %D%/running.h \
	%D%/samples.c %D%/samples.h \
	%D%/selector.c \
	%D%/setop.c \
	%D%/selections.c %D%/selections.h \
	%D%/sharing.c %D%/sharing.h \
	%D%/sliding.c %D%/sliding.h \
	%D%/tally.c %D%/tally.h \
	%D%/trial.c %D%/trial.h \
	%D%/subquery.c %D%/subquery.h \
	%D%/windows.c %D%/windows.h
