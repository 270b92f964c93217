#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A scaler on a running server: load pushed by remote_write, a decision ahead of it, the webhook, series
and records; a target that refuses at first; kill -9 without anything sent twice; data that ends."""

import http.server
import json
import math
import signal
import threading
import time

import lib

CONFIG = """
scalers:
  - name: shop
    load: sum(shop_requests)
    capacity_per_replica: 100
    min: 2
    max: 40
    mode: act
    tick: 5s
    step: 1m
    history: 1d
    late_after: 20s
    target: {webhook: {url: "http://127.0.0.1:%d/scale", timeout: 2s}}
    behavior: {scaleUp: {policies: []}}
"""


class Sink:
    def __init__(self):
        self.bodies, self.keys, self.status = [], [], 503
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if sink.status == 200:
                    sink.bodies.append(json.loads(body))
                    sink.keys.append(self.headers["Idempotency-Key"])
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def push(server, time_s, value):
    answer = server.write([({"__name__": "shop_requests", "host": "a"}, [(int(time_s * 1000), value)])])
    assert answer.status in (200, 204), answer


def history(server, now):
    """A day of minutes with a wave of an hour."""
    samples = [(int((now - 60 * i) * 1000), 500 + 200 * math.sin((now - 60 * i) / 3600 * 2 * math.pi))
               for i in range(1440, 0, -1)]
    answer = server.write([({"__name__": "shop_requests", "host": "a"}, samples)])
    assert answer.status in (200, 204), answer


def decisions(server, limit=20):
    return server.get("/api/v1/scalers/shop/decisions?limit=%d" % limit).json()["data"]["decisions"]


def main():
    sink = Sink()
    with lib.Run() as run:
        server = run.server()
        history(server, time.time())
        server.stop()
        server = run.server(config=CONFIG % sink.port)
        if server.get("/api/v1/scalers").status == 404:
            lib.skip("scalers", "this server has none")
            return
        stop = threading.Event()
        port = server.port

        def feed():
            while not stop.wait(1):
                try:
                    push(server, time.time(), 900)
                except Exception:  # the server is being restarted
                    pass

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()

        first = lib.wait_for(lambda: decisions(server), 20)
        lib.check("a decision is recorded", bool(first), first)
        lib.wait_for(lambda: any(d["to"] >= 9 for d in decisions(server)), 25)
        newest = decisions(server)[0]
        lib.check("replicas for a load of 900 at 100 each, and what it may rise to", 9 <= newest["to"] <= 40, newest)
        lib.check_contains("the reason is a sentence", newest["reason"], "Load is 900", "forecast")
        scaler = lib.wait_for(lambda: (lambda s: s if s["health"] == "failed" else None)(
            server.get("/api/v1/scalers/shop").json()["data"]), 15)
        lib.check("a target that answers 503 is said to fail", bool(scaler) and "503" in scaler["error"], scaler)
        sink.status = 200
        lib.check("tried again until it is taken", lib.wait_for(lambda: sink.bodies, 70))
        body = sink.bodies[-1]
        lib.check_equal("members of the webhook", sorted(body), sorted(
            ["scaler", "from", "to", "reason", "forecast", "decided_at", "idempotency_key"]))
        lib.check_equal("members of its forecast", sorted(body["forecast"]), ["horizon_s", "q50", "q95"])
        lib.check("the key is in the header, too", sink.keys[-1] == body["idempotency_key"], sink.keys)
        lib.check("delivered is recorded", lib.wait_for(
            lambda: any(d["action"]["status"] == "delivered" for d in decisions(server)), 10), decisions(server))
        scaler = server.get("/api/v1/scalers/shop").json()["data"]
        lib.check("a band is drawn", scaler["forecast"] and
                  len(scaler["forecast"]["times"]) == len(scaler["forecast"]["quantiles"]["0.95"]) >= 60)
        lib.check("history was read from the store", scaler["history_seconds"] > 80000, scaler["history_seconds"])
        for metric in ("load", "desired_replicas", "capacity", 'forecast{quantile="0.95"}'):
            name, _, labels = metric.partition("{")
            found = server.query("tidewatch_scaler_%s{%s" % (name, labels or "}"))
            lib.check("series tidewatch_scaler_" + metric, len(found) == 1 and
                      found[0]["metric"]["scaler"] == "shop", found)

        told = lib.tidewatch("scaler", "explain", "shop", "--server", "http://127.0.0.1:%d" % server.port)
        lib.check_contains("the command line explains it", told.stdout, "Load is 900", "What was forecast", "attempt")
        told = lib.tidewatch("scaler", "explain", "shop", str(time.time() - 3600), "--server",
                             "http://127.0.0.1:%d" % server.port)
        lib.check_contains("and an hour ago there was nothing", told.stdout, "nothing had been decided then")
        told = lib.tidewatch("scaler", "--server", "http://127.0.0.1:%d" % server.port)
        lib.check_contains("all scalers in a list", told.stdout, "shop", "act", "webhook")

        sent = list(sink.keys)
        server.signal(signal.SIGKILL)
        server.wait()
        server = run.server(port=port, config=CONFIG % sink.port)
        time.sleep(8)
        repeated = [key for key in sink.keys if sink.keys.count(key) > 1]
        lib.check("nothing is sent twice over kill -9", not repeated, (sent, sink.keys))
        before = decisions(server)[0]
        lib.check("it goes on from what was decided", before["from"] is not None and before["from"] >= 9, before)

        stop.set()
        feeder.join()
        lib.check("data that ends is late or missing", lib.wait_for(
            lambda: decisions(server)[0]["data"] in ("late", "missing"), 45), decisions(server, 3))
        held = decisions(server)[0]
        lib.check("and never scales in", held["to"] >= before["to"], held)
        lib.check_equal("no scaler of that name", server.get("/api/v1/scalers/nobody").status, 404)
        lib.check_equal("a limit that is none", server.get("/api/v1/scalers/shop/decisions?limit=x").status, 400)

        bad = run.server(data="bad", config="scalers:\n  - name: x\n    load: sum(a\n", ready=False)
        lib.check("a bad load query stops the start", bad.wait(10) not in (0, None), bad.log())
        lib.check_contains("and is named with its place", bad.log(), "tidewatch.yml:3:")


main()
lib.done()
