import type { QueryClient } from "@tanstack/react-query";
import type { Listing } from "@/api/client";
import { client } from "@/api/client";
import type { LiveEvent } from "@/api/types";
import { LiveSocket } from "./socket";
import { applyEvents, forgetPatches, resetLive, useLive, type Change, type Kind } from "./store";

const LIST_KEY: Record<Kind, string> = {
  application: "applications",
  container: "containers",
  node: "nodes",
  repository: "repositories",
  task: "tasks",
  deployment: "deployments",
};
/** What is fetched of the objects a topic tells about. */
const TOPIC_KEYS: Record<string, readonly string[]> = {
  "application.status": ["applications", "application", "resources", "plan", "diff"],
  "application.deleted": ["applications"],
  "container.status": ["containers", "container", "resources"],
  "deployment.progress": ["deployment"],
  "deployment.finished": ["deployments", "deployment", "resources", "plan", "diff", "manifest"],
  "node.status": ["nodes"],
  "repository.status": ["repositories"],
  "repository.deleted": ["repositories"],
  "task.status": ["tasks", "task", "task-log"],
  "activity.new": ["activity"],
};
const FLUSH_MS = 16;
const REFETCH_MS = 400;

/** Writes accepted changes into the request caches and marks for refetch what an event can't describe fully. */
export class CacheBinding {
  private readonly due = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly queries: QueryClient) {}

  apply(change: Change): void {
    const { kind, id, value } = change;
    const list = LIST_KEY[kind];
    let known = false;
    this.queries.setQueriesData<Listing<{ id: string }>>({ queryKey: [list] }, (data) => {
      if (!data || !Array.isArray(data.items)) return data;
      const at = data.items.findIndex((item) => item.id === id);
      if (at < 0) return data;
      known = true;
      const items = data.items.slice();
      if (value) items[at] = { ...items[at], ...value, id };
      else items.splice(at, 1);
      return { ...data, items };
    });
    if (!known && value) this.refetchSoon(list);
    if (value) {
      this.queries.setQueriesData<{ id: string }>({ queryKey: [kind, id] }, (old) => old && { ...old, ...value, id });
    }
    this.follow(change);
  }

  /** What else a change makes old: the tree and plan of an application, its history, a task's log. */
  private follow({ kind, id, value, event }: Change): void {
    const payload = (event.payload ?? {}) as Record<string, unknown>;
    // These are part of the feed too, in words that only the server has.
    if (kind === "deployment" || kind === "node" || kind === "repository" || !value) this.refetchSoon("activity");
    if (kind === "application" && value) {
      if (this.hasOtherVersion(id, payload.version)) {
        this.refetchSoon("application", id);
        this.refetchSoon("applications");
      }
      for (const part of ["resources", "plan", "diff", "deployments"]) this.refetchSoon(part, id);
    } else if (kind === "container" && typeof payload.applicationId === "string") {
      this.refetchSoon("resources", payload.applicationId);
      this.refetchSoon("container", id);
    } else if (kind === "deployment") {
      this.refetchSoon("deployment", id);
      const app = payload.applicationId;
      if (typeof app === "string") for (const part of ["deployments", "resources", "plan", "diff", "manifest"]) this.refetchSoon(part, app);
    } else if (kind === "task") this.refetchSoon("task-log", id);
    else if (kind === "repository" && value) this.refetchSoon("repositories"); // the event tells refs, not the record
  }

  /** Somebody changed the settings since this application was read. */
  private hasOtherVersion(id: string, version: unknown): boolean {
    const one = this.queries.getQueryData<{ version?: number }>(["application", id]);
    const lists = this.queries.getQueriesData<Listing<{ id: string; version?: number }>>({ queryKey: ["applications"] });
    const known = [one, ...lists.map(([, data]) => data?.items?.find((a) => a.id === id))];
    return typeof version === "number" && known.some((a) => a?.version !== undefined && a.version !== version);
  }

  refetchSoon(...key: string[]): void {
    this.due.add(JSON.stringify(key));
    this.timer ??= setTimeout(() => {
      this.timer = null;
      const keys = [...this.due];
      this.due.clear();
      for (const k of keys) void this.queries.invalidateQueries({ queryKey: JSON.parse(k) as string[] });
    }, REFETCH_MS);
  }

  /** What was fetched while nobody listened to these topics may have missed a change. */
  refetchUnheard(topics: readonly string[], now = Date.now()): void {
    const keys = new Set(topics.flatMap((t) => TOPIC_KEYS[t] ?? []));
    void this.queries.invalidateQueries({ predicate: (q) => keys.has(String(q.queryKey[0])) && q.state.dataUpdatedAt > 0 && q.state.dataUpdatedAt < now });
  }

  refetchAll(): void {
    void this.queries.invalidateQueries({ predicate: (q) => q.queryKey[0] !== "me" && q.queryKey[0] !== "info" });
  }
}

let socket: LiveSocket | null = null;
let binding: CacheBinding | null = null;
const listeners = new Map<string, number>();

/** Listens to topics until the returned function is called; what was cached before anybody listened is read again. */
export function listen(topics: string[], object?: string): () => void {
  const release = socket?.subscribe(object ? { topics, object } : { topics });
  if (!release) return () => {};
  const unheard = topics.filter((t) => !listeners.get(t));
  for (const t of topics) listeners.set(t, (listeners.get(t) ?? 0) + 1);
  if (unheard.length) binding?.refetchUnheard(unheard);
  return () => {
    release();
    for (const t of topics) listeners.set(t, (listeners.get(t) ?? 1) - 1);
  };
}

/** Starts the event connection of this tab. Called once after sign-in; `stopLive` undoes it. */
export function startLive(queries: QueryClient): LiveSocket {
  if (socket) return socket;
  const bound = new CacheBinding(queries);
  binding = bound;
  let waiting: LiveEvent[] = [];
  let flush: ReturnType<typeof setTimeout> | null = null;
  let lostAt = 0;
  socket = new LiveSocket({
    url: () => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/v1/events`,
    onEvent: (event) => {
      waiting.push(event);
      flush ??= setTimeout(() => {
        flush = null;
        const batch = waiting;
        waiting = [];
        for (const change of applyEvents(batch)) bound.apply(change);
      }, FLUSH_MS);
    },
    onGap: () => {
      forgetPatches();
      bound.refetchAll();
    },
    onState: (state, since) => {
      if (state === "reconnecting" || state === "stale") lostAt ||= since;
      // Whatever the server can replay it replays; objects without a sequence are read again.
      if (state === "live" && lostAt) {
        lostAt = 0;
        bound.refetchAll();
      }
      useLive.setState({ link: { state, since } });
    },
    beforeRetry: async () => {
      if (!navigator.onLine) return true;
      try {
        await client.call("GET /auth/me", {});
        return true;
      } catch (error) {
        return (error as { status?: number }).status !== 401;
      }
    },
  });
  socket.start();
  window.addEventListener("online", wake);
  return socket;
}

const wake = () => socket?.retryNow();

export function stopLive(): void {
  window.removeEventListener("online", wake);
  socket?.stop();
  socket = null;
  binding = null;
  listeners.clear();
  resetLive();
}

export const liveSocket = () => socket;
