/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts: all hosts at a glance; one host alone is shown in full at once.
 */
import { signal } from "@preact/signals";
import { useMemo, useState } from "preact/hooks";
import { call, escapeRegex, queryInstant, quote } from "./api";
import { alignGrids, newest, type Grid } from "./grid";
import { HostPage } from "./host";
import { isLive, span, usePoll, useRanges } from "./live";
import { handshakeMetric, rateWindow } from "./panels";
import { Command, Empty, Failure, PageTitle, ShowMore, useGrowing } from "./parts";
import { path } from "./router";
import { Sparkline } from "./sparkline";
import { load, save } from "./store";
import { formatValue, type Unit } from "./units";

interface Column {
    id: string;
    title: string;
    unit: Unit;
    color: number;
    atLeast: number; /* a sparkline's top is at least here */
    query: string;
}

const columns: Column[] = [
    {
        id: "cpu",
        title: "CPU",
        unit: "percent",
        color: 0,
        atLeast: 0.2,
        query: 'sum by (instance) (rate(node_cpu_seconds_total{mode!~"idle|iowait"}[$w])) / count by (instance) (node_cpu_seconds_total{mode="idle"})',
    },
    {
        id: "memory",
        title: "Memory",
        unit: "percent",
        color: 3,
        atLeast: 1,
        query: "max by (instance) (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)",
    },
    {
        id: "network",
        title: "Network",
        unit: "bytes/s",
        color: 2,
        atLeast: 10240,
        query: 'sum by (instance) (rate(node_network_receive_bytes_total{device!="lo"}[$w])) + sum by (instance) (rate(node_network_transmit_bytes_total{device!="lo"}[$w]))',
    },
    {
        id: "disk",
        title: "Disk",
        unit: "bytes/s",
        color: 1,
        atLeast: 10240,
        query: "sum by (instance) (rate(node_disk_read_bytes_total[$w])) + sum by (instance) (rate(node_disk_written_bytes_total[$w]))",
    },
    {
        id: "load",
        title: "Load",
        unit: "none",
        color: 5,
        atLeast: 1,
        query: "max by (instance) (node_load1)",
    },
    {
        id: "pressure",
        title: "Pressure",
        unit: "percent",
        color: 6,
        atLeast: 0.1,
        query: "max by (instance) (rate(node_pressure_cpu_waiting_seconds_total[$w]))",
    },
    {
        id: "handshake",
        title: "TCP p95",
        unit: "seconds",
        color: 4,
        atLeast: 0.001,
        query: `histogram_quantile(0.95, sum by (instance, le) (rate(${handshakeMetric}_bucket[$h])))`,
    },
];

/** Seconds between two samples of a host; the first guess is what was seen the last time. */
const interval = signal(load("interval", 1));

const hostsProbed = 10;

/** Finds the hosts and how often they are sampled. */
async function probe(signal: AbortSignal): Promise<string[]> {
    const { data } = await call<string[]>(
        "label/instance/values",
        { "match[]": ["node_load1"], start: Math.floor(Date.now() / 1000) - 3600 },
        signal,
    );
    if (data.length > 0) {
        const some = data.slice(0, hostsProbed).map(escapeRegex).join("|");
        const query = `node_load1{instance=~${quote(some)}}[2m]`;
        const answer = await queryInstant(query, Date.now() / 1000, signal);
        if (answer.data.resultType === "matrix") noteInterval(answer.data.result);
    }
    return data;
}

function noteInterval(series: { values: [number, string][] }[]): void {
    let longest = 0;
    for (const { values } of series) {
        const gaps = values.slice(1).map(([time], at) => time - values[at]![0]);
        gaps.sort((a, b) => a - b);
        const typical = gaps[Math.floor(gaps.length / 2)];
        if (typical !== undefined) longest = Math.max(longest, Math.round(typical));
    }
    if (longest === 0) return;
    interval.value = Math.max(1, longest);
    save("interval", interval.value);
}

export function HostsPage() {
    const name = path.value.startsWith("/hosts/")
        ? decodeURIComponent(path.value.slice("/hosts/".length))
        : undefined;
    const { value: names, error, again } = usePoll(probe, 10);

    if (name !== undefined) return <HostPage name={name} alone={false} interval={interval.value} />;
    if (names?.length === 1)
        return <HostPage name={names[0]!} alone={true} interval={interval.value} />;
    if (names && names.length > 1) return <HostTable names={names} />;
    return (
        <>
            <PageTitle title="Hosts" />
            {error ? (
                <Failure error={error} what="The hosts cannot be listed." again={again} />
            ) : names ? (
                <NoHosts />
            ) : (
                <div class="waiting" aria-busy="true" />
            )}
        </>
    );
}

function NoHosts() {
    return (
        <Empty title="No host has sent anything yet">
            <p>Start an agent on each host that you want to see. Its charts appear here by themselves.</p>
            <Command>{`tidewatch-agent --server ${location.origin} --data /var/lib/tidewatch-agent`}</Command>
        </Empty>
    );
}

interface Row {
    name: string;
    cells: ((number | null)[] | undefined)[];
    now: (number | null)[];
    silent: boolean;
}

function makeRows(names: string[], grids: (Grid | undefined)[]): Row[] {
    const found = grids.map(
        (grid) => new Map(grid?.series.map((series) => [series.labels["instance"] ?? "", series.values])),
    );
    return names.map((name) => {
        const cells = found.map((byName) => byName.get(name));
        const now = cells.map((values) => (values ? newest(values, 3) : null));
        return { name, cells, now, silent: grids[0] !== undefined && now[0] === null };
    });
}

type Order = { column: number; descending: boolean }; /* column -1: the name */

function sortRows(rows: Row[], order: Order): Row[] {
    const sign = order.descending ? -1 : 1;
    const compareNames = (a: Row, b: Row) => a.name.localeCompare(b.name, "en", { numeric: true });
    return rows.sort((a, b) => {
        if (order.column < 0) return sign * compareNames(a, b);
        const [left, right] = [a.now[order.column], b.now[order.column]];
        if (left == null || right == null) return left == null ? (right == null ? 0 : 1) : -1;
        return sign * (left - right) || compareNames(a, b);
    });
}

function HostTable(props: { names: string[] }) {
    const { step, from, to } = span.value;
    const window = rateWindow(step, interval.value);
    const queries = useMemo(
        () =>
            columns.map(({ query }) =>
                query.replaceAll("$w", `${window}s`).replaceAll("$h", `${Math.max(60, window)}s`),
            ),
        [window],
    );
    const states = useRanges(queries);
    const [filter, setFilter] = useState("");
    const [order, setOrder] = useState<Order>({ column: -1, descending: false });
    const [limit, more] = useGrowing(100);
    const grids = alignGrids(states.map(({ grid }) => grid));
    const failed = states.find(({ error }) => error)?.error;

    const wanted = filter.trim().toLowerCase();
    const rows = sortRows(
        makeRows(
            props.names.filter((name) => name.toLowerCase().includes(wanted)),
            grids,
        ),
        order,
    );
    const silent = rows.filter((row) => row.silent).length;

    const sortBy = (column: number) =>
        setOrder((before) => ({
            column,
            descending: before.column === column ? !before.descending : column >= 0,
        }));

    return (
        <>
            <PageTitle title="Hosts">
                <span class="page-note">
                    {props.names.length} hosts
                    {silent > 0 && `, ${silent} silent`}
                </span>
                <input
                    type="search"
                    class="filter"
                    placeholder="Filter by name"
                    aria-label="Filter by name"
                    value={filter}
                    onInput={(event) => setFilter(event.currentTarget.value)}
                />
            </PageTitle>
            {failed && <Failure error={failed} what="Some columns cannot be shown." />}
            <div class="table-box">
                <table class="host-table" data-span={`${from}-${to}`}>
                    <thead>
                        <tr>
                            <HeaderCell title="Host" column={-1} order={order} sortBy={sortBy} />
                            {columns.map((column, n) => (
                                <HeaderCell key={column.id} title={column.title} column={n} order={order} sortBy={sortBy} />
                            ))}
                        </tr>
                    </thead>
                    <tbody>
                        {rows.slice(0, limit).map((row) => (
                            <HostRow key={row.name} row={row} />
                        ))}
                    </tbody>
                </table>
                {rows.length === 0 && <p class="nothing">No host's name contains “{filter}”.</p>}
            </div>
            <ShowMore shown={Math.min(limit, rows.length)} total={rows.length} more={more} />
        </>
    );
}

function HeaderCell(props: {
    title: string;
    column: number;
    order: Order;
    sortBy: (column: number) => void;
}) {
    const chosen = props.order.column === props.column;
    const direction = props.order.descending ? "descending" : "ascending";
    return (
        <th scope="col" aria-sort={chosen ? direction : "none"}>
            <button type="button" onClick={() => props.sortBy(props.column)}>
                {props.title}
                <span class="sort-mark" aria-hidden="true">
                    {chosen ? (props.order.descending ? "↓" : "↑") : ""}
                </span>
            </button>
        </th>
    );
}

function HostRow({ row }: { row: Row }) {
    const status = row.silent && isLive.value ? "silent" : "live";
    return (
        <tr>
            <th scope="row">
                <a title={row.name} href={`/hosts/${encodeURIComponent(row.name)}`}>
                    <span
                        class={status === "live" ? "dot dot-good" : "dot"}
                        role="img"
                        aria-label={status}
                    />
                    {row.name}
                </a>
            </th>
            {columns.map((column, n) => (
                <td key={column.id}>
                    <div class="spark-cell">
                        <Sparkline values={row.cells[n]} color={column.color} atLeast={column.atLeast} />
                        <span class="spark-value">{formatValue(row.now[n], column.unit)}</span>
                    </div>
                </td>
            ))}
        </tr>
    );
}
