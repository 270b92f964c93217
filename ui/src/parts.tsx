/* SPDX-License-Identifier: Apache-2.0
 *
 * parts: the small pieces that all pages are made of.
 */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ApiError, Labels } from "./api";
import { formatAge, formatDateTime } from "./time";

export function PageTitle(props: { title: string; children?: ComponentChildren }) {
    useEffect(() => {
        document.title = `${props.title} · Tidewatch`;
    }, [props.title]);
    return (
        <div class="page-title">
            <h1>{props.title}</h1>
            {props.children}
        </div>
    );
}

export function Empty(props: { title: string; children?: ComponentChildren }) {
    return (
        <div class="empty">
            <svg viewBox="0 0 64 32" width="64" height="32" aria-hidden="true">
                <path d="M2 12c7.5 0 7.5-6 15-6s7.5 6 15 6 7.5-6 15-6 7.5 6 15 6M2 26c7.5 0 7.5-6 15-6s7.5 6 15 6 7.5-6 15-6 7.5 6 15 6" />
            </svg>
            <h2>{props.title}</h2>
            {props.children}
        </div>
    );
}

export function Failure(props: { error: ApiError; what: string; again?: () => void }) {
    return (
        <div class="failure" role="alert">
            <strong>{props.what}</strong>
            <span>{props.error.message}</span>
            {props.again && (
                <button type="button" onClick={props.again}>
                    Try again
                </button>
            )}
        </div>
    );
}

export function Command(props: { children: string }) {
    const [copied, setCopied] = useState(false);
    const copy = async () => {
        try {
            await navigator.clipboard.writeText(props.children);
            setCopied(true);
            setTimeout(() => setCopied(false), 1500);
        } catch {
            /* without a secure origin the text can still be selected */
        }
    };
    return (
        <div class="command">
            <code>{props.children}</code>
            {window.isSecureContext && (
                <button type="button" onClick={copy}>
                    {copied ? "Copied" : "Copy"}
                </button>
            )}
        </div>
    );
}

export function LabelList(props: { labels: Labels; without?: string[] }) {
    const names = Object.keys(props.labels)
        .filter((name) => !props.without?.includes(name))
        .sort();
    return (
        <span class="labels">
            {names.map((name) => (
                <span class="label" key={name}>
                    <span class="label-name">{name}</span>
                    {props.labels[name]}
                </span>
            ))}
        </span>
    );
}

/** A series name with its parts told apart by colour. */
export function SeriesName(props: { labels: Labels }) {
    const names = Object.keys(props.labels)
        .filter((name) => name !== "__name__")
        .sort();
    const metric = props.labels["__name__"] ?? "";
    if (metric === "" && names.length === 0) return <span class="series-name">{"{}"}</span>;
    return (
        <span class="series-name">
            {metric}
            {names.length > 0 && "{"}
            {names.map((name, n) => (
                <span key={name}>
                    {n > 0 && ", "}
                    <span class="t-label">{name}</span>=
                    <span class="t-string">"{props.labels[name]}"</span>
                </span>
            ))}
            {names.length > 0 && "}"}
        </span>
    );
}

/** "3m 12s ago" with the exact time as its title. */
export function Since(props: { time: string | number; now: number }) {
    const seconds =
        typeof props.time === "number" ? props.time : new Date(props.time).getTime() / 1000;
    if (!Number.isFinite(seconds) || seconds <= 0) return <span>–</span>;
    const written = formatDateTime(seconds);
    return (
        <time dateTime={new Date(seconds * 1000).toISOString()} title={written}>
            {formatAge(props.now - seconds)}
        </time>
    );
}

export function queryLink(expression: string): string {
    return `/query?expr=${encodeURIComponent(expression)}`;
}

export function ExpressionLink(props: { expression: string }) {
    return (
        <a class="expression" href={queryLink(props.expression)} title="Open in the query page">
            {props.expression}
        </a>
    );
}

/** Chips of which one is chosen. */
export function Choice<T extends string>(props: {
    label: string;
    options: { value: T; text: string; count?: number }[];
    value: T;
    onChange: (value: T) => void;
}) {
    return (
        <div class="choice" role="group" aria-label={props.label}>
            {props.options.map(({ value, text, count }) => (
                <button
                    type="button"
                    key={value}
                    aria-pressed={props.value === value}
                    onClick={() => props.onChange(value)}
                >
                    {text}
                    {count !== undefined && <span class="count">{count}</span>}
                </button>
            ))}
        </div>
    );
}

/** Long lists grow on demand: a thousand rows at once would make the page stutter. */
export function useGrowing(step: number): [number, () => void] {
    const [limit, setLimit] = useState(step);
    return [limit, () => setLimit((before) => before + step * 5)];
}

export function ShowMore(props: { shown: number; total: number; more: () => void }) {
    if (props.shown >= props.total) return null;
    return (
        <button type="button" class="show-more" onClick={props.more}>
            Show more ({props.total - props.shown} hidden)
        </button>
    );
}

