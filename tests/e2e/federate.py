#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""/federate: the newest samples as text, as a real Prometheus (PROMETHEUS_BIN) gives them for the same data,
and taken up by one that scrapes us."""

import json
import os
import time
import urllib.parse

import lib

NOW = int(time.time())
STALE = 0x7FF0000000000002


def series():
    rows = [({"__name__": "up", "job": "node", "instance": "a:9100"}, [((NOW - 40) * 1000, 1.0), ((NOW - 20) * 1000, 0.0)]),
            ({"__name__": "up", "job": "node", "instance": "b:9100"}, [((NOW - 40) * 1000, 1.0), ((NOW - 10) * 1000, STALE)]),
            ({"__name__": "old", "job": "node"}, [((NOW - 400) * 1000, 1.0)]),
            ({"__name__": "odd", "job": "x", "text": "a\"b\\c\nd"}, [((NOW - 5) * 1000, float("inf"))])]
    for i, value in enumerate((0.1, 1e21, 1e-7, 123456789.125, float("nan"), -0.0)):
        rows.append(({"__name__": "v", "job": "x", "i": str(i)}, [((NOW - 7) * 1000 + 13, value)]))
    return rows


def federate(get):
    query = urllib.parse.urlencode([("match[]", '{job="x"}'), ("match[]", "up"), ("match[]", '{__name__=~"up|old"}')])
    return get("/federate?" + query)


with lib.Run() as run:
    server = run.server(arguments=["--self-interval", "off"])
    server.write(series())
    mine = federate(server.get)
    lib.check_equal("status", mine.status, 200)
    lib.check_contains("what is written", mine.text,
                       '# TYPE up untyped\nup{instance="a:9100",job="node"} 0 %d\n' % ((NOW - 20) * 1000),
                       'odd{job="x",text="a\\"b\\\\c\\nd",instance=""} +Inf',
                       'v{i="1",job="x",instance=""} 1e+21 %d' % ((NOW - 7) * 1000 + 13))
    lib.check("neither stale nor old", "b:9100" not in mine.text and "old" not in mine.text, mine.text)
    lib.check_equal("each series once", mine.text.count('instance="a:9100"'), 1)
    bad = server.get("/federate?match[]=up%7B")
    everything = server.get("/federate?match[]=%7B__name__%3D~%22.%2A%22%7D")
    lib.check("a selector of everything", everything.status == 200 and 'instance="a:9100"' in everything.text, everything.text)
    lib.check("a broken selector", bad.status == 400 and "parse error" in bad.text, bad)
    prometheus = lib.peer("PROMETHEUS_BIN")
    if not prometheus:
        lib.skip("beside Prometheus", "PROMETHEUS_BIN is not set")
        lib.done()
    port = lib.free_port()
    config = {"scrape_configs": [{"job_name": "federate", "honor_labels": True, "metrics_path": "/federate",
                                  "scrape_interval": "1s", "params": {"match[]": ['{job=~"x|node"}']},
                                  "static_configs": [{"targets": ["127.0.0.1:%d" % server.port]}]}]}
    run.program(prometheus, "--config.file=" + run.file("p.yml", json.dumps(config)),
                "--storage.tsdb.path=" + run.path("prometheus"), "--web.listen-address=127.0.0.1:%d" % port,
                "--web.enable-remote-write-receiver")

    def ready():
        try:
            return lib.request(port, "GET", "/-/ready").status == 200
        except OSError:
            return False

    lib.wait_for(ready, 30)

    def scraped():
        query = urllib.parse.urlencode({"query": '{job="x"}', "time": NOW + 60})
        found = lib.request(port, "GET", "/api/v1/query?" + query).json()["data"]["result"]
        return found if len(found) == 7 else None

    found = lib.wait_for(scraped, 20)
    lib.check("Prometheus scrapes what is federated", found is not None)
    lib.request(port, "POST", "/api/v1/write", lib.snappy(lib.encode_write(
        [row for row in series() if row[0]["__name__"] == "up"])), lib.WRITE_HEADERS)
    theirs = federate(lambda target: lib.request(port, "GET", target))

    def parse(text):
        """Numbers as numbers: Go writes 1.5e+08 where we write 150000000."""
        rows = []
        for line in text.splitlines():
            if "job=\"federate\"" in line:
                continue  # what Prometheus says of its own scrape
            name, value, time_ms = line.rsplit(" ", 2)
            rows.append((name, value, time_ms) if line[0] == "#" else (name, repr(float(value) + 0), time_ms))
        return sorted(rows)

    wanted, seen = parse(theirs.text), parse(mine.text)
    lib.check("the same lines as Prometheus's", seen == wanted, "ours %s\ntheirs %s" % (seen, wanted))
lib.done()
