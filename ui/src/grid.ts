/* SPDX-License-Identifier: Apache-2.0
 *
 * grid: series on the common steps of a span, as charts draw them, and their growth at the end while
 * time goes on. Pure functions; live.ts moves the data.
 */
import { formatSeries, parseValue, type Labels, type MatrixSeries } from "./api";
import type { Span } from "./time";

export interface GridSeries {
    key: string; /* formatSeries(labels): what makes it this series */
    labels: Labels;
    values: (number | null)[]; /* null: no sample at this step */
}

export interface Grid {
    span: Span;
    times: number[];
    series: GridSeries[]; /* in the order of their first appearance */
}

export function spanCount(span: Span): number {
    return Math.max(0, Math.round((span.to - span.from) / span.step) + 1);
}

function spanTimes(span: Span): number[] {
    return Array.from({ length: spanCount(span) }, (_, at) => span.from + at * span.step);
}

export function emptyGrid(span: Span): Grid {
    return { span, times: spanTimes(span), series: [] };
}

/** NaN is a gap in a chart, infinities too. */
function drawable(text: string): number | null {
    const value = parseValue(text);
    return Number.isFinite(value) ? value : null;
}


/** The part of span that still has to be asked for when grid is there: its new end, and overlap steps
 *  before, since late samples change the newest points. The whole span when the grid does not fit. */
export function missingTail(grid: Grid | undefined, span: Span, overlap: number): Span {
    if (!grid || grid.span.step !== span.step || span.from < grid.span.from) return span;
    const from = grid.span.to - overlap * span.step;
    return from > span.from && from <= span.to ? { ...span, from } : span;
}

/** The old grid moved to span; what is at or after `replaced` comes from the matrix. */
export function mergeTail(old: Grid, matrix: MatrixSeries[], span: Span, replaced: number): Grid {
    const count = spanCount(span);
    const shift = Math.round((span.from - old.span.from) / span.step);
    const kept = Math.max(0, Math.min(count, Math.round((replaced - span.from) / span.step)));
    const merged = new Map<string, GridSeries>();
    for (const series of old.series) {
        const values = new Array<number | null>(count).fill(null);
        let any = false;
        for (let at = 0; at < kept; at++) {
            const value = series.values[at + shift] ?? null;
            values[at] = value;
            any ||= value !== null;
        }
        if (any) merged.set(series.key, { ...series, values });
    }
    for (const { metric, values: samples } of matrix) {
        const key = formatSeries(metric);
        let series = merged.get(key);
        if (!series) {
            series = { key, labels: metric, values: new Array<number | null>(count).fill(null) };
            merged.set(key, series);
        }
        for (const [time, text] of samples) {
            const at = Math.round((time - span.from) / span.step);
            if (at >= kept && at < count) series.values[at] = drawable(text);
        }
    }
    return { span, times: spanTimes(span), series: [...merged.values()] };
}

/** Moves grids to the newest one's span: answers to several queries do not come at once. */
export function alignGrids(grids: (Grid | undefined)[]): (Grid | undefined)[] {
    let target: Span | undefined;
    for (const grid of grids) if (grid && (!target || grid.span.to > target.to)) target = grid.span;
    return grids.map((grid) => {
        if (!grid || !target || grid.span === target) return grid;
        if (grid.span.step !== target.step) return undefined;
        return mergeTail(grid, [], target, grid.span.to + target.step);
    });
}

export interface Summary {
    last: number | null;
    min: number | null;
    max: number | null;
    average: number | null;
}

export function summarise(values: (number | null)[]): Summary {
    let min = Infinity;
    let max = -Infinity;
    let sum = 0;
    let count = 0;
    let last: number | null = null;
    for (const value of values) {
        if (value === null) continue;
        if (value < min) min = value;
        if (value > max) max = value;
        sum += value;
        count++;
        last = value;
    }
    if (count === 0) return { last: null, min: null, max: null, average: null };
    return { last, min, max, average: sum / count };
}

/** The newest value that is not older than `steps` before the grid's end. */
export function newest(values: (number | null)[], steps: number): number | null {
    const first = Math.max(0, values.length - 1 - steps);
    for (let at = values.length - 1; at >= first; at--) {
        const value = values[at] ?? null;
        if (value !== null) return value;
    }
    return null;
}

/** Running sums from the first series to the last, for stacked areas. */
export function stack(rows: (number | null)[][]): (number | null)[][] {
    const sums: number[] = [];
    return rows.map((row) =>
        row.map((value, at) => {
            if (value === null) return null;
            sums[at] = (sums[at] ?? 0) + Math.max(0, value);
            return sums[at]!;
        }),
    );
}
