/* SPDX-License-Identifier: Apache-2.0
 *
 * editor: the field for an expression: a text area with its colours underneath and a list of words
 * that fit. No library, so that it is there with the first paint.
 */
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { call, isAbort } from "./api";
import { aggregations, functions, keywords, type Word } from "./functions";
import { best, contextAt, tokenize, type Context } from "./promql";

interface Suggestion extends Word {
    kind: "metric" | "function" | "keyword" | "label" | "value";
    insert: string;
}

const shown = 50;
const cacheSeconds = 60;

/* Names change rarely: each list is asked for once a minute at most. */
const cache = new Map<string, { at: number; value: Promise<unknown> }>();

function remembered<T>(path: string, match: string): Promise<T> {
    const key = `${path} ${match}`;
    const known = cache.get(key);
    if (known && Date.now() - known.at < cacheSeconds * 1000) return known.value as Promise<T>;
    const parameters: Record<string, string> = match ? { "match[]": match } : {};
    const value = call<T>(path, parameters).then(({ data }) => data);
    value.catch(() => cache.delete(key));
    cache.set(key, { at: Date.now(), value });
    return value;
}

type Metadata = Record<string, { type: string; help: string }[]>;

async function suggest(context: Context): Promise<Suggestion[]> {
    const { place, prefix } = context;
    if (place.kind === "label") {
        const names = await remembered<string[]>("labels", place.metric);
        return best(names.filter((name) => name !== "__name__"), (name) => name, prefix, shown).map(
            (name) => ({ kind: "label", name, insert: name, detail: "label", help: "" }),
        );
    }
    if (place.kind === "value") {
        const path = `label/${encodeURIComponent(place.label)}/values`;
        const values = await remembered<string[]>(path, place.metric);
        return best(values, (value) => value, prefix, shown).map((name) => ({
            kind: "value",
            name,
            insert: name.replace(/\\/g, "\\\\").replace(/"/g, '\\"'),
            detail: "",
            help: "",
        }));
    }
    if (place.kind === "none") return [];
    const [names, metadata] = await Promise.all([
        remembered<string[]>("label/__name__/values", ""),
        remembered<Metadata>("metadata", "").catch(() => ({}) as Metadata),
    ]);
    const words: Suggestion[] = [
        ...[...functions, ...aggregations].map(
            (word): Suggestion => ({ ...word, kind: "function", insert: `${word.name}(` }),
        ),
        ...keywords.map((word): Suggestion => ({ ...word, kind: "keyword", insert: `${word.name} ` })),
    ];
    const metrics = best(names, (name) => name, prefix, shown).map((name): Suggestion => {
        const about = metadata[name]?.[0];
        return { kind: "metric", name, insert: name, detail: about?.type ?? "", help: about?.help ?? "" };
    });
    return best([...words, ...metrics], ({ name }) => name, prefix, shown);
}

interface Props {
    value: string;
    onChange: (text: string) => void;
    onRun: () => void;
    errorAt?: number | undefined;
}

export function Editor(props: Props) {
    const field = useRef<HTMLTextAreaElement>(null);
    const [open, setOpen] = useState<{ context: Context; words: Suggestion[] } | undefined>();
    const [chosen, setChosen] = useState(0);
    const round = useRef(0);
    const list = useId();

    useEffect(() => {
        const area = field.current!;
        area.style.height = "auto";
        area.style.height = `${area.scrollHeight}px`;
    }, [props.value]);

    const close = () => {
        round.current++;
        setOpen(undefined);
    };

    const complete = async (forced: boolean) => {
        const area = field.current!;
        const context = contextAt(area.value, area.selectionStart);
        const mine = ++round.current;
        if (context.place.kind === "none" || (!forced && context.place.kind === "word" && context.prefix === "")) {
            setOpen(undefined);
            return;
        }
        try {
            const words = await suggest(context);
            if (round.current !== mine) return;
            const useless = words.length === 1 && words[0]!.name === context.prefix;
            setChosen(0);
            setOpen(words.length > 0 && !useless ? { context, words } : undefined);
        } catch (reason) {
            if (!isAbort(reason) && round.current === mine) setOpen(undefined);
        }
    };

    const accept = (word: Suggestion) => {
        const area = field.current!;
        const { from } = open!.context;
        const text = area.value.slice(0, from) + word.insert + area.value.slice(area.selectionStart);
        close();
        /* At once, so that the next key already finds the cursor in its place. */
        area.value = text;
        const cursor = from + word.insert.length;
        area.setSelectionRange(cursor, cursor);
        area.focus();
        props.onChange(text);
    };

    const onKeyDown = (event: KeyboardEvent) => {
        if (open) {
            const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
            if (step !== 0) {
                event.preventDefault();
                setChosen((chosen + step + open.words.length) % open.words.length);
                return;
            }
            if (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey)) {
                event.preventDefault();
                accept(open.words[chosen]!);
                return;
            }
            if (event.key === "Escape") {
                event.preventDefault();
                close();
                return;
            }
        }
        if (event.key === "Enter" && !event.shiftKey) {
            event.preventDefault();
            close();
            props.onRun();
        }
        if (event.key === " " && event.ctrlKey) {
            event.preventDefault();
            void complete(true);
        }
    };

    return (
        <div class="editor">
            <div class="editor-field">
                <Colours text={props.value} errorAt={props.errorAt} />
                <textarea
                    ref={field}
                    rows={1}
                    value={props.value}
                    spellcheck={false}
                    autocomplete="off"
                    autocapitalize="off"
                    aria-label="Expression"
                    aria-autocomplete="list"
                    aria-controls={open ? list : undefined}
                    aria-activedescendant={open ? `${list}-${chosen}` : undefined}
                    placeholder="Expression, for example rate(node_network_receive_bytes_total[1m])"
                    onInput={(event) => {
                        props.onChange(event.currentTarget.value);
                        void complete(false);
                    }}
                    onKeyDown={onKeyDown}
                    onBlur={() => setTimeout(close, 150)}
                />
            </div>
            {open && <Suggestions id={list} words={open.words} chosen={chosen} accept={accept} />}
        </div>
    );
}

function Suggestions(props: {
    id: string;
    words: Suggestion[];
    chosen: number;
    accept: (word: Suggestion) => void;
}) {
    const root = useRef<HTMLUListElement>(null);
    useEffect(() => {
        root.current?.children[props.chosen]?.scrollIntoView({ block: "nearest" });
    }, [props.chosen]);
    return (
        <ul class="suggestions" id={props.id} role="listbox" aria-label="Completions" ref={root}>
            {props.words.map((word, n) => (
                <li
                    key={`${word.kind} ${word.name}`}
                    id={`${props.id}-${n}`}
                    role="option"
                    aria-selected={n === props.chosen}
                    onPointerDown={(event) => {
                        event.preventDefault();
                        props.accept(word);
                    }}
                >
                    <span class={`t-${word.kind === "value" ? "string" : word.kind}`}>{word.name}</span>
                    <span class="suggestion-detail">{word.detail}</span>
                    <span class="suggestion-help">{word.help}</span>
                </li>
            ))}
        </ul>
    );
}

function Colours(props: { text: string; errorAt?: number | undefined }) {
    const at = props.errorAt;
    return (
        <pre class="editor-colours" aria-hidden="true">
            {tokenize(props.text).map((token) => {
                const hit = at !== undefined && at >= token.start && at < token.start + token.text.length;
                return (
                    <span key={token.start} class={`t-${token.kind}${hit ? " t-error" : ""}`}>
                        {token.text}
                    </span>
                );
            })}
            {at !== undefined && at >= props.text.length ? <span class="t-error"> </span> : "\n"}
        </pre>
    );
}
