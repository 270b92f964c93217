# SPDX-License-Identifier: Apache-2.0
# alerts: L4, rule -> evaluation -> state -> group -> notifier -> receiver.
noinst_LIBRARIES += %D%/libalerts.a
%C%_libalerts_a_SOURCES = \
	%D%/active.c %D%/active.h \
	%D%/api.c \
	%D%/delivery.c %D%/delivery.h \
	%D%/evaluation.c \
	%D%/evaluator.c %D%/evaluator.h %D%/evaluator_int.h \
	%D%/evaluator_state.c \
	%D%/group.c \
	%D%/inhibition.c \
	%D%/labelset.c %D%/labelset.h \
	%D%/letter.c %D%/letter.h \
	%D%/link.c %D%/link.h \
	%D%/manager.c %D%/manager.h %D%/manager_int.h \
	%D%/matcher.c %D%/matcher.h \
	%D%/notice.c %D%/notice.h \
	%D%/notifier.c %D%/notifier.h %D%/notifier_int.h \
	%D%/peer.c \
	%D%/place.c %D%/place.h \
	%D%/receiver.c \
	%D%/record.c %D%/record.h \
	%D%/routing.c %D%/routing.h \
	%D%/rule.c %D%/rule.h \
	%D%/rule_set.c %D%/rule_set.h \
	%D%/template.c %D%/template.h %D%/template_tree.h \
	%D%/template_builtins.c \
	%D%/template_functions.c \
	%D%/template_lexer.c %D%/template_lexer.h \
	%D%/template_parser.c \
	%D%/template_printf.c \
	%D%/template_time.c \
	%D%/template_value.c %D%/template_value.h \
	%D%/transport.c %D%/transport.h \
	%D%/webhook.c %D%/webhook.h
