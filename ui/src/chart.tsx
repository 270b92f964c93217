/* SPDX-License-Identifier: Apache-2.0
 *
 * chart: a time chart on uPlot: lines, stacked areas, bands, a common cursor over all charts of a
 * page, zoom by dragging, and a legend that reads the values at the cursor.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { newest, stack } from "./grid";
import { setRange } from "./live";
import { chartColors, dark, seriesColor, translucent, type ChartColors } from "./theme";
import { formatMoment, formatTicks, type Span } from "./time";
import { formatValue, type Unit } from "./units";

export interface ChartLine {
    label: string;
    values: (number | null)[];
    color?: string;
    dash?: boolean;
    fill?: boolean; /* area down to zero */
    below?: boolean; /* drawn downwards from zero, as what is sent against what is received */
    bandTo?: number; /* fills the room between this line and line number bandTo */
    stepped?: boolean; /* holds its value until the next one, as replicas do */
    width?: number;
    faint?: boolean; /* an area that is only the background of the others */
    of?: number; /* belongs to line number so much, and comes to the front with it */
}

export interface ChartData {
    span: Span;
    times: number[];
    lines: ChartLine[];
}

interface Props {
    data: ChartData;
    unit: Unit;
    height: number;
    stacked?: boolean;
    legend?: "line" | "none";
    ahead?: boolean; /* reaches into the future: the past has ended before */
    label: string; /* for those who cannot see it */
    atLeast?: number; /* the value axis reaches at least here: noise stays small */
    emphasis?: number | undefined; /* one line in front, the others faint */
    onCursor?: (index: number | null) => void;
}

const cursorSync = "tidewatch";
const axisWidth = 68;
const font = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';

/* One column each, times first. */
function columns(data: ChartData, stacked: boolean): uPlot.AlignedData {
    const rows = data.lines.map((line) =>
        line.below ? line.values.map((value) => (value === null ? null : -value)) : line.values,
    );
    return [data.times, ...(stacked ? stack(rows) : rows)];
}

function axes(unit: Unit, colors: ChartColors): uPlot.Axis[] {
    const common = {
        stroke: colors.text,
        font,
        grid: { stroke: colors.grid, width: 1 },
        ticks: { show: false },
    };
    return [
        {
            ...common,
            grid: { show: false },
            space: 72,
            size: 28,
            gap: 8,
            values: (_, splits, __, ___, increment) => formatTicks(splits, increment),
        },
        {
            ...common,
            size: axisWidth,
            gap: 8,
            space: 34,
            values: (_, splits) => splits.map((split) => formatValue(Math.abs(split), unit)),
            ...(unit === "bytes" || unit === "bytes/s" ? { incrs: binaryIncrements } : {}),
        },
    ];
}

/* Marks at 1, 2, 4, 8 ... 512 of each binary prefix; at 5 and 50 they would read 4.77 and 47.7. */
const binaryIncrements = Array.from({ length: 60 }, (_, power) => 2 ** power);

function isFaint(line: ChartLine, n: number, props: Props): boolean {
    return props.emphasis !== undefined && props.emphasis !== n && props.emphasis !== line.of;
}

function lineOptions(line: ChartLine, n: number, props: Props): uPlot.Series {
    const color = line.color ?? seriesColor(n);
    const faint = isFaint(line, n, props);
    const stroke = faint ? translucent(color, 0.15) : color;
    const area = props.stacked ? n === 0 : line.fill;
    return {
        label: line.label,
        stroke,
        /* Areas need no edge: that of a mode without any share would hide its neighbour's. */
        width: props.stacked ? 0 : (line.width ?? 1.5),
        ...(line.dash ? { dash: [6, 4] } : {}),
        ...(area && !faint ? { fill: translucent(color, props.stacked ? areaOpacity(line) : 0.12) } : {}),
        ...(line.stepped ? { paths: uPlot.paths.stepped!({ align: 1 }) } : {}),
        points: { show: showLonePoints, size: 4, fill: stroke },
        spanGaps: false,
    };
}

function areaOpacity(line: ChartLine): number {
    return line.faint ? 0.14 : 0.72;
}

/* A sample without neighbours has no line: only a point shows it. */
function showLonePoints(chart: uPlot, series: number): boolean {
    const values = chart.data[series]!;
    let lonely = true;
    for (let at = 0; at + 1 < values.length && lonely; at++)
        lonely = values[at] == null || values[at + 1] == null;
    return lonely;
}

function bands(props: Props): uPlot.Band[] {
    if (props.stacked)
        return props.data.lines.slice(1).map((line, at) => ({
            series: [at + 2, at + 1],
            fill: translucent(line.color ?? seriesColor(at + 1), areaOpacity(line)),
        }));
    return props.data.lines.flatMap((line, n) =>
        line.bandTo === undefined
            ? []
            : [
                  {
                      series: [n + 1, line.bandTo + 1] as [number, number],
                      fill: translucent(line.color ?? seriesColor(n), isFaint(line, n, props) ? 0.04 : 0.18),
                  },
              ],
    );
}

function valueRange(atLeast: number, mirrored: boolean) {
    return (_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax => {
        if (low === null || high === null) return [0, atLeast || 1];
        let top = Math.max(high, atLeast);
        let bottom = Math.min(low, mirrored ? -atLeast : 0);
        /* Values far from zero are looked at from near by. */
        if (low > 0 && atLeast === 0 && low > 0.9 * high) bottom = low - (high - low || low) * 0.2;
        if (top === bottom) top = bottom + 1;
        const room = (top - bottom) * 0.08;
        top += top > 0 ? room : 0;
        bottom -= bottom < 0 || bottom > 0 ? room : 0;
        return [bottom, top];
    };
}

function options(props: Props, width: number, on: Handlers): uPlot.Options {
    const colors = chartColors();
    const mirrored = props.data.lines.some((line) => line.below);
    return {
        width,
        height: props.height,
        padding: [10, 8, 0, 0],
        legend: { show: false },
        cursor: {
            sync: { key: cursorSync, setSeries: false },
            drag: { x: true, y: false, setScale: false, dist: 6 },
            points: { size: 6, width: 2 },
            y: false,
            focus: { prox: 24 },
        },
        scales: {
            x: { time: true, range: () => [on.span().from, on.span().to] },
            y: { range: valueRange(props.atLeast ?? 0, mirrored) },
        },
        axes: axes(props.unit, colors),
        bands: bands(props),
        series: [{}, ...props.data.lines.map((line, n) => lineOptions(line, n, props))],
        hooks: {
            setCursor: [(chart) => on.cursor(chart.cursor.idx ?? null, chart.cursor.left ?? -1)],
            setSelect: [
                (chart) => {
                    const { left, width: selected } = chart.select;
                    if (selected < 6) return;
                    on.zoom(chart.posToVal(left, "x"), chart.posToVal(left + selected, "x"));
                    chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
                },
            ],
        },
    };
}

interface Handlers {
    span(): Span;
    cursor(index: number | null, left: number): void;
    zoom(from: number, to: number): void;
}

/** What must be the same for a chart to be updated rather than drawn anew. */
function shapeOf(props: Props): string {
    const lines = props.data.lines.map((line) => [
        line.label, line.color, line.dash, line.fill, line.below, line.bandTo, line.stepped, line.width, line.faint,
        line.of,
    ]);
    return JSON.stringify([lines, props.unit, props.height, props.stacked, props.atLeast,
        props.emphasis, dark.value]);
}

function zoom(from: number, to: number): void {
    const first = Math.floor(from);
    setRange({ from: first, to: Math.max(first + 5, Math.ceil(to)) });
}

export function Chart(props: Props) {
    const box = useRef<HTMLDivElement>(null);
    const chart = useRef<uPlot | undefined>(undefined);
    const latest = useRef(props);
    latest.current = props;
    const [cursor, setCursor] = useState<number | null>(null);
    const moment = useRef<HTMLDivElement>(null);
    const shape = shapeOf(props);

    useEffect(() => {
        const node = box.current!;
        const showMoment = (index: number | null, left: number) => {
            const label = moment.current!;
            const { times, span } = latest.current.data;
            const time = index === null ? undefined : times[index];
            label.hidden = time === undefined || left < 0;
            if (time === undefined) return;
            label.textContent = formatMoment(time, span.to - span.from);
            const room = node.clientWidth - label.offsetWidth;
            label.style.left = `${Math.max(0, Math.min(room, axisWidth + left - label.offsetWidth / 2))}px`;
        };
        const made = new uPlot(
            options(latest.current, node.clientWidth || 400, {
                span: () => latest.current.data.span,
                cursor: (index, left) => {
                    const at = left < 0 ? null : index;
                    setCursor(at);
                    latest.current.onCursor?.(at);
                    showMoment(at, left);
                },
                zoom,
            }),
            columns(latest.current.data, latest.current.stacked ?? false),
            node,
        );
        chart.current = made;
        const resize = new ResizeObserver(() => {
            const width = node.clientWidth;
            if (width > 0 && width !== made.width)
                made.setSize({ width, height: latest.current.height });
        });
        resize.observe(node);
        return () => {
            resize.disconnect();
            made.destroy();
            chart.current = undefined;
        };
    }, [shape]);

    useEffect(() => {
        chart.current?.setData(columns(props.data, props.stacked ?? false));
    }, [props.data, shape]);

    return (
        <figure class="chart" aria-label={props.label}>
            <div class="chart-plot" ref={box} style={{ height: `${props.height}px` }}>
                <div class="chart-moment" ref={moment} hidden />
            </div>
            {props.legend !== "none" && (
                <Legend {...props.data} unit={props.unit} at={cursor} ahead={props.ahead ?? false} />
            )}
        </figure>
    );
}

/** Values older than these steps are no present ones. */
const freshSteps = 10;

function Legend(props: { lines: ChartLine[]; unit: Unit; at: number | null; ahead: boolean }) {
    const steps = props.ahead ? Infinity : freshSteps;
    return (
        <ul class="legend">
            {props.lines.map((line, n) => {
                const value =
                    props.at === null ? newest(line.values, steps) : (line.values[props.at] ?? null);
                return (
                    <li key={line.label}>
                        <Swatch color={line.color ?? seriesColor(n)} dash={line.dash ?? false} />
                        <span class="legend-label">{line.label}</span>
                        <span class="legend-value">{formatValue(value, props.unit)}</span>
                    </li>
                );
            })}
        </ul>
    );
}

export function Swatch(props: { color: string; dash?: boolean }) {
    return (
        <svg class="swatch" width="12" height="12" aria-hidden="true">
            <line
                x1="0"
                y1="6"
                x2="12"
                y2="6"
                stroke={props.color}
                stroke-width="3"
                {...(props.dash ? { "stroke-dasharray": "4 2" } : {})}
            />
        </svg>
    );
}
