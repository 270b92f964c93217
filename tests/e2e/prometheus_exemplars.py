#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same exemplars, by remote_write 1.0 and 2.0, to the server and to a real Prometheus: both answer
query_exemplars byte for byte alike. Then kill -9: nothing that was acknowledged is missing."""

import http.client
import os
import random
import time
import urllib.parse

import lib
import messages

CONFIG = "storage: {exemplars_max: 200}\n"
PROMETHEUS_CONFIG = """
global: {scrape_interval: 1h}
storage: {exemplars: {max_exemplars: 200}}
"""
VALUES = (0, -0.0, 1, 0.1, -2.5, 1e-7, 1e21, 123456789.125, float("inf"), float("-inf"), float("nan"))


def batches(start_ms, seed):
    """Requests in an order that also brings old ones, the same again, and ties."""
    rng = random.Random(seed)
    newest = {}
    for round in range(60):
        series_list = []
        for name in rng.sample(range(8), rng.randint(1, 4)):
            series = {"__name__": "http_seconds_%d" % (name % 3), "path": "/%d\"\\\n\u00e9" % name}
            exemplars = []
            for _ in range(rng.randint(0, 4)):
                step = rng.choice((-5000, -1, 0, 0, 1, 250, 250, 1000, 7000))
                at = newest.get(name, start_ms) + step
                newest[name] = max(newest.get(name, at), at)
                labels = {"trace_id": "%x" % rng.getrandbits(60)} if rng.random() < 0.8 else {}
                if rng.random() < 0.2:
                    labels = {"trace_id": str(rng.randint(0, 3)), "span": "\u4e16\u754c <&>", "none": ""}
                if rng.random() < 0.05:
                    labels["long"] = "x" * 128
                exemplars.append((labels, rng.choice(VALUES[:-1]), at))
                if rng.random() < 0.2:
                    exemplars.append(exemplars[-1])
            series_list.append({"labels": series, "exemplars": exemplars,
                                "samples": [(start_ms + round * 1000, rng.random())]})
        yield series_list


QUERIES = (
    "http_seconds_0", "http_seconds_1", '{__name__=~"http.*"}', '{path!=""}', "{path=~'/[0-3].*'}",
    "rate(http_seconds_0[5m]) / on (path) http_seconds_1", "sum(http_seconds_2 offset 1h)",
    "http_seconds_0 or http_seconds_0", "1 + 1", "nothing", "time()", "histogram_quantile(0.9, "
    "sum by (le) (rate(http_seconds_1[1m])))", "sum(", "{}",
)


def ask(port, parameters):
    answer = lib.request(port, "GET", "/api/v1/query_exemplars?" + urllib.parse.urlencode(parameters))
    return answer.status, answer.text.rstrip("\n")


def compare(what, ours, theirs, start_ms):
    differences = []
    ranges = ({}, {"start": start_ms / 1000}, {"end": start_ms / 1000 + 5},
              {"start": start_ms / 1000 + 1.25, "end": start_ms / 1000 + 20.001},
              {"start": "2020-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"},
              {"start": 5, "end": 4}, {"start": "nonsense"}, {"end": "x"})
    found = 0
    for query in QUERIES:
        for part in ranges:
            parameters = {"query": query, **part}
            us, them = ask(ours, parameters), ask(theirs, parameters)
            found += us[1].count('"timestamp"')
            if us != them:
                at = next((i for i, (a, b) in enumerate(zip(us[1], them[1])) if a != b), 0)
                differences.append((parameters, us[0], them[0], us[1][max(0, at - 150):at + 150],
                                    them[1][max(0, at - 150):at + 150]))
    lib.check("%s: %d answers are equal, with %d exemplars" %
              (what, len(QUERIES) * len(ranges), found), not differences and found > 100,
              "%d differ, the first: %r" % (len(differences), differences[:1]))


def prometheus(run, program):
    port = lib.free_port()
    config = run.file("prometheus.yml", PROMETHEUS_CONFIG)
    peer = run.program(program, "--config.file", config, "--storage.tsdb.path", run.path("tsdb"),
                       "--enable-feature=exemplar-storage", "--web.enable-remote-write-receiver",
                       "--web.listen-address", "127.0.0.1:%d" % port)

    def ready():
        try:
            return lib.request(port, "GET", "/-/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    if not lib.check("prometheus starts", lib.wait_for(ready, 20), peer.log()):
        return
    server = run.server(config=CONFIG)
    start_ms = int(time.time() * 1000) - 600000
    for encode, headers, name in ((messages.encode_write, messages.HEADERS, "1.0"),
                                  (messages.encode_write_2, messages.HEADERS_2, "2.0")):
        written = []
        for series_list in batches(start_ms, name):
            body = lib.snappy(encode(series_list))
            ours = server.request("POST", "/api/v1/write", body, headers)
            theirs = lib.request(port, "POST", "/api/v1/write", body, headers)
            # Prometheus calls a 2.0 request with a bad exemplar a bad one; the rest it stores.
            if ours.status != 204 or (theirs.status != 204 and name == "1.0"):
                lib.check("%s: both take it" % name, False, (ours, theirs))
            key = "X-Prometheus-Remote-Write-Exemplars-Written"
            written.append((ours.headers.get(key), theirs.headers.get(key)))
        lib.check("%s: both say how many they took" % name, all(a == b for a, b in written), written)
        compare("after %s" % name, server.port, port, start_ms)
        start_ms += 300000
    before = ask(server.port, {"query": '{__name__=~".+"}'})
    server.kill()
    server = run.server(port=server.port, config=CONFIG)
    lib.check_equal("after kill -9: the same answer", ask(server.port, {"query": '{__name__=~".+"}'}),
                    before)
    compare("after kill -9", server.port, port, start_ms - 600000)
    lib.check_equal("flush", server.post("/api/v1/admin/tsdb/flush").status, 204)
    lib.check_equal("server stops cleanly", server.stop(), 0)
    server = run.server(port=server.port, config=CONFIG)
    compare("after a restart", server.port, port, start_ms - 600000)


with lib.Run() as run:
    program = lib.peer("PROMETHEUS_BIN")
    if program:
        prometheus(run, os.path.abspath(program))
    else:
        lib.skip("exemplars", "PROMETHEUS_BIN is not set")
lib.done()
