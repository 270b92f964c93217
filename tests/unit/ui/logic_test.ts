/* SPDX-License-Identifier: Apache-2.0
 *
 * The pages' pure functions, in node: node logic_test.js, bundled by tests/unit/ui/logic.sh.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { aheadKey, aheadQueries, aheadSpan, forecastsItself, horizonFrom, joinAhead, joinTimes } from "../../../ui/src/ahead";
import { ApiError, escapeRegex, formatSeries, parseValue, quote, type MatrixSeries } from "../../../ui/src/api";
import { Feed, type FeedState } from "../../../ui/src/feed";
import { alignGrids, emptyGrid, mergeTail, missingTail, newest, stack, summarise } from "../../../ui/src/grid";
import { best, contextAt, errorOffset, rank, tokenize } from "../../../ui/src/promql";
import { chooseStep, formatAge, formatDuration, formatTicks, parseDuration, rangeFromParameters, rangeToParameters, resolveSpan } from "../../../ui/src/time";
import { formatValue, guessUnit } from "../../../ui/src/units";

test("durations are read and written as PromQL has them", () => {
    assert.equal(parseDuration("1h30m"), 5400);
    assert.equal(parseDuration(" 1w "), 604800);
    for (const wrong of ["", "5", "m", "5x", "-5m", "0s", "1.5h"]) assert.equal(parseDuration(wrong), undefined, wrong);
    for (const text of ["5s", "1h30m", "1d", "1w2d", "1y"]) assert.equal(formatDuration(parseDuration(text)!), text);
    assert.equal(formatAge(3), "3s");
    assert.equal(formatAge(90061), "1d 1h");
    assert.equal(formatAge(3605), "1h");
});

test("a span lies on its steps and keeps to the points allowed", () => {
    assert.equal(chooseStep(300, 300), 1);
    assert.equal(chooseStep(301, 300), 2);
    assert.equal(chooseStep(400 * 86400, 10), 40 * 86400);
    const span = resolveSpan({ last: 3600 }, 1000003.7, 300);
    assert.deepEqual(span, { from: 996405, to: 999990 + 0, step: 15 });
    assert.equal(span.from % span.step, 0);
    assert.equal(resolveSpan({ last: 3600 }, 1000004.9, 300).to, span.to);
});

test("ranges survive the address", () => {
    for (const choice of [{ last: 900 }, { from: 100, to: 200 }])
        assert.deepEqual(rangeFromParameters(new URLSearchParams(rangeToParameters(choice)), { last: 1 }), choice);
    assert.deepEqual(rangeFromParameters(new URLSearchParams("from=9&to=3"), { last: 1 }), { last: 1 });
});

test("axis marks use 24 hours", () => {
    const noon = new Date(2026, 2, 9, 15, 4, 5).getTime() / 1000;
    assert.deepEqual(formatTicks([noon], 1), ["15:04:05"]);
    assert.deepEqual(formatTicks([noon], 60), ["15:04"]);
    const midnight = new Date(2026, 2, 10).getTime() / 1000;
    assert.deepEqual(formatTicks([noon, midnight], 3600), ["15:04", "10 Mar"]);
});

test("values carry units and three digits", () => {
    const cases: [number | null, Parameters<typeof formatValue>[1], string][] = [
        [0, "none", "0"],
        [1234, "none", "1234"],
        [12345, "none", "12.3 k"],
        [0.123456, "none", "0.123"],
        [-2.5, "none", "−2.5"],
        [0.256, "percent", "25.6 %"],
        [1, "percent", "100 %"],
        [0.000001, "percent", "0 %"],
        [1536, "bytes", "1.5 KiB"],
        [1023.9, "bytes", "1 KiB"],
        [3 * 2 ** 30, "bytes/s", "3 GiB/s"],
        [0.00025, "seconds", "250 µs"],
        [0.0421, "seconds", "42.1 ms"],
        [90, "seconds", "90 s"],
        [7200, "seconds", "2 h"],
        [1500, "per second", "1.5 k/s"],
        [null, "bytes", "–"],
        [NaN, "bytes", "NaN"],
        [Infinity, "none", "+Inf"],
    ];
    for (const [value, unit, text] of cases) assert.equal(formatValue(value, unit), text);
});

test("units are guessed from names", () => {
    assert.equal(guessUnit("node_memory_MemFree_bytes"), "bytes");
    assert.equal(guessUnit("rate(node_disk_read_bytes_total[1m])"), "bytes/s");
    assert.equal(guessUnit('x{path="a/b"}'), "none");
    assert.equal(guessUnit("a_bytes / b_bytes"), "none");
    assert.equal(guessUnit("node_time_seconds"), "none");
    assert.equal(guessUnit("histogram_quantile(0.9, rate(a_seconds_bucket[5m]))"), "seconds");
    assert.equal(guessUnit("rate(requests_total[1m])"), "per second");
});

test("values, quotes and series names as the API has them", () => {
    assert.equal(parseValue("+Inf"), Infinity);
    assert.equal(parseValue("-Inf"), -Infinity);
    assert.ok(Number.isNaN(parseValue("NaN")));
    assert.equal(parseValue("1e-3"), 0.001);
    assert.equal(quote('a"b\\c\nd'), '"a\\"b\\\\c\\nd"');
    assert.equal(escapeRegex("a.b:9100"), "a\\.b:9100");
    assert.equal(formatSeries({ __name__: "up", z: "1", a: "2" }), 'up{a="2", z="1"}');
    assert.equal(formatSeries({ __name__: "up" }), "up");
    assert.equal(formatSeries({}), "{}");
});

const series = (name: string, ...values: [number, string][]): MatrixSeries => ({ metric: { __name__: name }, values });

test("a grid grows at its end, keeps what is old and forgets what has left", () => {
    const first = { from: 0, to: 40, step: 10 };
    const grid = mergeTail(emptyGrid(first), [series("a", [0, "1"], [10, "2"], [40, "5"]), series("b", [0, "7"])], first, 0);
    assert.deepEqual(grid.series[0]!.values, [1, 2, null, null, 5]);
    const second = { from: 20, to: 60, step: 10 };
    const asked = missingTail(grid, second, 1);
    assert.deepEqual(asked, { from: 30, to: 60, step: 10 });
    const grown = mergeTail(grid, [series("a", [30, "4"], [50, "NaN"], [60, "+Inf"]), series("c", [60, "3"])], second, asked.from);
    assert.deepEqual(grown.times, [20, 30, 40, 50, 60]);
    assert.deepEqual(grown.series.map(({ key }) => key), ["a", "c"].filter((key) => grown.series.some((one) => one.key === key)));
    const a = grown.series.find(({ key }) => key === "a")!;
    assert.deepEqual(a.values, [null, 4, null, null, null]);
    assert.ok(!grown.series.some(({ key }) => key === "b"), "b has left the span");
    assert.deepEqual(missingTail(grid, { from: 0, to: 40, step: 20 }, 1).from, 0);
    assert.deepEqual(missingTail(grid, { from: 500, to: 540, step: 10 }, 1).from, 500);
});

test("grids of several queries are brought to one span", () => {
    const old = mergeTail(emptyGrid({ from: 0, to: 20, step: 10 }), [series("a", [10, "1"], [20, "2"])], { from: 0, to: 20, step: 10 }, 0);
    const young = emptyGrid({ from: 10, to: 30, step: 10 });
    const [moved, same, none] = alignGrids([old, young, undefined]);
    assert.deepEqual(moved!.series[0]!.values, [1, 2, null]);
    assert.equal(same, young);
    assert.equal(none, undefined);
});

test("summaries, newest values and stacks pass over gaps", () => {
    assert.deepEqual(summarise([null, 1, 3, null]), { last: 3, min: 1, max: 3, average: 2 });
    assert.deepEqual(summarise([null]), { last: null, min: null, max: null, average: null });
    assert.equal(newest([1, 2, null], 1), 2);
    assert.equal(newest([1, null, null], 1), null);
    assert.deepEqual(stack([[1, null, 2], [1, 5, null], [1, 1, 1]]), [[1, null, 2], [2, 5, null], [3, 6, 3]]);
});

test("a feed asks for the tail only, one request at a time, and keeps its lines over errors", async () => {
    const asked: { query: string; from: number; to: number; aborted: () => boolean; answer: (data: MatrixSeries[]) => void; fail: (error: Error) => void }[] = [];
    let state: FeedState | undefined;
    const feed = new Feed(
        (query, span, signal) =>
            new Promise((resolve, reject) => {
                asked.push({ query, from: span.from, to: span.to, aborted: () => signal.aborted, fail: reject,
                    answer: (data) => resolve({ data, warnings: [], infos: [] }) });
            }),
        (next) => (state = next),
    );
    const settle = () => new Promise((resolve) => setImmediate(resolve));
    feed.want("a", { from: 0, to: 100, step: 10 });
    feed.want("a", { from: 10, to: 110, step: 10 });
    feed.want("a", { from: 20, to: 120, step: 10 });
    assert.equal(asked.length, 1);
    asked[0]!.answer([series("a", [100, "1"])]);
    await settle();
    assert.equal(state!.grid!.span.to, 100);
    assert.deepEqual([asked[1]!.from, asked[1]!.to], [70, 120]);
    asked[1]!.fail(new ApiError("network", "gone", 0));
    await settle();
    assert.equal(state!.error!.message, "gone");
    assert.equal(state!.grid!.span.to, 100);
    feed.want("b", { from: 20, to: 120, step: 10 });
    feed.want("b", { from: 500, to: 600, step: 10 });
    assert.ok(asked[2]!.aborted());
    assert.equal(asked[3]!.query, "b");
    feed.stop();
    asked[3]!.answer([series("b", [600, "1"])]);
    await settle();
    assert.equal(state!.grid!.span.to, 100, "a stopped feed says nothing");
});

test("tokens cover the text and carry their kind", () => {
    const text = 'sum by (job) (rate(http_total{code=~"5..", job!=\'x\'}[5m] offset 1h)) > 1e3 # why';
    const tokens = tokenize(text);
    assert.equal(tokens.map((token) => token.text).join(""), text);
    const kind = (word: string) => tokens.find((token) => token.text === word)?.kind;
    assert.equal(kind("sum"), "function");
    assert.equal(kind("by"), "keyword");
    assert.equal(kind("job"), "label");
    assert.equal(kind("rate"), "function");
    assert.equal(kind("http_total"), "metric");
    assert.equal(kind("code"), "label");
    assert.equal(kind('"5.."'), "string");
    assert.equal(kind("5m"), "number");
    assert.equal(kind("offset"), "keyword");
    assert.equal(kind("# why"), "comment");
});

test("the place at the cursor says what may stand there", () => {
    const at = (text: string) => contextAt(text.replace("|", ""), text.indexOf("|"));
    assert.deepEqual(at("rat|").place, { kind: "word" });
    assert.equal(at("sum(rat|").prefix, "rat");
    assert.deepEqual(at("up{j|}").place, { kind: "label", metric: "up" });
    assert.deepEqual(at("up{job=\"x\", i|").place, { kind: "label", metric: "up" });
    assert.deepEqual(at('up{job="no|"}').place, { kind: "value", metric: "up", label: "job" });
    assert.equal(at('up{job=~"no|').prefix, "no");
    assert.deepEqual(at("sum by (in|) (up)").place, { kind: "label", metric: "up" });
    assert.equal(at("up[5|").place.kind, "none");
    assert.equal(at('up{job="x"|').place.kind, "none");
    assert.equal(at("up # ra|").place.kind, "none");
});

test("what is typed finds names by beginning, word and letters", () => {
    const names = ["node_cpu_seconds_total", "cpu_count", "xcpuy", "up"];
    assert.deepEqual(best(names, (name) => name, "cpu", 9), ["cpu_count", "node_cpu_seconds_total", "xcpuy"]);
    assert.ok(rank("node_cpu_seconds_total", "ncst") > 0);
    assert.equal(rank("up", "zz"), 0);
    const many = Array.from({ length: 150000 }, (_, n) => `metric_name_number_${n}`);
    const begun = performance.now();
    assert.equal(best(many, (name) => name, "number_149", 50).length, 50);
    assert.ok(performance.now() - begun < 5000, "150 000 names do not freeze the page");
});

test("an error's place is found in the text", () => {
    assert.equal(errorOffset('1:5: parse error: unexpected "="', "sum("), 4);
    assert.equal(errorOffset("invalid parameter \"query\": 2:3: parse error: x", "sum(\nab c)"), 7);
    assert.equal(errorOffset("timeout", "up"), undefined);
    assert.equal(errorOffset("9:9: x", "up"), undefined);
});

test("what lies ahead is asked for by the expression itself, or as a band", () => {
    assert.equal(forecastsItself("forecast(up[7d], 1h)"), true);
    assert.equal(forecastsItself("1 + forecast_quantile (0.9, up[7d], 1h)"), true);
    assert.equal(forecastsItself('sum(my_forecast{a="forecast("}) # forecast(x)'), false);
    assert.deepEqual(aheadQueries("up", ""), []);
    assert.deepEqual(aheadQueries("forecast(up[7d], 0)", "6h"), ["forecast(up[7d], 0)"]);
    assert.equal(aheadQueries("up # all", "6h")[0], "forecast_quantile(0.05, (up # all\n)[7d:5m], 0)");
    assert.equal(horizonFrom("2h"), "");
    assert.equal(horizonFrom("1d"), "1d");
    assert.equal(aheadKey({ __name__: "up", job: "a" }), '{job="a"}');
});

test("the future begins now, on steps of its own", () => {
    assert.deepEqual(aheadSpan({ last: 300 }, 1000, "1h"), { from: 1020, to: 4620, step: 30 });
    assert.equal(aheadSpan({ last: 300 }, 1000, ""), undefined);
    assert.equal(aheadSpan({ from: 0, to: 900 }, 1000, "1h"), undefined);
    assert.equal(aheadSpan({ from: 0, to: 1200 }, 1000, "1h")!.to, 1200);
});

test("past and future join on one axis", () => {
    const row = (metric: Record<string, string>, ...values: [number, string][]): MatrixSeries => ({ metric, values });
    const span = { from: 40, to: 60, step: 10 };
    const ahead = joinAhead(
        [[row({ a: "1" }, [40, "1"], [60, "NaN"])], [row({ a: "1" }, [40, "2"], [50, "3"])], [row({ a: "1" }, [50, "4"])]],
        span, ["w", "w"]);
    assert.deepEqual(ahead.times, [40, 50, 60]);
    assert.deepEqual(ahead.warnings, ["w"]);
    assert.deepEqual(ahead.series.get('{a="1"}'), { low: [1, null, null], middle: [2, 3, null], high: [null, 4, null] });
    const grid = (values: (number | null)[], to: number) => ({
        span: { from: 30, to, step: 5 },
        times: values.map((_, at) => 30 + at * 5),
        series: [{ key: "up", labels: {}, values }],
    });
    assert.deepEqual(joinTimes(grid([1, 2, 3], 40), ahead), {
        span: { from: 30, to: 60, step: 5 }, times: [30, 35, 40, 50, 60], past: 3, skipped: 1 });
    assert.deepEqual(joinTimes(grid([1, 2, null, null], 45), ahead), {
        span: { from: 30, to: 60, step: 5 }, times: [30, 35, 40, 50, 60], past: 2, skipped: 0 });
});
