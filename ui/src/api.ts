/* SPDX-License-Identifier: Apache-2.0
 *
 * api: the public HTTP API, typed. The pages know nothing else of the server.
 */

export type Labels = Record<string, string>;
/** Time in seconds and the value as text, as the API sends it. */
export type Sample = [number, string];

export interface MatrixSeries {
    metric: Labels;
    values: Sample[];
}
export interface VectorSample {
    metric: Labels;
    value: Sample;
}

export type QueryData =
    | { resultType: "matrix"; result: MatrixSeries[] }
    | { resultType: "vector"; result: VectorSample[] }
    | { resultType: "scalar"; result: Sample }
    | { resultType: "string"; result: Sample };

export interface Answer<T> {
    data: T;
    warnings: string[];
    infos: string[];
}

/** What the server refused, or why it could not be reached ("network"). */
export class ApiError extends Error {
    constructor(
        readonly type: string,
        message: string,
        readonly status: number,
    ) {
        super(message);
    }
}

type Parameters = Record<string, string | number | string[] | undefined>;

/** Longer requests go as a form body: proxies cut long addresses. */
const addressLengthMax = 2000;

function encode(parameters: Parameters): URLSearchParams {
    const encoded = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) {
        if (value === undefined) continue;
        if (Array.isArray(value)) for (const one of value) encoded.append(name, one);
        else encoded.append(name, String(value));
    }
    return encoded;
}

async function send(path: string, body: string, signal?: AbortSignal): Promise<Response> {
    const asForm = body.length > addressLengthMax;
    const options: RequestInit = { cache: "no-store" };
    if (signal) options.signal = signal;
    if (asForm) {
        options.method = "POST";
        options.headers = { "Content-Type": "application/x-www-form-urlencoded" };
        options.body = body;
    }
    try {
        return await fetch(asForm || body === "" ? path : `${path}?${body}`, options);
    } catch (reason) {
        if (isAbort(reason)) throw reason;
        throw new ApiError("network", "The server does not answer.", 0);
    }
}

/** True for the rejection of a request that the page itself gave up. */
export function isAbort(reason: unknown): boolean {
    return reason instanceof DOMException && reason.name === "AbortError";
}

export async function call<T>(
    path: string,
    parameters: Parameters = {},
    signal?: AbortSignal,
): Promise<Answer<T>> {
    const response = await send(`/api/v1/${path}`, encode(parameters).toString(), signal);
    let body;
    try {
        body = await response.json();
    } catch (reason) {
        if (isAbort(reason)) throw reason;
        throw new ApiError("http", `The server answered ${response.status}.`, response.status);
    }
    if (body?.status !== "success") {
        const message = body?.error || `The server answered ${response.status}.`;
        throw new ApiError(body?.errorType || "http", message, response.status);
    }
    return { data: body.data, warnings: body.warnings ?? [], infos: body.infos ?? [] };
}

/** Changes something. */
export async function change(method: "POST" | "DELETE", path: string, parameters: Parameters): Promise<void> {
    let response;
    try {
        response = await fetch(`/api/v1/${path}?${encode(parameters)}`, { method, cache: "no-store" });
    } catch {
        throw new ApiError("network", "The server does not answer.", 0);
    }
    if (response.ok) return;
    const body = await response.json().catch(() => undefined);
    throw new ApiError(body?.errorType || "http", body?.error || `The server answered ${response.status}.`, response.status);
}

export function queryInstant(query: string, time: number, signal?: AbortSignal) {
    return call<QueryData>("query", { query, time }, signal);
}

export async function queryRange(
    query: string,
    span: { from: number; to: number; step: number },
    signal?: AbortSignal,
): Promise<Answer<MatrixSeries[]>> {
    const answer = await call<{ result: MatrixSeries[] }>(
        "query_range",
        { query, start: span.from, end: span.to, step: span.step },
        signal,
    );
    return { ...answer, data: answer.data.result };
}

/** Values as the API writes them, Go's way. */
export function parseValue(text: string): number {
    if (text === "+Inf") return Infinity;
    if (text === "-Inf") return -Infinity;
    return Number(text);
}

/** A quoted PromQL string. */
export function quote(text: string): string {
    return `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`;
}

/** Escapes a label value for use inside =~. */
export function escapeRegex(text: string): string {
    return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** name{a="b"}, labels in order; the identity of a series and its writing. */
export function formatSeries(labels: Labels): string {
    const pairs = Object.keys(labels)
        .filter((name) => name !== "__name__")
        .sort()
        .map((name) => `${name}=${quote(labels[name]!)}`);
    const metric = labels["__name__"] ?? "";
    return pairs.length > 0 || metric === "" ? `${metric}{${pairs.join(", ")}}` : metric;
}

/* ---- rules and alerts ---- */

export interface ActiveAlert {
    labels: Labels;
    annotations: Labels;
    state: string;
    activeAt?: string;
    keepFiringSince?: string;
    value: string;
}
export interface Rule {
    type: "alerting" | "recording";
    name: string;
    query: string;
    state?: string;
    duration?: number;
    keepFiringFor?: number;
    labels?: Labels;
    annotations?: Labels;
    alerts?: ActiveAlert[];
    health: string;
    lastError?: string;
    evaluationTime?: number;
    lastEvaluation?: string;
}
export interface RuleGroup {
    name: string;
    file: string;
    interval: number;
    rules: Rule[];
    evaluationTime?: number;
    lastEvaluation?: string;
}

export async function fetchRules(signal?: AbortSignal): Promise<RuleGroup[]> {
    return (await call<{ groups: RuleGroup[] }>("rules", {}, signal)).data.groups;
}

