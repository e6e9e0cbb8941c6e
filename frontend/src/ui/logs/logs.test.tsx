import { act, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parseAnsi, stripAnsi } from "./ansi";
import { LogViewer, renderLine } from "./LogViewer";
import { LogModel } from "./model";
import { LogRing, type LogLine } from "./ring";
import { columnsOf, expandTabs, RowIndex } from "./rows";
import { compile, MatchIndex, rangesOf } from "./search";

const line = (text: string): LogLine => ({ kind: "stdout", time: null, text });

describe("ring", () => {
  it("keeps the newest lines under their absolute numbers", () => {
    const ring = new LogRing(3);
    for (let i = 0; i < 5; i++) ring.push(line(`l${i}`));
    expect([ring.first, ring.end, ring.size]).toEqual([2, 5, 3]);
    expect(ring.at(1)).toBeUndefined();
    expect(ring.at(2)?.text).toBe("l2");
    expect(ring.at(4)?.text).toBe("l4");
  });
});

describe("ansi", () => {
  it("turns colours and weights into spans", () => {
    expect(parseAnsi("a\x1b[1;31mb\x1b[0mc")).toEqual([{ text: "a" }, { text: "b", bold: true, fg: 1 }, { text: "c" }]);
    expect(parseAnsi("\x1b[38;5;196mx")[0]).toMatchObject({ fg: "rgb(255 0 0)" });
    expect(parseAnsi("\x1b[48;2;1;2;3mx")[0]).toMatchObject({ bg: "rgb(1 2 3)" });
    expect(parseAnsi("\x1b[97mx")[0]).toMatchObject({ fg: 15 });
  });

  it("drops cursor moves, titles, links and control characters", () => {
    expect(stripAnsi("\x1b[2K\x1b]0;title\x07a\x1b]8;;javascript:alert(1)\x1b\\b\x1b]52;c;ZXZpbA==\x07c\x00\r")).toBe("abc");
    expect(stripAnsi("\x1b]52;c;unterminated")).toBe("");
  });

  it("ignores colour numbers out of range", () => {
    expect(parseAnsi("\x1b[38;2;999;-1;NaNmx")[0]?.text).toBeDefined();
    expect(parseAnsi("\x1b[38;5mx").map((s) => s.text).join("")).toBe("x");
  });

  it("renders markup as text", () => {
    render(<div data-testid="l">{renderLine("<img src=x onerror=alert(1)>\x1b[31m<b>", null)}</div>);
    expect(screen.getByTestId("l").textContent).toBe("<img src=x onerror=alert(1)><b>");
    expect(screen.getByTestId("l").querySelector("img, b")).toBeNull();
  });
});

describe("search", () => {
  it("takes plain text literally and reports a bad pattern", () => {
    expect(rangesOf("a.b axb", compile({ text: "a.b", regex: false, matchCase: false }).re!)).toEqual([[0, 3]]);
    expect(rangesOf("a.b axb", compile({ text: "a.b", regex: true, matchCase: false }).re!)).toHaveLength(2);
    expect(compile({ text: "Err", regex: false, matchCase: true }).re!.test("error")).toBe(false);
    expect(compile({ text: "(", regex: true, matchCase: false })).toMatchObject({ re: null });
    expect(rangesOf("abc", compile({ text: "x*", regex: true, matchCase: false }).re!)).toEqual([]);
  });

  it("finds text across colour changes", () => {
    const { re } = compile({ text: "hello", regex: false, matchCase: false });
    render(<div data-testid="l">{renderLine("he\x1b[31mllo\x1b[0m!", re)}</div>);
    expect([...screen.getByTestId("l").querySelectorAll("mark")].map((m) => m.textContent).join("")).toBe("hello");
  });

  it("keeps hits true while lines come and go, in bounded steps", () => {
    const ring = new LogRing(10);
    for (let i = 0; i < 10; i++) ring.push(line(i % 2 ? "odd" : "even"));
    const index = new MatchIndex(ring, /odd/g);
    expect(index.scan(4)).toBe(true);
    expect(index.count).toBe(2);
    expect(index.scan(100)).toBe(false);
    expect(index.count).toBe(5);
    for (let i = 0; i < 6; i++) ring.push(line("even"));
    index.scan(100);
    expect(index.count).toBe(2);
    expect(index.nth(0)).toBe(7);
    expect(index.indexFrom(8)).toBe(1);
  });
});

describe("places", () => {
  it("finds rows of items with different heights and survives removal at the front", () => {
    const rows = new RowIndex();
    [1, 3, 1, 2].forEach((h, i) => rows.push(i + 10, h));
    expect(rows.rows).toBe(7);
    expect([0, 1, 3, 4, 6].map((r) => rows.item(rows.find(r)))).toEqual([10, 11, 11, 12, 13]);
    expect(rows.dropBelow(12)).toBe(4);
    expect(rows.rows).toBe(3);
    expect(rows.top(1)).toBe(1);
    expect(rows.item(rows.find(1))).toBe(13);
    expect(rows.position(13)).toBe(1);
  });

  it("counts columns of tabs and wide characters", () => {
    expect(columnsOf("a\tb")).toBe(9);
    expect(columnsOf("日本")).toBe(4);
    expect(expandTabs("a\tb")).toBe("a       b");
  });

  it("holds 100 000 lines and shows only matches when asked", () => {
    const model = new LogModel();
    const lines = Array.from({ length: 120_000 }, (_, i) => line(i % 1000 === 0 ? `error ${i}` : `line ${i}`));
    const begun = performance.now();
    model.add(lines);
    expect(model.ring.size).toBe(100_000);
    expect(model.rows.length).toBe(100_000);
    model.setQuery({ text: "error", regex: false, matchCase: false });
    while (model.work());
    expect(model.matches?.count).toBe(100);
    model.setLayout({ wrap: false, columns: 80, filter: true });
    expect(model.rows.length).toBe(100);
    model.setLayout({ wrap: true, columns: 5, filter: false });
    expect(model.rows.rows).toBeGreaterThan(100_000);
    expect(performance.now() - begun).toBeLessThan(3_000);
  });

  it("adds new matches to a filtered view", () => {
    const model = new LogModel(100);
    model.setQuery({ text: "x", regex: false, matchCase: false });
    model.setLayout({ wrap: false, columns: 80, filter: true });
    model.add([line("x1"), line("y"), line("x2")]);
    model.work();
    expect(model.rows.length).toBe(2);
  });
});

describe("viewer", () => {
  class FakeWs {
    static last: FakeWs;
    onopen: (() => void) | null = null;
    onmessage: ((m: { data: string }) => void) | null = null;
    onclose: ((e: { code: number }) => void) | null = null;
    constructor(readonly url: string) {
      FakeWs.last = this;
    }
    close() {}
  }
  beforeEach(() => {
    vi.stubGlobal("WebSocket", FakeWs);
    vi.stubGlobal("ResizeObserver", class {
      observe() {}
      disconnect() {}
    });
    vi.stubGlobal("requestAnimationFrame", (f: () => void) => setTimeout(f, 0));
    vi.stubGlobal("cancelAnimationFrame", (n: number) => clearTimeout(n));
  });
  afterEach(() => vi.unstubAllGlobals());
  const say = async (frame: object) => {
    await act(async () => {
      FakeWs.last.onmessage?.({ data: JSON.stringify(frame) });
      await new Promise((r) => setTimeout(r, 10));
    });
  };

  it("shows lines, drops and the end as rows, and counts search hits", async () => {
    render(<LogViewer containerId="abc" name="web-1" />);
    expect(FakeWs.last.url).toContain("/ws/v1/containers/abc/logs?timestamps=true&tail=1000");
    await act(async () => FakeWs.last.onopen?.());
    await say({ type: "logs", items: [{ s: 1, t: "2025-01-01T00:00:00Z", q: 1, l: "hello" }, { s: 2, t: null, q: 2, l: "oh no" }, { s: 1, t: null, q: 2, l: "repeated" }] });
    await say({ type: "gap", dropped: 12 });
    await say({ type: "end", reason: "container stopped" });
    expect(screen.getByText("hello")).toBeTruthy();
    expect(screen.getByText("oh no").closest(".df-log-row")?.classList.contains("stderr")).toBe(true);
    expect(screen.queryByText("repeated")).toBeNull();
    expect(screen.getByText(/12 lines dropped/)).toBeTruthy();
    expect(screen.getByText(/container stopped/)).toBeTruthy();
    await userEvent.type(screen.getByLabelText("Search in log"), "o");
    expect(screen.getAllByRole("status")[0]?.textContent).toBe("4");
  });
});
