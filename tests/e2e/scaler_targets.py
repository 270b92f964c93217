#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Targets of scalers on a running server: real processes that serve a real load, scaled out and in; and the
API server of a Kubernetes (a strict stand-in behind TLS) with conflicts, a token that is replaced, refusals."""

import http.client
import http.server
import json
import os
import random
import re
import shutil
import ssl
import subprocess
import threading
import time

import lib

COMMON = """
    capacity_per_replica: 100
    min: 1
    max: 6
    mode: act
    tick: 5s
    step: 1m
    history: 1d
    late_after: 20s
    behavior: {scaleUp: {policies: []}, scaleDown: {stabilizationWindowSeconds: 0, policies: []}}
"""
WORKER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *_): pass
open(os.path.join(sys.argv[1], "worker-" + os.environ["TIDEWATCH_INDEX"]), "w").write(str(os.getpid()))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2]) + int(os.environ["TIDEWATCH_INDEX"])), Handler).serve_forever()
"""


def feed(server, stop, load):
    """Pushes what load() says each second, beside an hour of it."""
    now = time.time()
    server.write([({"__name__": "load"}, [(int((now - 60 * i) * 1000), load()) for i in range(60, 0, -1)])])
    while not stop.wait(1):
        try:
            server.write([({"__name__": "load"}, [(int(time.time() * 1000), load())])])
        except OSError:
            pass


def scaler(server, name):
    return server.get("/api/v1/scalers/" + name).json()["data"]


def serving(base, count):
    """Which of the workers answer."""
    up = []
    for i in range(1, count + 1):
        try:
            if lib.request(base + i, "GET", "/", timeout=1).status == 200:
                up.append(i)
        except (OSError, http.client.HTTPException):
            pass
    return up


def processes(run):
    folder = run.path("workers")
    os.makedirs(folder)
    program = run.file("worker.py", WORKER)
    base = random.randrange(15000, 32000, 16)  # below the ports that connections get, which might find themselves
    config = "scalers:\n  - name: pool\n    load: load\n" + COMMON + """
    target: {process: {command: [python3, %s, %s, "%d"], stop_after: 2s}}
""" % (program, folder, base)
    server = run.server(data="processes", config=config)
    load, stop = [250.0], threading.Event()
    feeder = threading.Thread(target=feed, args=(server, stop, lambda: load[0]), daemon=True)
    feeder.start()
    try:
        lib.check("three processes for a load of 250", lib.wait_for(lambda: len(serving(base, 6)) >= 3, 40),
                  scaler(server, "pool")["decision"])
        seen = lib.wait_for(lambda: (lambda d: d if ((d["decision"] or {}).get("ready") or 0) >= 3 else None)(
            scaler(server, "pool")), 30)
        lib.check("the target itself says how many there are", seen and seen["decision"]["replicas"] >= 3,
                  seen and seen["decision"])
        lib.check_equal("and what it is", seen and seen["target"]["type"], "process")
        before = open(os.path.join(folder, "worker-1")).read()
        server.stop()
        lib.check("they serve while the server is away", len(serving(base, 6)) >= 3)
        with open(os.path.join(folder, "worker-2")) as pid:
            os.kill(int(pid.read()), 9)
        server = run.server(data="processes", config=config, port=server.port)
        lib.check("one that died meanwhile comes again", lib.wait_for(lambda: 2 in serving(base, 6), 40),
                  scaler(server, "pool")["decision"])
        with open(os.path.join(folder, "worker-3")) as pid:
            killed = pid.read()
        os.kill(int(killed), 9)
        lib.check("and one that dies later", lib.wait_for(
            lambda: open(os.path.join(folder, "worker-3")).read() not in ("", killed), 40),
            scaler(server, "pool")["decision"])
        lib.check_equal("a restarted server keeps the others", open(os.path.join(folder, "worker-1")).read(), before)
        load[0] = 550.0
        lib.check("six for twice the load", lib.wait_for(lambda: len(serving(base, 6)) == 6, 40),
                  scaler(server, "pool")["decision"])
    finally:
        stop.set()
        feeder.join()
        run.file("none.yml", "")
        server.stop()
        for name in os.listdir(folder):
            with open(os.path.join(folder, name)) as pid:
                try:
                    os.kill(int(pid.read()), 15)
                except ProcessLookupError:
                    pass


class Kubernetes:
    """Answers as the API server's scale subresource does, and refuses what it would refuse."""

    LEASES = "/apis/coordination.k8s.io/v1/namespaces/shop/leases"

    @staticmethod
    def lease_is_right(body):
        spec, micro = body.get("spec", {}), r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
        return (body.get("kind") == "Lease" and body.get("apiVersion") == "coordination.k8s.io/v1" and
                body["metadata"]["name"] == "web-scaler" and body["metadata"]["namespace"] == "shop" and
                set(spec) == {"holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions"} and
                type(spec["leaseDurationSeconds"]) is int and spec["leaseDurationSeconds"] > 0 and spec["holderIdentity"] and
                all(re.fullmatch(micro, spec[key]) for key in ("acquireTime", "renewTime")))

    def keep(self, lease):
        self.version += 1
        lease["metadata"]["resourceVersion"] = "l%d" % self.version
        self.lease = lease
        return lease

    def __init__(self, certificate, key):
        self.replicas, self.ready, self.version, self.token = 2, 2, 41, "first"
        self.calls, self.conflicts, self.wrong = [], 0, []
        self.evicted, self.budget, self.lease = [], 0, None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body):
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def failure(self, code, reason, message):
                self.answer(code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                   "message": message, "reason": reason, "code": code})

            def scale(self):
                return {"kind": "Scale", "apiVersion": "autoscaling/v1",
                        "metadata": {"name": "web", "namespace": "shop", "uid": "1", "resourceVersion": str(outer.version)},
                        "spec": {"replicas": outer.replicas} if outer.replicas else {},
                        "status": {"replicas": outer.ready, "selector": "app=web"}}

            def allowed(self):
                path = self.path.split("?")[0]
                outer.calls.append((self.command, path))
                if self.headers.get("Authorization") != "Bearer " + outer.token:
                    self.failure(401, "Unauthorized", "Unauthorized")
                    return None
                if path.startswith("/apis/coordination.k8s.io/v1/namespaces/shop/leases"):
                    return path
                if not path.startswith("/apis/apps/v1/namespaces/shop/deployments/web"):
                    self.failure(404, "NotFound", 'deployments.apps "%s" not found' % path.rsplit("/", 2)[-2])
                    return None
                return path

            def do_GET(self):
                path = self.allowed()
                if path and path.endswith("/leases/web-scaler"):
                    if outer.lease:
                        self.answer(200, outer.lease)
                    else:
                        self.failure(404, "NotFound", 'leases.coordination.k8s.io "web-scaler" not found')
                elif path and path.endswith("/scale"):
                    self.answer(200, self.scale())
                elif path:
                    self.answer(200, {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web"},
                                      "spec": {"replicas": outer.replicas}, "status": {"readyReplicas": outer.ready}})

            def do_PUT(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                path = self.allowed()
                if not path:
                    return
                metadata, spec = body.get("metadata", {}), body.get("spec", {})
                if "/leases" in path:
                    if not outer.lease_is_right(body) or path != outer.LEASES + "/web-scaler":
                        outer.wrong.append(body)
                        self.failure(422, "Invalid", "Lease is invalid")
                    elif not outer.lease or metadata.get("resourceVersion") != outer.lease["metadata"]["resourceVersion"]:
                        self.failure(409, "Conflict", "the object has been modified")
                    else:
                        self.answer(200, outer.keep(body))
                    return
                if (self.headers.get("Content-Type") != "application/json" or body.get("kind") != "Scale" or
                        body.get("apiVersion") != "autoscaling/v1" or metadata.get("name") != "web" or
                        metadata.get("namespace") != "shop" or type(spec.get("replicas")) is not int or
                        spec["replicas"] < 0 or not path.endswith("/scale") or
                        set(body) - {"kind", "apiVersion", "metadata", "spec", "status"}):
                    outer.wrong.append(body)
                    self.failure(422, "Invalid", "Scale is invalid")
                elif outer.conflicts > 0 or metadata.get("resourceVersion") != str(outer.version):
                    outer.conflicts -= 1
                    outer.version += 1
                    self.failure(409, "Conflict", "the object has been modified; please apply your changes to the latest")
                else:
                    outer.replicas, outer.version = spec["replicas"], outer.version + 1
                    self.answer(200, self.scale())

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.calls.append((self.command, self.path))
                name = self.path.split("/")[-2]
                if self.path == outer.LEASES:
                    if not outer.lease_is_right(body) or "resourceVersion" in body["metadata"]:
                        outer.wrong.append(body)
                        self.failure(422, "Invalid", "Lease is invalid")
                    elif outer.lease:
                        self.failure(409, "AlreadyExists", "leases already exists")
                    else:
                        self.answer(201, outer.keep(body))
                    return
                if self.headers.get("Authorization") != "Bearer " + outer.token:
                    self.failure(401, "Unauthorized", "Unauthorized")
                elif self.path != "/api/v1/namespaces/shop/pods/%s/eviction" % name or body != {
                        "kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": name, "namespace": "shop"}}:
                    outer.wrong.append(body)
                    self.failure(422, "Invalid", "Eviction is invalid")
                elif outer.budget > 0:
                    outer.budget -= 1
                    self.failure(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
                else:
                    outer.evicted.append(name)
                    self.answer(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def kubernetes(run):
    if not shutil.which("openssl"):
        lib.skip("Kubernetes", "there is no openssl to make a certificate")
        return
    certificate, key, folder = run.path("ca.crt"), run.path("key.pem"), run.path("account")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kube",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    cluster = Kubernetes(certificate, key)
    cluster.conflicts = 2
    os.makedirs(folder)
    token = run.file("token-program", '#!/bin/sh\ncat "%s"\n' % run.path("credential.json"))
    os.chmod(token, 0o755)

    def credential(text):
        run.file("credential.json", json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                                                "status": {"token": text}}))

    credential("first")
    kubeconfig = run.file("kubeconfig", """
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: c, cluster: {server: "https://127.0.0.1:%d/", certificate-authority: ca.crt}}]
contexts: [{name: here, context: {cluster: c, user: u, namespace: shop}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: %s}}}]
""" % (cluster.port, token))
    config = ("scalers:\n  - name: web\n    load: load\n" + COMMON +
              "    target: {kubernetes: {name: web, kubeconfig: %s}}\n"
              "    recovery: {instances: up, label: pod, for: 0s, mode: act}\n"
              "    lease: web-scaler\n"
              "  - name: gone\n    load: load\n" % kubeconfig + COMMON +
              "    target: {kubernetes: {name: gone, kubeconfig: %s}}\n" % kubeconfig)
    server = run.server(data="kubernetes", config=config)
    load, stop = [250.0], threading.Event()
    feeder = threading.Thread(target=feed, args=(server, stop, lambda: load[0]), daemon=True)
    feeder.start()
    try:
        lib.check("scaled out over two conflicts", lib.wait_for(lambda: cluster.replicas >= 3, 40),
                  (cluster.replicas, scaler(server, "web")))
        lib.check_equal("nothing was sent that an API server refuses", cluster.wrong, [])
        lib.check("in order: read, then put", ("GET", "/apis/apps/v1/namespaces/shop/deployments/web/scale") in cluster.calls
                  and ("PUT", "/apis/apps/v1/namespaces/shop/deployments/web/scale") in cluster.calls, cluster.calls[:5])
        cluster.ready = cluster.replicas
        lib.check("readiness is read from the object", lib.wait_for(
            lambda: scaler(server, "web")["decision"]["ready"] == cluster.ready, 30), scaler(server, "web")["decision"])
        gone = lib.wait_for(lambda: (lambda s: s if s["health"] == "failed" else None)(scaler(server, "gone")), 30)
        lib.check_contains("what is not there is named", gone["error"] if gone else "", "no Deployment gone in namespace shop")
        pods = lambda now, sick: [({"__name__": "up", "pod": "web-" + name}, [(now, 0.0 if name == sick else 1.0)]) for name in "abc"]
        server.write(pods(int(time.time() * 1000), "b"))
        lib.check("a pod that fails is evicted, others not", lib.wait_for(lambda: cluster.evicted == ["web-b"], 20),
                  (cluster.evicted, scaler(server, "web")["recovery"]))
        server.write(pods(int(time.time() * 1000), None))
        lib.check("it is replaced", lib.wait_for(lambda: scaler(server, "web")["recovery"]["patients"] == [], 20))
        cluster.budget = 1
        server.write(pods(int(time.time() * 1000), "c"))
        refused = lib.wait_for(lambda: [e["text"] for e in server.get("/api/v1/scaler_audit?scaler=web").json()["data"]["entries"]
                                        if e["kind"] == "failed" and "web-c" in e["text"]], 20)
        lib.check_contains("a disruption budget is heeded", (refused or [""])[0], "PodDisruptionBudget")
        server.write(pods(int(time.time() * 1000), None))
        lib.check_equal("nothing was sent that an API server refuses, still", cluster.wrong, [])
        holder = cluster.lease["spec"]["holderIdentity"]
        lib.check("the lease is ours and kept up", lib.wait_for(
            lambda: cluster.lease["spec"]["renewTime"] > cluster.lease["spec"]["acquireTime"], 20), cluster.lease)
        other = json.loads(json.dumps(cluster.lease))
        other["spec"].update(holderIdentity="somebody-else", leaseTransitions=1, leaseDurationSeconds=12)
        cluster.keep(other)
        stands_by = lib.wait_for(lambda: (lambda s: s if s["health"] == "standby" else None)(scaler(server, "web")), 20)
        lib.check_contains("leadership lost: it stands by", stands_by["error"] if stands_by else "", "somebody-else holds the lease web-scaler")
        before, load[0] = cluster.replicas, 120.0
        time.sleep(7)
        lib.check_equal("and does nothing", (cluster.replicas, cluster.lease["spec"]["holderIdentity"]), (before, "somebody-else"))
        lib.check("until the other one is gone for its time", lib.wait_for(
            lambda: cluster.lease["spec"]["holderIdentity"] == holder, 30), cluster.lease)
        lib.check_equal("transitions", cluster.lease["spec"]["leaseTransitions"], 2)
        lib.check("then it acts again", lib.wait_for(lambda: scaler(server, "web")["health"] == "ok", 20), scaler(server, "web"))
        load[0] = 250.0
        cluster.token = "second"
        credential("second")
        load[0] = 480.0
        lib.check("a token that is replaced is fetched anew", lib.wait_for(lambda: cluster.replicas >= 5, 60),
                  (cluster.replicas, scaler(server, "web")["error"]))
        os.unlink(run.path("ca.crt"))
        failed = lib.wait_for(lambda: (lambda s: s if s["health"] == "failed" else None)(scaler(server, "web")), 30)
        lib.check("without the authority nobody is trusted", bool(failed), scaler(server, "web"))
        lib.check("the server is well", server.running() and "assertion" not in server.log())
    finally:
        stop.set()
        feeder.join()


def two_servers(run):
    """One target, two servers: one acts, and the other takes over when it is gone."""
    told, lock = run.path("told"), run.path("web.lock")
    config = "scalers:\n  - name: %s\n    load: load\n" + COMMON + """
    lease: %s
    target: {exec: {set: [/bin/sh, -c, 'echo %%s >> %s']}}
""" % (lock, told)
    servers = [run.server(data="one", config=config % ("one", "one"))]
    load, stop = [250.0], threading.Event()
    feeders = [threading.Thread(target=feed, args=(servers[0], stop, lambda: load[0]), daemon=True)]
    feeders[0].start()

    def orders():
        return open(told).read().split() if os.path.exists(told) else []

    try:
        lib.check("the first acts", lib.wait_for(lambda: orders(), 30), scaler(servers[0], "one"))
        servers.append(run.server(data="two", config=config % ("two", "two")))
        feeders.append(threading.Thread(target=feed, args=(servers[1], stop, lambda: load[0]), daemon=True))
        feeders[1].start()
        stands_by = lib.wait_for(lambda: (lambda s: s if s["health"] == "standby" and "standing" in s["error"] else None)(scaler(servers[1], "two")), 20)
        lib.check_contains("the second stands by and says for whom", stands_by["error"] if stands_by else "", str(servers[0].pid))
        load[0] = 480.0
        lib.check("the first goes on", lib.wait_for(lambda: len(orders()) >= 2, 30), orders())
        lib.check("the second decides, too, and tells nobody", "two" not in orders(), orders())
        servers[0].kill()
        lib.check("it takes over", lib.wait_for(lambda: "two" in orders(), 40), (orders(), scaler(servers[1], "two")))
        lib.check("who leads is a series", lib.wait_for(
            lambda: [s["value"][1] for s in servers[1].query('tidewatch_scaler_leading{scaler="two"}')] == ["1"], 20))
    finally:
        stop.set()
        for feeder in feeders:
            feeder.join()


def main():
    with lib.Run() as run:
        processes(run)
        kubernetes(run)
        two_servers(run)


main()
lib.done()
