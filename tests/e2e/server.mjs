// One server of the suite: a database and a folder of its own, a free port, stopped by pid.
import { execFileSync, spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";

export const FIRST_PASSWORD = "first boot phrase 41";
export const PASSWORD = "a-new-password-for-the-walk";
export const USER = "admin@localhost";

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export const freePort = () =>
  new Promise((done) => {
    const s = createServer();
    s.listen(0, "127.0.0.1", () => {
      const { port } = s.address();
      s.close(() => done(port));
    });
  });

/** Waits until `test` gives something true; `what` names it in the error. */
export async function until(what, test, ms = 30_000, every = 200) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await test();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms / 1000} s`);
    await pause(every);
  }
}

function sql(url, text) {
  execFileSync("psql", ["-X", "-q", "-d", url, "-c", text], { stdio: ["ignore", "ignore", "pipe"], timeout: 30_000 });
}

export class Server {
  static async start() {
    const s = new Server();
    s.folder = mkdtempSync("/tmp/dfe2e-");
    s.port = await freePort();
    s.url = `http://127.0.0.1:${s.port}`;
    s.database = `df_e2e_${randomBytes(5).toString("hex")}`;
    s.lab = process.env.DF_LAB_PG_URL;
    sql(s.lab, `CREATE DATABASE ${s.database}`);
    mkdirSync(`${s.folder}/data`);
    const log = openSync(`${s.folder}/server.log`, "a");
    const kept = Object.fromEntries(Object.entries(process.env).filter(([k]) => !k.startsWith("DOCKFLOW_")));
    s.process = spawn(process.env.DF_SERVER_BIN, [], {
      stdio: ["ignore", log, log],
      env: {
        ...kept,
        DATABASE_URL: s.lab.replace(/^(postgres(?:ql)?:\/\/[^/]*\/)[^?]*/, `$1${s.database}`),
        DOCKFLOW_LISTEN_HTTP: `127.0.0.1:${s.port}`,
        DOCKFLOW_DATA_DIR: `${s.folder}/data`,
        DOCKFLOW_DOCKER_HOST: process.env.DOCKER_HOST,
        DOCKFLOW_SERVER_DEV_MODE: "true",
        DOCKFLOW_SERVER_DRAIN_SECONDS: "2",
        DOCKFLOW_GIT_ALLOW_LOCAL_PATHS: "true",
        DOCKFLOW_RATE_LIMIT_ENABLED: "false",
        DOCKFLOW_AUTH_BOOTSTRAP_ADMIN_PASSWORD: FIRST_PASSWORD,
      },
    });
    s.ended = new Promise((done) => s.process.on("exit", (code, signal) => done(signal ?? code)));
    try {
      await until("the server is ready", async () => {
        if (s.process.exitCode !== null) throw new Error(`the server ended with ${s.process.exitCode}`);
        return fetch(`${s.url}/health/ready`).then((r) => r.ok).catch(() => false);
      });
    } catch (e) {
      const tail = s.log().slice(-3000);
      await s.stop();
      throw new Error(`${e.message}\n${tail}`);
    }
    return s;
  }

  log() {
    return readFileSync(`${this.folder}/server.log`, "utf8");
  }

  /** Exit code of the server; its folder and database go. */
  async stop() {
    let code = this.process.exitCode;
    if (code === null) {
      this.process.kill("SIGTERM");
      const late = setTimeout(() => this.process.kill("SIGKILL"), 20_000);
      code = await this.ended;
      clearTimeout(late);
    }
    sql(this.lab, `DROP DATABASE IF EXISTS ${this.database} WITH (FORCE)`);
    if (!process.env.DF_E2E_KEEP) rmSync(this.folder, { recursive: true, force: true });
    return code;
  }

  /** Signs in as a program does. */
  async login(username = USER, password = PASSWORD) {
    const body = await this.call("POST", "/auth/login", { username, password }, { "X-DF-Token": "body" });
    this.token = body.accessToken;
  }

  async raw(method, path, body, headers = {}) {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: { ...(body ? { "Content-Type": "application/json" } : {}), ...(this.token ? { Authorization: `Bearer ${this.token}` } : {}), ...headers },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : text };
  }

  async call(method, path, body, headers) {
    const { status, body: answer } = await this.raw(method, path, body, headers);
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer.error ?? answer)}`);
    return answer;
  }

  /** What a forge sends after a push, signed. */
  async hook(repository, secret, after) {
    const body = JSON.stringify({ ref: "refs/heads/main", after });
    const signature = createHmac("sha256", secret).update(body).digest("hex");
    const path = new URL(repository.webhookUrl, this.url).pathname;
    const r = await fetch(this.url + path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-DockFlow-Signature": `sha256=${signature}`, "X-DockFlow-Event": "push", "X-DockFlow-Delivery": `${after}-${Date.now()}` },
      body,
    });
    if (r.status !== 202) throw new Error(`webhook: ${r.status} ${await r.text()}`);
  }
}
