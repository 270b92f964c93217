/* SPDX-License-Identifier: Apache-2.0
 *
 * graph: the chart of an expression with a table of its series as the legend.
 */
import { useMemo, useState } from "preact/hooks";
import { Chart, Swatch, type ChartData } from "./chart";
import { summarise, type Grid } from "./grid";
import { SeriesName, ShowMore, useGrowing } from "./parts";
import { seriesColor } from "./theme";
import { formatValue, type Unit } from "./units";

/** More lines than this cannot be told apart, and would make drawing slow. */
const linesMax = 1000;

export function Graph(props: { grid: Grid; unit: Unit }) {
    const { grid, unit } = props;
    const [chosen, setChosen] = useState<string | undefined>();
    const [pointed, setPointed] = useState<string | undefined>();
    const [cursor, setCursor] = useState<number | null>(null);
    const [limit, more] = useGrowing(20);
    const series = grid.series.slice(0, linesMax);
    const data = useMemo<ChartData>(
        () => ({
            span: grid.span,
            times: grid.times,
            lines: series.map(({ key, values }) => ({ label: key, values })),
        }),
        [grid],
    );
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
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
            <ShowMore shown={Math.min(limit, rows.length)} total={rows.length} more={more} />
        </>
    );
}
