#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a query says of itself with stats=all: the samples of each step, in all, and the times; beside a
real Prometheus the same numbers and keys."""

import time
import urllib.parse

import lib

FEATURE = "--enable-feature=promql-per-step-stats"
CONFIG = "global: {evaluation_interval: 1m}\nstorage: {tsdb: {out_of_order_time_window: 1000d}}\n"
BASE = int(time.time()) // 600 * 600 - 3600
TIMINGS = ["evalTotalTime", "resultSortTime", "queryPreparationTime", "innerEvalTime", "execQueueTime", "execTotalTime"]
EXPRESSIONS = (
    "m", "sum(m)", "rate(m_total[2m])", "m + on (i) m_total", "m offset 3m", "max_over_time(m[90s:10s])", "m @ %d" % BASE,
    "sum(rate(m_total[5m] @ end()))", "quantile_over_time(0.5, m[3m]) > 2 or m", "absent(nosuch)", "time()", "vector(1)",
    "timestamp(m)", "last_over_time(sum(rate(m_total[1m]))[3m:20s])", "topk(1, m)", "sum(m offset 1h)", "count_over_time(gap[1m])",
)


def series():
    for i in range(3):
        yield ({"__name__": "m", "i": str(i)}, [((BASE + s) * 1000, s * (i + 1)) for s in range(0, 600, 15)])
        yield ({"__name__": "m_total", "i": str(i)}, [((BASE + s) * 1000, s * (i + 1)) for s in range(0, 600, 10)])
    yield ({"__name__": "gap"}, [((BASE + s) * 1000, s) for s in range(0, 600, 10) if s // 100 % 2])


def ask(port, kind, form):
    body = urllib.parse.urlencode(dict(form, stats="all")).encode()
    answer = lib.request(port, "POST", "/api/v1/" + kind, body, {"Content-Type": "application/x-www-form-urlencoded"})
    return answer.json()["data"]["stats"]


def forms(text):
    yield "query", {"query": text, "time": BASE + 300}
    yield "query_range", {"query": text, "start": BASE + 30.5, "end": BASE + 630, "step": "45.5"}


def numbers(stats):
    samples = stats["samples"]
    return samples.get("totalQueryableSamplesPerStep"), samples["totalQueryableSamples"]


def beside_prometheus(run, server):
    program = lib.peer("PROMETHEUS_BIN")
    if not program:
        lib.skip("stats beside Prometheus", "PROMETHEUS_BIN names no program")
        return
    port = lib.free_port()
    run.program(program, "--config.file", run.file("prometheus.yml", CONFIG), "--storage.tsdb.path", run.path("tsdb"),
                "--web.listen-address", "127.0.0.1:%d" % port, "--web.enable-remote-write-receiver", FEATURE)

    def ready():
        with lib.contextlib.suppress(OSError, lib.http.client.HTTPException):
            return lib.request(port, "GET", "/-/ready").status == 200

    if not lib.check("Prometheus starts", lib.wait_for(ready, 20)):
        return
    answer = lib.request(port, "POST", "/api/v1/write", lib.snappy(lib.encode_write(list(series()))), lib.WRITE_HEADERS)
    lib.check_equal("Prometheus takes the data", answer.status, 204)
    differences = []
    for text in EXPRESSIONS:
        for kind, form in forms(text):
            theirs, ours = ask(port, kind, form), ask(server.port, kind, form)
            if numbers(theirs) != numbers(ours):
                differences.append("%s %s: %s, not %s" % (kind, text, numbers(ours), numbers(theirs)))
            samples = [key for key in ours["samples"] if key != "samplesRead"]  # of newer ones
            if [list(theirs), list(theirs["timings"]), list(theirs["samples"])] != \
                    [list(ours), list(ours["timings"]), samples]:
                differences.append("%s %s: keys %s, not %s" % (kind, text, ours, theirs))
    lib.check("%d stats are Prometheus's" % (2 * len(EXPRESSIONS)), not differences, "\n        ".join(differences))


with lib.Run() as run:
    server = run.server(arguments=["--self-interval", "off", FEATURE])
    server.write(list(series()))
    stats = ask(server.port, "query_range", {"query": "rate(m_total[2m])", "start": BASE + 60, "end": BASE + 180, "step": 60})
    lib.check_equal("windows are counted at each step", stats["samples"]["totalQueryableSamplesPerStep"],
                    [[BASE + 60, 21], [BASE + 120, 36], [BASE + 180, 36]])
    lib.check_equal("and in all", stats["samples"]["totalQueryableSamples"], 93)
    lib.check("what was held at once", 9 <= stats["samples"]["peakSamples"] <= 93, stats)
    lib.check_equal("times", list(stats["timings"]), TIMINGS)
    lib.check("that add up", stats["timings"]["execTotalTime"] >= stats["timings"]["evalTotalTime"] > 0 and
              stats["timings"]["execTotalTime"] >= stats["timings"]["execQueueTime"] >= 0, stats)
    once = ask(server.port, "query_range", {"query": "m @ %d" % (BASE + 60), "start": BASE, "end": BASE + 60, "step": 20})
    lib.check_equal("what is evaluated once counts at each step", [s[1] for s in once["samples"]["totalQueryableSamplesPerStep"]],
                    [3, 3, 3, 3])
    beside_prometheus(run, server)
    plain = run.server(data="plain", arguments=["--self-interval", "off"])
    lib.check_equal("without the feature there is the total alone",
                    list(ask(plain.port, "query", {"query": "1"})["samples"]), ["totalQueryableSamples", "samplesRead", "peakSamples"])
lib.done()
