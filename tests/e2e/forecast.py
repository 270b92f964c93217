#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Forecasts from the command line: CSV in and out, expressions of a server, back-tests."""

import json
import math
import re
import subprocess
import time
import urllib.parse

import lib

STEP = 300
NOW = int(time.time()) // STEP * STEP


def load_at(seconds):
    return 100 + 60 * math.sin(2 * math.pi * seconds / 86400) + 5 * math.sin(seconds * 12.9898)


def csv(count, order=1):
    lines = ["%d,%.6f" % (NOW - i * STEP, load_at(NOW - i * STEP)) for i in range(count)]
    return "timestamp,value\n" + "\n".join(lines[::order]) + "\n"


def runs(what, status, text, *arguments, env=None):
    done = subprocess.run([lib.os.path.join(lib.BUILD, "tidewatch")] + list(arguments), input=text, timeout=60,
                          capture_output=True, text=True, check=False, env=env)
    lib.check_equal("%s: exit status" % what, done.returncode, status)
    return done


def check_rows(what, lines, count, first=NOW + STEP):
    lib.check_equal(what + ": rows", len(lines), count + 2)
    for i, line in enumerate(lines[1:-1]):
        parts = [float(part) for part in line.split(",")]
        if parts[0] != first + i * STEP or parts[2:] != sorted(parts[2:]) or not all(map(math.isfinite, parts)):
            lib.check("%s: row %d is in time and order, and finite" % (what, i), False, line)
    lib.check_equal(what + ": peak", lines[-1].split(",")[0], "peak")


def series_of_csv():
    plain = runs("csv", 0, csv(2000), "forecast", "--horizon", "48").stdout
    check_rows("csv", plain.splitlines(), 48)
    lib.check_equal("csv: heading", plain.splitlines()[0], "timestamp,mean,q50,q90,q95,q99")
    lib.check_equal("csv: lines in any order", runs("reversed", 0, csv(2000, -1), "forecast", "--horizon", "48").stdout, plain)
    for i, line in enumerate(plain.splitlines()[1:-1]):
        seconds = NOW + (i + 1) * STEP
        if abs(float(line.split(",")[1]) - load_at(seconds)) > 15:
            lib.check("csv: lead %d is near" % (i + 1), False, line)
    duration = runs("horizon as a duration", 0, csv(2000), "forecast", "--horizon", "4h").stdout
    lib.check_equal("horizon as a duration: the same", duration, plain)
    table = runs("table", 0, csv(2000), "forecast", "--horizon", "5", "-o", "table").stdout
    lib.check_equal("table: lines", len(table.splitlines()), 7)
    answer = json.loads(runs("json", 0, csv(2000), "forecast", "--horizon", "5", "--json").stdout)
    lib.check_equal("json: leads", [row["timestamp"] for row in answer["forecast"]],
                    [NOW + STEP * h for h in range(1, 6)])
    lib.check_equal("json: quantiles", list(answer["peak"]["quantiles"]), ["0.5", "0.9", "0.95", "0.99"])
    plot = runs("plot", 0, csv(2000), "forecast", "-o", "plot").stdout
    lib.check_contains("plot", plot, "\u2591", "\u2500", "band q5 to q95")


def bad_input():
    lib.check_contains("no input", runs("no input", 1, "", "forecast").stderr, "no line")
    lib.check_contains("no number", runs("no number", 1, "1,2\n2,x\n", "forecast").stderr, "line 2", "'x'")
    lib.check_contains("no time", runs("no time", 1, "1,2\nx,2\n", "forecast").stderr, "line 2", "'x'")
    runs("nothing but NaN", 1, "1,NaN\n2,NaN\n3,\n", "forecast")
    runs("one line", 2, "1,2\n", "forecast")
    one = runs("one line, step told", 0, "1,2\n", "forecast", "--step", "60", "--horizon", "3").stdout
    lib.check("one line: finite", "nan" not in one.lower() and "inf" not in one.lower(), one)
    for what, arguments in {"horizon 0": ["--horizon", "0"], "horizon -1": ["--horizon=-1"],
                            "horizon huge": ["--horizon", "99999999999"], "horizon far": ["--horizon", "100y"],
                            "quantile 1": ["--quantiles", "0.5,1"], "quantile falls": ["--quantiles", "0.9,0.5"],
                            "quantile NaN": ["--quantiles", "nan"], "step 0": ["--step", "0"],
                            "step text": ["--step", "x"], "format": ["-o", "xml"],
                            "two expressions": ["a", "b"], "option": ["--nothing"]}.items():
        runs(what, 2, csv(100), "forecast", *arguments)
    wild = "".join("%d,%s\n" % (i * 60, value) for i, value in
                   enumerate(["1e300", "-1e300", "inf", "-inf", "nan", "", "5", "1e-300"] * 50))
    lines = runs("wild", 0, wild, "forecast").stdout
    lib.check("wild: finite", "nan" not in lines.lower() and "inf" not in lines.lower(), lines[:200])


def hostile_csv():
    """What real exports hold: defined answers, and errors that name the line."""
    plain = runs("plain", 0, csv(500), "forecast").stdout
    same = {"a spreadsheet's mark": "\ufeff" + csv(500), "carriage returns": csv(500).replace("\n", "\r\n"),
            "blank lines and spaces": csv(500).replace("\n", " \n\n").replace(",", " , "),
            "further fields": csv(500).replace("\n", ",x\n"), "no heading": csv(500).split("\n", 1)[1],
            "no line end": csv(500).rstrip("\n")}
    for what, text in same.items():
        lib.check_equal(what + ": the same", runs(what, 0, text, "forecast").stdout, plain)
    utc = "\n".join(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(line.split(",")[0]))) + "," + line.split(",")[1]
                    for line in csv(500).split("\n")[1:] if line)
    lib.check_equal("RFC 3339: the same", runs("RFC 3339", 0, utc, "forecast").stdout, plain)
    twice = runs("duplicates", 0, csv(500).replace("\n", "\n%d,9e9\n" % (NOW - 7 * STEP), 1), "forecast")
    lib.check_equal("duplicates: the last counts", twice.stdout, plain)
    lib.check_contains("duplicates: told", twice.stderr, "1 lines have the time of another")
    fine = "".join("%d,%d\n" % (NOW - i * 60, 5 + i % 5) for i in range(1000))
    rows = runs("coarser step", 0, fine, "forecast", "--step", "5m", "--horizon", "3").stdout.splitlines()
    lib.check_equal("coarser step: means count", [line.split(",")[2] for line in rows[1:4]], ["7", "7", "7"])
    jitter = "".join("%d,%.6f\n" % (NOW - i * STEP + i % 50, load_at(NOW - i * STEP)) for i in range(500))
    check_rows("irregular", runs("irregular", 0, jitter, "forecast").stdout.splitlines(), 60)
    far = runs("years between", 0, "0,1\n1,2\n2,3\n1000000000,3\n", "forecast", "--horizon", "2")
    lib.check_contains("years between: told", far.stderr, "3 lines are older", "200000 steps")
    for what, status, text, words in (
            ("milliseconds", 1, "1700000000000,1\n1700000060000,2\n", ["line 1", "not milliseconds"]),
            ("semicolons", 1, "1;2\n2;3\n", ["line 2", "'2;3'"]), ("time NaN", 1, "1,2\nnan,3\n", ["line 2", "'nan'"]),
            ("time infinite", 1, "1,2\ninf,3\n", ["line 2"]), ("time beyond all", 1, "1,2\n-9e300,3\n", ["line 2"]),
            ("one time", 2, "5,1\n5,2\n5,3\n", ["a single time", "--step"]),
            ("step of years", 1, "0,1\n100000000,2\n", ["step", "7 d"]),
            ("long nonsense", 1, "1,2\n" + "x" * 100000 + "\n", ["line 2"]), ("blank", 1, "\n\n \n", ["no line"])):
        lib.check_contains(what + ": told", runs(what, status, text, "forecast").stderr, *words)
    many = ",".join("0.%03d" % q for q in range(1, 34))
    runs("33 quantiles", 2, csv(100), "forecast", "--quantiles", many)
    long = runs("furthest horizon", 0, csv(500), "forecast", "--horizon", "2000", "--quantiles", "0.000001,0.999999").stdout
    lib.check_equal("furthest horizon: rows", len(long.splitlines()), 2002)
    lib.check("furthest horizon: finite", "nan" not in long and "inf" not in long, long[-200:])


def calendar():
    """Hours of a shop that is closed on Sundays, and on a holiday to come."""
    hour = NOW // 86400 * 86400 - 6 * 3600  # 18:00
    def shop(at, closed):
        return (200 + 100 * math.sin(2 * math.pi * at / 86400) + 3 * math.sin(at)) * (0.2 if closed else 1)
    while time.gmtime(hour + 86400).tm_wday == 6:  # the holiday is no Sunday
        hour -= 86400
    def weekly(at):
        return shop(at, time.gmtime(at - 1).tm_wday == 6)
    text = "".join("%d,%.4f\n" % (at, weekly(at)) for at in range(hour - 42 * 86400, hour + 1, 3600))
    day = hour + 86400 - 18 * 3600  # its midnight
    with lib.Run() as run:
        path = run.file("days.txt", time.strftime("%Y-%m-%d closed\n", time.gmtime(day)))
        def forecast(*more):
            lines = runs("calendar", 0, text, "forecast", "--horizon", "48", *more).stdout.splitlines()[1:-1]
            return {int(line.split(",")[0]): float(line.split(",")[2]) for line in lines}
        plain, known = forecast(), forecast("--calendar", path)
        on_it = [at for at in known if day < at <= day + 86400]
        behind = [at for at in known if at > day + 86400]
        lib.check_equal("calendar: hours of the holiday", len(on_it), 24)
        lib.check("calendar: it is like a Sunday", all(abs(known[at] - shop(at, True)) < 25 for at in on_it), known)
        lib.check("calendar: without it it is not", all(plain[at] > 1.5 * known[at] for at in on_it), plain)
        lib.check("calendar: the day after is as ever", behind and all(abs(known[at] - plain[at]) < 1 for at in behind), known)
        bad = run.file("bad.txt", "2026-12-25\n25.12.2026\n")
        for command in (["forecast"], ["backtest", "forecast"]):
            told = runs("bad calendar", 2, text, *command, "--calendar", bad).stderr
            lib.check_contains("bad calendar: told", told, "bad.txt", "line 2", "25.12.2026")
        runs("no calendar", 2, text, "forecast", "--calendar", path + "x")
        tested = json.loads(runs("backtest, calendar", 0, text, "backtest", "forecast", "--calendar", path, "--json",
                                 "--horizon", "12", "--origins", "5").stdout)
        lib.check_equal("backtest, calendar: none failed", tested["failed"], 0)
        run.file("days2.txt", "2026-12-25\n")
        good = run.file("good.yml", "forecast: {calendar: days2.txt}\n")
        lib.check_equal("calendar: configured", lib.tidewatch("check", "config", good).returncode, 0)
        wrong = lib.tidewatch("check", "config", run.file("wrong.yml", "forecast:\n  calendar: bad.txt\n"))
        lib.check_contains("calendar: configured wrongly", wrong.stdout + wrong.stderr, "wrong.yml:2", "bad.txt", "line 2")


def backtests():
    answer = json.loads(runs("backtest", 0, csv(3000), "backtest", "forecast", "--horizon", "36", "--origins", "12",
                             "--json").stdout)
    lib.check_equal("backtest: season", answer["season"], 288)
    lib.check_equal("backtest: failed", answer["failed"], 0)
    lib.check_equal("backtest: leads", answer["leads"][-1]["to"], 36)
    for other in "naive", "linear":
        lib.check("backtest: better than " + other, answer["all"]["tidewatch"]["mase"] < answer["all"][other]["mase"],
                  answer["all"])
    table = runs("backtest, table", 0, csv(3000), "backtest", "forecast", "--horizon", "12", "--origins", "3").stdout
    lib.check_contains("backtest: table", table, "tidewatch", "seasonal", "9-12", "all")
    lib.check_contains("backtest: too few", runs("backtest: too few", 1, csv(50), "backtest", "forecast").stderr,
                       "too few", "at least 138")
    runs("backtest of what", 2, csv(50), "backtest")
    runs("backtest of something else", 2, csv(50), "backtest", "weather")
    runs("backtest: origins", 2, csv(500), "backtest", "forecast", "--origins", "0")


def asked_by_others(server):
    """The requests of KEDA's prometheus trigger and of a Grafana panel that ends in the future, as docs/forecasting.md
    has them."""
    text = open(lib.os.path.join(lib.SOURCE, "docs/forecasting.md")).read()
    keda = re.search(r"query: (max\(forecast_quantile.*\))", text).group(1)
    keda = keda.replace("sum(rate(http_requests_total[5m]))", "sum(load)")
    rfc3339 = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    answer = server.get("/api/v1/query?" + urllib.parse.urlencode({"query": keda, "time": rfc3339})).json()
    lib.check_equal("KEDA: one element", [answer["data"]["resultType"], len(answer["data"]["result"])], ["vector", 1])
    value = float(answer["data"]["result"][0]["value"][1])
    lib.check("KEDA: near what comes", abs(value - 2 * load_at(time.time() + 600)) < 40, value)
    queries = re.findall(r"^[A-C]  (forecast.*)$", text, re.M)
    lib.check_equal("Grafana: three queries", len(queries), 3)
    rows = []
    for query in queries:
        form = {"query": query.replace("sum(rate(http_requests_total[5m]))", "sum(load)"),
                "start": NOW - 86400, "end": NOW + 86400, "step": 600}
        answer = server.post("/api/v1/query_range", form).json()
        rows.append({int(at): float(value) for at, value in answer["data"]["result"][0]["values"]})
    future = [at for at in rows[1] if at > NOW + STEP]
    lib.check("Grafana: a day of future", len(future) >= 140, len(future))
    lib.check("Grafana: low, median, high", all(rows[0][at] <= rows[1][at] <= rows[2][at] for at in future), future[:3])
    worst = max(abs(rows[1][at] - 2 * load_at(at)) for at in future)
    lib.check("Grafana: the median is near", worst < 40, worst)


def series_of_a_server(run):
    server = run.server(arguments=["--self-interval", "off"])
    for host in "a", "b":
        samples = [((NOW - i * STEP) * 1000, load_at(NOW - i * STEP)) for i in range(1500, -1, -1)]
        server.write([({"__name__": "load", "host": host}, samples)])
    at = ["-s", server.url, "--step", "5m", "--history", "5d"]
    text = runs("expression", 0, "", "forecast", "load", "--horizon", "1h", *at).stdout
    blocks = text.strip().split("\n\n")
    lib.check_equal("expression: series", [block.splitlines()[0] for block in blocks],
                    ['# load{host="a"}', '# load{host="b"}'])
    lib.check_equal("expression: rows", [len(block.splitlines()) for block in blocks], [15, 15])
    lines = runs("expression, json", 0, "", "forecast", "sum(load)", "--json", *at).stdout.splitlines()
    lib.check_equal("expression, json: one line a series", len(lines), 1)
    answer = json.loads(runs("expression, backtest", 0, "", "backtest", "forecast", "sum(load)", "--horizon", "12",
                             "--origins", "5", "--json", *at).stdout)
    lib.check_equal("expression, backtest", answer["origins"], 5)
    lib.check_contains("no series", runs("no series", 1, "", "forecast", "nothing", *at).stderr, "no series")
    lib.check_contains("mistake", runs("mistake", 1, "", "forecast", "sum(", *at).stderr, "parse error")
    runs("too many steps", 2, "", "forecast", "load", "-s", server.url, "--history", "90d", "--step", "1s")
    asked_by_others(server)
    server.stop()
    runs("nobody there", 1, "", "forecast", "load", *at)


def without_libcurl(run):
    """What asks no server does not load the HTTP client, and what does says that it is missing."""
    for name in "libcurl.so.4", "libcurl-gnutls.so.4", "libcurl-nss.so.4", "libcurl-openssl.so.4":
        run.file(name, "no library\n")
    missing = dict(lib.os.environ, LD_LIBRARY_PATH=run.folder)
    plain = runs("csv", 0, csv(500), "forecast").stdout
    lib.check_equal("csv: needs no HTTP client", runs("no libcurl: csv", 0, csv(500), "forecast", env=missing).stdout, plain)
    refused = runs("no libcurl: a server's series", 1, "", "forecast", "load", "-s", "http://127.0.0.1:1", env=missing)
    lib.check_contains("no libcurl: says so", refused.stderr, "no HTTP client", "libcurl", "install")
    for program in "tidewatchd", "tidewatch-agent":
        done = subprocess.run([lib.os.path.join(lib.BUILD, program), "--data", run.folder + "/data"] +
                              (["--listen", "127.0.0.1:0"] if program == "tidewatchd" else ["--server", "http://127.0.0.1:1"]),
                              env=missing, capture_output=True, text=True, timeout=20, check=False)
        lib.check_equal("no libcurl: %s does not start" % program, done.returncode, 1)
        lib.check_contains("no libcurl: %s says why" % program, done.stderr, "no HTTP client")


series_of_csv()
bad_input()
hostile_csv()
calendar()
backtests()
with lib.Run() as run:
    without_libcurl(run)
with lib.Run() as run:
    series_of_a_server(run)
lib.done()
