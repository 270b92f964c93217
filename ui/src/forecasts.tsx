/* SPDX-License-Identifier: Apache-2.0
 *
 * forecasts: the models that the server keeps, how good each was, and the expressions that are pinned so that
 * theirs are fresh.
 */
import { useState } from "preact/hooks";
import { call, change, formatSeries, type ApiError, type Labels } from "./api";
import { usePoll } from "./live";
import { Empty, ExpressionLink, Failure, PageTitle, SeriesName, ShowMore, Since, useGrowing } from "./parts";
import { formatDuration } from "./time";
import { formatValue } from "./units";

interface Pin {
    expression: string;
    source: "configuration" | "api";
    evaluatedAt: number;
    seconds: number;
    series: number;
    error: string;
}

export interface ForecastError {
    horizon: number;
    mase: number;
    pinball: number;
    coverage: number;
}

export interface Model {
    expression: string;
    function: string;
    labels: Labels;
    horizon: number;
    step: number;
    learnedAt: number;
    knowsUntil: number;
    usedAt: number;
    bytes: number;
    errors: ForecastError[];
}

interface State {
    pins: Pin[];
    models: { models: number; expressions: number; bytes: number; items: Model[] };
}

const modelsMax = 1000;
const pollSeconds = 10;

async function fetchState(signal: AbortSignal): Promise<State> {
    const [pins, models] = await Promise.all([
        call<Pin[]>("forecast/pins", {}, signal),
        call<State["models"]>("forecast/models", { limit: modelsMax }, signal),
    ]);
    return { pins: pins.data, models: models.data };
}

/** The worst first: those at their whole horizon, by how they compare with "nothing changes". */
export function sortModels(models: Model[]): Model[] {
    const badness = ({ errors }: Model) => errors[errors.length - 1]?.mase ?? -1;
    return [...models].sort(
        (a, b) => badness(b) - badness(a) || formatSeries(a.labels).localeCompare(formatSeries(b.labels), "en", { numeric: true }),
    );
}

export function ForecastsPage() {
    const { value: state, error, again } = usePoll(fetchState, pollSeconds);
    return (
        <>
            <PageTitle title="Forecasts" />
            {error && <Failure error={error} what={state ? "What you see may be old." : "The forecasts cannot be listed."} again={again} />}
            {!state && !error && <div class="waiting tall" aria-busy="true" />}
            {state && (
                <div data-forecasts="ready">
                    <dl class="facts">
                        <Fact title="Models kept" value={formatValue(state.models.models)} />
                        <Fact title="Of expressions" value={formatValue(state.models.expressions)} />
                        <Fact title="Their memory" value={formatValue(state.models.bytes, "bytes")} />
                    </dl>
                    <Pins pins={state.pins} again={again} />
                    <Models models={state.models.items} total={state.models.models} />
                </div>
            )}
        </>
    );
}

function Fact(props: { title: string; value: string }) {
    return (
        <div class="fact">
            <dt>{props.title}</dt>
            <dd>
                <strong>{props.value}</strong>
            </dd>
        </div>
    );
}

function Pins(props: { pins: Pin[]; again: () => void }) {
    const [text, setText] = useState("");
    const [error, setError] = useState<ApiError | undefined>();
    const now = Date.now() / 1000;
    const act = async (method: "POST" | "DELETE", expression: string) => {
        try {
            await change(method, "forecast/pins", { expression });
            setError(undefined);
            if (method === "POST") setText("");
            props.again();
        } catch (reason) {
            setError(reason as ApiError);
        }
    };
    return (
        <section class="card">
            <header>
                <h2>Pinned expressions</h2>
                <span class="card-hint">evaluated each minute, so that graphs and KEDA find their models fresh</span>
            </header>
            <form
                class="pin-form"
                onSubmit={(event) => {
                    event.preventDefault();
                    if (text.trim() !== "") void act("POST", text.trim());
                }}
            >
                <input
                    type="text"
                    aria-label="Expression to pin"
                    placeholder="forecast(node_filesystem_avail_bytes[7d], 4h)"
                    spellcheck={false}
                    value={text}
                    onInput={(event) => setText(event.currentTarget.value)}
                />
                <button type="submit" class="primary">
                    Pin
                </button>
            </form>
            {error && <Failure error={error} what="The server refused." />}
            {props.pins.length > 0 && (
                <div class="table-box plain">
                    <table class="series-table">
                        <thead>
                            <tr>
                                <th scope="col">Expression</th>
                                <th scope="col" class="number">Series</th>
                                <th scope="col" class="number">CPU</th>
                                <th scope="col" class="number">Evaluated</th>
                                <th scope="col">From</th>
                            </tr>
                        </thead>
                        <tbody>
                            {props.pins.map((pin) => (
                                <tr key={pin.expression}>
                                    <td>
                                        <ExpressionLink expression={pin.expression} />
                                        {pin.error && <p class="warning">{pin.error}</p>}
                                    </td>
                                    <td class="number">{pin.series}</td>
                                    <td class="number">{formatValue(pin.seconds, "seconds")}</td>
                                    <td class="number">
                                        <Since time={pin.evaluatedAt} now={now} />
                                    </td>
                                    <td>
                                        {pin.source === "configuration" ? (
                                            "configuration"
                                        ) : (
                                            <button type="button" onClick={() => void act("DELETE", pin.expression)}>
                                                Unpin
                                            </button>
                                        )}
                                    </td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
        </section>
    );
}

/** Next bucket and whole horizon, as far as there were outcomes yet. */
function errorAt(model: Model, whole: boolean): ForecastError | undefined {
    return whole ? model.errors[model.errors.length - 1] : model.errors.length > 1 ? model.errors[0] : undefined;
}

function ErrorCells(props: { error: ForecastError | undefined }) {
    if (!props.error)
        return (
            <>
                <td class="number faint">–</td>
                <td class="number faint">–</td>
            </>
        );
    const { mase, coverage, horizon } = props.error;
    return (
        <>
            <td class="number strong" title={`${formatDuration(horizon)} ahead`}>
                {mase.toFixed(2)}
            </td>
            <td class="number">{formatValue(coverage, "percent")}</td>
        </>
    );
}

function Models(props: { models: Model[]; total: number }) {
    const [limit, more] = useGrowing(50);
    const now = Date.now() / 1000;
    const models = sortModels(props.models);
    if (models.length === 0)
        return (
            <Empty title="No models are kept yet">
                <p>
                    Rules, scalers and pinned expressions with <code>forecast()</code>, <code>forecast_quantile()</code>{" "}
                    or <code>anomaly_score()</code> keep theirs.
                </p>
            </Empty>
        );
    return (
        <section class="card">
            <header>
                <h2>Models and how good they were</h2>
                <span class="card-hint">
                    miss: of the median, to that of "nothing changes"; below 1 is better. Band: outcomes within it, 90 %
                    at best
                </span>
            </header>
            <div class="table-box">
                <table class="series-table" data-models={models.length}>
                    <thead>
                        <tr>
                            <th scope="col">Series</th>
                            <th scope="col" class="number">Miss, next</th>
                            <th scope="col" class="number">Band</th>
                            <th scope="col" class="number">Miss, horizon</th>
                            <th scope="col" class="number">Band</th>
                            <th scope="col" class="number">Horizon</th>
                            <th scope="col" class="number">Learned</th>
                            <th scope="col" class="number">Size</th>
                        </tr>
                    </thead>
                    <tbody>
                        {models.slice(0, limit).map((model, n) => (
                            <tr key={n}>
                                <td>
                                    <SeriesName labels={model.labels} />
                                    <div class="faint">
                                        {model.function}: <code>{model.expression}</code>
                                    </div>
                                </td>
                                <ErrorCells error={errorAt(model, false)} />
                                <ErrorCells error={errorAt(model, true)} />
                                <td class="number">{model.horizon > 0 ? formatDuration(model.horizon) : "–"}</td>
                                <td class="number">
                                    <Since time={model.learnedAt} now={now} />
                                </td>
                                <td class="number">{formatValue(model.bytes, "bytes")}</td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
            <ShowMore shown={Math.min(limit, models.length)} total={models.length} more={more} />
            {props.total > props.models.length && (
                <p class="note">
                    {props.models.length} of {props.total} models are shown; all have their errors as the series{" "}
                    <code>tidewatch_forecast_error</code>.
                </p>
            )}
        </section>
    );
}
