#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tidewatch report reliability, on a server whose past is known to the second."""

import json
import time

import lib

STEPS = 4000  # more than one query's part
OUTAGES = {"a": [(1000, 1010), (3000, 3020)], "b": [(1005, 1008)], "c": []}

with lib.Run() as run:
    server = run.server()
    url = "http://127.0.0.1:%d" % server.port
    end = int(time.time()) // 60 * 60 - 60
    start = end - 60 * (STEPS - 1)
    for instance, outages in OUTAGES.items():
        server.write([({"__name__": "up", "job": "api" if instance != "c" else "db", "instance": instance}, [
            (1000 * (start + 60 * i), 0.0 if any(a <= i < b for a, b in outages) else 1.0) for i in range(STEPS)])])
    words = ["--server", url, "--over", "%ds" % (end - start), "--end", str(end)]
    answer = lib.tidewatch("report", "reliability", "--json", *words)
    lib.check_equal("it answers", (answer.returncode, answer.stderr), (0, ""))
    services = {item["service"]["job"]: item for item in json.loads(answer.stdout)["data"]["services"]}
    api, db = services["api"], services["db"]
    lib.check_equal("instances", (api["instances"], db["instances"]), (2, 1))
    lib.check_equal("failures and repairs", (api["failures"], api["repairs"], db["failures"]), (3, 3, 0))
    lib.check_equal("down", api["down_seconds"], 33 * 60)
    lib.check("availability", abs(api["availability"] - (1 - 33 / (2 * STEPS))) < 1e-12, api)
    lib.check("served: they were down together for three minutes", abs(api["served"] - (1 - 3 / STEPS)) < 1e-12, api)
    lib.check("MTBF", abs(api["mtbf_seconds"] - (2 * STEPS - 33) * 60 / 3) < 1e-6, api)
    lib.check("MTTR", abs(api["mttr_seconds"] - 11 * 60) < 1e-6, api)
    lib.check("rates", abs(api["failure_rate_per_hour"] * api["mtbf_seconds"] - 3600) < 1e-6 and
              abs(api["recovery_rate_per_hour"] * api["mttr_seconds"] - 3600) < 1e-6, api)
    lib.check_equal("no failure, no MTBF", (db["mtbf_seconds"], db["mttr_seconds"], db["availability"]), (None, None, 1))
    table = lib.tidewatch("report", "reliability", *words).stdout
    lib.check_contains("the table", table, "SERVICE", "api", "99.5875%", "11.0m", "db", "100.0000%")
    table = lib.tidewatch("report", "reliability", 'up{job="api"} == bool 1', "--by", "job,instance", *words).stdout
    lib.check_contains("by instance", table, "a, api", "b, api")
    lib.check("of what was asked for", "db" not in table, table)
    bad = lib.tidewatch("report", "reliability", "up{", "--server", url)
    lib.check_equal("a bad expression", bad.returncode, 1)
    lib.check_equal("too many steps", lib.tidewatch("report", "reliability", "--over", "1y", "--step", "1s", "--server", url).returncode, 1)
    lib.check_equal("report what?", lib.tidewatch("report").returncode, 2)
lib.done()
