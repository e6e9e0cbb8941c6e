// Chromium for the walks: one browser, contexts by theme and size, every violation and page error collected.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const BASE_URL = (process.env.BASE_URL ?? "http://127.0.0.1:8090").replace(/\/$/, "");
export const USER = process.env.DF_E2E_USER ?? "admin";
export const PASSWORD = process.env.DF_E2E_PASSWORD ?? "dockflow-demo-1";
export const NEW_PASSWORD = process.env.DF_E2E_NEW_PASSWORD ?? "a-new-password-for-the-walk";

export async function launch() {
  const profile = mkdtempSync(join(tmpdir(), "df-e2e-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    viewport: { width: 1440, height: 900 },
  });
  const problems = [];
  await browser.addInitScript(() => {
    addEventListener("securitypolicyviolation", (e) => console.error(`CSP violation: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
  });
  browser.on("page", (page) => watch(page, problems));
  for (const page of browser.pages()) watch(page, problems);
  const close = async () => {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { browser, problems, close };
}

function watch(page, problems) {
  page.on("pageerror", (e) => problems.push(`page error at ${page.url()}: ${e.message}`));
  page.on("console", (m) => {
    if (m.type() === "error" && !/Failed to load resource/.test(m.text())) problems.push(`console at ${page.url()}: ${m.text()}`);
  });
}

/** Signs in through the form; does the forced password change when the server asks for it. */
export async function signIn(page) {
  await page.goto(`${BASE_URL}/login`);
  await page.getByLabel("User name or e-mail").fill(USER);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => !url.pathname.startsWith("/login"));
  if (new URL(page.url()).pathname === "/change-password") {
    await page.getByLabel("Current password").fill(PASSWORD);
    await page.getByLabel("New password", { exact: true }).fill(NEW_PASSWORD);
    await page.getByLabel("New password again").fill(NEW_PASSWORD);
    await page.getByRole("button", { name: "Save password" }).click();
    await page.waitForURL((url) => url.pathname === "/applications");
  }
}

/** Serious and critical findings of axe on the page as it stands. */
export async function axe(page) {
  await page.evaluate(axeSource);
  return page.evaluate(async () => {
    // eslint-disable-next-line no-undef
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    return violations
      .filter((v) => v.impact === "serious" || v.impact === "critical")
      .map((v) => `${v.id}: ${v.help} (${v.nodes.slice(0, 3).map((n) => `${n.target.join(" ")} ${n.any?.[0]?.message ?? ""}`).join(" | ")})`);
  });
}

/** Anything in web storage that looks like a credential. */
export async function storedSecrets(page) {
  return page.evaluate(async () => {
    const all = [...Object.entries(localStorage), ...Object.entries(sessionStorage)];
    const found = all.filter(([k, v]) => /token|jwt|secret|password/i.test(k) || /eyJ[\w-]+\.|dsp_/.test(v)).map(([k]) => k);
    const databases = (await indexedDB.databases?.()) ?? [];
    return [...found, ...databases.map((db) => `indexedDB ${db.name}`)];
  });
}
