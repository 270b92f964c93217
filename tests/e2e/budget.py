#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The budgets of memory and disk: a start that does not fit is refused with the table and the sum;
what fits holds while series come without end: new ones are refused, known ones and queries go on."""

import os
import subprocess
import time

import lib

NOW_MS = int(time.time() * 1000)


def daemon(*arguments):
    return subprocess.run([os.path.join(lib.BUILD, "tidewatchd")] + list(arguments), timeout=20,
                          capture_output=True, text=True, check=False)


def check_config(run):
    done = daemon("--check-config")
    lib.check_equal("check: exit status", (done.returncode, done.stderr), (0, ""))
    lib.check_contains("check: the table", done.stdout, "  head ", "  queries ", "  sum ",
                       "  memory_max ", "disk_reserve", "three quarters")
    good = run.file("good.yml", "storage: {memory_max: 256MiB, retention_size: 100MiB}\n")
    done = daemon("--config", good, "--check-config")
    lib.check_contains("check: a file", done.stdout, "256MiB   storage.memory_max",
                       "100MiB   storage.retention_size", "good.yml is valid")
    wrong = run.file("wrong.yml", "storage: {memory_max: 10}\n")
    done = daemon("--check-config", "--config=" + wrong)
    lib.check_equal("check: a mistake", (done.returncode, done.stdout), (1, ""))
    lib.check_contains("check: names the place", done.stderr, "wrong.yml:1:23", "memory_max")
    rules = run.file("rules.yml", "rule_files: [missing.yml]\n")
    lib.check_equal("check: a rule file is missing", daemon("--check-config", "--config", rules).returncode, 1)


def refused(run, what, arguments, *parts):
    done = daemon("--listen", "127.0.0.1:%d" % lib.free_port(), "--data", run.path("never"), *arguments)
    lib.check_equal(what + ": no start", done.returncode, 1)
    lib.check_contains(what + ": says why", done.stderr, *parts)
    lib.check(what + ": nothing was made", not os.path.exists(run.path("never")))


def starts(run):
    refused(run, "queries beyond memory", ["--query-memory-total", "1TiB"],
            "storage.memory_max", "raise it", "1.0TiB   --query-memory-total", "  sum ")
    huge = run.file("huge.yml", "storage: {memory_max: 900TiB}\n")
    refused(run, "more memory than there is", ["--config", huge], "900TiB", "has")
    disk = run.file("disk.yml", "storage: {retention_size: 900TiB}\n")
    refused(run, "more disk than there is", ["--config", disk], "retention_size of 900TiB")


def resident(server):
    return server.metric("process_resident_memory_bytes")


def runs(run):
    server = run.server(config="storage: {memory_max: 128MiB}\n", arguments=["--self-interval", "off"])
    lib.check_contains("log: the sum", server.log(), "budget settled", "memory_max=134217728")
    head = server.metric('tidewatch_memory_budget_bytes{part="head"}')
    lib.check_equal("metric: all parts", server.metric("tidewatch_memory_max_bytes"), 128 << 20)
    flags = server.get("/api/v1/status/flags").json()["data"]
    lib.check("flags: as settled", int(flags["query-memory-total"]) < 64 << 20, flags)
    known = [({"__name__": "known", "i": str(i)}, [(NOW_MS - 60000, 1.0)]) for i in range(100)]
    lib.check_equal("known series", server.write(known).status, 204)
    answer, sent, highest = None, 0, 0
    for i in range(400):
        fresh = [({"__name__": "new", "i": "%d-%d" % (i, k), "pad": "x" * 100}, [(NOW_MS, 1.0)])
                 for k in range(1000)]
        answer = server.write(fresh)
        highest = max(highest, resident(server))
        if answer.status == 429:
            break
        sent += 1
    lib.check_equal("new series: 429", answer.status, 429)
    lib.check("new series: when to come again", "Retry-After" in answer.headers, answer.headers)
    lib.check("some were taken", sent > 5, sent)
    lib.check("refused series are counted", server.metric(
        'tidewatch_tsdb_samples_refused_total{reason="memory_limit"}') +
        server.metric('tidewatch_tsdb_samples_refused_total{reason="series_limit"}') > 0)
    lib.check("the head holds to its share", server.metric("tidewatch_tsdb_head_bytes") <= head,
              (server.metric("tidewatch_tsdb_head_bytes"), head))
    lib.check("the process holds to memory_max", highest < 128 << 20, highest)
    later = [(labels, [(NOW_MS, 2.0)]) for labels, _ in known]
    lib.check_equal("known series go on", server.write(later).status, 204)
    lib.check_equal("queries go on", server.query("sum(known)", NOW_MS / 1000)[0]["value"][1], "200")
    run.file("tidewatch.yml", "storage: {memory_max: 256MiB}\n")
    lib.check_equal("reload", server.request("POST", "/-/reload").status, 200)
    lib.check_contains("reload: what needs a restart", server.log(), "needs a restart",
                       "setting=storage.memory_max")
    run.file("tidewatch.yml", "storage: {memory_max: 128MiB, series_max: 100000000}\n")
    failed = server.request("POST", "/-/reload")
    lib.check_equal("reload: what does not fit", failed.status, 500)
    lib.check_contains("reload: says why", failed.text, "storage.series_max", "the old one stays")


with lib.Run() as run:
    check_config(run)
    starts(run)
    runs(run)
lib.done()
