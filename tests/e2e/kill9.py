#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 under ingest, again and again: every sample whose request was answered 204 is there, once
and with its value, after each start."""

import http.client
import random
import threading
import time

import lib

ROUNDS = 20 if lib.os.environ.get("TW_LONG") == "1" else 4
WRITERS = 3
SERIES = 40
START_MS = int(time.time() * 1000) - 3600 * 1000


class Writer(threading.Thread):
    """Pushes samples with ascending times until the server is gone; remembers what was acknowledged."""

    def __init__(self, server, number, step):
        super().__init__()
        self.server, self.number, self.step, self.acknowledged = server, number, step, step
        self.sent = step

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        while True:
            self.sent = self.acknowledged + 1
            body = lib.snappy(lib.encode_write([
                ({"__name__": "killed", "writer": str(self.number), "series": str(i)},
                 [(START_MS + self.sent, float(self.sent * 1000 + i))]) for i in range(SERIES)]))
            try:
                connection.request("POST", "/api/v1/write", body, lib.WRITE_HEADERS)
                response = connection.getresponse()
                response.read()
                if response.status != 204:
                    return
            except (OSError, http.client.HTTPException):
                return
            self.acknowledged = self.sent


def verify(server, writers):
    """All acknowledged samples, and at most the one request under way more."""
    lost, wrong = 0, 0
    for writer in writers:
        result = server.query('killed{writer="%d"}[2h]' % writer.number, (START_MS + 3700 * 1000) / 1000)
        if writer.acknowledged > 0 and len(result) != SERIES:
            lost += SERIES - len(result)
        for series in result:
            number = int(series["metric"]["series"])
            steps = [round(t * 1000) - START_MS for t, _ in series["values"]]
            if steps[:writer.acknowledged] != list(range(1, writer.acknowledged + 1)):
                lost += 1
            if len(steps) > writer.sent:
                wrong += 1
            wrong += sum(1 for step, (_, value) in zip(steps, series["values"])
                         if float(value) != step * 1000 + number)
    return lost, wrong


with lib.Run() as run:
    random.seed(7)
    steps = [0] * WRITERS
    acknowledged = 0
    for turn in range(ROUNDS):
        server = run.server(arguments=["--retention", "off"])
        writers = [Writer(server, i, steps[i]) for i in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(random.uniform(0.3, 1.2))
        server.kill()
        for writer in writers:
            writer.join()
        begun = time.monotonic()
        server = run.server(arguments=["--retention", "off"])
        took = time.monotonic() - begun
        lost, wrong = verify(server, writers)
        acknowledged = sum(writer.acknowledged for writer in writers) * SERIES
        lib.check("kill %d: %d acknowledged samples, 0 lost, 0 wrong, ready after %.2f s" %
                  (turn + 1, acknowledged, took), lost == 0 and wrong == 0, (lost, wrong))
        # What was under way may have been stored; the next round goes on behind it.
        steps = [writer.sent for writer in writers]
        for writer in writers:
            if writer.sent > writer.acknowledged:
                server.write([({"__name__": "killed", "writer": str(writer.number), "series": str(i)},
                               [(START_MS + writer.sent, float(writer.sent * 1000 + i))])
                              for i in range(SERIES)])
        if turn % 2:
            lib.check_equal("kill %d: clean stop after it" % (turn + 1), server.stop(), 0)
        else:
            server.kill()
    lib.check("samples were acknowledged at all", acknowledged > 0)
lib.done()
