#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line program: what it prints and how it exits, as promtool's users expect."""

import json
import threading
import time

import lib

NOW = int(time.time())
RULES = """groups:
  - name: g
    rules:
      - {record: r, expr: "sum(m)"}
      - {alert: A, expr: "r > 0"}
"""


def runs(what, status, *arguments):
    done = lib.tidewatch(*arguments)
    lib.check_equal("%s: exit status" % what, done.returncode, status)
    return done


def query(run):
    server = run.server(arguments=["--self-interval", "off"])
    server.write([({"__name__": "m", "a": 'x,"y"'}, [((NOW - 60) * 1000, 1.5), (NOW * 1000, 2.0)])])
    at = ["query", "-s", server.url, "--time", str(NOW)]
    lib.check_equal("vector", runs("vector", 0, *at, "m").stdout, 'm{a="x,\\"y\\""} => 2 @[%d]\n' % NOW)
    lib.check_equal("scalar", runs("scalar", 0, *at, "1+1").stdout, "scalar: 2 @[%d]\n" % NOW)
    lib.check_equal("csv", runs("csv", 0, *at, "-o", "csv", "m").stdout,
                    'time,value,__name__,a\n%d,2,m,"x,""y"""\n' % NOW)
    answer = json.loads(runs("json", 0, *at, "--json", "m").stdout)
    lib.check_equal("json", answer["data"]["result"][0]["value"], [NOW, "2"])
    shown = runs("range", 0, "query", "m", "--server=" + server.url, "--start", str(NOW - 60),
                 "--end", str(NOW), "--step", "1m").stdout
    lib.check_equal("range", shown.splitlines()[1:], ["1.5 @[%d]" % (NOW - 60), "2 @[%d]" % NOW])
    refused = runs("refused", 1, *at, "sum(")
    lib.check_contains("refused: place and reason", refused.stderr, "bad_data", "1:5", "parse error")
    lib.check_equal("refused: nothing on stdout", refused.stdout, "")
    away = runs("nobody there", 1, "query", "-s", "http://127.0.0.1:%d" % lib.free_port(), "m")
    lib.check_contains("nobody there: says so", away.stderr, "127.0.0.1")
    lib.check_contains("unknown option", runs("unknown option", 2, "query", "--serve", "x").stderr,
                       "did you mean --server?")
    runs("no expression", 2, "query")
    runs("no command", 2)
    lib.check_contains("unknown command", runs("unknown command", 2, "qury").stderr, "'query'")
    lib.check_contains("help", runs("help", 0, "query", "--help").stdout, "--start", "usage:")
    lib.check_contains("version", runs("version", 0, "--version").stdout, "tidewatch ")


def check(run):
    rules = run.file("rules.yml", RULES)
    good = run.file("good.yml", "rule_files: [rules.yml]\n")
    lib.check_contains("good rules", runs("good rules", 0, "check", "rules", rules).stdout,
                       "Checking " + rules, "SUCCESS: 2 rules found")
    lib.check_contains("good config", runs("good config", 0, "check", "config", good).stdout,
                       "SUCCESS", "1 alerting rule, 1 recording rule")
    bad = run.file("bad.yml", RULES.replace("sum(m)", "sum(m"))
    failed = runs("bad rules", 1, "check", "rules", rules, bad)
    lib.check_contains("bad rules: place and reason", failed.stderr, "FAILED", "bad.yml:4:", "parse error")
    by_config = run.file("by.yml", "rule_files: [bad.yml]\n")
    lib.check_contains("config names bad rules", runs(
        "config names bad rules", 1, "check", "config", by_config).stderr, "bad.yml:4:")
    wrong = run.file("wrong.yml", "scalers:\n  - {name: web, laod: x}\n")
    lib.check_contains("bad scaler", runs("bad scaler", 1, "check", "config", wrong).stderr,
                       "wrong.yml:2:", "'laod'", "'load'")
    lib.check_contains("missing file", runs("missing file", 1, "check", "rules", "/nowhere").stderr,
                       "/nowhere")
    runs("check what", 2, "check")
    runs("check which file", 2, "check", "rules")


def damage(path):
    """A bit of each checksum, on pages in use and on others."""
    with open(path, "r+b") as file:
        content = file.read()
        at = content.find(b"TWv1", 8192)
        while at >= 0:
            file.seek(at + 8)
            file.write(bytes([content[at + 8] ^ 1]))
            at = content.find(b"TWv1", at + 4)


def verify_running(run):
    server = run.server(data="running", arguments=["--retention", "off", "--self-interval", "off",
                                                   "--enable-admin-api"])
    early = (NOW - 5 * 86400) * 1000
    server.write([({"__name__": "m", "a": str(i)}, [(early + s * 1000, s + i / 7) for s in range(50)])
                  for i in range(30)])
    server.write([({"__name__": "m", "a": "late"}, [(NOW * 1000, 5.0)])])
    ends, written = threading.Event(), []

    def write():
        while not ends.is_set():
            server.write([({"__name__": "beside"}, [(NOW * 1000 + len(written), 1.0)])])
            written.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    whole = runs("running, whole", 0, "verify", "--server", server.url)
    ends.set()
    writer.join()
    lib.check_contains("running, whole: text", whole.stdout, "30 series, 1500 samples", "0 damaged",
                       "state/state.mdb", "default/catalog.mdb")
    lib.check("running: writes go on beside it", len(written) > 0)
    report = json.loads(runs("running, json", 0, "verify", "-s", server.url, "--json").stdout)
    lib.check_equal("running, json: what was written is in it", (report["damagedCount"], report["samples"]),
                    (0, 1501 + len(written)))
    partitions = [f["path"] for f in report["files"] if f["kind"] == "partition"]
    damage(lib.os.path.join(run.path("running"), partitions[0]))
    damaged = runs("running, damaged", 1, "verify", "--server=" + server.url, "--quiet")
    lib.check_contains("running, damaged: names the file", damaged.stdout, "DAMAGED  " + partitions[0],
                       "checksum mismatch", "1 damaged")
    lib.check("running, damaged: the others are whole", partitions[1] not in damaged.stdout, damaged.stdout)
    lib.check_equal("running, damaged: the server goes on", len(server.query("beside")), 1)
    lib.check("running: nothing is left behind", not lib.os.path.exists(run.path("running/verify.tmp")))
    runs("running, and a folder", 2, "verify", "--server", server.url, run.path("running"))
    other = run.server(data="without", arguments=["--self-interval", "off"])
    refused = runs("running, without --enable-admin-api", 2, "verify", "--server", other.url)
    lib.check_contains("running, without --enable-admin-api: says so", refused.stderr, "--enable-admin-api")


def verify(run):
    folder = run.path("verified")
    server = run.server(data="verified", arguments=["--retention", "off", "--self-interval", "off"])
    early = (NOW - 5 * 86400) * 1000
    server.write([({"__name__": "m", "a": str(i)}, [(early + s * 1000, s + i / 7) for s in range(50)])
                  for i in range(30)])
    lib.request(server.port, "POST", "/api/v1/admin/tsdb/flush")
    server.write([({"__name__": "m", "a": "late"}, [(NOW * 1000, 5.0)])])
    lib.check_contains("verify a running server's store", runs("in use", 2, "verify", folder).stderr,
                       "stop the server", "process")
    server.kill()
    whole = runs("whole", 0, "verify", folder)
    lib.check_contains("whole: text", whole.stdout, "30 series, 1500 samples", "0 damaged", "ok ")
    lib.check_contains("whole: progress", whole.stderr, "1/", "day-")
    report = json.loads(runs("whole, json", 0, "verify", "--json", "-q", folder).stdout)
    lib.check_equal("json", (report["damagedCount"], report["samples"]), (0, 1501))
    partition = [f["path"] for f in report["files"] if f["kind"] == "partition"][0]
    segment = [f["path"] for f in report["files"] if f["kind"] == "segment" and f["samples"]][0]
    for name in (partition, segment):
        damage(lib.os.path.join(folder, name))
    damaged = runs("damaged", 1, "verify", folder)
    lib.check_contains("damaged: names the files", damaged.stdout, "DAMAGED  " + partition,
                       "DAMAGED  " + segment, "checksum mismatch", "readable: ")
    saved = run.path("saved")
    runs("salvage without --to", 2, "verify", "--salvage", folder)
    runs("salvage", 1, "verify", "--salvage", folder, "--to", saved)
    runs("salvaged", 0, "verify", saved)
    runs("salvage into a full folder", 2, "verify", "--salvage", folder, "--to", saved)
    runs("no store", 2, "verify", run.path("nothing"))
    refused = lib.subprocess.run([lib.os.path.join(lib.BUILD, "tidewatchd"), "--data", folder, "--listen",
                                  "127.0.0.1:%d" % lib.free_port()], capture_output=True, text=True,
                                 timeout=20, check=False)
    lib.check("a damaged log: no start", refused.returncode != 0)
    lib.check_contains("a damaged log: names the file and the cure", refused.stderr + refused.stdout,
                       lib.os.path.basename(segment), "tidewatch verify", "--salvage")


def operations(run):
    """status, cardinality and snapshot, on a server with a day before today."""
    server = run.server(data="operated", arguments=["--self-interval", "off", "--enable-admin-api"])
    at = ["-s", server.url]
    server.write([({"__name__": "m", "job": "web", "instance": str(i)},
                   [((NOW - 86400) * 1000, 1.0)]) for i in range(3)])
    lib.request(server.port, "POST", "/api/v1/admin/tsdb/flush")
    server.write([({"__name__": "m", "job": "web", "instance": str(i)}, [(NOW * 1000, 1.0)])
                  for i in range(5)])
    shown = runs("cardinality", 0, "cardinality", *at).stdout
    lib.check_contains("cardinality: all views", shown, "5 active series", "+2  m\n", "VALUES",
                       'job="web" instance="4"', 'job="web"\n', "DAY (UTC)")
    data = json.loads(runs("cardinality, json", 0, "cardinality", "--json", "--top", "1", *at).stdout)["data"]
    lib.check_equal("cardinality: json, top", (data["active"], len(data["pairs"])), (5, 1))
    part = runs("cardinality, match", 0, "cardinality", "--match", '{instance=~"[01]"}', *at).stdout
    lib.check_contains("cardinality: match", part, "; 2 match")
    runs("cardinality, bad top", 2, "cardinality", "--top", "no", *at)
    wrong = runs("cardinality, bad selector", 1, "cardinality", "-m", "{", *at)
    lib.check_contains("cardinality: says why", wrong.stderr, "match[]")
    name = runs("snapshot", 0, "snapshot", *at).stdout.strip()
    other = runs("snapshot create", 0, "snapshot", "create", "--skip-head", *at).stdout.strip()
    listed = runs("snapshot list", 0, "snapshot", "list", *at).stdout
    lib.check_equal("snapshot list: names", [line.split()[1] for line in listed.splitlines()[1:]],
                    sorted([name, other]))
    linked = [path for path, _, files in lib.os.walk(run.path("operated/snapshots", name))
              for file in files if file.endswith(".mdb") and "partitions" in path and
              lib.os.stat(lib.os.path.join(path, file)).st_nlink > 1]
    print("        partitions of the snapshot that are links: %d" % len(linked))
    runs("snapshot delete", 0, "snapshot", "delete", name, other, *at)
    lib.check_equal("snapshot delete: gone",
                    json.loads(runs("snapshot list, json", 0, "snapshot", "list", "--json", *at).stdout)["data"], [])
    gone = runs("snapshot delete again", 1, "snapshot", "delete", name, *at)
    lib.check_contains("snapshot delete: says so", gone.stderr, "no snapshot", name)
    runs("snapshot delete: no name", 2, "snapshot", "delete", *at)
    runs("snapshot delete: no path", 2, "snapshot", "delete", "../../log", *at)
    runs("snapshot what", 2, "snapshot", "make", *at)
    status = runs("status", 0, "status", *at).stdout
    lib.check_contains("status: text", status, "writable", "disk free", "active series       5\n")
    lib.check_equal("status: json", json.loads(
        runs("status, json", 0, "status", "--json", *at).stdout)["data"]["store"]["state"], "writable")
    config = run.file("operated.yml", "storage: {disk_reserve: 1000TiB}\n")
    server.stop()
    server = run.server(data="operated", arguments=["--config", config])
    shut = runs("status, read-only", 1, "status", "-s", server.url).stdout
    lib.check_contains("status: read-only", shut, "read-only", "disk_reserve")


with lib.Run() as run:
    operations(run)
    query(run)
    check(run)
    verify(run)
    verify_running(run)
lib.done()
