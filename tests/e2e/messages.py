# SPDX-License-Identifier: Apache-2.0
"""Bodies of remote_write 1.0 and 2.0 with native histograms and exemplars, and of remote read, written
and read by hand, so that the same bytes can be given to a real Prometheus.

A series: {"labels": {...}, "samples": [(time_ms, value)], "histograms": [histogram],
           "exemplars": [(labels, value, time_ms)],
           "start_ms": of each sample, "created_ms": of all, as Prometheus 3.5 has it}
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
        if series.get("created_ms"):
            out += field_varint(6, series["created_ms"])
        body += field_bytes(5, out)
    return b"".join(field_bytes(4, text.encode()) for text in symbols) + body


HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
           "X-Prometheus-Remote-Write-Version": "0.1.0", "User-Agent": "tidewatch-test/1"}
HEADERS_2 = {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
             "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "2.0.0",
             "User-Agent": "tidewatch-test/1"}


# ---- protobuf and Snappy, read -------------------------------------------------------------------


def read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def fields(data):
    """Pairs of number and value (bytes of length-delimited and fixed ones)."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            value, at = read_varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(tag & 7)
            if size is None:
                size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
        yield tag >> 3, value


def signed(value, bits=64):
    return value - (1 << bits) if value >> (bits - 1) else value


def unzigzag(value):
    return (value >> 1) ^ -(value & 1)


def unpack_bits(data):
    return struct.unpack("<Q", data)[0]


def unsnappy(data):
    size, at = read_varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length, at = int.from_bytes(data[at:at + extra], "little"), at + extra
            out += data[at:at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:
            length, offset, at = 4 + (tag >> 2 & 7), (tag >> 5) << 8 | data[at], at + 1
        else:
            extra = 2 if tag & 3 == 2 else 4
            length, offset = 1 + (tag >> 2), int.from_bytes(data[at:at + extra], "little")
            at += extra
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


# ---- remote read ---------------------------------------------------------------------------------

SAMPLES, CHUNKS = 0, 1
READ_HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
                "X-Prometheus-Remote-Read-Version": "0.1.0", "User-Agent": "tidewatch-test/1"}


def encode_read(queries, types=()):
    """queries: [(start_ms, end_ms, [(op, name, value)])], op 0..3 for =, !=, =~, !~."""
    body = b""
    for start_ms, end_ms, matchers in queries:
        body += field_bytes(1, b"".join((
            field_varint(1, start_ms), field_varint(2, end_ms),
            *(field_bytes(3, field_varint(1, op) + field_bytes(2, name.encode()) +
                          field_bytes(3, value.encode())) for op, name, value in matchers))))
    return body + packed(2, b"".join(map(varint, types)))


def decode_labels(data):
    pair = {1: b"", 2: b""}
    pair.update(fields(data))
    return pair[1].decode(), pair[2].decode()


class Histogram:
    """As it came, and comparable: buckets by number without the empty ones."""

    def __init__(self):
        self.t = self.count = self.zero_count = self.schema = self.hint = 0
        self.sum = self.zero_threshold = 0  # bits
        self.float = False
        self.spans = {"positive": [], "negative": []}
        self.counts = {"positive": [], "negative": []}
        self.custom = []

    def stale(self):
        return self.sum == 0x7FF0000000000002

    def key(self):
        if self.stale():
            return self.t, "stale"
        sides = []
        for side in ("positive", "negative"):
            buckets, at, index = [], 0, 0
            for offset, length in self.spans[side]:
                at += offset
                for _ in range(length):
                    if self.counts[side][index]:
                        buckets.append((at, self.counts[side][index]))
                    at, index = at + 1, index + 1
            sides.append(tuple(buckets))
        return (self.t, self.float, self.schema, self.count, self.sum, self.zero_threshold,
                self.zero_count, tuple(self.custom), self.hint == 3, *sides)


def decode_span(data):
    span = {1: 0, 2: 0}
    span.update(fields(data))
    return unzigzag(span[1]), span[2]


def decode_histogram(data):
    h = Histogram()
    for number, value in fields(data):
        if number in (1, 2):
            h.count, h.float = (value, False) if number == 1 else (unpack_bits(value), True)
        elif number == 3:
            h.sum = unpack_bits(value)
        elif number == 4:
            h.schema = unzigzag(value)
        elif number == 5:
            h.zero_threshold = unpack_bits(value)
        elif number in (6, 7):
            h.zero_count = value if number == 6 else unpack_bits(value)
        elif number in (8, 11):
            h.spans["negative" if number == 8 else "positive"].append(decode_span(value))
        elif number in (9, 12):
            at = before = 0
            while at < len(value):
                delta, at = read_varint(value, at)
                before += unzigzag(delta)
                h.counts["negative" if number == 9 else "positive"].append(before)
        elif number in (10, 13):
            h.counts["negative" if number == 10 else "positive"] += struct.unpack(
                "<%dQ" % (len(value) // 8), value)
        elif number == 14:
            h.hint = value
        elif number == 15:
            h.t = signed(value)
        elif number == 16:
            h.custom += struct.unpack("<%dQ" % (len(value) // 8), value)
    return h


def decode_samples(body):
    """A ReadResponse -> per query {labels: ([(t, bits)], [Histogram])}."""
    results = []
    for _, result in fields(body):
        series_map = {}
        for _, series in fields(result):
            labels, samples, histograms = [], [], []
            for number, value in fields(series):
                if number == 1:
                    labels.append(decode_labels(value))
                elif number == 2:
                    sample = {1: b"\0" * 8, 2: 0}
                    sample.update(fields(value))
                    samples.append((signed(sample[2]), unpack_bits(sample[1])))
                elif number == 4:
                    histograms.append(decode_histogram(value))
            series_map[tuple(labels)] = (samples, histograms)
        results.append(series_map)
    return results


# ---- chunks --------------------------------------------------------------------------------------


class Bits:
    def __init__(self, data):
        self.data, self.at = data, 0

    def read(self, count):
        value = 0
        for at in range(self.at, self.at + count):
            value = value << 1 | self.data[at // 8] >> (7 - at % 8) & 1
        self.at += count
        return value

    def varint(self):
        number = shift = 0
        while True:
            byte = self.read(8)
            number, shift = number | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return number

    def ranged(self, width):
        value = self.read(width)
        return value - (1 << width) if value > 1 << (width - 1) else value

    def var(self, is_signed):
        ones = 0
        while ones < 8 and self.read(1):
            ones += 1
        if ones == 0:
            return 0
        if ones == 8:
            return signed(self.read(64)) if is_signed else self.read(64)
        width = (3, 6, 9, 12, 18, 25, 56)[ones - 1]
        return self.ranged(width) if is_signed else self.read(width)


class Xor:
    def __init__(self, before):
        self.before, self.leading, self.trailing = before, 0, 0

    def read(self, bits):
        if bits.read(1):
            if bits.read(1):
                self.leading, width = bits.read(5), bits.read(6) or 64
                self.trailing = 64 - self.leading - width
            self.before ^= bits.read(64 - self.leading - self.trailing) << self.trailing
        return self.before


def decode_xor_chunk(data):
    bits, out = Bits(data[2:]), []
    t = unzigzag(bits.varint())
    xor, step = Xor(bits.read(64)), 0
    out.append((t, xor.before))
    for index in range(1, int.from_bytes(data[:2], "big")):
        if index == 1:
            step = bits.varint()
        else:
            ones = 0
            while ones < 4 and bits.read(1):
                ones += 1
            step += (0 if ones == 0 else signed(bits.read(64)) if ones == 4
                     else bits.ranged((14, 17, 20)[ones - 1]))
        t += step
        out.append((t, xor.read(bits)))
    assert len(bits.data) * 8 - bits.at < 8, "bytes are left over"
    return out


def decode_histogram_chunk(data, is_float):
    count, header, bits = int.from_bytes(data[:2], "big"), data[2], Bits(data[3:])
    threshold = bits.read(8)
    threshold = (0 if threshold == 0 else bits.read(64) if threshold == 255 else
                 unpack_bits(struct.pack("<d", 2.0 ** (threshold - 244))))
    schema = bits.var(True)
    spans = {}
    for side in ("positive", "negative"):
        spans[side] = [tuple(reversed((bits.var(False), bits.var(True))))
                       for _ in range(bits.var(False))]
    custom = []
    if schema == -53:
        for _ in range(bits.var(False)):
            bound = bits.var(False)
            custom.append(unpack_bits(struct.pack("<d", (bound - 1) / 1000)) if bound
                          else bits.read(64))
    sizes = {side: sum(length for _, length in spans[side]) for side in spans}
    out, state = [], None
    for index in range(count):
        h = Histogram()
        h.float, h.schema, h.zero_threshold, h.spans, h.custom = is_float, schema, threshold, spans, custom
        h.hint = 3 if header >> 6 == 3 else 2 if index else {2: 1}.get(header >> 6, 0)
        if index == 0:
            h.t = bits.var(True)
            if is_float:
                h.count, h.zero_count = bits.read(64), bits.read(64)
            else:
                h.count, h.zero_count = bits.var(False), bits.var(False)
            h.sum = bits.read(64)
            raw = {side: [bits.read(64) if is_float else bits.var(True) for _ in range(size)]
                   for side, size in sizes.items()}
            state = {"t": [h.t, 0], "sum": Xor(h.sum)}
            state["count"] = Xor(h.count) if is_float else [h.count, 0]
            state["zero"] = Xor(h.zero_count) if is_float else [h.zero_count, 0]
            state["raw"] = {side: [Xor(v) if is_float else [v, 0] for v in raw[side]] for side in raw}
        else:
            h.t = dod(bits, state["t"])
            h.count, h.zero_count = (state[key].read(bits) if is_float else dod(bits, state[key])
                                     for key in ("count", "zero"))
            h.sum = state["sum"].read(bits)
            if not h.stale():
                raw = {side: [s.read(bits) if is_float else dod(bits, s) for s in state["raw"][side]]
                       for side in ("positive", "negative")}
        if not h.stale():
            for side in raw:
                total, counts = 0, []
                for value in raw[side]:
                    total = value if is_float else total + value
                    counts.append(total)
                h.counts[side] = counts
        out.append(h)
    assert len(bits.data) * 8 - bits.at < 8, "bytes are left over"
    return out


def dod(bits, state):
    state[1] += bits.var(True)
    state[0] += state[1]
    return state[0]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def decode_frames(body):
    """Frames -> [(query index, labels, [(first_ms, last_ms, encoding, data)])]."""
    at, out = 0, []
    while at < len(body):
        size, at = read_varint(body, at)
        assert crc32c(body[at + 4:at + 4 + size]) == int.from_bytes(body[at:at + 4], "big"), "checksum"
        message = body[at + 4:at + 4 + size]
        at += 4 + size
        index = dict(fields(message)).get(2, 0)
        for number, series in fields(message):
            if number != 1:
                continue
            labels = tuple(decode_labels(value) for n, value in fields(series) if n == 1)
            chunks = []
            for n, value in fields(series):
                if n == 2:
                    chunk = {1: 0, 2: 0, 3: 0, 4: b""}
                    chunk.update(fields(value))
                    chunks.append((signed(chunk[1]), signed(chunk[2]), chunk[3], chunk[4]))
            out.append((index, labels, chunks))
    return out


def decode_chunks(body, query_count):
    """As decode_samples; the chunks' times are checked."""
    results = [{} for _ in range(query_count)]
    for index, labels, chunks in decode_frames(body):
        samples, histograms = results[index].setdefault(labels, ([], []))
        for first_ms, last_ms, encoding, data in chunks:
            if encoding == 1:
                items = decode_xor_chunk(data)
                times = [t for t, _ in items]
                samples += items
            else:
                items = decode_histogram_chunk(data, encoding == 3)
                times = [h.t for h in items]
                histograms += items
            assert (times[0], times[-1]) == (first_ms, last_ms), "times of a chunk"
    return results
