import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { LiveEvent } from "@/api/types";
import { CacheBinding } from "./bind";
import { LiveSocket, type LinkState } from "./socket";
import { applyEvents, changeOf, forgetPatches, reconcile, resetLive, useLive } from "./store";

const event = (seq: number, topic: string, payload: Record<string, unknown>): LiveEvent => ({ type: "event", seq, topic, object: null, payload, time: "2025-01-01T00:00:00Z" });
const app = (seq: number, status: string) => event(seq, "application.status", { id: "a", health: { status, reasons: [] } });

class FakeSocket {
  static all: FakeSocket[] = [];
  readyState = 0;
  sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((m: { data: string }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  constructor() {
    FakeSocket.all.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close() {
    this.readyState = 3;
  }
  up() {
    this.readyState = 1;
    this.onopen?.();
  }
  say(frame: object) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  die(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}
const latest = () => FakeSocket.all.at(-1)!;

function setup(beforeRetry?: () => Promise<boolean>) {
  FakeSocket.all = [];
  const states: LinkState[] = [];
  const events: LiveEvent[] = [];
  const gaps: [number, number][] = [];
  const socket = new LiveSocket({
    url: () => "ws://x/ws/v1/events",
    open: () => new FakeSocket() as unknown as WebSocket,
    onEvent: (e) => events.push(e),
    onGap: (from, to) => gaps.push([from, to]),
    onState: (s) => states.push(s),
    random: () => 0.5,
    beforeRetry,
  });
  return { socket, states, events, gaps };
}

describe("live socket", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("shares equal subscriptions and ends them with the last user", () => {
    const { socket } = setup();
    socket.start();
    latest().up();
    const one = socket.subscribe({ topics: ["a", "b"] });
    const two = socket.subscribe({ topics: ["b", "a"] });
    expect(latest().sent.filter((f) => f.type === "subscribe")).toHaveLength(1);
    one();
    one();
    expect(latest().sent.some((f) => f.type === "unsubscribe")).toBe(false);
    two();
    expect(latest().sent.at(-1)).toMatchObject({ type: "unsubscribe" });
    socket.stop();
  });

  it("resumes after a loss from the last number seen", async () => {
    const { socket, states, events } = setup();
    socket.start();
    latest().up();
    socket.subscribe({ topics: ["application.status"] });
    latest().say({ ...app(41, "Healthy"), sub: ["s1"] });
    latest().die();
    expect(states).toEqual(["connecting", "live", "reconnecting"]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(FakeSocket.all).toHaveLength(2);
    latest().up();
    expect(latest().sent[0]).toMatchObject({ type: "subscribe", topics: ["application.status"], lastSeq: 41 });
    expect(events).toHaveLength(1);
    expect(states.at(-1)).toBe("live");
    socket.stop();
  });

  it("reports gaps and goes on from their end", async () => {
    const { socket, gaps } = setup();
    socket.start();
    latest().up();
    socket.subscribe({ topics: ["t"] });
    latest().say({ type: "gap", fromSeq: 5, toSeq: 90 });
    expect(gaps).toEqual([[5, 90]]);
    latest().die(1012);
    await vi.advanceTimersByTimeAsync(10_000);
    latest().up();
    expect(latest().sent[0]).toMatchObject({ lastSeq: 90 });
    socket.stop();
  });

  it("probes a quiet connection and replaces a dead one", async () => {
    const { socket, states } = setup();
    socket.start();
    latest().up();
    await vi.advanceTimersByTimeAsync(26_000);
    const probe = latest().sent.find((f) => String(f.id).startsWith("p"));
    expect(probe).toMatchObject({ type: "subscribe" });
    latest().say({ type: "subscribed", id: probe?.id, seq: 3 });
    expect(latest().sent.at(-1)).toMatchObject({ type: "unsubscribe", id: probe?.id });
    await vi.advanceTimersByTimeAsync(45_000);
    expect(states).toContain("stale");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(FakeSocket.all).toHaveLength(2);
    latest().up();
    expect(states.at(-1)).toBe("live");
    socket.stop();
  });

  it("stops when the session is over", async () => {
    const { socket, states } = setup(async () => false);
    socket.start();
    latest().die();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(FakeSocket.all).toHaveLength(1);
    expect(states.at(-1)).toBe("closed");
  });
});

describe("live store", () => {
  beforeEach(() => resetLive());

  it("refuses what is older than what it knows of an object", () => {
    expect(applyEvents([app(10, "Degraded")])).toHaveLength(1);
    expect(applyEvents([app(9, "Healthy"), app(10, "Healthy")])).toHaveLength(0);
    expect(useLive.getState().patches.application.a?.value).toMatchObject({ health: { status: "Degraded" } });
    expect(applyEvents([app(11, "Healthy")])).toHaveLength(1);
  });

  it("takes what engines tell in order, though it shares a number", () => {
    const c = (seq: number, state: string) => event(seq, "container.status", { nodeId: "n", containerId: "c", name: "c-1", state, health: null, action: state, applicationId: null });
    expect(applyEvents([c(7, "created"), c(7, "running")])).toHaveLength(2);
    expect(useLive.getState().patches.container.c?.value).toMatchObject({ state: "running" });
    expect(applyEvents([c(6, "created")])).toHaveLength(0);
  });

  it("keeps the order of a batch by number, not by arrival", () => {
    applyEvents([app(21, "Healthy"), app(20, "Progressing")]);
    expect(useLive.getState().patches.application.a?.value).toMatchObject({ health: { status: "Healthy" } });
  });

  it("lays a change over an answer that was asked for before it", () => {
    applyEvents([app(30, "Degraded")], 2_000);
    const item = { id: "a", health: { status: "Healthy" } };
    expect(reconcile("application", [item], 1_000)[0]).toMatchObject({ health: { status: "Degraded" } });
    expect(reconcile("application", [item], 3_000)[0]).toBe(item);
  });

  it("removes deleted objects from late answers, and forgets after a gap", () => {
    applyEvents([event(31, "application.deleted", { id: "a" })], 2_000);
    expect(reconcile("application", [{ id: "a" }], 1_000)).toEqual([]);
    forgetPatches();
    expect(reconcile("application", [{ id: "a" }], 1_000)).toHaveLength(1);
  });

  it("collects the progress of a deployment by operation", () => {
    const p = (seq: number, id: string, state: string) => event(seq, "deployment.progress", { deploymentId: "d", applicationId: "a", op: { id, state }, done: 1, total: 2 });
    applyEvents([p(1, "x", "running"), p(2, "x", "succeeded"), p(3, "y", "running"), p(2, "x", "running")]);
    expect(useLive.getState().progress.d?.ops).toMatchObject({ x: { state: "succeeded" }, y: { state: "running" } });
  });

  it("takes destroyed containers as gone", () => {
    const payload = { containerId: "c", nodeId: "n", name: "c-1", state: "removed", health: null, action: "destroy", applicationId: null };
    expect(changeOf(event(1, "container.status", payload))).toMatchObject({ kind: "container", id: "c", value: null });
  });
});

describe("cache binding", () => {
  it("reads again what was cached while nobody listened, and only that", async () => {
    const queries = new QueryClient();
    const binding = new CacheBinding(queries);
    queries.setQueryData(["containers"], { items: [], truncated: false }, { updatedAt: 1_000 });
    queries.setQueryData(["applications", ""], { items: [], truncated: false }, { updatedAt: 1_000 });
    binding.refetchUnheard(["container.status"], 2_000);
    expect(queries.getQueryState(["containers"])?.isInvalidated).toBe(true);
    expect(queries.getQueryState(["applications", ""])?.isInvalidated).toBe(false);
    queries.setQueryData(["containers"], { items: [], truncated: false }, { updatedAt: 3_000 });
    binding.refetchUnheard(["container.status"], 2_000);
    expect(queries.getQueryState(["containers"])?.isInvalidated).toBe(false);
  });

  it("reads settings again when their version moved, and never puts the new version on the old settings", async () => {
    vi.useFakeTimers();
    resetLive();
    const queries = new QueryClient();
    const binding = new CacheBinding(queries);
    queries.setQueryData(["application", "a"], { id: "a", branch: "main", version: 4 });
    const invalidate = vi.spyOn(queries, "invalidateQueries");
    const told = (seq: number, version: number) => event(seq, "application.status", { id: "a", version, health: { status: "Healthy" } });
    for (const c of applyEvents([told(1, 4)])) binding.apply(c);
    await vi.advanceTimersByTimeAsync(500);
    expect(invalidate).not.toHaveBeenCalledWith({ queryKey: ["application", "a"] });
    for (const c of applyEvents([told(2, 5)])) binding.apply(c);
    expect(queries.getQueryData(["application", "a"])).toMatchObject({ branch: "main", version: 4, health: { status: "Healthy" } });
    await vi.advanceTimersByTimeAsync(500);
    expect(invalidate).toHaveBeenCalledWith({ queryKey: ["application", "a"] });
    vi.useRealTimers();
  });

  it("patches lists and details in place and refetches lists that lack the object", async () => {
    vi.useFakeTimers();
    resetLive();
    const queries = new QueryClient();
    const binding = new CacheBinding(queries);
    const other = { id: "b", health: { status: "Healthy" } };
    queries.setQueryData(["applications", ""], { items: [{ id: "a", name: "shop", health: { status: "Healthy" } }, other], truncated: false });
    queries.setQueryData(["application", "a"], { id: "a", name: "shop" });
    const invalidate = vi.spyOn(queries, "invalidateQueries");
    for (const c of applyEvents([app(1, "Degraded")])) binding.apply(c);
    const list = queries.getQueryData<{ items: { name?: string; health: { status: string } }[] }>(["applications", ""]);
    expect(list?.items[0]).toMatchObject({ name: "shop", health: { status: "Degraded" } });
    expect(list?.items[1]).toBe(other);
    expect(queries.getQueryData(["application", "a"])).toMatchObject({ name: "shop", health: { status: "Degraded" } });
    for (const c of applyEvents([event(2, "application.status", { id: "new" })])) binding.apply(c);
    await vi.advanceTimersByTimeAsync(500);
    expect(invalidate).toHaveBeenCalledWith({ queryKey: ["applications"] });
    vi.useRealTimers();
  });
});
