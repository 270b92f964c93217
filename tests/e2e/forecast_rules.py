#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shipped examples of alerts ahead of time (contrib/rules/forecast.yml), on weeks of generated load: they fire
when they should, and not before."""

import math
import os
import random
import re
import time
import urllib.parse

import lib

STEP = 300
DAY = 86400
NOW = int(time.time()) // DAY * DAY - DAY  # a midnight
RULES = os.path.join(lib.SOURCE, "contrib/rules/forecast.yml")
SIZE = 100e9
LEAK = 4 * 3600  # when it begins


def expressions():
    """By alert; what a rule of the file records stands in them as a subquery, since here nothing was recorded."""
    text = open(RULES).read()
    alerts = {name: " ".join(block.split()) for name, block in
              re.findall(r"- alert: (\w+)\n +expr: \|\n(.*?)\n +for:", text, re.S)}
    for name, expression in re.findall(r"- record: (\S+)\n +expr: (.*)\n", text):
        alerts = {alert: re.sub(re.escape(name) + r"\[(\w+)\]", lambda m: "(%s)[%s:5m]" % (expression, m.group(1)), one)
                  for alert, one in alerts.items()}
    return alerts


def disk(kind, seconds, noise):
    """Bytes available, `seconds` after the midnight of NOW."""
    days = (seconds % DAY) / DAY
    backup = 35e9 if days < 0.125 else 0  # a dump that comes each night and goes after three hours
    free = 45e9 - backup + noise * 2e8
    if kind == "leak" and seconds > LEAK:
        free -= 6e9 * (seconds - LEAK) / 3600
    return max(free, 0)


def rate(kind, seconds, noise):
    days = seconds / DAY
    base = 200 + 150 * math.cos(2 * math.pi * (days - 0.375)) + 8 * noise
    if kind == "odd" and 6 * 3600 <= seconds < 8 * 3600:
        base *= 0.3
    return max(base, 0)


def push(server):
    random.seed(7)
    for kind in "quiet", "leak":
        labels = {"__name__": "node_filesystem_avail_bytes", "instance": kind, "mountpoint": "/", "fstype": "ext4"}
        times = range(-14 * DAY, 12 * 3600, STEP)
        server.write([(labels, [((NOW + t) * 1000, disk(kind, t, random.uniform(-1, 1))) for t in times]),
                      (dict(labels, __name__="node_filesystem_size_bytes"), [((NOW + t) * 1000, SIZE) for t in times])])
    for kind, capacity in ("even", 450.0), ("odd", 250.0):
        total, samples = 0.0, []
        for t in range(-16 * DAY, 12 * 3600, STEP):
            total += rate(kind, t, random.uniform(-1, 1)) * STEP
            samples.append(((NOW + t) * 1000, total))
        server.write([({"__name__": "http_requests_total", "job": kind}, samples),
                      ({"__name__": "job:capacity:rps", "job": kind}, [(ms, capacity) for ms, _ in samples])])


def fires(server, expression, label, start, end, step=900):
    """{label value: seconds after NOW at which the expression holds}"""
    target = "/api/v1/query_range?" + urllib.parse.urlencode(
        {"query": expression, "start": NOW + start, "end": NOW + end, "step": step})
    answer = server.get(target).json()
    lib.check_equal("answered: " + expression[:40], answer["status"], "success")
    return {series["metric"][label]: [int(float(time)) - NOW for time, _ in series["values"]]
            for series in answer["data"]["result"]}


def held(times, duration, step=STEP):
    """Those at which an alert with this `for` fires."""
    return [t for t in times if all(t - back in times for back in range(0, duration + 1, step))]


with lib.Run() as run:
    checked = lib.tidewatch("check", "rules", RULES)
    lib.check_equal("the file is valid", checked.returncode, 0)
    server = run.server(arguments=["--self-interval", "off", "--retention", "off"])
    push(server)
    rules = expressions()
    lib.check_equal("rules", sorted(rules), ["DiskFullIn4Hours", "PeakAboveCapacityTomorrow", "UnusualRequestRate"])
    full = fires(server, rules["DiskFullIn4Hours"], "instance", -2 * DAY, 12 * 3600, STEP)
    full = {instance: held(times, 900) for instance, times in full.items()}
    lib.check("disk: backups are no alarm", not full.get("quiet"), full)
    empty = next(t for t in range(LEAK, 12 * 3600, STEP) if disk("leak", t, 0) <= 0.02 * SIZE)
    early = [t for t in full.get("leak", []) if LEAK < t < empty]
    lib.check("disk: told at least an hour before it is full", early and early[0] <= empty - 3600, (full, empty))
    lib.check("disk: not before it began", all(t > LEAK for t in full.get("leak", [])), full)
    peak = fires(server, rules["PeakAboveCapacityTomorrow"], "job", 8 * 3600, 11 * 3600)
    lib.check("peak: above the capacity", len(peak.get("odd", [])) >= 12, peak)
    lib.check("peak: within the capacity", "even" not in peak, peak)
    unusual = fires(server, rules["UnusualRequestRate"], "job", -DAY, 11 * 3600, 300)
    lib.check("unusual: seen within half an hour", any(6 * 3600 < t <= 6 * 3600 + 1800 for t in unusual.get("odd", [])),
              unusual)
    lib.check("unusual: else hardly ever", len(unusual.get("even", [])) <= 2, unusual)
lib.done()
