// One person's day in one page: nothing here reloads it after the sign-in.
import { axe, BASE_URL, signIn, storedSecrets } from "../../frontend/e2e/browser.mjs";
import { PASSWORD, until } from "./server.mjs";
import { docker, FILES, World } from "./world.mjs";

const ensure = (value, text) => {
  if (!value) throw new Error(text);
};

export async function journey({ server, page, step, setWorld }) {
  let world, shop;
  const chip = (status, ms = 60_000) => page.locator(`header [data-status=${status}]`).first().waitFor({ timeout: ms });
  const tab = (name) => page.getByRole("tab", { name, exact: true }).click();
  // Only a new document loses this mark.
  const mark = () => page.evaluate(() => void (window.__mark = 1));
  const unmoved = async () => ensure(await page.evaluate(() => window.__mark === 1), "the page was loaded again");
  const app = () => server.call("GET", `/applications/${shop.id}`);
  const idle = () => until("the operation ends", async () => !(await app()).operation, 60_000);
  const go = async (name) => {
    await page.getByRole("navigation").first().getByRole("link", { name, exact: true }).click();
  };

  await step("a wrong password is refused in words", async () => {
    await page.goto(`${BASE_URL}/applications`);
    await page.waitForURL(/\/login\?next=/);
    await page.getByLabel("User name or e-mail").fill("admin@localhost");
    await page.getByLabel("Password").fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("User name or password is wrong.").waitFor();
  });
  await step("sign in with the forced change of the first password", async () => {
    await signIn(page);
    await mark();
    await server.login("admin@localhost", PASSWORD);
  });
  await step("the live connection stands", () => page.locator("[data-link=live]").waitFor());
  await step("a first look says what to do next", () => page.getByRole("link", { name: /New application|Create/ }).or(page.getByRole("button", { name: /New application|Create/ })).first().waitFor());

  await step("an application made elsewhere appears in the list", async () => {
    world = await World.make(server);
    setWorld(world);
    shop = await world.application("shop", false);
    await page.getByRole("link", { name: /shop/ }).first().waitFor();
  });
  await step("filter by keyboard, kept in the URL", async () => {
    await page.keyboard.press("/");
    await page.keyboard.type("sho");
    await page.waitForURL(/[?&]q=/);
    await page.keyboard.press("Escape");
  });
  await step("j and Enter open the application", async () => {
    await page.getByRole("link", { name: /shop/ }).first().waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(`/applications/${shop.id}`));
    await chip("OutOfSync");
  });
  await step("the plan comes before the sync, with its causes", async () => {
    await page.getByRole("button", { name: "Sync", exact: true }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(world.head.slice(0, 12)).waitFor();
    await dialog.getByText("Shop: page, interface, worker and store").waitFor();
    await dialog.getByRole("button", { name: /^Run \d+ operations/ }).waitFor();
    ensure(!world.containers("shop").length, "something was made before the plan was approved");
  });
  await step("the sync shows its operations live to the end", async () => {
    await page.getByRole("button", { name: /^Run \d+ operations/ }).click();
    await page.locator("[data-part=operation]").waitFor();
    await page.locator("[data-part=operation] [data-state=succeeded]").first().waitFor({ timeout: 30_000 });
    await page.locator("[data-part=operation]").waitFor({ state: "detached", timeout: 60_000 });
    await page.getByText(/^Sync of shop finished/).first().waitFor();
    await chip("Synced");
    await chip("Healthy");
    ensure(world.containers("shop").every((c) => c.state === "running"), "a container does not run");
    await unmoved();
  });
  await step("the tree shows services and containers", async () => {
    for (const service of ["web", "api", "store", "worker"]) await page.locator(".react-flow__node", { hasText: service }).first().waitFor();
    await page.getByRole("button", { name: /Volumes/ }).click();
    await page.locator(".react-flow__node", { hasText: /data/ }).first().waitFor();
    await page.getByRole("button", { name: /Volumes/ }).click();
    const nodes = await axe(page);
    ensure(!nodes.length, nodes.join("; "));
  });
  await step("an object says which lines describe it", async () => {
    await page.locator(".react-flow__node", { hasText: /^web/ }).first().click();
    await page.getByRole("link", { name: /^shop\/compose\.yaml:\d+$/ }).waitFor();
    await page.getByRole("tab", { name: "Source" }).click();
    await page.getByRole("region", { name: /shop\/compose\.yaml:/ }).getByText("RELEASE").waitFor();
    const found = await axe(page);
    ensure(!found.length, found.join("; "));
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  });
  await step("logs follow live; scrolling up holds them, one click goes back", async () => {
    await tab("Logs");
    await page.getByLabel("Container", { exact: true }).click();
    await page.getByRole("option", { name: /worker/ }).click();
    await page.locator(".df-log-row").nth(10).waitFor();
    const seen = await page.locator(".df-log-view").evaluate((e) => e.scrollHeight);
    await page.waitForFunction((h) => document.querySelector(".df-log-view").scrollHeight > h, seen);
    await page.locator(".df-log-view").hover();
    await until("the log can be scrolled", async () => (await page.locator(".df-log-view").evaluate((e) => e.scrollHeight - e.clientHeight)) > 400);
    await page.mouse.wheel(0, -300);
    await page.locator(".df-log-follow").waitFor();
    await page.waitForFunction(() => /\d+ new line/.test(document.querySelector(".df-log-follow")?.textContent ?? ""));
    await page.locator(".df-log-follow").click();
    await page.locator(".df-log-follow").waitFor({ state: "detached" });
  });
  await step("log search counts, marks and filters; colours are spans", async () => {
    await page.getByLabel("Search in log").fill("timed|slow");
    await page.getByLabel("Regular expression").click();
    await page.waitForFunction(() => Number(document.querySelector(".df-log-count")?.textContent?.replace(/\D/g, "")) > 0);
    await page.getByLabel("Next match").click();
    await page.locator(".df-log-row.now mark").first().waitFor();
    await page.getByLabel("Show matching lines only").click();
    await page.getByLabel("Search in log").fill("");
    await page.locator(".df-log-row.stderr").first().waitFor();
  });
  await step("a push replaces the container in the browser without a reload", async () => {
    const settings = await app();
    await server.call("PATCH", `/applications/${shop.id}`, { syncPolicy: { automated: true, prune: true, selfHeal: true } }, { "If-Match": `"${settings.version}"` });
    await tab("Tree");
    const before = world.containers("shop").find((c) => c.service === "web").id;
    const head = await world.push("Shop 1.4.1: a new page", FILES.shop("1.4.1"));
    await page.getByRole("button", { name: new RegExp(head.slice(0, 12)) }).or(page.getByText(head.slice(0, 12))).first().waitFor({ timeout: 30_000 });
    await until("the container is another one", () => world.containers("shop").some((c) => c.service === "web" && c.id !== before && c.state === "running"), 40_000);
    await idle();
    await chip("Synced");
    await chip("Healthy");
    await page.locator("[data-part=operation]").waitFor({ state: "detached" });
    const now = world.containers("shop").find((c) => c.service === "web").id;
    await page.locator(`.react-flow__node`, { hasText: /web/ }).nth(1).click();
    await page.getByText(now.slice(0, 12)).first().waitFor();
    await page.keyboard.press("Escape");
    await unmoved();
  });
  await step("docker kill shows drift and heals itself in the browser", async () => {
    await idle();
    const victim = world.containers("shop").find((c) => c.service === "api").id;
    const drift = page.locator("header [data-status=OutOfSync], header [data-status=Degraded], header [data-status=Progressing], header [data-status=Missing]").first().waitFor({ timeout: 20_000 });
    docker("kill", victim);
    await drift;
    await until("the service runs again", () => world.containers("shop").some((c) => c.service === "api" && c.state === "running"), 40_000);
    await chip("Synced");
    await chip("Healthy");
    await idle();
    await unmoved();
  });
  await step("a broken compose file is shown with file, line and column", async () => {
    await world.push("Shop 1.5.0", FILES.broken());
    const place = page.locator("[data-part=place]");
    await place.waitFor({ timeout: 20_000 });
    const text = await place.textContent();
    ensure(/^shop\/compose\.yaml:\d+:\d+$/.test(text.trim()), `the place reads ${text}`);
    ensure(world.containers("shop").every((c) => c.state === "running"), "what ran before was touched");
    await unmoved();
  });
  await step("the next good push clears the error", async () => {
    await world.push("Shop 1.5.1: port fixed", FILES.shop("1.5.1"));
    await page.locator("[data-part=error]").waitFor({ state: "detached", timeout: 20_000 });
    await until("the new release is deployed", async () => (await app()).sync.deployedCommit === world.head, 40_000);
    await idle();
    await chip("Synced");
    await chip("Healthy");
  });
  await step("history tells who, what and why", async () => {
    await tab("History");
    await page.getByText("running now").waitFor();
    for (const text of ["Shop 1.4.1: a new page", "Shop 1.5.1: port fixed", /webhook|automatic/, /self-heal/, /manual/]) await page.getByText(text).first().waitFor();
  });
  await step("rollback asks, runs and holds", async () => {
    const before = (await app()).sync.deployedCommit;
    await page.getByRole("button", { name: /Roll back to number/ }).last().click();
    await page.getByRole("dialog").getByRole("button", { name: "Roll back", exact: true }).click();
    await page.getByText(/^Rollback of .* started/).first().waitFor();
    await page.getByText(/^Rollback of .* finished/).first().waitFor({ timeout: 40_000 });
    await until("an older commit is deployed", async () => (await app()).sync.deployedCommit !== before);
    await idle();
    await page.getByText("rollback").first().waitFor();
    await unmoved();
  });
  await step("settings are one model as form and as YAML; leaving unsaved asks", async () => {
    await tab("Settings");
    await page.getByLabel("Variables").fill("TAG=7");
    await page.getByRole("button", { name: "YAML" }).click();
    const text = page.getByLabel("Settings as YAML");
    ensure(/TAG: "7"/.test(await text.inputValue()), "the form's value is not in the text");
    await text.fill(`${(await text.inputValue()).replace("automated: true", "automated: 1")}nonsense: 1\n`);
    await page.getByRole("button", { name: /\/syncPolicy\/automated/ }).waitFor();
    await page.getByRole("button", { name: /nonsense is not a known field/ }).waitFor();
    const found = await axe(page);
    ensure(!found.length, found.join("; "));
    await text.fill((await text.inputValue()).replace("automated: 1", "automated: true").replace("nonsense: 1\n", "").replace('TAG: "7"', 'TAG: "8" # later'));
    await page.getByRole("button", { name: "Form" }).click();
    ensure((await page.getByLabel("Variables").inputValue()) === "TAG=8", "the text's value is not in the form");
    await page.getByRole("tab", { name: "Logs" }).click();
    await page.getByRole("dialog").getByText("Leave without saving?").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Undo changes" }).click();
    ensure((await page.getByLabel("Variables").inputValue()) === "", "the change was not undone");
  });
  await step("settings: a second editor's change is merged", async () => {
    await tab("Settings");
    await page.getByLabel("Environment").fill("canary");
    const now = await app();
    await server.call("PATCH", `/applications/${shop.id}`, { syncPolicy: { automated: false, prune: true, selfHeal: false } }, { "If-Match": `"${now.version}"` });
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("button", { name: "Save merged" }).click();
    await page.getByText("Settings saved").waitFor();
    const after = await app();
    ensure(after.environment.name === "canary" && !after.syncPolicy.automated, `merged to ${after.environment.name}, ${after.syncPolicy.automated}`);
  });
  await step("diff and manifest show what the next sync changes", async () => {
    await tab("Diff");
    await page.getByText(/RELEASE|environment|label|nothing|No difference/i).first().waitFor();
    await tab("Manifest");
    await page.getByText(/busybox:local/).first().waitFor();
  });
  await step("new application: a taken name is told at its field, a free one runs by itself", async () => {
    await go("Applications");
    await page.getByRole("link", { name: "New application" }).or(page.getByRole("button", { name: "New application" })).first().click();
    await page.getByLabel("Name").fill("shop");
    await page.getByLabel("Repository").click();
    await page.getByRole("option").first().click();
    await page.getByLabel("Branch").fill("main");
    await page.getByLabel("Folder").fill("blog");
    await page.getByRole("button", { name: "YAML" }).click();
    ensure(/^path: blog$/m.test(await page.getByLabel("Application as YAML").inputValue()), "the folder is not in the text");
    await page.getByRole("button", { name: "Form" }).click();
    await page.getByRole("button", { name: "Create application" }).click();
    await page.getByText(/already/).first().waitFor();
    await page.getByLabel("Name").fill("blog");
    await page.getByRole("button", { name: "Create application" }).click();
    await page.waitForURL(/\/applications\/[0-9a-f-]{36}/);
    await chip("Synced");
    await chip("Healthy");
    await unmoved();
  });
  await step("palette finds a page", async () => {
    await page.keyboard.press("Control+k");
    await page.getByRole("dialog").getByRole("combobox").fill("contain");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/containers/);
  });
  await step("a container restarts as a task", async () => {
    await page.getByRole("button", { name: /^Restart / }).first().click();
    await page.getByText(/^Restart of .* (finished|done)/).first().waitFor({ timeout: 30_000 });
    await page.getByRole("button", { name: /^Restart / }).first().waitFor();
  });
  await step("rows are chosen by x, pages by g and a letter, keys explained by ?", async () => {
    await page.locator("body").click({ position: { x: 700, y: 880 } });
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await page.getByText("1 chosen").waitFor();
    await page.getByRole("button", { name: "Choose none" }).click();
    await page.getByText("1 chosen").waitFor({ state: "detached" });
    await page.locator("h1").click();
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("Choose the row").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("n");
    await page.waitForURL(/\/nodes/);
    await unmoved();
  });
  await step("activity lists what happened", async () => {
    await go("Activity");
    await page.getByText(/shop/).first().waitFor();
  });
  await step("a user is made and listed", async () => {
    await go("Settings");
    await page.getByRole("tab", { name: "Users" }).click();
    await page.getByRole("button", { name: "New user" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("User name").fill("grace");
    await dialog.getByLabel("E-mail").fill("grace@example.org");
    await dialog.getByLabel("Full name").fill("Grace Hopper");
    await dialog.getByLabel("First password").fill("a long first phrase 77");
    await dialog.getByRole("button", { name: /Create|Add/ }).click();
    await page.getByText("grace@example.org").waitFor();
  });
  await step("a token is shown once and can be revoked", async () => {
    await page.getByRole("tab", { name: /token/i }).click();
    await page.getByRole("button", { name: "New token" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name", { exact: true }).fill("deploy script");
    await dialog.getByRole("checkbox", { name: "application", exact: true }).click();
    await dialog.getByRole("button", { name: "Create token" }).click();
    const token = (await dialog.locator("code").textContent()).trim();
    ensure(/^dsp_/.test(token), `the token reads ${token.slice(0, 6)}`);
    const use = () => fetch(`${server.url}/api/v1/applications`, { headers: { Authorization: `Bearer ${token}` } });
    ensure((await use()).status === 200, "the token does not work");
    ensure(!(await storedSecrets(page)).length, "kept in the browser");
    await dialog.getByRole("button", { name: "I have copied it" }).click();
    await page.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await until("the token is refused", async () => (await use()).status === 401, 5000);
  });
  await step("the theme changes without a reload", async () => {
    await page.getByRole("button", { name: /^Theme/ }).click();
    await page.getByRole("menuitem", { name: "Dark" }).click();
    ensure((await page.locator("html").getAttribute("data-theme")) === "dark", "not dark");
    await unmoved();
  });
}
