/* SPDX-License-Identifier: Apache-2.0
 *
 * rangepicker: chooses the time range of the charts: the last so long, or fixed ends.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { following, isLive, range, refreshNow, setRange, span } from "./live";
import { formatClock, formatDateTime, formatDay, formatDuration, fromLocalField, parseDuration, toLocalField } from "./time";

const choices: [string, string][] = [
    ["5m", "5 minutes"],
    ["15m", "15 minutes"],
    ["1h", "1 hour"],
    ["3h", "3 hours"],
    ["6h", "6 hours"],
    ["12h", "12 hours"],
    ["1d", "1 day"],
    ["2d", "2 days"],
    ["1w", "1 week"],
    ["30d", "30 days"],
];

function writeRange(): string {
    const chosen = range.value;
    if ("last" in chosen) {
        const text = formatDuration(chosen.last);
        return `Last ${choices.find(([short]) => parseDuration(short) === chosen.last)?.[1] ?? text}`;
    }
    const first = new Date(chosen.from * 1000);
    const last = new Date(chosen.to * 1000);
    const sameDay = formatDay(first) === formatDay(last);
    const end = sameDay ? formatClock(last, true) : formatDateTime(chosen.to);
    return `${formatDateTime(chosen.from)} – ${end}`;
}

export function RangePicker() {
    const [open, setOpen] = useState(false);
    const root = useRef<HTMLDivElement>(null);

    useEffect(() => {
        if (!open) return undefined;
        root.current?.querySelector<HTMLElement>(".menu button")?.focus();
        const close = (event: Event) => {
            if (event instanceof KeyboardEvent && event.key !== "Escape") return;
            if (event.type === "pointerdown" && root.current?.contains(event.target as Node)) return;
            setOpen(false);
        };
        addEventListener("pointerdown", close);
        addEventListener("keydown", close);
        return () => {
            removeEventListener("pointerdown", close);
            removeEventListener("keydown", close);
        };
    }, [open]);

    const choose = (choice: Parameters<typeof setRange>[0]) => {
        setOpen(false);
        setRange(choice);
    };

    const fixed = !("last" in range.value);
    return (
        <div class="range-picker" ref={root}>
            {fixed ? (
                <button type="button" class="quiet" onClick={() => choose({ last: 300 })}>
                    Back to live
                </button>
            ) : (
                <button
                    type="button"
                    class="quiet live"
                    aria-pressed={isLive.value}
                    title={isLive.value ? "Hold the charts still" : "Follow the present"}
                    onClick={() => {
                        following.value = !following.value;
                        if (following.value) refreshNow();
                    }}
                >
                    <span class={isLive.value ? "dot dot-live" : "dot"} aria-hidden="true" />
                    {isLive.value ? "Live" : "Paused"}
                </button>
            )}
            <button
                type="button"
                class="range-button"
                aria-haspopup="true"
                aria-expanded={open}
                onClick={() => setOpen(!open)}
            >
                {writeRange()}
                <svg width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">
                    <path d="M1 3l4 4 4-4" />
                </svg>
            </button>
            {open && (
                <div class="menu">
                    <div class="menu-choices">
                        {choices.map(([short, text]) => (
                            <button
                                type="button"
                                key={short}
                                aria-pressed={
                                    "last" in range.value && range.value.last === parseDuration(short)
                                }
                                onClick={() => choose({ last: parseDuration(short)! })}
                            >
                                Last {text}
                            </button>
                        ))}
                    </div>
                    <FixedRange choose={choose} />
                </div>
            )}
        </div>
    );
}

function FixedRange(props: { choose: (choice: { from: number; to: number }) => void }) {
    const [from, setFrom] = useState(toLocalField(span.value.from));
    const [to, setTo] = useState(toLocalField(span.value.to));
    const first = fromLocalField(from);
    const last = fromLocalField(to);
    const good = first !== undefined && last !== undefined && last > first;
    return (
        <form
            class="menu-fixed"
            onSubmit={(event) => {
                event.preventDefault();
                if (good) props.choose({ from: first, to: last });
            }}
        >
            <label>
                From
                <input
                    type="datetime-local"
                    step="1"
                    value={from}
                    onInput={(event) => setFrom(event.currentTarget.value)}
                />
            </label>
            <label>
                To
                <input
                    type="datetime-local"
                    step="1"
                    value={to}
                    onInput={(event) => setTo(event.currentTarget.value)}
                />
            </label>
            <p class="hint">Drag across a chart to zoom in.</p>
            <button type="submit" class="primary" disabled={!good}>
                Show
            </button>
        </form>
    );
}
