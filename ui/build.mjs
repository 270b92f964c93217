/* SPDX-License-Identifier: Apache-2.0
 *
 * Bundles the pages: node build.mjs OUTPUT_FOLDER writes index.html, app.js, app.css and favicon.svg there.
 *
 * The file names are fixed, so that make knows what it gets; each address carries a hash of the
 * content instead (?v=...), so that browsers may keep a file for ever and still never show an old one.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const source = join(dirname(fileURLToPath(import.meta.url)), "src");
const output = process.argv[2];
if (!output) {
    console.error("usage: node build.mjs OUTPUT_FOLDER");
    process.exit(2);
}

const result = await build({
    entryPoints: { app: join(source, "main.tsx") },
    outdir: output,
    bundle: true,
    write: false,
    minify: true,
    /* A classic script in the head: it sets the theme before the first paint. */
    format: "iife",
    target: ["es2022", "chrome109", "firefox115", "safari16"],
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    banner: { js: "/* SPDX-License-Identifier: Apache-2.0; with Preact and uPlot, MIT */" },
    logLevel: "warning",
}).catch(() => process.exit(1)); /* esbuild has printed the place already */

const hash = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 12);
const bundle = (name) => {
    const file = result.outputFiles.find((candidate) => candidate.path.endsWith(name));
    if (!file) throw new Error(`the bundle has no ${name}`);
    return file.contents;
};
const files = { "app.js": bundle("app.js"), "app.css": bundle("app.css") };
const page = await readFile(join(source, "index.html"), "utf8");
files["index.html"] = page
    .replace("@JS@", hash(files["app.js"]))
    .replace("@CSS@", hash(files["app.css"]))
    .replace(/>\s+</g, "><");
files["favicon.svg"] = await readFile(join(source, "favicon.svg"));

await mkdir(output, { recursive: true });
for (const [name, bytes] of Object.entries(files)) await writeFile(join(output, name), bytes);
