# SPDX-License-Identifier: Apache-2.0
# autoscaler: L5, observation -> model -> policy -> decision -> actuator.
dist_noinst_DATA += docs/api-scalers.md docs/scaling.md docs/format/state-scaler.md \
	tests/e2e/scaler_webhook.py
if BUILD_SERVER
noinst_LIBRARIES += %D%/libautoscaler.a
endif
%C%_libautoscaler_a_SOURCES = \
	%D%/actuator.c %D%/actuator.h \
	%D%/api.c \
	%D%/controller.c %D%/controller.h \
	%D%/decision.c %D%/decision.h \
	%D%/journal.c %D%/journal.h \
	%D%/load.c %D%/load.h \
	%D%/manager.c %D%/manager.h %D%/manager_int.h \
	%D%/observation.c %D%/observation.h \
	%D%/policy.c %D%/policy.h \
	%D%/scaler.c %D%/scaler.h \
	%D%/settings.c %D%/settings.h \
	%D%/settings_reader.c \
	%D%/startup.c %D%/startup.h
