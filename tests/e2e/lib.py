# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end scripts share: programs started on free ports with data in temporary folders,
HTTP without a library, remote_write bodies written by hand, and checks that print what they saw.

A script is standalone:

    import lib
    with lib.Run() as run:
        server = run.server()                     # tidewatchd, ready
        lib.check("healthy", server.get("/-/healthy").status == 200)
    lib.done()                                    # exit status 0, 1, or 77 when all was skipped

The programs come from $TW_BUILD (default: build/ beside tests/). Standard library only.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("TW_BUILD") or os.path.join(SOURCE, "build"))
STALE_BITS = 0x7FF0000000000002

# ---- checks ------------------------------------------------------------------------------------

_counts = {"ok": 0, "failed": 0, "skipped": 0}


def check(what, holds, seen=None):
    """One check, one line; `seen` is printed when it fails."""
    _counts["ok" if holds else "failed"] += 1
    print(("ok      " if holds else "FAILED  ") + what, flush=True)
    if not holds and seen is not None:
        print("        seen: " + str(seen)[:2000], flush=True)
    return holds


def check_equal(what, seen, wanted):
    return check(what, seen == wanted, "%r, not %r" % (seen, wanted))


def check_contains(what, text, *parts):
    missing = [part for part in parts if part not in text]
    return check(what, not missing, "%r lacks %r" % (text, missing))


def skip(what, why):
    _counts["skipped"] += 1
    print("skip    %s: %s" % (what, why), flush=True)


def done():
    print("%(ok)d ok, %(failed)d failed, %(skipped)d skipped" % _counts, flush=True)
    sys.exit(1 if _counts["failed"] else 77 if _counts["skipped"] and not _counts["ok"] else 0)


def wait_for(condition, seconds=10, step=0.05):
    """The first true value of condition(), or its last value when time is up."""
    limit = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > limit:
            return value
        time.sleep(step)


def peer(variable):
    """Path of a peer program named in the environment, or None."""
    path = os.environ.get(variable, "")
    return path if path and os.access(path, os.X_OK) else None


# ---- HTTP --------------------------------------------------------------------------------------


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%d %r" % (self.status, self.body[:500])


def request(port, method, target, body=None, headers=None, timeout=20):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


# ---- remote_write 1.0 by hand ---------------------------------------------------------------------


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field_bytes(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def encode_series(labels, samples):
    """labels: a dict or a list of pairs; samples: [(time_ms, value)]; value may be an int's 64 bits."""
    pairs = sorted(labels.items()) if isinstance(labels, dict) else labels
    out = b""
    for name, value in pairs:
        name = name if isinstance(name, bytes) else name.encode()
        value = value if isinstance(value, bytes) else value.encode()
        out += field_bytes(1, field_bytes(1, name) + field_bytes(2, value))
    for time_ms, value in samples:
        raw = struct.pack("<Q", value) if isinstance(value, int) and value >= 1 << 60 else \
            struct.pack("<d", value)
        out += field_bytes(2, varint(1 << 3 | 1) + raw + varint(2 << 3) + varint(time_ms))
    return out


def encode_write(series):
    """series: [(labels, samples)] -> a WriteRequest, not yet compressed."""
    return b"".join(field_bytes(1, encode_series(labels, samples)) for labels, samples in series)


def snappy(raw):
    """Valid Snappy, of literals only."""
    out = bytearray(varint(len(raw)))
    for first in range(0, len(raw), 65536):
        chunk = raw[first:first + 65536]
        size = len(chunk) - 1
        if size < 60:
            out.append(size << 2)
        elif size < 256:
            out += bytes((60 << 2, size))
        else:
            out += bytes((61 << 2, size & 0xFF, size >> 8))
        out += chunk
    return bytes(out)


WRITE_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "tidewatch-test/1",
}


# ---- programs ----------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A started program with its output in a file."""

    def __init__(self, arguments, log_path, **options):
        self.arguments, self.log_path = arguments, log_path
        with open(log_path, "ab") as log:
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, **options)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path, "rb") as log:
            return log.read().decode("utf-8", "replace")

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=15):
        """Exit status (negative: the signal), or None when it still runs."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, seconds=15):
        """SIGTERM, then SIGKILL when that does not help. Exit status."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
            if self.wait(seconds) is None:
                self.process.kill()
                self.process.wait()
                return -signal.SIGKILL
        return self.process.returncode

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait()

    def status_kb(self, field):
        """A field of /proc/<pid>/status such as VmRSS, in KiB."""
        with open("/proc/%d/status" % self.pid) as status:
            found = re.search(r"^%s:\s+(\d+) kB" % field, status.read(), re.M)
            return int(found.group(1)) if found else 0


class Server(Program):
    """tidewatchd on a free port."""

    def __init__(self, folder, log_path, port=None, arguments=(), program="tidewatchd", **options):
        self.port, self.folder = port or free_port(), folder
        super().__init__([os.path.join(BUILD, program), "--listen", "127.0.0.1:%d" % self.port,
                          "--data", folder] + list(arguments), log_path, **options)
        self.url = "http://127.0.0.1:%d" % self.port

    def request(self, method, target, body=None, headers=None, timeout=20):
        return request(self.port, method, target, body, headers, timeout)

    def get(self, target, headers=None, timeout=20):
        return self.request("GET", target, None, headers, timeout)

    def post(self, target, form=None, headers=None, timeout=20):
        body = urllib.parse.urlencode(form or {}, doseq=True)
        return self.request("POST", target, body, {
            "Content-Type": "application/x-www-form-urlencoded", **(headers or {})}, timeout)

    def wait_ready(self, seconds=10):
        def ready():
            if not self.running():
                return True
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.get("/-/ready", timeout=2).status == 200
            return False

        if not wait_for(ready, seconds) or not self.running():
            raise RuntimeError("server is not ready:\n" + self.log())
        return self

    def write(self, series, headers=None, timeout=20):
        """Pushes [(labels, [(time_ms, value)])] by remote_write 1.0."""
        return self.request("POST", "/api/v1/write", snappy(encode_write(series)),
                            {**WRITE_HEADERS, **(headers or {})}, timeout)

    def write_body(self, body, headers=None, timeout=20):
        """Pushes bytes as they are."""
        return self.request("POST", "/api/v1/write", body, {**WRITE_HEADERS, **(headers or {})}, timeout)

    def metric(self, name):
        """The value of a series of /metrics, named with its labels as they stand there, or None."""
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return None

    def query(self, expression, time_s=None):
        """data.result of an instant query."""
        form = {"query": expression}
        if time_s is not None:
            form["time"] = repr(time_s)
        answer = self.post("/api/v1/query", form)
        if answer.status != 200:
            raise RuntimeError("query %r: %r" % (expression, answer))
        return answer.json()["data"]["result"]

    def query_range(self, expression, start_s, end_s, step_s):
        answer = self.post("/api/v1/query_range", {
            "query": expression, "start": repr(start_s), "end": repr(end_s), "step": repr(step_s)})
        if answer.status != 200:
            raise RuntimeError("query_range %r: %r" % (expression, answer))
        return answer.json()["data"]["result"]


class Run:
    """A temporary folder and the programs started in it; all end with the `with` block."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tidewatch-e2e-")
        self.programs = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for program in reversed(self.programs):
            program.stop()
        if kind is not None and kind is not SystemExit:
            for program in self.programs:
                print("---- log of %s\n%s" % (program.arguments[0], program.log()[-4000:]), flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        return False

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def file(self, name, content):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb" if isinstance(content, bytes) else "w") as file:
            file.write(content)
        return path

    def server(self, data="data", port=None, arguments=(), config=None, ready=True, **options):
        """tidewatchd; config is the text of its file, if any."""
        arguments = list(arguments)
        if config is not None:
            arguments += ["--config", self.file("tidewatch.yml", config)]
        program = Server(self.path(data), self.path("server-%d.log" % len(self.programs)), port,
                         arguments, **options)
        self.programs.append(program)
        return program.wait_ready() if ready else program

    def program(self, path, *arguments, **options):
        """Any program; a bare name is looked up in the build folder."""
        path = path if "/" in path else os.path.join(BUILD, path)
        program = Program([path] + list(arguments), self.path("program-%d.log" % len(self.programs)),
                          **options)
        self.programs.append(program)
        return program

    def agent(self, server_url, data="agent", arguments=()):
        return self.program("tidewatch-agent", "--server", server_url, "--data", self.path(data),
                            *arguments)


def tidewatch(*arguments, timeout=20, **options):
    """Runs the command line program; has returncode, stdout, stderr."""
    return subprocess.run([os.path.join(BUILD, "tidewatch")] + list(arguments), timeout=timeout,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
                          **options)
