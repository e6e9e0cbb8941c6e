// suite.mjs [shots]: the parts in order against one server; ends with the closing line of the suite.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Server, USER, FIRST_PASSWORD, PASSWORD } from "./server.mjs";

const server = await Server.start();
Object.assign(process.env, { BASE_URL: server.url, DF_E2E_USER: USER, DF_E2E_PASSWORD: FIRST_PASSWORD, DF_E2E_NEW_PASSWORD: PASSWORD });
const { launch } = await import("../../frontend/e2e/browser.mjs");

const results = { passed: 0, failed: 0, skipped: 0 };
const { browser, problems, close } = await launch();
const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(15_000);

let stopping = false;
let world = null;
async function finish(code) {
  if (stopping) return;
  stopping = true;
  await close().catch(() => {});
  const ended = await server.stop().catch((e) => e.message);
  if (ended !== 0) {
    results.failed++;
    console.log(`FAIL the server ends in order: ${ended}`);
  }
  try {
    world?.clean();
  } catch (e) {
    console.log(`     left on the engine: ${e.message.split("\n")[0]}`);
  }
  console.log(`${results.passed} passed, ${results.failed} failed, ${results.skipped} skipped`);
  process.exit(code ?? (results.failed ? 1 : 0));
}
process.on("SIGTERM", () => void finish(143));
process.on("SIGINT", () => void finish(130));
process.on("uncaughtException", (e) => {
  if (stopping) return; // what was under way loses its browser
  console.log(`FAIL ${e?.stack ?? e}`);
  results.failed++;
  void finish(1);
});

/** One check: its own failure, or what the page complained about meanwhile. */
async function step(name, run) {
  const started = Date.now();
  try {
    await run();
    if (problems.length) throw new Error(problems.splice(0).join("; "));
    results.passed++;
    console.log(`ok   ${name} (${Date.now() - started} ms)`);
    return true;
  } catch (e) {
    problems.length = 0;
    results.failed++;
    console.log(`FAIL ${name}: ${e.message.split("\n").slice(0, 5).join(" ")}`);
    const shots = process.env.DF_E2E_OUT;
    if (shots) await page.screenshot({ path: `${shots}/failed-${results.failed}.png` }).catch(() => {});
    await page.keyboard.press("Escape").catch(() => {}); // a dialog left open would fail the next steps, too
    return false;
  }
}
const skip = (name, why) => {
  results.skipped++;
  console.log(`skip ${name}: ${why}`);
};

const context = { server, browser, page, step, skip, problems, setWorld: (w) => (world = w) };
if (process.argv[2] === "shots") {
  const { shots } = await import("./shots.mjs");
  await step("pictures", () => shots(context));
} else {
  await step("the UI was built for the OpenAPI document that is served", () => {
    const r = spawnSync("node", ["scripts/gen-api.mjs", "--check", `${server.url}/api/v1/openapi.json`], {
      cwd: fileURLToPath(new URL("../../frontend", import.meta.url)),
      encoding: "utf8",
      timeout: 60_000,
    });
    if (r.status !== 0) throw new Error((r.stderr + r.stdout).slice(-1500));
  });
  const { journey } = await import("./journey.mjs");
  await journey(context);
  const { attacks, leaving } = await import("./attacks.mjs");
  await attacks(context);
  const { pages } = await import("./pages.mjs");
  await pages(context);
  await leaving(context);
}
await finish();
