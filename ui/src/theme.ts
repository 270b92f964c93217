/* SPDX-License-Identifier: Apache-2.0
 *
 * theme: light, dark, or what the system says; and the colours that canvases need.
 */
import { computed, effect, signal } from "@preact/signals";
import { load, save } from "./store";

export type ThemeChoice = "system" | "light" | "dark";

export const themeChoice = signal<ThemeChoice>(load<ThemeChoice>("theme", "system"));

const darkQuery = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(darkQuery.matches);
darkQuery.addEventListener("change", () => (systemDark.value = darkQuery.matches));

export const dark = computed(() =>
    themeChoice.value === "system" ? systemDark.value : themeChoice.value === "dark",
);

effect(() => {
    document.documentElement.dataset["theme"] = dark.value ? "dark" : "light";
});

export function setTheme(choice: ThemeChoice): void {
    themeChoice.value = choice;
    save("theme", choice);
}

/* Neighbours differ in hue and lightness, so that they stay apart for colour-blind eyes too. */
const lightColors = [
    "#1f6fd0", "#d9730d", "#0f8f83", "#8247d6", "#c2334d",
    "#5b8a00", "#b03a9b", "#0e7fb0", "#9a6700", "#5a6b7a",
];
const darkColors = [
    "#5aa2f7", "#f2a03d", "#2fc4b2", "#b48cf7", "#f26d85",
    "#9ccc3c", "#e57fd0", "#45c1ec", "#d9b13b", "#93a4b3",
];

/** Colour number n of the series palette. */
export function seriesColor(n: number): string {
    const colors = dark.value ? darkColors : lightColors;
    return colors[n % colors.length]!;
}

export interface ChartColors {
    text: string;
    grid: string;
    surface: string;
    cursor: string;
}

export function chartColors(): ChartColors {
    return dark.value
        ? { text: "#93a4b3", grid: "#1f2933", surface: "#131b23", cursor: "#6b7f90" }
        : { text: "#566675", grid: "#e8edf1", surface: "#ffffff", cursor: "#8798a6" };
}

/** "#rrggbb" with an opacity. */
export function translucent(color: string, opacity: number): string {
    const alpha = Math.round(opacity * 255);
    return color + alpha.toString(16).padStart(2, "0");
}
