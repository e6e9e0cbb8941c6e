// Sample data in the shapes of the HTTP contract. Deterministic apart from times, which are relative to the start.
import { createHash } from "node:crypto";

const start = Date.now();
export const at = (minutesAgo) => new Date(start - minutesAgo * 60_000).toISOString();
export const hex = (text, length = 64) => createHash("sha256").update(text).digest("hex").slice(0, length);
export const uuid = (text) => {
  const h = hex(text, 32);
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-7${h.slice(13, 16)}-8${h.slice(17, 20)}-${h.slice(20, 32)}`;
};
const sha = (text) => hex(`commit ${text}`, 40);
const why = (message) => ({ code: "STATUS", object: null, message });

export const PERMISSIONS = ["application:read", "application:create", "application:update", "application:delete", "application:sync", "application:rollback", "container:read", "container:start", "container:stop", "container:restart", "container:logs", "container:inspect", "container:inspect-env", "node:read", "node:create", "node:update", "node:delete", "repository:read", "repository:create", "repository:update", "repository:delete", "user:read", "user:create", "user:update", "user:delete", "role:read", "binding:create", "binding:delete", "event:read", "deployment:read", "node:use", "project:read", "audit:read", "task:read", "task:cancel"];

const org = uuid("org");
export const projects = [
  { id: uuid("project shop"), name: "shop", organizationId: org, displayName: "Shop" },
  { id: uuid("project platform"), name: "platform", organizationId: org, displayName: "Platform" },
];

const user = (name, fullName, days) => ({ id: uuid(`user ${name}`), username: name, email: `${name}@localhost`, fullName, active: name !== "former", mustChangePassword: false, mfaEnabled: false, lastLoginAt: days === null ? null : at(days * 1440), createdAt: at(90 * 1440), updatedAt: at(1440), version: 3 });
export const users = [user("admin", "Ada Admin", 0), user("operator", "Olga Operator", 0.4), user("viewer", "Vik Viewer", 12), user("former", "Finn Former", null)];
export const roles = ["viewer", "operator", "developer", "admin", "auditor", "owner"].map((name) => ({ id: uuid(`role ${name}`), name, type: "fine-grained", description: `Built-in role ${name}`, permissions: PERMISSIONS, inherits: [], builtIn: true, version: 1 }));
export const scopes = [
  { scopeId: uuid("scope org"), kind: "organization", name: "default", permissions: PERMISSIONS },
  ...projects.map((p) => ({ scopeId: uuid(`scope ${p.name}`), kind: "project", name: p.name, permissions: PERMISSIONS })),
];
export const bindings = [
  { id: uuid("binding 1"), subjectKind: "user", subjectId: users[0].id, role: "owner", scopeId: scopes[0].scopeId },
  { id: uuid("binding 2"), subjectKind: "user", subjectId: users[1].id, role: "operator", scopeId: scopes[1].scopeId },
  { id: uuid("binding 3"), subjectKind: "user", subjectId: users[2].id, role: "viewer", scopeId: scopes[0].scopeId },
];

const engine = (version, cpus, gib) => ({ version, apiVersion: "1.41", os: "linux", arch: "x86_64", cpus, memory: gib * 2 ** 30, cgroupVersion: "2", swarm: "inactive" });
export const nodes = [
  { id: uuid("node local"), name: "local", url: "unix:///var/run/docker.sock", state: "online", stateReason: null, engine: engine("20.10.24", 8, 32), labels: { zone: "a" }, containersRunning: 14, containersTotal: 16, images: 42, lastSeenAt: at(0), version: 1 },
  { id: uuid("node edge"), name: "edge-1", url: "tcp://127.0.0.2:2376", state: "online", stateReason: null, engine: engine("24.0.7", 4, 8), labels: { zone: "b" }, containersRunning: 5, containersTotal: 5, images: 11, lastSeenAt: at(0.1), version: 2 },
  { id: uuid("node lab"), name: "lab", url: "tcp://127.0.0.3:2376", state: "unreachable", stateReason: "connect to 127.0.0.3:2376: connection refused; next try in 40 s", engine: null, labels: {}, containersRunning: 0, containersTotal: 3, images: 0, lastSeenAt: at(75), version: 5 },
];

const repo = (name, extra = {}) => ({ id: uuid(`repo ${name}`), name, url: `https://git.example.org/team/${name}.git`, projectId: projects[0].id, authType: "token", hasCredentials: true, webhookUrl: `/api/v1/hooks/${uuid(`repo ${name}`)}`, webhookSecretSet: true, pollSeconds: 60, lastPolledAt: at(0.4), lastCommit: sha(name), state: "ok", error: null, version: 1, ...extra });
export const repositories = [
  repo("shop"),
  repo("platform-stack", { projectId: projects[1].id, authType: "ssh", url: "git@git.example.org:platform/stack.git", webhookSecretSet: false }),
  repo("docs", { authType: "none", hasCredentials: false }),
  repo("legacy-importer", { state: "error", error: { code: "GIT_ERROR", message: "authentication failed: the token was refused by the server" }, lastPolledAt: at(3), lastCommit: null }),
];

const app = (name, r, health, sync, extra = {}) => ({
  id: uuid(`app ${name}`),
  name,
  projectId: r.projectId,
  scopeId: uuid(`scope app ${name}`),
  repository: { id: r.id, name: r.name, url: r.url },
  branch: "main",
  path: `deploy/${name}`,
  composeFiles: ["compose.yaml"],
  manifestPath: null,
  node: { id: nodes[0].id, name: nodes[0].name },
  environment: { name: "production", variables: { TAG: "2.4.1", PUBLIC_HOST: "shop.example.org" } },
  syncPolicy: { automated: true, prune: false, selfHeal: true, allowEmpty: false },
  sync: { status: sync, desiredCommit: sha(r.name), deployedCommit: sync === "Synced" ? sha(r.name) : sha(`${r.name} before`), fencedCommit: null, comparedAt: at(0.3), reasons: [] },
  health: { status: health, reasons: [] },
  operation: null,
  lastDeployment: { id: uuid(`dep ${name} 7`), commit: sha(r.name), status: "succeeded", finishedAt: at(22) },
  error: null,
  createdAt: at(60 * 1440),
  updatedAt: at(22),
  version: 12,
  ...extra,
});
const missing = { lastDeployment: null, sync: { status: "OutOfSync", desiredCommit: sha("docs"), deployedCommit: null, comparedAt: at(1), reasons: [why("never deployed")] } };
export const applications = [
  app("storefront", repositories[0], "Healthy", "Synced"),
  app("checkout", repositories[0], "Healthy", "OutOfSync", { syncPolicy: { automated: false, prune: false, selfHeal: false }, sync: { status: "OutOfSync", desiredCommit: sha("shop"), deployedCommit: sha("shop before"), comparedAt: at(0.2), reasons: [why("2 services differ from commit 5b1c2aa"), why("api: image tag changed"), why("worker: environment changed")] } }),
  app("search-indexer", repositories[0], "Degraded", "Synced", { health: { status: "Degraded", reasons: [why("worker-1 restarted 6 times in 10 min, last exit code 137 (out of memory)")] } }),
  app("invoices", repositories[0], "Unknown", "Unknown", { error: { code: "INVALID_YAML", message: "service \"pdf\" depends on undefined service \"renderer\"", details: { file: "deploy/invoices/compose.yaml", line: 31, column: 9 } } }),
  app("metrics", repositories[1], "Healthy", "Synced", { node: { id: nodes[1].id, name: "edge-1" }, environment: { name: "edge", variables: {} } }),
  app("gateway", repositories[1], "Healthy", "Synced", { node: { id: nodes[1].id, name: "edge-1" }, environment: { name: "edge", variables: {} } }),
  app("docs-site", repositories[2], "Missing", "OutOfSync", missing),
  app("batch-report-generator-for-the-accounting-department", repositories[1], "Suspended", "Synced", { environment: { name: "staging", variables: {} }, health: { status: "Suspended", reasons: [why("stopped by operator")] } }),
];

const SERVICES = { storefront: ["web", "api", "worker", "db", "cache"], checkout: ["api", "worker", "db"], "search-indexer": ["worker", "index"], invoices: ["pdf"], metrics: ["prometheus", "grafana"], gateway: ["proxy"], "docs-site": [], "batch-report-generator-for-the-accounting-department": ["report"] };
const IMAGE = { db: "postgres:15-bookworm", cache: "redis:7.2", proxy: "haproxy:2.9", prometheus: "prom/prometheus:v2.51.0", grafana: "grafana/grafana:10.4.1", index: "opensearchproject/opensearch:2.13.0" };
const imageOf = (a, s) => IMAGE[s] ?? `registry.example.org/shop/${s}:${a.environment.variables.TAG ?? "1.0.0"}`;

export const containers = applications.flatMap((a) =>
  (SERVICES[a.name] ?? []).flatMap((s) => {
    const n = s === "web" ? 2 : 1;
    return Array.from({ length: n }, (_, i) => {
      const bad = a.name === "search-indexer" && s === "worker";
      const off = a.health.status === "Suspended";
      const name = `${a.name}-${s}-${i + 1}`;
      return { id: hex(`container ${name}`), names: [`/${name}`], name, node: a.node, image: imageOf(a, s), imageId: `sha256:${hex(`image ${s}`)}`, state: bad ? "restarting" : off ? "exited" : "running", status: bad ? "Restarting (137) 12 seconds ago" : off ? "Exited (0) 2 days ago" : "Up 22 minutes (healthy)", health: off || bad ? null : "healthy", createdAt: at(30), startedAt: at(22), ports: s === "web" || s === "proxy" ? [{ ip: "0.0.0.0", privatePort: 8080, publicPort: 8000 + i + a.name.length, type: "tcp" }] : [], labels: { "com.docker.compose.project": a.name, "com.docker.compose.service": s }, composeProject: a.name, composeService: s, application: { id: a.id, name: a.name } };
    });
  }),
);
containers.push({ ...containers[0], id: hex("container stray"), names: ["/old-cron"], name: "old-cron", image: "debian:bookworm-slim", state: "exited", status: "Exited (1) 9 days ago", health: null, ports: [], labels: {}, composeProject: null, composeService: null, application: null });

export function resources(a) {
  const out = [{ id: a.id, kind: "application", name: a.name, parentIds: [], health: { status: a.health.status, reason: null }, sync: a.sync.status, details: { branch: a.branch, path: a.path } }];
  const own = containers.filter((c) => c.application?.id === a.id);
  const services = SERVICES[a.name] ?? [];
  const node = (kind, name, parentIds, health, details) => out.push({ id: uuid(`${a.name} ${kind} ${name}`), kind, name, parentIds, health: health && { status: health, reason: null }, sync: null, details });
  const serviceId = (s) => uuid(`${a.name} service ${s}`);
  for (const s of services) {
    const cs = own.filter((c) => c.composeService === s);
    const health = (c) => (c.state === "running" ? (c.health === "unhealthy" ? "Degraded" : "Healthy") : c.state === "restarting" ? "Degraded" : c.state === "exited" ? "Missing" : "Progressing");
    const worst = cs.map(health).sort((x, y) => "DMPH".indexOf(x[0]) - "DMPH".indexOf(y[0]))[0] ?? "Missing";
    out.push({ id: serviceId(s), kind: "service", name: s, parentIds: [a.id], health: { status: worst, reason: worst === "Degraded" ? "exits with code 137 shortly after its start" : null }, sync: a.name === "checkout" && s !== "db" ? "OutOfSync" : "Synced", details: { image: imageOf(a, s), replicas: cs.length } });
    for (const c of cs) out.push({ id: c.id, kind: "container", name: c.name, parentIds: [serviceId(s)], health: { status: health(c), reason: c.status }, sync: "Synced", details: { containerId: c.id, image: c.image, imageDigest: c.imageId, state: c.state, ports: c.ports, startedAt: c.startedAt, exitCode: c.state === "running" ? null : 137 } });
    node("image", imageOf(a, s), [serviceId(s)], null, { imageDigest: `sha256:${hex(`image ${s}`)}` });
  }
  if (services.length) {
    node("network", `${a.name}_default`, services.map(serviceId), "Healthy", { driver: "bridge", subnet: "172.20.0.0/16" });
    if (services.includes("db")) node("volume", `${a.name}_data`, [serviceId("db")], "Healthy", { driver: "local" });
    if (services.includes("api")) node("secret", "db-password", [serviceId("api"), serviceId("db")].filter((id) => out.some((n) => n.id === id)), null, { driver: "file" });
    if (services.includes("web")) node("config", "nginx.conf", [serviceId("web")], null, { driver: "file" });
  }
  return out;
}

export function plan(a, { prune = false, force = false } = {}) {
  const commit = { sha: a.sync.desiredCommit, author: "Mara Lind", message: "api: raise the pool size and move to 2.4.1\n\nThe worker follows.", time: at(9) };
  const base = { id: uuid(`plan ${a.name} ${prune} ${force}`), applicationId: a.id, revision: a.sync.desiredCommit, commit, warnings: [] };
  if (a.sync.status === "Synced" && !force) return { ...base, empty: true, ops: [] };
  let n = 0;
  const op = (kind, service, object, title, cause, extra = {}) => ({ id: `op-${++n}`, kind, service, object, title, cause, dependsOn: n > 1 ? [`op-${n - 1}`] : [], reversible: true, destructive: false, ...extra });
  const file = `${a.path}/compose.yaml`;
  const ops = [op("createNetwork", null, `${a.name}_backend`, `Create network ${a.name}_backend`, [{ code: "NEW_NETWORK", message: "described but missing on the engine", file, line: 44 }])];
  for (const s of (SERVICES[a.name] ?? []).filter((x) => x !== "db").concat(SERVICES[a.name]?.length ? [] : ["web"])) {
    const image = imageOf(a, s);
    ops.push(op("pull", s, image, `Pull ${image}`, [{ code: "IMAGE_CHANGED", message: "the image tag changed", path: `services.${s}.image`, from: image.replace(/:.*$/, ":2.4.0"), to: image, file, line: 14 }]));
    ops.push(op("create", s, `${a.name}-${s}-1`, `Create ${a.name}-${s}-1`, [{ code: "CONFIG_CHANGED", message: "variable changed", path: `services.${s}.environment.POOL_SIZE`, from: "10", to: "25", file, line: 19 }]));
    ops.push(op("stop", s, `${a.name}-${s}-1`, `Stop the former ${a.name}-${s}-1`, [{ code: "REPLACED", message: "replaced by the new container" }], { destructive: true }));
    ops.push(op("start", s, `${a.name}-${s}-1`, `Start ${a.name}-${s}-1`, []));
    ops.push(op("waitHealthy", s, `${a.name}-${s}-1`, `Wait until ${a.name}-${s}-1 is healthy`, []));
  }
  if (prune) ops.push(op("prune", null, `${a.name}-mailer-1`, `Remove ${a.name}-mailer-1 and its anonymous volume`, [{ code: "NOT_DESCRIBED", message: "the service mailer is no longer described" }], { destructive: true, reversible: false }));
  return { ...base, empty: false, ops, warnings: a.name === "checkout" ? ["services.worker.deploy.update_config is ignored outside Swarm"] : [] };
}

export const deployments = applications.filter((a) => a.lastDeployment).flatMap((a) =>
  [7, 6, 5, 4, 3].map((number) => {
    const status = number === 5 ? "failed" : number === 4 && a.name === "storefront" ? "rolledBack" : "succeeded";
    const ops = plan({ ...a, sync: { ...a.sync, status: "OutOfSync" } }).ops.map((o, i) => ({ id: o.id, kind: o.kind, title: o.title, state: status === "failed" && i > 4 ? (i === 5 ? "failed" : "skipped") : "succeeded", startedAt: at(22 + (8 - number) * 600), finishedAt: at(21.9 + (8 - number) * 600), error: status === "failed" && i === 5 ? { code: "HEALTH_CHECK_FAILED", message: "not healthy within 60 s: GET /health answered 503" } : null }));
    return { id: uuid(`dep ${a.name} ${number}`), applicationId: a.id, number, commit: { sha: number === 7 ? sha(a.repository.name) : sha(`${a.name} ${number}`), author: "Mara Lind", message: ["web: new landing page", "db: upgrade to 15.6", "api: retry payments with back-off", "worker: smaller batches", "first version"][7 - number] ?? "change", time: at(24 + (7 - number) * 600) }, trigger: ["webhook", "manual", "auto", "rollback", "selfHeal"][7 - number], user: number === 6 ? "operator" : null, status, startedAt: at(22 + (7 - number) * 600), finishedAt: at(21.6 + (7 - number) * 600), durationMs: 21_400 + number * 900, ops, plan: null, error: status === "failed" ? { code: "HEALTH_CHECK_FAILED", message: `${a.name}-api-1 was not healthy within 60 s` } : null, images: Object.fromEntries((SERVICES[a.name] ?? []).map((s) => [s, `sha256:${hex(`image ${s} ${number}`)}`])) };
  }),
);

export const tasks = deployments.slice(0, 6).map((d) => ({ id: uuid(`task ${d.id}`), kind: "application.sync", state: d.status === "failed" ? "failed" : "succeeded", title: `Sync ${applications.find((a) => a.id === d.applicationId).name}`, object: { kind: "application", id: d.applicationId, name: applications.find((a) => a.id === d.applicationId).name }, progress: { done: d.ops.length, total: d.ops.length, text: "done" }, steps: d.ops.map((o) => ({ ...o })), result: null, error: d.error, createdAt: d.startedAt, startedAt: d.startedAt, finishedAt: d.finishedAt, createdBy: d.user ?? "system" }));

export const activity = [
  ["application.synced", "application", applications[0], "Deployed commit 3f1c88e to storefront by webhook", null, 22],
  ["application.health", "application", applications[2], "search-indexer went from Healthy to Degraded: worker-1 keeps restarting", null, 31],
  ["repository.error", "repository", repositories[3], "legacy-importer can't be read: the token was refused", null, 44],
  ["application.updated", "application", applications[1], "Automatic sync of checkout was switched off", "operator", 58],
  ["node.unreachable", "node", nodes[2], "lab can't be reached: connection refused", null, 75],
  ["user.login", "user", users[1], "operator signed in from 127.0.0.1", "operator", 96],
  ["application.drift", "application", applications[4], "Container metrics-grafana-1 was stopped outside of DockFlow and started again", null, 240],
  ["application.created", "application", applications[6], "docs-site was created", "admin", 1500],
].map(([topic, kind, o, text, actor, minutes], i) => ({ seq: 900 - i, topic, object: { kind, id: o.id, name: o.name ?? o.username }, actor, text, time: at(minutes), details: null }));

export const sessions = [
  { id: uuid("session 1"), createdAt: at(180), lastUsedAt: at(0), ip: "127.0.0.1", userAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36", current: true },
  { id: uuid("session 2"), createdAt: at(4000), lastUsedAt: at(900), ip: "192.0.2.14", userAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_4) Gecko/20100101 Firefox/130.0", current: false },
];
export const tokens = [
  { id: uuid("token 1"), name: "release pipeline", prefix: "dsp_4kQ9", scopes: ["application:read", "application:sync"], expiresAt: at(-60 * 24 * 40), lastUsedAt: at(50), createdAt: at(20000) },
  { id: uuid("token 2"), name: "dashboard", prefix: "dsp_x2Lm", scopes: PERMISSIONS.filter((p) => p.endsWith(":read")), expiresAt: at(-60 * 24 * 200), lastUsedAt: null, createdAt: at(900) },
];

export const manifest = (a) => ({
  rendered: {
    name: a.name,
    services: Object.fromEntries((SERVICES[a.name] ?? []).map((s) => [s, { image: imageOf(a, s), restart: "unless-stopped", environment: { POOL_SIZE: "25", LOG_LEVEL: "info", PUBLIC_HOST: "shop.example.org" }, command: s === "worker" ? ["node", "worker.js", "--queue", "default"] : null, healthcheck: { test: ["CMD", "curl", "-f", "http://localhost:8080/health"], interval: "10s", retries: 6 }, networks: ["default"], ...(s === "db" ? { volumes: [{ type: "volume", source: "data", target: "/var/lib/postgresql/data" }] } : {}) }])),
    networks: { default: { driver: "bridge" } },
    volumes: { data: { driver: "local" } },
  },
  files: [{ path: `${a.path}/compose.yaml`, content: `# ${a.name}\nservices:\n  api:\n    image: registry.example.org/shop/api:\${TAG}\n    restart: unless-stopped   # survives a reboot\n    environment:\n      POOL_SIZE: "25"\n      LOG_LEVEL: info\n    ports:\n      - 8080:8080\n    depends_on:\n      db:\n        condition: service_healthy\n` }],
});

export const diff = (a) => ({
  services: a.sync.status === "OutOfSync" && a.lastDeployment ? ["api", "worker"].map((name) => ({ name, changes: [{ path: `services.${name}.image`, desired: `registry.example.org/shop/${name}:2.4.1`, live: `registry.example.org/shop/${name}:2.4.0`, cause: "the image tag changed", source: { file: `${a.path}/compose.yaml`, line: 14 } }, { path: `services.${name}.environment.POOL_SIZE`, desired: "25", live: "10", cause: "variable TAG from environment production", source: { file: `${a.path}/compose.yaml`, line: 19 } }, { path: `services.${name}.healthcheck.retries`, desired: 6, live: null, cause: "added", source: { file: `${a.path}/compose.yaml`, line: 26 } }] })) : [],
});
