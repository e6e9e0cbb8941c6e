// A stand-in for the server while developing the UI: real HTTP and WebSocket, the contract's shapes, data in memory.
// Serves dist/ the way the server does: nonce per response, strict CSP. PORT (default 8090), DIST (default ../dist).
import { randomBytes } from "node:crypto";
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";
import * as d from "./data.mjs";
import { Bus } from "./live.mjs";

const PORT = Number(process.env.PORT ?? 8090);
const DIST = process.env.DIST ?? fileURLToPath(new URL("../dist/", import.meta.url));
const SCHEMAS = fileURLToPath(new URL("../../conf/schemas/", import.meta.url));
const PASSWORD = process.env.MOCK_PASSWORD ?? "dockflow-demo-1";
const MUST_CHANGE = process.env.MOCK_MUST_CHANGE === "1";
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2", ".json": "application/json" };

const state = { sessions: new Map(), mustChange: MUST_CHANGE, password: PASSWORD };
const bus = new Bus(d);

class Refusal extends Error {
  constructor(status, code, message, details = {}, field) {
    super(message);
    Object.assign(this, { status, code, details, field });
  }
}
const notFound = (what) => new Refusal(404, "RESOURCE_NOT_FOUND", `There is no such ${what}.`);
const page = (items) => ({ items, next: null });
const byId = (items, id, what) => items.find((x) => x.id === id || x.name === id) ?? (() => { throw notFound(what); })();
const checkVersion = (req, object) => {
  const want = req.headers["if-match"];
  if (!want) throw new Refusal(428, "PRECONDITION_REQUIRED", "Send If-Match with the version you saw.");
  if (want !== `"${object.version}"`) throw new Refusal(412, "PRECONDITION_FAILED", "The object was changed meanwhile.", { current: object.version });
};
const app = (p) => byId(d.applications, p.id, "application");
const container = (p) => byId(d.containers, p.id, "container");

const routes = {
  "GET /auth/me": () => ({ user: { ...d.users[0], mustChangePassword: state.mustChange }, permissions: d.PERMISSIONS, scopes: d.scopes, mustChangePassword: state.mustChange }),
  "POST /auth/change-password": ({ body }) => {
    if (body.currentPassword !== state.password) throw new Refusal(401, "INVALID_CREDENTIALS", "The current password is wrong.");
    if ((body.newPassword ?? "").length < 12) throw new Refusal(422, "WEAK_PASSWORD", "At least 12 characters.", {}, "/newPassword");
    state.password = body.newPassword;
    state.mustChange = false;
  },
  "GET /auth/sessions": () => page(d.sessions),
  "DELETE /auth/sessions/{id}": ({ path }) => void d.sessions.splice(d.sessions.findIndex((s) => s.id === path.id), 1),
  "GET /tokens": () => page(d.tokens),
  "POST /tokens": ({ body }) => {
    const secret = `dsp_${randomBytes(24).toString("base64url")}`;
    const token = { id: d.uuid(secret), name: body.name, prefix: secret.slice(0, 8), scopes: body.scopes, expiresAt: d.at(-1440 * body.expiresInDays), lastUsedAt: null, createdAt: d.at(0) };
    d.tokens.push(token);
    return { ...token, token: secret };
  },
  "DELETE /tokens/{id}": ({ path }) => void d.tokens.splice(d.tokens.findIndex((t) => t.id === path.id), 1),
  "GET /users": () => page(d.users),
  "POST /users": ({ body }) => {
    if (d.users.some((u) => u.username === body.username)) throw new Refusal(409, "RESOURCE_CONFLICT", "This user name is taken.", {}, "/username");
    const user = { id: d.uuid(`user ${body.username}`), active: true, mustChangePassword: true, mfaEnabled: false, lastLoginAt: null, createdAt: d.at(0), updatedAt: d.at(0), version: 1, username: body.username, email: body.email, fullName: body.fullName ?? "" };
    d.users.push(user);
    return user;
  },
  "PATCH /users/{id}": ({ req, path, body }) => {
    const user = byId(d.users, path.id, "user");
    checkVersion(req, user);
    return Object.assign(user, body, { version: user.version + 1 });
  },
  "GET /roles": () => page(d.roles),
  "GET /permissions": () => page(d.PERMISSIONS.map((name) => ({ name, description: "" }))),
  "GET /role-bindings": () => page(d.bindings),
  "POST /role-bindings": ({ body }) => (d.bindings.push({ id: d.uuid(`binding ${randomBytes(6).toString("hex")}`), ...body }), d.bindings.at(-1)),
  "DELETE /role-bindings/{id}": ({ path }) => void d.bindings.splice(d.bindings.findIndex((b) => b.id === path.id), 1),
  "GET /projects": () => page(d.projects),
  "GET /nodes": () => page(d.nodes),
  "POST /nodes/{id}/test": ({ path }) => {
    const n = byId(d.nodes, path.id, "node");
    return n.engine ? { ok: true, engine: n.engine } : { ok: false, error: { code: "DOCKER_UNAVAILABLE", message: "connection refused" } };
  },
  "GET /repositories": () => page(d.repositories),
  "POST /repositories": ({ body }) => {
    if (!/^(https:\/\/|ssh:\/\/|git@)/.test(body.url)) throw new Refusal(422, "INVALID_INPUT", "The address must begin with https://, ssh:// or git@.", {}, "/url");
    if (d.repositories.some((r) => r.name === body.name)) throw new Refusal(409, "RESOURCE_CONFLICT", "A repository of this name exists.", {}, "/name");
    const id = d.uuid(`repo ${body.name}`);
    const made = { id, name: body.name, url: body.url, projectId: body.projectId, authType: body.auth.type, hasCredentials: body.auth.type !== "none", webhookUrl: `/api/v1/hooks/${id}`, webhookSecretSet: false, pollSeconds: body.pollSeconds ?? 60, lastPolledAt: null, lastCommit: null, state: "pending", error: null, version: 1 };
    d.repositories.push(made);
    return made;
  },
  "POST /repositories/{id}/test": ({ path }) => {
    const r = byId(d.repositories, path.id, "repository");
    return r.error ? { ok: false, error: r.error } : { ok: true };
  },
  "POST /repositories/{id}/refresh": ({ path }) => {
    const r = byId(d.repositories, path.id, "repository");
    r.lastPolledAt = d.at(0);
    bus.emit("repository.status", "repository", r);
  },
  "POST /repositories/{id}/webhook-secret": ({ path }) => {
    byId(d.repositories, path.id, "repository").webhookSecretSet = true;
    return { secret: randomBytes(24).toString("base64url") };
  },
  "GET /applications": ({ query }) => page(d.applications.filter((a) => !query.get("project") || a.projectId === query.get("project"))),
  "POST /applications": ({ body }) => {
    if (d.applications.some((a) => a.name === body.name)) throw new Refusal(409, "RESOURCE_CONFLICT", "An application of this name exists in the project.", {}, "/name");
    const repository = byId(d.repositories, body.repositoryId, "repository");
    const made = { ...structuredClone(d.applications.find((a) => a.name === "docs-site")), ...body, id: d.uuid(`app ${body.name}`), repository: { id: repository.id, name: repository.name, url: repository.url }, node: d.nodes[0], version: 1, createdAt: d.at(0), updatedAt: d.at(0) };
    d.applications.push(made);
    bus.emit("application.status", "application", made);
    return made;
  },
  "GET /applications/{id}": ({ path }) => app(path),
  "PATCH /applications/{id}": ({ req, path, body }) => {
    const a = app(path);
    checkVersion(req, a);
    if (body.path?.startsWith("/")) throw new Refusal(422, "INVALID_INPUT", "The folder is relative to the repository.", {}, "/path");
    Object.assign(a, body, { version: a.version + 1, updatedAt: d.at(0) });
    bus.emit("application.status", "application", a);
    return a;
  },
  "DELETE /applications/{id}": ({ req, path }) => {
    const a = app(path);
    checkVersion(req, a);
    d.applications.splice(d.applications.indexOf(a), 1);
    bus.emit("application.deleted", "application", { id: a.id });
  },
  "POST /applications/{id}/sync": ({ path, body }) => (body.dryRun ? d.plan(app(path), body) : [202, bus.sync(app(path), "sync", body)]),
  "GET /applications/{id}/plan": ({ path }) => d.plan(app(path)),
  "POST /applications/{id}/refresh": ({ path }) => {
    const a = app(path);
    a.sync.comparedAt = new Date().toISOString();
    bus.emit("application.status", "application", a);
    return [202, undefined];
  },
  "POST /applications/{id}/rollback": ({ path, body }) => [202, bus.sync(app(path), "rollback", body)],
  "GET /applications/{id}/diff": ({ path }) => d.diff(app(path)),
  "GET /applications/{id}/resources": ({ path }) => ({ nodes: d.resources(app(path)) }),
  "GET /applications/{id}/deployments": ({ path }) => page(d.deployments.filter((x) => x.applicationId === app(path).id).sort((a, b) => b.number - a.number)),
  "GET /applications/{id}/manifest": ({ path }) => {
    const a = app(path);
    if (a.error) throw new Refusal(422, a.error.code, a.error.message, a.error.details);
    return d.manifest(a);
  },
  "GET /deployments/{id}": ({ path }) => byId(d.deployments, path.id, "deployment"),
  "GET /tasks": () => page([...d.tasks].sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1))),
  "GET /tasks/{id}": ({ path }) => byId(d.tasks, path.id, "task"),
  "POST /tasks/{id}/cancel": ({ path }) => bus.cancel(byId(d.tasks, path.id, "task")),
  "GET /tasks/{id}/log": ({ path }) => page(byId(d.tasks, path.id, "task").steps.filter((s) => s.startedAt).map((s, seq) => ({ seq, time: s.startedAt, level: s.error ? "error" : "info", text: s.error ? `${s.title}: ${s.error.message}` : s.title }))),
  "GET /containers": () => page(d.containers),
  "GET /containers/{id}": ({ path }) => {
    const c = container(path);
    return { Id: c.id, Name: `/${c.name}`, Created: c.createdAt, Image: c.imageId, RestartCount: c.state === "restarting" ? 6 : 0, State: { Status: c.state, StartedAt: c.startedAt, ExitCode: c.state === "running" ? 0 : 137, Health: c.health ? { Status: c.health } : undefined }, Config: { Image: c.image, Cmd: ["node", "server.js"], Entrypoint: ["docker-entrypoint.sh"], Env: ["LOG_LEVEL=info", "DB_PASSWORD=***", "PATH=/usr/local/bin:/usr/bin"], User: "1000", WorkingDir: "/app", Labels: c.labels }, HostConfig: { RestartPolicy: { Name: "unless-stopped" } }, Mounts: [{ Type: "volume", Name: `${c.composeProject}_data`, Destination: "/data", RW: true }], NetworkSettings: { Networks: { [`${c.composeProject}_default`]: { IPAddress: "172.20.0.4" } } } };
  },
  ...Object.fromEntries(["start", "stop", "restart"].map((verb) => [`POST /containers/{id}/${verb}`, ({ path }) => void bus.containerAction(container(path), verb)])),
  "GET /activity": ({ query }) => page(d.activity.filter((a) => !query.get("object") || a.object?.id === query.get("object"))),
  "GET /schemas/{kind}": ({ path }) => {
    if (!/^[A-Za-z]+$/.test(path.kind) || !existsSync(`${SCHEMAS}${path.kind}.json`)) throw notFound("schema");
    return JSON.parse(readFileSync(`${SCHEMAS}${path.kind}.json`, "utf8"));
  },
  "GET /info": () => ({ name: "dockflow", version: "0.1.0", commit: "3f1c88e", startedAt: d.at(300), apiVersion: "v1", features: [] }),
};

const table = Object.entries(routes).map(([key, run]) => {
  const [method, template] = key.split(" ");
  return { method, run, names: [...template.matchAll(/\{(\w+)\}/g)].map((m) => m[1]), re: new RegExp(`^${template.replace(/\{\w+\}/g, "([^/]+)")}$`) };
});

const cookies = (req) => Object.fromEntries((req.headers.cookie ?? "").split(/; */).map((c) => c.split("=")));
const signedIn = (req) => state.sessions.get(cookies(req).df_session);

function json(res, status, body, headers = {}) {
  res.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", ...headers });
  res.end(body === undefined ? undefined : JSON.stringify(body));
}

function refuse(res, e) {
  const requestId = randomBytes(8).toString("hex");
  json(res, e.status ?? 500, { error: { code: e.code ?? "INTERNAL", message: e.message, details: e.details ?? {}, field: e.field, timestamp: new Date().toISOString(), requestId }, status: "error", request_id: requestId });
}

function newSession(res) {
  const id = randomBytes(16).toString("hex");
  const refresh = randomBytes(16).toString("hex");
  state.sessions.set(id, { until: Date.now() + Number(process.env.MOCK_SESSION_MS ?? 15 * 60_000), refresh });
  state.sessions.set(refresh, { refresh: true });
  res.setHeader("Set-Cookie", [`df_session=${id}; HttpOnly; SameSite=Strict; Path=/`, `df_refresh=${refresh}; HttpOnly; SameSite=Strict; Path=/api/v1/auth`]);
  json(res, 200, { user: { ...d.users[0], mustChangePassword: state.mustChange }, expiresIn: 900, mustChangePassword: state.mustChange });
}

async function readBody(req) {
  let text = "";
  for await (const chunk of req) text += chunk;
  return text ? JSON.parse(text) : {};
}

async function api(req, res, url) {
  const path = url.pathname.slice("/api/v1".length);
  if (req.method !== "GET" && req.headers["x-df-csrf"] !== "1") throw new Refusal(403, "CSRF", "The CSRF header is missing.");
  if (path === "/auth/login") {
    const body = await readBody(req);
    if (body.username !== "admin" || body.password !== state.password) throw new Refusal(401, "INVALID_CREDENTIALS", "User name or password is wrong.");
    return newSession(res);
  }
  if (path === "/auth/refresh") {
    if (!state.sessions.delete(cookies(req).df_refresh)) throw new Refusal(401, "TOKEN_INVALID", "Sign in again.");
    return newSession(res);
  }
  if (path === "/auth/logout") {
    state.sessions.delete(cookies(req).df_session);
    return json(res, 204, undefined, { "Set-Cookie": ["df_session=; Max-Age=0; Path=/", "df_refresh=; Max-Age=0; Path=/api/v1/auth"], "Clear-Site-Data": '"cache"' });
  }
  const session = signedIn(req);
  if (!session) throw new Refusal(401, "TOKEN_INVALID", "Sign in first.");
  if (session.until < Date.now()) throw new Refusal(401, "TOKEN_EXPIRED", "The session has to be renewed.");
  for (const row of table) {
    const m = row.method === req.method && row.re.exec(path);
    if (!m) continue;
    const values = Object.fromEntries(row.names.map((n, i) => [n, decodeURIComponent(m[i + 1])]));
    const result = row.run({ req, path: values, query: url.searchParams, body: req.method === "GET" ? {} : await readBody(req) });
    const [status, body] = Array.isArray(result) ? result : [result === undefined ? 204 : 200, result];
    return json(res, status, body);
  }
  throw notFound("route");
}

function page404(res) {
  res.writeHead(404).end();
}

function files(req, res, url) {
  const nonce = randomBytes(16).toString("base64");
  const path = normalize(join(DIST, url.pathname));
  if (url.pathname.startsWith("/assets/")) {
    if (!path.startsWith(normalize(DIST)) || !existsSync(path) || !statSync(path).isFile()) return page404(res);
    res.writeHead(200, { "Content-Type": TYPES[extname(path)] ?? "application/octet-stream", "Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff" });
    return createReadStream(path).pipe(res);
  }
  const csp = `default-src 'none'; script-src 'self'; style-src-elem 'self' 'nonce-${nonce}'; style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self' wss://${req.headers.host}; worker-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'`;
  res.writeHead(200, { "Content-Type": TYPES[".html"], "Cache-Control": "no-store", "Content-Security-Policy": csp, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY" });
  res.end(readFileSync(join(DIST, "index.html"), "utf8").replaceAll("__CSP_NONCE__", nonce));
}

const server = createServer((req, res) => {
  const url = new URL(req.url, "http://mock");
  if (url.pathname.startsWith("/api/")) api(req, res, url).catch((e) => refuse(res, e));
  else files(req, res, url);
});
const sockets = new WebSocketServer({ noServer: true });
server.on("upgrade", (req, socket, head) => {
  const url = new URL(req.url, "http://mock");
  const origin = req.headers.origin;
  if (!signedIn(req) || !origin || new URL(origin).host !== req.headers.host) {
    socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
    return;
  }
  sockets.handleUpgrade(req, socket, head, (ws) => {
    const log = /^\/ws\/v1\/containers\/([^/]+)\/logs$/.exec(url.pathname);
    if (url.pathname === "/ws/v1/events") bus.attach(ws);
    else if (log) bus.logs(ws, d.containers.find((c) => c.id === log[1]), url.searchParams);
    else ws.close(1008);
  });
});
server.listen(PORT, "127.0.0.1", () => console.log(`mock server on http://127.0.0.1:${PORT} as admin / ${PASSWORD}`));
