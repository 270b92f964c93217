/* SPDX-License-Identifier: Apache-2.0
 *
 * scalers: for each scaler the load, what is expected of it, what the replicas can carry, and every
 * decision with its reason.
 */
import { call, quote } from "./api";
import { Chart, type ChartData, type ChartLine } from "./chart";
import type { FeedState } from "./feed";
import { usePoll, useRanges } from "./live";
import { Empty, ExpressionLink, Failure, PageTitle, Since } from "./parts";
import { path } from "./router";
import { seriesColor } from "./theme";
import { formatDateTime, formatDuration } from "./time";
import { formatValue } from "./units";

export interface Decision {
    time: number;
    since: number;
    count: number;
    from: number | null;
    to: number;
    wanted: number | null;
    reactive: number | null;
    replicas: number | null;
    load: number | null;
    data: string;
    capacity_per_replica: number | null;
    forecast: { q50: number | null; q95: number | null; used: number | null } | null;
    guards: { guard: string; before: number; after: number; text: string }[];
    reason: string;
    action: { status: string; error: string };
}

interface Scaler {
    name: string;
    query: string;
    mode: "observe" | "act";
    target: { type: string; url?: string } | null;
    min: number;
    max: number;
    capacity_per_replica: number | null;
    quantile: number;
    step_seconds: number;
    startup_seconds: number | null;
    startup_source: string;
    horizon_seconds: number | null;
    health: "starting" | "ok" | "hold" | "failed";
    error: string;
    seasons_seconds: number[];
    decision: Decision | null;
}

export interface Curves {
    load: { times: number[]; values: (number | null)[] } | null;
    forecast: { times: number[]; quantiles: Record<string, number[]> } | null;
}

const listSeconds = 5;
const decisionsShown = 50;

async function fetchScalers(signal: AbortSignal): Promise<Scaler[]> {
    return (await call<{ scalers: Scaler[] }>("scalers", {}, signal)).data.scalers;
}

async function fetchDetail(name: string, signal: AbortSignal) {
    const base = `scalers/${encodeURIComponent(name)}`;
    const [curves, list] = await Promise.all([
        call<Curves>(base, {}, signal),
        call<{ decisions: Decision[] }>(`${base}/decisions`, { limit: decisionsShown }, signal),
    ]);
    return { curves: curves.data, decisions: list.data.decisions };
}

export function ScalersPage() {
    const { value: scalers, error, again } = usePoll(fetchScalers, listSeconds);
    const wanted = path.value.startsWith("/scalers/")
        ? decodeURIComponent(path.value.slice("/scalers/".length))
        : undefined;
    const chosen = scalers?.find(({ name }) => name === wanted) ?? (wanted ? undefined : scalers?.[0]);
    return (
        <>
            <PageTitle title="Scalers" />
            {error && <Failure error={error} what="The scalers cannot be listed." again={again} />}
            {!scalers && !error && <div class="waiting tall" aria-busy="true" />}
            {scalers?.length === 0 && <NoScalers />}
            {scalers && scalers.length > 0 && (
                <div class={scalers.length > 1 ? "split" : ""}>
                    {scalers.length > 1 && <ScalerList scalers={scalers} chosen={chosen?.name} />}
                    {chosen ? (
                        <ScalerDetail key={chosen.name} scaler={chosen} />
                    ) : (
                        <Empty title={`There is no scaler “${wanted}”`} />
                    )}
                </div>
            )}
        </>
    );
}

function NoScalers() {
    return (
        <Empty title="No scaler is configured">
            <p>
                A scaler forecasts a load and says, or sets, how many replicas it needs. It begins by
                observing only.
            </p>
            <pre class="sample">
                {`scalers:
  - name: web
    load: sum(rate(http_requests_total{app="web"}[1m]))
    capacity_per_replica: 80
    min: 2
    max: 60
    mode: observe`}
            </pre>
        </Empty>
    );
}

function Health(props: { health: string }) {
    return <span class={`badge badge-${props.health}`}>{props.health}</span>;
}

function ScalerList(props: { scalers: Scaler[]; chosen: string | undefined }) {
    return (
        <nav class="side-list" aria-label="Scalers">
            {props.scalers.map(({ name, health, decision }) => (
                <a
                    key={name}
                    href={`/scalers/${encodeURIComponent(name)}`}
                    aria-current={name === props.chosen ? "true" : undefined}
                >
                    <span>{name}</span>
                    {health !== "ok" && <Health health={health} />}
                    <span class="strong">{decision?.to ?? "–"}</span>
                </a>
            ))}
        </nav>
    );
}

function Fact(props: { title: string; value: string; detail?: string }) {
    return (
        <div class="fact">
            <dt>{props.title}</dt>
            <dd>
                <strong>{props.value}</strong>
                <span>{props.detail ?? "\u00a0"}</span>
            </dd>
        </div>
    );
}

function ScalerDetail({ scaler }: { scaler: Scaler }) {
    const { value: detail, error } = usePoll(
        (signal) => fetchDetail(scaler.name, signal),
        listSeconds,
        scaler.name,
    );
    const { decision } = scaler;
    const seasons = scaler.seasons_seconds.map(formatDuration).join(", ");
    return (
        <div class="scaler" data-scaler={scaler.name}>
            <header class="scaler-head">
                <h2>{scaler.name}</h2>
                <Health health={scaler.health} />
                <span class="badge">{scaler.mode === "act" ? "acts" : "observes"}</span>
                <ExpressionLink expression={scaler.query} />
            </header>
            {scaler.error && <p class="warning">{scaler.error}</p>}
            {error && <Failure error={error} what="What you see may be old." />}
            <dl class="facts">
                <Fact
                    title="Replicas wanted"
                    value={decision ? String(decision.to) : "–"}
                    detail={`between ${scaler.min} and ${scaler.max}`}
                />
                <Fact
                    title="Load now"
                    value={formatValue(decision?.load)}
                    detail={`${formatValue(decision?.capacity_per_replica ?? scaler.capacity_per_replica)} per replica`}
                />
                <Fact
                    title={`Peak expected, ${formatValue(scaler.quantile, "percent")}`}
                    value={formatValue(decision?.forecast?.used)}
                    detail={scaler.horizon_seconds ? `within ${formatDuration(scaler.horizon_seconds)}` : ""}
                />
                <Fact
                    title="Start-up time"
                    value={scaler.startup_seconds === null ? "–" : formatDuration(scaler.startup_seconds)}
                    detail={scaler.startup_source}
                />
                <Fact
                    title="Seasons"
                    value={seasons || "none"}
                    detail={seasons ? "found in the load" : "found so far"}
                />
            </dl>
            {decision && <p class="reason">{decision.reason}</p>}
            <div class="cards">
                <ForecastCard curves={detail?.curves} />
                <ReplicasCard scaler={scaler} />
            </div>
            {detail && <DecisionTable decisions={detail.decisions} />}
        </div>
    );
}

/** Past and forecast on one axis: the past's line ends where the band begins. */
export function forecastData(curves: Curves): ChartData | undefined {
    const past = curves.load ?? { times: [], values: [] };
    const ahead = curves.forecast ?? { times: [], quantiles: {} };
    const times = [...past.times, ...ahead.times];
    if (times.length < 2) return undefined;
    const before = past.times.map(() => null);
    const after = ahead.times.map(() => null);
    const future = (quantile: string): (number | null)[] => {
        const values = ahead.quantiles[quantile] ?? [];
        return [...before, ...ahead.times.map((_, at) => values[at] ?? null)];
    };
    const lines: ChartLine[] = [
        { label: "load", values: [...past.values, ...after], color: seriesColor(0) },
    ];
    if (ahead.times.length > 0) {
        lines.push(
            { label: "95 % high", values: future("0.95"), color: seriesColor(1), width: 1, bandTo: 3 },
            { label: "expected", values: future("0.5"), color: seriesColor(1), dash: true },
            { label: "5 % low", values: future("0.05"), color: seriesColor(9), width: 1 },
        );
    }
    const step = times[1]! - times[0]!;
    return { span: { from: times[0]!, to: times[times.length - 1]!, step }, times, lines };
}

function ForecastCard(props: { curves: Curves | undefined }) {
    const data = props.curves && forecastData(props.curves);
    const state = !props.curves ? "loading" : data ? "ready" : "empty";
    return (
        <section class="card" data-panel="forecast" data-state={state}>
            <header>
                <h2>Load and forecast</h2>
                <span class="card-hint">the last hours, and the band in which it is expected</span>
            </header>
            {data ? (
                <Chart data={data} unit="none" height={240} ahead label="Load and forecast band" />
            ) : (
                <div class="chart-space chart-empty" style={{ height: "240px" }}>
                    {state === "empty" && "No load was seen yet"}
                </div>
            )}
        </section>
    );
}

function ReplicasCard({ scaler }: { scaler: Scaler }) {
    const selector = `{scaler=${quote(scaler.name)}}`;
    const [desired, actual, load, capacity] = useRanges([
        `tidewatch_scaler_desired_replicas${selector}`,
        `tidewatch_scaler_replicas${selector}`,
        `tidewatch_scaler_load${selector}`,
        `tidewatch_scaler_capacity${selector}`,
    ]);
    const grid = desired?.grid;
    if (!grid || grid.series.length === 0)
        return (
            <section class="card" data-panel="replicas" data-state={grid ? "empty" : "loading"}>
                <header>
                    <h2>Replicas</h2>
                </header>
                <div class="chart-space chart-empty" style={{ height: "240px" }}>
                    {grid && "No decision in this range"}
                </div>
            </section>
        );
    const row = (state: FeedState | undefined) =>
        state?.grid?.times.length === grid.times.length ? state.grid.series[0]?.values : undefined;
    const replicas: ChartLine[] = [
        { label: "wanted", values: grid.series[0]!.values, color: seriesColor(3), stepped: true, width: 2 },
    ];
    const running = row(actual);
    if (running) replicas.push({ label: "running", values: running, color: seriesColor(2), stepped: true });
    const carried: ChartLine[] = [];
    const seen = row(load);
    const able = row(capacity);
    if (seen) carried.push({ label: "load", values: seen, color: seriesColor(0), fill: true });
    if (able) carried.push({ label: "capacity", values: able, color: seriesColor(3), stepped: true });
    const frame = { span: grid.span, times: grid.times };
    return (
        <>
            <section class="card" data-panel="replicas" data-state="ready">
                <header>
                    <h2>Replicas</h2>
                    <span class="card-hint">decided, and running where it is known</span>
                </header>
                <Chart data={{ ...frame, lines: replicas }} unit="none" height={240} atLeast={1} label="Replicas" />
            </section>
            {carried.length > 1 && (
                <section class="card" data-panel="capacity" data-state="ready">
                    <header>
                        <h2>Load and capacity</h2>
                        <span class="card-hint">what the decided replicas can carry</span>
                    </header>
                    <Chart data={{ ...frame, lines: carried }} unit="none" height={240} label="Load and capacity" />
                </section>
            )}
        </>
    );
}

function DecisionTable(props: { decisions: Decision[] }) {
    const now = Date.now() / 1000;
    if (props.decisions.length === 0) return null;
    return (
        <section class="card">
            <header>
                <h2>Decisions</h2>
                <span class="card-hint">newest first; equal ones that follow each other are one</span>
            </header>
            <div class="table-box plain">
                <table class="decision-table">
                    <thead>
                        <tr>
                            <th scope="col">When</th>
                            <th scope="col" class="number">Replicas</th>
                            <th scope="col" class="number">Load</th>
                            <th scope="col">Reason</th>
                            <th scope="col">Sent</th>
                        </tr>
                    </thead>
                    <tbody>
                        {props.decisions.map((decision) => (
                            <tr key={decision.since}>
                                <td class="nowrap" title={formatDateTime(decision.time)}>
                                    <Since time={decision.time} now={now} /> ago
                                    {decision.count > 1 && <div class="faint">{decision.count} times</div>}
                                </td>
                                <td class="number nowrap strong">
                                    {decision.from === null || decision.from === decision.to
                                        ? decision.to
                                        : `${decision.from} → ${decision.to}`}
                                </td>
                                <td class="number">{formatValue(decision.load)}</td>
                                <td>
                                    {decision.reason}
                                    {decision.guards.map(({ guard, text }) => (
                                        <p class="guard" key={guard}>
                                            <span class="badge">{guard}</span> {text}
                                        </p>
                                    ))}
                                </td>
                                <td>
                                    <span
                                        class={`badge badge-${decision.action.status}`}
                                        title={decision.action.error}
                                    >
                                        {decision.action.status === "none" ? "no change" : decision.action.status}
                                    </span>
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
        </section>
    );
}
