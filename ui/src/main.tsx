/* SPDX-License-Identifier: Apache-2.0
 *
 * main: the frame around the pages, and which page an address shows.
 */
import "uplot/dist/uPlot.min.css";
import "./app.css";
import type { ComponentChildren } from "preact";
import { render } from "preact";
import { AlertsPage } from "./alerts";
import { ForecastsPage } from "./forecasts";
import { HostsPage } from "./hosts";
import { Empty, PageTitle } from "./parts";
import { QueryPage } from "./query";
import { RangePicker } from "./rangepicker";
import { path } from "./router";
import { ScalersPage } from "./scalers";
import { StatusPage } from "./status";
import { dark, setTheme } from "./theme";

interface Page {
    name: string;
    title: string;
    icon: string; /* strokes on a grid of 16 x 16 */
    timed: boolean; /* its charts follow the time range */
    draw: () => ComponentChildren;
}

const pages: Page[] = [
    {
        name: "hosts",
        title: "Hosts",
        icon: "M2 3h12v4H2zM2 9h12v4H2zM4.5 5h.01M4.5 11h.01",
        timed: true,
        draw: () => <HostsPage />,
    },
    {
        name: "query",
        title: "Query",
        icon: "M2 13l4-5 3 3 5-8M2 2v12h12",
        timed: true,
        draw: () => <QueryPage />,
    },
    {
        name: "alerts",
        title: "Alerts",
        icon: "M8 2a4 4 0 0 1 4 4c0 4 1.5 5 1.5 5h-11S4 10 4 6a4 4 0 0 1 4-4zM6.5 13.5h3",
        timed: false,
        draw: () => <AlertsPage />,
    },
    {
        name: "scalers",
        title: "Scalers",
        icon: "M2 14V9h3v5M6.5 14V6h3v8M11 14V2h3v12",
        timed: true,
        draw: () => <ScalersPage />,
    },
    {
        name: "forecasts",
        title: "Forecasts",
        icon: "M2 11c2 0 3-6 5-6s2 4 4 4M11 9l3-5M11 9l3 0M11 9l3 4",
        timed: false,
        draw: () => <ForecastsPage />,
    },
    {
        name: "status",
        title: "Status",
        icon: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM8 7.5v3.5M8 5h.01",
        timed: false,
        draw: () => <StatusPage />,
    },
];

function currentPage(): Page | undefined {
    const first = path.value.split("/")[1] ?? "";
    /* Prometheus's addresses of graphs, as alerts carry them, lead to the query page. */
    const name = first === "" ? "hosts" : first === "graph" ? "query" : first;
    return pages.find((page) => page.name === name);
}

function App() {
    const page = currentPage();
    return (
        <>
            <a class="skip" href="#main">
                Skip to the content
            </a>
            <header class="top">
                <a class="brand" href="/hosts">
                    <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
                        <rect width="32" height="32" rx="7" />
                        <path d="M4 14c4 0 4-4 8-4s4 4 8 4 4-4 8-4M4 23c4 0 4-4 8-4s4 4 8 4 4-4 8-4" />
                    </svg>
                    Tidewatch
                </a>
                <nav aria-label="Pages">
                    {pages.map(({ name, title, icon }) => (
                        <a
                            key={name}
                            href={`/${name}`}
                            aria-current={page?.name === name ? "page" : undefined}
                        >
                            <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
                                <path d={icon} />
                            </svg>
                            <span>{title}</span>
                        </a>
                    ))}
                </nav>
                <div class="top-end">
                    {page?.timed && <RangePicker />}
                    <ThemeButton />
                </div>
            </header>
            <main id="main" tabIndex={-1}>
                {page ? page.draw() : <UnknownPage />}
            </main>
        </>
    );
}

function UnknownPage() {
    return (
        <>
            <PageTitle title="Not found" />
            <Empty title="There is no such page">
                <p>
                    <a href="/hosts">Go to the hosts</a>
                </p>
            </Empty>
        </>
    );
}

function ThemeButton() {
    const label = dark.value ? "Use light colours" : "Use dark colours";
    return (
        <button
            type="button"
            class="quiet icon-button"
            title={label}
            aria-label={label}
            onClick={() => setTheme(dark.value ? "light" : "dark")}
        >
            <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
                {dark.value ? (
                    <path d="M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1" />
                ) : (
                    <path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z" />
                )}
            </svg>
        </button>
    );
}

function start(): void {
    render(<App />, document.getElementById("app")!);
}

/* The script runs in the head, before the first paint and before there is a body. */
if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
else start();
