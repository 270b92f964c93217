/* SPDX-License-Identifier: Apache-2.0
 *
 * query: an expression, its graph and its table. The address holds all of it; addresses in the form of
 * Prometheus's graph page (g0.expr, g0.tab, g0.range_input) are understood.
 */
import { useEffect, useState } from "preact/hooks";
import { aheadQueries, fetchAhead, horizonFrom, horizons, seriesMax, type Ahead, type Horizon } from "./ahead";
import { isAbort, parseValue, queryInstant, type Answer, type ApiError, type QueryData } from "./api";
import { Editor } from "./editor";
import { Graph } from "./graph";
import { isLive, range, span, usePoll, useRanges } from "./live";
import { Choice, Empty, Failure, PageTitle, SeriesName, ShowMore, useGrowing } from "./parts";
import { errorOffset } from "./promql";
import { parameters, setParameters } from "./router";
import { load, save } from "./store";
import { formatDateTime, parseDuration } from "./time";
import { formatValue, guessUnit } from "./units";

type Tab = "graph" | "table";

const historyMax = 50;

const examples: [string, string][] = [
    ["CPU in use, by host", '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1m]))'],
    ["Memory available", "node_memory_MemAvailable_bytes"],
    ["Received bytes per second", 'sum by (instance, device) (rate(node_network_receive_bytes_total{device!="lo"}[1m]))'],
    ["Where the disk is waited for", "rate(node_pressure_io_waiting_seconds_total[1m])"],
];

/** Brings an address of Prometheus's graph page into our form, once. */
function adoptForeignAddress(): void {
    const foreign = parameters.value.get("g0.expr");
    if (foreign === null) return;
    const table = ["1", "table"].includes(parameters.value.get("g0.tab") ?? "");
    const rangeText = parameters.value.get("g0.range_input") ?? undefined;
    const changes: Record<string, string | undefined> = { expr: foreign, tab: table ? "table" : undefined };
    for (const name of parameters.value.keys()) if (name.startsWith("g0.")) changes[name] = undefined;
    if (rangeText && parseDuration(rangeText)) changes["range"] = rangeText;
    setParameters(changes, "replace");
}

function remember(expression: string): void {
    const before = load<string[]>("history", []);
    save("history", [expression, ...before.filter((one) => one !== expression)].slice(0, historyMax));
}

export function QueryPage() {
    useEffect(adoptForeignAddress, [parameters.value]);
    const expression = parameters.value.get("expr") ?? "";
    const tab: Tab = parameters.value.get("tab") === "table" ? "table" : "graph";
    const horizon = horizonFrom(parameters.value.get("ahead"));
    const [text, setText] = useState(expression);
    const [round, setRound] = useState(0);
    const [error, setError] = useState<ApiError | undefined>();
    useEffect(() => setText(expression), [expression]);
    useEffect(() => setError(undefined), [expression, tab]);

    const run = (wanted = text) => {
        const trimmed = wanted.trim();
        setText(trimmed);
        if (trimmed === "") return;
        remember(trimmed);
        setRound(round + 1);
        setParameters({ expr: trimmed });
    };
    const errorAt = error && text === expression ? errorOffset(error.message, text) : undefined;
    return (
        <>
            <PageTitle title="Query" />
            <div class="query-bar">
                <Editor value={text} onChange={setText} onRun={() => run()} errorAt={errorAt} />
                <History choose={run} />
                <button type="button" class="primary" onClick={() => run()}>
                    Run
                </button>
            </div>
            {expression === "" ? (
                <Examples choose={run} />
            ) : (
                <>
                    <div class="choices">
                        <Choice
                            label="Result as"
                            options={[
                                { value: "graph", text: "Graph" },
                                { value: "table", text: "Table" },
                            ]}
                            value={tab}
                            onChange={(value) => setParameters({ tab: value === "graph" ? undefined : value })}
                        />
                        {tab === "graph" && (
                            <Choice
                                label="Forecast"
                                options={horizons}
                                value={horizon}
                                onChange={(value) => setParameters({ ahead: value || undefined })}
                            />
                        )}
                    </div>
                    {tab === "graph" ? (
                        <GraphResult
                            key={`${round} ${expression}`}
                            expression={expression}
                            horizon={horizon}
                            onError={setError}
                        />
                    ) : (
                        <TableResult key={`${round} ${expression}`} expression={expression} onError={setError} />
                    )}
                </>
            )}
        </>
    );
}

function Examples(props: { choose: (expression: string) => void }) {
    return (
        <Empty title="Ask anything in PromQL">
            <ul class="examples">
                {examples.map(([title, expression]) => (
                    <li key={title}>
                        <button type="button" onClick={() => props.choose(expression)}>
                            <span>{title}</span>
                            <code>{expression}</code>
                        </button>
                    </li>
                ))}
            </ul>
            <p class="hint">
                <kbd>Enter</kbd> runs, <kbd>Shift</kbd> <kbd>Enter</kbd> begins a line, <kbd>Ctrl</kbd>{" "}
                <kbd>Space</kbd> completes.
            </p>
        </Empty>
    );
}

function History(props: { choose: (expression: string) => void }) {
    const [entries, setEntries] = useState<string[] | undefined>();
    return (
        <div
            class="history"
            onFocusOut={(event) => {
                if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setEntries(undefined);
            }}
            onKeyDown={(event) => {
                if (event.key === "Escape") setEntries(undefined);
            }}
        >
            <button
                type="button"
                aria-expanded={entries !== undefined}
                onClick={() => setEntries(entries ? undefined : load<string[]>("history", []))}
            >
                History
            </button>
            {entries && (
                <ul class="menu history-menu">
                    {entries.length === 0 && <li class="nothing">Expressions that you run are kept here.</li>}
                    {entries.map((entry) => (
                        <li key={entry}>
                            <button
                                type="button"
                                onClick={() => {
                                    setEntries(undefined);
                                    props.choose(entry);
                                }}
                            >
                                <code>{entry}</code>
                            </button>
                        </li>
                    ))}
                </ul>
            )}
        </div>
    );
}

interface ResultProps {
    expression: string;
    onError: (error: ApiError | undefined) => void;
}

/** The message, and the line of the expression with a mark under the place that it names. */
function QueryFailure(props: { error: ApiError; expression: string }) {
    const at = errorOffset(props.error.message, props.expression);
    if (at === undefined) return <Failure error={props.error} what="The query failed." />;
    const start = props.expression.lastIndexOf("\n", at - 1) + 1;
    const end = props.expression.indexOf("\n", at);
    const line = props.expression.slice(start, end < 0 ? undefined : end);
    return (
        <div class="failure query-failure" role="alert">
            <strong>The query has an error</strong>
            <span>{props.error.message}</span>
            <pre>
                {line}
                {"\n"}
                {" ".repeat(at - start)}
                <span class="caret">^</span>
            </pre>
        </div>
    );
}

function Notes(props: { notes: string[] }) {
    return props.notes.map((note) => (
        <p class="warning" key={note}>
            {note}
        </p>
    ));
}

/** Learning takes longer than reading; and what lies ahead changes slowly. */
const aheadSeconds = 30;

function useAhead(expression: string, horizon: Horizon, count: number | undefined) {
    const wanted = horizon !== "" && count !== undefined && count > 0;
    const tooMany = wanted && count > seriesMax && aheadQueries(expression, horizon).length > 1;
    const choice = range.value;
    const end = "last" in choice ? "" : `${choice.from} ${choice.to}`;
    const polled = usePoll<Ahead | undefined>(
        async (signal) => (wanted && !tooMany ? fetchAhead(expression, horizon, choice, signal) : undefined),
        aheadSeconds,
        `${wanted && !tooMany} ${horizon} ${end} ${expression}`,
    );
    return { wanted, tooMany, ahead: polled.value, error: polled.error };
}

function AheadNote(props: ReturnType<typeof useAhead> & { count: number }) {
    if (!props.wanted) return null;
    if (props.tooMany)
        return (
            <p class="warning">
                Forecasts are drawn of at most {seriesMax} series, here are {props.count}: aggregate, or use topk.
            </p>
        );
    if (props.error) return <Failure error={props.error} what="The forecast failed." />;
    if (!props.ahead) return null;
    return (
        <>
            <Notes notes={props.ahead.warnings} />
            {props.ahead.series.size === 0 && <p class="warning">Nothing can be forecast of what was seen so far.</p>}
        </>
    );
}

function GraphResult(props: ResultProps & { horizon: Horizon }) {
    const [state] = useRanges([props.expression]);
    const { grid, error, warnings } = state ?? { warnings: [] };
    const forecast = useAhead(props.expression, props.horizon, grid?.series.length);
    const ahead = forecast.ahead && forecast.ahead.series.size > 0 ? forecast.ahead : undefined;
    useEffect(() => props.onError(error), [error]);
    if (error && !grid) return <QueryFailure error={error} expression={props.expression} />;
    if (!grid) return <div class="waiting tall" aria-busy="true" />;
    return (
        <section
            class="card result"
            data-result="graph"
            data-series={grid.series.length}
            data-ahead={ahead?.series.size}
        >
            {error && <Failure error={error} what="The newest part is missing." />}
            <Notes notes={warnings} />
            <AheadNote {...forecast} count={grid.series.length} />
            {grid.series.length === 0 ? (
                <div class="chart-space chart-empty tall">
                    No series in this range. The names may be right and the range too short.
                </div>
            ) : (
                <>
                    <p class="note">
                        {grid.series.length === 1 ? "1 series" : `${grid.series.length} series`}, one point
                        each {span.value.step} s
                        {ahead?.isBand && "; dashed what is expected, in the band nine of ten outcomes"}
                    </p>
                    <Graph
                        grid={grid}
                        unit={guessUnit(props.expression)}
                        ahead={ahead}
                        horizon={horizons.find(({ value }) => value === props.horizon)?.text ?? ""}
                    />
                </>
            )}
        </section>
    );
}

function TableResult(props: ResultProps) {
    const [answer, setAnswer] = useState<(Answer<QueryData> & { took: number }) | undefined>();
    const [error, setError] = useState<ApiError | undefined>();
    const at = "last" in range.value ? undefined : range.value.to;
    useEffect(() => {
        const abort = new AbortController();
        const begun = performance.now();
        queryInstant(props.expression, at ?? Date.now() / 1000, abort.signal)
            .then((result) => {
                setAnswer({ ...result, took: performance.now() - begun });
                setError(undefined);
                props.onError(undefined);
            })
            .catch((reason) => {
                if (isAbort(reason)) return;
                setError(reason);
                props.onError(reason);
            });
        return () => abort.abort();
    }, [props.expression, at]);
    if (error) return <QueryFailure error={error} expression={props.expression} />;
    if (!answer) return <div class="waiting tall" aria-busy="true" />;
    return (
        <section class="card result" data-result="table">
            <Notes notes={[...answer.warnings, ...answer.infos]} />
            <ResultTable data={answer.data} took={answer.took} />
        </section>
    );
}

interface TableRow {
    labels: Record<string, string>;
    values: [number, string][];
}

function tableRows(data: QueryData): TableRow[] {
    if (data.resultType === "vector")
        return data.result.map(({ metric, value }) => ({ labels: metric, values: [value] }));
    if (data.resultType === "matrix")
        return data.result.map(({ metric, values }) => ({ labels: metric, values }));
    return [{ labels: {}, values: [data.result] }];
}

function ResultTable(props: { data: QueryData; took: number }) {
    const [limit, more] = useGrowing(200);
    const [descending, setDescending] = useState<boolean | undefined>();
    const rows = tableRows(props.data);
    const { resultType } = props.data;
    if (descending !== undefined)
        rows.sort((a, b) => {
            const difference = parseValue(a.values[0]?.[1] ?? "NaN") - parseValue(b.values[0]?.[1] ?? "NaN");
            return descending ? -difference : difference;
        });
    if (rows.length === 0)
        return <div class="chart-space chart-empty tall">Nothing matches at this moment.</div>;
    return (
        <>
            <p class="note">
                {resultType}, {rows.length === 1 ? "1 element" : `${rows.length} elements`}, {formatValue(props.took / 1000, "seconds")}
                {isLive.value && (
                    <>
                        {", at "}
                        {formatDateTime(Math.max(...rows.map(({ values }) => values[values.length - 1]?.[0] ?? 0)))}
                    </>
                )}
            </p>
            <div class="table-box">
                <table class="series-table">
                    <thead>
                        <tr>
                            <th scope="col">{resultType === "scalar" || resultType === "string" ? "Kind" : "Series"}</th>
                            <th
                                scope="col"
                                class="number"
                                aria-sort={descending === undefined ? "none" : descending ? "descending" : "ascending"}
                            >
                                <button type="button" onClick={() => setDescending(descending === undefined ? true : descending ? false : undefined)}>
                                    Value
                                    <span class="sort-mark" aria-hidden="true">
                                        {descending === undefined ? "" : descending ? "↓" : "↑"}
                                    </span>
                                </button>
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        {rows.slice(0, limit).map((row, n) => (
                            <tr key={n}>
                                <td>
                                    {resultType === "scalar" || resultType === "string" ? resultType : <SeriesName labels={row.labels} />}
                                </td>
                                <td class="number strong">
                                    {row.values.length === 1
                                        ? row.values[0]![1]
                                        : row.values.map(([time, value]) => (
                                              <div key={time}>
                                                  {value} <span class="faint">@ {formatDateTime(time)}</span>
                                              </div>
                                          ))}
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
            <ShowMore shown={Math.min(limit, rows.length)} total={rows.length} more={more} />
        </>
    );
}
