// The pictures of docs/images, from a real server with a believable state.
import { mkdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BASE_URL, signIn } from "../../frontend/e2e/browser.mjs";
import { PASSWORD, until } from "./server.mjs";
import { FILES, World } from "./world.mjs";

const OUT = fileURLToPath(new URL("../../docs/images/", import.meta.url));
const LIMIT = 250 * 1024;

export async function shots({ server, page, setWorld }) {
  mkdirSync(OUT, { recursive: true });
  await signIn(page);
  await server.login("admin@localhost", PASSWORD);
  const world = await World.make(server);
  setWorld(world);
  const shop = await world.application("shop", true);
  const app = (id) => server.call("GET", `/applications/${id}`);
  const settled = (id) => until("it runs", async () => {
    const a = await app(id);
    return a.health.status === "Healthy" && a.sync.deployedCommit === world.head && !a.operation;
  }, 90_000);
  await settled(shop.id);
  await world.push("Shop 1.4.1: a new front page", FILES.shop("1.4.1"));
  await settled(shop.id);
  const blog = await world.application("blog", true);
  const status = await world.application("status", false);
  await settled(blog.id);
  await until("the plan is known", async () => (await app(status.id)).sync.status === "OutOfSync");
  await world.application("payments", true); // its folder does not exist: the one that needs a hand
  await until("the error is known", async () => (await server.call("GET", "/applications?q=payments")).items[0]?.error);
  const now = await app(shop.id);
  await server.call("PATCH", `/applications/${shop.id}`, { syncPolicy: { automated: false, prune: true, selfHeal: false } }, { "If-Match": `"${now.version}"` });
  await world.push("Shop 1.5.0: faster checkout", FILES.shop("1.5.0"));
  await until("the new commit is seen", async () => (await app(shop.id)).sync.status === "OutOfSync");
  const worker = (await server.call("GET", `/applications/${shop.id}/resources`)).nodes.find((n) => n.kind === "container" && /worker/.test(n.name));
  const desk = { width: 1440, height: 900 };
  const phone = { width: 390, height: 844 };
  // Few and telling; each theme and size is there once.
  for (const [name, mode, viewport, path] of [
    ["application", "light", desk, `/applications/${shop.id}?layers=network,volume`],
    ["application-dark", "dark", desk, `/applications/${shop.id}?layers=network,volume&resource=service:web`],
    ["applications", "light", desk, "/applications"],
    ["plan", "light", desk, `/applications/${shop.id}?sync=open`],
    ["logs", "dark", desk, `/applications/${shop.id}/logs?container=${encodeURIComponent(worker.id)}`],
    ["phone", "dark", phone, `/applications/${shop.id}`],
  ]) {
    await page.setViewportSize(viewport);
    await page.evaluate((m) => localStorage.setItem("mui-mode", m), mode);
    await page.goto(BASE_URL + path);
    await page.locator("main h1").first().waitFor();
    await page.mouse.move(0, 0);
    await page.waitForTimeout(1800);
    const file = `${OUT}${name}.png`;
    await page.screenshot({ path: file });
    if (statSync(file).size > LIMIT) throw new Error(`${file} is larger than ${LIMIT} bytes`);
  }
}
