# SPDX-License-Identifier: Apache-2.0
# alerts: L4, rule -> evaluation -> state -> group -> notifier -> receiver.
noinst_LIBRARIES += %D%/libalerts.a
%C%_libalerts_a_SOURCES = \
	%D%/manager.h \
	%D%/template.h \
	%D%/template_printf.c \
	%D%/template_value.c %D%/template_value.h
