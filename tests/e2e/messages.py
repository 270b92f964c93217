# SPDX-License-Identifier: Apache-2.0
"""Bodies of remote_write 1.0 and 2.0 with native histograms and exemplars, and of remote read, written
and read by hand, so that the same bytes can be given to a real Prometheus.

A series: {"labels": {...}, "samples": [(time_ms, value)], "histograms": [histogram],
           "exemplars": [(labels, value, time_ms)], "start_ms": ...}
A histogram: {"t": time_ms, "schema": 3, "count": 4, "sum": 1.5, "zero_threshold": 0, "zero_count": 1,
              "positive": ([(offset, length)], [deltas or counts]), "negative": ..., "custom": [bounds],
              "hint": 0, "float": False, "start_ms": ...}
"""

import struct

from lib import field_bytes, varint

BITS_MIN = 1 << 60  # an int as large stands for the bits of a double


def zigzag(number):
    return varint((number << 1) ^ (number >> 63))


def field_varint(number, value):
    return varint(number << 3) + varint(value)


def field_zigzag(number, value):
    return varint(number << 3) + zigzag(value)


def double(value):
    if isinstance(value, int) and value >= BITS_MIN:
        return struct.pack("<Q", value)
    return struct.pack("<d", value)


def field_double(number, value):
    return varint(number << 3 | 1) + double(value)


def packed(number, content):
    return field_bytes(number, content) if content else b""


# ---- histograms: the same message in 1.0, 2.0 and remote read but for the start timestamp --------


def encode_histogram(histogram, version=1):
    is_float = histogram.get("float", False)
    out = field_double(2, histogram["count"]) if is_float else field_varint(1, histogram["count"])
    out += field_double(3, histogram.get("sum", 0.0))
    out += field_zigzag(4, histogram["schema"])
    out += field_double(5, histogram.get("zero_threshold", 0.0))
    zero = histogram.get("zero_count", 0)
    out += field_double(7, zero) if is_float else field_varint(6, zero)
    for first, side in ((8, "negative"), (11, "positive")):
        spans, buckets = histogram.get(side, ((), ()))
        for offset, length in spans:
            out += field_bytes(first, field_zigzag(1, offset) + field_varint(2, length))
        if is_float:
            out += packed(first + 2, b"".join(map(double, buckets)))
        else:
            out += packed(first + 1, b"".join(map(zigzag, buckets)))
    out += field_varint(14, histogram.get("hint", 0)) + field_varint(15, histogram["t"])
    out += packed(16, b"".join(map(double, histogram.get("custom", ()))))
    if version == 2 and histogram.get("start_ms"):
        out += field_varint(17, histogram["start_ms"])
    return out


# ---- remote_write ------------------------------------------------------------------------------


def encode_label(name, value):
    return field_bytes(1, name.encode()) + field_bytes(2, value.encode())


def encode_write(series_list):
    """A WriteRequest of 1.0, not yet compressed."""
    body = b""
    for series in series_list:
        out = b""
        for name, value in sorted(series["labels"].items()):
            out += field_bytes(1, encode_label(name, value))
        for time_ms, value in series.get("samples", ()):
            out += field_bytes(2, field_double(1, value) + field_varint(2, time_ms))
        for labels, value, time_ms in series.get("exemplars", ()):
            exemplar = b"".join(field_bytes(1, encode_label(*pair)) for pair in sorted(labels.items()))
            out += field_bytes(3, exemplar + field_double(2, value) + field_varint(3, time_ms))
        for histogram in series.get("histograms", ()):
            out += field_bytes(4, encode_histogram(histogram))
        body += field_bytes(1, out)
    return body


def encode_write_2(series_list):
    """A Request of 2.0, not yet compressed."""
    symbols = [""]

    def refer(labels):
        out = b""
        for pair in sorted(labels.items()):
            for text in pair:
                if text not in symbols:
                    symbols.append(text)
                out += varint(symbols.index(text))
        return out

    body = b""
    for series in series_list:
        out = field_bytes(1, refer(series["labels"]))
        for time_ms, value in series.get("samples", ()):
            sample = field_double(1, value) + field_varint(2, time_ms)
            if series.get("start_ms"):
                sample += field_varint(3, series["start_ms"])
            out += field_bytes(2, sample)
        for histogram in series.get("histograms", ()):
            out += field_bytes(3, encode_histogram(histogram, 2))
        for labels, value, time_ms in series.get("exemplars", ()):
            out += field_bytes(4, field_bytes(1, refer(labels)) + field_double(2, value) +
                               field_varint(3, time_ms))
        body += field_bytes(5, out)
    return b"".join(field_bytes(4, text.encode()) for text in symbols) + body


HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
           "X-Prometheus-Remote-Write-Version": "0.1.0", "User-Agent": "tidewatch-test/1"}
HEADERS_2 = {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
             "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "2.0.0",
             "User-Agent": "tidewatch-test/1"}
