// run.mjs PROGRAM [--write]: our YAML reader against the yaml-test-suite and, scalar by scalar, against the npm package `yaml`.
// Prints FAIL lines and the closing line. Deviations are frozen with their reasons; one that is no deviation any more fails.
// --write freezes scalars.json again, as the reader is now.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const [program, mode] = process.argv.slice(2);
const here = (name) => new URL(name, import.meta.url);
const module = (path) => import(new URL(`../../../frontend/node_modules/${path}`, import.meta.url).href);
const { default: suite } = await module("yaml-test-suite/index.js");
const YAML = (await module("yaml/dist/index.js")).default;
const table = (name) =>
  new Map(
    readFileSync(here(name), "utf8")
      .split("\n")
      .filter((l) => l && !l.startsWith("# "))
      .map((l) => l.split(/ {2,}/))
      .map(([id, why], i) => {
        if (!why) throw new Error(`${name}: entry ${i + 1} has no reason`);
        return [id, why];
      }),
  );

function read(texts) {
  const r = spawnSync(program, { input: JSON.stringify(texts), maxBuffer: 1 << 26, encoding: "utf8" });
  if (r.status !== 0) throw new Error(r.stderr);
  return JSON.parse(r.stdout);
}

const count = { passed: 0, failed: 0 };
const known = { suite: table("deviations.txt"), scalars: table("scalar-deviations.txt") };
function judge(kind, id, problem) {
  const excused = known[kind].get(id);
  known[kind].delete(id);
  const bad = excused ? (problem ? null : `is no deviation any more (${excused})`) : problem;
  if (bad) console.log(`FAIL ${kind} ${id}: ${bad}`);
  count[bad ? "failed" : "passed"]++;
}

/** What JSON says of the tagged tree of the program. */
function plain([kind, ...rest]) {
  switch (kind) {
    case "map":
      return Object.fromEntries(rest.map(([keyKind, key, value]) => [keyKind === "null" ? "" : key, plain(value)]));
    case "seq":
      return rest.map(plain);
    case "null":
      return null;
    case "bool":
      return rest[0] === "true";
    case "str":
      return rest[0];
    default:
      return Number(rest[0]);
  }
}

const byName = (v) => Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])]));
const sorted = (v) => (Array.isArray(v) ? v.map(sorted) : v && typeof v === "object" ? byName(v) : v);
const text = (v) => JSON.stringify(sorted(v));

/** The JSON values that follow each other in a text. */
function values(json) {
  const found = [];
  let open = "";
  for (const line of json.split("\n")) {
    open += `${line}\n`;
    if (!open.trim()) continue;
    try {
      found.push(JSON.parse(open));
      open = "";
    } catch {
      // goes on in the next line
    }
  }
  if (open.trim()) throw new Error(`no JSON: ${open}`);
  return found;
}

const PLACE = /^t\.yaml:[1-9]\d*:[1-9]\d*: ./;

function suiteProblem(c, got) {
  if (c.fail && !got.error) return `accepted as ${text(got.docs.map(plain))}`;
  if (c.fail) return PLACE.test(got.error) ? null : `no place: ${got.error}`;
  if (got.error) return got.error;
  if (got.docs.length > 1 !== Boolean(got.single)) return `${got.docs.length} documents where one is allowed: ${got.single}`;
  if (got.single && !PLACE.test(got.single)) return `no place: ${got.single}`;
  if (typeof c.json !== "string") return null;
  const want = values(c.json);
  return text(got.docs.map(plain)) === text(want) ? null : `${text(got.docs.map(plain))} instead of ${text(want)}`;
}

const cases = suite.flatMap((t) => t.cases.map((c, i) => ({ ...c, id: t.cases.length > 1 ? `${t.id}/${i}` : t.id })));
const results = read(cases.map((c) => c.yaml));
cases.forEach((c, i) => judge("suite", c.id, suiteProblem(c, results[i])));

// ---- scalars ----

const listed = JSON.parse(readFileSync(here("scalars.json"), "utf8"));
const scalars = read(listed.map(([s]) => `k: ${s}\n`)).map((r) => (r.error ? ["error"] : r.docs[0][1][2]));
if (mode === "--write") {
  writeFileSync(here("scalars.json"), `[\n${listed.map(([s], i) => `  ${JSON.stringify([s, ...scalars[i]])}`).join(",\n")}\n]\n`);
}

function theirs(s) {
  const doc = YAML.parseDocument(`k: ${s}\n`, { schema: "core", version: "1.2", intAsBigInt: true, logLevel: "silent" });
  if (doc.errors.length || doc.warnings.length) return ["error"];
  const v = doc.toJS().k;
  if (v === null) return ["null", ""];
  if (typeof v === "bigint") return ["int", String(v)];
  if (typeof v === "number") return ["float", v];
  return [typeof v === "boolean" ? "bool" : "str", String(v)];
}

function same(a, b) {
  if (a[0] === "float" && b[0] === "float") return Object.is(Number(a[1]), Number(String(b[1]).replace("inf", "Infinity")));
  return a[0] === b[0] && String(a[1] ?? "") === String(b[1] ?? "");
}

listed.forEach(([s, ...frozen], i) => {
  const our = scalars[i][0] === "float" ? ["float", scalars[i][1].replace("inf", "Infinity")] : scalars[i];
  const was = frozen[0] === "float" ? ["float", frozen[1].replace("inf", "Infinity")] : frozen;
  if (!same(our, was)) judge("scalars", JSON.stringify(s), `is now ${our}, was ${was}`);
  else judge("scalars", JSON.stringify(s), same(our, theirs(s)) ? null : `${our} here, ${theirs(s)} there`);
});

for (const [kind, left] of Object.entries(known))
  for (const id of left.keys()) {
    console.log(`FAIL ${kind} ${id}: is listed as a deviation and no case`);
    count.failed++;
  }
if (listed.length < 200) throw new Error("the table is to have at least 200 scalars");
console.log(`${cases.length} cases of the suite, ${listed.length} scalars`);
console.log(`${count.passed} passed, ${count.failed} failed, 0 skipped`);
process.exit(count.failed ? 1 : 0);
