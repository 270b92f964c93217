/* SPDX-License-Identifier: Apache-2.0
 *
 * promql: enough of the language to colour an expression, to know what may stand at the cursor, and
 * to rank the words that could. The server alone decides what is right.
 */
import { aggregations, functions, keywords } from "./functions";

export type TokenKind =
    | "metric"
    | "function"
    | "keyword"
    | "label"
    | "string"
    | "number"
    | "operator"
    | "bracket"
    | "comment"
    | "space"
    | "other";

export interface Token {
    kind: TokenKind;
    text: string;
    start: number;
}

const keywordNames = new Set(keywords.map(({ name }) => name).concat("start", "end", "inf", "nan"));
const functionNames = new Set([...functions, ...aggregations].map(({ name }) => name));

const pattern =
    /(\s+)|(#[^\n]*)|("(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|`[^`]*`?)|((?:\d+(?:ms|[smhdwy]))+|0x[0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([a-zA-Z_:][\w:]*)|(=~|!~|==|!=|>=|<=|[-+*/%^=<>@,])|([(){}[\]])|(.)/gsu;

/** Words that introduce a list of labels in parentheses. */
const labelLists = new Set(["by", "without", "on", "ignoring", "group_left", "group_right"]);

export function tokenize(text: string): Token[] {
    const tokens: Token[] = [];
    let braces = 0;
    let listDepth = 0; /* inside by ( ... ) */
    let expectList = false;
    for (const match of text.matchAll(pattern)) {
        const [whole, space, comment, string, number, word, operator, bracket] = match;
        let kind: TokenKind = "other";
        if (space) kind = "space";
        else if (comment) kind = "comment";
        else if (string) kind = "string";
        else if (number) kind = "number";
        else if (operator) kind = "operator";
        else if (bracket) {
            kind = "bracket";
            if (bracket === "{") braces++;
            if (bracket === "}") braces = Math.max(0, braces - 1);
            if (bracket === "(" && (expectList || listDepth > 0)) listDepth++;
            if (bracket === ")" && listDepth > 0) listDepth--;
        } else if (word) {
            const lower = word.toLowerCase();
            if (braces > 0 || listDepth > 0) kind = "label";
            else if (keywordNames.has(lower)) kind = "keyword";
            else if (functionNames.has(lower)) kind = "function";
            else kind = /^\s*\(/.test(text.slice(match.index + word.length)) ? "function" : "metric";
        }
        if (kind !== "space" && kind !== "comment")
            expectList = word !== undefined && labelLists.has(word.toLowerCase());
        tokens.push({ kind, text: whole, start: match.index });
    }
    return tokens;
}

export type Place =
    | { kind: "word" } /* metric, function, keyword */
    | { kind: "label"; metric: string }
    | { kind: "value"; metric: string; label: string }
    | { kind: "none" };

export interface Context {
    place: Place;
    from: number; /* what would be replaced: [from, cursor) */
    prefix: string;
}

/** What may stand at the cursor. */
export function contextAt(text: string, cursor: number): Context {
    const before = tokenize(text.slice(0, cursor));
    const last = before[before.length - 1];
    const openBrace = lastOpen(before, "{", "}");
    const none: Context = { place: { kind: "none" }, from: cursor, prefix: "" };
    if (last?.kind === "comment") return none;

    if (last?.kind === "string" && !isClosed(last.text)) {
        const [operator, label] = significant(before.slice(0, -1)).reverse();
        if (openBrace < 0 || !operator || !/^(=|!=|=~|!~)$/.test(operator.text) || !label) return none;
        const metric = metricBefore(before, openBrace, text);
        return {
            place: { kind: "value", metric, label: label.text },
            from: last.start + 1,
            prefix: last.text.slice(1),
        };
    }
    const word = last && /^[a-zA-Z_:]/.test(last.text) ? last.text : "";
    const from = cursor - word.length;
    if (openBrace >= 0) {
        const previous = significant(word ? before.slice(0, -1) : before).pop();
        if (previous?.text !== "{" && previous?.text !== ",") return none;
        return { place: { kind: "label", metric: metricBefore(before, openBrace, text) }, from, prefix: word };
    }
    if (word === "" && last && last.kind !== "bracket" && last.kind !== "operator" && last.kind !== "space")
        return none;
    if (lastOpen(before, "[", "]") >= 0) return none;
    const openParen = lastOpen(before, "(", ")");
    const opener = openParen >= 0 ? significant(before.slice(0, openParen)).pop() : undefined;
    if (opener && labelLists.has(opener.text.toLowerCase()))
        return { place: { kind: "label", metric: anyMetric(text) }, from, prefix: word };
    return { place: { kind: "word" }, from, prefix: word };
}

function significant(tokens: Token[]): Token[] {
    return tokens.filter(({ kind }) => kind !== "space" && kind !== "comment");
}

function isClosed(string: string): boolean {
    return string.length > 1 && string.endsWith(string[0]!) && !/[^\\]\\.$/.test(string.slice(-3));
}

/** Index of the innermost bracket still open, or -1. */
function lastOpen(tokens: Token[], open: string, close: string): number {
    let depth = 0;
    for (let at = tokens.length - 1; at >= 0; at--) {
        if (tokens[at]!.text === close) depth++;
        if (tokens[at]!.text === open && depth-- === 0) return at;
    }
    return -1;
}

function metricBefore(tokens: Token[], brace: number, text: string): string {
    const previous = significant(tokens.slice(0, brace)).pop();
    return previous?.kind === "metric" ? previous.text : brace < 0 ? anyMetric(text) : "";
}

function anyMetric(text: string): string {
    return tokenize(text).find(({ kind }) => kind === "metric")?.text ?? "";
}

/** How well a word fits what was typed: higher is better, 0 not at all. */
export function rank(word: string, typed: string): number {
    if (typed === "") return 1;
    const lower = word.toLowerCase();
    const wanted = typed.toLowerCase();
    if (lower === wanted) return 1000;
    if (lower.startsWith(wanted)) return 800 - Math.min(200, word.length);
    const inside = lower.indexOf(wanted);
    if (inside > 0) {
        const boundary = /[_:.\-/]/.test(lower[inside - 1]!);
        return (boundary ? 500 : 300) - Math.min(200, word.length);
    }
    let at = 0;
    for (const letter of lower) if (letter === wanted[at]) at++;
    return at === wanted.length && wanted.length > 2 ? 50 - Math.min(40, word.length / 4) : 0;
}

/** The best words, best first, at most limit; fast enough for 150 000 names. */
export function best<T>(words: T[], nameOf: (word: T) => string, typed: string, limit: number): T[] {
    const found: { word: T; score: number }[] = [];
    for (const word of words) {
        const score = rank(nameOf(word), typed);
        if (score > 0) found.push({ word, score });
    }
    found.sort((a, b) => b.score - a.score);
    return found.slice(0, limit).map(({ word }) => word);
}

/** The place that an error message names, as an index into the text: "1:7: parse error: ...". */
export function errorOffset(message: string, text: string): number | undefined {
    const match = /(?:^|\s)(\d+):(\d+):/.exec(message);
    if (!match) return undefined;
    const line = Number(match[1]);
    const column = Number(match[2]);
    const lines = text.split("\n");
    if (line < 1 || line > lines.length || column < 1) return undefined;
    let offset = 0;
    for (let at = 0; at + 1 < line; at++) offset += lines[at]!.length + 1;
    return Math.min(text.length, offset + column - 1);
}
