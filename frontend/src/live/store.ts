import { create } from "zustand";
import type { Activity, ContainerEvent, DeploymentProgress, LiveEvent, Task } from "@/api/types";
import type { LinkState } from "./socket";

export type Kind = "application" | "container" | "node" | "repository" | "task" | "deployment";
export type OpProgress = DeploymentProgress["op"] & { startedAt?: string; finishedAt?: string };

export interface Patch {
  seq: number;
  at: number;
  /** Changed top-level fields; null when the object is gone. */
  value: Record<string, unknown> | null;
}

/** What an accepted event means for one object. */
export interface Change {
  kind: Kind;
  id: string;
  value: Record<string, unknown> | null;
  event: LiveEvent;
}

export interface LiveState {
  link: { state: LinkState; since: number };
  patches: Record<Kind, Record<string, Patch>>;
  /** "kind:id" to the time of its last change, for the one flash of a row. */
  changed: Record<string, number>;
  progress: Record<string, { ops: Record<string, OpProgress>; done: number; total: number; seq: number }>;
  tasks: Record<string, Task>;
  activity: Activity[];
  /** How often events were lost for good: what waits for one has to ask. */
  gaps: number;
}

const PATCH_KEEP_MS = 10 * 60_000;
const ACTIVITY_KEEP = 200;
const PRUNE_EVERY = 500;
// What the engines tell has no number of its own: it comes under that of the newest numbered event, in order.
const UNNUMBERED = new Set(["container.status", "node.status"]);

export const emptyState = (): LiveState => ({
  link: { state: "closed", since: Date.now() },
  patches: { application: {}, container: {}, node: {}, repository: {}, task: {}, deployment: {} },
  changed: {},
  progress: {},
  tasks: {},
  activity: [],
  gaps: 0,
});

export const useLive = create<LiveState>(emptyState);

/** Translates an event into the object it changes; null for topics that carry no object state. */
export function changeOf(event: LiveEvent): Change | null {
  const payload = (event.payload ?? {}) as Record<string, unknown>;
  const id = (payload.id as string | undefined) ?? event.object?.id;
  switch (event.topic) {
    case "application.status": {
      // The version belongs to the settings, which the event does not carry: it comes with them.
      const { version: _version, updatedAt: _updatedAt, ...value } = payload;
      return id ? { kind: "application", id, value, event } : null;
    }
    case "application.deleted":
    case "repository.deleted":
    case "node.deleted":
      return id ? { kind: event.topic.split(".")[0] as Kind, id, value: null, event } : null;
    case "task.status":
      return id ? { kind: "task", id, value: payload, event } : null;
    case "node.status":
      return id ? { kind: "node", id, value: payload, event } : null;
    case "repository.status":
      return id ? { kind: "repository", id, value: payload, event } : null;
    case "deployment.finished": {
      const key = (payload.deploymentId as string | undefined) ?? id;
      return key ? { kind: "deployment", id: key, value: payload, event } : null;
    }
    case "container.status": {
      const { containerId, name, state, health, action } = payload as unknown as ContainerEvent;
      if (!containerId) return null;
      const gone = action === "destroy" || state === "removed";
      return { kind: "container", id: containerId, value: gone ? null : { id: containerId, name, state, health }, event };
    }
    default:
      return null;
  }
}

/**
 * Takes a batch of events into the store and says which of them changed something. An event older than what is
 * already known of its object is refused, so replays and reordering never move a view backwards.
 */
export function applyEvents(events: LiveEvent[], now = Date.now()): Change[] {
  const accepted: Change[] = [];
  useLive.setState((state) => {
    const next = { ...state, changed: { ...state.changed } };
    const touched = new Set<Kind>();
    for (const event of events) {
      if (event.topic === "deployment.progress") takeProgress(next, event);
      else if (event.topic === "activity.new") takeActivity(next, event);
      const change = changeOf(event);
      if (!change) continue;
      if (!touched.has(change.kind)) {
        touched.add(change.kind);
        next.patches = { ...next.patches, [change.kind]: { ...next.patches[change.kind] } };
      }
      const patches = next.patches[change.kind];
      const known = patches[change.id];
      if (known && (event.seq < known.seq || (event.seq === known.seq && !UNNUMBERED.has(event.topic)))) continue;
      const value = change.value && known?.value ? { ...known.value, ...change.value } : change.value;
      patches[change.id] = { seq: event.seq, at: now, value };
      next.changed[`${change.kind}:${change.id}`] = now;
      if (change.kind === "task" && change.value) {
        next.tasks = { ...next.tasks, [change.id]: change.value as unknown as Task };
      }
      accepted.push(change);
    }
    if (Object.keys(next.changed).length > PRUNE_EVERY) prune(next, now);
    return next;
  });
  return accepted;
}

function takeProgress(next: LiveState, event: LiveEvent): void {
  const p = event.payload as DeploymentProgress;
  const known = next.progress[p.deploymentId];
  if (known && event.seq <= known.seq) return;
  const over = p.op.state !== "running" && p.op.state !== "pending";
  const startedAt = known?.ops[p.op.id]?.startedAt ?? (p.op.state === "running" ? event.time : undefined);
  const ops = { ...known?.ops, [p.op.id]: { ...p.op, startedAt, finishedAt: over ? event.time : undefined } };
  next.progress = { ...next.progress, [p.deploymentId]: { ops, done: p.done, total: p.total, seq: event.seq } };
}

function takeActivity(next: LiveState, event: LiveEvent): void {
  const p = (event.payload ?? {}) as Partial<Activity> & { name?: string };
  const object = p.object ?? { kind: "", id: "", ...event.object, name: p.name ?? "" };
  const entry: Activity = { seq: p.seq ?? event.seq, topic: p.topic ?? event.topic, object, actor: p.actor ?? null, text: p.text ?? event.topic, time: p.time ?? event.time, details: p.details ?? null };
  if (next.activity.some((a) => a.seq === entry.seq)) return;
  next.activity = [entry, ...next.activity].sort((a, b) => b.seq - a.seq).slice(0, ACTIVITY_KEEP);
}

function prune(next: LiveState, now: number): void {
  const young = (at: number) => now - at < PATCH_KEEP_MS;
  next.changed = Object.fromEntries(Object.entries(next.changed).filter(([, at]) => young(at)));
  const patches = { ...next.patches };
  for (const kind of Object.keys(patches) as Kind[]) {
    patches[kind] = Object.fromEntries(Object.entries(patches[kind]).filter(([, p]) => young(p.at)));
  }
  next.patches = patches;
  const recent = Object.values(next.tasks).sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
  next.tasks = Object.fromEntries(recent.slice(0, 200).map((t) => [t.id, t]));
  next.progress = Object.fromEntries(Object.entries(next.progress).slice(-50));
}

/**
 * Lays changes that arrived while a request was under way over its answer: the answer may have been read before
 * the change was written.
 */
export function reconcile<T extends { id: string }>(kind: Kind, items: T[], startedAt: number): T[] {
  const patches = useLive.getState().patches[kind];
  const out: T[] = [];
  for (const item of items) {
    const patch = patches[item.id];
    if (!patch || patch.at < startedAt) out.push(item);
    else if (patch.value) out.push({ ...item, ...(patch.value as Partial<T>) });
  }
  return out;
}

/** After a gap nothing known from events can be trusted to be the newest. */
export function forgetPatches(): void {
  useLive.setState((s) => ({ patches: emptyState().patches, progress: {}, gaps: s.gaps + 1 }));
}

export function resetLive(): void {
  useLive.setState(emptyState(), true);
}
