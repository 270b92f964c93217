#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A snapshot of a running server, restored: every sample is there, bit for bit; what was written
later is not; damage is found; a folder in use is left alone."""

import os
import time

import lib

NOW = int(time.time())
DAY = 86400


def samples(server):
    found = server.query('{__name__=~"kept|late"}[4d]', NOW + 60)
    return sorted((sorted(one["metric"].items()), one["values"]) for one in found)


with lib.Run() as run:
    server = run.server(arguments=["--self-interval", "off", "--enable-admin-api"])
    for day in range(3):
        server.write([({"__name__": "kept", "i": str(i)},
                       [((NOW - day * DAY - 100 + s) * 1000, i * 0.1 + s) for s in range(100)])
                      for i in range(50)])
    wanted = samples(server)
    taken = lib.tidewatch("snapshot", "-s", server.url)
    lib.check_equal("snapshot: exit status", taken.returncode, 0)
    server.write([({"__name__": "late"}, [(NOW * 1000, 1.0)])])
    name = taken.stdout.strip()
    listed = server.get("/api/v1/admin/tsdb/snapshots").json()["data"]
    lib.check_equal("listed", [one["name"] for one in listed], [name])
    snapshot = run.path("data/snapshots/" + name)
    restored = lib.tidewatch("restore", snapshot, "--data", run.path("copy"))
    lib.check_equal("restore: exit status", (restored.returncode, restored.stderr[-200:] if restored.returncode else ""), (0, ""))
    again = lib.tidewatch("restore", snapshot, "--data", run.path("copy"))
    lib.check_contains("restore: a store is there", again.stderr, "--force")
    busy = lib.tidewatch("restore", snapshot, "--force", "--data", run.path("data"))
    lib.check_equal("restore: in use", busy.returncode, 1)
    packed = lib.tidewatch("compact", run.path("copy"))
    lib.check_contains("compact: a folder", packed.stdout, "before")
    other = run.server("copy", arguments=["--self-interval", "off"])
    lib.check("all samples, bit for bit", samples(other) == wanted and len(wanted) == 50)
    lib.check_equal("compact: a server", lib.tidewatch("compact", "-s", server.url).returncode, 0)
    catalog = os.path.join(snapshot, "default/catalog.mdb")
    with open(catalog, "r+b") as file:
        file.truncate(5000)
    damaged = lib.tidewatch("restore", snapshot, "--data", run.path("damaged"))
    lib.check_equal("damage is found", damaged.returncode, 1)
    lib.check("no store is made of it", not os.path.exists(run.path("damaged/default")))
    gone = server.request("DELETE", "/api/v1/admin/tsdb/snapshots/" + name)
    lib.check("deleted", gone.status == 204 and not os.path.exists(snapshot))
lib.done()
