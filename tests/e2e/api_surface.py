#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The surface of the HTTP API: each call that Grafana's data source, PromQL editors and Prometheus's own pages make, with
its status and the shape of its answer, keys in order. With PROMETHEUS_BIN the answers are compared with a real
Prometheus's over the same data: the same status, the same keys in the same order (ours may have more), and where nothing
depends on the machine the same bytes."""

import json
import urllib.parse

import lib

BASE = int(lib.time.time()) // 60 * 60 - 3600
RULES = """groups:
- name: g
  rules:
  - {record: "job:m:sum", expr: "sum by (job) (m_total)"}
  - {alert: Low, expr: "m_total < 0", for: 1m, labels: {severity: page}, annotations: {summary: "it is {{ $value }}"}}
"""
OK, BAD = 200, 400


def data():
    for host in ("h1", "h2", "h3"):  # in the order of the labels, which is that of our answers
        for job in ("a", "b"):
            yield ({"__name__": "m_total", "job": job, "host.name": host},
                   [((BASE + i * 15) * 1000, float(i * (2 + len(job + host)))) for i in range(80)])
    yield ({"__name__": "odd", "job": "a"}, [((BASE + 15 * i) * 1000, v) for i, v in
                                             enumerate((1.5, float("nan"), float("inf"), float("-inf"), 1e300, -0.0))])


def rfc(seconds, fraction=""):
    return lib.time.strftime("%Y-%m-%dT%H:%M:%S" + fraction + "Z", lib.time.gmtime(seconds))


RANGE = "start=%d&end=%d" % (BASE, BASE + 1200)
# What Prometheus answers with bytes of its own run; the shape is compared.
VARIES = ("status/", "rules", "stats", "metadata", "targets/", "notifications/", "query_exemplars?query=up")
# method, call, status, shape (see shape()).
CALLS = [
    # Save and test; start-up.
    ("POST", "query?query=1%2B1&time=4", OK, "{status:s,data:{resultType:s,result:[n,s]}}"),
    ("GET", "status/buildinfo", OK, "{status:s,data:{version:s,revision:s,branch:s,buildUser:s,buildDate:s,goVersion:s}}"),
    ("GET", "rules", OK, "{status:s,data:{groups:[{name:s,file:s,rules:[{name:s,query:s,health:s,evaluationTime:n,"
     "lastEvaluation:s,type:s}],interval:n,limit:n,evaluationTime:n,lastEvaluation:s}]}}"),
    ("GET", "rules?type=alert", OK, "{status:s,data:{groups:[{name:s,file:s,rules:[{state:s,name:s,query:s,duration:n,"
     "keepFiringFor:n,labels:{severity:s},annotations:{summary:s},alerts:[],health:s,evaluationTime:n,lastEvaluation:s,"
     "type:s}],interval:n,limit:n,evaluationTime:n,lastEvaluation:s}]}}"),
    ("GET", "rules?rule_name[]=nosuch", OK, "{status:s,data:{groups:[]}}"),
    ("GET", "alerts", OK, "{status:s,data:{alerts:[]}}"),
    ("GET", "query_exemplars?query=test&start=%d000&end=%d000" % (BASE, BASE + 60), OK, "{status:s,data:[]}"),
    ("POST", "query_exemplars?query=up&" + RANGE, OK, "{status:s,data:[]}"),
    # The language provider and variables.
    ("GET", "label/__name__/values?match[]={job=~\"a|b\"}&limit=40000&" + RANGE, OK, "{status:s,data:[s]}"),
    ("GET", "label/__name__/values?match[]={job=~\"a|b\"}&limit=1&" + RANGE, OK, "{status:s,data:[s],warnings:[s]}"),
    ("GET", "label/job/values?match[]=m_total&limit=0&" + RANGE, OK, "{status:s,data:[s]}"),
    ("GET", "label/U__host_2e_name/values?match[]=m_total&" + RANGE, OK, "{status:s,data:[s]}"),
    ("GET", "label/nosuch/values?" + RANGE, OK, "{status:s,data:[]}"),
    ("GET", "label/job/values?start=%d&end=%d" % (BASE, BASE - 1), OK, "{status:s,data:[]}"),
    ("POST", "labels?match[]={__name__=~\".*m_tot.*\"}&" + RANGE, OK, "{status:s,data:[s]}"),
    ("GET", "labels?match[]=m_total&match[]=odd&limit=2&" + RANGE, OK, "{status:s,data:[s],warnings:[s]}"),
    ("GET", "labels?start=%d&end=%d" % (BASE, BASE - 1), OK, "{status:s,data:[]}"),
    ("POST", "series?match[]=m_total{job=\"a\"}&limit=40000&" + RANGE, OK,
     "{status:s,data:[{__name__:s,host.name:s,job:s}]}"),
    ("GET", "series?match[]=m_total&match[]=odd&limit=3&" + RANGE, OK,
     "{status:s,data:[{__name__:s,host.name:s,job:s}],warnings:[s]}"),
    ("GET", "series?match[]=m_total&start=%s&end=%s" % (rfc(BASE, ".000"), rfc(BASE + 60, ".000")), OK,
     "{status:s,data:[{__name__:s,host.name:s,job:s}]}"),
    ("GET", "series?" + RANGE, BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "series?match[]=m_total{&" + RANGE, BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "series?match[]=m_total&limit=-1", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "metadata?metric=nosuch&limit=40000", OK, "{status:s,data:{}}"),
    # Queries: times as decimal seconds, RFC 3339, with milliseconds.
    ("POST", "query?query=m_total&time=%d.500" % (BASE + 600), OK,
     "{status:s,data:{resultType:s,result:[{metric:{__name__:s,host.name:s,job:s},value:[n,s]}]}}"),
    ("GET", "query?query=m_total&limit=2&time=%d" % (BASE + 600), OK,
     "{status:s,data:{resultType:s,result:[{metric:{__name__:s,host.name:s,job:s},value:[n,s]}]},warnings:[s]}"),
    ("GET", "query?query=odd[10m]&time=%s" % rfc(BASE + 300), OK,
     "{status:s,data:{resultType:s,result:[{metric:{__name__:s,job:s},values:[[n,s]]}]}}"),
    ("GET", "query?query=odd&time=%s" % rfc(BASE + 30, ".250"), OK,
     "{status:s,data:{resultType:s,result:[{metric:{__name__:s,job:s},value:[n,s]}]}}"),
    ("GET", "query?query=\"text\"&time=%d" % BASE, OK, "{status:s,data:{resultType:s,result:[n,s]}}"),
    ("GET", "query?query=nosuch&time=%d" % BASE, OK, "{status:s,data:{resultType:s,result:[]}}"),
    ("GET", "query?query=m_total&lookback_delta=1s&time=%d" % (BASE + 607), OK,
     "{status:s,data:{resultType:s,result:[]}}"),
    ("GET", "query?query=rate(odd[5m])&time=%d" % (BASE + 300), OK,
     "{status:s,data:{resultType:s,result:[{metric:{job:s},value:[n,s]}]},infos:[s]}"),
    ("GET", "query?query=quantile(2,m_total)&time=%d" % (BASE + 300), OK,
     "{status:s,data:{resultType:s,result:[{metric:{},value:[n,s]}]},warnings:[s]}"),
    ("GET", "query?query=1&stats=all&time=%d" % BASE, OK,
     "{status:s,data:{resultType:s,result:[n,s],stats:{timings:{evalTotalTime:n,resultSortTime:n,queryPreparationTime:n,"
     "innerEvalTime:n,execQueueTime:n,execTotalTime:n},samples:{totalQueryableSamples:n,peakSamples:n}}}}"),
    ("POST", "query_range?query=sum(rate(m_total[2m]))&step=15.5&timeout=10s&" + RANGE, OK,
     "{status:s,data:{resultType:s,result:[{metric:{},values:[[n,s]]}]}}"),
    ("GET", "query_range?query=m_total&limit=1&step=60&" + RANGE, OK,
     "{status:s,data:{resultType:s,result:[{metric:{__name__:s,host.name:s,job:s},values:[[n,s]]}]},warnings:[s]}"),
    ("GET", "query_range?query=1&start=0&end=20000&step=1", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "query_range?query=1&start=5&end=1&step=1", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "query_range?query=1&start=0&end=1&step=0", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "query_range?query=up[5m]&start=0&end=1&step=1", BAD, "{status:s,errorType:s,error:s}"),
    ("POST", "query?query=m_total{", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "query?query=m_total&time=x", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "query?query=m_total&timeout=x", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "query?query=m_total&lookback_delta=x", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "query?query=m_total%%2Bon(job)m_total&time=%d" % (BASE + 60), 422, "{status:s,errorType:s,error:s}"),
    # Prometheus's pages.
    ("GET", "format_query?query=1%2B1", OK, "{status:s,data:s}"),
    ("POST", "parse_query?query=sum(up)", OK,
     "{status:s,data:{expr:{matchers:[{name:s,type:s,value:s}],name:s,offset:n,startOrEnd:0,timestamp:0,type:s},"
     "grouping:[],op:s,param:0,type:s,without:b}}"),
    ("GET", "targets", OK, "{status:s,data:{activeTargets:[],droppedTargets:[],droppedTargetCounts:{}}}"),
    ("GET", "targets/metadata?match_target={job=\"a\"}", OK, "{status:s,data:[]}"),
    ("GET", "scrape_pools", OK, "{status:s,data:{scrapePools:[]}}"),
    ("GET", "alertmanagers", OK, "{status:s,data:{activeAlertmanagers:[],droppedAlertmanagers:[]}}"),
    ("GET", "status/tsdb", OK, "{status:s,data:{headStats:{numSeries:n,numLabelPairs:n,chunkCount:n,minTime:n,maxTime:n},"
     "seriesCountByMetricName:[{name:s,value:n}],labelValueCountByLabelName:[{name:s,value:n}],"
     "memoryInBytesByLabelName:[{name:s,value:n}],seriesCountByLabelValuePair:[{name:s,value:n}]}}"),
    ("GET", "status/tsdb?limit=0", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "status/config", OK, "{status:s,data:{yaml:s}}"),
    ("GET", "status/flags", OK, None),
    ("GET", "status/runtimeinfo", OK, "{status:s,data:{startTime:s,CWD:s,hostname:s,serverTime:s,reloadConfigSuccess:b,"
     "lastConfigTime:s,corruptionCount:n,storageRetention:s}}"),
    ("GET", "status/walreplay", OK, "{status:s,data:{min:n,max:n,current:n}}"),
    ("GET", "notifications", OK, "{status:s,data:[]}"),
    ("PUT", "query", 405, None),
    ("GET", "nosuch", 404, None),
]


def shape(value):
    """Keys in order; of a list the first item that is not empty."""
    if isinstance(value, dict):
        return "{%s}" % ",".join("%s:%s" % (key, shape(item)) for key, item in value.items())
    if isinstance(value, list):
        if len(value) == 2 and isinstance(value[1], str) and not isinstance(value[0], (str, bool, list, dict)):
            return "[n,s]"
        return "[%s]" % (shape(value[0]) if value else "")
    return {bool: "b", int: "n", float: "n", str: "s", type(None): "0"}[type(value)]


def lacks(ours, theirs, place="answer"):
    """What of theirs ours lacks; keys that only ours has are left out of the comparison."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        missing = [key for key in theirs if key not in ours]
        if missing:
            return "%s lacks %s" % (place, ", ".join(missing))
        if [key for key in ours if key in theirs] != list(theirs):
            return "%s has another order" % place
        return next(filter(None, (lacks(ours[key], theirs[key], place + "." + key) for key in theirs)), None)
    if isinstance(theirs, list) and isinstance(ours, list):
        return lacks(ours[0], theirs[0], place + "[0]") if ours and theirs else None
    if isinstance(theirs, (int, float)) and isinstance(ours, (int, float)):
        return None
    return None if type(ours) is type(theirs) else "%s is %r, not %r" % (place, ours, theirs)


# Prometheus's are those of Go's run time and of its own flags.
GO = ("goroutineCount", "GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GODEBUG")


def only(wanted, ours):
    """ours without the keys that the stored shape does not have."""
    if isinstance(ours, dict):
        return {key: only(wanted, item) for key, item in ours.items() if key + ":" in wanted}
    return [only(wanted, item) for item in ours] if isinstance(ours, list) else ours


def call(port, method, target):
    path, _, query = target.partition("?")
    pairs = [tuple(urllib.parse.unquote(piece) for piece in part.split("=", 1)) for part in query.split("&") if part]
    form = urllib.parse.urlencode(pairs)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if method == "POST" else None
    if method == "GET" and form:
        return lib.request(port, "GET", "/api/v1/%s?%s" % (path, form))
    return lib.request(port, method, "/api/v1/" + path, form.encode() if method == "POST" else None, headers)


def check_stored(server):
    for method, target, status, wanted in CALLS:
        answer = call(server.port, method, target)
        if not lib.check_equal("%s %s has its status" % (method, target), answer.status, status) or wanted is None:
            continue
        lib.check_equal("%s %s has its shape" % (method, target), shape(only(wanted, answer.json())), wanted)


def check_beside(server, port):
    for method, target, status, wanted in CALLS:
        ours, theirs = call(server.port, method, target), call(port, method, target)
        if not lib.check_equal("%s %s has Prometheus's status" % (method, target), ours.status, theirs.status):
            continue
        if wanted is None:
            continue
        a, b = ours.json(), theirs.json()
        if target == "status/runtimeinfo":
            b["data"] = {key: item for key, item in b["data"].items() if key not in GO}
        exact = theirs.status == OK and not any(part in target for part in VARIES)
        if exact:
            lib.check_equal("%s %s has Prometheus's answer" % (method, target), ours.text, theirs.text)
        else:
            found = lacks(a, b)
            lib.check("%s %s has Prometheus's keys" % (method, target), found is None, found)


def main():
    with lib.Run() as run:
        rules = run.file("rules.yml", RULES)
        server = run.server(arguments=["--retention", "off"], config="rule_files: [%s]\n" % json.dumps(rules))
        body = lib.snappy(lib.encode_write(list(data())))
        lib.check_equal("the server takes the data",
                        lib.request(server.port, "POST", "/api/v1/write", body, lib.WRITE_HEADERS).status, 204)
        check_stored(server)
        program = lib.peer("PROMETHEUS_BIN")
        if not program:
            lib.skip("the API beside Prometheus", "PROMETHEUS_BIN names no program")
            return
        port = lib.free_port()
        config = "rule_files: [%s]\nstorage: {tsdb: {out_of_order_time_window: 1000d}}\n" % json.dumps(rules)
        run.program(program, "--config.file", run.file("prometheus.yml", config), "--storage.tsdb.path", run.path("tsdb"),
                    "--web.listen-address", "127.0.0.1:%d" % port, "--web.enable-remote-write-receiver")

        def ready():
            with lib.contextlib.suppress(OSError, lib.http.client.HTTPException):
                return lib.request(port, "GET", "/-/ready").status == 200

        if lib.check("Prometheus starts", lib.wait_for(ready, 20)):
            lib.check_equal("Prometheus takes the data",
                            lib.request(port, "POST", "/api/v1/write", body, lib.WRITE_HEADERS).status, 204)
            check_beside(server, port)


main()
lib.done()
