// What a hostile page or hostile content tries: markup in names and logs, forged requests from another origin, framing.
import { createServer } from "node:http";
import { BASE_URL } from "../../frontend/e2e/browser.mjs";
import { until } from "./server.mjs";
import { HOSTILE } from "./world.mjs";

const ensure = (value, text) => {
  if (!value) throw new Error(text);
};

// A form can't send JSON, but text that reads as JSON; the other encodings are tried for what a careless server makes of them.
const ENCODINGS = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];
const TARGETS = {
  organizations: '{"name":"forged","displayName":"',
  "auth/login": '{"username":"x","password":"',
  "auth/refresh": '{"x":"',
  "auth/logout": '{"x":"',
};
const EVIL = (target) =>
  `<!doctype html><title>elsewhere</title>` +
  Object.entries(TARGETS)
    .flatMap(([path, name]) =>
      ENCODINGS.map((e) => `<form id="${path} ${e}" method="post" enctype="${e}" action="${target}/api/v1/${path}"><input name='${name}' value='"}'></form>`),
    )
    .join("");

export async function attacks({ server, browser, page, step, problems }) {
  await server.login();
  const projects = (await server.call("GET", "/projects")).items;
  const repositories = (await server.call("GET", "/repositories")).items;
  const unharmed = async () => ensure(!(await page.evaluate(() => window.__xss)), "a script of the content ran");

  await step("FE1 markup in logs, labels and terminal links is text", async () => {
    const made = await server.call("POST", "/applications", {
      name: "hostile", projectId: projects[0].id, repositoryId: repositories[0].id, branch: "main", path: "hostile",
      environment: { name: HOSTILE.slice(0, 60), variables: {} }, syncPolicy: { automated: true, prune: true, selfHeal: true },
    }).catch(() => server.call("POST", "/applications", {
      name: "hostile", projectId: projects[0].id, repositoryId: repositories[0].id, branch: "main", path: "hostile",
      environment: { name: "production", variables: {} }, syncPolicy: { automated: true, prune: true, selfHeal: true },
    }));
    await until("it runs", async () => (await server.call("GET", `/applications/${made.id}`)).health.status === "Healthy", 40_000);
    await page.goto(`${BASE_URL}/applications/${made.id}/logs`);
    await page.locator(".df-log-row", { hasText: "onerror=" }).first().waitFor();
    await page.locator(".df-log-row", { hasText: "press me" }).first().waitFor();
    const found = await page.evaluate(() => document.querySelectorAll(".df-log-row img, .df-log-row script, .df-log-row a[href^='javascript']").length);
    ensure(!found, `${found} elements made of log text`);
    const id = (await server.call("GET", "/containers?limit=200")).items.find((c) => c.composeService === "loud").id;
    await page.goto(`${BASE_URL}/containers/${id}/inspect`);
    await page.getByText(/onerror=/).first().waitFor();
    await unharmed();
  });
  await step("FE1 markup in names of people, projects and commits is text", async () => {
    await server.call("POST", "/users", { username: "mallory", email: "mallory@example.org", fullName: HOSTILE, password: "a long first phrase 78" });
    await page.goto(`${BASE_URL}/settings/users`);
    await page.getByText("onerror=").first().waitFor();
    await page.goto(`${BASE_URL}/activity`);
    await page.locator("main").getByText(/shop|hostile/).first().waitFor();
    await unharmed();
  });

  const evil = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(EVIL(BASE_URL));
  });
  await new Promise((done) => evil.listen(0, "127.0.0.1", done));
  // Another port is the same site, so SameSite alone would let cookies through: the server has to refuse.
  const elsewhere = `http://127.0.0.1:${evil.address().port}/`;
  const other = await browser.newPage();
  const organizations = async () => (await server.call("GET", "/organizations?limit=100")).items.length;
  const before = await organizations();
  for (const [kind, origin] of Object.entries({ "another port, the same site": elsewhere, "another site": elsewhere.replace("127.0.0.1", "localhost") })) {
    await step(`FE3 forms of another origin (${kind}) are 403 CSRF: writes, login, refresh, logout`, async () => {
      for (const path of Object.keys(TARGETS))
        for (const encoding of ENCODINGS) {
          await other.goto(origin);
          const posted = other.waitForResponse((r) => r.request().method() === "POST");
          const [answer] = await Promise.all([posted, other.evaluate((id) => document.getElementById(id).submit(), `${path} ${encoding}`)]);
          await other.waitForURL(`**/api/v1/${path}`);
          const shown = await other.locator("body").innerText();
          ensure(answer.status() === 403 && /"CSRF/.test(shown), `${path} as ${encoding}: ${answer.status()} ${shown.slice(0, 120)}`);
          ensure(!(await answer.allHeaders())["set-cookie"], `${path} as ${encoding} set a cookie`);
        }
      ensure((await organizations()) === before, "the forged organization exists");
      ensure(await page.evaluate(() => fetch("/api/v1/auth/me").then((r) => r.ok)), "the session ended");
    });
  }
  await step("FE3 fetch of another origin reads and changes nothing", async () => {
    const tries = async () => other.evaluate(async (target) => {
      const tried = {};
      const attempt = async (name, path, init) => (tried[name] = await fetch(target + path, { credentials: "include", ...init }).then((r) => `${r.type} ${r.status}`, () => "refused"));
      await attempt("read", "/api/v1/auth/me", {});
      await attempt("json", "/api/v1/organizations", { method: "POST", headers: { "Content-Type": "application/json", "X-DF-CSRF": "1" }, body: '{"name":"forged2","displayName":"f"}' });
      await attempt("plain", "/api/v1/organizations", { method: "POST", headers: { "Content-Type": "text/plain" }, body: '{"name":"forged3","displayName":"f"}' });
      await attempt("delete", "/api/v1/auth/sessions/x", { method: "DELETE", headers: { "X-DF-CSRF": "1" } });
      // Sent without asking first: only the server can refuse it. (That the answer may not even be held is its resource policy.)
      await attempt("opaque", "/api/v1/organizations", { method: "POST", mode: "no-cors", headers: { "Content-Type": "text/plain" }, body: '{"name":"forged6","displayName":"f"}' });
      await attempt("opaque logout", "/api/v1/auth/logout", { method: "POST", mode: "no-cors" });
      return tried;
    }, BASE_URL);
    for (const origin of [elsewhere, elsewhere.replace("127.0.0.1", "localhost")]) {
      await other.goto(origin);
      const result = await tries();
      ensure(Object.values(result).every((r) => r === "refused"), JSON.stringify(result));
    }
    ensure(await page.evaluate(() => fetch("/api/v1/auth/me").then((r) => r.ok)), "the session ended");
    ensure((await organizations()) === before, "a forged organization exists");
    problems.length = 0; // the browser reports what it refused, as it should
  });
  await step("FE3 a write with cookies but without the header or with a foreign origin is 403 CSRF", async () => {
    const bare = await page.evaluate(async () => {
      const r = await fetch("/api/v1/organizations", { method: "POST", headers: { "Content-Type": "application/json" }, body: '{"name":"forged4","displayName":"f"}' });
      return [r.status, (await r.json()).error.code];
    });
    ensure(bare[0] === 403 && /CSRF/.test(bare[1]), bare.join(" "));
    const cookie = (await browser.cookies(BASE_URL)).map((c) => `${c.name}=${c.value}`).join("; ");
    const r = await fetch(`${BASE_URL}/api/v1/organizations`, { method: "POST", headers: { Cookie: cookie, Origin: elsewhere.slice(0, -1), "X-DF-CSRF": "1", "Content-Type": "application/json" }, body: '{"name":"forged5","displayName":"f"}' });
    const text = await r.text();
    ensure(r.status === 403 && /CSRF/.test(text), `${r.status} ${text}`);
  });
  await step("FE3 the event socket refuses another origin", async () => {
    const opened = await other.evaluate((url) => new Promise((done) => {
      const s = new WebSocket(url);
      s.onopen = () => done(true);
      s.onerror = () => done(false);
    }), `${BASE_URL.replace(/^http/, "ws")}/ws/v1/events`);
    ensure(!opened, "it opened");
    problems.length = 0;
  });
  await step("FE3 no page of another origin can frame the UI", async () => {
    await other.goto(elsewhere);
    const framed = await other.evaluate((target) => new Promise((done) => {
      const f = document.createElement("iframe");
      f.onload = () => {
        try {
          done(f.contentDocument === null ? "blocked or foreign" : "blocked");
        } catch {
          done("blocked or foreign");
        }
      };
      f.src = target;
      document.body.append(f);
      setTimeout(() => done("blocked"), 3000);
    }), BASE_URL);
    const headers = (await fetch(BASE_URL)).headers;
    ensure(/frame-ancestors 'none'/.test(headers.get("content-security-policy")) && headers.get("x-frame-options") === "DENY", "headers");
    const frame = other.frames().find((f) => f !== other.mainFrame());
    ensure(!frame || !(await frame.locator("#root *").count().catch(() => 0)), `framed: ${framed}`);
    problems.length = 0;
  });
  await other.close();
  problems.length = 0;
  await new Promise((done) => evil.close(done));
  await step("FE4 cookies can't be read by script; messages of strangers do nothing", async () => {
    const cookies = await browser.cookies(BASE_URL);
    const session = cookies.filter((c) => /df_(session|refresh)/.test(c.name));
    ensure(session.length >= 1 && session.every((c) => c.httpOnly && c.sameSite === "Strict"), JSON.stringify(cookies.map((c) => [c.name, c.httpOnly, c.sameSite])));
    await page.goto(`${BASE_URL}/applications`);
    ensure(!(await page.evaluate(() => document.cookie)).includes("df_"), "script sees the session");
    const at = page.url();
    await page.evaluate(() => {
      for (const data of [{ type: "navigate", url: "https://example.org" }, "logout", { token: "x" }, '<img src=x onerror="window.__xss=1">']) window.postMessage(data, "*");
    });
    await page.waitForTimeout(300);
    ensure(page.url() === at, "a message moved the page");
    await unharmed();
  });
}

export async function leaving({ page, step }) {
  await step("answers with content are not stored; after sign-out the back button shows nothing", async () => {
    const me = await page.evaluate(async () => (await fetch("/api/v1/auth/me")).headers.get("cache-control"));
    ensure(/no-store/.test(me ?? ""), `cache-control is ${me}`);
    const out = page.waitForResponse((r) => r.url().endsWith("/auth/logout"));
    await page.getByRole("button", { name: /^Account of/ }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    ensure(/cache|storage|cookies/.test((await (await out).allHeaders())["clear-site-data"] ?? ""), "no Clear-Site-Data");
    await page.waitForURL(/\/login/);
    for (let i = 0; i < 3; i++) {
      await page.goBack().catch(() => null);
      await page.waitForURL(/\/login/);
      ensure(!/shop|Sign out/.test(await page.locator("body").innerText()), "the page of before is shown");
    }
    ensure((await page.evaluate(() => fetch("/api/v1/auth/me").then((r) => r.status))) === 401, "the session lives on");
  });
  await step("FE3 every kind of answer forbids framing, and what has content is not stored", async () => {
    for (const path of ["/", "/applications", "/api/v1/auth/me", "/api/v1/nothing", "/health/live", "/x;y"]) {
      const { headers } = await fetch(BASE_URL + path);
      ensure(/frame-ancestors 'none'/.test(headers.get("content-security-policy") ?? ""), `${path}: ${headers.get("content-security-policy")}`);
      ensure(/no-store|no-cache/.test(headers.get("cache-control") ?? ""), `${path}: ${headers.get("cache-control")}`);
    }
  });
}
