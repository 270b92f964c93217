/* SPDX-License-Identifier: Apache-2.0
 *
 * graph: the chart of an expression with a table of its series as the legend.
 */
import { useMemo, useState } from "preact/hooks";
import { aheadKey, joinTimes, type Ahead } from "./ahead";
import { Chart, Swatch, type ChartData, type ChartLine } from "./chart";
import { summarise, type Grid, type GridSeries } from "./grid";
import { SeriesName, ShowMore, useGrowing } from "./parts";
import { dark, seriesColor } from "./theme";
import { formatValue, type Unit } from "./units";

/** More lines than this cannot be told apart, and would make drawing slow. */
const linesMax = 1000;

/** The past's lines first, so that a series and its line have the same number. */
export function graphData(grid: Grid, series: GridSeries[], ahead: Ahead | undefined): ChartData {
    if (!ahead)
        return { span: grid.span, times: grid.times, lines: series.map(({ key, values }) => ({ label: key, values })) };
    const { span, times, past, skipped } = joinTimes(grid, ahead);
    const before = new Array<null>(past).fill(null);
    const after = new Array<null>(times.length - past).fill(null);
    const row = (values: (number | null)[]) => [...before, ...values.slice(skipped)];
    const lines: ChartLine[] = series.map(({ key, values }) => ({
        label: key,
        values: [...values.slice(0, past), ...after],
    }));
    series.forEach(({ key, labels }, of) => {
        const own = ahead.series.get(aheadKey(labels));
        if (!own) return;
        const color = seriesColor(of);
        lines.push({ label: `${key}, expected`, values: row(own.middle), color, dash: true, of });
        if (!ahead.isBand) return;
        lines.push(
            { label: `${key}, 95 %`, values: row(own.high), color, width: 0.5, bandTo: lines.length + 1, of },
            { label: `${key}, 5 %`, values: row(own.low), color, width: 0.5, of },
        );
    });
    return { span, times, lines };
}

function lastOf(row: (number | null)[] | undefined): number | null {
    return row?.[row.length - 1] ?? null;
}

/** What is expected at the end of what is drawn, as text. */
function Expected(props: { ahead: Ahead; labels: GridSeries["labels"]; unit: Unit }) {
    const own = props.ahead.series.get(aheadKey(props.labels));
    const low = lastOf(own?.low);
    return (
        <td class="number">
            {formatValue(lastOf(own?.middle), props.unit)}
            {low !== null && (
                <span class="faint">
                    {" "}
                    {formatValue(low, props.unit)} … {formatValue(lastOf(own?.high), props.unit)}
                </span>
            )}
        </td>
    );
}

export function Graph(props: { grid: Grid; unit: Unit; ahead?: Ahead | undefined; horizon?: string }) {
    const { grid, unit, ahead } = props;
    const [chosen, setChosen] = useState<string | undefined>();
    const [pointed, setPointed] = useState<string | undefined>();
    const [cursor, setCursor] = useState<number | null>(null);
    const [limit, more] = useGrowing(20);
    const series = grid.series.slice(0, linesMax);
    const data = useMemo<ChartData>(() => graphData(grid, series, ahead), [grid, ahead, dark.value]);
    const rows = useMemo(
        () => series.map((one, n) => ({ ...one, color: n, summary: summarise(one.values) })),
        [grid],
    );
    const front = pointed ?? chosen;
    const emphasis = front === undefined ? -1 : series.findIndex(({ key }) => key === front);
    return (
        <>
            <Chart
                data={data}
                unit={unit}
                height={340}
                legend="none"
                label="Graph of the expression"
                emphasis={emphasis < 0 ? undefined : emphasis}
                ahead={ahead !== undefined}
                onCursor={setCursor}
            />
            {grid.series.length > linesMax && (
                <p class="note">
                    The first {linesMax} of {grid.series.length} series are drawn: aggregate or use topk.
                </p>
            )}
            <div class="table-box">
                <table class="series-table">
                    <thead>
                        <tr>
                            <th scope="col">Series</th>
                            <th scope="col" class="number">
                                {cursor === null ? "Last" : "At cursor"}
                            </th>
                            <th scope="col" class="number">Min</th>
                            <th scope="col" class="number">Mean</th>
                            <th scope="col" class="number">Max</th>
                            {ahead && (
                                <th scope="col" class="number">
                                    In {props.horizon}
                                </th>
                            )}
                        </tr>
                    </thead>
                    <tbody>
                        {rows.slice(0, limit).map(({ key, labels, values, color, summary }) => (
                            <tr
                                key={key}
                                class={chosen === key ? "chosen" : ""}
                                onPointerEnter={() => setPointed(key)}
                                onPointerLeave={() => setPointed(undefined)}
                            >
                                <td>
                                    <button
                                        type="button"
                                        class="series-button"
                                        aria-pressed={chosen === key}
                                        title="Keep in front"
                                        onClick={() => setChosen(chosen === key ? undefined : key)}
                                    >
                                        <Swatch color={seriesColor(color)} />
                                        <SeriesName labels={labels} />
                                    </button>
                                </td>
                                <td class="number strong">
                                    {formatValue(
                                        cursor === null ? summary.last : (values[cursor] ?? null),
                                        unit,
                                    )}
                                </td>
                                <td class="number">{formatValue(summary.min, unit)}</td>
                                <td class="number">{formatValue(summary.average, unit)}</td>
                                <td class="number">{formatValue(summary.max, unit)}</td>
                                {ahead && <Expected ahead={ahead} labels={labels} unit={unit} />}
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
            <ShowMore shown={Math.min(limit, rows.length)} total={rows.length} more={more} />
        </>
    );
}
