// @vitest-environment node
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

// The program looks at files beside itself; the document is what ./dev build took from the server.
const root = process.cwd();
const made = join(root, "../build/openapi.json");
const SLOW = 120_000;
let dir;

const node = (args, env = {}) => spawnSync(process.execPath, args, { cwd: root, encoding: "utf8", env: { ...process.env, ...env } });
const generate = (document, out, ...flags) => {
  const file = join(dir, "document.json");
  writeFileSync(file, JSON.stringify(document));
  return node(["scripts/gen-api.mjs", ...flags, file], { OPENAPI_OUT: join(dir, out) });
};
/** The errors of the client's own files with types made from a document. */
const compile = (document) => {
  expect(generate(document, "openapi.d.ts").status).toBe(0);
  writeFileSync(join(dir, "tsconfig.json"), JSON.stringify({ extends: "../../tsconfig.json", compilerOptions: { types: [] }, include: [], files: ["text.ts", "client.ts"] }));
  return node(["node_modules/typescript/bin/tsc", "-p", dir]).stdout;
};

describe.skipIf(!existsSync(made))("types from the server's document", () => {
  const document = () => JSON.parse(readFileSync(made, "utf8"));
  beforeAll(() => {
    dir = mkdtempSync(join(root, "node_modules/contract-")); // below node_modules: nobody else looks there
    for (const name of ["text.ts", "client.ts", "routes.ts", "types.ts"]) copyFileSync(join(root, "src/api", name), join(dir, name));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it("are the ones that the UI was built with", () => {
    expect(node(["scripts/gen-api.mjs", "--check", made]).stdout).toContain("was made for this document");
    const other = document();
    other.info.version = "another";
    const file = join(dir, "other.json");
    writeFileSync(file, JSON.stringify(other));
    const check = node(["scripts/gen-api.mjs", "--check", file]);
    expect([check.status, check.stdout]).toEqual([1, expect.stringContaining("for another document")]);
  }, SLOW);

  it("are written only when the document changed", () => {
    expect(generate(document(), "same.d.ts").stdout).toContain("types made");
    const out = join(dir, "same.d.ts");
    utimesSync(out, 1000, 1000);
    expect(generate(document(), "same.d.ts").stdout).toContain("as before");
    expect(statSync(out).mtimeMs).toBe(1_000_000);
  }, SLOW);

  it("do not compile when the server renames a field or a path", () => {
    const doc = document();
    const health = doc.components.schemas.Application.properties.health;
    health.properties.causes = health.properties.reasons;
    delete health.properties.reasons;
    health.required = health.required.map((name) => (name === "reasons" ? "causes" : name));
    expect(compile(doc)).toMatch(/text\.ts.*'reasons' does not exist/);
    expect(compile(JSON.parse(readFileSync(made, "utf8").replaceAll('PlanOp"', 'PlanOperation"')))).toMatch(/types\.ts.*'PlanOp' does not exist/);
  }, SLOW);

  it("say what is missing when there is no document", () => {
    const none = node(["scripts/gen-api.mjs", join(dir, "nothing.json")]);
    expect([none.status, none.stderr]).toEqual([1, expect.stringContaining("./dev build")]);
  }, SLOW);
});
