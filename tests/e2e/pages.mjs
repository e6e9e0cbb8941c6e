// Every page once, in both themes and at desktop and phone width: axe, CSP and page errors, nothing too wide.
import { axe, BASE_URL, storedSecrets } from "../../frontend/e2e/browser.mjs";

const ALL = /./;
// What changes its form on a phone: tables to cards, the tree to an outline, dialogs and logs to the whole screen.
const PHONE = /^\/applications$|layers=|sync=open|\/(logs|settings|history)$|^\/containers$|^\/settings\/users|^\/activity/;
const VIEWS = [
  ["light", { width: 1440, height: 900 }, ALL],
  ["dark", { width: 390, height: 844 }, ALL],
  ["dark", { width: 1440, height: 900 }, PHONE],
  ["light", { width: 390, height: 844 }, PHONE],
];

export async function pages({ server, browser, page, step }) {
  const [apps, containers, nodes, repositories] = await Promise.all(["applications", "containers", "nodes", "repositories"].map(async (k) => (await server.call("GET", `/${k}?limit=50`)).items));
  const shop = apps.find((a) => a.name === "shop") ?? apps[0];
  const box = containers.find((c) => c.state === "running");
  const paths = [
    "/applications",
    "/applications?view=table",
    "/applications/new",
    ...["?layers=network,volume,image", "/diff", "/history", "/logs", "/events", "/manifest", "/settings", "?sync=open"].map((p) => `/applications/${shop?.id}${p}`),
    "/containers",
    `/containers/${box?.id}`,
    `/containers/${box?.id}/inspect`,
    `/nodes?node=${nodes[0]?.id}`,
    `/repositories?repository=${repositories[0]?.id}`,
    "/repositories?new=1",
    "/activity",
    "/tasks",
    "/settings/sessions",
    "/settings/tokens",
    "/settings/users",
    "/nowhere",
  ];
  for (const [mode, viewport, chosen] of VIEWS) {
    await page.setViewportSize(viewport);
    await page.evaluate((m) => localStorage.setItem("mui-mode", m), mode);
    for (const path of paths.filter((p) => chosen.test(p))) {
      await step(`${path.replace(/[0-9a-f]{64}|[0-9a-f]{8}-[0-9a-f-]{27}/g, "ID")} ${mode} ${viewport.width}`, async () => {
        await page.goto(BASE_URL + path);
        await page.locator("main h1, main h2").first().waitFor();
        await page.waitForTimeout(400);
        const found = await axe(page);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 1) found.push(`${wide} px too wide`);
        const failure = page.locator("[data-part=failure]");
        if (await failure.count()) found.push(`shows an error: ${await failure.first().textContent()}`);
        if (found.length) throw new Error(found.join("; "));
      });
    }
  }
  await page.setViewportSize(VIEWS[0][1]);
  await step("nothing moves when motion is not wanted", async () => {
    await page.emulateMedia({ reducedMotion: "reduce" });
    await page.goto(`${BASE_URL}/applications`);
    await page.locator("main h1").waitFor();
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").waitFor();
    const moving = await page.evaluate(() => document.getAnimations().filter((a) => a.playState === "running").length);
    await page.keyboard.press("Escape");
    await page.emulateMedia({ reducedMotion: null });
    if (moving) throw new Error(`${moving} animations run`);
  });
  await step("a lost connection is told, and mended by itself", async () => {
    const tab = await browser.newPage();
    const sockets = [];
    let away = false;
    await tab.routeWebSocket(/\/ws\/v1\/events/, (ws) => {
      if (away) return void ws.close({ code: 1012 });
      sockets.push(ws);
      ws.connectToServer();
    });
    await tab.goto(`${BASE_URL}/applications`);
    await tab.locator("[data-link=live]").waitFor();
    away = true;
    for (const ws of sockets) await ws.close({ code: 1012 });
    await tab.locator("[data-link=reconnecting]").getByText(/Reconnecting/).waitFor();
    away = false;
    await tab.locator("[data-link=live]").waitFor({ timeout: 40_000 });
    await tab.close();
  });
  await step("no credential in web storage, no service worker", async () => {
    const found = await storedSecrets(page);
    const workers = await page.evaluate(async () => (await navigator.serviceWorker?.getRegistrations?.())?.length ?? 0);
    if (found.length || workers) throw new Error(`${found.join(", ")} ${workers} workers`);
  });
}
