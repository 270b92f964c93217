/* SPDX-License-Identifier: Apache-2.0
 *
 * status: the server itself: what it is and what it holds.
 */
import { ApiError, call } from "./api";
import { usePoll } from "./live";
import { Command, Failure, PageTitle } from "./parts";
import { formatAge } from "./time";
import { formatValue } from "./units";

interface Counts {
    name: string;
    value: number;
}
interface Holdings {
    headStats?: { numSeries?: number; chunkCount?: number; minTime?: number; maxTime?: number };
    seriesCountByMetricName?: Counts[];
}
interface Store {
    state: string;
    reason: string;
    message: string;
    [name: string]: string | number;
}
interface Runtime {
    store?: Store;
    [name: string]: unknown;
}
interface State {
    build: Record<string, string>;
    runtime: Runtime | undefined;
    holdings: Holdings | undefined;
    metrics: Map<string, number>;
}

/** What this server does not offer is left out of the page. */
async function optional<T>(path: string, signal: AbortSignal): Promise<T | undefined> {
    try {
        return (await call<T>(path, {}, signal)).data;
    } catch (reason) {
        if (reason instanceof ApiError && reason.type !== "network") return undefined;
        throw reason;
    }
}

/** The samples without labels of a page in Prometheus's text format. */
export function parseMetrics(text: string): Map<string, number> {
    const found = new Map<string, number>();
    for (const line of text.split("\n")) {
        const match = /^([a-zA-Z_:][\w:]*) (\S+)/.exec(line);
        if (match) found.set(match[1]!, Number(match[2]));
    }
    return found;
}

async function fetchState(signal: AbortSignal): Promise<State> {
    const [build, runtime, holdings, text] = await Promise.all([
        call<Record<string, string>>("status/buildinfo", {}, signal),
        optional<Runtime>("status/runtimeinfo", signal),
        optional<Holdings>("status/tsdb", signal),
        fetch("/metrics", { signal, cache: "no-store" }).then((response) => (response.ok ? response.text() : "")),
    ]);
    return { build: build.data, runtime, holdings, metrics: parseMetrics(text) };
}

type Fact = [string, string];

function facts(state: State): Fact[] {
    const { metrics, holdings, build } = state;
    const list: Fact[] = [];
    const add = (title: string, value: number | undefined, write: (value: number) => string) => {
        if (value !== undefined && Number.isFinite(value)) list.push([title, write(value)]);
    };
    list.push(["Version", build["applicationVersion"] ?? build["version"] ?? "–"]);
    const plain = (value: number) => formatValue(value);
    add("Series in memory", holdings?.headStats?.numSeries ?? metrics.get("tidewatch_head_series"), plain);
    add("Up for", metrics.get("process_start_time_seconds"), (value) => formatAge(Date.now() / 1000 - value));
    add("Resident memory", metrics.get("process_resident_memory_bytes"), (value) => formatValue(value, "bytes"));
    add("CPU time used", metrics.get("process_cpu_seconds_total"), (value) => formatValue(value, "seconds"));
    return list;
}

export function StatusPage() {
    const { value: state, error, again } = usePoll(fetchState, 5);
    return (
        <>
            <PageTitle title="Status" />
            {error && <Failure error={error} what="The status cannot be read." again={again} />}
            {!state && !error && <div class="waiting tall" aria-busy="true" />}
            {state && (
                <>
                    <ReadOnly store={state.runtime?.store} />
                    <dl class="facts" data-status="ready">
                        {facts(state).map(([title, value]) => (
                            <div class="fact" key={title}>
                                <dt>{title}</dt>
                                <dd>
                                    <strong>{value}</strong>
                                </dd>
                            </div>
                        ))}
                    </dl>
                    <div class="cards">
                        <Pairs title="Build" pairs={describeBuild(state.build)} />
                        {state.runtime && <Pairs title="Runtime" pairs={state.runtime} />}
                        {state.runtime?.store && <Pairs title="Store" pairs={describeStore(state.runtime.store)} />}
                        <Largest counts={state.holdings?.seriesCountByMetricName ?? []} />
                        <section class="card">
                            <header>
                                <h2>Use it elsewhere</h2>
                            </header>
                            <p>Grafana: add a Prometheus data source with this address.</p>
                            <Command>{location.origin}</Command>
                            <p>Prometheus and vmagent: write to this address.</p>
                            <Command>{`${location.origin}/api/v1/write`}</Command>
                        </section>
                    </div>
                </>
            )}
        </>
    );
}

/** Said above everything else: what is sent now is refused. */
function ReadOnly(props: { store: Store | undefined }) {
    if (!props.store || props.store.state === "writable") return null;
    return (
        <div class="failure" role="alert" data-status="read-only">
            <strong>The store takes no samples. Queries and alerts go on.</strong>
            <span>{props.store.message}</span>
        </div>
    );
}

function describeStore(store: Store): Record<string, unknown> {
    const pairs: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(store)) {
        if (name === "message") continue;
        if (name === "retentionSizeBytes" && value === 0) pairs[name] = "no bound";
        else pairs[name] = name.endsWith("Bytes") ? formatValue(Number(value), "bytes") : value;
    }
    return pairs;
}

/** "version" is the Prometheus API level, for Grafana; here it would mislead. */
function describeBuild({ version, application, applicationVersion, ...others }: Record<string, string>) {
    if (!applicationVersion) return { ...others, version };
    return {
        [application ?? "application"]: applicationVersion,
        "Prometheus API level": version,
        ...others,
    };
}

function Pairs(props: { title: string; pairs: Record<string, unknown> }) {
    const entries = Object.entries(props.pairs).filter(
        ([, value]) => typeof value !== "object" && value !== "",
    );
    if (entries.length === 0) return null;
    return (
        <section class="card">
            <header>
                <h2>{props.title}</h2>
            </header>
            <table class="pairs">
                <tbody>
                    {entries.map(([name, value]) => (
                        <tr key={name}>
                            <th scope="row">{name}</th>
                            <td>{String(value)}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </section>
    );
}

function Largest(props: { counts: Counts[] }) {
    if (props.counts.length === 0) return null;
    const most = Math.max(1, ...props.counts.map(({ value }) => value));
    return (
        <section class="card">
            <header>
                <h2>Metrics with the most series</h2>
            </header>
            <table class="pairs">
                <tbody>
                    {props.counts.slice(0, 10).map(({ name, value }) => (
                        <tr key={name}>
                            <th scope="row">{name}</th>
                            <td class="number">
                                {value}
                                <meter min={0} max={most} value={value} aria-label={name} />
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </section>
    );
}
