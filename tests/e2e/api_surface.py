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
- name: second
  rules: [{record: "job:m:max", expr: "max by (job) (m_total)"}]
- name: third
  rules: [{record: "job:m:min", expr: "min by (job) (m_total)"}]
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
    ("GET", "rules?group_limit=1", OK, "{status:s,data:{groups:[{name:s,file:s,rules:[{name:s,query:s,health:s,"
     "evaluationTime:n,lastEvaluation:s,type:s}],interval:n,limit:n,evaluationTime:n,lastEvaluation:s}],groupNextToken:s}}"),
    ("GET", "rules?group_limit=0", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "rules?group_next_token=x", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "rules?group_limit=1&group_next_token=x", BAD, "{status:s,errorType:s,error:s}"),
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
     "innerEvalTime:n,execQueueTime:n,execTotalTime:n},samples:{totalQueryableSamples:n,samplesRead:n,peakSamples:n}}}}"),
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
    ("GET", "query?query=m_total&timeout=-1s", BAD, "{status:s,errorType:s,error:s}"),
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
    ("GET", "status/flags", OK, None),
    ("POST", "labels?match[]=m_total", OK, "{status:s,data:[s]}"),
    ("POST", "format_query?query=sum(a)by(b)", OK, "{status:s,data:s}"),
    ("POST", "series", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "parse_query?query=1%2B", BAD, "{status:s,errorType:s,error:s}"),
    ("POST", "read", BAD, None),
    ("GET", "write", 405, None),
    ("GET", "read", 405, None),
    ("PUT", "query", 405, None),
    ("GET", "nosuch", 404, None),
]


# What Prometheus 3.5 does not have, or not in this form.
LATER = [
    ("GET", "status/tsdb/blocks", OK, "{status:s,data:{blocks:[{ulid:s,minTime:n,maxTime:n,stats:{numSamples:n,numSeries:n,"
     "numChunks:n,numBytes:n},compaction:{level:n,sources:[s],runs:n},downsampledStep:n,version:n}]}}"),
    ("GET", "status/self_metrics?metric_name_pattern=tidewatch_build_info|tidewatch_tsdb_head_series", OK, None),
    ("GET", "status/self_metrics?metric_name_pattern=(", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "features", OK, None),
    ("GET", "targets/relabel_steps", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "targets/relabel_steps?scrapePool=a", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "targets/relabel_steps?scrapePool=a&labels=nojson", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "targets/relabel_steps?scrapePool=a&labels={}", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "search/label_values", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "search/metric_names?fuzz_threshold=101", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "search/metric_names?fuzz_alg=soundex", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "search/metric_names?sort_by=score", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "search/metric_names?sort_dir=asc", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "search/metric_names?limit=10001", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "search/metric_names?match[]=a{", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "search/metric_names?start=5&end=1", BAD, "{status:s,errorType:s,error:s}"),
    ("GET", "query?query=m_total&timeout=0", 503, "{status:s,errorType:s,error:s}"),
    ("GET", "query_cost?query=m_total[5m]&time=%d" % (BASE + 600), OK, None),
    ("GET", "queries", OK, None),
    ("GET", "cardinality", OK, None),
    ("GET", "hosts", OK, "{status:s,data:[]}"),
    ("GET", "scalers", OK, None),
    ("GET", "scaler_audit", OK, None),
    ("GET", "reliability", OK, None),
    ("GET", "openapi.yaml?openapi_version=2", BAD, "{status:s,errorType:s,error:s}"),
]


# Mistakes, in Prometheus's words.
MISTAKES = [
    ("series?match[]=up%20or%20down", 'invalid parameter "match[]": 1:4: parse error: unexpected <op:or>'),
    ("labels?match[]=up%20or%20down", "1:4: parse error: unexpected <op:or>"),
    ("label/a/values?match[]=sum(up)", '1:4: parse error: unexpected "("'),
    ("series?match[]=up[5m]", 'invalid parameter "match[]": 1:3: parse error: unexpected "["'),
    ("series?match[]=", 'invalid parameter "match[]": unknown position: parse error: unexpected end of input'),
    ("series?match[]={__name__=~\".*\"}", 'invalid parameter "match[]": match[] must contain at least one non-empty matcher'),
    ("labels?match[]={}", "match[] must contain at least one non-empty matcher"),
    ("rules?match[]={}", "match[] must contain at least one non-empty matcher"),
    ("rules?type=x", 'invalid parameter "type": not supported value "x"'),
    ("rules?exclude_alerts=x", 'invalid parameter "exclude_alerts": error converting exclude_alerts: strconv.ParseBool: parsing "x": '
     "invalid syntax"),
    ("series?match[]=up&limit=x", 'invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax'),
    ("query?query=1&limit=-1", 'invalid parameter "limit": limit must be non-negative'),
    ("metadata?limit=x", "limit must be a number"),
    ("status/tsdb?limit=0", "limit must be a positive number"),
    ("targets/metadata?limit=x", "limit must be a number"),
    ("targets/metadata?match_target=up{", 'invalid parameter "match_target": 1:4: parse error: unexpected end of input inside braces'),
    ("query?query=1&time=0x10", "invalid parameter \"time\": invalid time value for 'time': cannot parse \"0x10\" to a valid timestamp"),
    ("query_range?query=1&start=1&end=2&step=0x1", 'invalid parameter "step": cannot parse "0x1" to a valid duration'),
    ("query?query=1&lookback_delta=5x", 'error parsing lookback delta duration: cannot parse "5x" to a valid duration'),
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
    for method, target, status, wanted in CALLS + LATER:
        answer = call(server.port, method, target)
        if not lib.check_equal("%s %s has its status" % (method, target), answer.status, status) or wanted is None:
            continue
        lib.check_equal("%s %s has its shape" % (method, target), shape(only(wanted, answer.json())), wanted)


# ---- the document of the API ----

def read_yaml(text):
    """The part of YAML that the document is written in: mappings, lists, plain and quoted scalars."""
    lines = [(len(line) - len(line.lstrip()), line.strip()) for line in text.splitlines() if line.strip()]

    def scalar(word):
        if word[:1] == "'":
            return word[1:-1].replace("''", "'")
        return {"true": True, "false": False}.get(word, word)

    def block(at):
        depth = lines[at][0]
        result = [] if lines[at][1][:1] == "-" and lines[at][1][:2] in ("-", "- ") else {}
        while at < len(lines) and lines[at][0] == depth:
            line = lines[at][1]
            if isinstance(result, list):
                if line == "-":
                    item, at = block(at + 1)
                    result.append(item)
                    continue
                if line[:2] != "- ":
                    break
                if ": " not in line and line[-1] != ":":
                    result.append(scalar(line[2:]))
                    at += 1
                    continue
                lines[at] = (depth + 2, line[2:])
                item, at = block(at)
                result.append(item)
                continue
            if line[:1] == "-":
                break
            key, _, rest = line.partition(":")
            if line[:1] == "'":
                key, rest = line[1:].split("':", 1)
            at += 1
            if rest.strip():
                result[scalar(key)] = scalar(rest.strip())
            elif at < len(lines) and (lines[at][0] > depth or lines[at][0] == depth and lines[at][1][:1] == "-"):
                result[scalar(key)], at = block(at)
        return result, at

    return block(0)[0]


def refuses(document, schema, value, place="answer"):
    """Why a value is not what the schema says, or None."""
    if "$ref" in schema:
        node = document
        for part in schema["$ref"][2:].split("/"):
            node = node[part]
        return refuses(document, node, value, place)
    if "anyOf" in schema:
        reasons = [refuses(document, item, value, place) for item in schema["anyOf"]]
        return None if None in reasons else " and ".join(reasons)
    if "const" in schema:
        return None if value == schema["const"] else "%s is not %s" % (place, schema["const"])
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float), "integer": int}
    kind = schema.get("type")
    if kind and (not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return "%s is no %s: %r" % (place, kind, value)
    if kind == "object":
        for key in schema.get("required", []):
            if key not in value:
                return "%s lacks %s" % (place, key)
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if inner is None:
                return "%s has %s, which is not described" % (place, key)
            reason = refuses(document, inner, item, place + "." + key)
            if reason:
                return reason
    if kind == "array":
        inner = schema.get("prefixItems", [schema.get("items")] * len(value))
        if len(inner) != len(value):
            return "%s has %d items" % (place, len(value))
        return next(filter(None, (refuses(document, i, v, "%s[%d]" % (place, n))
                                  for n, (i, v) in enumerate(zip(inner, value)))), None)
    return None


def described(document, method, target):
    """The answer's schema for a status of 200, and that of errors."""
    parts = target.partition("?")[0].split("/")
    for path, item in document["paths"].items():
        names = path[1:].split("/")
        if len(names) == len(parts) and all(n == p or n[0] == "{" for n, p in zip(names, parts)):
            return item.get(method.lower())
    return None


def check_document(server):
    answer = lib.request(server.port, "GET", "/api/v1/openapi.yaml")
    lib.check_equal("the document is YAML", answer.headers["Content-Type"], "application/yaml; charset=utf-8")
    document = read_yaml(answer.text)
    lib.check_equal("it says its version", document["openapi"], "3.1.0")
    bare = [path for path, item in document["paths"].items() for call in item.values()
            if call["summary"] == "Not described." and not path.startswith("/scalers")]
    lib.check_equal("each route is described", bare, [])
    ids = [call["operationId"] for item in document["paths"].values() for call in item.values()]
    lib.check_equal("no two operations have one id", len(set(ids)), len(ids))
    for method, target, status, _ in CALLS + LATER:
        if status not in (OK, BAD, 422) or target.startswith("nosuch"):
            continue
        operation = described(document, method, target)
        if not lib.check("%s %s is in the document" % (method, target), operation is not None):
            continue
        reply = call(server.port, method, target)
        if "json" not in reply.headers["Content-Type"]:
            continue
        schema = (operation["responses"]["200"] if reply.status == OK
                  else document["components"]["responses"]["Error"])["content"]["application/json"]["schema"]
        reason = refuses(document, schema, reply.json())
        lib.check("%s %s answers as the document says" % (method, target), reason is None, reason)
    wrong = refuses(document, {"$ref": "#/components/schemas/Alert"}, {"labels": {}, "state": 1})
    lib.check("a schema refuses what it does not describe", wrong is not None)
    later = read_yaml(lib.request(server.port, "GET", "/api/v1/openapi.yaml?openapi_version=3.2").text)
    lib.check_equal("3.2 has the stream of events", "/notifications/live" in later["paths"], True)
    lib.check_equal("3.1 has not", "/notifications/live" in document["paths"], False)


def ndjson(answer):
    return [json.loads(line) for line in answer.text.splitlines()]


def check_search(server):
    def names(target):
        lines = ndjson(call(server.port, "GET", "search/" + target))
        lib.check_equal("search/%s ends well" % target, lines[-1]["status"], "success")
        return [item["name"] for line in lines[:-1] for item in line["results"]], lines[-1]["has_more"]

    lib.check_equal("what contains a text is found", names("metric_names?search[]=tota&match[]={job=~\"a|b\"}"), (["m_total"], False))
    lib.check_equal("a typing error is not", names("metric_names?search[]=m_totla"), ([], False))
    lib.check_equal("unless asked for", names("metric_names?search[]=m_totla&fuzz_threshold=90"), (["m_total"], False))
    lib.check_equal("letters in between", names("metric_names?search[]=mtl&fuzz_threshold=40&fuzz_alg=subsequence&match[]=m_total"),
                    (["m_total"], False))
    lib.check_equal("case counts", names("metric_names?search[]=M_TOTAL"), ([], False))
    lib.check_equal("or not", names("metric_names?search[]=M_TOTAL&case_sensitive=false"), (["m_total"], False))
    lib.check_equal("names of labels", names("label_names?match[]=m_total&search[]=o"), (["host.name", "job"], False))
    lib.check_equal("values", names("label_values?label=host.name&sort_by=alpha&sort_dir=dsc"), (["h3", "h2", "h1"], False))
    lib.check_equal("a limit", names("label_values?label=host.name&limit=2"), (["h1", "h2"], True))
    lines = ndjson(call(server.port, "POST", "search/label_values?label=host.name&batch_size=2&include_score=true"))
    lib.check_equal("batches", [len(line["results"]) for line in lines[:-1]], [2, 1])
    lib.check_equal("scores", lines[0]["results"][0], {"name": "h1", "score": 1})


def check_pages(server):
    """Groups of rules a page at a time, until there is no token."""
    names, token = [], ""
    for _ in range(5):
        answer = call(server.port, "GET", "rules?group_limit=1" + (token and "&group_next_token=" + token)).json()["data"]
        names += [group["name"] for group in answer["groups"]]
        token = answer.get("groupNextToken", "")
        if not token:
            break
    lib.check_equal("pages of rules give each group once", names, ["g", "second", "third"])


def check_headers(server):
    def headers(method="GET", origin="http://grafana.example.org", **more):
        more = {key.replace("_", "-"): value for key, value in more.items()}
        return lib.request(server.port, method, "/api/v1/query?query=1", headers=dict(more, Origin=origin)).headers

    got = headers()
    lib.check_equal("a page that may is told so", got["Access-Control-Allow-Origin"], "http://grafana.example.org")
    lib.check("a cache keeps origins apart", "Origin" in got["Vary"])
    lib.check_equal("another page is not", headers(origin="http://evil.example.com").get("Access-Control-Allow-Origin"), None)
    lib.check_equal("the whole origin is matched", headers(origin="http://grafana.example.org.evil.com").get("Access-Control-Allow-Origin"), None)
    lib.check_equal("before a request, too", headers("OPTIONS")["Access-Control-Allow-Origin"], "http://grafana.example.org")
    large = lib.request(server.port, "GET", "/api/v1/query?query=m_total[1h]&time=%d" % (BASE + 1200), headers={"Accept-Encoding": "gzip"})
    lib.check_equal("large answers come in gzip", large.headers.get("Content-Encoding"), "gzip")


def check_mistakes(port, whose):
    for target, wanted in MISTAKES:
        answer = call(port, "GET", target)
        if lib.check_equal("%s refuses %s" % (whose, target), answer.status, BAD):
            lib.check_equal("%s says why of %s" % (whose, target), answer.json()["error"], wanted)


def check_beside(server, port):
    check_mistakes(port, "Prometheus")
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
        server = run.server(arguments=["--retention", "off", "--cors-origin", r"https?://grafana\.example\.org"], config="rule_files: [%s]\n" % json.dumps(rules))
        body = lib.snappy(lib.encode_write(list(data())))
        lib.check_equal("the server takes the data",
                        lib.request(server.port, "POST", "/api/v1/write", body, lib.WRITE_HEADERS).status, 204)
        lib.check_equal("the store writes its days",
                        lib.request(server.port, "POST", "/api/v1/admin/tsdb/flush").status, 204)
        check_stored(server)
        check_mistakes(server.port, "the server")
        check_document(server)
        check_search(server)
        check_pages(server)
        check_headers(server)
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
