/* SPDX-License-Identifier: Apache-2.0
 *
 * sparkline: a small line without axes. Drawn on a canvas, and only when seen: hundreds of rows cost
 * nothing.
 */
import { useEffect, useRef } from "preact/hooks";
import { dark, seriesColor, translucent } from "./theme";

const width = 76;
const height = 26;

const seen = new WeakMap<Element, (visible: boolean) => void>();
const observer = new IntersectionObserver(
    (entries) => {
        for (const entry of entries) seen.get(entry.target)?.(entry.isIntersecting);
    },
    { rootMargin: "200px" },
);

interface Point {
    x: number;
    y: number;
}

/** The runs of points between gaps, at most about one point a pixel: of several the highest is kept. */
export function sparkRuns(values: (number | null)[], top: number): Point[][] {
    const runs: Point[][] = [];
    let run: Point[] | undefined;
    const perPixel = Math.max(1, Math.floor(values.length / width));
    for (let at = 0; at < values.length; at += perPixel) {
        let value: number | null = null;
        for (const one of values.slice(at, at + perPixel))
            if (one !== null && (value === null || one > value)) value = one;
        if (value === null) {
            run = undefined;
            continue;
        }
        const x = (at / Math.max(1, values.length - 1)) * (width - 2) + 1;
        const y = height - 1.5 - (Math.max(0, Math.min(value, top)) / top) * (height - 4);
        if (!run) runs.push((run = []));
        run.push({ x, y });
    }
    return runs;
}

function draw(canvas: HTMLCanvasElement, values: (number | null)[], color: string, top: number): void {
    const ratio = devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d");
    if (!context) return;
    context.scale(ratio, ratio);
    context.strokeStyle = color;
    context.fillStyle = translucent(color, 0.15);
    context.lineWidth = 1.25;
    context.lineJoin = "round";
    for (const run of sparkRuns(values, top)) {
        const first = run[0]!;
        const last = run[run.length - 1]!;
        context.beginPath();
        context.moveTo(first.x, first.y);
        for (const { x, y } of run) context.lineTo(x, y);
        if (run.length === 1) context.lineTo(first.x + 1, first.y);
        context.stroke();
        context.lineTo(last.x, height);
        context.lineTo(first.x, height);
        context.fill();
    }
}

export function Sparkline(props: {
    values: (number | null)[] | undefined;
    color: number;
    atLeast: number;
}) {
    const canvas = useRef<HTMLCanvasElement>(null);
    const paint = useRef(() => {});
    const visible = useRef(false);
    const isDark = dark.value;

    paint.current = () => {
        if (!canvas.current) return;
        const values = props.values ?? [];
        const top = values.reduce<number>((most, value) => Math.max(most, value ?? 0), props.atLeast);
        draw(canvas.current, values, seriesColor(props.color), top);
    };

    useEffect(() => {
        const node = canvas.current!;
        seen.set(node, (now) => {
            visible.current = now;
            if (now) paint.current();
        });
        observer.observe(node);
        return () => observer.unobserve(node);
    }, []);

    useEffect(() => {
        if (visible.current) paint.current();
    }, [props.values, props.atLeast, isDark]);

    return <canvas class="spark" ref={canvas} style={{ width: `${width}px`, height: `${height}px` }} aria-hidden="true" />;
}
