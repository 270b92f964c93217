/* SPDX-License-Identifier: Apache-2.0
 *
 * panels: what is shown of a host, as PromQL over node_exporter's names, and how the answers become
 * lines. Nothing has to be set up: a panel without samples says so.
 */
import { quote } from "./api";
import type { ChartData, ChartLine } from "./chart";
import { alignGrids, type Grid, type GridSeries } from "./grid";
import { seriesColor } from "./theme";
import type { Unit } from "./units";

export interface Panel {
    id: string;
    title: string;
    hint: string;
    unit: Unit;
    stacked?: boolean;
    atLeast?: number;
    /** One or two queries; $i is the host's matcher, $w the window of rates. */
    queries: string[];
    lines: (grids: (Grid | undefined)[]) => ChartLine[];
}

export const handshakeMetric = "tidewatch_tcp_handshake_rtt_seconds";

/* What is shown of the kernel's modes; each keeps its colour when others come and go. */
const modes: { label: string; of: string[]; color: number; always: boolean }[] = [
    { label: "user", of: ["user", "nice"], color: 0, always: true },
    { label: "system", of: ["system"], color: 2, always: true },
    { label: "iowait", of: ["iowait"], color: 1, always: true },
    { label: "irq", of: ["irq", "softirq"], color: 6, always: false },
    { label: "steal", of: ["steal"], color: 4, always: false },
];

function byLabel(grid: Grid | undefined, name: string): Map<string, GridSeries> {
    return new Map((grid?.series ?? []).map((series) => [series.labels[name] ?? "", series]));
}

function cpuLines([grid]: (Grid | undefined)[]): ChartLine[] {
    const found = byLabel(grid, "mode");
    return modes.flatMap(({ label, of, color, always }) => {
        const rows = of.map((mode) => found.get(mode)?.values).filter((row) => row !== undefined);
        if (rows.length === 0) return [];
        const values = combine(rows, (shares) => shares.reduce((sum, share) => sum + share, 0));
        /* Modes that never happen here would only fill the legend. */
        if (!always && values.every((value) => !value)) return [];
        return [{ label, values, color: seriesColor(color) }];
    });
}

type Values = (number | null)[];

function combine(rows: Values[], compute: (values: number[]) => number): Values {
    return (rows[0] ?? []).map((_, at) => {
        const values = rows.map((row) => row[at] ?? null);
        return values.some((value) => value === null) ? null : compute(values as number[]);
    });
}

function memoryLines([grid]: (Grid | undefined)[]): ChartLine[] {
    const found = byLabel(grid, "__name__");
    const row = (name: string) => found.get(`node_memory_${name}_bytes`)?.values;
    const total = row("MemTotal");
    const available = row("MemAvailable");
    const free = row("MemFree");
    if (!total || !available || !free) return [];
    return [
        {
            label: "used",
            values: combine([total, available], ([all, usable]) => all! - usable!),
            color: seriesColor(0),
        },
        {
            label: "cache",
            values: combine([available, free], ([usable, empty]) => Math.max(0, usable! - empty!)),
            color: seriesColor(2),
        },
        { label: "free", values: free, color: seriesColor(9), faint: true },
    ];
}

/** Two directions of the same devices: the first query upwards, the second downwards. */
function mirrored(first: string, second: string) {
    return ([up, down]: (Grid | undefined)[]): ChartLine[] => {
        const lines: ChartLine[] = [];
        const upwards = byLabel(up, "device");
        const downwards = byLabel(down, "device");
        const devices = busiest([...new Set([...upwards.keys(), ...downwards.keys()])], (device) =>
            Math.max(peak(upwards.get(device)), peak(downwards.get(device))),
        );
        devices.forEach((device, n) => {
            const color = seriesColor(n === 0 ? 0 : n + 2);
            const other = seriesColor(n === 0 ? 1 : n + 2);
            const above = upwards.get(device);
            const below = downwards.get(device);
            if (above)
                lines.push({ label: `${device} ${first}`, values: above.values, color, fill: true });
            if (below)
                lines.push({
                    label: `${device} ${second}`,
                    values: below.values,
                    color: other,
                    fill: true,
                    below: true,
                });
        });
        return lines;
    };
}

const devicesShown = 4;

function peak(series: GridSeries | undefined): number {
    return series ? series.values.reduce<number>((top, value) => Math.max(top, value ?? 0), 0) : 0;
}

/** The devices that did the most, in the order of their names, so that colours stay. */
function busiest(devices: string[], amount: (device: string) => number): string[] {
    const active = devices.filter((device) => amount(device) > 0);
    const chosen = active.length > 0 ? active : devices.slice(0, 1);
    return chosen
        .sort((a, b) => amount(b) - amount(a))
        .slice(0, devicesShown)
        .sort();
}

/** Several series of one query, told apart by a label. */
function named(label: string, names: [string, string, number][]) {
    return ([grid]: (Grid | undefined)[]): ChartLine[] => {
        const found = byLabel(grid, label);
        return names.flatMap(([value, text, color]) => {
            const series = found.get(value);
            return series ? [{ label: text, values: series.values, color: seriesColor(color) }] : [];
        });
    };
}

/** Query after query, one line each. */
function oneEach(names: [string, number][]) {
    return (grids: (Grid | undefined)[]): ChartLine[] =>
        names.flatMap(([text, color], n) => {
            const series = grids[n]?.series[0];
            return series ? [{ label: text, values: series.values, color: seriesColor(color) }] : [];
        });
}

export const panels: Panel[] = [
    {
        id: "cpu",
        title: "CPU",
        hint: "share of all cores, by mode",
        unit: "percent",
        stacked: true,
        atLeast: 0.05,
        queries: ['avg by (mode) (rate(node_cpu_seconds_total{$i,mode!="idle"}[$w]))'],
        lines: cpuLines,
    },
    {
        id: "memory",
        title: "Memory",
        hint: "used is what programs cannot get: total less available",
        unit: "bytes",
        stacked: true,
        queries: ['{__name__=~"node_memory_(MemTotal|MemAvailable|MemFree)_bytes",$i}'],
        lines: memoryLines,
    },
    {
        id: "network",
        title: "Network",
        hint: "received upwards, sent downwards, by device",
        unit: "bytes/s",
        atLeast: 1024,
        queries: [
            'sum by (device) (rate(node_network_receive_bytes_total{$i,device!="lo"}[$w]))',
            'sum by (device) (rate(node_network_transmit_bytes_total{$i,device!="lo"}[$w]))',
        ],
        lines: mirrored("in", "out"),
    },
    {
        id: "disk",
        title: "Disk",
        hint: "read upwards, written downwards, by device",
        unit: "bytes/s",
        atLeast: 1024,
        queries: [
            'sum by (device) (rate(node_disk_read_bytes_total{$i,device!~"(loop|ram|zram).*"}[$w]))',
            'sum by (device) (rate(node_disk_written_bytes_total{$i,device!~"(loop|ram|zram).*"}[$w]))',
        ],
        lines: mirrored("read", "write"),
    },
    {
        id: "handshake",
        title: "TCP handshake latency",
        hint: "round trip of connections set up, seen on the wire",
        unit: "seconds",
        queries: [0.99, 0.9, 0.5].map(
            (quantile) =>
                `histogram_quantile(${quantile}, sum by (le) (rate(${handshakeMetric}_bucket{$i}[$h])))`,
        ),
        lines: oneEach([
            ["p99", 4],
            ["p90", 1],
            ["p50", 0],
        ]),
    },
    {
        id: "load",
        title: "Load",
        hint: "tasks that run or wait, averaged",
        unit: "none",
        atLeast: 0.5,
        queries: ['{__name__=~"node_load(1|5|15)",$i}'],
        lines: named("__name__", [
            ["node_load1", "1 min", 0],
            ["node_load5", "5 min", 2],
            ["node_load15", "15 min", 9],
        ]),
    },
    {
        id: "pressure",
        title: "Pressure",
        hint: "share of time in which some task waited for it",
        unit: "percent",
        atLeast: 0.02,
        queries: ["cpu", "memory", "io"].map(
            (resource) => `rate(node_pressure_${resource}_waiting_seconds_total{$i}[$w])`,
        ),
        lines: oneEach([
            ["CPU", 0],
            ["memory", 2],
            ["disk", 1],
        ]),
    },
];

/** Fills in the host and the windows: rates over $w, rare events over the longer $h. */
export function panelQueries(panel: Panel, host: string, step: number, interval: number): string[] {
    const window = rateWindow(step, interval);
    return panel.queries.map((query) =>
        query
            .replaceAll("$i", `instance=${quote(host)}`)
            .replaceAll("$w", `${window}s`)
            .replaceAll("$h", `${Math.max(60, window)}s`),
    );
}

/** Long enough for four samples, and for every sample to count on a coarse grid. */
export function rateWindow(step: number, interval: number): number {
    return Math.ceil(Math.max(step + interval, 4 * interval));
}

export function panelData(panel: Panel, grids: (Grid | undefined)[]): ChartData | undefined {
    const aligned = alignGrids(grids);
    const grid = aligned.find((candidate) => candidate !== undefined);
    if (!grid) return undefined;
    return { span: grid.span, times: grid.times, lines: panel.lines(aligned) };
}
