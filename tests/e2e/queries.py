#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Running queries: listed with client and cost, cancelled by the API, the command line and a client
that hangs up; a slow one is logged; after kill -9 the log names what was on its way; the cost is
told before."""

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
import urllib.parse

import lib

# At each of 11 000 steps the hour before is sorted, many times over: seconds, without any data.
HEAVY = " + ".join("quantile_over_time(0.5, (vector(%d) * time())[1h:1s])" % i for i in range(60))
RANGE = {"query": HEAVY, "start": 0, "end": 10999, "step": 1}


def start_heavy(server):
    result = {}

    def run():
        try:
            result["answer"] = server.post("/api/v1/query_range", RANGE)
        except (OSError, ValueError) as problem:
            result["problem"] = problem

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    running = lib.wait_for(lambda: listed(server), 10)
    return thread, result, running


def ask_from(server, address, form, answers, bodies=None):
    """Asks as a client of another address."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60, source_address=(address, 0))
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/api/v1/query_range", urllib.parse.urlencode(form),
                           {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        answers.append(answer.status)
        if bodies is not None:
            bodies.append(json.loads(answer.read()))
    connection.close()


def shares_threads(server):
    """One client asks for much more than the server can do; another one is answered all the same."""
    flood, answers = [], []
    for _ in range(24):
        thread = threading.Thread(target=ask_from, args=(server, "127.0.0.2", dict(RANGE, timeout="8s"), answers), daemon=True)
        thread.start()
        flood.append(thread)
    lib.check("many queries of one client run", lib.wait_for(lambda: len(listed(server)) >= 2, 10), listed(server))
    begun, quick = time.time(), []
    for _ in range(5):
        ask_from(server, "127.0.0.1", {"query": "vector(1)", "start": 0, "end": 10, "step": 1}, quick)
    lib.check("another client is answered meanwhile",
              quick == [200] * 5 and time.time() - begun < 5 and not answers, (quick, time.time() - begun, answers))
    clients = {one["client"] for one in listed(server)}
    lib.check("only the first one's run", clients == {"127.0.0.2"}, clients)
    waited = []
    late = threading.Thread(target=ask_from, args=(server, "127.0.0.2", {"query": "1", "start": 0, "end": 1, "step": 1, "stats": "all"},
                                                   [], waited), daemon=True)
    late.start()
    time.sleep(0.5)
    while any(thread.is_alive() for thread in flood + [late]):
        for one in listed(server):
            server.request("DELETE", "/api/v1/queries/" + one["id"])
        time.sleep(0.05)
    times = waited[0]["data"]["stats"]["timings"] if waited else {}
    lib.check("the stats tell how long a query waited", times and 0.3 < times["execQueueTime"] < times["execTotalTime"], waited)
    lib.check("each of its queries got an answer", len(answers) == 24 and set(answers) <= {503, 429}, answers)


def listed(server):
    return server.get("/api/v1/queries").json()["data"]


with lib.Run() as run:
    arguments = ["--self-interval", "off", "--query-log-slow", "200ms"]
    server = run.server(arguments=arguments)
    thread, result, running = start_heavy(server)
    time.sleep(0.5)
    one = listed(server)[0]
    lib.check("the list names query, client and age",
              one["query"] == HEAVY and one["client"] == "127.0.0.1" and one["age"] > 0.3, one)
    lib.check("and what it holds", one["bytes"] > 1 << 16, one)
    table = lib.tidewatch("queries", "-s", server.url)
    lib.check_contains("the table on the command line", table.stdout, one["id"], "quantile_over_time")
    gone = lib.tidewatch("queries", "-s", server.url, "cancel", one["id"])
    thread.join(10)
    answer = result.get("answer")
    lib.check("cancelled from the command line", gone.returncode == 0 and answer is not None and
              answer.status == 503 and answer.json()["errorType"] == "canceled", (gone, answer))
    lib.check_equal("the list is empty", listed(server), [])
    again = lib.tidewatch("queries", "-s", server.url, "cancel", one["id"])
    lib.check("an ended one cannot be cancelled",
              again.returncode == 1 and "no query with the id" in again.stderr, again)
    lib.check_contains("the slow query is logged", server.log(), 'msg="slow query"', "CANCELLED")

    thread, result, running = start_heavy(server)
    deleted = server.request("DELETE", "/api/v1/queries/" + running[0]["id"])
    thread.join(10)
    lib.check("cancelled through the API",
              deleted.status == 200 and result["answer"].status == 503, (deleted, result))

    hanging = socket.create_connection(("127.0.0.1", server.port))
    form = urllib.parse.urlencode(RANGE).encode()
    hanging.sendall(b"POST /api/v1/query_range HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
                    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n%s" % (len(form), form))
    lib.check("it runs", lib.wait_for(lambda: listed(server), 10))
    hanging.close()
    lib.check("a client that hangs up ends its query",
              lib.wait_for(lambda: not listed(server), 10), listed(server))

    shares_threads(server)
    now = int(time.time())
    server.write([({"__name__": "m", "i": str(i)}, [((now - s) * 1000, s) for s in range(600, 0, -10)])
                  for i in range(40)])
    cost = server.get("/api/v1/query_cost?query=m&start=%d&end=%d&step=10" % (now - 300, now)).json()
    lib.check("the cost before", cost["data"]["series"] == 40 and
              cost["data"]["samples"] == 40 * 59 and cost["data"]["exceeds"] == [], cost)

    reads = (("m offset 5m", 600, 300, 1), ("rate(m[5m] @ %d)" % (now - 60), 360, 60, 1), ("sum_over_time(m[10m:10s])", 900, 0, 61),
             ("max_over_time(sum(m offset 1m)[5m:30s] offset 2m)", 780, 180, 11), ("forecast(m[10m], 60)", 637.5, 0, 1),
             ("forecast(m[10m] offset -5m, 60)", 637.5, -300, 1), ("sum(m[1m])", 60, 0, 1), ("increase(m[5m] anchored)", 600, 0, 1))
    for expression, begin, end, steps in reads:
        answer = server.get("/api/v1/query_cost?" + urllib.parse.urlencode({"query": expression, "time": now})).json()
        if "anchored" in expression or expression == "sum(m[1m])":
            lib.check("what cannot run has no cost: " + expression, answer["status"] == "error", answer)
            continue
        one = answer["data"]["selectors"][0]
        lib.check("what is read for " + expression, abs(now - one["start"] - begin) < 3 and
                  (now - one["end"], one["steps"]) == (end, steps), one)
    plan = server.get("/api/v1/query_cost?" + urllib.parse.urlencode(
        {"query": "rate(m[1m]) + increase(m[5m]) + rate(m[1m])", "time": now})).json()["data"]
    lib.check("the plan tells what is worked out once, and what is looked up once",
              [(s["expression"], s["places"]) for s in plan["shared"]] == [("rate(m[1m])", 2)] and
              [(t["selector"], t["places"]) for t in plan["together"]] == [("m", 2)], plan)
    explained = lib.tidewatch("query", "-s", server.url, "--explain", "sum(m) / sum(m offset 1m)")
    lib.check_contains("and so does the command line", explained.stdout,
                       "reads   m offset 1m: 40 series", "finds   m: once for 2 places")

    start_heavy(server)
    server.kill()
    server = run.server(arguments=arguments)
    lib.check_contains("after a crash the log names the query", server.log(),
                       'msg="was running when the server broke off"', "quantile_over_time(0.5, (vector(0)")
lib.done()
