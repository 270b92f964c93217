#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./quickstart as a newcomer meets it: prints a URL and a query that work, ends cleanly on Ctrl-C."""

import os
import re
import signal
import subprocess

import lib

if os.path.realpath(lib.BUILD) != os.path.realpath(os.path.join(lib.SOURCE, "build")):
    lib.skip("quickstart", "it builds in build/, these tests run in " + lib.BUILD)
    lib.done()


def answers(number):
    try:
        lib.request(number, "GET", "/-/healthy", timeout=1)
        return True
    except OSError:
        return False


with lib.Run() as run:
    port = lib.free_port()
    listen = "127.0.0.1:%d" % port
    program = run.program(os.path.join(lib.SOURCE, "quickstart"), "--listen", listen, "--data", run.path("data"))
    lib.wait_for(lambda: "Ctrl-C stops" in program.log() or not program.running(), 120)
    text = program.log()
    lib.check("it says where to look", program.running() and "http://%s/" % listen in text, text)
    lib.check_contains("it names the Grafana URL and the data folder", text, "URL http://" + listen, run.path("data"))

    command = re.search(r"curl -s '(.*)'", text)
    lib.check("it prints a curl query", command, text)
    if command:
        out = subprocess.run(["curl", "-s", command.group(1)], capture_output=True, text=True, check=False)
        lib.check_contains("that query gives a value", out.stdout, '"status":"success"', '"value":[')

    second = run.program(os.path.join(lib.SOURCE, "quickstart"), "--listen", listen, "--data", run.path("data2"))
    lib.check("a second one on the same port fails", second.wait(60) not in (None, 0), second.log())
    lib.check_contains("and says why", second.log(), listen, "--listen")

    program.signal(signal.SIGINT)
    lib.check_equal("Ctrl-C ends it with status 0", program.wait(30), 0)
    lib.check_contains("and says that it stopped", program.log(), "Stopped.")

lib.check("nothing listens afterwards", not answers(port))

unknown = subprocess.run([os.path.join(lib.SOURCE, "quickstart"), "--nonsense"], capture_output=True, text=True,
                         check=False)
lib.check_equal("an unknown option is refused with status 2", unknown.returncode, 2)
lib.check_contains("and named", unknown.stderr, "--nonsense", "usage:")
lib.done()
