// Makes src/api/schema.d.ts from the server's OpenAPI document and checks that every call of the UI exists there with
// the query parameters it sends. Usage: node scripts/gen-api.mjs [FILE or URL]   (default: $OPENAPI, else a local server)
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const source = process.argv[2] ?? process.env.OPENAPI ?? "http://127.0.0.1:8080/api/v1/openapi.json";
const text = /^https?:/.test(source) ? await (await fetch(source)).text() : readFileSync(source, "utf8");
const document = JSON.parse(text);
const out = fileURLToPath(new URL("../src/api/schema.d.ts", import.meta.url));
writeFileSync(out, astToString(await openapiTS(document)));

const routes = readFileSync(new URL("../src/api/routes.ts", import.meta.url), "utf8");
const shape = (path) => path.replace(/\{[^}]+\}/g, "{}");
const known = new Map();
for (const [path, item] of Object.entries(document.paths)) {
  for (const [method, operation] of Object.entries(item)) {
    const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])];
    known.set(`${method.toUpperCase()} ${shape(path.replace(/^\/api\/v1/, ""))}`, parameters.filter((p) => p.in === "query").map((p) => p.name));
  }
}

const problems = [];
let checked = 0;
for (const m of routes.matchAll(/"((?:GET|POST|PUT|PATCH|DELETE) [^"]+)":\s*\{([\s\S]*?)\n?\s*\};?\n(?=\s*"|\})/g)) {
  const [, key, body] = m;
  checked++;
  const query = known.get(shape(key));
  if (!query) {
    problems.push(`${key} is not served`);
    continue;
  }
  const sent = /query\?: \{([^}]*)\}/.exec(body)?.[1] ?? "";
  for (const [, name] of sent.matchAll(/(\w+)\?:/g)) if (!query.includes(name)) problems.push(`${key} has no query parameter "${name}"`);
}
for (const p of problems) console.error(`contract: ${p}`);
console.log(`contract: ${checked} calls, ${problems.length} problems`);
process.exit(problems.length ? 1 : 0);
