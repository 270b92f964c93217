#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that fills: the store turns read-only before it is full, and says so everywhere; queries,
alerts and deletions go on; nothing that was acknowledged is lost; it comes back by itself."""

import http.server
import json
import os
import subprocess
import threading
import time

import lib

NOW_MS = int(time.time() * 1000)
CONFIG = """storage: {disk_reserve: %s}
global: {evaluation_interval: 1s}
rule_files: [rules.yml]
route: {receiver: a, group_wait: 0s}
receivers: [{name: a, webhook_configs: [{url: "http://127.0.0.1:%d/"}]}]
"""


class Hook(http.server.BaseHTTPRequestHandler):
    heard = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Hook.heard.append(json.loads(body)["alerts"][0]["labels"]["alertname"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def metric(server, reason):
    return server.metric('tidewatch_tsdb_read_only{reason="%s"}' % reason)


def wide(i):
    return [({"__name__": "fill", "i": "%d-%d" % (i, k), "x": os.urandom(20).hex()},
             [(NOW_MS - 1000, float(i * k))]) for k in range(200)]


def fill(server, most):
    """(acknowledged requests, the last answer)"""
    stored, answer = 0, None
    for i in range(most):
        answer = server.write(wide(i))
        if answer.status != 204:
            break
        stored += 1
    return stored, answer


def small_disk(run, place, hook):
    server = run.server(data="small/data", config=CONFIG % ("2MiB", hook),
                        arguments=["--self-interval", "off", "--enable-admin-api"])
    lib.check_equal("first write", server.write([({"__name__": "kept"}, [(NOW_MS, 1.0)])]).status, 204)
    lib.check_equal("ready", server.get("/-/ready").text, "Tidewatch is Ready.\n")
    stored, answer = fill(server, 4000)
    # What was in the log is packed once, which makes some room again.
    while lib.wait_for(lambda: not server.metric("tidewatch_tsdb_writable"), 3) != True:
        more, answer = fill(server, 4000)
        stored += more
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    lib.check("space is left for what frees space", free > 512 << 10, free)
    answer = server.write(wide(9999))
    lib.check_equal("writes: 503", answer.status, 503)
    lib.check_contains("writes: say why", answer.text, "read-only", "storage.disk_reserve")
    lib.check_equal("writes: say when to come again", answer.headers.get("Retry-After"), "10")
    lib.check_equal("metric, by reason", (metric(server, "disk_reserve"), metric(server, "log_failed")),
                    (1, 0))
    ready = server.get("/-/ready")
    lib.check("ready, and says so", ready.status == 200 and "disk_reserve" in ready.text, ready)
    store = server.get("/api/v1/status/runtimeinfo").json()["data"]["store"]
    lib.check_equal("runtimeinfo", (store["state"], store["reason"]), ("read-only", "disk_reserve"))
    lib.check("log: once", server.log().count("read-only: samples are refused") <= 3)
    lib.check("queries go on", server.query("kept", NOW_MS / 1000))
    count = server.query("count(fill)", NOW_MS / 1000)
    lib.check_equal("all that was acknowledged is there", int(count[0]["value"][1]), stored * 200)
    Hook.heard.clear()
    run.file("rules.yml", "groups: [{name: g, rules: [{alert: WhileFull, expr: 'vector(1)'}]}]\n")
    lib.check_equal("reload while read-only", server.request("POST", "/-/reload").status, 200)
    lib.check("alerts go on", lib.wait_for(lambda: "WhileFull" in Hook.heard, 15), Hook.heard)
    server.kill()
    server = run.server(data="small/data", config=CONFIG % ("2MiB", hook),
                        arguments=["--self-interval", "off", "--enable-admin-api"])
    count = server.query("count(fill)", NOW_MS / 1000)
    lib.check_equal("kill -9, start: all is there", int(count[0]["value"][1]), stored * 200)
    gone = server.request("POST", "/api/v1/admin/tsdb/delete_series?match[]=fill")
    lib.check_equal("deleting works", gone.status, 204)
    lib.check("deleted", not server.query("count(fill)", NOW_MS / 1000))
    cleaned = server.request("POST", "/api/v1/admin/tsdb/clean_tombstones")
    lib.check_equal("its space is freed", (cleaned.status, cleaned.text), (204, ""))
    lib.check("writes go on by themselves", lib.wait_for(
        lambda: server.write([({"__name__": "kept"}, [(NOW_MS, 2.0)])]).status == 204, 15, 0.3))
    lib.check_equal("ready again", server.get("/-/ready").text, "Tidewatch is Ready.\n")
    lib.check_equal("metric again", metric(server, "disk_reserve"), 0)
    run.file("tidewatch.yml", CONFIG % ("1TiB", hook))
    lib.check_equal("reload: a reserve beyond the disk", server.request("POST", "/-/reload").status, 200)
    lib.check("is in force at once", lib.wait_for(lambda: metric(server, "disk_reserve") == 1, 5))
    run.file("tidewatch.yml", CONFIG % ("0", hook))
    server.signal(lib.signal.SIGHUP)
    lib.check("SIGHUP: and away", lib.wait_for(lambda: metric(server, "disk_reserve") == 0, 5))
    lib.check_equal("stops cleanly", server.stop(), 0)


with lib.Run() as run:
    folder = run.path("small")
    os.makedirs(folder)
    run.file("rules.yml", "groups: []\n")
    hooks = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hooks.serve_forever, daemon=True).start()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True,
        check=False).returncode == 0
    if not mounted:
        lib.skip("a disk that fills", "needs leave to mount a small tmpfs")
    else:
        try:
            small_disk(run, folder, hooks.server_port)
        finally:
            for program in run.programs:
                program.stop()
            subprocess.run(["umount", folder], check=False)
    hooks.shutdown()
lib.done()
