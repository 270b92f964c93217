#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agent beside the real node_exporter on this host: the same names, labels and types, and values
within what the time between two readings explains. Needs NODE_EXPORTER_BIN."""

import os
import re
import struct
import sys
import time

import lib

sys.path.insert(0, os.path.join(lib.SOURCE, "tests", "lib"))
import receiver  # noqa: E402

# What node_exporter has and the agent leaves out, with the reason.
LEFT_OUT = {
    "node_exporter_build_info": "its own build",
    "node_textfile_scrape_error": "no textfile folder yet",
    "node_filesystem_purgeable_bytes": "always 0 on Linux",
}
# Under the same name with other labels: those of udev are not read, and rotational is the kernel's.
OTHER_LABELS = {"node_disk_info"}
OURS_ONLY_COLLECTORS = {"process"}
# Gauges and counters that move between two readings by more than a small part.
LOOSE = re.compile(
    r"node_(memory_.*|load.*|procs_.*|time_seconds|timex_.*|sockstat_.*|entropy.*|filefd.*|netstat_.*|"
    r"network_(receive|transmit)_(bytes|packets)_total|vmstat_.*|softnet_.*|arp_entries|udp_queues|"
    r"disk_.*|pressure_.*|filesystem_(avail|free)_bytes|filesystem_files_free|nf_conntrack_entries)$")
TYPES = {"untyped": 0, "counter": 1, "gauge": 2, "histogram": 3, "summary": 5}


def parse(text):
    """Exposition text -> {(name, labels)}: value, {name: type}."""
    samples, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            types[name] = kind
        elif line and not line.startswith("#"):
            match = re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$", line)
            labels = {}
            for name, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match.group(2) or ""):
                if value:
                    labels[name] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m.group(1),
                                                                              m.group(1)), value)
            samples[match.group(1), tuple(sorted(labels.items()))] = float(match.group(3))
    return samples, types


def wanted(name):
    return name.startswith("node_") and name not in LEFT_OUT and name not in OTHER_LABELS and \
        not name.startswith("node_scrape_collector_")


def ours(taken):
    """{(name, labels)}: newest value, without job and instance."""
    found = {}
    for labels, points in taken.samples.items():
        rest = tuple(sorted((n, v) for n, v in labels
                            if n not in ("__name__", "job", "instance")))
        bits = points[max(points)]
        if bits != receiver.STALE_BITS:
            found[dict(labels)["__name__"], rest] = \
                struct.unpack("<d", struct.pack("<Q", bits))[0]
    return found


def close(name, theirs, mine):
    if theirs == mine:
        return True
    if not LOOSE.match(name):
        return abs(theirs - mine) <= max(0.05 * abs(theirs), 6)
    return abs(theirs - mine) <= max(0.25 * abs(theirs), 64 << 20 if "bytes" in name else 3000)


def compare(taken, theirs, types):
    mine = ours(taken)
    their_names = {name for name, _ in theirs if wanted(name)}
    my_names = {name for name, _ in mine}
    lib.check("every name of node_exporter's is there (%d)" % len(their_names),
              not their_names - my_names, sorted(their_names - my_names))
    missing = [key for key in theirs if wanted(key[0]) and key not in mine
               and key[0] not in their_names - my_names]
    lib.check("every series has the same labels", not missing, missing)
    extra = sorted({key[0] for key in mine if key[0] in their_names and key not in theirs})
    lib.check("no series that node_exporter lacks under its names", not extra,
              [key for key in mine if key[0] in extra])
    wrong = [(name, kind, taken.metadata.get(name)) for name, kind in types.items()
             if wanted(name) and name in my_names
             and (taken.metadata.get(name) or (None,))[0] != TYPES[kind]]
    lib.check("every type is the same", not wrong, wrong)
    far = [(key, value, mine[key]) for key, value in theirs.items()
           if wanted(key[0]) and key in mine and not close(key[0], value, mine[key])]
    lib.check("every value is near (%d compared)" % len(theirs), not far, far)
    collectors = {dict(labels)["collector"] for name, labels in mine
                  if name == "node_scrape_collector_success"}
    their_collectors = {dict(labels).get("collector") for name, labels in theirs
                        if name == "node_scrape_collector_success"}
    lib.check("the sources have the names of its collectors",
              collectors - OURS_ONLY_COLLECTORS <= their_collectors,
              collectors - their_collectors)
    print("        only here: %s" % " ".join(sorted(my_names - their_names)), flush=True)


def main():
    binary = lib.peer("NODE_EXPORTER_BIN")
    if not binary:
        lib.skip("agent beside node_exporter", "NODE_EXPORTER_BIN is not set")
        return
    taken = receiver.Receiver()
    with lib.Run() as run:
        port = lib.free_port()
        run.program(binary, "--web.listen-address=127.0.0.1:%d" % port)
        run.agent(taken.url, arguments=["--no-capture"])
        lib.wait_for(lambda: len(taken.times()) >= 6, 20)

        def scrape():
            try:
                answer = lib.request(port, "GET", "/metrics")
                return answer.text if answer.status == 200 else None
            except OSError:
                return None
        lib.wait_for(scrape)  # its first answer is slow
        before = len(taken.times())
        lib.wait_for(lambda: len(taken.times()) > before, 5, 0.005)
        theirs, types = parse(scrape())
        compare(taken, theirs, types)
        lib.check("nothing malformed arrived", not taken.problems, taken.problems)
    taken.close()


if __name__ == "__main__":
    main()
    lib.done()
