#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus and a real vmagent scrape and push to the server by remote_write; what they sent
can be queried, exactly."""

import http.client
import os

import lib

CONFIG = """
global: {scrape_interval: 1s, external_labels: {sender: %s}}
scrape_configs:
  - job_name: self
    static_configs: [{targets: ["127.0.0.1:%d"]}]
"""
REMOTE = """
remote_write:
  - url: %s/api/v1/write
    metadata_config: {send: true, send_interval: 1s}
"""
REMOTE_2 = """
remote_write:
  - url: %s/api/v1/write
    protobuf_message: io.prometheus.write.v2.Request
"""


def arrived(server, sender):
    # A stale answer is no answer: up must be 1 and young.
    return server.query('up{sender="%s"} == 1' % sender)


def common_checks(server, sender):
    lib.check("%s: its samples arrive" % sender,
              lib.wait_for(lambda: arrived(server, sender), 20, 0.2))
    count = server.query('count({sender="%s"})' % sender)
    lib.check("%s: more than 100 series" % sender,
              count and int(count[0]["value"][1]) > 100, count)
    metrics = server.get("/metrics").text
    # vmagent begins with zstd: a refusal of it would count as a bad request.
    lib.check("%s: nothing was refused" % sender, all(line in metrics for line in (
        'tidewatch_tsdb_write_requests_total{outcome="bad"} 0\n',
        'tidewatch_tsdb_write_requests_total{outcome="partial"} 0\n',
        'tidewatch_tsdb_samples_refused_total{reason="bad_labels"} 0\n')),
              [line for line in metrics.splitlines() if "requests_total" in line or "refused" in line])


def prometheus_2(run, program):
    """By remote_write 2.0: what the answers say was written is what it counts as sent."""
    port = lib.free_port()
    server = run.server(data="prometheus2")
    config = run.file("prometheus2.yml", CONFIG % ("prometheus2", port) + REMOTE_2 % server.url)
    sender = run.program(program, "--config.file", config, "--storage.tsdb.path", run.path("tsdb2"),
                         "--enable-feature=metadata-wal-records",
                         "--web.listen-address", "127.0.0.1:%d" % port)
    common_checks(server, "prometheus2")
    lib.check("prometheus2: types and helps arrive", lib.wait_for(
        lambda: server.get("/api/v1/metadata?metric=prometheus_build_info").json()["data"], 20, 0.3))
    failed = [line for line in lib.request(port, "GET", "/metrics").text.splitlines()
              if line.startswith("prometheus_remote_storage_samples_failed_total")]
    lib.check("prometheus2: counts no failed samples", failed and failed[0].endswith(" 0"), failed)
    sender.stop()
    lib.check_equal("prometheus2: server stops cleanly", server.stop(), 0)


def prometheus(run, program):
    port = lib.free_port()
    server = run.server(data="prometheus")
    config = run.file("prometheus.yml", CONFIG % ("prometheus", port) + REMOTE % server.url)
    sender = run.program(program, "--config.file", config, "--storage.tsdb.path", run.path("tsdb"),
                         "--web.listen-address", "127.0.0.1:%d" % port)
    common_checks(server, "prometheus")
    lib.check("prometheus: types and helps arrive", lib.wait_for(
        lambda: server.get("/api/v1/metadata?metric=prometheus_build_info").json()["data"], 20, 0.3))

    def same():
        """Both answer the same for a moment that both have fully seen."""
        query = "/api/v1/query?query=prometheus_tsdb_head_series[5s]&time=%f" % (lib.time.time() - 8)
        try:
            theirs = lib.request(port, "GET", query).json()["data"]["result"]
        except (OSError, http.client.HTTPException):
            return False
        ours = server.get(query).json()["data"]["result"]
        return bool(theirs) and bool(ours) and theirs[0]["values"] == ours[0]["values"]

    lib.check("prometheus: same timestamps and values on both sides", lib.wait_for(same, 25, 0.5))
    sender.stop()
    lib.check_equal("prometheus: server stops cleanly", server.stop(), 0)


def vmagent(run, program):
    port = lib.free_port()
    server = run.server(data="vmagent")
    config = run.file("vmagent.yml", CONFIG % ("vmagent", port))
    run.program(program, "-promscrape.config=" + config, "-remoteWrite.url=%s/api/v1/write" % server.url,
                "-httpListenAddr=127.0.0.1:%d" % port, "-remoteWrite.tmpDataPath=" + run.path("vm"),
                "-remoteWrite.flushInterval=1s")
    common_checks(server, "vmagent")
    lib.check_equal("vmagent: server stops cleanly", server.stop(), 0)


with lib.Run() as run:
    for variable, body in (("PROMETHEUS_BIN", prometheus),
                           ("PROMETHEUS_BIN", prometheus_2), ("VMAGENT_BIN", vmagent)):
        program = lib.peer(variable)
        if program:
            body(run, os.path.abspath(program))
        else:
            lib.skip(body.__name__, "%s is not set" % variable)
lib.done()
