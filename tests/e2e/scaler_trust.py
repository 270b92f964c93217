#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What lets people trust a scaler, on a running server and from the command line: pauses that outlive a kill,
replicas that do not serve are noticed and asked for again, the audit log, and a backtest of a scaler's past."""

import json
import math
import os
import threading
import time

import lib

CONFIG = """
scalers:
  - name: pool
    load: load
    capacity_per_replica: 100
    min: 1
    max: 60
    mode: act
    tick: 5s
    history: 1d
    late_after: 20s
    startup: 1s
    ready: ready
    replicas: replicas
    behavior: {scaleUp: {policies: []}, scaleDown: {stabilizationWindowSeconds: 0, policies: []}}
    target: {exec: {set: [/bin/sh, -c, 'echo "{to}" >> %s'], timeout: 5s}}
"""


def feed(server, stop, world):
    while not stop.is_set():
        now = int(time.time() * 1000)
        try:
            server[0].write([({"__name__": name}, [(now, float(world[name]() if callable(world[name]) else world[name]))])
                             for name in ("load", "ready", "replicas")])
        except OSError:
            pass
        stop.wait(0.5)


def past(server):
    """Three days of a daily wave, by the minute, until a minute ago."""
    now = int(time.time()) // 60 * 60
    server.write([({"__name__": "load"}, [
        (1000 * (now - 60 * i), 1000 - 700 * math.cos((now - 60 * i) % 86400 / 86400 * 2 * math.pi) + 5 * math.sin(i))
        for i in range(3 * 1440, 0, -1)])])


def cli(server, *words):
    return lib.tidewatch("scaler", *words, "--server", "http://127.0.0.1:%d" % server.port)


def pool(server):
    return server.get("/api/v1/scalers/pool").json()["data"]


def orders(path):
    return [int(line) for line in open(path)] if os.path.exists(path) else []


with lib.Run() as run:
    told = run.path("orders")
    config = CONFIG % told
    world = {"load": 250.0, "ready": 1, "replicas": 1}
    servers, stop = [run.server(config=config)], threading.Event()
    server = servers[0]
    past(server)
    feeder = threading.Thread(target=feed, args=(servers, stop, world), daemon=True)
    feeder.start()
    try:
        lib.check("an order", lib.wait_for(lambda: orders(told), 20), pool(server))
        wanted = orders(told)[-1]
        # It follows, but what it starts does not serve.
        world["replicas"] = lambda: orders(told)[-1]
        lib.check_equal("waiting", pool(server)["verification"]["status"], "waiting")

        paused = cli(server, "pause", "pool", "--direction", "in", "--for", "1h", "--reason", "release 42")
        lib.check_equal("pause", (paused.returncode, paused.stderr), (0, ""))
        lib.check_contains("pause: what it says", paused.stdout, "scale-in is paused since", "until", "release 42")
        lib.check_equal("no reason", cli(server, "pause", "pool").returncode, 1)
        for origin, status in (("http://elsewhere.example", 403), ("null", 403), ("http://127.0.0.1:%d" % server.port, 200)):
            answer = server.post("/api/v1/scalers/pool/resume", {"direction": "out"}, {"Origin": origin})
            lib.check_equal("a page of %s" % origin, answer.status, status)
        lib.check_equal("no such scaler", cli(server, "resume", "nobody").returncode, 1)
        lib.check_contains("the list", cli(server).stdout, "[scale-in paused]")
        lib.check("the series of it", lib.wait_for(
            lambda: [s["value"][1] for s in server.query('tidewatch_scaler_paused{scaler="pool"}')] == ["1", "0"], 15))

        server.kill()
        servers[0] = server = run.server(port=server.port, config=config)
        lib.check("a kill does not end the pause", lib.wait_for(
            lambda: pool(server)["decision"] and pool(server)["paused"]["in"], 15), pool(server))
        world["load"] = 20.0
        time.sleep(7)
        explained = cli(server, "explain", "pool").stdout
        lib.check_contains("explain", explained, "Now", "scale-in is paused since", "release 42", "What was done lately")
        before = orders(told)[-1]
        world["load"] = 450.0
        lib.check("the other direction goes on", lib.wait_for(lambda: orders(told)[-1] >= 5, 30), (before, orders(told)))

        lib.check("overdue after two start-up times and a minute", lib.wait_for(
            lambda: pool(server)["verification"]["status"] == "overdue", 100), pool(server)["verification"])
        lib.check_equal("health", pool(server)["health"], "failed")
        lib.check_contains("and why", pool(server)["error"], "1 of", "serve")
        lib.check("its series", lib.wait_for(
            lambda: [s for s in server.query('tidewatch_scaler_overdue_replicas{scaler="pool"}') if float(s["value"][1]) > 0], 15))
        world["ready"] = lambda: orders(told)[-1]
        lib.check("they serve after all", lib.wait_for(
            lambda: pool(server)["verification"]["status"] == "serving", 30), pool(server)["verification"])

        resumed = cli(server, "resume", "pool")
        lib.check_contains("resume", resumed.stdout, "nothing is paused")
        lib.check_equal("set", cli(server, "set", "pool", "12", "--reason", "a test").returncode, 0)
        lib.check("twelve, whatever the load", lib.wait_for(lambda: orders(told)[-1] == 12, 20), orders(told))
        lib.check_contains("more than max", cli(server, "set", "pool", "61", "--reason", "a test").stderr, "max is 60")
        audit = cli(server, "audit", "pool", "--json")
        kinds = [entry["kind"] for entry in json.loads(audit.stdout)["data"]["entries"]]
        for kind in ("config", "pause", "resume", "set", "delivered", "overdue", "verified"):
            lib.check("audit: " + kind, kind in kinds, kinds)
        numbers = [entry["number"] for entry in json.loads(cli(server, "audit", "--json", "--limit", "10000").stdout)["data"]["entries"]]
        lib.check_equal("audit: without gaps", numbers, list(range(len(numbers), 0, -1)))

        checked = lib.tidewatch("check", "rules", os.path.join(lib.SOURCE, "contrib/rules/scalers.yml"))
        lib.check_equal("the example alerts", (checked.returncode, checked.stderr), (0, ""))

        tested = lib.tidewatch("backtest", "scaler", "pool", "--server", "http://127.0.0.1:%d" % server.port,
                               "--history", "1d", "--score", "1d", "--startup", "2m", "--price", "0.1", "--sensitivity", "--json", timeout=120)
        lib.check_equal("backtest", tested.returncode, 0)
        result = json.loads(tested.stdout)
        lib.check("backtest: what is scored", abs(result["scored_minutes"] - 1440) < 5, result["scored_minutes"])
        own, hpa = result["contenders"]["scaler"], result["contenders"]["hpa-load"]
        lib.check("backtest: cheaper than the HPA", own["replica_hours"] < hpa["replica_hours"], (own, hpa))
        lib.check("backtest: within the objective", own["violated_percent"] < 0.5, own)
        lib.check("backtest: costs", abs(own["cost"] - own["replica_hours"] * 0.1) < 1e-6, own)
        lib.check_equal("backtest: sensitivity", (len(result["sensitivity"]["quantile"]), len(result["sensitivity"]["startup"])), (6, 5))
        lib.check_contains("backtest: progress", tested.stderr, "100 %")
        table = lib.tidewatch("backtest", "scaler", "pool", "--config", run.file("other.yml", config.replace("max: 60", "max: 7")),
                              "--server", "http://127.0.0.1:%d" % server.port, "--history", "1d", "--score", "1d", "--quiet", timeout=60)
        lib.check_contains("backtest: other settings", table.stdout, "1 to 7 replicas", "scaler", "oracle")
        lib.check_equal("backtest: no such scaler", lib.tidewatch(
            "backtest", "scaler", "nobody", "--server", "http://127.0.0.1:%d" % server.port).returncode, 1)
        lib.check_equal("backtest: no load", lib.tidewatch("backtest", "scaler", "--capacity", "1").returncode, 2)
    finally:
        stop.set()
        feeder.join()
lib.done()
