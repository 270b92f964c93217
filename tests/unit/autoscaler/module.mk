# SPDX-License-Identifier: Apache-2.0
if BUILD_SERVER
AUTOSCALER_UNIT_LDADD = $(UNIT_LIBS) autoscaler/libautoscaler.a forecast/libforecast.a \
	%D%/libscaler_fakes.a tests/lib/libmemory_storage.a tsdb/libtsdb.a wire/libwire.a base/libbase.a \
	$(TSDB_LIBS) $(WIRE_LIBS) $(LPSOLVE_LIBS) $(BASE_LIBS)

# A query engine that says what a test wants, and a webhook's other end.
check_LIBRARIES += %D%/libscaler_fakes.a
%C%_libscaler_fakes_a_SOURCES = %D%/fake_engine.c %D%/fake_engine.h %D%/sink.c %D%/sink.h

UNIT_TESTS += %D%/actuator_test %D%/controller_test %D%/decision_test %D%/manager_test %D%/policy_test %D%/settings_test \
	%D%/observation_test %D%/demand_test %D%/capacity_test %D%/schedule_test %D%/trend_test %D%/replay_test %D%/trust_test \
	%D%/reliability_test %D%/pressure_test %D%/sources_test %D%/recovery_test %D%/lease_test %D%/confidence_test \
	%D%/pool_test %D%/fleet_test %D%/mix_test %D%/ledger_test %D%/budget_test %D%/rightsizing_test
%C%_actuator_test_SOURCES = %D%/actuator_test.c
%C%_actuator_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_actuator_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_capacity_test_SOURCES = %D%/capacity_test.c
%C%_capacity_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_capacity_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_replay_test_SOURCES = %D%/replay_test.c
%C%_replay_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_replay_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_reliability_test_SOURCES = %D%/reliability_test.c
%C%_reliability_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_reliability_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_recovery_test_SOURCES = %D%/recovery_test.c
%C%_recovery_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_recovery_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_lease_test_SOURCES = %D%/lease_test.c
%C%_lease_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_lease_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_trust_test_SOURCES = %D%/trust_test.c
%C%_trust_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_trust_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_schedule_test_SOURCES = %D%/schedule_test.c
%C%_schedule_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_schedule_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_confidence_test_SOURCES = %D%/confidence_test.c
%C%_confidence_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_confidence_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_pressure_test_SOURCES = %D%/pressure_test.c
%C%_pressure_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_pressure_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_pool_test_SOURCES = %D%/pool_test.c
%C%_pool_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_pool_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_fleet_test_SOURCES = %D%/fleet_test.c
%C%_fleet_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_fleet_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_mix_test_SOURCES = %D%/mix_test.c
%C%_mix_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_mix_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_ledger_test_SOURCES = %D%/ledger_test.c
%C%_ledger_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_ledger_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_budget_test_SOURCES = %D%/budget_test.c
%C%_budget_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_budget_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_trend_test_SOURCES = %D%/trend_test.c
%C%_trend_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_trend_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_controller_test_SOURCES = %D%/controller_test.c
%C%_controller_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_controller_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_decision_test_SOURCES = %D%/decision_test.c
%C%_decision_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_decision_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_manager_test_SOURCES = %D%/manager_test.c
%C%_manager_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_manager_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_policy_test_SOURCES = %D%/policy_test.c
%C%_policy_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_policy_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_settings_test_SOURCES = %D%/settings_test.c
%C%_settings_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_settings_test_LDADD = $(AUTOSCALER_UNIT_LDADD)
%C%_rightsizing_test_SOURCES = %D%/rightsizing_test.c
%C%_rightsizing_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_rightsizing_test_LDADD = $(%C%_observation_test_LDADD)
%C%_observation_test_SOURCES = %D%/observation_test.c
%C%_observation_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_observation_test_LDADD = $(UNIT_LIBS) autoscaler/libautoscaler.a forecast/libforecast.a \
	query/libquery.a forecast/libforecast.a tests/lib/libmemory_storage.a tsdb/libtsdb.a wire/libwire.a base/libbase.a \
	$(TSDB_LIBS) $(WIRE_LIBS) $(LPSOLVE_LIBS) $(BASE_LIBS)
%C%_demand_test_SOURCES = %D%/demand_test.c
%C%_demand_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_demand_test_LDADD = $(%C%_observation_test_LDADD)
%C%_sources_test_SOURCES = %D%/sources_test.c
%C%_sources_test_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
%C%_sources_test_LDADD = $(UNIT_LIBS) autoscaler/libautoscaler.a forecast/libforecast.a \
	query/libquery.a forecast/libforecast.a tests/lib/libmemory_storage.a tsdb/libtsdb.a wire/libwire.a base/libbase.a \
	$(TSDB_LIBS) $(WIRE_LIBS) $(LPSOLVE_LIBS) $(BASE_LIBS)
endif
