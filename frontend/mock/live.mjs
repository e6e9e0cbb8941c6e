// Events, running deployments and container logs of the mock server.
const iso = () => new Date().toISOString();
const STEP_MS = Number(process.env.MOCK_STEP_MS ?? 700);
const wait = (ms) => new Promise((r) => setTimeout(r, ms));

export class Bus {
  constructor(data) {
    this.data = data;
    this.seq = 1000;
    this.history = [];
    this.clients = new Set();
    this.cancelled = new Set();
  }

  attach(ws) {
    const client = { ws, subs: new Map() };
    this.clients.add(client);
    ws.on("close", () => this.clients.delete(client));
    ws.on("message", (text) => {
      const m = JSON.parse(text);
      if (m.type === "unsubscribe") client.subs.delete(m.id);
      if (m.type !== "subscribe") return;
      client.subs.set(m.id, m);
      ws.send(JSON.stringify({ type: "subscribed", id: m.id, seq: this.seq }));
      if (m.lastSeq && this.history.length && this.history[0].seq > m.lastSeq + 1) ws.send(JSON.stringify({ type: "gap", fromSeq: m.lastSeq, toSeq: this.history[0].seq }));
      for (const e of this.history) if (m.lastSeq && e.seq > m.lastSeq) this.deliver(client, e);
    });
  }

  deliver(client, event) {
    const sub = [...client.subs.values()].filter((s) => s.topics.includes(event.topic) && (!s.object || s.object === event.object?.id)).map((s) => s.id);
    if (sub.length && client.ws.readyState === 1) client.ws.send(JSON.stringify({ ...event, sub }));
  }

  emit(topic, kind, payload, id = payload.id) {
    const event = { type: "event", seq: ++this.seq, topic, object: { kind, id }, payload: structuredClone(payload), time: iso() };
    this.history.push(event);
    if (this.history.length > 500) this.history.shift();
    for (const c of this.clients) this.deliver(c, event);
  }

  act(topic, kind, object, text, actor) {
    const entry = { seq: this.seq + 1, topic, object: { kind, id: object.id, name: object.name }, actor, text, time: iso(), details: null };
    this.data.activity.unshift(entry);
    this.emit("activity.new", "activity", entry, object.id);
  }

  sync(app, kind, body) {
    const { data } = this;
    const id = data.uuid(`task ${app.name} ${this.seq} ${Math.random()}`);
    const plan = data.plan({ ...app, sync: { ...app.sync, status: "OutOfSync" } }, body);
    const ops = plan.ops.filter((o) => !body.services || !o.service || body.services.includes(o.service));
    const steps = ops.map((o) => ({ id: o.id, kind: o.kind, title: o.title, state: "pending", startedAt: null, finishedAt: null, error: null }));
    const task = { id, kind: `application.${kind}`, state: "running", title: `${kind === "sync" ? "Sync" : "Roll back"} ${app.name}`, object: { kind: "application", id: app.id, name: app.name }, progress: { done: 0, total: steps.length, text: "starting" }, steps, result: null, error: null, createdAt: iso(), startedAt: iso(), finishedAt: null, createdBy: "admin" };
    data.tasks.unshift(task);
    const number = 1 + Math.max(0, ...data.deployments.filter((d) => d.applicationId === app.id).map((d) => d.number));
    const target = data.deployments.find((d) => d.id === body.deploymentId);
    const deployment = { id: data.uuid(`dep ${app.name} ${number} ${id}`), applicationId: app.id, number, commit: target?.commit ?? plan.commit, trigger: kind === "sync" ? "manual" : "rollback", user: "admin", status: "running", startedAt: iso(), finishedAt: null, durationMs: null, ops: steps, plan, error: null, images: {} };
    data.deployments.push(deployment);
    app.operation = { taskId: id, kind, state: "running", startedAt: iso() };
    app.health = { status: "Progressing", reasons: [] };
    this.emit("application.status", "application", app);
    this.emit("task.status", "task", task);
    void this.execute(app, task, deployment);
    return { taskId: task.id, task: `/api/v1/tasks/${task.id}` };
  }

  async execute(app, task, deployment) {
    const begun = Date.now();
    for (const [i, step] of task.steps.entries()) {
      if (this.cancelled.has(task.id)) break;
      Object.assign(step, { state: "running", startedAt: iso() });
      this.progress(app, task, deployment, step, i);
      await wait(STEP_MS * (0.6 + Math.random()));
      Object.assign(step, { state: "succeeded", finishedAt: iso() });
      this.progress(app, task, deployment, step, i + 1);
    }
    const ended = this.cancelled.has(task.id) ? "cancelled" : "succeeded";
    Object.assign(task, { state: ended, finishedAt: iso() });
    Object.assign(deployment, { status: ended, finishedAt: iso(), durationMs: Date.now() - begun });
    Object.assign(app, { operation: null, health: { status: "Healthy", reasons: [] }, lastDeployment: { id: deployment.id, commit: deployment.commit.sha, status: ended, finishedAt: iso() } });
    if (ended === "succeeded") app.sync = { ...app.sync, status: "Synced", deployedCommit: deployment.commit.sha, desiredCommit: deployment.commit.sha, reasons: [] };
    this.emit("task.status", "task", task);
    this.emit("deployment.finished", "deployment", { deploymentId: deployment.id, applicationId: app.id, status: ended }, deployment.id);
    this.emit("application.status", "application", app);
    this.act("application.synced", "application", app, `Deployed commit ${deployment.commit.sha.slice(0, 7)} to ${app.name}`, "admin");
  }

  progress(app, task, deployment, step, done) {
    task.progress = { done, total: task.steps.length, text: step.title };
    this.emit("deployment.progress", "deployment", { deploymentId: deployment.id, applicationId: app.id, op: { id: step.id, state: step.state, error: null }, done, total: task.steps.length }, deployment.id);
    this.emit("task.status", "task", task);
  }

  cancel(task) {
    this.cancelled.add(task.id);
  }

  containerAction(c, verb) {
    Object.assign(c, verb === "stop" ? { state: "exited", health: null, status: "Exited (0) just now" } : { state: "running", health: "healthy", startedAt: iso(), status: "Up 1 second" });
    this.emit("container.status", "container", { nodeId: c.node.id, containerId: c.id, name: c.name, state: c.state, health: c.health, action: verb, applicationId: c.application?.id ?? null }, c.id);
  }

  logs(ws, c, query) {
    if (!c) {
      ws.send(JSON.stringify({ type: "error", error: { code: "RESOURCE_NOT_FOUND", message: "There is no such container." } }));
      return ws.close(1000);
    }
    let q = 0;
    const line = (t) => {
      const n = ++q;
      const paths = ["/", "/cart", "/api/orders", "/static/app.js", "/health"];
      const ms = (n * 7) % 90;
      const bad = n % 41 === 0;
      const l = bad
        ? `\u001b[31mERROR\u001b[0m payment provider timed out after \u001b[1m3000 ms\u001b[0m order=${1000 + n}`
        : n % 17 === 0
          ? `\u001b[33mWARN\u001b[0m  slow query took ${200 + ms} ms: SELECT * FROM orders WHERE state = 'open' AND created_at > now() - interval '1 day'`
          : `\u001b[32mINFO\u001b[0m  GET ${paths[n % paths.length]} \u001b[36m200\u001b[0m ${ms} ms`;
      return { s: bad ? 2 : 1, t: new Date(t).toISOString(), q: n, l };
    };
    const tail = Math.min(Number(query.get("tail") ?? 1000), Number(process.env.MOCK_LOG_TAIL ?? 1000));
    const now = Date.now();
    const items = Array.from({ length: query.get("since") ? 0 : tail }, (_, i) => line(now - (tail - i) * 400));
    for (let i = 0; i < items.length; i += 500) ws.send(JSON.stringify({ type: "logs", items: items.slice(i, i + 500) }));
    if (tail >= 1000) ws.send(JSON.stringify({ type: "gap", dropped: 128 }));
    const timer = setInterval(() => ws.send(JSON.stringify({ type: "logs", items: [line(Date.now())] })), 350);
    ws.on("close", () => clearInterval(timer));
  }
}
