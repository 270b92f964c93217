#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The web pages in a real Chromium: one host live from the agent, thirty more pushed, a query, an alert, a scaler.

    tests/e2e/ui.py [SCREENSHOT_FOLDER]

Needs node, ui/node_modules with playwright-core, and a Chromium (CHROMIUM names another one)."""

import math
import os
import shutil
import subprocess
import sys
import time

import lib

HERE = os.path.dirname(os.path.abspath(__file__))
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
HOSTS = 30
SPACING_S = 5

CONFIG = """
rule_files: ["rules.yml"]
scalers:
  - name: web
    load: sum(web_requests_per_second)
    capacity_per_replica: 80
    min: 2
    max: 60
    mode: observe
forecast:
  pins: ["forecast(site_requests[7d], 4h)"]
"""

RULES = """
groups:
  - name: pages
    interval: 1s
    rules:
      - record: instance:node_cpu:busy
        expr: 1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m]))
      - alert: AlwaysFiring
        expr: node_load1 >= 0
        labels: {severity: page}
        annotations: {summary: "Load of {{ $labels.instance }}, seen by the pages"}
      - alert: StillPending
        expr: node_load1 >= 0
        for: 1h
"""


def missing():
    if not shutil.which("node"):
        return "no node"
    if not os.path.isdir(os.path.join(lib.SOURCE, "ui", "node_modules", "playwright-core")):
        return "no ui/node_modules/playwright-core (npm ci in ui/ installs it)"
    if not os.access(CHROMIUM, os.X_OK):
        return "no Chromium at " + CHROMIUM
    return None


def load_at(second):
    """Requests per second with a wave, as a site has over a (short) day."""
    return 900 + 400 * math.sin(second / 3600 * math.pi) + 20 * math.sin(second * 7)


def daily_at(second):
    """Requests per second of a site with days and an evening peak."""
    day = 2 * math.pi * second / 86400
    return 500 - 300 * math.cos(day) - 90 * math.cos(2 * day) + 30 * math.sin(second * 12.9898)


def history(labels, now, seconds, spacing, value):
    times = range(int(now - seconds), int(now), spacing)
    return (labels, [(at * 1000, float(value(at))) for at in times])


def host_series(number, now):
    name = "web-%02d" % number
    busy = 0.1 + 0.8 * number / HOSTS

    def wave(second):
        return busy * (0.8 + 0.2 * math.sin(second / (20 + number)))

    def series(metric, value, **labels):
        return history({"__name__": metric, "instance": name, "job": "node", **labels}, now, 300,
                       SPACING_S, value)

    return [
        series("node_load1", lambda at: 4 * wave(at)),
        series("node_cpu_seconds_total", lambda at: (1 - busy) * (at % 100000), cpu="0", mode="idle"),
        series("node_cpu_seconds_total", lambda at: busy * (at % 100000), cpu="0", mode="user"),
        series("node_memory_MemTotal_bytes", lambda at: 2.0 ** 34),
        series("node_memory_MemAvailable_bytes", lambda at: 2.0 ** 34 * (1 - wave(at))),
        series("node_network_receive_bytes_total", lambda at: 1e6 * busy * (at % 100000), device="eth0"),
        series("node_network_transmit_bytes_total", lambda at: 3e5 * busy * (at % 100000), device="eth0"),
        series("node_disk_read_bytes_total", lambda at: 2e5 * busy * (at % 100000), device="vda"),
        series("node_disk_written_bytes_total", lambda at: 8e5 * busy * (at % 100000), device="vda"),
    ]


def pages(server, shots, *present):
    result = subprocess.run(
        ["node", os.path.join(HERE, "ui_pages.mjs"), server.url, shots] + list(present),
        env={**os.environ, "CHROMIUM": CHROMIUM}, capture_output=True, text=True, timeout=240, check=False)
    print(result.stdout + result.stderr, flush=True)
    lib.check("pages: " + ", ".join(present), result.returncode == 0)


def main():
    why = missing()
    if why:
        lib.skip("pages in Chromium", why)
        lib.done()
    with lib.Run() as run:
        shots = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else run.path("screenshots")
        run.file("rules.yml", RULES)
        server = run.server()
        pages(server, shots, "nothing")
        run.agent(server.url)
        lib.wait_for(lambda: server.query("count_over_time(node_load1[1m]) > 5"), 20)
        pages(server, shots, "alone")

        now = time.time()
        pushed = [history({"__name__": "web_requests_per_second"}, now, 6 * 3600, 15, load_at)]
        for number, site in enumerate(["north", "south"]):
            pushed.append(history({"__name__": "site_requests", "site": site}, now, 9 * 86400, 300,
                                  lambda at, number=number: (1 + number) * daily_at(at)))
        lib.check_equal("loads are pushed", server.write(pushed).status, 204)
        # Rules and scalers come with a restart, so that the scaler's first look sees the six hours.
        server.stop()
        server = run.server(port=server.port, config=CONFIG)
        # The hosts last: what they sent is soon too old for their sparklines.
        now = time.time()
        hosts = [one for number in range(1, HOSTS + 1) for one in host_series(number, now)]
        lib.check_equal("thirty hosts are pushed", server.write(hosts).status, 204)
        pages(server, shots, "many", "query", "band", "forecasts", "alert", "scaler", "status")
    lib.done()


main()
