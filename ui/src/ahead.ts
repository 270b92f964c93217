/* SPDX-License-Identifier: Apache-2.0
 *
 * ahead: what lies ahead of a graph: the forecast of an expression's series, as a median and the band in
 * which nine of ten outcomes are expected. An expression that forecasts by itself is drawn as it is.
 */
import { formatSeries, queryRange, type Labels, type MatrixSeries } from "./api";
import type { Grid } from "./grid";
import { chooseStep, parseDuration, type RangeChoice, type Span } from "./time";

export type Horizon = "" | "1h" | "6h" | "1d" | "1w";

/** By horizon: what is learned from, and at which distance of values. */
const learning: Record<Exclude<Horizon, "">, string> = {
    "1h": "2d:1m",
    "6h": "7d:5m",
    "1d": "14d:10m",
    "1w": "28d:20m",
};

export const horizons: { value: Horizon; text: string }[] = [
    { value: "", text: "No forecast" },
    { value: "1h", text: "1 hour" },
    { value: "6h", text: "6 hours" },
    { value: "1d", text: "1 day" },
    { value: "1w", text: "1 week" },
];

export function horizonFrom(text: string | null): Horizon {
    return horizons.some(({ value }) => value === text) ? (text as Horizon) : "";
}

/** Each series is learned three times: more of them would be no graph, but a load. */
export const seriesMax = 12;

const pointsMax = 200;
/** A range that ended this long ago still ends in the present. */
const presentSeconds = 90;

export interface AheadSeries {
    low: (number | null)[];
    middle: (number | null)[];
    high: (number | null)[];
}

export interface Ahead {
    times: number[];
    isBand: boolean; /* else low and high are all null */
    series: Map<string, AheadSeries>; /* by aheadKey */
    warnings: string[];
}

/** Forecasts have no metric name; a series is known by its other labels. */
export function aheadKey(labels: Labels): string {
    const { __name__: _, ...others } = labels;
    return formatSeries(others);
}

export function forecastsItself(expression: string): boolean {
    const code = expression.replace(/"(\\.|[^"\\])*"|'(\\.|[^'\\])*'|`[^`]*`|#[^\n]*/g, '""');
    return /\bforecast(_quantile)?\s*\(/.test(code);
}

/** One query for the median alone, or three for the low end of the band, the median and the high end. */
export function aheadQueries(expression: string, horizon: Horizon): string[] {
    if (horizon === "") return [];
    if (forecastsItself(expression)) return [expression];
    /* The line break ends a comment. */
    return [0.05, 0.5, 0.95].map((q) => `forecast_quantile(${q}, (${expression}\n)[${learning[horizon]}], 0)`);
}

/** The future that is drawn; undefined when the range has ended before the present. */
export function aheadSpan(choice: RangeChoice, now: number, horizon: Horizon): Span | undefined {
    const seconds = parseDuration(horizon);
    if (seconds === undefined) return undefined;
    let to = now + seconds;
    if (!("last" in choice)) {
        if (choice.to < now - presentSeconds) return undefined;
        if (choice.to > now) to = choice.to;
    }
    const step = chooseStep(to - now, pointsMax);
    return { from: Math.ceil(now / step) * step, to: Math.ceil(to / step) * step, step };
}

function toRow(series: MatrixSeries | undefined, span: Span, count: number): (number | null)[] {
    const row = new Array<number | null>(count).fill(null);
    for (const [time, text] of series?.values ?? []) {
        const value = Number(text);
        const at = Math.round((time - span.from) / span.step);
        if (at >= 0 && at < count && Number.isFinite(value)) row[at] = value;
    }
    return row;
}

/** What the queries answered over the span. */
export function joinAhead(answers: MatrixSeries[][], span: Span, warnings: string[]): Ahead {
    const count = Math.round((span.to - span.from) / span.step) + 1;
    const isBand = answers.length === 3;
    const find = (rows: MatrixSeries[] | undefined, key: string) =>
        rows?.find(({ metric }) => aheadKey(metric) === key);
    const series = new Map<string, AheadSeries>();
    for (const { metric } of answers[isBand ? 1 : 0] ?? []) {
        const key = aheadKey(metric);
        const row = (n: number) => toRow(find(answers[n], key), span, count);
        const nothing = new Array<number | null>(count).fill(null);
        series.set(key, { low: isBand ? row(0) : nothing, middle: row(isBand ? 1 : 0), high: isBand ? row(2) : nothing });
    }
    const times = Array.from({ length: count }, (_, at) => span.from + at * span.step);
    return { times, isBand, series, warnings: [...new Set(warnings)] };
}

export async function fetchAhead(
    expression: string,
    horizon: Horizon,
    choice: RangeChoice,
    signal: AbortSignal,
): Promise<Ahead | undefined> {
    const span = aheadSpan(choice, Date.now() / 1000, horizon);
    if (!span) return undefined;
    const answers = await Promise.all(
        aheadQueries(expression, horizon).map((query) => queryRange(query, span, signal)),
    );
    return joinAhead(answers.map(({ data }) => data), span, answers.flatMap(({ warnings }) => warnings));
}

/** Past and future on one axis: so many steps of the grid, then what is ahead but for its first `skipped` steps,
 *  which have become the past since. Steps of the grid that lie in the future hold nothing. */
export function joinTimes(
    grid: Grid,
    ahead: Ahead,
): { span: Span; times: number[]; past: number; skipped: number } {
    let past = grid.times.length;
    while (
        past > 0 &&
        grid.times[past - 1]! >= ahead.times[0]! &&
        grid.series.every(({ values }) => values[past - 1] === null)
    )
        past--;
    const last = past > 0 ? grid.times[past - 1]! : -Infinity;
    const skipped = ahead.times.filter((time) => time <= last).length;
    const times = [...grid.times.slice(0, past), ...ahead.times.slice(skipped)];
    return { span: { ...grid.span, to: Math.max(grid.span.to, times[times.length - 1]!) }, times, past, skipped };
}
