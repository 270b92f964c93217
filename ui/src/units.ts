/* SPDX-License-Identifier: Apache-2.0
 *
 * units: numbers as people read them: three significant digits, a prefix, a unit.
 */
export type Unit =
    | "none"
    | "percent" /* of 1: 0.25 is 25 % */
    | "bytes"
    | "bytes/s"
    | "seconds"
    | "per second";

const decimal: [number, string][] = [
    [1e15, "P"],
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
];
const binary: [number, string][] = [
    [2 ** 50, "Pi"],
    [2 ** 40, "Ti"],
    [2 ** 30, "Gi"],
    [2 ** 20, "Mi"],
    [2 ** 10, "Ki"],
];

/** Three significant digits without trailing zeros behind the point; 1234 stays 1234. */
export function formatPlain(value: number): string {
    const size = Math.abs(value);
    if (value === 0) return "0";
    if (size < 1e-5 || size >= 1e6) return trimExponent(value.toExponential(2));
    const digits = 2 - Math.floor(Math.log10(size));
    return trimZeros(value.toFixed(Math.max(0, digits)));
}

function trimZeros(text: string): string {
    return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function trimExponent(text: string): string {
    return text.replace(/\.?0+e/, "e").replace("e+", "e");
}

function withPrefix(value: number, table: [number, string][], unit: string): string {
    const size = Math.abs(value);
    for (const [scale, prefix] of table) {
        /* 999.6 k rounds to 1 M */
        if (size >= scale * 0.9995) return `${formatPlain(value / scale)} ${prefix}${unit}`;
    }
    return unit ? `${formatPlain(value)} ${unit}` : formatPlain(value);
}

function formatSeconds(value: number): string {
    const size = Math.abs(value);
    if (value === 0) return "0 s";
    if (size < 0.9995e-6) return `${formatPlain(value * 1e9)} ns`;
    if (size < 0.9995e-3) return `${formatPlain(value * 1e6)} µs`;
    if (size < 0.9995) return `${formatPlain(value * 1e3)} ms`;
    if (size < 120) return `${formatPlain(value)} s`;
    if (size < 2 * 3600) return `${formatPlain(value / 60)} min`;
    if (size < 2 * 86400) return `${formatPlain(value / 3600)} h`;
    return `${formatPlain(value / 86400)} d`;
}

export function formatValue(value: number | null | undefined, unit: Unit = "none"): string {
    if (value === null || value === undefined) return "–";
    if (Number.isNaN(value)) return "NaN";
    if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "−Inf";
    const text = formatFinite(value, unit);
    return text.startsWith("-") ? `−${text.slice(1)}` : text;
}

function formatFinite(value: number, unit: Unit): string {
    switch (unit) {
        case "percent": {
            const percent = value * 100;
            const size = Math.abs(percent);
            if (size !== 0 && size < 0.01) return "0 %";
            return `${trimZeros(percent.toFixed(size >= 10 ? 1 : 2))} %`;
        }
        case "bytes":
            return withPrefix(value, binary, "B");
        case "bytes/s":
            return withPrefix(value, binary, "B/s");
        case "seconds":
            return formatSeconds(value);
        case "per second":
            return withPrefix(value, decimal, "/s");
        case "none":
            return Math.abs(value) >= 1e4 && Math.abs(value) < 1e18
                ? withPrefix(value, decimal, "")
                : formatPlain(value);
    }
}

/** What a metric's name says about its unit (the naming rules of Prometheus); "none" if nothing. */
export function guessUnit(expression: string): Unit {
    const text = expression.replace(/"(\\.|[^"\\])*"/g, '""');
    if (/[*/]/.test(text.replace(/\{[^}]*\}/g, ""))) return "none";
    const rated = /\b(i?rate|deriv)\s*\(/.test(text);
    if (/histogram_quantile/.test(text)) return /seconds/.test(text) ? "seconds" : "none";
    if (/\bcount(_over_time)?\s*\(|_count\b/.test(text)) return rated ? "per second" : "none";
    if (/_bytes(_total)?\b/.test(text)) return rated ? "bytes/s" : "bytes";
    if (/_ratio\b/.test(text)) return "percent";
    if (/time_seconds\b/.test(text)) return "none"; /* a moment, not a duration */
    if (/_seconds(_total|_sum)?\b/.test(text)) return rated ? "none" : "seconds";
    return rated ? "per second" : "none";
}
