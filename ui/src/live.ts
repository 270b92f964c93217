/* SPDX-License-Identifier: Apache-2.0
 *
 * live: the time range of the pages and its progress.
 */
import { computed, effect, signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { isAbort, queryRange, type ApiError } from "./api";
import { Feed, idle, type FeedState } from "./feed";
import { parameters, setParameters } from "./router";
import { load, save } from "./store";
import { rangeFromParameters, rangeToParameters, resolveSpan, type RangeChoice } from "./time";

/** Points on a chart: about one for each two pixels of a card. */
const pointsMax = 300;

const remembered = signal<RangeChoice>(load<RangeChoice>("range", { last: 300 }));
const now = signal(Date.now() / 1000);
/** False while the person holds the charts still. */
export const following = signal(true);

export const range = computed(() => rangeFromParameters(parameters.value, remembered.value));
export const span = computed(() => resolveSpan(range.value, now.value, pointsMax));
export const isLive = computed(() => following.value && "last" in range.value);
const periodSeconds = computed(() => Math.min(60, Math.max(1, span.value.step / 2)));

/** Grows with each refresh; what is no range query refreshes by it too. */
export const beat = computed(() => Math.floor(now.value));

export function setRange(choice: RangeChoice): void {
    if ("last" in choice) {
        remembered.value = choice;
        save("range", choice);
    }
    refreshNow();
    following.value = true;
    const next = rangeToParameters(choice);
    setParameters({ range: next["range"], from: next["from"], to: next["to"] });
}

export function refreshNow(): void {
    now.value = Date.now() / 1000;
}

effect(() => {
    if (!isLive.value) return undefined;
    const advance = () => {
        if (!document.hidden) refreshNow();
    };
    const timer = setInterval(advance, periodSeconds.value * 1000);
    /* Coming back to a hidden page shows the present at once. */
    document.addEventListener("visibilitychange", advance);
    return () => {
        clearInterval(timer);
        document.removeEventListener("visibilitychange", advance);
    };
});

/** The results of range queries over the pages' span, one for each query; undefined asks nothing yet.
 *  The number of queries must not change. */
export function useRanges(queries: string[] | undefined): FeedState[] {
    const [states, setStates] = useState<FeedState[]>(() => queries?.map(() => idle) ?? []);
    const feeds = useRef<Feed[]>([]);
    const { from, to, step } = span.value;
    useEffect(() => {
        queries?.forEach((query, n) => {
            feeds.current[n] ??= new Feed(queryRange, (state) =>
                setStates((before) => {
                    const after = before.slice();
                    after[n] = state;
                    return after;
                }),
            );
            feeds.current[n].want(query, { from, to, step });
        });
    }, [queries?.join("\n"), from, to, step]);
    useEffect(() => () => feeds.current.forEach((feed) => feed.stop()), []);
    return states;
}

/** What a request answers, asked again every so many seconds while the page is seen. */
export function usePoll<T>(
    ask: (signal: AbortSignal) => Promise<T>,
    seconds: number,
    key = "",
): { value?: T; error?: ApiError; again: () => void } {
    const [state, setState] = useState<{ key: string; value?: T; error?: ApiError }>({ key });
    const [round, setRound] = useState(0);
    useEffect(() => {
        const abort = new AbortController();
        let timer = 0;
        const request = async () => {
            try {
                if (!document.hidden) setState({ key, value: await ask(abort.signal) });
            } catch (reason) {
                if (isAbort(reason) || abort.signal.aborted) return;
                const error = reason as ApiError;
                setState((before) =>
                    before.key === key && before.value !== undefined
                        ? { key, value: before.value, error }
                        : { key, error },
                );
            }
            if (!abort.signal.aborted) timer = window.setTimeout(request, seconds * 1000);
        };
        void request();
        return () => {
            abort.abort();
            clearTimeout(timer);
        };
    }, [key, seconds, round]);
    const again = () => setRound((before) => before + 1);
    return state.key === key ? { ...state, again } : { again };
}
