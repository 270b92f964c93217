#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Alerts from a rule file to a webhook: firing, a newcomer, resolved, a receiver that is away, and a
kill -9 in between. With ALERTMANAGER_BIN the same alerts go through a real Alertmanager as well (the
server sends them to it), and what the two tell the webhook is compared field by field."""

import http.server
import json
import signal
import threading
import time

import lib

RULES = """
groups:
- name: demo
  interval: 500ms
  labels: {team: a}
  rules:
  - record: demo:doubled
    expr: demo * 2
  - alert: Demo
    expr: demo:doubled > 1
    labels: {severity: page, quoted: 'a"b\\c'}
    annotations:
      summary: '{{ $labels.instance }} <is> & "at" {{ $value | humanize }} é'
      runbook: http://example/x?y=1&z=2
  - alert: Slow
    expr: demo > 100
    for: 1h
"""
ROUTE = """
route:
  receiver: main
  group_by: [alertname]
  group_wait: 1s
  group_interval: 2s
  repeat_interval: 1h
  routes:
  - matchers: ['severity=~"page|warn"', instance!="z"]
    receiver: pager
receivers:
- {name: main}
- name: pager
  webhook_configs: [{url: "http://127.0.0.1:%d/%s", max_alerts: 3}]
"""


class Sink:
    """A webhook receiver that remembers what it was told, and answers with self.status."""

    def __init__(self):
        self.bodies, self.headers, self.tries, self.status = {}, {}, 0, 200
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.tries += 1
                if sink.status == 200:
                    sink.headers[self.path] = dict(self.headers)
                    sink.bodies.setdefault(self.path, []).append(json.loads(body))
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self, path, count, seconds=20):
        lib.wait_for(lambda: len(self.bodies.get(path, [])) >= count, seconds)
        return self.bodies.get(path, [])


def push(server, **values):
    now_ms = int(time.time() * 1000)
    answer = server.write([({"__name__": "demo", "job": "j", "instance": name}, [(now_ms, value)])
                           for name, value in values.items()])
    lib.check("samples are taken", answer.status in (200, 204), answer)


def comparable(body):
    """Without times and addresses, which differ; the order of the fields counts."""
    kept = dict(body, externalURL="")
    kept["alerts"] = [dict(alert, startsAt="", endsAt=alert["endsAt"].startswith("0001-01-01"))
                      for alert in body["alerts"]]
    return json.dumps(kept, indent=1)


def start_alertmanager(run, binary, sink):
    config = run.file("alertmanager.yml", ROUTE % (sink.port, "theirs"))
    port = lib.free_port()
    program = run.program(binary, "--config.file", config, "--storage.path", run.path("am"),
                          "--web.listen-address", "127.0.0.1:%d" % port,
                          "--cluster.listen-address=")

    def ready():
        try:
            return lib.request(port, "GET", "/-/ready", timeout=2).status == 200
        except OSError:
            return False

    lib.wait_for(lambda: ready() or not program.running(), 15)
    return port if program.running() else None


def main():
    sink = Sink()
    with lib.Run() as run:
        run.file("rules/demo.yml", RULES)
        config = 'rule_files: ["rules/*.yml"]\n' + ROUTE % (sink.port, "ours")
        binary, real = lib.peer("ALERTMANAGER_BIN"), None
        if binary:
            real = start_alertmanager(run, binary, sink)
        if real:
            config += 'alertmanagers: [{url: "http://127.0.0.1:%d"}]\n' % real
        else:
            lib.skip("the same through a real Alertmanager",
                     "it does not start" if binary else "ALERTMANAGER_BIN is not set")
        server = run.server(config=config)

        push(server, a=1, b=2)
        told = sink.told("/ours", 1)
        lib.check_equal("one notification of two alerts",
                        [(b["status"], len(b["alerts"])) for b in told], [("firing", 2)])
        lib.check_equal("the summary is expanded",
                        told and told[0]["alerts"][0]["annotations"].get("summary"),
                        'a <is> & "at" 2 é')
        lib.check_contains("it is JSON from tidewatch", str(sink.headers.get("/ours")),
                           "application/json", "tidewatch")
        alerts = server.get("/api/v1/alerts").json()["data"]["alerts"]
        lib.check_equal("they are in the API", sorted(a["state"] for a in alerts),
                        ["firing", "firing"])
        if real:
            sink.told("/theirs", 1)

        push(server, a=1, b=2, c=3, d=4)
        lib.check_equal("newcomers: three of four are shown", [
            (b["notification_reason"], len(b["alerts"]), b["truncatedAlerts"])
            for b in sink.told("/ours", 2)[1:]], [("new alerts added", 3, 1)])
        if real:
            sink.told("/theirs", 2)

        # Between the webhook's answer and our commit a kill may send once more, as anywhere.
        lib.wait_for(lambda: (server.metric("tidewatch_notifications_total") or 0) >= 2, 20)
        server.signal(signal.SIGKILL)
        server.wait()
        server = run.server(config=config, port=server.port)
        push(server, a=1, b=2, c=3, d=4)
        time.sleep(6)
        lib.check_equal("kill -9 sends nothing twice", len(sink.told("/ours", 3, 0)), 2)

        if real:  # the Alertmanager resolves by endsAt, which the server keeps in the future
            push(server, a=0, b=0)
            sink.told("/ours", 3)
            sink.told("/theirs", 3)
        sink.status = 503
        tries = sink.tries
        push(server, a=0, b=0, c=0, d=0)
        lib.wait_for(lambda: sink.tries >= tries + 2, 20)
        lib.check("a receiver that is away is tried again", sink.tries >= tries + 2, sink.tries)
        sink.status = 200
        told = sink.told("/ours", 4 if real else 3)
        lib.check_equal("the end is told when it is back", told[-1]["status"], "resolved")
        lib.check_equal("with its reason", told[-1]["notification_reason"], "all alerts resolved")

        if real:
            theirs = sink.told("/theirs", 4)
            lib.check_equal("as many notifications as the real Alertmanager sends",
                            len(sink.bodies["/ours"]), len(theirs))
            for mine, other in zip(sink.bodies["/ours"], theirs):
                lib.check_equal("as the real Alertmanager says it: " + other["notification_reason"],
                                comparable(mine), comparable(other))
        lib.check("the server is well", server.running() and "assertion" not in server.log())
    lib.done()


if __name__ == "__main__":
    main()
