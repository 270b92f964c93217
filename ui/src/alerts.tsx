/* SPDX-License-Identifier: Apache-2.0
 *
 * alerts: what fires, what is about to, and the rules behind it.
 */
import { useState } from "preact/hooks";
import { fetchRules, formatSeries, parseValue, type ActiveAlert, type Rule, type RuleGroup } from "./api";
import { usePoll } from "./live";
import { Choice, Empty, ExpressionLink, Failure, LabelList, PageTitle, ShowMore, Since, useGrowing } from "./parts";
import { formatDuration } from "./time";
import { formatValue } from "./units";

type Shown = "active" | "rules" | "recording";

interface Occurrence {
    alert: ActiveAlert;
    rule: Rule;
    group: RuleGroup;
}

const stateOrder = ["firing", "unknown", "pending", "inactive"];

export function stateRank(state: string): number {
    const at = stateOrder.indexOf(state);
    return at < 0 ? stateOrder.length : at;
}

function occurrences(groups: RuleGroup[]): Occurrence[] {
    const found = groups.flatMap((group) =>
        group.rules.flatMap((rule) => (rule.alerts ?? []).map((alert) => ({ alert, rule, group }))),
    );
    const since = ({ alert }: Occurrence) => new Date(alert.activeAt ?? 0).getTime();
    return found.sort(
        (a, b) =>
            stateRank(a.alert.state) - stateRank(b.alert.state) ||
            since(b) - since(a) ||
            formatSeries(a.alert.labels).localeCompare(formatSeries(b.alert.labels), "en", { numeric: true }),
    );
}

export function AlertsPage() {
    const { value: groups, error, again } = usePoll(fetchRules, 5);
    const [shown, setShown] = useState<Shown>("active");
    const [filter, setFilter] = useState("");
    if (!groups)
        return (
            <>
                <PageTitle title="Alerts" />
                {error ? (
                    <Failure error={error} what="The rules cannot be listed." again={again} />
                ) : (
                    <div class="waiting tall" aria-busy="true" />
                )}
            </>
        );
    const active = occurrences(groups);
    const rules = groups.flatMap((group) => group.rules.map((rule) => ({ rule, group })));
    const alerting = rules.filter(({ rule }) => rule.type === "alerting");
    const recording = rules.filter(({ rule }) => rule.type === "recording");
    const wanted = filter.trim().toLowerCase();
    const has = (text: string) => text.toLowerCase().includes(wanted);
    const count = (state: string) => active.filter(({ alert }) => alert.state === state).length;
    return (
        <>
            <PageTitle title="Alerts">
                <span class="page-note">
                    {count("firing")} firing, {count("pending")} pending
                    {count("unknown") > 0 && `, ${count("unknown")} unknown`}
                </span>
                <input
                    type="search"
                    class="filter"
                    placeholder="Filter by name or label"
                    aria-label="Filter by name or label"
                    value={filter}
                    onInput={(event) => setFilter(event.currentTarget.value)}
                />
            </PageTitle>
            {error && <Failure error={error} what="What you see may be old." again={again} />}
            {rules.length === 0 ? (
                <NoRules />
            ) : (
                <>
                    <Choice
                        label="What to list"
                        options={[
                            { value: "active", text: "Active", count: active.length },
                            { value: "rules", text: "Alert rules", count: alerting.length },
                            { value: "recording", text: "Recording rules", count: recording.length },
                        ]}
                        value={shown}
                        onChange={setShown}
                    />
                    {shown === "active" && (
                        <ActiveList
                            list={active.filter(({ alert }) => has(JSON.stringify(alert.labels)))}
                            filtered={wanted !== ""}
                        />
                    )}
                    {shown !== "active" && (
                        <RuleList
                            list={(shown === "rules" ? alerting : recording).filter(({ rule, group }) =>
                                has(`${rule.name} ${group.name} ${JSON.stringify(rule.labels ?? {})}`),
                            )}
                        />
                    )}
                </>
            )}
        </>
    );
}

function NoRules() {
    return (
        <Empty title="No rules are loaded">
            <p>
                Name Prometheus rule files in the configuration; they are used as they are. SIGHUP loads
                them anew.
            </p>
            <pre class="sample">{'rule_files: ["rules/*.yml"]'}</pre>
        </Empty>
    );
}

function StateBadge(props: { state: string }) {
    return <span class={`badge badge-${props.state}`}>{props.state}</span>;
}

function ActiveList(props: { list: Occurrence[]; filtered: boolean }) {
    const [limit, more] = useGrowing(100);
    const now = Date.now() / 1000;
    if (props.list.length === 0)
        return (
            <Empty title={props.filtered ? "No active alert matches" : "All is well"}>
                {!props.filtered && <p>No alert is firing or pending.</p>}
            </Empty>
        );
    return (
        <>
            <ul class="alert-list">
                {props.list.slice(0, limit).map(({ alert, rule }) => {
                    const { summary, description, ...others } = alert.annotations;
                    return (
                        <li
                            key={JSON.stringify(alert.labels) + rule.query}
                            class={`alert alert-${alert.state}`}
                            data-alert={alert.labels["alertname"]}
                        >
                            <div class="alert-head">
                                <StateBadge state={alert.state} />
                                <strong>{alert.labels["alertname"]}</strong>
                                <LabelList labels={alert.labels} without={["alertname"]} />
                                <span class="alert-since">
                                    for <Since time={alert.activeAt ?? 0} now={now} />
                                </span>
                            </div>
                            {summary && <p class="alert-summary">{summary}</p>}
                            {description && <p class="alert-text">{description}</p>}
                            {Object.entries(others).map(([name, text]) => (
                                <p class="alert-text" key={name}>
                                    <span class="label-name">{name}</span> <Annotation text={text} />
                                </p>
                            ))}
                            <p class="alert-foot">
                                <span>value {formatValue(parseValue(alert.value))}</span>
                                <ExpressionLink expression={rule.query} />
                            </p>
                        </li>
                    );
                })}
            </ul>
            <ShowMore shown={Math.min(limit, props.list.length)} total={props.list.length} more={more} />
        </>
    );
}

/** Links to run books can be followed; nothing else of an annotation is more than text. */
function Annotation(props: { text: string }) {
    if (!/^https?:\/\/\S+$/.test(props.text)) return <>{props.text}</>;
    return (
        <a href={props.text} target="_blank" rel="noreferrer">
            {props.text}
        </a>
    );
}

function RuleList(props: { list: { rule: Rule; group: RuleGroup }[] }) {
    const [limit, more] = useGrowing(100);
    const now = Date.now() / 1000;
    if (props.list.length === 0) return <Empty title="No such rule" />;
    return (
        <>
            <div class="table-box">
                <table class="rule-table">
                    <thead>
                        <tr>
                            <th scope="col">Rule</th>
                            <th scope="col">Expression</th>
                            <th scope="col">Group</th>
                            <th scope="col">Evaluated</th>
                            <th scope="col" class="number">Took</th>
                        </tr>
                    </thead>
                    <tbody>
                        {props.list.slice(0, limit).map(({ rule, group }, n) => (
                            <tr key={n}>
                                <td>
                                    {rule.type === "alerting" && <StateBadge state={rule.state ?? "inactive"} />}{" "}
                                    <strong>{rule.name}</strong>
                                    {rule.lastError && <p class="warning">{rule.lastError}</p>}
                                </td>
                                <td>
                                    <ExpressionLink expression={rule.query} />
                                    {rule.duration ? (
                                        <span class="faint"> for {formatDuration(rule.duration)}</span>
                                    ) : null}
                                </td>
                                <td title={group.file}>{group.name}</td>
                                <td>
                                    {rule.lastEvaluation && !rule.lastEvaluation.startsWith("0001") ? (
                                        <>
                                            <Since time={rule.lastEvaluation} now={now} /> ago
                                        </>
                                    ) : (
                                        "not yet"
                                    )}
                                </td>
                                <td class="number">{formatValue(rule.evaluationTime, "seconds")}</td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
            <ShowMore shown={Math.min(limit, props.list.length)} total={props.list.length} more={more} />
        </>
    );
}
