import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { LogLine } from "./ring";
import { LogStream, type StreamState } from "./stream";

class FakeWs {
  static all: FakeWs[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((m: { data: string }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  constructor(readonly url: string) {
    FakeWs.all.push(this);
  }
  close() {}
  say(frame: object) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}
const latest = () => FakeWs.all.at(-1)!;
const query = () => new URL(latest().url).searchParams;
const logs = (...items: [number, string][]) => ({ type: "logs", items: items.map(([q, l]) => ({ s: 1, t: `2025-01-01T00:00:0${q}Z`, q, l })) });

function setup() {
  const lines: LogLine[] = [];
  const states: StreamState[] = [];
  const stream = new LogStream({ containerId: "c", onLines: (l) => lines.push(...l), onState: (s) => states.push(s), open: (url) => new FakeWs(url) as unknown as WebSocket });
  return { stream, states, texts: () => lines.map((l) => `${l.kind} ${l.text}`) };
}

describe("log stream", () => {
  beforeEach(() => {
    FakeWs.all = [];
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("goes on after a loss from the last line, tells the break and repeats nothing", async () => {
    const { stream, states, texts } = setup();
    expect(query().get("tail")).toBe("1000");
    latest().onopen?.();
    latest().say(logs([1, "a"], [2, "b"]));
    latest().onclose?.({ code: 1006 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(FakeWs.all).toHaveLength(2);
    expect([query().get("since"), query().get("tail")]).toEqual(["2025-01-01T00:00:02Z", null]);
    latest().onopen?.();
    latest().say(logs([2, "b"], [3, "c"]));
    expect(texts()).toEqual(["stdout a", "stdout b", "gap connection was lost and is back", "stdout c"]);
    expect(states).toEqual(["connecting", "live", "reconnecting", "reconnecting", "live"]);
    stream.close();
  });

  it("shows dropped lines and gaps as rows, and ends with the log", async () => {
    const { states, texts } = setup();
    latest().onopen?.();
    latest().say({ type: "gap", dropped: 1200 });
    latest().say({ type: "gap" });
    latest().say({ type: "end", reason: "container stopped" });
    latest().onclose?.({ code: 1000 });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(FakeWs.all).toHaveLength(1);
    expect(texts()).toEqual(["dropped 1,200 lines dropped: this viewer was slower than the container", "gap lines are missing here", "end end of log: container stopped"]);
    expect(states.at(-1)).toBe("ended");
  });

  it("asks why a connection was refused, and gives up when the answer is final", async () => {
    vi.stubGlobal("fetch", async () => new Response(JSON.stringify({ error: { code: "FORBIDDEN", message: "container:logs is missing" } }), { status: 403, headers: { "Content-Type": "application/json" } }));
    const { states, texts } = setup();
    latest().onclose?.({ code: 1006 });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(FakeWs.all).toHaveLength(1);
    expect(texts()).toEqual(["error container:logs is missing"]);
    expect(states.at(-1)).toBe("ended");
  });
});
