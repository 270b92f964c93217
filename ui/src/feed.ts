/* SPDX-License-Identifier: Apache-2.0
 *
 * feed: one range query that follows a moving span. One request at a time: while one is under way the
 * newest wish waits; a wish for another query or another grid breaks it off.
 */
import { isAbort, type Answer, type ApiError, type MatrixSeries } from "./api";
import { mergeTail, missingTail, emptyGrid, type Grid } from "./grid";
import type { Span } from "./time";

export interface FeedState {
    grid?: Grid;
    error?: ApiError;
    loading: boolean; /* nothing known yet for this query */
    warnings: string[];
}

export type RangeFetch = (
    query: string,
    span: Span,
    signal: AbortSignal,
) => Promise<Answer<MatrixSeries[]>>;

/** The newest points may still change when samples come late: they are asked for again. */
const overlapSteps = 3;

export const idle: FeedState = { loading: true, warnings: [] };

export class Feed {
    private state: FeedState = idle;
    private query = "";
    private underWay: { abort: AbortController; span: Span } | undefined;
    private waiting: Span | undefined;

    constructor(
        private readonly fetchRange: RangeFetch,
        private readonly changed: (state: FeedState) => void,
    ) {}

    want(query: string, span: Span): void {
        if (query !== this.query) {
            this.stop();
            this.query = query;
            /* The old lines stay until the new ones come, so that nothing jumps. */
            this.state = { loading: true, warnings: [] };
        } else if (this.underWay) {
            const other = this.underWay.span;
            if (other.step === span.step && span.from >= other.from && span.from <= other.to) {
                this.waiting = span;
                return;
            }
            this.stop();
        }
        void this.request(span);
    }

    stop(): void {
        this.underWay?.abort.abort();
        this.underWay = undefined;
        this.waiting = undefined;
    }

    private async request(span: Span): Promise<void> {
        const abort = new AbortController();
        const mine = { abort, span };
        this.underWay = mine;
        const known = this.state.grid;
        const asked = missingTail(known, span, overlapSteps);
        try {
            const answer = await this.fetchRange(this.query, asked, abort.signal);
            if (this.underWay !== mine) return;
            const base = known && asked.from > span.from ? known : emptyGrid(span);
            const grid = mergeTail(base, answer.data, span, asked.from);
            this.state = { grid, loading: false, warnings: answer.warnings };
        } catch (reason) {
            if (isAbort(reason) || this.underWay !== mine) return;
            const { grid, warnings } = this.state;
            this.state = { loading: false, warnings, error: reason as ApiError };
            if (grid) this.state.grid = grid;
        }
        this.underWay = undefined;
        this.changed(this.state);
        const next = this.waiting;
        this.waiting = undefined;
        if (next) void this.request(next);
    }
}
