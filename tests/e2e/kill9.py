#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 under ingest, queries, flushes, deletions, rewrites, downsampling, retention and snapshots,
again and again: every sample whose request was answered 204 is there, once and with its value, after
each start, what was downsampled included; the folder verifies.

    kill9.py [--kills N] [--seed S]      4 kills without it, 20 under TW_LONG=1
"""

import argparse
import http.client
import json
import random
import threading
import time

import lib

parser = argparse.ArgumentParser()
parser.add_argument("--kills", type=int, default=20 if lib.os.environ.get("TW_LONG") == "1" else 4)
parser.add_argument("--seed", type=int, default=7)
options = parser.parse_args()

WRITERS = 3
SERIES = 40
CHECK_EVERY = 25 if options.kills > 100 else 5 if options.kills > 20 else 1  # kills between two full comparisons
START_MS = int(time.time() * 1000) - 3600 * 1000
DAY_MS = 24 * 3600 * 1000
LATE_MS = START_MS - 3 * DAY_MS  # the same again, in a day that is over
COARSE_MS = START_MS - 9 * DAY_MS  # one sample a step of downsampling, in a day that is downsampled
COARSE_STEP_MS = 5 * 60 * 1000
SPAN_S = 3700
CONFIG = """
storage:
  retention_rules:
    - {match: '{__name__="passing"}', keep: 2d}
  downsampling:
    - {after: 5d, step: 5m, match: '{__name__="coarse"}'}
"""
ARGUMENTS = ["--retention", "off", "--enable-admin-api"]


COARSE_STEPS = 250  # of one series, then comes the next


def coarse_ms(step):
    return COARSE_MS // DAY_MS * DAY_MS + (step % COARSE_STEPS + 1) * COARSE_STEP_MS


class Writer(threading.Thread):
    """Pushes samples with ascending times until the server is gone; remembers what was acknowledged."""

    def __init__(self, server, number, step):
        super().__init__()
        self.server, self.number, self.step, self.acknowledged = server, number, step, step
        self.sent = step

    def labels(self, name, i):
        return {"__name__": name, "writer": str(self.number), "series": str(i)}

    def body(self, step):
        series = [(self.labels("killed", i), [(LATE_MS + step, float(step * 1000 - i)),
                                              (START_MS + step, float(step * 1000 + i))])
                  for i in range(SERIES)]
        # What retention takes, and what is downsampled: a bucket each, of which there may be one only.
        series.append((self.labels("passing", 0), [(LATE_MS + step, 1.0)]))
        series.append((self.labels("coarse", step // COARSE_STEPS),
                       [(coarse_ms(step), float(step))]))
        return lib.encode_write(series)

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        while True:
            self.sent = self.acknowledged + 1
            try:
                connection.request("POST", "/api/v1/write", lib.snappy(self.body(self.sent)),
                                   lib.WRITE_HEADERS)
                response = connection.getresponse()
                response.read()
                if response.status != 204:
                    return
            except (OSError, http.client.HTTPException):
                return
            self.acknowledged = self.sent


class Noise(threading.Thread):
    """Whatever else a server is asked to do, until it is gone."""

    def __init__(self, server, seed):
        super().__init__()
        self.server, self.random, self.counts = server, random.Random(seed), {}

    def ask(self, what, method, target):
        answer = lib.request(self.server.port, method, target, timeout=10)
        self.counts[what, answer.status] = self.counts.get((what, answer.status), 0) + 1
        return answer

    def run(self):
        number = 0
        while True:
            try:
                choice = self.random.randrange(6)
                if choice < 2:
                    self.ask("query", "GET", "/api/v1/query?query=sum(count_over_time(%s[10d]))" %
                             ("killed", "coarse")[choice])
                elif choice == 2:
                    self.ask("flush", "POST", "/api/v1/admin/tsdb/flush")
                elif choice == 3:
                    number += 1
                    self.server.write([({"__name__": "doomed", "n": str(number % 9)},
                                        [(LATE_MS + number, 1.0), (START_MS + number, 2.0)])])
                    self.ask("delete", "POST", "/api/v1/admin/tsdb/delete_series?match[]=doomed")
                elif choice == 4:
                    self.ask("clean", "POST", "/api/v1/admin/tsdb/clean_tombstones")
                else:
                    answer = self.ask("snapshot", "POST", "/api/v1/admin/tsdb/snapshot")
                    name = json.loads(answer.body)["data"]["name"]
                    if self.random.randrange(2):  # some stay for the next ones
                        self.ask("drop", "DELETE", "/api/v1/admin/tsdb/snapshots/" + name)
            except (OSError, http.client.HTTPException, ValueError, KeyError, AssertionError):
                return


def compare(server, writers):
    """All acknowledged samples, and at most the one request under way more."""
    lost, wrong = 0, 0
    for writer in writers:
        for base, sign in ((START_MS, 1), (LATE_MS, -1)):
            result = server.query('killed{writer="%d"}[%ds]' % (writer.number, SPAN_S),
                                  (base + SPAN_S * 1000 - 1000) / 1000)
            if writer.acknowledged > 0 and len(result) != SERIES:
                lost += SERIES - len(result)
            for series in result:
                number = int(series["metric"]["series"])
                steps = [round(t * 1000) - base for t, _ in series["values"]]
                if steps[:writer.acknowledged] != list(range(1, writer.acknowledged + 1)):
                    lost += 1
                if len(steps) > writer.sent:
                    wrong += 1
                wrong += sum(1 for step, (_, value) in zip(steps, series["values"])
                             if float(value) != step * 1000 + sign * number)
        # Of the downsampled ones, buckets of one sample each: as many as were written, and their sum.
        expression = '%s(%s_over_time(coarse{writer="%d"}[1d]))'
        end_s = (COARSE_MS // DAY_MS + 1) * DAY_MS / 1000
        for function, least, most in (
                ("count", writer.acknowledged, writer.sent),
                ("sum", sum(range(1, writer.acknowledged + 1)), sum(range(1, writer.sent + 1)))):
            result = server.query(expression % ("sum", function, writer.number), end_s)
            got = float(result[0]["value"][1]) if result else 0
            lost += got < least
            wrong += got > most
    if server.query("count(count_over_time(passing[9d]))"):
        wrong += 1
    return lost, wrong


def verify(folder):
    done = lib.tidewatch("verify", "--quiet", folder)
    return done.returncode == 0, done.stdout + done.stderr


with lib.Run() as run:
    chance = random.Random(options.seed)
    steps = [0] * WRITERS
    acknowledged, noises = 0, {}
    for turn in range(options.kills):
        server = run.server(arguments=ARGUMENTS, config=CONFIG)
        writers = [Writer(server, i, steps[i]) for i in range(WRITERS)]
        noise = Noise(server, chance.random())
        for thread in [*writers, noise]:
            thread.start()
        time.sleep(chance.uniform(0.05, 1.2))
        server.kill()
        for thread in [*writers, noise]:
            thread.join()
        for what, count in noise.counts.items():
            noises[what] = noises.get(what, 0) + count
        last = turn % CHECK_EVERY == CHECK_EVERY - 1 or turn == options.kills - 1
        fine, text = verify(lib.os.path.join(run.folder, "data")) if last else (True, "")
        lib.check("kill %d: the folder verifies" % (turn + 1), fine, text) if last else None
        begun = time.monotonic()
        server = run.server(arguments=ARGUMENTS, config=CONFIG)
        took = time.monotonic() - begun
        acknowledged = sum(writer.acknowledged for writer in writers) * SERIES * 2
        if last:
            lost, wrong = compare(server, writers)
            lib.check("kill %d: %d acknowledged samples, 0 lost, 0 wrong, ready after %.2f s" %
                      (turn + 1, acknowledged, took), lost == 0 and wrong == 0, (lost, wrong))
        # What was under way may have been stored; the next round goes on behind it.
        steps = [writer.sent for writer in writers]
        for writer in writers:
            if writer.sent > writer.acknowledged:
                answer = lib.request(server.port, "POST", "/api/v1/write",
                                     lib.snappy(writer.body(writer.sent)), lib.WRITE_HEADERS)
                lib.check("written again", answer.status == 204, answer) if answer.status != 204 else None
        if turn % 2:
            status = server.stop()
            if last or status != 0:
                lib.check_equal("kill %d: clean stop after it" % (turn + 1), status, 0)
        else:
            server.kill()
    lib.check("samples were acknowledged at all", acknowledged > 0)
    print("beside it: " + ", ".join("%s %d: %d" % (*what, count) for what, count in sorted(noises.items())))
lib.done()
