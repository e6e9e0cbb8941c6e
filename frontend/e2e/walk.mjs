// Walks every page in both themes and two sizes: screenshots, axe, CSP and page errors. Ends with one closing line.
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { axe, BASE_URL, launch, signIn, storedSecrets } from "./browser.mjs";

const OUT = process.env.DF_E2E_OUT ?? fileURLToPath(new URL("out/", import.meta.url));
const ONLY = process.env.DF_E2E_ONLY;
const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };
mkdirSync(OUT, { recursive: true });

const results = { passed: 0, failed: 0, skipped: 0 };
function check(name, problems) {
  if (problems.length) {
    results.failed++;
    console.log(`FAIL ${name}`);
    for (const p of problems) console.log(`     ${p}`);
  } else results.passed++;
}

const { browser, problems, close } = await launch();
const page = browser.pages()[0] ?? (await browser.newPage());
const drain = () => problems.splice(0);

const setTheme = (mode) => page.evaluate((m) => localStorage.setItem("mui-mode", m), mode);
const settle = async () => {
  await page.waitForLoadState("networkidle", { timeout: 1200 }).catch(() => {});
  await page.waitForTimeout(350);
};

async function firstId(kind) {
  const list = await page.evaluate(async (k) => (await (await fetch(`/api/v1/${k}?limit=50`)).json()).items, kind);
  return list ?? [];
}

try {
  for (const mode of ["light", "dark"]) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      await browser.clearCookies();
      await page.setViewportSize(viewport);
      await page.goto(`${BASE_URL}/login`);
      await setTheme(mode);
      await page.goto(`${BASE_URL}/login`);
      await settle();
      const shot = (name) => page.screenshot({ path: `${OUT}/${name}-${mode}-${size}.png` });
      await shot("login");
      check(`login ${mode} ${size}`, [...drain(), ...(await axe(page))]);
      await signIn(page);
      const apps = await firstId("applications");
      const containers = await firstId("containers");
      const app = apps.find((a) => a.sync.status === "OutOfSync" && a.lastDeployment) ?? apps.find((a) => a.lastDeployment) ?? apps[0];
      const big = apps.find((a) => a.name === "storefront") ?? app;
      const broken = apps.find((a) => a.error);
      const box = containers.find((c) => c.state === "running") ?? containers[0];
      const nodes = await firstId("nodes");
      const repositories = await firstId("repositories");
      const pages = [
        ["applications", "/applications"],
        ["applications-table", "/applications?view=table"],
        ["application-new", "/applications/new"],
        big && ["application-tree", `/applications/${big.id}?layers=network,volume,image`],
        big && ["application-history", `/applications/${big.id}/history`],
        big && ["application-logs", `/applications/${big.id}/logs`],
        big && ["application-events", `/applications/${big.id}/events`],
        big && ["application-manifest", `/applications/${big.id}/manifest`],
        big && ["application-settings", `/applications/${big.id}/settings`],
        app && ["application-diff", `/applications/${app.id}/diff`],
        app && ["application-plan", `/applications/${app.id}?sync=open`],
        broken && ["application-error", `/applications/${broken.id}`],
        ["containers", "/containers"],
        box && ["container-logs", `/containers/${box.id}`],
        box && ["container-inspect", `/containers/${box.id}/inspect`],
        ["nodes", "/nodes"],
        nodes[0] && ["node", `/nodes?node=${nodes[0].id}`],
        ["repositories", "/repositories"],
        repositories[0] && ["repository", `/repositories?repository=${repositories[0].id}`],
        ["repository-new", "/repositories?new=1"],
        ["activity", "/activity"],
        ["tasks", "/tasks"],
        ["settings-sessions", "/settings/sessions"],
        ["settings-tokens", "/settings/tokens"],
        ["settings-users", "/settings/users"],
        ["not-found", "/nowhere"],
      ];
      for (const entry of pages) {
        if (!entry) {
          results.skipped++;
          continue;
        }
        const [name, path] = entry;
        if (ONLY && !name.includes(ONLY)) continue;
        await page.goto(BASE_URL + path);
        await settle();
        await shot(name);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        check(`${name} ${mode} ${size}`, [...drain(), ...(await axe(page)), ...(wide > 1 ? [`the page is ${wide}px too wide`] : [])]);
      }
      check(`storage ${mode} ${size}`, await storedSecrets(page));
    }
  }
} finally {
  await close();
}
console.log(`${results.passed} passed, ${results.failed} failed, ${results.skipped} skipped`);
process.exit(results.failed ? 1 : 0);
