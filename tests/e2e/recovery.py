#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recovery of failing instances on a running server: a real process that hangs is replaced by a new one and the
others are left alone; an exec target is told once, over a kill too; observing only says what would be done."""

import json
import os
import threading
import time

import lib

SCALER = """
  - name: %s
    load: load
    capacity_per_replica: 100
    min: 3
    max: 3
    mode: act
    tick: 5s
    history: 1d
    late_after: 20s
    startup: 1s
    target: %s
    recovery: {instances: 'up{job="%s"}', label: index, for: 4s, mode: %s%s}
"""
WORKER = """
import os, sys, time
open(os.path.join(sys.argv[1], "worker-" + os.environ["TIDEWATCH_INDEX"]), "w").write(str(os.getpid()))
while True: time.sleep(60)
"""


def feed(servers, stop, health):
    while not stop.is_set():
        now = int(time.time() * 1000)
        series = [({"__name__": "load"}, [(now, 250.0)])]
        series += [({"__name__": "up", "job": job, "index": str(index)}, [(now, 1.0 if well else 0.0)])
                   for (job, index), well in health.items()]
        try:
            servers[0].write(series)
        except OSError:
            pass
        stop.wait(0.5)


def scaler(server, name):
    return server.get("/api/v1/scalers/" + name).json()["data"]


def audit(server, name, kind):
    entries = server.get("/api/v1/scaler_audit?limit=1000&scaler=" + name).json()["data"]["entries"]
    return [entry["text"] for entry in entries if entry["kind"] == kind]


with lib.Run() as run:
    folder, told = run.path("workers"), run.path("told")
    os.makedirs(folder)
    program = run.file("worker.py", WORKER)

    def pid(index):
        path = os.path.join(folder, "worker-%d" % index)
        text = open(path).read() if os.path.exists(path) else ""
        return int(text) if text else None

    def orders():
        return open(told).read().split() if os.path.exists(told) else []

    config = "scalers:\n" + SCALER % (
        "pool", "{process: {command: [python3, %s, %s], stop_after: 2s}}" % (program, folder), "pool", "act", "") + SCALER % (
        "cloud", """{exec: {set: ["true"], replace: [/bin/sh, -c, 'echo "$1" >> %s', sh, "{instance}"]}}""" % told, "cloud", "act",
        ", max_share: 0.4") + SCALER % ("dry", '{exec: {set: ["true"]}}', "dry", "observe", "")
    health = {(job, index): True for job in ("pool", "cloud", "dry") for index in (1, 2, 3)}
    servers, stop = [run.server(config=config)], threading.Event()
    server = servers[0]
    feeder = threading.Thread(target=feed, args=(servers, stop, health), daemon=True)
    feeder.start()
    try:
        lib.check("three processes", lib.wait_for(lambda: all(pid(i) for i in (1, 2, 3)), 30))
        before = {i: pid(i) for i in (1, 2, 3)}
        lib.check("all are well", lib.wait_for(lambda: scaler(server, "pool")["recovery"]["well"] == 3, 20), scaler(server, "pool")["recovery"])
        health["pool", 2] = health["cloud", 3] = health["dry", 1] = False
        lib.check("the one that fails is replaced", lib.wait_for(lambda: pid(2) not in (None, before[2]), 40), scaler(server, "pool")["recovery"])
        lib.check_equal("the others are left alone", (pid(1), pid(3)), (before[1], before[3]))
        lib.check("the old one is gone", not os.path.exists("/proc/%d" % before[2]) or
                  open("/proc/%d/stat" % before[2]).read().split(")")[1].split()[0] == "Z")
        health["pool", 2] = True
        lib.check("and it is noted", lib.wait_for(lambda: audit(server, "pool", "replaced"), 20), audit(server, "pool", "isolated"))
        lib.check("cloud was told", lib.wait_for(lambda: orders() == ["3"], 20), orders())
        lib.check("dry: what would be done", lib.wait_for(
            lambda: any("would be replaced" in text for text in audit(server, "dry", "isolated")), 20), scaler(server, "dry")["recovery"])

        server.kill()
        servers[0] = server = run.server(port=server.port, config=config)
        lib.check("after a kill it is still under way", lib.wait_for(
            lambda: (scaler(server, "cloud").get("recovery") or {}).get("patients") and
            scaler(server, "cloud")["recovery"]["patients"][0]["state"] == "under way", 20), scaler(server, "cloud")["recovery"])
        health["cloud", 1] = False
        time.sleep(15)
        lib.check_equal("one at once, and none twice", orders(), ["3"])
        lib.check_contains("and why", scaler(server, "cloud")["recovery"]["held"], "max_failing")
        health["cloud", 3] = True
        lib.check("then the next", lib.wait_for(lambda: orders() == ["3", "1"], 30), (orders(), scaler(server, "cloud")["recovery"]))
        lib.check_equal("dry was never told", audit(server, "dry", "delivered")[1:], [])
        lib.check("failing instances are a series", lib.wait_for(
            lambda: [s["value"][1] for s in server.query('tidewatch_scaler_failing_instances{scaler="dry"}')] == ["1"], 15))
        lib.check("and counted", server.metric('tidewatch_autoscaler_recoveries_total{result="replaced"}') >= 1)
        explained = lib.tidewatch("scaler", "explain", "dry", "--server", "http://127.0.0.1:%d" % server.port)
        lib.check_contains("explain tells of it", explained.stdout, "1 of 3 instances fail")
        lib.check_equal("pause", lib.tidewatch("scaler", "pause", "cloud", "--reason", "hands off", "--server",
                                               "http://127.0.0.1:%d" % server.port).returncode, 0)
        health["cloud", 1], health["cloud", 2] = True, False
        time.sleep(15)
        lib.check_equal("a paused scaler replaces nobody", orders(), ["3", "1"])
    finally:
        stop.set()
        feeder.join()
        for i in (1, 2, 3):
            try:
                os.kill(pid(i), 9)
            except (OSError, TypeError):
                pass
lib.done()
