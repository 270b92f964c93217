# SPDX-License-Identifier: Apache-2.0
"""A remote_write receiver for tests of the agent: takes bodies apart by hand, keeps what it took, and
answers as it is told (refuse, be slow, hang up, send nonsense). Standard library only."""

import collections
import http.server
import socket
import socketserver
import struct
import threading
import time

STALE_BITS = 0x7FF0000000000002


def unsnappy(packed):
    """Snappy's block format."""
    size, at = _varint(packed, 0)
    out = bytearray()
    while at < len(packed):
        tag = packed[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(packed[at:at + extra], "little")
                at += extra
            out += packed[at:at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | packed[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(packed[at:at + width], "little")
            at += width
        if offset == 0 or offset > len(out):
            raise ValueError("copy from before the start")
        for _ in range(length):
            out.append(out[-offset])
    if len(out) != size:
        raise ValueError("declared %d bytes, got %d" % (size, len(out)))
    return bytes(out)


def _varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def fields(message):
    """(number, value) pairs: bytes, int, or 8 raw bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
        elif tag & 7 == 1:
            value, at = message[at:at + 8], at + 8
        elif tag & 7 == 2:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("length past the end")
            value, at = message[at:at + size], at + size
        else:
            raise ValueError("wire type %d" % (tag & 7))
        yield tag >> 3, value


Sample = collections.namedtuple("Sample", "time_ms value bits")


def decode(body):
    """[(labels as a tuple of pairs, [Sample])], {family: (type, help)}."""
    series, metadata = [], {}
    for number, value in fields(body):
        if number == 1:
            labels, samples = [], []
            for inner, content in fields(value):
                if inner == 1:
                    pair = dict(fields(content))
                    labels.append((pair.get(1, b"").decode(), pair.get(2, b"").decode()))
                elif inner == 2:
                    sample = dict(fields(content))
                    raw = sample.get(1, b"\0" * 8)
                    time_ms = sample.get(2, 0)
                    samples.append(Sample(time_ms - (1 << 64) if time_ms >> 63 else time_ms,
                                          struct.unpack("<d", raw)[0],
                                          struct.unpack("<Q", raw)[0]))
            series.append((tuple(labels), samples))
        elif number == 3:
            item = dict(fields(value))
            metadata[item[2].decode()] = (item.get(1, 0), item.get(4, b"").decode())
    return series, metadata


class Receiver:
    """Keeps samples as {labels: {time_ms: value bits}}. `behave` is called with the number of the request and
    returns None (take it), (status, headers, body), or a function that gets the handler."""

    def __init__(self, port=0, behave=None):
        self.behave = behave
        self.samples = collections.defaultdict(dict)
        self.metadata = {}
        self.problems = []
        self.requests = 0
        self.taken = 0
        self.connections = 0
        self.open = []
        self.bytes = 0
        self.headers = {}
        self.order = []  # first time of each body that was taken
        self.repeated = 0
        self.lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                with receiver.lock:
                    receiver.connections += 1
                    receiver.open.append(self.connection)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer = receiver.take(self.path, dict(self.headers), body)
                if callable(answer):
                    self.close_connection = True
                    answer(self)
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def take(self, path, headers, body):
        with self.lock:
            self.requests += 1
            number = self.requests
            self.headers = headers
            self.path = path
        answer = self.behave(number) if self.behave else None
        if answer is not None:
            return answer
        try:
            series, metadata = decode(unsnappy(body))
        except Exception as error:  # whatever the agent sent wrong is a failed test
            with self.lock:
                self.problems.append(repr(error))
            return 400, {}, repr(error).encode()
        with self.lock:
            self.taken += 1
            self.bytes += len(body)
            self.metadata.update(metadata)
            self.order.append(min((s.time_ms for _, samples in series for s in samples),
                                  default=None))
            for labels, samples in series:
                if list(labels) != sorted(labels) or len({n for n, _ in labels}) != len(labels):
                    self.problems.append("labels not canonical: %r" % (labels,))
                known = self.samples[labels]
                for sample in samples:
                    if sample.time_ms in known:
                        self.repeated += 1
                        if known[sample.time_ms] != sample.bits:
                            self.problems.append("another value at the same time: %r" % (labels,))
                    known[sample.time_ms] = sample.bits
        return 204, {}, b""

    def close(self):
        """As when the server's process ends: kept connections break too."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed already

    # ---- looking at what came ----

    def series(self, name, **labels):
        """{labels: {time_ms: bits}} of one metric."""
        wanted = set(labels.items()) | {("__name__", name)}
        with self.lock:
            return {key: dict(points) for key, points in self.samples.items()
                    if wanted <= set(key)}

    def last(self, name, **labels):
        """Newest value (no stale marker) of the one series that matches, None if there is none."""
        found = list(self.series(name, **labels).values())
        times = [t for t, bits in found[0].items() if bits != STALE_BITS] if len(found) == 1 else []
        if not times:
            return None
        return struct.unpack("<d", struct.pack("<Q", found[0][max(times)]))[0]

    def times(self, name="up"):
        return sorted(t for points in self.series(name).values() for t in points)

    def gaps(self, interval_ms=1000, name="up"):
        """Rounds missing between the first and the last."""
        times = [t for points in self.series(name).values()
                 for t, bits in points.items() if bits != STALE_BITS]
        wanted = {t // interval_ms for t in times}
        return [t for t in range(min(wanted), max(wanted)) if t not in wanted] if wanted else None


def wait_for(condition, seconds=10, step=0.05):
    limit = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > limit:
            return value
        time.sleep(step)
