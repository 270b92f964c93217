#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""contrib/rules/tidewatch.yml: it is right, it is silent on a server that is well, and its alerts
fire when something is wrong. Every metric that it names is one that the server has, and
docs/operations.md tells of all of them."""

import os
import re

import lib

RULES = os.path.join(lib.SOURCE, "contrib/rules/tidewatch.yml")


def hasty(text):
    """The same rules with seconds for minutes."""
    text = re.sub(r"\bfor: \w+", "for: 0s", text)
    text = re.sub(r"\[\w+\]", "[4s]", text).replace("[4s], 86400)", "[4s], 1)")
    return text.replace("interval: 30s", "interval: 1s")


def firing(server):
    alerts = server.get("/api/v1/alerts").json()["data"]["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def becomes(server, name, seconds=20):
    return lib.wait_for(lambda: name in firing(server), seconds, 0.3)


with open(RULES) as file:
    text = file.read()
with open(os.path.join(lib.SOURCE, "docs/operations.md")) as file:
    guide = file.read()
with lib.Run() as run:
    checked = lib.tidewatch("check", "rules", RULES)
    lib.check_equal("check rules", (checked.returncode, checked.stderr), (0, ""))
    config = run.file("tidewatch.yml", "rule_files: [hasty.yml]\n")
    run.file("hasty.yml", hasty(text))
    server = run.server(arguments=["--config", config, "--self-interval", "1s"])
    server.get("/metrics") # a request is counted when it has ended
    known = set(re.findall(r"^# TYPE (\w+)", server.get("/metrics").text, re.M))
    named = {re.sub("_bucket$", "", name) for name in
             re.findall(r"\b(?:tidewatch|process)_\w+", "\n".join(re.findall(r"(?s)expr: (.*?)\n +(?:for|labels):", text)))}
    lib.check_equal("metrics that nobody has", sorted(named - known), [])
    told = set(re.findall(r"`(\w+)", guide))
    lib.check_equal("docs/operations.md: metrics that it does not tell of", sorted(
        name for name in known if not name.startswith("tidewatch_tsdb_exemplar_") and name not in told and
        not any(name.endswith(part) for part in told if part.startswith("_"))), [])
    full = {name for name in told if re.match("(tidewatch|process)_.*_|process_", name)}
    lib.check_equal("docs/operations.md: metrics that nobody has", sorted(full - known - {
        "tidewatch_tsdb_exemplar_", "tidewatch_http_refused_total"}), [])
    lib.check("rules are many", len(re.findall("- alert:", text)) > 15)
    lib.wait_for(lambda: server.query("count(tidewatch_build_info)"), 10)
    lib.check("a server that is well: silence", lib.wait_for(lambda: not firing(server), 15, 0.3) and
              not lib.wait_for(lambda: firing(server), 4, 0.5), firing(server))
    run.file("tidewatch.yml", "rule_files: [hasty.yml]\nnonsense: 1\n")
    lib.check_equal("a bad file", server.request("POST", "/-/reload").status, 500)
    lib.check("reload failed", becomes(server, "TidewatchReloadFailed"), firing(server))
    future = [({"__name__": "m"}, [(4102444800000, 1.0)])]
    lib.check("samples are refused", lib.wait_for(
        lambda: server.write(future).status == 400 and "TidewatchSamplesRefused" in firing(server), 20, 0.5),
              firing(server))
    run.file("tidewatch.yml", "rule_files: [hasty.yml]\nstorage: {disk_reserve: 1000TiB}\n")
    lib.check_equal("a reserve beyond the disk", server.request("POST", "/-/reload").status, 200)
    lib.check("nothing is stored", becomes(server, "TidewatchStoresNothing"), firing(server))
    run.file("tidewatch.yml", "rule_files: [hasty.yml]\n")
    server.request("POST", "/-/reload")
    lib.check("well again: silence", lib.wait_for(lambda: not firing(server), 30, 0.3), firing(server))
lib.done()
