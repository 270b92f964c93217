#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole loop on this host: the agent's samples become charts, an alert, a notification and a
scaler's decision, and all of it survives a restart of the server."""

import http.server
import json
import os
import socket
import threading
import time

import lib

RULES = """
groups:
  - name: host
    interval: 1s
    rules:
      - record: instance:cpu:cores
        expr: count by (instance) (node_cpu_seconds_total{mode="idle"})
      - alert: HasProcessors
        expr: instance:cpu:cores > 0
        for: 1s
        labels: {severity: info}
        annotations: {summary: "{{ $labels.instance }} has {{ $value }} processors"}
"""

CONFIG = """
rule_files: ["%(rules)s"]
route: {receiver: ops, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - {name: ops, webhook_configs: [{url: "http://127.0.0.1:%(port)d/alert"}]}
scalers:
  - name: web
    load: sum(node_load1) * 0 + 250
    capacity_per_replica: 80
    min: 1
    max: 10
    mode: act
    tick: 5s
    target: {webhook: {url: "http://127.0.0.1:%(port)d/scale"}}
"""


class Sink(http.server.ThreadingHTTPServer):
    """Takes what is posted to it."""

    def __init__(self):
        self.bodies = []
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.server.bodies.append((self.path, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    def of(self, path):
        return [body for where, body in self.bodies if where == path]


def answered(server, target):
    return server.get(target).json()["data"]


with lib.Run() as run:
    sink = Sink()
    rules = run.file("rules.yml", RULES)
    config = CONFIG % {"rules": rules, "port": sink.server_address[1]}
    server = run.server(config=config)
    agent = run.agent(server.url)

    # One more than 0 second: a rate needs two samples.
    lib.check("the agent's samples are queryable", lib.wait_for(lambda: server.query("node_load1"), 15), agent.log())
    lib.check("rates follow", lib.wait_for(
        lambda: server.query('sum by (mode) (rate(node_cpu_seconds_total[10s]))'), 15))
    labels = server.query("node_load1")[0]["metric"]
    lib.check_equal("as the job node of this host", (labels.get("job"), labels.get("instance")),
                    ("node", socket.gethostname()))
    lib.check("memory is right to a tenth", abs(
        float(server.query("node_memory_MemTotal_bytes")[0]["value"][1]) / (os.sysconf("SC_PAGE_SIZE") * os.sysconf(
            "SC_PHYS_PAGES")) - 1) < 0.1)
    metadata = lib.wait_for(lambda: answered(server, "/api/v1/metadata?metric=node_cpu_seconds_total"), 10)
    lib.check_equal("its types are known", metadata.get("node_cpu_seconds_total", [{}])[0].get("type"), "counter")

    lib.check("a recording rule writes", lib.wait_for(lambda: server.query("instance:cpu:cores"), 15))
    lib.check("an alert fires", lib.wait_for(
        lambda: [a for a in answered(server, "/api/v1/alerts")["alerts"] if a["state"] == "firing"], 15))
    lib.check("its notification arrives", lib.wait_for(lambda: sink.of("/alert"), 15), server.log()[-2000:])
    if sink.of("/alert"):
        body = sink.of("/alert")[0]
        lib.check_equal("in version 4, firing", (body["version"], body["status"]), ("4", "firing"))
        lib.check_equal("with the template filled in", body["alerts"][0]["annotations"]["summary"],
                        "%s has %d processors" % (socket.gethostname(), os.cpu_count()))

    lib.check("a scaler decides", lib.wait_for(
        lambda: server.query('tidewatch_scaler_desired_replicas{scaler="web"}'), 20), server.log()[-2000:])
    lib.check("its target is called", lib.wait_for(lambda: sink.of("/scale"), 15), server.log()[-2000:])
    if sink.of("/scale"):
        body = sink.of("/scale")[0]
        lib.check("for enough replicas", body["scaler"] == "web" and body["to"] >= 4, body)
        lib.check("with a reason", len(body["reason"]) > 10 and body["idempotency_key"], body)
    lib.check("the decision is a record", answered(server, "/api/v1/scalers/web/decisions"))

    lib.check("the start page is served", "<html" in server.get("/").text.lower())
    # A stop and a start: the samples, the alert and what was sent are still known.
    before = len(server.query_range("node_load1", time.time() - 600, time.time(), 1)[0]["values"])
    sent, scaled = len(sink.of("/alert")), len(sink.of("/scale"))
    lib.check_equal("the server stops cleanly", server.stop(), 0)
    time.sleep(3)
    again = run.server(port=server.port, config=config)
    lib.check("the alert is still firing at once", lib.wait_for(
        lambda: [a for a in answered(again, "/api/v1/alerts")["alerts"] if a["state"] == "firing"], 5))
    # The agent kept what it could not deliver: no second of the outage is missing in the end.
    lib.check("what the agent kept arrives", lib.wait_for(
        lambda: len(again.query_range("node_load1", time.time() - 600, time.time(), 1)[0]["values"]) > before + 3, 30),
        agent.log()[-2000:])

    def longest_gap():
        times = [at for at, _ in again.query("node_load1[2m]")[0]["values"]]
        return max(b - a for a, b in zip(times, times[1:]))

    lib.check("without a gap", lib.wait_for(lambda: longest_gap() < 2.5, 30), longest_gap())
    time.sleep(3)
    lib.check_equal("nothing is sent twice", (len(sink.of("/alert")), len(sink.of("/scale"))), (sent, scaled))
    lib.check_equal("the agent stops cleanly", agent.stop(), 0)
    lib.check_equal("and so does the server", again.stop(), 0)
lib.done()
