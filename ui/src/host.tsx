/* SPDX-License-Identifier: Apache-2.0
 *
 * host: one host in full: what it is, how it is now, and a chart of each part.
 */
import { queryInstant, quote, type Labels } from "./api";
import { Chart } from "./chart";
import { span, usePoll, useRanges } from "./live";
import { panelData, panelQueries, panels, type Panel } from "./panels";
import { Failure, PageTitle, queryLink } from "./parts";
import { formatAge } from "./time";
import { formatValue } from "./units";

interface Facts {
    cores?: number;
    memory?: number;
    booted?: number;
    system: Labels;
}

const chartHeight = 190;

async function fetchFacts(name: string, signal: AbortSignal): Promise<Facts> {
    const host = `instance=${quote(name)}`;
    const now = Date.now() / 1000;
    const ask = async (query: string) => {
        const { data } = await queryInstant(query, now, signal);
        return data.resultType === "vector" ? data.result[0] : undefined;
    };
    const [cores, memory, booted, system] = await Promise.all([
        ask(`count(node_cpu_seconds_total{${host},mode="idle"})`),
        ask(`node_memory_MemTotal_bytes{${host}}`),
        ask(`node_boot_time_seconds{${host}}`),
        ask(`node_uname_info{${host}}`),
    ]);
    const facts: Facts = { system: system?.metric ?? {} };
    if (cores) facts.cores = Number(cores.value[1]);
    if (memory) facts.memory = Number(memory.value[1]);
    if (booted) facts.booted = Number(booted.value[1]);
    return facts;
}

function writeFacts(facts: Facts | undefined): string {
    if (!facts) return "\u00a0"; /* keeps its line */
    const parts: string[] = [];
    if (facts.cores) parts.push(facts.cores === 1 ? "1 core" : `${facts.cores} cores`);
    if (facts.memory) parts.push(`${formatValue(facts.memory, "bytes")} memory`);
    const { sysname, release } = facts.system;
    if (sysname) parts.push(`${sysname} ${release ?? ""}`.trim());
    if (facts.booted) parts.push(`up ${formatAge(Date.now() / 1000 - facts.booted)}`);
    return parts.join(" · ") || "\u00a0";
}

export function HostPage(props: { name: string; alone: boolean; interval: number }) {
    const { value: facts } = usePoll((signal) => fetchFacts(props.name, signal), 60, props.name);
    return (
        <>
            <PageTitle title={props.name}>
                {!props.alone && (
                    <a class="page-back" href="/hosts">
                        All hosts
                    </a>
                )}
                <span class="page-note">{writeFacts(facts)}</span>
            </PageTitle>
            <div class="cards">
                {panels.map((panel) => (
                    <PanelCard key={`${panel.id} ${props.name}`} panel={panel} host={props.name} interval={props.interval} />
                ))}
            </div>
        </>
    );
}

function PanelCard(props: { panel: Panel; host: string; interval: number }) {
    const { panel } = props;
    const queries = panelQueries(panel, props.host, span.value.step, props.interval);
    const states = useRanges(queries);
    const data = panelData(panel, states.map(({ grid }) => grid));
    const error = states.find((state) => state.error)?.error;
    const waiting = states.some(({ loading }) => loading);
    const empty = data !== undefined && data.lines.length === 0 && !waiting;
    const state = error && !data ? "error" : !data ? "loading" : empty ? "empty" : "ready";
    return (
        <section class="card" data-panel={panel.id} data-state={state} aria-busy={state === "loading"}>
            <header>
                <h2>{panel.title}</h2>
                <span class="card-hint">{panel.hint}</span>
                <a class="card-link" href={queryLink(queries[0]!)} title="Open in the query page">
                    Query
                </a>
            </header>
            {state === "error" && <Failure error={error!} what="This chart cannot be shown." />}
            {state === "loading" && <div class="chart-space" style={{ height: `${chartHeight}px` }} />}
            {state === "empty" && (
                <div class="chart-space chart-empty" style={{ height: `${chartHeight}px` }}>
                    No samples in this range
                </div>
            )}
            {state === "ready" && (
                <Chart
                    data={data!}
                    unit={panel.unit}
                    height={chartHeight}
                    stacked={panel.stacked ?? false}
                    atLeast={panel.atLeast ?? 0}
                    label={`${panel.title}: ${panel.hint}`}
                />
            )}
        </section>
    );
}
