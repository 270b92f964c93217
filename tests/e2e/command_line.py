#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line program: what it prints and how it exits, as promtool's users expect."""

import json
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


with lib.Run() as run:
    query(run)
    check(run)
lib.done()
