/* SPDX-License-Identifier: Apache-2.0
 *
 * store: small things kept in this browser. A browser that forbids it only forgets them.
 */
const prefix = "tidewatch.";

export function load<T>(name: string, fallback: T): T {
    try {
        const text = localStorage.getItem(prefix + name);
        return text === null ? fallback : (JSON.parse(text) as T);
    } catch {
        return fallback;
    }
}

export function save(name: string, value: unknown): void {
    try {
        localStorage.setItem(prefix + name, JSON.stringify(value));
    } catch {
        /* storage is full or forbidden */
    }
}
