#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scalers with pools, types of instances and budgets on a running server: two pools of real processes that share a
load by weight, of which one breaks and comes back; the cheapest mix of two types; a budget that is spent."""

import json
import os
import threading
import time

import lib

COMMON = """
    capacity_per_replica: 100
    min: 1
    max: 8
    mode: act
    tick: 5s
    step: 1m
    history: 1d
    late_after: 20s
    behavior: {scaleUp: {policies: []}, scaleDown: {stabilizationWindowSeconds: 0, policies: []}}
"""
WORKER = """
import os, signal, sys
if os.path.exists(sys.argv[1] + ".broken"): sys.exit(1)
path = os.path.join(sys.argv[1], os.environ["TIDEWATCH_INDEX"])
open(path, "w").write(str(os.getpid()))
signal.sigwait([signal.SIGTERM])
os.unlink(path)
"""
# A group of instances, as a cloud's tool would show it: a file with their number.
GROUP = """#!/bin/sh
case $1 in
set) echo "$3" >"$2" ;;
get) n=$(cat "$2" 2>/dev/null || echo 0); echo "$n $n" ;;
esac
"""


def scaler(server, name):
    return server.get("/api/v1/scalers/" + name).json()["data"]


def alive(folder):
    """Processes of a pool that run."""
    count = 0
    for name in os.listdir(folder):
        try:
            with open(os.path.join(folder, name)) as pid:
                os.kill(int(pid.read()), 0)
            count += 1
        except (OSError, ValueError):
            pass
    return count


def number(path):
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def member(server, name, kind, index):
    return scaler(server, name)[kind][index]


with lib.Run() as run:
    program = run.file("worker.py", WORKER)
    folders = [run.path("east"), run.path("west")]
    for folder in folders:
        os.makedirs(folder)
    group = run.file("group", GROUP)
    os.chmod(group, 0o755)
    small, large = run.path("small"), run.path("large")
    config = "scalers:\n  - name: shop\n    load: load\n" + COMMON + """
    drain: {tries: 2, patience: 8s, probe: 10s}
    pools:
      - {name: east, weight: 3, target: {process: {command: [python3, %s, %s], stop_after: 2s}}}
      - {name: west, weight: 1, target: {process: {command: [python3, %s, %s], stop_after: 2s}}}
  - name: batch
    load: load
""" % (program, folders[0], program, folders[1]) + COMMON + """
    types:
      - {name: small, cpu: 4, cost_per_hour: 0.17, target: {exec: {set: [%s, set, %s, "{to}"], get: [%s, get, %s]}}}
      - {name: large, cpu: 16, cost_per_hour: 0.61, target: {exec: {set: [%s, set, %s, "{to}"], get: [%s, get, %s]}}}
    requests: {cpu: 4}
    budget: {per_month: 1000, at_cap: alert, shared: all}
  - name: poor
    load: load
""" % (group, small, group, small, group, large, group, large) + COMMON.replace("mode: act", "mode: observe") + """
    replicas: have
    rightsizing: {cpu: cores, memory: bytes, cpu_request: "4", by: app}
    cost_per_hour: 1000000
    budget: {per_day: 1, at_cap: hold}
budgets:
  - {name: all, per_hour: 10}
"""
    server = run.server(data="fleet", config=config)
    load, stop = [750.0], threading.Event()

    def feed():
        now = time.time()
        server.write([({"__name__": "load"}, [(int((now - 60 * i) * 1000), load[0]) for i in range(60, 0, -1)])])
        while not stop.wait(1):
            try:
                t = int(time.time() * 1000)
                server.write([({"__name__": "load"}, [(t, load[0])]), ({"__name__": "have"}, [(t, 3.0)])])
            except OSError:
                pass

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        lib.check("eight for a load of 750, three to one", lib.wait_for(
            lambda: (alive(folders[0]), alive(folders[1])) == (6, 2), 60), scaler(server, "shop"))
        decision = scaler(server, "shop")["decision"]
        lib.check_equal("each share and why", [(s["name"], s["after"], s["why"]) for s in decision["allocation"]["shares"]],
                        [("east", 6, "weight 3 of 4"), ("west", 2, "weight 1 of 4")])
        explained = lib.tidewatch("scaler", "explain", "shop", "--server", server.url).stdout
        lib.check_contains("explained", explained, "weight 3 of 4")
        lib.check_contains("each pool's delivery is in the audit log",
                           server.get("/api/v1/scaler_audit?scaler=shop").text, "pool, attempt 1, key shop/east-")
        # 8 instances' worth: 2 large are 1.22, 4 small and a large 1.29, 8 small 1.36.
        lib.check("the cheapest mix", lib.wait_for(lambda: (number(small), number(large)) == (0, 2), 40),
                  scaler(server, "batch"))
        allocation = scaler(server, "batch")["decision"]["allocation"]
        lib.check_equal("what it costs", round(allocation["cost_per_hour"], 6), 1.22)
        lib.check("its parts come from a shared budget", lib.wait_for(lambda: server.get("/api/v1/budgets").json()[
            "data"]["budgets"][0]["scalers"][0]["granted"] == 8, 20), server.get("/api/v1/budgets").text)

        # The east breaks: what dies there does not come again.
        open(folders[0] + ".broken", "w").close()
        for name in os.listdir(folders[0]):
            with open(os.path.join(folders[0], name)) as pid:
                os.kill(int(pid.read()), 9)
        lib.check("the broken pool is drained", lib.wait_for(
            lambda: member(server, "shop", "pools", 0)["state"] == "out" and alive(folders[1]) == 8, 90),
            scaler(server, "shop"))
        lib.check("which is a series", lib.wait_for(
            lambda: server.query('tidewatch_scaler_pool_out{pool="east"} > 0'), 20))
        port = server.port
        server.stop()
        server = run.server(data="fleet", config=config, port=port)
        lib.check("a restart knows it", lib.wait_for(
            lambda: member(server, "shop", "pools", 0)["state"] in ("out", "probing"), 20), scaler(server, "shop"))
        os.unlink(folders[0] + ".broken")
        lib.check("repaired, it is found out and comes back", lib.wait_for(
            lambda: (alive(folders[0]), alive(folders[1])) == (6, 2), 120), scaler(server, "shop"))

        poor = lib.wait_for(lambda: (lambda d: d if (d["budget"] or {}).get("at_cap") == "hold" else None)(
            scaler(server, "poor")["decision"]), 30)
        lib.check("the money is spent", bool(poor), scaler(server, "poor"))
        lib.check("and nothing is added", poor and poor["to"] == 3 and poor["wanted"] == 8 and
                  poor["guards"][-1]["guard"] == "budget", poor)
        lib.check("which is a series, too", lib.wait_for(
            lambda: server.query('tidewatch_scaler_budget_reached{scaler="poor"} == 1'), 20))
        server.write([({"__name__": "cores", "app": "a", "pod": "p%d" % pod},
                       [(int(time.time() - 300 * i) * 1000, 0.5 if i % 5 else 1.9) for i in range(300, 0, -1)])
                      for pod in range(3)] +
                     [({"__name__": "bytes", "app": "a", "pod": "p0"},
                       [(int(time.time() - 300 * i) * 1000, 3e9 if i % 50 == 7 else 1e9) for i in range(300, 0, -1)])])
        advice = json.loads(lib.tidewatch("report", "rightsizing", "poor", "--json", "--server", server.url).stdout)
        row = advice["data"]["workloads"][0]
        lib.check("advised: CPU that nine of ten samples are below, with a margin", row["name"] == "a" and
                  row["instances"] == 3 and 1.9 * 1.15 <= row["cpu"]["advised"] <= 1.9 * 1.15 * 1.06 and
                  row["cpu"]["requested"] == 4, row)
        lib.check("and the peaks of memory", 3.45e9 <= row["memory"]["advised"] <= 3.7e9, row)
        shown = lib.tidewatch("report", "rightsizing", "--cpu", "cores", "--by", "app", "--margin", "0",
                              "--server", server.url)
        lib.check("as a table, for any query", shown.returncode == 0 and "CONFIDENCE" in shown.stdout and
                  "\na  " in shown.stdout, (shown.stdout, shown.stderr))
        lib.check_equal("a scaler without it", server.request("GET", "/api/v1/rightsizing?scaler=shop").status, 404)
        for bad in ("cpu=", "cpu_request=cores", "by=app", "scaler=poor&cpu=cores"):
            lib.check_equal(bad, server.request("GET", "/api/v1/rightsizing?" + bad).status, 400)
        lib.check_equal("nonsense", server.request("GET", "/api/v1/rightsizing?cpu=rate(&margin=x").status, 400)
        wrong = run.file("wrong.yml", "scalers: [{name: a, load: x, capacity_per_replica: 1, max: 2, cost_per_hour: 1,"
                                      " budget: {shared: nobody}}]\n")
        lib.check_contains("a budget that is not there", lib.tidewatch("check", "config", wrong).stderr +
                           lib.tidewatch("check", "config", wrong).stdout, "there is no budget 'nobody'")
        example = lib.tidewatch("check", "config", os.path.join(lib.SOURCE, "contrib/scalers/fleet.yml"))
        lib.check_equal("the example", (example.returncode, example.stderr), (0, ""))
        rules = lib.tidewatch("check", "rules", os.path.join(lib.SOURCE, "contrib/rules/fleet.yml"))
        lib.check_equal("the rules", (rules.returncode, rules.stderr), (0, ""))
        lib.check("the server is well", server.running() and "assertion" not in server.log())
    finally:
        stop.set()
        feeder.join()
        server.stop()
        for folder in folders:
            for name in os.listdir(folder):
                with open(os.path.join(folder, name)) as pid:
                    try:
                        os.kill(int(pid.read()), 15)
                    except (ProcessLookupError, ValueError):
                        pass
lib.done()
