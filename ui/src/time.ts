/* SPDX-License-Identifier: Apache-2.0
 *
 * time: ranges, steps and how times are written. Seconds since 1970 throughout, clocks of 24 hours.
 */

/** What the person chose: the last so many seconds, or fixed ends. */
export type RangeChoice = { last: number } | { from: number; to: number };

/** A chosen range on a grid of steps: from and to are multiples of step, both included. */
export interface Span {
    from: number;
    to: number;
    step: number;
}

const units: [string, number][] = [
    ["y", 365 * 86400],
    ["w", 7 * 86400],
    ["d", 86400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
];

/** "1h30m" gives 5400; undefined when it is no duration. */
export function parseDuration(text: string): number | undefined {
    const trimmed = text.trim();
    if (!/^(\d+(ms|[ywdhms]))+$/.test(trimmed)) return undefined;
    let seconds = 0;
    for (const [, count, unit] of trimmed.matchAll(/(\d+)(ms|[ywdhms])/g)) {
        const size = unit === "ms" ? 0.001 : units.find(([name]) => name === unit)![1];
        seconds += Number(count) * size;
    }
    return seconds > 0 ? seconds : undefined;
}

/** 5400 gives "1h30m", as PromQL reads it. */
export function formatDuration(seconds: number): string {
    let rest = Math.round(seconds);
    if (rest <= 0) return "0s";
    let text = "";
    for (const [name, size] of units) {
        const count = Math.floor(rest / size);
        if (count === 0) continue;
        text += `${count}${name}`;
        rest -= count * size;
    }
    return text;
}

/** For people: the two largest units, "3d 4h", "12s". */
export function formatAge(seconds: number): string {
    const whole = Math.max(0, Math.round(seconds));
    if (whole < 1) return "0s";
    const parts: string[] = [];
    let rest = whole;
    for (const [name, size] of units) {
        const count = Math.floor(rest / size);
        rest -= count * size;
        if (count > 0) parts.push(`${count}${name}`);
        else if (parts.length > 0) break;
        if (parts.length === 2) break;
    }
    return parts.join(" ");
}

const niceSteps = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400,
];

/** The smallest nice step that needs at most pointsMax points for a range. */
export function chooseStep(seconds: number, pointsMax: number): number {
    const exact = seconds / Math.max(1, pointsMax);
    for (const step of niceSteps) if (step >= exact) return step;
    return Math.ceil(exact / 86400) * 86400;
}

/** Puts the choice on a grid. The grid stands still while time goes on, so charts slide, not flicker. */
export function resolveSpan(choice: RangeChoice, now: number, pointsMax: number): Span {
    const from = "last" in choice ? now - choice.last : choice.from;
    const to = "last" in choice ? now : choice.to;
    const step = chooseStep(to - from, pointsMax);
    const last = Math.floor(to / step) * step;
    const first = Math.min(last, Math.ceil(from / step) * step);
    return { from: first, to: last, step };
}

/** Writes a choice into address parameters, and reads it back. */
export function rangeToParameters(choice: RangeChoice): Record<string, string> {
    if ("last" in choice) return { range: formatDuration(choice.last) };
    return { from: String(choice.from), to: String(choice.to) };
}

export function rangeFromParameters(
    parameters: URLSearchParams,
    fallback: RangeChoice,
): RangeChoice {
    const last = parseDuration(parameters.get("range") ?? "");
    if (last !== undefined) return { last };
    const from = Number(parameters.get("from") ?? NaN);
    const to = Number(parameters.get("to") ?? NaN);
    return Number.isFinite(from) && Number.isFinite(to) && to > from ? { from, to } : fallback;
}

const two = (value: number) => String(value).padStart(2, "0");

/** Local "2026-03-09 14:05:07". */
export function formatDateTime(seconds: number): string {
    const date = new Date(seconds * 1000);
    return `${formatDay(date)} ${formatClock(date, true)}`;
}

export function formatDay(date: Date): string {
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

export function formatClock(date: Date, withSeconds: boolean): string {
    const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
    return withSeconds ? `${minutes}:${two(date.getSeconds())}` : minutes;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Axis marks: the clock, and the day where it changes. */
export function formatTicks(seconds: number[], increment: number): string[] {
    let day = "";
    return seconds.map((second) => {
        const date = new Date(second * 1000);
        const today = `${date.getDate()} ${months[date.getMonth()]}`;
        if (increment >= 86400) return today;
        const midnight = date.getHours() === 0 && date.getMinutes() === 0;
        const text = midnight && today !== day ? today : formatClock(date, increment < 60);
        day = today;
        return text;
    });
}

/** What the time field of a chart shows at the cursor. */
export function formatMoment(seconds: number, span: number): string {
    const date = new Date(seconds * 1000);
    const clock = formatClock(date, span <= 6 * 3600);
    return span > 20 * 3600 ? `${date.getDate()} ${months[date.getMonth()]} ${clock}` : clock;
}

/** A datetime-local field's value and back. */
export function toLocalField(seconds: number): string {
    return formatDateTime(seconds).replace(" ", "T");
}

export function fromLocalField(text: string): number | undefined {
    const milliseconds = new Date(text).getTime();
    return Number.isFinite(milliseconds) ? milliseconds / 1000 : undefined;
}
