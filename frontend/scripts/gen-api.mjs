// Makes src/api/openapi.d.ts from the server's OpenAPI document (`dockflow --openapi`): src/api/types.ts and routes.ts are
// derived from it, so that tsc finds what the server and the UI do not agree on.
//   node scripts/gen-api.mjs [FILE or URL]           default: $OPENAPI, else ../build/openapi.json, which ./dev build writes
//   node scripts/gen-api.mjs --check FILE or URL     only compares: is the file there made from this document?
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const args = process.argv.slice(2);
const check = args[0] === "--check";
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const source = args[check ? 1 : 0] ?? process.env.OPENAPI ?? here("../../build/openapi.json");
const out = process.env.OPENAPI_OUT ?? here("../src/api/openapi.d.ts");
const remote = /^https?:/.test(source);

if (!remote && !existsSync(source)) {
  console.error(`${source} is not there: \`./dev build\` writes it, or any server: dockflow --openapi`);
  process.exit(1);
}
const document = JSON.parse(remote ? await (await fetch(source)).text() : readFileSync(source, "utf8"));
const made = createHash("sha256").update(JSON.stringify(document)).update(readFileSync(here("gen-api.mjs"))).digest("hex");
const head = `// Made by scripts/gen-api.mjs: do not edit. ${made}\n`;
const same = existsSync(out) && readFileSync(out, "utf8").startsWith(head);
if (check) {
  console.log(same ? "contract: the UI was made for this document" : "contract: the UI was made for another document");
  process.exit(same ? 0 : 1);
}
// An equal file keeps its time: nothing is built again because of it.
if (!same) {
  const { default: openapiTS, astToString } = await import("openapi-typescript");
  writeFileSync(out, head + astToString(await openapiTS(document, { defaultNonNullable: false })));
}
console.log(`contract: ${Object.keys(document.paths).length} paths, ${same ? "as before" : "types made"}`);
