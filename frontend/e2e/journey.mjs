// What a person does, in one go and without a reload: filter, keyboard, palette, plan, sync with live progress, logs,
// rollback, settings conflict, theme, sign-out. Changes data: for the mock server or a demo installation only.
import { BASE_URL, launch, signIn, storedSecrets } from "./browser.mjs";

const results = { passed: 0, failed: 0 };
const { browser, problems, close } = await launch();
const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(15_000);

async function step(name, run) {
  try {
    await run();
    if (problems.length) throw new Error(problems.splice(0).join("; "));
    results.passed++;
    console.log(`ok   ${name}`);
  } catch (e) {
    results.failed++;
    console.log(`FAIL ${name}: ${e.message.split("\n").slice(0, 4).join(" ")}`);
    await page.screenshot({ path: `/tmp/df-journey-${results.failed}.png` }).catch(() => {});
  }
}
const ensure = (value, text) => {
  if (!value) throw new Error(text);
};
const api = (method, path, body, headers = {}) =>
  page.evaluate(
    async ([m, p, b, h]) => {
      const r = await fetch(`/api/v1${p}`, { method: m, headers: { "X-DF-CSRF": "1", "Content-Type": "application/json", ...h }, body: b ? JSON.stringify(b) : undefined });
      return { status: r.status, body: await r.json().catch(() => null) };
    },
    [method, path, body, headers],
  );

await step("a wrong password is refused in words", async () => {
  await page.goto(`${BASE_URL}/applications`);
  await page.waitForURL(/\/login\?next=/);
  await page.getByLabel("User name or e-mail").fill("admin");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("User name or password is wrong.").waitFor();
});
await step("sign in", () => signIn(page));
await step("the live connection stands", () => page.locator("[data-link=live]").waitFor());

const apps = (await api("GET", "/applications")).body.items;
const target = apps.find((a) => a.sync.status === "OutOfSync" && a.lastDeployment) ?? apps[0];

await step("filter by keyboard, kept in the URL", async () => {
  await page.getByLabel("Filter applications").waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type(target.name.slice(0, 5));
  await page.waitForURL(/[?&]q=/);
  await page.keyboard.press("Escape");
  await page.getByRole("link", { name: new RegExp(target.name) }).first().waitFor();
});
await step("j and Enter open the application", async () => {
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/applications\/[0-9a-f-]{36}/);
});
await step("palette finds a page", async () => {
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("contain");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/containers/);
});
await step("plan shows causes, sync runs live to its end", async () => {
  await page.goto(`${BASE_URL}/applications/${target.id}`);
  let loads = 0;
  page.on("framenavigated", () => loads++);
  await page.getByRole("button", { name: "Sync", exact: true }).click();
  await page.getByRole("dialog").waitFor();
  await page.getByRole("button", { name: /^Run \d+ operation/ }).click();
  await page.locator("[data-part=operation]").waitFor();
  await page.locator("[data-part=operation] [data-state=succeeded]").first().waitFor();
  await page.locator("[data-part=operation]").waitFor({ state: "detached", timeout: 60_000 });
  await page.locator("header [data-status=Synced]").waitFor();
  await page.locator("header [data-status=Healthy]").waitFor();
  await page.getByText(/^Sync of .* finished/).waitFor();
});
await step("history gained an entry", async () => {
  await page.getByRole("tab", { name: "History" }).click();
  await page.getByText("running now").waitFor();
});
await step("rollback asks and starts", async () => {
  await page.getByRole("button", { name: /Roll back to number/ }).first().click();
  await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
  await page.locator("[data-part=operation]").waitFor();
  await page.locator("[data-part=operation]").waitFor({ state: "detached", timeout: 60_000 });
});
await step("log: follow stops on scroll up, counts new lines, goes back", async () => {
  await page.getByRole("tab", { name: "Logs" }).click();
  await page.locator(".df-log-row").nth(5).waitFor();
  await page.locator(".df-log-view").hover();
  await page.mouse.wheel(0, -800);
  await page.locator(".df-log-follow").waitFor();
  await page.waitForFunction(() => /\d+ new line/.test(document.querySelector(".df-log-follow")?.textContent ?? ""));
  await page.locator(".df-log-follow").click();
  await page.locator(".df-log-follow").waitFor({ state: "detached" });
});
await step("log: search counts, marks, steps and filters", async () => {
  await page.getByLabel("Search in log").fill("error|timed");
  await page.getByLabel("Regular expression").click();
  await page.waitForFunction(() => Number(document.querySelector(".df-log-count")?.textContent?.replace(/\D/g, "")) > 0);
  await page.getByLabel("Next match").click();
  await page.locator(".df-log-row.now mark").first().waitFor();
  await page.getByLabel("Show matching lines only").click();
  ensure((await page.locator(".df-log-row").count()) === (await page.locator(".df-log-row:has(mark)").count()), "filtered rows without a match");
});
await step("settings: a conflict is merged", async () => {
  await page.getByRole("tab", { name: "Settings" }).click();
  await page.getByLabel("Environment").fill("canary");
  const now = (await api("GET", `/applications/${target.id}`)).body;
  const other = await api("PATCH", `/applications/${target.id}`, { branch: "release" }, { "If-Match": `"${now.version}"` });
  ensure(other.status === 200, `second editor got ${other.status}`);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("button", { name: "Save merged" }).click();
  await page.getByText("Settings saved").waitFor();
  const after = (await api("GET", `/applications/${target.id}`)).body;
  ensure(after.branch === "release" && after.environment.name === "canary", `merged to ${after.branch}, ${after.environment.name}`);
});
await step("new application: the server's error lands at its field", async () => {
  await page.goto(`${BASE_URL}/applications/new`);
  await page.getByLabel("Name").fill(target.name);
  await page.getByLabel("Repository").click();
  await page.getByRole("option").first().click();
  await page.getByRole("button", { name: "Create application" }).click();
  await page.getByText(/exists/).waitFor();
});
await step("a container restarts as a task", async () => {
  await page.goto(`${BASE_URL}/containers?state=running`);
  await page.getByRole("button", { name: /^Restart / }).first().click();
  await page.getByText(/^Restart of .* done/).waitFor();
});
await step("theme switches without a reload", async () => {
  await page.getByRole("button", { name: /^Theme/ }).click();
  await page.getByRole("menuitem", { name: "Dark" }).click();
  ensure((await page.locator("html").getAttribute("data-theme")) === "dark", "not dark");
});
await step("no credential in web storage", async () => {
  const found = await storedSecrets(page);
  ensure(!found.length, found.join(", "));
});
await step("after sign-out nothing is shown, also by the back button", async () => {
  await page.getByRole("button", { name: /^Account of/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.waitForURL(/\/login/);
  await page.goBack();
  await page.waitForURL(/\/login/);
});
await close();
console.log(`${results.passed} passed, ${results.failed} failed, 0 skipped`);
process.exit(results.failed ? 1 : 0);
