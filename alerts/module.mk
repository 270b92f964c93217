# SPDX-License-Identifier: Apache-2.0
# alerts: L4, rule -> evaluation -> state -> group -> notifier -> receiver.
noinst_LIBRARIES += %D%/libalerts.a
%C%_libalerts_a_SOURCES = \
	%D%/letter.c %D%/letter.h \
	%D%/manager.h \
	%D%/template.c %D%/template.h %D%/template_tree.h \
	%D%/template_builtins.c \
	%D%/template_functions.c \
	%D%/template_lexer.c %D%/template_lexer.h \
	%D%/template_parser.c \
	%D%/template_printf.c \
	%D%/template_time.c \
	%D%/template_value.c %D%/template_value.h
