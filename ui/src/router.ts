/* SPDX-License-Identifier: Apache-2.0
 *
 * router: the address is the state. Path and parameters are signals; pages read them and write them
 * with go() and setParameters(), so that every view can be shared by its address.
 */
import { computed, signal } from "@preact/signals";

const address = signal(location.pathname + location.search);

export const path = computed(() => new URL(address.value, location.origin).pathname);
export const parameters = computed(() => new URL(address.value, location.origin).searchParams);

export function go(target: string, how: "push" | "replace" = "push"): void {
    if (target === address.value) return;
    if (how === "push") history.pushState(null, "", target);
    else history.replaceState(null, "", target);
    address.value = location.pathname + location.search;
    if (how === "push") scrollTo(0, 0);
}

/** Changes some parameters, keeping the others; undefined removes one. */
export function setParameters(
    changes: Record<string, string | undefined>,
    how: "push" | "replace" = "push",
): void {
    const next = new URLSearchParams(parameters.value);
    for (const [name, value] of Object.entries(changes)) {
        if (value === undefined) next.delete(name);
        else next.set(name, value);
    }
    const text = next.toString();
    go(text ? `${path.value}?${text}` : path.value, how);
}

addEventListener("popstate", () => {
    address.value = location.pathname + location.search;
});

/** Follows links within the pages without a reload. */
addEventListener("click", (event) => {
    const link = (event.target as Element | null)?.closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target) return;
    if (link.origin !== location.origin || /^\/(api|metrics|-)\b/.test(link.pathname)) return;
    event.preventDefault();
    go(link.pathname + link.search);
});
