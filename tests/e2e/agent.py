#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tidewatch-agent against a receiver that behaves in every way that a server may: takes all, is away, comes
back, hangs, hangs up, refuses, sends nonsense. Nothing sampled may be missing or arrive wrong."""

import os
import socket
import subprocess
import sys
import time

import lib

sys.path.insert(0, os.path.join(lib.SOURCE, "tests", "lib"))
import receiver  # noqa: E402

AGENT = os.path.join(lib.BUILD, "tidewatch-agent")
LONG = int(os.environ.get("TW_LONG", "0"))
FAST = ["--no-capture", "--interval", "200ms"]


def whole(taken, interval_ms=200):
    """No round is missing between the first and the last, and nothing was malformed."""
    return not taken.problems and taken.gaps(interval_ms) == []


def seen(taken):
    return "problems %r, gaps %r" % (taken.problems[:3], taken.gaps(200))


def test_ordinary():
    taken = receiver.Receiver()
    with lib.Run() as run:
        agent = run.agent(taken.url, arguments=FAST)
        lib.check("rounds arrive", lib.wait_for(lambda: len(taken.times()) >= 10))
        lib.check_equal("one connection is kept", taken.connections, 1)
        lib.check_equal("path", taken.path, "/api/v1/write")
        lib.check_equal("headers", [taken.headers.get(name) for name in (
            "Content-Type", "Content-Encoding", "X-Prometheus-Remote-Write-Version")],
            ["application/x-protobuf", "snappy", "0.1.0"])
        lib.check("user agent", taken.headers.get("User-Agent", "").startswith("tidewatch-agent/"))
        up = list(taken.series("up"))
        lib.check_equal("labels of every series", dict(up[0]), {
            "__name__": "up", "instance": socket.gethostname(), "job": "node"})
        lib.check("types and help come along", taken.metadata.get("node_cpu_seconds_total", (0,))[0]
                  == 1 and taken.metadata["node_load1"] == (2, "Load average over 1 minute."),
                  taken.metadata.get("node_load1"))
        lib.check("the agent's own cost is a metric",
                  (taken.last("process_resident_memory_bytes") or 0) > 1e6)
        lib.check_equal("every source can be read or says so",
                        set(p[max(p)] for p in taken.series("node_scrape_collector_success")
                            .values()) <= {0, 0x3FF0000000000000}, True)
        lib.check_equal("exit status at SIGTERM", agent.stop(), 0)
        open_ends = [labels for labels, points in taken.samples.items()
                     if points[max(points)] != receiver.STALE_BITS]
        lib.check("every series ends with a stale marker", not open_ends, open_ends[:3])
        # A round that is not answered when the next is due goes to the spool and is sent again: on a
        # machine that stalls, and the spool tells.
        late = os.path.exists(run.path("agent", "spool", "position"))
        lib.check("all in order, nothing twice", whole(taken) and (taken.repeated == 0 or late),
                  "%s, repeated %d" % (seen(taken), taken.repeated))
        left = set(os.listdir(run.path("agent", "spool"))) - {"position"}
        lib.check("nothing stays in the spool", not left, left)
    taken.close()


def test_outage(seconds):
    port = lib.free_port()
    taken = receiver.Receiver(port)
    with lib.Run() as run:
        agent = run.agent(taken.url, arguments=FAST)
        lib.wait_for(lambda: len(taken.times()) >= 5)
        taken.close()
        time.sleep(seconds)
        size = sum(os.path.getsize(run.path("agent", "spool", name))
                   for name in os.listdir(run.path("agent", "spool")))
        lib.check("undelivered rounds are on disk", size > 1000, size)
        back = receiver.Receiver(port)
        lib.check("the spool empties", lib.wait_for(
            lambda: back.times() and back.last("tidewatch_agent_spool_bytes") == 0, 20))
        lib.check_equal("exit status", agent.stop(), 0)
        lib.check("it says so once each way",
                  agent.log().count("the server does not take samples") == 1 and
                  agent.log().count("the server takes samples again") == 1, agent.log())
        count = len(taken.times()) + len(back.times())
        for labels, points in taken.samples.items():
            back.samples[labels].update(points)
        lib.check("outage of %d s: all %d rounds are there, in order" % (seconds, count),
                  whole(back) and back.order == sorted(back.order), seen(back))
        rounds = back.last("tidewatch_agent_rounds_spooled_total")
        print("        %d bytes of spool for about %d rounds of %d samples: %.2f bytes a sample"
              % (size, seconds * 5, len(back.samples), size / (seconds * 5) / len(back.samples)))
        lib.check("spooled rounds are counted", rounds and rounds >= seconds * 4, rounds)
        back.close()


def test_kill():
    port = lib.free_port()
    with lib.Run() as run:
        agent = run.agent("http://127.0.0.1:%d" % port, arguments=FAST)
        time.sleep(3)
        killed_ms = time.time() * 1000
        agent.kill()
        taken = receiver.Receiver(port)
        agent = run.agent(taken.url, arguments=FAST)
        lib.check("rounds from before kill -9 arrive",
                  lib.wait_for(lambda: len(taken.times()) >= 20))
        before = [t for t in taken.times() if t < killed_ms]
        lib.check("at most two rounds before kill -9 are lost",
                  before and killed_ms - before[-1] <= 650 and
                  all(b - a <= 450 for a, b in zip(before[1:], before[2:])),
                  [killed_ms - t for t in before])
        agent.stop()
        lib.check("nothing malformed", not taken.problems, taken.problems)
        taken.close()


def test_damaged_spool():
    port = lib.free_port()
    with lib.Run() as run:
        agent = run.agent("http://127.0.0.1:%d" % port, arguments=FAST)
        time.sleep(2)
        agent.kill()
        folder = run.path("agent", "spool")
        name = sorted(n for n in os.listdir(folder) if n.endswith(".tws"))[0]
        with open(os.path.join(folder, name), "r+b") as file:
            size = file.seek(0, 2)
            file.seek(size - 700)
            file.write(b"\xff" * 20)
        run.file(os.path.join("agent", "spool", "00000000000000ff.tws"), b"not a spool file at all")
        run.file(os.path.join("agent", "spool", "unrelated.txt"), b"x")
        taken = receiver.Receiver(port)
        agent = run.agent(taken.url, arguments=FAST)
        lib.wait_for(lambda: taken.times() and
                     taken.last("tidewatch_agent_spool_files_damaged_total") == 2)
        lib.check_equal("damage is counted, and the agent goes on",
                        taken.last("tidewatch_agent_spool_files_damaged_total"), 2)
        lib.check("what stands before the damage is delivered", len(taken.times()) > 5)
        lib.check_equal("exit status", agent.stop(), 0)
        lib.check("nothing malformed", not taken.problems, taken.problems)
        taken.close()


def hang_up(handler):
    handler.connection.close()


def drip(handler):
    handler.wfile.write(b"HTTP/1.1 204 ")
    handler.wfile.flush()
    time.sleep(1.5)


def nonsense(handler):
    handler.wfile.write(b"\x00\xff garbage\r\n\r\n")


def endless(handler):
    handler.wfile.write(b"HTTP/1.1 500 No\r\nContent-Length: 100000000\r\n\r\n")
    try:
        for _ in range(100):
            handler.wfile.write(b"x" * 65536)
    except OSError:
        pass


def test_hostile():
    answers = [(500, {}, b"oops"), (503, {"Retry-After": "1"}, b"later"), hang_up, drip, nonsense,
               endless, (429, {"Retry-After": "nonsense"}, b""), (502, {}, b"x" * 100000)]

    def behave(number):
        return answers[number // 2 - 1] if number % 2 == 0 and number // 2 <= len(answers) else None
    taken = receiver.Receiver(behave=behave)
    with lib.Run() as run:
        agent = run.agent(taken.url, arguments=FAST)
        lib.check("all answers were tried", lib.wait_for(
            lambda: taken.requests > 2 * len(answers) + 5, 60), taken.requests)
        lib.wait_for(lambda: taken.last("tidewatch_agent_spool_bytes") == 0, 20)
        lib.check_equal("exit status", agent.stop(), 0)
        lib.check("hostile answers cost no round", whole(taken), seen(taken))
    taken.close()


def test_refusal():
    refusing = [True]

    def behave(number):
        return (400, {}, b"bad sample\n") if refusing[0] and number <= 5 else None
    taken = receiver.Receiver(behave=behave)
    with lib.Run() as run:
        agent = run.agent(taken.url, arguments=FAST)
        lib.wait_for(lambda: len(taken.times()) >= 5)
        dropped = taken.last("tidewatch_agent_samples_dropped_total", reason="refused")
        lib.check("what a 400 refuses is dropped and counted", dropped and dropped >= 5 * 300,
                  dropped)
        lib.check_equal("no retry of a 400", taken.requests - taken.taken, 5)
        lib.check_contains("the server's words are in the log", agent.log(), "bad sample")
        agent.stop()
    taken.close()


def test_too_large():
    """A proxy that takes small bodies only: batches are halved until they fit."""
    down = [True]
    taken = receiver.Receiver(behave=lambda number: (503, {}, b"") if down[0] else None)
    original = taken.take

    def take(path, headers, body):
        if len(body) > 24000 and not down[0]:
            taken.requests += 1
            return 413, {}, b"too large"
        return original(path, headers, body)
    taken.take = take
    with lib.Run() as run:
        agent = run.agent(taken.url, arguments=FAST)
        time.sleep(4)
        down[0] = False
        lib.wait_for(lambda: taken.times() and taken.last("tidewatch_agent_spool_bytes") == 0, 20)
        agent.stop()
        lib.check("batches too large for the server are made smaller", whole(taken), seen(taken))
        lib.check("nothing is dropped",
                  taken.last("tidewatch_agent_rounds_sent_total") is not None)
    taken.close()


def refused(name, arguments, *parts):
    done = subprocess.run([AGENT] + arguments, capture_output=True, text=True, timeout=10,
                          stdin=subprocess.DEVNULL, check=False)
    lib.check_equal("exit status of " + name, done.returncode, 2)
    lib.check_contains("message of " + name, done.stderr, *parts)


def test_usage():
    done = subprocess.run([AGENT, "--version"], capture_output=True, text=True, check=False)
    lib.check("--version", done.returncode == 0 and done.stdout.startswith("tidewatch-agent "))
    done = subprocess.run([AGENT, "--help"], capture_output=True, text=True, check=False)
    lib.check("--help", done.returncode == 0 and "--server" in done.stdout)
    refused("an unknown option", ["--nonsense"], "nonsense", "--help")
    refused("an extra word", ["word"], "unexpected argument word")
    refused("a bad server", ["--server", "localhost:9090"], "http://HOST:PORT")
    refused("a bad interval", ["--interval", "1"], "100ms to 5m")
    refused("a missing file", ["--config", "/nonexistent.yml"], "/nonexistent.yml")
    with lib.Run() as run:
        for name, text, *parts in (
                ("a misspelt key", "intervall: 1s\n", "agent.yml:1:1", "interval"),
                ("broken YAML", "labels: {a: b\n", "agent.yml:"),
                ("a list", "- 1\n", "agent.yml:1:1"),
                ("a bad duration", "interval: soon\n", "agent.yml:1:11"),
                ("a short interval", "interval: 1ms\n", "agent.yml:1:11", "100ms"),
                ("a bad label", "labels:\n  a-b: c\n", "agent.yml:2:3", "a-b"),
                ("job among the labels", "labels: {job: x}\n", "top level"),
                ("an unknown source", "sources: {disable: [meminf]}\n", "agent.yml:1:21",
                 "did you mean 'meminfo'"),
                ("a bad port", "capture: {ports: [0]}\n", "agent.yml:1:19", "1 to 65535"),
                ("a header with a break", 'headers: {X: "a\\nb"}\n', "agent.yml:1:11"),
                ("a small spool", "spool: {max_bytes: 1KB}\n", "4MiB"),
                ("a missing token file", "bearer_token_file: /nonexistent\n", "agent.yml:1:20")):
            refused(name, ["--check", "--config", run.file("agent.yml", text)], *parts)
        good = run.file("good.yml", "server: http://u:p@127.0.0.1:1/push\ninterval: 2s\njob: x\n"
                        "labels: {dc: ams}\nsources: {disable: [arp, timex]}\n"
                        "capture: {enabled: false, ports: [8125]}\nspool: {max_bytes: 16MiB}\n")
        done = subprocess.run([AGENT, "--check", "--config", good], capture_output=True, text=True,
                              check=False)
        lib.check("a good file", done.returncode == 0 and "is good" in done.stdout, done.stderr)
        first = run.agent("http://127.0.0.1:1", arguments=FAST)
        lib.wait_for(lambda: "sampling" in first.log())
        second = run.agent("http://127.0.0.1:1", arguments=FAST)
        lib.check_equal("a second agent on the same folder ends with", second.wait(), 1)
        lib.check_contains("and says why", second.log(), str(first.pid))


def test_settings():
    taken = receiver.Receiver()
    with lib.Run() as run:
        token = run.file("token", "secret-1\n")
        config = run.file("agent.yml", "interval: 200ms\njob: web\ninstance: here\n"
                          "labels: {dc: ams}\nheaders: {X-Scope-OrgID: team-a}\n"
                          "bearer_token_file: %s\nsources: {disable: [cpu]}\n"
                          "capture: {enabled: false}\nserver: %s/push/here\n" % (token, taken.url))
        agent = run.program("tidewatch-agent", "--data", run.path("agent"), "--config", config)
        lib.wait_for(lambda: len(taken.times()) >= 3)
        lib.check_equal("labels", dict(list(taken.series("up"))[0]),
                        {"__name__": "up", "job": "web", "instance": "here", "dc": "ams"})
        lib.check_equal("headers", [taken.headers.get("X-Scope-OrgID"),
                                    taken.headers.get("Authorization")],
                        ["team-a", "Bearer secret-1"])
        lib.check_equal("whole URL", taken.path, "/push/here")
        lib.check("a disabled source is silent", not taken.series("node_cpu_seconds_total") and
                  taken.series("node_load1"))
        lib.check("the log holds no secret", "secret" not in agent.log())
        agent.stop()
    taken.close()


def main():
    test_usage()
    test_ordinary()
    test_settings()
    test_outage(20 if LONG else 6)
    test_kill()
    test_damaged_spool()
    test_hostile()
    test_refusal()
    test_too_large()


if __name__ == "__main__":
    main()
    lib.done()
