# SPDX-License-Identifier: Apache-2.0
# autoscaler: L5, observation -> model -> policy -> decision -> actuator.
dist_noinst_DATA += docs/api-scalers.md docs/scaling.md docs/scaling-allocation.md docs/rightsizing.md docs/recovery.md docs/reliability.md docs/scaling-backtest.md docs/scaling-readouts.md docs/scaling-targets.md docs/scaling-trust.md docs/format/state-scaler.md \
	tests/e2e/scaler_webhook.py tests/e2e/scaler_targets.py tests/e2e/scaler_fleet.py tests/e2e/scaler_trust.py tests/e2e/recovery.py tests/e2e/reliability.py
if BUILD_SERVER
noinst_LIBRARIES += %D%/libautoscaler.a
# Programs for targets `exec`, ready to be named in a configuration.
scalersdir = $(pkgdatadir)/scalers
dist_scalers_SCRIPTS = contrib/scalers/aws-asg contrib/scalers/azure-vmss contrib/scalers/gce-mig
dist_scalers_DATA = contrib/scalers/kubernetes-role.yml contrib/scalers/fleet.yml
endif
%C%_libautoscaler_a_SOURCES = \
	%D%/actuator.c %D%/actuator.h \
	%D%/allocation.c %D%/allocation.h \
	%D%/api.c \
	%D%/api_reliability.c \
	%D%/api_trust.c \
	%D%/audit.c %D%/audit.h \
	%D%/budget.c %D%/budget.h \
	%D%/budget_reader.c \
	%D%/capacity.c %D%/capacity.h \
	%D%/confidence.c %D%/confidence.h \
	%D%/controller.c %D%/controller.h \
	%D%/decaying.c %D%/decaying.h \
	%D%/demand.c %D%/demand.h \
	%D%/decision.c %D%/decision.h \
	%D%/exec.c \
	%D%/fleet.c %D%/fleet.h \
	%D%/fleet_calls.c %D%/fleet_calls.h \
	%D%/hpa.c %D%/hpa.h \
	%D%/integer_program.c %D%/integer_program.h \
	%D%/journal.c %D%/journal.h \
	%D%/kubernetes.c \
	%D%/kubernetes_account.c %D%/kubernetes_account.h \
	%D%/lease.c %D%/lease.h \
	%D%/ledger.c %D%/ledger.h \
	%D%/load.c %D%/load.h \
	%D%/manager.c %D%/manager.h %D%/manager_int.h \
	%D%/means.c %D%/means.h \
	%D%/member.c %D%/member.h \
	%D%/mix.c %D%/mix.h \
	%D%/observation.c %D%/observation.h \
	%D%/effect.c %D%/effect.h \
	%D%/pause.c %D%/pause.h \
	%D%/plant.c %D%/plant.h \
	%D%/policy.c %D%/policy.h \
	%D%/pool.c %D%/pool.h \
	%D%/pool_health.c %D%/pool_health.h \
	%D%/pressure.c %D%/pressure.h \
	%D%/process.c \
	%D%/purse.c %D%/purse.h \
	%D%/readout.c \
	%D%/record.c %D%/record.h \
	%D%/recovery.c %D%/recovery.h \
	%D%/recovery_reader.c \
	%D%/recovery_store.c \
	%D%/reliability.c %D%/reliability.h \
	%D%/reset.c %D%/reset.h \
	%D%/replay.c %D%/replay.h \
	%D%/rightsizing.c %D%/rightsizing.h \
	%D%/rightsizing_api.c %D%/rightsizing_api.h \
	%D%/rightsizing_reader.c \
	%D%/scaler.c %D%/scaler.h \
	%D%/schedule.c %D%/schedule.h \
	%D%/schedule_reader.c \
	%D%/selector.c %D%/selector.h \
	%D%/settings.c %D%/settings.h \
	%D%/settings_reader.c \
	%D%/sources.c %D%/sources.h \
	%D%/startup.c %D%/startup.h \
	%D%/systemd.c \
	%D%/target.c %D%/target.h \
	%D%/target_reader.c \
	%D%/trust.c %D%/trust.h \
	%D%/verification.c %D%/verification.h \
	%D%/trend.c %D%/trend.h \
	%D%/ward.c %D%/ward.h \
	%D%/webhook.c

EXTRA_PROGRAMS += tests/bench/scaler_bench
tests_bench_scaler_bench_SOURCES = tests/bench/scaler_bench.c
tests_bench_scaler_bench_LDADD = %D%/libautoscaler.a query/libquery.a tsdb/libtsdb.a \
	forecast/libforecast.a wire/libwire.a base/libbase.a $(TSDB_LIBS) $(WIRE_LIBS) $(BASE_LIBS)
CLEANFILES += tests/bench/scaler_bench$(EXEEXT)
