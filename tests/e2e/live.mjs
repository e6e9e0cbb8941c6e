// The demo's application seen by a person who pushes, breaks things and never reloads the page. Called by tests/e2e/run.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BASE_URL, launch, signIn } from "../../frontend/e2e/browser.mjs";

const CLONE = join(process.env.DF_E2E_DIR, "shop");
const results = { passed: 0, failed: 0 };
const { browser, problems, close } = await launch();
const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(60_000);

const run = (program, ...args) => execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
const git = (...args) => run("git", "-C", CLONE, ...args);
const ensure = (value, text) => {
  if (!value) throw new Error(text);
};
async function step(name, work) {
  try {
    await work();
    if (problems.length) throw new Error(problems.splice(0).join("; "));
    results.passed++;
    console.log(`ok   ${name}`);
  } catch (e) {
    results.failed++;
    console.log(`FAIL ${name}: ${e.message.split("\n").slice(0, 4).join(" ")}`);
    await page.screenshot({ path: join(process.env.DF_E2E_DIR, `live-${results.failed}.png`) }).catch(() => {});
  }
}

/** Changes a file of the working copy, commits, pushes; the commit. */
function push(file, change, message) {
  const path = join(CLONE, file);
  const before = readFileSync(path, "utf8");
  const after = change(before);
  ensure(after !== before, `${file} did not change`);
  writeFileSync(path, after);
  git("commit", "-q", "-a", "-m", message);
  git("push", "-q");
  return git("rev-parse", "HEAD");
}
const api = (path) => page.evaluate(async (p) => (await fetch(`/api/v1${p}`)).json(), path);
const shows = (status) => page.locator(`header [data-status=${status}], main [data-status=${status}]`).first().waitFor();
const web = () => run("docker", "ps", "-q", "--no-trunc", "--filter", "label=com.docker.compose.project=shop", "--filter", "label=com.docker.compose.service=web");
const pageOf = async () => {
  const port = /127\.0\.0\.1:(\d+):8080/.exec(readFileSync(join(CLONE, "compose.yaml"), "utf8"))[1];
  return fetch(`http://127.0.0.1:${port}/`).then((r) => r.text(), () => "");
};
async function until(look, what, seconds = 60) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    if (await look()) return;
    await new Promise((r) => setTimeout(r, 200));
  }
  throw new Error(`${what} did not happen in ${seconds} s`);
}
const settled = (app, commit) =>
  until(async () => {
    const a = await api(`/applications/${app}`);
    return a.sync.status === "Synced" && a.health.status === "Healthy" && !a.operation && (!commit || a.sync.deployedCommit === commit);
  }, `Synced and Healthy${commit ? ` at ${commit}` : ""}`);

let app;
let loads = 0;
await step("sign in, open the application, the connection stands", async () => {
  await signIn(page);
  await page.locator("[data-link=live]").waitFor();
  app = (await api("/applications")).items.find((a) => a.name === "shop");
  ensure(app, "there is no application shop");
  await page.goto(`${BASE_URL}/applications/${app.id}`);
  await shows("Synced");
  await shows("Healthy");
  page.on("load", () => loads++);
});
await step("a push replaces the container; the page follows without a reload", async () => {
  const before = web();
  const sha = push("web/www/index.html", (t) => t.replace(/<h1>.*<\/h1>/, `<h1>Pushed at ${Date.now()}</h1>`), "another page");
  await page.getByText(sha.slice(0, 7)).first().waitFor();
  await settled(app.id, sha);
  ensure(web() !== before && web() !== "", "the container is the old one");
  ensure((await pageOf()) === readFileSync(join(CLONE, "web/www/index.html"), "utf8"), "the old page is served");
  await shows("Synced");
  await shows("Healthy");
});
await step("a killed container shows as drift and is repaired", async () => {
  run("docker", "kill", web());
  await page.locator("[data-status=OutOfSync], [data-status=Degraded], [data-status=Missing], [data-status=Progressing]").first().waitFor();
  await until(() => web() !== "", "a running container");
  await settled(app.id);
  await shows("Healthy");
});
let place;
await step("a broken Compose file shows file, line and column in UI, API and command line", async () => {
  const sha = push("compose.yaml", (t) => t.replace("    build: ./web", "    biuld: ./web"), "a typo");
  const line = readFileSync(join(CLONE, "compose.yaml"), "utf8").split("\n").findIndex((l) => l.includes("biuld")) + 1;
  place = new RegExp(`compose\\.yaml:${line}:\\d+`);
  await page.locator("[data-part=place]").filter({ hasText: place }).waitFor();
  const { error } = await api(`/applications/${app.id}`);
  ensure(error && error.details.file.endsWith("compose.yaml") && Number(error.details.line) === line && Number(error.details.column) > 0, `API says ${JSON.stringify(error)} about ${sha}`);
  let said = "";
  try {
    said = run(process.env.DF_CLI_BIN ?? "build/dev/dsctl", "compose", "config", "-q", "-f", join(CLONE, "compose.yaml"));
  } catch (e) {
    said = `${e.stdout}${e.stderr}`;
  }
  ensure(place.test(said), `dsctl says ${said}`);
  ensure(web() !== "", "what ran before does not run any more");
});
await step("mended, it is deployed again", async () => {
  const sha = push("compose.yaml", (t) => t.replace("    biuld: ./web", "    build: ./web"), "mended");
  await settled(app.id, sha);
  await page.locator("[data-part=place]").waitFor({ state: "detached" });
});
await step("all this without a reload", async () => ensure(loads === 0, `the page was loaded ${loads} times`));
await close();
console.log(`${results.passed} passed, ${results.failed} failed, 0 skipped`);
process.exit(results.failed ? 1 : 0);
