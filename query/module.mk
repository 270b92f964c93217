# SPDX-License-Identifier: Apache-2.0
# query: L3, lexer -> parser -> ast -> plan -> operators -> result -> api.
noinst_LIBRARIES += %D%/libquery.a
%C%_libquery_a_SOURCES = \
	%D%/answer.c %D%/answer.h \
	%D%/api.c %D%/api.h \
	%D%/api_names.c \
	%D%/engine.h
