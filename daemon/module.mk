# SPDX-License-Identifier: Apache-2.0
# daemon: L7, the three mains, configuration, HTTP server, wiring.
if BUILD_SERVER
noinst_LIBRARIES += %D%/libdaemon.a
%C%_libdaemon_a_SOURCES = \
	%D%/budget.c %D%/budget.h \
	%D%/checkup.c %D%/checkup.h \
	%D%/configuration.c %D%/configuration.h \
	%D%/encoding.c %D%/encoding.h \
	%D%/families.c %D%/families.h \
	%D%/forecast_settings.c %D%/forecast_settings.h \
	%D%/hangup.c %D%/hangup.h \
	%D%/http_server.c %D%/http_server.h \
	%D%/cardinality.c %D%/cardinality.h \
	%D%/inventory.c %D%/inventory.h \
	%D%/listener.c %D%/listener.h \
	%D%/machine.c %D%/machine.h \
	%D%/notify.c %D%/notify.h \
	%D%/openapi.c %D%/openapi.h %D%/openapi.tbl \
	%D%/openapi_schema.c %D%/openapi_schema.h \
	%D%/params.c %D%/params.h %D%/params.tbl \
	%D%/process.c %D%/process.h \
	%D%/self.c %D%/self.h \
	%D%/server.c %D%/server.h \
	%D%/status.c %D%/status.h \
	%D%/storage.c %D%/storage.h \
	%D%/yaml_text.c %D%/yaml_text.h
%C%_libdaemon_a_CPPFLAGS = $(AM_CPPFLAGS) $(MICROHTTPD_CFLAGS) $(ZLIB_CFLAGS)

DAEMON_LIBS = %D%/libdaemon.a ui/libui.a autoscaler/libautoscaler.a alerts/libalerts.a forecast/libforecast.a \
	query/libquery.a forecast/libforecast.a tsdb/libtsdb.a wire/libwire.a base/libbase.a \
	$(TSDB_LIBS) $(MICROHTTPD_LIBS) $(ZLIB_LIBS) $(WIRE_LIBS) $(LPSOLVE_LIBS) $(BASE_LIBS)

sbin_PROGRAMS += tidewatchd
tidewatchd_SOURCES = %D%/tidewatchd.c
tidewatchd_LDADD = $(DAEMON_LIBS)

bin_PROGRAMS += tidewatch
tidewatch_SOURCES = %D%/tidewatch.c %D%/cli.c %D%/cli.h %D%/cli_autoscale.c \
	%D%/cli_backtest.c %D%/cli_backtest_scaler.c %D%/cli_cardinality.c %D%/cli_check.c \
	%D%/cli_client.c %D%/cli_client.h %D%/cli_forecast.c %D%/cli_queries.c %D%/cli_query.c %D%/cli_report.c \
	%D%/cli_rightsizing.c %D%/cli_scaler.c %D%/cli_series.c %D%/cli_series.h \
	%D%/cli_snapshot.c %D%/cli_status.c %D%/cli_store.c %D%/cli_verify.c
tidewatch_LDADD = $(DAEMON_LIBS)

# Alerts about the server itself, for its rule_files, and examples of alerts ahead of time.
rulesdir = $(pkgdatadir)/rules
dist_rules_DATA = contrib/rules/fleet.yml contrib/rules/forecast.yml contrib/rules/scalers.yml contrib/rules/tidewatch.yml

# The manual's options come from the same table as --help.
man_MANS += docs/man/tidewatchd.8
dist_man_MANS += docs/man/tidewatch.1
CLEANFILES += docs/man/tidewatchd.8 docs/man/tidewatchd.8.options
docs/man/tidewatchd.8: docs/man/tidewatchd.8.in %D%/params.tbl %D%/params.awk Makefile
	$(AM_V_GEN)$(MKDIR_P) docs/man
	$(AM_V_at)$(AWK) -f $(srcdir)/%D%/params.awk $(srcdir)/%D%/params.tbl >$@.options
	$(AM_V_at)$(SED) -e '/^@OPTIONS@$$/{' -e 'r $@.options' -e 'd' -e '}' \
		-e 's/@VERSION@/$(VERSION)/' $(srcdir)/docs/man/tidewatchd.8.in >$@.tmp
	$(AM_V_at)rm -f $@.options && mv $@.tmp $@
endif

if BUILD_AGENT
sbin_PROGRAMS += tidewatch-agent
tidewatch_agent_SOURCES = %D%/tidewatch-agent.c %D%/agent_config.c %D%/agent_config.h
tidewatch_agent_LDADD = collector/libcollector.a wire/libwire.a base/libbase.a $(PCAP_LIBS) \
	$(WIRE_LIBS) $(BASE_LIBS)
dist_man_MANS += docs/man/tidewatch-agent.8
endif
EXTRA_DIST += %D%/params.awk docs/man/tidewatchd.8.in
dist_noinst_DATA += contrib/systemd/tidewatchd.service contrib/systemd/tidewatch-agent.service
