#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A few hundred expressions, instant and range, over the same seeded data: the server answers what a real
Prometheus answers, values, labels, annotations and error sentences; and prints and parses them alike. PROMQL_DIFF_SEED chooses the data."""

import itertools
import json
import math
import os
import random
import urllib.parse

import lib

SEED = int(os.environ.get("PROMQL_DIFF_SEED", "1"))
STALE = 0x7ff0000000000002
BASE_MS = int(lib.time.time() * 1000) - 3 * 3600 * 1000
SPAN_MS = 3600 * 1000

# Each set is compared by itself: names are removed at once, and late.
FEATURES = ("promql-experimental-functions", "promql-experimental-functions,promql-delayed-name-removal")
CONFIG = "global: {evaluation_interval: 1m}\nstorage: {tsdb: {out_of_order_time_window: 1000d}}\n"


def times(rand, interval_ms):
    at = BASE_MS + rand.randrange(1, interval_ms)
    while at < BASE_MS + SPAN_MS:
        yield at + rand.randrange(0, 700)
        at += interval_ms


def data(rand):
    series = []
    for job, instance, code in itertools.product(("api", "web"), ("h1:80", "h2:80"), ("200", "500")):
        value, samples = 0.0, []
        for at in times(rand, 15000):
            value = 0.0 if rand.random() < 0.01 else value + rand.randrange(0, 40)
            if rand.random() > 0.03:
                samples.append((at, value))
        series.append(({"__name__": "requests_total", "job": job, "instance": instance, "code": code}, samples))
    for instance, zone in itertools.product(("h1:80", "h2:80", "h3:80"), ("a", "b")):
        series.append(({"__name__": "temp", "instance": instance, "zone": zone},
                       [(at, round(20 + rand.gauss(0, 5), 3)) for at in times(rand, 20000)]))
        series.append(({"__name__": "up", "instance": instance, "zone": zone},
                       [(at, float(rand.random() < 0.9)) for at in times(rand, 15000)]))
    for instance in ("h1:80", "h2:80", "h3:80"):
        series.append(({"__name__": "build", "instance": instance, "version": "v%d" % rand.randrange(3)},
                       [(at, 1.0) for at in times(rand, 60000)]))
        flapping, on = [], True
        for at in times(rand, 15000):
            if rand.random() < 0.06:
                on = not on
                if not on:
                    flapping.append((at, STALE))
            elif on:
                flapping.append((at, float(rand.randrange(0, 9))))
        series.append(({"__name__": "flapping", "instance": instance}, flapping))
    for kind, value in (("nan", math.nan), ("inf", math.inf), ("minus", -math.inf), ("zero", 0.0), ("huge", 1e308)):
        series.append(({"__name__": "odd", "kind": kind}, [(at, value) for at in times(rand, 30000)]))
    bounds = ("0.1", "0.5", "1", "5", "+Inf")
    for job in ("api", "web"):
        counts, rows = [0.0] * len(bounds), []
        for at in times(rand, 15000):
            for _ in range(rand.randrange(0, 9)):
                seconds = rand.lognormvariate(-1, 1)
                counts = [count + (seconds <= float(bound)) for count, bound in zip(counts, bounds)]
            rows.append((at, counts))
        for i, bound in enumerate(bounds):
            series.append(({"__name__": "latency_bucket", "job": job, "le": bound},
                           [(at, row[i]) for at, row in rows]))
    series.append(({"__name__": "a.b", "x.y": "d\u00e9j\u00e0 \"vu\"\n"}, [(at, 5.0) for at in times(rand, 30000)]))
    return series


def expressions():
    ranges = ("requests_total[5m]", "temp[3m]", "flapping[2m]", "odd[5m]", "temp[45s] offset 2m",
              "temp[4m] @ end()", "(temp * 2)[5m:30s]", "rate(requests_total[2m])[6m:1m]")
    for function in ("rate", "increase", "irate", "delta", "idelta", "deriv", "changes", "resets",
                     "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time",
                     "last_over_time", "stddev_over_time", "stdvar_over_time", "present_over_time",
                     "absent_over_time"):
        for argument in ranges:
            yield "%s(%s)" % (function, argument)
    for argument in ranges:
        yield "quantile_over_time(0.7, %s)" % argument
        yield "predict_linear(%s, 300)" % argument
    for function in ("abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "sgn", "cos", "deg", "round",
                     "absent", "timestamp", "sort", "scalar", "day_of_week", "hour", "year"):
        for argument in ("temp", "odd", "flapping", "nosuch"):
            yield "%s(%s)" % (function, argument)
    for operation in ("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk",
                      "quantile", "count_values"):
        parameter = {"topk": "2, ", "bottomk": "2, ", "quantile": "0.4, ", "count_values": '"v", '}.get(operation, "")
        for grouping in ("", "by (job) ", "without (instance) ", "by (nosuch) "):
            # Which of equal values topk takes is the store's business: ask where none are equal.
            ties = operation in ("topk", "bottomk")
            for argument in ("temp", "odd") if ties else ("requests_total", "odd", "flapping"):
                yield "%s %s(%s%s)" % (operation, grouping, parameter, argument)
    for share in ("0.1", "0.5", "0.9", "-0.1", "-0.5", "-0.9", "1", "0", "1.2", "-7", "NaN", "Inf"):
        for grouping in ("", "by (job) "):
            for argument in ("requests_total", "latency_bucket", '{"a.b"}', "nosuch", "sum by (le) (latency_bucket)"):
                yield "limit_ratio %s(%s, %s)" % (grouping, share, argument)
    # What the planner works out once, or asks the other side for as well.
    yield "temp / (temp + up)"
    yield "temp > on () group_left () avg(temp)"
    yield "sum by (job) (rate(requests_total[2m])) / on (job) sum by (job) (rate(requests_total[2m]))"
    yield "sum by (job) (requests_total) / on () group_left () sum(requests_total)"
    yield "flapping + flapping * flapping"
    yield "odd - odd"
    yield "rate(temp[2m]) - rate(temp[2m])"
    yield "latency_bucket / latency_bucket"
    yield "max_over_time((temp + temp)[5m:1m]) - min_over_time((temp + temp)[5m:1m])"
    yield "(temp @ end()) + (temp @ end()) - temp"
    for operator in ("/", "and", "unless", "or", "> bool"):
        yield 'requests_total{job="api"} %s requests_total{code=~"2.."}' % operator
        yield 'temp{zone="a"} %s up{instance!="h2:80"}' % operator
        yield 'sum by (job) (requests_total{code="500"}) %s on (job) sum by (job) (requests_total{job="web"})' % operator
    for operator in ("/", "and", "unless"):
        yield 'temp{zone="a"} %s on (instance) up{instance="h1:80"}' % operator
        yield 'rate(requests_total{job="api"}[2m]) %s ignoring (code) requests_total' % operator
    yield 'temp{instance=~"h1.*"} * on (instance) group_left (version) build'
    yield 'temp{instance=~"h1.*"} * on (instance) group_left (version) sum by (instance, version) (build)'
    yield 'sum by (instance) (temp{instance=~"h[12].*"}) + on (instance) sum by (instance) (up) * on (instance) sum by (instance) (temp)'
    for operator in ("+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<=", "> bool"):
        yield "temp %s 20" % operator
        yield "20 %s temp" % operator
        yield "temp %s up" % operator
        yield "temp %s on (instance) group_left (version) build" % operator
        yield "build %s on (instance) group_right temp" % operator
        yield "temp %s on (zone) up" % operator
    for operator in ("and", "or", "unless"):
        for matching in ("", "on (instance)", "ignoring (zone)", "on ()"):
            yield "temp %s %s flapping" % (operator, matching)
    for quantile in ("0", "0.5", "0.99", "1", "2", "NaN"):
        yield "histogram_quantile(%s, rate(latency_bucket[5m]))" % quantile
        yield "histogram_quantile(%s, sum by (le) (latency_bucket))" % quantile
    yield from ('{"a.b"}', '{"a.b", "x.y"=~"d.*"}', "1 + 2 ^ 3 ^ 0.5", "time()", "vector(pi())", '"text"', "-temp",
                'label_replace(temp, "zone", "$1-$2", "instance", "(h)(.).*")', 'label_join(temp, "i", "/", "zone", "zone")',
                "clamp(temp, 18, 22)", "temp offset -1m", "temp @ start()", "sum(temp) / count(temp) > bool 19")
    yield from ("1 +", "sum(", "up{job=x}", "{}", "nosuch(up)", "rate(up)", "1 == 1", "up and 1", "up[5m][5m]",
                "abs(up, 1)", "up offset 5m offset 5m", "(up) offset 5m @", "sum by job (up)", "up{a=~\"[\"}",
                "topk(up, 1)", "up + on (a) group_left (a) up", "\"a", "up)", "a{b", "sum(up) by", "1 + 'x'",
                "label_replace(up, \"a\", \"b\", \"c\", \"(\")", "temp * on (zone) up", "")


def ask(port, kind, form):
    answer = lib.request(port, "POST", "/api/v1/" + kind, urllib.parse.urlencode(form),
                         {"Content-Type": "application/x-www-form-urlencoded"})
    document = json.loads(answer.body)
    document["http"] = answer.status
    return document


def close(a, b):
    a, b = float(a), float(b)
    return a == b or (a != a and b != b) or abs(a - b) <= 1e-9 + 1e-9 * (abs(a) + abs(b))


def points(series):
    return series["values"] if "values" in series else [series["value"]]


def difference(theirs, ours):
    """None when equal, else what differs."""
    if (theirs["status"], theirs["http"], theirs.get("errorType")) != (
            ours["status"], ours["http"], ours.get("errorType")):
        return "%s, ours %s" % (json.dumps(theirs)[:200], json.dumps(ours)[:200])
    if theirs["status"] != "success":
        return None
    for key in ("warnings", "infos"):
        if sorted(theirs.get(key, [])) != sorted(ours.get(key, [])):
            return "%s %r, ours %r" % (key, theirs.get(key), ours.get(key))
    theirs, ours = theirs["data"], ours["data"]
    if theirs["resultType"] != ours["resultType"]:
        return "type %s, ours %s" % (theirs["resultType"], ours["resultType"])
    if theirs["resultType"] in ("scalar", "string"):
        a, b = theirs["result"], ours["result"]
        same = a[1] == b[1] if theirs["resultType"] == "string" else close(a[1], b[1])
        return None if same and close(a[0], b[0]) else "%r, ours %r" % (a, b)
    index = {json.dumps(series["metric"], sort_keys=True): series for series in ours["result"]}
    if len(index) != len(theirs["result"]):
        return "%d series, ours %d" % (len(theirs["result"]), len(index))
    for series in theirs["result"]:
        other = index.get(json.dumps(series["metric"], sort_keys=True))
        if other is None:
            return "ours lacks %r" % series["metric"]
        if len(points(series)) != len(points(other)):
            return "%r has %d points, ours %d" % (series["metric"], len(points(series)), len(points(other)))
        for a, b in zip(points(series), points(other)):
            if not close(a[0], b[0]) or not close(a[1], b[1]):
                return "%r: %r, ours %r" % (series["metric"], a, b)
    return None


def main():
    program = lib.peer("PROMETHEUS_BIN")
    if not program:
        lib.skip("PromQL beside Prometheus", "PROMETHEUS_BIN names no program")
        return
    for features in FEATURES:
        compare(program, features)


def compare(program, features):
    switch = "--enable-feature=" + features
    with lib.Run() as run:
        server = run.server(arguments=["--retention", "off", switch])
        port = lib.free_port()
        run.program(program, "--config.file", run.file("prometheus.yml", CONFIG),
                    "--storage.tsdb.path", run.path("tsdb"), "--web.listen-address", "127.0.0.1:%d" % port,
                    "--web.enable-remote-write-receiver", switch, "--storage.tsdb.retention.time", "100y")

        def ready():
            with lib.contextlib.suppress(OSError, lib.http.client.HTTPException):
                return lib.request(port, "GET", "/-/ready").status == 200

        if not lib.check("Prometheus starts", lib.wait_for(ready, 20)):
            return
        rand = random.Random(SEED)
        body = lib.snappy(lib.encode_write(data(rand)))
        for name, target in (("Prometheus", port), ("the server", server.port)):
            answer = lib.request(target, "POST", "/api/v1/write", body, lib.WRITE_HEADERS)
            lib.check_equal("%s takes the data" % name, answer.status, 204)
        compared, differences, sentences = 0, [], [0, 0]
        for text in expressions():
            at = (BASE_MS + rand.randrange(SPAN_MS // 4, SPAN_MS)) / 1000
            start = (BASE_MS + rand.randrange(0, SPAN_MS // 2)) / 1000
            step = rand.choice((7, 15, 60, 61.5))
            for kind, form in (("query", {"time": repr(at)}),
                               ("query_range", {"start": repr(start), "end": repr(start + 40 * step), "step": str(step)})):
                form["query"] = text
                theirs, ours = ask(port, kind, form), ask(server.port, kind, form)
                compared += 1
                found = difference(theirs, ours)
                if found:
                    differences.append("%s %s: %s" % (kind, text, found))
                if theirs["status"] != "success":
                    sentences[theirs.get("error") == ours.get("error")] += 1
            for kind in ("format_query", "parse_query"):
                theirs, ours = (ask(target, kind, {"query": text}) for target in (port, server.port))
                compared += 1
                if theirs.get("data") != ours.get("data"):
                    differences.append("%s %s: %r, not %r" % (kind, text, ours.get("data"), theirs.get("data")))
        lib.check("all %d answers agree with Prometheus's (seed %d, %s)" % (compared, SEED, features), not differences,
                  "%d differ:\n        %s" % (len(differences), "\n        ".join(differences[:30])))
        lib.check("of %d refusals most have the same sentence (%d)" % (sum(sentences), sentences[1]),
                  sentences[1] * 2 > sum(sentences))


main()
lib.done()
