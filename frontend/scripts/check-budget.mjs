// Fails the build when the script needed for the first screen grows past its budget, or a heavy library leaks into it.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMIT = 250 * 1024;
const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const manifest = JSON.parse(readFileSync(`${dist}manifest.json`, "utf8"));

function closure(key, seen = new Set()) {
  if (seen.has(key)) return seen;
  seen.add(key);
  for (const next of manifest[key].imports ?? []) closure(next, seen);
  return seen;
}

const size = (key) => gzipSync(readFileSync(dist + manifest[key].file), { level: 9 }).length;
const kib = (n) => `${(n / 1024).toFixed(1)} KiB`;
const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
const first = closure(entry);
// The first screen after login is the application list: its chunk counts too.
const home = Object.keys(manifest).find((key) => key.endsWith("ApplicationsPage.tsx"));
if (home) closure(home, first);

let total = 0;
for (const key of first) total += size(key);
const rows = Object.keys(manifest)
  .filter((key) => manifest[key].file.endsWith(".js"))
  .map((key) => [size(key), manifest[key].file, first.has(key) ? "first load" : "lazy"])
  .sort((a, b) => b[0] - a[0]);
for (const [bytes, file, when] of rows.slice(0, 14)) console.log(`${kib(bytes).padStart(11)}  ${when.padEnd(10)}  ${file}`);

const leaked = [...first].filter((key) => /xyflow|dagre|monaco|xterm|uplot/i.test(readFileSync(dist + manifest[key].file, "utf8").slice(0, 400_000).match(/react-flow__|dagre/i)?.[0] ?? ""));
const html = readFileSync(`${dist}index.html`, "utf8");
const problems = [];
if (total > LIMIT) problems.push(`first load is ${kib(total)}, the limit is ${kib(LIMIT)}`);
if (leaked.length) problems.push(`graph library in the first load: ${leaked.join(", ")}`);
if (!html.includes("__CSP_NONCE__")) problems.push("index.html lost its nonce marker");
if (/<script(?![^>]*\bsrc=)[^>]*>/.test(html)) problems.push("index.html has an inline script");
console.log(`first load: ${kib(total)} gzip of ${kib(LIMIT)}`);
for (const line of problems) console.error(`budget: ${line}`);
process.exit(problems.length ? 1 : 0);
