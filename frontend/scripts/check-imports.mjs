// Keeps the direction of imports: api <- live <- ui <- features/<area> <- app; a feature never sees another feature.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const src = fileURLToPath(new URL("../src", import.meta.url));
const allowed = { api: ["api"], live: ["live", "api"], ui: ["ui", "live", "api"], features: ["ui", "live", "api"] };

function* files(dir) {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* files(path);
    else if (/\.tsx?$/.test(entry.name)) yield path;
  }
}

const parts = (path) => relative(src, path).split(sep);
const problems = [];
let checked = 0;
for (const file of files(src)) {
  checked++;
  const [area, sub] = parts(file);
  const text = readFileSync(file, "utf8");
  for (const [, spec] of text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
    const target = spec.startsWith("@/") ? join(src, spec.slice(2)) : spec.startsWith(".") ? resolve(dirname(file), spec) : null;
    if (!target || !(area in allowed)) continue;
    const [toArea, toSub] = parts(target);
    const sameFeature = area === "features" && toArea === "features" && sub === toSub;
    if (!sameFeature && !allowed[area].includes(toArea)) problems.push(`${relative(src, file)} may not import ${spec}`);
  }
}
for (const line of problems) console.error(`import direction: ${line}`);
console.log(`import direction: ${checked} files, ${problems.length} problems`);
process.exit(problems.length ? 1 : 0);
