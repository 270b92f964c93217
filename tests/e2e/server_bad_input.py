#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What people, programs and attackers send by mistake or on purpose: each gets a clear answer that
says what and where, and what was stored before is still there."""

import os
import socket
import struct
import subprocess
import time

import lib

NOW_MS = int(time.time() * 1000)
GOOD = [({"__name__": "kept", "case": "a"}, [(NOW_MS - 5000, 1.5), (NOW_MS, 2.5)])]


def kept(server):
    """The samples that must survive everything."""
    result = server.query("kept[1m]", NOW_MS / 1000)
    return len(result) == 1 and [v for _, v in result[0]["values"]] == ["1.5", "2.5"]


def refused(what, answer, status, *parts):
    lib.check("%s: %d" % (what, status), answer.status == status, answer)
    lib.check_contains("%s: says why" % what, answer.text, *parts)


def bad_bodies(server):
    body = lib.snappy(lib.encode_write(GOOD))
    refused("empty body", server.write_body(b""), 400)
    refused("not Snappy", server.write_body(b"hello, this is no Snappy"), 400, "Snappy")
    refused("truncated Snappy", server.write_body(body[:-3]), 400, "Snappy")
    refused("Snappy of 4 GiB", server.write_body(b"\xff\xff\xff\xff\x0f" + b"\0" * 20), 413,
            "4294967295 bytes")
    refused("Snappy that copies from before its start",
            server.write_body(b"\x0a\x01\xff\xff"), 400)
    hostile = {
        "truncated protobuf": lib.encode_write(GOOD)[:-4],
        "length beyond the message": b"\x0a\xff\xff\xff\xff\x07abc",
        "varint without end": b"\x0a" + b"\xff" * 30,
        "field number 0": b"\x02\x01a",
        "group wire type": b"\x0b\x0c",
        "label that ends early": lib.field_bytes(1, lib.field_bytes(1, b"\x0a\xff") +
                                                 lib.encode_series({}, [(NOW_MS, 1.0)])),
        "random": bytes((i * 37 + 11) % 256 for i in range(3000)),
    }
    for what, raw in hostile.items():
        refused(what, server.write_body(lib.snappy(raw)), 400)
    lib.check("server goes on", server.get("/-/healthy").status == 200)


def bad_reads(server):
    def read(raw, headers=()):
        return server.request("POST", "/api/v1/read", raw, {
            "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", **dict(headers)})

    def query(*matchers, types=b""):
        body = b"".join(lib.field_bytes(3, matcher) for matcher in matchers)
        return lib.snappy(lib.field_bytes(1, b"\x08\x00\x10" + lib.varint(1 << 62) + body) + types)

    refused("read: empty body", read(b""), 400)
    refused("read: not Snappy", read(b"hello, this is no Snappy"), 400, "Snappy")
    refused("read: Snappy of 4 GiB", read(b"\xff\xff\xff\xff\x0f" + b"\0" * 20), 413)
    refused("read: gzip", read(b"", {"Content-Encoding": "gzip"}), 415, "gzip")
    refused("read: a length beyond the message", read(lib.snappy(b"\x0a\x7fabc")), 400, "byte")
    refused("read: random", read(lib.snappy(bytes((i * 37 + 11) % 256 for i in range(3000)))), 400)
    refused("read: a regular expression that is none",
            read(query(b"\x08\x02\x12\x01a\x1a\x02((")), 400, "((")
    refused("read: an unknown matcher", read(query(b"\x08\x09")), 400, "not known")
    refused("read: 2000 queries", read(lib.snappy(b"\x0a\x00" * 2000)), 400, "more queries")
    refused("read: unknown answers", read(query(types=b"\x12\x01\x07")), 400, "response types")
    lib.check_equal("read: GET", server.get("/api/v1/read").status, 405)
    answer = read(query(b"\x12\x08__name__\x1a\x04kept"))
    lib.check("read: a good one", answer.status == 200 and b"kept" in answer.body, answer)


def bad_labels(server):
    when = [(NOW_MS, 1.0)]
    cases = {
        "no metric name": [("job", "x")],
        "empty label name": [("__name__", "m"), ("", "x")],
        "label twice": [("__name__", "m"), ("a", "1"), ("a", "2")],
        "not UTF-8": [("__name__", "m"), ("a", b"\xff\xfe")],
        "value too long": [("__name__", "m"), ("a", "v" * 100000)],
        "too many labels": [("__name__", "m")] + [("l%03d" % i, "x") for i in range(500)],
    }
    for what, labels in cases.items():
        answer = server.write([(labels, when)] + GOOD)
        refused("labels: " + what, answer, 400)
        lib.check("labels: %s: a sentence" % what, len(answer.text.strip()) > 10, answer)
    future = server.write([({"__name__": "future"}, [(NOW_MS + 3600 * 1000, 1.0)])])
    refused("an hour ahead", future, 400)
    lib.check("good samples of bad requests are kept", kept(server))


def bad_requests(server):
    body = lib.snappy(lib.encode_write(GOOD))
    refused("an encoding that nobody sends", server.write_body(body, {"Content-Encoding": "br"}), 415)
    refused("Snappy called zstd", server.write_body(body, {"Content-Encoding": "zstd"}), 400)
    refused("1.0 called 2.0", server.write_body(body, {
        "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}), 400, "1.0")
    refused("a message of no remote_write", server.write_body(body, {
        "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v3.Request"}), 415)
    refused("GET of write", server.get("/api/v1/write"), 405, "POST")
    refused("DELETE of query", server.request("DELETE", "/api/v1/query"), 405, "GET")
    refused("unknown method", server.request("BREW", "/api/v1/query"), 405, "BREW")
    refused("unknown path", server.get("/api/v1/nothing"), 404, "/api/v1/nothing")
    refused("broken escape", server.get("/api/v1/query?query=%zz"), 400, "percent-escape", "bad_data")
    refused("quit without leave", server.request("POST", "/-/quit"), 403, "--enable-lifecycle")


def raw(server, text, reads=True):
    """Bytes as they are; what comes back until the server closes or answers."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(text)
        if not reads:
            return b""
        connection.settimeout(10)
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = connection.recv(65536)
            if not part:
                break
            answer += part
        return answer


def bad_http(server):
    answer = raw(server, b"POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
    lib.check("body of 100 GB announced: 413 at once", b" 413 " in answer, answer)
    answer = raw(server, b"POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
    lib.check("Content-Length is no number: 400", b" 400 " in answer, answer)
    answer = raw(server, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 300000 + b"\r\n\r\n")
    lib.check("header of 300 kB: refused", b" 431 " in answer or b" 413 " in answer or not answer, answer)
    answer = raw(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03TLS to a plain port\r\n\r\n")
    lib.check("no HTTP at all: no 200", b" 200 " not in answer, answer)
    for _ in range(20):  # sends half and goes away
        raw(server, b"POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc", False)
    linger = struct.pack("ii", 1, 0)
    for _ in range(20):  # resets
        connection = socket.create_connection(("127.0.0.1", server.port), 10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.close()
    lib.check("goes on after broken connections", server.get("/-/healthy").status == 200)


def bad_queries(server):
    cases = [
        ("sum(", 400, "bad_data", ["parse error"]),
        ("rate(up)", 400, "bad_data", []),
        ("up{job=~\"(\"}", 400, "bad_data", []),
        ("nosuchfunction(up)", 400, "bad_data", ["nosuchfunction"]),
        ("", 400, "bad_data", []),
        ("(" * 5000 + "1" + ")" * 5000, 400, "bad_data", []),
    ]
    for query, status, kind, parts in cases:
        for method in ("GET", "POST"):
            answer = server.post("/api/v1/query", {"query": query}) if method == "POST" else \
                server.get("/api/v1/query?query=" + lib.urllib.parse.quote(query))
            what = "%s query %.20r" % (method, query)
            lib.check("%s: %d" % (what, status), answer.status == status, answer)
            answered = answer.json()
            lib.check(what + ": envelope", answered["status"] == "error" and
                      answered["errorType"] == kind and answered["error"], answer)
            lib.check_contains(what + ": says why", answered["error"], *parts)
    answer = server.post("/api/v1/query", {"query": "1", "time": "yesterday"})
    refused("bad time", answer, 400, "time")
    answer = server.post("/api/v1/query_range", {"query": "1", "start": "0", "end": "1e9", "step": "1"})
    refused("too many steps", answer, 400, "11,000")
    answer = server.post("/api/v1/query_range", {"query": "1", "start": "10", "end": "0", "step": "1"})
    refused("end before start", answer, 400, "end")
    answer = server.post("/api/v1/query_range", {"query": "1", "start": "0", "end": "1", "step": "0"})
    refused("step of zero", answer, 400, "step")


def start_fails(run, what, status, arguments, *parts, **options):
    """tidewatchd with these arguments ends at once and says why."""
    program = run.program("tidewatchd", *arguments, **options)
    seen = program.wait(10)
    lib.check_equal("%s: exit status" % what, seen, status)
    program.kill()
    lib.check_contains("%s: says why" % what, program.log(), *parts)


def bad_starts(run, server):
    listen = "127.0.0.1:%d" % server.port
    free = "127.0.0.1:%d" % lib.free_port()
    start_fails(run, "port in use", 1, ["--listen", listen, "--data", run.path("other")],
                listen, "--listen")
    start_fails(run, "second server on the folder", 1, ["--listen", free, "--data", server.folder],
                server.folder, str(server.pid))
    start_fails(run, "data below a file", 1,
                ["--listen", free, "--data", run.file("plain", "x") + "/data"], run.path("plain"))
    start_fails(run, "data folder in /proc", 1, ["--listen", free, "--data", "/proc/tidewatch"],
                "/proc/tidewatch")
    start_fails(run, "unknown option", 2, ["--lisen", free], "did you mean --listen?")
    start_fails(run, "bad value", 2, ["--retention", "soon"], "--retention")
    start_fails(run, "no such configuration", 1,
                ["--listen", free, "--data", run.path("other"), "--config", "/nowhere.yml"], "/nowhere.yml")
    bad = run.file("bad.yml", "rule_files: []\nroutes: {}\n")
    start_fails(run, "bad configuration", 1,
                ["--listen", free, "--data", run.path("other"), "--config", bad],
                "bad.yml:2:1", "unknown key 'routes'; did you mean 'route'?")
    bad = run.file("broken.yml", "rule_files: [\n  a,\nb: c\n")
    start_fails(run, "broken YAML", 1,
                ["--listen", free, "--data", run.path("other"), "--config", bad], "broken.yml:4:1")


def bad_reload(run):
    path = run.file("tidewatch.yml", "rule_files: []\n")
    server = run.server(data="reload", arguments=["--config", path])
    lib.check_equal("reload: good", server.request("POST", "/-/reload").status, 200)
    run.file("tidewatch.yml", "rule_files: []\nreciever: 1\n")
    answer = server.request("POST", "/-/reload")
    refused("reload: bad file", answer, 500, "tidewatch.yml:2:1", "unknown key 'reciever'")
    shown = server.get("/api/v1/status/config").json()["data"]["yaml"]
    lib.check_equal("reload: old settings stay", shown, "rule_files: []\n")
    lib.check("reload: metric says so",
              "tidewatch_config_last_reload_successful 0\n" in server.get("/metrics").text)
    server.signal(lib.signal.SIGHUP)
    lib.check("SIGHUP: tells in the log",
              lib.wait_for(lambda: "configuration refused" in server.log().split("stopping")[0]))
    run.file("tidewatch.yml", "rule_files: []\nroute: {receiver: a}\nreceivers: [{name: a}]\n")
    server.signal(lib.signal.SIGHUP)
    lib.check("SIGHUP: takes the mended file",
              lib.wait_for(lambda: "name: a" in server.get("/api/v1/status/config").text))
    lib.check_equal("stops cleanly", server.stop(), 0)


def small_disk(run):
    """A full and an unwritable data folder, on a small file system of its own."""
    place = run.path("small")
    os.makedirs(place)
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True,
        check=False).returncode == 0
    if not mounted:
        lib.skip("full and read-only data folder", "needs leave to mount a small tmpfs")
        return
    try:
        server = run.server(data="small/data", arguments=["--self-interval", "off"])
        lib.check_equal("small disk: first write", server.write(GOOD).status, 204)
        with open(os.path.join(place, "filler"), "wb", buffering=0) as filler:
            try:
                while filler.write(b"\0" * 4096):
                    pass
            except OSError:
                pass
        stored, status, answer = 0, 204, None
        for i in range(400):
            wide = [({"__name__": "fill", "i": "%d-%d" % (i, k), "x": os.urandom(20).hex()},
                     [(NOW_MS - 1000, float(i * k))]) for k in range(200)]
            answer = server.write(wide)
            status = answer.status
            if status != 204:
                break
            stored += 1
        lib.check("full disk: writes are refused with 503", status == 503, (stored, answer))
        lib.check("full disk: says why", "space" in answer.text, answer)
        lib.check("full disk: still answers and keeps what it had", kept(server))
        os.unlink(os.path.join(place, "filler"))
        lib.check("full disk: takes samples again when there is room",
                  lib.wait_for(lambda: server.write(GOOD).status == 204, 10, 0.3))
        server.kill()
        server = run.server(data="small/data", arguments=["--self-interval", "off"])
        lib.check("full disk, kill -9, start: nothing lost", kept(server))
        count = server.query("count(fill)", NOW_MS / 1000)
        lib.check_equal("full disk: every acknowledged series is there",
                        int(count[0]["value"][1]) if count else 0, stored * 200)
        lib.check_equal("full disk: stops cleanly", server.stop(), 0)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        start_fails(run, "read-only folder", 1, [
            "--listen", "127.0.0.1:%d" % lib.free_port(), "--data", os.path.join(place, "data")],
            os.path.join(place, "data"), "ead-only")
    finally:
        for program in run.programs:
            program.stop()
        subprocess.run(["umount", place], check=False)


with lib.Run() as run:
    SERVER = run.server()
    lib.check_equal("good write", SERVER.write(GOOD).status, 204)
    lib.check("good write is there", kept(SERVER))
    bad_bodies(SERVER)
    bad_reads(SERVER)
    bad_labels(SERVER)
    bad_requests(SERVER)
    bad_http(SERVER)
    bad_queries(SERVER)
    bad_starts(run, SERVER)
    lib.check("after all that: data intact", kept(SERVER))
    SERVER.kill()
    SERVER = run.server()
    lib.check("after kill -9 and a new start: data intact", kept(SERVER))
    lib.check_equal("stops cleanly", SERVER.stop(), 0)
    bad_reload(run)
    small_disk(run)
lib.done()
