import { act, render, screen } from "@testing-library/react";
import { useEffect } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MemoryRouter } from "react-router";
import type { LiveEvent } from "@/api/types";
import { applyEvents, forgetPatches, resetLive, useLive } from "@/live/store";
import { announceTasks, useAction } from "./tasks";
import { clearToasts, Toasts } from "./toasts";

let seq = 0;
const told = (id: string, state: string): LiveEvent => ({ type: "event", seq: ++seq, topic: "task.status", object: { kind: "task", id }, payload: { id, state, createdAt: "2025-01-01T00:00:00Z" }, time: "2025-01-01T00:00:00Z" });

let start: (action: () => Promise<unknown>) => Promise<unknown>;
function Page() {
  const { run } = useAction();
  start = (action) => run("Rollback of shop", action);
  useEffect(announceTasks, []);
  return <Toasts />;
}

const count = (text: RegExp) => screen.queryAllByText(text).length;

describe("own tasks", () => {
  let server: Record<string, { status: number; body: unknown }>;
  let asked: string[];
  beforeEach(() => {
    vi.useFakeTimers();
    resetLive();
    clearToasts();
    server = {};
    asked = [];
    vi.stubGlobal("fetch", async (url: string) => {
      asked.push(url);
      const { status, body } = server[url.split("/").at(-1) ?? ""] ?? { status: 404, body: { error: { code: "RESOURCE_NOT_FOUND", message: "no such task" } } };
      return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
    });
    render(
      <MemoryRouter>
        <Page />
      </MemoryRouter>,
    );
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
  const answered = (id: string) => Promise.resolve({ taskId: id, task: `/api/v1/tasks/${id}` });
  const later = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

  it("are started by the server's task reference and told when their event comes", async () => {
    await act(() => start(() => answered("t1")));
    expect(count(/^Rollback of shop started/)).toBe(1);
    expect(count(/^Rollback of shop (finished|done)/)).toBe(0);
    act(() => void applyEvents([told("t1", "running"), told("t1", "succeeded")]));
    expect(count(/^Rollback of shop finished/)).toBe(1);
    act(() => void applyEvents([told("t1", "succeeded")]));
    await later(1_000);
    expect(count(/^Rollback of shop finished/)).toBe(1);
    expect(asked).toEqual([]);
  });

  it("are told when the end arrives before the answer to the request", async () => {
    await act(() =>
      start(() => {
        applyEvents([told("t2", "running"), told("t2", "succeeded")]);
        return answered("t2");
      }),
    );
    expect(count(/^Rollback of shop finished/)).toBe(1);
  });

  it("are asked for when a gap swallowed their end", async () => {
    server.t3 = { status: 200, body: { id: "t3", state: "failed", error: { code: "IMAGE_PULL_FAILED", message: "no such image" } } };
    await act(() => start(() => answered("t3")));
    act(() => void applyEvents([told("t3", "running")]));
    act(() => forgetPatches());
    await later(0);
    expect(count(/^Rollback of shop failed/)).toBe(1);
    expect(count(/IMAGE_PULL_FAILED: no such image/)).toBe(1);
  });

  it("are asked for when the connection is back", async () => {
    server.t4 = { status: 200, body: { id: "t4", state: "cancelled" } };
    await act(() => start(() => answered("t4")));
    act(() => useLive.setState({ link: { state: "reconnecting", since: 0 } }));
    await later(0);
    expect(asked).toEqual([]);
    act(() => useLive.setState({ link: { state: "live", since: 0 } }));
    await later(0);
    expect(count(/^Rollback of shop was cancelled/)).toBe(1);
  });

  it("are asked for when they send no event at all, and given up when they are gone", async () => {
    server.t5 = { status: 200, body: { id: "t5", state: "running" } };
    await act(() => start(() => answered("t5")));
    await later(9_000);
    expect(asked).toHaveLength(0);
    await later(4_000);
    expect(asked).toHaveLength(1);
    server.t5 = { status: 200, body: { id: "t5", state: "succeeded" } };
    await later(8_000);
    expect(count(/^Rollback of shop finished/)).toBe(1);
    await act(() => start(() => answered("gone")));
    await later(60_000);
    expect(asked.filter((u) => u.endsWith("/gone"))).toHaveLength(1);
  });
});
