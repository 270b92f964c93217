/* SPDX-License-Identifier: Apache-2.0
 *
 * The pages in a real Chromium: node ui_pages.mjs URL SCREENSHOT_FOLDER PART ... with the parts "nothing" (no host
 * has sent anything), "alone" (one host), "many" (31 hosts), "query", "band" (a graph with its forecast),
 * "forecasts" (models and pins), "alert", "scaler", "status".
 * Prints one line a check; ends with status 1 when one failed. ui.py starts the server and calls it.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const here = new URL("../../ui/", import.meta.url);
const require = createRequire(here);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [base, shots, ...parts] = process.argv.slice(2);
const origin = new URL(base).origin;
mkdirSync(shots, { recursive: true });
let failures = 0;

function check(what, holds, seen) {
    console.log(`${holds ? "ok      " : "FAILED  "}${what}`);
    if (!holds) {
        failures++;
        if (seen !== undefined) console.log(`        seen: ${JSON.stringify(seen).slice(0, 1500)}`);
    }
}

const profile = mkdtempSync(join(tmpdir(), "tidewatch-chromium-"));
const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    viewport: { width: 1440, height: 900 },
    bypassCSP: false,
    args: [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
});
context.setDefaultTimeout(15000);
const page = context.pages()[0] ?? (await context.newPage());

const complaints = [];
const strangers = [];
let expectedErrors = 0;
page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    /* The browser reports the answer 400 to the wrong query by itself. */
    if (/status of 4(00|22)/.test(message.text()) && expectedErrors > 0) return;
    if (/willReadFrequently/.test(message.text())) return; /* of this test's own readings */
    complaints.push(message.text());
});
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("request", (request) => {
    if (!request.url().startsWith(origin) && !request.url().startsWith("data:")) strangers.push(request.url());
});

/** Waits until a chart has drawn at least so many coloured pixels. */
async function drawn(selector, least) {
    for (let attempt = 0; attempt < 40; attempt++) {
        if ((await coloured(selector)) >= least) return true;
        await page.waitForTimeout(250);
    }
    return false;
}

/** How many pixels of a chart's canvas are coloured: axes and grid are grey. */
const coloured = (selector) =>
    page.locator(`${selector} canvas`).first().evaluate((canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let count = 0;
        for (let at = 0; at < data.length; at += 4) {
            const [r, g, b, a] = [data[at], data[at + 1], data[at + 2], data[at + 3]];
            if (a > 60 && Math.max(r, g, b) - Math.min(r, g, b) > 40) count++;
        }
        return count;
    });

async function shoot(name) {
    await page.screenshot({ path: join(shots, `${name}.png`) });
}

async function accessible(name) {
    /* Run through the debugger: the pages' own policy forbids strange scripts. */
    const found = await page.evaluate(`(() => { ${axe}; return axe.run(document, { resultTypes: ["violations"] })
        .then((result) => result.violations.map((v) => [v.id, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120))])); })()`);
    check(`${name}: axe finds nothing`, found.length === 0, found);
}

async function nothing() {
    await page.goto(`${base}/`);
    await page.waitForSelector(".empty");
    const text = await page.locator(".empty").innerText();
    check("hosts: without any, it says how to start an agent", text.includes(`tidewatch-agent --server ${origin}`), text);
    await shoot("hosts-nothing");
    await accessible("hosts, nothing");
}

async function many() {
    await page.goto(`${base}/`);
    await page.waitForSelector(".host-table tbody tr");
    await page.waitForFunction(() => /\d %/.test(document.querySelector(".host-table tbody td .spark-value")?.textContent ?? ""));
    const rows = page.locator(".host-table tbody tr");
    check("hosts: all are listed", (await rows.count()) === 31, await rows.count());
    check("hosts: sparklines are drawn", await drawn(".host-table tbody td .spark-cell", 20));
    await shoot("hosts-many");
    await accessible("hosts, many");
    await page.getByRole("button", { name: "CPU", exact: true }).click();
    await page.waitForSelector('th[aria-sort="descending"]');
    const numbers = (await page.locator(".host-table tbody tr td:nth-of-type(1) .spark-value").allInnerTexts()).map(parseFloat).filter(Number.isFinite);
    check("hosts: sorted by CPU", numbers.length > 20 && numbers.every((n, at) => at === 0 || numbers[at - 1] >= n), numbers);
    await page.getByLabel("Filter by name").fill("WEB-07");
    check("hosts: filtered by name", (await rows.count()) === 1);
    await page.getByRole("link", { name: /web-07/ }).click();
    await page.waitForSelector('[data-panel="cpu"][data-state="ready"] canvas');
    check("hosts: one of many in full", (await page.locator("h1").innerText()) === "web-07");
    check("hosts: it has drawn lines", await drawn('[data-panel="cpu"]', 50));
}

async function alone() {
    await page.goto(`${base}/`);
    await page.waitForSelector('[data-panel="cpu"][data-state="ready"] canvas');
    const painted = await page.evaluate(() => performance.now());
    console.log(`        first chart ${Math.round(painted)} ms after the navigation began`);
    for (const panel of ["cpu", "memory", "load"]) {
        await page.waitForSelector(`[data-panel="${panel}"][data-state="ready"] canvas`);
        check(`hosts: ${panel} has drawn lines`, await drawn(`[data-panel="${panel}"]`, 50));
    }
    const asked = new Set();
    const listen = (request) => asked.add(request.url());
    page.on("request", listen);
    await page.waitForTimeout(2500);
    page.off("request", listen);
    const ranges = [...asked].filter((url) => url.includes("query_range"));
    check("hosts: the charts go on by themselves", ranges.length > 0);
    const longest = Math.max(...ranges.map((url) => {
        const parameters = new URL(url).searchParams;
        return Number(parameters.get("end")) - Number(parameters.get("start"));
    }));
    check("hosts: only the new end is asked for", longest < 60, longest);
    const box = await page.locator('[data-panel="cpu"] .u-over').boundingBox();
    await page.mouse.move(box.x + box.width * 0.9, box.y + 40);
    check("hosts: the cursor shows its time", await page.locator('[data-panel="cpu"] .chart-moment').isVisible());
    await shoot("hosts");
    await accessible("hosts");

    await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.9, box.y + 40, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(/from=\d+&to=\d+/);
    check("hosts: dragging zooms in", true);
    await page.getByRole("button", { name: "Back to live" }).click();
    await page.waitForURL(/range=/);

    await page.getByRole("button", { name: "Use dark colours" }).click();
    await page.waitForTimeout(300);
    check("hosts: charts are redrawn in the dark theme", await drawn('[data-panel="cpu"]', 50));
    await shoot("hosts-dark");
    await accessible("hosts, dark");
    await page.reload();
    check("hosts: the theme is remembered", (await page.locator("html").getAttribute("data-theme")) === "dark");
    await page.getByRole("button", { name: "Use light colours" }).click();
}

async function query() {
    await page.goto(`${base}/hosts`);
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Query" }).click();
    await page.waitForURL(/\/query/);
    await shoot("query-empty");
    await accessible("query, empty");
    const editor = page.getByRole("textbox", { name: "Expression" });
    await editor.pressSequentially("sum by (mo");
    await page.waitForSelector('.suggestions [role="option"]');
    check("query: labels are completed", (await page.locator(".suggestions").innerText()).includes("mode"));
    await page.keyboard.press("Tab");
    await editor.pressSequentially(") (rat");
    await page.waitForSelector('.suggestions [role="option"]');
    await shoot("query-completion");
    await page.keyboard.press("Tab");
    await editor.pressSequentially("node_cpu_sec");
    await page.waitForSelector('.suggestions [role="option"]');
    await page.keyboard.press("Enter");
    await editor.pressSequentially("[20s]))");
    await page.keyboard.press("Escape");
    const text = await editor.inputValue();
    check("query: completion wrote the expression", text === "sum by (mode) (rate(node_cpu_seconds_total[20s]))", text);
    await page.keyboard.press("Enter");
    await page.waitForSelector('[data-result="graph"] canvas');
    const count = Number(await page.locator('[data-result="graph"]').getAttribute("data-series"));
    check("query: the graph has the modes", count >= 5, count);
    check("query: the graph has drawn lines", await drawn('[data-result="graph"]', 50));
    await shoot("query-graph");
    await accessible("query, graph");
    const shared = page.url();
    await page.getByRole("button", { name: "Table", exact: true }).click();
    await page.waitForSelector('[data-result="table"] tbody tr');
    check("query: the table has the same", (await page.locator('[data-result="table"] tbody tr').count()) === count);
    await shoot("query-table");
    await page.goto(shared);
    await page.waitForSelector('[data-result="graph"] canvas');
    check("query: the address brings it back", (await editor.inputValue()) === text);
    await page.goto(`${base}/graph?g0.expr=node_load1&g0.tab=1`);
    await page.waitForSelector('[data-result="table"]');
    check("query: Prometheus's addresses work", (await editor.inputValue()) === "node_load1");
    await page.getByRole("button", { name: "History" }).click();
    check("query: the history has it", (await page.locator(".history-menu").innerText()).includes(text));
    await page.keyboard.press("Escape");

    expectedErrors = 1;
    for (const tab of ["graph", "table"]) {
        await page.goto(`${base}/query?tab=${tab}&expr=${encodeURIComponent("sum(rate(node_cpu_seconds_total)")}`);
        await page.waitForSelector(".query-failure .caret");
        check(`query: a wrong one is explained with its place (${tab})`,
            (await page.locator(".query-failure").innerText()).includes("^"));
    }
    await shoot("query-error");
    await accessible("query, error");
    expectedErrors = 0;
}

async function band() {
    const expression = "site_requests";
    await page.goto(`${base}/query?range=2d&expr=${expression}`);
    await page.waitForSelector('[data-result="graph"] canvas');
    const plain = await coloured('[data-result="graph"]');
    await page.getByRole("group", { name: "Forecast" }).getByRole("button", { name: "1 day" }).click();
    await page.waitForURL(/ahead=1d/);
    await page.waitForSelector('[data-result="graph"][data-ahead="2"]', { timeout: 30000 });
    check("band: both series have one", true);
    check("band: it is drawn beside the past", await drawn('[data-result="graph"]', Math.max(50, plain / 2)));
    const cells = await page.locator(".series-table tbody tr td:last-child").allInnerTexts();
    const numbers = cells.map((cell) => (cell.match(/[\d.]+/g) ?? []).map(Number));
    check("band: the table says what is expected",
        numbers.length === 2 && numbers.every(([middle, low, high]) => low < middle && middle < high), cells);
    await shoot("query-band");
    await accessible("query, band");
    await page.getByRole("button", { name: "Use dark colours" }).click();
    await page.waitForTimeout(500);
    await shoot("query-band-dark");
    await accessible("query, band, dark");
    await page.getByRole("button", { name: "Use light colours" }).click();
    await page.goto(`${base}/query?range=1d&ahead=6h&expr=${encodeURIComponent("forecast(site_requests[7d], 0)")}`);
    await page.waitForSelector('[data-result="graph"][data-ahead="2"]', { timeout: 30000 });
    check("band: an expression that forecasts goes on by itself", true);
    await shoot("query-forecast");
    await page.goto(`${base}/query?range=1h&ahead=6h&expr=${encodeURIComponent("node_network_receive_bytes_total")}`);
    await page.waitForSelector('[data-result="graph"] .warning');
    check("band: not of too many series", (await page.locator(".warning").first().innerText()).includes("at most 12"));
}

async function forecasts() {
    await page.goto(`${base}/forecasts`);
    await page.waitForSelector('[data-forecasts="ready"]');
    await page.waitForSelector('[data-models="2"]', { timeout: 30000 });
    const text = await page.locator("[data-models]").innerText();
    check("forecasts: models are listed", text.includes("north") && text.includes("site_requests[1w]"), text);
    await page.getByLabel("Expression to pin").fill("sum(site_requests)");
    expectedErrors = 1;
    await page.getByRole("button", { name: "Pin", exact: true }).click();
    await page.waitForSelector(".failure");
    check("forecasts: what cannot be pinned is refused", (await page.locator(".failure").innerText()).includes("nothing to keep"));
    expectedErrors = 0;
    await page.getByLabel("Expression to pin").fill("forecast(sum(site_requests)[7d:5m], 1h)");
    await page.getByRole("button", { name: "Pin", exact: true }).click();
    await page.getByRole("button", { name: "Unpin" }).waitFor();
    await shoot("forecasts");
    await accessible("forecasts");
    await page.getByRole("button", { name: "Unpin" }).click();
    await page.waitForFunction(() => !document.body.innerText.includes("Unpin"));
    check("forecasts: pins come and go", true);
}

async function alert() {
    await page.goto(`${base}/alerts`);
    await page.waitForSelector('.alert-firing[data-alert="AlwaysFiring"]', { timeout: 30000 });
    const text = await page.locator('.alert-firing[data-alert="AlwaysFiring"]').first().innerText();
    check("alerts: the firing one is seen with label and summary",
        text.includes("severity") && text.includes("seen by the pages"), text);
    await page.waitForSelector('.alert-pending[data-alert="StillPending"]');
    check("alerts: the pending one comes after it", (await page.locator(".alert").first().getAttribute("data-alert")) === "AlwaysFiring");
    await shoot("alerts");
    await accessible("alerts");
    await page.getByRole("button", { name: /Alert rules/ }).click();
    await page.waitForSelector(".rule-table tbody tr");
    check("alerts: rules are listed", (await page.locator(".rule-table tbody tr").count()) === 2);
    await shoot("alerts-rules");
    await accessible("alerts, rules");
}

async function scaler() {
    await page.goto(`${base}/scalers`);
    await page.waitForSelector('[data-scaler="web"]');
    await page.waitForSelector('[data-panel="forecast"][data-state="ready"] canvas', { timeout: 60000 });
    check("scalers: load and forecast are drawn", await drawn('[data-panel="forecast"]', 50));
    await page.waitForSelector(".decision-table tbody tr", { timeout: 30000 });
    const reason = await page.locator(".decision-table tbody tr").first().innerText();
    check("scalers: decisions have reasons", reason.length > 20, reason);
    await page.waitForSelector('[data-panel="replicas"][data-state="ready"] canvas', { timeout: 30000 });
    check("scalers: replicas are drawn", await drawn('[data-panel="replicas"]', 20));
    await shoot("scalers");
    await accessible("scalers");
}

async function status() {
    await page.goto(`${base}/status`);
    await page.waitForSelector('[data-status="ready"]');
    const text = await page.locator('[data-status="ready"]').innerText();
    check("status: version and series are told", /Version/.test(text) && /Series in memory/.test(text), text);
    await shoot("status");
    await accessible("status");
    await page.goto(`${base}/hosts/no-such-host`);
    await page.waitForSelector('[data-panel="cpu"][data-state="empty"]');
    check("hosts: an unknown one says that it has no samples", true);
}

const all = { nothing, alone, many, query, band, forecasts, alert, scaler, status };
for (const part of parts) {
    try {
        await all[part]();
    } catch (reason) {
        check(`${part}: the pages behave as the test expects`, false, String(reason));
        await shoot(`failure-${part}`);
    }
}
check("nothing was written to the console as an error", complaints.length === 0, complaints);
check("no request left for another host", strangers.length === 0, strangers);
await context.close();
rmSync(profile, { recursive: true, force: true });
process.exit(failures > 0 ? 1 : 0);
