#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same numbers and native histograms, by remote_write 1.0 and 2.0, to the server and to a real
Prometheus; then both are read back by remote read, as samples and as streamed chunks. Samples are equal
bit for bit, histograms but for empty buckets (Prometheus adds some). A Prometheus that reads from the
server by remote read answers queries as the one that has the data itself."""

import http.client
import json
import os
import random
import struct
import time
import urllib.parse

import lib
import messages

STALE = 0x7FF0000000000002
CONFIG = """
global: {scrape_interval: 1h}
storage: {tsdb: {out_of_order_time_window: 2h}}
"""
READER_CONFIG = """
global: {scrape_interval: 1h}
remote_read: [{url: "%s/api/v1/read", read_recent: true}]
"""
STEP_MS = 15000
SPAN_MS = 5400000
ARGUMENTS = ("--self-interval", "off")  # nothing but what is sent


def bits(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


# ---- numbers -------------------------------------------------------------------------------------


def number_series(rng, start_ms):
    at = start_ms
    shape = rng.randrange(5)
    value = 0.0
    samples = []
    for index in range(rng.choice((1, 2, 3, 119, 120, 121, 300))):
        if shape == 0:
            value += rng.randrange(100)
        elif shape == 1:
            value = rng.gauss(0, 1e6)
        elif shape == 2:
            value = rng.choice((0.0, -0.0, 1.0, float("inf"), float("-inf"), 5e-324, 1.7e308))
        elif shape == 3:
            value = round(rng.random() * 100, 2)
        item = value
        if rng.random() < 0.03:
            item = rng.choice((STALE, 0x7FF8000000000001, 0xFFF8000000000000))
        samples.append((at, item))
        at += rng.choice((STEP_MS, STEP_MS, STEP_MS + rng.randrange(-20, 20), 1, 7000, 70000))
        if at > start_ms + SPAN_MS:
            break
    return samples


# ---- histograms ----------------------------------------------------------------------------------


def spans_of(numbers):
    spans, before = [], None
    for number in numbers:
        if before is not None and number == before + 1:
            spans[-1][1] += 1
        else:
            spans.append([number - (0 if before is None else before + 1), 1])
        before = number
    return [tuple(span) for span in spans]


class Source:
    """A histogram that is observed: counts grow, buckets come, and now and then it starts anew."""

    def __init__(self, rng, kind):
        self.rng, self.kind = rng, kind
        self.schema = -53 if kind == "custom" else rng.choice((-4, 0, 3, 8))
        self.custom = sorted(set(round(rng.random() * 100, rng.choice((0, 1, 5))) for _ in range(6)))
        self.threshold = 0.001 if kind == "integer" else rng.choice((0.0, 2.938735877055719e-39, 0.5))
        self.reset()

    def reset(self):
        self.zero, self.sum = 0, 0.0
        # A quantile depends on whether a side is empty, and Prometheus's store adds empty buckets.
        self.positive, self.negative = {0: 1}, {} if self.kind == "custom" else {0: 1}

    def observe(self):
        rng = self.rng
        for _ in range(rng.randrange(1, 6)):
            side = self.positive if self.kind == "custom" or rng.random() < 0.8 else self.negative
            number = rng.randrange(len(self.custom) + 1) if self.kind == "custom" else rng.randrange(-4, 9)
            side[number] = side.get(number, 0) + rng.choice((1, 1, 2, 1000))
            self.sum += rng.gauss(1, 1)
        if self.kind != "custom" and rng.random() < 0.3:
            self.zero += 1

    def sample(self, time_ms, hint=0):
        is_float = self.kind in ("float", "float gauge")
        scale = 0.5 if is_float else 1
        sides = {}
        for name, side in (("positive", self.positive), ("negative", self.negative)):
            numbers = sorted(side)
            counts = [side[number] * scale for number in numbers]
            if not is_float:
                counts = [count - (counts[i - 1] if i else 0) for i, count in enumerate(counts)]
            sides[name] = (spans_of(numbers), counts)
        total = sum(self.positive.values()) + sum(self.negative.values()) + self.zero
        histogram = {"t": time_ms, "schema": self.schema, "sum": self.sum, "hint": hint, "float": is_float,
                     "count": total * scale, "zero_count": self.zero * scale,
                     "zero_threshold": 0.0 if self.kind == "custom" else self.threshold, **sides}
        if self.kind == "custom":
            histogram["custom"] = self.custom
        return histogram


def stale_histogram(time_ms, is_float):
    return {"t": time_ms, "schema": 0, "sum": STALE, "count": 0.0 if is_float else 0, "zero_count":
            0.0 if is_float else 0, "float": is_float}


def histogram_series(rng, start_ms, kind):
    source, at, out = Source(rng, kind), start_ms, []
    hint = 3 if "gauge" in kind else 0
    for _ in range(rng.choice((1, 2, 50, 121, 200))):
        if rng.random() < (0.3 if hint else 0.02):
            source.reset()
        source.observe()
        if rng.random() < 0.03 and not hint:
            out.append(stale_histogram(at, "float" in kind))
        else:
            out.append(source.sample(at, hint))
        at += rng.choice((STEP_MS, STEP_MS, STEP_MS + 3, 61000))
        if at > start_ms + SPAN_MS:
            break
    return out


# ---- requests ------------------------------------------------------------------------------------

KINDS = ("integer", "float", "gauge", "float gauge", "custom")


def cut(items, rng, late):
    """Requests of a series' items, in order, or with some of them late."""
    groups = [[]]
    for item in items:
        groups[-1].append(item)
        if rng.random() < 0.1:
            groups.append([])
    groups = [group for group in groups if group]
    if late and len(groups) > 3:
        for _ in range(len(groups) // 4):
            first = rng.randrange(len(groups) - 1)
            groups[first], groups[first + 1] = groups[first + 1], groups[first]
    return groups


def make_requests(version, start_ms, late):
    """Lists of series, each list one request."""
    rng = random.Random("%s %s" % (version, late))
    plans = []
    for number in range(25):
        labels = {"__name__": "number_%d" % (number % 4), "n": str(number), "proto": version}
        plans.append((labels, "samples", number_series(rng, start_ms)))
    for number in range(30):
        kind = KINDS[number % len(KINDS)]
        labels = {"__name__": "latency", "n": str(number), "kind": kind, "proto": version}
        plans.append((labels, "histograms", histogram_series(rng, start_ms, kind)))
    for labels, key, items in plans:
        labels["late"] = str(late)
        labels["none"] = ""
        del labels["none"]
        for group in cut(items, rng, late):
            yield [{"labels": labels, key: group}]


def send(server, port, version, start_ms, late):
    encode, headers = ((messages.encode_write, messages.HEADERS) if version == "1.0" else
                       (messages.encode_write_2, messages.HEADERS_2))
    refused = []
    count = 0
    for series_list in make_requests(version, start_ms, late):
        body = lib.snappy(encode(series_list))
        ours = server.request("POST", "/api/v1/write", body, headers)
        theirs = lib.request(port, "POST", "/api/v1/write", body, headers)
        count += 1
        if ours.status != 204 or theirs.status != 204:
            refused.append((ours, theirs, series_list))
    lib.check("%s%s: both take %d requests" % (version, ", late ones" if late else "", count),
              not refused, refused[:1])


# ---- reading -------------------------------------------------------------------------------------


def read(port, queries, kind):
    answer = lib.request(port, "POST", "/api/v1/read",
                         lib.snappy(messages.encode_read(queries, [kind])), messages.READ_HEADERS)
    if answer.status != 200:
        raise RuntimeError("read: %r" % answer)
    if kind == messages.CHUNKS:
        assert answer.headers["Content-Type"] == \
            "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse", answer.headers
        return messages.decode_chunks(answer.body, len(queries))
    assert answer.headers["Content-Encoding"] == "snappy", answer.headers
    return messages.decode_samples(messages.unsnappy(answer.body))


MINUS_ZERO = 1 << 63


def normal(result, start_ms=None, end_ms=None):
    """Comparable; in the range (whole chunks are sent). A stale marker ends both kinds of samples;
    Prometheus sends -0 as 0 among samples, and histograms there without their custom bounds."""
    out = {}
    for labels, (samples, histograms) in result.items():
        items = [(t, "stale" if value == STALE else 0 if value == MINUS_ZERO else value)
                 for t, value in samples]
        items += [h.key() for h in histograms]
        items = [item for item in items if start_ms is None or start_ms <= item[0] <= end_ms]
        if items:
            out[labels] = sorted(items, key=lambda item: item[0])
    return out


def drop_bounds(result):
    for _, histograms in result.values():
        for h in histograms:
            h.custom = []
    return result


def hints_agree(ours, theirs):
    """Where one says that counting began anew, the other does not say that it did not. Of late ones
    Prometheus says what it saw in the order of arrival."""
    for labels in ours:
        if ("late", "True") in labels:
            continue
        other = {h.t: h for h in theirs[labels][1]}
        for h in ours[labels][1]:
            if {h.hint, other[h.t].hint} == {1, 2} and not h.stale():
                return labels, h.t, h.hint, other[h.t].hint
    return None


def compare(what, server, port, start_ms, end_ms):
    every = [(1, "__name__", "")]
    queries = [(start_ms, end_ms, every),
               (start_ms + 333333, start_ms + 999999, every),
               (start_ms, start_ms, [(0, "__name__", "latency")]),
               (start_ms, end_ms, [(2, "__name__", "number_[12]"), (1, "n", "5"), (3, "proto", "1.*")]),
               (start_ms, end_ms, [(0, "__name__", "nothing")]),
               (end_ms, start_ms, every)]
    for kind, name in ((messages.SAMPLES, "samples"), (messages.CHUNKS, "chunks")):
        ours, theirs = read(server.port, queries, kind), read(port, queries, kind)
        different = []
        count = 0
        for index, (first_ms, last_ms, _) in enumerate(queries):
            if kind == messages.SAMPLES:
                for side in (ours, theirs):
                    drop_bounds(side[index])
            us, them = (normal(side[index], first_ms, last_ms) for side in (ours, theirs))
            count += sum(map(len, us.values()))
            if us != them:
                for labels in set(us) | set(them):
                    a, b = us.get(labels, []), them.get(labels, [])
                    if a != b:
                        pair = next((p for p in zip(a, b) if p[0] != p[1]), None)
                        different.append((index, labels, len(a), len(b), pair))
        lib.check("%s: both give the same %d samples as %s" % (what, count, name),
                  not different and count > 10000, "%d series, the first: %r" %
                  (len(different), different[:1]))
        if not different:
            clash = hints_agree(ours[0], theirs[0])
            lib.check("%s: what %s say of counter resets agrees" % (what, name), clash is None, clash)
    ours, theirs = (normal(drop_bounds(read(p, queries[:1], messages.SAMPLES)[0]))
                    for p in (server.port, port))
    lib.check("%s: no sample outside the range" % what, ours == theirs)


def compare_bytes(server, port, start_ms, end_ms):
    """Where a series fits into one chunk with Prometheus, ours is the same, byte for byte."""
    body = lib.snappy(messages.encode_read([(start_ms, end_ms, [(0, "late", "False")])], [messages.CHUNKS]))
    found = [{labels: chunks for _, labels, chunks in messages.decode_frames(
        lib.request(p, "POST", "/api/v1/read", body, messages.READ_HEADERS).body)}
        for p in (server.port, port)]
    alike = {1: 0, 2: 0, 3: 0}
    different = []
    for labels, chunks in found[1].items():
        for ours, theirs in zip(found[0][labels], chunks):
            if ours[:2] == theirs[:2] and ours[2] == theirs[2] == 1 and ours[3] != theirs[3]:
                different.append((labels, ours[3].hex(), theirs[3].hex()))
            alike[ours[2]] += ours == theirs
    lib.check("chunks that are alike byte for byte: %d of numbers, %d and %d of histograms" %
              tuple(alike.values()), not different and min(alike.values()) > 0, different[:1])


# ---- a Prometheus that reads from the server -------------------------------------------------------

EXPRESSIONS = (
    "number_0", "sum by (n) (rate(number_1[5m]))", "latency", "histogram_count(latency)",
    "histogram_quantile(0.9, latency)", "rate(latency[3m])", "sum(histogram_count(latency))",
    "increase(latency{kind=\"float\"}[10m])", "resets(latency[20m])", "count_over_time(latency[10m])",
    "changes(number_2[10m])", "delta(latency{kind=~\".*gauge\"}[5m])", "histogram_sum(latency{kind=\"custom\"})",
)


def same_value(a, b):
    """Recursively; floats computed from other layouts may differ in the last digits."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_value(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_value, a, b))
    if a == b:
        return True
    try:
        x, y = float(a), float(b)
    except (TypeError, ValueError):
        return False
    return x == y or (x != x and y != y) or abs(x - y) <= 1e-9 * max(abs(x), abs(y), 1)


def first_difference(a, b):
    for key in ("values", "histograms"):
        for pair in zip(a.get(key, ()), b.get(key, ())):
            if not same_value(*pair):
                return a["metric"], pair
    return str(a)[:700], str(b)[:700]


def ask(port, expression, start_ms, end_ms):
    form = {"query": expression, "start": start_ms / 1000, "end": end_ms / 1000, "step": 60}
    answer = lib.request(port, "GET", "/api/v1/query_range?" + urllib.parse.urlencode(form), timeout=60)
    parsed = json.loads(answer.body)
    if parsed["status"] != "success":
        return parsed
    return sorted(parsed["data"]["result"], key=lambda item: json.dumps(item["metric"], sort_keys=True))


def read_through(run, program, server, port, start_ms, end_ms):
    reader_port = lib.free_port()
    reader = start_prometheus(run, program, reader_port, READER_CONFIG % server.url, "reader")
    if not reader:
        return
    different = []
    points = 0
    for expression in EXPRESSIONS:
        ours, theirs = (ask(p, expression, start_ms, end_ms) for p in (reader_port, port))
        points += sum(len(item.get("values", ())) + len(item.get("histograms", ())) for item in theirs)
        if not same_value(ours, theirs):
            pair = next((p for p in zip(ours, theirs) if not same_value(*p)), (ours, theirs))
            different.append((expression, first_difference(*pair)))
    lib.check("a Prometheus that reads from the server answers %d queries alike, %d points" %
              (len(EXPRESSIONS), points), not different and points > 1000,
              "%d differ: %s; the first: %s" % (len(different), [d[0] for d in different], different))
    reader.stop()


# ---- where counting began --------------------------------------------------------------------------


NATIVE = (("__name__", "native"),)


def counters(start_ms):
    """Requests of one series each: told with the first sample, again, after a reset, too late, never."""
    source = Source(random.Random(7), "integer")
    for step in range(20):
        at = start_ms + step * STEP_MS
        began = start_ms - 5000 if step < 10 else start_ms + 9 * STEP_MS + 4000
        yield {"labels": {"__name__": "told"}, "samples": [(at, float(step + 1))], "created_ms": began}
        yield {"labels": {"__name__": "never"}, "samples": [(at, float(step + 1))]}
        yield {"labels": {"__name__": "late"}, "samples": [(at, float(step + 1))],
               "created_ms": start_ms - 7000 if step > 3 else 0}
        yield {"labels": {"__name__": "ahead"}, "samples": [(at, 1.0)], "created_ms": at + 1}
        yield {"labels": {"__name__": "here"}, "samples": [(at, 1.0)], "created_ms": at}
        source.observe()
        yield {"labels": {"__name__": "native"}, "histograms": [source.sample(at)], "created_ms": began}


def zeros(run, program):
    """With the same feature on, both put a zero where counting began."""
    feature = "created-timestamp-zero-ingestion"
    port = lib.free_port()
    peer = start_prometheus(run, program, port, CONFIG, "zeros", feature)
    server = run.server(data="zeros-here", arguments=ARGUMENTS + ("--enable-feature", feature))
    if not peer:
        return
    start_ms = int(time.time() * 1000) - 1800000
    for series in counters(start_ms):
        body = lib.snappy(messages.encode_write_2([series]))
        answers = [lib.request(p, "POST", "/api/v1/write", body, messages.HEADERS_2).status
                   for p in (server.port, port)]
        if answers != [204, 204]:
            lib.check("zeros: both take it", False, (answers, series))
    query = [(start_ms - 60000, start_ms + 3600000, [(1, "__name__", "")])]
    ours, theirs = (normal(read(p, query, messages.CHUNKS)[0]) for p in (server.port, port))
    for side in (ours, theirs):  # schema and threshold of an empty one: ours are those of the series
        side[NATIVE] = [(item[0], "empty") if item[3] == 0 else item for item in side.get(NATIVE, ())]
    lib.check_equal("two empty histograms", sum(item[1] == "empty" for item in ours[NATIVE]), 2)
    lib.check("zeros where counting began are the same, %d samples" % sum(map(len, ours.values())),
              ours == theirs and len(ours) == 6, [(k, ours.get(k), v) for k, v in theirs.items()
                                                  if ours.get(k) != v][:1])
    told = ours[(("__name__", "told"),)]
    lib.check_equal("two of them", [t for t, value in told if value == 0],
                    [start_ms - 5000, start_ms + 9 * STEP_MS + 4000])
    # Another value for a time that is there: here the last one counts, there the first.
    for value in (3.5, 4.5):
        body = lib.snappy(messages.encode_write([{"labels": {"__name__": "again"},
                                                  "samples": [(start_ms, value)]}]))
        for p in (server.port, port):
            lib.request(p, "POST", "/api/v1/write", body, messages.HEADERS)
    query = [(start_ms, start_ms, [(0, "__name__", "again")])]
    lib.check_equal("overwritten: the last one wins, and with Prometheus the first", [
        read(p, query, messages.SAMPLES)[0][(("__name__", "again"),)][0] for p in (server.port, port)],
        [[(start_ms, bits(4.5))], [(start_ms, bits(3.5))]])
    peer.stop()
    server.stop()


def start_prometheus(run, program, port, config, name, features=""):
    peer = run.program(program, "--config.file", run.file(name + ".yml", config),
                       "--storage.tsdb.path", run.path(name),
                       "--enable-feature=native-histograms," + features,
                       "--web.enable-remote-write-receiver", "--web.listen-address",
                       "127.0.0.1:%d" % port)

    def ready():
        try:
            return lib.request(port, "GET", "/-/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    return peer if lib.check(name + " starts", lib.wait_for(ready, 20), peer.log()) else None


def prometheus(run, program):
    port = lib.free_port()
    if not start_prometheus(run, program, port, CONFIG, "prometheus"):
        return
    server = run.server(arguments=ARGUMENTS)
    end_ms = int(time.time() * 1000)
    start_ms = end_ms - SPAN_MS
    for version in ("1.0", "2.0"):
        for late in (False, True):
            send(server, port, version, start_ms, late)
    compare("from the head", server, port, start_ms, end_ms + 10800000)
    compare_bytes(server, port, start_ms, end_ms + 10800000)
    read_through(run, program, server, port, start_ms, end_ms)
    lib.check_equal("flush", server.post("/api/v1/admin/tsdb/flush").status, 204)
    compare("from a partition", server, port, start_ms, end_ms + 10800000)
    server.kill()
    server = run.server(port=server.port, arguments=ARGUMENTS)
    compare("after kill -9", server, port, start_ms, end_ms + 10800000)


with lib.Run() as run:
    program = lib.peer("PROMETHEUS_BIN")
    if program:
        prometheus(run, os.path.abspath(program))
        zeros(run, os.path.abspath(program))
    else:
        lib.skip("remote read", "PROMETHEUS_BIN is not set")
lib.done()
